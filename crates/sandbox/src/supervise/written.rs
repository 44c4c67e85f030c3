//! Where what a sandbox writes over a directory of its image is kept ([`crate::spec::Written`]).
//!
//! ```text
//!   sandboxes/NAME/written/TARGET/IMAGE/over/{upper,work}   what differs from the image, for an overlay
//!   sandboxes/NAME/written/TARGET/IMAGE/whole               a copy of the image's directory, where there is no overlay
//!   DIRECTORY, DIRECTORY.lock                               a copy that sandboxes share; who has it holds the lock shared
//! ```
//!
//! TARGET is the path inside with `+` for each `/`.
//!
//! **Guarantees**: what is written over one image is never shown in another. Nothing here is a second name of the image's files. A
//! directory is filled under another name and renamed, so that it is whole or absent.
//!
//! **Refuses** another runtime for what an overlay was begun for: it would show a second state of the same directory.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::directory;
use pinfold_base::directory::Likeness;
use rustix::fs::FlockOperation;

use crate::error::SandboxError;
use crate::plan::MountKind;
use crate::plan::Plan;
use crate::spec::Kept;
use crate::spec::Written;
use crate::start::spawn::Place;
use crate::start::spawn::UPPER;
use crate::start::spawn::WORK;
use crate::supervise::home::plain;

/// Where it is kept, and the locks of what is shared.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) by_target: BTreeMap<PathBuf, Place>,
    pub(crate) _shared: Vec<fs_err::File>,
}

/// Whether what is written can be laid over the image's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    /// It can, as far as is known.
    Overlay,
    /// It cannot: the kernel refused, or another runtime makes the mounts.
    Copy,
}

/// Makes what `plan` wants written and is not there yet, below `folder`, the sandbox's own.
pub(crate) fn places(plan: &Plan, folder: &Path, means: Means) -> Result<Places, SandboxError> {
    let (mut by_target, mut shared) = (BTreeMap::new(), Vec::new());
    for mount in &plan.mounts {
        let MountKind::Written(written) = &mount.kind else { continue };
        let target = &mount.target;
        let original = plain(&plan.rootfs, target).ok_or_else(|| {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            SandboxError::file("find the image's directory", target)(missing)
        })?;
        let place = match &written.kept {
            Kept::Sandbox => own(written, &original, &below(folder, target, &written.image), means)?,
            Kept::Shared(directory) => {
                shared.push(share(&original, directory)?);
                Place::Whole(directory.clone())
            }
        };
        by_target.insert(target.clone(), place);
    }
    Ok(Places { by_target, _shared: shared })
}

/// The folder of what was written over directories of images, in a sandbox's.
pub(super) fn folder(sandbox: &Path) -> PathBuf {
    sandbox.join("written")
}

fn below(sandbox: &Path, target: &Path, image: &str) -> PathBuf {
    let name = target.to_string_lossy().trim_start_matches('/').replace('/', "+");
    folder(sandbox).join(name).join(image)
}

/// The sandbox's own, in `at`.
fn own(written: &Written, original: &Path, at: &Path, means: Means) -> Result<Place, SandboxError> {
    let (over, whole) = (at.join("over"), at.join("whole"));
    fs_err::create_dir_all(at).map_err(SandboxError::file("make", at))?;
    if whole.is_dir() {
        return Ok(Place::Whole(whole));
    }
    match means {
        Means::Overlay => {
            let seed = |part: &Path| begin(written, original, part);
            filled(&over, seed).map_err(SandboxError::file("fill", &over))?;
            Ok(Place::Over(over))
        }
        Means::Copy if over.is_dir() => Err(SandboxError::BegunOver(at.to_owned())),
        Means::Copy => {
            let copy = |part: &Path| directory::copy(original, part, Likeness::Exact);
            filled(&whole, copy).map_err(SandboxError::file("fill", &whole))?;
            Ok(Place::Whole(whole))
        }
    }
}

/// Forgets the overlays that were begun and that the kernel refused.
pub(crate) fn without_overlays(places: Places) -> Result<(), SandboxError> {
    for place in places.by_target.into_values() {
        if let Place::Over(path) = place {
            directory::remove(&path)?;
        }
    }
    Ok(())
}

/// What an overlay begins with: in the image it may be somebody else's, and a directory that is laid over keeps its owner.
fn begin(written: &Written, original: &Path, part: &Path) -> io::Result<()> {
    let upper = part.join(UPPER);
    fs_err::create_dir(&upper)?;
    fs_err::create_dir(part.join(WORK))?;
    let same_mode = |path: &Path, copy: &Path| {
        fs_err::set_permissions(copy, fs_err::symlink_metadata(path)?.permissions())
    };
    for path in written.alone.iter().chain(&written.whole) {
        let (Some(from), to) = (plain(original, path), upper.join(path)) else { continue };
        fs_err::create_dir_all(&to)?;
        same_mode(&from, &to)?;
        if written.whole.contains(path) {
            directory::copy(&from, &to, Likeness::Exact)?;
        }
    }
    same_mode(original, &upper)
}

