//! Sources: where what is in an image comes from, each spelt once.
//!
//! A source is a folder here and a line of [`each_source`]. The folder says what stands under the source's key in the manifest
//! and in the lock ([`Section`]), and what the pipeline asks of it ([`Source`]):
//!
//! ```text
//! resolve      what exists, chosen: request ─► its section of the lock      (asks registries)
//! archives     what the lock names: the one list that fetch, vendor, decode, place, diff and consent read
//! place        archives ─► a tree
//! bytes        how large each component will be, by which a new lock cuts layers before anything is fetched
//! servers      who would be asked, for `doctor`
//! built_on     what components move with, for the plan of layers
//! volatility   how often a component moves, for the same
//! ```
//!
//! How a registry is asked and how an archive is understood is the matter of the crate `pinfold-sources`; a folder here ties
//! that to manifest and lock. The pipeline names no source: it goes through [`ALL`], in the list's order, which is the order
//! of sections in the lock and of placing (an earlier source's directories stay).
//!
//! **Guarantees**: nothing of the network's configuration is read before an address is needed, and what is read is kept for
//! one verb ([`Remotes`]).
//! **Refuses**: two sources that claim one path.

pub mod agent;
pub mod base;
pub mod binary;
pub mod build;
pub mod debian;
mod error;
pub mod nix;
pub mod npm;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub mod toy;

use std::any::Any;
use std::any::TypeId;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use pinfold_archive::Component;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::Listing;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::http;
use pinfold_base::text;
use pinfold_image::plan;
use pinfold_image::plan::Volatility;
use pinfold_sources::debian::place::LedgerEntry;
use pinfold_sources::npm::config::Setting;

pub use error::SourceError;

use self::error::DecodeError;
use crate::consent::Agreed;
use crate::context::Context;
use crate::context::Environment;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::lock::diff;
use crate::project::manifest::ManifestError;
use crate::project::manifest::Requests;

/// The list of sources: `MANIFEST-KEY => LOCK-KEY: FOLDER::TYPE, "what the key is for";`. It is handed to the macro `write`.
macro_rules! each_source {
    ($write:ident) => {
        $write! {
            base => base: base::BaseImage, "The image that this one is built on.";
            debian => debian: debian::Debian, "Debian packages.";
            agents => agents: agent::Agents, "Agents: recipe names, or paths of recipe files beginning with `./`, `../` or `/`.";
            npm => npm: npm::Npm, "npm packages.";
            nix => nix: nix::Nix, "Store paths of Nix.";
            binary => binaries: binary::Binaries, "Programs by URL.";
            build => builds: build::Builds, "Programs that are built on the host before they are locked, and the worker that pinfold carries.";
            #[cfg(test)] toy => toy: toy::Toys, "Toys, for tests of what a source is.";
        }
    };
}
pub(crate) use each_source;

