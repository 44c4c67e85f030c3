//! A lasting sandbox whose program is started again when it ends: a worker that nobody looks after.
//!
//! ```text
//!   start ─► serve, as a session is ─► end ─┬─ asked for, or a code that nothing mends ─► recorded
//!     ▲                                     └─ 65, 69, 75 or a signal ─┬─ the fifth in a row, but of 69 ─► recorded
//!     └────────────── 1 s, 2 s, 4 s … ◄────────────────────────────────┘
//! ```
//!
//! **Guarantees**: the sandbox's lock is held over the waits, so nobody else starts or removes it, and `stop` ends a wait as it ends
//! a program. Each life is planned anew: what has become refusable since is refused. A life of a minute counts as mended.

use std::os::unix::net::UnixListener;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::error::one_line;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;

use crate::spec::Spec;
use crate::supervise::foreground::Asked;
use crate::supervise::log::BoundedLog;
use crate::supervise::session;
use crate::supervise::state::Live;
use crate::supervise::state::Sandboxes;
use crate::types::Exit;
use crate::types::Runtime;
use crate::types::Stdio;

/// Lives in a row that ended too soon, after which nothing is started any more.
const BREAKER: u32 = 5;
/// A life that counts as one.
const LIFE: Duration = Duration::from_secs(60);
/// The first wait, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Codes by which a program says that it may be started again: its queue is damaged, its provider does not answer, it asks for it.
const AGAIN: [u8; 3] = [65, 69, 75];
/// Of these the one that ends by itself: whoever does not answer does so again some day, and nobody is there to start the worker then.
const PROVIDER: u8 = 69;

/// Failures in a row.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after a life of this length that ended so; `None` when it is over.
    fn after(&mut self, exit: Exit, life: Duration) -> Option<Duration> {
        match exit {
            Exit::Code(code) if !AGAIN.contains(&code) => return None,
            Exit::Code(PROVIDER) => self.failures = self.failures.min(BREAKER - 2),
            Exit::Code(_) | Exit::Signal(_) => {}
        }
        self.failed(life)
    }

    fn failed(&mut self, life: Duration) -> Option<Duration> {
        if life >= LIFE {
            self.failures = 0;
        }
        self.failures += 1;
        let doublings = self.failures.saturating_sub(1);
        (self.failures < BREAKER).then(|| WAITS.0.saturating_mul(1 << doublings.min(16)).min(WAITS.1))
    }
}

/// Holds `live`, the first life, and those that follow; returns when it is over.
pub(crate) fn serve(
    sandboxes: &Sandboxes,
    spec: &Spec,
    runtime: Runtime,
    mut live: Live,
    listener: &UnixListener,
    asked: &mut Asked,
) {
    let mut backoff = Backoff::default();
    let path = live.folder.log();
    let guard = live.plan.guards.bounded_log.clone();
    loop {
        let begun = Instant::now();
        let served = session::serve(&mut *live.running, listener, BoundedLog::open(&path, &guard), asked);
        let wait = if asked.is_asked() { None } else { backoff.after(served.exit, begun.elapsed()) };
        let mut held = live.rest(served.exit, served.said, backoff.failures);
        let mut wait = wait;
        live = loop {
            let Some(time) = wait else { return held.finish() };
            held.waits(time);
            if is_ended(listener, asked, time) {
                return held.finish();
            }
            match sandboxes.start_again(spec, runtime, Stdio::Outputs, &held) {
                Ok(live) => break live,
                // What a start says is told as what a program says.
                Err(error) => {
                    wait = backoff.failed(Duration::ZERO);
                    held.failed(one_line(&error), backoff.failures);
                }
            }
        };
    }
}

/// Waits so long; whether somebody wants the end meanwhile.
fn is_ended(listener: &UnixListener, asked: &mut Asked, time: Duration) -> bool {
    let until = Instant::now() + time;
    let mut clients = Vec::new();
    loop {
        if asked.take() {
            return true;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = vec![PollFd::new(listener, PollFlags::IN)];
        fds.extend(asked.descriptor().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let first = fds.len();
        fds.extend(clients.iter().map(|client: &session::Client| PollFd::new(client, PollFlags::IN)));
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return true,
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let mut index = first;
        clients.retain_mut(|client| {
            let heard = !ready[index] || client.hear_signals(|number| asked.note(number));
            index += 1;
            heard
        });
        if ready[0] {
            clients.extend(session::accept(listener));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_waited_for_longer_and_not_for_ever() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..5).map(|_| backoff.after(Exit::Code(75), second)).collect();
        assert_eq!(waits, [Some(second), Some(second * 2), Some(second * 4), Some(second * 8), None]);
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            assert!(backoff.after(Exit::Code(69), second).is_some(), "a provider comes back");
        }
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            assert_eq!(backoff.after(Exit::Signal(9), LIFE), Some(second), "a life of a minute mends it");
        }
    }

    #[test]
    fn what_nothing_mends_is_not_tried_again() {
        for code in [0, 1, 64, 70, 77, 126] {
            assert_eq!(Backoff::default().after(Exit::Code(code), LIFE), None, "{code}");
        }
        for exit in [Exit::Code(65), Exit::Code(69), Exit::Code(75), Exit::Signal(11)] {
            assert!(Backoff::default().after(exit, LIFE).is_some(), "{exit}");
        }
    }
}
