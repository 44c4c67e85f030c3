//! What the entries of an image layer mean, and which of them no honest layer has (image-spec, layer.md).
//!
//! | entry | meaning |
//! |---|---|
//! | `DIR/.wh.NAME`, an empty file | `NAME` of lower layers is gone from `DIR` |
//! | `DIR/.wh..wh..opq`, an empty file | everything that lower layers have in `DIR` is gone |
//! | either of another type, or with content | refused: readers that look only at the name delete, others make a file |
//! | `.wh.`, `.wh..`, `.wh...` | refused: they name nothing, the directory itself, the one above it |
//! | any other `.wh..wh.…` | refused: AUFS kept its own files there (`.wh..wh.plnk`); readers derived from it pass over them, others delete a file named `.wh.…` |
//! | anything below a name that begins with `.wh.` | refused: the next layer made from it would delete |
//! | anything else | it replaces what lower layers have at its path; a directory over a directory keeps what is inside |
//!
//! A whiteout hides what lower layers have. What its own layer brought stays, whatever the order ("Whiteouts").
//!
//! [`Rules`] judges the entries of one layer as they come. **Guarantees**: memory grows with the number of paths, not with their
//! names, and ends at [`MAX_PATHS`]; an attacker cannot make hashes of an unknown key collide. **Refuses** besides: names that are
//! absolute, lead out or are deeper than [`MAX_DEPTH`]; a path twice; entries below something the same layer brought that is no directory, a
//! symbolic link above all; something that is no directory where the layer has entries below; devices and FIFOs; hard links to
//! themselves and to what is no file; attributes that steer overlayfs.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use pinfold_base::ImagePath;

use crate::tar::Entry;
use crate::tar::EntryKind;
use crate::tar::NameError;
use crate::tar::read::path_of;

/// What the name of a whiteout begins with. No other name of a layer may.
pub const WHITEOUT: &[u8] = b".wh.";
/// The name of the whiteout that hides everything beside it.
pub const OPAQUE: &[u8] = b".wh..wh..opq";
/// Most components of a path.
pub const MAX_DEPTH: usize = 256;
/// Most paths of a layer, the directories above its entries counted: four times the entries that are read. A walk of a file
/// system names each directory it comes through, so an honest layer has hardly more paths than entries.
pub const MAX_PATHS: usize = 4_000_000;

/// Whether a component of a path means something of its own in a layer, so that no file can have it as its name.
pub fn is_reserved(name: &[u8]) -> bool {
    name.starts_with(WHITEOUT)
}

/// What an entry does to the file system that lower layers make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It describes the root.
    Root,
    /// Something comes to this path.
    Put(ImagePath),
    /// Another name of a file comes to this path.
    Link {
        /// The path.
        path: ImagePath,
        /// The file's name so far.
        target: ImagePath,
    },
    /// What lower layers have at this path goes.
    Hide(ImagePath),
    /// What lower layers have in this directory goes.
    Clear(ImagePath),
}

/// What is known about a path of the layer.
mod flag {
    /// An entry of the layer.
    pub(super) const ENTRY: u8 = 1;
    /// It is a directory.
    pub(super) const DIRECTORY: u8 = 2;
    /// It is a regular file or another name of one.
    pub(super) const FILE: u8 = 4;
    /// It is a symbolic link.
    pub(super) const LINK: u8 = 8;
    /// Entries that are no whiteouts stand below it.
    pub(super) const ABOVE: u8 = 16;
    /// Whiteouts stand below it.
    pub(super) const ABOVE_WHITEOUT: u8 = 32;
}

/// What is known about a path.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    flags: u8,
    /// Of a file: mode and owner, as a keyed hash.
    owned: u32,
}

