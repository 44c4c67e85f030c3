//! Any bytes as heads and chunked bodies.

use pinfold_network::wire::body::ChunkDecoder;
use pinfold_network::wire::head::RequestTarget;
use pinfold_network::wire::head::is_hop_by_hop;
use pinfold_network::wire::head::parse_request;
use pinfold_network::wire::head::parse_response;

/// Any bytes as heads and chunked bodies: no panic, and cutting them elsewhere changes nothing.
pub fn proxy_head(bytes: &[u8]) {
    if let Ok(Some((head, length))) = parse_request(bytes) {
        assert!(bytes[..length].ends_with(b"\r\n\r\n"));
        assert_eq!(parse_request(&bytes[..length]), Ok(Some((head.clone(), length))));
        // No part of an accepted head is a head.
        assert_eq!(parse_request(&bytes[..length - 1]), Ok(None));
        assert!(head.fields.iter().filter(|field| field.is("Host")).count() <= 1);
        if let RequestTarget::Forward { path, .. } | RequestTarget::Origin(path) = &head.target {
            assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        for field in &head.fields {
            assert!(
                !field.value.contains(&b'\r') && !field.value.contains(&b'\n') && !field.value.contains(&0)
            );
            let _ = is_hop_by_hop(field, &head.fields);
        }
    }
    let _ = parse_response(bytes);
    let whole = decode(std::iter::once(bytes));
    assert_eq!(whole, decode(bytes.chunks(1)));
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<u8>, bool)> {
    let mut decoder = ChunkDecoder::default();
    let mut data = Vec::new();
    for piece in pieces {
        decoder.decode(piece, &mut data).ok()?;
    }
    let done = decoder.is_done();
    Some((data, done))
}
