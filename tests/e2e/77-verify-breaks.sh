# A real image with one thing wrong: each is caught, named by its own check, and nothing else fails. A layer that takes away or
# changes what another component brought is a fault of its own, too.
breaks=$work/breaks; mkdir -m 755 "$breaks"
cat >"$breaks/pinfold.toml" <<'TOML'
name = "breaks"
platforms = ["linux/amd64"]
agents = ["opencode"]

[debian]
suite = "bookworm"
base = "essential"
packages = ["bash", "git", "ca-certificates", "ripgrep", "procps"]

[user]
name = "agent"
uid = 1000
gid = 1000
home = "/home/agent"
shell = "/bin/bash"

[image]
cmd = ["bash"]

[image.env]
PATH = "/usr/local/bin:/usr/bin:/bin"
TOML
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$breaks/own.key" -out "$breaks/own.crt" -days 2 -subj '/CN=own authority' 2>/dev/null
own "$breaks"
inside() { as_user "$breaks" "$@"; }
check 'a small image with an agent is built' inside "$work/pinfold" build --quiet -o oci:whole
broken() { # CHECK WHAT [FILE]: what fails with this broken, a line for each
  inside python3 "$here/images.py" break whole "broken-$1" "$1" "${@:2}" || return 1
  inside "$work/pinfold" verify --json "oci:broken-$1" >"$work/broken.json"
  jq -r '.outcomes[] | select(.verdict == "failed") | "\(.check) \(.findings[0].at)"' "$work/broken.json"
  inside rm -rf "broken-$1"
}
same 'with a layer more and nothing wrong: nothing fails' '' broken nothing
same 'a removed library' $'closure.libraries /usr/bin/dpkg-deb\norigin.components /usr/lib/x86_64-linux-gnu/libz.so.1' broken library
same 'a set-uid bit' 'hardening.set-id /usr/local/bin/helper' broken set-id
same 'a planted key' 'secrets.files /usr/local/share/deploy.pem' broken key
same 'a dropped bundle of authorities' $'closure.authorities /etc/ssl/certs/ca-certificates.crt\norigin.components /etc/ssl/certs/ca-certificates.crt' broken bundle
same 'an authority that is not in the bundle' 'closure.authorities /usr/local/share/ca-certificates/own.crt' broken authority "$breaks/own.crt"
same "an agent's wrong configuration" $'agents.config /home/agent/.config/opencode/opencode.json: autoupdate\norigin.components /home/agent/.config/opencode/opencode.json' broken config
same 'a program of another machine' 'closure.programs /usr/local/bin/tool' broken foreign
same '701 MiB' 'size.budget generated/files' broken size
rm -rf "$breaks"
