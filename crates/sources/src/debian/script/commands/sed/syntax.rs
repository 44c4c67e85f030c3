//! The grammar of sed: from a script to a list of edits, in which braces and labels are places of the list.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::regex::Dialect;
use super::super::regex::Expression;
use super::super::regex::Letters;

/// Most edits of a script.
const MAX_EDITS: usize = 10_000;
/// Most expressions of one script; each is made before anything is done.
const MAX_EXPRESSIONS: u64 = 500;

#[derive(Debug)]
pub(super) enum Address {
    Line(usize),
    /// `FIRST~STEP`
    Every(usize, usize),
    Last,
    /// Nothing: the expression that was used last.
    Match(Option<Rc<Expression>>),
}

/// The second address of a range.
#[derive(Debug)]
pub(super) enum Until {
    Address(Address),
    /// `+N`
    Lines(usize),
    /// `~N`
    Multiple(usize),
}

#[derive(Debug)]
pub(super) struct Edit {
    pub(super) from: Option<Address>,
    pub(super) to: Option<Until>,
    pub(super) negated: bool,
    pub(super) action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    /// `{`: where it is not selected, the edits up to this place are left out.
    Group(usize),
    Substitute(Substitution),
    Translate(Box<[u8; 256]>),
    Delete,
    DeleteFirst,
    Print,
    PrintFirst,
    /// With the line printed or not, and the status.
    Quit(bool, i32),
    Next,
    NextAppended,
    Number,
    Hold,
    HoldAppended,
    Get,
    GetAppended,
    Exchange,
    Append(Vec<u8>),
    Insert(Vec<u8>),
    Change(Vec<u8>),
    /// `r FILE`
    Read(Vec<u8>),
    /// `w FILE`
    Write(Vec<u8>),
    /// `b`, `t`, `T`: the place to go on at.
    Branch(usize),
    BranchIfDone(usize),
    BranchIfNotDone(usize),
    Nothing,
}

#[derive(Debug)]
pub(super) struct Substitution {
    pub(super) pattern: Option<Rc<Expression>>,
    pub(super) replacement: Vec<Part>,
    pub(super) global: bool,
    pub(super) nth: usize,
    pub(super) print: bool,
    /// `w FILE`
    pub(super) write: Option<Vec<u8>>,
}

/// A part of a replacement.
#[derive(Debug)]
pub(super) enum Part {
    Text(Vec<u8>),
    Group(usize),
    Case(Case),
}

/// `\U \L \u \l \E`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Upper,
    Lower,
    UpperNext,
    LowerNext,
    End,
}

