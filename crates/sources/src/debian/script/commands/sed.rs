//! sed: a stream editor over lines (XCU sed, with GNU's `-i -E -r -s` and one-line `a i c`).

use std::rc::Rc;

use ::regex::bytes::Regex;

use super::Word;
use super::options;
use super::options::Known;
use super::options::Value;
use super::options::flag;
use super::options::valued;
use super::regex;
use super::regex::Dialect;
use super::regex::Letters;
use super::text;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;

/// The status when a file cannot be read.
const MISSING: i32 = 2;
/// Deepest nesting of `{`.
const MAX_DEPTH: usize = 50;

#[derive(Debug)]
enum Address {
    Line(usize),
    Last,
    Match(Rc<Regex>),
}

#[derive(Debug)]
struct Edit {
    from: Option<Address>,
    to: Option<Address>,
    negated: bool,
    action: Action,
    /// Where in the list of states a range keeps whether it is open.
    range: usize,
}

#[derive(Debug)]
enum Action {
    Group(Vec<Edit>),
    Substitute {
        pattern: Rc<Regex>,
        replacement: Vec<Part>,
        global: bool,
        nth: usize,
        print: bool,
    },
    Translate(Box<[u8; 256]>),
    Delete,
    DeleteFirst,
    Print,
    PrintFirst,
    Quit,
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
    /// To the end of the script; labels are not evaluated.
    Branch,
    BranchIfDone,
}

/// A part of a replacement.
#[derive(Debug)]
enum Part {
    Text(Vec<u8>),
    Group(usize),
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    dialect: Dialect,
    ranges: usize,
    last: Option<Rc<Regex>>,
}

