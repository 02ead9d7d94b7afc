# What `nix flake check` builds: the programs, run once, and the unit as both modules and the installer have it.
{ pkgs, packages }:
let
  inherit (packages) cm-agent cm-agent-static cm-fleet;
  unit = import ./unit.nix;
in
{
  inherit cm-agent cm-agent-static cm-fleet;

  programs = pkgs.runCommand "cm-programs-run" { } ''
    test "$(${cm-agent}/bin/cm-agent --version)" = "cm-agent ${cm-agent.version}"
    test "$(${cm-agent-static}/bin/cm-agent --version)" = "cm-agent ${cm-agent.version}"
    test "$(${cm-fleet}/bin/cm-fleet --version)" = "cm-fleet ${cm-fleet.version}"
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
