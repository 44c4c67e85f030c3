//! The proxy beside bare `socat` relays: bytes per second through one tunnel, and memory with many.
//!
//! ```text
//!   direct        client ─────────────────────────────────► server
//!   socat         client ─► socat (TCP to TCP) ───────────► server      the bare relay of the goal
//!   socat pair    client ─► socat ─► Unix socket ─► socat ─► server     the same road as ours, with nothing decided
//!   pinfold       client ─► relay ─► Unix socket ─► proxy ─► server     a CONNECT tunnel
//! ```
//!
//! Relay and proxy run as processes of their own, so their memory can be read. Everything is on loopback.

use std::error::Error;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use pinfold_network::AllowList;
use pinfold_network::Dialer;
use pinfold_network::Endpoint;
use pinfold_network::JournalConfig;
use pinfold_network::Listen;
use pinfold_network::LoopbackForTests;
use pinfold_network::Proxy;
use pinfold_network::ProxyConfig;
use pinfold_network::Relay;
use pinfold_network::RelayLimits;
use pinfold_network::RouteId;
use pinfold_network::raise_open_files;

use super::Bench;
use super::Goal;
use super::command;
use super::median;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes through each road, per turn.
const BYTES: u64 = 2 << 30;
const TUNNELS: usize = 1000;

/// The role of a sandbox's relay: says its port, then relays.
pub(super) fn relay(socket: &Path) -> Result<(), String> {
    let run = || -> Outcome<()> {
        let listen = [Listen { route: RouteId::PROXY, at: Endpoint::Port(0) }];
        let relay = Relay::bind(socket, &listen, RelayLimits::default())?;
        answer_parent(&relay.addresses()?[0].1.port().to_string())?;
        relay.run()?;
        Ok(())
    };
    run().map_err(|error| error.to_string())
}

/// The role of a supervisor's proxy.
pub(super) fn proxy(socket: &Path, port: u16) -> Result<(), String> {
    let run = || -> Outcome<()> {
        let config = ProxyConfig {
            allow: AllowList::parse([format!("tcp:127.0.0.1:{port}").as_str()])?,
            dialer: Dialer::default().with_loopback(LoopbackForTests),
            journal: Some(JournalConfig { path: socket.with_extension("jsonl"), size_max: 4 << 20 }),
            ..ProxyConfig::default()
        };
        let _handle = Proxy::bind(socket, config)?.spawn()?;
        answer_parent("ready")?;
        loop {
            thread::park();
        }
    };
    run().map_err(|error| error.to_string())
}

#[expect(clippy::disallowed_methods, reason = "the parent reads it")]
fn answer_parent(line: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// A child that is ended with the measurement.
struct Process(Child);

impl Process {
    fn start(program: &str, arguments: &[&str]) -> Outcome<Self> {
        // What a relay says when its peer goes away is no news here.
        Ok(Self(command(program).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?))
    }

    fn first_line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().ok_or("no output")?).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Most memory that was ever resident, in MiB.
    fn peak(&self) -> Outcome<f64> {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server: the first byte of a connection says what it does. `d` sends without end, `e` echoes.
fn serve() -> Outcome<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A closed connection ends the thread.
            let _ = thread::Builder::new().stack_size(64 << 10).spawn(move || drop(answer(stream)));
        }
    });
    Ok(port)
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut first = [0];
    stream.read_exact(&mut first)?;
    if first == *b"d" {
        let block = vec![0x5a; 256 << 10];
        loop {
            stream.write_all(&block)?;
        }
    }
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
    }
}

fn tunnel(port: u16, target: u16) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "CONNECT 127.0.0.1:{target} HTTP/1.1\r\n\r\n")?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 200 ") { Ok(stream) } else { Err("the tunnel was refused".into()) }
}

