//! Sandboxes by name: sessions that outlive their terminal, foreground runs, what is kept.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_base::directory;
use pinfold_base::error::one_line;
use pinfold_sandbox::Exit;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Status;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::session::DETACH_KEY;
use pinfold_sandbox::session::Detached;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Network;
use pinfold_sandbox::weaken::Weaken;

use crate::host;
use crate::host::Host;
use crate::outside::PATIENCE;
use crate::outside::harmless;
use crate::outside::soon;

pub(crate) fn sandboxes(host: &Host) -> Sandboxes {
    Sandboxes::new(host.scratch.join("sandboxes"))
}

/// A sandbox with the real proxy and an empty allow-list, of which nothing stays.
pub(crate) fn spec(host: &Host, name: &str, probe: &str) -> Spec {
    let mut spec = host.spec(probe, &[]);
    spec.name = format!("{name}-{}", std::process::id());
    spec.home.keep = Keep::Run;
    spec.network = Network::Proxy(Egress::default());
    spec
}

fn open(sandboxes: &Sandboxes, spec: &Spec, runtime: Runtime) -> Result<(), SandboxError> {
    sandboxes.open(spec, runtime, 24, 80)
}

/// A terminal's place: attached in a thread, driven through two pipes.
struct Attached {
    input: fs::File,
    output: OwnedFd,
    seen: String,
    thread: std::thread::JoinHandle<Result<Detached, SandboxError>>,
}

impl Attached {
    fn to(sandboxes: &Sandboxes, name: &str) -> Self {
        let (theirs_in, input) = rustix::pipe::pipe().unwrap();
        let (output, theirs_out) = rustix::pipe::pipe().unwrap();
        let (sandboxes, name) = (sandboxes.clone(), name.to_owned());
        let thread =
            std::thread::spawn(move || sandboxes.attach(&name, theirs_in.as_fd(), theirs_out.as_fd()));
        Self { input: fs::File::from_parts(input.into(), "input"), output, seen: String::new(), thread }
    }

    fn until(&mut self, wanted: &str) -> Result<(), String> {
        let start = Instant::now();
        let mut buffer = [0; 4096];
        while !self.seen.contains(wanted) {
            let mut fds = [rustix::event::PollFd::new(&self.output, rustix::event::PollFlags::IN)];
            let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
            if rustix::event::poll(&mut fds, Some(&second)).unwrap() > 0 {
                match rustix::io::read(&self.output, &mut buffer) {
                    Ok(n @ 1..) => self.seen.push_str(&String::from_utf8_lossy(&buffer[..n])),
                    _ => return Err(format!("ended after {:?}", self.seen)),
                }
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("no {wanted:?} in {:?}", self.seen));
            }
        }
        Ok(())
    }

    fn end(self) -> Result<Detached, String> {
        self.thread.join().unwrap().map_err(|error| one_line(&error))
    }
}

pub(crate) fn session(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let before = host::left_over();
    let spec = spec(host, "session", "chat");
    open(&sandboxes, &spec, runtime).map_err(|error| one_line(&error))?;
    let mut first = Attached::to(&sandboxes, &spec.name);
    first.until("ready")?;
    first.input.write_all(b"hello\n").unwrap();
    first.until("got <hello>")?;
    first.input.write_all(&[DETACH_KEY]).unwrap();
    if first.end()? != Detached::ByUser {
        return Err("the key did not detach".into());
    }
    let summary = sandboxes.summary(&spec.name).map_err(|error| one_line(&error))?;
    if summary.status != Status::Running || summary.usage.is_none_or(|usage| usage.processes < 2) {
        return Err(format!("{summary:?}"));
    }
    // A second terminal is shown what went before.
    let mut second = Attached::to(&sandboxes, &spec.name);
    second.until("got <hello>")?;
    second.input.write_all(b"quit\n").unwrap();
    match second.end()? {
        Detached::Ended(Exit::Code(7)) => {}
        other => return Err(format!("{other:?}")),
    }
    soon("the end is not recorded", || {
        sandboxes.status(&spec.name).is_ok_and(|status| status == Status::Ended(Exit::Code(7)))
    })?;
    let log = fs::read_to_string(&sandboxes.logs(&spec.name).unwrap().session[1]).unwrap_or_default();
    if !log.contains("got <hello>") {
        return Err(format!("the log is {log:?}"));
    }
    soon("processes are left", || host::left_over().is_subset(&before))?;
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))
}

