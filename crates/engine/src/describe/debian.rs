//! Debian packages of an image, as dpkg's database tells of them.
//!
//! ```text
//! /var/lib/dpkg/status            what is installed
//!               info/NAME.list    its paths (also NAME:ARCH.list)
//!               status.d/NAME     the same of images without dpkg, their paths in status.d/NAME.md5sums
//! /usr/share/doc/NAME/copyright   the licence
//! ```
//!
//! A package counts while its files are there: one of which only configuration is left does not.

use std::collections::BTreeMap;

use pinfold_base::ImagePath;
use pinfold_image::contents::Contents;
use pinfold_sources::debian::lock::relation::groups;
use pinfold_sources::debian::lock::relation::list;
use pinfold_sources::debian::stanza;
use pinfold_sources::debian::stanza::Form;
use pinfold_sources::debian::stanza::Stanza;

use super::license::License;

const STATUS: &str = "/var/lib/dpkg/status";
const LISTS: &str = "/var/lib/dpkg/info/";
const BESIDE: &str = "/var/lib/dpkg/status.d/";
const DOC: &str = "/usr/share/doc/";

/// Whether a file tells something of packages.
pub(super) fn is_read(path: &str) -> bool {
    tells(path)
        || path
            .strip_prefix(DOC)
            .and_then(|rest| rest.strip_suffix("/copyright"))
            .is_some_and(|name| !name.contains('/'))
}

/// Whether a file is of dpkg's database, without what is written of packages elsewhere.
pub(super) fn tells(path: &str) -> bool {
    path == STATUS
        || path.starts_with(BESIDE)
        || path.strip_prefix(LISTS).is_some_and(|name| name.strip_suffix(".list").is_some())
}

/// A package that is installed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Deb {
    pub name: String,
    pub version: String,
    pub arch: String,
    /// The source package and its version; those of the package itself unless they are named.
    pub source: (String, String),
    pub maintainer: Option<String>,
    /// The first line of its description.
    pub summary: Option<String>,
    pub license: Option<License>,
    /// The file that tells of it.
    pub told_by: ImagePath,
    /// `Pre-Depends` and `Depends`.
    needs: String,
    provides: String,
}

/// What is installed, in the order of the database. What cannot be read is noted.
pub(super) fn installed(contents: &Contents, notes: &mut Vec<String>) -> Vec<Deb> {
    let mut found = Vec::new();
    for (path, bytes) in &contents.kept {
        let shown = path.to_string();
        if shown != STATUS && (!shown.starts_with(BESIDE) || shown.strip_suffix(".md5sums").is_some()) {
            continue;
        }
        for stanza in stanza::stanzas(bytes, Form::Machine) {
            match stanza {
                Ok(stanza) => found.extend(deb(&stanza, path)),
                Err(error) => {
                    notes.push(format!("`{path}` is no database of packages from there on: {error}"));
                    break;
                }
            }
        }
    }
    for deb in &mut found {
        deb.license = license(contents, &deb.name);
    }
    found
}

fn deb(stanza: &Stanza<'_>, told_by: &ImagePath) -> Option<Deb> {
    let text = |name: &str| {
        let value = String::from_utf8_lossy(stanza.get(name)?);
        Some(value.lines().next().unwrap_or_default().trim().to_owned()).filter(|text| !text.is_empty())
    };
    let whole = |name: &str| stanza.get(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let status = text("Status").unwrap_or_else(|| "install ok installed".into());
    if matches!(status.rsplit(' ').next(), Some("not-installed" | "config-files")) {
        return None;
    }
    let (name, version) = (text("Package")?, text("Version")?);
    let source = text("Source").unwrap_or_else(|| name.clone());
    let source = match source.split_once(" (") {
        Some((source, version)) => (source.to_owned(), version.trim_end_matches(')').to_owned()),
        None => (source, version.clone()),
    };
    let needs: Vec<String> = ["Pre-Depends", "Depends"].into_iter().filter_map(whole).collect();
    Some(Deb {
        name,
        version,
        arch: text("Architecture").unwrap_or_default(),
        source,
        maintainer: text("Maintainer"),
        summary: text("Description"),
        license: None,
        told_by: told_by.clone(),
        needs: needs.join(", "),
        provides: whole("Provides").unwrap_or_default(),
    })
}

/// What its copyright file says; packages of one source often have one directory of documentation.
fn license(contents: &Contents, package: &str) -> Option<License> {
    let path = format!("usr/share/doc/{package}/copyright");
    License::of_copyright(contents.kept.get(&contents.real(path.as_bytes()).ok()?)?)
}

/// Which package each path is of, by its number. Paths are as dpkg has them: some as they were before `/usr` was merged.
pub(super) fn owners(contents: &Contents, debs: &[Deb]) -> BTreeMap<Vec<u8>, usize> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, deb) in debs.iter().enumerate() {
        by_name.entry(&deb.name).or_default().push(number);
    }
    let find = |name: &str| {
        let (name, arch) = name.split_once(':').unwrap_or((name, ""));
        let all = by_name.get(name)?;
        all.iter().find(|number| debs[**number].arch == arch).or(all.first()).copied()
    };
    let mut owners = BTreeMap::new();
    for (path, bytes) in &contents.kept {
        let shown = path.to_string();
        let listed = shown.strip_prefix(LISTS).and_then(|name| name.strip_suffix(".list"));
        let summed = shown.strip_prefix(BESIDE).and_then(|name| name.strip_suffix(".md5sums"));
        let Some(number) = listed.or(summed).and_then(find) else { continue };
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            if listed.is_some() {
                owners.insert(line.to_vec(), number);
            } else if let Some(path) = line.get(34..) {
                // 32 digits, two blanks, a path from the root.
                owners.insert([b"/", path.strip_prefix(b"./").unwrap_or(path)].concat(), number);
            }
        }
        owners.insert(shown.into_bytes(), number);
    }
    owners
}

/// The owner of a path.
pub(super) fn owner(owners: &BTreeMap<Vec<u8>, usize>, path: &ImagePath) -> Option<usize> {
    let shown = [b"/", path.as_bytes()].concat();
    owners.get(&shown).or_else(|| owners.get(shown.strip_prefix(b"/usr")?)).copied()
}

/// What each package depends on, by number: of alternatives the first that is installed.
pub(super) fn depends(debs: &[Deb]) -> Vec<Vec<usize>> {
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, deb) in debs.iter().enumerate() {
        by_name.entry(&deb.name).or_insert(number);
    }
    for (number, deb) in debs.iter().enumerate() {
        for provided in list(&deb.provides).unwrap_or_default() {
            by_name.entry(provided.name).or_insert(number);
        }
    }
    let of = |(number, deb): (usize, &Deb)| {
        let groups = groups(&deb.needs).unwrap_or_default();
        let first = |group: &Vec<_>| {
            group.iter().find_map(|one: &pinfold_sources::debian::lock::relation::Relation<'_>| {
                by_name.get(one.name).copied()
            })
        };
        let mut all: Vec<usize> = groups.iter().filter_map(first).filter(|other| *other != number).collect();
        all.sort_unstable();
        all.dedup();
        all
    };
    debs.iter().enumerate().map(of).collect()
}
