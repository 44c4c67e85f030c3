//! What an image has, path by path, and what its files are: programs, scripts, what they sum up to. Every layer is read once, nothing
//! is unpacked or run.
//!
//! ```text
//! layers, lowest first ─► pass (digests, rules) ─► entries ─► paths as unpacking leaves them   (Survey)
//!                                                        └──► bytes of every file, hidden ones too   (Watch)
//! ```
//!
//! **Guarantees**: what is listed is what [`crate::unpack`] would leave of the entries that it takes. Memory is bounded whatever the
//! image says: [`MAX_KEPT`] for contents, [`MAX_LISTED`] for paths and what is known of them. Where either is full it is told, as
//! [`Survey::left_out`] or as what is wrong with the layer. What is wrong with the image is told beside the survey, so that a survey
//! of a broken image is no proof of anything but its faults.
//!
//! Tools do not agree whose mode, owner and attributes count where the names of one file are written with different ones. Then a
//! name has the modes and attributes of all of them: what no reader would see is not looked for, what some would see is.

mod way;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::Read;
use std::sync::Arc;
use std::sync::LazyLock;

use pinfold_archive::Metadata;
use pinfold_archive::elf;
use pinfold_archive::elf::Elf;
use pinfold_archive::elf::Partial;
use pinfold_archive::layer::Change;
use pinfold_archive::tar::Entry;
use pinfold_archive::tar::EntryKind;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::digest::Algorithm;
use pinfold_base::digest::Hasher;
use pinfold_base::report::Running;

pub use self::way::Access;
pub use self::way::Budget;
pub use self::way::Follow;
pub use self::way::Nowhere;
pub use self::way::Way;
pub use self::way::Who;
use crate::ImageError;
use crate::ImageSource;
use crate::pass;
use crate::pass::Coverage;
use crate::pass::Passed;
use crate::pass::Visit;
use crate::source::Image;

/// Most bytes of files that are kept, taken together.
pub(crate) const MAX_KEPT: u64 = 256 << 20;
/// Most paths that are kept of what lower layers had: more than any image has that was made for use.
pub const MAX_BEFORE: usize = 200_000;
/// Most bytes that paths and what is known of them take, about: those of a million paths of usual length.
const MAX_LISTED: u64 = 256 << 20;
/// What a path takes besides its name, and a name that an ELF file gives besides its bytes; both about.
const PATH_BYTES: u64 = 128;
const NAME_BYTES: u64 = 48;
/// Attributes that are looked at; of anything else not even the name is kept.
const XATTRS: [&[u8]; 3] = [b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"];
/// How much of a file is looked at a time.
const CHUNK: usize = 128 << 10;
/// Programs of a layer that are read once more at most: each may hold 32 MiB until then.
const AGAIN_MAX: usize = 4;
/// The longest first line of a script that Linux reads (`BINPRM_BUF_SIZE`).
const MAX_SCRIPT: usize = 256;

/// An extended attribute: its name and value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

/// What a file's content is, as far as it is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// It is an ELF file.
    pub elf: Option<Box<Elf>>,
    /// It begins as an ELF file, and no loader would take it: what is wrong.
    pub malformed: Option<&'static str>,
    /// Its first line after `#!`, without its end; at most 256 bytes, as Linux reads.
    pub script: Option<Box<[u8]>>,
    /// What its content sums up to, where that was asked for.
    pub sum: Option<Summed>,
    /// The extended attributes that its entry brings, of those that give rights: capabilities and access lists.
    pub xattrs: Vec<Xattr>,
}

/// How a content is summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sum {
    /// As dpkg does.
    Md5,
    /// As images do.
    Sha256,
    /// Both ways, in one pass.
    Both,
}

/// What a content sums up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Summed {
    /// Its MD5.
    Md5([u8; 16]),
    /// Its SHA-256.
    Sha256(Digest),
    /// Both.
    Both([u8; 16], Digest),
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// A file; names of one file share their facts.
    File(Arc<Facts>),
    /// A symbolic link, and where it leads.
    Link(Box<[u8]>),
    /// A device or a FIFO.
    Other,
}

/// One path of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The layer that it comes from; 0 is the lowest.
    pub layer: usize,
    /// What it is.
    pub what: What,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes of a file.
    pub size: u64,
}

