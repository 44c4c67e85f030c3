//! The first message of TLS, as far as the server name in it (RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3).
//!
//! ```text
//!   record     = 0x16 0x03 minor length:u16 fragment
//!   handshake  = 0x01 length:u24 body                      over one or more records
//!   body       = version:u16 random:32 session:u8* suites:u16* compression:u8* extensions:u16*
//!   extension  = type:u16 length:u16 data                  type 0 is server_name
//!   name list  = length:u16 ( 0x00 length:u16 name )       exactly one note
//! ```
//!
//! A tunnel is opened for one host, and what is spoken in it cannot be read; but the server on the other side chooses whom
//! it plays by this name, so it must be the host the tunnel was opened for. Read strictly: a message that two parsers might
//! understand differently (two names, two extensions, lengths that do not add up, bytes after the message) is refused.
//!
//! What this cannot see: a name inside an encrypted hello (ECH) and the `Host` or `:authority` inside the encrypted stream.
//! Both are answered by the very server that was allowed.

use pinfold_base::authority::AuthorityError;
use pinfold_base::authority::Host;

/// The longest first message that is accepted, in bytes of records. Post-quantum key shares take about 2 KiB.
pub const HELLO_MAX: usize = 32 << 10;
/// The longest fragment of a record (RFC 8446, section 5.1).
const FRAGMENT_MAX: usize = 1 << 14;
const SERVER_NAME: u16 = 0;

/// Why bytes are not an acceptable beginning of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Something else is spoken.
    #[error("what is spoken in the tunnel is not TLS")]
    NotTls,
    /// Over [`HELLO_MAX`] bytes.
    #[error("the TLS hello is too long")]
    TooLong,
    /// Lengths that do not add up, a repeated extension, several names.
    #[error("the TLS hello is malformed")]
    Malformed,
    /// The name is not a host name.
    #[error("the server name of the TLS hello is wrong: {0}")]
    Name(#[from] AuthorityError),
}

/// What a hello says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The server name, if there is one.
    pub server_name: Option<Host>,
}

/// Reads a client's first message from the start of `bytes`; `None` when more bytes are needed.
pub fn parse_hello(bytes: &[u8]) -> Result<Option<Hello>, HelloError> {
    let mut message = Vec::new();
    let mut rest = bytes;
    loop {
        match rest {
            [] | [0x16] | [0x16, 3] => break,
            [0x16, 3, ..] => {}
            _ => {
                return Err(if rest.len() == bytes.len() {
                    HelloError::NotTls
                } else {
                    HelloError::Malformed
                });
            }
        }
        let [_, _, minor, high, low, fragment @ ..] = rest else { break };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if *minor > 4 || length == 0 || length > FRAGMENT_MAX {
            return Err(HelloError::Malformed);
        }
        let Some((fragment, after)) = fragment.split_at_checked(length) else {
            message.extend_from_slice(fragment);
            check_start(&message)?;
            break;
        };
        message.extend_from_slice(fragment);
        rest = after;
        if let Some(body) = check_start(&message)? {
            return parse_body(body).map(Some);
        }
    }
    if bytes.len() >= HELLO_MAX { Err(HelloError::TooLong) } else { Ok(None) }
}

/// The body of the handshake message, once it is whole.
fn check_start(message: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    let [kind, length @ ..] = message else { return Ok(None) };
    if *kind != 1 {
        return Err(HelloError::Malformed);
    }
    let [a, b, c, body @ ..] = length else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).map_err(|_| HelloError::TooLong)?;
    if length > HELLO_MAX {
        return Err(HelloError::TooLong);
    }
    match body.len().cmp(&length) {
        std::cmp::Ordering::Less => Ok(None),
        std::cmp::Ordering::Equal => Ok(Some(body)),
        // Nothing may follow before the server has answered.
        std::cmp::Ordering::Greater => Err(HelloError::Malformed),
    }
}

fn parse_body(body: &[u8]) -> Result<Hello, HelloError> {
    let mut body = Cursor(body);
    body.take(2 + 32)?;
    body.short_vector()?;
    let suites = body.vector()?;
    let compression = body.short_vector()?;
    if suites.0.is_empty() || suites.0.len() % 2 != 0 || compression.0.is_empty() {
        return Err(HelloError::Malformed);
    }
    let mut server_name = None;
    // TLS 1.2 allows a hello without extensions.
    if !body.0.is_empty() {
        let mut extensions = body.vector()?;
        body.end()?;
        while !extensions.0.is_empty() {
            let kind = extensions.number()?;
            let data = extensions.vector()?;
            if kind == SERVER_NAME && server_name.replace(parse_names(data)?).is_some() {
                return Err(HelloError::Malformed);
            }
        }
    }
    Ok(Hello { server_name })
}

