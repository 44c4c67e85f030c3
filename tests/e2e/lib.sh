# Shared by the parts of the end-to-end run.
passed=0; failed=0; skipped=0
ok() { passed=$((passed + 1)); echo "ok    $1"; }
fail() { # NAME WANTED GOT COMMAND...: what was run, what should have come out, what did; the output is in $work/out
  local name=$1 wanted=$2 got=$3; shift 3
  failed=$((failed + 1))
  printf 'FAIL  %s\n      command: %s\n      wanted:  %s\n      got:     %s\n' "$name" "$*" "$wanted" "$got"
  tail -n 25 "$work/out" | sed 's/^/      | /'
}
check() { # NAME COMMAND...: the command must succeed
  local name=$1 got; shift
  "$@" >"$work/out" 2>&1; got=$?
  if [ "$got" = 0 ]; then ok "$name"; else fail "$name" 'exit 0' "exit $got" "$@"; fi
}
refuse() { # NAME STATUS COMMAND...: the command must fail with this exit status
  local name=$1 want=$2 got; shift 2
  "$@" >"$work/out" 2>&1; got=$?
  cp "$work/out" "$work/said" # for what a next check looks for in it
  if [ "$got" = "$want" ]; then ok "$name"; else fail "$name" "exit $want" "exit $got" "$@"; fi
}
says() { # NAME TEXT COMMAND...: the command must succeed and its output hold this text
  local name=$1 want=$2 got; shift 2
  "$@" >"$work/out" 2>&1; got=$?
  if [ "$got" != 0 ]; then fail "$name" "exit 0 and \`$want\`" "exit $got" "$@"
  elif grep -qF -- "$want" "$work/out"; then ok "$name"
  else fail "$name" "\`$want\`" 'other output' "$@"; fi
}
same() { # NAME WANTED COMMAND...: the command must succeed and print exactly this
  local name=$1 want=$2 got; shift 2
  "$@" >"$work/out" 2>"$work/err"; got=$?
  if [ "$got" = 0 ] && [ "$(cat "$work/out")" = "$want" ]; then ok "$name"
  else fail "$name" "$want" "exit $got: $(head -n 1 "$work/out")" "$@"; sed 's/^/      | /' "$work/err" | tail -n 5; fi
}
skip() { # NAME REASON
  echo "skip  $1: $2"
  if [ -n "${CI:-}" ]; then failed=$((failed + 1)); else skipped=$((skipped + 1)); fi
}
finish() {
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" = 0 ]
}
have() { command -v "$1" >/dev/null 2>&1; }

# The ordinary user that the checks run as: a created one when we are root, else ourselves.
as_user_setup() {
  if [ "$(id -u)" = 0 ]; then
    user=pinfold-e2e
    id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
    grep -q "^$user:" /etc/subuid || usermod --add-subuids 300000-365535 --add-subgids 300000-365535 "$user"
  else
    user=$(id -un)
  fi
}
own() { [ "$(id -u)" != 0 ] || chown -R "$user" "$@"; }
as_user() { # DIR COMMAND...
  local dir=$1; shift
  if [ "$(id -u)" = 0 ]; then (cd "$dir" && runuser -u "$user" -- env HOME="$work/home" PINFOLD_HOME="$work/home/pinfold" "$@")
  else (cd "$dir" && HOME="$work/home" PINFOLD_HOME="$work/home/pinfold" "$@"); fi
}
run() { as_user "$work/project" "$work/pinfold" "$@"; }
json() { python3 -c "import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2], {'d': d}))" "$@"; }
# DIR [ADDRESS]: an authority (ca.pem) and the certificate of a server (cert.pem, key.pem), on loopback unless said, for provider.py
authority() (
  cd "$1" || exit
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=test authority' \
    -addext basicConstraints=critical,CA:TRUE
  openssl req -newkey rsa:2048 -nodes -keyout key.pem -out leaf.csr -subj /CN=provider
  openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem \
    -extfile <(printf 'subjectAltName=IP:%s\nbasicConstraints=CA:FALSE' "${2:-127.0.0.1}")
) >/dev/null 2>&1
