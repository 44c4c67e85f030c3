//! The streaming reader: one pass over an `impl BufRead`, nothing kept but names and PAX records.
//!
//! Reads ustar, PAX (`x` and `g`), GNU long names (`L`, `K`), base-256 numbers and the headers of Unix V7. Names come out as they
//! were written, [`Entry::path`] judges them. Content is read out of the stream's own buffer ([`BufRead`]), or passed over by
//! seeking where the stream can.
//!
//! **Guarantees**: what comes out has one meaning: every reader that follows POSIX sees the same entries. Memory is bounded by
//! [`Limits`] whatever the input says. After the last entry the stream has been read to its end, so that decoders and digests
//! below saw all of it.
//! **Refuses**, whoever asks: wrong checksums; a stream that ends early (padding included, which Go forgives) or goes on after its
//! end; sparse files; unknown types and magics; content where none belongs; numbers that are negative, malformed or beyond what
//! they count (a time before the epoch is the epoch); PAX and GNU headers that are mixed, repeated or not followed by an entry;
//! a PAX key given twice; a PAX size for anything but a file, or one that contradicts a header whose field could hold it; empty
//! names and targets, and ones with NUL; attributes that Linux could not hold; `g` headers that name or measure all later entries.
//! What [`Strictness`] says besides.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Seek;
use std::sync::Arc;

use pinfold_base::ImagePath;

use super::BLOCK;
use super::End;
use super::GlobalRecords;
use super::Limits;
use super::NameError;
use super::Strictness;
use super::TarError;
use super::TrailingSlash;
use super::header;
use super::header::Fields;
use super::pax;
use crate::Metadata;
use crate::part::Parts;

/// Sizes from here on do not fit the octal field, so a PAX record has to give them.
const OCTAL_LIMIT: u64 = 1 << 33;
/// Longest name of an extended attribute, in bytes (`XATTR_NAME_MAX`).
const MAX_XATTR_NAME: usize = 255;
/// Largest sum of extended attributes of one entry, in bytes. (Linux allows 64 KiB for one.)
const MAX_XATTRS: usize = 256 << 10;

const ZEROS: [u8; BLOCK] = [0; BLOCK];
const SPARSE: &str = "sparse files are not supported";

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file; its content can be read from the [`Reader`] until the next entry is asked for.
    File,
    /// A symbolic link; the target as it was written.
    Symlink(Box<[u8]>),
    /// Another name of a file; that file's name as it was written.
    Hardlink(Box<[u8]>),
    /// Something that neither packages nor layers may carry; whoever reads them says so.
    Special(SpecialKind),
}

/// A device or FIFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialKind {
    /// Type `3`.
    CharacterDevice,
    /// Type `4`.
    BlockDevice,
    /// Type `6`.
    Fifo,
}

impl SpecialKind {
    /// Its name for messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::CharacterDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "FIFO",
        }
    }
}

/// One entry, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name as the tar has it.
    pub name: Box<[u8]>,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of content; 0 for anything but a file.
    pub size: u64,
    /// Where its content starts in the tar stream.
    pub offset: u64,
    /// Mode, owner, time, attributes.
    pub meta: Metadata,
    /// Nanoseconds on top of the time.
    pub nanoseconds: u32,
    /// Name of the owner; often empty.
    pub uname: Arc<[u8]>,
    /// Name of the group; often empty.
    pub gname: Arc<[u8]>,
}

impl Entry {
    /// Where it belongs, see [`path_of`].
    pub fn path(&self) -> Result<ImagePath, NameError> {
        path_of(&self.name)
    }
}

/// A name of a tar as a path inside of what is unpacked. Absolute names are refused, not repaired; slashes alone are the root
/// (kaniko writes them). So are names with `..` and names that are too long.
pub fn path_of(name: &[u8]) -> Result<ImagePath, NameError> {
    if name.starts_with(b"/") && name.iter().any(|&byte| byte != b'/') {
        return Err(NameError::Absolute(name.iter().copied().take(256).collect()));
    }
    Ok(ImagePath::new(name)?)
}

