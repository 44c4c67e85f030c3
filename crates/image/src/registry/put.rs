//! Manifests and indexes into a repository.
//!
//! ```text
//! PUT ─ 400 of a document that is right ─► is it there? ─ no ─► a pause ─► PUT, three times at most
//!  └─ of a tag, refused ─► the tag names something else ─► tags cannot be moved there
//! ```
//!
//! Registries that write a document while another client sends the same one may read half of it, and refuse it: Debian's
//! `docker-registry` answers `DIGEST_INVALID`, or says that a part is missing whose mark is being written. So a refusal that says
//! something wrong of a document counts when it is said again.
//!
//! **Guarantees**: a document counts as taken when the registry says so, or names it by its digest.
//! **Refuses**: a registry that keeps a document under another digest.

use std::time::Duration;
use std::time::Instant;

use pinfold_base::Digest;
use pinfold_base::http::Attempts;
use pinfold_base::http::Content;
use pinfold_base::http::Method;

use super::RegistryError;
use super::Which;
use super::client::Access;
use super::client::Again;
use super::client::Call;
use super::client::Client;
use super::client::To;
use super::client::digest_header;
use super::client::manifest;

/// How often a document is sent again that the registry finds wrong.
const STUMBLES: u32 = 3;
/// How much longer a pause gets at most, so that two who failed together do not go on together.
const FURTHER: Duration = Duration::from_secs(5);
/// What registries say of a document when they have looked at it, or at its parts, while another client wrote the same.
const STUMBLED: [&str; 4] =
    ["DIGEST_INVALID", "MANIFEST_UNVERIFIED", "MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"];

impl Client {
    /// Puts a manifest or index under a tag or its digest.
    pub fn put_manifest(&self, which: &Which, media_type: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        let digest = Digest::sha256(bytes);
        let (mut stumbles, mut attempts) = (0, self.attempts());
        loop {
            match self.put_once(which, media_type, bytes, Again::Yes) {
                Err(error) if is_stumble(&error) && stumbles < STUMBLES => {
                    tracing::info!(%error, %digest, "the document is right: it is sent again");
                    if self.is_there(which, &digest) {
                        return Ok(());
                    }
                    if !apart(&mut attempts, None) {
                        return Err(error);
                    }
                    stumbles += 1;
                }
                Err(error) => return Err(self.kept(which, &digest, error)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// The same, without another attempt after a refusal.
    pub(super) fn put_once(
        &self,
        which: &Which,
        media_type: &str,
        bytes: &[u8],
        again: Again,
    ) -> Result<(), RegistryError> {
        let (what, path) = (manifest(which), format!("manifests/{which}"));
        let call = Call {
            method: Method::Put,
            to: To::Path(&path, &[]),
            accept: &[],
            headers: &[("content-type", media_type)],
            content: Content::Bytes(bytes),
            access: Access::Push,
        };
        let reply = self.call(&call, again)?;
        match reply.status() {
            200 | 201 => {
                let digest = Digest::sha256(bytes);
                match digest_header(&reply).filter(|told| *told != digest) {
                    Some(told) => Err(self.lied(&what, format!("it is {digest} and was kept as {told}"))),
                    None => Ok(()),
                }
            }
            413 => {
                let size = bytes.len() as u64;
                Err(RegistryError::TooLarge { what, host: self.place(), size, limit: None })
            }
            _ => Err(self.refused(&what, reply)),
        }
    }

    /// What a refusal means: of a tag that names something else, that it stays with that.
    pub(super) fn kept(&self, which: &Which, digest: &Digest, error: RegistryError) -> RegistryError {
        let Which::Tag(tag) = which else { return error };
        let said = match &error {
            RegistryError::Denied { said, .. }
            | RegistryError::Status { status: 400 | 405 | 409 | 412 | 422, said, .. } => said.clone(),
            _ => return error,
        };
        match self.head_manifest(which) {
            Ok(Some(found)) if found.digest != *digest => {
                RegistryError::TagStays { tag: tag.clone(), host: self.place(), said }
            }
            _ => error,
        }
    }

    /// Whether the registry names the document by its digest, as far as it can say.
    fn is_there(&self, which: &Which, digest: &Digest) -> bool {
        matches!(self.head_manifest(which), Ok(Some(found)) if found.digest == *digest)
    }
}

/// Pauses before another attempt, for another time than whoever failed at the same moment; false when patience is at its end.
pub(super) fn apart(attempts: &mut Attempts, asked: Option<Duration>) -> bool {
    let begun = Instant::now();
    if !attempts.again(Duration::ZERO, 0, asked) {
        return false;
    }
    std::thread::sleep(begun.elapsed().min(FURTHER).mul_f64(chance()));
    true
}

/// Some part of one, another each time.
fn chance() -> f64 {
    use std::hash::BuildHasher as _;
    let drawn = std::hash::RandomState::new().hash_one(std::process::id());
    f64::from(u8::try_from(drawn & 0xff).unwrap_or(0)) / 256.0
}

/// Whether a refusal may come of another client that sends the same document.
pub(super) fn is_stumble(error: &RegistryError) -> bool {
    let RegistryError::Status { status: 400, said, .. } = error else { return false };
    let said = said.to_string();
    STUMBLED.iter().any(|code| said.starts_with(code))
}
