//! What changed between two locks, for people and for `lock --check`.

use std::collections::BTreeMap;

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
    let mut add = |name: String, version: &str| {
        let versions = found.entry(name).or_default();
        if !versions.iter().any(|known| known == version) {
            versions.push(version.to_owned());
        }
    };
    for deb in lock.debian.iter().flat_map(|debian| debian.packages.values().flatten()) {
        add(format!("debian/{}", deb.name), &deb.version);
    }
    for agent in &lock.agents {
        add(format!("agent/{}", agent.name), &agent.version);
    }
    for placement in lock.npm.values().flatten() {
        add(format!("npm/{}", placement.package.name), &placement.package.version);
    }
    for binary in lock.binaries.values().flatten() {
        add(format!("binary/{}", binary.name), &binary.version);
    }
    found.into_iter().map(|(name, versions)| (name, versions.join(", "))).collect()
}
