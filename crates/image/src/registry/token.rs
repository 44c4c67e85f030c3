//! Ways in: passwords, and tokens by host, service and scopes, kept until just before they end.
//!
//! ```text
//! 401 + challenge ─► Basic ─► the password, to that host
//!                 └► Bearer ─► realm?service=…&scope=… ─► a token ─► to that host
//! ```
//!
//! **Guarantees**: a token is asked for once, however many threads want it (others wait for it); it is renewed before it ends and
//! once after it was refused; what it says is not read. Credentials go to the host that asked for them and to the realm that
//! it names, and nowhere else.
//!
//! **Refuses**: a realm on plain `http`, unless it and the registry both are written as this machine's loopback; a realm where a
//! server may lead nobody (private addresses, other services of this machine); redirects of a renewal to another origin.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Shown;
use pinfold_base::http;
use pinfold_base::http::Auth;
use pinfold_base::http::Content;
use pinfold_base::http::Exchange;
use pinfold_base::http::HttpError;
use pinfold_base::http::Method;
use pinfold_base::http::Named;
use pinfold_base::http::Reply;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Scheme;
use pinfold_base::http::Secret;
use serde::Deserialize;

use super::Credentials;
use super::Keyring;
use super::RegistryError;
use super::challenge;
use super::challenge::Challenge;
use super::endpoint::host_of;
use super::endpoint::is_here;
use super::endpoint::place;
use super::said;

/// The longest answer of a token server that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// The longest token, in bytes.
const MAX_TOKEN: usize = 64 << 10;
/// Most scopes asked for at once.
const MAX_SCOPES: usize = 16;
/// A token that says nothing about it lives so long (distribution, "Token Authentication Specification").
const USUAL_LIFE: u64 = 60;
/// A token is renewed so long before it ends.
const MARGIN: Duration = Duration::from_secs(10);

/// What is asked for: `repository:team/name`, and what is to be done there.
pub(super) type Scopes = BTreeMap<String, BTreeSet<String>>;

/// The scope of a repository.
pub(super) fn scope(repository: &str, actions: &[&str]) -> (String, BTreeSet<String>) {
    (format!("repository:{repository}"), actions.iter().map(|&action| action.to_owned()).collect())
}

/// The ways in that were found, for all clones of a client.
pub(super) struct Tokens {
    keyring: Arc<dyn Keyring>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By host: what its user has.
    credentials: BTreeMap<String, Credentials>,
    /// By host: how it wants to be asked.
    ways: BTreeMap<String, Way>,
    /// By host and what was wanted: what the host asked for.
    asked: BTreeMap<(String, Scopes), Scopes>,
    tokens: BTreeMap<Key, Arc<Mutex<Option<Kept>>>>,
}

#[derive(Clone, PartialEq, Eq)]
enum Way {
    Basic,
    Bearer { realm: SafeUrl, service: Option<String> },
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: String,
    realm: String,
    service: Option<String>,
    scopes: Scopes,
}

#[derive(Clone)]
struct Kept {
    token: Secret,
    until: Instant,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// Who asks a host.
pub(super) struct Asker<'a> {
    pub(super) http: &'a http::Client,
    /// The registry that was named; other hosts are where it led to.
    pub(super) registry: &'a SafeUrl,
    pub(super) named: Named,
    /// The host as files of logins have it.
    pub(super) key: &'a str,
    pub(super) repository: &'a str,
}

impl Asker<'_> {
    /// How the host of an address is called in files of logins.
    fn key(&self, at: &SafeUrl) -> String {
        if at.same_origin(self.registry) { self.key.to_owned() } else { host_of(at) }
    }
}

