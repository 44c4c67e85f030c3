//! Directories that somebody else could write: walking, sizing, copying and removing them by descriptor.
//!
//! What a sandbox or an image leaves on a disk has any mode, any depth and any name, and may change while it is looked at.
//!
//! ```text
//!   walk     tells a visitor every entry, without changing anything
//!   copy     copies what is in one directory into another
//!   remove   takes a directory away with everything in it, and says what it could not
//!   trail    a way down that can be gone back, of which only the last directories are open
//! ```
//!
//! **Guarantees**: nothing recurses. Directories are opened one name at a time from the descriptor of the one above, so that no
//! path is too long and no link is followed, whatever is renamed meanwhile. Open descriptors are bounded at any depth, and
//! memory by the length of one path.
//!
//! **Refuses** to remove through a mount point, and to make anything accessible but the directories that are being removed.

mod copy;
mod remove;
mod trail;
mod walk;

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::StatxFlags;
use rustix::io::Errno;

pub use copy::Likeness;
pub use copy::copy;
pub use remove::LeftBehind;
pub use remove::Remains;
pub use remove::remove;
pub use remove::remove_at;
pub use trail::Trail;
pub use walk::Entry;
pub use walk::Mounts;
pub use walk::Next;
pub use walk::Seen;
pub use walk::Size;
pub use walk::size;
pub use walk::walk;

/// How a directory is opened to be listed.
const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Bytes that are read of a directory at once.
const BATCH: usize = 32 << 10;

/// Which directory a descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: (u32, u32),
    inode: u64,
    /// Which mount it is seen through; 0 where the kernel does not say (before Linux 5.8).
    mount: u64,
}

/// Identity and permission bits.
fn identify(fd: impl AsFd) -> rustix::io::Result<(Identity, Mode)> {
    let wanted = StatxFlags::INO | StatxFlags::MODE | StatxFlags::MNT_ID;
    match rustix::fs::statx(&fd, "", AtFlags::EMPTY_PATH, wanted) {
        Err(Errno::NOSYS) => {
            let stat = rustix::fs::fstat(&fd)?;
            let device = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
            Ok((Identity { device, inode: stat.st_ino, mount: 0 }, Mode::from_raw_mode(stat.st_mode)))
        }
        result => {
            let stat = result?;
            let device = (stat.stx_dev_major, stat.stx_dev_minor);
            let identity = Identity { device, inode: stat.stx_ino, mount: stat.stx_mnt_id };
            Ok((identity, Mode::from_raw_mode(stat.stx_mode.into())))
        }
    }
}

impl Identity {
    /// Whether both are seen through the same mount.
    fn same_mount(self, other: Self) -> bool {
        (self.device, self.mount) == (other.device, other.mount)
    }

    /// Whether both are the same directory.
    fn same_directory(self, other: Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Opens the directory `name` of `parent` to list it. A link is `ELOOP` or `ENOTDIR`.
fn list(parent: impl AsFd, name: &std::ffi::CStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(parent, name, LIST, Mode::empty())
}
