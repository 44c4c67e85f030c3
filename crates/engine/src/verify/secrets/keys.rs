//! Private keys with their body: PEM (RFC 7468, and the older forms), OpenSSH's, PuTTY's, age's; and files that are one: PKCS#1,
//! SEC 1, PKCS#8, PKCS#12.
//!
//! Programs and documents hold the first lines of keys as words; a key has a body of base 64 that is what its first line
//! says. Line ends may be written as `\n`, as in JSON, be blanks or missing; PEM may be in base 64 once more.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::tokens::Place;

/// Labels of private keys, and what their body is.
const LABELS: [(&str, Body); 9] = [
    ("PRIVATE KEY", Body::Sequence),
    ("RSA PRIVATE KEY", Body::Sequence),
    ("EC PRIVATE KEY", Body::Sequence),
    ("DSA PRIVATE KEY", Body::Sequence),
    ("ENCRYPTED PRIVATE KEY", Body::Sequence),
    ("OPENSSH PRIVATE KEY", Body::OpenSsh),
    ("PGP PRIVATE KEY BLOCK", Body::OpenPgp),
    ("ENCRYPTED COSIGN PRIVATE KEY", Body::Any),
    ("ENCRYPTED SIGSTORE PRIVATE KEY", Body::Any),
];

/// How base 64 of PEM begins.
pub(super) const CODED: &str = "LS0tLS1CRUdJTi";
/// A label is within so many bytes of the start of PEM.
const LABEL_MAX: usize = 48;
/// Longest line of a header that is skipped.
const HEADER_MAX: usize = 256;

#[derive(Clone, Copy)]
enum Body {
    /// A SEQUENCE of ASN.1 that is as long as the body.
    Sequence,
    /// OpenSSH's own (PROTOCOL.key).
    OpenSsh,
    /// A packet of a secret key (RFC 9580, 5.5.1.3).
    OpenPgp,
    Any,
}

pub(super) fn pem(at: &Place<'_>) -> bool {
    let text = &at.from[b"-----BEGIN ".len()..];
    let Some((label, body)) = LABELS.iter().find_map(|(label, body)| {
        Some((label, (text.strip_prefix(label.as_bytes())?.strip_prefix(b"-----")?, *body)))
    }) else {
        return false;
    };
    let (text, body) = body;
    let text = after_headers(text);
    let (digits, whole) = digits(text);
    if digits.len() < 64 || whole && !ends(text, label, at.goes_on) {
        return false;
    }
    // What is not whole is looked at up to its last four digits that are.
    let digits = &digits[..if whole { digits.len() } else { digits.len() / 4 * 4 }];
    let Ok(bytes) = STANDARD_NO_PAD.decode(digits) else { return false };
    match body {
        Body::Sequence => is_sequence(&bytes, whole) || is_encrypted(at.from),
        Body::OpenSsh => bytes.starts_with(b"openssh-key-v1\0"),
        // Tag 5 in the old form and in the new one.
        Body::OpenPgp => matches!(bytes.first(), Some(0x94..=0x97 | 0xc5)),
        Body::Any => true,
    }
}

/// PEM in base 64, in one line or in several.
pub(super) fn coded(at: &Place<'_>) -> bool {
    let of = |text: &[u8]| {
        let (digits, whole) = digits(text);
        let digits = &digits[..if whole { digits.len() } else { digits.len() / 4 * 4 }];
        (STANDARD_NO_PAD.decode(digits).unwrap_or_default(), !whole)
    };
    // Certificates begin so as well, and are many.
    let head = of(&at.from[..at.from.len().min(LABEL_MAX / 3 * 4)]).0;
    // It does not begin again before its body.
    let next = &at.from[CODED.len()..at.from.len().min(CODED.len() + LABEL_MAX + 64)];
    let begins_again = memchr::memmem::find(next, CODED.as_bytes()).is_some();
    if begins_again || memchr::memmem::find(&head, b" PRIVATE KEY").is_none() {
        return false;
    }
    let (text, cut) = of(at.from);
    text.starts_with(b"-----BEGIN ")
        && pem(&Place { before: at.before, from: &text, goes_on: cut && at.goes_on })
}

