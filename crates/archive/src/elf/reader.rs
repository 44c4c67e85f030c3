//! The one reader of ELF files: from a [`Source`] of bytes to an [`Elf`].
//!
//! It goes in steps (header, program headers, dynamic section, tables of versions, names). Before each it says which bytes
//! the step reads, all of them at once: a source that has only parts of a file can answer what is missing.

use std::cell::Cell;
use std::io;
use std::ops::Range;

use super::Elf;
use super::ElfClass;
use super::ElfKind;
use super::ElfLoad;
use super::ElfOrder;
use super::MAX_DYNAMIC;
use super::MAX_NAME;
use super::MAX_NAME_BYTES;
use super::MAX_NAMES;
use super::MAX_PROGRAM_HEADERS;
use super::MAX_TABLE;
use super::Version;
use super::VersionsNeeded;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const DT_FLAGS_1: u64 = 0x6fff_fffb;
const DT_VERDEF: u64 = 0x6fff_fffc;
const DT_VERNEED: u64 = 0x6fff_fffe;
const DF_1_NODEFLIB: u64 = 0x800;
const DF_1_PIE: u64 = 0x0800_0000;
const VER_FLG_WEAK: u64 = 2;
/// A table of names of at most this size is read at once, of a larger one only what is named.
const NAMES_AT_ONCE: u64 = 1 << 18;

