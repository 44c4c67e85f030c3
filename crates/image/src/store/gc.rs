//! Removing blobs that no name reaches.
//!
//! **Guarantees**: nothing reachable from `index.json` is removed, and nothing that was written, linked or asked for within
//! the grace time: a build stores its layers first and names them last. When a reachable document cannot be read, no blob
//! is removed at all, and the image is named.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::store::DAMAGED;
use pinfold_base::store::PARTIAL;
use pinfold_base::store::temporary;
use rustix::fs::FlockOperation;

use super::ImageStore;
use crate::ImageError;
use crate::sink::parts;

/// Whether to remove or only to say what would be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GcMode {
    /// Say only.
    DryRun,
    /// Remove.
    Delete,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Blobs with their sizes in bytes.
    pub blobs: Vec<(Digest, u64)>,
    /// Bytes of disk that become free; blobs shared with the cache by hard links count nothing.
    pub bytes: u64,
    /// Abandoned temporary files.
    pub temporary: u64,
    /// Files that were set aside, because they did not match their names.
    pub damaged: u64,
    /// Unreachable blobs that were left because they are young.
    pub young: u64,
    /// Images whose documents are missing or damaged: what they reach is not known, so all blobs were left.
    pub unreadable: Vec<String>,
}

impl ImageStore {
    /// Removes blobs that no name reaches and that are older than `grace`, and abandoned temporary files.
    pub fn gc(&self, grace: Duration, mode: GcMode) -> Result<GcReport, ImageError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let mut reachable = BTreeSet::new();
        let mut report = GcReport::default();
        for entry in Self::named(&self.names_held()?) {
            match parts(&self.layout, &entry.descriptor) {
                Ok(parts) => reachable.extend(parts.into_iter().map(|part| part.digest)),
                Err(ImageError::Io(error)) => return Err(error.into()),
                Err(_) => report.unreadable.push(match entry.reference {
                    Some(reference) => reference.to_string(),
                    None => entry.descriptor.digest.to_string(),
                }),
            }
        }
        self.damaged(mode, &mut report)?;
        let blobs = self.layout.root().join("blobs/sha256");
        for file in files_of(&blobs)? {
            let name = file.file_name();
            let digest = name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok());
            let unreachable = |digest: &Digest| report.unreadable.is_empty() && !reachable.contains(digest);
            let Some(digest) = digest.filter(unreachable) else { continue };
            let metadata = file.metadata()?;
            if is_young(&metadata, grace) {
                report.young += 1;
                continue;
            }
            if mode == GcMode::Delete {
                fs::remove_file(file.path())?;
            }
            report.bytes += if metadata.nlink() == 1 { metadata.len() } else { 0 };
            report.blobs.push((digest, metadata.len()));
        }
        report.blobs.sort();
        let swept = temporary::sweep(&self.layout.root().join("tmp"), mode == GcMode::Delete)?;
        report.temporary += swept.files as u64;
        report.bytes += swept.bytes;
        let partial = self.layout.root().join(PARTIAL);
        let cut_short = if partial.is_dir() { files_of(&partial)? } else { Vec::new() };
        for file in files_of(&self.layout.root().join("tmp"))?.into_iter().chain(cut_short) {
            if temporary::is_own(&file.path()) {
                continue;
            }
            // Writers rename their files away at any time.
            let Some(metadata) = present(file.metadata())? else { continue };
            if !is_young(&metadata, grace) {
                if mode == GcMode::Delete {
                    present(fs::remove_file(file.path()))?;
                }
                report.bytes += metadata.len();
                report.temporary += 1;
            }
        }
        Ok(report)
    }

    /// Removes those blobs that no name reaches, young or not: what their image was made of is not wanted any more. None when a
    /// reachable document cannot be read.
    pub fn drop_blobs(&self, digests: &[Digest]) -> Result<(), ImageError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let mut reachable = BTreeSet::new();
        for entry in Self::named(&self.names_held()?) {
            match parts(&self.layout, &entry.descriptor) {
                Ok(parts) => reachable.extend(parts.into_iter().map(|part| part.digest)),
                Err(ImageError::Io(error)) => return Err(error.into()),
                Err(_) => return Ok(()),
            }
        }
        for digest in digests.iter().filter(|digest| !reachable.contains(digest)) {
            present(fs::remove_file(self.blob_path(digest)))?;
        }
        Ok(())
    }

    /// What killed processes left of what they were writing.
    pub fn sweep(&self) -> Result<(), ImageError> {
        temporary::sweep(&self.layout.root().join("tmp"), true)?;
        Ok(())
    }

    /// What was set aside.
    fn damaged(&self, mode: GcMode, report: &mut GcReport) -> Result<(), ImageError> {
        let folder = self.layout.root().join(DAMAGED);
        for file in if folder.is_dir() { files_of(&folder)? } else { Vec::new() } {
            let Some(metadata) = present(file.metadata())? else { continue };
            if mode == GcMode::Delete {
                present(fs::remove_file(file.path()))?;
            }
            report.bytes += if metadata.nlink() == 1 { metadata.len() } else { 0 };
            report.damaged += 1;
        }
        Ok(())
    }
}

fn files_of(dir: &Path) -> Result<Vec<fs::DirEntry>, ImageError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if present(entry.file_type())?.is_some_and(|kind| kind.is_file()) {
            files.push(entry);
        }
    }
    Ok(files)
}

/// `None` for what is not there any more.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// By the change time of the inode: linking a cached layer into the store renews it, while its modification time is old.
fn is_young(metadata: &std::fs::Metadata, grace: Duration) -> bool {
    let changed = Duration::from_secs(u64::try_from(metadata.ctime()).unwrap_or_default());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(changed) < grace
}
