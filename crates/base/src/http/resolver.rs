//! Remembers addresses, so that a name is looked up once for many requests.
//!
//! The HTTP library asks for the address before it looks for an open connection, that is for every request, from every thread.
//! Name servers drop some of sixteen equal questions, and each that is dropped costs its thread five seconds (measured
//! here: 10 s instead of 0.4 s for the packuments of 68 npm packages).

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::resolver::ResolvedSocketAddrs;
use ureq::unversioned::resolver::Resolver;
use ureq::unversioned::transport::NextTimeout;

use super::SafeUrl;
use crate::address::Resolve;

/// A name that could not be looked up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAddress(io::Error);

/// How long an answer is used.
const LIFETIME: Duration = Duration::from_secs(60);

type Answer = Option<(Instant, ResolvedSocketAddrs)>;

/// A resolver that asks once per host and minute; threads that want the same host wait for one answer.
#[derive(Default)]
pub(super) struct Remembering {
    asked: DefaultResolver,
    /// Who is asked instead of the machine's own resolver.
    names: Option<Arc<dyn Resolve>>,
    known: Mutex<BTreeMap<String, Arc<Mutex<Answer>>>>,
}

impl std::fmt::Debug for Remembering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remembering").finish_non_exhaustive()
    }
}

impl Remembering {
    pub(super) fn new(names: Option<Arc<dyn Resolve>>) -> Self {
        Self { names, ..Self::default() }
    }

    /// The addresses of a place that was asked for.
    pub(super) fn known(&self, url: &SafeUrl) -> Vec<IpAddr> {
        let Ok(uri) = url.request_text().expose().parse::<Uri>() else { return Vec::new() };
        let Some(entry) = lock(&self.known).get(&place(&uri)).cloned() else { return Vec::new() };
        let answer = lock(&entry);
        answer.iter().flat_map(|(_, addresses)| addresses.iter()).map(SocketAddr::ip).collect()
    }

    fn ask(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let written = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let (Some(names), Err(_)) = (&self.names, written) else {
            // What the system says of it is told; that it was about the name is kept.
            return self.asked.resolve(uri, config, timeout).map_err(|error| match error {
                ureq::Error::Io(error) => io::Error::new(error.kind(), NoAddress(error)).into(),
                other => other,
            });
        };
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut addresses = self.empty();
        for address in names.resolve(host)?.into_iter().take(4) {
            addresses.push(SocketAddr::new(address, port));
        }
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// Scheme, host and port: what is looked up once.
fn place(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |a| a.as_str()))
}

impl Resolver for Remembering {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let entry = lock(&self.known).entry(place(uri)).or_default().clone();
        let mut answer = lock(&entry);
        if let Some((since, addresses)) = &*answer
            && since.elapsed() < LIFETIME
        {
            return Ok(addresses.clone());
        }
        let addresses = self.ask(uri, config, timeout)?;
        *answer = Some((Instant::now(), addresses.clone()));
        Ok(addresses)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
