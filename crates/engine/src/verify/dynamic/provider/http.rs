//! HTTP/1.1 as far as a stand-in needs it. Heads are read by the proxy's own parser ([`pinfold_network::wire`]).

use std::io;
use std::io::Read;
use std::io::Write;

use pinfold_network::wire::body::ChunkDecoder;
use pinfold_network::wire::head::Body;
use pinfold_network::wire::head::RequestTarget;
use pinfold_network::wire::head::parse_request;

use super::answers::Answer;

/// What a client asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// The method.
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    /// The body, without its chunks.
    pub(super) body: Vec<u8>,
}

fn strange(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

/// Takes more bytes; `false` at the end.
fn more(stream: &mut impl Read, kept: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    match stream.read(&mut buffer) {
        Ok(count) => {
            kept.extend_from_slice(&buffer[..count]);
            Ok(count > 0)
        }
        // A client that leaves without the closing alert of TLS has left.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The next request; `None` once there is no more. `kept` holds what was read beyond the last.
pub(super) fn read(
    stream: &mut (impl Read + Write),
    kept: &mut Vec<u8>,
    most: usize,
) -> io::Result<Option<Request>> {
    let (head, length) = loop {
        if let Some(found) = parse_request(kept).map_err(strange)? {
            break found;
        }
        if !more(stream, kept)? {
            return if kept.is_empty() { Ok(None) } else { Err(strange("half a request")) };
        }
    };
    kept.drain(..length);
    let path = match head.target {
        RequestTarget::Origin(path) | RequestTarget::Forward { path, .. } => path,
        RequestTarget::Tunnel(_) => return Err(strange("a tunnel")),
    };
    if head.fields.iter().any(|field| field.is("expect")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = Vec::new();
    match head.body {
        Body::Length(length) => {
            let length = usize::try_from(length).ok().filter(|length| *length <= most);
            let length = length.ok_or_else(|| strange("a long body"))?;
            while kept.len() < length {
                if !more(stream, kept)? {
                    return Err(strange("half a body"));
                }
            }
            body.extend(kept.drain(..length));
        }
        Body::Chunked => {
            let mut decoder = ChunkDecoder::default();
            loop {
                let used = decoder.decode(kept, &mut body).map_err(|_| strange("a malformed chunk"))?;
                kept.drain(..used);
                if decoder.is_done() {
                    break;
                }
                if body.len() > most || !more(stream, kept)? {
                    return Err(strange("half a body, or a long one"));
                }
            }
        }
        Body::None | Body::UntilClose => {}
    }
    Ok(Some(Request { method: head.method, path, body }))
}

/// Answers it.
pub(super) fn write(stream: &mut impl Write, request: &Request, answer: &Answer) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        answer.status,
        answer.kind,
        answer.body.len()
    );
    stream.write_all(head.as_bytes())?;
    if request.method != "HEAD" {
        stream.write_all(answer.body.as_bytes())?;
    }
    stream.flush()
}

/// What whoever wants anything but the provider gets.
pub(super) fn refuse(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let mut kept = Vec::new();
    more(stream, &mut kept)?;
    stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
