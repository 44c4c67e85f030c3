//! Keeping a folder of things that can be made again within bounds.
//!
//! When a file was used last is when its inode changed last: whoever uses one says so with [`touch`](super::stamp::touch), which no
//! mount option turns off as it does times of access.
//!
//! **Guarantees**: a file that was used within the time given stays, whatever the bound is; of the others those go first that were
//! used longest ago.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use fs_err as fs;

use super::temporary;
use crate::directory::Size;

/// How much may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Bytes of all files that count.
    pub bytes: u64,
    /// What was used within this time stays and counts.
    pub idle: Duration,
}

/// The files directly in `folder` that count and are more than may stay, removed if `remove` says so.
pub fn bound(
    folder: &Path,
    counts: impl Fn(&Path, &Metadata) -> bool,
    bound: Bound,
    remove: bool,
) -> io::Result<Size> {
    let mut over = Size::default();
    let (mut files, mut bytes) = (Vec::new(), 0);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(over),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        // Gone meanwhile: another process does the same.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_file() && !temporary::is_own(&path) && counts(&path, &metadata) {
            bytes += metadata.len();
            files.push(((metadata.ctime(), metadata.ctime_nsec()), path, metadata.len()));
        }
    }
    files.sort();
    let until = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let until = until.saturating_sub(bound.idle).as_secs();
    for (path, length) in oldest(files, until) {
        if bytes <= bound.bytes {
            break;
        }
        if remove && let Err(error) = fs::remove_file(&path) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            continue;
        }
        bytes -= length;
        over.files += 1;
        over.bytes += length;
    }
    Ok(over)
}

/// Those that were used up to then.
fn oldest(files: Vec<((i64, i64), PathBuf, u64)>, until: u64) -> impl Iterator<Item = (PathBuf, u64)> {
    let idle = move |used: i64| u64::try_from(used).is_ok_and(|used| used <= until);
    files.into_iter().filter(move |((used, _), ..)| idle(*used)).map(|(_, path, length)| (path, length))
}

#[cfg(test)]
mod tests {
    use super::super::stamp;
    use super::*;

    /// Uses `path` later than all of `before`, by the clock of the file system.
    fn use_after(path: &Path, before: &[&Path]) {
        let used = |path: &Path| fs::metadata(path).map(|meta| (meta.ctime(), meta.ctime_nsec())).unwrap();
        let begin = std::time::Instant::now();
        loop {
            stamp::touch(path).unwrap();
            if before.iter().all(|before| used(before) < used(path)) {
                return;
            }
            assert!(begin.elapsed() < Duration::from_secs(60), "the clock of the file system stands");
        }
    }

    #[test]
    fn what_was_used_longest_ago_goes_until_the_rest_fits() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
        for path in [&a, &b, &c] {
            fs::write(path, "0123456789").unwrap();
        }
        fs::write(dir.path().join("a.index"), "does not count").unwrap();
        use_after(&b, &[&a, &c]);
        use_after(&a, &[&b, &c]);
        let none = Duration::ZERO;
        let bounded = |bytes, idle, remove| {
            let counts = |path: &Path, _: &Metadata| path.extension().is_none();
            super::bound(dir.path(), counts, Bound { bytes, idle }, remove).unwrap()
        };
        assert_eq!(bounded(30, none, true), Size::default());
        assert_eq!(bounded(29, none, false), Size { files: 1, bytes: 10 });
        assert!(c.exists(), "looking removes nothing");
        // What is in use stays, however much it is.
        assert_eq!(bounded(0, Duration::from_secs(86_400), true), Size::default());
        assert_eq!(bounded(29, none, true), Size { files: 1, bytes: 10 });
        assert!(a.exists() && b.exists() && !c.exists());
        assert_eq!(bounded(10, none, true), Size { files: 1, bytes: 10 });
        assert!(a.exists() && !b.exists());
        assert_eq!(bounded(0, none, true).files, 1);
        assert!(dir.path().join("a.index").exists());
        assert_eq!(
            super::bound(&dir.path().join("none"), |_, _| true, Bound { bytes: 0, idle: none }, true)
                .unwrap(),
            Size::default()
        );
    }
}
