//! Writing an image to a place outside of the store: `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`.
//!
//! **Guarantees**: equal images give equal archives (members sorted, times 0, owners 0); every blob is verified while it is
//! copied; the result appears whole under its name or not at all, except for a layout that exists already, to which blobs
//! are added first and the name last.
//!
//! A Docker archive is an OCI archive with a `manifest.json`, as `docker save` writes it, so both kinds of readers take it. It
//! holds one platform. Layers stay as they are compressed, since Docker, podman and skopeo decompress while loading; zstd is
//! unpacked to plain tar, because older Docker does not know it.

mod archive;

use std::io;
use std::path::Path;

use fs_err as fs;
use pinfold_archive::codec::decoder;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::digest::HashingWriter;
use serde::Serialize;

use crate::ImageError;
use crate::ImageSource;
use crate::blobs::read_document;
use crate::blobs::unwrap_io;

use crate::compose::annotation;
use crate::json;
use crate::layout::INDEX_NAME;
use crate::layout::LAYOUT_FILE;
use crate::layout::LAYOUT_NAME;
use crate::layout::Layout;
use crate::layout::sync_parent;
use crate::model::Descriptor;
use crate::model::Index;
use crate::model::LayerEncoding;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::media;
use crate::place::Place;
use crate::place::PlaceKind;
use crate::store::Lock;
use crate::store::is_index;
use crate::store::is_manifest;
use crate::store::ref_name;

/// What of an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The index with all platforms, or the only manifest.
    All,
    /// The manifest of one platform.
    One(Platform),
}

/// Writes an image and says what was written: the descriptor of its index or manifest at that place.
pub fn export(source: &ImageSource, selection: Selection, place: &Place) -> Result<Descriptor, ImageError> {
    let mut root = match selection {
        Selection::All => source.root().clone(),
        Selection::One(platform) => {
            let platforms = source.platforms()?;
            // Asking the image gives the error that lists what there is.
            source.image(platform)?;
            platforms.get(&platform).cloned().unwrap_or_else(|| source.root().clone())
        }
    };
    root.annotations.remove(annotation::REF_NAME);
    if let (Some(tag), PlaceKind::Oci | PlaceKind::OciArchive) = (&place.tag, place.kind) {
        root.annotations.insert(annotation::REF_NAME.into(), tag.clone());
    }
    match place.kind {
        PlaceKind::Oci => to_layout(source, &root, place)?,
        PlaceKind::OciArchive => to_oci_archive(source, &root, place)?,
        PlaceKind::DockerArchive => root = to_docker_archive(source, root, place)?,
    }
    Ok(root)
}

/// All blobs of an image, each once, with documents before what they name.
fn blobs_of(source: &ImageSource, root: &Descriptor) -> Result<Vec<Descriptor>, ImageError> {
    let mut found: Vec<Descriptor> = Vec::new();
    let mut pending = vec![root.clone()];
    while let Some(descriptor) = pending.pop() {
        if found.iter().any(|old| old.digest == descriptor.digest) {
            continue;
        }
        if is_index(&descriptor) {
            let index: Raw<Index> = read_document(source.blobs(), &descriptor)?;
            pending.extend(index.value().manifests.iter().cloned());
        } else if is_manifest(&descriptor) {
            let manifest: Raw<Manifest> = read_document(source.blobs(), &descriptor)?;
            pending.push(manifest.value().config.clone());
            pending.extend(manifest.value().layers.iter().cloned());
        }
        found.push(descriptor);
    }
    Ok(found)
}

fn to_layout(source: &ImageSource, root: &Descriptor, place: &Place) -> Result<(), ImageError> {
    let exists = match fs::read_dir(&place.path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error.into()),
    };
    if exists {
        let layout = Layout::open(&place.path)?;
        let _lock = Lock::hold(&place.path.join("lock"), rustix::fs::FlockOperation::LockExclusive)?;
        return fill(source, root, &layout);
    }
    let parent = parent_of(&place.path);
    fs::create_dir_all(parent)?;
    let temporary = tempfile::Builder::new().prefix(".pinfold-").tempdir_in(parent)?;
    fill(source, root, &Layout::create(temporary.path())?)?;
    fs::set_permissions(temporary.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    // An empty directory in the way is replaced, anything else was refused above.
    fs::rename(temporary.path(), &place.path)?;
    let _ = temporary.keep();
    sync_parent(&place.path)?;
    Ok(())
}

fn fill(source: &ImageSource, root: &Descriptor, layout: &Layout) -> Result<(), ImageError> {
    for blob in blobs_of(source, root)? {
        layout.put_reader(source.blobs().open(&blob.digest)?.0, &blob.digest, blob.size)?;
    }
    let mut index = layout.read_index()?.value().clone();
    index.media_type = Some(media::OCI_INDEX.into());
    let name = ref_name(root).map(ToString::to_string);
    index.manifests.retain(|old| match &name {
        Some(name) => ref_name(old) != Some(name),
        None => ref_name(old).is_some() || old.digest != root.digest,
    });
    index.manifests.push(root.clone());
    index.manifests.sort_by(|a, b| (ref_name(a), &a.digest).cmp(&(ref_name(b), &b.digest)));
    layout.write_index(&Raw::compose(index)?)?;
    // Blobs were renamed out of it, so it is empty; other writers of the layout may have theirs in it.
    let _ = fs::remove_dir(layout.root().join("tmp"));
    Ok(())
}

