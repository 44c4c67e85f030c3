//! The proof that nothing but the proxy is reached from a pod: what is asked, and asking it.
//!
//! ```text
//!   listed in pod.json                      TCP, and a question of DNS at port 53
//!   name servers of /etc/resolv.conf        both
//!   KUBERNETES_SERVICE_HOST                 TCP
//!   addresses of clouds' metadata           TCP
//!   the public network by IPv6              TCP, DNS
//!   the default gateways: the node, mostly  TCP at the ports that nodes have, DNS
//! ```
//!
//! All are asked side by side from this one thread. A connection that comes about, or an answer to the question, is *open*; that the
//! kernel or a peer refuses, or that nothing comes within [`WAIT`], is *closed*.
//!
//! **Guarantees**: a proof is one round in which everything was asked and everything was closed. **Refuses** to call closed what could
//! not be asked: a proof that cannot be made is none. So is one with a name server or a port that is not written as we read it: libc
//! takes more for an address than we do (`134744072`, `8.8.2056`), and would go where nobody has looked.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV6;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Shown;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use super::task::PodTask;

/// How long a peer may take.
pub(super) const WAIT: Duration = Duration::from_secs(2);
/// Ports of a node: names, its own servers, the kubelet.
const NODE_PORTS: [u16; 4] = [53, 80, 443, 10_250];
/// Where names are asked for.
const DNS: u16 = 53;
/// Name servers that are asked; libc asks three. With more there is no proof.
const MAX_SERVERS: usize = 64;
/// Columns of a word that is shown.
const MAX_WORD: usize = 60;
/// Default routes that are looked at. With more there is no proof.
const MAX_GATEWAYS: usize = 16;
/// Where the clouds answer whoever asks from inside: most of them; Alibaba; Azure's host.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];
/// Public servers that are up, by IPv6.
const PUBLIC: [(Ipv6Addr, u16); 2] = [
    (Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111), 443),
    (Ipv6Addr::new(0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888), DNS),
];
/// Which name servers there are for `.`: what every name server answers, if only with a refusal (RFC 1035, 4.1).
const QUESTION: [u8; 17] = [0x70, 0x66, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// How something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    /// By a connection.
    Tcp,
    /// By a question of DNS in a datagram.
    Dns,
}

/// Something that must not be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) at: SocketAddr,
    pub(super) by: By,
    /// What it is, in words.
    pub(super) what: &'static str,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            By::Tcp => "TCP",
            By::Dns => "DNS",
        };
        write!(f, "{} by {by} ({})", self.at, self.what)
    }
}

/// What of a pod says what to ask.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    /// `/etc/resolv.conf`.
    pub(super) resolv: String,
    /// `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    pub(super) api: (Option<String>, Option<String>),
    /// `/proc/net/route`.
    pub(super) routes: String,
    /// `/proc/net/ipv6_route`.
    pub(super) routes6: String,
    /// Numbers of interfaces, by their names.
    pub(super) interfaces: Vec<(String, u32)>,
}

/// What could not be asked, so that there is no proof.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct Unproved {
    /// What was to be done.
    what: String,
    /// Why it was not.
    #[source]
    source: io::Error,
}

impl Unproved {
    fn new<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| Self { what: what.into(), source: source.into() }
    }
}

