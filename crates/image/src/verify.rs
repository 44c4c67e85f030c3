//! Checking an image: four levels, reported apart, so that a changed encoder is never read as tampering.
//!
//! 1. **blob**: each blob has the size and digest that its descriptor says;
//! 2. **diff_id**: each layer decompresses to the tar that the configuration names;
//! 3. **structure**: documents agree with each other;
//! 4. **tar**: layer tars keep the rules: those of [`pinfold_archive::layer`], by which [`crate::unpack`] refuses too, and what
//!    consumers that have only one layer before them insist on: every parent present and before its children, hard links to earlier
//!    files of the same layer, with the same mode, owner and attributes.
//!
//! All findings are collected; a check that fails does not stop the others. Memory is bounded: layers stream by.

use std::collections::BTreeSet;
use std::fmt;

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use serde::Serialize;

use crate::ImageError;
use crate::ImageSource;
use crate::blobs::VerifiedReader;
use crate::error::with_cause;
use crate::model::Descriptor;
use crate::model::MAX_DOCUMENT;
use crate::model::media::Family;
use crate::pass;
use crate::pass::Passed;
use crate::sink::is_index;
use crate::source::Image;
use crate::source::ImageLayer;
use crate::source::Listed;
use crate::survey;
use crate::survey::Looking;
use crate::survey::Room;
use crate::survey::Survey;

/// Most layers that Docker's classic store takes.
const DOCKER_LAYERS: usize = 125;
/// The annotation by which BuildKit says what an entry for `unknown/unknown` is, and what it says of an attestation.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const ATTESTATION: &str = "attestation-manifest";

/// Which of the levels a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Bytes against descriptors.
    Blob,
    /// Tars against the configuration.
    DiffId,
    /// Documents against each other.
    Structure,
    /// Tars against the rules.
    Tar,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blob => "blob",
            Self::DiffId => "diff_id",
            Self::Structure => "structure",
            Self::Tar => "tar",
        })
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The level.
    pub level: Level,
    /// Platform, and layer where it is about one.
    pub object: String,
    /// What is wrong.
    pub problem: String,
}

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// What is wrong; empty for a good image.
    pub findings: Vec<Finding>,
    /// Platforms that were checked.
    pub platforms: Vec<String>,
    /// Manifests that the index lists besides, of which only the blob was looked at.
    pub beside: Vec<String>,
    /// Layers that were read (each blob once).
    pub layers: usize,
    /// Bytes of blobs that were read.
    pub bytes: u64,
}

impl Verification {
    /// Whether nothing is wrong on this level.
    pub fn holds(&self, level: Level) -> bool {
        self.findings.iter().all(|finding| finding.level != level)
    }

    fn add(&mut self, level: Level, object: &str, problem: impl fmt::Display) {
        self.findings.push(Finding { level, object: object.into(), problem: problem.to_string() });
    }

    /// An error of the documents, on the level it belongs to.
    fn add_error(&mut self, object: &str, error: &ImageError) {
        let level = match error {
            ImageError::WrongDigest { .. }
            | ImageError::WrongSize { .. }
            | ImageError::MissingBlob { .. }
            | ImageError::NoFile { .. } => Level::Blob,
            _ => Level::Structure,
        };
        self.add(level, object, with_cause(error));
    }
}

/// Checks all platforms of an image that pinfold knows. An error means that checking was not possible; what is wrong with
/// the image is in the result.
pub fn verify(source: &ImageSource, reporter: &dyn Reporter) -> Result<Verification, ImageError> {
    let (mut result, images) = documents(source)?;
    let mut seen: BTreeSet<(&Digest, &Digest)> = BTreeSet::new();
    let layers = images.iter().flat_map(|(platform, image)| {
        image.layers.iter().enumerate().map(move |(at, layer)| (object(*platform, at), layer))
    });
    let layers = layers.filter(|(_, layer)| seen.insert((&layer.descriptor.digest, &layer.diff_id)));
    let layers: Vec<(String, &ImageLayer)> = layers.collect();
    let total = layers.iter().map(|(_, layer)| layer.descriptor.size).sum();
    let running = Running::begin(reporter, Stage::Verify, source.name(), Some(total));
    let mut unpacked = pass::MAX_UNPACKED;
    for (object, layer) in layers {
        let passed = pass::layer(source, layer, &mut pass::Nobody, &mut unpacked, &running)?;
        tell(&mut result, &object, layer, &passed);
    }
    Ok(result)
}

/// Checks one platform's layers, and surveys what they make.
pub fn survey(
    source: &ImageSource,
    (platform, image): (Platform, &Image),
    looking: &mut Looking<'_>,
    result: &mut Verification,
    reporter: &dyn Reporter,
) -> Result<Survey, ImageError> {
    let total = image.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.descriptor.size));
    let name = format!("{} {platform}", source.name());
    let running = Running::begin(reporter, Stage::Verify, &name, Some(total));
    survey::survey(source, image, looking, Room::default(), &running, &mut |number, passed| {
        tell(result, &object(platform, number), &image.layers[number], &passed);
        Ok(())
    })
}

