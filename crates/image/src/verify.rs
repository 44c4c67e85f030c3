//! Checking an image: three levels, reported apart, so that a changed encoder is never read as tampering.
//!
//! 1. **blob**: each blob has the size and digest that its descriptor says;
//! 2. **diff_id**: each layer decompresses to the tar that the configuration names;
//! 3. **structure**: documents agree with each other, and layer tars keep the rules: those of [`pinfold_archive::layer`], by which
//!    [`crate::unpack`] refuses too, and what consumers that have only one layer before them insist on: every parent present and
//!    before its children, hard links to earlier files of the same layer.
//!
//! All findings are collected; a check that fails does not stop the others. Memory is bounded: layers stream by.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;

use pinfold_archive::codec::decoder;
use pinfold_archive::layer::Change;
use pinfold_archive::layer::Rules;
use pinfold_archive::tar::Entry;
use pinfold_archive::tar::Limits;
use pinfold_archive::tar::Reader;
use pinfold_archive::tar::Strictness;
use pinfold_archive::tar::TarError;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Reporter;
use pinfold_base::digest::HashingReader;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use serde::Serialize;

use crate::ImageError;
use crate::ImageSource;
use crate::blobs::Counted;
use crate::model::media::Family;
use crate::source::Image;
use crate::source::ImageLayer;

/// Most layers that Docker's classic store takes.
const DOCKER_LAYERS: usize = 125;
/// Findings kept per layer: a hostile layer shall not fill the memory with complaints about it.
const MAX_FINDINGS: usize = 20;
/// Largest tar that is read, in bytes.
pub(crate) const MAX_TAR: u64 = 32 << 30;
/// Most entries of a layer.
pub(crate) const MAX_ENTRIES: u64 = 999_999;

/// Which of the three levels a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Bytes against descriptors.
    Blob,
    /// Tars against the configuration.
    DiffId,
    /// Documents against each other, tars against the rules.
    Structure,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blob => "blob",
            Self::DiffId => "diff_id",
            Self::Structure => "structure",
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
            | ImageError::MissingBlob { .. } => Level::Blob,
            _ => Level::Structure,
        };
        self.add(level, object, with_cause(error));
    }
}

/// Checks all platforms of an image that pinfold knows. An error means that checking was not possible; what is wrong with
/// the image is in the result.
pub fn verify(source: &ImageSource, reporter: &dyn Reporter) -> Result<Verification, ImageError> {
    let mut result = Verification::default();
    let platforms = match source.platforms() {
        Ok(platforms) => platforms,
        Err(ImageError::Io(error)) => return Err(error.into()),
        Err(error) => {
            result.add_error("index", &error);
            return Ok(result);
        }
    };
    if platforms.is_empty() {
        result.add(Level::Structure, "index", "it has no platform that pinfold knows");
    }
    let mut images: Vec<(String, Image)> = Vec::new();
    for (platform, descriptor) in platforms {
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
        let variant = image.config.value().variant.as_deref();
        if descriptor.platform.is_some() && variant != platform.variant() {
            result.add(Level::Structure, &object, format!("the configuration has the variant {variant:?}"));
        }
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
        images.push((object, image));
    }
    let mut seen: BTreeSet<(&Digest, &Digest)> = BTreeSet::new();
    let layers = images.iter().flat_map(|(object, image)| {
        image.layers.iter().enumerate().map(move |(at, layer)| (format!("{object}, layer {}", at + 1), layer))
    });
    let layers = layers.filter(|(_, layer)| seen.insert((&layer.descriptor.digest, &layer.diff_id)));
    let layers: Vec<(String, &ImageLayer)> = layers.collect();
    let total = layers.iter().map(|(_, layer)| layer.descriptor.size).sum();
    let running = Running::begin(reporter, Stage::Verify, source.name(), Some(total));
    for (object, layer) in layers {
        check_layer(source, layer, &object, &mut result, &running)?;
    }
    Ok(result)
}

