# The main job, in an empty directory, as an ordinary user.
check 'pinfold build --preset iteron' run build --preset iteron
check 'a lock was written' test -s "$work/project/pinfold.lock"
begin=$(date +%s%N)
run build >"$work/second" 2>&1
took=$((($(date +%s%N) - begin) / 1000000))
check 'a second build says that it does nothing' grep -q 'is up to date' "$work/second"
check "a second build is immediate ($took ms)" test "$took" -lt 1000
check 'pinfold images lists it' sh -c "$(declare -f as_user); user=$user work=$work; as_user '$work/project' '$work/pinfold' images | grep -q 'iteron-sandbox *latest'"
check 'pinfold inspect' run inspect iteron-sandbox
check 'pinfold verify' run verify iteron-sandbox
check 'the lock is up to date' run lock
check 'frozen and offline' run build --frozen --offline
check 'vendor' run vendor "$work/project/vendored"
index=$(run images --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["digest"])')
check "the index has a digest ($index)" test -n "$index"