macro_rules! list {
    ($($(#[cfg($when:meta)])? $key:ident => $section:ident: $room:ident::$source:ident, $about:tt;)*) => {
        /// Every source with its key in the manifest, in the order of the lock.
        pub const ALL: &[(&str, &dyn Source)] =
            &[$($(#[cfg($when)])? (stringify!($key), &$room::$source),)*];
    };
}
each_source!(list);

/// What stands of a source in the two files that people see.
pub trait Section {
    /// What is typed under its key of the manifest.
    type Typed;
    /// What that means.
    type Request;
    /// Its section of the lock.
    type Locked;

    /// A preset's part with the user's laid on top.
    fn overlaid(preset: Self::Typed, over: Self::Typed) -> Self::Typed;

    /// Fills in defaults and checks values. `directory` is the manifest's.
    fn meaning(typed: Self::Typed, directory: &Path) -> Result<Self::Request, ManifestError>;

    /// Whether the request can be met on each of the image's platforms, as far as the manifest says.
    fn fits(_: &Self::Request, _: &[Platform]) -> Result<(), ManifestError> {
        Ok(())
    }
}

/// What the pipeline asks of a source. It finds its request in the project, and its section in the lock.
pub trait Source: Sync {
    /// How the names of its components begin: `debian` for `debian/openssl`.
    fn prefix(&self) -> &'static str;

    /// What the manifest asks of it by name.
    fn names(&self, project: &Project) -> Vec<String>;

    /// The part of the request that a lock answers, as JSON; `None` when nothing is asked. A lock is stale when it moves.
    fn request(&self, project: &Project) -> Option<String>;

    /// What the manifest has this machine trust beyond the machine's own configuration: it needs the user's word. Where
    /// that is said with variables, they are the caller's.
    fn trusts(&self, project: &Project, environment: &Environment) -> Vec<Trust>;

    /// What of this machine's configuration its verdict on a lock stands on, where a lock is judged for every image: where that is
    /// other than it was, an earlier build proves nothing.
    fn stands_on(&self, _: &Project, _: &Environment) -> Result<Option<String>, SourceError> {
        Ok(None)
    }

    /// Chooses what exists, writes its section of the lock, and gives what the user should know. What `asking.old` has and is
    /// still allowed stays.
    fn resolve(&self, asking: &Asking<'_>, lock: &mut Lock) -> Result<Vec<String>, SourceError>;

    /// About how many bytes each component of its section has once it is unpacked, on the platform where it has most: the plan
    /// of layers goes by it. It comes of the lock and of what was told while it was resolved, never of archives, so that a plan
    /// is the same whichever of them are here.
    fn bytes(&self, _: &Asking<'_>, lock: &Lock) -> Result<BTreeMap<String, u64>, SourceError> {
        let of = |archive: Archive<'_>| (archive.component, archive.size.map_or(0, unpacked));
        Ok(largest(|platform| self.archives(lock, platform).into_iter().map(of).collect()))
    }

    /// The archives that the lock names for one platform.
    fn archives<'a>(&self, lock: &'a Lock, platform: Platform) -> Vec<Archive<'a>>;

    /// When what is locked was made; the newest date is the image's time.
    fn date(&self, lock: &Lock) -> Option<Date>;

    /// Its part of a platform's tree. Nothing is fetched any more.
    fn place(&self, placing: &Placing<'_>) -> Result<Placed, SourceError>;

    /// What is locked of it, for one line: each with its version, where they are few.
    fn summary(&self, components: &[(&str, &str)]) -> String {
        let each = components.iter().map(|(name, version)| format!("{name} {version}"));
        each.collect::<Vec<_>>().join(", ")
    }

    /// The servers that are asked what exists, each at an address that it has something at.
    fn servers(&self, _: &Remotes<'_>) -> Vec<Server> {
        Vec::new()
    }

    /// Each component and what it is directly built on, where it moves whenever that moves: the plan of layers goes by it.
    fn built_on(&self, _: &Lock) -> BTreeMap<String, BTreeSet<Component>> {
        BTreeMap::new()
    }

    /// How often the component `PREFIX/name` moves.
    fn volatility(&self, project: &Project, name: &str) -> Volatility;
}

/// A server, as `doctor` looks at it.
#[derive(Debug)]
pub struct Server {
    /// What people call it.
    pub what: String,
    /// An address there; or why there is none.
    pub source: Result<http::Source, SourceError>,
}

/// Something that a manifest has this machine trust: what is fetched from there is fetched outside of any sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// An address to fetch from.
    Address {
        /// What is fetched there.
        what: String,
        /// As written.
        address: String,
    },
    /// Keys to trust instead of the machine's.
    Keyring {
        /// The file, as written.
        file: PathBuf,
        /// SHA-256 of what is in it: other keys are another wish.
        sha256: String,
        /// The further archive that they sign for; Debian's own where none is said.
        archive: Option<String>,
    },
    /// Metadata of an archive that is older than it may be.
    Expired,
    /// A key whose signatures make store paths of Nix trusted, as `NAME:BASE64`.
    StoreKey(String),
    /// A flake that this machine's Nix evaluates, as written.
    Flake(String),
    /// An image to build on, as written: it is fetched, and all that is in it becomes a part of the project's own.
    Base(String),
    /// A setting of the project's own for npm.
    Npmrc(Setting),
    /// A program that tools of this machine build, outside of any sandbox.
    Build(Box<build::Build>),
}

impl Trust {
    /// An address for `what`.
    pub fn address(what: &str, address: &str) -> Self {
        Self::Address { what: what.to_owned(), address: address.to_owned() }
    }
}

/// What an address is for that stands in the lock itself.
pub const PROGRAM: &str = "a program";

/// Which locked versions may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// None that is still allowed.
    Nothing,
    /// These packages and agents.
    Only(Vec<String>),
    /// All.
    All,
}

impl Upgrade {
    /// The same for names as people have them: components of `known` too, and commands of agents.
    pub(crate) fn among(&self, project: &Project, old: Option<&Lock>) -> Result<Self, NoSuch> {
        let Self::Only(wanted) = self else { return Ok(self.clone()) };
        let components = old.map(diff::versions).unwrap_or_default().into_keys();
        let asked = ALL.iter().flat_map(|(_, source)| {
            source.names(project).into_iter().map(|name| format!("{}/{name}", source.prefix()))
        });
        let components: BTreeSet<String> = components.chain(asked).collect();
        let named = |component: &str| component.split_once('/').map(|(_, name)| name.to_owned());
        let find = |wanted: &String| {
            let recipe = project.recipes.iter().find(|recipe| recipe.command == *wanted);
            let known: Vec<String> = components.iter().filter_map(|component| named(component)).collect();
            if known.contains(wanted) || components.contains(wanted) {
                return Ok(wanted.clone());
            }
            recipe.map(|recipe| format!("agent/{}", recipe.name)).ok_or_else(|| NoSuch {
                near: text::nearest(wanted, known.iter().map(String::as_str)).map(str::to_owned),
                name: wanted.clone(),
            })
        };
        Ok(Self::Only(wanted.iter().map(find).collect::<Result<_, _>>()?))
    }

    /// Whether the component `PREFIX/NAME` may move: a name alone means those of all sources.
    pub fn moves(&self, component: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(names) => {
                let name = component.split_once('/').map(|(_, name)| name);
                names.iter().any(|wanted| wanted == component || Some(&**wanted) == name)
            }
            Self::All => true,
        }
    }
}

/// Nothing that is locked or asked for has a name that is to move.
#[derive(Debug, thiserror::Error)]
#[error("nothing that is locked or asked for is called `{name}`")]
pub struct NoSuch {
    name: String,
    near: Option<String>,
}

impl Diagnose for NoSuch {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some(match &self.near {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "it is named as in the manifest or in the lock; `--upgrade` without a name moves everything"
                    .into()
            }
        })
    }
}

/// What a source is asked with when a lock is made.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The network.
    pub remotes: &'a Remotes<'a>,
    /// The lock before.
    pub old: Option<&'a Lock>,
    /// What of it may move.
    pub upgrade: &'a Upgrade,
    /// Whether what is locked of the user's own sources is made again.
    pub making: Making,
    /// Seconds since the epoch: for checking validity and ages, never for anything that is written.
    pub now: u64,
}

