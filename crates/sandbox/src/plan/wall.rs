//! Which walls of a sandbox are up: what `doctor` and `ps --json` show.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

/// A wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wall {
    /// Two nested user namespaces, and with them mount, pid, ipc, uts and cgroup.
    UserNamespaces,
    /// No capability in any set, no new privileges.
    Capabilities,
    /// The image cannot be written to.
    ReadOnlyRoot,
    /// The list of system calls.
    Seccomp,
    /// Files a second time, and signals and abstract sockets where the kernel can.
    Landlock,
    /// A network namespace without a way out but the proxy.
    Network,
    /// Limits of the whole sandbox.
    Cgroup,
    /// Limits per process.
    ProcessLimits,
}

/// Whether a wall is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    pub wall: Wall,
    /// Up or not.
    pub on: bool,
    /// The grade, or why it is not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl Standing {
    /// Up.
    pub fn on(wall: Wall) -> Self {
        Self { wall, on: true, detail: String::new() }
    }

    /// Up, to this degree.
    pub fn graded(wall: Wall, detail: impl Into<String>) -> Self {
        Self { wall, on: true, detail: detail.into() }
    }

    /// Not up, for this reason.
    pub fn off(wall: Wall, detail: impl Into<String>) -> Self {
        Self { wall, on: false, detail: detail.into() }
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserNamespaces => "user namespaces",
            Self::Capabilities => "no capabilities",
            Self::ReadOnlyRoot => "read-only root",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Network => "network",
            Self::Cgroup => "cgroup",
            Self::ProcessLimits => "process limits",
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.wall, if self.on { "on" } else { "off" })?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}
