//! `verify --store`: every byte of the downloads, of what was made of them, and of the image store.
//!
//! **Guarantees**: afterwards no file of these lies under a name that it does not match; what did is set aside and told, and the next
//! verb that wants it makes or fetches it again.

use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Reporter;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
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
    let reader = |what, path| Reader { reporter: &*context.reporter, what, path };
    let parts = vec![
        reader("downloads", &|digest| context.store.path(digest))
            .read(&context.store.blobs()?, |digest| Ok(context.store.check(digest)?))?,
        reader("decoded archives", &|archive| context.decoded.path(archive, ""))
            .read(&context.decoded.all()?, |archive| Ok(context.decoded.check(archive)?))?,
        reader("composed layers", &|digest| layers::blob_path(context, digest))
            .read(&composed(context)?, |digest| layer(context, digest))?,
        reader("blobs of images", &|digest| images.blob_path(digest))
            .read(&images.blobs()?, |digest| Ok(images.check(digest)?))?,
    ];
    damaged.extend(context.tell_damage());
    Ok(Report { parts, damaged })
}

/// Reads one kind of file.
struct Reader<'a> {
    reporter: &'a dyn Reporter,
    what: &'static str,
    /// Where the file of a digest is.
    path: &'a dyn Fn(&Digest) -> PathBuf,
}

impl Reader<'_> {
    fn read(
        &self,
        all: &[Digest],
        mut check: impl FnMut(&Digest) -> Result<bool, VerifyError>,
    ) -> Result<Part, VerifyError> {
        let mut part = Part { what: self.what.into(), files: all.len(), damaged: 0 };
        let size = |digest: &Digest| fs::metadata((self.path)(digest)).map_or(0, |meta| meta.len());
        let sizes: Vec<u64> = all.iter().map(size).collect();
        let running = Running::begin(self.reporter, Stage::Verify, self.what, Some(sizes.iter().sum()));
        for (digest, size) in all.iter().zip(sizes) {
            part.damaged += usize::from(!check(digest)?);
            running.advance(size);
        }
        Ok(part)
    }
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
