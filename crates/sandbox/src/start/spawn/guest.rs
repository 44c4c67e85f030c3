//! Process 1 of a sandbox that another runtime started: runs the relay, starts the program, passes signals on, reaps, ends
//! with the program or with the supervisor.
//!
//! All walls but Landlock are the runtime's to put up; this process only does what no runtime does.

use std::convert::Infallible;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use pinfold_base::shown;
use pinfold_network::Listen;
use pinfold_network::Upstream;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use serde::Deserialize;
use serde::Serialize;

use super::one;
use super::one::Session;
use super::one::Waiting;
use super::relay;
use crate::plan::LandlockPlan;
use crate::plan::Proof;
use crate::plan::guards::Guards;
use crate::plan::limits::Rlimit;
use crate::spec::EGRESS_SOCKET;
use crate::start::key;
use crate::start::key::SessionKey;
use crate::start::proof;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;

/// First argument by which the program knows that it is this process.
pub(crate) const GUEST_WORD: &str = "pinfold-guest";

/// Second argument, as JSON; the program and its arguments follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) listens: Vec<Listen>,
    /// Where the session key is written that comes on standard input; nothing of that is the program's then.
    #[serde(default)]
    pub(crate) key: Option<PathBuf>,
    #[serde(default)]
    pub(crate) proof: Proof,
    pub(crate) landlock: Option<LandlockPlan>,
    /// What the supervisor's lifeline is.
    pub(crate) lifeline: Lifeline,
    #[serde(default)]
    pub(crate) guards: Guards,
    /// A terminal of the sandbox's own for the program, with this many lines and columns, in the place of its streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) terminal: Option<(u16, u16)>,
    /// Limits of each process that the runtime is not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rlimits: Vec<Rlimit>,
    /// The umask that the runtime is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) umask: Option<u32>,
}

/// How process 1 knows that its supervisor is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Lifeline {
    /// Descriptor 3 is closed.
    Descriptor,
    /// The runtime ends everything.
    Runtime,
    /// The connection with [`SUPERVISOR_SOCKET`], over which the program's streams come and signals for it.
    Socket,
}

/// Where the supervisor listens for process 1, in a runtime that starts it elsewhere. One connection is taken, before the
/// program runs.
pub(crate) const SUPERVISOR_SOCKET: &str = "/run/pinfold/supervisor.sock";

/// Never returns.
pub(crate) fn main(arguments: Vec<String>) -> ! {
    let error = match start(arguments) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let text = format!("{}\n", shown!("pinfold: the sandbox did not start: {error}"));
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
    sys::exit_now(125)
}