/// The rules for the entries of one layer, and what it brought so far.
#[derive(Debug)]
pub struct Rules {
    /// Most paths that are remembered.
    most: usize,
    key: RandomState,
    /// What is known of paths, by keyed hashes: a set of a million names would not fit into the memory we want to use.
    paths: HashMap<u64, Known>,
    /// Keyed hashes of the extended attributes of the few files that have any.
    attributes: HashMap<u64, u64>,
    /// The directory of the last entry that was good, and the flag it was marked with: entries come in order, so most have the
    /// same one as their predecessor.
    last: Option<(ImagePath, u8)>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            most: MAX_PATHS,
            key: RandomState::new(),
            paths: HashMap::new(),
            attributes: HashMap::new(),
            last: None,
        }
    }
}

impl Rules {
    /// Judges the next entry of the layer. An error says what is wrong with it; the entry is known as one of the layer then too, so
    /// that a caller that wants to hear everything can go on.
    pub fn judge(&mut self, entry: &Entry) -> Result<Change, &'static str> {
        let path = inside(&entry.name)?;
        if self.paths.len() >= self.most {
            return Err("the layer has too many paths");
        }
        let whiteout = is_reserved(path.name());
        let at = self.key.hash_one(path.as_bytes());
        let known = self.paths.entry(at).or_default();
        let before = known.flags;
        known.flags |= match entry.kind {
            _ if whiteout => flag::ENTRY,
            EntryKind::Directory => flag::ENTRY | flag::DIRECTORY,
            EntryKind::File | EntryKind::Hardlink(_) => flag::ENTRY | flag::FILE,
            EntryKind::Symlink(_) => flag::ENTRY | flag::LINK,
            EntryKind::Special(_) => flag::ENTRY,
        };
        if before & flag::ENTRY != 0 {
            return Err("the layer has this path twice");
        }
        let meta = &entry.meta;
        known.owned = self.key.hash_one((meta.mode, meta.uid, meta.gid)) as u32;
        if !meta.xattrs.is_empty() && matches!(entry.kind, EntryKind::File | EntryKind::Hardlink(_)) {
            self.attributes.insert(at, self.key.hash_one(&meta.xattrs));
        }
        if steers_overlayfs(entry) {
            return Err("its attributes would steer overlayfs");
        }
        if path.is_root() {
            return Ok(Change::Root);
        }
        self.mark_above(&path, if whiteout { flag::ABOVE_WHITEOUT } else { flag::ABOVE })?;
        if whiteout {
            return hidden_by(&path, entry);
        }
        if entry.kind != EntryKind::Directory && before & (flag::ABOVE | flag::ABOVE_WHITEOUT) != 0 {
            return Err("the layer itself has entries below it");
        }
        match &entry.kind {
            EntryKind::Special(_) => Err("devices and FIFOs do not belong in an image"),
            EntryKind::Symlink(target) if target.len() > pinfold_base::image_path::MAX_PATH => {
                Err("the target of the link is no path")
            }
            EntryKind::Hardlink(target) => self.link(path, target),
            _ => Ok(Change::Put(path)),
        }
    }

    /// Whether the layer brought something to this path.
    pub fn brought(&self, path: &ImagePath) -> bool {
        self.is(path, flag::ENTRY)
    }

    /// Whether the layer brought a directory to this path.
    pub fn brought_directory(&self, path: &ImagePath) -> bool {
        self.is(path, flag::DIRECTORY)
    }

    /// Whether the layer brought a file to this path, or another name of one.
    pub fn brought_file(&self, path: &ImagePath) -> bool {
        self.is(path, flag::FILE)
    }

    /// Whether a hard link says of its file what the file's own entry says: mode, owner and, where it names any (GNU tar does not),
    /// extended attributes. Both were brought by the layer.
    pub fn is_described_as(&self, link: &ImagePath, target: &ImagePath) -> bool {
        let [link, target] = [link, target].map(|path| self.key.hash_one(path.as_bytes()));
        let owned = |at: u64| self.paths.get(&at).map(|known| known.owned);
        let attributes = |at: u64| self.attributes.get(&at);
        owned(link) == owned(target) && (attributes(link).is_none() || attributes(link) == attributes(target))
    }

    /// Whether the layer brought something that stands below this path.
    pub fn brought_below(&self, path: &ImagePath) -> bool {
        self.is(path, flag::ABOVE)
    }

    fn is(&self, path: &ImagePath, flag: u8) -> bool {
        self.paths.get(&self.key.hash_one(path.as_bytes())).is_some_and(|found| found.flags & flag != 0)
    }

    /// Marks the directories above an entry. None of them may be something else in the same layer: a walk of a file system never
    /// comes to a path below a link or a file, so an entry there is hand-made.
    fn mark_above(&mut self, path: &ImagePath, flag: u8) -> Result<(), &'static str> {
        let parent = path.parent().unwrap_or_default();
        if self.last.as_ref().is_some_and(|(last, marked)| *last == parent && *marked == flag) {
            return Ok(());
        }
        self.last = None;
        self.check_above(path)?;
        let mut at = Some(parent.clone());
        while let Some(dir) = at.filter(|dir| !dir.is_root()) {
            let known = self.paths.entry(self.key.hash_one(dir.as_bytes())).or_default();
            if known.flags & flag != 0 {
                break;
            }
            known.flags |= flag;
            at = dir.parent();
        }
        self.last = Some((parent, flag));
        Ok(())
    }

    /// Looks at the directories above a path, up to the first that entries already stand below: those above that one were looked at
    /// then, and what would have changed them since was refused. So a layer of deep directories costs no more than a flat one.
    fn check_above(&self, path: &ImagePath) -> Result<(), &'static str> {
        let mut at = path.parent();
        while let Some(dir) = at.filter(|dir| !dir.is_root()) {
            if is_reserved(dir.name()) {
                return Err("something above it has the name of a whiteout");
            }
            let known = self.paths.get(&self.key.hash_one(dir.as_bytes()));
            let known = known.map_or(0, |known| known.flags);
            if known & flag::LINK != 0 {
                return Err("it goes through a symbolic link of the same layer");
            }
            if known & flag::ENTRY != 0 && known & flag::DIRECTORY == 0 {
                return Err("something above it is no directory");
            }
            if known & (flag::ABOVE | flag::ABOVE_WHITEOUT) != 0 {
                break;
            }
            at = dir.parent();
        }
        Ok(())
    }

    fn link(&self, path: ImagePath, target: &[u8]) -> Result<Change, &'static str> {
        let target =
            inside(target).map_err(|_| "its target is absolute, leads out, or is too long or deep")?;
        if target == path {
            return Err("it is a link to itself");
        }
        self.check_above(&target)?;
        // Of lower layers nothing is known here.
        if is_reserved(target.name()) || self.brought(&target) && !self.brought_file(&target) {
            return Err("its target is no file");
        }
        Ok(Change::Link { path, target })
    }
}

