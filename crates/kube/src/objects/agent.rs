//! The agent's pod: one hardened container, and those that prepare its directories.
//!
//! ```text
//!   init  program   the program of the proxy's image, copied           (where the image has none)
//!         home      the image's home, copied to where it is writable
//!         clone     the workspace, cloned through the proxy            (where that is asked for)
//!   agent           process 1: proves that there is no other way out, then starts the agent
//! ```
//!
//! **Guarantees**: what Pod Security *restricted* asks for, and beside it a read-only root, limits of memory and processors, no
//! account of the cluster, no names by DNS. Whatever can be written to is a volume with a size.

use super::PROGRAM;
use super::PROGRAM_DIRECTORY;
use super::export::Export;
use super::export::Form;
use super::export::Nodes;
use super::export::Program;
use super::export::Users;
use super::export::Workspace;
use super::meta::Metadata;
use super::meta::Named;
use super::meta::Spec;
use super::meta::Strings;
use super::meta::labels;
use super::meta::strings;
use super::pod::ClaimResources;
use super::pod::ClaimSpec;
use super::pod::Container;
use super::pod::Dns;
use super::pod::Item;
use super::pod::Mount;
use super::pod::PodSecurity;
use super::pod::PodSpec;
use super::pod::Projection;
use super::pod::Resources;
use super::pod::Security;
use super::pod::Source;
use super::pod::Toleration;
use super::pod::Variable;
use super::pod::Volume;

/// What a home and `/tmp` may hold.
const SCRATCH: u64 = 4 << 30;
/// What else may be written to.
const SMALL: u64 = 1 << 30;
/// Where the home of the image is filled from, before it is where it belongs.
const HOME_TO: &str = "/run/pinfold/home";
/// Texts that are laid over it.
const HOME_FILES: &str = "/etc/pinfold/home";
/// What the copied program is brought to, before it is where it belongs.
const PROGRAM_TO: &str = "/run/pinfold/program";

/// Labels of agents' pods.
pub(super) fn pod_labels(export: &Export) -> Strings {
    let mut labels = labels("pinfold-sandbox");
    labels.insert("app.kubernetes.io/instance".into(), export.name.clone());
    labels
}

/// The name of the ConfigMap with `pod.json`.
pub(super) fn pod_config(export: &Export) -> String {
    format!("{}-pod", export.name)
}

/// The name of the ConfigMap with files of the home.
pub(super) fn home_config(export: &Export) -> String {
    format!("{}-home", export.name)
}

/// The name of the ConfigMap with the tasks of a number.
pub(super) fn tasks_config(export: &Export, index: usize) -> String {
    format!("{}-tasks-{index}", export.name)
}

/// The name of the claim of storage.
pub(super) fn claim(export: &Export) -> String {
    format!("{}-workspace", export.name)
}

/// The name of the Secret with the token.
pub(super) fn token(export: &Export) -> String {
    format!("{}-token", export.name)
}

