//! Bills of materials that a push attaches: SPDX, one for each platform's manifest.
//!
//! **Guarantees**: what is attached already is not made again; an image whose packages cannot be told is pushed without, and that is
//! said; so is one that is too long to be signed, which is attached alone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::error::one_line;
use pinfold_image::ImageSource;
use pinfold_image::compose::annotation;
use pinfold_image::model::Descriptor;
use pinfold_image::registry::attach::Artifact;
use pinfold_image::sign::Statement;

use super::error::ShipError;
use crate::context::Context;
use crate::describe::Origins;
use crate::describe::sbom;
use crate::describe::sbom::Format;
use crate::describe::spdx;

/// The predicate of a statement that holds such a document.
pub const PREDICATE: &str = "https://spdx.dev/Document";
/// Longest document that is signed, in bytes: in a bundle it takes four thirds.
const MAX_SIGNED: usize = 2 << 20;

/// Those of one image, made when they are wanted.
pub(super) struct Bills<'a> {
    context: &'a Context,
    source: &'a ImageSource,
    origins: Origins,
    /// By the digest of their manifests.
    platforms: BTreeMap<Digest, Platform>,
    made: RefCell<BTreeMap<Digest, Option<Rc<Vec<u8>>>>>,
}

impl<'a> Bills<'a> {
    pub(super) fn of(context: &'a Context, source: &'a ImageSource) -> Result<Self, ShipError> {
        let platforms = source.platforms()?.into_iter().map(|(platform, of)| (of.digest, platform));
        Ok(Self {
            context,
            source,
            origins: Origins::noted(context, source)?,
            platforms: platforms.collect(),
            made: RefCell::default(),
        })
    }

    /// Whether a document of an image is the manifest of a platform.
    pub(super) fn has(&self, subject: &Descriptor) -> bool {
        self.platforms.contains_key(&subject.digest)
    }

    /// The name of the document of a manifest, which decides about all of it.
    fn name(&self, manifest: &Digest) -> String {
        spdx::namespace(manifest, &sbom::identity(manifest, &self.origins))
    }

    fn document(&self, manifest: &Digest) -> Option<Rc<Vec<u8>>> {
        let platform = *self.platforms.get(manifest)?;
        if let Some(made) = self.made.borrow().get(manifest) {
            return made.clone();
        }
        let made = match sbom::with(self.context, self.source, platform, &self.origins, Format::Spdx) {
            Ok(bill) => Some(Rc::new(bill.bytes)),
            Err(error) => {
                let why = one_line(&error);
                self.context.reporter.warn(&format!("{platform} is sent without a bill of materials: {why}"));
                None
            }
        };
        self.made.borrow_mut().insert(manifest.clone(), made.clone());
        made
    }

    /// Whether it is among what is listed as attached to a manifest.
    pub(super) fn is_listed(&self, subject: &Descriptor, listed: &[Descriptor]) -> bool {
        let name = self.name(&subject.digest);
        listed.iter().any(|entry| {
            entry.artifact_type.as_deref() == Some(spdx::MEDIA_TYPE)
                && entry.annotations.get(annotation::SBOM) == Some(&name)
        })
    }

    /// What is attached to a manifest.
    pub(super) fn artifact(&self, subject: &Descriptor, created: Option<&str>) -> Option<Artifact> {
        let name = self.name(&subject.digest);
        let bytes = self.document(&subject.digest)?.to_vec();
        let mut annotations = BTreeMap::from([(annotation::SBOM.to_owned(), name)]);
        annotations.extend(created.map(|created| (annotation::CREATED.to_owned(), created.to_owned())));
        Some(Artifact {
            artifact_type: spdx::MEDIA_TYPE.into(),
            media_type: spdx::MEDIA_TYPE.into(),
            bytes,
            annotations,
        })
    }

    /// Whether it is among what is signed of a manifest.
    pub(super) fn is_signed(&self, subject: &Descriptor, there: &[Statement]) -> bool {
        let name = self.name(&subject.digest);
        there.iter().any(|statement| {
            statement.predicate_type == PREDICATE
                && statement.subject == std::slice::from_ref(&subject.digest)
                && statement.predicate["documentNamespace"] == *name
        })
    }

    /// What is signed of a manifest.
    pub(super) fn statement(&self, subject: &Descriptor) -> Option<Statement> {
        let document = self.document(&subject.digest)?;
        if document.len() > MAX_SIGNED {
            let platform = self.platforms.get(&subject.digest).map(ToString::to_string).unwrap_or_default();
            self.context.reporter.warn(&format!(
                "the bill of materials of {platform} is attached and not signed: it has {} bytes, and {MAX_SIGNED} fit into a signature",
                document.len()
            ));
            return None;
        }
        let predicate = serde_json::from_slice(&document).ok()?;
        Some(Statement { subject: vec![subject.digest.clone()], predicate_type: PREDICATE.into(), predicate })
    }
}
