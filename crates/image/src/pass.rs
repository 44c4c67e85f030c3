//! One pass over a layer: its blob is hashed, decoded, its tar hashed, and each entry judged and shown to whoever looks.
//!
//! **Guarantees**: what is shown are entries that [`crate::unpack`] takes; what is wrong is all in [`Passed`], so that who proves and who
//! only reads come to the same end by one reader. Memory is bounded: the layer streams by. So is time: no more than [`MAX_TAR`] bytes
//! of a layer are unpacked, nor more than [`MAX_UNPACKED`] of an image, however small its blobs are and however often it lists them.
//! **Refuses** nothing by itself; errors are those of the place that the blob is read from.

use std::io;
use std::io::BufReader;
use std::io::Read;

use pinfold_archive::codec::decoder;
use pinfold_archive::layer::Change;
use pinfold_archive::layer::Rules;
use pinfold_archive::tar::Entry;
use pinfold_archive::tar::EntryKind;
use pinfold_archive::tar::Limits;
use pinfold_archive::tar::Reader;
use pinfold_archive::tar::Strictness;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::digest::HashingReader;
use pinfold_base::report::Running;

use crate::ImageError;
use crate::ImageSource;
use crate::blobs::Counted;
use crate::error::with_cause;
use crate::source::ImageLayer;

/// Names that break a rule and are kept of one layer: a hostile one shall not fill the memory with complaints about it.
pub(crate) const MAX_BROKEN: usize = 20;
/// Largest tar that is read, in bytes.
pub(crate) const MAX_TAR: u64 = 32 << 30;
/// Most bytes of an image's layers that are read, unpacked and taken together.
pub(crate) const MAX_UNPACKED: u64 = 64 << 30;
/// Most entries of a layer.
pub(crate) const MAX_ENTRIES: u64 = 999_999;

/// Whoever looks at the entries of a layer.
pub(crate) trait Visit {
    /// An entry, what it does to what lower layers made, and its content. Errors are those of reading it.
    fn entry(&mut self, entry: &Entry, change: Change, content: &mut dyn Read) -> io::Result<()>;
}

/// Looks at nothing.
pub(crate) struct Nobody;

impl Visit for Nobody {
    fn entry(&mut self, _: &Entry, _: Change, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

/// What came of a pass.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// The blob is missing, or not what its descriptor says.
    pub(crate) blob: Option<ImageError>,
    /// It cannot be decoded.
    pub(crate) undecodable: Option<String>,
    /// The digest of its tar, where it was decoded to its end.
    pub(crate) tar: Option<Digest>,
    /// The tar ends as none.
    pub(crate) malformed: Option<String>,
    /// Names that break a rule, the first [`MAX_BROKEN`], and which rule.
    pub(crate) broken: Vec<(Box<[u8]>, &'static str)>,
    /// Why unpacking would refuse the layer, apart from its digests.
    pub(crate) refused: Option<String>,
    /// Whether entries that may be files of the image were not shown: they are refused, or come after where reading ended.
    pub(crate) coverage: Coverage,
}

/// How much of a layer was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Coverage {
    /// Not everything.
    #[default]
    Part,
    /// All of it, but for devices and FIFOs, which no image needs.
    All,
}

/// Reads a layer to its end. `unpacked` is how many bytes may still be unpacked of its image.
pub(crate) fn layer(
    source: &ImageSource,
    layer: &ImageLayer,
    visit: &mut dyn Visit,
    unpacked: &mut u64,
    running: &Running<'_>,
) -> Result<Passed, ImageError> {
    let mut passed = Passed::default();
    let mut blob = match source.open(&layer.descriptor) {
        Ok(blob) => blob,
        Err(ImageError::Io(error)) => return Err(error.into()),
        Err(error) => {
            passed.blob = Some(error);
            return Ok(passed);
        }
    };
    // Decoding, hashing and reading entries may each fail; all of them come down to the stream being wrong somewhere.
    let decoded = decoder(layer.encoding.compression(), Counted { inner: &mut blob, running });
    let decoded = decoded.and_then(|tar| {
        let metered = Metered { inner: tar, layer: MAX_TAR, image: unpacked };
        let tar = HashingReader::new(layer.diff_id.algorithm(), metered);
        let limits = Limits { entries: MAX_ENTRIES, total: MAX_TAR, ..Limits::default() };
        let mut entries = Reader::new(BufReader::with_capacity(1 << 20, tar), Strictness::LAYER, limits);
        judge(&mut entries, visit, &mut passed);
        let mut rest = entries.into_inner();
        io::copy(&mut rest, &mut io::sink())?;
        Ok(rest.into_inner().finish().1)
    });
    match decoded {
        Ok(digest) => passed.tar = Some(digest),
        Err(error) => passed.undecodable = Some(error.to_string()),
    }
    passed.blob = blob.finish().err();
    Ok(passed)
}

/// Reads no more than layers may unpack to, and says so where there is more.
struct Metered<'a, R> {
    inner: R,
    /// What this layer may still unpack to.
    layer: u64,
    /// What all of its image may.
    image: &'a mut u64,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.layer.min(*self.image);
        if left == 0 && !buf.is_empty() {
            let (what, limit) =
                if self.layer == 0 { ("it", MAX_TAR) } else { ("the image up to here", MAX_UNPACKED) };
            let problem = || {
                let limit = limit >> 30;
                let problem =
                    format!("{what} unpacks to more than {limit} GiB, and what follows was not looked at");
                io::Error::new(io::ErrorKind::InvalidData, problem)
            };
            return if self.inner.read(&mut [0])? == 0 { Ok(0) } else { Err(problem()) };
        }
        let most = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.inner.read(&mut buf[..most])?;
        self.layer -= count as u64;
        *self.image -= count as u64;
        Ok(count)
    }
}

