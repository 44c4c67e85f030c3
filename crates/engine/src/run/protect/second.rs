//! Second names of protected files: hard links, by which a file could be written to although its first name is kept.
//!
//! A mount holds a name and not the file, so each name that a sandbox may write to needs its own. They are found by device and
//! inode; the places are walked only when a protected file has more names than one, which is rare, and until all are found.
//!
//! **Guarantees**: what is found is all there is below the places, at any depth and across mounts, but for directories that the
//! caller cannot list, which no sandbox is shown. A name that is not found lies where no sandbox writes. **Refuses** to go on
//! when not everything was looked at, or could be, or when there are more names than can be kept.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::CString;
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
    /// How many it has, wherever they are.
    names: usize,
}

/// A search through several places.
struct Search {
    /// How many names may still be looked at.
    left: u64,
    /// How many names have not been found.
    wanted: usize,
    /// Those that were, by their directory: a mount can show one twice.
    seen: BTreeSet<(u64, u64, CString)>,
    found: Vec<Other>,
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
            let linked = Linked {
                path: path(),
                name: name(),
                names: usize::try_from(data.st_nlink).unwrap_or(usize::MAX),
            };
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
    fn find_among(&self, roots: &[PathBuf], left: u64) -> Result<Vec<Other>, RunError> {
        let Some(first) = self.0.values().next() else { return Ok(Vec::new()) };
        let wanted = self.0.values().fold(0_usize, |sum, linked| sum.saturating_add(linked.names));
        let mut search = Search { left, wanted, seen: BTreeSet::new(), found: Vec::new() };
        for root in roots {
            // Each place once.
            if search.wanted == 0 || roots.iter().any(|outer| outer != root && root.starts_with(outer)) {
                continue;
            }
            self.below(root, &mut search).map_err(|source| RunError::SecondNamesUnread {
                path: first.path.clone(),
                below: root.clone(),
                source,
            })?;
            if search.left == 0 {
                return Err(RunError::SecondNames(first.path.clone()));
            }
        }
        let mut found = search.found;
        found.sort_by(|one: &Other, other| one.path.cmp(&other.path));
        found.dedup_by(|one, other| one.path == other.path);
        Ok(found)
    }

    fn below(&self, root: &Path, search: &mut Search) -> std::io::Result<()> {
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
            search.left = search.left.saturating_sub(1);
            if search.left == 0 || search.found.len() > NAMES_MAX {
                search.left = 0;
                return Ok(Next::Stop);
            }
            if entry.kind != FileType::RegularFile {
                return Ok(Next::On);
            }
            let data = match rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW) {
                // One that is gone by now has no name.
                Err(Errno::NOENT) => return Ok(Next::On),
                result => result?,
            };
            let Some(linked) = self.0.get(&(data.st_dev, data.st_ino)) else { return Ok(Next::On) };
            let (of, name) = (linked.path.clone(), linked.name.clone());
            search.found.push(Other { path: root.join(entry.path), of, name });
            let parent = rustix::fs::fstat(entry.parent)?;
            if search.seen.insert((parent.st_dev, parent.st_ino, entry.name.to_owned())) {
                search.wanted = search.wanted.saturating_sub(1);
            }
            Ok(if search.wanted == 0 { Next::Stop } else { Next::On })
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
        // One that lies elsewhere makes it a search to the end.
        let elsewhere = tempfile::tempdir().unwrap();
        fs::hard_link(base.join("file 0"), elsewhere.path().join("third")).unwrap();
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
    /// A file that has all its names in the first place that is looked at keeps nobody from starting, however much there is.
    #[test]
    fn once_all_names_are_found_nothing_more_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        for name in ["one/", "two/", "three/"] {
            fs::create_dir(base.join(name)).unwrap();
        }
        for number in 0..20 {
            fs::write(base.join(format!("two/{number}")), "").unwrap();
        }
        fs::write(base.join("one/a"), "").unwrap();
        fs::hard_link(base.join("one/a"), base.join("one/b")).unwrap();
        let roots = ["one", "two"].map(|name| base.join(name));
        for (further, found) in [(false, true), (true, false)] {
            if further {
                // One that lies elsewhere is looked for to the end.
                fs::hard_link(base.join("one/a"), base.join("three/c")).unwrap();
            }
            let mut names = SecondNames::default();
            let path = base.join("one/a");
            names.note(&rustix::fs::lstat(&path).unwrap(), || path.clone(), || "a".to_owned());
            assert_eq!(names.find_among(&roots, 10).is_ok(), found, "{further}");
        }
    }
}
