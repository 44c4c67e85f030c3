//! Which files differ between two trees, and how.

use std::collections::BTreeMap;

use serde::Serialize;

use super::pairs;
use crate::describe::side::File;

/// How a path differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// It is something else: a link instead of a file.
    Type,
    /// Other bytes.
    Content,
    /// Other permission bits.
    Mode,
    /// Another user or group.
    Owner,
    /// A link that leads elsewhere.
    Target,
}

impl Aspect {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::Content => "content",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Target => "target",
        }
    }
}

/// A path that is on one side only, or other on both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Where it is.
    pub path: String,
    /// What it came with: on the side where it is, or where it is now.
    pub component: Option<String>,
    /// How it differs; nothing where it is on one side only.
    pub differs: Vec<Aspect>,
    /// What it was.
    pub from: Option<Box<File>>,
    /// What it is.
    pub to: Option<Box<File>>,
}

/// The files of one component that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FilesOf {
    /// The component; none of paths that nobody says anything of.
    pub component: Option<String>,
    /// Paths that are new.
    pub added: usize,
    /// Paths that are gone.
    pub removed: usize,
    /// Paths that are other.
    pub changed: usize,
}

/// Everything that differs of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Files {
    /// How many, by component.
    pub components: Vec<FilesOf>,
    /// Each, by path; empty where that was not asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<FileChange>,
}

/// Compares two trees.
pub fn files(from: &[File], to: &[File]) -> Vec<FileChange> {
    let by_path = |files: &[File]| -> BTreeMap<String, File> {
        files.iter().map(|file| (file.path.clone(), file.clone())).collect()
    };
    let (from, to) = (by_path(from), by_path(to));
    let mut found = Vec::new();
    for (path, pair) in pairs(&from, &to) {
        let differs = match (pair.from, pair.to) {
            (Some(from), Some(to)) => aspects(from, to),
            _ => Vec::new(),
        };
        // Other layers and owners of an equal path are no difference of files.
        if pair.from.is_some() && pair.to.is_some() && differs.is_empty() {
            continue;
        }
        found.push(FileChange {
            path: path.clone(),
            component: pair.to.or(pair.from).and_then(|file| file.component.clone()),
            differs,
            from: pair.from.cloned().map(Box::new),
            to: pair.to.cloned().map(Box::new),
        });
    }
    found
}

fn aspects(from: &File, to: &File) -> Vec<Aspect> {
    let kind = |file: &File| file.mode.chars().next();
    let is_link = |file: &File| kind(file) == Some('l');
    if kind(from) != kind(to) {
        return vec![Aspect::Type];
    }
    let content = from.digest != to.digest || (from.digest.is_none() && from.size != to.size);
    // The bits of a symbolic link mean nothing (symlink(7)).
    let mode = from.mode != to.mode && !is_link(to);
    [
        (content, Aspect::Content),
        (mode, Aspect::Mode),
        ((from.uid, from.gid) != (to.uid, to.gid), Aspect::Owner),
        (from.target != to.target, Aspect::Target),
    ]
    .into_iter()
    .filter_map(|(differs, aspect)| differs.then_some(aspect))
    .collect()
}

/// How many paths of each component differ.
pub fn counted(changes: &[FileChange]) -> Vec<FilesOf> {
    let mut found: BTreeMap<Option<&String>, FilesOf> = BTreeMap::new();
    for change in changes {
        let of = found.entry(change.component.as_ref()).or_default();
        match (&change.from, &change.to) {
            (None, _) => of.added += 1,
            (_, None) => of.removed += 1,
            _ => of.changed += 1,
        }
    }
    found.into_iter().map(|(component, of)| FilesOf { component: component.cloned(), ..of }).collect()
}
