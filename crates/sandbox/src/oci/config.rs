//! `config.json`: the plan in the words of the OCI runtime specification (runtime-spec 1.2.0, config-linux.md).
//!
//! **Guarantees**: every namespace of the plan is *listed* (one that is left out is inherited, the network too); the system
//! calls are those of [`crate::start::walls::seccomp`]; no capability in any set.
//!
//! **States as different** ([`Differences`]): an ordinary user is id 0 inside (one id is mapped, and these runtimes must be
//! root while they start); `runsc` has its own kernel in place of seccomp and Landlock.
//!
//! **Refuses**: images that lack a mount point, because these runtimes would make it in the image that all sandboxes share;
//! mounts from inside a directory that the sandbox may write to, because these runtimes follow links when they mount.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::text::word;
use serde_json::Value;
use serde_json::json;

use crate::oci::protect;
use crate::plan::DEVICES;
use crate::plan::IdMap;
use crate::plan::MountKind;
use crate::plan::Namespace;
use crate::plan::Plan;
use crate::plan::Proof;
use crate::plan::ids::Outside;
use crate::plan::wall::Standing;
use crate::plan::wall::Wall;
use crate::spec::Access;
use crate::spec::EGRESS_SOCKET;
use crate::spec::Exec;
use crate::spec::OWN_DIRECTORY;
use crate::start::spawn::guest::Lifeline;
use crate::types::OciRuntime;
use crate::words;

/// Where the copy of this program that runs the relay appears inside.
pub const GUEST_PATH: &str = "/run/pinfold/init";

/// First host id that stands for id 0 of a sandbox of the host's root; systemd keeps the range for containers.
const ROOT_STAND_IN: u32 = crate::plan::ids::FIRST;

/// Paths of the host that a bundle needs besides the plan's.
#[derive(Clone, Debug, Default)]
pub struct BundlePaths {
    /// The sandbox's home.
    pub home: Option<PathBuf>,
    /// Copies of the image's directories that are written to, by their path inside.
    pub written: BTreeMap<PathBuf, PathBuf>,
    /// The proxy's socket.
    pub egress: Option<PathBuf>,
    /// Directory with what covers protected paths that are missing, for a runtime that executes no hook.
    pub coverings: Option<PathBuf>,
    /// This program, as process 1; without it the sandbox has no relay and no Landlock.
    pub program: Option<PathBuf>,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The image lacks a mount point.
    #[error("the image has no `{}` to mount on, and this runtime would make it in the shared image", target.display())]
    MountPoint {
        /// What is missing.
        target: PathBuf,
        /// What of the host would be mounted there.
        shown: Option<PathBuf>,
        /// The sandbox's home, which can be mounted on.
        home: PathBuf,
    },
    /// A mount from a directory that is written to from inside.
    #[error(
        "`{}` lies in `{}`, which can be written to, and this runtime follows links that appear there",
        path.display(),
        within.display()
    )]
    Within {
        /// The mount's source.
        path: PathBuf,
        /// The source of the writable mount.
        within: PathBuf,
    },
    /// A directory that the program's user cannot write to.
    #[error("user {uid}, who the program is, cannot write to `{}`", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// The user.
        uid: u32,
    },
    /// A socket that this runtime cannot cover.
    #[error("`{}` is a socket of a program outside, and this runtime cannot cover it", .0.display())]
    Socket(PathBuf),
    /// A word of the command that its configuration, which is text, cannot have.
    #[error("`{0}` is not UTF-8, and this runtime takes only words that are")]
    Word(String),
    /// A place that the plan needs was not given.
    #[error("the plan mounts `{}` and nothing was given for it", .0.display())]
    NotGiven(PathBuf),
    /// The system-call policy is damaged; a bug of ours.
    #[error(transparent)]
    Seccomp(#[from] crate::start::walls::seccomp::SeccompError),
}

impl BundleError {
    /// What to do about it.
    pub(crate) fn fix(&self) -> Option<String> {
        match self {
            Self::MountPoint { shown: Some(source), home, .. } => {
                let name = source.file_name().unwrap_or("workspace".as_ref());
                let shown = format!("{}:{}", source.display(), home.join(name).display());
                Some(format!(
                    "show it below the home: `--workspace {0}` for the workspace, `--volume {0}` for another mount",
                    word(shown)
                ))
            }
            Self::Word(_) => Some("leave `--runtime` out: the built-in one takes every word".into()),
            Self::Foreign { path, uid } => Some(format!(
                "containerd shows a directory with the owner it has: `chown -R {uid} {}`, or leave `--runtime containerd` out",
                word(path)
            )),
            Self::Socket(_) => Some("work on a directory without it, or leave `--runtime runsc` out".into()),
            _ => None,
        }
    }
}

