use std::io::Read;

use flate2::Decompress;
use flate2::FlushCompress;
use miniz_oxide::deflate::core::CompressionStrategy;
use proptest::prelude::*;

use super::samples::Bits;
use super::samples::Encoder;
use super::samples::Random;
use super::samples::deflate;
use super::samples::member;
use super::samples::miniz;
use super::samples::noise;
use super::samples::text;
use super::samples::zlib;
use super::*;

/// Gives at most so many bytes at a time.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = buffer.len().min(self.1).min(self.0.len());
        buffer[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

type Decoded = (Vec<u8>, Vec<Block>);

fn run(decoder: Decoder<impl Read>) -> Result<Decoded, InflateError> {
    let (mut bytes, mut blocks) = (Vec::new(), Vec::new());
    let total = decoder.run(
        |block| blocks.push(block.clone()),
        |piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, InflateError>(())
        },
    )?;
    assert_eq!(total, bytes.len() as u64);
    Ok((bytes, blocks))
}

fn bare(stream: &[u8]) -> Result<Decoded, InflateError> {
    run(Decoder::bare(stream, 0))
}

fn gzip(file: &[u8]) -> Result<Decoded, InflateError> {
    run(Decoder::gzip(file))
}

/// The foreign decoders and this one must agree on a bare stream: refused, or the same bytes and the same end.
fn agree(stream: &[u8]) -> Option<Decoded> {
    let expected = zlib(stream, Decompress::new(false));
    let actual = bare(stream);
    match (&expected, &actual) {
        (None, Err(_)) => {}
        (Some((bytes, end)), Ok((own, blocks))) => {
            assert!(bytes == own, "the bytes differ");
            let last = blocks.last().unwrap();
            assert_eq!((last.bits.end.div_ceil(8), last.last), (*end as u64, true));
            assert_eq!(miniz(stream).as_ref(), Some(own), "miniz_oxide differs");
        }
        _ => panic!("zlib accepts: {}, here: {:?}", expected.is_some(), actual.map(|(bytes, _)| bytes.len())),
    }
    actual.ok()
}

/// Blocks must join without a gap and cover the output; and a stream cut behind any of them and closed with an empty
/// final block must decode, for zlib-rs, to the output up to there.
fn check_blocks(stream: &[u8], bytes: &[u8], blocks: &[Block]) {
    let (mut bit, mut output) = (0, 0);
    for (index, block) in blocks.iter().enumerate() {
        assert_eq!((block.bits.start, block.output.start), (bit, output));
        (bit, output) = (block.bits.end, block.output.end);
        assert_eq!(block.last, index + 1 == blocks.len());
        let end = usize::try_from(output).unwrap();
        assert_eq!(block.crc, crc32fast::hash(&bytes[..end]));
        if index % blocks.len().div_ceil(20) == 0 {
            let mut cut = Bits::default();
            for byte in &stream[..usize::try_from(bit / 8).unwrap()] {
                cut.put(u64::from(*byte), 8);
            }
            if bit % 8 != 0 {
                cut.put(u64::from(stream[cut.bytes.len()]), usize::try_from(bit % 8).unwrap());
            }
            let final_bit = usize::try_from(block.bits.start).unwrap();
            cut.bytes[final_bit / 8] &= !(1 << (final_bit % 8));
            cut.put(0b011, 3).put(0, 7);
            assert_eq!(
                zlib(&cut.bytes, Decompress::new(false)).map(|(bytes, _)| bytes).as_deref(),
                Some(&bytes[..end])
            );
        }
    }
    assert_eq!(output, bytes.len() as u64);
}

const STRATEGIES: [CompressionStrategy; 5] = [
    CompressionStrategy::Default,
    CompressionStrategy::Filtered,
    CompressionStrategy::HuffmanOnly,
    CompressionStrategy::RLE,
    CompressionStrategy::Fixed,
];

const FLUSHES: [FlushCompress; 4] =
    [FlushCompress::None, FlushCompress::Partial, FlushCompress::Sync, FlushCompress::Full];

