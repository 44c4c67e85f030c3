//! Control flow: lists, pipelines, compound commands, and the words, assignments and redirections of a simple one.

use std::rc::Rc;

use super::super::syntax;
use super::super::syntax::AndOr;
use super::super::syntax::Command;
use super::super::syntax::Compound;
use super::super::syntax::CompoundKind;
use super::super::syntax::Connector;
use super::super::syntax::List;
use super::super::syntax::Pipeline;
use super::super::syntax::Simple;
use super::super::syntax::Word;
use super::Flow;
use super::Frame;
use super::Shell;
use super::Status;
use super::Stream;
use super::Variable;
use super::builtin;

/// What it takes to run a command, in units of fuel.
const COMMAND: u64 = 1_000;

impl Shell<'_, '_> {
    pub(super) fn list(&mut self, list: &List) -> Status {
        for and_or in list.iter() {
            if let Some(line) = and_or.background {
                self.line = line;
                return Err(self.fault(&[], "a command in the background (`&`) is not evaluated"));
            }
            self.and_or(and_or)?;
        }
        Ok(self.status)
    }

    fn and_or(&mut self, list: &AndOr) -> Status {
        let last = list.rest.len();
        self.spared = goes_on_without(list);
        self.pipeline(&list.first, last > 0)?;
        for (index, (connector, pipeline)) in list.rest.iter().enumerate() {
            if (self.status == 0) == (*connector == Connector::And) {
                self.pipeline(pipeline, index + 1 < last)?;
            }
        }
        Ok(self.status)
    }

    /// `tested`: somebody looks at the status, so that `set -e` does not.
    fn pipeline(&mut self, pipeline: &Pipeline, tested: bool) -> Status {
        let tested = tested || pipeline.negated;
        self.tested += usize::from(tested);
        let result = match &pipeline.commands[..] {
            [only] => self.command(only),
            commands => self.piped(commands),
        };
        self.tested -= usize::from(tested);
        self.status = result?;
        if pipeline.negated {
            self.status = i32::from(self.status == 0);
        } else if self.status != 0
            && self.tested == 0
            && !tested
            && self.state.switches.errexit
            && fails_by_itself(&pipeline.commands)
        {
            return Err(Flow::Exit(self.status));
        }
        Ok(self.status)
    }

    /// Each command in a subshell, with the output of the one before as its input.
    fn piped(&mut self, commands: &[Command]) -> Status {
        let mut input = None;
        let (mut status, mut failed) = (0, 0);
        for (index, command) in commands.iter().enumerate() {
            let output = (index + 1 < commands.len()).then(Stream::buffer);
            status = self.subshell(|shell| {
                if let Some(input) = input.take() {
                    shell.state.streams.insert(0, Stream::input(input));
                }
                if let Some(output) = &output {
                    shell.state.streams.insert(1, output.clone());
                }
                shell.command(command)
            })?;
            input = output.map(|output| output.taken());
            failed = if status == 0 { failed } else { status };
        }
        Ok(if self.state.switches.pipefail { failed } else { status })
    }

    /// Runs `work` with a copy of the state; `exit` ends the copy alone.
    pub(super) fn subshell(&mut self, work: impl FnOnce(&mut Self) -> Status) -> Status {
        let mut inner = self.state.clone();
        // Traps are not inherited.
        inner.at_exit = None;
        let outer = std::mem::replace(&mut self.state, inner);
        // What functions outside put back is not put back here; whether one runs is known.
        let within = self.frames.iter().take(1).map(|_| Frame::default()).collect();
        let frames = std::mem::replace(&mut self.frames, within);
        let loops = self.loops;
        let mut result = self.nested(work);
        result = match result {
            Ok(status) | Err(Flow::Exit(status) | Flow::Error(status) | Flow::Return(status)) => {
                self.ending(status)
            }
            Err(Flow::Break(_) | Flow::Continue(_)) => self.ending(0),
            Err(fault) => Err(fault),
        };
        self.state = outer;
        (self.frames, self.loops) = (frames, loops);
        result
    }

    fn command(&mut self, command: &Command) -> Status {
        self.spend(COMMAND)?;
        match command {
            Command::Simple(simple) => self.simple(simple),
            Command::Compound(compound) => self.compound(compound),
            Command::Function { name, body } => {
                self.functions()?.insert(name[..].into(), Rc::clone(body));
                Ok(0)
            }
        }
    }

    pub(super) fn compound(&mut self, compound: &Compound) -> Status {
        if compound.redirects.is_empty() {
            let result = self.nested(|shell| shell.compound_kind(&compound.kind));
            return named(result, || keyword(&compound.kind));
        }
        self.line = compound.line;
        let saved = self.state.streams.clone();
        let result = match self.redirect(&compound.redirects) {
            Ok(0) => self.nested(|shell| shell.compound_kind(&compound.kind)),
            refused => refused,
        };
        self.state.streams = saved;
        result
    }

