//! Archives that are files of an image: each is looked into, member by member, and archives in it likewise.
//!
//! ```text
//! bytes of a file ─► its first ones: of an archive? ─► all of it aside (memory, then a file without a name) ─► members
//!                                                                     ▲                                        └─► the same, DEPTH deep
//!                                                                     └────────────────────────────────────────────────┘
//! ```
//!
//! tar, zip (jar, wheel, apk, jmod, scripts with a zip behind them), Debian packages, and what is compressed by gzip, xz, zstd, bzip2 or
//! lzip, a tar or not. What a file is its first bytes say, not its name.
//!
//! **Guarantees**: an archive that was not looked at, or not to its end, is told with the reason, and then the check does not pass.
//! Memory is bounded by [`WINDOWS`] and [`MEMORY`] for each level; members, bytes and how far they swell by [`Limits`], whatever an
//! archive says of itself.
//! **Not told as archives**: tars without a magic (before POSIX), and zips behind anything but a script's first line.

use std::io;
use std::io::BufReader;
use std::io::Cursor;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use pinfold_archive::ar;
use pinfold_archive::codec::Compression;
use pinfold_archive::codec::decoder_within;
use pinfold_archive::tar;
use pinfold_archive::tar::Strictness;
use pinfold_archive::zip;
use pinfold_base::ImagePath;
use pinfold_base::error::one_line;
use pinfold_base::units;
use tempfile::SpooledTempFile;

use super::Found;
use super::Scanner;
use super::known;
use super::scan::Scan;
use crate::verify::checks::SECRETS_ARCHIVES;
use crate::verify::report::Outcome;

/// The largest windows of decoders, by how deep the archive lies: `xz -9` has 64 MiB, its default 8.
const WINDOWS: [u64; DEPTH] = [72 << 20, 24 << 20, 12 << 20];
/// Archives in each other that are looked into: a Debian package has a tar with compressed documents.
const DEPTH: usize = 3;
/// Bytes of an archive that are kept in memory; more go into a file.
const MEMORY: usize = 4 << 20;
/// Bytes of central directory of a zip.
const DIRECTORY: u64 = 16 << 20;
/// First bytes that say what a file is: the magic of a tar stands at 257.
const HEAD: usize = 512;
/// Archives that were not looked at and are told by name.
const TOLD: usize = 5;

/// Reads what old and new writers made: what is looked at here is no layer of ours.
const ANY: Strictness = Strictness { end: tar::End::Anywhere, ..Strictness::PACKAGE };

/// How much is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of an archive.
    pub(super) kept: u64,
    /// Members of a file of the image, of archives in it too.
    pub(super) members: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Bytes of members of all archives.
    pub(super) all: u64,
    /// How many times its own size an archive may hold, from `swells_from` bytes on.
    pub(super) swells: u64,
    pub(super) swells_from: u64,
}

