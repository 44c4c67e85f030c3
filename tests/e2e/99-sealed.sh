# Sealed workers (docs/sealed.md): a task goes in encrypted, the worker's own tool changes a file of the workspace, the reply comes out;
# the provider's key and the session key are nowhere inside; whatever is killed, nothing is lost. The same under runsc and runc.
provider=$work/sealed-provider
mkdir -m 755 "$provider"
key=canary-key-$RANDOM$RANDOM$RANDOM
authority "$provider"
own "$provider"
as_user "$provider" python3 "$here/provider.py" "$provider" "$key" true >/dev/null 2>&1 &
server=$!
for _ in $(seq 100); do [ -e "$provider/port" ] && break; sleep 0.1; done
base=https://127.0.0.1:$(cat "$provider/port" 2>/dev/null)
box=$work/home/workers; mkdir -m 755 "$box"; own "$box"
# NAME COMMAND...: in the workspace of a worker, with the provider's address and key where pinfold looks
beside() {
  local name=$1; shift
  mkdir -p "$box/$name"; own "$box/$name"
  as_user "$box/$name" env SSL_CERT_FILE="$provider/ca.pem" ANTHROPIC_API_KEY="$key" ANTHROPIC_BASE_URL="$base" \
    OPENAI_API_KEY="$key" OPENAI_BASE_URL="$base/v1" GEMINI_API_KEY="$key" GOOGLE_GEMINI_BASE_URL="$base" "$work/pinfold" "$@"
}
field() { # NAME EXPRESSION: of `ps --json`
  run ps --json | python3 -c "import json,sys; d=[s for s in json.load(sys.stdin) if s['name'] == '$1'][0]; print($2)"
}
# Its processes outside, process 1 before the program: what descends from its supervisor and has another root than this machine's.
processes() { # NAME
  python3 - "$work/home/pinfold/data/sandboxes/$1/state.json" <<'P'
import json, os, sys
def children(pid):
    for task in os.listdir(f'/proc/{pid}/task'):
        try: yield from open(f'/proc/{pid}/task/{task}/children').read().split()
        except OSError: pass
def below(pid):
    for child in children(pid):
        yield child
        yield from below(child)
own = os.stat('/')
for pid in below(json.load(open(sys.argv[1]))['supervisor']):
    root = os.stat(f'/proc/{pid}/root/')
    if (root.st_dev, root.st_ino) != (own.st_dev, own.st_ino): print(pid)
P
}
holds() { # NAME PATTERN-FILE: whether what a file holds is in the environment, the arguments or a file of the memory of its sandbox
  python3 - "$2" $(processes "$1") <<'P'
import os, sys
assert len(sys.argv) > 2, 'no process was found'
wanted = open(sys.argv[1], 'rb').read()
forms = [wanted, wanted.hex().encode()]
found = []
for pid in sys.argv[2:]:
    for name in ('environ', 'cmdline'):
        try: data = open(f'/proc/{pid}/{name}', 'rb').read()
        except OSError: continue
        found += [f'{pid}/{name}' for form in forms if form in data]
    for place in ('run', 'tmp', 'queue', 'memory', 'workspace', 'dev/shm'):
        for folder, _, files in os.walk(f'/proc/{pid}/root/{place}'):
            for file in files:
                path = os.path.join(folder, file)
                if not os.path.isfile(path): continue
                try: data = open(path, 'rb').read(1 << 24)
                except OSError: continue
                found += [path for form in forms if form in data]
print('\n'.join(found)); sys.exit(1 if found else 0)
P
}
sealed() { # NAME RUNTIME AGENT: the whole way of docs/sealed.md
  local name=$1 runtime=$2 agent=$3
  check "$runtime: $agent starts sealed" beside "$name" run --runtime "$runtime" --preset sealed --detach --name "$name" "$agent"
  says "$runtime: a task, and its reply" 'the work is done' beside "$name" send "$name" 'the canary task' --wait=60
  same "$runtime: the worker's own tool changed the workspace" 'made the canary task' cat "$box/$name/made-by-worker"
  check "$runtime: the provider was reached with the key" grep -q ' key$' "$provider/seen"
  check "$runtime: and never without" sh -c "! grep -q -e placeholder -e none '$provider/seen'"
  queue=$work/home/pinfold/data/sandboxes/$name/queue
  check "$runtime: no message is readable on the disk" sh -c "! grep -rqa 'canary task' '$queue'"
  printf %s "$key" >"$work/secret"
  check "$runtime: the provider's key is nowhere inside" holds "$name" "$work/secret"
  check "$runtime: nor the session key" holds "$name" "$queue/key"
  check "$runtime: nor either in logs or records" sh -c "! grep -rqa '$key' '$work/home/pinfold/data/sandboxes'"
  same "$runtime: nothing waits" '0' field "$name" "d['queue']['waiting']"
}
sealed w1 builtin claude-code-model
# The negative control: the search finds what is there.
control() { printf %s "the canary" >"$work/secret"; holds w1 "$work/secret" >"$work/found"; grep -q made-by-worker "$work/found"; }
check 'the same search finds what is there' control
says 'ps tells of it' sealed run ps --json
sealed w2 builtin codex-cli-model
sealed w3 builtin gemini-cli-model
for runtime in runc runsc; do
  if have $runtime; then sealed "w-$runtime" $runtime claude-code-model; check "$runtime: stop" run stop "w-$runtime"; else skip "$runtime" 'it is not installed'; fi
done

# Killed at any time. A process that is killed holds its lock until the kernel has ended it.
killed() { local _; for _ in $(seq 100); do [ "$(field w1 "d['status']")" = killed ] && return 0; sleep 0.1; done; run ps; return 1; }
for victim in program init supervisor; do
  case $victim in
    program) pid=$(processes w1 | tail -n 1) ;;
    init) pid=$(processes w1 | head -n 1) ;;
    supervisor) pid=$(python3 -c "import json; print(json.load(open('$work/home/pinfold/data/sandboxes/w1/state.json'))['supervisor'])") ;;
  esac
  beside w1 send w1 "task of $victim" >/dev/null 2>&1
  kill -9 "$pid"
  [ $victim = supervisor ] && check 'ps says so' killed && check 'started again under its name' beside w1 run --preset sealed --detach --name w1 claude-code-model
  says "kill -9 of its $victim: the reply comes" 'the work is done' timeout 90 env -- bash -c "$(declare -f beside as_user own); $(declare -p box provider key base work user); for _ in \$(seq 60); do beside w1 recv w1 && exit 0; sleep 1; done; exit 1"
done
refuse 'each of them once' 1 beside w1 recv w1
check 'stop' run stop w1
beside w1 send w1 'while it was away' >/dev/null 2>&1
check 'what was sent meanwhile waits' beside w1 run --preset sealed --detach --name w1 claude-code-model
says 'and is answered' 'the work is done' bash -c "$(declare -f beside as_user own); $(declare -p box provider key base work user); for _ in \$(seq 60); do beside w1 recv w1 && exit 0; sleep 1; done; exit 1"

# Judged from inside, with its control in the tests of `verify`.
says 'the red team finds nothing' PASS run verify --run --sealed w1
# A worker that is not there, and what is no worker.
refuse 'nobody of that name' 2 run send nobody hello
for name in w1 w2 w3; do run stop "$name" >/dev/null 2>&1; done
for name in w1 w2 w3 w-runc w-runsc; do run rm "$name" >/dev/null 2>&1; done
check 'nothing is left running' sh -c '! pgrep -u pinfold-e2e -x sandbox'
kill "$server" 2>/dev/null; wait "$server" 2>/dev/null
rm -rf "$box" "$provider"