impl Surroundings {
    /// Of this pod.
    pub(super) fn own() -> Result<Self, Unproved> {
        // What is not there says nothing; what cannot be read could.
        let read = |path: &str| match super::read_bounded(path.as_ref(), 1 << 20) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(Unproved::new(format!("cannot read `{path}`"))(error)),
        };
        let variable = |name: &str| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty());
            value.map(|value| value.to_string_lossy().into_owned())
        };
        let routes6 = read("/proc/net/ipv6_route")?;
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
                .map_err(Unproved::new("cannot make a socket"))?;
        let number = |name: &str| rustix::net::netdevice::name_to_index(&socket, name).ok();
        let resolv = read("/etc/resolv.conf")?;
        let names = zones(&resolv).chain(routes6.lines().filter_map(|line| line.split_whitespace().last()));
        let names: BTreeSet<&str> = names.collect();
        let interfaces =
            names.into_iter().filter_map(|name| Some((name.to_owned(), number(name)?))).collect();
        Ok(Self {
            api: (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT")),
            routes: read("/proc/net/route")?,
            interfaces,
            routes6,
            resolv,
        })
    }

    fn zone(&self, name: &str) -> Option<u32> {
        let known = self.interfaces.iter().find(|(known, _)| known == name);
        known.map(|(_, number)| *number).or_else(|| name.parse().ok())
    }

    /// The name servers. Who of them is not understood here may be by libc.
    fn servers(&self) -> Result<Vec<SocketAddr>, Unproved> {
        let read = |text: &str| match text.split_once('%') {
            Some((address, zone)) => {
                let address: Ipv6Addr = address.parse().ok()?;
                Some(SocketAddrV6::new(address, DNS, 0, self.zone(zone)?).into())
            }
            None => Some(SocketAddr::new(text.parse().ok()?, DNS)),
        };
        let unread = |text: &str| unread("the name server", text, "of `/etc/resolv.conf`");
        if nameservers(&self.resolv).nth(MAX_SERVERS).is_some() {
            return Err(too_many("name servers in `/etc/resolv.conf`", MAX_SERVERS));
        }
        nameservers(&self.resolv).map(|text| read(text).ok_or_else(|| unread(text))).collect()
    }

    /// The API server. Where it is a name, the name servers are the way to it.
    fn api(&self) -> Result<Option<SocketAddr>, Unproved> {
        let (host, port) = &self.api;
        let port = match port {
            Some(port) => port.parse().map_err(|_| unread("`KUBERNETES_SERVICE_PORT`,", port, ""))?,
            None => 443,
        };
        let Some(host) = host else { return Ok(None) };
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Ok(Some(SocketAddr::new(address, port)));
        }
        // libc takes it for an address then, and asks nobody for it.
        let last = host.rsplit('.').next().unwrap_or_default();
        if host.contains([':', '%']) || last.starts_with(|first: char| first.is_ascii_digit()) {
            return Err(unread("`KUBERNETES_SERVICE_HOST`,", host, ""));
        }
        Ok(None)
    }

    /// The next hops of default routes (proc_net(5)), with the interface's number where the address needs it.
    fn gateways(&self) -> Result<Vec<(IpAddr, u32)>, Unproved> {
        let mut found = Vec::new();
        for line in self.routes.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [_, "00000000", gateway, ..] = fields[..]
                && let Ok(gateway) = u32::from_str_radix(gateway, 16)
                && gateway != 0
            {
                // The kernel prints a number of the network's byte order as one of its own.
                found.push((Ipv4Addr::from(gateway.to_ne_bytes()).into(), 0));
            }
        }
        for line in self.routes6.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if let [destination, "00", _, _, gateway, .., interface] = fields[..]
                && destination.bytes().all(|byte| byte == b'0')
                && let Ok(gateway) = u128::from_str_radix(gateway, 16)
                && gateway != 0
            {
                let gateway = Ipv6Addr::from(gateway);
                // Only an address of a link means another one on another link; with a zone, no other would be the one of `accept`.
                let zone = gateway.is_unicast_link_local().then(|| self.zone(interface)).flatten();
                found.push((gateway.into(), zone.unwrap_or(0)));
            }
        }
        // One way may stand in several tables.
        found.sort_unstable();
        found.dedup();
        if found.len() > MAX_GATEWAYS { Err(too_many("default routes", MAX_GATEWAYS)) } else { Ok(found) }
    }
}

fn unread(what: &str, text: &str, of: &str) -> Unproved {
    let text = Shown::new(text).within(MAX_WORD);
    let error = io::Error::new(io::ErrorKind::InvalidData, "it is not written as what can be asked");
    Unproved::new(format!("cannot read {what} `{text}` {of}").trim_end())(error)
}

