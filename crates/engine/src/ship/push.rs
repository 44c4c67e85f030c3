//! `push`: an image to a registry.
//!
//! ```text
//! which of its documents ─► what it weighs ─► is it there? ─► blobs, manifests, index ─► what is attached ─► tag
//! ```
//!
//! **Guarantees**: an image of several platforms goes as its index of all of them, unless one is asked for; what is too large is
//! refused before the first request; an image that is there under its name, and that nobody signs, costs two requests.

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
use pinfold_image::registry::Client;
use pinfold_image::registry::Remote;
use pinfold_image::registry::push::RegistrySink;
use pinfold_image::registry::push::Sending;
use pinfold_image::registry::push::Sent;
use pinfold_image::registry::push::Standing;
use pinfold_image::registry::push::Would;
use pinfold_image::registry::push::standing;
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
    /// What is done about an image that is there already.
    pub repeat: Repeat,
}

/// What is done about an image that is there under its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repeat {
    /// It was sent whole, and what is attached was attached before it had its name: nothing is done, but that it is signed where somebody
    /// signs.
    #[default]
    Leave,
    /// Each of its parts is looked at, and sent where it is missing.
    Repair,
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
    /// Bills of materials that are attached; of an image that was left as it is none are looked for.
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
    /// Its parts that would be sent.
    pub missing: Vec<Descriptor>,
    /// Its parts that the registry has in a repository that they may be taken from.
    pub mounted: Vec<Descriptor>,
    /// How many of its parts are there.
    pub there: usize,
    /// Bytes of what is missing.
    pub bytes: u64,
    /// What would be signed, and how much of that is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// Bills of materials that would be attached.
    #[serde(rename = "sbom", skip_serializing_if = "Option::is_none")]
    pub bills: Option<Billed>,
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
    let sending = sending(source, destination, options);
    let reference = destination.to_string();
    let standing = match (standing(&client, sending.tag.as_deref(), &root)?, options.repeat) {
        (Standing::There, Repeat::Repair) => Standing::Named,
        (standing, _) => standing,
    };
    let there = Sent { unchanged: true, ..Sent::default() };
    if standing == Standing::There && options.sign.is_none() {
        return Ok(Pushed {
            reference,
            digest: root.digest,
            platforms,
            sent: there,
            signed: None,
            bills: None,
        });
    }
    let wanted = Wanted::of(context, source, &root, options)?;
    let lacking = wanted.lacking(&client)?;
    let prepared = sign::prepare(
        lacking,
        options.sign.as_ref(),
        destination.name(),
        created(source, &root)?.as_deref(),
        wanted.bills.as_ref(),
    )?;
    let attach = || sign::attach(&client, &prepared, &*context.reporter);
    let (sent, new) = if standing == Standing::There {
        (there, attach()?)
    } else {
        // Before the tag, so that nobody finds the image under its name without its signature.
        let new = Mutex::new(sign::New::default());
        let attach = || {
            *new.lock().unwrap_or_else(PoisonError::into_inner) = attach()?;
            Ok(())
        };
        let sink = RegistrySink::new(&client, &sending, &*context.reporter);
        let sink = sink.knowing(standing).before_tag(&attach);
        let told = sink.told();
        copy(source.blobs(), &root, sink)?;
        let sent = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (sent, new.into_inner().unwrap_or_else(PoisonError::into_inner))
    };
    let (signed, bills) = wanted.told(new);
    Ok(Pushed { reference, digest: root.digest, platforms, sent, signed, bills })
}

/// How an image is sent there.
fn sending(source: &ImageSource, destination: &Reference, options: &Options) -> Sending {
    Sending {
        tag: destination.tag().map(Into::into),
        mount_from: options.mount_from.iter().cloned().chain(bases(source, destination)).collect(),
        ..Sending::default()
    }
}

/// What is to be attached to an image.
struct Wanted<'a> {
    signing: Option<&'a Signing>,
    /// The index, and the manifest of each platform.
    subjects: Vec<Descriptor>,
    provenance: Option<Statement>,
    bills: Option<Bills<'a>>,
}

impl<'a> Wanted<'a> {
    fn of(
        context: &'a Context,
        source: &'a ImageSource,
        root: &Descriptor,
        options: &'a Options,
    ) -> Result<Self, ShipError> {
        let subjects = subjects(source, root)?;
        let provenance = match &options.sign {
            Some(signing) if signing.has_bundles() => provenance(context, source, &subjects)?,
            _ => None,
        };
        let bills = match options.bill {
            Bill::Attach => Some(Bills::of(context, source)?),
            Bill::Leave => None,
        };
        Ok(Self { signing: options.sign.as_ref(), subjects, provenance, bills })
    }

    /// What the registry does not have of it.
    fn lacking(&self, client: &Client) -> Result<Vec<sign::Lacking>, ShipError> {
        let Self { signing, subjects, provenance, bills } = self;
        sign::lacking(client, *signing, subjects, provenance.as_slice(), bills.as_ref())
    }

    /// What is told of it, when so much of it is new.
    fn told(self, new: sign::New) -> (Option<Signed>, Option<Billed>) {
        let signed = self.signing.map(|signing| Signed {
            digests: self.subjects.into_iter().map(|subject| subject.digest).collect(),
            new: new.signed,
            provenance: self.provenance.is_some(),
            has_bundles: signing.has_bundles(),
            key: signing.public().hint(),
        });
        (signed, self.bills.is_some().then_some(Billed { new: new.bills }))
    }
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
    let parts = would_send(&client, source.blobs(), &root, &sending(source, destination, options))?;
    let wanted = Wanted::of(context, source, &root, options)?;
    let new = sign::New::of(&wanted.lacking(&client)?);
    let (signed, bills) = wanted.told(new);
    let of = |what| {
        let parts = parts.iter().filter(move |(_, would)| *would == what);
        parts.map(|(part, _)| part.clone()).collect::<Vec<_>>()
    };
    let missing = of(Would::Send);
    Ok(Planned {
        reference: destination.to_string(),
        digest: root.digest,
        platforms,
        there: of(Would::Stay).len(),
        mounted: of(Would::Mount),
        bytes: missing.iter().fold(0, |sum: u64, part| sum.saturating_add(part.size)),
        missing,
        signed,
        bills,
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
