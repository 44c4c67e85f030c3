//! From a request to the packages the walk begins with, in apt's order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fmt;

use pinfold_base::text::nearest;

use super::Base;
use super::Recommends;
use super::Request;
use super::candidates::Candidates;
use super::elsewhere::Elsewhere;
use super::index::Id;
use super::index::Priority;
use super::index::Universe;
use super::near::near;
use super::relation;
use super::relation::Relation;
use super::walk::Reason;
use crate::debian::version;

/// The most providers of a virtual package that are told.
const PROVIDERS_SHOWN: usize = 8;

/// What cannot be a root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The entry is none of `name`, `name=version` and `name/suite`.
    #[error("`{entry}` is not `name`, `name=version` or `name/suite`")]
    Spelling {
        /// As in the request.
        entry: String,
    },
    /// Nothing has that name.
    #[error("package `{name}` does not exist for {} in the suites and components asked for", quoted(.arches))]
    Missing {
        /// The name asked for.
        name: String,
        /// Debian's names of the architectures.
        arches: Vec<String>,
        /// Names that are close to it.
        near: Vec<String>,
        /// A place that has it.
        elsewhere: Option<Elsewhere>,
    },
    /// No archive that has it may give it by itself.
    #[error("package `{name}` is only in archives of a priority below zero: {}", .there.join(", "))]
    Held {
        /// The name asked for.
        name: String,
        /// The versions in the index, with their suites.
        there: Vec<String>,
    },
    /// The name is only provided by others.
    #[error("`{name}` is a virtual package; it is provided by {}", providers(.by))]
    Virtual {
        /// The name asked for.
        name: String,
        /// The packages that provide it.
        by: Vec<String>,
    },
    /// Several of them, each with what is wrong.
    #[error("{} of the packages asked for cannot be chosen", .0.len())]
    Several(Vec<RootError>),
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
    /// The package is there, but not in that suite.
    #[error("package `{name}` is not in `{suite}` for `{arch}`; there is {}", .there.join(", "))]
    NotThere {
        /// The name asked for.
        name: String,
        /// The suite asked for.
        suite: String,
        /// Debian's name of the architecture.
        arch: String,
        /// The versions in the index, with their suites.
        there: Vec<String>,
    },
    /// The suite is none of those that are read.
    #[error("`{entry}`: suite `{suite}` is not among those asked for ({})", .known.join(", "))]
    Suite {
        /// As in the request.
        entry: String,
        /// The suite asked for.
        suite: String,
        /// What the suites are called.
        known: Vec<String>,
    },
    /// One package, two versions.
    #[error("package `{name}` is asked for as {one} and as {other}")]
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
            Self::Spelling { entry } => match meant(entry) {
                Some(meant) => format!("write {meant}"),
                None => "write `name`, `name=version` or `name/suite`".into(),
            },
            Self::NotThere { .. } => "ask for it without the suite, or for a version that is there".into(),
            Self::Suite { suite, known, .. } => match nearest(suite, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                // `suites` would leave out updates and security, which come by themselves otherwise.
                None if suite.ends_with("backports") => {
                    "write `backports = true` in the manifest's `[debian]`, and its whole name here, such as `bookworm-backports`".into()
                }
                None => format!("add `{suite}` to `suites` in the manifest's `[debian]`, or leave it out here"),
            },
            Self::Missing { elsewhere: Some(Elsewhere::Component(name)), .. } => {
                format!("it is in the component `{name}`: add that to `components` in the manifest's `[debian]`")
            }
            Self::Missing { elsewhere: Some(Elsewhere::Backports(name)), .. } => {
                format!("it is in `{name}`: write `backports = true` in the manifest's `[debian]`")
            }
            Self::Missing { elsewhere: Some(Elsewhere::Release(name)), near, .. } => match &near[..] {
                [] => format!("it is in Debian's `{name}`, which `suite` in the manifest's `[debian]` can name"),
                near => format!(
                    "did you mean {}? this name is in Debian's `{name}`, which `suite` in the manifest's `[debian]` can name",
                    quoted(near)
                ),
            },
            Self::Missing { near, .. } if near.is_empty() => {
                "check the spelling; the package may be in another suite or component".into()
            }
            Self::Missing { near, .. } => format!("did you mean {}?", quoted(near)),
            Self::Several(_) => "mend them in `packages` of the manifest's `[debian]`".into(),
            Self::Held { .. } => {
                "ask for it as `name=version` or `name/suite`, or raise `priority` in its `[[debian.archive]]`".into()
            }
            Self::Virtual { .. } => "ask for one of them by name".into(),
            Self::Version { .. } => {
                "ask for a version that is there; archives keep only the current ones, a snapshot mirror keeps all".into()
            }
            Self::Twice { .. } => "keep one of the two".into(),
        })
    }
}

