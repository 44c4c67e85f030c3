//! Which files differ between two trees, and how.

use std::collections::BTreeMap;

use serde::Serialize;

use super::pairs;
use crate::describe::side::File;

/// Set-user-ID and set-group-ID (inode(7)).
const SET_ID: u32 = 0o6000;

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
    /// Other capabilities.
    Capabilities,
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
            Self::Capabilities => "capabilities",
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

impl FileChange {
    /// Whether something may be done through it that could not before, or no more: set-id bits or capabilities that came, went or
    /// changed, and another owner of what was there.
    pub fn is_of_rights(&self) -> bool {
        let rights = |file: &Option<Box<File>>| {
            let file = file.as_ref().filter(|file| !is_link(file));
            (file.map_or(0, |file| bits(file) & SET_ID), file.and_then(|file| file.capabilities.clone()))
        };
        let owner = |from: &File, to: &File| (from.uid, from.gid) != (to.uid, to.gid);
        rights(&self.from) != rights(&self.to)
            || self.from.as_ref().zip(self.to.as_ref()).is_some_and(|(from, to)| owner(from, to))
    }

    /// How it differs, in words: `added`, or each aspect with what it was and is, where that is short.
    pub fn told(&self) -> String {
        let alone = |word: &str, file: &File| match bits(file) & SET_ID {
            _ if is_link(file) => word.to_owned(),
            0 => word.to_owned(),
            _ => format!("{word} with mode {:04o}", bits(file)),
        };
        let with = |word: String, file: &File| match &file.capabilities {
            Some(value) => format!("{word}, capabilities {value}"),
            None => word,
        };
        let (from, to) = match (&self.from, &self.to) {
            (Some(from), Some(to)) => (from, to),
            (None, Some(to)) => return with(alone("added", to), to),
            (Some(from), None) => return with(alone("removed", from), from),
            (None, None) => return String::new(),
        };
        let capabilities = |file: &File| file.capabilities.clone().unwrap_or_else(|| "none".into());
        let each = self.differs.iter().map(|aspect| match aspect {
            Aspect::Type => format!("type {} → {}", from.mode, to.mode),
            Aspect::Mode => format!("mode {:04o} → {:04o}", bits(from), bits(to)),
            Aspect::Owner => format!("owner {}:{} → {}:{}", from.uid, from.gid, to.uid, to.gid),
            Aspect::Capabilities => format!("capabilities {} → {}", capabilities(from), capabilities(to)),
            Aspect::Content | Aspect::Target => aspect.word().to_owned(),
        });
        each.collect::<Vec<_>>().join(", ")
    }
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
    /// Those that give or take rights: set-id bits, owners, capabilities. They are listed whether the others are or not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<FileChange>,
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

fn is_link(file: &File) -> bool {
    file.mode.starts_with('l')
}

/// The permission bits of what `ls -l` writes.
pub(super) fn bits(file: &File) -> u32 {
    let mut bits = 0;
    for (at, letter) in file.mode.chars().skip(1).take(9).enumerate() {
        let (class, kind) = (at / 3, at % 3);
        if !matches!(letter, '-' | 'S' | 'T') {
            bits |= 0o400 >> at;
        }
        if kind == 2 && matches!(letter, 's' | 'S' | 't' | 'T') {
            bits |= 0o4000 >> class;
        }
    }
    bits
}

fn aspects(from: &File, to: &File) -> Vec<Aspect> {
    let kind = |file: &File| file.mode.chars().next();
    let owner = ((from.uid, from.gid) != (to.uid, to.gid), Aspect::Owner);
    let capabilities = (from.capabilities != to.capabilities, Aspect::Capabilities);
    let found = if kind(from) == kind(to) {
        let content = from.digest != to.digest || (from.digest.is_none() && from.size != to.size);
        // The bits of a symbolic link mean nothing (symlink(7)).
        let mode = from.mode != to.mode && !is_link(to);
        let target = (from.target != to.target, Aspect::Target);
        vec![(content, Aspect::Content), (mode, Aspect::Mode), owner, capabilities, target]
    } else {
        vec![(true, Aspect::Type), owner, capabilities]
    };
    found.into_iter().filter_map(|(differs, aspect)| differs.then_some(aspect)).collect()
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
