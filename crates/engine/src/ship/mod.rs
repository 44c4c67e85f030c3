//! Ship: images to and from registries and other tools; trust before use.
//!
//! ```text
//! push      an image → a repository of a registry                    budget    what a platform of it may weigh
//! pull      a repository of a registry → the store                   find      the image that text means, pulled if need be
//! copy      from any place to any other                              load      into another tool's storage
//! login     logins as podman and Docker keep them                    key       files of keys to sign with
//! connect   a client for a registry, as this machine is set up       registries   where the images of a name are
//! proofs    signatures, in registries and kept of them               admit     whether the user's rules let in what a registry has
//! error     why it is not shipped
//! sign      what is signed of a pushed image                       verify    what a key has signed of one
//! bill      the bills of materials that are attached to one
//! ```
//!
//! **Guarantees**: nothing has a name in a registry before all of it is there. **Refuses** what [`budget`] does.

pub(crate) mod admit;
pub mod bill;
pub mod budget;
pub mod connect;
pub mod copy;
pub mod error;
pub mod find;
pub mod key;
pub mod load;
pub mod login;
pub mod proofs;
pub mod pull;
pub mod push;
pub mod registries;
pub mod sign;
pub mod verify;

pub use error::ShipError;
