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
mod directory;
mod plain;

use std::path::Path;

use archive::ArchiveSink;
use directory::DirectorySink;
use pinfold_base::Platform;

use crate::ImageError;
use crate::ImageSource;
use crate::compose::annotation;
use crate::location::Location;
use crate::location::LocationKind;
use crate::model::Descriptor;
use crate::sink::copy;
use crate::sink::is_index;

/// What of an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The index with all platforms, or the only manifest.
    All,
    /// The manifest of one platform.
    One(Platform),
}

/// Writes an image and says what was written: the descriptor of its index or manifest at that place, without the name it got.
pub fn export(
    source: &ImageSource,
    selection: Selection,
    place: &Location,
) -> Result<Descriptor, ImageError> {
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
    let tag = place.tag.as_deref();
    match place.kind {
        LocationKind::Oci => copy(source.blobs(), &root, DirectorySink::open(&place.path, tag)?)?,
        LocationKind::OciArchive => copy(source.blobs(), &root, ArchiveSink::oci(&place.path, tag)?)?,
        LocationKind::DockerArchive => {
            root = only_platform(source, root, place)?;
            let sink = ArchiveSink::docker(&place.path, tag)?;
            root = plain::copy_plain(source, &root, parent_of(&place.path), sink)?;
        }
    }
    Ok(root)
}

/// The manifest of an image that must have only one platform.
fn only_platform(source: &ImageSource, root: Descriptor, place: &Location) -> Result<Descriptor, ImageError> {
    if !is_index(&root) {
        return Ok(root);
    }
    let platforms = source.platforms()?;
    if platforms.len() == 1 {
        return Ok(platforms.into_values().next().unwrap_or(root));
    }
    let names: Vec<String> = platforms.keys().map(ToString::to_string).collect();
    let reason = format!("it holds one platform and the image has {}", names.join(", "));
    Err(ImageError::rule(format!("`{place}`"), reason))
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
