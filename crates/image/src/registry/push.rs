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
use super::put::apart;
use super::upload;
use super::upload::Came;
use super::upload::Mounts;
use crate::ImageError;
use crate::blobs::Blobs;
use crate::model::Descriptor;
use crate::sink::Sink;
use crate::sink::is_document;
use crate::sink::parts;
use crate::sink::several;

/// How often it is looked how much of a blob has been sent.
const TICK: Duration = Duration::from_millis(100);
/// How often a tag that was set is looked for.
const TAG_LOOKS: u32 = 3;

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

/// What is known of an image before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its name leads to it, and its root is there: then all of it was, once.
    There,
    /// Its name leads to it, and it is not believed that all of it is there.
    Named,
    /// It has to be sent.
    Missing,
}

/// Asks how an image stands: for its tag, and for the document that this names.
pub fn standing(client: &Client, tag: Option<&str>, root: &Descriptor) -> Result<Standing, RegistryError> {
    if let Some(tag) = tag
        && tagged(client, tag)?.as_ref() != Some(&root.digest)
    {
        return Ok(Standing::Missing);
    }
    let found = client.head_manifest(&Which::Digest(root.digest.clone()))?;
    Ok(found.map_or(Standing::Missing, |_| Standing::There))
}

/// What a tag names.
fn tagged(client: &Client, tag: &str) -> Result<Option<Digest>, RegistryError> {
    Ok(client.head_manifest(&Which::Tag(tag.to_owned()))?.map(|found| found.digest))
}

/// A step between an image and its name.
pub type BeforeTag<'a> = &'a (dyn Fn() -> Result<(), RegistryError> + Sync);

/// A repository that takes an image.
pub struct RegistrySink<'a> {
    client: &'a Client,
    how: &'a Sending,
    reporter: &'a dyn Reporter,
    before_tag: Option<BeforeTag<'a>>,
    mounts: Mounts,
    standing: Option<Standing>,
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
        let mounts = Mounts::of(&how.mount_from);
        Self {
            client,
            how,
            reporter,
            before_tag: None,
            mounts,
            standing: None,
            told: Arc::default(),
            last: None,
        }
    }

    /// With what is known of the image; else that is asked first.
    #[must_use]
    pub fn knowing(self, standing: Standing) -> Self {
        Self { standing: Some(standing), ..self }
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

    fn name(&self, root: &Descriptor, bytes: &[u8]) -> Result<(), RegistryError> {
        let Some(tag) = &self.how.tag else { return Ok(()) };
        // Where tags cannot be moved, not even the same is taken twice.
        if self.standing != Some(Standing::Named) {
            self.client.put_manifest(&Which::Tag(tag.clone()), &root.media_type, bytes)?;
        }
        let mut attempts = self.client.attempts();
        for _ in 0..TAG_LOOKS {
            match tagged(self.client, tag)? {
                Some(found) if found == root.digest => return Ok(()),
                Some(found) => {
                    let expected = root.digest.clone();
                    return Err(RegistryError::TagMoved { tag: tag.clone(), expected, found });
                }
                // Another client may be just writing it.
                None if apart(&mut attempts, None) => {}
                None => break,
            }
        }
        Err(RegistryError::Lied {
            what: format!("tag `{tag}`"),
            host: self.client.place(),
            reason: "it took the tag and does not have it".into(),
        })
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
            let came = upload::upload(self.client, from, blob, &self.mounts, moved);
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
        let standing = match self.standing {
            Some(standing) => standing,
            None => standing(self.client, self.how.tag.as_deref(), root)?,
        };
        let there = standing == Standing::There;
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

/// What would become of a part of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Would {
    /// It is there.
    Stay,
    /// The registry has it in a repository that it may be taken from.
    Mount,
    /// It would be sent.
    Send,
}

/// What sending an image would do: all of its parts. Asks, and changes nothing.
pub fn would_send(
    client: &Client,
    from: &dyn Blobs,
    root: &Descriptor,
    how: &Sending,
) -> Result<Vec<(Descriptor, Would)>, RegistryError> {
    let mut sources: Vec<Client> =
        how.mount_from.iter().map(|repository| client.in_repository(repository)).collect();
    let mut would = |part: &Descriptor| -> Result<Would, RegistryError> {
        let there = if is_document(part) {
            client.head_manifest(&Which::Digest(part.digest.clone()))?.is_some()
        } else {
            upload::is_there(client, part)?
        };
        if there {
            return Ok(Would::Stay);
        }
        if is_document(part) {
            return Ok(Would::Send);
        }
        let mut would = Would::Send;
        // A repository that may not be read is not asked again, and is no reason to stop, as when it is mounted from.
        sources.retain(|source| {
            if would == Would::Mount {
                return true;
            }
            let size = source.head_blob(&part.digest);
            if matches!(size, Ok(Some(size)) if size == part.size) {
                would = Would::Mount;
            }
            size.is_ok()
        });
        Ok(would)
    };
    parts(from, root)?.into_iter().map(|part| Ok((part.clone(), would(&part)?))).collect()
}

#[cfg(test)]
mod broken;
#[cfg(test)]
mod real;
#[cfg(test)]
mod tests;
