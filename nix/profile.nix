# Profiles, as `[nix] profile` of a manifest has them (docs/nix.md, "Profiles"), with packages of a given set: the names in a file of the
# repository, or in one of yours, are looked up there. `{ packages; env; mounts; }` in Nix is one too, and may extend another.
{ profiles }:
let
  inherit (builtins)
    attrNames concatStringsSep dirOf elem elemAt filter foldl' fromTOML genList head isAttrs isString length match pathExists readFile split
    tail typeOf;

  most = 8;
  known = [ "base" "python" "rust" ];
  refuse = message: throw "mkImage: ${message}";

  # The paths that `nixpkgs#NAME^OUTPUTS` means, as `nix profile` would take them.
  found = pkgs: text:
    let
      parts = match "([^#]*)#([^^]*)(\\^(.*))?" text;
      flake = elemAt parts 0;
      name = elemAt parts 1;
      outputs = elemAt parts 3;
      steps = filter isString (split "\\." name);
      down = set: steps: if steps == [ ] then set else if isAttrs set && set ? ${head steps} then down set.${head steps} (tail steps) else null;
      package = down pkgs steps;
      usual = if package.outputSpecified or false then [ package.outputName ] else package.meta.outputsToInstall or [ "out" ];
      wanted =
        if outputs == null then usual
        else if outputs == "*" then package.outputs or [ "out" ]
        else filter isString (split "," outputs);
      path = output:
        if package ? ${output} then { name = output; value = "${package.${output}}"; }
        else refuse "`${text}` has no output `${output}`";
    in
    if parts == null then refuse "`${text}` is no name of a package, as `nixpkgs#NAME`; packages of yours are in `packages`"
    else if match "nixpkgs(/.*)?" flake == null then refuse "`${text}` is of another flake than `nixpkgs`, which `pkgs` is; put its package into `packages`"
    else if package == null then refuse "`pkgs` has no `${name}`"
    else map path wanted;

  # A root of a profile as `{ path; name; }`, for each of its outputs.
  roots = pkgs: root:
    let
      table = if isString root then { package = root; } else root;
      outputs = found pkgs table.package;
      named = index: output: {
        path = output.value;
        name = if !(table ? name) then null else if index == 0 then table.name else "${table.name}-${output.name}";
      };
    in
    if !(table ? package) then refuse "a store path in a profile is for `pinfold build`: here it is a package in `packages`"
    else genList (index: named index (elemAt outputs index)) (length outputs);

  # One profile with all that it extends: its own first.
  load = pkgs: seen: from: value:
    let
      isFile = typeOf value == "path" || (isString value && match "(\\.|/).*" value != null);
      file =
        if typeOf value == "path" then value
        else if !isFile then profiles + "/${value}.toml"
        else if from == null then refuse "`${value}` is a text: a file is named by a path, without quotes"
        else from + "/${value}";
      typed = if isAttrs value then { roots = [ ]; } // value else fromTOML (readFile file);
      other = filter (key: !elem key [ "extends" "roots" "packages" "env" "mounts" ]) (attrNames typed);
      under =
        if typed ? extends then load pkgs (seen ++ [ value ]) (if isAttrs value || !isFile then null else dirOf file) typed.extends
        else { roots = [ ]; env = { }; mounts = [ ]; };
      own = map (package: { path = "${package}"; name = null; }) (typed.packages or [ ])
        ++ builtins.concatLists (map (roots pkgs) (typed.roots or [ ]));
    in
    if length seen == most then refuse "profiles extend each other in a circle, or more than ${toString most} others"
    else if isString value && !isFile && !elem value known then
      refuse "there is no profile `${value}`: there are ${concatStringsSep ", " known}, and files (`profile = ./mine.toml`)"
    else if !isAttrs value && !pathExists file then refuse "there is no profile at `${toString file}`"
    else if other != [ ] then refuse "a profile has no `${head other}`"
    else {
      roots = own ++ filter (root: !elem root own) under.roots;
      env = under.env // typed.env or { };
      mounts = typed.mounts or [ ] ++ under.mounts;
    };
in
pkgs: load pkgs [ ] null
