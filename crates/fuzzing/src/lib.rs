//! What the fuzz targets do with their bytes: one function each, called by `fuzz/fuzz_targets/NAME.rs` with bytes that a fuzzer makes
//! up, and by an ordinary test with the seeds in `fuzz/seeds/NAME`. (`fuzz` is a workspace of its own, since it needs another
//! compiler; so they live here, where both can call them.)
//!
//! **Guarantees**: a function returns, or panics because a promise of the code under it was broken. A finding becomes a seed.
#![forbid(unsafe_code)]

mod address;
mod escape;
mod identity;
mod image;
mod layer;
mod packument;
mod proxy_greeting;
mod proxy_redact;
mod proxy_route;
mod signed;
mod stanza;

pub use address::address;
pub use escape::escape;
pub use identity::identity;
pub use image::unpack;
pub use layer::layer;
pub use packument::packument;
pub use proxy_greeting::proxy_greeting;
pub use proxy_redact::proxy_redact;
pub use proxy_route::proxy_route;
pub use signed::signed;
pub use stanza::stanza;

/// A target: its name and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets that have seeds.
pub const TARGETS: [Target; 11] = [
    ("address", address),
    ("escape", escape),
    ("identity", identity),
    ("layer", layer),
    ("packument", packument),
    ("proxy_greeting", proxy_greeting),
    ("proxy_redact", proxy_redact),
    ("proxy_route", proxy_route),
    ("signed", signed),
    ("stanza", stanza),
    ("unpack", unpack),
];
