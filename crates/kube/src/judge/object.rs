//! An object of Kubernetes, whose kind decides what is asked of it.

use super::text::short;
use super::value::Node;

/// An object, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) root: Node,
    /// Which of the documents it stands in.
    pub(super) file: usize,
    /// `apps/v1`.
    pub(super) api: String,
    pub(super) kind: String,
}

impl Object {
    /// Of a kind that it says, or that the list says in which it stands.
    pub(super) fn named(root: Node, file: usize, api: &str, kind: &str) -> Self {
        Self { root, file, api: api.to_owned(), kind: kind.to_owned() }
    }

    /// The group of its API; empty for the oldest.
    pub(super) fn group(&self) -> &str {
        self.api.split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn version(&self) -> &str {
        self.api.split_once('/').map_or(&self.api, |(_, version)| version)
    }

    /// Whether it is of a kind of a group.
    pub(super) fn is(&self, group: &str, kind: &str) -> bool {
        self.kind == kind && self.group() == group
    }

    pub(super) fn name(&self) -> &str {
        let of = |name| self.root.at(&["metadata", name]).and_then(Node::text);
        of("name").or_else(|| of("generateName")).unwrap_or_default()
    }

    /// Whether its name is one of its own, and not what a cluster makes one of.
    pub(super) fn has_name(&self) -> bool {
        self.root.at(&["metadata", "name"]).and_then(Node::text).is_some()
    }

    pub(super) fn namespace(&self) -> &str {
        self.root.at(&["metadata", "namespace"]).and_then(Node::text).unwrap_or_default()
    }

    /// `Kind/namespace/name`, as far as it has them.
    pub(super) fn title(&self) -> String {
        let parts = [self.kind.as_str(), self.namespace(), self.name()];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).map(short).collect();
        parts.join("/")
    }

    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.root.at(&["metadata", "labels"])?.text_at(name)
    }
}
