//! What a cluster asks a proxy: is it alive, is it ready, and its figures. Plain HTTP at a port of its own.
//!
//! ```text
//!   GET /healthz   200 while the event loops run
//!   GET /readyz    200 while it takes connections, 503 once it drains
//!   GET /metrics   Prometheus text, version 0.0.4
//! ```
//!
//! **Guarantees**: a few questions at once, each of a few seconds; who asks slowly holds up nobody else, and where there are too many, the
//! oldest that has not asked yet gives way. No name of a sandbox and no
//! secret is in the answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use pinfold_network::Figures;
use pinfold_network::ProxyHandle;
use pinfold_network::wire::head::RequestTarget;
use pinfold_network::wire::head::parse_request;

/// Connections at once.
const AT_ONCE: usize = 16;
/// How long a question may take to come, and its answer to go.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often the end is looked for.
const TICK: Duration = Duration::from_millis(100);
/// The longest question.
const QUESTION_MAX: usize = 8 << 10;

/// What the answers are made of.
#[derive(Debug)]
pub(super) struct State {
    pub(super) handle: Arc<ProxyHandle>,
    pub(super) draining: AtomicBool,
    pub(super) reloads: AtomicU64,
    pub(super) reload_failures: AtomicU64,
    /// Whether what is in force is what the files say.
    pub(super) current: AtomicBool,
}

impl State {
    pub(super) fn new(handle: Arc<ProxyHandle>) -> Arc<Self> {
        Arc::new(Self {
            handle,
            draining: AtomicBool::new(false),
            reloads: AtomicU64::new(0),
            reload_failures: AtomicU64::new(0),
            current: AtomicBool::new(true),
        })
    }

    fn answer(&self, path: &str) -> (u16, String) {
        let alive = !self.handle.has_failed();
        let ready = alive && !self.draining.load(Ordering::SeqCst);
        match path {
            "/healthz" if alive => (200, "ok\n".into()),
            "/healthz" => (503, "its event loop has ended\n".into()),
            "/readyz" if ready => (200, "ok\n".into()),
            "/readyz" => (503, "it takes no more connections\n".into()),
            "/metrics" => (200, self.metrics(&self.handle.figures())),
            _ => (404, "there are /healthz, /readyz and /metrics\n".into()),
        }
    }

    fn metrics(&self, figures: &Figures) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP pinfold_proxy_{name} {help}\n# TYPE pinfold_proxy_{name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(text, "pinfold_proxy_{name}{labels} {value}");
            }
        };
        let one = |value: u64| vec![(String::new(), value)];
        let many = |count: usize| one(count as u64);
        family("connections", "gauge", "Connections now.", &many(figures.connections));
        family("tunnels", "gauge", "Tunnels now.", &many(figures.tunnels));
        family("requests", "gauge", "Requests and dials under way.", &many(figures.requests));
        family("identities", "gauge", "Tokens that are known.", &many(figures.identities));
        family("accepted_total", "counter", "Connections that were taken.", &one(figures.accepted));
        let help = "TLS hand-shakes that came to nothing.";
        family("handshakes_failed_total", "counter", help, &one(figures.shakes_failed));
        let help = "Connections whose token was not known, or came from elsewhere.";
        family("unknown_total", "counter", help, &one(figures.unknown));
        let help = "Connections of a sandbox that had as many as one may have.";
        family("crowded_total", "counter", help, &one(figures.crowded));
        let mut requests = Vec::new();
        let mut malformed = Vec::new();
        let mut bytes = Vec::new();
        for (policy, own) in &figures.policies {
            for (kind, results) in [("tunnel", own.tunnels), ("http", own.requests), ("route", own.routes)] {
                for (result, count) in
                    [("allowed", results.allowed), ("refused", results.refused), ("failed", results.failed)]
                {
                    let labels = format!("{{policy=\"{policy}\",kind=\"{kind}\",result=\"{result}\"}}");
                    requests.push((labels, count));
                }
            }
            malformed.push((format!("{{policy=\"{policy}\"}}"), own.malformed));
            bytes.push((format!("{{policy=\"{policy}\",direction=\"sent\"}}"), own.sent));
            bytes.push((format!("{{policy=\"{policy}\",direction=\"received\"}}"), own.received));
        }
        family("requests_total", "counter", "What was asked for, by result.", &requests);
        family("malformed_total", "counter", "What could not be read, or found no room.", &malformed);
        family("bytes_total", "counter", "Bytes to servers (sent) and from them (received).", &bytes);
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let reloads = [
            ("{result=\"done\"}".to_owned(), of(&self.reloads)),
            ("{result=\"failed\"}".to_owned(), of(&self.reload_failures)),
        ];
        family("reloads_total", "counter", "How often changed files were read.", &reloads);
        let help = "1 while what is in force is what the files say.";
        family("current", "gauge", help, &one(self.current.load(Ordering::Relaxed).into()));
        let help = "1 while it takes no more connections.";
        family("draining", "gauge", help, &one(self.draining.load(Ordering::SeqCst).into()));
        text
    }
}

