//! What the user asks for: an image, an agent or a command in it, and what it may see, reach and use.
//!
//! Everything is text or a value that was checked while it was read. The machine is only looked at for the project that is meant.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_image::Location;

use super::error::RunError;
use crate::build::LockUse;
use crate::context::Context;
use crate::project::ProjectError;
use crate::project::manifest;
use crate::project::manifest::run::AllowRule;
use crate::project::manifest::run::Bind;
use crate::project::manifest::run::FormError;
use crate::project::manifest::run::KeySource;
use crate::project::manifest::run::NixStore;
use crate::project::manifest::run::Processes;
use crate::project::manifest::run::Processors;
use crate::project::manifest::run::ProtectedName;
use crate::project::manifest::run::Reach;
use crate::project::manifest::run::Size;
use crate::project::manifest::run::Variable;
use crate::project::manifest::run::WorkspacePath;
use crate::project::upward;
use crate::ship::find::Pull;

/// Which image a sandbox stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Basis {
    /// That of the current directory's manifest; without one, that of preset `solo` with the agent.
    #[default]
    Here,
    /// That of this manifest.
    Manifest(PathBuf),
    /// That of a built-in manifest.
    Preset(String),
    /// One that is named: in the store, in a place outside of it, or in a registry.
    Image(String),
    /// One in a file or directory, whose path need not be text.
    At(Location),
}

/// What of the host's files a sandbox sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The workspace and what was named; the home is the sandbox's own.
    #[default]
    Isolated,
    /// The caller's whole home, writable: files are not isolated at all.
    Mirror,
}

/// How long the home of a run stays that was given no name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stay {
    /// It goes with the run.
    #[default]
    Run,
    /// It is there again when the same agent runs on the same workspace.
    Project,
}

/// What is to be run. Empty and absent fields leave it to the manifest and the defaults.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The image.
    pub basis: Basis,
    /// The agent, whose routes and hosts apply; `AGENT@NAME` names the session too.
    pub agent: Option<String>,
    /// The command, or further arguments of the agent.
    pub command: Vec<OsString>,
    /// The directory to work on: `DIR[:TARGET]`; the project's when it is empty, and the current one without a project.
    pub workspace: String,
    /// Where to begin, a real path of the host, when it is below the workspace.
    pub within: Option<PathBuf>,
    /// Name of the sandbox.
    pub name: Option<String>,
    /// How long the home of a run without a name stays.
    pub stay: Stay,
    /// Platform of the image; this machine's.
    pub platform: Option<Platform>,
    /// When the registry of an image that is named with it is asked.
    pub pull: Pull,
    /// What may be done about the lock of the image's project.
    pub lock: LockUse,
    /// What of the host's files is seen.
    pub view: View,
    /// Network.
    pub network: Option<Reach>,
    /// Hosts to let through, beside those of the agent and the manifest.
    pub allow: Vec<AllowRule>,
    /// Further mounts.
    pub mounts: Vec<Bind>,
    /// Further paths of the workspace that stay as they are.
    pub protect: Vec<WorkspacePath>,
    /// Names of protected paths that need not.
    pub unprotect: Vec<ProtectedName>,
    /// Variables.
    pub env: Vec<Variable>,
    /// Where keys come from.
    pub keys: Vec<Key>,
    /// Memory of the whole sandbox.
    pub memory: Option<Size>,
    /// Processors.
    pub cpus: Option<Processors>,
    /// Processes and threads.
    pub pids: Option<Processes>,
    /// Whether `/nix` can be written to.
    pub nix_store: Option<NixStore>,
    /// The container runtime that the sandbox becomes a pod of.
    pub containerd: Option<InContainerd>,
    /// Whether a sandbox that root starts may have root's id outside, where files cannot be shown with another.
    pub allow_root_id: bool,
}

/// A sandbox as a pod of a container runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InContainerd {
    /// Its socket; that of the environment, or containerd's own, unless said.
    pub socket: Option<String>,
}

/// What the project of a request is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// Something is started.
    Start,
    /// Somebody asks what would be.
    Question,
}

impl Request {
    /// The same request, with the project that is meant from the current directory: its manifest is found upwards, and it is all
    /// of the project that is worked on. What is not the obvious is told.
    pub(super) fn seen_from_here(&self, context: &Context, for_what: For) -> Result<Self, RunError> {
        let here = Path::new(".");
        let mut request = self.clone();
        if self.basis == Basis::Here {
            match upward::find(here, context.environment.home()).map_err(ProjectError::from)? {
                Some(directory) if directory != here => {
                    let file = directory.join(manifest::FILE_NAME);
                    let named = file.display();
                    if self.workspace.is_empty() {
                        request.workspace = directory.display().to_string();
                        request.within = fs::canonicalize(here).ok();
                        let place = directory.display();
                        context
                            .reporter
                            .note(&format!("using `{named}`; the workspace is its folder, `{place}`"));
                    } else {
                        context.reporter.note(&format!("using `{named}`"));
                    }
                    request.basis = Basis::Manifest(file);
                }
                None if for_what == For::Start => {
                    context.reporter.note("no `pinfold.toml` here or above: using preset `solo`");
                }
                Some(_) | None => {}
            }
        }
        if request.workspace.is_empty() {
            request.workspace = ".".into();
        }
        Ok(request)
    }

