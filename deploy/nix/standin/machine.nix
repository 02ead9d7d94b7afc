# This machine; check.sh writes its own beside a copy of these files.
{
  # Where programs are looked for before PATH's usual places.
  tools = "";
  # Cargo's build directory.
  target = throw "check.sh says where to build";
}
