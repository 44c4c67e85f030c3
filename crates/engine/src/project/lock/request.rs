//! Which part of a manifest a lock answers.
//!
//! Only keys that steer resolution count: changing a file, the environment or the user does not make a lock stale. Each part
//! is hashed in its parsed form, so comments, order of keys and line endings do not matter.

use std::collections::BTreeMap;

use pinfold_base::Digest;

use crate::project::Project;
use crate::sources;
use crate::sources::json;

/// Parts of the request, by manifest key, with the first 16 hexadecimal digits of their SHA-256.
pub fn parts(project: &Project) -> BTreeMap<String, String> {
    let manifest = &project.manifest;
    let scripts = if manifest.scripts.is_empty() { None } else { json(&manifest.scripts) };
    let answers = manifest.sources.debian.as_ref().map(|debian| &debian.debconf);
    let answers = answers.filter(|answers| !answers.is_empty()).and_then(json);
    let common = [
        ("platforms", json(&manifest.platforms)),
        ("layers", json(&manifest.layers)),
        ("scripts", scripts),
        ("debian.debconf", answers),
        ("debian.archive", sources::debian::further(project)),
        ("policy.min-age", json(&manifest.policy.min_age)),
    ];
    let sources = sources::ALL.iter().map(|(key, source)| (*key, source.request(project)));
    let part = |(key, json): (&str, Option<String>)| {
        let mut hex = Digest::sha256(json?.as_bytes()).hex();
        hex.truncate(16);
        Some((key.to_owned(), hex))
    };
    common.into_iter().chain(sources).filter_map(part).collect()
}

/// Keys whose digests differ between what is asked and what was locked.
pub fn moved(asked: &BTreeMap<String, String>, locked: &BTreeMap<String, String>) -> Vec<String> {
    let mut keys: Vec<String> = asked.keys().chain(locked.keys()).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| asked.get(key) != locked.get(key));
    keys
}
