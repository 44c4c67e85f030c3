//! The rows: a probe, what it is given, and the guard whose absence must turn it red. Names begin with the row of the
//! list of attacks in `docs/threat-model.md`.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::process::Stdio as ProcessStdio;
use std::time::Duration;
use std::time::Instant;

use pinfold_sandbox::Exit;
use pinfold_sandbox::Plan;
use pinfold_sandbox::Probe;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Sandbox;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::plan::MountKind;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Network;
use pinfold_sandbox::spec::Sockets;
use pinfold_sandbox::weaken::Weaken;

use crate::host;
use crate::host::Host;

type Args = fn(&Host) -> Vec<String>;
type Change = fn(&mut Spec, &Host);

/// One probe with its control.
struct Row {
    name: &'static str,
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

const ROWS: &[Row] = &[
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
        name: "F5 workspace and home writable",
        probe: "writable",
        args: |_| vec!["/workspace".into(), "/home/agent".into(), "/tmp".into(), "/dev/shm".into()],
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
        args: none,
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
        weaken: without!(Weaken::HostProcesses, Weaken::ProcMasks, Weaken::NestedUserNamespaces),
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

/// Why a row is skipped: by its name, or by its name and `as an ordinary user`.
fn reason(name: &str) -> Option<&'static str> {
    let ordinary = format!("{name} as an ordinary user");
    let user = !rustix::process::geteuid().is_root();
    include_str!("skips.txt").lines().find_map(|line| {
        let (listed, reason) = line.split_once(": ")?;
        (listed == name || (user && listed == ordinary)).then_some(reason)
    })
}

/// Counts and prints.
#[derive(Default)]
struct Tally {
    failed: usize,
    passed: usize,
}

impl Tally {
    fn row(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("pass  {name}");
            }
            Err(text) => {
                self.failed += 1;
                println!("FAIL  {name}: {text}");
            }
        }
    }

    /// A skip is a failure unless the list says why.
    fn skip(&mut self, name: &str) {
        match reason(name) {
            Some(reason) => println!("skip  {name}: {reason}"),
            None => self.row(name, Err("skipped without a reason in skips.txt".into())),
        }
    }
}

