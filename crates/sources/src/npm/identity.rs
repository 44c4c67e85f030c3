//! Who a tarball says that it is: `name` and `version` of its `package.json`, held against what is locked.
//!
//! The digest of the lock proves that the bytes are those that the registry promised, not that they are the package of that
//! name: a registry takes whatever tarball a publisher sends with a description of another package.
//!
//! ```text
//! package.json ─► bytes ─► Identity { name, version } ─► matches("left-pad", "1.3.0")
//! ```
//!
//! **Guarantees**: read as node reads it (a byte order mark and bytes that are no UTF-8 are taken), and a key that stands more
//! than once must say the same each time, whichever of them another reader takes. Versions are compared as npm normalises them when
//! a package is published: `v1.2.3`, `01.2.3` and `1.2.3+build` are 1.2.3. Names are compared as they are, case included.
//!
//! **Refuses**: no JSON, no object, `name` or `version` missing or no text.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;

/// Longest `package.json` that is read. (The longest of 2,400 popular packages has less than 64 KiB.)
pub const MAX_MANIFEST: u64 = 8 << 20;
/// The largest number that node tells from its neighbours.
const MAX_SAFE: u64 = (1 << 53) - 1;

/// What a `package.json` calls itself: each value that stands under either key.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    names: Vec<String>,
    versions: Vec<String>,
}

