//! What can go wrong with images as documents, stores and files. Unpacking has its own enum, [`crate::unpack::UnpackError`].

use std::io;

use pinfold_archive::encode::EncodeError;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::store::StoreError;

/// A failure of this room.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A document is larger than consumers read.
    #[error("{what} is {size} bytes long; at most {limit} are accepted")]
    TooLarge {
        /// Which document.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A document is no JSON of the expected shape.
    #[error("{what} cannot be read")]
    Json {
        /// Which document.
        what: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A document breaks a rule of the image specification.
    #[error("{what} is refused: {reason}")]
    Rule {
        /// Which document.
        what: String,
        /// The rule it breaks.
        reason: String,
    },
    /// Bytes do not match the digest they are known by.
    #[error("{what} has the wrong digest: expected {expected}, got {actual}")]
    WrongDigest {
        /// Which blob, for people.
        what: String,
        /// The digest promised.
        expected: Digest,
        /// The digest found.
        actual: Digest,
    },
    /// A blob has another size than its descriptor says.
    #[error("{what} has the wrong size: expected {expected} bytes, got {actual}")]
    WrongSize {
        /// Which blob, for people.
        what: String,
        /// Bytes promised.
        expected: u64,
        /// Bytes found (at least).
        actual: u64,
    },
    /// A blob that an image needs is not there.
    #[error("blob {digest} is missing from {place}")]
    MissingBlob {
        /// Its digest.
        digest: Digest,
        /// Where it was looked for.
        place: String,
    },
    /// Something else stands where a blob should: a directory, a FIFO, a device.
    #[error("blob {digest} of {place} is no regular file")]
    NoFile {
        /// Its digest.
        digest: Digest,
        /// Where it stands.
        place: String,
    },
    /// The image is not made for the wanted platform.
    #[error("image `{image}` has no {wanted}; it has {available}")]
    NoPlatform {
        /// The image.
        image: String,
        /// What was asked for.
        wanted: Platform,
        /// What there is, separated by commas.
        available: String,
    },
    /// No image of that name.
    #[error("image `{reference}` is not in {place}")]
    NotFound {
        /// What was asked for.
        reference: String,
        /// Where it was looked for.
        place: String,
        /// Names that are there (the first few).
        known: Vec<String>,
    },
    /// Several images where one was expected.
    #[error("{place} holds several images and no tag was given")]
    Ambiguous {
        /// The layout or archive.
        place: String,
        /// Their tags.
        tags: Vec<String>,
    },
    /// Text that is no image reference.
    #[error("`{text}` is no image name: {reason}")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Text that names no place for an image.
    #[error("`{text}` is no place for an image: {reason}")]
    Location {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An archive of an image is malformed.
    #[error("archive `{archive}` is refused: {reason}")]
    Archive {
        /// The file.
        archive: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that is an agent in its sandbox.
    #[error(transparent)]
    Portable(#[from] crate::portable::PortableError),
    /// A layer, or an archive of images, could not be compressed.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A registry, or the network on the way to it.
    #[error(transparent)]
    Registry(Box<crate::registry::RegistryError>),
    /// The content store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed; the message of `fs_err` names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ImageError {
    /// A broken rule.
    pub(crate) fn rule(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Rule { what: what.into(), reason: reason.into() }
    }
}

impl Diagnose for ImageError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::TooLarge { .. }
            | Self::Json { .. }
            | Self::Rule { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::MissingBlob { .. }
            | Self::NoFile { .. }
            | Self::Archive { .. } => Kind::Integrity,
            Self::NoPlatform { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::Reference { .. }
            | Self::Location { .. } => Kind::Usage,
            Self::Portable(error) => return Diagnosis::Inner(error),
            Self::Encode(error) => return Diagnosis::Inner(error),
            Self::Registry(error) => return Diagnosis::Inner(&**error),
            Self::Store(error) => return Diagnosis::Inner(error),
            Self::Io(error) => return Diagnosis::Inner(error),
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::MissingBlob { .. } => Some(
                "the image is incomplete: build it again, or copy or pull it once more from where it came".into(),
            ),
            Self::WrongDigest { .. } | Self::WrongSize { .. } => {
                Some("the bytes were damaged or changed: build the image again, or copy or pull it once more".into())
            }
            Self::NotFound { reference, .. } if is_file(reference) => {
                Some("a file is named by its form, `oci-archive:FILE` or `docker-archive:FILE`, a directory as `oci:DIR`".into())
            }
            Self::NotFound { known, .. } if known.is_empty() => {
                Some("there is no image yet; `pinfold build` makes one, and `pinfold pull HOST/NAME` brings one".into())
            }
            Self::NotFound { known, .. } => Some(format!("there is {}", known.join(", "))),
            Self::Ambiguous { tags, .. } if !tags.is_empty() => {
                Some(format!("append one of the tags: {}", tags.join(", ")))
            }
            Self::NoPlatform { .. } => Some(
                "choose one of these with `--platform`, or build the image for the other platform".into(),
            ),
            Self::Reference { text, .. } if text.starts_with(['.', '/']) => {
                Some("a file is named by its form, `oci-archive:FILE` or `docker-archive:FILE`, a directory as `oci:DIR`".into())
            }
            Self::Reference { .. } => {
                Some("an image name looks like `name`, `name:tag` or `name@sha256:…`".into())
            }
            Self::Location { text, .. } if text.starts_with("docker-daemon:") => {
                Some("`pinfold load IMAGE --to docker` gives an image to the daemon".into())
            }
            Self::Location { text, .. } if text.starts_with("containers-storage:") => {
                Some("`pinfold load IMAGE --to podman` gives an image to podman".into())
            }
            Self::Location { .. } => Some(
                "places are `oci:DIR[:tag]`, `oci-archive:FILE[:tag]`, `docker-archive:FILE[:name:tag]` and `appimage:FILE`"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Whether the name of an image is one of a file here as well, with the tag that a name has by itself.
fn is_file(reference: &str) -> bool {
    let name = reference.strip_suffix(":latest").unwrap_or(reference);
    std::path::Path::new(name).is_file()
}

/// What an error says, and what its cause says.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
