//! Unpacking an image, and the judgement of `verify` about it.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use fs_err as fs;
use pinfold_archive::tar::BLOCK;
use pinfold_base::Arch;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::report::Silent;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::LayerBlob;
use pinfold_image::LayerEncoding;
use pinfold_image::RuntimeConfig;
use pinfold_image::blobs::BlobRead;
use pinfold_image::blobs::Blobs;
use pinfold_image::compose;
use pinfold_image::trust::made;
use pinfold_image::unpack::Ids;
use pinfold_image::unpack::Limits;
use pinfold_image::unpack::Options;
use pinfold_image::verify::verify;

use crate::layer::sealed;

const AMD64: Platform = Platform { arch: Arch::Amd64 };

/// What `verify` finds that is no attack: consumers with only one layer before them insist on it.
const UNTIDY: [&str; 2] =
    ["its directory is not in the layer before it", "a hard link that names no earlier file of the layer"];

/// Any bytes as an image of two layers (the first byte says how many blocks the lower one has), unpacked beside something to be
/// harmed: nothing outside changes, the target is there whole or not at all, and what `verify` finds hostile is not unpacked.
pub fn unpack(bytes: &[u8]) {
    let Some((&blocks, tars)) = bytes.split_first() else { return };
    let tars = sealed(tars);
    let (lower, upper) = tars.split_at((usize::from(blocks) * BLOCK).min(tars.len()));
    let source = made(image(&[lower, upper]));
    let dir = yard();
    let (outside, target) = (dir.path().join("outside"), dir.path().join("target"));
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("canary"), "alive").expect("a file");
    let options =
        Options { ids: Ids::ToSelf, limits: Limits { entries: 1000, bytes: 4 << 20 }, ..Options::default() };
    let unpacked = source
        .image(AMD64)
        .map(|image| pinfold_image::unpack::unpack(&source, &image, &target, &options, &Silent))
        .expect("the documents are ours");
    let names = |dir: &Path| -> Vec<_> {
        let mut names: Vec<_> =
            fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&outside), ["canary"]);
    assert_eq!(fs::read_to_string(outside.join("canary")).expect("a file"), "alive");
    let expected: &[&str] = if unpacked.is_ok() { &["outside", "target"] } else { &["outside"] };
    assert_eq!(names(dir.path()), expected);
    let found = verify(&source, &Silent).expect("nothing fails").findings;
    let hostile = found.iter().find(|finding| !UNTIDY.iter().any(|words| finding.problem.ends_with(words)));
    if let (Some(finding), Ok(_)) = (hostile, &unpacked) {
        panic!("{finding:?} was unpacked");
    }
}

/// A folder in memory where there is one: each input makes and removes some.
fn yard() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

fn image(tars: &[&[u8]]) -> ImageSource {
    let mut blobs = Memory::default();
    let mut put = |bytes: &[u8]| {
        let digest = Digest::sha256(bytes);
        blobs.0.insert(digest.clone(), bytes.to_vec());
        digest
    };
    let layers: Vec<LayerBlob> = tars
        .iter()
        .map(|tar| {
            let digest = put(tar);
            let size = tar.len() as u64;
            LayerBlob {
                diff_id: digest.clone(),
                digest,
                size,
                uncompressed: size,
                encoding: LayerEncoding::Tar,
                encoder: String::new(),
                reused: 0,
                components: Vec::new(),
                created_by: String::new(),
            }
        })
        .collect();
    let image = compose::image(AMD64, &RuntimeConfig::default(), &layers, &BTreeMap::new(), 0)
        .expect("the documents are right");
    put(image.config.bytes());
    put(image.manifest.bytes());
    ImageSource::new("fuzz", image.manifest.descriptor(), Box::new(blobs))
}

#[derive(Default)]
struct Memory(BTreeMap<Digest, Vec<u8>>);

impl Blobs for Memory {
    fn location(&self) -> String {
        "memory".into()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        let missing = || ImageError::MissingBlob { digest: digest.clone(), place: self.location() };
        let bytes = self.0.get(digest).ok_or_else(missing)?.clone();
        let size = bytes.len() as u64;
        Ok((Box::new(Cursor::new(bytes)), size))
    }
}