/// Bytes as clusters write them.
pub(super) fn quantity(bytes: u64) -> String {
    for (unit, size) in [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    bytes.to_string()
}

/// Thousandths of a processor as clusters write them.
pub(super) fn processors(milli: u64) -> String {
    if milli.is_multiple_of(1000) { (milli / 1000).to_string() } else { format!("{milli}m") }
}

/// What the agent's container asks for: a part of what it may have.
pub(super) fn requests(export: &Export) -> (u64, u64) {
    (export.agent.memory.min(1 << 30), export.agent.cpu_milli.min(250))
}

fn resources(export: &Export) -> Resources {
    let (memory, cpu) = requests(export);
    let pair = |memory, cpu| strings([("cpu", &processors(cpu)), ("memory", &quantity(memory))]);
    Resources { requests: pair(memory, cpu), limits: pair(export.agent.memory, export.agent.cpu_milli) }
}

/// The storage that is asked for.
pub(super) fn claim_spec(size: u64) -> ClaimSpec {
    ClaimSpec {
        access_modes: vec!["ReadWriteOnce"],
        storage_class_name: None,
        resources: ClaimResources { requests: strings([("storage", &quantity(size))]) },
    }
}

fn directory(name: &str, size: u64) -> Volume {
    let source = Source::EmptyDir { medium: None, size_limit: quantity(size) };
    Volume { name: name.to_owned(), source }
}

fn memory(name: &str) -> Volume {
    let source = Source::EmptyDir { medium: Some("Memory"), size_limit: "1Mi".into() };
    Volume { name: name.to_owned(), source }
}

/// A path in a list that has the home's files as keys.
pub(super) fn home_key(index: usize) -> String {
    format!("file-{index}")
}

fn config_map(name: &str, config: String, items: Vec<Item>) -> Volume {
    Volume { name: name.to_owned(), source: Source::ConfigMap { name: config, items } }
}

fn workspace_volume(export: &Export) -> Option<Volume> {
    let name = "workspace";
    let source = match (&export.agent.content, &export.form) {
        (Workspace::Empty { size } | Workspace::Git { size, .. }, _) => return Some(directory(name, *size)),
        // The template of sandboxes names it.
        (Workspace::Claim { .. }, Form::Pool { .. }) => return None,
        // Each pod has its own.
        (Workspace::Claim { size }, Form::Job { .. }) => {
            Source::Ephemeral { volume_claim_template: Spec { spec: claim_spec(*size) } }
        }
        (Workspace::Claim { .. }, _) => Source::PersistentVolumeClaim { claim_name: claim(export) },
    };
    Some(Volume { name: name.to_owned(), source })
}

fn volumes(export: &Export) -> Vec<Volume> {
    let agent = &export.agent;
    let mut volumes = vec![directory("home", SCRATCH), directory("tmp", SCRATCH)];
    volumes.extend(workspace_volume(export));
    volumes.extend((0..agent.writable.len()).map(|index| directory(&format!("data-{index}"), SMALL)));
    volumes.push(memory("run"));
    volumes.push(match export.form {
        // It is handed over when the sandbox is claimed.
        Form::Pool { .. } => memory("token"),
        _ => Volume {
            name: "token".into(),
            source: Source::Secret { secret_name: token(export), default_mode: 0o440 },
        },
    });
    let of = |name: String| Projection::ConfigMap(Named { name });
    volumes.push(Volume {
        name: "pod".into(),
        source: Source::Projected {
            default_mode: None,
            sources: vec![of(pod_config(export)), of(super::AUTHORITY.into())],
        },
    });
    if !agent.home_files.is_empty() {
        let item = |(index, path): (usize, &String)| Item { key: home_key(index), path: path.clone() };
        let items = agent.home_files.keys().enumerate().map(item).collect();
        volumes.push(config_map("home-files", home_config(export), items));
    }
    if let Form::Job { tasks, .. } = &export.form {
        let sources = (0..super::parts(tasks).len()).map(|index| of(tasks_config(export, index))).collect();
        volumes
            .push(Volume { name: "tasks".into(), source: Source::Projected { default_mode: None, sources } });
    }
    match agent.program {
        Program::Image => {}
        Program::Copy => volumes.push(directory("program", 128 << 20)),
        Program::Volume => volumes.push(Volume {
            name: "program".into(),
            source: Source::Image { reference: export.proxy.image.clone(), pull_policy: "IfNotPresent" },
        }),
    }
    volumes
}

/// The volume with the program, where it belongs.
fn program_mount(export: &Export) -> Option<Mount> {
    let mount = Mount::read_only("program", PROGRAM_DIRECTORY);
    match export.agent.program {
        Program::Image => None,
        Program::Copy => Some(mount),
        Program::Volume => Some(Mount { sub_path: Some(PROGRAM_DIRECTORY.trim_start_matches('/')), ..mount }),
    }
}

/// What all containers see that run process 1.
fn mounts(export: &Export) -> Vec<Mount> {
    let agent = &export.agent;
    let mut mounts = vec![
        Mount::writable("home", &agent.home),
        Mount::writable("tmp", "/tmp"),
        Mount::writable("workspace", &agent.workspace),
    ];
    let data = agent.writable.iter().enumerate();
    mounts.extend(data.map(|(index, path)| Mount::writable(&format!("data-{index}"), path)));
    mounts.push(Mount::writable("run", "/run/pinfold/run"));
    mounts.push(match export.form {
        Form::Pool { .. } => Mount::writable("token", "/run/pinfold/token"),
        _ => Mount::read_only("token", "/run/pinfold/token"),
    });
    mounts.push(Mount::read_only("pod", "/etc/pinfold/pod"));
    if matches!(export.form, Form::Job { .. }) {
        mounts.push(Mount::read_only("tasks", "/etc/pinfold/tasks"));
    }
    mounts.extend(program_mount(export));
    mounts
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

fn container(
    export: &Export,
    name: &str,
    image: &str,
    command: Vec<String>,
    mounts: Vec<Mount>,
) -> Container {
    Container {
        name: name.to_owned(),
        image: image.to_owned(),
        image_pull_policy: "IfNotPresent",
        command,
        resources: resources(export),
        security_context: Security::default(),
        volume_mounts: mounts,
        ..Container::default()
    }
}

fn init_containers(export: &Export) -> Vec<Container> {
    let agent = &export.agent;
    let mut containers = Vec::new();
    if agent.program == Program::Copy {
        let command = words([PROGRAM, "pod", "place", PROGRAM_TO]);
        let mounts = vec![Mount::writable("program", PROGRAM_TO)];
        containers.push(container(export, "program", &export.proxy.image, command, mounts));
    }
    let mut command = words([PROGRAM, "pod", "seed", &agent.home, HOME_TO]);
    let mut seen = vec![Mount::writable("home", HOME_TO)];
    if !agent.home_files.is_empty() {
        command.push(HOME_FILES.into());
        seen.push(Mount::read_only("home-files", HOME_FILES));
    }
    seen.extend(program_mount(export));
    containers.push(container(export, "home", &agent.image, command, seen));
    if matches!(agent.content, Workspace::Git { .. }) {
        let command = words([PROGRAM, "pod", "run", "--config", "/etc/pinfold/pod/clone.json"]);
        let clone = container(export, "clone", &agent.image, command, mounts(export));
        containers.push(Container { env: environment(export), ..clone });
    }
    containers
}

fn environment(export: &Export) -> Vec<Variable> {
    let variable = |(name, value): (&String, &String)| Variable { name: name.clone(), value: value.clone() };
    export.agent.env.iter().map(variable).collect()
}

/// The pod.
pub(super) fn pod(export: &Export) -> PodSpec {
    let agent = &export.agent;
    let Isolation { class, users, nodes } = Isolation::of(export);
    let process = container(export, "agent", &agent.image, words([PROGRAM, "pod", "run"]), mounts(export));
    PodSpec {
        service_account_name: super::AGENT_ACCOUNT.into(),
        host_users: users,
        runtime_class_name: class,
        restart_policy: "Never",
        active_deadline_seconds: match export.form {
            Form::Pod | Form::Job { .. } => Some(export.lifetime),
            // The controller ends it at its time.
            Form::Sandbox { .. } | Form::Pool { .. } => None,
        },
        termination_grace_period_seconds: 30,
        hostname: None,
        dns_policy: Some("None"),
        dns_config: Some(Dns { nameservers: vec!["127.0.0.1"] }),
        node_selector: nodes.0,
        tolerations: nodes.1,
        image_pull_secrets: export.pull_secrets.iter().map(|name| Named { name: name.clone() }).collect(),
        security_context: PodSecurity::of(agent.uid, agent.gid),
        init_containers: init_containers(export),
        containers: vec![Container {
            working_dir: Some(agent.workspace.clone()),
            env: environment(export),
            ..process
        }],
        volumes: volumes(export),
        ..PodSpec::default()
    }
}

/// The head of a template of pods.
pub(super) fn pod_metadata(export: &Export) -> Metadata {
    super::kinds::labelled(pod_labels(export))
}

/// What keeps a pod apart, as fields of it.
struct Isolation {
    class: Option<String>,
    users: Option<bool>,
    nodes: (Strings, Vec<Toleration>),
}

impl Isolation {
    fn of(export: &Export) -> Self {
        const GKE: (&str, &str) = ("sandbox.gke.io/runtime", "gvisor");
        let isolation = &export.isolation;
        let (class, nodes) = match isolation.nodes {
            Nodes::Any => (isolation.runtime_class.clone(), Default::default()),
            Nodes::GkeSandbox => {
                let (key, value) = GKE;
                let toleration = Toleration { key, operator: "Equal", value, effect: "NoSchedule" };
                let class = isolation.runtime_class.clone().unwrap_or_else(|| value.to_owned());
                (Some(class), (strings([GKE]), vec![toleration]))
            }
        };
        let users = match isolation.users {
            Users::Cluster => None,
            Users::Own => Some(false),
        };
        Self { class, users, nodes }
    }
}
