//! The relay of a sandbox, made by process 1 while it is the only one inside.

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
    Relay::bind_with(towards, listens, limits).map(Some).map_err(failed(Errno::ADDRNOTAVAIL))
}

/// Serves on a thread.
pub(crate) fn spawn(relay: Option<Relay>) -> Result<(), StepError> {
    relay.map_or(Ok(()), |relay| relay.spawn().map(drop).map_err(failed(Errno::AGAIN)))
}

fn failed(errno: Errno) -> impl FnOnce(RelayError) -> StepError {
    move |error| StepError::new(Step::Relay, error.to_string(), errno)
}
