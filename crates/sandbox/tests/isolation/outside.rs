//! Rows that look at one sandbox from outside: streams, the relay, what is refused, what is left.

use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::process::Stdio as ProcessStdio;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_base::directory;
use pinfold_base::error::one_line;
use pinfold_sandbox::Exit;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Plan;
use pinfold_sandbox::Probe;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Sandbox;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Network;
use pinfold_sandbox::spec::Sockets;
use pinfold_sandbox::weaken::Weaken;

use crate::egress;
use crate::host;
use crate::host::Host;
use crate::keys;
use crate::protect;
use crate::sealed;
use crate::sessions;
use crate::streams;
use crate::written;

/// A row that is a function; its control is part of it.
pub(crate) type Outside = fn(&Host, Runtime) -> Result<(), String>;

/// Whose row it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// About the built-in runtime's own processes, or about what happens before any runtime starts.
    BuiltIn,
    /// About every runtime.
    Every,
}

use Scope::BuiltIn;
use Scope::Every;

pub(crate) const ROWS: &[(&str, Scope, Outside)] = &[
    ("F2 mount points the image lacks", BuiltIn, skeleton),
    ("F5 directory exchanged for a link while it is mounted", BuiltIn, sessions::exchanged),
    ("H1 home is kept", Every, sessions::home),
    ("H3 homes that are hard to remove", Every, sessions::hard_home),
    ("H4 what is written over the image is the sandbox's", Every, written::own),
    ("H5 what sandboxes share is not the image", Every, written::shared),
    ("G1 no git is run", BuiltIn, no_git),
    ("G2 what the host runs by itself", Every, protect::present),
    ("G2 repositories around, in and below a workspace", Every, protect::repositories),
    ("G2 another name of a hook", Every, protect::second_name),
    ("G3 what the host would run, not yet present", Every, protect::missing),
    ("G4 what leads there", Every, protect::parents),
    ("G4 what a way to a hook leaves again by `..`", Every, protect::left),
    ("G4 a protected directory removed and made again", Every, protect::remade),
    ("G5 what the user puts in the place of a stand-in", Every, protect::users_own),
    ("G5 nothing is left in the workspace after a kill", Every, protect::killed),
    ("G5 nothing is left in a workspace that is closed from inside", Every, protect::closed),
    ("G5 two on one workspace", Every, protect::two),
    ("G6 a key's program that the agent rewrites", Every, keys::rewritten),
    ("G6 a link to an agent's program that a key's program looks for", Every, keys::linked),
    ("G7 host programs from the workspace", Every, keys::programs),
    ("I2 sockets covered", Every, sockets_covered),
    ("I2 socket in a closed directory", Every, socket_in_closed_directory),
    ("P10 read-only program", BuiltIn, read_only_program),
    ("P10 removed program", BuiltIn, removed_program),
    ("P2 ids outside", BuiltIn, outside_ids),
    ("P2 files of root's sandbox are root's", BuiltIn, outside_files),
    ("P2 no map of ids, no start", BuiltIn, unmapped),
    ("F15 mount sources", BuiltIn, mount_sources),
    ("I7 watches", BuiltIn, watches),
    ("T4 end of a session forged", Every, sessions::forged_end),
    ("P11 what is no stream is refused", Every, streams::refused),
    ("P11 streams are the sandbox's own", Every, streams::own),
    ("P11 a slow or gone reader", Every, streams::readers),
    ("T2 own terminal", Every, own_terminal),
    ("T2 the user's terminal stays outside", Every, own_streams),
    ("T3 escape sequences", Every, escapes),
    ("T3 escape sequences on attach", Every, sessions::escapes),
    ("N3 N7 N8 N15 hostile targets", Every, sessions::hostile_targets),
    ("N6 relay", Every, relay),
    ("N10 a second hello names another host", Every, egress::second_hello),
    ("N12 without the proxy's variables", Every, without_variables),
    ("N13 no proxy, no way out", Every, relay_without_proxy),
    ("N13 proxy dies", Every, relay_dies),
    ("N14 empty allow-list", Every, sessions::empty_list),
    ("S8 nothing travels beside a key", Every, egress::beside_the_key),
    ("L1 memory", Every, memory),
    ("L2 descendants end with the program", Every, descendants),
    ("L2 process 1 killed", BuiltIn, init_killed),
    ("L2 program missing", BuiltIn, program_missing),
    ("L2 supervisor asked to end", Every, sessions::asked_to_end),
    ("L2 supervisor killed", Every, sessions::foreground_killed),
    ("L2 session killed", Every, sessions::killed),
    ("L3 session", Every, sessions::session),
    ("L3 100 attachments", BuiltIn, sessions::many_attachments),
    ("L3 200 starts leave nothing", BuiltIn, sessions::many_starts),
    ("L5 one of a name", Every, sessions::one_of_a_name),
    ("L5 N16 two on one workspace", Every, sessions::neighbours),
    ("L6 flood of output", Every, sessions::flood),
    ("Q1 a sealed sandbox's key is its worker's, once", Every, sealed::key),
    ("Q1 a key that is none", Every, sealed::bad_key),
    ("Q2 a sealed sandbox's key is nowhere outside", Every, sealed::key_outside),
    ("Q3 queues", Every, sealed::queues),
    ("Q3 a sibling's queues", Every, sealed::sibling),
    ("Q4 no network, and no listener", Every, sealed::network),
    ("Q4 a network that is there is seen", Every, sealed::proof),
    ("Q5 the model's socket is the only way out", Every, sealed::model),
    ("Q6 the image of a sealed sandbox", Every, sealed::root),
    ("Q7 started again", Every, sealed::respawn),
    ("Q7 not started for ever", BuiltIn, sealed::breaker),
    ("Q8 supervisor of a sealed sandbox killed", Every, sealed::killed),
];

