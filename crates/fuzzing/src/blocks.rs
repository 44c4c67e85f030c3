//! Any bytes as a list of blocks.

use pinfold_archive::deflate::Blocks;
use pinfold_base::Digest;

/// Any bytes as a list of blocks: no panic, and what is accepted is written as it was read.
pub fn blocks(content: &[u8]) {
    let mut bytes = b"pinfold blocks 1\n".to_vec();
    bytes.extend_from_slice(content);
    let checksum = Digest::sha256(&bytes);
    bytes.extend_from_slice(checksum.bytes());
    if let Ok(blocks) = Blocks::parse(&bytes) {
        assert_eq!(Blocks::parse(&blocks.to_bytes()).expect("what was written is read"), blocks);
    }
}