/// Reads a script.
///
/// Also says how many expressions there are: each has been made, which takes time.
pub(super) fn edits(text: &[u8], dialect: Dialect) -> Result<(Vec<Edit>, u64), String> {
    let mut reader = Reader {
        text,
        at: 0,
        dialect,
        edits: Vec::new(),
        labels: BTreeMap::new(),
        jumps: Vec::new(),
        expressions: Cell::new(0),
    };
    reader.all()?;
    let end = reader.edits.len();
    for (edit, label) in reader.jumps {
        let place = match &label[..] {
            b"" => end,
            label => *reader
                .labels
                .get(label)
                .ok_or_else(|| format!("the script of `sed` has no label `{}`", label.escape_ascii()))?,
        };
        match &mut reader.edits[edit].action {
            Action::Branch(to) | Action::BranchIfDone(to) | Action::BranchIfNotDone(to) => *to = place,
            _ => {}
        }
    }
    Ok((reader.edits, reader.expressions.get()))
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    dialect: Dialect,
    expressions: Cell<u64>,
    edits: Vec<Edit>,
    labels: BTreeMap<Vec<u8>, usize>,
    /// Edits that go on at a label.
    jumps: Vec<(usize, Vec<u8>)>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let met = self.peek() == Some(byte);
        self.at += usize::from(met);
        met
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn all(&mut self) -> Result<(), String> {
        let mut open = Vec::new();
        loop {
            while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b';')) {
                self.at += 1;
            }
            match self.peek() {
                None if open.is_empty() => return Ok(()),
                None => return Err("`}` is missing in the script of `sed`".into()),
                Some(b'}') => {
                    self.at += 1;
                    let Some(group) = open.pop() else {
                        return Err("`{` is missing in the script of `sed`".into());
                    };
                    let end = self.edits.len();
                    if let Some(Edit { action: Action::Group(to), .. }) = self.edits.get_mut(group) {
                        *to = end;
                    }
                    self.end()?;
                    continue;
                }
                Some(b'#') => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                    continue;
                }
                Some(_) => {}
            }
            if self.edits.len() >= MAX_EDITS {
                return Err("the script of `sed` is too long".into());
            }
            let from = self.address()?;
            let mut to = None;
            self.blanks();
            if from.is_some() && self.take(b',') {
                self.blanks();
                to = Some(self.until_address()?);
            }
            if matches!(from, Some(Address::Line(0)))
                && !matches!(to, Some(Until::Address(Address::Match(_))))
            {
                return Err("the address 0 wants an expression behind it".into());
            }
            self.blanks();
            let mut negated = false;
            while self.take(b'!') {
                negated = true;
                self.blanks();
            }
            if self.take(b'{') {
                open.push(self.edits.len());
                self.edits.push(Edit { from, to, negated, action: Action::Group(0) });
                continue;
            }
            let action = self.action()?;
            self.edits.push(Edit { from, to, negated, action });
        }
    }

    fn number(&mut self) -> Result<usize, String> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        text.parse().map_err(|_| "a number is missing or too large in the script of `sed`".into())
    }

    fn until_address(&mut self) -> Result<Until, String> {
        if self.take(b'+') {
            return Ok(Until::Lines(self.number()?));
        }
        if self.take(b'~') {
            return Ok(Until::Multiple(self.number()?));
        }
        let address = self.address()?;
        address.map(Until::Address).ok_or_else(|| "an address is missing in the script of `sed`".into())
    }

    fn address(&mut self) -> Result<Option<Address>, String> {
        match self.peek() {
            Some(b'0'..=b'9') => {
                let line = self.number()?;
                if self.take(b'~') {
                    return Ok(Some(Address::Every(line, self.number()?)));
                }
                Ok(Some(Address::Line(line)))
            }
            Some(b'$') => {
                self.at += 1;
                Ok(Some(Address::Last))
            }
            Some(b'/' | b'\\') => {
                self.take(b'\\');
                let Some(delimiter) = self.peek() else { return Err("an address is missing".into()) };
                self.at += 1;
                let pattern = self.until(delimiter)?;
                let letters = if self.take(b'I') { Letters::AnyCase } else { Letters::Exact };
                Ok(Some(Address::Match(self.expression(&pattern, letters)?)))
            }
            _ => Ok(None),
        }
    }

    fn expression(&self, pattern: &[u8], letters: Letters) -> Result<Option<Rc<Expression>>, String> {
        if pattern.is_empty() {
            return Ok(None);
        }
        if self.expressions.get() == MAX_EXPRESSIONS {
            return Err(format!(
                "a script of `sed` with more than {MAX_EXPRESSIONS} expressions is not evaluated"
            ));
        }
        self.expressions.set(self.expressions.get() + 1);
        Ok(Some(Rc::new(Expression::new(pattern, self.dialect, letters)?)))
    }

    /// An expression up to the delimiter, in which an escaped one stands for itself. In brackets `\n` is a newline.
    fn until(&mut self, delimiter: u8) -> Result<Vec<u8>, String> {
        let (mut found, mut in_brackets) = (Vec::new(), false);
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                _ if byte == delimiter && !in_brackets => return Ok(found),
                b'\\' => match self.peek() {
                    Some(escaped) if escaped == delimiter && !in_brackets => {
                        // `s|a\|b||`: the delimiter itself, without a meaning of its own.
                        if delimiter != b'/'
                            && b".*[]^$+?(){}|".contains(&escaped)
                            && !(self.dialect == Dialect::Basic && b"+?(){}|".contains(&escaped))
                        {
                            found.push(b'\\');
                        }
                        found.push(escaped);
                        self.at += 1;
                    }
                    Some(letter @ (b'n' | b't' | b'r' | b'f' | b'v')) if in_brackets => {
                        found.push(match letter {
                            b'n' => b'\n',
                            b't' => b'\t',
                            b'r' => b'\r',
                            b'f' => 12,
                            _ => 11,
                        });
                        self.at += 1;
                    }
                    _ if in_brackets => found.push(b'\\'),
                    Some(escaped) => {
                        self.at += 1;
                        match self.hexadecimal().filter(|_| escaped == b'x') {
                            // What `\x5e` stands for has no meaning of its own.
                            Some(byte) => {
                                if b"^\\/".contains(&byte) {
                                    found.push(b'\\');
                                }
                                found.push(byte);
                                self.at += 2;
                            }
                            None => found.extend([b'\\', escaped]),
                        }
                    }
                    None => break,
                },
                b'[' if !in_brackets => {
                    in_brackets = true;
                    found.push(byte);
                    for next in [b'^', b']'] {
                        if self.take(next) {
                            found.push(next);
                        }
                    }
                }
                b'[' if self.peek() == Some(b':') => {
                    let rest = &self.text[self.at..];
                    let length = rest.windows(2).position(|pair| pair == b":]").map_or(0, |end| end + 2);
                    found.push(byte);
                    found.extend_from_slice(&rest[..length]);
                    self.at += length;
                }
                b']' => {
                    in_brackets = false;
                    found.push(byte);
                }
                _ => found.push(byte),
            }
        }
        Err("a delimiter is missing in the script of `sed`".into())
    }

    /// The byte of two hexadecimal digits that stand here.
    fn hexadecimal(&self) -> Option<u8> {
        let digits = std::str::from_utf8(self.text.get(self.at..self.at + 2)?).ok()?;
        if digits.starts_with('+') { None } else { u8::from_str_radix(digits, 16).ok() }
    }

    /// The replacement: brackets mean nothing there.
    fn replacement(&mut self, delimiter: u8) -> Result<Vec<Part>, String> {
        let (mut parts, mut text) = (Vec::new(), Vec::new());
        while let Some(byte) = self.peek() {
            self.at += 1;
            let special = match byte {
                _ if byte == delimiter => {
                    parts.push(Part::Text(text));
                    return Ok(parts);
                }
                b'&' => Part::Group(0),
                b'\\' => {
                    let Some(escaped) = self.peek() else { break };
                    self.at += 1;
                    match escaped {
                        _ if escaped == delimiter => {
                            text.push(escaped);
                            continue;
                        }
                        b'0'..=b'9' => Part::Group(usize::from(escaped - b'0')),
                        b'x' if self.hexadecimal().is_some() => {
                            text.extend(self.hexadecimal());
                            self.at += 2;
                            continue;
                        }
                        b'U' => Part::Case(Case::Upper),
                        b'L' => Part::Case(Case::Lower),
                        b'u' => Part::Case(Case::UpperNext),
                        b'l' => Part::Case(Case::LowerNext),
                        b'E' => Part::Case(Case::End),
                        other => {
                            text.push(match other {
                                b'n' => b'\n',
                                b't' => b'\t',
                                b'r' => b'\r',
                                b'f' => 12,
                                b'v' => 11,
                                b'a' => 7,
                                other => other,
                            });
                            continue;
                        }
                    }
                }
                _ => {
                    text.push(byte);
                    continue;
                }
            };
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(special);
        }
        Err("a delimiter is missing in the script of `sed`".into())
    }

    fn substitution(&mut self) -> Result<Substitution, String> {
        let Some(delimiter) = self.peek() else { return Err("`s` needs an expression".into()) };
        self.at += 1;
        let pattern = self.until(delimiter)?;
        let replacement = self.replacement(delimiter)?;
        let (mut global, mut print, mut nth, mut letters, mut write) =
            (false, false, 1, Letters::Exact, None);
        while let Some(letter) = self.peek() {
            match letter {
                b' ' | b'\t' => {}
                b'g' => global = true,
                b'p' => print = true,
                b'i' | b'I' => letters = Letters::AnyCase,
                b'1'..=b'9' => {
                    nth = self.number()?;
                    continue;
                }
                b'w' => {
                    self.at += 1;
                    write = Some(self.file()?);
                    break;
                }
                _ => break,
            }
            self.at += 1;
        }
        if write.is_none() {
            self.end()?;
        }
        let pattern = self.expression(&pattern, letters)?;
        let groups = pattern.as_ref().map_or(10, |pattern| pattern.groups());
        if replacement.iter().any(|part| matches!(part, Part::Group(group) if *group >= groups)) {
            return Err("the replacement names a group that the expression has not".into());
        }
        Ok(Substitution { pattern, replacement, global, nth, print, write })
    }

    /// The characters of `y`.
    fn characters(&mut self, delimiter: u8) -> Result<Vec<u8>, String> {
        let mut found = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            if byte == delimiter {
                return Ok(found);
            }
            if byte != b'\\' {
                found.push(byte);
                continue;
            }
            let Some(escaped) = self.peek() else { break };
            self.at += 1;
            match escaped {
                b'n' => found.push(b'\n'),
                b't' => found.push(b'\t'),
                b'\\' => found.push(b'\\'),
                _ if escaped == delimiter => found.push(delimiter),
                _ => found.extend([b'\\', escaped]),
            }
        }
        Err("a delimiter is missing in the script of `sed`".into())
    }

    fn action(&mut self) -> Result<Action, String> {
        let Some(letter) = self.peek() else {
            return Err("a command is missing in the script of `sed`".into());
        };
        self.at += 1;
        Ok(match letter {
            b's' => Action::Substitute(self.substitution()?),
            b'y' => {
                let Some(delimiter) = self.peek() else { return Err("`y` needs characters".into()) };
                self.at += 1;
                let (from, to) = (self.characters(delimiter)?, self.characters(delimiter)?);
                if from.len() != to.len() {
                    return Err("`y` needs as many characters as it replaces".into());
                }
                let mut map: Box<[u8; 256]> = Box::new(std::array::from_fn(|byte| byte as u8));
                for (from, to) in from.iter().zip(to) {
                    map[usize::from(*from)] = to;
                }
                self.end()?;
                Action::Translate(map)
            }
            b'a' => Action::Append(self.text_of()?),
            b'i' => Action::Insert(self.text_of()?),
            b'c' => Action::Change(self.text_of()?),
            b'r' => Action::Read(self.file()?),
            b'w' => Action::Write(self.file()?),
            b':' => {
                self.blanks();
                let label = self.rest_until(b"\n; \t");
                if label.is_empty() {
                    return Err("a label is missing in the script of `sed`".into());
                }
                self.labels.insert(label, self.edits.len());
                Action::Nothing
            }
            b'b' | b't' | b'T' => {
                self.blanks();
                let label = self.rest_until(b"\n;} \t");
                self.end()?;
                self.jumps.push((self.edits.len(), label));
                match letter {
                    b'b' => Action::Branch(0),
                    b't' => Action::BranchIfDone(0),
                    _ => Action::BranchIfNotDone(0),
                }
            }
            b'q' | b'Q' => {
                self.blanks();
                let status =
                    if self.peek().is_some_and(|byte| byte.is_ascii_digit()) { self.number()? } else { 0 };
                self.end()?;
                Action::Quit(letter == b'q', i32::from(status as u8))
            }
            plain => {
                self.end()?;
                match plain {
                    b'd' => Action::Delete,
                    b'D' => Action::DeleteFirst,
                    b'p' => Action::Print,
                    b'P' => Action::PrintFirst,
                    b'n' => Action::Next,
                    b'N' => Action::NextAppended,
                    b'=' => Action::Number,
                    b'h' => Action::Hold,
                    b'H' => Action::HoldAppended,
                    b'g' => Action::Get,
                    b'G' => Action::GetAppended,
                    b'x' => Action::Exchange,
                    other => {
                        return Err(format!(
                            "the command `{}` of `sed` is not known",
                            [other].escape_ascii()
                        ));
                    }
                }
            }
        })
    }

    fn rest_until(&mut self, ends: &[u8]) -> Vec<u8> {
        let start = self.at;
        while self.peek().is_some_and(|byte| !ends.contains(&byte)) {
            self.at += 1;
        }
        self.text[start..self.at].trim_ascii().to_vec()
    }

    /// The name of a file: the rest of the line.
    fn file(&mut self) -> Result<Vec<u8>, String> {
        self.blanks();
        let name = self.rest_until(b"\n");
        if name.is_empty() {
            Err("the name of a file is missing in the script of `sed`".into())
        } else {
            Ok(name)
        }
    }

    /// Nothing more may stand behind a command.
    fn end(&mut self) -> Result<(), String> {
        self.blanks();
        match self.peek() {
            None | Some(b'\n' | b';' | b'}' | b'#') => Ok(()),
            Some(_) => Err("there is more behind a command of `sed` than it takes".into()),
        }
    }

    /// The text of `a`, `i`, `c`: behind a backslash and a newline, or on the same line.
    fn text_of(&mut self) -> Result<Vec<u8>, String> {
        self.blanks();
        if self.take(b'\\') {
            let before = self.at;
            self.blanks();
            if !self.take(b'\n') {
                // `a\  text`: the backslash keeps the blanks.
                self.at = before;
            }
        }
        if self.peek().is_none() {
            return Err("`a`, `i` and `c` of `sed` want a text".into());
        }
        let mut text = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\n' => break,
                b'\\' => {
                    if let Some(escaped) = self.peek() {
                        text.push(if escaped == b't' && !text.is_empty() { b'\t' } else { escaped });
                        self.at += 1;
                    }
                }
                _ => text.push(byte),
            }
        }
        text.push(b'\n');
        Ok(text)
    }
}
