//! Named sets of packages with the environment and the mounts that go with them: `profile = "rust"`.
//!
//! ```toml
//! extends = "base"                                # another set, whose roots come after these
//! roots = ["nixpkgs#go"]                          # as in `[nix]`
//! mounts = ["~/go/pkg/mod:/home/agent/go/pkg/mod"] # as in `[run]`
//! [env]                                           # as in `[image.env]`
//! GOFLAGS = "-trimpath"
//! ```
//!
//! Built-in sets are files of the repository; a project has its own beside the manifest and names them by path. What the manifest
//! itself says comes first, then the set, then what that extends.
//!
//! **Refuses**: sets that extend each other in a circle, and files of the project that lie elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_base::text;
use serde::Deserialize;

use super::section::RootFile;
use crate::project::manifest::ManifestError;
use crate::project::manifest::run::Bind;
use crate::project::manifest::run::Spelt;

/// Most sets that extend each other.
const DEPTH: usize = 8;
/// The most that is read of one, in bytes.
pub(crate) const MAX_SIZE: u64 = 1 << 20;

/// A built-in set: its name and its text.
const BUILT_IN: [(&str, &str); 3] = [
    ("base", include_str!("../../../profiles/base.toml")),
    ("rust", include_str!("../../../profiles/rust.toml")),
    ("python", include_str!("../../../profiles/python.toml")),
];

/// A set as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SetFile {
    extends: Option<String>,
    roots: Vec<RootFile>,
    env: BTreeMap<String, String>,
    mounts: Vec<Spelt<Bind>>,
}

/// A set with all that it extends.
#[derive(Debug, Default)]
pub(crate) struct Set {
    /// What shall be in the store, its own first.
    pub(super) roots: Vec<RootFile>,
    /// Variables of the image.
    pub(crate) env: BTreeMap<String, String>,
    /// Mounts of its sandboxes.
    pub(crate) mounts: Vec<Spelt<Bind>>,
}

/// How a file of the project is read.
pub(crate) type ReadFile<'a> = &'a dyn Fn(&Path) -> Result<String, ManifestError>;

impl Set {
    /// The set of a name, or that of a path, which is read with `read`.
    pub(crate) fn find(name: &str, read: ReadFile<'_>) -> Result<Self, ManifestError> {
        let wrong = |message: String| ManifestError::value("nix.profile", message);
        let mut found = Self::default();
        let mut next = Some(name.to_owned());
        let mut seen: Vec<String> = Vec::new();
        while let Some(name) = next {
            if seen.contains(&name) || seen.len() == DEPTH {
                return Err(wrong(format!(
                    "`{name}` extends itself, or more than {DEPTH} others: {}",
                    seen.join(" → ")
                )));
            }
            let file = Path::new(&name);
            let typed = match BUILT_IN.iter().find(|(known, _)| *known == name) {
                Some((_, text)) => parsed(text, file)?,
                None if is_path(&name) => parsed(&read(file)?, file)?,
                None => {
                    let known = BUILT_IN.map(|(known, _)| known);
                    let near = text::nearest(&name, known).map(|near| format!("did you mean `{near}`?"));
                    let near = near.unwrap_or_else(|| {
                        format!("there are `{}`, and files (`./mine.toml`)", known.join("`, `"))
                    });
                    return Err(wrong(format!("there is no profile `{name}`: {near}")));
                }
            };
            found.roots.extend(
                typed.roots.into_iter().filter(|root| !found.roots.contains(root)).collect::<Vec<_>>(),
            );
            for (variable, value) in typed.env {
                found.env.entry(variable).or_insert(value);
            }
            found.mounts.extend(typed.mounts);
            seen.push(name);
            next = typed.extends;
        }
        Ok(found)
    }
}

fn is_path(name: &str) -> bool {
    ["./", "../", "/"].iter().any(|start| name.starts_with(start))
}

fn parsed(text: &str, file: &Path) -> Result<SetFile, ManifestError> {
    toml::from_str(text).map_err(|error| ManifestError::from_toml(&error, file, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &Path) -> Result<String, ManifestError> {
        Err(ManifestError::value("nix.profile", "no file is read"))
    }

    #[test]
    fn built_in_sets_can_be_read_and_extend_the_base() {
        let base = Set::find("base", &none).unwrap();
        for name in ["rust", "python"] {
            let set = Set::find(name, &none).unwrap();
            assert!(set.roots.ends_with(&base.roots) && set.roots.len() > base.roots.len(), "{name}");
            assert!(base.env.iter().all(|(variable, value)| set.env.get(variable) == Some(value)), "{name}");
        }
    }

    #[test]
    fn a_file_adds_to_a_set_and_what_is_wrong_is_told() {
        let files = |path: &Path| {
            Ok(match path.to_str().unwrap() {
                "./mine.toml" => {
                    "extends = 'python'\nroots = ['nixpkgs#go', 'nixpkgs#uv']\nmounts = ['~/go:/go']\n[env]\nLANG = 'C'\n"
                }
                "./circle.toml" => "extends = './circle.toml'\n",
                _ => "colour = 'red'\n",
            }
            .to_owned())
        };
        let set = Set::find("./mine.toml", &files).unwrap();
        let text = |root: &RootFile| match root {
            RootFile::Text(text) => text.clone(),
            RootFile::Table(_) => String::new(),
        };
        let roots: Vec<String> = set.roots.iter().map(text).collect();
        assert_eq!(roots[..3], ["nixpkgs#go", "nixpkgs#uv", "nixpkgs#python3"]);
        assert_eq!(roots.iter().filter(|root| *root == "nixpkgs#uv").count(), 1);
        assert_eq!((set.env["LANG"].as_str(), set.env["UV_PYTHON_DOWNLOADS"].as_str()), ("C", "never"));
        assert_eq!(set.mounts.len(), 1);
        for (name, expected) in [
            ("./circle.toml", "extends itself"),
            ("./other.toml", "unknown field `colour`"),
            ("ruts", "did you mean `rust`?"),
            ("c", "`./mine.toml`"),
        ] {
            let error = Set::find(name, &files).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }
}
