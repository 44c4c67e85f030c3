//! Where blobs are read from, and reading them so that nothing unverified is ever believed.
//!
//! [`VerifiedReader`] hashes what passes through it; the end of the stream is only reported when size and digest are those of
//! the descriptor, and is an error otherwise. Whoever reads to the end has verified bytes; whoever does not must not act on them.

use std::fmt;
use std::io;
use std::io::Read;

use pinfold_base::Digest;
use pinfold_base::Hasher;
use pinfold_base::Reporter;
use pinfold_base::Store;
use pinfold_base::report::Running;

use crate::ImageError;
use crate::model::Descriptor;
use crate::model::Document;
use crate::model::MAX_DOCUMENT;
use crate::model::Raw;

/// A reader of one blob's bytes, unverified.
pub type BlobRead = Box<dyn Read + Send>;

/// A place that holds blobs by digest.
pub trait Blobs: Send + Sync {
    /// Its name for messages, as the user would write it.
    fn location(&self) -> String;

    /// Opens a blob and says its size in bytes; [`ImageError::MissingBlob`] when it is not there.
    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError>;

    /// Opens the blob of a descriptor, for places that keep documents apart from other blobs.
    fn open_part(&self, blob: &Descriptor) -> Result<(BlobRead, u64), ImageError> {
        self.open(&blob.digest)
    }

    /// Puts a blob into a content store, verified, by a way that can go on where an earlier attempt stopped. False where there is no
    /// such way: then it is read.
    fn deliver(&self, _: &Descriptor, _: &Store, _: &dyn Reporter) -> Result<bool, ImageError> {
        Ok(false)
    }

    /// Whether the blob is here and known to be what its descriptor says, so that whoever reads it need not hash it once more. Only a
    /// store of ours knows such things.
    fn is_checked(&self, _: &Descriptor) -> Result<bool, ImageError> {
        Ok(false)
    }

    /// What to do about a blob that turned out not to be what its name says. Only a store of ours does anything.
    fn on_damage(&self) -> Option<OnDamage> {
        None
    }
}

/// Takes a blob away that was read and is wrong.
pub type OnDamage = Box<dyn Fn(&Digest) + Send>;

/// Opens the blob of a descriptor for reading to its end.
pub fn open_verified(
    blobs: &dyn Blobs,
    descriptor: &Descriptor,
) -> Result<VerifiedReader<BlobRead>, ImageError> {
    let (inner, size) = blobs.open_part(descriptor)?;
    let on_damage = blobs.on_damage();
    if size != descriptor.size {
        // Which of the two sizes is wrong is not known before the blob is hashed.
        on_damage.inspect(|doubt| doubt(&descriptor.digest));
        return Err(ImageError::WrongSize {
            what: format!("blob {} of {}", descriptor.digest, blobs.location()),
            expected: descriptor.size,
            actual: size,
        });
    }
    Ok(VerifiedReader { on_damage, ..VerifiedReader::new(inner, descriptor.digest.clone(), size) })
}

/// Reads the document of a descriptor, verified and checked.
pub fn read_document<T: Document>(blobs: &dyn Blobs, descriptor: &Descriptor) -> Result<Raw<T>, ImageError> {
    if descriptor.size > MAX_DOCUMENT {
        return Err(ImageError::TooLarge {
            what: T::WHAT.into(),
            size: descriptor.size,
            limit: MAX_DOCUMENT,
        });
    }
    let mut bytes = Vec::new();
    open_verified(blobs, descriptor)?.read_to_end(&mut bytes).map_err(unwrap_io)?;
    Raw::parse_as(bytes, Some(&descriptor.media_type))
}

/// Counts what is read as progress of an item.
#[derive(Debug)]
pub(crate) struct Counted<'a, R> {
    pub(crate) inner: R,
    pub(crate) running: &'a Running<'a>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        if n > 0 {
            self.running.advance(n as u64);
        }
        Ok(n)
    }
}

/// Checks size and digest of a stream while it is read.
pub struct VerifiedReader<R> {
    inner: R,
    hash: Hash,
    digest: Digest,
    size: u64,
    read: u64,
    on_damage: Option<OnDamage>,
}

