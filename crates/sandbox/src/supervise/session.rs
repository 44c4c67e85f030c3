//! Lasting sessions: a supervisor without a terminal holds the sandbox's, and whoever attaches is connected with it. A sandbox that
//! has no terminal shows what it writes, and nothing can be typed to it.
//!
//! ```text
//!   frames on attach.sock:   type, 1 byte   length, 4 bytes big-endian   payload, at most 65,536 bytes
//!
//!   client ─► supervisor     i  bytes typed
//!                            w  rows, columns: 2 bytes big-endian each
//!                            s  signal number, 1 byte: to the program
//!   supervisor ─► client     r  bytes shown before, the last 64 KiB of them; first
//!                            o  bytes shown
//!                            x  end: 0 and code, or 1 and signal
//! ```
//!
//! Attaching adds no power: what a client can do is type, and what the program can do to the user's terminal is draw
//! ([`crate::supervise::terminal::escape`], in the client). The socket is for the user alone (its folder is 0700). A client
//! that does not read is let go after 1 MiB; the program never waits for it.
//!
//! SIGTERM and SIGHUP to the supervisor end the program, in time or by force, and the end is recorded. The supervisor runs
//! under the name `pinfold-supervisor` in a session of its own, with the environment of whoever opened
//! the sandbox (keys may be looked up there), and ends with the sandbox.

use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::error::one_line;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use serde::Deserialize;
use serde::Serialize;

use crate::error::SandboxError;
use crate::spec::Restart;
use crate::spec::Spec;
use crate::start::spawn::parent;
use crate::start::sys;
use crate::supervise::foreground::Asked;
use crate::supervise::foreground::Supervised;
use crate::supervise::log::BoundedLog;
use crate::supervise::respawn;
use crate::supervise::state::Live;
use crate::supervise::state::Sandboxes;
use crate::supervise::terminal;
use crate::supervise::terminal::RawMode;
use crate::supervise::terminal::escape::Filter;
use crate::types::Exit;
use crate::types::Runtime;
use crate::types::Stdio;

/// Name under which the copy of the program is a supervisor.
pub(crate) const SUPERVISOR_NAME: &str = "pinfold-supervisor";

/// Payload of one frame.
const FRAME_MAX: usize = 64 << 10;
/// What a new client is shown of what went before.
const REPLAY: usize = 64 << 10;
/// What may wait for a client.
const WAITING_MAX: usize = 1 << 20;

/// The key that detaches: Ctrl-\, which no terminal program uses but to be killed.
pub const DETACH_KEY: u8 = 0x1c;

/// What a supervisor is told.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    sandboxes: PathBuf,
    spec: Spec,
    runtime: Runtime,
    rows: u16,
    columns: u16,
}

/// What it answers when the sandbox runs or does not.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    error: Option<(String, Option<String>)>,
}

/// Starts a supervisor for `spec` and returns when the sandbox runs.
pub(crate) fn open(
    sandboxes: &Sandboxes,
    spec: &Spec,
    runtime: Runtime,
    rows: u16,
    columns: u16,
) -> Result<(), SandboxError> {
    let task =
        Task { sandboxes: sandboxes.directory().to_owned(), spec: spec.clone(), runtime, rows, columns };
    let json = serde_json::to_vec(&task)
        .map_err(|error| SandboxError::Supervisor { action: "write the task", source: error.into() })?;
    let order = parent::memory("task", &json)?;
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(SandboxError::supervisor("make a pipe"))?;
    let streams = sys::Streams::null().map_err(SandboxError::supervisor("open `/dev/null`"))?;
    let child = sys::spawn_supervisor(SUPERVISOR_NAME, streams, &[write.as_fd(), order.as_fd()]);
    // Not waited for: it outlives this process, or is reaped with it.
    drop(child.map_err(SandboxError::supervisor("start the supervisor"))?);
    drop(write);
    let mut text = Vec::new();
    fs_err::File::from_parts(read.into(), "answer")
        .read_to_end(&mut text)
        .map_err(SandboxError::supervisor("hear from the supervisor"))?;
    let answer: Answer = serde_json::from_slice(&text).map_err(|_| SandboxError::Vanished)?;
    match answer.error {
        None => Ok(()),
        Some((text, hint)) => Err(SandboxError::Detached { text, hint }),
    }
}

