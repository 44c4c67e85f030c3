//! Layers that copy blocks out of generated archives, read by three decoders.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::LazyLock;

use flate2::FlushCompress;
use miniz_oxide::deflate::core::CompressionStrategy;
use proptest::prelude::*;

use super::*;
use crate::deflate::Block;
use crate::deflate::Blocks;
use crate::deflate::Decoder;
use crate::deflate::InflateError;
use crate::deflate::samples::Bits;
use crate::deflate::samples::Encoder;
use crate::deflate::samples::deflate;
use crate::deflate::samples::member;
use crate::deflate::samples::miniz;
use crate::deflate::samples::noise;
use crate::deflate::samples::text;

const REUSE: Encoding = Encoding::Gzip { level: 6, reuse: Reuse::Publisher };
const PLAIN: Encoding = Encoding::Gzip { level: 6, reuse: Reuse::Never };
const ZLIB_9: Encoder = Encoder::Zlib(9, FlushCompress::None, usize::MAX);

static PATH: LazyLock<ImagePath> = LazyLock::new(|| ImagePath::new("usr/bin/agent").unwrap());

/// Compressed, decoded, and the blocks.
type Archive = (Vec<u8>, Vec<u8>, Arc<Blocks>);

/// Archives in memory. Contents are read in steps of `step` bytes.
struct Archives {
    archives: BTreeMap<Digest, Archive>,
    step: usize,
}

struct Steps<'a>(&'a [u8], usize);

impl Read for Steps<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = buffer.len().min(self.1).min(self.0.len());
        self.0.read(&mut buffer[..n])
    }
}

impl Contents for Archives {
    fn open<'a>(&'a self, content: &'a Content) -> io::Result<Box<dyn Read + Send + 'a>> {
        let Content::Range { archive, offset, size } = content else { unreachable!() };
        let decoded = &self.archives[archive].1;
        let range = usize::try_from(*offset).unwrap()..usize::try_from(offset + size).unwrap();
        Ok(Box::new(Steps(&decoded[range], self.step)))
    }
}

impl DeflateSources for Archives {
    fn blocks(&self, archive: &Digest) -> io::Result<Option<Arc<Blocks>>> {
        Ok(Some(self.archives[archive].2.clone()))
    }

    fn read_at(&self, archive: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.archives[archive].0[start..start + buffer.len()]);
        Ok(())
    }
}

fn blocks_of(file: &[u8]) -> Blocks {
    let mut blocks = Blocks::default();
    Decoder::gzip(file).run(|block| assert!(blocks.push(block)), |_| Ok::<_, InflateError>(())).unwrap();
    blocks
}

impl Archives {
    fn new() -> Self {
        Self { archives: BTreeMap::new(), step: 100_000 }
    }

    /// Adds an archive of `files`, each behind 512 bytes of header, in members of so many bytes.
    fn add(&mut self, files: &[Vec<u8>], encoder: Encoder, member_size: usize) -> Vec<Content> {
        let mut tar = Vec::new();
        let mut ranges = Vec::new();
        for (index, file) in files.iter().enumerate() {
            tar.extend(noise(512, index as u64 + 1));
            ranges.push((tar.len() as u64, file.len() as u64));
            tar.extend_from_slice(file);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        let compressed: Vec<u8> =
            tar.chunks(member_size).flat_map(|part| member(&deflate(part, encoder), part)).collect();
        let digest = self.insert(compressed, tar);
        ranges
            .into_iter()
            .map(|(offset, size)| Content::Range { archive: digest.clone(), offset, size })
            .collect()
    }

    fn insert(&mut self, compressed: Vec<u8>, decoded: Vec<u8>) -> Digest {
        let blocks = blocks_of(&compressed);
        self.insert_with(compressed, decoded, blocks)
    }

    fn insert_with(&mut self, compressed: Vec<u8>, decoded: Vec<u8>, blocks: Blocks) -> Digest {
        let digest = Digest::sha256(&compressed);
        self.archives.insert(digest.clone(), (compressed, decoded, Arc::new(blocks)));
        digest
    }

    /// The layer's tar: each file behind a header and before padding of its own.
    fn pieces<'a>(&self, files: &'a [Content]) -> (Vec<Piece<'a>>, Vec<u8>) {
        let (mut pieces, mut tar) = (Vec::new(), Vec::new());
        for (index, content) in files.iter().enumerate() {
            let header = text(512 + index * 7, 90 + index as u64);
            tar.extend_from_slice(&header);
            pieces.push(Piece::Bytes(header));
            self.open(content).unwrap().read_to_end(&mut tar).unwrap();
            pieces.push(Piece::File { path: &PATH, content });
            pieces.push(Piece::Bytes(vec![0; 100]));
            tar.resize(tar.len() + 100, 0);
        }
        (pieces, tar)
    }

