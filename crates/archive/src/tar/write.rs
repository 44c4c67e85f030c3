//! The canonical tar of a tree: equal trees give equal bytes, whoever writes them, wherever.
//!
//! - ustar headers; a PAX header before them only when a value does not fit, with sorted keys and a fixed name of its own.
//! - Numeric owners, empty user and group names, whole seconds, no access or change time, device numbers zero.
//! - Entries in order of path bytes, directories with a trailing `/`, nothing absolute, no `./`, no entry for the root.
//! - Every parent stands before its children (AWS Lambda and others refuse a layer otherwise).
//! - Names of one file: the first in order is the file, the others are hard links to it, whichever of them the tree has as
//!   the file. Readers may thus unpack in one pass.
//! - Two blocks of zeros at the end, no padding to a record.
//!
//! **Refuses** names that begin with `.wh.` but for the whiteouts of a [`Changeset`] (they would delete files of lower layers), missing parents, dangling hard links,
//! NUL in link targets and attributes, `=` in the name of an attribute, mode bits beyond 07777.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Read;
use std::io::Write;

use pinfold_base::ImagePath;

use super::BLOCK;
use super::TarError;
use super::header::Header;
use super::pax;
use crate::Changeset;
use crate::Content;
use crate::Contents;
use crate::Metadata;
use crate::Node;
use crate::NodeKind;
use crate::Tree;
use crate::layer::is_reserved;

/// The end of an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// What the PAX headers themselves are called. Readers that know PAX never show it.
const PAX_NAME: &[u8] = b"PaxHeaders/0";

/// A piece of a tar. The pieces of a tree, one after the other, are its canonical tar.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Headers, padding, the end marker.
    Bytes(Vec<u8>),
    /// Bytes that are compressed already, and get no smaller.
    Dense(Vec<u8>),
    /// The whole content of a file, never empty.
    File {
        /// The file.
        path: &'a ImagePath,
        /// Its content.
        content: &'a Content,
    },
}

/// All pieces of one entry, so that a caller can group entries. [`END`] follows the last one.
#[derive(Debug, PartialEq, Eq)]
pub struct EntryPieces<'a> {
    /// The path of the entry.
    pub path: &'a ImagePath,
    /// The node as it stands in the tree.
    pub node: &'a Node,
    /// All header blocks.
    pub header: Vec<u8>,
    /// The content that follows; `None` when there is none or it is empty. For the first of several names of a file this is
    /// the content of that file, also where the tree has a hard link here.
    pub content: Option<&'a Content>,
    /// How many zero bytes follow the content, below 512.
    pub padding: usize,
}

/// The pieces of the canonical tar of `tree`, the end marker last.
pub fn pieces(tree: &Tree) -> impl Iterator<Item = Result<Piece<'_>, TarError>> + '_ {
    joined(entries(tree))
}

/// The pieces of the tar of a layer, its whiteouts among them.
pub fn pieces_of(layer: &Changeset) -> impl Iterator<Item = Result<Piece<'_>, TarError>> + '_ {
    joined(entries_with(layer.tree(), Some(layer.whiteouts())))
}

fn joined<'a>(
    entries: impl Iterator<Item = Result<EntryPieces<'a>, TarError>> + 'a,
) -> impl Iterator<Item = Result<Piece<'a>, TarError>> + 'a {
    let end = std::iter::once(Ok(Piece::Bytes(END.to_vec())));
    entries
        .flat_map(|entry| match entry {
            Err(error) => [Some(Err(error)), None, None],
            Ok(entry) => [
                Some(Ok(Piece::Bytes(entry.header))),
                entry.content.map(|content| Ok(Piece::File { path: entry.path, content })),
                (entry.padding > 0).then(|| Ok(Piece::Bytes(vec![0; entry.padding]))),
            ],
        })
        .flatten()
        .chain(end)
}

/// The entries of the canonical tar of `tree`, in order.
pub fn entries(tree: &Tree) -> impl Iterator<Item = Result<EntryPieces<'_>, TarError>> + '_ {
    entries_with(tree, None)
}

