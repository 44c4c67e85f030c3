//! Objects as they are judged: what a cluster, a policy or pinfold itself would not take, said without a cluster.
//!
//! ```text
//!   Document (bytes) ──► objects with lines    (read.rs, value.rs, object.rs)
//!     ├► schemas of Kubernetes and agent-sandbox   (schema/)      names and sizes   (names.rs)
//!     ├► Pod Security restricted, of every pod     (pod_security.rs; pods in objects: pods.rs)
//!     ├► rules for sandboxes                       (sandbox.rs)
//!     ├► policies of somebody else's, in CEL       (policy/)
//!     └► rules of our own, across all objects      (own/)
//!   ──► Finding { file, line, object, path, rule, message } ──► Report   (sink.rs)
//! ```
//!
//! **Guarantees**: no I/O, and no panic for any bytes; findings stand in the order of files and lines, each with the rule that it
//! breaks; equal documents give equal reports. A value that may be secret is in no message.
//! **Refuses** nothing: what cannot be read, and what is of a kind that is not known here, is a finding too.

mod kustomize;
mod names;
mod object;
mod own;
mod pod_security;
mod pods;
mod policy;
mod read;
mod sandbox;
mod schema;
mod selector;
mod sink;
mod text;
mod types;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use self::kustomize::Kustomization;
pub use self::kustomize::kustomization;
use self::object::Object;
use self::pods::Pod;
use self::sink::Path;
use self::sink::Sink;
pub use self::types::Document;
pub use self::types::Finding;
pub use self::types::Judging;
pub use self::types::Minor;
pub use self::types::Nodes;
pub use self::types::Report;
pub use self::types::Seeker;

/// Most objects that are judged together.
const OBJECTS: usize = 100_000;

/// The rule of what could not be judged.
const NOT_JUDGED: &str = "not-judged";

/// Judges objects of Kubernetes: all documents together, because what one of them lacks another may bring.
pub fn judge(documents: &[Document], judging: &Judging) -> Report {
    let mut sink = Sink::new(documents, judging.secrets);
    let mut objects = Vec::new();
    for (file, document) in documents.iter().enumerate() {
        match read::objects(document, file) {
            Ok(read) => objects.extend(read),
            Err(problem) => sink.file(file, problem.line, "unreadable", problem.message),
        }
        if objects.len() > OBJECTS {
            sink.file(
                file,
                0,
                NOT_JUDGED,
                format!("there are more than {OBJECTS} objects: judge fewer at once"),
            );
            return sink.report(0);
        }
    }
    let policies = policy::Policies::read(&judging.policies, &mut sink);
    for object in &objects {
        one(object, judging, &mut sink);
    }
    policies.judge(&objects, &mut sink);
    twice(&objects, &mut sink);
    own::judge(&objects, judging, &mut sink);
    sink.report(objects.len())
}

/// Judges an object by itself.
fn one(object: &Object, judging: &Judging, sink: &mut Sink<'_>) {
    if object.root.map().is_none() {
        let message =
            format!("it is {}, and has to be an object with `apiVersion` and `kind`", object.root.what());
        return sink.put(object, &Path::Root, object.root.line, schema::RULE, message);
    }
    for (name, value) in [("apiVersion", &object.api), ("kind", &object.kind)] {
        if value.is_empty() {
            let message = "every object says it, as a string";
            return sink.put(object, &Path::Root.name(name), object.root.line, schema::RULE, message);
        }
    }
    if !schema::knows(object) {
        let message = match schema::other_version(object) {
            Some(api) => format!(
                "`{}` is known of `{api}`, not of `{}`: nothing but secrets was looked for",
                object.kind,
                text::short(&object.api)
            ),
            None => "objects of this kind are not known here: nothing but secrets was looked for".to_owned(),
        };
        return sink.put(object, &Path::Root.name("kind"), object.root.line, NOT_JUDGED, message);
    }
    schema::judge(object, &judging.versions, sink);
    names::judge(object, sink);
    let Some(pod) = Pod::of(object) else { return names::without_pod(object, sink) };
    names::of_pod(&pod, sink);
    pod_security::judge(&pod, &judging.versions, sink);
    if sandbox::is_sandbox(&pod) {
        sandbox::judge(&pod, judging.nodes, sink);
    }
}

/// Objects that stand twice and are not the same: which of them is there in the end is chance.
fn twice(objects: &[Object], sink: &mut Sink<'_>) {
    let mut seen: BTreeMap<_, &Object> = BTreeMap::new();
    for object in objects.iter().filter(|object| object.has_name()) {
        let key = (object.group(), &object.kind, object.namespace(), object.name());
        let first = *seen.entry(key).or_insert(object);
        if !first.root.says_the_same(&object.root) {
            let message = "an object of this kind and name stands here a second time, with other contents";
            sink.put(object, &Path::Root, object.root.line, names::RULE, message);
        }
    }
}
