//! What an operator of agent-sandbox would ask of each Sandbox: sixteen rules, numbered as the project's example policy numbers
//! them. The words and the code are ours; what they take and refuse is the same (a test asks that policy where it is at hand).
//!
//! Templates are judged as the Sandboxes that are made of them. Rules 15 and 16 name nodes of GKE and are asked with
//! [`Nodes::Gke`], and with it rule 1 wants gVisor by its name there; for other nodes a runtime class is a choice,
//! and only an empty one is refused.

use super::pods::Container;
use super::pods::Pod;
use super::pods::below;
use super::sink::Path;
use super::sink::Sink;
use super::types::Nodes;
use super::value::Node;

/// What GKE labels and taints nodes with that run gVisor.
const GKE: &str = "sandbox.gke.io/runtime";

/// A sandbox being judged.
struct Judged<'a, 'b> {
    pod: &'a Pod<'a>,
    spec: &'a Path<'a>,
    sink: &'a mut Sink<'b>,
}

/// Whether a pod is that of a sandbox.
pub(super) fn is_sandbox(pod: &Pod<'_>) -> bool {
    pod.object.is("agents.x-k8s.io", "Sandbox")
        || pod.object.is("extensions.agents.x-k8s.io", "SandboxTemplate")
}

/// Judges the pod of a sandbox.
pub(super) fn judge(pod: &Pod<'_>, nodes: Nodes, sink: &mut Sink<'_>) {
    pod.within(|spec| {
        let mut judged = Judged { pod, spec, sink };
        judged.runtime(nodes);
        judged.host();
        judged.token();
        judged.containers();
        judged.volumes();
        judged.sysctls();
        if nodes == Nodes::Gke {
            judged.nodes();
        }
    });
}

fn is_true(node: Option<&Node>) -> Option<&Node> {
    node.filter(|node| node.truth() != Some(false))
}

impl Judged<'_, '_> {
    fn pod(&mut self, number: u8, names: &[&str], node: Option<&Node>, message: &str) {
        let (object, line) = (self.pod.object, node.unwrap_or(self.pod.spec).line);
        let rule = rule(number);
        below(self.spec, names, |path| self.sink.put(object, path, line, &rule, message));
    }

    fn container(
        &mut self,
        number: u8,
        of: Container<'_>,
        names: &[&str],
        node: Option<&Node>,
        message: &str,
    ) {
        let (object, line) = (self.pod.object, node.unwrap_or(of.node).line);
        let rule = rule(number);
        of.within(self.spec, |path| {
            below(path, names, |path| self.sink.put(object, path, line, &rule, message));
        });
    }

    /// 1: a kernel of its own.
    fn runtime(&mut self, nodes: Nodes) {
        let spec = self.pod.spec;
        let class = spec.get("runtimeClassName");
        match (nodes, class.and_then(Node::text)) {
            (Nodes::Gke, Some("gvisor")) => {}
            (Nodes::Gke, _) => {
                self.pod(
                    1,
                    &["runtimeClassName"],
                    class,
                    "sandboxes run under gVisor: `runtimeClassName: gvisor`",
                );
            }
            (Nodes::Any, Some("")) => {
                let message =
                    "a runtime class without a name is the node's default: name one, or leave it out";
                self.pod(1, &["runtimeClassName"], class, message);
            }
            (Nodes::Any, _) => {}
        }
    }

    /// 2 and 11: nothing of the host.
    fn host(&mut self) {
        for (number, name) in [(2, "hostNetwork"), (11, "hostPID"), (11, "hostIPC")] {
            if let Some(node) = is_true(self.pod.spec.get(name)) {
                let message = match number {
                    2 => "the network of the node is not a sandbox's: its metadata service would be in reach",
                    _ => "processes and memory of the node are not a sandbox's",
                };
                self.pod(number, &[name], Some(node), message);
            }
        }
    }

    /// 3: no way to the cluster's API.
    fn token(&mut self) {
        let node = self.pod.spec.get("automountServiceAccountToken");
        if node.and_then(Node::truth) != Some(false) {
            let message =
                "a sandbox gets no token of a service account: `automountServiceAccountToken: false`";
            self.pod(3, &["automountServiceAccountToken"], node, message);
        }
    }

