//! What can be wrong with a NAR, read or written.

use std::io;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Shown;

use crate::tar::is_damage;

/// A NAR that cannot be read, or a tree that cannot be written as one.
#[derive(Debug, thiserror::Error)]
pub enum NarError {
    /// It breaks the format, or has more than one meaning.
    #[error("NAR is refused at byte {offset}, in `{path}`: {reason}")]
    Format {
        /// The entry that is read there, or the directory of the one whose name is.
        path: Shown,
        /// Where the word starts that is wrong.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than the caller allows.
    #[error("NAR is larger than allowed, in `{path}`: more than {limit} {what}")]
    Limit {
        /// The entry that is too much.
        path: Shown,
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// An entry that has no place in a NAR, or not here.
    #[error("`{path}` cannot be written to a NAR: {reason}")]
    Node {
        /// The entry.
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
    #[error("failed to read or write a NAR")]
    Io(#[from] io::Error),
}

impl Diagnose for NarError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Node { .. } => Diagnosis::Own(Kind::Refused),
            Self::Io(error) if is_damage(error) => Diagnosis::Own(Kind::Integrity),
            Self::Io(error) | Self::Content { source: error, .. } => Diagnosis::Inner(error),
            Self::Format { .. } | Self::Limit { .. } => Diagnosis::Own(Kind::Integrity),
        }
    }
}
