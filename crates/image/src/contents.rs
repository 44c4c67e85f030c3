//! What paths an image has, and small files out of it. Every layer is read once, nothing is unpacked.
//!
//! **Guarantees**: what is listed was verified against the image's digests, and is what [`crate::unpack`] would leave.
//! **Refuses**: what [`pinfold_archive::layer`] refuses.

use std::collections::BTreeMap;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::ops::Bound;

use pinfold_archive::codec::decoder;
use pinfold_archive::layer::Change;
use pinfold_archive::layer::Rules;
use pinfold_archive::tar::EntryKind;
use pinfold_archive::tar::Limits;
use pinfold_archive::tar::Reader;
use pinfold_archive::tar::Strictness;
use pinfold_base::ImagePath;
use pinfold_base::Reporter;
use pinfold_base::digest::HashingReader;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;

use crate::ImageError;
use crate::ImageSource;
use crate::blobs::Counted;
use crate::source::Image;
use crate::source::ImageLayer;
use crate::verify::MAX_ENTRIES;
use crate::verify::MAX_TAR;

/// Most bytes of files that are kept, taken together.
const MAX_KEPT: u64 = 256 << 20;

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link, and where it leads.
    Link(Box<[u8]>),
    /// A device or a FIFO.
    Other,
}

/// One path of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The layer that it comes from; 0 is the lowest.
    pub layer: usize,
    /// What it is.
    pub what: What,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes of a file.
    pub size: u64,
}

/// The paths of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// All of them.
    pub paths: BTreeMap<ImagePath, Found>,
    /// The files that were asked for.
    pub kept: BTreeMap<ImagePath, Vec<u8>>,
}

impl Contents {
    fn remove(&mut self, path: &ImagePath) {
        self.clear(path);
        self.paths.remove(path);
        self.kept.remove(path);
    }

    /// Removes what lies below a directory.
    fn clear(&mut self, dir: &ImagePath) {
        let mut start = dir.as_bytes().to_vec();
        if !dir.is_root() {
            start.push(b'/');
        }
        // By bytes, `d-other` stands between `d` and `d/x`.
        let below = self.paths.range::<[u8], _>((Bound::Included(&start[..]), Bound::Unbounded));
        let below = below.map(|(path, _)| path).take_while(|path| path.as_bytes().starts_with(&start));
        let below: Vec<ImagePath> = below.cloned().collect();
        for path in below {
            self.paths.remove(&path);
            self.kept.remove(&path);
        }
    }
}

/// Reads all layers of `image`. Files for which `keep` says so are kept.
pub fn read(
    source: &ImageSource,
    image: &Image,
    keep: &dyn Fn(&ImagePath) -> bool,
    reporter: &dyn Reporter,
) -> Result<Contents, ImageError> {
    read_within(MAX_KEPT, source, image, keep, reporter)
}

fn read_within(
    mut room: u64,
    source: &ImageSource,
    image: &Image,
    keep: &dyn Fn(&ImagePath) -> bool,
    reporter: &dyn Reporter,
) -> Result<Contents, ImageError> {
    let total = image.layers.iter().map(|layer| layer.descriptor.size).sum();
    let running = Running::begin(reporter, Stage::Read, source.name(), Some(total));
    let mut contents = Contents::default();
    for (number, layer) in image.layers.iter().enumerate() {
        let mut blob = source.open(&layer.descriptor)?;
        let result = read_layer(
            Counted { inner: &mut blob, running: &running },
            (number, layer),
            keep,
            &mut room,
            &mut contents,
        );
        // Damage is named as what it is before the complaint about it.
        blob.finish()?;
        let wrong = |reason: String| {
            ImageError::rule(format!("layer {}", number + 1), format!("cannot be read: {reason}"))
        };
        let digest = result.map_err(wrong)?;
        if digest != layer.diff_id {
            return Err(wrong(format!("its tar is {digest}, expected {}", layer.diff_id)));
        }
    }
    Ok(contents)
}

