//! A project: a manifest, its recipes, and where its lock is.
//!
//! **Guarantees**: manifest, recipes and everything else that is read of the project's directory is opened once, by the
//! directory's descriptor ([`folder`], [`inputs`]). What the user is asked about, what is locked, built and run is this one
//! reading, whatever happens to the names meanwhile.
//!
//! Without a `pinfold.toml`, a preset is a project too; its lock remembers the preset, so that the next `pinfold build` in
//! the same directory knows what is meant.

pub mod folder;
pub mod inputs;
pub mod lock;
pub mod manifest;
pub mod recipe;
pub mod upward;

use std::io;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;

use self::folder::Folder;
use self::folder::OpenError;
use self::folder::Opened;
use self::inputs::Inputs;
use self::lock::Lock;
use self::lock::v1::LockedPreset;
use self::manifest::Manifest;
use self::manifest::ManifestError;
use self::manifest::environment::Under;
use self::manifest::environment::environment;
use self::manifest::file::AgentRequest;
use self::recipe::NamedBy;
use self::recipe::Recipe;
use self::recipe::RecipeError;
use self::upward::NotYours;
use crate::sources;
use crate::sources::nix::set;

/// What a verb works on.
#[derive(Clone, Debug)]
pub struct Project {
    /// The manifest's meaning.
    pub manifest: Manifest,
    /// The recipes it asks for, with those they need, each once: needed ones first, then in the manifest's order.
    pub recipes: Vec<Recipe>,
    /// What else was opened with them.
    pub inputs: Inputs,
    /// Where the lock is or will be.
    pub lock_file: PathBuf,
    /// The manifest's file.
    pub file: Option<Named>,
    /// The preset, when there is no manifest file.
    pub preset: Option<LockedPreset>,
}

/// A manifest's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// As it was named.
    pub file: PathBuf,
    /// Where it lies, when a link leads out of its directory.
    pub outside: Option<PathBuf>,
}

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Its manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// One of its recipes.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// A manifest above may be another user's.
    #[error(transparent)]
    NotYours(#[from] NotYours),
    /// Something beside the manifest is no file.
    #[error("cannot read the project")]
    Open(#[from] OpenError),
}

impl Diagnose for ProjectError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Manifest(error) => Diagnosis::Inner(error),
            Self::Recipe(error) => Diagnosis::Inner(error),
            Self::NotYours(error) => Diagnosis::Inner(error),
            Self::Open(_) => Diagnosis::Own(Kind::Usage),
        }
    }
}

/// The name of the folder, below the data folder's `projects`, that has the lock of a preset with these agents, and the agents as
/// they are named from there. Recipes of the user's own are called by their real path: another of the same name, which an agent
/// may have written, does not decide the versions of a built-in one.
pub(crate) fn kept_apart(
    preset: &str,
    suite: Option<&str>,
    agents: &[String],
    directory: &Path,
) -> std::io::Result<(String, Vec<String>)> {
    let mut folder = preset.to_owned();
    if let Some(suite) = suite {
        folder += &format!("-{}", Digest::sha256(suite.as_bytes()).short());
    }
    let mut named = Vec::new();
    for agent in agents {
        if recipe::is_path(agent) {
            let path = std::path::absolute(directory.join(agent))?;
            let real = fs_err::canonicalize(&path).unwrap_or_else(|_| path.clone());
            folder += &format!("-{}", Digest::sha256(real.as_os_str().as_encoded_bytes()).short());
            named.push(path.display().to_string());
        } else {
            folder += &format!("-{agent}");
            named.push(agent.clone());
        }
    }
    Ok((folder, named))
}

impl Project {
    fn new(
        folder: Folder,
        manifest: Manifest,
        lock_file: PathBuf,
        file: Option<Named>,
        preset: Option<LockedPreset>,
    ) -> Result<Self, ProjectError> {
        let recipes = recipe::recipes(&manifest, &folder, NamedBy::Project)?;
        let under = if manifest.sources.base.is_some() { Under::Unread } else { Under::Nothing };
        environment(&manifest.image.env, &recipes, &under, &sources::folders(&manifest.sources))?;
        manifest::credentials::check(&manifest.run, &recipes)?;
        sources::nix::check(&manifest.sources.nix, &recipes)?;
        let inputs = Inputs::open(folder, &manifest, &lock_file)?;
        Ok(Self { manifest, recipes, inputs, lock_file, file, preset })
    }

