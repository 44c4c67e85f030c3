//! Decoding one archive: its bytes go to a file, its entries to a listing, in one pass.

use std::collections::HashMap;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::sync::Arc;

use fs_err::File;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Shown;
use pinfold_base::digest::HashingReader;

use super::Format;
use super::Listing;
use super::Loss;
use super::Member;
use super::MemberKind;
use super::Refusal;
use super::Whole;
use super::index::Index;
use super::index::PIECE;
use super::names::Names;
use crate::Content;
use crate::Metadata;
use crate::ar;
use crate::codec;
use crate::codec::Compression;
use crate::deflate::Blocks;
use crate::deflate::Decoder;
use crate::deflate::Recorder;
use crate::layer::Change;
use crate::layer::Rules;
use crate::nar;
use crate::tar;
use crate::zip;

/// Most bytes that an archive may decode to.
pub const MAX_TOTAL: u64 = 8 << 30;
/// Most entries of an archive.
pub const MAX_ENTRIES: u64 = 400_000;
/// Archives may always decode to this much, whatever their ratio.
const FREE: u64 = 64 << 20;
/// Beyond that, to at most this many times their size. (Debian's packages stay below 30.)
const MAX_RATIO: u64 = 250;

/// Archives and compressed files that are not understood, by their first bytes.
const UNSUPPORTED: [(&[u8], &str); 8] = [
    (b"\x1f\x9d", "a file of `compress` (.Z)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "a file of lz4"),
    (b"\x89LZO\0\r\n\x1a\n", "a file of lzop"),
    (b"\xff\x06\0\0sNaPpY", "a file of snappy"),
    (b"LRZI", "a file of lrzip"),
    (b"MSCF", "a cabinet archive"),
];

/// What a download is, told from its bytes. A zip is not: programs begin as it does.
pub(super) fn tell(mut blob: File) -> Result<Format, Refusal> {
    let mut start = Vec::new();
    Read::by_ref(&mut blob).take(512).read_to_end(&mut start)?;
    if let Some((_, kind)) = UNSUPPORTED.iter().find(|(begin, _)| start.starts_with(begin)) {
        return Err(Refusal::Unsupported(kind));
    }
    blob.seek(SeekFrom::Start(0))?;
    Ok(match Compression::detect(&start) {
        Compression::None if is_tar(&start) => Format::Tar,
        Compression::None => Format::Raw,
        compression => {
            let mut inside = Vec::new();
            // What is damaged is found when all of it is read.
            let decoder = codec::decoder(compression, blob);
            let read = decoder.and_then(|decoder| decoder.take(512).read_to_end(&mut inside));
            if read.is_ok() && is_tar(&inside) { Format::Tar } else { Format::File }
        }
    })
}

/// Whether a block is the header of a tar's entry: its checksum is right (POSIX.1-1988, all later forms have it).
fn is_tar(block: &[u8]) -> bool {
    let Some(header) = block.first_chunk::<512>() else { return false };
    let written = header[148..156].iter().skip_while(|byte| **byte == b' ');
    let digits = written.take_while(|byte| (b'0'..=b'7').contains(byte)).collect::<Vec<_>>();
    let written = digits.iter().fold(0_u32, |sum, digit| sum * 8 + u32::from(**digit - b'0'));
    let byte = |(at, byte): (usize, &u8)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte });
    let sum: u32 = header.iter().enumerate().map(byte).sum();
    !digits.is_empty() && sum == written && header[0] != 0
}

