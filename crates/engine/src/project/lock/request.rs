//! Which part of a manifest a lock answers.
//!
//! Only keys that steer resolution count: changing a file, the environment or the user does not make a lock stale. Each part
//! is hashed in its parsed form, so comments, order of keys and line endings do not matter.

use std::collections::BTreeMap;

use pinfold_base::Digest;
use serde::Serialize;

use crate::project::manifest::Manifest;
use crate::project::recipe::Recipe;

/// Parts of the request, by manifest key, with the first 16 hexadecimal digits of their SHA-256.
pub fn parts(manifest: &Manifest, recipes: &[Recipe]) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    let mut add = |key: &str, value: &dyn erased::Part| {
        if let Some(json) = value.json() {
            let mut hex = Digest::sha256(json.as_bytes()).hex();
            hex.truncate(16);
            parts.insert(key.to_owned(), hex);
        }
    };
    add("platforms", &manifest.platforms);
    // What a recipe is fetched by, and what it pulls in; its configuration files are not part of the request.
    let agents: Vec<_> = recipes
        .iter()
        .map(|recipe| (&recipe.name, &recipe.origin, &recipe.debian, &recipe.recipes))
        .collect();
    add("agents", &agents);
    if let Some(debian) = &manifest.debian {
        add(
            "debian",
            &(&debian.suites, &debian.components, debian.base, &debian.packages, debian.recommends),
        );
    }
    if !manifest.npm.packages.is_empty() {
        add("npm", &manifest.npm);
    }
    if !manifest.binaries.is_empty() {
        add("binary", &manifest.binaries);
    }
    add("layers", &manifest.layers);
    if !manifest.scripts.is_empty() {
        add("scripts", &manifest.scripts);
    }
    add("policy.min-age", &manifest.policy.min_age);
    parts
}

/// Keys whose digests differ between what is asked and what was locked.
pub fn moved(asked: &BTreeMap<String, String>, locked: &BTreeMap<String, String>) -> Vec<String> {
    let mut keys: Vec<String> = asked.keys().chain(locked.keys()).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| asked.get(key) != locked.get(key));
    keys
}

mod erased {
    /// Anything that can be written as JSON.
    pub(super) trait Part {
        /// Its JSON; `None` if it cannot be written (no value of a manifest is so).
        fn json(&self) -> Option<String>;
    }

    impl<T: super::Serialize> Part for T {
        fn json(&self) -> Option<String> {
            serde_json::to_string(self).ok()
        }
    }
}
