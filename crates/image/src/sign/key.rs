//! Keys: P-256 to sign and to verify, Ed25519 to verify.
//!
//! ```text
//!   -----BEGIN PRIVATE KEY-----      PKCS#8 (RFC 5958), not encrypted
//!   -----BEGIN PUBLIC KEY-----       SubjectPublicKeyInfo (RFC 5480, RFC 8410)
//! ```

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey as Ed25519Key;
use p256::ecdsa::Signature;
use p256::ecdsa::SigningKey;
use p256::ecdsa::VerifyingKey as P256Key;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::DecodePrivateKey as _;
use p256::pkcs8::DecodePublicKey as _;
use p256::pkcs8::Document;
use p256::pkcs8::EncodePrivateKey as _;
use p256::pkcs8::EncodePublicKey as _;
use p256::pkcs8::LineEnding;
use p256::pkcs8::ObjectIdentifier;
use p256::pkcs8::PrivateKeyInfo;
use p256::pkcs8::SecretDocument;
use p256::pkcs8::SubjectPublicKeyInfoRef;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::http::Secret;
use rustix::rand::GetRandomFlags;
use rustix::rand::getrandom;

use super::SignError;

/// Longest key that is read, in bytes; a P-256 key is 250.
const MAX_KEY: usize = 16 << 10;
/// `id-Ed25519` (RFC 8410).
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
/// What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo: that structure has one form only.
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const PRIVATE: &str = "private key to sign with";
const PUBLIC: &str = "public key";

/// A key that signatures are checked with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(Public);

#[derive(Clone, PartialEq, Eq)]
enum Public {
    P256(P256Key),
    Ed25519(Ed25519Key),
}

impl PublicKey {
    /// Reads a `PUBLIC KEY` in PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignError> {
        let wrong = |reason| SignError::Key { wanted: PUBLIC, reason };
        let text = text(pem).map_err(wrong)?;
        match label(text) {
            Some("PUBLIC KEY") => {}
            Some(label) if label.ends_with("PRIVATE KEY") => return Err(wrong("it is a private key")),
            Some("CERTIFICATE") => return Err(wrong("it is a certificate")),
            Some(_) => return Err(wrong("it is something else in PEM")),
            None => return Err(wrong("it is not in PEM")),
        }
        let (_, der) = Document::from_pem(text).map_err(|_| wrong("its PEM is broken"))?;
        Self::from_der(der.as_bytes()).map_err(wrong)
    }

    fn from_der(der: &[u8]) -> Result<Self, &'static str> {
        let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| "its structure is broken")?;
        if info.algorithm.oid == ED25519 {
            let bytes = der.strip_prefix(&ED25519_SPKI).and_then(|bytes| bytes.try_into().ok());
            let key = Ed25519Key::from_bytes(bytes.ok_or("its structure is broken")?);
            let key = key.ok().filter(|key| !key.is_weak()).ok_or("it is no point of its curve")?;
            return Ok(Self(Public::Ed25519(key)));
        }
        let key = P256Key::from_public_key_der(der);
        key.map(|key| Self(Public::P256(key))).map_err(|_| "it is of neither P-256 nor Ed25519")
    }

    /// The key in PEM, as `openssl pkey -pubout` writes it.
    pub fn to_pem(&self) -> String {
        let body = STANDARD.encode(self.to_der());
        let lines = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
    }

    fn to_der(&self) -> Vec<u8> {
        match &self.0 {
            // A point that was just read, or made of a scalar, has an encoding of 91 bytes.
            Public::P256(key) => key.to_public_key_der().map(Document::into_vec).unwrap_or_default(),
            Public::Ed25519(key) => [ED25519_SPKI.as_slice(), key.as_bytes()].concat(),
        }
    }

    /// What a bundle calls it: its SHA-256 in base64, as cosign has it. For finding a key, never a proof.
    pub fn hint(&self) -> String {
        STANDARD.encode(Digest::sha256(&self.to_der()).bytes())
    }

    /// Whether it made `signature` (ECDSA in DER over SHA-256, or the 64 bytes of Ed25519) of `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Public::P256(key) => {
                Signature::from_der(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            Public::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
        }
    }
}

impl PublicKey {
    /// Whether it can verify what only the SHA-256 is known of.
    pub fn verifies_digests(&self) -> bool {
        matches!(self.0, Public::P256(_))
    }

