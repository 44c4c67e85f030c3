//! The session key of a sealed sandbox on its way inside.
//!
//! ```text
//!   host's file, 0600 ─► supervisor ─┬─ one packet on the control socket ─────► process 1 ─► /run/pinfold/session.key, 0400,
//!                                    └─ standard input (another runtime) ─────► process 1      in memory; the program takes it
//! ```
//!
//! **Guarantees**: the key is on no other file system, in no argument, no variable and no message, and each process that held it
//! overwrites its copy. **Refuses** a file that is not exactly a key, or that somebody else may read or could have put there.

use std::fmt;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;

use crate::error::SandboxError;
use crate::spec::KEY_LENGTH;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;

/// Stands before a key on the control socket.
const KEY: u8 = b'K';

/// A session key with the byte that stands before it on the control socket. Printing it shows nothing of it, and its memory is
/// overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionKey(Box<[u8; KEY_LENGTH + 1]>);

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

impl Drop for SessionKey {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the writes from being dropped as dead stores.
        std::hint::black_box(&self.0);
    }
}

impl SessionKey {
    fn empty() -> Self {
        let mut packet = Box::new([0; KEY_LENGTH + 1]);
        packet[0] = KEY;
        Self(packet)
    }

    fn bytes(&self) -> &[u8] {
        &self.0[1..]
    }

    /// Reads the host's file, which is for its owner alone and the caller's own.
    pub(crate) fn of_host(path: &Path) -> Result<Self, SandboxError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |problem: io::Error| SandboxError::file("use the session key", path)(problem);
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
        let wrong = |problem: &str| Err(failed(io::Error::other(problem.to_owned())));
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
            return wrong("it is no regular file of one name");
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() || stat.st_mode & 0o077 != 0 {
            return wrong("it is not the user's alone (mode 0600)");
        }
        if usize::try_from(stat.st_size) != Ok(KEY_LENGTH) {
            return wrong("it is not 32 bytes");
        }
        Self::of_stream(&file).map_err(failed)
    }

    /// Reads it from where nothing else comes.
    pub(crate) fn of_stream(stream: impl AsFd) -> io::Result<Self> {
        let mut key = Self::empty();
        let mut at = 1;
        while at <= KEY_LENGTH {
            match rustix::io::read(&stream, &mut key.0[at..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => at += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(key)
    }

    /// Writes it where only one process reads, which has room for it.
    pub(crate) fn into_stream(self, stream: impl AsFd) -> rustix::io::Result<()> {
        match rustix::io::write(stream, self.bytes())? {
            KEY_LENGTH => Ok(()),
            _ => Err(Errno::IO),
        }
    }

    /// Sends it to process 1.
    pub(crate) fn send(&self, control: impl AsFd) -> rustix::io::Result<()> {
        rustix::net::send(control, &self.0[..], SendFlags::NOSIGNAL).map(drop)
    }

    /// Receives it; `None` when the other end is closed.
    pub(crate) fn receive(control: &OwnedFd) -> rustix::io::Result<Option<Self>> {
        let mut key = Self::empty();
        loop {
            match rustix::net::recv(control, &mut key.0[..], RecvFlags::TRUNC) {
                Err(Errno::INTR) => {}
                Ok((_, 0)) => return Ok(None),
                Ok((_, length)) if length == KEY_LENGTH + 1 && key.0[0] == KEY => return Ok(Some(key)),
                Ok(_) => return Err(Errno::PROTO),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Puts it at `path`, inside, where nothing is yet.
    pub(crate) fn place(self, path: &Path) -> Result<(), StepError> {
        let on = || path.display();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::RUSR).on(Step::SessionKey, on())?;
        // Whatever umask there is.
        rustix::fs::fchmod(&file, Mode::RUSR).on(Step::SessionKey, on())?;
        self.into_stream(&file).on(Step::SessionKey, on())
    }
}

/// Discards what is left of a stream that only a key was to come from; whether nothing was.
pub(crate) fn is_at_end(stream: impl AsFd) -> bool {
    let file = stream.as_fd().try_clone_to_owned().map(|fd| fs_err::File::from_parts(fd.into(), "key"));
    file.is_ok_and(|mut file| matches!(file.read(&mut [0]), Ok(0)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use rustix::net::AddressFamily;
    use rustix::net::SocketFlags;
    use rustix::net::SocketType;

    use super::*;

    const BYTES: [u8; KEY_LENGTH] = *b"0123456789abcdef0123456789ABCDEF";

    fn file(bytes: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs_err::write(&path, bytes).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_key_goes_from_file_to_file() {
        let (dir, path) = file(&BYTES, 0o600);
        let key = SessionKey::of_host(&path).unwrap();
        assert_eq!(format!("{key:?}"), "SessionKey(…)");
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        key.send(&ours).unwrap();
        let received = SessionKey::receive(&theirs).unwrap().unwrap();
        let inside = dir.path().join("inside");
        received.place(&inside).unwrap();
        assert_eq!(fs_err::read(&inside).unwrap(), BYTES);
        assert_eq!(fs_err::metadata(&inside).unwrap().permissions().mode() & 0o7777, 0o400);
        // Nothing is written over.
        assert_eq!(key.clone().place(&inside).unwrap_err().errno, libc::EEXIST);
        let (read, write) = rustix::pipe::pipe().unwrap();
        key.into_stream(&write).unwrap();
        drop(write);
        assert_eq!(SessionKey::of_stream(&read).unwrap().bytes(), BYTES);
        assert!(is_at_end(&read));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for (bytes, mode, problem) in [
            (&BYTES[..31], 0o600, "not 32 bytes"),
            (&[&BYTES[..], b"\n"].concat()[..], 0o600, "not 32 bytes"),
            (&BYTES[..], 0o640, "mode 0600"),
            (&BYTES[..], 0o602, "mode 0600"),
        ] {
            let (_dir, path) = file(bytes, mode);
            let error = SessionKey::of_host(&path).unwrap_err();
            let told = std::error::Error::source(&error).unwrap().to_string();
            assert!(told.contains(problem), "{told}");
        }
        let (dir, path) = file(&BYTES, 0o600);
        symlink(&path, dir.path().join("link")).unwrap();
        assert!(SessionKey::of_host(&dir.path().join("link")).is_err());
        fs_err::hard_link(&path, dir.path().join("second")).unwrap();
        assert!(SessionKey::of_host(&path).is_err());
        assert!(SessionKey::of_host(dir.path()).is_err());
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        for packet in [&b"K"[..], b"G", &[b'K'; KEY_LENGTH + 2], &[b'S'; KEY_LENGTH + 1]] {
            rustix::net::send(&ours, packet, SendFlags::empty()).unwrap();
            assert_eq!(SessionKey::receive(&theirs).unwrap_err(), Errno::PROTO, "{packet:?}");
        }
        drop(ours);
        assert!(SessionKey::receive(&theirs).unwrap().is_none());
    }
}
