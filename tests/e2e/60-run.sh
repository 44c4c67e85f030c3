# Agents at work in a sandbox of the built-in runtime, as the ordinary user, in a directory without a manifest.
mkdir -m 755 "$work/code" && own "$work/code"
inside() { as_user "$work/code" "$work/pinfold" run --quiet "$@"; }
check 'pinfold run: the agent itself' inside claude-code -- --version
tail -n 1 "$work/out" | sed 's/^/      /'
check 'pinfold run: uid 1000, no capability, seccomp on' inside -- bash -c 'test "$(id -u)" = 1000 && grep -q "^CapEff:.*0000000000000000" /proc/self/status && grep -q "^Seccomp:.*2" /proc/self/status'
check 'pinfold run: the workspace can be written, the root cannot' inside -- bash -c 'echo x > made && ! touch /etc/x 2>/dev/null && ! touch /usr/x 2>/dev/null'
check 'pinfold run: what was made is there' test -s "$work/code/made"
check 'pinfold run: git works on the workspace' inside -- bash -c 'git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git log --oneline'
check 'pinfold run: no interface but loopback, no way out' inside -- bash -c 'test "$(ls /proc/sys/net/ipv4/conf | grep -vc -e all -e default)" = 1; ! timeout 5 bash -c "</dev/tcp/192.0.2.1/80" 2>/dev/null'
check 'pinfold run: the proxy refuses a host that is not listed' inside -- bash -c 'test "$(curl -s -o /dev/null -w %{http_connect} https://example.invalid/)" = 403'
check 'pinfold run: the key stays outside' env ANTHROPIC_API_KEY=canary-key-1234 bash -c "$(declare -f as_user inside); user=$user work=$work; inside claude-code -- -h >/dev/null; ! inside claude-code --  2>/dev/null </dev/null | grep -q canary"
refuse 'pinfold run: the home directory is no workspace' 5 as_user "$work/home" "$work/pinfold" run -- true
check 'nothing is left' bash -c "test -z \"\$(ls $work/home/pinfold/data/sandboxes 2>/dev/null)\""
