//! npm's configuration.

use pinfold_sources::npm::config::settings;

/// Any bytes as `.npmrc`: each setting stands in one line of the file, and reading it twice is the same.
pub fn npmrc(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let found = settings(text);
    assert!(found.len() <= text.lines().count() + text.matches('\r').count());
    assert_eq!(format!("{:?}", settings(text)), format!("{found:?}"));
}
