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
//! What a script has made is overwritten, but for a conffile with other bytes: that stays, and the shipped one is beside it as
//! `.dpkg-dist`, as where nobody is asked (`--force-confold`).
//!
//! A path that another package has diverted lands where the diversion says, and what has an override has its owner and mode.
//!
//! A file takes the place of a directory, with all that is in it, where it `Replaces` each package that has the directory, and
//! where only a script has made that.
//!
//! **Guarantees**: a path of a package is overwritten only where the later package `Replaces` the earlier one, and then leaves
//! the earlier one's file list, as with dpkg, whatever the two hold. Work grows with the files and not with their square.
//!
//! **Refuses**: files of two packages at one path (by two names of one directory: such that differ), a path that one package has as
//! a directory and as a file, hard links to nothing.

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
use super::dpkg_database;
use super::slim;
use crate::accounts::Accounts;
use crate::debian::script::world::Diversion;
use crate::debian::script::world::StatOverride;
use pinfold_archive::decoded::Member;
use pinfold_archive::decoded::MemberKind;

/// Directories that live in /usr.
const MERGED: [&str; 7] = ["bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"];
/// Links that every image has; the others come with their first file.
const ALWAYS: [&str; 3] = ["bin", "lib", "sbin"];
/// Directories that moved, longest first.
const MOVED: [(&str, &str); 2] = [("var/lock", "run/lock"), ("var/run", "run")];

/// Packages on their way into a tree.
pub(super) struct Merge<'a> {
    packages: &'a [Opened<'a>],
    slim: Slim,
    epoch: u64,
    contents: &'a dyn Contents,
    /// For each package (by its index) the paths that another package took over.
    pub(super) replaced: BTreeMap<usize, BTreeSet<ImagePath>>,
    /// Those that are in the tree, in the order in which they came.
    pub(super) done: Vec<usize>,
    owners: Owners,
}

/// Which package has a path: asked where two things want one, which in most images is never.
#[derive(Default)]
struct Owners {
    by_path: BTreeMap<ImagePath, Vec<usize>>,
    /// How many of the packages that are done it knows, and under which diversions.
    known: usize,
    diversions: Vec<Diversion>,
    /// The paths of a package as it has them, where that was asked.
    shipped: BTreeMap<usize, BTreeSet<ImagePath>>,
}

impl Owners {
    /// Whether a package has this very path.
    fn ships(&mut self, index: usize, package: &Opened<'_>, path: &ImagePath) -> bool {
        let all = || package.listing.data.iter().map(|entry| entry.path.clone()).collect();
        self.shipped.entry(index).or_insert_with(all).contains(path)
    }
}

/// What decides where the files of a package land and whose they are.
pub(super) struct Rules<'a> {
    accounts: &'a Accounts,
    listed: &'a [Diversion],
    diversions: BTreeMap<&'a [u8], &'a Diversion>,
    overrides: BTreeMap<&'a [u8], &'a StatOverride>,
}

impl<'a> Rules<'a> {
    /// By path, so that many of them are not slow.
    pub(super) fn new(
        accounts: &'a Accounts,
        diversions: &'a [Diversion],
        overrides: &'a [StatOverride],
    ) -> Self {
        fn inside(path: &str) -> &[u8] {
            path.strip_prefix('/').unwrap_or(path).as_bytes()
        }
        Self {
            accounts,
            listed: diversions,
            diversions: diversions.iter().rev().map(|one| (inside(&one.path), one)).collect(),
            overrides: overrides.iter().rev().map(|one| (inside(&one.path), one)).collect(),
        }
    }

    /// Where a path that `package` ships is in the image, links not followed.
    fn place_of(&self, path: &ImagePath, package: &Opened<'_>) -> ImagePath {
        match self.diversions.get(path.as_bytes()) {
            Some(diversion) if diversion.package.as_deref() != Some(package.name()) => {
                // A target that is no path was refused when the diversion was made.
                ImagePath::new(&diversion.to).map_or_else(|_| place_of(path), |to| place_of(&to))
            }
            _ => place_of(path),
        }
    }
}

