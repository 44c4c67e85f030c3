//! Rows about the network: there is none but the model's socket.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use super::Fail;
use super::Gap;
use super::Pass;
use super::Scene;
use super::Verdict;
use super::all;
use super::names;
use super::read;
use crate::client;
use crate::client::Enough;
use crate::client::Failed;
use crate::http;
use crate::pulse::Pulse;
use crate::pulse::Woken;

/// How long an attempt may take.
const TIME: Duration = Duration::from_millis(500);
/// Addresses that are nobody's (RFC 5737, RFC 3849), and the one that clouds tell their machines about themselves at.
const OUTSIDE: [SocketAddr; 3] = [
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 443),
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80),
    SocketAddr::new(std::net::IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 443),
];

/// No interface but `lo`.
pub(super) fn interfaces(_: &mut Scene<'_>) -> Verdict {
    let text = match read("/proc/net/dev") {
        Ok(text) => text,
        Err(error) => return Gap(format!("/proc/net/dev: {error}")),
    };
    let mut found: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned())
        .collect();
    found.extend(names("/sys/class/net").unwrap_or_default());
    found.sort();
    found.dedup();
    let (other, up): (Vec<&String>, Vec<String>) = (
        found.iter().filter(|name| *name != "lo").collect(),
        found
            .iter()
            .filter(|name| *name != "lo")
            .filter_map(|name| {
                let state = read(&format!("/sys/class/net/{name}/flags")).ok()?;
                let flags = u32::from_str_radix(state.trim().trim_start_matches("0x"), 16).ok()?;
                (flags & 1 == 1).then(|| name.clone())
            })
            .collect(),
    );
    // The kernel makes some tunnels in each namespace, which are down.
    let built_in =
        ["tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"];
    if let Some(name) = up.first().or(other.into_iter().find(|name| !built_in.contains(&name.as_str()))) {
        return Fail(format!("there is `{name}` (all: {})", found.join(" ")));
    }
    Pass(format!("interfaces: {}", found.join(" ")))
}

/// No route to anywhere.
pub(super) fn routes(_: &mut Scene<'_>) -> Verdict {
    let four = read("/proc/net/route").map(|text| {
        text.lines().skip(1).filter(|line| !line.trim().is_empty()).map(str::to_owned).collect::<Vec<_>>()
    });
    let six = read("/proc/net/ipv6_route").map(|text| {
        text.lines()
            .filter(|line| !line.trim().is_empty() && line.split_whitespace().last() != Some("lo"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    match (four, six) {
        (Err(error), Err(_)) => Gap(format!("/proc/net/route: {error}")),
        (four, six) => {
            let lines = [four.unwrap_or_default(), six.unwrap_or_default()].concat();
            match lines.first() {
                Some(line) => {
                    Fail(format!("a route: {}", line.split_whitespace().collect::<Vec<_>>().join(" ")))
                }
                None => Pass("no routes".into()),
            }
        }
    }
}

/// Tries to connect.
fn connects(pulse: &mut Pulse, address: SocketAddr, kind: SocketType) -> Verdict {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let what = format!("{} {address}", if kind == SocketType::STREAM { "TCP" } else { "UDP" });
    let fd = match rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
    {
        Ok(fd) => fd,
        Err(error) => return Pass(format!("{what}: no socket: {error}")),
    };
    match rustix::net::connect(&fd, &address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => match pulse.wait(fd.as_fd(), PollFlags::OUT, Instant::now() + TIME) {
            // Packets leave, and nobody answers.
            Woken::Deadline => return Fail(format!("{what}: on its way, a route is there")),
            Woken::Stop => return Gap("the worker is to stop".into()),
            Woken::Ready => match rustix::net::sockopt::socket_error(&fd) {
                Ok(Ok(())) => {}
                Ok(Err(Errno::CONNREFUSED)) if !address.ip().is_loopback() => {
                    return Fail(format!("{what}: somebody refuses it"));
                }
                Ok(Err(error)) | Err(error) => return Pass(format!("{what}: {error}")),
            },
        },
        Err(error) => return Pass(format!("{what}: {error}")),
    }
    if kind == SocketType::DGRAM {
        // Connecting sends nothing; this does.
        return match rustix::net::send(&fd, b"?", rustix::net::SendFlags::NOSIGNAL) {
            Ok(_) => Fail(format!("{what}: a packet is sent")),
            Err(error) => Pass(format!("{what}: {error}")),
        };
    }
    Fail(format!("{what}: connected"))
}

/// No connection to the outside.
pub(super) fn tcp(scene: &mut Scene<'_>) -> Verdict {
    all(OUTSIDE.map(|address| connects(scene.pulse, address, SocketType::STREAM)))
}

/// No packet to the outside.
pub(super) fn udp(scene: &mut Scene<'_>) -> Verdict {
    all(OUTSIDE.map(|address| connects(scene.pulse, address, SocketType::DGRAM)))
}

/// No name server is reached.
pub(super) fn dns(scene: &mut Scene<'_>) -> Verdict {
    let text = read("/etc/resolv.conf").unwrap_or_default();
    let mut servers: Vec<SocketAddr> = text
        .lines()
        .filter_map(|line| line.strip_prefix("nameserver "))
        .filter_map(|address| address.trim().parse().ok())
        .map(|address| SocketAddr::new(address, 53))
        .take(4)
        .collect();
    servers.push(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 53)), 53));
    all(servers
        .into_iter()
        .map(|address| connects(scene.pulse, address, SocketType::DGRAM))
        .collect::<Vec<_>>())
}

/// Nobody listens on the loopback.
pub(super) fn loopback(scene: &mut Scene<'_>) -> Verdict {
    let mut listening = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in read(file).unwrap_or_default().lines().skip(1) {
            let mut words = line.split_whitespace().skip(1);
            let (local, state) = (words.next(), words.nth(1));
            if state == Some("0A") {
                listening.extend(local.map(str::to_owned));
            }
        }
    }
    if let Some(local) = listening.first() {
        return Fail(format!("somebody listens at {local}"));
    }
    let ports = [22, 53, 80, 111, 443, 631, 2375, 2376, 3128, 5000, 6443, 8080, 8443, 10250];
    all(ports.map(|port| {
        connects(
            scene.pulse,
            SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            SocketType::STREAM,
        )
    }))
}