/// Decodes `blob`, the archive named `archive`, into `out`. The deflate blocks of a .tar.gz and of a zip come along; there
/// are none where nothing is deflated, and where there are more than are worth keeping.
pub(super) fn decode(
    mut blob: File,
    archive: &Digest,
    format: Format,
    out: &mut File,
    watch: &dyn Fn(u64),
) -> Result<(Index, Blocks), Refusal> {
    let length = blob.seek(SeekFrom::End(0))?;
    blob.seek(SeekFrom::Start(0))?;
    let total = MAX_TOTAL.min(FREE.saturating_add(length.saturating_mul(MAX_RATIO)));
    let mut output = Output {
        out: BufWriter::with_capacity(
            256 << 10,
            Watched { out: &mut *out, place: blob.try_clone()?, seen: 0, watch },
        ),
        archive,
        written: 0,
        entries: 0,
        total,
        files: HashMap::new(),
    };
    let mut blocks = Blocks::default();
    let mut pieces = Vec::new();
    // No name comes twice in these.
    if matches!(format, Format::Layer | Format::Nar) {
        let (data, whole) = if format == Format::Nar { output.nar(blob)? } else { output.layer(blob)? };
        output.out.flush()?;
        let (size, files) = (whole.size, sums(&data, &output.files));
        let listing = Listing { data, whole: Some(whole), ..Listing::default() };
        return Ok((Index { format, size, listing, files, pieces }, blocks));
    }
    let (control, data) = match format {
        Format::Deb => deb(blob, &mut output)?,
        Format::Tar => {
            let (compression, _) = Compression::peek(&mut blob)?;
            blob.seek(SeekFrom::Start(0))?;
            let data = if compression == Compression::Gzip {
                let mut blob = Summed::new(blob);
                let mut recorder = Recorder::new(Decoder::gzip(&mut blob));
                let data = output.tar(&mut recorder)?;
                blocks = recorder.finish();
                pieces = blob.finish()?;
                data
            } else {
                output.tar(codec::decoder(compression, blob)?)?
            };
            (Names::default(), data)
        }
        Format::Zip => {
            let mut again = blob.try_clone()?;
            let data = zip(blob, &mut output, &mut blocks)?;
            again.seek(SeekFrom::Start(0))?;
            pieces = Summed::new(again).finish()?;
            (Names::default(), data)
        }
        Format::File => {
            let (compression, _) = Compression::peek(&mut blob)?;
            blob.seek(SeekFrom::Start(0))?;
            (Names::default(), output.file(codec::decoder(compression, blob)?)?)
        }
        // Taken as it is, or something else by now; the store never asks for it.
        Format::Raw | Format::Auto | Format::Layer | Format::Nar => {
            return Err(Refusal::Deb("a raw file is not decoded"));
        }
    };
    output.out.flush()?;
    let (size, sums) = (output.written, std::mem::take(&mut output.files));
    drop(output);
    let (control, mut shadowed) = control.finish(out)?;
    let (data, lost) = data.finish(out)?;
    shadowed.extend(lost);
    // dpkg cannot unpack a package in which a directory and something else have one name.
    if let (Format::Deb, Some(lost)) = (format, shadowed.iter().find(|lost| lost.loss == Loss::Directory)) {
        return Err(Refusal::Duplicate(lost.path.clone()));
    }
    // The archives that nothing is copied from need no sums.
    if blocks.all().is_empty() {
        pieces = Vec::new();
    }
    // Of the files that count, in the order of the listing.
    let mut files = self::sums(&control, &sums);
    files.extend(self::sums(&data, &sums));
    let listing = Listing { control, data, shadowed, whole: None };
    Ok((Index { format, size, listing, files, pieces }, blocks))
}

/// The checksum of each file among `members`.
fn sums(members: &[Member], known: &HashMap<(u64, u64), u32>) -> Vec<u32> {
    let files = members.iter().filter_map(|member| match &member.kind {
        MemberKind::File { content: Content::Range { offset, size, .. } } => {
            Some(known.get(&(*offset, *size)).copied().unwrap_or_default())
        }
        _ => None,
    });
    files.collect()
}

/// Sums up the pieces of a download that is read from its begin.
struct Summed<R> {
    inner: R,
    sums: Vec<u32>,
    running: crc32fast::Hasher,
    /// Bytes of the piece that is begun.
    len: usize,
}

