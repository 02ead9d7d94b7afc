# The modules, evaluated with settings of users: what comes of them, and what is refused. Prints JSON.
{ standin, agent }:
let
  lib = import (standin + "/lib.nix");
  package = { outPath = agent; };
  pkgs.writeText = _name: text: text;
  evaluated = file: settings: lib.evaluate { module = import file (_: { cm-agent = package; }); inherit pkgs settings; };
  home = evaluated ./home.nix;
  nixos = evaluated ./nixos.nix;

  unitOf = made: made.xdg.configFile."systemd/user/cm-agent.service".source;
  linesOf = text: builtins.filter builtins.isString (builtins.split "\n" text);
  has = line: text: builtins.elem line (linesOf text);
  # What a deployment may say otherwise.
  common = text: builtins.filter
    (line: builtins.match "(#|ExecStart=|ExecStartPre=|Environment=PATH=).*" line == null)
    (linesOf text);

  deployed = import ./unit.nix (import ./deployed.nix);
  plain = unitOf (home { enable = true; });
  tcp = { enable = true; listen = "127.0.0.1:9876"; tokenFile = "/home/a b/100%/token"; maxSessions = 3; };
  two = nixos { enable = true; users = [ "ada" "bob" ]; };
  twoText = two.systemd.user.units."cm-agent.service".text;
  refused = made: !(builtins.tryEval (builtins.deepSeq made true)).success;

  results = {
    "home: but for start and PATH, the deployed unit" = common plain == common deployed;
    "home: starts the package's agent" =
      has "ExecStart=\"${agent}/bin/cm-agent\" serve --placement systemd" plain;
    "home: wanted at log-in" =
      (home { enable = true; }).xdg.configFile."systemd/user/default.target.wants/cm-agent.service".source == plain;
    "home: settings are arguments, each one word" = has
      "ExecStart=\"${agent}/bin/cm-agent\" serve --placement systemd --listen \"127.0.0.1:9876\" --token-file \"/home/a b/100%%/token\" --max-sessions \"3\""
      (unitOf (home tcp));
    "home: nothing unless enabled" = home { } == { };
    "home: without hardening on request" =
      !has "NoNewPrivileges=yes" (unitOf (home { enable = true; hardened = false; }));
    "home: no TCP without a token" = refused (home (tcp // { tokenFile = null; }));
    "home: no token in the store" = refused (home (tcp // { tokenFile = "${builtins.storeDir}/x-token"; }));
    "home: no option by a wrong name" = refused (home { enable = true; lisen = "127.0.0.1:1"; });
    "home: no value of a wrong type" = refused (home { enable = true; maxSessions = 0; });
    "nixos: but for start, PATH and users, the deployed unit" =
      builtins.filter (line: builtins.match "ConditionUser=.*" line == null && line != "") (common twoText)
      == builtins.filter (line: line != "") (common deployed);
    "nixos: for the users that are named" = has "ConditionUser=|ada" twoText && has "ConditionUser=|bob" twoText;
    "nixos: from boot on" = two.users.users.ada.linger && two.users.users.bob.linger;
    "nixos: somebody must be named" = refused (nixos { enable = true; users = [ ]; });
  };
  failed = builtins.filter (name: !results.${name}) (builtins.attrNames results);
in
{
  inherit failed plain twoText;
  passed = builtins.length (builtins.attrNames results) - builtins.length failed;
}