/// The supervisor. Never returns.
pub(crate) fn main(report: OwnedFd, task: OwnedFd) -> ! {
    sys::exit_now(supervise(report, task))
}

fn supervise(report: OwnedFd, task: OwnedFd) -> i32 {
    let mut report = fs_err::File::from_parts(report.into(), "answer");
    let mut say = |error: Option<&SandboxError>| {
        let error = error.map(|error| (one_line(error), error.hint()));
        let _ = report.write_all(&serde_json::to_vec(&Answer { error }).unwrap_or_default());
    };
    let _ = sys::new_session();
    let _ = rustix::process::chdir("/");
    let task: Task =
        match serde_json::from_reader(io::BufReader::new(fs_err::File::from_parts(task.into(), "task"))) {
            Ok(task) => task,
            Err(error) => {
                say(Some(&SandboxError::Supervisor { action: "read the task", source: error.into() }));
                return 125;
            }
        };
    let sandboxes = Sandboxes::new(&task.sandboxes);
    let stdio = Stdio::Terminal { rows: task.rows, columns: task.columns };
    // Before anything is started: whoever sends a signal finds it obeyed.
    let mut asked = Asked::begin();
    let started = sandboxes.start(&task.spec, task.runtime, stdio).and_then(|live| {
        let socket = live.folder.attach_socket();
        let _ = fs_err::remove_file(&socket);
        let listener =
            pinfold_base::socket::listen(&socket).map_err(SandboxError::file("listen on", &socket))?;
        listener.set_nonblocking(true).map_err(SandboxError::file("listen on", &socket))?;
        Ok((live, listener))
    });
    let attended = started.and_then(|(live, listener)| Ok((live.attend()?, live, listener)));
    let (attendant, live, listener) = match attended {
        Ok(started) => started,
        Err(error) => {
            say(Some(&error));
            return 125;
        }
    };
    say(None);
    drop(report);
    let socket = live.folder.attach_socket();
    match task.spec.restart {
        Restart::Never => once(live, &listener, &mut asked),
        Restart::OnFailure => {
            respawn::serve(&sandboxes, &task.spec, task.runtime, live, &listener, &mut asked);
        }
    }
    drop(attendant);
    let _ = fs_err::remove_file(socket);
    0
}

/// Holds a sandbox to the end of its program.
fn once(mut live: Live, listener: &UnixListener, asked: &mut Asked) {
    let log = BoundedLog::open(&live.folder.log(), &live.plan.guards.bounded_log);
    let served = serve(&mut *live.running, listener, log, asked);
    let _ = fs_err::remove_file(live.folder.attach_socket());
    live.finish(served.exit, served.said);
}

/// One attached client.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    peer: rustix::process::Pid,
    received: Vec<u8>,
    waiting: VecDeque<u8>,
}

