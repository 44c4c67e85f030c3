//! What names of packages mean: `nixpkgs#ripgrep` is a store path only where Nix evaluates the flake.
//!
//! ```text
//! resolution = "nix.json"      ─► the file says it; Nix is not started
//! the same in `config.toml`    ─► likewise, of names that are not locked: it stands for this machine's Nix
//! otherwise                    ─► `nix flake metadata`, then `nix eval`, once for each flake
//! ```
//!
//! Nix evaluates purely, builds nothing, takes no settings of the flake's and writes no lock into it: a flake in the project, which an
//! agent may write, says which store paths are meant and reads nothing else of this machine.
//!
//! **Guarantees**: a name that the lock has stays what it was, unless it is to move; what a file says counts always.
//! **Refuses**: names without an answer for the platform, and outputs that a package does not have.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::http::SafeUrl;
use pinfold_base::text;
use pinfold_network::CredentialError;
use pinfold_network::HeldCommand;
use pinfold_network::OwnError;
use pinfold_network::read_own;
use pinfold_sources::nix::LockedNix;
use pinfold_sources::nix::LockedRoot;
use pinfold_sources::nix::StorePath;
use pinfold_sources::nix::flake;
use pinfold_sources::nix::flake::AnswerError;
use pinfold_sources::nix::flake::Flake;
use pinfold_sources::nix::flake::Outputs;
use pinfold_sources::nix::flake::Package;
use pinfold_sources::nix::flake::Refused;
use pinfold_sources::nix::flake::Resolution;
use pinfold_sources::nix::flake::Said;
use pinfold_sources::nix::locked;
use serde::Deserialize;

use super::section::Root;
use crate::project::Project;
use crate::project::folder::OpenError;
use crate::settings::FILE_NAME;
use crate::sources::Asking;
use crate::sources::Remotes;
use crate::sources::SourceError;

/// What Nix is told for every evaluation. A flake may not have anything built or set, and nothing is written into it.
const SETTINGS: [&str; 10] = [
    "--extra-experimental-features",
    "nix-command flakes",
    "--option",
    "pure-eval",
    "true",
    "--option",
    "allow-import-from-derivation",
    "false",
    "--option",
    "accept-flake-config",
];

/// Most of what Nix complains that is kept, in bytes, and of that what is told, in columns.
const MAX_SAID: u64 = 64 << 10;
const TOLD: usize = 600;

/// How many names of a revision are told, and how many characters of a revision.
const FEW: usize = 5;
const REVISION: usize = 12;

/// Names cannot be resolved.
#[derive(Debug, thiserror::Error)]
enum ResolveError {
    #[error("`{package}` is a name, and nobody is here who knows its store path: {reason}")]
    NoNix { package: String, reason: String, printed: String, config: Shown },
    #[error("`nix {words}` failed: {said}")]
    Nix { words: &'static str, said: Shown },
    #[error("what `nix {words}` prints cannot be read")]
    Answer { words: &'static str, source: AnswerError },
    #[error("cannot read the resolution file `{}`", .file.display())]
    File { file: PathBuf, source: OpenError },
    #[error("the resolution file `{}` cannot be read", .file.display())]
    Content { file: PathBuf, source: AnswerError, printed: String },
    #[error(transparent)]
    Own(#[from] OwnError),
    #[error("no root of this project is the name of a package: there is nothing that Nix is asked")]
    NoNames,
    #[error("{by} has nothing for `{package}` on {system}{}", others(.systems))]
    Nothing { by: By, package: String, system: String, systems: Vec<String>, printed: String },
    #[error("the flake `{flake}` has no package `{name}` for {system}")]
    Missing { flake: Flake, name: String, system: String },
    #[error("`{package}` is no package for {system}")]
    Other { package: String, system: String },
    #[error("`{package}` is unfree, and Nix does not evaluate it")]
    Unfree { package: String },
    #[error("Nix refuses to evaluate `{package}` for {system}")]
    Failed { package: String, system: String },
    #[error("`{package}` has no output `{output}`; it has {known}")]
    Output { package: String, output: String, known: String },
}

fn others(systems: &[String]) -> String {
    if systems.is_empty() { String::new() } else { format!("; it has it for {}", systems.join(", ")) }
}

impl Diagnose for ResolveError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Own(error) => Diagnosis::Inner(error),
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::NoNix { printed, config, .. } => format!(
                "install Nix, or take another machine's answer: what `{printed}` prints makes a file there, which `resolution` names in the \
                 manifest's `[nix]`, or for all projects in that of `{config}`; a store path needs neither"
            ),
            Self::Nothing { by: By::Machine(_), printed, .. } => format!(
                "that file answers for all projects: name one of this project in `resolution` of the manifest's `[nix]`, or make it again \
                 with all names and systems, by what `{printed}` prints"
            ),
            Self::Content { printed, .. } | Self::Nothing { printed, .. } => {
                format!("make the file again with all names and systems, by what `{printed}` prints")
            }
            Self::Unfree { .. } => {
                "no public cache has it: build it where such packages are allowed, copy it to a cache of your own, and name its store path \
                 (`docs/nix.md`, \"Unfree packages\")"
                    .into()
            }
            Self::Missing { name, .. } => format!("`nix search` finds packages; `{name}` may have another name, or none for this system"),
            Self::Failed { package, .. } => format!("`nix eval '{package}.outPath'` says why"),
            _ => return None,
        })
    }
}

