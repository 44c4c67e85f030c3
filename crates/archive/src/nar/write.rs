//! The canonical writer: one tree has one NAR, whoever writes it.
//!
//! [`Writer`] takes entries in the order in which a NAR has them: a directory before what is in it, names by their bytes. (That is the
//! order of components, not of whole paths: `a/b` comes before `a-b`.) It reads no file system; whoever walks one gives it the
//! entries. [`write`] writes a [`Tree`], which has any order.
//!
//! **Refuses**: an entry out of its order, without its directory or given twice; content that is longer or shorter than announced (a
//! file that is being written to); links to what [`super::read`] refuses; more than [`Limits::WRITTEN`]; an end without a root.

use std::io;
use std::io::Read;
use std::io::Write;

use pinfold_base::ImagePath;
use pinfold_base::Shown;

use super::Limits;
use super::MAGIC;
use super::NarError;
use super::Permission;
use super::padding;
use super::target_refused;
use crate::Contents;
use crate::NodeKind;
use crate::Tree;

const LIMITS: Limits = Limits::WRITTEN;

/// A directory that is not at its end.
#[derive(Debug)]
struct Directory {
    path: ImagePath,
    /// The last name in it; empty before the first.
    last: Box<[u8]>,
}

/// How far a NAR is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Nothing,
    Begun,
    /// Something was refused or failed: what is written so far is no NAR.
    Failed,
}

/// Writes a NAR, entry by entry. Give it a buffered writer; one that hashes ([`pinfold_base::digest::HashingWriter`]) knows the NAR's
/// digest and size at the end.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    progress: Progress,
    open: Vec<Directory>,
    entries: u64,
    written: u64,
    /// Words that are not handed on yet.
    words: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a NAR.
    pub fn new(out: W) -> Self {
        Self { out, progress: Progress::Nothing, open: Vec::new(), entries: 0, written: 0, words: Vec::new() }
    }

    /// A directory; what is in it comes next.
    pub fn directory(&mut self, path: &ImagePath) -> Result<(), NarError> {
        self.entry(path, |writer| {
            writer.string(b"directory");
            writer.open.push(Directory { path: path.clone(), last: Box::default() });
            Ok(())
        })
    }

    /// A regular file of `size` bytes, all that `content` has.
    pub fn file(
        &mut self,
        path: &ImagePath,
        permission: Permission,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), NarError> {
        self.entry(path, |writer| {
            writer.string(b"regular");
            if permission == Permission::Executable {
                writer.string(b"executable");
                writer.string(b"");
            }
            writer.string(b"contents");
            writer.words.extend_from_slice(&size.to_le_bytes());
            writer.hand_on(path, size)?;
            let failed = |source| NarError::Content { path: path.clone(), source };
            let mut source = Content { inner: content, failed: None };
            let copied = io::copy(&mut source.by_ref().take(size), &mut writer.out);
            let behind = copied.is_ok() && source.read(&mut [0]).is_ok_and(|n| n > 0);
            if let Some(error) = source.failed {
                return Err(failed(error));
            }
            if copied? < size || behind {
                let reason =
                    if behind { "it is longer than announced" } else { "it is shorter than announced" };
                return Err(failed(io::Error::new(io::ErrorKind::InvalidData, reason)));
            }
            writer.words.resize(padding(size), 0);
            writer.end();
            Ok(())
        })
    }

    /// A symbolic link.
    pub fn symlink(&mut self, path: &ImagePath, target: &[u8]) -> Result<(), NarError> {
        self.entry(path, |writer| {
            if let Some(reason) = target_refused(target) {
                return Err(refuse(path, reason));
            }
            writer.string(b"symlink");
            writer.string(b"target");
            writer.string(target);
            writer.end();
            Ok(())
        })
    }

    /// Ends the NAR and gives back what it was written to, flushed.
    pub fn finish(mut self) -> Result<W, NarError> {
        let root = ImagePath::root();
        match self.progress {
            Progress::Begun => {}
            Progress::Nothing => return Err(refuse(&root, "there is no root")),
            Progress::Failed => return Err(refuse(&root, "an entry of it was refused")),
        }
        while self.open.pop().is_some() {
            self.end();
        }
        self.hand_on(&root, 0)?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// What stands before every node, then the node.
    fn entry(
        &mut self,
        path: &ImagePath,
        node: impl FnOnce(&mut Self) -> Result<(), NarError>,
    ) -> Result<(), NarError> {
        let before = std::mem::replace(&mut self.progress, Progress::Failed);
        let limit = |what, limit| NarError::Limit { path: Shown::of(path), what, limit };
        if self.entries == LIMITS.entries {
            return Err(limit("entries", LIMITS.entries));
        }
        if path.components().count() > LIMITS.depth {
            return Err(limit("levels of directories", LIMITS.depth as u64));
        }
        self.entries += 1;
        match (before, path.parent()) {
            (Progress::Failed, _) => return Err(refuse(path, "an entry before it was refused")),
            (Progress::Nothing, None) => self.string(MAGIC),
            (Progress::Begun, Some(parent)) => self.step_into(path, &parent)?,
            (Progress::Nothing, Some(_)) => return Err(refuse(path, "the root comes first")),
            (Progress::Begun, None) => return Err(refuse(path, "there is one root")),
        }
        self.string(b"(");
        self.string(b"type");
        node(self)?;
        self.hand_on(path, 0)?;
        self.progress = Progress::Begun;
        Ok(())
    }

    /// Ends the directories that `path` is not in, and begins its entry.
    fn step_into(&mut self, path: &ImagePath, parent: &ImagePath) -> Result<(), NarError> {
        while self.open.last().is_some_and(|directory| directory.path != *parent) {
            self.open.pop();
            self.end();
        }
        let Some(directory) = self.open.last_mut() else {
            return Err(refuse(path, "its directory is not there, or at its end already"));
        };
        if *directory.last >= *path.name() {
            return Err(refuse(path, "names come in the order of their bytes, each once"));
        }
        directory.last = path.name().into();
        for word in [b"entry", &b"("[..], b"name", path.name(), b"node"] {
            self.string(word);
        }
        Ok(())
    }

    /// Ends a node, and the entry that it is, if it is not the root.
    fn end(&mut self) {
        self.string(b")");
        if !self.open.is_empty() {
            self.string(b")");
        }
    }

    fn string(&mut self, bytes: &[u8]) {
        self.words.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.words.extend_from_slice(bytes);
        self.words.resize(self.words.len() + padding(bytes.len() as u64), 0);
    }

    /// Writes the words, if they and a content of `size` bytes are within the limit.
    fn hand_on(&mut self, path: &ImagePath, size: u64) -> Result<(), NarError> {
        let end = (self.written + self.words.len() as u64).checked_add(size);
        self.written = end.filter(|&end| end <= LIMITS.total).ok_or_else(|| NarError::Limit {
            path: Shown::of(path),
            what: "bytes",
            limit: LIMITS.total,
        })?;
        self.out.write_all(&self.words)?;
        self.words.clear();
        Ok(())
    }
}

