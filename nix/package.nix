# The program, built from this repository.
{ pkgs }:
pkgs.rustPlatform.buildRustPackage {
  pname = "pinfold";
  version = (builtins.fromTOML (builtins.readFile ../Cargo.toml)).workspace.package.version;
  src = ../.;
  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [ "--package" "pinfold" ];
  # They start sandboxes and ask servers of their own, which a build of Nix may not.
  doCheck = false;
  meta.mainProgram = "pinfold";
}
