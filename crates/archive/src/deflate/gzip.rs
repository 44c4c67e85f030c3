//! The decoder: streams of deflate blocks, bare or in gzip members (RFC 1952).
//!
//! ```text
//! member   1f 8b 08 FLG MTIME(4) XFL OS [extra field] [name] [comment] [CRC-16]   deflate stream   CRC-32 ISIZE
//! file     member | member | … | zero bytes
//! ```

use std::io::Read;

use super::Block;
use super::Effort;
use super::InflateError;
use super::inflate::Inflate;
use super::inflate::Step;
use super::input::Input;

/// Blocks reported at a time, so that a source of nothing but empty blocks does not fill the memory.
const BLOCKS_AT_ONCE: usize = 4096;

const HAS_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;
const FASTEST: u8 = 4;

/// What stands around the deflate streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// Nothing: one bare stream.
    Bare,
    /// gzip members.
    Gzip,
}

/// Where in the source the decoder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Before the first stream.
    Start,
    /// In a stream.
    Stream,
    /// Behind a stream.
    Behind,
    /// Behind everything.
    End,
}

/// Decodes deflate streams and reports their blocks.
#[derive(Debug)]
pub struct Decoder<R> {
    inflate: Inflate<R>,
    frame: Frame,
    position: Position,
    /// Of the stream being decoded.
    crc: crc32fast::Hasher,
    /// Where it began, in decoded bytes.
    start: u64,
    effort: Effort,
    /// Decoded bytes in the window that are not in `crc` yet begin here.
    unhashed: usize,
    blocks: Vec<Block>,
    /// How much of the piece [`Read`] has given.
    read: usize,
}

impl<R: Read> Decoder<R> {
    /// Decodes a gzip file.
    pub fn gzip(source: R) -> Self {
        Self::new(Input::new(source, 0), Frame::Gzip)
    }

    /// Decodes one bare stream, as an entry of a zip archive has it. `offset` is the position of the reader's first byte
    /// in the source, from which bits are counted. Checking size and checksum is the caller's part. Bytes behind the
    /// stream may be read, and are ignored.
    pub fn bare(source: R, offset: u64) -> Self {
        Self::new(Input::new(source, offset), Frame::Bare)
    }

    fn new(input: Input<R>, frame: Frame) -> Self {
        Self {
            inflate: Inflate::new(input),
            frame,
            position: Position::Start,
            crc: crc32fast::Hasher::new(),
            start: 0,
            effort: Effort::Other,
            unhashed: 0,
            blocks: Vec::new(),
            read: 0,
        }
    }

    /// Decodes the next piece, at most 256 KiB; `None` at the end, when every checksum has held. A piece may be empty.
    pub fn piece(&mut self) -> Result<Option<&[u8]>, InflateError> {
        self.inflate.make_room();
        self.unhashed = self.inflate.pending().start;
        self.blocks.clear();
        self.read = 0;
        loop {
            match self.position {
                Position::Start => {
                    if self.frame == Frame::Gzip {
                        self.header()?;
                    }
                    self.position = Position::Stream;
                }
                Position::Stream => {
                    let step = self.inflate.step()?;
                    let end = self.inflate.pending().end;
                    self.crc.update(self.inflate.bytes(self.unhashed..end));
                    self.unhashed = end;
                    let Step::Block(mut block) = step else { break };
                    (block.crc, block.effort) = (self.crc.clone().finalize(), self.effort);
                    self.blocks.push(block);
                    if self.inflate.ended() {
                        self.position = Position::Behind;
                    }
                    if self.blocks.len() >= BLOCKS_AT_ONCE {
                        break;
                    }
                }
                Position::Behind if self.frame == Frame::Bare => self.position = Position::End,
                Position::Behind => {
                    self.trailer()?;
                    self.position = if self.follows()? { Position::Stream } else { Position::End };
                }
                Position::End if self.inflate.pending().is_empty() && self.blocks.is_empty() => {
                    return Ok(None);
                }
                Position::End => break,
            }
        }
        Ok(Some(self.inflate.bytes(self.inflate.pending())))
    }

