//! Many packages in one tree: the merged /usr, owners by name, and what happens when two packages ship one path.
//!
//! ```text
//! /bin /sbin /lib /lib32 /lib64 /libx32 /libo32   x  ─►  /usr/…/x      and a link /bin -> usr/bin
//! /var/run/x, /var/lock/x                            ─►  /run/x, /run/lock/x
//! ```
//!
//! In bookworm no package ships the links: bootstrap tools make them before they unpack. Targets of symbolic links stay as
//! they are written, targets of hard links move along.
//!
//! A package's link to a directory stays where a later package has a directory, and what that one ships lands behind it; a
//! directory stays where a later package has a link (dpkg does both without a word).
//!
//! **Guarantees**: the result does not depend on the order in which the packages are given; a path is overwritten only
//! where the later package `Replaces` the earlier one, and then leaves the earlier one's file list, as with dpkg.
//!
//! **Refuses**: files of two packages at one path with different content, hard links to nothing.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::ImagePath;

use super::PlaceError;
use super::Slim;
use super::control::Opened;
use super::slim;
use crate::accounts::Accounts;
use pinfold_archive::decoded::Member;
use pinfold_archive::decoded::MemberKind;

/// Directories that live in /usr.
const MERGED: [&str; 7] = ["bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"];
/// Links that every image has; the others come with their first file.
const ALWAYS: [&str; 3] = ["bin", "lib", "sbin"];
/// Directories that moved, longest first.
const MOVED: [(&str, &str); 2] = [("var/lock", "run/lock"), ("var/run", "run")];

/// Packages merged.
pub(super) struct Merged {
    /// Their files.
    pub(super) tree: Tree,
    /// For each package (by its index) the paths that another package took over.
    pub(super) replaced: BTreeMap<usize, BTreeSet<ImagePath>>,
}

/// Where a path of a package, or of a script, is in the image.
pub(super) fn place_of(path: &ImagePath) -> ImagePath {
    let moved = |to: &str, rest: &[u8]| {
        let to = ImagePath::new(to).unwrap_or_default();
        // A path that is too long once it has moved stays; it cannot be of a real package.
        if rest.is_empty() { Some(to) } else { to.join(rest).ok() }
    };
    for name in MERGED {
        let from = ImagePath::new(name).unwrap_or_default();
        if let Some(rest) = path.strip_prefix(&from) {
            return moved(&format!("usr/{name}"), rest).unwrap_or_else(|| path.clone());
        }
    }
    for (from, to) in MOVED {
        let from = ImagePath::new(from).unwrap_or_default();
        if let Some(rest) = path.strip_prefix(&from) {
            return moved(to, rest).unwrap_or_else(|| path.clone());
        }
    }
    path.clone()
}

