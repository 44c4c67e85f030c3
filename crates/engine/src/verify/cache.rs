//! Reports of images that were looked at before: an unchanged image has the same verdicts.
//!
//! ```text
//! CACHE/metadata/verdict-HEX.json     HEX: SHA-256 of the image's digest, of what it is checked against, and of this program
//! ```
//!
//! **Guarantees**: a report is only recalled while the store knows that none of the image's blobs was written to since it was hashed, and
//! only by the program that made it, so that a changed rule looks again. Where a document or a blob cannot be read nothing is recalled and
//! nothing kept, and what found damage is not kept. Images outside of the store are looked at each time.

use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_image::Image;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::model::Descriptor;

use super::checks::OCI_BLOBS;
use super::checks::OCI_DOCUMENTS;
use super::checks::OCI_LAYERS;
use super::report::Outcome;
use super::report::Report;
use super::report::Verdict;
use super::statics::Wanted;
use crate::context::Context;
use crate::context::METADATA;
use crate::describe::Origins;
use crate::project::lock::Lock;
use crate::project::lock::held;

/// Where a report is kept, and whether it may be.
pub(super) struct Kept {
    file: Option<PathBuf>,
}

impl Kept {
    /// Of an image that is looked at each time.
    pub(super) fn none() -> Self {
        Self { file: None }
    }

    /// Of an image, as it is checked.
    pub(super) fn of(
        context: &Context,
        source: &ImageSource,
        images: &[(Platform, Image)],
        (origins, lock): (&Origins, Option<&Lock>),
        wanted: &Wanted,
    ) -> Result<Self, ImageError> {
        // Without a platform that can be read there is nothing to spare.
        if images.is_empty() || !are_checked(source, images)? {
            return Ok(Self::none());
        }
        let platforms: Vec<String> = images.iter().map(|(platform, _)| platform.to_string()).collect();
        let origins = Digest::sha256(format!("{origins:?}").as_bytes()).to_string();
        let lock = lock.map(|lock| Digest::sha256(lock.render().as_bytes()).to_string());
        let root = source.root().digest.to_string();
        let file = held::program().and_then(|program| {
            // What was asked for decides too: where a platform cannot be read, those that can are not what was meant.
            let asked: Vec<String> = wanted.platforms.iter().map(ToString::to_string).collect();
            let all = (program, root, source.name(), asked, platforms, wanted.budget, origins, lock);
            let name = Digest::sha256(&serde_json::to_vec(&all).ok()?);
            Some(context.home.cache().join(METADATA).join(format!("verdict-{}.json", name.hex())))
        });
        Ok(Self { file })
    }

    /// The report of an earlier look.
    pub(super) fn recall(&self) -> Option<Report> {
        serde_json::from_slice(&fs::read(self.file.as_ref()?).ok()?).ok()
    }

    /// Keeps it for the next time. It is only saving time: failures are no matter.
    pub(super) fn remember(&self, context: &Context, report: &Report) {
        // Damage is of this moment: what is wrong now is mended by the next build.
        let is_damage = |outcome: &Outcome| {
            outcome.is_unread()
                || [OCI_BLOBS.id, OCI_LAYERS.id, OCI_DOCUMENTS.id].contains(&outcome.check.as_str())
                    && outcome.verdict == Verdict::Failed
        };
        if report.outcomes.iter().any(is_damage) {
            return;
        }
        if let (Some(file), Ok(text)) = (&self.file, serde_json::to_vec(report)) {
            let _ = context.store.write(file, &text);
        }
    }
}

/// Whether the place of the image knows that all of its blobs are what they were.
fn are_checked(source: &ImageSource, images: &[(Platform, Image)]) -> Result<bool, ImageError> {
    let blobs = source.blobs();
    let mut all: Vec<&Descriptor> = Vec::new();
    for (_, image) in images {
        all.push(&image.manifest.value().config);
        all.extend(image.layers.iter().map(|layer| &layer.descriptor));
    }
    for blob in all {
        if !blobs.is_checked(blob)? {
            return Ok(false);
        }
    }
    Ok(true)
}
