//! Server-sent events as the WHATWG's HTML has them ("interpreting an event stream"): names and data.
//!
//! Pure: bytes go in, events come out. **Refuses** an event of more than [`EVENT`] bytes.

/// Bytes of an event.
pub const EVENT: usize = 4 << 20;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its `event` field; empty where it has none.
    pub name: String,
    /// Its lines of data, joined.
    pub data: String,
}

/// An event was larger than [`EVENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Large;

/// The reader of a stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    line: Vec<u8>,
    /// The last line ended in a carriage return, whose line feed may come.
    after_return: bool,
    name: String,
    data: String,
    has_data: bool,
}

impl Stream {
    /// Takes bytes, and appends the events that end in them.
    pub fn take(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Large> {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            match bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
                None => {
                    self.keep(bytes)?;
                    return Ok(());
                }
                Some(end) => {
                    self.keep(&bytes[..end])?;
                    self.after_return = bytes[end] == b'\r';
                    bytes = &bytes[end + 1..];
                    let line = std::mem::take(&mut self.line);
                    self.line(&String::from_utf8_lossy(&line), events);
                    self.line = line;
                    self.line.clear();
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Large> {
        if self.line.len() + self.data.len() + bytes.len() > EVENT {
            return Err(Large);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &str, events: &mut Vec<Event>) {
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            if std::mem::take(&mut self.has_data) {
                events.push(Event { name, data });
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.data.push_str(value);
                self.has_data = true;
            }
            // Comments begin with a colon; ids and times to wait are of no use to a request that is not repeated by itself.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_in_pieces_of_any_size_and_with_any_line_end() {
        let text = "event: a\ndata: 1\ndata:2\n\n: a comment\nid: 7\n\ndata\n\nretry: 3\nevent: lost\n\ndata: é\n\ndata: cut";
        let wanted = [("a", "1\n2"), ("", ""), ("", "é")];
        for end in ["\n", "\r\n", "\r"] {
            let bytes = text.replace('\n', end).into_bytes();
            for size in 1..=bytes.len() {
                let (mut stream, mut events) = (Stream::default(), Vec::new());
                for piece in bytes.chunks(size) {
                    stream.take(piece, &mut events).unwrap();
                }
                let found: Vec<_> =
                    events.iter().map(|event| (event.name.as_str(), event.data.as_str())).collect();
                assert_eq!(found, wanted, "{end:?} {size}");
            }
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let (mut stream, mut events) = (Stream::default(), Vec::new());
        let line = [b"data: ".as_slice(), &vec![b'a'; 64 << 10], b"\n"].concat();
        let mut outcome = Ok(());
        for _ in 0..100 {
            outcome = outcome.and_then(|()| stream.take(&line, &mut events));
        }
        assert_eq!((outcome, events.len()), (Err(Large), 0));
    }
}
