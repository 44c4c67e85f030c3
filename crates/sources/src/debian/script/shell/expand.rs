//! Expansion of words: tilde, parameters, substitutions, arithmetic, field splitting, file names, quotes (XCU 2.6).

use std::rc::Rc;

use super::super::syntax::Counts;
use super::super::syntax::List;
use super::super::syntax::Name;
use super::super::syntax::Operator;
use super::super::syntax::Parameter;
use super::super::syntax::Piece;
use super::super::syntax::Word;
use super::super::world::Kind;
use super::super::world::Last;
use super::Flow;
use super::MAX_VALUE;
use super::Shell;
use super::Stream;
use super::pattern::Extent;
use super::pattern::Marked;
use super::pattern::Pattern;

/// Most words that one expansion may give.
const MAX_WORDS: usize = 100_000;
/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 64 << 10;
/// Longest field that can be a path (`PATH_MAX`).
const MAX_PATH: usize = 4095;
/// What a field costs in memory beside its bytes.
const FIELD: usize = 100;

/// Where a word stands, which decides what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A command's word: fields are split, file names are looked for.
    Fields,
    /// One value: neither.
    Value,
}

/// A part of a word that is expanded.
#[derive(Debug)]
enum Part {
    /// Bytes as they were written; they are not split.
    Written(Vec<u8>),
    /// Bytes in quotes: neither split nor patterns. An empty one makes a field.
    Quoted(Vec<u8>),
    /// Bytes of an expansion outside quotes: they are split.
    Expanded(Vec<u8>),
    /// The end of a field, between the words of `"$@"`.
    Break,
    /// `"$@"` without words: nothing, but no empty field either.
    Nothing,
}

impl Shell<'_, '_> {
    /// Words as a command gets them.
    pub(super) fn words(&mut self, words: &[Word]) -> Result<Vec<Rc<[u8]>>, Flow> {
        let mut all = Vec::new();
        for word in words {
            if let [Piece::Text(text)] = &word.0[..]
                && !text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
            {
                self.spend_bytes(text.len())?;
                all.push(text[..].into());
                continue;
            }
            let parts = self.parts_of(word, Place::Fields)?;
            for field in self.split(parts)? {
                self.globbed(&field, &mut all)?;
            }
            if all.len() > MAX_WORDS {
                return Err(self.fault(&[], "an expansion gives too many words"));
            }
        }
        Ok(all)
    }

    /// A word as one value: assignments, `case`, redirections, here-documents.
    pub(super) fn one_word(&mut self, word: &Word) -> Result<Rc<[u8]>, Flow> {
        if let [Piece::Text(text)] = &word.0[..] {
            self.spend_bytes(text.len())?;
            return Ok(text[..].into());
        }
        let parts = self.parts_of(word, Place::Value)?;
        let marked = self.joined(&parts)?;
        Ok(marked.iter().map(|(byte, _)| *byte).collect())
    }

    /// A word as a pattern: what is quoted stands for itself.
    pub(super) fn pattern(&mut self, word: &Word) -> Result<Pattern, Flow> {
        let parts = self.parts_of(word, Place::Value)?;
        let marked = self.joined(&parts)?;
        if marked.len() > MAX_PATTERN {
            return Err(self.fault(&[], "a pattern is too long"));
        }
        self.spend(10 * marked.len() as u64)?;
        Ok(Pattern::new(&marked))
    }

    fn parts_of(&mut self, word: &Word, place: Place) -> Result<Vec<Part>, Flow> {
        self.spend(100)?;
        let mut parts = Vec::new();
        self.nested(|shell| shell.pieces(&word.0, false, place, &mut parts))?;
        Ok(parts)
    }

