use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::deflate::NoSources;
use crate::deflate::samples::noise;
use crate::deflate::samples::text;
use crate::tree::InlineOnly;

const GZIP: Encoding = Encoding::Gzip { level: 6, reuse: Reuse::Never };
const ZSTD: Encoding = Encoding::Zstd { level: 3 };

fn threads(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap()
}

/// Encodes bytes that come in pieces of `cut`.
fn encode_bytes(bytes: &[u8], cut: usize, encoding: Encoding, n: usize) -> (Encoded, Vec<u8>) {
    let pieces = bytes.chunks(cut).map(|chunk| Ok(Piece::Bytes(chunk.to_vec())));
    let mut out = Vec::new();
    let encoded = encode(pieces, &InlineOnly, &NoSources, &encoding, threads(n), &mut out).unwrap();
    assert_eq!(encoded.diff_id, Digest::sha256(bytes));
    assert_eq!(encoded.digest, Digest::sha256(&out));
    assert_eq!((encoded.uncompressed, encoded.size), (bytes.len() as u64, out.len() as u64));
    (encoded, out)
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut decoder = flate2::bufread::GzDecoder::new(bytes);
    let mut out = Vec::new();
    decoder.read_to_end(&mut out).unwrap();
    // One member, and nothing behind it.
    assert!(decoder.into_inner().is_empty());
    out
}

fn decode(blob: &[u8], encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::None => blob.to_vec(),
        Encoding::Gzip { .. } => gunzip(blob),
        Encoding::Zstd { .. } => zstd::decode_all(blob).unwrap(),
    }
}

/// Text, noise and zeros over many segments of both sizes.
fn sample() -> Vec<u8> {
    [text(6_500_000, 7), noise(1_500_000, 8), vec![0; 2_000_000], text(100, 9)].concat()
}