impl Identity {
    /// Reads a `package.json`.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        let identity: Self = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        match (identity.names.is_empty(), identity.versions.is_empty()) {
            (true, _) => Err("it has no `name`".into()),
            (_, true) => Err("it has no `version`".into()),
            _ => Ok(identity),
        }
    }

    /// Whether it is this version of this package, whichever of several values is taken.
    pub fn matches(&self, name: &str, version: &str) -> bool {
        let same = |found: &String| {
            found == version || normal(found).is_some_and(|found| normal(version) == Some(found))
        };
        self.names.iter().all(|found| found.trim() == name) && self.versions.iter().all(same)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let either = |values: &[String]| {
            let values = values.iter().map(|value| value.chars().take(250).collect::<String>());
            values.collect::<Vec<_>>().join("|")
        };
        write!(f, "{}@{}", either(&self.names), either(&self.versions))
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = Identity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `name` and `version`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Identity, A::Error> {
        let mut identity = Identity::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "name" => identity.names.push(map.next_value()?),
                "version" => identity.versions.push(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        // Equal ones are one.
        identity.names.dedup();
        identity.versions.dedup();
        Ok(identity)
    }
}

/// A version as npm writes it after reading it loosely (`semver.clean` of node-semver): without `v` and `=` in front, leading
/// zeros and build metadata. `None` where it is no version even so.
fn normal(version: &str) -> Option<String> {
    let version = version.trim_start_matches(['v', '=']);
    let (version, build) = match version.split_once('+') {
        Some((version, build)) => (version, Some(build)),
        None => (version, None),
    };
    let is_identifier = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if build.is_some_and(|build| !build.split('.').all(is_identifier)) {
        return None;
    }
    let number = |digits: &str| digits.parse::<u64>().ok().filter(|number| *number <= MAX_SAFE);
    let (major, rest) = version.split_once('.')?;
    let (minor, rest) = rest.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (patch, rest) = rest.split_at(end);
    if [major, minor].iter().any(|part| !part.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let mut normal = format!("{}.{}.{}", number(major)?, number(minor)?, number(patch)?);
    let tag = rest.strip_prefix('-').filter(|tag| !tag.is_empty()).unwrap_or(rest);
    if !tag.is_empty() {
        if !tag.split('.').all(is_identifier) {
            return None;
        }
        let plain = |part: &str| match number(part).filter(|_| !part.starts_with('+')) {
            Some(number) if number < MAX_SAFE => number.to_string(),
            _ => part.to_owned(),
        };
        normal = format!("{normal}-{}", tag.split('.').map(plain).collect::<Vec<_>>().join("."));
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_normal_as_in_npm() {
        // Each was asked of `semver.clean(VERSION, true)` of node-semver 7.
        for (version, expected) in [
            ("1.2.3", Some("1.2.3")),
            ("v1.2.3", Some("1.2.3")),
            ("=1.2.3", Some("1.2.3")),
            ("==1.2.3", Some("1.2.3")),
            (" =v 1.2.3 ", None),
            ("V1.2.3", None),
            ("01.02.03", Some("1.2.3")),
            ("1.2.3+build", Some("1.2.3")),
            ("1.2.3-beta+b.1", Some("1.2.3-beta")),
            ("1.2.3beta", Some("1.2.3-beta")),
            ("1.2.3-01", Some("1.2.3-1")),
            ("1.2.3-beta.007", Some("1.2.3-beta.7")),
            ("1.2.3alpha.01", Some("1.2.3-alpha.1")),
            ("1.02.3-rc.1", Some("1.2.3-rc.1")),
            ("1.2.3-", Some("1.2.3--")),
            ("1.2.3-+b", Some("1.2.3--")),
            ("1.2.3--1", Some("1.2.3--1")),
            ("1.2.3-0a", Some("1.2.3-0a")),
            ("1.2.3-99999999999999999", Some("1.2.3-99999999999999999")),
            ("1.2", None),
            ("1", None),
            ("", None),
            ("1.2.3.4", None),
            ("x1.2.3", None),
            ("1.2.3 ", None),
            ("1.2.3-a..b", None),
            ("1.2.3-a_b", None),
            ("1.2.3+", None),
            ("1.2.3+a+b", None),
            ("99999999999999999.0.0", None),
        ] {
            assert_eq!(normal(version).as_deref(), expected, "{version}");
        }
    }

    #[test]
    fn a_manifest_is_read_as_node_reads_it_and_every_value_counts() {
        for (text, is) in [
            (r#"{"name":"a","version":"1.2.3"}"#, true),
            ("\u{feff}{\"name\":\"a\",\"version\":\"1.2.3\"}", true),
            (r#"{"n\u0061me":"\u0061","v\u0065rsion":"v1.2.3+x"}"#, true),
            (r#"{"name":" a ","version":"01.2.3"}"#, true),
            (r#"{"version":"1.2.3","x":{"name":"b"},"name":"a","name":"a"}"#, true),
            (r#"{"x":"\ud800","name":"a","version":"1.2.3"}"#, true),
            // Node takes the last; another reader may take the first.
            (r#"{"name":"b","name":"a","version":"1.2.3"}"#, false),
            (r#"{"name":"a","name":"b","version":"1.2.3"}"#, false),
            (r#"{"name":"a","version":"6.6.6","version":"1.2.3"}"#, false),
            (r#"{"name":"a","version":"1.2.3","n\u0061me":"b"}"#, false),
            (r#"{"name":"A","version":"1.2.3"}"#, false),
            (r#"{"name":"@s/a","version":"1.2.3"}"#, false),
            ("{\"name\":\"a\u{200b}\",\"version\":\"1.2.3\"}", false),
            (r#"{"name":"a\u0000","version":"1.2.3"}"#, false),
            (r#"{"name":"а","version":"1.2.3"}"#, false), // Cyrillic
            (r#"{"name":"a","version":"1.2.3-0"}"#, false),
            (r#"{"name":"a","version":"1.2.30"}"#, false),
            (r#"{"name":"a","version":"x"}"#, false),
        ] {
            assert_eq!(Identity::parse(text.as_bytes()).unwrap().matches("a", "1.2.3"), is, "{text}");
        }
        // What is locked may be odd itself.
        let odd = Identity::parse(br#"{"name":"a","version":"1.2.3"}"#).unwrap();
        assert!(odd.matches("a", "1.2.3+build") && odd.matches("a", "v1.2.3") && !odd.matches("a", "1.2"));
        let same = Identity::parse(br#"{"name":"a","version":"latest"}"#).unwrap();
        assert!(same.matches("a", "latest"));
    }

    #[test]
    fn what_has_no_identity_is_refused() {
        for text in [
            &b""[..],
            b"null",
            b"[]",
            b"\"a\"",
            b"{}",
            br#"{"name":"a"}"#,
            br#"{"version":"1.2.3"}"#,
            br#"{"name":7,"version":"1.2.3"}"#,
            br#"{"name":"a","version":null}"#,
            br#"{"name":["a"],"version":"1"}"#,
            br#"{"name":"a","version":"1.2.3"} x"#,
            br#"{"name":"a","version":"1.2.3",}"#,
            b"\xff\xfe{\0",
            br#"{"__proto__":{"name":"a","version":"1.2.3"}}"#,
            br#"{"NAME":"a","Version":"1.2.3"}"#,
            br#"{"name":"a","name":7,"version":"1.2.3"}"#,
        ] {
            assert!(Identity::parse(text).is_err(), "{}", text.escape_ascii());
        }
        // As deep as a file can be.
        let deep = [br#"{"x":"#.to_vec(), b"[".repeat(1 << 20)].concat();
        assert!(Identity::parse(&deep).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_manifest_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Identity::parse(&bytes).map(|found| found.matches("a", "1.2.3"));
        }
    }
}
