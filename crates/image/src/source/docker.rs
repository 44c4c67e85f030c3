//! Reading what `docker save` writes.
//!
//! ```text
//! manifest.json            [{"Config": "FILE", "RepoTags": ["name:tag"], "Layers": ["FILE", …]}]
//! CONFIG, LAYERS           files of any name; layers are tars, or compressed ones
//! ```
//!
//! There is no manifest in it, so one is made: an OCI manifest of the same configuration and layers. The digest of an
//! uncompressed layer is its diff_id; a compressed one is hashed once when the archive is opened.

use std::collections::BTreeMap;
use std::io;
use std::io::Read;

use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::digest::HashingWriter;
use serde::Deserialize;

use super::archive::Members;
use crate::ImageError;
use crate::Reference;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::json;
use crate::json::Unknown;
use crate::json::null_as_default;
use crate::location::Location;
use crate::model::Descriptor;
use crate::model::ImageConfiguration;
use crate::model::LayerEncoding;
use crate::model::MAX_LAYERS_ACCEPTED;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::media;

/// Longest `manifest.json`, in bytes (containers/image).
const MAX_MANIFEST_JSON: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default, deserialize_with = "null_as_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    layers: Vec<String>,
    /// Fields pinfold does not know.
    #[serde(flatten)]
    other: Unknown,
}

/// An image of a Docker archive.
#[derive(Debug)]
pub(super) struct DockerArchive {
    members: Members,
    ranges: BTreeMap<Digest, (u64, u64)>,
    /// The manifest that was made.
    manifest: Raw<Manifest>,
}

impl DockerArchive {
    pub(super) fn open(place: &Location) -> Result<(Self, Descriptor), ImageError> {
        let members = Members::open(&place.path)?;
        let refuse =
            |reason: String| ImageError::Archive { archive: place.path.display().to_string(), reason };
        let saved: Vec<Saved> =
            json::read("`manifest.json`", &members.small("manifest.json")?, MAX_MANIFEST_JSON)?;
        let saved = choose(&saved, place)?;
        json::refuse_lookalikes("`manifest.json`", &saved.other, &["Config", "RepoTags", "Layers"])?;
        let config: Raw<ImageConfiguration> = Raw::parse(members.small(&saved.config)?)?;
        let ids = &config.value().rootfs.diff_ids;
        if ids.len() != saved.layers.len() || ids.len() > MAX_LAYERS_ACCEPTED {
            return Err(refuse(format!("{} layers for {} diff_ids", saved.layers.len(), ids.len())));
        }
        let mut ranges = BTreeMap::new();
        let mut layers = Vec::new();
        for (name, diff_id) in saved.layers.iter().zip(ids) {
            let range = members
                .find(name)
                .ok_or_else(|| refuse(format!("it has no layer `{}`", name.escape_debug())))?;
            let mut start = [0; 4];
            let n = members.read(range).read(&mut start)?;
            let encoding = LayerEncoding::sniff(&start[..n]);
            let digest = if encoding == LayerEncoding::Tar {
                diff_id.clone()
            } else {
                let mut hash = HashingWriter::new(Algorithm::Sha256, io::sink());
                io::copy(&mut members.read(range), &mut hash)?;
                hash.finish().1
            };
            layers.push(Descriptor::new(encoding.media_type(), digest.clone(), range.1));
            ranges.insert(digest, range);
        }
        let range = members.find(&saved.config).ok_or_else(|| refuse("its configuration is gone".into()))?;
        ranges.insert(config.digest().clone(), range);
        let manifest = Raw::synthesize(Manifest {
            schema_version: 2,
            media_type: Some(media::OCI_MANIFEST.into()),
            artifact_type: None,
            config: config.descriptor(),
            layers,
            subject: None,
            annotations: BTreeMap::new(),
            other: Unknown::new(),
        })?;
        let root = manifest.descriptor();
        Ok((Self { members, ranges, manifest }, root))
    }
}

fn choose<'a>(saved: &'a [Saved], place: &Location) -> Result<&'a Saved, ImageError> {
    let names = || saved.iter().flat_map(|image| image.repo_tags.clone()).collect::<Vec<_>>();
    match (&place.tag, saved) {
        (None, [only]) => Ok(only),
        (None, []) => Err(ImageError::rule(place.to_string(), "it holds no image")),
        (None, _) => Err(ImageError::Ambiguous { place: place.to_string(), tags: names() }),
        (Some(wanted), _) => {
            let tagged = |is: &dyn Fn(&str) -> bool| {
                let mut found = saved.iter().filter(|image| image.repo_tags.iter().any(|tag| is(tag)));
                found.next().filter(|_| found.next().is_none())
            };
            let found = tagged(&|tag| tag == wanted)
                .or_else(|| tagged(&|tag| short_name(tag).as_ref() == Some(wanted)));
            found.ok_or_else(|| ImageError::NotFound {
                reference: wanted.clone(),
                place: place.path.display().to_string(),
                known: names(),
            })
        }
    }
}

/// `name:tag` without the registry (and the namespace of one) that the writer put in front of a short name.
fn short_name(tag: &str) -> Option<String> {
    let reference: Reference = tag.parse().ok()?;
    let name = reference.repository();
    Some(format!("{}:{}", name.strip_prefix("library/").unwrap_or(name), reference.tag()?))
}

impl Blobs for DockerArchive {
    fn location(&self) -> String {
        format!("docker-archive:{}", self.members.path().display())
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        if digest == self.manifest.digest() {
            let bytes = self.manifest.bytes().to_vec();
            let size = bytes.len() as u64;
            return Ok((Box::new(io::Cursor::new(bytes)), size));
        }
        match self.ranges.get(digest) {
            Some(&range) => Ok((self.members.read(range), range.1)),
            None => Err(ImageError::MissingBlob { digest: digest.clone(), place: self.location() }),
        }
    }
}