impl Seen {
    /// SHA-256 of a file's content, where that was asked for.
    pub fn sha256(&self) -> Option<&Digest> {
        match &self.what {
            What::File(facts) => match &facts.sum {
                Some(Summed::Sha256(digest) | Summed::Both(_, digest)) => Some(digest),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The paths of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// All of them, without the root.
    pub paths: BTreeMap<ImagePath, Seen>,
    /// The root itself, as the uppermost layer that has an entry for it describes it.
    pub root: Option<Seen>,
    /// The content of files that was asked for.
    pub kept: BTreeMap<ImagePath, Vec<u8>>,
    /// Files whose content was asked for, and had no room: whoever looks for them in [`kept`](Self::kept) has not looked at them.
    pub left_out: BTreeSet<ImagePath>,
    /// What stood at paths until a layer above replaced or hid it, the lowest layer's first; where that was asked for. Directories
    /// aside.
    pub before: BTreeMap<ImagePath, Vec<Replaced>>,
    /// How many more there were than are kept.
    pub forgotten: usize,
    /// Layers of which there is more than was seen, by their numbers from 0: entries that are refused, a tar that ends early, or another
    /// blob than was named.
    pub partial: Vec<usize>,
}

/// What stood at a path until a layer above replaced or hid it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// What it was.
    pub was: Seen,
    /// The layer that took it away; 0 is the lowest.
    pub by: usize,
}

/// Sees the entries and the bytes of every file of every layer, of those too that upper layers hide.
pub trait Watch {
    /// An entry puts something at a path; `of` is the file that it is another name of.
    fn entry(&mut self, layer: usize, path: &ImagePath, of: Option<&ImagePath>, entry: &Entry) {
        let _ = (layer, path, of, entry);
    }
    /// A file of so many bytes begins.
    fn begin(&mut self, layer: usize, path: &ImagePath, size: u64);
    /// Its next bytes.
    fn feed(&mut self, bytes: &[u8]);
    /// It has ended.
    fn end(&mut self);
    /// All layers have passed: files that it wants to see once more, under other names. Their layers are read once more.
    fn again(&mut self, survey: &Survey) -> Vec<Renamed> {
        let _ = survey;
        Vec::new()
    }
}

/// A file under another of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The layer that has it; 0 is the lowest.
    pub layer: usize,
    /// The path whose entry has its content.
    pub path: ImagePath,
    /// The name that it is to be seen under.
    pub name: ImagePath,
    /// How much of it is seen.
    pub bytes: u64,
}

/// What of files is looked at.
pub struct Looking<'a> {
    /// Whose content is kept.
    pub keep: &'a dyn Fn(&ImagePath) -> bool,
    /// Whose content is summed up, and how; by the number of its layer.
    pub sum: &'a dyn Fn(usize, &ImagePath) -> Option<Sum>,
    /// Whether programs and scripts are looked into.
    pub programs: Programs,
    /// What becomes of paths that upper layers replace or hide.
    pub before: Before,
    /// Who sees their bytes besides.
    pub watch: Option<&'a mut dyn Watch>,
}

/// What becomes of paths that upper layers replace or hide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Before {
    /// They are forgotten.
    #[default]
    Forgotten,
    /// They are kept, as many as [`MAX_BEFORE`].
    Kept,
}

/// What of programs is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Programs {
    /// Nothing: [`Facts::elf`] and [`Facts::script`] stay empty.
    Unread,
    /// What starts them.
    Read,
}

impl std::fmt::Debug for Looking<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looking").field("programs", &self.programs).finish_non_exhaustive()
    }
}

impl<'a> Looking<'a> {
    /// Looks at nothing but paths, and keeps some.
    pub fn keeping(keep: &'a dyn Fn(&ImagePath) -> bool) -> Self {
        Self { keep, sum: &|_, _| None, programs: Programs::Unread, before: Before::Forgotten, watch: None }
    }
}

impl Survey {
    /// What is at a path.
    pub fn get(&self, path: &ImagePath) -> Option<&Seen> {
        self.paths.get(path)
    }

    /// All paths, the root before them.
    pub fn all(&self) -> impl Iterator<Item = (&ImagePath, &Seen)> + Clone {
        static ROOT: LazyLock<ImagePath> = LazyLock::new(ImagePath::root);
        self.root.iter().map(|seen| (&*ROOT, seen)).chain(&self.paths)
    }
}

