//! Text from outside as a person sees it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use pinfold_base::Shown;
use pinfold_base::text;
use pinfold_base::text::is_hidden;

/// Any bytes as a name: what is shown hides nothing, is what it was when shown again, keeps to its columns when cut, and says as much
/// as it should; a word for the shell is one word; JSON means the same.
pub fn shown(bytes: &[u8]) {
    let columns = bytes.first().map_or(0, |&byte| usize::from(byte));
    let shown = Shown::bytes(bytes);
    let word = text::word(OsStr::from_bytes(bytes));
    let cut = shown.clone().within(columns);
    for text in [&shown, &word, &cut] {
        assert!(!text.as_str().chars().any(is_hidden), "{text:?} hides something");
        assert_eq!(&Shown::new(text.as_str()), text);
    }
    assert!(cut.columns() <= columns, "{cut:?} is wider than {columns}");
    assert!(shown.columns() > columns || cut == shown);
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        assert_eq!(shown.as_str().as_bytes(), bytes, "what is seen was changed");
    }
    assert_eq!(unquoted(word.as_str()), bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let value = serde_json::Value::from(text);
        let json = value.to_string();
        let seen = text::json(&json);
        assert!(!seen.chars().any(is_hidden));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&seen).expect("JSON"), value);
    }
}

/// What a shell makes of a word (POSIX.1-2024, 2.2 and 2.2.4), and a panic where it would see more than a word.
fn unquoted(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (inside, after) = quoted.split_once('\'').expect("a quote that ends");
            bytes.extend_from_slice(inside.as_bytes());
            rest = after;
        } else if let Some(escaped) = rest.strip_prefix("\\'") {
            bytes.push(b'\'');
            rest = escaped;
        } else if let Some(quoted) = rest.strip_prefix("$'") {
            rest = dollar(quoted, &mut bytes);
        } else {
            let c = rest.chars().next().expect("not empty");
            assert!(c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c), "{c:?} is not quoted");
            bytes.push(c as u8);
            rest = &rest[1..];
        }
    }
    bytes
}

/// The part after `$'`, up to its end; gives back what follows.
fn dollar<'a>(mut rest: &'a str, bytes: &mut Vec<u8>) -> &'a str {
    loop {
        if let Some(after) = rest.strip_prefix('\'') {
            return after;
        } else if let Some(escape) = rest.strip_prefix('\\') {
            if let Some(c @ (b'\'' | b'\\')) = escape.bytes().next() {
                bytes.push(c);
                rest = &escape[1..];
            } else {
                bytes.push(u8::from_str_radix(&escape[..3], 8).expect("three digits"));
                rest = &escape[3..];
            }
        } else {
            let c = rest.chars().next().expect("a quote that ends");
            assert!(c.is_ascii());
            bytes.push(c as u8);
            rest = &rest[1..];
        }
    }
}
