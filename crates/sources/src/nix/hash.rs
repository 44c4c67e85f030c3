//! SHA-256 as Nix writes it: `sha256:` and Nix's base 32, or hexadecimal.

use pinfold_base::Digest;
use pinfold_base::digest::Algorithm;

use super::base32;

/// Reads `sha256:` with 52 digits of Nix's base 32, or 64 of hexadecimal.
pub fn parse(text: &str) -> Option<Digest> {
    let value = text.strip_prefix("sha256:")?;
    match value.len() {
        64 => Digest::from_hex(Algorithm::Sha256, value).ok(),
        _ => Digest::from_bytes(Algorithm::Sha256, &base32::decode::<32>(value.as_bytes())?),
    }
}

/// Writes it as in narinfos, and in what is signed.
pub fn written(digest: &Digest) -> String {
    format!("{}:{}", digest.algorithm().name(), base32::encode(digest.bytes()))
}

/// SHA-256 folded to the 20 bytes of a store path.
pub(super) fn folded(digest: &Digest) -> [u8; 20] {
    let mut folded = [0; 20];
    for (at, byte) in digest.bytes().iter().enumerate() {
        folded[at % 20] ^= byte;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_digest() {
        let digest = Digest::sha256(b"");
        assert_eq!(parse(&written(&digest)), Some(digest.clone()));
        assert_eq!(parse(&format!("sha256:{}", digest.hex())), Some(digest.clone()));
        for text in [digest.hex(), written(&digest).to_uppercase(), format!("{}0", written(&digest))] {
            assert_eq!(parse(&text), None);
        }
        assert_eq!(parse("sha1:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"), None);
    }
}
