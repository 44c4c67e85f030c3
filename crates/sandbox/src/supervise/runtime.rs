//! Running a plan with `runc` or `runsc`: a bundle in a folder of its own, pipes or a terminal for the streams, and nothing
//! left behind.
//!
//! ```text
//!   supervisor ── pty pair ──► runtime, in a session of its own ──► terminal of the sandbox's own /dev/pts
//!        └─────── lifeline, descriptor 3 ──────────────────────────► process 1 (runc): ends when it is closed
//! ```
//!
//! The runtime is killed with the thread that started it. `runsc` ends its sandbox then; what `runc` started would live on,
//! so its process 1 watches the lifeline.
//!
//! Output goes through pipes or the terminal, never into a file of the caller's: `runsc` writes to a regular file at an
//! offset of its own, over what others write there.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Stdio as ProcessStdio;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::directory;
use pinfold_base::text::Shown;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use rustix::pty::OpenptFlags;

use crate::error::SandboxError;
use crate::oci::config;
use crate::oci::config::BundlePaths;
use crate::plan::Namespace;
use crate::plan::Plan;
use crate::start::key::SessionKey;
use crate::start::sys;
use crate::start::sys::Control;
use crate::supervise::foreground::Supervised;
pub use crate::supervise::program::Program;
use crate::supervise::streams;
use crate::supervise::streams::Pipes;
use crate::supervise::terminal;
use crate::types::Exit;
use crate::types::OciRuntime;
use crate::types::Stdio;

/// How long `runsc` may take to note that a container runs, and how often it is asked.
const NOTED: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(50);

/// A sandbox in another runtime. Dropping it kills everything inside.
#[derive(Debug)]
pub struct Guest {
    program: Program,
    name: String,
    folder: PathBuf,
    child: Child,
    process: OwnedFd,
    lifeline: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    pipes: Pipes,
    exit: Option<Exit>,
}

/// Writes the bundle into `folder`, which is removed at the end, and starts the runtime. The calling thread must outlive
/// the sandbox.
pub fn start(
    plan: &Plan,
    paths: &BundlePaths,
    program: Program,
    stdio: Stdio,
    folder: &Path,
) -> Result<Guest, SandboxError> {
    start_with(plan, paths, program, stdio, folder, None)
}

/// The same with a session key, for a plan that has a place for one. It is all that comes on standard input then.
pub(crate) fn start_with(
    plan: &Plan,
    paths: &BundlePaths,
    program: Program,
    stdio: Stdio,
    folder: &Path,
    key: Option<SessionKey>,
) -> Result<Guest, SandboxError> {
    let runtime = program.runtime();
    let coverings = folder.join("coverings");
    crate::oci::protect::write(plan, &coverings).map_err(SandboxError::file("fill", &coverings))?;
    let paths = BundlePaths { coverings: Some(coverings), ..paths.clone() };
    let mut config = config::config(plan, &paths, runtime)?;
    let mut terminal = None;
    let streams::Prepared { mut streams, mut pipes, .. } = streams::prepare(stdio, &plan.guards.streams)?;
    if let Stdio::Terminal { rows, columns } = stdio {
        config["process"]["terminal"] = true.into();
        config["process"]["consoleSize"] = serde_json::json!({"height": rows, "width": columns});
        let (master, slave) =
            open_terminal(rows, columns).map_err(SandboxError::supervisor("open a terminal"))?;
        let copy = || slave.try_clone().map_err(SandboxError::supervisor("open a terminal"));
        streams.stdin = copy()?;
        streams.stdout = copy()?;
        streams.stderr = slave;
        terminal = Some(master);
    }
    if let Some(key) = key {
        let hand_over = || {
            let (theirs, ours) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            // A new pipe has room for it.
            key.into_stream(&ours)?;
            Ok(theirs)
        };
        let failed = SandboxError::supervisor::<rustix::io::Errno>("hand the session key over");
        streams.stdin = hand_over().map_err(failed)?;
        pipes[0] = None;
    }
    let bundle = folder.join("bundle");
    fs_err::create_dir_all(&bundle).map_err(SandboxError::file("make", &bundle))?;
    let path = bundle.join("config.json");
    fs_err::write(&path, config.to_string()).map_err(SandboxError::file("write", path))?;
    let mut command = program.command(folder)?;
    if !plan.namespaces.contains(&Namespace::Network) && runtime == OciRuntime::Runsc {
        command.arg("--network=host");
    }
    command.arg("run");
    if runtime == OciRuntime::Runc {
        command.args(["--preserve-fds", "1"]);
    }
    command.arg("--bundle").arg(&bundle).arg(container_id(&plan.name));
    command.stdin(streams.stdin).stdout(streams.stdout).stderr(streams.stderr);
    let (theirs, lifeline) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(SandboxError::supervisor("make a pipe"))?;
    let control = if terminal.is_some() { Control::Terminal } else { Control::None };
    let started = sys::spawn_tied(&mut command, control, theirs.as_fd());
    let child = started.map_err(|error| {
        let _ = directory::remove(folder);
        match error.kind() {
            io::ErrorKind::NotFound => SandboxError::NoRuntime(runtime.program().into()),
            _ => SandboxError::Supervisor { action: "start the runtime", source: error },
        }
    })?;
    let process = pid(&child)
        .ok_or(rustix::io::Errno::SRCH)
        .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
        .map_err(SandboxError::supervisor("watch the runtime"))?;
    Ok(Guest {
        program,
        name: plan.name.clone(),
        folder: folder.to_owned(),
        child,
        process,
        lifeline: Some(lifeline),
        terminal,
        pipes,
        exit: None,
    })
}

