//! Copying between what a caller has as its streams and the pipes of a sandbox.
//!
//! **Guarantees**: no direction waits for another: each is told when one of its two ends is ready, and what is done then
//! does not block, whatever the caller's own descriptors do. What a program did not take of a file is given back: the
//! next program that reads it goes on there. Bytes move from pipe to pipe without being copied (splice(2)) where the kernel
//! can.

use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::event::PollFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::pipe::SpliceFlags;

/// Moved at once.
const CHUNK: usize = 1 << 20;
/// Copied at once, where they cannot be moved; not more than what a pipe holds.
const COPY: usize = 64 << 10;

/// How bytes get to the other end.
#[derive(Debug)]
enum Way {
    /// Within the kernel.
    Splice,
    /// Through this process. What could not be written yet, and from where.
    Copy { kept: Vec<u8>, written: usize },
}

/// Which end is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Source,
    Sink,
}

/// What became of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// There may be more.
    Some,
    /// There are no more.
    End,
    /// Nobody takes them any more.
    Refused,
    /// They cannot be written: a full disk, a limit, a file system that is gone. They are lost.
    Failed(Errno),
}

/// One direction.
#[derive(Debug)]
pub(crate) struct Pump {
    way: Way,
    waits: Waits,
    socket: bool,
    /// Bytes taken from the source.
    taken: u64,
}

impl Pump {
    /// Towards `sink`.
    pub(crate) fn to(sink: impl AsFd) -> Self {
        let kind = rustix::fs::fstat(sink).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let socket = kind == Ok(FileType::Socket);
        // A send that does not block on a socket that does is a call of its own.
        let way = if socket { copying() } else { Way::Splice };
        Self { way, waits: Waits::Source, socket, taken: 0 }
    }

    /// What to wait for at the source.
    pub(crate) fn source_events(&self) -> Option<PollFlags> {
        (self.waits == Waits::Source).then_some(PollFlags::IN)
    }

    /// What to wait for at the sink; its closing is told in any case.
    pub(crate) fn sink_events(&self) -> PollFlags {
        match self.waits {
            Waits::Source => PollFlags::empty(),
            Waits::Sink => PollFlags::OUT,
        }
    }

    /// Whether bytes have come that wait for the sink.
    pub(crate) fn is_full(&self) -> bool {
        self.waits == Waits::Sink
    }

    /// Moves what can be moved now. Called when the end that is waited for is ready.
    pub(crate) fn turn(&mut self, from: impl AsFd, to: impl AsFd) -> Moved {
        if matches!(self.way, Way::Splice) {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            match rustix::pipe::splice(&from, None, &to, None, CHUNK, flags) {
                Ok(0) => return Moved::End,
                Ok(n) => {
                    self.taken += n as u64;
                    self.waits = Waits::Source;
                    return Moved::Some;
                }
                // The source was ready, so it is the sink that is not; if it was not, the sink is, and this is told at once.
                Err(Errno::AGAIN) => {
                    self.waits = Waits::Sink;
                    return Moved::Some;
                }
                Err(Errno::INTR) => return Moved::Some,
                Err(errno) if gone(errno) => return Moved::Refused,
                // Files opened to append, terminals, old file systems. Of any other error only reading and writing by
                // themselves say whose it is; nothing was taken from the source.
                Err(_) => self.way = copying(),
            }
        }
        self.copy(from, to)
    }

    fn copy(&mut self, from: impl AsFd, to: impl AsFd) -> Moved {
        let Way::Copy { kept, written } = &mut self.way else { return Moved::Some };
        if self.waits == Waits::Source {
            kept.resize(COPY, 0);
            *written = 0;
            match rustix::io::read(&from, &mut kept[..]) {
                Ok(0) => return Moved::End,
                Ok(n) => {
                    self.taken += n as u64;
                    kept.truncate(n);
                }
                Err(Errno::INTR | Errno::AGAIN) => return Moved::Some,
                Err(_) => return Moved::End,
            }
        }
        while *written < kept.len() {
            let rest = &kept[*written..];
            let result = if self.socket {
                rustix::net::send(&to, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            } else {
                rustix::io::write(&to, rest)
            };
            match result {
                Ok(n) => *written += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.waits = Waits::Sink;
                    return Moved::Some;
                }
                Err(errno) if gone(errno) => return Moved::Refused,
                Err(errno) => return Moved::Failed(errno),
            }
        }
        self.waits = Waits::Source;
        Moved::Some
    }

