# A registry from Debian's package on loopback: pushed to, pulled from on an empty machine, run, judged by podman and skopeo.
if have docker-registry; then
  mkdir -m 755 "$work/registry" "$work/empty" && own "$work/registry" "$work/empty"
  port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$work/registry/kept" "$port" >"$work/registry/config.yml"
  # Its own number: `$!` is that of the shell around it.
  as_user "$work/registry" sh -c 'echo $$ >pid && exec docker-registry serve config.yml' >"$work/registry/log" 2>&1 &
  registry_shell=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  there=127.0.0.1:$port/team/iteron-sandbox
  # The same user on a machine where nothing is yet.
  empty() { as_user "$work/empty" env PINFOLD_HOME="$work/empty/pinfold" "$work/pinfold" "$@"; }
  check 'pinfold push: both platforms as one index' run push iteron-sandbox "$there:1"
  says 'pinfold push: the same again is nothing to do' 'is there already' run push iteron-sandbox "$there:1"
  refuse 'pinfold push: what is larger than its budget is refused' 5 run push --budget 1MiB iteron-sandbox "$there:large"
  says 'it says how large it is' 'over the budget of 1 MiB' cat "$work/said"
  check 'pinfold pull: on an empty machine' empty pull "$there:1"
  says 'pinfold pull: the same again is nothing to do' 'is up to date' empty pull "$there:1"
  check 'what was pulled is whole' empty verify --only oci "$there:1"
  same 'the index is the one that was built' "$(run images --json | json /dev/stdin 'next(i["digest"] for i in d if i["repository"] == "iteron-sandbox")')" empty --quiet pull "$there:1"
  agent() { as_user "$work/empty" env PINFOLD_HOME="$work/empty/pinfold" "$work/pinfold" run --quiet --image "$@"; }
  mkdir -m 755 "$work/empty/w" && own "$work/empty/w"
  check 'pinfold run --image: an agent of it' agent "$there:1" -w "$work/empty/w" claude-code -- --version
  check 'pinfold run --image: by the digest of its index' agent "$there@$(run images --json | json /dev/stdin 'next(i["digest"] for i in d if i["repository"] == "iteron-sandbox")')" -w "$work/empty/w" --offline -- true
  # Another agent's image that is not there yet comes by itself.
  check 'an image is pulled when it is run' as_user "$work/empty" env PINFOLD_HOME="$work/empty/second" "$work/pinfold" run --quiet --image "$there:1" -w "$work/empty/w" -- true
  if have skopeo; then
    check 'skopeo copies all of it' skopeo copy --all --preserve-digests --src-tls-verify=false "docker://$there:1" "oci:$work/registry/copied:1"
    rm -rf "$work/registry/copied"
  fi
  if have podman; then
    check 'podman pulls it from there' podman pull --quiet --tls-verify=false "$there:1"
    podman_run() { podman --runtime runc run --rm --ulimit nofile=1024:20000 --ulimit nproc=4096:4096 --network none "$@"; }
    check 'podman runs an agent of it' podman_run --entrypoint claude "$there:1" --version
    podman rmi -f "$there:1" >/dev/null 2>&1
    mkdir -m 700 "$work/loader"
    check 'pinfold load --to podman' env HOME="$work/loader" PINFOLD_HOME="$work/loader/pinfold" "$work/pinfold" load "oci:$work/project/layout:latest" --to podman
    check 'podman runs what was loaded' podman_run --entrypoint claude localhost/iteron-sandbox:latest --version
    podman rmi -f localhost/iteron-sandbox:latest >/dev/null 2>&1
  else skip podman 'not installed'; fi
  # One byte of the largest layer that the registry keeps.
  layer=$(find "$work/registry/kept" -name data -size +1M -printf '%s %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
  hex=$(basename "$(dirname "$layer")")
  check 'a layer is tampered with' python3 -c 'import sys; f=open(sys.argv[1],"r+b"); f.seek(5000); b=f.read(1); f.seek(5000); f.write(bytes([b[0]^1]))' "$layer"
  refuse 'pinfold pull: a tampered layer is refused' 4 as_user "$work/empty" env PINFOLD_HOME="$work/empty/third" "$work/pinfold" pull --all-platforms "$there:1"
  says 'by its digest' "$hex" cat "$work/said"
  same 'and nothing has a name' '[]' as_user "$work/empty" env PINFOLD_HOME="$work/empty/third" "$work/pinfold" images --json
  kill "$(cat "$work/registry/pid")"; wait "$registry_shell" 2>/dev/null
  chmod -R u+w "$work/empty" "$work/registry" 2>/dev/null; rm -rf "$work/empty" "$work/registry" "$work/loader"
else
  skip 'the registry' 'docker-registry is not installed'
fi
