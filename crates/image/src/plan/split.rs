//! Cutting a tree into the sub-trees of its layers.
//!
//! **Guarantees**: each node but directories is in exactly one layer; a directory is in each layer that has something below
//! it, with the same metadata everywhere, so that unpacking one layer over another changes no directory; every parent is
//! present in every layer. A directory of `stores` is the exception: only the layer that it is in itself says whose it is, and those below,
//! which merely pass through, say root's, so that they are the same in every image. A hard link goes to the layer of the file it names, whoever owns it: the two stay one file and
//! no byte is stored twice.
//! **Refuses**: a node below something that is no directory. A layer with a real directory where a lower layer has a
//! symbolic link would destroy the link (rules_oci#857); since the cut is made from one tree, in which a path is either,
//! no two layers can disagree.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::Changeset;
use pinfold_archive::Component;
use pinfold_archive::Difference;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;

use super::Assignment;
use super::LayerPlan;

/// Why a tree cannot be cut. Each is a mistake of whoever made tree and assignment.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// A component that no layer has.
    #[error("component `{component}` of `{path}` is in no layer")]
    Unassigned {
        /// The component.
        component: Component,
        /// One of its paths.
        path: ImagePath,
    },
    /// A parent is missing or something else than a directory.
    #[error("`{parent}` above `{path}` is no directory of the tree")]
    Parent {
        /// The parent.
        parent: ImagePath,
        /// What stands below it.
        path: ImagePath,
    },
    /// A hard link leads nowhere or to something else than a file.
    #[error("hard link `{path}` names `{target}`, which is no file of the tree")]
    Link {
        /// The link.
        path: ImagePath,
        /// What it names.
        target: ImagePath,
    },
}

impl Diagnose for SplitError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Internal)
    }
}

/// The sub-tree of each layer, lowest first. A layer without nodes on this platform has an empty tree.
pub fn split(
    tree: &Tree,
    stores: &BTreeSet<ImagePath>,
    assignment: &Assignment,
) -> Result<Vec<(LayerPlan, Tree)>, SplitError> {
    split_some(tree, stores, &|_| true, assignment)
}

/// The same for what is not in the tree of the layers below: only that, and the directories above it. What goes of `below` is in
/// its component's layer.
pub fn split_over(
    tree: &Tree,
    stores: &BTreeSet<ImagePath>,
    difference: &Difference,
    below: &Component,
    assignment: &Assignment,
) -> Result<Vec<(LayerPlan, Changeset)>, SplitError> {
    let mut layers = split_some(tree, stores, &|path| difference.come.contains(path), assignment)?;
    let home = assignment.layer_of(below);
    if let (Some(first), None) = (difference.gone.first(), home) {
        return Err(SplitError::Unassigned { component: below.clone(), path: first.clone() });
    }
    if let Some((_, layer)) = home.and_then(|home| layers.get_mut(home)) {
        for path in &difference.gone {
            add_parents(tree, stores, layer, path)?;
        }
    }
    let mut layers: Vec<(LayerPlan, Changeset)> =
        layers.into_iter().map(|(plan, tree)| (plan, tree.into())).collect();
    if let Some((_, layer)) = home.and_then(|home| layers.get_mut(home)) {
        for path in &difference.gone {
            layer.hide(path, below);
        }
    }
    Ok(layers)
}

fn split_some(
    tree: &Tree,
    stores: &BTreeSet<ImagePath>,
    wanted: &dyn Fn(&ImagePath) -> bool,
    assignment: &Assignment,
) -> Result<Vec<(LayerPlan, Tree)>, SplitError> {
    let layer_of: BTreeMap<&str, usize> = assignment
        .layers
        .iter()
        .enumerate()
        .flat_map(|(number, layer)| layer.components.iter().map(move |name| (name.as_str(), number)))
        .collect();
    let mut trees: Vec<Tree> = assignment.layers.iter().map(|_| Tree::new()).collect();
    for (path, node) in tree.iter().filter(|(path, _)| wanted(path)) {
        let owner = match &node.kind {
            NodeKind::Hardlink(target) => match tree.get(target) {
                Some(file) if matches!(file.kind, NodeKind::File(_)) => &file.owner,
                _ => return Err(SplitError::Link { path: path.clone(), target: target.clone() }),
            },
            _ => &node.owner,
        };
        let Some(&layer) = layer_of.get(owner.as_str()) else {
            return Err(SplitError::Unassigned { component: owner.clone(), path: path.clone() });
        };
        add_parents(tree, stores, &mut trees[layer], path)?;
        trees[layer].insert(path.clone(), node.clone());
    }
    Ok(assignment.layers.iter().cloned().zip(trees).collect())
}

fn add_parents(
    tree: &Tree,
    stores: &BTreeSet<ImagePath>,
    layer: &mut Tree,
    path: &ImagePath,
) -> Result<(), SplitError> {
    let mut at = path.parent();
    while let Some(parent) = at {
        if layer.contains(&parent) {
            return Ok(());
        }
        match tree.get(&parent) {
            Some(node) if node.is_directory() && stores.contains(&parent) => {
                let meta = Metadata::root(0o755, node.meta.mtime);
                layer.insert(parent.clone(), Node::directory(&node.owner, meta));
            }
            Some(node) if node.is_directory() => drop(layer.insert(parent.clone(), node.clone())),
            _ => return Err(SplitError::Parent { parent, path: path.clone() }),
        }
        at = parent.parent();
    }
    Ok(())
}
