//! The bytes that are signed: DSSE's pre-authentication encoding (secure-systems-lab/dsse, `protocol.md`).

/// Longest bundle, and so longest statement, that is read or written, in bytes.
pub const MAX_BUNDLE: u64 = 4 << 20;

/// `DSSEv1 SP LEN(type) SP type SP LEN(body) SP body`; lengths are of bytes, in decimal.
pub(super) fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
