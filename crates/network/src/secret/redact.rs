//! Takes a key out of what comes back: in headers, and in bodies as they stream past.
//!
//! A provider may echo the key (an error that quotes it, a debugging header). In a body each occurrence is overwritten with
//! as many `*`, so lengths stay right. Only a tail that may be the beginning of the key is held back, so events pass
//! without delay. The key is looked for as it is, in base64, in hexadecimal and percent-encoded.

use crate::secret::Secret;

/// Shorter keys are not looked for in bodies: they would be found by chance.
const KEY_MIN: usize = 8;

/// Looks for one key.
#[derive(Default)]
pub(crate) struct Redactor {
    patterns: Vec<Box<[u8]>>,
    held: Vec<u8>,
}

impl Redactor {
    pub(crate) fn new(secret: &Secret) -> Self {
        let key = secret.expose();
        let mut patterns: Vec<Box<[u8]>> = Vec::new();
        if key.len() >= KEY_MIN {
            for form in [key.to_vec(), base64(key), hex(key), percent(key)] {
                if !patterns.iter().any(|pattern| **pattern == *form) {
                    patterns.push(form.into());
                }
            }
        }
        Self { patterns, held: Vec::new() }
    }

    /// Whether the bytes hold the key in any form.
    pub(crate) fn finds(&self, bytes: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| bytes.windows(pattern.len()).any(|window| window == &**pattern))
    }

    /// Takes the next bytes of a body and appends what can be passed on.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.patterns.is_empty() {
            out.extend_from_slice(bytes);
            return;
        }
        let joined;
        let bytes = if self.held.is_empty() {
            bytes
        } else {
            joined = [&std::mem::take(&mut self.held), bytes].concat();
            &joined
        };
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let like = || self.patterns.iter().filter(|pattern| pattern[0] == rest[0]);
            if let Some(pattern) = like().find(|pattern| rest.starts_with(pattern)) {
                out.resize(out.len() + pattern.len(), b'*');
                at += pattern.len();
                continue;
            }
            if like().any(|pattern| pattern.starts_with(rest)) {
                self.held = rest.to_vec();
                return;
            }
            out.push(rest[0]);
            at += 1;
        }
    }

    /// The body is over: what was held back is no key.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }
}

fn base64(key: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::with_capacity(key.len() * 4 / 3);
    // The last group depends on what follows the key, so only whole groups are looked for.
    for group in key.chunks_exact(3) {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        text.extend([18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift & 63) as usize]));
    }
    text
}

fn hex(key: &[u8]) -> Vec<u8> {
    key.iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| b"0123456789abcdef"[usize::from(digit)])
        .collect()
}

fn percent(key: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(key.len());
    for &byte in key {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(byte);
        } else {
            text.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redactor(key: &str) -> Redactor {
        Redactor::new(&Secret::new(key.as_bytes()).unwrap())
    }

    fn redact(key: &str, pieces: &[&[u8]]) -> String {
        let mut redactor = redactor(key);
        let mut out = Vec::new();
        for piece in pieces {
            redactor.feed(piece, &mut out);
        }
        redactor.finish(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_key_is_overwritten_in_each_form() {
        let key = "sk-canary/1234";
        // By `printf %s KEY | base64`, `xxd -p`, and `jq -rR @uri`.
        for form in ["sk-canary/1234", "c2stY2FuYXJ5LzEy", "736b2d63616e6172792f31323334", "sk-canary%2F1234"]
        {
            let text = redact(key, &[b"<", form.as_bytes(), b">"]);
            assert_eq!(text, format!("<{}>", "*".repeat(form.len())));
        }
        assert_eq!(
            redact(key, &[b"sk-canary/123", b"5 sk-sk-canary/1234"]),
            "sk-canary/1235 sk-**************"
        );
        assert!(redactor(key).finds(b"x-debug: sk-canary/1234"));
        assert!(!redactor(key).finds(b"x-debug: sk-canary"));
    }

    #[test]
    fn events_are_not_held_back() {
        let mut redactor = redactor("sk-canary-1234");
        let mut out = Vec::new();
        redactor.feed(b"data: {}\n\n", &mut out);
        assert_eq!(out, b"data: {}\n\n");
        redactor.feed(b"data: sk-", &mut out);
        assert_eq!(out.len(), 16);
        redactor.finish(&mut out);
        assert_eq!(out.len(), 19);
    }

    proptest! {
        /// Cut anywhere, the key never comes out, the length stays, and all else is unchanged.
        #[test]
        fn cut_anywhere(before in "[sk-]{0,12}", after in "[sk-]{0,12}", cut in 1usize..12) {
            let key = "sk-sk-canary";
            let text = format!("{before}{key}{after}{key}");
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(redact(key, &pieces), text.replace(key, &"*".repeat(key.len())));
        }
    }
}