impl Tokens {
    pub(super) fn new(keyring: Arc<dyn Keyring>) -> Self {
        Self { keyring, state: Mutex::default() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to say to the host of an address before it has asked.
    pub(super) fn known(
        &self,
        asker: &Asker<'_>,
        at: &SafeUrl,
        wanted: &Scopes,
    ) -> Result<Auth, RegistryError> {
        let host = asker.key(at);
        let (way, scopes) = {
            let state = self.state();
            let scopes = state.asked.get(&(host.clone(), wanted.clone())).unwrap_or(wanted).clone();
            (state.ways.get(&host).cloned(), scopes)
        };
        match way {
            None => Ok(Auth::None),
            Some(way) => self.auth(asker, at, &way, &scopes, None),
        }
    }

    /// What to say to a host that answered 401 to `used`.
    pub(super) fn challenged(
        &self,
        asker: &Asker<'_>,
        reply: &Reply,
        wanted: &Scopes,
        used: &Auth,
    ) -> Result<Option<Auth>, RegistryError> {
        let at = reply.url();
        let host = asker.key(at);
        let wrong = |reason| RegistryError::Challenge { host: host_of(at), reason };
        let challenges = challenge::read(&reply.all("www-authenticate")).map_err(wrong)?;
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let (way, scopes) = match (of("bearer"), of("basic")) {
            (Some(bearer), _) => (bearer_way(asker, reply, bearer)?, merged(wanted, bearer).map_err(wrong)?),
            (None, Some(_)) => (Way::Basic, wanted.clone()),
            (None, None) if challenges.is_empty() => return Ok(None),
            (None, None) => return Err(wrong("it knows neither passwords nor tokens")),
        };
        {
            let mut state = self.state();
            state.asked.insert((host.clone(), wanted.clone()), scopes.clone());
            state.ways.insert(host, way.clone());
        }
        let auth = self.auth(asker, at, &way, &scopes, Some(used))?;
        Ok((auth != Auth::None && auth != *used).then_some(auth))
    }

    /// Takes a token away that was refused; whether it was one of these.
    pub(super) fn forget(&self, refused: &Auth) -> bool {
        let places: Vec<_> = self.state().tokens.values().cloned().collect();
        places.iter().any(|place| {
            let mut kept = place.lock().unwrap_or_else(PoisonError::into_inner);
            let found = kept.as_ref().is_some_and(|kept| *refused == Auth::Bearer(kept.token.clone()));
            if found {
                *kept = None;
            }
            found
        })
    }

    /// What the user has for a host; asked once.
    fn credentials(&self, asker: &Asker<'_>, host: &str) -> Result<Credentials, RegistryError> {
        let known = self.state().credentials.get(host).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.keyring.find(host, asker.repository)?;
        self.state().credentials.insert(host.to_owned(), found.clone());
        Ok(found)
    }

    fn auth(
        &self,
        asker: &Asker<'_>,
        at: &SafeUrl,
        way: &Way,
        scopes: &Scopes,
        refused: Option<&Auth>,
    ) -> Result<Auth, RegistryError> {
        let host = asker.key(at);
        let credentials = self.credentials(asker, &host)?;
        let (realm, service) = match (way, &credentials) {
            (_, Credentials::Token(token)) => return Ok(Auth::Bearer(token.clone())),
            (Way::Basic, Credentials::Password { user, password }) => {
                return Ok(Auth::Basic { user: user.clone(), password: password.clone() });
            }
            (Way::Basic, _) => return Ok(Auth::None),
            (Way::Bearer { realm, service }, _) => (realm, service),
        };
        let key = Key {
            host,
            realm: realm.expose().expose().to_owned(),
            service: service.clone(),
            scopes: scopes.clone(),
        };
        let place = self.state().tokens.entry(key).or_default().clone();
        let mut kept = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept
            && Instant::now() < kept.until
            && refused != Some(&Auth::Bearer(kept.token.clone()))
        {
            return Ok(Auth::Bearer(kept.token.clone()));
        }
        let fresh = ask(asker, at, realm, service.as_deref(), scopes, &credentials)?;
        let token = fresh.token.clone();
        *kept = Some(fresh);
        Ok(Auth::Bearer(token))
    }
}

/// Where tokens are asked for.
fn bearer_way(asker: &Asker<'_>, reply: &Reply, challenge: &Challenge) -> Result<Way, RegistryError> {
    let at = reply.url();
    let wrong = |reason| RegistryError::Challenge { host: host_of(at), reason };
    let text = challenge.parameters.get("realm").ok_or_else(|| wrong("it does not say where tokens are"))?;
    let realm = SafeUrl::parse(text).map_err(|_| wrong("the place of its tokens is no address"))?;
    let here = is_here(asker.registry) && is_here(at) && is_here(&realm);
    match realm.scheme() {
        Scheme::Https => {}
        Scheme::Http if here => {}
        Scheme::Http | Scheme::File => {
            let realm = realm.to_string();
            let realm = if reply.may_show(&realm) { Shown::of(&realm) } else { Shown::new("…") };
            return Err(RegistryError::Realm { host: host_of(at), realm });
        }
    }
    if realm.auth() != Auth::None {
        return Err(wrong("the place of its tokens has a login in it"));
    }
    Ok(Way::Bearer { realm, service: challenge.parameters.get("service").cloned() })
}

/// What is wanted, and what the host asks for beyond it.
fn merged(wanted: &Scopes, challenge: &Challenge) -> Result<Scopes, &'static str> {
    let mut scopes = wanted.clone();
    let asked = challenge.parameters.get("scope").map(String::as_str).unwrap_or_default();
    for scope in asked.split(' ').filter(|scope| !scope.is_empty()) {
        if scope.len() > 1024 || !scope.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("its scope is no text");
        }
        let (name, actions) = scope.rsplit_once(':').unwrap_or((scope, ""));
        let all = scopes.entry(name.to_owned()).or_default();
        all.extend(actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned));
    }
    if scopes.len() > MAX_SCOPES { Err("it asks for more than 16 scopes") } else { Ok(scopes) }
}

