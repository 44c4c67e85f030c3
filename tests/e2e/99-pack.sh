# One file that is an agent in its sandbox (`pinfold pack`): what other tools see in it, and that it starts where nothing else is.
# FILE... of the user's; the shell inside has no pinfold and no configuration.
box=$work/home/box; mkdir -p "$box/files/a b" "$box/home/project"; own "$box"
app="$box/files/a b/agents.AppImage"
# HOME-DIRECTORY COMMAND...: as the user, with nothing in the environment but a home
bare() { local home=$1; shift; as_user "$home/project" env -i HOME="$home" PATH=/usr/bin:/bin TERM=dumb "$@"; }
check 'pack an image' run pack iteron-sandbox -o "$app"
digest=$(sha256sum "$app" | cut -d' ' -f1)
packed_elsewhere() ( umask 077; cd "$box" && as_user "$box" "$work/pinfold" pack iteron-sandbox --output "$box/again.AppImage" )
says 'packed again elsewhere, with another umask, it is the same' "sha256:$digest" packed_elsewhere
cmp -s "$app" "$box/again.AppImage" && ok 'byte for byte' || fail 'byte for byte' same different cmp
rm -f "$box/again.AppImage"
says 'inspect reads it' claude-code run inspect "appimage:$app"
manifest=$(run inspect iteron-sandbox --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(next(p["manifest"] for p in d["platforms"] if p["platform"]=="linux/amd64"))' 2>/dev/null)
says 'verify reads it' passed run verify --only oci "appimage:$app"
says 'the file says of itself that it is whole' whole bare "$box/home" "$app" --pinfold-verify

# As AppImages are looked at.
offset=$(bare "$box/home" "$app" --appimage-offset)
squashfs() { unsquashfs -o "$offset" -ll "$app"; }
says 'unsquashfs lists it' 'squashfs-root/AppRun' squashfs
libappimage() { python3 - "$app" "$offset" <<'P'
import ctypes, sys
library = ctypes.CDLL('libappimage.so.1.0abi1')
file = sys.argv[1].encode()
assert library.appimage_get_type(file, 0) == 2, 'type'
library.appimage_get_payload_offset.restype = ctypes.c_long
assert library.appimage_get_payload_offset(file) == int(sys.argv[2]), 'offset'
library.appimage_list_files.restype = ctypes.POINTER(ctypes.c_char_p)
files, names = library.appimage_list_files(file), []
while files[len(names)]: names.append(files[len(names)])
assert b'AppRun' in names and b'oci/index.json' in names, names
plain = sys.argv[1] + '.plain'
open(plain, 'wb').write(open(file, 'rb').read(8) + bytes(3))
assert library.appimage_get_type(plain.encode(), 0) == -1, 'the control'
P
}
check 'libappimage takes it for an AppImage of type 2' libappimage
rm -f "$app.plain"
extracted="$box/home/project/squashfs-root"
check '--appimage-extract' bare "$box/home" "$app" --appimage-extract
check 'its desktop entry is one' desktop-file-validate "$extracted/iteron-sandbox.desktop"
check 'its AppStream data is such' appstreamcli validate --no-net "$extracted/usr/share/metainfo/iteron-sandbox.appdata.xml"
says 'skopeo reads its layout' "$manifest" skopeo inspect "oci:$extracted/oci"
check 'an icon is there' cmp "$extracted/.DirIcon" "$extracted/iteron-sandbox.png"
refuse 'not over what is there' 1 bare "$box/home" "$app" --appimage-extract
rm -rf "$extracted"
one() { bare "$box/home" "$app" --appimage-extract 'usr/*' && test -d "$extracted/usr" && test ! -e "$extracted/oci"; }
check 'what a pattern means' one
rm -rf "$extracted"
if [ "$(id -u)" = 0 ]; then
  mounted() { mkdir -p "$box/mounted" && unshare --mount sh -c 'mount -o loop,ro,offset="$1" "$2" "$3" && cat "$3/AppRun"' sh "$offset" "$app" "$box/mounted"; }
  says 'Linux mounts it' APPIMAGE mounted
fi
refuse 'an option that the contract does not have' 2 bare "$box/home" "$app" --appimage-nothing
refuse '--appimage-mount says what to do instead' 5 bare "$box/home" "$app" --appimage-mount
target() { bare "$box/home" env TARGET_APPIMAGE="$app" "$app" --appimage-offset; }
same 'TARGET_APPIMAGE is the file that is meant' "$offset" target

# It starts, where nothing is but a kernel, a shell and it.
says 'the first start' 'Claude Code' bare "$box/home" "$app" --version
says 'the second says nothing' '(Claude Code)' bare "$box/home" "$app" --version
quiet() { bare "$box/home" "$app" --version 2>&1 | grep -c unpack || true; }
same 'no more progress' 0 quiet
says 'another agent by its name' codex bare "$box/home" "$app" codex-cli --version
ln -sf "a b/agents.AppImage" "$box/files/opencode"; own "$box/files"
opencode=$(bare "$box/home" "$box/files/opencode" --version 2>/dev/null)
check "another by a link ($opencode)" grep -qE '^[0-9]+\.[0-9]+' <<<"$opencode"
lone() {
  as_user "$box" env -i PATH=/usr/bin:/bin bwrap --unshare-all --share-net --ro-bind "$app" /f.AppImage --ro-bind "$(command -v busybox)" /bin/sh \
    --proc /proc --dev /dev --tmpfs /tmp --bind "$box/home" /home/me --setenv HOME /home/me --chdir /home/me/project "$@"
}
says 'in a root that has the file and a shell' '(Claude Code)' lone /f.AppImage --version
inside() { bare "$box/home" "$app" --pinfold run --image "appimage:$app" -- "$@"; }
same 'words arrive as they are' "$(printf '%s|' '' '-h' '--' 'a b' '$x' '*' "'" "ü")" inside printf '%s|' '' -h -- 'a b' '$x' '*' "'" 'ü'
refuse 'the exit code is the program'"'"'s' 7 inside sh -c 'exit 7'
same 'CLAUDE_SANDBOXED is set for whoever reads it' 1 bare "$box/home" "$app" --pinfold run --image "appimage:$app" --env CLAUDE_SANDBOXED=1 -- printenv CLAUDE_SANDBOXED
echo secret >"$box/home/secret"; mkdir -p "$box/home/.ssh"; echo key >"$box/home/.ssh/id"; own "$box/home"
hidden() { inside sh -c 'ls -a ~ /root "$1" 2>/dev/null | grep -E "secret|id$|\.ssh$" || echo nothing' sh "$box/home"; }
same 'the home is not seen' nothing hidden
refuse 'nor by an option that the file does not have' 2 bare "$box/home" "$app" --share nothing

# What cannot be, and what is damaged.
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$box/theirs/data"
  refuse 'a directory of somebody else is no place' 5 bare "$box/home" env PINFOLD_HOME="$box/theirs" "$app" --version
  mkdir -p "$box/noexec"
  noexec() { unshare --mount sh -c 'mount -t tmpfs -o noexec,mode=1777 tmpfs "$1" && shift && exec "$@"' sh "$box/noexec" \
    runuser -u "$user" -- env -i HOME="$box/home" PATH=/usr/bin:/bin PINFOLD_HOME="$box/noexec/x" "$app" --version; }
  refuse 'nor one where nothing may be executed' 5 noexec
  says 'which is said' noexec cat "$work/said"
  small() { unshare --mount sh -c 'mount -t tmpfs -o size=100m,mode=1777 tmpfs "$1" && shift && exec "$@"' sh "$box/noexec" \
    runuser -u "$user" -- env -i HOME="$box/home" PATH=/usr/bin:/bin PINFOLD_HOME="$box/noexec/x" "$app" --version; }
  refuse 'nor one without room' 5 small
  says 'which is said, too' room cat "$work/said"
fi
torn() { # AT: the file with one byte of it another
  cp --reflink=auto "$app" "$box/torn.AppImage"
  python3 -c 'import sys; f=open(sys.argv[1],"r+b"); f.seek(int(sys.argv[2])); b=f.read(1); f.seek(-1,1); f.write(bytes([b[0]^16]))' "$box/torn.AppImage" "$1"
  own "$box/torn.AppImage"
}
mkdir -p "$box/new/project"; own "$box/new"
torn $((offset + 300000000))
refuse 'a flipped byte of a layer' 4 bare "$box/new" "$box/torn.AppImage" --pinfold-verify
refuse 'it does not start' 4 bare "$box/new" "$box/torn.AppImage" --version
left() { find "$box/new/.local/share/pinfold/rootfs" -mindepth 1 -maxdepth 1 -type d -not -name locks -not -name tmp | wc -l; }
same 'and leaves no root' 0 left
torn 200000
refuse 'a flipped byte of the program' 4 bare "$box/new" "$box/torn.AppImage" --pinfold-verify
truncate -s -4096 "$box/torn.AppImage"
refuse 'a truncated file' 4 bare "$box/new" "$box/torn.AppImage" --version
rm -rf "$box/torn.AppImage" "$box/new"

# What is kept goes when the file has gone.
kept() { find "$box/home/.local/share/pinfold/rootfs" -mindepth 1 -maxdepth 1 -type d -not -name locks -not -name tmp | wc -l; }
check 'gc' bare "$box/home" "$app" --pinfold gc --yes
same 'leaves the root of a file that is there' 1 kept
cp "$work/pinfold" "$box/pinfold"; mv "$app" "$box/moved"
check 'gc of another pinfold' bare "$box/home" "$box/pinfold" gc --yes
same 'frees that of one that has gone' 0 kept
rm -rf "$box"
