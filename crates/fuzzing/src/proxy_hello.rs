//! Any bytes as the beginning of TLS, with and without a record around them.

use pinfold_network::wire::hello::parse_hello;

/// Any bytes as the beginning of TLS, with and without a record around them: no panic, and fewer bytes only mean that more are needed.
pub fn proxy_hello(bytes: &[u8]) {
    check(bytes);
    if let Ok(length) = u16::try_from(bytes.len() + 4)
        && length <= 1 << 14
    {
        let inner = (length - 4).to_be_bytes();
        let record = [&[0x16, 3, 1][..], &length.to_be_bytes(), &[1, 0], &inner, bytes].concat();
        check(&record);
    }
}

fn check(bytes: &[u8]) {
    let whole = parse_hello(bytes);
    if matches!(whole, Ok(Some(_))) {
        // Fewer bytes are never a fault of their own, only not enough.
        for end in [bytes.len() / 4, bytes.len() / 2] {
            assert!(matches!(parse_hello(&bytes[..end]), Ok(None)) || parse_hello(&bytes[..end]) == whole);
        }
    }
}
