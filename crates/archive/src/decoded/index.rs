//! The index beside a decoded archive: its listing in a compact form, so that nothing needs decoding to know what is in it.
//!
//! ```text
//! "pfidx" | version u8 | format u8 | 0 u8 | CRC-32 of the rest, u32      12 bytes
//! decoded size | names of users: count, each | control: count | data: count | entries
//! shadowed: count, each: name, loss u8 | pieces: count, each: CRC-32 | of a layer and a NAR: SHA-256 of the decoded bytes
//! entry   name | kind u8 | mode | uid | gid | mtime | uname | gname | attributes: count, each: key, value | rest
//! rest    directory: nothing | file: offset, size, CRC-32 | symbolic link: target | hard link: name of the file
//! ```
//!
//! The CRC-32 of a file is that of its bytes, checked whenever they are read from the decoded form. The pieces are those of the
//! download, [`PIECE`] bytes each, where its compressed bytes are copied into layers. Both notice what happens to a disk; the
//! cache is the user's own, so nobody has to be kept from forging them.
//!
//! Numbers are LEB128, texts are a length and bytes, `uname` and `gname` are numbers of the table of names.
//!
//! **Refuses** (as "there is no index": the archive is decoded again) another version, a wrong CRC, anything that is not
//! exactly one whole index, content outside the decoded bytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::ImagePath;

use super::Format;
use super::Listing;
use super::Loss;
use super::Member;
use super::MemberKind;
use super::Shadowed;
use super::Whole;
use crate::Content;
use crate::Metadata;

/// Raised with every change to the format, or to what decoding makes of an archive.
pub const VERSION: u8 = 3;

/// Bytes of the download that one checksum is for.
pub const PIECE: u64 = 64 << 10;

const MAGIC: &[u8; 5] = b"pfidx";
const HEADER: usize = 12;

/// What an index says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// As what the archive was decoded.
    pub format: Format,
    /// Bytes of the decoded form.
    pub size: u64,
    /// What is in it.
    pub listing: Listing,
    /// CRC-32 of each file, in the order of the listing, control first.
    pub files: Vec<u32>,
    /// CRC-32 of each piece of the download; none where nothing is copied from it.
    pub pieces: Vec<u32>,
}

impl Format {
    const fn code(self) -> u8 {
        match self {
            Self::Deb => 0,
            Self::Tar => 1,
            Self::Zip => 2,
            Self::Raw => 3,
            Self::File => 4,
            Self::Layer => 5,
            Self::Nar => 6,
            // Never kept: it is one of the others by then.
            Self::Auto => u8::MAX,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Deb, Self::Tar, Self::Zip, Self::Raw, Self::File, Self::Layer, Self::Nar]
            .into_iter()
            .find(|format| format.code() == code)
    }
}

impl Loss {
    const fn code(self) -> u8 {
        match self {
            Self::Same => 0,
            Self::Differs => 1,
            Self::FirstName => 2,
            Self::Directory => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Same, Self::Differs, Self::FirstName, Self::Directory]
            .into_iter()
            .find(|loss| loss.code() == code)
    }
}

/// The checksum of what follows the header.
pub fn checksum(body: &[u8]) -> u32 {
    crc32fast::hash(body)
}

