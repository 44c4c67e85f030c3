//! A Nix binary cache of twelve small store paths, made by Nix 2.8 and kept in `data/nix`.
//!
//! ```text
//! data/nix/cache-xz/      nix-cache-info, HASH.narinfo, nar/FILEHASH.nar.xz
//! data/nix/keys/public    NAME:base64 of the key that signed all of it: test key 1 of RFC 8032; `secret` beside it
//! data/nix/roots.tsv      attribute, tab, store path
//! data/nix/closure.txt    all store paths, sorted
//! data/nix/flake/         what they are built from, as a flake
//! data/nix/registration   what `nix-store --dump-db` says of them
//! ```
//!
//! `tests/nix/make-nix-cache.sh` makes it (see `data/nix/README.md`); `tests/nix.rs` makes it again where Nix is installed and
//! compares. It needs no Nix to be used.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Digest;

use crate::http::Response;
use crate::http::Server;

/// The digits of Nix's base 32.
const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// What Nix's database says of a store path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePath {
    /// `/nix/store/HASH-NAME`.
    pub path: String,
    /// SHA-256 of its NAR.
    pub nar_hash: Digest,
    /// Bytes of its NAR.
    pub nar_size: u64,
    /// Where it was built from; nothing for sources.
    pub deriver: Option<String>,
    /// The store paths that it names, itself among them where it does.
    pub references: Vec<String>,
}

impl StorePath {
    /// `HASH`.
    pub fn hash(&self) -> &str {
        self.path.strip_prefix("/nix/store/").and_then(|name| name.get(..32)).expect("a store path")
    }

    /// The text of its narinfo in the cache.
    pub fn narinfo(&self) -> String {
        read(&format!("cache-xz/{}.narinfo", self.hash()))
    }

    /// The compressed NAR in the cache.
    pub fn nar(&self) -> Vec<u8> {
        let text = self.narinfo();
        let url = text.lines().find_map(|line| line.strip_prefix("URL: ")).expect("every narinfo has one");
        fs_err::read(cache().join(url)).expect("every NAR is there")
    }
}

/// The folder of all of it.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nix")
}

/// The folder of the binary cache.
pub fn cache() -> PathBuf {
    folder().join("cache-xz")
}

/// The folder of the flake that names them; `flake.nix` says which names there are.
pub fn flake() -> PathBuf {
    folder().join("flake")
}

/// The cache's files, by their paths below it.
pub fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files =
        BTreeMap::from([("nix-cache-info".into(), b"StoreDir: /nix/store\nPriority: 40\n".to_vec())]);
    for path in closure() {
        let narinfo = path.narinfo();
        let url = narinfo.lines().find_map(|line| line.strip_prefix("URL: ")).expect("every narinfo has one");
        files.insert(url.to_owned(), path.nar());
        files.insert(format!("{}.narinfo", path.hash()), narinfo.into_bytes());
    }
    files
}

/// A server that has these files, and answers to everything else that it has not.
pub fn serve_files(files: BTreeMap<String, Vec<u8>>) -> Server {
    Server::start(move |request| match files.get(request.path.trim_start_matches('/')) {
        Some(body) => Response::ranged(request, body),
        None => Response::status(404),
    })
}

/// The binary cache on loopback.
pub fn serve() -> Server {
    serve_files(files())
}

/// The public key, as `trusted-public-keys` has it.
pub fn public_key() -> String {
    read("keys/public")
}

/// The secret key, as `nix store sign` takes it.
pub fn secret_key() -> String {
    read("keys/secret")
}

/// Attributes and the store paths that they mean.
pub fn roots() -> Vec<(String, String)> {
    let text = read("roots.tsv");
    let roots = text.lines().map(|line| line.split_once('\t').expect("two columns"));
    roots.map(|(name, path)| (name.to_owned(), path.to_owned())).collect()
}

/// The store path that an attribute means.
pub fn root(attribute: &str) -> StorePath {
    let (_, path) = roots().into_iter().find(|(name, _)| name == attribute).expect("one of the fixture's");
    closure().into_iter().find(|known| known.path == path).expect("all of them are registered")
}

/// All store paths, sorted.
pub fn closure() -> Vec<StorePath> {
    let text = read("registration");
    let mut lines = text.lines();
    let mut paths = Vec::new();
    while let Some(path) = lines.next() {
        let mut line = || lines.next().expect("a registration has no fewer lines").to_owned();
        let nar_hash = format!("sha256:{}", line()).parse().expect("a digest in base 16");
        let nar_size = line().parse().expect("a size");
        let deriver = Some(line()).filter(|deriver| !deriver.is_empty());
        let count: usize = line().parse().expect("a number of references");
        let references = (0..count).map(|_| line()).collect();
        paths.push(StorePath { path: path.to_owned(), nar_hash, nar_size, deriver, references });
    }
    paths.sort_by(|one, other| one.path.cmp(&other.path));
    paths
}

/// What Nix tells a build of all of it, that has `__structuredAttrs` and `exportReferencesGraph.closure`: its `.attrs.json`.
pub fn told() -> String {
    let one = |path: &StorePath| {
        let mut told = serde_json::json!({
            "closureSize": path.nar_size,
            "narHash": format!("sha256:{}", base32(path.nar_hash.bytes())),
            "narSize": path.nar_size,
            "path": path.path,
            "references": path.references,
        });
        if let Some(ca) = path.narinfo().lines().find_map(|line| line.strip_prefix("CA: ")) {
            told["ca"] = ca.into();
        }
        told
    };
    let closure: Vec<_> = closure().iter().map(one).collect();
    serde_json::json!({ "builder": "/bin/sh", "closure": closure, "name": "image", "system": "x86_64-linux" })
        .to_string()
}

/// Bytes in Nix's base 32: five bits a digit, from the last to the first, bit 0 of byte 0 being the lowest.
pub fn base32(bytes: &[u8]) -> String {
    let length = (bytes.len() * 8).div_ceil(5);
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (at % 8) & 1);
    let digit = |at: usize| (0..5).rev().fold(0, |value, low| value << 1 | bit(at * 5 + low));
    (0..length).rev().map(|at| char::from(DIGITS[usize::from(digit(at))])).collect()
}

fn read(name: &str) -> String {
    fs_err::read_to_string(folder().join(name)).expect("the fixture is part of the repository")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narinfos_and_database_say_the_same() {
        let paths: Vec<String> = closure().into_iter().map(|path| path.path).collect();
        assert_eq!(paths, read("closure.txt").lines().collect::<Vec<_>>());
        assert_eq!(paths.len(), 12);
        for path in closure() {
            let narinfo = path.narinfo();
            let says = |line: &str| narinfo.lines().any(|other| other == line);
            assert!(says(&format!("StorePath: {}", path.path)));
            assert!(says(&format!("NarHash: sha256:{}", base32(path.nar_hash.bytes()))), "{narinfo}");
            assert!(says(&format!("NarSize: {}", path.nar_size)));
            // The control.
            assert!(!says(&format!("NarHash: sha256:{}", base32(Digest::sha256(b"").bytes()))));
            let file = path.nar();
            assert!(says(&format!("FileHash: sha256:{}", base32(Digest::sha256(&file).bytes()))));
            assert!(says(&format!("FileSize: {}", file.len())));
        }
    }
}
