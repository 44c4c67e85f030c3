//! From a request to the packages the walk begins with, in apt's order.

use std::collections::BTreeMap;
use std::collections::HashSet;

use super::Base;
use super::Request;
use super::index::Id;
use super::index::Priority;
use super::index::Universe;
use super::relation;
use super::walk::Reason;
use crate::debian::version;

/// What cannot be a root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The entry is no `name` or `name=version`.
    #[error("`{entry}` is not `name` or `name=version`")]
    Spelling {
        /// As in the request.
        entry: String,
    },
    /// Nothing has that name.
    #[error("package `{name}` does not exist for `{arch}` in the suites and components asked for")]
    Missing {
        /// The name asked for.
        name: String,
        /// Debian's name of the architecture.
        arch: String,
        /// Names that are close to it.
        near: Vec<String>,
    },
    /// The name is only provided by others.
    #[error("`{name}` is a virtual package; it is provided by {}", .by.join(", "))]
    Virtual {
        /// The name asked for.
        name: String,
        /// The packages that provide it.
        by: Vec<String>,
    },
    /// The package is there, the version is not.
    #[error("package `{name}` has no version `{version}` for `{arch}`; there is {}", .there.join(", "))]
    Version {
        /// The name asked for.
        name: String,
        /// The version asked for.
        version: String,
        /// Debian's name of the architecture.
        arch: String,
        /// The versions in the index.
        there: Vec<String>,
    },
    /// One package, two versions.
    #[error("package `{name}` is asked for in the versions {one} and {other}")]
    Twice {
        /// The name asked for.
        name: String,
        /// A version.
        one: String,
        /// Another.
        other: String,
    },
}

impl RootError {
    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Spelling { .. } => "write `name` or `name=version`".into(),
            Self::Missing { near, .. } if near.is_empty() => {
                "check the spelling; the package may be in another suite or component".into()
            }
            Self::Missing { near, .. } => format!(
                "did you mean {}? the package may also be in another suite or component",
                near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
            Self::Virtual { .. } => "ask for one of them by name".into(),
            Self::Version { .. } => {
                "ask for a version that is there; archives keep only the current ones, a snapshot mirror keeps all".into()
            }
            Self::Twice { .. } => "keep one of the two".into(),
        })
    }
}

/// Where the walk begins.
#[derive(Debug)]
pub struct Roots<'u> {
    /// Packages whose candidate is not the best version: asked for by version, or kept from the lock.
    pub fixed: BTreeMap<&'u str, Id>,
    /// The roots in order, each once.
    pub roots: Vec<(Id, Reason)>,
}

/// The roots of a request: essential packages by name, required ones, apt, usr-is-merged, then what the user asked for.
/// `keep` names the versions of the lock that should stay where the archive still has them.
pub fn roots<'u>(
    universe: &'u Universe,
    request: &Request,
    keep: &BTreeMap<&str, &str>,
) -> Result<Roots<'u>, RootError> {
    let mut fixed = BTreeMap::new();
    for (name, wanted) in keep {
        if let Some(&id) = universe.named(name).iter().find(|&&id| universe.version(id) == *wanted) {
            fixed.insert(universe.name(id), id);
        }
    }
    let mut asked = Vec::new();
    let mut versions: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in &request.packages {
        let (name, wanted) = spell(entry)?;
        if let Some(wanted) = wanted {
            if let Some(other) = versions.insert(name, wanted).filter(|&other| other != wanted) {
                return Err(RootError::Twice {
                    name: name.to_owned(),
                    one: other.to_owned(),
                    other: wanted.to_owned(),
                });
            }
            let id = exact(universe, name, wanted)?;
            fixed.insert(universe.name(id), id);
        }
        asked.push(name);
    }
    let mut found = Roots { fixed, roots: Vec::new() };
    let mut seen = HashSet::new();
    let mut add = |roots: &mut Vec<_>, id, reason| {
        if seen.insert(id) {
            roots.push((id, reason));
        }
    };
    let candidates: Vec<Id> = match request.base {
        Base::None => Vec::new(),
        Base::Essential | Base::Minbase => universe
            .names()
            .filter_map(|versions| versions.first().copied())
            .map(|id| found.fixed.get(universe.name(id)).copied().unwrap_or(id))
            .collect(),
    };
    for &id in candidates.iter().filter(|&&id| universe.essential(id)) {
        add(&mut found.roots, id, Reason::Base);
    }
    if request.base == Base::Minbase {
        for &id in candidates.iter().filter(|&&id| universe.priority(id) == Priority::Required) {
            add(&mut found.roots, id, Reason::Base);
        }
    }
    let extra: &[&str] = match request.base {
        Base::None => &[],
        Base::Essential => &["usr-is-merged"],
        Base::Minbase => &["apt", "usr-is-merged"],
    };
    for name in extra {
        // usr-is-merged: from Debian 13 on base-files provides it, and there is no such package.
        if let Some(id) = found.fixed.get(name).or_else(|| universe.named(name).first()) {
            add(&mut found.roots, *id, Reason::Base);
        }
    }
    for name in asked {
        let id = match found.fixed.get(name) {
            Some(&id) => id,
            None => candidate(universe, name)?,
        };
        add(&mut found.roots, id, Reason::Asked);
    }
    Ok(found)
}

