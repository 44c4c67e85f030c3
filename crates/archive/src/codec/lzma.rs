//! lzma and lzip: the same compression, one with a bare header and one in members with a checksum.
//!
//! ```text
//! lzma   5d | dictionary u32 | length u64, or all ones | stream
//! lzip   "LZIP" 1 | dictionary, coded | stream | CRC-32 u32 | length u64 | length of the member u64      any number of these
//! ```

use std::io;
use std::io::Read;

use lzma_rust2::LzmaReader;

use super::Limited;

/// Properties of every lzip stream: lc 3, lp 0, pb 2.
const PROPERTIES: u8 = 93;

/// What is refused where it is too much.
const ASKS: &str = "the lzma stream asks for a dictionary";

fn wrong(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// One lzma stream and nothing after it.
pub(super) struct Lzma<R>(Option<Limited<LzmaReader<R>>>);

impl<R: Read> Lzma<R> {
    pub(super) fn new(inner: R, most: u64) -> io::Result<Self> {
        let kibibytes = u32::try_from(most >> 10).unwrap_or(u32::MAX);
        let inner = LzmaReader::new_mem_limit(inner, kibibytes, None)
            .map_err(|error| super::refusal(error, ASKS, most))?;
        Ok(Self(Some(Limited { inner, asks: ASKS, most })))
    }
}

impl<R: Read> Read for Lzma<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(reader) = self.0.as_mut().filter(|_| !buffer.is_empty()) else { return Ok(0) };
        let n = reader.read(buffer)?;
        if n == 0
            && let Some(reader) = self.0.take()
        {
            let (mut inner, unused) = reader.inner.into_parts();
            if !unused.is_empty() || inner.read(&mut [0])? != 0 {
                return Err(wrong("the lzma stream goes on behind its end"));
            }
        }
        Ok(n)
    }
}

/// What was read ahead, then the rest; it counts.
struct Counted<R> {
    ahead: io::Cursor<Vec<u8>>,
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut n = self.ahead.read(buffer)?;
        if n == 0 {
            n = self.inner.read(buffer)?;
        }
        self.count += n as u64;
        Ok(n)
    }
}

/// The members of an lzip file.
pub(super) struct Lzip<R> {
    state: State<R>,
    most: u64,
    sum: crc32fast::Hasher,
    length: u64,
}

enum State<R> {
    /// In front of a member, or at the end.
    Between(Counted<R>),
    In(LzmaReader<Counted<R>>),
    Failed,
}

impl<R: Read> Lzip<R> {
    pub(super) fn new(inner: R, most: u64) -> Self {
        let inner = Counted { ahead: io::Cursor::default(), inner, count: 0 };
        Self { state: State::Between(inner), most, sum: crc32fast::Hasher::new(), length: 0 }
    }

    /// Reads the header of a member.
    fn begin(&mut self, mut reader: Counted<R>) -> io::Result<State<R>> {
        (self.sum, self.length) = (crc32fast::Hasher::new(), 0);
        let mut header = [0; 6];
        reader.read_exact(&mut header)?;
        let [b'L', b'Z', b'I', b'P', 1, coded] = header else {
            return Err(wrong("what follows is no member of an lzip file"));
        };
        let base = 1_u64.checked_shl(u32::from(coded & 31)).unwrap_or(u64::MAX);
        let dictionary = base - base / 16 * u64::from(coded >> 5);
        if !(4096..=512 << 20).contains(&dictionary) {
            return Err(wrong("the dictionary of an lzip member has no such size"));
        }
        if dictionary > self.most {
            return Err(wrong(&format!(
                "the lzip member asks for a dictionary of more than {} MiB, the most that is kept",
                self.most >> 20
            )));
        }
        let dictionary = u32::try_from(dictionary).map_err(io::Error::other)?;
        LzmaReader::new_with_props(reader, u64::MAX, PROPERTIES, dictionary, None).map(State::In)
    }

    /// Reads the trailer of a member.
    fn end(&mut self, reader: LzmaReader<Counted<R>>) -> io::Result<State<R>> {
        let (mut reader, unused) = reader.into_parts();
        // What was read ahead of the member's end comes again, in front of what was put back before.
        reader.count -= unused.len() as u64;
        let left = reader.ahead.position() as usize;
        let left = reader.ahead.into_inner().split_off(left);
        reader.ahead = io::Cursor::new([unused, left].concat());
        let mut trailer = [0; 20];
        reader.read_exact(&mut trailer)?;
        let [c0, c1, c2, c3, rest @ ..] = trailer;
        let (length, member) = rest.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        if u32::from_le_bytes([c0, c1, c2, c3]) != self.sum.clone().finalize()
            || number(length) != self.length
            || number(member) != reader.count
        {
            return Err(wrong("the trailer of an lzip member is not that of its content"));
        }
        Ok(State::Between(reader))
    }
}

impl<R: Read> Read for Lzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Failed) {
                State::Failed => return Err(wrong("the lzip file is damaged")),
                State::Between(mut reader) => {
                    let mut first = [0];
                    reader.count = 0;
                    if reader.read(&mut first)? == 0 {
                        self.state = State::Between(reader);
                        return Ok(0);
                    }
                    let rest = std::mem::take(&mut reader.ahead);
                    let (at, rest) = (rest.position() as usize, rest.into_inner());
                    reader.ahead = io::Cursor::new([&first, &rest[at..]].concat());
                    reader.count = 0;
                    self.begin(reader)?
                }
                State::In(mut reader) => {
                    let n = reader.read(buffer)?;
                    if n > 0 {
                        self.sum.update(&buffer[..n]);
                        self.length += n as u64;
                        self.state = State::In(reader);
                        return Ok(n);
                    }
                    self.end(reader)?
                }
            };
        }
    }
}
