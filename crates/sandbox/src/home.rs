//! Seeding a sandbox's home from the image's directory of the same path.
//!
//! Links are copied as links and never followed; devices, sockets and FIFOs are left out; set-id bits are dropped. The copy
//! is made under another name and renamed, so that a home is either whole or absent.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Makes `home` unless it exists, from `seed` where that exists.
pub(crate) fn seed(seed: &Path, home: &Path) -> io::Result<()> {
    if fs_err::symlink_metadata(home).is_ok() {
        return Ok(());
    }
    let part = home.with_extension("part");
    if fs_err::symlink_metadata(&part).is_ok() {
        fs_err::remove_dir_all(&part)?;
    }
    fs_err::create_dir(&part)?;
    if fs_err::symlink_metadata(seed).is_ok_and(|data| data.is_dir()) {
        copy(seed, &part)?;
    }
    fs_err::set_permissions(&part, std::fs::Permissions::from_mode(0o700))?;
    fs_err::rename(&part, home)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let data = fs_err::symlink_metadata(&source)?;
        let mode = std::fs::Permissions::from_mode(data.permissions().mode() & 0o777);
        if data.is_symlink() {
            symlink(fs_err::read_link(&source)?, &target)?;
        } else if data.is_dir() {
            fs_err::create_dir(&target)?;
            copy(&source, &target)?;
            // Its owner is the sandbox's user, who must be able to enter and change it.
            fs_err::set_permissions(&target, std::fs::Permissions::from_mode(mode.mode() | 0o700))?;
        } else if data.is_file() {
            fs_err::copy(&source, &target)?;
            fs_err::set_permissions(&target, std::fs::Permissions::from_mode(mode.mode() | 0o600))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_links_and_bits_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let (image, home) = (dir.path().join("image"), dir.path().join("home"));
        fs_err::create_dir_all(image.join(".config/deep")).unwrap();
        fs_err::write(image.join(".config/deep/file"), "text").unwrap();
        fs_err::set_permissions(image.join(".config/deep/file"), PermissionsExt::from_mode(0o4755)).unwrap();
        symlink("/etc/shadow", image.join("link")).unwrap();
        seed(&image, &home).unwrap();
        assert_eq!(fs_err::read_link(home.join("link")).unwrap(), Path::new("/etc/shadow"));
        let file = fs_err::metadata(home.join(".config/deep/file")).unwrap();
        assert_eq!(file.permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs_err::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_home_is_seeded_once() {
        let dir = tempfile::tempdir().unwrap();
        let (image, home) = (dir.path().join("image"), dir.path().join("home"));
        seed(&image, &home).unwrap();
        fs_err::write(home.join("mine"), "kept").unwrap();
        fs_err::create_dir(&image).unwrap();
        fs_err::write(image.join("new"), "").unwrap();
        seed(&image, &home).unwrap();
        assert!(home.join("mine").exists() && !home.join("new").exists());
    }
}
