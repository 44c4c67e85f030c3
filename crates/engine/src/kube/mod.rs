//! `kube`: a sandbox for a cluster, as objects that are written, filled with secrets, claimed and looked at.
//!
//! ```text
//!   request ─► run::cluster (as `run` resolves it) ─► export ─► pinfold_kube::objects ─► directory (whole or not at all)
//!   clone      the repository of a workspace
//!   image      names to digests, in registries alone       secrets   what is secret, for a pipe
//!   tasks      the texts of a job                           cluster   kubectl: handing over tokens, asking pods for their proof
//!   check      objects of anybody's, judged by pinfold_kube::judge
//! ```
//!
//! **Guarantees**: equal locks and arguments give equal bytes; no key, token or variable of this machine is in what is written.
//! **Refuses** images without a digest in a registry, images of root's, and directories with files that are not ours.

pub mod check;
mod clone;
mod cluster;
mod directory;
mod error;
mod export;
mod image;
mod read;
mod secrets;
mod tasks;

#[cfg(test)]
mod tests;

pub use pinfold_kube::objects::PROGRAM;
pub use pinfold_kube::objects::export::Export;
pub use pinfold_kube::objects::export::Form;
pub use pinfold_kube::objects::export::Isolation;
pub use pinfold_kube::objects::export::Nodes;
pub use pinfold_kube::objects::export::Program;
pub use pinfold_kube::objects::export::Users;
pub use pinfold_kube::objects::stream;

pub use self::cluster::Claimed;
pub use self::cluster::Isolated;
pub use self::cluster::Proof;
pub use self::cluster::claim;
pub use self::cluster::verify;
pub use self::directory::write;
pub use self::error::KubeError;
pub use self::export::Exported;
pub use self::export::FormWish;
pub use self::export::Wish;
pub use self::export::WorkspaceWish;
pub use self::export::export;
pub use self::secrets::Part;
pub use self::secrets::Stream;
pub use self::secrets::secrets;
pub use crate::run::cluster::KeyOf;
