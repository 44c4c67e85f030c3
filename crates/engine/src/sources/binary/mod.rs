//! Programs by URL: `[[binary]]`.

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_archive::Component;
use pinfold_archive::Tree;
use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::digest::ParseDigestError;
use pinfold_base::http;
use pinfold_image::plan::Volatility;
use pinfold_sources::binary;
use pinfold_sources::binary::LockedBinary;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::Archive;
use super::Asking;
use super::Date;
use super::Locate;
use super::PROGRAM;
use super::Placed;
use super::Placing;
use super::Remotes;
use super::STILL;
use super::Section;
use super::Source;
use super::SourceError;
use super::Trust;
use super::json;
use crate::context::Environment;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::manifest::AbsolutePath;
use crate::project::manifest::ManifestError;
use crate::project::manifest::PlatformName;

/// Addresses of the user's own.
#[derive(Clone, Copy, Debug)]
pub struct Binaries;

/// What a file is that an address gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// A zip or a tar where the name says so, else told from the bytes: a tar, one compressed file, or the program itself.
    #[default]
    Auto,
    /// A tar, plain or compressed.
    Tar,
    /// A zip.
    Zip,
    /// The program itself, also where it is compressed or an archive.
    Raw,
}

impl FileFormat {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl From<FileFormat> for binary::BinaryFormat {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Auto => Self::Auto,
            FileFormat::Tar => Self::Tar,
            FileFormat::Zip => Self::Zip,
            FileFormat::Raw => Self::Raw,
        }
    }
}

/// A program fetched by URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Binary {
    /// Name of the component.
    pub name: String,
    /// Version, for people and the SBOM.
    pub version: String,
    /// Per platform the address, with `{version}` filled in.
    pub url: BTreeMap<PlatformName, String>,
    /// Per platform the SHA-256 in hexadecimal; filled into the lock where absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sha256: BTreeMap<PlatformName, String>,
    /// Platforms that it is for; all of the image's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<PlatformName>>,
    /// What the file is; told from its name and its bytes unless said.
    #[serde(default, skip_serializing_if = "FileFormat::is_auto")]
    pub format: FileFormat,
    /// Archive members (path in the archive → path in the image). For a plain executable the single key is `"."`.
    pub members: BTreeMap<String, AbsolutePath>,
}

impl Binary {
    fn is_for(&self, platform: Platform) -> bool {
        self.platforms.as_ref().is_none_or(|platforms| platforms.contains(&PlatformName(platform)))
    }
}

/// A digest of the manifest is none.
#[derive(Debug, thiserror::Error)]
#[error("`sha256` of the binary `{name}` is wrong")]
struct WrongDigest {
    name: String,
    source: ParseDigestError,
}

impl Diagnose for WrongDigest {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }
}

impl Section for Binaries {
    type Typed = Vec<Binary>;
    type Request = Vec<Binary>;
    type Locked = BTreeMap<Platform, Vec<LockedBinary>>;

    fn overlaid(mut preset: Self::Typed, over: Self::Typed) -> Self::Typed {
        preset.retain(|old| !over.iter().any(|new| old.name == new.name));
        preset.extend(over);
        preset
    }

    fn meaning(typed: Self::Typed, _: &Path) -> Result<Self::Request, ManifestError> {
        Ok(typed)
    }

    fn fits(wanted: &Self::Request, platforms: &[Platform]) -> Result<(), ManifestError> {
        for binary in wanted {
            let wrong =
                |message: String| Err(ManifestError::value(format!("binary `{}`", binary.name), message));
            let built: Vec<Platform> =
                platforms.iter().copied().filter(|built| binary.is_for(*built)).collect();
            let without = built.iter().find(|built| !binary.url.contains_key(&PlatformName(**built)));
            if let Some(without) = without {
                let with: Vec<String> = binary.url.keys().map(|name| format!("\"{}\"", name.0)).collect();
                return wrong(format!(
                    "it has no address for {without}: add `url.\"{without}\" = \"https://…\"` to its entry, or \
                     `platforms = [{}]` if it is for no other",
                    with.join(", ")
                ));
            }
            if built.is_empty() {
                return wrong("its `platforms` name none of the image's".into());
            }
        }
        Ok(())
    }
}

