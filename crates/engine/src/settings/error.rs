//! What can be wrong with the user's configuration.

use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_network::OwnError;

use crate::syntax::Position;

/// Why the configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not TOML, an unknown key, or a value that cannot be.
    #[error("{message}\n  --> {position}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where.
        position: Position,
        /// The word that was most likely meant, after the one that was written.
        near: Option<(String, String)>,
    },
    /// A private key, which nobody may read.
    #[error("a private key stands in `{}` (line {line})", file.display())]
    PrivateKey {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// A file that is not the user's, or cannot be read.
    #[error(transparent)]
    File(#[from] OwnError),
}

impl Diagnose for SettingsError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Syntax { .. } | Self::PrivateKey { .. } => Diagnosis::Own(Kind::Usage),
            Self::File(error) => Diagnosis::Inner(error),
        }
    }

    fn lines(&self) -> Vec<Shown> {
        match self {
            Self::Syntax { message, position, .. } => {
                let [place, excerpt @ ..] = position.lines();
                [message.into(), shown!("  --> {place}")].into_iter().chain(excerpt).collect()
            }
            Self::PrivateKey { .. } => vec![Shown::of(self)],
            Self::File(error) => error.lines(),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Syntax { near: Some((word, near)), .. } => {
                Some(format!("write `{near}` instead of `{word}`"))
            }
            Self::PrivateKey { .. } => Some(
                "keep it in a file of its own that only you can read, and name that: `key = \"FILE\"`".into(),
            ),
            _ => None,
        }
    }
}
