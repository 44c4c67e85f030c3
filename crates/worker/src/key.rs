//! Takes the session's key: 32 bytes of a file in memory, which is gone afterwards.
//!
//! **Refuses** (exit 77) a file that others could have read or written, that is on a disk, or that is no plain file of 32 bytes.

use std::fmt;

use pinfold_queue::SessionKey;
use pinfold_queue::key::KEY;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// What `statfs` says of a file system in memory (`linux/magic.h`): tmpfs, ramfs.
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoKey {
    /// The file cannot be opened, read or removed.
    System(&'static str, Errno),
    /// It is no regular file, or has other names.
    NotPlain,
    /// Permission bits other than 0400 or 0600, or another owner.
    Open(u32),
    /// Its file system is none in memory; what `statfs` says.
    OnDisk(u64),
    /// Not 32 bytes, or all of them the same.
    Length(u64),
}

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(what, error) => write!(f, "cannot {what} it: {error}"),
            Self::NotPlain => f.write_str("it is no regular file with one name"),
            Self::Open(mode) => write!(f, "it is not its reader's alone (mode {mode:04o}; 0400 or 0600 is)"),
            Self::OnDisk(magic) => write!(f, "it is not in memory (file system {magic:#x}; a tmpfs is)"),
            Self::Length(bytes) => write!(f, "it has {bytes} bytes that are no key; 32 random ones are"),
        }
    }
}

/// Reads the key, then removes its file.
pub(crate) fn take(path: &str) -> Result<SessionKey, NoKey> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP => NoKey::NotPlain,
        error => NoKey::System("open", error),
    })?;
    let stat = rustix::fs::fstat(&fd).map_err(|error| NoKey::System("look at", error))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
        return Err(NoKey::NotPlain);
    }
    let mode = stat.st_mode & 0o7777;
    if !matches!(mode, 0o400 | 0o600) || stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(NoKey::Open(mode));
    }
    let system = rustix::fs::fstatfs(&fd).map_err(|error| NoKey::System("look at", error))?;
    #[expect(clippy::cast_sign_loss, reason = "a magic number, signed on some architectures")]
    let magic = system.f_type as u64 & 0xffff_ffff;
    if !IN_MEMORY.contains(&magic) {
        return Err(NoKey::OnDisk(magic));
    }
    let bytes = crate::beneath::read(&fd, 0, KEY + 1).map_err(|error| NoKey::System("read", error))?;
    let key = SessionKey::from_bytes(&bytes).ok_or(NoKey::Length(bytes.len() as u64))?;
    rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::empty())
        .map_err(|error| NoKey::System("remove", error))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use fs_err as fs;

    use super::*;

    #[test]
    fn a_key_is_taken_once_from_memory_and_from_nowhere_else() {
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = memory.path().join("key");
        let put = |bytes: &[u8], mode: u32| {
            let _ = fs::remove_file(&path);
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            take(path.to_str().unwrap()).map(|key| key.expose().to_vec())
        };
        let good: Vec<u8> = (0..32).collect();
        for mode in [0o400, 0o600] {
            assert_eq!(put(&good, mode).unwrap(), good);
            assert!(!path.exists());
        }
        assert_eq!(take(path.to_str().unwrap()).unwrap_err(), NoKey::System("open", Errno::NOENT));
        for mode in [0o644, 0o700, 0o440, 0o604, 0o4600] {
            assert_eq!(put(&good, mode).unwrap_err(), NoKey::Open(mode));
        }
        for length in [0, 31, 33] {
            assert_eq!(put(&vec![1; length], 0o600).unwrap_err(), NoKey::Length(length as u64));
        }
        put(&good, 0o644).unwrap_err();
        fs::hard_link(&path, memory.path().join("other")).unwrap();
        assert_eq!(take(path.to_str().unwrap()).unwrap_err(), NoKey::NotPlain);
        std::os::unix::fs::symlink("other", memory.path().join("link")).unwrap();
        assert_eq!(take(memory.path().join("link").to_str().unwrap()).unwrap_err(), NoKey::NotPlain);
        assert_eq!(take(memory.path().to_str().unwrap()).unwrap_err(), NoKey::NotPlain);
    }

    #[test]
    fn a_key_on_a_disk_is_refused() {
        // The repository's own folder is on a disk wherever this is built; `/tmp` may not be.
        let disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = disk.path().join("key");
        fs::write(&path, (0..32).collect::<Vec<u8>>()).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(matches!(take(path.to_str().unwrap()), Err(NoKey::OnDisk(_))));
        assert!(path.exists());
    }
}
