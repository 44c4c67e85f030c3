//! What an address is, by what the registries of special-purpose addresses say of it: the one classifier, for the proxy of a
//! sandbox, for redirects of servers, and for what a user is asked.
//!
//! IPv4 is open except for the listed blocks (IANA IPv4 Special-Purpose Address Registry and multicast); IPv6 is closed
//! except for global unicast `2000::/3`, less the listed blocks. So a block that is given a meaning later is refused in
//! IPv6 and must be added here in IPv4. Translated forms (mapped, NAT64, 6to4, Teredo) are refused whole: what is inside
//! them is decided by a machine that is not ours.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::ToSocketAddrs;
use std::net::UdpSocket;

/// What an address is, as far as it matters who may lead there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// A public address.
    Public,
    /// A private or loopback address, and what it is called: reached only where the user configured it.
    Private(&'static str),
    /// Never reached, and why.
    Never(&'static str),
}

/// What an address is that stands in documents (RFC 5737, RFC 3849, RFC 9637).
pub(crate) const DOCUMENTATION: &str = "a documentation address";

/// IPv4 blocks: first address, prefix length, what it is, and whether a user may configure it.
const BLOCKS_V4: &[([u8; 4], u32, Reachability)] = &[
    // The addresses at which clouds serve credentials to their machines; the first is also link-local.
    ([169, 254, 169, 254], 32, Reachability::Never("a cloud metadata address")),
    ([168, 63, 129, 16], 32, Reachability::Never("a cloud metadata address")),
    ([100, 100, 100, 200], 32, Reachability::Never("a cloud metadata address")),
    ([192, 0, 0, 192], 32, Reachability::Never("a cloud metadata address")),
    ([0, 0, 0, 0], 8, Reachability::Never("an unspecified address")),
    ([10, 0, 0, 0], 8, Reachability::Private("a private address")),
    ([100, 64, 0, 0], 10, Reachability::Private("a carrier-grade NAT address")),
    ([127, 0, 0, 0], 8, Reachability::Private("a loopback address")),
    ([169, 254, 0, 0], 16, Reachability::Never("a link-local address")),
    ([172, 16, 0, 0], 12, Reachability::Private("a private address")),
    ([192, 0, 0, 0], 24, Reachability::Never("a protocol assignment")),
    ([192, 0, 2, 0], 24, Reachability::Never(DOCUMENTATION)),
    ([192, 88, 99, 0], 24, Reachability::Never("a 6to4 relay address")),
    ([192, 168, 0, 0], 16, Reachability::Private("a private address")),
    ([198, 18, 0, 0], 15, Reachability::Private("a benchmarking address")),
    ([198, 51, 100, 0], 24, Reachability::Never(DOCUMENTATION)),
    ([203, 0, 113, 0], 24, Reachability::Never(DOCUMENTATION)),
    ([224, 0, 0, 0], 4, Reachability::Never("a multicast address")),
    ([240, 0, 0, 0], 4, Reachability::Never("a reserved address")),
];

/// IPv6 blocks, looked at before the rule that only `2000::/3` is public.
const BLOCKS_V6: &[([u16; 8], u32, Reachability)] = &[
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, Reachability::Never("a cloud metadata address")),
    ([0; 8], 128, Reachability::Never("an unspecified address")),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Reachability::Private("a loopback address")),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, Reachability::Never("an IPv4-mapped address")),
    ([0; 8], 96, Reachability::Never("an IPv4-compatible address")),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 32, Reachability::Never("a NAT64 address")),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Reachability::Never("a protocol assignment, as Teredo")),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Reachability::Never(DOCUMENTATION)),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Reachability::Never("a 6to4 address")),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Reachability::Never(DOCUMENTATION)),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Reachability::Private("a unique local address")),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Reachability::Never("a link-local address")),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Reachability::Never("a site-local address")),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Reachability::Never("a multicast address")),
];

/// What `address` is by its number alone.
pub fn classify(address: IpAddr) -> Reachability {
    match address {
        IpAddr::V4(address) => {
            let bits = u32::from(address);
            let block = BLOCKS_V4.iter().find(|(base, length, _)| {
                let base = u32::from(Ipv4Addr::from(*base));
                (bits ^ base).checked_shr(32 - length).unwrap_or(0) == 0
            });
            block.map_or(Reachability::Public, |(_, _, what)| *what)
        }
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            let block = BLOCKS_V6.iter().find(|(base, length, _)| {
                let base = u128::from(Ipv6Addr::from(*base));
                (bits ^ base).checked_shr(128 - length).unwrap_or(0) == 0
            });
            match block {
                Some((_, _, what)) => *what,
                None if bits >> 125 == 1 => Reachability::Public,
                None => Reachability::Never("not a global unicast address"),
            }
        }
    }
}

/// Whether `address` belongs to this machine. The kernel is asked: only an own address can be bound. Where the machine is
/// set up to bind foreign addresses too (`ip_nonlocal_bind`), the second question is which address the kernel would speak
/// from: to itself it speaks from the address itself.
pub fn is_own(address: IpAddr) -> bool {
    let foreign: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    if UdpSocket::bind((foreign, 0)).is_err() {
        return UdpSocket::bind((address, 0)).is_ok();
    }
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let speaker = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    // No route is no own address; dialling it fails by itself.
    speaker.is_ok_and(|speaker| speaker.ip() == address)
}

/// Turns a name into addresses. One call is one question.
pub trait Resolve: Send + Sync + fmt::Debug {
    /// The addresses of `name`, in order of preference.
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The machine's own resolver (`getaddrinfo`).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
    }
}

/// An exemption from the rule that loopback is not reached, for tests against servers on this machine. It is a value that
/// must be constructed in code: no option, file or variable makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackForTests;

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Reachability {
        classify(text.parse().unwrap())
    }

    /// First and last addresses of each block, and their neighbours, written out from the registries.
    #[test]
    fn special_blocks_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "169.254.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.255",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "100.100.100.200",
            "::",
            "::1",
            "::2",
            "::127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:127.0.0.1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "e000::1",
        ] {
            assert_ne!(class(text), Reachability::Public, "{text}");
        }
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "168.63.129.15",
            "8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2003::1",
            "3ffe::1",
            "2a00:1450::1",
        ] {
            assert_eq!(class(text), Reachability::Public, "{text}");
        }
    }

    #[test]
    fn metadata_is_never_configured() {
        for text in ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"] {
            assert_eq!(class(text), Reachability::Never("a cloud metadata address"), "{text}");
        }
        assert!(matches!(class("10.1.2.3"), Reachability::Private(_)));
        assert!(matches!(class("fd12::1"), Reachability::Private(_)));
    }

    #[test]
    fn the_kernel_knows_its_own_addresses() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(is_own("127.1.2.3".parse().unwrap()));
        assert!(!is_own("192.0.2.55".parse().unwrap()));
        assert!(!is_own("8.8.8.8".parse().unwrap()));
        assert!(!is_own("2606:4700::1111".parse().unwrap()));
    }
}
