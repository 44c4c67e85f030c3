//! The walk through what a sandbox could write to, entry by entry.

use std::collections::HashSet;
use std::ffi::CStr;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::directory::Entry;
use pinfold_base::directory::Next;
use pinfold_base::directory::Seen;
use pinfold_sandbox::is_stand_in;
use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use super::Changed;
use super::ENTRIES_MAX;
use super::KEPT_MAX;
use super::Span;
use super::unreadable;
use crate::run::git;
use crate::run::protect;
use crate::run::protect::Called;
use crate::run::protect::Care;
use crate::run::protect::Index;
use crate::run::protect::Stood;

/// Below a `.git`: parts that hold data only, of which there may be much.
const DATA: [&str; 5] = ["info", "lfs", "logs", "objects", "refs"];

/// Links that are looked behind, and names there that are looked at.
const LINKS_MAX: u64 = 20_000;
const BEHIND_MAX: usize = 2000;

/// Which list a name belongs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// Obeyed by itself.
    Obeyed,
    /// Run or read when somebody asks for it.
    Used,
}

impl From<Care> for Half {
    fn from(care: Care) -> Self {
        if care == Care::Used { Self::Used } else { Self::Obeyed }
    }
}

/// What every walk of one search needs to know.
pub(super) struct Surroundings<'a> {
    /// All that could be written to.
    pub(super) roots: &'a [PathBuf],
    pub(super) index: &'a Index,
    /// What could not be changed from inside.
    pub(super) kept: &'a HashSet<&'a Path>,
    /// Directories that were where they are before the start.
    pub(super) stood: &'a Stood,
    pub(super) span: Span,
}

