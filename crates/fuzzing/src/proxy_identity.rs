//! Any bytes as what tells sandboxes apart: a list of identities, the text of a token, a preamble, and the proxy's configuration.

use std::path::Path;

use pinfold_engine::proxy::ProxyFile;
use pinfold_network::Identities;
use pinfold_network::Token;
use pinfold_network::wire::preamble::Proven;

/// Any bytes as what tells sandboxes apart: no panic; what is read is written and read again alike; no error shows a token.
pub fn proxy_identity(bytes: &[u8]) {
    if let Ok(identities) = Identities::parse([("list", bytes)]) {
        let text = identities.to_string();
        let again = Identities::parse([("list", text.as_bytes())]).expect("what was written is read");
        assert_eq!(again.to_string(), text);
        assert!(identities.iter().all(|identity| identities.find(identity.hash()) == Some(identity)));
    }
    if let Ok(token) = Token::parse(bytes) {
        assert_eq!(token.reveal().trim().as_bytes(), bytes.trim_ascii());
    }
    let mut taken = bytes.to_vec();
    let told = Proven::read(&mut taken);
    match &told {
        Ok(Some(proven)) => {
            assert_eq!(proven.encode(), bytes[..Proven::BYTES]);
            assert!(taken[..Proven::BYTES].iter().all(|&byte| byte == 0));
            assert_eq!(taken[Proven::BYTES..], bytes[Proven::BYTES..]);
        }
        _ => assert_eq!(taken, bytes),
    }
    // What is refused is refused at its first wrong byte, whatever follows.
    let cuts = 0..=bytes.len().min(Proven::BYTES);
    let refused = |cut: usize| Proven::read(&mut bytes[..cut].to_vec()).is_err();
    assert!(cuts.clone().zip(cuts.skip(1)).all(|(cut, longer)| !refused(cut) || refused(longer)));
    if let Ok(file) = ProxyFile::parse(Path::new("proxy.toml"), bytes) {
        let again = ProxyFile::parse(Path::new("proxy.toml"), file.to_toml().as_bytes());
        assert_eq!(again.expect("what was written is read"), file);
    }
}
