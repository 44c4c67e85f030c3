//! One platform of an image, read whole: what its documents say, its packages, its files with their digests and what they came with.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::contents::Contents;
use pinfold_image::contents::Detail;
use pinfold_image::contents::Found;
use pinfold_image::contents::What;
use pinfold_image::inspect;
use pinfold_image::inspect::PlatformSummary;
use serde::Serialize;

use super::Description;
use super::Origins;
use super::Package;
use super::PackageKind;
use super::describe;
use super::describe_closely;
use crate::context::Context;
use crate::project::lock::Lock;
use crate::project::recipe::AGENT_LABEL;
use crate::verify::secrets;

/// Directories that hold what packages ship.
const BASE: &str = "generated/base";

/// One component of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Its name: `debian/curl`.
    pub name: String,
    /// Its version, where the image says.
    pub version: Option<String>,
    /// The number of its layer, 1 being the lowest.
    pub layer: usize,
    /// How many paths came with it, directories aside.
    pub files: usize,
    /// Their bytes.
    pub size: u64,
}

/// One path of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Where it is.
    pub path: String,
    /// Its type and mode as `ls -l` writes them.
    pub mode: String,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes of a file.
    pub size: u64,
    /// Where a symbolic link leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// SHA-256 of its content, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its attribute `security.capability`, in hexadecimal as getfattr(1) writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<String>,
    /// What it came with, where that is known.
    pub component: Option<String>,
    /// The number of its layer, 1 being the lowest.
    pub layer: usize,
}

/// One platform of an image.
#[derive(Clone, Debug)]
pub struct Side {
    /// What its documents say, secrets hidden.
    pub summary: PlatformSummary,
    /// All that they say, to be compared and not to be printed.
    pub(super) said: PlatformSummary,
    /// Its components, by name.
    pub components: Vec<Component>,
    /// Its files, by path.
    pub files: Vec<File>,
    /// Its packages and the versions of each: `debian/libc6` (binary packages), `npm/typescript`, `agent/codex-cli`.
    pub versions: BTreeMap<String, String>,
    /// Its packages, and what else is told of it; nothing where its layers were not read.
    pub description: Option<Description>,
}

/// Where packages of an image were fetched from: its lock says, or what was noted when it was built.
pub fn origins(context: &Context, source: &ImageSource, lock: Option<&Lock>, platform: Platform) -> Origins {
    match lock {
        Some(lock) => Origins::of_lock(lock, platform),
        // What cannot be read is not known.
        None => Origins::noted(context, source).unwrap_or_default(),
    }
}

impl Side {
    /// Reads all layers, as closely as `detail` says.
    pub fn read(
        context: &Context,
        source: &ImageSource,
        platform: Platform,
        origins: &Origins,
        detail: Detail,
    ) -> Result<Self, ImageError> {
        let summary = inspect::platform(platform, &source.image(platform)?);
        let description = match detail {
            Detail::Plain => describe(context, source, platform, origins)?,
            Detail::Close => describe_closely(context, source, platform, origins)?,
        };
        Ok(Self::of(summary, description))
    }

    /// What its documents say alone.
    pub fn unread(summary: &PlatformSummary) -> Self {
        let said = summary.clone();
        let summary = hidden(summary);
        let versions = agents(&summary);
        Self { summary, said, components: Vec::new(), files: Vec::new(), versions, description: None }
    }

    /// Of what was read.
    pub fn of(said: PlatformSummary, description: Description) -> Self {
        let summary = hidden(&said);
        let files = files(&summary, &description);
        let components = components(&summary, &description, &files);
        let mut versions = agents(&summary);
        for package in &description.packages {
            let Some(version) = &package.version else { continue };
            let joined = versions.entry(called(package)).or_default();
            if joined.is_empty() {
                joined.clone_from(version);
            } else if !joined.split(", ").any(|known| known == version) {
                joined.push_str(", ");
                joined.push_str(version);
            }
        }
        Self { summary, said, components, files, versions, description: Some(description) }
    }

    /// Which platform it is.
    pub fn platform(&self) -> Platform {
        self.summary.platform
    }

    /// What its layers have; nothing where they were not read.
    pub fn contents(&self) -> Option<&Contents> {
        self.description.as_ref().map(|description| &description.contents)
    }

    /// What is known of a path.
    pub fn file(&self, path: &ImagePath) -> Option<&File> {
        let path = path.to_string();
        self.files.iter().find(|file| file.path == path)
    }
}

fn hidden(summary: &PlatformSummary) -> PlatformSummary {
    let mut summary = summary.clone();
    secrets::hidden::platform(&mut summary);
    summary
}