/// How much is kept, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Of contents.
    pub(crate) kept: u64,
    /// Of paths and what is known of them.
    pub(crate) listed: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self { kept: MAX_KEPT, listed: MAX_LISTED }
    }
}

/// Surveys one platform. `told` gets what is wrong with each layer, by its number from 0.
pub(crate) fn survey(
    source: &ImageSource,
    image: &Image,
    looking: &mut Looking<'_>,
    room: Room,
    running: &Running<'_>,
    told: &mut dyn FnMut(usize, Passed) -> Result<(), ImageError>,
) -> Result<Survey, ImageError> {
    let mut surveyor = Surveyor {
        survey: Survey::default(),
        remembers: MAX_BEFORE,
        looking,
        room,
        most: room,
        number: 0,
        chunk: vec![0; CHUNK],
        again: Vec::new(),
    };
    let mut unpacked = pass::MAX_UNPACKED;
    for (number, layer) in image.layers.iter().enumerate() {
        surveyor.number = number;
        let passed = pass::layer(source, layer, &mut surveyor, &mut unpacked, running)?;
        if passed.coverage == Coverage::Part || passed.blob.is_some() {
            surveyor.survey.partial.push(number);
        }
        told(number, passed)?;
        // Programs whose tables had passed by before it was known where they are. Rare, and the layer is read once more for all of them.
        let mut again =
            Again { wanted: std::mem::take(&mut surveyor.again), known: Vec::new(), chunk: vec![0; CHUNK] };
        // Each tells by itself when it has passed too often.
        while !again.wanted.is_empty() {
            pass::layer(source, layer, &mut again, &mut unpacked, running)?;
            if again.known.is_empty() {
                // The place gives other bytes than before, or the layer is not read so far again.
                let lost = "its tables passed by, and could not be read again";
                again
                    .known
                    .extend(again.wanted.drain(..).map(|(path, _)| (path, elf::Passed::Malformed(lost))));
            }
            for (path, partial) in again.known.drain(..) {
                surveyor.settle(path, partial, &mut again.wanted);
            }
        }
    }
    let Surveyor { survey, looking, .. } = surveyor;
    if let Some(watch) = &mut looking.watch {
        let mut wanted = watch.again(&survey);
        for (number, layer) in image.layers.iter().enumerate() {
            let here: Vec<Renamed> = wanted.extract_if(.., |one| one.layer == number).collect();
            if !here.is_empty() {
                pass::layer(
                    source,
                    layer,
                    &mut UnderNames { wanted: here, watch: &mut **watch },
                    &mut unpacked,
                    running,
                )?;
            }
        }
    }
    Ok(survey)
}

/// Shows files once more, under other names.
struct UnderNames<'a> {
    wanted: Vec<Renamed>,
    watch: &'a mut dyn Watch,
}

impl Visit for UnderNames<'_> {
    fn entry(&mut self, entry: &Entry, change: Change, content: &mut dyn Read) -> io::Result<()> {
        let Change::Put(path) = change else { return Ok(()) };
        let names = self.wanted.iter().filter(|one| one.path == path);
        let Some(most) = names.clone().map(|one| one.bytes).max() else { return Ok(()) };
        let mut bytes = Vec::new();
        content.take(most).read_to_end(&mut bytes)?;
        for one in names {
            self.watch.begin(one.layer, &one.name, entry.size);
            self.watch.feed(&bytes[..bytes.len().min(usize::try_from(one.bytes).unwrap_or(usize::MAX))]);
            self.watch.end();
        }
        Ok(())
    }
}

/// Applies the entries of layers to what is there.
struct Surveyor<'a, 'b> {
    survey: Survey,
    looking: &'a mut Looking<'b>,
    /// What may still be kept.
    room: Room,
    /// What might be at the beginning.
    most: Room,
    /// How many paths may still be kept of what was before.
    remembers: usize,
    number: usize,
    chunk: Vec<u8>,
    /// Programs of the layer that have to pass by again.
    again: Vec<(ImagePath, Partial)>,
}

