//! Commands: a recursive descent over the bytes of the text, with the here-documents that each line leaves open.

use std::cell::OnceCell;
use std::rc::Rc;

use super::AndOr;
use super::Command;
use super::Compound;
use super::CompoundKind;
use super::Connector;
use super::List;
use super::MAX_DEPTH;
use super::Piece;
use super::Pipeline;
use super::Redirect;
use super::RedirectKind;
use super::Simple;
use super::SyntaxError;
use super::Word;

/// Bytes of memory for a command, beside its words.
const COMMAND: usize = 400;
/// Words that end a list of commands.
const CLOSERS: [&[u8]; 8] = [b"then", b"else", b"elif", b"fi", b"do", b"done", b"esac", b"}"];
/// Words of other shells that are no commands of this one.
const FOREIGN: [&[u8]; 4] = [b"[[", b"function", b"select", b"coproc"];

/// Whether it is a word of the shell's own grammar.
pub(in crate::debian::script) fn is_reserved(word: &[u8]) -> bool {
    matches!(word, b"!" | b"{" | b"if" | b"while" | b"until" | b"for" | b"case" | b"in")
        || CLOSERS.contains(&word)
}

/// A here-document whose text is still to come.
struct Pending {
    delimiter: Vec<u8>,
    strips_tabs: bool,
    is_quoted: bool,
    text: Rc<OnceCell<Word>>,
    line: usize,
}

/// A reader of one text.
pub(super) struct Parser<'t> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
    pub(super) line: usize,
    pub(super) depth: usize,
    bash: bool,
    /// Bytes of memory that what was read takes, about.
    pub(super) size: usize,
    pending: Vec<Pending>,
}

impl<'t> Parser<'t> {
    /// At the start of `text`, whose first line is `base + 1`.
    pub(super) fn new(text: &'t [u8], base: usize, bash: bool) -> Self {
        Self { text, at: 0, line: base + 1, depth: 0, bash, size: 0, pending: Vec::new() }
    }

