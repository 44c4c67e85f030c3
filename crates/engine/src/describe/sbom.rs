//! Bills of materials: the packages of one platform of an image as a document of SPDX or CycloneDX.
//!
//! **Guarantees**: the same image, with the same noted of its build, gives the same bytes on every machine: the time is the image's
//! own, what tells documents apart is made of the manifest's digest. What the image was asked for as is not in it.

use std::io;
use std::path::Path;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;

use super::Description;
use super::Origins;
use super::cyclonedx;
use super::describe;
use super::save::SaveError;
use super::save::save;
use super::spdx;
use crate::context::Context;

/// Raised with every change of what is written for an equal image.
const FORM: u32 = 1;

/// A form of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// SPDX 2.3, as JSON.
    Spdx,
    /// CycloneDX 1.6, as JSON.
    CycloneDx,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum SbomError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// What was noted of its build.
    #[error("cannot read what was noted when the image was built")]
    Noted(#[source] io::Error),
    /// It cannot be written as JSON.
    #[error("cannot write the packages as JSON")]
    Json(#[from] serde_json::Error),
}

impl Diagnose for SbomError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Noted(error) => Diagnosis::Inner(error),
            Self::Json(_) => Diagnosis::Own(Kind::Internal),
        }
    }
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// As JSON, ended by a newline.
    pub bytes: Vec<u8>,
    /// How many packages are in it.
    pub packages: usize,
}

impl Bill {
    /// Writes it to a file that the user names.
    pub fn save(&self, file: &Path) -> Result<(), SaveError> {
        save(file, &String::from_utf8_lossy(&self.bytes))
    }
}

/// The document of one platform of an image.
pub fn of(
    context: &Context,
    source: &ImageSource,
    platform: Platform,
    format: Format,
) -> Result<Bill, SbomError> {
    let origins = Origins::noted(context, source).map_err(SbomError::Noted)?;
    with(context, source, platform, &origins, format)
}

/// The same by what is known of its build, as its [`identity`] is.
pub fn with(
    context: &Context,
    source: &ImageSource,
    platform: Platform,
    origins: &Origins,
    format: Format,
) -> Result<Bill, SbomError> {
    let description = describe(context, source, platform, origins)?;
    for note in &description.notes {
        context.reporter.warn(note);
    }
    Ok(write(&description, format)?)
}

/// The document of a description.
pub fn write(description: &Description, format: Format) -> Result<Bill, serde_json::Error> {
    let json = match format {
        Format::Spdx => serde_json::to_string_pretty(&spdx::document(description)),
        Format::CycloneDx => serde_json::to_string_pretty(&cyclonedx::document(description)),
    };
    // As it is printed: nothing hidden is in it, wherever it is shown.
    let bytes = format!("{}\n", pinfold_base::text::json(&json?)).into_bytes();
    Ok(Bill { bytes, packages: description.packages.len() })
}

/// What decides about the documents of a manifest: that, what is known of its build, and how they are written.
pub fn identity(manifest: &Digest, origins: &Origins) -> Digest {
    let all = format!("{FORM} {} {manifest} {}", env!("CARGO_PKG_VERSION"), origins.digest());
    Digest::sha256(all.as_bytes())
}

/// A time of an image as both forms want it, whole seconds in UTC: `2026-11-29T13:15:00Z`. Docker writes fractions.
pub(super) fn seconds(created: &str) -> Option<String> {
    let whole = created.get(..19)?;
    let plain = whole.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    let rest = created.get(19..)?.strip_suffix('Z')?;
    let fraction = rest.is_empty()
        || rest
            .strip_prefix('.')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = |from: usize| whole.get(from..from + 2)?.parse::<u8>().ok();
    let possible = (1..=12).contains(&number(5)?)
        && (1..=31).contains(&number(8)?)
        && number(11)? < 24
        && number(14)? < 60
        && number(17)? < 60;
    (plain && fraction && possible).then(|| format!("{whole}Z"))
}

/// Text without characters that are not seen: names are the image's own words.
pub(super) fn text(text: &str) -> String {
    text.chars().filter(|c| !pinfold_base::text::is_hidden(*c)).collect()
}

/// The package URL of the image itself.
pub(super) fn image_purl(description: &Description) -> String {
    use crate::sources::purl_part;
    let name: String = description
        .name()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' })
        .collect();
    let digest = description.manifest.to_string().replace(':', "%3A");
    format!("pkg:oci/{}@{digest}?arch={}", purl_part(&name), description.platform.arch.oci())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds() {
        for (created, told) in [
            ("2026-11-29T13:15:00Z", Some("2026-11-29T13:15:00Z")),
            ("2026-11-29T13:15:00.123456789Z", Some("2026-11-29T13:15:00Z")),
            ("2026-11-29T13:15:00+01:00", None),
            ("2026-13-29T13:15:00Z", None),
            ("2026-11-29T25:15:00Z", None),
            ("2026-11-29T13:15:00.Z", None),
            ("2026-11-29 13:15:00Z", None),
            ("yesterday", None),
            ("\u{e9}26-11-29T13:15:00Z", None),
        ] {
            assert_eq!(seconds(created).as_deref(), told, "{created}");
        }
    }
}
