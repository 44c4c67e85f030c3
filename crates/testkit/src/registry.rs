//! A registry of images on loopback, with a flag for each thing that real ones do wrong.
//!
//! Without flags it answers as Debian's `docker-registry` 2.8.2 does: uploads by `POST` and one `PUT` with absolute places, mounts,
//! ranges, tags unsorted; no referrers, no `OCI-Subject`; a manifest whose parts are missing is refused. [`Registry::requests`]
//! tells all that was asked, [`Registry::with`] looks at or changes what is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_base::Digest;
use serde_json::Value;
use serde_json::json;

use crate::http::Request;
use crate::http::Response;
use crate::http::Server;

/// The one user: name and password.
pub const USER: (&str, &str) = ("me", "s3cret-password");
/// The one identity token.
pub const IDENTITY: &str = "s3cret-identity";

/// How a registry asks who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Nobody.
    Nothing,
    /// By a password.
    Basic,
    /// By a token of the registry's own server, which stands at `/token`.
    Bearer(Bearer),
}

/// How tokens are given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    /// The realm instead of the registry's own.
    pub realm: Option<String>,
    /// What is told about the life of a token.
    pub expires_in: Option<u64>,
    /// After so many requests a token is refused.
    pub lives: usize,
    /// Named `access_token` instead of `token`.
    pub named_access: bool,
    /// Whether renewal by `POST` is known; 404 otherwise.
    pub renews: bool,
    /// Whether nobody needs a password.
    pub anonymous: bool,
    /// Scopes (`repository:NAME`) for which no token is given.
    pub denied: Vec<String>,
}

impl Default for Bearer {
    fn default() -> Self {
        Self {
            realm: None,
            expires_in: Some(300),
            lives: usize::MAX,
            named_access: false,
            renews: true,
            anonymous: true,
            denied: Vec::new(),
        }
    }
}

/// What is answered to `HEAD` of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// All of it.
    Full,
    /// No `Docker-Content-Digest`.
    NoDigest,
    /// This status.
    Refused(u16),
}

/// What becomes of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// It is made.
    Done,
    /// An upload begins instead.
    Missed,
    /// This status.
    Refused(u16),
}

/// What is answered to a request for referrers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referrers {
    /// The list.
    Listed,
    /// This status.
    Refused(u16),
}

/// How a place to go on is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// With the host.
    Absolute,
    /// Without.
    Relative,
    /// On another host: that address, without a slash at its end.
    Other(String),
}

/// What `PATCH` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    /// It appends.
    Appends,
    /// It answers 201 and drops what was sent.
    Drops,
    /// Only the last chunk is kept.
    KeepsLast,
    /// More than so many bytes are 416.
    AtMost(usize),
    /// 405.
    Unknown,
}

/// An answer in place of the registry's own.
pub type Instead = Arc<dyn Fn(&Request) -> Option<Response> + Send + Sync>;

/// What this registry does otherwise.
#[derive(Clone)]
pub struct Quirks {
    /// How it asks who is there.
    pub asks: Asks,
    /// What becomes of mounts.
    pub mount: Mount,
    /// Whether referrers are listed.
    pub referrers: Referrers,
    /// Whether `OCI-Subject` is sent for manifests with a subject.
    pub subject_header: bool,
    /// What `HEAD` of a manifest says.
    pub head: Head,
    /// Whether a manifest is 404 where its very type is not among the accepted ones.
    pub exact_accept: bool,
    /// What `PATCH` does.
    pub patch: Patch,
    /// Whether a session is known by any of its places, not the newest only.
    pub old_places: bool,
    /// How places are written.
    pub place: Place,
    /// Blobs are at this address (without a slash at its end) instead.
    pub blobs_at: Option<String>,
    /// Larger content is 413.
    pub body_limit: Option<usize>,
    /// A tag cannot be moved.
    pub immutable_tags: bool,
    /// Cancelling an upload is 405.
    pub cancel_refused: bool,
    /// Answers that go before all others.
    pub instead: Option<Instead>,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            asks: Asks::Nothing,
            mount: Mount::Done,
            referrers: Referrers::Refused(404),
            subject_header: false,
            head: Head::Full,
            exact_accept: true,
            patch: Patch::Appends,
            old_places: false,
            place: Place::Absolute,
            blobs_at: None,
            body_limit: None,
            immutable_tags: false,
            cancel_refused: false,
            instead: None,
        }
    }
}

