//! Small answers that are kept, so that the next time a server only says that nothing has changed.
//!
//! ```text
//! FOLDER/answer-HEX      HEX: SHA-256 of the address, of the media types and of whoever asks
//!   {"version":2,"url":…,"etag":…,"last-modified":…,"sha256":…}\n BODY
//! ```
//!
//! **Guarantees**: a body is kept only when whoever asked found it right ([`Unjudged`]), so no page of a captive portal is; it is
//! used only after the server has said so (RFC 9110, section 13), or on a client that may not ask anybody; it is hashed before, and
//! judged as if it had just come. Credentials are part of the name alone: what one was told no other is given.
//! **Refuses**: files that are damaged, of another address or too long: the server is asked as if there were none.

use std::path::PathBuf;

use fs_err as fs;
use serde::Deserialize;
use serde::Serialize;

use super::Auth;
use super::SafeUrl;
use crate::digest::Digest;
use crate::store::Store;

/// How names of these files begin.
const PREFIX: &str = "answer-";

/// Longest first line.
const HEAD_MAX: usize = 16 << 10;

const VERSION: u32 = 2;

/// What a server knows its answer again by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Validators {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// An answer of before.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) validators: Validators,
    pub(super) body: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Head {
    version: u32,
    url: String,
    #[serde(default)]
    etag: Option<String>,
    #[serde(default)]
    last_modified: Option<String>,
    sha256: Digest,
}

/// Where the answer to one question is kept.
#[derive(Clone, Debug)]
pub(super) struct Place {
    store: Store,
    path: PathBuf,
    url: String,
}

impl Place {
    pub(super) fn new(
        (store, folder): &(Store, PathBuf),
        url: &SafeUrl,
        accept: Option<&str>,
        auth: &Auth,
    ) -> Self {
        let login = url.auth().header().or_else(|| auth.header()).unwrap_or_default();
        let request = url.request_text();
        let question = format!("{}\n{}\n{}", request.expose(), accept.unwrap_or_default(), login.expose());
        let name = format!("{PREFIX}{}", Digest::sha256(question.as_bytes()).hex());
        Self { store: store.clone(), path: folder.join(name), url: url.without_secrets().to_string() }
    }

    fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// An answer that nobody has looked at yet. Where it is kept, that is only when it turns out right.
#[derive(Clone, Debug)]
#[must_use = "an answer is kept or forgotten by how it is judged"]
pub struct Unjudged {
    pub(super) bytes: Vec<u8>,
    standing: Standing,
}

#[derive(Clone, Debug)]
enum Standing {
    /// It came now, and would be kept there.
    New(Place, Validators),
    /// It is kept there, and the server has said now that it is still right.
    Confirmed(Place),
    /// Nothing is kept of it, or nobody could be asked.
    Fixed,
}

impl Unjudged {
    /// An answer of which nothing is kept.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, standing: Standing::Fixed }
    }

    pub(super) fn came(bytes: Vec<u8>, validators: Validators, place: Option<Place>) -> Self {
        Self { bytes, standing: place.map_or(Standing::Fixed, |place| Standing::New(place, validators)) }
    }

    pub(super) fn confirmed(bytes: Vec<u8>, place: Option<Place>) -> Self {
        Self { bytes, standing: place.map_or(Standing::Fixed, Standing::Confirmed) }
    }

    /// Reads the answer. It is kept when that succeeds; when it does not, it is not kept any more.
    pub fn judge<T, E>(self, read: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<T, E> {
        let found = read(&self.bytes);
        match (&found, self.standing) {
            (Ok(_), Standing::New(place, validators)) => keep(&place, validators, &self.bytes),
            (Err(_), Standing::Confirmed(place)) => place.forget(),
            _ => {}
        }
        found
    }
}

/// What was kept.
pub(super) fn read(place: &Place, limit: u64) -> Option<Kept> {
    let Place { path, url, .. } = place;
    if fs::metadata(path).ok()?.len() > limit.saturating_add(HEAD_MAX as u64) {
        return None;
    }
    let mut bytes = fs::read(path).ok()?;
    let end = bytes.iter().take(HEAD_MAX).position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let body = bytes.split_off(end + 1);
    let good = head.version == VERSION
        && head.url == *url
        && body.len() as u64 <= limit
        && Digest::sha256(&body) == head.sha256;
    let validators = Validators { etag: head.etag, last_modified: head.last_modified };
    good.then_some(Kept { validators, body })
}

/// Keeps an answer. It is only saving time: failures are no matter.
fn keep(place: &Place, validators: Validators, body: &[u8]) {
    let (path, url) = (&place.path, place.url.clone());
    let Validators { etag, last_modified } = validators;
    let head = Head { version: VERSION, url, etag, last_modified, sha256: Digest::sha256(body) };
    let Ok(mut bytes) = serde_json::to_vec(&head) else { return };
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    if let Err(error) = place.store.write(path, &bytes) {
        tracing::debug!(url = head.url, %error, "the answer is not kept");
    }
}
