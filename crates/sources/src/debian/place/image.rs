//! The image while it is being made: a tree, its accounts, its epoch, and the few ways in which files are generated.

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::ImagePath;

use super::PlaceError;
use super::merge::place_of;
use crate::accounts::Accounts;

/// Largest file that is read to generate another from it.
const MAX_READ: u64 = 4 << 20;

/// The image while it is being made.
pub(super) struct Image<'a> {
    pub(super) tree: Tree,
    pub(super) accounts: Accounts,
    pub(super) epoch: u64,
    pub(super) contents: &'a dyn Contents,
}

impl Image<'_> {
    /// Where a path of a script is in the image. Links in the directories on the way are followed, the last one is not.
    pub(super) fn at(&self, path: &str) -> Result<ImagePath, String> {
        if !path.starts_with('/') {
            return Err(format!("`{}` is no absolute path", path.escape_debug()));
        }
        let path = place_of(&ImagePath::new(path).map_err(|error| error.to_string())?);
        let Some(parent) = path.parent() else { return Ok(path) };
        match self.tree.resolve(&parent) {
            Some(parent) => parent.join(path.name()).map_err(|error| error.to_string()),
            None => Ok(path),
        }
    }

    /// Whether something can be found at `path`, links followed: what `test -e` says.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.at(path).is_ok_and(|path| self.tree.resolve(&path).is_some())
    }

    /// The bytes of a regular file; `None` where there is none.
    pub(super) fn read(&self, package: &str, path: &ImagePath) -> Result<Option<Vec<u8>>, PlaceError> {
        let Some(content) = self.tree.content(path) else { return Ok(None) };
        let failed = |source| PlaceError::Read { package: package.into(), member: path.to_string(), source };
        self.contents.read(content, MAX_READ).map(Some).map_err(failed)
    }

    /// Puts a node, over whatever was there, and the directories above it where they are missing, so that what was put can be
    /// found again.
    pub(super) fn insert(&mut self, path: &ImagePath, node: Node) {
        let directory = Node::directory(&node.owner, Metadata::root(0o755, self.epoch));
        let mut above = path.parent();
        while let Some(missing) = above.filter(|above| !self.tree.contains(above)) {
            above = missing.parent();
            self.tree.insert(missing, directory.clone());
        }
        self.tree.insert(path.clone(), node);
    }

    /// Puts a generated file, over whatever was there.
    pub(super) fn put(&mut self, owner: &str, path: &ImagePath, bytes: impl AsRef<[u8]>) {
        self.put_with(owner, path, bytes, Metadata::root(0o644, self.epoch));
    }

    /// The same with mode and owner.
    pub(super) fn put_with(
        &mut self,
        owner: &str,
        path: &ImagePath,
        bytes: impl AsRef<[u8]>,
        meta: Metadata,
    ) {
        let node = Node::file(&Component::generated(owner), meta, Content::inline(bytes.as_ref()));
        self.insert(path, node);
    }

    /// Puts a generated link, over whatever was there.
    pub(super) fn link(&mut self, owner: &str, path: &ImagePath, target: impl AsRef<[u8]>) {
        let node = Node::symlink(&Component::generated(owner), self.epoch, target);
        self.insert(path, node);
    }

    /// A directory where nothing is.
    pub(super) fn directory(&mut self, owner: &str, path: &ImagePath, meta: Metadata) {
        if !self.tree.contains(path) {
            self.insert(path, Node::directory(&Component::generated(owner), meta));
        }
    }

    /// The names of the regular files and links directly in a directory, in order of their bytes.
    pub(super) fn files_in(&self, directory: &ImagePath) -> Vec<ImagePath> {
        self.tree
            .below(directory)
            .filter(|(path, node)| {
                path.parent().as_ref() == Some(directory) && node.kind != NodeKind::Directory
            })
            .map(|(path, _)| path.clone())
            .collect()
    }
}

/// A path that is written in this program. An impossible one gives the root, over which nothing is ever put.
pub(super) fn known(path: &str) -> ImagePath {
    ImagePath::new(path).unwrap_or_default()
}
