//! `push`: an image to a registry.
//!
//! ```text
//! which of its documents ─► what it weighs ─► is it there? ─► blobs, manifests, index ─► tag
//! ```
//!
//! **Guarantees**: an image of several platforms goes as its index of all of them, unless one is asked for; what is too large is
//! refused before the first request.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::PoisonError;

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::Reference;
use pinfold_image::blobs::read_document;
use pinfold_image::compose::annotation;
use pinfold_image::model::Descriptor;
use pinfold_image::model::Index;
use pinfold_image::model::Manifest;
use pinfold_image::model::Raw;
use pinfold_image::registry::Remote;
use pinfold_image::registry::push::RegistrySink;
use pinfold_image::registry::push::Sending;
use pinfold_image::registry::push::Sent;
use pinfold_image::registry::push::would_send;
use pinfold_image::sign::PROVENANCE;
use pinfold_image::sign::Statement;
use pinfold_image::sink::copy;
use pinfold_image::sink::is_index;
use pinfold_image::sink::is_manifest;
use pinfold_image::store::NOTES;
use pinfold_image::trust::Admitted;
use serde::Serialize;

use super::bill::Bills;
use super::budget;
use super::connect;
use super::error::ShipError;
use super::sign;
use super::sign::Signing;
use crate::build::provenance;
use crate::context::Context;

/// Where an image goes: a repository of a registry that is written, with a tag or the digest that it must have.
#[derive(Clone, Debug)]
pub struct Destination {
    reference: Reference,
    remote: Remote,
}

impl Destination {
    /// The place that a name means. Nothing is asked, so that a wrong one is told before anything is built for it.
    pub fn of(reference: Reference) -> Result<Self, ShipError> {
        let remote = Remote::of(&reference)?;
        Ok(Self { reference, remote })
    }

    /// Its name.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }
}

/// How an image is sent.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only this platform's manifest instead of the index.
    pub platform: Option<Platform>,
    /// What a platform may weigh, in bytes; [`budget::DEFAULT`] where nobody says.
    pub budget: Option<u64>,
    /// Repositories of the same registry that may have blobs of it.
    pub mount_from: Vec<String>,
    /// Who signs it.
    pub sign: Option<Signing>,
    /// Whether each platform's bill of materials is attached to it.
    pub bill: Bill,
}

/// What is done about bills of materials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bill {
    /// They are attached, and signed where the image is.
    Attach,
    /// None is made.
    #[default]
    Leave,
}

/// An image that a registry has.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pushed {
    /// The name that it got.
    pub reference: String,
    /// Its index or manifest.
    pub digest: Digest,
    /// The platforms of it.
    pub platforms: Vec<Platform>,
    /// What was done for it.
    #[serde(flatten)]
    pub sent: Sent,
    /// Whether it is signed by the user's key, and how much of that is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// Bills of materials that are attached.
    #[serde(rename = "sbom", skip_serializing_if = "Option::is_none")]
    pub bills: Option<Billed>,
}

/// What was attached of bills of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Billed {
    /// How many were not there before.
    pub new: usize,
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Signed {
    /// What is signed: the index, and the manifest of each platform.
    pub digests: Vec<Digest>,
    /// Whether it is signed what the image was built of: that is known of what was built here.
    pub provenance: bool,
    /// Whether it is signed with bundles: the older form holds nothing but the signature.
    #[serde(skip)]
    pub has_bundles: bool,
    /// How many signatures and statements were not there before.
    pub new: usize,
    /// The key, by the SHA-256 that bundles call it by.
    pub key: String,
}

/// What would be sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Planned {
    /// The name that it would get.
    pub reference: String,
    /// Its index or manifest.
    pub digest: Digest,
    /// The platforms of it.
    pub platforms: Vec<Platform>,
    /// Its parts that the registry does not have.
    pub missing: Vec<Descriptor>,
    /// How many of its parts are there.
    pub there: usize,
    /// Bytes of what is missing.
    pub bytes: u64,
}

/// Sends an image.
pub fn push(
    context: &Context,
    source: &Admitted<ImageSource>,
    Destination { reference: destination, remote }: &Destination,
    options: &Options,
) -> Result<Pushed, ShipError> {
    let (root, platforms) = chosen(source, destination, options)?;
    let client = connect::writing(context, remote)?;
    let sending = Sending {
        tag: destination.tag().map(Into::into),
        mount_from: options.mount_from.iter().cloned().chain(bases(source, destination)).collect(),
        ..Sending::default()
    };
    let subjects = subjects(source, &root)?;
    let created = created(source, &root)?;
    let provenance = match &options.sign {
        Some(signing) if signing.has_bundles() => provenance(context, source, &subjects)?,
        _ => None,
    };
    let bills = match options.bill {
        Bill::Attach => Some(Bills::of(context, source)?),
        Bill::Leave => None,
    };
    let prepared = sign::prepare(
        &client,
        options.sign.as_ref(),
        destination.name(),
        &subjects,
        created.as_deref(),
        provenance.as_slice(),
        bills.as_ref(),
    )?;
    // Before the tag, so that nobody finds the image under its name without its signature.
    let new = Mutex::new(sign::New::default());
    let attach = || {
        let attached = sign::attach(&client, &prepared, &*context.reporter)?;
        let mut new = new.lock().unwrap_or_else(PoisonError::into_inner);
        new.signed += attached.signed;
        new.bills += attached.bills;
        Ok(())
    };
    let sink = RegistrySink::new(&client, &sending, &*context.reporter).before_tag(&attach);
    let told = sink.told();
    copy(source.blobs(), &root, sink)?;
    let sent = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if sent.unchanged {
        attach()?;
    }
    let new = new.into_inner().unwrap_or_else(PoisonError::into_inner);
    let signed = options.sign.as_ref().map(|signing| Signed {
        digests: subjects.into_iter().map(|subject| subject.digest).collect(),
        new: new.signed,
        provenance: provenance.is_some(),
        has_bundles: signing.has_bundles(),
        key: signing.public().hint(),
    });
    let bills = bills.is_some().then_some(Billed { new: new.bills });
    Ok(Pushed { reference: destination.to_string(), digest: root.digest, platforms, sent, signed, bills })
}

