//! Where packages were fetched from, as the lock has it or as it was noted when the image was built.

use std::collections::BTreeMap;
use std::io;

use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::model::Descriptor;
use serde::Serialize;
use serde_json::Value;

use crate::build::provenance;
use crate::context::Context;
use crate::project::lock::Lock;

/// The digest that is noted of an image where it was built here: its own, or that of the image in the store which has its configuration,
/// and so its tars, for a platform. A file that was packed has one platform of what was built, its layers perhaps compressed anew.
pub(super) fn noted_as(context: &Context, source: &ImageSource) -> Digest {
    let own = &source.root().digest;
    if matches!(provenance::of(context, own), Ok(None)) {
        // What cannot be read is not it.
        alike(context, source).ok().flatten().unwrap_or_else(|| own.clone())
    } else {
        own.clone()
    }
}

fn alike(context: &Context, source: &ImageSource) -> Result<Option<Digest>, ImageError> {
    let platforms = source.platforms()?;
    let Some(platform) = platforms.keys().next().filter(|_| platforms.len() == 1) else { return Ok(None) };
    let config = source.image(*platform)?.config.digest().clone();
    let store = context.images()?;
    let is_it = |root: &Descriptor| {
        let built = ImageSource::new("an image", root.clone(), Box::new(store.clone()));
        built.image(*platform).is_ok_and(|image| *image.config.digest() == config)
    };
    let found = store.list()?.into_iter().map(|entry| entry.descriptor).find(is_it);
    Ok(found.map(|root| root.digest))
}

/// An archive that a package came out of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Download {
    /// Where it is: a path below its archive or registry (`pool/main/c/curl/curl_8_amd64.deb`), or the address that the manifest has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its digest.
    pub digest: Digest,
}

/// One archive of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The component that it brings, where that is noted.
    pub component: Option<String>,
    /// The archive.
    pub download: Download,
    /// The platforms that it is for; none where it is for all.
    pub platforms: Vec<Platform>,
}

/// The archives of a lock by their package URLs (`pkg:deb/debian/curl@8?arch=amd64`). Where a URL does not say for which platform it
/// is, each may have an archive of its own under it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(BTreeMap<String, Vec<Origin>>);

impl Origins {
    /// What a lock says for one platform.
    pub fn of_lock(lock: &Lock, platform: Platform) -> Self {
        let archives = lock.archives(platform).into_iter().map(|archive| {
            let download =
                Download { path: archive.origin.path().map(str::to_owned), digest: archive.digest.clone() };
            let component = Some(archive.component.clone());
            (archive.purl(), Origin { component, download, platforms: vec![platform] })
        });
        Self::collected(archives)
    }

    /// What was noted when an image was built here; nothing of other images.
    pub fn noted(context: &Context, source: &ImageSource) -> io::Result<Self> {
        let predicate = provenance::of(context, &noted_as(context, source))?;
        Ok(predicate.as_ref().map(Self::of_provenance).unwrap_or_default())
    }

    /// Of a predicate of SLSA provenance. What it has not, or in another form, is passed over.
    pub fn of_provenance(predicate: &Value) -> Self {
        let dependencies = predicate["buildDefinition"]["resolvedDependencies"].as_array();
        let read = |one: &Value| {
            let (algorithm, hex) = one["digest"].as_object()?.iter().next()?;
            let algorithm = match algorithm.as_str() {
                "sha256" => Algorithm::Sha256,
                "sha512" => Algorithm::Sha512,
                _ => return None,
            };
            let text = |name: &str| one["annotations"][name].as_str().map(str::to_owned);
            let digest = Digest::from_hex(algorithm, hex.as_str()?).ok()?;
            let download = Download { path: text("path"), digest };
            let platforms = one["annotations"]["platforms"].as_array().into_iter().flatten();
            let platforms = platforms.filter_map(|name| name.as_str()?.parse().ok()).collect();
            Some((
                one["uri"].as_str()?.to_owned(),
                Origin { component: text("component"), download, platforms },
            ))
        };
        Self::collected(dependencies.into_iter().flatten().filter_map(read))
    }

    fn collected(all: impl Iterator<Item = (String, Origin)>) -> Self {
        let mut origins = Self::default();
        for (purl, origin) in all {
            origins.0.entry(purl).or_default().push(origin);
        }
        origins
    }

    /// Those of one platform.
    #[must_use]
    pub fn on(&self, platform: Platform) -> Self {
        let own = self
            .iter()
            .filter(|(_, origin)| origin.platforms.is_empty() || origin.platforms.contains(&platform));
        Self::collected(own.map(|(purl, origin)| (purl.to_owned(), origin.clone())))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of all that is known.
    pub(super) fn digest(&self) -> Digest {
        let line = |(purl, origin): (&str, &Origin)| {
            let path = origin.download.path.as_deref().unwrap_or_default();
            let component = origin.component.as_deref().unwrap_or_default();
            format!("{purl} {} {path} {component}\n", origin.download.digest)
        };
        Digest::sha256(self.iter().map(line).collect::<String>().as_bytes())
    }

    /// The archive of a package. Of its URL the distribution does not count: a lock calls all of them Debian's.
    pub(super) fn get(&self, purl: &str) -> Option<&Origin> {
        let purl = purl.split_once("&distro=").map_or(purl, |(purl, _)| purl);
        let other = || {
            let (_, rest) = purl.strip_prefix("pkg:deb/")?.split_once('/')?;
            self.0.get(&format!("pkg:deb/debian/{rest}"))
        };
        self.0.get(purl).or_else(other)?.first()
    }

    /// Every archive by its package URL, with the component that it brings where that is noted.
    pub fn components(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.iter().map(|(purl, origin)| (purl, origin.component.as_deref()))
    }

    /// Every archive with its package URL.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.0.iter().flat_map(|(purl, all)| all.iter().map(|origin| (purl.as_str(), origin)))
    }
}
