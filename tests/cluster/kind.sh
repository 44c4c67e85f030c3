#!/bin/bash
# What could not be done without a cluster, on one: kind, k3s or any other that `kubectl` reaches and whose network plugin knows policies.
#
#   REGISTRY=registry.example/team ADDRESS=10.96.0.80 tests/cluster/kind.sh     (with `pinfold` in PATH, logged in to the registry)
#
# It pushes two images, makes the namespaces NS and NS-proxy (pinfold-check), and removes them at the end. A cluster without agent-sandbox is
# asked for pods and jobs alone. Nobody has run this in the project's own tests, which have no cluster.
set -u
: "${REGISTRY:?where images are pushed to, HOST/REPOSITORY}" "${ADDRESS:?a free address for a Service}"
ns=${NS:-pinfold-check} work=$(mktemp -d) failed=0
trap 'kubectl delete namespace "$ns" "$ns-proxy" --wait=false >/dev/null 2>&1; rm -rf "$work"' EXIT
check() { local what=$1; shift; if "$@" >"$work/said" 2>&1; then echo "ok    $what"; else echo "FAIL  $what"; sed 's/^/        /' "$work/said" | tail -20; failed=1; fi; }
refuse() { local what=$1; shift; if "$@" >"$work/said" 2>&1; then echo "FAIL  $what: it was taken"; failed=1; else echo "ok    $what"; fi; }

check 'the image is pushed' pinfold push --preset solo "$REGISTRY/solo:check"
check 'the proxy is pushed' pinfold push --preset proxy "$REGISTRY/pinfold-proxy:check"
export=(pinfold kube claude-code@check --image "$REGISTRY/solo:check" --proxy-image "$REGISTRY/pinfold-proxy:check" --proxy-address "$ADDRESS"
  --program copy --namespace "$ns" --lifetime 1h --allow example.com)
export ANTHROPIC_API_KEY=${ANTHROPIC_API_KEY:-not-a-key-0123456789}
apply() { # directory: one export of this name in another form, in the place of the one before
  kubectl apply -f "$1/namespaces.yaml" && pinfold kube --secrets "$1" | kubectl apply --server-side --field-manager=pinfold-claude-code-check -f - || return
  # A new authority has signed a new certificate: a proxy of the form before would show the old one until the kubelet has brought it.
  if kubectl get -n "$ns-proxy" deployment/pinfold-proxy >/dev/null 2>&1; then kubectl rollout restart -n "$ns-proxy" deployment/pinfold-proxy || return; fi
  kubectl apply -k "$1" && kubectl rollout status -n "$ns-proxy" deployment/pinfold-proxy --timeout=180s
}
inside() { kubectl exec -n "$ns" claude-code-check -c agent -- "$@"; }

check 'a pod is exported' "${export[@]}" --pod -o "$work/pod"
check 'the server would take all of it' kubectl apply --dry-run=server -f "$work/pod/namespaces.yaml"
check 'it is applied' apply "$work/pod"
check 'the proxy comes up' kubectl rollout status -n "$ns-proxy" deployment/pinfold-proxy --timeout=180s
check 'the pod runs' kubectl wait -n "$ns" --for=condition=Ready pod/claude-code-check --timeout=300s
check 'it has no way out but the proxy' pinfold kube --verify "$work/pod"
check 'an allowed host is reached' inside sh -c 'curl -sS -o /dev/null https://example.com/'
refuse 'another host is not' inside sh -c 'curl -sS -f -o /dev/null https://example.org/'
refuse 'nor is anything without the proxy' inside sh -c 'curl --noproxy "*" -sS -m 5 -o /dev/null https://1.1.1.1/'
refuse 'nor the API server' inside sh -c 'curl --noproxy "*" -sSk -m 5 -o /dev/null "https://$KUBERNETES_SERVICE_HOST/"'
refuse 'the key is nowhere inside' inside sh -c 'env | grep -F "$1" || grep -rFl "$1" /run /etc /home /tmp 2>/dev/null | grep .' sh "$ANTHROPIC_API_KEY"
refuse 'a pod that may be root is refused' kubectl run rooted -n "$ns" --image="$REGISTRY/solo:check" --restart=Never
check 'a replica may go' kubectl delete pod -n "$ns-proxy" -l app.kubernetes.io/name=pinfold-proxy --field-selector=status.phase=Running --wait=false
check 'and the proxy is there again' kubectl rollout status -n "$ns-proxy" deployment/pinfold-proxy --timeout=180s
check 'an allowed host is reached again' inside sh -c 'curl -sS --retry 10 --retry-all-errors -o /dev/null https://example.com/'
check 'keys are rotated' sh -c "pinfold kube --secrets '$work/pod' --only keys | kubectl apply --server-side --field-manager=pinfold-claude-code-check -f -"
kubectl delete -n "$ns" pod/claude-code-check --wait=true >/dev/null 2>&1

# Without policies process 1 has to refuse.
kubectl delete -n "$ns" networkpolicy --all >/dev/null 2>&1
kubectl apply -f "$work/pod/pod.yaml" >/dev/null
check 'without policies nothing starts' kubectl wait -n "$ns" --for=jsonpath='{.status.phase}'=Failed pod/claude-code-check --timeout=300s
check 'and says which exit code' sh -c "kubectl get pod -n '$ns' claude-code-check -o jsonpath='{.status.containerStatuses[0].state.terminated.exitCode}' | grep -x 78"
kubectl delete -n "$ns" pod/claude-code-check --wait=true >/dev/null 2>&1

printf 'one\ntwo\nthree\n' >"$work/tasks.txt"
check 'a job is exported' "${export[@]}" --job "$work/tasks.txt" -o "$work/job" -- /bin/sh -c 'printf "%s\n" "$1"; test "$1" != two || exit 3' sh '{task}'
check 'it is applied' apply "$work/job"
check 'one of three tasks fails' kubectl wait -n "$ns" --for=condition=Failed job/claude-code-check --timeout=300s
check 'the others are done' sh -c "kubectl get job -n '$ns' claude-code-check -o jsonpath='{.status.completedIndexes}' | grep -x 0,2"
kubectl delete -n "$ns" job/claude-code-check --wait=true >/dev/null 2>&1

if kubectl api-resources --api-group=extensions.agents.x-k8s.io 2>/dev/null | grep -q SandboxWarmPool; then
  check 'a pool is exported' "${export[@]}" --pool 3 -o "$work/pool"
  check 'it is applied' apply "$work/pool"
  check 'three sandboxes wait' kubectl wait -n "$ns" --for=jsonpath='{.status.readyReplicas}'=3 sandboxwarmpool/claude-code-check --timeout=300s
  check 'one is claimed' kubectl create -f "$work/pool/claim.example.yaml"
  check 'and gets its token' pinfold kube --claim claude-code-check-1 "$work/pool"
  check 'the pool goes, and its quota' kubectl delete -n "$ns" --wait=true --timeout=180s sandboxclaims,sandboxwarmpools,sandboxtemplates,resourcequotas --all
  check 'a sandbox is exported' "${export[@]}" --sandbox -o "$work/sandbox"
  check 'it is applied' apply "$work/sandbox"
  check 'it has no way out but the proxy' sh -c "for _ in \$(seq 60); do pinfold kube --verify '$work/sandbox' && exit 0; sleep 5; done; exit 1"
else echo 'skip  pools and sandboxes: agent-sandbox is not installed'; fi
exit "$failed"