/// No abstract Unix sockets of anybody.
pub(super) fn abstract_sockets(_: &mut Scene<'_>) -> Verdict {
    let text = match read("/proc/net/unix") {
        Ok(text) => text,
        Err(error) => return Gap(format!("/proc/net/unix: {error}")),
    };
    let found: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .filter(|name| name.starts_with('@'))
        .collect();
    if let Some(name) = found.first() {
        return Fail(format!("abstract socket {name}"));
    }
    for name in [&b"/tmp/.X11-unix/X0"[..], b"/run/dbus/system_bus_socket", b"containerd-shim"] {
        let fd =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let address = SocketAddrUnix::new_abstract_name(name);
        if let (Ok(fd), Ok(address)) = (fd, address)
            && rustix::net::connect(&fd, &address).is_ok()
        {
            return Fail(format!("connected with @{}", String::from_utf8_lossy(name)));
        }
    }
    Pass("none".into())
}

/// No raw packets.
pub(super) fn raw(_: &mut Scene<'_>) -> Verdict {
    all([(AddressFamily::INET, "raw IP"), (AddressFamily::PACKET, "raw packets")].map(|(family, what)| {
        let protocol = if family == AddressFamily::INET { Some(rustix::net::ipproto::ICMP) } else { None };
        super::refused(
            what,
            rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol),
        )
    }))
}

/// No netlink of the kernel's that changes a network.
pub(super) fn netlink(_: &mut Scene<'_>) -> Verdict {
    // Others are for administrators (auditing, packet filters) or tell about the host's devices.
    all([
        (rustix::net::netlink::KOBJECT_UEVENT, "device events"),
        (rustix::net::netlink::NETFILTER, "packet filter"),
    ]
    .map(|(protocol, what)| {
        match rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(protocol),
        ) {
            Ok(_) => Gap(format!("{what}: a socket is there, in the sandbox's own network")),
            Err(error) => Pass(format!("{what}: {error}")),
        }
    }))
}

/// What the model's socket answers.
fn answered(scene: &mut Scene<'_>, socket: &str, host: &str, path: &str) -> Result<u16, String> {
    let request = http::request(host, path, &[], b"{}");
    let (mut answer, mut body) = (http::Answer::default(), Vec::new());
    let sent = client::exchange(scene.pulse, socket, &request, Duration::from_secs(5), None, |bytes| {
        answer.take(bytes, &mut body).map_err(Failed::Http)?;
        body.clear();
        Ok(if answer.head().is_some() { Enough::Yes } else { Enough::No })
    });
    match (sent, answer.head()) {
        (_, Some(head)) => Ok(head.status),
        (Err(failed), None) => Err(failed.to_string()),
        (Ok(()), None) => Err("it closes without an answer".into()),
    }
}

/// The model's socket answers for the provider's paths alone.
pub(super) fn other_path(scene: &mut Scene<'_>) -> Verdict {
    let socket = format!("{}/model/{}.sock", scene.args.run, scene.args.route);
    let host = scene.args.provider.host();
    all(["/v1/organizations/api_keys", "/../v1/messages", "/v1/files", "http://192.0.2.1/"].map(|path| {
        match answered(scene, &socket, host, path) {
            Ok(status @ (400 | 403..=405)) => Pass(format!("{path}: {status}")),
            Ok(status) => Fail(format!("{path}: {status}")),
            Err(why) => Pass(format!("{path}: {why}")),
        }
    }))
}

/// Past process 1, the supervisor's own socket lets nobody through to another host either.
pub(super) fn relayed(scene: &mut Scene<'_>, socket: &str) -> Verdict {
    // Version 1, and the proxy's number, as process 1 begins each connection; then a way to an address that is nobody's.
    let request = b"\x01\x00CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n";
    let (mut answer, mut body) = (http::Answer::default(), Vec::new());
    let sent = client::exchange(scene.pulse, socket, request, TIME, None, |bytes| {
        answer.take(bytes, &mut body).map_err(Failed::Http)?;
        Ok(if answer.head().is_some() { Enough::Yes } else { Enough::No })
    });
    match (sent, answer.head()) {
        (_, Some(head)) if head.status == 403 => Pass("the supervisor refuses other hosts".into()),
        (_, Some(head)) => Fail(format!("the supervisor's socket answers {} for another host", head.status)),
        (Err(Failed::NoSocket(error)), None) => Pass(format!("the supervisor's socket: {error}")),
        (Err(Failed::Time), None) => Gap("the supervisor's socket says nothing".into()),
        (_, None) => Pass("the supervisor's socket closes".into()),
    }
}

/// The alias for other workers answers for the route's own host alone.
pub(super) fn other_host(scene: &mut Scene<'_>) -> Verdict {
    let alias = "/run/ironclaw/modelproxy.sock";
    if rustix::fs::access(alias, rustix::fs::Access::EXISTS).is_err() {
        return Pass("there is no alias".into());
    }
    match answered(scene, alias, "192.0.2.1", "/v1/messages") {
        Ok(status @ (400 | 403 | 404 | 421)) => Pass(format!("another host: {status}")),
        Ok(status) => Fail(format!("another host: {status}")),
        Err(why) => Pass(format!("another host: {why}")),
    }
}