/// The bytes of an index.
pub fn write(index: &Index) -> Vec<u8> {
    let Listing { control, data, shadowed, whole } = &index.listing;
    let mut names: BTreeMap<&[u8], u64> = BTreeMap::new();
    for name in control.iter().chain(data).flat_map(|entry| [&entry.uname, &entry.gname]) {
        names.insert(name, 0);
    }
    let mut out = Vec::with_capacity(64 * (control.len() + data.len()) + 64);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[VERSION, index.format.code(), 0, 0, 0, 0, 0]);
    number(&mut out, index.size);
    number(&mut out, names.len() as u64);
    for (at, (name, code)) in names.iter_mut().enumerate() {
        *code = at as u64;
        text(&mut out, name);
    }
    number(&mut out, control.len() as u64);
    number(&mut out, data.len() as u64);
    let mut files = index.files.iter();
    for entry in control.iter().chain(data) {
        let Metadata { mode, uid, gid, mtime, xattrs } = &entry.meta;
        text(&mut out, &entry.raw_name);
        out.push(match entry.kind {
            MemberKind::Directory => 0,
            MemberKind::File { .. } => 1,
            MemberKind::Symlink(_) => 2,
            MemberKind::Hardlink(_) => 3,
        });
        for value in [u64::from(*mode), u64::from(*uid), u64::from(*gid), *mtime] {
            number(&mut out, value);
        }
        for name in [&entry.uname, &entry.gname] {
            number(&mut out, names.get(&name[..]).copied().unwrap_or_default());
        }
        number(&mut out, xattrs.len() as u64);
        for (key, value) in xattrs {
            text(&mut out, key);
            text(&mut out, value);
        }
        match &entry.kind {
            MemberKind::Directory => {}
            MemberKind::File { content } => {
                let (offset, size) = match content {
                    Content::Range { offset, size, .. } => (*offset, *size),
                    // Decoding makes ranges only.
                    Content::Inline(bytes) => (0, bytes.len() as u64),
                };
                number(&mut out, offset);
                number(&mut out, size);
                out.extend_from_slice(&files.next().copied().unwrap_or_default().to_le_bytes());
            }
            MemberKind::Symlink(target) => text(&mut out, target),
            MemberKind::Hardlink(target) => text(&mut out, target.as_bytes()),
        }
    }
    number(&mut out, shadowed.len() as u64);
    for Shadowed { path, loss } in shadowed {
        text(&mut out, path.as_bytes());
        out.push(loss.code());
    }
    number(&mut out, index.pieces.len() as u64);
    for sum in &index.pieces {
        out.extend_from_slice(&sum.to_le_bytes());
    }
    if let Some(Whole { digest, .. }) = whole {
        text(&mut out, digest.hex().as_bytes());
    }
    let crc = checksum(&out[HEADER..]);
    out[8..HEADER].copy_from_slice(&crc.to_le_bytes());
    out
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads the index of `archive`; `None` when it is not one of this version, whole and unharmed.
pub fn read(bytes: &[u8], archive: &Digest) -> Option<Index> {
    let (header, body) = bytes.split_at_checked(HEADER)?;
    let format = Format::from_code(header[6])?;
    if header[..5] != *MAGIC || header[5] != VERSION || header[7] != 0 {
        return None;
    }
    if header[8..] != checksum(body).to_le_bytes() {
        return None;
    }
    let mut rest = Rest(body);
    let size = rest.number()?;
    let mut names: Vec<Arc<[u8]>> = Vec::new();
    for _ in 0..rest.count()? {
        names.push(rest.text()?.into());
    }
    let (control, data) = (rest.count()?, rest.count()?);
    let mut files = Vec::new();
    let mut part = |count: usize| {
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let entry = rest.entry(archive, size, &names)?;
            if let MemberKind::File { .. } = entry.kind {
                files.push(rest.sum()?);
            }
            entries.push(entry);
        }
        Some(entries)
    };
    let (control, data) = (part(control)?, part(data)?);
    let mut shadowed = Vec::new();
    for _ in 0..rest.count()? {
        let path = ImagePath::new(rest.text()?).ok()?;
        shadowed.push(Shadowed { path, loss: Loss::from_code(rest.byte()?)? });
    }
    let mut pieces = Vec::new();
    for _ in 0..rest.count()? {
        pieces.push(rest.sum()?);
    }
    let whole = if matches!(format, Format::Layer | Format::Nar) {
        let hex = str::from_utf8(rest.text()?).ok()?;
        Some(Whole { digest: Digest::from_hex(Algorithm::Sha256, hex).ok()?, size })
    } else {
        None
    };
    let listing = Listing { control, data, shadowed, whole };
    rest.0.is_empty().then_some(Index { format, size, listing, files, pieces })
}

