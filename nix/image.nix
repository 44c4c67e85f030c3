# An image as a derivation: pinfold runs in the sandbox of Nix, without a network, and takes the store paths that Nix has put there.
# The image has the digest that `pinfold build` gives with the same manifest (`IMAGE.manifest`) and a cache that has the paths.
{ pinfoldFor }:
{
  # The package set of the system that the image is for.
  pkgs,
  name ? "image",
  # What is in the image, with its environment: { packages = [ … ]; env = { NAME = "value"; }; }
  profile ? { },
  # Further packages. Where two have a command of one name, the first has it; those of the profile come last.
  packages ? [ ],
  # A package of Claude Code, if it is to be there.
  claudeCode ? null,
  # A program to start with: a package that is one file, or a list of words.
  entrypoint ? null,
  env ? { },
  # Whatever else a manifest has, as in pinfold.toml: { user = { name = "agent"; uid = 1000; … }; image.workdir = "/work"; }
  settings ? { },
  # `oci-archive`, `docker-archive` or `oci` (a directory).
  format ? "oci-archive",
  pinfold ? pinfoldFor pkgs.stdenv.hostPlatform.system,
}:
let
  inherit (builtins) attrNames concatStringsSep elem isAttrs isList isString map toJSON;

  system = pkgs.stdenv.hostPlatform.system;
  platform = {
    x86_64-linux = "linux/amd64";
    aarch64-linux = "linux/arm64";
  }.${system};

  starts = if entrypoint == null || isList entrypoint then [ ] else [ entrypoint ];
  agents = if claudeCode == null then [ ] else [ claudeCode ];
  wanted = map (package: "${package}") (packages ++ agents ++ starts ++ profile.packages or [ ]);
  # Each once, the first time that it is named.
  roots = builtins.foldl' (seen: path: if elem path seen then seen else seen ++ [ path ]) [ ] wanted;

  merged = under: over:
    if isAttrs under && isAttrs over
    then under // builtins.mapAttrs (key: value: if under ? ${key} then merged under.${key} value else value) over
    else over;

  own = {
    inherit name;
    platforms = [ platform ];
    nix.roots = roots;
    image = {
      env = profile.env or { } // env;
    } // (if entrypoint == null then { } else {
      entrypoint = if isList entrypoint then map (word: "${word}") entrypoint else [ "${entrypoint}" ];
    });
  };

  # Strings of JSON are strings of TOML.
  toml = value:
    if isAttrs value && !(value ? outPath)
    then "{ ${concatStringsSep ", " (map (key: "${toJSON key} = ${toml value.${key}}") (attrNames value))} }"
    else if isList value then "[${concatStringsSep ", " (map toml value)}]"
    else if isAttrs value then toJSON "${value}"
    else toJSON value;
  document = merged own settings;
  manifest = concatStringsSep "" (map (key: "${toJSON key} = ${toml document.${key}}\n") (attrNames document));
in
derivation {
  name = "${name}.${if format == "oci" then "oci" else "tar"}";
  inherit system manifest format;
  # Nix lists what the roots need, with the hash of each, for the build alone.
  __structuredAttrs = true;
  exportReferencesGraph.closure = roots;
  builder = "${pkgs.bash}/bin/bash";
  args = [
    "-euo" "pipefail" "-c"
    ''
      cd "$NIX_BUILD_TOP"
      . ./.attrs.sh
      ${pkgs.coreutils}/bin/mkdir project
      cd project
      printf '%s' "$manifest" >pinfold.toml
      export PINFOLD_HOME=$NIX_BUILD_TOP/home
      export NIX_CONFIG="substituters = local?list=$NIX_BUILD_TOP/.attrs.json"
      ${pinfold}/bin/pinfold build --offline --output "$format:''${outputs[out]}"
    ''
  ];
} // {
  inherit manifest;
}