fn written(scopes: &Scopes) -> Vec<String> {
    let actions =
        |actions: &BTreeSet<String>| actions.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    scopes.iter().map(|(name, all)| format!("{name}:{}", actions(all))).collect()
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Asks a realm.
fn ask(
    asker: &Asker<'_>,
    at: &SafeUrl,
    realm: &SafeUrl,
    service: Option<&str>,
    scopes: &Scopes,
    credentials: &Credentials,
) -> Result<Kept, RegistryError> {
    let scopes = written(scopes);
    let mut pairs: Vec<(&str, &str)> = service.map(|service| ("service", service)).into_iter().collect();
    let auth = match credentials {
        Credentials::Password { user, password } => {
            Auth::Basic { user: user.clone(), password: password.clone() }
        }
        // What a token server that knows no renewal is told (the name stands for it in files of logins).
        Credentials::Identity(token) => Auth::Basic { user: "<token>".into(), password: token.clone() },
        Credentials::Anonymous | Credentials::Token(_) => Auth::None,
    };
    if let Credentials::Identity(token) = credentials {
        let all = scopes.join(" ");
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "pinfold"),
            ("service", service.unwrap_or_default()),
            ("scope", &all),
            ("refresh_token", token.expose()),
        ];
        // A query's spelling is that of a form.
        let text = realm.without_secrets().and_query(&form).expose();
        let form = Secret::new(text.expose().split_once('?').map_or("", |(_, form)| form));
        asker.http.confide(token);
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
        let reply = once(asker, at, realm, Method::Post, &Auth::None, &headers, Content::Secret(&form))?;
        if !matches!(reply.status(), 404 | 405) {
            return kept(asker, at, realm, reply);
        }
    }
    pairs.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
    if let Credentials::Password { user, .. } = credentials {
        pairs.push(("account", user));
    }
    let url = realm.and_query(&pairs);
    let reply = once(asker, at, &url, Method::Get, &auth, &[("accept", "application/json")], Content::None)?;
    kept(asker, at, realm, reply)
}

/// One request to a realm, made again where it fails in a passing way.
fn once(
    asker: &Asker<'_>,
    at: &SafeUrl,
    url: &SafeUrl,
    method: Method,
    auth: &Auth,
    headers: &[(&'static str, &str)],
    content: Content<'_>,
) -> Result<Reply, RegistryError> {
    let exchange = Exchange { method, url, named: asker.named, led_by: Some(at), auth, headers, content };
    let mut attempts = asker.http.attempts();
    loop {
        let begun = Instant::now();
        let mut again = |asked| attempts.again(begun.elapsed(), 0, asked);
        match asker.http.exchange(&exchange) {
            Err(error) if error.is_passing() && again(None) => {}
            Ok(reply) if is_passing(reply.status()) && again(reply.retry_after()) => {}
            result => return Ok(result?),
        }
    }
}

/// Statuses that say "later".
pub(super) const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

fn kept(asker: &Asker<'_>, at: &SafeUrl, realm: &SafeUrl, reply: Reply) -> Result<Kept, RegistryError> {
    // Whose login it is: that of the host that asked.
    let (host, asking) = (host_of(realm), host_of(at));
    let what = if host == asking { "a token".to_owned() } else { format!("a token from {host}") };
    let place = place(&asking, if at.same_origin(asker.registry) { asker.repository } else { "" });
    let (status, retry_after) = (reply.status(), reply.retry_after());
    match status {
        200 => {}
        400 | 401 | 403 => return Err(RegistryError::Denied { what, host: place, said: said(reply) }),
        _ => return Err(RegistryError::Status { what, host: place, status, retry_after, said: said(reply) }),
    }
    let wrong = |reason| RegistryError::Challenge { host: host.clone(), reason };
    let bytes = match reply.bytes(MAX_ANSWER) {
        Err(HttpError::TooLong { .. }) => {
            let (what, limit) = ("the answer with a token".into(), Some(MAX_ANSWER));
            return Err(RegistryError::TooLarge { what, host, size: MAX_ANSWER + 1, limit });
        }
        bytes => bytes?,
    };
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|_| wrong("its answer with the token cannot be read"))?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token).unwrap_or_default();
    if token.is_empty() || token.len() > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("its token is empty, longer than 64 KiB, or no text"));
    }
    let life = Duration::from_secs(answer.expires_in.unwrap_or(USUAL_LIFE).min(86_400));
    let until = Instant::now() + life.saturating_sub(MARGIN.min(life / 2));
    Ok(Kept { token: Secret::new(token), until })
}
