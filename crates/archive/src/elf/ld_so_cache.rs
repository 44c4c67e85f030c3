//! `/etc/ld.so.cache`, as `ldconfig` of glibc 2.36 writes it ("new" format, little-endian).
//!
//! ```text
//! "glibc-ld.so.cache1.1" | entries u32 | bytes of strings u32 | flags u8 = 2 | 0 u8 x 3 | extension u32 | 0 u32 x 3
//! entry      flags i32 | name u32 | path u32 | 0 u32 | hardware capabilities u64 = 0
//! strings    each ended by NUL, then zeros up to a multiple of 4
//! extension  0xeaa42174 u32 | sections u32 = 1 | tag u32 = 0 | flags u32 = 0 | offset u32 | size u32 | generator
//! ```
//!
//! All offsets count from the start of the file. Entries are sorted so that the linker can search them by halves; of equal
//! names the one whose directory comes first in the configuration wins.
//!
//! Directories: those of `/etc/ld.so.conf` with what it includes, then the multiarch ones and `/lib`, `/usr/lib`; one that
//! is reached under two names counts under its first. Files: `lib*` and `ld-*` with `.so` in their name that are shared
//! objects of the architecture, under their SONAME.
//!
//! **Left out**: libraries of other architectures, SONAMEs with a slash, `glibc-hwcaps` directories (the linker then takes the
//! ordinary build of such a library).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;

use pinfold_base::Arch;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;

use super::ElfClass;
use super::ElfKind;
use crate::Content;
use crate::Contents;
use crate::NodeKind;
use crate::Tree;

mod read;

pub use self::read::CachedLibrary;
pub use self::read::cached_libraries;

const MAGIC: &[u8; 20] = b"glibc-ld.so.cache1.1";
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;
/// Bytes of the header, and of one entry.
const HEADER: usize = 48;
const ENTRY: usize = 24;
/// The cache is little-endian.
const LITTLE_ENDIAN: u8 = 2;
/// Most libraries accepted.
const MAX_LIBRARIES: usize = 100_000;
/// Largest configuration file accepted, and how deep files may include each other.
const MAX_CONFIGURATION: u64 = 1 << 20;
const MAX_DEPTH: usize = 8;

/// Why no cache of libraries can be made.
#[derive(Debug, thiserror::Error)]
pub enum LdSoCacheError {
    /// A file of the tree could not be read.
    #[error("failed to read `{path}` for the library cache")]
    Content {
        /// The file.
        path: ImagePath,
        /// Why.
        source: io::Error,
    },
    /// There is more than the format or our limit can hold.
    #[error("the library cache would be too large: more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: usize,
    },
}

impl Diagnose for LdSoCacheError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Content { source, .. } => Diagnosis::Inner(source),
            Self::Limit { .. } => Diagnosis::Own(Kind::Refused),
        }
    }
}

/// The bytes of `/etc/ld.so.cache` for `tree`. `generator` is what the cache says about its maker:
/// `ldconfig (Debian GLIBC VERSION) stable release version 2.36`.
pub fn ld_so_cache(
    tree: &Tree,
    contents: &dyn Contents,
    arch: Arch,
    generator: &str,
) -> Result<Vec<u8>, LdSoCacheError> {
    let mut entries = Vec::new();
    for directory in directories(tree, contents, arch)? {
        for name in directory.libraries(tree, contents, arch)?.into_keys() {
            let path = [&directory.name[..], b"/", &name[..]].concat();
            entries.push((name, path));
        }
    }
    if entries.len() > MAX_LIBRARIES {
        return Err(LdSoCacheError::Limit { what: "libraries", limit: MAX_LIBRARIES });
    }
    // Stable, so that equal names stay in the order of their directories.
    entries.sort_by(|(left, _), (right, _)| compare(right, left));
    // `FLAG_ELF_LIBC6` with the ABI, from glibc's `ldconfig.h`.
    let flags: u32 = match arch {
        Arch::Amd64 => 0x0303,
        Arch::Arm64 => 0x0a03,
    };

    let strings_at = HEADER + entries.len() * ENTRY;
    let (strings, places) = strings(entries.iter().flat_map(|(name, path)| [&name[..], &path[..]]));
    let extension_at = (strings_at + strings.len()).next_multiple_of(4);
    let mut out = Vec::with_capacity(extension_at + 128);
    let put = |out: &mut Vec<u8>, value: usize| {
        // Everything here is far below 4 GiB: a hundred thousand paths of at most 4 KiB.
        out.extend_from_slice(&(value as u32).to_le_bytes());
    };
    out.extend_from_slice(MAGIC);
    put(&mut out, entries.len());
    put(&mut out, strings.len());
    out.extend_from_slice(&[LITTLE_ENDIAN, 0, 0, 0]);
    put(&mut out, extension_at);
    out.resize(HEADER, 0);
    for (name, path) in &entries {
        out.extend_from_slice(&flags.to_le_bytes());
        put(&mut out, strings_at + places.get(&name[..]).copied().unwrap_or_default());
        put(&mut out, strings_at + places.get(&path[..]).copied().unwrap_or_default());
        out.extend_from_slice(&[0; 12]);
    }
    out.extend_from_slice(&strings);
    out.resize(extension_at, 0);
    out.extend_from_slice(&EXTENSION_MAGIC.to_le_bytes());
    for value in [1, 0, 0, extension_at + 24, generator.len()] {
        put(&mut out, value);
    }
    out.extend_from_slice(generator.as_bytes());
    Ok(out)
}