/// More than are asked: one that was not could be open.
fn too_many(what: &str, most: usize) -> Unproved {
    let error = io::Error::new(io::ErrorKind::InvalidData, format!("they are more than {most}"));
    Unproved::new(format!("cannot ask all {what}"))(error)
}

fn nameservers(resolv: &str) -> impl Iterator<Item = &str> {
    let lines = resolv.lines().filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    // Of one libc or another, any white space.
    let lines = lines.filter(|rest| rest.starts_with(char::is_whitespace));
    lines.filter_map(|rest| rest.split_whitespace().next())
}

fn zones(resolv: &str) -> impl Iterator<Item = &str> {
    nameservers(resolv).filter_map(|server| Some(server.split_once('%')?.1))
}

/// What is to be asked, each once; what the task accepts is left out and is in the second list.
pub(super) fn targets(task: &PodTask, around: &Surroundings) -> Result<(Vec<Target>, Vec<Target>), Unproved> {
    let mut all = Vec::new();
    let mut add = |at: SocketAddr, by: &[By], what: &'static str| {
        all.extend(by.iter().map(|by| Target { at, by: *by, what }));
    };
    let names = |port: u16| if port == DNS { &[By::Tcp, By::Dns][..] } else { &[By::Tcp] };
    for address in &task.probes.connect {
        add(*address, names(address.port()), "listed in pod.json");
    }
    for server in around.servers()? {
        add(server, names(DNS), "a name server of /etc/resolv.conf");
    }
    if let Some(api) = around.api()? {
        add(api, &[By::Tcp], "the API server");
    }
    for address in METADATA {
        add(SocketAddr::new(address, 80), &[By::Tcp], "a cloud's metadata");
    }
    for (address, port) in PUBLIC {
        add(SocketAddr::new(address.into(), port), names(port), "the public network by IPv6");
    }
    for (gateway, zone) in around.gateways()? {
        for port in NODE_PORTS {
            let at = match gateway {
                IpAddr::V4(gateway) => SocketAddr::new(gateway.into(), port),
                IpAddr::V6(gateway) => SocketAddrV6::new(gateway, port, 0, zone).into(),
            };
            add(at, names(port), "the default gateway");
        }
    }
    let mut seen = BTreeSet::new();
    all.retain(|target| {
        let is_proxy = target.by == By::Tcp && task.proxy.addresses.contains(&target.at);
        !is_proxy && seen.insert((target.at, target.by))
    });
    Ok(all.into_iter().partition(|target| !task.probes.accept.contains(&target.at)))
}

/// A target that was asked.
struct Asked {
    socket: OwnedFd,
    by: By,
}

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Open,
    Closed,
    Waits,
}

/// What the kernel says for: nobody is there, nothing leads there, or somebody does not want it.
fn is_closed(errno: Errno, at: SocketAddr) -> bool {
    const CLOSED: [Errno; 16] = [
        Errno::ACCESS,
        Errno::ADDRNOTAVAIL,
        Errno::CONNABORTED,
        Errno::CONNREFUSED,
        Errno::CONNRESET,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NETDOWN,
        Errno::NETRESET,
        Errno::NETUNREACH,
        Errno::NONET,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::PERM,
        Errno::PIPE,
        Errno::TIMEDOUT,
    ];
    // A kernel that has no IPv6, or has it switched off.
    CLOSED.contains(&errno) || (at.is_ipv6() && errno == Errno::AFNOSUPPORT)
}

