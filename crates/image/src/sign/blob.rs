//! Signatures of files: sigstore bundles, version 0.3, that hold the signature of a message, as `cosign sign-blob --bundle` writes them.
//!
//! ```text
//!   {"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json",
//!    "verificationMaterial":{"publicKey":{"hint":BASE64}},
//!    "messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":BASE64},"signature":BASE64}}
//! ```
//!
//! What is signed is the file; its SHA-256 is all that is needed of it, by P-256. Ed25519 signs whole messages, and is not read here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_base::Digest;
use serde::Deserialize;
use serde::Serialize;
use serde::de::IgnoredAny;

use super::MEDIA_TYPE;
use super::PublicKey;
use super::SecretKey;
use super::SignError;
use super::Signer as _;
use super::bundle::Material;
use super::bundle::WrittenMaterial;
use super::dsse::MAX_BUNDLE;
use crate::json;

const WHAT: &str = "the signature";
/// SHA-256, as bundles call it (sigstore/protobuf-specs, `sigstore_common.proto`).
const SHA256: &str = "SHA2_256";

/// A signature of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSignature {
    bytes: Vec<u8>,
    signature: Vec<u8>,
    /// What it says that it signs, in base64.
    claimed: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    media_type: &'a str,
    verification_material: WrittenMaterial,
    message_signature: MessageSignature,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Read {
    media_type: String,
    #[serde(rename = "verificationMaterial")]
    _material: Material,
    #[serde(rename = "dsseEnvelope")]
    envelope: Option<IgnoredAny>,
    message_signature: Option<MessageSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessageSignature {
    /// For finding what was signed, never a proof.
    #[serde(default)]
    message_digest: Option<MessageDigest>,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageDigest {
    algorithm: String,
    digest: String,
}

impl FileSignature {
    /// Signs the file that has this SHA-256.
    pub fn make(file: &Digest, key: &SecretKey) -> Result<Self, SignError> {
        let signature = key.sign_digest(file)?;
        if !key.public().verifies_digest(file, &signature) {
            return Err(SignError::Signer);
        }
        let claimed = STANDARD.encode(file.bytes());
        let digest = MessageDigest { algorithm: SHA256.into(), digest: claimed.clone() };
        let written = Written {
            media_type: MEDIA_TYPE,
            verification_material: WrittenMaterial::of(key.public()),
            message_signature: MessageSignature {
                message_digest: Some(digest),
                signature: STANDARD.encode(&signature),
            },
        };
        Ok(Self { bytes: json::write(WHAT, &written)?, signature, claimed: Some(claimed) })
    }

    /// Reads one. Nothing of it is believed.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignError> {
        let read: Read = json::read(WHAT, bytes, MAX_BUNDLE)?;
        if read.media_type != MEDIA_TYPE {
            let told: String = read.media_type.chars().take(100).collect();
            return Err(SignError::bundle(format!("`{}` is not read here", told.escape_debug())));
        }
        let Some(message) = read.message_signature.filter(|_| read.envelope.is_none()) else {
            return Err(SignError::bundle("it signs something else than a file"));
        };
        let signature = STANDARD.decode(&message.signature);
        let signature = signature.map_err(|_| SignError::bundle("its base64 is broken"))?;
        let claimed = message.message_digest.filter(|claimed| claimed.algorithm == SHA256);
        Ok(Self { bytes: bytes.to_vec(), signature, claimed: claimed.map(|claimed| claimed.digest) })
    }

    /// Its bytes, as they came or were made.
    pub fn to_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it may be of the file that has this SHA-256, by what it says of itself: for telling two mistakes apart.
    pub fn is_about(&self, file: &Digest) -> bool {
        self.claimed.as_ref().is_none_or(|claimed| *claimed == STANDARD.encode(file.bytes()))
    }

    /// Whether a key has signed the file that has this SHA-256.
    pub fn is_by(&self, key: &PublicKey, file: &Digest) -> bool {
        key.verifies_digest(file, &self.signature)
    }
}
