//! A path inside an image: bytes, relative to the image's root, normalised.
//!
//! The root itself is the empty path. Components are separated by single slashes and are never empty, `.` or `..`;
//! NUL is refused. Names are bytes because Linux's are: nothing is assumed about their encoding.
//! A path is at most 4096 bytes and a component at most 255, the limits of Linux (`PATH_MAX`, `NAME_MAX`).

use std::borrow::Borrow;
use std::fmt;

/// Longest path accepted, in bytes (`PATH_MAX` without its NUL).
pub const MAX_PATH: usize = 4095;
/// Longest component accepted, in bytes (`NAME_MAX`).
pub const MAX_NAME: usize = 255;

/// A normalised path inside an image. Ordered by its bytes, so a directory comes before what it holds.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ImagePath(Box<[u8]>);

/// Why bytes are no [`ImagePath`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("path `{}` is refused: {reason}", .path.escape_ascii())]
pub struct PathError {
    path: Vec<u8>,
    reason: &'static str,
}

impl ImagePath {
    /// The image's root, the empty path.
    pub fn root() -> Self {
        Self::default()
    }

    /// Normalises a name out of an archive: one leading `/` or any `./` is dropped, repeated and trailing slashes too.
    /// `..`, NUL and over-long names are errors, never repaired.
    pub fn new(raw: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let raw = raw.as_ref();
        let refuse = |reason| PathError { path: raw.iter().copied().take(256).collect(), reason };
        if raw.contains(&0) {
            return Err(refuse("it holds a NUL byte"));
        }
        let mut path = Vec::with_capacity(raw.len());
        for name in raw.split(|&byte| byte == b'/') {
            match name {
                b"" | b"." => continue,
                b".." => return Err(refuse("`..` leads out of the directory it stands in")),
                _ if name.len() > MAX_NAME => return Err(refuse("a component is longer than 255 bytes")),
                _ => {}
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        if path.len() > MAX_PATH {
            return Err(refuse("it is longer than 4095 bytes"));
        }
        Ok(Self(path.into()))
    }

    /// The bytes, without a leading slash; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory it stands in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// The last component; empty for the root.
    pub fn name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
        &self.0[start..]
    }

    /// The components in order.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    /// This path with `tail` (one or more components) appended.
    pub fn join(&self, tail: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let tail = tail.as_ref();
        let mut path = Vec::with_capacity(self.0.len() + 1 + tail.len());
        path.extend_from_slice(&self.0);
        path.push(b'/');
        path.extend_from_slice(tail);
        Self::new(path)
    }

    /// Whether it is `dir` or stands somewhere below it.
    pub fn starts_with(&self, dir: &Self) -> bool {
        self.strip_prefix(dir).is_some()
    }

    /// What is left after `dir`: the empty slice for `dir` itself, `None` when it stands elsewhere.
    pub fn strip_prefix(&self, dir: &Self) -> Option<&[u8]> {
        if dir.is_root() {
            return Some(&self.0);
        }
        match self.0.strip_prefix(dir.as_bytes())? {
            b"" => Some(b""),
            rest => rest.strip_prefix(b"/"),
        }
    }

    /// Where a symbolic link that stands at this path leads inside the image: an absolute target counts from the root, a
    /// relative one from the link's directory, and `..` at the root stays at the root, as in a chroot. `None` when the
    /// target is no possible path. Further links on the way are not followed.
    pub fn link_target(&self, target: &[u8]) -> Option<Self> {
        let mut names: Vec<&[u8]> = Vec::new();
        let parent = self.parent().unwrap_or_default();
        if !target.starts_with(b"/") {
            names.extend(parent.components());
        }
        for name in target.split(|&byte| byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => drop(names.pop()),
                _ => names.push(name),
            }
        }
        Self::new(names.join(&b'/')).ok()
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.chars().any(char::is_control) => write!(f, "/{text}"),
            _ => write!(f, "/{}", self.0.escape_ascii()),
        }
    }
}

impl fmt::Debug for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Borrow<[u8]> for ImagePath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<&str> for ImagePath {
    type Error = PathError;

    fn try_from(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text).unwrap()
    }

    #[test]
    fn names_are_normalised() {
        for raw in ["/usr/bin", "./usr//bin/", "usr/./bin"] {
            assert_eq!(path(raw).as_bytes(), b"usr/bin");
        }
        assert!(path("./").is_root());
    }

    #[test]
    fn hostile_names_are_refused() {
        for raw in ["../x", "a/../b", "a/..", "a\0b"] {
            assert!(ImagePath::new(raw).is_err(), "{raw:?}");
        }
        assert!(ImagePath::new("x".repeat(256)).is_err());
        assert!(ImagePath::new("x/".repeat(2049)).is_err());
    }

    #[test]
    fn parts() {
        assert_eq!(path("usr/bin/env").parent(), Some(path("usr/bin")));
        assert_eq!(path("usr").parent(), Some(ImagePath::root()));
        assert_eq!(ImagePath::root().parent(), None);
        assert_eq!(path("usr/bin/env").name(), b"env");
        assert_eq!(path("usr/bin").strip_prefix(&path("usr")), Some(&b"bin"[..]));
        assert!(!path("usrlocal").starts_with(&path("usr")));
    }

    #[test]
    fn link_targets_stay_inside() {
        assert_eq!(path("bin/sh").link_target(b"dash"), Some(path("bin/dash")));
        assert_eq!(path("bin/sh").link_target(b"/usr/bin/dash"), Some(path("usr/bin/dash")));
        assert_eq!(path("bin/sh").link_target(b"../../../etc/x"), Some(path("etc/x")));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_accepted_is_normal(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            if let Ok(path) = ImagePath::new(&raw) {
                assert_eq!(ImagePath::new(path.as_bytes()).as_ref(), Ok(&path));
                assert!(path.components().all(|name| !matches!(name, b"" | b"." | b"..")));
            }
        }
    }
}
