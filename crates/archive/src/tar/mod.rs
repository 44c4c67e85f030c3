//! tar archives: the one streaming reader ([`read`]) and the canonical writer ([`write`]).
//!
//! ```text
//! offset  0    100   108  116  124   136   148     156   157       257    263    265   297   329  337  345     500
//!        name  mode  uid  gid  size  mtime chksum  type  linkname  magic  ver.   uname gname dev. dev. prefix  (512)
//!        100   8     8    8    12    12    8       1     100       6      2      32    32    8    8    155     12
//! ```
//!
//! An entry is one such header, then its content padded to 512 bytes. PAX entries (types `x` and `g`) hold records
//! `LENGTH KEY=VALUE\n` that change the entry after them, or all later ones (POSIX.1-2017, pax, "pax Interchange Format").
//! Two blocks of zeros end the archive.

pub mod read;
pub mod write;

mod error;
mod header;
mod pax;
mod strictness;

pub use error::NameError;
pub use error::TarError;
pub(crate) use error::is_damage;
pub use read::Entry;
pub use read::EntryKind;
pub use read::Reader;
pub use read::SpecialKind;
pub use strictness::End;
pub use strictness::GlobalRecords;
pub use strictness::Limits;
pub use strictness::Strictness;
pub use strictness::TrailingSlash;
pub use write::Piece;
pub use write::pieces;

/// Size of a block, the unit of everything in a tar.
pub const BLOCK: usize = 512;

#[cfg(test)]
mod tests;