/// Recorded digests: a layer must never become another one without the encoder's name changing. When an encoder is
/// raised and these move, `Encoding::id` must move too. What they stand for is decoded below, by other programs in
/// `tests/decoders.rs`.
#[test]
fn golden_digests() {
    let sample = sample();
    let digest = |encoding| {
        let (encoded, blob) = encode_bytes(&sample, 50_000, encoding, 2);
        assert!(decode(&blob, encoding) == sample);
        format!("{} {} {}", encoding.id(), encoded.size, encoded.digest)
    };
    let gzip = |level| Encoding::Gzip { level, reuse: Reuse::Never };
    let digests = [
        digest(Encoding::None),
        digest(gzip(1)),
        digest(gzip(6)),
        digest(gzip(9)),
        digest(ZSTD),
        digest(Encoding::Zstd { level: 9 }),
    ];
    insta::assert_snapshot!(digests.join("\n"), @"
    none 10000100 sha256:3559e7ada1205d5021f98669232c3426051546197a14be55d561488a4f0cf948
    gzip-1/zlib-rs-0.6.8/segment-1048576/reuse-never 6506192 sha256:4b79c7f96e5ae60fd19a2a00403c120a194af8b5ae0de47f0d30ce2b34cf4e87
    gzip-6/zlib-rs-0.6.8/segment-1048576/reuse-never 4655629 sha256:b08eb4dfbcaca905dd409c8489af196b713d7e564ce2cc7ac714e9001fec5f2c
    gzip-9/zlib-rs-0.6.8/segment-1048576/reuse-never 4679759 sha256:0bbd7dec85932948745d435a91982f08742939bb788fcb19d4a39877309c7e7d
    zstd-3/zstd-1.5.7/segment-4194304 4730229 sha256:109c54482e0e28f8e283b80633b8b26840fae949e82b0d1fbd2719ebdf4ebcd6
    zstd-9/zstd-1.5.7/segment-4194304 4537651 sha256:8ad5ba6a9bb7bc09d82e75a19425d7d01c7aa1c84f7c1d1fe3c300163ac96cd4
    ");
}

#[test]
fn ids_name_everything_that_decides_the_bytes() {
    assert_eq!(
        Encoding::Gzip { level: 6, reuse: Reuse::Publisher }.id(),
        "gzip-6/zlib-rs-0.6.8/segment-1048576/reuse-1"
    );
    assert_eq!(GZIP.id(), "gzip-6/zlib-rs-0.6.8/segment-1048576/reuse-never");
    assert_eq!(ZSTD.id(), "zstd-3/zstd-1.5.7/segment-4194304");
    assert_eq!(Encoding::None.id(), "none");
    // The name is a constant; what is compiled in is what the lock file of cargo says.
    let lock = include_str!("../../../../Cargo.lock");
    assert!(lock.contains("name = \"zlib-rs\"\nversion = \"0.6.8\"\n"));
}

#[test]
fn the_empty_layer() {
    for encoding in [Encoding::None, GZIP, ZSTD] {
        assert_eq!(decode(&encode_bytes(b"", 1, encoding, 1).1, encoding), b"");
    }
}

/// RFC 1952, section 2.3.1, and design: no time, no name, unknown system.
#[test]
fn the_header_says_nothing_about_the_machine() {
    let (_, blob) = encode_bytes(b"x", 1, GZIP, 1);
    assert_eq!(blob[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
}

/// A segment depends on nothing before it: its compressed bytes are found again behind another segment.
#[test]
fn segments_stand_alone() {
    let (first, second, tail) = (text(gzip::SEGMENT, 1), text(gzip::SEGMENT, 2), text(1000, 3));
    let (_, one) = encode_bytes(&[&first[..], &tail].concat(), 70_000, GZIP, 1);
    let (_, two) = encode_bytes(&[&second[..], &tail].concat(), 70_000, GZIP, 1);
    // Without the last block and the trailer, the ends are the same segment.
    let ends = |blob: &[u8]| blob[blob.len() - 10 - 300..blob.len() - 8].to_vec();
    assert_eq!(ends(&one), ends(&two));
}

#[test]
fn levels_that_do_not_exist_are_refused() {
    for encoding in [
        Encoding::Gzip { level: 0, reuse: Reuse::Never },
        Encoding::Gzip { level: 10, reuse: Reuse::Never },
        Encoding::Zstd { level: 0 },
        Encoding::Zstd { level: 23 },
    ] {
        let none: [Result<Piece<'_>, TarError>; 0] = [];
        let error = encode(none, &InlineOnly, &NoSources, &encoding, threads(1), io::sink()).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
    }
}

/// Fails after so many bytes, as a full disk does.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_stops_everything_and_is_named() {
    let sample = sample();
    for room in [0, 5, 700_000, 2_000_000] {
        for encoding in [Encoding::None, GZIP, ZSTD] {
            let pieces = sample.chunks(100_000).map(|chunk| Ok(Piece::Bytes(chunk.to_vec())));
            let error =
                encode(pieces, &InlineOnly, &NoSources, &encoding, threads(3), Full(room)).unwrap_err();
            assert!(matches!(&error, EncodeError::Output(io) if io.kind() == io::ErrorKind::StorageFull));
            assert!(error.hint().unwrap().contains("pinfold gc"));
        }
    }
}

#[test]
fn an_error_of_the_tar_is_passed_on() {
    let broken = || TarError::Truncated { offset: 7 };
    let pieces = [Ok(Piece::Bytes(text(3_000_000, 1))), Err(broken()), Ok(Piece::Bytes(vec![0]))];
    let error = encode(pieces, &InlineOnly, &NoSources, &GZIP, threads(2), io::sink()).unwrap_err();
    assert!(matches!(error, EncodeError::Tar(TarError::Truncated { offset: 7 })));
}

#[test]
fn a_file_without_content_is_named() {
    let path = ImagePath::new("bin/x").unwrap();
    let content = Content::Range { archive: Digest::sha256(b""), offset: 0, size: 5 };
    let pieces = [Ok(Piece::File { path: &path, content: &content })];
    let error = encode(pieces, &InlineOnly, &NoSources, &GZIP, threads(2), io::sink()).unwrap_err();
    assert_eq!(error.to_string(), "failed to read the content of `/bin/x`");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn threads_and_cuts_do_not_matter(
        parts in prop::collection::vec((0_usize..1_500_000, any::<u64>(), any::<bool>()), 0..4),
        // Lengths close to whole segments.
        trim in prop::option::of(1_usize..4),
        cut in 1_000_usize..3_000_000,
        n in 2_usize..9,
    ) {
        let make = |(len, seed, dense)| if dense { noise(len, seed) } else { text(len, seed) };
        let mut bytes: Vec<u8> = parts.into_iter().flat_map(make).collect();
        if let Some(trim) = trim {
            bytes.resize(bytes.len() / gzip::SEGMENT * gzip::SEGMENT + trim - 1, 0);
        }
        for encoding in [Encoding::None, GZIP, Encoding::Gzip { level: 1, reuse: Reuse::Never }, ZSTD] {
            let (encoded, blob) = encode_bytes(&bytes, cut, encoding, n);
            prop_assert!(encode_bytes(&bytes, 65_537, encoding, 1) == (encoded, blob.clone()));
            prop_assert!(decode(&blob, encoding) == bytes);
        }
    }
}

/// What is compressed already stands in a gzip as it is, in blocks of at most 65,535 bytes; however it is cut, and by however many threads.
#[test]
fn what_is_dense_is_stored_in_a_gzip() {
    let (before, dense, after) = (text(100_000, 1), noise(2_500_000, 2), text(10, 3));
    let all = [&before[..], &dense, &after].concat();
    let made = |encoding: Encoding, cut: usize, n: usize| {
        let pieces = before.chunks(cut).map(|bytes| Ok(Piece::Bytes(bytes.to_vec())));
        let pieces = pieces.chain(dense.chunks(cut).map(|bytes| Ok(Piece::Dense(bytes.to_vec()))));
        let pieces = pieces.chain(std::iter::once(Ok(Piece::Bytes(after.clone()))));
        let mut out = Vec::new();
        let encoded = encode(pieces, &InlineOnly, &NoSources, &encoding, threads(n), &mut out).unwrap();
        assert_eq!((encoded.diff_id, encoded.digest), (Digest::sha256(&all), Digest::sha256(&out)));
        assert!(decode(&out, encoding) == all);
        out
    };
    let stored = made(GZIP, 1 << 20, 1);
    assert!(stored == made(GZIP, 4_097, 3));
    let holds = |blob: &[u8], part: &[u8]| memchr::memmem::find(blob, part).is_some();
    assert!(holds(&stored, &dense[..65_535]) && holds(&stored, &dense[(2 << 20) + 65_535..][..65_535]));
    assert!(!holds(&stored, &before[..65_535]), "the control");
    let compressed = encode_bytes(&before, 1 << 20, GZIP, 1).1.len();
    let blocks = [1 << 20, 1 << 20, dense.len() - (2 << 20)]
        .map(|part: usize| part.div_ceil(65_535))
        .iter()
        .sum::<usize>();
    let most = compressed + dense.len() + 5 * blocks + 64;
    assert!(stored.len() <= most, "{} of {most}", stored.len());
    // The others have no need of it.
    assert!(made(Encoding::None, 1_000, 2) == all);
    assert!(made(ZSTD, 1_000, 2) == encode_bytes(&all, 1 << 20, ZSTD, 1).1);
}
