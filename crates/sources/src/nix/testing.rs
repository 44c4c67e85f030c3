//! The binary cache of `pinfold_testkit::nix`, changed and signed again as tests want it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use pinfold_base::http::Client;
use pinfold_base::http::Named;
use pinfold_base::http::Options;
use pinfold_base::http::SafeUrl;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;
use pinfold_testkit::nix;

use super::cache::Cache;
use super::cache::Caches;
use super::key::TrustedKeys;
use super::narinfo::NarInfo;
use super::store_path::StorePath;

/// The key that signed the fixture.
pub(crate) fn keys() -> TrustedKeys {
    TrustedKeys::parse([nix::public_key().trim()]).unwrap()
}

/// The path that an attribute of the fixture means.
pub(crate) fn root(attribute: &str) -> StorePath {
    StorePath::parse(&nix::root(attribute).path).unwrap()
}

/// The narinfo of an attribute, as the cache has it.
pub(crate) fn narinfo(attribute: &str) -> String {
    nix::root(attribute).narinfo()
}

/// The same with one text in place of another that is there.
pub(crate) fn changed(narinfo: &str, from: &str, to: &str) -> String {
    assert!(narinfo.contains(from), "{from} in {narinfo}");
    narinfo.replacen(from, to, 1)
}

/// The value of a field.
pub(crate) fn field<'a>(narinfo: &'a str, name: &str) -> &'a str {
    let find = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    narinfo.lines().find_map(find).unwrap()
}

/// Signs what a narinfo says now by the fixture's key, called `name`.
pub(crate) fn signed(narinfo: &str, name: &str) -> String {
    let secret = nix::secret_key();
    let secret = STANDARD.decode(secret.trim().split_once(':').unwrap().1).unwrap();
    let key = SigningKey::from_bytes(secret[..32].try_into().unwrap());
    let unsigned: String = narinfo.split_inclusive('\n').filter(|line| !line.starts_with("Sig: ")).collect();
    let text = NarInfo::parse(unsigned.as_bytes()).unwrap().claims().fingerprint();
    let signature = STANDARD.encode(key.sign(text.as_bytes()).to_bytes());
    format!("{unsigned}Sig: {name}:{signature}\n")
}

/// Files of a cache by their paths below it; the fixture's to begin with.
pub(crate) fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    files.insert("nix-cache-info".into(), b"StoreDir: /nix/store\nPriority: 40\n".to_vec());
    for path in nix::closure() {
        let text = path.narinfo();
        files.insert(field(&text, "URL").to_owned(), path.nar());
        files.insert(format!("{}.narinfo", path.hash()), text.into_bytes());
    }
    files
}

/// Serves files; what is not there is a 404.
pub(crate) fn serve(files: BTreeMap<String, Vec<u8>>) -> Server {
    Server::start(move |request| match files.get(request.path.trim_start_matches('/')) {
        Some(body) => Response::ranged(request, body),
        None => Response::status(404),
    })
}

pub(crate) fn client() -> Client {
    let pause = std::time::Duration::from_millis(1);
    Client::with(Options { pause, longest_pause: pause, ..Options::default() })
}

pub(crate) fn cache(url: &str) -> Cache {
    Cache { url: SafeUrl::parse(url).unwrap(), priority: None, named: Named::ByMachine }
}

/// Caches at these addresses, trusted by the fixture's key.
pub(crate) fn caches(urls: &[&str]) -> Caches {
    Caches::new(urls.iter().map(|url| cache(url)).collect(), keys(), client()).unwrap()
}

/// Everything of the fixture, locked for one platform.
pub(crate) fn locked() -> super::LockedNix {
    let scratch = tempfile::tempdir().unwrap();
    let store = pinfold_base::Store::open(scratch.path()).unwrap();
    let caches = caches(&[&format!("file://{}", nix::cache().display())]);
    let paths: Vec<StorePath> = nix::roots().iter().map(|(name, _)| root(name)).collect();
    let closure = super::Closure::of(&paths, &caches, &super::closure::Limits::default()).unwrap();
    let files = closure.paths().values().map(|path| caches.lock(path, &store, &pinfold_base::report::Silent));
    let roots = nix::roots().into_iter().map(|(attribute, path)| super::LockedRoot {
        agent: None,
        name: None,
        attribute: Some(attribute),
        system: "x86_64-linux".into(),
        revision: None,
        output: Some("out".into()),
        path: StorePath::parse(&path).unwrap(),
    });
    super::LockedNix::new(roots.collect(), &closure, files.collect::<Result<_, _>>().unwrap()).unwrap()
}