/// Bytes per second of a download, in GB/s.
#[expect(clippy::cast_precision_loss, reason = "a rate is printed with two digits")]
fn download(mut stream: TcpStream) -> Outcome<f64> {
    stream.write_all(b"d")?;
    let mut buffer = vec![0; 256 << 10];
    let since = Instant::now();
    let mut left = BYTES;
    while left > 0 {
        match stream.read(&mut buffer)? {
            0 => return Err("the download ended early".into()),
            n => left = left.saturating_sub(n as u64),
        }
    }
    Ok(BYTES as f64 / since.elapsed().as_secs_f64() / 1e9)
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn connect_when_ready(port: u16) -> Outcome<TcpStream> {
    for _ in 0..200 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            return Ok(stream);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err("socat does not listen".into())
}

/// The bare relay and the pair of relays, and the ports of the two.
struct Socat {
    _processes: [Process; 3],
    bare: u16,
    pair: u16,
}

impl Socat {
    fn start(folder: &Path, target: u16) -> Outcome<Self> {
        let path = folder.join("socat.sock").display().to_string();
        let (bare, pair) = (free_port()?, free_port()?);
        let listen = |port: u16| format!("TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1");
        let target = format!("TCP:127.0.0.1:{target}");
        let processes = [
            Process::start("socat", &[&listen(bare), &target])?,
            Process::start("socat", &[&format!("UNIX-LISTEN:{path},fork"), &target])?,
            Process::start("socat", &[&listen(pair), &format!("UNIX-CONNECT:{path}")])?,
        ];
        Ok(Self { _processes: processes, bare, pair })
    }
}

pub(super) fn figures(bench: &mut Bench) -> Result<(), String> {
    measure(bench).map_err(|error| error.to_string())
}

fn measure(bench: &mut Bench) -> Outcome<()> {
    raise_open_files()?;
    let folder = bench.scratch.path().to_owned();
    let target = serve()?;
    let own = std::env::current_exe()?.display().to_string();
    let socket = folder.join("egress.sock").display().to_string();
    let mut proxy = Process::start(&own, &["role", "proxy", &socket, &target.to_string()])?;
    proxy.first_line()?;
    let mut relay = Process::start(&own, &["role", "relay", &socket])?;
    let port: u16 = relay.first_line()?.parse()?;
    let socat = if installed_socat() { Some(Socat::start(&folder, target)?) } else { None };

    let (mut direct, mut bare, mut pair, mut ours) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        direct.push(download(TcpStream::connect(("127.0.0.1", target))?)?);
        ours.push(download(tunnel(port, target)?)?);
        if let Some(socat) = &socat {
            bare.push(download(connect_when_ready(socat.bare)?)?);
            pair.push(download(connect_when_ready(socat.pair)?)?);
        }
    }
    drop(socat);
    let ours = median(ours);
    bench.push("proxy: no relay at all", median(direct), "GB/s", None, String::new());
    let mut least = 1.0;
    if !bare.is_empty() {
        let (bare, pair) = (median(bare), median(pair));
        least = f64::min(least, bare / 2.0);
        bench.push("proxy: bare socat relay", bare, "GB/s", None, String::new());
        bench.push("proxy: two socat relays, as ours are two", pair, "GB/s", None, String::new());
    }
    bench.push("proxy: one CONNECT tunnel", ours, "GB/s", Some(Goal::AtLeast(least)), String::new());

    let since = Instant::now();
    let mut tunnels = Vec::with_capacity(TUNNELS);
    for _ in 0..TUNNELS {
        let mut stream = tunnel(port, target)?;
        stream.write_all(b"ex")?;
        stream.read_exact(&mut [0])?;
        tunnels.push(stream);
    }
    let opened = since.elapsed().as_secs_f64();
    drop(tunnels);
    thread::sleep(Duration::from_millis(500));
    // The worst there is: all of them full, and nobody reads.
    let mut tunnels = Vec::with_capacity(TUNNELS);
    for _ in 0..TUNNELS {
        let mut stream = tunnel(port, target)?;
        stream.write_all(b"d")?;
        tunnels.push(stream);
    }
    thread::sleep(Duration::from_secs(2));
    let (relay, proxy) = (relay.peak()?, proxy.peak()?);
    let note = format!("relay {relay:.1}, proxy {proxy:.1}; opened in {opened:.2} s, then all stalled");
    bench.push("proxy: 1,000 tunnels at once, peak", relay + proxy, "MiB", Some(Goal::AtMost(64.0)), note);
    Ok(())
}

/// Its version is asked for with one dash.
fn installed_socat() -> bool {
    let found = command("socat").arg("-V").output().is_ok_and(|output| output.status.success());
    if !found {
        crate::say("peer: socat is not installed");
    }
    found
}
