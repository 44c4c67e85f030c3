//! Where a relay's connections lead: the supervisor's socket, or the addresses of a proxy over TLS, tried in turn.
//!
//! **Guarantees**: an address that failed is left alone for a while, longer each time ([`WORST`] at most), so that the replicas of a
//! proxy that live are found at once and one that comes back is found again. **Refuses** a server that the given authority does not
//! vouch for, or that does not speak the relay's protocol: to such a one no token is sent.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use super::RelayError;
use crate::events::end::End;
use crate::events::session::Session;
use crate::identity::Token;
use crate::tls::ClientTls;
use crate::tls::TlsError;

/// How long an address is left alone after it failed once, and at most.
const FIRST: Duration = Duration::from_millis(100);
const WORST: Duration = Duration::from_secs(5);
/// The most addresses of a proxy.
const ADDRESSES_MAX: usize = 64;

/// Where the connections of a relay lead.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// The path of the supervisor's socket as seen from inside; it is opened anew for each connection and need not exist yet.
    Socket(PathBuf),
    /// A proxy that serves many.
    Tls {
        /// Its addresses, or those of its replicas.
        addresses: Vec<SocketAddr>,
        /// The name in its certificate.
        name: String,
        /// The only authority that is believed, in PEM.
        ca: Vec<u8>,
        /// Who the sandbox is.
        token: Token,
    },
}

/// The same, ready to be used.
#[derive(Debug)]
pub(super) enum Way {
    Socket(SocketAddrUnix),
    Proxy(Proxy),
}

/// A proxy with what is known of its addresses.
#[derive(Debug)]
pub(super) struct Proxy {
    addresses: Vec<Address>,
    next: usize,
    tls: ClientTls,
    pub(super) token: Token,
}

#[derive(Debug)]
struct Address {
    at: SocketAddr,
    failures: u32,
    /// Not to be tried before.
    rests: Option<Instant>,
}

impl Way {
    pub(super) fn new(upstream: &Upstream) -> Result<Self, RelayError> {
        match upstream {
            Upstream::Socket(path) => SocketAddrUnix::new(path)
                .map(Self::Socket)
                .map_err(|_| RelayError::SocketPath { path: path.clone() }),
            Upstream::Tls { addresses, name, ca, token } => {
                if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
                    return Err(RelayError::Addresses { count: addresses.len() });
                }
                let tls = ClientTls::new(ca, name)?;
                // What is wrong with the settings is told now, not at each connection.
                Session::client(tls.config.clone(), tls.name.clone())
                    .map_err(|error| RelayError::Tls(TlsError::Authority(error.to_string())))?;
                let addresses =
                    addresses.iter().map(|&at| Address { at, failures: 0, rests: None }).collect();
                Ok(Self::Proxy(Proxy { addresses, next: 0, tls, token: token.clone() }))
            }
        }
    }
}

/// A socket on its way to the supervisor.
pub(super) fn open(socket: &SocketAddrUnix) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let upstream = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&upstream, socket)?;
    Ok(upstream)
}

impl Proxy {
    /// The address whose turn it is, if one may be tried now.
    pub(super) fn choose(&mut self, now: Instant) -> Option<usize> {
        let count = self.addresses.len();
        let turn = (0..count)
            .map(|step| (self.next + step) % count)
            .find(|&number| self.addresses[number].rests.is_none_or(|rests| rests <= now))?;
        self.next = (turn + 1) % count;
        Some(turn)
    }

    /// Begins a connection there.
    pub(super) fn dial(&self, number: usize) -> Result<End, Errno> {
        let at = self.addresses[number].at;
        let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        crate::events::end::tune(&socket);
        match rustix::net::connect(&socket, &at) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let session =
            Session::client(self.tls.config.clone(), self.tls.name.clone()).map_err(|_| Errno::PROTO)?;
        Ok(End::encrypted(socket, session))
    }

    /// The address did not lead to the proxy.
    pub(super) fn failed(&mut self, number: usize, now: Instant) {
        let address = &mut self.addresses[number];
        let rest = FIRST.saturating_mul(1 << address.failures.min(16)).min(WORST);
        address.failures = address.failures.saturating_add(1);
        address.rests = Some(now + rest);
    }

    /// It did.
    pub(super) fn reached(&mut self, number: usize) {
        let address = &mut self.addresses[number];
        (address.failures, address.rests) = (0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_rests_longer_each_time_and_the_others_take_turns() {
        let authority = crate::tests::world::Authority::new();
        let upstream = Upstream::Tls {
            addresses: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|at| at.parse().unwrap()).into(),
            name: "pinfold-proxy".into(),
            ca: authority.pem().into_bytes(),
            token: Token::generate().unwrap(),
        };
        let Way::Proxy(mut proxy) = Way::new(&upstream).unwrap() else { panic!("it is a proxy") };
        let now = Instant::now();
        let mut turns = || (0..4).map(|_| proxy.choose(now)).collect::<Vec<_>>();
        assert_eq!(turns(), [Some(0), Some(1), Some(2), Some(0)]);
        proxy.failed(1, now);
        assert_eq!([proxy.choose(now), proxy.choose(now)], [Some(2), Some(0)]);
        assert_eq!(proxy.choose(now + FIRST), Some(1));
        proxy.failed(1, now);
        assert_eq!(proxy.addresses[1].rests, Some(now + 2 * FIRST));
        for _ in 0..40 {
            (0..3).for_each(|number| proxy.failed(number, now));
        }
        assert_eq!(proxy.choose(now), None);
        assert!(proxy.choose(now + WORST).is_some());
        proxy.reached(2);
        assert_eq!(proxy.choose(now), Some(2));
    }

    #[test]
    fn settings_that_cannot_work_are_told_at_once() {
        let authority = crate::tests::world::Authority::new();
        let upstream = |addresses: &[&str], name: &str, ca: &str| Upstream::Tls {
            addresses: addresses.iter().map(|at| at.parse().unwrap()).collect(),
            name: name.into(),
            ca: ca.as_bytes().to_vec(),
            token: Token::generate().unwrap(),
        };
        let pem = authority.pem();
        assert!(Way::new(&upstream(&["127.0.0.1:1"], "a", &pem)).is_ok());
        assert!(matches!(Way::new(&upstream(&[], "a", &pem)), Err(RelayError::Addresses { count: 0 })));
        assert!(matches!(
            Way::new(&upstream(&["127.0.0.1:1"], "a b", &pem)),
            Err(RelayError::Tls(TlsError::Name(_)))
        ));
        let error = Way::new(&upstream(&["127.0.0.1:1"], "a", "x")).unwrap_err();
        assert!(matches!(error, RelayError::Tls(TlsError::NoCertificate)));
        let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            Way::new(&upstream(&["127.0.0.1:1"], "a", bad)),
            Err(RelayError::Tls(TlsError::Authority(_)))
        ));
    }
}
