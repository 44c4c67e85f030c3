//! Trees and containers of bytes: tar, layers, ar, zip, NAR, squashfs, codecs, ELF. Pure parsing and writing, no network, no policy.
//!
//! **Guarantees**: what is written is canonical (equal trees give equal bytes); what is read is bounded (each format has one
//! limit for what we write and one for what we accept).
//!
//! **Refuses**: names that leave the tree, duplicate entries, sizes that do not fit, codecs that do not end where they say.
#![forbid(unsafe_code)]

pub mod ar;
pub mod changeset;
pub mod codec;
pub mod decoded;
pub mod deflate;
pub mod elf;
pub mod encode;
pub mod layer;
pub mod nar;
mod part;
pub mod squashfs;
pub mod tar;
pub mod tree;
pub mod zip;

pub use changeset::Changeset;
pub use changeset::Difference;
pub use tree::Component;
pub use tree::Content;
pub use tree::Contents;
pub use tree::Metadata;
pub use tree::Node;
pub use tree::NodeKind;
pub use tree::Tree;
