//! A stream of which one part at a time may be read: the content of the current entry of an ar or a tar.

use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Seek;

/// The stream, how far it was read, and how much of the current part is left.
#[derive(Debug)]
pub(crate) struct Parts<R> {
    inner: R,
    at: u64,
    left: u64,
    /// What is said when the stream ends inside a part.
    short: &'static str,
}

impl<R: BufRead> Parts<R> {
    /// Nothing is read yet, and no part begun. `short` is said when the stream ends inside a part.
    pub(crate) fn new(inner: R, short: &'static str) -> Self {
        Self { inner, at: 0, left: 0, short }
    }

    /// The stream below.
    pub(crate) fn into_inner(self) -> R {
        self.inner
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
            let n = self.some(buffer.len() as u64 - filled as u64, |piece| {
                buffer[filled..filled + piece.len()].copy_from_slice(piece);
            })?;
            if n == 0 {
                break;
            }
            filled += n;
        }
        Ok(filled)
    }

    /// Ends the part: skips what was not read of it and `padding` bytes. Gives how many bytes were missing.
    pub(crate) fn end(&mut self, padding: u64) -> io::Result<u64> {
        let mut wanted = std::mem::take(&mut self.left) + padding;
        while wanted > 0 {
            match self.some(wanted, |_| ())? {
                0 => break,
                n => wanted -= n as u64,
            }
        }
        Ok(wanted)
    }

    /// Takes the next bytes out of the stream's buffer, `most` at most; 0 at the end of the stream.
    fn some(&mut self, most: u64, take: impl FnOnce(&[u8])) -> io::Result<usize> {
        loop {
            match self.inner.fill_buf() {
                Ok(piece) => {
                    let n = piece.len().min(usize::try_from(most).unwrap_or(usize::MAX));
                    take(&piece[..n]);
                    self.inner.consume(n);
                    self.at += n as u64;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A decompressor's own word for it is no word for people.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(self.cut()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl<R: BufRead + Seek> Parts<R> {
    /// Goes on by this many bytes without reading them, and ends the part.
    pub(crate) fn seek(&mut self, bytes: u64) -> io::Result<()> {
        self.inner.seek_relative(i64::try_from(bytes).map_err(|_| self.cut())?)?;
        self.at += bytes;
        self.left = 0;
        Ok(())
    }
}

impl<R> Parts<R> {
    fn cut(&self) -> io::Error {
        io::Error::new(io::ErrorKind::UnexpectedEof, self.short)
    }
}

impl<R: BufRead> Read for Parts<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(self.cut());
        }
        self.left -= n as u64;
        self.at += n as u64;
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Parts<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let piece = self.inner.fill_buf()?;
        if piece.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, self.short));
        }
        let n = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        Ok(&piece[..n])
    }

    fn consume(&mut self, n: usize) {
        self.inner.consume(n);
        self.left -= n as u64;
        self.at += n as u64;
    }
}
