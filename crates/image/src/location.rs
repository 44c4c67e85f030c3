//! Places outside of the store where images are kept, as skopeo and podman spell them.
//!
//! ```text
//! oci:DIR[:tag]    oci-archive:FILE[:tag]    docker-archive:FILE[:name:tag]    appimage:FILE    /PATH/FILE.AppImage    ./FILE.AppImage
//! ```
//!
//! As there, a path cannot contain a colon; but that of an AppImage, which is one image, is all that follows.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use crate::ImageError;
use crate::Reference;

/// The format of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocationKind {
    /// A directory in the OCI image layout.
    Oci,
    /// The same as a tar.
    OciArchive,
    /// What `docker load` reads; one platform.
    DockerArchive,
    /// One of our own files that are an agent in its sandbox; one platform.
    AppImage,
}

impl LocationKind {
    /// The word before the first colon.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::OciArchive => "oci-archive",
            Self::DockerArchive => "docker-archive",
            Self::AppImage => "appimage",
        }
    }
}

/// A directory or file that holds images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// Its format.
    pub kind: LocationKind,
    /// The directory or file.
    pub path: PathBuf,
    /// The name of the image inside, where one is given.
    pub tag: Option<String>,
}

impl Location {
    /// The same of words that need not be text: the path of an AppImage is what the file system has.
    pub fn of_appimage(word: &OsStr) -> Option<Self> {
        let path =
            word.as_bytes().strip_prefix(LocationKind::AppImage.word().as_bytes())?.strip_prefix(b":")?;
        let path = PathBuf::from(OsStr::from_bytes(path));
        (!path.as_os_str().is_empty()).then_some(Self { kind: LocationKind::AppImage, path, tag: None })
    }

    /// Whether text is meant as a place (and not as an image name).
    pub fn is_spelt_by(text: &str) -> bool {
        kind_of(text).is_some()
    }
}

fn kind_of(text: &str) -> Option<(LocationKind, &str)> {
    // No image is called like this, and its own name says what it is.
    if text.starts_with(['/', '.']) && text.ends_with(".AppImage") {
        return Some((LocationKind::AppImage, text));
    }
    [LocationKind::Oci, LocationKind::OciArchive, LocationKind::DockerArchive, LocationKind::AppImage]
        .into_iter()
        .find_map(|kind| Some((kind, text.strip_prefix(kind.word())?.strip_prefix(':')?)))
}

impl FromStr for Location {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let wrong = |reason| ImageError::Location { text: text.chars().take(300).collect(), reason };
        let (kind, rest) = kind_of(text).ok_or_else(|| wrong("it starts with none of the known formats"))?;
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) if kind != LocationKind::AppImage => (path, Some(tag)),
            _ => (rest, None),
        };
        if path.is_empty() || path.contains('\0') {
            return Err(wrong("the path is missing"));
        }
        match (kind, tag) {
            (_, None) => {}
            (LocationKind::DockerArchive, Some(tag)) => {
                let reference: Reference = tag.parse()?;
                if reference.tag().is_none() || reference.digest().is_some() {
                    return Err(wrong("a docker archive names images as `name:tag`"));
                }
            }
            // image-spec, annotations.md: the grammar of `org.opencontainers.image.ref.name`.
            (_, Some(tag)) => {
                let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@/+".contains(&byte);
                let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
                if !tag.bytes().all(known) || !ends(tag.bytes().next()) || tag.len() > 512 {
                    return Err(wrong("the tag after the path is no reference name"));
                }
            }
        }
        // Docker archives hold full names: a missing tag is `latest` there too.
        let tag = match (kind, tag) {
            (LocationKind::DockerArchive, Some(tag)) => tag.parse::<Reference>()?.name_and_tag(),
            (_, tag) => tag.map(Into::into),
        };
        Ok(Self { kind, path: path.into(), tag })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind.word(), self.path.display())?;
        match &self.tag {
            Some(tag) => write!(f, ":{tag}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_apart() {
        for (text, kind, path, tag) in [
            ("oci:out", LocationKind::Oci, "out", None),
            ("oci:/a/b:v1", LocationKind::Oci, "/a/b", Some("v1")),
            ("oci:d:name:tag", LocationKind::Oci, "d", Some("name:tag")),
            ("oci-archive:x.tar", LocationKind::OciArchive, "x.tar", None),
            ("docker-archive:x.tar:team/x", LocationKind::DockerArchive, "x.tar", Some("team/x:latest")),
            ("appimage:a:b.AppImage", LocationKind::AppImage, "a:b.AppImage", None),
            ("./a b.AppImage", LocationKind::AppImage, "./a b.AppImage", None),
            ("/a/b.AppImage", LocationKind::AppImage, "/a/b.AppImage", None),
        ] {
            let place: Location = text.parse().unwrap();
            assert_eq!(
                (place.kind, place.path.to_str().unwrap(), place.tag.as_deref()),
                (kind, path, tag),
                "{text}"
            );
        }
    }

    #[test]
    fn a_path_of_an_appimage_need_not_be_text() {
        let of = |word: &[u8]| Location::of_appimage(OsStr::from_bytes(word)).map(|place| place.path);
        assert_eq!(of(b"appimage:/a\xff:b"), Some(OsStr::from_bytes(b"/a\xff:b").into()));
        assert_eq!((of(b"appimage:"), of(b"oci:/a\xff"), of(b"/a\xff.AppImage")), (None, None, None));
    }

    #[test]
    fn strange_places_are_refused() {
        for text in
            ["x.tar", "oci:", "oci::v1", "dir:x", "oci:d:-x", "oci:d:a b", "docker-archive:f:UP:x", "oci:d:"]
        {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
        assert!(
            Location::is_spelt_by("oci:x")
                && !Location::is_spelt_by("oci")
                && !Location::is_spelt_by("name:tag")
        );
    }
}
