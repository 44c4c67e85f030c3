//! The program that a file was made with, without the image: `DATA/heads/SHA256`.
//!
//! **Guarantees**: what is under its digest is that program, whole, and nobody else's to change; it is never open for writing while it
//! has that name.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Home;
use pinfold_base::private_folder;
use pinfold_base::store::Expected;
use pinfold_base::store::stamp;
use pinfold_base::store::stamp::Looked;
use pinfold_base::store::temporary;
use pinfold_image::ImageError;
use pinfold_image::blobs::unwrap_io;
use pinfold_image::portable::Portable;

/// Folder of programs, below `DATA`.
const FOLDER: &str = "heads";
/// Permission bits of a program. Its folder is the user's alone; process 1 of root's sandbox has ids that nobody has, and executes it by a
/// descriptor.
const MODE: u32 = 0o555;

/// Where the program is or will be.
pub(super) fn path(portable: &Portable, folders: &Home) -> PathBuf {
    folders.data().join(FOLDER).join(portable.program_digest().hex())
}

/// Where the program is, written now if it is not there yet. It is verified while it is written; one that is found is believed by its
/// stamp, hashed where that is in doubt ([`stamp`]), and written anew where it is not the program, or not the user's alone.
pub fn program(portable: &Portable, folders: &Home) -> Result<PathBuf, ImageError> {
    let folder = folders.data().join(FOLDER);
    let digest = portable.program_digest();
    let path = path(portable, folders);
    let expected = Expected { digest: digest.clone(), size: Some(portable.program_size()) };
    let own = |there: std::fs::Metadata| {
        there.uid() == rustix::process::geteuid().as_raw() && there.mode() & 0o7777 == MODE
    };
    if fs::symlink_metadata(&path).is_ok_and(own) && stamp::look(&path, &expected)? == Looked::Right {
        return Ok(path);
    }
    private_folder(folders.data())?;
    private_folder(&folder)?;
    let mut new = temporary::file(&folder)?;
    io::copy(&mut portable.program()?, new.as_file_mut()).map_err(unwrap_io)?;
    new.as_file().set_permissions(std::fs::Permissions::from_mode(MODE))?;
    new.as_file().sync_all()?;
    // Closed before it has its name: what somebody has open for writing cannot be executed (ETXTBSY).
    let new = new.into_temp_path();
    stamp::stamp(&new)?;
    new.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

/// All programs that are there.
pub(super) fn all(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| !temporary::is_own(path)).collect()
}
