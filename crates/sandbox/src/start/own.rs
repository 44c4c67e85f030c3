//! Which file this program is executed from once more: process 1 and supervisors are the same program, started again.
//!
//! It is the one that was executed, unless that carries an image ([`goes_on`]): what is an AppImage is somebody else's to start on a
//! machine that has a program registered for such (binfmt_misc). Then it is a copy without the magic.
//!
//! **Guarantees**: a copy is held open from when it is named, so that it is the same file however often it is executed.

use std::ffi::CString;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::fs::OFlags;

use super::sys;
use crate::SandboxError;

/// The file that was executed.
const EXECUTED: &str = "/proc/self/exe";

/// Numbers from here on are no child's to be given something as.
const ABOVE: i32 = 64;

static COPY: OnceLock<Copy> = OnceLock::new();

#[derive(Debug)]
struct Copy {
    /// What it is a copy out of.
    carrier: PathBuf,
    path: PathBuf,
    file: OwnedFd,
}

/// From here on this program, which `carrier` carries, is executed once more from `copy`, and has these variables beside its own. To be
/// said once, before there are threads.
pub fn goes_on(carrier: &Path, copy: &Path, variables: &[(OsString, OsString)]) -> Result<(), SandboxError> {
    let failed = SandboxError::supervisor::<io::Error>("go on with the image that this file carries");
    let say = || {
        let file = rustix::fs::open(copy, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let file = rustix::io::fcntl_dupfd_cloexec(file, ABOVE)?;
        sys::add_variables(variables)?;
        let copy = Copy { carrier: carrier.to_owned(), path: copy.to_owned(), file };
        COPY.set(copy).map_err(|_| io::ErrorKind::AlreadyExists.into())
    };
    say().map_err(failed)
}

/// The file that carries this program, where one does.
pub(crate) fn carrier() -> Option<&'static Path> {
    COPY.get().map(|copy| &*copy.carrier)
}

/// The path of this program's file, by which others start it.
pub fn own_path() -> io::Result<PathBuf> {
    match COPY.get() {
        Some(copy) => Ok(copy.path.clone()),
        None => std::env::current_exe(),
    }
}

/// The same as Linux has it, and the file.
pub(crate) fn opened() -> io::Result<(CString, OwnedFd)> {
    if let Some(copy) = COPY.get() {
        return Ok((CString::new(copy.path.as_os_str().as_bytes())?, copy.file.try_clone()?));
    }
    let own = rustix::fs::open(EXECUTED, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    Ok((rustix::fs::readlink(EXECUTED, Vec::new())?, own))
}

/// A name for it in this process and in its children before they become something else, whatever has become of its path.
pub(crate) fn held() -> PathBuf {
    match COPY.get() {
        Some(copy) => format!("/proc/self/fd/{}", copy.file.as_raw_fd()).into(),
        None => EXECUTED.into(),
    }
}
