//! Following a sandbox until it ends: its output to this process's streams, what is typed to it, and signals.
//!
//! ```text
//!   terminal or pipes of the sandbox ──► escape::Filter, where the user has a terminal ──► standard output, error
//!   standard input ──────────────────────────────────────────────────────────────────────► terminal or pipe
//!   HUP TERM to this process ─► the program, and after [`GRACE`] everything is killed;  INT QUIT ─► the program
//! ```
//!
//! **Guarantees**: raw mode and what the program changed of the terminal are undone; a program never gets a descriptor of
//! the user's terminal, which could be read from and typed into; output that nobody takes any more ends the program as a
//! closed terminal does.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::error::SandboxError;
use crate::start::sys::Endings;
use crate::supervise::terminal;
use crate::supervise::terminal::RawMode;
use crate::supervise::terminal::escape::Filter;
use crate::types::Exit;

/// How long a program may take to end after a signal that asks for it.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// The signal of a terminal that is gone.
const HANGUP: u8 = 1;
/// The polite end.
const TERMINATE: u8 = 15;

/// A started sandbox, whoever started it.
pub(crate) trait Supervised {
    /// The master of its terminal.
    fn terminal(&self) -> Option<BorrowedFd<'_>>;
    /// Becomes readable when the program has ended.
    fn ended(&self) -> BorrowedFd<'_>;
    /// The ends of its pipes, taken: input, output, errors.
    fn pipes(&mut self) -> [Option<OwnedFd>; 3];
    /// Sends the program a signal.
    fn signal(&self, number: u8) -> Result<(), SandboxError>;
    /// Kills everything inside.
    fn kill(&mut self) -> Result<(), SandboxError>;
    /// Waits for the end and clears up.
    fn finish(&mut self) -> Result<Exit, SandboxError>;
}

/// Signals that this process is sent, and what they mean for the sandbox.
#[derive(Debug)]
pub(crate) struct Asked {
    endings: Option<Endings>,
    deadline: Option<Instant>,
}

impl Asked {
    /// Catches them from now on. A process that already catches them for another sandbox keeps doing so.
    pub(crate) fn begin() -> Self {
        Self { endings: Endings::catch().ok(), deadline: None }
    }

    /// What to wait on for a signal.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.endings.as_ref().map(AsFd::as_fd)
    }

    /// Passes on what has come, and kills what has had its time.
    pub(crate) fn serve(&mut self, sandbox: &mut dyn Supervised) {
        while let Some(signal) = self.endings.as_ref().and_then(Endings::next) {
            self.pass(sandbox, signal);
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.deadline = None;
            // Whoever is gone already cannot be killed; the loop sees its end.
            let _ = sandbox.kill();
        }
    }

    fn pass(&mut self, sandbox: &dyn Supervised, signal: u8) {
        let _ = sandbox.signal(signal);
        if matches!(signal, HANGUP | TERMINATE) {
            self.deadline.get_or_insert_with(|| Instant::now() + GRACE);
        }
    }

    /// How long to wait for anything.
    pub(crate) fn timeout(&self, looks: bool) -> Option<rustix::event::Timespec> {
        (looks || self.deadline.is_some()).then_some(terminal::LOOK)
    }
}

/// One direction of output.
struct Out<'a> {
    from: Option<OwnedFd>,
    to: BorrowedFd<'a>,
    filter: Option<Filter>,
}

impl Out<'_> {
    /// Copies what is there. `false` when nobody takes it any more.
    fn copy(&mut self, buffer: &mut [u8]) -> bool {
        let Some(from) = &self.from else { return true };
        match rustix::io::read(from, &mut *buffer) {
            Ok(n @ 1..) => {
                let written = match &mut self.filter {
                    Some(filter) => terminal::write_all(self.to, &filter.pass(&buffer[..n])),
                    None => terminal::write_all(self.to, &buffer[..n]),
                };
                written.is_ok()
            }
            Err(Errno::INTR | Errno::AGAIN) => true,
            // The end of the last program on a terminal is EIO.
            _ => {
                self.from = None;
                true
            }
        }
    }
}

