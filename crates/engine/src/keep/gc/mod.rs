//! `gc`: what can be removed from the stores, and removing it.
//!
//! Unnamed images that no project runs always, unpacked roots that no image and no running sandbox has, what killed processes and
//! earlier removals left, and what of the cache is over its bounds ([`bounds`]); all composed layers and decoded archives on
//! request (they can be made again from the downloads); downloads on request. Which folders these are is for their owners to say.
//! What was not asked for is looked at all the same, so that the user hears of it ([`Report::further`]).
//!
//! **Guarantees**: files being written by other processes are younger than [`store::GRACE`] and are left alone; nothing is removed by
//! looking ([`Pass::Look`]).

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use fs_err as fs;
use pinfold_archive::decoded;
use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::directory;
use pinfold_base::directory::Remains;
use pinfold_base::directory::Size;
use pinfold_base::error::Diagnosis;
use pinfold_base::error::one_line;
use pinfold_base::store;
use pinfold_base::store::temporary;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::store::GcMode;
use pinfold_image::unpack;
use pinfold_image::unpack::RootfsStore;
use pinfold_image::unpack::UnpackError;
use pinfold_image::unpack::UnpackedRoot;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Status;
use pinfold_sources::debian;
use serde::Serialize;

use crate::build;
use crate::build::bounds;
use crate::build::layers;
use crate::context::Context;
use crate::portable::record;
use crate::project::lock::held;
use crate::run::nix;
use crate::ship::proofs::Kept;

/// What was set aside, in the cache and in the image store.
const DAMAGED_FILES: &str = "damaged files, set aside";
/// Layers in the cache.
const COMPOSED: &str = "composed layers";
/// Archives in seekable form.
const DECODED: &str = "decoded archives";
/// What builds came out as, and what is known of their locks.
const RECORDS: &str = "build records";

/// Whether anything is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Only say what would be.
    Look,
    /// Remove.
    Remove,
}

/// What is looked at beside unnamed images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Composed layers and decoded archives.
    pub layers: bool,
    /// Downloads.
    pub downloads: bool,
}

/// One kind of thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is.
    pub what: String,
    /// How many files.
    pub files: usize,
    /// Bytes of disk.
    pub bytes: u64,
}

impl Part {
    fn add(&mut self, size: Size) {
        self.files += size.files;
        self.bytes += size.bytes;
    }
}

/// What was or would be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By kind.
    pub parts: Vec<Part>,
    /// What could not be removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// What else could be, by what asks for it.
    pub further: Vec<Further>,
    /// Blobs of no image that stay for [`store::GRACE`], because a build may be about to name them.
    #[serde(skip)]
    pub young: u64,
    /// Images that are damaged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<Left>,
}

/// What stays because nobody asked for its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Further {
    /// The flag that asks for it.
    pub flag: &'static str,
    /// How many files.
    pub files: usize,
    /// Bytes of disk.
    pub bytes: u64,
}

/// Something that could not be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// What stays, and why.
    pub problem: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Left {
    fn new(remains: &Remains) -> Self {
        Self { problem: remains.to_string(), hint: remains.hint() }
    }
}

/// Why it failed.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The image store.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The unpacked roots.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The sandboxes.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A cache folder.
    #[error("cannot clean the cache")]
    Io(#[from] std::io::Error),
}

impl Diagnose for GcError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Unpack(error) => Diagnosis::Inner(error),
            Self::Sandbox(error) => Diagnosis::Inner(error),
            // Not passed on: the hint for a full disk is to run `gc`.
            Self::Io(_) => Diagnosis::Own(Kind::System),
        }
    }
}

