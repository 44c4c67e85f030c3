# Images that podman, buildah, umoci and a writer of many layers made, judged as verify-others records it: nothing more fails, nothing less.
if [ "$(id -u)" = 0 ] && have mmdebstrap && have podman && have buildah && have umoci && have busybox && have docker-registry; then
  others=$work/others; mkdir -m 755 "$others"
  stores() { "$1" --root "$others/store" --runroot "$others/state" --storage-driver vfs "${@:2}"; }
  make_others() (
    set -eu
    cd "$others"
    apt-get indextargets --format '$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)' |
      awk '$1 == "Packages" && $3 ~ /^bookworm/ && $4 == "main" {print "deb " $2 " " $3 " " $4}' | sort -u >sources
    mmdebstrap --quiet --mode=root --variant=essential --include=ca-certificates bookworm debian.tar sources
    mkdir -p small/bin small/etc small/root small/tmp && chmod 1777 small/tmp
    cp "$(command -v busybox)" small/bin/busybox
    for applet in sh ls cat env; do ln -s busybox "small/bin/$applet"; done
    printf 'root:x:0:0::/root:/bin/sh\n' >small/etc/passwd; printf 'root:x:0:\n' >small/etc/group
    tar -C small --sort=name --owner=0 --group=0 -cf small.tar .
    printf '#!/bin/sh\nexec "$@"\n' >tool && chmod 755 tool

    # podman: a root file system as it is; the same with a user, by a Containerfile; one whose platform is a lie.
    stores podman import --quiet --change 'CMD ["/bin/sh"]' debian.tar localhost/import:1
    stores podman save --quiet --format oci-archive -o import.tar localhost/import:1
    cat >Containerfile <<'FILE'
FROM localhost/import:1
ENV TERM=xterm
RUN echo 'worker:x:1000:1000::/home/worker:/bin/sh' >>/etc/passwd && echo 'worker:x:1000:' >>/etc/group && \
    install -d -o 1000 -g 1000 /home/worker && rm -rf /usr/share/doc/tar && chmod u-s,g-s /usr/bin/su /usr/bin/newgrp
COPY tool /usr/local/bin/tool
WORKDIR /home/worker
USER worker
ENTRYPOINT ["/usr/local/bin/tool"]
FILE
    stores podman build --quiet --isolation chroot --layers=false -t localhost/build:1 .
    stores podman save --quiet --format oci-archive -o build.oci.tar localhost/build:1
    stores podman save --quiet --format docker-archive -o build.docker.tar localhost/build:1
    stores podman import --quiet --arch arm64 --change 'CMD ["/bin/sh"]' small.tar localhost/lie:1
    stores podman save --quiet --format oci-archive -o lie.tar localhost/lie:1

    # buildah: a user without an account, in both forms of manifests.
    container=$(stores buildah from scratch)
    stores buildah add --quiet "$container" small.tar /
    stores buildah config --user 1000:1000 --cmd /bin/sh --env DEPLOY_TOKEN=oo8Ahgei2Quahn7ieR "$container"
    stores buildah commit --quiet --format oci "$container" oci:buildah:1
    stores buildah commit --quiet --format docker --tls-verify=false "$container" "docker://$1/buildah:1"
    # umoci: layers that change and remove what is below.
    umoci init --layout umoci
    umoci new --image umoci:1
    umoci unpack --image umoci:1 bundle
    cp -a small/. bundle/rootfs/
    umoci repack --refresh-bundle --image umoci:1 bundle
    rm bundle/rootfs/bin/cat && mkdir -p bundle/rootfs/opt && chmod 4755 bundle/rootfs/bin/busybox && mkfifo bundle/rootfs/opt/pipe
    umoci repack --image umoci:1 bundle
    umoci insert --image umoci:1 tool /usr/local/bin/tool
    umoci config --image umoci:1 --config.cmd /usr/local/bin/tool

    # As tools for Nix stores do it: a layer for each path of the store.
    for arch in amd64 arm64; do python3 "$here/images.py" many "$arch" small/bin/busybox "many-$arch"; done
    python3 "$here/images.py" absolute amd64 small/bin/busybox absolute
    stores buildah manifest create localhost/both:1
    stores buildah manifest add localhost/both:1 oci:many-amd64
    stores buildah manifest add localhost/both:1 oci:many-arm64
    stores buildah manifest push --all localhost/both:1 oci:both:1
  )
  mkdir -m 755 "$others/registry"
  port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$others/registry/kept" "$port" >"$others/registry/config.yml"
  docker-registry serve "$others/registry/config.yml" >"$others/registry/log" 2>&1 &
  registry=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  check 'podman, buildah, umoci and a writer of many layers make images' make_others "127.0.0.1:$port"
  chmod -R a+rX "$others"
  reports=()
  judged() { # NAME IMAGE: its verdicts, whatever they are
    as_user "$others" "$work/pinfold" verify --json "$2" >"$work/$1.json" 2>"$work/err"
    reports+=("$1=$work/$1.json")
  }
  judged import oci-archive:import.tar
  judged build-oci oci-archive:build.oci.tar
  judged build-docker docker-archive:build.docker.tar
  judged lie oci-archive:lie.tar
  judged buildah-oci oci:buildah:1
  judged buildah-docker "docker://127.0.0.1:$port/buildah:1"
  judged umoci oci:umoci:1
  judged many-amd64 oci:many-amd64
  judged many-archive docker-archive:many-amd64.tar
  judged many-arm64 docker-archive:many-arm64.tar
  judged both oci:both:1
  judged absolute docker-archive:absolute.tar
  check 'their verdicts are those that are recorded' python3 "$here/verdicts.py" "$here/verify-others" "${reports[@]}"
  # Controls: a record that is missing, and one that nothing needs, are told.
  grep -v 'hardening.set-id' "$here/verify-others" >"$others/less"; cat "$here/verify-others" - >"$others/more" <<<'* closure.links failed /nowhere # it is not so'
  refuse 'a finding that nobody recorded is told' 1 python3 "$here/verdicts.py" "$others/less" "${reports[@]}"
  refuse 'a record of nothing is told' 1 python3 "$here/verdicts.py" "$others/more" "${reports[@]}"
  same 'what the registry gave was of Docker'"'"'s types' application/vnd.docker.distribution.manifest.v2+json \
    curl -s -o /dev/null -w '%{content_type}' -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' "http://127.0.0.1:$port/v2/buildah/manifests/1"
  kill "$registry"; wait "$registry" 2>/dev/null
  rm -rf "$others"
else skip 'images of other tools' 'it needs root, mmdebstrap, podman, buildah, umoci, busybox and docker-registry'; fi
