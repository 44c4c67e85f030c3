//! From a request and what is wanted of a cluster to the objects' values.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use pinfold_base::Shown;
use pinfold_base::address::SystemResolver;
use pinfold_base::shown;
use pinfold_base::time::rfc3339;
use pinfold_image::Place;
use pinfold_image::Reference;
use pinfold_kube::judge;
use pinfold_kube::judge::Document;
use pinfold_kube::judge::Judging;
use pinfold_kube::objects;
use pinfold_kube::objects::File;
use pinfold_kube::objects::export::Agent;
use pinfold_kube::objects::export::Export;
use pinfold_kube::objects::export::Form;
use pinfold_kube::objects::export::Isolation;
use pinfold_kube::objects::export::NAME_MAX;
use pinfold_kube::objects::export::Nodes;
use pinfold_kube::objects::export::Program;
use pinfold_kube::objects::export::Proxy;
use pinfold_kube::objects::export::Workspace;
use pinfold_kube::objects::export::mounts_images;
use pinfold_network::Endpoint;
use pinfold_network::Listen;
use pinfold_network::RouteId;
use pinfold_network::Rule;
use pinfold_sandbox::pod::PodProbes;
use pinfold_sandbox::pod::PodProxy;
use pinfold_sandbox::pod::PodTask;
use pinfold_sandbox::pod::PodTasks;
use pinfold_sandbox::spec;

use super::clone::Clone;
use super::error::KubeError;
use super::image;
use super::read;
use super::tasks;
use crate::build;
use crate::build::Naming;
use crate::build::heal::healing;
use crate::context::Context;
use crate::context::Network;
use crate::proxy::ListenAt;
use crate::proxy::Pause;
use crate::proxy::PolicyFile;
use crate::proxy::ProxyFile;
use crate::proxy::RouteFile;
use crate::run::Basis;
use crate::run::Request;
use crate::run::cluster;
use crate::run::cluster::Described;
use crate::run::cluster::KeyOf;
use crate::run::cluster::Route;
use crate::run::cluster::There;
use crate::run::cluster::Whose;
use crate::run::cluster::Work;
use crate::ship::push;
use crate::ship::push::Bill;
use crate::ship::push::Destination;
use crate::ship::sign::Said;
use crate::ship::sign::Signing;
use crate::verify::secrets;

/// Memory of an agent's container where nobody says.
const MEMORY: u64 = 4 << 30;
/// Thousandths of a processor, likewise.
const CPU: u64 = 2000;
/// Where an agent works.
const WORKSPACE: &str = "/workspace";
/// What a workspace that goes with its pod may hold.
const WORKSPACE_SIZE: u64 = 8 << 30;
/// Seconds for which the proxy waits for connections that are there.
const DRAIN: u16 = 30;
/// How long this machine's own name server may take.
const PATIENCE_OF_NAMES: Duration = Duration::from_secs(3);
/// Seconds for which policies may come late.
const PATIENCE: u64 = 60;
/// Seconds for which a sandbox of a pool waits to be claimed.
const CLAIMED_WITHIN: u64 = 7 * 86_400;
/// Servers of the public network that are up.
const PUBLIC: [&str; 3] = ["1.1.1.1:443", "8.8.8.8:53", "9.9.9.9:443"];
/// Pods at most.
const PODS_MAX: u32 = 100_000;
/// Places with a secret that are told at most.
const TOLD_MAX: usize = 20;
/// Replicas of the proxy at most.
const REPLICAS_MAX: u32 = 1000;

/// What is wanted of a cluster.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The agent, its image, what it may reach.
    pub request: Request,
    /// How the sandbox is called; after the agent, unless said.
    pub name: Option<String>,
    /// The namespace.
    pub namespace: String,
    /// What it becomes.
    pub form: FormWish,
    /// Where the image is pushed to.
    pub push: Option<Destination>,
    /// The proxy's image.
    pub proxy_image: Option<String>,
    /// The proxy's address in the cluster.
    pub proxy_address: Option<IpAddr>,
    /// How many proxies.
    pub replicas: u32,
    /// What pods are kept apart by.
    pub isolation: Isolation,
    /// What is in the workspace.
    pub workspace: WorkspaceWish,
    /// Where process 1 comes from.
    pub program: Program,
    /// Secrets with logins for the registry.
    pub pull_secrets: Vec<String>,
    /// How long it may be there.
    pub lifetime: Duration,
    /// Until when, in RFC 3339; the lifetime from now unless said.
    pub until: Option<String>,
    /// Further addresses that must not be reached.
    pub probes: Vec<SocketAddr>,
    /// Addresses that may be open all the same.
    pub accept: Vec<SocketAddr>,
}

