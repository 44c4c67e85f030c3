//! From a [`crate::Plan`] to a running program: processes, namespaces, mounts, walls.
//!
//! ```text
//!   spawn    the three processes and what they say to each other
//!   mounts   the file system, made by process 1
//!   protect  what of it stays as it is
//!   own      which file this program is executed from once more
//!   key      the session key of a sealed sandbox, on its way inside
//!   proof    that a sealed sandbox has no network, seen from inside
//!   trees    what root's sandbox is shown of the host, opened by root
//!   walls    what the program enters last, each forbidding an earlier step
//!   step     one name for each call, so that a report says exactly which one failed
//!   sys      the calls that `rustix` does not offer safely; all `unsafe` of pinfold
//! ```
//!
//! **Guarantees**: the program runs only when every step of the plan was done; the first that fails ends everything and is
//! told by name. Nothing is decided here: what is done, and what is left out, stands in the plan.

pub(crate) mod key;
pub(crate) mod mounts;
pub(crate) mod own;
pub(crate) mod proof;
pub(crate) mod protect;
pub(crate) mod spawn;
pub(crate) mod step;
#[expect(unsafe_code, reason = "the calls that rustix does not offer safely live here and nowhere else")]
pub(crate) mod sys;
pub(crate) mod trees;
pub(crate) mod walls;
