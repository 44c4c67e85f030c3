//! What of a workspace the host runs by itself, and a sandbox therefore neither changes nor makes unless the user says so.
//!
//! ```text
//!   WORKSPACE/.git                hooks, config, what leads elsewhere; also of the repository that it belongs to
//!   WORKSPACE/HEAD                with it, and without a good `.git`, the workspace itself would be a repository
//!   what git's configuration names in the workspace:   core.hooksPath, include.path, programs
//!   WORKSPACE/NAME                of shells, editors and agents: NAMES, `protect` of each recipe and of the manifest
//! ```
//!
//! **Guarantees**: no git is run. What a configuration names is read from files that are themselves protected, so that an
//! agent cannot choose what is looked at. Each path has a name, and is left out by it or by what it lies in.
//!
//! **Refuses**: names to leave out that are none; more linked worktrees than can be looked after.

mod config;

use std::collections::BTreeMap;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_sandbox::spec::Protected;
use pinfold_sandbox::spec::StandIn;

use self::config::Entry;
use super::error::RunError;
use super::git;
use crate::context::Environment;
use crate::project::manifest::run::WorkspacePath;
use crate::project::recipe::Recipe;

/// What shells, editors and more than one agent obey. Git's own is known in more detail.
pub(super) const NAMES: [&str; 7] =
    [".cursor", ".devcontainer", ".envrc", ".idea", ".mcp.json", ".vscode", ".zed"];

/// Bytes of a configuration that are read.
const CONFIG_MAX: u64 = 1 << 20;
/// Configurations that are read of one repository, those it includes among them.
const CONFIGS_MAX: usize = 32;
/// Programs that configurations name.
const PROGRAMS_MAX: usize = 64;
/// Linked worktrees and submodules of one repository.
const PARTS_MAX: usize = 1000;

/// What stands in for `commondir`: this repository is its own. Git takes nothing else, not even an empty file.
const OWN: &str = ".\n";

/// What is protected, by name.
#[derive(Debug, Default)]
pub(super) struct Protection {
    paths: BTreeMap<PathBuf, (String, StandIn)>,
    /// There is no repository, and none can be made.
    pub(super) without_repository: bool,
}

/// What a run adds and leaves out.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    /// Recipes of the image: their agents run inside.
    pub(super) recipes: &'a [Recipe],
    /// Further paths.
    pub(super) more: Vec<&'a WorkspacePath>,
    /// Names to leave out: what the project says, and what the user says.
    pub(super) declared: Vec<&'a WorkspacePath>,
    pub(super) said: Vec<&'a WorkspacePath>,
}

impl Protection {
    /// Of a workspace (a real path).
    pub(super) fn of(
        workspace: &Path,
        environment: &Environment,
        wanted: &Wanted<'_>,
    ) -> Result<Self, RunError> {
        let mut all = Self::default();
        for name in names(wanted.recipes) {
            all.add(workspace.join(&name.path), name.path, name.missing);
        }
        for path in &wanted.more {
            all.add(workspace.join(path.as_str()), path.as_str().to_owned(), StandIn::Directory);
        }
        all.git(workspace, environment)?;
        for path in &wanted.said {
            if !all.paths.values().any(|(name, _)| within(name, path.as_str())) {
                return Err(RunError::Unprotected { name: path.as_str().to_owned(), known: all.names() });
            }
        }
        let out =
            |name: &str| wanted.said.iter().chain(&wanted.declared).any(|path| within(name, path.as_str()));
        all.paths.retain(|_, (name, _)| !out(name));
        all.without_repository &= !out(".git");
        Ok(all)
    }

    /// Of a further directory that may be written to: what of it is there.
    pub(super) fn also(
        &mut self,
        directory: &Path,
        environment: &Environment,
        wanted: &Wanted<'_>,
    ) -> Result<(), RunError> {
        let unsaid = Wanted {
            recipes: wanted.recipes,
            declared: [&wanted.said[..], &wanted.declared].concat(),
            ..Wanted::default()
        };
        let there = |path: &PathBuf| path.parent() != Some(directory) || fs::symlink_metadata(path).is_ok();
        let more = Self::of(directory, environment, &unsaid)?.paths;
        self.paths.extend(more.into_iter().filter(|(path, _)| there(path)));
        Ok(())
    }

    /// For the sandbox.
    pub(super) fn paths(&self) -> Vec<Protected> {
        let each = |(path, (_, missing)): (&PathBuf, &(String, StandIn))| Protected {
            path: path.clone(),
            missing: missing.clone(),
        };
        self.paths.iter().map(each).collect()
    }