pub(crate) fn spawn(spec: &Spec, stdio: Stdio) -> Result<pinfold_sandbox::Running, String> {
    let plan = Plan::new(spec, &Probe::run()).map_err(|error| error.to_string())?;
    Sandbox::new(plan).spawn(stdio).map_err(|error| one_line(&error))
}

/// How long to wait for what is to come. Only a failure waits this long, so it is more than any machine needs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Polls for `condition`; the kernel reports the end of a namespace a moment late.
pub(crate) fn soon(what: &str, mut condition: impl FnMut() -> bool) -> Result<(), String> {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            return Err(what.to_owned());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The ids of process 1 and of the program as the host sees them: an ordinary user's are the user's, root's are nobody's.
fn outside_ids(host: &Host, _: Runtime) -> Result<(), String> {
    let ids = |spec: &Spec| {
        let running = spawn(spec, Stdio::Null)?;
        let child = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.pid()));
        let child = child.map_err(|error| error.to_string())?;
        let mut ids = std::collections::BTreeSet::new();
        for pid in [running.pid().to_string(), child.trim().to_owned()] {
            let status =
                fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| error.to_string())?;
            for line in status
                .lines()
                .filter(|line| ["Uid:", "Gid:", "Groups:"].iter().any(|key| line.starts_with(key)))
            {
                ids.extend(line.split_whitespace().skip(1).map(|id| id.parse::<u32>().unwrap()));
            }
        }
        Ok::<_, String>(ids)
    };
    let mut spec = host.spec("sleep", &[]);
    let own = rustix::process::geteuid().as_raw();
    let found = ids(&spec)?;
    if own != 0 {
        return if found.contains(&own) && !found.contains(&0) { Ok(()) } else { Err(format!("{found:?}")) };
    }
    if found.contains(&0) || found.iter().any(|id| *id < 100_000) {
        return Err(format!("{found:?}"));
    }
    spec.weaken.insert(Weaken::RootIds);
    let found = ids(&spec)?;
    if found.contains(&0) { Ok(()) } else { Err(format!("the control has {found:?}")) }
}