impl RootError {
    /// All of `errors` as one; nothing where there is none.
    pub fn gather(errors: Vec<Self>) -> Result<(), Self> {
        let mut each: Vec<Self> = Vec::new();
        let flat = errors.into_iter().flat_map(|error| match error {
            Self::Several(errors) => errors,
            one => vec![one],
        });
        for error in flat {
            // What one platform lacks another may lack too.
            if let Self::Missing { name, arches, .. } = &error
                && let Some(Self::Missing { arches: known, .. }) = each
                    .iter_mut()
                    .find(|other| matches!(other, Self::Missing { name: other, .. } if other == name))
            {
                let more = arches.iter().filter(|arch| !known.contains(arch)).cloned().collect::<Vec<_>>();
                known.extend(more);
            } else if !each.iter().any(|other| other.subject() == error.subject()) {
                each.push(error);
            }
        }
        match each.len() {
            0 => Ok(()),
            1 => Err(each.remove(0)),
            _ => Err(Self::Several(each)),
        }
    }

    /// What it is about: one problem of a package is told once, for the first platform that has it.
    fn subject(&self) -> &str {
        match self {
            Self::Spelling { entry } | Self::Suite { entry, .. } => entry,
            Self::Missing { name, .. }
            | Self::Held { name, .. }
            | Self::Virtual { name, .. }
            | Self::Version { name, .. }
            | Self::NotThere { name, .. }
            | Self::Twice { name, .. } => name,
            Self::Several(_) => "",
        }
    }

    /// The errors of which it is made.
    pub fn each(&self) -> &[Self] {
        match self {
            Self::Several(errors) => errors,
            one => std::slice::from_ref(one),
        }
    }

    /// Notes where the missing packages are, as `look` knows it.
    pub(super) fn locate(&mut self, look: impl FnOnce(&[&str]) -> BTreeMap<String, Elsewhere>) {
        let errors = match self {
            Self::Several(errors) => &mut errors[..],
            one => std::slice::from_mut(one),
        };
        let names: Vec<String> = errors
            .iter()
            .filter_map(|error| match error {
                Self::Missing { name, .. } => Some(name.clone()),
                _ => None,
            })
            .collect();
        if names.is_empty() {
            return;
        }
        let mut found = look(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for error in errors {
            if let Self::Missing { name, elsewhere, .. } = error {
                *elsewhere = found.remove(name);
            }
        }
    }
}

/// Names as they are told.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The packages that provide a name, the first of many.
fn providers(by: &[String]) -> String {
    match by.get(PROVIDERS_SHOWN..) {
        Some(more) if more.len() > 1 => {
            format!("{} and {} more", quoted(&by[..PROVIDERS_SHOWN]), more.len())
        }
        _ => quoted(by),
    }
}

/// What an entry in another program's spelling would be here.
fn meant(entry: &str) -> Option<String> {
    let name = |text: &str| relation::is_name(text).then(|| text.to_owned());
    let words: Vec<&str> = entry.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
    if words.len() > 1 && words.iter().all(|word| spell(word).is_ok()) {
        let each = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>();
        return Some(format!("each package by itself: `{}`", each.join(", ")));
    }
    if let Some(name) = name(entry.trim()) {
        return Some(format!("`{name}` without blanks"));
    }
    let (before, behind) = entry.split_at(entry.find([':', '(', '<', '>', '=', '~', '^', '*', '@', ' '])?);
    let before = name(before)?;
    if behind.starts_with(':') {
        return Some(format!("`{before}`: for which architectures it comes `platforms` says"));
    }
    Some(format!("`{before}` for the newest version there is, or `{before}=VERSION` for one of them"))
}

/// Where the walk begins.
#[derive(Debug)]
pub struct Roots<'u> {
    /// What can be chosen of each name: what is asked for by version or suite, or kept from the lock, else apt's candidate.
    pub candidates: Candidates<'u>,
    /// The roots in order, each once.
    pub roots: Vec<(Id, Reason)>,
}