impl Default for Limits {
    /// 1 GiB, 100,000 members of 4 GiB, 16 GiB of all; 200 times its size from 64 MiB on.
    fn default() -> Self {
        Self {
            kept: 1 << 30,
            members: 100_000,
            bytes: 4 << 30,
            all: 16 << 30,
            swells: 200,
            swells_from: 64 << 20,
        }
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Tar,
    /// So many bytes stand before it and do not count.
    Zip(usize),
    Debian,
    Compressed(Compression),
    /// What nothing here reads, by its name.
    Other(&'static str),
}

impl Form {
    /// By the first bytes of a file, and its name where they could be anything.
    fn of(head: &[u8], path: &ImagePath) -> Option<Self> {
        const OTHERS: [(&[u8], &str); 5] = [
            (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
            (b"Rar!\x1a\x07", "RAR"),
            (b"070701", "cpio"),
            (b"070702", "cpio"),
            (b"hsqs", "squashfs"),
        ];
        let zip = || memchr::memmem::find(head, b"PK\x03\x04");
        if let Some((_, name)) = OTHERS.iter().find(|(magic, _)| head.starts_with(magic)) {
            return Some(Self::Other(name));
        }
        if is_tar(head) {
            return Some(Self::Tar);
        }
        match head {
            [b'P', b'K', 3, 4, ..] => return Some(Self::Zip(0)),
            // A module of Java.
            [b'J', b'M', _, _, b'P', b'K', 3, 4, ..] => return Some(Self::Zip(4)),
            // Python's zipapp counts from the script's first line.
            [b'#', b'!', ..] => return zip().map(|_| Self::Zip(0)),
            _ if head.starts_with(b"!<arch>\ndebian-binary") => return Some(Self::Debian),
            _ => {}
        }
        match Compression::detect(head) {
            Compression::None => None,
            // Two bytes are no magic: the method and the flags say more (RFC 1952, 2.3.1).
            Compression::Gzip
                if head.get(2) != Some(&8) || head.get(3).is_none_or(|flags| flags & 0xe0 != 0) =>
            {
                None
            }
            // It has none at all.
            Compression::Lzma if !path.name().ends_with(b".lzma") => None,
            compression => Some(Self::Compressed(compression)),
        }
    }
}

fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// A file as it passes by: its first bytes, and all of it where they are an archive's.
#[derive(Debug)]
pub(super) struct Aside {
    path: ImagePath,
    head: Vec<u8>,
    decided: bool,
    kept: Option<Kept>,
}

/// An archive that has passed by.
#[derive(Debug)]
pub(super) struct Kept {
    form: Form,
    bytes: u64,
    /// All of it, or why it is not here.
    file: Result<SpooledTempFile, String>,
}

impl Aside {
    /// A file begins.
    pub(super) fn begin(path: &ImagePath) -> Self {
        Self { path: path.clone(), head: Vec::new(), decided: false, kept: None }
    }

    /// Its next bytes; `directory` is where large files may be.
    pub(super) fn feed(&mut self, bytes: &[u8], directory: &Path, limits: &Limits) {
        let mut rest = bytes;
        if !self.decided {
            let (head, other) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
            self.head.extend_from_slice(head);
            rest = other;
            if self.head.len() == HEAD {
                self.decide(directory, limits);
            }
        }
        if let Some(kept) = &mut self.kept {
            kept.put(rest, limits);
        }
    }

    fn decide(&mut self, directory: &Path, limits: &Limits) {
        self.decided = true;
        let Some(form) = Form::of(&self.head, &self.path) else { return };
        let file = SpooledTempFile::new_in(MEMORY, directory);
        let mut kept = Kept { form, bytes: 0, file: Ok(file) };
        let skipped = if let Form::Zip(before) = form { before } else { 0 };
        kept.put(self.head.get(skipped..).unwrap_or_default(), limits);
        self.kept = Some(kept);
    }

    /// It has ended: all of it, where it is an archive.
    pub(super) fn end(mut self, directory: &Path, limits: &Limits) -> Option<Kept> {
        if !self.decided {
            self.decide(directory, limits);
        }
        self.kept
    }
}

impl Kept {
    fn put(&mut self, bytes: &[u8], limits: &Limits) {
        self.bytes += bytes.len() as u64;
        let Ok(file) = &mut self.file else { return };
        if let Form::Other(name) = self.form {
            self.file = Err(format!("nothing here reads {name}"));
        } else if self.bytes > limits.kept {
            self.file = Err(format!("it has more than {}", units::bytes(limits.kept)));
        } else if let Err(error) = file.write_all(bytes) {
            self.file = Err(format!("it could not be set aside: {error}"));
        }
    }
}

/// The archives of an image, and what was found in them.
#[derive(Debug)]
pub(super) struct Archives<'a> {
    scanner: &'a Scanner,
    pub(super) directory: PathBuf,
    pub(super) limits: Limits,
    found: Found,
    opened: usize,
    members: u64,
    bytes: u64,
    /// Those that were not looked at, and why; the first few.
    unread: Vec<String>,
    more: usize,
    /// Damaged ones that tests have.
    of_tests: usize,
}

/// Where an archive lies.
#[derive(Clone, Debug)]
struct At {
    /// `/srv/a.tar!b.zip`.
    name: String,
    layer: usize,
    depth: usize,
}

/// What of a file of the image was looked at, against what may be.
struct Budget {
    limits: Limits,
    /// Bytes of the file itself.
    size: u64,
    /// Bytes that were left for all when it began.
    left: u64,
    members: u64,
    bytes: u64,
    /// Which limit was met.
    spent: Option<String>,
}

impl Budget {
    fn take(&mut self, bytes: usize) -> io::Result<()> {
        self.bytes += bytes as u64;
        let Limits { bytes, all, swells, swells_from, .. } = self.limits;
        self.spend(if self.bytes > bytes {
            format!("it holds more than {}", units::bytes(bytes))
        } else if self.bytes > swells_from && self.bytes / swells > self.size {
            format!("it holds more than {swells} times its size")
        } else if self.bytes > self.left {
            format!("archives of this image hold more than {}", units::bytes(all))
        } else {
            return Ok(());
        })
    }

    fn count(&mut self) -> io::Result<()> {
        self.members += 1;
        if self.members > self.limits.members {
            return self.spend(format!("it has more than {} members", self.limits.members));
        }
        Ok(())
    }

    fn spend(&mut self, reason: String) -> io::Result<()> {
        let reason = self.spent.get_or_insert(reason);
        Err(io::Error::other(reason.clone()))
    }

    /// Bytes that a tar may have, with its headers.
    fn stream(&self) -> u64 {
        self.limits.bytes.min(self.left).saturating_sub(self.bytes)
    }
}

impl<'a> Archives<'a> {
    /// Before the first; `directory` is where large ones may be set aside.
    pub(super) fn new(scanner: &'a Scanner, directory: &Path) -> Self {
        Self {
            scanner,
            directory: directory.to_owned(),
            limits: Limits::default(),
            found: Found::default(),
            opened: 0,
            members: 0,
            bytes: 0,
            unread: Vec::new(),
            more: 0,
            of_tests: 0,
        }
    }

    /// What came of it, `files` having been asked whether they are archives.
    pub(super) fn outcome(self, files: usize) -> Outcome {
        let mut evidence = match self.opened {
            0 => format!("none of {files} files is an archive"),
            count => format!("{count} archives, {} members, {}", self.members, units::bytes(self.bytes)),
        };
        if self.of_tests > 0 {
            evidence.push_str(&format!("; {} damaged ones that are data of tests", self.of_tests));
        }
        evidence.push_str(&self.found.known());
        for one in &self.unread {
            evidence.push_str(&format!("; {one}"));
        }
        if self.more > 0 {
            evidence.push_str(&format!("; and {} more", self.more));
        }
        if self.found.is_empty() && !self.unread.is_empty() {
            return Outcome::not_run(SECRETS_ARCHIVES, evidence);
        }
        self.found.outcome(SECRETS_ARCHIVES, evidence)
    }

    /// Looks into what was kept of a file; says how many secrets there were in it, known ones too.
    pub(super) fn look(&mut self, kept: Kept, path: &ImagePath, layer: usize) -> usize {
        let before = self.found.count();
        let mut budget = Budget {
            limits: self.limits,
            size: kept.bytes,
            left: self.limits.all.saturating_sub(self.bytes),
            members: 0,
            bytes: 0,
            spent: None,
        };
        self.open(kept, &At { name: path.to_string(), layer, depth: 0 }, &mut budget);
        self.bytes = self.bytes.saturating_add(budget.bytes);
        self.found.count() - before
    }

    /// Looks into an archive, and tells where that was not possible.
    fn open(&mut self, kept: Kept, at: &At, budget: &mut Budget) {
        self.opened += 1;
        let Err(reason) = self.read(kept, at, budget) else { return };
        match &budget.spent {
            // Told of the file itself, once.
            Some(_) if at.depth > 0 => {}
            None if known::is_of_tests(&at.name) => self.of_tests += 1,
            _ if self.unread.len() == TOLD => self.more += 1,
            _ => self.unread.push(format!("`{}` was not looked at: {reason}", at.name)),
        }
    }

    fn read(&mut self, kept: Kept, at: &At, budget: &mut Budget) -> Result<(), String> {
        let mut file = kept.file?;
        let window = *WINDOWS
            .get(at.depth)
            .ok_or_else(|| format!("it lies deeper than {DEPTH} archives in each other"))?;
        file.rewind().map_err(|error| error.to_string())?;
        match kept.form {
            Form::Tar => self.tar(file, at, budget),
            Form::Zip(_) => self.zip(file, at, budget),
            Form::Debian => self.debian(file, at, budget),
            Form::Compressed(compression) => {
                let mut stream =
                    decoder_within(compression, file, window).map_err(|error| error.to_string())?;
                let mut head = Vec::new();
                stream
                    .by_ref()
                    .take(HEAD as u64)
                    .read_to_end(&mut head)
                    .map_err(|error| error.to_string())?;
                let is_tar = is_tar(&head);
                let mut stream = Cursor::new(head).chain(stream);
                if is_tar {
                    return self.tar(stream, at, budget);
                }
                let name = at.name.rsplit(['/', '!']).next().unwrap_or_default();
                let name = name.rsplit_once('.').map_or(name, |(name, _)| name).to_owned();
                self.member(name.as_bytes(), at, budget, &mut |out| {
                    io::copy(&mut stream, out).map(drop).map_err(|error| error.to_string())
                })
            }
            Form::Other(name) => Err(format!("nothing here reads {name}")),
        }
    }

    fn tar(&mut self, stream: impl Read, at: &At, budget: &mut Budget) -> Result<(), String> {
        let limits =
            tar::Limits { entries: budget.limits.members, total: budget.stream(), ..tar::Limits::default() };
        let mut reader = tar::Reader::new(BufReader::new(stream), ANY, limits);
        loop {
            let entry = match reader.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(()),
                Err(error) => return Err(one_line(&error)),
            };
            if entry.kind == tar::EntryKind::File {
                self.member(&entry.name, at, budget, &mut |out| {
                    io::copy(&mut reader, out).map(drop).map_err(|error| error.to_string())
                })?;
            }
        }
    }

    /// A damaged member does not hide those after it.
    fn zip(&mut self, file: SpooledTempFile, at: &At, budget: &mut Budget) -> Result<(), String> {
        let limits =
            zip::Limits { entries: budget.limits.members, total: budget.stream(), directory: DIRECTORY };
        let mut archive = zip::Archive::new(file, limits).map_err(|error| one_line(&error))?;
        let mut outcome = Ok(());
        for index in 0..archive.entries().len() {
            let entry = &archive.entries()[index];
            if entry.kind != zip::MemberKind::File {
                continue;
            }
            let name = entry.raw_name.clone();
            let looked = self.member(&name, at, budget, &mut |out| {
                archive.copy(index, out).map_err(|error| one_line(&error))
            });
            outcome = outcome.and(looked);
            if budget.spent.is_some() {
                break;
            }
        }
        outcome
    }

    fn debian(&mut self, file: SpooledTempFile, at: &At, budget: &mut Budget) -> Result<(), String> {
        let told = |error: ar::ArError| one_line(&error);
        let mut reader = ar::Reader::new(BufReader::new(file)).map_err(told)?;
        while let Some(member) = reader.next_member().map_err(told)? {
            self.member(&member.name, at, budget, &mut |out| {
                io::copy(&mut reader, out).map(drop).map_err(|error| error.to_string())
            })?;
        }
        Ok(())
    }

    /// Looks at one member, which `copy` writes out, and into it where it is an archive.
    fn member(
        &mut self,
        name: &[u8],
        at: &At,
        budget: &mut Budget,
        copy: &mut dyn FnMut(&mut dyn Write) -> Result<(), String>,
    ) -> Result<(), String> {
        budget.count().map_err(|error| error.to_string())?;
        self.members += 1;
        let path = inside(name);
        let shown = path.to_string();
        let name = format!("{}!{}", at.name, shown.trim_start_matches('/'));
        let inner = At { name, layer: at.layer, depth: at.depth + 1 };
        let (directory, limits) = (&self.directory, &self.limits);
        let mut out =
            Looking { scan: self.scanner.scan(), aside: Aside::begin(&path), budget, directory, limits };
        out.scan.begin(&path);
        let copied = copy(&mut out);
        let secrets = out.scan.end();
        let kept = out.aside.end(directory, limits);
        let before = self.found.count();
        if let Some(kept) = kept.filter(|_| copied.is_ok()) {
            self.open(kept, &inner, budget);
        }
        // What stands in an archive as it is would be told twice.
        if self.found.count() == before {
            self.found.put(&inner.name, inner.layer, &secrets);
        }
        budget.spent.clone().map_or(copied, Err)
    }
}

/// Looks at a member as it is written.
struct Looking<'b, 'a> {
    scan: Scan<'a>,
    aside: Aside,
    budget: &'b mut Budget,
    directory: &'b Path,
    limits: &'b Limits,
}

impl Write for Looking<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.budget.take(bytes.len())?;
        self.scan.feed(bytes);
        self.aside.feed(bytes, self.directory, self.limits);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A member's name as a path, whatever it is: absolute ones and those that lead out of their archive are looked at too.
fn inside(name: &[u8]) -> ImagePath {
    let parts = name.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"." | b".."));
    ImagePath::new(parts.collect::<Vec<_>>().join(&b'/')).unwrap_or_default()
}
