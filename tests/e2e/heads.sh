#!/usr/bin/env bash
# heads.sh PINFOLD HEAD: a file of `pinfold pack` for arm64, made on this machine with HEAD (`cargo xtask heads`), as far as it can be
# tried under qemu-user. That has neither seccomp nor Landlock, so no sandbox starts in it; what is said then is looked at.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
pinfold=$(realpath "$1"); head=$(realpath "$2")
work=$(mktemp -d "${TMPDIR:-/tmp}/pinfold-heads.XXXXXX"); chmod 755 "$work"
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
as_user_setup
install -m 755 "$pinfold" "$work/pinfold"; install -m 755 "$head" "$work/head"
mkdir -m 755 "$work/home" "$work/project"
cat >"$work/project/pinfold.toml" <<'M'
name = "small"
platforms = ["linux/arm64"]
[debian]
suite = "bookworm"
packages = ["bash"]
M
own "$work/home" "$work/project"
file=$work/project/small.AppImage
check 'an image for arm64' run build
refuse 'without a head of that platform nothing is packed' 2 run pack --platform linux/arm64 -o "$file"
says 'what makes one is said' 'xtask heads' cat "$work/said"
check 'with one it is' run pack --platform linux/arm64 --head "$work/head" -o "$file"
says 'a program for arm64' AArch64 readelf -h "$file"
refuse 'that needs no loader' 1 sh -c 'readelf -l "$1" | grep -q INTERP' sh "$file"
static=(qemu-aarch64-static)
arm() { as_user "$work/project" env -i HOME="$work/home" PATH=/usr/bin:/bin TERM=dumb "${static[@]}" "$file" "$@"; }
says 'it says what it is' linux/arm64 arm --pinfold-info
says 'it says that it is whole' whole arm --pinfold-verify
offset=$(arm --appimage-offset)
says 'unsquashfs lists it' 'squashfs-root/AppRun' unsquashfs -o "$offset" -ll "$file"
check 'it takes itself apart' arm --appimage-extract
says 'skopeo reads its layout' arm64 skopeo inspect --config "oci:$work/project/squashfs-root/oci"
started() { # in namespaces of its own, where programs for arm64 are started by qemu
  as_user "$work/project" unshare --user --map-root-user --mount --pid --fork --mount-proc sh -c '
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc &&
    printf ":arm64:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:/usr/bin/qemu-aarch64-static:F" >/proc/sys/fs/binfmt_misc/register &&
    HOME="$1" exec qemu-aarch64-static "$2" -- true' sh "$work/home" "$file"
}
started >"$work/words" 2>&1; got=$?
check "what does not start under qemu says so, and what is missing (exit $got)" grep -qE "^(error|hint):" "$work/words"
sed "s/^/      | /" "$work/words" | tail -n 8
finish
