# The same lock gives the same bytes: another user, umask, time zone, locale, directory, order of the cache and thread count.
mkdir -m 755 "$work/again" && cp "$work/project/pinfold.lock" "$work/again/"
again() { (umask 077; cd "$work/again" && env -i PATH="$PATH" HOME="$work/again" PINFOLD_HOME="$work/again/home" TZ=Pacific/Kiritimati LC_ALL=tr_TR.UTF-8 \
  taskset -c 0 "$work/pinfold" build --offline --vendor "$work/project/vendored"); }
check 'a build elsewhere from vendored inputs' again
same 'its index digest is equal' "$index" digest env PINFOLD_HOME="$work/again/home" "$work/pinfold"
rm -rf "$work/again"

# Nothing runs: no process is started by a build.
if have strace; then
  mkdir -m 777 "$work/traced"
  traced() {
    (cd "$work/project" && PINFOLD_HOME="$work/traced" strace -f -e trace=execve,execveat -o "$work/traced/trace" \
      "$work/pinfold" build --offline --vendor "$work/project/vendored" --platform linux/amd64 >/dev/null) || return 1
    grep -c exec "$work/traced/trace"
  }
  same 'no execve during build but that of the program itself' 1 traced
  rm -rf "$work/traced"
fi
rm -rf "$work/project/vendored"
