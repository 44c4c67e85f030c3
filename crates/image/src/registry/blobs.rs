//! A repository as a place that images are read from.
//!
//! ```text
//! open_part ─ index, manifest ─► GET manifests/DIGEST ─┐ verified, kept       deliver ─► download into a store, resumed
//!           ├ configuration   ─► GET blobs/DIGEST ─────┘
//!           └ anything else   ─► GET blobs/DIGEST as it comes, gone on with where the line breaks
//! ```
//!
//! **Guarantees**: nothing is asked for before it is wanted, and a document once; documents are verified before anybody sees them,
//! everything else by whoever reads it to its end. Of several repositories the first that has something gives it.
//! **Refuses**: documents of more than 4 MiB.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::io::Cursor;
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Digest;
use pinfold_base::Reporter;
use pinfold_base::Store;
use pinfold_base::http::Attempts;

use super::Client;
use super::RegistryError;
use super::Which;
use crate::ImageError;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::VerifiedReader;
use crate::blobs::unwrap_io;
use crate::blobs::wrap;
use crate::model::Descriptor;
use crate::model::Found;
use crate::model::MAX_DOCUMENT;
use crate::model::media;
use crate::sink::is_document;

/// Most bytes of documents that are kept.
const MAX_KEPT: usize = 64 << 20;
/// How often one blob is gone on with.
const MAX_REQUESTS: u32 = 200;

/// Repositories that have an image, in the order in which they are asked.
pub struct RegistryBlobs {
    clients: Vec<Client>,
    documents: Mutex<BTreeMap<Digest, Arc<[u8]>>>,
}

impl fmt::Debug for RegistryBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBlobs").field("clients", &self.clients).finish_non_exhaustive()
    }
}

impl RegistryBlobs {
    /// The repositories of these clients.
    pub fn new(clients: Vec<Client>) -> Self {
        Self { clients, documents: Mutex::default() }
    }

    /// The same, with a document that was read already.
    #[must_use]
    pub fn with(self, found: &Found) -> Self {
        self.keep(&found.descriptor.digest, &found.bytes);
        self
    }

    fn keep(&self, digest: &Digest, bytes: &[u8]) -> Arc<[u8]> {
        let bytes: Arc<[u8]> = bytes.into();
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = documents.values().map(|bytes| bytes.len()).sum();
        if kept + bytes.len() <= MAX_KEPT {
            documents.insert(digest.clone(), bytes.clone());
        }
        bytes
    }

    fn kept(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// What the first repository has that has it. Of several failures the first is told.
    fn first<T>(
        &self,
        digest: &Digest,
        ask: impl Fn(&Client) -> Result<Option<T>, RegistryError>,
    ) -> Result<T, ImageError> {
        let mut failed = None;
        for client in &self.clients {
            match ask(client) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) | Err(RegistryError::Missing { .. }) => {}
                // What this machine fails at would fail with the next one, too.
                Err(error @ (RegistryError::Io(_) | RegistryError::Store(_))) => return Err(error.into()),
                Err(error) => {
                    tracing::debug!(%error, host = client.host(), "not had from here");
                    failed.get_or_insert(error);
                }
            }
        }
        Err(match failed {
            Some(error) => error.into(),
            None => ImageError::MissingBlob { digest: digest.clone(), place: self.location() },
        })
    }

    /// An index or a manifest.
    fn document(&self, part: &Descriptor) -> Result<Arc<[u8]>, ImageError> {
        let which = Which::Digest(part.digest.clone());
        let found = self.first(&part.digest, |client| client.get_manifest(&which, Some(part)))?;
        Ok(self.keep(&part.digest, &found.bytes))
    }

    /// A configuration.
    fn configuration(&self, part: &Descriptor) -> Result<Arc<[u8]>, ImageError> {
        let bytes = self.first(&part.digest, |client| {
            let mut bytes = Vec::new();
            let content = Resumed::open(client, part)?;
            VerifiedReader::new(content, part.digest.clone(), part.size)
                .read_to_end(&mut bytes)
                .map_err(unwrap_io)?;
            Ok(Some(bytes))
        })?;
        Ok(self.keep(&part.digest, &bytes))
    }
}

