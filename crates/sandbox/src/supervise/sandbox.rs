//! A sandbox while it runs, seen from its supervisor.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::process::Pid;
use rustix::process::WaitOptions;

use crate::error::SandboxError;
use crate::plan::MountKind;
use crate::plan::Plan;
use crate::plan::ids::Outside;
use crate::plan::wall::Standing;
use crate::start::key::SessionKey;
use crate::start::spawn::HostPaths;
use crate::start::spawn::Message;
use crate::start::spawn::Order;
use crate::start::spawn::Place;
use crate::start::spawn::StreamKind;
use crate::start::spawn::parent;
use crate::start::spawn::parent::Handed;
use crate::start::spawn::parent::Started;
use crate::start::trees::Trees;
use crate::supervise::foreground;
use crate::supervise::foreground::Asked;
use crate::supervise::foreground::OwnStreams;
use crate::supervise::foreground::Supervised;
use crate::supervise::streams;
use crate::supervise::streams::Pipes;
use crate::supervise::terminal::escape::Filter;
use crate::supervise::terminal::escape::Showing;
use crate::supervise::written::Places;
use crate::types::Exit;
use crate::types::Stdio;

/// A plan with the paths of the host it needs, ready to start.
#[derive(Clone, Debug)]
pub struct Sandbox {
    plan: Plan,
    paths: HostPaths,
    key: Option<SessionKey>,
}

impl Sandbox {
    /// A sandbox without a home of its own and without a proxy.
    pub fn new(plan: Plan) -> Self {
        Self { plan, paths: HostPaths::default(), key: None }
    }

    /// With this directory of the host as its home (for [`crate::spec::Keep::Home`]).
    #[must_use]
    pub fn home(mut self, directory: impl Into<PathBuf>) -> Self {
        self.paths.home = Some(directory.into());
        self
    }

    /// With this Unix socket of the host as its way out. Its file may be removed once the sandbox runs.
    #[must_use]
    pub fn egress(mut self, socket: impl Into<PathBuf>) -> Self {
        self.paths.egress = Some(socket.into());
        self
    }

    /// With these places for what is written over directories of the image.
    #[must_use]
    pub(crate) fn written(mut self, places: &Places) -> Self {
        self.paths.written.clone_from(&places.by_target);
        self
    }

    /// With this session key, for a plan that has a place for one.
    #[must_use]
    pub(crate) fn key(mut self, key: Option<SessionKey>) -> Self {
        self.key = key;
        self
    }

    /// Starts it and returns once the program has been executed. The calling thread must outlive the sandbox: the kernel
    /// kills it when that thread ends.
    pub fn spawn(&self, stdio: Stdio) -> Result<Running, SandboxError> {
        let mut paths = self.paths.clone();
        let HostPaths { home, egress, written } = &mut paths;
        let written = written.values_mut().map(Place::path_mut);
        for path in [home, egress].into_iter().flatten().chain(written) {
            *path = fs_err::canonicalize(&*path).map_err(SandboxError::file("find", path.clone()))?;
        }
        if paths.egress.is_none() && self.plan.has(&MountKind::Egress) {
            return Err(SandboxError::Egress("the plan wants a proxy and there is no socket".into()));
        }
        if self.plan.key.is_some() != self.key.is_some() {
            let action = "hand the session key over";
            return Err(SandboxError::supervisor(action)(std::io::Error::other(
                "the plan and it do not agree",
            )));
        }
        let streams::Prepared { streams, pipes, null } = streams::prepare(stdio, &self.plan.guards.streams)?;
        let kind = match stdio {
            Stdio::Terminal { rows, columns } => StreamKind::Terminal { rows, columns },
            _ => StreamKind::Given { null },
        };
        let mut plan = self.plan.clone();
        let trees = match Trees::open(&plan, &paths) {
            Err(error) if plan.ids.outside == Outside::StandInOrRoot => {
                tracing::debug!("{error}; the sandbox has root's ids outside");
                plan = plan.with_root_ids();
                None
            }
            result => result.map_err(SandboxError::Start)?,
        };
        if trees.is_some() {
            streams::give(&streams, plan.ids).map_err(SandboxError::supervisor("give the streams away"))?;
        }
        let targets =
            |trees: &Trees| trees.mounts.iter().map(|(target, _)| target.clone()).collect::<Vec<_>>();
        let order = Order { plan, paths, streams: kind, trees: trees.as_ref().map(targets) };
        let handed = Handed { streams: &streams, trees: trees.as_ref(), key: self.key.as_ref() };
        let started = parent::start(&order, handed)?;
        drop(trees);
        // From here on this process mostly waits; the program is starting meanwhile.
        crate::start::sys::settle();
        drop(streams);
        let [stdin, stdout, stderr] = pipes;
        Ok(Running { started, stdin, stdout, stderr, walls: order.plan.0.walls, exit: None })
    }

