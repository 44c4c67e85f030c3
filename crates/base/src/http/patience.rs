//! How long a server is waited for: the pauses between attempts, the time of all of them together, and the slowest that content may come
//! or go.
//!
//! ```text
//! attempt ─ fails after 60 s ─► pause ─► attempt ─ fails after 60 s ─► enough: more than `patience` went by without success
//!         └ brought bytes at a fair pace ─► counted anew
//! ```
//!
//! A server that keeps sending a byte now and then is as good as one that says nothing: content is measured over a time
//! ([`Options::idle_timeout`](super::Options)), and below [`SLOWEST`] the line counts as broken. Only the time that is spent waiting for
//! the other side counts, so that whoever reads slowly breaks nothing.

use std::io;
use std::io::Read;
use std::time::Duration;
use std::time::Instant;

use super::Options;

/// The slowest that content may come or go, in bytes per second: what mobile networks give at their worst is more.
pub(super) const SLOWEST: u64 = 1 << 10;
/// An attempt that failed in this part of the time over which content is measured was not slow, however little it brought.
const SOON: u32 = 60;

/// The attempts at one thing.
#[derive(Clone, Debug)]
pub struct Attempts {
    /// None of an offline client.
    limits: Option<Limits>,
    failures: u32,
    /// How long those took that failed since the last that brought something.
    spent: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    retries: u32,
    patience: Duration,
    pause: Duration,
    longest_pause: Duration,
    soon: Duration,
}

impl Attempts {
    pub(super) fn new(options: Option<&Options>) -> Self {
        let limits = options.map(|options| Limits {
            retries: options.retries,
            patience: options.patience,
            pause: options.pause,
            longest_pause: options.longest_pause,
            soon: options.idle_timeout / SOON,
        });
        Self { limits, failures: 0, spent: Duration::ZERO }
    }

    /// After an attempt that failed: whether there is patience left for another, before which it pauses as long as the server asked, or
    /// longer each time. `took` is how long the server was waited for, `came` how many bytes it gave or took meanwhile.
    pub fn again(&mut self, took: Duration, came: u64, asked: Option<Duration>) -> bool {
        let Some(limits) = self.limits else { return false };
        self.spent += took;
        if came > 0 && (took < limits.soon || is_fair(took, came)) {
            (self.failures, self.spent) = (0, Duration::ZERO);
        }
        if self.failures >= limits.retries || self.spent >= limits.patience {
            return false;
        }
        let growing = limits.pause.saturating_mul(1 << self.failures.min(16));
        let pause = asked.unwrap_or(growing).min(limits.longest_pause);
        tracing::info!(?pause, failures = self.failures + 1, "trying again");
        std::thread::sleep(pause);
        self.failures += 1;
        true
    }
}

fn is_fair(took: Duration, came: u64) -> bool {
    u128::from(came) * 1000 >= u128::from(SLOWEST) * took.as_millis()
}

/// What is measured of content on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Over how long.
    over: Duration,
    waited: Duration,
    moved: u64,
}

impl Pace {
    pub(super) fn new(over: Duration) -> Self {
        Self { over, waited: Duration::ZERO, moved: 0 }
    }

    /// Notes that so much was waited for so many bytes.
    pub(super) fn step(&mut self, waited: Duration, moved: u64) -> Result<(), TooSlow> {
        self.waited += waited;
        self.moved += moved;
        if self.waited < self.over {
            return Ok(());
        }
        let Self { waited, moved, .. } = std::mem::replace(self, Self::new(self.over));
        if is_fair(waited, moved) { Ok(()) } else { Err(TooSlow { moved, waited }) }
    }
}

/// Content that hardly moved.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("only {moved} bytes moved in {}", seconds(*waited))]
pub(super) struct TooSlow {
    moved: u64,
    waited: Duration,
}

impl From<TooSlow> for io::Error {
    fn from(slow: TooSlow) -> Self {
        Self::new(io::ErrorKind::TimedOut, slow)
    }
}

/// A time for people.
pub(super) fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} milliseconds", time.as_millis()),
        1 => "1 second".into(),
        seconds => format!("{seconds} seconds"),
    }
}

/// Content that comes, measured; and, where it has to be there whole by then, until when.
pub(super) struct Paced<R> {
    inner: R,
    pace: Pace,
    until: Option<Until>,
    came: u64,
}

/// When something has to be there whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Until {
    /// When it was asked for.
    pub(super) begun: Instant,
    /// How long that may be ago.
    pub(super) whole: Duration,
}

impl<R> Paced<R> {
    /// Content that is measured over this time.
    pub(super) fn new(inner: R, over: Duration) -> Self {
        Self { inner, pace: Pace::new(over), until: None, came: 0 }
    }

    pub(super) fn until(self, until: Until) -> Self {
        Self { until: Some(until), ..self }
    }
}

impl<R> Paced<R> {
    /// The HTTP library names the timeout, and not what was waited for.
    fn told(&self, error: io::Error) -> io::Error {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
        if !matches!(inner, Some(ureq::Error::Timeout(_))) {
            return error;
        }
        let reason = format!("nothing more came for {} after {} bytes", seconds(self.pace.over), self.came);
        io::Error::new(io::ErrorKind::TimedOut, reason)
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let begun = Instant::now();
        let n = self.inner.read(buf).map_err(|error| self.told(error))?;
        self.came += n as u64;
        if n > 0 {
            self.pace.step(begun.elapsed(), n as u64)?;
        }
        match self.until {
            Some(Until { begun, whole }) if n > 0 && begun.elapsed() > whole => {
                let reason =
                    format!("it was not there whole after {}: {} bytes came", seconds(whole), self.came);
                Err(io::Error::new(io::ErrorKind::TimedOut, reason))
            }
            _ => Ok(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    fn options() -> Options {
        Options { pause: Duration::ZERO, longest_pause: Duration::ZERO, ..Options::default() }
    }

    #[test]
    fn a_line_is_slow_below_a_kibibyte_a_second_over_a_minute() {
        let moves = |waited: Duration, bytes: u64, times: u32| {
            let mut pace = Pace::new(MINUTE);
            (0..times).try_for_each(|_| pace.step(waited, bytes))
        };
        moves(SECOND, 1024, 600).unwrap();
        moves(SECOND, 1023, 59).unwrap();
        assert_eq!(moves(SECOND, 1023, 60).unwrap_err().to_string(), "only 61380 bytes moved in 60 seconds");
        moves(59 * SECOND, 128 << 10, 100).unwrap();
        // What came fast at first does not pay for later: each minute counts by itself.
        let mut pace = Pace::new(MINUTE);
        pace.step(MINUTE, 1 << 30).unwrap();
        assert!(pace.step(MINUTE, 1).is_err());
    }

    #[test]
    fn attempts_end_by_their_number_and_by_their_time() {
        let options = options();
        let count = |took: Duration, came: u64| {
            let mut attempts = Attempts::new(Some(&options));
            (0..50).take_while(|_| attempts.again(took, came, None)).count()
        };
        assert_eq!(count(Duration::ZERO, 0), 4, "quick failures: by number");
        assert_eq!(count(MINUTE, 0), 1, "two minutes are enough");
        assert_eq!(count(MINUTE, 60), 1, "a byte a second is nothing");
        assert_eq!(count(MINUTE, 60 << 10), 50, "who makes progress goes on");
        assert_eq!(count(Duration::from_millis(3), 1), 50, "a short attempt is not slow");
        assert!(!Attempts::new(None).again(Duration::ZERO, 9, None), "offline");
    }
}
