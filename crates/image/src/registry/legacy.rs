//! Signatures in cosign's older form, for readers that know no other (containers-policy.json(5), cosign 1 and 2): an image of its own
//! under the tag `sha256-HEX.sig`, with one layer for each signature (sigstore/cosign, `specs/SIGNATURE_SPEC.md`).
//!
//! ```text
//!   layer        the payload: {"critical":{"identity":…,"image":{"docker-manifest-digest":DIGEST},"type":…},"optional":null}
//!   annotation   dev.cosignproject.cosign/signature: base64 of ECDSA in DER over its SHA-256
//! ```
//!
//! **Guarantees**: signatures of others stay, and one that is there already is not written again.
//! **Refuses**: payloads over 64 KiB, more than 64 signatures, a tag that keeps losing what is written to it ([`super::shared`]).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_base::Digest;
use serde::Deserialize;
use serde::Serialize;

use super::RegistryError;
use super::Which;
use super::blobs::whole_blob;
use super::client::Client;
use super::shared::Entries;
use super::shared::Listing;
use super::upload::send_bytes;
use crate::ImageError;
use crate::json::Unknown;
use crate::model::Descriptor;
use crate::model::Found;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::media;
use crate::sign::PublicKey;
use crate::sign::SignError;
use crate::sign::Signer;

/// The annotation with the signature.
pub const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const TYPE: &str = "cosign container image signature";
/// Longest payload that is read, in bytes.
const MAX_PAYLOAD: u64 = 64 << 10;
/// Most signatures of one image.
const MAX_SIGNATURES: usize = 64;

#[derive(Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    #[serde(default)]
    optional: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Signed,
    r#type: String,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Serialize, Deserialize)]
struct Signed {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// A stub: what readers want of a configuration is that it is there.
#[derive(Serialize)]
struct Stub {
    architecture: &'static str,
    config: serde_json::Map<String, serde_json::Value>,
    os: &'static str,
    rootfs: RootFs,
}

#[derive(Serialize)]
struct RootFs {
    diff_ids: Vec<Digest>,
    r#type: &'static str,
}

/// A signature that is not in the registry yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Signature {
    payload: Vec<u8>,
    layer: Descriptor,
}

/// What is signed: that an image of this digest is in `HOST/REPOSITORY`.
pub fn payload(repository: &str, digest: &Digest) -> Result<Vec<u8>, ImageError> {
    let critical = Critical {
        identity: Identity { reference: repository.to_owned() },
        image: Signed { digest: digest.to_string() },
        r#type: TYPE.to_owned(),
    };
    crate::json::write("the signature's payload", &Payload { critical, optional: None })
}

/// Signs an image of the repository, which is called `HOST/REPOSITORY`. What is signed is not sent yet.
pub fn make(repository: &str, subject: &Digest, signer: &dyn Signer) -> Result<Signature, SignError> {
    let payload = payload(repository, subject)?;
    let signature = signer.sign(&payload)?;
    if !signer.public().verifies(&payload, &signature) {
        return Err(SignError::Signer);
    }
    let mut layer = blob(media::SIGNED_PAYLOAD, &payload);
    layer.annotations = BTreeMap::from([(ANNOTATION.to_owned(), STANDARD.encode(signature))]);
    Ok(Signature { payload, layer })
}

/// What is to be written for a signature, after it was sent.
pub(super) fn entries(
    client: &Client,
    subject: &Digest,
    Signature { payload, layer }: &Signature,
) -> Result<Entries<Manifest>, RegistryError> {
    send_bytes(client, layer, payload)?;
    let what = format!("the signatures of {subject}");
    Ok(Entries::new(tag(subject), what, vec![layer.clone()]))
}

/// Who has signed an image in this form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Nobody.
    None,
    /// None of the keys, and others.
    Others,
    /// The first of the keys that has.
    By(&'a PublicKey),
}

/// Whether one of the keys has signed the image in this form.
pub fn verify<'a>(
    client: &Client,
    subject: &Digest,
    keys: &'a [PublicKey],
) -> Result<Verdict<'a>, RegistryError> {
    let mut verdict = Verdict::None;
    for layer in read(client, subject)?.layers.iter().take(MAX_SIGNATURES) {
        if layer.media_type != media::SIGNED_PAYLOAD || layer.size > MAX_PAYLOAD {
            continue;
        }
        verdict = Verdict::Others;
        let payload = match whole_blob(client, layer) {
            Err(RegistryError::Missing { .. }) => continue,
            payload => payload?,
        };
        let signed = keys.iter().find(|key| verifies(layer, &payload, key));
        if let Some(key) = signed.filter(|_| is_about(&payload, subject)) {
            return Ok(Verdict::By(key));
        }
    }
    Ok(verdict)
}

/// Whether a payload that is signed names this image.
fn is_about(payload: &[u8], subject: &Digest) -> bool {
    crate::json::read::<Payload>("the signature's payload", payload, MAX_PAYLOAD).is_ok_and(|payload| {
        payload.critical.r#type == TYPE && payload.critical.image.digest == subject.to_string()
    })
}

/// Whether the signature of a layer is this key's, of this payload.
fn verifies(layer: &Descriptor, payload: &[u8], key: &PublicKey) -> bool {
    let signature = layer.annotations.get(ANNOTATION).and_then(|text| STANDARD.decode(text).ok());
    signature.is_some_and(|signature| key.verifies(payload, &signature))
}

fn blob(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
}

fn tag(subject: &Digest) -> Which {
    Which::Tag(format!("{}-{}.sig", subject.algorithm().name(), subject.hex()))
}

/// The signatures of an image.
fn read(client: &Client, subject: &Digest) -> Result<Manifest, RegistryError> {
    let tag = tag(subject);
    <Manifest as Listing>::read(client, &tag, client.get_manifest(&tag, None)?)
}

impl Listing for Manifest {
    const MOST: usize = MAX_SIGNATURES;

    fn read(_: &Client, _: &Which, found: Option<Found>) -> Result<Self, RegistryError> {
        let Some(found) = found else {
            return Ok(Self {
                schema_version: 2,
                media_type: Some(media::OCI_MANIFEST.into()),
                artifact_type: None,
                config: blob(media::OCI_CONFIG, b""),
                layers: Vec::new(),
                subject: None,
                annotations: BTreeMap::new(),
                other: Unknown::new(),
            });
        };
        Ok(Raw::<Self>::parse_as(found.bytes, Some(&found.descriptor.media_type))?.into_value())
    }

    fn entries(&mut self) -> &mut Vec<Descriptor> {
        &mut self.layers
    }

    fn is_same(one: &Descriptor, other: &Descriptor) -> bool {
        one.digest == other.digest && one.annotations == other.annotations
    }

    fn compose(mut self, client: &Client) -> Result<(String, Vec<u8>), RegistryError> {
        let rootfs = RootFs {
            diff_ids: self.layers.iter().map(|layer| layer.digest.clone()).collect(),
            r#type: "layers",
        };
        let config = Stub { architecture: "", config: serde_json::Map::new(), os: "", rootfs };
        let config = crate::json::write("the signatures' configuration", &config)?;
        self.config = blob(media::OCI_CONFIG, &config);
        send_bytes(client, &self.config, &config)?;
        let kind = self.media_type.get_or_insert_with(|| media::OCI_MANIFEST.into()).clone();
        Ok((kind, Raw::compose(self)?.bytes().to_vec()))
    }
}
