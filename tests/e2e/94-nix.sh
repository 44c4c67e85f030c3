# Store paths of a small closure, made here with Nix, in images: from a server on loopback, a directory and a store, run in a sandbox and by
# podman, and judged by Nix itself.
if have nix && have nix-store && have busybox && { [ "$(id -u)" = 0 ] || unshare -Ur true 2>/dev/null; }; then
  n=$work/nix; mkdir -m 755 "$n" "$n/w"
  check 'a closure is made with Nix' "$root/tests/nix/make-nix-cache.sh" "$n/made" --host
  chmod -R go+rX "$n/made"
  key=$(cat "$n/made/keys/public")
  attr() { sed -n "s/^$1\t//p" "$n/made/roots.tsv"; }
  port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  python3 -m http.server --bind 127.0.0.1 --directory "$n/made/cache-xz" "$port" >"$n/log" 2>&1 &
  cache_pid=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  manifest() { # PLACE
    cat >"$n/w/pinfold.toml" <<TOML
name = "nixed"
platforms = ["linux/amd64"]
[user]
name = "u"
uid = 1000
gid = 1000
home = "/home/u"
[nix]
roots = ["$(attr busybox)", "$(attr dynecho)", "$(attr hello)", "$(attr greet)", "$(attr odd)"]
caches = [{ url = "$1", keys = ["$key"] }]
TOML
    own "$n/w"
  }
  with_nix() { as_user "$n/w" "$work/pinfold" "$@"; }
  agree() { with_nix policy accept --digest "$(sed -n 's/.*--digest \(sha256:[0-9a-f]*\).*/\1/p' "$work/said" | head -n 1)"; }
  manifest "http://127.0.0.1:$port"
  refuse 'a project that names a cache and a key needs the word of its user' 5 with_nix build
  check 'pinfold policy accept' agree
  check 'pinfold build: from a cache on a server' with_nix build
  index() { with_nix images --json | json /dev/stdin 'next(i["digest"] for i in d if i["repository"] == "nixed")'; }
  first=$(index)
  kill "$cache_pid" 2>/dev/null; wait "$cache_pid" 2>/dev/null
  check 'pinfold build: offline' with_nix build --offline --locked --force
  same 'it is the same' "$first" index
  # What the closure is made with on purpose: a link to nowhere, and programs of this machine whose loader is not where they say.
  failing() { { with_nix verify --json nixed || :; } | json /dev/stdin '" ".join(sorted(o["check"] for o in d["outcomes"] if o["verdict"] == "failed"))'; }
  same 'pinfold verify finds what is wrong with the closure alone' 'closure.links closure.programs' failing
  # The same over TLS, by an authority of one's own.
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=Example Authority' -keyout "$n/authority.key" -out "$n/authority.crt" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$n/server.key" -out "$n/server.csr" 2>/dev/null
  openssl x509 -req -in "$n/server.csr" -CA "$n/authority.crt" -CAkey "$n/authority.key" -CAcreateserial -days 30 \
    -extfile <(echo 'subjectAltName = DNS:localhost') -out "$n/server.crt" 2>/dev/null
  cat >"$n/https.py" <<'PY'
