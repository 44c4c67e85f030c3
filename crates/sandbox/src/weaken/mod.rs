//! Guards that tests take away, one at a time, to see the test of that guard fail. This is the only place that can.
//!
//! ```text
//!   Spec::weaken ──► guards   which of the plan's guards are down
//!                    plan     the plan's values, edited once everything is planned
//!                    proxy    what the supervisor's proxy is made from, edited
//!                    landlock the domain of a pod's program
//! ```
//!
//! **How a release cannot.** With the cargo feature `weaken` (on in this crate's own tests only) [`Weaken`] names the guards
//! and [`Power`] is what a guard that is down must carry. Without it both are types that have *no value*:
//!
//! - a `spec.json` that names a guard is not read: there is no variant to read it as;
//! - a plan, or the task of a guest, in which a guard is down is not read and cannot be made: it would hold a [`Power`];
//! - the functions have nothing to act on and give back what they were given.
//!
//! Values of a plan (mounts, ids, namespaces, limits) cannot be changed by anybody outside this crate, which has no function
//! for it but the one here; see [`crate::Plan`].

#[cfg(feature = "weaken")]
mod given;
#[cfg(any(test, not(feature = "weaken")))]
pub mod never;

#[cfg(feature = "weaken")]
pub use given::Power;
#[cfg(feature = "weaken")]
pub use given::Weaken;
#[cfg(feature = "weaken")]
pub(crate) use given::guards;
#[cfg(feature = "weaken")]
pub(crate) use given::landlock;
#[cfg(feature = "weaken")]
pub(crate) use given::plan;
#[cfg(feature = "weaken")]
pub(crate) use given::proxy;
#[cfg(not(feature = "weaken"))]
pub use never::Power;
#[cfg(not(feature = "weaken"))]
pub use never::Weaken;
#[cfg(not(feature = "weaken"))]
pub(crate) use never::guards;
#[cfg(not(feature = "weaken"))]
pub(crate) use never::landlock;
#[cfg(not(feature = "weaken"))]
pub(crate) use never::plan;
#[cfg(not(feature = "weaken"))]
pub(crate) use never::proxy;
