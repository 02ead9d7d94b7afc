# What is built: the programs, the agent that is sent to hosts, and the image.
{ pkgs, revision }:
let
  program = pkgs.callPackage ./program.nix;
in
rec {
  # Runs where there is Nix; finds tmux, git and ssh by itself.
  cm-agent = program { pname = "cm-agent"; };

  # Runs on any Linux of its architecture, with or without Nix: what `cm-fleet deploy` sends.
  cm-agent-static = program { pname = "cm-agent"; static = true; };

  cm-fleet = program { pname = "cm-fleet"; agent = cm-agent-static; };

  image = pkgs.callPackage ./image.nix { inherit cm-agent-static revision; };
}
