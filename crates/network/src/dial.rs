//! From a target to a connection: resolve once, refuse what must not be reached, connect to exactly a checked address.
//!
//! The name is resolved a single time and the connection is made to one of the addresses that were looked at, never by
//! name: a second answer of a DNS server that changed its mind (rebinding) is never asked for. Addresses that may not be
//! reached are left out; when none is left the dial is refused and nothing was sent.

use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

pub use pinfold_base::address::LoopbackForTests;
pub use pinfold_base::address::Resolve;
pub use pinfold_base::address::SystemResolver;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::address::Reachability;
use pinfold_base::address::classify;
use pinfold_base::address::is_own;
use pinfold_base::authority::Host;
use pinfold_base::authority::Target;

/// How many of a name's addresses are tried.
const ATTEMPTS: usize = 4;

/// Why a target was not reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no answer.
    #[error("cannot resolve `{target}`")]
    Resolve {
        /// What was asked for.
        target: Target,
        /// The resolver's word.
        #[source]
        source: io::Error,
    },
    /// Every address is one that must not be reached.
    #[error("`{target}` is at {address}, {reason}")]
    Refused {
        /// What was asked for.
        target: Target,
        /// The first of the addresses.
        address: IpAddr,
        /// What that address is.
        reason: &'static str,
    },
    /// No address could be connected to.
    #[error("cannot connect to `{target}` at {address}")]
    Connect {
        /// What was asked for.
        target: Target,
        /// The last address tried.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Diagnose for DialError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Resolve { .. } | Self::Connect { .. } => Kind::Network,
            Self::Refused { .. } => Kind::Refused,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Refused { .. } => Some(
                "the proxy reaches public addresses only; a provider on a private network is named by the agent's own \
                 variable, such as `OPENAI_BASE_URL`, where pinfold is started"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Which addresses a dial may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Public addresses that are not this machine's: for targets the sandbox chose.
    Public,
    /// Private and loopback ones too: for targets the user configured. Never metadata, link-local or multicast.
    Configured,
}

/// Resolves, checks and connects.
#[derive(Clone, Debug)]
pub struct Dialer {
    resolver: Arc<dyn Resolve>,
    loopback: Option<LoopbackForTests>,
    timeout: Duration,
}

impl Default for Dialer {
    fn default() -> Self {
        Self::new(Arc::new(SystemResolver))
    }
}

impl Dialer {
    /// A dialer that asks `resolver`; five seconds for each address.
    pub fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, loopback: None, timeout: Duration::from_secs(5) }
    }

    /// A dialer that also reaches 127.0.0.1.
    #[must_use]
    pub fn with_loopback(self, exemption: LoopbackForTests) -> Self {
        Self { loopback: Some(exemption), ..self }
    }

    /// Another time for each address.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, DialError> {
        match &target.host {
            Host::Address(address) => Ok(vec![*address]),
            Host::Name(name) => self
                .resolver
                .resolve(name)
                .map_err(|source| DialError::Resolve { target: target.clone(), source }),
        }
    }

    /// Looks whether `target` has an address that a dial would try now, and connects to none.
    pub fn look(&self, target: &Target, reach: Addresses) -> Result<(), DialError> {
        let mut refused = None;
        for address in self.addresses(target)? {
            match self.refusal(address, reach) {
                Some(reason) => refused = refused.or(Some((address, reason))),
                None => return Ok(()),
            }
        }
        let Some((address, reason)) = refused else { return Err(nowhere(target)) };
        Err(DialError::Refused { target: target.clone(), address, reason })
    }

    /// Connects to `target`.
    pub fn dial(&self, target: &Target, reach: Addresses) -> Result<(TcpStream, SocketAddr), DialError> {
        let addresses = self.addresses(target)?;
        let mut refused = None;
        let mut failed = None;
        let mut attempts = 0;
        for address in addresses {
            if let Some(reason) = self.refusal(address, reach) {
                refused.get_or_insert((address, reason));
                continue;
            }
            if attempts == ATTEMPTS {
                break;
            }
            attempts += 1;
            let address = SocketAddr::new(address, target.port);
            match TcpStream::connect_timeout(&address, self.timeout) {
                Ok(stream) => return Ok((stream, address)),
                Err(error) => failed = Some((address, error)),
            }
        }
        Err(match (failed, refused) {
            (Some((address, source)), _) => DialError::Connect { target: target.clone(), address, source },
            (None, Some((address, reason))) => DialError::Refused { target: target.clone(), address, reason },
            (None, None) => nowhere(target),
        })
    }

    fn refusal(&self, address: IpAddr, reach: Addresses) -> Option<&'static str> {
        let exempt = self.loopback.is_some() && address == IpAddr::from([127, 0, 0, 1]);
        match classify(address) {
            Reachability::Never(reason) => Some(reason),
            Reachability::Private(reason) => (reach == Addresses::Public && !exempt).then_some(reason),
            Reachability::Public => {
                (reach == Addresses::Public && is_own(address)).then_some("an address of this machine")
            }
        }
    }
}

