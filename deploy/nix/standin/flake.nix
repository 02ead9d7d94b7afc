{
  description = "Stands in for nixpkgs in tests: builds with this machine's own toolchain";

  outputs = _: {
    lib = import ./lib.nix;
    legacyPackages = (import ./lib.nix).genAttrs [ "x86_64-linux" "aarch64-linux" ]
      (system: import ./packages.nix { inherit system; });
  };
}