pub(crate) fn escapes(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "attached", "chat");
    for guarded in [true, false] {
        if !guarded {
            spec.weaken.insert(Weaken::Escapes);
        }
        open(&sandboxes, &spec, runtime).map_err(|error| one_line(&error))?;
        let mut first = Attached::to(&sandboxes, &spec.name);
        first.until("ready")?;
        first.input.write_all(b"escapes\n").unwrap();
        first.until("end")?;
        // Shown again: without the question, whose answer would be typed into what runs now.
        let mut second = Attached::to(&sandboxes, &spec.name);
        second.until("end")?;
        first.input.write_all(b"quit\n").unwrap();
        let seen = [first.seen.clone(), second.seen.clone()];
        first.end()?;
        second.end()?;
        soon("the end is not recorded", || {
            sandboxes.status(&spec.name).is_ok_and(|status| status == Status::Ended(Exit::Code(7)))
        })?;
        sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
        let asks = seen.each_ref().map(|seen| seen.contains("\x1b[6n"));
        match (guarded, harmless(&seen[0]).and(harmless(&seen[1])), asks) {
            (true, Ok(()), [true, false]) | (false, Err(_), [true, true]) => {}
            other => return Err(format!("{other:?} in {seen:?}")),
        }
    }
    Ok(())
}

/// What a program shows cannot be the supervisor's word that it has ended.
pub(crate) fn forged_end(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let spec = spec(host, "forged", "chat");
    open(&sandboxes, &spec, runtime).map_err(|error| one_line(&error))?;
    let mut attached = Attached::to(&sandboxes, &spec.name);
    attached.until("ready")?;
    attached.input.write_all(b"frames\n").unwrap();
    attached.until("got <frames>")?;
    attached.input.write_all(b"still here\n").unwrap();
    attached.until("got <still here>")?;
    // Control: the supervisor's own word.
    attached.input.write_all(b"quit\n").unwrap();
    let ended = attached.end()?;
    soon("the end is not recorded", || {
        sandboxes.status(&spec.name).is_ok_and(|status| status == Status::Ended(Exit::Code(7)))
    })?;
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
    if ended == Detached::Ended(Exit::Code(7)) { Ok(()) } else { Err(format!("{ended:?}")) }
}

/// Process ids of this user's supervisors.
fn supervisors() -> Vec<i32> {
    let own = format!("\nUid:\t{}\t", rustix::process::geteuid().as_raw());
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(b"pinfold-supervisor")
                && fs::read(format!("/proc/{pid}/status"))
                    .is_ok_and(|status| String::from_utf8_lossy(&status).contains(&own))
        })
        .collect()
}

/// The supervisor of the session that `start` opens.
pub(crate) fn supervisor_of(start: impl FnOnce() -> Result<(), SandboxError>) -> Result<i32, String> {
    let others = supervisors();
    start().map_err(|error| one_line(&error))?;
    // Others of this machine may come and go meanwhile: the last one is taken.
    supervisors().into_iter().rfind(|pid| !others.contains(pid)).ok_or_else(|| "no supervisor".into())
}

pub(crate) fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

pub(crate) fn killed(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let before = host::left_over();
    let mut spec = spec(host, "killed", "chat");
    spec.home.keep = Keep::Home;
    let pid = supervisor_of(|| open(&sandboxes, &spec, runtime))?;
    signal(pid, rustix::process::Signal::KILL);
    soon("the sandbox outlives its supervisor", || host::left_over().is_subset(&before))?;
    soon("it is not told as killed", || {
        sandboxes.status(&spec.name).is_ok_and(|status| status == Status::Killed)
    })?;
    // The name can be used again, and stopped in the polite way.
    open(&sandboxes, &spec, runtime).map_err(|error| one_line(&error))?;
    let mut attached = Attached::to(&sandboxes, &spec.name);
    attached.until("ready")?;
    sandboxes.stop(&spec.name, Duration::from_secs(10)).map_err(|error| one_line(&error))?;
    match sandboxes.status(&spec.name) {
        Ok(Status::Ended(Exit::Signal(15))) => {}
        other => return Err(format!("{other:?}")),
    }
    attached.end()?;
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
    soon("processes are left", || host::left_over().is_subset(&before))?;
    left(&sandboxes, &spec)
}

/// Folder and control groups that are left of a sandbox.
fn left(sandboxes: &Sandboxes, spec: &Spec) -> Result<(), String> {
    let folder = sandboxes.directory().join(&spec.name);
    if folder.exists() {
        return Err(format!("{} is left", folder.display()));
    }
    match host::groups().iter().find(|path| path.ends_with(format!("pinfold-{}", spec.name))) {
        Some(group) => Err(format!("{} is left", group.display())),
        None => Ok(()),
    }
}

