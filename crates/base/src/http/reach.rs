//! How far a request may reach: to what the machine or its user named, or only to where anybody may be led.
//!
//! ```text
//! named      https://registry.example/p      private and loopback addresses are meant: a registry may stand there
//!   │ 302
//!   ▼
//! led to     https://files.example/p.tgz     public addresses; private ones (not loopback) where the first was as private
//! ```
//!
//! **Guarantees**: what is looked at is what is connected to. The addresses of a name are asked for once, those that may not
//! be reached are left out, and the connection is made to one of the rest ([`Reaching`] is the resolver of the HTTP library, one
//! for each reach, so that no connection is handed from one reach to another). The host and port that were named may be
//! led to again.
//!
//! **Refuses**, for everybody: metadata, link-local, multicast and other addresses that [`crate::address`] calls never
//! reached. For those who are led, and for hosts that a project names: loopback, private addresses, those of this machine.
//!
//! Through a proxy it is the proxy that resolves: then addresses are judged where they are written, and names that mean
//! this machine or its network are refused by name.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::sync::Arc;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::ResolvedSocketAddrs;
use ureq::unversioned::resolver::Resolver;
use ureq::unversioned::transport::NextTimeout;

use super::HttpError;
use super::SafeUrl;
use super::Scheme;
use super::resolver::Remembering;
use crate::address::DOCUMENTATION;
use crate::address::LoopbackForTests;
use crate::address::Reachability;
use crate::address::classify;
use crate::address::is_own;
use crate::authority::Authority;
use crate::authority::Grammar;
use crate::authority::Host;

/// What may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// The machine or its user named it.
    Named,
    /// Public addresses.
    Public,
    /// Public addresses, and private ones of this kind.
    Kind(&'static str),
}

/// The variable that names hosts others may lead to though they are private: `HOST,HOST`.
pub(super) const PRIVATE_HOSTS: &str = "PINFOLD_PRIVATE_HOSTS";

/// An address that is not connected to, or a name that is not asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} is {what}")]
pub(super) struct Inward {
    pub(super) place: String,
    pub(super) what: &'static str,
}

/// Reads the variable [`PRIVATE_HOSTS`].
pub(super) fn private_hosts(value: Option<&str>) -> Result<Vec<Host>, HttpError> {
    let entries = value.unwrap_or_default().split([',', ' ']).filter(|entry| !entry.is_empty());
    let host = |entry: &str| {
        let wrong = |_| HttpError::HostVariable {
            variable: PRIVATE_HOSTS.into(),
            entry: entry.escape_debug().to_string(),
        };
        Host::parse(entry.as_bytes()).map_err(wrong)
    };
    entries.map(host).collect()
}

impl Reach {
    /// Why an address may not be connected to.
    pub(super) fn refusal(self, address: IpAddr) -> Option<&'static str> {
        match (kind(address), self) {
            (Reachability::Private(_) | Reachability::Public, Self::Named) => None,
            (Reachability::Private(what), Self::Kind(same)) if what == same => None,
            (Reachability::Never(what) | Reachability::Private(what), _) => Some(what),
            (Reachability::Public, _) => is_own(address).then_some("an address of this machine"),
        }
    }

    /// Where somebody at these addresses may lead. Services on loopback trust whoever can connect, and a loopback address in a
    /// configuration is most often a tunnel: it leads nowhere but out.
    pub(super) fn led_from(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut kinds = addresses.into_iter().map(|address| match kind(address) {
            Reachability::Private(what) if !is_loopback(address) => Self::Kind(what),
            _ => Self::Public,
        });
        let first = kinds.next().unwrap_or(Self::Public);
        if kinds.all(|kind| kind == first) { first } else { Self::Public }
    }

    /// Why a host may not be asked for through a proxy.
    pub(super) fn refusal_by_name(self, host: &Host) -> Option<&'static str> {
        let name = match host {
            Host::Address(address) => return self.refusal(*address),
            Host::Name(name) => name,
        };
        (is_inner(name) && self != Self::Named).then_some("a name of this machine or its network")
    }
}

/// What an address is here. Addresses for documentation (RFC 5737, RFC 3849) belong to nobody, so gateways that
/// stand in for servers answer for names with them: like private ones they are reached when the machine's own configuration
/// leads there. One of the well-known prefix for NAT64 (RFC 6052) is what it carries: on networks that have only IPv6 every
/// server without it is reached so.
fn kind(address: IpAddr) -> Reachability {
    const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
    let kind = match address {
        IpAddr::V6(address) if address.to_bits() >> 32 == NAT64.to_bits() >> 32 => {
            let [.., a, b, c, d] = address.octets();
            classify(Ipv4Addr::new(a, b, c, d).into())
        }
        other => classify(other),
    };
    match kind {
        Reachability::Never(what @ DOCUMENTATION) => Reachability::Private(what),
        other => other,
    }
}

fn is_loopback(address: IpAddr) -> bool {
    let IpAddr::V6(inner) = address else { return address.is_loopback() };
    let [.., a, b, c, d] = inner.octets();
    inner.is_loopback() || Ipv4Addr::new(a, b, c, d).is_loopback()
}

/// Whether `next` is the very place that was named: the same host and port, or the same host's own port for TLS.
pub(super) fn is_same_place(named: &SafeUrl, next: &SafeUrl) -> bool {
    let upgraded =
        (named.scheme(), named.port(), next.scheme(), next.port()) == (Scheme::Http, 80, Scheme::Https, 443);
    named.host() == next.host() && (named.port() == next.port() || upgraded)
}

