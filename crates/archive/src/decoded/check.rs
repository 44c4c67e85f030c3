//! Checking what is read back from the cache.
//!
//! A decoded file is believed because its bytes have the CRC-32 that they had when they were decoded, a raw download because they
//! have the digest that is its name, compressed bytes because their pieces have the sums of the index. Only what is read is
//! checked, so an unchanged build checks nothing. A CRC-32 finds what disks and memory do; the cache is the user's own, so nobody has
//! to be kept from forging one.
//!
//! **Guarantees**: the last byte of a range is only given when all its bytes are right. What is damaged is removed (a download set
//! aside) and reported to the store; the error is a [`Damaged`], after which trying again makes it anew.

use std::fmt;
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use fs_err as fs;
use fs_err::File;
use pinfold_base::Digest;
use pinfold_base::Hasher;

use super::DecodedStore;
use super::Format;
use super::MemberKind;
use super::index::Index;
use super::index::PIECE;
use crate::Content;

/// A file of the cache that has changed since it was written. It is out of the way already.
#[derive(Debug)]
pub struct Damaged {
    /// The archive it belongs to.
    pub archive: Digest,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cached files of archive {} have changed on the disk", self.archive)
    }
}

impl std::error::Error for Damaged {}

/// What is known of an archive without reading it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) format: Format,
    /// Bytes of the decoded form.
    pub(super) size: u64,
    /// Its files that have any bytes, by offset.
    files: Arc<[Sum]>,
    /// Sums of the download.
    pieces: Arc<[u32]>,
}

/// A file and its CRC-32.
#[derive(Clone, Copy, Debug)]
struct Sum {
    offset: u64,
    size: u64,
    crc: u32,
}

impl Known {
    pub(super) fn raw(size: u64) -> Self {
        Self { format: Format::Raw, size, files: Arc::default(), pieces: Arc::default() }
    }

    pub(super) fn of(index: &Index) -> Self {
        let members = index.listing.control.iter().chain(&index.listing.data);
        let contents = members.filter_map(|member| match &member.kind {
            MemberKind::File { content } => Some(content),
            _ => None,
        });
        let mut files: Vec<Sum> = contents
            .zip(&index.files)
            .filter_map(|(content, &crc)| match content {
                Content::Range { offset, size: size @ 1.., .. } => {
                    Some(Sum { offset: *offset, size: *size, crc })
                }
                _ => None,
            })
            .collect();
        files.sort_unstable_by_key(|file| file.offset);
        let pieces = index.pieces.as_slice().into();
        Self { format: index.format, size: index.size, files: files.into(), pieces }
    }

    /// The file that a range is of, or is all of.
    fn file(&self, offset: u64, size: u64) -> Option<Sum> {
        let end = offset.checked_add(size)?;
        let behind = self.files.partition_point(|file| file.offset <= offset);
        let file = self.files.get(behind.checked_sub(1)?)?;
        (end <= file.offset + file.size).then_some(*file)
    }
}

/// How the bytes of a range are judged at its end.
enum Judge {
    /// They need not be: there are none, or they are part of a file that was looked at whole.
    Nothing,
    Crc(crc32fast::Hasher, u32),
    Name(Box<Hasher>),
}

impl Judge {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Nothing => {}
            Self::Crc(crc, _) => crc.update(bytes),
            Self::Name(hasher) => hasher.update(bytes),
        }
    }

    fn agrees(self, archive: &Digest) -> bool {
        match self {
            Self::Nothing => true,
            Self::Crc(crc, expected) => crc.finalize() == expected,
            Self::Name(hasher) => hasher.finish() == *archive,
        }
    }
}

/// Reads a range of a file that others read too, and judges it at its end.
pub(super) struct Range<'a> {
    store: &'a DecodedStore,
    archive: &'a Digest,
    file: Arc<File>,
    offset: u64,
    left: u64,
    judge: Judge,
}

impl Read for Range<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let n = self.file.file().read_at(&mut buffer[..most], self.offset)?;
        if n == 0 {
            return Err(self.store.damaged(self.archive));
        }
        self.judge.update(&buffer[..n]);
        self.offset += n as u64;
        self.left -= n as u64;
        if self.left == 0 && !std::mem::replace(&mut self.judge, Judge::Nothing).agrees(self.archive) {
            return Err(self.store.damaged(self.archive));
        }
        Ok(n)
    }
}

