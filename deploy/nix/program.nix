# One of the two programs. Tests are not run here: they want sshd, systemd and Docker (`cargo xtask test`).
{ lib
, stdenv
, rustPlatform
, pkg-config
, makeWrapper
, installShellFiles
, glibc
, openssl
, zlib
, tmux
, git
, openssh
, pname
, static ? false
, agent ? null
}:
let
  root = ../..;
  fleet = pname == "cm-fleet";
in
rustPlatform.buildRustPackage {
  inherit pname;
  version = (lib.importTOML (root + "/Cargo.toml")).workspace.package.version;

  # What cargo reads and no more: an edit of the documentation must not build everything anew.
  src = lib.cleanSourceWith {
    name = "cm-fleet-source";
    src = root;
    filter = path: _type:
      let below = lib.removePrefix (toString root + "/") (toString path); in
      builtins.elem below [ "Cargo.toml" "Cargo.lock" "crates" "deploy" "deploy/systemd" ]
      || lib.hasPrefix "crates/" below
      || lib.hasPrefix "deploy/systemd/" below;
  };

  cargoLock.lockFile = root + "/Cargo.lock";
  cargoBuildFlags = [ "--package" pname "--bin" pname ];
  doCheck = false;

  nativeBuildInputs = [ makeWrapper ] ++ lib.optionals fleet [ pkg-config installShellFiles ];
  buildInputs = lib.optionals fleet [ openssl zlib ] ++ lib.optionals static [ glibc.static ];

  # nixpkgs' OpenSSL instead of one compiled here. libssh2 stays the one that the crate brings: versions up to
  # 1.11.1 let a malicious server attack the client, and whether a given nixpkgs has the fix is not known here.
  env = {
    OPENSSL_NO_VENDOR = "1";
    RUSTFLAGS = lib.optionalString static "-C target-feature=+crt-static";
  };

  postInstall = lib.optionalString fleet ''
    $out/bin/cm-fleet man --dir $out/share/man/man1
    for shell in bash fish zsh; do
      $out/bin/cm-fleet completions $shell > cm-fleet.$shell
    done
    installShellCompletion cm-fleet.bash cm-fleet.fish cm-fleet.zsh
  '' + lib.optionalString (agent != null) ''
    # Where `cm-fleet deploy` looks for what it sends.
    mkdir -p $out/lib/cm-fleet
    ln -s ${agent}/bin/cm-agent $out/lib/cm-fleet/cm-agent-${stdenv.hostPlatform.parsed.cpu.name}-linux
  '' + lib.optionalString (!static) ''
    wrapProgram $out/bin/${pname} --prefix PATH : ${lib.makeBinPath [ tmux git openssh ]}
  '';

  meta = {
    description =
      if fleet then "Turns machines into a fleet of coding agents and gives it work"
      else "Holds coding agents in tmux sessions, watches them and loses nothing";
    license = [ lib.licenses.mit lib.licenses.asl20 ];
    mainProgram = pname;
    platforms = lib.platforms.linux;
  };
}