fn encoders() -> impl Strategy<Value = Encoder> {
    prop_oneof![
        (0_u32..=9, prop::sample::select(&FLUSHES[..]), 1_usize..200_000)
            .prop_map(|(level, flush, every)| Encoder::Zlib(level, flush, every.max(300))),
        (0_i32..=10, prop::sample::select(&STRATEGIES[..]))
            .prop_map(|(level, strategy)| Encoder::Miniz(level, strategy)),
    ]
}

/// Content of every density: text, noise, runs, copies from exactly the furthest distance.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        (0_usize..100_000, any::<u64>()).prop_map(|(len, seed)| text(len, seed)),
        (0_usize..70_000, any::<u64>()).prop_map(|(len, seed)| noise(len, seed)),
        (0_usize..400_000, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        (1_usize..300, 1_usize..2000, any::<u64>())
            .prop_map(|(len, times, seed)| noise(len, seed).repeat(times.min(90_000 / len))),
        any::<u64>().prop_map(|seed| noise(32 << 10, seed).repeat(2)),
    ];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]

    #[test]
    fn streams_of_two_encoders_decode_and_their_blocks_are_right(bytes in contents(), encoder in encoders()) {
        let stream = deflate(&bytes, encoder);
        let (decoded, blocks) = agree(&stream).unwrap();
        prop_assert!(decoded == bytes);
        check_blocks(&stream, &bytes, &blocks);
    }

    #[test]
    fn the_reader_s_cuts_do_not_matter(bytes in contents(), encoder in encoders(), drip in 1_usize..100) {
        let file = member(&deflate(&bytes, encoder), &bytes);
        let whole = gzip(&file).unwrap();
        prop_assert!(whole.0 == bytes);
        prop_assert!(run(Decoder::gzip(Drip(&file, drip))).unwrap() == whole);
        let mut read = Vec::new();
        Decoder::gzip(Drip(&file, 7000)).read_to_end(&mut read).unwrap();
        prop_assert!(read == bytes);
        let mut recorder = Recorder::new(Decoder::gzip(&file[..]));
        read.clear();
        recorder.read_to_end(&mut read).unwrap();
        prop_assert!(read == bytes && recorder.finish().all() == whole.1);
    }

    #[test]
    fn members_are_one_file(parts in prop::collection::vec((contents(), encoders()), 1..4), zeros in 0_usize..600) {
        let (mut file, mut bytes) = (Vec::new(), Vec::new());
        for (part, encoder) in &parts {
            file.extend(member(&deflate(part, *encoder), part));
            bytes.extend_from_slice(part);
        }
        file.resize(file.len() + zeros, 0);
        let (decoded, blocks) = gzip(&file).unwrap();
        prop_assert!(decoded == bytes);
        let blocks = Blocks::new(blocks).unwrap();
        prop_assert_eq!(blocks.all().iter().filter(|block| block.last).count(), parts.len());
        prop_assert_eq!((0..blocks.all().len()).filter(|&index| blocks.opens(index)).count(), parts.len());
        prop_assert!(Blocks::parse(&blocks.to_bytes()).unwrap() == blocks);
    }

    #[test]
    fn damaged_streams_get_the_same_verdict(
        bytes in contents(),
        encoder in encoders(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..4),
        front in any::<bool>(),
    ) {
        let mut stream = deflate(&bytes, encoder);
        // Damage near the front hits the headers of blocks.
        let reach = if front { stream.len().min(120) } else { stream.len() };
        for (at, bit) in damage {
            stream[at.index(reach)] ^= 1 << bit;
        }
        agree(&stream);
    }

    #[test]
    fn truncated_streams_are_refused(bytes in contents(), encoder in encoders(), at in any::<prop::sample::Index>()) {
        let mut stream = deflate(&bytes, encoder);
        stream.truncate(at.index(stream.len()));
        prop_assert!(agree(&stream).is_none());
    }

    #[test]
    fn any_bytes_get_the_same_verdict(mut bytes in prop::collection::vec(any::<u8>(), 0..2000), kind in 0_u8..4) {
        // Blocks of each kind, and mostly not the final one.
        if let Some(first) = bytes.first_mut() {
            *first = *first & !6 | kind << 1;
        }
        agree(&bytes);
    }

    #[test]
    fn code_lengths_of_every_sort_get_the_same_verdict(
        code in prop::collection::vec(0_u8..5, 19),
        seed in any::<u64>(),
        counts in (257_u64..=288, 1_u64..=32),
        complete in any::<bool>(),
    ) {
        let mut random = Random(seed | 1);
        let mut lengths = [0; 19];
        lengths.copy_from_slice(&code);
        if complete {
            // A complete code of 16 symbols of 4 bits: every damage is then further behind.
            lengths = [4; 19];
            (lengths[12], lengths[13], lengths[14]) = (0, 0, 0);
        }
        let symbols: Vec<_> = (0..random.next() % 330)
            .map(|_| match random.next() % 16 {
                0 => (16, random.next()),
                1 => (17, random.next()),
                2 => (18, random.next()),
                _ => (if random.next().is_multiple_of(8) { random.next() % 12 } else { 8 + random.next() % 2 }, 0),
            })
            .collect();
        let mut bits = Bits::default();
        bits.put(0b101, 3).dynamic(counts, lengths, &symbols);
        for _ in 0..40 {
            bits.put(random.next(), 32);
        }
        agree(&bits.bytes);
    }

    #[test]
    fn damaged_gzip_frames_get_zlib_s_verdict(
        flags in any::<u8>(),
        head in prop::collection::vec(any::<u8>(), 40),
        damage in prop::option::of((0_usize..40, any::<u8>())),
    ) {
        let bytes = text(50, 3);
        let mut file = vec![0x1f, 0x8b, 8, flags & 0x1f, 1, 2, 3, 4, 0, 3];
        if flags & 4 != 0 {
            file.extend_from_slice(&[5, 0, 1, 2, 3, 4, 5]);
        }
        for bit in [8, 16] {
            if flags & bit != 0 {
                file.extend(head.iter().map(|byte| byte | 1).take(5));
                file.push(0);
            }
        }
        if flags & 2 != 0 {
            let crc = crc32fast::hash(&file) as u16;
            file.extend_from_slice(&crc.to_le_bytes());
        }
        file.extend_from_slice(&member(&deflate(&bytes, Encoder::Zlib(6, FlushCompress::None, 1000)), &bytes)[10..]);
        if let Some((at, value)) = damage {
            file[at] = value;
        }
        let expected = zlib(&file, Decompress::new_gzip(15)).filter(|(_, end)| *end == file.len());
        let actual = gzip(&file);
        prop_assert_eq!(expected.is_some(), actual.is_ok(), "{:?}", actual);
    }
}

