//! Writing a text to a file that a user names.

use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::beside::BesideFile;
use pinfold_base::store::StoreError;

/// Why a text is not written.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The file's folder is not there.
    #[error("`{}` cannot be written: there is no folder `{}`", .file.display(), .folder.display())]
    NoFolder {
        /// The file.
        file: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// The disk or the system.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Diagnose for SaveError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::NoFolder { .. } => Diagnosis::Own(Kind::System),
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Io(error) => Diagnosis::Inner(error),
        }
    }

    fn own_hint(&self) -> Option<String> {
        let Self::NoFolder { .. } = self else { return None };
        Some("make the folder, or name a file in one that is there".into())
    }
}

/// Writes a text to a file, whole or not at all. What is no file of its own there (a pipe, a device, a link) is written to as it is.
pub fn save(file: &Path, text: &str) -> Result<(), SaveError> {
    match fs::symlink_metadata(file) {
        Ok(there) if !there.is_file() => {
            return Ok(fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())?);
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    folder(file)?;
    let mut new = BesideFile::new(file)?;
    new.write_all(text.as_bytes())?;
    Ok(new.persist()?)
}

/// The folder of a file that is to be written. Whoever works long for it asks first.
pub fn folder(file: &Path) -> Result<&Path, SaveError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(SaveError::NoFolder { file: file.to_owned(), folder: folder.to_owned() });
    }
    Ok(folder)
}
