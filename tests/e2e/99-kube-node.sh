# A Kubernetes node without a cluster: Debian's containerd, runc and CNI in namespaces of their own, asked through CRI by a client
# that is not ours (node.py). The image comes there as it would on a real one: pushed to a registry, pulled by its digest.
# What a cluster's network does (NetworkPolicy, Services) nftables does here, by the same objects.
if [ "$(id -u)" != 0 ]; then
  skip 'a Kubernetes node' 'containerd and its network need root'
elif ! have containerd || ! have runc || ! have docker-registry || ! have nft || [ ! -x /usr/lib/cni/ptp ] || ! /usr/bin/python3 -c 'import grpc, yaml' 2>/dev/null; then
  skip 'a Kubernetes node' 'containerd, runc, docker-registry, nftables, containernetworking-plugins, python3-grpcio and python3-yaml are not all installed'
else
  n=$work/node; mkdir -m 755 "$n"
  # Control groups are the host's: those without a process go by their names, here what a run that was killed has left.
  ungrouped() {
    local group
    for group in /sys/fs/cgroup/{*/,}{pinfold-node,k8s.io}; do [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; done
  }
  ungrouped
  # What can be reached where nothing forbids it.
  cat >"$n/outside.py" <<'PY'
import socket, select
ends = []
for address, port in (("1.1.1.1", 443), ("8.8.8.8", 53), ("169.254.169.254", 80)):
    end = socket.socket(); end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); end.bind((address, port)); end.listen(64); ends.append(end)
while True:
    for end in select.select(ends, [], [])[0]:
        end.accept()[0].close()
PY
  unshare --net --mount --pid --fork --kill-child --mount-proc bash "$here/node.sh" "$n" python3 "$n/outside.py" >"$n/log" 2>&1 &
  node_holder=$!
  for _ in $(seq 300); do [ -e "$n/ready" ] && break; sleep 0.2; done
  node_first=$(pgrep -P "$node_holder")
  node() { nsenter --target "$node_first" --net --mount --pid --wd="$PWD" -- "$@"; } # COMMAND...: on the node
  on() { node /usr/bin/python3 "$here/node.py" "$n" "$@"; } # VERB...
  inside_pod() { local pod=$1; shift; on exec "$pod" -- "$@"; }
  says 'containerd answers CRI' containerd cat "$n/ready"

  there=127.0.0.1:5000/team/iteron-sandbox
  digest=$(json "$work/project/layout/index.json" 'd["manifests"][0]["digest"]')
  check 'pinfold push: to the node'"'"'s registry' node env PINFOLD_HOME="$n/home" "$work/pinfold" push "oci:$work/project/layout:latest" "$there:1"
  begin=$(date +%s%N)
  check 'the node pulls it by its digest' on pull "$there@$digest"
  echo "      pulled and unpacked in $((($(date +%s%N) - begin) / 1000000)) ms"

  # A pod as the standard *restricted* has it, and a policy that lets nothing out but to the proxy.
  cat >"$n/pod.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: agent, namespace: pinfold, labels: {app.kubernetes.io/name: agent}}
spec:
  automountServiceAccountToken: false
  dnsPolicy: None
  dnsConfig: {nameservers: [127.0.0.1]}
  securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: agent
    image: $there@$digest
    command: [/usr/bin/tini, --, sleep, infinity]
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    resources: {limits: {cpu: "1", memory: 1Gi}}
    volumeMounts: [{name: tmp, mountPath: /tmp}, {name: home, mountPath: /home/iteron}]
  volumes: [{name: tmp, emptyDir: {}}, {name: home, emptyDir: {}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: only-proxy, namespace: pinfold}
spec:
  podSelector: {}
  policyTypes: [Ingress, Egress]
  egress:
  - to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: pinfold-proxy}}, podSelector: {matchLabels: {app.kubernetes.io/name: pinfold-proxy}}}]
    ports: [{port: 8443}]