/// What it becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormWish {
    /// A sandbox of agent-sandbox.
    Sandbox,
    /// A warm pool.
    Pool {
        /// Sandboxes that wait.
        warm: u32,
        /// Sandboxes at most; twice as many as wait unless said.
        most: Option<u32>,
    },
    /// A pod.
    Pod,
    /// A job.
    Job {
        /// The file with its tasks.
        tasks: PathBuf,
        /// How many at once.
        parallelism: u32,
    },
}

/// What is in a workspace at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkspaceWish {
    /// Nothing; bytes at most.
    Empty(Option<u64>),
    /// What a claim of storage of so many bytes holds.
    Claim(u64),
    /// A clone of a repository.
    Git(String),
}

/// An export.
#[derive(Debug)]
pub struct Exported {
    /// Its values.
    pub export: Export,
    /// Its files.
    pub files: Vec<File>,
    /// Who said where the keys of the proxy are, by the variable that each is called after; those of which nobody did are not in it.
    pub keys: BTreeMap<String, KeyOf>,
}

/// Writes nothing: resolves, builds and pushes what has to be, and says what the objects are.
pub fn export(context: &Context, wish: &Wish) -> Result<Exported, KubeError> {
    // What can be wrong with what was said is told before anything is built or asked for.
    let name = wish.name()?;
    wish.namespace()?;
    wish.isolation()?;
    for (what, name) in wish.pull_secrets.iter().map(|name| ("a Secret of `--pull-secret`", name)) {
        subdomain(what, name)?;
    }
    let until = wish.until(context)?;
    let form = wish.form(&until)?;
    let address = wish.proxy_address.ok_or(KubeError::NoAddress)?;
    service_address(address)?;
    if wish.replicas == 0 || wish.replicas > REPLICAS_MAX {
        return Err(KubeError::value("`--replicas`", format!("is not a number from 1 to {REPLICAS_MAX}")));
    }
    let clone = match &wish.workspace {
        WorkspaceWish::Git(url) => Some(Clone::of(url)?),
        _ => None,
    };
    if clone.is_some() && matches!(form, Form::Pool { .. }) {
        return Err(KubeError::Git(
            "a sandbox of a pool has no way out before it is claimed, and is claimed when it is there",
        ));
    }
    let proxy_image = wish.proxy_image.as_deref().ok_or(KubeError::NoProxyImage)?;
    let mut request = cluster::seen_from_here(context, &wish.request)?;
    let mut pinned = None;
    if let Basis::Image(text) = &request.basis
        && wish.push.is_none()
    {
        let there = match text.parse()? {
            Place::Registry(reference) => Some(reference),
            Place::Store(reference) if reference.registry().is_some() => Some(reference),
            Place::Store(_) | Place::Location(_) => None,
        };
        let there: Reference =
            there.ok_or_else(|| KubeError::NotPushed { image: text.clone(), project: false })?;
        let found = image::of(context, &there)?;
        // What is looked at is what the cluster will run, whatever the tag leads to by then.
        request.basis = Basis::Image(found.clone());
        pinned = Some(found);
    }
    let proxy_image = image::pinned(context, proxy_image)?;
    let meant = cluster::meant(context, &request)?;
    if pinned.is_none() && wish.push.is_none() {
        let (image, project) = match meant.whose() {
            Whose::Project(project) => (project.manifest.name.clone(), true),
            Whose::Image(source) => (source.name().to_owned(), false),
        };
        return Err(KubeError::NotPushed { image, project });
    }
    let work = if matches!(form, Form::Job { .. }) { Work::Task } else { Work::Session };
    let there = There { name: &name, workspace: Path::new(WORKSPACE), work };
    let described = meant.describe(context, request.lock, there)?;
    let has = |path: &str| described.root.join(path).symlink_metadata().is_ok();
    if wish.program == Program::Image && !has(objects::PROGRAM.trim_start_matches('/')) {
        return Err(KubeError::NoProgram);
    }
    let gits = ["usr/bin/git", "usr/local/bin/git", "bin/git", "nix/profile/bin/git"];
    if clone.is_some() && !gits.into_iter().any(has) {
        return Err(KubeError::NoGit);
    }
    // After all that can be wrong with it.
    let pinned = match (pinned, &wish.push) {
        (None, Some(destination)) => pushed(context, &meant.whose(), destination, &request)?,
        (pinned, _) => pinned.unwrap_or_default(),
    };
    let parts = Parts { wish, described: &described, address, name: &name, clone: clone.as_ref() };
    let agent = parts.agent(pinned, &form)?;
    let proxy = parts.proxy(proxy_image)?;
    let export = Export {
        name,
        namespace: wish.namespace.clone(),
        form,
        agent,
        proxy,
        isolation: wish.isolation.clone(),
        pull_secrets: wish.pull_secrets.clone(),
        lifetime: wish.lifetime.as_secs(),
    };
    let files = objects::files(&export);
    described.notes.iter().for_each(|note| context.reporter.note(note));
    if let Some(clone) = &clone
        && context.network() == Network::Online
        && let Some(told) = clone.looked(Arc::new(SystemResolver), PATIENCE_OF_NAMES)
    {
        context.reporter.warn(&told);
    }
    if export.proxy.replicas == 1 {
        context
            .reporter
            .note("one proxy alone: while its node is drained, nothing has a way out, and `--check` says so");
    }
    for place in spotted(&files) {
        context.reporter.warn(&place);
    }
    let said = described.routes.iter().filter_map(|route| Some((route.variable.clone(), route.key.clone()?)));
    Ok(Exported { export, keys: said.collect(), files })
}

