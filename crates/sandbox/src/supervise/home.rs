//! Seeding a sandbox's home from the image's directory of the same path.
//!
//! Links are copied as links and never followed; devices, sockets and FIFOs are left out; set-id bits are dropped. The copy
//! is made under another name and renamed, so that a home is either whole or absent.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// Makes `home` unless it exists, from the directory `inside` of the image at `rootfs`. No component of it may be a link: on
/// the host it would lead out of the image.
pub(crate) fn seed(rootfs: &Path, inside: &Path, home: &Path) -> io::Result<()> {
    if fs_err::symlink_metadata(home).is_ok() {
        return Ok(());
    }
    let part = home.with_extension("part");
    if fs_err::symlink_metadata(&part).is_ok() {
        fs_err::remove_dir_all(&part)?;
    }
    fs_err::create_dir(&part)?;
    if let Some(seed) = plain(rootfs, inside) {
        copy(&seed, &part)?;
    }
    fs_err::set_permissions(&part, std::fs::Permissions::from_mode(0o700))?;
    fs_err::rename(&part, home)
}

/// The directory `inside` below `rootfs`, if all its components are directories. The image is not changed by anybody.
fn plain(rootfs: &Path, inside: &Path) -> Option<PathBuf> {
    let mut path = rootfs.to_owned();
    for component in inside.components() {
        match component {
            Component::RootDir => continue,
            Component::Normal(name) => path.push(name),
            _ => return None,
        }
        if !fs_err::symlink_metadata(&path).is_ok_and(|data| data.is_dir()) {
            return None;
        }
    }
    Some(path)
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
        seed(dir.path(), Path::new("/image"), &home).unwrap();
        assert_eq!(fs_err::read_link(home.join("link")).unwrap(), Path::new("/etc/shadow"));
        let file = fs_err::metadata(home.join(".config/deep/file")).unwrap();
        assert_eq!(file.permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs_err::metadata(&home).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_home_is_seeded_once() {
        let dir = tempfile::tempdir().unwrap();
        let (image, home) = (dir.path().join("image"), dir.path().join("home"));
        seed(dir.path(), Path::new("/image"), &home).unwrap();
        fs_err::write(home.join("mine"), "kept").unwrap();
        fs_err::create_dir(&image).unwrap();
        fs_err::write(image.join("new"), "").unwrap();
        seed(dir.path(), Path::new("/image"), &home).unwrap();
        assert!(home.join("mine").exists() && !home.join("new").exists());
    }

    /// An image whose home leads elsewhere by a link would have the host's files copied in.
    #[test]
    fn a_link_on_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("host/.ssh")).unwrap();
        fs_err::write(dir.path().join("host/.ssh/key"), "secret").unwrap();
        fs_err::create_dir_all(dir.path().join("image/tmp")).unwrap();
        symlink(dir.path().join("host"), dir.path().join("image/tmp/x")).unwrap();
        let home = dir.path().join("home");
        seed(&dir.path().join("image"), Path::new("/tmp/x/.ssh"), &home).unwrap();
        assert!(home.is_dir() && !home.join("key").exists());
    }
}
