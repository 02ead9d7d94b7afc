# The agent's unit, made from the template as `cm-agent install` makes it (crates/cm-agent/src/install/unit.rs).
{
  # The first lines, without their marks.
  header
  # What is started, as systemd reads it (words.nix).
, start
  # Lines before that.
, before ? [ ]
  # Directories before the template's own in PATH.
, path ? [ ]
, hardened ? true
  # More lines of the first section.
, conditions ? [ ]
}:
let
  inherit (builtins) concatMap concatStringsSep elemAt filter foldl' genList isString length match readFile split;

  linesOf = file: filter isString (split "\n" (readFile file));
  startsWith = word: line: match "${word}.*" line != null;

  template = filter (line: !(startsWith "#" line)) (linesOf ../systemd/cm-agent.service);
  hardening = filter (startsWith "[A-Za-z]+=") (linesOf ../systemd/hardening.conf);

  # A line of the template, as it is here.
  own = line:
    if startsWith "ExecStart=" line then before ++ [ "ExecStart=${start}" ]
    else if startsWith "Environment=PATH=" line then
      [ "Environment=PATH=${concatStringsSep ":" (path ++ [ (builtins.substring 17 (-1) line) ])}" ]
    else if line == "[Unit]" then [ line ] ++ conditions
    else [ line ];

  # Where the template's comments stood, blank lines follow each other: one stays.
  body = (foldl'
    (done: line: {
      lines = if line == "" && done.blank then done.lines else done.lines ++ [ line ];
      blank = line == "";
    })
    { lines = [ ]; blank = true; }
    (concatMap own template)).lines;

  # [Install] comes last; the hardening ends the section before it.
  parts = foldl'
    (done: line:
      if line == "[Install]" || done.install != [ ] then done // { install = done.install ++ [ line ]; }
      else done // { rest = done.rest ++ [ line ]; })
    { rest = [ ]; install = [ ]; }
    body;

  trimmed = lines:
    let last = length lines - 1; in
    if lines == [ ] || elemAt lines last != "" then lines else trimmed (genList (elemAt lines) last);
in
concatStringsSep "\n"
  (map (line: "# ${line}") header
  ++ [ "" ]
  ++ trimmed parts.rest
  ++ (if hardened then hardening else [ ])
  ++ [ "" ]
  ++ trimmed parts.install)
  + "\n"
