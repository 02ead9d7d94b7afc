# What we use of nixpkgs' packages: links to this machine's own programs, and builders in their place.
{ system }:
let
  lib = import ./lib.nix;
  inherit (import ./machine.nix) tools target;

  # A derivation made by a script of ours. No sandbox is around it: it sees this machine.
  make = name: script: more: derivation ({
    inherit name system;
    builder = "/bin/bash";
    args = [ "-euo" "pipefail" script ];
  } // more);

  # A package whose files are links to this machine's programs, and pkg-config's descriptions of its libraries.
  linked = name: { programs ? [ name ], libraries ? [ ] }:
    make name ./linked.sh { inherit programs libraries tools; } // { inherit name; };

  # A package of which nothing is used here but its name.
  nothing = name: make name ./linked.sh { programs = [ ]; libraries = [ ]; inherit tools; };

  # What nixpkgs' builders have in PATH without asking, as far as we use it.
  basics = linked "basics" {
    programs = [
      "bash"
      "cat"
      "chmod"
      "cmp"
      "cp"
      "cut"
      "flock"
      "grep"
      "head"
      "id"
      "ln"
      "mkdir"
      "mktemp"
      "mv"
      "rm"
      "sed"
      "sort"
      "test"
      "touch"
      "tr"
      "uname"
      "cc"
      "gcc"
      "ld"
      "as"
      "ar"
      "ranlib"
      "strip"
    ];
  };
  pathOf = packages: lib.makeBinPath ([ basics ] ++ packages);

  pkgs = {
    inherit lib;
    stdenv.hostPlatform = { inherit system; parsed.cpu.name = builtins.head (builtins.split "-" system); };
    callPackage = lib.callPackageWith pkgs;

    rustPlatform.buildRustPackage =
      { pname
      , version
      , src
      , cargoLock
      , cargoBuildFlags
      , doCheck
      , nativeBuildInputs
      , buildInputs
      , env
      , postInstall
      , meta
      }:
        assert !doCheck;
        make "${pname}-${version}" ./rust.sh
          ({
            inherit pname src cargoBuildFlags postInstall target;
            lock = cargoLock.lockFile;
            hooks = nativeBuildInputs;
            path = pathOf nativeBuildInputs;
            PKG_CONFIG_LIBDIR = lib.makeSearchPath "lib/pkgconfig" buildInputs;
          } // env) // { inherit pname version meta nativeBuildInputs buildInputs; };

    makeWrapper = make "makeWrapper" ./hook.sh { inherit basics; hook = ./wrap.sh; };
    installShellFiles = make "installShellFiles" ./hook.sh { inherit basics; hook = ./completions.sh; };

    runCommand = name: { nativeBuildInputs ? [ ], ... }@more: command:
      make name ./command.sh (more // { inherit command; path = pathOf nativeBuildInputs; });
    writeText = name: text: builtins.toFile name text;

    # `nix develop` reads $stdenv/setup.
    mkShell = { packages, inputsFrom, ... }@more:
      make "shell" ./command.sh (builtins.removeAttrs more [ "packages" "inputsFrom" ] // {
        outputs = [ "out" ];
        command = "touch $out";
        path = pathOf (packages ++ builtins.concatMap (from: from.nativeBuildInputs) inputsFrom);
        PKG_CONFIG_LIBDIR = lib.makeSearchPath "lib/pkgconfig" (builtins.concatMap (from: from.buildInputs) inputsFrom);
        stdenv = make "stdenv" ./command.sh {
          path = pathOf [ ];
          command = "mkdir $out; echo 'export PATH=$path' > $out/setup";
        };
      });

    # The image's description instead of the image.
    dockerTools.buildLayeredImage = { name, tag, contents, fakeRootCommands, config }:
      make "${name}-image.json" ./command.sh {
        path = pathOf [ ];
        inherit fakeRootCommands contents;
        json = builtins.toJSON { inherit name tag config; };
        command = ''
          mkdir "$TMPDIR/root"; cd "$TMPDIR/root"
          chown() { :; }
          eval "$fakeRootCommands"
          grep -qx 'agent:x:1000:1000::/var/lib/cm-agent/home:/bin/bash' etc/passwd
          echo "$json" > $out
        '';
      };

    glibc.static = nothing "glibc-static";
    openssl = linked "openssl" { programs = [ ]; libraries = [ "openssl" "libssl" "libcrypto" ]; };
    zlib = linked "zlib" { programs = [ ]; libraries = [ "zlib" ]; };
    openssh = linked "openssh" { programs = [ "ssh" "ssh-keygen" ]; };
    clippy = linked "clippy" { programs = [ "cargo-clippy" ]; };
    coreutils = basics;
    bashInteractive = basics;
  }
  // lib.genAttrs [ "pkg-config" "tmux" "git" "cargo" "rustc" "rustfmt" "nixpkgs-fmt" "deadnix" ] (name: linked name { })
  // lib.genAttrs [ "tini" "cacert" "rust-analyzer" "cargo-nextest" "cargo-deny" ] nothing;
in
pkgs
