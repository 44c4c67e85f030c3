//! What changed between two locks, for people and for `lock --check`.

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::Platform;
pub use pinfold_base::report::Change;

use super::Lock;
use crate::project::Project;

/// One archive of a version that stayed, with other bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// `debian/curl`.
    pub component: String,
    /// Name, version and architecture.
    pub what: String,
    /// What was locked.
    pub locked: Digest,
    /// What is there now.
    pub found: Digest,
    /// Whether the manifest itself names what is there now: its address has changed, or its digest is typed.
    pub typed: bool,
}

/// Changed versions, by component name. Several versions of one name (a package that differs between platforms) are joined.
/// Where the version stayed and the bytes did not, the digests stand beside it.
pub fn changes(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    changes_on(&Platform::ALL, old, new)
}

/// The same on some platforms alone.
pub fn changes_on(platforms: &[Platform], old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let replaced = old.map(|old| replaced_on(platforms, old, new, None)).unwrap_or_default();
    let old = old.map(|old| versions_on(platforms, old)).unwrap_or_default();
    let new = versions_on(platforms, new);
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let change = |name: &String| {
        let (from, to) = (old.get(name), new.get(name));
        if from != to {
            return Some(Change { component: name.clone(), from: from.cloned(), to: to.cloned() });
        }
        let with = |digest: fn(&Replaced) -> &Digest| {
            let own = replaced.iter().filter(|replaced| replaced.component == *name);
            let mut digests: Vec<String> = own
                .map(digest)
                .map(|digest| format!("{}:{}", digest.algorithm().name(), digest.short()))
                .collect();
            digests.dedup();
            Some(format!("{} ({})", from?, digests.join(", ")))
        };
        let (from, to) = (with(|replaced| &replaced.locked), with(|replaced| &replaced.found));
        (from != to).then(|| Change { component: name.clone(), from, to })
    };
    names.into_iter().filter_map(change).collect()
}

/// Archives whose version stayed though their bytes did not, each once. `project` says what the manifest names.
pub fn replaced(old: &Lock, new: &Lock, project: Option<&Project>) -> Vec<Replaced> {
    replaced_on(&Platform::ALL, old, new, project)
}

fn replaced_on(platforms: &[Platform], old: &Lock, new: &Lock, project: Option<&Project>) -> Vec<Replaced> {
    let mut found: Vec<Replaced> = Vec::new();
    for &platform in platforms {
        let before = old.archives(platform);
        let before: BTreeMap<(&str, &str), _> = before
            .iter()
            .map(|archive| ((archive.component.as_str(), archive.what.as_str()), archive))
            .collect();
        for archive in new.archives(platform) {
            let key = (archive.component.as_str(), archive.what.as_str());
            let Some(before) = before.get(&key).filter(|before| before.digest != archive.digest) else {
                continue;
            };
            let typed = before.origin.address() != archive.origin.address()
                || project.is_some_and(|project| archive.origin.is_typed(project, platform));
            let replaced = Replaced {
                what: archive.what.clone(),
                locked: before.digest.clone(),
                found: archive.digest.clone(),
                typed,
                component: archive.component,
            };
            if !found.contains(&replaced) {
                found.push(replaced);
            }
        }
    }
    found
}

/// Component → version, every platform's.
pub fn versions(lock: &Lock) -> BTreeMap<String, String> {
    versions_on(&Platform::ALL, lock)
}

fn versions_on(platforms: &[Platform], lock: &Lock) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for archive in platforms.iter().flat_map(|platform| lock.archives(*platform)) {
        let versions = found.entry(archive.component).or_default();
        if !versions.contains(&archive.version) {
            versions.push(archive.version);
        }
    }
    found.into_iter().map(|(name, versions)| (name, versions.join(", "))).collect()
}