/// Where a path of a package, or of a script, is in the image.
pub(super) fn place_of(path: &ImagePath) -> ImagePath {
    // Nearly all begin with `usr`.
    let first = path.components().next().unwrap_or_default();
    let is = |name: &str| name.split('/').next().is_some_and(|name| name.as_bytes() == first);
    if !MERGED.iter().copied().chain(MOVED.iter().map(|(from, _)| *from)).any(is) {
        return path.clone();
    }
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

impl<'a> Merge<'a> {
    /// Nothing is merged yet.
    pub(super) fn new(
        packages: &'a [Opened<'a>],
        slim: Slim,
        epoch: u64,
        contents: &'a dyn Contents,
    ) -> Self {
        Self {
            packages,
            slim,
            epoch,
            contents,
            replaced: BTreeMap::new(),
            done: Vec::new(),
            owners: Owners::default(),
        }
    }

    /// Puts the files of one package into the tree; where it is there already, those `only` of these paths.
    pub(super) fn unpack(
        &mut self,
        tree: &mut Tree,
        index: usize,
        rules: &Rules<'_>,
        only: Option<&BTreeSet<&[u8]>>,
    ) -> Result<(), PlaceError> {
        let package = &self.packages[index];
        let mut conffiles: Option<BTreeSet<ImagePath>> = None;
        let mut kinds: Option<BTreeSet<ImagePath>> = None;
        // Neighbours share their directory, so it is looked for once; a new link may lead elsewhere.
        let mut last: Option<(ImagePath, ImagePath)> = None;
        for entry in &package.listing.data {
            let unwanted = only.is_some_and(|only| !only.contains(entry.path.as_bytes()));
            if unwanted || self.slim == Slim::Slim && left_out(entry) {
                continue;
            }
            let path = match &entry.kind {
                // From trixie on base-files ships the links itself.
                MemberKind::Symlink(_) if is_moved_root(&entry.path) => entry.path.clone(),
                _ => rules.place_of(&entry.path, package),
            };
            let landed = match (path.parent(), &last) {
                (Some(parent), Some((known, there))) if parent == *known => there.join(path.name()).ok(),
                _ => None,
            };
            let landed = landed.unwrap_or_else(|| tree.landing(&path));
            last = path.parent().zip(landed.parent());
            let path = landed;
            let mut node = node(entry, &package.component, rules, self.epoch);
            if let NodeKind::Hardlink(target) = &mut node.kind {
                *target = tree.landing(&rules.place_of(target, package));
            }
            let is_link = matches!(node.kind, NodeKind::Symlink(_));
            if is_link {
                last = None;
            }
            let Some(old) = tree.get(&path) else {
                tree.insert(path, node);
                continue;
            };
            if old.is_directory() && (node.is_directory() || is_link)
                || node.is_directory() && tree.directory_behind(&path).is_some()
            {
                continue;
            }
            // Two links to one directory are as good as one.
            if is_link && same_directory(tree, &path, &node) {
                continue;
            }
            let equal = same(old, &node, self.contents, package)?;
            let other_kind = old.is_directory() != node.is_directory();
            let place = rules.place_of(&entry.path, package);
            if other_kind && kinds.get_or_insert_with(|| both_kinds(package, rules)).contains(&place) {
                return Err(PlaceError::TwoKinds {
                    package: package.name().into(),
                    path: entry.path.clone(),
                });
            }
            let owners = self.owners_of(tree, &path, rules);
            if owners.is_empty() {
                // A script's, or the package has the path twice.
                if equal {
                    continue;
                }
                let conffiles = match &mut conffiles {
                    Some(known) => known,
                    none => none
                        .insert(dpkg_database::conffile_paths(package, self.contents)?.into_iter().collect()),
                };
                let is_conffile = conffiles.contains(&entry.path);
                let Some(old) = tree.get(&path) else { continue };
                match (&old.kind, &node.kind) {
                    (NodeKind::Directory, _) if is_conffile => {
                        let package = package.name().into();
                        return Err(PlaceError::TwoKinds { package, path: entry.path.clone() });
                    }
                    // What a script has made of a conffile is the user's own (`--force-confold`).
                    (NodeKind::File(old), NodeKind::File(new)) if is_conffile => {
                        if !same_content(old, new, self.contents, package)?
                            && let Ok(beside) = ImagePath::new([path.as_bytes(), b".dpkg-dist"].concat())
                        {
                            tree.insert(beside, node);
                        }
                    }
                    // Anything else of a script's is overwritten.
                    _ => overwrite(tree, path, node),
                }
                continue;
            }
            let (mut given, mut kept) = (owners.contains(&index), false);
            for other in owners.into_iter().filter(|&other| other != index) {
                let first = &self.packages[other];
                if package.replaces(first)? {
                    given = true;
                    self.replaced.entry(other).or_default().insert(path.clone());
                } else if first.replaces(package)? {
                    kept = true;
                } else if !equal || self.owners.ships(other, first, &entry.path) {
                    // dpkg looks at names alone; by two names of one directory it sees no conflict.
                    return Err(PlaceError::Overwrite {
                        path,
                        first: first.name().into(),
                        second: package.name().into(),
                    });
                }
            }
            if kept {
                self.replaced.entry(index).or_default().insert(path);
            } else if given {
                self.owners.by_path.insert(path.clone(), vec![index]);
                overwrite(tree, path, node);
            }
        }
        self.settle_hardlinks(tree, package, rules)?;
        if !self.done.contains(&index) {
            self.done.push(index);
        }
        Ok(())
    }

    /// Which of the packages that are done have the path.
    fn owners_of(&mut self, tree: &Tree, path: &ImagePath, rules: &Rules<'_>) -> Vec<usize> {
        if self.owners.diversions != rules.listed {
            self.owners = Owners { diversions: rules.listed.to_vec(), ..Owners::default() };
        }
        for &index in &self.done[self.owners.known..] {
            let package = &self.packages[index];
            let replaced = self.replaced.get(&index);
            for entry in &package.listing.data {
                let path = tree.landing(&rules.place_of(&entry.path, package));
                if !replaced.is_some_and(|replaced| replaced.contains(&path)) {
                    let known = self.owners.by_path.entry(path).or_default();
                    if known.last() != Some(&index) {
                        known.push(index);
                    }
                }
            }
        }
        self.owners.known = self.done.len();
        self.owners.by_path.get(path).cloned().unwrap_or_default()
    }

    /// Hard links name files of their own package. Where the path rules left the file out, its bytes move to the link.
    fn settle_hardlinks(
        &self,
        tree: &mut Tree,
        package: &Opened<'_>,
        rules: &Rules<'_>,
    ) -> Result<(), PlaceError> {
        let mut shipped: Option<BTreeMap<ImagePath, &Content>> = None;
        for entry in &package.listing.data {
            let MemberKind::Hardlink(target) = &entry.kind else { continue };
            let path = tree.landing(&rules.place_of(&entry.path, package));
            let here = matches!(tree.get(&path).map(|node| &node.kind), Some(NodeKind::Hardlink(_)));
            if !here || self.slim == Slim::Slim && left_out(entry) {
                continue;
            }
            let target = tree.landing(&rules.place_of(target, package));
            if matches!(tree.get(&target).map(|node| &node.kind), Some(NodeKind::File(_))) {
                continue;
            }
            let shipped = shipped.get_or_insert_with(|| {
                let files = package.listing.data.iter().rev().filter_map(|other| match &other.kind {
                    MemberKind::File { content } => {
                        Some((tree.landing(&rules.place_of(&other.path, package)), content))
                    }
                    _ => None,
                });
                files.collect()
            });
            let content = shipped.get(&target).map(|content| (*content).clone());
            let (Some(content), Some(node)) = (content, tree.get_mut(&path)) else {
                let package = package.name().into();
                return Err(PlaceError::DanglingHardlink { package, path: entry.path.clone(), target });
            };
            node.kind = NodeKind::File(content);
        }
        Ok(())
    }
}

