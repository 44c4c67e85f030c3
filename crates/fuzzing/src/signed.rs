//! Signed files of archives.

use std::sync::OnceLock;

use pinfold_sources::debian::lock::openpgp::Expiry;
use pinfold_sources::debian::lock::openpgp::Keyring;
use pinfold_sources::debian::lock::openpgp::verify;
use pinfold_sources::debian::lock::release::Release;

/// The archive's own keys, as they are shipped.
const KEYS: &[u8] = include_bytes!("../../sources/data/debian-archive-keys.asc");

/// Any bytes as an `InRelease`: of what passes every line stands in the file, and reading it as a Release file comes back.
pub fn signed(bytes: &[u8]) {
    static KEYRING: OnceLock<Keyring> = OnceLock::new();
    let keyring = KEYRING.get_or_init(|| Keyring::read("shipped", KEYS).unwrap_or_default());
    assert!(!keyring.is_empty());
    if let Ok(verified) = verify(bytes, keyring, 1_795_040_321, Expiry::AtSignature) {
        for line in verified.text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            assert!(bytes.windows(line.len()).any(|part| part == line));
        }
        let _ = Release::read("bookworm-security", &verified.text);
    }
    let _ = Release::read("sample", bytes);
}
