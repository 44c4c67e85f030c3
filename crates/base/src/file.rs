//! Files from elsewhere, opened without being waited for.
//!
//! **Refuses**: what is no regular file: a pipe has no end, and is not opened before somebody writes to it.

use std::io;
use std::path::Path;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::OFlags;

/// Opens a regular file to be read. Links are followed.
pub fn regular(path: &Path) -> io::Result<fs_err::File> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs_err::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is no regular file", path.display())))
}

/// Opens a file of configuration to be read: a regular one, or a device such as `/dev/null`, which is none on purpose. Links are
/// followed.
pub fn configuration(path: &Path) -> io::Result<fs_err::File> {
    use std::os::unix::fs::FileTypeExt as _;

    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = fs_err::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_char_device() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is no regular file", path.display())))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rustix::fs::FileType;
    use rustix::fs::Mode;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let (file, pipe, link) = (dir.path().join("file"), dir.path().join("pipe"), dir.path().join("link"));
        fs_err::write(&file, "x").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        let mut text = String::new();
        regular(&link).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for path in [pipe.as_path(), dir.path()] {
            assert!(regular(path).unwrap_err().to_string().contains("is no regular file"));
            assert!(configuration(path).unwrap_err().to_string().contains("is no regular file"));
        }
        assert!(regular(Path::new("/dev/null")).is_err() && configuration(Path::new("/dev/null")).is_ok());
    }
}
