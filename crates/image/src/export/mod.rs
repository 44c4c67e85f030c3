//! Writing an image to a place outside of the store: `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, or as an archive to
//! whoever reads one ([`stream`]).
//!
//! **Guarantees**: equal images give equal archives (members sorted, times 0, owners 0); every blob is verified while it is
//! copied; the result appears whole under its name or not at all, except for a layout that exists already, to which blobs
//! are added first and the name last.
//!
//! A Docker archive is an OCI archive with a `manifest.json`, as `docker save` writes it, so both kinds of readers take it. It
//! holds one platform. An index says its image's name twice: as the tag that was asked for, and as containerd wants it, with a
//! registry (`localhost/` where it has none). Layers stay as they are compressed, since Docker, podman and skopeo decompress while loading; zstd is
//! unpacked to plain tar, because older Docker does not know it.

mod archive;
mod directory;
mod plain;

use std::io::Write;
use std::path::Path;

use archive::ArchiveSink;
use directory::DirectorySink;
use pinfold_base::Platform;
use pinfold_base::Reporter;

use crate::ImageError;
use crate::ImageSource;
use crate::Reference;
use crate::compose::annotation;
use crate::location::Location;
use crate::location::LocationKind;
use crate::model::Descriptor;
use crate::reference::is_tag;
use crate::sink::copy;
use crate::sink::is_index;
use crate::store::NOTES;

/// What of an image is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The index with all platforms, or the only manifest.
    All,
    /// The manifest of one platform.
    One(Platform),
}

impl Selection {
    /// The document that is meant, without what it is called where it is.
    pub fn root(self, source: &ImageSource) -> Result<Descriptor, ImageError> {
        let mut root = match self {
            Self::All => source.root().clone(),
            Self::One(platform) => {
                let platforms = source.platforms()?;
                // Asking the image gives the error that lists what there is.
                source.image(platform)?;
                platforms.get(&platform).cloned().unwrap_or_else(|| source.root().clone())
            }
        };
        let names = [annotation::REF_NAME, annotation::CONTAINERD_NAME];
        root.annotations.retain(|name, _| !names.contains(&name.as_str()) && !NOTES.contains(&name.as_str()));
        Ok(root)
    }
}

/// What goes to a place where nobody says: everything, but a Docker archive holds one platform, this machine's or the only one.
pub fn selection(
    source: &ImageSource,
    place: &Location,
    platform: Option<Platform>,
) -> Result<Selection, ImageError> {
    if let Some(platform) = platform {
        return Ok(Selection::One(platform));
    }
    if place.kind != LocationKind::DockerArchive || !is_index(source.root()) {
        return Ok(Selection::All);
    }
    let platforms = source.platforms()?;
    let host = Platform::host().filter(|host| platforms.contains_key(host));
    Ok(host.map_or(Selection::All, Selection::One))
}

/// What an image is called where it is, with its tag; nothing where that is no whole name.
pub fn known_name(root: &Descriptor) -> Option<String> {
    let names = [annotation::CONTAINERD_NAME, annotation::REF_NAME];
    let whole = |text: &&String| text.contains([':', '/']);
    let mut found = names.iter().filter_map(|name| root.annotations.get(*name)).filter(whole);
    found.find_map(|text| text.parse::<Reference>().ok()?.name_and_tag())
}

/// Writes an image and says what was written: the descriptor of its index or manifest at that place, without the name it got.
/// `called` is its name and tag where it comes from.
pub fn export(
    source: &ImageSource,
    selection: Selection,
    place: &Location,
    called: Option<&str>,
    reporter: &dyn Reporter,
) -> Result<Descriptor, ImageError> {
    let mut root = selection.root(source)?;
    let named = Named::new(place.tag.as_deref(), called);
    match place.kind {
        LocationKind::Oci => copy(source.blobs(), &root, DirectorySink::open(&place.path, named, reporter)?)?,
        LocationKind::OciArchive => copy(source.blobs(), &root, ArchiveSink::oci(&place.path, named)?)?,
        LocationKind::AppImage => {
            let reason = "an AppImage is made by `pinfold pack`, which puts a program before the image";
            return Err(ImageError::Location { text: place.to_string(), reason });
        }
        LocationKind::DockerArchive => {
            root = only_platform(source, root, place)?;
            let sink = ArchiveSink::docker(&place.path, named)?;
            root = plain::copy_plain(source, &root, parent_of(&place.path), sink)?;
        }
    }
    Ok(root)
}

/// A kind of archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archive {
    /// An OCI archive.
    Oci,
    /// A Docker archive; of one manifest.
    Docker,
}

/// Writes the image behind `root` as an archive to whoever reads it, under a full name where it has one. Plain tars of zstd layers
/// wait for their turn below `scratch`. Of a failure the reader sees that the archive does not end.
pub fn stream(
    source: &ImageSource,
    root: &Descriptor,
    kind: Archive,
    name: Option<&str>,
    scratch: &Path,
    to: &mut dyn Write,
) -> Result<(), ImageError> {
    let named = Named::new(name, None);
    match kind {
        Archive::Oci => copy(source.blobs(), root, ArchiveSink::stream(to, named, None)?),
        Archive::Docker => {
            let sink = ArchiveSink::stream(to, named, Some(Vec::new()))?;
            plain::copy_plain(source, root, scratch, sink).map(drop)
        }
    }
}

/// What an image is called at its new place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Named {
    /// The name of its entry.
    tag: Option<String>,
    /// Its full name for containerd.
    full: Option<String>,
}

impl Named {
    /// `tag` is what was asked for: a tag or a whole name. `known` is what the image is called where it comes from.
    fn new(tag: Option<&str>, known: Option<&str>) -> Self {
        let whole = tag
            .filter(|tag| tag.contains([':', '/']))
            .and_then(|tag| tag.parse::<Reference>().ok()?.name_and_tag());
        let known: Option<Reference> = known.and_then(|known| known.parse().ok());
        let full = whole.or_else(|| {
            let known = known?;
            let tag = tag.filter(|tag| is_tag(tag)).or(known.tag())?;
            Some(format!("{}:{tag}", known.name()))
        });
        Self { tag: tag.map(Into::into), full: full.map(|full| qualified(&full)) }
    }

    /// Writes both to an entry.
    fn write(&self, entry: &mut Descriptor) {
        let tag = self.tag.iter().map(|tag| (annotation::REF_NAME.to_owned(), tag.clone()));
        let full = self.full.iter().map(|full| (annotation::CONTAINERD_NAME.to_owned(), full.clone()));
        entry.annotations.extend(tag.chain(full));
    }
}

/// A name with its registry: this machine's own where none is written, as podman has it.
pub fn qualified(name: &str) -> String {
    match name.parse::<Reference>() {
        Ok(reference) if reference.registry().is_none() => format!("localhost/{name}"),
        _ => name.to_owned(),
    }
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
