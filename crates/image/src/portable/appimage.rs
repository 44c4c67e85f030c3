//! Reading an AppImage, by position: it may be replaced under its name while it is read.
//!
//! **Guarantees**: the record is within its limits, and places are inside of the file. **Refuses** programs without a record, and
//! records of another format. What is read is held to its digests above ([`super::file`]).

use std::io::Read;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use fs_err::File;
use pinfold_archive::elf::extend;
use pinfold_base::Digest;

use super::Index;
use super::MAX_INDEX;
use super::PortableError;
use super::ProgramRecord;
use super::RECORD;
use super::RECORD_SIZE;
use super::Record;
use super::file::Part;
use super::file::read_as;
use super::file::whole;
use super::program::Program;
use crate::ImageError;
use crate::blobs::BlobRead;
use crate::blobs::VerifiedReader;
use crate::blobs::unwrap_io;

/// A file whose record is what it says.
#[derive(Clone, Debug)]
pub(super) struct AppImage {
    file: Arc<File>,
    name: String,
    /// Where the squashfs begins.
    pub(super) start: u64,
    length: u64,
    program: ProgramRecord,
}

impl AppImage {
    /// Reads an open file, called `name` in messages, that has the magic. [`PortableError::Other`] where it is none of ours.
    pub(super) fn of(file: &Arc<File>, name: &str) -> Result<(Self, Index), ImageError> {
        let damaged = |reason: String| PortableError::Damaged { file: name.to_owned(), reason };
        let of_program = |error| match error {
            extend::ExtendError::Io(error) => ImageError::from(error),
            extend::ExtendError::Program(reason) => damaged(reason.into()).into(),
        };
        let length = file.metadata()?.len();
        let section = extend::section(&mut &**file, RECORD).map_err(of_program)?;
        let section = section.ok_or_else(|| PortableError::Other { file: name.to_owned() })?;
        let mut bytes = vec![0; RECORD_SIZE];
        if section.1 != RECORD_SIZE as u64 || !whole(file.file().read_exact_at(&mut bytes, section.0))? {
            return Err(damaged("its record is not all there".into()).into());
        }
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let record: Record =
            read_as(&bytes[..end]).map_err(|reason| damaged(format!("its record {reason}")))?;
        let start = extend::end(&mut &**file).map_err(of_program)?;
        if start.checked_add(record.squashfs) != Some(length) {
            let reason =
                format!("it has {length} bytes, and not the {start} and {} it says", record.squashfs);
            return Err(damaged(reason).into());
        }
        if record.index.size > MAX_INDEX || record.program.size > start {
            return Err(damaged("its record says what cannot be".into()).into());
        }
        let Record { program, index, .. } = record;
        let carrier = Self { file: Arc::clone(file), name: name.to_owned(), start, length, program };
        let reader = carrier.part(index.offset, index.size)?;
        let mut bytes = Vec::new();
        VerifiedReader::new(reader, index.digest, index.size).read_to_end(&mut bytes).map_err(unwrap_io)?;
        let index = read_as(&bytes).map_err(|reason| damaged(format!("its index {reason}")))?;
        Ok((carrier, index))
    }

    /// The file as it is.
    pub(super) fn all(&self) -> Part {
        Part { file: Arc::clone(&self.file), at: 0, end: self.length }
    }

    /// Digest and size of the program that it was made with.
    pub(super) fn program_is(&self) -> (&Digest, u64) {
        (&self.program.digest, self.program.size)
    }

    /// That program, as it was; unverified.
    pub(super) fn program(&self) -> Result<Program, ImageError> {
        let ProgramRecord { size, header, .. } = &self.program;
        let damaged = || PortableError::Damaged {
            file: self.name.clone(),
            reason: "its record of the program cannot be read".into(),
        };
        let pairs = header
            .as_bytes()
            .chunks(2)
            .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
        let header = pairs.collect::<Option<Vec<u8>>>().filter(|header| header.len() == extend::HEADER);
        let header = header.filter(|header| header.len() as u64 <= *size).ok_or_else(damaged)?;
        Ok(Program::new(header, self.file.clone(), *size))
    }

    /// The text of a section of the AppImage specification, without the zeros behind it.
    pub(super) fn section(&self, name: &str) -> Result<String, ImageError> {
        let Some((offset, size)) = extend::section(&mut &*self.file, name)
            .map_err(|error| PortableError::Damaged { file: self.name.clone(), reason: error.to_string() })?
        else {
            return Ok(String::new());
        };
        let mut bytes = Vec::new();
        let end = offset.saturating_add(size.min(RECORD_SIZE as u64));
        Part { file: self.file.clone(), at: offset, end }.read_to_end(&mut bytes)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// Bytes of the squashfs, which are all there.
    pub(super) fn part(&self, offset: u64, size: u64) -> Result<BlobRead, ImageError> {
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
