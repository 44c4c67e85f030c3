//! Packages that a package brings along in its own tarball (`bundleDependencies`): npm links their commands too.
//!
//! ```text
//! package.json                                     says that it bundles; otherwise nothing is looked for
//! node_modules/a/package.json                      a bundled package
//! node_modules/@s/b/node_modules/c/package.json    one inside another
//! ```
//!
//! What cannot be read has no commands, as npm has it.

use std::collections::BTreeMap;

use pinfold_archive::Contents;
use pinfold_base::ImagePath;
use serde::Deserialize;

use super::super::identity::MAX_MANIFEST;
use super::super::packument;
use super::super::packument::Bin;
use super::super::packument::Lenient;
use super::PackedFile;

/// A package inside another's tarball.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundled {
    /// Its directory inside the package.
    pub(super) dir: ImagePath,
    /// Its commands: name → path inside it.
    pub(super) bins: BTreeMap<String, String>,
}

/// What of a `package.json` matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    #[serde(default)]
    name: Lenient<String>,
    #[serde(default)]
    bin: Lenient<Bin>,
    #[serde(default, alias = "bundledDependencies")]
    bundle_dependencies: Lenient<packument::Bundled>,
}

impl Manifest {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        serde_json::from_str(&text).ok()
    }

    fn bundles(self) -> bool {
        match self.bundle_dependencies.good() {
            Some(packument::Bundled::Names(names)) => !names.is_empty(),
            Some(packument::Bundled::All(all)) => all,
            None => false,
        }
    }
}

/// The packages that one bundles. `manifest` is its own `package.json`, `files` all its files.
pub(super) fn find(
    manifest: &[u8],
    files: &BTreeMap<ImagePath, PackedFile>,
    contents: &dyn Contents,
) -> Vec<Bundled> {
    if !Manifest::parse(manifest).is_some_and(Manifest::bundles) {
        return Vec::new();
    }
    let manifests = files.iter().filter_map(|(path, file)| Some((dir(path)?, file)));
    let read = |(dir, file): (ImagePath, &PackedFile)| {
        let manifest = Manifest::parse(&contents.read(&file.content, MAX_MANIFEST).ok()?)?;
        let bins = manifest.bin.good()?.commands(&manifest.name.good()?);
        Some(Bundled { dir, bins })
    };
    manifests.filter_map(read).collect()
}

/// The directory of a bundled package, if this is its `package.json`.
fn dir(path: &ImagePath) -> Option<ImagePath> {
    let mut names = path.components().peekable();
    let mut any = false;
    loop {
        match (names.next()?, any) {
            (b"package.json", true) if names.peek().is_none() => return path.parent(),
            (b"node_modules", _) => {}
            _ => return None,
        }
        let mut name = names.next()?;
        if name.starts_with(b"@") {
            name = names.next()?;
        }
        if name.starts_with(b".") {
            return None;
        }
        any = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundled_package_is_one_below_node_modules() {
        for (path, expected) in [
            ("node_modules/a/package.json", Some("node_modules/a")),
            ("node_modules/@s/b/node_modules/c/package.json", Some("node_modules/@s/b/node_modules/c")),
            ("package.json", None),
            ("node_modules/package.json", None),
            ("node_modules/a/lib/package.json", None),
            ("lib/node_modules/a/package.json", None),
            ("node_modules/.bin/package.json", None),
            ("node_modules/@s/package.json", None),
        ] {
            let found = dir(&ImagePath::new(path).unwrap());
            assert_eq!(found, expected.map(|path| ImagePath::new(path).unwrap()), "{path}");
        }
    }
}
