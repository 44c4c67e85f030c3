//! What every error of pinfold can say about itself: which kind it is (and so the exit code) and what to do next.
//!
//! Each room has one `thiserror` enum whose variants say which step failed on which object. The enum implements
//! [`Diagnose`]; the command line prints `error:`, the chain of causes, then `hint:`.

use std::error::Error;

/// The kind of a failure; [`Kind::exit_code`] is what the shell sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A check was made and did not hold (`lock --check`, `verify`, `diff`).
    Failed,
    /// The command line or the manifest is wrong.
    Usage,
    /// A server could not be reached or did not answer as it should.
    Network,
    /// Bytes are not what a digest, a signature or a format promised.
    Integrity,
    /// A policy or the kernel said no.
    Refused,
    /// The machine: a full disk, a missing right, a file in the way.
    System,
    /// A bug of ours.
    Internal,
}

impl Kind {
    /// The documented exit codes: 1 failed check (and anything about the machine), 2 usage, 3 network, 4 integrity,
    /// 5 refused, 70 bug (`EX_SOFTWARE` of sysexits.h).
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed | Self::System => 1,
            Self::Usage => 2,
            Self::Network => 3,
            Self::Integrity => 4,
            Self::Refused => 5,
            Self::Internal => 70,
        }
    }
}

/// An error that knows its [`Kind`] and, where the user can mend it, how.
pub trait Diagnose: Error {
    /// The kind of this failure.
    fn kind(&self) -> Kind;

    /// One or more next steps, in words a user can follow. No secrets, no trailing period.
    fn hint(&self) -> Option<String> {
        None
    }
}
