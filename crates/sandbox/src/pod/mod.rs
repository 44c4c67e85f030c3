//! Process 1 inside of a Kubernetes pod: the walls that a pod can have from inside, and the proof that it has no way out but the
//! proxy.
//!
//! ```text
//!   task     pod.json: what is to be done             error    why it is not
//!   run      process 1, start to end                  held     the program while it runs, with or without a terminal
//!   proxy    the one way out, and that it is there    egress   that there is no other
//!   verify   what stands around it, measured from inside
//!   prepare  a home that is filled, a program that is brought along, a token that is handed over
//! ```
//!
//! ```text
//!   read the task ─► give up power, Landlock ─► fork ─┬─► the program's process waits at its gate ──────────► walls, execute
//!                                                     └─► seccomp, token ─► relay ─► proxy answers ─► nothing else does ─┘
//! ```
//!
//! A cluster's policies are objects that somebody else carries out, late or not at all. Nothing here relies on them: what counts
//! is what can be reached from inside, asked before the program runs.
//!
//! **Guarantees**: the program runs only behind all walls that this kernel has, and after one round in which the proxy answered this
//! pod's token and nothing else answered anything. What process 1 refuses is told on its errors and in the pod's status, with exit code
//! [`REFUSED`]. **Refuses** where a proof cannot be made.

pub(crate) mod egress;
mod error;
mod held;
mod prepare;
mod proxy;
mod run;
pub mod task;
mod verify;

use std::io;
use std::io::Read as _;
use std::path::Path;

pub use egress::Unproved;
pub use error::PodError;
use pinfold_base::Diagnose as _;
use pinfold_base::Shown;
use pinfold_base::error::one_line;
use pinfold_base::shown;
pub use prepare::hand_over;
pub use prepare::place;
pub use prepare::seed;
pub use run::attach;
pub use run::run;
use rustix::fs::Mode;
use rustix::fs::OFlags;
pub use task::PodProbes;
pub use task::PodProxy;
pub use task::PodTask;
pub use task::PodTasks;
pub use task::TaskError;
pub use verify::PodReport;
pub use verify::PodRow;
pub use verify::PodVerdict;
pub use verify::verify;

/// Exit code of process 1 when the program was not started (`EX_CONFIG` of sysexits.h).
pub const REFUSED: u8 = 78;
/// Where the kubelet reads why a container has ended; it takes 4096 bytes.
const END: &str = "/dev/termination-log";
const MAX_END: usize = 4000;

/// Leaves for the pod's status why the program was not started. Without the kubelet's file nobody would read it.
pub fn tell_end(error: &PodError) {
    let mut text = one_line(error);
    if let Some(hint) = error.hint() {
        text.push_str("\nhint: ");
        text.push_str(&hint);
    }
    let end = (0..=MAX_END).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(END, flags, Mode::empty()) {
        let _ = rustix::io::write(&file, text.as_bytes());
    }
}

/// One line of process 1's own, in the pod's log.
fn say(text: &Shown) {
    let line = format!("{}\n", shown!("pinfold: {text}"));
    let _ = rustix::io::write(rustix::stdio::stderr(), line.as_bytes());
}

/// A file's bytes, which are no more than `max`.
fn read_bounded(path: &Path, max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs_err::File::open(path)?.take(max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {max} bytes")));
    }
    Ok(bytes)
}
