# The image that a sealed worker comes from (a Dockerfile: one program, compiled in a stage of its own, on a slim Debian): each line of
# its list, held by the presets `sealed` and `sealed-debian`. The worker is any static program here; what it does is tried elsewhere.
box=$work/home/sealed; workers=$box/workers
mkdir -p "$box"/{w,own,tree} "$workers"/linux-{amd64,arm64}
cat >"$box/worker.c" <<'C'
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void) {
  char line[256]; FILE *status = fopen("/proc/self/status", "r");
  printf("ids %d:%d\n", getuid(), getgid());
  while (status && fgets(line, sizeof line, status))
    if (!strncmp(line, "CapEff", 6) || !strncmp(line, "CapPrm", 6) || !strncmp(line, "CapBnd", 6) || !strncmp(line, "NoNewPrivs", 10)) fputs(line, stdout);
  printf("root %s\n", fopen("/written", "w") ? "written" : "read-only");
  printf("workspace %s\n", fopen("/workspace/.written", "w") ? "written" : "read-only");
  return 0;
}
C
if ! { gcc -static -Os -s -o "$workers/linux-amd64/sandbox" "$box/worker.c" && aarch64-linux-gnu-gcc -static -Os -s -o "$workers/linux-arm64/sandbox" "$box/worker.c"; }; then
  skip 'the sealed image' 'gcc for both platforms'
else
own "$box"
seal() { as_user "$box/w" env PINFOLD_WORKERS="$workers" "$work/pinfold" "$@"; }

# "Build the in-sandbox entrypoint and ship it": the preset alone, both platforms, without a network.
check 'sealed: it is built from the preset alone' seal build --preset sealed --offline
refuse 'sealed: without a worker it says what to do' 2 as_user "$box/own" env PINFOLD_WORKERS="$box/none" "$work/pinfold" lock --preset sealed --offline
says 'sealed: by a command' 'cargo xtask worker' cat "$work/said"
check 'sealed: it verifies' seal verify sealed
check 'sealed: out of the store' seal copy sealed "oci:$box/layout:latest"
for arch in amd64 arm64; do
  size=$(skopeo inspect --raw --override-arch "$arch" "oci:$box/layout:latest" | python3 -c '
import json, os, sys
box, arch = sys.argv[1:]
blob = lambda digest: json.load(open(os.path.join(box, "blobs", *digest.split(":"))))
index = json.load(open(os.path.join(box, "index.json")))["manifests"][0]
found = [m for m in blob(index["digest"])["manifests"] if m["platform"]["architecture"] == arch]
manifest = blob(found[0]["digest"])
print(sum(part["size"] for part in manifest["layers"]) + manifest["config"]["size"])' "$box/layout" "$arch")
  check "sealed: at most 3 MB for $arch ($size)" test "$size" -le 3000000
done
single() { skopeo copy --override-arch amd64 "oci:$box/layout:latest" "oci:$box/single:latest" && umoci unpack --rootless --image "$box/single:latest" "$box/tree/bundle"; }
check 'sealed: umoci unpacks it' single
root=$box/tree/bundle/rootfs
# "runs /sandbox ... USER 65532:65532, WORKDIR /workspace, ENTRYPOINT".
config() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["process"]'"$1"')' "$box/tree/bundle/config.json"; }
same 'sealed: the entry point' "['/sandbox']" config '["args"]'
same 'sealed: the directory' /workspace config '["cwd"]'
same 'sealed: the user' "65532 65532" python3 - "$box/layout" <<'P'
import json, os, sys
blob = lambda digest: json.load(open(os.path.join(sys.argv[1], "blobs", *digest.split(":"))))
index = json.load(open(os.path.join(sys.argv[1], "index.json")))["manifests"][0]
users = {blob(blob(m["digest"])["config"]["digest"])["config"]["User"] for m in blob(index["digest"])["manifests"]}
print(*users.pop().split(":")) if len(users) == 1 else print(users)
P
# "A non-root account", without a shell; "mount points ... pre-created".
same 'sealed: the account' 'nonroot:x:65532:65532::/memory:/usr/sbin/nologin' grep ^nonroot "$root/etc/passwd"
same 'sealed: its group' 'nonroot:x:65532:' grep ^nonroot "$root/etc/group"
for place in queue queue/in queue/out run/pinfold run/ironclaw workspace memory shared dev proc sys tmp; do
  check "sealed: /$place is there" test -d "$root/$place"