/// Starts a supervisor in the foreground, sends it `sent` once the program runs, and returns its exit code.
fn supervisor_sent(
    sandboxes: &Sandboxes,
    spec: &Spec,
    runtime: Runtime,
    sent: rustix::process::Signal,
) -> Result<Option<i32>, String> {
    let before = host::left_over();
    let mut child = host::foreground_command(sandboxes, spec, runtime, "null")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let started = sandboxes.directory().join(&spec.name).join("home/started");
    let mut ended = None;
    let up = soon("it does not start", || {
        ended = child.try_wait().ok().flatten();
        started.exists() || ended.is_some()
    });
    if up.is_err() || ended.is_some() {
        return Err(not_started(child, ended));
    }
    if host::left_over().is_subset(&before) {
        return Err("no process of it was found while it ran".into());
    }
    if runtime == Runtime::Oci(OciRuntime::Runc) {
        // It listens for signals a moment after the program runs, and what it does not hear ends it.
        std::thread::sleep(Duration::from_millis(500));
    }
    signal(child.id().cast_signed(), sent);
    let mut status = None;
    let ended = soon("the supervisor does not end", || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    if let Err(error) = ended {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    soon("processes are left", || host::left_over().is_subset(&before))?;
    Ok(status.and_then(|status| status.code()))
}

/// Why a supervisor does not start its program: its end where it has one, and what it said.
fn not_started(mut child: std::process::Child, status: Option<std::process::ExitStatus>) -> String {
    use std::io::Read as _;
    let told = |pid: &i32, file: &str| {
        let told = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        told.replace('\0', " ").trim().chars().take(60).collect::<String>()
    };
    let at_work: Vec<String> = host::left_over()
        .iter()
        .map(|pid| format!("{pid} `{}` in {}", told(pid, "cmdline"), told(pid, "wchan")))
        .collect();
    let _ = child.kill();
    let _ = child.wait();
    let mut said = String::new();
    let _ = child.stdout.take().map(|mut out| out.read_to_string(&mut said));
    format!("it does not start: {status:?}: {}; at work: {at_work:?}", said.trim())
}

pub(crate) fn asked_to_end(host: &Host, runtime: Runtime) -> Result<(), String> {
    use rustix::process::Signal;
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "asked", "sleep-at-home");
    for (sent, wanted) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        match supervisor_sent(&sandboxes, &spec, runtime, sent)? {
            Some(code) if code == wanted => left(&sandboxes, &spec)?,
            other => return Err(format!("{sent:?} ended with {other:?}")),
        }
    }
    // One that does not listen is killed after its time.
    spec.args[2] = "stubborn".into();
    match supervisor_sent(&sandboxes, &spec, runtime, Signal::TERM)? {
        Some(137) => left(&sandboxes, &spec)?,
        other => return Err(format!("the stubborn one ended with {other:?}")),
    }
    // Control: a supervisor that cannot clear up leaves its folder.
    supervisor_sent(&sandboxes, &spec, runtime, Signal::KILL)?;
    if left(&sandboxes, &spec).is_ok() {
        return Err("the control left nothing".into());
    }
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
    left(&sandboxes, &spec)
}

/// What a killed supervisor left is cleared by the next look.
pub(crate) fn foreground_killed(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "swept", "sleep-at-home");
    supervisor_sent(&sandboxes, &spec, runtime, rustix::process::Signal::KILL)?;
    sandboxes.list().map_err(|error| one_line(&error))?;
    left(&sandboxes, &spec)?;
    // Control: without the sweep it is still there, until it is removed.
    spec.weaken.insert(Weaken::Leftovers);
    supervisor_sent(&sandboxes, &spec, runtime, rustix::process::Signal::KILL)?;
    sandboxes.list().map_err(|error| one_line(&error))?;
    if left(&sandboxes, &spec).is_ok() {
        return Err("the control left nothing".into());
    }
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
    left(&sandboxes, &spec)
}