/// Streams that break one rule each, and the message; zlib-rs must refuse them too (`agree`).
#[test]
fn hostile_streams_are_refused_as_zlib_refuses_them() {
    let stream = |build: &dyn for<'a> Fn(&'a mut Bits) -> &'a mut Bits| {
        let mut bits = Bits::default();
        build(&mut bits);
        bits.align().put(0, 64);
        bits.bytes
    };
    // A code-length code with three symbols: 0 (1 bit), 1 and 18 (2 bits).
    let mut lengths = [0; 19];
    (lengths[0], lengths[1], lengths[18]) = (1, 2, 2);
    let single = |symbol: usize| {
        let mut lengths = [0; 19];
        lengths[symbol] = 1;
        lengths
    };
    // 256 zeros by two repeats.
    const ZEROS: [(u64, u64); 2] = [(18, 127), (18, 107)];
    // Literals without a code but for 255 and end-of-block with one bit each; one distance of one bit.
    let minimal: Vec<(u64, u64)> = [&[(18, 127), (18, 106)][..], &[(1, 0), (1, 0), (1, 0)][..]].concat();

    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("reserved type 3", stream(&|b| b.put(0b111, 3))),
        ("does not match its complement", stream(&|b| b.put(0b001, 3).align().put(5, 16).put(5, 16))),
        ("too many length or distance", stream(&|b| b.put(0b101, 3).dynamic((287, 1), lengths, &[]))),
        ("too many length or distance", stream(&|b| b.put(0b101, 3).dynamic((257, 31), lengths, &[]))),
        // Nineteen codes of one bit.
        ("code lengths is over-subscribed", stream(&|b| b.put(0b101, 3).dynamic((257, 1), [1; 19], &[]))),
        // One code of one bit is incomplete, and not let through here.
        ("code lengths is over-subscribed", stream(&|b| b.put(0b101, 3).dynamic((257, 1), single(1), &[]))),
        ("code lengths is over-subscribed", stream(&|b| b.put(0b101, 3).dynamic((257, 1), [0; 19], &[]))),
        ("there is none before it", {
            let mut lengths = lengths;
            (lengths[18], lengths[16]) = (0, 2);
            stream(&|b| b.put(0b101, 3).dynamic((257, 1), lengths, &[(16, 0)]))
        }),
        ("runs over the last code", {
            stream(&|b| b.put(0b101, 3).dynamic((257, 1), lengths, &[(18, 127), (18, 127)]))
        }),
        ("no end-of-block code", {
            let symbols = [&ZEROS[..], &[(0, 0), (1, 0)]].concat();
            stream(&|b| b.put(0b101, 3).dynamic((257, 1), lengths, &symbols))
        }),
        // Three literals of one bit.
        ("literals and lengths is over-subscribed", {
            let symbols = [&[(1, 0), (1, 0), (18, 127), (18, 105)][..], &[(1, 0), (1, 0), (0, 0)]].concat();
            stream(&|b| b.put(0b101, 3).dynamic((258, 1), lengths, &symbols))
        }),
        // Only end-of-block, but with two bits.
        ("literals and lengths is over-subscribed or incomplete", {
            let mut lengths = lengths;
            (lengths[1], lengths[2]) = (0, 2);
            let symbols = [&ZEROS[..], &[(2, 0), (0, 0)]].concat();
            stream(&|b| b.put(0b101, 3).dynamic((257, 1), lengths, &symbols))
        }),
        ("code of distances is over-subscribed", {
            let symbols = [&ZEROS[..], &[(1, 0), (1, 0), (1, 0), (1, 0)]].concat();
            stream(&|b| b.put(0b101, 3).dynamic((257, 3), lengths, &symbols))
        }),
        // End-of-block is the only code, `0`; then comes `1`.
        ("a length code has no meaning", {
            let symbols = [&ZEROS[..], &[(1, 0), (0, 0)]].concat();
            stream(&|b| b.put(0b101, 3).dynamic((257, 1), lengths, &symbols).put(1, 1))
        }),
        // Length 286 and 287 of the fixed code.
        ("a length code has no meaning", stream(&|b| b.put(0b011, 3).fixed(65).fixed(286))),
        ("a length code has no meaning", stream(&|b| b.put(0b011, 3).fixed(65).fixed(287))),
        // Distance codes 30 and 31 of the fixed code.
        ("a distance code has no meaning", stream(&|b| b.put(0b011, 3).fixed(65).fixed(257).code(30, 5))),
        ("a distance code has no meaning", stream(&|b| b.put(0b011, 3).fixed(65).fixed(257).code(31, 5))),
        ("before the start of the stream", stream(&|b| b.put(0b011, 3).fixed(65).fixed(257).code(1, 5))),
        ("before the start of the stream", stream(&|b| b.put(0b011, 3).fixed(257).code(0, 5))),
        ("cut short", {
            let mut bits = Bits::default();
            bits.put(0b101, 3).dynamic((257, 1), lengths, &minimal[..minimal.len() - 1]);
            bits.bytes
        }),
        ("cut short", Vec::new()),
        ("cut short", vec![0b001, 5, 0, 0xfa, 0xff, 1, 2]),
    ];
    for (message, bytes) in cases {
        let error = bare(&bytes).expect_err(message).to_string();
        assert!(error.contains(message), "`{error}` where `{message}` is expected");
        assert!(agree(&bytes).is_none());
    }
}