/// Applies a layer to what is there, and gives the digest of its tar.
fn read_layer(
    blob: impl Read + Send,
    (number, layer): (usize, &ImageLayer),
    keep: &dyn Fn(&ImagePath) -> bool,
    room: &mut u64,
    contents: &mut Contents,
) -> Result<pinfold_base::Digest, String> {
    let tar = decoder(layer.encoding.compression(), blob).map_err(|error| error.to_string())?;
    let tar = HashingReader::new(layer.diff_id.algorithm(), tar.take(MAX_TAR));
    let limits = Limits { entries: MAX_ENTRIES, total: MAX_TAR, ..Limits::default() };
    let mut entries = Reader::new(BufReader::with_capacity(1 << 20, tar), Strictness::LAYER, limits);
    let mut rules = Rules::default();
    while let Some(entry) = entries.next_entry().map_err(|error| error.to_string())? {
        let change =
            rules.judge(&entry).map_err(|problem| format!("`{}`: {problem}", entry.name.escape_ascii()))?;
        let (path, of, other) = match change {
            Change::Root => continue,
            Change::Hide(path) => {
                contents.remove(&path);
                continue;
            }
            Change::Clear(dir) => {
                contents.clear(&dir);
                continue;
            }
            Change::Put(path) => (path, None, None),
            Change::Link { path, target } => {
                let of = contents.paths.get(&target).cloned();
                (path, of, Some(target))
            }
        };
        let what = match &entry.kind {
            EntryKind::Directory => What::Directory,
            EntryKind::File | EntryKind::Hardlink(_) => What::File,
            EntryKind::Symlink(target) => What::Link(target.clone()),
            EntryKind::Special(_) => What::Other,
        };
        if what != What::Directory {
            contents.clear(&path);
        }
        let linked = other.filter(|_| keep(&path)).and_then(|target| contents.kept.get(&target));
        // A copy of it needs room as the file itself does.
        if let Some(bytes) = linked.filter(|bytes| bytes.len() as u64 <= *room).cloned() {
            *room -= bytes.len() as u64;
            contents.kept.insert(path.clone(), bytes);
        } else if what == What::File && of.is_none() && entry.size <= *room && keep(&path) {
            *room -= entry.size;
            let mut bytes = Vec::new();
            entries.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            contents.kept.insert(path.clone(), bytes);
        } else {
            contents.kept.remove(&path);
        }
        let found = Found {
            layer: number,
            what,
            mode: entry.meta.mode,
            uid: entry.meta.uid,
            gid: entry.meta.gid,
            size: entry.size,
        };
        // Another name of a file is as that file is.
        let found = of.map_or(found, |of| Found { layer: number, ..of });
        contents.paths.insert(path, found);
    }
    let mut rest = entries.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| error.to_string())?;
    Ok(rest.into_inner().finish().1)
}

#[cfg(test)]
mod tests {
    use pinfold_base::report::Silent;
    use pinfold_testkit::raw_tar::RawTar;

    use super::*;
    use crate::LayerEncoding;
    use crate::memory::AMD64;
    use crate::memory::Memory;

    fn contents(tars: &[Vec<u8>]) -> Result<Contents, ImageError> {
        contents_within(MAX_KEPT, tars)
    }

    fn contents_within(room: u64, tars: &[Vec<u8>]) -> Result<Contents, ImageError> {
        let source = Memory::default().both(tars, LayerEncoding::Gzip);
        let image = source.image(AMD64).unwrap();
        read_within(room, &source, &image, &|path| matches!(path.name(), b"kept" | b"name"), &Silent)
    }

    #[test]
    fn what_is_kept_has_room_by_each_of_its_names() {
        let tar = RawTar::new().file("kept", "second").dir("a/").hardlink("a/name", "kept").end();
        for (room, kept) in [(12, 2), (11, 1), (5, 0)] {
            assert_eq!(contents_within(room, std::slice::from_ref(&tar)).unwrap().kept.len(), kept, "{room}");
        }
    }

    #[test]
    fn layers_are_laid_over_each_other_as_unpacking_does() {
        let lower = RawTar::new()
            .dir("a/")
            .file("a/kept", "one")
            .file("a/gone", "x")
            .dir("d/")
            .file("d/kept", "under")
            .dir("d-other/")
            .symlink("s", "a/kept")
            .end();
        let upper = RawTar::new()
            .dir("a/")
            .file("a/.wh.gone", "")
            .file("a/kept", "second")
            .hardlink("a/name", "a/kept")
            .file("d", "a file now")
            .end();
        let found = contents(&[lower, upper]).unwrap();
        let told: Vec<String> = found
            .paths
            .iter()
            .map(|(path, found)| format!("{path} {} {:?} {}", found.layer, found.what, found.size))
            .collect();
        assert_eq!(
            told,
            [
                "/a 1 Directory 0",
                "/a/kept 1 File 6",
                "/a/name 1 File 6",
                "/d 1 File 10",
                "/d-other 0 Directory 0",
                "/s 0 Link([97, 47, 107, 101, 112, 116]) 0",
            ]
        );
        let kept: Vec<_> = found.kept.values().map(|bytes| String::from_utf8_lossy(bytes)).collect();
        assert_eq!(
            kept,
            ["second", "second"],
            "the upper one by both its names, and none of a directory that is gone"
        );
    }

    #[test]
    fn a_layer_that_breaks_the_rules_is_refused() {
        let error = contents(&[RawTar::new().file("../out", "x").end()]).unwrap_err();
        assert!(error.to_string().contains("layer 1"), "{error}");
    }
}
