//! `images`: what is in the local store, as values, and the image that a name means.

use pinfold_base::Digest;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::Location;
use pinfold_image::blobs::read_document;
use pinfold_image::model::Index;
use pinfold_image::model::Manifest;
use serde::Serialize;

use crate::context::Context;

/// The image that text means: a place outside of the store, or a name in it.
pub fn find(context: &Context, text: &str) -> Result<ImageSource, ImageError> {
    if Location::is_spelt_by(text) {
        return ImageSource::from_location(&text.parse()?);
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
            build::Options { tag: Some(tag.parse().unwrap()), ..build::Options::new(build::LockUse::Create) };
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
