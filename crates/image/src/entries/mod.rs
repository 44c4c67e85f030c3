//! The entries of a tar as it comes out of a layer, one after the other, without keeping or copying content.
//!
//! ```text
//! [x/L/K header + data]* header (512 bytes) content, padded to 512 … two zero blocks, zeros to the end
//! ```
//!
//! Read are ustar, GNU long names and PAX (POSIX.1-2008, pax, "ustar Interchange Format"). Names are given as raw bytes; what
//! they may be is decided by whoever uses them ([`crate::unpack`], [`crate::verify`]).
//!
//! **Guarantees**: memory is bounded by [`MAX_EXTENSION`] whatever the input says; no input makes it panic; every byte up to the
//! end of the stream is read, so that digests below see all of it.
//! **Refuses** what readers disagree about: sparse files, a PAX size that contradicts the header, two extension headers of
//! one kind for one entry, global headers that name paths or sizes, content in entries that have none, unknown types, wrong
//! checksums, anything but zeros after the end.

mod header;
mod pax;

use std::collections::BTreeMap;
use std::io;
use std::io::BufRead;
use std::io::Seek;

use header::BLOCK;
use header::Header;
use pax::Records;

/// Longest extension (PAX records, long name) that is accepted, in bytes. Capabilities and names need less than 5 KiB.
pub const MAX_EXTENSION: u64 = 1 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of an earlier file.
    Hardlink,
    /// A character or block device, FIFO: images must not carry them.
    Special,
}

