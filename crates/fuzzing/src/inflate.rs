//! Any bytes as a bare deflate stream.

use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;
use pinfold_archive::deflate::Decoder;
use pinfold_archive::deflate::InflateError;

/// Any bytes as a bare deflate stream: the same verdict, bytes and end as zlib-rs.
pub fn inflate(stream: &[u8]) {
    let (mut bytes, mut end) = (Vec::new(), 0);
    let own = Decoder::bare(stream, 0).run(
        |block| {
            assert_eq!(block.bits.start, end);
            end = block.bits.end;
        },
        |piece| {
            bytes.extend_from_slice(piece);
            if bytes.len() > LIMIT { Err(InflateError::Truncated { bit: 0 }) } else { Ok(()) }
        },
    );
    if bytes.len() >= LIMIT {
        return;
    }
    match (zlib(stream), own) {
        (None, Err(_)) => {}
        (Some((expected, consumed)), Ok(_)) => {
            assert!(expected == bytes);
            assert_eq!(consumed, end.div_ceil(8));
        }
        (zlib, own) => panic!("zlib accepts: {}, here: {own:?}", zlib.is_some()),
    }
}

/// Larger results are left out, on both sides.
const LIMIT: usize = 16 << 20;

fn zlib(stream: &[u8]) -> Option<(Vec<u8>, u64)> {
    let mut decoder = Decompress::new(false);
    let mut out = Vec::with_capacity(64 << 10);
    while out.len() < LIMIT {
        let rest = &stream[decoder.total_in() as usize..];
        let before = (decoder.total_in(), decoder.total_out());
        match decoder.decompress_vec(rest, &mut out, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return Some((out, decoder.total_in())),
            Ok(_) if (decoder.total_in(), decoder.total_out()) != before || out.len() == out.capacity() => {
                out.reserve(64 << 10);
            }
            _ => return None,
        }
    }
    None
}