/// Asks; `None` where that is closed at once.
fn ask(target: &Target) -> Result<Option<(Asked, Answer)>, Unproved> {
    let what = || format!("cannot ask {target}");
    let family = if target.at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match target.by {
        By::Tcp => SocketType::STREAM,
        By::Dns => SocketType::DGRAM,
    };
    let socket =
        match rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None) {
            // This is the kernel without IPv6; any other refusal says nothing about the network.
            Err(Errno::AFNOSUPPORT) if target.at.is_ipv6() => return Ok(None),
            result => result.map_err(Unproved::new(what()))?,
        };
    let begun = rustix::net::connect(&socket, &target.at).and_then(|()| match target.by {
        By::Tcp => Ok(Answer::Open),
        By::Dns => rustix::net::send(&socket, &QUESTION, SendFlags::NOSIGNAL).map(|_| Answer::Waits),
    });
    match begun {
        Ok(answer) => Ok(Some((Asked { socket, by: target.by }, answer))),
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(Some((Asked { socket, by: target.by }, Answer::Waits))),
        Err(errno) if is_closed(errno, target.at) => Ok(None),
        Err(errno) => Err(Unproved::new(what())(errno)),
    }
}

impl Asked {
    fn events(&self) -> PollFlags {
        match self.by {
            By::Tcp => PollFlags::OUT,
            By::Dns => PollFlags::IN,
        }
    }

    /// What has come.
    fn answer(&self, target: &Target) -> Result<Answer, Unproved> {
        let result = match self.by {
            By::Tcp => match rustix::net::sockopt::socket_error(&self.socket) {
                Ok(Ok(())) => Ok(Answer::Open),
                Ok(Err(errno)) | Err(errno) => Err(errno),
            },
            // Only the one that was asked is heard (connect(2)).
            By::Dns => rustix::net::recv(&self.socket, &mut [0_u8; 512][..], RecvFlags::empty())
                .map(|_| Answer::Open),
        };
        match result {
            Ok(answer) => Ok(answer),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Answer::Waits),
            Err(errno) if is_closed(errno, target.at) => Ok(Answer::Closed),
            Err(errno) => Err(Unproved::new(format!("cannot hear {target}"))(errno)),
        }
    }
}

/// How a round ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Round<'a> {
    /// Everything was asked, and these are open.
    Asked(Vec<&'a Target>),
    /// `interrupt` became readable before.
    Interrupted,
}

