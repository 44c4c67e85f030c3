//! Words that every folder of this room uses: how a program's streams are, how it ended, which runtime it is in.

use std::fmt;

use rustix::process::WaitStatus;
use serde::Deserialize;
use serde::Serialize;

/// What the program's standard streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// The supervisor's own. The program has no controlling terminal, and gets none of the supervisor's: a stream that is
    /// one becomes a pipe of [`Running`], which [`Sandbox::run`] copies.
    Inherit,
    /// A terminal of the sandbox's own, of this size.
    Terminal {
        /// Lines.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// Three pipes.
    Piped,
    /// `/dev/null`.
    Null,
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// With this code.
    Code(u8),
    /// By this signal.
    Signal(u8),
}

impl Exit {
    pub(crate) fn from_status(status: WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Code(u8::try_from(code).unwrap_or(255)),
            (None, Some(signal)) => Self::Signal(u8::try_from(signal).unwrap_or(9)),
            (None, None) => Self::Signal(9),
        }
    }

    /// As a shell would say it: the code, or 128 and the signal.
    pub const fn code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128_u8.saturating_add(signal),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// A runtime program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// The reference runtime, on the host's kernel.
    Runc,
    /// gVisor: a kernel of its own.
    Runsc,
}

impl Runtime {
    /// Name of the program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Runsc => "runsc",
        }
    }
}
