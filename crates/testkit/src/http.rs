//! An HTTP/1.1 server on loopback for tests: answers come from a closure, and can be broken on purpose.
//!
//! ```text
//! let server = Server::start(|request| Response::ranged(request, b"hello"));
//! server.url("/file")            http://127.0.0.1:PORT/file
//! server.requests()              what was asked, in order
//! ```
//!
//! `HEAD` gets the headers of an answer only. Who sends `Expect: 100-continue` is told to go on, or refused by what
//! [`Server::asked_first`] is given. Connections are kept open as a client likes; each has its own thread. The server ends when it is dropped.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// What a client asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET` and so on.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, by `Content-Length`.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte asked for by `Range: bytes=N-`.
    pub fn range(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// How an answer goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not at all.
    None,
    /// The connection is closed after so many bytes of the body.
    CutAfter(usize),
    /// The connection is closed after so many bytes of the whole answer, its headers first.
    CutAt(usize),
    /// Nothing comes any more after so many bytes of the body.
    StallAfter(usize),
    /// After so many bytes of the whole answer, its headers first, so many more come each such time.
    DripAfter(usize, usize, Duration),
    /// No length is announced; the body ends with the connection.
    NoLength,
    /// The connection is closed without a word.
    HangUp,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers beside `Content-Length`, which is that of the body where it is not here.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How it goes wrong.
    pub fault: Fault,
}

impl Response {
    /// 200 with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), fault: Fault::None }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::ok("") }
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).header("Location", location)
    }

    /// A file whose ranges can be asked for, as servers should do it: 206, 416, and all of it where `If-Range` names
    /// another version.
    pub fn ranged(request: &Request, body: &[u8]) -> Self {
        let etag = format!("\"{}\"", body.len());
        let whole = Self::ok(body).header("ETag", &etag);
        let same = request.header("if-range").is_none_or(|tag| tag == etag);
        match request.range().filter(|_| same) {
            None => whole,
            Some(start) if start >= body.len() => {
                Self::status(416).header("Content-Range", &format!("bytes */{}", body.len()))
            }
            Some(start) => Self { status: 206, body: body[start..].to_vec(), ..whole }
                .header("Content-Range", &format!("bytes {start}-{}/{}", body.len() - 1, body.len())),
        }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With a fault.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

type Handler = Box<dyn Fn(&Request) -> Response + Send + Sync>;

/// Answers that are given before the body is read.
type Early = Box<dyn Fn(&Request) -> Option<Response> + Send + Sync>;

struct Shared {
    handler: Handler,
    early: Early,
    requests: Mutex<Vec<Request>>,
    connections: AtomicUsize,
    stop: AtomicBool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server on a free port of loopback.
    ///
    /// # Panics
    /// When there is no loopback.
    pub fn start(handler: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        Self::asked_first(|_| None, handler)
    }

    /// The same. What `early` answers to the head of a request whose sender waits for leave to go on is all that sender gets: the
    /// connection is closed then.
    ///
    /// # Panics
    /// When there is no loopback.
    pub fn asked_first(
        early: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static,
        handler: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            early: Box::new(early),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let server = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if server.stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                server.connections.fetch_add(1, Ordering::Relaxed);
                let server = server.clone();
                std::thread::spawn(move || {
                    // A client that goes away is its own matter.
                    let _ = server.talk(&stream);
                });
            }
        });
        Self { address, shared }
    }

    /// The address of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything asked so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections opened so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn talk(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(mut request) = read_head(&mut reader)? {
            let waits =
                request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
            let refused = if waits { (self.early)(&request) } else { None };
            if waits && refused.is_none() {
                (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            if refused.is_none() {
                let length =
                    request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
                (&mut reader).take(length).read_to_end(&mut request.body)?;
                if (request.body.len() as u64) < length {
                    return Ok(());
                }
            }
            self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            let again = refused.is_none();
            let response = refused.unwrap_or_else(|| (self.handler)(&request));
            if !self.answer(stream, &request, &response)? || !again {
                stream.shutdown(std::net::Shutdown::Both)?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether the connection can be used again.
    fn answer(&self, mut stream: &TcpStream, request: &Request, response: &Response) -> io::Result<bool> {
        if response.fault == Fault::HangUp {
            return Ok(false);
        }
        let mut head = format!("HTTP/1.1 {} Status\r\n", response.status);
        for (name, value) in &response.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        let has_length = response.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if response.fault == Fault::NoLength {
            head.push_str("Connection: close\r\n");
        } else if !has_length {
            head.extend(["Content-Length: ", &response.body.len().to_string(), "\r\n"]);
        }
        let head = format!("{head}\r\n").into_bytes();
        let body = if request.method == "HEAD" { &[][..] } else { &response.body[..] };
        if let Fault::CutAt(n) = response.fault {
            let whole = [&head[..], body].concat();
            stream.write_all(&whole[..n.min(whole.len())])?;
            return Ok(false);
        }
        if let Fault::DripAfter(n, at_a_time, pause) = response.fault {
            let whole = [&head[..], body].concat();
            let (at_once, slowly) = whole.split_at(n.min(whole.len()));
            stream.write_all(at_once)?;
            for bytes in slowly.chunks(at_a_time) {
                let until = Instant::now() + pause;
                while Instant::now() < until && !self.stop.load(Ordering::Relaxed) {
                    std::thread::sleep(pause.min(Duration::from_millis(5)));
                }
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                stream.write_all(bytes)?;
            }
            return Ok(true);
        }
        stream.write_all(&head)?;
        let sent = match response.fault {
            Fault::CutAfter(n) | Fault::StallAfter(n) => &body[..n.min(body.len())],
            _ => body,
        };
        stream.write_all(sent)?;
        stream.flush()?;
        if let Fault::StallAfter(_) = response.fault {
            while !self.stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(response.fault == Fault::None)
    }
}

fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let mut request = Request {
        method: words.next().unwrap_or_default().into(),
        path: words.next().unwrap_or_default().into(),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => break,
        }
    }
    Ok(Some(request))
}
