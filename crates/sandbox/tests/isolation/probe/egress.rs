//! Probes of what is said through the proxy.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use super::Found;
use super::all;

/// The host that is not the tunnel's.
pub(crate) const EVIL: &[u8] = b"evil.example";
/// What the front says when it serves that one.
pub(crate) const SERVED: &[u8] = b"served";
/// A HelloRetryRequest (RFC 8446, section 4.1.3) in its record.
pub(crate) const RETRY: [u8; 47] = [
    22, 3, 3, 0, 42, 2, 0, 0, 38, 3, 3, 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c,
    0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2,
    0xc8, 0xa8, 0x33, 0x9c, 0, 0, 0, 0,
];
/// A header that nobody's route names, and a credential in it.
pub(crate) const FOREIGN: (&str, &str) = ("x-foreign", "beside-4c1d9a");

/// A hello in its record, with these extensions.
fn hello(extensions: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    body.extend_from_slice(&length(extensions));
    body.extend_from_slice(extensions);
    let message = [&[1, 0][..], &length(&body), &body].concat();
    [&[22, 3, 1][..], &length(&message), &message].concat()
}

/// Argument: an address that the proxy allows. To it no name is sent in the first hello, and another host's in the second.
pub(super) fn second_hello(target: &str) -> Found {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect("127.0.0.1:3128").map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
    write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").map_err(failed)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).map_err(failed)?;
        head.push(byte[0]);
    }
    stream.write_all(&hello(&[])).map_err(failed)?;
    let mut asked = [0; RETRY.len()];
    stream.read_exact(&mut asked).map_err(failed)?;
    if asked != RETRY {
        return Err("the server's question did not arrive".into());
    }
    let name = [&[0, 0, 0, 17, 0, 15, 0, 0, 12][..], EVIL].concat();
    stream.write_all(&hello(&name)).map_err(failed)?;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    // An alert, access denied.
    if rest == [0x15, 3, 3, 0, 2, 2, 49] { Ok(()) } else { Err(String::from_utf8_lossy(&rest).into_owned()) }
}

fn ask(request: &str) -> Result<String, String> {
    let mut stream = TcpStream::connect("127.0.0.1:3180").map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|error| error.to_string())?;
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Argument: the key, which must not come back. The provider answers with what it was asked.
pub(super) fn beside_the_key(key: &str) -> Found {
    let (name, foreign) = FOREIGN;
    let fields: String = [
        name,
        "Authorization",
        "X-Api-Key",
        "X_Api_Key",
        "X-Goog-Api-Key",
        "X-Goog-User-Project",
        "Cookie",
        "X-HTTP-Method-Override",
        "X-Original-URL",
        "Forwarded",
        "Range",
    ]
    .iter()
    .map(|name| [name, ": ", foreign, "\r\n"].concat())
    .collect();
    let answer = ask(&format!("GET /v1/a?limit=1 HTTP/1.1\r\nHost: x\r\n{fields}\r\n"))?;
    let arrived = answer.starts_with("HTTP/1.1 200 ") && answer.contains("GET /v1/a?limit=1 ");
    let clean = answer.contains("x-api-key: ***") && !answer.contains(key) && !answer.contains(foreign);
    let refused = [
        format!("GET /v1/a?key={foreign}"),
        format!("GET /v1/a?limit=1&access_token={foreign}"),
        format!("GET /v1/a?limit=1;key={foreign}"),
        format!("GET /v1/a?%24key={foreign}"),
        "GET /v1/..%2Fb".into(),
        "GET /v1/%2e%2e/b".into(),
        "GET /v1/a%5C..%5Cb".into(),
        "DELETE /v1/a".into(),
    ];
    let first = if arrived && clean { Ok(()) } else { Err(answer) };
    all(std::iter::once(first).chain(refused.iter().map(|line| {
        let answer = ask(&format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n"))?;
        if answer.starts_with("HTTP/1.1 403 ") { Ok(()) } else { Err(format!("{line}: {answer}")) }
    })))
}
