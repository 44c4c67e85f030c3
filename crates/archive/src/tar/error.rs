//! What can be wrong with a tar, read or written.

use std::io;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::image_path::PathError;

/// A tar that cannot be read or a tree that cannot be written as one.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// A header or PAX record that breaks the format or is refused on purpose.
    #[error("tar entry at byte {offset} is refused: {reason}")]
    Entry {
        /// Where its header starts in the tar stream.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that cannot be a path of an image.
    #[error("tar entry with its content at byte {offset} is refused: {source}")]
    Name {
        /// Where its content starts in the tar stream, after the header.
        offset: u64,
        /// What is wrong with the name, or with the name it links to.
        source: NameError,
    },
    /// An entry of a kind that images must not carry.
    #[error("tar entry `{path}` is a {kind}, which an image must not carry")]
    Special {
        /// Its name.
        path: ImagePath,
        /// `character device`, `block device` or `FIFO`.
        kind: &'static str,
    },
    /// The stream ends in the middle.
    #[error("tar ends early, at byte {offset}")]
    Truncated {
        /// How many bytes there were.
        offset: u64,
    },
    /// More than the caller allows.
    #[error("tar is larger than allowed: more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// A node of a tree that has no place in a canonical tar.
    #[error("`{path}` cannot be written to a tar: {reason}")]
    Node {
        /// The node.
        path: ImagePath,
        /// Why not.
        reason: &'static str,
    },
    /// The content of a file could not be read.
    #[error("failed to read the content of `{path}`")]
    Content {
        /// The file.
        path: ImagePath,
        /// Why.
        source: io::Error,
    },
    /// Reading (decompressing) or writing the stream failed.
    #[error("failed to read or write a tar stream")]
    Io(#[from] io::Error),
}

/// Why a name is no path inside of what is unpacked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// It counts from the root of the file system.
    #[error("path `{}` is absolute", .0.escape_ascii())]
    Absolute(Vec<u8>),
    /// It leads out, or is too long.
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Diagnose for TarError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Node { .. } => Diagnosis::Own(Kind::Refused),
            Self::Io(error) if is_damage(error) => Diagnosis::Own(Kind::Integrity),
            Self::Io(error) | Self::Content { source: error, .. } => Diagnosis::Inner(error),
            _ => Diagnosis::Own(Kind::Integrity),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Special { .. } => {
                Some("leave the package out, or make the device at run time with a mount".into())
            }
            _ => None,
        }
    }
}

/// Whether an I/O error of a decoder means that the bytes are wrong, not the machine.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}
