# The container that people come from (a bubblewrap around the host's system): each row of its tables of mounts, variables, options
# and requirements, held by a file of `pinfold pack`, or answered by something stricter with the flag that gives the same.
# The image has no agent, so the words behind the options are the program.
box=$work/home/seed; seed=$box/seed.AppImage; theirs=$box/home
mkdir -p "$box/image" "$box/w" "$theirs"/{.claude,.config,.npm-global,.ssh,mnt_git}
cat >"$box/image/pinfold.toml" <<'M'
name = "seed"
platforms = ["linux/amd64"]
[debian]
suite = "bookworm"
packages = ["bash", "git", "ca-certificates"]
M
mkdir "$theirs/.config/tool" "$theirs/.config/pinfold"
for place in .claude .config/tool .npm-global .ssh mnt_git; do echo "of $place" >"$theirs/$place/theirs"; done
printf '[user]\n\tname = Their Name\n' >"$theirs/.gitconfig"; echo private >"$theirs/private"
own "$box"
check 'an image without an agent' as_user "$box/image" "$work/pinfold" build
check 'a file of it' as_user "$box/image" "$work/pinfold" pack -o "$seed"
# WORD...: what is said to the file, as the user, with nothing in the environment but a home
said() { as_user "$box/w" env -i HOME="$theirs" PATH=/usr/bin:/bin TERM=dumb "$seed" "$@"; }
shell() { said --unprotect .git "$@" 2>/dev/null; }
check 'it starts' said -- true

# Mounts.
for place in /usr/bin/unsquashfs /usr/bin/podman /lib/modules /nix/store; do
  refuse "seed: of the host's system nothing: $place" 1 said -- test -e "$place"
done
same 'seed: the image has its own' present said -- sh -c 'test -x /usr/bin/git && echo present'
refuse 'seed: which cannot be written' 1 said -- sh -c 'touch /usr/written /bin/written'
check 'seed: authorities are the image'"'"'s' said -- sh -c 'test -s /etc/ssl/certs/ca-certificates.crt && ! touch /etc/ssl/certs/mine'
for place in .claude .config .npm-global .ssh .gitconfig mnt_git private; do
  refuse "seed: ~/$place is not seen" 1 said -- sh -c 'test -e ~/"$0" || test -e "$1/$0"' "$place" "$theirs"
done
share() { # NAME PLACE MODE: what it gives, and that it is what it says
  local name=$1 place=$2 mode=$3
  same "seed: --share $name gives ~/$place" "of $place" said --share "$name" -- sh -c 'cat ~/"$0"/theirs' "$place"
  case $mode in
    rw) check "seed: --share $name is to be written" said --share "$name" -- sh -c 'echo new >~/"$0"/new' "$place"
      same "seed: ~/$place has it" new cat "$theirs/$place/new" ;;
    ro) refuse "seed: --share $name is read-only" 2 said --share "$name" -- sh -c 'echo new >~/"$0"/new' "$place" ;;
  esac
  refuse "seed: --share $name gives nothing else" 1 said --share "$name" -- sh -c 'test -e ~/private || test -e "$0/private"' "$theirs"
}
share claude-config .claude rw
share config .config/tool rw
refuse 'seed: but not who is trusted' 1 said --share config -- sh -c 'test -e ~/.config/pinfold'
share npm-global .npm-global rw
share git mnt_git rw
share ssh .ssh ro
same 'seed: --share gitconfig gives the name' 'Their Name' said --share gitconfig -- git config --global user.name
refuse 'seed: --share gitconfig is read-only' 2 said --share gitconfig -- sh -c 'echo >>~/.gitconfig'
says 'seed: what each exposes is in the help' 'private keys' said -h
refuse 'seed: what cannot be shared is named' 2 said --share nothing -- true
says 'seed: with what can' gitconfig cat "$work/said"

# Variables.
same 'seed: CLAUDE_SANDBOXED' 1 said -- printenv CLAUDE_SANDBOXED
for name in SSL_CERT_FILE NODE_EXTRA_CA_CERTS; do
  refuse "seed: $name is not set where the image's authorities will do" 1 said -- printenv "$name"
done

