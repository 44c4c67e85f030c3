//! A client of the container runtime interface (CRI, `runtime.v1`): what Kubernetes' kubelet speaks with containerd, over a Unix
//! socket. Of the interface there is what running one sandbox takes.
//!
//! ```text
//!   Client ── one call at a time ──► wire     a gRPC message in HTTP/2 (h2), one connection, one thread
//!     └─ message                              the fields that are used, by their numbers in the interface
//! ```
//!
//! **Guarantees**: every call ends, in its patience or with an error; an answer is at most [`ANSWER_MAX`] large; what the other
//! side says is data: nothing of it is executed or followed. **Refuses** a runtime that does not speak `runtime.v1`.
//!
//! A client works only while it is called: there is no thread of its own.

mod client;
mod error;
pub mod message;
mod socket;
mod wire;

pub use client::Client;
pub use client::Ended;
pub use error::CriError;
pub use socket::DEFAULT_SOCKET;
pub use socket::SOCKET_VARIABLE;
pub use socket::Socket;
pub use wire::ANSWER_MAX;
pub use wire::Code;
