//! From a request to exact packages: mirrors, signed indexes, apt's walk.
//!
//! ```text
//! Request ─► mirrors ─► InRelease ─► openpgp ─► release ─► index (Packages) ─► walk ─► Resolution
//! ```
//!
//! **Guarantees**: every package of a [`Resolution`] stands in an index whose digest stands in a Release file that a trusted
//! key signed; the choice is apt's own on an empty system of that architecture. The result depends on the request, the
//! previous lock and the archive, on nothing else.
//!
//! **Refuses**: unsigned, expired, future or rolled-back metadata, digests weaker than SHA-256, packages that do not exist,
//! cannot be satisfied or conflict (both chains are shown).

pub mod apt_sources;
pub mod archive;
mod asked;
pub mod candidates;
pub mod elsewhere;
pub mod fetch;
pub mod index;
pub mod mirrors;
pub mod openpgp;
pub mod relation;
pub mod release;
pub mod roots;
pub mod walk;

mod near;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::Shown;
use pinfold_base::Store;
use pinfold_base::http::HttpError;
use pinfold_base::shown;
use pinfold_base::text::nearest;

use self::archive::Suite;
use self::archive::There;
use self::candidates::Candidates;
use self::index::Id;
use self::index::IndexError;
use self::index::Universe;
use self::mirrors::Keys;
use self::mirrors::MirrorError;
use self::mirrors::Mirrors;
use self::openpgp::OpenPgpError;
use self::release::ReleaseError;
use self::roots::RootError;
use self::walk::WalkError;
use super::locked::LockedDeb;
use super::locked::LockedSuite;
use super::version;

pub use asked::AskedSuite;
pub use fetch::Fetch;

/// Which packages are there before the user asks for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Base {
    /// Every `Essential: yes` and every `Priority: required` package, apt, and usr-is-merged: debootstrap's minbase.
    Minbase,
    /// Every `Essential: yes` package and usr-is-merged.
    Essential,
    /// Nothing: only what is asked for and what that needs.
    None,
}

/// Whether recommended packages come along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recommends {
    /// Only what is needed.
    Skip,
    /// Recommended packages too, where they can be had.
    Install,
}

/// Whether metadata must be recent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Freshness {
    /// `Valid-Until` holds, and the keys must be valid today.
    #[default]
    Checked,
    /// An old state is wanted: the keys must have been valid when they signed.
    Unchecked,
}

/// What is asked of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Suites, best first for equal versions: `bookworm`, `bookworm-updates`, ..., then those of further archives.
    pub suites: Vec<AskedSuite>,
    /// What is there before.
    pub base: Base,
    /// `name`, `name=version` or `name/suite`, in the order of the manifest.
    pub packages: Vec<String>,
    /// Whether recommended packages come along.
    pub recommends: Recommends,
    /// The platforms to resolve for.
    pub platforms: Vec<Platform>,
    /// What is installed below already, by platform, as the text of an index: it stays as it is, and satisfies what is added.
    pub present: BTreeMap<Platform, Vec<u8>>,
}

/// Which locked versions may move.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Upgrade {
    /// None that the archive still has.
    #[default]
    Keep,
    /// These packages.
    Names(Vec<String>),
    /// All.
    All,
}

/// What the lock said before.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Previous {
    /// Its suites; an older `Date` than these is a rollback.
    pub suites: Vec<LockedSuite>,
    /// Its packages.
    pub packages: BTreeMap<Platform, Vec<LockedDeb>>,
    /// Which of them may move.
    pub upgrade: Upgrade,
    /// Whether the packages are what the same request gave before in this state of the suites.
    pub settled: bool,
}

/// What was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Provenance, in the order of the request.
    pub suites: Vec<LockedSuite>,
    /// The packages of each platform, by name.
    pub packages: BTreeMap<Platform, Vec<LockedDeb>>,
    /// What the user should know though it is no error.
    pub notes: Vec<String>,
}

/// What [`resolve`] works with.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Where archives are.
    pub mirrors: &'a Mirrors,
    /// How to get bytes from them.
    pub fetch: &'a dyn Fetch,
    /// Where verified indexes are kept.
    pub store: &'a Store,
    /// Who hears of progress.
    pub reporter: &'a dyn Reporter,
    /// The time, in seconds since the epoch.
    pub now: u64,
}

