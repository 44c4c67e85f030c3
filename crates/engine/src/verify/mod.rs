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

pub mod checks;
pub mod closure;
pub mod report;
pub mod resolve;
