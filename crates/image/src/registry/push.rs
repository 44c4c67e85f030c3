//! A registry as a sink.
//!
//! ```text
//! HEAD tag, HEAD digest ─ there ─► nothing        blobs, several at once ─► manifests, then the index, by digest ─► tag ─► HEAD tag
//!                                                                              what is attached (signatures, say) ┘
//! ```
//!
//! **Guarantees**: what something names is there before it, and the tag comes last: nobody sees half an image under it. An image that
//! is there already costs two requests and opens no blob. What the tag names afterwards is read again.
//! **Refuses**: a tag that names something else afterwards, since somebody else moved it meanwhile.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use pinfold_base::Digest;
use pinfold_base::report::Reporter;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use serde::Serialize;

use super::Which;
use super::client::Client;
use super::error::RegistryError;
use super::upload;
use super::upload::Came;
use crate::ImageError;
use crate::blobs::Blobs;
use crate::model::Descriptor;
use crate::sink::Sink;
use crate::sink::is_document;
use crate::sink::parts;
use crate::sink::several;

/// How often it is looked how much of a blob has been sent.
const TICK: Duration = Duration::from_millis(100);

/// How an image is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The tag that it gets; none where it is only to be had by its digest.
    pub tag: Option<String>,
    /// Repositories of the same registry that may have blobs of it.
    pub mount_from: Vec<String>,
    /// How many blobs are sent at once.
    pub parallel: usize,
}

impl Default for Sending {
    fn default() -> Self {
        Self { tag: None, mount_from: Vec::new(), parallel: 4 }
    }
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sent {
    /// Blobs that were sent, largest first.
    pub sent: Vec<Descriptor>,
    /// Blobs that the registry took from another repository of its own.
    pub mounted: Vec<Descriptor>,
    /// How many blobs were there.
    pub there: usize,
    /// Bytes of the blobs that were sent.
    pub bytes: u64,
    /// The image was there under its name, and nothing was done.
    pub unchanged: bool,
}

/// A step between an image and its name.
pub type BeforeTag<'a> = &'a (dyn Fn() -> Result<(), RegistryError> + Sync);

/// A repository that takes an image.
pub struct RegistrySink<'a> {
    client: &'a Client,
    how: &'a Sending,
    reporter: &'a dyn Reporter,
    before_tag: Option<BeforeTag<'a>>,
    told: Arc<Mutex<Sent>>,
    /// The document that came last: of a whole image, its root.
    last: Option<(Digest, Vec<u8>)>,
}

impl std::fmt::Debug for RegistrySink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistrySink").field("how", &self.how).finish_non_exhaustive()
    }
}

impl<'a> RegistrySink<'a> {
    /// Sends to the repository of a client.
    pub fn new(client: &'a Client, how: &'a Sending, reporter: &'a dyn Reporter) -> Self {
        Self { client, how, reporter, before_tag: None, told: Arc::default(), last: None }
    }

    /// Does something once all of the image is there, before it has its name. It is not done for an image that is there under its
    /// name already.
    #[must_use]
    pub fn before_tag(self, step: BeforeTag<'a>) -> Self {
        Self { before_tag: Some(step), ..self }
    }

    /// What was done, for whoever gives the sink away.
    pub fn told(&self) -> Arc<Mutex<Sent>> {
        self.told.clone()
    }

    /// What the tag names.
    fn tagged(&self, tag: &str) -> Result<Option<Digest>, RegistryError> {
        Ok(self.client.head_manifest(&Which::Tag(tag.to_owned()))?.map(|found| found.digest))
    }

    fn look(&self, root: &Descriptor) -> Result<bool, RegistryError> {
        if let Some(tag) = &self.how.tag
            && self.tagged(tag)?.as_ref() != Some(&root.digest)
        {
            return Ok(false);
        }
        Ok(self.client.head_manifest(&Which::Digest(root.digest.clone()))?.is_some())
    }

