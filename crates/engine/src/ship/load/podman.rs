//! podman: it reads images where they are.
//!
//! `podman pull oci:DIR:NAME` (4.3) calls the image `localhost/DIR`, in which our folder's own name would be none (`.local`, capital
//! letters). So it comes by a link of a plain name, and gets its name afterwards; newer ones read it from the index.

use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use fs_err as fs;
use pinfold_base::Platform;
use pinfold_image::ImageSource;
use pinfold_image::Place;
use pinfold_image::compose::annotation;
use pinfold_image::export::Archive;
use pinfold_image::export::qualified;
use pinfold_image::export::stream;
use pinfold_image::location::LocationKind;
use pinfold_image::model::Descriptor;
use pinfold_image::model::media::Family;

use super::LoadError;
use super::program::Program;
use crate::context::Context;
use crate::ship::error::ShipError;

/// Names that are tried for a folder.
const ATTEMPTS: u32 = 100;

/// Loads the image of a platform, and gives it its name. Its id, where podman says it.
pub(super) fn load(
    context: &Context,
    text: &str,
    source: &ImageSource,
    (platform, root): (Platform, &Descriptor),
    name: Option<&str>,
) -> Result<Option<String>, ShipError> {
    let podman = Program::find(context, "podman")?;
    // In a layout it looks for manifests in OCI's words only.
    if Family::of(&root.media_type) == Some(Family::Docker) {
        return streamed(context, &podman, source, (root, Archive::Docker), name);
    }
    let pull = |place: &str| podman.run(&["pull", "--quiet", "--platform", &platform.to_string(), place]);
    let (layout, tag) = match text.parse()? {
        Place::Store(_) => {
            let tag = source.root().annotations.get(annotation::REF_NAME).cloned();
            (context.images()?.layout().root().to_owned(), tag)
        }
        Place::Location(place) if place.kind == LocationKind::Oci => {
            (fs::canonicalize(&place.path)?, place.tag)
        }
        Place::Location(place) => {
            let path = fs::canonicalize(&place.path)?;
            let Some(path) = path.to_str().filter(|path| !path.contains(':')) else {
                return streamed(context, &podman, source, (root, Archive::Oci), name);
            };
            let tag = place.tag.map_or_else(String::new, |tag| format!(":{tag}"));
            let id = pull(&format!("{}:{path}{tag}", place.kind.word()))?;
            called(&podman, &id, name)?;
            return Ok(Some(id));
        }
        Place::Registry(_) => return streamed(context, &podman, source, (root, Archive::Oci), name),
    };
    if tag.is_none() && matches!(text.parse()?, Place::Store(_)) {
        // What a project runs has no name that podman could be told.
        return streamed(context, &podman, source, (root, Archive::Oci), name);
    }
    let link = Link::to(context, &layout)?;
    let tag = tag.map_or_else(String::new, |tag| format!(":{tag}"));
    let id = pull(&format!("oci:{}{tag}", link.path))?;
    called(&podman, &id, name)?;
    // Newer ones have given it no such name.
    let _ = podman.run(&["untag", &id, &format!("localhost{}:latest", link.path)]);
    Ok(Some(id))
}

/// Gives an image its name.
fn called(podman: &Program, id: &str, name: Option<&str>) -> Result<(), ShipError> {
    match name {
        Some(name) => podman.run(&["tag", id, &qualified(name)]).map(drop),
        None => Ok(()),
    }
}

/// An archive on its input.
fn streamed(
    context: &Context,
    podman: &Program,
    source: &ImageSource,
    (root, kind): (&Descriptor, Archive),
    name: Option<&str>,
) -> Result<Option<String>, ShipError> {
    // Of a Docker archive it takes names as they stand.
    let name = name.map(qualified);
    podman.feed(&["load", "--quiet"], |to| {
        Ok(stream(source, root, kind, name.as_deref(), context.store.root(), to)?)
    })?;
    Ok(None)
}

/// A link with a name that podman takes for a path and for a name: lower-case letters and digits.
struct Link {
    path: String,
    _folder: tempfile::TempDir,
}

impl Link {
    fn to(context: &Context, layout: &Path) -> Result<Self, LoadError> {
        let plain = |path: &Path| {
            let text = path.to_str()?;
            let part =
                |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            (text.starts_with('/') && text[1..].split('/').all(part)).then(|| text.to_owned())
        };
        let temporary = context.environment.raw("TMPDIR").map(Path::new).filter(|path| plain(path).is_some());
        for number in 0..ATTEMPTS {
            // Random names have capital letters.
            let name = format!("pinfold{}x{number}", std::process::id());
            let made = tempfile::Builder::new()
                .prefix(&name)
                .rand_bytes(0)
                .tempdir_in(temporary.unwrap_or(Path::new("/tmp")));
            let folder = match made {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made?,
            };
            if let Some(path) = plain(&folder.path().join("image")) {
                symlink(layout, &path)?;
                return Ok(Self { path, _folder: folder });
            }
        }
        Err(LoadError::Io(io::Error::other("no folder for a link could be made below `/tmp`")))
    }
}