impl<R> fmt::Debug for VerifiedReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedReader")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Hash {
    Running(Box<Hasher>),
    Done(Digest),
}

impl<R: Read> VerifiedReader<R> {
    /// Expects `size` bytes whose digest is `digest`.
    pub fn new(inner: R, digest: Digest, size: u64) -> Self {
        let hash = Hash::Running(Box::new(Hasher::new(digest.algorithm())));
        Self { inner, hash, digest, size, read: 0, on_damage: None }
    }

    /// The digest that is expected.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Reads what is left and checks it, for callers that stopped before the end.
    pub fn finish(mut self) -> Result<(), ImageError> {
        let mut rest = vec![0; 64 << 10];
        while self.read(&mut rest).map_err(unwrap_io)? > 0 {}
        Ok(())
    }

    fn what(&self) -> String {
        format!("blob {}", self.digest)
    }

    /// Wrong bytes: told once to whoever keeps them.
    fn wrong(&mut self, error: ImageError) -> io::Error {
        if let Some(doubt) = self.on_damage.take() {
            doubt(&self.digest);
        }
        wrap(error)
    }
}

impl<R: Read> Read for VerifiedReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.read += n as u64;
        if self.read > self.size {
            let (what, expected, actual) = (self.what(), self.size, self.read);
            return Err(self.wrong(ImageError::WrongSize { what, expected, actual }));
        }
        if n > 0 || buf.is_empty() {
            if let Hash::Running(hasher) = &mut self.hash {
                hasher.update(&buf[..n]);
            }
            return Ok(n);
        }
        if self.read < self.size {
            let (what, expected, actual) = (self.what(), self.size, self.read);
            return Err(self.wrong(ImageError::WrongSize { what, expected, actual }));
        }
        // Kept, so that whoever reads on after an error gets it again.
        if let Hash::Running(hasher) = &self.hash {
            self.hash = Hash::Done(Hasher::clone(hasher).finish());
        }
        if let Hash::Done(actual) = &self.hash
            && *actual != self.digest
        {
            let what = format!("a blob of {} bytes", self.size);
            let (expected, actual) = (self.digest.clone(), actual.clone());
            return Err(self.wrong(ImageError::WrongDigest { what, expected, actual }));
        }
        Ok(0)
    }
}

/// Carries an error of ours through [`Read`].
pub(crate) fn wrap(error: ImageError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Takes an error of ours back out of what [`Read`] gave.
pub fn unwrap_io(error: io::Error) -> ImageError {
    match error.downcast::<ImageError>() {
        Ok(ours) => ours,
        Err(error) => ImageError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], promised: &[u8], size: u64) -> Result<Vec<u8>, ImageError> {
        let mut all = Vec::new();
        let mut reader = VerifiedReader::new(bytes, Digest::sha256(promised), size);
        reader.read_to_end(&mut all).map_err(unwrap_io)?;
        Ok(all)
    }

    #[test]
    fn only_the_promised_bytes_come_to_an_end() {
        assert_eq!(read(b"layer", b"layer", 5).unwrap(), b"layer");
        assert!(matches!(read(b"LAYER", b"layer", 5), Err(ImageError::WrongDigest { .. })));
        assert!(matches!(read(b"laye", b"layer", 5), Err(ImageError::WrongSize { actual: 4, .. })));
        assert!(matches!(read(b"layer!", b"layer", 5), Err(ImageError::WrongSize { actual: 6, .. })));
    }

    #[test]
    fn a_wrong_end_stays_wrong() {
        let mut reader = VerifiedReader::new(&b"LAYER"[..], Digest::sha256(b"layer"), 5);
        let mut buf = [0; 8];
        assert_eq!(reader.read(&mut buf).unwrap(), 5);
        assert!(reader.read(&mut buf).is_err() && reader.read(&mut buf).is_err());
        assert!(matches!(reader.finish(), Err(ImageError::WrongDigest { .. })));
    }

    #[test]
    fn finishing_early_checks_the_rest() {
        let mut reader = VerifiedReader::new(&b"layeR"[..], Digest::sha256(b"layer"), 5);
        reader.read_exact(&mut [0; 2]).unwrap();
        assert!(matches!(reader.finish(), Err(ImageError::WrongDigest { .. })));
    }
}
