//! What holds a sandbox while it runs: its records on disk, its terminal, its session, its end.
//!
//! ```text
//!   state        all sandboxes of a user, by name: start, list, stop, remove
//!   sandbox      one that runs in the built-in runtime        runtime   one that runs in `runc` or `runsc`
//!   node         one that runs in a pod of a container runtime (CRI)            cut       takes the pod's network away
//!   foreground   follows it on this process's streams         session   keeps it for whoever attaches
//!   respawn      starts the program of a lasting one again
//!   terminal     raw mode, sizes, and what may be shown       log       what a session showed, bounded
//!   attend       what the program above does about the queues of a sealed one meanwhile
//!   capture      keeps what a program writes that nobody looks at, and ends it in time
//!   home         the writable home, filled from the image     edit      what agents must be told in files of it
//!   written      what is written over directories of the image
//!   streams      what of the caller's streams a program gets: pipes    pump      copying between the two
//! ```
//!
//! **Guarantees**: when the supervisor ends, in whatever way, so does the sandbox; what it leaves behind is cleared by
//! the next one.

pub(crate) mod attend;
pub(crate) mod capture;
mod cut;
pub(crate) mod edit;
pub(crate) mod foreground;
pub(crate) mod home;
pub(crate) mod log;
pub(crate) mod node;
pub(crate) mod program;
pub(crate) mod pump;
mod respawn;
pub mod runtime;
pub(crate) mod sandbox;
pub mod session;
mod spare;
pub(crate) mod stand_in;
pub(crate) mod state;
pub(crate) mod streams;
pub mod terminal;
pub(crate) mod written;
