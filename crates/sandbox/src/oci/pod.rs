//! The same plan for a container runtime that Kubernetes speaks with: a pod of one container, in the words of the container runtime
//! interface (CRI).
//!
//! ```text
//!   Plan ─► Pod     sandbox      a pod with a network of its own, which is taken away before the container is made
//!                   container    the image by its id; process 1 is this program, as in a bundle
//!                   made         what the session's folder must have for the mounts: memory's place, the filter of system calls
//! ```
//!
//! **States as different** ([`walls`]): one user of the host's own instead of user namespaces; what is memory elsewhere is a folder of
//! the session; limits of the whole sandbox are the runtime's.
//!
//! **Refuses** directories of the host that are to be written to and that the program's user cannot write to: CRI mounts show a
//! directory with the owner it has.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;

use pinfold_cri::message::Capabilities;
use pinfold_cri::message::ContainerConfig;
use pinfold_cri::message::ContainerName;
use pinfold_cri::message::ContainerSecurity;
use pinfold_cri::message::Dns;
use pinfold_cri::message::ImageName;
use pinfold_cri::message::Int64;
use pinfold_cri::message::LinuxContainer;
use pinfold_cri::message::LinuxSandbox;
use pinfold_cri::message::Mount;
use pinfold_cri::message::Namespaces;
use pinfold_cri::message::Profile;
use pinfold_cri::message::Resources;
use pinfold_cri::message::SandboxConfig;
use pinfold_cri::message::SandboxName;
use pinfold_cri::message::SandboxSecurity;
use pinfold_cri::message::Variable;
use rustix::fs::Access as Allowed;

use crate::error::SandboxError;
use crate::oci::config;
use crate::oci::config::BundleError;
use crate::oci::config::BundlePaths;
use crate::oci::config::GUEST_PATH;
use crate::oci::protect;
use crate::plan::MountKind;
use crate::plan::Namespace;
use crate::plan::Plan;
use crate::plan::Proof;
use crate::plan::ids::Outside;
use crate::plan::wall::Standing;
use crate::plan::wall::Wall;
use crate::spec::Access;
use crate::spec::EGRESS_SOCKET;
use crate::start::spawn::guest::GUEST_WORD;
use crate::start::spawn::guest::Lifeline;
use crate::start::spawn::guest::SUPERVISOR_SOCKET;
use crate::start::spawn::guest::Task;
use crate::words;

/// The label by which pods of ours are found: its value is the session's folder.
pub(crate) const LABEL: &str = "pinfold.sandbox";
/// Kubernetes' namespace, which such pods have by name only.
const NAMESPACE: &str = "pinfold";
/// The container's name, and its log's.
pub(crate) const CONTAINER: &str = "program";
/// What a runtime shows of the host's devices and drivers.
const HIDDEN: &str = "/sys";

/// What is in the session's folder for the mounts, made before the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// A directory of these permission bits, the program's own if it may write there.
    Directory { path: PathBuf, mode: u32, access: Access },
    /// A file to mount on.
    Empty(PathBuf),
    /// A file with this text.
    Text(PathBuf, String),
}

/// What CRI is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) sandbox: SandboxConfig,
    pub(crate) container: ContainerConfig,
    pub(crate) made: Vec<Made>,
    /// Who the program is, on the host too.
    pub(crate) user: (u32, u32),
}

/// Who the program is: the image's user where root starts it, otherwise the caller.
fn user(plan: &Plan) -> (u32, u32) {
    let ids = plan.ids;
    if ids.outside == Outside::Caller && ids.host_uid != 0 {
        (ids.host_uid, ids.host_gid)
    } else {
        (ids.uid, ids.gid)
    }
}

/// How the plan's walls stand in such a pod.
pub(crate) fn walls(plan: &Plan) -> Vec<Standing> {
    plan.walls
        .iter()
        .map(|standing| match standing.wall {
            Wall::UserNamespaces => {
                let told = format!("the program is user {} of the host, without capabilities", user(plan).0);
                Standing::off(standing.wall, told)
            }
            Wall::Cgroup if standing.on => Standing::graded(standing.wall, "the runtime's own"),
            _ => standing.clone(),
        })
        .collect()
}

