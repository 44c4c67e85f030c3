//! What a file that carries an image does not do.

use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::text;

use super::share;
use super::words::WordsError;

/// Why something that was said to a file is not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum PortableVerbError {
    /// Words that mean nothing.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// There is no FUSE in it.
    #[error("this file does not mount itself: it needs no FUSE")]
    Mount,
    /// It has not the contract of AppImages.
    #[error("this is no AppImage, but the same as a directory")]
    NoAppImage,
    /// Nothing in it can be executed.
    #[error("`{}` is packed", .0.display())]
    Packed(PathBuf),
    /// Nowhere to be found from.
    #[error("there is no home directory to be found in")]
    NoHome,
    /// Something else has its name.
    #[error("`{}` is there already, and leads elsewhere", .0.display())]
    Taken(PathBuf),
    /// There is no agent whose socket could be shared.
    #[error("`--share ssh-agent` shares the socket that SSH_AUTH_SOCK names, and {0}")]
    Agent(&'static str),
    /// What is to be shared is not there.
    #[error("there is no `{place}`")]
    Missing {
        /// What it is called.
        share: &'static str,
        /// Where it would be.
        place: &'static str,
    },
    /// Nothing of that name is shared.
    #[error("`--share {0}` is not known")]
    Share(String),
}

impl Diagnose for PortableVerbError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Mount => Kind::Refused,
            Self::NoHome | Self::Agent(_) | Self::Missing { .. } => Kind::System,
            Self::Words(_) | Self::NoAppImage | Self::Packed(_) | Self::Taken(_) | Self::Share(_) => {
                Kind::Usage
            }
        })
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Words(_) => {
                "`--help` says how this file is used; what is behind `--` is the agent's".into()
            }
            Self::Mount => "use `--appimage-extract`, or `mount -o loop,offset=…` as root".into(),
            Self::NoAppImage => {
                "`--pinfold-info` and `--pinfold-extract DIR` do the same, see `--help`".into()
            }
            Self::Packed(file) => {
                format!("unpack it first, `tar -xf {}`, and run `run.sh` in its directory", text::word(file))
            }
            Self::NoHome => "set `HOME`, or link the file yourself".into(),
            Self::Taken(_) => "take it away first, or link the file yourself".into(),
            Self::Agent(_) => "start an agent (`eval \"$(ssh-agent)\"; ssh-add`), or leave it out".into(),
            Self::Missing { share, .. } => format!("make it, or leave out `--share {share}`"),
            Self::Share(_) => {
                format!("it is one of {}; other directories are shared with `-v`", share::names().join(", "))
            }
        })
    }
}
