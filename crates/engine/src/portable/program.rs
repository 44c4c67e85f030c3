//! The program that a file was made with, without the image: `DATA/heads/SHA256`.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Home;
use pinfold_base::private_folder;
use pinfold_base::store::temporary;
use pinfold_image::ImageError;
use pinfold_image::portable::Portable;

/// Folder of programs, below `DATA`.
const FOLDER: &str = "heads";

/// Where the program is, written now if it is not there yet. It is verified while it is written, and of its size when it is found.
pub fn program(portable: &Portable, folders: &Home) -> Result<PathBuf, ImageError> {
    let mut content = portable.program()?;
    let path = folders.data().join(FOLDER).join(portable.program_digest().hex());
    if fs::symlink_metadata(&path)
        .is_ok_and(|there| there.is_file() && there.len() == portable.program_size())
    {
        return Ok(path);
    }
    private_folder(folders.data())?;
    let folder = folders.data().join(FOLDER);
    private_folder(&folder)?;
    let mut new = temporary::file(&folder)?;
    io::copy(&mut content, new.as_file_mut())?;
    new.as_file().set_permissions(std::fs::Permissions::from_mode(0o500))?;
    new.as_file().sync_all()?;
    new.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

/// All programs that are there.
pub(super) fn all(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join(FOLDER)).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| !temporary::is_own(path)).collect()
}