/// A symbolic link: its path and its target.
pub type SonameLink = (ImagePath, Box<[u8]>);

/// The symbolic links that `ldconfig` would make because a library's SONAME is not there under that name.
/// The cache takes them for granted, so put them into the tree.
pub fn soname_links(
    tree: &Tree,
    contents: &dyn Contents,
    arch: Arch,
) -> Result<Vec<SonameLink>, LdSoCacheError> {
    let mut links = Vec::new();
    for directory in directories(tree, contents, arch)? {
        for (soname, file) in directory.libraries(tree, contents, arch)? {
            if let Ok(path) = directory.path.join(&soname)
                && !tree.contains(&path)
            {
                links.push((path, file.name));
            }
        }
    }
    Ok(links)
}

/// A directory of libraries.
struct Directory {
    /// Under which name paths in it are written, absolute.
    name: Vec<u8>,
    /// Where it is in the tree, links followed.
    path: ImagePath,
}

/// A file that stands for its SONAME.
struct Library {
    name: Box<[u8]>,
    link: bool,
}

/// The directories to search, in order.
fn directories(tree: &Tree, contents: &dyn Contents, arch: Arch) -> Result<Vec<Directory>, LdSoCacheError> {
    let mut names = Vec::new();
    if let Ok(path) = ImagePath::new("etc/ld.so.conf") {
        configured(tree, contents, &path, MAX_DEPTH, &mut names)?;
    }
    let triplet = arch.triplet();
    for name in [format!("/lib/{triplet}"), format!("/usr/lib/{triplet}"), "/lib".into(), "/usr/lib".into()] {
        names.push(name.into_bytes());
    }
    let mut seen = BTreeSet::new();
    let mut directories = Vec::new();
    for name in names {
        let Some(path) = ImagePath::new(&name).ok().and_then(|path| tree.resolve(&path)) else { continue };
        let is_directory = tree.get(&path).is_some_and(|node| node.kind == NodeKind::Directory);
        if is_directory && seen.insert(path.clone()) {
            directories.push(Directory { name, path });
        }
    }
    Ok(directories)
}

/// Adds the directories that a configuration file names. Files that are not there, or not text, add nothing.
fn configured(
    tree: &Tree,
    contents: &dyn Contents,
    file: &ImagePath,
    depth: usize,
    names: &mut Vec<Vec<u8>>,
) -> Result<(), LdSoCacheError> {
    let Some(content) = tree.content(file) else { return Ok(()) };
    let failed = |source| LdSoCacheError::Content { path: file.clone(), source };
    let text = contents.read(content, MAX_CONFIGURATION).map_err(failed)?;
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.split(|&byte| byte == b'#').next().unwrap_or_default().trim_ascii();
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        match words.next() {
            Some(b"include") if depth > 0 => {
                for pattern in words {
                    for file in matching(tree, file, pattern) {
                        configured(tree, contents, &file, depth - 1, names)?;
                    }
                }
            }
            Some(b"include" | b"hwcap") | None => {}
            // A word after `=` is the type of the directory, which means nothing since libc5.
            Some(_) => {
                let name = line.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
                let end = name.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
                if name.starts_with(b"/") && end > 0 {
                    names.push(name[..end].into());
                }
            }
        }
    }
    Ok(())
}