/// The same, where `whiteouts` may have names that no file may have.
fn entries_with<'a>(
    tree: &'a Tree,
    whiteouts: Option<&'a BTreeSet<ImagePath>>,
) -> impl Iterator<Item = Result<EntryPieces<'a>, TarError>> + 'a {
    let links = links(tree);
    tree.iter().filter(|(path, _)| !path.is_root()).map(move |(path, node)| {
        if is_reserved(path.name()) && !whiteouts.is_some_and(|whiteouts| whiteouts.contains(path)) {
            return Err(refuse(path, "names that begin with `.wh.` mean deletions in an image layer"));
        }
        entry(tree, &links, path, node).map_err(|reason| refuse(path, reason))
    })
}

/// The header blocks of a member of an archive that is no tree, as one of an image: root's, at the epoch, 0755 for a directory (whose
/// name ends with a slash) and 0644 for a file of `size` bytes. Its device numbers are empty and not zero, so that archives have
/// the bytes they always had.
pub fn member(name: &[u8], size: u64) -> Result<Vec<u8>, &'static str> {
    let mode = if name.ends_with(b"/") { 0o755 } else { 0o644 };
    member_of_mode(name, mode, size)
}

/// The same with other permission bits.
pub fn member_of_mode(name: &[u8], mode: u32, size: u64) -> Result<Vec<u8>, &'static str> {
    let kind = if name.ends_with(b"/") { b'5' } else { b'0' };
    blocks(Header::without_devices(kind), name, b"", &Metadata::root(mode, 0), size)
}

/// Writes the canonical tar of `tree`.
pub fn write(tree: &Tree, contents: &dyn Contents, mut out: impl Write) -> Result<(), TarError> {
    for piece in pieces(tree) {
        match piece? {
            Piece::Bytes(bytes) | Piece::Dense(bytes) => out.write_all(&bytes)?,
            Piece::File { path, content } => {
                let failed = |source| TarError::Content { path: path.clone(), source };
                let mut reader = contents.open(content).map_err(failed)?;
                let mut left = content.size();
                let mut buffer = vec![0; 128 * 1024];
                while left > 0 {
                    let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    let n = reader.read(&mut buffer[..most]).map_err(failed)?;
                    if n == 0 {
                        return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
                    }
                    out.write_all(&buffer[..n])?;
                    left -= n as u64;
                }
            }
        }
    }
    Ok(out.flush()?)
}

fn refuse(path: &ImagePath, reason: &'static str) -> TarError {
    TarError::Node { path: path.clone(), reason }
}

/// For every file with more than one name (keyed by the name that the tree has as the file): its first name in order.
fn links(tree: &Tree) -> BTreeMap<&ImagePath, &ImagePath> {
    let mut first = BTreeMap::new();
    for (path, node) in tree.iter() {
        if let NodeKind::Hardlink(target) = &node.kind {
            // Iteration is in order, so only the file itself can still come before the first link met.
            first.entry(target).or_insert_with(|| path.min(target));
        }
    }
    first
}

fn entry<'a>(
    tree: &'a Tree,
    links: &BTreeMap<&'a ImagePath, &'a ImagePath>,
    path: &'a ImagePath,
    node: &'a Node,
) -> Result<EntryPieces<'a>, &'static str> {
    if path.parent().is_some_and(|parent| {
        !parent.is_root() && !tree.get(&parent).is_some_and(|node| node.kind == NodeKind::Directory)
    }) {
        return Err("its parent is not in the tree or no directory");
    }
    let name = path.as_bytes();
    let bare = |kind, link| header(kind, name, link, &node.meta, 0).map(|header| (header, None));
    let (header, content) = match &node.kind {
        NodeKind::Directory => {
            let name = [name, b"/"].concat();
            (header(b'5', &name, b"", &node.meta, 0)?, None)
        }
        NodeKind::Symlink(target) if target.is_empty() => return Err("the target of the link is empty"),
        NodeKind::Symlink(target) => bare(b'2', &target[..])?,
        NodeKind::File(content) => match links.get(path) {
            Some(first) if *first != path => link(name, first, &node.meta)?,
            _ => file(name, &node.meta, content)?,
        },
        NodeKind::Hardlink(target) => {
            let Some(Node { kind: NodeKind::File(content), meta, .. }) = tree.get(target) else {
                return Err("it is a hard link to something that is no file of the tree");
            };
            match links.get(target) {
                Some(first) if *first != path => link(name, first, meta)?,
                _ => file(name, meta, content)?,
            }
        }
    };
    let padding = content.map_or(0, |content| (BLOCK - content.size() as usize % BLOCK) % BLOCK);
    Ok(EntryPieces { path, node, header, content, padding })
}

