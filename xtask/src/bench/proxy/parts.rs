//! Who takes part beside the proxy, each as a process of its own: a server, a sandbox's relay, and clients that download or hold tunnels.
//!
//! Each says one line when it is ready or done. Server and holder, told with a line, push data until nobody takes any; told again, they say how
//! many tunnels they hold, in how many of them data waits that they have not read, and how many bytes the least of them took.

use std::error::Error;
use std::io::BufRead as _;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_kube::objects::PROXY;
use pinfold_network::Endpoint;
use pinfold_network::Listen;
use pinfold_network::Relay;
use pinfold_network::RelayLimits;
use pinfold_network::RouteId;
use pinfold_network::Token;
use pinfold_network::Upstream;
use pinfold_network::raise_open_files;
use pinfold_network::wire::preamble::HostNaming;
use pinfold_network::wire::preamble::Preamble;
use pinfold_network::wire::preamble::Proven;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::TLS13;

pub(super) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes of one download.
const BYTES: u64 = 2 << 30;
/// What is pushed at once, the longest record of TLS; one that took so much is not stalled.
const BLOCK: [u8; 16 << 10] = [0x5a; 16 << 10];
const NOT_STALLED: u64 = 16 << 20;
/// Rounds without a byte after which all stand still, and the time between them.
const QUIET: usize = 15;
/// Threads that open tunnels.
const OPENING: usize = 16;
const PAUSE: Duration = Duration::from_millis(200);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Part {
    /// A server: the first byte of a connection says whether it sends without end (`d`) or waits to be told (`s`)
    Server {
        /// Its address
        at: IpAddr,
    },
    /// The relay of a sandbox
    Relay {
        /// The proxy
        proxy: SocketAddr,
        /// Whom to believe
        authority: PathBuf,
    },
    /// Downloads at once
    Get {
        /// The server, or a relay
        at: SocketAddr,
        /// How many
        count: usize,
        /// The server, where there is a relay
        target: Option<SocketAddr>,
    },
    /// Tunnels that are held
    Hold {
        /// The proxy
        proxy: SocketAddr,
        /// Whom to believe
        authority: PathBuf,
        /// The server
        target: SocketAddr,
        /// The first identity
        first: usize,
        /// How many identities
        count: usize,
        /// Tunnels of each
        each: usize,
    },
}

/// Plays it.
pub(crate) fn play(part: &Part) -> Result<(), String> {
    let played = raise_open_files().map_err(Into::into).and_then(|_| match part {
        Part::Server { at } => server(*at),
        Part::Relay { proxy, authority } => relay(*proxy, authority),
        Part::Get { at, count, target } => get(*at, *count, *target),
        Part::Hold { proxy, authority, target, first, count, each } => {
            hold(*proxy, authority, *target, (*first..first + count).flat_map(|number| vec![number; *each]))
        }
    });
    played.map_err(|error| error.to_string())
}

/// The token of an identity: no secret, there is nothing that it opens.
pub(super) fn token(number: usize) -> Token {
    let mut bytes = [0x5a; 32];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Token::of(bytes)
}

#[expect(clippy::disallowed_methods, reason = "the parent reads it")]
fn answer_parent(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Whether the parent wants more; it does not when it is gone.
fn told() -> std::io::Result<bool> {
    Ok(std::io::stdin().lock().read_line(&mut String::new())? > 0)
}

fn relay(proxy: SocketAddr, authority: &Path) -> Outcome<()> {
    let ca = fs::read(authority)?;
    let upstream = Upstream::Tls { addresses: vec![proxy], name: PROXY.into(), ca, token: token(0) };
    let listen = [Listen { route: RouteId::PROXY, at: Endpoint::Port(0) }];
    let relay = Relay::bind_with(&upstream, &listen, RelayLimits::default())?;
    answer_parent(&relay.addresses()?[0].1.port().to_string())?;
    Ok(relay.run()?)
}

/// Reads until the end of an answer's head, which must say yes.
fn accepted(stream: &mut impl std::io::Read) -> Outcome<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(format!("the tunnel was refused: {}", String::from_utf8_lossy(&head)).into())
}

fn get(at: SocketAddr, count: usize, target: Option<SocketAddr>) -> Outcome<()> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = TcpStream::connect(at)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if let Some(target) = target {
            write!(stream, "CONNECT {target} HTTP/1.1\r\n\r\n")?;
            accepted(&mut stream)?;
        }
        streams.push(stream);
    }
    let since = Instant::now();
    let threads: Vec<_> = streams.into_iter().map(|stream| thread::spawn(move || download(stream))).collect();
    for thread in threads {
        thread.join().map_err(|_| "a download came to grief")??;
    }
    let seconds = since.elapsed().as_secs_f64();
    Ok(answer_parent(&format!("{} {seconds}", BYTES * count as u64))?)
}

fn download(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(b"d")?;
    let mut buffer = vec![0; 256 << 10];
    let mut left = BYTES;
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => left = left.saturating_sub(n as u64),
        }
    }
    Ok(())
}

