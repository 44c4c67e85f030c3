//! Process 1 inside of a Kubernetes pod: the walls that a pod can have from inside, and the proof that it has no way out but the
//! proxy.
//!
//! ```text
//!   task     pod.json: what is to be done
//! ```
//!
//! A cluster's policies are objects that somebody else carries out, late or not at all. Nothing here relies on them: what counts
//! is what can be reached from inside, asked before the program runs.

pub mod task;

pub use task::PodProbes;
pub use task::PodProxy;
pub use task::PodTask;
pub use task::PodTasks;
pub use task::TaskError;
