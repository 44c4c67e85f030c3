//! Starting: three processes, one file each, and what they say to each other.
//!
//! ```text
//!   supervisor (parent.rs)                             init, process 1 (init.rs)               program (program.rs)
//!        │── clone into all namespaces but one ─────────────►│ ids, this program through a
//!        │                                                   │ read-only mount, execute it
//!        │ control groups                                    │ read the order
//!        │── 'G' go ────────────────────────────────────────►│ cgroup namespace, mounts,
//!        │── 'K' + session key, where there is one ─────────►│ loopback, proof that nothing
//!        │◄─ 'T' + terminal ─────────────────────────────────│ leads out, relay
//!        │                                                   │── fork ──────────────────────────────►│ inner namespace,
//!        │                                                   │◄─ error, or closed by exec ───────────│ walls, exec
//!        │◄─ 'R' running, 'F' + step, or 'E' + StepError ────│                                       ▼
//!        │── 'S' signal ────────────────────────────────────►│
//!        │◄─ 'X' 0 and code, or 1 and signal ────────────────│
//! ```
//!
//! One message is one packet on a `SOCK_SEQPACKET` pair, descriptor 3 of process 1; descriptor 4 is the [`Order`] as JSON
//! in memory. When the supervisor's end is closed, process 1 ends, and with it everything inside; the parent-death signal
//! does the same when the supervisor is killed.
//!
//! Process 1 is executed anew, so that nothing of the supervisor's memory (keys, environment) is in it. Its program is this
//! file through a mount that is read-only and that nobody can reach to change it (CVE-2019-5736); where that cannot be had,
//! a sealed copy in memory.
//!
//! The parent-death signal is tied to the *thread* that started the sandbox: it must live as long as the sandbox.

pub(crate) mod guest;
pub(crate) mod hook;
pub(crate) mod init;
pub(crate) mod one;
pub(crate) mod parent;
mod program;
pub(crate) mod relay;

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use serde::Deserialize;
use serde::Serialize;

use crate::plan::Plan;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys::FAILED;
use crate::start::sys::Failed;
use crate::types::Exit;

/// Name under which a copy of the program is process 1.
pub(crate) const INIT_NAME: &CStr = c"pinfold-init";

/// Descriptor of the control socket in the copy.
pub(crate) const CONTROL: i32 = 3;
/// Descriptor of the order in the copy.
const ORDER: i32 = 4;
/// First descriptor of what was opened for the copy.
const TREES: i32 = 5;

/// Paths of the host that only the supervisor knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostPaths {
    /// The sandbox's own home.
    pub(crate) home: Option<PathBuf>,
    /// The proxy's socket.
    pub(crate) egress: Option<PathBuf>,
    /// What is written over directories of the image, by their path inside.
    #[serde(default)]
    pub(crate) written: BTreeMap<PathBuf, Place>,
}

/// Where what is written over a directory of the image is, on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    /// What differs from the image: a directory with [`UPPER`] and [`WORK`] of an overlay.
    Over(PathBuf),
    /// A copy of the image's directory.
    Whole(PathBuf),
}

/// The upper directory of an overlay.
pub(crate) const UPPER: &str = "upper";
/// What the kernel works in, on the same file system.
pub(crate) const WORK: &str = "work";

impl Place {
    /// The directory.
    pub(crate) const fn path(&self) -> &PathBuf {
        let (Self::Over(path) | Self::Whole(path)) = self;
        path
    }

    /// The directory, to be exchanged for the same by its real path.
    pub(crate) const fn path_mut(&mut self) -> &mut PathBuf {
        let (Self::Over(path) | Self::Whole(path)) = self;
        path
    }
}

/// What the copy is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    #[serde(deserialize_with = "Plan::from_supervisor")]
    pub(crate) plan: Plan,
    pub(crate) paths: HostPaths,
    pub(crate) streams: StreamKind,
    /// Where the mounts belong that were opened before: descriptor [`TREES`] is the image, these follow.
    #[serde(default)]
    pub(crate) trees: Option<Vec<PathBuf>>,
}

/// What the program's standard streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StreamKind {
    /// Those the copy was started with; the sandbox's own `/dev/null` in the place of these.
    Given { null: [bool; 3] },
    /// A terminal of the sandbox's own.
    Terminal { rows: u16, columns: u16 },
}

/// A message on the control socket.
#[derive(Debug)]
pub(crate) enum Message {
    Go,
    Terminal,
    Running,
    Failed(StepError),
    Signal(u8),
    Exited(Exit),
}

impl Message {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Go => b"G".to_vec(),
            Self::Terminal => b"T".to_vec(),
            Self::Running => b"R".to_vec(),
            Self::Failed(error) => [b"E", &serde_json::to_vec(error).unwrap_or_default()[..]].concat(),
            Self::Signal(number) => vec![b'S', *number],
            Self::Exited(Exit::Code(code)) => vec![b'X', 0, *code],
            Self::Exited(Exit::Signal(signal)) => vec![b'X', 1, *signal],
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(match (bytes.first()?, &bytes[1..]) {
            (b'G', []) => Self::Go,
            (b'T', []) => Self::Terminal,
            (b'R', []) => Self::Running,
            (&FAILED, [step, errno @ ..]) => Self::Failed(StepError {
                step: step_of(*Failed::ALL.iter().find(|failed| **failed as u8 == *step)?),
                object: String::new(),
                errno: i32::from_le_bytes(errno.try_into().ok()?),
            }),
            (b'E', error) => Self::Failed(serde_json::from_slice(error).ok()?),
            (b'S', [number]) => Self::Signal(*number),
            (b'X', [0, code]) => Self::Exited(Exit::Code(*code)),
            (b'X', [1, signal]) => Self::Exited(Exit::Signal(*signal)),
            _ => return None,
        })
    }

    /// Sends it. The other end being gone is an error (EPIPE), not a signal.
    pub(crate) fn send(&self, socket: impl AsFd) -> rustix::io::Result<()> {
        rustix::net::send(socket, &self.encode(), SendFlags::NOSIGNAL).map(drop)
    }

    /// Receives one, and the descriptor that came with it; `None` when the other end is closed.
    pub(crate) fn receive(socket: impl AsFd) -> rustix::io::Result<Option<(Self, Option<OwnedFd>)>> {
        let mut bytes = [0_u8; 8192];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            match rustix::net::recvmsg(
                &socket,
                &mut [rustix::io::IoSliceMut::new(&mut bytes)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        let descriptor = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        if received.bytes == 0 {
            return Ok(None);
        }
        let message = Self::decode(&bytes[..received.bytes]).ok_or(Errno::PROTO)?;
        Ok(Some((message, descriptor)))
    }
}

const fn step_of(failed: Failed) -> Step {
    match failed {
        Failed::DeathSignal => Step::DeathSignal,
        Failed::IdMap => Step::OuterIdMap,
        Failed::Program => Step::ReadOnlyProgram,
        Failed::Descriptors => Step::Descriptors,
        Failed::Execute => Step::StartInit,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_round_trip() {
        let error = StepError { step: Step::Attach, object: "/proc".into(), errno: 1 };
        let messages = [Message::Go, Message::Terminal, Message::Running, Message::Failed(error)];
        for message in messages.into_iter().chain([Message::Signal(15), Message::Exited(Exit::Signal(9))]) {
            let decoded = Message::decode(&message.encode()).unwrap();
            assert_eq!(format!("{decoded:?}"), format!("{message:?}"));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = Message::decode(&bytes);
        }
    }
}
