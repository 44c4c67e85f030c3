//! `build`: lock and fetched archives in, image out. What it builds from is the lock; [`settle`] brings that up to date first.
//!
//! ```text
//! CACHE/builds/KEY.json      what a build with this key came out as; beside it what is known of the lock, in DATA/locks
//! ```
//!
//! The key covers the lock, the manifest's meaning, the recipes, the user's own files (by size, time and inode, so that an
//! unchanged build reads no content) and `compat`. A record is believed only while the image store still has the image, whole.

pub mod bits;
pub mod bounds;
pub mod check;
pub mod compose;
pub mod contract;
pub mod fetch;
mod goal;
pub mod heal;
pub mod layers;
pub mod local;
pub mod overlay;
mod parallel;
pub mod place;
pub mod provenance;
pub mod resolve;
pub(crate) mod settle;
mod still;

pub(crate) use place::HOSTNAME;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use pinfold_archive::encode::Reuse;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::store::Expected;
use pinfold_base::store::recall;
use pinfold_base::text;
use pinfold_image::Image;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::trust::Admitted;
use serde::Deserialize;
use serde::Serialize;

use self::check::CheckError;
use self::check::Findings;
use self::compose::BuiltPlatform;
use self::compose::ComposeError;
use self::fetch::FetchError;
use self::goal::Goal;
pub use self::goal::Naming;
use self::heal::healing;
use self::layers::Records;
use self::layers::Writing;
use self::place::PlaceError;
use self::resolve::Ledger;
use self::resolve::ResolveError;
pub use self::settle::LockUse;
pub use self::settle::Settled;
pub use self::settle::settle;
pub use self::settle::settle_for;
use crate::consent::Agreed;
use crate::context::Context;
use crate::project::Project;
use crate::project::folder::Source;
use crate::project::lock::LockError;
use crate::project::lock::held::Gist;
use crate::project::manifest::Compression;
use crate::settings::SettingsError;
use crate::sources;

/// Where records of builds are, below the cache folder.
pub const RECORDS: &str = "builds";

/// Options of a build.
#[derive(Clone, Debug)]
pub struct Options {
    /// About the lock.
    pub lock: LockUse,
    /// Platforms to build; all of the manifest's when empty.
    pub platforms: Vec<Platform>,
    /// The image's name.
    pub name: Naming,
    /// How layers are compressed; the manifest decides when this does not.
    pub compression: Option<Compression>,
    /// Whether publishers' compressed blocks are copied.
    pub reuse: Reuse,
    /// Whether what earlier builds have written is used.
    pub records: Records,
}

impl Options {
    /// All but the lock as the manifest says.
    pub fn new(lock: LockUse) -> Self {
        Self {
            lock,
            platforms: Vec::new(),
            name: Naming::Manifest,
            compression: None,
            reuse: Reuse::Publisher,
            records: Records::Believed,
        }
    }
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Making the lock.
    #[error(transparent)]
    Resolve(#[from] Box<ResolveError>),
    /// Fetching.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Placing.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What was placed cannot be started.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// Composing.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The image store.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A project's name is that of images that the user's rules are about.
    #[error(
        "`{name}` is a name that the rule for `{rule}` in `config.toml` is about, and no project takes it by itself"
    )]
    Ruled {
        /// The name.
        name: String,
        /// The rule.
        rule: String,
    },
    /// The user's configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A platform that the manifest does not have.
    #[error("the manifest has no platform {0}")]
    Platform(Platform),
    /// A cache file.
    #[error("cannot use the build cache")]
    Cache(#[from] std::io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] pinfold_base::store::StoreError),
}

impl From<ResolveError> for BuildError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Lock(error) => Self::Lock(error),
            error => Self::Resolve(Box::new(error)),
        }
    }
}

