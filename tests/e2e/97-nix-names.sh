# Packages of Nix by their names: as the Nix of this machine says, and by a file with its answer where there is none.
if have nix; then
  n=$work/nix-names; mkdir -m 755 "$n" "$n/w"
  cp -r "$root/crates/testkit/data/nix/flake" "$n/w/tools"; cp -r "$root/crates/testkit/data/nix/cache-xz" "$n/cache"
  key=$(cat "$root/crates/testkit/data/nix/keys/public")
  manifest() { # ROOTS REST
    cat >"$n/w/pinfold.toml" <<TOML
name = "named"
platforms = ["linux/amd64"]
[nix]
roots = [$1]
$2
caches = [{ url = "$n/cache", keys = ["$key"] }]
TOML
    own "$n/w"
  }
  chmod -R go+rX "$n"
  with_nix() { as_user "$n/w" env NIX_REMOTE="local?root=$n/store" NIX_CONF_DIR=/nonexistent "$work/pinfold" "$@"; }
  agree() { with_nix policy accept --digest "$(sed -n 's/.*--digest \(sha256:[0-9a-f]*\).*/\1/p' "$work/said" | head -n 1)"; }
  mkdir "$n/store"; own "$n/store"
  manifest '"./tools#hello", { package = "./tools#both", name = "m" }' ''
  refuse 'a flake of the project needs the word of its user' 5 with_nix build
  check 'pinfold policy accept' agree
  check 'pinfold build: names, as Nix says' with_nix build
  says 'a package by its name, in a sandbox' 'hello from the nix store' with_nix run --quiet --image named -- hello
  index() { with_nix images --json | json /dev/stdin 'next(i["digest"] for i in d if i["repository"] == "named")'; }
  first=$(index)
  # The command of docs/nix.md, with the fixture's flake for nixpkgs.
  sed -n "/^    nix --extra-experimental-features/,/> nix.json\$/s/^    //p" "$root/docs/nix.md" |
    sed "s|builtins.getFlake \"nixpkgs\"|builtins.getFlake \"path:$n/w/tools\"|; s|) \"nixpkgs\" (|) \"tools\" (|; s|\"ripgrep\"|\"both\"|" >"$n/w/ask.sh"
  check 'the documented command makes a file' as_user "$n/w" env NIX_REMOTE="local?root=$n/store" NIX_CONF_DIR=/nonexistent bash "$n/w/ask.sh"
  manifest '"tools#hello", { package = "tools#both", name = "m" }' 'resolution = "nix.json"'
  mkdir "$n/bin"; without_nix() { as_user "$n/w" env PATH="$n/bin" "$work/pinfold" "$@"; }
  check 'pinfold build: names, as a file says, without Nix' without_nix build --force
  same 'it is the same image' "$first" index
  chmod -R u+w "$n"; rm -rf "$n"
else skip 'names of packages of Nix' 'it needs the package nix-bin'; fi