    /// Bytes that were taken from the source and have not reached the sink.
    fn kept(&self) -> usize {
        match &self.way {
            Way::Copy { kept, written } if self.waits == Waits::Sink => kept.len() - written,
            _ => 0,
        }
    }
}

/// Whether a reader went away, which is theirs to do.
fn gone(errno: Errno) -> bool {
    matches!(errno, Errno::PIPE | Errno::CONNRESET)
}

fn copying() -> Way {
    Way::Copy { kept: Vec::new(), written: 0 }
}

/// The direction into the sandbox.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    from: BorrowedFd<'a>,
    to: Option<OwnedFd>,
    /// An end of the same pipe, held once nothing more is written, to see how much of it was taken.
    ended: Option<OwnedFd>,
    pump: Pump,
}

impl<'a> Input<'a> {
    /// From what the caller has to a pipe that does not block.
    pub(crate) fn new(from: BorrowedFd<'a>, to: Option<OwnedFd>) -> Self {
        Self {
            from,
            to,
            ended: None,
            pump: Pump { way: Way::Splice, waits: Waits::Source, socket: false, taken: 0 },
        }
    }

    /// What to wait for at the caller's end.
    pub(crate) fn source(&self) -> Option<(BorrowedFd<'a>, PollFlags)> {
        self.to.as_ref().and(self.pump.source_events()).map(|events| (self.from, events))
    }

    /// What to wait for at the pipe; its being closed is told in any case.
    pub(crate) fn sink(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.to.as_ref().map(|to| (to.as_fd(), self.pump.sink_events()))
    }

    /// One of the two ends is ready.
    pub(crate) fn turn(&mut self, source: bool, sink: bool) {
        let Some(to) = &self.to else { return };
        // The pipe speaks up without being asked when nobody reads it any more.
        let closed = sink && !self.pump.is_full();
        match (closed, source || sink) {
            // What is in it is seen at the end.
            (true, _) => self.ended = self.to.take(),
            (false, false) => {}
            (false, true) => match self.pump.turn(self.from, to) {
                Moved::Some => {}
                Moved::End => {
                    let reading = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                    let own = format!("/proc/self/fd/{}", to.as_raw_fd());
                    self.ended = rustix::fs::open(own, reading, Mode::empty()).ok();
                    self.to = None;
                }
                Moved::Refused | Moved::Failed(_) => self.ended = self.to.take(),
            },
        }
    }