/// Where in what is written a secret stands; never what.
pub(super) fn spotted(files: &[File]) -> Vec<String> {
    let document = |file: &File| Document { file: file.name.into(), text: file.text.clone().into_bytes() };
    let documents: Vec<Document> = files.iter().map(document).collect();
    let report = judge::judge(&documents, &Judging::new(secrets::spotted));
    let found = report.findings.iter().filter(|finding| finding.rule == "pinfold/secret").take(TOLD_MAX);
    let told = |finding: &judge::Finding| {
        let judge::Finding { file, line, path, message, .. } = finding;
        shown!("whoever may read the objects reads it: {file}:{line}, `{path}`: {message}").to_string()
    };
    found.map(told).collect()
}

/// An address that a Service can have.
pub(super) fn service_address(address: IpAddr) -> Result<(), KubeError> {
    let what = match address.to_canonical() {
        address if address.is_unspecified() => "that of no machine",
        address if address.is_loopback() => "each machine's own",
        address if address.is_multicast() => "that of a group",
        IpAddr::V4(address) if address.is_broadcast() => "that of everybody",
        IpAddr::V4(address) if address.is_link_local() => "one of a link",
        IpAddr::V6(address) if address.is_unicast_link_local() => "one of a link",
        _ => return Ok(()),
    };
    Err(KubeError::Address { address, what })
}

/// Builds what is a project's, and pushes it with all its platforms.
fn pushed(
    context: &Context,
    whose: &Whose<'_>,
    destination: &Destination,
    request: &Request,
) -> Result<String, KubeError> {
    let signing = Signing::of(context, &Said::default())?;
    let options =
        |budget| push::Options { sign: signing.clone(), bill: Bill::Attach, budget, ..Default::default() };
    let pushed = match whose {
        Whose::Image(source) => push::push(context, source, destination, &options(None))?,
        Whose::Project(project) => {
            let wanted = build::Options { name: Naming::Unnamed, ..build::Options::new(request.lock) };
            let options = options(project.manifest.policy.size_budget);
            healing(context, || {
                let outcome = build::build(context, project, &wanted)?;
                Ok::<_, KubeError>(push::push(context, &outcome.source, destination, &options)?)
            })?
        }
    };
    let name = destination.reference();
    Ok(format!("{}@{}", name.name(), pushed.digest))
}

/// A name as clusters have them (RFC 1123), so short that others can be made of it.
fn label(what: &'static str, text: &str, most: usize) -> Result<(), KubeError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let ends = !text.starts_with('-') && !text.ends_with('-');
    if text.is_empty() || text.len() > most || !text.bytes().all(fits) || !ends {
        return Err(KubeError::Name { what, text: Shown::from(text), most });
    }
    Ok(())
}

