//! The pods in objects: themselves, and as templates in what makes pods.

use super::object::Object;
use super::sink::Path;
use super::value::Node;

/// A pod, or what pods are made by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pod<'a> {
    pub(super) object: &'a Object,
    /// The names that lead to what holds `metadata` and `spec`.
    way: &'static [&'static str],
    /// What holds them.
    holder: &'a Node,
    pub(super) spec: &'a Node,
}

/// A container of one of the three kinds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container<'a> {
    pub(super) node: &'a Node,
    /// `containers`, `initContainers` or `ephemeralContainers`.
    pub(super) list: &'static str,
    pub(super) index: usize,
}

/// The lists of containers of a pod.
const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Where objects of a kind hold a pod.
pub(super) fn way(object: &Object) -> Option<&'static [&'static str]> {
    Some(match (object.group(), object.kind.as_str()) {
        ("", "Pod") => &[],
        ("", "PodTemplate") => &["template"],
        ("", "ReplicationController")
        | ("apps", "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet")
        | ("batch", "Job") => &["spec", "template"],
        ("batch", "CronJob") => &["spec", "jobTemplate", "spec", "template"],
        ("agents.x-k8s.io", "Sandbox") | ("extensions.agents.x-k8s.io", "SandboxTemplate") => {
            &["spec", "podTemplate"]
        }
        _ => return None,
    })
}

impl<'a> Pod<'a> {
    /// The pod of an object, where it has one with a specification.
    pub(super) fn of(object: &'a Object) -> Option<Self> {
        let way = way(object)?;
        let holder = object.root.at(way)?;
        let spec = holder.get("spec")?;
        spec.map()?;
        Some(Self { object, way, holder, spec })
    }

    /// Calls with the path of the specification.
    pub(super) fn within<T>(&self, call: impl FnOnce(&Path<'_>) -> T) -> T {
        descend(&Path::Root, self.way, |path| call(&path.name("spec")))
    }

    /// The value of an annotation or a label of the pod itself.
    pub(super) fn metadata(&self, of: &str) -> Option<&'a Node> {
        self.holder.at(&["metadata", of])
    }

    /// All containers of all kinds.
    pub(super) fn containers(&self) -> impl Iterator<Item = Container<'a>> + use<'a> {
        let spec = self.spec;
        LISTS.into_iter().flat_map(move |list| {
            spec.items_at(list).iter().enumerate().map(move |(index, node)| Container { node, list, index })
        })
    }

    /// The pod's security context.
    pub(super) fn security(&self, name: &str) -> Option<&'a Node> {
        self.spec.at(&["securityContext", name])
    }

    /// The namespace that it is to run in.
    pub(super) fn namespace(&self) -> &'a str {
        self.object.namespace()
    }
}

impl<'a> Container<'a> {
    /// A field of its security context.
    pub(super) fn security(&self, name: &str) -> Option<&'a Node> {
        self.node.at(&["securityContext", name])
    }

    pub(super) fn name(&self) -> &'a str {
        self.node.text_at("name").unwrap_or_default()
    }

    /// Calls with its path below a specification's.
    pub(super) fn within<T>(&self, spec: &Path<'_>, call: impl FnOnce(&Path<'_>) -> T) -> T {
        call(&spec.name(self.list).index(self.index))
    }
}

/// A path down some names.
fn descend<T>(path: &Path<'_>, names: &[&str], call: impl FnOnce(&Path<'_>) -> T) -> T {
    match names {
        [] => call(path),
        [first, rest @ ..] => descend(&path.name(first), rest, call),
    }
}

/// A path down some names, for a finding.
pub(super) fn below<T>(path: &Path<'_>, names: &[&str], call: impl FnOnce(&Path<'_>) -> T) -> T {
    descend(path, names, call)
}
