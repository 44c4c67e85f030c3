//! The directory whose manifest is meant: the one that somebody stands in, or one above it.
//!
//! It is looked for up to the top of the repository, and never in the home directory or above, nor on another file system. A
//! directory with a lock of its own (of a preset) is meant itself.
//!
//! **Guarantees**: a manifest that is found above lies in a directory that is the caller's or root's, and neither the directory nor
//! the file can be written by anybody else: in a shared `/tmp` another user could put one above everybody's work.
//! **Refuses** any other that it finds, by its name.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::text;

use super::lock;
use super::manifest;

/// A manifest above that is not used.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is the manifest above this directory, and {why}", .file.display())]
pub struct NotYours {
    file: PathBuf,
    why: &'static str,
}

impl Diagnose for NotYours {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Refused)
    }

    fn own_hint(&self) -> Option<String> {
        Some(format!(
            "if it is meant, name it: `--file {}`; else name a preset: `--preset solo`",
            text::word(&self.file)
        ))
    }
}

/// The directory whose manifest somebody means who stands in `start`, as seen from there; `None` where there is none.
pub fn find(start: &Path, home: Option<&Path>) -> Result<Option<PathBuf>, NotYours> {
    let is_there = |path: &Path| fs::symlink_metadata(path).is_ok();
    if is_there(&start.join(manifest::FILE_NAME)) {
        return Ok(Some(start.to_owned()));
    }
    let Ok(real) = fs::canonicalize(start) else { return Ok(None) };
    if is_there(&start.join(lock::FILE_NAME)) {
        return Ok(None);
    }
    let home = home.and_then(|home| fs::canonicalize(home).ok());
    let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).ok();
    let (mut below, mut named) = (real.as_path(), start.to_owned());
    while let Some(above) = below.parent() {
        let edge = is_there(&below.join(".git"))
            || home.as_deref().is_some_and(|home| home == below || home == above)
            || device(below) != device(above);
        if edge {
            return Ok(None);
        }
        named = if named == Path::new(".") { PathBuf::from("..") } else { named.join("..") };
        if is_there(&above.join(manifest::FILE_NAME)) {
            let file = named.join(manifest::FILE_NAME);
            return match stranger(above) {
                Ok(None) => Ok(Some(named)),
                Ok(Some(why)) => Err(NotYours { file, why }),
                Err(_) => Err(NotYours { file, why: "it cannot be told whose it is" }),
            };
        }
        below = above;
    }
    Ok(None)
}

/// Why what lies in a directory may be another user's.
fn stranger(directory: &Path) -> io::Result<Option<&'static str>> {
    let file = directory.join(manifest::FILE_NAME);
    let (directory, link, file) =
        (fs::symlink_metadata(directory)?, fs::symlink_metadata(&file)?, fs::metadata(&file)?);
    let me = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    if [&directory, &link, &file].iter().any(|data| ![0, me].contains(&data.uid())) {
        return Ok(Some("it, or its directory, belongs to another user"));
    }
    // A group of the user's own name and number has nobody else in it.
    let writable = |data: &std::fs::Metadata| {
        data.mode() & 0o002 != 0 || (data.mode() & 0o020 != 0 && (data.gid() != group || group != me))
    };
    Ok([&directory, &file].iter().any(|data| writable(data)).then_some("another user can write there"))
}

#[cfg(test)]
mod tests;
