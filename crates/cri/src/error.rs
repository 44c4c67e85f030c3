//! What fails between this program and a container runtime.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use pinfold_base::Diagnose;
use pinfold_base::error::Diagnosis;
use pinfold_base::error::Kind;
use thiserror::Error;

use crate::socket::SOCKET_VARIABLE;
use crate::wire::Code;

/// A call that was not answered as it should.
#[derive(Debug, Error)]
pub enum CriError {
    /// Nothing is there.
    #[error("no container runtime listens at `{}`", .0.display())]
    NoSocket(PathBuf),
    /// The caller may not connect.
    #[error("`{}` may not be connected to", .0.display())]
    Denied(PathBuf),
    /// It is something else than a socket's address.
    #[error("`{0}` is no address of a Unix socket")]
    Address(String),
    /// Another failure to connect.
    #[error("connecting to `{}` failed", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The other side does not speak HTTP/2, or not gRPC.
    #[error("the answer to {call} is not one of a container runtime: {problem}")]
    Foreign {
        /// The call.
        call: &'static str,
        /// What was wrong.
        problem: String,
    },
    /// The runtime has no such call, or not in this version of the interface.
    #[error("the container runtime does not know {call} of `runtime.v1`")]
    Unknown {
        /// The call.
        call: &'static str,
    },
    /// No answer.
    #[error("the container runtime has not answered {call} within {} s", patience.as_secs())]
    Silent {
        /// The call.
        call: &'static str,
        /// How long was waited.
        patience: Duration,
    },
    /// An error of the runtime's.
    #[error("the container runtime failed at {call} ({code}): {message}")]
    Status {
        /// The call.
        call: &'static str,
        /// Which kind.
        code: Code,
        /// Its words.
        message: String,
    },
    /// An image that is not there.
    #[error("the container runtime has no image `{0}`")]
    NoImage(String),
}

impl Diagnose for CriError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Address(_) => Kind::Usage,
            _ => Kind::System,
        })
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSocket(_) => format!(
                "start containerd (`systemctl start containerd`), or name its socket with `--cri-socket` or `{SOCKET_VARIABLE}`"
            ),
            Self::Denied(_) => {
                "run this as root, or as a user that the socket's group lets in: whoever may connect to it is root on this machine"
                    .to_owned()
            }
            Self::Address(_) => "name it as `unix:///run/containerd/containerd.sock`, or as an absolute path".to_owned(),
            Self::Unknown { .. } => "use containerd 1.6 or newer, with its CRI plugin on (`disabled_plugins` in its config.toml)".to_owned(),
            Self::Foreign { .. } => format!("is it the socket of a container runtime? `--cri-socket` and `{SOCKET_VARIABLE}` name another"),
            Self::Silent { .. } => "look at the runtime's log (`journalctl -u containerd`); a machine under load may need a second try".to_owned(),
            Self::NoImage(name) => format!("load it with `pinfold load {name} --to containerd`"),
            Self::Status { code: Code::Unavailable, .. } | Self::Connect { .. } => {
                "look whether the runtime is still starting, or at its log (`journalctl -u containerd`)".to_owned()
            }
            Self::Status { message, .. } if message.contains("network") => {
                "it needs a CNI configuration that gives pods an address, in /etc/cni/net.d, and its plugins".to_owned()
            }
            Self::Status { message, .. } if message.contains("pause") || message.contains("sandbox image") => {
                "it needs its `sandbox_image` (see its config.toml), which is pulled at the first pod; load one where it may not pull".to_owned()
            }
            Self::Status { .. } => return None,
        })
    }
}
