# Other programs read the image.
check 'export oci' run build -o "oci:$work/project/layout:latest"
check 'export oci-archive' run build --platform linux/amd64 --tag iteron-amd64 -o "oci-archive:$work/project/image.oci.tar"
check 'export docker-archive' run build --platform linux/amd64 --tag iteron-amd64 -o "docker-archive:$work/project/image.docker.tar"
if have skopeo; then
  for arch in amd64 arm64; do
    check "skopeo reads $arch" skopeo inspect --override-arch "$arch" "oci:$work/project/layout:latest"
  done
  check 'skopeo copies it to a directory, digests checked' skopeo copy --all "oci:$work/project/layout:latest" "dir:$work/copied"
  check 'skopeo reads the docker archive' skopeo inspect "docker-archive:$work/project/image.docker.tar"
  rm -rf "$work/copied"
else skip skopeo 'not installed'; fi
if have umoci; then
  umoci_layout() { skopeo copy --override-arch amd64 "oci:$work/project/layout:latest" "oci:$work/single:latest" && umoci unpack --image "$work/single:latest" "$work/bundle"; }
  check 'umoci unpacks amd64 (diff_ids checked)' umoci_layout
  same 'no set-id bit, directories included' '' find "$work/bundle/rootfs" -perm /6000
  check 'nothing of the host: no resolv.conf, hostname, device' sh -c "test ! -s $work/bundle/rootfs/etc/resolv.conf && test ! -e $work/bundle/rootfs/etc/hostname && test -z \"\$(find $work/bundle/rootfs -type b -o -type c)\""
  check 'dpkg --audit inside' chroot "$work/bundle/rootfs" dpkg --audit
  check 'apt-get check inside' chroot "$work/bundle/rootfs" apt-get check
  rm -rf "$work/bundle" "$work/single"
else skip umoci 'not installed'; fi
rm -f "$work/project/image.docker.tar"
