# The preset `nix` and the profiles where there is no Nix: from a binary cache of both platforms that packages of Debian stand in for
# (tests/nix/make-debian-cache.py), by a file with another machine's answer. Nothing of a distribution is in these images.
if have nix && have patchelf && have dpkg-deb && have npm; then
  n=$work/preset; mkdir -m 755 "$n" "$n/w" "$n/bin" "$n/rust" "$n/python" "$n/other" "$n/root" "$n/conf"
  . "$here/nix-works.sh"
  authority "$n"
  check 'a binary cache is made of packages of Debian' env AUTHORITY="$n/authority.crt" "$root/tests/nix/make-debian-cache.py" "$n/made" \
    base/x86_64-linux base/aarch64-linux rust/x86_64-linux python/x86_64-linux
  chmod -R go+rX "$n/made/cache"
  key=$(cat "$n/made/keys/public")
  path() { json "$n/made/nixpkgs/packages.json" "d['x86_64-linux']['$1']['out']"; }
  # A machine with Nix, whose nixpkgs is that of the cache, and one without: all programs of this machine but Nix's.
  printf '{"version":2,"flakes":[{"from":{"type":"indirect","id":"nixpkgs"},"to":{"type":"path","path":"%s"}}]}\n' "$n/made/nixpkgs" >"$n/conf/registry.json"
  printf 'flake-registry = %s\n' "$n/conf/registry.json" >"$n/conf/nix.conf"
  for program in /usr/bin/* /bin/*; do case ${program##*/} in nix | nix-*) ;; *) ln -sf "$program" "$n/bin/" ;; esac; done
  without() { as_user "$n/w" env PATH="$n/bin" "$work/pinfold" "$@"; }
  answer() { # FILE ARGS…: what the machine with Nix says
    local file=$1 command; shift
    command=$(without lock "$@" --resolution-command) || return
    (cd "$n" && NIX_CONF_DIR="$n/conf" NIX_USER_CONF_FILES=/dev/null NIX_REMOTE="local?root=$n/answers" HOME="$n/root" bash -c "${command% > nix.json}") >"$file"
  }
  for profile in rust python; do
    cat >"$n/$profile/pinfold.toml" <<TOML
