//! What stays on the disk after a verb has ended, and whether the machine is fit for the next one.
//!
//! [`images`] lists them, [`gc`] frees what nothing needs any more, [`verify`] reads all of it back,
//! [`doctor`] looks at what building and running need.
//!
//! **Guarantees**: nothing is removed that a project's newest build, a running sandbox or a download under way needs.

pub mod doctor;
pub mod gc;
pub mod images;
pub mod verify;
