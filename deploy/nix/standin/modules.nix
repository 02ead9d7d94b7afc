# Enough of nixpkgs' module system to evaluate one of our modules with a user's settings.
lib:
let
  inherit (builtins) attrNames concatStringsSep filter mapAttrs;
in
{
  mkOption = option: { _option = true; } // option;
  mkEnableOption = what: lib.mkOption {
    type = lib.types.bool;
    default = false;
    description = "Whether to enable ${what}.";
  };
  mkIf = condition: content: if condition then content else { };
  literalExpression = text: text;

  # The configuration that a module makes of settings for `services.cm-agent`; throws what the real one would:
  # names that are no options, values of another type, options without a value, assertions.
  evaluate = { module, pkgs, settings }:
    let
      made = module { inherit lib pkgs; config.services.cm-agent = values; };
      options = made.options.services.cm-agent;
      unknown = filter (name: !(options ? ${name})) (attrNames settings);
      value = name: option:
        let
          given = settings.${name} or option.default or (throw "services.cm-agent.${name} has no value");
        in
        if !(option ? description) then throw "services.cm-agent.${name} is not described"
        else if option.type.check given then given
        else throw "services.cm-agent.${name} is not ${option.type.name}";
      values = mapAttrs value options;
      failed = filter (one: !one.assertion) (made.config.assertions or [ ]);
    in
    if unknown != [ ] then throw "no option services.cm-agent.${concatStringsSep ", " unknown}"
    else if failed != [ ] then throw (concatStringsSep "\n" (map (one: one.message) failed))
    else made.config;
}