    fn try_encode(
        &self,
        files: &[Content],
        encoding: Encoding,
        n: usize,
    ) -> Result<(Encoded, Vec<u8>), EncodeError> {
        let mut out = Vec::new();
        let threads = NonZeroUsize::new(n).unwrap();
        let pieces = self.pieces(files).0.into_iter().map(Ok);
        let encoded = encode(pieces, self, self, &encoding, threads, &mut out)?;
        assert_eq!((encoded.size, &encoded.digest), (out.len() as u64, &Digest::sha256(&out)));
        Ok((encoded, out))
    }

    /// Writes the layer and holds three decoders to it.
    fn encode(&self, files: &[Content], encoding: Encoding) -> (Encoded, Vec<u8>) {
        let (encoded, layer) = self.try_encode(files, encoding, 2).unwrap();
        let tar = self.pieces(files).1;
        assert_eq!((encoded.uncompressed, &encoded.diff_id), (tar.len() as u64, &Digest::sha256(&tar)));
        let mut bytes = Vec::new();
        let mut zlib = flate2::bufread::GzDecoder::new(&layer[..]);
        zlib.read_to_end(&mut bytes).unwrap();
        assert!(bytes == tar && zlib.into_inner().is_empty(), "zlib-rs reads something else");
        assert!(miniz(&layer[10..]).unwrap() == tar, "miniz_oxide reads something else");
        bytes.clear();
        Decoder::gzip(&layer[..]).read_to_end(&mut bytes).unwrap();
        assert!(bytes == tar, "the own decoder reads something else");
        (encoded, layer)
    }
}

fn encoders() -> impl Strategy<Value = Encoder> {
    let strategies = vec![
        CompressionStrategy::Default,
        CompressionStrategy::Filtered,
        CompressionStrategy::HuffmanOnly,
        CompressionStrategy::RLE,
        CompressionStrategy::Fixed,
    ];
    let flushes = vec![FlushCompress::None, FlushCompress::Partial, FlushCompress::Sync, FlushCompress::Full];
    prop_oneof![
        (0_u32..=9, prop::sample::select(flushes), 3_000_usize..200_000)
            .prop_map(|(level, flush, every)| Encoder::Zlib(level, flush, every)),
        (0_i32..=10, prop::sample::select(strategies))
            .prop_map(|(level, strategy)| Encoder::Miniz(level, strategy)),
    ]
}

/// Around every threshold, and of every density.
fn files() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let sizes = prop_oneof![
        Just(0_usize),
        (32_700_usize..32_800),
        (262_100_usize..262_200),
        (100_000_usize..900_000),
    ];
    let file = (sizes, any::<u64>(), 0_u8..5).prop_map(|(len, seed, kind)| match kind {
        0 => noise(len, seed),
        1 => vec![seed as u8; len],
        2 => [noise(len / 2, seed), text(len - len / 2, seed)].concat(),
        _ => text(len, seed),
    });
    prop::collection::vec(file, 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn layers_of_any_archive_are_read_by_three_decoders(
        files in files(),
        encoder in encoders(),
        member_size in prop_oneof![Just(usize::MAX), 20_000_usize..1_000_000],
        step in 1_000_usize..400_000,
    ) {
        let mut archives = Archives::new();
        let mut contents = archives.add(&files, encoder, member_size);
        // Any order: a run refers to nothing outside its file.
        contents.reverse();
        let (encoded, layer) = archives.encode(&contents, REUSE);
        archives.step = step;
        let (other, same) = archives.try_encode(&contents, REUSE, 5).unwrap();
        prop_assert!(layer == same && encoded == other);
        let (plain, _) = archives.try_encode(&contents, PLAIN, 1).unwrap();
        prop_assert_eq!((plain.diff_id, plain.reused), (encoded.diff_id, 0));
    }
}

#[test]
fn most_of_a_big_file_is_copied() {
    let mut archives = Archives::new();
    let files = archives.add(&[text(3_000_000, 1)], ZLIB_9, usize::MAX);
    let (encoded, layer) = archives.encode(&files, REUSE);
    assert!(encoded.reused * 100 > encoded.size * 93, "{encoded:?}");
    let (plain, _) = archives.encode(&files, PLAIN);
    assert_eq!((plain.reused, plain.diff_id), (0, encoded.diff_id));
    // What is copied stands in the layer as it stands in the archive.
    let archive = &archives.archives.values().next().unwrap().0;
    let middle = &archive[archive.len() / 2..archive.len() / 2 + 1000];
    assert!(layer.windows(1000).any(|window| window == middle));
}