/// Reads a tar from a stream. Reading the `Reader` itself gives the content of the current entry.
#[derive(Debug)]
pub struct Reader<R> {
    stream: Parts<R>,
    strictness: Strictness,
    limits: Limits,
    /// Bytes behind the current content up to the next block.
    padding: u64,
    entries: u64,
    global: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The last two names of users met: an archive rarely has more, so they are shared.
    names: [Arc<[u8]>; 2],
    ended: bool,
    failed: bool,
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

impl<R: BufRead + Seek> Reader<R> {
    /// Passes over what was not read of the current entry's content, without reading it.
    pub fn seek_content(&mut self) -> Result<(), TarError> {
        let left = self.stream.left() + self.padding;
        self.expect(left)?;
        // The last byte is read later, so that a file that was cut short is noticed.
        if left > 1 {
            self.stream.seek(left - 1)?;
            self.padding = 1;
        }
        Ok(())
    }
}

impl<R: BufRead> Reader<R> {
    /// Starts at the beginning of a tar stream (already decompressed).
    pub fn new(inner: R, strictness: Strictness, limits: Limits) -> Self {
        Self {
            stream: Parts::new(inner, "the tar ends inside a file"),
            strictness,
            limits,
            padding: 0,
            entries: 0,
            global: BTreeMap::new(),
            names: [Arc::default(), Arc::default()],
            ended: false,
            failed: false,
        }
    }

    /// The stream below.
    pub fn into_inner(self) -> R {
        self.stream.into_inner()
    }

    /// Bytes of the tar stream read so far; after the last entry, its length.
    pub fn position(&self) -> u64 {
        self.stream.position()
    }

