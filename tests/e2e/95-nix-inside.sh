# Nix inside of images: Debian's own Nix beside store paths, in sandboxes with each kind of store, in runc and in podman, as the image's
# user and as root; what an image of this kind has to do; and a binary cache that the proxy lets through.
if have nix && have nix-store && { [ "$(id -u)" = 0 ] || unshare -Ur true 2>/dev/null; }; then
  n=$work/inside; mkdir -m 755 "$n" "$n/w"
  check 'a closure is made with Nix' "$root/tests/nix/make-nix-cache.sh" "$n/made"
  chmod -R go+rX "$n/made"
  key=$(cat "$n/made/keys/public")
  attr() { sed -n "s/^$1\t//p" "$n/made/roots.tsv"; }
  env=$(attr env); hello=$(attr hello)
  . "$here/nix-works.sh"
  authority "$n"; cp "$n/authority.crt" "$n/w/"
  manifest() { # SUITE
    cat >"$n/w/pinfold.toml" <<TOML
name = "inside-$1"
platforms = ["linux/amd64"]
agents = ["claude-code"]
[debian]
suite = "$1"
packages = ["nix-bin", "bash", "curl", "ca-certificates"]
[user]
name = "u"
uid = 1000
gid = 1000
home = "/home/u"
[nix]
roots = ["$env", "$hello", "$(attr greet)"]
caches = [{ url = "$n/made/cache-xz", keys = ["$key"] }]
[[file]]
path = "/usr/local/share/ca-certificates/example.crt"
source = "authority.crt"
TOML
    own "$n/w"
  }
  with_nix() { as_user "$n/w" "$work/pinfold" "$@"; }
  agree() { with_nix policy accept --digest "$(sed -n 's/.*--digest \(sha256:[0-9a-f]*\).*/\1/p' "$work/said" | head -n 1)"; }
  inside_run() { with_nix run "$@"; }
  inside_home=/home/u
  for suite in bookworm trixie; do
    manifest "$suite"; image=inside-$suite
    rm -f "$n/w/pinfold.lock"
    if [ "$suite" = bookworm ]; then
      refuse 'a project that names a cache needs the word of its user' 5 with_nix build
      check 'pinfold policy accept' agree
    fi
    check "$suite: pinfold build" with_nix build --output "oci-archive:$n/w/image.tar:latest"
    inside() { with_nix run --quiet --image "$image" "$@"; }
    id=
    if have podman; then
      check "$suite: podman loads it" podman load -q -i "$n/w/image.tar"
      id=$(podman images -q --filter "reference=*$image*" | head -n 1); [ -n "$id" ] || id=$(podman images -q | head -n 1)
    fi
    nix_works "$suite" "$image" "$id" "$n/w/image.tar" "$env" "$hello"
    # Where nothing can be written to.
    refuse "$suite: a store that is read-only builds nothing" 1 inside --nix-store read-only -- nix build --impure --no-link --expr "derivation { name = \"x\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; args = [ ]; }"
    if [ "$suite" = trixie ]; then
      says 'a store that is read-only answers queries' '4 passed' inside_checks query "$env" "$hello" /tmp -- inside --nix-store read-only --
      if have podman; then
        says 'and in podman' '4 passed' inside_checks query "$env" "$hello" /tmp -- in_podman --read-only --tmpfs /tmp:rw,exec,mode=1777 "$id"
      fi
    fi
    # What is made is the sandbox's own, and stays with it.
    make='derivation { name = "kept"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo kept > $out" ]; }'
    build() { inside "$@" -- sh -c 'nix build --impure --no-link --expr "$1" && nix eval --impure --raw --expr "($1).outPath"' sh "$make"; }
    kept=$(build --name one 2>/dev/null)
    same "$suite: what a sandbox built stays with it" kept inside --name one -- cat "$kept"
    same "$suite: no other one has it" no inside -- sh -c "test -e $kept && echo yes || echo no"
    check 'pinfold rm' with_nix rm one
    same "$suite: and it goes with it" no inside --name one -- sh -c "test -e $kept && echo yes || echo no"
    check 'pinfold rm' with_nix rm one
    shared=$(build --nix-store shared 2>/dev/null)
    same "$suite: what is built in a shared store" kept inside --nix-store shared -- cat "$shared"
    same "$suite: is not in another sandbox" no inside -- sh -c "test -e $shared && echo yes || echo no"
    many() { for i in 1 2 3 4; do inside --nix-store shared -- nix build --impure --no-link --expr "${make/kept/many-$i}" & done; wait; }
    check "$suite: four build at once" many
    check "$suite: the shared store is whole" inside --nix-store shared -- nix-store --verify --check-contents
    hex=$(ls "$work/home/pinfold/data/nix" | grep -v '\.' | while read -r hex; do [ -e "$work/home/pinfold/data/nix/$hex/store/${kept#/nix/store/}" ] && echo "$hex"; done | head -n 1)
    same "$suite: the image has nothing of it" no sh -c "test -e '$work/home/pinfold/data/rootfs/$hex/$kept' && echo yes || echo no"
    # What an image of this kind is for.
    check "$suite: umoci unpacks it" sh -c "rm -rf '$n/layout' '$n/bundle' && skopeo copy -q 'oci-archive:$n/w/image.tar:latest' 'oci:$n/layout:latest' && umoci unpack --rootless --image '$n/layout:latest' '$n/bundle'"
    check "$suite: skopeo reads its configuration" skopeo inspect --config "oci-archive:$n/w/image.tar:latest"
    all_run() { inside -- sh -c 'for program in /nix/profile/bin/*; do "$program" >/dev/null || { echo "$program"; exit 1; }; done; ls /nix/profile/bin | wc -l'; }
    same "$suite: every program of its profile runs" 3 all_run
    check "$suite: Claude Code starts" inside -- claude --version
    chmod -R u+w "$n/bundle" 2>/dev/null; rm -rf "$n/bundle" "$n/layout"
    if have podman; then
      check "$suite: a connection over HTTPS with the image's authorities" over_https "$id" "$n" curl -fsS -o /dev/null
      refuse "$suite: and none without them" 60 over_https "$id" "$n" curl -fsS -o /dev/null --capath /nonexistent --cacert /usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt
      podman rmi -f "$id" >/dev/null 2>&1
    fi
  done
  # The newest Nix that Debian has, where it can be had: what is in unstable changes, and its lists may be older than they say.
  manifest sid; sed -i 's/^suite = "sid"/&\ncheck-valid-until = false/; /^agents/d' "$n/w/pinfold.toml"
  cp "$n/w/pinfold.lock" "$n/lock"; rm "$n/w/pinfold.lock"
  refuse 'sid: lists that are too old need the word' 5 with_nix build
  check 'pinfold policy accept' agree
  if with_nix build --output "oci-archive:$n/w/sid.tar:latest" >"$work/out" 2>&1; then
    id=
    if have podman; then
      check 'sid: podman loads it' podman load -q -i "$n/w/sid.tar"
      id=$(podman images -q --filter 'reference=*inside-sid*' | head -n 1); [ -n "$id" ] || id=$(podman images -q | head -n 1)
    fi
    nix_works "sid, $(with_nix run --quiet --image inside-sid -- nix --version)" inside-sid "$id" "$n/w/sid.tar" "$env" "$hello"
    podman rmi -f "$id" >/dev/null 2>&1
    check 'pinfold rmi' with_nix rmi --force inside-sid
  else echo "skip  Nix of Debian unstable, which cannot be had today: $(grep -m 1 '^error' "$work/out")"; fi
  rm -f "$n/w/sid.tar"; cp "$n/lock" "$n/w/pinfold.lock"
  # Debian's Nix of a base, and store paths of both, in one database.
  cp "$n/w/image.tar" "$n/w/below.tar"
  cat >"$n/w/pinfold.toml" <<TOML