YAML
  # The smallest pod of the same image: what a pod costs by itself.
  sed 's|\[/usr/bin/tini, --, sleep, infinity\]|[sleep, infinity]|' "$n/pod.yaml" >"$n/plain.yaml"
  ways=(1.1.1.1/443 8.8.8.8/53 169.254.169.254/80)
  reach() { for way in "${ways[@]}"; do inside_pod agent timeout 3 bash -c "exec 3<>/dev/tcp/$way" 2>/dev/null && echo "$way"; done; true; }

  check 'a pod of it starts' on up "$n/pod.yaml"
  same 'uid 1000, no capability, seccomp, no new privileges' '1000 0000000000000000 2 1' inside_pod agent bash -c 'echo $(id -u) $(sed -n -e "s/^CapBnd:.//p" -e "s/^Seccomp:.//p" -e "s/^NoNewPrivs:.//p" /proc/self/status | sort -r | tr "\n" " " | awk "{print \$3, \$1, \$2}")'
  check 'its root cannot be written, its home and /tmp can' inside_pod agent bash -c '! touch /usr/x 2>/dev/null && ! touch /x 2>/dev/null && touch ~/x /tmp/x'
  for agent in claude codex gemini opencode; do
    check "$agent --version in the pod" inside_pod agent "$agent" --version
    tail -n 1 "$work/out" | sed 's/^/      /'
  done
  same 'without a policy everything can be reached (the control)' "${ways[*]}" bash -c "$(declare -f reach inside_pod on node); ways=(${ways[*]}) n=$n here=$here node_first=$node_first; echo \$(reach)"
  echo '      from here on nftables enforces the NetworkPolicies, in place of a cluster'"'"'s network'
  check 'the policy is in force' on policy on
  same 'with it nothing can' '' reach
  check 'the pod ends' on end agent
  same 'nothing is left of it' '' on left

  says '50 pods run at once, and end' '50 of 50' on many "$n/plain.yaml" 50
  sed 's/^/      /' "$work/out"
  same 'nothing is left of them: no process, namespace, control group, mount, lease' '' on left

  # What `pinfold kube` writes, as it writes it: the agents' pod with process 1, two proxies, a provider outside.
  provider=$n/provider; mkdir -m 755 "$provider" "$n/agents" "$n/proxy" && own "$n/agents" "$n/proxy" && own "$n"
  key=canary-key-$RANDOM$RANDOM$RANDOM
  authority "$provider" 1.0.0.1
  node ip netns exec outside python3 "$here/provider.py" "$provider" "$key" 'printf made >made-by-agent' 1.0.0.1 443 >"$provider/log" 2>&1 &
  owned() { local dir=$1; shift; node runuser -u "$user" -- env -C "$dir" HOME="$work/home" PINFOLD_HOME="$work/home/pinfold" "$work/pinfold" "$@"; }
  printf 'preset = "iteron"\nname = "node-agents"\nplatforms = ["linux/amd64"]\n\n[[build]]\npath = "/usr/local/libexec/pinfold/pinfold"\npinfold = true\n' >"$n/agents/pinfold.toml"
  printf 'preset = "proxy"\nname = "node-proxy"\nplatforms = ["linux/amd64"]\n' >"$n/proxy/pinfold.toml"
  check 'an image with process 1 in it is built' as_user "$n/agents" "$work/pinfold" build --quiet
  check 'the proxy'"'"'s image is built' as_user "$n/proxy" "$work/pinfold" build --quiet
  check 'the proxy'"'"'s image is pushed' owned "$n/proxy" push node-proxy 127.0.0.1:5000/team/proxy:1
  check 'pinfold kube: the agents'"'"' image is pushed, objects are written' owned "$n/agents" kube claude-code@demo --pod -o "$n/agents/k8s" --push 127.0.0.1:5000/team/agents:1 --proxy-image 127.0.0.1:5000/team/proxy:1 --proxy-address 10.96.0.80
  check 'pinfold kube --secrets' bash -c "$(declare -f owned node); work=$work user=$user node_first=$node_first; export ANTHROPIC_API_KEY=$key; owned '$n/agents' kube --secrets k8s >'$n/secrets.yaml'"
  check 'no key is in the objects' sh -c "! grep -rq '$key' '$n/agents/k8s'"
  # Of the objects two things are other than exported: where the provider is, with who vouches for it, and for how long process 1
  # hopes for a policy.
  check 'the provider is the stand-in' /usr/bin/python3 - "$n/agents/k8s" "$provider/ca.pem" <<'PY'
