//! What pinfold asks of objects, beyond what a cluster would take: that a sandbox holds, ends, and has no secret in it.
//!
//! | rule | of | what it asks for |
//! |---|---|---|
//! | `pinfold/secret` | every object | no key and no token; in Secrets keys of providers alone, and any in the proxy's own |
//! | `pinfold/digest` | every pod | images by their digest |
//! | `pinfold/image-volume` | every pod | no volume of an image before Kubernetes 1.35, and none in gVisor and Kata |
//! | `pinfold/lifecycle` | sandboxes, claims, jobs, agents' pods | an end |
//! | `pinfold/network-policy` | agents' pods, the proxy | policies that let nothing in, and nothing out but to pods |
//! | `pinfold/network-management` | templates | `Unmanaged`: the policy of a controller opens the internet |
//! | `pinfold/token` | agents' pods | no token of a service account, and no rights of one |
//! | `pinfold/limits` | agents' pods, the proxy | limits of processors and memory |
//! | `pinfold/read-only` | agents' pods, the proxy | a root that is not written to |
//! | `pinfold/process-1` | agents' pods | pinfold, which proves that egress is dead before it starts the agent |
//! | `pinfold/quota` | warm pools | a quota of pods beside them |
//! | `pinfold/proxy-secrets` | the proxy's Secrets, agents' pods | they stay apart, each in a namespace of its own |
//! | `pinfold/disruptions` | the proxy | two replicas, and a budget that keeps one |
//! | `pinfold/restricted` | their namespaces | Pod Security *restricted*, enforced |
//!
//! Agents' pods are those of sandboxes and their templates, those that are labelled as pinfold's, and those that pinfold is process
//! 1 of. What an object needs beside itself is looked for among all objects that are judged together.

mod network;
mod pods;
mod secrets;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::NOT_JUDGED;
use super::object::Object;
use super::pods::Pod;
use super::sandbox;
use super::selector::Selectors;
use super::sink::Path;
use super::sink::Sink;
use super::types::Judging;
use super::types::Minor;
use super::value::Node;

/// The program in every image of a pod.
const PROGRAM: &str = "/usr/local/libexec/pinfold/pinfold";
/// What the proxy's objects are called, and begin with.
const PROXY: &str = "pinfold-proxy";
/// The label that says what a pod is.
const NAME: &str = "app.kubernetes.io/name";
/// Its value for agents.
const AGENT: &str = "pinfold-sandbox";

/// What a pod is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Agent,
    Proxy,
    Other,
}

/// What a pod is for.
fn role(pod: &Pod<'_>) -> Role {
    let label = pod.metadata("labels").and_then(|labels| labels.text_at(NAME));
    let runs = |mode: &str| {
        pod.spec.items_at("containers").iter().any(|container| {
            let mut words =
                container.items_at("command").iter().chain(container.items_at("args")).map(Node::text);
            words.next().flatten().is_some_and(|word| word.ends_with("/pinfold"))
                && words.next().flatten() == Some(mode)
        })
    };
    if label == Some(PROXY) || runs("proxy") {
        Role::Proxy
    } else if sandbox::is_sandbox(pod) || label == Some(AGENT) || runs("pod") {
        Role::Agent
    } else {
        Role::Other
    }
}

/// Judges all objects by all rules of ours.
pub(super) fn judge(objects: &[Object], judging: &Judging, sink: &mut Sink<'_>) {
    let around = Around::new(objects, *judging.versions.start());
    for object in objects {
        secrets::judge(object, &around, judging.secrets, sink);
        lifecycle(object, sink);
        quota(object, &around, sink);
    }
    for (pod, role) in &around.pods {
        pods::judge(pod, *role, &around, sink);
    }
    pods::rights(&around, sink);
    network::judge(&around, sink);
    disruptions(&around, sink);
    namespaces(&around, sink);
}

