//! Objects as they are judged: what a cluster, a policy or pinfold itself would not take, said without a cluster.
//!
//! ```text
//!   Document (bytes) ──► objects with lines ──► Finding { file, line, object, path, rule, message } ──► Report
//! ```
//!
//! **Guarantees**: no I/O, and no panic for any bytes; findings stand in the order of files and lines, each with the rule that it
//! breaks; equal documents give equal reports. A value that may be secret is in no message.
//! **Refuses** nothing: what cannot be read, and what is of a kind that is not known here, is a finding too.

mod types;

pub use self::types::Document;
pub use self::types::Finding;
pub use self::types::Judging;
pub use self::types::Minor;
pub use self::types::Nodes;
pub use self::types::Report;
pub use self::types::Seeker;

/// Judges objects of Kubernetes: all documents together, because what one of them lacks another may bring.
pub fn judge(documents: &[Document], judging: &Judging) -> Report {
    let _ = (documents, judging);
    Report::default()
}
