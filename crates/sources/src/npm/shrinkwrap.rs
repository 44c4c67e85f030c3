//! `npm-shrinkwrap.json` of a published package: the tree that its publisher tried it with.
//!
//! ```text
//! version 2, 3   "packages": { "node_modules/a": { version, dependencies, bin, … }, "node_modules/a/node_modules/b": … }
//! version 1      "dependencies": { "a": { version, requires, "dependencies": { "b": … } } }
//! ```
//!
//! Addresses in it count for nothing: a package is found by its name and version, where it is looked for always. Links,
//! workspaces and what comes bundled are passed over.
//!
//! **Refuses**: what is no such file, more than 5,000 packages, names that could leave the directory; and, before anything is made
//! of them, more objects and strings than so many packages have.

use std::collections::BTreeMap;

use pinfold_base::Digest;
use serde::Deserialize;

use super::packument::Bin;
use super::packument::Lenient;
use super::packument::check_name;

/// Longest file that is read.
pub const MAX_SHRINKWRAP: u64 = 16 << 20;
/// The most packages in one file.
const MAX_ENTRIES: usize = 5_000;
/// The most objects: a package has one, and others for what it needs, for its commands and its engines.
const MAX_OBJECTS: usize = MAX_ENTRIES * 8;
/// The most strings, keys among them.
const MAX_STRINGS: usize = MAX_ENTRIES * 100;
/// The deepest that packages stand in each other.
const MAX_DEPTH: usize = 64;

/// A package of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// The names that it stands below, outermost first, and its own: its directory.
    pub path: Vec<String>,
    /// The package, where it is installed under another name.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Its digest, as written there.
    pub integrity: Option<Digest>,
    /// What it needs.
    pub dependencies: BTreeMap<String, String>,
    /// What it can do without.
    pub optional: BTreeMap<String, String>,
    /// What it needs beside it.
    pub peers: BTreeMap<String, String>,
    /// Its commands. Version 1 does not say them.
    pub bins: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    lockfile_version: u64,
    #[serde(default)]
    packages: BTreeMap<String, Package>,
    #[serde(default)]
    dependencies: BTreeMap<String, Old>,
}

/// An entry of version 2 and 3.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Package {
    name: Option<String>,
    version: Option<String>,
    integrity: Lenient<String>,
    link: bool,
    in_bundle: bool,
    dependencies: BTreeMap<String, String>,
    optional_dependencies: BTreeMap<String, String>,
    peer_dependencies: BTreeMap<String, String>,
    bin: Lenient<Bin>,
}

/// An entry of version 1.
#[derive(Deserialize)]
struct Old {
    version: Option<String>,
    #[serde(default)]
    integrity: Lenient<String>,
    #[serde(default)]
    bundled: bool,
    #[serde(default)]
    requires: Lenient<BTreeMap<String, String>>,
    #[serde(default)]
    dependencies: BTreeMap<String, Old>,
}

/// Reads a file. Gives its packages, those that hold others first.
pub fn parse(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    // A few letters of text become hundreds of bytes of memory, so what they are is counted first.
    let count = |sought: u8| bytes.iter().fold(0, |count, byte| count + usize::from(*byte == sought));
    if count(b'{') > MAX_OBJECTS || count(b'"') / 2 > MAX_STRINGS {
        return Err(format!("it has more in it than {MAX_ENTRIES} packages have"));
    }
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let file: File = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let mut entries = Vec::new();
    if file.lockfile_version >= 2 {
        for (place, package) in file.packages {
            if let Some(path) = path(&place)?
                && !package.link
                && !package.in_bundle
            {
                entries.extend(package.entry(path));
            }
        }
    } else {
        old(file.dependencies, &[], &mut entries)?;
    }
    if entries.len() > MAX_ENTRIES {
        return Err(format!("it has more than {MAX_ENTRIES} packages"));
    }
    entries.sort_by(|a, b| (a.path.len(), &a.path).cmp(&(b.path.len(), &b.path)));
    Ok(entries)
}

