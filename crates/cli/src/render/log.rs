//! Traces for debugging: `--verbose`, or `RUST_LOG`. Each event is one line, whatever stands in it.

use std::io;

use pinfold_base::Shown;
use tracing_subscriber::EnvFilter;

/// Sends traces to stderr.
pub(crate) fn install(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Its colours would be escaped with all else.
        .with_ansi(false)
        .with_writer(|| Event)
        .without_time()
        .with_target(verbose > 1)
        .try_init();
}

/// Takes an event in one piece, as the subscriber writes it.
struct Event;

impl io::Write for Event {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        super::note(Shown::bytes(event.strip_suffix(b"\n").unwrap_or(event)));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
