{
  description = "cm-fleet: turns machines into a fleet of coding agents and gives it work";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [ "x86_64-linux" "aarch64-linux" ];
      eachSystem = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      # Everything that is built, by name, from any set of packages.
      ours = pkgs: import ./deploy/nix/packages.nix { inherit pkgs; revision = self.rev or "dirty"; };
      of = pkgs: self.packages.${pkgs.stdenv.hostPlatform.system};
    in
    {
      overlays.default = final: _prev: {
        inherit (ours final) cm-agent cm-agent-static cm-fleet;
      };

      packages = eachSystem (pkgs: ours pkgs // { default = (ours pkgs).cm-fleet; });

      apps = eachSystem (pkgs:
        let
          app = name: { type = "app"; program = "${(of pkgs).${name}}/bin/${name}"; };
        in
        { cm-agent = app "cm-agent"; cm-fleet = app "cm-fleet"; default = app "cm-fleet"; });

      checks = eachSystem (pkgs: import ./deploy/nix/checks.nix { inherit pkgs; packages = of pkgs; });

      devShells = eachSystem (pkgs: {
        default = import ./deploy/nix/shell.nix { inherit pkgs; packages = of pkgs; };
      });

      formatter = eachSystem (pkgs: pkgs.nixpkgs-fmt);

      nixosModules = rec {
        cm-agent = import ./deploy/nix/nixos.nix of;
        default = cm-agent;
      };
      homeManagerModules = rec {
        cm-agent = import ./deploy/nix/home.nix of;
        default = cm-agent;
      };
    };
}
