//! From downloaded packages to a tree: files, the dpkg database, and the effects of maintainer scripts.
//!
//! ```text
//! packages ─► order ─► for each: preinst, files, postinst ─► triggers ─► certificates, Java's ─► pam
//!                                (merge: usr-merge, path rules, diversions)
//!                                                          ─► dpkg database ─► slim ─► ld.so.cache ─► Tree
//! ```
//!
//! Nothing of a package is run. What its scripts would have done on a fresh install is known by evaluating them
//! ([`super::script`]), in dpkg's order ([`order`]). Each script has an entry in the [`LedgerEntry`] list, which goes into the
//! lock.
//!
//! **Guarantees**: equal packages and options give an equal tree, in whatever order the packages come; no clock, locale,
//! environment or user enters it; every path has one owner component. Times are those of the archives, not later than the
//! epoch of the image; what is generated has that epoch.
//!
//! **Refuses**: a package whose control file is not what was chosen, a script that cannot be evaluated, two packages that ship one path, names that leave the tree, data of
//! packages (account masters, certificates, PAM profiles, trigger and conffile lists) that is broken.
//!
//! **Not made**: debconf's database, byte code, start-up links and systemd's enablement, files of the build host
//! (`/etc/hostname`, `/etc/resolv.conf`, `/etc/fstab`), device nodes, locks, and the backup copies `*-old` and `*-`.

mod below;
mod ca_certificates;
mod compose;
mod control;
mod debconf;
mod dpkg_database;
mod error;
mod evaluate;
mod image;
mod java_keystore;
mod merge;
mod native;
mod order;
mod pam;
mod relations;
mod scripts;
mod slim;
#[cfg(test)]
mod tests;
mod triggers;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use pinfold_archive::Contents;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Listing;
use pinfold_base::Arch;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use serde::Deserialize;
use serde::Serialize;

pub use below::Below;
pub use debconf::DebconfAnswer;
pub use error::Exhausted;
pub use error::PlaceError;
pub use error::UnknownScript;

use self::control::Opened;
use crate::accounts;
use crate::debian::locked::LockedDeb;
use crate::debian::script::world::Budget;

/// A downloaded package.
#[derive(Clone, Debug)]
pub struct Package<'a> {
    /// What the lock says of it.
    pub locked: &'a LockedDeb,
    /// What it holds.
    pub listing: Arc<Listing>,
}

/// How much of the packages' documentation goes into the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slim {
    /// Everything.
    Full,
    /// No manuals, documentation (but copyright files) and translations, by the rule of Debian's own slim images.
    #[default]
    Slim,
}

/// Which database of installed packages the image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Database {
    /// `/var/lib/dpkg`, complete: dpkg and apt work in the image.
    #[default]
    Dpkg,
    /// `/var/lib/dpkg/status.d/`: for images without dpkg, read by vulnerability scanners.
    StatusD,
}

/// The manifest's answer to a script that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The scripts of the package have no effect.
    Skip {
        /// Why that is right, in the words of the manifest.
        reason: String,
    },
    /// These of its scripts have none, each with the reason.
    Scripts(BTreeMap<String, String>),
}

impl Answer {
    /// Why a script has no effect, where it has none.
    fn reason(&self, script: &str) -> Option<&str> {
        match self {
            Self::Skip { reason } => Some(reason),
            Self::Scripts(scripts) => scripts.get(script).map(String::as_str),
        }
    }
}

/// What the image is to be like.
#[derive(Clone, Debug)]
pub struct Options {
    /// The architecture.
    pub arch: Arch,
    /// Time of everything generated, and latest time of anything, in seconds since 1970.
    pub epoch: u64,
    /// Documentation or not.
    pub slim: Slim,
    /// Which database.
    pub database: Database,
    /// Answers by package name.
    pub answers: BTreeMap<String, Answer>,
    /// Answers to questions of debconf.
    pub debconf: BTreeMap<String, DebconfAnswer>,
    /// Further authorities to trust where the image has a bundle: path below `/usr/local/share/ca-certificates` and PEM text.
    pub extra_certificates: Vec<(String, Vec<u8>)>,
    /// Users that the manifest adds; on a base they are in its tree already.
    pub accounts: Vec<accounts::NewUser>,
    /// What the packages are added to, where that is not an empty tree.
    pub below: Option<Below>,
}

/// A placed set of packages.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The file system.
    pub tree: Tree,
    /// What was done instead of running scripts, by package and script.
    pub ledger: Vec<LedgerEntry>,
    /// Where the packages' configuration files are.
    pub conffiles: BTreeSet<ImagePath>,
}

/// How a script was understood. Locks of older versions know more words: what they say was done otherwise, to the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScriptClass {
    /// It does nothing on a fresh install.
    Nothing,
    /// It was evaluated over the image.
    #[serde(alias = "matched-snippets", alias = "recipe")]
    Evaluated,
    /// The manifest says to skip it.
    #[serde(alias = "skipped-by-manifest")]
    Skipped,
}

/// What was done instead of running one script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerEntry {
    /// The binary package.
    pub package: String,
    /// `preinst`, `config` or `postinst`.
    pub script: String,
    /// SHA-256 of the script.
    pub sha256: Digest,
    /// How it was understood.
    pub class: ScriptClass,
    /// What was done, and what was deliberately not (`not done: …`), in the script's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<String>,
    /// What older versions said of it; read, and not written again.
    #[serde(default, rename = "warning", skip_serializing)]
    _warning: Option<String>,
}

/// Composes the tree of a set of packages.
pub fn place(
    packages: &[Package<'_>],
    options: &Options,
    contents: &dyn Contents,
) -> Result<Placed, PlaceError> {
    place_within(packages, options, contents, Budget::IMAGE)
}

/// The same with what all scripts together may use.
fn place_within(
    packages: &[Package<'_>],
    options: &Options,
    contents: &dyn Contents,
    mut budget: Budget,
) -> Result<Placed, PlaceError> {
    let present = options.below.as_ref().map(|below| below::packages(below, contents)).transpose()?;
    let present = present.unwrap_or_default();
    let opened = open(packages, &present, options, contents, &mut budget)?;
    debconf::check(&opened, &options.debconf, contents)?;
    let compose::Composed { tree, ledger } = compose::compose(&opened, options, contents, budget)?;
    let mut conffiles = BTreeSet::new();
    for package in opened.iter().filter(|package| !package.is_present()) {
        let paths = dpkg_database::conffile_paths(package, contents)?;
        conffiles.extend(paths.iter().map(|path| tree.landing(&merge::place_of(path))));
    }
    Ok(Placed { tree, ledger, conffiles })
}

/// Reads the control files and sorts: base-files first, because its directories are those of the system, then by name.
fn open<'a>(
    packages: &'a [Package<'_>],
    present: &'a [below::Present],
    options: &Options,
    contents: &dyn Contents,
    budget: &mut Budget,
) -> Result<Vec<Opened<'a>>, PlaceError> {
    let mut opened = Vec::with_capacity(packages.len() + present.len());
    for (package, below) in present.iter().zip(options.below.iter().cycle()) {
        opened.push(Opened::present(package, &below.component, contents)?);
    }
    for package in packages {
        let one = Opened::open(package, contents)?;
        relations::agree(&one, options.arch.debian())?;
        evaluate::keep(budget, &one, "control", one.control_size())?;
        opened.push(one);
    }
    opened.sort_by_key(|package| (package.name() != "base-files", package.name()));
    if let Some(pair) = opened.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
        return Err(PlaceError::Twice(pair[0].name().into()));
    }
    relations::hold(&opened, options.arch.debian())?;
    Ok(opened)
}
