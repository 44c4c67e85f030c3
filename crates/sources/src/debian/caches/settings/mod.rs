//! `gschemas.compiled`: all settings that programs of GNOME, and others with GSettings, know. A program whose schema is not in
//! it ends at its start.
//!
//! ```text
//! *.enums.xml, then *.gschema.xml ─► markup ─► schema ─┐
//!                        *.gschema.override ─► overrides ─► schema ─► variant ─► gvdb
//!                                                  text ────┘ (defaults and ranges)
//! ```
//!
//! **Guarantees**: the bytes are those of `glib-compile-schemas` 2.74 and 2.84. A file that is wrong is left out as a whole and
//! named; what is wrong in an override is left out alone: so does the program.

mod gvdb;
mod markup;
mod overrides;
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod variant;

use self::schema::Schemas;

/// The name of the cache.
pub(in crate::debian) const NAME: &str = "gschemas.compiled";

/// Largest file that is read (the largest of Debian's has 100 KiB).
const MAX_FILE: usize = 1 << 20;

/// What came of a directory.
#[derive(Debug, Default)]
pub(in crate::debian) struct Compiled {
    /// The cache; nothing where there are no schemas.
    pub(in crate::debian) bytes: Option<Vec<u8>>,
    /// How many files are in it.
    pub(in crate::debian) files: usize,
    /// Files that are left out, and why.
    pub(in crate::debian) left_out: Vec<(String, &'static str)>,
}

/// Whether a file of this name is one of schemas or overrides.
pub(in crate::debian) fn is_source(name: &str) -> bool {
    rank(name).is_some()
}

/// When a file is read: what others build on comes first.
fn rank(name: &str) -> Option<u8> {
    [".enums.xml", ".gschema.xml", ".gschema.override"]
        .iter()
        .zip(0..)
        .find(|(end, _)| name.ends_with(**end))
        .map(|(_, rank)| rank)
}

/// Compiles the files of a directory, given by name and content.
pub(in crate::debian) fn compile(mut files: Vec<(String, Vec<u8>)>) -> Compiled {
    files.sort_by(|one, two| (rank(&one.0), &one.0).cmp(&(rank(&two.0), &two.0)));
    let mut schemas = Schemas::default();
    let mut compiled = Compiled::default();
    let mut sources = 0;
    for (name, bytes) in files {
        let text = match str::from_utf8(&bytes) {
            Ok(_) if bytes.len() > MAX_FILE => Err("it is larger than 1 MiB"),
            Ok(text) => Ok(text),
            Err(_) => Err("it is not UTF-8"),
        };
        let result = if rank(&name) == Some(2) {
            text.and_then(|text| overrides::apply(&mut schemas, text))
        } else {
            sources += 1;
            text.and_then(|text| schemas.read(text))
        };
        match result {
            Ok(()) => compiled.files += 1,
            Err(why) => compiled.left_out.push((name, why)),
        }
    }
    compiled.bytes = (sources > 0).then(|| gvdb::file(&schemas.table()));
    compiled
}