impl std::fmt::Debug for Inputs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inputs").field("now", &self.now).finish_non_exhaustive()
    }
}

/// From this pin on a version comes even where a newer one is there already (apt_preferences(5)).
const FORCES: i16 = 1000;
/// The pin of what is installed: nothing goes before it.
const PRESENT: i16 = i16::MAX;

/// Where Debian's own suites are asked for.
const OWN: &str = "[debian]";

/// Names of Debian's suites that are likely to be meant.
const SUITES: [&str; 12] = [
    "bookworm",
    "bookworm-backports",
    "bookworm-security",
    "bookworm-updates",
    "bullseye",
    "forky",
    "sid",
    "stable",
    "testing",
    "trixie",
    "trixie-security",
    "trixie-updates",
];

/// Why there is no [`Resolution`].
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The request names no suite.
    #[error("the request names no suite")]
    Empty,
    /// A suite that is not flat is asked for without a component.
    #[error("the request names no component of `{suite}`")]
    NoComponent {
        /// The suite.
        suite: String,
        /// Where components are named.
        table: &'static str,
    },
    /// No archive, or no keys for it.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// No archive has such a suite.
    #[error("there is no suite `{suite}`")]
    NoSuite {
        /// As it was asked for.
        suite: String,
        /// The archive.
        archive: String,
        /// What the archives say.
        source: Box<HttpError>,
    },
    /// Metadata cannot be fetched.
    #[error("cannot get {what}")]
    Fetch {
        /// What was wanted.
        what: String,
        /// Why.
        source: Box<HttpError>,
    },
    /// A Release file without signatures.
    #[error("`{suite}` has a Release file, and nobody has signed it")]
    Unsigned {
        /// The suite.
        suite: String,
    },
    /// Nobody trusted vouches for a Release file.
    #[error("the Release file of `{suite}` is not signed as it must be")]
    Signature {
        /// The suite.
        suite: String,
        /// Where its keys are named.
        table: &'static str,
        /// Who has named those that count.
        keys: Keys,
        /// Why.
        source: OpenPgpError,
    },
    /// A Release file is not used.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// A suite lacks a component or an architecture.
    #[error("the archive has no index `{label}`")]
    NoIndex {
        /// Suite, component and architecture.
        label: String,
        /// Where the suite is asked for.
        table: &'static str,
        /// What it has of the component, or instead of it.
        there: There,
    },
    /// An index is not what the Release file says.
    #[error("the index `{label}` is damaged: {reason}")]
    Damaged {
        /// Suite, component and architecture.
        label: String,
        /// How.
        reason: String,
    },
    /// An index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A package asked for does not exist.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A package of the base would have to be another version.
    #[error("the base has `{name}` {version}, and {wanted} is asked for")]
    Installed {
        /// The package.
        name: String,
        /// Its version in the base.
        version: String,
        /// What is wanted.
        wanted: String,
    },
    /// There is no set of packages.
    #[error("no set of packages for `{platform}`")]
    Walk {
        /// The platform.
        platform: Platform,
        /// Why.
        source: Box<WalkError>,
    },
}

