//! What git obeys in the repositories that a user of the host can meet in a workspace.
//!
//! ```text
//!   above        ANCESTOR/.git, ANCESTOR itself where it is one: the workspace is a part of it, or a checkout in it
//!   WORKSPACE    .git, what a `.git` that is a file leads to, and the repository that this shares; itself, if it is bare
//!   below        .git of checkouts in it, and bare ones: as far as `search` looks
//!   of each      modules/**, worktrees/*/modules/**, checkouts of linked worktrees and of submodules
//! ```
//!
//! **Guarantees**: each repository's configuration counts from its own checkouts, and that of the user from all of them; what it
//! includes is read and kept, and what it executes is kept: where it is missing, too, if the value says that it is a path.

use std::collections::BTreeSet;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_sandbox::spec::StandIn;
use rustix::fs::CWD;

use super::Finder;
use super::config;
use super::config::Entry;
use super::expand;
use super::expand::Expanded;
use super::given;
use super::is_file;
use super::is_there;
use super::places::trace;
use super::search;
use super::shell::Given;
use super::shell::PLACE;
use super::variables;
use crate::run::error::RunError;
use crate::run::git;

/// Bytes of a configuration that are read.
const CONFIG_MAX: u64 = 1 << 20;
/// Configurations that are read of one repository, those it includes among them.
const CONFIGS_MAX: usize = 32;
/// Programs that configurations name.
const PROGRAMS_MAX: usize = 64;
/// Linked worktrees and submodules of one repository, and repositories in all.
const PARTS_MAX: usize = 1000;

/// What stands in for `commondir`: this repository is its own. Git takes nothing else, not even an empty file.
const OWN: &str = ".\n";

/// Names that git executes in a directory of hooks (githooks(5)).
const HOOKS: [&str; 28] = [
    "applypatch-msg",
    "commit-msg",
    "fsmonitor-watchman",
    "p4-changelist",
    "p4-post-changelist",
    "p4-pre-submit",
    "p4-prepare-changelist",
    "post-applypatch",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-receive",
    "post-rewrite",
    "post-update",
    "pre-applypatch",
    "pre-auto-gc",
    "pre-commit",
    "pre-merge-commit",
    "pre-push",
    "pre-rebase",
    "pre-receive",
    "prepare-commit-msg",
    "proc-receive",
    "push-to-checkout",
    "reference-transaction",
    "sendemail-validate",
    "update",
];

/// A repository's own directory, and a checkout of it that is known from elsewhere (real paths).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Repository {
    directory: PathBuf,
    tree: Option<PathBuf>,
}

