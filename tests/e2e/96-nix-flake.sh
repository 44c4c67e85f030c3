# Images as derivations: the flake of this repository, evaluated and built by Nix in its sandbox, without a network. A flake of a few packages
# stands for nixpkgs; its Rust builder gives the program that is tested.
if have nix && [ "$(uname -m)" = x86_64 ] && { [ "$(id -u)" = 0 ] || unshare -Ur true 2>/dev/null; }; then
  f=$work/flake; mkdir -m 755 "$f" "$f/repo" "$f/nixpkgs" "$f/user" "$f/conf" "$f/home" "$f/w"
  cp -r "$root/flake.nix" "$root/nix" "$root/Cargo.toml" "$root/Cargo.lock" "$f/repo/"
  mkdir -p -m 755 "$f/repo/crates/engine"; cp -r "$root/crates/engine/profiles" "$f/repo/crates/engine/"
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
extra-platforms = aarch64-linux
CONF
  cat >"$f/nixpkgs/flake.nix" <<'NIX'
{
  outputs = { self }: {
    legacyPackages = let of = system: let
      make = name: extra: text: derivation ({
        inherit name system;
        builder = "/bin/sh";
        args = [ "-euc" "export PATH=/usr/bin:/bin LC_ALL=C; umask 022\n${text}" ];
      } // extra);
      # What the profiles of the repository name: each a file with its own name in `bin`.
      names = [
        "bashInteractive" "cacert" "curl" "diffutils" "fd" "file" "findutils" "gawk" "gh" "git" "gnugrep" "gnused" "gnutar" "gzip" "iproute2"
        "iputils" "jq" "less" "lsof" "man" "netcat" "nix" "openssh" "patch" "prek" "procps" "ripgrep" "rsync" "shellcheck" "tini" "tmux" "tree"
        "treefmt" "unzip" "util-linux" "vim" "which" "xz" "yq" "zip" "cargo" "clippy" "gcc" "pkg-config" "rust-analyzer" "rustc" "rustfmt" "sccache"
        "go"
      ];
      named = name: { inherit name; value = make "${name}-1.0" { } "mkdir -p $out/bin; echo ${name} >$out/bin/${name}"; };
    in builtins.listToAttrs (map named names) // rec {
      stdenv.hostPlatform = { inherit system; };
      openssl = make "openssl-3.0" { outputs = [ "out" "dev" "man" ]; } "mkdir -p $out/lib $dev/lib/pkgconfig $man; echo $dev >$man/dev";
      # The tool stands for the agent, with the agent's name.
      claude-code = make "claude-code-2.0.1" { inherit tool; } "mkdir -p $out/bin; ln -s $tool/bin/tool $out/bin/claude";
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
        ${if system == "aarch64-linux" then "printf '\\267' | dd of=$out/bin/tool bs=1 seek=18 conv=notrunc" else ""}
        chmod 755 $out/bin/tool
        echo $lib >$out/share/lib
      '';
      # Content-addressed, one with a reference.
      source = builtins.toFile "source" "source\n";
      note = builtins.toFile "note" "see ${source}\n";
      start = make "start" { inherit tool; } "printf '#!%s/bin/tool\n' $tool >$out; chmod 755 $out";
    }; in { x86_64-linux = of "x86_64-linux"; aarch64-linux = of "aarch64-linux"; };
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
      # Profiles by name and by file, with an agent of Nix; and one index for both systems.
      rust = image { profile = "rust"; claudeCode = pkgs.claude-code; };
      mine = image { profile = ./mine.toml; };
      wrong = image { profile = "ruts"; };
      missing = image { profile = ./missing.toml; };
      both = pinfold.lib.mkImage {
        pkgs = { inherit (nixpkgs.legacyPackages) x86_64-linux aarch64-linux; };
        name = "flaked";
        profile = "base";
        packages = pkgs: [ pkgs.tool ];
        claudeCode = pkgs: pkgs.claude-code;
        entrypoint = pkgs: pkgs.start;
        settings.user = { name = "u"; uid = 1000; gid = 1000; home = "/home/u"; };
        format = "oci";
      };
    };
  };
}
NIX
  printf '%s\n' 'extends = "rust"' 'roots = ["nixpkgs#go", { package = "nixpkgs#tool", name = "t" }]' 'mounts = ["/nowhere:/work"]' '[env]' 'GOFLAGS = "-trimpath"' >"$f/user/mine.toml"
  printf '%s\n' 'roots = ["nixpkgs#nothing"]' >"$f/user/missing.toml"
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
  failing() { ! "$@"; }
  index_of() { # of the directory ATTRIBUTE: the file of its index
    local at; at=$(built "$1"); echo "$at/blobs/$(index "$at/index.json" | tr : /)"
  }
  differs() { [ "$(in_archive "$(built other)")" != "$digest" ]; }
  check 'another image is another' differs
  # Profiles by name and by file, an agent of Nix, one index for both systems.
  says 'a profile that there is not' 'there is no profile `ruts`' failing flake eval wrong.manifest
  says 'a name that the packages do not have' '`pkgs` has no `nothing`' failing flake eval missing.manifest
  for one in rust mine both; do check "nix build: $one" flake build "$one" --no-link -L; done
  # What of a profile is in a manifest, by name, in its order: as the files of the repository say.
  taken() { # FILE PROFILE...
    python3 - "$@" <<'PY'
import re, sys, tomllib
roots = re.findall(r'/nix/store/[a-z0-9]{32}-([^"]*)', open(sys.argv[1]).read().split('"roots"')[1].split(']')[0])
names = [re.sub(r'-1\.0$', '', name) for name in roots]
wanted = []
for profile in sys.argv[2:]:
    for root in tomllib.load(open(profile, 'rb'))['roots']:
        root = root if isinstance(root, str) else root['package']
        name = root.split('#')[1]
        wanted += {'openssl^out,dev': ['openssl-3.0', 'openssl-3.0-dev'], 'tool': ['tiny-tool']}.get(name, [name.split('^')[0]])
wanted = [name for name in wanted if name != 'coreutils']
names = [name for name in names if name != 'coreutils-9']
print('all of them' if names[-len(wanted):] == wanted else (names, wanted))
PY
  }
  manifest_of() { flake eval "$1.manifest" --raw >"$f/$1.toml" 2>/dev/null; }
  profiles=$root/crates/engine/profiles
  manifest_of rust; same 'packages of the profile rust, and of what it extends' 'all of them' taken "$f/rust.toml" "$profiles/rust.toml" "$profiles/base.toml"
  manifest_of mine; same 'packages of a profile in a file' 'all of them' taken "$f/mine.toml" "$f/user/mine.toml" "$profiles/rust.toml" "$profiles/base.toml"
  says 'its environment' '"GOFLAGS" = "-trimpath"' cat "$f/mine.toml"
  says 'its mounts' '"mounts" = ["/nowhere:/work"]' cat "$f/mine.toml"
  same 'one index for both systems' 'amd64 arm64' json "$(index_of both)" '" ".join(m["platform"]["architecture"] for m in d["manifests"])'
  # The same by a cache, outside of Nix.
  by_cache() { as_user "$f/w" env NIX_CONF_DIR="$f/conf" NIX_USER_CONF_FILES=/dev/null "$work/pinfold" "$@"; }
  closure() { in_nix sh -c "nix-store --store '$store' -qR \$(grep -o '/nix/store/[a-z0-9]*-[A-Za-z0-9.+_-]*' '$f/w/pinfold.toml' | sort -u)"; }
  for one in directory both; do
    manifest_of "$one"; rm -rf "$f/w/out" "$f/w/pinfold.lock"; cp "$f/$one.toml" "$f/w/pinfold.toml"; own "$f/w"
    check "nix copy: the paths of $one into a cache" in_nix nix copy --from "$store" --to "file://$f/cache?compression=zstd&secret-key=$f/secret" $(closure)
    check "pinfold build: $one, from the cache" by_cache build --output "oci:$f/w/out"
    same 'it is the image that Nix built' "$(index "$(built "$one")/index.json")" index "$f/w/out/index.json"
  done
  says 'an agent of Nix is one, with its settings' 'claude-code 2.0.1 ' by_cache verify --static --only agents "oci:$f/w/out"
  check 'pinfold verify' by_cache verify --static "oci:$(built directory)"
  says 'nix run .#pinfold' 'pinfold 0' in_nix nix run --store "$store" --no-write-lock-file --offline --override-input nixpkgs "path:$f/nixpkgs" "path:$f/repo#pinfold" -- --version
  chmod -R u+w "$f"; rm -rf "$f"
else skip 'images as derivations of Nix' 'it needs the package nix-bin, x86-64, and root or user namespaces'; fi
