//! A way down through directories that can be gone back.
//!
//! The directories above the last few are closed. Going back there is `..` of the one below, which must then be the
//! directory that was come from: if somebody has moved what is below, going back is an error.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::Identity;
use super::identify;
use super::list;

/// Directories above the current one that are kept open.
const OPEN_MAX: usize = 16;

/// A way down from one directory.
#[derive(Debug)]
pub struct Trail {
    here: OwnedFd,
    identity: Identity,
    /// All directories above, outermost first.
    above: Vec<Identity>,
    /// The last of them.
    open: VecDeque<OwnedFd>,
}

/// Whether going back found the directory still open, at the position where it was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    Open,
    Opened,
}

impl Trail {
    /// Begins at a directory that is open.
    pub fn begin(at: OwnedFd) -> io::Result<Self> {
        let (identity, _) = identify(&at)?;
        Ok(Self { here: at, identity, above: Vec::new(), open: VecDeque::new() })
    }

    /// The current directory.
    pub fn here(&self) -> BorrowedFd<'_> {
        self.here.as_fd()
    }

    /// Enters a directory of the current one; not through a link.
    pub fn enter(&mut self, name: &CStr) -> io::Result<()> {
        let next = list(&self.here, name)?;
        let (identity, _) = identify(&next)?;
        self.push(next, identity);
        Ok(())
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn push(&mut self, next: OwnedFd, identity: Identity) {
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back(std::mem::replace(&mut self.here, next));
        self.above.push(std::mem::replace(&mut self.identity, identity));
    }

    /// Goes back to the directory above. At the beginning, or when the current directory was moved, an error.
    pub fn leave(&mut self) -> io::Result<()> {
        self.back().map(drop)
    }

    pub(super) fn back(&mut self) -> io::Result<Back> {
        let &wanted = self.above.last().ok_or(Errno::NOENT)?;
        let (back, fd) = if let Some(fd) = self.open.pop_back() {
            (Back::Open, fd)
        } else {
            let fd = list(&self.here, c"..")?;
            if !identify(&fd)?.0.same_directory(wanted) {
                return Err(Errno::STALE.into());
            }
            (Back::Opened, fd)
        };
        self.here = fd;
        self.identity = wanted;
        self.above.pop();
        Ok(back)
    }
}
