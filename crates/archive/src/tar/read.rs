//! The strict streaming reader: one pass over an `impl Read`, nothing buffered but names and PAX records.
//!
//! Reads ustar, PAX (`x` and `g`), GNU long names (`L`, `K`), base-256 numbers and the headers of Unix V7.
//!
//! **Guarantees**: what comes out has one meaning. Every reader that follows POSIX sees the same entries.
//! **Refuses**: wrong checksums, a stream that ends early or goes on after its end, names with `..`, negative and huge
//! numbers, content where none belongs, sparse files, unknown types, PAX and GNU headers that are mixed, repeated or not
//! followed by an entry, a PAX size for anything but a file. What [`Strictness`] says besides.

use std::collections::BTreeMap;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::sync::Arc;

use pinfold_base::ImagePath;

use super::BLOCK;
use super::TarError;
use super::header;
use super::pax;
use crate::Metadata;
use crate::part::Parts;

/// How much a caller takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most entries (headers of any type).
    pub entries: u64,
    /// Most bytes in a name or link target.
    pub name: usize,
    /// Most bytes of PAX records before one entry.
    pub pax: usize,
    /// Most bytes of the whole stream.
    pub total: u64,
}

impl Default for Limits {
    /// 400,000 entries, names as long as Linux allows, 1 MiB of PAX records, 8 GiB.
    fn default() -> Self {
        Self { entries: 400_000, name: pinfold_base::image_path::MAX_PATH + 1, pax: 1 << 20, total: 8 << 30 }
    }
}

/// Whose tar it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// A package that becomes part of an image: absolute names and devices are errors.
    Package,
    /// A layer that somebody else made: names count from the root of the image, devices are reported as
    /// [`EntryKind::Special`] for the caller to judge.
    Layer,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file; its content can be read from the [`Reader`] until the next entry is asked for.
    File,
    /// A symbolic link; the target as it was written.
    Symlink(Box<[u8]>),
    /// Another name of a file.
    Hardlink(ImagePath),
    /// A character device (`b'3'`), block device (`b'4'`) or FIFO (`b'6'`).
    Special(u8),
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, normalised.
    pub path: ImagePath,
    /// Its name as the tar has it.
    pub raw_name: Box<[u8]>,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of content; 0 for anything but a file.
    pub size: u64,
    /// Where its content starts in the tar stream.
    pub offset: u64,
    /// Mode, owner, time, attributes.
    pub meta: Metadata,
    /// Name of the owner; often empty.
    pub uname: Arc<[u8]>,
    /// Name of the group; often empty.
    pub gname: Arc<[u8]>,
}

/// Reads a tar from a stream. Reading the `Reader` itself gives the content of the current entry.
#[derive(Debug)]
pub struct Reader<R> {
    stream: Parts<BufReader<R>>,
    limits: Limits,
    strictness: Strictness,
    /// Bytes behind the current content up to the next block.
    padding: u64,
    headers: u64,
    global: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The last two names of users met: an archive rarely has more, so they are shared.
    names: [Arc<[u8]>; 2],
    ended: bool,
}

/// What headers before an entry said about it.
#[derive(Debug, Default)]
struct Pending {
    pax: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.name.is_none() && self.link.is_none()
    }
}

impl<R: Read> Reader<R> {
    /// Starts at the beginning of a tar stream (already decompressed).
    pub fn new(inner: R, strictness: Strictness, limits: Limits) -> Self {
        Self {
            stream: Parts::new(BufReader::with_capacity(128 << 10, inner), "the tar ends inside a file"),
            limits,
            strictness,
            padding: 0,
            headers: 0,
            global: BTreeMap::new(),
            names: [Arc::default(), Arc::default()],
            ended: false,
        }
    }

    /// Bytes of the tar stream read so far; after the last entry, its length.
    pub fn position(&self) -> u64 {
        self.stream.position()
    }