/// The next one that wants to be connected, if it still does, and is this user or root.
pub(super) fn accept(listener: &UnixListener) -> Option<Client> {
    let (stream, _) = listener.accept().ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
        return None;
    }
    stream.set_nonblocking(true).ok()?;
    Some(Client { stream, peer: peer.pid, received: Vec::new(), waiting: VecDeque::new() })
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Client {
    fn queue(&mut self, kind: u8, payload: &[u8]) {
        for part in payload.chunks(FRAME_MAX) {
            self.waiting.push_back(kind);
            self.waiting.extend((part.len() as u32).to_be_bytes());
            self.waiting.extend(part);
        }
    }

    /// Sends what can be sent now; false when the client is gone or too slow.
    fn flush(&mut self) -> bool {
        while !self.waiting.is_empty() {
            match self.stream.write(self.waiting.as_slices().0) {
                Ok(0) => return false,
                Ok(n) => drop(self.waiting.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.waiting.len() <= WAITING_MAX
    }

    /// Reads frames and deals with each; false when the client is gone or speaks nonsense.
    fn frames(&mut self, mut deal: impl FnMut(u8, &[u8]) -> bool) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(n) => self.received.extend_from_slice(&buffer[..n]),
            Err(error) => {
                return matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            }
        }
        loop {
            match take_frame(&mut self.received) {
                Ok(None) => return true,
                Ok(Some((kind, payload))) if deal(kind, &payload) => {}
                Ok(Some(_)) | Err(()) => return false,
            }
        }
    }

    /// Hears a client while the program runs.
    fn hear(&mut self, running: &dyn Supervised, terminal: Option<&OwnedFd>, asked: &mut Asked) -> bool {
        self.frames(|kind, payload| {
            match (kind, payload) {
                (b'i', bytes) => {
                    if let Some(master) = terminal {
                        let _ = terminal::write_all(master, bytes);
                    }
                }
                (b'w', [r0, r1, c0, c1]) => {
                    if let Some(master) = terminal {
                        let (rows, columns) =
                            (u16::from_be_bytes([*r0, *r1]), u16::from_be_bytes([*c0, *c1]));
                        terminal::resize(master, rows, columns);
                    }
                }
                (b's', [number]) => asked.pass_from_client(running, *number),
                _ => return false,
            }
            true
        })
    }

    /// Hears a client while nothing runs: signals, and what is typed to nobody.
    pub(super) fn hear_signals(&mut self, mut signal: impl FnMut(u8)) -> bool {
        self.frames(|kind, payload| {
            if let (b's', [number]) = (kind, payload) {
                signal(*number);
            }
            matches!(kind, b's' | b'w' | b'i')
        })
    }
}

/// Takes the first whole frame off `bytes`.
fn take_frame(bytes: &mut Vec<u8>) -> Result<Option<(u8, Vec<u8>)>, ()> {
    let [kind, a, b, c, d, ..] = bytes[..] else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > FRAME_MAX {
        return Err(());
    }
    if bytes.len() < 5 + length {
        return Ok(None);
    }
    let payload = bytes[5..5 + length].to_vec();
    bytes.drain(..5 + length);
    Ok(Some((kind, payload)))
}

/// How a program ended, and the first line of its errors.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) exit: Exit,
    pub(crate) said: String,
    /// Those who were attached, and have been told.
    pub(crate) told: Vec<Client>,
}

/// What is shown of a sandbox: its terminal, or what it writes to its two streams.
struct Shown {
    terminal: Option<OwnedFd>,
    outs: [Option<OwnedFd>; 2],
    said: FirstLine,
}

impl Shown {
    fn of(running: &mut dyn Supervised) -> Self {
        let master = || running.terminal().and_then(|master| master.try_clone_to_owned().ok());
        let (terminal, shown) = (master(), master());
        let outs = if shown.is_some() {
            [shown, None]
        } else {
            let [_, output, errors] = running.pipes();
            [output, errors]
        };
        Self { terminal, outs, said: FirstLine::default() }
    }

    /// What has come at one of them, as a terminal would show it; `None` at its end.
    fn read(&mut self, index: usize, buffer: &mut [u8]) -> Option<Vec<u8>> {
        let from = self.outs[index].as_ref()?;
        match rustix::io::read(from, &mut *buffer) {
            Ok(n @ 1..) if self.terminal.is_some() => Some(buffer[..n].to_vec()),
            Ok(n @ 1..) => {
                if index == 1 {
                    self.said.take(&buffer[..n]);
                }
                Some(with_returns(&buffer[..n]))
            }
            Err(Errno::INTR | Errno::AGAIN) => Some(Vec::new()),
            _ => {
                self.outs[index] = None;
                None
            }
        }
    }
}

