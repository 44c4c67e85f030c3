//! Seeding a sandbox's home from the image's directory of the same path.
//!
//! The copy is made under another name and renamed, so that a home is either whole or absent.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::directory;
use pinfold_base::directory::Likeness;

/// Makes `home` unless it exists, from the directory `inside` of the image at `rootfs`. No component of it may be a link: on
/// the host it would lead out of the image.
pub(crate) fn seed(rootfs: &Path, inside: &Path, home: &Path) -> io::Result<()> {
    if fs_err::symlink_metadata(home).is_ok() {
        return Ok(());
    }
    let part = home.with_extension("part");
    directory::remove(&part)?;
    fs_err::create_dir(&part)?;
    if let Some(seed) = plain(rootfs, inside) {
        // Its owner is the sandbox's user, who must be able to enter and change it.
        directory::copy(&seed, &part, Likeness::Changeable)?;
    }
    fs_err::set_permissions(&part, std::fs::Permissions::from_mode(0o700))?;
    fs_err::rename(&part, home)
}

/// The directory `inside` below `rootfs`, if all its components are directories. The image is not changed by anybody.
pub(super) fn plain(rootfs: &Path, inside: &Path) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use pinfold_base::directory::Entry;
    use pinfold_base::directory::Mounts;
    use pinfold_base::directory::Next;
    use pinfold_base::directory::Seen;
    use rustix::fs::FileType;
    use rustix::fs::Mode;
    use rustix::fs::OFlags;

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

    /// Deeper than the kernel takes in a path, with files on the way and at the end.
    #[test]
    fn a_deep_home_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (image, home) = (dir.path().join("image"), dir.path().join("home"));
        fs_err::create_dir(&image).unwrap();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let name = "n".repeat(200);
        let mut at = rustix::fs::open(&image, flags, Mode::empty()).unwrap();
        for _ in 0..60 {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, &name, flags, Mode::empty()).unwrap();
            rustix::fs::symlinkat("target", &at, "link").unwrap();
        }
        seed(dir.path(), Path::new("/image"), &home).unwrap();
        let mut links = 0;
        let copied = rustix::fs::open(&home, flags, Mode::empty()).unwrap();
        directory::walk(copied, Mounts::Stay, |seen| {
            links += usize::from(matches!(seen, Seen::Entry(Entry { kind: FileType::Symlink, .. })));
            Ok(Next::On)
        })
        .unwrap();
        assert_eq!(links, 60);
        // What drops this folder would not manage.
        directory::remove(&image.join(&name)).unwrap();
        directory::remove(&home.join(&name)).unwrap();
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