    /// Starts it on this process's own streams and waits for the end.
    pub fn run(&self) -> Result<Exit, SandboxError> {
        let asked = Asked::begin();
        let mut running = self.spawn(Stdio::Inherit)?;
        let shown = Filter::guarded(Showing::Live, self.plan.guards.shown_output.clone());
        foreground::follow(&mut running, OwnStreams::own(), &shown, asked)
    }
}

/// A running sandbox. Dropping it kills everything inside.
#[derive(Debug)]
pub struct Running {
    started: Started,
    /// Write end of the program's standard input, for [`Stdio::Piped`].
    pub stdin: Option<OwnedFd>,
    /// Read end of its standard output.
    pub stdout: Option<OwnedFd>,
    /// Read end of its standard error.
    pub stderr: Option<OwnedFd>,
    walls: Vec<Standing>,
    exit: Option<Exit>,
}

impl Running {
    /// Id of process 1 outside.
    pub fn pid(&self) -> u32 {
        self.started.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// The walls that are up.
    pub fn walls(&self) -> &[Standing] {
        &self.walls
    }

    /// The master of its terminal, for [`Stdio::Terminal`].
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.started.terminal.as_ref().map(AsFd::as_fd)
    }

    /// Becomes readable when the program has ended.
    pub fn control(&self) -> BorrowedFd<'_> {
        self.started.control.as_fd()
    }

    /// Sends the program's process group a signal.
    pub fn signal(&self, number: u8) -> Result<(), SandboxError> {
        Message::Signal(number)
            .send(&self.started.control)
            .map_err(SandboxError::supervisor("send a signal to the sandbox"))
    }

    /// Waits for the end: of the program, and with it of everything inside.
    pub fn wait(mut self) -> Result<Exit, SandboxError> {
        self.finish()
    }

    pub(crate) fn finish(&mut self) -> Result<Exit, SandboxError> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        self.stdin = None;
        let mut exit = Exit::Signal(9);
        while let Ok(Some((message, _))) = Message::receive(&self.started.control) {
            if let Message::Exited(how) = message {
                exit = how;
                break;
            }
        }
        self.collect()?;
        self.exit = Some(exit);
        Ok(exit)
    }

    /// Kills everything inside.
    pub fn kill(mut self) -> Result<(), SandboxError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), SandboxError> {
        // It is our child and not yet waited for, so the id is still its own.
        let _ = rustix::process::kill_process(self.started.pid, rustix::process::Signal::KILL);
        self.collect()?;
        self.exit = Some(Exit::Signal(9));
        Ok(())
    }

    /// Waits for process 1. The kernel lets it end only after every other process of its namespace.
    fn collect(&mut self) -> Result<(), SandboxError> {
        loop {
            match rustix::process::waitpid(Some::<Pid>(self.started.pid), WaitOptions::empty()) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CHILD) | Ok(_) => break,
                Err(errno) => return Err(SandboxError::supervisor("wait for the sandbox")(errno)),
            }
        }
        self.started.groups = None;
        Ok(())
    }
}

impl Supervised for Running {
    fn terminal(&self) -> Option<BorrowedFd<'_>> {
        Self::terminal(self)
    }

    fn ended(&self) -> BorrowedFd<'_> {
        self.control()
    }

    fn pipes(&mut self) -> Pipes {
        [self.stdin.take(), self.stdout.take(), self.stderr.take()]
    }

    fn signal(&self, number: u8) -> Result<(), SandboxError> {
        Self::signal(self, number)
    }

    fn kill(&mut self) -> Result<(), SandboxError> {
        self.end()
    }

    fn finish(&mut self) -> Result<Exit, SandboxError> {
        Self::finish(self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.exit.is_none() {
            let _ = self.end();
        }
    }
}