/// The same pieces put together rightly are accepted: a control for the test above.
#[test]
fn the_edges_of_the_rules_are_accepted() {
    let mut lengths = [0; 19];
    (lengths[0], lengths[1], lengths[18]) = (1, 2, 2);
    let end_only = [(18, 127), (18, 107), (1, 0), (0, 0)];
    let mut bits = Bits::default();
    // A single code of one bit, and no code for distances at all.
    bits.put(0b100, 3).dynamic((257, 1), lengths, &end_only).put(0, 1);
    // The empty fixed block, the empty stored block, a match from the first byte on, length 258 in both spellings.
    bits.put(0b010, 3).fixed(256).put(0, 3).align().put(0xffff_0000, 32);
    bits.put(0b011, 3).fixed(65).fixed(257).code(0, 5).fixed(285).code(0, 5).fixed(284).put(31, 5).code(0, 5);
    bits.fixed(256);
    let (bytes, blocks) = agree(&bits.bytes).unwrap();
    assert_eq!(bytes, [b'A'; 1 + 3 + 258 + 258]);
    assert_eq!(
        blocks.iter().map(|block| (block.kind, block.last)).collect::<Vec<_>>(),
        [
            (BlockKind::Dynamic, false),
            (BlockKind::Fixed, false),
            (BlockKind::Stored, false),
            (BlockKind::Fixed, true)
        ]
    );
}

