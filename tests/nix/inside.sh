#!/bin/sh
# What a Nix must be able to do in an image, one line for each check: "ok NAME" or "FAILED NAME" with what was said.
#
#   inside.sh build ENV HELLO DIRECTORY [OWN OTHER TEXT]    where /nix can be written to
#   inside.sh query ENV HELLO DIRECTORY [OWN OTHER TEXT]    where it cannot (Nix 2.26 or later)
#
# ENV is a store path of the image with a program OWN, and refers to HELLO, which has a program OTHER; both say TEXT when they are asked
# for their version. DIRECTORY can be written to. The last line is "N passed".
set -u
how=$1 env=$2 hello=$3 work=$4
own=${5:-hello} other=${6:-hello} text=${7:-hello from the nix store}
passed=0
check() { # NAME COMMAND...
  name=$1; shift
  if said=$("$@" 2>&1); then passed=$((passed + 1)); echo "ok $name"; else echo "FAILED $name: $said"; fi
}
finds() { # TEXT COMMAND...: it must succeed and its output hold this
  want=$1; shift
  out=$("$@") || return 1
  case "$out" in *"$want"*) ;; *) echo "$out"; return 1 ;; esac
}
drv='derivation { name = "made"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo made > $out" ]; }'
uses="derivation { name = \"uses\"; system = builtins.currentSystem; builder = \"/bin/sh\"; input = builtins.storePath \"$hello\"; args = [ \"-c\" \"\$input/bin/$other --version > \$out\" ]; }"
none_is_dead() {
  dead=$(nix-store --gc --print-dead) || return 1
  for path in $(nix-store -qR "$env"); do
    case "$dead" in *"$path"*) echo "$path is dead"; return 1 ;; esac
  done
}
# 2.8 does not print what it built.
builds() { # INSTALLABLE...: builds without a link, and prints the path
  nix build --no-link "$@" || return 1
  case "$1" in
    --*) made=$(nix eval --impure --raw --expr "($3).outPath") ;;
    *) made=$(nix eval --raw "$1#packages.x86_64-linux.default.outPath") ;;
  esac
  [ -e "$made" ] && echo "$made"
}
collects() {
  rm -f "$work/result"
  made=$(builds --impure --expr "$drv") && nix store gc >/dev/null && [ ! -e "$made" ] && "$hello/bin/$other" --version
}
cd "$work" || exit 1
if [ "$how" = query ]; then
  export NIX_REMOTE='local?read-only=true' NIX_CONFIG='extra-experimental-features = read-only-local-store'
  check 'references' finds "$hello" nix-store -q --references "$env"
  check 'closure' finds "$hello" nix-store -qR "$env"
  check 'eval' finds 2 nix eval --expr 1+1
  check 'shell' finds "$text" nix shell "$env" -c "$own" --version
else
  mkdir -p flake
  cat >flake/flake.nix <<'NIX'
{ outputs = { self }:
    let made = { name, ... }@more: derivation ({ system = "x86_64-linux"; outputs = [ "out" ]; builder = "/bin/bash"; args = [ "-c" "echo flake > $out" ]; } // more);
    in { packages.x86_64-linux.default = made { name = "of-a-flake"; };
         devShells.x86_64-linux.default = made { name = "to-develop"; said = "develops"; }; };
}
NIX
  check 'verify' nix-store --verify --check-contents
  check 'references' finds "$hello" nix-store -q --references "$env"
  check 'closure' finds "$hello" nix-store -qR "$env"
  check 'eval' finds 2 nix eval --expr 1+1
  check 'build with a link' nix build --impure --expr "$drv"
  check 'and its result' finds made cat result
  check 'build without a link' finds -made builds --impure --expr "$drv"
  check 'build with a store path' finds -uses builds --impure --expr "$uses"
  check 'build a flake' finds -of-a-flake builds "path:$work/flake"
  check 'develop' finds develops nix develop "path:$work/flake" -c sh -c 'echo $said'
  check 'shell' finds "$text" nix shell "$env" -c "$own" --version
  check 'profile' nix profile install --profile "$work/profile" "$env"
  check 'and its program' finds "$text" "$work/profile/bin/$own" --version
  check 'the image is no garbage' none_is_dead
  check 'garbage goes' finds "$text" collects
  check 'verify again' nix-store --verify --check-contents
fi
echo "$passed passed"
