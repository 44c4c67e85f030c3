//! Where a path of an image comes from: through which links it leads, which component, version and layer brought what is there, what
//! that was fetched as, and which install scripts had a hand in it.
//!
//! **Guarantees**: links are followed inside the image alone, as the kernel would with the image as its root; a circle of them ends.
//! What is not known is left out, never guessed: without the image's lock there is no word about downloads and scripts but those that
//! were noted when it was built.

pub mod effects;
mod missing;

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_image::contents::Contents;
use pinfold_image::contents::Found;
use pinfold_image::contents::What;
use pinfold_image::survey::Way;
use serde::Serialize;

use self::effects::Effect;
use self::effects::Makers;
pub use self::missing::Missing;
use super::Download;
use super::PackageKind;
use super::generated;
use super::side::File;
use super::side::Side;
use crate::project::lock::Lock;

/// What generated files are told as that have no place of their own.
const FILES: &str = "generated/files";

/// All that is known of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The platform that was looked at.
    pub platform: Platform,
    /// The path that was asked for.
    pub asked: String,
    /// Links that it leads through, in their order.
    pub links: Vec<Hop>,
    /// Where it ends.
    pub path: String,
    /// What is there.
    pub found: Option<Entry>,
    /// What is near, where nothing is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// A symbolic link on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Where it is.
    pub link: String,
    /// What it says.
    pub target: String,
    /// What it came with, where that is known.
    pub component: Option<String>,
    /// The number of its layer, 1 being the lowest.
    pub layer: usize,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// `file`, `directory`, `symbolic link` or `special file`.
    pub kind: &'static str,
    /// Its type and mode as `ls -l` writes them.
    pub mode: String,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes of a file.
    pub size: u64,
    /// SHA-256 of a file's content.
    pub digest: Option<Digest>,
    /// What it came with, where that is known.
    pub component: Option<String>,
    /// The version of that.
    pub version: Option<String>,
    /// Its package, and the version of that.
    pub package: Option<Package>,
    /// Why it is there, in one sentence.
    pub reason: String,
    /// The layer that brought it.
    pub layer: Layer,
    /// What it was fetched as.
    pub download: Option<Download>,
    /// What install scripts did to it.
    pub effects: Vec<Effect>,
    /// What layers below had at this path, the lowest first.
    pub before: Vec<Earlier>,
    /// What is in it, where it is a directory: all paths below, by component.
    pub below: Vec<Share>,
}

/// A package of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Package {
    /// Its name: `libc6`.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Its package URL.
    pub purl: String,
    /// The licence that it declares, as an SPDX expression.
    pub license: Option<String>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Its number, 1 being the lowest.
    pub number: usize,
    /// Digest of its blob.
    pub digest: Digest,
    /// Digest of its tar.
    pub diff_id: Digest,
    /// What its history says of it.
    pub created_by: String,
}

/// What a layer had at a path until another one replaced or hid it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Earlier {
    /// The number of the layer that had it, 1 being the lowest.
    pub layer: usize,
    /// The number of the layer that took it away.
    pub until: usize,
    /// What it was.
    pub kind: &'static str,
    /// Permission bits, in octal.
    pub mode: String,
    /// Bytes of a file.
    pub size: u64,
    /// SHA-256 of a file's content.
    pub digest: Option<Digest>,
}

/// What a component has below a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The component; none of paths that nobody says anything of.
    pub component: Option<String>,
    /// How many paths.
    pub paths: usize,
    /// Bytes of its files.
    pub size: u64,
}

/// Explains a path of one platform. `lock` is the image's, where it is known.
pub fn explain(side: &Side, lock: Option<&Lock>, path: &ImagePath) -> Explained {
    let nothing = Contents::default();
    let contents = side.contents().unwrap_or(&nothing);
    let Way { links, end, .. } = contents.way(path.as_bytes());
    let hops = links.iter().map(|(link, target)| {
        let file = side.file(link);
        Hop {
            link: link.to_string(),
            target: String::from_utf8_lossy(target).into_owned(),
            component: file.and_then(|file| file.component.clone()),
            layer: file.map_or(0, |file| file.layer),
        }
    });
    let hops: Vec<Hop> = hops.collect();
    let found = match (&end, end.is_root()) {
        (_, true) => Some(root(side)),
        (end, false) => side
            .file(end)
            .zip(contents.paths.get(end))
            .map(|(file, found)| entry(side, lock, contents, (end, file, found))),
    };
    let missing = found.is_none().then(|| missing::missing(contents, &end));
    Explained {
        platform: side.platform(),
        asked: path.to_string(),
        links: hops,
        path: end.to_string(),
        found,
        missing,
    }
}

