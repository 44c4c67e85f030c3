//! A Docker daemon at its socket: one request of its API, with an archive that is made while it is sent.
//!
//! ```text
//! POST /images/load?quiet=1   Transfer-Encoding: chunked      ─►  200, lines of JSON: {"stream":"Loaded image: …"} or {"error":"…"}
//! ```
//!
//! **Refuses**: a daemon elsewhere than at a socket of this machine, an answer of more than a mebibyte, and one that does not say that an
//! image was loaded.

use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use pinfold_base::Shown;
use serde::Deserialize;

use super::LoadError;
use crate::context::Environment;
use crate::ship::error::ShipError;

/// Where a daemon listens unless said.
const SOCKET: &str = "/var/run/docker.sock";
/// How long nothing may move. A daemon unpacks what it got before it answers.
const PATIENCE: Duration = Duration::from_secs(600);
/// The longest answer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// Bytes of a chunk.
const CHUNK: usize = 256 << 10;
/// Most of a daemon's own words in an error, in columns.
const TOLD: usize = 600;

/// The socket of the user's daemon.
pub(super) fn socket(environment: &Environment) -> Result<PathBuf, LoadError> {
    match environment.filled("DOCKER_HOST") {
        None => Ok(SOCKET.into()),
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(path.into()),
            _ => Err(LoadError::Host(Shown::new(host).within(100))),
        },
    }
}

/// Sends what `write` writes.
pub(super) fn load(
    socket: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), ShipError>,
) -> Result<(), ShipError> {
    let none = |reason| LoadError::NoDaemon { socket: socket.to_owned(), reason };
    let mut stream = UnixStream::connect(socket).map_err(none)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(LoadError::from)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(LoadError::from)?;
    let sent = send(&stream, write);
    if let Err(error) = &sent
        && !matches!(error, ShipError::Load(_))
    {
        // What is wrong with the image is no matter of the daemon's.
        return sent;
    }
    let mut bytes = Vec::new();
    let read = Read::by_ref(&mut stream).take(MAX_ANSWER + 1).read_to_end(&mut bytes);
    if bytes.is_empty() {
        // It says nothing: then what happened to the request is all that is known.
        sent?;
        read.map_err(LoadError::from)?;
        return Ok(answer(&bytes)?);
    }
    answer(&bytes)?;
    sent
}

/// The request. A connection that breaks is an error of the daemon's, which may have said why.
fn send(
    stream: &UnixStream,
    write: impl FnOnce(&mut dyn Write) -> Result<(), ShipError>,
) -> Result<(), ShipError> {
    let mut wire = stream;
    let head = "POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n\
                Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    wire.write_all(head.as_bytes()).map_err(LoadError::from)?;
    let mut broken = None;
    let mut chunks = BufWriter::with_capacity(CHUNK, Chunks { wire, broken: &mut broken });
    let written = write(&mut chunks).and_then(|()| Ok(chunks.flush().map_err(LoadError::from)?));
    // Without its last chunk the daemon knows that the archive is not whole.
    drop(chunks.into_parts());
    if let Some(error) = broken {
        return Err(LoadError::from(error).into());
    }
    written?;
    wire.write_all(b"0\r\n\r\n").map_err(LoadError::from)?;
    Ok(())
}

/// Chunks of HTTP/1.1 (RFC 9112, section 7.1).
struct Chunks<'a> {
    wire: &'a UnixStream,
    broken: &'a mut Option<io::Error>,
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let mut wire = self.wire;
        let sent = write!(wire, "{:x}\r\n", bytes.len())
            .and_then(|()| wire.write_all(bytes))
            .and_then(|()| wire.write_all(b"\r\n"));
        match sent {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                *self.broken = Some(error);
                Err(told)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Deserialize)]
struct Line {
    error: Option<String>,
    message: Option<String>,
    stream: Option<String>,
}

/// How a daemon says that it has the image ("Loaded image: NAME", "Loaded image ID: …"; Docker and podman's service alike).
const LOADED: &str = "Loaded image";

/// What a daemon's answer means.
fn answer(bytes: &[u8]) -> Result<(), LoadError> {
    let wrong = |reason: &str| LoadError::Answer { reason: reason.to_owned() };
    if bytes.len() as u64 > MAX_ANSWER {
        return Err(wrong("it has no end"));
    }
    let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").ok_or_else(|| wrong("it is no HTTP"))?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong("it is no HTTP"))?;
    let mut lines = head.lines();
    let status =
        lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse::<u16>().ok());
    let status = status.ok_or_else(|| wrong("it is no HTTP"))?;
    let chunked = lines.any(|line| {
        let (name, value) = line.split_once(':').unwrap_or_default();
        name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked")
    });
    let body = &bytes[end + 4..];
    let body = if chunked { joined(body).ok_or_else(|| wrong("it ends early"))? } else { body.to_vec() };
    let lines: Vec<Line> =
        body.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let is_loaded = lines
        .iter()
        .filter_map(|line| line.stream.as_deref())
        .any(|said| said.trim_start().starts_with(LOADED));
    let told = lines.into_iter().find_map(|line| line.error.or(line.message));
    match (status, told) {
        (200..=299, None) if is_loaded => Ok(()),
        (200..=299, None) => Err(wrong("it does not say that the image was loaded")),
        (200..=299, Some(said)) => Err(LoadError::Refused { said: Shown::new(&said).within(TOLD) }),
        (_, Some(said)) => {
            Err(LoadError::Refused { said: Shown::new(&format!("{status} {said}")).within(TOLD) })
        }
        (_, None) => Err(LoadError::Refused { said: Shown::new(&status.to_string()) }),
    }
}

/// Chunks put together; nothing where the last one is missing.
fn joined(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|part| part == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size..)?.strip_prefix(b"\r\n")?;
    }
}