/// The name of an object (RFC 1123, labels with dots between them).
fn subdomain(what: &'static str, text: &str) -> Result<(), KubeError> {
    let fits = text.len() <= 253 && text.split('.').all(|part| label(what, part, 63).is_ok());
    if fits { Ok(()) } else { Err(KubeError::Subdomain { what, text: Shown::from(text) }) }
}

impl Wish {
    /// The namespace has a name, and is none of the cluster's own.
    pub(super) fn namespace(&self) -> Result<(), KubeError> {
        let name = &self.namespace;
        label("the namespace", name, 63 - "-proxy".len())?;
        if name == "default" || name.starts_with("kube-") {
            return Err(KubeError::Namespace(name.clone()));
        }
        Ok(())
    }

    /// What keeps pods apart goes together.
    pub(super) fn isolation(&self) -> Result<(), KubeError> {
        let Isolation { runtime_class, nodes, .. } = &self.isolation;
        if let Some(class) = runtime_class {
            subdomain("a class of `--runtime-class`", class)?;
        }
        let class = if *nodes == Nodes::GkeSandbox { Some("gvisor") } else { runtime_class.as_deref() };
        if self.program == Program::Volume
            && let Some(class) = class.filter(|class| !mounts_images(class))
        {
            let problem = format!("is no `volume` in the class `{class}`, which mounts no image: say `copy`");
            return Err(KubeError::value("`--program`", problem));
        }
        if *nodes == Nodes::Any {
            return Ok(());
        }
        if runtime_class.as_ref().is_some_and(|class| class != "gvisor") {
            return Err(KubeError::value("`--runtime-class`", "is not `gvisor`, which `--gke` means"));
        }
        Ok(())
    }

    /// The name: what was said, or the agent's and that of its session.
    pub(super) fn name(&self) -> Result<String, KubeError> {
        let made = || {
            let what = self.request.agent.as_deref().unwrap_or("sandbox");
            what.trim_end_matches(".toml")
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .replace(['@', '.', '_'], "-")
        };
        let name = self.name.clone().unwrap_or_else(made);
        label("the sandbox", &name, NAME_MAX)?;
        Ok(name)
    }

    /// When it ends.
    fn until(&self, context: &Context) -> Result<String, KubeError> {
        let said = context.environment.text("SOURCE_DATE_EPOCH").and_then(|text| text.parse().ok());
        let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        self.until_from(said.unwrap_or_else(clock))
    }

    /// When it ends, where it is `now`.
    pub(super) fn until_from(&self, now: u64) -> Result<String, KubeError> {
        if self.lifetime < Duration::from_secs(60) || self.lifetime > Duration::from_secs(366 * 86_400) {
            return Err(KubeError::value("`--lifetime`", "is less than a minute or more than a year"));
        }
        match &self.until {
            // Times of this form are in the order of their letters.
            Some(text) if is_time(text) && *text <= rfc3339(now) => {
                Err(KubeError::value("`--until`", format!("is over: it is {} now", rfc3339(now))))
            }
            Some(text) if is_time(text) => Ok(text.clone()),
            Some(_) => Err(KubeError::value("`--until`", "is no time like `2026-12-31T18:00:00Z`")),
            None => Ok(rfc3339(now.saturating_add(self.lifetime.as_secs()))),
        }
    }

    fn form(&self, until: &str) -> Result<Form, KubeError> {
        let until = until.to_owned();
        Ok(match &self.form {
            FormWish::Sandbox => Form::Sandbox { until },
            FormWish::Pod => Form::Pod,
            FormWish::Pool { warm: 0, .. } => {
                return Err(KubeError::value("`--pool`", "is 0, and nothing would wait"));
            }
            FormWish::Pool { warm, most } => {
                let most = most.unwrap_or_else(|| warm.saturating_mul(2).max(1));
                if *warm > most || most > PODS_MAX {
                    let problem = format!("is not a number from that of `--pool` to {PODS_MAX}");
                    return Err(KubeError::value("`--max`", problem));
                }
                Form::Pool { warm: *warm, most, until }
            }
            FormWish::Job { tasks: file, parallelism } => {
                let bytes = read::bounded(file, tasks::FILE_MAX).map_err(|error| match error {
                    KubeError::Io(error) => KubeError::NoTasks(Shown::of(&error)),
                    error => error,
                })?;
                let tasks = tasks::parse(file, &bytes)?;
                let parallelism = usize::try_from(*parallelism).unwrap_or(usize::MAX);
                if parallelism == 0 {
                    return Err(KubeError::value("`--parallelism`", "is 0, and nothing would be done"));
                }
                Form::Job { parallelism: parallelism.min(tasks.len()), tasks }
            }
        })
    }
}

