//! The shell itself: what a script's words and commands mean (POSIX.1-2024, chapter 2 of Shell and Utilities; where that
//! leaves it open, as dash 0.5.12 does it).
//!
//! ```text
//! run ─► list ─► pipeline ─► command ─┬► simple: expand, redirect, then function, built-in, command of ours, script of the tree
//!                                     └► if, for, case, while, { }, ( )
//! ```
//!
//! Here are the shell and its state; `control` walks through commands, `invoke` finds what a name stands for, `expand`, `pattern`
//! and `arithmetic` make words, `stream` has descriptors, `builtin`, `print`, `read` and `test` the commands of the shell.
//!
//! A pipeline's commands run one after the other, each with the whole output of the one before as its input. A subshell is a
//! copy of the [`State`]; the world is one for all.
//!
//! **Guarantees**: what nests is counted ([`MAX_DEPTH`]), everything takes fuel of the world. **Refuses** commands in the
//! background, and what dash has not.

mod arithmetic;
mod builtin;
mod child;
mod control;
mod expand;
mod invoke;
mod pattern;
mod print;
mod read;
mod stream;
mod test;

use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) use self::pattern::CLASSES;
pub(super) use self::pattern::Pattern;
pub(super) use self::print::control;
pub(super) use self::print::octal;
pub(super) use self::stream::Stream;

use super::Fault;
use super::Outcome;
use super::Script;
use super::commands;
use super::commands::debconf::Session;
use super::syntax;
use super::syntax::Compound;
use super::syntax::SyntaxError;
use super::world::Errno;
use super::world::World;

/// Deepest nesting of commands, functions, substitutions, sourced and called scripts together.
const MAX_DEPTH: usize = 1_000;
/// Longest value of a variable and longest list of words, in bytes and words.
const MAX_VALUE: usize = 4 << 20;
/// Longest command in an error.
const MAX_SHOWN: usize = 160;
/// Bytes of a word in which secrets are looked for before it is shortened.
const MAX_LOOKED_AT: usize = 16 << 10;
/// Longest reason in an error.
const MAX_WHAT: usize = 400;
/// What a variable or a function costs in memory beside its name and its value.
const ENTRY: usize = 100;

/// Why the commands that follow are not run.
#[derive(Debug)]
pub(super) enum Flow {
    /// `exit`, or `set -e` met a failure.
    Exit(i32),
    /// A built-in or an expansion has met an error: the end of a built-in that is not special, else of the shell.
    Error(i32),
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
    /// A pipeline fails with any of its commands; bash has it, dash has not.
    pipefail: bool,
    /// The interpreter is bash: what it and dash do otherwise is refused, or done its way.
    bash: bool,
}

/// What a function's end puts back.
#[derive(Debug, Default)]
struct Frame {
    /// Variables that `local` has hidden.
    variables: BTreeMap<Rc<str>, Option<Variable>>,
    /// `local -`.
    switches: Option<Switches>,
}

