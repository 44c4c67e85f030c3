//! An export as pinfold writes it, in short: what all rules of ours take.

/// The digest of an image.
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What each container has.
const HARD: &str = "resources: {limits: {cpu: 500m, memory: 1Gi}}, securityContext: {allowPrivilegeEscalation: false, privileged: false, readOnlyRootFilesystem: true, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}";

/// The pod of an agent.
fn pod() -> String {
    format!(
        "{{automountServiceAccountToken: false, serviceAccountName: pinfold-sandbox, runtimeClassName: gvisor, restartPolicy: Never, \
         nodeSelector: {{sandbox.gke.io/runtime: gvisor}}, tolerations: [{{key: sandbox.gke.io/runtime, operator: Equal, value: gvisor, effect: NoSchedule}}], \
         securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}, \
         initContainers: [{{name: home, image: r.example/agent@{DIGEST}, command: [/usr/local/libexec/pinfold/pinfold, pod, seed], {HARD}}}], \
         containers: [{{name: agent, image: r.example/agent@{DIGEST}, command: [/usr/local/libexec/pinfold/pinfold, pod, run], {HARD}, \
         env: [{{name: HTTPS_PROXY, value: http://127.0.0.1:3128}}], volumeMounts: [{{name: token, mountPath: /run/pinfold/token, readOnly: true}}]}}], \
         volumes: [{{name: token, secret: {{secretName: a-token}}}}]}}"
    )
}

/// The labels of agents' pods.
const LABELS: &str = "{app.kubernetes.io/name: pinfold-sandbox}";

/// Namespaces, policies and the proxy.
pub(super) fn around() -> String {
    format!(
        "\
apiVersion: v1
kind: Namespace
metadata: {{name: pinfold, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}
---
apiVersion: v1
kind: Namespace
metadata: {{name: pinfold-proxy, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: nothing, namespace: pinfold}}
spec: {{podSelector: {{}}, policyTypes: [Ingress, Egress]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: to-proxy, namespace: pinfold}}
spec:
  podSelector: {{matchLabels: {LABELS}}}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: pinfold-proxy}}}}
      podSelector: {{matchLabels: {{app.kubernetes.io/name: pinfold-proxy}}}}
    ports: [{{protocol: TCP, port: 8443}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: proxy, namespace: pinfold-proxy}}
spec:
  podSelector: {{matchExpressions: [{{key: app.kubernetes.io/name, operator: In, values: [pinfold-proxy]}}]}}
  policyTypes: [Ingress, Egress]
  ingress: [{{from: [{{namespaceSelector: {{}}}}]}}]
  egress: [{{to: [{{ipBlock: {{cidr: 0.0.0.0/0}}}}]}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: pinfold-proxy, namespace: pinfold-proxy}}
spec: {{maxUnavailable: 1, selector: {{matchLabels: {{app.kubernetes.io/name: pinfold-proxy}}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: pinfold-proxy, namespace: pinfold-proxy}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app.kubernetes.io/name: pinfold-proxy}}}}
  template:
    metadata: {{labels: {{app.kubernetes.io/name: pinfold-proxy}}}}
    spec:
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - {{name: proxy, image: r.example/proxy@{DIGEST}, command: [/usr/local/libexec/pinfold/pinfold, proxy], {HARD}, volumeMounts: [{{name: keys, mountPath: /etc/pinfold/keys}}]}}
      volumes: [{{name: keys, secret: {{secretName: pinfold-proxy-keys}}}}]
---
apiVersion: v1
kind: Secret
metadata: {{name: pinfold-proxy-keys, namespace: pinfold-proxy}}
stringData: {{ANTHROPIC_API_KEY: sk-ant-it-belongs-here}}
---
apiVersion: v1
kind: Secret
metadata: {{name: a-token, namespace: pinfold}}
stringData: {{token: '00112233'}}
"
    )
}

/// A Sandbox.
pub(super) fn sandbox() -> String {
    format!(
        "\
apiVersion: agents.x-k8s.io/v1beta1
kind: Sandbox
metadata: {{name: a, namespace: pinfold}}
spec:
  shutdownTime: \"2026-12-01T08:00:00Z\"
  shutdownPolicy: Delete
  podTemplate:
    metadata: {{labels: {LABELS}}}
    spec: {}
",
        pod()
    )
}

/// A template, a pool of it with its quota, and a claim.
pub(super) fn pool() -> String {
    format!(
        "\
apiVersion: extensions.agents.x-k8s.io/v1beta1
kind: SandboxTemplate
metadata: {{name: t, namespace: pinfold}}
spec:
  networkPolicyManagement: Unmanaged
  podTemplate:
    metadata: {{labels: {LABELS}}}
    spec: {}
---
apiVersion: extensions.agents.x-k8s.io/v1beta1
kind: SandboxWarmPool
metadata: {{name: p, namespace: pinfold}}
spec: {{replicas: 3, sandboxTemplateRef: {{name: t}}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {{name: q, namespace: pinfold}}
spec: {{hard: {{pods: '6'}}}}
---
apiVersion: extensions.agents.x-k8s.io/v1beta1
kind: SandboxClaim
metadata: {{name: c, namespace: pinfold}}
spec: {{warmPoolRef: {{name: p}}, lifecycle: {{shutdownPolicy: Delete, shutdownTime: \"2026-12-01T08:00:00Z\"}}}}
",
        pod()
    )
}

/// A job, and a pod alone.
pub(super) fn job() -> String {
    let pod = pod();
    let ending = pod.replacen('{', "{activeDeadlineSeconds: 3600, ", 1);
    format!(
        "\
apiVersion: batch/v1
kind: Job
metadata: {{name: j, namespace: pinfold}}
spec:
  ttlSecondsAfterFinished: 60
  activeDeadlineSeconds: 3600
  template:
    metadata: {{labels: {LABELS}}}
    spec: {pod}
---
apiVersion: v1
kind: Pod
metadata: {{name: b, namespace: pinfold, labels: {LABELS}}}
spec: {ending}
"
    )
}

/// All of them.
pub(super) fn all() -> String {
    [around(), sandbox(), pool(), job()].join("---\n")
}