name = "with-$profile"
platforms = ["linux/amd64"]
[nix]
profile = "$profile"
resolution = "nix.json"
caches = [{ url = "$n/made/cache", keys = ["$key"] }]
[user]
name = "u"
uid = 1000
gid = 1000
home = "/home/u"
TOML
    check "$profile: what the printed command makes where Nix is" answer "$n/$profile/nix.json" --file "$n/$profile/pinfold.toml"
  done
  config=$work/home/pinfold/config; mkdir -p "$work/home/.config/nix" "$config"
  check 'what the printed command makes for the preset' answer "$config/nix.json" --preset nix
  own "$n/w" "$n/rust" "$n/python" "$n/other" "$work/home/.config" "$config"
  refuse 'without a cache the preset is not built' 2 without build --preset nix
  says 'and it is said where one is named' '~/.config/nix/nix.conf' cat "$work/said"
  port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  python3 -m http.server --bind 127.0.0.1 --directory "$n/made/cache" "$port" >"$n/log" 2>&1 &
  cache_pid=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  machine() { printf 'substituters = %s\ntrusted-public-keys = %s\n' "$1" "$key"; }
  machine "http://127.0.0.1:$port" | as_user "$n/w" sh -c 'cat >"$HOME/.config/nix/nix.conf"'
  refuse 'nor without an answer of Nix' 2 without build --preset nix
  says 'and it is said what makes one' 'pinfold lock --preset nix --resolution-command' cat "$work/said"
  as_user "$n/w" sh -c "printf '[nix]\nresolution = \"nix.json\"\n' >'$config/config.toml'; chmod 644 '$config'/*"
  check 'pinfold build --preset nix' without build --preset nix --output "oci-archive:$n/w/image.tar:latest"
  kill "$cache_pid" 2>/dev/null; wait "$cache_pid" 2>/dev/null
  index() { tar xOf "$1" index.json >"$n/index.json" && json "$n/index.json" 'd["manifests"][0]["digest"]'; }
  digest=$(index "$n/w/image.tar")
  # Another user of one processor, whose machine has the cache in a directory.
  other=$user; [ "$(id -u)" != 0 ] || other=nobody
  mkdir -p "$n/other/.config/nix" "$n/other/pinfold/config" "$n/other/w"
  machine "file://$n/made/cache" >"$n/other/.config/nix/nix.conf"
  cp "$config/config.toml" "$config/nix.json" "$n/other/pinfold/config/"; cp "$n/w/pinfold.lock" "$n/other/w/"
  [ "$(id -u)" != 0 ] || chown -R "$other" "$n/other"
  elsewhere() {
    local as=(); [ "$(id -u)" != 0 ] || as=(runuser -u "$other" --)
    (cd "$n/other/w" && "${as[@]}" env HOME="$n/other" PINFOLD_HOME="$n/other/pinfold" PATH="$n/bin" taskset -c 0 "$work/pinfold" "$@")
  }
  check 'another user builds it from the directory' elsewhere build --preset nix --output "oci-archive:$n/other/w/image.tar:latest"
  same 'it is the same' "$digest" index "$n/other/w/image.tar"
  chmod -R u+w "$n/other"; rm -rf "$n/other"
  check 'pinfold verify: both platforms' without verify nix-sandbox
  inside_run() { without run "$@"; }
  inside_home=/home/agent
  id=
  if have podman; then
    check 'wrapix: podman loads it' podman load -q -i "$n/w/image.tar"
    id=$(podman images -q --filter "reference=*nix-sandbox*" | head -n 1); [ -n "$id" ] || id=$(podman images -q | head -n 1)
  fi
  nix_works 'wrapix: the preset' nix-sandbox "$id" "$n/w/image.tar" "$(path prek)" "$(path git)" prek git 'git version'
  # What an image of this kind is for.
  check 'wrapix: umoci unpacks it' sh -c "skopeo copy -q 'oci-archive:$n/w/image.tar:latest' 'oci:$n/layout:latest' && umoci unpack --rootless --image '$n/layout:latest' '$n/bundle'"
  chmod -R u+w "$n/bundle" 2>/dev/null; rm -rf "$n/bundle" "$n/layout"
  check 'wrapix: skopeo reads its configuration' skopeo inspect --config "oci-archive:$n/w/image.tar:latest"
  inside() { without run --quiet --image "$@"; }
  # Programs that say their version otherwise than by `--version`; the rest is what must have one.
  programs='set -e; for program in bash curl diff fd file find gawk gh git grep sed tar gzip jq less man nix patch prek ps rg rsync shellcheck tini \
    tree treefmt vim which xz yq; do "$program" --version >/dev/null 2>&1 </dev/null || { echo "$program"; exit 1; }; done
    for words in "ip -V" "ssh -V" "tmux -V" "unzip -v" "zip -v" "lsof -v" "nc -h"; do $words >/dev/null 2>&1 || { echo "$words"; exit 1; }; done
    ping -V 2>&1 | grep -q ping # which may not have what it asks for
    for program in /nix/profile/bin/*; do test -x "$program" || { echo "$program"; exit 1; }; done; echo all'
  same 'wrapix: every package of the profile runs' all inside nix-sandbox -- sh -c "$programs"
  check 'wrapix: Claude Code starts' inside nix-sandbox -- claude --version
  says 'wrapix: there is nothing of a distribution' 'No such file' inside nix-sandbox -- sh -c 'ls /usr/lib /etc/os-release 2>&1 || :'
  if have podman; then
    check 'wrapix: a connection over HTTPS with its authorities' over_https "$id" "$n" curl -fsS -o /dev/null
    refuse 'wrapix: and none without them' 60 over_https "$id" "$n" sh -c 'sed "/END CERTIFICATE/q" /etc/ssl/certs/ca-certificates.crt >/tmp/first; exec curl -fsS -o /dev/null --cacert /tmp/first "$1"' sh
    podman rmi -f "$id" >/dev/null 2>&1
  fi
  # The other profiles, named by manifests with a file of their own.
  build_in() { (cd "$n/$1" && as_user "$n/$1" env PATH="$n/bin" "$work/pinfold" "${@:2}"); }
  for profile in rust python; do
    refuse "$profile: a project that names a cache needs the word of its user" 5 build_in "$profile" build
    check "$profile: pinfold policy accept" build_in "$profile" policy accept --digest "$(sed -n 's/.*--digest \(sha256:[0-9a-f]*\).*/\1/p' "$work/said" | head -n 1)"
    check "$profile: pinfold build" build_in "$profile" build
    check "$profile: pinfold verify" build_in "$profile" verify "with-$profile"
  done
  in_rust='set -e; for program in rustc cargo rust-analyzer rustfmt sccache gcc pkg-config; do "$program" --version >/dev/null; done; cargo clippy --version >/dev/null
    cd /tmp; cargo init -q --vcs none made; cd made; RUSTC_WRAPPER= cargo run -q --offline'
  same 'rust: a program is built, and runs' 'Hello, world!' inside with-rust -- sh -c "$in_rust"
  says 'rust: OpenSSL is found' '3.' inside with-rust -- pkg-config --modversion openssl
  same 'python: a program runs' "42 $(path python3)" inside with-python -- python3 -c 'import sys, ssl, sqlite3, ctypes; print(6 * 7, sys.prefix)'
  check 'python: the tools around it' inside with-python -- sh -c 'ruff --version && ty --version && uv --version'
  rm -rf "$config/config.toml" "$config/nix.json" "$work/home/.config/nix"
  chmod -R u+w "$n"; rm -rf "$n"
else skip 'the preset of Nix packages' 'it needs nix-bin, patchelf and npm'; fi
