//! An image whose layers are compressed in another way: same tars, other blobs, and so another manifest.
//!
//! **Guarantees**: the tar of each layer is the one that the configuration names; equal images and encodings give equal bytes,
//! whatever the number of threads; what was made lies in a folder that goes when it is dropped.

use std::io::Read;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::Path;

use pinfold_archive::codec::decoder;
use pinfold_archive::deflate::NoSources;
use pinfold_archive::encode;
use pinfold_archive::encode::EncodeError;
use pinfold_archive::encode::Encoded;
use pinfold_archive::encode::Encoding;
use pinfold_archive::tar::Piece;
use pinfold_archive::tar::TarError;
use pinfold_archive::tree::InlineOnly;
use pinfold_base::Digest;
use pinfold_base::beside::BesideFolder;

use crate::Image;
use crate::ImageError;
use crate::ImageSource;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::unwrap_io;
use crate::compose::annotation;
use crate::layout::Layout;
use crate::model::Descriptor;
use crate::model::LayerEncoding;
use crate::model::Raw;
use crate::model::media;
use crate::source::ImageLayer;

/// Bytes that are handed on at once.
pub(crate) const PIECE: u64 = 1 << 20;

/// An image of other blobs, and where they are.
#[derive(Debug)]
pub struct Recoded<'a> {
    image: Image,
    made: Layout,
    below: &'a ImageSource,
    _folder: BesideFolder,
}

impl Recoded<'_> {
    /// The image.
    pub fn image(&self) -> &Image {
        &self.image
    }
}

impl Blobs for Recoded<'_> {
    fn location(&self) -> String {
        self.below.blobs().location()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        Over { made: &self.made, below: self.below.blobs() }.open(digest)
    }

    fn open_part(&self, blob: &Descriptor) -> Result<(BlobRead, u64), ImageError> {
        Over { made: &self.made, below: self.below.blobs() }.open_part(blob)
    }
}

/// Compresses every layer of an image with zstd, whatever it was; the blobs lie in a folder of their own below `dir`.
pub fn with_zstd<'a>(
    source: &'a ImageSource,
    image: &Image,
    level: u8,
    threads: NonZeroUsize,
    dir: &Path,
) -> Result<Recoded<'a>, ImageError> {
    let folder = BesideFolder::within(dir)?;
    let made = Layout::create(folder.path())?;
    let encoding = Encoding::Zstd { level };
    let mut manifest = image.manifest.value().clone();
    let mut layers = Vec::new();
    for (layer, written) in image.layers.iter().zip(&mut manifest.layers) {
        let encoded = recode(source, layer, (&encoding, threads), &made)?;
        let mut descriptor = Descriptor::new(media::OCI_LAYER_ZSTD, encoded.digest, encoded.size);
        descriptor.annotations = written.annotations.clone();
        descriptor.annotations.remove(annotation::REUSED);
        descriptor.annotations.insert(annotation::ENCODER.into(), encoding.id());
        descriptor.annotations.insert(annotation::UNCOMPRESSED.into(), encoded.uncompressed.to_string());
        *written = descriptor.clone();
        let diff_id = layer.diff_id.clone();
        layers.push(ImageLayer { descriptor, diff_id, encoding: LayerEncoding::Zstd });
    }
    // Docker's own vocabulary has no word for such layers.
    manifest.media_type = Some(media::OCI_MANIFEST.into());
    manifest.config.media_type = media::OCI_CONFIG.into();
    let manifest = Raw::synthesize(manifest)?;
    made.put_document(&manifest)?;
    let image = Image { manifest, config: image.config.clone(), layers };
    Ok(Recoded { image, made, below: source, _folder: folder })
}

/// Stores a layer in another encoding, its tar held to the diff_id.
fn recode(
    source: &ImageSource,
    layer: &ImageLayer,
    encoding: (&Encoding, NonZeroUsize),
    to: &Layout,
) -> Result<Encoded, ImageError> {
    let mut blob = source.open(&layer.descriptor)?;
    let mut file = to.temporary()?;
    let encoded =
        compress(&mut decoder(layer.encoding.compression(), &mut blob)?, encoding, file.as_file_mut())?;
    blob.finish()?;
    if encoded.diff_id != layer.diff_id {
        let (expected, actual) = (layer.diff_id.clone(), encoded.diff_id);
        return Err(ImageError::WrongDigest { what: "the tar of a layer".into(), expected, actual });
    }
    to.put_reader(file.reopen()?, &encoded.digest, encoded.size)?;
    Ok(encoded)
}

