//! Second names of protected files: hard links, by which a file could be written to although its first name is kept.
//!
//! A mount holds a name and not the file, so each name that a sandbox may write to needs its own. They are found by device and
//! inode; the places are walked only when a protected file has more names than one, which is rare.
//!
//! **Guarantees**: what is found is all there is below the places, at any depth and across mounts, but for directories that the
//! caller cannot list, which no sandbox is shown. A name that is not found lies where no sandbox writes. **Refuses** to go on
//! when not everything was looked at, or when there are more names than can be kept.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::directory;
use pinfold_base::directory::Mounts;
use pinfold_base::directory::Next;
use pinfold_base::directory::Seen;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::run::error::RunError;

/// Names that are looked at.
const ENTRIES_MAX: u64 = 2_000_000;
/// Names that are kept.
const NAMES_MAX: usize = 500;

/// A file with more names than one: its protected path, and how the user calls it.
#[derive(Clone, Debug)]
struct Linked {
    path: PathBuf,
    name: String,
}

/// Protected files with more names than one, by device and inode.
#[derive(Debug, Default)]
pub(super) struct SecondNames(BTreeMap<(u64, u64), Linked>);

/// One of the other names.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) path: PathBuf,
    /// The protected path of the same file.
    pub(super) of: PathBuf,
    /// How the user calls that.
    pub(super) name: String,
}

impl SecondNames {
    /// Takes note of a protected file, if it has another name.
    pub(super) fn note(
        &mut self,
        data: &Stat,
        path: impl FnOnce() -> PathBuf,
        name: impl FnOnce() -> String,
    ) {
        if data.st_nlink > 1 && FileType::from_raw_mode(data.st_mode) == FileType::RegularFile {
            let linked = Linked { path: path(), name: name() };
            let known = self.0.entry((data.st_dev, data.st_ino)).or_insert(linked.clone());
            // Of several the first, in whatever order they were found.
            if linked.path < known.path {
                *known = linked;
            }
        }
    }

    /// All names of these files below real directories.
    pub(super) fn find(&self, roots: &[PathBuf]) -> Result<Vec<Other>, RunError> {
        self.find_among(roots, ENTRIES_MAX)
    }

    /// The same, with how many names are looked at.
    fn find_among(&self, roots: &[PathBuf], mut left: u64) -> Result<Vec<Other>, RunError> {
        let mut found = Vec::new();
        let Some(first) = self.0.values().next() else { return Ok(found) };
        let too_much = || RunError::SecondNames(first.path.clone());
        for root in roots {
            // Each place once.
            if roots.iter().any(|outer| outer != root && root.starts_with(outer)) {
                continue;
            }
            self.below(root, &mut left, &mut found).map_err(|_| too_much())?;
        }
        found.sort_by(|one: &Other, other| one.path.cmp(&other.path));
        found.dedup_by(|one, other| one.path == other.path);
        if left == 0 { Err(too_much()) } else { Ok(found) }
    }

    fn below(&self, root: &Path, left: &mut u64, found: &mut Vec<Other>) -> std::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(root, flags, Mode::empty()) {
            // Nobody has made it yet, or the sandbox refuses it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(()),
            result => result?,
        };
        directory::walk(opened, Mounts::Cross, |seen| {
            let entry = match seen {
                Seen::Entry(entry) => entry,
                Seen::Unreadable(_, errno) if !matches!(errno, Errno::ACCESS | Errno::PERM) => {
                    return Err(errno.into());
                }
                Seen::Unreadable(..) | Seen::Entering(_) | Seen::Leaving(_) => return Ok(Next::On),
            };
            *left = left.saturating_sub(1);
            if *left == 0 || found.len() > NAMES_MAX {
                *left = 0;
                return Ok(Next::Stop);
            }
            if entry.kind != FileType::RegularFile {
                return Ok(Next::On);
            }
            // One that is gone by now has no name.
            let Ok(data) = rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW) else {
                return Ok(Next::On);
            };
            if let Some(linked) = self.0.get(&(data.st_dev, data.st_ino)) {
                let (of, name) = (linked.path.clone(), linked.name.clone());
                found.push(Other { path: root.join(entry.path), of, name });
            }
            Ok(Next::On)
        })
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;
    use pinfold_base::Diagnose as _;

    use super::*;

    #[test]
    fn where_not_everything_can_be_looked_at_nothing_starts() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        for number in 0..8 {
            fs::write(base.join(format!("file {number}")), "").unwrap();
        }
        fs::hard_link(base.join("file 0"), base.join("other")).unwrap();
        let mut names = SecondNames::default();
        let note = |names: &mut SecondNames, name: &str| {
            let path = base.join(name);
            names.note(&rustix::fs::lstat(&path).unwrap(), || path.clone(), || name.to_owned());
        };
        // One name alone is found without looking anywhere.
        note(&mut names, "file 1");
        assert!(names.find_among(std::slice::from_ref(&base), 0).unwrap().is_empty());
        note(&mut names, "file 0");
        let error = names.find_among(std::slice::from_ref(&base), 5).unwrap_err();
        assert!(error.to_string().contains("file 0` has another name"), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains(&format!("mv '{}", base.join("file 0.new").display())), "{hint}");
        let found = names.find_among(std::slice::from_ref(&base), 100).unwrap();
        let found: Vec<_> = found.into_iter().map(|other| other.path).collect();
        assert_eq!(found, [base.join("file 0"), base.join("other")]);
    }
}