impl Visit for Surveyor<'_, '_> {
    fn entry(&mut self, entry: &Entry, change: Change, content: &mut dyn Read) -> io::Result<()> {
        let layer = self.number;
        let (path, of) = match change {
            Change::Root => {
                self.survey.root = Some(seen(layer, What::Directory, entry));
                return Ok(());
            }
            Change::Hide(path) => {
                self.hide(layer, &path);
                return Ok(());
            }
            Change::Clear(dir) => {
                self.clear(layer, layer, &dir);
                return Ok(());
            }
            Change::Put(path) => (path, None),
            Change::Link { path, target } => (path, Some(target)),
        };
        if let Some(watch) = &mut self.looking.watch {
            watch.entry(layer, &path, of.as_ref(), entry);
        }
        if !matches!(entry.kind, EntryKind::Directory) {
            self.clear(layer + 1, layer, &path);
        }
        self.drop_kept(&path);
        let wanted = (self.looking.keep)(&path);
        if let Some(target) = of.filter(|target| self.survey.paths.contains_key(target)) {
            return self.link(entry, &path, &target, wanted);
        }
        let what = match &entry.kind {
            EntryKind::Directory => What::Directory,
            EntryKind::Symlink(target) => What::Link(target.clone()),
            EntryKind::Special(_) => What::Other,
            EntryKind::File | EntryKind::Hardlink(_) => {
                let (facts, bytes) = self.file(entry, &path, wanted, content)?;
                if wanted {
                    self.keep(&path, bytes);
                }
                What::File(Arc::new(facts))
            }
        };
        self.put(&path, seen(layer, what, entry))
    }
}

impl Surveyor<'_, '_> {
    /// Another name of a file is as that file is.
    fn link(&mut self, entry: &Entry, path: &ImagePath, target: &ImagePath, wanted: bool) -> io::Result<()> {
        if wanted {
            self.keep(path, self.survey.kept.get(target).cloned());
        }
        let Some(file) = self.survey.paths.get_mut(target) else { return Ok(()) };
        file.mode |= entry.meta.mode;
        if let What::File(facts) = &mut file.what {
            let brought = looked_at(&entry.meta);
            let new: Vec<Xattr> = brought.into_iter().filter(|one| !facts.xattrs.contains(one)).collect();
            if !new.is_empty() {
                let more = new.iter().map(|(name, value)| (name.len() + value.len()) as u64 + NAME_BYTES);
                self.room.listed = self.room.listed.saturating_sub(more.sum());
                let mut all = Facts::clone(facts);
                all.xattrs.extend(new);
                // Names that are told apart do not hear of it.
                if self.again.iter().any(|(path, _)| path == target) {
                    all.malformed = Some("its names have different attributes, and its tables were not read");
                }
                *facts = Arc::new(all);
            }
        }
        let (uid, gid) = (entry.meta.uid, entry.meta.gid);
        let linked = Seen { layer: self.number, uid, gid, ..file.clone() };
        self.put(path, linked)
    }

    fn hide(&mut self, layer: usize, path: &ImagePath) {
        self.clear(layer, layer, path);
        if self.survey.paths.get(path).is_some_and(|seen| seen.layer < layer) {
            self.take(layer, path);
        }
    }

    fn take(&mut self, by: usize, path: &ImagePath) {
        let was = self.survey.paths.remove(path);
        self.drop_kept(path);
        self.replaced(by, path, was);
    }

    /// Gives the room back that a path's content had.
    fn drop_kept(&mut self, path: &ImagePath) {
        self.survey.left_out.remove(path);
        if let Some(bytes) = self.survey.kept.remove(path) {
            self.room.kept += bytes.len() as u64;
        }
    }

    /// Remembers what a layer below had, where that is asked for.
    fn replaced(&mut self, by: usize, path: &ImagePath, was: Option<Seen>) {
        let Some(was) = was else { return };
        let asked = self.looking.before == Before::Kept && was.layer < by && was.what != What::Directory;
        match self.remembers.checked_sub(1) {
            Some(left) if asked => {
                self.remembers = left;
                self.survey.before.entry(path.clone()).or_default().push(Replaced { was, by });
            }
            _ => {
                self.survey.forgotten += usize::from(asked);
                self.room.listed = self.most.listed.min(self.room.listed + listed(path, &was));
            }
        }
    }

    /// Removes what layers below `layer` have under a directory, for the layer `by`.
    fn clear(&mut self, layer: usize, by: usize, dir: &ImagePath) {
        let below = self.survey.below(dir).filter(|(_, seen)| seen.layer < layer);
        let below: Vec<ImagePath> = below.map(|(path, _)| path.clone()).collect();
        for path in below {
            self.take(by, &path);
        }
    }