import pathlib, sys, yaml
folder, authority = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text()
file = folder / "proxy.yaml"
objects = list(yaml.safe_load_all(file.read_text()))
for one in objects:
    if one["kind"] == "ConfigMap":
        text = one["data"]["proxy.toml"]
        changed = text.replace('upstream = "https://api.anthropic.com"', 'upstream = "https://1.0.0.1"')
        assert changed != text, text
        one["data"] |= {"proxy.toml": changed, "authority.pem": authority}
    if one["kind"] == "Deployment":
        one["spec"]["template"]["spec"]["containers"][0].setdefault("env", []).append({"name": "SSL_CERT_FILE", "value": "/etc/pinfold/proxy/authority.pem"})
file.write_text(yaml.safe_dump_all(objects))
file = folder / "agent.yaml"
text = file.read_text()
assert '"patience_seconds": 60' in text, text
file.write_text(text.replace('"patience_seconds": 60', '"patience_seconds": 10'))
PY
  agents=127.0.0.1:5000/team/agents proxies=127.0.0.1:5000/team/proxy
  for image in $(grep -rhoE "($agents|$proxies)@sha256:[0-9a-f]{64}" "$n/agents/k8s" | sort -u); do check "the node pulls ${image%%@*}" on pull "$image"; done
  k8s=("$n/agents/k8s" "$n/secrets.yaml")
  # The control: without the policies process 1 finds a way out, and says which.
  check 'the network lets everything through' on policy off
  for one in 0 1; do check "proxy $one starts" on up "${k8s[@]}" --pod Deployment/pinfold-proxy --name "proxy-$one"; done
  check 'an agent'"'"'s pod starts' on up "${k8s[@]}" --pod Pod/claude-code-demo --name open
  refuse 'process 1 does not start the agent where there is a way out: exit 78' 78 on wait open 90
  says 'it names what it reached' 1.1.1.1:443 cat "$work/said"
  check 'that pod ends' on end open
  check 'the policies are in force' on policy on
  check 'an agent'"'"'s pod starts under them' on up "${k8s[@]}" --pod Pod/claude-code-demo --name agent
  proven() { for _ in $(seq 120); do inside_pod agent /usr/local/libexec/pinfold/pinfold pod verify --json >"$n/proof" 2>&1 && return; sleep 0.5; done; cat "$n/proof"; on log agent; return 1; }
  check 'process 1 has proved that the proxy is the only way out' proven
  same 'process 1 is pinfold' /usr/local/libexec/pinfold/pinfold inside_pod agent bash -c 'tr "\0" "\n" </proc/1/cmdline | head -n 1'
  works() { inside_pod agent bash -c 'cd /workspace && rm -f made-by-agent && timeout 100 claude -p work </dev/null && cat made-by-agent'; }
  says 'an agent works: its request reaches the provider by way of the proxy' made works
  check 'the provider saw the key, never the placeholder' sh -c "grep -q ' key\$' '$provider/seen' && ! grep -q -e placeholder -e none '$provider/seen'"
  same 'the key is nowhere inside' 0 inside_pod agent bash -c '{ env; cat /proc/*/environ /proc/*/cmdline; grep -rsa "canary-ke[y]" / --exclude-dir=proc --exclude-dir=sys; } 2>/dev/null | grep -ac "canary-key-[0-9]"; true'
  refuse 'nothing else is reached' 1 inside_pod agent bash -c 'timeout 3 bash -c "exec 3<>/dev/tcp/1.1.1.1/443"; test $? = 0'
  check 'a proxy is killed' on kill proxy-0
  says 'the other one serves at once' made works
  check 'its address leaves the Service' on dead proxy-0
  says 'and goes on' made works
  check 'it is replaced' on up "${k8s[@]}" --pod Deployment/pinfold-proxy --name proxy-2
  check 'the pods end' on end agent proxy-0 proxy-1 proxy-2
  same 'nothing is left of them' '' on left

  # The same image as a sandbox of `run`, in this containerd.
  mkdir -m 755 "$n/w" && chown 1000:1000 "$n/w"
  # What runs beside a script heeds no interrupt, unless told to.
  in_pod() { node env --default-signal PINFOLD_HOME="$n/home" "$work/pinfold" run --quiet --runtime containerd --image "oci:$work/project/layout:latest" -w "$n/w" "$@"; }
  check 'run --runtime containerd: an agent' in_pod claude-code -- --version
  tail -n 1 "$work/out" | sed 's/^/      /'
  same 'run --runtime containerd: uid 1000, no capability, seccomp, no new privileges' '1000 0000000000000000 1 2' in_pod -- bash -c 'echo $(id -u) $(sed -n "s/^CapBnd:.//p" /proc/self/status) $(sed -n "s/^NoNewPrivs:.//p" /proc/self/status) $(sed -n "s/^Seccomp:.//p" /proc/self/status)'
  check 'run --runtime containerd: the workspace can be written, the root cannot' in_pod -- bash -c 'echo x > made && ! touch /etc/x 2>/dev/null && ! touch /usr/x 2>/dev/null && touch ~/x /tmp/x'
  check 'run --runtime containerd: what was made is there' test -s "$n/w/made"
  check 'run --runtime containerd: no interface but loopback, no way out' in_pod -- bash -c 'test "$(grep -c : /proc/net/dev)" = 1 && ! timeout 3 bash -c "exec 3<>/dev/tcp/1.1.1.1/443" 2>/dev/null'
  same 'run --runtime containerd: the proxy refuses a host that is not listed' 403 in_pod -- bash -c 'curl -s -o /dev/null -w %{http_connect} https://example.invalid/; true'
  check 'run --runtime containerd: the key stays outside' bash -c "$(declare -f in_pod node); work=$work n=$n node_first=$node_first; export ANTHROPIC_API_KEY=canary-key-1234; in_pod claude-code -- -h >/dev/null && ! in_pod -- bash -c 'env; cat /proc/*/environ' | grep -q canary"
  refuse 'run --runtime containerd: the exit code' 7 in_pod -- bash -c 'exit 7'
  same 'run --runtime containerd: input and output are streams' 'two three' bash -c "$(declare -f in_pod node); work=$work n=$n node_first=$node_first; echo two | in_pod -- bash -c 'read -r x; echo \$x three'"
  cat >"$n/terminal" <<SH
