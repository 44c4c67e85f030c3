//! sed at work: lines go through the edits one after the other.

use std::rc::Rc;

use super::super::Word;
use super::super::regex::Expression;
use super::super::regex::Spans;
use super::syntax::Action;
use super::syntax::Address;
use super::syntax::Case;
use super::syntax::Edit;
use super::syntax::Part;
use super::syntax::Substitution;
use super::syntax::Until;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;

/// Most bytes of the pattern space and of what is held.
const MAX_SPACE: usize = 4 << 20;
/// Most bytes that are held back for a file that is edited in place.
const MAX_OUTPUT: usize = 16 << 20;

/// A line, and whether its newline is there.
struct Line<'b> {
    text: &'b [u8],
    complete: bool,
}

/// Where the output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To descriptor 1, as it comes.
    Output,
    /// It is kept for a file.
    Kept,
}

/// How the edits begin and what goes on between files.
pub(super) struct Machine<'m> {
    pub(super) edits: &'m [Edit],
    pub(super) words: &'m [Word],
    pub(super) quiet: bool,
    /// What ends a line.
    pub(super) newline: u8,
    pub(super) target: Target,
    /// For each edit whether its range is open, and the line that ends it.
    ranges: Vec<Option<usize>>,
    hold: Vec<u8>,
    pub(super) out: Vec<u8>,
    /// Whether the last line of the output has no newline yet.
    unfinished: bool,
    /// Files of `w` and what is written to them.
    pub(super) written: Vec<(Vec<u8>, Vec<u8>)>,
    last: Option<Rc<Expression>>,
    line: usize,
    substituted: bool,
    pub(super) quit: Option<i32>,
}

/// What is put out at the end of a cycle.
enum After<'e> {
    Text(&'e [u8]),
    File(&'e [u8]),
}

/// How a cycle ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Printed,
    Deleted,
    /// The cycle begins again with what is left.
    Again,
    Quit,
}

impl<'m> Machine<'m> {
    pub(super) fn new(edits: &'m [Edit], words: &'m [Word]) -> Self {
        Self {
            edits,
            words,
            quiet: false,
            newline: b'\n',
            target: Target::Output,
            ranges: vec![None; edits.len()],
            hold: Vec::new(),
            out: Vec::new(),
            unfinished: false,
            written: edits
                .iter()
                .filter_map(|edit| match &edit.action {
                    Action::Write(name) | Action::Substitute(Substitution { write: Some(name), .. }) => {
                        Some((name.clone(), Vec::new()))
                    }
                    _ => None,
                })
                .collect(),
            last: None,
            line: 0,
            substituted: false,
            quit: None,
        }
    }

    /// A new file that counts its lines anew.
    pub(super) fn begin_file(&mut self) {
        self.line = 0;
        if self.target == Target::Kept {
            self.unfinished = false;
        }
        // A range that an older file has left open by a number goes on in no other.
        for range in &mut self.ranges {
            if range.is_some_and(|end| end != usize::MAX) {
                *range = None;
            }
        }
    }

    /// Edits texts that are one input.
    pub(super) fn edit(&mut self, texts: &[Vec<u8>], shell: &mut Shell<'_, '_>) -> Result<(), Flow> {
        let mut lines = Vec::new();
        for text in texts {
            lines.extend(text.split_inclusive(|byte| *byte == self.newline).map(|line| {
                match line.strip_suffix(&[self.newline]) {
                    Some(text) => Line { text, complete: true },
                    None => Line { text: line, complete: false },
                }
            }));
        }
        let (mut at, mut carried): (usize, Option<Vec<u8>>) = (0, None);
        while at < lines.len() || carried.is_some() {
            let mut space = if let Some(space) = carried.take() {
                space
            } else {
                at += 1;
                self.line += 1;
                self.substituted = false;
                lines[at - 1].text.to_vec()
            };
            let mut after = Vec::new();
            let end = self.cycle(&mut space, &lines, &mut at, &mut after, shell)?;
            let quits = end == End::Quit && self.quit.is_some_and(|status| status < 0);
            if matches!(end, End::Printed | End::Quit) && !self.quiet && !quits {
                self.print(&space, lines[at - 1].complete, shell)?;
            }
            for one in after {
                match one {
                    After::Text(text) => self.put(text, shell)?,
                    After::File(name) => {
                        let cwd = shell.cwd().to_vec();
                        // A file that is not there is empty.
                        if let Ok(bytes) = shell.world().read(&cwd, name) {
                            self.put(&bytes, shell)?;
                        }
                    }
                }
            }
            match end {
                End::Quit => break,
                End::Again => carried = Some(space),
                End::Printed | End::Deleted => {}
            }
        }
        Ok(())
    }

