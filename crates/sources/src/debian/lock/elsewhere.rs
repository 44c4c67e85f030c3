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

use super::Inputs;
use super::Request;
use super::archive::Suite;

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
    request: &Request,
    suites: &[Suite],
    inputs: &Inputs<'_>,
) -> BTreeMap<String, Elsewhere> {
    let mut found = BTreeMap::new();
    let mut take = |suite: &Suite, component: &str, place: Elsewhere| {
        for text in suite.texts(component, platform, 0, inputs).unwrap_or_default() {
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
    for component in COMPONENTS.iter().filter(|name| !request.components.iter().any(|one| one == *name)) {
        for suite in suites {
            if take(suite, component, Elsewhere::Component((*component).to_owned())) {
                return found;
            }
        }
    }
    let asked = |name: &str| request.suites.iter().any(|suite| suite == name);
    let Some(own) = RELEASES.iter().find(|name| asked(name)) else { return found };
    let backports = format!("{own}-backports");
    let others = RELEASES.iter().filter(|name| *name != own);
    let places = std::iter::once(Elsewhere::Backports(backports))
        .chain(others.map(|name| Elsewhere::Release((*name).to_owned())));
    for place in places {
        let (Elsewhere::Backports(name) | Elsewhere::Release(name)) = &place else { continue };
        if asked(name) {
            continue;
        }
        let Ok(suite) = Suite::open(name, &request.components, None, inputs) else { continue };
        for component in &request.components {
            if take(&suite, component, place.clone()) {
                return found;
            }
        }
    }
    found
}
