//! A stand-in for the providers of the agents: it asks whoever talks to it for one shell command, and notes what came back.
//!
//! ```text
//!   agent ─ 127.0.0.1:PORT ─ relay of the sandbox ─ Unix socket ─► here:  plain HTTP, or TLS where the client begins it
//! ```
//!
//! It speaks what the agents speak (`answers`): Anthropic Messages, OpenAI Responses, Gemini streamGenerateContent. Nothing is
//! sent anywhere.
//!
//! **Guarantees**: a command counts as run only where a later request brings what it printed, which no request before had; a
//! connection counts as trusted only where a request came through its TLS. **Limits**: [`CONNECTIONS`] at once, [`BODY`] bytes of
//! a request, [`WAIT`] for its next byte. Who sends something else is hung up on.

mod answers;
mod authority;
mod http;

use std::io;
use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use pinfold_network::RouteId;
use pinfold_network::relay::Preamble;
use rustix::net::RecvFlags;
use rustls::ServerConnection;
use rustls::StreamOwned;

pub(super) use self::authority::Authority;

/// Connections at once.
const CONNECTIONS: usize = 64;
/// Bytes of a request's body.
const BODY: usize = 32 << 20;
/// How long a client may be silent.
const WAIT: Duration = Duration::from_secs(60);
/// First byte of a TLS connection (RFC 8446, section 5.1: a record of a handshake).
const HANDSHAKE: u8 = 0x16;
/// Notes that are kept.
const NOTES: usize = 1000;

/// The command that agents are asked to run, and what it prints where a shell evaluates it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// The command.
    pub(super) command: &'static str,
    /// A part of what it prints, and not of itself.
    pub(super) proof: &'static str,
}

/// The one task. Without any substitution: Gemini CLI refuses commands that have one.
pub(super) const TASK: Task =
    Task { command: "printf '%s-%s' pinfold 42 > pinfold-verify; cat pinfold-verify", proof: "pinfold-42" };

/// What the stand-in has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Requests, as `POST /v1/messages`.
    pub(super) requests: Vec<String>,
    /// Those of them that came through TLS.
    pub(super) trusted: usize,
    /// TLS connections whose client did not go on, each with the reason.
    pub(super) refused: Vec<String>,
    /// Whether a command was asked for.
    pub(super) asked: bool,
    /// Whether what it prints came back.
    pub(super) proved: bool,
}

/// A running stand-in; it ends with this.
#[derive(Debug)]
pub(super) struct Provider {
    socket: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    seen: Mutex<Seen>,
    authority: Arc<Authority>,
    stopping: AtomicBool,
    busy: AtomicUsize,
}

impl Provider {
    /// Listens on `socket`, a path with nothing at it.
    pub(super) fn start(socket: &Path, authority: Arc<Authority>) -> io::Result<Self> {
        let listener = pinfold_base::socket::listen(socket)?;
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            authority,
            stopping: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("provider".into()).spawn(move || accept(&listener, &own))?;
        Ok(Self { socket: socket.to_owned(), shared, thread: Some(thread) })
    }

    /// Where it listens.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it has seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether something holds of what it has seen so far.
    pub(super) fn has(&self, what: impl Fn(&Seen) -> bool) -> bool {
        what(&self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let woken = pinfold_base::socket::connect(&self.socket).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
        let _ = fs_err::remove_file(&self.socket);
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        if shared.busy.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS {
            shared.busy.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        let own = Arc::clone(shared);
        let started = thread::Builder::new().name("provider".into()).spawn(move || {
            // A client that is gone, or speaks something else, is nobody's error.
            let _ = serve(stream, &own);
            own.busy.fetch_sub(1, Ordering::SeqCst);
        });
        if started.is_err() {
            shared.busy.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn serve(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    let mut preamble = [0; 2];
    stream.read_exact(&mut preamble)?;
    let Some(Preamble { route, .. }) = Preamble::decode(preamble) else { return Ok(()) };
    if route == RouteId::PROXY {
        return http::refuse(&mut stream);
    }
    let mut first = [0];
    if rustix::net::recv(&stream, &mut first, RecvFlags::PEEK)?.0 == 0 {
        return Ok(());
    }
    if first != [HANDSHAKE] {
        return talk(&mut stream, shared, Way::Plain, &mut 0);
    }
    let connection = ServerConnection::new(shared.authority.server()).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let mut count = 0;
    let talked = talk(&mut stream, shared, Way::Tls, &mut count);
    if count == 0 {
        let refusal = talked
            .err()
            .filter(|error| matches!(error.get_ref(), Some(inner) if inner.is::<rustls::Error>()));
        let why = match refusal {
            Some(error) => error.to_string(),
            None if stream.conn.is_handshaking() => "it closed the connection during the handshake".into(),
            None => "it closed the connection after the handshake".into(),
        };
        shared.note(|seen| push(&mut seen.refused, why));
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Tls,
}

impl Shared {
    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn push(notes: &mut Vec<String>, note: String) {
    if notes.len() < NOTES {
        notes.push(note);
    }
}

/// Answers requests until the client closes, and counts them.
fn talk(
    stream: &mut (impl io::Read + io::Write),
    shared: &Shared,
    way: Way,
    count: &mut usize,
) -> io::Result<()> {
    let mut kept = Vec::new();
    while let Some(request) = http::read(stream, &mut kept, BODY)? {
        *count += 1;
        let answer = answers::answer(&request, TASK);
        shared.note(|seen| {
            let path = request.path.split('?').next().unwrap_or_default();
            push(&mut seen.requests, format!("{} {path}", request.method));
            seen.trusted += usize::from(way == Way::Tls);
            seen.asked |= answer.asks;
            seen.proved |= answer.proved;
        });
        http::write(stream, &request, &answer)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