    /// Puts what is at a path now. Fails where the list is full.
    fn put(&mut self, path: &ImagePath, seen: Seen) -> io::Result<()> {
        let full = || {
            let problem = format!(
                "what is known of the image's paths is more than {} MiB, and what follows was not looked at",
                self.most.listed >> 20
            );
            io::Error::new(io::ErrorKind::InvalidData, problem)
        };
        self.room.listed = self.room.listed.checked_sub(listed(path, &seen)).ok_or_else(full)?;
        let was = self.survey.paths.insert(path.clone(), seen);
        self.replaced(self.number, path, was);
        Ok(())
    }

    /// Notes what came of a program that passed by again, under all of its names.
    fn settle(&mut self, path: ImagePath, passed: elf::Passed, again: &mut Vec<(ImagePath, Partial)>) {
        let Some(Seen { layer, what: What::File(before), .. }) = self.survey.paths.get(&path) else {
            return;
        };
        if *layer != self.number {
            return;
        }
        let before = Arc::clone(before);
        let mut facts = Facts::clone(&before);
        if let Some(partial) = facts.settle(passed) {
            again.push((path, partial));
            return;
        }
        let more = facts.bytes().saturating_sub(before.bytes());
        let facts = Arc::new(facts);
        for seen in self.survey.paths.values_mut() {
            if let What::File(there) = &mut seen.what
                && Arc::ptr_eq(there, &before)
            {
                self.room.listed = self.room.listed.saturating_sub(more);
                *there = Arc::clone(&facts);
            }
        }
    }

    /// Keeps the content of a path, where there is room: another name of a file needs room as the file itself does.
    fn keep(&mut self, path: &ImagePath, bytes: Option<Vec<u8>>) {
        match bytes {
            Some(bytes) if bytes.len() as u64 <= self.room.kept => {
                self.room.kept -= bytes.len() as u64;
                self.survey.kept.insert(path.clone(), bytes);
            }
            _ => drop(self.survey.left_out.insert(path.clone())),
        }
    }

    /// Reads a file as far as anybody looks.
    fn file(
        &mut self,
        entry: &Entry,
        path: &ImagePath,
        wanted: bool,
        content: &mut dyn Read,
    ) -> io::Result<(Facts, Option<Vec<u8>>)> {
        let mut facts = Facts { xattrs: looked_at(&entry.meta), ..Facts::default() };
        let mut kept = (wanted && entry.size <= self.room.kept).then(Vec::new);
        let mut sum = (self.looking.sum)(self.number, path).map(Summing::new);
        let reads_programs = self.looking.programs == Programs::Read;
        let mut elf = reads_programs.then(|| Partial::new(entry.size));
        if kept.is_none() && sum.is_none() && !reads_programs && self.looking.watch.is_none() {
            return Ok((facts, None));
        }
        let mut head: Vec<u8> = Vec::new();
        if let Some(watch) = &mut self.looking.watch {
            watch.begin(self.number, path, entry.size);
        }
        loop {
            let count = content.read(&mut self.chunk)?;
            if count == 0 {
                break;
            }
            let bytes = &self.chunk[..count];
            if head.len() < MAX_SCRIPT {
                head.extend_from_slice(&bytes[..count.min(MAX_SCRIPT - head.len())]);
            }
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(bytes);
            }
            if let Some(sum) = &mut sum {
                sum.update(bytes);
            }
            if let Some(elf) = &mut elf {
                elf.feed(bytes);
            }
            if let Some(watch) = &mut self.looking.watch {
                watch.feed(bytes);
            }
        }
        if let Some(watch) = &mut self.looking.watch {
            watch.end();
        }
        if let Some(elf) = elf {
            facts.script = script(&head);
            match facts.settle(elf.end()) {
                Some(partial) if self.again.len() < AGAIN_MAX => self.again.push((path.clone(), partial)),
                Some(_) => {
                    facts.malformed =
                        Some("its tables lie where no linker puts them, as those of others in the layer do");
                }
                None => {}
            }
        }
        facts.sum = sum.map(Summing::finish);
        Ok((facts, kept))
    }
}

impl Facts {
    /// MD5 of its content, where that was asked for.
    pub fn md5(&self) -> Option<&[u8; 16]> {
        match &self.sum {
            Some(Summed::Md5(md5) | Summed::Both(md5, _)) => Some(md5),
            _ => None,
        }
    }