/// When tools of this machine build what the lock has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Making {
    /// Always: somebody asked for a lock.
    Anew,
    /// Where the lock has nothing of it: it is brought up to date for another verb.
    Missing,
}

/// Archives and registries as this machine is configured to reach them, for one verb. Credentials stay in memory.
pub struct Remotes<'a> {
    /// The surroundings.
    pub context: &'a Context,
    /// Who asks.
    pub project: &'a Agreed<Project>,
    /// Whether they are to say what exists, and not only to bring what is locked.
    pub resolving: bool,
    /// Whether they are asked by a lock that came out of this very request before, and that may not move.
    pub settled: bool,
    found: Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl std::fmt::Debug for Remotes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remotes").finish_non_exhaustive()
    }
}

impl<'a> Remotes<'a> {
    /// Those of a project on this machine.
    pub fn new(context: &'a Context, project: &'a Agreed<Project>) -> Self {
        Self { context, project, resolving: false, settled: false, found: Mutex::default() }
    }

    /// The same, to say what exists. Without a network they say what they said before.
    pub fn resolving(context: &'a Context, project: &'a Agreed<Project>, settled: bool) -> Self {
        Self { resolving: true, settled, ..Self::new(context, project) }
    }

    /// What a source keeps of type `T`, looked for once.
    pub fn kept<T: Send + Sync + 'static, E>(
        &self,
        find: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        // Held while it is looked for: of many downloads at once, one reads the configuration and the others wait for it.
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let known = found.get(&TypeId::of::<T>()).cloned().and_then(|known| known.downcast().ok());
        if let Some(known) = known {
            return Ok(known);
        }
        let new = Arc::new(find()?);
        found.insert(TypeId::of::<T>(), new.clone());
        Ok(new)
    }
}

