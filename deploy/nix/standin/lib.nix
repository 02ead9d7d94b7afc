# What we use of nixpkgs' `lib`, meaning the same.
let
  inherit (builtins) all concatStringsSep filter isBool isInt isList isString stringLength substring;
  modules = import ./modules.nix lib;
  lib = {
    genAttrs = names: make: builtins.listToAttrs (map (name: { inherit name; value = make name; }) names);
    hasPrefix = start: text: substring 0 (stringLength start) text == start;
    removePrefix = start: text:
      if lib.hasPrefix start text then substring (stringLength start) (-1) text else text;
    optionals = yes: list: if yes then list else [ ];
    optionalString = yes: text: if yes then text else "";
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    cleanSourceWith = { name, src, filter }: builtins.path { inherit name filter; path = src; };
    makeSearchPath = below: packages: concatStringsSep ":" (map (package: "${package}/${below}") packages);
    makeBinPath = lib.makeSearchPath "bin";
    licenses = { mit.spdxId = "MIT"; asl20.spdxId = "Apache-2.0"; };
    platforms.linux = [ "x86_64-linux" "aarch64-linux" ];

    callPackageWith = scope: file: arguments:
      let
        make = import file;
        wanted = builtins.functionArgs make;
        lacking = filter (name: !wanted.${name} && !(scope ? ${name}) && !(arguments ? ${name})) (builtins.attrNames wanted);
      in
      if lacking != [ ] then throw "the stand-in for nixpkgs has no ${concatStringsSep ", " lacking}"
      else make (builtins.intersectAttrs wanted scope // arguments);

    types =
      let
        type = name: check: { inherit name check; };
      in
      {
        bool = type "a boolean" isBool;
        str = type "a string" isString;
        package = type "a package" (value: value ? outPath);
        ints.positive = type "a positive number" (value: isInt value && value > 0);
        nullOr = of: type "null or ${of.name}" (value: value == null || of.check value);
        listOf = of: type "a list, each ${of.name}" (value: isList value && all of.check value);
      };
  } // modules;
in
lib