/// What is written inside is the caller's outside, and what the caller has can be read and changed inside.
fn outside_files(host: &Host, _: Runtime) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::fs::PermissionsExt;
    let workspace = host.scratch.join("owned");
    let _ = fs::remove_dir_all(&workspace);
    fs::create_dir(&workspace).unwrap();
    fs::write(workspace.join("key"), "own").unwrap();
    fs::set_permissions(workspace.join("key"), PermissionsExt::from_mode(0o600)).unwrap();
    let mut spec = host.spec("writable", &["/workspace".into(), "/home/agent".into()]);
    spec.mounts.push(Mount::writable(&workspace, "/workspace"));
    green(host::run(&spec, None, Runtime::Builtin))?;
    let owner = |name: &str| fs::metadata(workspace.join(name)).map(|data| (data.uid(), data.gid()));
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    match owner("written") {
        Ok(found) if found == own => {}
        other => return Err(format!("{other:?}, expected {own:?}")),
    }
    // The caller's own file for nobody else is the program's.
    let mut read = host.spec("absent", &["/workspace/key".into()]);
    read.mounts.clone_from(&spec.mounts);
    red(host::run(&read, None, Runtime::Builtin))?;
    if own.0 != 0 {
        return Ok(());
    }
    fs::remove_file(workspace.join("written")).unwrap();
    spec.weaken.insert(Weaken::PlainMounts);
    red(host::run(&spec, None, Runtime::Builtin))
}

/// A file system that cannot map ids is refused by its name, and shown where the caller has said that root's id may be used.
fn unmapped(host: &Host, _: Runtime) -> Result<(), String> {
    let mut spec = host.spec("nothing", &[]);
    spec.mounts.push(Mount::read_only("/proc/sys/kernel/random", "/mnt/agent"));
    if !rustix::process::geteuid().is_root() {
        // Nothing is mapped then.
        return green(host::run(&spec, None, Runtime::Builtin));
    }
    match spawn(&spec, Stdio::Null).map(drop) {
        Err(text) if text.contains("`/proc/sys/kernel/random`") => {}
        other => return Err(format!("{other:?}")),
    }
    spec.policy.stand_in = pinfold_sandbox::spec::Need::IfAvailable;
    let told = spawn(&spec, Stdio::Null)?.walls().iter().any(|wall| wall.detail.contains("id is root's"));
    if told { Ok(()) } else { Err("the walls do not tell".into()) }
}

/// The mount table names no directory of the host but those that the user has mounted, and of those the kernel says where
/// they are in their file system.
fn mount_sources(host: &Host, _: Runtime) -> Result<(), String> {
    let image = host.root.to_str().unwrap().to_owned();
    let mut spec = host.spec("mount-sources", &[image]);
    green(host::run(&spec, None, Runtime::Builtin))?;
    // Without the overlay, which comes with the root being read-only, the image's directory is named.
    spec.weaken.insert(Weaken::WritableRoot);
    red(host::run(&spec, None, Runtime::Builtin))
}

/// A watch sees what happens in the mounted directories, whoever does it, and nothing else of the host: neither in the image,
/// which sandboxes share, nor beside a mounted directory.
fn watches(host: &Host, _: Runtime) -> Result<(), String> {
    use std::io::Read as _;
    use std::io::Write as _;
    let watched = |spec: &Spec, act: &dyn Fn()| {
        let mut running = spawn(spec, Stdio::Piped)?;
        let mut output = std::io::PipeReader::from(running.stdout.take().unwrap());
        let mut input = std::io::PipeWriter::from(running.stdin.take().unwrap());
        let mut seen = [0; 9];
        output.read_exact(&mut seen).map_err(|error| error.to_string())?;
        act();
        let _ = input.write_all(b"go\n");
        running.wait().map_err(|error| one_line(&error))
    };
    let made = host.root.join("etc/resolv.conf");
    let (beside, within) = (host.scratch.join("beside"), host.scratch.join("workspace/within"));
    // As an ordinary user the image is somebody else's: what is beside the workspace is tried alone.
    let outside = || {
        let _ = fs::write(&made, "x");
        let _ = fs::write(&made, "");
        let _ = fs::write(&beside, "");
    };
    let mut spec = host.spec("watch", &["/".into(), "/etc".into(), "/workspace".into()]);
    spec.mounts.push(Mount::writable(host.scratch.join("workspace"), "/workspace"));
    match watched(&spec, &outside)? {
        Exit::Code(0) => {}
        other => return Err(format!("{other}")),
    }
    let _ = fs::remove_file(&within);
    match watched(&spec, &|| drop(fs::write(&within, "")))? {
        Exit::Code(1) => {}
        other => return Err(format!("the control in the workspace: {other}")),
    }
    let _ = fs::remove_file(&within);
    if fs::OpenOptions::new().write(true).open(&made).is_err() {
        return Ok(());
    }
    spec.weaken.insert(Weaken::WritableRoot);
    match watched(&spec, &|| {
        fs::write(&made, "x").unwrap();
        fs::write(&made, "").unwrap();
    })? {
        Exit::Code(1) => Ok(()),
        other => Err(format!("the control in the image: {other}")),
    }
}

