# The Debian part against mmdebstrap, which runs every script: the same packages, and the same tree path by path, but for the
# differences that crates/sources/tests/mmdebstrap-differences.txt lists with reasons. Sets S1 and S3 of the documentation.
S1="tini tmux bash git curl jq ca-certificates"
S3="$S1 ripgrep fd-find python3 python3-pip python3-venv build-essential openssh-client less procps iproute2 iptables sudo bubblewrap socat locales-all zsh vim-tiny"
sources_list() {
  apt-get indextargets --format '$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)' |
    awk '$1 == "Packages" && $3 ~ /^bookworm/ && $4 == "main" {print "deb " $2 " " $3 " " $4}' | sort -u
}
locked_debs() { # LOCK DIR: links the .debs of the store under their names
  mkdir -p "$2"
  python3 - "$1" "$work/home/pinfold/cache/blobs/sha256" "$2" <<'P'
import os, re, sys
lock, store, out = sys.argv[1:]
text = open(lock).read()
for name, version, arch, digest in re.findall(r'\{ name = "([^"]+)", version = "([^"]+)", arch = "([^"]+)", source = "[^"]+", sha256 = "sha256:([0-9a-f]+)"', text):
    link = os.path.join(out, f"{name}_{version.replace(':', '%3a')}_{arch}.deb")
    if not os.path.lexists(link): os.symlink(os.path.join(store, digest), link)
    print(f"{name}={version}")
P
}
if have mmdebstrap && [ "$(id -u)" = 0 ]; then
  compare=$(ls -t "$target"/*/release/examples/compare-tree "$target"/release/examples/compare-tree 2>/dev/null | head -n 1)
  [ -n "$compare" ] || { (cd "$root" && cargo build --quiet --release -p pinfold-sources --example compare-tree) &&
    compare=$(ls -t "$target"/*/release/examples/compare-tree | head -n 1); }
  for set in S1 S3; do
    packages=${!set}
    mkdir -p "$work/$set"; own "$work/$set"
    printf 'name = "%s"\nplatforms = ["linux/amd64"]\n[debian]\nsuite = "bookworm"\nbase = "minbase"\nslim = false\npackages = [%s]\n' \
      "${set,,}" "$(printf '"%s", ' $packages)" >"$work/$set/pinfold.toml"
    check "$set locks" as_user "$work/$set" "$work/pinfold" lock
    locked_debs "$work/$set/pinfold.lock" "$work/$set/debs" | sort >"$work/$set/locked"
    sources_list >"$work/$set/sources"
    export SOURCE_DATE_EPOCH=$(sed -n 's/^epoch = //p' "$work/$set/pinfold.lock")
    check "$set by mmdebstrap" mmdebstrap --quiet --mode=root --variant=minbase --aptopt='APT::Install-Recommends "false"' \
      --include="usr-is-merged,$(echo $packages | tr ' ' ',')" --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
      bookworm "$work/$set/reference.tar" "$work/$set/sources"
    tar xOf "$work/$set/reference.tar" ./var/lib/dpkg/status | awk '/^Package: /{p=$2} /^Version: /{print p "=" $2}' | sort >"$work/$set/installed"
    check "$set has apt's packages ($(wc -l <"$work/$set/locked"))" diff "$work/$set/locked" "$work/$set/installed"
    check "$set is mmdebstrap's tree, path by path" "$compare" "$work/$set/reference.tar" "$work/$set/debs"
    rm -rf "$work/$set"
  done
  unset SOURCE_DATE_EPOCH
else skip mmdebstrap 'it needs root here, and the package mmdebstrap'; fi
