//! The rows: a probe, what it is given, and the guard whose absence must turn it red. Names begin with the row of the
//! list of attacks in `docs/isolation.md`.

use fs_err as fs;
use pinfold_sandbox::Exit;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Plan;
use pinfold_sandbox::Probe;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Spec;
use pinfold_sandbox::plan::MountKind;
use pinfold_sandbox::plan::proc;
use pinfold_sandbox::plan::proc::ProcEntry;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Sockets;
use pinfold_sandbox::weaken::Weaken;

use crate::host;
use crate::host::Host;

type Args = fn(&Host) -> Vec<String>;
type Change = fn(&mut Spec, &Host);

/// One probe with its control.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    probe: &'static str,
    args: Args,
    set: Change,
    /// Takes the guard away.
    weaken: Change,
}

fn none(_: &Host) -> Vec<String> {
    Vec::new()
}

fn plain(_: &mut Spec, _: &Host) {}

macro_rules! without {
    ($($guard:expr),+) => {
        |spec, _| spec.weaken.extend([$($guard),+])
    };
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "F1 root read-only",
        probe: "read-only",
        args: none,
        set: plain,
        weaken: without!(Weaken::WritableRoot),
    },
    Row {
        name: "F2 exact mounts",
        probe: "mounts",
        args: targets,
        set: plain,
        weaken: without!(Weaken::ExtraMount("/usr".into())),
    },
    Row { name: "F3 host files absent", probe: "absent", args: secret, set: plain, weaken: host_tree },
    Row {
        name: "F4 link out of the workspace",
        probe: "absent",
        args: link,
        set: workspace,
        weaken: host_tree,
    },
    Row {
        name: "F6 hard link across the workspace's edge",
        probe: "hard-link",
        args: |_| vec!["/outside/key".into(), "/workspace/hard".into()],
        set: |spec, host| {
            for place in ["workspace/hard", "workspace/hard-2", "linked/hard", "linked/hard-2"] {
                let _ = fs::remove_file(host.scratch.join(place));
            }
            workspace(spec, host);
            spec.mounts.push(Mount::read_only(host.scratch.join("secret"), "/outside"));
        },
        // Both in one mount.
        weaken: |spec, host| {
            spec.mounts = vec![Mount::writable(host.scratch.join("linked"), "/outside")];
            spec.args.truncate(3);
            spec.args.extend(["/outside/key".into(), "/outside/hard".into()]);
        },
    },
    Row {
        name: "H2 workspace and home writable",
        probe: "writable",
        args: |_| {
            ["/workspace", "/home/agent", "/tmp", "/run", "/run/lock", "/dev/shm"].map(str::to_owned).to_vec()
        },
        set: workspace,
        weaken: |spec, host| spec.mounts[0] = Mount::read_only(host.scratch.join("workspace"), "/workspace"),
    },
    Row {
        name: "F7 P8 process 1 hidden",
        probe: "init-hidden",
        args: none,
        set: plain,
        weaken: without!(Weaken::DumpableInit, Weaken::OneUserNamespace, Weaken::Landlock),
    },
    Row {
        name: "F9 devices",
        probe: "devices",
        args: none,
        set: plain,
        weaken: without!(Weaken::MoreDevices("kmsg".into())),
    },
    Row {
        name: "F10 mount calls",
        probe: "mount-calls",
        args: none,
        set: plain,
        weaken: without!(Weaken::Seccomp),
    },
    Row {
        name: "F11 masked paths",
        probe: "masked",
        args: |_| {
            let paths =
                |list: &[ProcEntry]| list.iter().map(|entry| entry.path.to_owned()).collect::<Vec<_>>();
            let shown = [paths(proc::READ_ONLY), paths(proc::SHOWN)].concat();
            [paths(proc::MASKED), vec!["shown".into()], shown].concat()
        },
        set: plain,
        weaken: without!(Weaken::ProcMasks),
    },
    Row {
        name: "F12 kernel switches",
        probe: "proc-writes",
        args: none,
        set: plain,
        weaken: without!(Weaken::ProcMasks),
    },
    Row {
        name: "F13 quota of /tmp",
        probe: "tmp-quota",
        args: none,
        set: |spec, _| spec.tmp_bytes = 4 << 20,
        weaken: without!(Weaken::UnboundedTmp),
    },
    Row {
        name: "F14 landlock as second wall",
        probe: "landlock",
        args: none,
        set: without!(Weaken::ExtraMount("/usr".into())),
        weaken: without!(Weaken::Landlock),
    },
    Row {
        name: "P1 no capabilities",
        probe: "capabilities",
        args: none,
        set: plain,
        weaken: without!(Weaken::Capabilities),
    },
    Row { name: "P2 not root", probe: "user", args: none, set: plain, weaken: without!(Weaken::RootUser) },
    Row { name: "P3 seccomp", probe: "seccomp", args: none, set: plain, weaken: without!(Weaken::Seccomp) },
    Row {
        name: "F8 no new privileges",
        probe: "no-new-privileges",
        args: none,
        set: plain,
        // Each of the three sets it.
        weaken: without!(Weaken::NewPrivileges, Weaken::Seccomp, Weaken::Landlock),
    },
    Row {
        name: "P4 user namespaces",
        probe: "user-namespaces",
        args: none,
        set: plain,
        weaken: without!(Weaken::Seccomp),
    },
    Row {
        name: "P4 user namespaces, second wall",
        probe: "user-namespaces-full",
        args: none,
        set: without!(Weaken::Seccomp),
        weaken: without!(Weaken::NestedUserNamespaces),
    },
    Row {
        name: "P5 I5 denied calls",
        probe: "denied-calls",
        args: none,
        set: plain,
        weaken: without!(Weaken::Seccomp),
    },
    Row {
        name: "P12 set-id bits",
        probe: "set-id-bits",
        args: |_| vec!["/workspace".into(), "/tmp".into()],
        set: workspace,
        weaken: without!(Weaken::Seccomp),
    },
    Row {
        name: "P6 socket families",
        probe: "socket-families",
        args: none,
        set: plain,
        weaken: without!(Weaken::Seccomp),
    },
    Row {
        name: "P7 foreign conventions",
        probe: "foreign-calls",
        args: none,
        set: plain,
        weaken: without!(Weaken::Seccomp),
    },
    Row {
        name: "P9 no core files",
        probe: "no-core",
        args: none,
        set: core_allowed,
        weaken: without!(Weaken::Limits),
    },
    Row {
        name: "P10 process 1's program",
        probe: "init-program",
        args: none,
        set: plain,
        weaken: without!(Weaken::DumpableInit, Weaken::OneUserNamespace, Weaken::Landlock),
    },
    Row {
        name: "P11 descriptors",
        probe: "descriptors",
        args: none,
        set: plain,
        weaken: without!(Weaken::Descriptors),
    },
    Row {
        name: "I1 abstract sockets",
        probe: "abstract-socket",
        args: |host| vec![host.abstract_name.clone()],
        set: plain,
        weaken: without!(Weaken::HostNetwork, Weaken::Landlock),
    },
    Row {
        name: "I2 visible sockets",
        probe: "visible-sockets",
        args: none,
        set: workspace,
        weaken: |spec, host| {
            let mut mount = Mount::read_only(host.scratch.join("with-socket"), "/mnt/agent");
            mount.sockets = Sockets::Allow;
            spec.mounts.push(mount);
        },
    },
    Row {
        name: "I3 S1 environment",
        probe: "environment",
        args: |_| vec!["canary".into()],
        set: plain,
        weaken: |spec, _| {
            let names = host::CANARIES.iter().map(|(name, _)| (*name).to_owned()).collect();
            spec.weaken.insert(Weaken::HostEnvironment(names));
        },
    },
    Row {
        name: "I4 shared memory",
        probe: "shared-memory",
        args: |host| vec![host.shm_key.to_string()],
        set: plain,
        weaken: without!(Weaken::HostIpc),
    },
    Row {
        name: "I6 host processes",
        probe: "host-process",
        args: |_| vec![std::process::id().to_string()],
        set: plain,
        weaken: without!(
            Weaken::HostProcesses,
            Weaken::ProcMasks,
            Weaken::NestedUserNamespaces,
            Weaken::Landlock
        ),
    },
    Row {
        name: "I6 root's processes by id",
        probe: "signal",
        args: |_| vec![std::process::id().to_string()],
        set: without!(
            Weaken::HostProcesses,
            Weaken::ProcMasks,
            Weaken::NestedUserNamespaces,
            Weaken::Landlock,
            Weaken::Seccomp
        ),
        weaken: without!(Weaken::RootIds),
    },
    Row {
        name: "T1 typing into terminals",
        probe: "type-into-terminal",
        args: none,
        set: plain,
        weaken: without!(Weaken::Seccomp),
    },
    Row {
        name: "T2 own session",
        probe: "session",
        args: none,
        set: plain,
        weaken: without!(Weaken::Session),
    },
    Row {
        name: "N1 N2 loopback only",
        probe: "interfaces",
        args: none,
        set: plain,
        weaken: without!(Weaken::HostNetwork),
    },
    Row {
        name: "N3 N4 N5 no route",
        probe: "unreachable",
        args: |_| {
            // Metadata services, name servers, IPv6.
            [
                "169.254.169.254:80",
                "100.100.100.200:80",
                "168.63.129.16:80",
                "[fd00:ec2::254]:80",
                "192.0.2.1:53",
                "[2001:db8::1]:53",
            ]
            .map(str::to_owned)
            .to_vec()
        },
        set: plain,
        weaken: without!(Weaken::HostNetwork),
    },
    Row {
        name: "N5 no resolver",
        probe: "no-names",
        args: none,
        set: plain,
        weaken: |spec, host| {
            spec.mounts.push(Mount::read_only(host.scratch.join("resolv.conf"), "/etc/resolv.conf"));
        },
    },
    Row {
        name: "N16 host loopback",
        probe: "host-port",
        args: |host| vec![host.port.to_string()],
        set: plain,
        weaken: without!(Weaken::HostNetwork),
    },
    Row {
        name: "L1 fork bomb",
        probe: "fork-bomb",
        args: |_| vec!["20".into()],
        set: |spec, _| spec.limits.processes = Some(20),
        weaken: without!(Weaken::Limits),
    },
    Row {
        name: "L1 open files",
        probe: "open-files",
        args: |_| vec!["64".into()],
        set: |spec, _| spec.limits.open_files = Some(64),
        weaken: without!(Weaken::Limits),
    },
    Row {
        name: "L4 host name",
        probe: "hostname",
        args: |_| vec!["sandbox".into()],
        set: plain,
        weaken: without!(Weaken::HostName),
    },
];

