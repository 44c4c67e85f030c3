//! Binary caches: a server, or a directory that `nix copy --to file://` filled.
//!
//! ```text
//! CACHE/nix-cache-info         StoreDir: /nix/store, Priority: 40 (a lower one is asked first)
//! CACHE/HASH.narinfo           what it says of one path; 404 and 403 where it has not (object stores hide what is not there)
//! CACHE/nar/FILEHASH.nar.xz    the path itself
//! ```
//!
//! **Guarantees**: narinfos are held to path and keys before anything is done with them ([`Verified`]); a cache that lacks a path,
//! fails, or says what cannot be trusted is no reason not to ask the next; what it answered is kept by the client, so that
//! an offline one says the same ([`Client::keeping`]); requests are bounded in number and length, and patient as the client is.
//! **Refuses**: caches of another store, addresses that lead elsewhere.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use pinfold_base::Reporter;
use pinfold_base::digest::Algorithm;
use pinfold_base::http::Client;
use pinfold_base::http::Get;
use pinfold_base::http::HttpError;
use pinfold_base::http::Named;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Source;
use pinfold_base::shown;
use pinfold_base::store::Store;

use super::NixError;
use super::closure::Answer;
use super::closure::Origin;
use super::key::TrustedKeys;
use super::locked::LockedPath;
use super::narinfo::Compression;
use super::narinfo::MAX_NAR;
use super::narinfo::MAX_NARINFO;
use super::narinfo::NarInfo;
use super::narinfo::NarInfoError;
use super::narinfo::Verified;
use super::store_path::STORE;
use super::store_path::StorePath;

/// Requests made at the same time.
const THREADS: usize = 16;
/// The longest `nix-cache-info`, in bytes.
const MAX_CACHE_INFO: u64 = 64 << 10;
/// What a cache counts as that does not say.
const PRIORITY: u32 = 50;

/// Where store paths may be, as `substituters` and manifests write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A binary cache.
    Cache {
        /// Its address.
        url: SafeUrl,
        /// What counts instead of what it says itself.
        priority: Option<u32>,
    },
    /// A store of this machine.
    Local {
        /// The directory that its `nix/store` is in.
        root: PathBuf,
        /// A file that lists what is in it, in place of its database.
        list: Option<PathBuf>,
    },
}

impl FromStr for Place {
    type Err = NixError;

    fn from_str(text: &str) -> Result<Self, NixError> {
        let short = || text.split('?').next().unwrap_or_default().chars().take(200).collect::<String>();
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let settings: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let setting = |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        if matches!(place, "local" | "auto" | "daemon") {
            let root = setting("root").filter(|_| place == "local").unwrap_or("/");
            let list = setting("list").filter(|_| place == "local");
            if let Some((what, _)) = [("root", Some(root)), ("list", list)]
                .into_iter()
                .find(|(_, path)| path.is_some_and(|path| !path.starts_with('/')))
            {
                let reason = shown!("its {what} is no absolute path");
                return Err(NixError::Place { text: shown!("{}", short()), reason });
            }
            return Ok(Self::Local { root: root.into(), list: list.map(PathBuf::from) });
        }
        let url = if place.starts_with('/') {
            SafeUrl::from_path(std::path::Path::new(place))
        } else {
            SafeUrl::parse(place)
        };
        let url =
            url.map_err(|error| NixError::Place { text: error.shown().clone(), reason: shown!("{error}") })?;
        let priority = setting("priority").and_then(|priority| priority.parse().ok());
        Ok(Self::Cache { url, priority })
    }
}

/// One cache as it is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Its address.
    pub url: SafeUrl,
    /// What counts instead of what it says itself.
    pub priority: Option<u32>,
    /// Who named it.
    pub named: Named,
}

/// What a cache says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheInfo {
    /// A cache with a lower number is asked before.
    pub priority: u32,
}

