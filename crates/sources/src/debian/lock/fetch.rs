//! How the lock half gets bytes from an archive: one small trait, so that tests need no network.

use pinfold_base::http::Client;
use pinfold_base::http::Get;
use pinfold_base::http::HttpError;
use pinfold_base::http::Source;
use pinfold_base::http::Unjudged;

/// Gets small files (metadata) whole.
pub trait Fetch: Send + Sync {
    /// The bytes at `source`, at most `limit` of them; more is an error, as is anything but success.
    fn get(&self, source: &Source, limit: u64) -> Result<Vec<u8>, HttpError>;

    /// The same of what changes under its name: when it turns out right it may be kept, and asked about the next time.
    fn current(&self, source: &Source, limit: u64) -> Result<Unjudged, HttpError> {
        self.get(source, limit).map(Unjudged::new)
    }
}

impl Fetch for Client {
    fn get(&self, source: &Source, limit: u64) -> Result<Vec<u8>, HttpError> {
        Self::get(self, &source.url, &Get { auth: source.auth.clone(), limit, ..Get::default() })
    }

    fn current(&self, source: &Source, limit: u64) -> Result<Unjudged, HttpError> {
        Self::current(self, &source.url, &Get { auth: source.auth.clone(), limit, ..Get::default() })
    }
}
