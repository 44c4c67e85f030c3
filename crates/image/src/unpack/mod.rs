//! Layers → a directory (image-spec, layer.md, "Applying Changesets"), as root or as an ordinary user.
//!
//! ```text
//! blob ─ sha256 ─► decoder ─► blocks (a thread, ahead) ─► diff_id ─► entries ─► files below one directory handle
//! ```
//!
//! **Guarantees**: nothing outside of the target is read, written or removed: each name is resolved by the kernel inside
//! the root (`openat2` with `RESOLVE_IN_ROOT`, or a walk of handles where there is none), and its last component is never
//! followed. The target appears whole and synced under its name, or not at all; before that, size, digest and diff_id of
//! every layer have been checked. Memory is bounded by blocks, not by layers or files.
//!
//! **Refuses** what no walk of a file system would have made ([`pinfold_archive::layer`], as [`crate::verify`] does), entries below
//! something that is no directory, hard links to anything but files inside, and more entries or bytes than [`Limits`] allow.
//! A root whose `/dev`, `/proc`, … are links is refused too ([`check_rootfs`]), since things are mounted there.

mod apply;
mod check;
mod directories;
mod remove;
mod root;
mod rootfs;
mod stream;

pub use check::check_rootfs;
pub use rootfs::HeldRoot;
pub use rootfs::RootfsStore;
pub use rootfs::UnpackedRoot;

use std::io;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use fs_err::File;
use pinfold_archive::tar::TarError;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Reporter;
use pinfold_base::directory;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_base::store::temporary;

use crate::Image;
use crate::ImageError;
use crate::ImageSource;
use crate::blobs::unwrap_io;
use crate::trust::Admitted;

/// Whom the files belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// The owners of the image; needs root.
    Keep,
    /// Everything to the caller: an ordinary user can own nothing else.
    ToSelf,
}

impl Ids {
    /// What the caller can do. Root of a user namespace that has no id but its own can give nothing to anybody either.
    pub fn for_caller() -> Self {
        let alone = |map: &str| fs::read_to_string(map).is_ok_and(|map| is_of_one(&map));
        let is_root = rustix::process::geteuid().is_root();
        if is_root && !alone("/proc/self/uid_map") && !alone("/proc/self/gid_map") {
            Self::Keep
        } else {
            Self::ToSelf
        }
    }
}

/// Whether a map of ids (user_namespaces(7)) has one id alone.
fn is_of_one(map: &str) -> bool {
    let ids =
        map.lines().map(|line| line.split_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok()));
    ids.sum::<Option<u64>>() == Some(1)
}

/// What to do with set-user-id and set-group-id bits of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetId {
    /// Keep them.
    Keep,
    /// Leave them out and count them.
    Strip,
    /// Refuse the image.
    Refuse,
}

/// How much is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries of all layers together.
    pub entries: u64,
    /// Bytes of all tars together.
    pub bytes: u64,
}

impl Default for Limits {
    /// One million entries less one, 32 GiB.
    fn default() -> Self {
        Self { entries: 999_999, bytes: 32 << 30 }
    }
}

/// How an image is unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whom the files belong to.
    pub ids: Ids,
    /// What happens to set-id bits.
    pub set_id: SetId,
    /// How much is accepted.
    pub limits: Limits,
    /// Further paths on which something will be mounted (home, workspace): refused where they are links.
    pub mount_targets: Vec<ImagePath>,
}

impl Default for Options {
    /// For a sandbox: owners as far as possible, no set-id bits.
    fn default() -> Self {
        Self {
            ids: Ids::for_caller(),
            set_id: SetId::Strip,
            limits: Limits::default(),
            mount_targets: Vec::new(),
        }
    }
}

/// What was done, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries of all layers.
    pub entries: u64,
    /// Bytes of all tars.
    pub bytes: u64,
    /// Files whose set-id bits were left out.
    pub set_id_stripped: u64,
    /// Extended attributes that could not be set by this caller or on this file system.
    pub xattrs_skipped: u64,
    /// Entries whose owner became the caller.
    pub owners_mapped: u64,
}

/// Why an image was not unpacked. Nothing is left then.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A layer could not be applied.
    #[error("layer {number} cannot be unpacked: {cause}")]
    Layer {
        /// Its position, counted from 1.
        number: usize,
        /// Why.
        cause: Cause,
    },
    /// The root would be dangerous to mount on.
    #[error("`{path}` of the image is {found}, where something will be mounted")]
    MountTarget {
        /// The path.
        path: ImagePath,
        /// What stands there.
        found: &'static str,
    },
    /// Something is where the result is to be.
    #[error("`{}` exists and is not an empty directory", .0.display())]
    Exists(PathBuf),
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file operation on the way failed; the message names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A root could not be removed whole.
    #[error(transparent)]
    Remains(#[from] directory::Remains),
}