    fn compound_kind(&mut self, kind: &CompoundKind) -> Status {
        match kind {
            CompoundKind::Group(list) => self.list(list),
            CompoundKind::Subshell(list) => self.subshell(|shell| shell.list(list)),
            CompoundKind::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.condition(condition)? {
                        return self.list(body);
                    }
                }
                otherwise.as_ref().map_or(Ok(0), |list| self.list(list))
            }
            CompoundKind::While(condition, body) => self.looped(condition, body, true),
            CompoundKind::Until(condition, body) => self.looped(condition, body, false),
            CompoundKind::For(name, words, body) => {
                let words = match words {
                    Some(words) => self.words(words)?,
                    None => self.state.positional.to_vec(),
                };
                self.loops += 1;
                let result = self.for_each(name, words, body);
                self.loops -= 1;
                result
            }
            CompoundKind::Case(value, items) => self.case(value, items),
        }
    }

    fn condition(&mut self, list: &List) -> Result<bool, Flow> {
        self.tested += 1;
        let status = self.list(list);
        self.tested -= 1;
        Ok(status? == 0)
    }

    fn looped(&mut self, condition: &List, body: &List, wanted: bool) -> Status {
        let mut last = 0;
        self.loops += 1;
        let result = loop {
            if let Err(flow) = self.spend(COMMAND) {
                break Err(flow);
            }
            let once = match self.condition(condition) {
                Ok(holds) if holds != wanted => break Ok(last),
                Ok(_) => self.list(body),
                Err(flow) => Err(flow),
            };
            match Self::after_body(once) {
                Ok(Some(status)) => last = status,
                Ok(None) => break Ok(0),
                Err(flow) => break Err(flow),
            }
        };
        self.loops -= 1;
        self.status = result?;
        Ok(self.status)
    }

    fn for_each(&mut self, name: &str, words: Vec<Rc<[u8]>>, body: &List) -> Status {
        let mut last = 0;
        for word in words {
            self.spend(COMMAND)?;
            self.set(name, word)?;
            let once = self.list(body);
            let Some(status) = Self::after_body(once)? else {
                last = 0;
                break;
            };
            last = status;
        }
        Ok(last)
    }

    /// What the end of a loop's body means for the loop: its status, nothing when it is left, or something further out.
    fn after_body(once: Status) -> Result<Option<i32>, Flow> {
        match once {
            Ok(status) => Ok(Some(status)),
            Err(Flow::Break(1)) => Ok(None),
            Err(Flow::Break(more)) => Err(Flow::Break(more - 1)),
            Err(Flow::Continue(1)) => Ok(Some(0)),
            Err(Flow::Continue(more)) => Err(Flow::Continue(more - 1)),
            Err(other) => Err(other),
        }
    }

    fn case(&mut self, value: &Word, items: &[(Vec<Word>, List)]) -> Status {
        let value = self.one_word(value)?;
        for (patterns, list) in items {
            for pattern in patterns {
                let pattern = self.pattern(pattern)?;
                if self.matches(&pattern, &value)? {
                    return if list.is_empty() { Ok(0) } else { self.list(list) };
                }
            }
        }
        Ok(0)
    }

    fn simple(&mut self, simple: &Simple) -> Status {
        let result = self.simple_here(simple);
        named(result, || as_written(simple))
    }

    fn simple_here(&mut self, simple: &Simple) -> Status {
        self.line = simple.line;
        self.substituted = None;
        let spared = std::mem::take(&mut self.spared);
        let mut words = Vec::new();
        for word in &simple.words {
            let first = words.first().map(|first: &Rc<[u8]>| &**first);
            // What is assigned by these is one value.
            if matches!(first, Some(b"export" | b"readonly" | b"local")) && is_assignment(word) {
                words.push(self.one_word(word)?);
            } else {
                words.extend(self.words(std::slice::from_ref(word))?);
            }
        }
        self.line = simple.line;
        if words.is_empty() {
            return self.assign_all(simple);
        }
        self.spared = spared;
        let result = self.expanded(simple, &words);
        self.spared = false;
        let result = named(result, || self.shown(&words));
        match result {
            Ok(status) if status != 0 => self.failing = words,
            Err(Flow::Exit(status)) if status != 0 && &*words[0] == b"exit" => self.failing = words,
            _ => {}
        }
        result
    }

    /// A simple command whose words are known.
    fn expanded(&mut self, simple: &Simple, words: &[Rc<[u8]>]) -> Status {
        self.trace(words)?;
        // `exec` without a command changes the shell's own streams for good.
        if words.len() == 1 && &*words[0] == b"exec" {
            return match self.redirect(&simple.redirects)? {
                0 => self.with_assignments(&simple.assignments, words),
                refused => Err(Flow::Error(refused)),
            };
        }
        let saved = (!simple.redirects.is_empty()).then(|| self.state.streams.clone());
        let result = match self.redirect(&simple.redirects) {
            Ok(0) => self.with_assignments(&simple.assignments, words),
            Ok(status) if builtin::is_special(&words[0]) => Err(Flow::Error(status)),
            refused => refused,
        };
        if let Some(saved) = saved {
            self.state.streams = saved;
        }
        result
    }

    fn assign_all(&mut self, simple: &Simple) -> Status {
        if !simple.redirects.is_empty() {
            let saved = self.state.streams.clone();
            let status = self.redirect(&simple.redirects);
            self.state.streams = saved;
            let status = status?;
            if status != 0 {
                return Ok(status);
            }
        }
        for (name, value) in &simple.assignments {
            let value = self.one_word(value)?;
            self.set(name, value)?;
        }
        Ok(self.substituted.take().unwrap_or(0))
    }

    /// Runs a command whose words are known, with variables that are set for it alone (for good before a special built-in).
    fn with_assignments(&mut self, assignments: &[(String, Word)], words: &[Rc<[u8]>]) -> Status {
        if assignments.is_empty() {
            return self.invoke(words);
        }
        let for_good = builtin::is_special(&words[0]);
        let mut saved = Vec::new();
        for (name, value) in assignments {
            let value = self.one_word(value)?;
            saved.push((Rc::<str>::from(&name[..]), self.state.variables.get(&name[..]).cloned()));
            self.set(name, value)?;
            if !for_good {
                self.variable(name)?.exported = true;
            }
        }
        let result = self.invoke(words);
        if !for_good {
            for (name, old) in saved.into_iter().rev() {
                self.put_back(name, old)?;
            }
        }
        result
    }

    pub(super) fn put_back(&mut self, name: Rc<str>, old: Option<Variable>) -> Result<(), Flow> {
        let variables = self.variables()?;
        match old {
            Some(old) => variables.insert(name, old),
            None => variables.remove(&name),
        };
        Ok(())
    }
}