/// Runs sed.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('n', "quiet"),
        flag('n', "silent"),
        valued('e', "expression"),
        valued('f', "file"),
        flag('E', "regexp-extended"),
        flag('r', ""),
        flag('s', "separate"),
        flag('z', "null-data"),
        Known { letter: 'i', long: "in-place", value: Value::Optional },
        flag('u', "unbuffered"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.has('z') || given.value('i').is_some_and(|suffix| !suffix.is_empty()) {
        return Err(shell.fault(words, "`sed -z` and a backup of `sed -i` are not evaluated"));
    }
    let (mut program, mut status) = (Vec::new(), 0);
    let mut operands = &given.operands[..];
    for (letter, value) in &given.options {
        match letter {
            'e' => program.push(value.to_vec()),
            'f' => match text::bytes_of(shell, words, value, &mut status)? {
                Some(bytes) => program.push(bytes),
                None => return Ok(1),
            },
            _ => {}
        }
    }
    if program.is_empty() {
        let Some((first, rest)) = operands.split_first() else {
            return Err(shell.fault(words, "`sed` needs a script"));
        };
        program.push(first.to_vec());
        operands = rest;
    }
    let program = program.join(&b'\n');
    let dialect = if given.has('E') || given.has('r') { Dialect::Extended } else { Dialect::Basic };
    let mut reader = Reader { text: &program, at: 0, dialect, ranges: 0, last: None };
    let edits = reader.edits(0).map_err(|what| shell.fault(words, what))?;
    let mut machine =
        Machine { quiet: given.has('n'), open: vec![false; reader.ranges], ..Machine::default() };
    if !given.has('i') {
        let mut bytes = Vec::new();
        if operands.is_empty() {
            bytes = shell.read_all()?;
        }
        for path in operands {
            match text::bytes_of(shell, words, path, &mut status)? {
                Some(more) => bytes.extend(more),
                None => status = MISSING,
            }
        }
        let out = machine.edit(&bytes, &edits, shell).map_err(|what| shell.fault(words, what))?;
        shell.say(&out)?;
        return Ok(status);
    }
    let cwd = shell.cwd().to_vec();
    for path in operands {
        let Some(bytes) = text::bytes_of(shell, words, path, &mut status)? else {
            status = MISSING;
            continue;
        };
        let out = machine.edit(&bytes, &edits, shell).map_err(|what| shell.fault(words, what))?;
        machine = Machine { quiet: machine.quiet, open: vec![false; reader.ranges], ..Machine::default() };
        if out == bytes {
            continue;
        }
        let written = match shell.world().stat(&cwd, path, crate::debian::script::world::Last::Followed) {
            Ok(stat) => shell.world().replace_content(&stat.path, out),
            Err(errno) => Err(errno),
        };
        if let Err(errno) = written {
            status = shell.failed(words, path, errno)?;
        }
    }
    Ok(status)
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn edits(&mut self, depth: usize) -> Result<Vec<Edit>, String> {
        if depth > MAX_DEPTH {
            return Err("the script of `sed` is nested too deeply".into());
        }
        let mut edits = Vec::new();
        loop {
            while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b';')) {
                self.at += 1;
            }
            match self.peek() {
                None if depth > 0 => return Err("`}` is missing in the script of `sed`".into()),
                None => return Ok(edits),
                Some(b'}') if depth > 0 => {
                    self.at += 1;
                    return Ok(edits);
                }
                Some(b'#') => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                    continue;
                }
                Some(_) => {}
            }
            let from = self.address()?;
            let mut to = None;
            self.blanks();
            if from.is_some() && self.peek() == Some(b',') {
                self.at += 1;
                self.blanks();
                to = self.address()?;
                if to.is_none() {
                    return Err("an address is missing in the script of `sed`".into());
                }
            }
            self.blanks();
            let mut negated = false;
            while self.peek() == Some(b'!') {
                negated = true;
                self.at += 1;
                self.blanks();
            }
            let action = self.action(depth)?;
            let range = self.ranges;
            self.ranges += usize::from(to.is_some());
            edits.push(Edit { from, to, negated, action, range });
        }
    }

    fn address(&mut self) -> Result<Option<Address>, String> {
        match self.peek() {
            Some(b'0'..=b'9') => {
                let start = self.at;
                while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                    self.at += 1;
                }
                let text = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
                text.parse()
                    .map(|line| Some(Address::Line(line)))
                    .map_err(|_| "a line's number is too large".into())
            }
            Some(b'$') => {
                self.at += 1;
                Ok(Some(Address::Last))
            }
            Some(b'/' | b'\\') => {
                if self.peek() == Some(b'\\') {
                    self.at += 1;
                }
                let Some(delimiter) = self.peek() else { return Err("an address is missing".into()) };
                self.at += 1;
                let pattern = self.until(delimiter)?;
                let letters = if self.peek() == Some(b'I') {
                    self.at += 1;
                    Letters::AnyCase
                } else {
                    Letters::Exact
                };
                Ok(Some(Address::Match(self.expression(&pattern, letters)?)))
            }
            _ => Ok(None),
        }
    }

    fn expression(&mut self, pattern: &[u8], letters: Letters) -> Result<Rc<Regex>, String> {
        if pattern.is_empty() {
            return self.last.clone().ok_or_else(|| "there is no expression before the empty one".into());
        }
        let expression = Rc::new(regex::expression(pattern, self.dialect, letters)?);
        self.last = Some(Rc::clone(&expression));
        Ok(expression)
    }

    /// Up to the delimiter, in which an escaped one stands for itself, and a newline for `\n`.
    fn until(&mut self, delimiter: u8) -> Result<Vec<u8>, String> {
        let (mut found, mut in_brackets) = (Vec::new(), false);
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                _ if byte == delimiter && !in_brackets => return Ok(found),
                b'\\' if !in_brackets => match self.peek() {
                    Some(escaped) if escaped == delimiter => {
                        // `s|a\|b||`: the delimiter itself, without a meaning of its own.
                        found.push(escaped);
                        self.at += 1;
                    }
                    Some(escaped) => {
                        found.extend([b'\\', escaped]);
                        self.at += 1;
                    }
                    None => break,
                },
                b'[' if !in_brackets => {
                    in_brackets = true;
                    found.push(byte);
                    for next in [b'^', b']'] {
                        if self.peek() == Some(next) {
                            found.push(next);
                            self.at += 1;
                        }
                    }
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

    /// The replacement: brackets mean nothing there.
    fn replacement(&mut self, delimiter: u8) -> Result<Vec<Part>, String> {
        let (mut parts, mut text) = (Vec::new(), Vec::new());
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                _ if byte == delimiter => {
                    parts.push(Part::Text(text));
                    return Ok(parts);
                }
                b'&' => {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                    parts.push(Part::Group(0));
                }
                b'\\' => {
                    let Some(escaped) = self.peek() else { break };
                    self.at += 1;
                    match escaped {
                        b'0'..=b'9' => {
                            parts.push(Part::Text(std::mem::take(&mut text)));
                            parts.push(Part::Group(usize::from(escaped - b'0')));
                        }
                        b'n' => text.push(b'\n'),
                        b't' => text.push(b'\t'),
                        b'U' | b'L' | b'u' | b'l' | b'E' => {
                            return Err("changes of case in a replacement are not evaluated".into());
                        }
                        other => text.push(other),
                    }
                }
                _ => text.push(byte),
            }
        }
        Err("a delimiter is missing in the script of `sed`".into())
    }

    fn action(&mut self, depth: usize) -> Result<Action, String> {
        let Some(letter) = self.peek() else {
            return Err("a command is missing in the script of `sed`".into());
        };
        self.at += 1;
        Ok(match letter {
            b'{' => Action::Group(self.edits(depth + 1)?),
            b's' => {
                let Some(delimiter) = self.peek() else { return Err("`s` needs an expression".into()) };
                self.at += 1;
                let pattern = self.until(delimiter)?;
                let replacement = self.replacement(delimiter)?;
                let (mut global, mut print, mut nth, mut letters) = (false, false, 1, Letters::Exact);
                while let Some(letter) = self.peek() {
                    match letter {
                        b'g' => global = true,
                        b'p' => print = true,
                        b'i' | b'I' => letters = Letters::AnyCase,
                        b'1'..=b'9' => nth = usize::from(letter - b'0'),
                        _ => break,
                    }
                    self.at += 1;
                }
                self.end()?;
                let pattern = self.expression(&pattern, letters)?;
                let groups = pattern.captures_len();
                if replacement.iter().any(|part| matches!(part, Part::Group(group) if *group >= groups)) {
                    return Err("the replacement names a group that the expression has not".into());
                }
                Action::Substitute { pattern, replacement, global, nth, print }
            }
            b'y' => {
                let Some(delimiter) = self.peek() else { return Err("`y` needs characters".into()) };
                self.at += 1;
                let (from, to) = (self.until(delimiter)?, self.until(delimiter)?);
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
            b'a' => Action::Append(self.text_of()),
            b'i' => Action::Insert(self.text_of()),
            b'c' => Action::Change(self.text_of()),
            b':' => {
                self.label();
                return Err("labels are not evaluated".into());
            }
            b'b' => {
                let label = self.label();
                if !label.is_empty() {
                    return Err("labels are not evaluated".into());
                }
                Action::Branch
            }
            b't' => {
                let label = self.label();
                if !label.is_empty() {
                    return Err("labels are not evaluated".into());
                }
                Action::BranchIfDone
            }
            plain => {
                self.end()?;
                match plain {
                    b'd' => Action::Delete,
                    b'D' => Action::DeleteFirst,
                    b'p' => Action::Print,
                    b'P' => Action::PrintFirst,
                    b'q' => Action::Quit,
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

    fn label(&mut self) -> Vec<u8> {
        self.blanks();
        let start = self.at;
        while self.peek().is_some_and(|byte| !matches!(byte, b'\n' | b';' | b'}')) {
            self.at += 1;
        }
        self.text[start..self.at].trim_ascii().to_vec()
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
    fn text_of(&mut self) -> Vec<u8> {
        self.blanks();
        if self.peek() == Some(b'\\') {
            self.at += 1;
            self.blanks();
            if self.peek() == Some(b'\n') {
                self.at += 1;
            }
        }
        let mut text = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\n' => break,
                b'\\' => {
                    if let Some(escaped) = self.peek() {
                        text.push(escaped);
                        self.at += 1;
                    }
                }
                _ => text.push(byte),
            }
        }
        text.push(b'\n');
        text
    }
}

#[derive(Default)]
struct Machine {
    quiet: bool,
    open: Vec<bool>,
    line: usize,
    hold: Vec<u8>,
    out: Vec<u8>,
    after: Vec<u8>,
    substituted: bool,
}

/// What a list of edits leaves to do with the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The next edit.
    On,
    /// The end of the cycle, with the line printed.
    EndOfCycle,
    /// The end of the cycle without it.
    Deleted,
    /// The same, and the cycle begins again with what is left.
    Again,
    /// The end of everything.
    Quit,
}

impl Machine {
    fn edit(&mut self, bytes: &[u8], edits: &[Edit], shell: &mut Shell<'_, '_>) -> Result<Vec<u8>, String> {
        let complete = bytes.is_empty() || bytes.ends_with(b"\n");
        let lines = text::all_lines(bytes);
        let mut at = 0;
        let mut carried: Option<Vec<u8>> = None;
        while at < lines.len() || carried.is_some() {
            let mut space = if let Some(space) = carried.take() {
                space
            } else {
                at += 1;
                lines[at - 1].to_vec()
            };
            shell
                .spend(500 + space.len() as u64)
                .map_err(|_| "it is more than one script may use".to_owned())?;
            self.line = at;
            self.substituted = false;
            let then = self.cycle(&mut space, edits, &lines, &mut at)?;
            if matches!(then, Then::On | Then::EndOfCycle | Then::Quit) && !self.quiet {
                self.print(&space);
            }
            let after = std::mem::take(&mut self.after);
            self.out.extend(after);
            match then {
                Then::Quit => break,
                Then::Again => carried = Some(space),
                _ => {}
            }
        }
        let mut out = std::mem::take(&mut self.out);
        // A last line without a newline has none afterwards either.
        if !complete && at == lines.len() && out.last() == Some(&b'\n') {
            out.pop();
        }
        Ok(out)
    }

    fn print(&mut self, space: &[u8]) {
        self.out.extend_from_slice(space);
        self.out.push(b'\n');
    }

    fn cycle(
        &mut self,
        space: &mut Vec<u8>,
        edits: &[Edit],
        lines: &[&[u8]],
        at: &mut usize,
    ) -> Result<Then, String> {
        for edit in edits {
            let selected = self.selected(edit, space, lines.len()) != edit.negated;
            if !selected {
                continue;
            }
            match &edit.action {
                Action::Group(inner) => match self.cycle(space, inner, lines, at)? {
                    Then::On => {}
                    other => return Ok(other),
                },
                Action::Substitute { pattern, replacement, global, nth, print } => {
                    if let Some(new) = substitute(pattern, replacement, space, *global, *nth) {
                        *space = new;
                        self.substituted = true;
                        if *print {
                            self.print(space);
                        }
                    }
                }
                Action::Translate(map) => {
                    for byte in space.iter_mut() {
                        *byte = map[usize::from(*byte)];
                    }
                }
                Action::Delete => return Ok(Then::Deleted),
                Action::DeleteFirst => match memchr::memchr(b'\n', space) {
                    Some(end) => {
                        space.drain(..=end);
                        return Ok(Then::Again);
                    }
                    None => return Ok(Then::Deleted),
                },
                Action::Print => self.print(space),
                Action::PrintFirst => {
                    let end = memchr::memchr(b'\n', space).unwrap_or(space.len());
                    self.print(&space[..end]);
                }
                Action::Quit => return Ok(Then::Quit),
                Action::Next => {
                    let Some(next) = lines.get(*at) else { return Ok(Then::Quit) };
                    if !self.quiet {
                        self.print(space);
                    }
                    *space = next.to_vec();
                    *at += 1;
                    self.line = *at;
                }
                Action::NextAppended => {
                    let Some(next) = lines.get(*at) else { return Ok(Then::Quit) };
                    space.push(b'\n');
                    space.extend_from_slice(next);
                    *at += 1;
                    self.line = *at;
                }
                Action::Number => self.out.extend(format!("{}\n", self.line).bytes()),
                Action::Hold => self.hold.clone_from(space),
                Action::HoldAppended => {
                    self.hold.push(b'\n');
                    self.hold.extend_from_slice(space);
                }
                Action::Get => space.clone_from(&self.hold),
                Action::GetAppended => {
                    space.push(b'\n');
                    space.extend_from_slice(&self.hold);
                }
                Action::Exchange => std::mem::swap(space, &mut self.hold),
                Action::Append(text) => self.after.extend_from_slice(text),
                Action::Insert(text) => self.out.extend_from_slice(text),
                Action::Change(text) => {
                    // Of a range only the end is replaced.
                    if edit.to.is_none()
                        || edit.negated
                        || !self.open.get(edit.range).copied().unwrap_or(false)
                    {
                        self.out.extend_from_slice(text);
                    }
                    return Ok(Then::Deleted);
                }
                Action::Branch => return Ok(Then::EndOfCycle),
                Action::BranchIfDone => {
                    if std::mem::take(&mut self.substituted) {
                        return Ok(Then::EndOfCycle);
                    }
                }
            }
        }
        Ok(Then::On)
    }

    fn selected(&mut self, edit: &Edit, space: &[u8], lines: usize) -> bool {
        let line = self.line;
        let met = |address: &Address| match address {
            Address::Line(wanted) => line == *wanted,
            Address::Last => line == lines,
            Address::Match(expression) => expression.is_match(space),
        };
        let Some(from) = &edit.from else { return true };
        let Some(to) = &edit.to else { return met(from) };
        let open = &mut self.open[edit.range];
        if *open {
            let past = matches!(to, Address::Line(end) if line >= *end);
            *open = !(past || met(to));
            return !matches!(to, Address::Line(end) if line > *end);
        }
        if matches!(from, Address::Line(0)) && line == 1 {
            *open = !met(to);
            return true;
        }
        if !met(from) {
            return false;
        }
        *open = !matches!(to, Address::Line(end) if *end <= line);
        true
    }
}

fn substitute(
    pattern: &Regex,
    replacement: &[Part],
    space: &[u8],
    global: bool,
    nth: usize,
) -> Option<Vec<u8>> {
    let (mut out, mut copied, mut done) = (Vec::with_capacity(space.len()), 0, false);
    for (index, found) in pattern.captures_iter(space).enumerate() {
        if index + 1 < nth {
            continue;
        }
        let whole = found.get(0)?;
        out.extend_from_slice(&space[copied..whole.start()]);
        for part in replacement {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Group(group) => {
                    out.extend_from_slice(found.get(*group).map_or(&b""[..], |group| group.as_bytes()));
                }
            }
        }
        copied = whole.end();
        done = true;
        if !global {
            break;
        }
    }
    out.extend_from_slice(&space[copied..]);
    done.then_some(out)
}