    /// The blocks that ended in the last piece.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Decodes to the end and gives the blocks to `block`, the bytes to `write`.
    pub fn run<E: From<InflateError>>(
        mut self,
        mut block: impl FnMut(&Block),
        mut write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        while let Some(bytes) = self.piece()? {
            write(bytes)?;
            self.blocks.iter().for_each(&mut block);
        }
        Ok(self.inflate.position())
    }

    /// What of the last piece has not been read yet, as far as there is room.
    pub(super) fn read_on(&mut self, buffer: &mut [u8]) -> usize {
        let piece = self.inflate.bytes(self.inflate.pending());
        let n = buffer.len().min(piece.len() - self.read);
        buffer[..n].copy_from_slice(&piece[self.read..self.read + n]);
        self.read += n;
        n
    }

    fn byte(&mut self, header: &mut crc32fast::Hasher) -> Result<u8, InflateError> {
        let byte = self
            .inflate
            .input
            .byte()?
            .ok_or_else(|| InflateError::Truncated { bit: self.inflate.input.position() })?;
        header.update(&[byte]);
        Ok(byte)
    }

    fn number<const N: usize>(&mut self, header: &mut crc32fast::Hasher) -> Result<[u8; N], InflateError> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte(header)?;
        }
        Ok(bytes)
    }

    /// RFC 1952, section 2.3. Everything but the effort is passed over.
    fn header(&mut self) -> Result<(), InflateError> {
        let mut crc = crc32fast::Hasher::new();
        if self.number(&mut crc)? != [0x1f, 0x8b] {
            return Err(self.inflate.invalid("it does not begin as gzip does"));
        }
        self.header_behind_magic(crc)
    }

    fn header_behind_magic(&mut self, mut crc: crc32fast::Hasher) -> Result<(), InflateError> {
        let [method, flags] = self.number(&mut crc)?;
        if method != 8 {
            return Err(self.inflate.invalid("the compression method is not deflate"));
        }
        if flags & RESERVED != 0 {
            return Err(self.inflate.invalid("the gzip header has reserved flags"));
        }
        let [_, _, _, _, effort, _] = self.number(&mut crc)?;
        if flags & HAS_EXTRA != 0 {
            for _ in 0..u16::from_le_bytes(self.number(&mut crc)?) {
                self.byte(&mut crc)?;
            }
        }
        for text in [HAS_NAME, HAS_COMMENT] {
            if flags & text != 0 {
                while self.byte(&mut crc)? != 0 {}
            }
        }
        if flags & HAS_CRC != 0 {
            let actual = crc.clone().finalize() as u16;
            if u16::from_le_bytes(self.number(&mut crc)?) != actual {
                return Err(self.inflate.invalid("the checksum of the gzip header does not match"));
            }
        }
        self.inflate.restart();
        self.crc = crc32fast::Hasher::new();
        self.start = self.inflate.position();
        self.effort = if effort == FASTEST { Effort::Fastest } else { Effort::Other };
        Ok(())
    }

    fn trailer(&mut self) -> Result<(), InflateError> {
        self.inflate.input.align();
        let mut unused = crc32fast::Hasher::new();
        let expected = u32::from_le_bytes(self.number(&mut unused)?);
        let actual = self.crc.clone().finalize();
        if expected != actual {
            return Err(InflateError::Checksum { expected, actual });
        }
        let expected = u32::from_le_bytes(self.number(&mut unused)?);
        let actual = (self.inflate.position() - self.start) as u32;
        if expected != actual {
            return Err(InflateError::Size { expected, actual });
        }
        Ok(())
    }

    /// Whether another member follows; its header is then behind.
    fn follows(&mut self) -> Result<bool, InflateError> {
        match self.inflate.input.byte()? {
            None => Ok(false),
            Some(0) => {
                while let Some(byte) = self.inflate.input.byte()? {
                    if byte != 0 {
                        return Err(self.inflate.invalid("something stands behind the zero padding"));
                    }
                }
                Ok(false)
            }
            Some(0x1f) => {
                let mut crc = crc32fast::Hasher::new();
                crc.update(&[0x1f]);
                if self.byte(&mut crc)? != 0x8b {
                    return Err(self.inflate.invalid("what follows is no gzip member"));
                }
                self.header_behind_magic(crc)?;
                Ok(true)
            }
            Some(_) => Err(self.inflate.invalid("what follows is no gzip member")),
        }
    }
}
