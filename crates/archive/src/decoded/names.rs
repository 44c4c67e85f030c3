//! Which entry of a name counts, where an archive has several.
//!
//! The later one, as for GNU tar, dpkg, npm and unzip. A hard link keeps the file that it was made of, also when that file's
//! first name is given to something else afterwards. A directory with something in it stays a directory.
//!
//! **Guarantees**: of what is listed no path comes twice, and every hard link names an earlier file of the list. What lost is
//! told with whether it differed. The work grows with the archive, however often names come again.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::io;

use fs_err::File;
use fs_err::os::unix::fs::FileExt;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::Hasher;
use pinfold_base::ImagePath;

use super::Loss;
use super::Member;
use super::MemberKind;
use super::Refusal;
use super::Shadowed;
use crate::Content;
use crate::Metadata;

/// Most bytes that are read at once to compare contents.
const CHUNK: u64 = 256 << 10;

/// The entries of one archive as they come.
#[derive(Default)]
pub(super) struct Names {
    entries: Vec<Entry>,
    /// The entry that has a name now.
    now: HashMap<ImagePath, usize>,
    files: Vec<Inode>,
    /// Entries that lost their name, and those that took it.
    lost: Vec<(usize, usize)>,
}

struct Entry {
    member: Member,
    /// The file, of a file and of a hard link.
    file: Option<usize>,
    /// Whether it is a hard link in the archive.
    link: bool,
    /// Whether it still has its name.
    stays: bool,
}

struct Inode {
    content: Content,
    meta: Metadata,
    digest: Option<Digest>,
}

impl Names {
    /// Number of entries kept so far, those that lost their name included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The next entry. A hard link names a file that has its name now; of a link to a link, the file that both mean.
    pub(super) fn push(&mut self, member: Member) -> Result<(), Refusal> {
        let (file, link) = match &member.kind {
            MemberKind::File { content } => {
                self.files.push(Inode { content: content.clone(), meta: member.meta.clone(), digest: None });
                (Some(self.files.len() - 1), false)
            }
            MemberKind::Hardlink(target) => {
                let file = self.now.get(target).and_then(|&at| self.entries[at].file);
                if file.is_none() {
                    return Err(Refusal::Hardlink { path: member.path, target: target.clone() });
                }
                // Linked to itself, a file stays what it is.
                if self.now.get(&member.path).is_some_and(|&at| self.entries[at].file == file) {
                    return Ok(());
                }
                (file, true)
            }
            MemberKind::Directory | MemberKind::Symlink(_) => (None, false),
        };
        let at = self.entries.len();
        if let Some(before) = self.now.insert(member.path.clone(), at) {
            self.entries[before].stays = false;
            self.lost.push((before, at));
        }
        self.entries.push(Entry { member, file, link, stays: true });
        Ok(())
    }

    /// What counts, in the order of the archive, and what lost. `decoded` holds the contents.
    pub(super) fn finish(mut self, decoded: &File) -> Result<(Vec<Member>, Vec<Shadowed>), Refusal> {
        let mut shadowed = BTreeMap::new();
        self.keep_directories(&mut shadowed);
        for (loser, winner) in std::mem::take(&mut self.lost) {
            let path = self.entries[loser].member.path.clone();
            let loss = if self.differ(loser, winner, decoded)? { Loss::Differs } else { Loss::Same };
            let told = shadowed.entry(path).or_insert(loss);
            *told = loss.max(*told);
        }
        let mut first: HashMap<usize, ImagePath> = HashMap::new();
        let mut members = Vec::with_capacity(self.now.len());
        for mut entry in self.entries.into_iter().filter(|entry| entry.stays) {
            if let Some(file) = entry.file {
                if let Some(first) = first.get(&file) {
                    entry.member.kind = MemberKind::Hardlink(first.clone());
                } else {
                    let Inode { content, meta, .. } = &self.files[file];
                    first.insert(file, entry.member.path.clone());
                    entry.member.kind = MemberKind::File { content: content.clone() };
                    entry.member.meta = meta.clone();
                    if entry.link {
                        shadowed.insert(entry.member.path.clone(), Loss::FirstName);
                    }
                }
            }
            members.push(entry.member);
        }
        let shadowed = shadowed.into_iter().map(|(path, loss)| Shadowed { path, loss });
        Ok((members, shadowed.collect()))
    }

    /// Gives directories their names back where something else took it and something is in them.
    fn keep_directories(&mut self, shadowed: &mut BTreeMap<ImagePath, Loss>) {
        let is_directory = |entry: &Entry| entry.member.kind == MemberKind::Directory;
        let taken: HashMap<ImagePath, usize> = self
            .lost
            .iter()
            .filter(|(loser, _)| is_directory(&self.entries[*loser]))
            .map(|&(loser, _)| (self.entries[loser].member.path.clone(), loser))
            .filter(|(path, _)| self.now.get(path).is_some_and(|&at| !is_directory(&self.entries[at])))
            .collect();
        if taken.is_empty() {
            return;
        }
        let mut filled: HashSet<ImagePath> = HashSet::new();
        for path in self.now.keys() {
            let mut at = path.parent();
            while let Some(parent) = at.filter(|parent| !filled.contains(parent)) {
                at = parent.parent();
                if taken.contains_key(&parent) {
                    filled.insert(parent);
                }
            }
        }
        for path in filled {
            let (Some(&directory), Some(now)) = (taken.get(&path), self.now.get_mut(&path)) else { continue };
            self.entries[*now].stays = false;
            self.entries[directory].stays = true;
            *now = directory;
            shadowed.insert(path, Loss::Directory);
        }
    }

    /// Whether two entries of one name are different things.
    fn differ(&mut self, one: usize, other: usize, decoded: &File) -> io::Result<bool> {
        let (first, second) = (&self.entries[one], &self.entries[other]);
        let (Some(one), Some(other)) = (first.file, second.file) else {
            return Ok(first.member.kind != second.member.kind);
        };
        let size = |file: usize| self.files[file].content.size();
        if one == other || size(one) != size(other) {
            return Ok(one != other);
        }
        Ok(self.digest(one, decoded)? != self.digest(other, decoded)?)
    }

    /// The digest of a file, made once, so that any number of comparisons reads each file once.
    fn digest(&mut self, file: usize, decoded: &File) -> io::Result<Digest> {
        let inode = &mut self.files[file];
        if let Some(digest) = &inode.digest {
            return Ok(digest.clone());
        }
        let mut hasher = Hasher::new(Algorithm::Sha256);
        if let Content::Range { offset, size, .. } = &inode.content {
            let (mut at, end) = (*offset, offset + size);
            let mut buffer = vec![0; CHUNK.min(*size) as usize];
            while at < end {
                let part = (end - at).min(CHUNK) as usize;
                decoded.read_exact_at(&mut buffer[..part], at)?;
                hasher.update(&buffer[..part]);
                at += part as u64;
            }
        }
        let digest = hasher.finish();
        inode.digest = Some(digest.clone());
        Ok(digest)
    }
}
