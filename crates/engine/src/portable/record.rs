//! Which files that carry images were started here: `DATA/portable/HEX.json`, by the SHA-256 of the file's path. While a file is there,
//! its root and its program stay; the time of the record is that of the last start.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::directory::Size;
use pinfold_base::private_folder;
use pinfold_base::store::temporary;
use pinfold_image::portable::Portable;
use serde::Deserialize;
use serde::Serialize;

use super::program;

/// Folder of the records, below `DATA`.
const FOLDER: &str = "portable";
/// Longest record read: a path of 4096 bytes, as numbers.
const MAX_RECORD: u64 = 32 << 10;
/// How often a start is noted.
const OFTEN: Duration = Duration::from_secs(60 * 60);
/// How long what a file had unpacked stays without it, unless somebody asks for room.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// The bytes of the file's path.
    file: Vec<u8>,
    /// The image's manifest.
    image: Digest,
    program: Digest,
}

/// What files that were started here have of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Manifests of images, whose roots stay.
    pub(crate) manifests: BTreeSet<Digest>,
    programs: BTreeSet<Digest>,
}

impl Record {
    /// Whether what the file has unpacked stays: while the file is there, and some time after.
    fn stays(&self, path: &Path, patience: Duration) -> bool {
        let is_there = Path::new(OsStr::from_bytes(&self.file)).exists();
        is_there || age(path).is_some_and(|age| age < patience)
    }
}

/// Notes that a file is started.
pub fn started(data: &Path, portable: &Portable, file: &Path) -> io::Result<()> {
    let folder = data.join(FOLDER);
    let file = std::path::absolute(file)?.as_os_str().as_bytes().to_vec();
    let path = folder.join(format!("{}.json", Digest::sha256(&file).hex()));
    let (image, program) = (portable.index().image.digest.clone(), portable.program_digest().clone());
    let record = Record { file, image, program };
    if read(&path).is_some_and(|known| known == record) && age(&path).is_some_and(|age| age < OFTEN) {
        return Ok(());
    }
    private_folder(&folder)?;
    let mut new = temporary::file(&folder)?;
    new.write_all(&serde_json::to_vec(&record)?)?;
    new.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// What stays: of files that are there, and of those started less than `patience` ago.
pub(crate) fn wanted(data: &Path, patience: Duration) -> Wanted {
    let mut wanted = Wanted::default();
    for path in records(data) {
        let Some(record) = read(&path) else { continue };
        if record.stays(&path, patience) {
            wanted.manifests.insert(record.image);
            wanted.programs.insert(record.program);
        }
    }
    wanted
}

/// Records and programs of files that are gone, removed if `remove` says so.
pub(crate) fn sweep(data: &Path, wanted: &Wanted, remove: bool) -> io::Result<Size> {
    let mut found = Size::default();
    let gone = |path: &PathBuf| read(path).is_none_or(|record| !record.stays(path, Duration::ZERO));
    let records = records(data).into_iter().filter(gone);
    let programs = program::all(data).into_iter().filter(|path| {
        let hex = path.file_name().and_then(OsStr::to_str);
        !wanted.programs.iter().any(|program| Some(&*program.hex()) == hex)
    });
    for path in records.chain(programs) {
        found.files += 1;
        found.bytes += fs::symlink_metadata(&path)?.len();
        if remove {
            fs::remove_file(&path)?;
        }
    }
    Ok(found)
}

fn records(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension() == Some(OsStr::new("json"))).collect()
}

fn read(path: &Path) -> Option<Record> {
    let small = fs::symlink_metadata(path).ok().filter(|there| there.is_file() && there.len() <= MAX_RECORD);
    small.and_then(|_| serde_json::from_slice(&fs::read(path).ok()?).ok())
}

fn age(path: &Path) -> Option<Duration> {
    let modified = fs::symlink_metadata(path).and_then(|there| there.modified()).ok()?;
    Some(SystemTime::now().duration_since(modified).unwrap_or_default())
}
