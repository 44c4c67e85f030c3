//! The tree as a process sees a file system: paths through links, reading, writing, and the errors of system calls.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_base::ImagePath;

use super::World;
use crate::debian::caches::capabilities::ATTRIBUTE;

/// Largest file that a script reads.
const MAX_READ: u64 = 16 << 20;
/// What a node costs in memory beside its path.
const NODE_BYTES: usize = 300;
/// What it takes to find or change a node.
const NODE: u64 = 500;
/// Longest path of a call, and longest target of a link (`PATH_MAX`).
const MAX_PATH: usize = 4095;
/// Most links on one way (Linux's limit).
const MAX_LINKS: usize = 40;

/// Why a system call would fail, with the text that tools print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::debian::script) enum Errno {
    /// `ENOENT`
    #[error("No such file or directory")]
    NotFound,
    /// `EEXIST`
    #[error("File exists")]
    Exists,
    /// `ENOTDIR`
    #[error("Not a directory")]
    NotADirectory,
    /// `EISDIR`
    #[error("Is a directory")]
    IsADirectory,
    /// `ENOTEMPTY`
    #[error("Directory not empty")]
    NotEmpty,
    /// `ELOOP`
    #[error("Too many levels of symbolic links")]
    Loop,
    /// `ENAMETOOLONG`
    #[error("File name too long")]
    TooLong,
    /// `EINVAL`
    #[error("Invalid argument")]
    Invalid,
    /// Nothing of an image: `/proc`, `/sys`, devices. The evaluation stops.
    #[error("it is outside the image")]
    Outside,
    /// More than the budget. The evaluation stops.
    #[error("it is more than one script may use")]
    Budget,
    /// The bytes of a file cannot be read. The evaluation stops.
    #[error("its bytes cannot be read")]
    Unreadable,
}

impl Errno {
    /// Whether the script is told, as a program would be; else the evaluation stops.
    pub(in crate::debian::script) fn is_told(self) -> bool {
        !matches!(self, Self::Outside | Self::Budget | Self::Unreadable)
    }
}

/// What stat(2) says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::debian::script) struct Stat {
    /// Where it is, links followed.
    pub(in crate::debian::script) path: ImagePath,
    /// What it is; a hard link is the file it names.
    pub(in crate::debian::script) kind: Kind,
    /// Mode, owner, time.
    pub(in crate::debian::script) meta: Metadata,
    /// Length of a file or of a link's target, in bytes.
    pub(in crate::debian::script) size: u64,
}

/// The kinds of file in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::debian::script) enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// `/dev/null`, which no tree has and every script uses.
    Null,
}

/// What the last component of a path does when it is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::debian::script) enum Last {
    /// It is followed, as by stat(2).
    Followed,
    /// It is meant itself, as by lstat(2).
    Itself,
}