fn server(at: IpAddr) -> Outcome<()> {
    let listener = TcpListener::bind((at, 0))?;
    rustix::net::listen(&listener, 4096)?;
    answer_parent(&listener.local_addr()?.to_string())?;
    let held = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&held);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut first = [0];
            let _ = stream.set_read_timeout(Some(PATIENCE));
            if stream.read_exact(&mut first).is_err() {
                continue;
            }
            if first == *b"d" {
                thread::spawn(move || {
                    let block = vec![0x5a; 256 << 10];
                    while stream.write_all(&block).is_ok() {}
                });
            } else if stream.set_nonblocking(true).is_ok() {
                all.lock().unwrap_or_else(PoisonError::into_inner).push((stream, 0));
            }
        }
    });
    while told()? {
        let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
        let step = |(stream, _): &mut (TcpStream, u64)| taken(stream.write(&BLOCK));
        push(&mut held, step, |(_, pushed)| pushed)?;
        answer_parent("quiet")?;
        told()?;
        report(held.iter().map(|(stream, pushed)| (stream, *pushed)))?;
    }
    Ok(())
}

/// A tunnel of a sandbox.
struct Held {
    stream: TcpStream,
    session: ClientConnection,
    pushed: u64,
}

fn hold(
    proxy: SocketAddr,
    authority: &Path,
    target: SocketAddr,
    identities: impl Iterator<Item = usize>,
) -> Outcome<()> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&fs::read(authority)?) {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"pinfold/1".to_vec()];
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    let identities: Vec<usize> = identities.collect();
    // Small sockets make round trips wait; many at once wait together.
    let share = identities.len().div_ceil(OPENING).max(1);
    let opened: Result<Vec<Vec<Held>>, String> = thread::scope(|scope| {
        let open = |numbers: &[usize]| {
            numbers.iter().map(|&number| Held::open(proxy, target, number, &config)).collect::<Outcome<_>>()
        };
        let threads: Vec<_> = identities
            .chunks(share)
            .map(|numbers| scope.spawn(move || open(numbers).map_err(|error| error.to_string())))
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join().map_err(|_| "an opener came to grief")?);
        ended.collect()
    });
    let mut held: Vec<Held> = opened?.into_iter().flatten().collect();
    answer_parent("open")?;
    while told()? {
        push(&mut held, Held::step, |held| &mut held.pushed)?;
        answer_parent("quiet")?;
        told()?;
        report(held.iter().map(|held| (&held.stream, held.pushed)))?;
    }
    Ok(())
}

impl Held {
    fn open(
        proxy: SocketAddr,
        target: SocketAddr,
        number: usize,
        config: &Arc<ClientConfig>,
    ) -> Outcome<Self> {
        let mut stream = TcpStream::connect(proxy)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut session = ClientConnection::new(Arc::clone(config), ServerName::try_from(PROXY)?)?;
        let mut tls = rustls::Stream::new(&mut session, &mut stream);
        let preamble = Preamble { route: RouteId::PROXY, host: HostNaming::Free };
        let mut first = Proven { preamble, token: token(number) }.encode().to_vec();
        write!(first, "CONNECT {target} HTTP/1.1\r\n\r\n")?;
        tls.write_all(&first)?;
        accepted(&mut tls)?;
        tls.write_all(b"s")?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, session, pushed: 0 })
    }

    /// Bytes that the socket took of a record.
    fn step(&mut self) -> std::io::Result<u64> {
        if !self.session.wants_write() {
            self.session.writer().write_all(&BLOCK)?;
        }
        taken(self.session.write_tls(&mut self.stream))
    }
}

fn taken(written: std::io::Result<usize>) -> std::io::Result<u64> {
    match written {
        Ok(n) => Ok(n as u64),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}

/// Pushes into each until none takes a byte for a while.
fn push<T>(
    all: &mut [T],
    step: impl Fn(&mut T) -> std::io::Result<u64>,
    pushed: impl Fn(&mut T) -> &mut u64,
) -> Outcome<()> {
    let mut quiet = 0;
    while quiet < QUIET {
        let mut moved = false;
        for one in &mut *all {
            loop {
                let n = step(one)?;
                if n == 0 {
                    break;
                }
                moved = true;
                let sum = pushed(one);
                *sum += n;
                if *sum > NOT_STALLED {
                    return Err("a tunnel that nobody reads takes all that is pushed".into());
                }
            }
        }
        quiet = if moved { 0 } else { quiet + 1 };
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn report<'a>(all: impl Iterator<Item = (&'a TcpStream, u64)>) -> std::io::Result<()> {
    let (mut held, mut waiting, mut least) = (0, 0, u64::MAX);
    for (stream, pushed) in all {
        held += 1;
        waiting += usize::from(stream.peek(&mut [0]).is_ok_and(|n| n > 0));
        least = least.min(pushed);
    }
    answer_parent(&format!("{held} {waiting} {least}"))
}
