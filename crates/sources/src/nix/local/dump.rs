//! The NAR of a path of a local store, held to what its database says of it.

use std::io;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use fs_err as fs;
use pinfold_archive::nar::NarError;
use pinfold_archive::nar::Permission;
use pinfold_archive::nar::Writer;
use pinfold_base::ImagePath;
use pinfold_base::Shown;
use pinfold_base::digest::Algorithm;
use pinfold_base::digest::HashingWriter;

use super::LocalError;
use super::LocalStore;
use crate::nix::LockedPath;
use crate::nix::NixError;

impl LocalStore {
    /// Writes the NAR of a locked path, and says whether it is the one that was locked. Until then nothing of it counts.
    pub fn dump(&self, locked: &LockedPath, out: impl Write) -> Result<(), NixError> {
        let failed = |source| LocalError::Dump {
            root: Shown::from(self.root.as_path()),
            path: locked.path.clone(),
            source: Box::new(source),
        };
        let hashing = HashingWriter::new(Algorithm::Sha256, BufWriter::new(out));
        let mut writer = Writer::new(hashing);
        node(&mut writer, &self.place(&locked.path), &ImagePath::root()).map_err(failed)?;
        let (_, digest, size) = writer.finish().map_err(failed)?.finish();
        locked.check_nar(&digest, size).map_err(|error| match error {
            NixError::Nar { path, found, expected } => {
                LocalError::Changed { root: Shown::from(self.root.as_path()), path, found, expected }.into()
            }
            error => error,
        })
    }
}

/// One node and what is in it, by the order of names. Links are not followed.
fn node(writer: &mut Writer<impl Write>, file: &Path, at: &ImagePath) -> Result<(), NarError> {
    let meta = fs::symlink_metadata(file)?;
    if meta.is_dir() {
        writer.directory(at)?;
        let names = fs::read_dir(file)?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        for name in names {
            let below = at.join(name.as_bytes()).map_err(io::Error::other)?;
            node(writer, &file.join(&name), &below)?;
        }
        Ok(())
    } else if meta.is_symlink() {
        writer.symlink(at, fs::read_link(file)?.as_os_str().as_bytes())
    } else if meta.is_file() {
        let permission = Permission::of(meta.permissions().mode());
        writer.file(at, permission, meta.len(), &mut BufReader::new(fs::File::open(file)?))
    } else {
        Err(io::Error::other(format!("`{}` is no file, directory or link", Shown::from(file))).into())
    }
}
