//! The manifest: `pinfold.toml`, what a person writes.
//!
//! [`file::ManifestFile`] is what was typed (every key optional, unknown keys refused, errors with line and column);
//! [`Manifest`] is what it means: preset applied, defaults filled in, values checked. Everything after this room works on
//! a [`Manifest`] and cannot meet a half-valid one.

pub mod credentials;
pub mod environment;
pub mod error;
pub mod file;
pub mod pattern;
pub mod preset;
pub mod run;
pub mod test;
pub mod value;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Platform;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

pub use error::ManifestError;
pub use file::ManifestFile;
pub use file::Requests;
pub use file::parse_budget;
pub use file::parse_size;
pub use preset::Preset;
pub use run::Run;
pub use test::Test;
pub use value::AbsolutePath;
pub use value::Age;
pub use value::MissingTime;
pub use value::Mode;
pub use value::Owner;
pub use value::PlatformName;
pub use value::SetId;

use crate::sources::nix::set::ReadFile;

/// The manifest's usual file name.
pub const FILE_NAME: &str = "pinfold.toml";

/// A file of the user's own, or a directory with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct File {
    /// Where it stands in the image.
    pub path: AbsolutePath,
    /// A file or a directory beside the manifest; may be given per platform as `source-platform`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
    /// Per platform a file or a directory beside the manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_platform: BTreeMap<PlatformName, PathBuf>,
    /// Its text, instead of `source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Permissions, octal; 0644 unless said. For one file, not for a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// `root` (default), `user` or `UID:GID`.
    #[serde(default)]
    pub owner: Owner,
    /// Whether it takes the place of what a package has there. Of a directory each of its files does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Dir {
    /// Where it stands in the image.
    pub path: AbsolutePath,
    /// Permissions, octal; 0755 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// `root` (default), `user` or `UID:GID`.
    #[serde(default)]
    pub owner: Owner,
    /// Whether it takes the place of what a package has there, a directory with all that is below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
}

/// A symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Link {
    /// Where it stands in the image.
    pub path: AbsolutePath,
    /// Where it leads, as written into the link.
    pub target: String,
    /// Whether it takes the place of what a package has there, a directory with all that is below it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
}

/// The user that the image runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// Login name.
    pub name: String,
    /// Numeric id, 1 to 65533 (65534 is nobody; 0 is root, who is there already).
    pub uid: u32,
    /// Numeric group id.
    pub gid: u32,
    /// Home directory, created and owned by the user.
    pub home: AbsolutePath,
    /// Login shell.
    #[serde(default = "default_shell")]
    pub shell: String,
}

fn default_shell() -> String {
    "/bin/sh".into()
}

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// gzip: what every consumer reads. The publishers' compressed blocks are re-used where they can be.
    #[default]
    Gzip,
    /// Zstandard level 3: smaller and faster, not read by older Docker stores.
    Zstd,
}

/// The image configuration's part of the meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Image {
    /// Entry point, where it is said.
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments, where they are said.
    pub cmd: Option<Vec<String>>,
    /// Working directory.
    pub workdir: Option<AbsolutePath>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations of manifest and index.
    pub annotations: BTreeMap<String, String>,
    /// Volumes.
    pub volumes: Vec<AbsolutePath>,
}

/// Layering part of the meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layers {
    /// At most so many layers.
    pub max: usize,
    /// Components that get a layer of their own.
    pub alone: Vec<String>,
}

/// What an image may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// A version must have been public for so long.
    pub min_age: Age,
    /// Largest compressed size per platform, in bytes.
    pub size_budget: Option<u64>,
    /// Which set-id bits are kept.
    pub set_id: SetId,
    /// What a version counts as whose registry does not say when it was published.
    #[serde(skip_serializing_if = "MissingTime::is_default")]
    pub missing_time: MissingTime,
}

/// Which install scripts of a package are skipped, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Skipped {
    /// All.
    All(String),
    /// These.
    Some(BTreeMap<String, String>),
}

/// What a manifest means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Name of the image.
    pub name: String,
    /// Platforms, in index order.
    pub platforms: Vec<Platform>,
    /// What is asked of each source.
    pub sources: Requests,
    /// Files.
    pub files: Vec<File>,
    /// Directories.
    pub dirs: Vec<Dir>,
    /// Links.
    pub links: Vec<Link>,
    /// The image's user; root when absent.
    pub user: Option<User>,
    /// Image configuration.
    pub image: Image,
    /// How layers are compressed.
    pub compression: Compression,
    /// Layering.
    pub layers: Layers,
    /// Policy.
    pub policy: Policy,
    /// Install scripts that are skipped, by package.
    pub scripts: BTreeMap<String, Skipped>,
    /// Sandbox defaults.
    pub run: Run,
    /// Tests of the image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
    /// Folder that relative paths count from.
    #[serde(skip)]
    pub directory: PathBuf,
}

impl Manifest {
    /// Reads `pinfold.toml` text. `directory` is where the file stands.
    pub fn parse(text: &str, file: &Path, directory: &Path) -> Result<Self, ManifestError> {
        Self::parse_with(text, file, directory, &built_in_only)
    }

    /// The same, where files of the project that belong to it are read with `read`.
    pub(crate) fn parse_with(
        text: &str,
        file: &Path,
        directory: &Path,
        read: ReadFile<'_>,
    ) -> Result<Self, ManifestError> {
        let typed = ManifestFile::parse(text, file)?;
        let typed = match &typed.preset {
            Some(name) => Preset::find(name)
                .ok_or_else(|| ManifestError::UnknownPreset { name: name.clone() })?
                .file(None)?
                .overlaid_by(typed),
            None => typed,
        };
        typed.with_set(read)?.meaning(directory)
    }

    /// The built-in manifest `name`, for use without a file; on another suite of Debian where one is named.
    pub fn preset(name: &str, suite: Option<&str>, directory: &Path) -> Result<Self, ManifestError> {
        Preset::find(name)
            .ok_or_else(|| ManifestError::UnknownPreset { name: name.into() })?
            .file(suite)?
            .with_set(&built_in_only)?
            .meaning(directory)
    }
}

/// For manifests that no directory belongs to.
fn built_in_only(file: &Path) -> Result<String, ManifestError> {
    let message = format!("`{}` is a file, and there is no project that it is read from", file.display());
    Err(ManifestError::value("nix.profile", message))
}

#[cfg(test)]
mod tests;