    fn pieces(
        &mut self,
        pieces: &[Piece],
        quoted: bool,
        place: Place,
        parts: &mut Vec<Part>,
    ) -> Result<(), Flow> {
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    self.spend_bytes(text.len())?;
                    parts.push(if quoted { Part::Quoted(text.clone()) } else { Part::Written(text.clone()) });
                }
                Piece::Quoted(text) => {
                    self.spend_bytes(text.len())?;
                    parts.push(Part::Quoted(text.clone()));
                }
                Piece::Double(inner) => {
                    let before = parts.len();
                    self.nested(|shell| shell.pieces(inner, true, place, parts))?;
                    if parts.len() == before {
                        parts.push(Part::Quoted(Vec::new()));
                    }
                }
                Piece::Tilde(user) => {
                    let home = match &user[..] {
                        "" => self.get("HOME").map(|home| home.to_vec()),
                        user => self.world.accounts.home(user).map(|home| home.as_bytes().to_vec()),
                    };
                    parts.push(Part::Quoted(home.unwrap_or_else(|| format!("~{user}").into_bytes())));
                }
                Piece::Parameter(parameter) => self.parameter(parameter, quoted, place, parts)?,
                Piece::Substitution(list) => {
                    let output = self.substitute(list)?;
                    parts.push(expanded(output, quoted));
                }
                Piece::Arithmetic(inner) => {
                    let mut expression = Vec::new();
                    self.nested(|shell| shell.pieces(inner, true, Place::Value, &mut expression))?;
                    let text: Vec<u8> = self.joined(&expression)?.iter().map(|(byte, _)| *byte).collect();
                    let value = self.arithmetic(&text)?;
                    parts.push(expanded(value.to_string().into_bytes(), quoted));
                }
            }
        }
        Ok(())
    }

    /// The output of commands, without the newlines at its end.
    fn substitute(&mut self, list: &List) -> Result<Vec<u8>, Flow> {
        let output = Stream::buffer();
        let (tested, line, before) = (std::mem::take(&mut self.tested), self.line, self.status);
        let status = self.subshell(|shell| {
            shell.state.streams.insert(1, output.clone());
            if list.is_empty() { Ok(0) } else { shell.list(list) }
        });
        (self.tested, self.line) = (tested, line);
        let status = status?;
        self.status = before;
        self.substituted = Some(status);
        let mut bytes = output.taken();
        while bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        bytes.retain(|byte| *byte != 0);
        Ok(bytes)
    }

    fn parameter(
        &mut self,
        parameter: &Parameter,
        quoted: bool,
        place: Place,
        parts: &mut Vec<Part>,
    ) -> Result<(), Flow> {
        let Parameter { name, operator, operand } = parameter;
        match operator {
            Operator::Value => self.plain_value(name, quoted, place, parts)?,
            Operator::Length => {
                let length = match name {
                    // As one word, with what stands between them.
                    Name::At | Name::Star => {
                        let between = self.get("IFS").map_or(1, |ifs| ifs.len().min(1));
                        let all = &self.state.positional;
                        let words: usize = all.iter().map(|word| word.len()).sum();
                        words + all.len().saturating_sub(1) * between
                    }
                    // dash counts bytes.
                    _ => self.required(name)?.len(),
                };
                parts.push(expanded(length.to_string().into_bytes(), quoted));
            }
            Operator::Default(counts) => match self.counted(name, *counts) {
                Some(_) => self.plain_value(name, quoted, place, parts)?,
                None => self.operand(operand, quoted, place, parts)?,
            },
            Operator::Assign(counts) => {
                if self.counted(name, *counts).is_none() {
                    let Name::Variable(variable) = name else {
                        return Err(self.fault(&[], "`=` needs the name of a variable"));
                    };
                    let value = self.one_word(operand)?;
                    self.set(variable, value)?;
                }
                self.plain_value(name, quoted, place, parts)?;
            }
            Operator::Required(counts) => {
                if self.counted(name, *counts).is_none() {
                    let mut message = self.one_word(operand)?.to_vec();
                    if message.is_empty() {
                        message = b"parameter not set or null".to_vec();
                    }
                    return self.error([name_of(name).as_bytes(), b": ", &message, b"\n"].concat());
                }
                self.plain_value(name, quoted, place, parts)?;
            }
            Operator::Alternative(counts) => match self.counted(name, *counts) {
                Some(_) => self.operand(operand, quoted, place, parts)?,
                None => parts.push(expanded(Vec::new(), quoted)),
            },
            Operator::SmallestPrefix => {
                self.trimmed(parameter, Side::Start, Extent::Smallest, quoted, parts)?;
            }
            Operator::LargestPrefix => {
                self.trimmed(parameter, Side::Start, Extent::Largest, quoted, parts)?;
            }
            Operator::SmallestSuffix => {
                self.trimmed(parameter, Side::End, Extent::Smallest, quoted, parts)?;
            }
            Operator::LargestSuffix => self.trimmed(parameter, Side::End, Extent::Largest, quoted, parts)?,
        }
        Ok(())
    }

    fn plain_value(
        &mut self,
        name: &Name,
        quoted: bool,
        place: Place,
        parts: &mut Vec<Part>,
    ) -> Result<(), Flow> {
        match name {
            Name::At => self.all_positional(false, quoted, place, parts)?,
            Name::Star => self.all_positional(true, quoted, place, parts)?,
            _ => {
                let value = self.required(name)?;
                self.spend_bytes(value.len())?;
                parts.push(expanded(value.to_vec(), quoted));
            }
        }
        Ok(())
    }

    /// `$@` and `$*`.
    fn all_positional(
        &mut self,
        concatenate: bool,
        quoted: bool,
        place: Place,
        parts: &mut Vec<Part>,
    ) -> Result<(), Flow> {
        let positional = self.state.positional.clone();
        for word in &*positional {
            self.spend_bytes(word.len() + 80)?;
        }
        if place == Place::Value || quoted && concatenate {
            let separator = match self.get("IFS") {
                Some(ifs) => ifs.first().copied().map(|byte| vec![byte]).unwrap_or_default(),
                None => b" ".to_vec(),
            };
            parts.push(Part::Quoted(positional.join(&separator[..])));
            return Ok(());
        }
        if positional.is_empty() {
            parts.push(Part::Nothing);
        }
        for (index, word) in positional.iter().enumerate() {
            if index > 0 {
                parts.push(if place == Place::Value { Part::Quoted(b" ".to_vec()) } else { Part::Break });
            }
            parts.push(expanded(word.to_vec(), quoted));
        }
        Ok(())
    }

    /// What follows `-`, `=`, `+`, `?` in braces.
    fn operand(
        &mut self,
        word: &Word,
        quoted: bool,
        place: Place,
        parts: &mut Vec<Part>,
    ) -> Result<(), Flow> {
        let mut inner = Vec::new();
        self.nested(|shell| shell.pieces(&word.0, quoted, place, &mut inner))?;
        if inner.is_empty() {
            inner.push(expanded(Vec::new(), quoted));
        }
        // What is written there is split as an expansion is.
        parts.extend(inner.into_iter().map(|part| match part {
            Part::Written(bytes) => Part::Expanded(bytes),
            other => other,
        }));
        Ok(())
    }

    fn trimmed(
        &mut self,
        parameter: &Parameter,
        side: Side,
        extent: Extent,
        quoted: bool,
        parts: &mut Vec<Part>,
    ) -> Result<(), Flow> {
        let value = self.required(&parameter.name)?;
        let pattern = self.pattern(&parameter.operand)?;
        let kept = match side {
            Side::Start => &value[pattern.prefix(&value, extent, &self.world.fuel).unwrap_or(0)..],
            Side::End => &value[..pattern.suffix(&value, extent, &self.world.fuel).unwrap_or(value.len())],
        };
        self.spend_bytes(kept.len())?;
        parts.push(expanded(kept.to_vec(), quoted));
        Ok(())
    }

    /// The value; nothing where it is not set, which `set -u` makes an error.
    fn required(&mut self, name: &Name) -> Result<Rc<[u8]>, Flow> {
        match self.value_of(name) {
            Some(value) => Ok(value),
            None if self.state.switches.nounset => {
                self.error(format!("{}: parameter not set\n", name_of(name)))
            }
            None => Ok(Rc::from(&[][..])),
        }
    }

    /// The value, where it counts as one.
    fn counted(&self, name: &Name, counts: Counts) -> Option<Rc<[u8]>> {
        let value = self.value_of(name);
        match counts {
            Counts::Set => value,
            Counts::NotEmpty => value.filter(|value| !value.is_empty()),
        }
    }

    fn value_of(&self, name: &Name) -> Option<Rc<[u8]>> {
        let text = |text: String| Some(Rc::from(text.into_bytes()));
        match name {
            Name::Variable(name) => self.get(name),
            Name::Zero => Some(self.state.zero.clone().into()),
            Name::Positional(index) => self.state.positional.get(index.checked_sub(1)?).cloned(),
            Name::At | Name::Star => {
                // Without fuel the evaluation ends at the next look.
                let _ = self.world.spend_bytes(self.state.positional.iter().map(|word| word.len() + 1).sum());
                Some(self.state.positional.join(&b' ').into())
            }
            Name::Count => text(self.state.positional.len().to_string()),
            Name::Status => text(self.status.to_string()),
            Name::Flags => {
                let switches = self.state.switches;
                let flags = [
                    (switches.errexit, 'e'),
                    (switches.noglob, 'f'),
                    (switches.nounset, 'u'),
                    (switches.xtrace, 'x'),
                ];
                text(flags.iter().filter(|(on, _)| *on).map(|(_, letter)| letter).collect())
            }
            // The same in every run: temporary names are made of it.
            Name::Process => text("1".into()),
            Name::Background => None,
        }
    }

    /// Parts as one run of bytes.
    fn joined(&mut self, parts: &[Part]) -> Result<Vec<Marked>, Flow> {
        let length = parts.iter().map(Part::len).sum();
        if length > MAX_VALUE {
            return Err(self.fault(&[], "an expansion is too long"));
        }
        // Each byte with its mark, and then what is made of them.
        self.spend_bytes(3 * length)?;
        let mut all = Vec::with_capacity(length);
        for part in parts {
            match part {
                Part::Written(bytes) | Part::Expanded(bytes) => {
                    all.extend(bytes.iter().map(|byte| (*byte, false)));
                }
                Part::Quoted(bytes) => all.extend(bytes.iter().map(|byte| (*byte, true))),
                Part::Break => all.push((b' ', true)),
                Part::Nothing => {}
            }
        }
        Ok(all)
    }

    /// Field splitting (XCU 2.6.5).
    fn split(&mut self, parts: Vec<Part>) -> Result<Vec<Vec<Marked>>, Flow> {
        let length: usize = parts.iter().map(Part::len).sum();
        if length > MAX_VALUE {
            return Err(self.fault(&[], "an expansion is too long"));
        }
        self.spend_bytes(6 * length)?;
        let ifs = self.get("IFS").unwrap_or_else(|| Rc::from(&b" \t\n"[..]));
        let is_blank = |byte: u8| ifs.contains(&byte) && matches!(byte, b' ' | b'\t' | b'\n');
        let (mut fields, mut field, mut begun) = (Vec::new(), Vec::new(), false);
        for part in parts {
            match part {
                Part::Written(bytes) => {
                    begun |= !bytes.is_empty();
                    field.extend(bytes.into_iter().map(|byte| (byte, false)));
                }
                Part::Quoted(bytes) => {
                    begun = true;
                    field.extend(bytes.into_iter().map(|byte| (byte, true)));
                }
                Part::Nothing => {}
                Part::Break => {
                    if begun {
                        fields.push(std::mem::take(&mut field));
                    }
                    begun = false;
                }
                Part::Expanded(bytes) => {
                    let mut at = 0;
                    while let Some(&byte) = bytes.get(at) {
                        if !ifs.contains(&byte) {
                            begun = true;
                            field.push((byte, false));
                            at += 1;
                            continue;
                        }
                        // Blanks around at most one separator of another kind end one field.
                        let start = at;
                        while bytes.get(at).is_some_and(|byte| is_blank(*byte)) {
                            at += 1;
                        }
                        let hard = bytes.get(at).is_some_and(|byte| ifs.contains(byte) && !is_blank(*byte));
                        if hard {
                            at += 1;
                            while bytes.get(at).is_some_and(|byte| is_blank(*byte)) {
                                at += 1;
                            }
                        }
                        if begun || hard {
                            self.spend_bytes(FIELD)?;
                            fields.push(std::mem::take(&mut field));
                        }
                        begun = false;
                        debug_assert!(at > start);
                    }
                }
            }
            if fields.len() > MAX_WORDS {
                return Err(self.fault(&[], "an expansion gives too many words"));
            }
        }
        if begun {
            fields.push(field);
        }
        Ok(fields)
    }

    /// File names for a field with pattern characters; the field itself where there are none.
    fn globbed(&mut self, field: &[Marked], all: &mut Vec<Rc<[u8]>>) -> Result<(), Flow> {
        let plain =
            |field: &[Marked]| -> Rc<[u8]> { field.iter().map(|(byte, _)| *byte).collect::<Vec<_>>().into() };
        let special = field.iter().any(|(byte, quoted)| !quoted && matches!(byte, b'*' | b'?' | b'['));
        if !special || self.state.switches.noglob || field.len() > MAX_PATH {
            all.push(plain(field));
            return Ok(());
        }
        self.spend_bytes(100 * field.len())?;
        let mut found: Vec<Vec<u8>> = vec![Vec::new()];
        let mut rest = field;
        while !rest.is_empty() {
            let length = rest.iter().position(|(byte, _)| *byte == b'/').unwrap_or(rest.len());
            let (component, after) = rest.split_at(length);
            let slashes = after.iter().take_while(|(byte, _)| *byte == b'/').count();
            rest = &after[slashes..];
            let pattern = Pattern::new(component);
            let mut next = Vec::new();
            for before in found {
                self.glob_component(&before, component, &pattern, slashes, &mut next)?;
                if next.len() > MAX_WORDS {
                    return Err(self.fault(&[], "a pattern meets too many files"));
                }
            }
            found = next;
        }
        if found.is_empty() {
            all.push(plain(field));
        } else {
            // dash sorts them all, by their whole paths.
            found.sort();
            self.spend(found.len() as u64 * 200)?;
            all.extend(found.into_iter().map(Rc::from));
        }
        Ok(())
    }

    fn glob_component(
        &mut self,
        before: &[u8],
        component: &[Marked],
        pattern: &Pattern,
        slashes: usize,
        next: &mut Vec<Vec<u8>>,
    ) -> Result<(), Flow> {
        let cwd = self.state.cwd.clone();
        let complete = |name: &[u8]| [before, name, &b"/".repeat(slashes.min(1))].concat();
        if component.is_empty() || pattern.is_plain() {
            let name: Vec<u8> = component.iter().map(|(byte, _)| *byte).collect();
            let path = complete(&name);
            // What comes before the first pattern is taken as it is; what comes after must be there.
            if path == b"/" || self.world.stat(&cwd, &path, Last::Itself).is_ok() {
                self.spend_bytes(path.len() + FIELD)?;
                next.push(path);
            }
            return Ok(());
        }
        let directory = if before.is_empty() { b"." } else { before };
        let Ok(stat) = self.world.stat(&cwd, directory, Last::Followed) else { return Ok(()) };
        if stat.kind != Kind::Directory {
            return Ok(());
        }
        let mut names = self.world.list(&stat.path).map_err(|errno| self.fault(&[], errno.to_string()))?;
        if pattern.begins_with_dot() {
            names.extend([b".".to_vec(), b"..".to_vec()]);
        }
        for name in names {
            if (!name.starts_with(b".") || pattern.begins_with_dot()) && self.matches(pattern, &name)? {
                let path = complete(&name);
                self.spend_bytes(path.len() + FIELD)?;
                if slashes == 0 || self.world.stat(&cwd, &path, Last::Followed).is_ok() {
                    next.push(path);
                }
            }
        }
        Ok(())
    }
}

/// Which end of a value a pattern is taken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Start,
    End,
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Self::Written(bytes) | Self::Quoted(bytes) | Self::Expanded(bytes) => bytes.len(),
            Self::Break => 1,
            Self::Nothing => 0,
        }
    }
}

fn expanded(bytes: Vec<u8>, quoted: bool) -> Part {
    if quoted { Part::Quoted(bytes) } else { Part::Expanded(bytes) }
}

fn name_of(name: &Name) -> String {
    match name {
        Name::Variable(name) => name.clone(),
        Name::Positional(index) => index.to_string(),
        Name::At => "@".into(),
        Name::Star => "*".into(),
        Name::Count => "#".into(),
        Name::Status => "?".into(),
        Name::Flags => "-".into(),
        Name::Process => "$".into(),
        Name::Background => "!".into(),
        Name::Zero => "0".into(),
    }
}
