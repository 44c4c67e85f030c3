//! `run`, `open` and `policy`: from an agent's name and a directory to a sandbox's specification.
//!
//! ```text
//!   Request ─► image (built, unpacked once) ─► consent ─► mounts, network, credentials, limits ─► Spec
//! ```
//!
//! The image is the project's, one that is named, or preset `solo` with the agent. Keys stay on the host: each provider of
//! the agent's recipe whose key is found becomes a port on the sandbox's loopback, and the sandbox gets a placeholder.
//!
//! **Refuses**: agents that the image does not have, images for other processors, workspaces that are the home directory or
//! above it, variables that are not set, and whatever a project or an image wants beyond the defaults until the user agrees.

mod consent;
mod credentials;
mod declared;
mod error;
mod git;
mod image;
mod mounts;

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use fs_err as fs;
use pinfold_base::Platform;
use pinfold_image::ImageSource;
use pinfold_image::unpack;
use pinfold_network::Decision;
use pinfold_network::Policy;
use pinfold_network::environment;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::HomeDirectory;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Need;
use pinfold_sandbox::spec::Sockets;

pub use self::consent::Ask;
pub use self::credentials::PLACEHOLDER;
pub use self::declared::Declared;
pub use self::declared::LABEL;
pub use self::error::RunError;
pub use self::image::Choice;
use self::mounts::Workspace;
use crate::context::Context;
use crate::context::Environment;
use crate::project::Project;
use crate::project::manifest::ManifestError;
use crate::project::manifest::Run;
use crate::project::manifest::run::AllowRule;
use crate::project::manifest::run::Bind;
use crate::project::manifest::run::FormError;
use crate::project::manifest::run::KeySource;
use crate::project::manifest::run::Processes;
use crate::project::manifest::run::Processors;
pub use crate::project::manifest::run::Reach;
use crate::project::manifest::run::Size;
use crate::project::manifest::run::Variable;
use crate::project::recipe::Recipe;
use crate::project::recipe::RecipeKind;

/// What of the host's files a sandbox sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The workspace and what was named; the home is the sandbox's own.
    #[default]
    Isolated,
    /// The caller's whole home, writable: files are not isolated at all.
    Mirror,
}

/// What is to be run. Empty and absent fields leave it to the manifest and the defaults.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The agent; its routes and hosts apply.
    pub agent: Option<String>,
    /// The command, or further arguments of the agent.
    pub command: Vec<String>,
    /// The directory to work on: `DIR[:TARGET]`.
    pub workspace: String,
    /// Name of the sandbox.
    pub name: Option<String>,
    /// Platform of the image; this machine's.
    pub platform: Option<Platform>,
    /// What of the host's files is seen.
    pub mode: Mode,
    /// Network.
    pub network: Option<Reach>,
    /// Hosts to let through, beside those of the agent and the manifest.
    pub allow: Vec<AllowRule>,
    /// Further mounts.
    pub mounts: Vec<Bind>,
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
}

/// Where one key of the agent comes from: `SOURCE`, or `PROVIDER=SOURCE` for agents that know several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    provider: Option<String>,
    source: KeySource,
}

impl FromStr for Key {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        // A source may hold `=` too; then a `:` stands before it.
        let (provider, source) = match text.split_once('=') {
            Some((provider, source)) if !provider.contains(':') => (Some(provider.to_owned()), source),
            _ => (None, text),
        };
        Ok(Self { provider, source: source.parse()? })
    }
}

/// The sandboxes of this user.
pub fn sandboxes(context: &Context) -> Sandboxes {
    Sandboxes::new(context.home.data().join("sandboxes"))
}

/// The project whose image is run: that of the current directory, else a preset (`solo` with the agent unless one is named),
/// its lock kept in the data folder so that a directory without a manifest stays untouched.
pub fn project(
    context: &Context,
    directory: &Path,
    preset: Option<&str>,
    agent: Option<&str>,
) -> Result<Project, RunError> {
    let file = directory.join(crate::project::manifest::FILE_NAME);
    if preset.is_none() && file.exists() {
        return Ok(Project::from_file(&file)?);
    }
    let preset = preset.unwrap_or("solo");
    let agent = agent.unwrap_or("claude-code");
    let name = match preset {
        "solo" => format!("solo-{}", Recipe::load(agent, directory)?.name),
        _ => preset.to_owned(),
    };
    let folder = context.home.data().join("projects").join(name);
    fs::create_dir_all(&folder)?;
    // Not the current directory: what lies there (an `.npmrc`, say) is not part of a preset.
    let mut project = Project::from_preset(&folder, preset)?;
    if preset == "solo" {
        let agent = if agent.contains('/') {
            std::path::absolute(directory.join(agent))?.display().to_string()
        } else {
            agent.to_owned()
        };
        project = project.with_agents(&[agent])?;
    }
    Ok(Project { lock_file: folder.join(crate::project::lock::FILE_NAME), ..project })
}