/// Whether it is `COMMAND … || true`: the script does not need what the command does.
fn goes_on_without(list: &AndOr) -> bool {
    let words = |pipeline: &Pipeline| match &pipeline.commands[..] {
        [Command::Simple(simple)] if !pipeline.negated => simple.words.len(),
        _ => 0,
    };
    let [(Connector::Or, otherwise)] = &list.rest[..] else { return false };
    let [Command::Simple(does_nothing)] = &otherwise.commands[..] else { return false };
    let [Word(pieces)] = &does_nothing.words[..] else { return false };
    let [syntax::Piece::Text(text)] = &pieces[..] else { return false };
    words(&list.first) > 0 && matches!(&**text, b"true" | b":")
}

/// Whether `set -e` looks at the status of a pipeline. That of an `if`, a loop, a `case` or a group is the status of a command
/// in it, which was looked at there (dash's `evaltree`).
fn fails_by_itself(commands: &[Command]) -> bool {
    match commands {
        [Command::Compound(compound)] => {
            !compound.redirects.is_empty() || matches!(compound.kind, CompoundKind::Subshell(_))
        }
        _ => true,
    }
}

/// Where an evaluation ends without a command having been named, `command` is.
fn named(result: Status, command: impl FnOnce() -> String) -> Status {
    match result {
        Err(Flow::Fault(mut fault)) => {
            if fault.command.is_empty() {
                fault.command = command();
            }
            Err(Flow::Fault(fault))
        }
        other => other,
    }
}

/// The start of a command whose words could not be made.
fn as_written(simple: &Simple) -> String {
    let assigned = simple.assignments.first().map(|(name, _)| format!("{name}=…"));
    let word = simple.words.first().map(|word| match &word.0[..] {
        [syntax::Piece::Text(text)] => format!("{} …", text[..text.len().min(40)].escape_ascii()),
        _ => "…".into(),
    });
    assigned.into_iter().chain(word).collect::<Vec<_>>().join(" ")
}

fn keyword(kind: &CompoundKind) -> String {
    match kind {
        CompoundKind::Group(_) => "{".into(),
        CompoundKind::Subshell(_) => "(".into(),
        CompoundKind::If(..) => "if".into(),
        CompoundKind::While(..) => "while".into(),
        CompoundKind::Until(..) => "until".into(),
        CompoundKind::For(name, ..) => format!("for {name}"),
        CompoundKind::Case(..) => "case".into(),
    }
}

/// Whether a word is written as `NAME=…`.
fn is_assignment(word: &Word) -> bool {
    let Some(syntax::Piece::Text(text)) = word.0.first() else { return false };
    let name = text.split(|byte| *byte == b'=').next().unwrap_or_default();
    name.len() < text.len() && syntax::is_name(name)
}
