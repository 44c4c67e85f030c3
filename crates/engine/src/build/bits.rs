//! Set-id bits and file capabilities: what runs with more than its caller has. They are decided here, once, when everything
//! stands where it will.
//!
//! | `[policy] set-id` | what keeps them |
//! |---|---|
//! | `"strip"` | nothing |
//! | `"keep"` | everything |
//! | `{ keep = ["/usr/bin/sudo"] }` | what stands there, where links lead (`/bin/su` is `/usr/bin/su`), under all its names |
//!
//! **Guarantees**: what is taken off is told.
//! **Refuses**: an entry of the user's own that asks for such bits without the policy's word, and a kept path that has none.

use std::collections::BTreeSet;

use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Shown;

use crate::project::manifest::Manifest;
use crate::project::manifest::SetId;

/// Set-user-id and set-group-id.
const BITS: u32 = 0o6000;
/// The attribute that holds a file's capabilities.
const CAPABILITY: &[u8] = b"security.capability";

/// Why the policy cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum BitsError {
    /// Entries ask for bits that the policy takes off.
    #[error("{} asked for with set-id bits, and the policy takes them off", listed(.paths))]
    NotKept {
        /// The entries, as written.
        paths: Vec<ImagePath>,
        /// What the policy keeps already, and they.
        keep: BTreeSet<ImagePath>,
    },
    /// The policy keeps what is not there.
    #[error("`[policy] set-id` keeps nothing at {}: there is no set-id bit and no capability", named(.paths))]
    Nothing {
        /// The paths, as written.
        paths: Vec<ImagePath>,
    },
}

impl Diagnose for BitsError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::NotKept { .. } => Kind::Refused,
            Self::Nothing { .. } => Kind::Usage,
        })
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::NotKept { .. } => {
                "give the entries a mode without these bits, or add to the manifest".into()
            }
            Self::Nothing { .. } => "correct the path, or leave it out of `keep`".into(),
        })
    }

    fn own_block(&self) -> Vec<Shown> {
        match self {
            Self::NotKept { keep, .. } => {
                let paths: Vec<String> = keep.iter().map(|path| quoted(&path.to_string())).collect();
                vec!["[policy]".into(), Shown::new(&format!("set-id = {{ keep = [{}] }}", paths.join(", ")))]
            }
            Self::Nothing { .. } => Vec::new(),
        }
    }
}

/// A string of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn listed(paths: &[ImagePath]) -> String {
    let verb = if paths.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", named(paths))
}

fn named(paths: &[ImagePath]) -> String {
    paths.iter().map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ")
}

/// Takes off what the policy does not keep. Gives what the user should know.
pub fn settle(tree: &mut Tree, manifest: &Manifest) -> Result<Vec<String>, BitsError> {
    let only = BTreeSet::new();
    let only = match &manifest.policy.set_id {
        SetId::Keep => return Ok(Vec::new()),
        SetId::Strip => &only,
        SetId::Only(paths) => paths,
    };
    let mut kept = BTreeSet::new();
    let mut nothing = Vec::new();
    for path in only {
        let at = standing(tree, &path.0);
        if tree.get(&at).is_some_and(has_any) {
            kept.insert(file(tree, &at));
        } else {
            nothing.push(path.0.clone());
        }
    }
    let asked = asked(manifest).filter(|path| !kept.contains(&file(tree, &standing(tree, path))));
    let paths: Vec<ImagePath> = asked.collect::<BTreeSet<_>>().into_iter().collect();
    if !paths.is_empty() {
        let keep = only.iter().map(|path| path.0.clone()).chain(paths.iter().cloned()).collect();
        return Err(BitsError::NotKept { paths, keep });
    }
    if !nothing.is_empty() {
        return Err(BitsError::Nothing { paths: nothing });
    }
    Ok(strip(tree, &kept))
}

/// Paths of the user's own entries whose mode asks for bits, as written.
fn asked(manifest: &Manifest) -> impl Iterator<Item = ImagePath> {
    let files = manifest.files.iter().map(|file| (&file.path, file.mode));
    let dirs = manifest.dirs.iter().map(|dir| (&dir.path, dir.mode));
    let with = files.chain(dirs).filter(|(_, mode)| mode.is_some_and(|mode| mode.0 & BITS != 0));
    with.map(|(path, _)| path.0.clone())
}

/// What stands where a path leads.
fn standing(tree: &Tree, path: &ImagePath) -> ImagePath {
    tree.resolve(path).unwrap_or_else(|| tree.landing(path))
}

/// The first name of what stands at a path: all names of a file have one mode.
fn file(tree: &Tree, path: &ImagePath) -> ImagePath {
    match tree.get(path).map(|node| &node.kind) {
        Some(NodeKind::Hardlink(first)) => first.clone(),
        _ => path.clone(),
    }
}

fn has_any(node: &Node) -> bool {
    node.meta.mode & BITS != 0 || node.meta.xattrs.contains_key(CAPABILITY)
}

/// Takes bits and capabilities off everything but `kept`, and names it.
fn strip(tree: &mut Tree, kept: &BTreeSet<ImagePath>) -> Vec<String> {
    let (mut files, mut directories, mut capable) = (Vec::new(), 0, Vec::new());
    for (path, node) in tree.iter_mut() {
        let is_kept = match &node.kind {
            NodeKind::Hardlink(first) => kept.contains(first),
            _ => kept.contains(path),
        };
        if is_kept || !has_any(node) {
            continue;
        }
        match (node.meta.mode & BITS != 0, node.is_directory()) {
            (true, true) => directories += 1,
            (true, false) => files.push(path.clone()),
            (false, _) => {}
        }
        node.meta.mode &= !BITS;
        if node.meta.xattrs.remove(CAPABILITY).is_some() {
            capable.push(path.clone());
        }
    }
    let mut notes = Vec::new();
    let and = |count: usize| match count {
        0 => None,
        1 => Some("a directory".to_owned()),
        count => Some(format!("{count} directories")),
    };
    let told = [(!files.is_empty()).then(|| named(&files)), and(directories)];
    let told = told.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    if !told.is_empty() {
        notes.push(format!("set-id bits are taken off {told}; `[policy] set-id` can keep them"));
    }
    if !capable.is_empty() {
        notes
            .push(format!("capabilities are taken off {}; `[policy] set-id` can keep them", named(&capable)));
    }
    notes
}

#[cfg(test)]
mod tests;