fn secret(host: &Host) -> Vec<String> {
    vec![host.scratch.join("secret/key").to_str().unwrap().to_owned()]
}

fn link(_: &Host) -> Vec<String> {
    vec!["/workspace/link".into()]
}

fn host_tree(spec: &mut Spec, host: &Host) {
    spec.weaken.insert(Weaken::HostTree(host.scratch.join("secret").to_str().unwrap().to_owned()));
}

fn workspace(spec: &mut Spec, host: &Host) {
    spec.mounts.push(Mount::writable(host.scratch.join("workspace"), "/workspace"));
}

fn core_allowed(_: &mut Spec, _: &Host) {
    // The control is red only where the suite itself may write core files.
    let limit = rustix::process::Rlimit {
        current: rustix::process::getrlimit(rustix::process::Resource::Core).maximum,
        maximum: rustix::process::getrlimit(rustix::process::Resource::Core).maximum,
    };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, limit);
}

/// The mounts of a plan without extras, as the probe wants them.
fn targets(host: &Host) -> Vec<String> {
    let plan = Plan::new(&host.spec("mounts", &[]), &Probe::run()).unwrap();
    plan.mounts
        .iter()
        .map(|mount| {
            let optional = matches!(mount.kind, MountKind::Mask | MountKind::Protect);
            format!("{}{}", mount.target.display(), if optional { "?" } else { "" })
        })
        .collect()
}

