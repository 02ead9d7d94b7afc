# What a deployment puts into the unit, for the check that both ways make the same of it.
let
  inherit (import ./words.nix) quoted command;
  dir = "/home/ada/.local/share/cm-agent";
in
{
  header = [
    "Written by `cm-agent install`; the next deployment writes it anew. Changes of your own belong into"
    "a drop-in: systemctl --user edit cm-agent"
  ];
  before = [
    "ExecStartPre=-${command "${dir}/installer" [ "install" "revert" "--if-overdue" "--dir" (quoted dir) ]}"
  ];
  start = command "${dir}/current/cm-agent" [
    "serve"
    "--placement"
    "systemd"
    "--config"
    (quoted "${dir}/current/agent.json")
    "--token-file"
    (quoted "${dir}/token")
  ];
}
