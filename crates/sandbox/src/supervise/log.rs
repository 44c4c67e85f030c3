//! What a session showed, bounded: when the file is full it becomes `log.1` and a new one is begun. `log.size` says on how large
//! a screen, the largest that there was: who reads it later must know where lines ended.

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
    /// Rows and columns.
    screen: (u16, u16),
}

/// The size of a terminal that says none.
const USUAL: (u16, u16) = (24, 80);

/// Rows and columns of the screen of the log at `path`.
pub(crate) fn screen(path: &Path) -> (u16, u16) {
    noted(path).unwrap_or(USUAL)
}

fn noted(path: &Path) -> Option<(u16, u16)> {
    let text = fs_err::read_to_string(path.with_extension("size")).ok()?;
    let (rows, columns) = text.trim().split_once(' ')?;
    Some((rows.parse().ok()?, columns.parse().ok()?))
}

impl BoundedLog {
    /// Appends to the file at `path`, within bounds as the plan's guard says.
    pub(crate) fn open(path: &Path, guard: &Guard) -> Self {
        let file = fs_err::OpenOptions::new().append(true).create(true).open(path).ok();
        let size = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |data| data.len());
        let size_max = if guard.holds() { SIZE_MAX } else { u64::MAX };
        Self { path: path.to_owned(), file, size, size_max, screen: noted(path).unwrap_or_default() }
    }

    /// Notes the size that the screen has.
    pub(crate) fn on_screen(&mut self, (rows, columns): (u16, u16)) {
        let largest = (self.screen.0.max(rows), self.screen.1.max(columns));
        if largest != self.screen {
            self.screen = largest;
            let _ = fs_err::write(self.path.with_extension("size"), format!("{} {}\n", largest.0, largest.1));
        }
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

    #[test]
    fn the_largest_screen_is_known_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert_eq!(screen(&path), (24, 80));
        let mut log = BoundedLog::open(&path, &Guard::Up);
        for (size, known) in [((24, 80), (24, 80)), ((50, 70), (50, 80)), ((10, 200), (50, 200))] {
            log.on_screen(size);
            assert_eq!(screen(&path), known);
        }
        // A later session of the same name goes on in the same log.
        BoundedLog::open(&path, &Guard::Up).on_screen((30, 90));
        assert_eq!(screen(&path), (50, 200));
        fs_err::write(path.with_extension("size"), "x").unwrap();
        assert_eq!(screen(&path), (24, 80));
    }

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