    /// The project of a manifest file.
    pub fn from_file(file: &Path) -> Result<Self, ProjectError> {
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let missing = |error: OpenError| match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::NotFound => {
                ManifestError::NoFile { file: file.to_owned() }
            }
            error => ManifestError::Read(error),
        };
        let folder = Folder::open(directory).map_err(missing)?;
        let opened = folder.file(file.file_name().unwrap_or_default().as_ref()).map_err(missing)?;
        Self::from_opened(folder, file, directory, &opened)
    }

    fn from_opened(
        folder: Folder,
        file: &Path,
        directory: &Path,
        opened: &Opened,
    ) -> Result<Self, ProjectError> {
        let text = match opened.bytes(manifest::file::MAX_SIZE) {
            Err(OpenError::TooLong { .. }) => return Err(manifest::file::too_long().into()),
            bytes => String::from_utf8(bytes.map_err(unreadable)?).map_err(|error| {
                ManifestError::Read(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
            })?,
        };
        let read = |name: &Path| profile(&folder, name);
        let manifest = Manifest::parse_with(&text, file, directory, &read)?;
        let name = if file.file_name().is_some_and(|name| name == manifest::FILE_NAME) {
            lock::FILE_NAME.into()
        } else {
            // Several manifests in one directory must not share a lock.
            file.with_extension("lock").file_name().map_or_else(|| lock::FILE_NAME.into(), PathBuf::from)
        };
        let named = Named { file: file.to_owned(), outside: opened.outside().map(Path::to_owned) };
        Self::new(folder, manifest, directory.join(name), Some(named), None)
    }

    /// A built-in manifest, with its lock in `directory`; on another suite of Debian where one is named.
    pub fn from_preset(directory: &Path, name: &str, suite: Option<&str>) -> Result<Self, ProjectError> {
        let preset =
            LockedPreset { name: name.to_owned(), suite: suite.map(str::to_owned), agents: Vec::new() };
        let folder = Folder::open(directory)?;
        Self::new(
            folder,
            Manifest::preset(name, suite, directory)?,
            directory.join(lock::FILE_NAME),
            None,
            Some(preset),
        )
    }

    /// The project of `directory`, or of one above it ([`upward`]).
    pub fn found(directory: &Path, home: Option<&Path>) -> Result<Self, ProjectError> {
        Self::discover(&upward::find(directory, home)?.unwrap_or_else(|| directory.to_owned()))
    }

    /// A built-in manifest as seen from `directory`, with other agents where some are named. Its lock lies there, where it says
    /// what the directory means; in a project it lies below `data` instead, and nothing of the project is part of it.
    pub fn of_preset(
        data: &Path,
        directory: &Path,
        home: Option<&Path>,
        (name, suite): (&str, Option<&str>),
        agents: &[String],
    ) -> Result<Self, ProjectError> {
        let of_nobody = |file: &Path| matches!(Lock::load(file), Ok(Some(Lock { preset: None, .. })));
        if !matches!(upward::find(directory, home), Ok(None)) || of_nobody(&directory.join(lock::FILE_NAME)) {
            let (folder, named) = kept_apart(name, suite, agents, directory).map_err(ManifestError::Read)?;
            manifest::Manifest::preset(name, suite, directory)?;
            let folder = preset_folder(data, &folder).map_err(ManifestError::Read)?;
            return Self::from_preset(&folder, name, suite)?.with_agents(&named);
        }
        Self::from_preset(directory, name, suite)?.with_agents(agents)
    }

    /// The project of `directory`: its `pinfold.toml`, else the preset its lock remembers.
    pub fn discover(directory: &Path) -> Result<Self, ProjectError> {
        let folder = Folder::open(directory)?;
        let file = directory.join(manifest::FILE_NAME);
        if let Some(opened) = folder.find(manifest::FILE_NAME.as_ref()).map_err(unreadable)? {
            return Self::from_opened(folder, &file, directory, &opened);
        }
        let lock_file = directory.join(lock::FILE_NAME);
        let opened = folder.find(lock::FILE_NAME.as_ref())?;
        match opened.map(|opened| Lock::read(&opened, &lock_file)).transpose() {
            Ok(Some(Lock { preset: Some(preset), .. })) => {
                // What is locked is read anew with the preset: it is asked about and used as it is then.
                Self::from_preset(directory, &preset.name, preset.suite.as_deref())?
                    .with(&preset.agents, NamedBy::Project)
            }
            Err(error) => Err(ManifestError::Lock(Box::new(error)).into()),
            Ok(_) => Err(ManifestError::Missing {
                directory: std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()),
            }
            .into()),
        }
    }

    /// The same project with other agents, as the user names them. The lock of a manifest file is then kept apart from the
    /// manifest's own.
    pub fn with_agents(self, agents: &[String]) -> Result<Self, ProjectError> {
        self.with(agents, NamedBy::User)
    }

    fn with(mut self, agents: &[String], named_by: NamedBy) -> Result<Self, ProjectError> {
        if agents.is_empty() {
            return Ok(self);
        }
        self.choose(agents)?;
        self.recipes = recipe::recipes(&self.manifest, self.inputs.folder(), named_by)?;
        Ok(self.renamed(agents))
    }

    /// The same project with one agent, whose recipe was read already and is called `name` in the lock.
    pub(crate) fn with_recipe(mut self, name: &str, recipe: Recipe) -> Result<Self, ProjectError> {
        let agents = [name.to_owned()];
        self.choose(&agents)?;
        self.recipes = recipe::with_needed(recipe, self.inputs.folder())?;
        Ok(self.renamed(&agents))
    }

    fn choose(&mut self, agents: &[String]) -> Result<(), ProjectError> {
        match &mut self.preset {
            Some(preset) => preset.agents = agents.to_vec(),
            None => {
                return Err(ManifestError::value(
                    "agents",
                    "`--agent` goes with a preset; in a manifest, edit the key `agents`",
                )
                .into());
            }
        }
        self.manifest.sources.agents = agents.iter().cloned().map(AgentRequest::Name).collect();
        Ok(())
    }

    /// `solo` names its image after the agent, so that images of different agents do not replace each other.
    fn renamed(mut self, agents: &[String]) -> Self {
        if self.manifest.name == "solo"
            && let [agent] = agents
            && !agent.contains('/')
        {
            self.manifest.name = format!("solo-{agent}");
        }
        self
    }

    /// Where the lock is written: in the directory that was opened, whatever has its name by now.
    pub(crate) fn lock_place(&self) -> PathBuf {
        self.inputs.folder().place_of(self.lock_file.file_name().unwrap_or_default().as_ref())
    }
}

/// The text of a profile that a manifest names: one that lies in the project, so that nobody has to be asked for it.
fn profile(folder: &Folder, name: &Path) -> Result<String, ManifestError> {
    let wrong = |message: String| ManifestError::value("nix.profile", message);
    let opened = folder.file(name).map_err(unreadable)?;
    if opened.outside().is_some() {
        return Err(wrong(format!("`{}` lies outside of the project: copy it there", name.display())));
    }
    let bytes = opened.bytes(set::MAX_SIZE).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| wrong(format!("`{}` is no text", name.display())))
}

/// Where the lock of a preset lies that is used where no project is, or in one that is not its own.
pub(crate) fn preset_folder(data: &Path, name: &str) -> std::io::Result<PathBuf> {
    let folder = data.join("projects").join(name);
    fs_err::create_dir_all(&folder)?;
    Ok(folder)
}

fn unreadable(error: OpenError) -> ManifestError {
    ManifestError::Read(error.into())
}

#[cfg(test)]
mod tests;
