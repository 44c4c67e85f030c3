//! Debian packages: signed metadata, apt's choice of packages, and what their scripts would have done.
//!
//! [`lock`] turns a request into [`locked::LockedDeb`]s; [`place`] turns downloaded packages into a tree.

mod caches;
pub mod lock;
pub mod locked;
pub mod place;
pub mod present;
pub mod script;
pub mod stanza;
pub mod version;
