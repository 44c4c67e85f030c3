//! Media types and what they say about a layer's encoding.

use pinfold_archive::codec::Compression;

/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// An uncompressed OCI layer.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A gzip OCI layer.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A zstd OCI layer.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The empty JSON object, standing for no configuration.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A Docker v2 schema 2 manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// A Docker image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// A gzip Docker layer.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// A zstd Docker layer, as containerd and buildkit write them.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
/// An uncompressed Docker layer.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// What a signature of cosign's older form signs; it stands as a layer of an image.
pub const SIGNED_PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// The two vocabularies; a manifest uses one of them only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// OCI image-spec.
    Oci,
    /// Docker v2 schema 2.
    Docker,
}

impl Family {
    /// Whose vocabulary a media type is from; `None` for one that is neither's.
    pub fn of(media_type: &str) -> Option<Self> {
        if media_type.starts_with("application/vnd.oci.") {
            Some(Self::Oci)
        } else if media_type.starts_with("application/vnd.docker.") {
            Some(Self::Docker)
        } else {
            None
        }
    }
}

/// How a layer's tar is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerEncoding {
    /// Not at all.
    Tar,
    /// One or more gzip members (RFC 1952).
    Gzip,
    /// One or more Zstandard frames (RFC 8878).
    Zstd,
}

impl LayerEncoding {
    /// The OCI media type of a layer in this encoding.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Tar => OCI_LAYER,
            Self::Gzip => OCI_LAYER_GZIP,
            Self::Zstd => OCI_LAYER_ZSTD,
        }
    }

    /// What a media type says; `None` for anything that is no layer we can read.
    pub fn of(media_type: &str) -> Option<Self> {
        match media_type {
            OCI_LAYER | DOCKER_LAYER => Some(Self::Tar),
            OCI_LAYER_GZIP | DOCKER_LAYER_GZIP => Some(Self::Gzip),
            OCI_LAYER_ZSTD | DOCKER_LAYER_ZSTD => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What the first bytes of a layer say, where no media type does (Docker archives).
    pub fn sniff(start: &[u8]) -> Self {
        if start.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Self::Zstd
        } else {
            Self::Tar
        }
    }

    /// The decoder it needs.
    pub const fn compression(self) -> Compression {
        match self {
            Self::Tar => Compression::None,
            Self::Gzip => Compression::Gzip,
            Self::Zstd => Compression::Zstd,
        }
    }

    /// One word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}
