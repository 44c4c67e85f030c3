//! The tar on its way to the workers: hashed for the diff_id, cut into segments, files taken apart into what is compressed
//! here and what is copied.

use std::io;
use std::io::Read;

use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::Hasher;
use pinfold_base::ImagePath;

use super::EncodeError;
use super::lanes::Job;
use super::lanes::Lanes;
use super::plan;
use super::splice;

/// Files are read in pieces of this size. It has no influence on the result.
const READ: usize = 256 << 10;

/// The content of a file on its way into the tar.
pub(super) struct File<'a> {
    pub(super) path: &'a ImagePath,
    pub(super) reader: Box<dyn Read + Send + 'a>,
    pub(super) size: u64,
    /// What has not been read yet.
    pub(super) left: u64,
}

impl File<'_> {
    /// Gives the next `len` bytes to `each`, a piece at a time.
    fn pass(
        &mut self,
        mut len: u64,
        buffer: &mut [u8],
        mut each: impl FnMut(&[u8]) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        while len > 0 {
            let most = usize::try_from(len).unwrap_or(usize::MAX).min(buffer.len());
            let n = self.read(&mut buffer[..most])?;
            if n == 0 {
                return Err(self.wrong_size());
            }
            each(&buffer[..n])?;
            len -= n as u64;
            self.left -= n as u64;
        }
        Ok(())
    }

    /// Sees that nothing follows.
    fn end(mut self) -> Result<(), EncodeError> {
        if self.read(&mut [0])? == 0 { Ok(()) } else { Err(self.wrong_size()) }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, EncodeError> {
        loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(EncodeError::Content { path: self.path.clone(), source }),
                Ok(n) => return Ok(n),
            }
        }
    }

    fn wrong_size(&self) -> EncodeError {
        EncodeError::Size { path: self.path.clone(), expected: self.size }
    }
}

/// What becomes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Compress,
    Store,
}

/// The tar as far as it has come: hashed, and cut into segments.
pub(super) struct Tar<'a, 'l> {
    lanes: &'a Lanes<'l>,
    hasher: Hasher,
    size: u64,
    segment: Vec<u8>,
    /// What becomes of the segment.
    how: How,
    buffer: Vec<u8>,
}

impl<'a, 'l> Tar<'a, 'l> {
    pub(super) fn new(lanes: &'a Lanes<'l>) -> Self {
        Self {
            lanes,
            hasher: Hasher::new(Algorithm::Sha256),
            size: 0,
            segment: lanes.buffer(),
            how: How::Compress,
            buffer: vec![0; READ],
        }
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
    }

    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.add_to(bytes, How::Compress)
    }

    /// Bytes that are compressed already.
    pub(super) fn add_dense(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.add_to(bytes, How::Store)
    }

    fn add_to(&mut self, mut bytes: &[u8], how: How) -> Result<(), EncodeError> {
        if self.how != how && self.lanes.stores() {
            if !self.segment.is_empty() {
                self.flush()?;
            }
            self.how = how;
        }
        self.hash(bytes);
        while !bytes.is_empty() {
            let room = self.lanes.segment_size() - self.segment.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.segment.extend_from_slice(now);
            bytes = later;
            if self.segment.len() == self.lanes.segment_size() {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// A file that begins at `offset` of its decoded archive.
    pub(super) fn add_file(
        &mut self,
        mut file: File<'_>,
        archive: &Digest,
        offset: u64,
        run: Option<&plan::Run<'_>>,
    ) -> Result<(), EncodeError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        if let Some(run) = run {
            file.pass(run.output.start - offset, &mut buffer, |bytes| self.add(bytes))?;
            if !self.segment.is_empty() {
                self.flush()?;
            }
            self.add_run(&mut file, archive, run, &mut buffer)?;
        }
        file.pass(file.left, &mut buffer, |bytes| self.add(bytes))?;
        self.buffer = buffer;
        file.end()
    }

    /// The bytes of a run are only hashed; what goes to the layer are the parts of its blocks.
    fn add_run(
        &mut self,
        file: &mut File<'_>,
        archive: &Digest,
        run: &plan::Run<'_>,
        buffer: &mut [u8],
    ) -> Result<(), EncodeError> {
        let parts = splice::parts(run.blocks);
        let (count, len) = (parts.len() as u64, run.output.end - run.output.start);
        let mut parts = parts.into_iter();
        let mut crc = crc32fast::Hasher::new();
        let (mut sent, mut done) = (0, 0);
        file.pass(len, buffer, |bytes| {
            self.hash(bytes);
            crc.update(bytes);
            done += bytes.len() as u64;
            // Parts are sent in step with the hashing, so that both go on at once.
            while sent < count * done / len {
                sent += 1;
                match parts.next() {
                    Some(splice::Part::Bytes(bytes)) => self.lanes.send(Job::Bytes(bytes))?,
                    Some(splice::Part::Copy { range, patches }) => {
                        self.lanes.send(Job::Copy { archive: archive.clone(), range, patches })?;
                    }
                    None => {}
                }
            }
            Ok(())
        })?;
        if crc.clone().finalize() != run.crc {
            return Err(EncodeError::Mismatch { archive: archive.clone() });
        }
        self.lanes.send(Job::Count { crc, uncompressed: len })
    }

    fn flush(&mut self) -> Result<(), EncodeError> {
        let next = self.lanes.buffer();
        let segment = std::mem::replace(&mut self.segment, next);
        self.lanes.send(match self.how {
            How::Compress => Job::Compress(segment),
            How::Store => Job::Store(segment),
        })
    }

    pub(super) fn finish(mut self) -> Result<(Digest, u64), EncodeError> {
        // A zstd stream needs at least one frame.
        if !self.segment.is_empty() || self.size == 0 {
            self.flush()?;
        }
        Ok((self.hasher.finish(), self.size))
    }
}
