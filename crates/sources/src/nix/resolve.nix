called: flake: systems: names: with builtins; let
  down = set: steps:
    if steps == [ ] then set else if isAttrs set then down (set.${head steps} or null) (tail steps) else null;
  at = kind: system: name: down (flake.${kind}.${system} or null) (filter isString (split "\\." name));
  about = system: name: let
    own = at "packages" system name;
    it = if own == null then at "legacyPackages" system name else own;
    meta = it.meta or { };
    path = output: { name = output; value = it.${output}.outPath; };
    paths = tryEval (let all = listToAttrs (map path (it.outputs or [ "out" ])); in seq it.outPath (deepSeq all all));
  in if it == null then { refused = "missing"; }
    else if it.type or null != "derivation" then { refused = "other"; }
    else if !paths.success then { refused = if meta.unfree or false then "unfree" else "failed"; }
    else {
      outputs = paths.value;
      default = if it.outputSpecified or false then [ it.outputName ] else meta.outputsToInstall or [ "out" ];
    };
  each = list: value: listToAttrs (map (name: { inherit name; value = value name; }) list);
in {
  ${called} = { revision = flake.rev or null; systems = each systems (system: each names (about system)); };
}