    /// 4 to 7, 10, 12 and 14: what each container says of itself.
    fn containers(&mut self) {
        let of_pod = self.pod.security("runAsNonRoot").and_then(Node::truth) == Some(true);
        for of in self.pod.containers() {
            if let Some(node) = is_true(of.security("privileged")) {
                self.container(
                    4,
                    of,
                    &["securityContext", "privileged"],
                    Some(node),
                    "no container is privileged",
                );
            }
            let capabilities = of.security("capabilities");
            let drops = capabilities.map_or(&[][..], |node| node.items_at("drop"));
            if !drops.iter().any(|node| node.text() == Some("ALL")) {
                let names = ["securityContext", "capabilities", "drop"];
                self.container(
                    5,
                    of,
                    &names,
                    capabilities,
                    "each container drops all capabilities: `drop: [ALL]`",
                );
            }
            let limits = of.node.at(&["resources", "limits"]);
            for name in ["cpu", "memory"] {
                if limits.and_then(|limits| limits.get(name)).is_none() {
                    let message = "each container has limits of cpu and memory";
                    self.container(6, of, &["resources", "limits", name], limits, message);
                }
            }
            let user = of.security("runAsNonRoot");
            if !user.map_or(of_pod, |node| node.truth() == Some(true)) {
                let message = "no container runs as root: `runAsNonRoot: true`";
                self.container(7, of, &["securityContext", "runAsNonRoot"], user, message);
            }
            if let Some(add) =
                capabilities.and_then(|node| node.get("add")).filter(|node| !node.items().is_empty())
            {
                let names = ["securityContext", "capabilities", "add"];
                self.container(10, of, &names, Some(add), "no capability is added");
            }
            for port in of.node.items_at("ports") {
                if let Some(node) = port.get("hostPort") {
                    self.container(
                        12,
                        of,
                        &["ports"],
                        Some(node),
                        "no port of the node is taken: leave `hostPort` out",
                    );
                }
            }
            let proc = of.security("procMount");
            if proc.is_some_and(|node| node.text() != Some("Default")) {
                let message = "/proc stays masked: `procMount: Default`";
                self.container(14, of, &["securityContext", "procMount"], proc, message);
            }
        }
    }

    /// 8 and 9: no identity and no directory by a volume.
    fn volumes(&mut self) {
        const IDENTITIES: [&str; 3] = ["serviceAccountToken", "clusterTrustBundle", "podCertificate"];
        for volume in self.pod.spec.items_at("volumes") {
            for source in volume.get("projected").map_or(&[][..], |node| node.items_at("sources")) {
                if let Some(node) = IDENTITIES.iter().find_map(|name| source.get(name)) {
                    let message = "a volume brings no identity of the cluster: no token, no trust bundle, no certificate";
                    self.pod(8, &["volumes"], Some(node), message);
                }
            }
            if let Some(node) = volume.get("hostPath") {
                self.pod(9, &["volumes"], Some(node), "no directory of the node is mounted");
            }
        }
    }

    /// 13: the kernel as it is.
    fn sysctls(&mut self) {
        let sysctls = self.pod.security("sysctls");
        if let Some(node) = sysctls.filter(|node| !node.items().is_empty()) {
            self.pod(13, &["securityContext", "sysctls"], Some(node), "no parameter of the kernel is set");
        }
    }

    /// 15 and 16: nodes of GKE that run gVisor.
    fn nodes(&mut self) {
        let spec = self.pod.spec;
        let selector = spec.get("nodeSelector");
        if selector.and_then(|node| node.text_at(GKE)) != Some("gvisor") {
            let message = "on GKE a sandbox selects nodes that run gVisor: `sandbox.gke.io/runtime: gvisor`";
            self.pod(15, &["nodeSelector"], selector, message);
        }
        let tolerates = |node: &Node| {
            ["key", "value", "effect"].map(|name| node.text_at(name))
                == [Some(GKE), Some("gvisor"), Some("NoSchedule")]
        };
        let tolerations = spec.get("tolerations");
        if !tolerations.map_or(&[][..], Node::items).iter().any(tolerates) {
            let message = "on GKE a sandbox tolerates the taint `sandbox.gke.io/runtime=gvisor:NoSchedule`";
            self.pod(16, &["tolerations"], tolerations, message);
        }
    }
}

fn rule(number: u8) -> String {
    format!("sandbox-policy/{number:02}")
}
