//! The documents of an image: descriptor, image manifest, index, configuration (OCI image-spec 1.1, Docker v2 schema 2).
//!
//! A document is kept as [`Raw`]: the bytes as they came, because digests are of bytes, and beside them the parsed value.
//! Unknown fields are kept in `other` and written back.
//!
//! **Two limits**: what is *accepted* follows the strictest of the usual consumers where that loses no real image (4 MiB per
//! document, 500 layers); what is *written* is narrower ([`MAX_LAYERS_WRITTEN`], OCI types only, `mediaType` always set).
//!
//! **Refuses**: repeated keys, other schema versions, a manifest that also looks like an index (or the other way round), a
//! claimed media type that the document contradicts, OCI and Docker types in one manifest.

mod config;
mod descriptor;
mod index;
mod manifest;
pub mod media;

pub use config::History;
pub use config::ImageConfiguration;
pub use config::RootFs;
pub use config::RuntimeSection;
pub use descriptor::Descriptor;
pub use descriptor::DescriptorPlatform;
pub use index::Index;
pub use manifest::Manifest;
pub use media::LayerEncoding;

pub use crate::json::Unknown;

use pinfold_base::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ImageError;
use crate::json;

/// Longest manifest, index or configuration that is read or written, in bytes (containers/image, containerd, registries).
pub const MAX_DOCUMENT: u64 = 4 << 20;
/// Most layers in an image we write, those of its base among them: Docker's classic store takes no more. (Of its own an image has
/// 100 at most, so that others can be built on it.)
pub const MAX_LAYERS_WRITTEN: usize = 125;
/// Most layers in an image we read (the hard limit of containers/storage).
pub const MAX_LAYERS_ACCEPTED: usize = 500;
/// Most entries in an index we read.
pub const MAX_INDEX_ENTRIES: usize = 1_000;

/// A kind of document that has a media type and rules of its own.
pub trait Document: Serialize + DeserializeOwned {
    /// What it is called in messages.
    const WHAT: &'static str;

    /// The media type that the document says it has, or that its shape implies.
    fn media_type(&self) -> &str;

    /// The rules for a document from outside. `claimed` is the media type of the descriptor that led here.
    fn check_accepted(&self, claimed: Option<&str>) -> Result<(), ImageError>;

    /// The narrower rules for a document of ours.
    fn check_written(&self) -> Result<(), ImageError>;
}

/// A document: its bytes, what they mean, and their SHA-256.
#[derive(Clone, Debug, PartialEq)]
pub struct Raw<T> {
    bytes: Vec<u8>,
    value: T,
    digest: Digest,
}

/// A manifest or index as it came, and what it is: the digest is of these bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// What it is.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl<T: Document> Raw<T> {
    /// Reads and checks a document from outside.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, ImageError> {
        Self::parse_as(bytes, None)
    }

    /// The same for a document whose descriptor claims a media type.
    pub fn parse_as(bytes: Vec<u8>, claimed: Option<&str>) -> Result<Self, ImageError> {
        let value: T = json::read(T::WHAT, &bytes, MAX_DOCUMENT)?;
        value.check_accepted(claimed)?;
        Ok(Self { digest: Digest::sha256(&bytes), bytes, value })
    }

    /// Writes a document of ours; equal values give equal bytes.
    pub fn compose(value: T) -> Result<Self, ImageError> {
        value.check_written()?;
        Self::synthesize(value)
    }

    /// Writes a document that stands for an image from outside, held to the rules for those.
    pub(crate) fn synthesize(value: T) -> Result<Self, ImageError> {
        value.check_accepted(None)?;
        let bytes = json::write(T::WHAT, &value)?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            let size = bytes.len() as u64;
            return Err(ImageError::TooLarge { what: T::WHAT.into(), size, limit: MAX_DOCUMENT });
        }
        Ok(Self { digest: Digest::sha256(&bytes), bytes, value })
    }

    /// A descriptor that names it.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.value.media_type(), self.digest.clone(), self.bytes.len() as u64)
    }
}

impl<T> Raw<T> {
    /// The bytes as they came or as they are written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, without what they mean.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What they mean.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// What they mean, without them.
    pub fn into_value(self) -> T {
        self.value
    }

    /// Their SHA-256.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

/// `schemaVersion` is 2 in everything that is read here.
fn check_schema(what: &str, version: u64) -> Result<(), ImageError> {
    if version == 2 {
        return Ok(());
    }
    Err(ImageError::rule(what, format!("`schemaVersion` is {version}, only 2 is accepted")))
}

/// The media type in the document must be one that this kind of document may have, and the one that was claimed.
fn check_media_type(
    what: &str,
    own: Option<&str>,
    claimed: Option<&str>,
    allowed: &[&str],
) -> Result<(), ImageError> {
    for name in [own, claimed].into_iter().flatten() {
        if !allowed.contains(&name) {
            return Err(ImageError::rule(what, format!("`{}` is not its media type", name.escape_debug())));
        }
    }
    match (own, claimed) {
        (Some(own), Some(claimed)) if own != claimed => {
            Err(ImageError::rule(what, format!("it was announced as `{claimed}` and says it is `{own}`")))
        }
        _ => Ok(()),
    }
}

/// Fields of another kind of document: two readers could see two different images in one blob.
fn check_absent(what: &str, other: &json::Unknown, names: &[&str]) -> Result<(), ImageError> {
    match names.iter().find(|name| other.get(**name).is_some_and(|value| !value.is_null())) {
        Some(name) => {
            Err(ImageError::rule(what, format!("it also has the field `{name}` of another document")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
