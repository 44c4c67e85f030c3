//! The user's own entries, laid over what packages and other sources have placed.
//!
//! | there already | own entry | what happens |
//! |---|---|---|
//! | nothing | any | it is put |
//! | a directory, or a link to one | a directory | the directory keeps what is in it and gets the entry's owner and mode |
//! | the same | any | it stays the package's |
//! | generated, or a configuration file of a package | a file or a link | the entry is put |
//! | anything | any, with `replace` | the entry is put, a directory goes with all that is below it |
//! | anything else | any | refused |
//!
//! **Guarantees**: an entry lands where links lead ([`Tree::landing`]), the user's own links among them; what no entry names
//! stays as it is (a file that had another name keeps its bytes under that one).
//! **Refuses**: to take a path from a package unless that was said, a link to a directory too ([`OverlayError`]); two entries
//! that are one path in the image.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::Component;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::tree::ConflictError;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;

/// Why an entry cannot be laid.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// It stands in the way of a package.
    #[error(transparent)]
    Taken(ConflictError),
    /// Two entries are one path.
    #[error("`{first}` and `{second}` are one path in the image, `{path}`")]
    Twice {
        /// One as it was written.
        first: ImagePath,
        /// The other.
        second: ImagePath,
        /// Where both lead.
        path: ImagePath,
    },
}

impl Diagnose for OverlayError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Taken(conflict) => format!(
                "place it elsewhere, or add `replace = true` to the manifest's entry for `{}`",
                conflict.path
            ),
            Self::Twice { .. } => "leave one of the two out".into(),
        })
    }
}

/// A path that a package had before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The path.
    pub path: ImagePath,
    /// Whose it was.
    pub of: Component,
}

/// Lays `own` over `tree`. `replace` are the paths, as written, whose entries take the place of anything; `yields` those in
/// the image that give way by themselves. Gives what was taken from packages.
pub fn lay(
    tree: &mut Tree,
    own: Tree,
    replace: &BTreeSet<ImagePath>,
    yields: &BTreeSet<ImagePath>,
) -> Result<Vec<Replaced>, OverlayError> {
    let mut own: Vec<_> = own.into_iter().collect();
    // Emptied directories first, then links, those near the root before those that may lead through them, then the rest.
    own.sort_by_key(|(path, node)| match node.kind {
        NodeKind::Directory if replace.contains(path) => (0, 0),
        NodeKind::Symlink(_) => (1, path.components().count()),
        _ => (2, 0),
    });
    let mut laid: BTreeMap<ImagePath, ImagePath> = BTreeMap::new();
    let mut replaced = Vec::new();
    for (written, node) in own {
        let replaces = replace.contains(&written);
        let mut path = tree.landing(&written);
        if node.is_directory() && !replaces {
            path = tree.directory_behind(&path).unwrap_or(path);
        }
        if let Some(first) = laid.get(&path) {
            if tree.get(&path) == Some(&node) {
                continue;
            }
            return Err(OverlayError::Twice { first: first.clone(), second: written, path });
        }
        if let Some(old) = tree.get(&path) {
            let directories = old.is_directory() && node.is_directory();
            if replaces {
                let below = tree.below(&path).find_map(|(inside, _)| laid.get(inside));
                if let Some(first) = below.cloned() {
                    return Err(OverlayError::Twice { first, second: written, path });
                }
                replaced.push(Replaced { path: path.clone(), of: old.owner.clone() });
                take_all(tree, &path);
            } else if !directories && old.kind == node.kind && old.meta == node.meta {
                laid.insert(path, written);
                continue; // the same, and a package's it stays
            } else if !directories {
                if !gives_way(tree, &path, old, &node, yields) {
                    return Err(OverlayError::Taken(conflict(tree, &written, &path, old, &node)));
                }
                replaced.push(Replaced { path: path.clone(), of: old.owner.clone() });
                take(tree, &path);
            }
        }
        laid.insert(path.clone(), written);
        tree.insert(path, node);
    }
    Ok(replaced)
}

/// Whether what stands at `path` gives way to `node` without a word.
fn gives_way(tree: &Tree, path: &ImagePath, old: &Node, node: &Node, yields: &BTreeSet<ImagePath>) -> bool {
    let the_same_link = matches!(node.kind, NodeKind::Symlink(_)) && old.kind == node.kind;
    let holds_others = old.is_directory() || node.is_directory() || tree.directory_behind(path).is_some();
    // What a recipe brings is not the user's own.
    let own = node.owner == Component::generated("files");
    let weak = old.owner.as_str().starts_with("generated/") || yields.contains(path);
    the_same_link || own && weak && !holds_others
}

fn conflict(tree: &Tree, written: &ImagePath, path: &ImagePath, old: &Node, node: &Node) -> ConflictError {
    // A directory that nobody asked for stands there for what is in it.
    let implied = old.is_directory() && old.owner == Component::generated("base");
    let inside = tree.below(path).find(|(inside, node)| *inside != path && !node.is_directory());
    let first = inside.filter(|_| implied).map_or(&old.owner, |(_, inside)| &inside.owner);
    ConflictError {
        path: written.clone(),
        first: first.clone(),
        first_kind: old.kind.word(),
        second: node.owner.clone(),
        second_kind: node.kind.word(),
    }
}

/// Takes out a node with all that is below it.
fn take_all(tree: &mut Tree, path: &ImagePath) {
    let all: Vec<_> = tree.below(path).map(|(path, _)| path.clone()).collect();
    for path in &all {
        take(tree, path);
    }
}

/// Takes out one node. Where it is a file with further names, the next of them has the bytes from now on.
fn take(tree: &mut Tree, path: &ImagePath) {
    let Some(Node { kind: kind @ NodeKind::File(_), .. }) = tree.remove(path) else { return };
    let names = tree.iter_mut().filter(|(_, node)| node.kind == NodeKind::Hardlink(path.clone()));
    let mut first: Option<ImagePath> = None;
    for (name, node) in names {
        match &first {
            None => {
                node.kind = kind.clone();
                first = Some(name.clone());
            }
            Some(first) => node.kind = NodeKind::Hardlink(first.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