/// Who answers.
#[derive(Clone, Debug)]
enum By {
    /// A file of the project.
    File(PathBuf),
    /// One of this machine's user.
    Machine(PathBuf),
    Nix,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) | Self::Machine(file) => write!(f, "the resolution file `{}`", file.display()),
            Self::Nix => write!(f, "what Nix answers"),
        }
    }
}

/// What prints the command that makes the file of a project elsewhere.
fn printed(project: &Project) -> String {
    match &project.preset {
        Some(preset) => format!("pinfold lock --preset {} --resolution-command", text::word(&preset.name)),
        None => "pinfold lock --resolution-command".to_owned(),
    }
}

/// What is known of names.
#[derive(Debug)]
pub(super) struct Names {
    said: Resolution,
    by: By,
    printed: String,
}

impl Names {
    /// Asks for all names that the lock does not answer: a file, or this machine's Nix.
    pub(super) fn of(
        asking: &Asking<'_>,
        roots: &[&Root],
        old: &dyn Fn(&Root, Platform) -> bool,
    ) -> Result<Self, SourceError> {
        let Remotes { context, project, .. } = asking.remotes;
        let wanted = &project.manifest.sources.nix;
        let printed = printed(project);
        let content = |file: &Path, source| {
            SourceError::of(ResolveError::Content { file: file.to_owned(), source, printed: printed.clone() })
        };
        if let Some((file, read)) = wanted.resolution.as_ref().zip(project.inputs.resolution()) {
            let read = read.map_err(|error| {
                SourceError::of(ResolveError::File { file: file.clone(), source: error.clone() })
            })?;
            let said = Resolution::parse(&read.bytes).map_err(|source| content(file, source))?;
            return Ok(Self { said, by: By::File(file.clone()), printed });
        }
        let mut flakes: BTreeMap<&Flake, BTreeSet<&str>> = BTreeMap::new();
        for (root, package) in roots.iter().filter_map(|root| Some((root, root.package()?))) {
            if project.manifest.platforms.iter().any(|platform| !old(root, *platform)) {
                flakes.entry(&package.flake).or_default().insert(&package.name);
            }
        }
        let mut said = Resolution::default();
        let Some((flake, names)) = flakes.first_key_value() else {
            return Ok(Self { said, by: By::Nix, printed });
        };
        if let Some(file) = &context.settings().map_err(SourceError::of)?.resolution {
            let bytes = read_own(file, flake::MAX_ANSWER)
                .map_err(|error| SourceError::of(ResolveError::Own(error)))?;
            let said = Resolution::parse(&bytes).map_err(|source| content(file, source))?;
            let note = format!("note: `{}` says which store paths names are", Shown::from(file.as_path()));
            context.reporter.note(&note);
            return Ok(Self { said, by: By::Machine(file.clone()), printed });
        }
        let first = names.first().map(|name| format!("{flake}#{name}")).unwrap_or_default();
        let nix = Nix::find(asking.remotes, first)?;
        context.reporter.note("note: `nix` is asked for the store paths of names");
        let systems: Vec<String> = project.manifest.platforms.iter().copied().map(locked::system).collect();
        for (flake, names) in &flakes {
            said.extend(nix.evaluate(flake, &systems, names)?);
        }
        Ok(Self { said, by: By::Nix, printed })
    }

