//! What install scripts did to a path, by the ledger of the lock.

use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_sources::debian::place::LedgerEntry;
use serde::Serialize;

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
    // Packages and scripts name some paths as they were before `/usr` was merged.
    let merged = path
        .strip_prefix("/usr")
        .filter(|rest| ["/bin/", "/sbin/", "/lib/", "/lib64/"].iter().any(|folder| rest.starts_with(folder)));
    let names = |line: &&String| {
        let mut words = line.split([' ', ',', ';', '`', ':']);
        words.any(|word| word == path || Some(word) == merged)
    };
    let effect = |entry: &LedgerEntry| {
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
