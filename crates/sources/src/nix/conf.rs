//! Which caches and keys this machine's Nix is set up with: `nix.conf` (nix.conf(5)).
//!
//! ```text
//! substituters = https://cache.example  https://other.example      replaces what stood before
//! extra-substituters = file:///srv/cache                           appends to it
//! trusted-public-keys = cache.example-1:BASE64
//! include more.conf                  relative to this file; `!include`: it may be missing
//! ```
//!
//! Read in this order, later ones counting more: the machine's `nix.conf` (below `$NIX_CONF_DIR`, or `/etc/nix`), the user's (what
//! `$NIX_USER_CONF_FILES` names, last first; or those below `$XDG_CONFIG_DIRS` and `$XDG_CONFIG_HOME`), the text of `$NIX_CONFIG`.
//! Nix has a default for both lists, which stands nowhere here, since which cache is used is the machine's to say: where it is
//! meant ([`List::names_default`]) and Nix is installed, the caller asks `nix show-config --json` ([`Conf::with_defaults_of`]).
//!
//! **Guarantees**: what is read are the named settings alone; no file is read here, the caller does ([`Conf::read`]).
//! **Refuses**: lines that Nix refuses, includes without end.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::shown;

/// The most of a file that is read, in bytes: callers see to it.
pub const MAX_CONF: u64 = 1 << 20;
/// How deep files may include each other.
const MAX_DEPTH: usize = 16;
/// The most files that are included.
const MAX_FILES: usize = 256;
/// The most values of a setting.
const MAX_VALUES: usize = 1024;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfError {
    /// A line is not one.
    #[error("line {line} of `{file}` is no setting: `{text}`")]
    Line {
        /// The file.
        file: Shown,
        /// Counted from 1.
        line: usize,
        /// The line, shortened.
        text: Shown,
    },
    /// An included file cannot be read.
    #[error("failed to read `{file}`, which `{by}` includes")]
    Include {
        /// The file.
        file: Shown,
        /// By which.
        by: Shown,
        /// Why.
        source: io::Error,
    },
    /// More than may be.
    #[error("`{file}` includes too many files, or has too many values")]
    TooMany {
        /// The file.
        file: Shown,
    },
    /// What Nix says of itself is not what it should be.
    #[error("what `nix show-config --json` says cannot be read: {0}")]
    Shown(String),
}

impl Diagnose for ConfError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Line { .. } => {
                Some("expected `NAME = VALUE`, `include FILE` or `!include FILE`, as in nix.conf(5)".into())
            }
            Self::Include { .. } => Some("write `!include` where the file may be missing".into()),
            Self::TooMany { .. } | Self::Shown(_) => None,
        }
    }
}

/// One word of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// As written.
    pub text: String,
    /// The file, or `NIX_CONFIG`.
    pub from: String,
}

/// A setting that is a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// None where nothing replaced Nix's default.
    replaced: Option<Vec<Value>>,
    extra: Vec<Value>,
}

impl List {
    /// Its values that are written somewhere, in order.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.replaced.iter().flatten().chain(&self.extra)
    }

    /// Whether Nix's own default stands before what is written.
    pub fn names_default(&self) -> bool {
        self.replaced.is_none()
    }

    fn len(&self) -> usize {
        self.values().count()
    }
}

/// The settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// `substituters`: the caches, in the order in which they are asked.
    pub substituters: List,
    /// `trusted-public-keys`.
    pub trusted_public_keys: List,
    /// `trusted-substituters`: caches that others than the machine's owner may ask for.
    pub trusted_substituters: List,
}

/// Reads an included file.
pub type Include<'a> = dyn FnMut(&Path) -> io::Result<String> + 'a;