/// The roots of a request: essential packages by name, required ones, apt, usr-is-merged, then what the user asked for.
/// What the lock keeps is fixed among the candidates already.
pub fn roots<'u>(mut candidates: Candidates<'u>, request: &Request) -> Result<Roots<'u>, RootError> {
    let universe = candidates.universe();
    let mut asked = Vec::new();
    let mut told: BTreeMap<&str, Wanted<'_>> = BTreeMap::new();
    // All that is wrong is told at once.
    let mut wrong = Vec::new();
    for entry in &request.packages {
        match want(&mut candidates, entry, request.recommends, &mut told) {
            Ok(name) => asked.push(name),
            Err(error) => wrong.push(error),
        }
    }
    RootError::gather(wrong)?;
    let mut roots = Vec::new();
    let mut seen = HashSet::new();
    let mut add = |id, reason| {
        if seen.insert(id) {
            roots.push((id, reason));
        }
    };
    let base: Vec<Id> = match request.base {
        Base::None => Vec::new(),
        Base::Essential | Base::Minbase => {
            let names = universe.names().filter_map(|versions| versions.first());
            names.filter_map(|&id| candidates.of(universe.name(id))).collect()
        }
    };
    for &id in base.iter().filter(|&&id| universe.essential(id)) {
        add(id, Reason::Base);
    }
    if request.base == Base::Minbase {
        for &id in base.iter().filter(|&&id| universe.priority(id) == Priority::Required) {
            add(id, Reason::Base);
        }
    }
    let extra: &[&str] = match request.base {
        Base::None => &[],
        Base::Essential => &["usr-is-merged"],
        Base::Minbase => &["apt", "usr-is-merged"],
    };
    // usr-is-merged: from Debian 13 on base-files provides it, and there is no such package.
    for id in extra.iter().filter_map(|name| candidates.of(name)) {
        add(id, Reason::Base);
    }
    for name in asked {
        add(candidate(&candidates, name)?, Reason::Asked);
    }
    Ok(Roots { candidates, roots })
}

/// Takes up one entry of the request. Gives back its name.
fn want<'r>(
    candidates: &mut Candidates<'_>,
    entry: &'r str,
    recommends: Recommends,
    told: &mut BTreeMap<&'r str, Wanted<'r>>,
) -> Result<&'r str, RootError> {
    let (name, wanted) = spell(entry)?;
    if wanted != Wanted::Best
        && let Some(other) = told.insert(name, wanted).filter(|&other| other != wanted)
    {
        return Err(RootError::Twice {
            name: name.to_owned(),
            one: other.to_string(),
            other: wanted.to_string(),
        });
    }
    match wanted {
        Wanted::Best => drop(candidate(candidates, name)?),
        Wanted::Version(version) => {
            let id = exact(candidates, name, version)?;
            candidates.fix(id);
        }
        Wanted::Suite(suite) => {
            let id = of_suite(candidates, entry, name, suite)?;
            candidates.fix(id);
            follow_suite(candidates, id, suite, recommends);
        }
    }
    Ok(name)
}

/// What is asked of a package beyond its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Nothing: apt's candidate.
    Best,
    /// `name=version`
    Version(&'a str),
    /// `name/suite`: what that suite has, and where its needs cannot be met otherwise, those of that suite too.
    Suite(&'a str),
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => f.write_str("it comes"),
            Self::Version(version) => write!(f, "version {version}"),
            Self::Suite(suite) => write!(f, "that of `{suite}`"),
        }
    }
}

/// Splits `name`, `name=version` or `name/suite`.
pub fn spell(entry: &str) -> Result<(&str, Wanted<'_>), RootError> {
    let (name, wanted) = match entry.find(['=', '/']).map(|at| (at, entry.split_at(at))) {
        Some((_, (name, rest))) if rest.starts_with('=') => (name, Wanted::Version(&rest[1..])),
        Some((_, (name, rest))) => (name, Wanted::Suite(&rest[1..])),
        None => (entry, Wanted::Best),
    };
    let odd = match wanted {
        Wanted::Best => false,
        Wanted::Version(text) => version::check(text.as_bytes()).is_err(),
        Wanted::Suite(text) => {
            text.is_empty()
                || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
        }
    };
    if odd || !relation::is_name(name) {
        return Err(RootError::Spelling { entry: entry.chars().take(120).collect() });
    }
    Ok((name, wanted))
}