/// The files that a pattern of `include` means, in order of their names. Wildcards may stand in the last component.
fn matching(tree: &Tree, from: &ImagePath, pattern: &[u8]) -> Vec<ImagePath> {
    let at = pattern.iter().rposition(|&byte| byte == b'/');
    let directory = match at {
        Some(at) if pattern.starts_with(b"/") => ImagePath::new(&pattern[..at]).ok(),
        Some(at) => from.parent().and_then(|parent| parent.join(&pattern[..at]).ok()),
        None => from.parent(),
    };
    let pattern = &pattern[at.map_or(0, |at| at + 1)..];
    let Some(directory) = directory.and_then(|directory| tree.resolve(&directory)) else { return Vec::new() };
    tree.below(&directory)
        .map(|(path, _)| path)
        .filter(|path| path.parent().as_ref() == Some(&directory) && matches(pattern, path.name()))
        .filter(|path| pattern.starts_with(b".") || !path.name().starts_with(b"."))
        .cloned()
        .collect()
}

/// Whether a name matches a pattern of `*` and `?`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to take up again when the last star has to swallow one more byte.
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    (p, n) = (at + 1, swallowed + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

impl Directory {
    /// The libraries in it by the names under which the linker looks for them.
    fn libraries(
        &self,
        tree: &Tree,
        contents: &dyn Contents,
        arch: Arch,
    ) -> Result<BTreeMap<Box<[u8]>, Library>, LdSoCacheError> {
        let mut found: BTreeMap<Box<[u8]>, Library> = BTreeMap::new();
        for (path, node) in tree.below(&self.path) {
            let name = path.name();
            let candidate = (name.starts_with(b"lib") || name.starts_with(b"ld-"))
                && memchr::memmem::find(name, b".so").is_some();
            if !candidate || path.parent().as_ref() != Some(&self.path) {
                continue;
            }
            let Some(content) = tree.content(path) else { continue };
            let Some(soname) = soname(contents, content, arch)
                .map_err(|source| LdSoCacheError::Content { path: path.clone(), source })?
            else {
                continue;
            };
            let soname = soname.unwrap_or_else(|| name.into());
            if soname.contains(&b'/') || soname.is_empty() {
                continue;
            }
            // A symbolic link stands for itself only when it is called like the library: by its SONAME, or by the name
            // that compilers look for. Any other link is taken for a file.
            let link = matches!(node.kind, NodeKind::Symlink(_))
                && (*name == *soname || name.ends_with(b".so") && soname.starts_with(name));
            let key = if link { name.into() } else { soname };
            let library = Library { name: name.into(), link };
            match found.get_mut(&key) {
                None => drop(found.insert(key, library)),
                Some(old) => {
                    let newer = old.link == link && compare(&old.name, name) == Ordering::Less;
                    if old.link && !link || newer {
                        *old = library;
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The SONAME of a shared object of `arch` (`Some(None)` when it has none); `None` for everything else.
#[expect(clippy::option_option, reason = "no library, and a library without a name, are two things")]
fn soname(contents: &dyn Contents, content: &Content, arch: Arch) -> io::Result<Option<Option<Box<[u8]>>>> {
    Ok(super::read(contents, content)?
        .filter(|elf| {
            elf.kind == ElfKind::Dynamic && elf.class == ElfClass::Elf64 && elf.machine == arch.elf_machine()
        })
        .map(|elf| elf.soname))
}

/// glibc's order of library names (`_dl_cache_libcmp`): runs of digits compare as numbers and come after anything else.
fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (mut left, mut right) = (left, right);
    loop {
        let digit = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
        match (digit(left), digit(right)) {
            (true, true) => {
                let (a, b);
                (a, left) = digits(left);
                (b, right) = digits(right);
                let order = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
                if order != Ordering::Equal {
                    return order;
                }
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) => match (left.split_first(), right.split_first()) {
                (Some((a, more)), Some((b, rest))) if a == b => (left, right) = (more, rest),
                (a, b) => return a.map(|(byte, _)| byte).cmp(&b.map(|(byte, _)| byte)),
            },
        }
    }
}

/// The digits at the start, without leading zeros, and what follows.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let start = digits.iter().position(|&digit| digit != b'0').unwrap_or(end);
    (&digits[start..], rest)
}

/// A table of strings that share their tails, and where each of them starts in it.
fn strings<'a>(all: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, BTreeMap<&'a [u8], usize>) {
    let mut order: Vec<&[u8]> = all.collect::<BTreeSet<_>>().into_iter().collect();
    // Sorted by reversed bytes from last to first, a string follows the ones that end with it.
    order.sort_by(|left, right| right.iter().rev().cmp(left.iter().rev()));
    let mut table = Vec::new();
    let mut places = BTreeMap::new();
    let mut last: &[u8] = b"";
    for text in order {
        if !last.ends_with(text) || last.is_empty() {
            table.extend_from_slice(text);
            table.push(0);
            last = text;
        }
        places.insert(text, table.len() - 1 - text.len());
    }
    (table, places)
}

#[cfg(test)]
mod tests;