/// The server of the answers. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Health {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Health {
    pub(super) fn start(at: SocketAddr, state: Arc<State>) -> io::Result<Self> {
        let listener = TcpListener::bind(at)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("proxy-health".into())
            .spawn(move || serve(&listener, &state, &stopped))?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic there has been told by its own message.
            let _ = thread.join();
        }
    }
}

/// Who is there: the oldest first.
#[derive(Debug, Default)]
struct Seats(Mutex<BTreeMap<u64, Seat>>);

#[derive(Debug)]
struct Seat {
    stream: Arc<TcpStream>,
    /// Whether the whole question has come.
    asked: bool,
}

impl Seats {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Seat>> {
        // Nothing in it is ever half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes room and sits down; `false` where everybody waits for an answer.
    fn take(&self, number: u64, stream: &Arc<TcpStream>) -> bool {
        let mut all = self.all();
        if all.len() >= AT_ONCE {
            let Some(oldest) = all.iter().find(|(_, seat)| !seat.asked).map(|(number, _)| *number) else {
                return false;
            };
            if let Some(seat) = all.remove(&oldest) {
                // Its thread reads an end and goes.
                let _ = seat.stream.shutdown(std::net::Shutdown::Both);
            }
        }
        all.insert(number, Seat { stream: Arc::clone(stream), asked: false });
        true
    }

    fn asked(&self, number: u64) {
        if let Some(seat) = self.all().get_mut(&number) {
            seat.asked = true;
        }
    }
}

fn serve(listener: &TcpListener, state: &Arc<State>, stop: &AtomicBool) {
    let seats = Arc::new(Seats::default());
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(TICK);
            continue;
        };
        number += 1;
        let stream = Arc::new(stream);
        if !seats.take(number, &stream) {
            continue;
        }
        let (state, own, number) = (Arc::clone(state), Arc::clone(&seats), number);
        let started =
            thread::Builder::new().name("proxy-answer".into()).stack_size(256 << 10).spawn(move || {
                // Whoever asked may be gone.
                let _ = converse(&stream, &state, || own.asked(number));
                own.all().remove(&number);
            });
        if started.is_err() {
            seats.all().remove(&number);
        }
    }
}

fn converse(mut stream: &TcpStream, state: &State, asked: impl FnOnce()) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    let head = loop {
        match parse_request(&bytes) {
            Ok(Some((head, _))) => break Some(head),
            Err(_) => break None,
            Ok(None) if bytes.len() > QUESTION_MAX => break None,
            Ok(None) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => return Ok(()),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    };
    asked();
    let (status, body) = match &head {
        Some(head) if matches!(head.method.as_str(), "GET" | "HEAD") => match &head.target {
            RequestTarget::Origin(path) => state.answer(path.split('?').next().unwrap_or_default()),
            _ => (404, "there are /healthz, /readyz and /metrics\n".into()),
        },
        _ => (400, "ask with GET\n".into()),
    };
    let phrase = match status {
        200 => "OK",
        404 => "Not Found",
        503 => "Service Unavailable",
        _ => "Bad Request",
    };
    let answer = format!(
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(answer.as_bytes())?;
    if head.is_none_or(|head| head.method != "HEAD") {
        stream.write_all(body.as_bytes())?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    // Closing with bytes unread would reset it, and the answer might be lost.
    stream.set_read_timeout(Some(TICK))?;
    let _ = stream.read(&mut piece);
    Ok(())
}