/// All that is judged together, by what it is looked for by.
struct Around<'a> {
    objects: &'a [Object],
    /// The oldest version of Kubernetes that is to take them.
    oldest: Minor,
    pods: Vec<(Pod<'a>, Role)>,
    /// Namespaces that may have so many pods and no more.
    limited: BTreeSet<&'a str>,
    /// Namespaces that agents run in.
    agents: BTreeSet<&'a str>,
    /// Namespaces that the proxy runs in.
    proxies: BTreeSet<&'a str>,
    /// Namespaces that the proxy's Deployment stands in.
    deployed: BTreeSet<&'a str>,
    /// Accounts that say that their pods have no token, by namespace and name.
    tokenless: BTreeSet<(&'a str, &'a str)>,
    /// What gives rights to an account, by the account's namespace and name.
    rights: BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a Object>>>,
}

impl<'a> Around<'a> {
    fn new(objects: &'a [Object], oldest: Minor) -> Self {
        let pods: Vec<(Pod<'_>, Role)> =
            objects.iter().filter_map(Pod::of).map(|pod| (pod, role(&pod))).collect();
        let of = |asked: Role| {
            pods.iter().filter(move |(_, role)| *role == asked).map(|(pod, _)| pod.namespace()).collect()
        };
        let (agents, proxies) = (of(Role::Agent), of(Role::Proxy));
        let deployments =
            pods.iter().filter(|(pod, role)| *role == Role::Proxy && pod.object.is("apps", "Deployment"));
        let deployed = deployments.map(|(pod, _)| pod.namespace()).collect();
        let without_token = |object: &&Object| {
            object.is("", "ServiceAccount")
                && object.root.get("automountServiceAccountToken").and_then(Node::truth) == Some(false)
        };
        let accounts = objects.iter().filter(without_token);
        let tokenless = accounts.map(|object| (object.namespace(), object.name())).collect();
        let quotas = objects.iter().filter(|object| object.is("", "ResourceQuota") && limits_pods(object));
        let limited = quotas.map(Object::namespace).collect();
        let rights = BTreeMap::new();
        let mut around =
            Self { objects, oldest, pods, limited, agents, proxies, deployed, tokenless, rights };
        for object in objects {
            let binds = matches!(object.kind.as_str(), "ClusterRoleBinding" | "RoleBinding");
            if !binds || object.group() != "rbac.authorization.k8s.io" {
                continue;
            }
            for subject in object.root.items_at("subjects") {
                if subject.text_at("kind") == Some("ServiceAccount") {
                    let namespace = subject.text_at("namespace").unwrap_or(object.namespace());
                    let of_namespace = around.rights.entry(namespace).or_default();
                    of_namespace.entry(subject.text_at("name").unwrap_or_default()).or_default().push(object);
                }
            }
        }
        around
    }

    /// What gives rights to an account.
    fn rights(&self, namespace: &str, account: &str) -> &[&'a Object] {
        self.rights.get(namespace).and_then(|all| all.get(account)).map_or(&[], Vec::as_slice)
    }

    /// Whether the proxy runs in a namespace.
    fn has_proxy(&self, namespace: &str) -> bool {
        self.proxies.contains(namespace)
    }

    /// Whether agents run in a namespace.
    fn has_agents(&self, namespace: &str) -> bool {
        self.agents.contains(namespace)
    }
}

/// A finding about a field of an object.
fn put(sink: &mut Sink<'_>, object: &Object, names: &[&str], rule: &str, message: impl Into<String>) {
    let mut node = &object.root;
    for name in names {
        let Some(next) = node.get(name) else { break };
        node = next;
    }
    let line = node.line;
    super::pods::below(&Path::Root, names, |path| sink.put(object, path, line, rule, message));
}

/// What is started ends.
fn lifecycle(object: &Object, sink: &mut Sink<'_>) {
    const RULE: &str = "pinfold/lifecycle";
    let has = |names: &[&str]| object.root.at(names).is_some();
    let mut needs = |names: &[&str], message: &str| {
        if !has(names) {
            put(sink, object, names, RULE, message);
        }
    };
    match (object.group(), object.kind.as_str()) {
        ("agents.x-k8s.io", "Sandbox") => {
            needs(&["spec", "shutdownTime"], "a sandbox without an end lives for ever: set `shutdownTime`");
            needs(&["spec", "shutdownPolicy"], "say what becomes of it then: `shutdownPolicy: Delete`");
        }
        ("extensions.agents.x-k8s.io", "SandboxClaim") => {
            let lifecycle = ["spec", "lifecycle"];
            let ends = ["shutdownTime", "ttlSecondsAfterFinished"];
            if !ends.iter().any(|name| has(&["spec", "lifecycle", name])) {
                let message =
                    "a claim without an end lives for ever: set `shutdownTime` or `ttlSecondsAfterFinished`";
                put(sink, object, &lifecycle, RULE, message);
            }
            let policy = object.root.at(&lifecycle).and_then(|node| node.text_at("shutdownPolicy"));
            if !matches!(policy, Some("Delete" | "DeleteForeground")) {
                let message = "a claim keeps its sandbox after its end: set `shutdownPolicy: Delete`";
                put(sink, object, &["spec", "lifecycle", "shutdownPolicy"], RULE, message);
            }
        }
        ("batch", "Job") => {
            let message = "a job stays for ever after its end: set `ttlSecondsAfterFinished`";
            needs(&["spec", "ttlSecondsAfterFinished"], message);
        }
        _ => {}
    }
}

/// Whether a quota says how many pods there are at most.
fn limits_pods(quota: &Object) -> bool {
    let hard = quota.root.at(&["spec", "hard"]);
    ["pods", "count/pods"].iter().any(|name| hard.is_some_and(|hard| hard.get(name).is_some()))
}

/// A warm pool has no maximum of its own.
fn quota(object: &Object, around: &Around<'_>, sink: &mut Sink<'_>) {
    if !object.is("extensions.agents.x-k8s.io", "SandboxWarmPool") {
        return;
    }
    if !around.limited.contains(object.namespace()) {
        let message = "a pool has no maximum of its own: a ResourceQuota of its namespace has to say how many `pods` there are";
        put(sink, object, &["spec", "replicas"], "pinfold/quota", message);
    }
}

/// The proxy goes on while a node is drained.
fn disruptions(around: &Around<'_>, sink: &mut Sink<'_>) {
    const RULE: &str = "pinfold/disruptions";
    let budgets = around.objects.iter().filter(|object| object.is("policy", "PodDisruptionBudget"));
    let mut selectors = Selectors::new(
        budgets.filter_map(|budget| Some(((), budget.namespace(), budget.root.at(&["spec", "selector"])?))),
    );
    for (pod, _) in
        around.pods.iter().filter(|(pod, role)| *role == Role::Proxy && pod.object.is("apps", "Deployment"))
    {
        let object = pod.object;
        let replicas = object.root.at(&["spec", "replicas"]).and_then(Node::int);
        if replicas.is_none_or(|count| count < 2) {
            let message = "one replica alone is away while its node is drained: two or more";
            put(sink, object, &["spec", "replicas"], RULE, message);
        }
        let labels = pod.metadata("labels").and_then(Node::map);
        let Some(budgets) = selectors.of(object.namespace(), labels) else {
            let message =
                "there are more budgets and pods than are compared with each other: judge fewer at once";
            return put(sink, object, &["spec", "template"], NOT_JUDGED, message);
        };
        if budgets.is_empty() {
            let message = "nothing keeps a replica while nodes are drained: a PodDisruptionBudget has to select its pods";
            put(sink, object, &["spec", "template"], RULE, message);
        }
    }
}

/// Namespaces in which nothing runs that *restricted* refuses.
fn namespaces(around: &Around<'_>, sink: &mut Sink<'_>) {
    const RULE: &str = "pinfold/restricted";
    for object in around.objects.iter().filter(|object| object.is("", "Namespace")) {
        let ours = around.has_agents(object.name()) || around.has_proxy(object.name());
        if ours && object.label("pod-security.kubernetes.io/enforce") != Some("restricted") {
            let message = "pods that Pod Security would refuse can be made here: label it `pod-security.kubernetes.io/enforce: restricted`";
            put(sink, object, &["metadata", "labels"], RULE, message);
        }
    }
}
