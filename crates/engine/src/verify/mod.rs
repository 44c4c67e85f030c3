//! Proving what an image is, on every platform: checks that look at its documents and files, and checks that run it.
//!
//! ```text
//! subject   an image, its files (one pass over the layers), what its labels and its lock say
//!    └► static checks, each a function from subject to outcome ─┐
//!    └► dynamic checks, in a sandbox ───────────────────────────┼► report
//!    └► the user's own tests ───────────────────────────────────┘
//! ```
//!
//! **Guarantees**: a check that did not look has no verdict but [`report::Verdict::NotRun`], with the reason; nothing of the image is
//! executed by static checks; what an image says of itself is compared, never believed.

mod accounts;
mod agents;
mod authorities;
mod cache;
pub mod checks;
pub mod closure;
mod documents;
pub mod dynamic;
mod further;
mod hardening;
pub mod junit;
mod origin;
pub mod own;
mod rebuild;
pub mod report;
pub mod sealed;
pub mod secrets;
pub mod sets;
mod size;
mod start;
mod statics;
mod subject;

pub use self::further::Further;
pub use self::further::further;
pub use self::rebuild::rebuild;
pub use self::size::change as size_change;
pub use self::statics::Wanted;
pub use self::statics::only;
pub use self::statics::statics;
pub use self::statics::with_sides;
pub use self::subject::Subject;

#[cfg(test)]
mod tests;
