//! Measures the proxy against bare `socat` relays: bytes per second through one tunnel, requests per second, and memory.
//!
//! `cargo run --release -p pinfold-sandbox --example proxy-bench`
//!
//! ```text
//!   direct        client ─────────────────────────────────► server
//!   socat         client ─► socat (TCP to TCP) ───────────► server      the bare relay of the aim
//!   socat pair    client ─► socat ─► Unix socket ─► socat ─► server     the same road as ours, with nothing decided
//!   pinfold       client ─► relay ─► Unix socket ─► proxy ─► server     a CONNECT tunnel
//! ```
//!
//! Relay and proxy run as processes of their own, so their memory can be read. Everything is on loopback.
#![expect(clippy::print_stdout, reason = "a report for people")]
#![expect(clippy::cast_precision_loss, reason = "rates are printed with two digits")]

use std::error::Error;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use pinfold_sandbox::proxy::Dialer;
use pinfold_sandbox::proxy::JournalConfig;
use pinfold_sandbox::proxy::Listen;
use pinfold_sandbox::proxy::LoopbackForTests;
use pinfold_sandbox::proxy::Policy;
use pinfold_sandbox::proxy::Proxy;
use pinfold_sandbox::proxy::ProxyConfig;
use pinfold_sandbox::proxy::Relay;
use pinfold_sandbox::proxy::RelayLimits;
use pinfold_sandbox::proxy::RouteId;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Bytes through each road, per round.
const BYTES: u64 = 4 << 30;
const ROUNDS: usize = 3;
const TUNNELS: usize = 1000;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["relay", socket] => relay(Path::new(socket)),
        ["proxy", socket, port] => proxy(Path::new(socket), port),
        _ => measure(),
    }
}

fn relay(socket: &Path) -> Outcome<()> {
    let listen = [Listen { route: RouteId::PROXY, port: 0 }];
    let relay = Relay::bind(socket, &listen, RelayLimits::default())?;
    println!("{}", relay.addresses()?[0].1.port());
    relay.run()?;
    Ok(())
}

fn proxy(socket: &Path, port: &str) -> Outcome<()> {
    let config = ProxyConfig {
        policy: Policy::parse([format!("tcp:127.0.0.1:{port}").as_str()])?,
        dialer: Dialer::default().with_loopback(LoopbackForTests),
        journal: Some(JournalConfig { path: socket.with_extension("jsonl"), size_max: 4 << 20 }),
        ..ProxyConfig::default()
    };
    let _handle = Proxy::bind(socket, config)?.spawn()?;
    println!("ready");
    loop {
        thread::park();
    }
}

/// A child that is ended with the measurement.
struct Process(Child);

impl Process {
    fn start(program: &Path, arguments: &[&str]) -> Outcome<Self> {
        #[expect(clippy::disallowed_methods, reason = "a measurement starts what it measures")]
        let mut command = Command::new(program);
        Ok(Self(command.args(arguments).stdout(Stdio::piped()).spawn()?))
    }

    fn first_line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().ok_or("no output")?).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Resident memory now, in KiB.
    fn resident(&self) -> Outcome<u64> {
        let status = fs_err::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Processor time so far, in seconds.
    fn cpu(&self) -> Outcome<f64> {
        let stat = fs_err::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(ticks as f64 / 100.0)
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
fn download(mut stream: TcpStream) -> Outcome<f64> {
    stream.write_all(b"d")?;
    let mut buffer = vec![0; 256 << 10];
    let since = Instant::now();
    let mut left = BYTES;
    while left > 0 {
        left = left.saturating_sub(stream.read(&mut buffer)? as u64);
    }
    Ok(BYTES as f64 / since.elapsed().as_secs_f64() / 1e9)
}

fn best(mut measure: impl FnMut() -> Outcome<f64>) -> Outcome<f64> {
    let mut best = 0f64;
    for _ in 0..ROUNDS {
        best = best.max(measure()?);
    }
    Ok(best)
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

fn measure() -> Outcome<()> {
    let target = serve()?;
    let direct = best(|| download(TcpStream::connect(("127.0.0.1", target))?))?;
    println!("direct       {direct:.2} GB/s");

    let socat = Path::new("socat");
    let port = free_port()?;
    let listen = format!("TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1");
    let bare = Process::start(socat, &[&listen, &format!("TCP:127.0.0.1:{target}")])?;
    let bare_rate = best(|| download(connect_when_ready(port)?))?;
    drop(bare);
    println!("socat        {bare_rate:.2} GB/s");

    let dir = tempfile::tempdir()?;
    let path = dir.path().join("socat.sock");
    let port = free_port()?;
    let listen = format!("TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1");
    let far = Process::start(
        socat,
        &[&format!("UNIX-LISTEN:{},fork", path.display()), &format!("TCP:127.0.0.1:{target}")],
    )?;
    let near = Process::start(socat, &[&listen, &format!("UNIX-CONNECT:{}", path.display())])?;
    let pair_rate = best(|| download(connect_when_ready(port)?))?;
    drop((near, far));
    println!("socat pair   {pair_rate:.2} GB/s");

    let own = std::env::current_exe()?;
    let socket = dir.path().join("egress.sock");
    let socket_text = socket.to_str().ok_or("the folder's name is not text")?;
    let mut proxy = Process::start(&own, &["proxy", socket_text, &target.to_string()])?;
    proxy.first_line()?;
    let mut relay = Process::start(&own, &["relay", socket_text])?;
    let port: u16 = relay.first_line()?.parse()?;
    println!("idle         relay {} KiB, proxy {} KiB resident", relay.resident()?, proxy.resident()?);
    let rate = best(|| download(tunnel(port, target)?))?;
    let cpu = (relay.cpu()?, proxy.cpu()?);
    let gigabytes = ROUNDS as f64 * BYTES as f64 / 1e9;
    println!(
        "pinfold      {rate:.2} GB/s = {:.2} x socat, {:.2} x socat pair",
        rate / bare_rate,
        rate / pair_rate
    );
    println!(
        "             {:.2} s relay + {:.2} s proxy of processor time per GB",
        cpu.0 / gigabytes,
        cpu.1 / gigabytes
    );

    let since = Instant::now();
    let mut tunnels = Vec::with_capacity(TUNNELS);
    for _ in 0..TUNNELS {
        let mut stream = tunnel(port, target)?;
        stream.write_all(b"ex")?;
        stream.read_exact(&mut [0])?;
        tunnels.push(stream);
    }
    println!(
        "{TUNNELS} tunnels  opened in {:.2} s; relay {} KiB, proxy {} KiB resident",
        since.elapsed().as_secs_f64(),
        relay.resident()?,
        proxy.resident()?
    );
    drop(tunnels);
    thread::sleep(Duration::from_secs(1));

    let mut tunnels = Vec::with_capacity(TUNNELS);
    for _ in 0..TUNNELS {
        let mut stream = tunnel(port, target)?;
        stream.write_all(b"d")?;
        tunnels.push(stream);
    }
    thread::sleep(Duration::from_secs(3));
    println!(
        "             all stalled by their clients: relay {} KiB, proxy {} KiB resident",
        relay.resident()?,
        proxy.resident()?
    );
    Ok(())
}
