//! What of a workspace the host runs by itself, and a sandbox therefore neither changes nor makes unless the user says so.
//!
//! ```text
//!   places       where the sandbox may write, and what a path really leads to
//!   known        every name that programs obey, run or read in a directory: one table
//!   names        those of WORKSPACE/NAME that are kept; `protect` of each recipe and of the manifest
//!   repository   what git obeys in every repository that it can meet there: above, in and below the workspace
//!   search       repositories below the workspace
//!   stood        which directories were passed by that, to know later what has come
//!   config       git's configuration files
//!   variables    and the caller's environment, which is such a configuration
//!   calls        programs that settings of agents, editors and shells name
//!   shell        words of commands; expand: what their beginnings stand for; given: what an interpreter makes of them
//!   second       other names of protected files (hard links)
//! ```
//!
//! **Guarantees**: no git is run. What a configuration names is read from files that are themselves protected, so that an
//! agent cannot choose what is looked at. Every path is followed to its real one and kept wherever the sandbox may write, and each
//! directory that it leaves by `..` is held in its place; so is what links in a protected directory lead to, and each other name of a protected file. Each path has a name, and is left out by it or by what it lies in.
//!
//! **Refuses**: names to leave out that are none; more linked worktrees, or other names of files, than can be looked after. Says what it gave up on.

mod calls;
mod config;
mod expand;
mod given;
mod known;
mod names;
mod places;
mod repository;
mod search;
mod second;
mod shell;
mod stood;
mod variables;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::directory;
use pinfold_base::directory::Mounts;
use pinfold_base::directory::Next;
use pinfold_base::directory::Seen;
use pinfold_sandbox::spec::Protected;
use pinfold_sandbox::spec::StandIn;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;

use self::calls::Call;
pub use self::calls::programs;
use self::expand::Expanded;
pub(super) use self::known::Care;
pub(super) use self::known::Index;
#[cfg(test)]
pub(super) use self::known::NAMES;
use self::names::Name;
pub(super) use self::names::names;
use self::places::Places;
pub(super) use self::places::Traced;
pub(super) use self::places::trace;
pub(super) use self::search::HEAVY;
use self::second::SecondNames;
pub(super) use self::stood::Stood;
use super::error::RunError;
use super::git;
use crate::context::Environment;
use crate::project::manifest::run::ProtectedName;
use crate::project::manifest::run::WorkspacePath;
use crate::project::recipe::Recipe;

/// Names in protected directories that are looked at, for links and for second names of files.
const LOOKED_MAX: usize = 20_000;

/// Directories that builds make.
const BUILT: [&str; 4] = [".next", "build", "dist", "out"];

/// What is protected, by name.
#[derive(Debug, Default)]
pub(super) struct Protection {
    paths: BTreeMap<PathBuf, (String, StandIn)>,
    /// Directories that stay where they are: what is protected is named through them and up again (`..`).
    pub(super) held: BTreeSet<PathBuf>,
    /// There is no repository, and none can be made.
    pub(super) without_repository: bool,
    /// Other names of protected files, which are kept too, each with the protected path of the file.
    pub(super) second_names: BTreeMap<PathBuf, PathBuf>,
    /// Programs that protected settings name, each with the file that does.
    pub(super) called: BTreeMap<PathBuf, String>,
    /// Directories and where they stand ([`Stood`]).
    pub(super) stood: String,
    /// What was not looked at to its end, and why.
    pub(super) incomplete: BTreeMap<PathBuf, String>,
    /// Names of the project's to leave out that are a part of what is protected as a whole, and its name.
    pub(super) parts: Vec<(String, String)>,
}

/// What a run adds and leaves out.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// Recipes of the image: their agents run inside.
    pub(super) recipes: &'a [Recipe],
    /// Further paths.
    pub(super) more: Vec<&'a WorkspacePath>,
    /// Names to leave out: what the project says, and what the user says.
    pub(super) declared: Vec<&'a ProtectedName>,
    pub(super) said: Vec<&'a ProtectedName>,
}

impl Wanted<'_> {
    fn leaves_out(&self, name: &str) -> bool {
        self.said.iter().chain(&self.declared).any(|path| within(name, path.as_str()))
    }
}