#[test]
fn zstd_and_plain_layers_copy_nothing() {
    let mut archives = Archives::new();
    let files = archives.add(&[text(600_000, 1)], ZLIB_9, usize::MAX);
    let tar = archives.pieces(&files).1;
    for encoding in [Encoding::None, Encoding::Zstd { level: 3 }] {
        let (encoded, _) = archives.try_encode(&files, encoding, 2).unwrap();
        assert_eq!((encoded.reused, encoded.diff_id), (0, Digest::sha256(&tar)));
    }
}

/// Flushes of both kinds put boundaries on every bit of a byte; all eight must lead to the same content.
#[test]
fn every_phase_is_reached() {
    let mut phases = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let mut archives = Archives::new();
        let every = 40_000 + seed * 77;
        let files = archives.add(
            &[text(300_000, seed as u64)],
            Encoder::Zlib(6, FlushCompress::Partial, every),
            usize::MAX,
        );
        let blocks = archives.archives.values().next().unwrap().2.clone();
        let run = plan::run(&blocks, 512..300_512).unwrap();
        phases.insert(run.blocks[0].bits.start % 8);
        let (encoded, _) = archives.encode(&files, REUSE);
        assert!(encoded.reused > 0);
    }
    assert_eq!(phases.len(), 8);
}

/// A stored block's bytes are aligned: the reason for filling the phase instead of shifting bits. Compressed and stored
/// blocks alternate here, so that a shift by any number of bits would show.
#[test]
fn stored_blocks_inside_a_run_survive() {
    let mut archives = Archives::new();
    let file: Vec<u8> = (0..20).flat_map(|part| [text(40_000, part), noise(15_000, part)].concat()).collect();
    let files = archives.add(&[file], Encoder::Zlib(6, FlushCompress::Partial, 5_000), usize::MAX);
    let blocks = archives.archives.values().next().unwrap().2.clone();
    assert!(blocks.all().iter().any(|block| block.kind == crate::deflate::BlockKind::Stored));
    assert!(archives.encode(&files, REUSE).0.reused > 0);
}

/// Final blocks inside a file lose their mark, headers and trailers between members are left out.
#[test]
fn runs_go_on_through_members() {
    for size in [20_000, 65_536, 1 << 20] {
        let mut archives = Archives::new();
        let files = archives.add(&[text(2_500_000, 4)], ZLIB_9, size);
        let (encoded, layer) = archives.encode(&files, REUSE);
        assert!(encoded.reused * 100 > encoded.size * 90, "{encoded:?}");
        let finals = blocks_of(&layer);
        assert_eq!(finals.all().iter().filter(|block| block.last).count(), 1);
    }
}

/// Entries of a zip: bare streams, whose first block may be copied though the file begins there.
#[test]
fn whole_streams_are_copied_whole() {
    let (first, second) = (text(500_000, 1), text(400_000, 2));
    let mut compressed = b"local header".to_vec();
    let mut blocks = Blocks::default();
    let mut decoded = 0;
    for entry in [&first, &second] {
        let offset = compressed.len() as u64;
        let stream = deflate(entry, ZLIB_9);
        let keep = |block: &Block| assert!(blocks.push(&block.clone().behind(decoded)));
        Decoder::bare(&stream[..], offset).run(keep, |_| Ok::<_, InflateError>(())).unwrap();
        decoded += entry.len() as u64;
        compressed.extend(stream);
        compressed.extend_from_slice(b"another header");
    }
    assert_eq!(Blocks::parse(&blocks.to_bytes()).unwrap(), blocks);
    let mut archives = Archives::new();
    let archive = archives.insert_with(compressed.clone(), [first, second].concat(), blocks);
    let files = [(0, 500_000), (500_000, 400_000)].map(|(offset, size)| Content::Range {
        archive: archive.clone(),
        offset,
        size,
    });
    let (encoded, _) = archives.encode(&files, REUSE);
    // All but the two headers and the last byte of each stream.
    assert!(encoded.reused as usize + 12 + 14 + 14 + 2 >= compressed.len(), "{encoded:?}");
}

