//! What an image was built of: the predicate of SLSA provenance (v1), noted when it is built and signed when it is pushed.
//!
//! ```text
//! DATA/provenance/HEX.json     of the image whose index has the digest HEX
//!
//!   buildDefinition   buildType, externalParameters (what was asked for), internalParameters, resolvedDependencies (all of the lock)
//!   runDetails        builder {id, version}
//! ```
//!
//! **Guarantees**: there are no times in it and nothing of this machine: the same lock gives the same bytes. (docs/shipping.md
//! says what the fields mean.)

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::beside::BesideFile;
use pinfold_base::private_folder;
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::lock::v1::LockedPreset;

/// The folder, in the data folder.
pub const FOLDER: &str = "provenance";
/// Longest predicate that is read, in bytes: what fits into a bundle.
const MAX: u64 = 3 << 20;
/// What kind of build it was; the fields are told in docs/shipping.md.
const BUILD_TYPE: &str = "https://pinfold.dev/build/v1";
/// Who has built.
const BUILDER: &str = "https://pinfold.dev/builder/v1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Predicate<'a> {
    build_definition: BuildDefinition<'a>,
    run_details: RunDetails,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition<'a> {
    build_type: &'static str,
    external_parameters: External<'a>,
    internal_parameters: Internal<'a>,
    resolved_dependencies: Vec<Dependency>,
}

/// What was asked for.
#[derive(Serialize)]
struct External<'a> {
    /// Digests of the manifest's parts.
    request: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<&'a LockedPreset>,
    platforms: &'a [Platform],
}

#[derive(Serialize)]
struct Internal<'a> {
    /// Of the lock, without its ledger of install scripts.
    lock: Digest,
    compat: u32,
    epoch: u64,
    encoders: &'a BTreeMap<String, String>,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Dependency {
    uri: String,
    digest: BTreeMap<String, String>,
    annotations: Annotations,
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
struct Annotations {
    /// What it brings: `debian/curl`.
    component: String,
    /// Where it is below its archive or registry, or the address that the manifest has.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The platforms that it is for, where it is not for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    platforms: Vec<Platform>,
}

#[derive(Serialize)]
struct RunDetails {
    builder: Builder,
}

#[derive(Serialize)]
struct Builder {
    id: &'static str,
    version: BTreeMap<&'static str, &'static str>,
}

/// What an image of these platforms is built of.
fn predicate(project: &Project, lock: &Lock, platforms: &[Platform]) -> Result<Vec<u8>, serde_json::Error> {
    let mut found: BTreeMap<Dependency, BTreeSet<Platform>> = BTreeMap::new();
    for &platform in platforms {
        for archive in lock.archives(platform) {
            let dependency = Dependency {
                uri: archive.purl(),
                digest: BTreeMap::from([(
                    archive.digest.algorithm().name().to_owned(),
                    archive.digest.hex(),
                )]),
                annotations: Annotations {
                    component: archive.component.clone(),
                    path: archive.origin.path().map(str::to_owned),
                    platforms: Vec::new(),
                },
            };
            found.entry(dependency).or_default().insert(platform);
        }
    }
    let dependencies = found.into_iter().map(|(mut dependency, of)| {
        if of.len() < platforms.len() {
            dependency.annotations.platforms = of.into_iter().collect();
        }
        dependency
    });
    let dependencies = dependencies.collect();
    serde_json::to_vec(&Predicate {
        build_definition: BuildDefinition {
            build_type: BUILD_TYPE,
            external_parameters: External {
                request: &lock.request,
                preset: project.preset.as_ref().or(lock.preset.as_ref()),
                platforms,
            },
            internal_parameters: Internal {
                lock: lock.digest(),
                compat: lock.compat,
                epoch: lock.epoch,
                encoders: &lock.encoders,
            },
            resolved_dependencies: dependencies,
        },
        run_details: RunDetails {
            builder: Builder {
                id: BUILDER,
                version: BTreeMap::from([("pinfold", env!("CARGO_PKG_VERSION"))]),
            },
        },
    })
}

fn file(context: &Context, image: &Digest) -> PathBuf {
    context.home.data().join(FOLDER).join(format!("{}.json", image.hex()))
}

/// Notes what an image was built of. An image is there without it as well, so that only its push has less to say.
pub(super) fn note(
    context: &Context,
    project: &Project,
    lock: &Lock,
    platforms: &[Platform],
    image: &Digest,
) {
    let written = || -> io::Result<()> {
        let bytes = predicate(project, lock, platforms)?;
        let file = file(context, image);
        let folder = context.home.data().join(FOLDER);
        private_folder(&folder)?;
        let mut new = BesideFile::new(&file)?;
        io::Write::write_all(&mut new, &bytes)?;
        new.persist_as_it_is()
    };
    if let Err(error) = written() {
        tracing::info!(%error, "what the image was built of is not noted");
    }
}

/// What an image was built of, where that was here.
pub fn of(context: &Context, image: &Digest) -> io::Result<Option<Value>> {
    let opened = match fs::File::open(file(context, image)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    opened.take(MAX).read_to_end(&mut bytes)?;
    // Half of one says nothing.
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Removes what is noted of images other than these, unless it is young.
pub(crate) fn sweep(context: &Context, age: Duration, keep: impl Fn(&str) -> bool) -> io::Result<()> {
    let folder = context.home.data().join(FOLDER);
    let listed = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    };
    for entry in listed {
        let entry = entry?;
        let name = entry.file_name();
        let hex = name.to_str().and_then(|name| name.strip_suffix(".json")).unwrap_or_default();
        let old = entry.metadata()?.modified()?.elapsed().is_ok_and(|elapsed| elapsed >= age);
        if old && !keep(hex) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