/// What a package is called where versions are compared.
pub fn called(package: &Package) -> String {
    match (package.kind, &package.component) {
        (PackageKind::Deb, _) => format!("debian/{}", package.name),
        (PackageKind::Npm, _) => format!("npm/{}", package.name),
        (PackageKind::Python, _) => format!("python/{}", package.name),
        (PackageKind::Nix, _) => format!("nix/{}", package.name),
        (PackageKind::Generic | PackageKind::Base, Some(component)) => component.clone(),
        (PackageKind::Generic | PackageKind::Base, None) => package.name.clone(),
    }
}

/// Agents and their versions, as an image says that was built by pinfold.
fn agents(summary: &PlatformSummary) -> BTreeMap<String, String> {
    let labels = summary.runtime.labels.iter();
    let agent = |name: &str| Some(format!("agent/{}", name.strip_prefix(AGENT_LABEL)?));
    labels.filter_map(|(name, version)| Some((agent(name)?, version.clone()))).collect()
}

fn files(summary: &PlatformSummary, description: &Description) -> Vec<File> {
    let named: Vec<BTreeSet<&str>> =
        summary.layers.iter().map(|layer| layer.components.iter().map(String::as_str).collect()).collect();
    let none = BTreeSet::new();
    let file = |(path, found): (&ImagePath, &Found)| {
        let target = match &found.what {
            What::Link(target) => Some(String::from_utf8_lossy(target).into_owned()),
            _ => None,
        };
        let told = description.component_of(path).map(str::to_owned);
        // Those that hold what others ship are nobody's.
        let here = named.get(found.layer).filter(|_| found.what == What::Directory).unwrap_or(&none);
        let holds = || here.get(BASE).map(|name| (*name).to_owned());
        File {
            mode: mode(found),
            uid: found.uid,
            gid: found.gid,
            size: found.size,
            digest: found.sha256().cloned(),
            capabilities: capabilities(found),
            component: told.or_else(holds),
            layer: found.layer + 1,
            path: path.to_string(),
            target,
        }
    };
    description.contents.paths.iter().map(file).collect()
}

fn components(summary: &PlatformSummary, description: &Description, files: &[File]) -> Vec<Component> {
    let mut found: BTreeMap<&str, Component> = BTreeMap::new();
    for (number, layer) in summary.layers.iter().enumerate() {
        for name in &layer.components {
            let component = Component { name: name.clone(), layer: number + 1, ..Component::default() };
            found.insert(name, component);
        }
    }
    for (name, version) in agents(summary) {
        if let Some(component) = found.get_mut(name.as_str()) {
            component.version = Some(version);
        }
    }
    for package in &description.packages {
        let Some(component) = package.component.as_deref().and_then(|name| found.get_mut(name)) else {
            continue;
        };
        let of_source = package.source.as_ref().map(|(_, version)| version);
        // Of packages in each other it is the one of that name that counts.
        let named = component.name.split_once('/').is_some_and(|(_, short)| short == package.name);
        if named || (component.version.is_none() && package.kind != PackageKind::Npm) {
            component.version = of_source.or(package.version.as_ref()).cloned();
        }
    }
    for file in files.iter().filter(|file| !file.mode.starts_with('d')) {
        if let Some(component) = file.component.as_deref().and_then(|name| found.get_mut(name)) {
            component.files += 1;
            component.size = component.size.saturating_add(file.size);
        }
    }
    found.into_values().collect()
}

/// What a file may do beyond its user, where its entry says so.
fn capabilities(found: &Found) -> Option<String> {
    let What::File(facts) = &found.what else { return None };
    let (_, value) = facts.xattrs.iter().find(|(name, _)| &**name == b"security.capability")?;
    Some(value.iter().fold(String::from("0x"), |text, byte| format!("{text}{byte:02x}")))
}

/// `drwxr-xr-x`, as `ls -l` writes it.
fn mode(found: &Found) -> String {
    let kind = match found.what {
        What::Directory => 'd',
        What::File(_) => '-',
        What::Link(_) => 'l',
        What::Other => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = found.mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (bits & 1 != 0, found.mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn modes_are_written_as_ls_does() {
        // `ls -ld` of GNU coreutils 9.1 after `chmod`.
        for (what, mode, text) in [
            (What::Directory, 0o1777, "drwxrwxrwt"),
            (What::Directory, 0o755, "drwxr-xr-x"),
            (What::File(Arc::default()), 0o4755, "-rwsr-xr-x"),
            (What::File(Arc::default()), 0o2745, "-rwxr-Sr-x"),
            (What::File(Arc::default()), 0o4644, "-rwSr--r--"),
            (What::File(Arc::default()), 0o1640, "-rw-r----T"),
            (What::Link(Box::default()), 0o777, "lrwxrwxrwx"),
        ] {
            let found = Found { layer: 0, what: what.clone(), mode, uid: 0, gid: 0, size: 0 };
            assert_eq!(super::mode(&found), text, "{mode:o}");
        }
    }
}