impl<R: Read> Summed<R> {
    fn new(inner: R) -> Self {
        Self { inner, sums: Vec::new(), running: crc32fast::Hasher::new(), len: 0 }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE as usize - self.len));
            self.running.update(now);
            self.len += now.len();
            bytes = later;
            if self.len == PIECE as usize {
                self.sums.push(std::mem::take(&mut self.running).finalize());
                self.len = 0;
            }
        }
    }

    /// Reads what is left.
    fn finish(mut self) -> io::Result<Vec<u32>> {
        io::copy(&mut self, &mut io::sink())?;
        if self.len > 0 {
            self.sums.push(self.running.finalize());
        }
        Ok(self.sums)
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.update(&buffer[..n]);
        Ok(n)
    }
}

/// Tells with each write how far the download has been read.
struct Watched<'a> {
    out: &'a mut File,
    /// The same open file as the one that is read, so it has the same position.
    place: File,
    seen: u64,
    watch: &'a dyn Fn(u64),
}

impl Write for Watched<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let position = self.place.stream_position()?;
        if position > self.seen {
            (self.watch)(position - self.seen);
            self.seen = position;
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Where decoded bytes go, and how many there may be.
struct Output<'a> {
    out: BufWriter<Watched<'a>>,
    archive: &'a Digest,
    written: u64,
    entries: u64,
    total: u64,
    /// CRC-32 of each file, by its offset and size.
    files: HashMap<(u64, u64), u32>,
}

