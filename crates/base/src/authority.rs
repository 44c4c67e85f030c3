//! `host[:port]`: host names, addresses and ports as somebody else may have written them, read strictly.
//!
//! ```text
//!   authority = host [ ":" port ]                RFC 3986, section 3.2, without user information
//!   host      = label *( "." label ) [ "." ]     lower-cased, the final dot dropped, at most 253 bytes
//!             | IPv4, four decimal numbers        never with a leading zero, in hexadecimal or as one number
//!             | "[" IPv6 "]"                      never with a zone or an IPv4 address inside
//!   port      = 1…65535, no sign, no leading zero
//! ```
//!
//! One reader serves URLs, the allow-list, the request line, the `Host` header and the server name of TLS, so that two of
//! them can never disagree about the same bytes. A name is kept as ASCII; an internationalised one must come as `xn--…`.
//! URLs alone are read with more of the generic syntax ([`Grammar::Uri`]): mirrors and redirects are written so, and no list
//! is asked about them.
//!
//! **Refuses**, with a reason each: NUL, CR, LF and any other byte that is not a letter, a digit, `-` or `.`; user
//! information; percent-encoding; raw non-ASCII; empty or over-long labels; anything whose last label is a number and that
//! is not a plain dotted quad (`2130706433`, `0x7f.1`, `127.1`, `0177.0.0.1`): a resolver might read it as an address.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// The longest name DNS can carry in text (RFC 1035, section 2.3.4, less the length bytes).
const NAME_MAX: usize = 253;
/// The longest label (RFC 1035, section 2.3.4).
const LABEL_MAX: usize = 63;

/// A host: a DNS name in normal form, or an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A name: lower case, ASCII, no final dot.
    Name(Box<str>),
    /// An address.
    Address(IpAddr),
}

/// A host and the port to reach it on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The host.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}

/// A host, and the port if one is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port, never 0.
    pub port: Option<u16>,
}

/// How much of the generic syntax is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// What has one spelling and one reading: for everything that is compared with a list.
    Strict,
    /// More of what a URL may have (RFC 3986, section 3.2): `_` in a name, a name that is a number to some, a port that is
    /// empty or begins with 0.
    Uri,
}

