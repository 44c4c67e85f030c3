//! A client for a registry, as this machine is set up: its proxies, its trust in certificates, the user's logins.

use std::sync::Arc;
use std::time::Duration;

use pinfold_base::http;
use pinfold_image::registry::Client;
use pinfold_image::registry::Endpoint;
use pinfold_image::registry::Remote;

use super::error::ShipError;
use super::login::UserKeyring;
use crate::context::Context;
use crate::context::Network;

/// Registries hash what they were sent before they answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// A client for the repository of a remote image. The only place that makes one.
pub fn connect(context: &Context, remote: &Remote) -> Result<Client, ShipError> {
    let client = match context.network() {
        Network::Online => {
            http::Client::patient(http::Options { idle_timeout: PATIENCE, ..http::Options::default() })?
        }
        Network::Offline => http::Client::offline(),
    };
    let endpoint = Endpoint::of(&remote.host, false)?;
    Ok(Client::new(client, endpoint, &remote.repository, Arc::new(UserKeyring::of(context))))
}
