//! Chunked bodies (RFC 9112, section 7.1), read strictly and written anew.
//!
//! ```text
//!   chunk = size [ ";" anything ] CRLF data CRLF        size: 1 to 15 hexadecimal digits
//!   last  = 1*"0" [ ";" anything ] CRLF *( field CRLF ) CRLF
//! ```
//!
//! Extensions and trailers are read and dropped, so nothing but data reaches the other side. **Refuses** lines that do not
//! end in CRLF, over-long lines, sizes with signs, spaces or `0x`.

/// The longest line of a size with its extension.
const LINE_MAX: usize = 256;
/// The most bytes of trailers.
const TRAILER_MAX: usize = 8 << 10;

/// A body that is not chunked as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is malformed")]
pub struct ChunkError;

#[derive(Debug)]
enum State {
    /// In the line of a size: the value so far, its digits, the length of the line, and whether the digits are over.
    Size {
        value: u64,
        digits: usize,
        length: usize,
        extension: bool,
    },
    /// After the CR of such a line.
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    /// After the data: CR, then LF.
    DataCr,
    DataLf,
    /// In a line of the trailers: bytes of all trailers, bytes of this line.
    Trailer {
        total: usize,
        line: usize,
    },
    TrailerLf {
        total: usize,
        line: usize,
    },
    Done,
}

const START: State = State::Size { value: 0, digits: 0, length: 0, extension: false };

/// Takes chunked bytes as they come and gives the data.
#[derive(Debug)]
pub struct ChunkDecoder {
    state: State,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self { state: START }
    }
}

impl ChunkDecoder {
    /// Whether the last chunk and its trailers were read.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Reads from `input`, appends data to `data`, and says how many bytes were used: all, unless the body is done.
    pub fn decode(&mut self, input: &[u8], data: &mut Vec<u8>) -> Result<usize, ChunkError> {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            self.state = match self.state {
                State::Done => break,
                State::Data { left } => {
                    let rest = &input[used..];
                    let count = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    data.extend_from_slice(&rest[..count]);
                    used += count;
                    self.state = match left - count as u64 {
                        0 => State::DataCr,
                        left => State::Data { left },
                    };
                    continue;
                }
                State::Size { value, digits, length, extension } => {
                    let digit = char::from(byte).to_digit(16).filter(|_| !extension);
                    match (byte, digit) {
                        _ if length >= LINE_MAX => return Err(ChunkError),
                        (_, Some(digit)) if digits < 15 => State::Size {
                            value: value * 16 + u64::from(digit),
                            digits: digits + 1,
                            length: length + 1,
                            extension,
                        },
                        (b'\r', _) if digits > 0 => State::SizeEnd { value },
                        (b';', _) if digits > 0 => {
                            State::Size { value, digits, length: length + 1, extension: true }
                        }
                        (b'\t' | b' '..=b'~' | 0x80.., _) if extension => {
                            State::Size { value, digits, length: length + 1, extension }
                        }
                        _ => return Err(ChunkError),
                    }
                }
                State::SizeEnd { value: 0 } if byte == b'\n' => State::Trailer { total: 0, line: 0 },
                State::SizeEnd { value } if byte == b'\n' => State::Data { left: value },
                State::DataCr if byte == b'\r' => State::DataLf,
                State::DataLf if byte == b'\n' => START,
                State::Trailer { total, .. } if total >= TRAILER_MAX => return Err(ChunkError),
                State::Trailer { total, line } => match byte {
                    b'\r' => State::TrailerLf { total: total + 1, line },
                    b'\t' | b' '..=b'~' | 0x80.. => State::Trailer { total: total + 1, line: line + 1 },
                    _ => return Err(ChunkError),
                },
                State::TrailerLf { line: 0, .. } if byte == b'\n' => State::Done,
                State::TrailerLf { total, .. } if byte == b'\n' => {
                    State::Trailer { total: total + 1, line: 0 }
                }
                State::SizeEnd { .. } | State::DataCr | State::DataLf | State::TrailerLf { .. } => {
                    return Err(ChunkError);
                }
            };
            used += 1;
        }
        Ok(used)
    }
}

/// Appends `data` as one chunk; nothing when it is empty, since that would be the last one.
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(text: &[u8]) -> Result<(Vec<u8>, usize, bool), ChunkError> {
        let mut decoder = ChunkDecoder::default();
        let mut data = Vec::new();
        let used = decoder.decode(text, &mut data)?;
        Ok((data, used, decoder.is_done()))
    }

    #[test]
    fn chunks_are_joined() {
        // The example of RFC 9112's predecessor RFC 7230 is text of this form.
        let text = b"4\r\nWiki\r\n6;name=\"value\"\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nX-Trailer: y\r\n\r\nnext";
        let (data, used, done) = decode(text).unwrap();
        assert_eq!(data, b"Wikipedia in \r\n\r\nchunks.");
        assert_eq!(&text[used..], b"next");
        assert!(done);
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for text in [
            &b"\r\n"[..],
            b"4\nWiki\r\n",
            b"4\r\nWiki0\r\n\r\n",
            b"4\r\nWikiX",
            b"4\r\nWiki\n",
            b"+4\r\n",
            b" 4\r\n",
            b"4 \r\n",
            b"0x4\r\n",
            b"-1\r\n",
            b"g\r\n",
            b";a\r\n",
            b"4;a\nb\r\n",
            b"4\rx",
            b"1000000000000000\r\n",
            b"0\r\nX: y\nZ\r\n\r\n",
            b"0\r\n\rx",
        ] {
            assert_eq!(decode(text), Err(ChunkError), "{:?}", String::from_utf8_lossy(text));
        }
        assert!(decode(&[b"4;", &[b'x'; LINE_MAX][..]].concat()).is_err());
        assert!(decode(&[b"0\r\n", &[b'x'; TRAILER_MAX + 1][..]].concat()).is_err());
    }

    proptest! {
        /// However the bytes are cut, what was written is read.
        #[test]
        fn round_trip(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8), cut in 1usize..9) {
            let mut text = Vec::new();
            for piece in &pieces {
                write_chunk(&mut text, piece);
            }
            text.extend_from_slice(LAST_CHUNK);
            let mut decoder = ChunkDecoder::default();
            let mut data = Vec::new();
            for part in text.chunks(cut) {
                prop_assert!(!decoder.is_done());
                prop_assert_eq!(decoder.decode(part, &mut data), Ok(part.len()));
            }
            prop_assert!(decoder.is_done());
            prop_assert_eq!(data, pieces.concat());
        }

        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