/// Makes `directory` unless it is there, filled by `fill`.
fn filled(directory: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    if fs_err::symlink_metadata(directory).is_ok() {
        return Ok(());
    }
    let part = with(directory, ".part");
    directory::remove(&part)?;
    fs_err::create_dir(&part)?;
    fill(&part)?;
    fs_err::rename(&part, directory)
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The copy that sandboxes share, made if it is not there; the lock says that somebody has it.
fn share(original: &Path, directory: &Path) -> Result<fs_err::File, SandboxError> {
    let failed = |path: &Path| SandboxError::file("fill", path.to_owned());
    if let Some(parent) = directory.parent() {
        fs_err::create_dir_all(parent).map_err(failed(parent))?;
    }
    let path = with(directory, ".lock");
    let mut options = fs_err::OpenOptions::new();
    loop {
        let lock = options.create(true).truncate(false).write(true).open(&path).map_err(failed(&path))?;
        hold(&lock, FlockOperation::LockShared).map_err(failed(&path))?;
        if directory.is_dir() {
            if is_named(&lock, &path) {
                return Ok(lock);
            }
            continue;
        }
        drop(lock);
        let lock = options.open(&path).map_err(failed(&path))?;
        hold(&lock, FlockOperation::LockExclusive).map_err(failed(&path))?;
        if is_named(&lock, &path) {
            let copy = |part: &Path| directory::copy(original, part, Likeness::Exact);
            filled(directory, copy).map_err(failed(directory))?;
        }
    }
}

/// Removes a copy that sandboxes share, unless one has it: whether it is gone.
pub fn remove_shared(directory: &Path) -> Result<bool, SandboxError> {
    let path = with(directory, ".lock");
    let lock = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(SandboxError::file("open", &path))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
        result => result.map_err(|errno| SandboxError::file("lock", &path)(errno.into()))?,
    }
    for part in [directory.to_owned(), with(directory, ".part")] {
        directory::remove(&part)?;
    }
    // Whoever has opened it meanwhile looks whether it is still the one of that name.
    fs_err::remove_file(&path).map_err(SandboxError::file("remove", &path))?;
    Ok(true)
}

fn hold(lock: &fs_err::File, how: FlockOperation) -> io::Result<()> {
    loop {
        match rustix::fs::flock(lock, how) {
            Err(rustix::io::Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Whether the file that is open is the one at `path`.
fn is_named(file: &fs_err::File, path: &Path) -> bool {
    let named = rustix::fs::stat(path);
    rustix::fs::fstat(file)
        .is_ok_and(|open| named.is_ok_and(|named| (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn image() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("nix/store/a")).unwrap();
        fs_err::create_dir_all(dir.path().join("nix/var/db")).unwrap();
        fs_err::write(dir.path().join("nix/store/a/file"), "image").unwrap();
        fs_err::write(dir.path().join("nix/var/db/one"), "one").unwrap();
        dir
    }

    fn written() -> Written {
        Written {
            image: "0".into(),
            whole: vec!["var".into()],
            alone: vec!["store".into()],
            kept: Kept::Sandbox,
        }
    }

    #[test]
    fn an_overlay_begins_with_what_is_the_programs_own() {
        let (image, folder) = (image(), tempfile::tempdir().unwrap());
        let original = image.path().join("nix");
        fs_err::set_permissions(original.join("store"), PermissionsExt::from_mode(0o775)).unwrap();
        let at = below(folder.path(), Path::new("/nix"), "0");
        let place = own(&written(), &original, &at, Means::Overlay).unwrap();
        assert_eq!(place, Place::Over(at.join("over")));
        let upper = at.join("over/upper");
        assert_eq!(fs_err::read(upper.join("var/db/one")).unwrap(), b"one");
        assert_eq!(fs_err::read_dir(upper.join("store")).unwrap().count(), 0);
        let mode = fs_err::metadata(upper.join("store")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o775);
        // What was written stays.
        fs_err::write(upper.join("var/db/one"), "two").unwrap();
        own(&written(), &original, &at, Means::Overlay).unwrap();
        assert_eq!(fs_err::read(upper.join("var/db/one")).unwrap(), b"two");
        // A copy beside it would be a second state.
        let error = own(&written(), &original, &at, Means::Copy).unwrap_err();
        assert!(matches!(error, SandboxError::BegunOver(_)), "{error}");
        // Another image's is another one.
        let other = below(folder.path(), Path::new("/nix"), "1");
        let place = own(&written(), &original, &other, Means::Copy).unwrap();
        assert_eq!(place, Place::Whole(other.join("whole")));
        assert_eq!(fs_err::read(other.join("whole/store/a/file")).unwrap(), b"image");
        assert_eq!(own(&written(), &original, &other, Means::Overlay).unwrap(), place);
    }

    #[test]
    fn a_shared_copy_is_made_once_and_not_removed_while_somebody_has_it() {
        let (image, data) = (image(), tempfile::tempdir().unwrap());
        let shared = data.path().join("nix/0");
        let original = image.path().join("nix");
        let first = share(&original, &shared).unwrap();
        fs_err::write(shared.join("store/made"), "made").unwrap();
        let second = share(&original, &shared).unwrap();
        assert!(shared.join("store/made").exists() && !original.join("store/made").exists());
        drop(first);
        assert!(!remove_shared(&shared).unwrap());
        drop(second);
        assert!(remove_shared(&shared).unwrap());
        assert_eq!(fs_err::read_dir(data.path().join("nix")).unwrap().count(), 0);
    }
}
