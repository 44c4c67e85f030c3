//! An address that the host is to fetch from: shown without secrets, held whole, and told apart where it is no public name.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use pinfold_base::Digest;
use pinfold_base::Shown;
use pinfold_base::address::Reachability;
use pinfold_base::address::classify;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Scheme;
use serde::Serialize;

/// An address as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Address {
    #[serde(serialize_with = "text")]
    shown: Shown,
    /// Of all of it, secrets included.
    sha256: String,
    /// What it is, unless it is a name in the public DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

impl Address {
    /// Reads an address. What is no URL is shown as an error shows it.
    pub(super) fn new(text: &str) -> Self {
        let url = SafeUrl::parse(text.trim());
        // `file:/path` is understood by apt, and so by `[debian]`.
        let file = text.trim().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
        let note = match &url {
            _ if file => Some("a file of this machine"),
            Ok(url) if url.scheme() == Scheme::File => Some("a file of this machine"),
            Ok(url) => note(url.host()),
            Err(_) => Some("not an address as pinfold reads it"),
        };
        let shown = match url {
            // A place without a path is shown as it was written.
            Ok(url) if url.to_string().trim_end_matches('/') == text => text.to_owned(),
            Ok(url) => url.to_string(),
            Err(_) if file => text.to_owned(),
            Err(error) => error.shown().to_string(),
        };
        // What stands around it is no part of the address, and is seen nevertheless.
        let (before, after) = (&text[..text.len() - text.trim_start().len()], &text[text.trim_end().len()..]);
        let shown = if shown == text { shown } else { format!("{before}{shown}{after}") };
        Self { shown: Shown::from(shown), sha256: Digest::sha256(text.as_bytes()).hex(), note }
    }
}

