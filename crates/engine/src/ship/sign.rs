//! What is signed when an image is pushed, by whom, and how it gets to the registry.
//!
//! ```text
//! Signing (who, in which form) ─► Lacking (asked) ─► Prepared (signed, nothing sent) ─ before the tag ─► attached to the index and to
//! each platform's manifest
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
use pinfold_image::registry::attach::Artifact;
use pinfold_image::registry::attach::Attaching;
use pinfold_image::registry::attach::Sent;
use pinfold_image::registry::legacy;
use pinfold_image::registry::referrers;
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

/// What one document of an image does not have yet of what is wanted.
pub(super) struct Lacking {
    subject: Descriptor,
    /// What is attached to it, where that could be asked.
    listed: Option<Vec<Descriptor>>,
    /// What is to be signed of it.
    statements: Vec<Statement>,
    /// Whether its bill of materials is to be signed as well.
    signed_bill: bool,
    /// Whether a signature of the older form is to be made.
    legacy: bool,
    /// Whether its bill of materials is to be attached.
    bill: bool,
}

/// What is to be attached to one document of an image.
pub(super) struct Prepared {
    subject: Descriptor,
    listed: Option<Vec<Descriptor>>,
    artifacts: Vec<Artifact>,
    legacy: Option<legacy::Signature>,
    bill: Option<Artifact>,
}

/// How much of what is wanted was not there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct New {
    /// Signatures and statements.
    pub signed: usize,
    /// Bills of materials.
    pub bills: usize,
}

impl New {
    /// What would be attached.
    pub(super) fn of(lacking: &[Lacking]) -> Self {
        let signed =
            |one: &Lacking| one.statements.len() + usize::from(one.signed_bill) + usize::from(one.legacy);
        Self {
            signed: lacking.iter().map(signed).sum(),
            bills: lacking.iter().filter(|one| one.bill).count(),
        }
    }
}

/// Asks what the documents of an image do not have yet. Nothing is signed.
pub(super) fn lacking(
    client: &Client,
    signing: Option<&Signing>,
    subjects: &[Descriptor],
    further: &[Statement],
    bills: Option<&Bills<'_>>,
) -> Result<Vec<Lacking>, ShipError> {
    let mut all = Vec::new();
    for subject in subjects {
        let bills = bills.filter(|bills| bills.has(subject));
        if signing.is_none() && bills.is_none() {
            continue;
        }
        let listed = if_there(referrers::list(client, &subject.digest))?;
        let known = listed.as_deref().unwrap_or(&[]);
        let mut lacking = Lacking {
            subject: subject.clone(),
            statements: Vec::new(),
            signed_bill: false,
            legacy: false,
            bill: bills.is_some_and(|bills| !bills.is_listed(subject, known)),
            listed: None,
        };
        if let Some(signing) = signing {
            signing.lacking(client, known, further, bills, &mut lacking)?;
        }
        lacking.listed = listed;
        all.push(lacking);
    }
    Ok(all)
}

/// Signs what is lacking, and makes what else is attached.
pub(super) fn prepare(
    lacking: Vec<Lacking>,
    signing: Option<&Signing>,
    repository: &str,
    created: Option<&str>,
    bills: Option<&Bills<'_>>,
) -> Result<Vec<Prepared>, ShipError> {
    let mut prepared = Vec::new();
    for Lacking { subject, listed, mut statements, signed_bill, legacy: older, bill } in lacking {
        let bill = bills.filter(|_| bill).and_then(|bills| bills.artifact(&subject, created));
        statements.extend(bills.filter(|_| signed_bill).and_then(|bills| bills.statement(&subject)));
        let (mut artifacts, mut legacy) = (Vec::new(), None);
        if let Some(Signing { signer, .. }) = signing {
            for statement in &statements {
                artifacts.push(artifact(statement, &**signer, created)?);
            }
            if older {
                legacy = Some(legacy::make(repository, &subject.digest, &**signer)?);
            }
        }
        prepared.push(Prepared { subject, listed, artifacts, legacy, bill });
    }
    Ok(prepared)
}

impl Signing {
    /// What this key has not signed of one document.
    fn lacking(
        &self,
        client: &Client,
        listed: &[Descriptor],
        further: &[Statement],
        bills: Option<&Bills<'_>>,
        lacking: &mut Lacking,
    ) -> Result<(), ShipError> {
        let Self { signer, format } = self;
        let keys = std::slice::from_ref(signer.public());
        let digest = lacking.subject.digest.clone();
        if *format != Format::Legacy {
            let there: Vec<Statement> = RegistryProofs(client)
                .of_entries(listed)?
                .iter()
                .filter_map(|bytes| Bundle::parse(bytes).ok()?.verify(keys).ok())
                .collect();
            let signature = Statement::signature(digest.clone());
            let all = std::iter::once(&signature).chain(further);
            lacking.statements = all.filter(|statement| !there.contains(statement)).cloned().collect();
            lacking.signed_bill = bills.is_some_and(|bills| !bills.is_signed(&lacking.subject, &there));
        }
        let is_signed = || {
            if_there(legacy::verify(client, &digest, keys))
                .map(|found| matches!(found, Some(legacy::Verdict::By(_))))
        };
        lacking.legacy = *format != Format::Bundle && !is_signed()?;
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
/// A registry that takes no bill of materials has the image all the same. One that only fails to take it now has it not.
pub(super) fn attach(
    client: &Client,
    prepared: &[Prepared],
    reporter: &dyn Reporter,
) -> Result<New, RegistryError> {
    let mut new = New::default();
    let mut attaching = Attaching::new(client);
    for one in prepared {
        let digest = &one.subject.digest;
        let without = |error: &RegistryError| {
            reporter.warn(&format!("no bill of materials is attached to {digest}: {}", one_line(error)));
        };
        match of_one(client, &mut attaching, one, &without) {
            Err(error) if one.artifacts.is_empty() && error.is_refusal() => without(&error),
            attached => {
                let attached = attached?;
                new.bills += attached.bills;
                new.signed += attached.signed;
            }
        }
        if let Some(signature) = &one.legacy {
            attaching.sign(digest, signature)?;
            new.signed += 1;
        }
    }
    attaching.settle()?;
    Ok(new)
}

/// Attaches bundles and the bill of materials to one document; `without` hears why it does without the latter.
fn of_one(
    client: &Client,
    attaching: &mut Attaching<'_>,
    Prepared { subject, listed, artifacts, bill, .. }: &Prepared,
    without: &dyn Fn(&RegistryError),
) -> Result<New, RegistryError> {
    if artifacts.is_empty() && bill.is_none() {
        return Ok(New::default());
    }
    let listed = match listed {
        Some(listed) => listed.clone(),
        None => referrers::list(client, &subject.digest)?,
    };
    let mut entries = Vec::new();
    if let Some(bill) = bill {
        match attaching.send(subject, &listed, bill) {
            Err(error) if error.is_refusal() => without(&error),
            sent => entries.extend(entry(sent?)),
        }
    }
    let bills = entries.len();
    for artifact in artifacts {
        entries.extend(entry(attaching.send(subject, &listed, artifact)?));
    }
    let new = New { bills, signed: entries.len() - bills };
    attaching.list(&subject.digest, entries)?;
    Ok(new)
}

/// What is to be listed, where it was not before.
fn entry(sent: Sent) -> Option<Descriptor> {
    match sent {
        Sent::New(entry) => Some(entry),
        Sent::There(_) => None,
    }
}
