//! Pods of agents and of the proxy, each by itself.

use std::collections::BTreeSet;

use super::AGENT;
use super::Around;
use super::PROGRAM;
use super::PROXY;
use super::Role;
use super::put;
use crate::judge::object::Object;
use crate::judge::pods::Container;
use crate::judge::pods::Pod;
use crate::judge::pods::below;
use crate::judge::sink::Sink;
use crate::judge::text::short;
use crate::judge::types::Minor;
use crate::judge::value::Node;
use crate::objects::export::mounts_images;

/// Judges a pod.
pub(super) fn judge(pod: &Pod<'_>, role: Role, around: &Around<'_>, sink: &mut Sink<'_>) {
    images(pod, sink);
    volumes(pod, around.oldest, sink);
    if role == Role::Other {
        return;
    }
    for container in pod.containers() {
        hardened(pod, container, sink);
    }
    if role == Role::Agent {
        managed(pod.object, sink);
        token(pod, around, sink);
        process_1(pod, sink);
        apart(pod, around, sink);
        ends(pod, sink);
    }
}

/// A finding about a field of a pod.
fn of_pod(
    pod: &Pod<'_>,
    names: &[&str],
    line: u32,
    rule: &str,
    message: impl Into<String>,
    sink: &mut Sink<'_>,
) {
    pod.within(|spec| below(spec, names, |path| sink.put(pod.object, path, line, rule, message)));
}

/// A finding about a field of a container.
fn of_container(
    pod: &Pod<'_>,
    container: Container<'_>,
    names: &[&str],
    line: u32,
    rule: &str,
    message: impl Into<String>,
    sink: &mut Sink<'_>,
) {
    pod.within(|spec| {
        container
            .within(spec, |path| below(path, names, |path| sink.put(pod.object, path, line, rule, message)));
    });
}