/// What is asked for, resolved as far as it can be without building anything.
struct Asked<'a> {
    platform: Platform,
    declared: Run,
    agent: Option<Recipe>,
    request: &'a Request,
}

fn asked<'a>(context: &Context, choice: &Choice, request: &'a Request) -> Result<Asked<'a>, RunError> {
    let platform = request.platform.or_else(Platform::host).ok_or(RunError::Platform)?;
    let recipes = choice.recipes(platform)?;
    let declared = choice.declared(platform)?;
    consent::check(context, &subject(choice), asks_of(choice, &declared, &recipes))?;
    let agent = match &request.agent {
        None => None,
        Some(name) => Some(find_agent(name, choice, &recipes)?),
    };
    Ok(Asked { platform, declared, agent, request })
}

fn find_agent(name: &str, choice: &Choice, recipes: &[Recipe]) -> Result<Recipe, RunError> {
    // A recipe of the user's own is named by its path, as in the manifest, or by its name.
    let named = if name.contains('/') { Recipe::load(name, Path::new("."))?.name } else { name.to_owned() };
    let found = recipes.iter().find(|recipe| recipe.name == named || recipe.command == named);
    found.cloned().ok_or_else(|| RunError::NoAgent {
        image: choice.name().to_owned(),
        agent: name.to_owned(),
        known: recipes
            .iter()
            .filter(|recipe| recipe.kind == RecipeKind::Agent)
            .map(|recipe| recipe.name.clone())
            .collect(),
    })
}

/// Who asks: the manifest by its real path, or the image by its name.
fn subject(choice: &Choice) -> String {
    match choice {
        Choice::Image(source) => format!("the image `{}`", source.name()),
        Choice::Project(project) => {
            let directory = &project.manifest.directory;
            let real = fs::canonicalize(directory).unwrap_or_else(|_| directory.clone());
            // A manifest's lock has its name (two manifests of one directory are two projects).
            let name = project.lock_file.file_stem().unwrap_or_default();
            format!("the project `{}.toml`", real.join(name).display())
        }
    }
}

fn asks_of(choice: &Choice, declared: &Run, recipes: &[Recipe]) -> Vec<Ask> {
    let project = match choice {
        Choice::Project(project) => Some(&**project),
        Choice::Image(_) => None,
    };
    consent::asks(declared, recipes, project)
}

/// What a project or an image asks for beyond the defaults.
pub fn asks(choice: &Choice) -> Result<Vec<Ask>, RunError> {
    let platform = Platform::host().ok_or(RunError::Platform)?;
    Ok(asks_of(choice, &choice.declared(platform)?, &choice.recipes(platform)?))
}

/// Agrees to all of it. What was agreed to before and is no longer asked for is forgotten.
pub fn accept(context: &Context, choice: &Choice) -> Result<Vec<Ask>, RunError> {
    let asks = asks(choice)?;
    consent::accept(context, &subject(choice), &asks)?;
    Ok(asks)
}

/// Whether a sandbox of this request could reach `url`, without running anything. The address is looked at only when a
/// connection is made.
pub fn check(context: &Context, choice: &Choice, request: &Request, url: &str) -> Result<Decision, RunError> {
    let asked = asked(context, choice, request)?;
    let fixed = |allowed, reason: &str| Decision { allowed, reason: reason.into(), rule: None, target: None };
    Ok(match asked.reach() {
        Reach::None => fixed(false, "there is no network inside"),
        Reach::Host => fixed(true, "the host's network is used, without any list"),
        Reach::Proxy => {
            let routes = asked.routes(context, Path::new("/home/agent"))?;
            let rules = asked.rules(&routes.hosts);
            let policy = Policy::parse(rules.iter().map(String::as_str))
                .map_err(|error| ManifestError::value("allow", error.to_string()))?;
            let mut decision = policy.check(url);
            let routed = routes
                .hosts
                .iter()
                .any(|host| Policy::parse([host.as_str()]).is_ok_and(|policy| policy.check(url).allowed));
            if routed && !decision.allowed {
                decision.reason =
                    "this host is reached through the agent's credential route, not by a tunnel".into();
            }
            decision
        }
    })
}

