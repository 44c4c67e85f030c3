# An image as a derivation: pinfold runs in the sandbox of Nix, without a network, and takes the store paths that Nix has put there.
# The image has the digest that `pinfold build` gives with the same manifest (`IMAGE.manifest`) and a cache that has the paths.
{ pinfoldFor, profiles }:
{
  # The package set of the system that the image is for; or one for each system, `{ x86_64-linux = …; aarch64-linux = …; }`, for one index.
  # With several, what is said of packages below are functions of a set: `packages = pkgs: [ pkgs.git ]`.
  pkgs,
  name ? "image",
  # What is in the image, with its environment and mounts: "base", "rust" or "python", the path of a file as `[nix] profile` names it, or
  # { packages = [ … ]; env = { NAME = "value"; }; mounts = [ … ]; extends = "base"; }
  profile ? { },
  # Further packages. Where two have a command of one name, the first has it; those of the profile come last.
  packages ? [ ],
  # A package of Claude Code, if it is to be there as an agent.
  claudeCode ? null,
  # A program to start with: a package that is one file, or a list of words.
  entrypoint ? null,
  env ? { },
  # Whatever else a manifest has, as in pinfold.toml: { user = { name = "agent"; uid = 1000; … }; image.workdir = "/work"; }
  settings ? { },
  # `oci-archive`, `docker-archive` or `oci` (a directory).
  format ? "oci-archive",
  # The system that makes it; the first that the image is for unless said.
  system ? null,
  pinfold ? null,
}:
let
  inherit (builtins)
    attrNames concatStringsSep elem elemAt filter foldl' genList head isAttrs isFunction isList length listToAttrs map toJSON;

  platforms = {
    x86_64-linux = "linux/amd64";
    aarch64-linux = "linux/arm64";
  };
  refuse = message: throw "mkImage: ${message}";

  sets = if pkgs ? stdenv then { ${pkgs.stdenv.hostPlatform.system} = pkgs; } else pkgs;
  unknown = filter (system: !(platforms ? ${system})) (attrNames sets);
  systems =
    if unknown != [ ] then refuse "`pkgs` has `${head unknown}`: images are for ${concatStringsSep " and " (attrNames platforms)}"
    else if attrNames sets == [ ] then refuse "`pkgs` has no package set"
    else filter (system: sets ? ${system}) [ "x86_64-linux" "aarch64-linux" ];
  maker = if system == null then head systems else system;
  tools = sets.${maker};

  load = import ./profile.nix { inherit profiles; };
  plain = path: { inherit path; name = null; };
  unnamed = package: plain "${package}";

  # What a system has.
  of = system:
    let
      set = sets.${system};
      call = value: if isFunction value then value set else value;
      profile' = load set (call profile);
      start = call entrypoint;
      agent = call claudeCode;
      starts = if start == null || isList start then [ ] else [ ((unnamed start) // (if several then { name = "entrypoint"; } else { })) ];
    in {
      roots = map unnamed (call packages) ++ starts ++ profile'.roots;
      agent = if agent == null then null else "${agent}";
      env = profile'.env // call env;
      inherit (profile') mounts;
      # The link of the garbage collector's root has one name on all systems.
      entrypoint =
        if start == null then null
        else if isList start then map (word: "${word}") start
        else if several then [ "/nix/var/nix/gcroots/image/entrypoint" ]
        else [ "${start}" ];
    };
  several = length systems > 1;
  each = map of systems;
  same = what: values:
    if builtins.all (value: value == head values) values then head values
    else refuse "${what} is another on each system, and an image has one: name a place that is the same, such as /nix/profile/bin";

  # Roots of all systems side by side, each once.
  paired = lists:
    let
      row = index: map (list: elemAt list index) lists;
      rows = genList row (length (head lists));
    in
    if builtins.all (list: length list == length (head lists)) lists then foldl' (seen: row: if elem row seen then seen else seen ++ [ row ]) [ ] rows
    else refuse "one system has more packages than another";
  spelt = row:
    let
      called = (head row).name;
      by = listToAttrs (genList (index: { name = platforms.${elemAt systems index}; value = (elemAt row index).path; }) (length row));
      named = if called == null then { } else { name = called; };
    in
    if several then by // named
    else if called == null then (head row).path
    else { inherit (head row) path; } // named;
  agentOf = map (one: one.agent) each;
  agents =
    if builtins.all (agent: agent == null) agentOf then { }
    else { agents = [ { name = "claude-code"; nix = spelt (map plain agentOf); } ]; };

  merged = under: over:
    if isAttrs under && isAttrs over
    then under // builtins.mapAttrs (key: value: if under ? ${key} then merged under.${key} value else value) over
    else over;

  mounts = same "a mount" (map (one: one.mounts) each);
  start = same "the entry point" (map (one: one.entrypoint) each);
  own = agents // {
    inherit name;
    platforms = map (system: platforms.${system}) systems;
    nix.roots = map spelt (paired (map (one: one.roots) each));
    image = {
      env = same "a variable" (map (one: one.env) each);
    } // (if start == null then { } else { entrypoint = start; });
  } // (if mounts == [ ] then { } else { run.mounts = mounts; });

  # Strings of JSON are strings of TOML.
  toml = value:
    if isAttrs value && !(value ? outPath)
    then "{ ${concatStringsSep ", " (map (key: "${toJSON key} = ${toml value.${key}}") (attrNames value))} }"
    else if isList value then "[${concatStringsSep ", " (map toml value)}]"
    else if isAttrs value then toJSON "${value}"
    else toJSON value;
  document = merged own settings;
  manifest = concatStringsSep "" (map (key: "${toJSON key} = ${toml document.${key}}\n") (attrNames document));

  needed = builtins.concatMap (one: map (root: root.path) one.roots ++ (if one.agent == null then [ ] else [ one.agent ])) each;
  program = if pinfold == null then pinfoldFor maker else pinfold;
in
derivation {
  name = "${name}.${if format == "oci" then "oci" else "tar"}";
  inherit manifest format;
  system = maker;
  # Nix lists what the roots need, with the hash of each, for the build alone.
  __structuredAttrs = true;
  exportReferencesGraph.closure = foldl' (seen: path: if elem path seen then seen else seen ++ [ path ]) [ ] needed;
  builder = "${tools.bash}/bin/bash";
  args = [
    "-euo" "pipefail" "-c"
    ''
      cd "$NIX_BUILD_TOP"
      . ./.attrs.sh
      ${tools.coreutils}/bin/mkdir project
      cd project
      printf '%s' "$manifest" >pinfold.toml
      export PINFOLD_HOME=$NIX_BUILD_TOP/home
      export NIX_CONFIG="substituters = local?list=$NIX_BUILD_TOP/.attrs.json"
      ${program}/bin/pinfold build --offline --output "$format:''${outputs[out]}"
    ''
  ];
} // {
  inherit manifest;
}
