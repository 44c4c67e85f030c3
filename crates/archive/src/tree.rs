//! A file system as a value: path → node, every node owned by exactly one component, content by reference.
//!
//! Sources give a [`Tree`], images take one; this is the one tree type for all readers and writers.
//!
//! **Invariants**: paths are normalised ([`ImagePath`]); the root is a directory and always present; a node's parent, where
//! present, is a directory; a hard link names a file of the same tree. [`Tree::complete`] adds missing parents.
//! **Refuses**: two components that claim one path with different content ([`ConflictError`] names both).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::io::Read;
use std::ops::Bound;
use std::sync::Arc;

use pinfold_base::Digest;
use pinfold_base::ImagePath;

/// The unit of origin that a path belongs to, as it is shown to people and written to the lock:
/// `debian/openssl`, `npm/@openai/codex`, `binary/rg`, `generated/passwd`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Component(Arc<str>);

impl Component {
    /// A component of a source: `Component::new("debian", "openssl")`.
    pub fn new(source: &str, name: &str) -> Self {
        Self(format!("{source}/{name}").into())
    }

    /// One that pinfold itself generates: `generated/NAME`.
    pub fn generated(name: &str) -> Self {
        Self::new("generated", name)
    }

    /// Its name as `source/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Component {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the bytes of a file are.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// In memory: generated and small files.
    Inline(Arc<[u8]>),
    /// A range of an archive in its decoded, seekable form.
    Range {
        /// Digest of the archive as it was downloaded (compressed). Names the decoded form in the cache.
        archive: Digest,
        /// Where the file starts in the decoded form, in bytes.
        offset: u64,
        /// Its length in bytes.
        size: u64,
    },
}

impl Content {
    /// Content that is held in memory.
    pub fn inline(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self::Inline(bytes.into())
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Range { size, .. } => *size,
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "inline {} bytes", bytes.len()),
            Self::Range { archive, offset, size } => write!(f, "{}@{offset}+{size}", archive.short()),
        }
    }
}

/// Gives the bytes behind a [`Content`].
pub trait Contents: Send + Sync {
    /// A reader of exactly `content.size()` bytes.
    fn open<'a>(&'a self, content: &'a Content) -> io::Result<Box<dyn Read + Send + 'a>>;

    /// All bytes at once, for small files; refuses content above `limit` bytes.
    fn read(&self, content: &Content, limit: u64) -> io::Result<Vec<u8>> {
        if content.size() > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("a file of {} bytes where at most {limit} are expected", content.size()),
            ));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(content.size()).unwrap_or_default());
        self.open(content)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Contents for trees that hold everything in memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct InlineOnly;

impl Contents for InlineOnly {
    fn open<'a>(&'a self, content: &'a Content) -> io::Result<Box<dyn Read + Send + 'a>> {
        match content {
            Content::Inline(bytes) => Ok(Box::new(&bytes[..])),
            Content::Range { archive, .. } => {
                Err(io::Error::new(io::ErrorKind::NotFound, format!("archive {archive} is not decoded")))
            }
        }
    }
}

/// Everything about a node but its kind.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits including set-id and sticky, `0o7777` at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Seconds since the epoch; never negative.
    pub mtime: u64,
    /// Extended attributes by full name (`security.capability`, `user.x`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Metadata {
    /// Owned by root, with this mode and time.
    pub fn root(mode: u32, mtime: u64) -> Self {
        Self { mode, mtime, ..Self::default() }
    }

    /// The same for another owner.
    #[must_use]
    pub fn owned_by(mut self, uid: u32, gid: u32) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }
}

/// What a node is. Devices, sockets and FIFOs do not exist here: images must not carry them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link; the target is kept as it was written.
    Symlink(Box<[u8]>),
    /// Another name of a file of the same tree.
    Hardlink(ImagePath),
}

impl NodeKind {
    /// One word for messages.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File(_) => "file",
            Self::Symlink(_) => "symbolic link",
            Self::Hardlink(_) => "hard link",
        }
    }
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Mode, owner, time, attributes. For a hard link those of the file it names.
    pub meta: Metadata,
    /// The component it belongs to.
    pub owner: Component,
}

impl Node {
    /// A directory.
    pub fn directory(owner: &Component, meta: Metadata) -> Self {
        Self { kind: NodeKind::Directory, meta, owner: owner.clone() }
    }