impl CacheInfo {
    /// Reads `nix-cache-info`; the error says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "its `nix-cache-info` is not text".to_owned())?;
        let (mut store, mut priority) = (None, None);
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (name, value) =
                line.split_once(':').ok_or("its `nix-cache-info` has other lines than `FIELD: VALUE`")?;
            let twice = match name {
                "StoreDir" => store.replace(value.trim()).is_some(),
                "Priority" => priority.replace(value.trim()).is_some(),
                _ => false,
            };
            if twice {
                return Err(format!("its `nix-cache-info` has `{name}` twice"));
            }
        }
        match store {
            Some(STORE) => {}
            Some(other) => return Err(format!("its paths are for the store `{}`", shown!("{other}"))),
            None => return Err("its `nix-cache-info` has no `StoreDir`".into()),
        }
        let priority = match priority {
            None => PRIORITY,
            Some(number) => number.parse().map_err(|_| "its `Priority` is no number".to_owned())?,
        };
        Ok(Self { priority })
    }
}

/// The caches of a configuration, behind one client.
#[derive(Debug)]
pub struct Caches {
    all: Vec<Cache>,
    keys: TrustedKeys,
    client: Client,
    /// Indices of caches in the order in which they are asked; found out at their first use.
    order: OnceLock<Vec<usize>>,
    opening: Mutex<()>,
}

impl Caches {
    /// Caches as configured; the client decides about the network. Nothing is asked yet.
    pub fn new(caches: Vec<Cache>, keys: TrustedKeys, client: Client) -> Result<Self, NixError> {
        if caches.is_empty() {
            return Err(NixError::NoCache);
        }
        if keys.is_empty() {
            return Err(NixError::NoKey);
        }
        Ok(Self { all: caches, keys, client, order: OnceLock::new(), opening: Mutex::new(()) })
    }

    /// As they were configured.
    pub fn caches(&self) -> &[Cache] {
        &self.all
    }

    /// Where a cache says what it is.
    pub fn about(&self, cache: &Cache) -> Result<Source, NixError> {
        at(cache, "nix-cache-info", "`nix-cache-info`")
    }

    /// Asks every cache what it is, once. They are then asked by their priority, those of one as they were configured.
    fn order(&self) -> Result<&[usize], NixError> {
        let _one = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(order) = self.order.get() {
            return Ok(order);
        }
        let mut order = Vec::new();
        for (index, cache) in self.all.iter().enumerate() {
            order.push((self.open(cache)?, index));
        }
        order.sort_unstable();
        Ok(self.order.get_or_init(|| order.into_iter().map(|(_, index)| index).collect()))
    }

    fn open(&self, cache: &Cache) -> Result<u32, NixError> {
        let Source { url, auth, .. } = self.about(cache)?;
        let not = |reason: String| NixError::NotACache { cache: cache.url.to_string(), reason };
        let get = Get { accept: None, auth, limit: MAX_CACHE_INFO };
        let answer = self.client.current(&url, &get).map_err(|error| {
            if error.is_not_found() {
                not("it has no `nix-cache-info`".into())
            } else {
                failed(cache, "`nix-cache-info`", error)
            }
        })?;
        let info = answer.judge(CacheInfo::parse).map_err(not)?;
        Ok(cache.priority.unwrap_or(info.priority))
    }