/// Lines of a program that has no terminal, for one.
fn with_returns(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    for &byte in bytes {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

/// The first line of what is written that has something in it.
#[derive(Debug, Default)]
struct FirstLine {
    bytes: Vec<u8>,
    is_whole: bool,
}

impl FirstLine {
    /// Bytes of it that are kept.
    const MAX: usize = 240;

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.is_whole {
                return;
            }
            match byte {
                b'\n' => self.is_whole = !self.bytes.is_empty(),
                b' ' | b'\t' | b'\r' if self.bytes.is_empty() => {}
                _ => self.bytes.push(byte),
            }
            self.is_whole |= self.bytes.len() >= Self::MAX;
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim_end().to_owned()
    }
}

/// Serves clients until the program ends.
pub(crate) fn serve(
    running: &mut dyn Supervised,
    listener: &UnixListener,
    mut log: BoundedLog,
    asked: &mut Asked,
) -> Served {
    let mut shown = Shown::of(running);
    let mut clients: Vec<Client> = Vec::new();
    let mut recent: VecDeque<u8> = VecDeque::new();
    let mut buffer = vec![0_u8; 16 << 10];
    let mut over = false;
    loop {
        // In the place of what cannot be had, the listener a second time.
        let mut fds: Vec<PollFd<'_>> = shown
            .outs
            .iter()
            .map(|out| {
                out.as_ref()
                    .map_or(PollFd::new(listener, PollFlags::IN), |out| PollFd::new(out, PollFlags::IN))
            })
            .collect();
        fds.push(PollFd::from_borrowed_fd(running.ended(), PollFlags::IN));
        fds.push(PollFd::new(listener, PollFlags::IN));
        fds.push(match asked.descriptor() {
            Some(signals) => PollFd::from_borrowed_fd(signals, PollFlags::IN),
            None => PollFd::new(listener, PollFlags::IN),
        });
        for client in &clients {
            let out = if client.waiting.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            fds.push(PollFd::new(&client.stream, PollFlags::IN | out));
        }
        match rustix::event::poll(&mut fds, asked.timeout(false).as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => break,
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        asked.serve(running);
        let mut index = 5;
        clients.retain_mut(|client| {
            let keep =
                !ready[index] || (client.hear(running, shown.terminal.as_ref(), asked) && client.flush());
            index += 1;
            keep
        });
        if ready[3]
            && let Some(mut client) = accept(listener)
        {
            client.queue(b'r', &recent.iter().copied().collect::<Vec<_>>());
            // Whether it can be written to is seen after it has been heard.
            client.flush();
            clients.push(client);
        }
        let mut more = false;
        for (index, _) in ready.iter().take(2).enumerate().filter(|(_, ready)| **ready) {
            let Some(bytes) = shown.read(index, &mut buffer) else { continue };
            more = true;
            if let Some(master) = &shown.terminal {
                log.on_screen(terminal::size(master));
            }
            log.write(&bytes);
            recent.extend(&bytes);
            let excess = recent.len().saturating_sub(REPLAY);
            recent.drain(..excess);
            clients.retain_mut(|client| {
                client.queue(b'o', &bytes);
                client.flush()
            });
        }
        // A terminal that says nothing more has nobody behind it.
        let gone = shown.terminal.is_some() && shown.outs[0].is_none();
        // What it wrote last may have come after the streams were looked at.
        if !more && (over || gone) {
            break;
        }
        over |= ready[2];
    }
    let exit = running.finish().unwrap_or(Exit::Signal(9));
    let payload = match exit {
        Exit::Code(code) => [0, code],
        Exit::Signal(signal) => [1, signal],
    };
    for client in &mut clients {
        let _ = client.stream.set_nonblocking(false);
        let _ = client.stream.set_write_timeout(Some(std::time::Duration::from_secs(2)));
        client.queue(b'x', &payload);
        client.flush();
    }
    Served { exit, said: shown.said.text(), told: clients }
}

/// Waits until those who were told have done what is left for them to do, where this process's end would end them too.
pub(crate) fn let_go(told: &[Client], within: std::time::Duration) {
    let until = std::time::Instant::now() + within;
    // Whom this process may not signal is there all the same.
    let is_there = |client: &&Client| rustix::process::test_kill_process(client.peer) != Err(Errno::SRCH);
    while told.iter().any(|client| is_there(&client)) && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// How an attachment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detached {
    /// The user pressed [`DETACH_KEY`], or the input ended; the sandbox runs on.
    ByUser,
    /// The program ended.
    Ended(Exit),
    /// The supervisor was killed, and the sandbox with it.
    Lost,
}

/// Connects the user's terminal with the session behind `socket`; `filter` is what it is shown through.
pub(crate) fn attach(
    socket: &Path,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    mut filter: Filter,
) -> Result<Detached, SandboxError> {
    let stream = pinfold_base::socket::connect(socket).map_err(SandboxError::file("connect to", socket))?;
    let _raw = RawMode::enter(input);
    let result = converse(&stream, input, output, &mut filter);
    let _ = terminal::write_all(output, &filter.restore());
    result
}

fn converse(
    stream: &UnixStream,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    filter: &mut Filter,
) -> Result<Detached, SandboxError> {
    let mut shown = (0, 0);
    let mut received = Vec::new();
    let mut buffer = [0_u8; 16 << 10];
    loop {
        let now = terminal::size(input);
        if now != shown {
            let payload = [now.0.to_be_bytes(), now.1.to_be_bytes()].concat();
            if send(stream, b'w', &payload).is_err() {
                return Ok(Detached::Lost);
            }
            shown = now;
        }
        let mut fds = [PollFd::new(stream, PollFlags::IN), PollFd::from_borrowed_fd(input, PollFlags::IN)];
        match rustix::event::poll(&mut fds, Some(&terminal::LOOK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(SandboxError::supervisor("wait for the terminal")(errno)),
        }
        let [from_session, from_user] = fds.map(|fd| !fd.revents().is_empty());
        if from_session {
            match (&*stream).read(&mut buffer) {
                Ok(0) | Err(_) => return Ok(Detached::Lost),
                Ok(n) => received.extend_from_slice(&buffer[..n]),
            }
            while let Ok(Some((kind, payload))) = take_frame(&mut received) {
                match (kind, payload.as_slice()) {
                    (b'r' | b'o', bytes) => {
                        if kind == b'o' {
                            filter.live();
                        }
                        match terminal::write_all(output, &filter.pass(bytes)) {
                            Ok(()) => {}
                            // Whoever looked on has gone: a reader, or the terminal.
                            Err(Errno::PIPE | Errno::CONNRESET | Errno::IO) => return Ok(Detached::ByUser),
                            Err(errno) => {
                                return Err(SandboxError::supervisor("write to standard output")(errno));
                            }
                        }
                    }
                    (b'x', [0, code]) => return Ok(Detached::Ended(Exit::Code(*code))),
                    (b'x', [1, signal]) => return Ok(Detached::Ended(Exit::Signal(*signal))),
                    _ => return Ok(Detached::Lost),
                }
            }
        }
        if from_user {
            match rustix::io::read(input, &mut buffer) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                Ok(0) | Err(_) => return Ok(Detached::ByUser),
                Ok(n) => {
                    let typed = &buffer[..n];
                    let end = typed.iter().position(|byte| *byte == DETACH_KEY);
                    let sent = send(stream, b'i', &typed[..end.unwrap_or(n)]);
                    if end.is_some() {
                        return Ok(Detached::ByUser);
                    }
                    if sent.is_err() {
                        return Ok(Detached::Lost);
                    }
                }
            }
        }
    }
}

/// Sends the program a signal through the session behind `socket`. The connection is to be held until the effect shows: a
/// client that is gone may be dropped unheard.
pub(crate) fn signal(socket: &Path, number: u8) -> Result<UnixStream, SandboxError> {
    let stream = pinfold_base::socket::connect(socket).map_err(SandboxError::file("connect to", socket))?;
    send(&stream, b's', &[number]).map_err(SandboxError::file("write to", socket))?;
    Ok(stream)
}

fn send(mut stream: &UnixStream, kind: u8, payload: &[u8]) -> io::Result<()> {
    for part in payload.chunks(FRAME_MAX) {
        let mut frame = vec![kind];
        frame.extend((part.len() as u32).to_be_bytes());
        frame.extend(part);
        stream.write_all(&frame)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_are_taken_whole() {
        let mut bytes = b"i\0\0\0\x02hi".to_vec();
        assert_eq!(take_frame(&mut bytes[..4].to_vec()), Ok(None));
        assert_eq!(take_frame(&mut bytes[..6].to_vec()), Ok(None));
        assert_eq!(take_frame(&mut bytes), Ok(Some((b'i', b"hi".to_vec()))));
        assert!(bytes.is_empty());
    }

    #[test]
    fn the_first_line_of_errors_is_kept_and_lines_return_on_a_terminal() {
        let first = |parts: &[&[u8]]| {
            let mut line = FirstLine::default();
            for part in parts {
                line.take(part);
            }
            line.text()
        };
        assert_eq!(first(&[b"\n  no ke", b"y: ENOENT \nsecond"]), "no key: ENOENT");
        assert_eq!(first(&[b""]), "");
        assert_eq!(first(&[&[b'x'; 1000]]).len(), FirstLine::MAX);
        assert_eq!(with_returns(b"a\nb"), b"a\r\nb");
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused() {
        assert_eq!(take_frame(&mut b"i\0\x01\0\x01".to_vec()), Err(()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(mut bytes: Vec<u8>) {
            while let Ok(Some(_)) = take_frame(&mut bytes) {}
        }
    }
}
