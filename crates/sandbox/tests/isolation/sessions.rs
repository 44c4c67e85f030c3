//! Sandboxes by name: sessions that outlive their terminal, foreground runs, what is kept.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use pinfold_sandbox::Exit;
use pinfold_sandbox::SandboxError;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Status;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::session::DETACH_KEY;
use pinfold_sandbox::session::Detached;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Network;

use crate::host;
use crate::host::Host;
use crate::rows::soon;

fn sandboxes(host: &Host) -> Sandboxes {
    Sandboxes::new(host.scratch.join("sandboxes"))
}

fn spec(host: &Host, name: &str, probe: &str) -> Spec {
    let mut spec = host.spec(probe, &[]);
    spec.name = format!("{name}-{}", std::process::id());
    spec.home.keep = Keep::Home;
    spec.network = Network::Proxy(Egress::default());
    spec
}

fn text(error: &dyn std::error::Error) -> String {
    host::chain(error)
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
        Self { input: input.into(), output, seen: String::new(), thread }
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
            if start.elapsed() > Duration::from_secs(10) {
                return Err(format!("no {wanted:?} in {:?}", self.seen));
            }
        }
        Ok(())
    }

    fn end(self) -> Result<Detached, String> {
        self.thread.join().unwrap().map_err(|error| text(&error))
    }
}

pub(crate) fn session(host: &Host, _: &str) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let before = host::left_over();
    let spec = spec(host, "session", "chat");
    sandboxes.open(&spec, 24, 80).map_err(|error| text(&error))?;
    let mut first = Attached::to(&sandboxes, &spec.name);
    first.until("ready")?;
    first.input.write_all(b"hello\n").unwrap();
    first.until("got <hello>")?;
    first.input.write_all(&[DETACH_KEY]).unwrap();
    if first.end()? != Detached::ByUser {
        return Err("the key did not detach".into());
    }
    let summary = sandboxes.summary(&spec.name).map_err(|error| text(&error))?;
    if summary.status != Status::Running || summary.usage.is_none_or(|usage| usage.processes != 2) {
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
    sandboxes.remove(&spec.name).map_err(|error| text(&error))
}

fn supervisors() -> Vec<i32> {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse::<i32>().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default().starts_with(b"pinfold-supervisor")
                && fs::read(format!("/proc/{pid}/status")).is_ok_and(|status| {
                    String::from_utf8_lossy(&status)
                        .contains(&format!("\nUid:\t{}\t", rustix::process::geteuid().as_raw()))
                })
        })
        .collect()
}

pub(crate) fn killed(host: &Host, _: &str) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let before = host::left_over();
    let others = supervisors();
    let spec = spec(host, "killed", "chat");
    sandboxes.open(&spec, 24, 80).map_err(|error| text(&error))?;
    for pid in supervisors().into_iter().filter(|pid| !others.contains(pid)) {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    soon("the sandbox outlives its supervisor", || host::left_over().is_subset(&before))?;
    soon("it is not told as killed", || {
        sandboxes.status(&spec.name).is_ok_and(|status| status == Status::Killed)
    })?;
    // The name can be used again, and stopped in the polite way.
    sandboxes.open(&spec, 24, 80).map_err(|error| text(&error))?;
    sandboxes.stop(&spec.name, Duration::from_secs(5)).map_err(|error| text(&error))?;
    match sandboxes.status(&spec.name) {
        Ok(Status::Ended(Exit::Signal(15))) => {}
        other => return Err(format!("{other:?}")),
    }
    sandboxes.remove(&spec.name).map_err(|error| text(&error))?;
    soon("processes are left", || host::left_over().is_subset(&before))?;
    if host::groups().iter().any(|path| path.ends_with(format!("pinfold-{}", spec.name))) {
        return Err("a control group is left".into());
    }
    Ok(())
}

pub(crate) fn one_of_a_name(host: &Host, _: &str) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let spec = spec(host, "one", "sleep");
    sandboxes.open(&spec, 24, 80).map_err(|error| text(&error))?;
    let again = sandboxes.open(&spec, 24, 80);
    let run = sandboxes.run(&spec, Stdio::Null);
    let removed = sandboxes.remove(&spec.name);
    sandboxes.stop(&spec.name, Duration::ZERO).map_err(|error| text(&error))?;
    sandboxes.remove(&spec.name).map_err(|error| text(&error))?;
    match (again, run, removed) {
        (Err(SandboxError::InUse(_)), Err(SandboxError::InUse(_)), Err(SandboxError::InUse(_))) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// In the foreground with the real proxy; nothing stays on disk.
pub(crate) fn foreground(host: &Host, _: &str) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "foreground", "denied-by-proxy");
    spec.home.keep = Keep::Nothing;
    match sandboxes.run(&spec, Stdio::Null) {
        Ok(Exit::Code(0)) => {}
        other => return Err(format!("{other:?}")),
    }
    if sandboxes.directory().join(&spec.name).exists() {
        return Err("its folder is left".into());
    }
    // A broken start leaves nothing either.
    spec.args = vec!["missing".into()];
    match sandboxes.run(&spec, Stdio::Null) {
        Err(SandboxError::Start(_)) => {}
        other => return Err(format!("{other:?}")),
    }
    if sandboxes.directory().join(&spec.name).exists() { Err("its folder is left".into()) } else { Ok(()) }
}

/// The real proxy in front of another runtime, with a home that is kept.
pub(crate) fn in_runc(host: &Host, _: &str) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "runc", "denied-by-proxy");
    spec.home.keep = Keep::Nothing;
    match sandboxes.run_in(&spec, pinfold_sandbox::Runtime::Runc, Stdio::Null) {
        Ok(Exit::Code(0)) | Err(SandboxError::NoRuntime(_)) => {}
        other => return Err(format!("{other:?}")),
    }
    if sandboxes.directory().join(&spec.name).exists() { Err("its folder is left".into()) } else { Ok(()) }
}

/// What is written to the home is there the next time.
pub(crate) fn home(host: &Host, _: &str) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = spec(host, "home", "writable");
    spec.args.push("/home/agent".into());
    for _ in 0..2 {
        match sandboxes.run(&spec, Stdio::Null) {
            Ok(Exit::Code(0)) => {}
            other => return Err(format!("{other:?}")),
        }
        let written = sandboxes.directory().join(&spec.name).join("home/written");
        if !Path::new(&written).exists() {
            return Err(format!("{} is missing", written.display()));
        }
    }
    sandboxes.remove(&spec.name).map_err(|error| text(&error))
}