    /// Files with more than one name: through another one, in the workspace, they could be written to.
    pub(super) fn hard_linked(&self) -> Vec<&Path> {
        use std::os::unix::fs::MetadataExt as _;
        let linked =
            |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|data| data.is_file() && data.nlink() > 1);
        self.paths.keys().filter(|path| linked(path)).map(PathBuf::as_path).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.paths.values().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn add(&mut self, path: PathBuf, name: impl Into<String>, missing: StandIn) {
        self.paths.entry(path).or_insert_with(|| (name.into(), missing));
    }

    /// What git obeys in `workspace` and in the repository that it belongs to.
    fn git(&mut self, workspace: &Path, environment: &Environment) -> Result<(), RunError> {
        let dot = workspace.join(".git");
        // A repository whose own directory is broken is passed over, and the workspace itself is looked at.
        self.add(workspace.join("HEAD"), ".git/HEAD", StandIn::Directory);
        let mut repositories = git::beyond(workspace);
        match fs::symlink_metadata(&dot) {
            Err(_) => {
                self.without_repository = true;
                self.add(dot, ".git", StandIn::Directory);
            }
            Ok(data) if data.is_dir() => repositories.push(dot),
            Ok(_) => {
                repositories.extend(git::named_by(&dot));
                self.add(dot, ".git", StandIn::Directory);
            }
        }
        let mut seen = Vec::new();
        while let Some(repository) = repositories.pop() {
            if seen.contains(&repository) || seen.len() > PARTS_MAX {
                continue;
            }
            repositories.extend(self.repository(workspace, &repository, environment)?);
            seen.push(repository);
        }
        let home = environment.home();
        let global = [
            home.map(|home| home.join(".gitconfig")),
            environment.raw("XDG_CONFIG_HOME").map(|dir| Path::new(dir).join("git/config")),
            home.map(|home| home.join(".config/git/config")),
            Some(PathBuf::from("/etc/gitconfig")),
        ];
        for file in global.into_iter().flatten() {
            self.named(workspace, &read(&file).unwrap_or_default(), home);
        }
        Ok(())
    }

    /// What git obeys in a repository's own directory. Gives back those of its submodules, and the one it shares with others.
    fn repository(
        &mut self,
        workspace: &Path,
        directory: &Path,
        environment: &Environment,
    ) -> Result<Vec<PathBuf>, RunError> {
        let home = environment.home();
        if let Some(common) = git::common(directory).filter(|common| common != directory) {
            // A linked worktree's own part: the rest is where it says.
            self.add(directory.join("commondir"), ".git/worktrees", StandIn::Text(OWN.into()));
            return Ok(vec![common]);
        }
        let mut entries = Vec::new();
        let mut pending = vec![directory.join("config"), directory.join("config.worktree")];
        let mut read_already = Vec::new();
        while let Some(file) = pending.pop() {
            if read_already.contains(&file) || read_already.len() == CONFIGS_MAX {
                continue;
            }
            let found = read(&file).unwrap_or_default();
            let base = file.parent().unwrap_or(directory);
            for include in found.iter().filter(|entry| entry.is_include()) {
                if let Some(path) = resolve(&include.value, base, home)
                    && path.starts_with(workspace)
                {
                    self.add(path.clone(), below(&path, workspace), StandIn::Text(String::new()));
                    pending.push(path);
                }
            }
            entries.extend(found);
            read_already.push(file);
        }
        self.named(workspace, &entries, home);
        let own_configs = entries.iter().any(|entry| {
            entry.name == "extensions.worktreeconfig"
                && !matches!(entry.value.as_str(), "false" | "no" | "off" | "0")
        });
        self.add(directory.join("hooks"), ".git/hooks", StandIn::Directory);
        self.add(directory.join("config"), ".git/config", StandIn::Text(String::new()));
        self.add(directory.join("commondir"), ".git/commondir", StandIn::Text(OWN.into()));
        let mut per_worktree = vec![directory.to_owned()];
        for entry in fs::read_dir(directory.join("worktrees")).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let worktree = entry.path();
                // Where it is missing, the directory is no worktree's, and git refuses it.
                if is_file(&worktree.join("commondir")) {
                    self.add(worktree.join("commondir"), ".git/worktrees", StandIn::Text(OWN.into()));
                    per_worktree.push(worktree);
                }
            }
            if per_worktree.len() > PARTS_MAX {
                return Err(RunError::Worktrees(directory.join("worktrees")));
            }
        }
        for place in per_worktree {
            let file = place.join("config.worktree");
            if own_configs || is_file(&file) {
                self.add(file, ".git/config.worktree", StandIn::Text(String::new()));
            }
        }
        // Those that the configuration knows, not those that are there: the latter an agent could make by the thousand.
        let submodules = entries.iter().filter(|entry| entry.name.starts_with("submodule."));
        let modules = submodules.filter_map(|entry| plain(entry.subsection.as_deref()?));
        let modules = modules.map(|name| directory.join("modules").join(name)).filter(|path| path.is_dir());
        let more: Vec<PathBuf> = modules.take(PARTS_MAX).collect();
        if let Some(tree) = entries.iter().find(|entry| entry.name == "core.worktree")
            && let Some(tree) = resolve(&tree.value, directory, home)
            && tree != workspace
            && tree.starts_with(workspace)
            && is_file(&tree.join(".git"))
        {
            // The checkout of a submodule: `git status` outside goes into it.
            let dot = tree.join(".git");
            self.add(dot.clone(), below(&dot, workspace), StandIn::Directory);
        }
        Ok(more)
    }

    /// What the variables of a configuration name in the workspace.
    fn named(&mut self, workspace: &Path, entries: &[Entry], home: Option<&Path>) {
        for entry in entries.iter().filter(|entry| entry.name == "core.hookspath") {
            let Some(mut path) = resolve(&entry.value, workspace, home) else { continue };
            // husky's directory holds what calls the scripts beside it.
            if path.ends_with("_") {
                path.pop();
            }
            if path != workspace && path.starts_with(workspace) {
                self.add(path.clone(), below(&path, workspace), StandIn::Directory);
            }
        }
        let programs = entries.iter().filter(|entry| entry.is_executed()).flat_map(Entry::words);
        let inside = programs
            .filter_map(|word| resolve(word, workspace, home))
            .filter(|path| path.starts_with(workspace) && is_file(path));
        for path in inside.take(PROGRAMS_MAX) {
            self.add(path.clone(), below(&path, workspace), StandIn::Directory);
        }
    }
}

