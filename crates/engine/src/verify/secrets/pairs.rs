//! Names with values: variables, labels, annotations; and texts of which some words are such.

use super::Scanner;
use super::entropy;
use super::is_digest;

/// What a name or a text has to do with secrets: what it is, or nothing.
pub(super) type Judge = fn(&Scanner, &str, &str) -> Option<&'static str>;

/// Parts of names whose value is a secret.
const NAMES: [&str; 14] = [
    "SECRET",
    "TOKEN",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "CREDENTIAL",
    "AUTH_KEY",
    "ENCRYPTION_KEY",
    "SIGNING_KEY",
    "CONNECTION_STRING",
];
/// Ends of names that say something about a secret, and are none: where it is, how long, whose.
const ABOUT: [&str; 15] = [
    "_FILE",
    "_PATH",
    "_DIR",
    "_URL",
    "_URI",
    "_HOST",
    "_NAME",
    "_ID",
    "_TYPE",
    "_MAX",
    "_TOKENS",
    "_LIMIT",
    "_HELPER",
    "_STORE",
    "_ENDPOINT",
];

/// A variable, a label, a line of an `.env`.
pub(super) fn variable(scanner: &Scanner, name: &str, value: &str) -> Option<&'static str> {
    named(scanner, name, value).or_else(|| is_random(value).then_some("a value that looks drawn at random"))
}

/// A variable whose value is judged by its name and by its form, but not by how random it looks.
pub(super) fn named(scanner: &Scanner, name: &str, value: &str) -> Option<&'static str> {
    if let Some(found) = scanner.text(value.as_bytes()).first() {
        return Some(found.what);
    }
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let is_named =
        NAMES.iter().any(|part| name.contains(part)) && !ABOUT.iter().any(|end| name.ends_with(end));
    if is_named && is_secret(value) {
        return Some("a secret, as its name says");
    }
    if has_password(value) {
        return Some("an address with a password");
    }
    is_jwt(value).then_some("a signed token (JWT)")
}

/// A text, by each word of it, and by the words that are `NAME=VALUE`.
pub(super) fn text(scanner: &Scanner, _: &str, text: &str) -> Option<&'static str> {
    if let Some(found) = scanner.text(text.as_bytes()).first() {
        return Some(found.what);
    }
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ';' | '"' | '\'' | '`'));
    let mut words = words.filter(|word| !word.is_empty());
    words.find_map(|word| {
        let (name, value) = word.split_once('=').unwrap_or(("", word));
        named(scanner, name.trim_start_matches('-'), value)
    })
}

/// Whether a value can be a secret: no reference to one, no word that stands for one, no number, path or switch.
pub(super) fn is_secret(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    let lower = value.to_ascii_lowercase();
    let stands_for = [
        "example",
        "changeme",
        "change-me",
        "change_me",
        "placeholder",
        "your",
        "dummy",
        "sample",
        "redacted",
        "insert",
        "secret",
        "password",
        "token",
        "todo",
        "test",
        "none",
        "null",
        "undefined",
        "true",
        "false",
        "file",
        "keyring",
        "disabled",
        "enabled",
        "not-needed",
        "sandbox",
        "proxy",
        "pinfold",
    ];
    let is_reference = value.contains("${")
        || value.starts_with(['$', '<', '{', '%', '/', '~', '.', '[', '('])
        || value.contains("://");
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let repeated = value.bytes().all(|byte| Some(byte) == value.bytes().next());
    value.len() >= 8
        && !value.contains(char::is_whitespace)
        && !is_reference
        && !is_plain
        && !repeated
        && !stands_for.iter().any(|word| lower.contains(word))
        && !is_public(value)
        && entropy(value.as_bytes()) > 2.5
}

/// Whether it is what images say of themselves: digests, revisions, fingerprints, ids, versions.
fn is_public(value: &str) -> bool {
    let bare = value.trim_start_matches("0x");
    let hex =
        bare.bytes().all(|byte| byte.is_ascii_hexdigit()) && [32, 40, 56, 64, 96, 128].contains(&bare.len());
    let uuid = value.len() == 36 && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let integrity = ["sha256-", "sha384-", "sha512-"].iter().any(|start| value.starts_with(start));
    hex || uuid || integrity || is_digest(value) || value.contains("@sha256:")
}

/// Whether a value is one long word that looks drawn at random.
fn is_random(value: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_');
    let has = |of: fn(&u8) -> bool| value.as_bytes().iter().any(of);
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
    // Paths and names have short parts.
    let longest = value.split(['/', '-', '_']).map(str::len).max().unwrap_or_default();
    value.len() >= 32
        && value.len() <= 512
        && longest >= 20
        && value.bytes().all(word)
        && mixed
        && !is_public(value)
        && entropy(value.as_bytes()) > 4.3
}

/// `scheme://user:password@host`.
pub(super) fn has_password(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
    let Some((_, password)) = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')) else {
        return false;
    };
    let named =
        scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'='));
    named
        && !password.is_empty()
        && !password.contains(['$', '<', '{', '%', '*'])
        && !["password", "pass", "pwd", "secret", "token", "x", "xxx"].contains(&password)
}

/// Three parts of base 64, of which the first two are objects of JSON and the last is no empty signature.
pub(super) fn is_jwt(value: &str) -> bool {
    use base64::Engine;
    let value = value.trim().trim_start_matches("Bearer ");
    let parts: Vec<&str> = value.split('.').collect();
    let object = |text: &str| {
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .unwrap_or_default();
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok()
    };
    value.len() < 8192 && parts.len() == 3 && parts[2].len() >= 20 && object(parts[0]) && object(parts[1])
}