    /// The program has ended. What it did not take goes back to where it came from, if that is a file.
    pub(crate) fn finish(&mut self) {
        let Some(pipe) = self.to.take().or_else(|| self.ended.take()) else { return };
        let file = rustix::fs::fstat(self.from)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
        let left = rustix::io::ioctl_fionread(&pipe).unwrap_or(0) + self.pump.kept() as u64;
        // Never more than was taken: the program may have written to the pipe itself.
        if let (true, Ok(left @ 1..)) = (file, i64::try_from(left.min(self.pump.taken))) {
            let _ = rustix::fs::seek(self.from, SeekFrom::Current(-left));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::io::Seek as _;
    use std::io::Write as _;

    use rustix::pipe::PipeFlags;

    use super::*;

    /// Turns until the end or until nothing moves.
    fn run(pump: &mut Pump, from: impl AsFd, to: impl AsFd) -> Moved {
        for _ in 0..100 {
            let moved = pump.turn(&from, &to);
            if moved != Moved::Some || pump.is_full() {
                return moved;
            }
        }
        Moved::Some
    }

    fn file(bytes: &[u8]) -> fs_err::File {
        let memory = rustix::fs::memfd_create("test", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let mut file = fs_err::File::from_parts(memory.into(), "test");
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn bytes_arrive_in_a_file_that_is_appended_to_and_in_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs_err::write(&path, "before\n").unwrap();
        let log = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"after\n").unwrap();
        drop(write);
        assert_eq!(run(&mut Pump::to(&log), &read, &log), Moved::End);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "before\nafter\n");

        let (mut one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"hello").unwrap();
        drop(write);
        assert_eq!(run(&mut Pump::to(&other), &read, &other), Moved::End);
        drop(other);
        let mut text = String::new();
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    /// A sink that is not read from, blocking as shells leave it, keeps nobody waiting; once it is gone that is said.
    #[test]
    fn a_sink_that_is_full_or_gone_is_told() {
        let (source, write) = rustix::pipe::pipe().unwrap();
        let (read, sink) = rustix::pipe::pipe().unwrap();
        let mut pump = Pump::to(&sink);
        rustix::fs::fcntl_setfl(&write, OFlags::NONBLOCK).unwrap();
        while !pump.is_full() {
            let _ = rustix::io::write(&write, &[0; 4096]);
            assert_eq!(pump.turn(&source, &sink), Moved::Some);
        }
        drop(read);
        assert_eq!(pump.turn(&source, &sink), Moved::Refused);

        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut pump = Pump::to(&other);
        while !pump.is_full() {
            let _ = rustix::io::write(&write, &[0; 4096]);
            assert_eq!(pump.turn(&source, &other), Moved::Some);
        }
        drop(one);
        assert_eq!(pump.turn(&source, &other), Moved::Refused);
    }

    /// `/dev/full` is the kernel's own full disk. Where splice(2) fails for the source's sake, that is no failure of the sink.
    #[test]
    fn what_cannot_be_written_is_told_apart_from_a_reader_who_left() {
        let open = |path: &str, flags| rustix::fs::open(path, flags, Mode::empty()).unwrap();
        let full = open("/dev/full", OFlags::WRONLY);
        let (source, write) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&write, b"lost").unwrap();
        assert_eq!(run(&mut Pump::to(&full), &source, &full), Moved::Failed(Errno::NOSPC));

        let only_read = open("/dev/null", OFlags::RDONLY);
        rustix::io::write(&write, b"lost").unwrap();
        assert_eq!(run(&mut Pump::to(&only_read), &source, &only_read), Moved::Failed(Errno::BADF));

        // A terminal whose other end is closed gives EIO to whoever reads it.
        let controller =
            rustix::pty::openpt(rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY).unwrap();
        rustix::pty::unlockpt(&controller).unwrap();
        let name = rustix::pty::ptsname(&controller, Vec::new()).unwrap();
        drop(open(name.to_str().unwrap(), OFlags::RDWR | OFlags::NOCTTY));
        assert_eq!(rustix::io::read(&controller, &mut [0; 1]), Err(Errno::IO));
        let (_reader, sink) = rustix::pipe::pipe().unwrap();
        assert_eq!(run(&mut Pump::to(&sink), &controller, &sink), Moved::End);
    }

    /// A shell's `while read line; do run …; done < list` goes on with the next line.
    #[test]
    fn what_a_program_did_not_take_of_a_file_is_given_back() {
        let text = b"one\ntwo\nthree\n".repeat(10_000);
        for (taken, all) in [(0, false), (4, false), (4, true), (text.len(), true)] {
            let mut list = file(&text[..if all { taken.max(20) } else { text.len() }]);
            let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::NONBLOCK).unwrap();
            let mut input = Input::new(list.file().as_fd(), Some(ours));
            let mut program = fs_err::File::from_parts(theirs.into(), "program");
            for _ in 0..8 {
                input.turn(true, false);
                if input.pump.is_full() {
                    break;
                }
            }
            let mut left = taken;
            while left > 0 {
                let mut buffer = vec![0; left];
                let n = program.read(&mut buffer).unwrap_or(0);
                left -= n;
                input.turn(input.source().is_some(), input.pump.is_full());
            }
            drop(program);
            input.finish();
            assert_eq!(list.stream_position().unwrap(), taken as u64, "{all}");
        }
    }

    #[test]
    fn a_program_that_closes_its_input_ends_the_copying() {
        let list = file(b"text");
        let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::NONBLOCK).unwrap();
        let mut input = Input::new(list.file().as_fd(), Some(ours));
        drop(theirs);
        // poll(2) tells of the pipe, not of the file.
        input.turn(false, true);
        assert!(input.source().is_none() && input.sink().is_none());
    }
}