    /// A regular file.
    pub fn file(owner: &Component, meta: Metadata, content: Content) -> Self {
        Self { kind: NodeKind::File(content), meta, owner: owner.clone() }
    }

    /// A symbolic link, mode 0777.
    pub fn symlink(owner: &Component, mtime: u64, target: impl AsRef<[u8]>) -> Self {
        Self {
            kind: NodeKind::Symlink(target.as_ref().into()),
            meta: Metadata::root(0o777, mtime),
            owner: owner.clone(),
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    /// Bytes of content, 0 for anything but a regular file.
    pub fn size(&self) -> u64 {
        match &self.kind {
            NodeKind::File(content) => content.size(),
            _ => 0,
        }
    }
}

/// Two components want one path.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` is claimed by two components: {first_kind} of `{first}` and {second_kind} of `{second}`")]
pub struct ConflictError {
    /// The path.
    pub path: ImagePath,
    /// Who had it.
    pub first: Component,
    /// What it is there.
    pub first_kind: &'static str,
    /// Who wants it too.
    pub second: Component,
    /// What it would be there.
    pub second_kind: &'static str,
}

/// What a component is that is not in the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// The end of the way.
    Nowhere,
    /// A directory still to be made.
    Appended,
}

/// A file system as a value. Iteration is in order of path bytes, so parents come before children.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Tree {
    nodes: BTreeMap<ImagePath, Node>,
}

impl Tree {
    /// An empty tree (not even a root).
    pub fn new() -> Self {
        Self::default()
    }

    /// The node at `path`, links not followed.
    pub fn get(&self, path: &ImagePath) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The node at `path`, to be changed in place.
    pub fn get_mut(&mut self, path: &ImagePath) -> Option<&mut Node> {
        self.nodes.get_mut(path)
    }

    /// Whether something stands at `path`.
    pub fn contains(&self, path: &ImagePath) -> bool {
        self.nodes.contains_key(path)
    }

    /// Puts a node, replacing what was there. For generated nodes and for readers that have checked.
    pub fn insert(&mut self, path: ImagePath, node: Node) -> Option<Node> {
        self.nodes.insert(path, node)
    }

    /// Puts a node that must not disturb another: equal nodes and two directories merge (the first keeps its metadata),
    /// anything else is a conflict. Files whose content is a different reference count as different.
    pub fn add(&mut self, path: ImagePath, node: Node) -> Result<(), ConflictError> {
        match self.nodes.get(&path) {
            None => {
                self.nodes.insert(path, node);
                Ok(())
            }
            Some(old) if old.is_directory() && node.is_directory() => Ok(()),
            Some(old) if old.kind == node.kind && old.meta == node.meta => Ok(()),
            Some(old) => Err(ConflictError {
                path,
                first: old.owner.clone(),
                first_kind: old.kind.word(),
                second: node.owner,
                second_kind: node.kind.word(),
            }),
        }
    }

    /// [`Tree::add`] for each node of `other`, where it lands ([`Tree::landing`]); a directory may stand at a link to one.
    pub fn merge(&mut self, other: Self) -> Result<(), ConflictError> {
        // Neighbours share their directory, so it is looked for once.
        let mut last: Option<(ImagePath, ImagePath)> = None;
        for (path, mut node) in other.nodes {
            let landed = match (path.parent(), &last) {
                (Some(parent), Some((known, there))) if parent == *known => there.join(path.name()).ok(),
                _ => None,
            };
            let landed = landed.unwrap_or_else(|| self.landing(&path));
            last = path.parent().zip(landed.parent());
            if let NodeKind::Hardlink(target) = &mut node.kind {
                *target = self.landing(target);
            }
            if node.is_directory() && self.directory_behind(&landed).is_some() {
                continue;
            }
            self.add(landed, node)?;
        }
        Ok(())
    }

    /// Takes the node at `path` out (not what is below it).
    pub fn remove(&mut self, path: &ImagePath) -> Option<Node> {
        self.nodes.remove(path)
    }

