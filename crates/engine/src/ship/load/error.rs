//! Why an image is not loaded.

use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;

/// A failure with another tool.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The program is not there, or cannot be used.
    #[error("`{program}` cannot be run: {reason}")]
    Program {
        /// Its name.
        program: String,
        /// Why not.
        reason: String,
    },
    /// A variable that says whose storage is meant leads to where a sandbox can write.
    #[error("`{name}` leads to a place that a sandbox may have made, and is not followed")]
    Variable {
        /// Its name.
        name: &'static str,
    },
    /// There is no containerd.
    #[error("there is no containerd at `{}`: {reason}", socket.display())]
    NoContainerd {
        /// Its socket.
        socket: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// It did not do it.
    #[error("`{command}` failed ({status}){}", told(.said))]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it said.
        said: Shown,
    },
    /// There is no daemon.
    #[error("there is no Docker daemon at `{}`: {reason}", socket.display())]
    NoDaemon {
        /// Its socket.
        socket: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// `DOCKER_HOST` names something else than a socket of this machine.
    #[error("`DOCKER_HOST` is `{0}`, and only `unix:///PATH` is known")]
    Host(Shown),
    /// The daemon does not take the image.
    #[error("the Docker daemon refuses the image{}", told(.said))]
    Refused {
        /// In its own words.
        said: Shown,
    },
    /// The daemon's answer is none.
    #[error("the Docker daemon's answer cannot be understood: {reason}")]
    Answer {
        /// In which way.
        reason: String,
    },
    /// containerd finds images by their names.
    #[error("`{image}` has no name, and containerd finds images by their names only")]
    NoName {
        /// The image.
        image: String,
    },
    /// A container runtime that was asked for the image.
    #[error(transparent)]
    Cri(#[from] pinfold_cri::CriError),
    /// A pipe or a socket.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn told(said: &Shown) -> String {
    let said = said.to_string();
    if said.is_empty() { said } else { format!(": {said}") }
}

impl Diagnose for LoadError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Program { .. } | Self::NoDaemon { .. } | Self::NoContainerd { .. } => Kind::System,
            Self::Variable { .. } => Kind::Refused,
            Self::Host(_) | Self::NoName { .. } => Kind::Usage,
            Self::Failed { .. } | Self::Refused { .. } | Self::Answer { .. } => Kind::Failed,
            Self::Cri(error) => return Diagnosis::Inner(error),
            Self::Io(error) => return Diagnosis::Inner(error),
        })
    }

    fn own_hint(&self) -> Option<String> {
        let hint = match self {
            Self::Program { .. } => {
                "install it, or write an archive for it: `pinfold copy IMAGE oci-archive:FILE`"
            }
            Self::NoDaemon { .. } => {
                "start Docker, or write an archive for it: `pinfold copy IMAGE docker-archive:FILE`"
            }
            Self::NoContainerd { .. } => {
                "start containerd, or name its socket with `CONTAINERD_ADDRESS`; or write an archive for it: `pinfold copy IMAGE oci-archive:FILE`"
            }
            Self::Variable { .. } => {
                "run this from another folder than the project, or move the socket out of it"
            }
            Self::Host(_) => {
                "write an archive, `pinfold copy IMAGE docker-archive:FILE`, and `docker load -i FILE`"
            }
            Self::NoName { .. } => "copy it into the store under a name first: `pinfold copy IMAGE NAME`",
            Self::Failed { .. } | Self::Refused { .. } | Self::Answer { .. } | Self::Cri(_) | Self::Io(_) => {
                return None;
            }
        };
        Some(hint.into())
    }
}
