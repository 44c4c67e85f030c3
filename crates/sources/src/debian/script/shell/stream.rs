//! Descriptors: what commands read from and write to, and redirections.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;

use pinfold_base::ImagePath;

use super::super::syntax::Redirect;
use super::super::syntax::RedirectKind;
use super::super::world::Errno;
use super::super::world::Kept;
use super::super::world::Kind;
use super::super::world::Last;
use super::Flow;
use super::Shell;
use super::Status;

/// Highest descriptor that a script can name (POSIX has one digit).
const MAX_DESCRIPTOR: u32 = 9;

/// Bytes that are read from the front; every copy of the descriptor has the same position, as with fork(2).
#[derive(Debug)]
struct Input {
    bytes: Vec<u8>,
    at: usize,
}

/// An open descriptor.
#[derive(Clone, Debug)]
pub(in crate::debian::script) enum Stream {
    /// `/dev/null`.
    Null,
    /// `/dev/urandom`: what reads it wants a random value.
    Random,
    /// Something to read.
    Input(Rc<RefCell<InputBytes>>),
    /// A pipe or the script's own output.
    Buffer(Rc<RefCell<Vec<u8>>>),
    /// A file of the tree that is written to, and where; at its end where that is not kept.
    File(ImagePath, Option<Rc<Cell<usize>>>),
    /// `>&-`.
    Closed,
}

/// What an input holds; opaque outside this file.
#[derive(Debug)]
pub(in crate::debian::script) struct InputBytes(Input);

impl Stream {
    /// Something to write to.
    pub(in crate::debian::script) fn buffer() -> Self {
        Self::Buffer(Rc::default())
    }

    /// Something to read from.
    pub(in crate::debian::script) fn input(bytes: Vec<u8>) -> Self {
        Self::Input(Rc::new(RefCell::new(InputBytes(Input { bytes, at: 0 }))))
    }

    /// What was written to a buffer, which is empty afterwards.
    pub(in crate::debian::script) fn taken(&self) -> Vec<u8> {
        match self {
            Self::Buffer(bytes) => std::mem::take(&mut bytes.borrow_mut()),
            _ => Vec::new(),
        }
    }
}

impl Shell<'_, '_> {
    /// Writes to descriptor 1.
    pub(in crate::debian::script) fn say(&mut self, bytes: &[u8]) -> Result<(), Flow> {
        self.write(1, bytes)
    }

    /// Writes to descriptor 2.
    pub(in crate::debian::script) fn say_error(&mut self, bytes: &[u8]) -> Result<(), Flow> {
        self.write(2, bytes)
    }

    /// Writes to a descriptor; what cannot be written is dropped, as a script seldom looks.
    pub(in crate::debian::script) fn write(&mut self, descriptor: u32, bytes: &[u8]) -> Result<(), Flow> {
        let done = match self.state.streams.get(&descriptor).cloned() {
            Some(Stream::Buffer(buffer)) => self.world.spend_bytes(bytes.len()).map(|()| {
                buffer.borrow_mut().extend_from_slice(bytes);
            }),
            Some(Stream::File(path, at)) => match self.world.write_at(&path, at.as_deref(), bytes) {
                // Removed while it is open: the bytes go nowhere.
                Err(Errno::NotFound) => Ok(()),
                other => other,
            },
            Some(Stream::Null | Stream::Random | Stream::Closed | Stream::Input(_)) | None => Ok(()),
        };
        done.map_err(|errno| self.fault(&[], format!("writing: {errno}")))
    }

    /// Whether descriptor 1 is a file of the tree: what is printed is not seen by the script.
    pub(in crate::debian::script) fn says_to_a_file(&self) -> bool {
        matches!(self.state.streams.get(&1), Some(Stream::File(..)))
    }

    /// Whether what is said goes nowhere.
    pub(in crate::debian::script) fn says_nothing(&self) -> bool {
        matches!(self.state.streams.get(&1), None | Some(Stream::Null))
    }

    /// Everything that is left on descriptor 0.
    pub(in crate::debian::script) fn read_all(&mut self) -> Result<Vec<u8>, Flow> {
        let bytes = match self.state.streams.get(&0) {
            Some(Stream::Input(input)) => {
                let input = &mut input.borrow_mut().0;
                let rest = input.bytes[input.at..].to_vec();
                input.at = input.bytes.len();
                rest
            }
            Some(Stream::Random) => return Err(self.fault(&[], "a random value is asked for")),
            _ => Vec::new(),
        };
        self.spend_bytes(bytes.len())?;
        Ok(bytes)
    }

    /// Whether descriptor 0 is a random device.
    pub(in crate::debian::script) fn reads_random(&self) -> bool {
        matches!(self.state.streams.get(&0), Some(Stream::Random))
    }