/// The names of `node_modules/a/node_modules/@s/b`; `None` for the package itself and for workspaces.
fn path(place: &str) -> Result<Option<Vec<String>>, String> {
    let mut names = Vec::new();
    let mut rest = place;
    while let Some(below) = rest.strip_prefix("node_modules/") {
        let end = below.find("/node_modules/").unwrap_or(below.len());
        let name = &below[..end];
        check_name(name).map_err(|_| format!("`{}` is no place for a package", short(place)))?;
        names.push(name.to_owned());
        rest = below.get(end + 1..).unwrap_or_default();
    }
    if names.len() > MAX_DEPTH {
        return Err(format!("packages stand more than {MAX_DEPTH} deep in each other"));
    }
    Ok((rest.is_empty() && !names.is_empty()).then_some(names))
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

fn integrity(written: Lenient<String>) -> Option<Digest> {
    written.good().and_then(|text| Digest::from_sri(&text).ok())
}

impl Package {
    fn entry(self, path: Vec<String>) -> Option<Entry> {
        let package = self.name.unwrap_or_else(|| path.last().cloned().unwrap_or_default());
        let mut dependencies = self.dependencies;
        dependencies.retain(|name, _| !self.optional_dependencies.contains_key(name));
        Some(Entry {
            version: self.version?,
            integrity: integrity(self.integrity),
            dependencies,
            optional: self.optional_dependencies,
            peers: self.peer_dependencies,
            bins: self.bin.good().map(|bin| bin.commands(&package)).unwrap_or_default(),
            package,
            path,
        })
    }
}

fn old(packages: BTreeMap<String, Old>, above: &[String], entries: &mut Vec<Entry>) -> Result<(), String> {
    if above.len() > MAX_DEPTH {
        return Err(format!("packages stand more than {MAX_DEPTH} deep in each other"));
    }
    for (name, package) in packages {
        check_name(&name).map_err(|_| format!("`{}` is no name of a package", short(&name)))?;
        let path = [above, std::slice::from_ref(&name)].concat();
        let Old { version, integrity: written, bundled, requires, dependencies } = package;
        if let Some(version) = version.filter(|_| !bundled) {
            let alias = version.strip_prefix("npm:").and_then(|alias| alias.rsplit_once('@'));
            let (package, version) = match alias {
                Some((package, version)) => (package.to_owned(), version.to_owned()),
                None => (name, version),
            };
            entries.push(Entry {
                path: path.clone(),
                package,
                version,
                integrity: integrity(written),
                dependencies: requires.good().unwrap_or_default(),
                ..Entry::default()
            });
        }
        old(dependencies, &path, entries)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<Vec<String>, String> {
        let line = |entry: Entry| {
            let Entry { path, package, version, dependencies, .. } = entry;
            format!("{} {package}@{version} {:?}", path.join(">"), dependencies.keys().collect::<Vec<_>>())
        };
        Ok(parse(text.as_bytes())?.into_iter().map(line).collect())
    }

    #[test]
    fn both_forms_are_read() {
        let new = r#"{"lockfileVersion":3,"packages":{"":{"dependencies":{"a":"1"}},
            "node_modules/a/node_modules/@s/b":{"version":"2.0.0"},
            "node_modules/a":{"version":"1.0.0","dependencies":{"@s/b":"2","o":"1"},"optionalDependencies":{"o":"1"}},
            "node_modules/al":{"name":"c","version":"3.0.0"},"node_modules/l":{"link":true,"resolved":"packages/l"},
            "packages/l":{"version":"1.0.0"},"node_modules/in":{"version":"1.0.0","inBundle":true},
            "node_modules/no":{}}}"#;
        assert_eq!(found(new).unwrap(), [r#"a a@1.0.0 ["@s/b"]"#, "al c@3.0.0 []", "a>@s/b @s/b@2.0.0 []"]);
        let old = r#"{"lockfileVersion":1,"dependencies":{"a":{"version":"1.0.0","requires":{"@s/b":"2"},
            "dependencies":{"@s/b":{"version":"2.0.0"}}},"al":{"version":"npm:c@3.0.0"},
            "in":{"version":"1.0.0","bundled":true},"t":{"version":"4.0.0","requires":true}}}"#;
        assert_eq!(
            found(old).unwrap(),
            [r#"a a@1.0.0 ["@s/b"]"#, "al c@3.0.0 []", "t t@4.0.0 []", "a>@s/b @s/b@2.0.0 []"]
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        let many: Vec<String> =
            (0..=MAX_ENTRIES).map(|n| format!(r#""node_modules/p{n}":{{"version":"1.0.0"}}"#)).collect();
        let deep = "node_modules/a/".repeat(MAX_DEPTH + 1);
        let objects = vec!["{}"; MAX_OBJECTS].join(",");
        let strings = vec!["\"\""; MAX_STRINGS].join(",");
        for text in [
            String::new(),
            "7".into(),
            r#"{"lockfileVersion":3,"packages":[]}"#.into(),
            r#"{"lockfileVersion":3,"packages":{"node_modules/../x":{"version":"1.0.0"}}}"#.into(),
            r#"{"lockfileVersion":3,"packages":{"node_modules/a/../../x":{"version":"1.0.0"}}}"#.into(),
            r#"{"lockfileVersion":1,"dependencies":{"../x":{"version":"1.0.0"}}}"#.into(),
            format!(r#"{{"lockfileVersion":3,"packages":{{{}}}}}"#, many.join(",")),
            format!(r#"{{"lockfileVersion":3,"x":[{objects}]}}"#),
            format!(r#"{{"lockfileVersion":3,"x":[{strings}]}}"#),
            format!(
                r#"{{"lockfileVersion":3,"packages":{{"{}":{{"version":"1.0.0"}}}}}}"#,
                &deep[..deep.len() - 1]
            ),
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{}", &text[..text.len().min(90)]);
        }
    }
}
