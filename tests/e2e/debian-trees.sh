#!/usr/bin/env bash
# debian-trees.sh SUITE NAME: one of the sets below by pinfold and by mmdebstrap, which runs every script: the same packages, and
# the same tree path by path, but for the differences that crates/sources/tests/mmdebstrap-differences.txt lists with reasons.
# Needs root, mmdebstrap and apt's archive. PINFOLD, COMPARE: the programs; WORK: where to work (some GiB, removed at the end).
set -euo pipefail
suite=$1 name=$2
S1="tini tmux bash git curl jq ca-certificates"
declare -A sets=(
  [S0]="netbase tzdata ca-certificates"
  [S1]="$S1"
  [S2]="libssl3 ca-certificates"
  [S3]="$S1 ripgrep fd-find python3 python3-pip python3-venv build-essential openssh-client less procps iproute2 iptables sudo bubblewrap socat locales-all zsh vim-tiny"
  [solo]="tini bash git ca-certificates ripgrep procps tmux curl" # the preset
  [ssh]="openssh-server man-db" # accounts, ucf, debconf
  [edit]="vim emacs-nox apache2" # alternatives, what a2enmod does
  [java]="default-jdk-headless"
  [database]="postgresql"
  [web]="php-cli nginx"
  [gtk]="gedit xvfb" # schemas, loaders, triggers
  [locales]="locales"
  [node]="nodejs npm"
  [redis]="redis-server"
)
packages=${sets[$name]:?no set of this name}
work=${WORK:?}/$name-$suite
mkdir -p "$work/debs"
trap 'rm -rf "$work"' EXIT
cd "$work"
printf 'name = "x"\nplatforms = ["linux/amd64"]\n[debian]\nsuite = "%s"\nbase = "minbase"\nslim = false\npackages = [%s]\n' \
  "$suite" "$(printf '"%s", ' $packages)" >pinfold.toml
"${PINFOLD:?}" -q lock
python3 - "${PINFOLD_HOME:?}/cache/blobs/sha256" <<'P' | sort >locked
import os, re, sys
text = open("pinfold.lock").read()
for name, version, arch, digest in re.findall(r'\{ name = "([^"]+)", version = "([^"]+)", arch = "([^"]+)", source = "[^"]+", sha256 = "sha256:([0-9a-f]+)"', text):
    os.symlink(os.path.join(sys.argv[1], digest), f"debs/{name}_{version.replace(':', '%3a')}_{arch}.deb")
    print(f"{name}={version}")
P
apt-get indextargets --format '$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)' |
  awk '$1 == "Packages" && $3 ~ /^bookworm/ && $4 == "main" {print "deb " $2 " " $3 " " $4}' | sort -u | sed "s/bookworm/$suite/g" >sources
SOURCE_DATE_EPOCH=$(sed -n 's/^epoch = //p' pinfold.lock); export SOURCE_DATE_EPOCH
include="usr-is-merged,${packages// /,}" hook=()
# From trixie on base-files brings the links itself.
if [ "$suite" = bookworm ]; then hook=(--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr); fi
mmdebstrap --quiet --mode=root --variant=minbase --aptopt='APT::Install-Recommends "false"' --include="$include" "${hook[@]}" \
  "$suite" reference.tar sources
tar xOf reference.tar ./var/lib/dpkg/status | awk '/^Package: /{p=$2} /^Version: /{print p "=" $2}' | sort >installed
diff locked installed
"${COMPARE:?}" reference.tar debs
