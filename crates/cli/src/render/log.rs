//! Traces for debugging: `--verbose`, or `RUST_LOG`. Each event is one line, whatever stands in it.
//!
//! **Refuses** to show requests as they are sent, whatever is asked for.

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
    let asked = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|asked| !asked.is_empty());
    let filter = EnvFilter::new(held(asked.as_deref().unwrap_or(level)));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Its colours would be escaped with all else.
        .with_ansi(false)
        .with_writer(|| Event)
        .without_time()
        .with_target(verbose > 1)
        .try_init();
}

/// What is wanted, without what the HTTP library says below `info`: it shows requests as they are sent, logins among them.
fn held(asked: &str) -> String {
    let others = asked.split(',').filter(|part| !part.contains("ureq"));
    others.chain(["ureq=info", "ureq_proto=info"]).collect::<Vec<_>>().join(",")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_ask_for_requests_as_they_are_sent() {
        for (asked, filter) in [
            ("trace", "trace,ureq=info,ureq_proto=info"),
            (
                "warn,ureq_proto::util=trace,pinfold_image=debug",
                "warn,pinfold_image=debug,ureq=info,ureq_proto=info",
            ),
            ("ureq=trace", "ureq=info,ureq_proto=info"),
        ] {
            assert_eq!(held(asked), filter);
            assert!(EnvFilter::try_new(held(asked)).is_ok());
        }
    }
}
