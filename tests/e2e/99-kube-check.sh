# `pinfold kube --check`: its verdicts beside those of somebody else's judge, PyPI's kubernetes-validate, object by object; and beside
# schemas, pods and a policy of other projects, where PINFOLD_KUBE_DATA names a folder with them.
mkdir -m 755 "$work/kube-check"
cp "$here/kube-judge.py" "$here/kube-objects.yaml" "$work/kube-check" && own "$work/kube-check"
judge() { as_user "$work/kube-check" venv/bin/python kube-judge.py "$@"; }
checked() { as_user "$work/kube-check" "$work/pinfold" kube --check "$@"; }
# A file with faults, and what is said of it.
cat >"$work/kube-check/bad.yaml" <<'Y'
apiVersion: v1
kind: Pod
metadata: {name: bad}
spec:
  hostNetwork: true
  automountServiceAcountToken: false
  containers: [{name: c, image: "example.org/c:latest"}]
Y
refuse 'kube --check: findings are exit code 1' 1 checked bad.yaml
for text in 'did you mean `automountServiceAccountToken`' pod-security/host-namespaces pinfold/digest 'bad.yaml:6'; do
  says "kube --check says it: $text" "$text" cat "$work/said"
done
refuse 'kube --check: the same of stdin' 1 as_user "$work/kube-check" sh -c "'$work/pinfold' kube --check - <bad.yaml"
refuse 'kube --check: nothing to judge is exit code 2' 2 checked missing
if have python3 && python3 -c 'import ensurepip' 2>/dev/null; then
  check 'PyPI has the judge of objects' as_user "$work/kube-check" sh -c 'python3 -m venv venv && venv/bin/pip install --quiet kubernetes-validate==1.37.0'
  check 'objects of each kind, broken in each field' judge mutants kube-objects.yaml mutants.yaml
  for version in 1.34 1.35 1.36 1.37; do
    says "verdicts are those of kubernetes-validate: $version" ', 0 judged otherwise' judge compare "$work/pinfold" mutants.yaml "$version"
  done
  refuse 'the comparison can fail' 1 judge compare "$work/pinfold" mutants.yaml 1.34 1.37
  if [ -d "${PINFOLD_KUBE_DATA:-}/crds" ]; then
    says "verdicts are those of agent-sandbox's schemas" ', 0 judged otherwise' judge crds "$work/pinfold" "$PINFOLD_KUBE_DATA/crds"
  fi
else
  skip 'verdicts of kubernetes-validate' 'no python3 with venv'
fi
rm -rf "$work/kube-check"
