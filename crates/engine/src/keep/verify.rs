//! `verify --store`: every byte of the downloads, of what was made of them, and of the image store.
//!
//! **Guarantees**: afterwards no file of these lies under a name that it does not match; what did is set aside and told, and the next
//! verb that wants it makes or fetches it again.

use fs_err as fs;
use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::store::Expected;
use pinfold_base::store::StoreError;
use pinfold_base::store::stamp;
use pinfold_base::store::stamp::Looked;
use pinfold_image::ImageError;
use serde::Serialize;

use crate::build::layers;
use crate::context::Context;

/// One kind of file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// What it is.
    pub what: String,
    /// How many were read.
    pub files: usize,
    /// How many of them were wrong.
    pub damaged: usize,
}

/// What was read, and what was wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By kind.
    pub parts: Vec<Part>,
    /// What was set aside.
    pub damaged: Vec<String>,
}

/// Why the store cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Downloads or what was made of them.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The image store.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A folder.
    #[error("cannot read the cache")]
    Io(#[from] std::io::Error),
}

impl Diagnose for VerifyError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Io(error) => Diagnosis::Inner(error),
        }
    }
}

/// Reads everything.
pub fn store(context: &Context) -> Result<Report, VerifyError> {
    let mut damaged = context.tell_damage();
    let images = context.images()?;
    images.list()?;
    let mut parts = vec![
        part("downloads", &context.store.blobs()?, |digest| Ok(context.store.check(digest)?))?,
        part("decoded archives", &context.decoded.all()?, |archive| Ok(context.decoded.check(archive)?))?,
        part("composed layers", &composed(context)?, |digest| layer(context, digest))?,
    ];
    parts.push(part("blobs of images", &images.blobs()?, |digest| Ok(images.check(digest)?))?);
    damaged.extend(context.tell_damage());
    Ok(Report { parts, damaged })
}

fn part(
    what: &str,
    all: &[Digest],
    mut check: impl FnMut(&Digest) -> Result<bool, VerifyError>,
) -> Result<Part, VerifyError> {
    let mut part = Part { what: what.into(), files: all.len(), damaged: 0 };
    for digest in all {
        part.damaged += usize::from(!check(digest)?);
    }
    Ok(part)
}

fn composed(context: &Context) -> Result<Vec<Digest>, VerifyError> {
    let folder = context.home.cache().join(layers::BLOBS);
    let mut found = Vec::new();
    for entry in if folder.is_dir() { Some(fs::read_dir(folder)?) } else { None }.into_iter().flatten() {
        let name = entry?.file_name();
        found.extend(name.to_str().and_then(|hex| Digest::from_hex(Algorithm::Sha256, hex).ok()));
    }
    found.sort();
    Ok(found)
}

/// Whether a layer is what its name says. Its file is in doubt meanwhile, also under the name that the image store has for it.
fn layer(context: &Context, digest: &Digest) -> Result<bool, VerifyError> {
    let path = layers::blob_path(context, digest);
    stamp::doubt(&path)?;
    let looked = stamp::look(&path, &Expected { digest: digest.clone(), size: None })?;
    if looked == Looked::Wrong {
        layers::drop_damaged(context, digest)?;
    }
    Ok(looked == Looked::Right)
}