    /// The agent without the session's name.
    pub(super) fn agent(&self) -> Option<&str> {
        self.agent.as_deref().map(|agent| agent.split_once('@').map_or(agent, |(agent, _)| agent))
    }

    /// What the user calls the session: its name, or `AGENT@NAME`.
    pub(super) fn said_name(&self) -> Option<&str> {
        self.name.as_deref().or_else(|| self.agent.as_deref().filter(|agent| agent.contains('@')))
    }

    /// The name that a session on `workspace` has when the user said none: `AGENT@DIRECTORY`.
    pub(super) fn session_name(&self, workspace: &Path) -> String {
        let what = self.agent().unwrap_or("run").trim_end_matches(".toml");
        format!("{}@{}", short_name(Path::new(what)), short_name(workspace))
    }

    /// The name that stands for the agent and `workspace`, a real path, where homes are kept for them:
    /// `AGENT@DIRECTORY.HEX`. Directories of one name have their own.
    pub(super) fn project_name(&self, workspace: &Path) -> String {
        let whole = Digest::sha256(workspace.as_os_str().as_bytes());
        format!("{}.{}", self.session_name(workspace), whole.hex().get(..8).unwrap_or_default())
    }
}

/// A path's last part as part of a sandbox's name.
fn short_name(path: &Path) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    path.file_name()
        .map(|name| name.to_string_lossy().chars().map(fits).take(24).collect())
        .unwrap_or_default()
}

/// Where one key of the agent comes from: `SOURCE`, or `PROVIDER=SOURCE` for agents that know several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The provider; the agent's first unless said.
    pub provider: Option<String>,
    /// Where.
    pub source: KeySource,
}

impl FromStr for Key {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        // A source may hold `=` too; then a `:` stands before it.
        let (provider, source) = match text.split_once('=') {
            Some(("", _)) => {
                let expected = "`SOURCE`, or `PROVIDER=SOURCE`";
                return Err(FormError::Hidden { what: "where the key comes from", expected });
            }
            Some((provider, source)) if !provider.contains(':') => (Some(provider.to_owned()), source),
            _ => (None, text),
        };
        Ok(Self { provider, source: source.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_may_bring_the_sessions_name() {
        for (agent, name, means, said) in [
            (None, None, None, None),
            (Some("claude-code"), None, Some("claude-code"), None),
            (Some("claude-code@fix"), None, Some("claude-code"), Some("claude-code@fix")),
            (Some("claude-code@fix"), Some("mine"), Some("claude-code"), Some("mine")),
            (None, Some("mine"), None, Some("mine")),
        ] {
            let request = Request {
                agent: agent.map(str::to_owned),
                name: name.map(str::to_owned),
                ..Request::default()
            };
            assert_eq!((request.agent(), request.said_name()), (means, said), "{agent:?} {name:?}");
        }
    }

    #[test]
    fn names_that_are_made_up_are_names() {
        for (agent, workspace, expected) in [
            (Some("claude-code"), "/w/project", "claude-code@project"),
            (Some("./tools/my agent.toml"), "/w/päth with spaces", "my-agent@p-th-with-spaces"),
            (None, "/w/project", "run@project"),
            (Some("codex-cli@x"), "/w/a.b", "codex-cli@a.b"),
            (Some("a"), "/w/a-name-that-is-longer-than-any-name-should-be", "a@a-name-that-is-longer-th"),
        ] {
            let request = Request { agent: agent.map(str::to_owned), ..Request::default() };
            let name = request.session_name(Path::new(workspace));
            assert_eq!(name, expected);
            pinfold_sandbox::plan::check_name(&name).unwrap();
            let kept = request.project_name(Path::new(workspace));
            assert!(kept.starts_with(&format!("{expected}.")), "{kept}");
            pinfold_sandbox::plan::check_name(&format!("{kept}-16")).unwrap();
        }
    }

    #[test]
    fn directories_of_one_name_are_two_projects() {
        let request = Request { agent: Some("claude-code".into()), ..Request::default() };
        // printf /w/project | sha256sum
        assert_eq!(request.project_name(Path::new("/w/project")), "claude-code@project.cc6258f7");
        assert_ne!(
            request.project_name(Path::new("/v/project")),
            request.project_name(Path::new("/w/project"))
        );
    }

    #[test]
    fn a_key_may_be_one_providers() {
        let env = |name: &str| KeySource::Env(name.into());
        for (text, provider, source) in [
            ("env:KEY", None, env("KEY")),
            ("google=env:KEY", Some("google"), env("KEY")),
            ("command:a b=c", None, KeySource::Command(vec!["a".into(), "b=c".into()])),
        ] {
            let key: Key = text.parse().unwrap();
            assert_eq!((key.provider.as_deref(), key.source), (provider, source), "{text}");
        }
        for text in ["google=sk-canary", "=sk-canary", "=env:sk-canary", ""] {
            let error = text.parse::<Key>().unwrap_err().of("--key").to_string();
            assert!(
                error.starts_with("`--key`: where the key comes from") && !error.contains("canary"),
                "{error}"
            );
        }
    }
}
