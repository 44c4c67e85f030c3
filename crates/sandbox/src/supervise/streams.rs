//! The standard streams of a sandbox: what its caller has there is judged, and pipes take its place.
//!
//! A descriptor is more than bytes. A directory leads to the host's files, a file opened to append can be truncated through
//! `/proc/self/fd`, a pipe opened there again is its other end, which may be another program's; a device can be asked to do
//! things. So what reaches a program was made for it: pipes, copied from and to what the caller has by [`super::pump`].
//!
//! **Guarantees**: no descriptor of the caller's reaches a sandbox, in any runtime; only for `/dev/null`, which is nobody's,
//! the sandbox's own stands in. Two streams on one file stay one stream, in the order in which it was written to.
//!
//! **Refuses** what is no stream of bytes: directories, paths (`O_PATH`), block devices, and devices but terminals and those
//! that every sandbox has (`null`, `zero`, `full`, `random`, `urandom`).

use std::fmt;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::process::Gid;
use rustix::process::Uid;

use crate::error::SandboxError;
use crate::plan::IdMap;
use crate::plan::guards::Guard;
use crate::start::sys::Streams;
use crate::types::Stdio;

/// The ends of pipes that the supervisor keeps: input, output, errors.
pub(crate) type Pipes = [Option<OwnedFd>; 3];

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard input.
    Input,
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

impl Stream {
    const ALL: [Self; 3] = [Self::Input, Self::Output, Self::Errors];

    fn own(self) -> BorrowedFd<'static> {
        match self {
            Self::Input => rustix::stdio::stdin(),
            Self::Output => rustix::stdio::stdout(),
            Self::Errors => rustix::stdio::stderr(),
        }
    }

    const fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "standard input",
            Self::Output => "standard output",
            Self::Errors => "standard error",
        })?;
        write!(f, " (descriptor {})", self.number())
    }
}

/// What is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAStream {
    /// A way to every file below it.
    Directory,
    /// Opened with `O_PATH`.
    Path,
    /// A disk.
    BlockDevice,
    /// A device that is neither a terminal nor one that every sandbox has.
    Device,
    /// Something of the kernel's: an event counter, a timer, a process.
    Other,
}

impl fmt::Display for NotAStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Path => "a path without an open file (`O_PATH`)",
            Self::BlockDevice => "a block device",
            Self::Device => "a device",
            Self::Other => "no file, pipe, socket or terminal",
        })
    }
}

/// What a stream of the caller's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// `/dev/null`.
    Null,
    /// To be copied.
    Bytes,
}

/// Numbers of the memory devices that every sandbox has, all with major number 1 (the kernel's `devices.txt`).
const NULL: u32 = 3;
const HARMLESS: [u32; 4] = [5, 7, 8, 9];

fn judge(fd: BorrowedFd<'_>, stat: &Stat) -> rustix::io::Result<Result<Found, NotAStream>> {
    if rustix::fs::fcntl_getfl(fd)?.contains(OFlags::PATH) {
        return Ok(Err(NotAStream::Path));
    }
    let memory = |minor: u32| stat.st_rdev == rustix::fs::makedev(1, minor);
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Fifo | FileType::Socket => Ok(Found::Bytes),
        FileType::CharacterDevice if memory(NULL) => Ok(Found::Null),
        FileType::CharacterDevice if rustix::termios::isatty(fd) || HARMLESS.into_iter().any(memory) => {
            Ok(Found::Bytes)
        }
        FileType::CharacterDevice => Err(NotAStream::Device),
        FileType::Directory => Err(NotAStream::Directory),
        FileType::BlockDevice => Err(NotAStream::BlockDevice),
        _ => Err(NotAStream::Other),
    })
}

/// What a sandbox is started with, and what its supervisor keeps.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// For the program.
    pub(crate) streams: Streams,
    /// The other ends of those that are pipes.
    pub(crate) pipes: Pipes,
    /// Which are `/dev/null`: the sandbox's own is to stand there.
    pub(crate) null: [bool; 3],
}

/// Streams for a program. With the guard down they are the caller's own.
pub(crate) fn prepare(stdio: Stdio, guard: &Guard) -> Result<Prepared, SandboxError> {
    let null = || Streams::null().map_err(SandboxError::supervisor("open `/dev/null`"));
    let piped = match stdio {
        Stdio::Null | Stdio::Terminal { .. } => {
            return Ok(Prepared { streams: null()?, pipes: [None, None, None], null: [true; 3] });
        }
        Stdio::Inherit if !guard.holds() => {
            let streams = Streams::inherited().map_err(SandboxError::supervisor("copy a stream"))?;
            return Ok(Prepared { streams, pipes: [None, None, None], null: [false; 3] });
        }
        Stdio::Piped => [true; 3],
        Stdio::Outputs => [false, true, true],
        Stdio::Inherit => {
            let mut piped = [true; 3];
            for (stream, piped) in Stream::ALL.into_iter().zip(&mut piped) {
                *piped = found(stream.own(), stream)?.0 == Found::Bytes;
            }
            piped
        }
    };
    let mut streams = null()?;
    let mut pipes = [None, None, None];
    for (index, to) in [&mut streams.stdin, &mut streams.stdout, &mut streams.stderr].into_iter().enumerate()
    {
        if piped[index] {
            let (theirs, ours) = pipe(if index == 0 { Stream::Input } else { Stream::Output })?;
            *to = theirs;
            pipes[index] = Some(ours);
        }
    }
    if stdio == Stdio::Inherit && piped[1] && piped[2] && same_file(Stream::Output, Stream::Errors)? {
        streams.stderr = streams.stdout.try_clone().map_err(SandboxError::supervisor("copy a stream"))?;
        pipes[2] = None;
    }
    Ok(Prepared { streams, pipes, null: piped.map(|piped| !piped) })
}

