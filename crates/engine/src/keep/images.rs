//! `images`: what is in the local store, as values, and the image that a name means.

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::store::Expected;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::Location;
use pinfold_image::Reference;
use pinfold_image::blobs::read_document;
use pinfold_image::model::Descriptor;
use pinfold_image::model::Index;
use pinfold_image::model::Manifest;
use pinfold_image::sink::is_index;
use serde::Serialize;

use crate::context::Context;

/// The image that text means: a place outside of the store, or a name in it.
pub fn find(context: &Context, text: &str) -> Result<ImageSource, ImageError> {
    if Location::is_spelt_by(text) {
        return ImageSource::from_location(&text.parse()?);
    }
    ImageSource::from_store(&context.images()?, &text.parse()?)
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
    /// Whether something of it is missing or damaged: a build makes it again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
}

impl Listed {
    /// Before its documents are read.
    fn new(reference: &Reference, root: &Descriptor) -> Self {
        Self {
            repository: reference.name().to_owned(),
            tag: reference.tag().unwrap_or_default().to_owned(),
            digest: root.digest.clone(),
            platforms: Vec::new(),
            created: String::new(),
            size: 0,
            damaged: false,
        }
    }
}

/// All named images, by name. One that is damaged is listed as such, with what is known of it.
pub fn list(context: &Context) -> Result<Vec<Listed>, ImageError> {
    let store = context.images()?;
    let mut found = Vec::new();
    for entry in store.list()? {
        let Some(reference) = entry.reference else { continue };
        let mut listed = Listed::new(&reference, &entry.descriptor);
        match describe(&store, &entry.descriptor, &mut listed) {
            Err(ImageError::Io(error)) => return Err(error.into()),
            described => listed.damaged = !described.unwrap_or(false),
        }
        found.push(listed);
    }
    Ok(found)
}

/// Whether all blobs of a stored image are there and what they should be. Of one outside of the store nothing is looked at.
pub fn is_whole(context: &Context, text: &str) -> Result<bool, ImageError> {
    if Location::is_spelt_by(text) {
        return Ok(true);
    }
    let (store, reference) = (context.images()?, text.parse::<Reference>()?);
    let looked = store
        .resolve(&reference)
        .and_then(|root| describe(&store, &root, &mut Listed::new(&reference, &root)));
    match looked {
        Err(ImageError::Io(error)) => Err(error.into()),
        whole => Ok(whole.unwrap_or(false)),
    }
}

/// Fills in what the documents of an image say. Whether its blobs are there and what they should be.
fn describe(store: &ImageStore, root: &Descriptor, listed: &mut Listed) -> Result<bool, ImageError> {
    let mut blobs: BTreeMap<Digest, u64> = BTreeMap::new();
    let mut add = |manifest: &Manifest| {
        let layers = manifest.layers.iter();
        blobs.extend(layers.clone().map(|layer| (layer.digest.clone(), layer.size)));
        listed.size = blobs.values().sum();
        let config = Expected { digest: manifest.config.digest.clone(), size: Some(manifest.config.size) };
        let layers = layers
            .map(|layer| Expected { digest: layer.digest.clone(), size: Some(layer.size) })
            .chain([config]);
        // All of them: each that is wrong is set aside now.
        layers
            .map(|expected| store.holds(&expected))
            .try_fold(true, |all, held| Ok::<_, ImageError>(all & held?))
    };
    let created = pinfold_image::compose::annotation::CREATED;
    if !is_index(root) {
        let manifest = read_document::<Manifest>(store, root)?;
        listed.created = manifest.value().annotations.get(created).cloned().unwrap_or_default();
        return add(manifest.value());
    }
    let index = read_document::<Index>(store, root)?;
    listed.created = index.value().annotations.get(created).cloned().unwrap_or_default();
    let mut whole = true;
    for descriptor in &index.value().manifests {
        let platform = descriptor.platform.as_ref();
        listed
            .platforms
            .extend(platform.map(|platform| format!("{}/{}", platform.os, platform.architecture)));
        match read_document::<Manifest>(store, descriptor) {
            Ok(manifest) => whole &= add(manifest.value())?,
            Err(ImageError::Io(error)) => return Err(error.into()),
            Err(_) => whole = false,
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pinfold_base::Home;
    use pinfold_base::report::Silent;

    use super::*;
    use crate::build;
    use crate::consent;
    use crate::context::Network;
    use crate::project::Project;

    fn context(dir: &Path) -> Context {
        Context::at(Home::under(&dir.join("home")), Network::Offline, Box::new(Silent)).unwrap()
    }

    /// Builds an image of one file under a name.
    fn build(context: &Context, dir: &Path, platforms: &str, tag: &str) -> Digest {
        let text =
            format!("name = 'x'\nplatforms = [{platforms}]\n[[file]]\npath = '/hello'\ncontent = 'hello'\n");
        fs_err::write(dir.join("pinfold.toml"), text).unwrap();
        let _ = fs_err::remove_file(dir.join("pinfold.lock"));
        let project = Project::from_file(&dir.join("pinfold.toml")).unwrap();
        let project = consent::agree(context, project).unwrap();
        let options =
            build::Options { tag: Some(tag.parse().unwrap()), ..build::Options::new(build::LockUse::Update) };
        build::build(context, &project, &options).unwrap().built.index
    }

    #[test]
    fn images_are_listed_by_name_with_platforms_and_each_blob_counted_once() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        assert_eq!(list(&context).unwrap(), []);
        let both = build(&context, dir.path(), "'linux/amd64', 'linux/arm64'", "both:v1");
        let one = build(&context, dir.path(), "'linux/arm64'", "one");
        let found = list(&context).unwrap();
        let row = |listed: &Listed| {
            (listed.repository.clone(), listed.tag.clone(), listed.digest.clone(), listed.platforms.join(" "))
        };
        assert_eq!(
            found.iter().map(row).collect::<Vec<_>>(),
            [
                ("both".into(), "v1".into(), both, "linux/amd64 linux/arm64".into()),
                ("one".into(), "latest".into(), one, "linux/arm64".into()),
            ]
        );
        assert_eq!(found[0].size, found[1].size, "both platforms have the same layer");
        assert!(found.iter().all(|listed| listed.created.ends_with('Z')), "{found:?}");
    }

    #[test]
    fn an_image_is_found_by_what_people_call_it() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        let digest = build(&context, dir.path(), "'linux/amd64'", "mine:v1");
        for text in ["mine:v1".to_owned(), format!("mine@{digest}")] {
            assert!(find(&context, &text).is_ok(), "{text}");
        }
        for (text, expected) in [
            ("mine", "mine:latest"),
            ("Not A Name", "Not A Name"),
            ("oci:/nowhere", "/nowhere"),
            ("docker-archive:/nowhere", "/nowhere"),
        ] {
            let told = find(&context, text).unwrap_err();
            let told = pinfold_base::error::one_line(&told);
            assert!(told.contains(expected), "{text} gave {told}");
        }
    }
}