    fn name(&self, root: &Descriptor, bytes: &[u8]) -> Result<(), RegistryError> {
        let Some(tag) = &self.how.tag else { return Ok(()) };
        self.client.put_manifest(&Which::Tag(tag.clone()), &root.media_type, bytes)?;
        match self.tagged(tag)? {
            Some(found) if found == root.digest => Ok(()),
            Some(found) => {
                Err(RegistryError::TagMoved { tag: tag.clone(), expected: root.digest.clone(), found })
            }
            None => Err(RegistryError::Lied {
                what: format!("tag `{tag}`"),
                host: self.client.place(),
                reason: "it took the tag and does not have it".into(),
            }),
        }
    }

    /// One blob, and what is told of it.
    fn blob(&self, from: &dyn Blobs, blob: &Descriptor) -> Result<(), RegistryError> {
        let id = format!("blob {}", blob.digest.short());
        let running = Running::begin(self.reporter, Stage::Send, id, Some(blob.size));
        let moved = upload::Moved::default();
        let (came, told) = std::thread::scope(|scope| {
            // The HTTP client keeps the reader of the content; how far that has come is looked at from here.
            let (ended, end) = mpsc::channel::<()>();
            let (moved, running) = (&moved, &running);
            let telling = scope.spawn(move || {
                let mut before = 0;
                while end.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let now = moved.load(Ordering::Relaxed);
                    running.advance(now - before);
                    before = now;
                }
                before
            });
            let came = upload::upload(self.client, from, blob, &self.how.mount_from, moved);
            drop(ended);
            (came, telling.join().unwrap_or_default())
        });
        let came = came?;
        running.advance(blob.size - told);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match came {
            Came::There => told.there += 1,
            Came::Mounted => told.mounted.push(blob.clone()),
            Came::Sent => {
                told.bytes += blob.size;
                told.sent.push(blob.clone());
            }
        }
        Ok(())
    }
}

impl Sink for RegistrySink<'_> {
    fn is_there(&mut self, root: &Descriptor) -> Result<bool, ImageError> {
        let there = self.look(root)?;
        self.told.lock().unwrap_or_else(PoisonError::into_inner).unchanged = there;
        Ok(there)
    }

    fn has(&mut self, blob: &Descriptor) -> Result<bool, ImageError> {
        Ok(upload::is_there(self.client, blob)?)
    }

    fn put_blob(&mut self, from: &dyn Blobs, blob: &Descriptor) -> Result<(), ImageError> {
        Ok(self.blob(from, blob)?)
    }

    fn put_blobs(&mut self, from: &dyn Blobs, blobs: &[Descriptor]) -> Result<(), ImageError> {
        several(blobs, self.how.parallel, |blob| self.blob(from, blob))?;
        let told = &mut *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for list in [&mut told.sent, &mut told.mounted] {
            list.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.digest.cmp(&b.digest)));
        }
        Ok(())
    }

    fn put_manifest(&mut self, manifest: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
        self.client.put_manifest(&Which::Digest(manifest.digest.clone()), &manifest.media_type, bytes)?;
        self.last = Some((manifest.digest.clone(), bytes.to_vec()));
        Ok(())
    }

    fn finish(self, root: &Descriptor) -> Result<(), ImageError> {
        match &self.last {
            Some((digest, bytes)) if *digest == root.digest => {
                self.before_tag.map_or(Ok(()), |step| step())?;
                Ok(self.name(root, bytes)?)
            }
            _ => Err(ImageError::rule(format!("`{}`", root.digest), "it is neither an index nor a manifest")),
        }
    }
}

/// What sending an image would send: all of its parts, each with whether it is missing there. Asks, and changes nothing.
pub fn would_send(
    client: &Client,
    from: &dyn Blobs,
    root: &Descriptor,
) -> Result<Vec<(Descriptor, bool)>, RegistryError> {
    parts(from, root)?
        .into_iter()
        .map(|part| {
            let there = if is_document(&part) {
                client.head_manifest(&Which::Digest(part.digest.clone()))?.is_some()
            } else {
                upload::is_there(client, &part)?
            };
            Ok((part, !there))
        })
        .collect()
}

#[cfg(test)]
mod tests;