impl Diagnose for BuildError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Lock(error) => Diagnosis::Inner(error),
            Self::Resolve(error) => Diagnosis::Inner(&**error),
            Self::Fetch(error) => Diagnosis::Inner(error),
            Self::Place(error) => Diagnosis::Inner(error),
            Self::Check(error) => Diagnosis::Inner(error),
            Self::Compose(error) => Diagnosis::Inner(error),
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Cache(error) => Diagnosis::Inner(error),
            Self::Settings(error) => Diagnosis::Inner(error),
            Self::Ruled { .. } => Diagnosis::Own(Kind::Refused),
            Self::Platform(_) => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Platform(platform) => Some(format!("add `{platform}` to `platforms`")),
            Self::Ruled { name, .. } => {
                let name = text::word(name);
                Some(format!(
                    "if the image is meant to be called so, say it: `--tag {name}:latest`; else change `name` in the manifest"
                ))
            }
            _ => None,
        }
    }
}

/// What a build gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// The image's name.
    pub reference: String,
    /// Digest of the index.
    pub index: Digest,
    /// Each platform.
    pub platforms: Vec<BuiltPlatform>,
}

/// A build and how it went.
#[derive(Debug)]
pub struct Outcome {
    /// What it gave.
    pub built: Built,
    /// Whether everything was there already.
    pub unchanged: bool,
    /// How long it took.
    pub time: Duration,
    /// Whether a lock was written.
    pub locked: bool,
    /// The image in the store.
    pub source: Admitted<ImageSource>,
    /// Its platforms.
    pub images: BTreeMap<Platform, Image>,
}

/// Builds the project's image into the image store. What is found damaged on the way is made again.
pub fn build(context: &Context, project: &Agreed<Project>, options: &Options) -> Result<Outcome, BuildError> {
    let begin = Instant::now();
    let platforms = platforms(project, options)?;
    let settled = settle_for(context, project, options.lock, &platforms)?;
    let attempt = || healing(context, || attempt(context, project, options, &platforms, &settled, begin));
    match attempt() {
        // Somebody has removed an image that shares blobs with this one, which had no name yet.
        Err(BuildError::Image(ImageError::MissingBlob { .. })) => attempt(),
        outcome => outcome,
    }
}

fn platforms(project: &Project, options: &Options) -> Result<Vec<Platform>, BuildError> {
    let all = &project.manifest.platforms;
    match options.platforms.iter().find(|platform| !all.contains(platform)) {
        Some(&missing) => Err(BuildError::Platform(missing)),
        None if options.platforms.is_empty() => Ok(all.clone()),
        None => Ok(options.platforms.clone()),
    }
}