/// Runs all rows whose name contains `filter` as the present user.
pub(crate) fn suite(base: &str, filter: &str) -> i32 {
    let host = Host::new(Path::new(base));
    let root = rustix::process::geteuid().is_root();
    let mut tally = Tally::default();
    for row in ROWS.iter().filter(|row| row.name.contains(filter)) {
        tally.row(row.name, check(row, &host));
    }
    for (name, test) in HOST_ROWS.iter().filter(|(name, _)| name.contains(filter)) {
        if *name == "L1 memory" && !root {
            tally.skip("L1 memory");
            continue;
        }
        tally.row(name, test(&host, base));
    }
    for runtime in [Runtime::Runc, Runtime::Runsc] {
        for row in ROWS {
            let name = format!("{} {}", runtime.program(), row.name);
            if !name.contains(filter) {
                continue;
            }
            match in_runtime(row, runtime, &host) {
                None => tally.skip(&name),
                Some(result) => tally.row(&name, result),
            }
        }
        let name = format!("{} N6 relay", runtime.program());
        if name.contains(filter) {
            let listed = reason(&name).is_some();
            match if listed { None } else { relay_in_runtime(runtime, &host) } {
                None => tally.skip(&name),
                Some(result) => tally.row(&name, result),
            }
        }
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    i32::from(tally.failed > 0)
}

/// The row in another runtime. `None` where the list of skips says that the runtime has no such guard, or it is not
/// installed. Controls whose guard is the runtime's own cannot be taken away and are left out.
fn in_runtime(row: &Row, runtime: Runtime, host: &Host) -> Option<Result<(), String>> {
    let name = format!("{} {}", runtime.program(), row.name);
    if reason(&name).is_some() {
        return None;
    }
    let mut spec = host.spec(row.probe, &(row.args)(host));
    (row.set)(&mut spec, host);
    let result = host::run_in(runtime, &spec, None);
    Some(match result {
        Ok((_, Exit::Code(0))) => Ok(()),
        Ok((text, exit)) => Err(format!("{exit}: {text}")),
        Err(text) => Err(text),
    })
}

fn relay_in_runtime(runtime: Runtime, host: &Host) -> Option<Result<(), String>> {
    let socket = host.scratch.join("egress.sock");
    let _ = fs::remove_file(&socket);
    host::echo(UnixListener::bind(&socket).unwrap());
    let mut spec = host.spec("relay", &[]);
    spec.network = Network::Proxy(Egress::default());
    Some(match host::run_in(runtime, &spec, Some(&socket)) {
        Ok((_, Exit::Code(0))) => Ok(()),
        Ok((text, exit)) => Err(format!("{exit}: {text}")),
        Err(text) => Err(text),
    })
}

/// The probe must pass, and fail without the guard.
fn check(row: &Row, host: &Host) -> Result<(), String> {
    let mut spec = host.spec(row.probe, &(row.args)(host));
    (row.set)(&mut spec, host);
    let (text, exit) = host::run(&spec, None)?;
    if exit != Exit::Code(0) {
        return Err(format!("{exit}: {text}"));
    }
    (row.weaken)(&mut spec, host);
    match host::run(&spec, None) {
        Ok((_, Exit::Code(0))) => Err("the control without the guard is green".into()),
        Ok((_, Exit::Code(1))) => Ok(()),
        Ok((text, exit)) => Err(format!("the control ended with {exit}: {text}")),
        Err(text) => Err(format!("the control did not start: {text}")),
    }
}

pub(crate) type HostRow = fn(&Host, &str) -> Result<(), String>;

/// Rows that look from outside.
const HOST_ROWS: &[(&str, HostRow)] = &[
    ("P10 read-only program", read_only_program),
    ("P10 removed program", removed_program),
    ("T2 own terminal", own_terminal),
    ("N6 relay", relay),
    ("N13 no proxy, no way out", relay_without_proxy),
    ("F2 mount points the image lacks", skeleton),
    ("I2 refused", sockets_refused),
    ("L1 memory", memory),
    ("L2 descendants end with the program", descendants),
    ("L2 supervisor killed", supervisor_killed),
    ("L2 process 1 killed", init_killed),
    ("L2 program missing", program_missing),
    ("L3 200 starts leave nothing", many_starts),
    ("L3 session", crate::sessions::session),
    ("L2 session killed", crate::sessions::killed),
    ("L5 one of a name", crate::sessions::one_of_a_name),
    ("N14 empty allow-list", crate::sessions::foreground),
    ("H1 home is kept", crate::sessions::home),
    ("N14 empty allow-list in runc", crate::sessions::in_runc),
];

fn spawn(spec: &Spec, stdio: Stdio) -> Result<pinfold_sandbox::Running, String> {
    let plan = Plan::new(spec, &Probe::run()).map_err(|error| error.to_string())?;
    Sandbox::new(plan).spawn(stdio).map_err(|error| host::chain(&error))
}

/// Polls for `condition`; the kernel reports the end of a namespace a moment late.
pub(crate) fn soon(what: &str, condition: impl Fn() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > Duration::from_secs(10) {
            return Err(what.to_owned());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn read_only_program(host: &Host, _: &str) -> Result<(), String> {
    let read_only = |spec: &Spec| {
        let running = spawn(spec, Stdio::Null)?;
        let file =
            fs::File::open(format!("/proc/{}/exe", running.pid())).map_err(|error| error.to_string())?;
        let about = rustix::fs::fstatvfs(&file).map_err(|errno| errno.to_string())?;
        Ok::<_, String>(about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    };
    // Process 1 is hidden from its own user too; only root may look.
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let mut spec = host.spec("sleep", &[]);
    if !read_only(&spec)? {
        return Err("process 1's program can be written to through its mount".into());
    }
    spec.weaken.insert(Weaken::PlainProgram);
    if read_only(&spec)? { Err("the control is read-only too".into()) } else { Ok(()) }
}

/// A program whose file is gone (upgraded, removed) cannot be mounted; the copy in memory takes its place.
fn removed_program(host: &Host, base: &str) -> Result<(), String> {
    let program = host.scratch.join("removed");
    fs::copy("/proc/self/exe", &program).map_err(|error| error.to_string())?;
    let mut holder = Command::new(&program)
        .args(["hold", base, program.to_str().unwrap()])
        .stdout(ProcessStdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid = line.trim();
    let seals = fs::File::open(format!("/proc/{pid}/exe"))
        .ok()
        .and_then(|file| rustix::fs::fcntl_get_seals(&file).ok());
    let runs = fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|name| name.starts_with(b"pinfold-init"));
    holder.kill().unwrap();
    holder.wait().unwrap();
    if !runs {
        return Err(format!("the holder said {line:?}"));
    }
    let wanted = rustix::fs::SealFlags::SEAL
        | rustix::fs::SealFlags::SHRINK
        | rustix::fs::SealFlags::GROW
        | rustix::fs::SealFlags::WRITE;
    match seals {
        _ if program.exists() => Err("the control: the file is still there".into()),
        Some(seals) if !seals.contains(wanted) => Err(format!("seals are {seals:?}")),
        None if rustix::process::geteuid().is_root() => Err("there are no seals".into()),
        _ => Ok(()),
    }
}

fn own_terminal(host: &Host, _: &str) -> Result<(), String> {
    let running = spawn(&host.spec("terminal", &[]), Stdio::Terminal { rows: 24, columns: 80 })?;
    let master = running.terminal().ok_or("no terminal")?.try_clone_to_owned().unwrap();
    let mut text = Vec::new();
    let mut buffer = [0; 1024];
    // The end of the last slave is EIO here.
    while let Ok(n @ 1..) = rustix::io::read(&master, &mut buffer) {
        text.extend_from_slice(&buffer[..n]);
    }
    match running.wait() {
        Ok(Exit::Code(0)) => {}
        other => return Err(format!("{other:?}: {}", String::from_utf8_lossy(&text))),
    }
    // Control: on pipes the same probe fails.
    match host::run(&host.spec("terminal", &[]), None)? {
        (_, Exit::Code(1)) => Ok(()),
        (text, exit) => Err(format!("the control ended with {exit}: {text}")),
    }
}

fn relay(host: &Host, _: &str) -> Result<(), String> {
    let socket = host.scratch.join("egress.sock");
    let _ = fs::remove_file(&socket);
    host::echo(UnixListener::bind(&socket).unwrap());
    let mut spec = host.spec("relay", &[]);
    spec.network = Network::Proxy(Egress::default());
    let (text, exit) = host::run(&spec, Some(&socket))?;
    if exit != Exit::Code(0) {
        return Err(text);
    }
    // Control: without the relay nothing listens.
    spec.network = Network::None;
    match host::run(&spec, None)? {
        (_, Exit::Code(1)) => Ok(()),
        (text, exit) => Err(format!("the control ended with {exit}: {text}")),
    }
}

fn relay_without_proxy(host: &Host, _: &str) -> Result<(), String> {
    let socket = host.scratch.join("dead.sock");
    let _ = fs::remove_file(&socket);
    drop(UnixListener::bind(&socket).unwrap());
    let mut spec = host.spec("relay-without-proxy", &[]);
    spec.network = Network::Proxy(Egress::default());
    let (text, exit) = host::run(&spec, Some(&socket))?;
    if exit == Exit::Code(0) { Ok(()) } else { Err(text) }
}

/// A workspace at its own path, which the image does not have; what the image has beside it stays visible.
fn skeleton(host: &Host, _: &str) -> Result<(), String> {
    let workspace = host.scratch.join("workspace");
    let target = format!("/home/somebody/{}", std::process::id());
    let mut spec = host.spec("writable", &[target.clone(), "/home/agent".into()]);
    spec.mounts.push(Mount::writable(&workspace, &target));
    spec.cwd = target.clone().into();
    let (text, exit) = host::run(&spec, None)?;
    if exit != Exit::Code(0) {
        return Err(text);
    }
    if !workspace.join("written").exists() {
        return Err("what was written inside is not outside".into());
    }
    let mut spec = host.spec("read-only", &[]);
    spec.mounts.push(Mount::writable(&workspace, &target));
    match host::run(&spec, None)? {
        (_, Exit::Code(0)) => Ok(()),
        (text, _) => Err(text),
    }
}

fn sockets_refused(host: &Host, _: &str) -> Result<(), String> {
    let mut spec = host.spec("nothing", &[]);
    spec.mounts.push(Mount::read_only(host.scratch.join("with-socket"), "/mnt/agent"));
    match Plan::new(&spec, &Probe::run()) {
        Err(pinfold_sandbox::Refusal::Socket { socket, .. }) if socket.ends_with("agent.sock") => {}
        other => return Err(format!("{other:?}")),
    }
    spec.mounts[0].sockets = Sockets::Allow;
    Plan::new(&spec, &Probe::run()).map(drop).map_err(|error| error.to_string())
}

fn memory(host: &Host, _: &str) -> Result<(), String> {
    let mut spec = host.spec("memory-hog", &[]);
    spec.limits.memory = Some(64 << 20);
    spec.policy.cgroup = pinfold_sandbox::spec::Need::Required;
    match host::run(&spec, None)? {
        (_, Exit::Signal(9)) => {}
        (text, exit) => return Err(format!("{exit}: {text}")),
    }
    spec.weaken.insert(Weaken::Limits);
    match host::run(&spec, None)? {
        (_, Exit::Code(0)) => Ok(()),
        (text, exit) => Err(format!("the control ended with {exit}: {text}")),
    }
}

fn descendants(host: &Host, _: &str) -> Result<(), String> {
    let before = host::left_over();
    let (text, exit) = host::run(&host.spec("crowd", &[]), None)?;
    if exit != Exit::Code(0) || text != "ready" {
        return Err(format!("{exit}: {text}"));
    }
    soon("descendants are left", || host::left_over().is_subset(&before))
}

fn supervisor_killed(_: &Host, base: &str) -> Result<(), String> {
    let before = host::left_over();
    let mut holder = Command::new("/proc/self/exe")
        .args(["hold", base])
        .stdout(ProcessStdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid: i32 = line.trim().parse().map_err(|_| format!("the holder said {line:?}"))?;
    if !host::left_over().contains(&pid) {
        return Err("process 1 was not found while it ran".into());
    }
    holder.kill().unwrap();
    holder.wait().unwrap();
    soon("process 1 outlives its supervisor", || host::left_over().is_subset(&before))
}

fn init_killed(host: &Host, _: &str) -> Result<(), String> {
    let before = host::left_over();
    let running = spawn(&host.spec("sleep", &[]), Stdio::Null)?;
    let pid = rustix::process::Pid::from_raw(running.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).map_err(|errno| errno.to_string())?;
    let exit = running.wait().map_err(|error| host::chain(&error))?;
    if exit != Exit::Signal(9) {
        return Err(format!("reported as {exit}"));
    }
    soon("the program outlives process 1", || host::left_over().is_subset(&before))
}

fn program_missing(host: &Host, _: &str) -> Result<(), String> {
    let before = host::left_over();
    let mut spec = host.spec("nothing", &[]);
    spec.args = vec!["/bin/missing".into()];
    let error = spawn(&spec, Stdio::Null).map(drop).unwrap_err();
    if error
        != "the sandbox did not start: cannot execute the program `/bin/missing`: No such file or directory (os error 2)"
    {
        return Err(error);
    }
    soon("something is left", || host::left_over().is_subset(&before))
}

fn many_starts(host: &Host, _: &str) -> Result<(), String> {
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let scratch = || fs::read_dir(&host.scratch).unwrap().count();
    let before = (host::left_over(), descriptors(), mounts(), host::groups(), scratch());
    for _ in 0..200 {
        let (text, exit) = host::run(&host.spec("nothing", &[]), None)?;
        if exit != Exit::Code(0) {
            return Err(text);
        }
    }
    soon("processes are left", || host::left_over().is_subset(&before.0))?;
    let after = (before.0.clone(), descriptors(), mounts(), host::groups(), scratch());
    if after == before { Ok(()) } else { Err(format!("before {before:?}, after {after:?}")) }
}
