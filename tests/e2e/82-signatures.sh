# Signatures: the bundle of the unit tests (whose bytes this program makes) judged by npm's `@sigstore/verify`, which is installed here.
if have node && have npm && have openssl; then
  vectors="$root/crates/image/src/sign/vectors"
  mkdir -m 755 "$work/sigstore" && cp "$here/sigstore-verify.mjs" "$vectors"/*.json "$vectors"/*.pem "$work/sigstore/" && own "$work/sigstore"
  sigstore() { as_user "$work/sigstore" "$@"; }
  empty=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  signature=https://sigstore.dev/cosign/sign/v1
  check 'npm has the verifier' sigstore npm install --silent --no-audit --no-fund @sigstore/verify@3 @sigstore/bundle@4
  says 'sigstore verifies the bundle' verified sigstore node sigstore-verify.mjs bundle.json public.pem $empty $signature
  check 'another key is made' sigstore sh -c 'openssl genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout -out other.pem'
  refuse 'sigstore refuses another key' 1 sigstore node sigstore-verify.mjs bundle.json other.pem
  says 'by its signature' SIGNATURE_ERROR cat "$work/said"
  # In the base64 of the payload: one digit of the digest is another.
  check 'one byte of the payload is changed' sigstore sh -c 'sed "s/ZTNiMGM0/ZTNiMGM1/" bundle.json >changed.json && ! cmp -s bundle.json changed.json'
  refuse 'sigstore refuses a changed payload' 1 sigstore node sigstore-verify.mjs changed.json public.pem
  says 'by its signature as well' SIGNATURE_ERROR cat "$work/said"
  refuse 'the judge tells another digest' 1 sigstore node sigstore-verify.mjs bundle.json public.pem "${empty%5}6"
  rm -rf "$work/sigstore"
else
  skip 'signatures' 'no node, no npm or no openssl'
fi

# A small image signed when it is pushed to Debian's registry, judged from the registry's raw bytes as docs/shipping.md tells its readers.
if have docker-registry && have openssl && have curl && have node && have npm; then
  mkdir -m 755 "$work/signed" "$work/signed/project" "$work/signed/there" && cp "$here/sigstore-verify.mjs" "$work/signed/" && own "$work/signed"
  signed() { as_user "$work/signed/project" env PINFOLD_HOME="$work/signed/here" "$work/pinfold" "$@"; }
  there() { as_user "$work/signed/there" env PINFOLD_HOME="$work/signed/elsewhere" "$work/pinfold" "$@"; }
  printf 'name = "small"\nplatforms = ["linux/amd64", "linux/arm64"]\n[[file]]\npath = "/hello"\ncontent = "hello"\n' >"$work/signed/project/pinfold.toml"
  own "$work/signed/project"
  port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: "127.0.0.1:%s"}\n' "$work/signed/kept" "$port" >"$work/signed/config.yml"
  # Its own number: `$!` is that of the shell around it.
  as_user "$work/signed" sh -c 'echo $$ >pid && exec docker-registry serve config.yml' >"$work/signed/log" 2>&1 &
  registry_shell=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  small=127.0.0.1:$port/team/small; raw=http://127.0.0.1:$port/v2/team/small; s=$work/signed
  for name in team other; do check "pinfold key generate: $name" as_user "$s" sh -c "'$work/pinfold' key generate $name.pem >$name.pub"; done
  check 'pinfold push --sign' signed push --sign "$s/team.pem" "$small:1"
  check 'pinfold push without a signature' signed push "$small:bare"
  digest=$(signed push --quiet --sign "$s/team.pem" "$small:1")
  # The lines of docs/shipping.md, for a registry that has no referrers API.
  oci=application/vnd.oci.image sign=https://sigstore.dev/cosign/sign/v1
  pick() { python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); print(eval(sys.argv[2], {"d": d, "t": sys.argv[3:]}))' "$@"; }
  curl -s -H "Accept: $oci.index.v1+json" "$raw/manifests/sha256-${digest#sha256:}" >"$s/list.json"
  manifest=$(pick "$s/list.json" 'next(m["digest"] for m in d["manifests"] if m["annotations"]["dev.sigstore.bundle.predicateType"] == t[0])' "$sign")
  curl -s -H "Accept: $oci.manifest.v1+json" "$raw/manifests/$manifest" >"$s/manifest.json"
  curl -sL "$raw/blobs/$(pick "$s/manifest.json" 'd["layers"][0]["digest"]')" >"$s/bundle.json"
  pick "$s/bundle.json" 'd["dsseEnvelope"]["payload"]' | base64 -d >"$s/payload"
  pick "$s/bundle.json" 'd["dsseEnvelope"]["signatures"][0]["sig"]' | base64 -d >"$s/signature"
  type=application/vnd.in-toto+json
  { printf 'DSSEv1 %d %s %d ' ${#type} $type "$(wc -c <"$s/payload")"; cat "$s/payload"; } >"$s/message"
  says 'openssl verifies what the registry has' 'Verified OK' openssl dgst -sha256 -verify "$s/team.pub" -signature "$s/signature" "$s/message"
  refuse 'openssl refuses another key' 1 openssl dgst -sha256 -verify "$s/other.pub" -signature "$s/signature" "$s/message"
  same 'the digest of the index is what is signed' "${digest#sha256:}" pick "$s/payload" 'd["subject"][0]["digest"]["sha256"]'
  check 'npm has the verifier' as_user "$s" npm install --silent --no-audit --no-fund @sigstore/verify@3 @sigstore/bundle@4
  says 'sigstore verifies what the registry has' verified as_user "$s" node sigstore-verify.mjs bundle.json team.pub "$digest" "$sign"
  says 'pinfold verify --key' "signature  $digest" there verify --key "$s/team.pub" "$small:1"
  refuse 'pinfold verify --key: another key' 1 there verify --key "$s/other.pub" "$small:1"
  says 'is named' 'its signature is by another key' cat "$work/said"
  check 'the same image under another tag is signed by that' there verify --key "$s/team.pub" "$small:bare"
  printf '\n[[file]]\npath = "/other"\ncontent = "x"\n' >>"$s/project/pinfold.toml"
  check 'another image is pushed without a signature' signed push "$small:unsigned"
  refuse 'pinfold verify --key: no signature' 1 there verify --key "$s/team.pub" "$small:unsigned"
  says 'is named as well' 'it has no signature' cat "$work/said"
  # The user's rules.
  as_user "$s" mkdir -p elsewhere/config
  rules() { printf '[[trust]]\nimages = "127.0.0.1:%s/team/*"\nkeys = ["%s"]\n' "$port" "$1" >"$s/rules" && own "$s/rules" && as_user "$s" cp rules elsewhere/config/config.toml && as_user "$s" chmod 644 elsewhere/config/config.toml; }
  rules "$s/other.pub"
  refuse 'pinfold pull: a signature of another key is refused' 5 there pull "$small:1"
  rules "$s/team.pub"
  refuse 'pinfold pull: an image without a signature is refused' 5 there pull "$small:unsigned"
  check 'pinfold pull: what the rule demands is there' there pull "$small:1"
  check 'pinfold unpack: also without the registry' there unpack --offline "$small:1" "$s/there/root"
  check 'pinfold verify --key: by what was kept' there verify --offline --key "$s/team.pub" "$small:1"
  as_user "$s" chmod 666 elsewhere/config/config.toml
  refuse 'rules that others can write are none' 5 there unpack "$small:1" "$s/there/again"
  says 'and it says who can' 'can be written to by others' cat "$work/said"
  # Killed at any time from its beginning to a little after its end: a tag that is there is signed.
  unsigned=0 tags=0
  printf '\n[[file]]\npath = "/n0"\ncontent = "0"\n' >>"$s/project/pinfold.toml"
  signed build --quiet -t small:k0 >/dev/null 2>&1
  begun=$(date +%s%N); signed push --sign "$s/team.pem" small:k0 "$small:k0" >/dev/null 2>&1; whole=$(($(date +%s%N) - begun))
  for n in $(seq 12); do
    printf '\n[[file]]\npath = "/n%s"\ncontent = "%s"\n' "$n" "$n" >>"$s/project/pinfold.toml"
    signed build --quiet -t "small:k$n" >/dev/null 2>&1
    # A group of its own, so that nothing of it goes on.
    set -m; signed push --sign "$s/team.pem" "small:k$n" "$small:k$n" >/dev/null 2>&1 & pushing=$!; set +m
    sleep "$(python3 -c 'import sys; print(int(sys.argv[1]) / 1e9 * (0.4 + int(sys.argv[2]) / 16))' "$whole" "$n")"; kill -9 -- "-$pushing" 2>/dev/null; wait "$pushing" 2>/dev/null
    if curl -sf -o /dev/null -H "Accept: $oci.index.v1+json" "$raw/manifests/k$n"; then
      tags=$((tags + 1)); there verify --key "$s/team.pub" "$small:k$n" >/dev/null 2>&1 || unsigned=$((unsigned + 1))
    fi
    check "the push that was killed is repeated ($n)" signed push --sign "$s/team.pem" "small:k$n" "$small:k$n"
  done
  same "no tag without its signature ($tags tags were there)" 0 echo "$unsigned"
  kill "$(cat "$work/signed/pid")"; wait "$registry_shell" 2>/dev/null
  # A registry on loopback that speaks TLS, by an authority of its own; without it the plain words of loopback are answered with 400.
  check 'a certificate is made' as_user "$s" openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=registry -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE -keyout tls.key -out tls.crt
  sed -i "s|http: {addr: \([^}]*\)}|http: {addr: \1, tls: {certificate: $s/tls.crt, key: $s/tls.key}}|" "$s/config.yml"
  as_user "$s" sh -c 'echo $$ >pid && exec docker-registry serve config.yml' >"$s/log" 2>&1 &
  registry_shell=$!
  for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  secured() { as_user "$s/project" env PINFOLD_HOME="$s/here" XDG_CONFIG_HOME="$s/conf" "$work/pinfold" "$@"; }
  refuse 'pinfold push: TLS on loopback that nobody told of' 3 secured push small:k0 "$small:tls"
  says 'says how it is told' 'certs.d' cat "$work/said"
  check 'its authority is put where containers tools have it' as_user "$s" sh -c "mkdir -p 'conf/containers/certs.d/127.0.0.1:$port' && cp tls.crt 'conf/containers/certs.d/127.0.0.1:$port/ca.crt'"
  check 'pinfold push: TLS on loopback' secured push small:k0 "$small:tls"
  check 'pinfold pull: TLS on loopback' as_user "$s/there" env PINFOLD_HOME="$s/third" XDG_CONFIG_HOME="$s/conf" "$work/pinfold" pull "$small:tls"
  kill "$(cat "$s/pid")"; wait "$registry_shell" 2>/dev/null
  chmod -R u+w "$work/signed" 2>/dev/null; rm -rf "$work/signed"
else
  skip 'signed images' 'no docker-registry, openssl, curl, node or npm'
fi
