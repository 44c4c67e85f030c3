//! The relay of a sandbox, made by process 1 while it is the only one inside.

use pinfold_base::error::one_line;
use pinfold_network::Endpoint;
use pinfold_network::Listen;
use pinfold_network::Relay;
use pinfold_network::RelayError;
use pinfold_network::RelayLimits;
use pinfold_network::Upstream;
use rustix::fs::Mode;
use rustix::io::Errno;

use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;

/// Connections at once where clients come by sockets: there is one program, which asks one model.
const BY_SOCKET: usize = 64;

/// Listens, in directories that are made where they are missing; what comes goes `towards` that. `None` where nothing is listened on.
pub(crate) fn bind(towards: &Upstream, listens: &[Listen]) -> Result<Option<Relay>, StepError> {
    if listens.is_empty() {
        return Ok(None);
    }
    let mut limits = RelayLimits::default();
    for listen in listens {
        if let Endpoint::Socket(path) | Endpoint::Alias(path) = &listen.at {
            limits.connections = BY_SOCKET;
            let directory = path.parent().unwrap_or(path);
            match rustix::fs::mkdir(directory, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno).on(Step::Relay, directory.display()),
            }
        }
    }
    Relay::bind_with(towards, listens, limits).map(Some).map_err(|error| failed(&error))
}

/// Serves on a thread.
pub(crate) fn spawn(relay: Option<Relay>) -> Result<(), StepError> {
    relay.map_or(Ok(()), |relay| relay.spawn().map(drop).map_err(|error| failed(&error)))
}

/// What the kernel said where it was asked, the reason elsewhere.
fn failed(error: &RelayError) -> StepError {
    match error {
        RelayError::Bind { at, source } => StepError::io(Step::Relay, at.to_string(), source),
        RelayError::Loop(source) => StepError::io(Step::Relay, "", source),
        RelayError::SocketPath { .. } | RelayError::Addresses { .. } | RelayError::Tls(_) => {
            StepError::because(Step::Relay, one_line(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use pinfold_network::RouteId;
    use pinfold_network::Token;

    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let with = |addresses: &[&str]| Upstream::Tls {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            name: "proxy".into(),
            ca: b"none".to_vec(),
            token: Token::generate().unwrap(),
        };
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let at = |port| [Listen { route: RouteId::PROXY, at: Endpoint::Port(port) }];
        let said = |towards: &Upstream, port| bind(towards, &at(port)).unwrap_err().to_string();
        let text = said(&with(&["127.0.0.1:1"]), 0);
        assert!(text.starts_with("cannot start the relay: ") && text.contains("certificate"), "{text}");
        let text = said(&with(&[]), 0);
        assert!(text.starts_with("cannot start the relay: ") && text.contains("0 addresses"), "{text}");
        let text = said(&Upstream::Socket("/run/s".into()), port);
        assert!(text.contains(&port.to_string()) && text.contains("in use"), "{text}");
    }
}