impl Blobs for RegistryBlobs {
    fn location(&self) -> String {
        match self.clients.first() {
            Some(client) => format!("docker://{}/{}", client.host(), client.repository()),
            None => "no registry".into(),
        }
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        if let Some(bytes) = self.kept(digest) {
            return Ok(whole(bytes));
        }
        self.first(digest, |client| {
            let Some(size) = client.head_blob(digest)? else { return Ok(None) };
            let blob = Descriptor::new("application/octet-stream", digest.clone(), size);
            Ok(Some((Box::new(Resumed::open(client, &blob)?) as BlobRead, size)))
        })
    }

    fn open_part(&self, blob: &Descriptor) -> Result<(BlobRead, u64), ImageError> {
        if let Some(bytes) = self.kept(&blob.digest) {
            return Ok(whole(bytes));
        }
        if is_document(blob) || is_configuration(blob) {
            if blob.size > MAX_DOCUMENT {
                let what = format!("document {} of {}", blob.digest, self.location());
                return Err(ImageError::TooLarge { what, size: blob.size, limit: MAX_DOCUMENT });
            }
            return Ok(whole(if is_document(blob) {
                self.document(blob)?
            } else {
                self.configuration(blob)?
            }));
        }
        self.first(&blob.digest, |client| {
            Ok(Some((Box::new(Resumed::open(client, blob)?) as BlobRead, blob.size)))
        })
    }

    fn deliver(&self, blob: &Descriptor, to: &Store, reporter: &dyn Reporter) -> Result<bool, ImageError> {
        if is_document(blob) {
            return Ok(false);
        }
        let what = format!("blob {}", blob.digest.short());
        if let Some(bytes) = self.kept(&blob.digest) {
            to.put(&what, &bytes)?;
            return Ok(true);
        }
        self.first(&blob.digest, |client| client.download(blob, &what, to, reporter).map(Some))
    }
}

fn is_configuration(part: &Descriptor) -> bool {
    [media::OCI_CONFIG, media::DOCKER_CONFIG].contains(&part.media_type.as_str())
}

/// All of a small blob, gone on with where the line breaks, and held to its digest.
pub fn whole_blob(client: &Client, blob: &Descriptor) -> Result<Vec<u8>, RegistryError> {
    let mut bytes = Vec::new();
    Resumed::open(client, blob)?.read_to_end(&mut bytes)?;
    let digest = Digest::sha256(&bytes);
    if digest != blob.digest {
        return Err(client.lied(&format!("blob {}", blob.digest), format!("it is {digest}")));
    }
    Ok(bytes)
}

/// A reader of what is in memory.
fn whole(bytes: Arc<[u8]>) -> (BlobRead, u64) {
    let size = bytes.len() as u64;
    (Box::new(Cursor::new(bytes)), size)
}

/// A blob as it comes, unverified, over as many connections as it takes.
struct Resumed {
    client: Client,
    blob: Descriptor,
    content: BlobRead,
    at: u64,
    attempts: Attempts,
    requests: u32,
    /// How long this connection was waited for, and what it gave.
    waited: Duration,
    came: u64,
}

impl Resumed {
    fn open(client: &Client, blob: &Descriptor) -> Result<Self, RegistryError> {
        let content = client.get_blob(blob, 0)?;
        Ok(Self {
            client: client.clone(),
            blob: blob.clone(),
            content,
            at: 0,
            attempts: client.attempts(),
            requests: 1,
            waited: Duration::ZERO,
            came: 0,
        })
    }
}

impl Read for Resumed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let begun = Instant::now();
            let read = self.content.read(buf);
            self.waited += begun.elapsed();
            let error = match read {
                Ok(n) => {
                    (self.at, self.came) = (self.at + n as u64, self.came + n as u64);
                    return Ok(n);
                }
                Err(error) => error,
            };
            // What is longer than it should be does not get shorter.
            let passes = !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::InvalidData);
            if !passes {
                return Err(error);
            }
            let (waited, came) = (std::mem::take(&mut self.waited), std::mem::take(&mut self.came));
            if self.requests >= MAX_REQUESTS || !self.attempts.again(waited, came, None) {
                let (what, host) = (format!("blob {}", self.blob.digest), self.client.place());
                let reason = error.to_string();
                return Err(wrap(RegistryError::Broken { what, host, reason }.into()));
            }
            self.requests += 1;
            self.content = self.client.get_blob(&self.blob, self.at).map_err(|error| wrap(error.into()))?;
        }
    }
}

#[cfg(test)]
mod tests;
