# The same as a directory in a tar (`pinfold pack --format tar`), who vouches for what was packed, and what of it moves when the image
# changes.
box=$work/home/tarred; mkdir -p "$box/un packed" "$box/home/project"; own "$box"
# HOME-DIRECTORY COMMAND...: as the user, with nothing in the environment but a home
bare() { local home=$1; shift; as_user "$home/project" env -i HOME="$home" PATH=/usr/bin:/bin TERM=dumb "$@"; }
check 'pack a tar' run pack iteron-sandbox --name agents -o "$box/agents.tar.gz"
packed_elsewhere() ( umask 077; as_user "$box" "$work/pinfold" pack iteron-sandbox --name agents --quiet --output "$box/again.tar.gz" )
same 'packed again elsewhere, with another umask, it is the same' "sha256:$(sha256sum "$box/agents.tar.gz" | cut -d' ' -f1)" packed_elsewhere
rm -f "$box/again.tar.gz"
check 'gzip finds it whole' gzip -t "$box/agents.tar.gz"
check 'the same, not compressed' run pack iteron-sandbox --name agents -o "$box/agents.tar"
inner() { zcat "$box/agents.tar.gz" | cmp - "$box/agents.tar"; }
check 'zcat gives that' inner
rm -f "$box/agents.tar"
check 'tar unpacks it' as_user "$box" tar -xf agents.tar.gz -C 'un packed'
there="$box/un packed/agents"
says 'the directory says of itself that it is whole' whole bare "$box/home" "$there/run.sh" --pinfold-verify
manifest=$(run inspect iteron-sandbox --json | python3 -c 'import json,sys; d=json.load(sys.stdin); print(next(p["manifest"] for p in d["platforms"] if p["platform"]=="linux/amd64"))' 2>/dev/null)
same 'skopeo reads its layout' "$manifest" skopeo inspect --format '{{.Digest}}' "oci:$there/oci"
says 'verify reads the directory' passed run verify --only oci "appimage:$there"
rm -f "$box/agents.tar.gz"

# It starts, wherever it lies and whatever leads to it.
says 'the first start' 'Claude Code' bare "$box/home" "$there/run.sh" --version
ln -sf 'un packed/agents/run.sh' "$box/codex-cli"
says 'another agent by a link' codex bare "$box/home" "$box/codex-cli" --version
inside() { bare "$box/home" "$there/run.sh" --pinfold run --image "appimage:$there" "${on[@]}" -- "$@" </dev/null; }
on=()
same 'words arrive as they are' "$(printf '%s|' '' '-h' '--' 'a b' '$x' '*' "'" 'ü')" inside printf '%s|' '' -h -- 'a b' '$x' '*' "'" 'ü'
# An agent that works on the very directory does not change what starts it, and can work there.
on=(--workspace "$there")
for file in run.sh pinfold pinfold.json oci/index.json; do
  refuse "an agent that works on the directory does not change $file" 1 inside tee -a "$file"
done
refuse 'nor takes it away' 1 inside rm -rf oci run.sh
check 'but works there' inside sh -c 'echo x >mine && test -s mine'
rm -f "$there/mine"
on=(--workspace "$box/un packed")
refuse 'nor from above' 1 inside tee -a agents/run.sh
says 'it is still whole' whole bare "$box/home" "$there/run.sh" --pinfold-verify
printf x >>"$there/pinfold"
refuse 'where something was changed it says so' 4 bare "$box/home" "$there/run.sh" --pinfold-verify
rm -rf "$box/un packed" "$box/codex-cli"

# Layers compressed anew, and a signature beside it.
for name in team other; do check "pinfold key generate: $name" as_user "$box" sh -c "'$work/pinfold' key generate $name.pem >$name.pub"; done
check 'pack --compress zstd --sign' run pack iteron-sandbox --compress zstd --sign "$box/team.pem" -o "$box/one.AppImage"
check 'sha256sum reads the line beside it' as_user "$box" sha256sum --strict -c one.AppImage.sha256
vouched() { run verify "$box/one.AppImage" --key "$box/team.pub" || test $? = 1; }
says 'verify --key: the file is vouched for, whatever its image is' 'of the file, by' vouched
refuse 'verify --key: another key' 4 run verify "$box/one.AppImage" --key "$box/other.pub"
says 'is named' 'is not by the key' cat "$work/said"
says 'it starts' 'Claude Code' bare "$box/home" "$box/one.AppImage" --version
if have node && have npm; then
  cp "$here/sigstore-verify.mjs" "$box/"; own "$box"
  check 'npm has the verifier' as_user "$box" npm install --silent --no-audit --no-fund @sigstore/verify@3 @sigstore/bundle@4
  says 'sigstore verifies the file' verified as_user "$box" node sigstore-verify.mjs one.AppImage.sigstore.json team.pub one.AppImage
  refuse 'sigstore refuses another key' 1 as_user "$box" node sigstore-verify.mjs one.AppImage.sigstore.json other.pub one.AppImage
  refuse 'sigstore refuses another file' 1 as_user "$box" node sigstore-verify.mjs one.AppImage.sigstore.json team.pub one.AppImage.sha256
  rm -rf "$box/node_modules"
else
  skip 'sigstore on a packed file' 'no node or no npm'
fi
rm -f "$box"/*.AppImage*

# What has not changed does not move: two images of random bytes, of which the smaller part is another.
if have zsync && have zsyncmake; then
  mkdir -p "$box/project" "$box/new"
  head -c 40000000 /dev/urandom >"$box/project/big"
  printf 'name = "moved"\nplatforms = ["linux/amd64"]\n[[file]]\npath = "/usr/big"\nsource = "big"\n[[file]]\npath = "/usr/small"\nsource = "small"\n' >"$box/project/pinfold.toml"
  own "$box"
  moved() { head -c 2000000 /dev/urandom >"$box/project/small"; as_user "$box/project" "$work/pinfold" pack --name moved -o "$1"; }
  check 'pack an image' moved "$box/old.AppImage"
  check 'pack it changed' moved "$box/new/new.AppImage"
  check 'zsyncmake' as_user "$box/new" zsyncmake -u new.AppImage -o new.AppImage.zsync new.AppImage
  python3 "$here/ranges.py" "$box/new" >"$box/port" & ranges=$!
  for _ in $(seq 100); do [ -s "$box/port" ] && break; sleep 0.1; done
  updated() { as_user "$box" zsync -i old.AppImage -o got.AppImage "http://127.0.0.1:$(cat "$box/port")/new.AppImage.zsync"; }
  check 'zsync makes the new one of the old one' updated
  check 'byte for byte' cmp "$box/got.AppImage" "$box/new/new.AppImage"
  sent=$(python3 -c 'import sys,urllib.request; print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/sent").read().decode())' "$(cat "$box/port")")
  check "and moves only what changed ($sent bytes)" test "$sent" -lt 4000000
  kill "$ranges"; wait "$ranges" 2>/dev/null
else
  skip 'what moves when an image changes' 'no zsync'
fi
rm -rf "$box"
