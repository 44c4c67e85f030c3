//! A tar as a place to read from: its members are found once and then read in place.

use std::collections::BTreeMap;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err::File;
use pinfold_archive::tar::EntryKind;
use pinfold_archive::tar::Limits;
use pinfold_archive::tar::Reader;
use pinfold_archive::tar::Strictness;
use pinfold_archive::tar::read::path_of;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::file::regular;

use crate::ImageError;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::layout::INDEX_NAME;
use crate::layout::LAYOUT_NAME;
use crate::layout::check_version;
use crate::model::Index;
use crate::model::LayerEncoding;
use crate::model::MAX_DOCUMENT;
use crate::model::Raw;

/// Most members of an archive of images.
const MAX_MEMBERS: u64 = 20_000;

/// The members of a tar by name.
#[derive(Debug)]
pub(super) struct Members {
    file: Arc<File>,
    path: PathBuf,
    by_name: BTreeMap<ImagePath, Member>,
}

/// Where a member's content is.
#[derive(Clone, Debug)]
pub(super) enum Member {
    /// From this byte on, so many bytes.
    Range(u64, u64),
    /// The content of another member; `docker save` shares layers this way.
    Link(ImagePath),
}

impl Members {
    /// Finds all members; content is skipped, not read.
    pub(super) fn open(path: &Path) -> Result<Self, ImageError> {
        let file = regular(path)?;
        let refuse = |reason: String| ImageError::Archive { archive: path.display().to_string(), reason };
        let mut start = [0; 4];
        let n = file.file().read_at(&mut start, 0)?;
        if LayerEncoding::sniff(&start[..n]) != LayerEncoding::Tar {
            return Err(refuse("it is compressed; decompress it first".into()));
        }
        // Layers are larger than packages; what is in them is limited when they are unpacked.
        let limits = Limits { entries: MAX_MEMBERS, total: i64::MAX as u64, ..Limits::default() };
        let buffered = BufReader::with_capacity(4 << 10, file);
        let mut entries = Reader::new(buffered, Strictness::LAYER, limits);
        let mut members = BTreeMap::new();
        while let Some(entry) = entries.next_entry().map_err(|error| refuse(error.to_string()))? {
            let name = entry.path().map_err(|error| refuse(error.to_string()))?;
            let member = match &entry.kind {
                EntryKind::File => Member::Range(entry.offset, entry.size),
                EntryKind::Symlink(target) => match name.link_target(target) {
                    Some(target) => Member::Link(target),
                    None => return Err(refuse(format!("`{name}` links to nothing possible"))),
                },
                EntryKind::Hardlink(target) => {
                    Member::Link(path_of(target).map_err(|error| refuse(error.to_string()))?)
                }
                EntryKind::Directory => continue,
                EntryKind::Special(kind) => return Err(refuse(format!("`{name}` is a {}", kind.word()))),
            };
            entries.seek_content().map_err(|error| refuse(error.to_string()))?;
            if members.insert(name.clone(), member).is_some() {
                return Err(refuse(format!("`{name}` is there twice")));
            }
        }
        Ok(Self { file: Arc::new(regular(path)?), path: path.to_owned(), by_name: members })
    }

    /// Where a member's content is, one link followed.
    pub(super) fn find(&self, name: &str) -> Option<(u64, u64)> {
        let name = ImagePath::new(name).ok()?;
        match self.by_name.get(&name)? {
            Member::Range(at, size) => Some((*at, *size)),
            Member::Link(target) => match self.by_name.get(target)? {
                Member::Range(at, size) => Some((*at, *size)),
                Member::Link(_) => None,
            },
        }
    }

    /// A reader of a range.
    pub(super) fn read(&self, (at, size): (u64, u64)) -> BlobRead {
        Box::new(Range { file: Arc::clone(&self.file), at, left: size })
    }

    /// A small member.
    pub(super) fn small(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let missing = || ImageError::Archive {
            archive: self.path.display().to_string(),
            reason: format!("it has no `{name}`"),
        };
        let range = self.find(name).ok_or_else(missing)?;
        if range.1 > MAX_DOCUMENT {
            return Err(ImageError::TooLarge {
                what: format!("`{name}`"),
                size: range.1,
                limit: MAX_DOCUMENT,
            });
        }
        let mut bytes = Vec::new();
        self.read(range).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The file it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

struct Range {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Range {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.file.file().read_at(&mut buf[..wanted], self.at)?;
        self.at += n as u64;
        self.left -= n as u64;
        Ok(n)
    }
}

/// An image layout in a tar.
#[derive(Debug)]
pub(super) struct OciArchive {
    members: Members,
}

impl OciArchive {
    pub(super) fn open(path: &Path) -> Result<(Self, Raw<Index>), ImageError> {
        let members = Members::open(path)?;
        let archive = Self { members };
        check_version(&archive.members.small(LAYOUT_NAME)?, &archive.location())?;
        let index = Raw::parse(archive.members.small(INDEX_NAME)?)?;
        Ok((archive, index))
    }
}

impl Blobs for OciArchive {
    fn location(&self) -> String {
        format!("oci-archive:{}", self.members.path().display())
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        let name = format!("blobs/{}/{}", digest.algorithm().name(), digest.hex());
        match self.members.find(&name) {
            Some(range) => Ok((self.members.read(range), range.1)),
            None => Err(ImageError::MissingBlob { digest: digest.clone(), place: self.location() }),
        }
    }
}