impl Output<'_> {
    /// Appends all of `stream`, one file.
    fn file(&mut self, stream: impl Read) -> Result<Names, Refusal> {
        let mut out = Summing { inner: &mut self.out, crc: crc32fast::Hasher::new() };
        let size = io::copy(&mut stream.take(self.total + 1), &mut out)?;
        if size > self.total {
            let reason = format!("it decodes to more than {} bytes", self.total);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason).into());
        }
        self.files.insert((self.written, size), out.crc.finalize());
        self.written += size;
        self.entries += 1;
        let mut names = Names::default();
        names.push(Member::alone(self.archive, size))?;
        Ok(names)
    }

    /// Appends the tar of a layer and lists it: every entry, in its order.
    fn layer(&mut self, mut blob: File) -> Result<(Vec<Member>, Whole), Refusal> {
        let (compression, _) = Compression::peek(&mut blob)?;
        blob.seek(SeekFrom::Start(0))?;
        if !matches!(compression, Compression::None | Compression::Gzip | Compression::Zstd) {
            return Err(Refusal::Unsupported("a layer that is compressed by neither gzip nor zstd"));
        }
        let limits = tar::Limits { entries: MAX_ENTRIES, total: self.total, ..tar::Limits::default() };
        let stream = HashingReader::new(Algorithm::Sha256, codec::decoder(compression, blob)?);
        let copy = Copy { stream, out: &mut self.out };
        let copy = BufReader::with_capacity(128 << 10, copy);
        let mut reader = tar::Reader::new(copy, tar::Strictness::LAYER, limits);
        let mut rules = Rules::default();
        let mut members = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let refuse = |reason| Refusal::Layer { path: Shown::bytes(&entry.name), reason };
            let path = match rules.judge(&entry).map_err(refuse)? {
                Change::Root => ImagePath::root(),
                Change::Put(path) | Change::Link { path, .. } => path,
                // The name of the whiteout itself.
                Change::Hide(_) | Change::Clear(_) => {
                    entry.path().map_err(|source| tar::TarError::Name { offset: entry.offset, source })?
                }
            };
            let refuse = |source| tar::TarError::Name { offset: entry.offset, source };
            let kind = match &entry.kind {
                tar::EntryKind::Directory => MemberKind::Directory,
                tar::EntryKind::File => {
                    let (offset, size) = (entry.offset, entry.size);
                    self.files.insert((offset, size), sum(&mut reader)?);
                    let archive = self.archive.clone();
                    MemberKind::File { content: Content::Range { archive, offset, size } }
                }
                tar::EntryKind::Symlink(target) => MemberKind::Symlink(target.clone()),
                tar::EntryKind::Hardlink(target) => {
                    MemberKind::Hardlink(tar::read::path_of(target).map_err(refuse)?)
                }
                tar::EntryKind::Special(kind) => {
                    return Err(tar::TarError::Special { path, kind: kind.word() }.into());
                }
            };
            members.push(Member {
                path,
                raw_name: entry.name,
                kind,
                meta: entry.meta,
                uname: entry.uname,
                gname: entry.gname,
            });
        }
        let mut rest = reader.into_inner();
        // What may follow the end is zeros, and the reader has read them.
        io::copy(&mut rest, &mut io::sink())?;
        let (_, digest, size) = rest.into_inner().stream.finish();
        Ok((members, Whole { digest, size }))
    }

    /// Appends a NAR and lists it: every entry, in its order, the root first.
    fn nar(&mut self, mut blob: File) -> Result<(Vec<Member>, Whole), Refusal> {
        let (compression, _) = Compression::peek(&mut blob)?;
        blob.seek(SeekFrom::Start(0))?;
        let limits = nar::Limits { entries: MAX_ENTRIES, total: self.total, ..nar::Limits::ACCEPTED };
        let stream = HashingReader::new(Algorithm::Sha256, codec::decoder(compression, blob)?);
        let copy = Copy { stream, out: &mut self.out };
        let mut reader = nar::Reader::new(BufReader::with_capacity(128 << 10, copy), limits)?;
        let mut members = Vec::new();
        let nobody: Arc<[u8]> = Arc::default();
        while let Some(nar::Entry { path, kind }) = reader.next_entry()? {
            let meta = Metadata::root(kind.mode(), nar::MTIME);
            let kind = match kind {
                nar::EntryKind::Directory => MemberKind::Directory,
                nar::EntryKind::File { offset, size, .. } => {
                    self.files.insert((offset, size), sum(&mut reader)?);
                    let archive = self.archive.clone();
                    MemberKind::File { content: Content::Range { archive, offset, size } }
                }
                nar::EntryKind::Symlink(target) => MemberKind::Symlink(target),
            };
            let (raw_name, uname, gname) = (path.as_bytes().into(), Arc::clone(&nobody), Arc::clone(&nobody));
            members.push(Member { path, raw_name, kind, meta, uname, gname });
        }
        let (_, digest, size) = reader.into_inner().into_inner().stream.finish();
        Ok((members, Whole { digest, size }))
    }

    /// Appends the tar in `stream` and lists it.
    fn tar(&mut self, stream: impl Read) -> Result<Names, Refusal> {
        let start = self.written;
        let limits = tar::Limits {
            entries: MAX_ENTRIES - self.entries,
            total: self.total - start,
            ..tar::Limits::default()
        };
        let copy = Copy { stream, out: &mut self.out };
        let copy = BufReader::with_capacity(128 << 10, copy);
        let mut reader = tar::Reader::new(copy, tar::Strictness::PACKAGE, limits);
        let mut names = Names::default();
        while let Some(entry) = reader.next_entry()? {
            let refuse = |source| tar::TarError::Name { offset: entry.offset, source };
            let path = entry.path().map_err(refuse)?;
            let kind = match entry.kind {
                tar::EntryKind::Directory => MemberKind::Directory,
                tar::EntryKind::File => {
                    let (offset, size) = (start + entry.offset, entry.size);
                    self.files.insert((offset, size), sum(&mut reader)?);
                    MemberKind::File {
                        content: Content::Range { archive: self.archive.clone(), offset, size },
                    }
                }
                tar::EntryKind::Symlink(target) => MemberKind::Symlink(target),
                tar::EntryKind::Hardlink(target) => {
                    MemberKind::Hardlink(tar::read::path_of(&target).map_err(refuse)?)
                }
                tar::EntryKind::Special(kind) => {
                    return Err(tar::TarError::Special { path, kind: kind.word() }.into());
                }
            };
            names.push(Member {
                path,
                raw_name: entry.name,
                kind,
                meta: entry.meta,
                uname: entry.uname,
                gname: entry.gname,
            })?;
        }
        self.written += reader.position();
        self.entries += names.len() as u64;
        Ok(names)
    }
}

