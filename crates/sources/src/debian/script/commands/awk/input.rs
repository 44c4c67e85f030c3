//! Where awk reads: files and variables of the command line one after the other, and records in them.

use std::rc::Rc;

use super::super::Word;
use super::super::regex::Expression;
use super::machine::Done;
use super::machine::FILENAME;
use super::machine::FNR;
use super::machine::Machine;
use super::machine::RS;
use super::value::Value;

/// What ends a record.
pub(super) enum Separator {
    Byte(u8),
    /// Empty lines.
    Paragraph,
    Match(Rc<Expression>),
}

/// Bytes that are read record by record.
#[derive(Debug)]
pub(super) struct Reader {
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn next(&mut self, separator: &Separator) -> Option<Vec<u8>> {
        if matches!(separator, Separator::Paragraph) {
            self.at += self.bytes[self.at..].iter().take_while(|byte| **byte == b'\n').count();
        }
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return None;
        }
        let (end, next) = match separator {
            Separator::Byte(byte) => match memchr::memchr(*byte, rest) {
                Some(end) => (end, end + 1),
                None => (rest.len(), rest.len()),
            },
            Separator::Paragraph => match memchr::memmem::find(rest, b"\n\n") {
                Some(end) => (end, end + 2),
                None => (rest.strip_suffix(b"\n").unwrap_or(rest).len(), rest.len()),
            },
            Separator::Match(expression) => {
                match expression.find_at(rest, 0).filter(|(from, to)| from < to) {
                    Some(found) => found,
                    // The last newline of a file is no part of its last record.
                    None => (rest.strip_suffix(b"\n").unwrap_or(rest).len(), rest.len()),
                }
            }
        };
        let record = rest[..end].to_vec();
        self.at += next;
        Some(record)
    }
}

/// The operands behind the program.
#[derive(Debug)]
pub(super) struct Input {
    operands: Vec<Word>,
    at: usize,
    reader: Option<Reader>,
    any_file: bool,
}

impl Input {
    pub(super) fn new(operands: Vec<Word>) -> Self {
        Self { operands, at: 0, reader: None, any_file: false }
    }
}

impl Machine<'_, '_, '_> {
    /// How records end now.
    pub(super) fn separator(&mut self) -> Done<Separator> {
        let separator = self.special(RS);
        Ok(match &*separator {
            [] => Separator::Paragraph,
            [byte] => Separator::Byte(*byte),
            pattern => Separator::Match(self.expression_of(pattern)?),
        })
    }

    /// The next record of the main input.
    pub(super) fn read_main(&mut self) -> Done<Option<Vec<u8>>> {
        loop {
            if let Some(mut reader) = self.input.reader.take() {
                let separator = self.separator()?;
                if let Separator::Match(expression) = &separator {
                    let left = reader.bytes.len() - reader.at;
                    self.shell.spend(expression.further(left))?;
                }
                if let Some(record) = reader.next(&separator) {
                    self.input.reader = Some(reader);
                    self.charge(record.len())?;
                    return Ok(Some(record));
                }
            }
            let Some(operand) = self.input.operands.get(self.input.at).cloned() else {
                if self.input.any_file {
                    return Ok(None);
                }
                self.input.any_file = true;
                self.input.reader = Some(Reader::new(self.shell.read_all()?));
                continue;
            };
            self.input.at += 1;
            if let Some((name, value)) = super::assignment(&operand) {
                self.assign(&name, value)?;
                continue;
            }
            if operand.is_empty() {
                continue;
            }
            self.input.any_file = true;
            let mut status = 0;
            match super::super::text::bytes_of(self.shell, self.words, &operand, &mut status)? {
                Some(bytes) => {
                    self.set_special(FILENAME, Value::Text(Rc::clone(&operand)));
                    self.set_special(FNR, Value::Number(0.0));
                    self.input.reader = Some(Reader::new(bytes));
                }
                None => self.status = 2,
            }
        }
    }
}