/// Reads content, and keeps an error of its own apart from those of the writer.
struct Content<'a> {
    inner: &'a mut dyn Read,
    failed: Option<io::Error>,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }
}

fn refuse(path: &ImagePath, reason: &'static str) -> NarError {
    NarError::Node { path: path.clone(), reason }
}

/// Writes the NAR of `tree`. Owners, times, attributes and all of a mode but the owner's bit to execute are left out, and a hard link
/// is a file, as for Nix.
pub fn write(tree: &Tree, contents: &dyn Contents, out: impl Write) -> Result<(), NarError> {
    let mut nodes: Vec<_> = tree.iter().collect();
    nodes.sort_by(|(one, _), (other, _)| one.components().cmp(other.components()));
    let mut writer = Writer::new(out);
    for (path, node) in nodes {
        match &node.kind {
            NodeKind::Directory => writer.directory(path)?,
            NodeKind::Symlink(target) => writer.symlink(path, target)?,
            NodeKind::File(_) | NodeKind::Hardlink(_) => {
                let content = match &node.kind {
                    NodeKind::File(content) => Some(content),
                    _ => tree.content(path),
                };
                let content = content.ok_or_else(|| refuse(path, "it is a hard link to nothing"))?;
                let mut bytes = contents
                    .open(content)
                    .map_err(|source| NarError::Content { path: path.clone(), source })?;
                writer.file(path, Permission::of(node.meta.mode), content.size(), &mut bytes)?;
            }
        }
    }
    writer.finish().map(|_| ())
}
