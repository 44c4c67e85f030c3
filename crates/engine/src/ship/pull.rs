//! `pull`: an image of a registry into the store of this machine.
//!
//! **Guarantees**: before the user's rules let it in, nothing is read of an image but the one document that its name leads to.

use std::time::SystemTime;

use pinfold_base::Platform;
use pinfold_base::time::rfc3339;
use pinfold_image::Reference;
use pinfold_image::registry::Remote;
use pinfold_image::registry::pull::Looked;
use pinfold_image::registry::pull::Pulled;
use pinfold_image::registry::pull::Wanted;
use pinfold_image::registry::pull::look;
use pinfold_image::registry::pull::take;

use super::admit;
use super::connect;
use super::error::ShipError;
use super::registries::Registries;
use crate::context::Context;

/// Which platforms of an image are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Platforms {
    /// This machine's.
    #[default]
    Host,
    /// This one.
    One(Platform),
    /// All of them, with their index.
    All,
}

impl From<Option<Platform>> for Platforms {
    fn from(platform: Option<Platform>) -> Self {
        platform.map_or(Self::Host, Self::One)
    }
}

/// Brings the image of that name into the store, or finds that it is there. A name without a registry is what the configuration
/// of registries makes of it.
pub fn pull(context: &Context, reference: &Reference, platforms: Platforms) -> Result<Pulled, ShipError> {
    let wanted = match platforms {
        Platforms::All => Wanted::All,
        Platforms::One(platform) => Wanted::Platform(platform),
        Platforms::Host => Wanted::Host(Platform::host().ok_or(ShipError::NoHost)?),
    };
    let reference = &Registries::of(context)?.qualified(reference)?;
    let clients = connect::reading(context, &Remote::of(reference)?)?;
    let store = context.images()?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = rfc3339(now.as_secs());
    // What was let in under other rules is looked at again.
    let look_here = !admit::is_ruled(context, reference)?;
    match look(&clients, &store, reference, wanted, look_here)? {
        Looked::Here(pulled) => {
            store.resolved(reference, &now)?;
            Ok(pulled)
        }
        Looked::Found(found) => {
            let found = admit::document(context, &clients, reference, found)?;
            Ok(take(&clients, &store, reference, &found, wanted, &now, &*context.reporter)?)
        }
    }
}
