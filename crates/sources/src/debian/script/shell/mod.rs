//! The shell itself: what a script's words and commands mean (POSIX.1-2024, chapter 2 of Shell and Utilities; where that
//! leaves it open, as dash 0.5.12 does it).
//!
//! ```text
//! run ─► list ─► pipeline ─► command ─┬► simple: expand, redirect, then function, built-in, command of ours, script of the tree
//!                                     └► if, for, case, while, { }, ( )
//! ```
//!
//! A pipeline's commands run one after the other, each with the whole output of the one before as its input. A subshell is a
//! copy of the [`State`]; the world is one for all.

mod arithmetic;
mod builtin;
mod expand;
mod pattern;
mod stream;
mod test;

use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) use self::pattern::Pattern;
pub(super) use self::stream::Stream;

use super::Fault;
use super::Outcome;
use super::Script;
use super::commands;
use super::syntax;
use super::syntax::AndOr;
use super::syntax::Command;
use super::syntax::Compound;
use super::syntax::CompoundKind;
use super::syntax::Connector;
use super::syntax::List;
use super::syntax::Pipeline;
use super::syntax::Simple;
use super::syntax::SyntaxError;
use super::syntax::Word;
use super::world::Errno;
use super::world::Kind;
use super::world::Last;
use super::world::World;

/// Deepest nesting of commands, functions, substitutions, sourced and called scripts together.
const MAX_DEPTH: usize = 1_000;
/// Longest value of a variable and longest list of words, in bytes and words.
const MAX_VALUE: usize = 4 << 20;
/// Longest command in an error.
const MAX_SHOWN: usize = 160;

/// Why the commands that follow are not run.
#[derive(Debug)]
pub(super) enum Flow {
    /// `exit`, or `set -e` met a failure.
    Exit(i32),
    /// `return` from a function or a sourced file.
    Return(i32),
    /// `break N`.
    Break(u32),
    /// `continue N`.
    Continue(u32),
    /// The evaluation cannot go on.
    Fault(Box<Fault>),
}

/// An exit status, or what keeps it from being known.
pub(super) type Status = Result<i32, Flow>;

/// A variable.
#[derive(Clone, Debug, Default)]
struct Variable {
    value: Option<Rc<[u8]>>,
    exported: bool,
    readonly: bool,
}

/// What `set` switches.
#[derive(Clone, Copy, Debug, Default)]
struct Switches {
    errexit: bool,
    nounset: bool,
    noglob: bool,
    xtrace: bool,
    allexport: bool,
    noclobber: bool,
}

/// All that a subshell has a copy of.
#[derive(Clone, Debug)]
struct State {
    variables: BTreeMap<String, Variable>,
    functions: BTreeMap<String, Rc<Compound>>,
    positional: Vec<Rc<[u8]>>,
    switches: Switches,
    streams: BTreeMap<u32, Stream>,
    cwd: Vec<u8>,
    umask: u32,
    /// What `trap … EXIT` has set.
    at_exit: Option<Rc<[u8]>>,
    /// What `$0` is.
    zero: Vec<u8>,
    /// Whether debconf's `confmodule` was sourced: its commands are known from then on.
    confmodule: bool,
    /// Where `getopts` is within a word.
    getopts: usize,
    /// Who runs: 0, but within `su`.
    uid: u32,
}

/// A shell at work on a world.
pub(super) struct Shell<'s, 'w> {
    world: &'s mut World<'w>,
    package: String,
    script: String,
    state: State,
    /// Values that `local` has hidden, one map for each function that runs.
    hidden: Vec<BTreeMap<String, Option<Variable>>>,
    status: i32,
    depth: usize,
    /// Loops around what runs, in this function.
    loops: u32,
    /// How many constructs around what runs look at its status, so that `set -e` does not.
    tested: usize,
    line: usize,
    /// Status of the last command substitution, which is that of an assignment without a command.
    substituted: Option<i32>,
    output: Stream,
    errors: Stream,
}