    /// Whether a file answers, which is asked always.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.by, By::File(_))
    }

    /// The outputs of a package that are meant on a platform.
    pub(super) fn roots(
        &self,
        root: &Root,
        package: &Package,
        platform: Platform,
    ) -> Result<Vec<LockedRoot>, SourceError> {
        let system = locked::system(platform);
        let refused = |error| Err(SourceError::of(error));
        let attribute = || package.attribute();
        let (found, revision) = match self.said.of(package, &system) {
            Said::Found(found, revision) => (found, revision),
            Said::Refused(Refused::Missing) => {
                return refused(ResolveError::Missing {
                    flake: package.flake.clone(),
                    name: package.name.clone(),
                    system,
                });
            }
            Said::Refused(Refused::Other) => {
                return refused(ResolveError::Other { package: attribute(), system });
            }
            Said::Refused(Refused::Unfree) => return refused(ResolveError::Unfree { package: attribute() }),
            Said::Refused(Refused::Failed) => {
                return refused(ResolveError::Failed { package: attribute(), system });
            }
            Said::Nothing(systems) => {
                let (by, printed) = (self.by.clone(), self.printed.clone());
                let systems = systems.into_iter().map(|system| Shown::from(system).to_string()).collect();
                return refused(ResolveError::Nothing { by, package: attribute(), system, systems, printed });
            }
        };
        let wanted: Vec<&String> = match &package.outputs {
            Outputs::Default => found.default.iter().collect(),
            Outputs::All => found.outputs.keys().collect(),
            Outputs::Named(list) => list.iter().collect(),
        };
        let root = |(index, output): (usize, &String)| {
            let path = found.outputs.get(output).ok_or_else(|| {
                let known: Vec<String> =
                    found.outputs.keys().map(|known| format!("`{}`", Shown::from(known))).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let output = Shown::from(output).to_string();
                SourceError::of(ResolveError::Output { package: attribute(), output, known })
            })?;
            Ok(LockedRoot {
                name: named(root, index, output),
                agent: root.agent.clone(),
                attribute: Some(package.to_string()),
                system: system.clone(),
                revision: revision.map(str::to_owned),
                output: Some(output.clone()),
                path: path.0.clone(),
            })
        };
        wanted.into_iter().enumerate().map(root).collect()
    }
}

/// The command that makes a resolution file for a project where Nix is, for the words of a shell.
pub(super) fn command(project: &Project) -> Result<String, SourceError> {
    let roots = &project.manifest.sources.nix.roots;
    let mut flakes: BTreeMap<&Flake, BTreeSet<&str>> = BTreeMap::new();
    for package in roots.iter().filter_map(Root::package) {
        flakes.entry(&package.flake).or_default().insert(&package.name);
    }
    if flakes.is_empty() {
        return Err(SourceError::of(ResolveError::NoNames));
    }
    let systems: Vec<String> = project.manifest.platforms.iter().copied().map(locked::system).collect();
    let each = flakes.iter().map(|(flake, names)| {
        let address = match flake {
            Flake::Directory(directory) => {
                let directory = project.manifest.directory.join(directory);
                format!("path:{}", std::path::absolute(&directory).unwrap_or(directory).display())
            }
            Flake::Registered(_) | Flake::Remote(_) => flake.as_str().to_owned(),
        };
        flake::expression(flake, &address, &systems, names)
    });
    let each: Vec<String> = each.collect();
    // One line is copied more easily; it has neither comments nor texts of several lines.
    let expression = each.join(" // ").lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Ok(format!(
        "nix --extra-experimental-features 'nix-command flakes' eval --impure --json --expr {} > nix.json",
        text::word(&expression)
    ))
}