    /// The next line on a descriptor, with its newline where it has one; nothing at the end.
    pub(in crate::debian::script) fn read_line(&mut self, descriptor: u32) -> Option<Vec<u8>> {
        let Some(Stream::Input(input)) = self.state.streams.get(&descriptor) else { return None };
        let input = &mut input.borrow_mut().0;
        let rest = &input.bytes[input.at..];
        if rest.is_empty() {
            return None;
        }
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let line = rest[..length].to_vec();
        input.at += length;
        Some(line)
    }

    /// Does redirections in their order. A status other than 0: one was refused, and the script was told.
    pub(super) fn redirect(&mut self, redirects: &[Redirect]) -> Status {
        for redirect in redirects {
            let status = self.one_redirect(redirect)?;
            if status != 0 {
                return Ok(status);
            }
        }
        Ok(0)
    }

    fn one_redirect(&mut self, redirect: &Redirect) -> Status {
        let Some(target) = redirect.target.get() else {
            return Err(self.fault(&[], "a here-document has no text"));
        };
        let descriptor = redirect.descriptor.unwrap_or(match redirect.kind {
            RedirectKind::Write
            | RedirectKind::Clobber
            | RedirectKind::Append
            | RedirectKind::DuplicateOutput => 1,
            _ => 0,
        });
        if descriptor > MAX_DESCRIPTOR {
            return Err(self.fault(&[], "a descriptor above 9 is not of a POSIX shell"));
        }
        let word = self.one_word(target)?;
        let stream = match redirect.kind {
            RedirectKind::Document => Stream::input(word.to_vec()),
            RedirectKind::DuplicateInput | RedirectKind::DuplicateOutput => {
                return self.duplicate(descriptor, &word);
            }
            kind => match self.opened(kind, &word) {
                Ok(stream) => stream,
                Err(errno) if errno.is_told() => return self.not_opened(kind, &word, errno),
                Err(errno) => {
                    return Err(self.fault(&[], format!("redirection to `{}`: {errno}", word.escape_ascii())));
                }
            },
        };
        self.state.streams.insert(descriptor, stream);
        Ok(0)
    }

    fn not_opened(&mut self, kind: RedirectKind, path: &[u8], errno: Errno) -> Status {
        let verb = if kind == RedirectKind::Read { "open" } else { "create" };
        let reason = match (errno, verb) {
            (Errno::NotFound, "create") => "Directory nonexistent".to_owned(),
            (Errno::NotFound, _) => "No such file".to_owned(),
            (other, _) => other.to_string(),
        };
        let zero = String::from_utf8_lossy(&self.state.zero).into_owned();
        let said = format!("{zero}: {}: cannot {verb} {}: {reason}\n", self.line, path.escape_ascii());
        self.say_error(said.as_bytes())?;
        Ok(2)
    }

    fn opened(&mut self, kind: RedirectKind, path: &[u8]) -> Result<Stream, Errno> {
        let cwd = self.state.cwd.clone();
        let same = |descriptor: u32| self.state.streams.get(&descriptor).cloned().unwrap_or(Stream::Closed);
        match path {
            b"/dev/null" => return Ok(Stream::Null),
            b"/dev/urandom" | b"/dev/random" if kind == RedirectKind::Read => return Ok(Stream::Random),
            b"/dev/stdin" | b"/dev/fd/0" => return Ok(same(0)),
            b"/dev/stdout" | b"/dev/fd/1" => return Ok(same(1)),
            b"/dev/stderr" | b"/dev/fd/2" => return Ok(same(2)),
            // No terminal is there, as for a process that has none.
            b"/dev/tty" => return Err(Errno::NotFound),
            _ => {}
        }
        match kind {
            RedirectKind::Read => self.world.read(&cwd, path).map(Stream::input),
            RedirectKind::Write | RedirectKind::Append | RedirectKind::Clobber => {
                let exists =
                    self.world.stat(&cwd, path, Last::Followed).is_ok_and(|stat| stat.kind == Kind::File);
                if kind == RedirectKind::Write && exists && self.state.switches.noclobber {
                    return Err(Errno::Exists);
                }
                let kept = if kind == RedirectKind::Append { Kept::All } else { Kept::Nothing };
                let mode = 0o666 & !self.state.umask;
                let at = (kept == Kept::Nothing).then(Rc::default);
                self.world.open_to_write(&cwd, path, mode, kept).map(|file| Stream::File(file, at))
            }
            _ => Err(Errno::Outside),
        }
    }

    fn duplicate(&mut self, descriptor: u32, source: &[u8]) -> Status {
        if source == b"-" {
            self.state.streams.insert(descriptor, Stream::Closed);
            return Ok(0);
        }
        let number = std::str::from_utf8(source).ok().and_then(|source| source.parse::<u32>().ok());
        match number.and_then(|source| self.state.streams.get(&source).cloned()) {
            Some(stream) if !matches!(stream, Stream::Closed) => {
                self.state.streams.insert(descriptor, stream);
                Ok(0)
            }
            _ => {
                self.say_error(b"Bad file descriptor\n")?;
                Ok(2)
            }
        }
    }
}
