//! `pinfold proxy` as a service: bytes through tunnels with TLS, memory of tunnels that all stand still, and ten thousand identities.
//!
//! ```text
//!   floor     client ─────────────────────────────────────────► server
//!   tunnels   client ─► relay ─ TLS ─► pinfold proxy ─────────► server
//!   stalled   client ─ TLS, each with a token ─► pinfold proxy ─► server      data waits in both directions, nobody reads
//! ```
//!
//! The proxy is the program itself, and it reaches no address of its own machine. So the server is at a public address in a network
//! namespace beside, two ends of a wire on one machine; nothing leaves it. Making namespaces is root's.
//!
//! The goal is one of a replica with two processors of its own. Here client, relay and server use the same processors, so what counts is
//! the CPU of the proxy's process alone; what two processors would pass is reckoned from that, and the table says so.

mod parts;

use std::fmt::Write as _;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Stdio;
use std::time::Instant;

use fs_err as fs;
use pinfold_engine::pem;
use pinfold_kube::objects::PROXY;
use pinfold_network::raise_open_files;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;

use self::parts::Outcome;
pub(super) use self::parts::Part;
pub(super) use self::parts::play;
use self::parts::token;
use super::command;
use super::run::Figure;
use super::run::Goal;
use super::run::median;
use super::run::memory;
use super::write;
use crate::say;

/// CPU seconds of the proxy for a GB: two processors pass 1 GB/s.
const CPU: f64 = 2.0;
/// GB/s of a replica with two processors.
const RATE: f64 = 1.0;
const PROCESSORS: f64 = 2.0;
/// MiB of all tunnels that stand still.
const STALLED: f64 = 1.2 * 1024.0;
/// Sandboxes, and tunnels of each.
const IDENTITIES: usize = 10_000;
const EACH: usize = 4;
/// Open files that are kept for other things than tunnels.
const KEPT: usize = 128;
/// Changes of the list whose cost is measured.
const CHANGES: u32 = 5;
/// Ticks in a second (`USER_HZ`), which is 100 on every machine of Linux that runs Debian.
const TICKS: f64 = 100.0;
/// Where the server is: public, and only in the namespace beside.
const OUTSIDE: &str = "1.1.1.1";
/// The namespace of the proxy: its end of the wire, and room for ports.
const INSIDE: &str = "ip link set lo up && ip link add out0 type veth peer name in0 netns \"$0\" && \
    ip address add 198.18.0.1/30 dev out0 && ip link set out0 up && ip route add default via 198.18.0.2 && \
    echo '1024 65535' >/proc/sys/net/ipv4/ip_local_port_range";
const BESIDE: &str = "ip link set lo up && ip address add 198.18.0.2/30 dev in0 && ip link set in0 up && \
    ip address add \"$0\"/32 dev lo";
/// Sockets that hold little: what waits is then in the proxy, and the kernel has room for all of them.
const SMALL: &str = "echo '4096 4096 4096' >/proc/sys/net/ipv4/tcp_rmem && echo '4096 4096 4096' >/proc/sys/net/ipv4/tcp_wmem";

/// A process of the measurement, ended with this.
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    said: BufReader<Box<dyn Read>>,
}

impl Running {
    /// `words` in the network of `place`. What it says is read from stdout, that of the proxy from stderr.
    fn start(place: Option<&Running>, words: &[&str], is_proxy: bool) -> Outcome<Self> {
        let target = place.map(|place| format!("--target={}", place.child.id()));
        let enter = target.iter().flat_map(|target| ["nsenter", target, "--net", "--"]);
        let words: Vec<&str> = enter.chain(words.iter().copied()).collect();
        let mut command = command(words[0]);
        command.args(&words[1..]).stdin(Stdio::piped());
        if is_proxy {
            command.stdout(Stdio::null()).stderr(Stdio::piped());
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        }
        let mut child = command.spawn().map_err(|error| format!("cannot run {}: {error}", words[0]))?;
        let out = child.stdout.take().map(|out| Box::new(out) as Box<dyn Read>);
        let said = out.or_else(|| child.stderr.take().map(|out| Box::new(out) as Box<dyn Read>));
        let input = child.stdin.take();
        Ok(Self { child, input, said: BufReader::new(said.ok_or("no output")?) })
    }

    /// A network namespace that is there as long as this.
    fn namespace() -> Outcome<Self> {
        let mut holder = Self::start(None, &["unshare", "--net", "sh", "-c", "echo there; exec cat"], false)?;
        holder.line()?;
        Ok(holder)
    }

    fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        if self.said.read_line(&mut line)? == 0 {
            return Err("a process of the measurement ended early".into());
        }
        Ok(line.trim().to_owned())
    }

    /// Asks it to go on.
    fn tell(&mut self) -> Outcome<()> {
        Ok(self.input.as_mut().ok_or("no input")?.write_all(b"\n")?)
    }

    /// The numbers that it says then.
    fn numbers(&mut self) -> Outcome<Vec<u64>> {
        let line = self.line()?;
        line.split_whitespace().map(|word| Ok(word.parse()?)).collect()
    }

    /// CPU seconds so far (proc_pid_stat(5)).
    fn cpu(&self) -> Outcome<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').ok_or("a stat without a name")?;
        // utime and stime are fields 14 and 15; the first here is the third.
        let ticks = fields.split_whitespace().skip(11).take(2);
        Ok(ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS)
    }

    /// Proportional memory, in MiB.
    fn memory(&self) -> Outcome<f64> {
        Ok(memory(self.child.id())?.1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The two namespaces, and what is in their folder.
struct Bench {
    pinfold: String,
    own: String,
    inside: Running,
    beside: Running,
    folder: PathBuf,
    runs: usize,
    figures: Vec<Figure>,
}

/// Measures everything.
pub(super) fn figures(runs: usize, pinfold: &str) -> Result<Vec<Figure>, String> {
    if !rustix::process::geteuid().is_root() {
        say("proxy: can be measured by root only");
        return Ok(Vec::new());
    }
    measure(runs.max(1), pinfold).map_err(|error| error.to_string())
}

fn measure(runs: usize, pinfold: &str) -> Outcome<Vec<Figure>> {
    let files = raise_open_files()?;
    let scratch = tempfile::Builder::new().prefix("pinfold-proxy-").tempdir()?;
    let (inside, beside) = (Running::namespace()?, Running::namespace()?);
    let own = std::env::current_exe()?.display().to_string();
    let mut bench = Bench {
        pinfold: pinfold.to_owned(),
        own,
        inside,
        beside,
        folder: scratch.path().to_owned(),
        runs,
        figures: Vec::new(),
    };
    shell(&bench.inside, INSIDE, &bench.beside.child.id().to_string())?;
    shell(&bench.beside, BESIDE, OUTSIDE)?;
    bench.certificates()?;
    bench.throughput()?;
    bench.identities()?;
    bench.stalled(files)?;
    Ok(bench.figures)
}

impl Bench {
    fn push(&mut self, name: &str, got: f64, unit: &'static str, goal: Option<Goal>, note: String) {
        let figure = Figure::new(name, got, unit, goal, note);
        say(&figure.line());
        self.figures.push(figure);
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// A part of the measurement, played by this program.
    fn part(&self, place: &Running, words: &[&str]) -> Outcome<Running> {
        let all = [&[self.own.as_str(), "role", "service"], words].concat();
        Running::start(Some(place), &all, false)
    }

    fn server(&self) -> Outcome<(Running, SocketAddr)> {
        let mut server = self.part(&self.beside, &["server", OUTSIDE])?;
        let at = server.line()?.parse()?;
        Ok((server, at))
    }

    fn certificates(&self) -> Outcome<()> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let authority = pem::of("CERTIFICATE", params.self_signed(&key)?.der());
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec![PROXY.to_owned()])?.signed_by(&key, &issuer)?;
        write(&self.folder.join("ca.crt"), &authority)?;
        write(&self.folder.join("tls.crt"), &pem::of("CERTIFICATE", certificate.der()))?;
        write(&self.folder.join("tls.key"), &pem::of("PRIVATE KEY", &key.serialize_der()))?;
        write(&self.folder.join("identities"), &identities(IDENTITIES))?;
        write(&self.folder.join("one"), &identities(1))?;
        Ok(())
    }

    /// The program, once it serves, and where.
    fn proxy(&self, name: &str, list: &str, targets: &[SocketAddr]) -> Outcome<(Running, SocketAddr)> {
        let allow: Vec<String> = targets.iter().map(|target| format!("\"tcp:{target}\"")).collect();
        let config = format!(
            "listen = \"127.0.0.1:0\"\ncertificate = \"tls.crt\"\nkey = \"tls.key\"\nidentities = \"{list}\"\njournal = \
             \"{name}.journal\"\n[policy.p]\nallow = [{}]\n",
            allow.join(", ")
        );
        let config_path = self.folder.join(format!("{name}.toml"));
        write(&config_path, &config)?;
        let words = [&self.pinfold, "proxy", "--config", &config_path.display().to_string()];
        let mut proxy = Running::start(Some(&self.inside), &words.map(|word| word as &str), true)?;
        let line = proxy.line()?;
        let at = line.split_once("serving at ").and_then(|(_, rest)| rest.split_once(": "));
        let at = at.ok_or_else(|| format!("the proxy does not serve: {line}"))?.0.parse()?;
        Ok((proxy, at))
    }

    /// One download or several at once: GB of all, and seconds by the clock.
    fn get(&self, at: &str, tunnel_to: Option<&str>, count: usize) -> Outcome<(f64, f64)> {
        let count = count.to_string();
        let mut words = vec!["get", at, &count];
        words.extend(tunnel_to);
        let line = self.part(&self.inside, &words)?.line()?;
        let (bytes, seconds) = line.split_once(' ').ok_or("a download without a result")?;
        Ok((bytes.parse::<f64>()? / 1e9, seconds.parse()?))
    }

    fn throughput(&mut self) -> Outcome<()> {
        let (_server, target) = self.server()?;
        let (proxy, at) = self.proxy("throughput", "one", &[target])?;
        let mut relay = self.part(&self.inside, &["relay", &at.to_string(), &self.path("ca.crt")])?;
        let (relay_at, target) = (format!("127.0.0.1:{}", relay.line()?), target.to_string());
        for (count, name) in [(1, "one tunnel"), (4, "four tunnels")] {
            let (mut floor, mut wall, mut cpu, mut others) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for _ in 0..self.runs {
                let (bytes, seconds) = self.get(&target, None, count)?;
                floor.push(bytes / seconds);
                let before = (proxy.cpu()?, relay.cpu()?);
                let (bytes, seconds) = self.get(&relay_at, Some(&target), count)?;
                wall.push(bytes / seconds);
                cpu.push((proxy.cpu()? - before.0) / bytes);
                others.push((relay.cpu()? - before.1) / bytes);
            }
            let (cpu, others) = (median(cpu), median(others));
            let note = format!("user and system, of its process alone; the relay's {others:.2}");
            let goal = Some(Goal::AtMost(CPU));
            self.push(&format!("{name}: CPU of the proxy for a GB"), cpu, "s", goal, note);
            self.push(
                &format!("{name}: GB per CPU second of the proxy"),
                1.0 / cpu,
                "GB",
                None,
                String::new(),
            );
            if count > 1 {
                let note = format!(
                    "reckoned: {PROCESSORS:.0} × GB per CPU second; on this machine others use them too"
                );
                let goal = Some(Goal::AtLeast(RATE));
                self.push("a replica with two processors", PROCESSORS / cpu, "GB/s", goal, note);
            }
            let note = "client, relay, proxy and server on the same processors".to_owned();
            self.push(&format!("{name}: by the clock"), median(wall), "GB/s", None, note);
            let name = format!("{name}: plain TCP, client to server");
            self.push(&name, median(floor), "GB/s", None, "the floor, over the same wire".into());
        }
        Ok(())
    }

    fn identities(&mut self) -> Outcome<()> {
        let target: SocketAddr = format!("{OUTSIDE}:9").parse()?;
        let (one, _) = self.proxy("one", "one", &[target])?;
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            let since = Instant::now();
            let (proxy, _) = self.proxy("start", "identities", &[target])?;
            wall.push(since.elapsed().as_secs_f64() * 1e3);
            cpu.push(proxy.cpu()? * 1e3);
        }
        let note = format!("{IDENTITIES} identities; {:.0} ms by the clock until it serves", median(wall));
        self.push("start: CPU", median(cpu), "ms", None, note);
        let (mut proxy, _) = self.proxy("many", "identities", &[target])?;
        let fresh = proxy.memory()?;
        let before = proxy.cpu()?;
        let mut seen = Vec::new();
        for number in 1..=CHANGES {
            let since = Instant::now();
            write(&self.folder.join("identities"), &identities(IDENTITIES + number as usize))?;
            let line = proxy.line()?;
            if !line.contains("in force") {
                return Err(format!("the changed list is not in force: {line}").into());
            }
            seen.push(since.elapsed().as_secs_f64());
        }
        let cpu = (proxy.cpu()? - before) * 1e3 / f64::from(CHANGES);
        let note = format!(
            "{IDENTITIES} identities, mean of {CHANGES}; in force after {:.2} s by the clock (it looks every second)",
            median(seen)
        );
        self.push("a changed list: CPU", cpu, "ms", None, note);
        write(&self.folder.join("identities"), &identities(IDENTITIES))?;
        let (base, after) = (one.memory()?, proxy.memory()?);
        let note = format!("Pss; {base:.1} with one identity, {after:.1} after {CHANGES} changes");
        self.push("10,000 identities, no connection", fresh, "MiB", None, note);
        Ok(())
    }

    /// As many processes as the limit of open files asks for, and the same share of tunnels for each.
    fn stalled(&mut self, files: usize) -> Outcome<()> {
        let all = IDENTITIES * EACH;
        let processes = all.div_ceil((files.saturating_sub(KEPT) / 2).max(1));
        let share = IDENTITIES / processes;
        let tunnels = share * processes * EACH;
        #[expect(clippy::cast_precision_loss, reason = "some ten thousand")]
        let (of_all, of_tunnels, of_processes) = (all as f64, tunnels as f64, processes as f64);
        shell(&self.inside, SMALL, "")?;
        shell(&self.beside, SMALL, "")?;
        let mut groups = Vec::new();
        for number in 0..processes {
            let (server, target) = self.server()?;
            let (proxy, at) = self.proxy(&format!("stalled-{number}"), "identities", &[target])?;
            groups.push((server, target, proxy, at));
        }
        let sum = |groups: &[(Running, SocketAddr, Running, SocketAddr)]| -> Outcome<f64> {
            groups.iter().map(|(_, _, proxy, _)| proxy.memory()).sum()
        };
        let base = sum(&groups)?;
        let since = Instant::now();
        let mut clients = Vec::new();
        for (number, (_, target, _, at)) in groups.iter().enumerate() {
            let (at, target) = (at.to_string(), target.to_string());
            let (first, count, each) = ((number * share).to_string(), share.to_string(), EACH.to_string());
            let words = ["hold", &at, &self.path("ca.crt"), &target, &first, &count, &each];
            clients.push(self.part(&self.inside, &words)?);
        }
        for client in &mut clients {
            client.line()?;
        }
        let opened = since.elapsed().as_secs_f64();
        let open = sum(&groups)?;
        let cpu: f64 = groups.iter().map(|(_, _, proxy, _)| proxy.cpu()).sum::<Outcome<f64>>()?;
        // Both sides push until a while passes in which nobody takes a byte; then each must see that data waits for it, too.
        for running in groups.iter_mut().map(|group| &mut group.0).chain(&mut clients) {
            running.tell()?;
        }
        for running in groups.iter_mut().map(|group| &mut group.0).chain(&mut clients) {
            running.line()?;
        }
        let mut least = u64::MAX;
        for running in groups.iter_mut().map(|group| &mut group.0).chain(&mut clients) {
            running.tell()?;
            let told = running.numbers()?;
            let [held, waiting, pushed] = told[..] else { return Err("no report of the stalled".into()) };
            if (held, waiting) != ((share * EACH) as u64, held) {
                return Err(format!(
                    "{held} tunnels are held, and data waits in {waiting}, of {}",
                    share * EACH
                )
                .into());
            }
            least = least.min(pushed);
        }
        let full = sum(&groups)?;
        let each = (full - base) / of_tunnels * 1024.0;
        let cpu = cpu * 1e3 / of_tunnels;
        let note = format!(
            "with hand-shake, token and dial, and the start; all open after {opened:.0} s by the clock"
        );
        self.push("a tunnel is opened: CPU of the proxy", cpu, "ms", None, note);
        let note = format!(
            "Pss, of {tunnels}; {:.1} KiB before anything waits",
            (open - base) / of_tunnels * 1024.0
        );
        self.push("a stalled tunnel", each, "KiB", None, note);
        let note = format!(
            "Pss, measured: {processes} processes with {} each, as one may have {files} open files; each side pushed {} KiB or more",
            share * EACH,
            least >> 10
        );
        self.push(
            &format!("{tunnels} stalled tunnels of {} identities", share * processes),
            full,
            "MiB",
            Some(Goal::AtMost(STALLED)),
            note,
        );
        if processes > 1 {
            let alone = base / of_processes + each * of_all / 1024.0;
            let note = "reckoned: one process without tunnels and the memory of so many".to_owned();
            self.push("40,000 in one process", alone, "MiB", Some(Goal::AtMost(STALLED)), note);
        }
        Ok(())
    }
}

/// Runs a script in the network of `place`.
fn shell(place: &Running, script: &str, argument: &str) -> Outcome<()> {
    let target = format!("--target={}", place.child.id());
    let words = [&target, "--net", "--", "sh", "-c", script, argument];
    let output = command("nsenter").args(words).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("a network cannot be made: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// The list of so many.
fn identities(count: usize) -> String {
    let mut list = String::new();
    for number in 0..count {
        let _ = writeln!(list, "s-{number} {} p", token(number).hash());
    }
    list
}