/// A root that is a store path.
pub(super) fn given(root: &Root, path: &StorePath, platform: Platform) -> LockedRoot {
    LockedRoot {
        name: root.name.clone(),
        agent: root.agent.clone(),
        attribute: None,
        system: locked::system(platform),
        revision: None,
        output: None,
        path: path.clone(),
    }
}

/// The `nix` of this machine. It is found and run as the program of a key is.
struct Nix<'a> {
    held: HeldCommand,
    remotes: &'a Remotes<'a>,
}

impl<'a> Nix<'a> {
    fn find(remotes: &'a Remotes<'a>, package: String) -> Result<Self, SourceError> {
        let around = remotes.context.surroundings(&remotes.project.manifest.directory, "the project");
        let held = HeldCommand::find(&["nix".to_owned()], &around);
        let held = held.map_err(|error| {
            let reason = match error {
                CredentialError::NoProgram { .. } => "there is no `nix` on PATH".to_owned(),
                other => other.to_string(),
            };
            let config = remotes.context.config_folder().map(|folder| Shown::from(&*folder.join(FILE_NAME)));
            let config = config.unwrap_or_else(|| Shown::from(FILE_NAME));
            let printed = printed(remotes.project);
            SourceError::of(ResolveError::NoNix { package, reason, printed, config })
        })?;
        Ok(Self { held, remotes })
    }

    /// What names of a flake are, as it is now.
    fn evaluate(
        &self,
        flake: &Flake,
        systems: &[String],
        names: &BTreeSet<&str>,
    ) -> Result<Resolution, SourceError> {
        const METADATA: &str = "flake metadata";
        const EVAL: &str = "eval";
        /// What counts of its answer: where exactly the flake is, with the hash of its files.
        #[derive(Deserialize)]
        struct Metadata {
            url: String,
        }
        let at = self.address(flake)?;
        let words = ["flake", "metadata", "--json", "--no-write-lock-file", &at];
        let answer = self.run(METADATA, &words)?;
        let cannot =
            |words| move |source: AnswerError| SourceError::of(ResolveError::Answer { words, source });
        let metadata: Metadata =
            serde_json::from_slice(&answer).map_err(|error| cannot(METADATA)(error.into()))?;
        let expression = flake::expression(flake, &metadata.url, systems, names);
        let answer = self.run(EVAL, &["eval", "--json", "--expr", &expression])?;
        Resolution::parse(&answer).map_err(cannot(EVAL))
    }

    /// The flake as Nix is told. A directory goes by its real path and as `path:`, since for a repository Nix would run git in it,
    /// which obeys what is configured there.
    fn address(&self, flake: &Flake) -> Result<String, SourceError> {
        let Flake::Directory(directory) = flake else { return Ok(flake.as_str().to_owned()) };
        let directory = self.remotes.project.manifest.directory.join(directory);
        let unread = |said: &dyn std::fmt::Display| {
            let said = Shown::from(format!("{}: {said}", directory.display()));
            SourceError::of(ResolveError::Nix { words: "flake metadata", said })
        };
        let real = fs::canonicalize(&directory).map_err(|error| unread(&error))?;
        let url = SafeUrl::from_path(Path::new(&real)).map_err(|error| unread(&error))?;
        let url = url.expose().expose().to_owned();
        Ok(format!("path:{}", url.strip_prefix("file://").unwrap_or(&url)))
    }

    fn run(&self, what: &'static str, words: &[&str]) -> Result<Vec<u8>, SourceError> {
        let failed = |said: &dyn std::fmt::Display| {
            SourceError::of(ResolveError::Nix {
                words: what,
                said: Shown::from(said.to_string()).within(TOLD),
            })
        };
        let environment = &self.remotes.context.environment;
        let variables = environment.all().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut command = self.held.command(variables).map_err(|error| failed(&error))?;
        command.args(words).args(SETTINGS).arg("false").current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (answer, said) = std::thread::scope(|scope| {
            let said = scope.spawn(|| stderr.map(|stderr| all(stderr, MAX_SAID)).unwrap_or_default());
            let answer = stdout.map(|stdout| all(stdout, flake::MAX_ANSWER + 1)).unwrap_or_default();
            (answer, said.join().unwrap_or_default())
        });
        let status = child.wait().map_err(|error| failed(&error))?;
        if status.success() {
            return Ok(answer);
        }
        let said = String::from_utf8_lossy(&said);
        // Its last words are the reason; what comes before is the way there.
        let reason = said.rfind("error: ").map_or(&*said, |at| &said[at..]).trim();
        Err(failed(&if reason.is_empty() { status.to_string() } else { reason.to_owned() }))
    }
}

