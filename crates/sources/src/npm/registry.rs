//! Asks registries for packuments, each once per run, several at a time.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use pinfold_base::http::Auth;
use pinfold_base::http::Client;
use pinfold_base::http::Get;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Scheme;
use pinfold_base::http::Source;

use super::Config;
use super::LockedNpm;
use super::NpmError;
use super::packument::MAX_PACKUMENT;
use super::packument::Packument;
use super::packument::check_name;

/// Requests made at the same time.
const THREADS: usize = 16;

/// The registries of a configuration, behind one client.
#[derive(Debug)]
pub struct Registry {
    config: Config,
    client: Client,
    known: Mutex<BTreeMap<String, Arc<Packument>>>,
}

impl Registry {
    /// Registries as configured; the client decides about the network.
    pub fn new(config: Config, client: Client) -> Self {
        Self { config, client, known: Mutex::new(BTreeMap::new()) }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the document about a package is.
    pub fn document(&self, name: &str) -> Result<Source, NpmError> {
        check_name(name)?;
        let failed = |source| NpmError::Http { package: name.into(), source };
        let url = self.config.registry_for(name).join(&encoded(name));
        let url = url.map_err(|error| failed(error.into()))?;
        Ok(Source { auth: self.auth(&url), ..Source::open(url) })
    }

    /// The versions of a package. The full document is asked for, since the short one has no times.
    pub fn packument(&self, name: &str) -> Result<Arc<Packument>, NpmError> {
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(known.clone());
        }
        let failed = |source| NpmError::Http { package: name.into(), source };
        let Source { url, auth, .. } = self.document(name)?;
        let get = Get { accept: Some("application/json"), auth, limit: MAX_PACKUMENT };
        let answer = self.client.current(&url, &get).map_err(|error| {
            if error.is_not_found() {
                NpmError::NotFound {
                    package: name.to_owned(),
                    registry: self.config.registry_for(name).to_string(),
                    chain: Vec::new(),
                }
            } else {
                failed(error)
            }
        })?;
        let packument = Arc::new(answer.judge(|bytes| Packument::parse(name, bytes))?);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), packument.clone());
        Ok(packument)
    }

    /// Asks for several packages at the same time. Failures are not told here but when the package is asked for again.
    pub fn prefetch(&self, names: &BTreeSet<String>) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let names: Vec<_> = names.iter().filter(|name| !known.contains_key(*name)).collect();
        if names.len() < 2 {
            return;
        }
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..names.len().min(THREADS) {
                scope.spawn(|| {
                    while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Err(error) = self.packument(name) {
                            tracing::debug!(package = name, %error, "packument");
                        }
                    }
                });
            }
        });
    }

    /// Where a locked tarball can be had today: relative to the registry as it is configured now.
    pub fn source(&self, package: &LockedNpm) -> Result<Source, NpmError> {
        let url = self.config.registry_for(&package.name).join(&package.path).map_err(|error| {
            NpmError::Tarball {
                package: package.name.clone(),
                version: package.version.clone(),
                reason: error.to_string(),
            }
        })?;
        let auth = self.auth(&url);
        Ok(Source { auth, ..Source::open(url) })
    }

    fn auth(&self, url: &SafeUrl) -> Auth {
        match self.config.auth_for(url) {
            Auth::None => url.auth(),
            auth => auth,
        }
    }

    /// The path of a tarball relative to its registry. Registries behind a proxy may name another host in their packuments:
    /// then the part that npm's convention fixes is taken, `NAME/-/FILE.tgz`.
    pub(super) fn tarball_path(
        &self,
        package: &str,
        version: &str,
        tarball: Option<&str>,
    ) -> Result<String, NpmError> {
        let wrong = |reason: String| NpmError::Tarball {
            package: package.to_owned(),
            version: version.to_owned(),
            reason,
        };
        let short = package.rsplit('/').next().unwrap_or(package);
        let Some(tarball) = tarball else {
            return Ok(format!("{package}/-/{short}-{version}.tgz"));
        };
        let url = SafeUrl::parse(tarball).map_err(|error| wrong(error.to_string()))?;
        if url.scheme() == Scheme::File {
            return Err(wrong(format!("`{url}` is a file of this machine")));
        }
        let registry = self.config.registry_for(package);
        let path = match url.relative_to(registry) {
            Some(path) => path,
            None => [package.to_owned(), encoded(package), encoded(package).replace("%2f", "%2F")]
                .iter()
                .find_map(|name| Some(&url.path()[url.path().rfind(&format!("/{name}/-/"))? + 1..]))
                .ok_or_else(|| wrong(format!("`{url}` is not below `{registry}`")))?,
        };
        // What comes from a registry must be usable when the lock is read back.
        registry.join(path).map_err(|error| wrong(error.to_string()))?;
        Ok(path.to_owned())
    }
}

/// A name as it stands in a registry's address: the slash of a scope is encoded.
fn encoded(name: &str) -> String {
    name.replacen('/', "%2f", 1)
}