/// A member cannot reach into the one before it, though both lie in the same window.
#[test]
fn distances_do_not_cross_members() {
    let mut bits = Bits::default();
    bits.put(0b011, 3).fixed(257).code(0, 5).fixed(256);
    let file = [
        member(&deflate(b"abc", Encoder::Zlib(6, FlushCompress::None, 9)), b"abc"),
        member(&bits.bytes, b"ccc"),
    ];
    let error = gzip(&file.concat()).unwrap_err().to_string();
    assert!(error.contains("before the start of the stream"), "{error}");
}

/// The furthest distance, 32768, is within reach at any place of the window; one byte further is not.
#[test]
fn the_furthest_distance_is_reached_everywhere() {
    for blocks in [1, 9, 21] {
        let mut bits = Bits::default();
        let bytes = noise(32_768, 5);
        let stored = |bits: &mut Bits, bytes: &[u8]| {
            bits.put(0, 3).align().put(bytes.len() as u64, 16).put(!bytes.len() as u64, 16);
            for byte in bytes {
                bits.put(u64::from(*byte), 8);
            }
        };
        for _ in 0..blocks {
            stored(&mut bits, &bytes);
        }
        // Distance code 29 with all extra bits set.
        bits.put(0b011, 3).fixed(285).code(29, 5).put(0x1fff, 13).fixed(256);
        let (decoded, _) = agree(&bits.bytes).unwrap();
        assert_eq!(&decoded[32_768 * blocks..], &bytes[..258]);
    }
    let mut bits = Bits::default();
    bits.put(0b011, 3).fixed(65).fixed(285).code(29, 5).put(0x1fff, 13).fixed(256);
    assert!(agree(&bits.bytes).is_none());
}

#[test]
fn what_stands_behind_the_last_member() {
    let file = member(&deflate(b"abc", Encoder::Zlib(6, FlushCompress::None, 9)), b"abc");
    let with = |tail: &[u8]| {
        gzip(&[&file[..], tail].concat()).map(|(bytes, _)| bytes).map_err(|error| error.to_string())
    };
    assert_eq!(with(b""), Ok(b"abc".to_vec()));
    assert_eq!(with(&[0; 10_240]), Ok(b"abc".to_vec()));
    assert!(with(b"x").unwrap_err().contains("no gzip member"));
    assert!(with(&[0x1f, 0x8b]).unwrap_err().contains("cut short"));
    assert!(with(&[0, 0, 0x1f, 0x8b]).unwrap_err().contains("behind the zero padding"));
}

