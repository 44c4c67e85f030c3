//! A layer's tar, decoded ahead in a thread and handed over in blocks; hashed where it is used.

use std::io;
use std::io::BufRead;
use std::io::Read;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::channel;
use std::sync::mpsc::sync_channel;
use std::thread::Scope;

use pinfold_archive::codec::decoder;
use pinfold_base::Digest;
use pinfold_base::Hasher;
use pinfold_base::report::Running;

use super::Cause;
use crate::ImageError;
use crate::ImageSource;
use crate::blobs::Counted;
use crate::blobs::unwrap_io;
use crate::blobs::wrap;
use crate::model::LayerEncoding;
use crate::source::ImageLayer;

/// Bytes of a block.
const BLOCK: usize = 512 << 10;
/// Blocks that wait for their reader. Two layers are open at once, so this is 2 × 4 MiB at most.
const AHEAD: usize = 8;

type Message = Result<Vec<u8>, ImageError>;

/// The reading end.
#[derive(Debug)]
pub(super) struct Blocks {
    receiver: Receiver<Message>,
    /// Blocks that were read go back to be filled again, still in the processor's cache.
    spent: Sender<Vec<u8>>,
    block: Vec<u8>,
    used: usize,
    /// Absent where the digest of the blob already vouches for the tar.
    hasher: Option<Hasher>,
    diff_id: Digest,
    read: u64,
    limit: u64,
    ended: bool,
}

impl Blocks {
    /// Starts to decode a layer. At most `limit` bytes are taken.
    pub(super) fn start<'scope, 'env>(
        scope: &'scope Scope<'scope, 'env>,
        source: &'env ImageSource,
        layer: &'env ImageLayer,
        limit: u64,
        running: &'env Running<'env>,
    ) -> Self {
        let (sender, receiver) = sync_channel(AHEAD);
        let (spent, empty) = channel();
        scope.spawn(move || {
            if let Err(error) = decode(source, layer, running, &sender, &empty) {
                // A reader that gave up does not want to know.
                let _ = sender.send(Err(error));
            }
        });
        let vouched = layer.encoding == LayerEncoding::Tar && layer.diff_id == layer.descriptor.digest;
        Self {
            receiver,
            spent,
            block: Vec::new(),
            used: 0,
            hasher: (!vouched).then(|| Hasher::new(layer.diff_id.algorithm())),
            diff_id: layer.diff_id.clone(),
            read: 0,
            limit,
            ended: false,
        }
    }

    /// Reads what is left and checks the diff_id; the blob itself was checked by the decoding thread.
    pub(super) fn finish(mut self) -> Result<u64, Cause> {
        while !self.fill_buf().map_err(unwrap_io)?.is_empty() {
            self.used = self.block.len();
        }
        match self.hasher.map(Hasher::finish) {
            Some(actual) if actual != self.diff_id => Err(Cause::DiffId { expected: self.diff_id, actual }),
            _ => Ok(self.read),
        }
    }
}

impl Read for Blocks {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let piece = self.fill_buf()?;
        let n = piece.len().min(buf.len());
        buf[..n].copy_from_slice(&piece[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Blocks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.block.len() && !self.ended {
            if !self.block.is_empty() {
                // A decoder that is done needs none.
                let _ = self.spent.send(std::mem::take(&mut self.block));
                self.used = 0;
            }
            match self.receiver.recv() {
                Ok(Ok(block)) => {
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&block);
                    }
                    self.read += block.len() as u64;
                    if self.read > self.limit {
                        return Err(io::Error::new(
                            io::ErrorKind::FileTooLarge,
                            "the layer is longer than accepted",
                        ));
                    }
                    (self.block, self.used) = (block, 0);
                }
                Ok(Err(error)) => {
                    self.ended = true;
                    return Err(wrap(error));
                }
                // The thread is done: everything was sent and the blob was right.
                Err(_) => self.ended = true,
            }
        }
        Ok(&self.block[self.used..])
    }

    fn consume(&mut self, n: usize) {
        self.used = (self.used + n).min(self.block.len());
    }
}

fn decode(
    source: &ImageSource,
    layer: &ImageLayer,
    running: &Running<'_>,
    sender: &SyncSender<Message>,
    empty: &Receiver<Vec<u8>>,
) -> Result<(), ImageError> {
    let mut blob = source.open(&layer.descriptor)?;
    match decode_blob(Counted { inner: &mut blob, running }, layer, sender, empty) {
        Ok(()) => blob.finish(),
        Err(Stop::ReaderGone) => Ok(()),
        // Damage is named as what it is before the decoder's complaint about it.
        Err(Stop::Failed(error)) => {
            blob.finish()?;
            Err(match unwrap_io(error) {
                ImageError::Io(error) => {
                    ImageError::rule("the layer", format!("it cannot be decompressed: {error}"))
                }
                ours => ours,
            })
        }
    }
}

enum Stop {
    ReaderGone,
    Failed(io::Error),
}

fn decode_blob(
    blob: impl Read + Send,
    layer: &ImageLayer,
    sender: &SyncSender<Message>,
    empty: &Receiver<Vec<u8>>,
) -> Result<(), Stop> {
    let mut tar = decoder(layer.encoding.compression(), blob).map_err(Stop::Failed)?;
    loop {
        let mut block = empty.try_recv().unwrap_or_default();
        block.resize(BLOCK, 0);
        let filled = fill(&mut tar, &mut block).map_err(Stop::Failed)?;
        if filled == 0 {
            return Ok(());
        }
        block.truncate(filled);
        sender.send(Ok(block)).map_err(|_| Stop::ReaderGone)?;
    }
}

/// Reads until the block is full or the input ends, and says how much that was.
fn fill(input: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match input.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
