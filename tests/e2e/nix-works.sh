# What Nix must be able to do in an image (tests/nix/inside.sh), in sandboxes with each kind of store, in runc and in podman, as the image's
# user and as root.
#
#   nix_works NAME IMAGE PODMAN ARCHIVE ENV HELLO [OWN OTHER TEXT]
#
# `inside_run` runs `pinfold run` as the user; IMAGE is a name of its, ARCHIVE a file with the same in a directory that root may read,
# PODMAN what podman knows it by. The rest goes to inside.sh.
limits=; [ "$(id -u)" != 0 ] || limits='--ulimit nofile=1024:20000 --ulimit nproc=4096:4096'
in_podman() { podman --runtime runc run --rm $limits --network none --env HOME=/tmp "$@"; }
inside_checks() { # HOW ENV HELLO DIRECTORY WORDS… -- COMMAND…: the script goes along, so that the image needs nothing for it
  local words=(); while [ "$1" != -- ]; do words+=("$1"); shift; done; shift
  "$@" sh -c "$(cat "$root/tests/nix/inside.sh")" inside "${words[@]}"
}
nix_works() {
  local name=$1 image=$2 podman=$3 archive=$4 env=$5 hello=$6; shift 6
  local tmp=(build "$env" "$hello" /tmp "$@") home=(build "$env" "$hello" "$inside_home" "$@")
  in_sandbox() { inside_run --quiet --image "$image" "$@"; }
  as_root() { (cd "$(dirname "$archive")" && HOME="$n/root" PINFOLD_HOME="$n/root/pinfold" "$work/pinfold" run --quiet --image "oci-archive:$(basename "$archive")" "$@"); }
  says "$name: Nix works in a sandbox" '16 passed' inside_checks "${tmp[@]}" -- in_sandbox --
  says "$name: and in one with its home as the place to work" '16 passed' inside_checks "${home[@]}" -- in_sandbox --
  says "$name: and in one whose store is shared" '16 passed' inside_checks "${tmp[@]}" -- in_sandbox --nix-store shared --
  if have runc; then says "$name: and in runc" '16 passed' inside_checks "${tmp[@]}" -- in_sandbox --runtime runc --; else skip "$name: Nix in runc" 'runc is not installed'; fi
  if [ "$(id -u)" = 0 ]; then
    says "$name: and in a sandbox that root started" '16 passed' inside_checks "${tmp[@]}" -- as_root --
    if have runc; then says "$name: and in runc as root" '16 passed' inside_checks "${tmp[@]}" -- as_root --runtime runc --; fi
  fi
  if have podman; then
    says "$name: Nix works in podman as the image's user" '16 passed' inside_checks "${tmp[@]}" -- in_podman "$podman"
    says "$name: and as root" '16 passed' inside_checks "${tmp[@]}" -- in_podman --user 0 "$podman"
  else skip "$name: Nix in podman" 'podman is not installed'; fi
}
# An HTTPS server on loopback whose certificate an authority signed that is made here.
authority() { # DIRECTORY: authority.crt and server.key, server.crt in it
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=Example Authority' -keyout "$1/authority.key" -out "$1/authority.crt" 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout "$1/server.key" -out "$1/server.csr" 2>/dev/null
  openssl x509 -req -in "$1/server.csr" -CA "$1/authority.crt" -CAkey "$1/authority.key" -CAcreateserial -days 30 \
    -extfile <(echo 'subjectAltName = DNS:localhost, DNS:cache.example') -out "$1/server.crt" 2>/dev/null
}
over_https() { # PODMAN DIRECTORY COMMAND…: with $port of a server that lives as long
  local podman=$1 directory=$2; shift 2
  port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  openssl s_server -quiet -accept "127.0.0.1:$port" -cert "$directory/server.crt" -key "$directory/server.key" -www >/dev/null 2>&1 & local server=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  podman --runtime runc run --rm $limits --network host "$podman" "$@" "https://localhost:$port/"; local got=$?
  kill "$server" 2>/dev/null; wait "$server" 2>/dev/null
  return "$got"
}
