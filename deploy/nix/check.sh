#!/usr/bin/env bash
# Evaluates, builds and runs what flake.nix offers, with this machine's toolchain in nixpkgs' place: nothing is
# downloaded but crates that cargo does not have yet. Needs nix (Debian: nix-bin), pkg-config, libssl-dev,
# zlib1g-dev, tmux, git, ssh, nixpkgs-fmt and deadnix. Its store is in the build directory; /nix is not touched.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
work=$target/nix
mkdir -p "$work"
# The store of an earlier run may be from other versions of everything; what cargo has compiled stays.
scratch() { [ ! -e "$work/$1" ] || { chmod -R u+w "$work/$1" && rm -rf "${work:?}/$1"; }; }
exec 9> "$work/lock"
flock -w 1200 9 || { echo "another check.sh has been running for long in $work" >&2; exit 1; }
for dir in store var log cache standin out; do scratch "$dir"; done
mkdir -p "$work/out"

standin=$work/standin
cp -r deploy/nix/standin "$standin"
printf '{ tools = "%s"; target = "%s"; }\n' "$target/tools/bin" "$work/target" > "$standin/machine.nix"
echo '{"version":2,"flakes":[]}' > "$work/registry.json"
export NIX_STORE_DIR=$work/store NIX_STATE_DIR=$work/var NIX_LOG_DIR=$work/log XDG_CACHE_HOME=$work/cache
export NIX_CONF_DIR=$work NIX_USER_CONF_FILES=
export NIX_CONFIG="experimental-features = nix-command flakes
sandbox = false
build-users-group =
substituters =
flake-registry = $work/registry.json"
with=(--override-input nixpkgs "path:$standin" --no-write-lock-file)

passed=0 log=$work/out/log
finish() { echo "test result: $1. $passed passed; $2 failed; 0 ignored"; }
# One check: what it shows, and the command. The first that fails ends all.
t() {
    local what=$1 from=$SECONDS
    shift
    if "$@" > "$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok    $what ($((SECONDS - from)) s)"
    else
        echo "FAIL  $what"
        tail -n 60 "$log"
        finish FAILED 1
        exit 1
    fi
}
counted() { # NAME COMMAND…: a command that prints {"failed":[…],"passed":N,…}
    t "$@"
    grep -q '"failed":\[\]' "$log" || { cat "$log"; finish FAILED 1; exit 1; }
    passed=$((passed - 1 + $(sed -n 's/.*"passed":\([0-9]*\).*/\1/p' "$log")))
}
sh_() { bash -euo pipefail -c "$1" _ "${@:2}"; }

cargo fetch --locked --quiet
t "flake.lock fits flake.nix" nix flake metadata --no-update-lock-file
t "every output evaluates, for both architectures" nix flake check --no-build "${with[@]}"
t "nix flake check" nix flake check --print-build-logs "${with[@]}"
for name in cm-agent cm-fleet; do
    t "nix build .#$name" nix build "${with[@]}" ".#$name" --out-link "$work/out/$name"
    t "nix run .#$name -- --version" sh_ 'nix run "${@:2}" -- --version | grep -qE "^$1 [0-9.]+( |\$)"' "$name" "${with[@]}" ".#$name"
done
t "nix run .#cm-fleet" sh_ 'nix run "$@" -- --help | grep -q dispatch' "${with[@]}" ".#cm-fleet"
t "nix build (default)" nix build "${with[@]}" --out-link "$work/out/default"
t "nix build .#image" nix build "${with[@]}" .#image --out-link "$work/out/image"
t "the image starts as the Dockerfile's does" sh_ '
    said() { sed -n "s/^$1 *//p" Dockerfile; }
    # The first stage that has these is the agent.
    for what in Entrypoint:ENTRYPOINT Cmd:CMD; do
        wanted=$(said "${what#*:}" | head -n 1 | tr -d " ")
        grep -qF "\"${what%:*}\":$wanted" "$1" || { echo "${what%:*} is not $wanted in:"; cat "$1"; exit 1; }
    done
    for name in CM_AGENT_CONTAINER CM_AGENT_STATE_DIR CM_AGENT_RUNTIME_DIR; do
        wanted=$(grep -o "$name=[^ ]*" Dockerfile | head -n 1)
        grep -qF "\"$wanted\"" "$1" || { echo "no $wanted in:"; cat "$1"; exit 1; }
    done' "$work/out/image"
t "tmux, git and ssh are in the programs' PATH" sh_ '
    for program in "$@"; do
        for name in tmux git ssh; do
            path=$(sed -n "s/^export PATH=\"\([^\$]*\)\${PATH.*/\1/p" "$program")
            PATH=$path type -P "$name" || exit 1
        done
    done' "$work/out/cm-agent/bin/cm-agent" "$work/out/cm-fleet/bin/cm-fleet"
t "with an empty environment an agent starts and finds tmux" sh_ '
    dir=$(mktemp -d /tmp/cm-nix-XXXXXX)
    env -i HOME="$dir" "$1" serve --state-dir "$dir/s" --runtime-dir "$dir/r" --placement detached > "$dir/log" 2>&1 &
    agent=$!
    trap "kill $agent; wait $agent || true; rm -rf $dir" EXIT
    for _ in $(seq 100); do
        [ ! -S "$dir/r/agent.sock" ] || break
        sleep 0.1
    done
    cat "$dir/log"
    "$1" health --socket "$dir/r/agent.sock" && "$1" selftest --socket "$dir/r/agent.sock"' "$work/out/cm-agent/bin/cm-agent"
t "cm-fleet is linked to the system's OpenSSL" sh_ 'ldd "$1" | grep -q libssl' "$work/out/cm-fleet/bin/.cm-fleet-wrapped"
t "what cm-fleet sends to hosts is static" sh_ 'ldd "$1" 2>&1 | grep -qE "not a dynamic|statically linked"' \
    "$work/out/cm-fleet/lib/cm-fleet/cm-agent-$(uname -m)-linux"
t "manual pages and completions" ls "$work/out/cm-fleet/share/man/man1/cm-fleet-deploy.1" \
    "$work/out/cm-fleet/share/zsh/site-functions/_cm-fleet" "$work/out/cm-fleet/share/bash-completion/completions/cm-fleet.bash"
t "nix develop" nix develop "${with[@]}" --command sh -c "pkg-config --exists openssl zlib && cargo --version && tmux -V"
counted "modules" nix-instantiate --eval --strict --json deploy/nix/modules-test.nix --arg standin "$standin" \
    --argstr agent "$(readlink "$work/out/cm-agent")"
t "systemd reads the modules' unit" sh_ 'mkdir "$1/unit"
    nix-instantiate --eval --strict --json deploy/nix/modules-test.nix -A plain --arg standin "$2" --argstr agent "$3" |
        sed "s/^\"//; s/\"\$//; s/\\\\n/\n/g; s/\\\\\(.\)/\1/g" > "$1/unit/cm-agent.service"
    XDG_RUNTIME_DIR=$1 systemd-analyze --user --man=no verify "$1/unit/cm-agent.service" > "$1/said" 2>&1; cat "$1/said"
    [ ! -s "$1/said" ]' "$work/out" "$standin" "$(readlink "$work/out/cm-agent")"
chmod -R u+w "$work/store"
finish ok 0