/// Passes when the probe does.
pub(crate) fn green(result: Result<(String, Exit), String>) -> Result<(), String> {
    match result? {
        (_, Exit::Code(0)) => Ok(()),
        (text, exit) => Err(format!("{exit}: {text}")),
    }
}

/// Passes when the probe fails: a control.
pub(crate) fn red(result: Result<(String, Exit), String>) -> Result<(), String> {
    match result? {
        (_, Exit::Code(1)) => Ok(()),
        (text, exit) => Err(format!("the control ended with {exit}: {text}")),
    }
}

fn read_only_program(host: &Host, _: Runtime) -> Result<(), String> {
    let read_only = |spec: &Spec| {
        let running = spawn(spec, Stdio::Null)?;
        let path = format!("/proc/{}/exe", running.pid());
        let file = fs::File::open(&path).map_err(|error| format!("{path}: {error}"))?;
        let about = rustix::fs::fstatvfs(&file).map_err(|errno| errno.to_string())?;
        Ok::<_, String>(about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
    };
    let mut spec = host.spec("sleep", &[]);
    if !read_only(&spec)? {
        return Err("process 1's program can be written to through its mount".into());
    }
    spec.weaken.insert(Weaken::PlainProgram);
    if read_only(&spec)? { Err("the control is read-only too".into()) } else { Ok(()) }
}

/// A program whose file is gone (upgraded, removed) cannot be mounted; the copy in memory takes its place.
fn removed_program(host: &Host, _: Runtime) -> Result<(), String> {
    let program = host.scratch.join("removed");
    fs::copy("/proc/self/exe", &program).map_err(|error| error.to_string())?;
    let spec = host.spec("sleep", &[]);
    let seals = |remove: &str| {
        let mut holder = Command::new(&program)
            .args(["hold", &serde_json::to_string(&spec).unwrap(), remove])
            .stdout(ProcessStdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim();
        let file = fs::File::open(format!("/proc/{pid}/exe")).map_err(|error| format!("{line:?}: {error}"));
        let name = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        holder.kill().unwrap();
        holder.wait().unwrap();
        if !name.starts_with(b"pinfold-init") {
            return Err(format!("the holder said {line:?}"));
        }
        Ok(rustix::fs::fcntl_get_seals(file?).unwrap_or_else(|_| rustix::fs::SealFlags::empty()))
    };
    let wanted = rustix::fs::SealFlags::SEAL
        | rustix::fs::SealFlags::SHRINK
        | rustix::fs::SealFlags::GROW
        | rustix::fs::SealFlags::WRITE;
    // Control: as long as the file is there it is mounted, not copied.
    if seals("")?.contains(wanted) {
        return Err("the control is sealed too".into());
    }
    let found = seals(program.to_str().unwrap())?;
    if found.contains(wanted) { Ok(()) } else { Err(format!("seals are {found:?}")) }
}

fn own_terminal(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sessions::sandboxes(host);
    let spec = sessions::spec(host, "terminal", "terminal");
    match host::in_terminal(&sandboxes, &spec, runtime, "terminal") {
        (_, Some(0)) => {}
        other => return Err(format!("{other:?}")),
    }
    // Control: on pipes the same probe fails.
    red(host::run(&host.spec("terminal", &[]), None, runtime))
}

/// With the caller's own streams on a terminal the program still gets none of it: it could read and type there.
fn own_streams(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sessions::sandboxes(host);
    let spec = sessions::spec(host, "streams", "no-terminal");
    match host::in_terminal(&sandboxes, &spec, runtime, "own") {
        (_, Some(0)) => {}
        other => return Err(format!("{other:?}")),
    }
    match host::in_terminal(&sandboxes, &spec, runtime, "terminal") {
        (_, Some(1)) => Ok(()),
        other => Err(format!("the control: {other:?}")),
    }
}

/// What of the probe's output must be seen, and must not.
pub(crate) fn harmless(seen: &str) -> Result<(), String> {
    let wanted = ["begin", "red", "end", "\x1b[31m", "\x1b[?1000h", "\x1b]0;title\x07"];
    let unwanted = ["\x1b]52", "[21t", "\x1bP", "\x1b_", "canary", "\x05", "\u{9d}"];
    if let Some(missing) = wanted.iter().find(|text| !seen.contains(**text)) {
        return Err(format!("{missing:?} is missing in {seen:?}"));
    }
    if let Some(found) = unwanted.iter().find(|text| seen.contains(**text)) {
        return Err(format!("{found:?} is in {seen:?}"));
    }
    Ok(())
}

fn escapes(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sessions::sandboxes(host);
    let mut spec = sessions::spec(host, "escapes", "escapes");
    for streams in ["terminal", "own"] {
        let (seen, code) = host::in_terminal(&sandboxes, &spec, runtime, streams);
        harmless(&seen)?;
        if code != Some(0) || !seen.contains("\x1b[6n") || !seen.contains("\x1b[?1000l") {
            return Err(format!("{code:?} {seen:?}"));
        }
    }
    spec.weaken.insert(Weaken::Escapes);
    match harmless(&host::in_terminal(&sandboxes, &spec, runtime, "terminal").0) {
        Ok(()) => Err("the control is harmless too".into()),
        Err(_) => Ok(()),
    }
}

fn proxied(host: &Host, probe: &str, args: &[String]) -> Spec {
    let mut spec = host.spec(probe, args);
    spec.network = Network::Proxy(Egress::default());
    spec
}

/// A socket in the proxy's place.
fn socket(host: &Host, connections: usize) -> std::path::PathBuf {
    let path = host.scratch.join("egress.sock");
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    if connections > 0 {
        host::echo(listener, connections);
    }
    path
}

fn relay(host: &Host, runtime: Runtime) -> Result<(), String> {
    let mut spec = proxied(host, "relay", &[]);
    green(host::run(&spec, Some(&socket(host, 1)), runtime))?;
    // Control: without the relay nothing listens.
    spec.network = Network::None;
    red(host::run(&spec, None, runtime))
}

fn relay_without_proxy(host: &Host, runtime: Runtime) -> Result<(), String> {
    let spec = proxied(host, "relay-without-proxy", &[]);
    green(host::run(&spec, Some(&socket(host, 0)), runtime))?;
    red(host::run(&spec, Some(&socket(host, 1)), runtime))
}

fn relay_dies(host: &Host, runtime: Runtime) -> Result<(), String> {
    let spec = proxied(host, "relay-dies", &[]);
    green(host::run(&spec, Some(&socket(host, 1)), runtime))?;
    red(host::run(&spec, Some(&socket(host, 2)), runtime))
}

/// A program that does not look at `HTTPS_PROXY` reaches nothing.
fn without_variables(host: &Host, runtime: Runtime) -> Result<(), String> {
    let addresses = ["192.0.2.1:443", "[2001:db8::1]:443"].map(str::to_owned);
    let mut spec = proxied(host, "unreachable", &addresses);
    green(host::run(&spec, Some(&socket(host, 0)), runtime))?;
    let mut port = proxied(host, "host-port", &[host.port.to_string()]);
    green(host::run(&port, Some(&socket(host, 0)), runtime))?;
    for spec in [&mut spec, &mut port] {
        spec.weaken.insert(Weaken::HostNetwork);
    }
    red(host::run(&port, Some(&socket(host, 0)), runtime))
}

/// A workspace at its own path, which the image does not have; what the image has beside it stays visible.
fn skeleton(host: &Host, _: Runtime) -> Result<(), String> {
    let workspace = host.scratch.join("workspace");
    let target = format!("/home/somebody/{}", std::process::id());
    let mut spec = host.spec("writable", &[target.clone(), "/home/agent".into()]);
    spec.mounts.push(Mount::writable(&workspace, &target));
    spec.cwd = target.clone().into();
    green(host::run(&spec, None, Runtime::Builtin))?;
    if !workspace.join("written").exists() {
        return Err("what was written inside is not outside".into());
    }
    let mut spec = host.spec("read-only", &[]);
    spec.mounts.push(Mount::writable(&workspace, &target));
    green(host::run(&spec, None, Runtime::Builtin))
}

/// Of the sockets in a mount one is a program's of the host, one nobody's any more, and one a program's that runs in a sandbox.
fn sockets_covered(host: &Host, runtime: Runtime) -> Result<(), String> {
    let work = host.scratch.join("with-sockets");
    let _ = directory::remove(&work);
    fs::create_dir_all(work.join("deep")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(work.join("dead.sock")).unwrap());
    // A process that is being started has it, too, until it is executed.
    let begun = std::time::Instant::now();
    while std::os::unix::net::UnixStream::connect(work.join("dead.sock")).is_ok() {
        if begun.elapsed() > std::time::Duration::from_secs(60) {
            return Err("somebody has the dead socket".into());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let _listener = std::os::unix::net::UnixListener::bind(work.join("deep/agent.sock")).unwrap();
    let mut spec = host.spec("visible-sockets", &["/mnt/agent/dead.sock".to_owned()]);
    spec.mounts.push(Mount::read_only(&work, "/mnt/agent"));
    let plan = Plan::new(&spec, &Probe::run()).map_err(|error| error.to_string())?;
    let covered: Vec<_> = plan.covered_sockets().collect();
    if covered != [work.join("deep/agent.sock")] {
        return Err(format!("covered: {covered:?}"));
    }
    match (runtime, host::run(&spec, None, runtime)) {
        // Its mounts go on files and directories only.
        (Runtime::Oci(OciRuntime::Runsc), Err(told)) if told.contains("cannot cover it") => {}
        (_, outcome) => green(outcome)?,
    }
    // Controls: without the cover, and where the user named it.
    let mut open = spec.clone();
    open.weaken.insert(Weaken::ClosedDirectories);
    red(host::run(&open, None, runtime))?;
    if runtime == Runtime::Oci(OciRuntime::Runsc) {
        return Ok(());
    }
    let socket = work.join("deep/agent.sock");
    let mut named = Mount::read_only(&socket, "/mnt/agent/deep/agent.sock");
    named.sockets = Sockets::Allow;
    spec.mounts.push(named);
    red(host::run(&spec, None, runtime))
}

/// The host's socket in a directory that the planner cannot list. Inside, the program is its owner and opens it.
fn socket_in_closed_directory(host: &Host, runtime: Runtime) -> Result<(), String> {
    let workspace = host.scratch.join("with-closed");
    let closed = workspace.join("below/closed");
    let _ = directory::remove(&workspace);
    fs::create_dir_all(&closed).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(closed.join("agent.sock")).unwrap();
    let mode =
        |mode| fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0);
    let mut spec = host.spec("closed-directory", &["/workspace/below/closed".to_owned()]);
    spec.mounts.push(Mount::writable(&workspace, "/workspace"));
    if rustix::process::geteuid().is_root() {
        // To whom nothing is closed: the socket is seen, and covered.
        let plan = Plan::new(&spec, &Probe::run()).map_err(|error| error.to_string())?;
        if plan.covered_sockets().count() != 1 {
            return Err(format!("{plan:?}"));
        }
        // Control: where the user allows it, the program reaches it.
        spec.mounts[0].sockets = Sockets::Allow;
        let control = red(host::run(&spec, None, runtime));
        mode(0);
        // Without the socket the same directory is mounted.
        fs::remove_file(closed.join("agent.sock")).unwrap();
        spec.mounts[0].sockets = Sockets::Refuse;
        return control.and(green(host::run(&spec, None, runtime)));
    }
    let result = green(host::run(&spec, None, runtime));
    mode(0);
    spec.weaken.insert(Weaken::ClosedDirectories);
    let control = red(host::run(&spec, None, runtime));
    mode(0o700);
    result.and(control)
}

fn memory(host: &Host, runtime: Runtime) -> Result<(), String> {
    let mut spec = host.spec("memory-hog", &[]);
    spec.limits.memory = Some(64 << 20);
    spec.policy.cgroup = pinfold_sandbox::spec::Need::Required;
    match host::run(&spec, None, runtime)? {
        (_, Exit::Signal(9)) => {}
        (text, exit) => return Err(format!("{exit}: {text}")),
    }
    spec.weaken.insert(Weaken::Limits);
    green(host::run(&spec, None, runtime))
}

fn descendants(host: &Host, runtime: Runtime) -> Result<(), String> {
    let before = host::left_over();
    let (text, exit) = host::run(&host.spec("crowd", &[]), None, runtime)?;
    if exit != Exit::Code(0) || text != "ready" {
        return Err(format!("{exit}: {text}"));
    }
    soon("descendants are left", || host::left_over().is_subset(&before))
}

fn init_killed(host: &Host, _: Runtime) -> Result<(), String> {
    let before = host::left_over();
    let running = spawn(&host.spec("sleep", &[]), Stdio::Null)?;
    let pid = rustix::process::Pid::from_raw(running.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).map_err(|errno| errno.to_string())?;
    let exit = running.wait().map_err(|error| one_line(&error))?;
    if exit != Exit::Signal(9) {
        return Err(format!("reported as {exit}"));
    }
    soon("the program outlives process 1", || host::left_over().is_subset(&before))
}

fn program_missing(host: &Host, _: Runtime) -> Result<(), String> {
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

/// The whole suite runs with a `git` first in PATH that leaves a mark. A workspace full of what git would obey is planned,
/// run, listed and removed; there must be no mark, and running that `git` must make one.
fn no_git(host: &Host, _: Runtime) -> Result<(), String> {
    let marks = || {
        let entries = fs::read_dir(&host.trap).unwrap().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("ran-")).count()
    };
    let repository = host.scratch.join("workspace/.git");
    fs::create_dir_all(repository.join("hooks")).unwrap();
    let trap = host.trap.join("git");
    let config = format!(
        "[core]\n\tfsmonitor = {0}\n\thooksPath = {0}\n\tsshCommand = {0}\n\tpager = {0}\n[diff]\n\texternal = {0}\n\
         [filter \"x\"]\n\tclean = {0}\n[alias]\n\tstatus = !{0}\n[credential]\n\thelper = !{0}\n",
        trap.display()
    );
    fs::write(repository.join("config"), config).unwrap();
    for hook in ["post-checkout", "pre-commit", "post-index-change"] {
        fs::copy(&trap, repository.join("hooks").join(hook)).unwrap();
    }
    fs::write(host.scratch.join("workspace/.gitattributes"), "* filter=x\n").unwrap();
    let sandboxes = sessions::sandboxes(host);
    let mut spec = sessions::spec(host, "git", "nothing");
    spec.mounts.push(Mount::writable(host.scratch.join("workspace"), "/workspace"));
    spec.cwd = Path::new("/workspace").into();
    match sandboxes.run(&spec, Runtime::Builtin, Stdio::Null) {
        Ok(Exit::Code(0)) => {}
        other => return Err(format!("{other:?}")),
    }
    sandboxes.list().map_err(|error| one_line(&error))?;
    directory::remove(&repository).unwrap();
    fs::remove_file(host.scratch.join("workspace/.gitattributes")).unwrap();
    if marks() > 0 {
        return Err("a git was run".into());
    }
    Command::new("git").arg("status").status().map_err(|error| format!("the control: {error}"))?;
    let marked = marks();
    for entry in fs::read_dir(&host.trap).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("ran-") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    if marked > 0 { Ok(()) } else { Err("the control left no mark".into()) }
}
