//! Repositories below a directory, as they are at the start.
//!
//! **Guarantees**: a walk by descriptor that follows no link, and short in a directory of any size. **Refuses** to look deeper
//! than [`DEPTH_MAX`], at more than [`DIRECTORIES_MAX`] directories or [`ENTRIES_MAX`] names, and into folders of packages and of
//! builds; says where it gave up for their number.

use std::path::Path;
use std::path::PathBuf;

use pinfold_base::directory;
use pinfold_base::directory::Mounts;
use pinfold_base::directory::Next;
use pinfold_base::directory::Seen;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::known::EXTENSIONS;
use super::stood;
use crate::run::git;

/// How deep a repository may lie to be found.
pub(super) const DEPTH_MAX: usize = 4;
const DIRECTORIES_MAX: usize = 2000;
const ENTRIES_MAX: usize = 50_000;
/// Repositories of one directory.
const FOUND_MAX: usize = 200;
/// Directories that cannot be read, of those that are told.
const TOLD_MAX: usize = 20;
/// What others made, much of it.
pub(in crate::run) const HEAVY: [&str; 5] = [".cache", ".venv", "node_modules", "target", "venv"];

/// Names below `modules` of a repository that are looked at, and how deep.
const MODULES_MAX: usize = 5000;
const MODULES_DEPTH_MAX: usize = 8;

const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What was found, as real paths.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is called `.git`, of whatever kind.
    pub(super) dots: Vec<PathBuf>,
    /// Directories that are repositories themselves.
    pub(super) bare: Vec<PathBuf>,
    /// Files at the top that an editor opens as a workspace.
    pub(super) workspaces: Vec<PathBuf>,
    /// Directories that were passed ([`super::stood`]).
    pub(super) stood: String,
    /// What was not looked at to its end, and why.
    pub(super) incomplete: Vec<(PathBuf, String)>,
}

/// Why a directory was not looked at.
pub(super) fn unreadable(error: &std::io::Error) -> String {
    format!("it cannot be read ({error})")
}

/// Whether an editor opens a file as a workspace.
fn is_workspace(path: &Path) -> bool {
    path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|(known, ..)| extension == *known))
}

/// Looks below `root`; at its own `.git` it does not look.
pub(super) fn below(root: &Path) -> Found {
    let mut found = Found::default();
    let (mut directories, mut entries) = (0, 0);
    let opened = match rustix::fs::open(root, LIST, Mode::empty()) {
        Ok(opened) => opened,
        // A file that is given to a sandbox has nothing below it.
        Err(Errno::NOTDIR | Errno::NOENT | Errno::LOOP) => return found,
        Err(errno) => {
            found.incomplete.push((root.to_owned(), unreadable(&errno.into())));
            return found;
        }
    };
    let mut reason = None;
    let walked = directory::walk(opened, Mounts::Stay, |seen| {
        let entry = match seen {
            Seen::Entry(entry) => entry,
            Seen::Unreadable(entry, errno) if found.incomplete.len() < TOLD_MAX => {
                found.incomplete.push((root.join(entry.path), unreadable(&errno.into())));
                return Ok(Next::On);
            }
            _ => return Ok(Next::On),
        };
        entries += 1;
        if entries > ENTRIES_MAX {
            reason = Some(format!("it has more than {ENTRIES_MAX} names"));
            return Ok(Next::Stop);
        }
        if found.dots.len() + found.bare.len() == FOUND_MAX {
            reason = Some(format!("it has more than {FOUND_MAX} repositories"));
            return Ok(Next::Stop);
        }
        let depth = entry.path.components().count();
        if entry.name == c".git" {
            if depth > 1 {
                found.dots.push(root.join(entry.path));
            }
            return Ok(Next::Skip);
        }
        if entry.kind == FileType::Directory {
            let heavy = HEAVY.iter().any(|name| entry.name.to_bytes() == name.as_bytes());
            if !heavy {
                found.stood += &stood::key(root, entry.path, entry.inode);
            }
            if depth > DEPTH_MAX || heavy {
                return Ok(Next::Skip);
            }
            directories += 1;
            if directories > DIRECTORIES_MAX {
                reason = Some(format!("it has more than {DIRECTORIES_MAX} directories"));
                return Ok(Next::Skip);
            }
        } else if entry.name == c"HEAD" && depth > 1 && git::could_be_repository(entry.parent, Path::new(""))
        {
            found.bare.extend(entry.path.parent().map(|path| root.join(path)));
        } else if depth == 1 && is_workspace(entry.path) {
            found.workspaces.push(root.join(entry.path));
        }
        Ok(Next::On)
    });
    let reason = walked.err().as_ref().map(unreadable).or(reason);
    found.incomplete.extend(reason.map(|reason| (root.to_owned(), reason)));
    if found.incomplete.is_empty() {
        found.stood += &stood::whole(root);
    }
    found
}

/// Repositories of submodules below `modules`, whose names may have slashes in them. Those in one another are found when each
/// is looked at. The second says why not all of it was looked at.
pub(super) fn modules(modules: &Path) -> (Vec<PathBuf>, Option<String>) {
    let (mut found, mut entries, mut incomplete) = (Vec::new(), 0, None);
    let Ok(opened) = rustix::fs::open(modules, LIST, Mode::empty()) else { return (found, None) };
    let walked = directory::walk(opened, Mounts::Stay, |seen| {
        let Seen::Entry(entry) = seen else { return Ok(Next::On) };
        entries += 1;
        if entries > MODULES_MAX {
            incomplete = Some(format!("it has more than {MODULES_MAX} names"));
            return Ok(Next::Stop);
        }
        if entry.kind != FileType::Directory {
            return Ok(Next::On);
        }
        if git::could_be_repository(entry.parent, Path::new(entry.path.file_name().unwrap_or_default())) {
            found.push(modules.join(entry.path));
            return Ok(Next::Skip);
        }
        Ok(if entry.path.components().count() < MODULES_DEPTH_MAX { Next::On } else { Next::Skip })
    });
    (found, walked.err().as_ref().map(unreadable).or(incomplete))
}
