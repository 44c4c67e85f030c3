//! `kube`: a sandbox for a cluster, as objects of Kubernetes.
//!
//! ```text
//!   files, directories, stdin ─► check ─► pinfold_kube::judge ─► what a cluster, a policy or pinfold would not take
//! ```

pub mod check;