pub(crate) fn one_of_a_name(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let spec = spec(host, "one", "sleep");
    open(&sandboxes, &spec, runtime).map_err(|error| one_line(&error))?;
    let again = open(&sandboxes, &spec, runtime);
    let run = sandboxes.run(&spec, runtime, Stdio::Null);
    let removed = sandboxes.remove(&spec.name);
    sandboxes.stop(&spec.name, Duration::ZERO).map_err(|error| one_line(&error))?;
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
    left(&sandboxes, &spec)?;
    match (again, run, removed) {
        (Err(SandboxError::InUse(_)), Err(SandboxError::InUse(_)), Err(SandboxError::InUse(_))) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Runs the probe of `spec` by name; what it printed is in the log of nobody, so only the code counts.
pub(crate) fn by_name(
    sandboxes: &Sandboxes,
    spec: &Spec,
    runtime: Runtime,
    wanted: u8,
) -> Result<(), String> {
    match sandboxes.run(spec, runtime, Stdio::Null) {
        Ok(Exit::Code(code)) if code == wanted => left(sandboxes, spec),
        other => Err(format!("{other:?}, expected {wanted}")),
    }
}

/// In the foreground with the real proxy; nothing stays on disk.
pub(crate) fn empty_list(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "empty", "asked-proxy");
    let target = format!("127.0.0.1:{}", host.port);
    spec.args.push(format!("{target}\t403\tthe allow-list is empty").into());
    by_name(&sandboxes, &spec, runtime, 0)?;
    // Control: with the rule, and a proxy that may, the tunnel is opened.
    spec.network = Network::Proxy(Egress { allow: vec![format!("tcp:{target}")], ..Egress::default() });
    spec.weaken.insert(Weaken::ProxyLoopback);
    by_name(&sandboxes, &spec, runtime, 1)?;
    // A broken start leaves nothing either.
    spec.args = vec!["missing".into()];
    let _ = sandboxes.run(&spec, runtime, Stdio::Null);
    left(&sandboxes, &spec)
}

/// Names that look like what is allowed, addresses in disguise, and allowed ones that must not be reached.
pub(crate) fn hostile_targets(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "hostile", "asked-proxy");
    let loopback = format!("127.0.0.1:{}", host.port);
    let rules = ["*.example.org", &format!("tcp:{loopback}"), "169.254.169.254", "[fd00:ec2::254]"];
    let allow = rules.map(str::to_owned).to_vec();
    spec.network = Network::Proxy(Egress { allow, ..Egress::default() });
    let not_listed =
        ["evilexample.org:443", "example.org:443", "a.example.org.evil.test:443", "b.example.com:443"];
    let disguised = [
        "2130706433:80",
        "0x7f000001:80",
        "0177.0.0.1:80",
        "[::ffff:127.0.0.1]:80",
        "0.0.0.0:80",
        "[::]:80",
        "user@a.example.org:443",
        "a.example.org%00.evil.test:443",
        "a.example.org:443:443",
        "a.example.org:99999",
    ];
    let unreachable = [
        (loopback.as_str(), "loopback"),
        ("169.254.169.254:80", "metadata"),
        ("[fd00:ec2::254]:80", "metadata"),
    ];
    spec.args.extend(not_listed.map(|target| format!("{target}\t403\tno rule allows").into()));
    spec.args.extend(disguised.map(|target| format!("{target}\t4\t").into()));
    spec.args.extend(unreachable.map(|(target, reason)| format!("{target}\t403\t{reason}").into()));
    by_name(&sandboxes, &spec, runtime, 0)?;
    spec.weaken.insert(Weaken::ProxyLoopback);
    by_name(&sandboxes, &spec, runtime, 1)
}

/// What is written to the home is there the next time.
pub(crate) fn home(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "home", "writable");
    spec.home.keep = Keep::Home;
    spec.args.push("/home/agent".into());
    for _ in 0..2 {
        match sandboxes.run(&spec, runtime, Stdio::Null) {
            Ok(Exit::Code(0)) => {}
            other => return Err(format!("{other:?}")),
        }
        let written = sandboxes.directory().join(&spec.name).join("home/written");
        if !Path::new(&written).exists() {
            return Err(format!("{} is missing", written.display()));
        }
    }
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
    // Control: of one that is not kept nothing is there.
    spec.home.keep = Keep::Run;
    by_name(&sandboxes, &spec, runtime, 0)
}

