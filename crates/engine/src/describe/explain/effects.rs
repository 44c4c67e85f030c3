//! What install scripts did to a path, by the ledger of the lock.

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_sources::debian::place::LedgerEntry;
use serde::Serialize;

use crate::describe::Description;
use crate::describe::Package;
use crate::describe::PackageKind;

/// What lines of a ledger begin with that tell of what was left out.
const NOT_DONE: &str = "not done";

/// One script that had a hand in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// The binary package.
    pub package: String,
    /// `preinst`, `config` or `postinst`.
    pub script: String,
    /// SHA-256 of the script.
    pub sha256: Digest,
    /// What it did to the path.
    pub what: Vec<String>,
}

/// The scripts whose effects name a path.
pub fn on(ledger: &[LedgerEntry], path: &ImagePath) -> Vec<Effect> {
    let path = path.to_string();
    let effect = |entry: &LedgerEntry| {
        let names = |line: &&String| paths(line).any(|word| spellings(&path).any(|name| name == word));
        let what: Vec<String> = entry.what.iter().filter(names).cloned().collect();
        (!what.is_empty()).then(|| Effect {
            package: entry.package.clone(),
            script: entry.script.clone(),
            sha256: entry.sha256.clone(),
            what,
        })
    };
    ledger.iter().filter_map(effect).collect()
}

/// The packages whose scripts made or changed what is at each path, by a ledger.
#[derive(Clone, Debug, Default)]
pub struct Makers<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Makers<'a> {
    /// Of one platform's ledger. What was deliberately not done has made nothing.
    pub fn of(ledger: &'a [LedgerEntry]) -> Self {
        let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for entry in ledger {
            for path in
                entry.what.iter().filter(|line| !line.starts_with(NOT_DONE)).flat_map(|line| paths(line))
            {
                let packages = found.entry(path).or_default();
                if packages.last() != Some(&entry.package.as_str()) {
                    packages.push(&entry.package);
                }
            }
        }
        Self(found)
    }

    /// The component of the package whose script made a path, where the path's layer (counted from 0) holds it.
    pub fn component<'d>(&self, of: &'d Description, path: &ImagePath, layer: usize) -> Option<&'d str> {
        let path = path.to_string();
        let here = &of.layers.get(layer)?.components;
        let component = |package: &&str| {
            let is_it = |one: &&Package| one.kind == PackageKind::Deb && one.name == *package;
            of.packages.iter().filter(is_it).find_map(|one| one.component.as_deref())
        };
        let packages = spellings(&path).filter_map(|name| self.0.get(name)).flatten();
        packages.filter_map(component).find(|component| here.iter().any(|one| one == component))
    }
}

/// Paths that a line of a ledger names.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', ',', ';', '`', ':']).filter(|word| word.starts_with('/'))
}

/// A path, and as packages and scripts name it that know `/usr` as it was before it was merged.
fn spellings(path: &str) -> impl Iterator<Item = &str> {
    let merged = path
        .strip_prefix("/usr")
        .filter(|rest| ["/bin/", "/sbin/", "/lib/", "/lib64/"].iter().any(|folder| rest.starts_with(folder)));
    [path].into_iter().chain(merged)
}
