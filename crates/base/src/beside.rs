//! What is made for a place that its user names: beside it, under a name of its own, and named when it is whole.
//!
//! **Guarantees**: nothing half is under the final name; what a writer left in the folder that was killed is removed by the next one
//! there (see [`temporary`]); errors name what was to be written, and not what stands beside it meanwhile.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::store;
use crate::store::StoreError;
use crate::store::temporary;

/// A file that is being written. Dropped, it was never there.
#[derive(Debug)]
pub struct BesideFile {
    file: tempfile::NamedTempFile,
    path: PathBuf,
}

impl BesideFile {
    /// Begins a file with mode 0600.
    pub fn new(path: &Path) -> io::Result<Self> {
        let folder = tidied(path);
        let file = temporary::file(folder).map_err(|error| unwritten(path, &error))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Gives it its name and mode 0644. A file that has the name is replaced.
    pub fn persist(self) -> Result<(), StoreError> {
        store::persist(self.file, &self.path)
    }

    /// Gives it its name and leaves it its mode. A file that has the name is replaced.
    pub fn persist_as_it_is(self) -> io::Result<()> {
        self.file.as_file().sync_all().map_err(|error| unwritten(&self.path, &error))?;
        self.file.persist(&self.path).map_err(|error| unwritten(&self.path, &error.error))?;
        Ok(())
    }

    /// Gives it its name, which nothing has yet ([`io::ErrorKind::AlreadyExists`]), and leaves it its mode.
    pub fn persist_new(self) -> io::Result<()> {
        self.file.as_file().sync_all().map_err(|error| unwritten(&self.path, &error))?;
        self.file.persist_noclobber(&self.path).map_err(|error| unwritten(&self.path, &error.error))?;
        Ok(())
    }
}

impl Write for BesideFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // The file alone: around it the error would have the other name in it.
        self.file.as_file_mut().write(buf).map_err(|error| unwritten(&self.path, &error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush().map_err(|error| unwritten(&self.path, &error))
    }
}

/// A folder that is being filled. Dropped, it was never there.
#[derive(Debug)]
pub struct BesideFolder {
    folder: temporary::Directory,
    is_kept: bool,
}

impl BesideFolder {
    /// Begins a folder with mode 0700 for a place.
    pub fn new(path: &Path) -> io::Result<Self> {
        let folder = temporary::directory(tidied(path)).map_err(|error| unwritten(path, &error))?;
        Ok(Self { folder, is_kept: false })
    }

    /// Begins a folder in another one, which gets no name.
    pub fn within(folder: &Path) -> io::Result<Self> {
        Self::new(&folder.join("a folder for the time being"))
    }

    /// Where it is meanwhile.
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    /// It has another name now, and stays.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for BesideFolder {
    fn drop(&mut self) {
        if !self.is_kept {
            // The next one in this folder tries again.
            let _ = crate::directory::remove(&self.folder.path);
        }
    }
}

/// The folder of a path, without what killed writers left in it.
fn tidied(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // It is only tidying: failures are no matter.
    let _ = temporary::sweep(folder, true);
    folder
}

/// The same error with the name of what is to be written.
fn unwritten(path: &Path, error: &io::Error) -> io::Error {
    let told = match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => error.to_string(),
    };
    // `tempfile` puts the other name at the end, and gives the system's error to nobody.
    let reason = told.split(" at path ").next().unwrap_or_default();
    io::Error::new(error.kind(), format!("failed to write `{}`: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    #[test]
    fn what_is_dropped_was_never_there_and_what_is_named_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("file"), dir.path().join("folder"));
        let names =
            || fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let mut half = BesideFile::new(&file).unwrap();
        half.write_all(b"half").unwrap();
        let filled = BesideFolder::new(&folder).unwrap();
        fs::write(filled.path().join("x"), "x").unwrap();
        assert_eq!(names().len(), 2);
        drop((half, filled));
        assert!(names().is_empty());
        let mut whole = BesideFile::new(&file).unwrap();
        whole.write_all(b"whole").unwrap();
        whole.persist().unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"whole");
        let again = BesideFile::new(&file).unwrap();
        assert_eq!(again.persist_new().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let filled = BesideFolder::new(&folder).unwrap();
        fs::rename(filled.path(), &folder).unwrap();
        filled.keep();
        assert!(folder.is_dir() && names().len() == 2, "{:?}", names());
    }

    #[test]
    fn what_a_killed_writer_left_goes_with_the_next_one_and_what_is_held_stays() {
        let dir = tempfile::tempdir().unwrap();
        let held = BesideFile::new(&dir.path().join("held")).unwrap();
        // As if its writer had been killed: nobody holds it.
        let left = dir.path().join(format!("{}left", temporary::PREFIX));
        fs::write(&left, "half").unwrap();
        BesideFile::new(&dir.path().join("next")).unwrap();
        assert!(!left.exists() && held.file.path().exists());
    }

    #[test]
    fn errors_name_what_was_to_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("nowhere/file");
        for error in [BesideFile::new(&file).unwrap_err(), BesideFolder::new(&file).unwrap_err()] {
            let told = error.to_string();
            assert!(
                told.contains("nowhere/file`: No such file") && !told.contains(temporary::PREFIX),
                "{told}"
            );
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
        }
    }
}
