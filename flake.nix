# pinfold for people who have Nix: the program, and images made of what Nix has built. docs/nix.md, "In a flake".
{
  description = "Pinned, reproducible images of coding agents, and sandboxes that run them";

  inputs.nixpkgs.url = "nixpkgs";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      each = make: builtins.listToAttrs (map (system: {
        name = system;
        value = make nixpkgs.legacyPackages.${system};
      }) systems);
    in {
      packages = each (pkgs: rec {
        pinfold = import ./nix/package.nix { inherit pkgs; };
        default = pinfold;
      });

      # Arguments: nix/image.nix.
      lib.mkImage = import ./nix/image.nix {
        pinfoldFor = system: self.packages.${system}.pinfold;
        profiles = ./crates/engine/profiles;
      };
    };
}