#[test]
fn checksum_and_size_are_checked() {
    let file = member(&deflate(b"abc", Encoder::Zlib(6, FlushCompress::None, 9)), b"abc");
    for (from_end, wrong) in [(8, "CRC-32"), (4, "bytes (modulo 2^32)")] {
        let mut file = file.clone();
        let at = file.len() - from_end;
        file[at] ^= 1;
        assert!(gzip(&file).unwrap_err().to_string().contains(wrong));
    }
}

/// Memory stays bounded when a source is nothing but empty blocks: they are reported in parts.
#[test]
fn empty_blocks_are_reported_in_parts() {
    let mut bits = Bits::default();
    for _ in 0..10_000 {
        bits.put(0b010, 3).fixed(256);
    }
    bits.put(0b011, 3).fixed(256);
    let mut decoder = Decoder::bare(&bits.bytes[..], 0);
    let mut counts = Vec::new();
    while let Some(piece) = decoder.piece().unwrap() {
        assert!(piece.is_empty());
        counts.push(decoder.blocks().len());
    }
    assert_eq!(counts, [4096, 4096, 1809]);
}

#[test]
fn an_offset_moves_all_positions() {
    let stream = deflate(&text(90_000, 1), Encoder::Zlib(6, FlushCompress::Sync, 20_000));
    let (_, plain) = bare(&stream).unwrap();
    let (_, moved) = run(Decoder::bare(&stream[..], 1000)).unwrap();
    assert_eq!(moved.len(), plain.len());
    for (moved, plain) in moved.iter().zip(&plain) {
        assert_eq!(moved.bits, plain.bits.start + 8000..plain.bits.end + 8000);
    }
}

#[test]
fn damaged_lists_of_blocks_are_refused() {
    let stream = deflate(&text(90_000, 1), Encoder::Zlib(6, FlushCompress::Sync, 20_000));
    let good = Blocks::new(bare(&stream).unwrap().1).unwrap().to_bytes();
    assert!(Blocks::parse(&good).is_ok());
    for len in 0..good.len() {
        assert!(Blocks::parse(&good[..len]).is_err());
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert!(Blocks::parse(&bad).is_err());
    }
    // Behind a right checksum the content is checked too.
    let sealed = |content: &[u8]| {
        let bytes = [b"pinfold blocks 1\n", content].concat();
        Blocks::parse(&[&bytes[..], Digest::sha256(&bytes).bytes()].concat())
            .map_err(|error| error.to_string())
    };
    let crc = [0; 4];
    assert!(sealed(&[0]).is_ok());
    assert!(sealed(&[0, 0]).unwrap_err().contains("behind its end"));
    assert!(sealed(&[0xff, 0xff, 0xff, 0xff, 1]).unwrap_err().contains("too many blocks"));
    let block = |content: &[u8]| sealed(&[&[1], content, &crc].concat());
    assert!(block(&[0x41, 0, 0, 9]).is_ok());
    assert!(block(&[0x43, 7, 5, 9]).is_ok());
    assert!(block(&[0x40, 0]).unwrap_err().contains("wrong place"));
    assert!(block(&[0x4d, 0, 0, 0]).unwrap_err().contains("unknown kind"));
    assert!(block(&[&[0x41, 0, 0][..], &[0xff; 8], &[0x7f]].concat()).unwrap_err().contains("too large"));
    assert!(block(&[&[0x41][..], &[0xff; 10]].concat()).unwrap_err().contains("too large"));
    assert!(
        sealed(&[2, 0x43, 0, 0, 9, 0, 0, 0, 0, 0x41, 0, 8, 1, 0, 0, 0, 0])
            .unwrap_err()
            .contains("begins before")
    );
    assert!(sealed(&[2, 0x43, 0, 0, 9, 0, 0, 0, 0, 0x41, 0, 12, 1, 0, 0, 0, 0]).is_ok());
}
