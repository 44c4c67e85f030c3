//! Recipes: what hand-written scripts do, as data.
//!
//! The data are files below `data/scripts/` of this crate, built into the program. A recipe is found by package and script;
//! the digest tells whether it was written for this very text. Digests are taken of the hand-written part alone, so that a
//! rebuild with a newer debhelper does not change them, with blank lines and trailing blanks left out and the names of the
//! architecture made neutral, because some scripts hold them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use pinfold_base::Arch;
use pinfold_base::Digest;
use serde::Deserialize;

use super::super::PlaceError;
use super::super::effect::Effect;

const FILES: [&str; 1] = [include_str!("../../../../data/scripts/bookworm.toml")];

/// What one script does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    package: String,
    script: String,
    /// Digests of the texts it was written for, in hexadecimal.
    sha256: Vec<String>,
    /// For readers of the file.
    #[serde(default, rename = "note")]
    _note: Option<String>,
    #[serde(default)]
    pub(super) effects: Vec<Effect>,
}

impl Recipe {
    /// Whether it was written for the text of this digest.
    pub(super) fn knows(&self, digest: &Digest) -> bool {
        self.sha256.iter().any(|known| *known == digest.hex())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    script: Vec<Recipe>,
}

type Table = BTreeMap<(String, String), Recipe>;

/// The recipe for a script of a package.
pub(super) fn find(package: &str, script: &str) -> Result<Option<&'static Recipe>, PlaceError> {
    static TABLE: OnceLock<Result<Table, String>> = OnceLock::new();
    let table = TABLE.get_or_init(|| read(&FILES)).as_ref();
    let table = table.map_err(|error| PlaceError::Recipes(error.clone()))?;
    Ok(table.get(&(package.to_owned(), script.to_owned())))
}

fn read(files: &[&str]) -> Result<Table, String> {
    let mut table = Table::new();
    for text in files {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        for recipe in file.script {
            let key = (recipe.package.clone(), recipe.script.clone());
            if table.contains_key(&key) {
                return Err(format!("{} of {} is there twice", key.1, key.0));
            }
            table.insert(key, recipe);
        }
    }
    Ok(table)
}

/// The digest of the hand-written part of a script.
pub(super) fn digest<'a>(lines: impl Iterator<Item = &'a str>) -> Digest {
    let mut text = lines.map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    for arch in [Arch::Amd64, Arch::Arm64] {
        text = text.replace(arch.triplet(), "@triplet@").replace(&format!(":{}", arch.debian()), ":@arch@");
    }
    Digest::sha256(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_recipes_are_readable() {
        let table = read(&FILES).unwrap();
        assert!(table.len() > 60, "{}", table.len());
        for recipe in table.values() {
            assert!(!recipe.sha256.is_empty(), "{}", recipe.package);
            assert!(recipe.sha256.iter().all(|digest| digest.len() == 64), "{}", recipe.package);
            assert!(matches!(recipe.script.as_str(), "preinst" | "postinst"));
        }
    }

    #[test]
    fn broken_recipes_are_found() {
        let recipe = "[[script]]\npackage = \"a\"\nscript = \"postinst\"\nsha256 = []\n";
        assert!(read(&[recipe]).is_ok());
        assert!(read(&[recipe, recipe]).unwrap_err().contains("twice"));
        assert!(read(&[&format!("{recipe}effects = [{{ do = \"magic\" }}]\n")]).is_err());
        assert!(
            read(&[&format!("{recipe}effects = [{{ do = \"directory\", path = \"/x\", mode = \"9\" }}]\n")])
                .is_err()
        );
        assert!(read(&[&format!("{recipe}effects = [{{ do = \"directory\", paht = \"/x\" }}]\n")]).is_err());
    }

    // Expected values: sha256sum over the text with the named changes made by hand.
    #[test]
    fn digests_ignore_blank_lines_and_the_architecture() {
        let amd64 = digest("#!/bin/sh\n\nfiles=libx:amd64 \nx x86_64-linux-gnu".lines());
        let arm64 = digest("#!/bin/sh\nfiles=libx:arm64\n\nx aarch64-linux-gnu\n\n".lines());
        assert_eq!(amd64, arm64);
        assert_eq!(amd64, Digest::sha256(b"#!/bin/sh\nfiles=libx:@arch@\nx @triplet@"));
        assert_ne!(amd64, digest("#!/bin/sh\nfiles=liby:amd64\nx x86_64-linux-gnu".lines()));
    }
}