impl Source for Binaries {
    fn prefix(&self) -> &'static str {
        "binary"
    }

    fn names(&self, project: &Project) -> Vec<String> {
        project.manifest.sources.binary.iter().map(|binary| binary.name.clone()).collect()
    }

    fn request(&self, project: &Project) -> Option<String> {
        let wanted = &project.manifest.sources.binary;
        if wanted.is_empty() { None } else { json(wanted) }
    }

    fn trusts(&self, project: &Project, _: &Environment) -> Vec<Trust> {
        let wanted = project.manifest.sources.binary.iter();
        wanted.flat_map(addresses).map(|(_, url)| Trust::address(PROGRAM, &url)).collect()
    }

    /// What is locked for the same address stays; anything else is fetched to learn its digest.
    fn resolve(&self, asking: &Asking<'_>, lock: &mut Lock) -> Result<Vec<String>, SourceError> {
        let Remotes { context, project, .. } = asking.remotes;
        for wanted in &project.manifest.sources.binary {
            let request = request(wanted)?;
            let platforms = project.manifest.platforms.iter();
            for &platform in platforms.filter(|platform| request.urls.contains_key(platform)) {
                let old = asking.old.and_then(|lock| lock.binaries.get(&platform)).into_iter().flatten();
                let old = old.into_iter().find(|binary| binary.name == wanted.name);
                // Where the digest is not typed, only asking tells whether there is another file now.
                let old = old.filter(|_| !asking.upgrade.moves(&format!("binary/{}", wanted.name)));
                let http = context.http().map_err(SourceError::of)?;
                let file = binary::lock(http, &context.store, &request, platform, old, &*context.reporter)
                    .map_err(SourceError::of)?;
                lock.binaries.entry(platform).or_default().push(file);
            }
        }
        Ok(Vec::new())
    }

    fn archives<'a>(&self, lock: &'a Lock, platform: Platform) -> Vec<Archive<'a>> {
        let archive = |binary: &'a LockedBinary| Archive {
            component: format!("binary/{}", binary.name),
            version: binary.version.clone(),
            what: format!("{} {} ({platform})", binary.name, binary.version),
            digest: &binary.sha256,
            size: Some(binary.size),
            format: binary.decode_as(),
            origin: Box::new(AtAddress(binary)),
        };
        lock.binaries.get(&platform).into_iter().flatten().map(archive).collect()
    }

    fn date(&self, _: &Lock) -> Option<Date> {
        None
    }

    fn place(&self, placing: &Placing<'_>) -> Result<Placed, SourceError> {
        let mut tree = Tree::new();
        for wanted in &placing.project.manifest.sources.binary {
            tree.merge(program(placing, wanted)?)?;
        }
        Ok(tree.into())
    }

    fn volatility(&self, _: &Project, _: &str) -> Volatility {
        Volatility::Weekly
    }
}

/// The address of each platform, as it is asked.
fn addresses(wanted: &Binary) -> impl Iterator<Item = (Platform, String)> {
    let urls = wanted.url.iter().filter(|(name, _)| wanted.is_for(name.0));
    urls.map(|(name, url)| (name.0, url.replace("{version}", &wanted.version)))
}

fn request(wanted: &Binary) -> Result<binary::BinaryRequest, SourceError> {
    let urls = addresses(wanted);
    let mut sha256 = BTreeMap::new();
    for (name, hex) in &wanted.sha256 {
        let wrong = |source| SourceError::of(WrongDigest { name: wanted.name.clone(), source });
        sha256.insert(name.0, Digest::from_hex(Algorithm::Sha256, hex).map_err(wrong)?);
    }
    Ok(binary::BinaryRequest {
        name: wanted.name.clone(),
        version: wanted.version.clone(),
        urls: urls.collect(),
        sha256,
        format: wanted.format.into(),
        members: Vec::new(),
    })
}

/// A file at the user's own address.
struct AtAddress<'a>(&'a LockedBinary);

impl Locate for AtAddress<'_> {
    fn locate(&self, _: &Remotes<'_>) -> Result<Vec<http::Source>, SourceError> {
        Ok(vec![self.0.source().map_err(SourceError::of)?])
    }

    fn address(&self) -> Option<&str> {
        Some(&self.0.url)
    }

    fn is_typed(&self, project: &Project, platform: Platform) -> bool {
        let entry = project.manifest.sources.binary.iter().find(|binary| binary.name == self.0.name);
        entry.is_some_and(|entry| entry.sha256.contains_key(&PlatformName(platform)))
    }
}

/// One program.
fn program(placing: &Placing<'_>, wanted: &Binary) -> Result<Tree, SourceError> {
    if !wanted.is_for(placing.platform) {
        return Ok(Tree::new());
    }
    let mut locked = placing.lock.binaries.get(&placing.platform).into_iter().flatten();
    let missing = || SourceError::not_locked(format!("binary/{}", wanted.name), placing.platform);
    let locked = locked.find(|binary| binary.name == wanted.name).ok_or_else(missing)?;
    let what = format!("{} {}", wanted.name, wanted.version);
    let listing = placing.listing(&what, &locked.sha256, locked.decode_as())?;
    let mut members = Vec::new();
    for (from, to) in &wanted.members {
        let from = ImagePath::new(from)?;
        members.push(binary::Member { from, to: to.0.clone(), mode: None });
    }
    let owner = Component::new("binary", &wanted.name);
    binary::place(&what, &listing, &members, &owner, STILL).map_err(SourceError::of)
}