/// Merges packages, which must be sorted in the order in which they are to be unpacked.
pub(super) fn merge(
    packages: &[Opened<'_>],
    accounts: &Accounts,
    slim: Slim,
    epoch: u64,
    contents: &dyn Contents,
) -> Result<Merged, PlaceError> {
    let mut merged = Merged { tree: Tree::new(), replaced: BTreeMap::new() };
    // Neighbours share their directory, so it is looked for once; a new link may lead elsewhere.
    let mut last: Option<(ImagePath, ImagePath)> = None;
    for (index, package) in packages.iter().enumerate() {
        for entry in &package.listing.data {
            if slim == Slim::Slim && left_out(entry) {
                continue;
            }
            let path = match &entry.kind {
                // From trixie on base-files ships the links itself.
                MemberKind::Symlink(_) if is_moved_root(&entry.path) => entry.path.clone(),
                _ => place_of(&entry.path),
            };
            let landed = match (path.parent(), &last) {
                (Some(parent), Some((known, there))) if parent == *known => there.join(path.name()).ok(),
                _ => None,
            };
            let landed = landed.unwrap_or_else(|| merged.tree.landing(&path));
            last = path.parent().zip(landed.parent());
            let path = landed;
            let mut node = node(entry, &package.component, accounts, epoch);
            if let NodeKind::Hardlink(target) = &mut node.kind {
                *target = merged.tree.landing(target);
            }
            let is_link = matches!(node.kind, NodeKind::Symlink(_));
            if is_link {
                last = None;
            }
            let Some(old) = merged.tree.get(&path) else {
                merged.tree.insert(path, node);
                continue;
            };
            if old.is_directory() && (node.is_directory() || is_link)
                || node.is_directory() && merged.tree.directory_behind(&path).is_some()
                || same(old, &node, contents, package)?
            {
                continue;
            }
            let owner = || packages[..=index].iter().position(|first| first.component == old.owner);
            let first = (0..=index)
                .find(|&first| ships(&packages[first], &path) && !taken(&merged, first, &path))
                .or_else(owner)
                .unwrap_or(index);
            if first != index && package.replaces(&packages[first])? {
                merged.tree.insert(path.clone(), node);
                merged.replaced.entry(first).or_default().insert(path);
            } else if first != index && packages[first].replaces(package)? {
                merged.replaced.entry(index).or_default().insert(path);
            } else {
                return Err(PlaceError::Overwrite {
                    path,
                    first: packages[first].name().into(),
                    second: package.name().into(),
                });
            }
        }
    }
    for package in packages {
        settle_hardlinks(&mut merged.tree, package, slim)?;
    }
    link_merged_directories(&mut merged.tree, epoch);
    Ok(merged)
}

fn is_moved_root(path: &ImagePath) -> bool {
    let path = path.as_bytes();
    MERGED.iter().copied().chain(MOVED.map(|(from, _)| from)).any(|root| root.as_bytes() == path)
}

fn left_out(entry: &Member) -> bool {
    match entry.kind {
        MemberKind::Directory | MemberKind::Symlink(_) => slim::excluded_holder(&entry.path),
        _ => slim::excluded(&entry.path),
    }
}

fn ships(package: &Opened<'_>, path: &ImagePath) -> bool {
    package.listing.data.iter().any(|entry| entry.path == *path || place_of(&entry.path) == *path)
}

fn taken(merged: &Merged, index: usize, path: &ImagePath) -> bool {
    merged.replaced.get(&index).is_some_and(|paths| paths.contains(path))
}

fn node(entry: &Member, owner: &Component, accounts: &Accounts, epoch: u64) -> Node {
    // dpkg goes by name and takes the number only where the name is unknown.
    let by_name = |name: &[u8], find: &dyn Fn(&str) -> Option<u32>| str::from_utf8(name).ok().and_then(find);
    let meta = Metadata {
        uid: by_name(&entry.uname, &|name| accounts.uid(name)).unwrap_or(entry.meta.uid),
        gid: by_name(&entry.gname, &|name| accounts.gid(name)).unwrap_or(entry.meta.gid),
        mtime: entry.meta.mtime.min(epoch),
        ..entry.meta.clone()
    };
    let kind = match &entry.kind {
        MemberKind::Directory => NodeKind::Directory,
        MemberKind::File { content } => NodeKind::File(content.clone()),
        MemberKind::Symlink(target) => NodeKind::Symlink(target.clone()),
        MemberKind::Hardlink(target) => NodeKind::Hardlink(place_of(target)),
    };
    Node { kind, meta, owner: owner.clone() }
}

/// Whether two nodes at one path are the same: kind, mode, owner and bytes; times may differ.
fn same(old: &Node, new: &Node, contents: &dyn Contents, package: &Opened<'_>) -> Result<bool, PlaceError> {
    let (a, b) = (&old.meta, &new.meta);
    if (a.mode, a.uid, a.gid, &a.xattrs) != (b.mode, b.uid, b.gid, &b.xattrs) {
        return Ok(false);
    }
    match (&old.kind, &new.kind) {
        (NodeKind::File(old), NodeKind::File(new)) if old == new => Ok(true),
        (NodeKind::File(old), NodeKind::File(new)) if old.size() == new.size() => {
            let failed = |source| PlaceError::Read {
                package: package.name().into(),
                member: "a file that another package ships too".into(),
                source,
            };
            same_bytes(contents, old, new).map_err(failed)
        }
        (old, new) => Ok(old == new),
    }
}

fn same_bytes(contents: &dyn Contents, a: &Content, b: &Content) -> std::io::Result<bool> {
    use std::io::BufRead as _;
    let mut a = std::io::BufReader::new(contents.open(a)?);
    let mut b = std::io::BufReader::new(contents.open(b)?);
    loop {
        let (left, right) = (a.fill_buf()?, b.fill_buf()?);
        let length = left.len().min(right.len());
        if length == 0 {
            return Ok(left.len() == right.len());
        }
        if left[..length] != right[..length] {
            return Ok(false);
        }
        a.consume(length);
        b.consume(length);
    }
}

/// Hard links name files of their own package. Where the path rules left the file out, its bytes move to the link.
fn settle_hardlinks(tree: &mut Tree, package: &Opened<'_>, slim: Slim) -> Result<(), PlaceError> {
    for entry in &package.listing.data {
        let MemberKind::Hardlink(target) = &entry.kind else { continue };
        let path = tree.landing(&place_of(&entry.path));
        let here = matches!(tree.get(&path).map(|node| &node.kind), Some(NodeKind::Hardlink(_)));
        if !here || slim == Slim::Slim && left_out(entry) {
            continue;
        }
        let target = tree.landing(&place_of(target));
        if matches!(tree.get(&target).map(|node| &node.kind), Some(NodeKind::File(_))) {
            continue;
        }
        let shipped = package.listing.data.iter().find_map(|other| match &other.kind {
            MemberKind::File { content } if tree.landing(&place_of(&other.path)) == target => {
                Some(content.clone())
            }
            _ => None,
        });
        let (Some(content), Some(node)) = (shipped, tree.get_mut(&path)) else {
            let package = package.name().into();
            return Err(PlaceError::DanglingHardlink { package, path: entry.path.clone(), target });
        };
        node.kind = NodeKind::File(content);
    }
    Ok(())
}

/// Emits `/bin -> usr/bin` and its like.
fn link_merged_directories(tree: &mut Tree, epoch: u64) {
    let owner = Component::generated("base");
    for name in MERGED {
        let (Ok(link), Ok(directory)) = (ImagePath::new(name), ImagePath::new(format!("usr/{name}"))) else {
            continue;
        };
        // The loader of amd64 is /lib64/…; arm64 has nothing there and gets no link.
        let wanted = ALWAYS.contains(&name) || tree.below(&directory).any(|(path, _)| *path != directory);
        if wanted && !tree.contains(&link) {
            tree.insert(link, Node::symlink(&owner, epoch, format!("usr/{name}")));
        }
    }
}
