//! Kinds and the fields that they have: what a strict API server would refuse before anybody looks at what it means.
//!
//! ```text
//! data/kubernetes.schema      made of published schemas (`cargo xtask kube-schema`)
//! data/agent-sandbox.schema   the kinds of agent-sandbox v1beta1, by hand    data/kustomize.schema   the same of kustomizations
//! data/values.txt             which words a field takes, where the schemas say no more than "a string", by hand
//!
//! versions FIRST LAST                       of Kubernetes, as the numbers behind `1.`
//! kind API KIND TYPE
//! type NAME                                 one without fields takes any object
//!   FIELD FORM [!] [!A-B] [@A-B] [min=N]    `!` required, `@` only there in some versions
//! ```
//! Forms: `string` `int32` `int64` `number` `bool` `quantity` `int-or-string` `time` `bytes` `object` (any) `[FORM]` `{FORM}` TYPE.

mod check;
mod scalar;
mod table;

use std::ops::RangeInclusive;

use super::object::Object;
use super::sink::Sink;
use super::types::Minor;

/// The name of the rule.
pub(super) const RULE: &str = "schema";

/// Whether the kind of an object is known.
pub(super) fn knows(object: &Object) -> bool {
    table::TABLE.kind(&object.api, &object.kind).is_some()
}

/// Judges an object of a known kind by its schema.
pub(super) fn judge(object: &Object, versions: &RangeInclusive<Minor>, sink: &mut Sink<'_>) {
    if let Some(of) = table::TABLE.kind(&object.api, &object.kind) {
        check::Check { object, versions: (*versions.start(), *versions.end()), sink }.object(of);
    }
}

/// The versions of the API of a kind that are known, where another one is written: `apps/v1` for `apps/v1beta1`.
pub(super) fn other_version(object: &Object) -> Option<&'static str> {
    table::TABLE.api_of(&object.kind)
}

/// Lines of the tables that mean nothing.
#[cfg(test)]
pub(super) fn unread() -> &'static [String] {
    &table::TABLE.unread
}

/// All known kinds.
#[cfg(test)]
pub(super) fn kinds() -> Vec<(&'static str, &'static str)> {
    table::TABLE.all()
}
