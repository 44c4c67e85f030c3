//! `run` and `open`: from an agent's name and a directory to a sandbox's specification.
//!
//! The image is the project's, or preset `solo` with the agent named; it is built first if need be, unpacked once per
//! manifest digest and shared. Keys stay on the host: each route of the agent's recipe whose key is found becomes a port on
//! the sandbox's loopback, and the sandbox gets a placeholder.
//!
//! **Refuses**: agents that the image does not have, workspaces that are the home directory or above it, variables that
//! are not set.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_archive::encode::Reuse;
use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::unpack;
use pinfold_image::unpack::RootfsStore;
use pinfold_image::unpack::UnpackError;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::proxy::Credential;
use pinfold_sandbox::proxy::KeyHeader;
use pinfold_sandbox::proxy::RouteId;
use pinfold_sandbox::proxy::RouteReach;
use pinfold_sandbox::proxy::RouteSpec;
use pinfold_sandbox::proxy::environment;
use pinfold_sandbox::spec;
use pinfold_sandbox::spec::CredentialRoute;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::HomeDirectory;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Mount;

use crate::build;
use crate::build::BuildError;
use crate::context::Context;
use crate::manifest::ManifestError;
use crate::project::Project;
use crate::recipe;
use crate::recipe::Header;
use crate::recipe::Recipe;
use crate::recipe::RecipeError;

/// The dummy key that agents are given.
const PLACEHOLDER: &str = "pinfold-placeholder-key";
/// Loopback port of the first credential route; the next ones follow.
const FIRST_ROUTE_PORT: u16 = 3180;

/// How much network a sandbox has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Loopback only.
    None,
    /// The allow-listed proxy.
    Proxy,
    /// The host's network.
    Host,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Request {
    /// The agent; its routes and hosts apply.
    pub agent: Option<String>,
    /// A command instead of the agent's own; for an agent, further arguments when it begins with `-`.
    pub command: Vec<String>,
    /// The directory to work on.
    pub workspace: PathBuf,
    /// Name of the sandbox.
    pub name: Option<String>,
    /// Network; the manifest's, else the proxy.
    pub network: Option<Reach>,
    /// Hosts to let through, beside those of the agent and the manifest.
    pub allow: Vec<String>,
    /// Further mounts: `SOURCE[:TARGET][:ro|rw]`.
    pub mounts: Vec<String>,
    /// Variables to pass in by name.
    pub pass_env: Vec<String>,
}

