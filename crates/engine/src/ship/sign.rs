//! What is signed when an image is pushed, by whom, and how it gets to the registry.
//!
//! ```text
//! Signing (who, in which form) ─► Prepared (signed, nothing sent) ─ before the tag ─► attached to the index and to each platform's manifest
//! ```
//!
//! A program that signs gets what is to be signed on stdin (DSSE's encoding, or the payload of the older form) and prints the
//! signature: ECDSA in DER over SHA-256.
//!
//! **Guarantees**: what a program gives is verified with the public key that stands beside it before it counts. What the key has signed
//! already is not signed again. A program is found and judged as those that give keys to sandboxes are, and gets at most half a minute;
//! nothing that it prints is in any error.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use pinfold_base::Reporter;
use pinfold_base::error::one_line;
use pinfold_image::compose::annotation;
use pinfold_image::model::Descriptor;
use pinfold_image::registry::Client;
use pinfold_image::registry::RegistryError;
use pinfold_image::registry::legacy;
use pinfold_image::registry::referrers;
use pinfold_image::registry::referrers::Artifact;
use pinfold_image::sign::Bundle;
use pinfold_image::sign::MEDIA_TYPE;
use pinfold_image::sign::PublicKey;
use pinfold_image::sign::SignError;
use pinfold_image::sign::Signer;
use pinfold_image::sign::Statement;
use pinfold_network::HeldCommand;

use super::bill::Bills;
use super::error::ShipError;
use super::key;
use super::login;
use super::proofs::RegistryProofs;
use crate::context::Context;
use crate::settings::Format;
use crate::settings::SignWith;

/// Who signs, and in which form.
#[derive(Clone)]
pub struct Signing {
    signer: Arc<dyn Signer + Send + Sync>,
    format: Format,
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing").field("public", self.signer.public()).field("format", &self.format).finish()
    }
}

/// What the command line says about signing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// A file of a key, or `command:PROGRAM WORD…`.
    pub with: Option<String>,
    /// The public key of a program.
    pub public: Option<PathBuf>,
    /// The form.
    pub format: Option<Format>,
}

impl Signing {
    /// What the command line says, else what the user configured; `None` where nobody signs.
    pub fn of(context: &Context, said: &Said) -> Result<Option<Self>, ShipError> {
        let configured = &context.settings()?.sign;
        let format = said.format.unwrap_or(configured.format);
        let with = match (&said.with, &said.public) {
            (Some(text), public) => Some(read(text, public.as_deref())?),
            (None, Some(_)) => return Err(ShipError::PublicAlone),
            (None, None) => configured.with.clone(),
        };
        let Some(with) = with else {
            return if said.format.is_some() { Err(ShipError::NoSigner) } else { Ok(None) };
        };
        let signer: Arc<dyn Signer + Send + Sync> = match with {
            SignWith::Key(file) => Arc::new(key::secret(&file)?),
            SignWith::Command { words, public } => Arc::new(Program::find(context, &words, public)?),
        };
        Ok(Some(Self { signer, format }))
    }

    /// Whether it is signed with bundles, which can say more than the bare signature.
    pub fn has_bundles(&self) -> bool {
        self.format != Format::Legacy
    }

    /// The key that signatures are checked with.
    pub fn public(&self) -> &PublicKey {
        self.signer.public()
    }
}

/// `FILE` or `command:PROGRAM WORD…`.
fn read(text: &str, public: Option<&Path>) -> Result<SignWith, ShipError> {
    match (text.strip_prefix("command:"), public) {
        (None, None) => Ok(SignWith::Key(text.into())),
        (None, Some(_)) => Err(ShipError::PublicAlone),
        (Some(_), None) => Err(ShipError::NoPublic),
        (Some(words), Some(public)) => {
            let words = words.split_whitespace().map(str::to_owned).collect();
            Ok(SignWith::Command { words, public: key::public(public)? })
        }
    }
}

/// A program that signs.
struct Program {
    command: HeldCommand,
    public: PublicKey,
    variables: Vec<(OsString, OsString)>,
}

impl Program {
    fn find(context: &Context, words: &[String], public: PublicKey) -> Result<Self, ShipError> {
        let named = words.first().cloned().unwrap_or_default();
        let command = HeldCommand::find(words, &login::around(context))
            .map_err(|error| SignError::Program { program: named, problem: one_line(&error) })?;
        let own = |(name, value): (&std::ffi::OsStr, &std::ffi::OsStr)| (name.to_owned(), value.to_owned());
        Ok(Self { command, public, variables: context.environment.all().map(own).collect() })
    }
}

impl Signer for Program {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.command.answer(self.variables.iter().cloned(), message).map_err(|error| SignError::Program {
            program: self.command.named().to_owned(),
            problem: one_line(&error),
        })
    }
}

/// What is to be attached to one document of an image.
pub(super) struct Prepared {
    subject: Descriptor,
    /// What is attached to it, where that could be asked.
    listed: Option<Vec<Descriptor>>,
    artifacts: Vec<Artifact>,
    legacy: Option<legacy::Signature>,
    bill: Option<Artifact>,
}

