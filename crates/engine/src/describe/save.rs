//! Writing a text to a file that a user names.

use std::io;
use std::io::Write as _;
use std::path::Path;

use fs_err as fs;
use pinfold_base::store;
use pinfold_base::store::StoreError;

/// Writes a text to a file, whole or not at all. What is no file of its own there (a pipe, a device, a link) is written to as it is.
pub fn save(file: &Path, text: &str) -> Result<(), StoreError> {
    match fs::symlink_metadata(file) {
        Ok(there) if !there.is_file() => {
            return Ok(fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())?);
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new().prefix(".pinfold-").tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    store::persist(new, file)
}
