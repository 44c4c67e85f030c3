# The fixture as a flake: what stands for a set of packages in tests, which has none of them built.
{
  outputs = { self }:
    let
      all = import ./fixture.nix;
      # As nixpkgs has it: the path of what may not be used is an error, and its `meta` says why.
      refused = meta: all.hello // { outPath = throw "refusing to evaluate"; inherit meta; };
    in
    {
      packages.x86_64-linux = {
        inherit (all) hello odd lib greet multi file exec link text env;
        both = all.multi // { meta.outputsToInstall = [ "out" "dev" ]; };
      };
      legacyPackages.x86_64-linux = {
        nested.greet = all.greet;
        unfree = refused { unfree = true; };
        broken = refused { broken = true; };
      };
      # Another system's package, which nobody builds.
      packages.aarch64-linux.hello = derivation { name = "tiny-hello-1.0"; system = "aarch64-linux"; builder = "/bin/sh"; };
    };
}