/// The CRC-32 of the content that a reader stands at.
fn sum(reader: &mut impl BufRead) -> io::Result<u32> {
    let mut crc = crc32fast::Hasher::new();
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(crc.finalize());
        }
        crc.update(bytes);
        let n = bytes.len();
        reader.consume(n);
    }
}

/// Writes, and sums up what was written.
struct Summing<W> {
    inner: W,
    crc: crc32fast::Hasher,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.crc.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a stream and writes what was read.
struct Copy<'a, R, W> {
    stream: R,
    out: &'a mut W,
}

impl<R: Read, W: Write> Read for Copy<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.stream.read(buffer)?;
        self.out.write_all(&buffer[..n])?;
        Ok(n)
    }
}

/// Exactly `debian-binary`, `control.tar` and `data.tar`, in this order (deb(5)).
fn deb(blob: File, output: &mut Output<'_>) -> Result<(Names, Names), Refusal> {
    let mut archive = ar::Reader::new(io::BufReader::with_capacity(64 << 10, blob))?;
    let first = archive.next_member()?.ok_or(Refusal::Deb("it is empty"))?;
    let mut version = Vec::new();
    archive.by_ref().take(16).read_to_end(&mut version)?;
    if *first.name != *b"debian-binary" || first.size > 16 || !version.starts_with(b"2.") {
        return Err(Refusal::Deb("it does not begin with `debian-binary` of version 2"));
    }
    let mut part = |base: &str| {
        let member = archive.next_member()?.ok_or(Refusal::Deb("it has fewer than three members"))?;
        let compression = match member.name.strip_prefix(base.as_bytes()) {
            Some(b"") => Compression::None,
            Some(b".gz") => Compression::Gzip,
            Some(b".xz") => Compression::Xz,
            Some(b".zst") => Compression::Zstd,
            _ => {
                return Err(Refusal::Deb(
                    "its members are not `control.tar` and `data.tar`, gzip, xz or zstd",
                ));
            }
        };
        let entries = output.tar(codec::decoder(compression, (&mut archive).take(u64::MAX))?)?;
        Ok(entries)
    };
    let control = part("control.tar")?;
    let data = part("data.tar")?;
    if archive.next_member()?.is_some() {
        return Err(Refusal::Deb("it has more than three members"));
    }
    Ok((control, data))
}

fn zip(blob: File, output: &mut Output<'_>, blocks: &mut Blocks) -> Result<Names, Refusal> {
    let mut noted = Some(Blocks::default());
    let limits = zip::Limits { entries: MAX_ENTRIES, total: output.total, directory: zip::MAX_DIRECTORY };
    let mut archive = zip::Archive::new(blob, limits)?;
    let found = archive.entries().to_vec();
    let mut names = Names::default();
    let nobody: Arc<[u8]> = Arc::default();
    for (index, entry) in found.into_iter().enumerate() {
        let kind = match entry.kind {
            zip::MemberKind::Directory => MemberKind::Directory,
            zip::MemberKind::Symlink => MemberKind::Symlink(archive.target(index)?),
            zip::MemberKind::File => {
                let offset = output.written;
                let mut out = Summing { inner: &mut output.out, crc: crc32fast::Hasher::new() };
                archive.copy_noting(index, &mut out, &mut |block| {
                    if noted.as_mut().is_some_and(|noted| !noted.push(&block.clone().behind(offset))) {
                        noted = None;
                    }
                })?;
                output.files.insert((offset, entry.size), out.crc.finalize());
                output.written += entry.size;
                MemberKind::File {
                    content: Content::Range { archive: output.archive.clone(), offset, size: entry.size },
                }
            }
        };
        names.push(Member {
            path: entry.path,
            raw_name: entry.raw_name,
            kind,
            meta: Metadata::root(entry.mode, entry.mtime),
            uname: Arc::clone(&nobody),
            gname: Arc::clone(&nobody),
        })?;
    }
    *blocks = noted.unwrap_or_default();
    Ok(names)
}