/// PEM's older encryption (RFC 1421): the body is no ASN.1.
fn is_encrypted(text: &[u8]) -> bool {
    let head = &text[..text.len().min(120)];
    memchr::memmem::find(head, b"Proc-Type: 4,ENCRYPTED").is_some()
}

/// The text without a line end at its start, where there is one, and without headers.
fn after_headers(text: &[u8]) -> &[u8] {
    let mut text = line_end(text).unwrap_or_else(|| without_blanks(text));
    for _ in 0..8 {
        let head = &text[..text.len().min(HEADER_MAX)];
        let Some(end) = head.iter().position(|byte| matches!(byte, b'\n' | b'\\')) else { break };
        let line = &text[..end];
        let is_header = line.contains(&b':') || line.trim_ascii().is_empty();
        let Some(next) = line_end(&text[end..]).filter(|_| is_header) else { break };
        text = next;
    }
    text
}

/// The text without the blanks and carriage returns that it begins with.
fn without_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\r')).unwrap_or(text.len());
    &text[start..]
}

/// What follows a line end, real or written.
fn line_end(text: &[u8]) -> Option<&[u8]> {
    let text = without_blanks(text);
    let text = text.strip_prefix(b"\\r").unwrap_or(text);
    // Escaped as often as a text was put into another.
    let escapes = text.iter().position(|byte| *byte != b'\\')?;
    match text.get(escapes)? {
        b'\n' if escapes < 2 => Some(&text[escapes + 1..]),
        b'n' if escapes > 0 => Some(&text[escapes + 1..]),
        // `\\r\\n`
        b'r' if escapes > 1 => line_end(&text[escapes + 1..]),
        _ => None,
    }
}

/// The digits of base 64 without line ends and padding, and whether something ends them.
fn digits(text: &[u8]) -> (Vec<u8>, bool) {
    let mut digits = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            byte if byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/') => digits.push(byte),
            // Written line ends, and a string that is put together of lines.
            b'\\' if matches!(text.get(at + 1), Some(b'n' | b'r')) => at += 1,
            b'\n' | b'\r' | b' ' | b'\t' | b'\\' | b'"' | b'\'' | b',' => {}
            _ => return (digits, true),
        }
        at += 1;
    }
    (digits, false)
}

/// Whether the last line of the same label follows, or as much of it as is there of a file that goes on.
fn ends(text: &[u8], label: &str, goes_on: bool) -> bool {
    let end = format!("-----END {label}-----");
    if memchr::memmem::find(text, end.as_bytes()).is_some() {
        return true;
    }
    let begun = memchr::memchr(b'-', text).map_or(&[][..], |at| &text[at..]);
    goes_on && end.as_bytes().starts_with(begun)
}

/// Whether bytes are a SEQUENCE that is as long as they are (or longer, where they are not all), of a number or a SEQUENCE.
fn is_sequence(bytes: &[u8], whole: bool) -> bool {
    let Some((0x30, length, rest)) = value(bytes) else { return false };
    let fits = if whole { length == rest.len() as u64 } else { length >= rest.len() as u64 };
    fits && matches!(rest.first(), Some(0x02 | 0x30))
}

pub(super) fn putty(at: &Place<'_>) -> bool {
    let lines = memchr::memmem::find(at.from, b"Private-Lines: ");
    let Some(text) = lines.map(|start| &at.from[start + b"Private-Lines: ".len()..]) else { return false };
    let Some(end) = memchr::memchr(b'\n', text) else { return false };
    let line = text[end + 1..].split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    line.len() >= 32
        && line.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

/// Bech32 of upper-case letters, with its checksum.
pub(super) fn age(at: &Place<'_>) -> bool {
    const DIGITS: &[u8; 32] = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    const PREFIX: &[u8] = b"AGE-SECRET-KEY-";
    let Some(word) = at.from.get(PREFIX.len() + 1..PREFIX.len() + 1 + 58) else { return false };
    let mut sum = 1;
    let expand = PREFIX.iter().map(u8::to_ascii_lowercase);
    let expanded = expand
        .clone()
        .map(|byte| u32::from(byte >> 5))
        .chain([0])
        .chain(expand.map(|byte| u32::from(byte & 31)));
    for value in expanded {
        sum = step(sum, value);
    }
    for byte in word {
        let Some(digit) = DIGITS.iter().position(|digit| digit == byte) else { return false };
        sum = step(sum, digit as u32);
    }
    sum == 1
}

/// One step of Bech32's checksum (BIP 173).
fn step(sum: u32, value: u32) -> u32 {
    let generator = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = sum >> 25;
    let low = (sum & 0x1ff_ffff) << 5 ^ value;
    generator
        .iter()
        .enumerate()
        .fold(low, |sum, (bit, number)| if top >> bit & 1 == 1 { sum ^ number } else { sum })
}

/// What a whole file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// A private key in DER.
    Key,
    /// PKCS#12 (RFC 7292), which may hold nothing but certificates.
    Pkcs12,
}

