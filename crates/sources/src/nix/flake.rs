//! Packages by their names in a flake, `nixpkgs#ripgrep`, and what Nix says of them.
//!
//! Names mean store paths only where Nix evaluates the flake. That is done with [`expression`], by the `nix` of this machine while a
//! lock is made, or by any other whose answer is kept in a file: both say the same, and are read by [`Resolution`]:
//!
//! ```json
//! { "nixpkgs": { "revision": "…", "systems": { "x86_64-linux": {
//!     "ripgrep": { "outputs": { "out": "/nix/store/…-ripgrep-14.1.1" }, "default": ["out"] },
//!     "obsidian": { "refused": "unfree" } } } } }
//! ```
//!
//! **Guarantees**: an answer is for one flake, one name and one system; a store path in it is one by form. It proves nothing: what the
//! path holds is vouched for by caches.
//! **Refuses**: answers with other fields, or longer than [`MAX_ANSWER`]; references to flakes for which Nix would run another program
//! in a directory (`git+file:`, `hg+file:`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use pinfold_base::Shown;
use serde::Deserialize;
use serde::Serialize;

use super::store_path::StorePath;

/// The most that is read of an answer, in bytes.
pub const MAX_ANSWER: u64 = 4 << 20;
/// The longest name, in bytes.
const MAX_NAME: usize = 512;
/// The function that an answer is made with: `called: flake: systems: names:`.
const RESOLVE: &str = include_str!("resolve.nix");
/// Kinds of references that are addresses.
const REMOTE: [&str; 10] = [
    "github:",
    "gitlab:",
    "sourcehut:",
    "https://",
    "http://",
    "tarball+https://",
    "tarball+http://",
    "git+https://",
    "git+http://",
    "git+ssh://",
];

/// A text that names no package of a flake.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not the name of a package in a flake: {reason}")]
pub struct PackageError {
    text: Shown,
    reason: String,
}

/// An answer of Nix that is none.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is not of the form above.
    #[error("it is not what Nix answers")]
    Json(#[from] serde_json::Error),
    /// It is larger than what is read.
    #[error("it has more than {MAX_ANSWER} bytes")]
    TooLong,
}

/// Which flake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flake {
    /// By its name in the registry of this machine's Nix: `nixpkgs`, `nixpkgs/nixos-24.05`.
    Registered(String),
    /// A directory of this machine, as written.
    Directory(String),
    /// An address: `github:OWNER/NAME`, `https://…`.
    Remote(String),
}

impl Flake {
    /// As written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Registered(text) | Self::Directory(text) | Self::Remote(text) => text,
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?=&+%@".contains(&byte);
        if !text.bytes().all(known) {
            return Err("the flake has letters, digits and `-._~:/?=&+%@`".into());
        }
        let directory = text.strip_prefix("path:").unwrap_or(text);
        if ["/", "./", "../"].iter().any(|start| directory.starts_with(start))
            || [".", ".."].contains(&directory)
        {
            if directory.contains('?') {
                return Err("a directory has no `?`".into());
            }
            return Ok(Self::Directory(directory.to_owned()));
        }
        let registered = text.strip_prefix("flake:").unwrap_or(text);
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
        if registered.starts_with(|first: char| first.is_ascii_alphabetic()) && registered.bytes().all(word) {
            return Ok(Self::Registered(registered.to_owned()));
        }
        if REMOTE.iter().any(|start| text.strip_prefix(start).is_some_and(|rest| !rest.is_empty())) {
            return Ok(Self::Remote(text.to_owned()));
        }
        Err(format!("a flake is `nixpkgs`, a directory `./DIRECTORY`, or begins with {}", REMOTE.join(", ")))
    }
}

impl fmt::Display for Flake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which outputs of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outputs {
    /// Those that `nix profile` installs.
    Default,
    /// All.
    All,
    /// These.
    Named(BTreeSet<String>),
}

/// A package by its name, `FLAKE#NAME` with `^OUTPUT,OUTPUT` or `^*` after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// The flake that it is in.
    pub flake: Flake,
    /// Its name there, with dots between steps.
    pub name: String,
    /// What of it is meant.
    pub outputs: Outputs,
}

impl Package {
    /// The last step of its name, which is what people call it.
    pub fn title(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }

    /// The same without outputs.
    pub fn attribute(&self) -> String {
        format!("{}#{}", self.flake, self.name)
    }
}

impl FromStr for Package {
    type Err = PackageError;