fn found(fd: BorrowedFd<'_>, stream: Stream) -> Result<(Found, Stat), SandboxError> {
    let look = || {
        let stat = rustix::fs::fstat(fd)?;
        Ok((judge(fd, &stat)?, stat))
    };
    let (judged, stat) = look().map_err(SandboxError::supervisor::<rustix::io::Errno>("look at a stream"))?;
    let found = judged.map_err(|found| SandboxError::Stream { stream, found })?;
    Ok((found, stat))
}

/// Makes the program the owner of its pipes, which it may open again by name (`/dev/stdout`).
pub(crate) fn give(streams: &Streams, ids: IdMap) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(ids.host_uid), Gid::from_raw(ids.host_gid));
    for fd in [&streams.stdin, &streams.stdout, &streams.stderr] {
        if FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) == FileType::Fifo {
            rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// Whether two streams are one file, pipe or terminal: what is written to them is then to keep its order.
fn same_file(one: Stream, other: Stream) -> Result<bool, SandboxError> {
    let (one, other) = (found(one.own(), one)?.1, found(other.own(), other)?.1);
    Ok((one.st_dev, one.st_ino, one.st_rdev) == (other.st_dev, other.st_ino, other.st_rdev))
}

/// A pipe for one direction: the program's end, and ours. Ours of an input does not block: a program that does not read must
/// not keep its supervisor from reading what it says.
fn pipe(stream: Stream) -> Result<(OwnedFd, OwnedFd), SandboxError> {
    let make = || {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        if stream != Stream::Input {
            return Ok((write, read));
        }
        rustix::fs::fcntl_setfl(&write, OFlags::NONBLOCK)?;
        Ok((read, write))
    };
    make().map_err(SandboxError::supervisor::<rustix::io::Errno>("make a pipe"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd;
    use std::path::Path;

    use rustix::fs::Mode;

    use super::*;

    fn judged(fd: impl AsFd) -> Result<Found, NotAStream> {
        let fd = fd.as_fd();
        judge(fd, &rustix::fs::fstat(fd).unwrap()).unwrap()
    }

    fn open(path: &Path, flags: OFlags) -> OwnedFd {
        rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    #[test]
    fn bytes_are_streams_and_everything_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs_err::write(&file, "x").unwrap();
        assert_eq!(judged(open(&file, OFlags::RDONLY)), Ok(Found::Bytes));
        assert_eq!(judged(open(&file, OFlags::PATH)), Err(NotAStream::Path));
        assert_eq!(judged(open(dir.path(), OFlags::RDONLY)), Err(NotAStream::Directory));
        assert_eq!(judged(open(dir.path(), OFlags::PATH)), Err(NotAStream::Path));
        for (device, expected) in [
            ("/dev/null", Ok(Found::Null)),
            ("/dev/zero", Ok(Found::Bytes)),
            ("/dev/urandom", Ok(Found::Bytes)),
        ] {
            assert_eq!(judged(open(Path::new(device), OFlags::RDONLY)), expected, "{device}");
        }
        let (read, write) = rustix::pipe::pipe().unwrap();
        assert_eq!((judged(read), judged(write)), (Ok(Found::Bytes), Ok(Found::Bytes)));
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(judged(socket), Ok(Found::Bytes));
        let mut memory = fs_err::File::from_parts(
            rustix::fs::memfd_create("memory", rustix::fs::MemfdFlags::CLOEXEC).unwrap().into(),
            "memory",
        );
        memory.write_all(b"x").unwrap();
        assert_eq!(judged(&memory), Ok(Found::Bytes));
        let events = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        assert_eq!(judged(events), Err(NotAStream::Other));
        let process =
            rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty());
        assert_eq!(judged(process.unwrap()), Err(NotAStream::Other));
    }

    /// A device by its numbers alone, since no machine of ours may be without a node that says so.
    #[test]
    fn other_devices_are_told_apart_by_their_numbers() {
        let null = open(Path::new("/dev/null"), OFlags::RDONLY);
        let real = rustix::fs::fstat(&null).unwrap();
        for (kind, major, minor, expected) in [
            (libc::S_IFCHR, 1, 3, Ok(Found::Null)),
            (libc::S_IFCHR, 1, 1, Err(NotAStream::Device)),
            (libc::S_IFCHR, 10, 229, Err(NotAStream::Device)),
            (libc::S_IFBLK, 1, 3, Err(NotAStream::BlockDevice)),
            (libc::S_IFBLK, 8, 0, Err(NotAStream::BlockDevice)),
        ] {
            let mut stat = real;
            stat.st_mode = kind | 0o666;
            stat.st_rdev = rustix::fs::makedev(major, minor);
            assert_eq!(judge(null.as_fd(), &stat).unwrap(), expected, "{major}:{minor}");
        }
    }
}