/// All that a subshell has a copy of. What may be large is shared until one of the two changes it.
#[derive(Clone, Debug)]
struct State {
    variables: Rc<BTreeMap<Rc<str>, Variable>>,
    functions: Rc<BTreeMap<Rc<str>, Rc<Compound>>>,
    positional: Rc<[Rc<[u8]>]>,
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
    /// One for each function that runs in this subshell.
    frames: Vec<Frame>,
    status: i32,
    /// How many functions were defined so far.
    defined: usize,
    depth: usize,
    /// Loops around what runs, in this function.
    loops: u32,
    /// Whether what is called next stands before `|| true`: the script goes on where it fails.
    spared: bool,
    /// How many constructs around what runs look at its status, so that `set -e` does not.
    tested: usize,
    line: usize,
    /// Status of the last command substitution, which is that of an assignment without a command.
    substituted: Option<i32>,
    /// The words of the command that failed last.
    failing: Vec<Rc<[u8]>>,
    output: Stream,
    errors: Stream,
    /// What was said to debconf.
    debconf: Session,
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
            variables.insert((*name).into(), variable);
        }
        for (name, value) in [("IFS", " \t\n"), ("OPTIND", "1")] {
            let variable = Variable { value: Some(value.as_bytes().into()), ..Variable::default() };
            variables.insert(name.into(), variable);
        }
        let state = State {
            variables: Rc::new(variables),
            functions: Rc::default(),
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
            frames: Vec::new(),
            status: 0,
            defined: 0,
            depth: 0,
            loops: 0,
            spared: false,
            tested: 0,
            line: 0,
            substituted: None,
            failing: Vec::new(),
            output,
            errors,
            debconf: Session::default(),
        }
    }

    /// Runs a whole script. Its first line may switch `set -e` on (`#!/bin/sh -e`).
    pub(super) fn run(mut self, text: &[u8]) -> Result<Outcome, Fault> {
        self.switches_of_first_line(text)?;
        let status = match self.text(text, 0) {
            Ok(status) | Err(Flow::Exit(status) | Flow::Error(status) | Flow::Return(status)) => {
                self.ending(status)
            }
            Err(Flow::Break(_) | Flow::Continue(_)) => self.ending(0),
            Err(Flow::Fault(fault)) => Err(Flow::Fault(fault)),
        };
        self.world.settle();
        commands::debconf::finish(&mut self);
        let line = self.line;
        match status {
            Err(Flow::Fault(fault)) => Err(*fault),
            _ if self.world.fuel.has_run_out() => {
                let what = Errno::Budget.to_string();
                Err(Fault { line, command: String::new(), what })
            }
            ended => {
                let status = ended.unwrap_or(0);
                let command = if status == 0 { String::new() } else { self.shown(&self.failing) };
                let (output, errors) = (self.output.taken(), self.errors.taken());
                Ok(Outcome { status, line, command, output, errors })
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
        self.state.switches.bash = name == "bash";
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
        match self.text(&trap, self.line.saturating_sub(1)) {
            Ok(_) => Ok(status),
            Err(Flow::Exit(status) | Flow::Error(status)) => Ok(status),
            Err(other) => Err(other),
        }
    }

    /// Reads and runs text whose first line is line `base + 1` of the script.
    pub(super) fn text(&mut self, text: &[u8], base: usize) -> Status {
        let (defined, size) = (self.defined, std::cell::Cell::new(0));
        let result = self.text_of_size(text, base, &size);
        // What was read is gone, but for the functions in it.
        if defined == self.defined {
            self.world.fuel.give_back(size.get());
        }
        result
    }

    /// The same for text whose functions nobody has afterwards.
    pub(super) fn text_that_goes(&mut self, text: &[u8], defined: usize) -> Status {
        let size = std::cell::Cell::new(0);
        let result = self.text_of_size(text, 0, &size);
        self.world.fuel.give_back(size.get());
        self.defined = defined;
        result
    }

    fn text_of_size(&mut self, text: &[u8], base: usize, size: &std::cell::Cell<usize>) -> Status {
        self.spared = false;
        let list = match syntax::program(text, base, self.state.switches.bash) {
            Ok((list, bytes)) => {
                self.line = base + 1;
                self.spend_bytes(bytes)?;
                size.set(bytes);
                list
            }
            Err(SyntaxError { line, what }) => {
                return Err(Flow::Fault(Box::new(Fault { line, command: String::new(), what })));
            }
        };
        if list.is_empty() {
            return Ok(0);
        }
        self.nested(|shell| shell.list(&list))
    }

    /// Stops the evaluation at the command that runs.
    pub(super) fn fault(&self, words: &[Rc<[u8]>], what: impl Into<String>) -> Flow {
        let mut what = self.world.questions.hide(what.into());
        if let Some((end, _)) = what.char_indices().nth(MAX_WHAT) {
            what.truncate(end);
            what.push('…');
        }
        Flow::Fault(Box::new(Fault { line: self.line, command: self.shown(words), what }))
    }

    /// Words as an error shows them: short, and without secrets.
    fn shown(&self, words: &[Rc<[u8]>]) -> String {
        let mut command = String::new();
        for word in words {
            if !command.is_empty() {
                command.push(' ');
            }
            // Longer than what is shown, so that no beginning of a secret is left at the end.
            let text = word[..word.len().min(MAX_LOOKED_AT)].escape_ascii().to_string();
            let text = if text.is_empty() { "''".to_owned() } else { text };
            command.push_str(&self.world.questions.hide(text));
            if command.len() > MAX_SHOWN {
                let end = (0..=MAX_SHOWN).rev().find(|at| command.is_char_boundary(*at));
                command.truncate(end.unwrap_or_default());
                command.push('…');
                break;
            }
        }
        command
    }

    /// What was said to debconf.
    pub(super) fn debconf(&mut self) -> &mut Session {
        &mut self.debconf
    }

    /// Says an error of a built-in or an expansion, which ends it.
    pub(super) fn error<T>(&mut self, said: impl AsRef<[u8]>) -> Result<T, Flow> {
        self.say_error(said.as_ref())?;
        Err(Flow::Error(2))
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
        self.deeper()?;
        let result = work(self);
        self.shallower();
        result
    }

    /// One level deeper, for what cannot be a closure of [`Shell::nested`].
    fn deeper(&mut self) -> Result<(), Flow> {
        if self.depth >= MAX_DEPTH {
            return Err(self.fault(&[], "commands are nested too deeply"));
        }
        self.depth += 1;
        Ok(())
    }

    /// Back from [`Shell::deeper`].
    fn shallower(&mut self) {
        self.depth -= 1;
    }

    /// Charges work, in nanoseconds: a byte that is looked at is about 1, a node of the tree 500, a command 1,000 (which is
    /// charged by the shell). What a script can make larger is charged where it is done, before it is done.
    pub(super) fn spend(&mut self, work: u64) -> Result<(), Flow> {
        self.world.spend(work).map_err(|errno| self.fault(&[], errno.to_string()))
    }

    /// Charges a value of this many bytes, before it is made: output, buffers, lists, the parts of a tree. What is written to a
    /// descriptor or to a file of the tree is charged there.
    pub(super) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Flow> {
        self.world.spend_bytes(bytes).map_err(|errno| self.fault(&[], errno.to_string()))
    }

    /// Charges the image with texts that stay when the script has ended.
    pub(super) fn keep(&mut self, texts: &[&str]) -> Result<(), Flow> {
        self.world.keep(texts).map_err(|errno| self.fault(&[], errno.to_string()))
    }

    /// Whether a pattern matches all of a text; what that takes is charged.
    pub(super) fn matches(&mut self, pattern: &Pattern, text: &[u8]) -> Result<bool, Flow> {
        let matches = pattern.matches(text, &self.world.fuel);
        self.spend(0)?;
        Ok(matches)
    }

    /// The world.
    pub(super) fn world(&mut self) -> &mut World<'w> {
        self.world.settle();
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
        let variable = self.variable(name)?;
        if variable.readonly {
            return self.error(format!("{name}: is read only\n"));
        }
        variable.value = Some(value);
        variable.exported |= exported;
        if name == "OPTIND" {
            self.state.getopts = 0;
        }
        Ok(())
    }

    /// A variable, to be changed; made where it is not there.
    fn variable(&mut self, name: &str) -> Result<&mut Variable, Flow> {
        if self.state.variables.contains_key(name) {
            return Ok(self.variables()?.entry(name.into()).or_default());
        }
        self.spend_bytes(ENTRY + name.len())?;
        Ok(self.variables()?.entry(name.into()).or_default())
    }

    /// The variables, to be changed: from here on this subshell has its own.
    fn variables(&mut self) -> Result<&mut BTreeMap<Rc<str>, Variable>, Flow> {
        if Rc::strong_count(&self.state.variables) > 1 {
            self.spend_bytes(ENTRY * self.state.variables.len())?;
        }
        Ok(Rc::make_mut(&mut self.state.variables))
    }

    /// The functions, to be changed.
    fn functions(&mut self) -> Result<&mut BTreeMap<Rc<str>, Rc<Compound>>, Flow> {
        self.spend_bytes(ENTRY)?;
        self.defined += 1;
        if Rc::strong_count(&self.state.functions) > 1 {
            self.spend_bytes(ENTRY * self.state.functions.len())?;
        }
        Ok(Rc::make_mut(&mut self.state.functions))
    }
}
