//! What was sent in confidence, so that nobody prints it who only repeats what a server says.
//!
//! A server may put what it was given into whatever it answers: into the reason of a refusal, a media type, an address. Everything that
//! a [`Client`](super::Client) has sent as credentials is remembered as long as the client lives, and words of servers are looked
//! through for it before they are shown: for the whole of it in any case of its letters, for the base64 of a password, and for any long
//! part of it, since servers shorten what they repeat.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Auth;
use super::Secret;

/// Parts of a secret of this length are known again, in bytes.
const PART: usize = 16;
/// What is shorter is no part of an address by more than chance.
const MIN_IN_ADDRESS: usize = 8;
/// Most secrets that are remembered; a client that uses more has no words of servers shown.
const MAX: usize = 1_000;

/// Secrets that were sent.
#[derive(Default)]
pub(super) struct Secrets(Mutex<BTreeSet<Secret>>);

impl Secrets {
    /// Remembers what a request proves itself by.
    pub(super) fn sent(&self, auth: &Auth) {
        match auth {
            Auth::None => {}
            Auth::Basic { user, password } => {
                // Without padding, which those leave out who repeat it.
                let pair = STANDARD_NO_PAD.encode(format!("{user}:{}", password.expose()));
                self.keep(&Secret::new(pair));
                self.keep(&Secret::new(STANDARD_NO_PAD.encode(password.expose())));
                self.keep(password);
            }
            Auth::Bearer(token) => self.keep(token),
        }
    }

    /// Remembers a text.
    pub(super) fn keep(&self, secret: &Secret) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !secret.expose().is_empty() && kept.len() <= MAX && !kept.contains(secret) {
            kept.insert(secret.clone());
        }
    }

    /// Whether words hold one.
    pub(super) fn are_in(&self, words: &str) -> bool {
        self.any(words, 1)
    }

    /// Whether what is shown of an address holds one: a short password is a part of many.
    pub(super) fn are_in_address(&self, shown: &str) -> bool {
        self.any(shown, MIN_IN_ADDRESS)
    }

    /// Words of a server as they may be shown.
    pub(super) fn told(&self, words: &str) -> String {
        if self.are_in(words) {
            "what it says is not shown, since a secret is in it".into()
        } else {
            words.to_owned()
        }
    }

    fn any(&self, text: &str, least: usize) -> bool {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = text.to_ascii_lowercase();
        let parts: HashSet<&[u8]> = text.as_bytes().windows(PART).collect();
        kept.len() > MAX
            || kept.iter().map(Secret::expose).filter(|secret| secret.len() >= least).any(|secret| {
                let secret = secret.to_ascii_lowercase();
                text.contains(&secret)
                    || secret.as_bytes().chunks_exact(PART).any(|part| parts.contains(part))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_again_however_it_is_repeated() {
        let secrets = Secrets::default();
        let words = [
            "Basic bWU6czNjcmV0LXBhc3N3b3Jk is wrong",
            "password S3CRET-password is wrong",
            "`czNjcmV0LXBhc3N3b3Jk`",
            "token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl",
            "the token begins with eyJhbGciOiJFUzI1NiJ9.eyJzdWIiO…",
        ];
        for words in words {
            assert!(!secrets.are_in(words), "nothing was sent");
        }
        secrets.sent(&Auth::Basic { user: "me".into(), password: Secret::new("s3cret-password") });
        secrets.sent(&Auth::Bearer(Secret::new("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl")));
        for words in words {
            assert!(secrets.are_in(words), "{words}");
        }
        for words in ["requested access to the resource is denied", "me", "eyJhbGciOi", ""] {
            assert!(!secrets.are_in(words), "{words}");
        }
    }

    #[test]
    fn a_short_password_hides_words_but_stands_in_many_addresses() {
        let secrets = Secrets::default();
        secrets.sent(&Auth::Basic { user: "me".into(), password: Secret::new("v2") });
        assert!(secrets.are_in("no such path: v2/name"));
        assert!(!secrets.are_in_address("https://registry.example/v2/name"));
        secrets.sent(&Auth::Bearer(Secret::new("longer-token")));
        assert!(secrets.are_in_address("https://registry.example/longer-token/x"));
    }
}
