# What `nix flake check` builds: the programs, run once, and the unit as both modules and the installer have it.
{ pkgs, packages }:
let
  inherit (packages) cm-agent cm-agent-static cm-fleet;
  unit = import ./unit.nix;
in
{
  inherit cm-agent cm-agent-static cm-fleet;

  programs = pkgs.runCommand "cm-programs-run" { } ''
    says() { [[ "$("$2" --version) " = "$1 "* ]] || { echo "$2 does not say $1" >&2; exit 1; }; }
    says "cm-agent ${cm-agent.version}" ${cm-agent}/bin/cm-agent
    says "cm-agent ${cm-agent.version}" ${cm-agent-static}/bin/cm-agent
    says "cm-fleet ${cm-fleet.version}" ${cm-fleet}/bin/cm-fleet
    test -x ${cm-fleet}/lib/cm-fleet/cm-agent-*-linux
    touch $out
  '';

  # Byte by byte what `cm-agent install` writes: the snapshot is what its own test holds it to.
  unit = pkgs.runCommand "cm-unit-equal"
    {
      ours = pkgs.writeText "cm-agent.service" (unit (import ./deployed.nix));
      theirs = ../../crates/cm-agent/src/install/snapshots/cm_agent__install__unit__tests__the_unit_is_the_template_with_another_start.snap;
    } ''
    sed '1,/^expression:/d; /^---$/d' $theirs | cmp - $ours
    touch $out
  '';

  nix-format = pkgs.runCommand "cm-nix-format" { nativeBuildInputs = [ pkgs.nixpkgs-fmt pkgs.deadnix ]; } ''
    nixpkgs-fmt --check ${../../flake.nix} ${./.}
    deadnix --fail ${../../flake.nix} ${./.}
    touch $out
  '';
}