/// One of the places that could be written to.
pub(super) struct Walk<'a> {
    root: &'a Path,
    /// Programs that settings at the top name.
    called: Called,
    around: &'a Surroundings<'a>,
    entries: u64,
    links: u64,
    /// Directories that changed themselves, or came to their place: what is in them is new there, whatever its own time.
    whole: HashSet<PathBuf>,
    found: &'a mut Changed,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        root: &'a Path,
        called: Called,
        around: &'a Surroundings<'a>,
        found: &'a mut Changed,
    ) -> Self {
        Self { root, called, around, entries: 0, links: 0, whole: HashSet::new(), found }
    }

    pub(super) fn see(&mut self, seen: &Seen<'_>) -> Next {
        let entry = match seen {
            Seen::Entry(entry) => entry,
            Seen::Unreadable(entry, errno) => {
                self.found.unsearched(self.root.join(entry.path), unreadable(&(*errno).into()));
                return Next::On;
            }
            Seen::Leaving(path) => {
                self.whole.remove(*path);
                return Next::On;
            }
            Seen::Entering(_) => return Next::On,
        };
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            let reason = format!("it holds more than {ENTRIES_MAX} files");
            self.found.unsearched(self.root.to_owned(), reason);
            return Next::Stop;
        }
        if entry.kind == FileType::Directory {
            if self.is_data(entry) {
                return Next::Skip;
            }
            let new_folder = self.called.folders.contains(entry.path)
                && self.is_changed(entry)
                && !self.is_kept(entry.path);
            if new_folder || self.is_new_whole(entry) || self.is_new_at_its_place(entry) {
                self.whole.insert(entry.path.to_owned());
            }
            return Next::On;
        }
        if let Some(half) = self.half(entry)
            && (self.is_changed(entry) || self.is_in_whole(entry.path))
        {
            self.tell(half, entry.path);
        }
        if entry.kind == FileType::Symlink && !is_aside(entry.path) {
            self.look_behind(entry);
        }
        Next::On
    }

    fn tell(&mut self, half: Half, path: &Path) {
        if half == Half::Used && self.is_kept(path) {
            return;
        }
        let path = self.root.join(path);
        let Changed { changed, more, used, more_used, .. } = &mut *self.found;
        let (kept, more) = if half == Half::Obeyed { (changed, more) } else { (used, more_used) };
        // Counted is what is not named; what is told for two reasons is named once.
        if kept.last() == Some(&path) {
            return;
        }
        if kept.len() < KEPT_MAX {
            kept.push(path);
        } else {
            *more += 1;
        }
    }

    /// Which list it belongs in if it changed.
    fn half(&self, entry: &Entry<'_>) -> Option<Half> {
        if is_gits(entry) || self.is_called(entry.path) {
            return Some(Half::Obeyed);
        }
        self.named(entry.path)
    }

    /// Whether settings at the top have it run, by its own path or as one of a directory of programs.
    fn is_called(&self, path: &Path) -> bool {
        let Called { paths, folders, .. } = &self.called;
        paths.contains(path) || path.parent().is_some_and(|folder| folders.contains(folder))
    }

    /// The same by its name alone. In directories that others fill nobody runs or reads anything unasked, nor asks.
    fn named(&self, path: &Path) -> Option<Half> {
        let half = self.around.index.care(path).map(Half::from);
        half.filter(|half| *half == Half::Obeyed || !is_heavy(path.parent()))
    }

    /// Whether it could not be changed from inside.
    fn is_kept(&self, path: &Path) -> bool {
        self.root.join(path).ancestors().any(|outer| self.around.kept.contains(outer))
    }

    fn is_in_whole(&self, path: &Path) -> bool {
        !self.whole.is_empty() && path.ancestors().skip(1).any(|outer| self.whole.contains(outer))
    }

    /// Whether a directory is one of the names, leads to one, or is a repository or its hooks, was not protected, and changed
    /// itself: it may have been put there as it is.
    fn is_new_whole(&self, entry: &Entry<'_>) -> bool {
        // Of one that was there before, what changed is known by itself.
        let stood = self.around.stood.was_there(self.root, entry.path, entry.inode) == Some(true);
        let obeyed = (self.around.index.leads_to(entry.path) && !stood)
            || entry.path.ends_with("hooks")
            || entry.path.ends_with(".git")
            || git::could_be_repository(entry.parent, Path::new(entry.path.file_name().unwrap_or_default()));
        if !obeyed || !self.is_changed(entry) {
            return false;
        }
        let path = self.root.join(entry.path);
        let kept = |path: &Path| self.around.kept.contains(path);
        let is_kept = path.ancestors().any(kept) || (kept(&path.join("config")) && kept(&path.join("hooks")));
        !is_kept
    }

    /// Whether a directory that people work in has come to where it is: from where nobody looks, as it may be.
    fn is_new_at_its_place(&self, entry: &Entry<'_>) -> bool {
        let looked = || rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW);
        self.has_come(entry.path, entry.inode, looked)
    }

    fn has_come(
        &self,
        path: &Path,
        inode: u64,
        looked: impl FnOnce() -> rustix::io::Result<rustix::fs::Stat>,
    ) -> bool {
        if is_aside(path) || is_heavy(Some(path)) {
            return false;
        }
        let known = self.around.stood.was_there(self.root, path, inode);
        if known == Some(true) {
            return false;
        }
        let Ok(data) = looked() else { return false };
        // A rename changes the time of the entry alone; what is made or removed in a directory, both of its times. Whoever does
        // one after the other looks like the latter: that counts only for what was not looked at before the start.
        let renamed = (data.st_mtime, data.st_mtime_nsec) != (data.st_ctime, data.st_ctime_nsec);
        (known == Some(false) || renamed) && self.around.span.has(Ok(data)) && !self.is_kept(path)
    }

    /// Tells what a link makes of what it leads to. The link and all that it leads through may be new, or what is there.
    fn look_behind(&mut self, link: &Entry<'_>) {
        self.links += 1;
        if self.links == LINKS_MAX {
            let reason = format!("it holds more than {LINKS_MAX} links");
            self.found.unsearched(self.root.to_owned(), reason);
        }
        if self.links >= LINKS_MAX {
            return;
        }
        let changed = self.is_changed(link);
        let traced = protect::trace(self.root, link.path);
        let within = self.around.roots.iter().any(|root| traced.real.starts_with(root));
        if traced.missing || !within {
            if let Some(care) = self.around.index.leads_through(link.path).filter(|_| changed) {
                self.tell(care.into(), link.path);
            }
            return;
        }
        let led = changed || self.leads_anew(&traced);
        let Ok(data) = rustix::fs::lstat(&traced.real) else { return };
        if FileType::from_raw_mode(data.st_mode) != FileType::Directory {
            if let Some(half) = self.named(link.path).filter(|_| led || self.around.span.has(Ok(data))) {
                self.tell(half, link.path);
            }
            return;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(opened) = rustix::fs::open(&traced.real, flags, Mode::empty()) else { return };
        let Ok(names) = Dir::read_from(&opened) else { return };
        for entry in names.flatten().take(BEHIND_MAX) {
            let name = entry.file_name();
            if [c".", c".."].contains(&name) {
                continue;
            }
            let path = link.path.join(OsStr::from_bytes(name.to_bytes()));
            let through = || self.around.index.leads_through(&path).map(Half::from);
            let Some(half) = self.named(&path).or_else(through) else { continue };
            let looked = rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW);
            if (led || self.around.span.has(looked)) && !stands_in(&opened, name) {
                self.tell(half, &path);
            }
        }
    }

    /// Whether a link that a path led through was changed, or a directory on the way has come to its place.
    fn leads_anew(&self, traced: &protect::Traced) -> bool {
        let span = self.around.span;
        traced.links.iter().any(|link| span.has(rustix::fs::lstat(link)))
            || traced.real.ancestors().take_while(|part| part.starts_with(self.root)).any(|part| {
                let Ok(below) = part.strip_prefix(self.root) else { return false };
                let Ok(data) = rustix::fs::lstat(part) else { return false };
                below != Path::new("") && self.has_come(below, data.st_ino, || Ok(data))
            })
    }

    /// A directory of a repository that holds nothing which is run.
    fn is_data(&self, entry: &Entry<'_>) -> bool {
        let (name, parent) = (entry.path.file_name(), entry.path.parent());
        let in_git = match parent {
            Some(parent) if parent.as_os_str().is_empty() => self.root.ends_with(".git"),
            Some(parent) => parent.ends_with(".git"),
            None => false,
        };
        in_git && DATA.iter().any(|data| name.is_some_and(|name| name == *data))
    }

    fn is_changed(&self, entry: &Entry<'_>) -> bool {
        self.around.span.has(rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW))
            && !stands_in(entry.parent, entry.name)
    }
}