/// Why nothing can be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The image.
    #[error(transparent)]
    Build(#[from] Box<BuildError>),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The image store.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Unpacking.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The agent is not in the image.
    #[error("the image `{image}` has no agent `{agent}`")]
    NoAgent {
        /// The image.
        image: String,
        /// The agent.
        agent: String,
    },
    /// Nothing to run was said.
    #[error("nothing to run: name an agent, or a command after `--`")]
    Nothing,
    /// This machine's platform is not one of an image's.
    #[error("images for this machine's processor cannot be built")]
    Platform,
    /// A workspace that would hand over too much.
    #[error("`{}` cannot be the workspace: {reason}", .path.display())]
    Workspace {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A mount that cannot be read.
    #[error("mount `{0}` is not understood: expected SOURCE[:TARGET][:ro|rw] with absolute paths")]
    Mount(String),
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
    /// A file of the run cannot be written.
    #[error("cannot prepare the run")]
    Io(#[from] std::io::Error),
}

impl From<BuildError> for RunError {
    fn from(error: BuildError) -> Self {
        Self::Build(Box::new(error))
    }
}

impl Diagnose for RunError {
    fn kind(&self) -> Kind {
        match self {
            Self::Build(error) => error.kind(),
            Self::Manifest(error) => error.kind(),
            Self::Recipe(error) => error.kind(),
            Self::Image(error) => error.kind(),
            Self::Unpack(error) => error.kind(),
            Self::Platform | Self::Io(_) => Kind::System,
            Self::Workspace { .. } => Kind::Refused,
            _ => Kind::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Build(error) => error.hint(),
            Self::Manifest(error) => error.hint(),
            Self::Recipe(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::Unpack(error) => error.hint(),
            Self::NoAgent { .. } => Some("add it to `agents` in the manifest and build again".into()),
            Self::Nothing => Some("`pinfold run claude-code`, or `pinfold run -- bash`".into()),
            Self::Workspace { .. } => {
                Some("change into a project's directory, or name one with `--workspace`".into())
            }
            Self::Io(error) => pinfold_base::store::io_hint(error),
            _ => None,
        }
    }
}

/// The sandboxes of this user.
pub fn sandboxes(context: &Context) -> Sandboxes {
    Sandboxes::new(context.home.data().join("sandboxes"))
}

/// The project whose image is run: that of the current directory, else preset `solo` with the agent, kept in the data
/// folder so that a directory without a manifest stays untouched.
pub fn project(context: &Context, directory: &Path, agent: Option<&str>) -> Result<Project, RunError> {
    if directory.join(crate::manifest::FILE_NAME).exists() {
        return Ok(Project::from_file(&directory.join(crate::manifest::FILE_NAME))?);
    }
    let agent = agent.unwrap_or("claude-code");
    let recipe = Recipe::load(agent, directory)?;
    let home = context.home.data().join("projects").join(format!("solo-{}", recipe.name));
    fs::create_dir_all(&home)?;
    let project = Project::from_preset(directory, "solo")?.with_agents(&[agent.to_owned()])?;
    Ok(Project { lock_file: home.join(crate::lock::FILE_NAME), ..project })
}

/// Builds, unpacks, and says what the sandbox is to be.
pub fn prepare(context: &Context, project: &Project, request: &Request) -> Result<Spec, RunError> {
    let workspace = workspace(&request.workspace)?;
    let platform = Platform::host().ok_or(RunError::Platform)?;
    let options = build::Options {
        lock: build::LockUse::Create,
        platforms: vec![platform],
        tag: Some(format!("{}:run", project.manifest.name).parse()?),
        compression: None,
        reuse: Reuse::Publisher,
    };
    let outcome = build::build(context, project, &options)?;
    let source =
        ImageSource::from_store(&ImageStore::open(context.home.data())?, &outcome.built.reference.parse()?)?;
    let image = source.image(platform)?;
    let user = project.manifest.user.as_ref();
    let home = user.map_or_else(|| PathBuf::from("/home/agent"), |user| user.home.to_string().into());
    let root = RootfsStore::open(context.home.data(), unpack::Options::default())?;
    let root = root.get(&source, &image, &*context.reporter)?;
    let recipes = recipe::recipes(&project.manifest)?;
    let agent = match &request.agent {
        None => None,
        Some(name) => Some(recipes.iter().find(|recipe| recipe.name == *name).ok_or_else(|| {
            RunError::NoAgent { image: outcome.built.reference.clone(), agent: name.clone() }
        })?),
    };
    let mut spec = Spec::new(name(request, &workspace), root.path, args(request, agent)?);
    let runtime = image.config.value().config.clone().unwrap_or_default();
    spec.env = runtime.env.iter().filter_map(|pair| pair.split_once('=')).map(owned).collect();
    spec.env.insert("HOME".into(), home.display().to_string());
    for name in ["TERM", "COLORTERM"] {
        if let Ok(value) = std::env::var(name) {
            spec.env.insert(name.into(), value);
        }
    }
    for name in request.pass_env.iter().chain(&project.manifest.run.pass_env) {
        let value = std::env::var(name).map_err(|_| RunError::Variable(name.clone()))?;
        spec.env.insert(name.clone(), value);
    }
    if let Some(user) = user {
        spec.user = spec::User { uid: user.uid, gid: user.gid };
    }
    spec.home = HomeDirectory { target: home.clone(), keep: Keep::Home };
    spec.cwd.clone_from(&workspace);
    spec.mounts.push(Mount::writable(&workspace, &workspace));
    for text in project.manifest.run.mounts.iter().chain(&request.mounts) {
        spec.mounts.push(mount(text)?);
    }
    spec.hostname = "pinfold".into();
    spec.labels = BTreeMap::from([
        ("image".into(), outcome.built.reference.clone()),
        ("workspace".into(), workspace.display().to_string()),
    ]);
    if let Some(agent) = agent {
        spec.labels.insert("agent".into(), agent.name.clone());
    }
    network(context, project, request, agent, &home, &mut spec)?;
    Ok(spec)
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A name of the sandbox: `agent@directory` and the caller's process, or what the user said.
fn name(request: &Request, workspace: &Path) -> String {
    if let Some(name) = &request.name {
        return name.clone();
    }
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let directory: String = workspace
        .file_name()
        .map(|name| name.to_string_lossy().chars().map(fits).take(24).collect())
        .unwrap_or_default();
    let what = request.agent.as_deref().unwrap_or("run");
    format!("{what}@{directory}-{}", std::process::id())
}

fn args(request: &Request, agent: Option<&Recipe>) -> Result<Vec<String>, RunError> {
    let more = request.command.first().is_some_and(|first| first.starts_with('-'));
    match agent {
        Some(agent) if request.command.is_empty() || more => {
            Ok([std::slice::from_ref(&agent.command), &agent.run.autonomous, &request.command].concat())
        }
        _ if request.command.is_empty() => Err(RunError::Nothing),
        _ => Ok(request.command.clone()),
    }
}

/// The workspace's real path. Handing over the home directory, or what is above it, is refused.
fn workspace(path: &Path) -> Result<PathBuf, RunError> {
    let real = fs::canonicalize(path)?;
    let refuse = |reason| Err(RunError::Workspace { path: real.clone(), reason });
    if !real.is_dir() {
        return refuse("it is no directory");
    }
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from)
        && home.starts_with(&real)
    {
        return refuse("it holds the home directory, with its keys and configuration");
    }
    if ["/etc", "/usr", "/bin", "/dev", "/proc", "/sys", "/run", "/var"]
        .iter()
        .any(|dir| real == Path::new(dir))
    {
        return refuse("it is a directory of the system");
    }
    Ok(real)
}

/// `SOURCE[:TARGET][:ro|rw]`; read-only unless said.
fn mount(text: &str) -> Result<Mount, RunError> {
    let wrong = || RunError::Mount(text.to_owned());
    let (paths, write) = match (text.strip_suffix(":rw"), text.strip_suffix(":ro")) {
        (Some(paths), _) => (paths, true),
        (_, Some(paths)) => (paths, false),
        _ => (text, false),
    };
    let (source, target) = paths.split_once(':').unwrap_or((paths, paths));
    if !source.starts_with('/') || !target.starts_with('/') || target.contains(':') {
        return Err(wrong());
    }
    Ok(if write { Mount::writable(source, target) } else { Mount::read_only(source, target) })
}

/// The way out: the proxy's list, the credential routes, and what the agent must be told of them.
fn network(
    context: &Context,
    project: &Project,
    request: &Request,
    agent: Option<&Recipe>,
    home: &Path,
    spec: &mut Spec,
) -> Result<(), RunError> {
    let reach = match (request.network, project.manifest.run.network.as_deref()) {
        (Some(reach), _) => reach,
        (None, Some("none")) => Reach::None,
        (None, Some("host")) => Reach::Host,
        (None, None | Some("proxy")) => Reach::Proxy,
        (None, Some(other)) => {
            let message = format!("`{other}` is none of `none`, `proxy` and `host`");
            return Err(ManifestError::value("run.network", message).into());
        }
    };
    match reach {
        Reach::None => spec.network = spec::Network::None,
        Reach::Host => spec.network = spec::Network::Host,
        Reach::Proxy => {
            let mut egress = Egress { allow: project.manifest.run.allow.clone(), routes: Vec::new() };
            egress.allow.extend(request.allow.iter().cloned());
            for (name, value) in environment(spec::PROXY_PORT) {
                spec.env.insert(name.into(), value);
            }
            if let Some(agent) = agent {
                routes(context, project, agent, home, spec, &mut egress)?;
                // A provider behind a route needs no tunnel: without one, no key can leave by it.
                let routed = |host: &String| {
                    agent.run.route.iter().any(|route| route.upstream.ends_with(host.as_str()))
                };
                let hosts = agent.run.hosts.iter().filter(|host| egress.routes.is_empty() || !routed(host));
                let hosts: Vec<String> = hosts.cloned().collect();
                egress.allow.extend(hosts);
            }
            spec.network = spec::Network::Proxy(egress);
        }
    }
    Ok(())
}

/// The credential routes of an agent for which the host has a key.
fn routes(
    context: &Context,
    project: &Project,
    agent: &Recipe,
    home: &Path,
    spec: &mut Spec,
    egress: &mut Egress,
) -> Result<(), RunError> {
    for (number, route) in agent.run.route.iter().enumerate() {
        let wrong = |reason: String| RunError::Route { recipe: agent.name.clone(), reason };
        let Some(key) = key(project, agent, route) else { continue };
        let number = u8::try_from(number)
            .ok()
            .filter(|number| *number < 200)
            .ok_or_else(|| wrong("too many".into()))?;
        let port = FIRST_ROUTE_PORT + u16::from(number);
        let fill =
            |text: &str| text.replace("{port}", &port.to_string()).replace("{placeholder}", PLACEHOLDER);
        egress.routes.push(CredentialRoute {
            route: RouteSpec {
                id: RouteId(number + 1),
                name: agent.name.clone(),
                listen_port: port,
                upstream: route
                    .upstream
                    .parse()
                    .map_err(|error: pinfold_sandbox::proxy::RouteError| wrong(error.to_string()))?,
                header: match route.header {
                    Header::XApiKey => KeyHeader::XApiKey,
                    Header::Bearer => KeyHeader::Bearer,
                    Header::XGoogApiKey => KeyHeader::XGoogApiKey,
                },
                placeholder: PLACEHOLDER.into(),
                paths: route.paths.iter().map(|path| path.trim_end_matches('/').to_owned()).collect(),
                reach: RouteReach::default(),
                set_headers: BTreeMap::new(),
                append_headers: BTreeMap::new(),
            },
            key,
        });
        spec.env.extend(route.env.iter().map(|(name, value)| (name.clone(), fill(value))));
        if number > 0 {
            continue;
        }
        // Files that must name the port are laid over the home, read-only.
        for file in &agent.run.file {
            let seeded =
                agent.home.iter().find(|known| known.path == file.path).map_or("", |known| &known.content);
            let text = match &file.replace {
                Some(text) => fill(text),
                None => fill(&format!("{}{seeded}{}", file.prepend, file.append)),
            };
            let place = context.home.data().join("run").join(&agent.name).join(file.path.replace('/', "-"));
            let parent = place.parent().unwrap_or(&place);
            fs::create_dir_all(parent)?;
            fs::write(&place, text)?;
            spec.mounts.push(Mount::read_only(place, home.join(&file.path)));
        }
    }
    Ok(())
}

/// Where a route's key is: as the manifest says, else the first of the recipe's variables that is set.
fn key(project: &Project, agent: &Recipe, route: &recipe::Route) -> Option<Credential> {
    if let Some(said) = project.manifest.run.credentials.get(&agent.name) {
        return Some(match said.split_once(':') {
            Some(("file", path)) => Credential::File(path.into()),
            Some(("command", words)) => {
                Credential::Command(words.split_whitespace().map(str::to_owned).collect())
            }
            Some(("env", name)) => Credential::Env(name.to_owned()),
            _ => Credential::Env(said.clone()),
        });
    }
    let set = |name: &&String| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    route.key.iter().find(set).map(|name| Credential::Env(name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_only_unless_said() {
        assert_eq!(mount("/a").unwrap(), Mount::read_only("/a", "/a"));
        assert_eq!(mount("/a:/b:rw").unwrap(), Mount::writable("/a", "/b"));
        assert!(mount("a").is_err() && mount("/a:b").is_err() && mount("/a:/b:/c").is_err());
    }

    #[test]
    fn the_home_and_the_system_are_no_workspaces() {
        assert!(matches!(workspace(Path::new("/")), Err(RunError::Workspace { .. })));
        assert!(matches!(workspace(Path::new("/etc")), Err(RunError::Workspace { .. })));
        let dir = tempfile::tempdir().unwrap();
        assert!(workspace(dir.path()).is_ok());
    }

    #[test]
    fn an_agent_alone_is_autonomous_and_a_command_is_itself() {
        let agent = Recipe::load("claude-code", Path::new("/")).unwrap();
        let request = |command: &[&str]| Request {
            agent: Some("claude-code".into()),
            command: command.iter().map(|&word| word.into()).collect(),
            workspace: "/".into(),
            name: None,
            network: None,
            allow: Vec::new(),
            mounts: Vec::new(),
            pass_env: Vec::new(),
        };
        assert_eq!(args(&request(&[]), Some(&agent)).unwrap(), ["claude", "--dangerously-skip-permissions"]);
        assert_eq!(args(&request(&["-p", "hi"]), Some(&agent)).unwrap()[2..], ["-p", "hi"]);
        assert_eq!(args(&request(&["bash"]), Some(&agent)).unwrap(), ["bash"]);
        assert!(matches!(args(&request(&[]), None), Err(RunError::Nothing)));
    }
}
