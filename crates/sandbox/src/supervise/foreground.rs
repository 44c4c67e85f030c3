//! Following a sandbox until it ends: its output to this process's streams, what is typed to it, and signals.
//!
//! ```text
//!   terminal or pipes of the sandbox ──► escape::Filter, where the user has a terminal ──► standard output, error
//!                                   └──► Pump, where it is anything else ─────────────────► standard output, error
//!   standard input ──────────────────────────────────────────────────────────────────────► terminal or pipe
//!   HUP TERM to this process ─► the program, and after [`GRACE`] everything is killed;  INT QUIT ─► the program
//! ```
//!
//! **Guarantees**: raw mode and what the program changed of the terminal are undone; a program never gets a descriptor of
//! the user's ([`super::streams`]); a terminal that is gone ends the program as a hangup does, any other output that nobody
//! takes any more is a closed pipe to it. Output that cannot be written (a full disk) is a closed pipe too, and an error once the
//! program has ended: nothing is lost in silence. A reader who is slow keeps nobody but the program waiting.

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
use crate::supervise::pump::Input;
use crate::supervise::pump::Moved;
use crate::supervise::pump::Pump;
use crate::supervise::streams::Stream;
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

/// Whether a signal asks for the end.
const fn is_ending(signal: u8) -> bool {
    matches!(signal as i32, libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGKILL | libc::SIGTERM)
}

/// Signals that this process is sent, and what they mean for the sandbox.
#[derive(Debug)]
pub(crate) struct Asked {
    endings: Option<Endings>,
    grace: Duration,
    deadline: Option<Instant>,
    killed: bool,
    for_end: bool,
}

impl Asked {
    /// Catches them from now on. A process that already catches them for another sandbox keeps doing so.
    pub(crate) fn begin() -> Self {
        Self::within(GRACE)
    }

    /// The same, with so much time for the program to end.
    pub(crate) fn within(grace: Duration) -> Self {
        Self { endings: Endings::catch().ok(), grace, deadline: None, killed: false, for_end: false }
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
            self.killed = true;
            // Whoever is gone already cannot be killed; the loop sees its end.
            let _ = sandbox.kill();
        }
    }

    /// Whether the end was asked for, so that nothing is to be started again.
    pub(crate) fn is_asked(&self) -> bool {
        self.for_end
    }

    /// The same while nothing runs that a signal could be passed to.
    pub(crate) fn take(&mut self) -> bool {
        while let Some(signal) = self.endings.as_ref().and_then(Endings::next) {
            self.for_end |= is_ending(signal);
        }
        self.for_end
    }

    /// Notes what somebody who attached asks for.
    pub(crate) fn note(&mut self, signal: u8) {
        self.for_end |= is_ending(signal);
    }

    /// The same, and passes it on.
    pub(crate) fn pass_from_client(&mut self, sandbox: &dyn Supervised, signal: u8) {
        self.note(signal);
        let _ = sandbox.signal(signal);
    }

    fn pass(&mut self, sandbox: &dyn Supervised, signal: u8) {
        self.for_end |= is_ending(signal);
        // The time runs from now, however long it takes to pass it on.
        if matches!(signal, HANGUP | TERMINATE) {
            let grace = self.grace;
            self.deadline.get_or_insert_with(|| Instant::now() + grace);
        }
        let _ = sandbox.signal(signal);
    }

    /// Whether the time is up that a signal gave.
    fn is_over(&self) -> bool {
        self.killed
    }

    /// How long to wait for anything.
    pub(crate) fn timeout(&self, looks: bool) -> Option<rustix::event::Timespec> {
        (looks || self.deadline.is_some()).then_some(terminal::LOOK)
    }
}

/// One direction of output.
struct Out<'a> {
    stream: Stream,
    from: Option<OwnedFd>,
    to: BorrowedFd<'a>,
    way: Towards,
    /// Why it could not be written.
    lost: Option<Errno>,
}

/// How output reaches the user.
enum Towards {
    /// A terminal, through a filter.
    Terminal(Filter),
    /// Anything else, as it is.
    Bytes(Pump),
}

