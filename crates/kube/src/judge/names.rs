//! Names and sizes that a cluster checks beside the schema: of objects, labels, containers, volumes and mounts.

use std::collections::BTreeSet;

use super::object::Object;
use super::pods::Pod;
use super::pods::below;
use super::pods::way;
use super::selector::selects;
use super::sink::Path;
use super::sink::Sink;
use super::text::short;
use super::value::Node;
use super::value::Value;

/// The name of the rule.
pub(super) const RULE: &str = "names";

/// Most bytes of all annotations of an object.
const ANNOTATIONS: usize = 256 << 10;
/// Most bytes of what a ConfigMap or a Secret holds.
const DATA: usize = 1 << 20;

/// Lower-case letters, digits and `-`, at most 63.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 63
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
        && text.bytes().next().is_some_and(plain)
        && text.bytes().last().is_some_and(plain)
}

/// Such labels with dots between them, at most 253.
fn is_subdomain(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().all(|byte| plain(byte) || byte == b'-')
            && part.bytes().next().is_some_and(plain)
            && part.bytes().last().is_some_and(plain)
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// Letters, digits, `-`, `_` and `.`, at most 63, with a letter or a digit at both ends.
fn is_qualified(text: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        && ends(text.bytes().next())
        && ends(text.bytes().last())
}

/// `NAME` or `DOMAIN/NAME`.
fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_qualified(name),
        None => is_qualified(text),
    }
}

/// Whether names of a kind are DNS labels.
fn wants_label(object: &Object) -> bool {
    object.group().is_empty() && matches!(object.kind.as_str(), "Namespace" | "Service")
}

/// Whether names of a kind may have other letters.
fn is_free(object: &Object) -> bool {
    object.group() == "rbac.authorization.k8s.io"
}

/// Judges an object's head and size.
pub(super) fn judge(object: &Object, sink: &mut Sink<'_>) {
    // A kustomization is a file, and nothing of a cluster.
    if object.group() == "kustomize.config.k8s.io" {
        return;
    }
    let metadata = Path::Root.name("metadata");
    let at = object.root.get("metadata");
    let line = at.map_or(object.root.line, |node| node.line);
    let text =
        |name| at.and_then(|node: &Node| node.get(name)).and_then(|node| Some((node.text()?, node.line)));
    match (text("name"), text("generateName")) {
        (Some((name, line)), _) => {
            let taken = match (wants_label(object), is_free(object)) {
                (true, _) => is_label(name),
                (_, true) => !name.is_empty() && !name.contains(['/', '%']) && !matches!(name, "." | ".."),
                _ => is_subdomain(name),
            };
            if !taken {
                let what = if wants_label(object) { "at most 63 of" } else { "at most 253 of" };
                let message = format!(
                    "`{}` is no name: {what} `a-z`, `0-9`, `-`, beginning and ending with a letter or a digit",
                    short(name)
                );
                sink.put(object, &metadata.name("name"), line, RULE, message);
            }
        }
        (None, Some(_)) => {}
        (None, None) => sink.put(object, &metadata.name("name"), line, RULE, "every object has a name"),
    }
    if let Some((namespace, line)) = text("namespace").filter(|(namespace, _)| !is_label(namespace)) {
        let message = format!("`{}` is no name of a namespace", short(namespace));
        sink.put(object, &metadata.name("namespace"), line, RULE, message);
    }
    if let Some(at) = at {
        strings(object, at, &metadata, sink);
    }
    let holds = object.group().is_empty() && matches!(object.kind.as_str(), "ConfigMap" | "Secret");
    if holds {
        data(object, sink);
    }
}

