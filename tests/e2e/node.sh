#!/usr/bin/env bash
# A Kubernetes node without a cluster, in namespaces of its own: containerd with its CRI, CNI, a registry on loopback, and an
# outside that pods can reach. Whoever ends this process ends all of it.
#
#   [pods 10.88.0.0/16] ── ptp ── node 10.88.0.1 ── veth ── outside: 1.1.1.1, 8.8.8.8, 169.254.169.254, 1.0.0.1
#
# Usage: node.sh DIRECTORY [COMMAND...]   as the first process of `unshare --net --mount --pid --fork --mount-proc`
# DIRECTORY gets `ready` once containerd answers; COMMAND is started in the outside.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
at=$1; shift
mount --make-rprivate /
# Everything that containerd, runc and CNI keep beside their folders goes with the namespace.
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/netns /run/containerd "$at/root" "$at/cni" "$at/hosts/127.0.0.1:5000" "$at/leases" "$at/kept"
ip link set lo up
ip netns add outside
ip link add out0 type veth peer name in0 netns outside
ip address add 198.18.0.1/30 dev out0 && ip link set out0 up
ip netns exec outside sh -c '
  ip link set lo up; ip address add 198.18.0.2/30 dev in0; ip link set in0 up; ip route add default via 198.18.0.1
  for a in 1.1.1.1 8.8.8.8 169.254.169.254 1.0.0.1; do ip address add $a/32 dev lo; done'
ip route add default via 198.18.0.2
ip route add 169.254.169.254/32 via 198.18.0.2
echo 1 >/proc/sys/net/ipv4/ip_forward
cat >"$at/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {"type": "host-local", "dataDir": "$at/leases", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
cat >"$at/containerd.toml" <<TOML
version = 2
root = "$at/root"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$at/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$at/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$at/hosts"
TOML
printf 'server = "http://127.0.0.1:5000"\n[host."http://127.0.0.1:5000"]\n  capabilities = ["pull", "resolve"]\n' >"$at/hosts/127.0.0.1:5000/hosts.toml"
printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:5000"}\n' "$at/kept" >"$at/registry.yml"
docker-registry serve "$at/registry.yml" >"$at/registry.log" 2>&1 &
[ "$#" = 0 ] || ip netns exec outside "$@" >"$at/outside.log" 2>&1 &
containerd --config "$at/containerd.toml" >"$at/containerd.log" 2>&1 &
for _ in $(seq 300); do [ -S /run/containerd/containerd.sock ] && break; sleep 0.1; done
printf 'int pause(void); int main(void) { for (;;) pause(); }\n' >"$at/pause.c"
cc -static -Os -s -o "$at/pause" "$at/pause.c"
/usr/bin/python3 "$here/node.py" "$at" ready >"$at/version"
/usr/bin/python3 "$here/node.py" "$at" pause "$at/pause" "$at/pause.tar"
ctr --namespace k8s.io images import "$at/pause.tar" >/dev/null
mv "$at/version" "$at/ready"
# Shims whose containerd is gone are adopted here.
while :; do wait -n || true; sleep 1; done
