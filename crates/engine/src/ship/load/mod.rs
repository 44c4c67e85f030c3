//! `load`: an image into another tool's own storage.
//!
//! ```text
//! podman       `podman pull oci:LINK:NAME`: it reads the store in place and names the image by the path that it came from, so that
//!              LINK is a link with a name that podman takes; `podman tag`, `podman untag` give it its own
//! docker       POST /images/load to the daemon's socket, a Docker archive as it is made
//! containerd   `ctr images import -`, an OCI archive as it is made; `node`: the same for a runtime that pods are asked of
//! ```
//!
//! **Guarantees**: nothing is written that only passes through, except the plain tars of zstd layers for Docker; programs are found in
//! the `PATH` only, never where a sandbox or a project could have put one, and run without a shell.
//! **Refuses**: an image without a name for containerd, which finds images by nothing else.

mod docker;
mod error;
pub(crate) mod node;
mod podman;
mod program;

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use pinfold_base::Platform;
use pinfold_image::ImageSource;
use pinfold_image::export::Archive;
use pinfold_image::export::Selection;
use pinfold_image::export::known_name;
use pinfold_image::export::qualified;
use pinfold_image::export::stream;
use serde::Serialize;

pub use self::error::LoadError;
use self::program::Program;
use super::error::ShipError;
use crate::context::Context;

/// Where containerd listens unless said.
const CONTAINERD: &str = "/run/containerd/containerd.sock";

/// Whose storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// podman's.
    Podman,
    /// That of a Docker daemon.
    Docker,
    /// containerd's.
    Containerd,
}

impl Tool {
    /// What people call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
            Self::Containerd => "containerd",
        }
    }
}

/// What was loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loaded {
    /// The image, as it was asked for.
    pub image: String,
    /// Whose storage has it now.
    pub to: &'static str,
    /// What it is called there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By what it is known there, where it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The platform.
    pub platform: Platform,
}

/// Gives an image to another tool. `text` is what `source` was found by.
pub fn load(
    context: &Context,
    text: &str,
    source: &ImageSource,
    platform: Option<Platform>,
    tool: Tool,
) -> Result<Loaded, ShipError> {
    let platform = chosen(source, platform)?;
    let root = Selection::One(platform).root(source)?;
    let name = known_name(source.root());
    let scratch = context.store.root();
    let mut id = None;
    match tool {
        Tool::Podman => id = podman::load(context, text, source, (platform, &root), name.as_deref())?,
        Tool::Docker => {
            let socket = docker::socket(&context.environment)?;
            docker::load(&socket, |to| {
                Ok(stream(source, &root, Archive::Docker, name.as_deref(), scratch, to)?)
            })?;
        }
        Tool::Containerd => {
            if name.is_none() {
                return Err(LoadError::NoName { image: source.name().to_owned() }.into());
            }
            // `ctr` itself tries for ten seconds, and then says much.
            let socket = context.environment.filled("CONTAINERD_ADDRESS").unwrap_or(CONTAINERD);
            let socket = PathBuf::from(socket.strip_prefix("unix://").unwrap_or(socket));
            if let Err(reason) = UnixStream::connect(&socket) {
                return Err(LoadError::NoContainerd { socket, reason }.into());
            }
            Program::find(context, "ctr")?.feed(&["images", "import", "-"], |to| {
                Ok(stream(source, &root, Archive::Oci, name.as_deref(), scratch, to)?)
            })?;
        }
    }
    let name = match tool {
        // Docker has names without a registry of its own.
        Tool::Docker => name,
        Tool::Podman | Tool::Containerd => name.map(|name| qualified(&name)),
    };
    let id = id.filter(|_| name.is_none());
    Ok(Loaded { image: source.name().to_owned(), to: tool.word(), name, id, platform })
}

/// The platform that is loaded: this machine's unless said, or the only one there is.
fn chosen(source: &ImageSource, platform: Option<Platform>) -> Result<Platform, ShipError> {
    let wanted = if let Some(platform) = platform {
        platform
    } else {
        let there = source.platforms()?;
        match (Platform::host().filter(|host| there.contains_key(host)), there.len()) {
            (Some(host), _) => host,
            (None, 1) => there.into_keys().next().ok_or(ShipError::NoHost)?,
            (None, _) => Platform::host().ok_or(ShipError::NoHost)?,
        }
    };
    // Asking the image gives the error that lists what there is.
    source.image(wanted)?;
    Ok(wanted)
}
