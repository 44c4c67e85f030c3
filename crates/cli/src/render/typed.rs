//! A line that somebody types who must not be seen typing it.
//!
//! **Guarantees**: the terminal is afterwards what it was, also when Ctrl-C ends it; nothing of what is typed is shown.
//! **Refuses** what is longer than [`MAX`], and what is no text.

use std::io;
use std::io::Read as _;

use pinfold_base::http::Secret;
use rustix::termios::LocalModes;
use rustix::termios::OptionalActions;
use rustix::termios::QueueSelector;
use rustix::termios::Termios;
use rustix::termios::tcflush;
use rustix::termios::tcgetattr;
use rustix::termios::tcsetattr;

use super::write_error;

/// The longest line, in bytes.
const MAX: usize = 16 << 10;

/// What a terminal was before.
struct Before(Termios);

impl Drop for Before {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.0);
        write_error("\n");
    }
}

/// Asks for a line and waits for it. `None` when it is broken off: by Ctrl-C, or Ctrl-D at its beginning.
pub(crate) fn unseen(question: &str) -> io::Result<Option<Secret>> {
    let stdin = rustix::stdio::stdin();
    let before = Before(tcgetattr(stdin)?);
    let mut modes = before.0.clone();
    // Keys come one by one and mean nothing to the terminal: a signal would leave it as it is now.
    modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    // What was typed before the question is no answer to it.
    let _ = tcflush(stdin, QueueSelector::IFlush);
    tcsetattr(stdin, OptionalActions::Now, &modes)?;
    write_error(question);
    read(&mut io::stdin().lock())
}

fn read(keys: &mut impl io::BufRead) -> io::Result<Option<Secret>> {
    let mut line = Vec::new();
    for key in keys.bytes() {
        match key? {
            0x03 => return Ok(None),
            0x04 if line.is_empty() => return Ok(None),
            b'\r' | b'\n' | 0x04 => break,
            // Backspace takes a whole character, Ctrl-U all of them.
            0x08 | 0x7f => while line.pop().is_some_and(|byte: u8| (0x80..0xc0).contains(&byte)) {},
            0x15 => line.clear(),
            byte if line.len() < MAX => line.push(byte),
            _ => return Err(io::Error::other(format!("it is longer than {MAX} bytes"))),
        }
    }
    let line = String::from_utf8(line).map_err(|_| io::Error::other("it is no text"))?;
    Ok(Some(Secret::new(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        let typed = |mut keys: &[u8]| read(&mut keys).unwrap().map(|line| line.expose().to_owned());
        for (keys, line) in [
            (&b"abc\r"[..], Some("abc")),
            (b"abc\nx", Some("abc")),
            (b"abc", Some("abc")),
            (b"ab\x7fc\x08\n", Some("a")),
            ("a\u{e4}\u{20ac}\x7f\x7fb\n".as_bytes(), Some("ab")),
            (b"\x7f\x7fa\n", Some("a")),
            (b"wrong\x15right\n", Some("right")),
            (b" a b \n", Some(" a b ")),
            (b"ab\x04", Some("ab")),
            (b"\x04", None),
            (b"ab\x03\n", None),
        ] {
            assert_eq!(typed(keys).as_deref(), line, "{keys:?}");
        }
        assert!(read(&mut &vec![b'a'; MAX + 1][..]).is_err());
        assert!(read(&mut &b"\xff\n"[..]).is_err());
    }
}
