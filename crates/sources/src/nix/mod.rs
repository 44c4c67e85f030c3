//! Nix store paths: binary caches, closures, local stores, and the database that an image needs.
//!
//! ```text
//! lock:   Conf, Place ─► Caches, LocalStore ─► Closure::of(roots) ─► LockedNix       what a trusted key, or this machine, vouches for
//! fetch:  Caches::sources(LockedPath)                                                  relative to the caches as they are set up today
//! place:  NAR ─► LockedPath::check_nar                                                 the hash that was signed is that of the NAR
//!         database::write(paths) ─► /nix/var/nix/db/db.sqlite
//! ```
//!
//! No Nix is needed: formats are read and written here.
//!
//! **Guarantees**: what is in a closure was vouched for path by path ([`narinfo::Verified`]); what is locked depends on roots, keys
//! and what the caches have, on nothing else; the database's bytes depend on the locked paths alone.
//!
//! **Refuses**: paths without a trusted signature, stores elsewhere than `/nix/store`, addresses that lead out of a cache.

pub mod base32;
pub mod cache;
pub mod closure;
pub mod conf;
pub mod content_address;
pub mod database;
mod error;
pub mod flake;
pub mod hash;
pub mod key;
pub mod local;
pub mod locked;
pub mod narinfo;
pub mod store_path;
#[cfg(test)]
mod testing;

pub use cache::Cache;
pub use cache::Caches;
pub use cache::Place;
pub use closure::Closure;
pub use conf::Conf;
pub use error::NixError;
pub use key::PublicKey;
pub use key::TrustedKeys;
pub use local::LocalStore;
pub use locked::LockedNix;
pub use locked::LockedPath;
pub use locked::LockedRoot;
pub use narinfo::NarInfo;
pub use narinfo::Verified;
pub use store_path::StorePath;
