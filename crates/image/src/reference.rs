//! Names of images, as podman, skopeo and the distribution specification spell them.
//!
//! ```text
//! [HOST[:PORT]/]name[/name…][:tag][@sha256:…]
//! ```
//!
//! A name component is lower-case letters and digits, separated by `.`, `_`, `__` or any number of `-`; a tag is a word
//! character followed by at most 127 of `A-Za-z0-9_.-` (distribution-spec, "Pulling manifests"). Where neither a tag nor a
//! digest is given, the tag is `latest`. The name is kept as it was written: no registry is put in front of it.

use std::fmt;
use std::str::FromStr;

use pinfold_base::Digest;
use serde::Deserialize;
use serde::Serialize;

use crate::ImageError;

/// A parsed name: repository, tag, digest. At least one of tag and digest is set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The repository, with its registry where one was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry, if the first component is one: it has a dot or a port, or is `localhost`.
    pub fn registry(&self) -> Option<&str> {
        self.name.split_once('/').map(|(host, _)| host).filter(|host| is_host(host))
    }

    /// The repository without its registry.
    pub fn repository(&self) -> &str {
        match self.registry() {
            Some(host) => &self.name[host.len() + 1..],
            None => &self.name,
        }
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// `name:tag`, as it is kept in a layout's `org.opencontainers.image.ref.name`; `None` for a name by digest only.
    pub fn name_and_tag(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.name))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let wrong = |reason| ImageError::Reference { text: without_login(text), reason };
        if text
            .split_once("://")
            .is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            return Err(wrong("a name has no scheme: it begins with the host"));
        }
        if without_login(text) != text {
            return Err(wrong("a login is no part of a name: `pinfold login HOST` keeps it"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| wrong("what follows `@` is no digest"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to the port of the registry.
        let tag_at = rest.rfind(':').filter(|&at| !rest[at..].contains('/'));
        let (name, tag) = match tag_at {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong(
                "a tag is at most 128 of `A-Za-z0-9_.-` and starts with a letter, a digit or `_`",
            ));
        }
        if name.is_empty() || name.len() > 255 {
            return Err(wrong("the name must have 1 to 255 characters"));
        }
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if is_host(host) => (Some(host), path),
            _ => (None, name),
        };
        if host.is_some_and(|host| !is_valid_host(host)) {
            return Err(wrong("the registry is no host name"));
        }
        if !path.split('/').all(is_component) {
            return Err(wrong(
                "its parts are lower-case letters and digits, separated by `.`, `_`, `__` or `-`",
            ));
        }
        // 64 hexadecimal digits are an image id everywhere.
        if path.len() == 64 && path.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong("64 hexadecimal digits are an id, not a name"));
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        };
        Ok(Self { name: name.into(), tag: tag.map(Into::into), digest })
    }
}

/// A name as it is shown in errors: a login that somebody wrote before its host is left out, and what is too long is cut.
pub fn without_login(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let host = rest.split('/').next().unwrap_or_default();
    // A digest stands behind an `@` as well, and has no `@` of its own.
    let shown = match host.rsplit_once('@') {
        Some((_, behind)) if behind.parse::<Digest>().is_err() => {
            let begin = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
            format!("{begin}***@{behind}{}", &rest[host.len()..])
        }
        _ => text.to_owned(),
    };
    shown.chars().take(300).collect()
}

impl Serialize for Reference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn is_host(text: &str) -> bool {
    text.contains(['.', ':']) || text == "localhost" || text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_valid_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let valid =
                !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            return valid && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().is_some_and(is_word) && bytes.last().is_some_and(is_word);
    ends && bytes
        .split(is_word)
        .all(|gap| matches!(gap, b"" | b"." | b"_" | b"__") || gap.iter().all(|&byte| byte == b'-'))
}

pub(crate) fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Reference, ImageError> {
        text.parse()
    }

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    // The spellings were tried as `skopeo inspect docker-archive:/nonexistent:NAME` (1.9.3), which says whether NAME is valid.
    #[test]
    fn names_are_taken_apart() {
        let reference = parse("iteron-sandbox").unwrap();
        assert_eq!((reference.name(), reference.tag()), ("iteron-sandbox", Some("latest")));
        assert_eq!(reference.registry(), None);
        let reference = parse("localhost:5000/team/a__b.c-d:v1.2").unwrap();
        assert_eq!(reference.registry(), Some("localhost:5000"));
        assert_eq!(reference.repository(), "team/a__b.c-d");
        assert_eq!(reference.tag(), Some("v1.2"));
        let reference = parse(&format!("registry.example/x@sha256:{HEX}")).unwrap();
        assert_eq!(reference.tag(), None);
        assert_eq!(reference.digest().unwrap().hex(), HEX);
        assert_eq!(reference.name_and_tag(), None);
        assert_eq!(parse("[::1]:5000/x:y").unwrap().registry(), Some("[::1]:5000"));
        assert_eq!(parse("team/x").unwrap().registry(), None);
    }

    #[test]
    fn spelling_round_trips() {
        for text in ["a:b", "x.example/y/z:latest", &format!("a:t@sha256:{HEX}")] {
            assert_eq!(parse(text).unwrap().to_string(), *text);
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for text in [
            "",
            ":tag",
            "a:",
            "a:-x",
            "Upper",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a._b",
            "a___b",
            "-a",
            "a-",
            "a@",
            "a@sha256:00",
            "a b",
            "a:b/c:",
            "../a",
            "a/../b",
            "host.example:99999/x",
            "host.example:/x",
            "a:b:c",
            "é",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(parse(HEX).is_err());
        assert!(parse(&"a".repeat(256)).is_err());
        assert!(parse(&format!("a:{}", "t".repeat(129))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_accepted_prints_and_reads_back(text in "[a-zA-Z0-9._:/@\\-]{0,40}") {
            if let Ok(reference) = parse(&text) {
                assert_eq!(parse(&reference.to_string()).unwrap(), reference);
            }
        }
    }
}