/// Looks, and removes when asked to.
pub fn gc(context: &Context, scope: Scope, pass: Pass) -> Result<Report, GcError> {
    let mut report = Report::default();
    let images = context.images()?;
    let blobs = images.gc(store::GRACE, if pass == Pass::Look { GcMode::DryRun } else { GcMode::Delete })?;
    report.parts.push(Part {
        what: "blobs of unnamed images".into(),
        files: blobs.blobs.len(),
        bytes: blobs.blobs.iter().map(|(_, size)| size).sum(),
    });
    report.young = blobs.young;
    report.damaged.extend(blobs.unreadable.iter().map(|image| Left {
        problem: format!("the image `{image}` is damaged, so no blob and no root was removed"),
        hint: Some(format!(
            "`pinfold build` in its project makes it again, `pinfold rmi {image}` forgets it"
        )),
    }));
    let stood_on = sandboxes(context, pass, &mut report)?;
    if blobs.unreadable.is_empty() {
        roots(context, &images, &stood_on, pass, &mut report)?;
        nix_stores(context, &images, pass, &mut report)?;
        if pass == Pass::Remove {
            said(context, &images)?;
        }
    }
    context.tell_damage();
    let cache = context.home.cache();
    let mut killed = Part { what: "left by killed processes".into(), files: 0, bytes: 0 };
    for folder in [cache.join(store::TEMPORARY), context.home.data().join(held::RECORDS)] {
        killed.add(temporary::sweep(&folder, pass == Pass::Remove)?);
    }
    killed.files += blobs.temporary as usize;
    let mut carried = Part { what: "programs of files that are gone".into(), files: 0, bytes: 0 };
    let wanted = record::wanted(context.home.data(), Duration::ZERO);
    carried.add(record::sweep(context.home.data(), &wanted, pass == Pass::Remove)?);
    report.parts.push(carried);
    report.parts.push(killed);
    let folders = vec![
        ("abandoned downloads", store::TEMPORARY, store::GRACE),
        ("partial downloads", store::PARTIAL, store::GRACE),
        (DAMAGED_FILES, store::DAMAGED, Duration::ZERO),
    ];
    report.parts.push(Part {
        what: DAMAGED_FILES.into(),
        files: usize::try_from(blobs.damaged).unwrap_or(usize::MAX),
        bytes: 0,
    });
    // What goes whole need not be looked at for what is over its bounds.
    if !scope.layers {
        let (decoded, blobs) = bounds::over(context, pass == Pass::Remove)?;
        for (what, size) in [(DECODED, decoded), (COMPOSED, blobs)] {
            let mut part = Part { what: format!("{what} over the bound"), files: 0, bytes: 0 };
            part.add(size);
            report.parts.push(part);
        }
    }
    let on_request = [
        (scope.layers, "--layers", made_again(context)),
        (scope.downloads, "--downloads", downloaded(context)),
    ];
    let folders = folders.into_iter().map(|(what, folder, age)| (what, cache.join(folder), age)).collect();
    remove(folders, pass, &mut report.parts)?;
    for (asked, flag, folders) in on_request {
        let folders = folders.into_iter().map(|(what, folder)| (what, folder, Duration::ZERO)).collect();
        if asked {
            remove(folders, pass, &mut report.parts)?;
            continue;
        }
        let mut parts = Vec::new();
        remove(folders, Pass::Look, &mut parts)?;
        let files = parts.iter().map(|part| part.files).sum();
        let bytes = parts.iter().map(|part| part.bytes).sum();
        if files > 0 {
            report.further.push(Further { flag, files, bytes });
        }
    }
    Ok(report)
}

/// What can be made again from the downloads.
fn made_again(context: &Context) -> Vec<(&'static str, PathBuf)> {
    let cache = context.home.cache();
    vec![
        (COMPOSED, cache.join(layers::BLOBS)),
        ("layer records", cache.join(layers::RECORDS)),
        (DECODED, cache.join(decoded::FOLDER)),
        (RECORDS, cache.join(build::RECORDS)),
        (RECORDS, context.home.data().join(held::RECORDS)),
    ]
}

/// What must be fetched again.
fn downloaded(context: &Context) -> Vec<(&'static str, PathBuf)> {
    let cache = context.home.cache();
    let downloads = store::DOWNLOADS.map(|folder| ("downloads", cache.join(folder)));
    downloads.into_iter().chain([("archive indexes", cache.join(debian::lock::archive::FOLDER))]).collect()
}

