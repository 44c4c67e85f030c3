//! Messages between the host and a worker that has no network: each a sealed file in a directory (docs/queue.md).
//!
//! ```text
//!   format    bytes of a file ◄──► header and body      PFQ1; no I/O
//!   key       the 32 bytes that both sides share        never shown
//!   message   body ◄──► who says what, in reply to what, and what it acknowledges      no I/O
//!   spool     a directory of such files, by its descriptor: list, read, publish, remove
//!   watch     waits until something may have changed there
//! ```
//!
//! **Guarantees**: what [`format::open`] gives was sealed by somebody with the key, for this sandbox, direction and sequence. A file
//! is in a [`Spool`](spool::Spool) whole or not at all. Reading a directory that somebody hostile writes ends, follows no link, waits
//! for nobody and takes bounded memory.
//!
//! **Refuses**: all else, and says what it was. This room uses no other: the worker is made of it.
#![forbid(unsafe_code)]

pub mod format;
pub mod key;
pub mod message;
pub mod probes;
pub mod spool;
pub mod watch;

pub use format::Direction;
pub use format::FormatError;
pub use format::Header;
pub use key::SandboxId;
pub use key::SessionKey;
pub use message::Content;
pub use message::Message;
pub use message::MessageId;
pub use spool::Spool;
pub use spool::SpoolError;
pub use watch::Watch;
