# The image that was built, run and judged: every check of the group `run` holds, and each of its own answers is what another program
# says of the same image. Then the same image with something missing, and an owner's tests.
ran=$work/ran.json
verify_run() { as_user "$work/project" timeout 900 "$work/pinfold" verify iteron-sandbox --run --json --platform linux/amd64 --only run "$@" </dev/null; }
verify_run > "$ran" 2>"$work/ran.err"
same 'every check that runs the image passes' 12 jq '[.outcomes[] | select(.check | startswith("run.")) | select(.verdict == "passed")] | length' "$ran"
jq -r '.outcomes[] | select(.verdict != "passed") | "      \(.check) \(.verdict): \(.evidence) \(.findings)"' "$ran" | cut -c1-600
evidence() { jq -r --arg check "$1" '.outcomes[] | select(.check == $check) | .evidence' "$ran"; }
agents() { evidence "$1" | grep -o -E 'claude-code|codex-cli|gemini-cli|opencode' | sort -u | wc -l; }
for group in run.version run.config run.tool-call run.ca; do same "$group looked at four agents" 4 agents "$group"; done
if have podman; then
  limits=; [ "$(id -u)" != 0 ] || limits='--ulimit nofile=1024:20000 --ulimit nproc=4096:4096'
  podman load -q -i "$work/project/image.oci.tar" >/dev/null 2>&1
  image=$(podman images -q --filter reference='*iteron*' | head -n 1); [ -n "$image" ] || image=$(podman images -q | head -n 1)
  plain() { podman run --rm --network none --runtime runc $limits "$image" "$@" 2>/dev/null; }
  # shellcheck disable=SC2086
  same 'podman prints the same id' "$(evidence run.user)" plain id
  same 'podman has tini as process 1' tini plain cat /proc/1/comm
  podman rmi -f "$image" >/dev/null 2>&1
else skip podman 'not installed'; fi

cat > "$work/project/structure.yaml" <<'YAML'
schemaVersion: 2.0.0
commandTests:
- {name: node, command: node, args: [--version], expectedOutput: ['^v22\.']}
- {name: path, command: sh, args: ['-c', 'command -v claude && command -v codex && command -v gemini && command -v opencode'], expectedOutput: ['(?m)/claude$', '(?m)/opencode$']}
fileExistenceTests:
- {name: home, path: /home/iteron/.local/bin, uid: 1000, gid: 1000, permissions: drwxr-xr-x}
- {name: no shell of root, path: /usr/bin/gcc, shouldExist: false}
fileContentTests:
- {name: suite, path: /etc/os-release, expectedContents: ['(?m)^VERSION_CODENAME=bookworm$']}
metadataTest: {entrypoint: [/usr/bin/tini, --], cmd: [bash], user: '1000:1000'}
YAML
own "$work/project/structure.yaml"
structure() { as_user "$work/project" "$work/pinfold" verify iteron-sandbox --run --platform linux/amd64 --only test --structure-test structure.yaml </dev/null; }
refuses() { sed -i 's/bookworm/nowhere/' "$work/project/structure.yaml"; ! structure; }
check "an owner's tests hold" structure
check 'a test that does not hold is exit code 1' refuses