/// Splits `name` or `name=version`.
pub fn spell(entry: &str) -> Result<(&str, Option<&str>), RootError> {
    let (name, wanted) = match entry.split_once('=') {
        Some((name, wanted)) => (name, Some(wanted)),
        None => (entry, None),
    };
    let wrong =
        !relation::is_name(name) || wanted.is_some_and(|text| version::check(text.as_bytes()).is_err());
    if wrong {
        return Err(RootError::Spelling { entry: entry.chars().take(120).collect() });
    }
    Ok((name, wanted))
}

fn exact(universe: &Universe, name: &str, wanted: &str) -> Result<Id, RootError> {
    let versions = universe.named(name);
    let equal = |&&id: &&Id| {
        version::compare(universe.version(id).as_bytes(), wanted.as_bytes()) == std::cmp::Ordering::Equal
    };
    match versions.iter().find(equal) {
        Some(&id) => Ok(id),
        None if versions.is_empty() => candidate(universe, name),
        None => Err(RootError::Version {
            name: name.to_owned(),
            version: wanted.to_owned(),
            arch: universe.arch().to_owned(),
            there: versions.iter().map(|&id| universe.version(id).to_owned()).collect(),
        }),
    }
}

fn candidate(universe: &Universe, name: &str) -> Result<Id, RootError> {
    if let Some(&id) = universe.named(name).first() {
        return Ok(id);
    }
    let mut by: Vec<Id> = universe
        .providers(name)
        .map(|(id, _)| id)
        .filter(|&id| universe.named(universe.name(id)).first() == Some(&id))
        .collect();
    by.dedup();
    match by[..] {
        [only] => Ok(only),
        [] => Err(RootError::Missing {
            name: name.to_owned(),
            arch: universe.arch().to_owned(),
            near: near(universe, name),
        }),
        _ => {
            by.sort_by(|&left, &right| universe.rank(left).cmp(&universe.rank(right)));
            let by = by.iter().take(8).map(|&id| format!("`{}`", universe.name(id))).collect();
            Err(RootError::Virtual { name: name.to_owned(), by })
        }
    }
}

/// Up to five names that differ from `name` by little: by one letter, or by what stands around them.
fn near(universe: &Universe, name: &str) -> Vec<String> {
    let mut close: Vec<(usize, &str)> = universe
        .names()
        .filter_map(|versions| versions.first().map(|&id| universe.name(id)))
        .filter_map(|other| {
            if is_one_apart(name.as_bytes(), other.as_bytes()) {
                Some((0, other))
            } else if other.starts_with(name) || other.len() > 4 && name.starts_with(other) {
                Some((1 + other.len().abs_diff(name.len()), other))
            } else {
                None
            }
        })
        .collect();
    close.sort_unstable();
    close.into_iter().take(5).map(|(_, name)| name.to_owned()).collect()
}

/// Whether one insertion, deletion or replacement makes one of the other.
fn is_one_apart(left: &[u8], right: &[u8]) -> bool {
    let (short, long) = if left.len() <= right.len() { (left, right) } else { (right, left) };
    let front = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    match long.len() - short.len() {
        0 => short.get(front + 1..) == long.get(front + 1..),
        1 => short[front..] == long[front + 1..],
        _ => false,
    }
}
