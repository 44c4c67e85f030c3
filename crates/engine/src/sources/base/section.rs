//! `[base]` of the manifest and of the lock.

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_image::Base;
use pinfold_image::ImageError;
use pinfold_image::Location;
use pinfold_image::Reference;
use pinfold_image::base::BaseLayer;
use pinfold_image::model::Descriptor;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::BaseImage;
use crate::project::manifest::ManifestError;
use crate::sources::Section;

/// Longest name of a component, in bytes.
const MAX_NAME: usize = 64;

/// `[base]` as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BaseFile {
    /// The image: `registry.example/team/node:22`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:NAME]`. A name
    /// without a registry means what registries.conf says.
    image: String,
}

/// What `[base]` means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BaseRequest {
    /// The image, as written.
    pub image: String,
    /// Where that is.
    #[serde(skip)]
    pub place: Place,
}

/// Where a base is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a registry; one that is not written is what the machine's configuration says.
    Registry(Reference),
    /// In a directory or an archive; the path counts from the manifest's folder.
    Location(Location),
}

impl BaseRequest {
    fn new(image: String, directory: &Path) -> Result<Self, ManifestError> {
        let wrong = |message: String| ManifestError::value("base.image", message);
        let told = |error: ImageError| wrong(error.to_string());
        let place = if Location::is_spelt_by(&image) {
            let mut location: Location = image.parse().map_err(told)?;
            location.path = directory.join(location.path);
            Place::Location(location)
        } else {
            Place::Registry(image.parse().map_err(told)?)
        };
        Ok(Self { image, place })
    }

    /// What the base is called among components: the end of its repository or of its path.
    pub fn name(&self) -> String {
        let end = match &self.place {
            Place::Registry(reference) => reference.repository().rsplit('/').next().map(str::to_owned),
            Place::Location(location) => {
                location.path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
            }
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let mut name: String =
            end.unwrap_or_default().to_ascii_lowercase().chars().filter(|c| fits(*c)).collect();
        name.truncate(MAX_NAME);
        if name.is_empty() { "image".into() } else { name }
    }

    /// The component that all of it is.
    pub fn component(&self) -> String {
        format!("{}/{}", super::PREFIX, self.name())
    }
}

/// `[base]` of the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedBase {
    /// What its component is called.
    pub name: String,
    /// What the name led to: the index, or the one manifest.
    pub root: LockedBlob,
    /// The image of each platform.
    pub platforms: BTreeMap<Platform, LockedImage>,
}

impl LockedBase {
    /// How many layers it has on each platform.
    pub fn layers(&self) -> impl Iterator<Item = usize> {
        self.platforms.values().map(|image| image.layers.len())
    }
}

/// A base for one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedImage {
    /// Its manifest.
    pub manifest: LockedBlob,
    /// Its configuration.
    pub config: LockedBlob,
    /// Its layers, lowest first.
    pub layers: Vec<LockedLayer>,
}

/// A document of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedBlob {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A layer of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockedLayer {
    /// What the blob is, by an OCI name.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Digest of the tar inside.
    pub diff_id: Digest,
}

impl LockedImage {
    pub(super) fn of(manifest: &Descriptor, base: &Base) -> Self {
        let config = base.config();
        Self {
            manifest: LockedBlob::of(manifest),
            config: LockedBlob::of(&config.descriptor()),
            layers: base.layers().iter().map(LockedLayer::of).collect(),
        }
    }
}

impl LockedBlob {
    pub(super) fn of(part: &Descriptor) -> Self {
        Self { media_type: part.media_type.clone(), digest: part.digest.clone(), size: part.size }
    }

    pub(super) fn descriptor(&self) -> Descriptor {
        Descriptor::new(&self.media_type, self.digest.clone(), self.size)
    }
}

impl LockedLayer {
    fn of(layer: &BaseLayer) -> Self {
        let BaseLayer { descriptor, diff_id } = layer;
        Self {
            media_type: descriptor.media_type.clone(),
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            diff_id: diff_id.clone(),
        }
    }
}

impl Section for BaseImage {
    type Typed = Option<BaseFile>;
    type Request = Option<BaseRequest>;
    type Locked = Option<LockedBase>;

    fn overlaid(preset: Self::Typed, over: Self::Typed) -> Self::Typed {
        over.or(preset)
    }

    fn meaning(typed: Self::Typed, directory: &Path) -> Result<Self::Request, ManifestError> {
        typed.map(|typed| BaseRequest::new(typed.image, directory)).transpose()
    }
}