impl<'s, 'w> Shell<'s, 'w> {
    /// A shell as dpkg starts one.
    pub(super) fn new(script: &Script<'_>, world: &'s mut World<'w>) -> Self {
        let (output, errors) = (Stream::buffer(), Stream::buffer());
        let streams = BTreeMap::from([(0, Stream::Null), (1, output.clone()), (2, errors.clone())]);
        let mut variables = BTreeMap::new();
        let defaults =
            [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("PWD", "/")];
        for (name, value) in defaults.iter().chain(script.environment) {
            let variable = Variable { value: Some(value.as_bytes().into()), exported: true, readonly: false };
            variables.insert((*name).to_owned(), variable);
        }
        for (name, value) in [("IFS", " \t\n"), ("OPTIND", "1")] {
            let variable = Variable { value: Some(value.as_bytes().into()), ..Variable::default() };
            variables.insert(name.to_owned(), variable);
        }
        let state = State {
            variables,
            functions: BTreeMap::new(),
            positional: script.args.iter().map(|arg| arg.as_bytes().into()).collect(),
            switches: Switches::default(),
            streams,
            cwd: b"/".to_vec(),
            umask: 0o022,
            at_exit: None,
            zero: format!("/var/lib/dpkg/info/{}.{}", script.package, script.name).into_bytes(),
            confmodule: false,
            getopts: 0,
            uid: 0,
        };
        Self {
            world,
            package: script.package.to_owned(),
            script: script.name.to_owned(),
            state,
            hidden: Vec::new(),
            status: 0,
            depth: 0,
            loops: 0,
            tested: 0,
            line: 0,
            substituted: None,
            output,
            errors,
        }
    }

    /// Runs a whole script. Its first line may switch `set -e` on (`#!/bin/sh -e`).
    pub(super) fn run(mut self, text: &[u8]) -> Result<Outcome, Fault> {
        self.switches_of_first_line(text)?;
        let status = match self.text(text, 0) {
            Ok(status) | Err(Flow::Exit(status) | Flow::Return(status)) => self.ending(status),
            Err(Flow::Break(_) | Flow::Continue(_)) => self.ending(0),
            Err(Flow::Fault(fault)) => Err(Flow::Fault(fault)),
        };
        let line = self.line;
        match status {
            Err(Flow::Fault(fault)) => Err(*fault),
            ended => {
                let status = ended.unwrap_or(0);
                Ok(Outcome { status, line, output: self.output.taken(), errors: self.errors.taken() })
            }
        }
    }

    /// Which interpreter the first line names, and its options.
    fn switches_of_first_line(&mut self, text: &[u8]) -> Result<(), Fault> {
        let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let Some(words) = first.strip_prefix(b"#!") else { return Ok(()) };
        let words = String::from_utf8_lossy(words);
        let mut words = words.split_ascii_whitespace();
        let mut program = words.next().unwrap_or_default();
        if program.ends_with("/env") {
            program = words.next().unwrap_or_default();
        }
        let name = program.rsplit('/').next().unwrap_or_default();
        if !matches!(name, "sh" | "dash" | "bash") {
            let what = format!("it is written for `{}`, not for a shell", program.escape_debug());
            return Err(Fault { line: 1, command: String::new(), what });
        }
        for word in words {
            for letter in word.strip_prefix('-').unwrap_or_default().chars() {
                match letter {
                    'e' => self.state.switches.errexit = true,
                    'u' => self.state.switches.nounset = true,
                    'x' => self.state.switches.xtrace = true,
                    _ => {
                        let what = format!("the option `-{}` of a shell is not known", letter.escape_debug());
                        return Err(Fault { line: 1, command: String::new(), what });
                    }
                }
            }
        }
        Ok(())
    }

    /// Runs what `trap … EXIT` has set, and gives the status that the shell ends with.
    fn ending(&mut self, status: i32) -> Status {
        let Some(trap) = self.state.at_exit.take() else { return Ok(status) };
        self.status = status;
        match self.text(&trap, self.line) {
            Ok(_) => Ok(status),
            Err(Flow::Exit(status)) => Ok(status),
            Err(other) => Err(other),
        }
    }

    /// Reads and runs text whose first line is line `base + 1` of the script.
    pub(super) fn text(&mut self, text: &[u8], base: usize) -> Status {
        let list = match syntax::program(text, base) {
            Ok(list) => list,
            Err(SyntaxError { line, what }) => {
                return Err(Flow::Fault(Box::new(Fault { line, command: String::new(), what })));
            }
        };
        self.nested(|shell| shell.list(&list))
    }

    /// Stops the evaluation at the command that runs.
    pub(super) fn fault(&self, words: &[Rc<[u8]>], what: impl Into<String>) -> Flow {
        let words: Vec<String> = words.iter().map(|word| word.escape_ascii().to_string()).collect();
        let mut command = words.join(" ");
        if command.len() > MAX_SHOWN {
            command.truncate(MAX_SHOWN);
            command.push('…');
        }
        Flow::Fault(Box::new(Fault { line: self.line, command, what: what.into() }))
    }