#[test]
fn what_is_not_worth_it_is_compressed_here() {
    let reused = |file: Vec<u8>, encoder, edit: fn(&mut Vec<u8>)| {
        let stream = deflate(&file, encoder);
        let mut compressed = member(&stream, &file);
        edit(&mut compressed);
        let mut archives = Archives::new();
        let size = file.len() as u64;
        let archive = archives.insert(compressed, file);
        archives.encode(&[Content::Range { archive, offset: 0, size }], REUSE).0.reused
    };
    let same: fn(&mut Vec<u8>) = |_| {};
    assert!(reused(text(262_144, 1), ZLIB_9, same) > 0);
    assert_eq!(reused(text(262_143, 1), ZLIB_9, same), 0);
    // XFL says that the fastest level was used.
    assert_eq!(reused(text(600_000, 1), ZLIB_9, |file| file[8] = 4), 0);
    // Stored, though it would compress.
    assert_eq!(reused(text(600_000, 1), Encoder::Zlib(0, FlushCompress::None, usize::MAX), same), 0);
    // A flush after each kilobyte.
    assert_eq!(reused(text(600_000, 1), Encoder::Zlib(9, FlushCompress::Full, 1000), same), 0);
}

/// One block of the whole file cannot be copied when it also holds the header before it.
#[test]
fn one_huge_block_is_compressed_here_or_copied_whole() {
    let mut bits = Bits::default();
    bits.put(0b011, 3).fixed(65);
    for _ in 0..3000 {
        bits.fixed(285).code(0, 5);
    }
    bits.fixed(256);
    let bytes = vec![b'A'; 1 + 3000 * 258];
    let mut archives = Archives::new();
    let archive = archives.insert(member(&bits.bytes, &bytes), bytes);
    let file = |offset, size| [Content::Range { archive: archive.clone(), offset, size }];
    assert_eq!(archives.encode(&file(1, 774_000), REUSE).0.reused, 0);
    assert!(archives.encode(&file(0, 774_001), REUSE).0.reused > 4000);
}

/// A cache whose decoded form and compressed archive have parted must not become a layer.
#[test]
fn damage_is_found() {
    let mut archives = Archives::new();
    let files = archives.add(&[text(600_000, 1)], ZLIB_9, usize::MAX);
    archives.archives.values_mut().next().unwrap().1[300_000] ^= 1;
    assert!(matches!(archives.try_encode(&files, REUSE, 2), Err(EncodeError::Mismatch { .. })));
}

#[test]
fn shorter_and_longer_contents_are_refused() {
    struct Wrong(Archives, u64);
    impl Contents for Wrong {
        fn open<'a>(&'a self, content: &'a Content) -> io::Result<Box<dyn Read + Send + 'a>> {
            let size = content.size();
            Ok(Box::new(self.0.open(content)?.take(size - 1).chain(io::repeat(1).take(self.1))))
        }
    }
    for (more, right) in [(0, false), (1, true), (2, false)] {
        for encoding in [REUSE, PLAIN] {
            let mut archives = Archives::new();
            // Ones, so that a repeated 1 at the end is the right content.
            let files =
                archives.add(&[vec![1; 300_000]], Encoder::Zlib(9, FlushCompress::Full, 50_000), usize::MAX);
            let wrong = Wrong(archives, more);
            let pieces = wrong.0.pieces(&files).0.into_iter().map(Ok);
            let result = encode(pieces, &wrong, &wrong.0, &encoding, NonZeroUsize::MIN, io::sink());
            assert_eq!(result.is_ok(), right);
            assert!(right || matches!(result, Err(EncodeError::Size { expected: 300_000, .. })));
        }
    }
}

#[test]
fn a_missing_archive_is_named() {
    let mut archives = Archives::new();
    let files = archives.add(&[text(600_000, 1)], ZLIB_9, usize::MAX);
    struct Gone(Archives);
    impl DeflateSources for Gone {
        fn blocks(&self, archive: &Digest) -> io::Result<Option<Arc<Blocks>>> {
            self.0.blocks(archive)
        }
        fn read_at(&self, _: &Digest, _: u64, _: &mut [u8]) -> io::Result<()> {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    let gone = Gone(archives);
    let pieces = gone.0.pieces(&files).0.into_iter().map(Ok);
    let error = encode(pieces, &gone.0, &gone, &REUSE, NonZeroUsize::MIN, io::sink()).unwrap_err();
    assert!(matches!(&error, EncodeError::Archive { .. }), "{error}");
    assert!(error.hint().unwrap().contains("pinfold fetch"));
}