impl Address {
    /// What it is, unless it is a name in the public DNS.
    pub(super) fn note(&self) -> Option<&'static str> {
        self.note
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`", self.shown)?;
        if self.shown.as_str().contains("****") {
            // The part that is hidden can change too.
            write!(f, " (SHA-256 {})", &self.sha256[..12])?;
        }
        Ok(())
    }
}

fn text<S: serde::Serializer>(shown: &Shown, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(shown.as_str())
}

/// What a host is, unless it is a name in the public DNS.
fn note(host: &str) -> Option<&'static str> {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let address = bare.parse::<Ipv6Addr>().ok().map(unmapped).or_else(|| Some(IpAddr::V4(numeric(&bare)?)));
    let private = [".local", ".internal", ".home.arpa"];
    match address.map(classify) {
        Some(Reachability::Private(what) | Reachability::Never(what)) => Some(what),
        Some(Reachability::Public) => Some("an address instead of a name"),
        None if bare == "localhost" || bare.ends_with(".localhost") => Some("a loopback address"),
        None if !bare.contains('.') || private.iter().any(|end| bare.ends_with(end)) => {
            Some("a name of a private network")
        }
        None => None,
    }
}

/// IPv6 that carries IPv4: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
fn unmapped(address: Ipv6Addr) -> IpAddr {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4(high, low),
        _ => IpAddr::V6(address),
    }
}

/// IPv4 as inet_aton(3) reads it: one to four parts, decimal, octal or hexadecimal.
fn numeric(text: &str) -> Option<Ipv4Addr> {
    let part = |text: &str| match text.strip_prefix("0x") {
        Some("") => Some(0),
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(text, 8).ok(),
        None => text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?,
    };
    let parts: Vec<u64> = text.split('.').map(part).collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 8 * (4 - first.len());
    let high = first.iter().enumerate().fold(0, |sum, (index, part)| sum | part << (24 - 8 * index));
    (*last < 1 << room).then(|| Ipv4Addr::from(u32::try_from(high | last).unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spellings that curl, browsers and inet_aton(3) take for the same place.
    #[test]
    fn a_place_is_told_whatever_its_spelling() {
        for (host, expected) in [
            ("127.0.0.1", Some("a loopback address")),
            ("127.0.0.1.", Some("a loopback address")),
            ("2130706433", Some("a loopback address")),
            ("0x7f000001", Some("a loopback address")),
            ("0x7F.1", Some("a loopback address")),
            ("017700000001", Some("a loopback address")),
            ("0177.0.0.1", Some("a loopback address")),
            ("127.1", Some("a loopback address")),
            ("0", Some("an unspecified address")),
            ("[::1]", Some("a loopback address")),
            ("[::]", Some("an unspecified address")),
            ("[::ffff:127.0.0.1]", Some("a loopback address")),
            ("[::ffff:7f00:1]", Some("a loopback address")),
            ("[64:ff9b::7f00:1]", Some("a loopback address")),
            ("localhost", Some("a loopback address")),
            ("LOCALHOST.", Some("a loopback address")),
            ("a.localhost", Some("a loopback address")),
            ("169.254.169.254", Some("a cloud metadata address")),
            ("0xa9fea9fe", Some("a cloud metadata address")),
            ("169.254.7.7", Some("a link-local address")),
            ("[fe80::1]", Some("a link-local address")),
            ("10.1.2.3", Some("a private address")),
            ("172.31.0.1", Some("a private address")),
            ("192.168.257", Some("a private address")),
            ("100.64.0.1", Some("a carrier-grade NAT address")),
            ("[fd00::1]", Some("a unique local address")),
            ("203.0.113.9", Some("a documentation address")),
            ("192.0.1.9", Some("an address instead of a name")),
            ("[2606::1]", Some("an address instead of a name")),
            ("printer", Some("a name of a private network")),
            ("nas.local", Some("a name of a private network")),
            ("registry.example", None),
            ("127.0.0.1.example", None),
            ("1.2.3.4.5", None),
            ("256.256.256.256", None),
        ] {
            assert_eq!(note(host), expected, "{host}");
        }
    }

    #[test]
    fn what_is_not_seen_of_an_address_is_shown_escaped() {
        for (text, shown) in [
            ("https://r.example/\x1b[2Jx", "`https://r.example/\\x1b[2Jx`"),
            ("https://r.example/\u{202e}x", "`https://r.example/\\u{202e}x`"),
            ("https://r.example/\u{9b}x", "`https://r.example/\\u{9b}x`"),
            ("https://r.example/a\nb", "`https://r.example/a\\nb`"),
            ("https://r.example/x\n", "`https://r.example/x\\n`"),
            ("\u{2028}https://r.example", "`\\u{2028}https://r.example/`"),
            ("\x07gopher://x", "`\\x07gopher://x`"),
            ("file:/srv/\x1b]0;t\x07", "`file:/srv/\\x1b]0;t\\x07`"),
            ("https://me:canary@r.example/\x1b[2J", "`https://****@r.example/\\x1b[2J`"),
        ] {
            let told = Address::new(text).to_string();
            assert!(told.starts_with(shown), "{text:?} is {told}");
            assert!(!told.contains(|c: char| c.is_control()) && !told.contains("canary"), "{told}");
        }
    }

    #[test]
    fn an_address_is_shown_without_secrets_and_held_with_them() {
        let one = Address::new("https://me:canary@registry.example/npm/?token=canary");
        let two = Address::new("https://me:other@registry.example/npm/?token=canary");
        assert!(one.to_string().starts_with("`https://****@registry.example/npm/?****` (SHA-256 "), "{one}");
        assert!(!one.to_string().contains("canary"));
        assert_ne!(one, two);
        assert_eq!(Address::new("https://r.example").to_string(), "`https://r.example`");
        for (text, note) in [
            ("file:///home/me/.ssh/key", Some("a file of this machine")),
            ("FILE:/srv/debian", Some("a file of this machine")),
            ("gopher://x", Some("not an address as pinfold reads it")),
            ("https://registry.example@127.0.0.1/", Some("a loopback address")),
            ("https://registry.example/", None),
        ] {
            assert_eq!(Address::new(text).note(), note, "{text}");
        }
    }
}