fn check_layer(
    source: &ImageSource,
    layer: &ImageLayer,
    object: &str,
    result: &mut Verification,
    running: &Running<'_>,
) -> Result<(), ImageError> {
    let mut blob = match source.open(&layer.descriptor) {
        Ok(blob) => blob,
        Err(ImageError::Io(error)) => return Err(error.into()),
        Err(error) => {
            result.add_error(object, &error);
            return Ok(());
        }
    };
    result.layers += 1;
    result.bytes += layer.descriptor.size;
    let mut broken = Vec::new();
    // Decoding, hashing and reading entries may each fail; all of them come down to the stream being wrong somewhere.
    let decoded = decoder(layer.encoding.compression(), Counted { inner: &mut blob, running })
        .map_err(|error| error.to_string())
        .and_then(|tar| {
            let tar = HashingReader::new(layer.diff_id.algorithm(), tar.take(MAX_TAR));
            let limits = Limits { entries: MAX_ENTRIES, total: MAX_TAR, ..Limits::default() };
            let buffered = BufReader::with_capacity(1 << 20, tar);
            let mut entries = Reader::new(buffered, Strictness::LAYER, limits);
            let tar_is_right = judge(&mut entries, &mut broken);
            let mut rest = entries.into_inner();
            let drained = io::copy(&mut rest, &mut io::sink());
            let (_, digest, _) = rest.into_inner().finish();
            drained.map(|_| (tar_is_right, digest)).map_err(|error| error.to_string())
        });
    let blob_is_right = blob.finish();
    if let Err(error) = &blob_is_right {
        result.add_error(object, error);
    }
    match decoded {
        Ok((tar_is_right, digest)) => {
            if digest != layer.diff_id {
                result.add(Level::DiffId, object, format!("the tar is {digest}, expected {}", layer.diff_id));
            }
            if let Err(problem) = tar_is_right {
                let problem = with_cause(&problem);
                result.add(Level::Structure, object, problem);
            }
        }
        Err(error) if blob_is_right.is_ok() => {
            result.add(Level::DiffId, object, format!("it cannot be decompressed: {error}"));
        }
        // The damage was named above.
        Err(_) => {}
    }
    for (path, problem) in broken {
        result.add(Level::Structure, object, format!("`{}`: {problem}", path.escape_ascii()));
    }
    Ok(())
}

/// Judges all entries of a layer; names that break a rule, the first few, go to `broken`.
fn judge(
    tar: &mut Reader<impl BufRead>,
    broken: &mut Vec<(Box<[u8]>, &'static str)>,
) -> Result<(), TarError> {
    let mut rules = Rules::default();
    while let Some(entry) = tar.next_entry()? {
        if let Some(problem) = broken_by(&mut rules, &entry)
            && broken.len() < MAX_FINDINGS
        {
            broken.push((entry.name, problem));
        }
    }
    Ok(())
}

fn broken_by(rules: &mut Rules, entry: &Entry) -> Option<&'static str> {
    let (path, target) = match rules.judge(entry) {
        Err(problem) => return Some(problem),
        Ok(Change::Root) => return None,
        Ok(Change::Link { path, target }) => (path, Some(target)),
        // A whiteout stands where what it hides stood.
        Ok(Change::Put(path) | Change::Hide(path)) => (path, None),
        Ok(Change::Clear(dir)) => return missing(rules, &dir),
    };
    if let Some(problem) = path.parent().and_then(|dir| missing(rules, &dir)) {
        return Some(problem);
    }
    target
        .is_some_and(|target| !rules.brought_file(&target))
        .then_some("a hard link that names no earlier file of the layer")
}

fn missing(rules: &Rules, dir: &ImagePath) -> Option<&'static str> {
    let there = dir.is_root() || rules.brought_directory(dir);
    (!there).then_some("its directory is not in the layer before it")
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