    /// The next entry, skipping what was not read of the one before. `None` after the last; the stream has then been read
    /// to its end.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended {
            return Ok(None);
        }
        self.skip()?;
        let mut pending = Pending::default();
        loop {
            let offset = self.position();
            let refuse = |reason| TarError::Entry { offset, reason };
            let block = self.block()?;
            if block == [0; BLOCK] {
                if !pending.is_empty() {
                    return Err(refuse("the archive ends after a header that describes the next entry"));
                }
                if self.block()? != [0; BLOCK] {
                    return Err(refuse("a single block of zeros is no end of an archive"));
                }
                self.rest_is_zero()?;
                self.ended = true;
                return Ok(None);
            }
            self.headers += 1;
            if self.headers > self.limits.entries {
                return Err(TarError::Limit { what: "entries", limit: self.limits.entries });
            }
            let field = |at: usize, width: usize| &block[at..at + width];
            let sum = header::number(field(148, 8)).map_err(refuse)?;
            if sum != u64::from(header::checksum(&block)) {
                return Err(refuse("its checksum is wrong"));
            }
            let size = header::number(field(124, 12)).map_err(refuse)?;
            match block[156] {
                b'x' | b'g' if !pending.is_empty() => {
                    return Err(refuse("a PAX header follows another header for the same entry"));
                }
                b'x' => pending.pax = Some(self.body(size, self.limits.pax, "bytes of PAX records")?),
                b'g' => {
                    let body = self.body(size, self.limits.pax, "bytes of PAX records")?;
                    self.set_global(&body).map_err(refuse)?;
                }
                kind @ (b'L' | b'K') => {
                    if pending.pax.is_some() {
                        return Err(refuse("a GNU header follows a PAX header"));
                    }
                    let body = self.body(size, self.limits.name + 1, "bytes in a name")?;
                    let name = header::text(&body).to_vec();
                    if body[name.len()..].iter().any(|&byte| byte != 0) || name.is_empty() {
                        return Err(refuse("a GNU long name is empty or holds a NUL byte"));
                    }
                    let slot = if kind == b'L' { &mut pending.name } else { &mut pending.link };
                    if slot.replace(name).is_some() {
                        return Err(refuse("a GNU long name is given twice"));
                    }
                }
                _ => return self.entry(offset, &block, size, &pending).map(Some),
            }
        }
    }

    /// Adds the records of a `g` header. Those that name one file make no sense for all of them.
    fn set_global(&mut self, body: &[u8]) -> Result<(), &'static str> {
        for (key, value) in pax::parse(body)? {
            if matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(pax::XATTR) {
                return Err("a global PAX header gives something that belongs to one entry");
            }
            if value.is_empty() {
                self.global.remove(key);
            } else {
                self.global.insert(key.into(), value.into());
            }
        }
        if self.global.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > self.limits.pax {
            return Err("global PAX headers give more than is allowed");
        }
        Ok(())
    }

    fn entry(
        &mut self,
        offset: u64,
        block: &[u8; BLOCK],
        size: u64,
        pending: &Pending,
    ) -> Result<Entry, TarError> {
        let refuse = |reason| TarError::Entry { offset, reason };
        let field = |at: usize, width: usize| &block[at..at + width];
        let number = |at, width| header::number(field(at, width)).map_err(refuse);
        let id = |value: u64| u32::try_from(value).map_err(|_| refuse("an owner does not fit in 32 bits"));

        let mut name = header::text(field(0, 100)).to_vec();
        match field(257, 8) {
            b"ustar\x0000" => {
                let prefix = header::text(field(345, 155));
                if !prefix.is_empty() {
                    name = [prefix, b"/", &name].concat();
                }
            }
            b"ustar  \0" | b"\0\0\0\0\0\0\0\0" => {}
            _ => return Err(refuse("it is neither a ustar, a GNU nor a V7 header")),
        }
        let mut link = header::text(field(157, 100)).to_vec();
        let mut size = size;
        let mut meta = Metadata {
            mode: (number(100, 8)? & 0o7777) as u32,
            // Times before the epoch exist in the wild and carry no meaning here.
            mtime: if block[136] == 0xff { 0 } else { number(136, 12)? },
            ..Metadata::default()
        };
        let (mut uid, mut gid) = (number(108, 8)?, number(116, 8)?);
        let mut uname = header::text(field(265, 32));
        let mut gname = header::text(field(297, 32));
        let mut pax_size = false;

        let local = pending.pax.as_deref().map_or_else(|| Ok(BTreeMap::new()), pax::parse).map_err(refuse)?;
        let global = std::mem::take(&mut self.global);
        let records = global
            .iter()
            .map(|(key, value)| (&key[..], &value[..]))
            .filter(|(key, _)| !local.contains_key(key))
            .chain(local.iter().map(|(&key, &value)| (key, value)));
        for (key, value) in records {
            let digits = || pax::decimal(value).ok_or(refuse("a PAX number is malformed"));
            match key {
                b"path" | b"linkpath" | b"size" if value.is_empty() => {
                    return Err(refuse("a PAX record that names or measures an entry is empty"));
                }
                b"path" => name = value.into(),
                b"linkpath" => link = value.into(),
                b"size" => (size, pax_size) = (digits()?, true),
                b"uid" if !value.is_empty() => uid = digits()?,
                b"gid" if !value.is_empty() => gid = digits()?,
                b"mtime" if !value.is_empty() => {
                    meta.mtime = pax::seconds(value).ok_or(refuse("a PAX time is malformed"))?;
                }
                b"uname" if !value.is_empty() => uname = value,
                b"gname" if !value.is_empty() => gname = value,
                b"hdrcharset" if !matches!(value, b"" | b"BINARY" | b"ISO-IR 10646 2000 UTF-8") => {
                    return Err(refuse("its PAX records are in an unknown character set"));
                }
                b"SCHILY.realsize" | b"SCHILY.filetype" => {
                    return Err(refuse("sparse files are not supported"));
                }
                _ if key.starts_with(b"GNU.sparse.") => return Err(refuse("sparse files are not supported")),
                _ => {
                    if let Some(xattr) = key.strip_prefix(pax::XATTR) {
                        meta.xattrs.insert(xattr.into(), value.into());
                    }
                }
            }
        }
        if let Some(long) = &pending.name {
            name.clone_from(long);
        }
        if let Some(long) = &pending.link {
            link.clone_from(long);
        }
        (meta.uid, meta.gid) = (id(uid)?, id(gid)?);
        let uname = share(&mut self.names[0], uname);
        let gname = share(&mut self.names[1], gname);
        self.global = global;

        let path = self.path(offset, &name)?;
        let mut kind = match block[156] {
            // Before ustar a trailing slash was the only sign of a directory, and readers still honour it.
            0 | b'0' if name.ends_with(b"/") => EntryKind::Directory,
            0 | b'0' | b'7' => EntryKind::File,
            b'1' => EntryKind::Hardlink(self.path(offset, &link)?),
            b'2' if link.is_empty() || link.contains(&0) => {
                return Err(refuse("the target of a symbolic link is empty or holds a NUL byte"));
            }
            b'2' if link.len() > self.limits.name => {
                return Err(TarError::Limit { what: "bytes in a name", limit: self.limits.name as u64 });
            }
            b'2' => EntryKind::Symlink(Box::default()),
            b'5' => EntryKind::Directory,
            kind @ (b'3' | b'4' | b'6') => match self.strictness {
                Strictness::Layer => EntryKind::Special(kind),
                Strictness::Package => {
                    let kind = match kind {
                        b'3' => "character device",
                        b'4' => "block device",
                        _ => "FIFO",
                    };
                    return Err(TarError::Special { path, kind });
                }
            },
            b'S' => return Err(refuse("sparse files are not supported")),
            _ => return Err(refuse("its type is unknown")),
        };
        if kind != EntryKind::File && (size != 0 || pax_size) {
            return Err(refuse("something that is no file has content"));
        }
        if let EntryKind::Symlink(target) = &mut kind {
            *target = link.into();
        }
        if path.is_root() && kind != EntryKind::Directory {
            return Err(refuse("its name is empty"));
        }
        self.expect(size)?;
        self.stream.begin(size);
        self.padding = size.wrapping_neg() % BLOCK as u64;
        Ok(Entry { path, raw_name: name.into(), kind, size, offset: self.position(), meta, uname, gname })
    }

    fn path(&self, offset: u64, name: &[u8]) -> Result<ImagePath, TarError> {
        if name.len() > self.limits.name {
            return Err(TarError::Limit { what: "bytes in a name", limit: self.limits.name as u64 });
        }
        if self.strictness == Strictness::Package && name.starts_with(b"/") {
            return Err(TarError::Entry { offset, reason: "its name or the name it links to is absolute" });
        }
        if name.is_empty() {
            return Err(TarError::Entry { offset, reason: "its name or the name it links to is empty" });
        }
        ImagePath::new(name).map_err(|source| TarError::Name { offset, source })
    }

    /// Checks that `size` more bytes are within the limit, before anything is read or reserved for them.
    fn expect(&self, size: u64) -> Result<(), TarError> {
        let limit = self.limits.total;
        match self.position().checked_add(size) {
            Some(end) if end <= limit => Ok(()),
            _ => Err(TarError::Limit { what: "bytes", limit }),
        }
    }

    fn block(&mut self) -> Result<[u8; BLOCK], TarError> {
        self.expect(BLOCK as u64)?;
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        Ok(block)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        if self.stream.fill(buffer)? < buffer.len() {
            return Err(TarError::Truncated { offset: self.position() });
        }
        Ok(())
    }

    /// The content of a header that describes another entry, its padding skipped.
    fn body(&mut self, size: u64, limit: usize, what: &'static str) -> Result<Vec<u8>, TarError> {
        let Some(size) = usize::try_from(size).ok().filter(|&size| size <= limit) else {
            return Err(TarError::Limit { what, limit: limit as u64 });
        };
        self.expect(size.next_multiple_of(BLOCK) as u64)?;
        let mut body = vec![0; size.next_multiple_of(BLOCK)];
        self.fill(&mut body)?;
        body.truncate(size);
        Ok(body)
    }

    fn skip(&mut self) -> Result<(), TarError> {
        self.expect(self.stream.left() + self.padding)?;
        if self.stream.end(std::mem::take(&mut self.padding))? > 0 {
            return Err(TarError::Truncated { offset: self.position() });
        }
        Ok(())
    }

    /// Reads to the end of the stream, so that decoders check what they check at the end, and nothing hides there.
    fn rest_is_zero(&mut self) -> Result<(), TarError> {
        let mut buffer = [0; 8 << 10];
        loop {
            let offset = self.position();
            let n = self.stream.fill(&mut buffer)?;
            if buffer[..n].iter().any(|&byte| byte != 0) {
                return Err(TarError::Entry { offset, reason: "something follows the end of the archive" });
            }
            self.expect(0)?;
            if n < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// `name` as a shared value, the one used last where it is the same.
fn share(last: &mut Arc<[u8]>, name: &[u8]) -> Arc<[u8]> {
    if **last != *name {
        *last = name.into();
    }
    Arc::clone(last)
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}