    /// Ends the output; what is kept is taken out.
    pub(super) fn finish(&mut self, shell: &mut Shell<'_, '_>) -> Result<Vec<u8>, Flow> {
        let out = std::mem::take(&mut self.out);
        if self.target == Target::Kept {
            return Ok(out);
        }
        shell.say(&out)?;
        Ok(Vec::new())
    }

    fn put(&mut self, bytes: &[u8], shell: &mut Shell<'_, '_>) -> Result<(), Flow> {
        if std::mem::take(&mut self.unfinished) {
            self.out.push(self.newline);
        }
        self.out.extend_from_slice(bytes);
        shell.spend_bytes(bytes.len())?;
        if self.target == Target::Output && self.out.len() > 32 << 10 {
            let out = std::mem::take(&mut self.out);
            shell.say(&out)?;
        }
        if self.out.len() > MAX_OUTPUT {
            return Err(shell.fault(self.words, "it is more than one script may use"));
        }
        Ok(())
    }

    fn print(&mut self, space: &[u8], complete: bool, shell: &mut Shell<'_, '_>) -> Result<(), Flow> {
        self.put(space, shell)?;
        if complete {
            self.out.push(self.newline);
        } else {
            self.unfinished = true;
        }
        Ok(())
    }

    fn cycle(
        &mut self,
        space: &mut Vec<u8>,
        lines: &[Line<'_>],
        at: &mut usize,
        after: &mut Vec<After<'m>>,
        shell: &mut Shell<'_, '_>,
    ) -> Result<End, Flow> {
        let edits = self.edits;
        let mut next = 0;
        while let Some(edit) = edits.get(next) {
            let index = next;
            next += 1;
            shell.spend(200 + space.len() as u64 / 8)?;
            if space.len() > MAX_SPACE || self.hold.len() > MAX_SPACE {
                return Err(shell.fault(self.words, "a line of `sed` is too long"));
            }
            let complete = lines[*at - 1].complete;
            let selected = self.selected(index, space, *at == lines.len(), shell)? != edit.negated;
            if !selected {
                if let Action::Group(end) = edit.action {
                    next = end;
                }
                continue;
            }
            match &edit.action {
                Action::Group(_) | Action::Nothing => {}
                Action::Substitute(one) => {
                    if let Some(new) = self.substitute(one, space, shell)? {
                        *space = new;
                        self.substituted = true;
                        if one.print {
                            self.print(space, complete, shell)?;
                        }
                        if let Some(name) = &one.write {
                            shell.spend_bytes(space.len())?;
                            self.write(name, space);
                        }
                    }
                }
                Action::Translate(map) => {
                    for byte in space.iter_mut() {
                        *byte = map[usize::from(*byte)];
                    }
                }
                Action::Delete => return Ok(End::Deleted),
                Action::DeleteFirst => match memchr::memchr(self.newline, space) {
                    Some(end) => {
                        space.drain(..=end);
                        return Ok(End::Again);
                    }
                    None => return Ok(End::Deleted),
                },
                Action::Print => self.print(space, complete, shell)?,
                Action::PrintFirst => {
                    let end = memchr::memchr(self.newline, space).unwrap_or(space.len());
                    self.print(&space[..end], true, shell)?;
                }
                Action::Quit(printed, status) => {
                    // A status below 0 says that the line is not printed.
                    self.quit = Some(if *printed { *status } else { -1 - *status });
                    return Ok(End::Quit);
                }
                // Without a next line of this input the script ends, and GNU's sed prints what it has; there may be more files.
                Action::Next => {
                    let Some(line) = lines.get(*at) else { return Ok(End::Printed) };
                    if !self.quiet {
                        self.print(space, complete, shell)?;
                    }
                    *space = line.text.to_vec();
                    *at += 1;
                    self.line += 1;
                }
                Action::NextAppended => {
                    let Some(line) = lines.get(*at) else { return Ok(End::Printed) };
                    space.push(self.newline);
                    space.extend_from_slice(line.text);
                    *at += 1;
                    self.line += 1;
                }
                Action::Number => self.put(format!("{}\n", self.line).as_bytes(), shell)?,
                Action::Hold => {
                    shell.spend_bytes(space.len())?;
                    self.hold.clone_from(space);
                }
                Action::HoldAppended => {
                    shell.spend_bytes(space.len())?;
                    self.hold.push(self.newline);
                    self.hold.extend_from_slice(space);
                }
                Action::Get => {
                    shell.spend_bytes(self.hold.len())?;
                    space.clone_from(&self.hold);
                }
                Action::GetAppended => {
                    shell.spend_bytes(self.hold.len())?;
                    space.push(self.newline);
                    space.extend_from_slice(&self.hold);
                }
                Action::Exchange => std::mem::swap(space, &mut self.hold),
                Action::Append(text) => after.push(After::Text(text)),
                Action::Read(name) => after.push(After::File(name)),
                Action::Write(name) => {
                    shell.spend_bytes(space.len())?;
                    self.write(name, space);
                }
                Action::Insert(text) => self.put(text, shell)?,
                Action::Change(text) => {
                    // Of a range only the end is replaced.
                    if edit.to.is_none() || edit.negated || self.ranges[index].is_none() {
                        self.put(text, shell)?;
                    }
                    return Ok(End::Deleted);
                }
                Action::Branch(to) => next = *to,
                Action::BranchIfDone(to) => {
                    if std::mem::take(&mut self.substituted) {
                        next = *to;
                    }
                }
                Action::BranchIfNotDone(to) => {
                    if !std::mem::take(&mut self.substituted) {
                        next = *to;
                    }
                }
            }
        }
        Ok(End::Printed)
    }

    fn write(&mut self, name: &[u8], space: &[u8]) {
        if let Some((_, held)) = self.written.iter_mut().find(|(known, _)| known == name) {
            held.extend_from_slice(space);
            held.push(b'\n');
        }
    }

    /// The expression, or the one that was used last.
    fn expression(
        &mut self,
        given: Option<&Rc<Expression>>,
        shell: &mut Shell<'_, '_>,
    ) -> Result<Rc<Expression>, Flow> {
        if let Some(given) = given {
            self.last = Some(Rc::clone(given));
        }
        self.last
            .clone()
            .ok_or_else(|| shell.fault(self.words, "there is no expression before the empty one"))
    }

    fn meets(
        &mut self,
        address: &Address,
        space: &[u8],
        last: bool,
        shell: &mut Shell<'_, '_>,
    ) -> Result<bool, Flow> {
        Ok(match address {
            Address::Line(wanted) => self.line == *wanted,
            Address::Every(first, 0) => self.line == *first,
            Address::Every(first, step) => self.line >= *first && (self.line - first).is_multiple_of(*step),
            Address::Last => last,
            Address::Match(expression) => {
                let expression = self.expression(expression.as_ref(), shell)?;
                shell.spend(expression.price(space.len()))?;
                expression.is_match(space)
            }
        })
    }

    fn selected(
        &mut self,
        index: usize,
        space: &[u8],
        last: bool,
        shell: &mut Shell<'_, '_>,
    ) -> Result<bool, Flow> {
        let edits = self.edits;
        let edit = &edits[index];
        let line = self.line;
        let Some(from) = &edit.from else { return Ok(true) };
        let Some(to) = &edit.to else { return self.meets(from, space, last, shell) };
        // The range of the address 0 is open before the first line.
        let begins_open = matches!(from, Address::Line(0)) && line == 1 && self.ranges[index].is_none();
        if let Some(end) = self.ranges[index].or(begins_open.then_some(usize::MAX)) {
            self.ranges[index] = Some(end);
            let (ends, selected) = match to {
                Until::Address(Address::Line(end)) => (line >= *end, line <= *end),
                Until::Address(address) => (self.meets(address, space, last, shell)?, true),
                Until::Lines(_) | Until::Multiple(_) => (line >= end, true),
            };
            if ends {
                self.ranges[index] = None;
            }
            // A range by number that ended before is one line, where its start is met again.
            if selected || !self.meets(from, space, last, shell)? {
                return Ok(selected);
            }
        } else if !self.meets(from, space, last, shell)? {
            return Ok(false);
        }
        self.ranges[index] = match to {
            Until::Address(Address::Line(end)) => (*end > line).then_some(usize::MAX),
            Until::Address(_) => Some(usize::MAX),
            Until::Lines(count) => (*count > 0).then_some(line + count),
            Until::Multiple(0) => None,
            Until::Multiple(step) => Some((line / step + 1) * step),
        };
        Ok(true)
    }

    fn substitute(
        &mut self,
        one: &Substitution,
        space: &[u8],
        shell: &mut Shell<'_, '_>,
    ) -> Result<Option<Vec<u8>>, Flow> {
        let pattern = self.expression(one.pattern.as_ref(), shell)?;
        let (mut out, mut copied, mut count, mut done) = (Vec::with_capacity(space.len()), 0, 0, false);
        shell.spend(pattern.price(space.len()))?;
        let mut found = pattern.spans_at(space, 0);
        while let Some(spans) = found {
            let Some((from, to)) = spans.first().copied().flatten() else { break };
            count += 1;
            if count >= one.nth {
                let before = out.len();
                out.extend_from_slice(&space[copied..from]);
                put(&one.replacement, &spans, space, &mut out);
                copied = to;
                done = true;
                shell.spend_bytes(out.len() - before)?;
                if out.len() > MAX_SPACE {
                    return Err(shell.fault(self.words, "a line of `sed` is too long"));
                }
                if !one.global {
                    break;
                }
            }
            shell.spend(pattern.further(space.len() - to))?;
            found = pattern.next(space, from, to);
        }
        out.extend_from_slice(&space[copied..]);
        shell.spend_bytes(out.len())?;
        Ok(done.then_some(out))
    }
}

/// A replacement with its groups and changes of case.
fn put(parts: &[Part], spans: &Spans, space: &[u8], out: &mut Vec<u8>) {
    let (mut lasting, mut once) = (Case::End, Case::End);
    for part in parts {
        let text = match part {
            Part::Text(text) => &text[..],
            Part::Group(group) => {
                spans.get(*group).copied().flatten().map_or(&b""[..], |(from, to)| &space[from..to])
            }
            Part::Case(case @ (Case::UpperNext | Case::LowerNext)) => {
                once = *case;
                continue;
            }
            Part::Case(case) => {
                (lasting, once) = (*case, Case::End);
                continue;
            }
        };
        for byte in text {
            let case = std::mem::replace(&mut once, Case::End);
            out.push(match (case, lasting) {
                (Case::UpperNext, _) | (Case::End, Case::Upper) => byte.to_ascii_uppercase(),
                (Case::LowerNext, _) | (Case::End, Case::Lower) => byte.to_ascii_lowercase(),
                _ => *byte,
            });
        }
    }
}