/// A home with directories that nobody may open, and 1,500 levels deep, is shown as what it is and removed, whether it was
/// to be kept or not. What a broken removal leaves is in the list, and goes with the next one.
pub(crate) fn hard_home(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "hard", "hard-home");
    spec.args.push("/home/agent".into());
    by_name(&sandboxes, &spec, runtime, 0)?;
    spec.home.keep = Keep::Home;
    match sandboxes.run(&spec, runtime, Stdio::Null) {
        Ok(Exit::Code(0)) => {}
        other => return Err(format!("{other:?}")),
    }
    let folder = sandboxes.directory().join(&spec.name);
    // Control: it is as hard as the row says. A path to its end is refused by the kernel.
    let end = (0..1500).fold(folder.join("home"), |path, _| path.join("deeper"));
    let closed = fs::metadata(folder.join("home/closed")).map_err(|error| error.to_string())?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&closed.permissions()) & 0o777;
    match rustix::fs::stat(&end) {
        Err(rustix::io::Errno::NAMETOOLONG) if mode == 0 => {}
        other => return Err(format!("the control: mode {mode:o}, {other:?}")),
    }
    let listed = || -> Result<Option<Status>, String> {
        let all = sandboxes.list().map_err(|error| one_line(&error))?;
        Ok(all.into_iter().find(|one| one.name == spec.name).map(|one| one.status))
    };
    // As a removal that was broken off leaves it.
    fs::write(folder.join("leftover"), "").unwrap();
    if listed()? != Some(Status::Leftover) {
        return Err(format!("listed as {:?}", listed()?));
    }
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
    left(&sandboxes, &spec)?;
    if listed()?.is_some() { Err("it is listed and gone".into()) } else { Ok(()) }
}

/// While one sandbox exchanges a directory of its workspace with a link out of it, others are started that have the
/// directory mounted. None may see what the link leads to.
pub(crate) fn exchanged(host: &Host, _: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let workspace = host.scratch.join("exchanged");
    fs::create_dir_all(&workspace).unwrap();
    let mut swapper = spec(host, "swapper", "swap");
    swapper.args.extend(["/workspace".into(), host.scratch.join("secret").into()]);
    swapper.mounts.push(Mount::writable(&workspace, "/workspace"));
    sandboxes.open(&swapper, Runtime::Builtin, 24, 80).map_err(|error| one_line(&error))?;
    soon("the exchange does not begin", || workspace.join("swapping").exists())?;
    // Both ways must have been met before the race says anything, however slow the machine is.
    let race = |weaken: Option<Weaken>, enough: &dyn Fn(i32, i32, i32) -> bool| {
        let (mut seen, mut started, mut refused) = (0, 0, 0);
        let start = Instant::now();
        while start.elapsed() < PATIENCE
            && (start.elapsed() < Duration::from_secs(3) || !enough(seen, started, refused))
        {
            let mut spec = host.spec("absent", &["/outside/key".into()]);
            spec.weaken.extend(weaken.clone());
            spec.mounts.push(Mount::writable(&workspace, "/workspace"));
            spec.mounts.push(Mount::read_only(workspace.join("swap"), "/outside"));
            match host::run(&spec, None, Runtime::Builtin) {
                Ok((_, Exit::Code(0))) => started += 1,
                Ok(_) => seen += 1,
                Err(_) => refused += 1,
            }
        }
        (seen, started, refused)
    };
    let guarded = race(None, &|seen, started, refused| seen > 0 || (started > 0 && refused > 0));
    let control = race(Some(Weaken::LinksInSources), &|seen, _, _| seen > 0);
    fs::write(workspace.join("stop"), "").unwrap();
    soon("the exchange does not end", || {
        sandboxes.status(&swapper.name).is_ok_and(|status| status == Status::Ended(Exit::Code(0)))
    })?;
    sandboxes.remove(&swapper.name).map_err(|error| one_line(&error))?;
    directory::remove(&workspace).unwrap();
    match (guarded, control) {
        ((0, 1.., 1..), (1.., ..)) => Ok(()),
        other => Err(format!("(seen, not seen, refused), then without the guard: {other:?}")),
    }
}

pub(crate) fn neighbours(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let workspace = host.scratch.join("shared");
    fs::create_dir_all(&workspace).unwrap();
    let [one, other] = [("one-of-two", "presence"), ("other-of-two", "neighbour")].map(|(name, probe)| {
        let mut spec = spec(host, name, probe);
        spec.mounts.push(Mount::writable(&workspace, "/workspace"));
        spec
    });
    open(&sandboxes, &one, runtime).map_err(|error| one_line(&error))?;
    let mut attached = Attached::to(&sandboxes, &one.name);
    attached.until("ready")?;
    let result = by_name(&sandboxes, &other, runtime, 0);
    attached.input.write_all(b"\n").unwrap();
    let end = attached.end()?;
    soon("the end is not recorded", || {
        sandboxes.status(&one.name).is_ok_and(|status| status != Status::Running)
    })?;
    sandboxes.remove(&one.name).map_err(|error| one_line(&error))?;
    directory::remove(&workspace).unwrap();
    result.and(if end == Detached::Ended(Exit::Code(0)) { Ok(()) } else { Err(format!("{end:?}")) })
}