/// The pod. `folder` is the session's for this, `image` the id that the runtime knows the image by, `unique` tells the pod from
/// others of its name, `terminal` has lines and columns.
pub(crate) fn pod(
    plan: &Plan,
    paths: &BundlePaths,
    image: &str,
    folder: &Path,
    unique: &str,
    terminal: Option<(u16, u16)>,
) -> Result<Pod, SandboxError> {
    let args =
        words::texts(&plan.args).map_err(|word| BundleError::Word(word.to_string_lossy().into_owned()))?;
    config::settled(plan)?;
    let user = user(plan);
    let (mounts, mut made) = mounts(plan, paths, folder, user)?;
    let network = plan.namespaces.contains(&Namespace::Network);
    let namespaces = Namespaces {
        network: if network { 0 } else { Namespaces::NODE },
        processes: Namespaces::CONTAINER,
        ipc: 0,
    };
    let seccomp = if plan.guards.seccomp.holds() {
        let path = folder.join("seccomp.json");
        let text = crate::start::walls::seccomp::oci(plan.debug).map_err(BundleError::from)?.to_string();
        made.push(Made::Text(path.clone(), text));
        Profile { kind: Profile::FILE, file: shown(&path) }
    } else {
        Profile { kind: Profile::RUNTIME, file: String::new() }
    };
    let task = Task {
        listens: plan.listens.clone(),
        key: None,
        proof: if network { Proof::NoNetwork } else { plan.proof },
        landlock: plan.landlock.clone(),
        lifeline: Lifeline::Socket,
        guards: plan.guards.clone(),
        terminal,
        rlimits: plan.rlimits.clone(),
        umask: Some(plan.umask),
    };
    let task = serde_json::to_string(&task).unwrap_or_default();
    let mut command = vec![GUEST_PATH.to_owned(), GUEST_WORD.to_owned(), task];
    command.extend(args);
    let number = |value: u32| Some(Int64 { value: i64::from(value) });
    let labels = HashMap::from([(LABEL.to_owned(), shown(folder))]);
    let targets = |wanted: &MountKind| -> Vec<String> {
        plan.mounts.iter().filter(|mount| mount.kind == *wanted).map(|mount| shown(&mount.target)).collect()
    };
    let mut masked = targets(&MountKind::Mask);
    masked.push(HIDDEN.to_owned());
    let sysctls = network.then(|| ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned()));
    let sandbox = SandboxConfig {
        name: Some(SandboxName {
            name: plan.name.replace(['@', '_'], "-").to_lowercase(),
            uid: unique.to_owned(),
            namespace: NAMESPACE.to_owned(),
        }),
        hostname: if network { plan.hostname.clone() } else { String::new() },
        log_directory: shown(&folder.join("log")),
        dns: network.then(|| Dns { servers: vec!["127.0.0.1".to_owned()] }),
        labels: labels.clone(),
        linux: Some(LinuxSandbox {
            cgroup_parent: String::new(),
            security: Some(SandboxSecurity {
                namespaces: Some(namespaces.clone()),
                user: number(user.0),
                group: number(user.1),
                read_only_root: true,
                seccomp: Some(Profile { kind: Profile::RUNTIME, file: String::new() }),
            }),
            sysctls: sysctls.into_iter().collect(),
        }),
    };
    let container = ContainerConfig {
        name: Some(ContainerName { name: CONTAINER.to_owned() }),
        image: Some(ImageName { name: image.to_owned() }),
        command,
        directory: shown(&plan.cwd),
        variables: plan
            .env
            .iter()
            .map(|(key, value)| Variable { key: key.clone(), value: value.clone() })
            .collect(),
        mounts,
        labels,
        log: format!("{CONTAINER}.log"),
        linux: Some(LinuxContainer {
            resources: resources(plan),
            security: Some(ContainerSecurity {
                capabilities: Some(Capabilities { drop: vec!["ALL".to_owned()] }),
                namespaces: Some(namespaces),
                user: number(user.0),
                group: number(user.1),
                read_only_root: plan.guards.read_only_root.holds(),
                no_new_privileges: plan.guards.no_new_privileges.holds(),
                masked,
                protected: targets(&MountKind::Protect),
                seccomp: Some(seccomp),
            }),
        }),
    };
    Ok(Pod { sandbox, container, made, user })
}

/// A path in the interface, which has text for them.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn resources(plan: &Plan) -> Option<Resources> {
    let values = config::resources(plan)?;
    let number = |table: &str, key: &str| values[table][key].as_i64().unwrap_or_default();
    let mut unified = HashMap::new();
    // The first version's limit of processes is none of the interface's; those of each process hold.
    if let Some(count) = values["pids"]["limit"].as_i64()
        && Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    {
        unified.insert("pids.max".to_owned(), count.to_string());
    }
    Some(Resources {
        cpu_period: number("cpu", "period"),
        cpu_quota: number("cpu", "quota"),
        memory: number("memory", "limit"),
        memory_with_swap: number("memory", "swap"),
        unified,
    })
}

