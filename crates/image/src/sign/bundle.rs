//! Sigstore bundles, version 0.3, that hold one DSSE envelope (sigstore/protobuf-specs, `sigstore_bundle.proto`).
//!
//! ```text
//!   {"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
//!    "verificationMaterial":{"publicKey":{"hint":BASE64}},
//!    "dsseEnvelope":{"payload":BASE64,"payloadType":"application/vnd.in-toto+json","signatures":[{"sig":BASE64}]}}
//! ```
//!
//! Material of others (certificates, entries of a log) is passed over: here a key counts that the user has named.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::PublicKey;
use super::SIGNATURE;
use super::SignError;
use super::Signer;
use super::Statement;
use super::dsse::MAX_BUNDLE;
use super::dsse::pae;
use crate::json;

/// The media type of a bundle.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Longest bare signature that is written, in bytes.
const MAX_SIGNATURE: u64 = 64 << 10;

const WHAT: &str = "the bundle";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A signed statement: its bytes, and of them what is signed and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    bytes: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    media_type: &'a str,
    verification_material: WrittenMaterial,
    dsse_envelope: Envelope,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WrittenMaterial {
    public_key: Key,
}

impl WrittenMaterial {
    /// Says which key it is.
    pub(super) fn of(key: &PublicKey) -> Self {
        Self { public_key: Key { hint: key.hint() } }
    }
}

/// A field that is not known is refused: readers made of the protocol's description refuse it as well.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Read {
    media_type: String,
    #[serde(rename = "verificationMaterial")]
    _material: Material,
    dsse_envelope: Option<Envelope>,
    message_signature: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Material {
    #[serde(rename = "publicKey")]
    _public_key: Option<Key>,
    #[serde(rename = "certificate")]
    _certificate: Option<IgnoredAny>,
    #[serde(rename = "x509CertificateChain")]
    _chain: Option<IgnoredAny>,
    #[serde(rename = "tlogEntries")]
    _entries: Option<IgnoredAny>,
    #[serde(rename = "timestampVerificationData")]
    _times: Option<IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    #[serde(default)]
    hint: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    sig: String,
    /// A hint like the key's; nobody may rely on it (DSSE, "protocol").
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keyid: String,
}

impl Bundle {
    /// Signs a statement. What the signer gives is checked before it counts.
    pub fn make(statement: &Statement, signer: &dyn Signer) -> Result<Self, SignError> {
        let payload = statement.to_bytes()?;
        let message = pae(PAYLOAD_TYPE, &payload);
        let signature = signer.sign(&message)?;
        if !signer.public().verifies(&message, &signature) {
            return Err(SignError::Signer);
        }
        let written = Written {
            media_type: MEDIA_TYPE,
            verification_material: WrittenMaterial::of(signer.public()),
            dsse_envelope: Envelope {
                payload: STANDARD.encode(&payload),
                payload_type: PAYLOAD_TYPE.into(),
                signatures: vec![Signature { sig: STANDARD.encode(&signature), keyid: String::new() }],
            },
        };
        let bytes = json::write(WHAT, &written)?;
        let limit = if statement.predicate_type == SIGNATURE { MAX_SIGNATURE } else { MAX_BUNDLE };
        if bytes.len() as u64 > limit {
            return Err(SignError::bundle(format!(
                "it is {} bytes long; at most {limit} are written",
                bytes.len()
            )));
        }
        Ok(Self { bytes, payload, signature })
    }

    /// Reads a bundle. Nothing of what it signs is looked at.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignError> {
        let read: Read = json::read(WHAT, bytes, MAX_BUNDLE)?;
        if read.media_type != MEDIA_TYPE {
            let told: String = read.media_type.chars().take(100).collect();
            return Err(SignError::bundle(format!("`{}` is not read here", told.escape_debug())));
        }
        let Some(envelope) = read.dsse_envelope.filter(|_| read.message_signature.is_none()) else {
            return Err(SignError::bundle("it signs something else than a statement"));
        };
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(SignError::bundle("what it signs is no in-toto statement"));
        }
        let [signature] = envelope.signatures.as_slice() else {
            return Err(SignError::bundle(format!(
                "it has {} signatures, not one",
                envelope.signatures.len()
            )));
        };
        let decoded =
            |text: &str| STANDARD.decode(text).map_err(|_| SignError::bundle("its base64 is broken"));
        let payload = decoded(&envelope.payload)?;
        let signature = decoded(&signature.sig)?;
        Ok(Self { bytes: bytes.to_vec(), payload, signature })
    }

    /// Its bytes, as they came or were made.
    pub fn to_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says, if one of the keys has signed it.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<Statement, SignError> {
        let message = pae(PAYLOAD_TYPE, &self.payload);
        if !keys.iter().any(|key| key.verifies(&message, &self.signature)) {
            return Err(SignError::Unsigned { keys: keys.len() });
        }
        Statement::parse(&self.payload)
    }
}
