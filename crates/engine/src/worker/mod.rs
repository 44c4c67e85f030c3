//! The host's side of a sealed worker's queues.
//!
//! ```text
//!   queue/               0700, in the sandbox's folder
//!     in/                to the worker: the host writes here, and removes what was acknowledged
//!     out/               from it: hostile
//!     key                the session's key, 32 bytes, 0600
//!     state              the host's own, sealed: next sequence, ids seen and sent, what is acknowledged, schedules
//!     dead/N, N.reason   what could not be read or done, and why
//!   queue.new/           while the key is changed, and what is left of it
//! ```
//!
//! ```text
//!   queue     opening it, one process at a time        send      tasks and answers        list     what lies there
//!   state     what the host remembers                  receive   replies                  dead     what cannot be used
//!   settle    applies what came out                    attend    does so while it runs    rekey    another key
//!   heal      a state of the worker's that is damaged
//! ```
//!
//! **Guarantees**: each step is written down before it is done, so that a kill between any two loses no message, gives none a number
//! twice and sends no id twice. What the worker writes is never fatal. A message is let go of after what it acknowledges is gone.
//!
//! **Refuses** a queue that is full, and to change the key of a worker that runs.

mod attend;
mod dead;
mod error;
mod heal;
mod list;
mod queue;
mod receive;
mod rekey;
mod send;
mod settle;
mod state;

pub use attend::attend;
pub use dead::Letter;
pub use error::WorkerError;
pub use heal::Healed;
pub use heal::Healing;
pub use list::Glance;
pub use list::Listed;
pub use list::Shelf;
pub use list::Waiting;
pub use list::Where;
pub use list::glance;
pub use queue::Queue;
pub use queue::prepare;
pub use receive::Delivery;
pub use receive::Taking;
pub use receive::Waited;
pub use rekey::Rekeyed;
pub use send::Sent;
pub use state::Scheduled;

#[cfg(test)]
mod tests;
