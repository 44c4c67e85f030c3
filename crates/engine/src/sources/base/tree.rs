//! The tree that the layers of a base make, one applied over the other.
//!
//! An entry replaces what lower layers have at its path, except that a directory over a directory keeps what is inside. Whiteouts
//! hide what lower layers have; what their own layer brought stays. What entries mean and which are refused, whatever is below
//! them, [`pinfold_archive::layer`] says, and was judged when the layer was decoded.
//!
//! **Guarantees**: what comes out is what [`pinfold_image::unpack`] leaves, owner, times and attributes as in the layers; every
//! node belongs to one component; of several names of a file the first in order is the file.
//! **Refuses**: entries behind a link that leads nowhere, hard links to what is no file, whiteouts behind a link.

use std::collections::BTreeMap;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Member;
use pinfold_archive::decoded::MemberKind;
use pinfold_archive::layer::OPAQUE;
use pinfold_archive::layer::WHITEOUT;
use pinfold_base::ImagePath;

use crate::sources::STILL;

/// An entry that nothing can be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) path: ImagePath,
    pub(super) reason: &'static str,
}

/// A file, whatever names it has.
struct Inode {
    content: Content,
    meta: Metadata,
}

/// Layers as they are applied. In the tree a file is a link to the number of its inode, until all are there.
pub(super) struct Layers<'a> {
    owner: &'a Component,
    tree: Tree,
    inodes: Vec<Inode>,
    /// Which file a path is a name of.
    names: BTreeMap<ImagePath, usize>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(owner: &'a Component) -> Self {
        let mut tree = Tree::new();
        tree.insert(ImagePath::root(), Node::directory(owner, Metadata::root(0o755, STILL)));
        Self { owner, tree, inodes: Vec::new(), names: BTreeMap::new() }
    }

    /// Applies the next layer.
    pub(super) fn apply(&mut self, members: &[Member]) -> Result<(), Wrong> {
        // Whiteouts are for lower layers alone, wherever they stand.
        for member in members {
            let name = member.path.name();
            let dir = member.path.parent().unwrap_or_default();
            if name == OPAQUE {
                self.check_way(&member.path, &dir)?;
                let all: Vec<ImagePath> =
                    self.tree.below(&dir).map(|(path, _)| path.clone()).filter(|path| *path != dir).collect();
                for path in &all {
                    self.take(path);
                }
            } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
                self.check_way(&member.path, &dir)?;
                let hidden = dir.join(hidden);
                let hidden =
                    hidden.map_err(|_| Wrong { path: member.path.clone(), reason: "it names nothing" })?;
                self.take_all(&hidden);
            }
        }
        for member in members.iter().filter(|member| !member.path.name().starts_with(WHITEOUT)) {
            self.put(member)?;
        }
        Ok(())
    }

    /// A whiteout behind a link is understood differently by everybody.
    fn check_way(&self, path: &ImagePath, dir: &ImagePath) -> Result<(), Wrong> {
        let mut at = Some(dir.clone());
        while let Some(above) = at {
            if matches!(self.tree.get(&above).map(|node| &node.kind), Some(NodeKind::Symlink(_))) {
                return Err(Wrong { path: path.clone(), reason: "a whiteout behind a symbolic link" });
            }
            at = above.parent();
        }
        Ok(())
    }

    fn put(&mut self, member: &Member) -> Result<(), Wrong> {
        let wrong = |reason| Wrong { path: member.path.clone(), reason };
        if self.leads_nowhere(&member.path) {
            return Err(wrong("a link above it leads nowhere"));
        }
        let path = self.tree.landing(&member.path);
        self.make_parents(&path).map_err(wrong)?;
        let old = self.tree.get(&path);
        if member.kind == MemberKind::Directory {
            if !old.is_some_and(Node::is_directory) {
                self.take_all(&path);
            }
            self.tree.insert(path, Node::directory(self.owner, member.meta.clone()));
            return Ok(());
        }
        let node = |kind| Node { kind, meta: member.meta.clone(), owner: self.owner.clone() };
        match &member.kind {
            MemberKind::Symlink(target) => {
                let node = node(NodeKind::Symlink(target.clone()));
                self.take_all(&path);
                self.tree.insert(path, node);
            }
            MemberKind::Hardlink(target) => {
                let target = self.tree.landing(target);
                let inode = *self.names.get(&target).ok_or_else(|| wrong("its target is no file"))?;
                if target != path {
                    let node = node(NodeKind::Hardlink(ImagePath::root()));
                    self.take_all(&path);
                    self.tree.insert(path.clone(), node);
                    self.names.insert(path, inode);
                }
            }
            MemberKind::File { content } => {
                let node = node(NodeKind::Hardlink(ImagePath::root()));
                self.take_all(&path);
                self.tree.insert(path.clone(), node);
                self.names.insert(path, self.inodes.len());
                self.inodes.push(Inode { content: content.clone(), meta: member.meta.clone() });
            }
            MemberKind::Directory => {}
        }
        Ok(())
    }

    /// Whether a directory above a path is a link to nothing.
    fn leads_nowhere(&self, path: &ImagePath) -> bool {
        let mut at = path.parent();
        while let Some(above) = at {
            if self.tree.resolve(&above).is_some() {
                return false;
            }
            if self.tree.contains(&self.tree.landing(&above)) {
                return true;
            }
            at = above.parent();
        }
        false
    }

    /// The directories above an entry, as unpacking makes those that no layer has.
    fn make_parents(&mut self, path: &ImagePath) -> Result<(), &'static str> {
        let mut missing = Vec::new();
        let mut at = path.parent();
        while let Some(above) = at {
            match self.tree.get(&above).map(|node| &node.kind) {
                Some(NodeKind::Directory) => break,
                Some(_) => return Err("something above it is no directory"),
                None => {}
            }
            at = above.parent();
            missing.push(above);
        }
        for above in missing {
            self.tree.insert(above, Node::directory(self.owner, Metadata::root(0o755, STILL)));
        }
        Ok(())
    }

    fn take(&mut self, path: &ImagePath) {
        self.tree.remove(path);
        self.names.remove(path);
    }

    fn take_all(&mut self, path: &ImagePath) {
        if path.is_root() || !self.tree.contains(path) {
            return;
        }
        let all: Vec<ImagePath> = self.tree.below(path).map(|(path, _)| path.clone()).collect();
        for path in &all {
            self.take(path);
        }
    }

    /// All layers are there.
    pub(super) fn finish(mut self) -> Tree {
        let mut first: BTreeMap<usize, ImagePath> = BTreeMap::new();
        for (path, inode) in &self.names {
            let Some(node) = self.tree.get_mut(path) else { continue };
            let Inode { content, meta } = &self.inodes[*inode];
            node.meta = meta.clone();
            node.kind = match first.get(inode) {
                Some(first) => NodeKind::Hardlink(first.clone()),
                None => NodeKind::File(content.clone()),
            };
            first.entry(*inode).or_insert_with(|| path.clone());
        }
        self.tree
    }
}

#[cfg(test)]
mod tests;
