//! What can go wrong once a plan is being carried out or a sandbox is dealt with, and what to do about it.

use std::io;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::directory::Remains;
use pinfold_base::text;
use rustix::io::Errno;

use crate::plan::refusal::Refusal;
use crate::probe::Container;
use crate::probe::NamespaceProblem;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::walls::limits::CgroupError;
use crate::supervise::streams::NotAStream;
use crate::supervise::streams::Stream;
use crate::types::Exit;

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
    /// A stream of this process that cannot be one of a sandbox.
    #[error("{stream} is {found}, which cannot be handed to a sandbox")]
    Stream {
        /// Which.
        stream: Stream,
        /// What it is.
        found: NotAStream,
    },
    /// What a program wrote could not be written to this process's stream. The sandbox ran to its end.
    #[error("{stream} cannot be written to, and what the program said there is lost; it ended with {exit}")]
    Unwritten {
        /// Which.
        stream: Stream,
        /// How the program ended.
        exit: Exit,
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
    /// Something of the sandbox stays.
    #[error(transparent)]
    Remains(#[from] Remains),
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
    /// What was written over the image was begun as an overlay, which another runtime does not make.
    #[error("what this sandbox wrote over its image is in `{}`, which only the built-in runtime shows", .0.display())]
    BegunOver(PathBuf),
    /// The proxy did not start.
    #[error("the proxy did not start: {0}")]
    Egress(String),
    /// There is no bundle for another runtime.
    #[error(transparent)]
    Bundle(#[from] crate::oci::config::BundleError),
    /// The detached supervisor could not start the sandbox; in its own words.
    #[error("{text}")]
    Detached {
        /// What it said.
        text: String,
        /// Its hint.
        hint: Option<String>,
    },
    /// A container runtime that was asked.
    #[error(transparent)]
    Cri(#[from] pinfold_cri::CriError),
    /// A container runtime that was not told which image.
    #[error("`--runtime containerd` is for `run` and `open` alone")]
    NoNode,
    /// A sealed sandbox in a pod.
    #[error("a sealed sandbox does not run in a pod")]
    SealedPod,
    /// A pod whose network could not be taken away.
    #[error("the pod's network could not be taken away")]
    Uncut(#[source] io::Error),
    /// A pod that ended before its program began.
    #[error("the pod ended with code {code} before its program began: {said}")]
    PodEnded {
        /// The code.
        code: i32,
        /// What it said.
        said: String,
    },
    /// A runtime program is missing.
    #[error("`{0}` is not installed")]
    NoRuntime(String),
    /// A runtime program that somebody else could have put there.
    #[error("`{program}` is not started: {reason}")]
    LooseRuntime {
        /// Its name.
        program: String,
        /// Who could.
        reason: String,
    },
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
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Refused(refusal) => return Diagnosis::Inner(refusal),
            Self::Remains(remains) => return Diagnosis::Inner(remains),
            Self::Cri(error) => return Diagnosis::Inner(error),
            Self::Start(error) => match error.step {
                Step::Execute | Step::WorkingDirectory => Kind::Usage,
                _ => Kind::Refused,
            },
            Self::InUse(_)
            | Self::Unknown(_)
            | Self::NotRunning(_)
            | Self::BegunOver(_)
            | Self::NoNode
            | Self::Stream { .. } => Kind::Usage,
            Self::Damaged { .. } => Kind::Integrity,
            Self::Vanished
            | Self::Supervisor { .. }
            | Self::Unwritten { .. }
            | Self::Cgroup(_)
            | Self::File { .. } => Kind::System,
            Self::Egress(_)
            | Self::SealedPod
            | Self::Uncut(_)
            | Self::PodEnded { .. }
            | Self::NoRuntime(_)
            | Self::LooseRuntime { .. }
            | Self::Bundle(_)
            | Self::Detached { .. } => Kind::Refused,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Start(error) => match error.step {
                Step::OuterIdMap | Step::Namespaces => {
                    Some(NamespaceProblem::explain(Errno::from_raw_os_error(error.errno)).fix())
                }
                // What is covered of the `/proc` around us is read-only or hides more than a fresh one would; and some calls
                // are forbidden there by a filter.
                Step::Attach | Step::OpenMount if error.object == "/proc" => Some(Container::fix()),
                Step::NestedNamespaces | Step::Hostname | Step::Loopback
                    if [libc::EPERM, libc::EACCES, libc::EROFS, libc::ENOENT].contains(&error.errno) =>
                {
                    Some(Container::fix())
                }
                Step::OpenMount if error.errno == libc::EINVAL || error.errno == libc::EPERM => {
                    Some("a mount below that directory cannot be copied: name a directory without mounts below it".into())
                }
                Step::MapMount => Some(
                    "root's sandboxes have ids outside that are nobody's, and the file system there cannot show files with \
                     them: mount another directory, start as an ordinary user, or say `--allow-root-id`, and the program has \
                     root's id outside"
                        .into(),
                ),
                Step::RestrictMount if error.errno == libc::ENOSYS => Some("use Linux 5.12 or later".into()),
                Step::Execute => Some("the program must exist inside the image, for this machine's architecture".into()),
                _ => None,
            },
            Self::Stream { stream, .. } => Some(match stream {
                Stream::Input => "pass its bytes through a pipe (`cat FILE | pinfold run …`), or say `< /dev/null`".into(),
                Stream::Output | Stream::Errors => {
                    "write to a file or through a pipe (`pinfold run … | dd of=FILE`)".into()
                }
            }),
            Self::Unwritten { source, .. } => Some(
                match source.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                        "make room where the output goes, or let it go elsewhere, and run it again"
                    }
                    _ => "let the output go to a file or pipe that can be written to, and run it again",
                }
                .into(),
            ),
            Self::Bundle(error) => error.fix(),
            Self::Detached { hint, .. } => hint.clone(),
            Self::InUse(name) => Some(format!(
                "attach to it with `pinfold attach {}`, or choose another `--name`",
                text::word(name)
            )),
            Self::BegunOver(_) => Some(
                "leave `--runtime` out, or choose another `--name`: what was written there stays with this one".into(),
            ),
            Self::Unknown(_) => Some("`pinfold ps` shows what there is".into()),
            Self::LooseRuntime { program, .. } => Some(format!(
                "what an agent can write it could make the host run: install `{program}` in a folder of PATH that only root or \
                 you can write to and that no sandbox is given, or leave `--runtime` out"
            )),
            Self::NoNode | Self::SealedPod => Some("leave `--runtime containerd` out".into()),
            Self::Uncut(_) => Some(
                "start it as root on the machine that containerd runs on: a pod's network is deleted from its namespace before the \
                 program starts; or say `--network host`"
                    .into(),
            ),
            Self::PodEnded { .. } => {
                Some("look at the runtime's log (`journalctl -u containerd`), or leave `--runtime containerd` out".into())
            }
            Self::NoRuntime(name) => Some(format!("install `{name}`, or leave `--runtime` out")),
            _ => None,
        }
    }
}
