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
/// Last words of names whose value is a secret.
const LAST: [&str; 3] = ["PASS", "PWD", "PW"];
/// Names of directories that end like those.
const DIRECTORIES: [&str; 2] = ["PWD", "OLDPWD"];
/// Ends of names that say something about a secret, and are none: where it is, how long, whose.
const ABOUT: [&str; 21] = [
    "_SHA256",
    "_SHA512",
    "_HASH",
    "_DIGEST",
    "_CHECKSUM",
    "_FINGERPRINT",
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

const RANDOM: &str = "a value that looks drawn at random";

/// A variable, a label, a line of an `.env`.
pub(super) fn variable(scanner: &Scanner, name: &str, value: &str) -> Option<&'static str> {
    named(scanner, name, value).or_else(|| is_random(value).then_some(RANDOM))
}

/// A variable whose value is judged by its name and by its form, but not by how random it looks.
pub(super) fn named(scanner: &Scanner, name: &str, value: &str) -> Option<&'static str> {
    if let Some(found) = scanner.text(value.as_bytes()).first() {
        return Some(found.what);
    }
    let name = name.to_ascii_uppercase().replace(['-', '.'], "_");
    let last = |word: &str| name.rsplit('_').next() == Some(word) && !DIRECTORIES.contains(&name.as_str());
    let is_named = (NAMES.iter().any(|part| name.contains(part)) || LAST.iter().any(|word| last(word)))
        && !ABOUT.iter().any(|end| name.ends_with(end));
    if is_named && !is_fingerprint(&name, value) && is_secret(value) {
        return Some("a secret, as its name says");
    }
    if value.split([' ', ',', ';', '\t', '\n', '"', '\'']).any(has_password) {
        return Some("an address with a password");
    }
    is_jwt(value).then_some("a signed token (JWT)")
}

/// Whether it is the fingerprint of a key of OpenPGP, as images have of those that signed what they were made of.
fn is_fingerprint(name: &str, value: &str) -> bool {
    let of_key = ["GPG", "PGP", "SIGNING_KEY"].iter().any(|part| name.contains(part));
    of_key && value.len() == 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a character stands between words of a text.
pub(super) fn is_between(one: char) -> bool {
    one.is_whitespace() || matches!(one, ';' | '"' | '\'' | '`')
}

/// A text, by each word of it, and by the words that are `NAME=VALUE`.
pub(super) fn text(scanner: &Scanner, _: &str, text: &str) -> Option<&'static str> {
    if let Some(found) = scanner.text(text.as_bytes()).first() {
        return Some(found.what);
    }
    let mut words = text.split(is_between).filter(|word| !word.is_empty());
    words.find_map(|word| {
        let (name, value) = word.split_once('=').unwrap_or(("", word));
        let found = named(scanner, name.trim_start_matches('-'), value);
        // `X-Key:VALUE`, `user:VALUE@host`
        found.or_else(|| word.split(['=', ':', '@', ',']).any(is_random).then_some(RANDOM))
    })
}

/// Words that stand for a secret, or say where it is.
const STANDS_FOR: [&str; 28] = [
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

/// Whether a value whose name says that it is one can be a secret: no reference to one, no words that stand for one, no number,
/// path, switch or digest.
pub(super) fn is_secret(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    // Base 64 may begin like a path.
    let is_path = || value.strip_prefix('/').is_some_and(|rest| !is_random(rest));
    let is_reference = value.contains("${")
        || value.starts_with(['$', '<', '{', '%', '~', '.', '[', '('])
        || value.contains("://")
        || is_path();
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let repeated = value.bytes().all(|byte| Some(byte) == value.bytes().next());
    value.len() >= 8
        && !value.contains(char::is_whitespace)
        && !is_reference
        && !is_plain
        && !repeated
        && !stands_for(value)
        && !is_sum(value)
        && entropy(value.as_bytes()) > 2.5
}

/// Whether a value is made of words that stand for a secret: it has one, and nothing beside that looks made up.
fn stands_for(value: &str) -> bool {
    let mut left = value.to_ascii_lowercase();
    let mut has = false;
    for word in STANDS_FOR {
        if left.contains(word) {
            has = true;
            left = left.replace(word, " ");
        }
    }
    let made_up = |part: &str| {
        let part = part.as_bytes();
        let turns = part.windows(2).filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit()).count();
        part.len() >= 6 && (turns >= 2 || part.len() >= 20)
    };
    has && !left.split(|c: char| !c.is_ascii_alphanumeric()).any(made_up)
}

/// Whether it is a sum of something: it says of which kind.
fn is_sum(value: &str) -> bool {
    let integrity = ["sha256-", "sha384-", "sha512-"].iter().any(|start| value.starts_with(start));
    integrity || is_digest(value) || value.contains("@sha256:")
}

/// Whether it is what images say of themselves: digests, revisions, fingerprints, ids, versions.
fn is_public(value: &str) -> bool {
    let bare = value.trim_start_matches("0x");
    let hex =
        bare.bytes().all(|byte| byte.is_ascii_hexdigit()) && [32, 40, 56, 64, 96, 128].contains(&bare.len());
    let uuid = value.len() == 36 && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    hex || uuid || is_sum(value)
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
    // `index-url=https`
    let scheme = scheme.rsplit('=').next().unwrap_or_default();
    let authority = rest.split(['/', '?', '#', ' ']).next().unwrap_or_default();
    let Some((_, password)) = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')) else {
        return false;
    };
    let named = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    named
        && !password.is_empty()
        && !password.contains(['$', '<', '{', '*'])
        && !has_format(password)
        && !["password", "pass", "pwd", "secret", "token", "x", "xxx"].contains(&password)
}

/// Whether a text has a `%` that begins no character in hexadecimal (RFC 3986, 2.1): what is printed stands there.
fn has_format(text: &str) -> bool {
    let mut parts = text.split('%').skip(1);
    parts.any(|part| part.len() < 2 || !part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
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
