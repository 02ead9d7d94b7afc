# home-manager: the agent as a service of one user, by the unit that a deployment writes.
packagesOf:
{ config, lib, pkgs, ... }:
let
  cfg = config.services.cm-agent;
  ours = import ./options.nix { inherit lib cfg; package = (packagesOf pkgs).cm-agent; };
  # A file rather than home-manager's own attributes: so it stays the template, to the letter.
  unit = pkgs.writeText "cm-agent.service" (ours.unit { });
in
{
  options.services.cm-agent = ours.options;

  config = lib.mkIf cfg.enable {
    inherit (ours) assertions;
    home.packages = [ cfg.package ];
    xdg.configFile."systemd/user/cm-agent.service".source = unit;
    xdg.configFile."systemd/user/default.target.wants/cm-agent.service".source = unit;
  };
}
