//! Where an image is, in one spelling for all verbs.
//!
//! ```text
//! NAME[:TAG]   NAME@DIGEST                                          the store of this machine
//! oci:DIR[:TAG]   oci-archive:FILE[:TAG]   docker-archive:FILE[:NAME:TAG]   a [`Location`]
//! docker://HOST/REPOSITORY[:TAG|@DIGEST]                            a registry, as skopeo spells it
//! ```
//!
//! What other tools spell so is refused, since it would be an image called `dir` or `docker-daemon`.
//!
//! Where a verb means a registry anyway, its name is enough ([`remote`]).

use std::fmt;
use std::str::FromStr;

use crate::ImageError;
use crate::Location;
use crate::Reference;
use crate::registry::Remote;

/// What a name in a registry begins with.
const REGISTRY: &str = "docker://";
/// Places that skopeo knows (containers-transports(5)) and nobody here.
const FOREIGN: [&str; 6] = ["containers-storage:", "dir:", "docker-daemon:", "ostree:", "sif:", "tarball:"];

/// Where an image is, or shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The store of this machine, under this name.
    Store(Reference),
    /// A directory or file.
    Location(Location),
    /// A registry; its host is written.
    Registry(Reference),
}

impl FromStr for Place {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        if text.starts_with(REGISTRY) {
            return remote(text).map(Self::Registry);
        }
        if Location::is_spelt_by(text) {
            return text.parse().map(Self::Location);
        }
        if FOREIGN.iter().any(|word| text.starts_with(word)) {
            let reason = "that is a place of other tools, which is not written to or read here";
            return Err(ImageError::Location { text: text.chars().take(300).collect(), reason });
        }
        text.parse().map(Self::Store)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(reference) => write!(f, "{reference}"),
            Self::Location(location) => write!(f, "{location}"),
            Self::Registry(reference) => write!(f, "{REGISTRY}{reference}"),
        }
    }
}

/// A name in a registry, for verbs that mean one anyway: with or without `docker://`. Its host must be written.
pub fn remote(text: &str) -> Result<Reference, ImageError> {
    let reference: Reference = text.strip_prefix(REGISTRY).unwrap_or(text).parse()?;
    Remote::of(&reference)?;
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::RegistryError;

    #[test]
    fn every_place_has_one_spelling() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = format!("registry.example:5000/team/x@sha256:{hex}");
        for (text, kind) in [
            ("box:latest", "store"),
            ("registry.example/team/x:1", "store"),
            (digest.as_str(), "store"),
            ("oci:dir:1", "location"),
            ("docker-archive:x.tar", "location"),
            ("docker://registry.example/x:latest", "registry"),
            (&format!("docker://{digest}"), "registry"),
        ] {
            let place: Place = text.parse().unwrap();
            let found = match &place {
                Place::Store(_) => "store",
                Place::Location(_) => "location",
                Place::Registry(_) => "registry",
            };
            assert_eq!((found, place.to_string().as_str()), (kind, text));
        }
    }

    #[test]
    fn a_registry_is_written() {
        for text in ["docker://box", "docker://team/x:1", "box"] {
            let error = remote(text).unwrap_err();
            let inner = matches!(&error, ImageError::Registry(error) if matches!(**error, RegistryError::Name { .. }));
            assert!(inner, "{text}: {error}");
        }
        for text in ["docker-daemon:x:1", "containers-storage:x", "dir:foo", "dir:/tmp/x"] {
            assert!(matches!(text.parse::<Place>(), Err(ImageError::Location { .. })), "{text}");
        }
        assert!("dir".parse::<Place>().is_ok() && "localhost/dir:foo".parse::<Place>().is_ok());
        assert!("docker://".parse::<Place>().is_err() && "docker:x/y".parse::<Place>().is_err());
        assert_eq!(remote("docker://registry.example/x").unwrap(), remote("registry.example/x").unwrap());
    }
}