/// Whether it is a time in UTC, to the second.
pub(super) fn is_time(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>, least: u32, most: u32| {
        let digits = text.get(range).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|text| text.parse().ok()).is_some_and(|number| (least..=most).contains(&number))
    };
    let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "Z")];
    text.len() == 20
        && marks.into_iter().all(|(at, mark)| text.get(at..=at) == Some(mark))
        && number(0..4, 2000, 9999)
        && number(5..7, 1, 12)
        && number(8..10, 1, 31)
        && number(11..13, 0, 23)
        && number(14..16, 0, 59)
        && number(17..19, 0, 59)
}

/// What the objects are made of.
pub(super) struct Parts<'a> {
    pub(super) wish: &'a Wish,
    pub(super) described: &'a Described,
    pub(super) address: IpAddr,
    pub(super) name: &'a str,
    pub(super) clone: Option<&'a Clone>,
}

impl Parts<'_> {
    pub(super) fn agent(&self, image: String, form: &Form) -> Result<Agent, KubeError> {
        let described = self.described;
        let home =
            described.home.to_str().ok_or(KubeError::value("the image", "has a home that is no UTF-8"))?;
        if Path::new(WORKSPACE).starts_with(home) || Path::new(home).starts_with(WORKSPACE) {
            let problem = format!("has the home `{home}`, where the workspace belongs");
            return Err(KubeError::value("the image", problem));
        }
        let content = match (&self.wish.workspace, self.clone) {
            (WorkspaceWish::Claim(size), _) => Workspace::Claim { size: *size },
            (_, Some(clone)) => {
                Workspace::Git { size: WORKSPACE_SIZE, clone: json(&self.clone_task(form, clone))? }
            }
            (WorkspaceWish::Empty(size), None) => Workspace::Empty { size: size.unwrap_or(WORKSPACE_SIZE) },
            (WorkspaceWish::Git(_), None) => Workspace::Empty { size: WORKSPACE_SIZE },
        };
        let mut env = described.env.clone();
        // git works in no directory of another user's, and a volume's own directory is root's.
        for (name, value) in [
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "safe.directory"),
            ("GIT_CONFIG_VALUE_0", WORKSPACE),
        ] {
            env.entry(name.into()).or_insert_with(|| value.into());
        }
        Ok(Agent {
            image,
            uid: described.user.uid,
            gid: described.user.gid,
            home: home.to_owned(),
            env,
            writable: described.volumes.clone(),
            workspace: WORKSPACE.into(),
            content,
            program: self.wish.program,
            pod: json(&self.task(form))?,
            home_files: described.home_files.clone(),
            memory: described.memory.unwrap_or(MEMORY),
            cpu_milli: described.cpu_milli.unwrap_or(CPU),
        })
    }

    /// What process 1 does.
    fn task(&self, form: &Form) -> PodTask {
        let described = self.described;
        let listen = |route: RouteId, port: u16| Listen { route, at: Endpoint::Port(port) };
        let mut listens = vec![listen(RouteId::PROXY, spec::PROXY_PORT)];
        listens.extend(described.routes.iter().map(|route| listen(route.spec.id, route.spec.listen_port)));
        let workspace = match self.clone {
            Some(clone) => Path::new(WORKSPACE).join(&clone.directory),
            None => WORKSPACE.into(),
        };
        let mut writable: BTreeSet<PathBuf> = described.volumes.iter().map(PathBuf::from).collect();
        writable.extend([
            PathBuf::from(WORKSPACE),
            described.home.clone(),
            "/tmp".into(),
            "/run/pinfold/run".into(),
        ]);
        let public = PUBLIC.into_iter().filter_map(|address| address.parse().ok());
        let (program, tasks) = match form {
            Form::Job { .. } => {
                let tasks =
                    PodTasks { directory: "/etc/pinfold/tasks".into(), words: described.args.clone() };
                (Vec::new(), Some(tasks))
            }
            _ => (described.args.clone(), None),
        };
        PodTask {
            version: PodTask::VERSION,
            proxy: PodProxy {
                addresses: vec![SocketAddr::new(self.address, objects::PROXY_PORT)],
                name: objects::PROXY.into(),
                ca: "/etc/pinfold/pod/ca.pem".into(),
                token: "/run/pinfold/token/token".into(),
                token_wait_seconds: match form {
                    Form::Pool { .. } => CLAIMED_WITHIN,
                    _ => 0,
                },
            },
            listens,
            probes: PodProbes {
                connect: public.chain(self.wish.probes.iter().copied()).collect(),
                accept: self.wish.accept.clone(),
                patience_seconds: PATIENCE,
            },
            workspace,
            writable: writable.into_iter().collect(),
            program,
            terminal: tasks.is_none(),
            tasks,
        }
    }

    /// What the container that clones does.
    fn clone_task(&self, form: &Form, clone: &Clone) -> PodTask {
        let words = ["git", "clone", "--", &clone.url, &clone.directory].map(str::to_owned);
        PodTask {
            workspace: WORKSPACE.into(),
            program: words.to_vec(),
            terminal: false,
            tasks: None,
            ..self.task(form)
        }
    }

    fn rules(&self) -> Result<Vec<Rule>, KubeError> {
        let said = self.described.allow.iter().map(String::as_str);
        let mut rules = BTreeMap::new();
        for text in said.chain(self.clone.map(|clone| clone.rule.as_str())) {
            let rule: Rule = text
                .parse()
                .map_err(|error: pinfold_network::RuleError| KubeError::value("a rule", error.to_string()))?;
            rules.insert(rule.to_string(), rule);
        }
        Ok(rules.into_values().collect())
    }

    fn route(route: &Route) -> RouteFile {
        let Route { spec, variable, .. } = route;
        RouteFile {
            id: spec.id.0,
            name: spec.name.clone(),
            upstream: spec.upstream.clone(),
            header: spec.header,
            key: Path::new("/etc/pinfold/keys").join(variable),
            paths: spec.paths.clone(),
            reach: spec.reach,
            request: spec.request.clone(),
            set_headers: spec.set_headers.clone(),
            append_headers: spec.append_headers.clone(),
        }
    }

    pub(super) fn proxy(&self, image: String) -> Result<Proxy, KubeError> {
        let rules = self.rules()?;
        let routes = &self.described.routes;
        let ports = rules
            .iter()
            .flat_map(ports)
            .chain(routes.iter().map(|route| upstream_port(&route.spec.upstream.to_string())));
        let ports: BTreeSet<u16> = ports.chain([443]).collect();
        let policy = PolicyFile { allow: rules, route: routes.iter().map(Self::route).collect() };
        let config = ProxyFile {
            listen: ListenAt::Tcp(SocketAddr::from(([0, 0, 0, 0], objects::PROXY_PORT))),
            health: Some(SocketAddr::from(([0, 0, 0, 0], objects::HEALTH_PORT))),
            certificate: Some("/etc/pinfold/tls/tls.crt".into()),
            key: Some("/etc/pinfold/tls/tls.key".into()),
            identities: Some("/etc/pinfold/identities".into()),
            journal: "-".into(),
            drain: Pause(Duration::from_secs(u64::from(DRAIN))),
            policy: BTreeMap::from([(self.name.to_owned(), policy)]),
            ..ProxyFile::default()
        };
        config.check(Path::new("proxy.toml"))?;
        Ok(Proxy {
            image,
            config: config.to_toml(),
            address: self.address,
            replicas: self.wish.replicas,
            ports,
            keys: routes.iter().map(|route| route.variable.clone()).collect(),
            drain: DRAIN,
        })
    }
}

/// Ports that a rule is for, as its text says.
fn ports(rule: &Rule) -> Vec<u16> {
    let text = rule.to_string();
    let end = text.rsplit_once(']').map_or(text.as_str(), |(_, end)| end);
    match end.rsplit_once(':').and_then(|(_, port)| port.parse().ok()) {
        Some(port) => vec![port],
        None => vec![80, 443],
    }
}

/// The port of a provider's address.
fn upstream_port(url: &str) -> u16 {
    let (rest, usual) = match url.strip_prefix("http://") {
        Some(rest) => (rest, 80),
        None => (url.trim_start_matches("https://"), 443),
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let end = authority.rsplit_once(']').map_or(authority, |(_, end)| end);
    end.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(usual)
}

/// The text of a task that process 1 takes.
fn json(task: &PodTask) -> Result<String, KubeError> {
    task.check()?;
    let mut text = serde_json::to_string_pretty(task).map_err(std::io::Error::from)?;
    text.push('\n');
    Ok(text)
}
