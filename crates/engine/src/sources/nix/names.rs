//! What people call store paths: the name and the version in `HASH-NAME-VERSION`.

use pinfold_sources::nix::StorePath;

/// Digits of the hash that stand for a version where a name has none.
const SHORT: usize = 8;

/// What people call a store path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// Its name without the version.
    pub(crate) name: &'a str,
    /// Its version.
    pub(crate) version: String,
}

impl<'a> Named<'a> {
    /// That of a store path.
    pub(crate) fn of(path: &'a StorePath) -> Self {
        Self { name: package(path), version: version(path) }
    }
}

/// A store path's name without its version. All outputs and versions of one package have it, on every platform.
pub(super) fn package(path: &StorePath) -> &str {
    split(path.name()).0
}

/// Its version; digits of its hash where the name has none.
pub(super) fn version(path: &StorePath) -> String {
    let version = split(path.name()).1;
    if version.is_empty() { path.hash()[..SHORT].to_owned() } else { version.to_owned() }
}

/// The numbers of its version, to compare: 2.40-36 is later than 2.9.
pub(super) fn numbers(path: &StorePath) -> Vec<u64> {
    let digits = split(path.name()).1.split(|char: char| !char.is_ascii_digit());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

/// Nix's own rule: the version begins behind the first dash that no letter follows.
fn split(name: &str) -> (&str, &str) {
    let bytes = name.as_bytes();
    let dash =
        |at: &usize| bytes[*at] == b'-' && bytes.get(at + 1).is_some_and(|next| !next.is_ascii_alphabetic());
    match (1..bytes.len()).find(dash) {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_begins_behind_the_first_dash_that_no_letter_follows() {
        for (name, expected) in [
            ("hello-2.12", ("hello", "2.12")),
            ("openssl-3.0.13-dev", ("openssl", "3.0.13-dev")),
            ("python3.11-six-1.16", ("python3.11-six", "1.16")),
            ("source", ("source", "")),
            ("glibc-locales-2.39-52", ("glibc-locales", "2.39-52")),
            ("-dash", ("-dash", "")),
            ("-1.0", ("-1.0", "")),
            ("ends-", ("ends-", "")),
        ] {
            assert_eq!(split(name), expected, "{name}");
        }
        let path = StorePath::parse("/nix/store/17i2jqwpzlrh651dchdfc0f25bjjcn7x-tiny-source").unwrap();
        assert_eq!((package(&path), version(&path)), ("tiny-source", "17i2jqwp".to_owned()));
    }
}
