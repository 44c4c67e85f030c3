//! What differs between two images, or between two locks.
//!
//! ```text
//! images   platform by platform: packages, configuration, contract ([run]), files, sizes, install scripts (where the locks are known)
//! locks    the same of what a lock has: packages, downloads, install scripts, rules, parts of the manifest
//! ```
//!
//! **Guarantees**: equal sides have no difference, and swapping them swaps each `from` with its `to`; what two platforms have in common is
//! told once. No clock, no machine: equal inputs, equal words.

pub mod files;
pub mod image;
pub mod lock;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::Digest;
use pinfold_base::Platform;
pub use pinfold_base::report::Change;
use pinfold_sources::debian::place::LedgerEntry;
use serde::Serialize;

use crate::verify::secrets;

/// One thing on both sides; where it is on one only, the other has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pair<T> {
    /// What it was.
    pub from: Option<T>,
    /// What it is.
    pub to: Option<T>,
}

/// A key with its values: of the configuration, of a contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name: `env PATH`.
    pub key: String,
    /// What it was and is.
    #[serde(flatten)]
    pub values: Pair<String>,
}

impl Setting {
    /// Hides secrets.
    pub(super) fn hide(&mut self) {
        let name = self.key.split_once(' ').map_or(self.key.as_str(), |(_, name)| name).to_owned();
        self.key = secrets::hidden::text(&self.key).into_owned();
        for value in self.values.from.iter_mut().chain(&mut self.values.to) {
            *value = secrets::hidden::value(&name, value).into_owned();
        }
    }
}

/// What holds for several platforms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Folded<T> {
    /// Which.
    pub platforms: Vec<Platform>,
    /// What.
    #[serde(flatten)]
    pub of: T,
}

/// What is equal on several platforms, once.
pub fn folded<T: PartialEq>(each: impl IntoIterator<Item = (Platform, T)>) -> Vec<Folded<T>> {
    let mut found: Vec<Folded<T>> = Vec::new();
    for (platform, of) in each {
        match found.iter_mut().find(|known| known.of == of) {
            Some(known) => known.platforms.push(platform),
            None => found.push(Folded { platforms: vec![platform], of }),
        }
    }
    found
}

/// An install script of a package that does something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Script {
    /// The binary package.
    pub package: String,
    /// `preinst`, `config` or `postinst`.
    pub script: String,
    /// SHA-256 of the script.
    pub sha256: Pair<Digest>,
    /// What it did, and does no more.
    pub no_longer: Vec<String>,
    /// What it does, and did not before.
    pub now: Vec<String>,
}

/// Install scripts that differ. A ledger of one side alone says nothing about the other.
pub(super) fn scripts(from: Option<&[LedgerEntry]>, to: Option<&[LedgerEntry]>) -> Vec<Script> {
    let (Some(from), Some(to)) = (from, to) else { return Vec::new() };
    let by_name = |ledger: &[LedgerEntry]| -> BTreeMap<(String, String), LedgerEntry> {
        ledger.iter().map(|entry| ((entry.package.clone(), entry.script.clone()), entry.clone())).collect()
    };
    let (from, to) = (by_name(from), by_name(to));
    let both = pairs(&from, &to);
    let lines = |entry: Option<&LedgerEntry>| -> Vec<String> {
        entry.map(|entry| entry.what.clone()).unwrap_or_default()
    };
    let script = |((package, script), pair): (&(String, String), Pair<&LedgerEntry>)| {
        let (before, after) = (lines(pair.from), lines(pair.to));
        let without = |all: &[String], others: &[String]| -> Vec<String> {
            let others: BTreeSet<&String> = others.iter().collect();
            all.iter().filter(|line| !others.contains(line)).cloned().collect()
        };
        Script {
            package: package.clone(),
            script: script.clone(),
            sha256: Pair {
                from: pair.from.map(|entry| entry.sha256.clone()),
                to: pair.to.map(|entry| entry.sha256.clone()),
            },
            no_longer: without(&before, &after),
            now: without(&after, &before),
        }
    };
    both.into_iter().map(script).collect()
}

/// What differs of two maps, by key.
pub(super) fn pairs<'a, K: Ord, V: PartialEq>(
    from: &'a BTreeMap<K, V>,
    to: &'a BTreeMap<K, V>,
) -> Vec<(&'a K, Pair<&'a V>)> {
    let keys: BTreeSet<&K> = from.keys().chain(to.keys()).collect();
    let pair = |key: &'a K| (key, Pair { from: from.get(key), to: to.get(key) });
    keys.into_iter().map(pair).filter(|(_, pair)| pair.from != pair.to).collect()
}

/// Settings that differ.
pub(super) fn settings(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Vec<Setting> {
    let setting = |(key, pair): (&String, Pair<&String>)| Setting {
        key: key.clone(),
        values: Pair { from: pair.from.cloned(), to: pair.to.cloned() },
    };
    pairs(from, to).into_iter().map(setting).collect()
}

/// Versions that differ.
pub(super) fn versions(from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Vec<Change> {
    let change = |(component, pair): (&String, Pair<&String>)| Change {
        component: component.clone(),
        from: pair.from.cloned(),
        to: pair.to.cloned(),
    };
    pairs(from, to).into_iter().map(change).collect()
}

#[cfg(test)]
mod tests;
