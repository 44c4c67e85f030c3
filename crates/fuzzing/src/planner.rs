//! The planner.

use std::io;
use std::io::Read;
use std::num::NonZeroUsize;
use std::sync::Arc;

use pinfold_archive::Content;
use pinfold_archive::Contents;
use pinfold_archive::deflate::Blocks;
use pinfold_archive::deflate::Decoder;
use pinfold_archive::deflate::DeflateSources;
use pinfold_archive::deflate::Recorder;
use pinfold_archive::encode::Encoding;
use pinfold_archive::encode::Reuse;
use pinfold_archive::encode::encode;
use pinfold_archive::tar::Piece;
use pinfold_base::Digest;
use pinfold_base::ImagePath;

/// The planner: any bytes as a gzip archive, and any range of what it decodes to as a file. The layer must decode to that range, for any number of threads. The first eight bytes choose the range.
pub fn planner(data: &[u8]) {
    let Some((choice, compressed)) = data.split_first_chunk::<8>() else { return };
    // The checksum of a fuzzed stream is never right, so streams are bare; positions start behind the choice.
    let mut recorder = Recorder::new(Decoder::bare(compressed, 0));
    let mut decoded = Vec::new();
    if recorder.by_ref().take(LIMIT).read_to_end(&mut decoded).is_err() || decoded.len() as u64 == LIMIT {
        return;
    }
    let len = decoded.len() as u64;
    let archive = Archive { compressed, decoded, blocks: Arc::new(recorder.finish()) };
    let [start, tail] = [&choice[..4], &choice[4..]]
        .map(|bytes| bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)));
    let offset = start % (len + 1);
    let size = len - offset - (tail % 40_000).min(len - offset);
    let content = Content::Range { archive: Digest::sha256(compressed), offset, size };
    let path = ImagePath::new("file").expect("a path");
    let encoding = Encoding::Gzip { level: 1, reuse: Reuse::Publisher };
    let blob = |threads| {
        let pieces = [Ok(Piece::Bytes(vec![7; 512])), Ok(Piece::File { path: &path, content: &content })];
        let mut blob = Vec::new();
        let threads = NonZeroUsize::new(threads).expect("not zero");
        encode(pieces, &archive, &archive, &encoding, threads, &mut blob).expect("encoded");
        blob
    };
    let layer = blob(1);
    assert!(layer == blob(3));
    let mut tar = Vec::new();
    flate2::bufread::GzDecoder::new(&layer[..]).read_to_end(&mut tar).expect("decoded");
    assert!(
        tar[..512] == [7; 512] && tar[512..] == archive.decoded[offset as usize..(offset + size) as usize]
    );
}

const LIMIT: u64 = 4 << 20;

struct Archive<'a> {
    compressed: &'a [u8],
    decoded: Vec<u8>,
    blocks: Arc<Blocks>,
}

impl Contents for Archive<'_> {
    fn open<'a>(&'a self, content: &'a Content) -> io::Result<Box<dyn Read + Send + 'a>> {
        let Content::Range { offset, size, .. } = content else { return Err(io::ErrorKind::NotFound.into()) };
        Ok(Box::new(&self.decoded[*offset as usize..(*offset + *size) as usize]))
    }
}

impl DeflateSources for Archive<'_> {
    fn blocks(&self, _: &Digest) -> io::Result<Option<Arc<Blocks>>> {
        Ok(Some(self.blocks.clone()))
    }

    fn read_at(&self, _: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.copy_from_slice(&self.compressed[offset as usize..offset as usize + buffer.len()]);
        Ok(())
    }
}
