//! `run`, `open` and `policy`: from an agent's name and a directory to a sandbox's specification.
//!
//! ```text
//!   request ─► choice (which image) ─► consent ─► image (built, unpacked once)
//!           ─► specify: workspace, terminal, network and credentials, limits ─► Spec
//!   session: under which name, and whether it is there already
//! ```
//!
//! The image is the project's, one that is named, or preset `solo` with the agent. Keys stay on the host: each provider of
//! the agent's recipe whose key is found becomes a port on the sandbox's loopback, and the sandbox gets a placeholder.
//!
//! **Refuses**: agents that the image does not have, images for other processors, workspaces that are the home directory or
//! above it, mounts that have pinfold's own folders in them, variables that are not set, another project's session, and
//! whatever a project or an image wants beyond the defaults until the user agrees.

pub(crate) mod alone;
mod apart;
mod bundle;
mod changed;
mod choice;
pub(crate) mod cluster;
mod credentials;
mod declared;
mod error;
mod git;
pub(crate) mod given;
pub(crate) mod image;
pub(crate) mod named;
mod network;
pub(crate) mod nix;
mod places;
mod protect;
mod request;
mod sealed;
mod session;
mod settings;
mod specify;
mod terminal;
mod volumes;
mod workspace;

use pinfold_network::Decision;

pub use self::bundle::bundle;
pub use self::changed::Changed;
pub use self::changed::Made;
pub use self::changed::Unsearched;
pub use self::changed::changed;
use self::choice::Choice;
use self::choice::Wanted;
pub use self::credentials::BadKey;
pub use self::credentials::PLACEHOLDER;
pub use self::declared::Declared;
pub use self::declared::LABEL;
pub use self::error::RunError;
pub use self::protect::programs;
pub use self::request::Basis;
pub use self::request::InContainerd;
pub use self::request::Key;
pub use self::request::Request;
pub use self::request::Stay;
pub use self::request::View;
pub use self::sealed::begun;
pub use self::session::Session;
pub use self::session::detached;
pub use self::session::foreground;
pub use self::session::open;
pub use self::workspace::workspace_directory;
use crate::consent::Reading;
use crate::context::Context;
pub use crate::project::manifest::run::Reach;

/// What the projects or the image of a request ask for beyond the defaults, read once: what is shown of it is what can be
/// agreed to. `agents` are those that a build would put in.
pub fn asks(context: &Context, request: &Request, agents: &[String]) -> Result<Reading, RunError> {
    let meant = meant(context, &request.seen_from_here(context, request::For::Question)?, agents)?;
    let parts = meant.into_iter().map(|wanted| wanted.asks(context));
    Ok(Reading::new(parts.collect::<Result<_, _>>()?))
}

/// What `run` means by a request, and what the other verbs mean by the same words: without a manifest these are two projects,
/// since a run keeps the lock of a preset out of the current directory, and they keep it there.
fn meant(context: &Context, request: &Request, agents: &[String]) -> Result<Vec<Wanted>, RunError> {
    let mut meant = vec![Choice::find(context, request)?.wanted(context, request)?];
    meant.extend(
        Choice::built_here(context, request, agents)?
            .map(|choice| choice.wanted(context, request))
            .transpose()?,
    );
    Ok(meant)
}

/// Whether a sandbox of this request could reach `url`, without running anything.
pub fn check(context: &Context, request: &Request, url: &str) -> Result<Decision, RunError> {
    let request = &request.seen_from_here(context, request::For::Question)?;
    let choice = Choice::find(context, request)?;
    specify::ask(context, choice, request)?.0.decide(context, url)
}