    /// Whether it made `signature` (ECDSA in DER) of the message that has this SHA-256. Never of Ed25519.
    pub fn verifies_digest(&self, message: &Digest, signature: &[u8]) -> bool {
        match &self.0 {
            Public::P256(key) if message.algorithm() == Algorithm::Sha256 => Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(message.bytes(), &signature).is_ok()),
            Public::P256(_) | Public::Ed25519(_) => false,
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.hint())
    }
}

/// Whatever signs: a key, or a program that has one.
pub trait Signer {
    /// The key that its signatures are checked with.
    fn public(&self) -> &PublicKey;

    /// Signs a message: ECDSA in DER over its SHA-256, or Ed25519 where the public key is one.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// A P-256 key to sign with.
pub struct SecretKey {
    secret: SigningKey,
    public: PublicKey,
}

impl SecretKey {
    /// A new key, of the kernel's random bytes.
    pub fn generate() -> Result<Self, SignError> {
        loop {
            let mut bytes = Zeroizing::new([0u8; 32]);
            let mut filled = 0;
            while filled < bytes.len() {
                filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())
                    .map_err(|error| SignError::Random(io::Error::from(error)))?;
            }
            // Zero and what is not below the order of the curve are no keys: one in 2³² draws.
            if let Ok(secret) = SigningKey::from_slice(&*bytes) {
                return Ok(Self::of(secret));
            }
        }
    }

    fn of(secret: SigningKey) -> Self {
        let public = PublicKey(Public::P256(*secret.verifying_key()));
        Self { secret, public }
    }

    /// Reads a `PRIVATE KEY` in PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, SignError> {
        let wrong = |reason| SignError::Key { wanted: PRIVATE, reason };
        let text = text(pem).map_err(wrong)?;
        match label(text) {
            Some("PRIVATE KEY") => {}
            Some("EC PRIVATE KEY") => return Err(SignError::Form { form: "in the form of SEC 1" }),
            Some("ENCRYPTED PRIVATE KEY") => return Err(SignError::Form { form: "encrypted" }),
            Some("ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY") => {
                return Err(wrong("it is in cosign's own form, which only cosign reads"));
            }
            Some("PUBLIC KEY") => return Err(wrong("it is a public key")),
            Some(_) => return Err(wrong("it is something else in PEM")),
            None => return Err(wrong("it is not in PEM")),
        }
        let (_, der) = SecretDocument::from_pem(text).map_err(|_| wrong("its PEM is broken"))?;
        let info = PrivateKeyInfo::try_from(der.as_bytes()).map_err(|_| wrong("its structure is broken"))?;
        if info.algorithm.oid == ED25519 {
            return Err(wrong("it is of Ed25519, which is for verifying only; use P-256"));
        }
        let secret = p256::SecretKey::from_pkcs8_der(der.as_bytes());
        let secret = secret.map_err(|_| wrong("it is not of P-256"))?;
        Ok(Self::of(SigningKey::from(secret)))
    }

    /// The key in PEM, for the one place that writes it to a file.
    pub fn to_pem(&self) -> Result<Secret, SignError> {
        let pem = self.secret.to_pkcs8_pem(LineEnding::LF);
        let pem = pem.map_err(|_| SignError::Key { wanted: PRIVATE, reason: "it cannot be written" })?;
        Ok(Secret::new(pem.as_str()))
    }
}

impl SecretKey {
    /// Signs the message that has this SHA-256: ECDSA in DER, the bytes that signing the message gives.
    pub fn sign_digest(&self, message: &Digest) -> Result<Vec<u8>, SignError> {
        let signed = Some(message).filter(|message| message.algorithm() == Algorithm::Sha256);
        let signed = signed.and_then(|message| self.secret.sign_prehash(message.bytes()).ok());
        let signature: Signature = signed.ok_or(SignError::Signer)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

impl Signer for SecretKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let signature: Signature = self.secret.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(**** of {:?})", self.public)
    }
}

fn text(pem: &[u8]) -> Result<&str, &'static str> {
    if pem.len() > MAX_KEY {
        return Err("it is longer than a key can be");
    }
    str::from_utf8(pem).map_err(|_| "it is not in PEM")
}

/// The label of the first block that is no description of a curve (`openssl ecparam -genkey` writes one before the key).
fn label(text: &str) -> Option<&str> {
    text.lines()
        .filter_map(|line| line.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .find(|label| *label != "EC PARAMETERS")
}
