# Every agent runs in podman, as the image's user, with a read-only root where only /tmp and the home can be written.
if have podman; then
  limits=; [ "$(id -u)" != 0 ] || limits='--ulimit nofile=1024:20000 --ulimit nproc=4096:4096'
  check 'podman loads the archive' podman load -q -i "$work/project/image.oci.tar"
  image=$(podman images -q --filter reference='*iteron*' | head -n 1)
  [ -n "$image" ] || image=$(podman images -q | head -n 1)
  inside() { podman run --rm --network none --runtime runc --read-only --tmpfs /tmp:rw,exec,mode=1777 $limits "$image" "$@"; }
  home() { podman run --rm --network none --runtime runc --read-only --tmpfs /tmp:rw,exec,mode=1777 $limits \
    --mount type=volume,destination=/home/iteron "$image" "$@"; }
  for agent in claude codex gemini opencode; do
    check "$agent --version" home "$agent" --version
    tail -n 1 "$work/out" | sed 's/^/      /'
  done
  # shellcheck disable=SC2086
  same 'the user is iteron 1000:1000' iteron podman run --rm --network none --runtime runc $limits "$image" id -u -n
  check 'tmux reads its configuration' home tmux -f /home/iteron/.tmux.conf new-session -d true
  check 'codex accepts its configuration' home sh -c 'codex doctor --json 2>/dev/null | grep -q . || codex --strict-config --version'
  check 'opencode accepts its configuration' home sh -c 'opencode debug config | jq -e ".permission"'
  check 'gemini accepts its configuration' home sh -c 'gemini --list-extensions 2>&1 | tee /tmp/o | grep -q "Invalid configuration" && exit 1 || exit 0'
  check 'claude accepts its configuration' home sh -c 'claude doctor </dev/null 2>&1 | tee /tmp/o; ! grep -qi "invalid settings" /tmp/o'
  check 'git, curl, jq, rg and ps are there' home sh -c 'git --version && curl --version && jq --version && rg --version && ps --version'
  podman rmi -f "$image" >/dev/null 2>&1
else skip podman 'not installed'; fi
