//! What changed while a sandbox ran, of the kind that the host runs by itself: told at the end, for the user to look at.
//!
//! Protected paths cannot have been changed from inside. What can: files that an agent obeys, were missing and have no stand-in
//! because git would see it (these are told first, with who obeys them), names that were left out of the protection, the same names
//! deeper in the workspace, repositories made there, and what a tool that the user has set up reads (`.pre-commit-config.yaml`).
//! Told apart from these: what people and agents run or read there when they ask for it (`Makefile`, `AGENTS.md`), wherever it lies
//! but in directories that others fill (`node_modules`). Any other script is told by nobody but `git status`.
//!
//! **Guarantees**: a change is known by the time at which the kernel last changed the file's entry (`st_ctime`), which no
//! program can set; nothing has to be looked at before the start. What becomes one of these by a directory's being renamed or
//! completed is told with all that is in it, however old. The walk is by descriptor and follows no link. **Refuses**
//! to look at more than [`ENTRIES_MAX`] names, and says so.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::directory;
use pinfold_base::directory::Entry;
use pinfold_base::directory::Mounts;
use pinfold_base::directory::Next;
use pinfold_base::directory::Seen;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec::Access;
use pinfold_sandbox::spec::MountSource;
use pinfold_sandbox::spec::StandIn;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Serialize;

use super::git;
use super::protect;

/// Names that are looked at.
const ENTRIES_MAX: u64 = 4_000_000;
/// Changed files that are kept.
const KEPT_MAX: usize = 1000;

/// What is not protected, being an agent's ordinary work, and is nevertheless run by what the user has set up.
const TOOLS: [&str; 6] =
    [".env", ".husky", ".lefthook.yml", ".pre-commit-config.yaml", "lefthook.yaml", "lefthook.yml"];

/// What nothing runs by itself, and who works there next runs, or has an agent obey, without looking: what builds and tests begin
/// with, what package managers are told, instructions to agents, and what pinfold reads.
const USED: [&str; 24] = [
    ".cargo/config.toml",
    ".cursorrules",
    ".github/copilot-instructions.md",
    ".npmrc",
    ".pnpmfile.cjs",
    ".windsurfrules",
    ".yarnrc.yml",
    "AGENTS.md",
    "AGENTS.override.md",
    "CLAUDE.local.md",
    "CLAUDE.md",
    "CMakeLists.txt",
    "GEMINI.md",
    "GNUmakefile",
    "Justfile",
    "Makefile",
    "Taskfile.yml",
    "build.rs",
    "conftest.py",
    "justfile",
    "makefile",
    "package.json",
    "pinfold.toml",
    "setup.py",
];

/// Below a `.git`: parts that hold data only, of which there may be much.
const DATA: [&str; 5] = ["info", "lfs", "logs", "objects", "refs"];

/// A protected file that was missing, and is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Made {
    /// Its path on the host.
    pub path: PathBuf,
    /// Who obeys it.
    pub obeyed_by: String,
}

/// Files that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// Protected files that were made. None of them is in `changed`.
    pub made: Vec<Made>,
    /// Paths on the host, those nearest to the workspace first.
    pub changed: Vec<PathBuf>,
    /// How many more there are.
    pub more: usize,
    /// What is run or read only when somebody asks for it, likewise.
    pub used: Vec<PathBuf>,
    /// How many more of these there are.
    pub more_used: usize,
    /// What was not searched.
    pub incomplete: Vec<Unsearched>,
}

/// A place where changes were not looked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unsearched {
    /// Its path on the host.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// What changed between two moments in what `spec` let be written to.
pub fn changed(spec: &Spec, since: SystemTime, until: Option<SystemTime>) -> Changed {
    let span = Span { since: nanos(since), until: until.map_or(i128::MAX, nanos) };
    let names: Vec<PathBuf> = protect::names(&[])
        .into_iter()
        .map(|name| name.path)
        .chain(TOOLS.into_iter().chain(protect::PRESENT).map(str::to_owned))
        .map(PathBuf::from)
        .collect();
    let kept: HashSet<&Path> = spec.protect.iter().map(|protected| protected.path.as_path()).collect();
    let mut found = Changed::default();
    // The whole home is nobody's project.
    let mirror = spec.labels.get("mode").is_some_and(|mode| mode == "mirror");
    let shown = spec.mounts.iter().filter(|mount| mount.access == Access::ReadWrite && !mirror);
    let mut roots: Vec<PathBuf> = shown
        .filter_map(|mount| match &mount.source {
            MountSource::Host(path) => Some(path.clone()),
            MountSource::Memory(_) => None,
        })
        .chain(mirror.then(|| spec.labels.get("workspace").map(PathBuf::from)).flatten())
        .collect();
    roots.sort();
    let all = roots.clone();
    // Each place once.
    roots.retain(|root| !all.iter().any(|outer| outer != root && root.starts_with(outer)));
    roots.dedup();
    for root in roots {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(&root, flags, Mode::empty()) {
            Ok(opened) => opened,
            // A file, or what is gone.
            Err(Errno::NOTDIR | Errno::NOENT | Errno::LOOP) => continue,
            Err(errno) => {
                found.unsearched(root.clone(), unreadable(&errno.into()));
                continue;
            }
        };
        let mut walk = Walk {
            root: &root,
            names: &names,
            kept: &kept,
            called: called(&root),
            span,
            entries: 0,
            whole: HashSet::new(),
            found: &mut found,
        };
        if let Err(error) = directory::walk(opened, Mounts::Stay, |seen| Ok(walk.see(&seen))) {
            found.unsearched(root.clone(), unreadable(&error));
        }
    }
    let watched = spec.protect.iter().filter_map(|protected| match &protected.missing {
        StandIn::Watched(by) => Some(Made { path: protected.path.clone(), obeyed_by: by.clone() }),
        _ => None,
    });
    // Whatever it is: a link and a directory are obeyed as well.
    found.made = watched.filter(|one| span.has(rustix::fs::lstat(&one.path))).collect();
    found.made.sort_by(|one, other| one.path.cmp(&other.path));
    found.changed.retain(|path| found.made.iter().all(|one| one.path != *path));
    for list in [&mut found.changed, &mut found.used] {
        list.sort_by_key(|path| (path.components().count(), path.clone()));
        list.dedup();
    }
    found
}

