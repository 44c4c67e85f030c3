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
//! completed, or by a link's being made or led elsewhere, is told however old it is. Which directories stood in their place
//! before is known from the start ([`Stood`]), where they do not lie too deep. The walk is by descriptor and follows no link;
//! one level of what links lead to is looked at where the sandbox may write. What only stands in for something is no change.
//! **Refuses** to look at more than [`ENTRIES_MAX`] names, and says so.

mod walk;

use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::directory;
use pinfold_base::directory::Mounts;
use pinfold_sandbox::Spec;
use pinfold_sandbox::is_stand_in;
use pinfold_sandbox::spec::Access;
use pinfold_sandbox::spec::MountSource;
use pinfold_sandbox::spec::StandIn;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Serialize;

use self::walk::Surroundings;
use self::walk::Walk;
use super::protect;
use super::protect::Index;
use super::protect::Stood;

/// Names that are looked at.
const ENTRIES_MAX: u64 = 4_000_000;
/// Changed files that are kept.
const KEPT_MAX: usize = 1000;

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

/// What changed between two moments in what `spec` let be written to: `since` by the clock, `until` as a file has it.
pub fn changed(spec: &Spec, since: SystemTime, until: Option<SystemTime>) -> Changed {
    let span = Span { since: nanos(since) - TICK, until: until.map_or(i128::MAX, nanos) };
    let index = Index::new(protect::names(&[]).into_iter().map(|name| name.path));
    let stood = Stood::from(spec.stood.as_str());
    let kept: HashSet<&Path> = spec.protect.iter().map(|protected| protected.path.as_path()).collect();
    let mut found = Changed::default();
    // The whole home is nobody's project.
    let mirror = spec.labels.get("mode").is_some_and(|mode| mode == "mirror");
    let shown = spec.mounts.iter().filter(|mount| mount.access == Access::ReadWrite && !mirror);
    let mut roots: Vec<PathBuf> = shown
        .filter_map(|mount| match &mount.source {
            MountSource::Host(path) => Some(path.clone()),
            // Nobody works there outside.
            MountSource::Memory(_) | MountSource::Image(_) => None,
        })
        .chain(mirror.then(|| spec.labels.get("workspace").map(PathBuf::from)).flatten())
        .collect();
    roots.sort();
    let all = roots.clone();
    // Each place once.
    roots.retain(|root| !all.iter().any(|outer| outer != root && root.starts_with(outer)));
    roots.dedup();
    let around = Surroundings { roots: &roots, index: &index, kept: &kept, stood: &stood, span };
    for root in &roots {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match rustix::fs::open(root, flags, Mode::empty()) {
            Ok(opened) => opened,
            // A file, or what is gone.
            Err(Errno::NOTDIR | Errno::NOENT | Errno::LOOP) => continue,
            Err(errno) => {
                found.unsearched(root.clone(), unreadable(&errno.into()));
                continue;
            }
        };
        let called = called(root, &mut found);
        let mut walk = Walk::new(root, called, &around, &mut found);
        if let Err(error) = directory::walk(opened, Mounts::Stay, |seen| Ok(walk.see(&seen))) {
            found.unsearched(root.clone(), unreadable(&error));
        }
    }
    let watched = spec.protect.iter().filter_map(|protected| match &protected.missing {
        StandIn::Watched(by) => Some(Made { path: protected.path.clone(), obeyed_by: by.clone() }),
        _ => None,
    });
    // Whatever it is: a link and a directory are obeyed as well.
    found.made = watched
        .filter(|one| span.has(rustix::fs::lstat(&one.path)) && !is_stand_in(rustix::fs::CWD, &one.path))
        .collect();
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

/// What the settings at the top of `root` have run, as paths below it. What of them was not read is told.
fn called(root: &Path, found: &mut Changed) -> protect::Called {
    let real = fs_err::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    let mut called = protect::called(&real);
    for (path, reason) in called.incomplete.drain(..) {
        found.unsearched(path, reason);
    }
    for paths in [&mut called.paths, &mut called.folders] {
        let below = |path: PathBuf| path.strip_prefix(&real).ok().map(Path::to_owned);
        *paths = std::mem::take(paths).into_iter().filter_map(below).collect();
    }
    called
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

/// File systems take the time of the last tick, which lies up to a hundredth of a second before that of the clock, in
/// nanoseconds. The start is the clock's; the end is a file's time, of the same ticks as those it is compared with.
const TICK: i128 = 10_000_000;

fn nanos(time: SystemTime) -> i128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_nanos().cast_signed())
}

#[cfg(test)]
mod tests;
