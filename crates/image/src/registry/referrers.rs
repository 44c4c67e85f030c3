//! What is attached to an image: the referrers API, or the tag that stands for it.
//!
//! ```text
//!   attach   config and content as blobs ─► a manifest with `subject`, by digest ─► the registry lists it: done
//!                                                                               └► tag `sha256-HEX`: read, add, write, read again
//!   list     GET referrers/DIGEST, page by page, and what only the tag has
//! ```
//!
//! Registries without the API deny it in many ways (400, 401, 403, 404, 405), and some that take a `subject` do not list it. So a
//! denial counts as "no API" only where the image itself can be read, and what was attached counts when it is listed.
//!
//! **Guarantees**: attaching the same twice attaches it once; entries of others are kept with all their fields; type and annotations of
//! what is attached stand in its entry, as readers of the tag want it.
//! **Refuses**: more than 100 pages, 1,000 entries or 8 MiB of them, a tag that keeps losing what is written to it.
//! (Registries know no conditional writes. Of two who write at the same moment one loses; each reads again what it wrote, at once and
//! when whoever had read the tag before it must have written, and writes it once more.)

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Digest;
use pinfold_base::http::Content;
use pinfold_base::http::Method;
use pinfold_base::http::SafeUrl;

use super::RegistryError;
use super::Which;
use super::client::Access;
use super::client::Again;
use super::client::Call;
use super::client::Client;
use super::client::To;
use super::client::next_page;
use crate::ImageError;
use crate::json::Unknown;
use crate::model::Descriptor;
use crate::model::Index;
use crate::model::MAX_DOCUMENT;
use crate::model::MAX_INDEX_ENTRIES;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::media;
use crate::sink::is_index;

/// Most pages of a list.
const MAX_PAGES: usize = 100;
/// Most bytes of all its pages.
const MAX_LIST: u64 = 8 << 20;
/// What is listed, for people.
const WHAT: &str = "what is attached to the image";
/// How often the tag is written for one entry.
const ROUNDS: u32 = 5;
/// How long after it was written an entry is looked for once more, at least.
const SETTLED: Duration = Duration::from_millis(150);
/// And as how many times the reading and writing of the tag took: others who are at it meanwhile need about as long, more where the
/// registry is busy, and are done by then.
const SETTLED_FACTOR: u32 = 8;
/// How long is waited for that at most.
const SETTLED_MAX: Duration = Duration::from_secs(5);
/// The configuration of what has none.
const EMPTY: &[u8] = b"{}";

/// Something to be attached to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// What it is.
    pub artifact_type: String,
    /// The media type of its content.
    pub media_type: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Further information by name.
    pub annotations: BTreeMap<String, String>,
}

/// What came of attaching.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attached {
    /// It is attached now; its manifest.
    New(Digest),
    /// It was attached before.
    There(Digest),
}

/// The manifest of an artifact that is attached to `subject`; equal artifacts have equal ones.
fn manifest(subject: &Descriptor, artifact: &Artifact) -> Result<Raw<Manifest>, ImageError> {
    let blob = |media_type: &str, bytes: &[u8]| {
        Descriptor::new(media_type, Digest::sha256(bytes), bytes.len() as u64)
    };
    Raw::compose(Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.into()),
        artifact_type: Some(artifact.artifact_type.clone()),
        config: blob(media::OCI_EMPTY, EMPTY),
        layers: vec![blob(&artifact.media_type, &artifact.bytes)],
        subject: Some(Descriptor::new(&subject.media_type, subject.digest.clone(), subject.size)),
        annotations: artifact.annotations.clone(),
        other: Unknown::new(),
    })
}

/// Attaches an artifact to an image that is in the repository.
pub fn attach(client: &Client, subject: &Descriptor, artifact: &Artifact) -> Result<Attached, RegistryError> {
    attach_beside(client, subject, &list(client, &subject.digest)?, artifact)
}

/// The same where it is known what is attached already.
pub fn attach_beside(
    client: &Client,
    subject: &Descriptor,
    listed: &[Descriptor],
    artifact: &Artifact,
) -> Result<Attached, RegistryError> {
    let manifest = manifest(subject, artifact)?;
    let digest = manifest.digest().clone();
    if listed.iter().any(|entry| entry.digest == digest) {
        return Ok(Attached::There(digest));
    }
    send(client, &manifest.value().config, EMPTY)?;
    send(client, &manifest.value().layers[0], &artifact.bytes)?;
    client.put_manifest(&Which::Digest(digest.clone()), media::OCI_MANIFEST, manifest.bytes())?;
    let listed = by_api(client, &subject.digest)?;
    if listed.is_some_and(|entries| entries.iter().any(|entry| entry.digest == digest)) {
        return Ok(Attached::New(digest));
    }
    let mut entry = manifest.descriptor();
    entry.artifact_type = Some(artifact.artifact_type.clone());
    entry.annotations.clone_from(&artifact.annotations);
    add(client, &subject.digest, &entry)?;
    Ok(Attached::New(digest))
}

/// Everything that is attached to an image, in no order that means anything. What an entry says of itself is nobody's word: its
/// manifest is.
pub fn list(client: &Client, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
    let mut entries = by_api(client, subject)?.unwrap_or_default();
    // Registries that learnt the API later list nothing of what was attached before, and then only what is attached since.
    let further = by_tag(client, subject)?.manifests;
    let new = |entry: &Descriptor| !entries.iter().any(|there| there.digest == entry.digest);
    let further: Vec<Descriptor> = further.into_iter().filter(new).collect();
    entries.extend(further);
    Ok(entries)
}