/// What is left to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A number of things of which each has at least one byte, so that nothing is reserved that cannot come.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|&count| count <= self.0.len())
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn sum(&mut self) -> Option<u32> {
        let (sum, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*sum))
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn entry(&mut self, archive: &Digest, total: u64, names: &[Arc<[u8]>]) -> Option<Member> {
        let raw_name: Box<[u8]> = self.text()?.into();
        let path = ImagePath::new(&raw_name).ok()?;
        let kind = self.byte()?;
        let mut meta = Metadata {
            mode: self.small()?,
            uid: self.small()?,
            gid: self.small()?,
            mtime: self.number()?,
            xattrs: BTreeMap::new(),
        };
        let uname = Arc::clone(names.get(usize::try_from(self.number()?).ok()?)?);
        let gname = Arc::clone(names.get(usize::try_from(self.number()?).ok()?)?);
        for _ in 0..self.count()? {
            let key = self.text()?.to_vec();
            meta.xattrs.insert(key, self.text()?.to_vec());
        }
        let kind = match kind {
            0 => MemberKind::Directory,
            1 => {
                let (offset, size) = (self.number()?, self.number()?);
                offset.checked_add(size).filter(|&end| end <= total)?;
                MemberKind::File { content: Content::Range { archive: archive.clone(), offset, size } }
            }
            2 => MemberKind::Symlink(self.text()?.into()),
            3 => MemberKind::Hardlink(ImagePath::new(self.text()?).ok()?),
            _ => return None,
        };
        Some(Member { path, raw_name, kind, meta, uname, gname })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_map;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn archive() -> Digest {
        Digest::sha256(b"an archive")
    }

    fn entry() -> impl Strategy<Value = Member> {
        let name =
            vec("[a-z\\xff]{1,8}".prop_map(String::into_bytes), 1..4).prop_map(|names| names.join(&b'/'));
        let kind = prop_oneof![
            Just(MemberKind::Directory),
            (0_u64..1 << 40, 0_u64..1 << 40).prop_map(|(offset, size)| MemberKind::File {
                content: Content::Range { archive: archive(), offset, size }
            }),
            vec(any::<u8>(), 1..40).prop_map(|target| MemberKind::Symlink(target.into())),
            "[a-z]{1,9}".prop_map(|name| MemberKind::Hardlink(ImagePath::new(name).unwrap())),
        ];
        let xattrs = btree_map(vec(any::<u8>(), 1..8), vec(any::<u8>(), 0..8), 0..3);
        let meta = (0_u32..0o10000, any::<u32>(), any::<u32>(), 0..u64::MAX >> 1, xattrs)
            .prop_map(|(mode, uid, gid, mtime, xattrs)| Metadata { mode, uid, gid, mtime, xattrs });
        (name, kind, meta, vec(any::<u8>(), 0..5), "root|staff|").prop_map(
            |(name, kind, meta, user, group)| {
                let raw_name: Vec<u8> = [b"./", &name[..]].concat();
                Member {
                    path: ImagePath::new(&raw_name).unwrap(),
                    raw_name: raw_name.into(),
                    kind,
                    meta,
                    uname: user.into(),
                    gname: group.into_bytes().into(),
                }
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(
            control in vec(entry(), 0..3),
            data in vec(entry(), 0..9),
            shadowed in vec(("[a-z]{1,9}", 0_u8..4), 0..3),
            pieces in vec(any::<u32>(), 0..4),
        ) {
            let lost = |(name, code): (String, u8)| Shadowed {
                path: ImagePath::new(name).unwrap(),
                loss: Loss::from_code(code).unwrap(),
            };
            let shadowed = shadowed.into_iter().map(lost).collect();
            let is_file = |member: &&Member| matches!(member.kind, MemberKind::File { .. });
            let files = control.iter().chain(&data).filter(is_file).zip(7..).map(|(_, sum)| sum).collect();
            let listing = Listing { control, data, shadowed, whole: None };
            let index = Index { format: Format::Deb, size: 1 << 41, listing, files, pieces };
            let bytes = write(&index);
            prop_assert_eq!(read(&bytes, &archive()), Some(index));
            for cut in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..cut], &archive()), None);
            }
        }

        #[test]
        fn any_bytes_never_panic(body in vec(any::<u8>(), 0..200)) {
            let crc = checksum(&body).to_le_bytes();
            let bytes = [&MAGIC[..], &[VERSION, 1, 0], &crc, &body].concat();
            let _ = read(&bytes, &archive());
        }
    }

    #[test]
    fn harm_is_noticed() {
        let index = Index {
            format: Format::Tar,
            size: 9,
            listing: Listing::default(),
            files: Vec::new(),
            pieces: vec![7, 9],
        };
        let bytes = write(&index);
        assert_eq!(read(&bytes, &archive()), Some(index));
        for at in 0..bytes.len() {
            let mut harmed = bytes.clone();
            harmed[at] ^= 0x10;
            assert_eq!(read(&harmed, &archive()), None, "byte {at}");
        }
        assert_eq!(read(&[&bytes[..], b"\0"].concat(), &archive()), None);
    }
}