fn object(platform: Platform, layer: usize) -> String {
    format!("{platform}, layer {}", layer + 1)
}

/// Looks at the blobs of manifests that are not checked, and names them.
fn beside(source: &ImageSource, listed: &Listed, result: &mut Verification) -> Result<(), ImageError> {
    for (platform, entry) in &listed.repeated {
        let problem =
            format!("another image for it is {}: tools do not agree which one counts", entry.digest);
        result.add(Level::Structure, &format!("index, {platform}"), problem);
    }
    let repeated = listed.repeated.iter().map(|(_, entry)| entry);
    for entry in repeated.chain(&listed.others) {
        let name = named(entry);
        let size = entry.size;
        let looked = if size > MAX_DOCUMENT {
            Err(ImageError::TooLarge { what: "it".into(), size, limit: MAX_DOCUMENT })
        } else {
            source.open(entry).and_then(VerifiedReader::finish)
        };
        match looked {
            Ok(()) => {}
            Err(ImageError::Io(error)) => return Err(error.into()),
            Err(error) => result.add_error(&format!("index, {name}"), &error),
        }
        result.beside.push(name);
    }
    Ok(())
}

/// An entry of an index in few words.
fn named(entry: &Descriptor) -> String {
    let what = if is_index(entry) {
        "an index"
    } else if entry.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == ATTESTATION) {
        "an attestation"
    } else {
        ""
    };
    let platform = entry.platform.as_ref().map(|platform| {
        let variant = platform.variant.iter().filter(|variant| !variant.is_empty());
        let parts = [&platform.os, &platform.architecture].into_iter().chain(variant);
        parts.map(String::as_str).collect::<Vec<_>>().join("/")
    });
    let platform = platform.filter(|_| what != "an attestation");
    let words = [what, platform.as_deref().unwrap_or_default(), &entry.digest.short()];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Checks the documents of an image, and gives the images of the platforms that pinfold knows, as far as they can be read.
pub fn documents(source: &ImageSource) -> Result<(Verification, Vec<(Platform, Image)>), ImageError> {
    let mut result = Verification::default();
    let listed = match source.listed() {
        Ok(listed) => listed,
        Err(ImageError::Io(error)) => return Err(error.into()),
        Err(error) => {
            result.add_error("index", &error);
            return Ok((result, Vec::new()));
        }
    };
    beside(source, &listed, &mut result)?;
    if listed.platforms.is_empty() {
        result.add(Level::Structure, "index", "it has no platform that pinfold knows");
    }
    let mut images: Vec<(Platform, Image)> = Vec::new();
    for (platform, descriptor) in listed.platforms {
        let object = platform.to_string();
        result.platforms.push(object.clone());
        let image = match source.image(platform) {
            Ok(image) => image,
            Err(ImageError::Io(error)) => return Err(error.into()),
            Err(error) => {
                result.add_error(&object, &error);
                continue;
            }
        };
        if image.config.value().history.is_empty() {
            result.add(Level::Structure, &object, "the configuration has no history");
        }
        if image.layers.len() > DOCKER_LAYERS {
            let problem = format!("{} layers, and Docker takes at most {DOCKER_LAYERS}", image.layers.len());
            result.add(Level::Structure, &object, problem);
        }
        let claimed = Family::of(&descriptor.media_type);
        if claimed.is_some() && claimed != Family::of(&image.manifest.value().config.media_type) {
            result.add(
                Level::Structure,
                &object,
                format!("its manifest is announced as `{}`", descriptor.media_type),
            );
        }
        images.push((platform, image));
    }
    Ok((result, images))
}

/// What a pass over a layer found wrong.
fn tell(result: &mut Verification, object: &str, layer: &ImageLayer, passed: &Passed) {
    result.layers += 1;
    result.bytes += layer.descriptor.size;
    if let Some(error) = &passed.blob {
        result.add_error(object, error);
    }
    if let Some(digest) = passed.tar.as_ref().filter(|digest| **digest != layer.diff_id) {
        result.add(Level::DiffId, object, format!("the tar is {digest}, expected {}", layer.diff_id));
    }
    match (&passed.undecodable, &passed.malformed) {
        // The damage was named above.
        (Some(_), _) if passed.blob.is_some() => {}
        (Some(error), _) => {
            result.add(Level::DiffId, object, format!("it cannot be decompressed: {error}"));
        }
        (None, Some(problem)) => result.add(Level::Tar, object, problem),
        (None, None) => {}
    }
    for (path, problem) in &passed.broken {
        result.add(Level::Tar, object, format!("`{}`: {problem}", path.escape_ascii()));
    }
}

#[cfg(test)]
mod tests;
