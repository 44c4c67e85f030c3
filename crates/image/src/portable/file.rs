//! Reading such a file, by position: it may be replaced under its name while it is read.

use std::io;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use fs_err::File;
use pinfold_archive::elf::extend;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::digest::HashingWriter;
use serde::de::DeserializeOwned;

use super::About;
use super::FORMAT;
use super::Index;
use super::LAYOUT;
use super::MAGIC;
use super::MAGIC_AT;
use super::MAX_FILES;
use super::MAX_INDEX;
use super::PortableError;
use super::ProgramRecord;
use super::RECORD;
use super::RECORD_SIZE;
use super::Record;
use super::UPDATES;
use super::appdir::is_name;
use super::pack::pack;
use crate::ImageError;
use crate::ImageSource;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::VerifiedReader;
use crate::blobs::unwrap_io;
use crate::json;
use pinfold_base::file::regular;

/// A file whose record and index are what they say.
#[derive(Clone, Debug)]
pub struct Portable {
    squashfs: Squashfs,
    record: Record,
    index: Index,
}

/// Where the bytes behind the program are.
#[derive(Clone, Debug)]
struct Squashfs {
    file: Arc<File>,
    name: String,
    start: u64,
    length: u64,
}

impl Portable {
    /// Opens a file. [`PortableError::Other`] where it is none of ours.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        Self::of(regular(path)?, &path.display().to_string())
    }

    /// Reads an open one, called `name` in messages.
    pub fn of(file: File, name: &str) -> Result<Self, ImageError> {
        let other = || PortableError::Other { file: name.to_owned() };
        let damaged = |reason: String| PortableError::Damaged { file: name.to_owned(), reason };
        let of_program = |error| match error {
            extend::ExtendError::Io(error) => ImageError::from(error),
            extend::ExtendError::Program(reason) => damaged(reason.into()).into(),
        };
        let mut magic = [0; 3];
        if !whole(file.file().read_exact_at(&mut magic, MAGIC_AT))? || magic != MAGIC {
            return Err(other().into());
        }
        let length = file.metadata()?.len();
        let section = extend::section(&mut &file, RECORD).map_err(of_program)?.ok_or_else(other)?;
        let mut bytes = vec![0; RECORD_SIZE];
        if section.1 != RECORD_SIZE as u64 || !whole(file.file().read_exact_at(&mut bytes, section.0))? {
            return Err(damaged("its record is not all there".into()).into());
        }
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let record: Record =
            read_as(&bytes[..end]).map_err(|reason| damaged(format!("its record {reason}")))?;
        let start = extend::end(&mut &file).map_err(of_program)?;
        if start.checked_add(record.squashfs) != Some(length) {
            let reason =
                format!("it has {length} bytes, and not the {start} and {} it says", record.squashfs);
            return Err(damaged(reason).into());
        }
        let squashfs = Squashfs { file: Arc::new(file), name: name.to_owned(), start, length };
        if record.index.size > MAX_INDEX || record.program.size > start {
            return Err(damaged("its record says what cannot be".into()).into());
        }
        let reader = squashfs.part(record.index.offset, record.index.size)?;
        let mut bytes = Vec::new();
        VerifiedReader::new(reader, record.index.digest.clone(), record.index.size)
            .read_to_end(&mut bytes)
            .map_err(unwrap_io)?;
        let index: Index = read_as(&bytes).map_err(|reason| damaged(format!("its index {reason}")))?;
        if index.files.len() > MAX_FILES || index.agents.len() > MAX_FILES {
            return Err(damaged("its index has too many entries".into()).into());
        }
        // They become names of links and words of commands.
        if !std::iter::once(&index.name).chain(&index.agents).all(|name| is_name(name)) {
            return Err(damaged("its index has names that are none".into()).into());
        }
        Ok(Self { squashfs, record, index })
    }

    /// What it says is in it.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Where its squashfs begins, in bytes.
    pub fn offset(&self) -> u64 {
        self.squashfs.start
    }

    /// The digest of the program that it was made with.
    pub fn program_digest(&self) -> &Digest {
        &self.record.program.digest
    }

    /// Bytes of it.
    pub fn program_size(&self) -> u64 {
        self.record.program.size
    }

    /// That program, as it was before it carried an image; verified at the end of the reading.
    pub fn program(&self) -> Result<VerifiedReader<BlobRead>, ImageError> {
        let ProgramRecord { size, digest, header } = &self.record.program;
        let damaged = || PortableError::Damaged {
            file: self.squashfs.name.clone(),
            reason: "its record of the program cannot be read".into(),
        };
        let pairs = header
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
        let header = pairs.collect::<Option<Vec<u8>>>().filter(|header| header.len() == extend::HEADER);
        let header = header.filter(|header| header.len() as u64 <= *size).ok_or_else(damaged)?;
        let (file, from) = (self.squashfs.file.clone(), header.len() as u64);
        let rest = Part { file, at: from, end: *size };
        let whole: BlobRead = Box::new(io::Cursor::new(header).chain(rest));
        Ok(VerifiedReader::new(whole, digest.clone(), *size))
    }

    /// Holds all of it to what this program makes of its program, its image and its words, and gives the digest of the file.
    pub fn verify(&self) -> Result<Digest, ImageError> {
        let Index { name, image, platform, agents, unpacked, .. } = self.index.clone();
        let updates = self.section(UPDATES.0)?;
        let source = ImageSource::new(&name, image, Box::new(self.clone()));
        let found = source.image(platform)?;
        let about = About { name, platform, agents, unpacked, updates };
        let mut program = Vec::new();
        self.program()?.read_to_end(&mut program).map_err(unwrap_io)?;
        let made = pack(&mut io::Cursor::new(program), &source, &found, &about, io::sink())?;
        let file = Part { file: self.squashfs.file.clone(), at: 0, end: self.squashfs.length };
        let mut own = HashingWriter::new(Algorithm::Sha256, io::sink());
        io::copy(&mut BufReader::with_capacity(1 << 20, file), &mut own)?;
        let (_, actual, _) = own.finish();
        if actual == made.digest {
            return Ok(actual);
        }
        Err(PortableError::Damaged {
            file: self.squashfs.name.clone(),
            reason:
                "its program and its image are whole, and what is around them is not as this program makes it"
                    .into(),
        }
        .into())
    }

    /// The text of a section of the AppImage specification, without the zeros behind it.
    pub fn section(&self, name: &str) -> Result<String, ImageError> {
        let Some((offset, size)) = extend::section(&mut &*self.squashfs.file, name).map_err(|error| {
            PortableError::Damaged { file: self.squashfs.name.clone(), reason: error.to_string() }
        })?
        else {
            return Ok(String::new());
        };
        let mut bytes = Vec::new();
        let end = offset.saturating_add(size.min(RECORD_SIZE as u64));
        Part { file: self.squashfs.file.clone(), at: offset, end }.read_to_end(&mut bytes)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// Every file of the squashfs, as its path, its permission bits and its bytes. The bytes of blobs are not verified.
    pub fn files(&self) -> impl Iterator<Item = Result<(ImagePath, u16, BlobRead), ImageError>> {
        self.index.files.iter().map(|file| {
            let path = ImagePath::new(&file.path).map_err(|_| PortableError::Damaged {
                file: self.squashfs.name.clone(),
                reason: "its index names what is no path".into(),
            })?;
            Ok((path, file.mode & 0o777, self.squashfs.part(file.offset, file.size)?))
        })
    }
}

