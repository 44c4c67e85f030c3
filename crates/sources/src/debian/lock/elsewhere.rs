//! Where a package is that the suites and components asked for do not have.
//!
//! Only asked when a lock fails anyway, and only of the archives that the lock asks: other components of the same suites, the
//! backports of them, then Debian's other releases. Their indexes are verified as all are.
//!
//! **Guarantees**: what cannot be had or read is passed over; a failed lock never fails for another reason because of this.

use std::collections::BTreeMap;
use std::fmt;

use memchr::memmem;
use pinfold_base::Platform;

use super::AskedSuite;
use super::Inputs;
use super::archive::Suite;
use super::mirrors;

/// Debian's components beside `main`.
const COMPONENTS: [&str; 3] = ["contrib", "non-free", "non-free-firmware"];
/// Releases that people change between, newest first.
const RELEASES: [&str; 2] = ["trixie", "bookworm"];

/// A place that has the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// Another component of a suite that was asked for.
    Component(String),
    /// The backports of the suite.
    Backports(String),
    /// Another release.
    Release(String),
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => write!(f, "the component `{name}`"),
            Self::Backports(name) | Self::Release(name) => write!(f, "`{name}`"),
        }
    }
}

/// For each of `names` the first place that has it for `platform`.
pub(super) fn look(
    names: &[&str],
    platform: Platform,
    suites: &[Suite],
    inputs: &Inputs<'_>,
) -> BTreeMap<String, Elsewhere> {
    // Further archives have no releases beside them.
    let own = || suites.iter().filter(|suite| mirrors::is_debians(&suite.asked().archive));
    let Some(first) = own().next() else { return BTreeMap::new() };
    let components = &first.asked().components;
    let mut found = BTreeMap::new();
    let mut take = |suite: &Suite, component: &str, place: Elsewhere| {
        for text in suite.component(component, platform, 0, inputs).unwrap_or_default() {
            for name in names {
                let here = memmem::find(&text.bytes, format!("\nPackage: {name}\n").as_bytes()).is_some()
                    || text.bytes.starts_with(format!("Package: {name}\n").as_bytes());
                if here {
                    found.entry((*name).to_owned()).or_insert_with(|| place.clone());
                }
            }
        }
        found.len() == names.len()
    };
    for component in COMPONENTS.iter().filter(|name| !components.iter().any(|one| one == *name)) {
        for suite in own() {
            if take(suite, component, Elsewhere::Component((*component).to_owned())) {
                return found;
            }
        }
    }
    let asked = |name: &str| own().any(|suite| suite.asked().name == name);
    let Some(release) = RELEASES.iter().find(|name| asked(name)) else { return found };
    let backports = format!("{release}-backports");
    let others = RELEASES.iter().filter(|name| *name != release);
    let places = std::iter::once(Elsewhere::Backports(backports))
        .chain(others.map(|name| Elsewhere::Release((*name).to_owned())));
    for place in places {
        let (Elsewhere::Backports(name) | Elsewhere::Release(name)) = &place else { continue };
        if asked(name) {
            continue;
        }
        let Ok(suite) = Suite::open(&AskedSuite::of_debian(name, components), None, inputs) else { continue };
        for component in components {
            if take(&suite, component, place.clone()) {
                return found;
            }
        }
    }
    found
}
