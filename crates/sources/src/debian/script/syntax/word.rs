//! Words: quotes, parameters, substitutions (XCU 2.2, 2.6).

use std::rc::Rc;

use super::Counts;
use super::Name;
use super::Operator;
use super::Parameter;
use super::Piece;
use super::SyntaxError;
use super::Word;
use super::parser::Parser;

/// Bytes of memory for a word and its first pieces, beside its text.
const WORD: usize = 200;
/// Bytes of memory for a further piece.
const PIECE: usize = 64;

/// Where a piece is read, which decides what ends it and what is special in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    /// A word of a command.
    Word,
    /// The value of an assignment: tildes behind colons too.
    Value,
    /// Double quotes.
    Double,
    /// A here-document: a double quote is a character.
    Document,
    /// `${NAME-…}` outside quotes.
    Braces,
    /// `${NAME-…}` in double quotes: a single quote is a character.
    DoubleBraces,
    /// `$((…))`
    Arithmetic,
}

impl Within {
    fn is_quoted(self) -> bool {
        matches!(self, Self::Double | Self::Document | Self::DoubleBraces | Self::Arithmetic)
    }
}

/// Whether it can be the name of a variable.
pub(in crate::debian::script) fn is_name(name: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    name.first().is_some_and(letter) && name.iter().all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// The delimiter of a here-document, and whether any of it was quoted.
pub(super) fn delimiter(word: &Word) -> (Vec<u8>, bool) {
    let (mut bytes, mut quoted) = (Vec::new(), false);
    for piece in &word.0 {
        match piece {
            Piece::Text(text) => bytes.extend_from_slice(text),
            Piece::Quoted(text) => {
                quoted = true;
                bytes.extend_from_slice(text);
            }
            Piece::Double(inner) => {
                quoted = true;
                bytes.extend(delimiter(&Word(inner.clone())).0);
            }
            Piece::Tilde(user) => bytes.extend_from_slice(format!("~{user}").as_bytes()),
            Piece::Parameter(_) | Piece::Substitution(_) | Piece::Arithmetic(_) => {}
        }
    }
    (bytes, quoted)
}

impl Parser<'_> {
    /// A word of a command.
    pub(super) fn word(&mut self) -> Result<Word, SyntaxError> {
        self.pieces(Within::Word).map(Word)
    }

    /// The value of an assignment; may be empty.
    pub(super) fn value(&mut self) -> Result<Word, SyntaxError> {
        self.pieces(Within::Value).map(Word)
    }

    /// The whole text as that of a here-document.
    pub(super) fn document_pieces(&mut self) -> Result<Vec<Piece>, SyntaxError> {
        self.pieces(Within::Document)
    }

    /// `NAME=` where it stands; taken.
    pub(super) fn assigned_name(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let at = rest.iter().position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))?;
        if rest[at] != b'=' || !is_name(&rest[..at]) {
            return None;
        }
        self.at += at + 1;
        Some(String::from_utf8_lossy(&rest[..at]).into_owned())
    }

    fn pieces(&mut self, within: Within) -> Result<Vec<Piece>, SyntaxError> {
        self.size += WORD;
        self.nested(|parser| parser.pieces_here(within))
    }

    fn pieces_here(&mut self, within: Within) -> Result<Vec<Piece>, SyntaxError> {
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut parentheses, began) = (0_usize, self.line);
        // At the start of a word, and in a value behind a colon.
        let mut tilde = matches!(within, Within::Word | Within::Value | Within::Braces);
        loop {
            let Some(byte) = self.peek() else {
                return match within {
                    Within::Word | Within::Value | Within::Document => Ok(pieces),
                    Within::Double => {
                        Err(SyntaxError { line: began, what: "a double quote does not end".into() })
                    }
                    Within::Braces | Within::DoubleBraces => self.refuse("`}` is missing"),
                    Within::Arithmetic => self.refuse("`))` is missing"),
                };
            };
            self.size += if pieces.len() == pieces.capacity() { PIECE * pieces.len() } else { 0 };
            let may_be_tilde = std::mem::take(&mut tilde);
            match (byte, within) {
                (
                    b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')',
                    Within::Word | Within::Value,
                ) => {
                    return Ok(pieces);
                }
                (b'"', Within::Double) | (b'}', Within::Braces | Within::DoubleBraces) => return Ok(pieces),
                (b')', Within::Arithmetic) if parentheses == 0 => {
                    if self.peek_at(1) != Some(b')') {
                        return self.refuse("`))` is missing");
                    }
                    return Ok(pieces);
                }
                (b'~', _) if may_be_tilde => self.tilde(within, &mut pieces),
                (b'\'', _) if !within.is_quoted() => {
                    self.at += 1;
                    let rest = &self.text[self.at..];
                    let Some(length) = memchr::memchr(b'\'', rest) else {
                        return self.refuse("a single quote does not end");
                    };
                    self.line += memchr::memchr_iter(b'\n', &rest[..length]).count();
                    pieces.push(Piece::Quoted(rest[..length].to_vec()));
                    self.at += length + 1;
                }
                (b'"', Within::Word | Within::Value | Within::Braces | Within::DoubleBraces) => {
                    self.at += 1;
                    let inner = self.pieces(Within::Double)?;
                    self.at += 1;
                    pieces.push(Piece::Double(inner));
                }
                (b'\\', _) => self.backslash(within, &mut pieces),
                (b'$', _) => self.dollar(within, &mut pieces)?,
                (b'`', _) => self.backquotes(within, &mut pieces)?,
                _ => {
                    if within == Within::Arithmetic {
                        parentheses += usize::from(byte == b'(');
                        parentheses -= usize::from(byte == b')');
                    }
                    tilde = within == Within::Value && byte == b':';
                    self.line += usize::from(byte == b'\n');
                    self.at += 1;
                    push_text(&mut pieces, byte);
                }
            }
        }
    }

    fn tilde(&mut self, within: Within, pieces: &mut Vec<Piece>) {
        let rest = &self.text[self.at + 1..];
        let user = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-+".contains(byte);
        let length = rest.iter().position(|byte| !user(byte)).unwrap_or(rest.len());
        let ends = match rest.get(length) {
            None | Some(b'/' | b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')') => true,
            Some(b':') => within == Within::Value,
            Some(b'}') => within == Within::Braces,
            Some(_) => false,
        };
        self.at += 1;
        if ends {
            pieces.push(Piece::Tilde(String::from_utf8_lossy(&rest[..length]).into_owned()));
            self.at += length;
        } else {
            push_text(pieces, b'~');
        }
    }

    fn backslash(&mut self, within: Within, pieces: &mut Vec<Piece>) {
        let Some(escaped) = self.peek_at(1) else {
            self.at += 1;
            push_text(pieces, b'\\');
            return;
        };
        if escaped == b'\n' {
            self.line += 1;
            self.at += 2;
            return;
        }
        let escapes = match within {
            Within::Word | Within::Value | Within::Braces => true,
            Within::Double => matches!(escaped, b'$' | b'`' | b'"' | b'\\'),
            Within::DoubleBraces => matches!(escaped, b'$' | b'`' | b'"' | b'\\' | b'}'),
            Within::Document | Within::Arithmetic => matches!(escaped, b'$' | b'`' | b'\\'),
        };
        if escapes {
            self.at += 2;
            pieces.push(Piece::Quoted(vec![escaped]));
        } else {
            self.at += 1;
            push_text(pieces, b'\\');
        }
    }

    fn dollar(&mut self, within: Within, pieces: &mut Vec<Piece>) -> Result<(), SyntaxError> {
        let piece = match self.peek_at(1) {
            Some(b'(') if self.peek_at(2) == Some(b'(') => {
                self.at += 3;
                let inner = self.pieces(Within::Arithmetic)?;
                self.at += 2;
                Piece::Arithmetic(inner)
            }
            Some(b'(') => {
                self.at += 2;
                let list = self.nested(Self::list)?;
                if self.peek() != Some(b')') {
                    return self.refuse("`)` is missing behind `$(`");
                }
                self.at += 1;
                Piece::Substitution(list)
            }
            Some(b'{') => {
                self.at += 2;
                self.braces(within)?
            }
            Some(b'\'') if !within.is_quoted() => return self.refuse("`$'…'` is not of a POSIX shell"),
            Some(byte) => {
                let rest = &self.text[self.at + 1..];
                let (name, length) = match special(byte) {
                    Some(name) => (name, 1),
                    None if byte.is_ascii_digit() => (Name::Positional(usize::from(byte - b'0')), 1),
                    None => {
                        let name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
                        let length = rest.iter().position(|byte| !name(byte)).unwrap_or(rest.len());
                        if length == 0 {
                            self.at += 1;
                            push_text(pieces, b'$');
                            return Ok(());
                        }
                        (Name::Variable(String::from_utf8_lossy(&rest[..length]).into_owned()), length)
                    }
                };
                self.at += 1 + length;
                Piece::Parameter(Rc::new(Parameter {
                    name,
                    operator: Operator::Value,
                    operand: Word::default(),
                }))
            }
            None => {
                self.at += 1;
                push_text(pieces, b'$');
                return Ok(());
            }
        };
        pieces.push(piece);
        Ok(())
    }

    /// What stands behind `${`.
    fn braces(&mut self, within: Within) -> Result<Piece, SyntaxError> {
        // `${#}` and `${#-…}` are the count, `${#NAME}` is a length.
        let length = self.peek() == Some(b'#')
            && self.peek_at(1).is_some_and(|byte| {
                byte.is_ascii_alphanumeric()
                    || byte == b'_'
                    || matches!(byte, b'@' | b'*' | b'?' | b'!' | b'$')
                    || byte == b'#' && self.peek_at(2) == Some(b'}')
                    || byte == b'-' && self.peek_at(2) == Some(b'}')
            });
        self.at += usize::from(length);
        let rest = &self.text[self.at..];
        let Some(&first) = rest.first() else { return self.refuse("`}` is missing") };
        let name = if let Some(name) = special(first) {
            self.at += 1;
            name
        } else {
            let part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
            let end = rest.iter().position(|byte| !part(byte)).unwrap_or(rest.len());
            let text = String::from_utf8_lossy(&rest[..end]).into_owned();
            self.at += end;
            match text.parse::<usize>() {
                Ok(0) => Name::Zero,
                Ok(index) => Name::Positional(index),
                Err(_) if is_name(text.as_bytes()) => Name::Variable(text),
                Err(_) => return self.refuse("behind `${` stands the name of a parameter"),
            }
        };
        let operator = if length { Operator::Length } else { self.operator()? };
        let operand = match operator {
            Operator::Value | Operator::Length => Word::default(),
            // A pattern is one whatever stands around it.
            Operator::SmallestSuffix
            | Operator::LargestSuffix
            | Operator::SmallestPrefix
            | Operator::LargestPrefix => Word(self.pieces(Within::Braces)?),
            _ if within.is_quoted() => Word(self.pieces(Within::DoubleBraces)?),
            _ => Word(self.pieces(Within::Braces)?),
        };
        if self.peek() != Some(b'}') {
            return self.refuse("this expansion of a parameter is not of a POSIX shell");
        }
        self.at += 1;
        Ok(Piece::Parameter(Rc::new(Parameter { name, operator, operand })))
    }

    fn operator(&mut self) -> Result<Operator, SyntaxError> {
        let colon = self.peek() == Some(b':');
        let counts = if colon { Counts::NotEmpty } else { Counts::Set };
        self.at += usize::from(colon);
        let doubled = self.peek().is_some() && self.peek() == self.peek_at(1);
        let operator = match self.peek() {
            Some(b'-') => Operator::Default(counts),
            Some(b'=') => Operator::Assign(counts),
            Some(b'?') => Operator::Required(counts),
            Some(b'+') => Operator::Alternative(counts),
            Some(b'%') if !colon && doubled => Operator::LargestSuffix,
            Some(b'%') if !colon => Operator::SmallestSuffix,
            Some(b'#') if !colon && doubled => Operator::LargestPrefix,
            Some(b'#') if !colon => Operator::SmallestPrefix,
            Some(b'}') if !colon => return Ok(Operator::Value),
            _ => return self.refuse("this expansion of a parameter is not of a POSIX shell"),
        };
        self.at += match operator {
            Operator::LargestSuffix | Operator::LargestPrefix => 2,
            _ => 1,
        };
        Ok(operator)
    }

    fn backquotes(&mut self, within: Within, pieces: &mut Vec<Piece>) -> Result<(), SyntaxError> {
        let line = self.line;
        self.at += 1;
        let mut inner = Vec::new();
        loop {
            match self.peek() {
                None => return Err(SyntaxError { line, what: "a backquote does not end".into() }),
                Some(b'`') => break,
                Some(b'\\') => {
                    let escaped = self.peek_at(1).unwrap_or(b'\\');
                    let taken =
                        matches!(escaped, b'$' | b'`' | b'\\') || within == Within::Double && escaped == b'"';
                    if !taken {
                        inner.push(b'\\');
                    }
                    inner.push(escaped);
                    self.line += usize::from(escaped == b'\n');
                    self.at = (self.at + 2).min(self.text.len());
                }
                Some(byte) => {
                    self.line += usize::from(byte == b'\n');
                    inner.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        let depth = self.depth;
        let (list, size) = self.nested(|parser| parser.inner(&inner, line, depth + 1).program())?;
        self.size += size;
        pieces.push(Piece::Substitution(list));
        Ok(())
    }
}

fn special(byte: u8) -> Option<Name> {
    Some(match byte {
        b'@' => Name::At,
        b'*' => Name::Star,
        b'#' => Name::Count,
        b'?' => Name::Status,
        b'-' => Name::Flags,
        b'$' => Name::Process,
        b'!' => Name::Background,
        b'0' => Name::Zero,
        _ => return None,
    })
}

fn push_text(pieces: &mut Vec<Piece>, byte: u8) {
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push(byte),
        _ => pieces.push(Piece::Text(vec![byte])),
    }
}