    /// Keeps what `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&ImagePath, &Node) -> bool) {
        self.nodes.retain(|path, node| keep(path, node));
    }

    /// All nodes in order of path.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&ImagePath, &Node)> {
        self.nodes.iter()
    }

    /// All nodes in order of path, to be changed in place.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&ImagePath, &mut Node)> {
        self.nodes.iter_mut()
    }

    /// `dir` itself and everything below it.
    pub fn below<'a>(&'a self, dir: &'a ImagePath) -> impl Iterator<Item = (&'a ImagePath, &'a Node)> {
        // Siblings such as `usr-x` sort between `usr` and `usr/`, so the prefix must be tested, not only the start.
        let end = [dir.as_bytes(), b"0"].concat();
        self.nodes
            .range::<[u8], _>((std::ops::Bound::Included(dir.as_bytes()), std::ops::Bound::Unbounded))
            .take_while(move |(path, _)| dir.is_root() || path.as_bytes() < &end[..])
            .filter(move |(path, _)| path.starts_with(dir))
    }

    /// What stands in `dir` itself, in order of path; what is further below is not visited.
    pub fn children<'a>(
        &'a self,
        dir: &ImagePath,
    ) -> impl Iterator<Item = (&'a ImagePath, &'a Node)> + use<'a> {
        let prefix = if dir.is_root() { Vec::new() } else { [dir.as_bytes(), b"/"].concat() };
        let mut start = Bound::Excluded(prefix.clone());
        std::iter::from_fn(move || {
            loop {
                let from = (start.as_ref().map(Vec::as_slice), Bound::Unbounded);
                let (path, node) = self.nodes.range::<[u8], _>(from).next()?;
                let name = path.as_bytes().strip_prefix(&prefix[..])?;
                if let Some(length) = name.iter().position(|&byte| byte == b'/') {
                    // Behind all of a directory's own: a slash and one more is `0`.
                    start = Bound::Included([&prefix[..], &name[..length], b"0"].concat());
                } else {
                    start = Bound::Excluded(path.as_bytes().to_vec());
                    return Some((path, node));
                }
            }
        })
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds the root and every missing parent directory, 0755 root, with this owner and time. Fails where a parent is no
    /// directory.
    pub fn complete(&mut self, owner: &Component, mtime: u64) -> Result<(), ConflictError> {
        let mut missing = BTreeMap::new();
        let directory = Node::directory(owner, Metadata::root(0o755, mtime));
        if !self.contains(&ImagePath::root()) {
            missing.insert(ImagePath::root(), directory.clone());
        }
        for (path, node) in &self.nodes {
            let mut at = path.parent();
            while let Some(parent) = at {
                match self.nodes.get(&parent) {
                    Some(found) if found.is_directory() => break,
                    Some(found) => {
                        return Err(ConflictError {
                            path: parent,
                            first: found.owner.clone(),
                            first_kind: found.kind.word(),
                            second: node.owner.clone(),
                            second_kind: "directory",
                        });
                    }
                    None => {}
                }
                at = parent.parent();
                if missing.insert(parent, directory.clone()).is_some() {
                    break;
                }
            }
        }
        self.nodes.extend(missing);
        Ok(())
    }

    /// Follows symbolic links inside the tree, in every component, as a process in a chroot would. `None` when the path
    /// does not exist or more than 40 links (Linux's limit) are met.
    pub fn resolve(&self, path: &ImagePath) -> Option<ImagePath> {
        self.walk(path, Missing::Nowhere)
    }

    fn walk(&self, path: &ImagePath, missing: Missing) -> Option<ImagePath> {
        let mut budget = 40;
        let mut pending: Vec<Vec<u8>> = path.components().rev().map(<[u8]>::to_vec).collect();
        let mut at = ImagePath::root();
        while let Some(name) = pending.pop() {
            if name == b".." {
                at = at.parent().unwrap_or_default();
                continue;
            }
            let next = at.join(&name).ok()?;
            match self.get(&next).map(|node| &node.kind) {
                None if missing == Missing::Nowhere => return None,
                Some(NodeKind::Symlink(target)) => {
                    budget -= 1;
                    if budget == 0 {
                        return None;
                    }
                    if target.starts_with(b"/") {
                        at = ImagePath::root();
                    }
                    let names = target.split(|&byte| byte == b'/').rev();
                    pending.extend(names.filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec));
                }
                _ => at = next,
            }
        }
        Some(at)
    }

    /// Where an entry for `path` lands, as when it is unpacked into a root: the directories on the way are followed through
    /// links, what is not there yet is taken as written, and the last component is not followed. So `/lib/x` is
    /// `/usr/lib/x` where `/lib` leads to `/usr/lib`. A path that cannot be (links in a circle, a file on the way) stays as it
    /// is; [`Tree::complete`] refuses it.
    #[must_use]
    pub fn landing(&self, path: &ImagePath) -> ImagePath {
        let parent = path.parent().and_then(|parent| self.walk(&parent, Missing::Appended));
        parent.and_then(|parent| parent.join(path.name()).ok()).unwrap_or_else(|| path.clone())
    }

    /// The directory that a link at `path` leads to.
    pub fn directory_behind(&self, path: &ImagePath) -> Option<ImagePath> {
        let link = matches!(self.get(path)?.kind, NodeKind::Symlink(_));
        let there = if link { self.resolve(path)? } else { return None };
        self.get(&there)?.is_directory().then_some(there)
    }

    /// The content of the regular file at `path`, symbolic and hard links followed.
    pub fn content(&self, path: &ImagePath) -> Option<&Content> {
        match &self.get(&self.resolve(path)?)?.kind {
            NodeKind::File(content) => Some(content),
            NodeKind::Hardlink(target) => match &self.get(target)?.kind {
                NodeKind::File(content) => Some(content),
                _ => None,
            },
            _ => None,
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, node) in &self.nodes {
            let Metadata { mode, uid, gid, .. } = node.meta;
            write!(f, "{mode:04o} {uid}:{gid} {path} [{}]", node.owner)?;
            match &node.kind {
                NodeKind::Directory => writeln!(f, " dir")?,
                NodeKind::File(content) => writeln!(f, " {content:?}")?,
                NodeKind::Symlink(target) => writeln!(f, " -> {}", target.escape_ascii())?,
                NodeKind::Hardlink(target) => writeln!(f, " = {target}")?,
            }
        }
        Ok(())
    }
}