/// The probe must pass, and fail without the guard. What is on one line is the row's result, the other its control's.
pub(crate) fn check(row: &Row, host: &Host, runtime: Runtime) -> Result<(), String> {
    let spec = spec(row, host, runtime);
    match host::run(&spec, None, runtime)? {
        (_, Exit::Code(0)) => Ok(()),
        (text, exit) => Err(format!("{exit}: {text}")),
    }
}

/// The negative control alone.
pub(crate) fn control(row: &Row, host: &Host, runtime: Runtime) -> Result<(), String> {
    let mut spec = spec(row, host, runtime);
    (row.weaken)(&mut spec, host);
    match host::run(&spec, None, runtime) {
        Ok((_, Exit::Code(0))) => Err("the control without the guard is green".into()),
        Ok((_, Exit::Code(1))) => Ok(()),
        Ok((text, exit)) => Err(format!("the control ended with {exit}: {text}")),
        Err(text) => Err(format!("the control did not start: {text}")),
    }
}

fn spec(row: &Row, host: &Host, runtime: Runtime) -> Spec {
    let mut spec = host.spec(row.probe, &(row.args)(host));
    if runtime == Runtime::Oci(OciRuntime::Runsc) {
        spec.env.insert(crate::probe::OTHER_KERNEL.into(), "1".into());
    }
    (row.set)(&mut spec, host);
    spec
}