impl Squashfs {
    /// Bytes of it, which are all there.
    fn part(&self, offset: u64, size: u64) -> Result<BlobRead, ImageError> {
        let at = self.start.checked_add(offset);
        let end = at.and_then(|at| at.checked_add(size)).filter(|end| *end <= self.length);
        match (at, end) {
            (Some(at), Some(end)) => Ok(Box::new(Part { file: self.file.clone(), at, end })),
            _ => Err(PortableError::Damaged {
                file: self.name.clone(),
                reason: format!("it ends before what is in it does, at {} bytes", self.length),
            }
            .into()),
        }
    }
}

impl Blobs for Portable {
    fn location(&self) -> String {
        self.squashfs.name.clone()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        let path = format!("/{LAYOUT}/blobs/{}/{}", digest.algorithm().name(), digest.hex());
        let found = self.index.files.iter().find(|file| file.path == path);
        let file = found.ok_or_else(|| ImageError::MissingBlob {
            digest: digest.clone(),
            place: self.squashfs.name.clone(),
        })?;
        Ok((self.squashfs.part(file.offset, file.size)?, file.size))
    }
}

/// Bytes of a file from one place to another.
#[derive(Debug)]
struct Part {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Part {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buf.len());
        let n = self.file.file().read_at(&mut buf[..most], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Whether all of it was there to be read.
fn whole(read: io::Result<()>) -> io::Result<bool> {
    match read {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// A document of this format.
fn read_as<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        format: u32,
    }
    let unreadable = |error: ImageError| format!("cannot be read ({error})");
    let Versioned { format } = json::read("it", bytes, MAX_INDEX).map_err(unreadable)?;
    if format != FORMAT {
        return Err(format!("is of format {format}, which another version of pinfold made"));
    }
    json::read("it", bytes, MAX_INDEX).map_err(unreadable)
}