/// A name as a path of the image.
fn inside(name: &[u8]) -> Result<ImagePath, &'static str> {
    let path = path_of(name).map_err(|error| match error {
        NameError::Absolute(_) => "the name is absolute",
        NameError::Path(_) => "the name leads out or is too long",
    })?;
    if path.components().count() > MAX_DEPTH {
        return Err("it is more than 256 levels deep");
    }
    Ok(path)
}

/// What a whiteout hides.
fn hidden_by(path: &ImagePath, entry: &Entry) -> Result<Change, &'static str> {
    if entry.kind != EntryKind::File || entry.size != 0 {
        return Err("a whiteout is an empty file");
    }
    let dir = path.parent().unwrap_or_default();
    let hidden = path.name().strip_prefix(WHITEOUT).unwrap_or_default();
    match hidden {
        _ if path.name() == OPAQUE => Ok(Change::Clear(dir)),
        b"" | b"." | b".." => Err("the whiteout names nothing"),
        _ if is_reserved(hidden) => Err("the whiteout has a name that is reserved"),
        _ => Ok(Change::Hide(dir.join(hidden).map_err(|_| "the whiteout names nothing")?)),
    }
}

fn steers_overlayfs(entry: &Entry) -> bool {
    let steers = |name: &Vec<u8>| name.starts_with(b"user.overlay.") || name.starts_with(b"trusted.overlay.");
    entry.meta.xattrs.keys().any(steers)
}

#[cfg(test)]
mod tests;
