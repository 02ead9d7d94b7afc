# NixOS: the agent as a service of each user that is named, who needs not be logged in.
packagesOf:
{ config, lib, pkgs, ... }:
let
  cfg = config.services.cm-agent;
  ours = import ./options.nix { inherit lib cfg; package = (packagesOf pkgs).cm-agent; };
in
{
  options.services.cm-agent = ours.options // {
    users = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      example = [ "ada" ];
      description = "Whose service it is. Each has an agent of their own, from boot on.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = ours.assertions ++ [
      { assertion = cfg.users != [ ]; message = "services.cm-agent.users: name at least one user."; }
    ];
    environment.systemPackages = [ cfg.package ];
    users.users = lib.genAttrs cfg.users (_: { linger = true; });
    systemd.user.units."cm-agent.service" = {
      # The unit is there for every user's manager; "|": one of them is enough.
      text = ours.unit { conditions = map (user: "ConditionUser=|${user}") cfg.users; };
      wantedBy = [ "default.target" ];
    };
  };
}