/// Asks everything, side by side, and waits for `wait` at most.
pub(super) fn round<'a>(
    targets: &'a [Target],
    wait: Duration,
    interrupt: Option<BorrowedFd<'_>>,
) -> Result<Round<'a>, Unproved> {
    let until = Instant::now() + wait;
    let mut open = Vec::new();
    let mut waiting = Vec::new();
    for target in targets {
        match ask(target)? {
            Some((_, Answer::Open)) => open.push(target),
            Some((asked, _)) => waiting.push((asked, target)),
            None => {}
        }
    }
    while !waiting.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let mut fds: Vec<PollFd<'_>> =
            waiting.iter().map(|(asked, _)| PollFd::new(&asked.socket, asked.events())).collect();
        fds.extend(interrupt.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match rustix::event::poll(&mut fds, Some(&timespec(left))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Unproved::new("cannot wait for answers")(errno)),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if ready.get(waiting.len()) == Some(&true) {
            return Ok(Round::Interrupted);
        }
        let mut index = 0;
        let mut failed = None;
        waiting.retain(|(asked, target)| {
            index += 1;
            if !ready[index - 1] {
                return true;
            }
            match asked.answer(target) {
                Ok(Answer::Waits) => true,
                Ok(Answer::Open) => {
                    open.push(target);
                    false
                }
                Ok(Answer::Closed) => false,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
    }
    Ok(Round::Asked(open))
}

/// For poll(2).
pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::net::UdpSocket;

    use super::*;
    use crate::pod::task::tests::task;

    fn texts(targets: &[Target]) -> Vec<String> {
        targets.iter().map(ToString::to_string).collect()
    }

    /// Tables as kernels write them (proc_net(5)), of a pod on a bridge and one with IPv6.
    #[test]
    fn what_is_asked_is_found_in_the_pods_own_files() {
        let around = Surroundings {
            resolv: "# a comment\nsearch a.svc\nnameserver 10.96.0.10\n nameserver\tfe80::1%eth0\n\
                     nameservers 1.2.3.4\nnameserver 10.96.0.10\n"
                .into(),
            api: (Some("10.96.0.1".into()), Some("6443".into())),
            routes: "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0100580A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
                .into(),
            routes6: "fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
                      00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n\
                      00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                      fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
                .into(),
            interfaces: vec![("eth0".into(), 7)],
        };
        let mut task = task();
        task.probes.connect = vec!["1.1.1.1:443".parse().unwrap(), "8.8.8.8:53".parse().unwrap()];
        let (asked, accepted) = targets(&task, &around).unwrap();
        let texts_ = texts(&asked);
        for text in [
            "1.1.1.1:443 by TCP (listed in pod.json)",
            "8.8.8.8:53 by TCP (listed in pod.json)",
            "8.8.8.8:53 by DNS (listed in pod.json)",
            "10.96.0.10:53 by TCP (a name server of /etc/resolv.conf)",
            "10.96.0.10:53 by DNS (a name server of /etc/resolv.conf)",
            "[fe80::1%7]:53 by DNS (a name server of /etc/resolv.conf)",
            "10.96.0.1:6443 by TCP (the API server)",
            "169.254.169.254:80 by TCP (a cloud's metadata)",
            "[fd00:ec2::254]:80 by TCP (a cloud's metadata)",
            "[2606:4700:4700::1111]:443 by TCP (the public network by IPv6)",
            "10.88.0.1:10250 by TCP (the default gateway)",
            "10.88.0.1:53 by DNS (the default gateway)",
            "[fe80::1%7]:10250 by TCP (the default gateway)",
        ] {
            assert!(texts_.contains(&text.to_owned()), "{text}: {texts_:#?}");
        }
        assert_eq!(texts_.iter().collect::<BTreeSet<_>>().len(), texts_.len(), "each once");
        assert!(!texts_.iter().any(|text| text.contains("1.2.3.4")));
        assert!(accepted.is_empty());
        // The proxy is not asked, whatever it is besides; what is accepted is told apart.
        task.proxy.addresses = vec!["10.96.0.1:6443".parse().unwrap()];
        task.probes.accept = vec!["10.88.0.1:10250".parse().unwrap()];
        let (asked, accepted) = targets(&task, &around).unwrap();
        assert!(!texts(&asked).iter().any(|text| text.contains("6443") || text.contains("10.88.0.1:10250")));
        assert_eq!(texts(&accepted), ["10.88.0.1:10250 by TCP (the default gateway)"]);
        // Without any of those files there is still what everybody asks.
        let (asked, _) = targets(&task, &Surroundings::default()).unwrap();
        assert!(texts(&asked).iter().any(|text| text.contains("169.254.169.254")));
        // A name is none to connect to.
        let named = Surroundings { api: (Some("api.example".into()), None), ..Surroundings::default() };
        assert!(!texts(&targets(&task, &named).unwrap().0).iter().any(|text| text.contains("API")));
    }

    /// What libc reads as 8.8.8.8 (inet_aton(3)) and we do not; what only it can make sense of.
    #[test]
    fn what_is_not_written_as_we_read_it_is_no_proof() {
        let task = task();
        let servers = ["134744072", "0x08080808", "8.8.2056", "010.010.010.010", "fe80::1%nowhere", "none"];
        for server in servers {
            let resolv = format!("nameserver 10.96.0.10\nnameserver\x0b{server}\n");
            let error = targets(&task, &Surroundings { resolv, ..Surroundings::default() }).unwrap_err();
            let told = format!("cannot read the name server `{server}` of `/etc/resolv.conf`");
            assert_eq!(error.to_string(), told);
        }
        let api = |host: &str, port: &str| {
            let api = (Some(host.to_owned()), Some(port.to_owned()));
            targets(&task, &Surroundings { api, ..Surroundings::default() })
        };
        for (host, port) in [
            ("10.96.0.1", "https"),
            ("10.96.0.1", "65536"),
            ("134744072", "443"),
            ("0x08080808", "443"),
            ("8.8.2056", "443"),
            ("fe80::1%eth0", "443"),
        ] {
            assert!(api(host, port).is_err(), "{host} {port}");
        }
        assert!(api("[fd00::1]", "443").is_ok() && api("api.example", "443").is_ok());
    }

    #[test]
    fn all_are_asked_or_there_is_no_proof() {
        let task = task();
        let asked = |around: Surroundings| targets(&task, &around).map(|(asked, _)| texts(&asked));
        let servers = |count: usize| {
            let lines = (1..=count).map(|number| format!("nameserver 10.1.0.{number}\n"));
            Surroundings { resolv: lines.collect(), ..Surroundings::default() }
        };
        let all = asked(servers(MAX_SERVERS)).unwrap();
        assert!(all.contains(&format!("10.1.0.{MAX_SERVERS}:53 by DNS (a name server of /etc/resolv.conf)")));
        let error = asked(servers(MAX_SERVERS + 1)).unwrap_err();
        assert_eq!(error.to_string(), "cannot ask all name servers in `/etc/resolv.conf`");
        let routes = |count: u8| {
            let line =
                |number: u8| format!("eth0 00000000 {number:02X}0100{:02X} 0003 0 0 0 00000000 0 0 0\n", 10);
            let routes = (1..=count).map(line);
            // One that stands twice is one.
            Surroundings {
                routes: std::iter::once("Iface\n".to_owned()).chain(routes).chain([line(1)]).collect(),
                ..Surroundings::default()
            }
        };
        let most = u8::try_from(MAX_GATEWAYS).unwrap();
        let all = asked(routes(most)).unwrap();
        assert!(
            all.iter().filter(|text| text.contains(":10250 by TCP (the default gateway)")).count()
                == MAX_GATEWAYS
        );
        let error = asked(routes(most + 1)).unwrap_err();
        assert_eq!(error.to_string(), "cannot ask all default routes");
    }

    #[test]
    fn what_answers_is_open_and_what_does_not_is_closed() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let names = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let gone_udp = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let target = |at: SocketAddr, by: By| Target { at, by, what: "a test" };
        let all = [
            target(tcp.local_addr().unwrap(), By::Tcp),
            target(names.local_addr().unwrap(), By::Dns),
            target(silent.local_addr().unwrap(), By::Dns),
            target(gone, By::Tcp),
            target(gone_udp, By::Dns),
        ];
        let answers = std::thread::spawn(move || {
            let mut question = [0; 64];
            let (length, from) = names.recv_from(&mut question).unwrap();
            assert_eq!(question[..length], QUESTION);
            question[2] |= 0x80;
            names.send_to(&question[..length], from).unwrap();
        });
        let begun = Instant::now();
        let Round::Asked(open) = round(&all, Duration::from_millis(500), None).unwrap() else { panic!() };
        assert_eq!(open, [&all[0], &all[1]]);
        assert!(begun.elapsed() < WAIT);
        answers.join().unwrap();
        assert_eq!(round(&all[3..], WAIT, None).unwrap(), Round::Asked(vec![]));
    }

    #[test]
    fn a_round_is_left_when_it_is_interrupted() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let all = [Target { at: silent.local_addr().unwrap(), by: By::Dns, what: "a test" }];
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"x").unwrap();
        use std::os::fd::AsFd as _;
        assert_eq!(round(&all, Duration::from_secs(60), Some(read.as_fd())).unwrap(), Round::Interrupted);
    }

    /// An address of the wrong kind is not closed: nothing was asked.
    #[test]
    fn what_cannot_be_asked_is_no_proof() {
        // A link's address without its link (ipv6(7)); where there is no IPv6 at all, that is known at once.
        let at: SocketAddr = "[fe80::1]:53".parse().unwrap();
        let all = [Target { at, by: By::Tcp, what: "a test" }];
        let asked = round(&all, WAIT, None);
        let has_ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        assert_eq!(asked.is_err(), has_ipv6, "{asked:?}");
    }
}
