//! Why a pod's program was not started, or its session not reached.

use std::io;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_network::ProveError;
use pinfold_network::TokenError;

use super::egress::Unproved;
use super::task::RUN_DIRECTORY;
use super::task::TaskError;
use crate::error::SandboxError;
use crate::start::step::Step;
use crate::start::step::StepError;

/// What went wrong in a pod.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// A file that the objects mount.
    #[error("cannot read `{}`, {what}", path.display())]
    Read {
        /// What it is.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The task.
    #[error("`{}` is no task that can be carried out", path.display())]
    Task {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: TaskError,
    },
    /// The token.
    #[error("`{}` is no token", path.display())]
    Token {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: TokenError,
    },
    /// The text of a job's task.
    #[error("there is no task for this pod of the job: {0}")]
    Job(String),
    /// The working directory.
    #[error("`{}`, the workspace, is no directory", .0.display())]
    Workspace(PathBuf),
    /// Nobody has claimed it.
    #[error("no token came to `{}` within {seconds} s", path.display())]
    Unclaimed {
        /// Where it would be.
        path: PathBuf,
        /// For how long it was waited for.
        seconds: u64,
    },
    /// A file that is made in a pod.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The proxy does not answer as it should.
    #[error("the proxy is not proved to be there")]
    Proxy(#[source] ProveError),
    /// Something else is reached.
    #[error("not only the proxy is reached from this pod, after {patience} s: {}", .reached.join(", "))]
    Reached {
        /// What, each with its address, how it was asked and what it is.
        reached: Vec<String>,
        /// For how long it was tried again.
        patience: u64,
    },
    /// Whether something else is reached is not known.
    #[error("it cannot be proved that only the proxy is reached from this pod")]
    Unproved(#[from] Unproved),
    /// A step of the start.
    #[error("the program was not started")]
    Start(#[from] StepError),
    /// The socket for those who attach.
    #[error("cannot listen on `{}`", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// There is no session to attach to.
    #[error("this pod has no session to attach to")]
    NoSession(#[source] SandboxError),
}

impl Diagnose for PodError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Task { source, .. } => return Diagnosis::Inner(source),
            Self::Token { source, .. } => return Diagnosis::Inner(source),
            Self::Job(_) | Self::Workspace(_) | Self::NoSession(_) => Kind::Usage,
            Self::Proxy(_) => Kind::Network,
            Self::Reached { .. } | Self::Unproved(_) | Self::Start(_) => Kind::Refused,
            Self::Read { .. } | Self::Listen { .. } | Self::Write { .. } | Self::Unclaimed { .. } => {
                Kind::System
            }
        })
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Read { .. } => {
                "mount the objects that `pinfold kube` writes: its ConfigMap and the pod's own Secret".into()
            }
            Self::Job(_) => {
                "only the pods of an Indexed Job have tasks; `pinfold kube --job FILE` writes one with as many completions as \
                 there are tasks"
                    .into()
            }
            Self::Workspace(_) => "mount a volume there that this user may write to".into(),
            Self::Proxy(ProveError::Unknown { .. }) => {
                "apply what `pinfold kube --secrets` makes once more, to the proxy's namespace and to this one".into()
            }
            Self::Proxy(_) => {
                "see whether its pods are ready, and whether this pod's policy lets it reach them: `kubectl get pods,svc` and \
                 `kubectl get networkpolicy` in either namespace"
                    .into()
            }
            Self::Reached { .. } => {
                "the cluster does not carry out this pod's NetworkPolicy, or not in time: use a network plugin that does, or raise \
                 `patience_seconds`; what no policy can close is named in `probes.accept` of pod.json"
                    .into()
            }
            Self::Listen { .. } => {
                format!("mount an emptyDir at `{RUN_DIRECTORY}` that this user may write to")
            }
            Self::NoSession(_) => {
                "only a task with `\"terminal\": true` that has started has one: `kubectl logs` shows what process 1 waits for".into()
            }
            Self::Start(error) if error.step == Step::Landlock || error.step == Step::Seccomp => {
                "`pinfold doctor` on the node says what its kernel lacks".into()
            }
            _ => return None,
        })
    }
}
