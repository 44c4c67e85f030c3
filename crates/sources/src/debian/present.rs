//! Packages that are installed in an image below, as its dpkg database tells of them.
//!
//! ```text
//! /var/lib/dpkg/status          stanzas with `Status: … ok installed`
//!               status.d/NAME   the same without a status, in images without dpkg
//!               info/NAME[:ARCH].*
//! ```
//!
//! **Guarantees**: what is read is bounded, and only what is installed counts: a package of which configuration files are left is none.
//! **Refuses**: a database that is none.

use pinfold_archive::Contents;
use pinfold_archive::Tree;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;

use super::stanza;
use super::stanza::Form;
use super::stanza::StanzaError;

/// Most bytes of a file of the database (that of a machine with 5,000 packages has 8 MiB).
pub(super) const MAX_FILE: u64 = 64 << 20;

/// The database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PresentError {
    /// A file of it.
    #[error("cannot read `{path}` of the image below")]
    Read {
        /// The file.
        path: ImagePath,
        /// Why.
        source: std::io::Error,
    },
    /// Its form.
    #[error("`{path}` of the image below is no database of packages")]
    Form {
        /// The file.
        path: ImagePath,
        /// Why.
        source: StanzaError,
    },
    /// It has no merged `/usr`.
    #[error(
        "`/{0}` of the image below is a directory of its own: packages cannot be added where /usr is not merged"
    )]
    Unmerged(&'static str),
}

impl Diagnose for PresentError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Unmerged(_) => Kind::Usage,
            _ => Kind::Integrity,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Unmerged(_) => Some("take a base of Debian 12 or later, or leave the packages out".into()),
            _ => None,
        }
    }
}

/// A path that is written in this program.
fn known(path: &str) -> ImagePath {
    ImagePath::new(path).unwrap_or_default()
}

/// Where the database of dpkg is.
pub(super) fn status_file() -> ImagePath {
    known("var/lib/dpkg/status")
}

/// The stanzas of all that is installed, each as it stands in the database.
pub fn stanzas(tree: &Tree, contents: &dyn Contents) -> Result<Vec<Vec<u8>>, PresentError> {
    for name in ["bin", "lib"] {
        if tree.get(&known(name)).is_some_and(pinfold_archive::Node::is_directory) {
            return Err(PresentError::Unmerged(name));
        }
    }
    let mut files = vec![status_file()];
    let directory = known("var/lib/dpkg/status.d");
    let beside = tree.children(&directory).map(|(path, _)| path.clone());
    files.extend(beside.filter(|path| !path.name().ends_with(b".md5sums")));
    let mut found = Vec::new();
    for path in files {
        let Some(content) = tree.content(&path) else { continue };
        let read = contents.read(content, MAX_FILE);
        let text = read.map_err(|source| PresentError::Read { path: path.clone(), source })?;
        let mut all = stanza::stanzas(&text, Form::Machine);
        loop {
            let before = all.offset();
            let Some(one) = all.next() else { break };
            let one = one.map_err(|source| PresentError::Form { path: path.clone(), source })?;
            let status = one.get("Status").unwrap_or(b"install ok installed");
            if status.ends_with(b" ok installed") && one.get("Package").is_some() {
                let part = &text[before..all.offset()];
                found.push([part.trim_ascii(), b"\n"].concat());
            }
        }
    }
    Ok(found)
}

/// The same as the index of a suite, for whoever chooses packages to add.
pub fn index(tree: &Tree, contents: &dyn Contents) -> Result<Vec<u8>, PresentError> {
    Ok(stanzas(tree, contents)?.join(&b"\n"[..]))
}

/// The release that os-release(5) names: `bookworm`; nothing for another distribution's.
pub fn codename(tree: &Tree, contents: &dyn Contents) -> Option<String> {
    let content = tree.content(&known("etc/os-release"))?;
    let text = contents.read(content, 64 << 10).ok()?;
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value.trim_matches('"').to_owned())
    };
    value("ID").filter(|id| id == "debian")?;
    value("VERSION_CODENAME").filter(|name| !name.is_empty())
}
