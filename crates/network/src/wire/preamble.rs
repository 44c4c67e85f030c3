//! What stands before a connection's own bytes: where it came in, and over TCP who speaks.
//!
//! ```text
//!   Unix socket    form route                         one sandbox
//!   TCP with TLS   0x03 form route token[32]          whoever has the token
//!
//!   form    0x01, or 0x02 at an alias: the request must name the host itself
//!   route   0x00 the proxy, 0x01…0xff a credential route
//! ```
//!
//! **Guarantees**: pure; read byte by byte it is refused at the first byte that cannot be right. **Refuses** any other form.

use serde::Deserialize;
use serde::Serialize;

use crate::identity::TOKEN_BYTES;
use crate::identity::Token;

/// First byte of the preamble where the route alone says where a request goes; the other end refuses any value but this and the next.
const BY_ROUTE: u8 = 1;
/// The same where the request must name the route's host too.
const BY_HOST: u8 = 2;
/// First byte of a preamble with a token.
const PROVEN: u8 = 3;

/// Where a connection is to go, a byte of the preamble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouteId(pub u8);

impl RouteId {
    /// The allow-listed proxy.
    pub const PROXY: Self = Self(0);
}

/// Whether a request at a route has to name the provider's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostNaming {
    /// It says the listener's own address, or anything.
    Free,
    /// It names the host.
    Required,
}

/// Where a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// The proxy or a credential route.
    pub route: RouteId,
    /// What the request has to say itself.
    pub host: HostNaming,
}

impl Preamble {
    /// Bytes of one.
    pub const BYTES: usize = 2;

    /// As it is sent.
    pub const fn encode(self) -> [u8; Self::BYTES] {
        let form = match self.host {
            HostNaming::Free => BY_ROUTE,
            HostNaming::Required => BY_HOST,
        };
        [form, self.route.0]
    }

    /// Reads one; `None` where it has another form.
    pub const fn decode([form, route]: [u8; Self::BYTES]) -> Option<Self> {
        let host = match form {
            BY_ROUTE => HostNaming::Free,
            BY_HOST => HostNaming::Required,
            _ => return None,
        };
        Some(Self { route: RouteId(route), host })
    }
}

/// What stands before a connection's bytes where several sandboxes speak.
#[derive(Debug)]
pub struct Proven {
    /// Where it came in.
    pub preamble: Preamble,
    /// Who speaks.
    pub token: Token,
}

/// What is said to whoever shows a token that is not known, or not from where it comes: how an answer of 403 goes on.
pub(crate) const UNKNOWN: &str = "this sandbox is not known to the proxy";

/// Bytes that can be no preamble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not begin as a relay begins")]
pub struct NoPreamble;

impl Proven {
    /// Bytes of one.
    pub const BYTES: usize = 1 + Preamble::BYTES + TOKEN_BYTES;

    /// As it is sent. It holds the token: it goes into TLS and nowhere else.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0] = PROVEN;
        bytes[1..3].copy_from_slice(&self.preamble.encode());
        bytes[3..].copy_from_slice(self.token.expose());
        bytes
    }

    /// Reads one from the beginning of `bytes`; nothing while more must come. What was read is overwritten.
    pub fn read(bytes: &mut [u8]) -> Result<Option<Self>, NoPreamble> {
        if bytes.first().is_some_and(|&byte| byte != PROVEN) {
            return Err(NoPreamble);
        }
        if bytes.get(1).is_some_and(|&form| Preamble::decode([form, 0]).is_none()) {
            return Err(NoPreamble);
        }
        let Some((own, _)) = bytes.split_first_chunk_mut::<{ Self::BYTES }>() else { return Ok(None) };
        let preamble = Preamble::decode([own[1], own[2]]).ok_or(NoPreamble)?;
        let mut token = [0; TOKEN_BYTES];
        token.copy_from_slice(&own[3..]);
        let proven = Self { preamble, token: Token::of(token) };
        token.fill(0);
        own.fill(0);
        std::hint::black_box((&token, &own));
        Ok(Some(proven))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_preamble_of_another_form_is_none() {
        for host in [HostNaming::Free, HostNaming::Required] {
            let preamble = Preamble { route: RouteId(9), host };
            assert_eq!(Preamble::decode(preamble.encode()), Some(preamble));
        }
        assert_eq!(Preamble::decode([0, 9]), None);
        assert_eq!(Preamble::decode([3, 9]), None);
    }

    #[test]
    fn a_token_is_read_once_and_leaves_nothing() {
        let token = Token::of([7; TOKEN_BYTES]);
        let preamble = Preamble { route: RouteId(200), host: HostNaming::Required };
        let whole = Proven { preamble, token }.encode();
        for cut in 0..whole.len() {
            assert!(Proven::read(&mut whole[..cut].to_vec()).unwrap().is_none(), "{cut}");
        }
        let mut bytes = [&whole[..], b"GET"].concat();
        let read = Proven::read(&mut bytes).unwrap().unwrap();
        assert_eq!((read.preamble, read.token.hash()), (preamble, Token::of([7; TOKEN_BYTES]).hash()));
        assert_eq!(bytes, [&[0; Proven::BYTES][..], b"GET"].concat());
        for wrong in [&[0][..], &[1, 0], &[3, 0], &[3, 3], b"GET / HTTP/1.1", &[0x16, 3, 1]] {
            assert_eq!(Proven::read(&mut wrong.to_vec()).unwrap_err(), NoPreamble, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let told = Proven::read(&mut bytes.clone());
            if let Ok(Some(proven)) = &told {
                prop_assert_eq!(&proven.encode()[..], &bytes[..Proven::BYTES]);
            }
            // What is refused is refused however much follows, and what is read is read alike.
            let more = Proven::read(&mut [&bytes[..], b"x"].concat());
            prop_assert!(told.is_ok() || more.is_err());
        }
    }
}
