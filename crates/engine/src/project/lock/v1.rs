//! Version 1 of the lock, as a serde model. One package a line, so that a changed version is a changed line.
//!
//! ```toml
//! version = 1
//! compat = 8
//! epoch = 1762610000              # SOURCE_DATE_EPOCH: the newest metadata date
//!
//! [encoders]                      # who compresses layers
//! gzip = "gzip-6/…"
//!
//! [request]                       # digests of the manifest's parts that this lock answers
//! debian = "5fd1…"
//!
//! [debian]
//! suites = [ … ]
//! [debian.packages]
//! "linux/amd64" = [
//!   { name = "apt", version = "2.6.1", … },
//! ]
//!
//! [[agents]]                      # one per recipe
//! name = "claude-code"
//! version = "2.1.0"
//! [agents.packages]
//! "linux/amd64" = { name = "…", version = "2.1.0", integrity = "…", … }
//!
//! [npm]                           # further npm packages
//! [binaries]
//! layers = [ { name = "…", components = [ … ] } ]        # a component a line
//! [ledger]                        # once every platform was placed: a run places its own
//! "linux/amd64" = [ { package = "…", script = "postinst", … } ]
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_base::Platform;
use pinfold_sources::debian::place::LedgerEntry;
use serde::Deserialize;
use serde::Serialize;
use toml_edit::visit_mut::VisitMut;

use super::LockError;
use crate::sources::Section;
use crate::sources::each_source;

/// Writes the lock with a section for each source, in the order of their list.
macro_rules! lock {
    ($($(#[cfg($when:meta)])? $key:ident => $section:ident: $room:ident::$source:ident, $about:tt;)*) => {
        /// Everything that was resolved.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Lock {
            /// Format, 1.
            pub version: u32,
            /// Level of digest compatibility.
            pub compat: u32,
            /// Time of everything generated, in seconds since the epoch.
            pub epoch: u64,
            /// Ids of the layer encoders, by compression: who writes the bytes that layer digests are of.
            pub encoders: BTreeMap<String, String>,
            /// The preset that was locked when there is no manifest.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub preset: Option<LockedPreset>,
            /// Parts of the request and their digests.
            pub request: BTreeMap<String, String>,
            $($(#[cfg($when)])?
            #[doc = $about]
            #[serde(default, skip_serializing_if = "is_empty")]
            pub $section: <crate::sources::$room::$source as Section>::Locked,)*
            /// Which component goes to which layer, bottom layer first.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub layers: Vec<LockedLayer>,
            /// What stands for each install script, by platform.
            #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
            pub ledger: BTreeMap<Platform, Vec<LedgerEntry>>,
        }
    };
}
each_source!(lock);

/// A section that has nothing is not written.
fn is_empty<T: Default + PartialEq>(section: &T) -> bool {
    *section == T::default()
}

/// The preset a lock without a manifest answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPreset {
    /// Its name.
    pub name: String,
    /// The suite of Debian chosen on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// Agents chosen on the command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<String>,
}

/// One layer's components.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedLayer {
    /// Name of the layer.
    pub name: String,
    /// What it holds.
    pub components: Vec<String>,
}

const HEADER: &str = "# Written by `pinfold lock`. Commit it beside pinfold.toml; do not edit it by hand.\n";

impl Lock {
    /// Reads the text of a lock; `file` is for messages.
    pub fn parse(text: &str, file: &Path) -> Result<Self, LockError> {
        let wrong = |message: String| LockError::Format { file: file.to_owned(), message };
        #[derive(Deserialize)]
        struct Probe {
            version: u32,
            compat: u32,
        }
        // Versions first: a newer format may have keys that this one does not know.
        let probe: Probe = toml::from_str(text).map_err(|error| wrong(one_line(&error)))?;
        if probe.version != 1 {
            return Err(wrong(format!("it has format {}, this version reads 1", probe.version)));
        }
        if !(1..=super::COMPAT).contains(&probe.compat) {
            return Err(wrong(format!(
                "it has compat level {}, this version has {}",
                probe.compat,
                super::COMPAT
            )));
        }
        toml::from_str(text).map_err(|error| {
            let position = crate::syntax::Position::of(file, text, error.span().unwrap_or(0..0));
            wrong(format!("line {}: {}", position.line, one_line(&error)))
        })
    }

    /// The text of this lock: equal locks give equal bytes.
    pub fn render(&self) -> String {
        match toml_edit::ser::to_document(self) {
            Ok(mut document) => {
                Layout { depth: 0 }.visit_document_mut(&mut document);
                format!("{HEADER}{document}")
            }
            // The model holds only strings, numbers, lists and maps with string keys, all of which TOML can say.
            Err(error) => unreachable!("a lock is always TOML: {error}"),
        }
    }

    /// Digest of all that decides about an image: what a build is keyed by. The ledger tells what placing did, and is not part of it.
    pub fn digest(&self) -> pinfold_base::Digest {
        let deciding = Self { ledger: BTreeMap::new(), ..self.clone() };
        pinfold_base::Digest::sha256(deciding.render().as_bytes())
    }
}

/// What the reader says, which puts what it expected into a line of its own.
fn one_line(error: &toml::de::Error) -> String {
    error.message().trim_end().replace('\n', ", ")
}

/// Lays out the document: tables at the first two levels, one inline table a line below; a list of tables with tables in them is
/// tables too, and a list of several words has a line for each.
struct Layout {
    depth: usize,
}

impl VisitMut for Layout {
    fn visit_table_like_kv_mut(&mut self, mut key: toml_edit::KeyMut<'_>, item: &mut toml_edit::Item) {
        if self.depth < 2
            && let Some(inline) = item.as_inline_table_mut()
        {
            let mut table = std::mem::take(inline).into_table();
            table.set_implicit(false);
            key.fmt();
            *item = toml_edit::Item::Table(table);
        }
        if self.depth == 0
            && let Some(tables) = item.as_array().and_then(tables)
        {
            key.fmt();
            *item = toml_edit::Item::ArrayOfTables(tables);
        }
        self.depth += 1;
        toml_edit::visit_mut::visit_table_like_kv_mut(self, key, item);
        self.depth -= 1;
    }

    fn visit_array_mut(&mut self, array: &mut toml_edit::Array) {
        if array.iter().any(toml_edit::Value::is_inline_table) {
            lines(array, "  ");
            toml_edit::visit_mut::visit_array_mut(self, array);
        } else if self.depth > 1 && array.len() > 1 {
            lines(array, "    ");
            array.set_trailing("\n  ");
        }
    }
}

/// Puts each value into a line of its own.
fn lines(array: &mut toml_edit::Array, indent: &str) {
    for value in array.iter_mut() {
        value.decor_mut().set_prefix(format!("\n{indent}"));
    }
    array.set_trailing("\n");
    array.set_trailing_comma(true);
}

/// A list of inline tables as tables, where one of them has a table in it.
fn tables(array: &toml_edit::Array) -> Option<toml_edit::ArrayOfTables> {
    let inline = |value: &toml_edit::Value| value.as_inline_table().cloned();
    let all: Vec<toml_edit::InlineTable> = array.iter().map(inline).collect::<Option<_>>()?;
    let nested = |table: &toml_edit::InlineTable| table.iter().any(|(_, value)| value.is_inline_table());
    all.iter().any(nested).then(|| all.into_iter().map(toml_edit::InlineTable::into_table).collect())
}