    /// A reader of text that stands in another: backquotes.
    pub(super) fn inner<'i>(&self, text: &'i [u8], line: usize, depth: usize) -> Parser<'i> {
        Parser { text, at: 0, line, depth, bash: self.bash, size: 0, pending: Vec::new() }
    }

    /// The whole text.
    pub(super) fn program(mut self) -> Result<(List, usize), SyntaxError> {
        let list = self.list()?;
        match self.peek() {
            None => Ok((list, self.size + self.text.len())),
            Some(_) => self.unexpected(),
        }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    pub(super) fn starts_with(&self, wanted: &[u8]) -> bool {
        self.text[self.at..].starts_with(wanted)
    }

    pub(super) fn refuse<T>(&self, what: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { line: self.line, what: what.into() })
    }

    /// What stands here has no place.
    fn unexpected<T>(&mut self) -> Result<T, SyntaxError> {
        let word = self.bare_word();
        let shown = match (word.is_empty(), self.peek()) {
            (false, _) => word.escape_ascii().to_string(),
            (true, Some(byte)) => [byte].escape_ascii().to_string(),
            (true, None) => return self.refuse("a command is missing at the end of the text"),
        };
        self.refuse(format!("`{shown}` is not expected here"))
    }

    /// One level deeper.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth >= MAX_DEPTH {
            return self.refuse("commands are nested too deeply");
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Blanks, joined lines and a comment.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => self.at += 1,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => {
                    self.at += 2;
                    self.line += 1;
                }
                Some(b'#') => {
                    let rest = &self.text[self.at..];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    /// A newline, with the here-documents of the line it ends.
    fn newline(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        self.line += 1;
        for pending in std::mem::take(&mut self.pending) {
            self.document(&pending)?;
        }
        Ok(())
    }

    /// Blanks and newlines.
    fn lines(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.blanks();
            if self.peek() != Some(b'\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    fn document(&mut self, pending: &Pending) -> Result<(), SyntaxError> {
        let (first, mut body) = (self.line, Vec::new());
        loop {
            let rest = &self.text[self.at..];
            if rest.is_empty() {
                return Err(SyntaxError {
                    line: pending.line,
                    what: format!(
                        "the here-document does not end: `{}` is missing",
                        pending.delimiter.escape_ascii()
                    ),
                });
            }
            let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let mut line = &rest[..length];
            if pending.strips_tabs {
                while let Some(stripped) = line.strip_prefix(b"\t") {
                    line = stripped;
                }
            }
            self.at += (length + 1).min(rest.len());
            self.line += 1;
            if line == pending.delimiter {
                break;
            }
            body.extend_from_slice(line);
            body.push(b'\n');
        }
        let word = if pending.is_quoted {
            Word(vec![Piece::Quoted(body)])
        } else {
            let mut inner = self.inner(&body, first, self.depth);
            let pieces = inner.document_pieces()?;
            self.size += inner.size;
            Word(pieces)
        };
        let _ = pending.text.set(word);
        Ok(())
    }

    /// Whether an operator character or the end stands here.
    fn at_end_of_word(&self, ahead: usize) -> bool {
        self.peek_at(ahead).is_none_or(|byte| {
            matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')')
        })
    }

    /// The word that stands here, if it is plain; not taken.
    fn bare_word(&self) -> &'t [u8] {
        let rest = &self.text[self.at..];
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_{}[]!:.-+".contains(byte);
        let length = rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
        if self.at_end_of_word(length) { &rest[..length] } else { &[] }
    }

    /// Takes a reserved word.
    fn take(&mut self, reserved: &[u8]) -> bool {
        let met = self.bare_word() == reserved;
        if met {
            self.at += reserved.len();
        }
        met
    }

    fn expect(&mut self, reserved: &str) -> Result<(), SyntaxError> {
        self.lines()?;
        if self.take(reserved.as_bytes()) {
            return Ok(());
        }
        self.refuse(format!("`{reserved}` is missing"))
    }

    /// Commands up to something that closes them; that is not taken.
    pub(super) fn list(&mut self) -> Result<List, SyntaxError> {
        let mut commands = Vec::new();
        loop {
            self.lines()?;
            let closed = match self.peek() {
                None | Some(b')') => true,
                Some(b';') => self.peek_at(1) == Some(b';'),
                Some(_) => CLOSERS.contains(&self.bare_word()),
            };
            if closed {
                return Ok(commands.into());
            }
            let mut and_or = self.and_or()?;
            self.blanks();
            match self.peek() {
                Some(b';') if self.peek_at(1) != Some(b';') => self.at += 1,
                Some(b'&') => {
                    and_or.background = Some(self.line);
                    self.at += 1;
                }
                Some(b'\n' | b';' | b')') | None => {}
                // Behind `}`, `fi`, `)` … a reserved word is one without a separator.
                Some(_) if and_or.ends_in_compound() && CLOSERS.contains(&self.bare_word()) => {}
                Some(_) => return self.unexpected(),
            }
            commands.push(and_or);
        }
    }

    /// A list in which there must be a command.
    fn commands(&mut self) -> Result<List, SyntaxError> {
        let list = self.list()?;
        if list.is_empty() { self.unexpected() } else { Ok(list) }
    }

    fn and_or(&mut self) -> Result<AndOr, SyntaxError> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.blanks();
            let connector = if self.starts_with(b"&&") {
                Connector::And
            } else if self.starts_with(b"||") {
                Connector::Or
            } else {
                return Ok(AndOr { first, rest, background: None });
            };
            self.at += 2;
            self.lines()?;
            rest.push((connector, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, SyntaxError> {
        let mut negated = false;
        self.blanks();
        while self.take(b"!") {
            negated = !negated;
            self.blanks();
        }
        let mut commands = vec![self.command()?];
        loop {
            self.blanks();
            if self.peek() != Some(b'|') || self.peek_at(1) == Some(b'|') {
                return Ok(Pipeline { negated, commands });
            }
            self.at += 1;
            self.lines()?;
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Result<Command, SyntaxError> {
        self.size += COMMAND;
        self.nested(|parser| {
            parser.blanks();
            let line = parser.line;
            if let Some(kind) = parser.compound()? {
                let redirects = parser.redirects()?;
                return Ok(Command::Compound(Rc::new(Compound { line, kind, redirects })));
            }
            if let Some(name) = parser.function_name() {
                parser.lines()?;
                let line = parser.line;
                let Some(kind) = parser.compound()? else {
                    let first = Pipeline { negated: false, commands: vec![parser.simple()?] };
                    let list = [AndOr { first, rest: Vec::new(), background: None }];
                    let kind = CompoundKind::Group(list.into());
                    return Ok(Command::Function {
                        name,
                        body: Rc::new(Compound { line, kind, redirects: Vec::new() }),
                    });
                };
                let redirects = parser.redirects()?;
                return Ok(Command::Function { name, body: Rc::new(Compound { line, kind, redirects }) });
            }
            parser.simple()
        })
    }

    /// `NAME ()`
    fn function_name(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
        let length = rest.iter().position(|byte| !name(byte)).unwrap_or(rest.len());
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let mut at = length + rest[length..].iter().take_while(|byte| blank(byte)).count();
        if length == 0 || rest.get(at) != Some(&b'(') {
            return None;
        }
        at += 1;
        at += rest[at..].iter().take_while(|byte| blank(byte)).count();
        if rest.get(at) != Some(&b')') {
            return None;
        }
        self.at += at + 1;
        Some(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn compound(&mut self) -> Result<Option<CompoundKind>, SyntaxError> {
        if self.peek() == Some(b'(') {
            if self.bash && self.peek_at(1) == Some(b'(') {
                return self.refuse("`((` is no command of a POSIX shell");
            }
            self.at += 1;
            let list = self.commands()?;
            self.close()?;
            return Ok(Some(CompoundKind::Subshell(list)));
        }
        let word = self.bare_word();
        if FOREIGN.contains(&word) {
            return self.refuse(format!("`{}` is no command of a POSIX shell", word.escape_ascii()));
        }
        Ok(Some(match word {
            b"{" => {
                self.at += 1;
                let list = self.commands()?;
                self.expect("}")?;
                CompoundKind::Group(list)
            }
            b"if" => {
                self.at += 2;
                let (mut branches, mut otherwise) = (Vec::new(), None);
                loop {
                    let condition = self.commands()?;
                    self.expect("then")?;
                    branches.push((condition, self.commands()?));
                    self.lines()?;
                    if self.take(b"elif") {
                        continue;
                    }
                    if self.take(b"else") {
                        otherwise = Some(self.commands()?);
                    }
                    self.expect("fi")?;
                    break;
                }
                CompoundKind::If(branches, otherwise)
            }
            b"while" | b"until" => {
                self.at += 5;
                let condition = self.commands()?;
                let body = self.body()?;
                if word == b"while" {
                    CompoundKind::While(condition, body)
                } else {
                    CompoundKind::Until(condition, body)
                }
            }
            b"for" => {
                self.at += 3;
                self.blanks();
                let name = self.bare_word();
                if !super::word::is_name(name) {
                    return self.refuse("behind `for` stands the name of a variable");
                }
                self.at += name.len();
                let name = String::from_utf8_lossy(name).into_owned();
                self.lines()?;
                let words = if self.take(b"in") { Some(self.words()?) } else { None };
                self.blanks();
                if self.peek() == Some(b';') {
                    self.at += 1;
                }
                CompoundKind::For(name, words, self.body()?)
            }
            b"case" => {
                self.at += 4;
                self.case()?
            }
            _ if CLOSERS.contains(&word) => return self.unexpected(),
            _ => return Ok(None),
        }))
    }

    fn body(&mut self) -> Result<List, SyntaxError> {
        self.expect("do")?;
        let body = self.commands()?;
        self.expect("done")?;
        Ok(body)
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        self.lines()?;
        if self.peek() != Some(b')') {
            return self.refuse("`)` is missing");
        }
        self.at += 1;
        Ok(())
    }

    fn words(&mut self) -> Result<Vec<Word>, SyntaxError> {
        let mut words = Vec::new();
        loop {
            self.blanks();
            if self.at_end_of_word(0) {
                return Ok(words);
            }
            words.push(self.word()?);
        }
    }

    fn case(&mut self) -> Result<CompoundKind, SyntaxError> {
        self.blanks();
        let value = self.word()?;
        self.expect("in")?;
        let mut items = Vec::new();
        loop {
            self.lines()?;
            if self.take(b"esac") {
                return Ok(CompoundKind::Case(value, items));
            }
            if self.peek() == Some(b'(') {
                self.at += 1;
            }
            let mut patterns = Vec::new();
            loop {
                self.blanks();
                if self.at_end_of_word(0) {
                    return self.refuse("`esac` or a pattern is missing");
                }
                patterns.push(self.word()?);
                self.blanks();
                match self.peek() {
                    Some(b'|') => self.at += 1,
                    Some(b')') => break,
                    _ => return self.refuse("`)` is missing behind a pattern"),
                }
            }
            self.at += 1;
            let list = self.list()?;
            items.push((patterns, list));
            self.lines()?;
            if self.starts_with(b";;&") || self.starts_with(b";&") {
                return self.refuse("`;&` is not of a POSIX shell");
            }
            if self.starts_with(b";;") {
                self.at += 2;
            } else if self.bare_word() != b"esac" {
                return self.refuse("`esac` is missing");
            }
        }
    }

    fn redirects(&mut self) -> Result<Vec<Redirect>, SyntaxError> {
        let mut redirects = Vec::new();
        loop {
            self.blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => return Ok(redirects),
            }
        }
    }

    fn redirect(&mut self) -> Result<Option<Redirect>, SyntaxError> {
        let rest = &self.text[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let Some(direction @ (b'<' | b'>')) = rest.get(digits) else { return Ok(None) };
        let descriptor = match std::str::from_utf8(&rest[..digits]).unwrap_or_default() {
            "" => None,
            digits => match digits.parse::<u32>() {
                Ok(descriptor) => Some(descriptor),
                Err(_) => return self.refuse("a descriptor is one digit"),
            },
        };
        let rest = &rest[digits..];
        for foreign in [&b"<<<"[..], b"<(", b">("] {
            if rest.starts_with(foreign) {
                return self.refuse(format!("`{}` is not of a POSIX shell", foreign.escape_ascii()));
            }
        }
        let (kind, length) = match (direction, &rest[1..]) {
            (b'<', [b'<', b'-', ..]) => (RedirectKind::Document, 3),
            (b'<', [b'<', ..]) => (RedirectKind::Document, 2),
            (b'<', [b'&', ..]) => (RedirectKind::DuplicateInput, 2),
            (b'<', [b'>', ..]) => (RedirectKind::ReadAndWrite, 2),
            (b'<', _) => (RedirectKind::Read, 1),
            (_, [b'>', ..]) => (RedirectKind::Append, 2),
            (_, [b'&', ..]) => (RedirectKind::DuplicateOutput, 2),
            (_, [b'|', ..]) => (RedirectKind::Clobber, 2),
            _ => (RedirectKind::Write, 1),
        };
        self.at += digits + length;
        self.blanks();
        if self.at_end_of_word(0) {
            return self.refuse("a redirection says to where");
        }
        let line = self.line;
        let word = self.word()?;
        let target = Rc::new(OnceCell::new());
        if kind == RedirectKind::Document {
            let (delimiter, is_quoted) = super::word::delimiter(&word);
            let strips_tabs = length == 3;
            self.pending.push(Pending { delimiter, strips_tabs, is_quoted, text: Rc::clone(&target), line });
        } else {
            let _ = target.set(word);
        }
        Ok(Some(Redirect { descriptor, kind, target }))
    }

    fn simple(&mut self) -> Result<Command, SyntaxError> {
        let line = self.line;
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            self.blanks();
            if self.peek() == Some(b'&') && self.peek_at(1) == Some(b'>') {
                // dash starts the command in the background, bash sends both outputs to the file.
                if !self.bash {
                    return self.refuse("`&>` is not of a POSIX shell");
                }
                self.at += 1;
                let target = Rc::new(OnceCell::from(Word(vec![Piece::Text(b"1".to_vec())])));
                redirects.extend(self.redirect()?);
                redirects.push(Redirect { descriptor: Some(2), kind: RedirectKind::DuplicateOutput, target });
                continue;
            }
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
                continue;
            }
            if self.at_end_of_word(0) {
                break;
            }
            if words.is_empty()
                && let Some(name) = self.assigned_name()
            {
                if self.peek() == Some(b'(') {
                    return self.refuse("arrays are not of a POSIX shell");
                }
                assignments.push((name, self.value()?));
                continue;
            }
            words.push(self.word()?);
        }
        if self.peek() == Some(b'(') {
            return self.refuse("`(` is not expected here; arrays are not of a POSIX shell");
        }
        if assignments.is_empty() && words.is_empty() && redirects.is_empty() {
            return self.unexpected();
        }
        Ok(Command::Simple(Simple { line, assignments, words, redirects }))
    }
}

impl AndOr {
    fn ends_in_compound(&self) -> bool {
        let last = self.rest.last().map_or(&self.first, |(_, pipeline)| pipeline);
        self.background.is_none() && !matches!(last.commands.last(), Some(Command::Simple(_)) | None)
    }
}
