//! Python distributions of an image: `*.dist-info/METADATA`, and the older `*.egg-info` (a file, or a directory with `PKG-INFO`).

use std::collections::BTreeMap;

use pinfold_base::ImagePath;
use pinfold_image::contents::Contents;

use super::license::License;

/// Longest name and longest version that is taken for one, in bytes.
const MAX_WORD: usize = 300;

/// Whether a file tells something of packages.
pub(super) fn is_read(path: &ImagePath) -> bool {
    is_metadata(path) || (path.name() == b"RECORD" && is_in(path, b".dist-info"))
}

fn is_metadata(path: &ImagePath) -> bool {
    match path.name() {
        b"METADATA" => is_in(path, b".dist-info"),
        b"PKG-INFO" => is_in(path, b".egg-info") || is_in(path, b"EGG-INFO"),
        name => name.ends_with(b".egg-info"),
    }
}

fn is_in(path: &ImagePath, end: &[u8]) -> bool {
    path.parent().is_some_and(|dir| dir.name().ends_with(end))
}

/// A distribution, at one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Python {
    pub name: String,
    pub version: String,
    pub author: Option<String>,
    pub license: Option<License>,
    pub summary: Option<String>,
    /// The file that tells of it.
    pub told_by: ImagePath,
    /// Names of what it depends on, normalised.
    needs: Vec<String>,
}

/// All distributions, by their files.
pub(super) fn packages(contents: &Contents) -> Vec<Python> {
    let told = contents.kept.iter().filter(|(path, _)| is_metadata(path));
    told.filter_map(|(path, bytes)| package(&String::from_utf8_lossy(bytes), path)).collect()
}

/// Reads the head of a message (core metadata; RFC 822 without encodings).
fn package(text: &str, path: &ImagePath) -> Option<Python> {
    let head = text.lines().take_while(|line| !line.trim().is_empty());
    let fields: Vec<(&str, &str)> = head
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let field = |wanted: &str| {
        let mut all = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        all.find_map(|(_, value)| {
            (!value.is_empty() && *value != "UNKNOWN" && value.len() <= MAX_WORD).then(|| (*value).to_owned())
        })
    };
    let needs = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Requires-Dist"));
    // What an extra asks for is there only where somebody wanted the extra.
    let needs = needs.filter(|(_, value)| !value.contains("extra ==")).map(|(_, value)| {
        let end = value.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
        normal(&value[..end.unwrap_or(value.len())])
    });
    Some(Python {
        name: field("Name")?,
        version: field("Version")?,
        author: field("Author").or_else(|| field("Author-email")).or_else(|| field("Maintainer")),
        license: field("License-Expression")
            .or_else(|| field("License"))
            .and_then(|text| License::declared(&text)),
        summary: field("Summary"),
        told_by: path.clone(),
        needs: needs.collect(),
    })
}

/// A name as indexes compare it (packaging.python.org, "Names and normalization").
fn normal(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

/// Which distribution each path is of, by its number, where a `RECORD` says.
pub(super) fn owners(contents: &Contents, all: &[Python]) -> BTreeMap<ImagePath, usize> {
    let mut owners = BTreeMap::new();
    for (number, python) in all.iter().enumerate() {
        owners.insert(python.told_by.clone(), number);
        let Some(dir) = python.told_by.parent() else { continue };
        let Ok(record) = dir.join("RECORD") else { continue };
        let text = contents.kept.get(&record).map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
        for line in text.lines() {
            // A path with a comma stands in quotes.
            let path = match line.strip_prefix('"') {
                Some(rest) => rest.split_once('"').map(|(path, _)| path),
                None => line.split_once(',').map(|(path, _)| path),
            };
            // It counts from beside the directory; `../../../bin/tool` never leads out of the image.
            let path = path.and_then(|path| dir.link_target(path.as_bytes()));
            owners.extend(path.map(|path| (path, number)));
        }
    }
    owners
}

/// What each distribution depends on, by number.
pub(super) fn depends(all: &[Python]) -> Vec<Vec<usize>> {
    let by_name: BTreeMap<String, usize> =
        all.iter().enumerate().map(|(number, one)| (normal(&one.name), number)).collect();
    let of = |(number, one): (usize, &Python)| {
        let mut found: Vec<usize> = one.needs.iter().filter_map(|name| by_name.get(name).copied()).collect();
        found.retain(|other| *other != number);
        found.sort_unstable();
        found.dedup();
        found
    };
    all.iter().enumerate().map(of).collect()
}