/// Why bytes are not a host or an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Nothing is there.
    #[error("the host name is empty")]
    Empty,
    /// Longer than DNS allows.
    #[error("the host name is longer than 253 bytes or has a label longer than 63")]
    TooLong,
    /// Two dots in a row, or a dot in front.
    #[error("the host name has an empty label")]
    EmptyLabel,
    /// A label begins or ends with `-`.
    #[error("the host name has a label that begins or ends with `-`")]
    Hyphen,
    /// NUL, CR, LF, …
    #[error("the host name has a control character")]
    Control,
    /// `user@host`
    #[error("the address has user information before an `@`")]
    UserInfo,
    /// `%41`, or a zone of IPv6.
    #[error("the host name has a percent sign")]
    Percent,
    /// Bytes above 127.
    #[error("the host name is not ASCII; write it in its `xn--` form")]
    NotAscii,
    /// Any other byte.
    #[error("the host name has a character that is not a letter, a digit, `-` or `.`")]
    Character,
    /// Something a resolver might take for an IPv4 address.
    #[error("the host name is a number but not a plain IPv4 address")]
    Numeric,
    /// Not an IPv6 address, or not in brackets.
    #[error("the IPv6 address is malformed, or not in brackets")]
    Ipv6,
    /// `::ffff:1.2.3.4` or `::1.2.3.4`
    #[error("the IPv6 address carries an IPv4 address")]
    MappedIpv4,
    /// No port where one is needed.
    #[error("the port is missing")]
    NoPort,
    /// Not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Host {
    /// Reads a host without a port.
    pub fn parse(text: &[u8]) -> Result<Self, AuthorityError> {
        Self::read(text, Grammar::Strict)
    }

    fn read(text: &[u8], grammar: Grammar) -> Result<Self, AuthorityError> {
        if let Some(rest) = text.strip_prefix(b"[") {
            return Self::parse_ipv6(rest);
        }
        if let Some(error) = text.iter().find_map(|&byte| wrong_byte(byte, grammar)) {
            return Err(error);
        }
        let (name, dotted) = match text.strip_suffix(b".") {
            Some(name) => (name, true),
            None => (text, false),
        };
        if text.is_empty() {
            return Err(AuthorityError::Empty);
        }
        if name.len() > NAME_MAX {
            return Err(AuthorityError::TooLong);
        }
        let mut last: &[u8] = b"";
        for label in name.split(|&byte| byte == b'.') {
            match label {
                [] => return Err(AuthorityError::EmptyLabel),
                [b'-', ..] | [.., b'-'] => return Err(AuthorityError::Hyphen),
                _ if label.len() > LABEL_MAX => return Err(AuthorityError::TooLong),
                _ => last = label,
            }
        }
        // All bytes were checked to be ASCII.
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if is_number(last) {
            match name.parse::<Ipv4Addr>() {
                Ok(address) if !dotted => return Ok(Self::Address(address.into())),
                _ if grammar == Grammar::Uri => {}
                _ => return Err(AuthorityError::Numeric),
            }
        }
        Ok(Self::Name(name.into()))
    }

    fn parse_ipv6(rest: &[u8]) -> Result<Self, AuthorityError> {
        let inner = rest.strip_suffix(b"]").ok_or(AuthorityError::Ipv6)?;
        if inner.contains(&b'%') {
            return Err(AuthorityError::Percent);
        }
        if inner.contains(&b'.') {
            return Err(AuthorityError::MappedIpv4);
        }
        let inner = str::from_utf8(inner).map_err(|_| AuthorityError::NotAscii)?;
        let address: Ipv6Addr = inner.parse().map_err(|_| AuthorityError::Ipv6)?;
        if address.to_ipv4_mapped().is_some() {
            return Err(AuthorityError::MappedIpv4);
        }
        Ok(Self::Address(address.into()))
    }

    /// The name, if it is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl Authority {
    /// Reads `host` or `host:port`.
    pub fn parse(text: &[u8]) -> Result<Self, AuthorityError> {
        Self::read(text, Grammar::Strict)
    }

    /// The same, with this much of the syntax.
    pub fn read(text: &[u8], grammar: Grammar) -> Result<Self, AuthorityError> {
        // User information is named as such even where its own colon would confuse the split below.
        if text.contains(&b'@') {
            return Err(AuthorityError::UserInfo);
        }
        // An IPv6 address without its brackets is named as such, whatever its first number would be as a name.
        if text.split(|&byte| byte == b':').count() > 2
            && text.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b':')
        {
            return Err(AuthorityError::Ipv6);
        }
        let end_of_host = if text.starts_with(b"[") {
            text.iter().position(|&byte| byte == b']').ok_or(AuthorityError::Ipv6)? + 1
        } else {
            text.iter().position(|&byte| byte == b':').unwrap_or(text.len())
        };
        let (host, rest) = text.split_at(end_of_host);
        let host = Host::read(host, grammar)?;
        let port = match rest {
            [] => None,
            [b':'] if grammar == Grammar::Uri => None,
            [b':', digits @ ..] => {
                let zeroes = digits.iter().take_while(|&&digit| digit == b'0' && grammar == Grammar::Uri);
                Some(parse_port(&digits[zeroes.count()..])?)
            }
            _ => return Err(AuthorityError::Ipv6),
        };
        Ok(Self { host, port })
    }
}