pub(crate) fn flood(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "flood", "flood");
    for guarded in [true, false] {
        if !guarded {
            spec.weaken.insert(Weaken::UnboundedLog);
        }
        open(&sandboxes, &spec, runtime).map_err(|error| one_line(&error))?;
        soon("the flood does not end", || {
            sandboxes.status(&spec.name).is_ok_and(|status| status == Status::Ended(Exit::Code(0)))
        })?;
        let logs = sandboxes.logs(&spec.name).map_err(|error| one_line(&error))?.session;
        let size: u64 = logs.iter().filter_map(|path| fs::metadata(path).ok()).map(|data| data.len()).sum();
        sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
        if guarded != (size <= 2 << 20) {
            return Err(format!("the log has {size} bytes, guarded: {guarded}"));
        }
    }
    Ok(())
}

/// Attaching and letting go leaves nothing in the supervisor.
pub(crate) fn many_attachments(host: &Host, _: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let spec = spec(host, "often", "chat");
    let pid = supervisor_of(|| open(&sandboxes, &spec, Runtime::Builtin))?;
    let descriptors = || fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    // Once it answers it has opened everything.
    let mut first = Attached::to(&sandboxes, &spec.name);
    first.until("ready")?;
    let with_one = descriptors();
    first.input.write_all(&[DETACH_KEY]).unwrap();
    first.end()?;
    soon("the first attachment is left", || descriptors() + 1 == with_one)?;
    let before = (descriptors(), threads());
    let mut held = Attached::to(&sandboxes, &spec.name);
    held.until("ready")?;
    // What the check looks at moves while somebody is attached.
    soon("an attachment is not seen", || descriptors() > before.0)?;
    for round in 0..100 {
        let mut one = Attached::to(&sandboxes, &spec.name);
        one.until("ready")?;
        // Half of them say goodbye.
        if round % 2 == 0 {
            one.input.write_all(&[DETACH_KEY]).unwrap();
        }
        drop(one.input);
        match one.thread.join().unwrap() {
            Ok(Detached::ByUser) => {}
            other => return Err(format!("{other:?}")),
        }
    }
    held.input.write_all(&[DETACH_KEY]).unwrap();
    held.end()?;
    soon("descriptors or threads are left", || (descriptors(), threads()) == before)?;
    sandboxes.stop(&spec.name, Duration::from_secs(5)).map_err(|error| one_line(&error))?;
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))
}

/// Bare starts, runs by name with home and proxy, and sessions that are stopped: 200 in all.
pub(crate) fn many_starts(host: &Host, _: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    // Others of this machine mount and unmount too.
    let mounts = || {
        let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
        all.lines().filter(|line| line.contains("pinfold")).map(str::to_owned).collect::<Vec<_>>()
    };
    let scratch = || fs::read_dir(&host.scratch).unwrap().count();
    let named = || fs::read_dir(sandboxes.directory()).map_or(0, Iterator::count);
    let own_groups = || {
        let own = format!("-{}", std::process::id());
        host::groups().into_iter().filter(|path| path.to_string_lossy().ends_with(&own)).count()
    };
    // The folder of all sandboxes stays.
    fs::create_dir_all(sandboxes.directory()).unwrap();
    let before = host::left_over();
    let look = || (descriptors(), mounts(), own_groups(), scratch(), named());
    let first = look();
    for round in 0..200 {
        match round % 10 {
            8 => by_name(&sandboxes, &spec(host, "many", "nothing"), Runtime::Builtin, 0)?,
            9 => {
                let spec = spec(host, "many", "sleep");
                sandboxes.open(&spec, Runtime::Builtin, 24, 80).map_err(|error| one_line(&error))?;
                if host::left_over().is_subset(&before) || look() == first {
                    return Err("what is looked at does not show a session".into());
                }
                sandboxes.stop(&spec.name, Duration::from_secs(5)).map_err(|error| one_line(&error))?;
                sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
            }
            _ => crate::outside::green(host::run(&host.spec("nothing", &[]), None, Runtime::Builtin))?,
        }
    }
    soon("processes are left", || host::left_over().is_subset(&before))?;
    soon("something is left", || look() == first)
        .map_err(|text| format!("{text}: before {first:?}, after {:?}", look()))
}
