//! Why the user's word is missing.

use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text::word;

use super::Subject;
use super::Told;

/// Why something may not be done.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// What the project or the image asks for was not agreed to.
    #[error("{subject} asks for what needs your word:")]
    Open {
        /// Who asks.
        subject: Subject,
        /// What for, as far as it was not agreed to.
        asks: Vec<Told>,
        /// Of all that the verb needs the word for, what was agreed to before included.
        digest: Digest,
    },
    /// The user's word is about something else than what lies here.
    #[error("what is asked for here does not have the digest `{word}`: it is not what was shown")]
    Exchanged {
        /// What the word names.
        word: Digest,
        /// Who asks here.
        subjects: Vec<Subject>,
    },
    /// Others can have written the kept word.
    #[error("`{}`, where your agreements are kept, can be written to by others", folder.display())]
    Loose {
        /// The folder.
        folder: PathBuf,
    },
    /// The word cannot be kept.
    #[error("cannot keep the agreement")]
    Io(#[from] std::io::Error),
    /// The word cannot be put in its place.
    #[error(transparent)]
    Store(#[from] pinfold_base::store::StoreError),
}

/// A line for each.
pub(crate) fn listed(asks: &[Told]) -> impl Iterator<Item = Shown> {
    asks.iter().map(|told| shown!("  {told}"))
}

impl Diagnose for ConsentError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Open { .. } | Self::Exchanged { .. } | Self::Loose { .. } => Diagnosis::Own(Kind::Refused),
            Self::Io(error) => Diagnosis::Inner(error),
            Self::Store(error) => Diagnosis::Inner(error),
        }
    }

    fn lines(&self) -> Vec<Shown> {
        let asks = match self {
            Self::Open { asks, .. } => asks.as_slice(),
            _ => &[],
        };
        std::iter::once(Shown::of(self)).chain(listed(asks)).collect()
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Open { subject, digest, .. } => Some(format!(
                "an agent that may write to the project can have written this: read it, and if you agree say `{}`",
                subject.agreement(digest)
            )),
            Self::Exchanged { subjects, .. } => {
                let shows: Vec<String> =
                    subjects.iter().map(|subject| format!("`{}`", subject.showing())).collect();
                Some(format!(
                    "it may have been changed since it was shown: read what is asked for now with {}, and agree to that digest if you do",
                    shows.join(" or ")
                ))
            }
            // What is agreed to is a folder of its own; everything else is above it.
            Self::Loose { folder } if folder.ends_with(super::record::FOLDER) => Some(format!(
                "what is agreed to there need not be your word: say `rm -r {}`, and agree anew to what is asked for",
                word(folder)
            )),
            Self::Loose { folder } => Some(format!(
                "what is agreed to below it need not be your word: set PINFOLD_HOME to a folder that is yours alone, or take {} for yourself",
                word(folder)
            )),
            _ => None,
        }
    }
}
