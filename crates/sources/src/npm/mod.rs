//! npm packages: registry, ranges, the tree of dependencies, files.
//!
//! ```text
//! lock:   Config ─► Registry ─► Packument ─► platform::resolve_platform_package   one version that all platforms have
//!                                       └──► tree::resolve_tree                   dependencies placed as npm would
//! place:  LockedNpm + Listing ─► place::Package ─► Tree              only what calls itself by the locked name
//! ```
//!
//! **Guarantees**: every locked package has a sha256 or sha512 integrity and a path relative to its registry, so a mirror can
//! serve it; tokens go to the host and path they were written for; the choice depends on the packuments, the request, the
//! previous lock and the given time, on nothing else; nothing is placed that does not call itself what is locked.
//!
//! **Refuses**: packages whose install script nobody has answered for, versions younger than the policy allows, dependencies
//! by URL, git or file, tarballs without integrity.

mod collate;
pub mod config;
mod error;
pub mod identity;
pub mod locked;
pub mod packument;
pub mod place;
pub mod platform;
pub mod range;
pub mod registry;
pub mod shrinkwrap;
pub mod tree;

pub use config::Config;
pub use error::InstallScript;
pub use error::NpmError;
pub use locked::LockedNpm;
pub use locked::Placement;
pub use packument::Packument;
pub use packument::Release;
pub use place::FileRule;
pub use place::Installed;
pub use place::Package;
pub use place::PlaceError;
pub use place::Placed;
pub use platform::PackageTemplate;
pub use platform::PlatformPackage;
pub use platform::ResolvedPackage;
pub use range::Spec;
pub use registry::Registry;
pub use tree::Request;
pub use tree::ResolvedTree;

/// What to do with a version whose time of publication the registry does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MissingTime {
    /// It counts as too young.
    #[default]
    Refuse,
    /// It counts as old enough; the result notes it.
    Accept,
}

/// How old a version must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgeRule {
    /// The least age in seconds.
    pub min_age: u64,
    /// The time to count back from, in seconds since the epoch.
    pub now: u64,
    /// When the registry does not say.
    pub missing: MissingTime,
}

impl AgeRule {
    /// npm's packages must have been public for three days, unless the manifest says otherwise.
    pub const DEFAULT_MIN_AGE: u64 = 3 * 24 * 60 * 60;

    /// Whether something published at `time` is old enough.
    pub fn allows(&self, time: Option<u64>) -> bool {
        match time {
            Some(time) => time.saturating_add(self.min_age) <= self.now,
            None => self.missing == MissingTime::Accept || self.min_age == 0,
        }
    }
}

/// Whether a package's install scripts stop the lock.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum InstallScripts {
    /// Any is an error.
    #[default]
    Refuse,
    /// A recipe or the manifest answers for leaving them out.
    Answered {
        /// Why they need not run.
        reason: String,
    },
}
