//! Running agents isolated: namespaces, mounts, seccomp, Landlock, limits, terminal. The way out is `network`'s.
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
//! Folders, in the order of a start: `plan` decides, `start` carries out, `supervise` holds; `oci` writes the same plan for
//! another runtime, `pod` is process 1 of a pod on Kubernetes. `spec` and `probe` are what goes in, `types` the words that all use.
//!
//! The only room with `unsafe`, all of it in `start::sys`: each block says why it is sound.
#![deny(unsafe_code)]

mod dispatch;
pub mod error;
pub mod oci;
pub mod plan;
pub mod pod;
pub mod probe;
pub mod spec;
mod start;
mod supervise;
pub mod types;
pub mod weaken;
mod words;

pub use dispatch::dispatch;
pub use error::SandboxError;
pub use pinfold_network::Refusals;
pub use pinfold_network::Refused;
pub use plan::Plan;
pub use plan::is_stand_in;
pub use plan::refusal::Refusal;
pub use plan::wall::Standing;
pub use plan::wall::Wall;
pub use probe::Probe;
pub use spec::Spec;
pub use start::own::goes_on;
pub use start::own::own_path;
pub use start::step::Step;
pub use start::step::StepError;
pub use start::sys::Endings;
pub use start::sys::say_when_interrupted;
pub use supervise::attend::Attend;
pub use supervise::attend::Stop;
pub use supervise::capture::Bounds;
pub use supervise::capture::Captured;
pub use supervise::capture::Ended;
pub use supervise::runtime;
pub use supervise::sandbox::Running;
pub use supervise::sandbox::Sandbox;
pub use supervise::session;
pub use supervise::state::Account;
pub use supervise::state::Held;
pub use supervise::state::Life;
pub use supervise::state::Logs;
pub use supervise::state::Sandboxes;
pub use supervise::state::Status;
pub use supervise::state::Summary;
pub use supervise::state::Usage;
pub use supervise::streams::NotAStream;
pub use supervise::streams::Stream;
pub use supervise::terminal;
pub use supervise::written::remove_shared;
pub use types::Exit;
pub use types::OciRuntime;
pub use types::Runtime;
pub use types::Stdio;
