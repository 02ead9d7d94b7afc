# What contributors work in: the toolchain, and what `cargo xtask test` asks for.
{ pkgs, packages }:
pkgs.mkShell {
  inputsFrom = [ packages.cm-fleet ];
  packages = with pkgs; [
    cargo
    rustc
    clippy
    rustfmt
    rust-analyzer
    cargo-nextest
    cargo-deny
    tmux
    git
    openssh
    nixpkgs-fmt
    deadnix
  ];
  OPENSSL_NO_VENDOR = "1";
}