/// Bytes of a file that tell what it is.
pub(super) const HEAD: usize = 64;

/// Whether a file of `size` bytes is a key in DER: PKCS#1, SEC 1, PKCS#8 (RFC 5958) also encrypted; or PKCS#12.
pub(super) fn container(head: &[u8], size: u64) -> Option<Container> {
    let (0x30, length, rest) = value(head)? else { return None };
    if (head.len() - rest.len()) as u64 + length != size {
        return None;
    }
    // Object identifiers of rsaEncryption and its kin, of DSA, of elliptic curves, and of Ed25519 and its kin.
    let is_algorithm = |text: &[u8]| {
        let starts: [&[u8]; 4] = [
            b"\x2a\x86\x48\x86\xf7\x0d\x01\x01",
            b"\x2a\x86\x48\xce\x38\x04\x01",
            b"\x2a\x86\x48\xce\x3d\x02\x01",
            b"\x2b\x65",
        ];
        starts.iter().any(|start| text.starts_with(start))
    };
    let algorithm = |text| {
        let (0x30, _, inner) = value(text)? else { return None };
        let (0x06, _, name) = value(inner)? else { return None };
        Some(name)
    };
    if let Some(name) = algorithm(rest) {
        // PBES2, and the older ones of PKCS#5 and PKCS#12.
        let encrypted: [&[u8]; 2] =
            [b"\x2a\x86\x48\x86\xf7\x0d\x01\x05", b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01"];
        return encrypted.iter().any(|start| name.starts_with(start)).then_some(Container::Key);
    }
    match rest {
        // PKCS#8; PKCS#1, where the modulus follows; SEC 1, where the number follows.
        [2, 1, 0 | 1, rest @ ..] if algorithm(rest).is_some_and(is_algorithm) => Some(Container::Key),
        [2, 1, 0, 2, 0x81, 0x40..=0xff, ..]
        | [2, 1, 0, 2, 0x82, 1..=8, ..]
        | [2, 1, 1, 4, 0x1c..=0x42, ..] => Some(Container::Key),
        _ if is_pkcs12(head) => Some(Container::Pkcs12),
        _ => None,
    }
}

/// Whether a file may be PKCS#12: all of it is needed to know whether it has a key.
pub(super) fn is_pkcs12(head: &[u8]) -> bool {
    value(head).is_some_and(|(tag, _, rest)| tag == 0x30 && rest.starts_with(&[2, 1, 3, 0x30]))
}

/// Whether PKCS#12 has a bag of a key, whose kind stands in the open where the bag does.
pub(super) fn has_key(content: &[u8]) -> bool {
    // `1.2.840.113549.1.12.10.1`: 1 is a key, 2 an encrypted one.
    let kinds = memchr::memmem::find_iter(content, b"\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x0a\x01");
    kinds.into_iter().any(|at| matches!(content.get(at + 12), Some(1 | 2)))
}

/// Tag, length and what follows the two, of DER.
fn value(text: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (tag, rest) = text.split_first()?;
    let (first, rest) = rest.split_first()?;
    match first {
        0..=0x7f => Some((*tag, u64::from(*first), rest)),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            Some((*tag, length.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)), rest))
        }
        _ => None,
    }
}
