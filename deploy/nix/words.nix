# Words of a command line in a unit file (systemd.service(5)), quoted as unit.rs does it.
rec {
  quoted = word: "\"${builtins.replaceStrings [ "\"" "\\" "%" "$" ] [ "\\\"" "\\\\" "%%" "$$" ] (toString word)}\"";

  # A program and its arguments.
  command = program: arguments: builtins.concatStringsSep " " ([ (quoted program) ] ++ arguments);
}