/// The best version that a suite has. One that is locked stays where it is of that suite.
fn of_suite(candidates: &Candidates<'_>, entry: &str, name: &str, suite: &str) -> Result<Id, RootError> {
    let universe = candidates.universe();
    if !universe.suite_names().any(|known| known == suite) {
        let mut known: Vec<String> = universe.suite_names().map(str::to_owned).collect();
        known.sort();
        known.dedup();
        return Err(RootError::Suite { entry: entry.to_owned(), suite: suite.to_owned(), known });
    }
    let versions = universe.named(name);
    if let Some(id) = candidates.fixed(name).filter(|&id| universe.is_of(id, suite)) {
        return Ok(id);
    }
    // Several archives may have a suite of that name: the newest, whatever the pins.
    let newest = versions.iter().copied().filter(|&id| universe.is_of(id, suite)).reduce(|best, id| {
        let order = version::compare(universe.version(id).as_bytes(), universe.version(best).as_bytes());
        if (order, best).cmp(&(Ordering::Equal, id)).is_gt() { id } else { best }
    });
    if let Some(id) = newest {
        return Ok(id);
    }
    if versions.is_empty() {
        return candidate(candidates, name);
    }
    Err(RootError::NotThere {
        name: name.to_owned(),
        suite: suite.to_owned(),
        arch: universe.arch().to_owned(),
        there: in_suites(universe, versions),
    })
}

/// What a package of a suite needs that no candidate meets is taken from that suite too, and so on, as apt does.
fn follow_suite(candidates: &mut Candidates<'_>, id: Id, suite: &str, recommends: Recommends) {
    let universe = candidates.universe();
    let fields: &[&'static str] = match recommends {
        Recommends::Skip => &["Pre-Depends", "Depends"],
        Recommends::Install => &["Pre-Depends", "Depends", "Recommends"],
    };
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        for group in fields.iter().flat_map(|&field| universe.relations(id, field).unwrap_or_default()) {
            if group.iter().any(|relation| !candidates.meant(relation).is_empty()) {
                continue;
            }
            let there = group.iter().find_map(|relation| {
                let mut versions = universe.named(relation.name).iter();
                versions.find(|&&id| universe.is_of(id, suite) && universe.meets(relation, id)).copied()
            });
            if let Some(id) = there
                && candidates.fix(id)
            {
                open.push(id);
            }
        }
    }
}

fn exact(candidates: &Candidates<'_>, name: &str, wanted: &str) -> Result<Id, RootError> {
    let universe = candidates.universe();
    let versions = universe.named(name);
    let equal =
        |&&id: &&Id| version::compare(universe.version(id).as_bytes(), wanted.as_bytes()) == Ordering::Equal;
    // Of several archives that have it, the first, whatever the pins.
    match versions.iter().filter(equal).min() {
        Some(&id) => Ok(id),
        None if versions.is_empty() => candidate(candidates, name),
        None => Err(RootError::Version {
            name: name.to_owned(),
            version: wanted.to_owned(),
            arch: universe.arch().to_owned(),
            there: distinct(versions.iter().map(|&id| universe.version(id))),
        }),
    }
}

fn in_suites(universe: &Universe, versions: &[Id]) -> Vec<String> {
    let told = |&id: &Id| format!("{} in `{}`", universe.version(id), universe.suite_name(id));
    versions.iter().map(told).collect()
}

/// Each once, in their order: several suites may have one version.
fn distinct<'a>(versions: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> = versions.map(str::to_owned).collect();
    all.dedup();
    all
}

/// The candidate of a name, or the only one that provides it.
fn candidate(candidates: &Candidates<'_>, name: &str) -> Result<Id, RootError> {
    if let Some(id) = candidates.of(name) {
        return Ok(id);
    }
    let universe = candidates.universe();
    let mut by = candidates.meant(&Relation::to(name));
    by.dedup();
    match by[..] {
        [only] => Ok(only),
        [] if !universe.named(name).is_empty() => {
            Err(RootError::Held { name: name.to_owned(), there: in_suites(universe, universe.named(name)) })
        }
        [] => Err(RootError::Missing {
            name: name.to_owned(),
            arches: vec![universe.arch().to_owned()],
            near: near(universe, name),
            elsewhere: None,
        }),
        _ => {
            by.sort_by(|&left, &right| universe.rank(left).cmp(&universe.rank(right)));
            let by = by.iter().map(|&id| universe.name(id).to_owned()).collect();
            Err(RootError::Virtual { name: name.to_owned(), by })
        }
    }
}