impl Changed {
    fn unsearched(&mut self, path: PathBuf, reason: String) {
        if self.incomplete.len() < KEPT_MAX {
            self.incomplete.push(Unsearched { path, reason });
        }
    }
}

fn unreadable(error: &std::io::Error) -> String {
    format!("it cannot be read ({error})")
}

/// Programs that the settings at the top of `root` name, as paths below it.
fn called(root: &Path) -> BTreeSet<PathBuf> {
    let real = fs_err::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let below = |path: PathBuf| path.strip_prefix(&real).ok().map(Path::to_owned);
    protect::called(&real).into_iter().filter_map(below).collect()
}

/// From one moment to another, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: i128,
    until: i128,
}

impl Span {
    /// Whether an entry that could be looked at was changed in it.
    fn has(self, looked: rustix::io::Result<rustix::fs::Stat>) -> bool {
        let Ok(data) = looked else { return false };
        let at = i128::from(data.st_ctime) * 1_000_000_000 + i128::from(data.st_ctime_nsec);
        (self.since..=self.until).contains(&at)
    }
}

fn nanos(time: SystemTime) -> i128 {
    // File systems take the time of the last tick, which lies up to a hundredth of a second before that of the clock.
    let tick = Duration::from_millis(10);
    time.duration_since(UNIX_EPOCH).map_or(0, |passed| passed.saturating_sub(tick).as_nanos().cast_signed())
}

struct Walk<'a> {
    root: &'a Path,
    names: &'a [PathBuf],
    /// Programs that settings at the top name.
    called: BTreeSet<PathBuf>,
    /// What could not be changed from inside.
    kept: &'a HashSet<&'a Path>,
    span: Span,
    entries: u64,
    /// Directories that changed themselves: what is in them is new at that place, whatever its own time.
    whole: HashSet<PathBuf>,
    found: &'a mut Changed,
}

impl Walk<'_> {
    fn see(&mut self, seen: &Seen<'_>) -> Next {
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
            if self.is_new_whole(entry) {
                self.whole.insert(entry.path.to_owned());
            }
            return Next::On;
        }
        let known = self.is_named(entry.path) || is_gits(entry) || self.called.contains(entry.path);
        if known && (self.is_changed(entry) || self.is_in_whole(entry.path)) {
            let Changed { changed, more, .. } = self.found;
            keep(changed, more, || self.root.join(entry.path));
        } else if !known && is_used(entry.path) && self.is_changed(entry) && !self.is_kept(entry.path) {
            let Changed { used, more_used, .. } = self.found;
            keep(used, more_used, || self.root.join(entry.path));
        }
        Next::On
    }

    /// Whether it could not be changed from inside.
    fn is_kept(&self, path: &Path) -> bool {
        self.root.join(path).ancestors().any(|outer| self.kept.contains(outer))
    }

    fn is_in_whole(&self, path: &Path) -> bool {
        !self.whole.is_empty() && path.ancestors().skip(1).any(|outer| self.whole.contains(outer))
    }

    /// Whether a directory is one of the names, leads to one, or is a repository or its hooks, was not protected, and changed
    /// itself: it may have been put there as it is.
    fn is_new_whole(&self, entry: &Entry<'_>) -> bool {
        let named = self.names.iter().any(|name| {
            name.ancestors().any(|part| part.file_name().is_some() && entry.path.ends_with(part))
        });
        let obeyed = named
            || entry.path.ends_with("hooks")
            || entry.path.ends_with(".git")
            || git::could_be_repository(entry.parent, Path::new(entry.path.file_name().unwrap_or_default()));
        if !obeyed || !self.is_changed(entry) {
            return false;
        }
        let path = self.root.join(entry.path);
        let kept = |path: &Path| self.kept.contains(path);
        let is_kept = path.ancestors().any(kept) || (kept(&path.join("config")) && kept(&path.join("hooks")));
        !is_kept
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

    /// Whether it is, or lies in, one of the names, at any depth.
    fn is_named(&self, path: &Path) -> bool {
        path.ancestors()
            .any(|outer| outer.file_name().is_some() && self.names.iter().any(|name| outer.ends_with(name)))
            || path.extension().is_some_and(|extension| extension == protect::EXTENSION)
    }

    fn is_changed(&self, entry: &Entry<'_>) -> bool {
        self.span.has(rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW))
    }
}

/// Whether it has one of the names that are [`USED`], in a directory that people work in.
fn is_used(path: &Path) -> bool {
    let heavy =
        |part: &Path| part.file_name().is_some_and(|name| protect::HEAVY.iter().any(|heavy| name == *heavy));
    USED.iter().any(|name| path.ends_with(name)) && !path.ancestors().skip(1).any(heavy)
}

/// Keeps a path, or counts it.
fn keep(kept: &mut Vec<PathBuf>, more: &mut usize, path: impl FnOnce() -> PathBuf) {
    if kept.len() < KEPT_MAX {
        kept.push(path());
    } else {
        *more += 1;
    }
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

#[cfg(test)]
mod tests;
