//! The program that a file was made with: its first bytes are in the record, since they were changed, the others are in the file.

use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use fs_err::File;

/// What every program has in it that knows how to carry an image of this [`FORMAT`](super::FORMAT), and by which it is known. It stands in
/// the program because it is looked for here.
static MARK: &[u8] = b"pinfold: this program carries images of format 1\n";
/// Bytes that are looked at at once.
const CHUNK: usize = 1 << 20;

/// Whether a program knows how to carry an image. It is read to its end where it does not.
pub fn is_marked(program: &mut impl Read) -> io::Result<bool> {
    let finder = memchr::memmem::Finder::new(std::hint::black_box(MARK));
    let mut bytes = Vec::with_capacity(CHUNK + MARK.len());
    loop {
        let before = bytes.len();
        program.by_ref().take(CHUNK as u64).read_to_end(&mut bytes)?;
        if finder.find(&bytes).is_some() {
            return Ok(true);
        }
        if bytes.len() == before {
            return Ok(false);
        }
        // It may lie across two chunks.
        let kept = bytes.len().saturating_sub(MARK.len() - 1);
        bytes.drain(..kept);
    }
}

/// What can be read more than once.
pub trait ReadAgain: Read + Seek {}

impl<T: Read + Seek> ReadAgain for T {}

/// The program as it was before it carried an image, unverified, to be read as often as is wanted.
#[derive(Clone, Debug)]
pub(super) struct Program {
    header: Vec<u8>,
    file: Arc<File>,
    at: u64,
    size: u64,
}

impl Program {
    /// `size` bytes of a file, with these before all others. `header` is no longer than that.
    pub(super) fn new(header: Vec<u8>, file: Arc<File>, size: u64) -> Self {
        Self { header, file, at: 0, size }
    }
}

impl Read for Program {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let first = usize::try_from(self.at).ok().and_then(|at| self.header.get(at..)).unwrap_or_default();
        let n = if first.is_empty() {
            let left = self.size.saturating_sub(self.at);
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
            self.file.file().read_at(&mut buf[..most], self.at)?
        } else {
            let n = first.len().min(buf.len());
            buf[..n].copy_from_slice(&first[..n]);
            n
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Program {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_wherever_its_mark_is() {
        for before in [0, 7, CHUNK - 20, CHUNK, 2 * CHUNK - MARK.len() + 1] {
            let program = [&vec![b'p'; before][..], MARK, b"behind"].concat();
            assert!(is_marked(&mut &program[..]).unwrap(), "{before}");
            let mut other = program;
            other[before + 3] ^= 1;
            assert!(!is_marked(&mut &other[..]).unwrap(), "{before}");
        }
        assert!(MARK.ends_with(format!("format {}\n", super::super::FORMAT).as_bytes()));
    }
}
