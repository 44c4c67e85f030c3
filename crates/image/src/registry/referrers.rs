//! What is attached to an image: the referrers API, or the tag that stands for it.
//!
//! ```text
//! GET referrers/DIGEST, page by page      and what only the tag `sha256-HEX` lists
//! ```
//!
//! Registries without the API deny it in many ways (400, 401, 403, 404, 405), and some that take a `subject` do not list it. So a
//! denial counts as "no API" only where the image itself can be read.
//!
//! **Refuses**: more than 100 pages, 1,000 entries or 8 MiB of them.

use pinfold_base::Digest;
use pinfold_base::http::Content;
use pinfold_base::http::Method;
use pinfold_base::http::SafeUrl;

use super::RegistryError;
use super::Which;
use super::client::Access;
use super::client::Call;
use super::client::Client;
use super::client::To;
use super::client::next_page;
use super::shared::Listing;
use crate::model::Descriptor;
use crate::model::Found;
use crate::model::Index;
use crate::model::MAX_DOCUMENT;
use crate::model::MAX_INDEX_ENTRIES;
use crate::model::Raw;
use crate::model::media;
use crate::sink::is_index;

/// Most pages of a list.
const MAX_PAGES: usize = 100;
/// Most bytes of all its pages.
const MAX_LIST: u64 = 8 << 20;
/// What is listed, for people.
const WHAT: &str = "what is attached to the image";

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
pub(super) fn by_api(client: &Client, subject: &Digest) -> Result<Option<Vec<Descriptor>>, RegistryError> {
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
pub(super) fn tag(subject: &Digest) -> Which {
    Which::Tag(format!("{}-{}", subject.algorithm().name(), subject.hex()))
}

/// What the tag lists.
fn by_tag(client: &Client, subject: &Digest) -> Result<Index, RegistryError> {
    let tag = tag(subject);
    Index::read(client, &tag, client.get_manifest(&tag, None)?)
}

impl Listing for Index {
    const MOST: usize = MAX_INDEX_ENTRIES;

    fn read(client: &Client, tag: &Which, found: Option<Found>) -> Result<Self, RegistryError> {
        let Some(found) = found else { return Ok(Self::new(Vec::new())) };
        if !is_index(&found.descriptor) {
            let reason = "it stands for the list of what is attached to an image, and something else has it: delete that tag";
            return Err(client.lied(&format!("tag `{tag}`"), reason));
        }
        Ok(Raw::<Self>::parse_as(found.bytes, Some(&found.descriptor.media_type))?.into_value())
    }

    fn entries(&mut self) -> &mut Vec<Descriptor> {
        &mut self.manifests
    }

    fn is_same(one: &Descriptor, other: &Descriptor) -> bool {
        one.digest == other.digest
    }

    fn compose(mut self, _: &Client) -> Result<(String, Vec<u8>), RegistryError> {
        self.media_type = Some(media::OCI_INDEX.into());
        Ok((media::OCI_INDEX.into(), Raw::compose(self)?.bytes().to_vec()))
    }
}