impl Finder<'_> {
    /// All that can be met in the workspace and in further directories.
    pub(super) fn repositories(&mut self, further: &[PathBuf]) -> Result<(), RunError> {
        let workspace = self.workspace;
        // A repository whose own directory is broken is passed over, and the workspace itself is looked at. What git asks of it
        // (`is_git_directory`) must not all be made from inside: while the sandbox runs `commondir`, which git reads after
        // `HEAD`, is a directory, where git ends; and one part cannot be made, so that it is missing afterwards too. That is
        // not `HEAD` if another is free: beside a file of that name `git diff HEAD` does not know which is meant.
        let parts = ["refs", "objects", "HEAD"];
        let bare = git::could_be_repository(CWD, workspace);
        if bare {
            self.add(workspace.join("HEAD"), ".git/HEAD", StandIn::Directory);
        } else {
            self.add(workspace.join("commondir"), ".git/HEAD", StandIn::Directory);
            let missing = parts.into_iter().find(|part| !is_there(&workspace.join(part)));
            // Where all are there, the last is kept as it is.
            self.add(workspace.join(missing.unwrap_or("HEAD")), ".git/HEAD", StandIn::Directory);
        }
        if !is_there(&workspace.join(".git")) {
            self.all.without_repository = !bare;
            self.add(workspace.join(".git"), ".git", StandIn::Directory);
        }
        let mut pending = Vec::new();
        let tops = || std::iter::once(workspace).chain(further.iter().map(PathBuf::as_path));
        for top in tops() {
            let found = search::below(top);
            for dot in &found.dots {
                pending.extend(self.checkout(dot));
            }
            pending.extend(found.bare.into_iter().map(|directory| Repository { directory, tree: None }));
            for path in found.workspaces {
                let name = self.below(&path);
                self.add_held(path, name, StandIn::Directory);
            }
            self.all.stood += &found.stood;
            self.all.incomplete.extend(found.incomplete);
            pending
                .extend(git::beyond(top).into_iter().map(|directory| Repository { directory, tree: None }));
            for place in top.ancestors().skip(1).chain([top]) {
                pending.extend(self.checkout(&place.join(".git")));
                if git::could_be_repository(CWD, place) {
                    pending.push(Repository { directory: place.to_owned(), tree: None });
                }
            }
        }
        // What the caller's git works on, wherever it is called.
        for path in variables::repositories(self.environment) {
            let directory = self.keep_repository(workspace, &path);
            pending.extend(
                directory.map(|directory| Repository { directory, tree: Some(workspace.to_owned()) }),
            );
        }
        let mut trees: BTreeSet<PathBuf> = tops().map(Path::to_owned).collect();
        let mut seen = BTreeSet::new();
        // The nearest first: they come last in the list.
        while let Some(repository) = pending.pop() {
            if seen.len() == PARTS_MAX {
                let reason = format!("it leads to more than {PARTS_MAX} repositories");
                self.all.incomplete.insert(workspace.to_owned(), reason);
                break;
            }
            if seen.insert(repository.clone()) {
                pending.extend(self.repository(repository, &mut trees)?);
            }
        }
        self.global(&trees);
        Ok(())
    }

    /// What a `.git` leads to. One that is a file or a link is protected itself.
    fn checkout(&mut self, dot: &Path) -> Option<Repository> {
        let tree = dot.parent()?.to_owned();
        let data = fs::symlink_metadata(dot).ok()?;
        if data.is_dir() {
            return Some(Repository { directory: dot.to_owned(), tree: Some(tree) });
        }
        let name = self.below(dot);
        if data.is_symlink() && tree != self.workspace {
            // Of those in it (as `repo` makes them) the start is not refused.
            let directory = fs::canonicalize(dot).ok().filter(|path| path.is_dir())?;
            return Some(Repository { directory, tree: Some(tree) });
        }
        self.add_held(dot.to_owned(), name.clone(), StandIn::Directory);
        let directory = self.follow(&git::said_by(dot)?, &name).filter(|path| path.is_dir())?;
        Some(Repository { directory, tree: Some(tree) })
    }

    /// A repository that a variable names; in its place nothing is made while it is missing.
    fn keep_repository(&mut self, base: &Path, path: &Path) -> Option<PathBuf> {
        let traced = trace(base, path);
        let name = self.below(&traced.real);
        self.keep_way(&traced, &name);
        if traced.missing {
            self.add_held(traced.real, name, StandIn::Directory);
            return None;
        }
        Some(traced.real).filter(|path| path.is_dir())
    }

    /// The real path that one of git's own files names, if it is there. What it leads through stays under the file's name.
    fn follow(&mut self, said: &Path, name: &str) -> Option<PathBuf> {
        let traced = trace(Path::new("/"), said);
        self.keep_way(&traced, name);
        (!traced.missing).then_some(traced.real)
    }

    /// How what lies in a repository is called: all that is the workspace's own is `.git`.
    fn label(&self, directory: &Path) -> String {
        let own = directory == self.workspace
            || directory.starts_with(self.workspace.join(".git"))
            || !directory.starts_with(self.workspace);
        if own { ".git".to_owned() } else { self.below(directory) }
    }

    /// One repository. Gives back those of its submodules, and the one it shares with others.
    fn repository(
        &mut self,
        repository: Repository,
        trees: &mut BTreeSet<PathBuf>,
    ) -> Result<Vec<Repository>, RunError> {
        let Repository { directory, tree } = repository;
        let label = self.label(&directory);
        let named = |name: &str| format!("{label}/{name}");
        let common = git::common(&directory).and_then(|said| self.follow(&said, &named("worktrees")));
        if let Some(common) = common.filter(|common| common.is_dir() && *common != directory) {
            // A linked worktree's own part: the rest is where it says.
            self.add_held(directory.join("commondir"), named("worktrees"), StandIn::Text(OWN.into()));
            return Ok(vec![Repository { directory: common, tree }]);
        }
        // Those that are known by their checkouts, and by their own directories.
        let mut more = Vec::new();
        let mut modules = Vec::new();
        let mut own: BTreeSet<PathBuf> = tree.into_iter().collect();
        if directory.ends_with(".git") {
            own.extend(directory.parent().map(Path::to_owned));
        }
        let worktrees = self.worktrees(&directory)?;
        for worktree in &worktrees {
            let dot = git::checked_out(worktree).and_then(|said| self.follow(&said, &named("worktrees")));
            let Some(dot) = dot.filter(|dot| dot.ends_with(".git")) else { continue };
            own.extend(dot.parent().map(Path::to_owned));
            // However deep it lies. One that leads to another repository makes that one's configuration count there.
            more.extend(self.checkout(&dot).filter(|other| other.directory != *worktree));
        }
        let files = std::iter::once(&directory).chain(&worktrees).map(|place| place.join("config.worktree"));
        let entries = self.read(files.chain([directory.join("config")]).collect(), CONFIGS_MAX);
        for tree in entries.iter().filter(|entry| entry.name == "core.worktree") {
            // It is no path with a `~`.
            let said = Some(directory.join(&tree.value)).filter(|_| !tree.value.is_empty());
            let Some(real) = said.and_then(|said| self.follow(&said, &named("config"))) else { continue };
            // The checkout of a submodule: `git status` outside goes into it.
            if real != self.workspace && is_file(&real.join(".git")) {
                let dot = real.join(".git");
                let name = self.below(&dot);
                self.add_held(dot, name, StandIn::Directory);
            }
            own.insert(real);
        }
        if own.is_empty() {
            own.insert(directory.clone());
        }
        let own_configs = entries.iter().any(|entry| {
            entry.name == "extensions.worktreeconfig"
                && !matches!(entry.value.as_str(), "false" | "no" | "off" | "0")
        });
        self.add_held(directory.join("hooks"), named("hooks"), StandIn::Directory);
        self.add_held(directory.join("config"), named("config"), StandIn::Text(String::new()));
        self.add_held(directory.join("commondir"), named("commondir"), StandIn::Text(OWN.into()));
        for place in std::iter::once(&directory).chain(&worktrees) {
            if place != &directory {
                self.add_held(place.join("commondir"), named("worktrees"), StandIn::Text(OWN.into()));
                if is_file(&place.join("gitdir")) {
                    // It says which checkout is looked after at the next start.
                    self.add_held(place.join("gitdir"), named("worktrees"), StandIn::Directory);
                }
            }
            let file = place.join("config.worktree");
            if own_configs || is_file(&file) {
                self.add_held(file, named("config.worktree"), StandIn::Text(String::new()));
            }
            let (found, incomplete) = search::modules(&place.join("modules"));
            self.all.incomplete.extend(incomplete.map(|reason| (place.join("modules"), reason)));
            modules.extend(found);
        }
        for tree in &own {
            self.named(tree, &entries);
            modules.extend(self.submodules(tree));
        }
        trees.extend(own);
        // Those that the configuration knows are looked at first, whatever an agent made beside them.
        let submodules = entries.iter().filter(|entry| entry.name.starts_with("submodule."));
        let known = submodules.filter_map(|entry| plain(entry.subsection.as_deref()?));
        modules.extend(known.map(|name| directory.join("modules").join(name)).filter(|path| path.is_dir()));
        more.extend(modules.into_iter().map(|directory| Repository { directory, tree: None }));
        Ok(more.into_iter().collect::<BTreeSet<_>>().into_iter().take(PARTS_MAX).collect())
    }

    /// Own directories of the linked worktrees of a repository.
    fn worktrees(&self, directory: &Path) -> Result<Vec<PathBuf>, RunError> {
        let folder = directory.join("worktrees");
        let mut found = Vec::new();
        if !fs::symlink_metadata(&folder).is_ok_and(|data| data.is_dir()) {
            return Ok(found);
        }
        for (count, entry) in fs::read_dir(&folder).into_iter().flatten().flatten().enumerate() {
            if count == PARTS_MAX && self.places.hold(&folder) {
                return Err(RunError::Worktrees(folder));
            }
            // Where it is missing, the directory is no worktree's, and git refuses it.
            let is_worktree = is_file(&entry.path().join("commondir"));
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) && is_worktree {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    /// Repositories of submodules that are directories in the checkout. `.gitmodules` names them.
    fn submodules(&mut self, tree: &Path) -> Vec<PathBuf> {
        if !self.places.hold(tree) && !self.places.lie_in(tree) {
            return Vec::new();
        }
        let known = self.load(&tree.join(".gitmodules"));
        let paths = known.iter().filter(|entry| entry.name == "submodule.path");
        let dots = paths.filter_map(|entry| Some(tree.join(plain(&entry.value)?).join(".git")));
        let dots: Vec<PathBuf> = dots.filter(|dot| dot.is_dir()).take(PARTS_MAX).collect();
        dots.into_iter().map(|dot| trace(Path::new("/"), &dot).real).collect()
    }

    /// The user's and the system's configuration, and that of the caller's environment, which count in every checkout.
    fn global(&mut self, trees: &BTreeSet<PathBuf>) {
        let environment = self.environment;
        let home = environment.home();
        let global = [
            home.map(|home| home.join(".gitconfig")),
            environment.raw("XDG_CONFIG_HOME").map(|dir| Path::new(dir).join("git/config")),
            home.map(|home| home.join(".config/git/config")),
            Some(PathBuf::from("/etc/gitconfig")),
        ];
        let usual = global.into_iter().flatten().filter(|file| file.is_absolute());
        let (said, relative): (Vec<_>, Vec<_>) =
            variables::files(environment).into_iter().partition(|file| file.is_absolute());
        let files: Vec<PathBuf> = usual.chain(said).collect();
        for file in &files {
            // It may be a link into a workspace of such files.
            self.keep(Path::new("/"), file, None, StandIn::Text(String::new()));
        }
        let mut entries = self.read(files, CONFIGS_MAX);
        entries.extend(variables::entries(environment));
        for tree in trees {
            self.named(tree, &entries);
            for file in &relative {
                self.keep(tree, file, None, StandIn::Text(String::new()));
            }
            if !relative.is_empty() {
                let own = self.read(relative.iter().map(|file| tree.join(file)).collect(), CONFIGS_MAX);
                self.named(tree, &own);
            }
        }
    }

    /// The variables of configurations and of those that they include, which are kept.
    fn read(&mut self, mut pending: Vec<PathBuf>, most: usize) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut already = Vec::new();
        while let Some(file) = pending.pop() {
            if already.contains(&file) {
                continue;
            }
            if already.len() > most + PARTS_MAX {
                let reason =
                    format!("more than {} files of git's configuration include each other", most + PARTS_MAX);
                self.all.incomplete.insert(file, reason);
                break;
            }
            let found = self.load(&file);
            let base = file.parent().unwrap_or(Path::new("/"));
            for include in found.iter().filter(|entry| entry.is_include()) {
                if let Some(path) = self.expand(&include.value) {
                    let path = base.join(path);
                    let real = self.keep(Path::new("/"), &path, None, StandIn::Text(String::new()));
                    // A relative one in it counts from the name that it was included by.
                    pending.push(if is_file(&real) && !path.is_file() { real } else { path });
                }
            }
            entries.extend(found);
            already.push(file);
        }
        entries
    }

    /// What the variables of a configuration name, counted from a checkout.
    fn named(&mut self, tree: &Path, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.is_directory()) {
            let Some(mut path) = self.expand(&entry.value) else { continue };
            // husky's directory holds what calls the scripts beside it.
            if path.ends_with("_") {
                path.pop();
            }
            let traced = trace(tree, &path);
            if self.places.lie_in(&traced.real) {
                // Not the whole of it can be kept, but what git executes in it.
                for hook in HOOKS {
                    let path = path.join(hook);
                    self.keep(tree, &path, None, StandIn::Directory);
                }
            } else {
                self.keep(tree, &path, None, StandIn::Directory);
            }
        }
        let mut kept = 0;
        for entry in entries.iter().filter(|entry| entry.is_executed()) {
            for word in entry.programs() {
                let Some(path) = self.expand(word.text.replace(&format!("{PLACE}/"), "").as_str()) else {
                    continue;
                };
                let traced = trace(tree, &path);
                let is_directory = word.given != Given::Not && !traced.missing && traced.real.is_dir();
                let counts =
                    if traced.missing { word.is_path } else { traced.real.is_file() || is_directory };
                // Of a directory with the workspace in it, what is begun with there.
                let around = is_directory && self.places.lie_in(&traced.real);
                if !counts || !(around || self.reaches(&traced)) {
                    continue;
                }
                if kept == PROGRAMS_MAX {
                    let reason = format!("git's configuration names more than {PROGRAMS_MAX} programs in it");
                    self.all.incomplete.insert(tree.to_owned(), reason);
                    return;
                }
                kept += 1;
                if !around {
                    self.keep(tree, &path, None, StandIn::Directory);
                }
                let path = tree.join(path);
                for other in given::runs(&path, word.given, false).into_iter().skip(1) {
                    self.keep(tree, &other, None, StandIn::Directory);
                }
                if traced.missing && word.given == Given::Node {
                    for ending in given::ADDED {
                        self.keep(tree, &given::with(&path, ending), None, StandIn::Directory);
                    }
                }
            }
        }
    }

    /// The path that a text of a configuration stands for.
    fn expand(&mut self, text: &str) -> Option<PathBuf> {
        match expand::expand(text, self.environment) {
            Expanded::Path(path) => Some(path),
            // `~2` is no home in most commands.
            Expanded::Account(_) if !text.contains('/') => None,
            Expanded::Account(name) => {
                let file = PathBuf::from(text);
                let reason = format!(
                    "git's configuration names the home of `{name}`, an account that `/etc/passwd` does not have"
                );
                self.all.incomplete.insert(file, reason);
                None
            }
            Expanded::Nothing => None,
        }
    }

    /// The variables of a file.
    fn load(&mut self, file: &Path) -> Vec<Entry> {
        let Ok(data) = fs::metadata(file) else { return Vec::new() };
        if !data.is_file() {
            return Vec::new();
        }
        if data.len() > CONFIG_MAX {
            let reason = format!("it is a configuration of more than {} MiB", CONFIG_MAX >> 20);
            self.all.incomplete.insert(file.to_owned(), reason);
            return Vec::new();
        }
        fs::read(file).map(|text| config::entries(&String::from_utf8_lossy(&text))).unwrap_or_default()
    }
}

/// A relative path of plain names.
fn plain(text: &str) -> Option<&Path> {
    let path = Path::new(text);
    path.components().all(|part| matches!(part, Component::Normal(_))).then_some(path)
}
