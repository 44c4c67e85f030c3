# Each real agent works in a sandbox with its key outside: a stand-in for its provider asks it for a shell command, the command
# edits the workspace and looks for the key everywhere it can. Requests arrive with the key, and nothing inside has it.
provider=$work/provider
mkdir -m 755 "$provider"
key=canary-key-$RANDOM$RANDOM$RANDOM
authority "$provider"
own "$provider"
# The pattern is written so that it does not find itself.
search='printf made > made-by-agent; { env; cat /proc/*/environ /proc/*/cmdline; grep -rsa "canary-ke[y]" ~ /tmp /run /etc; } > evidence 2>/dev/null; true'
as_user "$provider" python3 "$here/provider.py" "$provider" "$key" "$search" >/dev/null 2>&1 &
server=$!
for _ in $(seq 100); do [ -e "$provider/port" ] && break; sleep 0.1; done
base=https://127.0.0.1:$(cat "$provider/port" 2>/dev/null)

at_work() { # AGENT "VARIABLES" ARGUMENTS...
  local agent=$1 variables=$2 dir=$work/at-$1; shift 2
  mkdir -m 755 "$dir"; own "$dir"; : > "$provider/seen"
  # shellcheck disable=SC2086
  check "$agent works, its tool call runs" as_user "$dir" env SSL_CERT_FILE="$provider/ca.pem" $variables \
    timeout 180 "$work/pinfold" run --quiet --image iteron-sandbox "$agent" -- "$@" </dev/null
  check "$agent edited the workspace" grep -q made "$dir/made-by-agent"
  check "$agent reached its provider with the key, never with the placeholder" \
    sh -c "grep -q ' key\$' '$provider/seen' && ! grep -q -e placeholder -e none '$provider/seen'"
  check "$agent has its key nowhere inside" sh -c "test -s '$dir/evidence' && ! grep -qa '$key' '$dir/evidence'"
  check "$agent left no key in logs or records" sh -c "! grep -rqa '$key' '$work/home/pinfold/data/sandboxes'"
}
at_work claude-code "ANTHROPIC_API_KEY=$key ANTHROPIC_BASE_URL=$base" -p work
at_work codex-cli "OPENAI_API_KEY=$key OPENAI_BASE_URL=$base/v1" exec --skip-git-repo-check work
at_work gemini-cli "GEMINI_API_KEY=$key GOOGLE_GEMINI_BASE_URL=$base" -p work
at_work opencode "ANTHROPIC_API_KEY=$key ANTHROPIC_BASE_URL=$base" run -m anthropic/claude-sonnet-4-5 work
# The negative control: a key passed in by name is found by the same search.
control() {
  mkdir -m 755 "$work/at-control"; own "$work/at-control"
  as_user "$work/at-control" env SSL_CERT_FILE="$provider/ca.pem" ANTHROPIC_API_KEY="$key" ANTHROPIC_BASE_URL="$base" \
    timeout 180 "$work/pinfold" run --quiet --image iteron-sandbox --env ANTHROPIC_API_KEY claude-code -- -p work </dev/null
  grep -qa "$key" "$work/at-control/evidence"
}
check 'a key that is passed in is found by the same search' control
# A key file: only with mode 0600.
printf %s "$key" > "$provider/key"; own "$provider/key"; chmod 644 "$provider/key"
mkdir -m 755 "$work/at-file"; own "$work/at-file"
from_file() { # SECONDS
  as_user "$work/at-file" env SSL_CERT_FILE="$provider/ca.pem" ANTHROPIC_BASE_URL="$base" \
  timeout "$1" "$work/pinfold" run --quiet --image iteron-sandbox --key "file:$provider/key" claude-code -- -p work </dev/null; }
refuse_readable() { ! from_file 20 && ! test -e "$work/at-file/made-by-agent"; }
check 'a key file that others can read is not used' refuse_readable
chmod 600 "$provider/key"
check 'a key file of mode 0600 is' from_file 180
kill "$server" 2>/dev/null; wait "$server" 2>/dev/null
