//! A source that exists only in tests: what a new source needs is this folder, its `mod` and its line in the list.
//!
//! ```text
//! manifest   [toy]  shop = ADDRESS, names = ["bear"]
//! shop       ADDRESS/NAME: `VERSION` and a newline, and that is the file, too
//! lock       [toy]  "bear" = { version, sha256, size }
//! image      /toys/bear
//! ```

mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_archive::Component;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::MemberKind;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::http;
use pinfold_base::http::SafeUrl;
use pinfold_image::plan::Volatility;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::Archive;
use super::Asking;
use super::Date;
use super::Locate;
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
use crate::project::lock::LockError;
use crate::project::manifest::ManifestError;

/// The toy shop.
#[derive(Debug)]
pub struct Toys;

/// `[toy]`, as typed and as it is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToyFile {
    /// The shop's address.
    shop: String,
    /// Toys.
    names: Vec<String>,
}

/// One toy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedToy {
    version: String,
    sha256: Digest,
    size: u64,
}

impl Section for Toys {
    type Typed = ToyFile;
    type Request = ToyFile;
    type Locked = BTreeMap<String, LockedToy>;

    fn overlaid(preset: ToyFile, over: ToyFile) -> ToyFile {
        if over == ToyFile::default() { preset } else { over }
    }

    fn meaning(typed: ToyFile, _: &Path) -> Result<ToyFile, ManifestError> {
        match typed.names.iter().find(|name| name.contains('/')) {
            Some(name) => Err(ManifestError::value("toy.names", format!("`{name}` is no toy"))),
            None => Ok(typed),
        }
    }
}

impl Source for Toys {
    fn prefix(&self) -> &'static str {
        "toy"
    }

    fn names(&self, project: &Project) -> Vec<String> {
        project.manifest.sources.toy.names.clone()
    }

    fn request(&self, project: &Project) -> Option<String> {
        let wanted = &project.manifest.sources.toy;
        if wanted.names.is_empty() { None } else { json(&wanted.names) }
    }

    fn trusts(&self, project: &Project, _: &Environment) -> Vec<Trust> {
        let wanted = &project.manifest.sources.toy;
        if wanted.shop.is_empty() { Vec::new() } else { vec![Trust::address("toys", &wanted.shop)] }
    }

    fn resolve(&self, asking: &Asking<'_>, lock: &mut Lock) -> Result<Vec<String>, SourceError> {
        let Remotes { context, project, .. } = asking.remotes;
        for name in &project.manifest.sources.toy.names {
            let old = asking
                .old
                .and_then(|lock| lock.toy.get(name))
                .filter(|_| !asking.upgrade.moves(&format!("toy/{name}")));
            let toy = if let Some(old) = old {
                old.clone()
            } else {
                let source = at(asking.remotes, name)?;
                let client = context.http().map_err(SourceError::of)?;
                let (sha256, size) = client
                    .download_unknown(
                        &source,
                        name,
                        &context.store,
                        99,
                        Algorithm::Sha256,
                        &*context.reporter,
                    )
                    .map_err(SourceError::of)?;
                let text = fs_err::read_to_string(context.store.path(&sha256)).map_err(LockError::from);
                LockedToy { version: text.map_err(SourceError::of)?.trim().to_owned(), sha256, size }
            };
            lock.toy.insert(name.clone(), toy);
        }
        Ok(Vec::new())
    }

    fn archives<'a>(&self, lock: &'a Lock, _: Platform) -> Vec<Archive<'a>> {
        let archive = |(name, toy): (&'a String, &'a LockedToy)| Archive {
            component: format!("toy/{name}"),
            version: toy.version.clone(),
            what: format!("{name} {}", toy.version),
            digest: &toy.sha256,
            size: Some(toy.size),
            format: Format::Raw,
            origin: Box::new(OnShelf(name)),
        };
        lock.toy.iter().map(archive).collect()
    }

    fn date(&self, lock: &Lock) -> Option<Date> {
        lock.toy.values().map(|toy| Date::Published(toy.size)).max()
    }

    fn place(&self, placing: &Placing<'_>) -> Result<Placed, SourceError> {
        let mut tree = Tree::new();
        for (name, toy) in &placing.lock.toy {
            let listing = placing.listing(name, &toy.sha256, Format::Raw)?;
            let MemberKind::File { content } = &listing.data[0].kind else {
                unreachable!("a raw file is a file")
            };
            let owner = Component::new("toy", name);
            let node = Node::file(&owner, Metadata::root(0o644, STILL), content.clone());
            tree.add(ImagePath::new(format!("toys/{name}"))?, node)?;
        }
        Ok(tree.into())
    }

    fn volatility(&self, _: &Project, _: &str) -> Volatility {
        Volatility::Volatile
    }
}

struct OnShelf<'a>(&'a str);

impl Locate for OnShelf<'_> {
    fn locate(&self, remotes: &Remotes<'_>) -> Result<Vec<http::Source>, SourceError> {
        Ok(vec![at(remotes, self.0)?])
    }
}

fn at(remotes: &Remotes<'_>, name: &str) -> Result<http::Source, SourceError> {
    let address = format!("{}/{name}", remotes.project.manifest.sources.toy.shop);
    SafeUrl::parse(&address)
        .map(http::Source::open)
        .map_err(|error| SourceError::of(http::HttpError::from(error)))
}