impl Diagnose for LockError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Mirror(error) => return Diagnosis::Inner(error),
            Self::Fetch { source, .. } => return Diagnosis::Inner(&**source),
            Self::Empty
            | Self::NoComponent { .. }
            | Self::Root(_)
            | Self::Installed { .. }
            | Self::NoIndex { .. }
            | Self::NoSuite { .. } => Kind::Usage,
            Self::Unsigned { .. }
            | Self::Signature { .. }
            | Self::Release(_)
            | Self::Damaged { .. }
            | Self::Index(_) => Kind::Integrity,
            Self::Walk { source, .. } => match **source {
                WalkError::Index(_) => Kind::Integrity,
                WalkError::Thread(_) => Kind::System,
                WalkError::Unsatisfied { .. } | WalkError::Conflict { .. } => Kind::Usage,
            },
        })
    }

    fn lines(&self) -> Vec<Shown> {
        let mut lines = vec![Shown::of(self)];
        if let Self::Root(error @ RootError::Several(_)) = self {
            lines.extend(error.each().iter().map(|error| match error.hint() {
                Some(hint) => shown!("  {}: {}", error, hint),
                None => shown!("  {}", error),
            }));
        }
        lines
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Empty => Some("name a suite in the manifest's `[debian]`".into()),
            Self::NoComponent { table, .. } => Some(format!("name a component in the manifest's `{table}`")),
            Self::Mirror(_) | Self::Fetch { .. } => None,
            Self::NoSuite { archive, .. } if !mirrors::is_debians(archive) => {
                Some("check `uri` and `suite` of its `[[debian.archive]]`; a flat archive's suite ends in `/`".into())
            }
            Self::NoSuite { suite, .. } => Some(match nearest(suite, SUITES) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "check the name of the suite, and whether the mirror has it".into(),
            }),
            Self::Unsigned { .. } => {
                Some("only signed archives are read: ask whoever publishes it for one with `InRelease` or `Release.gpg`".into())
            }
            Self::Signature { source: OpenPgpError::UnknownKeys { .. }, keys: Keys::Manifest, table, .. } => Some(format!(
                "`keyring` in the manifest's `{table}` has other keys: get those of whoever publishes the archive, and compare their \
                 fingerprints with what is told there"
            )),
            Self::Signature { source: OpenPgpError::UnknownKeys { .. }, keys: Keys::Machine, table, .. } => Some(format!(
                "`Signed-By` of the apt source has other keys: get those of whoever publishes the archive there, or name their file \
                 with `keyring` in the manifest's `{table}`"
            )),
            Self::Signature { source: OpenPgpError::UnknownKeys { .. }, table, .. } => Some(format!(
                "name the archive's keyring with `keyring` in the manifest's `{table}`, or with `Signed-By` in the apt source"
            )),
            Self::Signature { .. } => Some("use another mirror; if it persists the archive's keys may have changed".into()),
            Self::Release(error) => error.hint(),
            Self::NoIndex { table: OWN, there: There::Arches(arches), .. } => {
                Some(format!("it is for {arches} alone: leave the others out of the manifest's `platforms`"))
            }
            Self::NoIndex { there: There::Arches(arches), .. } => Some(format!(
                "it is for {arches} alone: say so with `architectures` in its `[[debian.archive]]`, or leave the others out of `platforms`"
            )),
            Self::NoIndex { table, there: There::Components(names), .. } => {
                Some(format!("its components are {names}: correct `components` in the manifest's `{table}`"))
            }
            Self::NoIndex { there: There::Nothing, .. } => {
                Some("its Release file lists no packages: use another mirror, or ask whoever publishes it".into())
            }
            Self::Damaged { .. } => Some("try again in a few minutes, or use another mirror".into()),
            Self::Index(_) => Some("use another mirror".into()),
            Self::Root(error) => error.hint(),
            Self::Installed { .. } => {
                Some("what a base has stays as it is: take a base that has it, or ask for the package by its name alone".into())
            }
            Self::Walk { source, .. } => match &**source {
                WalkError::Conflict { .. } => {
                    Some("remove one of the packages asked for, or name an alternative before it in `packages`".into())
                }
                WalkError::Unsatisfied { other: Some(other), .. } => {
                    Some(format!("ask for `{other}` too, or for all of them without a suite and a version"))
                }
                WalkError::Unsatisfied { other: None, .. } => {
                    Some("check `suites` and `components`, or drop the version you asked for".into())
                }
                WalkError::Index(_) => Some("use another mirror".into()),
                WalkError::Thread(_) => None,
            },
        }
    }
}

