//! Attaching to an image in a registry.
//!
//! ```text
//! config and content as blobs ─► a manifest with `subject`, by digest ─┬─► the registry lists it
//!                                                                      └─► it does not: tag `sha256-HEX`
//! a signature of the older form: its payload as a blob ─► tag `sha256-HEX.sig`
//!
//! all of one document in one writing of its tag, and when all documents are done: do the entries stay? ([`super::shared`])
//! ```
//!
//! **Guarantees**: attaching the same twice attaches it once; what was attached counts when it is listed, and under a tag when it stays;
//! type and annotations of what is attached stand in its entry, as readers of the tag want it.
//! **Refuses**: a tag that keeps losing what is written to it.

use std::collections::BTreeMap;

use pinfold_base::Digest;

use super::RegistryError;
use super::Which;
use super::client::Client;
use super::legacy;
use super::legacy::Signature;
use super::referrers::by_api;
use super::referrers::list;
use super::referrers::tag;
use super::shared;
use super::shared::Entries;
use super::shared::Listing;
use super::shared::Shared;
use super::upload::send_bytes;
use crate::ImageError;
use crate::json::Unknown;
use crate::model::Descriptor;
use crate::model::Index;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::media;

/// The configuration of what has none.
const EMPTY: &[u8] = b"{}";

/// Something to be attached to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// What it is.
    pub artifact_type: String,
    /// The media type of its content.
    pub media_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Further information by name.
    pub annotations: BTreeMap<String, String>,
}

/// What came of attaching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// It is attached now; its manifest.
    New(Digest),
    /// It was attached before.
    There(Digest),
}

/// The manifest of an artifact that is attached to `subject`; equal artifacts have equal ones.
fn manifest(subject: &Descriptor, artifact: &Artifact) -> Result<Raw<Manifest>, ImageError> {
    let blob = |media_type: &str, bytes: &[u8]| {
        Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    };
    Raw::compose(Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.into()),
        artifact_type: Some(artifact.artifact_type.clone()),
        config: blob(media::OCI_EMPTY, EMPTY),
        layers: vec![blob(&artifact.media_type, &artifact.bytes)],
        subject: Some(Descriptor::new(&subject.media_type, subject.digest.clone(), subject.size)),
        annotations: artifact.annotations.clone(),
        other: Unknown::new(),
    })
}

/// Attaches an artifact to an image that is in the repository.
pub fn attach(client: &Client, subject: &Descriptor, artifact: &Artifact) -> Result<Attached, RegistryError> {
    let mut attaching = Attaching::new(client);
    let sent = match attaching.send(subject, &list(client, &subject.digest)?, artifact)? {
        Sent::There(digest) => return Ok(Attached::There(digest)),
        Sent::New(sent) => sent,
    };
    let digest = sent.digest.clone();
    attaching.list(&subject.digest, vec![sent])?;
    attaching.settle()?;
    Ok(Attached::New(digest))
}

/// What came of sending something that is to be attached.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    /// The repository has it, and it is to be [listed](Attaching::list): its entry.
    New(Descriptor),
    /// It was attached before.
    There(Digest),
}

/// Attaches to the documents of an image: each of them first gets all that is its own, and in the end it is looked whether all of it
/// has stayed.
#[must_use = "what is attached may be lost until it has settled"]
pub struct Attaching<'a> {
    client: &'a Client,
    written: Vec<Box<dyn Shared>>,
}

impl std::fmt::Debug for Attaching<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attaching").field("client", self.client).finish_non_exhaustive()
    }
}

impl<'a> Attaching<'a> {
    /// Attaches in the repository of a client.
    pub fn new(client: &'a Client) -> Self {
        Self { client, written: Vec::new() }
    }

    /// Sends an artifact, unless it is among what is `listed` as attached.
    pub fn send(
        &self,
        subject: &Descriptor,
        listed: &[Descriptor],
        artifact: &Artifact,
    ) -> Result<Sent, RegistryError> {
        let manifest = manifest(subject, artifact)?;
        let digest = manifest.digest().clone();
        if listed.iter().any(|entry| entry.digest == digest) {
            return Ok(Sent::There(digest));
        }
        send_bytes(self.client, &manifest.value().config, EMPTY)?;
        send_bytes(self.client, &manifest.value().layers[0], &artifact.bytes)?;
        self.client.put_manifest(&Which::Digest(digest), media::OCI_MANIFEST, manifest.bytes())?;
        let mut entry = manifest.descriptor();
        entry.artifact_type = Some(artifact.artifact_type.clone());
        entry.annotations.clone_from(&artifact.annotations);
        Ok(Sent::New(entry))
    }

    /// Sees to it that what was sent is listed as attached: where the registry does not do that by itself, by the tag.
    pub fn list(&mut self, subject: &Digest, sent: Vec<Descriptor>) -> Result<(), RegistryError> {
        if sent.is_empty() {
            return Ok(());
        }
        let listed = by_api(self.client, subject)?.unwrap_or_default();
        let is_listed = |entry: &Descriptor| listed.iter().any(|there| there.digest == entry.digest);
        let left: Vec<Descriptor> = sent.into_iter().filter(|entry| !is_listed(entry)).collect();
        if left.is_empty() {
            return Ok(());
        }
        self.write(Entries::<Index>::new(tag(subject), format!("what is attached to {subject}"), left))
    }

    /// Puts a signature of the older form beside those that are there.
    pub fn sign(&mut self, subject: &Digest, signature: &Signature) -> Result<(), RegistryError> {
        let entries = legacy::entries(self.client, subject, signature)?;
        self.write(entries)
    }

    fn write(&mut self, mut entries: Entries<impl Listing + 'static>) -> Result<(), RegistryError> {
        entries.add(self.client)?;
        self.written.push(Box::new(entries));
        Ok(())
    }

    /// Sees to it that all of it stays, whoever else attaches something.
    pub fn settle(mut self) -> Result<(), RegistryError> {
        if self.written.is_empty() {
            return Ok(());
        }
        shared::settle(self.client, &mut self.written)
    }
}

#[cfg(test)]
mod tests;