/// This process's streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnStreams<'a> {
    pub(crate) input: BorrowedFd<'a>,
    pub(crate) output: BorrowedFd<'a>,
    pub(crate) errors: BorrowedFd<'a>,
}

impl OwnStreams<'static> {
    /// Standard input, output and error.
    pub(crate) fn own() -> Self {
        Self {
            input: rustix::stdio::stdin(),
            output: rustix::stdio::stdout(),
            errors: rustix::stdio::stderr(),
        }
    }
}

/// Follows `sandbox` to its end; a terminal gets its output through filters like `shown`. `asked` was begun before it was
/// started: a signal in between is not lost.
pub(crate) fn follow(
    sandbox: &mut dyn Supervised,
    user: OwnStreams<'_>,
    shown: &Filter,
    mut asked: Asked,
) -> Result<Exit, SandboxError> {
    let copied =
        |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(SandboxError::supervisor("copy the terminal"));
    let [mut input, output, errors] = sandbox.pipes();
    let terminal = sandbox.terminal().map(copied).transpose()?;
    let filter = |to: BorrowedFd<'_>| rustix::termios::isatty(to).then(|| shown.clone());
    let mut outs = [
        Out {
            filter: if terminal.is_some() { Some(shown.clone()) } else { filter(user.output) },
            from: terminal.as_ref().map(|fd| copied(fd.as_fd())).transpose()?.or(output),
            to: user.output,
        },
        Out { filter: filter(user.errors), from: errors, to: user.errors },
    ];
    let ended = sandbox.ended().try_clone_to_owned();
    let ended = ended.map_err(SandboxError::supervisor("copy the control socket"))?;
    let raw = terminal.as_ref().and_then(|_| RawMode::enter(user.input));
    let mut listening = terminal.is_some() || input.is_some();
    let mut size = (0, 0);
    let mut buffer = [0_u8; 16 << 10];
    loop {
        if let Some(terminal) = &terminal {
            let now = terminal::size(user.input);
            if now != size {
                terminal::resize(terminal, now.0, now.1);
                size = now;
            }
        }
        let watched = [
            Some(ended.as_fd()),
            outs[0].from.as_ref().map(AsFd::as_fd),
            outs[1].from.as_ref().map(AsFd::as_fd),
            listening.then_some(user.input),
            asked.descriptor(),
        ];
        let [over, first, second, typed, _] = wait(watched, asked.timeout(terminal.is_some()))?;
        asked.serve(sandbox);
        let taken = [(first, 0), (second, 1)]
            .into_iter()
            .all(|(ready, index)| !ready || outs[index].copy(&mut buffer));
        if !taken {
            // The terminal or the reader is gone: what the program says now goes nowhere.
            asked.pass(sandbox, HANGUP);
            for out in &mut outs {
                out.from = None;
            }
        }
        if typed {
            match rustix::io::read(user.input, &mut buffer) {
                Ok(0) | Err(Errno::IO) => {
                    listening = false;
                    input = None;
                }
                Ok(n) => {
                    let to = terminal.as_ref().or(input.as_ref());
                    if to.is_none_or(|to| terminal::write_all(to, &buffer[..n]).is_err()) {
                        listening = false;
                    }
                }
                Err(_) => {}
            }
        }
        // What it wrote last was there before it ended.
        if over && !first && !second {
            break;
        }
    }
    for out in &outs {
        if let Some(filter) = &out.filter {
            let _ = terminal::write_all(out.to, &filter.restore());
        }
    }
    drop(raw);
    sandbox.finish()
}

/// Waits for any of the descriptors; which of them are ready.
fn wait<const N: usize>(
    watched: [Option<BorrowedFd<'_>>; N],
    timeout: Option<rustix::event::Timespec>,
) -> Result<[bool; N], SandboxError> {
    let mut fds: Vec<PollFd<'_>> =
        watched.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    match rustix::event::poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(SandboxError::supervisor("wait for the sandbox")(errno)),
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(watched.map(|fd| fd.is_some() && ready.next().unwrap_or(false)))
}
