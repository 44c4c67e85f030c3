//! A tar of a directory that `nix copy --to file://` filled, to be carried to machines without Nix.
//!
//! Its files are taken out once for a verb and are a cache in a directory then, which proves as little as any other: signatures and
//! hashes count.
//!
//! **Guarantees**: only what a cache has is taken: `nix-cache-info`, narinfos, and files in `nar/`, wherever in the tar its top is.
//! **Refuses**: tars with more than [`MAX_ENTRIES`] of them or [`MAX_TOTAL`] bytes, and a name twice.

use std::io;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_archive::codec;
use pinfold_archive::codec::Compression;
use pinfold_archive::tar::EntryKind;
use pinfold_archive::tar::Limits;
use pinfold_archive::tar::Reader;
use pinfold_archive::tar::Strictness;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::file;
use tempfile::TempDir;

/// Most entries of a tar.
const MAX_ENTRIES: u64 = 1 << 20;
/// Most bytes of a tar, decompressed.
const MAX_TOTAL: u64 = 256 << 30;

/// A tar cannot be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the tar of a binary cache `{}`: {reason}", .tar.display())]
pub(super) struct TarredError {
    tar: PathBuf,
    reason: String,
}

impl Diagnose for TarredError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }
}

/// Whether a place is a tar, by its name.
pub(super) fn is_tar(place: &Path) -> bool {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    [".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst"].iter().any(|end| name.ends_with(end))
        && !place.is_dir()
}

/// Its files in a directory below `scratch`, which is removed with the value; and its top in there.
pub(super) fn unpacked(tar: &Path, scratch: &Path) -> Result<(TempDir, PathBuf), TarredError> {
    let refuse =
        |reason: &dyn std::fmt::Display| TarredError { tar: tar.to_owned(), reason: reason.to_string() };
    let (folder, top) = taken(tar, scratch, &refuse)?;
    let top =
        top.ok_or_else(|| refuse(&"it has no `nix-cache-info`: it is no tar of what `nix copy` filled"))?;
    let top = folder.path().join(top);
    Ok((folder, top))
}

fn taken(
    tar: &Path,
    scratch: &Path,
    refuse: &dyn Fn(&dyn std::fmt::Display) -> TarredError,
) -> Result<(TempDir, Option<PathBuf>), TarredError> {
    let failed = |error: io::Error| refuse(&error);
    let file = file::regular(tar).map_err(failed)?;
    let (compression, file) = Compression::peek(BufReader::new(file)).map_err(failed)?;
    let stream = codec::decoder(compression, file).map_err(failed)?;
    let limits = Limits { entries: MAX_ENTRIES, total: MAX_TOTAL, ..Limits::default() };
    let mut entries = Reader::new(BufReader::with_capacity(1 << 20, stream), Strictness::LAYER, limits);
    let folder = tempfile::tempdir_in(scratch).map_err(failed)?;
    let mut top = None;
    while let Some(entry) = entries.next_entry().map_err(|error| refuse(&error))? {
        let name = entry.path().map_err(|error| refuse(&error))?.to_string();
        let name = name.trim_start_matches('/');
        let Some(above) = above(name).filter(|_| entry.kind == EntryKind::File) else { continue };
        if name.ends_with("nix-cache-info") {
            top = Some(PathBuf::from(above));
        }
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder.path())).map_err(failed)?;
        let mut out = fs::OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
        io::copy(&mut entries, &mut out).map_err(failed)?;
    }
    Ok((folder, top))
}

/// Of the name of a file of a cache, the directory that the cache is in; nothing for other files.
fn above(name: &str) -> Option<&str> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let plain = |text: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte);
        !text.is_empty() && text.bytes().all(known)
    };
    let is_nar = folder == "nar" || folder.ends_with("/nar");
    match file {
        "nix-cache-info" => Some(folder),
        _ if file.ends_with(".narinfo") && plain(file) => Some(folder),
        _ if is_nar && plain(file) => Some(folder.strip_suffix("nar")?.trim_end_matches('/')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use pinfold_archive::Content;
    use pinfold_archive::Metadata;
    use pinfold_archive::Node;
    use pinfold_archive::Tree;
    use pinfold_archive::decoded::DecodedStore;
    use pinfold_base::ImagePath;
    use pinfold_base::Store;

    use super::*;

    fn tarred(folder: &Path, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let owner = "x".into();
        let mut tree = Tree::new();
        for (path, text) in files {
            let node = Node::file(&owner, Metadata::root(0o644, 1), Content::inline(text.as_bytes()));
            tree.add(ImagePath::new(path).unwrap(), node).unwrap();
        }
        tree.complete(&owner, 1).unwrap();
        let decoded = DecodedStore::new(&Store::open(folder).unwrap());
        let mut bytes = Vec::new();
        pinfold_archive::tar::write::write(&tree, &decoded, &mut bytes).unwrap();
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn only_what_a_cache_has_is_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("made/nix-cache-info", "StoreDir: /nix/store\n"),
            ("made/aaaa.narinfo", "a"),
            ("made/nar/bbbb.nar.xz", "b"),
            ("made/log/c", "c"),
            ("made/realisations/d.doi", "d"),
            ("made/nar/deeper/e", "e"),
        ];
        let tar = tarred(folder.path(), "cache.tar", &files);
        assert!(is_tar(&tar) && !is_tar(folder.path()));
        let (kept, top) = unpacked(&tar, folder.path()).unwrap();
        assert_eq!(top, kept.path().join("made"));
        let is_there = |name: &str| kept.path().join(name).exists();
        let expected = [true, true, true, false, false, false];
        for ((name, _), expected) in files.iter().zip(expected) {
            assert_eq!(is_there(name), expected, "{name}");
        }
        let other = tarred(folder.path(), "other.tar", &files[1..]);
        let error = unpacked(&other, folder.path()).unwrap_err();
        assert!(error.to_string().contains("no `nix-cache-info`"), "{error}");
        fs::write(&other, b"no tar at all, though it is as long as a block has to be").unwrap();
        assert!(unpacked(&other, folder.path()).is_err());
        fs::remove_file(&other).unwrap();
        let (pipe, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &other, pipe, mode, 0).unwrap();
        let error = unpacked(&other, folder.path()).unwrap_err();
        assert!(error.to_string().contains("no regular file"), "a pipe is not waited for: {error}");
    }
}