/// Why reading stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// It does not begin as an ELF file of either word size and byte order.
    NotElf,
    /// It does, but a loader would fail on it, or a limit is passed.
    Malformed(&'static str),
    /// The source does not have these ranges (yet).
    Missing(Vec<Range<u64>>),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Where the bytes of a file are.
pub(super) trait Source {
    /// Bytes of the file.
    fn size(&self) -> u64;

    /// Says that all of `ranges` are about to be read. They are inside the file.
    fn expect(&self, ranges: &[Range<u64>]) -> Result<(), Stop> {
        let _ = ranges;
        Ok(())
    }

    /// The bytes of a range that lies inside the file and was expected.
    fn bytes(&self, offset: u64, size: u64) -> Result<Vec<u8>, Stop>;
}

/// How numbers are stored.
#[derive(Clone, Copy)]
struct Layout {
    class: ElfClass,
    order: ElfOrder,
}

impl Layout {
    /// The number of `length` bytes at `at`.
    fn number(self, bytes: &[u8], at: usize, length: usize) -> Result<u64, Stop> {
        let bytes = at.checked_add(length).and_then(|end| bytes.get(at..end));
        let bytes = bytes.ok_or(Stop::Malformed("a table ends early"))?;
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Ok(match self.order {
            ElfOrder::Big => bytes.iter().fold(0, add),
            ElfOrder::Little => bytes.iter().rev().fold(0, add),
        })
    }

    /// The word (4 or 8 bytes) at `at`.
    fn word(self, bytes: &[u8], at: usize) -> Result<u64, Stop> {
        self.number(bytes, at, self.size())
    }

    fn size(self) -> usize {
        self.pick(4, 8)
    }

    /// What belongs to the word size.
    fn pick<T>(self, narrow: T, wide: T) -> T {
        match self.class {
            ElfClass::Elf32 => narrow,
            ElfClass::Elf64 => wide,
        }
    }
}

/// A part of the file that has an address.
struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

/// The range of `size` bytes at `offset`, if it lies inside the file.
fn range(source: &dyn Source, offset: u64, size: u64) -> Result<Range<u64>, Stop> {
    let end = offset.checked_add(size).filter(|&end| end <= source.size());
    Ok(offset..end.ok_or(Stop::Malformed("it names bytes after its end"))?)
}

/// The bytes of `range`, which was expected.
fn bytes(source: &dyn Source, range: &Range<u64>) -> Result<Vec<u8>, Stop> {
    if range.is_empty() { Ok(Vec::new()) } else { source.bytes(range.start, range.end - range.start) }
}

/// Reads an ELF file.
pub(super) fn elf(source: &dyn Source) -> Result<Elf, Stop> {
    if source.size() < 16 {
        return Err(Stop::NotElf);
    }
    source.expect(std::slice::from_ref(&(0..16)))?;
    let ident = source.bytes(0, 16)?;
    let layout = match (&ident[..4], ident[4], ident[5], ident[6]) {
        (b"\x7fELF", class @ 1..=2, data @ 1..=2, 1) => Layout {
            class: if class == 1 { ElfClass::Elf32 } else { ElfClass::Elf64 },
            order: if data == 1 { ElfOrder::Little } else { ElfOrder::Big },
        },
        _ => return Err(Stop::NotElf),
    };
    let header = range(source, 0, layout.pick(52, 64))?;
    source.expect(std::slice::from_ref(&header))?;
    let header = bytes(source, &header)?;
    let half = |at| layout.number(&header, at, 2);
    let mut elf = Elf {
        machine: half(18)? as u16,
        class: layout.class,
        order: layout.order,
        os_abi: ident[7],
        kind: match half(16)? as u16 {
            2 => ElfKind::Executable,
            3 => ElfKind::Dynamic,
            other => ElfKind::Other(other),
        },
        load: ElfLoad::Nothing,
        interpreter: None,
        soname: None,
        needed: Vec::new(),
        rpath: None,
        runpath: None,
        no_default_directories: false,
        position_independent: false,
        versions_needed: Vec::new(),
        versions_defined: Vec::new(),
    };
    let segments = segments(source, layout, &header)?;
    elf.load = load(source, &segments);
    let find = |kind| segments.iter().find(|segment| segment.kind == kind);

    let left = |offset: u64| source.size().saturating_sub(offset);
    let interpreter = find(PT_INTERP)
        .map(|segment| range(source, segment.offset, segment.size.min(left(segment.offset)).min(MAX_NAME)))
        .transpose()?;
    let dynamic = match find(PT_DYNAMIC) {
        Some(segment) if segment.size > MAX_DYNAMIC => {
            return Err(Stop::Malformed("its dynamic section is too long"));
        }
        other => other.map(|segment| range(source, segment.offset, segment.size)).transpose()?,
    };
    let both: Vec<Range<u64>> = interpreter.iter().chain(&dynamic).cloned().collect();
    source.expect(&both)?;
    if let Some(range) = interpreter {
        elf.interpreter = Some(until_nul(&bytes(source, &range)?)?);
    }
    if let Some(range) = dynamic {
        Dynamic::new(source, layout, &segments, &bytes(source, &range)?)?.read(&mut elf)?;
    }
    Ok(elf)
}

/// Whether what is to be mapped lies in the file.
fn load(source: &dyn Source, segments: &[Segment]) -> ElfLoad {
    let mut mapped = segments.iter().filter(|segment| segment.kind == PT_LOAD).peekable();
    let is_inside =
        |segment: &Segment| segment.size == 0 || range(source, segment.offset, segment.size).is_ok();
    if mapped.peek().is_none() {
        ElfLoad::Nothing
    } else if mapped.all(is_inside) {
        ElfLoad::Whole
    } else {
        ElfLoad::CutOff
    }
}

fn segments(source: &dyn Source, layout: Layout, header: &[u8]) -> Result<Vec<Segment>, Stop> {
    let table = layout.word(header, layout.pick(28, 32))?;
    let sizes = layout.pick(42, 54);
    let (entry, count) = (layout.number(header, sizes, 2)?, layout.number(header, sizes + 2, 2)?);
    let expected = layout.pick(32, 56);
    if count > u64::from(MAX_PROGRAM_HEADERS) || count > 0 && entry != expected {
        return Err(Stop::Malformed("its program headers are too many or of a wrong size"));
    }
    let table = range(source, table, count * entry)?;
    source.expect(std::slice::from_ref(&table))?;
    let mut segments = Vec::new();
    for bytes in bytes(source, &table)?.chunks_exact(expected as usize) {
        // The 64-bit form has its flags between type and offset.
        let at = |words: usize| layout.pick(words * 4, words * 8);
        segments.push(Segment {
            kind: layout.number(bytes, 0, 4)?,
            offset: layout.word(bytes, at(1))?,
            address: layout.word(bytes, at(2))?,
            size: layout.word(bytes, at(4))?,
        });
    }
    Ok(segments)
}

/// The text up to its NUL, which must be there.
fn until_nul(bytes: &[u8]) -> Result<Box<[u8]>, Stop> {
    let end = memchr::memchr(0, bytes).ok_or(Stop::Malformed("a name does not end"))?;
    Ok(bytes[..end].into())
}

/// The dynamic section, and the tables that it names.
struct Dynamic<'a> {
    source: &'a dyn Source,
    layout: Layout,
    segments: &'a [Segment],
    tags: Vec<(u64, u64)>,
}