impl Protection {
    /// Of a workspace and of further directories that may be written to (real paths); of the latter, what of it is there.
    pub(super) fn of(
        workspace: &Path,
        further: &[PathBuf],
        environment: &Environment,
        wanted: &Wanted<'_>,
    ) -> Result<Self, RunError> {
        let roots = std::iter::once(workspace.to_owned()).chain(further.iter().cloned());
        let beyond = further.iter().map(PathBuf::as_path).chain([workspace]).flat_map(git::beyond);
        let mut finder = Finder {
            workspace,
            places: Places::new(roots.chain(beyond).collect()),
            environment,
            wanted,
            all: Self::default(),
            links: Vec::new(),
            left: Vec::new(),
            several: SecondNames::default(),
            looked: 0,
        };
        let names = names(wanted.recipes);
        // What is named by the user has a stand-in, also where one is not made unasked.
        for path in &wanted.more {
            let watched =
                |name: &Name| name.path == path.as_str() && matches!(name.missing, StandIn::Watched(_));
            let missing = if names.iter().any(watched) { StandIn::File } else { StandIn::Directory };
            finder.add(workspace.join(path.as_str()), path.as_str(), missing);
        }
        for name in names {
            for directory in further.iter().filter(|directory| is_there(&directory.join(&name.path))) {
                finder.add(directory.join(&name.path), name.path.clone(), name.missing.clone());
            }
            finder.add(workspace.join(&name.path), name.path, name.missing);
        }
        for directory in std::iter::once(workspace).chain(further.iter().map(PathBuf::as_path)) {
            for (name, missing) in names::present(directory) {
                finder.present(directory, name, missing);
            }
        }
        finder.repositories(further)?;
        for directory in further.iter().map(PathBuf::as_path).chain([workspace]) {
            finder.called(directory);
        }
        finder.contents();
        finder.second_names()?;
        finder.finish()
    }

    /// For the sandbox.
    pub(super) fn paths(&self) -> Vec<Protected> {
        let each = |(path, (name, missing)): (&PathBuf, &(String, StandIn))| Protected {
            path: path.clone(),
            missing: missing.clone(),
            name: name.clone(),
        };
        self.paths.iter().map(each).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.paths.values().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Puts a [`Protection`] together.
struct Finder<'a> {
    workspace: &'a Path,
    places: Places,
    environment: &'a Environment,
    wanted: &'a Wanted<'a>,
    all: Protection,
    /// Links that lead to what is protected, and its name.
    links: Vec<(PathBuf, String)>,
    /// Directories that `..` leaves on the way to it, likewise.
    left: Vec<(PathBuf, String)>,
    /// Protected files with other names.
    several: SecondNames,
    /// Names in protected directories that were looked at.
    looked: usize,
}

impl Finder<'_> {
    /// Protects a real path as it is.
    fn add(&mut self, path: PathBuf, name: impl Into<String>, missing: StandIn) {
        self.all.paths.entry(path).or_insert_with(|| (name.into(), missing));
    }

    /// Protects a real path where a sandbox may write.
    fn add_held(&mut self, path: PathBuf, name: impl Into<String>, missing: StandIn) {
        if self.places.hold(&path) && !self.is_kept(&path) {
            self.add(path, name, missing);
        }
    }

    /// Protects what `path`, counted from the real path `base`, leads to, and what it leads through. Without a name it is called
    /// by its path. Gives back the real path.
    fn keep(&mut self, base: &Path, path: &Path, name: Option<&str>, missing: StandIn) -> PathBuf {
        let traced = trace(base, path);
        let name = name.map_or_else(|| self.below(&traced.real), str::to_owned);
        self.keep_way(&traced, &name);
        self.add_held(traced.real.clone(), name, missing);
        traced.real
    }

    /// Notes what a path leads through, where a sandbox could exchange it, under the name of what it leads to.
    fn keep_way(&mut self, traced: &Traced, name: &str) {
        for link in traced.links.iter().filter(|link| self.places.hold(link)) {
            self.links.push((link.clone(), name.to_owned()));
        }
        self.keep_left(traced, name);
    }

    /// The same without the links.
    fn keep_left(&mut self, traced: &Traced, name: &str) {
        for left in traced.left.iter().filter(|left| self.places.hold(left)) {
            self.left.push((left.clone(), name.to_owned()));
        }
    }

    /// Whether a sandbox could change what a path leads to, be it by changing the way.
    fn reaches(&self, traced: &Traced) -> bool {
        let way = traced.links.iter().chain(&traced.left);
        way.chain([&traced.real]).any(|path| self.places.hold(path))
    }

    /// Protects a name of `directory` where it is there, and with something to stand in for it where the directory around it is.
    /// Through a link it is what the link leads to: to refuse the link, as one of git's, would stop ordinary projects, and a
    /// changed one is told as a new name is.
    fn present(&mut self, directory: &Path, name: &'static str, missing: Option<StandIn>) {
        let traced = trace(directory, Path::new(name));
        let around = || traced.real.parent().is_some_and(is_directory);
        match missing {
            _ if !traced.missing => {
                self.keep_left(&traced, name);
                self.add_held(traced.real, name, StandIn::Directory);
            }
            Some(missing) if traced.links.is_empty() && around() => self.add(traced.real, name, missing),
            _ => {}
        }
    }