impl FromIterator<(ImagePath, Node)> for Tree {
    fn from_iter<I: IntoIterator<Item = (ImagePath, Node)>>(nodes: I) -> Self {
        Self { nodes: nodes.into_iter().collect() }
    }
}

impl IntoIterator for Tree {
    type Item = (ImagePath, Node);
    type IntoIter = std::collections::btree_map::IntoIter<ImagePath, Node>;

    fn into_iter(self) -> Self::IntoIter {
        self.nodes.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text).unwrap()
    }

    fn file(owner: &str, text: &str) -> Node {
        Node::file(&owner.into(), Metadata::root(0o644, 0), Content::inline(text.as_bytes()))
    }

    #[test]
    fn conflicts_name_both_components() {
        let mut tree = Tree::new();
        tree.add(path("etc/x"), file("debian/a", "1")).unwrap();
        tree.add(path("etc/x"), file("debian/b", "1")).unwrap();
        let error = tree.add(path("etc/x"), file("npm/c", "2")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`/etc/x` is claimed by two components: file of `debian/a` and file of `npm/c`"
        );
    }

    #[test]
    fn missing_parents_are_added_and_files_cannot_be_parents() {
        let mut tree = Tree::new();
        tree.add(path("a/b/c"), file("x/y", "")).unwrap();
        tree.complete(&"generated/base".into(), 7).unwrap();
        assert_eq!(
            tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>(),
            ["/", "/a", "/a/b", "/a/b/c"]
        );
        tree.insert(path("a/b/c/d"), file("x/z", ""));
        assert!(tree.complete(&"generated/base".into(), 7).is_err());
    }

    #[test]
    fn links_are_followed_as_in_a_chroot() {
        let owner = Component::from("x/y");
        let mut tree = Tree::new();
        tree.insert(path("bin"), Node::symlink(&owner, 0, "usr/bin"));
        tree.insert(path("usr/bin/sh"), Node::symlink(&owner, 0, "../../../usr/bin/dash"));
        tree.insert(path("usr/bin/dash"), file("x/y", "#!"));
        tree.insert(path("loop"), Node::symlink(&owner, 0, "loop"));
        tree.complete(&owner, 0).unwrap();
        assert_eq!(tree.resolve(&path("bin/sh")), Some(path("usr/bin/dash")));
        assert_eq!(tree.content(&path("bin/sh")).map(Content::size), Some(2));
        assert_eq!(tree.resolve(&path("loop")), None);
        assert_eq!(tree.resolve(&path("bin/missing")), None);
    }

    /// What `mkdir -p` of the parent and `cp` into a root with these links make (GNU coreutils, in a chroot).
    #[test]
    fn a_path_lands_where_links_lead() {
        let owner = Component::from("x/y");
        let mut tree = Tree::new();
        for (link, target) in [
            ("lib", "usr/lib"),
            ("var/run", "/run"),
            ("opt/cur", "v1"),
            ("opt/v1", "../srv/./v1/"),
            ("up", "../../srv"),
            ("usr/lib/back", "../../lib"),
            ("loop", "loop"),
            ("there", "usr/share/late"),
        ] {
            tree.insert(path(link), Node::symlink(&owner, 0, target));
        }
        tree.insert(path("srv/v1/f"), file("x/y", ""));
        tree.insert(path("usr/lib/old/f"), file("x/y", ""));
        tree.complete(&owner, 0).unwrap();
        for (written, landed) in [
            ("", ""),
            ("lib", "lib"),
            ("lib/mylib/x", "usr/lib/mylib/x"),
            ("lib/old/f", "usr/lib/old/f"),
            ("lib/back/back/x", "usr/lib/x"),
            ("var/run/a/b", "run/a/b"),
            ("opt/cur", "opt/cur"),
            ("opt/cur/f", "srv/v1/f"),
            ("up/x", "srv/x"),
            ("etc/new/x", "etc/new/x"),
            ("there/x", "usr/share/late/x"),
            ("loop/x", "loop/x"),
            ("srv/v1/f/x", "srv/v1/f/x"),
        ] {
            assert_eq!(tree.landing(&path(written)), path(landed), "{written}");
        }
        for (written, refused) in [("loop/x", "`/loop`"), ("srv/v1/f/x", "`/srv/v1/f`")] {
            let mut tree = tree.clone();
            tree.insert(tree.landing(&path(written)), file("x/z", ""));
            let error = tree.complete(&owner, 0).unwrap_err().to_string();
            assert!(error.starts_with(refused), "{error}");
        }
    }

    #[test]
    fn a_tree_is_merged_through_links() {
        let owner = Component::from("x/y");
        let mut tree = Tree::new();
        tree.insert(path("usr/lib/old"), file("x/y", "1"));
        tree.insert(path("lib"), Node::symlink(&owner, 0, "usr/lib"));
        tree.complete(&owner, 0).unwrap();
        let part = |names: &[&str]| {
            let mut part: Tree = names.iter().map(|name| (path(name), file("x/z", "2"))).collect();
            part.complete(&owner, 0).unwrap();
            part
        };
        let mut merged = part(&["lib/new/a", "lib/new/b"]);
        merged.insert(
            path("lib/new/c"),
            Node { kind: NodeKind::Hardlink(path("lib/new/a")), ..file("x/z", "2") },
        );
        tree.merge(merged).unwrap();
        assert!(tree.contains(&path("usr/lib/new/a")) && tree.contains(&path("usr/lib/new/b")));
        assert_eq!(tree.get(&path("usr/lib/new/c")).unwrap().kind, NodeKind::Hardlink(path("usr/lib/new/a")));
        assert!(tree.below(&path("lib")).count() == 1, "nothing is below the link");
        let error = tree.merge(part(&["lib/old"])).unwrap_err();
        assert_eq!(error.path, path("usr/lib/old"));
        let error = tree.clone().merge(part(&["lib"])).unwrap_err();
        assert_eq!(error.path, path("lib"), "a file does not go through the link");
    }

    #[test]
    fn below_does_not_take_siblings() {
        let mut tree = Tree::new();
        for name in ["usr", "usr-x", "usr/a", "usr/b/c", "usr0"] {
            tree.insert(path(name), file("x/y", ""));
        }
        let found: Vec<_> = tree.below(&path("usr")).map(|(path, _)| path.to_string()).collect();
        assert_eq!(found, ["/usr", "/usr/a", "/usr/b/c"]);
    }

    #[test]
    fn children_are_those_of_one_directory() {
        let mut tree = Tree::new();
        for name in
            ["", "usr", "usr-x", "usr/a", "usr/a-b", "usr/a/c/d", "usr/a0", "usr/b/c", "usr/b/d", "usr0", "z"]
        {
            tree.insert(path(name), file("x/y", ""));
        }
        for (dir, expected) in [
            ("", &["/usr", "/usr-x", "/usr0", "/z"][..]),
            ("usr", &["/usr/a", "/usr/a-b", "/usr/a0"]),
            ("usr/b", &["/usr/b/c", "/usr/b/d"]),
            ("usr/a", &[]),
            ("z", &[]),
        ] {
            let found: Vec<_> = tree.children(&path(dir)).map(|(path, _)| path.to_string()).collect();
            assert_eq!(found, expected, "{dir}");
        }
    }
}
