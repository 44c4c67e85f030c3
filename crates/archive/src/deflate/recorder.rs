//! The decoder as a reader, alone or keeping the blocks that pass.

use std::io;
use std::io::Read;

use super::Blocks;
use super::Decoder;

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.read_on(buffer);
            if n > 0 || buffer.is_empty() || self.piece()?.is_none() {
                return Ok(n);
            }
        }
    }
}

/// Reads what a decoder decodes, and keeps its blocks.
#[derive(Debug)]
pub struct Recorder<R> {
    decoder: Decoder<R>,
    /// `None` when there were too many.
    blocks: Option<Blocks>,
}

impl<R: Read> Recorder<R> {
    /// Keeps the blocks of this decoder.
    pub fn new(decoder: Decoder<R>) -> Self {
        Self { decoder, blocks: Some(Blocks::default()) }
    }

    /// The blocks that have passed; none at all when there were more than [`super::MAX_BLOCKS`]. Complete only when
    /// everything has been read.
    pub fn finish(self) -> Blocks {
        self.blocks.unwrap_or_default()
    }
}

impl<R: Read> Read for Recorder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.decoder.read_on(buffer);
            if n > 0 || buffer.is_empty() || self.decoder.piece()?.is_none() {
                return Ok(n);
            }
            if let Some(blocks) = &mut self.blocks
                && !self.decoder.blocks().iter().all(|block| blocks.push(block))
            {
                self.blocks = None;
            }
        }
    }
}