/// One archive that a lock names.
pub struct Archive<'a> {
    /// What it brings, as people see it: `debian/greet`.
    pub component: String,
    /// Its version.
    pub version: String,
    /// Name, version and architecture, for messages.
    pub what: String,
    /// Its digest.
    pub digest: &'a Digest,
    /// Its size in bytes, where it is locked.
    pub size: Option<u64>,
    /// How it is decoded.
    pub format: Format,
    /// How it is found.
    pub origin: Box<dyn Locate + 'a>,
}

impl std::fmt::Debug for Archive<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.what, self.digest)
    }
}

impl Archive<'_> {
    /// Its package URL (purl-spec).
    pub fn purl(&self) -> String {
        self.origin.purl().unwrap_or_else(|| {
            format!("pkg:generic/{}@{}", purl_part(&self.component), purl_part(&self.version))
        })
    }
}

/// How an archive is found today.
pub trait Locate: Send + Sync {
    /// Where it may be, best first.
    fn locate(&self, remotes: &Remotes<'_>) -> Result<Vec<http::Source>, SourceError>;

    /// The address that stands in the lock itself, where it is no path below a configured registry.
    fn address(&self) -> Option<&str> {
        None
    }

    /// Where it is below its archive or registry, or the address that stands in the lock.
    fn path(&self) -> Option<&str> {
        self.address()
    }

    /// Whether a snapshot archive keeps what the place where it is drops.
    fn has_snapshots(&self) -> bool {
        false
    }

    /// Its package URL (purl-spec), where its kind of package has a form of its own.
    fn purl(&self) -> Option<String> {
        None
    }

    /// Brings it into the store by itself, where no address is enough: a registry wants tokens, an archive of images is searched.
    fn bring(&self, _: &Remotes<'_>, _: &str, _: &dyn Reporter) -> Option<Result<(), SourceError>> {
        None
    }

    /// Whether the manifest has the archive's digest.
    fn is_typed(&self, _: &Project, _: Platform) -> bool {
        false
    }
}

/// Text as it stands in a package URL (purl-spec, "character encoding").
pub(crate) fn purl_part(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// When something was made. What an archive has signed counts before what a registry merely tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Date {
    /// Told by a registry, in seconds since the epoch.
    Published(u64),
    /// Signed, in seconds since the epoch.
    Signed(u64),
}

impl Date {
    /// Seconds since the epoch.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Published(seconds) | Self::Signed(seconds) => seconds,
        }
    }
}

/// What a source places with.
#[derive(Clone, Copy, Debug)]
pub struct Placing<'a> {
    /// The surroundings.
    pub context: &'a Context,
    /// What was asked.
    pub project: &'a Project,
    /// What was locked.
    pub lock: &'a Lock,
    /// The platform.
    pub platform: Platform,
    /// What all is laid on, where it is not an empty root.
    pub below: Option<&'a base::Below>,
    /// What it has so far.
    pub before: &'a Tree,
}

impl Placing<'_> {
    /// What an archive holds.
    pub fn listing(&self, what: &str, digest: &Digest, format: Format) -> Result<Arc<Listing>, SourceError> {
        listing(self.context, what, digest, format, &|_| ())
    }
}