    /// Whether a path lies in what is kept as a whole.
    fn is_kept(&self, path: &Path) -> bool {
        path.ancestors()
            .skip(1)
            .any(|outer| self.all.paths.get(outer).is_some_and(|(name, _)| !self.wanted.leaves_out(name)))
    }

    /// How the user calls a path.
    fn below(&self, path: &Path) -> String {
        path.strip_prefix(self.workspace).unwrap_or(path).display().to_string()
    }

    /// Looks into each protected directory: what links there lead to is obeyed as well, and so on.
    fn contents(&mut self) {
        let mut done: BTreeSet<PathBuf> = BTreeSet::new();
        loop {
            let new = self.all.paths.iter().filter(|(path, _)| !done.contains(*path));
            let new: Vec<(PathBuf, String)> =
                new.map(|(path, (name, _))| (path.clone(), name.clone())).collect();
            if new.is_empty() {
                return;
            }
            for (path, name) in new {
                if self.places.hold(&path) && !self.wanted.leaves_out(&name) {
                    self.look_into(&path, &name);
                }
                done.insert(path);
            }
        }
    }

    fn look_into(&mut self, path: &Path, name: &str) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(opened) = rustix::fs::open(path, flags, Mode::empty()) else {
            if let Ok(data) = rustix::fs::lstat(path) {
                self.several.note(&data, || path.to_owned(), || name.to_owned());
            }
            return;
        };
        let mut links = Vec::new();
        let walked = directory::walk(opened, Mounts::Stay, |seen| {
            let entry = match seen {
                Seen::Entry(entry) => entry,
                Seen::Unreadable(entry, errno) => {
                    self.all.incomplete.insert(path.join(entry.path), search::unreadable(&errno.into()));
                    return Ok(Next::On);
                }
                _ => return Ok(Next::On),
            };
            self.looked += 1;
            if self.looked > LOOKED_MAX {
                let reason = format!("there are more than {LOOKED_MAX} names in what is protected");
                self.all.incomplete.insert(path.to_owned(), reason);
                return Ok(Next::Stop);
            }
            if entry.kind == FileType::Symlink {
                links.push(entry.path.to_owned());
            } else if entry.kind == FileType::RegularFile
                && let Ok(data) = rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW)
            {
                self.several.note(&data, || path.join(entry.path), || name.to_owned());
            }
            Ok(Next::On)
        });
        if let Err(error) = walked {
            self.all.incomplete.insert(path.to_owned(), search::unreadable(&error));
        }
        for link in links {
            let name = format!("{name}/{}", link.display());
            self.keep(path, &link, Some(&name), StandIn::Directory);
        }
    }

    /// The name of what `said` is a part of, or of what lies there under another name.
    fn held_by(&self, said: &str) -> Option<String> {
        let path = self.workspace.join(said);
        let holds = |(outer, (name, _)): &(&PathBuf, &(String, StandIn))| {
            within(said, name) || path.starts_with(outer)
        };
        let held = self.all.paths.iter().filter(holds);
        held.max_by_key(|(outer, _)| outer.components().count()).map(|(_, (name, _))| name.clone())
    }

    /// Protects the programs that the settings at the top of a directory name, but for what builds make.
    fn called(&mut self, directory: &Path) {
        let calls = calls::calls(directory);
        self.all.incomplete.extend(calls.incomplete);
        for Call { path, program, given, folder, by } in calls.all {
            if !program || self.wanted.leaves_out(&by) {
                continue;
            }
            let Expanded::Path(path) = expand::expand(&path, self.environment) else { continue };
            for path in given::runs(&directory.join(path), given, false) {
                self.call(directory, &path, folder, &by);
            }
        }
    }

    /// Protects one of them, where it is there.
    fn call(&mut self, directory: &Path, path: &Path, folder: bool, by: &str) {
        let traced = trace(Path::new("/"), path);
        let real = &traced.real;
        let is_there =
            !traced.missing && (is_file(real) || (folder && real.is_dir() && !self.places.lie_in(real)));
        if !is_there || is_built(directory, real) {
            return;
        }
        let name = self.below(real);
        self.keep_left(&traced, &name);
        let real = traced.real;
        if self.is_kept(&real) {
            return;
        }
        let new = !self.all.paths.contains_key(&real);
        // A link on the way is told when it changed: to refuse it, as one of git's, would stop ordinary projects.
        self.add_held(real.clone(), name, StandIn::Directory);
        if new && self.all.paths.contains_key(&real) {
            self.all.called.insert(real, by.to_owned());
        }
    }

    /// Protects what else protected files are called where a sandbox may write.
    fn second_names(&mut self) -> Result<(), RunError> {
        for other in std::mem::take(&mut self.several).find(self.places.roots())? {
            if !self.all.paths.contains_key(&other.path) && !self.is_kept(&other.path) {
                self.add(other.path.clone(), other.name, StandIn::Directory);
                self.all.second_names.insert(other.path, other.of);
            }
        }
        Ok(())
    }

    /// Leaves out what is to be, and gives links that nothing holds to the sandbox, which refuses them.
    fn finish(mut self) -> Result<Protection, RunError> {
        let ways = self.links.iter().chain(&self.left).map(|(_, name)| name);
        let names: BTreeSet<&String> = self.all.paths.values().map(|(name, _)| name).chain(ways).collect();
        let known = |said: &str| names.iter().any(|name| within(name, said));
        if let Some(said) = self.wanted.said.iter().map(|said| said.as_str()).find(|said| !known(said)) {
            let name = said.to_owned();
            return Err(match self.held_by(said) {
                Some(by) => RunError::PartOf { name, by },
                None => RunError::Unprotected { name, known: self.all.names() },
            });
        }
        let declared = self.wanted.declared.iter().map(|said| said.as_str()).filter(|said| !known(said));
        let parts: Vec<_> =
            declared.filter_map(|said| Some((said.to_owned(), self.held_by(said)?))).collect();
        // Once there is a repository, its parts have names of their own.
        let later = |by: &str| self.all.without_repository && by == ".git";
        self.all.parts = parts.into_iter().filter(|(_, by)| !later(by)).collect();
        for (link, name) in std::mem::take(&mut self.links) {
            if !self.is_kept(&link) {
                self.add(link, name, StandIn::Directory);
            }
        }
        let wanted = self.wanted;
        let left = std::mem::take(&mut self.left).into_iter();
        let left = left.filter(|(path, name)| !wanted.leaves_out(name) && !self.is_kept(path));
        self.all.held = left.map(|(path, _)| path).collect();
        self.all.paths.retain(|_, (name, _)| !wanted.leaves_out(name));
        let kept = &self.all.paths;
        self.all.second_names.retain(|other, _| kept.contains_key(other));
        self.all.called.retain(|path, _| kept.contains_key(path));
        self.all.without_repository &= !wanted.leaves_out(".git");
        Ok(self.all)
    }
}

