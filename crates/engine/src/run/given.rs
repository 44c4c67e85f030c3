//! Which directories of the host sandboxes have been given, long after the sandboxes are gone.
//!
//! ```text
//!   DATA/given/HEX      HEX: SHA-256 of a directory's real path, which is in the file
//! ```
//!
//! An agent that worked somewhere may have left anything there, and nobody remembers it when the sandbox is removed. So what
//! the host executes for a key is looked for in no such place ([`super::places`]), and a link there leads to no workspace and no
//! mount ([`super::named`]).
//!
//! **Guarantees**: a place is kept before its sandbox starts; at most [`KEPT`] are, those that are there no more forgotten
//! first, then the oldest. **Leaves** the home that mirror mode hands over: everything of the user's is below it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::SystemTime;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec::Access;
use pinfold_sandbox::spec::MountSource;

use crate::context::Context;

/// So many places are kept.
const KEPT: usize = 200;

fn folder(data: &Path) -> PathBuf {
    data.join("given")
}

/// Keeps what a sandbox may write to.
pub(super) fn keep(context: &Context, spec: &Spec) -> std::io::Result<()> {
    let home = context.environment.home();
    for mount in spec.mounts.iter().filter(|mount| mount.access == Access::ReadWrite) {
        if let MountSource::Host(path) = &mount.source
            && home.is_none_or(|home| !home.starts_with(path))
        {
            keep_one(&folder(context.home.data()), path)?;
        }
    }
    Ok(())
}

fn keep_one(folder: &Path, path: &Path) -> std::io::Result<()> {
    let path = path.as_os_str().as_bytes();
    let file = folder.join(Digest::sha256(path).hex());
    // Most starts find it there; its time says when the place was given last.
    if let Ok(known) = fs::OpenOptions::new().append(true).open(&file) {
        return known.set_modified(std::time::SystemTime::now());
    }
    fs::create_dir_all(folder)?;
    make_room(folder)?;
    let mut temporary = tempfile::Builder::new().prefix(NEW).tempfile_in(folder)?;
    std::io::Write::write_all(&mut temporary, path)?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// How files begin that are being written.
const NEW: &str = ".";

/// Each record, with the place that it is of and since when.
fn records(folder: &Path) -> Vec<(SystemTime, PathBuf, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| !entry.file_name().as_bytes().starts_with(NEW.as_bytes()))
        .filter_map(|entry| {
            let place = fs::read(entry.path()).ok()?;
            let since = entry.metadata().and_then(|data| data.modified()).ok()?;
            Some((since, entry.path(), PathBuf::from(OsStr::from_bytes(&place))))
        })
        .collect()
}

fn make_room(folder: &Path) -> std::io::Result<()> {
    let mut records = records(folder);
    if records.len() < KEPT {
        return Ok(());
    }
    records.sort();
    let is_there = |place: &Path| fs::symlink_metadata(place).is_ok();
    let (kept, gone): (Vec<_>, Vec<_>) = records.into_iter().partition(|(_, _, place)| is_there(place));
    let surplus = kept.len().saturating_sub(KEPT - 1);
    for (_, file, _) in gone.iter().chain(&kept[..surplus]) {
        match fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Every place that is kept, and still there.
pub(crate) fn all(context: &Context) -> Vec<PathBuf> {
    let records = records(&folder(context.home.data()));
    let mut places: Vec<PathBuf> = records.into_iter().map(|(_, _, place)| place).collect();
    places.retain(|place| place.is_absolute() && fs::symlink_metadata(place).is_ok());
    places.sort();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_up_to_a_bound_and_those_that_are_gone_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("given");
        let place = |number: usize| dir.path().join(format!("w{number}"));
        let known = || {
            let mut known: Vec<PathBuf> = records(&folder).into_iter().map(|(_, _, place)| place).collect();
            known.sort();
            known
        };
        assert_eq!(known(), Vec::<PathBuf>::new());
        let start = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        for number in 0..KEPT {
            fs::create_dir(place(number)).unwrap();
            keep_one(&folder, &place(number)).unwrap();
            // Another is no newer for being said again.
            keep_one(&folder, &place(number)).unwrap();
            let file = folder.join(Digest::sha256(place(number).as_os_str().as_bytes()).hex());
            let since = start + std::time::Duration::from_secs(number.try_into().unwrap());
            fs::File::open(file).unwrap().file().set_modified(since).unwrap();
        }
        assert_eq!(known().len(), KEPT);
        fs::remove_dir(place(7)).unwrap();
        fs::create_dir(place(KEPT)).unwrap();
        keep_one(&folder, &place(KEPT)).unwrap();
        assert!(known().contains(&place(0)) && !known().contains(&place(7)));
        fs::create_dir(place(KEPT + 1)).unwrap();
        keep_one(&folder, &place(KEPT + 1)).unwrap();
        assert!(
            !known().contains(&place(0)) && known().contains(&place(1)) && known().contains(&place(KEPT + 1))
        );
        assert_eq!(known().len(), KEPT);
    }
}