/// What an archive holds; it is decoded unless it is already. `watch` is told of the bytes of the download that were read for that.
pub fn listing(
    context: &Context,
    what: &str,
    digest: &Digest,
    format: Format,
    watch: &dyn Fn(u64),
) -> Result<Arc<Listing>, SourceError> {
    let failed = |source| SourceError::of(DecodeError { what: what.to_owned(), source });
    context.decoded.decode_watched(digest, format, watch).map_err(failed)
}

/// Bytes of a component once it is unpacked, where only its archive's size is known.
fn unpacked(size: u64) -> u64 {
    size / plan::COMPRESSED_PERCENT * 100
}

/// What the components of each platform have together, and of all platforms the most.
fn largest(of: impl Fn(Platform) -> Vec<(String, u64)>) -> BTreeMap<String, u64> {
    let mut most: BTreeMap<String, u64> = BTreeMap::new();
    for platform in Platform::ALL {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for (component, bytes) in of(platform) {
            let sum = sums.entry(component).or_default();
            *sum = sum.saturating_add(bytes);
        }
        for (component, sum) in sums {
            let found = most.entry(component).or_default();
            *found = sum.max(*found);
        }
    }
    most
}

/// What a source has placed.
#[derive(Debug, Default)]
pub struct Placed {
    /// Files, with or without the directories they stand in.
    pub tree: Tree,
    /// How that is put to what earlier sources have placed.
    pub laying: Laying,
    /// What stands for each install script.
    pub ledger: Vec<LedgerEntry>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Paths that give way to an entry of the user's own without a word: configuration files of packages.
    pub yields: BTreeSet<ImagePath>,
    /// Directories of things that are the same in every image that has them. What is below keeps its times, and layers of such things
    /// say nothing of who owns the directory.
    pub stores: BTreeSet<ImagePath>,
    /// What the image stands on, from the source that it is of.
    pub below: Option<Box<base::Below>>,
}

/// How a source's tree is put to what earlier ones have placed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Laying {
    /// Beside it: a path that both have is a conflict.
    #[default]
    Beside,
    /// In its place: it has all of it in it, as far as it stays.
    Whole,
}

impl From<Tree> for Placed {
    fn from(tree: Tree) -> Self {
        Self { tree, ..Self::default() }
    }
}

/// The time of every directory and of files out of npm packages: the instant npm itself stamps into packages
/// (1985-10-26T08:15:00Z). A time that moved with the lock would give every layer that shares a parent directory a new digest.
pub const STILL: u64 = 499_162_500;

/// Where the commands are that sources place in folders of their own: first on the image's PATH.
pub fn folders(requests: &Requests) -> Vec<&'static str> {
    if requests.nix.roots.is_empty() { Vec::new() } else { vec![nix::COMMANDS] }
}

/// How often a component moves; what no source brought is generated, and stays.
pub fn volatility(project: &Project, component: &str) -> Volatility {
    let Some((prefix, name)) = component.split_once('/') else { return Volatility::Stable };
    let source = ALL.iter().map(|(_, source)| source).find(|source| source.prefix() == prefix);
    source.map_or(Volatility::Stable, |source| source.volatility(project, name))
}

/// What components are built on, of all sources that know it.
pub fn built_on(lock: &Lock) -> BTreeMap<String, BTreeSet<Component>> {
    ALL.iter().flat_map(|(_, source)| source.built_on(lock)).collect()
}

/// Whether a component is the image that all others stand on: what changes of it is in a layer of its own, the lowest of ours.
pub(crate) fn is_base(component: &str) -> bool {
    component.strip_prefix(base::PREFIX).is_some_and(|rest| rest.starts_with('/'))
}

/// `1 npm package`, `2 npm packages`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A value of the request as JSON. Every value of a manifest can be written so.
pub(crate) fn json(value: &impl serde::Serialize) -> Option<String> {
    serde_json::to_string(value).ok()
}