    /// An error of a system call: a status with its message where a program would say it, else the end of the evaluation.
    pub(super) fn failed(&mut self, words: &[Rc<[u8]>], path: &[u8], errno: Errno) -> Status {
        if !errno.is_told() {
            return Err(self.fault(words, format!("`{}`: {errno}", path.escape_ascii())));
        }
        let name = words.first().map(|name| name.to_vec()).unwrap_or_default();
        let said = [&name[..], b": ", path, b": ", errno.to_string().as_bytes(), b"\n"].concat();
        self.say_error(&said)?;
        Ok(1)
    }

    /// One level deeper, as long as there is room.
    fn nested<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Flow>) -> Result<T, Flow> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault(&[], "commands are nested too deeply"));
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        result
    }

    /// Uses up a step for each command; what is out of proportion ends here.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Flow> {
        self.world.spend(steps).map_err(|errno| self.fault(&[], errno.to_string()))
    }

    /// The world.
    pub(super) fn world(&mut self) -> &mut World<'w> {
        self.world
    }

    /// The package whose script runs, and the script's name.
    pub(super) fn script(&self) -> (&str, &str) {
        (&self.package, &self.script)
    }

    /// The current directory, absolute.
    pub(super) fn cwd(&self) -> &[u8] {
        &self.state.cwd
    }

    /// The mask of permission bits for what is made.
    pub(super) fn umask(&self) -> u32 {
        self.state.umask
    }

    fn list(&mut self, list: &List) -> Status {
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
        let mut status = 0;
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
        }
        Ok(status)
    }

    /// Runs `work` with a copy of the state; `exit` ends the copy alone.
    fn subshell(&mut self, work: impl FnOnce(&mut Self) -> Status) -> Status {
        let mut inner = self.state.clone();
        // Traps are not inherited.
        inner.at_exit = None;
        let outer = std::mem::replace(&mut self.state, inner);
        let (hidden, loops) = (self.hidden.clone(), std::mem::take(&mut self.loops));
        let mut result = self.nested(work);
        result = match result {
            Ok(status) | Err(Flow::Exit(status) | Flow::Return(status)) => self.ending(status),
            Err(Flow::Break(_) | Flow::Continue(_)) => self.ending(0),
            Err(fault) => Err(fault),
        };
        self.state = outer;
        (self.hidden, self.loops) = (hidden, loops);
        result
    }

    fn command(&mut self, command: &Command) -> Status {
        self.spend(1)?;
        match command {
            Command::Simple(simple) => self.simple(simple),
            Command::Compound(compound) => self.compound(compound),
            Command::Function { name, body } => {
                self.state.functions.insert(name.clone(), Rc::clone(body));
                Ok(0)
            }
        }
    }

    fn compound(&mut self, compound: &Compound) -> Status {
        if compound.redirects.is_empty() {
            return self.nested(|shell| shell.compound_kind(&compound.kind));
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
                self.status = 0;
                otherwise.as_ref().map_or(Ok(0), |list| self.list(list))
            }
            CompoundKind::While(condition, body) => self.looped(condition, body, true),
            CompoundKind::Until(condition, body) => self.looped(condition, body, false),
            CompoundKind::For(name, words, body) => {
                let words = match words {
                    Some(words) => self.words(words)?,
                    None => self.state.positional.clone(),
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
            if let Err(flow) = self.spend(1) {
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
        self.status = 0;
        for word in words {
            self.spend(1)?;
            self.set(name, word)?;
            let once = self.list(body);
            if let Some(status) = Self::after_body(once)? {
                self.status = status;
            } else {
                self.status = 0;
                break;
            }
        }
        Ok(self.status)
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
                if self.pattern(pattern)?.matches(&value) {
                    self.status = 0;
                    return self.list(list);
                }
            }
        }
        self.status = 0;
        Ok(0)
    }

    fn simple(&mut self, simple: &Simple) -> Status {
        self.line = simple.line;
        self.substituted = None;
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
        self.trace(&words)?;
        // `exec` without a command changes the shell's own streams for good.
        if words.len() == 1 && &*words[0] == b"exec" {
            return self.redirect(&simple.redirects);
        }
        let saved = (!simple.redirects.is_empty()).then(|| self.state.streams.clone());
        let result = match self.redirect(&simple.redirects) {
            Ok(0) => self.with_assignments(&simple.assignments, &words),
            Ok(status) if builtin::is_special(&words[0]) => Err(Flow::Exit(status)),
            refused => refused,
        };
        if let Some(saved) = saved {
            self.state.streams = saved;
        }
        result
    }

    fn assign_all(&mut self, simple: &Simple) -> Status {
        for (name, value) in &simple.assignments {
            let value = self.one_word(value)?;
            self.set(name, value)?;
        }
        if !simple.redirects.is_empty() {
            let saved = self.state.streams.clone();
            let status = self.redirect(&simple.redirects);
            self.state.streams = saved;
            if status? != 0 {
                return Ok(1);
            }
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
            saved.push((name.clone(), self.state.variables.get(name).cloned()));
            self.set(name, value)?;
            if !for_good && let Some(variable) = self.state.variables.get_mut(name) {
                variable.exported = true;
            }
        }
        let result = self.invoke(words);
        if !for_good {
            for (name, old) in saved.into_iter().rev() {
                self.put_back(name, old);
            }
        }
        result
    }

    fn put_back(&mut self, name: String, old: Option<Variable>) {
        match old {
            Some(old) => self.state.variables.insert(name, old),
            None => self.state.variables.remove(&name),
        };
    }

    /// Runs a command: a special built-in, a function, a built-in, one of ours, or a script of the tree.
    pub(super) fn invoke(&mut self, words: &[Rc<[u8]>]) -> Status {
        let Some(name) = words.first() else { return Ok(0) };
        let name = String::from_utf8_lossy(name).into_owned();
        if !builtin::is_special(name.as_bytes())
            && let Some(function) = self.state.functions.get(&name).cloned()
        {
            return self.function(&function, words);
        }
        self.invoke_beyond_functions(&name, words)
    }

    /// The same for what `command` runs.
    fn invoke_beyond_functions(&mut self, name: &str, words: &[Rc<[u8]>]) -> Status {
        if let Some(run) = builtin::find(name) {
            return self.nested(|shell| run(shell, words));
        }
        if self.state.confmodule && name.starts_with("db_") {
            return self.nested(|shell| commands::debconf::ask(shell, words));
        }
        let base = name.rsplit('/').next().unwrap_or_default();
        // The interpreter is asked for byte code alone: `python3.13 … py_compile.py FILE…`.
        let compiles =
            |word: &Rc<[u8]>| word.ends_with(b"/py_compile.py") || word.ends_with(b"/compileall.py");
        if base.starts_with("python3") && words.iter().any(compiles) {
            self.world.not_done("byte code");
            return Ok(0);
        }
        let usual = name == base || USUAL.iter().any(|usual| name.strip_prefix(usual) == Some(base));
        if usual && let Some(run) = commands::find(base) {
            return self.nested(|shell| run(shell, words));
        }
        let Some(path) = self.found_in_path(name.as_bytes()) else {
            let said = format!(
                "{}: {}: not found\n",
                String::from_utf8_lossy(&self.state.zero),
                name.escape_debug()
            );
            self.say_error(said.as_bytes())?;
            return Ok(127);
        };
        self.script_of_the_tree(&path, words)
    }

    /// Runs `work` as another user, in a subshell.
    pub(super) fn as_user(&mut self, uid: u32, work: impl FnOnce(&mut Self) -> Status) -> Status {
        self.subshell(|shell| {
            shell.state.uid = uid;
            work(shell)
        })
    }

    /// Who runs.
    pub(super) fn uid(&self) -> u32 {
        self.state.uid
    }

    /// Reads and runs text that a command was given.
    pub(super) fn eval_text(&mut self, text: &[u8]) -> Status {
        let base = self.line.saturating_sub(1);
        self.status = 0;
        self.text(text, base)
    }

    /// Runs `work` with another descriptor 0.
    pub(super) fn with_input(&mut self, input: Stream, work: impl FnOnce(&mut Self) -> Status) -> Status {
        let saved = self.state.streams.insert(0, input);
        let result = work(self);
        match saved {
            Some(saved) => self.state.streams.insert(0, saved),
            None => self.state.streams.remove(&0),
        };
        result
    }

    /// Whether `name` is a command here, and where: as `command -v` says it.
    pub(super) fn found(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(name).into_owned();
        if self.state.functions.contains_key(&text) || builtin::find(&text).is_some() {
            return Some(name.to_vec());
        }
        self.found_in_path(name)
    }

    fn found_in_path(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        if name.contains(&b'/') {
            return self.is_executable(name).then(|| name.to_vec());
        }
        let path = self.get("PATH").unwrap_or_default();
        for directory in path.split(|&byte| byte == b':') {
            let candidate = [directory, b"/", name].concat();
            if self.is_executable(&candidate) {
                return Some(candidate);
            }
        }
        None
    }

    fn is_executable(&mut self, path: &[u8]) -> bool {
        let stat = self.world.stat(&self.state.cwd, path, Last::Followed);
        stat.is_ok_and(|stat| stat.kind == Kind::File && stat.meta.mode & 0o111 != 0)
    }

    /// A shell script that a package has brought, evaluated as the script that calls it is.
    fn script_of_the_tree(&mut self, path: &[u8], words: &[Rc<[u8]>]) -> Status {
        let cwd = self.state.cwd.clone();
        let text = match self.world.read(&cwd, path) {
            Ok(text) => text,
            Err(errno) => return self.failed(words, path, errno),
        };
        let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let is_shell = first.starts_with(b"#!") && self.clone_switches(first).is_some();
        let base = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        // A program in a folder of its package's own, which is known by its name.
        if !is_shell && let Some(run) = commands::find(&String::from_utf8_lossy(base)) {
            return self.nested(|shell| run(shell, words));
        }
        if !is_shell {
            return Err(
                self.fault(words, "this command is not known, and what lies there is no shell script")
            );
        }
        let name: Rc<[u8]> = path.into();
        let positional = words[1..].to_vec();
        let switches = self.clone_switches(first).unwrap_or_default();
        self.subshell(|shell| {
            shell.state.variables.retain(|_, variable| variable.exported);
            shell.state.functions.clear();
            shell.state.switches = switches;
            shell.state.positional = positional;
            shell.state.zero = name.to_vec();
            shell.state.confmodule = false;
            for (name, value) in [("IFS", &b" \t\n"[..]), ("OPTIND", b"1")] {
                shell.set(name, value.into())?;
            }
            let (line, tested) = (shell.line, std::mem::take(&mut shell.tested));
            let result = shell.text(&text, 0);
            (shell.line, shell.tested) = (line, tested);
            result
        })
    }

    /// The switches that a first line sets; nothing where it is no shell's.
    fn clone_switches(&mut self, first: &[u8]) -> Option<Switches> {
        let saved = std::mem::take(&mut self.state.switches);
        let result = self.switches_of_first_line(first);
        let switches = std::mem::replace(&mut self.state.switches, saved);
        result.ok().map(|()| switches)
    }

    fn function(&mut self, body: &Compound, words: &[Rc<[u8]>]) -> Status {
        let positional = std::mem::replace(&mut self.state.positional, words[1..].to_vec());
        self.hidden.push(BTreeMap::new());
        let loops = std::mem::take(&mut self.loops);
        let result = self.nested(|shell| shell.compound(body));
        self.loops = loops;
        for (name, old) in self.hidden.pop().unwrap_or_default() {
            self.put_back(name, old);
        }
        self.state.positional = positional;
        match result {
            Err(Flow::Return(status)) => Ok(status),
            other => other,
        }
    }

    /// `set -x`.
    fn trace(&mut self, words: &[Rc<[u8]>]) -> Result<(), Flow> {
        if self.state.switches.xtrace {
            let line = [b"+ ", &words.join(&b' ')[..], b"\n"].concat();
            self.say_error(&line)?;
        }
        Ok(())
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<Rc<[u8]>> {
        self.state.variables.get(name).and_then(|variable| variable.value.clone())
    }

    /// Sets a variable; an error where it is read-only.
    pub(super) fn set(&mut self, name: &str, value: Rc<[u8]>) -> Result<(), Flow> {
        if value.len() > MAX_VALUE {
            return Err(self.fault(&[], format!("the value of `{}` is too long", name.escape_debug())));
        }
        let exported = self.state.switches.allexport;
        let variable = self.state.variables.entry(name.to_owned()).or_default();
        if variable.readonly {
            let said = format!("{name}: is read only\n");
            self.say_error(said.as_bytes())?;
            return Err(Flow::Exit(2));
        }
        variable.value = Some(value);
        variable.exported |= exported;
        Ok(())
    }
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

/// Whether a word is written as `NAME=…`.
fn is_assignment(word: &Word) -> bool {
    let Some(syntax::Piece::Text(text)) = word.0.first() else { return false };
    let name = text.split(|byte| *byte == b'=').next().unwrap_or_default();
    name.len() < text.len() && syntax::is_name(name)
}

/// Where commands lie; a path to one of ours anywhere else is a file of the tree.
const USUAL: [&str; 6] =
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/"];