impl fmt::Debug for Quirks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quirks").field("asks", &self.asks).finish_non_exhaustive()
    }
}

/// What a registry keeps.
#[derive(Debug, Default)]
pub struct Kept {
    /// By repository and digest.
    pub blobs: BTreeMap<(String, String), Vec<u8>>,
    /// By repository and digest: media type and bytes.
    pub manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    /// By repository and tag: the digest.
    pub tags: BTreeMap<(String, String), String>,
    /// Uploads under way: what came, and how often a place was given.
    uploads: BTreeMap<String, (Vec<u8>, usize)>,
    begun: usize,
    /// Tokens: their scopes, and how many requests they are good for.
    tokens: BTreeMap<String, (Vec<String>, usize)>,
}

impl Kept {
    /// Keeps a blob.
    pub fn put_blob(&mut self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        self.blobs.insert((repository.into(), digest.to_string()), bytes.to_vec());
        digest
    }

    /// Keeps a manifest, under a tag where one is given.
    pub fn put_manifest(&mut self, repository: &str, tag: Option<&str>, kind: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        self.manifests.insert((repository.into(), digest.to_string()), (kind.into(), bytes.to_vec()));
        if let Some(tag) = tag {
            self.tags.insert((repository.into(), tag.into()), digest.to_string());
        }
        digest
    }
}

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    server: Server,
    kept: Arc<Mutex<Kept>>,
}

impl Registry {
    /// Starts an empty one.
    pub fn start(quirks: Quirks) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let (early, handled) = (quirks.clone(), kept.clone());
        let refuses = move |request: &Request| {
            let length = request.header("content-length").and_then(|text| text.parse::<usize>().ok());
            let limit = early.body_limit?;
            length.filter(|&length| length > limit).map(|_| Response::status(413))
        };
        let server = Server::asked_first(refuses, move |request| {
            let instead = quirks.instead.as_ref().and_then(|instead| instead(request));
            instead.unwrap_or_else(|| Answering { quirks: &quirks, kept: &handled, request }.answer())
        });
        Self { server, kept }
    }

    /// `127.0.0.1:PORT`, as it stands in names of images.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// All that was asked.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// All that was asked, each as `METHOD PATH` without its query.
    pub fn asked(&self) -> Vec<String> {
        let line = |request: &Request| {
            format!("{} {}", request.method, request.path.split('?').next().unwrap_or_default())
        };
        self.requests().iter().map(line).collect()
    }

    /// Looks at or changes what is kept.
    pub fn with<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(&mut locked(&self.kept))
    }
}

fn locked(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Answering<'a> {
    quirks: &'a Quirks,
    kept: &'a Mutex<Kept>,
    request: &'a Request,
}

/// An error as the distribution specification writes it.
pub fn error(status: u16, code: &str) -> Response {
    let body = json!({ "errors": [{ "code": code, "message": code.to_lowercase().replace('_', " ") }] });
    Response { status, ..Response::ok(body.to_string()) }.header("Content-Type", "application/json")
}