/// Labels and annotations.
fn strings(object: &Object, holder: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    for entry in holder.get("labels").and_then(Node::map).into_iter().flatten() {
        let labels = path.name("labels");
        let value = entry.node.text().unwrap_or_default();
        if !is_key(&entry.name) || !(value.is_empty() || is_qualified(value)) {
            let message =
                "labels are at most 63 letters, digits, `-`, `_` and `.`, a domain and `/` before their name";
            sink.put(object, &labels.name(&entry.name), entry.line, RULE, message);
        }
    }
    let mut size = 0;
    for entry in holder.get("annotations").and_then(Node::map).into_iter().flatten() {
        size += entry.name.len() + entry.node.text().map_or(0, str::len);
        if !is_key(&entry.name.to_lowercase()) {
            let annotations = path.name("annotations");
            let message = "names of annotations are at most 63 letters, digits, `-`, `_` and `.`, a domain and `/` before them";
            sink.put(object, &annotations.name(&entry.name), entry.line, RULE, message);
        }
    }
    if size > ANNOTATIONS {
        let message = format!("annotations of {size} bytes are too long: at most 256 KiB");
        sink.put(object, &path.name("annotations"), holder.line, RULE, message);
    }
}

/// What a ConfigMap or a Secret holds.
fn data(object: &Object, sink: &mut Sink<'_>) {
    let mut size = 0;
    for holder in ["data", "binaryData", "stringData"] {
        let Some(node) = object.root.get(holder) else { continue };
        for entry in node.map().into_iter().flatten() {
            size += entry.name.len() + entry.node.text().map_or(0, str::len);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            let taken = !entry.name.is_empty()
                && entry.name.len() <= 253
                && entry.name.bytes().all(plain)
                && !matches!(entry.name.as_str(), "." | "..");
            if !taken {
                let message = "names of files are at most 253 letters, digits, `-`, `_` and `.`";
                sink.put(object, &Path::Root.name(holder).name(&entry.name), entry.line, RULE, message);
            }
        }
    }
    if size > DATA {
        let message = format!("{size} bytes are too many: an object holds a mebibyte at most");
        sink.put(object, &Path::Root.name("data"), object.root.line, RULE, message);
    }
}

/// Judges what an object says of the pods that it makes.
fn of_maker(pod: &Pod<'_>, sink: &mut Sink<'_>) {
    let object = pod.object;
    let spec = Path::Root.name("spec");
    if object.group() == "apps"
        && let Some(selector) = object.root.at(&["spec", "selector"])
        && !selects(selector, |name| pod.metadata("labels")?.text_at(name))
    {
        let message = "it does not take the pods of its own template: give them these labels";
        sink.put(object, &spec.name("selector"), selector.line, RULE, message);
    }
    let restart = pod.spec.get("restartPolicy");
    let text = restart.and_then(Node::text).unwrap_or_default();
    let wanted = match object.group() {
        "apps" if !matches!(text, "" | "Always") => "`Always`, or nothing",
        "batch" if !matches!(text, "OnFailure" | "Never") => "`OnFailure` or `Never`",
        _ => return,
    };
    let line = restart.unwrap_or(pod.spec).line;
    let message = format!("pods that a {} makes have {wanted} here", object.kind);
    pod.within(|path| sink.put(object, &path.name("restartPolicy"), line, RULE, message));
}

/// Judges an object that is a pod or makes some, and does not say what runs in it.
pub(super) fn without_pod(object: &Object, sink: &mut Sink<'_>) {
    let Some(way) = way(object) else { return };
    let mut node = &object.root;
    for name in way.iter().chain(&["spec"]) {
        match node.get(name) {
            Some(next) => node = next,
            // What is no object is told by the schema.
            None if node.map().is_none() => return,
            None => {
                let message = "nothing says here what runs in its pods: a pod has a specification";
                return below(&Path::Root, way, |path| {
                    sink.put(object, &path.name("spec"), node.line, RULE, message);
                });
            }
        }
    }
}

/// Names of objects that a pod refers to and no name of an object can be.
fn of_others(pod: &Pod<'_>, sink: &mut Sink<'_>) {
    let mut look = |node: Option<&Node>, path: &Path<'_>| {
        if let Some(node) = node
            && let Some(name) = node.text().filter(|name| !name.is_empty() && !is_subdomain(name))
        {
            let message =
                format!("`{}` is no name of an object: `a-z`, `0-9`, `-` and `.` between them", short(name));
            sink.put(pod.object, path, node.line, RULE, message);
        }
    };
    pod.within(|spec| {
        look(pod.spec.get("runtimeClassName"), &spec.name("runtimeClassName"));
        for (index, login) in pod.spec.items_at("imagePullSecrets").iter().enumerate() {
            let list = spec.name("imagePullSecrets");
            look(login.get("name"), &list.index(index).name("name"));
        }
    });
}