/// Removes what is in folders and older than the age beside each, and adds it to the parts of its kind.
fn remove(
    folders: Vec<(&'static str, PathBuf, Duration)>,
    pass: Pass,
    parts: &mut Vec<Part>,
) -> std::io::Result<()> {
    for (what, folder, age) in folders {
        let mut part = Part { what: what.into(), files: 0, bytes: 0 };
        clean(&folder, age, pass, &mut part)?;
        match parts.iter_mut().find(|known| known.what == part.what) {
            Some(known) => {
                known.files += part.files;
                known.bytes += part.bytes;
            }
            None => parts.push(part),
        }
    }
    Ok(())
}

/// Sandboxes that were removed before and not whole. Gives back the roots that running ones stand on.
fn sandboxes(context: &Context, pass: Pass, report: &mut Report) -> Result<Vec<PathBuf>, GcError> {
    let sandboxes = context.sandboxes();
    let mut stood_on = Vec::new();
    let mut part = Part { what: "sandboxes not removed whole".into(), files: 0, bytes: 0 };
    for sandbox in sandboxes.list()? {
        match sandbox.status {
            Status::Running | Status::Restarting => {
                stood_on.extend(sandboxes.spec(&sandbox.name).map(|spec| spec.rootfs));
            }
            Status::Leftover => {
                part.add(directory::size(&sandboxes.directory().join(&sandbox.name)));
                if pass == Pass::Remove {
                    match sandboxes.remove(&sandbox.name) {
                        Ok(()) => {}
                        Err(SandboxError::Remains(remains)) => report.left.push(Left::new(&remains)),
                        Err(error) => report.left.push(Left {
                            problem: format!("sandbox `{}` stays: {}", sandbox.name, one_line(&error)),
                            hint: error.hint(),
                        }),
                    }
                }
            }
            _ => {}
        }
    }
    report.parts.push(part);
    Ok(stood_on)
}

/// Unpacked roots that are made again when they are wanted, and those that were never finished. One that a running sandbox
/// stands on stays.
fn roots(
    context: &Context,
    images: &ImageStore,
    stood_on: &[PathBuf],
    pass: Pass,
    report: &mut Report,
) -> Result<(), GcError> {
    let unpacked = RootfsStore::open(context.home.data(), unpack::Options::default())?;
    let mut part = Part { what: "root file systems of no image".into(), files: 0, bytes: 0 };
    for path in unpacked.abandoned(store::GRACE)? {
        part.add(directory::size(&path));
        if pass == Pass::Remove
            && let Err(remains) = directory::remove(&path)
        {
            report.left.push(Left::new(&remains));
        }
    }
    part.add(unpacked.sweep(pass == Pass::Remove)?);
    for root in unused(context, images, &unpacked, stood_on, Duration::ZERO)? {
        part.add(directory::size(&root.path));
        if pass == Pass::Remove {
            match unpacked.remove_unless(&root.manifest, |path| is_stood_on(context, path)) {
                Err(UnpackError::Remains(remains)) => report.left.push(Left::new(&remains)),
                result => drop(result?),
            }
        }
    }
    report.parts.push(part);
    Ok(())
}

/// Nix stores that sandboxes of an image shared that is gone: nothing would show them again. One that a sandbox has stays.
fn nix_stores(
    context: &Context,
    images: &ImageStore,
    pass: Pass,
    report: &mut Report,
) -> Result<(), GcError> {
    let unpacked = RootfsStore::open(context.home.data(), unpack::Options::default())?;
    let wanted = manifests(context, images, Duration::ZERO)?;
    let mut part = Part { what: "shared Nix stores of no image".into(), files: 0, bytes: 0 };
    for entry in fs::read_dir(nix::shared(context.home.data())).into_iter().flatten() {
        let path = entry?.path();
        let hex = path.file_name().and_then(|name| name.to_str());
        let Some(manifest) = hex.and_then(|hex| Digest::from_hex(Algorithm::Sha256, hex).ok()) else {
            continue;
        };
        // While a root is there, a sandbox may be about to start.
        if wanted.contains(&manifest) || unpacked.path(&manifest).exists() {
            continue;
        }
        let size = directory::size(&path);
        match pass {
            Pass::Look => part.add(size),
            Pass::Remove => match pinfold_sandbox::remove_shared(&path) {
                Ok(true) => part.add(size),
                Ok(false) => {}
                Err(SandboxError::Remains(remains)) => report.left.push(Left::new(&remains)),
                Err(error) => return Err(error.into()),
            },
        }
    }
    report.parts.push(part);
    Ok(())
}

/// What is kept of images that are gone: who has signed them, and what they were built of. It takes next to no room.
fn said(context: &Context, images: &ImageStore) -> Result<(), GcError> {
    let mut wanted = BTreeSet::new();
    for entry in images.list()? {
        wanted.extend(entry.upstream.index.map(|index| index.hex()));
        wanted.insert(entry.descriptor.digest.hex());
        let source = ImageSource::new("an image", entry.descriptor, Box::new(images.clone()));
        wanted.extend(source.platforms()?.into_values().map(|descriptor| descriptor.digest.hex()));
    }
    // A base is no image of the store: its documents are among what was fetched.
    let is_fetched = |hex: &str| {
        Digest::from_hex(Algorithm::Sha256, hex).is_ok_and(|digest| context.store.contains(&digest))
    };
    Kept::of(context).sweep(store::GRACE, |hex| wanted.contains(hex) || is_fetched(hex))?;
    build::provenance::sweep(context, store::GRACE, |hex| wanted.contains(hex))?;
    Ok(())
}

/// The manifests of all images, named or kept for a project, and of files that carry one, were started here, and are there or were
/// less than `patience` ago.
fn manifests(
    context: &Context,
    images: &ImageStore,
    patience: Duration,
) -> Result<BTreeSet<Digest>, GcError> {
    let mut found = record::wanted(context.home.data(), patience).manifests;
    for entry in images.list()? {
        let source = ImageSource::new("an image", entry.descriptor, Box::new(images.clone()));
        found.extend(source.platforms()?.into_values().map(|descriptor| descriptor.digest));
    }
    Ok(found)
}

/// Roots that no image of the store and no file that carries one has, named or kept for a project, and no running sandbox stands on.
fn unused(
    context: &Context,
    images: &ImageStore,
    unpacked: &RootfsStore,
    stood_on: &[PathBuf],
    patience: Duration,
) -> Result<Vec<UnpackedRoot>, GcError> {
    let wanted = manifests(context, images, patience)?;
    let mut roots = unpacked.list()?;
    roots.retain(|root| !wanted.contains(&root.manifest) && !stood_on.contains(&root.path));
    Ok(roots)
}

/// Removes the roots that nothing uses any more, after one was made. A start does not fail for what cannot be removed: the next
/// `gc` tells of it.
pub(crate) fn drop_old_roots(context: &Context) {
    let dropped = || -> Result<(), GcError> {
        let unpacked = RootfsStore::open(context.home.data(), unpack::Options::default())?;
        let images = context.images()?;
        if unused(context, &images, &unpacked, &[], record::PATIENCE)?.is_empty() {
            return Ok(());
        }
        let stood_on = stood_on(context)?;
        for root in unused(context, &images, &unpacked, &stood_on, record::PATIENCE)? {
            unpacked.remove_unless(&root.manifest, |path| is_stood_on(context, path))?;
        }
        Ok(())
    };
    if let Err(error) = dropped() {
        tracing::debug!("old roots stay: {error}");
    }
}

/// Removes the roots of an image, so that the next run unpacks it anew. One that is in use stays.
pub fn drop_roots_of<'a>(
    context: &Context,
    manifests: impl IntoIterator<Item = &'a Digest>,
) -> Result<(), GcError> {
    let unpacked = RootfsStore::open(context.home.data(), unpack::Options::default())?;
    for manifest in manifests {
        unpacked.remove_unless(manifest, |path| is_stood_on(context, path))?;
    }
    Ok(())
}