done
# "Nothing but the program": no shell, no library, no packages; no secrets and no key.
same 'sealed: one program' /sandbox sh -c 'cd "$0" && find . -type f -perm /111 | sed s/^.//' "$root"
refuse 'sealed: no shell, no libraries, no packages' 2 sh -c 'ls -d "$0"/bin "$0"/lib "$0"/usr/lib "$0"/var/lib/dpkg' "$root"
same 'sealed: it is static' 0 sh -c 'readelf -l "$0" | grep -c INTERP || :' "$root/sandbox"
same 'sealed: no key' '' find "$root" -name '*.key' -o -name '*.pem'
# "gVisor with network=none, all caps dropped, no_new_privs, read-only rootfs": by pinfold's own runtime.
roots() { ls "$work/home/pinfold/data/rootfs" 2>/dev/null | grep -c '^[0-9a-f]*$'; }
before=$(roots)
seen() { seal run --image sealed --network none -w "$box/w:/workspace" -- /sandbox; }
check 'sealed: it runs' seen
cp "$work/out" "$box/seen"
same 'sealed: as 65532' 'ids 65532:65532' grep ^ids "$box/seen"
for set in CapPrm CapEff CapBnd; do
  same "sealed: $set is empty" 0000000000000000 sh -c "sed -n 's/^$set:[[:space:]]*//p' '$box/seen'"
done
same 'sealed: no new privileges' 1 sh -c "sed -n 's/^NoNewPrivs:[[:space:]]*//p' '$box/seen'"
same 'sealed: the root is read-only' 'root read-only' grep ^root "$box/seen"
same 'sealed: the workspace is not' 'workspace written' grep ^workspace "$box/seen"
# "unpack ONCE into a shared, digest-keyed rootfs".
check 'sealed: twice' seen
same 'sealed: one root for both' "$((before + 1))" roots

# Compile, then ship, is one manifest: the program of one's own takes the worker's place, after the user's word.
cat >"$box/own/pinfold.toml" <<'M'
preset = "sealed"
name = "own"
platforms = ["linux/amd64"]
[[build]]
path = "/sandbox"
command = ["gcc", "-static", "-Os", "-s", "-o", "made", "own.c"]
output = "made"
M
echo 'int main(void) { return 7; }' >"$box/own/own.c"; own "$box"
mine() { as_user "$box/own" "$work/pinfold" "$@"; }
refuse 'sealed: tools are asked about' 5 mine build
says 'sealed: with what they are' 'outside of any sandbox: `gcc -static' cat "$work/said"
word=$(grep -o 'sha256:[0-9a-f]*' "$work/said" | head -n 1)
refuse 'sealed: and nothing was run' 1 test -e "$box/own/made"
check 'sealed: the word' mine policy accept --digest "$word"
check 'sealed: it is built' mine build
says 'sealed: what was made is locked' "$(sha256sum <"$box/own/made" | cut -c1-64)" cat "$box/own/pinfold.lock"
refuse 'sealed: it is what runs' 7 mine run --image own --network none --

# The seed's own form: slim Debian, libssl3, ca-certificates; the missing program is an error.
refuse 'sealed-debian: without a program' 2 as_user "$box/w" "$work/pinfold" build --preset sealed-debian
says 'sealed-debian: it says which' '/sandbox' cat "$work/said"
mkdir "$box/debian"; cp "$box/own/made" "$box/debian/"
printf 'preset = "sealed-debian"\nplatforms = ["linux/amd64"]\n[[file]]\npath = "/sandbox"\nsource = "made"\nmode = "0755"\n' >"$box/debian/pinfold.toml"
own "$box/debian"
seed() { as_user "$box/debian" "$work/pinfold" "$@"; }
check 'sealed-debian: it is built' seed build
check 'sealed-debian: it verifies' seed verify sealed-debian
refuse 'sealed-debian: it runs' 7 seed run --network none --
same 'sealed-debian: the packages' 'ca-certificates libssl3' sh -c "grep -o 'name = \"\(ca-certificates\|libssl3\)\"' '$box/debian/pinfold.lock' | cut -d'\"' -f2 | sort -u | xargs"
fi
chmod -R u+w "$box" 2>/dev/null; rm -rf "$box"