/// What the referrers API lists; `None` where there is none.
fn by_api(client: &Client, subject: &Digest) -> Result<Option<Vec<Descriptor>>, RegistryError> {
    let path = format!("referrers/{subject}");
    let mut next: Option<SafeUrl> = None;
    let (mut entries, mut size) = (Vec::new(), 0);
    for _ in 0..MAX_PAGES {
        let call = Call {
            method: Method::Get,
            to: next.as_ref().map_or(To::Path(&path, &[]), To::Url),
            accept: &[media::OCI_INDEX],
            headers: &[],
            content: Content::None,
            access: Access::Pull,
        };
        let (reply, bytes) = match client.read(WHAT, &call, MAX_DOCUMENT) {
            Err(denied @ RegistryError::Denied { .. }) if next.is_none() => {
                let image = client.head_manifest(&Which::Digest(subject.clone()));
                return if matches!(image, Ok(Some(_))) { Ok(None) } else { Err(denied) };
            }
            read => read?,
        };
        match reply.status() {
            200 => {}
            400 | 404 | 405 if next.is_none() => return Ok(None),
            _ => return Err(client.refused(WHAT, reply)),
        }
        size += bytes.len() as u64;
        if size > MAX_LIST {
            return Err(client.lied(WHAT, format!("its list has more than {MAX_LIST} bytes")));
        }
        let index = Raw::<Index>::parse_as(bytes, Some(media::OCI_INDEX))
            .map_err(|error| client.unshown(WHAT, &reply, error))?;
        entries.extend(index.into_value().manifests);
        if entries.len() > MAX_INDEX_ENTRIES {
            break;
        }
        next = match reply.header("link").and_then(next_page) {
            None => return Ok(Some(entries)),
            Some(link) => Some(reply.resolve(link)?),
        };
        if next.as_ref().is_some_and(|next| !next.same_origin(reply.url())) {
            return Err(client.lied(WHAT, "the next page of its list is on another host"));
        }
    }
    Err(client.lied(WHAT, "its list has no end"))
}

/// The tag that stands for the API (distribution-spec, "Referrers Tag Schema").
fn tag(subject: &Digest) -> Which {
    Which::Tag(format!("{}-{}", subject.algorithm().name(), subject.hex()))
}

/// What the tag lists.
fn by_tag(client: &Client, subject: &Digest) -> Result<Index, RegistryError> {
    let tag = tag(subject);
    let Some(found) = client.get_manifest(&tag, None)? else { return Ok(Index::new(Vec::new())) };
    if !is_index(&found.descriptor) {
        let reason = "it stands for the list of what is attached to an image, and something else has it: delete that tag";
        return Err(client.lied(&format!("tag `{tag}`"), reason));
    }
    Ok(Raw::<Index>::parse_as(found.bytes, Some(&found.descriptor.media_type))?.into_value())
}

/// Adds an entry to the tag, and sees to it that it stays.
fn add(client: &Client, subject: &Digest, entry: &Descriptor) -> Result<(), RegistryError> {
    let (mut took, mut attempts) = (Duration::ZERO, client.attempts());
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let mut index = by_tag(client, subject)?;
        let is_in = |index: &Index| index.manifests.iter().any(|there| there.digest == entry.digest);
        if is_in(&index) {
            if round == 0 {
                return Ok(());
            }
            // Whoever had read the tag before ours was in it writes it now.
            std::thread::sleep((took * SETTLED_FACTOR).clamp(SETTLED, SETTLED_MAX));
            if is_in(&by_tag(client, subject)?) {
                return Ok(());
            }
            continue;
        }
        if round == ROUNDS || (round > 0 && !attempts.again(Duration::ZERO, 0, None)) {
            break;
        }
        index.media_type = Some(media::OCI_INDEX.into());
        index.manifests.push(entry.clone());
        let index = Raw::compose(index)?;
        client.put_manifest(&tag(subject), media::OCI_INDEX, index.bytes())?;
        took = begun.elapsed();
    }
    Err(RegistryError::Half { what: format!("what is attached to {subject}"), entries: 1 })
}

/// Sees to it that the repository has a blob. It is small, so it is sent again from its beginning where that fails.
pub(super) fn send(client: &Client, blob: &Descriptor, bytes: &[u8]) -> Result<(), RegistryError> {
    if client.head_blob(&blob.digest)? == Some(blob.size) {
        return Ok(());
    }
    let call = |method, to, headers, content| Call {
        method,
        to,
        accept: &[],
        headers,
        content,
        access: Access::Push,
    };
    let begun =
        client.call(&call(Method::Post, To::Path("blobs/uploads/", &[]), &[], Content::None), Again::Yes)?;
    if begun.status() != 202 {
        return Err(client.refused("an upload", begun));
    }
    let place = begun.location()?.and_query(&[("digest", &blob.digest.to_string())]);
    let headers: &[(&'static str, &str)] = &[("content-type", "application/octet-stream")];
    let sent =
        client.call(&call(Method::Put, To::Url(&place), headers, Content::Bytes(bytes)), Again::Never)?;
    match sent.status() {
        201 => Ok(()),
        _ => Err(client.refused("an upload", sent)),
    }
}

#[cfg(test)]
mod tests;