/// Judges what in a pod refers to something else in it.
pub(super) fn of_pod(pod: &Pod<'_>, sink: &mut Sink<'_>) {
    of_maker(pod, sink);
    of_others(pod, sink);
    pod.within(|spec| {
        let mut volumes = BTreeSet::new();
        for (index, volume) in pod.spec.items_at("volumes").iter().enumerate() {
            let list = spec.name("volumes");
            let path = list.index(index);
            let name = volume.text_at("name").unwrap_or_default();
            label(pod, name, volume, &path, sink);
            if !volumes.insert(name) {
                sink.put(pod.object, &path.name("name"), volume.line, RULE, "two volumes have this name");
            }
            let sources = volume.map().into_iter().flatten();
            let sources = sources.filter(|entry| entry.name != "name" && entry.node.value != Value::Null);
            if sources.count() > 1 {
                sink.put(pod.object, &path, volume.line, RULE, "a volume comes from one source");
            }
        }
        // Claims of the object itself are volumes of its pods.
        for claim in pod.object.root.get("spec").map_or(&[][..], |node| node.items_at("volumeClaimTemplates"))
        {
            volumes.insert(claim.at(&["metadata", "name"]).and_then(Node::text).unwrap_or_default());
        }
        let mut names = BTreeSet::new();
        for container in pod.containers() {
            container.within(spec, |path| {
                label(pod, container.name(), container.node, path, sink);
                if !names.insert(container.name()) {
                    let message = "two containers have this name";
                    sink.put(pod.object, &path.name("name"), container.node.line, RULE, message);
                }
                let mut places = BTreeSet::new();
                for (index, mount) in container.node.items_at("volumeMounts").iter().enumerate() {
                    let list = path.name("volumeMounts");
                    let path = list.index(index);
                    let name = mount.text_at("name").unwrap_or_default();
                    if !volumes.contains(name) {
                        let message = format!("no volume of the pod is called `{}`", short(name));
                        sink.put(pod.object, &path.name("name"), mount.line, RULE, message);
                    }
                    if !places.insert(mount.text_at("mountPath").unwrap_or_default()) {
                        let message = "two volumes are mounted here";
                        sink.put(pod.object, &path.name("mountPath"), mount.line, RULE, message);
                    }
                }
            });
        }
    });
    if let Some(labels) = pod.metadata("labels")
        && !std::ptr::eq(pod.object.root.at(&["metadata", "labels"]).unwrap_or(labels), labels)
    {
        of_template(pod, labels, sink);
    }
}

/// Labels of a template.
fn of_template(pod: &Pod<'_>, labels: &Node, sink: &mut Sink<'_>) {
    for entry in labels.map().into_iter().flatten() {
        let value = entry.node.text().unwrap_or_default();
        if !is_key(&entry.name) || !(value.is_empty() || is_qualified(value)) {
            let message = format!("`{}` is no label that a pod can have", short(&entry.name));
            pod.within(|path| below(path, &[], |path| sink.put(pod.object, path, entry.line, RULE, message)));
        }
    }
}

fn label(pod: &Pod<'_>, name: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if !is_label(name) {
        let message = format!("`{}` is no name: at most 63 of `a-z`, `0-9`, `-`", short(name));
        sink.put(pod.object, &path.name("name"), node.line, RULE, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_what_is_none() {
        for text in ["a", "0", "a-b", "a1.b2.c3"] {
            assert!(is_subdomain(text), "{text}");
        }
        for text in ["", "A", "-a", "a-", "a..b", ".a", "a_b", &"a".repeat(254)] {
            assert!(!is_subdomain(text), "{text}");
        }
        assert!(is_label("pinfold-proxy") && !is_label("a.b") && !is_label(&"a".repeat(64)));
        for text in ["app", "app.kubernetes.io/name", "A_b.c"] {
            assert!(is_key(text), "{text}");
        }
        for text in ["", "/a", "a/", "a/b/c", "Ä", "a b"] {
            assert!(!is_key(text), "{text}");
        }
    }
}
