//! An npm registry in the test's own process: packages as values become packuments and tarballs.
//!
//! ```text
//! GET /npm/NAME                       the packument
//! GET /npm/NAME/-/NAME-VERSION.tgz    the tarball
//! ```
//!
//! Tarballs are written by [`crate::tar`].

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;

use crate::http::Request;
use crate::http::Response;
use crate::http::Server;
use crate::tar::Tar;

/// One version of a package.
#[derive(Clone, Debug)]
pub struct Package {
    name: String,
    version: String,
    json: Value,
    files: Vec<(String, u32, Vec<u8>)>,
    published: Option<String>,
    integrity: Option<String>,
    tampered: bool,
    says: Option<String>,
}

impl Package {
    /// A package with a `package.json` and nothing else, published long ago.
    pub fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            json: json!({ "name": name, "version": version }),
            files: Vec::new(),
            published: Some("2020-01-01T00:00:00.000Z".into()),
            integrity: None,
            tampered: false,
            says: None,
        }
    }

    /// With a field of its `package.json`.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.json[name] = value;
        self
    }

    /// With a file; `path` is relative to the package.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.files.push((path.into(), mode, bytes.into()));
        self
    }

    /// Published at this time (RFC 3339); `None` when the registry does not say.
    #[must_use]
    pub fn published(mut self, time: Option<&str>) -> Self {
        self.published = time.map(str::to_owned);
        self
    }

    /// With this text as `dist.integrity`; empty for none at all.
    #[must_use]
    pub fn integrity(mut self, text: &str) -> Self {
        self.integrity = Some(text.into());
        self
    }

    /// The server gives other bytes than the packument promises.
    #[must_use]
    pub fn tampered(mut self) -> Self {
        self.tampered = true;
        self
    }

    /// The tarball's `package.json` has this text, whatever the registry says of the package.
    #[must_use]
    pub fn says(mut self, manifest: &str) -> Self {
        self.says = Some(manifest.into());
        self
    }

    /// Its tarball, as `npm pack` lays it out.
    pub fn tarball(&self) -> Vec<u8> {
        let mut tar = Tar::new(499_162_500); // the time that npm gives
        let manifest = self.says.clone().unwrap_or_else(|| self.json.to_string());
        tar.file("package/package.json", 0o644, manifest.as_bytes());
        for (path, mode, bytes) in &self.files {
            tar.file(&format!("package/{path}"), *mode, bytes);
        }
        tar.gzip()
    }

    fn file_name(&self) -> String {
        let short = self.name.rsplit('/').next().unwrap_or(&self.name);
        format!("{short}-{}.tgz", self.version)
    }
}

/// Packages and tags, to be served.
#[derive(Clone, Debug, Default)]
pub struct NpmRegistry {
    packages: Vec<Package>,
    tags: BTreeMap<(String, String), String>,
    tokens: BTreeMap<String, String>,
    tarball_host: Option<String>,
}

impl NpmRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a package. The last one added is `latest` unless a tag says otherwise.
    #[must_use]
    pub fn package(mut self, package: Package) -> Self {
        self.packages.push(package);
        self
    }

    /// With a tag.
    #[must_use]
    pub fn tag(mut self, name: &str, tag: &str, version: &str) -> Self {
        self.tags.insert((name.into(), tag.into()), version.into());
        self
    }

    /// Packages whose name begins with `prefix` need this bearer token; without it they are 401.
    #[must_use]
    pub fn token(mut self, prefix: &str, token: &str) -> Self {
        self.tokens.insert(prefix.into(), token.into());
        self
    }

    /// Packuments name tarballs at this address instead of the registry's own, as a mirror's upstream would.
    #[must_use]
    pub fn tarballs_at(mut self, base: &str) -> Self {
        self.tarball_host = Some(base.into());
        self
    }

    /// The packument of a package, tarballs below `base`.
    fn packument(&self, name: &str, base: &str) -> Option<Value> {
        let packages: Vec<_> = self.packages.iter().filter(|package| package.name == name).collect();
        let latest = &packages.last()?.version;
        let mut tags = BTreeMap::from([("latest".to_owned(), latest.clone())]);
        for ((package, tag), version) in &self.tags {
            if package == name {
                tags.insert(tag.clone(), version.clone());
            }
        }
        let (mut versions, mut time) = (serde_json::Map::new(), serde_json::Map::new());
        for package in packages {
            let hash = STANDARD.encode(sha2::Sha512::digest(package.tarball()));
            let mut dist = json!({ "tarball": format!("{base}{name}/-/{}", package.file_name()) });
            match &package.integrity {
                None => dist["integrity"] = format!("sha512-{hash}").into(),
                Some(text) if text.is_empty() => {}
                Some(text) => dist["integrity"] = text.clone().into(),
            }
            let mut version = package.json.clone();
            version["dist"] = dist;
            versions.insert(package.version.clone(), version);
            if let Some(published) = &package.published {
                time.insert(package.version.clone(), published.clone().into());
            }
        }
        Some(json!({ "_id": name, "name": name, "dist-tags": tags, "versions": versions, "time": time }))
    }

    fn answer(&self, request: &Request, own: &str) -> Response {
        let path = request.path.replace("%2f", "/").replace("%2F", "/");
        let Some(path) = path.strip_prefix("/npm/") else { return Response::status(404) };
        for (prefix, token) in &self.tokens {
            if path.starts_with(prefix) && request.header("authorization") != Some(&format!("Bearer {token}"))
            {
                return Response::status(401);
            }
        }
        if let Some((name, file)) = path.split_once("/-/") {
            let found =
                self.packages.iter().find(|package| package.name == name && package.file_name() == file);
            return found.map_or(Response::status(404), |package| {
                let mut bytes = package.tarball();
                if package.tampered {
                    bytes.reverse();
                }
                Response::ranged(request, &bytes)
            });
        }
        let base = self.tarball_host.clone().unwrap_or_else(|| own.to_owned());
        self.packument(path, &base)
            .map_or(Response::status(404), |packument| Response::ok(packument.to_string()))
    }

    /// Serves it; its address is [`Running::url`].
    pub fn start(self) -> Running {
        let own = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
        let base = own.clone();
        let server =
            Server::start(move |request| self.answer(request, base.get().map_or("", String::as_str)));
        let url = server.url("/npm/");
        let _ = own.set(url.clone());
        Running { server, url }
    }
}

/// A registry being served.
#[derive(Debug)]
pub struct Running {
    /// The server behind it.
    pub server: Server,
    /// The registry's address, with its slash.
    pub url: String,
}
