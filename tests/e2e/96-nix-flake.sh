# Images as derivations: the flake of this repository, evaluated and built by Nix in its sandbox, without a network. A flake of a few packages
# stands for nixpkgs; its Rust builder gives the program that is tested.
if have nix && [ "$(uname -m)" = x86_64 ] && { [ "$(id -u)" = 0 ] || unshare -Ur true 2>/dev/null; }; then
  f=$work/flake; mkdir -m 755 "$f" "$f/repo" "$f/nixpkgs" "$f/user" "$f/conf" "$f/home" "$f/w"
  cp -r "$root/flake.nix" "$root/nix" "$root/Cargo.toml" "$root/Cargo.lock" "$f/repo/"
  install -m 755 "$work/pinfold" "$f/nixpkgs/pinfold"
  bind=; for d in /bin /usr /lib /lib64; do [ -e "$d" ] && bind="$bind $d=$d"; done
  key='fixture-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo='
  printf '%s' 'fixture-1:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==' >"$f/secret"
  cat >"$f/conf/nix.conf" <<CONF
experimental-features = nix-command flakes
build-users-group =
substituters = file://$f/cache
trusted-public-keys = $key
sandbox = true
sandbox-fallback = false
sandbox-paths =$bind
flake-registry =
CONF
  cat >"$f/nixpkgs/flake.nix" <<'NIX'
{
  outputs = { self }: {
    legacyPackages.x86_64-linux = let
      make = name: extra: text: derivation ({
        inherit name;
        system = "x86_64-linux";
        builder = "/bin/sh";
        args = [ "-euc" "export PATH=/usr/bin:/bin LC_ALL=C; umask 022\n${text}" ];
      } // extra);
    in rec {
      stdenv.hostPlatform.system = "x86_64-linux";
      bash = make "bash-5" { } "mkdir -p $out/bin; ln -s /bin/bash $out/bin/bash";
      coreutils = make "coreutils-9" { } "mkdir -p $out/bin; ln -s /bin/mkdir $out/bin/mkdir";
      rustPlatform.buildRustPackage = { pname, version, src, ... }:
        make "${pname}-${version}" { inherit src; program = ./pinfold; }
          "test -e $src/Cargo.lock; mkdir -p $out/bin; cp $program $out/bin/pinfold; chmod 755 $out/bin/pinfold";
      lib = make "tiny-lib-1.0" { } "mkdir -p $out/lib; echo \"prefix=$out\" >$out/lib/conf";
      # A static program, as in tests/nix/make-nix-cache.sh.
      tool = make "tiny-tool-1.0" { inherit lib; } ''
        mkdir -p $out/bin $out/share
        echo f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAAAAAAAAAAEAAAAFAAAAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAAsgAAAAAAAACyAAAAAAAAAAAQAAAAAAAAuAEAAAC/AQAAAEiNNRAAAAC6GQAAAA8FuDwAAAAx/w8FaGVsbG8gZnJvbSB0aGUgbml4IHN0b3JlCg== | base64 -d >$out/bin/tool
        chmod 755 $out/bin/tool
        echo $lib >$out/share/lib
      '';
      # Content-addressed, one with a reference.
      source = builtins.toFile "source" "source\n";
      note = builtins.toFile "note" "see ${source}\n";
      start = make "start" { inherit tool; } "printf '#!%s/bin/tool\n' $tool >$out; chmod 755 $out";
    };
  };
}
NIX
  cat >"$f/user/flake.nix" <<'NIX'
{
  inputs = { nixpkgs.url = "nixpkgs"; pinfold.url = "pinfold"; };
  outputs = { self, nixpkgs, pinfold }: let
    pkgs = nixpkgs.legacyPackages.x86_64-linux;
    image = extra: pinfold.lib.mkImage ({
      inherit pkgs;
      name = "flaked";
      profile = { packages = [ pkgs.tool pkgs.note ]; env.TOOL = "${pkgs.tool}/bin/tool"; };
      entrypoint = pkgs.start;
      settings.user = { name = "u"; uid = 1000; gid = 1000; home = "/home/u"; };
    } // extra);
  in {
    packages.x86_64-linux = {
      image = image { };
      other = image { packages = [ pkgs.lib ]; };
      directory = image { format = "oci"; };
    };
  };
}
NIX
  own "$f"
  store="local?root=$f/store"
  # Flakes name paths by their content: what is built is the same wherever this lies.
  in_nix() { as_user "$f" env NIX_CONF_DIR="$f/conf" NIX_USER_CONF_FILES=/dev/null NIX_REMOTE= HOME="$f/home" "$@"; }
  flake() { # VERB ATTRIBUTE ARGS…
    local verb=$1 attribute=$2; shift 2
    in_nix nix "$verb" --store "$store" --no-write-lock-file --offline --override-input nixpkgs "path:$f/nixpkgs" \
      --override-input pinfold "path:$f/repo" --override-input pinfold/nixpkgs "path:$f/nixpkgs" "$@" "path:$f/user#$attribute"
  }
  built() { printf '%s/store%s\n' "$f" "$(flake eval "$1.outPath" --raw 2>/dev/null)"; }
  index() { json "$1" 'd["manifests"][0]["digest"]'; }
  check 'nix build: an image as a derivation, in the sandbox of Nix' flake build image --no-link -L
  check 'nix build: it is the same again' flake build image --no-link --rebuild
  check 'nix build: as a directory' flake build directory --no-link -L
  check 'nix build: with a package more' flake build other --no-link -L
  digest=$(index "$(built directory)/index.json")
  in_archive() { tar xOf "$1" index.json >"$f/index.json" && index "$f/index.json"; }
  same 'archive and directory are one image' "$digest" in_archive "$(built image)"
  differs() { [ "$(in_archive "$(built other)")" != "$digest" ]; }
  check 'another image is another' differs
  # The same by a cache, outside of Nix.
  flake eval image.manifest --raw >"$f/w/pinfold.toml" 2>/dev/null; own "$f/w"
  closure() { in_nix sh -c "nix-store --store '$store' -qR \$(grep -o '/nix/store/[a-z0-9]*-[A-Za-z0-9.+_-]*' '$f/w/pinfold.toml' | sort -u)"; }
  check 'nix copy: its paths into a cache' in_nix nix copy --from "$store" --to "file://$f/cache?compression=zstd&secret-key=$f/secret" $(closure)
  by_cache() { as_user "$f/w" env NIX_CONF_DIR="$f/conf" NIX_USER_CONF_FILES=/dev/null "$work/pinfold" "$@"; }
  check 'pinfold build: from the cache' by_cache build --output "oci:$f/w/out"
  same 'it is the image that Nix built' "$digest" index "$f/w/out/index.json"
  check 'pinfold verify' by_cache verify --static "oci:$f/w/out"
  says 'nix run .#pinfold' 'pinfold 0' in_nix nix run --store "$store" --no-write-lock-file --offline --override-input nixpkgs "path:$f/nixpkgs" "path:$f/repo#pinfold" -- --version
  chmod -R u+w "$f"; rm -rf "$f"
else skip 'images as derivations of Nix' 'it needs the package nix-bin, x86-64, and root or user namespaces'; fi