fn nowhere(target: &Target) -> DialError {
    let source = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    DialError::Resolve { target: target.clone(), source }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Mutex;

    use super::*;

    /// Gives the next prepared answer at each question, and counts the questions.
    #[derive(Debug)]
    pub(crate) struct Script(Mutex<Vec<Vec<&'static str>>>);

    impl Script {
        pub(crate) fn new(answers: &[&[&'static str]]) -> Arc<Self> {
            Arc::new(Self(Mutex::new(answers.iter().rev().map(|answer| answer.to_vec()).collect())))
        }

        fn left(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    impl Resolve for Script {
        fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            let answer = self.0.lock().unwrap().pop().ok_or(io::ErrorKind::NotFound)?;
            Ok(answer.iter().map(|address| address.parse().unwrap()).collect())
        }
    }

    fn target(text: &str) -> Target {
        Target::parse(text.as_bytes(), Some(443)).unwrap()
    }

    fn refused(resolver: Arc<dyn Resolve>, text: &str) -> bool {
        let dialer = Dialer::new(resolver).with_timeout(Duration::from_millis(200));
        matches!(dialer.dial(&target(text), Addresses::Public), Err(DialError::Refused { .. }))
    }

    /// Rows N3, N4 and N8 of the isolation test list.
    #[test]
    fn a_name_at_an_inner_address_is_refused() {
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.5.5",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "168.63.129.16",
            "0.0.0.0",
            "::1",
            "::",
            "fd00:ec2::254",
            "fe80::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::1",
        ] {
            assert!(refused(
                Script::new(&[&[Box::leak(address.to_owned().into_boxed_str())]]),
                "good.example"
            ));
        }
        assert!(refused(Arc::new(SystemResolver), "localhost"));
        assert!(refused(Arc::new(SystemResolver), "127.0.0.1"));
        assert!(refused(Arc::new(SystemResolver), "[::1]"));
    }

    /// Row N9: the second answer would be harmless, or harmful; it is never asked for.
    #[test]
    fn what_is_looked_at_is_what_would_be_dialled() {
        let looked = |answer: &[&'static str]| {
            Dialer::new(Script::new(&[answer])).look(&target("a.example"), Addresses::Public)
        };
        assert!(looked(&["93.184.216.34"]).is_ok() && looked(&["10.0.0.1", "93.184.216.34"]).is_ok());
        assert!(matches!(looked(&["10.0.0.1", "127.0.0.1"]), Err(DialError::Refused { address, .. })
            if address.to_string() == "10.0.0.1"));
        assert!(matches!(looked(&[]), Err(DialError::Resolve { .. })));
    }

    #[test]
    fn a_name_is_resolved_once() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let script = Script::new(&[&["127.0.0.1"], &["10.0.0.1"]]);
        let dialer = Dialer::new(Arc::clone(&script) as Arc<dyn Resolve>).with_loopback(LoopbackForTests);
        let target = Target { host: Host::Name("rebind.example".into()), port };
        let (stream, address) = dialer.dial(&target, Addresses::Public).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert_eq!(address.ip().to_string(), "127.0.0.1");
        assert_eq!(script.left(), 1);
        assert!(matches!(dialer.dial(&target, Addresses::Public), Err(DialError::Refused { .. })));
        // Negative control: without the exemption the first answer is refused as well.
        let script = Script::new(&[&["127.0.0.1"]]);
        assert!(matches!(
            Dialer::new(script).dial(&target, Addresses::Public),
            Err(DialError::Refused { .. })
        ));
    }

    #[test]
    fn inner_addresses_are_left_out_of_mixed_answers() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let script = Script::new(&[&["10.0.0.1", "::1", "127.0.0.1"]]);
        let dialer = Dialer::new(script).with_loopback(LoopbackForTests);
        let target = Target { host: Host::Name("mixed.example".into()), port };
        assert_eq!(dialer.dial(&target, Addresses::Public).unwrap().1.ip().to_string(), "127.0.0.1");
    }

    #[test]
    fn a_configured_target_may_be_private_but_never_metadata() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let dialer = Dialer::default().with_timeout(Duration::from_millis(200));
        let target = |host: &str| Target { host: Host::parse(host.as_bytes()).unwrap(), port };
        assert!(dialer.dial(&target("127.0.0.1"), Addresses::Configured).is_ok());
        assert!(matches!(
            dialer.dial(&target("169.254.169.254"), Addresses::Configured),
            Err(DialError::Refused { .. })
        ));
    }

    #[test]
    fn an_empty_answer_and_a_closed_port_are_network_errors() {
        let error =
            Dialer::new(Script::new(&[&[]])).dial(&target("a.example"), Addresses::Public).unwrap_err();
        assert_eq!(error.kind(), Kind::Network);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dialer = Dialer::default().with_loopback(LoopbackForTests);
        let error = dialer.dial(&target(&format!("127.0.0.1:{port}")), Addresses::Public).unwrap_err();
        assert!(matches!(error, DialError::Connect { .. }));
    }
}