/// One entry, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name as it was written.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Target of a link as it was written.
    pub link: Vec<u8>,
    /// Permission bits, `0o7777` at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Seconds since the epoch; earlier times count as 0.
    pub mtime: u64,
    /// Nanoseconds on top of that.
    pub nanoseconds: u32,
    /// Bytes of content.
    pub size: u64,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Why a tar is not read further.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The bytes are no tar, or one that readers disagree about.
    #[error("the tar is malformed at byte {at}: {reason}")]
    Malformed {
        /// Where the header starts.
        at: u64,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The stream below failed, or ended too early.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A reader of entries.
#[derive(Debug)]
pub struct Entries<R> {
    reader: R,
    /// Bytes read so far.
    at: u64,
    /// Content and padding of the current entry that were not read.
    content: u64,
    padding: u64,
    ended: bool,
}

impl<R: BufRead + Seek> Entries<R> {
    /// Goes past the content of the current entry without reading it.
    pub fn seek_content(&mut self) -> Result<(), EntryError> {
        let left = self.content + self.padding;
        // The last byte is read, so that a file that was cut short is noticed.
        if left > 1 {
            self.reader.seek_relative(i64::try_from(left - 1).map_err(|_| short())?)?;
            self.at += left - 1;
            (self.content, self.padding) = (0, 1);
        }
        Ok(())
    }
}

impl<R: BufRead> Entries<R> {
    /// Reads a tar from its start.
    pub fn new(reader: R) -> Self {
        Self { reader, at: 0, content: 0, padding: 0, ended: false }
    }

    /// The stream below.
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// Bytes read so far; after [`Entries::next_entry`] the position of the entry's content.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// The next entry, skipping what is left of the one before. `None` at the end, when the whole stream has been read.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, EntryError> {
        self.skip_content()?;
        let mut records: Option<Records> = None;
        let mut long_name: Option<Vec<u8>> = None;
        let mut long_link: Option<Vec<u8>> = None;
        loop {
            let start = self.at;
            let wrong = |reason| EntryError::Malformed { at: start, reason };
            let extended = records.is_some() || long_name.is_some() || long_link.is_some();
            let Some(block) = self.block()? else {
                return if extended { Err(wrong("an extension without an entry")) } else { Ok(None) };
            };
            let header = Header::parse(&block).map_err(wrong)?;
            match header.kind {
                b'x' if records.is_none() => {
                    records = Some(Records::parse(&self.extension(&header, start)?).map_err(wrong)?);
                }
                b'L' if long_name.is_none() => long_name = Some(self.long(&header, start)?),
                b'K' if long_link.is_none() => long_link = Some(self.long(&header, start)?),
                b'x' | b'L' | b'K' => return Err(wrong("two extensions of one kind for one entry")),
                b'g' => {
                    if extended {
                        return Err(wrong("a global header between an extension and its entry"));
                    }
                    let global = Records::parse(&self.extension(&header, start)?).map_err(wrong)?;
                    global.check_global().map_err(wrong)?;
                }
                _ => {
                    let records = records.unwrap_or_default();
                    if records.path.is_some() && long_name.is_some()
                        || records.linkpath.is_some() && long_link.is_some()
                    {
                        return Err(wrong("a name is given both by PAX and by GNU extension"));
                    }
                    let name = records.path.clone().or(long_name).unwrap_or_else(|| header.name.clone());
                    let link = records.linkpath.clone().or(long_link).unwrap_or_else(|| header.link.clone());
                    let entry = header.entry(name, link, records).map_err(wrong)?;
                    self.content = entry.size;
                    self.padding = entry.size.next_multiple_of(BLOCK as u64) - entry.size;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// The next piece of the current entry's content, straight out of the reader's buffer; empty at its end.
    /// Call [`Entries::consume`] with what was used.
    pub fn fill(&mut self) -> Result<&[u8], EntryError> {
        if self.content == 0 {
            return Ok(&[]);
        }
        let buffer = self.reader.fill_buf()?;
        if buffer.is_empty() {
            return Err(short().into());
        }
        let n = buffer.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        Ok(&buffer[..n])
    }

    /// Marks `n` bytes of what [`Entries::fill`] gave as used.
    pub fn consume(&mut self, n: usize) {
        self.reader.consume(n);
        self.at += n as u64;
        self.content -= n as u64;
    }

    /// All content of the current entry, of which at most `limit` bytes are accepted.
    pub fn content(&mut self, limit: u64) -> Result<Vec<u8>, EntryError> {
        if self.content > limit {
            return Err(EntryError::Malformed {
                at: self.at,
                reason: "an entry is longer than such entries are",
            });
        }
        let mut bytes = Vec::new();
        loop {
            let piece = self.fill()?;
            if piece.is_empty() {
                return Ok(bytes);
            }
            bytes.extend_from_slice(piece);
            let n = piece.len();
            self.consume(n);
        }
    }

    fn skip_content(&mut self) -> Result<(), EntryError> {
        let mut left = self.content + self.padding;
        (self.content, self.padding) = (0, 0);
        while left > 0 {
            let n = self.reader.fill_buf()?.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if n == 0 {
                return Err(short().into());
            }
            self.reader.consume(n);
            self.at += n as u64;
            left -= n as u64;
        }
        Ok(())
    }

    /// The next header block; `None` at the end. A stream that ends at a block boundary without zero blocks is accepted, as
    /// GNU tar does: the digest of the layer says whether something is missing.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, EntryError> {
        let mut block = [0; BLOCK];
        if self.ended || self.read_block(&mut block)? == 0 {
            return Ok(None);
        }
        if block.iter().any(|&byte| byte != 0) {
            return Ok(Some(block));
        }
        self.ended = true;
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            if buffer.iter().any(|&byte| byte != 0) {
                return Err(EntryError::Malformed {
                    at: self.at,
                    reason: "something follows the end of the archive",
                });
            }
            let n = buffer.len();
            self.reader.consume(n);
            self.at += n as u64;
        }
    }

    /// Fills a block; 0 when the stream ended before it.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<usize, EntryError> {
        let mut filled = 0;
        while filled < BLOCK {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return if filled == 0 { Ok(0) } else { Err(short().into()) };
            }
            let n = buffer.len().min(BLOCK - filled);
            block[filled..filled + n].copy_from_slice(&buffer[..n]);
            self.reader.consume(n);
            filled += n;
        }
        self.at += BLOCK as u64;
        Ok(BLOCK)
    }

    fn extension(&mut self, header: &Header, start: u64) -> Result<Vec<u8>, EntryError> {
        if header.size > MAX_EXTENSION {
            return Err(EntryError::Malformed { at: start, reason: "an extension is longer than 1 MiB" });
        }
        self.content = header.size;
        self.padding = header.size.next_multiple_of(BLOCK as u64) - header.size;
        let bytes = self.content(MAX_EXTENSION)?;
        self.skip_content()?;
        Ok(bytes)
    }

    /// A GNU long name, which ends with a NUL.
    fn long(&mut self, header: &Header, start: u64) -> Result<Vec<u8>, EntryError> {
        let mut bytes = self.extension(header, start)?;
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        if bytes.is_empty() || bytes.contains(&0) {
            return Err(EntryError::Malformed { at: start, reason: "a long name is empty or holds a NUL" });
        }
        Ok(bytes)
    }
}

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the tar ends in the middle of an entry")
}

#[cfg(test)]
pub(crate) mod tests;
