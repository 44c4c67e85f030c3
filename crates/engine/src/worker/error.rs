//! What can go wrong with a worker's queues.

use std::io;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::text::word;
use pinfold_queue::FormatError;
use pinfold_queue::MessageId;
use pinfold_queue::SpoolError;
use pinfold_queue::message::MessageError;
use pinfold_sandbox::SandboxError;

/// A failure with a worker's queues.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The sandbox itself.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// It is no sealed one.
    #[error("the sandbox `{0}` has no queue")]
    NoQueue(String),
    /// Its key cannot be used.
    #[error("the key `{}` cannot be used: {problem}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        problem: String,
    },
    /// A file cannot be opened with the key.
    #[error("`{what}` cannot be opened: {source}")]
    Sealed {
        /// Which.
        what: String,
        /// Why not.
        source: FormatError,
    },
    /// It is not what it should be.
    #[error("`{what}` is no message that can be used: {problem}")]
    Unusable {
        /// Which.
        what: String,
        /// Why not.
        problem: String,
    },
    /// More than a message may have.
    #[error("the message is too large: {0}")]
    Message(#[from] MessageError),
    /// Somebody else has it, for long.
    #[error("the queue of `{0}` is in use by another process")]
    Busy(String),
    /// The worker takes nothing.
    #[error("the queue of `{name}` is full: {count} messages wait for the worker")]
    Full {
        /// The sandbox.
        name: String,
        /// How many.
        count: usize,
    },
    /// The key of one that runs.
    #[error("the key of `{0}` is not changed while it runs")]
    Running(String),
    /// Nothing is wrong with the worker's state.
    #[error("the state of `{0}` can be opened: nothing was put aside")]
    Whole(String),
    /// No more dead letters.
    #[error("there is no room for another dead letter of `{0}`")]
    NoRoom(String),
    /// There is no such message.
    #[error("there is no message `{place}` in the queue of `{name}`")]
    NoMessage {
        /// The sandbox.
        name: String,
        /// What was asked for.
        place: String,
    },
    /// It can only be dropped.
    #[error("`{place}` cannot be sent again: {problem}")]
    NotAgain {
        /// Which.
        place: String,
        /// Why not.
        problem: String,
    },
    /// The provider failed, and the worker says so.
    #[error("the provider failed ({code}): {message}")]
    Provider {
        /// In a word.
        code: String,
        /// In words.
        message: String,
    },
    /// Nobody will answer.
    #[error("`{0}` does not run; the message waits in its queue")]
    NotRunning(String),
    /// It takes longer than was to be waited.
    #[error("`{name}` has not replied in {seconds} s")]
    Late {
        /// The sandbox.
        name: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The reply went to somebody else.
    #[error("the message {0} was sent before, and its reply was received")]
    Answered(MessageId),
    /// Two directories cannot change places here.
    #[error("the file system of `{}` cannot exchange two directories", path.display())]
    Exchange {
        /// The queue.
        path: PathBuf,
    },
    /// A step in a directory.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl WorkerError {
    pub(super) fn sealed(what: impl Into<String>) -> impl FnOnce(FormatError) -> Self {
        |source| Self::Sealed { what: what.into(), source }
    }
}

impl Diagnose for WorkerError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Sandbox(error) => return Diagnosis::Inner(error),
            Self::Io(error) => return Diagnosis::Inner(error),
            Self::Spool(error) => return Diagnosis::Inner(&error.source),
            Self::NoQueue(_) | Self::Message(_) | Self::NoMessage { .. } => Kind::Usage,
            Self::Key { .. } | Self::Sealed { .. } => Kind::Integrity,
            Self::Unusable { .. }
            | Self::Full { .. }
            | Self::Running(_)
            | Self::Whole(_)
            | Self::NoRoom(_)
            | Self::NotAgain { .. }
            | Self::Exchange { .. } => Kind::Refused,
            Self::Busy(_) => Kind::System,
            Self::Provider { .. } => Kind::Network,
            Self::NotRunning(_) | Self::Late { .. } | Self::Answered(_) => Kind::Failed,
        })
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::NoQueue(_) => {
                "only sealed sandboxes have one: `pinfold run --preset sealed --detach --name w1 claude-code-model`".into()
            }
            Self::Key { .. } => {
                "without it nothing in the queue can be read: remove the sandbox with `pinfold rm`, and start it again".into()
            }
            Self::Busy(_) => "wait until it has ended, then ask again".into(),
            Self::Full { name, .. } => format!(
                "`pinfold logs {0}` says what the worker does; `pinfold queue {0}` shows what waits, and `pinfold queue {0} drop in/N` takes one out",
                word(name)
            ),
            Self::Running(name) => {
                format!("`pinfold stop {0}`, then `pinfold queue {0} rekey`", word(name))
            }
            Self::Whole(name) => format!(
                "`pinfold logs {0}` says why the worker ends; `pinfold queue {0} heal --force` puts it aside all the same",
                word(name)
            ),
            Self::NoRoom(name) => format!("`pinfold queue {} prune --older 0s` removes them", word(name)),
            Self::NoMessage { name, .. } => format!("`pinfold queue {}` lists what is there", word(name)),
            Self::Provider { code, .. } => match code.as_str() {
                "401" | "403" => "the key of the credential route is not accepted: `pinfold policy show` says where it comes from".into(),
                "429" => "the provider's limit is reached: send it again later".into(),
                _ => "send it again; `pinfold logs NAME --network` says what was asked and answered".into(),
            },
            Self::NotRunning(name) => {
                format!("start it again; `pinfold recv {}` then shows the reply", word(name))
            }
            Self::Late { name, .. } => {
                format!("it may still come: `pinfold recv {0} --follow`, and `pinfold ps` says whether it lives", word(name))
            }
            Self::Answered(_) => "leave out `--id` to send it as a new message".into(),
            Self::Exchange { .. } => "set `PINFOLD_HOME` to a directory on ext4, xfs, btrfs or tmpfs".into(),
            _ => return None,
        })
    }
}
