//! A suite that is asked for, and of which archive: Debian's own and further ones alike.
//!
//! ```text
//! ARCHIVE/dists/SUITE/COMPONENT/binary-ARCH/Packages      a suite with components
//! ARCHIVE/DIRECTORY/Packages                              flat: its name ends in a slash, as in sources.list(5)
//! ```

use std::fmt;

use pinfold_base::platform::Arch;

use super::mirrors;

/// A suite of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedSuite {
    /// The archive: `debian`, `debian-security`, or a further one as [`mirrors::name_of`] calls it.
    pub archive: String,
    /// The suite by its name in the archive: `bookworm`, `bookworm-updates`; `./` and the like for a flat one.
    pub name: String,
    /// Components: `main`, ...; none of a flat one.
    pub components: Vec<String>,
    /// apt's pin, instead of the one that its Release file makes.
    pub priority: Option<i16>,
    /// The architectures it is read for; all where none is named.
    pub arches: Vec<Arch>,
}

impl AskedSuite {
    /// A suite of Debian's own.
    pub fn of_debian(name: &str, components: &[String]) -> Self {
        Self {
            archive: mirrors::archive_of(name).to_owned(),
            name: name.to_owned(),
            components: components.to_vec(),
            priority: None,
            arches: Vec::new(),
        }
    }

    /// Whether it is one directory with everything in it.
    pub fn is_flat(&self) -> bool {
        self.name.ends_with('/')
    }

    /// Whether it is read for an architecture.
    pub fn is_for(&self, arch: Arch) -> bool {
        self.arches.is_empty() || self.arches.contains(&arch)
    }

    /// A file of it, below its archive.
    pub fn path(&self, file: &str) -> String {
        if self.is_flat() {
            let parts = self.name.split('/').filter(|part| !matches!(*part, "" | "."));
            parts.chain([file]).collect::<Vec<_>>().join("/")
        } else {
            format!("dists/{}/{file}", self.name)
        }
    }

    /// The table of the manifest that says where it is and whose keys sign for it.
    pub fn table(&self) -> &'static str {
        if mirrors::is_debians(&self.archive) { super::OWN } else { "[[debian.archive]]" }
    }
}

/// As in messages: a suite of a further archive with that before it.
impl fmt::Display for AskedSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !mirrors::is_debians(&self.archive) {
            write!(f, "{} ", self.archive)?;
        }
        f.write_str(&self.name)
    }
}