/// Judges all entries of a layer and shows those that are taken.
fn judge<R: io::BufRead>(entries: &mut Reader<R>, visit: &mut dyn Visit, passed: &mut Passed) {
    let mut rules = Rules::default();
    let mut coverage = Coverage::All;
    loop {
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                passed.coverage = coverage;
                return;
            }
            Err(error) => {
                let problem = with_cause(&error);
                passed.refused.get_or_insert_with(|| problem.clone());
                passed.malformed = Some(problem);
                return;
            }
        };
        let judged = rules.judge(&entry);
        let problem = match &judged {
            Err(problem) => Some(*problem),
            Ok(change) => broken_by(&rules, change),
        };
        if let Some(problem) = problem
            && passed.broken.len() < MAX_BROKEN
        {
            passed.broken.push((entry.name.clone(), problem));
        }
        match judged {
            Err(problem) => {
                passed.refused.get_or_insert_with(|| format!("`{}`: {problem}", entry.name.escape_ascii()));
                if !matches!(entry.kind, EntryKind::Special(_)) {
                    coverage = Coverage::Part;
                }
            }
            Ok(change) => {
                if let Err(error) = visit.entry(&entry, change, entries) {
                    passed.malformed = Some(error.to_string());
                    passed.refused.get_or_insert_with(|| error.to_string());
                    return;
                }
            }
        }
    }
}

/// What consumers insist on that have only one layer before them: every parent present and before its children, hard links to earlier
/// files of the same layer that say the same of the file.
fn broken_by(rules: &Rules, change: &Change) -> Option<&'static str> {
    let (path, target) = match change {
        Change::Root => return None,
        Change::Link { path, target } => (path, Some(target)),
        // A whiteout stands where what it hides stood.
        Change::Put(path) | Change::Hide(path) => (path, None),
        Change::Clear(dir) => return missing(rules, dir),
    };
    if let Some(problem) = path.parent().and_then(|dir| missing(rules, &dir)) {
        return Some(problem);
    }
    let target = target?;
    if !rules.brought_file(target) {
        return Some("a hard link that names no earlier file of the layer");
    }
    // Some tools give the file what its last name says, others what its first one does.
    (!rules.is_described_as(path, target))
        .then_some("a hard link with another mode, owner or attributes than its file has")
}

fn missing(rules: &Rules, dir: &ImagePath) -> Option<&'static str> {
    let there = dir.is_root() || rules.brought_directory(dir);
    (!there).then_some("its directory is not in the layer before it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_unpacked_than_layer_and_image_may() {
        let read = |layer: u64, image: &mut u64| {
            let mut all = Vec::new();
            let read = Metered { inner: &[0; 10][..], layer, image }.read_to_end(&mut all);
            read.map_err(|error| error.to_string())
        };
        let mut image = 25;
        assert_eq!(read(10, &mut image), Ok(10));
        assert!(read(9, &mut image).unwrap_err().starts_with("it unpacks to more"));
        assert_eq!(image, 6);
        assert!(read(10, &mut image).unwrap_err().starts_with("the image up to here"));
        assert!(read(10, &mut image).is_err(), "nothing is left");
    }
}
