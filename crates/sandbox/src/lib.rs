//! Running agents isolated: namespaces, mounts, seccomp, Landlock, limits, terminal, and the egress proxy.
//!
//! ```text
//!   Spec ──► Plan ──► Sandbox::spawn ──► Running          (foreground)
//!     what      how      └► Sandbox::open ──► supervisor  (detached; attach, stop, remove by name)
//!
//!   supervisor ── clone, execute ─► init, process 1 ── fork ─► the program
//!   proxy, terminal                 outer user ns, mounts,     inner user ns, uid 1000,
//!   limits                          relay, reaps               no capability, landlock, seccomp
//! ```
//!
//! The program that uses this crate must call [`dispatch`] first thing in `main`: process 1 and the
//! detached supervisor are the same program, started again.
//!
//! The only room with `unsafe`, all of it in `sys`: each block says why it is sound.
#![deny(unsafe_code)]

pub mod bundle;
pub mod caps;
pub mod error;
pub mod escape;
pub mod fds;
mod foreground;
mod home;
pub mod landlock;
pub mod layers;
pub mod limits;
mod log;
mod mounts;
pub mod plan;
pub mod portable;
pub mod probe;
pub mod pty;
pub mod refusal;
mod rootfs;
pub mod runtime;
pub mod sandbox;
pub mod seccomp;
pub mod session;
mod source;
pub mod spawn;
pub mod spec;
pub mod state;
#[expect(unsafe_code, reason = "the calls that rustix does not offer safely live here and nowhere else")]
mod sys;
#[cfg(feature = "weaken")]
pub mod weaken;

pub use bundle::Runtime;
pub use error::SandboxError;
pub use error::Step;
pub use error::StepError;
pub use layers::Layer;
pub use layers::Wall;
pub use plan::Plan;
pub use probe::Probe;
pub use refusal::Refusal;
pub use sandbox::Exit;
pub use sandbox::Running;
pub use sandbox::Sandbox;
pub use sandbox::Stdio;
pub use spawn::dispatch;
pub use spec::Spec;
pub use state::Sandboxes;
pub use state::Status;
pub use state::Summary;