    /// Takes what came of a program that passed by; gives it back where it has to pass again.
    fn settle(&mut self, passed: elf::Passed) -> Option<Partial> {
        match passed {
            elf::Passed::Elf(elf) => self.elf = Some(elf),
            elf::Passed::NotElf => {}
            elf::Passed::Malformed(problem) => self.malformed = Some(problem),
            elf::Passed::Again(partial) => return Some(partial),
        }
        None
    }

    /// What it takes of the memory, about.
    fn bytes(&self) -> u64 {
        let script = self.script.as_ref().map_or(0, |line| line.len());
        let xattrs = self.xattrs.iter().map(|(name, value)| (name.len() + value.len()) as u64 + NAME_BYTES);
        let elf = self.elf.as_ref().map_or(0, |elf| {
            let names = elf.names().map(|name| name.len() as u64 + NAME_BYTES);
            size_of::<Elf>() as u64 + names.sum::<u64>()
        });
        script as u64 + xattrs.sum::<u64>() + elf
    }
}

/// What an entry says of a path.
fn seen(layer: usize, what: What, entry: &Entry) -> Seen {
    let (mode, uid, gid) = (entry.meta.mode, entry.meta.uid, entry.meta.gid);
    Seen { layer, what, mode, uid, gid, size: entry.size }
}

/// What a path takes of the list, about. Names of one file each count it whole.
fn listed(path: &ImagePath, seen: &Seen) -> u64 {
    let more = match &seen.what {
        What::Link(target) => target.len() as u64,
        What::File(facts) => facts.bytes(),
        What::Directory | What::Other => 0,
    };
    PATH_BYTES + path.as_bytes().len() as u64 + more
}

/// Of the attributes that an entry brings those that are looked at.
fn looked_at(meta: &Metadata) -> Vec<Xattr> {
    let brought = XATTRS.iter().filter_map(|name| Some((*name, meta.xattrs.get(*name)?)));
    brought.map(|(name, value)| (name.into(), value.as_slice().into())).collect()
}

/// Sees programs once more.
struct Again {
    wanted: Vec<(ImagePath, Partial)>,
    known: Vec<(ImagePath, elf::Passed)>,
    chunk: Vec<u8>,
}

impl Visit for Again {
    fn entry(&mut self, _: &Entry, change: Change, content: &mut dyn Read) -> io::Result<()> {
        let Change::Put(path) = change else { return Ok(()) };
        let Some(at) = self.wanted.iter().position(|(wanted, _)| *wanted == path) else { return Ok(()) };
        let (path, mut partial) = self.wanted.swap_remove(at);
        while !partial.is_settled() {
            let count = content.read(&mut self.chunk)?;
            if count == 0 {
                break;
            }
            partial.feed(&self.chunk[..count]);
        }
        self.known.push((path, partial.end()));
        Ok(())
    }
}

/// A sum of what was seen so far.
enum Summing {
    Md5(md5::Md5),
    Sha256(Hasher),
    Both(md5::Md5, Hasher),
}

impl Summing {
    fn new(sum: Sum) -> Self {
        match sum {
            Sum::Md5 => Self::Md5(md5::Md5::default()),
            Sum::Sha256 => Self::Sha256(Hasher::new(Algorithm::Sha256)),
            Sum::Both => Self::Both(md5::Md5::default(), Hasher::new(Algorithm::Sha256)),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(md5) => md5::Digest::update(md5, bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Both(md5, hasher) => {
                md5::Digest::update(md5, bytes);
                hasher.update(bytes);
            }
        }
    }

    fn finish(self) -> Summed {
        match self {
            Self::Md5(md5) => Summed::Md5(md5::Digest::finalize(md5).into()),
            Self::Sha256(hasher) => Summed::Sha256(hasher.finish()),
            Self::Both(md5, hasher) => Summed::Both(md5::Digest::finalize(md5).into(), hasher.finish()),
        }
    }
}

/// The first line of a script, after `#!`.
fn script(head: &[u8]) -> Option<Box<[u8]>> {
    let line = head.strip_prefix(b"#!")?;
    let end = memchr::memchr(b'\n', line).unwrap_or(line.len());
    // A carriage return is no blank to the kernel: it counts to the interpreter's name.
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = &line[..end];
    let from = line.iter().position(|byte| !is_blank(byte)).unwrap_or(end);
    let to = line.iter().rposition(|byte| !is_blank(byte)).map_or(from, |last| last + 1);
    Some(line[from..to].into())
}

#[cfg(test)]
mod tests;