/// A name at the top of a workspace, and what stands in for it.
pub(super) struct Name {
    pub(super) path: String,
    missing: StandIn,
}

/// Those of everybody, of the built-in recipes (their agents may run on the host, whatever runs inside) and of `recipes`.
pub(super) fn names(recipes: &[Recipe]) -> Vec<Name> {
    let known: Vec<Recipe> =
        Recipe::agents().filter_map(|name| Recipe::load(name, Path::new(".")).ok()).collect();
    let directory = |path: &str| Name { path: path.to_owned(), missing: StandIn::Directory };
    let mut names: Vec<Name> = NAMES.into_iter().map(directory).collect();
    for recipe in known.iter().chain(recipes) {
        // A directory in the place of such a file would stop the agent that reads it, and a file would be seen by git outside:
        // so there is one only where that agent runs.
        let inside = recipes.iter().any(|other| other.name == recipe.name);
        let file = if inside { StandIn::File } else { StandIn::Directory };
        names.extend(recipe.run.protect.iter().map(|path| directory(path.as_str())));
        let files = recipe.run.protect_files.iter();
        names.extend(files.map(|path| Name { path: path.as_str().to_owned(), missing: file.clone() }));
    }
    names
}

/// Whether there is a file and no link to one.
fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.is_file())
}

/// Whether a name is this one or lies in it.
fn within(name: &str, outer: &str) -> bool {
    Path::new(name).starts_with(outer)
}

fn below(path: &Path, workspace: &Path) -> String {
    path.strip_prefix(workspace).unwrap_or(path).display().to_string()
}

/// A relative path of plain names.
fn plain(text: &str) -> Option<&Path> {
    let path = Path::new(text);
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}

/// A path of a configuration, without `.` and `..`. Links are not followed: one on the way is the sandbox's to refuse.
fn resolve(text: &str, base: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let path = match text.strip_prefix("~/") {
        Some(rest) => home?.join(rest),
        None => base.join(text),
    };
    let mut real = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                real.pop();
            }
            Component::CurDir => {}
            part => real.push(part),
        }
    }
    (!text.is_empty() && !text.contains('\0')).then_some(real)
}

/// The variables of a configuration.
fn read(file: &Path) -> Option<Vec<Entry>> {
    let data = fs::metadata(file).ok()?;
    let text = (data.is_file() && data.len() <= CONFIG_MAX).then(|| fs::read(file).ok())??;
    Some(config::entries(&String::from_utf8_lossy(&text)))
}

#[cfg(test)]
mod tests;
