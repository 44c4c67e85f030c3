//! Why nothing is run.

use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::error::Diagnosis;
use pinfold_base::error::one_line;
use pinfold_base::shown;
use pinfold_base::text::nearest;
use pinfold_base::text::word;
use pinfold_image::ImageError;
use pinfold_image::unpack::UnpackError;
use pinfold_network::CredentialError;
use pinfold_sandbox::Exit;

use super::credentials::BadKey;
use crate::build::BuildError;
use crate::consent;
use crate::consent::ConsentError;
use crate::consent::Told;
use crate::project::ProjectError;
use crate::project::manifest::ManifestError;
use crate::project::recipe::Recipe;
use crate::project::recipe::RecipeError;
use crate::settings::SettingsError;
use crate::ship::ShipError;
use crate::worker::WorkerError;

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
    /// The user's configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The image that was named.
    #[error(transparent)]
    Ship(#[from] ShipError),
    /// Unpacking.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A Nix store that can be written to, of an image without one.
    #[error("the image has no Nix store that could be written to: `/nix/var/nix/db` is missing")]
    NoNixStore,
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
    /// A sealed sandbox asks a model, and what was named is none.
    #[error("the image is sealed, and `{0}` is no model for its worker")]
    NoModel(String),
    /// A sealed worker without a key for its model.
    #[error("there is no key for {title}, and a sealed worker can do nothing without its model")]
    NoKey {
        /// The model.
        title: String,
        /// Variables that would hold one.
        keys: Vec<String>,
    },
    /// A sealed sandbox whose program ended as soon as it was started.
    #[error("`{name}` ended at once, with {exit}{}", if .said.is_empty() { String::new() } else { format!(": {}", Shown::new(.said)) })]
    EndedAtOnce {
        /// The sandbox.
        name: String,
        /// How.
        exit: Exit,
        /// The first line of its errors.
        said: String,
    },
    /// A sealed sandbox with more than it may have.
    #[error("a sealed sandbox reaches its model by a socket and nothing else, and `{0}` asks for more")]
    Sealed(&'static str),
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
    /// A sandbox elsewhere cannot be what was asked for.
    #[error("this sandbox cannot be in a cluster: {0}")]
    Elsewhere(&'static str),
    /// An image that runs as root.
    #[error("the image runs as root, which no pod here is allowed to")]
    Root,
    /// A variable without a value.
    #[error("the variable `{0}` has no value here: what this machine has in it stays here")]
    NoValue(String),
    /// No word of the command is the task.
    #[error("no word of the command has `{{task}}` in it, where each task's text would be")]
    NoTask,
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
    /// A link on the way to what is named, where agents write.
    #[error("`{}` is a link, and lies in `{}`, where an agent can have made it", .link.display(), .place.display())]
    LooseLink {
        /// The link.
        link: PathBuf,
        /// The workspace, former workspace, project or repository that it lies in.
        place: PathBuf,
        /// What it leads to now.
        leads: PathBuf,
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
    /// A part of what is protected as a whole, or another name of it.
    #[error("`{name}` is protected as {}`{by}`", if Path::new(.name).starts_with(.by) { "a part of " } else { "" })]
    PartOf {
        /// What was named.
        name: String,
        /// What it is protected by.
        by: String,
    },
    /// More linked worktrees than can be looked after.
    #[error("`{}` has too many entries", .0.display())]
    Worktrees(PathBuf),
    /// A protected file has other names, and they cannot all be found or kept.
    #[error("`{}` has another name (a hard link), and there is too much around it to find each that could be written to", .0.display())]
    SecondNames(PathBuf),
    /// What may hold such a name cannot be read.
    #[error("cannot look below `{}` for another name of `{}`, which is protected", .below.display(), .path.display())]
    SecondNamesUnread {
        /// The protected file.
        path: PathBuf,
        /// Where its names are looked for.
        below: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
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
    /// Several keys, or one beside what was not agreed to: all of it at once.
    #[error("{} cannot be used:", if .bad.len() == 1 { "a key" } else { "keys" })]
    Keys {
        /// The keys.
        bad: Vec<BadKey>,
        /// What is asked for besides, and was not agreed to.
        asks: Vec<Told>,
    },
    /// The caller's variable with a provider's address holds none. The value may hold a login, and is not shown.
    #[error("the variable `{variable}` does not hold the base address of a provider: {problem}")]
    Gateway {
        /// Its name.
        variable: String,
        /// What is wrong.
        problem: String,
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
    /// A mount of something in the home without one.
    #[error("`{}` is to be mounted, and HOME is not set", .0.display())]
    NoHomeFor(PathBuf),
    /// The mirror mode without a home directory.
    #[error("`--mode mirror` shows the home directory, and HOME is not set")]
    NoHome,
    /// The queues of a sealed sandbox.
    #[error(transparent)]
    Worker(#[from] WorkerError),
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

impl RunError {
    /// Refuses keys that cannot be used, and says what else is asked for.
    pub(super) fn of_keys(mut bad: Vec<BadKey>, asks: Vec<Told>) -> Result<(), Self> {
        match bad.pop() {
            None => Ok(()),
            Some(BadKey { whose, why }) if bad.is_empty() && asks.is_empty() => {
                Err(Self::Key { whose, source: why })
            }
            Some(last) => {
                bad.push(last);
                Err(Self::Keys { bad, asks })
            }
        }
    }
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
            Self::Settings(error) => Diagnosis::Inner(error),
            Self::Ship(error) => Diagnosis::Inner(error),
            Self::Unpack(error) => Diagnosis::Inner(error),
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Worker(error) => Diagnosis::Inner(error),
            Self::Sandbox(error) => Diagnosis::Inner(error),
            Self::Consent(error) => Diagnosis::Inner(error),
            Self::Key { source, .. } => Diagnosis::Inner(source),
            Self::Keys { bad, .. } => {
                let refused = bad.iter().find(|bad| bad.why.kind() == Kind::Refused);
                Diagnosis::Own(refused.or(bad.first()).map_or(Kind::Usage, |bad| bad.why.kind()))
            }
            Self::Io(error) => Diagnosis::Inner(error),
            Self::Platform
            | Self::Architecture { .. }
            | Self::SecondNamesUnread { .. }
            | Self::EndedAtOnce { .. } => Diagnosis::Own(Kind::System),
            Self::Workspace { .. }
            | Self::Mount { .. }
            | Self::LooseLink { .. }
            | Self::SecondNames(_)
            | Self::Root
            | Self::Elsewhere(_)
            | Self::Sealed(_) => Diagnosis::Own(Kind::Refused),
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn lines(&self) -> Vec<Shown> {
        match self {
            Self::Keys { bad, asks } => {
                let keys = bad.iter().map(|BadKey { whose, why }| shown!("  {whose}: {}", one_line(why)));
                let besides = (!asks.is_empty()).then(|| "and this needs your word besides:".into());
                let first = std::iter::once(Shown::of(self));
                first.chain(keys).chain(besides).chain(consent::listed(asks)).collect()
            }
            _ => match self.inner() {
                Some(inner) if inner.to_string() == self.to_string() => inner.lines(),
                _ => vec![Shown::of(self)],
            },
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Keys { bad, asks } => {
                let mut hints: Vec<String> = bad.iter().filter_map(|bad| bad.why.hint()).collect();
                hints.dedup();
                if !asks.is_empty() {
                    hints.push("what needs your word can be agreed to once the keys can be used".into());
                }
                Some(hints.join("; ")).filter(|hint| !hint.is_empty())
            }
            Self::Gateway { variable, .. } => Some(format!(
                "set `{variable}` to `https://host`, `https://host:port/path` or `http://127.0.0.1:port`, or unset it"
            )),
            Self::NoAgent { agent, .. } if Recipe::models().any(|name| name == agent) => Some(format!(
                "`{agent}` is for the worker of a sealed image: say `--preset sealed`, or name its agent without `-model`"
            )),
            Self::NoModel(name) => {
                let models: Vec<_> = Recipe::models().map(|model| format!("`{model}`")).collect();
                Some(match Recipe::models().find(|model| model.strip_suffix("-model") == Some(name)) {
                    Some(model) => format!("say `{model}`: the worker asks its provider, and no agent is installed"),
                    None => format!("name one of {}, or run a command after `--`", models.join(", ")),
                })
            }
            Self::NoKey { keys, .. } => {
                Some(format!("set {}, or name its place with `--key file:PATH`", keys.join(" or ")))
            }
            Self::EndedAtOnce { name, .. } => Some(format!("`pinfold logs {}` shows all that it said", word(name))),
            Self::Sealed(what) if what.starts_with("run.") => {
                Some(format!("take `{what}` out of the manifest, or `run.sealed`, and build the image again"))
            }
            Self::Sealed(what) => Some(format!("leave `{what}` out, or take another image for what needs the network")),
            Self::NoAgent { agent, known, .. } => {
                let is_built_in = Recipe::agents().any(|name| name == agent);
                let near = nearest(agent, known.iter().map(String::as_str));
                let near = near.or_else(|| Recipe::like(agent).filter(|_| !is_built_in));
                let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                Some(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if is_built_in => {
                        format!("add `\"{agent}\"` to `agents` in its manifest, and it is built again with it")
                    }
                    None if known.is_empty() => "it has none: run a command after `--`".into(),
                    None => format!("name one that it has: {known}; or run a command after `--`"),
                })
            }
            Self::Architecture { host, .. } => Some(format!(
                "build it for {host} too (`platforms` in the manifest), or install qemu-user-static, which registers itself \
                 with binfmt_misc, and name the platform with `--platform`"
            )),
            Self::Provider { agent: None, .. } => {
                Some("`--key` is for an agent's key: name the agent before `--`, or leave `--key` out".into())
            }
            Self::Provider { agent: Some(agent), known, .. } if known.is_empty() => {
                Some(format!("leave `--key` out: {agent} has no provider whose key could be added"))
            }
            Self::Provider { agent: Some(agent), provider, known } => {
                Some(match nearest(provider, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "{agent} knows {}: write one of these before the `=`, as in `--key {}=env:NAME`",
                        known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
                        known[0]
                    ),
                })
            }
            Self::Label { .. } => Some(
                "build the image again from its project with this version of pinfold, or use the version that built it".into(),
            ),
            Self::Root => Some(
                "say in the manifest whose its programs are (`[user]` with `name`, `uid` and `gid`), build and push it again".into(),
            ),
            Self::NoValue(name) => Some(format!(
                "say `--env {name}=VALUE`; for a key leave it out: the proxy has it (`pinfold kube --secrets`)"
            )),
            Self::NoTask => Some(
                "name the agent, or write it where the text belongs: `-- PROGRAM {task}`".into(),
            ),
            Self::Elsewhere(_) => Some(
                "`pinfold run` runs it here; for a cluster take an image that is not sealed, and the network `proxy` or `none`".into(),
            ),
            Self::Nothing => Some("say `pinfold run claude-code`, or `pinfold run -- sh`".into()),
            Self::Workspace { .. } => {
                Some("change into a project's directory, or name one with `--workspace`".into())
            }
            Self::LooseLink { leads, .. } => {
                Some(format!("if that is what you mean, name what it leads to: {}", word(leads)))
            }
            Self::Mount { .. } => Some(
                "mount the directories in it that the agent needs, each by its own path; a sandbox that writes there would \
                 give the user's word by itself"
                    .into(),
            ),
            Self::Unprotected { name, known } => Some(match nearest(name, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`? say `--unprotect {}`", word(near)),
                None => format!(
                    "leave `--unprotect` out, since a sandbox may change it; protected here are {}",
                    known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
                ),
            }),
            Self::NoNixStore => Some(
                "leave `--nix-store` out, or add Nix and what it is to have to the image (`[nix] roots`)".into(),
            ),
            Self::PartOf { by, .. } => Some(format!("say `--unprotect {}`", word(by))),
            Self::Worktrees(_) => Some("`git worktree prune` removes those that are gone".into()),
            Self::SecondNames(path) => {
                let mut new = path.clone().into_os_string();
                new.push(".new");
                let (path, new) = (word(path), word(new));
                Some(format!(
                    "give it a copy of its own (`cp -p {path} {new} && mv {new} {path}`), or work on a smaller directory"
                ))
            }
            Self::OtherWorkspace { name, .. } => {
                Some(format!("choose another name with `--name`, or remove that session with `pinfold rm {}`", word(name)))
            }
            _ => None,
        }
    }
}
