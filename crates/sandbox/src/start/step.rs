//! The steps of a start by name: which one failed, on which object, and what the kernel said.

use std::fmt;
use std::io;

use rustix::io::Errno;
use serde::Deserialize;
use serde::Serialize;

/// A step of the start, in order. Each stands for one call, so that a report says exactly which one failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the text of each step is its documentation, see Display")]
pub enum Step {
    Namespaces,
    DeathSignal,
    OuterIdMap,
    ReadOnlyProgram,
    StartInit,
    ReadPlan,
    CgroupNamespace,
    Fork,
    PrivateMounts,
    OpenRoot,
    Skeleton,
    OverlayRoot,
    OverlayWritten,
    AttachRoot,
    OpenMount,
    RestrictMount,
    MapMount,
    MakeTarget,
    OpenTarget,
    Attach,
    DeviceLinks,
    Protect,
    SealRoot,
    Pivot,
    LeaveOldRoot,
    LowPorts,
    Loopback,
    Hostname,
    NoNetwork,
    SessionKey,
    Terminal,
    Relay,
    NestedNamespaces,
    InnerUserNamespace,
    InnerIdMap,
    Session,
    WorkingDirectory,
    Rlimits,
    Capabilities,
    NoNewPrivileges,
    Landlock,
    Seccomp,
    Descriptors,
    Execute,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "make the namespaces",
            Self::DeathSignal => "tie process 1 to its supervisor",
            Self::OuterIdMap => "map the ids of the outer user namespace",
            Self::ReadOnlyProgram => "mount this program read-only",
            Self::StartInit => "start process 1",
            Self::ReadPlan => "read the plan",
            Self::CgroupNamespace => "make the cgroup namespace",
            Self::Fork => "start the program's process",
            Self::PrivateMounts => "make mounts private",
            Self::OpenRoot => "open the root file system",
            Self::Skeleton => "make mount points for the image",
            Self::OverlayRoot => "lay mount points over the image",
            Self::OverlayWritten => "lay what is written over the image",
            Self::AttachRoot => "attach the root file system",
            Self::OpenMount => "open what is to be mounted",
            Self::RestrictMount => "restrict a mount",
            Self::MapMount => "show with other ids than root's",
            Self::MakeTarget => "make a mount point",
            Self::OpenTarget => "open a mount point",
            Self::Attach => "attach a mount",
            Self::DeviceLinks => "make the links in `/dev`",
            Self::Protect => "protect a path",
            Self::SealRoot => "make mounts read-only",
            Self::Pivot => "enter the root file system",
            Self::LeaveOldRoot => "let go of the host's root",
            Self::LowPorts => "open the ports below 1024",
            Self::Loopback => "bring loopback up",
            Self::Hostname => "set the host name",
            Self::NoNetwork => "prove that no network leads out",
            Self::SessionKey => "place the session key",
            Self::Terminal => "open a terminal",
            Self::Relay => "start the relay",
            Self::NestedNamespaces => "forbid further user namespaces",
            Self::InnerUserNamespace => "make the inner user namespace",
            Self::InnerIdMap => "map the ids of the inner user namespace",
            Self::Session => "begin a session",
            Self::WorkingDirectory => "enter the working directory",
            Self::Rlimits => "set limits",
            Self::Capabilities => "drop capabilities",
            Self::NoNewPrivileges => "forbid new privileges",
            Self::Landlock => "enter the Landlock domain",
            Self::Seccomp => "install the system-call filter",
            Self::Descriptors => "close descriptors",
            Self::Execute => "execute the program",
        })
    }
}

/// A step inside that failed; travels from process 1 to the supervisor as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("cannot {step}{}", rest_of(object, *errno))]
pub struct StepError {
    /// Which step.
    pub step: Step,
    /// On what; empty where the step says it. Why, where the kernel was not asked.
    pub object: String,
    /// What the kernel said; 0 where it was not asked.
    pub errno: i32,
}

fn rest_of(object: &str, errno: i32) -> String {
    let said = io::Error::from_raw_os_error(errno);
    match (object, errno) {
        (reason, 0) => format!(": {reason}"),
        ("", _) => format!(": {said}"),
        (object, _) => format!(" `{object}`: {said}"),
    }
}

impl StepError {
    pub(crate) fn new(step: Step, object: impl Into<String>, errno: Errno) -> Self {
        Self { step, object: object.into(), errno: errno.raw_os_error() }
    }

    /// For what failed before the kernel was asked.
    pub(crate) fn because(step: Step, reason: impl Into<String>) -> Self {
        Self { step, object: reason.into(), errno: 0 }
    }

    pub(crate) fn io(step: Step, object: impl Into<String>, error: &io::Error) -> Self {
        Self { step, object: object.into(), errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

/// Attaches a step to an error of the kernel.
pub(crate) trait At<T> {
    /// The step alone.
    fn at(self, step: Step) -> Result<T, StepError>;
    /// The step and what it was done to.
    fn on(self, step: Step, object: impl fmt::Display) -> Result<T, StepError>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, step: Step) -> Result<T, StepError> {
        self.map_err(|errno| StepError::new(step, "", errno))
    }

    fn on(self, step: Step, object: impl fmt::Display) -> Result<T, StepError> {
        self.map_err(|errno| StepError::new(step, object.to_string(), errno))
    }
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: Step) -> Result<T, StepError> {
        self.map_err(|error| StepError::io(step, "", &error))
    }

    fn on(self, step: Step, object: impl fmt::Display) -> Result<T, StepError> {
        self.map_err(|error| StepError::io(step, object.to_string(), &error))
    }
}