/// What a runtime cannot give, in the words of [`Standing`].
pub type Differences = Vec<Standing>;

/// How the plan's walls stand with `runtime`.
pub fn walls(plan: &Plan, runtime: OciRuntime) -> Differences {
    plan.walls
        .iter()
        .map(|standing| match (runtime, standing.wall) {
            (OciRuntime::Runsc, Wall::Seccomp | Wall::Landlock) => {
                Standing::off(standing.wall, "the program talks to gVisor's kernel instead of the host's")
            }
            (OciRuntime::Runsc, Wall::Cgroup) if standing.on => {
                Standing::off(standing.wall, "its kernel's own threads would count; limits per process hold")
            }
            (_, Wall::UserNamespaces) if ids(plan).host_uid == 0 => ids(plan).standing(),
            (_, Wall::UserNamespaces) => Standing::graded(
                standing.wall,
                "one, not two: the program is id 0 inside, without capabilities",
            ),
            _ => standing.clone(),
        })
        .collect()
}

/// The ids that these runtimes give: root's, where the built-in runtime has others stand in.
fn ids(plan: &Plan) -> IdMap {
    if plan.ids.outside == Outside::Caller { plan.ids } else { plan.ids.as_root() }
}

/// `config.json` of the bundle.
pub fn config(plan: &Plan, paths: &BundlePaths, runtime: OciRuntime) -> Result<Value, BundleError> {
    let mut args =
        words::texts(&plan.args).map_err(|word| BundleError::Word(word.to_string_lossy().into_owned()))?;
    if let Some(entry) = plan.skeleton.last() {
        let shown = plan.mounts.iter().find_map(|mount| match &mount.kind {
            MountKind::Host(source) if mount.target == entry.path => Some(source.clone()),
            _ => None,
        });
        return Err(BundleError::MountPoint { target: entry.path.clone(), shown, home: plan.home.clone() });
    }
    let ids = ids(plan);
    let root = ids.host_uid == 0;
    let (uid, gid) = if root { (ids.uid, ids.gid) } else { (0, 0) };
    let map = |inside: u32, outside: u32| json!({"containerID": inside, "hostID": outside, "size": 1});
    let maps = |inside: u32, outside: u32| {
        if root { json!([map(0, ROOT_STAND_IN), map(inside, outside)]) } else { json!([map(0, outside)]) }
    };
    // `runsc --rootless` makes its own user namespace, with the caller's id as 0, and takes no other.
    let own_user = root || runtime == OciRuntime::Runc;
    let mut namespaces = if own_user { vec![json!({"type": "user"})] } else { Vec::new() };
    namespaces.extend(plan.namespaces.iter().map(|namespace| {
        json!({"type": match namespace {
            Namespace::Mount => "mount",
            Namespace::Pid => "pid",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
            Namespace::Cgroup => "cgroup",
            Namespace::Network => "network",
        }})
    }));
    if paths.program.is_some() {
        let task = crate::start::spawn::guest::Task {
            listens: plan.listens.clone(),
            key: plan.key.clone(),
            proof: plan.proof,
            landlock: plan.landlock.clone().filter(|_| runtime == OciRuntime::Runc),
            lifeline: match runtime {
                OciRuntime::Runc => Lifeline::Descriptor,
                OciRuntime::Runsc => Lifeline::Runtime,
            },
            guards: plan.guards.clone(),
            terminal: None,
            rlimits: Vec::new(),
            umask: None,
        };
        let task = serde_json::to_string(&task).unwrap_or_default();
        args.splice(0..0, [GUEST_PATH.to_owned(), crate::start::spawn::guest::GUEST_WORD.to_owned(), task]);
    } else if !plan.listens.is_empty() || plan.key.is_some() || plan.proof != Proof::None {
        return Err(BundleError::NotGiven(GUEST_PATH.into()));
    }
    let env: Vec<String> = plan.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let rlimits: Vec<Value> = plan
        .rlimits
        .iter()
        .map(|limit| {
            let value = limit.reachable();
            json!({"type": limit.resource.posix(), "soft": value, "hard": value})
        })
        .collect();
    // What a negative control leaves in: the least capability there is, in every set.
    let kept: &[&str] = if plan.guards.capabilities.holds() { &[] } else { &["CAP_SETGID"] };
    let targets = |wanted: &MountKind| -> Vec<&PathBuf> {
        plan.mounts.iter().filter(|mount| mount.kind == *wanted).map(|mount| &mount.target).collect()
    };
    let mut config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": uid, "gid": gid, "umask": plan.umask},
            "args": args,
            "cwd": plan.cwd,
            "env": env,
            "capabilities": {"bounding": kept, "effective": kept, "inheritable": kept, "permitted": kept,
                "ambient": kept},
            "noNewPrivileges": plan.guards.no_new_privileges.holds(),
            "rlimits": rlimits,
        },
        "root": {"path": plan.rootfs, "readonly": plan.guards.read_only_root.holds()},
        "hostname": plan.hostname,
        "mounts": mounts(plan, paths, runtime)?,
        "linux": {
            "namespaces": namespaces,
            "rootfsPropagation": "private",
            "maskedPaths": targets(&MountKind::Mask),
            "readonlyPaths": targets(&MountKind::Protect),
        },
    });
    if own_user {
        config["linux"]["uidMappings"] = maps(ids.uid, ids.host_uid);
        config["linux"]["gidMappings"] = maps(ids.gid, ids.host_gid);
    }
    if plan.namespaces.contains(&Namespace::Network) {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_unprivileged_port_start": "0"});
    }
    if runtime == OciRuntime::Runc
        && let Some(hook) = protect::hook(plan, paths.program.as_deref())?
    {
        config["hooks"]["createContainer"] = json!([hook]);
    }
    if let Some(resources) = resources(plan) {
        config["linux"]["resources"] = resources;
    }
    if plan.cgroup.is_some() {
        config["linux"]["cgroupsPath"] = format!("/pinfold-{}", plan.name).into();
    }
    if runtime == OciRuntime::Runc && plan.guards.seccomp.holds() {
        config["linux"]["seccomp"] = crate::start::walls::seccomp::oci(plan.debug)?;
    }
    Ok(config)
}