# Options.
says 'seed: -h is the file'"'"'s help' 'Usage: seed' said -h
says 'seed: so is --help' 'Usage: seed' said --help
check 'seed: -i is what happens unless said' said -i -- sh -c '! test -e "$0/private"' "$theirs"
same 'seed: -m sees the whole home' private said -m -- sh -c 'cat "$0/private" 2>/dev/null || cat ~/private' "$theirs"
says 'seed: and says so' mirror said --mirror -- true
same 'seed: the rest is the program'"'"'s' '-h --mirror' said -- echo -h --mirror

# Requirements: user namespaces, and neither root nor Nix nor FUSE; the first start downloads nothing.
check 'seed: no root' said -- touch made
same 'seed: what is made is the user'"'"'s' "$user" stat -c %U "$box/w/made"
offline() { as_user "$box/w" env -i HOME="$box/new" PATH=/usr/bin:/bin unshare --user --map-current-user --net "$seed" -- echo started; }
mkdir -p "$box/new"; own "$box/new"
says 'seed: no network at the first start, nor FUSE' started offline

one_id() { as_user "$box/w" env -i HOME="$box/one" PATH=/usr/bin:/bin unshare --user --map-root-user "$seed" -- echo started; }
mkdir -p "$box/one"; own "$box"
says 'seed: root of a namespace that has no other id' started one_id
mkdir -p "$box/w/kept"; own "$box/w"
worked_on() { as_user "$box/w" env -i HOME="$theirs" PATH=/usr/bin:/bin PINFOLD_HOME="$box/w/kept/here" "$seed" -- true; }
refuse 'seed: what the agent works on is no place for what is kept' 5 worked_on
same 'seed: and nothing was written there' 0 sh -c 'ls -A "$0" | wc -l' "$box/w/kept"
lines() { said --mirror -- true 2>&1 | grep -ci mirror; }
same 'seed: --mirror is said once' 1 lines

# One program is started, and what it starts of itself is the copy without the magic, which no machine has a program for.
if have strace; then
  # The file, process 1 and `true`.
  executed() { as_user "$box/w" env -i HOME="$theirs" PATH=/usr/bin:/bin strace -f -e trace=execve,execveat -o "$box/calls" "$seed" -- true && grep -cE ' = 0$' "$box/calls"; }
  same 'seed: a start executes three programs' 3 executed
fi
if [ "$(id -u)" = 0 ]; then
  first() { # Which file process 1 is.
    local job pid=
    said -- sleep 3 >/dev/null 2>&1 & job=$!
    for _ in $(seq 100); do pid=$(pgrep -u "$user" -f '^pinfold-init' | head -n 1); [ -n "$pid" ] && break; sleep 0.1; done
    stat -Lc %i "/proc/$pid/exe"; wait "$job"
  }
  same 'seed: process 1 is the program without the image' "$(stat -c %i "$theirs"/.local/share/pinfold/heads/*)" first
fi

# Sessions: they go on without the file, and whoever has the place finds them.
check 'a session of the file' said --pinfold open --detach --name kept --unprotect .git --image "appimage:$seed" -- sh -c 'echo begun; sleep 600'
says 'it is listed' kept said --pinfold ps
begun() { for _ in $(seq 50); do said --pinfold logs kept 2>/dev/null | grep begun && return; sleep 0.1; done; return 1; }
says 'what it prints is kept' begun begun
attached() { said --pinfold attach kept </dev/null; }
says 'who attaches without a terminal is let go again' detached attached
cp "$seed" "$box/other"; printf x >>"$box/other"; mv "$box/other" "$seed.new"; mv "$seed" "$box/moved"; mv "$seed.new" "$seed"; own "$box"
moved() { as_user "$box/w" env -i HOME="$theirs" PATH=/usr/bin:/bin TERM=dumb "$box/moved" "$@"; }
says 'it runs on when another file has its name' kept moved --pinfold ps --json
refuse 'what has its name is damaged' 4 said -- true
check 'it is stopped' moved --pinfold stop kept
check 'and removed' moved --pinfold rm kept
refuse 'with its name' 1 grep -q kept <(moved --pinfold ps --json)
rm -rf "$box"