/// Builds, unpacks, and says what the sandbox is to be.
pub fn prepare(context: &Context, choice: &Choice, request: &Request) -> Result<Spec, RunError> {
    let caller = context.environment.home();
    let within = match request.mode {
        Mode::Isolated => caller,
        Mode::Mirror => None,
    };
    let workspace = Workspace::find(&request.workspace, within)?;
    if request.mode == Mode::Isolated {
        workspace.keep_apart(&[context.home.data(), context.home.cache()])?;
    }
    let asked = asked(context, choice, request)?;
    let variables = variables(&context.environment, &request.env, &asked.declared.pass_env)?;
    let limits = asked.limits();
    let args = asked.args();
    let declared = asked.declared.mounts.iter().map(|mount| &mount.value);
    let extra: Vec<Mount> = declared.chain(&request.mounts).map(mounts::mount).collect();
    let ready = image::ready(context, choice, asked.platform)?;
    let args = if args.is_empty() { ready.command.clone() } else { args };
    if args.is_empty() {
        return Err(RunError::Nothing);
    }

    let mut spec = Spec::new(name(request, &workspace.source), &ready.root, args);
    spec.env = ready.env;
    spec.env.insert("HOME".into(), ready.home.display().to_string());
    terminal(&context.environment, &mut spec.env, &ready.root);
    spec.env.extend(variables);
    spec.user = ready.user;
    spec.home = HomeDirectory { target: ready.home.clone(), keep: Keep::Home };
    spec.cwd.clone_from(&workspace.target);
    spec.limits = limits;
    if limits.memory.is_some() || limits.cpu_milli.is_some() {
        // No limit of single processes stands for these.
        spec.policy.cgroup = Need::Required;
    }
    spec.hostname = "pinfold".into();
    spec.labels = BTreeMap::from([
        ("image".into(), ready.reference),
        ("workspace".into(), workspace.source.display().to_string()),
    ]);
    if let Some(agent) = &asked.agent {
        spec.labels.insert("agent".into(), agent.name.clone());
    }
    spec.mounts = workspace.mounts();
    if request.mode == Mode::Mirror {
        mirror(context, caller.ok_or(RunError::NoHome)?, &mut spec);
    }
    spec.mounts.extend(extra);
    asked.network(context, &ready.home, &mut spec)?;
    Ok(spec)
}

/// Unpacks an image into `directory`, which must not exist, as an OCI runtime bundle: `rootfs`, `home` and `config.json`.
/// There is no network in it, and no workspace; both are the caller's to add.
pub fn bundle(
    context: &Context,
    source: &ImageSource,
    platform: Platform,
    directory: &Path,
    runtime: OciRuntime,
) -> Result<unpack::Report, RunError> {
    fs::create_dir(directory)?;
    let written = bundle_into(context, source, platform, directory, runtime);
    if written.is_err() {
        // Never half a bundle. What cannot be removed is better named by the first error than by a second.
        let _ = fs::remove_dir_all(directory);
    }
    written
}

fn bundle_into(
    context: &Context,
    source: &ImageSource,
    platform: Platform,
    directory: &Path,
    runtime: OciRuntime,
) -> Result<unpack::Report, RunError> {
    let image = source.image(platform)?;
    let root = directory.join("rootfs");
    let report = unpack::unpack(source, &image, &root, &unpack::Options::default(), &*context.reporter)?;
    let ready = image::described(source, &image, root);
    let mut spec = Spec::new("bundle", &ready.root, ready.command);
    spec.env = ready.env;
    spec.env.insert("HOME".into(), ready.home.display().to_string());
    spec.user = ready.user;
    spec.cwd.clone_from(&ready.home);
    spec.home = HomeDirectory { target: ready.home, keep: Keep::Home };
    pinfold_sandbox::oci::bundle::write(&spec, directory, runtime)?;
    Ok(report)
}