    fn from_str(text: &str) -> Result<Self, PackageError> {
        let wrong = |reason: String| PackageError { text: Shown::from(text), reason };
        let (flake, rest) = text
            .split_once('#')
            .ok_or_else(|| wrong("expected `nixpkgs#NAME` or another `FLAKE#NAME`".into()))?;
        if text.len() > MAX_NAME {
            return Err(wrong(format!("it has more than {MAX_NAME} bytes")));
        }
        let flake = Flake::parse(flake).map_err(wrong)?;
        let (name, outputs) = match rest.split_once('^') {
            None => (rest, Outputs::Default),
            Some((name, "*")) => (name, Outputs::All),
            Some((name, list)) => (name, Outputs::Named(list.split(',').map(str::to_owned).collect())),
        };
        let word = |word: &str| {
            let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+'".contains(&byte);
            !word.is_empty() && word.bytes().all(known)
        };
        if !name.split('.').all(word) {
            return Err(wrong(
                "a name is words of letters, digits, `_`, `-`, `+` and `'` with dots between".into(),
            ));
        }
        if let Outputs::Named(list) = &outputs
            && !list.iter().all(|output| word(output))
        {
            return Err(wrong("outputs are written `^bin,dev`, or `^*` for all".into()));
        }
        Ok(Self { flake, name: name.to_owned(), outputs })
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.flake, self.name)?;
        match &self.outputs {
            Outputs::Default => Ok(()),
            Outputs::All => f.write_str("^*"),
            Outputs::Named(list) => {
                write!(f, "^{}", list.iter().map(String::as_str).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl Serialize for Package {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The expression that says what names of one flake are: evaluated by `nix eval --json --expr`, it gives a [`Resolution`]. `address` is
/// what Nix reads the flake from; the answer calls it `flake`.
pub fn expression(flake: &Flake, address: &str, systems: &[String], names: &BTreeSet<&str>) -> String {
    let list = |words: &mut dyn Iterator<Item = &str>| {
        words.fold("[".to_owned(), |text, word| text + " " + &quoted(word)) + " ]"
    };
    format!(
        "({RESOLVE}) {} (builtins.getFlake {}) {} {}",
        quoted(flake.as_str()),
        quoted(address),
        list(&mut systems.iter().map(String::as_str)),
        list(&mut names.iter().copied()),
    )
}

/// A string of Nix's language.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for char in text.chars() {
        match char {
            '"' | '\\' | '$' => {
                quoted.push('\\');
                quoted.push(char);
            }
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            other => {
                let _ = quoted.write_char(other);
            }
        }
    }
    quoted + "\""
}

/// Why there is no path for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refused {
    /// The flake has nothing of that name for the system.
    Missing,
    /// What is there is no package.
    Other,
    /// Its licence is not free, and this Nix is not set up to take such packages.
    Unfree,
    /// It cannot be evaluated: it is broken, insecure, or not for this system.
    Failed,
}

/// Where a package is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluated {
    /// Its outputs.
    pub outputs: BTreeMap<String, FullPath>,
    /// Those that are meant where none is named.
    pub default: Vec<String>,
}

/// A store path that is written with its directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullPath(pub StorePath);

impl<'de> Deserialize<'de> for FullPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        StorePath::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What Nix says of one name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Answer {
    Refused(Refusal),
    Evaluated(Evaluated),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    refused: Refused,
}

/// What Nix says of one flake.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfFlake {
    revision: Option<String>,
    systems: BTreeMap<String, BTreeMap<String, Answer>>,
}

/// What Nix says of names: an answer of this machine's, or the file with another's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution(BTreeMap<String, OfFlake>);

/// What a resolution says of a package on a system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// Where it is, and at which revision of the flake.
    Found(&'a Evaluated, Option<&'a str>),
    /// That there is no path for it.
    Refused(Refused),
    /// Nothing; the systems that it says something of.
    Nothing(Vec<&'a str>),
}

impl Resolution {
    /// Reads an answer.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnswerError> {
        if bytes.len() as u64 > MAX_ANSWER {
            return Err(AnswerError::TooLong);
        }
        Ok(Self(serde_json::from_slice(bytes)?))
    }

    /// Adds what another answer says; of the same flake, its.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What it says of a package.
    pub fn of(&self, package: &Package, system: &str) -> Said<'_> {
        let flake = self.0.get(package.flake.as_str());
        let answer = flake.and_then(|flake| flake.systems.get(system)?.get(&package.name));
        match (flake, answer) {
            (Some(flake), Some(Answer::Evaluated(found))) => Said::Found(found, flake.revision.as_deref()),
            (_, Some(Answer::Refused(Refusal { refused }))) => Said::Refused(*refused),
            _ => {
                let systems = flake.into_iter().flat_map(|flake| &flake.systems);
                let with = systems.filter(|(_, names)| names.contains_key(&package.name));
                Said::Nothing(with.map(|(system, _)| system.as_str()).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests;
