//! Reading images: from the store, a layout, an OCI archive, a Docker archive, all behind one value.
//!
//! An [`ImageSource`] is one image (an index or a manifest) and the place its blobs are read from. What it gives is verified:
//! documents when they are read, layers by their reader.

mod archive;
mod docker;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use pinfold_base::Digest;
use pinfold_base::Platform;

use crate::ImageError;
use crate::ImageStore;
use crate::Reference;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::VerifiedReader;
use crate::blobs::open_verified;
use crate::blobs::read_document;
use crate::layout::Layout;
use crate::location::Location;
use crate::location::LocationKind;
use crate::model::Descriptor;
use crate::model::ImageConfiguration;
use crate::model::Index;
use crate::model::LayerEncoding;
use crate::model::Manifest;
use crate::model::Raw;
use crate::portable::Portable;
use crate::portable::PortableError;
use crate::sink::is_index;
use crate::sink::is_manifest;
use crate::store::ref_name;

/// One image and where its blobs are.
pub struct ImageSource {
    name: String,
    root: Descriptor,
    blobs: Box<dyn Blobs>,
}

/// The entries of an index.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// The first for each platform that pinfold knows.
    pub(crate) platforms: BTreeMap<Platform, Descriptor>,
    /// Further ones for these platforms, of other images: tools do not agree which of them counts.
    pub(crate) repeated: Vec<(Platform, Descriptor)>,
    /// Manifests for anything else, and other indexes.
    pub(crate) others: Vec<Descriptor>,
}

/// The image of one platform.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its manifest.
    pub manifest: Raw<Manifest>,
    /// Its configuration.
    pub config: Raw<ImageConfiguration>,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
}

/// A layer as manifest and configuration describe it together.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageLayer {
    /// The blob.
    pub descriptor: Descriptor,
    /// Digest of the tar inside.
    pub diff_id: Digest,
    /// How the tar is compressed.
    pub encoding: LayerEncoding,
}