/// Shows the caller's whole home, and says so.
fn mirror(context: &Context, home: &Path, spec: &mut Spec) {
    context.reporter.warn(&format!(
        "mirror mode: everything below `{}` can be read and changed inside, keys and login files among it, and Unix sockets \
         there can be connected to; only the network and the kernel are still guarded",
        home.display()
    ));
    spec.mounts.retain(|mount| !mount.target.starts_with(home));
    spec.mounts.push(Mount { sockets: Sockets::Allow, ..Mount::writable(home, home) });
    spec.env.insert("HOME".into(), home.display().to_string());
    if spec.home.target == home {
        // The image's user has the caller's own home path: the sandbox's home steps aside.
        spec.home.target = "/home/.pinfold".into();
    }
    spec.labels.insert("mode".into(), "mirror".into());
}

impl Asked<'_> {
    fn args(&self) -> Vec<String> {
        let command = &self.request.command;
        match &self.agent {
            Some(agent) => [std::slice::from_ref(&agent.command), &agent.run.autonomous, command].concat(),
            None => command.clone(),
        }
    }

    fn reach(&self) -> Reach {
        self.request.network.or(self.declared.network).unwrap_or(Reach::Proxy)
    }

    fn limits(&self) -> spec::Limits {
        let (request, declared) = (self.request, &self.declared);
        let memory = request.memory.or(declared.memory.as_ref().map(|size| size.value));
        let cpus = request.cpus.or(declared.cpus.as_ref().map(|cpus| cpus.value));
        let usual = spec::Limits::default();
        spec::Limits {
            memory: memory.map(|Size(bytes)| bytes),
            cpu_milli: cpus.map(|Processors(milli)| milli),
            processes: request.pids.or(declared.pids).map(|Processes(count)| count).or(usual.processes),
            ..usual
        }
    }

    fn routes(&self, context: &Context, home: &Path) -> Result<credentials::Routes, RunError> {
        let Some(agent) = &self.agent else { return Ok(credentials::Routes::default()) };
        let declared = self.declared.credentials.iter();
        let mut said: BTreeMap<String, KeySource> =
            declared.map(|(name, source)| (name.clone(), source.value.clone())).collect();
        for Key { provider, source } in &self.request.keys {
            let name = match provider {
                Some(provider) => format!("{}/{provider}", agent.name),
                None => agent.name.clone(),
            };
            said.insert(name, source.clone());
        }
        let keys = credentials::Keys { said: &said, environment: &context.environment };
        let folder = context.home.data().join("run").join(&agent.name);
        credentials::routes(agent, &keys, home, &folder)
    }

    /// Rules of the proxy: the agent's hosts but for those behind a route, the manifest's, the user's.
    fn rules(&self, routed: &[String]) -> Vec<String> {
        let hosts = self.agent.iter().flat_map(|agent| &agent.run.hosts);
        let hosts = hosts.filter(|host| !routed.contains(host));
        let said = self.declared.allow.iter().chain(&self.request.allow);
        hosts.cloned().chain(said.map(|rule| rule.text().to_owned())).collect()
    }

    /// The way out: the proxy's list, the credential routes, and what the agent must be told of them.
    fn network(&self, context: &Context, home: &Path, spec: &mut Spec) -> Result<(), RunError> {
        spec.network = match self.reach() {
            Reach::None => spec::Network::None,
            Reach::Host => {
                context.reporter.warn(
                    "the host's network is open inside, and with it this machine's own services; keys are not added to it",
                );
                spec::Network::Host
            }
            Reach::Proxy => {
                for (name, value) in environment(spec::PROXY_PORT) {
                    spec.env.insert(name.into(), value);
                }
                let routes = self.routes(context, home)?;
                if let Some(agent) = self.agent.as_ref().filter(|agent| !agent.run.route.is_empty())
                    && routes.egress.is_empty()
                {
                    let mut keys: Vec<&str> =
                        agent.run.route.iter().flat_map(|route| &route.key).map(String::as_str).collect();
                    keys.dedup();
                    context.reporter.note(&format!(
                        "no key for {}: set {}, or name its place with `--key file:PATH`",
                        agent.title,
                        keys.join(" or ")
                    ));
                }
                let allow = self.rules(&routes.hosts);
                spec.env.extend(routes.env);
                let laid_over = routes.mounts.into_iter().filter(|_| self.request.mode == Mode::Isolated);
                spec.mounts.extend(laid_over);
                spec::Network::Proxy(Egress { allow, routes: routes.egress })
            }
        };
        Ok(())
    }
}