$(declare -f in_pod node)
work=$work n=$n node_first=$node_first
stty rows 24
in_pod -- bash -c 'test -t 0 && echo "\$(tty) has \$(stty size | cut -d" " -f1) lines"'
SH
  same 'run --runtime containerd: a terminal of its own' '/dev/pts/0 has 24 lines' bash -c "script -qec 'bash $n/terminal' /dev/null </dev/null | tr -d '\r' | grep -o '/dev/pts/.*'"
  interrupted() { # SIGNAL CODE
    in_pod -- bash -c 'trap "exit 9" INT; echo begun; while :; do sleep 0.1; done' >"$n/begun" 2>&1 &
    local shell=$!
    for _ in $(seq 200); do grep -q begun "$n/begun" && break; sleep 0.1; done
    node pkill "-$1" -x pinfold; wait "$shell"; local code=$?
    [ "$code" = "$2" ] || { echo "exit $code"; return 1; }
  }
  check 'run --runtime containerd: an interrupt reaches the program' interrupted INT 9
  same 'and nothing is left' '' on left
  check 'run --runtime containerd: the supervisor is killed' interrupted KILL 137
  check 'what it left is removed by `ps`' node env PINFOLD_HOME="$n/home" "$work/pinfold" ps
  same 'and nothing is left' '' on left
  refuse 'run --runtime containerd: a socket where nobody listens' 125 in_pod --cri-socket /run/none.sock -- true
  says 'it says what to do' 'CONTAINER_RUNTIME_ENDPOINT' cat "$work/said"
  chown -R 0:0 "$n/w"
  refuse 'run --runtime containerd: a workspace of another user' 125 in_pod -- true
  says 'it says what to do' 'chown -R 1000' cat "$work/said"

  # It heeds no other signal while its child runs; with it everything of the node goes.
  kill -KILL "$node_holder"; wait "$node_holder" 2>/dev/null
  ungrouped
  same 'nothing of the node is left' '' sh -c "pgrep -f '$n/[c]ontainerd.toml'; ls -d /sys/fs/cgroup/*/pinfold-node 2>/dev/null; grep -F '$n' /proc/self/mountinfo; true"
  rm -rf "$n"
fi