/// The limits of the plan's groups, in the runtime's own words; none without groups.
pub(super) fn resources(plan: &Plan) -> Option<Value> {
    let values = &plan.cgroup.as_ref()?.groups;
    let find = |names: &[&str]| {
        values
            .iter()
            .flat_map(|group| &group.values)
            .find(|(file, _)| names.contains(&file.as_str()))
            .and_then(|(_, value)| value.split(' ').next()?.parse::<i64>().ok())
    };
    let mut resources = json!({});
    if let Some(bytes) = find(&["memory.max", "memory.limit_in_bytes"]) {
        resources["memory"] = json!({"limit": bytes, "swap": bytes});
    }
    if let Some(count) = find(&["pids.max"]) {
        resources["pids"] = json!({"limit": count});
    }
    if let Some(quota) = find(&["cpu.max", "cpu.cfs_quota_us"]) {
        resources["cpu"] = json!({"quota": quota, "period": 100_000});
    }
    Some(resources)
}

/// Refuses mounts whose source could be exchanged for a link between planning and mounting.
pub(super) fn settled(plan: &Plan) -> Result<(), BundleError> {
    let sources = || {
        plan.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Host(source) => Some((source, mount.access)),
            _ => None,
        })
    };
    for (path, _) in sources() {
        let mut written = sources().filter(|(_, access)| *access == Access::ReadWrite);
        if let Some((within, _)) = written.find(|(within, _)| path != *within && path.starts_with(within)) {
            return Err(BundleError::Within { path: path.clone(), within: within.clone() });
        }
    }
    Ok(())
}