impl Out<'_> {
    fn new<'a>(stream: Stream, from: Option<OwnedFd>, to: BorrowedFd<'a>, shown: Option<&Filter>) -> Out<'a> {
        let way = match shown {
            Some(filter) => Towards::Terminal(filter.clone()),
            None => Towards::Bytes(Pump::to(to)),
        };
        Out { stream, from, to, way, lost: None }
    }

    /// What to wait for at the sandbox's end.
    fn source(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let events = match &self.way {
            Towards::Terminal(_) => PollFlags::IN,
            Towards::Bytes(pump) => pump.source_events()?,
        };
        self.from.as_ref().map(|from| (from.as_fd(), events))
    }

    /// What to wait for at the user's end.
    fn sink(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.is_full().then_some((self.to, PollFlags::OUT))
    }

    /// Whether the user's end has to take something before anything else happens.
    fn is_full(&self) -> bool {
        matches!(&self.way, Towards::Bytes(pump) if self.from.is_some() && pump.is_full())
    }

    /// Copies what is there. `false` when the user's terminal is gone.
    fn copy(&mut self, buffer: &mut [u8]) -> bool {
        let Some(from) = &self.from else { return true };
        match &mut self.way {
            Towards::Bytes(pump) => {
                // Who does not want to hear more is told to the program as any closed pipe is.
                match pump.turn(from, self.to) {
                    Moved::Some => return true,
                    Moved::Failed(errno) => self.lost = Some(errno),
                    Moved::End | Moved::Refused => {}
                }
                self.from = None;
                true
            }
            Towards::Terminal(filter) => match rustix::io::read(from, &mut *buffer) {
                Ok(n @ 1..) => terminal::write_all(self.to, &filter.pass(&buffer[..n])).is_ok(),
                Err(Errno::INTR | Errno::AGAIN) => true,
                // The end of the last program on a terminal is EIO.
                _ => {
                    self.from = None;
                    true
                }
            },
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
/// started: a signal in between is not lost. [`SandboxError::Unwritten`] has the end too.
pub(crate) fn follow(
    sandbox: &mut dyn Supervised,
    user: OwnStreams<'_>,
    shown: &Filter,
    mut asked: Asked,
) -> Result<Exit, SandboxError> {
    let copied =
        |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map_err(SandboxError::supervisor("copy the terminal"));
    let [input, output, errors] = sandbox.pipes();
    let terminal = sandbox.terminal().map(copied).transpose()?;
    let filter = |to: BorrowedFd<'_>| (terminal.is_some() || rustix::termios::isatty(to)).then_some(shown);
    let output = terminal.as_ref().map(|fd| copied(fd.as_fd())).transpose()?.or(output);
    let mut outs = [
        Out::new(Stream::Output, output, user.output, filter(user.output)),
        Out::new(Stream::Errors, errors, user.errors, filter(user.errors)),
    ];
    let mut input = Input::new(user.input, input);
    let ended = sandbox.ended().try_clone_to_owned();
    let ended = ended.map_err(SandboxError::supervisor("copy the control socket"))?;
    let raw = terminal.as_ref().and_then(|_| RawMode::enter(user.input));
    let mut typing = terminal.is_some();
    let mut size = (0, 0);
    let mut buffer = [0_u8; 16 << 10];
    let mut over = false;
    loop {
        if let Some(terminal) = &terminal {
            let now = terminal::size(user.input);
            if now != size {
                terminal::resize(terminal, now.0, now.1);
                size = now;
            }
        }
        let asking = |fd| (fd, PollFlags::IN);
        // Nobody is waited for who does not take the rest, once the end was asked for.
        let waits = outs.iter().any(Out::is_full) && !asked.is_over();
        let watched = [
            // Said once: who waits for the user to take the rest is not to be woken by it.
            (!over || !waits).then_some(asking(ended.as_fd())),
            outs[0].source(),
            outs[1].source(),
            outs[0].sink(),
            outs[1].sink(),
            if typing { Some(asking(user.input)) } else { input.source() },
            input.sink(),
            asked.descriptor().map(asking),
        ];
        let ready = wait(watched, asked.timeout(terminal.is_some()))?;
        let [now_over, first, second, first_sink, second_sink, typed, input_sink, _] = ready;
        over |= now_over;
        asked.serve(sandbox);
        let taken = [(first || first_sink, 0), (second || second_sink, 1)]
            .into_iter()
            .all(|(ready, index)| !ready || outs[index].copy(&mut buffer));
        if !taken {
            // The terminal is gone: what the program says now goes nowhere.
            asked.pass(sandbox, HANGUP);
            for out in &mut outs {
                out.from = None;
            }
        }
        if let (true, Some(terminal)) = (typing, &terminal) {
            typing = !typed || pass_typed(user.input, terminal, &mut buffer);
        } else {
            input.turn(typed, input_sink);
        }
        // What it wrote last was there before it ended.
        let waits = outs.iter().any(Out::is_full) && !asked.is_over();
        if over && !first && !second && !first_sink && !second_sink && !waits {
            break;
        }
    }
    input.finish();
    for out in &outs {
        if let Towards::Terminal(filter) = &out.way {
            let _ = terminal::write_all(out.to, &filter.restore());
        }
    }
    drop(raw);
    let exit = sandbox.finish()?;
    match outs.iter().find_map(|out| Some((out.stream, out.lost?))) {
        Some((stream, errno)) => Err(SandboxError::Unwritten { stream, exit, source: errno.into() }),
        None => Ok(exit),
    }
}

/// What the user typed, to the sandbox's terminal. `false` when there is no more to come.
fn pass_typed(from: BorrowedFd<'_>, to: &OwnedFd, buffer: &mut [u8]) -> bool {
    match rustix::io::read(from, &mut *buffer) {
        Err(Errno::INTR | Errno::AGAIN) => true,
        Ok(n @ 1..) => terminal::write_all(to, &buffer[..n]).is_ok(),
        _ => false,
    }
}

/// Waits for any of the descriptors; which of them are ready.
fn wait<const N: usize>(
    watched: [Option<(BorrowedFd<'_>, PollFlags)>; N],
    timeout: Option<rustix::event::Timespec>,
) -> Result<[bool; N], SandboxError> {
    let mut fds: Vec<PollFd<'_>> =
        watched.iter().flatten().map(|(fd, events)| PollFd::from_borrowed_fd(*fd, *events)).collect();
    match rustix::event::poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(SandboxError::supervisor("wait for the sandbox")(errno)),
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(watched.map(|fd| fd.is_some() && ready.next().unwrap_or(false)))
}