/// Compresses all that is read.
pub(crate) fn compress(
    from: &mut impl Read,
    (encoding, threads): (&Encoding, NonZeroUsize),
    out: impl Write + Send,
) -> Result<Encoded, ImageError> {
    let pieces = std::iter::from_fn(|| {
        let mut piece = Vec::new();
        match from.by_ref().take(PIECE).read_to_end(&mut piece) {
            Ok(0) => None,
            Ok(_) => Some(Ok(Piece::Bytes(piece))),
            Err(error) => Some(Err(TarError::Io(error))),
        }
    });
    compress_pieces(pieces, (encoding, threads), out)
}

/// Compresses pieces of a tar.
pub(crate) fn compress_pieces<'a>(
    pieces: impl Iterator<Item = Result<Piece<'a>, TarError>>,
    (encoding, threads): (&Encoding, NonZeroUsize),
    out: impl Write + Send,
) -> Result<Encoded, ImageError> {
    encode::encode(pieces, &InlineOnly, &NoSources, encoding, threads, out).map_err(|error| match error {
        EncodeError::Tar(TarError::Io(error)) => unwrap_io(error),
        EncodeError::Output(error) => error.into(),
        error => error.into(),
    })
}

/// What was made, and all that was not.
pub(crate) struct Over<'a> {
    pub(crate) made: &'a Layout,
    pub(crate) below: &'a dyn Blobs,
}

impl Blobs for Over<'_> {
    fn location(&self) -> String {
        self.below.location()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        match self.made.open(digest) {
            Err(ImageError::MissingBlob { .. }) => self.below.open(digest),
            found => found,
        }
    }

    fn open_part(&self, blob: &Descriptor) -> Result<(BlobRead, u64), ImageError> {
        match self.made.open(&blob.digest) {
            Err(ImageError::MissingBlob { .. }) => self.below.open_part(blob),
            found => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use pinfold_testkit::raw_tar::RawTar;

    use super::*;
    use crate::memory::AMD64;
    use crate::memory::Memory;

    #[test]
    fn layers_of_any_encoding_become_the_same_zstd() {
        let tars = [
            RawTar::new().dir("usr/").file("usr/a", &"lower ".repeat(2_000)).end(),
            RawTar::new().dir("usr/").file("usr/b", "upper").end(),
        ];
        let scratch = tempfile::tempdir().unwrap();
        let made = |encoding, level, threads| {
            let source = Memory::default().both(&tars, encoding);
            let image = source.image(AMD64).unwrap();
            let threads = NonZeroUsize::new(threads).unwrap();
            let recoded = with_zstd(&source, &image, level, threads, scratch.path()).unwrap();
            let new = recoded.image();
            assert_eq!(new.config.bytes(), image.config.bytes());
            assert_ne!(new.manifest.digest(), image.manifest.digest());
            let ids =
                |image: &Image| image.layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>();
            assert_eq!(ids(new), ids(&image));
            assert!(new.layers.iter().all(|layer| layer.encoding == LayerEncoding::Zstd));
            // The system's zstd reads what they are.
            let mut blobs = Vec::new();
            for (layer, tar) in new.layers.iter().zip(&tars) {
                let (mut reader, size) = recoded.open(&layer.descriptor.digest).unwrap();
                let mut blob = Vec::new();
                reader.read_to_end(&mut blob).unwrap();
                assert_eq!(blob.len() as u64, size);
                assert!(zstd(&blob) == *tar);
                blobs.push(blob);
            }
            blobs
        };
        let gzip = made(LayerEncoding::Gzip, 3, 1);
        assert!(gzip == made(LayerEncoding::Zstd, 3, 4) && gzip == made(LayerEncoding::Tar, 3, 2));
        assert!(gzip != made(LayerEncoding::Gzip, 19, 2), "the control");
        assert_eq!(fs_err::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left");
        // What is not what its configuration says is not made into anything.
        let source = Memory::default().both(&tars, LayerEncoding::Gzip);
        let mut image = source.image(AMD64).unwrap();
        image.layers[0].diff_id = Digest::sha256(b"another");
        let error = with_zstd(&source, &image, 3, NonZeroUsize::MIN, scratch.path()).unwrap_err();
        assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
        let error = with_zstd(&source, &image, 23, NonZeroUsize::MIN, scratch.path()).unwrap_err();
        assert!(error.to_string().contains("no level 23"), "{error}");
    }

    /// As the system's own tool has it.
    #[expect(clippy::disallowed_methods, reason = "the judge is a program")]
    fn zstd(blob: &[u8]) -> Vec<u8> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(blob).unwrap();
        let out = std::process::Command::new("zstd").args(["-dc"]).stdin(file.reopen().unwrap()).output();
        out.unwrap().stdout
    }
}