fn parse_names(mut data: Cursor<'_>) -> Result<Host, HelloError> {
    let mut list = data.vector()?;
    data.end()?;
    if list.take(1)? != [0] {
        return Err(HelloError::Malformed);
    }
    let name = list.vector()?;
    list.end()?;
    if name.0.ends_with(b".") {
        // RFC 6066 writes the name without it; a server may not find such a name and play another.
        return Err(HelloError::Malformed);
    }
    Ok(Host::parse(name.0)?)
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(HelloError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, HelloError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector(&mut self) -> Result<Self, HelloError> {
        let length = self.number()?;
        Ok(Self(self.take(length.into())?))
    }

    fn short_vector(&mut self) -> Result<Self, HelloError> {
        let length = self.take(1)?[0];
        Ok(Self(self.take(length.into())?))
    }

    fn end(&self) -> Result<(), HelloError> {
        if self.0.is_empty() { Ok(()) } else { Err(HelloError::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::pki_types::ServerName;

    use super::*;

    /// A hello as a real client writes it.
    fn rustls_hello(name: &'static str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from(name).unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    /// The record's fragment, cut into records of at most `size` bytes.
    fn fragmented(hello: &[u8], size: usize) -> Vec<u8> {
        hello[5..]
            .chunks(size)
            .flat_map(|piece| {
                let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
                [&[0x16, 3, 1][..], &length, piece].concat()
            })
            .collect()
    }

    /// A hello with these extensions, written out by hand.
    fn hello_with(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend_from_slice(&[7; 32]);
        body.extend_from_slice(&[0, 0, 2, 0x13, 1, 1, 0]);
        body.extend_from_slice(&u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend_from_slice(extensions);
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        let record = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[0x16, 3, 1][..], &record, &[1, 0], &length, &body].concat()
    }

    fn name_extension(names: &[&[u8]]) -> Vec<u8> {
        let mut list = Vec::new();
        for name in names {
            list.push(0);
            list.extend_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
            list.extend_from_slice(name);
        }
        let inner = u16::try_from(list.len()).unwrap();
        [&[0, 0][..], &(inner + 2).to_be_bytes(), &inner.to_be_bytes(), &list].concat()
    }

    fn name_in(bytes: &[u8]) -> Option<String> {
        parse_hello(bytes).unwrap().unwrap().server_name.map(|host| host.to_string())
    }

    #[test]
    fn the_name_of_a_real_client_is_found() {
        let hello = rustls_hello("api.provider.example");
        assert_eq!(name_in(&hello).as_deref(), Some("api.provider.example"));
        for size in [1, 2, 3, 100] {
            assert_eq!(name_in(&fragmented(&hello, size)).as_deref(), Some("api.provider.example"), "{size}");
        }
        for end in 0..hello.len() {
            assert_eq!(parse_hello(&hello[..end]), Ok(None), "{end}");
        }
        // An address is not sent as a name.
        assert_eq!(name_in(&rustls_hello("1.2.3.4")), None);
    }

    #[test]
    fn other_protocols_are_told_at_their_first_byte() {
        for bytes in
            [&b"G"[..], b"SSH-2.0-x\r\n", b"\x80\x2e\x01\x03\x01", b"\x15\x03\x01", b"\x16\x02", b"\0"]
        {
            assert_eq!(parse_hello(bytes), Err(HelloError::NotTls), "{bytes:?}");
        }
        assert_eq!(parse_hello(b""), Ok(None));
    }

    #[test]
    fn hellos_with_two_readings_are_refused() {
        let one = name_extension(&[b"a.example"]);
        assert_eq!(name_in(&hello_with(&one)).as_deref(), Some("a.example"));
        assert_eq!(name_in(&hello_with(&[])), None);
        let bad = |extensions: &[u8]| parse_hello(&hello_with(extensions)).unwrap_err();
        assert_eq!(bad(&[one.clone(), one.clone()].concat()), HelloError::Malformed);
        assert_eq!(bad(&name_extension(&[b"a.example", b"b.example"])), HelloError::Malformed);
        assert_eq!(bad(&name_extension(&[])), HelloError::Malformed);
        assert_eq!(bad(&name_extension(&[b"a.example."])), HelloError::Malformed);
        assert_eq!(
            bad(&name_extension(&[b"a.example\0.b.example"])),
            HelloError::Name(AuthorityError::Control)
        );
        assert_eq!(bad(&name_extension(&[b""])), HelloError::Name(AuthorityError::Empty));
        assert_eq!(bad(&[0, 0, 0, 200]), HelloError::Malformed);
        // Bytes after the message, in its record.
        let mut trailing = hello_with(&one);
        trailing.push(0);
        let length = u16::from_be_bytes([trailing[3], trailing[4]]) + 1;
        trailing[3..5].copy_from_slice(&length.to_be_bytes());
        assert_eq!(parse_hello(&trailing), Err(HelloError::Malformed));
        // Bytes in a record of their own are the next flight's business.
        let followed = [hello_with(&one), vec![0x14, 3, 3, 0, 1, 1]].concat();
        assert_eq!(name_in(&followed).as_deref(), Some("a.example"));
    }

    #[test]
    fn hellos_are_bounded() {
        let endless = [&[0x16, 3, 1, 0x40, 0, 1, 0, 0x7f, 0xff][..], &vec![0; HELLO_MAX]].concat();
        assert!(parse_hello(&endless).is_err());
        assert_eq!(parse_hello(&[0x16, 3, 1, 0, 4, 1, 1, 0, 0]), Err(HelloError::TooLong));
        assert_eq!(parse_hello(&[0x16, 3, 1, 0, 0]), Err(HelloError::Malformed));
        assert_eq!(parse_hello(&[0x16, 3, 1, 0x40, 1]), Err(HelloError::Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_hello(&bytes);
            let _ = parse_hello(&hello_with(&bytes));
        }

        /// One changed byte never makes the name another one than the bytes say.
        #[test]
        fn one_changed_byte(position in 0usize..200, value in any::<u8>()) {
            let mut hello = hello_with(&name_extension(&[b"a.example"]));
            let position = position % hello.len();
            hello[position] = value;
            if let Ok(Some(Hello { server_name: Some(host) })) = parse_hello(&hello) {
                let name = host.to_string();
                prop_assert!(hello.to_ascii_lowercase().windows(name.len()).any(|window| window == name.as_bytes()));
            }
        }
    }
}