/// Whether a reference names its image by digest.
fn is_pinned(image: &str) -> bool {
    image.rsplit_once("@sha256:").is_some_and(|(name, digest)| {
        !name.is_empty()
            && digest.len() == 64
            && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn images(pod: &Pod<'_>, sink: &mut Sink<'_>) {
    const RULE: &str = "pinfold/digest";
    let message = |image: &str| {
        format!(
            "`{}` can be another image tomorrow: name it by its digest, `REPOSITORY@sha256:…`",
            short(image)
        )
    };
    for container in pod.containers() {
        let image = container.node.get("image");
        // A container without an image is one that the schema refuses.
        if let Some(text) = image.and_then(Node::text).filter(|text| !is_pinned(text)) {
            let line = image.map_or(0, |node| node.line);
            of_container(pod, container, &["image"], line, RULE, message(text), sink);
        }
    }
    for (index, volume) in pod.spec.items_at("volumes").iter().enumerate() {
        let Some(reference) = volume.at(&["image", "reference"]) else { continue };
        let text = reference.text().unwrap_or_default();
        if !is_pinned(text) {
            pod.within(|spec| {
                let volumes = spec.name("volumes");
                let volume = volumes.index(index);
                let image = volume.name("image");
                sink.put(pod.object, &image.name("reference"), reference.line, RULE, message(text));
            });
        }
    }
}

/// The version in which volumes of an image are on without being asked for; a field that older ones have too is dropped by them.
const IMAGES: u8 = 35;

/// Volumes that the oldest version or the pod's own class does not mount.
fn volumes(pod: &Pod<'_>, oldest: Minor, sink: &mut Sink<'_>) {
    const RULE: &str = "pinfold/image-volume";
    let class = pod.spec.text_at("runtimeClassName").filter(|class| !mounts_images(class));
    for (index, volume) in pod.spec.items_at("volumes").iter().enumerate() {
        let Some(image) = volume.get("image").filter(|image| image.map().is_some()) else { continue };
        let mut put = |message: String| {
            pod.within(|spec| {
                let volumes = spec.name("volumes");
                let volume = volumes.index(index);
                sink.put(pod.object, &volume.name("image"), image.line, RULE, message);
            });
        };
        if oldest.number() < IMAGES {
            put(format!(
                "a cluster of {oldest} has no volumes of an image unless it was told to: they are on since 1.{IMAGES} (`--kubernetes 1.{IMAGES}-{}`)",
                Minor::NEWEST
            ));
        }
        if let Some(class) = class {
            put(format!(
                "pods of the class `{}` mount no image: copy what is in it by a first container",
                short(class)
            ));
        }
    }
}

/// What each container of ours has, those that prepare too.
fn hardened(pod: &Pod<'_>, container: Container<'_>, sink: &mut Sink<'_>) {
    let limits = container.node.at(&["resources", "limits"]);
    for name in ["cpu", "memory"] {
        if limits.and_then(|limits| limits.get(name)).is_none() {
            let line = limits.map_or(container.node.line, |node| node.line);
            let message = "without a limit one pod takes what all others need: set it";
            of_container(
                pod,
                container,
                &["resources", "limits", name],
                line,
                "pinfold/limits",
                message,
                sink,
            );
        }
    }
    let root = container.security("readOnlyRootFilesystem");
    if root.and_then(Node::truth) != Some(true) {
        let line = root.map_or(container.node.line, |node| node.line);
        let message = "the image itself can be written to: set `readOnlyRootFilesystem: true`, with volumes for what is written";
        let names = ["securityContext", "readOnlyRootFilesystem"];
        of_container(pod, container, &names, line, "pinfold/read-only", message, sink);
    }
}

/// A template whose policy is ours.
fn managed(object: &Object, sink: &mut Sink<'_>) {
    if object.is("extensions.agents.x-k8s.io", "SandboxTemplate")
        && object.root.at(&["spec", "networkPolicyManagement"]).and_then(Node::text) != Some("Unmanaged")
    {
        let message = "the policy that a controller adds opens the public internet: set `networkPolicyManagement: Unmanaged`";
        put(sink, object, &["spec", "networkPolicyManagement"], "pinfold/network-management", message);
    }
}

/// The rule of what an agent could ask the cluster for.
const TOKEN: &str = "pinfold/token";

/// The account of a pod.
fn account<'a>(pod: &Pod<'a>) -> &'a str {
    pod.spec.text_at("serviceAccountName").unwrap_or("default")
}

/// No rights of the accounts of agents' pods; each account is asked for once, however many pods have it.
pub(super) fn rights(around: &Around<'_>, sink: &mut Sink<'_>) {
    let agents = around.pods.iter().filter(|(_, role)| *role == Role::Agent);
    let accounts: BTreeSet<(&str, &str)> = agents.map(|(pod, _)| (pod.namespace(), account(pod))).collect();
    for (namespace, account) in accounts {
        for object in around.rights(namespace, account) {
            let message =
                format!("the account `{}` of agents' pods has rights: it needs none", short(account));
            put(sink, object, &["subjects"], TOKEN, message);
        }
    }
}

/// No way to the cluster's API.
fn token(pod: &Pod<'_>, around: &Around<'_>, sink: &mut Sink<'_>) {
    let own = pod.spec.get("automountServiceAccountToken");
    let without = match own {
        Some(node) => node.truth() == Some(false),
        None => around.tokenless.contains(&(pod.namespace(), account(pod))),
    };
    if !without {
        let line = own.map_or(pod.spec.line, |node| node.line);
        let message = "an agent would hold a token of the cluster: set it to false";
        of_pod(pod, &["automountServiceAccountToken"], line, TOKEN, message, sink);
    }
    for volume in pod.spec.items_at("volumes") {
        for source in volume.get("projected").map_or(&[][..], |node| node.items_at("sources")) {
            if let Some(node) = source.get("serviceAccountToken") {
                let message = "an agent would hold a token of the cluster: leave it out";
                of_pod(pod, &["volumes"], node.line, TOKEN, message, sink);
            }
        }
    }
}

/// Pinfold before the agent.
fn process_1(pod: &Pod<'_>, sink: &mut Sink<'_>) {
    for container in pod.containers().filter(|container| container.list == "containers") {
        let command = container.node.get("command");
        let words: Vec<&str> =
            command.map_or(&[][..], Node::items).iter().take(3).filter_map(Node::text).collect();
        if words != [PROGRAM, "pod", "run"] {
            let line = command.map_or(container.node.line, |node| node.line);
            let message = format!(
                "nothing proves that egress is dead before `{}` starts: its command is `[{PROGRAM}, pod, run]`",
                short(container.name())
            );
            of_container(pod, container, &["command"], line, "pinfold/process-1", message, sink);
        }
    }
}

/// What a pod brings in of Secrets: its own token, and nothing of the proxy's.
fn apart(pod: &Pod<'_>, around: &Around<'_>, sink: &mut Sink<'_>) {
    const RULE: &str = "pinfold/proxy-secrets";
    if around.has_proxy(pod.namespace()) {
        let message =
            "agents and the proxy are in one namespace: whoever makes pods there can mount the proxy's keys";
        put(sink, pod.object, &["metadata", "namespace"], RULE, message);
    }
    let secret = |node: &Node, name: &str| Some((node.text_at(name)?.to_owned(), node.line));
    for volume in pod.spec.items_at("volumes") {
        let own = volume.get("secret").and_then(|node| secret(node, "secretName"));
        let sources = volume.get("projected").map_or(&[][..], |node| node.items_at("sources"));
        let projected = sources.iter().filter_map(|node| secret(node.get("secret")?, "name"));
        for (name, line) in own.into_iter().chain(projected) {
            if !name.ends_with("-token") || name.starts_with(PROXY) {
                let message = format!(
                    "`{}` is in reach of the agent: a pod has its own token, `…-token`, and no other Secret",
                    short(&name)
                );
                of_pod(pod, &["volumes"], line, RULE, message, sink);
            }
        }
    }
    for container in pod.containers() {
        let of = |name: &str, inner: &[&str]| {
            container.node.items_at(name).iter().find_map(|node| node.at(inner).map(|node| node.line))
        };
        let found =
            [("env", of("env", &["valueFrom", "secretKeyRef"])), ("envFrom", of("envFrom", &["secretRef"]))];
        for (name, line) in found.into_iter().filter_map(|(name, line)| Some((name, line?))) {
            let message =
                "a Secret in the environment is read by everything in the pod: give it to the proxy";
            of_container(pod, container, &[name], line, RULE, message, sink);
        }
    }
}

/// A pod without a controller that ends it.
fn ends(pod: &Pod<'_>, sink: &mut Sink<'_>) {
    let object = pod.object;
    let of_job = object.root.at(&["spec", "activeDeadlineSeconds"]).is_some();
    let alone = object.is("", "Pod") || object.is("batch", "Job");
    if alone && !of_job && pod.spec.get("activeDeadlineSeconds").is_none() {
        let message = "an agent that hangs runs for ever: set `activeDeadlineSeconds`";
        of_pod(pod, &["activeDeadlineSeconds"], pod.spec.line, "pinfold/lifecycle", message, sink);
    }
    let label = pod.metadata("labels").and_then(|labels| labels.text_at(super::NAME));
    if label == Some(AGENT) && pod.spec.text_at("restartPolicy") == Some("Always") && alone {
        let message = "an agent that ended is started again for ever: `Never`";
        of_pod(pod, &["restartPolicy"], pod.spec.line, "pinfold/lifecycle", message, sink);
    }
}
