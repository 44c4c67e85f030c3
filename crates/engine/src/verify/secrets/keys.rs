//! Private keys with their body: PEM (RFC 7468, and the older forms), OpenSSH's, PuTTY's, age's.
//!
//! Programs and documents hold the first lines of keys as words; a key has a body of base 64 that is what its first line
//! says. Line ends may be written as `\n`, as in JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::tokens::Place;

/// Labels of private keys, and what their body is.
const LABELS: [(&str, Body); 8] = [
    ("PRIVATE KEY", Body::Sequence),
    ("RSA PRIVATE KEY", Body::Sequence),
    ("EC PRIVATE KEY", Body::Sequence),
    ("DSA PRIVATE KEY", Body::Sequence),
    ("ENCRYPTED PRIVATE KEY", Body::Sequence),
    ("OPENSSH PRIVATE KEY", Body::OpenSsh),
    ("PGP PRIVATE KEY BLOCK", Body::OpenPgp),
    ("ENCRYPTED COSIGN PRIVATE KEY", Body::Any),
];

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
    let Some(text) = after_headers(text) else { return false };
    let (digits, whole) = digits(text);
    if digits.len() < 64 || whole && !ends(text, label) {
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

/// PEM's older encryption (RFC 1421): the body is no ASN.1.
fn is_encrypted(text: &[u8]) -> bool {
    let head = &text[..text.len().min(120)];
    memchr::memmem::find(head, b"Proc-Type: 4,ENCRYPTED").is_some()
}

/// The text without a line end at its start, which must be there, and without headers.
fn after_headers(text: &[u8]) -> Option<&[u8]> {
    let mut text = line_end(text)?;
    for _ in 0..8 {
        let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\\')).unwrap_or(text.len());
        let line = &text[..end];
        if line.contains(&b':') || line.trim_ascii().is_empty() && end < text.len() {
            text = line_end(&text[end..])?;
        } else {
            break;
        }
    }
    Some(text)
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
    text.strip_prefix(b"\n").or_else(|| text.strip_prefix(b"\\n")).or_else(|| text.strip_prefix(b"\\\n"))
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

/// Whether the last line of the same label follows.
fn ends(text: &[u8], label: &str) -> bool {
    memchr::memmem::find(text, format!("-----END {label}-----").as_bytes()).is_some()
}

/// Whether bytes are a SEQUENCE that is as long as they are (or longer, where they are not all), of a number or a SEQUENCE.
fn is_sequence(bytes: &[u8], whole: bool) -> bool {
    let [0x30, first, rest @ ..] = bytes else { return false };
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 if rest.len() > 3 => {
            let (length, rest) = rest.split_at(usize::from(first - 0x80));
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return false,
    };
    let fits = if whole { length == rest.len() } else { length >= rest.len() };
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