impl World<'_> {
    /// Charges work, in nanoseconds: see [`Fuel`](super::Fuel).
    pub(in crate::debian::script) fn spend(&self, work: u64) -> Result<(), Errno> {
        self.fuel.spend(work)
    }

    /// Charges a value of this many bytes, before it is made.
    pub(in crate::debian::script) fn spend_bytes(&self, bytes: usize) -> Result<(), Errno> {
        self.fuel.spend_bytes(bytes)
    }

    /// Where `path` leads from the directory `cwd`. What comes before the last component must be there; the last itself may
    /// be missing.
    pub(in crate::debian::script) fn locate(
        &self,
        cwd: &[u8],
        path: &[u8],
        last: Last,
    ) -> Result<ImagePath, Errno> {
        if path.is_empty() {
            return Err(Errno::NotFound);
        }
        if path.len() > MAX_PATH {
            return Err(Errno::TooLong);
        }
        self.spend(NODE + 50 * path.len() as u64)?;
        let directory = path.ends_with(b"/") || path.ends_with(b"/.");
        let mut pending: Vec<Vec<u8>> = names(path).collect();
        if !path.starts_with(b"/") {
            pending.extend(names(cwd));
        }
        let (mut at, mut links) = (ImagePath::root(), 0);
        while let Some(name) = pending.pop() {
            self.spend(NODE + at.as_bytes().len() as u64)?;
            if name == b".." {
                at = at.parent().unwrap_or_default();
                continue;
            }
            if self.tree.get(&at).is_some_and(|node| !node.is_directory()) {
                return Err(Errno::NotADirectory);
            }
            let next = at.join(&name).map_err(|_| Errno::TooLong)?;
            match self.tree.get(&next).map(|node| &node.kind) {
                Some(NodeKind::Symlink(target))
                    if !pending.is_empty() || last == Last::Followed || directory =>
                {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::Loop);
                    }
                    if target.starts_with(b"/") {
                        at = ImagePath::root();
                    }
                    pending.extend(names(target));
                }
                None if !pending.is_empty() => return Err(Errno::NotFound),
                _ => at = next,
            }
        }
        if directory && self.tree.get(&at).is_some_and(|node| !node.is_directory()) {
            return Err(Errno::NotADirectory);
        }
        Ok(at)
    }

    /// stat(2) or lstat(2).
    pub(in crate::debian::script) fn stat(&self, cwd: &[u8], path: &[u8], last: Last) -> Result<Stat, Errno> {
        let path = self.locate(cwd, path, last)?;
        if path.is_root() {
            let meta = self
                .tree
                .get(&path)
                .map_or_else(|| Metadata::root(0o755, self.epoch), |node| node.meta.clone());
            return Ok(Stat { path, kind: Kind::Directory, meta, size: 0 });
        }
        if path.as_bytes() == b"dev/null" {
            return Ok(Stat { path, kind: Kind::Null, meta: Metadata::root(0o666, self.epoch), size: 0 });
        }
        let node = self.tree.get(&path).ok_or(Errno::NotFound)?;
        let file = match &node.kind {
            NodeKind::Hardlink(target) => self.tree.get(target).ok_or(Errno::NotFound)?,
            _ => node,
        };
        let (kind, size) = match &file.kind {
            NodeKind::Directory => (Kind::Directory, 0),
            NodeKind::Symlink(target) => (Kind::Link, target.len() as u64),
            NodeKind::File(_) | NodeKind::Hardlink(_) => {
                (Kind::File, self.written_size(&path).unwrap_or(file.size()))
            }
        };
        Ok(Stat { kind, size, meta: file.meta.clone(), path })
    }

    /// The bytes of a regular file.
    pub(in crate::debian::script) fn read(&mut self, cwd: &[u8], path: &[u8]) -> Result<Vec<u8>, Errno> {
        self.settle();
        let stat = self.stat(cwd, path, Last::Followed)?;
        match stat.kind {
            Kind::Directory => return Err(Errno::IsADirectory),
            Kind::Null => return Ok(Vec::new()),
            Kind::Link | Kind::File => {}
        }
        let content = self.tree.content(&stat.path).ok_or(Errno::NotFound)?;
        self.affordable(content)?;
        self.contents.read(content, MAX_READ).map_err(|_| Errno::Unreadable)
    }

    /// Opens a file for writing, as open(2) with `O_CREAT`: made with `mode` where it is not there, emptied where that is said.
    pub(in crate::debian::script) fn open_to_write(
        &mut self,
        cwd: &[u8],
        path: &[u8],
        mode: u32,
        content: Kept,
    ) -> Result<ImagePath, Errno> {
        let path = self.place_of(cwd, path, Last::Followed)?;
        match self.tree.get(&path).map(|node| &node.kind) {
            None => {
                let meta = self.made(&path, mode);
                let node = Node::file(&self.owner, meta, Content::inline(Vec::new()));
                self.put(path.clone(), node)?;
                self.note(format!("file {path} {mode:04o}"));
            }
            Some(NodeKind::Directory) => return Err(Errno::IsADirectory),
            Some(_) if content == Kept::Nothing => self.replace_content(&path, Vec::new())?,
            Some(_) => {}
        }
        Ok(path)
    }

    /// Adds bytes to the end of a file that was opened.
    pub(in crate::debian::script) fn append(&mut self, path: &ImagePath, bytes: &[u8]) -> Result<(), Errno> {
        self.write_at(path, None, bytes)
    }

    /// Puts bytes where `at` says, which then stands behind them; without it at the end.
    pub(in crate::debian::script) fn write_at(
        &mut self,
        path: &ImagePath,
        at: Option<&Cell<usize>>,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        self.spend(NODE)?;
        self.spend_bytes(bytes.len())?;
        let real = self.real(path);
        if self.written.as_ref().is_none_or(|(file, _)| *file != real) {
            self.settle();
            let NodeKind::File(content) = &self.tree.get(&real).ok_or(Errno::NotFound)?.kind else {
                return Err(Errno::NotFound);
            };
            self.affordable(content)?;
            let all = self.contents.read(content, MAX_READ).map_err(|_| Errno::Unreadable)?;
            self.written = Some((real.clone(), all));
        }
        if let Some((_, all)) = &mut self.written {
            let start = at.map_or(all.len(), Cell::get);
            if start > all.len() {
                self.fuel.spend_bytes(start - all.len())?;
                all.resize(start, 0);
            }
            let over = bytes.len().min(all.len() - start);
            all[start..start + over].copy_from_slice(&bytes[..over]);
            all.extend_from_slice(&bytes[over..]);
            if let Some(at) = at {
                at.set(start + bytes.len());
            }
        }
        self.changed(path, &real)
    }

    /// Puts other bytes into a file that is there; its other names have them too.
    pub(in crate::debian::script) fn replace_content(
        &mut self,
        path: &ImagePath,
        bytes: Vec<u8>,
    ) -> Result<(), Errno> {
        self.spend_bytes(bytes.len())?;
        self.settle();
        let real = self.real(path);
        self.hold(&real, bytes)?;
        self.changed(path, &real)
    }

    /// What was appended becomes content of the tree. Whoever looks at the tree without this file's functions comes after it.
    pub(in crate::debian::script) fn settle(&mut self) {
        let Some((file, bytes)) = self.written.take() else { return };
        // Without fuel the evaluation ends at the next look.
        let _ = self.spend(bytes.len() as u64);
        let _ = self.hold(&file, bytes);
    }

    /// The tree holds other bytes of a file than before.
    fn hold(&mut self, file: &ImagePath, bytes: Vec<u8>) -> Result<(), Errno> {
        let node = self.tree.get_mut(file).ok_or(Errno::NotFound)?;
        self.fuel.release(held(&node.kind));
        self.fuel.keep(bytes.len() as u64)?;
        node.kind = NodeKind::File(Content::inline(bytes));
        Ok(())
    }

    /// The size of a file to which bytes are still being appended.
    fn written_size(&self, path: &ImagePath) -> Option<u64> {
        let (file, bytes) = self.written.as_ref()?;
        (*file == self.real(path)).then_some(bytes.len() as u64)
    }

    /// The path that has the content of a file: a hard link names it.
    fn real(&self, path: &ImagePath) -> ImagePath {
        match self.tree.get(path).map(|node| &node.kind) {
            Some(NodeKind::Hardlink(target)) => target.clone(),
            _ => path.clone(),
        }
    }

    fn changed(&mut self, path: &ImagePath, real: &ImagePath) -> Result<(), Errno> {
        let (epoch, owner) = (self.epoch, self.owner.clone());
        let node = self.tree.get_mut(real).ok_or(Errno::NotFound)?;
        node.meta.mtime = epoch;
        node.owner = owner;
        self.note(format!("content of {path}"));
        Ok(())
    }

    /// Charges what it takes to read a file.
    fn affordable(&self, content: &Content) -> Result<(), Errno> {
        match usize::try_from(content.size()) {
            Ok(size) if content.size() <= MAX_READ => self.spend_bytes(size),
            _ => Err(Errno::Budget),
        }
    }

    /// mkdir(2).
    pub(in crate::debian::script) fn make_directory(
        &mut self,
        cwd: &[u8],
        path: &[u8],
        mode: u32,
    ) -> Result<ImagePath, Errno> {
        let path = self.place_of_new(cwd, trim(path))?;
        let mut meta = self.made(&path, mode);
        if path.parent().is_some_and(|parent| self.gives_its_group(&parent)) {
            meta.mode |= 0o2000;
        }
        let node = Node::directory(&self.owner, meta);
        self.put(path.clone(), node)?;
        self.note(format!("directory {path} {mode:04o}"));
        Ok(path)
    }

    /// symlink(2).
    pub(in crate::debian::script) fn make_link(
        &mut self,
        cwd: &[u8],
        path: &[u8],
        target: &[u8],
    ) -> Result<(), Errno> {
        if target.is_empty() {
            return Err(Errno::NotFound);
        }
        if target.len() > MAX_PATH {
            return Err(Errno::TooLong);
        }
        let path = self.place_of_new(cwd, path)?;
        let node = Node::symlink(&self.owner, self.epoch, target);
        self.put(path.clone(), node)?;
        self.note(format!("link {path} -> {}", target.escape_ascii()));
        Ok(())
    }

    /// A link that is made in one step in the place of whatever is there, a directory excepted; the ledger has no line for it.
    pub(in crate::debian::script) fn put_link(
        &mut self,
        path: &[u8],
        target: &[u8],
        owner: &Component,
    ) -> Result<(), Errno> {
        let path = self.place_of(b"/", path, Last::Itself)?;
        if target.len() > MAX_PATH {
            return Err(Errno::TooLong);
        }
        if self.tree.get(&path).is_some_and(Node::is_directory) {
            return Err(Errno::IsADirectory);
        }
        let node = Node::symlink(owner, self.epoch, target);
        self.put(path, node)
    }

    /// link(2): another name of a file.
    pub(in crate::debian::script) fn make_hard_link(
        &mut self,
        cwd: &[u8],
        path: &[u8],
        file: &[u8],
    ) -> Result<(), Errno> {
        let file = self.stat(cwd, file, Last::Itself)?;
        let path = self.place_of_new(cwd, path)?;
        let node = self.tree.get(&file.path).ok_or(Errno::NotFound)?.clone();
        let node = match node.kind {
            NodeKind::Directory => return Err(Errno::Invalid),
            NodeKind::File(_) => Node { kind: NodeKind::Hardlink(file.path), ..node },
            NodeKind::Hardlink(_) | NodeKind::Symlink(_) => node,
        };
        self.put(path.clone(), node)?;
        self.note(format!("hard link {path}"));
        Ok(())
    }

    /// unlink(2) for files and links, rmdir(2) for empty directories.
    pub(in crate::debian::script) fn remove(&mut self, path: &ImagePath) -> Result<(), Errno> {
        Self::inside(path)?;
        if path.is_root() {
            return Err(Errno::Invalid);
        }
        self.spend(NODE)?;
        let node = self.tree.get(path).ok_or(Errno::NotFound)?;
        if node.is_directory() && self.tree.children(path).next().is_some() {
            return Err(Errno::NotEmpty);
        }
        self.take(path)?;
        self.note(format!("removed {path}"));
        Ok(())
    }

    /// A directory and all below it, as `rm -r`.
    pub(in crate::debian::script) fn remove_all(&mut self, path: &ImagePath) -> Result<(), Errno> {
        Self::inside(path)?;
        for inside in self.all_of(path)?.iter().rev().filter(|inside| *inside != path) {
            self.take(inside)?;
        }
        self.remove(path)
    }

    /// A node and, of a directory, all that is below it, in order of path.
    fn all_of(&self, path: &ImagePath) -> Result<Vec<ImagePath>, Errno> {
        let mut all = vec![path.clone()];
        if self.tree.get(path).is_some_and(Node::is_directory) {
            for (inside, _) in self.tree.below(path).filter(|(inside, _)| *inside != path) {
                self.spend(NODE + inside.as_bytes().len() as u64)?;
                all.push(inside.clone());
            }
        }
        Ok(all)
    }

    /// A node leaves the tree; the other names of a file keep it.
    fn take(&mut self, path: &ImagePath) -> Result<Option<Node>, Errno> {
        self.settle();
        let mut handed = false;
        match self.tree.get(path).map(|node| &node.kind) {
            Some(NodeKind::File(_)) => handed = self.hand_over(path)?,
            Some(NodeKind::Hardlink(file)) => {
                let file = file.clone();
                if let Some(others) = self.names()?.get_mut(&file) {
                    others.remove(path);
                }
            }
            _ => {}
        }
        let node = self.tree.remove(path);
        if let Some(node) = &node {
            let content = if handed { 0 } else { held(&node.kind) };
            self.fuel.release(content + (NODE_BYTES + path.as_bytes().len()) as u64);
        }
        Ok(node)
    }

    /// rename(2).
    pub(in crate::debian::script) fn rename(
        &mut self,
        from: &ImagePath,
        to: &ImagePath,
    ) -> Result<(), Errno> {
        Self::inside(from)?;
        Self::inside(to)?;
        self.parent_is_there(to)?;
        if from == to {
            return Ok(());
        }
        if from.is_root() || to.starts_with(from) {
            return Err(Errno::Invalid);
        }
        let moved = self.tree.get(from).ok_or(Errno::NotFound)?;
        if let Some(old) = self.tree.get(to) {
            match (moved.is_directory(), old.is_directory()) {
                (true, false) => return Err(Errno::NotADirectory),
                (false, true) => return Err(Errno::IsADirectory),
                _ => self.remove(to)?,
            }
        }
        self.settle();
        for old in self.all_of(from)? {
            let new = match old.strip_prefix(from) {
                Some(b"") | None => to.clone(),
                Some(rest) => to.join(rest).map_err(|_| Errno::TooLong)?,
            };
            self.rename_one(&old, new)?;
        }
        self.note(format!("moved {from} to {to}"));
        Ok(())
    }

    /// chmod(2).
    pub(in crate::debian::script) fn set_mode(&mut self, path: &ImagePath, mode: u32) -> Result<(), Errno> {
        self.change(path, |meta| meta.mode = mode)?;
        self.note(format!("mode {path} {mode:04o}"));
        Ok(())
    }

    /// setxattr(2) of a file's capabilities, or their removal.
    pub(in crate::debian::script) fn set_capabilities(
        &mut self,
        path: &ImagePath,
        attribute: Option<Vec<u8>>,
    ) -> Result<(), Errno> {
        self.change(path, |meta| {
            match attribute {
                Some(bytes) => meta.xattrs.insert(ATTRIBUTE.to_vec(), bytes),
                None => meta.xattrs.remove(ATTRIBUTE),
            };
        })
    }

    /// chown(2). As Linux does, set-id bits and capabilities of a file go.
    pub(in crate::debian::script) fn set_owner(
        &mut self,
        path: &ImagePath,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Result<(), Errno> {
        let file = self.tree.get(path).is_some_and(|node| !node.is_directory());
        let mut owned = (0, 0);
        self.change(path, |meta| {
            (meta.uid, meta.gid) = (uid.unwrap_or(meta.uid), gid.unwrap_or(meta.gid));
            owned = (meta.uid, meta.gid);
            if file {
                meta.xattrs.remove(ATTRIBUTE);
                meta.mode &= if meta.mode & 0o010 == 0 { 0o3777 } else { 0o1777 };
            }
        })?;
        self.note(format!("owner {path} {}:{}", owned.0, owned.1));
        Ok(())
    }

    /// The time of a file becomes `time`, or that of the image.
    pub(in crate::debian::script) fn touch(
        &mut self,
        path: &ImagePath,
        time: Option<u64>,
    ) -> Result<(), Errno> {
        let time = time.unwrap_or(self.epoch);
        self.change(path, |meta| meta.mtime = time)
    }

    /// The names in a directory, sorted by their bytes.
    pub(in crate::debian::script) fn list(&mut self, directory: &ImagePath) -> Result<Vec<Vec<u8>>, Errno> {
        let mut names = Vec::new();
        for (path, _) in self.tree.children(directory) {
            self.spend(NODE)?;
            names.push(path.name().to_vec());
        }
        Ok(names)
    }

    /// A copy of a node at another path, over whatever file is there, as its own package's.
    pub(in crate::debian::script) fn put_copy(&mut self, from: &Node, to: &ImagePath) -> Result<(), Errno> {
        Self::inside(to)?;
        self.parent_is_there(to)?;
        self.settle();
        let kind = match &from.kind {
            NodeKind::Hardlink(target) => self.tree.get(target).ok_or(Errno::NotFound)?.kind.clone(),
            kind => kind.clone(),
        };
        if let NodeKind::File(content) = &kind {
            // It is not read here, but it is in a layer once more.
            self.spend(content.size() / 4)?;
            self.fuel.keep(content.size())?;
        }
        let node = Node { kind, meta: from.meta.clone(), owner: self.owner.clone() };
        self.put(to.clone(), node)?;
        self.note(format!("copy {to}"));
        Ok(())
    }

    /// Owner, mode and time of what is made: a directory with the set-group-id bit gives its group (inode(7)).
    pub(in crate::debian::script) fn made(&self, path: &ImagePath, mode: u32) -> Metadata {
        let mut meta = Metadata::root(mode, self.epoch);
        (meta.uid, meta.gid) = self.creator;
        if let Some(parent) = path.parent().filter(|parent| self.gives_its_group(parent))
            && let Some(node) = self.tree.get(&parent)
        {
            meta.gid = node.meta.gid;
        }
        meta
    }

    fn gives_its_group(&self, directory: &ImagePath) -> bool {
        self.tree.get(directory).is_some_and(|node| node.is_directory() && node.meta.mode & 0o2000 != 0)
    }

    fn change(&mut self, path: &ImagePath, change: impl FnOnce(&mut Metadata)) -> Result<(), Errno> {
        Self::inside(path)?;
        self.spend(NODE)?;
        let real = self.real(path);
        if !self.tree.contains(&real) && real.is_root() {
            let root = Node::directory(&self.owner, Metadata::root(0o755, self.epoch));
            self.tree.insert(real.clone(), root);
        }
        change(&mut self.tree.get_mut(&real).ok_or(Errno::NotFound)?.meta);
        Ok(())
    }

    fn put(&mut self, path: ImagePath, node: Node) -> Result<(), Errno> {
        let bytes = NODE_BYTES + path.as_bytes().len();
        self.spend_bytes(bytes)?;
        let target = if matches!(node.kind, NodeKind::Symlink(_)) { held(&node.kind) } else { 0 };
        self.fuel.keep(bytes as u64 + target)?;
        self.take(&path)?;
        if let NodeKind::Hardlink(file) = &node.kind {
            self.names()?.entry(file.clone()).or_default().insert(path.clone());
        }
        self.tree.insert(path, node);
        Ok(())
    }

    /// Before a file goes, the first of its other names becomes the file: whether it has one.
    fn hand_over(&mut self, file: &ImagePath) -> Result<bool, Errno> {
        let Some(mut others) = self.names()?.remove(file) else { return Ok(false) };
        let (Some(heir), Some(node)) = (others.pop_first(), self.tree.get(file).cloned()) else {
            return Ok(false);
        };
        self.tree.insert(heir.clone(), node);
        self.point(others, heir)?;
        Ok(true)
    }

    fn rename_one(&mut self, old: &ImagePath, new: ImagePath) -> Result<(), Errno> {
        self.spend(NODE)?;
        let Some(node) = self.tree.remove(old) else { return Ok(()) };
        match &node.kind {
            NodeKind::File(_) => {
                if let Some(others) = self.names()?.remove(old) {
                    self.point(others, new.clone())?;
                }
            }
            NodeKind::Hardlink(file) => {
                let others = self.names()?.entry(file.clone()).or_default();
                others.remove(old);
                others.insert(new.clone());
            }
            NodeKind::Directory | NodeKind::Symlink(_) => {}
        }
        self.tree.insert(new, node);
        Ok(())
    }

    /// Makes these names of `file`.
    fn point(&mut self, others: BTreeSet<ImagePath>, file: ImagePath) -> Result<(), Errno> {
        for other in &others {
            self.spend(NODE)?;
            if let Some(node) = self.tree.get_mut(other) {
                node.kind = NodeKind::Hardlink(file.clone());
            }
        }
        if !others.is_empty() {
            self.names()?.insert(file, others);
        }
        Ok(())
    }

    /// Whether a file has other names.
    pub(in crate::debian::script) fn has_other_names(&mut self, file: &ImagePath) -> Result<bool, Errno> {
        Ok(self.names()?.contains_key(file))
    }

    /// The other names of each file that has some. The tree is searched for them once, then they are kept.
    fn names(&mut self) -> Result<&mut BTreeMap<ImagePath, BTreeSet<ImagePath>>, Errno> {
        if self.names.is_none() {
            self.spend(self.tree.len() as u64 * 20)?;
        }
        Ok(self.names.get_or_insert_with(|| {
            let mut names: BTreeMap<ImagePath, BTreeSet<ImagePath>> = BTreeMap::new();
            for (path, node) in self.tree.iter() {
                if let NodeKind::Hardlink(file) = &node.kind {
                    names.entry(file.clone()).or_default().insert(path.clone());
                }
            }
            names
        }))
    }

    /// Where something is to be made. What the runtime mounts is none of it, even where the tree has no such directory.
    fn place_of(&self, cwd: &[u8], path: &[u8], last: Last) -> Result<ImagePath, Errno> {
        let located = self.locate(cwd, path, last);
        if located == Err(Errno::NotFound) {
            let from: &[u8] = if path.starts_with(b"/") { b"" } else { cwd };
            let written = ImagePath::root().link_target(&[from, b"/", path].concat());
            Self::inside(&written.unwrap_or_default())?;
        }
        let path = located?;
        Self::inside(&path)?;
        self.parent_is_there(&path)?;
        Ok(path)
    }

    /// Where something is to be made that is not there yet.
    fn place_of_new(&self, cwd: &[u8], path: &[u8]) -> Result<ImagePath, Errno> {
        let located = self.locate(cwd, path, Last::Itself);
        if located.as_ref().is_ok_and(|path| path.is_root() || self.tree.contains(path)) {
            return Err(Errno::Exists);
        }
        self.place_of(cwd, path, Last::Itself)
    }

    fn parent_is_there(&self, path: &ImagePath) -> Result<(), Errno> {
        let Some(parent) = path.parent().filter(|parent| !parent.is_root()) else { return Ok(()) };
        match self.tree.get(&parent) {
            Some(node) if node.is_directory() => Ok(()),
            Some(_) => Err(Errno::NotADirectory),
            None => Err(Errno::NotFound),
        }
    }

    /// Nothing is made or changed in what the runtime mounts.
    fn inside(path: &ImagePath) -> Result<(), Errno> {
        match path.components().next() {
            Some(b"proc" | b"sys" | b"dev") => Err(Errno::Outside),
            _ => Ok(()),
        }
    }
}

/// What is left of a file that is opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::debian::script) enum Kept {
    /// Nothing: `O_TRUNC`.
    Nothing,
    /// Everything: `O_APPEND`.
    All,
}

/// What a node holds of memory by its content.
fn held(kind: &NodeKind) -> u64 {
    match kind {
        NodeKind::File(Content::Inline(bytes)) => bytes.len() as u64,
        NodeKind::Symlink(target) => target.len() as u64,
        _ => 0,
    }
}

/// The components of a path from the last to the first.
fn names(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    path.split(|&byte| byte == b'/').rev().filter(|name| !matches!(*name, b"" | b".")).map(<[u8]>::to_vec)
}

/// Without slashes at the end.
fn trim(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(path.len().min(1), |at| at + 1);
    &path[..end]
}
