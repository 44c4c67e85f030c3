//! `images`: what is in the local store, as values, and the image that a name means.

use pinfold_base::Digest;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::Place;
use pinfold_image::blobs::read_document;
use pinfold_image::model::Index;
use pinfold_image::model::Manifest;
use serde::Serialize;

use crate::context::Context;

/// The image that text means: a place outside of the store, or a name in it.
pub fn find(context: &Context, text: &str) -> Result<ImageSource, ImageError> {
    if Place::is_spelt_by(text) {
        return ImageSource::from_place(&text.parse()?);
    }
    ImageSource::from_store(&ImageStore::open(context.home.data())?, &text.parse()?)
}

/// One named image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Name without the tag.
    pub repository: String,
    /// Tag.
    pub tag: String,
    /// Digest of the index or image manifest.
    pub digest: Digest,
    /// Platforms, `amd64` or `linux/amd64` as the index says.
    pub platforms: Vec<String>,
    /// RFC 3339 time that the image carries.
    pub created: String,
    /// Compressed size of all layers of all platforms, each blob once.
    pub size: u64,
}

/// All named images, by name.
pub fn list(context: &Context) -> Result<Vec<Listed>, ImageError> {
    let store = ImageStore::open(context.home.data())?;
    let mut found = Vec::new();
    for entry in store.list()? {
        let Some(reference) = entry.reference else { continue };
        let mut listed = Listed {
            repository: reference.name().to_owned(),
            tag: reference.tag().unwrap_or_default().to_owned(),
            digest: entry.descriptor.digest.clone(),
            platforms: Vec::new(),
            created: String::new(),
            size: 0,
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut add = |manifest: &Manifest| {
            manifest
                .layers
                .iter()
                .filter(|layer| seen.insert(layer.digest.clone()))
                .map(|layer| layer.size)
                .sum::<u64>()
        };
        let created = pinfold_image::compose::annotation::CREATED;
        if let Ok(index) = read_document::<Index>(store.layout(), &entry.descriptor) {
            listed.created = index.value().annotations.get(created).cloned().unwrap_or_default();
            for descriptor in &index.value().manifests {
                let platform = descriptor.platform.as_ref();
                listed
                    .platforms
                    .extend(platform.map(|platform| format!("{}/{}", platform.os, platform.architecture)));
                listed.size += add(read_document::<Manifest>(store.layout(), descriptor)?.value());
            }
        } else {
            let manifest = read_document::<Manifest>(store.layout(), &entry.descriptor)?;
            listed.created = manifest.value().annotations.get(created).cloned().unwrap_or_default();
            listed.size = add(manifest.value());
        }
        found.push(listed);
    }
    Ok(found)
}
