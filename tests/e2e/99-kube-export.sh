# Objects for a cluster of the image that was built, judged by the API's own schemas and by kubectl's kustomize.
if have docker-registry && have python3 && python3 -c 'import ensurepip' 2>/dev/null; then
  mkdir -m 755 "$work/kube" && own "$work/kube"
  port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$work/kube/kept" "$port" >"$work/kube/config.yml"
  as_user "$work/kube" sh -c 'echo $$ >pid && exec docker-registry serve config.yml' >"$work/kube/log" 2>&1 &
  kube_shell=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  image=127.0.0.1:$port/team/iteron-sandbox:1
  check 'the image is pushed' run push iteron-sandbox "$image"
  printf 'Say hello\n1e3\n~\nno\n' >"$work/kube/tasks.txt"
  kube() { as_user "$work/kube" env ANTHROPIC_API_KEY=sk-ant-canary-kube-0123456789 "$work/pinfold" kube "$@"; }
  export_as() { # DIR OPTION...
    local to=$1; shift
    kube claude-code@e2e --image "$image" --proxy-image "$image" --proxy-address 10.96.0.80 --program copy -o "$to" "$@"
  }
  export_as_codex() { kube codex-cli@e2e --image "$image" --proxy-image "$image" --proxy-address 10.96.0.80 --program copy -o "$@"; }
  check 'pinfold kube: a sandbox' export_as sandbox --until 2030-01-01T00:00:00Z
  check 'pinfold kube: a pool' export_as pool --pool 100 --until 2030-01-01T00:00:00Z --workspace pvc:20g --runtime-class gvisor
  check 'pinfold kube: a pod of codex, whose home changes' export_as_codex pod --pod --user-namespace
  check 'pinfold kube: a job' export_as job --job tasks.txt --workspace git:https://git.example/team/project.git
  check 'pinfold kube: for GKE' export_as gke --gke --until 2030-01-01T00:00:00Z
  check 'the same again' export_as again --until 2030-01-01T00:00:00Z
  check 'is the same, byte for byte' diff -r "$work/kube/sandbox" "$work/kube/again"
  refuse 'no key is in any of it' 1 grep -r sk-ant-canary "$work/kube/sandbox" "$work/kube/pool" "$work/kube/pod" "$work/kube/job" "$work/kube/gke"
  check 'it is in the stream of secrets' sh -c "cd '$work/kube' && ANTHROPIC_API_KEY=sk-ant-canary-kube-0123456789 HOME='$work/kube' '$work/pinfold' kube --secrets sandbox --only keys | grep -q c2stYW50LWNhbmFyeS1rdWJlLTAxMjM0NTY3ODk"
  check 'what routes change in the home is there' grep -q 'model_providers.pinfold' "$work/kube/pod/agent.yaml"
  check 'PyPI has the schemas' sh -c "cd '$work/kube' && python3 -m venv venv && venv/bin/pip install --quiet 'kubernetes-validate==1.37.*'"
  judged() { (cd "$work/kube" && venv/bin/python "$here/kube-objects.py" "$@"); }
  check 'the API of 1.34 to 1.37 takes every object' judged sandbox pool pod job gke
  check 'and every reviewed one' judged "$root/crates/kube/src/objects/reviewed"
  if have kubectl; then
    same 'kubectl reads the kustomization: 14 objects' 14 sh -c "kubectl kustomize '$work/kube/sandbox' | grep -c '^kind:'"
  fi
  kill "$(cat "$work/kube/pid")" 2>/dev/null; wait "$kube_shell" 2>/dev/null
else skip 'objects for a cluster' 'no docker-registry, or no python3 with venv'; fi
