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
use super::registries::Line;
use super::registries::Place;
use super::registries::Registries;
use crate::context::Context;
use crate::context::Network;

/// How long a mirror is waited for.
const MIRROR: Duration = Duration::from_secs(10);

/// Clients for the places that an image is read from, in the order in which they are asked: mirrors, then its own.
pub fn reading(context: &Context, remote: &Remote) -> Result<Vec<Client>, ShipError> {
    let registries = Registries::of(context)?;
    let keyring: Arc<dyn Keyring> = Arc::new(UserKeyring::of(context));
    let places = registries.reading(remote)?;
    let last = places.len().saturating_sub(1);
    let made = places.iter().enumerate().map(|(at, place)| {
        if at == last {
            return client(context, &registries, place, keyring.clone(), http::Options::default());
        }
        // Of a mirror that fails nobody expects that it comes back: there is another place.
        let short = http::Options {
            retries: 0,
            idle_timeout: MIRROR,
            connect_timeout: MIRROR,
            ..http::Options::default()
        };
        Ok(client(context, &registries, place, keyring.clone(), short)?.asked_until_silent())
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
    client(context, &registries, &place, Arc::new(keyring), http::Options::default())
}

fn client(
    context: &Context,
    registries: &Registries,
    place: &Place,
    keyring: Arc<dyn Keyring>,
    options: http::Options,
) -> Result<Client, ShipError> {
    let Place { remote, line } = place;
    let roots = registries.authorities(&remote.host)?;
    let endpoint = match line {
        Line::Tls => Endpoint::over_tls(&remote.host)?,
        // Whoever gave it an authority speaks TLS with it.
        Line::Usual if !roots.is_empty() => Endpoint::over_tls(&remote.host)?,
        Line::Usual | Line::Plain => Endpoint::of(&remote.host, *line == Line::Plain)?,
    };
    let client = match context.network() {
        Network::Online => http::Client::patient(http::Options { roots, ..options })?,
        Network::Offline => http::Client::offline(),
    };
    Ok(Client::new(client, endpoint, &remote.repository, keyring))
}