fn entry(
    side: &Side,
    lock: Option<&Lock>,
    contents: &Contents,
    (path, file, found): (&ImagePath, &File, &Found),
) -> Entry {
    let ledger = lock.and_then(|lock| lock.ledger.get(&side.platform())).map_or(&[][..], Vec::as_slice);
    let effects = effects::on(ledger, path);
    // What a script made is its package's, where nobody else is known.
    let by_script = || {
        let description = side.description.as_ref()?;
        let component = Makers::of(ledger).component(description, path, found.layer)?;
        Some(component.to_owned())
    };
    let component = file.component.clone().or_else(by_script);
    // Of several scripts the one of the component that the path is told as.
    let of = |package: &str| {
        let mut all = side.description.iter().flat_map(|description| &description.packages);
        let is_it = |one: &&super::Package| one.kind == PackageKind::Deb && one.name == package;
        all.find(is_it).and_then(|one| one.component.as_deref())
    };
    let maker = effects.iter().find(|effect| of(&effect.package) == component.as_deref());
    let maker = maker.or(effects.first());
    let version = component.as_ref().and_then(|name| {
        side.components.iter().find(|one| one.name == *name).and_then(|one| one.version.clone())
    });
    let told = side.description.as_ref().and_then(|description| description.package_of(path));
    let package = told.map(|package| Package {
        name: package.name.clone(),
        version: package.version.clone(),
        purl: package.purl.clone(),
        license: package.license.as_ref().map(|license| license.expression.clone()),
    });
    let download = told.and_then(|package| package.download.clone());
    let before = contents.before.get(path).into_iter().flatten();
    Entry {
        kind: kind(&found.what),
        mode: file.mode.clone(),
        uid: file.uid,
        gid: file.gid,
        size: file.size,
        digest: file.digest.clone(),
        reason: reason(component.as_deref(), package.as_ref(), maker),
        component,
        version,
        package,
        layer: layer(side, file.layer),
        download,
        effects,
        before: before.map(|one| earlier(&one.was, one.by)).collect(),
        below: if found.what == What::Directory { shares(side, path) } else { Vec::new() },
    }
}

/// The root has no entry of its own; what stands in it is what is asked.
fn root(side: &Side) -> Entry {
    Entry {
        kind: "directory",
        mode: "drwxr-xr-x".into(),
        uid: 0,
        gid: 0,
        size: 0,
        digest: None,
        component: None,
        version: None,
        package: None,
        reason: "it is the root of the image".into(),
        layer: layer(side, 1),
        download: None,
        effects: Vec::new(),
        before: Vec::new(),
        below: shares(side, &ImagePath::root()),
    }
}

fn kind(what: &What) -> &'static str {
    match what {
        What::Directory => "directory",
        What::File(_) => "file",
        What::Link(_) => "symbolic link",
        What::Other => "special file",
    }
}

fn earlier(was: &Found, by: usize) -> Earlier {
    Earlier {
        layer: was.layer + 1,
        until: by + 1,
        kind: kind(&was.what),
        mode: format!("{:04o}", was.mode),
        size: was.size,
        digest: was.sha256().cloned(),
    }
}

fn layer(side: &Side, number: usize) -> Layer {
    let summary = number.checked_sub(1).and_then(|at| side.summary.layers.get(at));
    Layer {
        number,
        digest: summary.map_or_else(|| side.summary.manifest.clone(), |layer| layer.digest.clone()),
        diff_id: summary.map_or_else(|| side.summary.manifest.clone(), |layer| layer.diff_id.clone()),
        created_by: summary.map(|layer| layer.created_by.clone()).unwrap_or_default(),
    }
}

/// What is below a directory, the heaviest first.
fn shares(side: &Side, directory: &ImagePath) -> Vec<Share> {
    let mut found: BTreeMap<Option<&String>, Share> = BTreeMap::new();
    let inside = if directory.is_root() { "/".into() } else { format!("{directory}/") };
    let below = side.files.iter().filter(|file| file.path.starts_with(&inside));
    for file in below {
        let share = found.entry(file.component.as_ref()).or_default();
        share.paths += 1;
        share.size += file.size;
    }
    let mut shares: Vec<Share> = found
        .into_iter()
        .map(|(component, share)| Share { component: component.cloned(), ..share })
        .collect();
    shares.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.component.cmp(&b.component)));
    shares
}

/// Why a path is there.
fn reason(component: Option<&str>, package: Option<&Package>, maker: Option<&Effect>) -> String {
    let Some(component) = component else {
        return match maker {
            None => "nothing in the image says what it came with".into(),
            Some(effect) => format!("the install script of `{}` had a hand in it", effect.package),
        };
    };
    if let Some(reason) = generated::reason(component) {
        // Files that have no place of their own are told as the manifest's; a ledger knows better.
        return match maker {
            Some(effect) if component == FILES => {
                format!("the {} of `{}` made it", effect.script, effect.package)
            }
            _ => reason.into(),
        };
    }
    let (source, name) = component.split_once('/').unwrap_or(("", component));
    match (source, package) {
        ("debian", Some(package)) => format!("the package `{}` ships it", package.name),
        ("debian", None) => match maker {
            None => format!("a package of Debian's source `{name}` ships it, or its install script made it"),
            Some(effect) => format!("the {} of `{}` made it", effect.script, effect.package),
        },
        ("npm", _) => format!("the npm package `{name}` ships it"),
        ("nix", _) => format!("a store path of the Nix package `{name}` has it"),
        ("agent", _) => format!("it is of the agent or runtime `{name}`"),
        ("binary", _) => format!("`[[binary]]` `{name}` of the manifest brings it"),
        ("build", _) => format!("`[[build]]` `/{name}` of the manifest made it"),
        ("base", _) => format!("the image `{name}` has it, which this one is built on"),
        _ => format!("`{component}` brought it"),
    }
}

#[cfg(test)]
mod tests;
