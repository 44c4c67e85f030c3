//! What is said of an image: an in-toto statement, that is a predicate about digests.
//!
//! ```text
//!   {"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":HEX}}],"predicateType":URI,"predicate":{…}}
//! ```

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::digest::Algorithm;
use serde::Deserialize;
use serde::Serialize;

use super::SignError;
use super::dsse::MAX_BUNDLE;
use crate::json;
use crate::json::Unknown;

/// The predicate of a bare signature, as cosign writes and demands it.
pub const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
/// The predicate of SLSA provenance.
pub const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

const WHAT: &str = "the signed statement";
const TYPE: &str = "https://in-toto.io/Statement/v1";
/// The version before has the same four fields; attestations of older tools have it.
const OLDER_TYPE: &str = "https://in-toto.io/Statement/v0.1";
/// Most subjects that are read.
const MAX_SUBJECTS: usize = 1_000;

/// A predicate about the things of these digests.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it is about; each SHA-256.
    pub subject: Vec<Digest>,
    /// The URI that says what the predicate means.
    pub predicate_type: String,
    /// What is said.
    pub predicate: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    #[serde(default)]
    predicate: serde_json::Value,
    #[serde(flatten)]
    other: Unknown,
}

#[derive(Serialize, Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
    #[serde(flatten)]
    other: Unknown,
}

impl Statement {
    /// "This key signs this image": the predicate is empty, as cosign's is.
    pub fn signature(of: Digest) -> Self {
        let predicate = serde_json::Value::Object(serde_json::Map::new());
        Self { subject: vec![of], predicate_type: SIGNATURE.into(), predicate }
    }

    /// Whether it is about `digest`.
    pub fn names(&self, digest: &Digest) -> bool {
        self.subject.contains(digest)
    }

    /// Its bytes; equal statements, with the fields of the predicate in the same order, give equal ones.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, SignError> {
        let subject = self.subject.iter().map(|digest| Subject {
            digest: BTreeMap::from([(digest.algorithm().name().to_owned(), digest.hex())]),
            other: Unknown::new(),
        });
        let written = Written {
            kind: TYPE.into(),
            subject: subject.collect(),
            predicate_type: self.predicate_type.clone(),
            predicate: self.predicate.clone(),
            other: Unknown::new(),
        };
        Ok(json::write(WHAT, &written)?)
    }

    /// Reads the payload of an envelope. Fields of others are passed over, as in-toto wants it, unless they look like ours.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SignError> {
        let read: Written = json::read(WHAT, bytes, MAX_BUNDLE)?;
        json::refuse_lookalikes(WHAT, &read.other, &["_type", "subject", "predicateType", "predicate"])?;
        if read.kind != TYPE && read.kind != OLDER_TYPE {
            return Err(SignError::bundle("what is signed is no in-toto statement"));
        }
        if read.subject.len() > MAX_SUBJECTS {
            return Err(SignError::bundle(format!("its statement has more than {MAX_SUBJECTS} subjects")));
        }
        let mut subject = Vec::new();
        for Subject { digest, other } in read.subject {
            json::refuse_lookalikes(WHAT, &other, &["digest"])?;
            // One thing may have several digests; images are known by this one.
            if let Some(hex) = digest.get("sha256") {
                let digest = Digest::from_hex(Algorithm::Sha256, hex);
                subject.push(digest.map_err(|_| SignError::bundle("its statement has a broken digest"))?);
            }
        }
        if subject.is_empty() {
            return Err(SignError::bundle("its statement is about nothing with a SHA-256"));
        }
        Ok(Self { subject, predicate_type: read.predicate_type, predicate: read.predicate })
    }
}
