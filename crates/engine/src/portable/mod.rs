//! `pack`, and how what it makes starts: one file that is an agent in its sandbox, for machines that have nothing else.
//!
//! ```text
//! pack     an image, a program ─► FILE ([`pinfold_image::portable`])
//! FILE ─► place: where this user's roots may be ─► program: DATA/heads/SHA256, the program without the image ─► `pinfold run`
//! ```
//!
//! FILE is an AppImage, a tar, or the directory that was in it. What stands beside it and says whose it is, is `vouch`'s; `kept` protects
//! it from the agent where it lies in the workspace.
//!
//! `DATA/portable/HEX.json` says which files were started (`record`), so that `gc` leaves alone what they have unpacked.
//!
//! FILE's own process goes on as `pinfold run` on `appimage:FILE`. What is executed from there on (process 1 of a sandbox, supervisors) is a
//! copy of what FILE was made with ([`pinfold_sandbox::goes_on`]), because FILE itself is an AppImage to whatever the machine has configured
//! for such (binfmt_misc).
//!
//! **Guarantees**: nothing is written outside of the place; a program under its digest is whole. **Refuses**: places that other users
//! could write to, where nothing may be executed, or without room.

mod kept;
mod pack;
mod place;
mod program;
pub(crate) mod record;
mod vouch;

pub(crate) use kept::in_workspace;
pub use pack::Form;
pub use pack::Options;
pub use pack::PackError;
pub use pack::Packed;
pub use pack::pack;
pub use place::Place;
pub use place::PlaceError;
pub use place::needed;
pub use place::place;
pub use program::program;
pub use record::started;
pub use vouch::Asked;
pub use vouch::VouchError;
pub use vouch::vouched;