    /// The next entry, skipping what was not read of the one before. `None` after the last; the stream has then been read
    /// to its end. After an error there are only errors: what follows may be content that looks like an entry.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        if self.failed {
            let reason = "what follows an error is not read";
            return Err(TarError::Entry { offset: self.position(), reason });
        }
        let next = self.next();
        self.failed = next.is_err();
        next
    }

    fn next(&mut self) -> Result<Option<Entry>, TarError> {
        if self.ended {
            return Ok(None);
        }
        self.skip()?;
        let mut pending = Pending::default();
        loop {
            let offset = self.position();
            let refuse = |reason| TarError::Entry { offset, reason };
            let Some(block) = self.header()? else {
                if !pending.is_empty() {
                    return Err(refuse("the archive ends after a header that describes the next entry"));
                }
                self.ended = true;
                return Ok(None);
            };
            let (kind, size) = header::kind_and_size(&block).map_err(refuse)?;
            match kind {
                b'x' | b'g' if !pending.is_empty() => {
                    return Err(refuse("a PAX header follows another header for the same entry"));
                }
                b'x' => pending.pax = Some(self.body(size, self.limits.pax, "bytes of PAX records")?),
                b'g' => {
                    self.count()?;
                    let body = self.body(size, self.limits.pax, "bytes of PAX records")?;
                    self.set_global(&body).map_err(refuse)?;
                }
                b'L' | b'K' => {
                    if pending.pax.is_some() {
                        return Err(refuse("a GNU header follows a PAX header"));
                    }
                    let name = self.long_name(size)?.map_err(refuse)?;
                    let slot = if kind == b'L' { &mut pending.name } else { &mut pending.link };
                    if slot.replace(name).is_some() {
                        return Err(refuse("a GNU long name is given twice"));
                    }
                }
                _ => {
                    self.count()?;
                    let mut entry = self.entry(&block, size, &pending).map_err(refuse)?;
                    let names = [&entry.name[..], entry.kind.target()];
                    if names.into_iter().any(|name| name.len() > self.limits.name) {
                        let limit = self.limits.name as u64;
                        return Err(TarError::Limit { what: "bytes in a name", limit });
                    }
                    self.expect(entry.size)?;
                    self.stream.begin(entry.size);
                    self.padding = entry.size.wrapping_neg() % BLOCK as u64;
                    entry.offset = self.position();
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// The next header; `None` at the end of the archive, when the stream has been read to its end.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let marked = self.strictness.end == End::Marked;
        let offset = self.position();
        match self.block()? {
            Some(block) if block != ZEROS => return Ok(Some(block)),
            Some(_) => {}
            None if marked => return Err(TarError::Truncated { offset }),
            None => return Ok(None),
        }
        if marked {
            match self.block()? {
                Some(ZEROS) => {}
                Some(_) => {
                    let reason = "a single block of zeros is no end of an archive";
                    return Err(TarError::Entry { offset, reason });
                }
                None => return Err(TarError::Truncated { offset: self.position() }),
            }
        }
        self.rest_is_zero()?;
        Ok(None)
    }

    /// Adds the records of a `g` header. Those that name one file make no sense for all of them.
    fn set_global(&mut self, body: &[u8]) -> Result<(), &'static str> {
        for (key, value) in pax::parse(body)? {
            let refused = match key {
                b"path" | b"linkpath" | b"size" => true,
                b"uid" | b"gid" | b"mtime" | b"hdrcharset" => self.strictness.global == GlobalRecords::Inert,
                _ => key.starts_with(pax::XATTR) || is_sparse(key),
            };
            if refused {
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

    /// The entry that a header and what came before it describe together.
    fn entry(&mut self, block: &[u8; BLOCK], size: u64, pending: &Pending) -> Result<Entry, &'static str> {
        let local = pending.pax.as_deref().map_or_else(|| Ok(BTreeMap::new()), pax::parse)?;
        let mut draft = Draft::new(Fields::parse(block)?, size);
        for (key, value) in &self.global {
            if !local.contains_key(&key[..]) {
                draft.record(key, value)?;
            }
        }
        for (key, value) in local {
            draft.record(key, value)?;
        }
        if let Some(long) = &pending.name {
            draft.fields.name = Cow::Borrowed(long);
        }
        if let Some(long) = &pending.link {
            draft.fields.link = long;
        }
        let (uname, gname) =
            (share(&mut self.names[0], draft.fields.uname), share(&mut self.names[1], draft.fields.gname));
        draft.finish(block[156], self.strictness.trailing_slash, uname, gname)
    }

    /// Counts an entry.
    fn count(&mut self) -> Result<(), TarError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(TarError::Limit { what: "entries", limit: self.limits.entries });
        }
        Ok(())
    }

    /// Checks that `size` more bytes are within the limit, before anything is read or reserved for them.
    fn expect(&self, size: u64) -> Result<(), TarError> {
        let limit = self.limits.total;
        match self.position().checked_add(size) {
            Some(end) if end <= limit => Ok(()),
            _ => Err(TarError::Limit { what: "bytes", limit }),
        }
    }

    /// The next block; `None` when the stream ends before it.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        match self.stream.fill(&mut block)? {
            BLOCK => self.expect(0).map(|()| Some(block)),
            0 => Ok(None),
            _ => Err(TarError::Truncated { offset: self.position() }),
        }
    }

    /// The content of a header that describes another entry, its padding skipped.
    fn body(&mut self, size: u64, limit: usize, what: &'static str) -> Result<Vec<u8>, TarError> {
        let Some(size) = usize::try_from(size).ok().filter(|&size| size <= limit) else {
            return Err(TarError::Limit { what, limit: limit as u64 });
        };
        self.expect(size.next_multiple_of(BLOCK) as u64)?;
        let mut body = vec![0; size.next_multiple_of(BLOCK)];
        if self.stream.fill(&mut body)? < body.len() {
            return Err(TarError::Truncated { offset: self.position() });
        }
        body.truncate(size);
        Ok(body)
    }

    /// The body of a GNU `L` or `K` header: a name and NULs.
    fn long_name(&mut self, size: u64) -> Result<Result<Vec<u8>, &'static str>, TarError> {
        let mut body = self.body(size, self.limits.name + 1, "bytes in a name")?;
        let name = header::text(&body).len();
        if name == 0 || body[name..].iter().any(|&byte| byte != 0) {
            return Ok(Err("a GNU long name is empty or holds a NUL byte"));
        }
        body.truncate(name);
        Ok(Ok(body))
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

impl EntryKind {
    /// The target of a link; empty for anything else.
    fn target(&self) -> &[u8] {
        match self {
            Self::Symlink(target) | Self::Hardlink(target) => target,
            _ => b"",
        }
    }
}

/// An entry that is being put together from its headers.
#[derive(Debug)]
struct Draft<'a> {
    fields: Fields<'a>,
    size: u64,
    pax_size: Option<u64>,
    nanoseconds: u32,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    xattr_bytes: usize,
}

impl<'a> Draft<'a> {
    fn new(fields: Fields<'a>, size: u64) -> Self {
        Self { fields, size, pax_size: None, nanoseconds: 0, xattrs: BTreeMap::new(), xattr_bytes: 0 }
    }