/// Places that a package has as a directory and as something else than that or a link.
fn both_kinds(package: &Opened<'_>, rules: &Rules<'_>) -> BTreeSet<ImagePath> {
    let of = |wanted: fn(&MemberKind) -> bool| -> BTreeSet<ImagePath> {
        let entries = package.listing.data.iter().filter(|entry| wanted(&entry.kind));
        entries.map(|entry| rules.place_of(&entry.path, package)).collect()
    };
    let directories = of(|kind| matches!(kind, MemberKind::Directory));
    let files = of(|kind| matches!(kind, MemberKind::File { .. } | MemberKind::Hardlink(_)));
    directories.intersection(&files).cloned().collect()
}

/// Puts a node where another is; a directory goes with all that is below it.
fn overwrite(tree: &mut Tree, path: ImagePath, node: Node) {
    if !node.is_directory() && tree.get(&path).is_some_and(Node::is_directory) {
        let below: Vec<ImagePath> = tree.below(&path).map(|(path, _)| path.clone()).collect();
        for path in below {
            tree.remove(&path);
        }
    }
    tree.insert(path, node);
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

fn node(entry: &Member, owner: &Component, rules: &Rules<'_>, epoch: u64) -> Node {
    let accounts = rules.accounts;
    // dpkg goes by name and takes the number only where the name is unknown.
    let by_name = |name: &[u8], find: &dyn Fn(&str) -> Option<u32>| str::from_utf8(name).ok().and_then(find);
    let mut meta = Metadata {
        uid: by_name(&entry.uname, &|name| accounts.uid(name)).unwrap_or(entry.meta.uid),
        gid: by_name(&entry.gname, &|name| accounts.gid(name)).unwrap_or(entry.meta.gid),
        mtime: entry.meta.mtime.min(epoch),
        ..entry.meta.clone()
    };
    if let Some(one) = rules.overrides.get(entry.path.as_bytes()) {
        let number = |name: &str| name.strip_prefix('#').and_then(|number| number.parse().ok());
        meta.uid = accounts.uid(&one.user).or_else(|| number(&one.user)).unwrap_or(meta.uid);
        meta.gid = accounts.gid(&one.group).or_else(|| number(&one.group)).unwrap_or(meta.gid);
        meta.mode = one.mode;
    }
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
        (NodeKind::File(old), NodeKind::File(new)) => same_content(old, new, contents, package),
        (old, new) => Ok(old == new),
    }
}

fn same_content(
    old: &Content,
    new: &Content,
    contents: &dyn Contents,
    package: &Opened<'_>,
) -> Result<bool, PlaceError> {
    if old == new || old.size() != new.size() {
        return Ok(old == new);
    }
    let failed = |source| PlaceError::Read {
        package: package.name().into(),
        member: "a file that was there already".into(),
        source,
    };
    same_bytes(contents, old, new).map_err(failed)
}

/// Whether the link that is there and the one that comes lead to one directory.
fn same_directory(tree: &Tree, path: &ImagePath, new: &Node) -> bool {
    let NodeKind::Symlink(target) = &new.kind else { return false };
    let there = tree.directory_behind(path);
    let leads = path.link_target(target);
    there.is_some() && there == leads.and_then(|leads| tree.resolve(&leads))
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

/// Emits `/bin -> usr/bin` and its like.
pub(super) fn link_merged_directories(tree: &mut Tree, epoch: u64) {
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

#[cfg(test)]
mod tests;