/// Why a layer was not applied.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// An entry that no honest layer has.
    #[error("entry `{}` is refused: {reason}", .path.escape_ascii())]
    Refused {
        /// The name as the layer has it.
        path: Vec<u8>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A system call failed.
    #[error("failed to {step} `{path}`: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: ImagePath,
        /// Why not.
        source: io::Error,
    },
    /// More than is accepted.
    #[error("it goes beyond the limit of {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: u64,
    },
    /// Its tar is not the one that the configuration names.
    #[error("its content has the diff_id {actual}, expected {expected}")]
    DiffId {
        /// As the configuration has it.
        expected: Digest,
        /// As it is.
        actual: Digest,
    },
    /// Its tar is malformed.
    #[error(transparent)]
    Tar(TarError),
    /// Its stream cannot be read.
    #[error("it cannot be read: {0}")]
    Stream(io::Error),
    /// Its blob cannot be read or is not what its descriptor says.
    #[error(transparent)]
    Blob(#[from] ImageError),
}

impl From<TarError> for Cause {
    /// What the stream below the tar had to say comes out as what it is.
    fn from(error: TarError) -> Self {
        match error {
            TarError::Io(error) => match unwrap_io(error) {
                ImageError::Io(error) => Self::Stream(error),
                ours => Self::Blob(ours),
            },
            TarError::Limit { what, limit } => Self::Limit { what, limit },
            malformed => Self::Tar(malformed),
        }
    }
}

impl Diagnose for UnpackError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Layer { cause, .. } => match cause {
                Cause::Step { source, .. } => Diagnosis::Inner(source),
                Cause::Stream(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                    Diagnosis::Inner(error)
                }
                Cause::Blob(error) => Diagnosis::Inner(error),
                _ => Diagnosis::Own(Kind::Integrity),
            },
            Self::MountTarget { .. } => Diagnosis::Own(Kind::Refused),
            Self::Exists(_) => Diagnosis::Own(Kind::Usage),
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Io(error) => Diagnosis::Inner(error),
            Self::Remains(error) => Diagnosis::Inner(error),
        }
    }

    fn own_hint(&self) -> Option<String> {
        let hint = match self {
            Self::Layer { cause, .. } => match cause {
                Cause::Refused { .. } | Cause::Limit { .. } | Cause::Tar(_) | Cause::Stream(_) => {
                    "the image is malformed or hostile; do not run it"
                }
                Cause::DiffId { .. } => {
                    "the layer was exchanged or damaged; copy the image once more from where it came"
                }
                Cause::Step { .. } | Cause::Blob(_) => return None,
            },
            Self::MountTarget { .. } => "do not run this image; its author can make a directory there",
            Self::Exists(_) => "choose another directory, or remove this one",
            Self::Image(_) | Self::Io(_) | Self::Remains(_) => return None,
        };
        Some(hint.into())
    }
}

/// Unpacks an image to `target`, which must not exist or be empty. Its folder must be on the same file system.
pub fn unpack(
    source: &Admitted<ImageSource>,
    image: &Image,
    target: &Path,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Report, UnpackError> {
    let target = std::path::absolute(target)?;
    let parent = target.parent().ok_or_else(|| UnpackError::Exists(target.clone()))?;
    if fs::symlink_metadata(&target).is_ok()
        && fs::read_dir(&target).map_or(true, |mut dir| dir.next().is_some())
    {
        return Err(UnpackError::Exists(target));
    }
    fs::create_dir_all(parent)?;
    let temporary = Temporary::create(parent)?;
    let report = into(source, image, &temporary.path, options, reporter)?;
    temporary.keep_as(&target)?;
    Ok(report)
}

/// Unpacks into a fresh directory and syncs it.
fn into(
    source: &ImageSource,
    image: &Image,
    dir: &Path,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Report, UnpackError> {
    let report = layers(source, image, root::Root::open(dir)?, options, reporter)?;
    let root = File::open(dir)?;
    check::check_handle(&root, &options.mount_targets)?;
    rustix::fs::syncfs(&root).map_err(io::Error::from)?;
    Ok(report)
}

/// Applies all layers in order.
fn layers(
    source: &ImageSource,
    image: &Image,
    root: root::Root,
    options: &Options,
    reporter: &dyn Reporter,
) -> Result<Report, UnpackError> {
    let mut state = apply::State::new(root, options);
    let total = image.layers.iter().map(|layer| layer.descriptor.size).sum();
    let running = Running::begin(reporter, Stage::Unpack, source.name(), Some(total));
    std::thread::scope(|scope| {
        // One layer is decoded ahead of the one that is being applied.
        let mut ahead: Option<stream::Blocks> = None;
        for (at, layer) in image.layers.iter().enumerate() {
            let start = |layer| stream::Blocks::start(scope, source, layer, options.limits.bytes, &running);
            let blocks = ahead.take().unwrap_or_else(|| start(layer));
            ahead = image.layers.get(at + 1).map(start);
            let applied = state.layer(blocks, at == 0);
            applied.map_err(|cause| UnpackError::Layer { number: at + 1, cause })?;
        }
        Ok::<_, UnpackError>(())
    })?;
    let number = image.layers.len();
    state.finish().map_err(|cause| UnpackError::Layer { number, cause })
}

/// A directory under a temporary name, removed unless it is kept.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    kept: bool,
    _held: temporary::Directory,
}

impl Temporary {
    fn create(parent: &Path) -> io::Result<Self> {
        let held = temporary::directory(parent)?;
        Ok(Self { path: held.path.clone(), kept: false, _held: held })
    }

    fn keep_as(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.kept = true;
        crate::layout::sync_parent(target)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = directory::remove(&self.path)
        {
            tracing::warn!("{error}");
        }
    }
}

#[cfg(test)]
mod tests;