impl Target {
    /// Reads `host:port`, or `host` when there is a port to fall back on.
    pub fn parse(text: &[u8], default_port: Option<u16>) -> Result<Self, AuthorityError> {
        let Authority { host, port } = Authority::parse(text)?;
        let port = port.or(default_port).ok_or(AuthorityError::NoPort)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reads a port in its only spelling.
fn parse_port(digits: &[u8]) -> Result<u16, AuthorityError> {
    if digits.is_empty() || digits.len() > 5 || digits[0] == b'0' || !digits.iter().all(u8::is_ascii_digit) {
        return Err(AuthorityError::Port);
    }
    let value = digits.iter().fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0'));
    u16::try_from(value).map_err(|_| AuthorityError::Port)
}

fn wrong_byte(byte: u8, grammar: Grammar) -> Option<AuthorityError> {
    match byte {
        b'_' if grammar == Grammar::Uri => None,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => None,
        b'@' => Some(AuthorityError::UserInfo),
        b'%' => Some(AuthorityError::Percent),
        0..=0x1f | 0x7f => Some(AuthorityError::Control),
        0x80.. => Some(AuthorityError::NotAscii),
        _ => Some(AuthorityError::Character),
    }
}

/// Whether a last label makes a name an IPv4 address in the eyes of some resolver (WHATWG URL, "ends in a number").
fn is_number(label: &[u8]) -> bool {
    match label {
        [b'0', b'x' | b'X', hex @ ..] => hex.iter().all(u8::is_ascii_hexdigit),
        _ => label.iter().all(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> Result<String, AuthorityError> {
        Host::parse(text.as_bytes()).map(|host| host.to_string())
    }

    #[test]
    fn names_have_one_spelling() {
        for text in ["example.com", "EXAMPLE.com", "example.com.", "Example.Com."] {
            assert_eq!(host(text).unwrap(), "example.com");
        }
        assert_eq!(host("xn--bcher-kva.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(host("a-1.b").unwrap(), "a-1.b");
        assert_eq!(host("1.2.3.4").unwrap(), "1.2.3.4");
        assert_eq!(host("[2606:4700::1111]").unwrap(), "[2606:4700::1111]");
        assert_eq!(host("4.example").unwrap(), "4.example");
    }

    /// List N7 of the isolation test list.
    #[test]
    fn hostile_names_are_refused() {
        use AuthorityError as E;
        let long_label = format!("{}.com", "a".repeat(64));
        let long_name = vec!["a".repeat(60); 5].join(".");
        for (text, expected) in [
            ("", E::Empty),
            (".", E::EmptyLabel),
            ("example.com..", E::EmptyLabel),
            (".example.com", E::EmptyLabel),
            ("a..b", E::EmptyLabel),
            ("evil.com\0.example.com", E::Control),
            ("example.com\r\nx", E::Control),
            ("example.com\n", E::Control),
            ("example.com\t", E::Control),
            ("exam%70le.com", E::Percent),
            ("example.com%00", E::Percent),
            ("user@example.com", E::UserInfo),
            ("bücher.example", E::NotAscii),
            ("example。com", E::NotAscii),
            ("exam ple.com", E::Character),
            ("example.com/", E::Character),
            ("example.com\\", E::Character),
            ("example.com#", E::Character),
            ("*.example.com", E::Character),
            ("a_b.example.com", E::Character),
            ("-a.example", E::Hyphen),
            ("a-.example", E::Hyphen),
            ("2130706433", E::Numeric),
            ("0x7f000001", E::Numeric),
            ("0x7f.1", E::Numeric),
            ("127.1", E::Numeric),
            ("127.0.1", E::Numeric),
            ("0177.0.0.1", E::Numeric),
            ("127.0.0.01", E::Numeric),
            ("127.0.0.1.", E::Numeric),
            ("1.2.3.4.5", E::Numeric),
            ("256.1.1.1", E::Numeric),
            ("example.0x", E::Numeric),
            ("example.42", E::Numeric),
            ("::1", E::Character),
            ("[::1", E::Ipv6),
            ("[::1]x", E::Ipv6),
            ("[]", E::Ipv6),
            ("[::ffff:127.0.0.1]", E::MappedIpv4),
            ("[::ffff:7f00:1]", E::MappedIpv4),
            ("[::127.0.0.1]", E::MappedIpv4),
            ("[fe80::1%25eth0]", E::Percent),
            (&long_label, E::TooLong),
            (&long_name, E::TooLong),
        ] {
            assert_eq!(host(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn ports_have_one_spelling() {
        let target = |text: &str| Target::parse(text.as_bytes(), None).map(|target| target.to_string());
        assert_eq!(target("example.com:443").unwrap(), "example.com:443");
        assert_eq!(target("[2606:4700::1111]:65535").unwrap(), "[2606:4700::1111]:65535");
        for text in [
            "example.com:",
            "example.com:0",
            "example.com:00443",
            "example.com:+443",
            "example.com:-1",
            "example.com:65536",
            "example.com:4294967739",
            "example.com:443:80",
            "example.com: 443",
            "example.com:443 ",
            "example.com:0x1bb",
        ] {
            assert_eq!(target(text), Err(AuthorityError::Port), "{text}");
        }
        assert_eq!(target("example.com"), Err(AuthorityError::NoPort));
        assert_eq!(target("user:443@example.com:443"), Err(AuthorityError::UserInfo));
        assert_eq!(target("example.com:443@evil.com"), Err(AuthorityError::UserInfo));
        assert_eq!(target("[::1]443"), Err(AuthorityError::Ipv6));
        assert_eq!(Target::parse(b"example.com", Some(80)).unwrap().port, 80);
    }

    /// The authorities of the examples of RFC 3986 (sections 1.1.2, 3, 3.2.2 and 7.6), and of RFC 6874 and RFC 5952.
    #[test]
    fn authorities_of_the_specifications() {
        use AuthorityError as E;
        let read = |text: &str| Authority::parse(text.as_bytes()).map(|it| (it.host.to_string(), it.port));
        for (text, host, port) in [
            ("ftp.is.co.za", "ftp.is.co.za", None),
            ("www.ietf.org", "www.ietf.org", None),
            ("[2001:db8::7]", "[2001:db8::7]", None),
            ("192.0.2.16:80", "192.0.2.16", Some(80)),
            ("example.com:8042", "example.com", Some(8042)),
            ("EXAMPLE.com", "example.com", None),
            // RFC 5952, section 4: zeroes are left out, hexadecimal is lower case.
            ("[2001:DB8:0:0:0:0:0:1]:443", "[2001:db8::1]", Some(443)),
            ("[2001:db8:0:1:1:1:1:1]", "[2001:db8:0:1:1:1:1:1]", None),
            ("[::1]:8080", "[::1]", Some(8080)),
            ("[::]", "[::]", None),
        ] {
            assert_eq!(read(text), Ok((host.to_owned(), port)), "{text}");
        }
        for (text, expected) in [
            ("", E::Empty),
            (":80", E::Empty),
            // Allowed by the grammar (`port = *DIGIT`) and of no use.
            ("example.com:", E::Port),
            ("example.com:080", E::Port),
            ("user@example.com", E::UserInfo),
            ("John.Doe:password@example.com:80", E::UserInfo),
            ("cnn.example.com&story=breaking_news@10.0.0.1", E::UserInfo),
            ("a%62c.example", E::Percent),
            ("[fe80::a%25ee1]", E::Percent),
            ("[v1.fe80::a+en1]", E::MappedIpv4),
            ("[v7:a]", E::Ipv6),
            ("[1080::8:800:200C:417A", E::Ipv6),
            ("[::13.1.68.3]", E::MappedIpv4),
            ("[::FFFF:129.144.52.38]:80", E::MappedIpv4),
            ("2001:db8::7", E::Ipv6),
            ("a,b", E::Character),
            ("sub!delims", E::Character),
            ("10.1", E::Numeric),
            ("0x0a000001", E::Numeric),
        ] {
            assert_eq!(read(text), Err(expected), "{text}");
        }
    }

    /// What a URL may have besides, and a list may not.
    #[test]
    fn urls_are_read_with_more_of_the_syntax() {
        for (text, strict, host, port) in [
            ("my_bucket.example:80", AuthorityError::Character, "my_bucket.example", Some(80)),
            ("1.10.0.0.1", AuthorityError::Numeric, "1.10.0.0.1", None),
            ("example.com:", AuthorityError::Port, "example.com", None),
            ("example.com:0443", AuthorityError::Port, "example.com", Some(443)),
        ] {
            assert_eq!(Authority::parse(text.as_bytes()), Err(strict), "{text}");
            let read = Authority::read(text.as_bytes(), Grammar::Uri).unwrap();
            assert_eq!((read.host.to_string().as_str(), read.port), (host, port), "{text}");
        }
        for (text, expected) in [
            ("a*b", AuthorityError::Character),
            ("user@a", AuthorityError::UserInfo),
            ("a:0", AuthorityError::Port),
            ("a:65536", AuthorityError::Port),
            ("a%62", AuthorityError::Percent),
        ] {
            assert_eq!(Authority::read(text.as_bytes(), Grammar::Uri), Err(expected), "{text}");
        }
    }

    proptest! {
        /// What is accepted is written back in a form that is read as the same value: there is one spelling.
        #[test]
        fn accepted_hosts_are_stable(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(host) = Host::parse(&text) {
                let written = host.to_string();
                prop_assert!(written.is_ascii());
                prop_assert_eq!(Host::parse(written.as_bytes()), Ok(host));
            }
        }

        /// Names that look like addresses to the system's resolver are never taken for names.
        #[test]
        fn likely_hosts_are_stable(text in "[0-9a-fA-FxX.:\\[\\]-]{1,24}", port in 1u16..) {
            if let Ok(target) = Target::parse(format!("{text}:{port}").as_bytes(), None) {
                prop_assert_eq!(target.port, port);
                if let Some(name) = target.host.name() {
                    prop_assert!(name.parse::<IpAddr>().is_err());
                    let last = name.rsplit('.').next().unwrap_or_default();
                    prop_assert!(!last.bytes().all(|byte| byte.is_ascii_digit()));
                }
                prop_assert_eq!(Target::parse(target.to_string().as_bytes(), None), Ok(target));
            }
        }
    }
}
