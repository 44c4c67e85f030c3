//! The streaming reader: one pass over an `impl BufRead`, nothing kept but the path and the last name of every directory above.
//!
//! Hash what it reads from ([`pinfold_base::digest::HashingReader`]): after the last entry the stream was read to its end, so digest
//! and size are those of the NAR.
//!
//! **Guarantees**: what is accepted is what [`super::write`] writes of these entries, byte by byte. Directories come before what
//! is in them, no path twice. Memory is bounded whatever the input says, and it cannot make the reader recurse.
//! **Refuses**: a wrong magic; words in any other order than the format's, fields left out or given twice; names that are empty, `.`,
//! `..`, hold `/` or NUL, or are longer than 255 bytes; names that do not increase, byte by byte; paths longer than 4095 bytes; links to
//! nothing, to more than 4095 bytes or to a NUL; padding that is not zero; more than [`Limits`] say; a stream that ends early
//! or goes on behind its end.

use std::io;
use std::io::BufRead;
use std::io::Read;

use pinfold_base::ImagePath;
use pinfold_base::Shown;
use pinfold_base::image_path::MAX_NAME;

use super::Limits;
use super::MAGIC;
use super::MAX_TARGET;
use super::NarError;
use super::Permission;
use super::UNIT;
use super::padding;
use super::target_refused;
use crate::part::Parts;

/// No word of the format is longer.
const MAX_WORD: usize = MAGIC.len();

const EARLY: &str = "it ends early";

/// One node, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path below the store path, which is the root.
    pub path: ImagePath,
    /// What it is.
    pub kind: EntryKind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file; its content can be read from the [`Reader`] until the next entry is asked for.
    File {
        /// Whether it may be run.
        permission: Permission,
        /// Where its content starts in the NAR.
        offset: u64,
        /// Bytes of content.
        size: u64,
    },
    /// A symbolic link; the target as it was written.
    Symlink(Box<[u8]>),
}

impl EntryKind {
    /// The mode that Nix gives it in a store.
    pub const fn mode(&self) -> u32 {
        match self {
            Self::Directory => 0o555,
            Self::File { permission, .. } => permission.mode(),
            Self::Symlink(_) => 0o777,
        }
    }
}

/// A directory that is not at its end.
#[derive(Debug)]
struct Directory {
    /// Bytes of its path.
    path: usize,
    /// The last name in it; empty before the first.
    last: Vec<u8>,
}

/// What comes next in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The root.
    Root,
    /// What is left of a content, then this much padding, and the end of the file.
    Content { padding: usize },
    /// An entry of the innermost directory, or its end; without one, the end of the stream.
    Entry,
    /// Nothing more.
    End,
    /// It was refused.
    Refused,
}

/// Reads a NAR from a stream. Reading the `Reader` itself gives the content of the current file.
#[derive(Debug)]
pub struct Reader<R> {
    stream: Parts<R>,
    limits: Limits,
    next: Next,
    entries: u64,
    /// Where the last word began.
    word_at: u64,
    word: Vec<u8>,
    /// Path of the current node, or of the directory that is read.
    path: Vec<u8>,
    open: Vec<Directory>,
}

impl<R: BufRead> Reader<R> {
    /// Starts at the beginning of a NAR and checks its magic.
    pub fn new(inner: R, limits: Limits) -> Result<Self, NarError> {
        let mut reader = Self {
            stream: Parts::new(inner, "the NAR ends inside a file"),
            limits,
            next: Next::Root,
            entries: 0,
            word_at: 0,
            word: Vec::new(),
            path: Vec::new(),
            open: Vec::new(),
        };
        reader.expect(MAGIC, "it does not begin with `nix-archive-1`")?;
        Ok(reader)
    }