import functools, http.server, ssl, sys
port, directory, certificate, key = sys.argv[1:]
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PY
  python3 "$n/https.py" "$port" "$n/made/cache-zstd" "$n/server.crt" "$n/server.key" >"$n/log" 2>&1 & cache_pid=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  manifest "https://localhost:$port"; rm "$n/w/pinfold.lock"
  over_tls() { as_user "$n/w" env SSL_CERT_FILE="$1" "$work/pinfold" build --force; }
  refuse 'another place needs the word again' 5 with_nix build
  check 'pinfold policy accept' agree
  chmod go+r "$n/authority.crt" "$n/server.crt"
  refuse 'a cache whose authority is not known is not asked' 3 over_tls "$n/server.crt"
  check 'pinfold build: from a cache over TLS' over_tls "$n/authority.crt"
  same 'it is the same' "$first" index
  kill "$cache_pid" 2>/dev/null; wait "$cache_pid" 2>/dev/null
  for place in "$n/made/cache-zstd" "$n/made/root/nix/store"; do
    manifest "$place"; rm "$n/w/pinfold.lock"
    refuse "$(basename "$place"): another place needs the word again" 5 with_nix build
    check 'pinfold policy accept' agree
    check "pinfold build: from $(basename "$place")" with_nix build --force
    same 'it is the same' "$first" index
  done
  # Another user (the one who runs the tests, where that is root) with nothing kept, a thread alone, and a tar by other programs for each.
  for end in tar tar.gz tar.xz tar.zst; do
    tar --create --auto-compress --file "$n/made/carried.$end" --directory "$n/made/cache-xz" .
    manifest "$n/made/carried.$end"
    mkdir -p "$n/$end"; cp "$n/w/pinfold.toml" "$n/$end"
    carried() { (cd "$n/$end" && HOME=$n/$end PINFOLD_HOME=$n/$end/pinfold taskset -c 0 "$work/pinfold" "$@"); }
    refuse "$end: a tar needs the word of its user" 5 carried build
    check 'pinfold policy accept' carried policy accept --digest "$(sed -n 's/.*--digest \(sha256:[0-9a-f]*\).*/\1/p' "$work/said" | head -n 1)"
    check "pinfold build: from a $end" carried build
    carried_index() { carried images --json | json /dev/stdin 'next(i["digest"] for i in d if i["repository"] == "nixed")'; }
    same 'it is the same' "$first" carried_index
  done
  head -c 1000 "$n/made/carried.tar.xz" >"$n/made/cut.tar.xz"
  manifest "$n/made/cut.tar.xz"; cp "$n/w/pinfold.toml" "$n/tar"; rm "$n/tar/pinfold.lock"
  cut() { (cd "$n/tar" && HOME=$n/tar PINFOLD_HOME=$n/tar/pinfold "$work/pinfold" "$@"); }
  refuse 'a tar that was cut short: first the word' 5 cut build
  check 'pinfold policy accept' cut policy accept --digest "$(sed -n 's/.*--digest \(sha256:[0-9a-f]*\).*/\1/p' "$work/said" | head -n 1)"
  refuse 'a tar that was cut short' 2 cut build
  inside() { with_nix run --quiet --image nixed -- "$@"; }
  says 'a program of the store, in a sandbox' 'hello from the nix store' inside hello
  says 'a script whose interpreter is a store path' 'hello from the nix store' inside greet
  says 'a shell, and a program through its own loader' 'it is u' inside sh -c 'dynecho it is "$(id -un)"'
  says '/usr/bin/env is there' 'hello from the nix store' inside /usr/bin/env hello
  check 'pinfold unpack' with_nix unpack nixed "$n/w/rootfs"
  nix_in() { as_user "$n/w" env NIX_CONF_DIR=/nonexistent NIX_REMOTE= "$@"; }
  check 'Nix finds every path as it was signed' nix_in nix-store --store "local?root=$n/w/rootfs" --verify --check-contents
  same 'Nix knows the whole closure' "$(nix-store --store "local?root=$n/made/root" -qR "$(attr busybox)" "$(attr dynecho)" "$(attr hello)" "$(attr greet)" "$(attr odd)" | sort -u)" \
    nix_in sh -c "nix-store --store 'local?root=$n/w/rootfs' -qR $(attr busybox) $(attr dynecho) $(attr hello) $(attr greet) $(attr odd) | sort -u"
  same 'nothing of it is garbage' '' nix_in nix-store --store "local?root=$n/w/rootfs" --gc --print-dead
  # On an image of the same kind: one database and one environment, alike for two users.
  check 'pinfold copy: the image as a base' with_nix copy nixed "oci:$n/w/lower"
  cat >"$n/w/pinfold.toml" <<TOML
name = "above"
platforms = ["linux/amd64"]
[base]
image = "oci:lower"
[user]
name = "v"
uid = 1001
gid = 1001
home = "/home/v"
[nix]
roots = ["$(attr env)", "$(attr hello)", "$(attr dev)"]
caches = [{ url = "$n/made/cache-zstd", keys = ["$key"] }]
TOML
  rm "$n/w/pinfold.lock"; own "$n/w"
  refuse 'a project that names a base needs the word' 5 with_nix build
  check 'pinfold policy accept' agree
  check 'pinfold build: on a base of store paths' with_nix build
  above() { "$@" images --json | json /dev/stdin 'next(i["digest"] for i in d if i["repository"] == "above")'; }
  first=$(above with_nix)
  another() { (cd "$n/w" && HOME="$n/another" PINFOLD_HOME="$n/another/pinfold" "$work/pinfold" "$@"); }
  rm "$n/w/pinfold.lock"
  refuse 'another user is asked' 5 another build
  check 'pinfold policy accept' another policy accept --digest "$(sed -n 's/.*--digest \(sha256:[0-9a-f]*\).*/\1/p' "$work/said" | head -n 1)"
  check 'pinfold build: as another user, in another home' another build
  same 'it is the same' "$first" above another
  failing_above() { { with_nix verify --json above || :; } | json /dev/stdin '" ".join(sorted(o["check"] for o in d["outcomes"] if o["verdict"] == "failed"))'; }
  same 'pinfold verify finds what is wrong with the closure alone' 'closure.links closure.programs' failing_above
  says 'a command of the base beside one of its own' 'it is v' with_nix run --quiet --image above -- sh -c 'multi && dynecho it is "$(id -un)"'
  check 'pinfold unpack' with_nix unpack above "$n/w/above"
  check 'Nix finds every path of both as it was signed' nix_in nix-store --store "local?root=$n/w/above" --verify --check-contents
  same 'Nix knows the paths of both' "$(ls "$n/w/above/nix/store" | wc -l)" nix_in sh -c "nix-store --store 'local?root=$n/w/above' -qR $(attr busybox) $(attr dynecho) $(attr greet) $(attr odd) $(attr env) $(attr dev) | sort -u | wc -l"
  same 'nothing of it is garbage' '' nix_in nix-store --store "local?root=$n/w/above" --gc --print-dead
  rm "$n/w/above/nix/var/nix/gcroots/image/tiny-env"
  says 'but for a root that is taken away' 'tiny-env' nix_in nix-store --store "local?root=$n/w/above" --gc --print-dead
  chmod -R u+w "$n"; rm -rf "$n"
else skip 'store paths of Nix' 'it needs the packages nix-bin and busybox-static, and root or user namespaces'; fi
