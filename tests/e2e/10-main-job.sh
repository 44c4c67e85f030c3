# The main job, in an empty directory, as an ordinary user.
check 'pinfold build --preset iteron' run build --preset iteron
check 'a lock was written' test -s "$work/project/pinfold.lock"
begin=$(date +%s%N)
says 'a second build says that it does nothing' 'is up to date' run build
took=$((($(date +%s%N) - begin) / 1000000))
check "a second build is immediate ($took ms)" test "$took" -lt 1000
says 'pinfold images lists it' iteron-sandbox run images
check 'pinfold inspect' run inspect iteron-sandbox
check 'pinfold verify' run verify iteron-sandbox
check 'the lock is up to date' run lock
check 'frozen and offline' run build --frozen --offline
check 'vendor' run vendor "$work/project/vendored"
# COMMAND...: the digest of the first image that it lists
digest() { "$@" images --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["digest"])'; }
index=$(digest run)
check "the index has a digest ($index)" test -n "$index"