    /// The next node, skipping what was not read of the content before; `None` at the end, which is the stream's.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, NarError> {
        // It stays so where anything below fails.
        match std::mem::replace(&mut self.next, Next::Refused) {
            Next::Refused => Err(self.refuse("it was refused before")),
            Next::End => {
                self.next = Next::End;
                Ok(None)
            }
            Next::Root => self.node().map(Some),
            Next::Content { padding } => {
                if self.stream.end(0)? > 0 {
                    return Err(self.refuse(EARLY));
                }
                self.padding(padding)?;
                self.expect(b")", "`)` is expected at the end of a file")?;
                self.leave()?;
                self.entry()
            }
            Next::Entry => self.entry(),
        }
    }

    /// Bytes read so far; at the end, the size of the NAR.
    pub fn position(&self) -> u64 {
        self.stream.position()
    }

    /// The stream below.
    pub fn into_inner(self) -> R {
        self.stream.into_inner()
    }

    /// The next entry of a directory, or, past the ends of directories, of one above.
    fn entry(&mut self) -> Result<Option<Entry>, NarError> {
        loop {
            let Some(directory) = self.open.last() else {
                self.word_at = self.stream.position();
                if self.stream.fill(&mut [0])? > 0 {
                    return Err(self.refuse("it goes on behind its end"));
                }
                self.next = Next::End;
                return Ok(None);
            };
            self.path.truncate(directory.path);
            self.string(MAX_WORD, "`entry` or `)` is expected in a directory")?;
            match &self.word[..] {
                b"entry" => break,
                b")" => {
                    self.open.pop();
                    self.leave()?;
                }
                _ => return Err(self.refuse("`entry` or `)` is expected in a directory")),
            }
        }
        self.expect(b"(", "`(` is expected after `entry`")?;
        self.expect(b"name", "`name` is expected in an entry")?;
        self.string(MAX_NAME, "a name is longer than 255 bytes")?;
        self.name()?;
        self.expect(b"node", "`node` is expected behind a name")?;
        self.node().map(Some)
    }

    /// Takes the name that was read: the path becomes that of its node.
    fn name(&mut self) -> Result<(), NarError> {
        let name = &self.word[..];
        let reason = match name {
            b"" => Some("a name is empty"),
            b"." | b".." => Some("a name is `.` or `..`"),
            _ if name.contains(&b'/') => Some("a name holds a slash"),
            _ if name.contains(&0) => Some("a name holds a NUL byte"),
            _ => None,
        };
        if let Some(reason) = reason {
            return Err(self.refuse(reason));
        }
        let depth = self.open.len();
        let before = self.open.last_mut().filter(|directory| *directory.last < *self.word);
        let Some(Directory { last, .. }) = before else {
            return Err(self.refuse("the names in a directory do not increase"));
        };
        last.clone_from(&self.word);
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(&self.word);
        if depth > self.limits.depth {
            return Err(self.limit("levels of directories", self.limits.depth as u64));
        }
        Ok(())
    }

    /// A node up to where its content or its entries begin; of a link, all of it.
    fn node(&mut self) -> Result<Entry, NarError> {
        if self.entries == self.limits.entries {
            return Err(self.limit("entries", self.limits.entries));
        }
        self.entries += 1;
        self.room_for(0)?;
        let Ok(path) = ImagePath::new(&self.path) else {
            return Err(self.refuse("its path is longer than 4095 bytes"));
        };
        self.expect(b"(", "`(` is expected at the start of a node")?;
        self.expect(b"type", "`type` is expected in a node")?;
        self.string(MAX_WORD, "a node is of an unknown type")?;
        let kind = match &self.word[..] {
            b"directory" => {
                self.open.push(Directory { path: self.path.len(), last: Vec::new() });
                self.next = Next::Entry;
                EntryKind::Directory
            }
            b"regular" => self.file()?,
            b"symlink" => {
                self.expect(b"target", "`target` is expected in a link")?;
                self.string(MAX_TARGET, "the target of a link is longer than 4095 bytes")?;
                if let Some(reason) = target_refused(&self.word) {
                    return Err(self.refuse(reason));
                }
                let target = self.word[..].into();
                self.expect(b")", "`)` is expected at the end of a link")?;
                self.leave()?;
                self.next = Next::Entry;
                EntryKind::Symlink(target)
            }
            _ => return Err(self.refuse("a node is of an unknown type")),
        };
        Ok(Entry { path, kind })
    }

    /// A file up to its content.
    fn file(&mut self) -> Result<EntryKind, NarError> {
        const WANTED: &str = "`executable` or `contents` is expected in a file";
        self.string(MAX_WORD, WANTED)?;
        let permission = match &self.word[..] {
            b"contents" => Permission::Plain,
            b"executable" => {
                self.expect(b"", "`executable` has a value")?;
                self.expect(b"contents", "`contents` is expected in a file")?;
                Permission::Executable
            }
            _ => return Err(self.refuse(WANTED)),
        };
        let size = self.number()?;
        self.room_for(size)?;
        self.stream.begin(size);
        self.next = Next::Content { padding: padding(size) };
        Ok(EntryKind::File { permission, offset: self.stream.position(), size })
    }

    /// The node ends; so does the entry that it is, if it is not the root. What comes next is said by the caller, when nothing can fail any more.
    fn leave(&mut self) -> Result<(), NarError> {
        if !self.open.is_empty() {
            self.expect(b")", "`)` is expected at the end of an entry")?;
        }
        Ok(())
    }

    fn expect(&mut self, word: &[u8], otherwise: &'static str) -> Result<(), NarError> {
        self.string(MAX_WORD, otherwise)?;
        if self.word == word { Ok(()) } else { Err(self.refuse(otherwise)) }
    }

    /// Reads a string of `most` bytes at most; `longer` is said where it has more.
    fn string(&mut self, most: usize, longer: &'static str) -> Result<(), NarError> {
        let length = self.number()?;
        match usize::try_from(length) {
            Ok(length) if length <= most => self.word.resize(length, 0),
            _ => return Err(self.refuse(longer)),
        }
        if self.stream.fill(&mut self.word)? < self.word.len() {
            return Err(self.refuse(EARLY));
        }
        self.padding(padding(length))
    }

    /// The length that a string begins with.
    fn number(&mut self) -> Result<u64, NarError> {
        self.word_at = self.stream.position();
        let mut bytes = [0; UNIT];
        if self.stream.fill(&mut bytes)? < UNIT {
            return Err(self.refuse(EARLY));
        }
        Ok(u64::from_le_bytes(bytes))
    }

    fn padding(&mut self, length: usize) -> Result<(), NarError> {
        let mut bytes = [0; UNIT];
        if self.stream.fill(&mut bytes[..length])? < length {
            return Err(self.refuse(EARLY));
        }
        if bytes != [0; UNIT] {
            return Err(self.refuse("padding is not zero"));
        }
        Ok(())
    }

    /// Whether a content of this many bytes is within the limit of the whole.
    fn room_for(&self, size: u64) -> Result<(), NarError> {
        match self.stream.position().checked_add(size) {
            Some(end) if end <= self.limits.total => Ok(()),
            _ => Err(self.limit("bytes", self.limits.total)),
        }
    }

    fn refuse(&self, reason: &'static str) -> NarError {
        NarError::Format { path: self.shown(), offset: self.word_at, reason }
    }

    fn limit(&self, what: &'static str, limit: u64) -> NarError {
        NarError::Limit { path: self.shown(), what, limit }
    }

    fn shown(&self) -> Shown {
        Shown::bytes(&[b"/", &self.path[..]].concat())
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl<R: BufRead> BufRead for Reader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stream.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.stream.consume(n);
    }
}
