//! Probes of what the host runs for a key.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use super::Found;

/// File of the workspace with what [`rewritten`] complains of.
pub(crate) const COMPLAINT: &str = "complaint";

/// Asks for a key, rewrites the program that prints it, and asks again: the two requests must end with these.
pub(super) fn rewritten(mark: &str, first: &str, second: &str) -> Found {
    let found = asked_twice(mark, first, second);
    if let Err(text) = &found {
        fs::write(Path::new("/workspace").join(COMPLAINT), text).map_err(|error| error.to_string())?;
    }
    found
}

fn asked_twice(mark: &str, first: &str, second: &str) -> Found {
    expect("the first", &status()?, first)?;
    let text = format!("#!/bin/sh\necho x > {mark}\necho sk-of-the-agent\n");
    fs::write("/workspace/getkey.sh", text).map_err(|error| error.to_string())?;
    expect("the second", &status()?, second)
}

fn expect(which: &str, found: &str, expected: &str) -> Found {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{which} answered with {found:?}, expected {expected}"))
    }
}

fn status() -> Result<String, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect("127.0.0.1:3180").map_err(failed)?;
    stream.write_all(b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:3180\r\n\r\n").map_err(failed)?;
    let mut answer = Vec::new();
    // A reset ends the answer as well.
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned())
}