/// Whether something stands there for the time of another sandbox only.
fn stands_in(parent: impl AsFd, name: &CStr) -> bool {
    is_stand_in(parent, Path::new(OsStr::from_bytes(name.to_bytes())))
}

/// Whether a path is, or lies in, what others fill.
fn is_heavy(path: Option<&Path>) -> bool {
    let heavy = |name: &OsStr| protect::HEAVY.iter().any(|heavy| name == *heavy);
    path.is_some_and(|path| path.iter().any(heavy))
}

/// Whether it lies where nobody works by name: what others fill, and git's own.
fn is_aside(path: &Path) -> bool {
    is_heavy(path.parent()) || path.iter().any(|name| name == ".git")
}

/// What git obeys, in whatever repository: `.git` as a file, and in a repository's own directory its configuration, what leads
/// elsewhere, hooks that are not samples, and steps of a rebase.
fn is_gits(entry: &Entry<'_>) -> bool {
    let path = entry.path;
    let parent = |levels: usize| path.ancestors().nth(levels).and_then(Path::file_name);
    let there = |name: &str| rustix::fs::statat(entry.parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    let repository = |at: &str| git::could_be_repository(entry.parent, Path::new(at));
    match path.file_name().and_then(|name| name.to_str()) {
        Some(".git" | "git-rebase-todo") => true,
        Some("config" | "config.worktree") => repository(""),
        Some("commondir") => there("HEAD"),
        Some(name) if parent(1).is_some_and(|name| name == "hooks") => {
            path.extension().is_none_or(|extension| extension != "sample")
                && !name.is_empty()
                && repository("../")
        }
        _ => false,
    }
}