/// Repositories of the same registry that the image is built on: they have its lowest layers.
fn bases(source: &ImageSource, destination: &Reference) -> Vec<String> {
    // What cannot be read is told when it is sent.
    let images = source.images().unwrap_or_default();
    let names =
        images.values().filter_map(|image| image.manifest.value().annotations.get(annotation::BASE_NAME));
    let there = names.filter_map(|name| name.parse::<Reference>().ok());
    let there = there.filter(|base| base.registry() == destination.registry());
    let there: BTreeSet<String> = there.map(|base| base.repository().to_owned()).collect();
    there.into_iter().filter(|repository| repository != destination.repository()).collect()
}

/// Asks what sending an image would send.
pub fn plan(
    context: &Context,
    source: &ImageSource,
    Destination { reference: destination, remote }: &Destination,
    options: &Options,
) -> Result<Planned, ShipError> {
    let (root, platforms) = chosen(source, destination, options)?;
    let client = connect::writing(context, remote)?;
    let parts = would_send(&client, source.blobs(), &root)?;
    let all = parts.len();
    let missing: Vec<Descriptor> =
        parts.into_iter().filter(|(_, missing)| *missing).map(|(part, _)| part).collect();
    Ok(Planned {
        reference: destination.to_string(),
        digest: root.digest,
        platforms,
        there: all - missing.len(),
        bytes: missing.iter().fold(0, |sum: u64, part| sum.saturating_add(part.size)),
        missing,
    })
}

/// The document that is sent, with its platforms: weighed, and what the destination says.
fn chosen(
    source: &ImageSource,
    destination: &Reference,
    options: &Options,
) -> Result<(Descriptor, Vec<Platform>), ShipError> {
    let (mut root, platforms) = match options.platform {
        None => (source.root().clone(), source.platforms()?.into_keys().collect()),
        Some(platform) => (only(source, platform)?, vec![platform]),
    };
    // What the store notes of an image is no part of it.
    root.annotations.retain(|name, _| name != annotation::REF_NAME && !NOTES.contains(&name.as_str()));
    if let Some(expected) = destination.digest()
        && *expected != root.digest
    {
        return Err(ShipError::OtherDigest { expected: expected.clone(), found: root.digest });
    }
    budget::check(source, &root, options.budget.unwrap_or(budget::DEFAULT))?;
    Ok((root, platforms))
}

/// What an image was built of, as it is said of all its documents, where it was built here.
fn provenance(
    context: &Context,
    source: &ImageSource,
    subjects: &[Descriptor],
) -> Result<Option<Statement>, ShipError> {
    let known = provenance::of(context, &source.root().digest)?;
    Ok(known.map(|predicate| Statement {
        subject: subjects.iter().map(|subject| subject.digest.clone()).collect(),
        predicate_type: PROVENANCE.into(),
        predicate,
    }))
}

/// What is signed of an image: itself, and the manifests that it names.
fn subjects(source: &ImageSource, root: &Descriptor) -> Result<Vec<Descriptor>, ImageError> {
    let mut subjects = vec![root.clone()];
    if is_index(root) {
        let index: Raw<Index> = read_document(source.blobs(), root)?;
        subjects.extend(index.value().manifests.iter().filter(|entry| is_manifest(entry)).cloned());
    }
    Ok(subjects)
}

/// When an image says that it was made, RFC 3339.
fn created(source: &ImageSource, root: &Descriptor) -> Result<Option<String>, ImageError> {
    let annotations = if is_index(root) {
        read_document::<Index>(source.blobs(), root)?.value().annotations.clone()
    } else {
        read_document::<Manifest>(source.blobs(), root)?.value().annotations.clone()
    };
    Ok(annotations.get(annotation::CREATED).cloned())
}

/// The manifest of one platform.
fn only(source: &ImageSource, platform: Platform) -> Result<Descriptor, ImageError> {
    // Asking the image gives the error that lists what there is.
    source.image(platform)?;
    Ok(source.platforms()?.remove(&platform).unwrap_or_else(|| source.root().clone()))
}