    /// Takes one PAX record over.
    fn record(&mut self, key: &[u8], value: &'a [u8]) -> Result<(), &'static str> {
        let number = || pax::decimal(value).ok_or("a PAX number is malformed");
        match key {
            b"path" | b"linkpath" if value.is_empty() || value.contains(&0) => {
                return Err("a PAX name is empty or holds a NUL byte");
            }
            b"path" => self.fields.name = Cow::Borrowed(value),
            b"linkpath" => self.fields.link = value,
            b"size" => self.pax_size = Some(number()?),
            b"uid" => self.fields.uid = number()?,
            b"gid" => self.fields.gid = number()?,
            b"mtime" => {
                (self.fields.mtime, self.nanoseconds) = pax::time(value).ok_or("a PAX time is malformed")?;
            }
            b"uname" if !value.is_empty() => self.fields.uname = value,
            b"gname" if !value.is_empty() => self.fields.gname = value,
            b"hdrcharset" if !matches!(value, b"" | b"BINARY" | b"ISO-IR 10646 2000 UTF-8") => {
                return Err("its PAX records are in an unknown character set");
            }
            _ if is_sparse(key) => return Err(SPARSE),
            _ => {
                if let Some(name) = key.strip_prefix(pax::XATTR) {
                    self.xattr_bytes += name.len() + value.len();
                    if name.is_empty() || name.len() > MAX_XATTR_NAME || self.xattr_bytes > MAX_XATTRS {
                        return Err("an extended attribute has no name or is too large");
                    }
                    self.xattrs.insert(name.into(), value.into());
                }
            }
        }
        Ok(())
    }

    fn finish(
        self,
        kind: u8,
        trailing_slash: TrailingSlash,
        uname: Arc<[u8]>,
        gname: Arc<[u8]>,
    ) -> Result<Entry, &'static str> {
        let (name, link) = (self.fields.name, self.fields.link);
        if name.is_empty() {
            return Err("its name is empty");
        }
        let target = || match link {
            b"" => Err("the target of a link is empty"),
            _ if link.contains(&0) => Err("the target of a link holds a NUL byte"),
            _ => Ok(link.into()),
        };
        let kind = match kind {
            0 if name.ends_with(b"/") => EntryKind::Directory,
            b'0' if name.ends_with(b"/") && trailing_slash == TrailingSlash::Directory => {
                EntryKind::Directory
            }
            b'0' | b'7' if name.ends_with(b"/") => {
                return Err("the name of a regular file ends with a slash");
            }
            0 | b'0' | b'7' => EntryKind::File,
            b'1' => EntryKind::Hardlink(target()?),
            b'2' => EntryKind::Symlink(target()?),
            b'3' => EntryKind::Special(SpecialKind::CharacterDevice),
            b'4' => EntryKind::Special(SpecialKind::BlockDevice),
            b'5' => EntryKind::Directory,
            b'6' => EntryKind::Special(SpecialKind::Fifo),
            b'S' => return Err(SPARSE),
            _ => return Err("its type is unknown"),
        };
        if kind != EntryKind::Directory
            && name.split(|&byte| byte == b'/').all(|part| matches!(part, b"" | b"."))
        {
            return Err("the root is a directory");
        }
        let size = match self.pax_size {
            Some(size) if size != self.size && (size < OCTAL_LIMIT || self.size != 0) => {
                return Err("PAX and header give different sizes");
            }
            Some(size) => size,
            None => self.size,
        };
        if kind != EntryKind::File && (size != 0 || self.pax_size.is_some()) {
            return Err("something that is no file has content");
        }
        let id = |value: u64| u32::try_from(value).map_err(|_| "an owner does not fit in 32 bits");
        let meta = Metadata {
            mode: self.fields.mode,
            uid: id(self.fields.uid)?,
            gid: id(self.fields.gid)?,
            mtime: self.fields.mtime,
            xattrs: self.xattrs,
        };
        let name = name.into_owned().into();
        Ok(Entry { name, kind, size, offset: 0, meta, nanoseconds: self.nanoseconds, uname, gname })
    }
}

/// Whether a PAX key belongs to a sparse file, of GNU tar or of star.
fn is_sparse(key: &[u8]) -> bool {
    key.starts_with(b"GNU.sparse.") || matches!(key, b"SCHILY.realsize" | b"SCHILY.filetype")
}

/// `name` as a shared value, the one used last where it is the same.
fn share(last: &mut Arc<[u8]>, name: &[u8]) -> Arc<[u8]> {
    if **last != *name {
        *last = name.into();
    }
    Arc::clone(last)
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

#[cfg(test)]
mod tests;