/// Resolves a request: fetches and checks the metadata of its suites, and chooses packages for each platform.
pub fn resolve(request: &Request, previous: &Previous, inputs: &Inputs<'_>) -> Result<Resolution, LockError> {
    if request.suites.is_empty() {
        return Err(LockError::Empty);
    }
    if let Some(suite) = request.suites.iter().find(|suite| suite.components.is_empty() && !suite.is_flat()) {
        return Err(LockError::NoComponent { suite: suite.to_string(), table: suite.table() });
    }
    RootError::gather(request.packages.iter().filter_map(|entry| roots::spell(entry).err()).collect())?;
    let mut asked: Vec<&AskedSuite> = Vec::new();
    for suite in &request.suites {
        if !asked.contains(&suite) {
            asked.push(suite);
        }
    }
    let suites = opened(&asked, previous, inputs)?;
    let locked = suites.iter().map(|suite| &suite.locked);
    if previous.settled && previous.upgrade == Upgrade::Keep && locked.eq(&previous.suites) {
        let Previous { suites, packages, .. } = previous.clone();
        return Ok(Resolution { notes: differences(&packages), suites, packages });
    }
    let mut resolution = Resolution {
        suites: suites.iter().map(|suite| suite.locked.clone()).collect(),
        packages: BTreeMap::new(),
        notes: Vec::new(),
    };
    // What is wrong for any platform is told at once.
    let mut wrong = Vec::new();
    for &platform in &request.platforms {
        let present = request.present.get(&platform).map_or(&[][..], Vec::as_slice);
        let universe = universe(platform, &suites, present, inputs);
        match universe.and_then(|all| choose(platform, &all, request, previous, &resolution.suites)) {
            Ok((packages, note)) => {
                resolution.notes.extend(note);
                resolution.packages.insert(platform, packages);
            }
            Err(LockError::Root(error)) => wrong.push((platform, error)),
            Err(error) if wrong.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    if let Some(&(platform, _)) = wrong.first() {
        let mut told = RootError::gather(wrong.into_iter().map(|(_, error)| error).collect());
        if let Err(error) = &mut told {
            error.locate(|names| elsewhere::look(names, platform, &suites, inputs));
        }
        told?;
    }
    resolution.notes.extend(differences(&resolution.packages));
    Ok(resolution)
}

/// Every suite, asked for at the same time.
fn opened(asked: &[&AskedSuite], previous: &Previous, inputs: &Inputs<'_>) -> Result<Vec<Suite>, LockError> {
    let open = |asked: &AskedSuite| {
        let mut seen = previous.suites.iter();
        let seen = seen.find(|suite| suite.name == asked.name && suite.archive == asked.archive);
        Suite::open(asked, seen, inputs)
    };
    std::thread::scope(|scope| {
        let open = &open;
        let all: Vec<_> = asked.iter().map(|&asked| scope.spawn(move || open(asked))).collect();
        let all =
            all.into_iter().map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        all.collect()
    })
}

/// What there is of each suite, and behind them what is installed below.
fn universe(
    platform: Platform,
    suites: &[Suite],
    present: &[u8],
    inputs: &Inputs<'_>,
) -> Result<Universe, LockError> {
    let mut texts = Vec::new();
    for (number, suite) in suites.iter().enumerate() {
        texts.extend(suite.texts(platform, number as u16, inputs)?);
    }
    if !present.is_empty() {
        texts.push(index::Text {
            bytes: present.to_vec(),
            suite: suites.len() as u16,
            pin: PRESENT,
            mixed: true,
            label: "the base's own packages".into(),
        });
    }
    let called = suites.iter().map(|suite| {
        let names = [&suite.locked.name, &suite.release.codename, &suite.release.suite];
        let mut names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).cloned().collect();
        names.dedup();
        names
    });
    let called = called.chain((!present.is_empty()).then(|| vec!["the base".to_owned()]));
    Ok(Universe::read(platform.arch.debian(), texts)?.calling(called.collect()))
}

/// The packages of one platform. Locked versions stay where that is possible; where it is not, a note says so.
fn choose(
    platform: Platform,
    universe: &Universe,
    request: &Request,
    previous: &Previous,
    suites: &[LockedSuite],
) -> Result<(Vec<LockedDeb>, Option<String>), LockError> {
    let keep = kept(platform, previous);
    match choose_keeping(platform, universe, request, &keep, suites) {
        Err(LockError::Walk { .. }) if !keep.is_empty() => {
            let packages = choose_keeping(platform, universe, request, &[], suites)?;
            let note = format!(
                "{platform}: the locked versions no longer fit together; all packages moved to the newest"
            );
            Ok((packages, Some(note)))
        }
        outcome => outcome.map(|packages| (packages, None)),
    }
}

fn kept(platform: Platform, previous: &Previous) -> Vec<&LockedDeb> {
    let locked = previous.packages.get(&platform).into_iter().flatten();
    let stays = |name: &String| match &previous.upgrade {
        Upgrade::Keep => true,
        Upgrade::Names(names) => !names.contains(name),
        Upgrade::All => false,
    };
    locked.filter(|deb| stays(&deb.name)).collect()
}

/// The candidates, with locked versions for those that are still allowed: the archive that has one may not be pinned below
/// zero, nor another one's version so high that apt would go back to it.
fn candidates<'u>(universe: &'u Universe, keep: &[&LockedDeb], suites: &[LockedSuite]) -> Candidates<'u> {
    let mut candidates = Candidates::new(universe);
    for deb in keep {
        let named = universe.named(&deb.name).iter().copied();
        let same = named.filter(|&id| universe.version(id) == deb.version && universe.pin(id) > 0);
        // Another archive may have the same version with other content.
        let own = |id: Id| suites.get(usize::from(universe.suite(id))).is_some_and(|suite| suite.has(deb));
        let best = same.reduce(|best, id| if own(id) && !own(best) { id } else { best });
        let forced = |id: Id| {
            let best = universe.candidate(&deb.name).map_or(0, |best| universe.pin(best));
            best >= FORCES && best > universe.pin(id)
        };
        if let Some(id) = best.filter(|&id| !forced(id)) {
            candidates.fix(id);
        }
    }
    candidates
}

