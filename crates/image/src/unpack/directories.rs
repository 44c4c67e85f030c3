//! Metadata of directories, set at the very end: until then everything must be writable, and writing changes times.

use std::collections::BTreeMap;
use std::ops::Bound;

use pinfold_base::ImagePath;

/// What a directory gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: u64,
    pub(super) nanoseconds: u32,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// All directories that layers named or that were made on the way to a file.
#[derive(Debug, Default)]
pub(super) struct Directories {
    found: BTreeMap<ImagePath, Meta>,
}

impl Directories {
    /// A directory as a layer describes it.
    pub(super) fn describe(&mut self, path: &ImagePath, meta: Meta) {
        self.found.insert(path.clone(), meta);
    }

    /// A directory that no layer described: 0755 root, at the epoch.
    pub(super) fn imply(&mut self, path: &ImagePath) {
        self.found.entry(path.clone()).or_insert_with(|| Meta { mode: 0o755, ..Meta::default() });
    }

    /// Forgets a directory and all below it.
    pub(super) fn remove(&mut self, path: &ImagePath) {
        // What stands below sorts after `path/` and before `path0`.
        let (start, end) = ([path.as_bytes(), b"/"].concat(), [path.as_bytes(), b"0"].concat());
        self.found.remove(path.as_bytes());
        let below: Vec<ImagePath> = self
            .found
            .range::<[u8], _>((Bound::Included(&start[..]), Bound::Excluded(&end[..])))
            .map(|(path, _)| path.clone())
            .collect();
        for path in below {
            self.found.remove(&path);
        }
    }

    /// Children before their parents.
    pub(super) fn into_deepest_first(self) -> impl Iterator<Item = (ImagePath, Meta)> {
        self.found.into_iter().rev()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removing_takes_what_is_below_and_nothing_else() {
        let mut directories = Directories::default();
        for name in ["a", "a/b", "a/b/c", "a-b", "a/b0", "a/b-"] {
            directories.imply(&ImagePath::new(name).unwrap());
        }
        directories.remove(&ImagePath::new("a/b").unwrap());
        let left: Vec<String> = directories.into_deepest_first().map(|(path, _)| path.to_string()).collect();
        assert_eq!(left, ["/a/b0", "/a/b-", "/a-b", "/a"]);
    }
}