fn to_oci_archive(source: &ImageSource, root: &Descriptor, place: &Place) -> Result<(), ImageError> {
    let mut archive = archive::Archive::create(&place.path)?;
    archive.blobs(source, blobs_of(source, root)?)?;
    archive.small(INDEX_NAME, Raw::compose(Index::new(vec![root.clone()]))?.bytes())?;
    archive.small(LAYOUT_NAME, LAYOUT_FILE)?;
    archive.finish()
}

/// One image of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

fn to_docker_archive(
    source: &ImageSource,
    root: Descriptor,
    place: &Place,
) -> Result<Descriptor, ImageError> {
    let platforms = source.platforms()?;
    let root = match (is_index(&root), platforms.len()) {
        (false, _) => root,
        (true, 1) => platforms.into_values().next().unwrap_or(root),
        (true, _) => {
            let names: Vec<String> = platforms.keys().map(ToString::to_string).collect();
            let reason = format!("it holds one platform and the image has {}", names.join(", "));
            return Err(ImageError::rule(format!("`{place}`"), reason));
        }
    };
    let image = source.image_of(&root)?;
    let mut manifest = image.manifest.value().clone();
    let mut plain = Vec::new();
    let dir = tempfile::Builder::new().prefix(".pinfold-").tempdir_in(parent_of(&place.path))?;
    let unpacked = Layout::create(dir.path())?;
    for (layer, descriptor) in image.layers.iter().zip(&mut manifest.layers) {
        if layer.encoding == LayerEncoding::Zstd {
            let size = unpack_layer(source, layer, &unpacked)?;
            *descriptor = Descriptor {
                annotations: descriptor.annotations.clone(),
                ..Descriptor::new(media::OCI_LAYER, layer.diff_id.clone(), size)
            };
            plain.push(descriptor.clone());
        }
    }
    let (manifest, root) = if plain.is_empty() {
        (image.manifest.clone(), root)
    } else {
        let manifest = Raw::synthesize(manifest)?;
        let root = Descriptor { platform: root.platform.clone(), ..manifest.descriptor() };
        (manifest, root)
    };
    let path = |descriptor: &Descriptor| format!("blobs/sha256/{}", descriptor.digest.hex());
    let saved = Saved {
        config: path(&manifest.value().config),
        repo_tags: place.tag.iter().cloned().collect(),
        layers: manifest.value().layers.iter().map(path).collect(),
    };
    unpacked.put_document(&manifest)?;
    let kept = |layer: &&Descriptor| !plain.contains(layer);
    let mut from_source = vec![manifest.value().config.clone()];
    from_source.extend(manifest.value().layers.iter().filter(kept).cloned());
    plain.push(root.clone());
    let mut archive = archive::Archive::create(&place.path)?;
    let unpacked = ImageSource::new(&place.to_string(), root.clone(), Box::new(unpacked));
    archive.blobs_of_two((source, from_source), (&unpacked, plain))?;
    let mut named = root.clone();
    if let Some(tag) = &place.tag {
        named.annotations.insert(annotation::REF_NAME.into(), tag.clone());
    }
    archive.small(INDEX_NAME, Raw::compose(Index::new(vec![named]))?.bytes())?;
    archive.small("manifest.json", &json::write("`manifest.json`", &[saved])?)?;
    archive.small(LAYOUT_NAME, LAYOUT_FILE)?;
    archive.finish()?;
    Ok(root)
}

/// Stores the tar of a layer, checked against its diff_id, and says its size.
fn unpack_layer(source: &ImageSource, layer: &crate::source::Layer, to: &Layout) -> Result<u64, ImageError> {
    let mut blob = source.open(&layer.descriptor)?;
    let mut file = to.temporary()?;
    let (_, digest, size) = {
        let mut hash = HashingWriter::new(Algorithm::Sha256, &mut file);
        io::copy(&mut decoder(layer.encoding.compression(), &mut blob)?, &mut hash).map_err(unwrap_io)?;
        hash.finish()
    };
    blob.finish()?;
    check_diff_id(&layer.diff_id, digest)?;
    to.put_reader(file.reopen()?, &layer.diff_id, size)?;
    Ok(size)
}

fn check_diff_id(expected: &Digest, actual: Digest) -> Result<(), ImageError> {
    if *expected == actual {
        return Ok(());
    }
    let what = "the tar of a layer".into();
    Err(ImageError::WrongDigest { what, expected: expected.clone(), actual })
}

/// The folder of a path; the current one for a bare name.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
