//! The binary cache of `pinfold_testkit::nix`, changed and signed again as tests want it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use pinfold_testkit::nix;

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
