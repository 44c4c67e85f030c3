//! What a layer changes of the layers below it: nodes that come, and paths that go (image-spec, layer.md).
//!
//! [`difference`] compares two trees, [`Changeset`] is what one layer says of it, its whiteouts among the nodes.
//!
//! **Guarantees**: a layer that applies a difference to the one tree leaves the other. All names of a file stand in one layer: a
//! link to what a lower layer has is none for every reader. Each path that goes has a whiteout of its own, never an opaque
//! directory: readers disagree about those.

use std::collections::BTreeSet;

use pinfold_base::ImagePath;

use crate::Component;
use crate::Content;
use crate::Metadata;
use crate::Node;
use crate::NodeKind;
use crate::Tree;
use crate::layer::WHITEOUT;

/// What of a tree is not in the one below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Paths that are new, or other than they were.
    pub come: BTreeSet<ImagePath>,
    /// Paths that were there and are not any more, none of them inside of another.
    pub gone: BTreeSet<ImagePath>,
}

/// One layer's nodes, whiteouts among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changeset {
    tree: Tree,
    whiteouts: BTreeSet<ImagePath>,
}

impl From<Tree> for Changeset {
    /// A layer that removes nothing.
    fn from(tree: Tree) -> Self {
        Self { tree, whiteouts: BTreeSet::new() }
    }
}

impl Changeset {
    /// Its nodes; a whiteout is an empty file.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Which of the nodes are whiteouts.
    pub fn whiteouts(&self) -> &BTreeSet<ImagePath> {
        &self.whiteouts
    }

    /// Adds the whiteout of a path. The directories above it must be in the tree.
    pub fn hide(&mut self, path: &ImagePath, owner: &Component) {
        let name = [WHITEOUT, path.name()].concat();
        // A name that is too long with the prefix cannot be removed by any layer.
        if let Ok(whiteout) = path.parent().unwrap_or_default().join(&name) {
            let node = Node::file(owner, Metadata::root(0o644, 0), Content::inline(&b""[..]));
            self.tree.insert(whiteout.clone(), node);
            self.whiteouts.insert(whiteout);
        }
    }
}

/// Whether a layer need not say again what is at a path of both trees. The time of a directory is no difference: each layer that
/// has something in it sets it anew.
fn is_same(old: &Node, new: &Node) -> bool {
    if old.is_directory() && new.is_directory() {
        let still = |node: &Node| Metadata { mtime: 0, ..node.meta.clone() };
        return still(old) == still(new);
    }
    old.kind == new.kind && old.meta == new.meta
}

/// What of `tree` is not in `below`. Both are whole: every parent is there.
pub fn difference(below: &Tree, tree: &Tree) -> Difference {
    let changed = |path: &ImagePath, node: &Node| !below.get(path).is_some_and(|old| is_same(old, node));
    let target = |node: &Node| match &node.kind {
        NodeKind::Hardlink(target) => Some(target.clone()),
        _ => None,
    };
    // Files, by their first name, of which any name is new or other.
    let mut files: BTreeSet<ImagePath> = BTreeSet::new();
    for (path, node) in tree.iter() {
        let Some(file) = target(node) else { continue };
        let file_changed = tree.get(&file).is_some_and(|first| changed(&file, first));
        if file_changed || changed(path, node) {
            files.insert(file);
        }
    }
    let comes = |path: &ImagePath, node: &Node| {
        changed(path, node) || files.contains(path) || target(node).is_some_and(|file| files.contains(&file))
    };
    let come = tree.iter().filter(|(path, node)| comes(path, node)).map(|(path, _)| path.clone());
    let is_directory = |tree: &Tree, path: &ImagePath| tree.get(path).is_some_and(Node::is_directory);
    let goes = |path: &ImagePath| {
        // With a directory goes what is in it, and what stands in its place hides it by itself.
        let parent = path.parent().unwrap_or_default();
        !tree.contains(path) && is_directory(tree, &parent) && is_directory(below, &parent)
    };
    let gone = below.iter().map(|(path, _)| path).filter(|path| goes(path)).cloned();
    Difference { come: come.collect(), gone: gone.collect() }
}

#[cfg(test)]
mod tests;
