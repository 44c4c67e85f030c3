//! Checking an image: three levels, reported apart, so that a changed encoder is never read as tampering.
//!
//! 1. **blob**: each blob has the size and digest that its descriptor says;
//! 2. **diff_id**: each layer decompresses to the tar that the configuration names;
//! 3. **structure**: documents agree with each other, and layer tars keep the rules that consumers insist on: no path
//!    twice, every parent present and before its children, hard links to earlier files of the same layer, no devices, no
//!    absolute or leaving names, well-formed whiteouts.
//!
//! All findings are collected; a check that fails does not stop the others. Memory is bounded: layers stream by.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::io;
use std::io::BufReader;
use std::io::Read;

use pinfold_archive::codec::decoder;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Reporter;
use pinfold_base::digest::HashingReader;
use pinfold_base::report::Stage;
use serde::Serialize;

use crate::ImageError;
use crate::ImageSource;
use crate::entries::Entries;
use crate::entries::Entry;
use crate::entries::EntryKind;
use crate::model::media::Family;
use crate::source::Layer;

/// Most layers that Docker's classic store takes.
const DOCKER_LAYERS: usize = 125;
/// Findings kept per layer: a hostile layer shall not fill the memory with complaints about it.
const MAX_FINDINGS: usize = 20;
/// Largest tar that is read, in bytes.
const MAX_TAR: u64 = 32 << 30;
/// Most entries of a layer.
const MAX_ENTRIES: usize = 999_999;

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
        match std::error::Error::source(error) {
            Some(cause) => self.add(level, object, format!("{error}: {cause}")),
            None => self.add(level, object, error),
        }
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
    let mut seen: BTreeSet<(Digest, Digest)> = BTreeSet::new();
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
        for (at, layer) in image.layers.iter().enumerate() {
            if seen.insert((layer.descriptor.digest.clone(), layer.diff_id.clone())) {
                let object = format!("{object}, layer {}", at + 1);
                reporter.begin(Stage::Verify, &object, Some(layer.descriptor.size));
                let checked = check_layer(source, layer, &object, &mut result);
                reporter.end(&object);
                checked?;
            }
        }
    }
    Ok(result)
}

fn check_layer(
    source: &ImageSource,
    layer: &Layer,
    object: &str,
    result: &mut Verification,
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
    let mut rules = Rules::default();
    // Decoding, hashing and reading entries may each fail; all of them come down to the stream being wrong somewhere.
    let decoded =
        decoder(layer.encoding.compression(), &mut blob).map_err(|error| error.to_string()).and_then(|tar| {
            let tar = HashingReader::new(layer.diff_id.algorithm(), tar.take(MAX_TAR));
            let mut entries = Entries::new(BufReader::with_capacity(1 << 20, tar));
            let tar_is_right = rules.read(&mut entries);
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
                result.add(Level::Structure, object, problem);
            }
        }
        Err(error) if blob_is_right.is_ok() => {
            result.add(Level::DiffId, object, format!("it cannot be decompressed: {error}"));
        }
        // The damage was named above.
        Err(_) => {}
    }
    for (path, problem) in rules.broken {
        result.add(Level::Structure, object, format!("`{}`: {problem}", path.escape_ascii()));
    }
    Ok(())
}

/// The rules for the entries of one layer.
#[derive(Debug, Default)]
struct Rules {
    key: RandomState,
    /// Keyed hashes of all paths, and of those that are directories or files.
    paths: HashSet<u64>,
    directories: HashSet<u64>,
    files: HashSet<u64>,
    broken: Vec<(Vec<u8>, &'static str)>,
}

impl Rules {
    fn read<R: io::BufRead>(&mut self, entries: &mut Entries<R>) -> Result<(), String> {
        while let Some(entry) = entries.next_entry().map_err(|error| error.to_string())? {
            let broken = self.broken_by(&entry);
            if let Some(problem) = broken
                && self.broken.len() < MAX_FINDINGS
            {
                self.broken.push((entry.name.clone(), problem));
            }
            if self.paths.len() > MAX_ENTRIES {
                return Err(format!("it has more than {MAX_ENTRIES} entries"));
            }
        }
        Ok(())
    }

    fn broken_by(&mut self, entry: &Entry) -> Option<&'static str> {
        let Ok(path) = ImagePath::new(&entry.name) else { return Some("the name leads out or is too long") };
        let hash = |path: &ImagePath| self.key.hash_one(path.as_bytes());
        let own = hash(&path);
        let parent = path.parent();
        let parent_is_there =
            parent.as_ref().is_none_or(|parent| parent.is_root() || self.directories.contains(&hash(parent)));
        let target = ImagePath::new(&entry.link).map(|target| hash(&target));
        let first = self.paths.insert(own);
        match entry.kind {
            EntryKind::Directory => drop(self.directories.insert(own)),
            EntryKind::File | EntryKind::Hardlink => drop(self.files.insert(own)),
            EntryKind::Symlink | EntryKind::Special => {}
        }
        let hidden = path.name().strip_prefix(b".wh.");
        if entry.name.starts_with(b"/") {
            Some("the name is absolute")
        } else if !first {
            Some("the path is there twice")
        } else if !parent_is_there {
            Some("its directory is not in the layer before it")
        } else if entry.kind == EntryKind::Special {
            Some("a device or FIFO")
        } else if entry.kind == EntryKind::Hardlink
            && (entry.link.starts_with(b"/") || !target.is_ok_and(|target| self.files.contains(&target)))
        {
            Some("a hard link that names no earlier file of the layer")
        } else if hidden.is_some_and(|name| {
            entry.kind != EntryKind::File
                || name.is_empty()
                || name.starts_with(b".wh.") && name != b".wh..opq"
        }) {
            Some("a malformed whiteout")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