type Built<'a> = (Vec<u8>, Option<&'a Content>);

fn file<'a>(name: &[u8], meta: &Metadata, content: &'a Content) -> Result<Built<'a>, &'static str> {
    Ok((header(b'0', name, b"", meta, content.size())?, Some(content).filter(|content| content.size() > 0)))
}

/// A hard link repeats mode, owner and time of the file, but not its attributes: these were set with the first name.
fn link<'a>(name: &[u8], first: &ImagePath, meta: &Metadata) -> Result<Built<'a>, &'static str> {
    let plain = Metadata { xattrs: BTreeMap::new(), ..*meta };
    Ok((header(b'1', name, first.as_bytes(), &plain, 0)?, None))
}

/// The header blocks of one entry: the PAX header and its records where needed, then the ustar header.
fn header(kind: u8, name: &[u8], target: &[u8], meta: &Metadata, size: u64) -> Result<Vec<u8>, &'static str> {
    blocks(Header::new(kind), name, target, meta, size)
}

/// The same, the ustar header begun by the caller.
fn blocks(
    mut header: Header,
    name: &[u8],
    target: &[u8],
    meta: &Metadata,
    size: u64,
) -> Result<Vec<u8>, &'static str> {
    if target.contains(&0) {
        return Err("the target of the link holds a NUL byte");
    }
    if meta.mode & !0o7777 != 0 {
        return Err("its mode has bits beyond 07777");
    }
    let mut records: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut number = |key: &str, fits: bool, value: u64| {
        if !fits {
            records.insert(key.into(), value.to_string().into_bytes());
        }
    };
    header.octal(100, 8, u64::from(meta.mode));
    number("uid", header.octal(108, 8, u64::from(meta.uid)), u64::from(meta.uid));
    number("gid", header.octal(116, 8, u64::from(meta.gid)), u64::from(meta.gid));
    number("size", header.octal(124, 12, size), size);
    number("mtime", header.octal(136, 12, meta.mtime), meta.mtime);

    match split(name) {
        Some((prefix, rest)) if name.is_ascii() => {
            header.text(0, 100, rest);
            header.text(345, 155, prefix);
        }
        _ => {
            header.text(0, 100, name);
            records.insert(b"path".into(), name.into());
        }
    }
    header.text(157, 100, target);
    if target.len() > 100 || !target.is_ascii() {
        records.insert(b"linkpath".into(), target.into());
    }
    // PAX says UTF-8; the specification's way to give other bytes is to say so.
    if [name, target].iter().any(|text| std::str::from_utf8(text).is_err()) {
        records.insert(b"hdrcharset".into(), b"BINARY".into());
    }
    for (key, value) in &meta.xattrs {
        if key.is_empty() || key.iter().any(|byte| matches!(byte, 0 | b'=')) {
            return Err("the name of an extended attribute is empty or holds `=` or a NUL byte");
        }
        records.insert([pax::XATTR, key].concat(), value.clone());
    }

    let mut blocks = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| pax::record(key, value)).collect();
        let mut pax = Header::without_devices(b'x');
        pax.text(0, 100, PAX_NAME);
        pax.octal(100, 8, 0o644);
        pax.octal(108, 8, 0);
        pax.octal(116, 8, 0);
        if !pax.octal(124, 12, body.len() as u64) {
            return Err("its extended attributes are too large");
        }
        pax.octal(136, 12, 0);
        blocks.extend_from_slice(&pax.finish());
        blocks.extend_from_slice(&body);
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    }
    blocks.extend_from_slice(&header.finish());
    Ok(blocks)
}

/// Splits a name into ustar's prefix and name fields: not at all where it fits, else at the last slash that leaves at most 155
/// bytes before it. `None` when the rest would still be longer than 100. (Where GNU tar splits too.)
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((b"", name));
    }
    // The trailing slash of a directory is no place to split at.
    let end = name.len().min(156).min(name.len() - 1);
    let at = name[..end].iter().rposition(|&byte| byte == b'/')?;
    let (prefix, rest) = (&name[..at], &name[at + 1..]);
    (!prefix.is_empty() && rest.len() <= 100).then_some((prefix, rest))
}
