//! Sandboxes as Kubernetes objects: what is written for a cluster, and what is wrong with objects that somebody has written.
//!
//! ```text
//!   objects    what a sandbox is to be ──► objects, in one fixed order ──► bytes of YAML
//!   judge      bytes of YAML ──► objects ──► what breaks a schema, Pod Security *restricted*, a policy, or a rule of ours
//! ```
//!
//! **Guarantees**: equal requests give equal bytes. **Refuses** nothing by itself: the engine decides what a finding means. No I/O.
#![forbid(unsafe_code)]

pub mod judge;
pub mod objects;