name = "inside-above"
platforms = ["linux/amd64"]
[base]
image = "oci-archive:below.tar:latest"
[debian]
suite = "trixie"
packages = ["file"]
[user]
name = "u"
uid = 1000
gid = 1000
home = "/home/u"
[nix]
roots = ["$(attr dev)", "$hello"]
caches = [{ url = "$n/made/cache-xz", keys = ["$key"] }]
TOML
  rm -f "$n/w/pinfold.lock"; own "$n/w"
  refuse 'a project that names a base needs the word' 5 with_nix build
  check 'pinfold policy accept' agree
  check 'pinfold build: Debian and store paths on a base of both' with_nix build
  failing() { { with_nix verify --static --json inside-above || :; } | json /dev/stdin '" ".join(sorted(o["check"] for o in d["outcomes"] if o["verdict"] == "failed"))'; }
  same 'pinfold verify finds the link to nowhere of the closure alone' 'closure.links' failing
  above() { with_nix run --quiet --image inside-above -- "$@"; }
  says 'Nix works in a sandbox of it' '16 passed' inside_checks build "$env" "$hello" /tmp -- above
  check 'Nix finds every path of both as it was signed' above nix-store --verify --check-contents
  same 'Nix knows the paths of both' 0 above sh -c "for path in /nix/store/*-*; do nix-store -q --hash \$path >/dev/null || echo \$path; done | wc -l"
  same 'commands of both' 2 above sh -c '{ command -v multi; command -v file; } | wc -l'
  # Homes that were there before get of the image's settings what they lack.
  kept() { with_nix run --quiet --image inside-above --name kept -- "$@"; }
  check 'a home with settings of its own' kept sh -c 'printf "{\"theme\": \"dark\"}" >~/.claude.json'
  says 'has the key that ends the first questions at the next start' '"hasCompletedOnboarding": true' kept sh -c 'cat ~/.claude.json'
  check 'a home with an answer of its own' kept sh -c 'printf "{\"theme\": \"dark\"}" >~/.claude.json; printf "{\"permissions\": {\"defaultMode\": \"plan\"}}" >~/.claude/settings.json'
  says 'gets what is missing' 'skipDangerousModePermissionPrompt' kept sh -c 'cat ~/.claude/settings.json'
  says 'keeps what it says' '"defaultMode": "plan"' kept sh -c 'cat ~/.claude/settings.json'
  says 'and what the image knows nothing of' '"theme": "dark"' kept sh -c 'cat ~/.claude.json'
  check 'pinfold rm' with_nix rm kept
  # A cache at a public address, of another machine: both are namespaces of the network's.
  if [ "$(id -u)" = 0 ] && have ip; then
    net=pf$$
    ip netns add "$net-a"; ip netns add "$net-b"
    ip link add "$net" netns "$net-a" type veth peer name "$net" netns "$net-b"
    for side in a b; do ip -n "$net-$side" link set lo up; ip -n "$net-$side" link set "$net" up; done
    ip -n "$net-a" addr add 11.0.0.1/24 dev "$net"; ip -n "$net-b" addr add 11.0.0.2/24 dev "$net"
    ip netns exec "$net-b" python3 -m http.server --bind 11.0.0.2 --directory "$n/made/cache-xz" 8080 >"$n/log" 2>&1 & cache_pid=$!
    sleep 1
    copy() { ip netns exec "$net-a" runuser -u "$user" -- env -C "$n/w" HOME="$work/home" PINFOLD_HOME="$work/home/pinfold" "$work/pinfold" run --quiet --image inside-trixie "$@" -- \
      nix build --no-link --option substituters http://11.0.0.2:8080 --option trusted-public-keys "$key" --option connect-timeout 5 "$(attr dev)"; }
    refuse 'a cache that is not allowed is not reached' 1 copy
    check 'one that is gives what it has, through the proxy' copy --allow 11.0.0.2:8080
    says 'it was asked' 'GET /nar/' cat "$n/log"
    kill "$cache_pid" 2>/dev/null; wait "$cache_pid" 2>/dev/null
    # The same by its name and with TLS, whose authority the image has.
    mkdir -p "/etc/netns/$net-a"; echo '11.0.0.2 cache.example' >"/etc/netns/$net-a/hosts"
    cat >"$n/https.py" <<'PY'
import functools, http.server, ssl, sys
directory, certificate, key = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
server = http.server.ThreadingHTTPServer(("11.0.0.2", 443), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PY
    serve_tls() { # CERTIFICATE KEY
      ip netns exec "$net-b" python3 "$n/https.py" "$n/made/cache-zstd" "$1" "$2" >"$n/log" 2>&1 & cache_pid=$!
      sleep 1
    }
    over_tls() { # PROXY...: what is wanted of a cache over TLS
      ip netns exec "$net-a" runuser -u "$user" -- env -C "$n/w" HOME="$work/home" PINFOLD_HOME="$work/home/pinfold" "$work/pinfold" run --quiet --image inside-trixie "$@" -- \
        env NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt nix build --no-link --option substituters https://cache.example --option trusted-public-keys "$key" --option connect-timeout 5 "$(attr dev)"
    }
    # The control: one that vouches for itself. (Debian's curl looks into /etc/ssl/certs beside whatever file it is given.)
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=cache.example -addext subjectAltName=DNS:cache.example \
      -keyout "$n/other.key" -out "$n/other.crt" 2>/dev/null
    serve_tls "$n/other.crt" "$n/other.key"
    refuse 'a cache whose authority the image does not have gives nothing' 1 over_tls --allow cache.example
    kill "$cache_pid" 2>/dev/null; wait "$cache_pid" 2>/dev/null
    serve_tls "$n/server.crt" "$n/server.key"
    refuse 'a cache over TLS that is not allowed is not reached' 1 over_tls
    check 'one that is allowed gives what it has, over TLS through the proxy' over_tls --allow cache.example
    says 'it was asked' 'GET /nar/' cat "$n/log"
    kill "$cache_pid" 2>/dev/null; wait "$cache_pid" 2>/dev/null
    rm -r "/etc/netns/$net-a"
    ip netns del "$net-a"; ip netns del "$net-b"
  else skip 'a binary cache through the proxy' 'it needs root and ip(8)'; fi
  # A shared store goes with its image.
  check 'pinfold rmi' with_nix rmi --force inside-bookworm inside-trixie inside-above
  rm -f "$n/w/pinfold.toml" "$n/w/pinfold.lock"
  check 'pinfold gc' with_nix gc --yes
  stores() { ls "$work/home/pinfold/data/nix" | wc -l; }
  same 'shared stores go with their images' 0 stores
  chmod -R u+w "$n"; rm -rf "$n"
else skip 'Nix inside of images' 'it needs the package nix-bin, and root or user namespaces'; fi
