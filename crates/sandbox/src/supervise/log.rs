//! What a session showed, bounded: when the file is full it becomes `log.1` and a new one is begun.

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use crate::plan::guards::Guard;

/// Bytes of one file; there are at most two.
const SIZE_MAX: u64 = 1 << 20;

/// A file that is turned over. Losing log lines must not end a session: errors are dropped.
#[derive(Debug)]
pub(crate) struct BoundedLog {
    path: PathBuf,
    file: Option<fs_err::File>,
    size: u64,
    size_max: u64,
}

impl BoundedLog {
    /// Appends to the file at `path`, within bounds as the plan's guard says.
    pub(crate) fn open(path: &Path, guard: &Guard) -> Self {
        let file = fs_err::OpenOptions::new().append(true).create(true).open(path).ok();
        let size = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |data| data.len());
        Self { path: path.to_owned(), file, size, size_max: if guard.holds() { SIZE_MAX } else { u64::MAX } }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if self.size + bytes.len() as u64 > self.size_max {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            let _ = fs_err::rename(&self.path, old);
            self.file = fs_err::File::create(&self.path).ok();
            self.size = 0;
        }
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.size += bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row L6.
    #[test]
    fn a_flood_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = BoundedLog::open(&path, &Guard::Up);
        for _ in 0..50 {
            log.write(&vec![b'x'; 100_000]);
        }
        let total: u64 =
            fs_err::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(total <= 2 * SIZE_MAX && total > SIZE_MAX / 2, "{total}");
    }
}