fn start(mut arguments: Vec<String>) -> Result<Infallible, StepError> {
    if arguments.len() < 2 {
        return Err(StepError::new(Step::ReadPlan, "", Errno::INVAL));
    }
    let program = arguments.split_off(1);
    let task: Task = serde_json::from_str(&arguments[0])
        .map_err(|error| StepError::new(Step::ReadPlan, error.to_string(), Errno::INVAL))?;
    let key = match &task.key {
        Some(path) => Some((path, take_key().on(Step::SessionKey, "standard input")?)),
        None => None,
    };
    let connection = match task.lifeline {
        Lifeline::Socket => Some(connect(task.terminal)?),
        Lifeline::Descriptor | Lifeline::Runtime => None,
    };
    let streams = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let null = |fd| {
        rustix::fs::fstat(fd).is_ok_and(|stat| {
            let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
            device && stat.st_rdev == rustix::fs::makedev(1, 3)
        })
    };
    let [stdin, stdout, stderr] = streams.map(null);
    super::init::own_null([stdin || key.is_some(), stdout, stderr]).on(Step::Descriptors, "/dev/null")?;
    let lifeline = match task.lifeline {
        Lifeline::Descriptor => Some(sys::inherited(3).at(Step::Descriptors)?),
        Lifeline::Runtime => None,
        Lifeline::Socket => connection,
    };
    let session = match task.lifeline {
        // A terminal that came over a socket is nobody's yet.
        Lifeline::Socket => Session::free(&task.guards.session),
        Lifeline::Descriptor | Lifeline::Runtime => Session::choose(&task.guards.session),
    };
    if task.guards.network_proof.holds() && task.proof == Proof::NoNetwork {
        proof::no_network()?;
    }
    let relay = relay::bind(&Upstream::Socket(EGRESS_SOCKET.into()), &task.listens)?;
    if let Some((path, key)) = key {
        key.place(path)?;
    }
    // Before the program runs: from then on signals may come that are meant for it, and gVisor's process 1 obeys them.
    let blocked = sys::Blocked::new();
    let waiting = Waiting::fork(|| execute(&task, session, &program))?;
    let child = waiting.program();
    one::hide(&task.guards.hidden_init);
    one::thread("signals", move || {
        while let Some(number) = blocked.wait() {
            one::signal(child, number);
        }
    })?;
    if let Some(lifeline) = lifeline {
        one::thread("lifeline", move || {
            // What is written to it are numbers of signals.
            let mut number = [0];
            loop {
                match rustix::io::read(&lifeline, &mut number) {
                    Ok(1) => one::signal(child, i32::from(number[0])),
                    Err(Errno::INTR) => {}
                    Ok(_) | Err(_) => sys::exit_now(137),
                }
            }
        })?;
    }
    relay::spawn(relay)?;
    waiting.go()?;
    sys::exit_now(one::reap(child).map_or(125, |exit| i32::from(exit.code())))
}

/// Connects with the supervisor and takes the program's streams from it, or gives it the master of a terminal.
fn connect(terminal: Option<(u16, u16)>) -> Result<OwnedFd, StepError> {
    let on = || "the supervisor's socket";
    let stream = UnixStream::connect(SUPERVISOR_SOCKET)
        .map_err(|error| StepError::io(Step::Descriptors, on(), &error))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(&stream, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .on(Step::Descriptors, on())?;
    let mut streams: Vec<OwnedFd> = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            streams.extend(descriptors);
        }
    }
    let stream = OwnedFd::from(stream);
    let [mut stdin, mut stdout, mut stderr] = <[OwnedFd; 3]>::try_from(streams)
        .map_err(|_| StepError::new(Step::Descriptors, on(), Errno::INVAL))?;
    if let Some((rows, columns)) = terminal {
        let slave = super::init::open_terminal(&stream, rows, columns)?;
        stdin = slave.try_clone().on(Step::Terminal, on())?;
        stdout = slave.try_clone().on(Step::Terminal, on())?;
        stderr = slave;
    }
    rustix::stdio::dup2_stdin(&stdin).on(Step::Descriptors, on())?;
    rustix::stdio::dup2_stdout(&stdout).on(Step::Descriptors, on())?;
    rustix::stdio::dup2_stderr(&stderr).on(Step::Descriptors, on())?;
    Ok(stream)
}

/// The key that the supervisor has written to standard input, with nothing after it.
fn take_key() -> std::io::Result<SessionKey> {
    let key = SessionKey::of_stream(rustix::stdio::stdin())?;
    if key::is_at_end(rustix::stdio::stdin()) { Ok(key) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

fn execute(task: &Task, session: Session, program: &[String]) -> Result<Infallible, StepError> {
    sys::reset_all();
    session.enter()?;
    if let Some(umask) = task.umask {
        rustix::process::umask(Mode::from_raw_mode(umask));
    }
    for limit in &task.rlimits {
        limit.apply().on(Step::Rlimits, limit.resource.posix())?;
    }
    if let Some(landlock) = &task.landlock {
        crate::start::walls::landlock::enter(landlock).at(Step::Landlock)?;
    }
    if task.guards.descriptors.holds() {
        crate::start::walls::fds::keep_standard_streams().at(Step::Descriptors)?;
    } else {
        std::mem::forget(rustix::io::dup(rustix::stdio::stdin()).at(Step::Descriptors)?);
    }
    one::execute(program, &[])
}
