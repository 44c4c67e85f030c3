//! What changed between two locks, for people and for `lock --check`.

use std::collections::BTreeMap;

use pinfold_base::Platform;

use super::Lock;

/// One changed package.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// `debian/curl`, `agent/claude-code`, `npm/typescript`.
    pub component: String,
    /// The version that was locked; `None` for a new one.
    pub from: Option<String>,
    /// The version that is now; `None` for one that left.
    pub to: Option<String>,
}

/// Changed versions, by component name. Several versions of one name (a package that differs between platforms) are joined.
pub fn changes(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let old = old.map(versions).unwrap_or_default();
    let new = versions(new);
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name))
        .map(|name| Change {
            component: name.clone(),
            from: old.get(name).cloned(),
            to: new.get(name).cloned(),
        })
        .collect()
}

/// Component → version, every platform's.
pub fn versions(lock: &Lock) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for archive in Platform::ALL.into_iter().flat_map(|platform| lock.archives(platform)) {
        let versions = found.entry(archive.component).or_default();
        if !versions.contains(&archive.version) {
            versions.push(archive.version);
        }
    }
    found.into_iter().map(|(name, versions)| (name, versions.join(", "))).collect()
}