/// The host of a URL; `None` for files.
pub(super) fn host(url: &SafeUrl) -> Option<Host> {
    Authority::read(url.host().as_bytes(), Grammar::Uri).ok().map(|authority| authority.host)
}

/// Whether a name means this machine or its network by itself (RFC 6761, RFC 6762, RFC 8375; names without a dot are searched for).
fn is_inner(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    !name.contains('.')
        || matches!(last, "localhost" | "local" | "internal" | "localdomain")
        || name == "home.arpa"
        || name.ends_with(".home.arpa")
}

/// Whether a host is written so that whoever reads it sees that it is not public: an address, or a name that says so.
pub(super) fn is_plain(host: &Host) -> bool {
    match host {
        Host::Address(_) => true,
        Host::Name(name) => is_inner(name),
    }
}

/// A resolver that leaves out what may not be reached.
pub(super) struct Reaching {
    pub(super) names: Arc<Remembering>,
    pub(super) reach: Reach,
    pub(super) loopback: Option<LoopbackForTests>,
}

impl std::fmt::Debug for Reaching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reaching").field("reach", &self.reach).finish_non_exhaustive()
    }
}

impl Resolver for Reaching {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let all = self.names.resolve(uri, config, timeout)?;
        let mut left = self.empty();
        let mut inward = None;
        for place in &all {
            let exempt = self.loopback.is_some() && is_loopback(place.ip());
            match self.reach.refusal(place.ip()).filter(|_| !exempt) {
                None => left.push(*place),
                Some(what) => {
                    inward = inward.or_else(|| Some(Inward { place: place.ip().to_string(), what }));
                }
            }
        }
        match inward {
            Some(inward) if left.is_empty() => Err(ureq::Error::Other(Box::new(inward))),
            _ => Ok(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn from(texts: &[&str]) -> Reach {
        Reach::led_from(texts.iter().map(|text| address(text)))
    }

    /// Where servers may lead: the blocks are those of the registries of special-purpose addresses (RFC 6890 and after).
    #[test]
    fn who_is_led_stays_outside() {
        const PUBLIC: &[&str] = &["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"];
        const PRIVATE: &[&str] = &[
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "fd00::1",
            "64:ff9b::a00:1",
            "203.0.113.80",
        ];
        const LOOPBACK: &[&str] = &["127.0.0.1", "127.9.9.9", "::1", "64:ff9b::7f00:1"];
        const NEVER: &[&str] = &[
            "169.254.169.254",
            "169.254.1.1",
            "fe80::1",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:8.8.8.8",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:a00:1::1",
            "168.63.129.16",
        ];
        for (reach, groups) in [
            (Reach::Named, [true, true, true, false]),
            (Reach::Public, [true, false, false, false]),
            (from(&["127.0.0.1"]), [true, false, false, false]),
            (from(&["::1", "127.0.0.1"]), [true, false, false, false]),
            (from(&["8.8.8.8"]), [true, false, false, false]),
            (from(&["8.8.8.8", "10.0.0.1"]), [true, false, false, false]),
            (from(&["10.0.0.1", "127.0.0.1"]), [true, false, false, false]),
            (from(&[]), [true, false, false, false]),
        ] {
            for (group, may) in [PUBLIC, PRIVATE, LOOPBACK, NEVER].iter().zip(groups) {
                for text in *group {
                    assert_eq!(reach.refusal(address(text)).is_none(), may, "{reach:?} {text}");
                }
            }
        }
        // A private registry may keep its files on another machine of the same kind, and on no other.
        let reach = from(&["10.0.0.1", "192.168.1.1"]);
        for (text, may) in [
            ("10.9.9.9", true),
            ("172.16.0.1", true),
            ("64:ff9b::a00:1", true),
            ("8.8.8.8", true),
            ("100.64.0.1", false),
            ("fd00::1", false),
            ("127.0.0.1", false),
            ("169.254.169.254", false),
        ] {
            assert_eq!(reach.refusal(address(text)).is_none(), may, "{text}");
        }
    }

    #[test]
    fn through_a_proxy_inner_names_are_refused() {
        let refused = |text: &str, reach: Reach| {
            reach.refusal_by_name(&Host::parse(text.as_bytes()).unwrap()).is_some()
        };
        for inner in [
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "printer",
            "nas.local",
            "metadata.google.internal",
            "x.home.arpa",
            "10.0.0.1",
            "[::1]",
            "127.0.0.1",
        ] {
            assert!(refused(inner, Reach::Public), "{inner}");
            assert!(!refused(inner, Reach::Named), "{inner}");
        }
        for outer in ["files.example", "localhost.example", "internal.example", "8.8.8.8"] {
            assert!(!refused(outer, Reach::Public), "{outer}");
        }
        assert!(refused("169.254.169.254", Reach::Named));
    }

    #[test]
    fn only_the_place_that_was_named_is_the_same_place() {
        let url = |text: &str| SafeUrl::parse(text).unwrap();
        for (named, next, same) in [
            ("http://127.0.0.1:4873/p", "http://127.0.0.1:4873/q", true),
            ("http://127.0.0.1:4873/p", "https://127.0.0.1:4873/q", true),
            ("http://h.example/p", "https://H.example./q", true),
            ("http://127.0.0.1:4873/p", "http://127.0.0.1:6379/", false),
            ("http://127.0.0.1:4873/p", "http://localhost:4873/", false),
            ("https://h.example/p", "https://h.example:8443/", false),
            ("http://h.example:8080/p", "https://h.example/", false),
            ("http://h.example/p", "https://h.example.evil.example/", false),
        ] {
            assert_eq!(is_same_place(&url(named), &url(next)), same, "{named} {next}");
        }
    }
}
