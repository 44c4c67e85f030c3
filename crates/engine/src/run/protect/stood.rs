//! Which directories stood where before the start, kept with the sandbox for whoever looks for changes after its end.
//!
//! A directory that is renamed takes its files along, and their own times say nothing of it. So each directory that the search
//! for repositories passes is kept by its path and the number of its inode: one that is at its place afterwards and was not
//! before has come from elsewhere.
//!
//! **Guarantees**: no further directory is read for it, and what is kept is 16 characters a directory. Nobody can make a directory
//! that counts as one of them: the key is a part of a SHA-256. **Refuses** to say anything of what was not looked at.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use pinfold_base::Digest;

use super::search::DEPTH_MAX;

/// Characters of a key.
const KEY: usize = 16;

/// Directories and where they stood.
#[derive(Debug, Default)]
pub(in crate::run) struct Stood(HashSet<String>);

impl From<&str> for Stood {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().chunks(KEY).map(|key| String::from_utf8_lossy(key).into_owned()).collect())
    }
}

impl Stood {
    /// Whether the directory that is at `path` below `root` was there; `None` where that was not looked at.
    pub(in crate::run) fn was_there(&self, root: &Path, path: &Path, inode: u64) -> Option<bool> {
        if self.0.contains(&key(root, path, inode)) {
            return Some(true);
        }
        let looked = path.components().count() <= DEPTH_MAX + 1 && self.0.contains(&whole(root));
        looked.then_some(false)
    }
}

/// What is kept of one directory.
pub(super) fn key(root: &Path, path: &Path, inode: u64) -> String {
    let path = [root.as_os_str().as_bytes(), path.as_os_str().as_bytes()].join(&0);
    let mut hex = Digest::sha256(&[&inode.to_le_bytes()[..], &path].concat()).hex();
    hex.truncate(KEY);
    hex
}

/// What says that all of `root` was looked at, as deep as it is.
pub(super) fn whole(root: &Path) -> String {
    key(root, Path::new(""), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stood_at_one_place_and_of_what_was_not_looked_at_nothing_is_said() {
        let (root, path) = (Path::new("/w"), Path::new("a/b"));
        let kept = key(root, path, 7);
        let part = Stood::from(kept.as_str());
        let all = Stood::from((kept + &whole(root)).as_str());
        for (stood, root, path, inode, there) in [
            (&part, "/w", "a/b", 7, Some(true)),
            (&all, "/w", "a/b", 7, Some(true)),
            (&part, "/w", "a/c", 7, None),
            (&all, "/w", "a/c", 7, Some(false)),
            (&all, "/w", "a/b", 8, Some(false)),
            (&all, "/w", "a/b/c/d/e", 7, Some(false)),
            (&all, "/w", "a/b/c/d/e/f", 7, None),
            (&all, "/x", "a/b", 7, None),
            (&Stood::from(""), "/w", "a/b", 7, None),
        ] {
            assert_eq!(
                stood.was_there(Path::new(root), Path::new(path), inode),
                there,
                "{root} {path} {inode}"
            );
        }
    }
}
