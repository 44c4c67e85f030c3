//! Why a source cannot do what it is asked to.

use std::error::Error;
use std::fmt;

use pinfold_archive::decoded::DecodedError;
use pinfold_archive::tree::ConflictError;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::image_path::PathError;

/// What a source says when it fails, in its own words: this type adds none.
pub struct SourceError(Box<dyn Diagnose + Send + Sync>);

impl SourceError {
    /// From the source's own error.
    pub fn of(error: impl Diagnose + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }

    /// The lock has nothing for a component that the manifest asks for.
    pub fn not_locked(component: impl Into<String>, platform: Platform) -> Self {
        Self::of(NotLocked { component: component.into(), platform })
    }
}

impl fmt::Debug for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Diagnose for SourceError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Inner(&*self.0)
    }
}

/// An archive cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[error("cannot decode `{what}`")]
pub(super) struct DecodeError {
    /// The package.
    pub(super) what: String,
    /// What happened.
    pub(super) source: DecodedError,
}

impl Diagnose for DecodeError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Inner(&self.source)
    }
}

/// The lock lacks what the manifest wants.
#[derive(Debug, thiserror::Error)]
#[error("the lock has nothing for `{component}` on {platform}")]
struct NotLocked {
    component: String,
    platform: Platform,
}

impl Diagnose for NotLocked {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some("`pinfold lock` brings the lock up to date".into())
    }
}

/// What is wrong with a path that a manifest or a recipe asks for.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum WrongPath {
    Conflict(ConflictError),
    Path(PathError),
}

impl Diagnose for WrongPath {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Conflict(_) => {
                Some("leave one of the two components out, or place the file elsewhere".into())
            }
            Self::Path(_) => None,
        }
    }
}

impl From<ConflictError> for SourceError {
    fn from(error: ConflictError) -> Self {
        Self::of(WrongPath::Conflict(error))
    }
}

impl From<PathError> for SourceError {
    fn from(error: PathError) -> Self {
        Self::of(WrongPath::Path(error))
    }
}
