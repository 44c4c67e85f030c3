//! Small answers that are kept, so that the next time a server only says that nothing has changed.
//!
//! ```text
//! FOLDER/answer-HEX      HEX: SHA-256 of the address (no credentials) and of the media types
//!   {"version":1,"url":…,"etag":…,"last-modified":…,"sha256":…}\n BODY
//! ```
//!
//! **Guarantees**: a kept body is used only after the server has said so (RFC 9110, section 13), or on a client that may not ask
//! anybody; it is hashed before. Whoever gets it checks it as if it had just come.
//! **Refuses**: files that are damaged, of another address or too long: the server is asked as if there were none.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use serde::Deserialize;
use serde::Serialize;

use super::SafeUrl;
use crate::digest::Digest;
use crate::store::Store;

/// How names of these files begin.
const PREFIX: &str = "answer-";

/// Longest first line.
const HEAD_MAX: usize = 16 << 10;

const VERSION: u32 = 1;

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

fn path(folder: &Path, url: &str, accept: Option<&str>) -> PathBuf {
    let name = Digest::sha256(format!("{url}\n{}", accept.unwrap_or_default()).as_bytes());
    folder.join(format!("{PREFIX}{}", name.hex()))
}

/// What was kept for an address.
pub(super) fn read(folder: &Path, url: &SafeUrl, accept: Option<&str>, limit: u64) -> Option<Kept> {
    let url = url.without_secrets().to_string();
    let path = path(folder, &url, accept);
    if fs::metadata(&path).ok()?.len() > limit.saturating_add(HEAD_MAX as u64) {
        return None;
    }
    let mut bytes = fs::read(&path).ok()?;
    let end = bytes.iter().take(HEAD_MAX).position(|byte| *byte == b'\n')?;
    let head: Head = serde_json::from_slice(&bytes[..end]).ok()?;
    let body = bytes.split_off(end + 1);
    let good = head.version == VERSION
        && head.url == url
        && body.len() as u64 <= limit
        && Digest::sha256(&body) == head.sha256;
    let validators = Validators { etag: head.etag, last_modified: head.last_modified };
    good.then_some(Kept { validators, body })
}

/// Keeps an answer. It is only saving time: failures are no matter.
pub(super) fn keep(
    store: &Store,
    folder: &Path,
    url: &SafeUrl,
    accept: Option<&str>,
    validators: Validators,
    body: &[u8],
) {
    let url = url.without_secrets().to_string();
    let path = path(folder, &url, accept);
    let Validators { etag, last_modified } = validators;
    let head = Head { version: VERSION, url, etag, last_modified, sha256: Digest::sha256(body) };
    let Ok(mut bytes) = serde_json::to_vec(&head) else { return };
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    if let Err(error) = store.write(&path, &bytes) {
        tracing::debug!(url = head.url, %error, "the answer is not kept");
    }
}
