//! What all objects have: version, kind, name, labels.

use std::collections::BTreeMap;

use serde::Serialize;

/// Strings by name, in the order of the names.
pub(super) type Strings = BTreeMap<String, String>;

/// An object: its head, and what its kind has beside it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object<B> {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: Metadata,
    #[serde(flatten)]
    pub(super) body: B,
}

/// How an object is called.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: Strings,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: Strings,
}

/// An object whose kind has nothing but a `spec`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Spec<S> {
    pub(super) spec: S,
}

/// Objects that have these labels.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Selector {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) match_labels: Strings,
}

impl Selector {
    pub(super) fn of(labels: Strings) -> Self {
        Self { match_labels: labels }
    }
}

/// Another object of the same namespace.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// A template of pods.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Template<S> {
    pub(super) metadata: Metadata,
    pub(super) spec: S,
}

/// One label, by its name and value.
pub(super) fn strings<const N: usize>(pairs: [(&str, &str); N]) -> Strings {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What everything that is written here is labelled with.
pub(super) fn labels(name: &str) -> Strings {
    strings([("app.kubernetes.io/managed-by", "pinfold"), ("app.kubernetes.io/name", name)])
}

/// An object of a namespace, or of none where that is empty.
pub(super) fn object<B>(
    api_version: &'static str,
    kind: &'static str,
    namespace: &str,
    name: &str,
    labels: Strings,
    body: B,
) -> Object<B> {
    let metadata =
        Metadata { name: name.to_owned(), namespace: namespace.to_owned(), labels, ..Metadata::default() };
    Object { api_version, kind, metadata, body }
}
