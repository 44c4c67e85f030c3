//! Words that every folder of this room uses: how a program's streams are, how it ended, which runtime it is in.

use std::fmt;

use rustix::process::WaitStatus;
use serde::Deserialize;
use serde::Serialize;

/// What the program's standard streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    /// The supervisor's own, through pipes of [`Running`] that [`Sandbox::run`] copies: none of the supervisor's descriptors
    /// is given to a program. The program has no controlling terminal.
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
    /// `/dev/null` to read, and pipes for what is written: all that a sealed sandbox gets, whatever was asked for.
    Outputs,
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

/// What runs a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// This program.
    #[default]
    Builtin,
    /// A container runtime of a Kubernetes node, which is asked for a pod (CRI).
    Containerd,
    /// Another program, which is given an OCI runtime bundle.
    #[serde(untagged)]
    Oci(OciRuntime),
}

/// A runtime program that takes OCI runtime bundles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OciRuntime {
    /// The reference runtime, on the host's kernel.
    Runc,
    /// gVisor: a kernel of its own.
    Runsc,
}

impl Runtime {
    /// Whether it is this program.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(crate) fn is_builtin(&self) -> bool {
        *self == Self::Builtin
    }
}

impl OciRuntime {
    /// Those there are.
    pub const ALL: [Self; 2] = [Self::Runc, Self::Runsc];

    /// Name of the program.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Runc => "runc",
            Self::Runsc => "runsc",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of earlier versions have the program's name, or nothing.
    #[test]
    fn a_runtime_is_one_word_in_a_record() {
        for (runtime, word) in [
            (Runtime::Builtin, "\"builtin\""),
            (Runtime::Containerd, "\"containerd\""),
            (Runtime::Oci(OciRuntime::Runc), "\"runc\""),
            (Runtime::Oci(OciRuntime::Runsc), "\"runsc\""),
        ] {
            assert_eq!(serde_json::to_string(&runtime).unwrap(), word);
            assert_eq!(serde_json::from_str::<Runtime>(word).unwrap(), runtime);
        }
        assert!(serde_json::from_str::<Runtime>("\"crun\"").is_err());
    }
}
