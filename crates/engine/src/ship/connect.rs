//! Clients for registries, as this machine is set up: its proxies, its trust in certificates, its mirrors, the user's logins.
//!
//! **Guarantees**: a registry's own authorities are trusted for it alone, and a login is asked for by the name of the place that is
//! asked, not by the one that was said.

use std::sync::Arc;
use std::time::Duration;

use pinfold_base::http;
use pinfold_image::registry::Client;
use pinfold_image::registry::Endpoint;
use pinfold_image::registry::Keyring;
use pinfold_image::registry::Remote;

use super::error::ShipError;
use super::login::UserKeyring;
use super::registries::Place;
use super::registries::Registries;
use crate::context::Context;
use crate::context::Network;

/// Registries hash what they were sent before they answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// Clients for the places that an image is read from, in the order in which they are asked: mirrors, then its own.
pub fn reading(context: &Context, remote: &Remote) -> Result<Vec<Client>, ShipError> {
    let registries = Registries::of(context)?;
    let keyring: Arc<dyn Keyring> = Arc::new(UserKeyring::of(context));
    let places = registries.reading(remote)?;
    let last = places.len().saturating_sub(1);
    let made = places.iter().enumerate().map(|(at, place)| {
        // Of a mirror that fails nobody expects that it comes back: there is another place.
        let retries = if at < last { 0 } else { http::Options::default().retries };
        client(context, &registries, place, keyring.clone(), retries)
    });
    made.collect()
}

/// A client for the place that an image is written to.
pub fn writing(context: &Context, remote: &Remote) -> Result<Client, ShipError> {
    with(context, remote, UserKeyring::of(context))
}

/// The same with another keyring than the user's.
pub(super) fn with(
    context: &Context,
    remote: &Remote,
    keyring: impl Keyring + 'static,
) -> Result<Client, ShipError> {
    let registries = Registries::of(context)?;
    let place = registries.writing(remote)?;
    client(context, &registries, &place, Arc::new(keyring), http::Options::default().retries)
}

fn client(
    context: &Context,
    registries: &Registries,
    place: &Place,
    keyring: Arc<dyn Keyring>,
    retries: u32,
) -> Result<Client, ShipError> {
    let Place { remote, insecure } = place;
    let client = match context.network() {
        Network::Online => http::Client::patient(http::Options {
            retries,
            idle_timeout: PATIENCE,
            roots: registries.authorities(&remote.host)?,
            ..http::Options::default()
        })?,
        Network::Offline => http::Client::offline(),
    };
    let endpoint = Endpoint::of(&remote.host, *insecure)?;
    Ok(Client::new(client, endpoint, &remote.repository, keyring))
}
