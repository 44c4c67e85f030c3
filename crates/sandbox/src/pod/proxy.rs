//! The pod's one way out: its proxy, and that it is there.

use std::path::Path;

use pinfold_network::Listen;
use pinfold_network::Relay;
use pinfold_network::Token;
use pinfold_network::Upstream;

use super::error::PodError;
use super::read_bounded;
use super::task::PodProxy;
use crate::start::spawn::relay;

/// Bytes of a file with certificates.
const MAX_AUTHORITIES: usize = 1 << 20;
/// Bytes of a token's file.
const MAX_TOKEN: usize = 1024;

/// The way out, with this sandbox's token.
#[derive(Debug)]
pub(super) struct Way(Upstream);

impl Way {
    /// Reads what it takes.
    pub(super) fn open(proxy: &PodProxy) -> Result<Self, PodError> {
        let read = |what, path: &Path, max| {
            read_bounded(path, max).map_err(|source| PodError::Read { what, path: path.to_owned(), source })
        };
        let ca = read("who vouches for the proxy", &proxy.ca, MAX_AUTHORITIES)?;
        let mut text = read("this sandbox's token", &proxy.token, MAX_TOKEN)?;
        let token =
            Token::parse(&text).map_err(|source| PodError::Token { path: proxy.token.clone(), source });
        text.fill(0);
        std::hint::black_box(&text);
        let (addresses, name) = (proxy.addresses.clone(), proxy.name.clone());
        Ok(Self(Upstream::Tls { addresses, name, ca, token: token? }))
    }

    /// Whether the proxy answers this sandbox.
    pub(super) fn prove(&self) -> Result<(), PodError> {
        self.0.prove().map(drop).map_err(PodError::Proxy)
    }

    /// What the program finds it by.
    pub(super) fn relay(&self, listens: &[Listen]) -> Result<Option<Relay>, PodError> {
        Ok(relay::bind(&self.0, listens)?)
    }
}