fn attempt(
    context: &Context,
    project: &Agreed<Project>,
    options: &Options,
    platforms: &[Platform],
    settled: &Settled<'_>,
    begin: Instant,
) -> Result<Outcome, BuildError> {
    let manifest = &project.manifest;
    let goal = Goal::of(project, &options.name)?;
    goal::refuse_ruled(context, &options.name, &goal)?;
    let encoding = compose::encoding(options.compression.unwrap_or(manifest.compression), options.reuse);
    let writing = Writing { encoding, records: options.records };
    let key = key(context, project, &settled.gist, platforms, &writing.encoding.id(), &goal)?;
    let record = context.home.cache().join(RECORDS).join(format!("{}.json", key.hex()));
    let store = context.images()?;
    let locked = settled.is_made();
    let earlier = || {
        let believed = options.records == Records::Believed;
        let (built, source, images) = believed.then(|| recorded(&store, &record, &goal))??;
        settled.remember(context, project);
        Some(Outcome { built, unchanged: true, time: begin.elapsed(), locked, source, images })
    };
    if let Some(outcome) = earlier() {
        return Ok(outcome);
    }
    // From here on there is work to do, which two need not do at once.
    let turn = goal::turn(context, project)?;
    if turn.waited
        && let Some(outcome) = earlier()
    {
        return Ok(outcome);
    }
    heal::sweep(context);
    let lock = settled.lock()?;
    fetch::fetch_and_decode(context, project, lock, platforms)?;
    if options.records == Records::Passed {
        fetch::forget(context, lock, platforms)?;
    }
    let mut images = Vec::new();
    let mut summaries = Vec::new();
    let mut findings = Findings::default();
    let mut ledger = Ledger::new();
    // What holds for several platforms is told once.
    let mut notes: Vec<(String, Vec<Platform>)> = Vec::new();
    for &platform in platforms {
        let placed = place::place(context, project, lock, platform)?;
        findings.look(project, &placed, &context.decoded, platform)?;
        if !findings.is_empty() {
            // Only the other platforms' findings are of interest any more.
            continue;
        }
        for note in placed.notes.iter().filter(|note| !settled.has_told(note)) {
            match notes.iter_mut().find(|(known, _)| known == note) {
                Some((_, of)) => of.push(platform),
                None => notes.push((note.clone(), vec![platform])),
            }
        }
        let (image, summary) =
            compose::platform(context, &store, project, lock, &writing, platform, &placed)?;
        images.push((platform, image));
        summaries.push(summary);
        ledger.insert(platform, placed.ledger);
    }
    findings.done()?;
    for (note, of) in notes {
        if of.len() == platforms.len() {
            context.reporter.note(&format!("note: {note}"));
        } else {
            let of: Vec<String> = of.iter().map(Platform::to_string).collect();
            context.reporter.note(&format!("note: {}: {note}", of.join(", ")));
        }
    }
    let images: Vec<_> = images.iter().map(|(platform, image)| (*platform, image)).collect();
    let index = pinfold_image::compose::index(&images, &compose::annotations(manifest), lock.epoch)?;
    store.put_document(&index)?;
    let source = goal.reach(context, &store, &index.descriptor())?;
    let index = index.digest().clone();
    provenance::note(context, project, lock, platforms, &index);
    let built = Built { reference: goal.reference(&index), index, platforms: summaries };
    // Before the record: a build whose lock could not be completed is no earlier build of the next one.
    settled.complete(context, project, &ledger)?;
    context.store.remember(&record, &serde_json::to_vec(&built).map_err(std::io::Error::from)?)?;
    settled.remember(context, project);
    bounds::keep(context);
    let images = source.images()?;
    Ok(Outcome { built, unchanged: false, time: begin.elapsed(), locked, source, images })
}

fn key(
    context: &Context,
    project: &Project,
    lock: &Gist,
    platforms: &[Platform],
    encoding: &str,
    goal: &Goal,
) -> Result<Digest, BuildError> {
    let Project { manifest, recipes, inputs, .. } = project;
    let mut sources = Vec::new();
    for file in &manifest.files {
        for &platform in platforms {
            let source = local::source(file, inputs, platform).map_err(PlaceError::from)?;
            sources.push((&file.path, platform, source.map(Source::mark)));
        }
    }
    let mut judged = Vec::new();
    for (name, source) in sources::ALL {
        let by = source.stands_on(project, &context.environment).map_err(PlaceError::from)?;
        judged.extend(by.map(|by| (name, by)));
    }
    // A base is let in by the user's rules, and once more when they are other ones.
    let rules = match &manifest.sources.base {
        Some(_) => Some(format!("{:?}", context.settings()?.trust)),
        None => None,
    };
    // The parsed values as they are written: whatever is in them is in the key.
    let version = env!("CARGO_PKG_VERSION");
    let all =
        (version, &lock.digest, encoding, goal.name(), platforms, manifest, recipes, sources, judged, rules);
    Ok(Digest::sha256(&serde_json::to_vec(&all).map_err(std::io::Error::from)?))
}

/// What an earlier build gave, if all of it is still in the store and what it was. Documents are read, layers looked at.
fn recorded(
    store: &ImageStore,
    record: &Path,
    goal: &Goal,
) -> Option<(Built, Admitted<ImageSource>, BTreeMap<Platform, Image>)> {
    let built: Built = serde_json::from_slice(&recall(record)?).ok()?;
    let source = goal.reached(store, &built.index).ok()??;
    let images = source.images().ok()?;
    let layers = images.values().flat_map(|image| &image.layers).map(|layer| &layer.descriptor);
    let whole = layers
        .map(|layer| Expected { digest: layer.digest.clone(), size: Some(layer.size) })
        .all(|expected| store.holds(&expected).unwrap_or(false));
    whole.then_some((built, source, images))
}