fn mounts(plan: &Plan, paths: &BundlePaths, runtime: OciRuntime) -> Result<Vec<Value>, BundleError> {
    settled(plan)?;
    let mut mounts = Vec::new();
    for mount in &plan.mounts {
        let target = &mount.target;
        let write = if mount.access == Access::ReadOnly { "ro" } else { "rw" };
        let noexec: &[&str] = if mount.exec == Exec::Denied { &["noexec"] } else { &[] };
        let place =
            |path: &Option<PathBuf>| path.clone().ok_or_else(|| BundleError::NotGiven(target.clone()));
        mounts.push(match &mount.kind {
            MountKind::Host(source) => {
                let options = [&["rbind", write, "nosuid", "nodev", "rprivate"], noexec].concat();
                json!({"destination": target, "type": "bind", "source": source, "options": options})
            }
            MountKind::Home => json!({"destination": target, "type": "bind", "source": place(&paths.home)?,
                "options": ["rbind", "rw", "nosuid", "nodev", "rprivate"]}),
            MountKind::Written(_) => json!({"destination": target, "type": "bind",
                "source": place(&paths.written.get(target).cloned())?,
                "options": ["rbind", "rw", "nosuid", "nodev", "rprivate"]}),
            MountKind::Egress => json!({"destination": EGRESS_SOCKET, "type": "bind",
                "source": place(&paths.egress)?, "options": ["bind", "nosuid", "nodev", "noexec", "rprivate"]}),
            MountKind::Memory { bytes, mode } => {
                let mut options = vec![write.to_owned(), "nosuid".into(), "nodev".into(), format!("mode={mode:o}")];
                options.extend(noexec.iter().map(|&word| word.to_owned()));
                if ids(plan).host_uid == 0 {
                    // Made by id 0, which is not the program here.
                    options.push(format!("uid={}", plan.ids.uid));
                    options.push(format!("gid={}", plan.ids.gid));
                }
                if *bytes > 0 {
                    options.push(format!("size={bytes}"));
                }
                json!({"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options})
            }
            MountKind::Proc => json!({"destination": target, "type": "proc", "source": "proc",
                "options": ["nosuid", "noexec", "nodev"]}),
            MountKind::Terminals => json!({"destination": target, "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]}),
            MountKind::Queues => json!({"destination": target, "type": "mqueue", "source": "mqueue",
                "options": ["nosuid", "noexec", "nodev"]}),
            // The runtimes make the usual six themselves; another one is in negative controls only.
            MountKind::Device(source) if !DEVICES.iter().any(|name| target.ends_with(name)) => {
                json!({"destination": target, "type": "bind", "source": source, "options": ["bind", "nosuid", "noexec"]})
            }
            // Not among the masked paths: not every runtime covers those, and a place that is missing would be passed over.
            MountKind::Closed { .. } => protect::nothing(target),
            // Its mounts go on files and directories only.
            MountKind::Socket { source, .. } if runtime == OciRuntime::Runsc => {
                return Err(BundleError::Socket(source.clone()));
            }
            MountKind::Socket { .. } => json!({"destination": target, "type": "bind", "source": "/dev/null",
                "options": ["bind", "ro", "nosuid", "nodev", "noexec"]}),
            MountKind::Device(_) | MountKind::Mask | MountKind::Protect => continue,
            MountKind::Hold(_) | MountKind::Keep(_) | MountKind::Missing(_) => match runtime {
                OciRuntime::Runc => continue,
                OciRuntime::Runsc => protect::mount(plan, mount, paths.coverings.as_ref())?,
            },
        });
        if target == Path::new(OWN_DIRECTORY)
            && let Some(program) = &paths.program
        {
            mounts.push(json!({"destination": GUEST_PATH, "type": "bind", "source": program,
                "options": ["bind", "ro", "nosuid", "nodev", "rprivate"]}));
        }
    }
    Ok(mounts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Cgroups;
    use crate::probe::Probe;
    use crate::spec::Network;
    use crate::spec::Spec;

    fn plan(uid: u32, change: impl FnOnce(&mut Spec)) -> (tempfile::TempDir, Plan) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["dev", "proc", "tmp", "run", "home/agent"] {
            fs_err::create_dir_all(dir.path().join(name)).unwrap();
        }
        let mut spec = Spec::new("a", dir.path(), vec!["true".into()]);
        change(&mut spec);
        let probe = Probe {
            kernel: String::new(),
            uid,
            gid: uid,
            user_namespaces: Ok(()),
            landlock_abi: Some(6),
            cgroups: Cgroups::None("test".into()),
            tun: false,
        };
        let plan = Plan::new(&spec, &probe).unwrap();
        (dir, plan)
    }

    fn paths() -> BundlePaths {
        BundlePaths {
            home: None,
            written: BTreeMap::new(),
            egress: Some("/host/egress.sock".into()),
            coverings: None,
            program: Some("/host/pinfold".into()),
        }
    }

    /// Row N2: a namespace that is not listed is the host's.
    #[test]
    fn the_network_namespace_is_listed() {
        let (_dir, plan) = plan(1001, |_| ());
        for runtime in [OciRuntime::Runc, OciRuntime::Runsc] {
            let config = config(&plan, &paths(), runtime).unwrap();
            let listed: Vec<_> = config["linux"]["namespaces"]
                .as_array()
                .unwrap()
                .iter()
                .map(|namespace| namespace["type"].as_str().unwrap().to_owned())
                .collect();
            let own: &[&str] = if runtime == OciRuntime::Runc { &["user"] } else { &[] };
            assert_eq!(listed, [own, &["mount", "pid", "ipc", "uts", "cgroup", "network"]].concat());
            assert!(
                config["linux"]["namespaces"].as_array().unwrap().iter().all(|ns| ns.get("path").is_none())
            );
        }
        let (_dir, plan) = self::plan(1001, |spec| spec.network = Network::Host);
        let config = config(&plan, &paths(), OciRuntime::Runc).unwrap();
        assert!(!config["linux"]["namespaces"].to_string().contains("network"));
    }

    #[test]
    fn capabilities_are_empty_and_new_privileges_forbidden() {
        let (_dir, plan) = plan(0, |_| ());
        let config = config(&plan, &paths(), OciRuntime::Runc).unwrap();
        for set in ["bounding", "effective", "inheritable", "permitted", "ambient"] {
            assert_eq!(config["process"]["capabilities"][set], json!([]), "{set}");
        }
        assert_eq!(config["process"]["noNewPrivileges"], true);
        assert_eq!(config["process"]["user"]["uid"], 1000);
        assert_eq!(config["root"]["readonly"], true);
    }

    #[test]
    fn the_relay_goes_in_front_of_the_program() {
        let (_dir, plan) = plan(1001, |_| ());
        let config = config(&plan, &paths(), OciRuntime::Runc).unwrap();
        let args = config["process"]["args"].as_array().unwrap();
        assert_eq!(args[0], GUEST_PATH);
        assert_eq!(args[3], "true");
        let targets = config["mounts"].to_string();
        assert!(targets.contains(
            r#""destination":"/run/pinfold/egress.sock","type":"bind","source":"/host/egress.sock""#
        ));
    }

    #[test]
    fn an_image_without_mount_points_is_refused() {
        let (_dir, plan) = plan(1001, |spec| {
            spec.mounts.push(crate::spec::Mount::read_only("/usr", "/elsewhere"));
        });
        let error = config(&plan, &paths(), OciRuntime::Runc).unwrap_err();
        assert!(
            matches!(error, BundleError::MountPoint { target, .. } if target == std::path::Path::new("/elsewhere"))
        );
    }

    /// Row F5: these runtimes resolve sources themselves, and follow links.
    #[test]
    fn a_source_that_can_be_exchanged_is_refused() {
        let work = tempfile::tempdir().unwrap();
        fs_err::create_dir(work.path().join("data")).unwrap();
        let (_dir, plan) = plan(1001, |spec| {
            spec.mounts.push(crate::spec::Mount::writable(work.path(), "/usr"));
            spec.mounts.push(crate::spec::Mount::read_only(work.path().join("data"), "/usr/data"));
        });
        let error = config(&plan, &paths(), OciRuntime::Runc).unwrap_err();
        assert!(matches!(error, BundleError::Within { .. } | BundleError::MountPoint { .. }), "{error}");
        assert!(matches!(settled(&plan), Err(BundleError::Within { .. })));
    }

    #[test]
    fn what_gvisor_lacks_is_stated() {
        let (_dir, plan) = plan(0, |_| ());
        let off: Vec<_> = walls(&plan, OciRuntime::Runsc)
            .into_iter()
            .filter(|standing| !standing.on)
            .map(|standing| standing.wall)
            .collect();
        assert_eq!(off, [Wall::Seccomp, Wall::Landlock, Wall::Cgroup]);
    }
}
