//! The same plan for another runtime: OCI runtime bundles (runtime-spec 1.2.0) for `runc` and `runsc`.
//!
//! ```text
//!   Plan ─► pod       the same for a runtime that Kubernetes speaks with (CRI)
//!      └──► config    config.json, and what such a runtime cannot give
//!             ├─► bundle                a directory that is run without pinfold
//!             │                       protect   what stays as it is
//!             └─► supervise::runtime    a folder of ours, while the runtime runs in it
//! ```

pub mod bundle;
pub mod config;
pub(crate) mod pod;
pub(crate) mod protect;