impl<'a> Dynamic<'a> {
    fn new(
        source: &'a dyn Source,
        layout: Layout,
        segments: &'a [Segment],
        section: &[u8],
    ) -> Result<Self, Stop> {
        let mut tags = Vec::new();
        for pair in section.chunks_exact(2 * layout.size()) {
            let (tag, value) = (layout.word(pair, 0)?, layout.word(pair, layout.size())?);
            if tag == 0 {
                break;
            }
            tags.push((tag, value));
        }
        Ok(Self { source, layout, segments, tags })
    }

    /// The value of `tag`; of several the last, as loaders take it.
    fn find(&self, tag: u64) -> Option<u64> {
        self.tags.iter().rev().find(|(other, _)| *other == tag).map(|(_, value)| *value)
    }

    /// Where an address is in the file, and the end of its segment.
    fn place(&self, address: u64) -> Result<Range<u64>, Stop> {
        let loaded = self.segments.iter().filter(|segment| segment.kind == PT_LOAD);
        let mut places = loaded.filter_map(|segment| {
            let inside = address.checked_sub(segment.address).filter(|&inside| inside < segment.size)?;
            let end = segment.offset.checked_add(segment.size)?.min(self.source.size());
            Some(segment.offset.checked_add(inside)?..end)
        });
        let place = places.next().filter(|place| place.start < place.end);
        place.ok_or(Stop::Malformed("it names an address that is not loaded"))
    }

    /// The table that the address in `tag` leads to: its first [`MAX_TABLE`] bytes, since its size stands nowhere.
    fn table(&self, tag: u64) -> Result<Option<Range<u64>>, Stop> {
        let Some(address) = self.find(tag) else { return Ok(None) };
        let place = self.place(address)?;
        Ok(Some(place.start..place.end.min(place.start.saturating_add(MAX_TABLE))))
    }

    fn read(&self, elf: &mut Elf) -> Result<(), Stop> {
        let flags = self.find(DT_FLAGS_1).unwrap_or_default();
        elf.no_default_directories = flags & DF_1_NODEFLIB != 0;
        elf.position_independent = flags & DF_1_PIE != 0;
        let needed: Vec<u64> =
            self.tags.iter().filter(|(tag, _)| *tag == DT_NEEDED).map(|(_, at)| *at).collect();
        let [soname, rpath, runpath] = [DT_SONAME, DT_RPATH, DT_RUNPATH].map(|tag| self.find(tag));
        let Some(address) = self.find(DT_STRTAB) else {
            // Separate debug files have a dynamic segment without content; they name nothing.
            let names = [soname, rpath, runpath, self.find(DT_VERNEED), self.find(DT_VERDEF)];
            let nothing = needed.is_empty() && names.iter().all(Option::is_none);
            return if nothing { Ok(()) } else { Err(Stop::Malformed("it has names and no table of them")) };
        };
        let place = self.place(address)?;
        // Loaders do not look at the table's size.
        let mut names = Names::new(match self.find(DT_STRSZ) {
            Some(size) => range(self.source, place.start, size)?,
            None => place,
        });
        for at in needed.iter().copied().chain([soname, rpath, runpath].into_iter().flatten()) {
            names.add(at)?;
        }

        // What names are known so far is expected at once with the tables: a source then finds them in one pass.
        let (needs, defines) = (self.table(DT_VERNEED)?, self.table(DT_VERDEF)?);
        let mut expected = names.ranges();
        expected.extend(needs.iter().chain(&defines).cloned());
        self.source.expect(&expected)?;
        let needs = needs.map(|range| self.needed_versions(&range)).transpose()?.unwrap_or_default();
        let defines = defines.map(|range| self.defined_versions(&range)).transpose()?.unwrap_or_default();
        for (library, versions) in &needs {
            names.add(*library)?;
            for (version, _) in versions {
                names.add(*version)?;
            }
        }
        for version in &defines {
            names.add(*version)?;
        }
        self.source.expect(&names.ranges())?;

        let names = names.held(self.source)?;
        let name = |at: u64| names.get(self.source, at);
        elf.soname = soname.map(name).transpose()?;
        elf.rpath = rpath.map(name).transpose()?;
        elf.runpath = runpath.map(name).transpose()?;
        elf.needed = needed.into_iter().map(name).collect::<Result<_, _>>()?;
        elf.versions_defined = defines.into_iter().map(name).collect::<Result<_, _>>()?;
        for (library, versions) in needs {
            let version = |(at, weak)| Ok(Version { name: name(at)?, weak });
            let versions = versions.into_iter().map(version).collect::<Result<_, Stop>>()?;
            elf.versions_needed.push(VersionsNeeded { library: name(library)?, versions });
        }
        Ok(())
    }

