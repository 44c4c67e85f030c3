//! Sections for a program that is there already: what is put behind it, and the header that then says so.
//!
//! ```text
//! header          as it was, but for where the section table is, and the eight bytes that the caller may want in it
//! program         as it was, with the section table that it had
//! sections        each behind a multiple of 16
//! names           those of the program's sections, then the new ones
//! zeros           so that the end is a multiple of what is asked for
//! section table   the program's, the new ones, the names
//! ```
//!
//! Nothing that is loaded moves, so a program starts as it did. What tools take for its end (ELF, System V ABI: `e_shoff +
//! e_shentsize · e_shnum`) is the end of what is written: whatever comes behind that is no part of the program.
//!
//! **Guarantees**: equal programs and sections give equal bytes; of the program only headers and names are held in memory.
//! **Refuses**: what is not 64 bits and little-endian, has no section table or names, or has them outside of itself.

use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;

/// Bytes of the header (`Elf64_Ehdr`).
pub const HEADER: usize = 64;
/// Bytes of a section's header (`Elf64_Shdr`).
const SECTION: u64 = 64;
/// Most sections of a program that is extended.
const MAX_SECTIONS: u16 = 4096;
/// Most bytes of names of its sections.
const MAX_STRINGS: u64 = 1 << 20;
/// What sections are aligned to.
const ALIGNMENT: u64 = 16;

/// Kinds of sections: what only the program's owner understands, and names.
const PROGBITS: u32 = 1;
const STRINGS: u32 = 3;

/// Why a program cannot be extended.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    /// It is not what is extended.
    #[error("the program cannot be extended: {0}")]
    Program(&'static str),
    /// It could not be read.
    #[error("failed to read the program")]
    Io(#[from] io::Error),
}

/// A section to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    /// Its name, with the dot.
    pub name: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

/// A program with more sections: `header`, then the program's own bytes from [`HEADER`] to `length`, then `behind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extended {
    /// The header, instead of the program's.
    pub header: [u8; HEADER],
    /// Bytes of the program as it was.
    pub length: u64,
    /// What comes behind them.
    pub behind: Vec<u8>,
}

impl Extended {
    /// Bytes of all.
    pub fn size(&self) -> u64 {
        self.length + self.behind.len() as u64
    }
}

/// Where the section of this name lies, as (offset, size), and nothing where there is none.
pub fn section(program: &mut (impl Read + Seek), name: &str) -> Result<Option<(u64, u64)>, ExtendError> {
    let table = Table::read(program)?;
    let found = table.sections.chunks(64).find(|header| table.name(header) == Some(name.as_bytes()));
    let Some(header) = found else { return Ok(None) };
    let (offset, size) = (at64(header, 24), at64(header, 32));
    if offset.checked_add(size).is_none_or(|end| end > table.length) {
        return Err(ExtendError::Program("a section is outside of it"));
    }
    Ok(Some((offset, size)))
}

/// What tools take for the end of a program: where its section table ends, or the last section of it.
pub fn end(program: &mut (impl Read + Seek)) -> Result<u64, ExtendError> {
    let Table { header, sections, .. } = Table::read(program)?;
    let table = at64(&header, 40) + sections.len() as u64;
    let last = sections.rchunks(64).next().unwrap_or_default();
    Ok(table.max(at64(last, 24).saturating_add(at64(last, 32))))
}