/// The plan's mounts as the host's paths, and what of those must be made first.
fn mounts(
    plan: &Plan,
    paths: &BundlePaths,
    folder: &Path,
    user: (u32, u32),
) -> Result<(Vec<Mount>, Vec<Made>), SandboxError> {
    let mut mounts: Vec<Mount> = Vec::new();
    let mut made = vec![Made::Directory { path: folder.join("log"), mode: 0o700, access: Access::ReadOnly }];
    // Where memory would be, by its target.
    let mut own: Vec<(PathBuf, PathBuf)> = Vec::new();
    let place = |target: &Path, path: &Option<PathBuf>| {
        path.clone().ok_or_else(|| BundleError::NotGiven(target.to_owned()))
    };
    let bind = |target: &Path, source: &Path, access: Access| Mount {
        target: shown(target),
        source: shown(source),
        read_only: access == Access::ReadOnly,
    };
    for mount in &plan.mounts {
        let target = &mount.target;
        // Devices, memory of `/dev/shm` and queues are the runtime's own.
        if target.starts_with("/dev") && !matches!(mount.kind, MountKind::Host(_)) {
            continue;
        }
        match &mount.kind {
            MountKind::Host(source) => {
                if mount.access == Access::ReadWrite && !may_write(source, user) {
                    return Err(BundleError::Foreign { path: source.clone(), uid: user.0 }.into());
                }
                mounts.push(bind(target, source, mount.access));
            }
            MountKind::Home => mounts.push(bind(target, &place(target, &paths.home)?, Access::ReadWrite)),
            MountKind::Written(_) => {
                let copy = place(target, &paths.written.get(target).cloned())?;
                mounts.push(bind(target, &copy, Access::ReadWrite));
            }
            MountKind::Memory { mode, .. } => {
                let path = folder.join("memory").join(own.len().to_string());
                made.push(Made::Directory { path: path.clone(), mode: *mode, access: mount.access });
                mounts.push(bind(target, &path, mount.access));
                own.push((target.clone(), path));
            }
            MountKind::Egress => {
                mounts.push(bind(
                    Path::new(EGRESS_SOCKET),
                    &place(target, &paths.egress)?,
                    Access::ReadWrite,
                ));
            }
            MountKind::Closed { .. } => {
                let path = folder.join("closed");
                made.push(Made::Directory { path: path.clone(), mode: 0o555, access: Access::ReadOnly });
                mounts.push(bind(target, &path, Access::ReadOnly));
            }
            MountKind::Socket { .. } => {
                mounts.push(bind(target, Path::new("/dev/null"), Access::ReadOnly));
            }
            MountKind::Hold(_) | MountKind::Keep(_) | MountKind::Missing(_) => {
                let (source, access) = protect::source(mount, paths.coverings.as_ref())?;
                mounts.push(bind(target, &source, access));
            }
            MountKind::Proc
            | MountKind::Terminals
            | MountKind::Queues
            | MountKind::Device(_)
            | MountKind::Mask
            | MountKind::Protect => {}
        }
    }
    let program = place(Path::new(GUEST_PATH), &paths.program)?;
    mounts.push(bind(Path::new(GUEST_PATH), &program, Access::ReadOnly));
    mounts.push(bind(Path::new(SUPERVISOR_SOCKET), &folder.join("s"), Access::ReadWrite));
    // A runtime cannot make what it mounts on in a directory that is read-only already.
    for mount in &mounts {
        let target = Path::new(&mount.target);
        let around = own.iter().filter(|(within, _)| target != within && target.starts_with(within));
        if let Some((within, path)) = around.max_by_key(|(within, _)| within.components().count())
            && let Ok(rest) = target.strip_prefix(within)
        {
            let at = path.join(rest);
            made.push(if Path::new(&mount.source).is_dir() || own.iter().any(|(one, _)| one == target) {
                Made::Directory { path: at, mode: 0o755, access: Access::ReadOnly }
            } else {
                Made::Empty(at)
            });
        }
    }
    Ok((mounts, made))
}

/// Whether the program could write to a path of the host, by its permission bits.
fn may_write(path: &Path, (uid, gid): (u32, u32)) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(found) = fs_err::metadata(path) else { return false };
    // As ourselves the kernel knows better, access lists among it.
    if rustix::process::geteuid().as_raw() == uid {
        return rustix::fs::access(path, Allowed::WRITE_OK).is_ok();
    }
    let bit = match (found.uid() == uid, found.gid() == gid) {
        (true, _) => 0o200,
        (false, true) => 0o020,
        (false, false) => 0o002,
    };
    found.mode() & bit != 0
}
