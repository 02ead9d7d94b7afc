# Builds a program with this machine's cargo, from crates that are in its cache already.
#
# What has been compiled of other people's crates is kept in $target between runs; our own sources are put in one
# place there, anew whenever they have changed (their name in the store is the hash of what is in them).
home=$(/usr/bin/getent passwd "$(/usr/bin/id -u)" | /usr/bin/cut -d: -f6)
PATH=$path
export HOME=$home CARGO_NET_OFFLINE=true CARGO_INCREMENTAL=0
# Soon ready rather than fast; what is proved here is that it can be built and run.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=64
# rustup's programs find their toolchain by the home directory.
for program in cargo rustc; do
    [ -x "$home/.cargo/bin/$program" ] && dir=$home/.cargo/bin || dir=/usr/local/bin
    [ -x "$dir/$program" ] || dir=/usr/bin
    mkdir -p "$TMPDIR/rust"
    ln -s "$dir/$program" "$TMPDIR/rust/$program"
done
PATH=$TMPDIR/rust:$PATH
for hook in $hooks; do
    [ ! -e "$hook/nix-support/setup-hook" ] || . "$hook/nix-support/setup-hook"
done
cmp "$src/Cargo.lock" "$lock"
mkdir -p "$target"
exec 9> "$target/lock"
flock 9
if [ "$(cat "$target/which" 2>/dev/null || true)" != "$src" ]; then
    rm -rf "$target/source" "$target/which"
    cp -r "$src" "$target/source"
    chmod -R u+w "$target/source"
    echo "$src" > "$target/which"
fi
cd "$target/source"
# What nixpkgs does, too: flags are for the program, not for what builds it.
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$target/$([ -n "${RUSTFLAGS:-}" ] && echo static || echo plain)
cargo build --release --locked --offline --target "$host" $cargoBuildFlags
mkdir -p "$out/bin"
cp "$CARGO_TARGET_DIR/$host/release/$pname" "$out/bin/"
cd "$TMPDIR"
eval "$postInstall"
exit 0