impl DecodedStore {
    /// A range of the decoded bytes of `archive`.
    pub(super) fn range<'a>(&'a self, archive: &'a Digest, offset: u64, size: u64) -> io::Result<Range<'a>> {
        let file = self.file(archive)?;
        let known = self.known(archive)?;
        let whole =
            |archive, file, offset, left, judge| Range { store: self, archive, file, offset, left, judge };
        if size == 0 {
            return Ok(whole(archive, file, offset, 0, Judge::Nothing));
        }
        let (begin, all, judge) = if known.format == Format::Raw {
            if self.store.is_checked(archive) {
                return Ok(whole(archive, file, offset, size, Judge::Nothing));
            }
            (0, known.size, Judge::Name(Box::new(Hasher::new(archive.algorithm()))))
        } else {
            let file = known.file(offset, size).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("archive {archive} has no such file"))
            })?;
            (file.offset, file.size, Judge::Crc(crc32fast::Hasher::new(), file.crc))
        };
        if (begin, all) == (offset, size) {
            return Ok(whole(archive, file, offset, size, judge));
        }
        // A part says nothing about itself: the file is read once, and its parts are believed from then on.
        let at = (archive.clone(), begin);
        if !self.state().looked_at.contains(&at) {
            io::copy(&mut whole(archive, Arc::clone(&file), begin, all, judge), &mut io::sink())?;
            self.state().looked_at.insert(at);
        }
        Ok(whole(archive, file, offset, size, Judge::Nothing))
    }

    /// Compressed bytes of the download, each piece of it judged.
    pub(super) fn compressed(&self, archive: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let known = self.known(archive)?;
        let file = File::open(self.store.path(archive))?;
        let length = file.metadata()?.len();
        let end = offset.checked_add(buffer.len() as u64).filter(|&end| end <= length);
        let Some(end) = end else { return Err(self.damaged(archive)) };
        let begin = offset / PIECE * PIECE;
        let mut pieces = vec![0; (end.next_multiple_of(PIECE).min(length) - begin) as usize];
        file.file().read_exact_at(&mut pieces, begin)?;
        let sums = known.pieces.iter().skip((begin / PIECE) as usize);
        let chunks = pieces.chunks(PIECE as usize);
        let count = chunks.len();
        if chunks.zip(sums).filter(|(piece, sum)| crc32fast::hash(piece) == **sum).count() != count {
            return Err(self.damaged(archive));
        }
        let skip = (offset - begin) as usize;
        buffer.copy_from_slice(&pieces[skip..skip + buffer.len()]);
        Ok(())
    }

    /// The archives that have a decoded form, or something that looks like one.
    pub fn all(&self) -> io::Result<Vec<Digest>> {
        let mut found = Vec::new();
        for entry in
            if self.dir.is_dir() { Some(fs::read_dir(&self.dir)?) } else { None }.into_iter().flatten()
        {
            let name = entry?.file_name();
            let text = name.to_str().and_then(|name| name.strip_suffix(".index")).unwrap_or_default();
            found.extend(
                text.split_once('-').and_then(|(algorithm, hex)| format!("{algorithm}:{hex}").parse().ok()),
            );
        }
        found.sort();
        Ok(found)
    }

    /// Reads all files of a decoded form: whether they are what they were. A form that is not, or cannot be read, is removed.
    pub fn check(&self, archive: &Digest) -> io::Result<bool> {
        let Ok(known) = self.known(archive) else {
            self.remove(archive)?;
            self.store.report_damage(format!("the decoded form of {archive}"));
            return Ok(false);
        };
        // Evicted: it is made again when it is wanted.
        if !self.path(archive, "").exists() {
            return Ok(true);
        }
        // What lies between or behind the files is nobody's, and yet it would be there to be read.
        if fs::metadata(self.path(archive, ""))?.len() != known.size {
            drop(self.damaged(archive));
            return Ok(false);
        }
        for file in known.files.iter() {
            let read = self.range(archive, file.offset, file.size);
            match read.and_then(|mut range| io::copy(&mut range, &mut io::sink())) {
                Ok(_) => {}
                Err(error)
                    if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Damaged>) =>
                {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Removes all that is kept of the decoded form of `archive`.
    pub fn remove(&self, archive: &Digest) -> io::Result<()> {
        self.forget(archive);
        for suffix in ["", ".index", ".blocks"] {
            match fs::remove_file(self.path(archive, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// What was read of `archive` is wrong: its decoded form goes, and the download if it is the one that is wrong. The error to
    /// give.
    pub(super) fn damaged(&self, archive: &Digest) -> io::Error {
        let raw = self.forget(archive) == Some(Format::Raw);
        let mut removed = false;
        for suffix in ["", ".index", ".blocks"] {
            removed |= fs::remove_file(self.path(archive, suffix)).is_ok();
        }
        // One that is missing is fetched again as well.
        let download_is_right = self.store.check(archive).unwrap_or(false);
        if removed && !raw && download_is_right {
            self.store.report_damage(format!("the decoded form of {archive}"));
        }
        io::Error::new(io::ErrorKind::InvalidData, Damaged { archive: archive.clone() })
    }

    /// Forgets what was known of `archive`: its format comes back.
    fn forget(&self, archive: &Digest) -> Option<Format> {
        let mut state = self.state();
        state.open.retain(|(digest, _)| digest != archive);
        state.blocks.remove(archive);
        state.looked_at.retain(|(digest, _)| digest != archive);
        state.known.remove(archive).map(|known| known.format)
    }
}
