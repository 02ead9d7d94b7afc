# What both modules let people say, and the unit that comes of it.
{ lib, cfg, package }:
let
  inherit (lib) mkOption types;
  inherit (import ./words.nix) quoted command;
  text = type: default: description: mkOption { inherit type default description; };
in
{
  options = {
    enable = lib.mkEnableOption "the agent that holds coding agents in terminals that outlive it";

    package = mkOption {
      type = types.package;
      default = package;
      defaultText = lib.literalExpression "cm-fleet.packages.\${system}.cm-agent";
      description = "The cm-agent to run.";
    };

    listen = text (types.nullOr types.str) null
      "Also listen on TCP, at ADDRESS:PORT. Needs `tokenFile`: every user of the machine can open its ports.";

    tokenFile = text (types.nullOr types.str) null
      "File with the token for TCP. Not in the Nix store, which everybody can read.";

    configFile = text (types.nullOr types.str) null
      "Settings as a deployment writes them (JSON, mode 0600, and so not in the Nix store).";

    policy = text (types.nullOr types.str) null
      "What decides about prompts where a task does not say: read-only, careful, trusting, or a YAML file.";

    maxSessions = text (types.nullOr types.ints.positive) null "Living sessions allowed.";

    path = text (types.listOf types.str)
      [ "/run/wrappers/bin" "%h/.nix-profile/bin" "/etc/profiles/per-user/%u/bin" "/run/current-system/sw/bin" ]
      "Where coding tools are looked for, before the directories that every unit of the agent has.";

    hardened = text types.bool true
      "Whether the agent, and with it the checks of tasks, runs without the rights it can do without (so without sudo).";

    extraArguments = text (types.listOf types.str) [ ] "More arguments for `cm-agent serve`.";
  };

  assertions =
    let
      outside = name: {
        assertion = cfg.${name} == null || !(lib.hasPrefix builtins.storeDir cfg.${name});
        message = "services.cm-agent.${name}: everybody can read the Nix store; name a file outside of it.";
      };
    in
    [
      {
        assertion = cfg.listen == null || cfg.tokenFile != null || cfg.configFile != null;
        message = "services.cm-agent.listen needs a token: set tokenFile.";
      }
      (outside "tokenFile")
      (outside "configFile")
    ];

  # `more`: what only one of the modules says.
  unit = more: import ./unit.nix ({
    header = [ "Written by the Nix module of cm-agent." ];
    inherit (cfg) path hardened;
    start =
      let
        given = name: value: lib.optionals (value != null) [ name (quoted value) ];
      in
      command "${cfg.package}/bin/cm-agent" ([ "serve" "--placement" "systemd" ]
        ++ given "--config" cfg.configFile
        ++ given "--listen" cfg.listen
        ++ given "--token-file" cfg.tokenFile
        ++ given "--policy" cfg.policy
        ++ given "--max-sessions" cfg.maxSessions
        ++ map quoted cfg.extraArguments);
  } // more);
}
