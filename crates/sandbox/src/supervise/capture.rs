//! Running a sandbox that nobody looks at while it runs: what its program writes is kept, up to a bound, and it is ended in time.
//!
//! **Guarantees**: a program that writes without end or never ends costs no more memory and time than was said; it is told
//! apart from one that ended by itself. Nothing of the sandbox stays. What it wrote is bytes from inside: nothing here shows them.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::error::one_line;
use pinfold_base::text::Shown;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;

use crate::error::SandboxError;
use crate::plan::refusal::Refusal;
use crate::spec::Spec;
use crate::supervise::foreground::Supervised;
use crate::supervise::state::Sandboxes;
use crate::types::Exit;
use crate::types::Runtime;
use crate::types::Stdio;

/// How often it is asked whether it is enough.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Read at once.
const CHUNK: usize = 64 << 10;

/// How much a program may take.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// It is killed after so long.
    pub time: Duration,
    /// Bytes that are kept of each of its streams; what comes after them is read and dropped.
    pub output: usize,
    /// A Unix socket of the caller's that takes the place of the proxy's: connections to the ports that the specification names
    /// go there, each after its preamble ([`pinfold_network::relay`]).
    pub egress: Option<&'a Path>,
    /// Whether it has done what it was started for; it is killed then.
    pub enough: &'a dyn Fn() -> bool,
}

impl std::fmt::Debug for Bounds<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bounds")
            .field("time", &self.time)
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// How a program came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Exit(Exit),
    /// It was killed: its time was up.
    Late,
    /// It was killed: it had done what it was started for.
    Enough,
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// How it ended.
    pub ended: Ended,
    /// What it wrote to its standard output.
    pub output: Vec<u8>,
    /// What it wrote to its standard error.
    pub errors: Vec<u8>,
    /// Whether it wrote more than was kept.
    pub cut: bool,
}

impl Sandboxes {
    /// Runs a sandbox to its end, or to that of its bounds. Its program reads nothing. A home on the disk goes with it, whatever
    /// the specification says.
    pub fn capture(
        &self,
        spec: &Spec,
        runtime: Runtime,
        bounds: &Bounds<'_>,
    ) -> Result<Captured, SandboxError> {
        let captured = self.start_with(spec, runtime, Stdio::Piped, bounds.egress).and_then(|mut live| {
            let captured = follow(&mut *live.running, bounds)?;
            let exit = match captured.ended {
                Ended::Exit(exit) => exit,
                Ended::Late | Ended::Enough => Exit::Signal(9),
            };
            live.finish(exit, String::new());
            Ok(captured)
        });
        let is_ours =
            !matches!(captured, Err(SandboxError::InUse(_) | SandboxError::Refused(Refusal::Name(_))));
        if is_ours
            && let Err(error) = self.remove(&spec.name)
            && captured.is_ok()
        {
            tracing::warn!("{}; `pinfold rm {}` tries again", Shown::of(&one_line(&error)), spec.name);
        }
        captured
    }
}

/// One of its streams.
struct Kept {
    from: Option<OwnedFd>,
    bytes: Vec<u8>,
    cut: bool,
}

impl Kept {
    /// Takes what is there, once.
    fn take(&mut self, buffer: &mut [u8], most: usize) {
        let Some(from) = &self.from else { return };
        match rustix::io::read(from, &mut *buffer) {
            Ok(count @ 1..) => {
                let free = most.saturating_sub(self.bytes.len()).min(count);
                self.bytes.extend_from_slice(&buffer[..free]);
                self.cut |= free < count;
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            _ => self.from = None,
        }
    }
}

fn follow(sandbox: &mut dyn Supervised, bounds: &Bounds<'_>) -> Result<Captured, SandboxError> {
    let begun = Instant::now();
    let [input, output, errors] = sandbox.pipes();
    drop(input);
    let ended = sandbox.ended().try_clone_to_owned();
    let ended = ended.map_err(SandboxError::supervisor("copy the control socket"))?;
    let mut streams = [output, errors].map(|from| Kept { from, bytes: Vec::new(), cut: false });
    let mut buffer = vec![0; CHUNK];
    let how = loop {
        let watched = [
            Some(ended.as_fd()),
            streams[0].from.as_ref().map(AsFd::as_fd),
            streams[1].from.as_ref().map(AsFd::as_fd),
        ];
        let [over, first, second] = wait(watched)?;
        for (stream, _) in streams.iter_mut().zip([first, second]).filter(|(_, ready)| *ready) {
            stream.take(&mut buffer, bounds.output);
        }
        // What it wrote last was there before it ended.
        if over && !first && !second {
            break None;
        }
        if (bounds.enough)() {
            break Some(Ended::Enough);
        }
        if begun.elapsed() >= bounds.time {
            break Some(Ended::Late);
        }
    };
    let ended = match how {
        None => Ended::Exit(sandbox.finish()?),
        Some(how) => {
            sandbox.kill()?;
            sandbox.finish()?;
            how
        }
    };
    let [output, errors] = streams;
    Ok(Captured { ended, cut: output.cut || errors.cut, output: output.bytes, errors: errors.bytes })
}

/// Which of the descriptors are ready; none after [`LOOK`].
fn wait(watched: [Option<BorrowedFd<'_>>; 3]) -> Result<[bool; 3], SandboxError> {
    let mut fds: Vec<PollFd<'_>> =
        watched.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    match rustix::event::poll(&mut fds, Some(&LOOK)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(SandboxError::supervisor("wait for the sandbox")(errno)),
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(watched.map(|fd| fd.is_some() && ready.next().unwrap_or(false)))
}