impl Answering<'_> {
    fn answer(&self) -> Response {
        let (path, query) = self.request.path.split_once('?').unwrap_or((&self.request.path, ""));
        let query = pairs(query);
        if path == "/token" {
            return self.token();
        }
        let Some(rest) = path.strip_prefix("/v2/") else { return error(404, "NOT_FOUND") };
        let place = ["/blobs/uploads/", "/blobs/", "/manifests/", "/tags/", "/referrers/"]
            .into_iter()
            .find_map(|kind| rest.split_once(kind).map(|(repository, name)| (repository, kind, name)));
        let Some((repository, kind, name)) = place else {
            // `/v2/` asks who is there, as real ones do.
            return self.refused(&[]).unwrap_or_else(|| Response::ok("{}"));
        };
        let write = !matches!(self.request.method.as_str(), "GET" | "HEAD");
        let mut needed = vec![(repository.to_owned(), if write { "push" } else { "pull" })];
        if let Some(from) = query.get("from") {
            needed.push((from.clone(), "pull"));
        }
        if let Some(refused) = self.refused(&needed) {
            return refused;
        }
        if self.quirks.body_limit.is_some_and(|limit| self.request.body.len() > limit) {
            return Response::status(413);
        }
        match kind {
            "/blobs/uploads/" => self.upload(repository, name, &query),
            "/blobs/" => self.blob(repository, name),
            "/manifests/" => self.manifest(repository, name),
            "/tags/" => self.tags(repository),
            _ => self.referrers(repository, name),
        }
    }

    /// The answer to who may not do this.
    fn refused(&self, needed: &[(String, &str)]) -> Option<Response> {
        let given = self.request.header("authorization");
        let denied = |challenge: &str| Some(error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge));
        match &self.quirks.asks {
            Asks::Nothing => None,
            Asks::Basic if given == Some(&basic(USER.0, USER.1)) => None,
            Asks::Basic => denied("Basic realm=\"registry, for tests\""),
            Asks::Bearer(bearer) => {
                let wanted: Vec<String> =
                    needed.iter().map(|(name, action)| format!("repository:{name}:{action}")).collect();
                let mut kept = locked(self.kept);
                let token = given.and_then(|given| given.strip_prefix("Bearer "));
                if let Some((scopes, left)) = token.and_then(|token| kept.tokens.get_mut(token))
                    && *left > 0
                    && wanted.iter().all(|wanted| scopes.contains(wanted))
                {
                    *left -= 1;
                    return None;
                }
                let host = self.request.header("host").unwrap_or_default();
                let realm = bearer.realm.clone().unwrap_or_else(|| format!("http://{host}/token"));
                let scope = wanted.join(" ");
                denied(&format!("Bearer realm=\"{realm}\",service=\"tests\",scope=\"{scope}\""))
            }
        }
    }

    fn token(&self) -> Response {
        let Asks::Bearer(bearer) = &self.quirks.asks else { return error(404, "NOT_FOUND") };
        let given = self.request.header("authorization");
        let form = pairs(std::str::from_utf8(&self.request.body).unwrap_or_default());
        let renewal = self.request.method == "POST";
        if renewal && !bearer.renews {
            return Response::status(404);
        }
        let known = if renewal {
            form.get("grant_type").is_some_and(|kind| kind == "refresh_token")
                && form.get("refresh_token").is_some_and(|token| token == IDENTITY)
        } else {
            match given {
                None => bearer.anonymous,
                Some(given) => given == basic(USER.0, USER.1) || given == basic("<token>", IDENTITY),
            }
        };
        if !known {
            return error(401, "UNAUTHORIZED");
        }
        let raw = if renewal {
            String::from_utf8_lossy(&self.request.body).into_owned()
        } else {
            self.request.path.split_once('?').map(|(_, query)| query.to_owned()).unwrap_or_default()
        };
        let mut scopes = Vec::new();
        for pair in raw.split('&').filter_map(|pair| pair.strip_prefix("scope=")) {
            for scope in decoded(pair).split(' ') {
                let (name, actions) = scope.rsplit_once(':').unwrap_or((scope, ""));
                if bearer.denied.iter().any(|denied| denied == name) {
                    return error(403, "DENIED");
                }
                scopes.extend(actions.split(',').map(|action| format!("{name}:{action}")));
            }
        }
        let mut kept = locked(self.kept);
        let token = format!("s3cret-token-{}", kept.tokens.len());
        kept.tokens.insert(token.clone(), (scopes, bearer.lives));
        let mut answer = json!({});
        answer[if bearer.named_access { "access_token" } else { "token" }] = token.into();
        if let Some(seconds) = bearer.expires_in {
            answer["expires_in"] = seconds.into();
        }
        Response::ok(answer.to_string())
    }

    fn blob(&self, repository: &str, digest: &str) -> Response {
        let kept = locked(self.kept);
        match kept.blobs.get(&(repository.to_owned(), digest.to_owned())) {
            None => error(404, "BLOB_UNKNOWN"),
            Some(_) if self.quirks.blobs_at.is_some() && self.request.method == "GET" => {
                let at = self.quirks.blobs_at.as_deref().unwrap_or_default();
                Response::redirect(307, &format!("{at}/{digest}?signature=s3cret-signature"))
            }
            Some(bytes) => Response::ranged(self.request, bytes).header("Docker-Content-Digest", digest),
        }
    }

    fn place(&self, repository: &str, id: &str, turn: usize) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/{id}?_state=s3cret-state-{turn}");
        match &self.quirks.place {
            Place::Absolute => format!("http://{}{path}", self.request.header("host").unwrap_or_default()),
            Place::Relative => path,
            Place::Other(at) => format!("{at}{path}"),
        }
    }

    fn upload(&self, repository: &str, id: &str, query: &BTreeMap<String, String>) -> Response {
        let mut kept = locked(self.kept);
        if self.request.method == "POST" {
            if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from")) {
                let bytes = kept.blobs.get(&(from.clone(), digest.clone())).cloned();
                match (self.quirks.mount, bytes) {
                    (Mount::Refused(status), _) => return error(status, "DENIED"),
                    (Mount::Done, Some(bytes)) => {
                        kept.blobs.insert((repository.into(), digest.clone()), bytes);
                        return Response::status(201)
                            .header("Location", &format!("/v2/{repository}/blobs/{digest}"));
                    }
                    _ => {}
                }
            }
            kept.begun += 1;
            let id = format!("upload-{}", kept.begun);
            kept.uploads.insert(id.clone(), (Vec::new(), 0));
            return Response::status(202)
                .header("Location", &self.place(repository, &id, 0))
                .header("Range", "0-0");
        }
        let stale = |turn: usize| query.get("_state") != Some(&format!("s3cret-state-{turn}"));
        let Some((came, turn)) = kept.uploads.get_mut(id) else { return error(404, "BLOB_UPLOAD_UNKNOWN") };
        if stale(*turn) && !self.quirks.old_places {
            return error(404, "BLOB_UPLOAD_INVALID");
        }
        let body = &self.request.body;
        match self.request.method.as_str() {
            "PATCH" => {
                match self.quirks.patch {
                    Patch::Unknown => return Response::status(405),
                    Patch::AtMost(most) if body.len() > most => return Response::status(416),
                    Patch::Drops => {}
                    Patch::KeepsLast => came.clone_from(body),
                    Patch::Appends | Patch::AtMost(_) => came.extend(body),
                }
                *turn += 1;
                let (length, turn) = (came.len(), *turn);
                let status = if self.quirks.patch == Patch::Drops { 201 } else { 202 };
                Response::status(status)
                    .header("Location", &self.place(repository, id, turn))
                    .header("Range", &format!("0-{}", length.saturating_sub(1)))
            }
            "GET" => {
                let (length, turn) = (came.len(), *turn);
                Response::status(204)
                    .header("Location", &self.place(repository, id, turn))
                    .header("Range", &format!("0-{}", length.saturating_sub(1)))
            }
            "PUT" => {
                let whole = [&came[..], body].concat();
                let digest = query.get("digest").cloned().unwrap_or_default();
                if Digest::sha256(&whole).to_string() != digest {
                    return error(400, "DIGEST_INVALID");
                }
                kept.uploads.remove(id);
                kept.blobs.insert((repository.into(), digest.clone()), whole);
                Response::status(201)
                    .header("Location", &format!("/v2/{repository}/blobs/{digest}"))
                    .header("Docker-Content-Digest", &digest)
            }
            "DELETE" if self.quirks.cancel_refused => Response::status(405),
            "DELETE" => {
                kept.uploads.remove(id);
                Response::status(204)
            }
            _ => Response::status(405),
        }
    }

    fn manifest(&self, repository: &str, name: &str) -> Response {
        let mut kept = locked(self.kept);
        let key = |name: &str| (repository.to_owned(), name.to_owned());
        if self.request.method == "PUT" {
            let bytes = &self.request.body;
            let digest = Digest::sha256(bytes).to_string();
            let kind = self.request.header("content-type").unwrap_or_default().to_owned();
            let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
                return error(400, "MANIFEST_INVALID");
            };
            let own = value["mediaType"].as_str();
            if bytes.len() > 4 << 20 || own.is_some_and(|own| own != kind) {
                return error(400, "MANIFEST_INVALID");
            }
            let listed = |field: &str| value[field].as_array().cloned().unwrap_or_default();
            let digest_of = |part: &Value| part["digest"].as_str().unwrap_or_default().to_owned();
            let blobs = listed("layers")
                .into_iter()
                .chain([value["config"].clone()].into_iter().filter(Value::is_object));
            let missing =
                blobs.map(|part| digest_of(&part)).any(|digest| !kept.blobs.contains_key(&key(&digest)))
                    || listed("manifests")
                        .iter()
                        .any(|part| !kept.manifests.contains_key(&key(&digest_of(part))));
            if missing {
                return error(400, "MANIFEST_BLOB_UNKNOWN");
            }
            if name.starts_with("sha256:") {
                if name != digest {
                    return error(400, "DIGEST_INVALID");
                }
            } else {
                let there = kept.tags.get(&key(name)).is_some_and(|there| *there != digest);
                if self.quirks.immutable_tags && there {
                    return error(403, "DENIED");
                }
                kept.tags.insert(key(name), digest.clone());
            }
            kept.manifests.insert(key(&digest), (kind, bytes.clone()));
            let answer = Response::status(201).header("Docker-Content-Digest", &digest);
            let subject = value["subject"]["digest"].as_str().filter(|_| self.quirks.subject_header);
            return match subject {
                Some(subject) => answer.header("OCI-Subject", subject),
                None => answer,
            };
        }
        if self.request.method == "HEAD"
            && let Head::Refused(status) = self.quirks.head
        {
            return Response::status(status);
        }
        let digest =
            if name.contains(':') { Some(name.to_owned()) } else { kept.tags.get(&key(name)).cloned() };
        let found = digest.and_then(|digest| Some((digest.clone(), kept.manifests.get(&key(&digest))?)));
        let Some((digest, (kind, bytes))) = found else { return error(404, "MANIFEST_UNKNOWN") };
        if self.request.method == "DELETE" {
            kept.manifests.remove(&key(&digest));
            kept.tags.retain(|_, tagged| *tagged != digest);
            return Response::status(202);
        }
        let accepted: Vec<&str> = self
            .request
            .headers
            .iter()
            .filter(|(name, _)| name == "accept")
            .flat_map(|(_, value)| value.split(','))
            .map(str::trim)
            .collect();
        if self.quirks.exact_accept && !accepted.contains(&kind.as_str()) {
            return error(404, "MANIFEST_UNKNOWN");
        }
        let answer = Response::ok(bytes.clone()).header("Content-Type", kind);
        let plain = self.request.method == "HEAD" && self.quirks.head == Head::NoDigest;
        if plain { answer } else { answer.header("Docker-Content-Digest", &digest) }
    }

    fn tags(&self, repository: &str) -> Response {
        let kept = locked(self.kept);
        let mut tags: Vec<&String> =
            kept.tags.keys().filter(|(of, _)| of == repository).map(|(_, tag)| tag).collect();
        // Unsorted, as the real one has them.
        tags.reverse();
        if tags.is_empty() {
            return error(404, "NAME_UNKNOWN");
        }
        Response::ok(json!({ "name": repository, "tags": tags }).to_string())
    }

    fn referrers(&self, repository: &str, digest: &str) -> Response {
        if let Referrers::Refused(status) = self.quirks.referrers {
            return Response { status, ..Response::ok("404 page not found\n") }
                .header("Content-Type", "text/plain");
        }
        let kept = locked(self.kept);
        let of = |(key, (kind, bytes)): (&(String, String), &(String, Vec<u8>))| {
            let value: Value = serde_json::from_slice(bytes).ok()?;
            let attached = key.0 == repository && value["subject"]["digest"] == digest;
            attached.then(|| {
                let mut entry = json!({ "mediaType": kind, "digest": key.1, "size": bytes.len() });
                for field in ["artifactType", "annotations"] {
                    if !value[field].is_null() {
                        entry[field] = value[field].clone();
                    }
                }
                entry
            })
        };
        let entries: Vec<Value> = kept.manifests.iter().filter_map(of).collect();
        let index = "application/vnd.oci.image.index.v1+json";
        let body = json!({ "schemaVersion": 2, "mediaType": index, "manifests": entries });
        Response::ok(body.to_string()).header("Content-Type", index)
    }
}

/// The header that a password makes (RFC 7617).
pub(crate) fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn pairs(query: &str) -> BTreeMap<String, String> {
    pairs_of(query).into_iter().collect()
}

/// Names and values of a query, in order.
pub(crate) fn pairs_of(query: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (decoded(name), decoded(value)));
    query.split('&').filter_map(pair).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).unwrap_or(0);
        bytes.push(match byte {
            b'%' => (digit(rest.next()) << 4 | digit(rest.next())) as u8,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
