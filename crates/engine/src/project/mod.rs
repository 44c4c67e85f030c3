//! A project: a manifest, its recipes, and where its lock is.
//!
//! **Guarantees**: manifest and recipes are read from disk once. What the user is asked about, what is locked, built and run
//! is this one reading, whatever happens to the files meanwhile.
//!
//! Without a `pinfold.toml`, a preset is a project too; its lock remembers the preset, so that the next `pinfold build` in
//! the same directory knows what is meant.

pub mod lock;
pub mod manifest;
pub mod recipe;

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;

use self::lock::Lock;
use self::lock::v1::LockedPreset;
use self::manifest::Manifest;
use self::manifest::ManifestError;
use self::manifest::file::AgentRequest;
use self::recipe::Recipe;
use self::recipe::RecipeError;

/// What a verb works on.
#[derive(Clone, Debug)]
pub struct Project {
    /// The manifest's meaning.
    pub manifest: Manifest,
    /// The recipes it asks for, with those they need, each once: needed ones first, then in the manifest's order.
    pub recipes: Vec<Recipe>,
    /// Where the lock is or will be.
    pub lock_file: PathBuf,
    /// The manifest's file, as it was named.
    pub file: Option<PathBuf>,
    /// The preset, when there is no manifest file.
    pub preset: Option<LockedPreset>,
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
}

impl Diagnose for ProjectError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Inner(match self {
            Self::Manifest(error) => error,
            Self::Recipe(error) => error,
        })
    }
}

impl Project {
    fn new(
        manifest: Manifest,
        lock_file: PathBuf,
        file: Option<PathBuf>,
        preset: Option<LockedPreset>,
    ) -> Result<Self, ProjectError> {
        let recipes = recipe::recipes(&manifest)?;
        Ok(Self { manifest, recipes, lock_file, file, preset })
    }

    /// The project of a manifest file.
    pub fn from_file(file: &Path) -> Result<Self, ProjectError> {
        let text = fs::read_to_string(file).map_err(ManifestError::Read)?;
        let directory = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let manifest = Manifest::parse(&text, file, directory)?;
        let name = if file.file_name().is_some_and(|name| name == manifest::FILE_NAME) {
            lock::FILE_NAME.into()
        } else {
            // Several manifests in one directory must not share a lock.
            file.with_extension("lock").file_name().map_or_else(|| lock::FILE_NAME.into(), PathBuf::from)
        };
        Self::new(manifest, directory.join(name), Some(file.to_owned()), None)
    }

    /// A built-in manifest, with its lock in `directory`.
    pub fn from_preset(directory: &Path, name: &str) -> Result<Self, ProjectError> {
        let preset = LockedPreset { name: name.to_owned(), agents: Vec::new() };
        Self::new(Manifest::preset(name, directory)?, directory.join(lock::FILE_NAME), None, Some(preset))
    }

    /// The project of `directory`: its `pinfold.toml`, else the preset its lock remembers.
    pub fn discover(directory: &Path) -> Result<Self, ProjectError> {
        let file = directory.join(manifest::FILE_NAME);
        if file.exists() {
            return Self::from_file(&file);
        }
        match Lock::load(&directory.join(lock::FILE_NAME)) {
            Ok(Some(Lock { preset: Some(preset), .. })) => {
                Self::from_preset(directory, &preset.name)?.with_agents(&preset.agents)
            }
            Err(error) => Err(ManifestError::Lock(Box::new(error)).into()),
            Ok(_) => Err(ManifestError::Missing {
                directory: std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()),
            }
            .into()),
        }
    }

    /// The same project with other agents. The lock of a manifest file is then kept apart from the manifest's own.
    pub fn with_agents(mut self, agents: &[String]) -> Result<Self, ProjectError> {
        if agents.is_empty() {
            return Ok(self);
        }
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
        self.recipes = recipe::recipes(&self.manifest)?;
        // `solo` names its image after the agent, so that images of different agents do not replace each other.
        if self.manifest.name == "solo"
            && let [agent] = agents
            && !agent.contains('/')
        {
            self.manifest.name = format!("solo-{agent}");
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
