//! Images in memory, for tests.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::io::Write;

use pinfold_base::Arch;
use pinfold_base::Digest;
use pinfold_base::Platform;

use crate::ComposedImage;
use crate::ImageError;
use crate::ImageSource;
use crate::LayerBlob;
use crate::LayerEncoding;
use crate::RuntimeConfig;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::compose;
use crate::model::Raw;

pub(crate) const AMD64: Platform = Platform { arch: Arch::Amd64 };
pub(crate) const ARM64: Platform = Platform { arch: Arch::Arm64 };

/// Blobs by digest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(pub(crate) BTreeMap<Digest, Vec<u8>>);

impl Memory {
    pub(crate) fn put(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::sha256(&bytes);
        self.0.insert(digest.clone(), bytes);
        digest
    }

    pub(crate) fn document<T>(&mut self, document: &Raw<T>) {
        self.0.insert(document.digest().clone(), document.bytes().to_vec());
    }

    /// Stores a tar as a layer.
    pub(crate) fn layer(&mut self, tar: &[u8], encoding: LayerEncoding) -> LayerBlob {
        let bytes = match encoding {
            LayerEncoding::Tar => tar.to_vec(),
            LayerEncoding::Gzip => gzip(tar),
            LayerEncoding::Zstd => zstd_stored(tar),
        };
        LayerBlob {
            diff_id: Digest::sha256(tar),
            size: bytes.len() as u64,
            digest: self.put(bytes),
            uncompressed: tar.len() as u64,
            encoding,
            encoder: String::new(),
            reused: 0,
            components: vec!["debian/base-files".into()],
            created_by: "pinfold test".into(),
        }
    }

    /// Stores an image of these tars.
    pub(crate) fn image(
        &mut self,
        platform: Platform,
        tars: &[Vec<u8>],
        encoding: LayerEncoding,
    ) -> ComposedImage {
        let layers: Vec<_> = tars.iter().map(|tar| self.layer(tar, encoding)).collect();
        let runtime = RuntimeConfig { cmd: Some(vec!["sh".into()]), ..RuntimeConfig::default() };
        let image = compose::image(platform, &runtime, &layers, &BTreeMap::new(), 1_700_000_000).unwrap();
        self.document(&image.config);
        self.document(&image.manifest);
        image
    }

    /// Stores an index of both platforms with the same layers.
    pub(crate) fn both(&mut self, tars: &[Vec<u8>], encoding: LayerEncoding) -> ImageSource {
        let images: Vec<_> =
            [AMD64, ARM64].map(|platform| (platform, self.image(platform, tars, encoding))).into();
        let entries: Vec<_> = images.iter().map(|(platform, image)| (*platform, image)).collect();
        let index = compose::index(&entries, &BTreeMap::new(), 1_700_000_000).unwrap();
        self.document(&index);
        ImageSource::new("memory", index.descriptor(), Box::new(self.clone()))
    }
}

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

/// One gzip member of stored blocks (RFC 1952, RFC 1951 section 3.2.4).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let chunks: Vec<&[u8]> = bytes.chunks(0xffff).collect();
    for (at, chunk) in chunks.iter().enumerate() {
        let length = u16::try_from(chunk.len()).unwrap();
        out.push(u8::from(at + 1 == chunks.len()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.write_all(chunk).unwrap();
    }
    let crc = bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    });
    out.extend_from_slice(&(!crc).to_le_bytes());
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    out
}

/// One zstd frame of raw blocks without checksum (RFC 8878, sections 3.1.1.1 and 3.1.1.2.2).
fn zstd_stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1010_0000];
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    let chunks: Vec<&[u8]> = bytes.chunks(1 << 16).collect();
    for (at, chunk) in chunks.iter().enumerate() {
        let header = u32::try_from(chunk.len()).unwrap() << 3 | u32::from(at + 1 == chunks.len());
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(chunk);
    }
    out
}