/// A sandbox's name in the letters that both runtimes take for an id: `+` stands for `@`, and is in no name.
fn container_id(name: &str) -> String {
    name.replace('@', "+")
}

/// Removes what a runtime that was killed has left in `folder`, its control groups among it.
/// Without its program, which may have been removed since, the folder alone.
pub(crate) fn clear(
    program: Result<Program, SandboxError>,
    name: &str,
    folder: &Path,
) -> Result<(), SandboxError> {
    if has_nothing(&folder.join("state")) {
        return Ok(directory::remove(folder)?);
    }
    match program.and_then(|program| program.command(folder)) {
        Ok(mut command) => {
            let _ = command
                .args(["delete", "--force", &container_id(name)])
                .stdin(ProcessStdio::null())
                .stdout(ProcessStdio::null())
                .stderr(ProcessStdio::null())
                .status();
        }
        Err(SandboxError::NoRuntime(_)) => {}
        Err(error) => tracing::warn!("{}: control groups of `{name}` may stay", Shown::of(&error)),
    }
    Ok(directory::remove(folder)?)
}

/// Whether the runtime knows of no container: what ended in order it has deleted itself, and it was never started where there is no
/// state. What cannot be read is asked for.
fn has_nothing(state: &Path) -> bool {
    match fs_err::read_dir(state) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// A terminal of the host: its master, and the slave for the runtime.
fn open_terminal(rows: u16, columns: u16) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    terminal::resize(&slave, rows, columns);
    Ok((master, slave))
}

impl Supervised for Guest {
    fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    fn ended(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    fn pipes(&mut self) -> Pipes {
        std::mem::take(&mut self.pipes)
    }

    fn signal(&self, number: u8) -> Result<(), SandboxError> {
        // Process 1 passes it to the program. `runc` passes on to process 1 what it is sent; `runsc` would end.
        if self.program.runtime() == OciRuntime::Runsc {
            // Until it has noted that the container runs, which is after the program does, it refuses.
            let start = Instant::now();
            while start.elapsed() < NOTED && !self.has_ended() {
                if self.kill_with(number)? {
                    return Ok(());
                }
                std::thread::sleep(AGAIN);
            }
        }
        match Signal::from_named_raw(i32::from(number)) {
            Some(signal) => rustix::process::pidfd_send_signal(&self.process, signal)
                .map_err(SandboxError::supervisor("send a signal to the sandbox")),
            None => Ok(()),
        }
    }

    fn kill(&mut self) -> Result<(), SandboxError> {
        self.lifeline = None;
        rustix::process::pidfd_send_signal(&self.process, Signal::KILL)
            .map_err(SandboxError::supervisor("kill the sandbox"))
    }

    fn finish(&mut self) -> Result<Exit, SandboxError> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        let status = self.child.wait().map_err(SandboxError::supervisor("wait for the runtime"))?;
        let exit = match (status.code(), status.signal()) {
            // Neither runtime tells a signal from a code; process 1 says it as a shell does.
            (Some(code @ 129..=159), _) => Exit::Signal(u8::try_from(code - 128).unwrap_or(9)),
            (Some(code), _) => Exit::Code(u8::try_from(code).unwrap_or(255)),
            (None, signal) => Exit::Signal(signal.and_then(|signal| signal.try_into().ok()).unwrap_or(9)),
        };
        self.exit = Some(exit);
        self.lifeline = None;
        clear(Ok(self.program.clone()), &self.name, &self.folder)?;
        Ok(exit)
    }
}

impl Guest {
    /// Has the runtime's own `kill` send a signal; whether it did.
    fn kill_with(&self, number: u8) -> Result<bool, SandboxError> {
        let asked = self
            .program
            .command(&self.folder)?
            .args(["kill", &container_id(&self.name), &number.to_string()])
            .stdin(ProcessStdio::null())
            .stdout(ProcessStdio::null())
            .stderr(ProcessStdio::null())
            .status();
        Ok(asked.is_ok_and(|status| status.success()))
    }

    /// Whether the runtime's process is gone.
    fn has_ended(&self) -> bool {
        let mut process = [PollFd::new(&self.process, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut process, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// The ends of the program's pipes, taken: input, output, errors.
    pub fn pipes(&mut self) -> [Option<OwnedFd>; 3] {
        Supervised::pipes(self)
    }

    /// The master of its terminal, for [`Stdio::Terminal`].
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        Supervised::terminal(self)
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Result<Exit, SandboxError> {
        self.finish()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.exit.is_none() {
            let _ = self.kill();
            let _ = self.finish();
        }
    }
}