impl std::fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageSource")
            .field("name", &self.name)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl ImageSource {
    /// An image of the store.
    pub fn from_store(store: &ImageStore, reference: &Reference) -> Result<Self, ImageError> {
        let root = store.resolve(reference)?;
        Ok(Self { name: reference.to_string(), root, blobs: Box::new(store.clone()) })
    }

    /// An image in a directory or archive. Without a tag it must be the only one there.
    pub fn from_location(place: &Location) -> Result<Self, ImageError> {
        let name = place.to_string();
        match place.kind {
            LocationKind::Oci => {
                let layout = Layout::open(&place.path)?;
                let root = choose(&layout.read_index()?, place)?;
                Ok(Self { name, root, blobs: Box::new(layout) })
            }
            LocationKind::OciArchive => {
                let (archive, index) = archive::OciArchive::open(&place.path)?;
                let root = choose(&index, place)?;
                Ok(Self { name, root, blobs: Box::new(archive) })
            }
            LocationKind::AppImage => {
                let portable = Portable::open(&place.path)?;
                let root = portable.index().image.clone();
                let says = portable.index().platform;
                let source = Self { name, root, blobs: Box::new(portable) };
                // A platform of the image that pinfold does not know is told as that.
                match source.platforms()?.keys().find(|is| **is != says) {
                    Some(is) => {
                        let reason = format!("it says that its image is for {says}, and that is for {is}");
                        let file = place.path.display().to_string();
                        Err(PortableError::Damaged { file, reason }.into())
                    }
                    None => Ok(source),
                }
            }
            LocationKind::DockerArchive => {
                let (archive, root) = docker::DockerArchive::open(place)?;
                Ok(Self { name, root, blobs: Box::new(archive) })
            }
        }
    }

    /// An image by its descriptor, in any place that holds blobs.
    pub fn new(name: &str, root: Descriptor, blobs: Box<dyn Blobs>) -> Self {
        Self { name: name.into(), root, blobs }
    }

    /// What it was asked for as.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its index or manifest.
    pub fn root(&self) -> &Descriptor {
        &self.root
    }

    /// Where its blobs are.
    pub fn blobs(&self) -> &dyn Blobs {
        &*self.blobs
    }

    /// Its index; `None` for an image of one platform.
    pub fn index(&self) -> Result<Option<Raw<Index>>, ImageError> {
        if is_index(&self.root) { read_document(&*self.blobs, &self.root).map(Some) } else { Ok(None) }
    }

    /// The manifests of the platforms that pinfold knows, in the order of [`Platform`].
    pub fn platforms(&self) -> Result<BTreeMap<Platform, Descriptor>, ImageError> {
        Ok(self.listed()?.platforms)
    }

    /// The platforms of something that is handed on as it is: none of what is no image.
    pub fn carried(&self) -> Result<Vec<Platform>, ImageError> {
        if is_manifest(&self.root) {
            let manifest: Raw<Manifest> = read_document(&*self.blobs, &self.root)?;
            if !manifest.value().is_image() {
                return Ok(Vec::new());
            }
        }
        Ok(self.platforms()?.into_keys().collect())
    }

    /// All manifests that it lists.
    pub(crate) fn listed(&self) -> Result<Listed, ImageError> {
        let mut listed = Listed::default();
        match self.index()? {
            Some(index) => {
                for entry in &index.value().manifests {
                    let platform =
                        entry.platform.as_ref().and_then(crate::model::DescriptorPlatform::platform);
                    match platform
                        .filter(|_| is_manifest(entry))
                        .map(|platform| listed.platforms.entry(platform))
                    {
                        Some(Entry::Vacant(place)) => drop(place.insert(entry.clone())),
                        Some(Entry::Occupied(place)) if place.get().digest == entry.digest => {}
                        Some(Entry::Occupied(place)) => listed.repeated.push((*place.key(), entry.clone())),
                        None => listed.others.push(entry.clone()),
                    }
                }
            }
            None => {
                if let Some(platform) = self.configuration_of(&self.root)?.1.value().platform() {
                    listed.platforms.insert(platform, self.root.clone());
                }
            }
        }
        Ok(listed)
    }

    /// The image for a platform.
    pub fn image(&self, platform: Platform) -> Result<Image, ImageError> {
        let platforms = self.platforms()?;
        let descriptor = platforms.get(&platform).ok_or_else(|| {
            let names: Vec<String> = platforms.keys().map(ToString::to_string).collect();
            ImageError::NoPlatform {
                image: self.name.clone(),
                wanted: platform,
                available: if names.is_empty() {
                    "no platform pinfold knows".into()
                } else {
                    names.join(", ")
                },
            }
        })?;
        self.image_for(platform, descriptor)
    }

    /// The images of all platforms that pinfold knows.
    pub fn images(&self) -> Result<BTreeMap<Platform, Image>, ImageError> {
        let platforms = self.platforms()?.into_iter();
        platforms
            .map(|(platform, descriptor)| Ok((platform, self.image_for(platform, &descriptor)?)))
            .collect()
    }

    fn image_for(&self, platform: Platform, descriptor: &Descriptor) -> Result<Image, ImageError> {
        let image = self.image_of(descriptor)?;
        if image.config.value().platform() != Some(platform) {
            let reason = format!("the index promises {platform}, its configuration says otherwise");
            return Err(ImageError::rule(format!("image `{}`", self.name), reason));
        }
        Ok(image)
    }

    /// The image behind a manifest's descriptor.
    pub fn image_of(&self, descriptor: &Descriptor) -> Result<Image, ImageError> {
        let (manifest, config) = self.configuration_of(descriptor)?;
        let (blobs, ids) = (&manifest.value().layers, &config.value().rootfs.diff_ids);
        if blobs.len() != ids.len() {
            let reason =
                format!("its manifest has {} layers and its configuration {}", blobs.len(), ids.len());
            return Err(ImageError::rule(format!("image `{}`", self.name), reason));
        }
        let layers = blobs.iter().zip(ids).map(|(descriptor, diff_id)| {
            let encoding = LayerEncoding::of(&descriptor.media_type).ok_or_else(|| {
                let reason = format!("`{}` is no layer pinfold can read", descriptor.media_type);
                ImageError::rule(format!("a layer of `{}`", self.name), reason)
            })?;
            Ok(ImageLayer { descriptor: descriptor.clone(), diff_id: diff_id.clone(), encoding })
        });
        let layers = layers.collect::<Result<_, ImageError>>()?;
        Ok(Image { manifest, config, layers })
    }

    /// The same without a look at its layers, which need not be understood by who only hands them on.
    fn configuration_of(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(Raw<Manifest>, Raw<ImageConfiguration>), ImageError> {
        let manifest: Raw<Manifest> = read_document(&*self.blobs, descriptor)?;
        if !manifest.value().is_image() {
            let reason = format!("its configuration is `{}`", manifest.value().config.media_type);
            return Err(ImageError::rule(format!("`{}`, which is no image,", self.name), reason));
        }
        let config = read_document(&*self.blobs, &manifest.value().config)?;
        Ok((manifest, config))
    }

    /// Opens a blob, verified while it is read to its end.
    pub fn open(&self, descriptor: &Descriptor) -> Result<VerifiedReader<BlobRead>, ImageError> {
        open_verified(&*self.blobs, descriptor)
    }
}

/// The entry of an index that a place means.
fn choose(index: &Raw<Index>, place: &Location) -> Result<Descriptor, ImageError> {
    let entries = &index.value().manifests;
    let names = || entries.iter().filter_map(ref_name).map(ToString::to_string).collect::<Vec<_>>();
    let Some(tag) = &place.tag else {
        return match &entries[..] {
            [only] => Ok(only.clone()),
            [] => Err(ImageError::rule(place.to_string(), "it holds no image")),
            _ => Err(ImageError::Ambiguous { place: place.to_string(), tags: names() }),
        };
    };
    // containerd writes only the tag, others the whole name.
    let exact = entries.iter().find(|entry| ref_name(entry) == Some(tag));
    let ending = format!(":{tag}");
    let by_tag = || {
        let mut found =
            entries.iter().filter(|entry| ref_name(entry).is_some_and(|name| name.ends_with(&ending)));
        found.next().filter(|_| found.next().is_none())
    };
    exact.or_else(by_tag).cloned().ok_or_else(|| ImageError::NotFound {
        reference: tag.clone(),
        place: format!("{}:{}", place.kind.word(), place.path.display()),
        known: names(),
    })
}
