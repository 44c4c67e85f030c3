//! What can go wrong once a plan is being carried out: which step, on which object, and what the kernel said.

use std::fmt;
use std::io;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use rustix::io::Errno;
use serde::Deserialize;
use serde::Serialize;

use crate::limits::CgroupError;
use crate::probe::NamespaceProblem;
use crate::refusal::Refusal;

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
    AttachRoot,
    OpenMount,
    RestrictMount,
    MakeTarget,
    OpenTarget,
    Attach,
    DeviceLinks,
    SealRoot,
    Pivot,
    LeaveOldRoot,
    Loopback,
    Hostname,
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
            Self::AttachRoot => "attach the root file system",
            Self::OpenMount => "open what is to be mounted",
            Self::RestrictMount => "restrict a mount",
            Self::MakeTarget => "make a mount point",
            Self::OpenTarget => "open a mount point",
            Self::Attach => "attach a mount",
            Self::DeviceLinks => "make the links in `/dev`",
            Self::SealRoot => "make mounts read-only",
            Self::Pivot => "enter the root file system",
            Self::LeaveOldRoot => "let go of the host's root",
            Self::Loopback => "bring loopback up",
            Self::Hostname => "set the host name",
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
#[error("cannot {step}{}: {}", object_of(object), io::Error::from_raw_os_error(*errno))]
pub struct StepError {
    /// Which step.
    pub step: Step,
    /// On what; empty where the step says it.
    pub object: String,
    /// What the kernel said.
    pub errno: i32,
}

fn object_of(object: &str) -> String {
    if object.is_empty() { String::new() } else { format!(" `{object}`") }
}

impl StepError {
    pub(crate) fn new(step: Step, object: impl Into<String>, errno: Errno) -> Self {
        Self { step, object: object.into(), errno: errno.raw_os_error() }
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

/// Why a sandbox was not started, or could not be dealt with afterwards.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It was not even planned.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A step inside failed.
    #[error("the sandbox did not start")]
    Start(#[source] StepError),
    /// Process 1 ended without a word.
    #[error("the sandbox's first process was killed while starting")]
    Vanished,
    /// A call of the supervisor failed.
    #[error("cannot {action}")]
    Supervisor {
        /// What was tried.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A control group.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A file of the sandbox's folder.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file of the sandbox's folder that is not ours.
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The name is taken by a running sandbox.
    #[error("the sandbox `{0}` is running")]
    InUse(String),
    /// There is none of that name.
    #[error("there is no sandbox `{0}`")]
    Unknown(String),
    /// It is not running.
    #[error("the sandbox `{0}` is not running")]
    NotRunning(String),
    /// The proxy did not start.
    #[error("the proxy did not start: {0}")]
    Egress(String),
    /// There is no bundle for another runtime.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// The detached supervisor could not start the sandbox; in its own words.
    #[error("{text}")]
    Detached {
        /// What it said.
        text: String,
        /// Its hint.
        hint: Option<String>,
    },
    /// A runtime program is missing.
    #[error("`{0}` is not installed")]
    NoRuntime(String),
}

impl SandboxError {
    pub(crate) fn supervisor<E: Into<io::Error>>(action: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Supervisor { action, source: source.into() }
    }

    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.into(), source }
    }
}

impl Diagnose for SandboxError {
    fn kind(&self) -> Kind {
        match self {
            Self::Refused(refusal) => refusal.kind(),
            Self::Start(error) => match error.step {
                Step::Execute | Step::WorkingDirectory => Kind::Usage,
                _ => Kind::Refused,
            },
            Self::InUse(_) | Self::Unknown(_) | Self::NotRunning(_) => Kind::Usage,
            Self::Damaged { .. } => Kind::Integrity,
            Self::Vanished | Self::Supervisor { .. } | Self::Cgroup(_) | Self::File { .. } => Kind::System,
            Self::Egress(_) | Self::NoRuntime(_) | Self::Bundle(_) | Self::Detached { .. } => Kind::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.hint(),
            Self::Start(error) => match error.step {
                Step::OuterIdMap | Step::Namespaces => {
                    Some(NamespaceProblem::explain(Errno::from_raw_os_error(error.errno)).fix())
                }
                Step::Attach if error.object == "/proc" => Some(
                    "the `/proc` around us is partly covered, as in a container: run on the host, or in a container with \
                     `--security-opt systempaths=unconfined`"
                        .into(),
                ),
                Step::OpenMount if error.errno == libc::EINVAL || error.errno == libc::EPERM => {
                    Some("a mount below that directory cannot be copied: name a directory without mounts below it".into())
                }
                Step::RestrictMount if error.errno == libc::ENOSYS => Some("use Linux 5.12 or later".into()),
                Step::Execute => Some("the program must exist inside the image, for this machine's architecture".into()),
                _ => None,
            },
            Self::Detached { hint, .. } => hint.clone(),
            Self::InUse(name) => Some(format!("attach to it with `pinfold attach {name}`, or choose another `--name`")),
            Self::Unknown(_) => Some("`pinfold ps` shows what there is".into()),
            Self::NoRuntime(name) => Some(format!("install `{name}`, or leave `--runtime` out")),
            _ => None,
        }
    }
}
