//! Ship: images to and from registries and other tools; trust before use.
//!
//! ```text
//! push      an image → a repository of a registry                    budget    what a platform of it may weigh
//! login     logins as podman and Docker keep them                    key       files of keys to sign with
//! connect   a client for a registry, as this machine is set up       registries   where the images of a name are
//! proofs    signatures, in registries and kept of them
//! error     why it is not shipped
//! ```
//!
//! **Guarantees**: nothing has a name in a registry before all of it is there. **Refuses** what [`budget`] does.

pub mod budget;
pub mod connect;
pub mod error;
pub mod key;
pub mod login;
pub mod proofs;
pub mod push;
pub mod registries;

pub use error::ShipError;
