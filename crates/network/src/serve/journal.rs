//! The record of decisions: one line of JSON for each thing a sandbox tried to reach.
//!
//! ```text
//!   DIR/network.jsonl       newest lines, at most a set size
//!   DIR/network.jsonl.1     the lines before
//!   standard output         of a proxy for many, whose lines name the sandbox: {"time": …, "sandbox": NAME, …}
//! ```
//!
//! A line holds the time, what was asked for (host and port, method; a path only for credential routes, never a query),
//! the decision with its reason and rule, the address that was dialled, and at the end of a connection the bytes that
//! passed. No header, no body, no key. Text from the sandbox is cut to [`TEXT_MAX`] characters and escaped by JSON.
//!
//! **Guarantees**: both files together stay below twice the set size; a decision that cannot be written is an error, and
//! the proxy then refuses what it was about.

use std::io;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use fs_err as fs;
use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt;
use rustix::io::Errno;
use serde::Serialize;

/// The most characters of a text that came from the sandbox.
const TEXT_MAX: usize = 300;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A tunnel was asked for.
    Connect,
    /// A plain request was to be forwarded.
    Http,
    /// A request came in at a credential route.
    Route,
    /// A request that could not be read, or for which there was no room.
    Malformed,
    /// A connection that was allowed has ended.
    Closed,
    /// Somebody connected whose token is not known, or comes from elsewhere.
    Unknown,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct Note {
    /// What it is about.
    pub event: Event,
    /// Host and port asked for, or the name of the route.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// The method of the request.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The path without its query, of credential routes only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The decision.
    pub allowed: bool,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The address that was dialled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Bytes that left the sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Bytes that came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<u64>,
}

impl Note {
    /// A line about `target`; everything else is filled in by the caller.
    pub fn new(event: Event, target: &impl ToString, allowed: bool) -> Self {
        Self {
            event,
            target: target.to_string(),
            method: String::new(),
            path: String::new(),
            allowed,
            reason: String::new(),
            address: None,
            status: None,
            sent: None,
            received: None,
            milliseconds: None,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<&'a str>,
    #[serde(flatten)]
    note: &'a Note,
}

/// Lines in a file that is turned over when it is full, or on the standard output.
#[derive(Debug)]
pub struct Journal(To);

#[derive(Debug)]
enum To {
    Output(Mutex<OwnedFd>),
    File { path: PathBuf, size_max: u64, open: Mutex<Open> },
}

#[derive(Debug)]
struct Open {
    file: File,
    size: u64,
}

impl Journal {
    /// Opens or creates the file, readable by the user alone.
    pub fn open(path: &Path, size_max: u64) -> io::Result<Self> {
        let file = create(path)?;
        let size = file.metadata()?.len();
        Ok(Self(To::File { path: path.to_owned(), size_max, open: Mutex::new(Open { file, size }) }))
    }

    /// Lines on the standard output, whoever keeps them.
    pub fn output() -> io::Result<Self> {
        let output = rustix::stdio::stdout().try_clone_to_owned()?;
        Ok(Self(To::Output(Mutex::new(output))))
    }

    /// Appends a line, about `sandbox` where there are several.
    pub fn write(&self, note: &Note, sandbox: Option<&str>) -> io::Result<()> {
        let mut note = note.clone();
        for text in [&mut note.target, &mut note.method, &mut note.path, &mut note.reason] {
            if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
                text.truncate(end);
            }
        }
        let mut line =
            serde_json::to_vec(&Line { time: timestamp(SystemTime::now()), sandbox, note: &note })?;
        line.push(b'\n');
        match &self.0 {
            To::Output(output) => {
                // Held until all of it is out: no line is torn by another.
                let output = output.lock().unwrap_or_else(PoisonError::into_inner);
                let mut rest = &line[..];
                while !rest.is_empty() {
                    match rustix::io::write(&*output, rest) {
                        Ok(count) => rest = &rest[count..],
                        Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            }
            To::File { path, size_max, open } => {
                let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                if open.size > 0 && open.size + line.len() as u64 > *size_max {
                    let mut old = path.clone().into_os_string();
                    old.push(".1");
                    fs::rename(path, old)?;
                    *open = Open { file: create(path)?, size: 0 };
                }
                // One call, so that a line is whole or absent.
                open.file.write_all(&line)?;
                open.size += line.len() as u64;
                Ok(())
            }
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    options.append(true).create(true).mode(0o600).custom_flags(no_follow);
    options.open(path)
}

/// RFC 3339, in UTC, with milliseconds.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = pinfold_base::time::rfc3339(since.as_secs());
    format!("{}.{:03}Z", text.trim_end_matches('Z'), since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn refused(target: &str) -> Note {
        Note { reason: "no rule allows it".into(), ..Note::new(Event::Connect, &target, false) }
    }

    #[test]
    fn a_line_is_json_whatever_the_sandbox_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("network.jsonl");
        let journal = Journal::open(&path, 1 << 20).unwrap();
        journal.write(&refused("a\"\n\u{1b}]0;x\u{7}\0.example:443"), None).unwrap();
        journal.write(&refused(&"é".repeat(5000)), None).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["event"], "connect");
        assert_eq!(lines[0]["allowed"], false);
        assert!(!text.contains('\u{1b}'));
        assert_eq!(lines[1]["target"].as_str().unwrap().chars().count(), TEXT_MAX);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_flood_is_bounded_and_the_newest_lines_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("network.jsonl");
        let journal = Journal::open(&path, 10_000).unwrap();
        for number in 0..2000 {
            journal.write(&refused(&format!("host-{number}.example:443")), None).unwrap();
        }
        let total: u64 =
            fs::read_dir(dir.path()).unwrap().map(|note| note.unwrap().metadata().unwrap().len()).sum();
        assert!(total <= 20_000, "{total}");
        assert!(fs::read_to_string(&path).unwrap().contains("host-1999.example"));
        // Opened again, it goes on where it was.
        let before = fs::metadata(&path).unwrap().len();
        Journal::open(&path, 10_000).unwrap().write(&refused("x:1"), Some("a")).unwrap();
        assert!(fs::metadata(&path).unwrap().len() > before);
    }

    #[test]
    fn a_link_in_the_journals_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/null", dir.path().join("network.jsonl")).unwrap();
        assert!(Journal::open(&dir.path().join("network.jsonl"), 1000).is_err());
    }

    #[test]
    fn times_are_dates() {
        // By `date -u -d @N +%FT%T`.
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (1_795_246_246, "2026-11-21T07:30:46.000Z"),
        ] {
            assert_eq!(timestamp(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
