# What can end the first start of a file in its middle: killed, or the disk full, at each kind of step; and a machine that has a
# program registered for AppImages. Nothing half is taken for whole afterwards, and the next start works.
box=$work/home/faults; faulty=$box/faults.AppImage
mkdir -p "$box/image" "$box/w"
cat >"$box/image/pinfold.toml" <<'M'
name = "faults"
platforms = ["linux/amd64"]
[debian]
suite = "bookworm"
packages = ["bash"]
M
own "$box"
check 'a small image' as_user "$box/image" "$work/pinfold" build
check 'a file of it' as_user "$box/image" "$work/pinfold" pack -o "$faulty"
# HOME COMMAND...: as the user, with nothing in the environment but a home
fresh() { local home=$1; shift; as_user "$box/w" env -i HOME="$home" PATH=/usr/bin:/bin TERM=dumb "$@"; }
tree() { (cd "$1/.local/share/pinfold/rootfs"/[0-9a-f]*/ && find . -printf '%p %y %m %s %l\n' | sort | sha256sum); }
mkdir -p "$box/whole"; own "$box"
check 'a first start that nothing disturbs' fresh "$box/whole" "$faulty" -- true
whole=$(tree "$box/whole")
if have strace; then
  hit=0; worked=0; same_tree=0; tried=0
  # CALLS EFFECT WHEN: a first start in which the WHENth of these calls has this effect, and another start behind it.
  disturbed() {
    local home="$box/at" got
    mkdir "$home" && own "$home"
    fresh "$home" strace -f --seccomp-bpf -o /dev/null -e trace="$1" -e inject="$1:$2:when=$3" "$faulty" -- true >"$work/out" 2>&1; got=$?
    tried=$((tried + 1))
    # A call that came less often disturbed nothing.
    if [ "$got" != 0 ]; then
      hit=$((hit + 1))
      case $2 in error=ENOSPC) grep -qiE 'disk is full|No space|room' "$work/out" || { echo "      | $1 $2 $3:"; tail -n 5 "$work/out"; };; esac
    fi
    if fresh "$home" "$faulty" -- true >"$work/out" 2>&1; then worked=$((worked + 1)); else echo "      | after $1 $2 $3:"; tail -n 5 "$work/out"; fi
    [ "$(tree "$home")" = "$whole" ] && same_tree=$((same_tree + 1))
    chmod -R u+w "$home"; rm -rf "$home"
  }
  for calls in mkdir,mkdirat openat renameat,renameat2,rename fsync,fdatasync,syncfs fchmod,fchmodat,fchmodat2,chmod symlink,symlinkat flock,fcntl execve,execveat; do
    for when in 1 3; do disturbed "$calls" signal=KILL "$when"; done
  done
  for when in 1 10 200; do disturbed write,pwrite64,writev signal=KILL "$when"; done
  killed=$hit
  check "it was killed in its middle ($killed of $tried)" test "$killed" -ge 4
  for when in 1 30 300; do disturbed write,pwrite64,writev,copy_file_range,sendfile error=ENOSPC "$when"; done
  for when in 1 3; do disturbed mkdir,mkdirat error=ENOSPC "$when"; disturbed openat error=ENOSPC "$((when * 20))"; done
  check "the disk was full in its middle ($((hit - killed)))" test "$((hit - killed))" -ge 4
  same 'the next start works each time' "$tried" echo "$worked"
  same 'with the same root' "$tried" echo "$same_tree"
else skip 'a first start that is disturbed' 'strace is not installed'; fi

# A program registered for what has the magic of AppImages, as AppImageLauncher does: process 1 is no AppImage to the kernel.
mkdir -p "$box/bin"
cat >"$box/bin/launcher" <<'S'
#!/bin/sh
# Starts the program that the file has become, as a launcher that is not the kernel has to.
file=$1; shift
exec "$HOME"/.local/share/pinfold/heads/* portable "$file" -- "$@"
S
chmod 755 "$box/bin/launcher"; own "$box/bin"
# INTERPRETER WORD...: the file, in namespaces where the kernel has that interpreter for it
registered() {
  local interpreter=$1; shift
  fresh "$box/whole" unshare --user --map-root-user --mount sh -c '
    mount -t binfmt_misc none /proc/sys/fs/binfmt_misc || exit 90
    printf ":appimage:M:8:AI\\x02::%s:" "$0" >/proc/sys/fs/binfmt_misc/register || exit 91
    user=$1 group=$2; shift 2
    exec unshare --user --map-user="$user" --map-group="$group" "$@"' "$interpreter" "$(id -u "$user")" "$(id -g "$user")" "$faulty" "$@"
}
same 'with a launcher registered for AppImages' started registered "$box/bin/launcher" -- echo started
registered "$box/bin/none" -- echo started >"$work/out" 2>&1; got=$?
check "the control: what is registered is what the kernel takes (exit $got)" test "$got" -ge 126
chmod -R u+w "$box" 2>/dev/null; rm -rf "$box"
