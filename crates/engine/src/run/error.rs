//! Why nothing is run.

use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::error::Diagnosis;
use pinfold_image::ImageError;
use pinfold_image::unpack::UnpackError;
use pinfold_network::CredentialError;

use crate::build::BuildError;
use crate::consent::ConsentError;
use crate::project::ProjectError;
use crate::project::manifest::ManifestError;
use crate::project::recipe::RecipeError;

/// Why nothing is run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The image.
    #[error(transparent)]
    Build(#[from] Box<BuildError>),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The project.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The image store.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Unpacking.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] pinfold_sandbox::SandboxError),
    /// The agent is not in the image.
    #[error("the image `{image}` has no agent `{agent}`")]
    NoAgent {
        /// The image.
        image: String,
        /// The agent.
        agent: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// What an image says about its sandboxes is not of this version, or no JSON.
    #[error("the label `{}` of the image `{image}` is not understood: {message}", super::declared::LABEL)]
    Label {
        /// The image.
        image: Shown,
        /// What is wrong.
        message: Shown,
    },
    /// The image is for other processors.
    #[error("the image `{image}` is for {}, and {host} is needed", list(.has))]
    Architecture {
        /// The image.
        image: String,
        /// Its platforms.
        has: Vec<Platform>,
        /// This machine's, or the one that was named.
        host: Platform,
    },
    /// Nothing to run was said.
    #[error("nothing to run: name an agent, or a command after `--`")]
    Nothing,
    /// This machine's platform is not one of an image's.
    #[error("images for this machine's processor cannot be built")]
    Platform,
    /// A workspace that would hand over too much, or cannot be worked on.
    #[error("`{}` cannot be the workspace: {reason}", .path.display())]
    Workspace {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A mount of what is kept apart from sandboxes.
    #[error("`{}` cannot be mounted: {reason}", .path.display())]
    Mount {
        /// What was named.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// The session of this name is another workspace's.
    #[error("the session `{name}` belongs to the workspace `{workspace}`")]
    OtherWorkspace {
        /// The session.
        name: String,
        /// Its workspace.
        workspace: String,
    },
    /// A name to leave unprotected that is no protected one.
    #[error("`{name}` is not protected")]
    Unprotected {
        /// What was named.
        name: String,
        /// What is protected.
        known: Vec<String>,
    },
    /// More linked worktrees than can be looked after.
    #[error("`{}` has too many entries", .0.display())]
    Worktrees(PathBuf),
    /// A variable that is to be passed in is not set.
    #[error("the variable `{0}` is to be passed in, but is not set")]
    Variable(String),
    /// A route of a recipe is wrong.
    #[error("route of recipe `{recipe}`: {reason}")]
    Route {
        /// The recipe.
        recipe: String,
        /// What is wrong.
        reason: String,
    },
    /// A key cannot be had, or may not be had from there.
    #[error("the key for {whose} cannot be used")]
    Key {
        /// The agent or one of its providers, and who named the key.
        whose: String,
        /// Why.
        source: CredentialError,
    },
    /// A key was named for a provider that the agent does not have.
    #[error("no provider `{provider}` to use a key for")]
    Provider {
        /// What was named.
        provider: String,
        /// The agent, if there is one.
        agent: Option<String>,
        /// Its providers.
        known: Vec<String>,
    },
    /// What the project or the image asks for was not agreed to.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// The mirror mode without a home directory.
    #[error("`--mode mirror` shows the home directory, and HOME is not set")]
    NoHome,
    /// The store.
    #[error(transparent)]
    Store(#[from] pinfold_base::store::StoreError),
    /// A file of the run cannot be written.
    #[error("cannot prepare the run")]
    Io(#[from] std::io::Error),
}

fn list(platforms: &[Platform]) -> String {
    platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}

impl From<BuildError> for RunError {
    fn from(error: BuildError) -> Self {
        Self::Build(Box::new(error))
    }
}

impl Diagnose for RunError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Build(error) => Diagnosis::Inner(&**error),
            Self::Manifest(error) => Diagnosis::Inner(error),
            Self::Project(error) => Diagnosis::Inner(error),
            Self::Recipe(error) => Diagnosis::Inner(error),
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Unpack(error) => Diagnosis::Inner(error),
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Sandbox(error) => Diagnosis::Inner(error),
            Self::Consent(error) => Diagnosis::Inner(error),
            Self::Key { source, .. } => Diagnosis::Inner(source),
            Self::Io(error) => Diagnosis::Inner(error),
            Self::Platform | Self::Architecture { .. } => Diagnosis::Own(Kind::System),
            Self::Workspace { .. } | Self::Mount { .. } => Diagnosis::Own(Kind::Refused),
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::NoAgent { known, .. } if known.is_empty() => {
                Some("it has none; run a command with `--`, or build an image with `agents = […]`".into())
            }
            Self::NoAgent { known, .. } => Some(format!(
                "it has {}; or add the agent to `agents` in the manifest and build again",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )),
            Self::Architecture { host, .. } => Some(format!(
                "build it for {host} too (`platforms` in the manifest), or install qemu-user-static, which registers itself \
                 with binfmt_misc, and name the platform with `--platform`"
            )),
            Self::Provider { agent: None, .. } => {
                Some("`--key` is for an agent's key, and none was named".into())
            }
            Self::Provider { agent: Some(agent), known, .. } if known.is_empty() => {
                Some(format!("{agent} has no provider whose key could be added"))
            }
            Self::Provider { agent: Some(agent), known, .. } => Some(format!(
                "{agent} knows {}; write `--key PROVIDER=SOURCE`, or `AGENT/PROVIDER` in `run.credentials`",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )),
            Self::Label { .. } => Some(
                "build the image again from its project with this version of pinfold, or use the version that built it".into(),
            ),
            Self::Nothing => Some("`pinfold run claude-code`, or `pinfold run -- bash`".into()),
            Self::Workspace { .. } => {
                Some("change into a project's directory, or name one with `--workspace`".into())
            }
            Self::Mount { .. } => Some(
                "mount the directories in it that the agent needs, each by its own path; a sandbox that writes there would \
                 give the user's word by itself"
                    .into(),
            ),
            Self::Unprotected { known, .. } => Some(format!(
                "protected here are {}",
                known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            )),
            Self::Worktrees(_) => Some("`git worktree prune` removes those that are gone".into()),
            Self::OtherWorkspace { .. } => {
                Some("choose another name, AGENT@NAME, or remove that session with `pinfold rm`".into())
            }
            _ => None,
        }
    }
}