/// Adds sections to a program whose end is to be a multiple of `multiple`.
pub fn extend(
    program: &mut (impl Read + Seek),
    sections: &[Section<'_>],
    multiple: u64,
) -> Result<Extended, ExtendError> {
    let Table { mut header, length, sections: mut table, mut names, .. } = Table::read(program)?;
    let mut behind = Vec::new();
    let align = |behind: &mut Vec<u8>| {
        let at = (length + behind.len() as u64).next_multiple_of(ALIGNMENT);
        behind.resize(usize::try_from(at - length).unwrap_or_default(), 0);
        at
    };
    let name = |names: &mut Vec<u8>, name: &str| {
        let at = u32::try_from(names.len()).unwrap_or_default();
        names.extend(name.as_bytes());
        names.push(0);
        at
    };
    for section in sections {
        let at = align(&mut behind);
        behind.extend(section.bytes);
        let named = name(&mut names, section.name);
        table.extend(section_header(named, PROGBITS, at, section.bytes.len() as u64));
    }
    let named = name(&mut names, ".shstrtab");
    let at = align(&mut behind);
    behind.extend(&names);
    table.extend(section_header(named, STRINGS, at, names.len() as u64));
    let count = u16::try_from(table.len() as u64 / SECTION).unwrap_or_default();
    let end = (align(&mut behind) + table.len() as u64).next_multiple_of(multiple);
    let start = end - table.len() as u64;
    behind.resize(usize::try_from(start - length).unwrap_or_default(), 0);
    behind.extend(&table);
    header[40..48].copy_from_slice(&start.to_le_bytes());
    header[60..62].copy_from_slice(&count.to_le_bytes());
    header[62..64].copy_from_slice(&(count - 1).to_le_bytes());
    Ok(Extended { header, length, behind })
}

/// A program's section table, with the names.
struct Table {
    header: [u8; HEADER],
    length: u64,
    sections: Vec<u8>,
    names: Vec<u8>,
}

impl Table {
    fn read(program: &mut (impl Read + Seek)) -> Result<Self, ExtendError> {
        let wrong = |reason| Err::<Self, _>(ExtendError::Program(reason));
        let length = program.seek(SeekFrom::End(0))?;
        if length < HEADER as u64 {
            return wrong("it is shorter than a header");
        }
        let mut header = [0; HEADER];
        program.rewind()?;
        program.read_exact(&mut header)?;
        // ELFCLASS64, ELFDATA2LSB, EV_CURRENT.
        if header[..7] != *b"\x7fELF\x02\x01\x01" {
            return wrong("it is no program of 64 bits, little-endian");
        }
        let (start, size, count) = (at64(&header, 40), at16(&header, 58), at16(&header, 60));
        let last = at16(&header, 62);
        if u64::from(size) != SECTION || !(1..=MAX_SECTIONS).contains(&count) || last == 0 || last >= count {
            return wrong("it has no table of sections, or one of another form");
        }
        let mut part = |start: u64, size: u64| -> Result<Vec<u8>, ExtendError> {
            if start.checked_add(size).is_none_or(|end| end > length) {
                return Err(ExtendError::Program("its table of sections is outside of it"));
            }
            let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
            program.seek(SeekFrom::Start(start))?;
            program.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        let sections = part(start, u64::from(count) * SECTION)?;
        let strings = &sections[usize::from(last) * 64..][..64];
        let (start, size) = (at64(strings, 24), at64(strings, 32));
        if size > MAX_STRINGS {
            return wrong("the names of its sections are too long");
        }
        let names = part(start, size)?;
        if names.last() != Some(&0) {
            return wrong("the names of its sections do not end");
        }
        Ok(Self { header, length, sections, names })
    }

    /// The name of a section.
    fn name(&self, header: &[u8]) -> Option<&[u8]> {
        let from = self.names.get(usize::try_from(at32(header, 0)).ok()?..)?;
        from.split(|byte| *byte == 0).next()
    }
}

fn section_header(name: u32, kind: u32, offset: u64, size: u64) -> [u8; 64] {
    let mut header = [0; 64];
    header[..4].copy_from_slice(&name.to_le_bytes());
    header[4..8].copy_from_slice(&kind.to_le_bytes());
    header[24..32].copy_from_slice(&offset.to_le_bytes());
    header[32..40].copy_from_slice(&size.to_le_bytes());
    header[48..56].copy_from_slice(&1_u64.to_le_bytes());
    header
}

fn at16(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn at32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn at64(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the program is started, and readelf asked")]

    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use fs_err as fs;

    use super::*;

    fn extended(program: &[u8], sections: &[Section<'_>]) -> Result<Vec<u8>, ExtendError> {
        let extended = extend(&mut io::Cursor::new(program), sections, 4096)?;
        let mut out = Vec::new();
        out.write_all(&extended.header)?;
        out.write_all(&program[HEADER..])?;
        out.write_all(&extended.behind)?;
        assert_eq!(out.len() as u64, extended.size());
        Ok(out)
    }

    /// A program of this machine: it starts as before, and its sections are found.
    #[test]
    fn a_program_with_more_sections_is_the_same_program() {
        let program = fs::read("/bin/true").unwrap();
        let sections =
            [Section { name: ".one", bytes: b"first" }, Section { name: ".two", bytes: &[7; 1024] }];
        let out = extended(&program, &sections).unwrap();
        assert_eq!((out.len() % 4096, extended(&program, &sections).unwrap() == out), (0, true));
        for Section { name, bytes } in sections {
            let (at, size) = section(&mut io::Cursor::new(&out), name).unwrap().unwrap();
            assert_eq!(&out[usize::try_from(at).unwrap()..][..usize::try_from(size).unwrap()], bytes);
        }
        assert_eq!(section(&mut io::Cursor::new(&out), ".three").unwrap(), None);
        // As tools look for its end.
        assert_eq!(end(&mut io::Cursor::new(&out)).unwrap(), out.len() as u64);
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("true");
        fs::write(&file, &out).unwrap();
        fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Command::new(&file).status().unwrap().success());
        if let Ok(output) = Command::new("readelf").args(["--sections", "--wide"]).arg(&file).output() {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains(".one") && said.contains(".two") && said.contains(".text"), "{said}");
            assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }

    #[test]
    fn what_is_no_such_program_is_refused() {
        let program = fs::read("/bin/true").unwrap();
        let with = |at: usize, bytes: &[u8]| {
            let mut program = program.clone();
            program[at..at + bytes.len()].copy_from_slice(bytes);
            extended(&program, &[])
        };
        assert!(with(0, b"\x7fELF").is_ok(), "the control");
        for (at, bytes) in [
            (0, &b"#!/b"[..]),
            (4, &[1]),
            (5, &[2]),
            (40, &u64::MAX.to_le_bytes()),
            (58, &[63, 0]),
            (60, &[0, 0]),
            (60, &[255, 255]),
            (62, &[0, 0]),
            (62, &[255, 0]),
        ] {
            assert!(matches!(with(at, bytes), Err(ExtendError::Program(_))), "{at} {bytes:?}");
        }
        assert!(matches!(extended(&program[..63], &[]), Err(ExtendError::Program(_))));
        assert!(extended(&[], &[]).is_err());
    }
}