/// How much of what was prepared was not there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct New {
    /// Signatures and statements.
    pub signed: usize,
    /// Bills of materials.
    pub bills: usize,
}

/// Signs all documents of an image, as far as its key has not done so, and makes what else is attached to them.
pub(super) fn prepare(
    client: &Client,
    signing: Option<&Signing>,
    repository: &str,
    subjects: &[Descriptor],
    created: Option<&str>,
    further: &[Statement],
    bills: Option<&Bills<'_>>,
) -> Result<Vec<Prepared>, ShipError> {
    let mut prepared = Vec::new();
    for subject in subjects {
        let bills = bills.filter(|bills| bills.has(subject));
        if signing.is_none() && bills.is_none() {
            continue;
        }
        let listed = if_there(referrers::list(client, &subject.digest))?;
        let bill = bills.and_then(|bills| bills.artifact(subject, listed.as_deref().unwrap_or(&[]), created));
        let mut made =
            Prepared { subject: subject.clone(), listed, artifacts: Vec::new(), legacy: None, bill };
        if let Some(signing) = signing {
            signing.sign(client, repository, created, further, bills, &mut made)?;
        }
        prepared.push(made);
    }
    Ok(prepared)
}

impl Signing {
    /// Signs one document.
    fn sign(
        &self,
        client: &Client,
        repository: &str,
        created: Option<&str>,
        further: &[Statement],
        bills: Option<&Bills<'_>>,
        made: &mut Prepared,
    ) -> Result<(), ShipError> {
        let Self { signer, format } = self;
        let keys = std::slice::from_ref(signer.public());
        let digest = made.subject.digest.clone();
        if *format != Format::Legacy {
            let there: Vec<Statement> = match &made.listed {
                Some(listed) => RegistryProofs(client)
                    .of_entries(listed)?
                    .iter()
                    .filter_map(|bytes| Bundle::parse(bytes).ok()?.verify(keys).ok())
                    .collect(),
                None => Vec::new(),
            };
            let signature = Statement::signature(digest.clone());
            let all = std::iter::once(&signature).chain(further);
            let mut new: Vec<Statement> =
                all.filter(|statement| !there.contains(statement)).cloned().collect();
            new.extend(bills.and_then(|bills| bills.statement(&made.subject, &there)));
            for statement in &new {
                made.artifacts.push(artifact(statement, &**signer, created)?);
            }
        }
        let is_signed = || {
            if_there(legacy::verify(client, &digest, keys))
                .map(|found| matches!(found, Some(legacy::Verdict::By(_))))
        };
        if *format != Format::Bundle && !is_signed()? {
            made.legacy = Some(legacy::make(repository, &digest, &**signer)?);
        }
        Ok(())
    }
}

/// Some registries deny what is not there yet: then nothing is known of it.
fn if_there<T>(asked: Result<T, RegistryError>) -> Result<Option<T>, RegistryError> {
    match asked {
        Err(RegistryError::Denied { .. }) => Ok(None),
        asked => asked.map(Some),
    }
}

/// A signed statement as cosign attaches it.
fn artifact(
    statement: &Statement,
    signer: &dyn Signer,
    created: Option<&str>,
) -> Result<Artifact, SignError> {
    let bundle = Bundle::make(statement, signer)?;
    let mut annotations = BTreeMap::from([
        ("dev.sigstore.bundle.content".to_owned(), "dsse-envelope".to_owned()),
        ("dev.sigstore.bundle.predicateType".to_owned(), statement.predicate_type.clone()),
    ]);
    annotations.extend(created.map(|created| (annotation::CREATED.to_owned(), created.to_owned())));
    Ok(Artifact {
        artifact_type: MEDIA_TYPE.into(),
        media_type: MEDIA_TYPE.into(),
        bytes: bundle.to_bytes().to_vec(),
        annotations,
    })
}

/// Attaches what was prepared to what is in the registry by now.
///
/// A registry that takes no bill of materials has the image all the same.
pub(super) fn attach(
    client: &Client,
    prepared: &[Prepared],
    reporter: &dyn Reporter,
) -> Result<New, RegistryError> {
    let mut new = New::default();
    for Prepared { subject, listed, artifacts, legacy, bill } in prepared {
        let attach = |artifact: &Artifact| -> Result<usize, RegistryError> {
            let attached = match listed {
                Some(listed) => referrers::attach_beside(client, subject, listed, artifact)?,
                None => referrers::attach(client, subject, artifact)?,
            };
            Ok(usize::from(matches!(attached, referrers::Attached::New(_))))
        };
        if let Some(bill) = bill {
            match attach(bill) {
                Ok(attached) => new.bills += attached,
                Err(error) => {
                    let why = one_line(&error);
                    reporter.warn(&format!("no bill of materials is attached to {}: {why}", subject.digest));
                }
            }
        }
        for artifact in artifacts {
            new.signed += attach(artifact)?;
        }
        if let Some(signature) = legacy {
            new.signed += usize::from(legacy::attach(client, &subject.digest, signature)?);
        }
    }
    Ok(new)
}
