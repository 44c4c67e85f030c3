# Agents at work in a sandbox of the built-in runtime, as the ordinary user, in a directory without a manifest.
mkdir -m 755 "$work/code" && own "$work/code"
inside() { as_user "$work/code" "$work/pinfold" run --quiet "$@"; }
check 'pinfold run: the agent itself' inside claude-code -- --version
tail -n 1 "$work/out" | sed 's/^/      /'
check 'pinfold run: uid 1000, no capability, seccomp on' inside -- bash -c 'test "$(id -u)" = 1000 && grep -q "^CapEff:.*0000000000000000" /proc/self/status && grep -q "^Seccomp:.*2" /proc/self/status'
check 'pinfold run: the workspace can be written, the root cannot' inside -- bash -c 'echo x > made && ! touch /etc/x 2>/dev/null && ! touch /usr/x 2>/dev/null'
check 'pinfold run: what was made is there' test -s "$work/code/made"
check 'pinfold run: git works on the workspace' inside --unprotect .git -- bash -c 'git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git log --oneline'
check 'pinfold run: no interface but loopback, no way out' inside -- bash -c 'test "$(ls /proc/sys/net/ipv4/conf | grep -vc -e all -e default)" = 1; ! timeout 5 bash -c "</dev/tcp/192.0.2.1/80" 2>/dev/null'
same 'pinfold run: the proxy refuses a host that is not listed' 403 inside -- bash -c 'curl -s -o /dev/null -w %{http_connect} https://example.invalid/; true'
check 'pinfold run: the key stays outside' env ANTHROPIC_API_KEY=canary-key-1234 bash -c "$(declare -f as_user inside); user=$user work=$work; inside claude-code -- -h >/dev/null; ! inside claude-code --  2>/dev/null </dev/null | grep -q canary"
refuse 'pinfold run: the home directory is no workspace' 125 as_user "$work/home" "$work/pinfold" run -- true
same 'nothing is left' '' ls "$work/home/pinfold/data/sandboxes"
# What is refused, and with which words.
refuse 'pinfold run: an agent that is not there' 125 inside claud-code
says 'it lists those that are' claude-code cat "$work/said"
refuse 'pinfold run: an image that is not there' 125 inside --image nothing -- true
refuse 'pinfold run: a variable that is not set' 125 inside -e PINFOLD_E2E_UNSET -- true
# Sockets in the workspace: one that a killed program left, and one of a program outside.
mkdir -m 755 "$work/sock" && own "$work/sock"
sockets() {
  as_user "$work/sock" python3 -c 'import socket, subprocess, sys
socket.socket(socket.AF_UNIX).bind("dead")
live = socket.socket(socket.AF_UNIX); live.bind("live"); live.listen()
sys.exit(subprocess.run(sys.argv[1:]).returncode)' "$work/pinfold" run --quiet -- bash -c 'test -S dead && ! test -S live'
}
check 'pinfold run: a socket of a program outside is covered, a dead one is just a file' sockets
# A project's wishes count after the user's word only: an agent may have written them.
mkdir -m 755 "$work/wishes"; printf 'preset = "solo"\n[run]\nnetwork = "host"\nallow = ["example.org"]\n' > "$work/wishes/pinfold.toml"; own "$work/wishes"
wishes() { as_user "$work/wishes" "$work/pinfold" "$@"; }
refuse 'a project that widens its sandbox is not run' 125 wishes run -- true
says 'its wish for the network is listed' 'use the host' cat "$work/said"
says 'its wish for a host is listed' example.org cat "$work/said"
refuse 'a word that does not say for what is none' 5 wishes policy accept
agreement=$(grep -o 'policy accept[^`]*' "$work/said" | head -n 1) # the hint, word by word
check 'the user agrees' wishes $agreement
check 'and then they count' wishes policy check https://example.org
echo 'pass-env = ["HOME"]' >> "$work/wishes/pinfold.toml"
refuse 'one wish more needs a word more' 5 wishes policy check https://example.org
# A linked worktree works: its repository comes along, and only because it points back.
worktree() {
  as_user "$work/code" git worktree add -q "$work/code-linked" &&
    as_user "$work/code-linked" "$work/pinfold" run --quiet -- bash -c \
      'git status >/dev/null && echo y > y && git add y && git -c user.name=a -c user.email=a@b commit -qm y && git log --oneline | wc -l | grep -q 2'
}
install -d -m 755 "$work/code-linked" && rmdir "$work/code-linked" && install -d -m 777 "$work" 2>/dev/null
check 'git works in a linked worktree' worktree
chmod 755 "$work"
refuse 'pinfold policy check: a host that is not listed' 1 as_user "$work/code" "$work/pinfold" policy check https://example.org --agent claude-code
check 'pinfold policy check: one that is' as_user "$work/code" "$work/pinfold" policy check https://api.anthropic.com/v1 --agent claude-code
# The same sandbox in other runtimes, and written out for them.
for runtime in runc runsc; do
  if have $runtime; then
    check "pinfold run --runtime $runtime" inside --runtime $runtime -- bash -c 'echo from-'$runtime' > made && grep -q "^CapEff:.*0000000000000000" /proc/self/status'
    check "it worked on the workspace" grep -q "from-$runtime" "$work/code/made"
  else skip "$runtime" 'not installed'; fi
done
bundle() {
  as_user "$work/home" "$work/pinfold" unpack --quiet --bundle iteron-sandbox "$work/home/bundle" &&
    as_user "$work/home" python3 -c "import json; f='bundle/config.json'; c=json.load(open(f)); c['process']['args']=['bash','-c','id; touch /x || echo read-only']; json.dump(c,open(f,'w'))" &&
    as_user "$work/home/bundle" runc --root "$work/home/runc" run e2e </dev/null 2>&1 | cat | tee "$work/out2" && grep -q read-only "$work/out2"
}
have runc && check 'pinfold unpack --bundle, run by runc alone' bundle
check 'pinfold doctor: what sandboxes need' as_user "$work/code" "$work/pinfold" doctor