fn choose_keeping(
    platform: Platform,
    universe: &Universe,
    request: &Request,
    keep: &[&LockedDeb],
    suites: &[LockedSuite],
) -> Result<Vec<LockedDeb>, LockError> {
    let is_present = |id: Id| usize::from(universe.suite(id)) == suites.len();
    let all = universe.names().flat_map(|versions| versions.iter().copied());
    let present: Vec<Id> = all.filter(|&id| is_present(id)).collect();
    let mut candidates = candidates(universe, keep, suites);
    for &id in &present {
        candidates.fix(id);
    }
    let mut found = roots::roots(candidates, request)?;
    let moved = present.iter().find(|&&id| found.candidates.of(universe.name(id)) != Some(id));
    if let Some(&id) = moved {
        let wanted = found.candidates.of(universe.name(id));
        return Err(LockError::Installed {
            name: universe.name(id).to_owned(),
            version: universe.version(id).to_owned(),
            wanted: wanted.map(|id| universe.version(id).to_owned()).unwrap_or_default(),
        });
    }
    // What is there already is not asked for once more, nor what it recommends.
    found.roots.retain(|&(id, _)| !is_present(id));
    let chosen = walk::walk_over(&found.candidates, &present, &found.roots, request.recommends)
        .map_err(|source| LockError::Walk { platform, source: Box::new(source) })?;
    let mut packages = Vec::with_capacity(chosen.len());
    for (name, (id, reason)) in chosen.into_iter().filter(|(_, (id, _))| !is_present(*id)) {
        let id = universe.first_alike(id)?;
        let download = universe.download(id)?;
        let suite = suites.get(usize::from(universe.suite(id)));
        packages.push(LockedDeb {
            name: name.to_owned(),
            version: universe.version(id).to_owned(),
            arch: if download.all { "all".to_owned() } else { universe.arch().to_owned() },
            source: download.source.to_owned(),
            sha256: download.sha256,
            size: download.size,
            path: download.path.to_owned(),
            suite: suite.map(|suite| suite.name.clone()).unwrap_or_default(),
            archive: suite.and_then(LockedSuite::archive_beyond),
            manual: reason.is_some(),
            indexed: universe.indexed(id)?,
        });
    }
    Ok(packages)
}

/// Packages that platforms have in different versions, binary rebuilds aside.
fn differences(packages: &BTreeMap<Platform, Vec<LockedDeb>>) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeMap<&str, BTreeSet<String>>> = BTreeMap::new();
    for (platform, debs) in packages {
        for deb in debs {
            let version = version::without_rebuild(&deb.version);
            versions.entry(&deb.name).or_default().entry(version).or_default().insert(platform.to_string());
        }
    }
    let several = versions.into_iter().filter(|(_, versions)| versions.len() > 1);
    several
        .map(|(name, versions)| {
            let each = versions
                .iter()
                .map(|(version, platforms)| {
                    format!(
                        "{version} for {}",
                        platforms.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
                    )
                })
                .collect::<Vec<_>>();
            format!("`{name}` differs between platforms: {}", each.join("; "))
        })
        .collect()
}

#[cfg(test)]
mod further_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod walk_tests;
