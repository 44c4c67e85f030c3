//! What a tarball calls itself.

use pinfold_sources::npm::identity::Identity;

/// Any bytes as a `package.json`: what passes for `sample` 1.0.0 is that for a reader of JSON that takes the last of equal keys,
/// as node does.
pub fn identity(bytes: &[u8]) {
    let Ok(identity) = Identity::parse(bytes) else { return };
    let _ = identity.to_string();
    if !identity.matches("sample", "1.0.0") {
        return;
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        assert_eq!(value["name"].as_str().map(str::trim), Some("sample"));
        assert!(value["version"].as_str().is_some_and(|version| version.contains('1')));
    }
}