    /// `Verneed` and `Vernaux` as offsets of names: a library, and its versions with whether they are weak.
    #[expect(clippy::type_complexity, reason = "two numbers and a mark, named one line above")]
    fn needed_versions(&self, table: &Range<u64>) -> Result<Vec<(u64, Vec<(u64, bool)>)>, Stop> {
        let table = bytes(self.source, table)?;
        let mut count = 0;
        let mut needs = Vec::new();
        self.chain(&table, 0, 12, &mut count, |at, count| {
            let mut versions = Vec::new();
            let first = self.layout.number(&table, at + 8, 4)? as usize;
            if self.layout.number(&table, at + 2, 2)? > 0 {
                self.chain(&table, at + first, 12, count, |at, _| {
                    let weak = self.layout.number(&table, at + 4, 2)? & VER_FLG_WEAK != 0;
                    versions.push((self.layout.number(&table, at + 8, 4)?, weak));
                    Ok(())
                })?;
            }
            needs.push((self.layout.number(&table, at + 4, 4)?, versions));
            Ok(())
        })?;
        Ok(needs)
    }

    /// `Verdef` with the first `Verdaux` of each, as offsets of names. The others are what a version inherits from.
    fn defined_versions(&self, table: &Range<u64>) -> Result<Vec<u64>, Stop> {
        let table = bytes(self.source, table)?;
        let mut defines = Vec::new();
        self.chain(&table, 0, 16, &mut 0, |at, _| {
            let first = at + self.layout.number(&table, at + 12, 4)? as usize;
            defines.push(self.layout.number(&table, first, 4)?);
            Ok(())
        })?;
        Ok(defines)
    }

    /// Visits the entries of a table, from the one at `at`: each says `next` bytes after its start how many bytes further the
    /// following one is, and 0 ends it. It goes forward only; `count` is of all entries visited.
    fn chain(
        &self,
        table: &[u8],
        mut at: usize,
        next: usize,
        count: &mut usize,
        mut visit: impl FnMut(usize, &mut usize) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        loop {
            *count += 1;
            if *count > MAX_NAMES {
                return Err(Stop::Malformed("it has too many versions"));
            }
            visit(at, count)?;
            match self.layout.number(table, at + next, 4)? as usize {
                0 => return Ok(()),
                further => at += further,
            }
        }
    }
}

/// Names of the table of strings, by their offset in it.
struct Names {
    table: Range<u64>,
    offsets: Vec<u64>,
}

/// [`Names`] whose bytes can be read: the table, where it is small.
struct Held {
    table: Range<u64>,
    whole: Option<Vec<u8>>,
    /// Bytes that names may still have.
    left: Cell<usize>,
}

impl Names {
    fn new(table: Range<u64>) -> Self {
        Self { table, offsets: Vec::new() }
    }

    fn add(&mut self, at: u64) -> Result<(), Stop> {
        if self.offsets.len() >= MAX_NAMES {
            return Err(Stop::Malformed("it has too many names"));
        }
        if at >= self.table.end - self.table.start {
            return Err(Stop::Malformed("a name is outside of the table of names"));
        }
        self.offsets.push(at);
        Ok(())
    }

    fn is_small(&self) -> bool {
        self.table.end - self.table.start <= NAMES_AT_ONCE
    }

    /// Where the names are in the file.
    fn ranges(&self) -> Vec<Range<u64>> {
        if self.is_small() {
            return vec![self.table.clone()];
        }
        self.offsets.iter().map(|at| place(&self.table, *at)).collect()
    }

    fn held(self, source: &dyn Source) -> Result<Held, Stop> {
        let whole = self.is_small().then(|| bytes(source, &self.table)).transpose()?;
        Ok(Held { table: self.table, whole, left: Cell::new(MAX_NAME_BYTES) })
    }
}

impl Held {
    fn get(&self, source: &dyn Source, at: u64) -> Result<Box<[u8]>, Stop> {
        let place = place(&self.table, at);
        let name = match &self.whole {
            Some(whole) => {
                let part = (place.start - self.table.start) as usize..(place.end - self.table.start) as usize;
                until_nul(&whole[part])
            }
            None => until_nul(&bytes(source, &place)?),
        }?;
        let left = self.left.get().checked_sub(name.len());
        self.left.set(left.ok_or(Stop::Malformed("its names are too long, taken together"))?);
        Ok(name)
    }
}

/// Where the name at `at` of a table is, to the longest end that it may have. `at` is inside the table.
fn place(table: &Range<u64>, at: u64) -> Range<u64> {
    let start = table.start + at;
    start..table.end.min(start.saturating_add(MAX_NAME))
}