/// Those of the caller's that are passed in, and those that are set.
fn variables(
    environment: &Environment,
    asked: &[Variable],
    declared: &[Variable],
) -> Result<BTreeMap<String, String>, RunError> {
    let mut variables = BTreeMap::new();
    for Variable { name, value } in declared.iter().chain(asked) {
        let value = value.as_deref().or_else(|| environment.text(name));
        let value = value.ok_or_else(|| RunError::Variable(name.clone()))?;
        variables.insert(name.clone(), value.to_owned());
    }
    Ok(variables)
}

/// What programs inside may believe of the caller's terminal: its kind, where the image knows it.
fn terminal(environment: &Environment, env: &mut BTreeMap<String, String>, root: &Path) {
    let term = environment.text("TERM").unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte);
    let known = term.as_bytes().first().is_some_and(|&first| {
        let place = format!("{}/{term}", char::from(first));
        term.bytes().all(plain)
            && ["usr/share/terminfo", "lib/terminfo", "etc/terminfo"]
                .iter()
                .any(|folder| fs::symlink_metadata(root.join(folder).join(&place)).is_ok())
    });
    env.insert("TERM".into(), if known { term.to_owned() } else { "xterm-256color".into() });
    if let Some(value) = environment.text("COLORTERM") {
        env.insert("COLORTERM".into(), value.to_owned());
    }
}

/// A directory's name as part of a sandbox's.
pub fn short_name(directory: &Path) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    directory
        .file_name()
        .map(|name| name.to_string_lossy().chars().map(fits).take(24).collect())
        .unwrap_or_default()
}

/// A name of the sandbox: `agent@directory` and the caller's process, or what the user said.
fn name(request: &Request, workspace: &Path) -> String {
    if let Some(name) = &request.name {
        return name.clone();
    }
    let what = request.agent.as_deref().unwrap_or("run");
    let what = short_name(Path::new(what.trim_end_matches(".toml")));
    format!("{what}@{}-{}", short_name(workspace), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(request: &'a Request, declared: Run, agent: Option<&str>) -> Asked<'a> {
        Asked {
            platform: Platform::host().unwrap(),
            declared,
            agent: agent.map(|name| Recipe::load(name, Path::new("/")).unwrap()),
            request,
        }
    }

    #[test]
    fn an_agent_alone_is_autonomous_and_a_command_is_itself() {
        let args = |agent, command: &[&str]| {
            let request =
                Request { command: command.iter().map(|&word| word.into()).collect(), ..Request::default() };
            asked(&request, Run::default(), agent).args()
        };
        assert_eq!(args(Some("claude-code"), &[]), ["claude", "--dangerously-skip-permissions"]);
        assert_eq!(args(Some("claude-code"), &["-p", "hi"])[2..], ["-p", "hi"]);
        assert_eq!(args(Some("opencode"), &["run", "hi"]), ["opencode", "run", "hi"]);
        assert_eq!(args(None, &["bash"]), ["bash"]);
        assert!(args(None, &[]).is_empty());
    }

    #[test]
    fn flags_win_over_what_is_declared() {
        let declared = Run {
            network: Some(Reach::Host),
            memory: Some("1GiB".parse().unwrap()),
            pids: Some(Processes(10)),
            ..Run::default()
        };
        let request = Request {
            network: Some(Reach::None),
            memory: Some(Size(2 << 30)),
            cpus: Some(Processors(1500)),
            ..Request::default()
        };
        let asked = asked(&request, declared, None);
        assert_eq!(asked.reach(), Reach::None);
        let limits = asked.limits();
        assert_eq!(
            (limits.memory, limits.cpu_milli, limits.processes),
            (Some(2 << 30), Some(1500), Some(10))
        );
    }

    #[test]
    fn a_terminal_the_image_does_not_know_is_not_promised() {
        let dir = tempfile::tempdir().unwrap();
        let mut env = BTreeMap::new();
        terminal(&Environment::default(), &mut env, dir.path());
        assert_eq!(env["TERM"], "xterm-256color");
    }

    #[test]
    fn sandbox_names_are_names() {
        let request = Request { agent: Some("./tools/my agent.toml".into()), ..Request::default() };
        let name = name(&request, Path::new("/w/päth with spaces"));
        pinfold_sandbox::plan::check_name(&name).unwrap();
        assert!(name.starts_with("my-agent@p-th-with-spaces-"), "{name}");
    }
}
