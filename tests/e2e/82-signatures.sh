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