    /// What the caches say of one path.
    fn look_up(&self, path: &StorePath) -> Answer {
        let order = match self.order() {
            Ok(order) => order,
            Err(error) => return Answer::Refused(error),
        };
        let mut refused = None;
        for &index in order {
            match self.narinfo(&self.all[index], path) {
                Ok(Some(verified)) => return Answer::Has(Box::new(verified)),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%path, %error, "narinfo");
                    refused.get_or_insert(error);
                }
            }
        }
        refused.map_or(Answer::HasNot, Answer::Refused)
    }

    fn narinfo(&self, cache: &Cache, path: &StorePath) -> Result<Option<Verified>, NixError> {
        let what = || format!("what is said of `{path}`");
        let Source { url, auth, .. } = at(cache, &format!("{}.narinfo", path.hash()), &what())?;
        let get = Get { accept: None, auth, limit: MAX_NARINFO };
        let answer = match self.client.current(&url, &get) {
            Ok(answer) => answer,
            Err(HttpError::Status { status: 403, .. }) => return Ok(None),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(failed(cache, &what(), error)),
        };
        let verified = answer.judge(|bytes| NarInfo::parse(bytes)?.verify(path, &self.keys));
        verified.map(Some).map_err(|source: NarInfoError| NixError::NarInfo {
            path: path.clone(),
            cache: cache.url.to_string(),
            source: Box::new(source),
        })
    }

    /// Locks a path. Where its narinfo does not say which file it is, the file is fetched for that.
    pub fn lock(
        &self,
        verified: &Verified,
        store: &Store,
        reporter: &dyn Reporter,
    ) -> Result<LockedPath, NixError> {
        let info = verified.info();
        let Some(file) = verified.file() else {
            return Ok(LockedPath::new(verified, info.nar_hash.clone(), info.nar_size));
        };
        match (&file.hash, file.size, file.compression) {
            (_, _, Compression::None) => Ok(LockedPath::new(verified, info.nar_hash.clone(), info.nar_size)),
            (Some(hash), Some(size), _) => Ok(LockedPath::new(verified, hash.clone(), size)),
            _ => {
                let mut last = None;
                for &index in self.order()? {
                    let cache = &self.all[index];
                    let source = nar(cache, &info.path, &file.url)?;
                    let what = info.path.base_name();
                    match self.client.download_unknown(
                        &source,
                        what,
                        store,
                        MAX_NAR,
                        Algorithm::Sha256,
                        reporter,
                    ) {
                        Ok((digest, size)) => return Ok(LockedPath::new(verified, digest, size)),
                        Err(error) => last = Some(failed(cache, &format!("`{what}`"), error)),
                    }
                }
                Err(last.unwrap_or(NixError::NoCache))
            }
        }
    }

    /// Where a locked path may be had today: at each cache as they are configured now, in that order. None for a path that a
    /// local store had.
    pub fn sources(&self, locked: &LockedPath) -> Result<Vec<Source>, NixError> {
        let Some(url) = &locked.url else { return Ok(Vec::new()) };
        self.all.iter().map(|cache| nar(cache, &locked.path, url)).collect()
    }
}

impl Origin for Caches {
    fn names(&self) -> Vec<String> {
        self.all.iter().map(|cache| format!("the cache `{}`", cache.url)).collect()
    }

    fn ask(&self, paths: &[StorePath]) -> Vec<Answer> {
        let next = AtomicUsize::new(0);
        let answers: Vec<OnceLock<Answer>> = paths.iter().map(|_| OnceLock::new()).collect();
        std::thread::scope(|scope| {
            for _ in 0..paths.len().min(THREADS) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let (Some(path), Some(answer)) = (paths.get(at), answers.get(at)) else { break };
                        answer.get_or_init(|| self.look_up(path));
                    }
                });
            }
        });
        answers.into_iter().map(|answer| answer.into_inner().unwrap_or(Answer::HasNot)).collect()
    }
}

fn nar(cache: &Cache, path: &StorePath, url: &super::narinfo::NarUrl) -> Result<Source, NixError> {
    let url = url.at(&cache.url).map_err(|source| NixError::Url {
        what: format!("`{path}`"),
        cache: cache.url.to_string(),
        source,
    })?;
    Ok(source(cache, url))
}

fn at(cache: &Cache, file: &str, what: &str) -> Result<Source, NixError> {
    let url = cache.url.join(file).map_err(|source| NixError::Url {
        what: what.to_owned(),
        cache: cache.url.to_string(),
        source,
    })?;
    Ok(source(cache, url))
}

/// With the login that stands in the cache's own address.
fn source(cache: &Cache, url: SafeUrl) -> Source {
    Source { auth: cache.url.auth(), url, named: cache.named }
}

fn failed(cache: &Cache, what: &str, source: HttpError) -> NixError {
    NixError::Http { what: what.to_owned(), cache: cache.url.to_string(), source: Box::new(source) }
}

#[cfg(test)]
mod tests;