/// The files that Nix would read, in that order; any may be missing. The text of `NIX_CONFIG` comes after them.
pub fn files(env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let var = |name: &str| env.get(name).filter(|value| !value.is_empty());
    let folder = var("NIX_CONF_DIR").map_or("/etc/nix", String::as_str);
    let mut files = vec![Path::new(folder).join("nix.conf")];
    let mut user: Vec<PathBuf> = if let Some(list) = var("NIX_USER_CONF_FILES") {
        list.split(':').filter(|file| !file.is_empty()).map(PathBuf::from).collect()
    } else {
        let home = var("HOME").map(|home| Path::new(home).join(".config"));
        let own = var("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
        let all = var("XDG_CONFIG_DIRS").map_or("/etc/xdg", String::as_str);
        let all = all.split(':').filter(|folder| !folder.is_empty()).map(PathBuf::from);
        own.into_iter().chain(all).map(|folder| folder.join("nix/nix.conf")).collect()
    };
    user.reverse();
    files.append(&mut user);
    files
}

impl Conf {
    /// Reads one file's text on top of what was read before. `file` is where it stands: includes are relative to its folder.
    pub fn read(&mut self, text: &str, file: &Path, include: &mut Include<'_>) -> Result<(), ConfError> {
        self.read_at(text, file, include, &mut 0, 0)
    }

    fn read_at(
        &mut self,
        text: &str,
        file: &Path,
        include: &mut Include<'_>,
        files: &mut usize,
        depth: usize,
    ) -> Result<(), ConfError> {
        let too_many = || ConfError::TooMany { file: file.into() };
        for (number, line) in text.split('\n').enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split([' ', '\t', '\r']).filter(|word| !word.is_empty()).collect();
            let wrong = || ConfError::Line {
                file: file.into(),
                line: number + 1,
                text: shown!("{}", line.trim().chars().take(120).collect::<String>()),
            };
            match words[..] {
                [] => {}
                [how @ ("include" | "!include"), name] => {
                    let path = file.parent().unwrap_or(Path::new("")).join(name);
                    *files += 1;
                    if depth >= MAX_DEPTH || *files > MAX_FILES {
                        return Err(too_many());
                    }
                    match include(&path) {
                        Ok(text) => self.read_at(&text, &path, include, files, depth + 1)?,
                        Err(error) if how == "!include" && error.kind() == io::ErrorKind::NotFound => {}
                        Err(source) => {
                            return Err(ConfError::Include {
                                file: path.as_path().into(),
                                by: file.into(),
                                source,
                            });
                        }
                    }
                }
                [name, "=", ref values @ ..] if name != "include" && name != "!include" => {
                    self.set(name, values, &file.display().to_string()).ok_or_else(too_many)?;
                }
                _ => return Err(wrong()),
            }
        }
        Ok(())
    }

    fn list(&mut self, name: &str) -> Option<&mut List> {
        // The second are names of before.
        Some(match name {
            "substituters" | "binary-caches" => &mut self.substituters,
            "trusted-public-keys" | "binary-cache-public-keys" => &mut self.trusted_public_keys,
            "trusted-substituters" | "trusted-binary-caches" => &mut self.trusted_substituters,
            _ => return None,
        })
    }

    /// None where there are too many.
    fn set(&mut self, name: &str, values: &[&str], from: &str) -> Option<()> {
        let values = values.iter().map(|text| Value { text: (*text).to_owned(), from: from.to_owned() });
        let list = if let Some(list) = self.list(name) {
            list.extra.clear();
            list.replaced = Some(values.collect());
            list
        } else {
            let Some(list) = name.strip_prefix("extra-").and_then(|name| self.list(name)) else {
                return Some(());
            };
            list.extra.extend(values);
            list
        };
        (list.len() <= MAX_VALUES).then_some(())
    }

    /// The same where Nix's defaults are known: `shown` is what `nix show-config --json` printed.
    pub fn with_defaults_of(mut self, shown: &str) -> Result<Self, ConfError> {
        #[derive(serde::Deserialize)]
        struct Setting {
            #[serde(rename = "defaultValue", default)]
            default: serde_json::Value,
        }
        let all: BTreeMap<String, Setting> =
            serde_json::from_str(shown).map_err(|error| ConfError::Shown(error.to_string()))?;
        for name in ["substituters", "trusted-public-keys", "trusted-substituters"] {
            let words = all.get(name).and_then(|setting| setting.default.as_array());
            let words = words.into_iter().flatten().filter_map(serde_json::Value::as_str);
            let Some(list) = self.list(name) else { continue };
            if list.replaced.is_none() {
                let value =
                    |text: &str| Value { text: text.to_owned(), from: "Nix's own defaults".to_owned() };
                list.replaced = Some(words.map(value).take(MAX_VALUES).collect());
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