/// Whether a running sandbox stands on the root, as it is now. Where that cannot be said one may.
fn is_stood_on(context: &Context, root: &Path) -> bool {
    stood_on(context).map_or(true, |all| all.iter().any(|path| path == root))
}

/// The roots that running sandboxes stand on.
pub(crate) fn stood_on(context: &Context) -> Result<Vec<PathBuf>, SandboxError> {
    let sandboxes = context.sandboxes();
    let running = sandboxes.list()?.into_iter().filter(|sandbox| sandbox.status.is_live());
    Ok(running.filter_map(|sandbox| sandboxes.spec(&sandbox.name).ok()).map(|spec| spec.rootfs).collect())
}

/// Files directly in `folder` that are older than `age`. One that has another name elsewhere (a layer that an image has) takes no
/// room of its own.
fn clean(folder: &Path, age: Duration, pass: Pass, part: &mut Part) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if temporary::is_own(&entry.path()) {
            continue;
        }
        let metadata = entry.metadata()?;
        let old = |time: SystemTime| SystemTime::now().duration_since(time).is_ok_and(|passed| passed >= age);
        if !metadata.is_file() || !metadata.modified().is_ok_and(old) {
            continue;
        }
        part.files += 1;
        part.bytes += if metadata.nlink() > 1 { 0 } else { metadata.len() };
        if pass == Pass::Remove {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
