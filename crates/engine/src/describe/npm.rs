//! npm packages of an image: every `package.json` with a name and a version, wherever it lies.
//!
//! ```text
//! /usr/local/lib/node_modules/@google/gemini-cli/package.json                  a package, whose directory is its own …
//! /usr/local/lib/node_modules/@google/gemini-cli/node_modules/x/package.json   … but for what another has in it
//! ```

use std::collections::BTreeMap;

use pinfold_base::ImagePath;
use pinfold_image::contents::Contents;
use pinfold_sources::npm::identity::MAX_MANIFEST;
use serde_json::Value;

use super::license::License;

/// Longest name and longest version that is taken for one, in bytes.
const MAX_WORD: usize = 300;

/// Whether a file tells something of packages.
pub(super) fn is_read(path: &ImagePath) -> bool {
    path.name() == b"package.json"
}

/// A package, at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Npm {
    pub name: String,
    pub version: String,
    /// Where it stands.
    pub dir: ImagePath,
    pub author: Option<String>,
    pub license: Option<License>,
    pub summary: Option<String>,
    /// Names of packages that it depends on.
    needs: Vec<String>,
}

/// All packages, by their directories.
pub(super) fn packages(contents: &Contents, notes: &mut Vec<String>) -> Vec<Npm> {
    let mut found = Vec::new();
    for (path, bytes) in contents.kept.iter().filter(|(path, _)| is_read(path)) {
        if bytes.len() as u64 > MAX_MANIFEST {
            notes.push(format!("`{path}` is too long to be read"));
            continue;
        }
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        // Tests and templates of packages have files of this name that are none.
        let Ok(json) = serde_json::from_str::<Value>(&text) else { continue };
        found.extend(package(&json, path.parent().unwrap_or_default()));
    }
    found
}

fn package(json: &Value, dir: ImagePath) -> Option<Npm> {
    let word = |name: &str| {
        let text = json[name].as_str()?.trim();
        (!text.is_empty() && text.len() <= MAX_WORD).then(|| text.to_owned())
    };
    let needs = ["dependencies", "optionalDependencies", "peerDependencies"];
    let needs = needs.into_iter().filter_map(|name| json[name].as_object());
    Some(Npm {
        name: word("name")?,
        version: word("version")?,
        dir,
        author: person(&json["author"]),
        license: license(json),
        summary: word("description").map(|text| text.lines().next().unwrap_or_default().to_owned()),
        needs: needs.flat_map(|all| all.keys().cloned()).collect(),
    })
}

/// `"license": "MIT"`, and the older `{"type": "MIT"}` and `"licenses": [{"type": "MIT"}]`, of which any may be chosen.
fn license(json: &Value) -> Option<License> {
    let one = |value: &Value| value.as_str().or_else(|| value["type"].as_str()).and_then(License::declared);
    let older = || {
        let all: Vec<License> = json["licenses"].as_array()?.iter().filter_map(one).collect();
        License::any(all)
    };
    one(&json["license"]).or_else(older)
}

/// `Name <mail> (address)`, or the same as an object.
fn person(value: &Value) -> Option<String> {
    let text = match (value.as_str(), value["name"].as_str(), value["email"].as_str()) {
        (Some(text), ..) => text.split_once(" (").map_or(text, |(text, _)| text).to_owned(),
        (None, Some(name), Some(email)) => format!("{name} <{email}>"),
        (None, Some(name), None) => name.to_owned(),
        (None, None, _) => return None,
    };
    let text = text.trim();
    (!text.is_empty() && text.len() <= MAX_WORD).then(|| text.to_owned())
}

/// The packages that a path is in, the nearest directory first.
pub(super) fn around(dirs: &BTreeMap<ImagePath, usize>, path: &ImagePath) -> impl Iterator<Item = usize> {
    let above = std::iter::successors(path.parent(), ImagePath::parent).filter(|dir| !dir.is_root());
    above.filter_map(|dir| dirs.get(&dir).copied())
}

/// What each package depends on, by number, as node finds it: in its own `node_modules`, then in those above.
pub(super) fn depends(all: &[Npm], dirs: &BTreeMap<ImagePath, usize>) -> Vec<Vec<usize>> {
    let find = |from: &ImagePath, name: &str| {
        std::iter::successors(Some(from.clone()), ImagePath::parent)
            .filter(|dir| dir.name() != b"node_modules")
            .find_map(|dir| dirs.get(&dir.join(format!("node_modules/{name}")).ok()?).copied())
    };
    let of = |package: &Npm| {
        let mut found: Vec<usize> =
            package.needs.iter().filter_map(|name| find(&package.dir, name)).collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    all.iter().map(of).collect()
}