/// What the settings at the top of a directory (a real path) have run.
#[derive(Debug, Default)]
pub(super) struct Called {
    /// Real paths, also of what is not there yet, and of links on the way.
    pub(super) paths: BTreeSet<PathBuf>,
    /// Directories of programs, likewise.
    pub(super) folders: BTreeSet<PathBuf>,
    /// Settings that were not read to their end, and why.
    pub(super) incomplete: Vec<(PathBuf, String)>,
}

/// The same, as it is now.
pub(super) fn called(directory: &Path) -> Called {
    let calls = calls::calls(directory);
    let mut found = Called { incomplete: calls.incomplete, ..Called::default() };
    for Call { path, program, given, folder, .. } in calls.all {
        if path.starts_with('~') {
            // Of a home that nobody has said: what is there was kept.
            continue;
        }
        for path in given::runs(&directory.join(path), given, true) {
            let traced = trace(Path::new("/"), &path);
            let counts = if traced.missing { program } else { folder || is_file(&traced.real) };
            if counts {
                let paths = if folder { &mut found.folders } else { &mut found.paths };
                paths.insert(traced.real);
                found.paths.extend(traced.links);
            }
        }
    }
    found
}

/// Which directories a search before a start would pass.
#[cfg(test)]
pub(super) fn stood_below(root: &Path) -> String {
    search::below(root).stood
}

/// Whether a path lies in what a build makes, or others fill: to keep that would stop the work.
fn is_built(directory: &Path, path: &Path) -> bool {
    let within = path.strip_prefix(directory).unwrap_or(path);
    // A program may be called as such a directory is.
    let within = if path.is_dir() { Some(within) } else { within.parent() };
    let named = |name: &OsStr| BUILT.iter().chain(&HEAVY).any(|built| name == *built);
    within.is_some_and(|within| within.iter().any(named))
}

/// Whether anything stands there, if only a link.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether there is a directory and no link to one.
fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.is_dir())
}

/// Whether there is a file and no link to one.
fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.is_file())
}

/// Whether a name is this one or lies in it.
fn within(name: &str, outer: &str) -> bool {
    Path::new(name).starts_with(outer)
}

#[cfg(test)]
mod tests;
