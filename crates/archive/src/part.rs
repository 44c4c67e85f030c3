//! A stream of which one part at a time may be read: the content of the current entry of an ar or a tar.

use std::io;
use std::io::Read;

/// The stream, how far it was read, and how much of the current part is left.
#[derive(Debug)]
pub(crate) struct Parts<R> {
    inner: R,
    at: u64,
    left: u64,
    /// What is said when the stream ends inside a part.
    short: &'static str,
}

impl<R: Read> Parts<R> {
    /// Nothing is read yet, and no part begun. `short` is said when the stream ends inside a part.
    pub(crate) fn new(inner: R, short: &'static str) -> Self {
        Self { inner, at: 0, left: 0, short }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// Bytes of the current part that were not read.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Begins a part of this many bytes.
    pub(crate) fn begin(&mut self, size: u64) {
        self.left = size;
    }

    /// Fills as much of `buffer` as the stream has, whatever parts there are.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.inner.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => {
                    filled += n;
                    self.at += n as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Ends the part: skips what was not read of it and `padding` bytes. Gives how many bytes were missing.
    pub(crate) fn end(&mut self, padding: u64) -> io::Result<u64> {
        let wanted = std::mem::take(&mut self.left) + padding;
        let skipped = io::copy(&mut self.inner.by_ref().take(wanted), &mut io::sink())?;
        self.at += skipped;
        Ok(wanted - skipped)
    }
}

impl<R: Read> Read for Parts<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, self.short));
        }
        self.left -= n as u64;
        self.at += n as u64;
        Ok(n)
    }
}