/// All that comes, of which so much is kept.
fn all(mut from: impl Read, most: u64) -> Vec<u8> {
    let mut kept = Vec::new();
    // What cannot be read is missing in the answer, which then is none.
    let _ = from.by_ref().take(most).read_to_end(&mut kept);
    let _ = io::copy(&mut from, &mut io::sink());
    kept
}

/// What an output is called, where the manifest calls the root something: the first so, the others as they are told from it.
fn named(root: &Root, index: usize, output: &str) -> Option<String> {
    root.name.as_ref().map(|name| if index == 0 { name.clone() } else { format!("{name}-{output}") })
}

/// What was locked of a package, as the manifest calls it now.
pub(super) fn renamed(root: &Root, old: Vec<LockedRoot>) -> impl Iterator<Item = LockedRoot> {
    old.into_iter().enumerate().map(|(index, old)| {
        let name = named(root, index, old.output.as_deref().unwrap_or_default());
        LockedRoot { name, ..old }
    })
}

/// What the lock says already of a package, each output once: two roots may be of one.
pub(super) fn known<'a>(roots: &'a [LockedRoot], wanted: &Root) -> impl Iterator<Item = &'a LockedRoot> {
    let text = wanted.package().map(Package::to_string);
    let agent = wanted.agent.clone();
    let mut outputs = BTreeSet::new();
    let is_it = move |root: &&LockedRoot| {
        root.attribute.is_some()
            && root.attribute == text
            && root.agent == agent
            && outputs.insert(root.output.clone())
    };
    roots.iter().filter(is_it)
}

/// Which names of a flake were locked at which of its revisions, where these are several: each stays what it was, and was asked for
/// at another time.
pub(super) fn apart<'a>(locked: impl IntoIterator<Item = &'a LockedNix>) -> Vec<String> {
    let mut flakes: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for root in locked.into_iter().flat_map(|locked| &locked.roots) {
        let named = root.attribute.as_deref().and_then(|attribute| attribute.split_once('#'));
        if let Some(((flake, name), revision)) = named.zip(root.revision.as_deref()) {
            flakes.entry(flake).or_default().entry(revision).or_default().insert(name);
        }
    }
    let told = |(flake, revisions): (&str, BTreeMap<&str, BTreeSet<&str>>)| {
        let each = revisions.iter().map(|(revision, names)| {
            let mut few: Vec<String> = names.iter().take(FEW).map(|name| format!("`{name}`")).collect();
            if let Some(more) = names.len().checked_sub(FEW).filter(|more| *more > 0) {
                few.push(format!("{more} more"));
            }
            // A file may say anything.
            let revision = Shown::from(revision.chars().take(REVISION).collect::<String>());
            format!("{} at {revision}", few.join(", "))
        });
        format!(
            "names of `{flake}` are locked at several of its revisions, which may be two versions of what they share: {}; \
             `pinfold lock --upgrade` brings them together",
            each.collect::<Vec<_>>().join("; ")
        )
    };
    flakes.into_iter().filter(|(_, revisions)| revisions.len() > 1).map(told).collect()
}

/// Names of roots on a platform, each once: what the garbage collector's link to it is called.
pub(super) fn titles(roots: &[LockedRoot]) -> BTreeMap<&str, &StorePath> {
    let mut titles: BTreeMap<&str, &StorePath> = BTreeMap::new();
    for root in roots {
        let title = root.name.as_deref().unwrap_or_else(|| root.path.name());
        let title = match titles.get(title) {
            Some(other) if **other != root.path => root.path.base_name(),
            _ => title,
        };
        titles.insert(title, &root.path);
    }
    titles
}

#[cfg(test)]
mod tests;
