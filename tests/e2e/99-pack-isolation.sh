# Rows F, H and N of the list of attacks (docs/isolation.md) through a file: the probes of the isolation suite, started by FILE,
# and each with its control: the same probe where that wall is not must fail.
box=$work/home/walls; walls=$box/walls.AppImage
mkdir -p "$box/home" "$box/w/linked" "$box/other" "$box/outside"; echo key >"$box/outside/key"; echo secret >"$box/home/secret"
ln -s "$box/home/secret" "$box/w/way-out"; echo data >"$box/w/linked/key"
built=${CARGO_TARGET_DIR:-$root/target}
probe=$(find "$built" -path '*/debug/deps/isolation-*' -type f -executable -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2-)
if [ -x "$probe" ]; then
  cp "$probe" "$box/w/probe"; own "$box"
  check 'a file for the rows' run pack iteron-sandbox -o "$walls"
  # COMMAND...: as the user, with nothing in the environment but a home
  plain() { as_user "$box/w" env -i HOME="$box/home" PATH=/usr/bin:/bin:/usr/sbin:/sbin TERM=dumb "$@"; }
  # OPTION... -- COMMAND...: in the sandbox that the file makes
  walled() { plain "$walls" --pinfold run --quiet --unprotect .git --image "appimage:$walls" "$@"; }
  # Where no wall is: the user's own namespaces, in which they are root.
  open_field() { plain unshare --user --map-root-user --mount --pid --fork --mount-proc "$@"; }
  row() { # NAME PROBE ARGUMENT...: holds in the file's sandbox, and not in the open field
    local name=$1; shift
    check "through a file: $name" walled -- ./probe probe "$@"
    refuse "through a file: $name, control" 1 open_field ./probe probe "$@"
  }
  row 'F1 root read-only' read-only
  row 'F3 host files absent' absent "$box/home/secret" "$box/outside/key"
  row 'F4 link out of the workspace' absent ./way-out
  check 'through a file: F6 hard link across the workspace'"'"'s edge' walled -v "$box/outside:/outside:ro" -- ./probe probe hard-link /outside/key hard
  refuse 'through a file: F6 hard link across the workspace'"'"'s edge, control' 1 walled -- ./probe probe hard-link linked/key linked/hard
  row 'F7 P8 process 1 hidden' init-hidden
  row 'F8 no new privileges' no-new-privileges
  row 'F9 devices' devices
  row 'F10 mount calls' mount-calls
  row 'F11 masked paths' masked /proc/kcore /proc/keys /proc/kallsyms /proc/timer_list
  row 'F12 kernel switches' proc-writes
  check 'through a file: F14 process 1 starts from a copy' walled -- ./probe probe init-program
  row 'P1 no capabilities' capabilities
  row 'P3 seccomp' seccomp
  row 'P4 user namespaces' user-namespaces
  homes() { find "$box/home/.local/share/pinfold/sandboxes" -mindepth 2 -maxdepth 2 -name home -type d | wc -l; }
  at() { (cd "$1" && as_user "$1" env -i HOME="$box/home" PATH=/usr/bin:/bin TERM=dumb "$walls" --version); }
  check 'through a file: H1 home is kept' at "$box/w"
  at "$box/w" >/dev/null 2>&1
  same 'through a file: H1 by the next start' 1 homes
  check 'through a file: H1 and another project' at "$box/other"
  same 'through a file: H1 has another' 2 homes
  check 'through a file: H2 workspace, home and temporary directories writable' walled -- ./probe probe writable . /tmp /run /dev/shm
  refuse 'through a file: H2, control' 1 walled -v "$box/outside:/outside:ro" -- ./probe probe writable /outside
  row 'N1 N2 loopback only' interfaces
  row 'N3 N4 N5 no route' unreachable 169.254.169.254:80 100.100.100.200:80 168.63.129.16:80 192.0.2.1:53
  row 'N5 no resolver' no-names
  targets=(169.254.169.254:80 127.0.0.1:22 '[::1]:22' 100.100.100.200:80 elsewhere.example:443)
  asked() { walled "$1" "$2" -- ./probe probe asked-proxy "${targets[@]/%/$'\t403\tpinfold:'}"; }
  check 'through a file: N3 N7 N8 N15 hostile targets' asked --allow other.example
  refuse 'through a file: N3 N7 N8 N15 hostile targets, control' 1 asked --allow elsewhere.example
  nothing() { walled "$@" -- ./probe probe asked-proxy $'elsewhere.example:443\t403\tpinfold: the allow-list is empty'; }
  check 'through a file: N14 empty allow-list' nothing
  refuse 'through a file: N14 empty allow-list, control' 1 nothing --allow elsewhere.example
  python3 -c 'import socket,sys,time; s=socket.socket(); s.bind(("127.0.0.1",0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(120)' >"$box/port" & listener=$!
  for _ in $(seq 100); do [ -s "$box/port" ] && break; sleep 0.1; done
  row 'N16 host loopback' host-port "$(cat "$box/port")"
  kill "$listener"; wait "$listener" 2>/dev/null
  rm -f "$walls"
else
  skip 'rows through a file' 'the isolation suite is not built: cargo test --workspace --no-run'
fi
rm -rf "$box"
