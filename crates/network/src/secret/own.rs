//! Files of the user's that decide something without being secret: a configuration, a public key.
//!
//! **Guarantees**: what is read is one file that only root and the user can have put there, on the whole way to it.

use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::text::word;
use rustix::fs::FileType;

use super::walk::Astray;
use super::walk::Links;
use super::walk::walk;

/// Why a file does not count as the user's.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else can decide what is in it.
    #[error("`{}` decides what is trusted, and `{}` {problem}", path.display(), at.display())]
    Loose {
        /// The file.
        path: PathBuf,
        /// It, or what is on the way to it.
        at: PathBuf,
        /// What is wrong with that.
        problem: &'static str,
    },
}

impl Diagnose for OwnError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Read { source, .. } => Diagnosis::Inner(source),
            Self::Loose { .. } => Diagnosis::Own(Kind::Refused),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Loose { at, problem, .. } if problem.starts_with("can be written") => {
                Some(format!("`chmod go-w {}`, when what is in it is yours", word(at)))
            }
            _ => None,
        }
    }
}

/// Reads a file that is there: an absolute path, at most `max` bytes.
pub fn read_own(path: &Path, max: u64) -> Result<Vec<u8>, OwnError> {
    let failed = |source| OwnError::Read { path: path.to_owned(), source };
    let found = walk(path, Links::Follow, &[]).map_err(|astray| match astray {
        Astray::Io(source) => failed(source),
        Astray::Loose { at, problem } => OwnError::Loose { path: path.to_owned(), at, problem },
        Astray::Link(at) => OwnError::Loose { path: path.to_owned(), at, problem: "is a link" },
        Astray::Within(place) => {
            let at = place.path().to_owned();
            OwnError::Loose { path: path.to_owned(), at, problem: "is a sandbox's" }
        }
    })?;
    if found.kind() != FileType::RegularFile {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    let mut bytes = Vec::new();
    found.readable().and_then(|file| file.take(max + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(failed(io::Error::other(format!("it is longer than {max} bytes"))));
    }
    Ok(bytes)
}
