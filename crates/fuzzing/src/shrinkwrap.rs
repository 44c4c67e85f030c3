//! What a publisher says stands below a package.

use pinfold_sources::npm::packument::check_name;
use pinfold_sources::npm::shrinkwrap::parse;

/// Any bytes as an `npm-shrinkwrap.json`: every package stands below the one that has it, under a name that npm knows, and
/// what holds others comes before them.
pub fn shrinkwrap(bytes: &[u8]) {
    let Ok(entries) = parse(bytes) else { return };
    let mut depth = 1;
    for entry in entries {
        assert!(entry.path.len() >= depth);
        depth = entry.path.len();
        assert!(entry.path.iter().all(|name| check_name(name).is_ok() && !name.contains("..")));
    }
}
