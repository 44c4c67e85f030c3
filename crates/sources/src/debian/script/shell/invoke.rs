//! What a name stands for: a function, a built-in, a command of ours, a shell script of the tree; and how each is called.

use std::rc::Rc;

use super::super::commands;
use super::super::syntax::Compound;
use super::super::world::Kind;
use super::super::world::Last;
use super::Flow;
use super::Frame;
use super::Shell;
use super::Status;
use super::Stream;
use super::Switches;
use super::builtin;
use super::print;

/// Where commands lie; a path to one of ours anywhere else is a file of the tree.
const USUAL: [&str; 6] =
    ["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/"];

/// Longest file that may be a script, in bytes.
const LONGEST_SCRIPT: u64 = 1 << 20;

impl Shell<'_, '_> {
    /// Runs a command: a special built-in, a function, a built-in, one of ours, or a script of the tree.
    pub(in crate::debian::script) fn invoke(&mut self, words: &[Rc<[u8]>]) -> Status {
        let Some(name) = words.first() else { return Ok(0) };
        let name = String::from_utf8_lossy(name).into_owned();
        if !builtin::is_special(name.as_bytes())
            && let Some(function) = self.state.functions.get(&name[..]).cloned()
        {
            return self.function(&function, words);
        }
        self.invoke_beyond_functions(&name, words)
    }

    /// The same for what `command` runs.
    pub(super) fn invoke_beyond_functions(&mut self, name: &str, words: &[Rc<[u8]>]) -> Status {
        if let Some(run) =
            builtin::find(if name == "source" && self.state.switches.bash { "." } else { name })
        {
            let status = self.nested(|shell| run(shell, words));
            return match status {
                // An error in what is special ends the shell.
                Err(Flow::Error(status)) if !builtin::is_special(name.as_bytes()) => Ok(status),
                other => other,
            };
        }
        if builtin::is_not_evaluated(name, self.state.switches.bash) {
            return Err(self.fault(words, "this command of the shell is not evaluated"));
        }
        if self.state.confmodule && commands::debconf::is_known(name) {
            return self.nested(|shell| commands::debconf::ask(shell, words));
        }
        self.program(name, words)
    }

    /// Runs a command as another program starts one: functions and what is built in are not reached.
    pub(in crate::debian::script) fn start(&mut self, words: &[Rc<[u8]>]) -> Status {
        let Some(name) = words.first() else { return Ok(0) };
        let name = String::from_utf8_lossy(name).into_owned();
        self.program(&name, words)
    }

    /// The same in another directory.
    pub(in crate::debian::script) fn start_in(&mut self, there: Vec<u8>, words: &[Rc<[u8]>]) -> Status {
        let here = std::mem::replace(&mut self.state.cwd, there);
        let status = self.start(words);
        self.state.cwd = here;
        status
    }

    /// One of our commands, or a script of the tree.
    pub(super) fn program(&mut self, name: &str, words: &[Rc<[u8]>]) -> Status {
        let base = name.rsplit('/').next().unwrap_or_default();
        // The interpreter is asked for byte code alone: `python3.13 … py_compile.py FILE…`.
        let compiles =
            |word: &Rc<[u8]>| word.ends_with(b"/py_compile.py") || word.ends_with(b"/compileall.py");
        if base.starts_with("python3") && words.iter().any(compiles) {
            self.world.not_done("byte code: what is interpreted is compiled at each start");
            return Ok(0);
        }
        let usual = name == base || USUAL.iter().any(|usual| name.strip_prefix(usual) == Some(base));
        // A command knows its name alone, however it was called; a few built-ins are programs too.
        let of_program = matches!(base, "[" | "false" | "printf" | "pwd" | "test" | "true");
        let run = if usual { commands::find(base) } else { None };
        let run = run.or_else(|| if usual && of_program { builtin::find(base) } else { None });
        let run = if usual && base == "echo" { Some(print::program_echo as builtin::Command) } else { run };
        if let Some(run) = run {
            self.spend_bytes(16 * words.len())?;
            let words = named(base, words);
            return self.nested(|shell| run(shell, &words));
        }
        let Some(path) = self.found_in_path(name.as_bytes()) else {
            let cwd = self.state.cwd.clone();
            let there = name.contains('/') && self.world.stat(&cwd, name.as_bytes(), Last::Followed).is_ok();
            let (status, what) = if there { (126, "Permission denied") } else { (127, "not found") };
            let zero = String::from_utf8_lossy(&self.state.zero).into_owned();
            // As dash says it: the line is that of the script that lies there, where one called another.
            let line = self.line;
            self.say_error(format!("{zero}: {line}: {}: {what}\n", name.escape_debug()).as_bytes())?;
            return Ok(status);
        };
        self.script_of_the_tree(&path, words)
    }

    /// Runs `work` as another user, in a subshell.
    pub(in crate::debian::script) fn as_user(
        &mut self,
        uid: u32,
        work: impl FnOnce(&mut Self) -> Status,
    ) -> Status {
        let accounts = &self.world.accounts;
        let gid = accounts.user_name(uid).and_then(|user| accounts.gid_of_user(user)).unwrap_or(uid);
        let before = std::mem::replace(&mut self.world.creator, (uid, gid));
        let result = self.subshell(|shell| {
            shell.state.uid = uid;
            work(shell)
        });
        self.world.creator = before;
        result
    }

    /// Who runs.
    pub(in crate::debian::script) fn uid(&self) -> u32 {
        self.state.uid
    }

    /// Runs `work` with another descriptor 0.
    pub(in crate::debian::script) fn with_input(
        &mut self,
        input: Stream,
        work: impl FnOnce(&mut Self) -> Status,
    ) -> Status {
        let saved = self.state.streams.insert(0, input);
        let result = work(self);
        match saved {
            Some(saved) => self.state.streams.insert(0, saved),
            None => self.state.streams.remove(&0),
        };
        result
    }

    /// Whether `name` is a command here, and where: as `command -v` says it.
    pub(in crate::debian::script) fn found(&mut self, name: &[u8]) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(name).into_owned();
        if self.state.functions.contains_key(&text[..]) || builtin::find(&text).is_some() {
            return Some(name.to_vec());
        }
        self.found_in_path(name)
    }

    pub(in crate::debian::script) fn found_in_path(&mut self, name: &[u8]) -> Option<Vec<u8>> {
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

    pub(super) fn is_executable(&mut self, path: &[u8]) -> bool {
        let stat = self.world.stat(&self.state.cwd, path, Last::Followed);
        stat.is_ok_and(|stat| stat.kind == Kind::File && stat.meta.mode & 0o111 != 0)
    }

    /// A shell script that a package has brought, evaluated as the script that calls it is.
    pub(in crate::debian::script) fn script_of_the_tree(
        &mut self,
        path: &[u8],
        words: &[Rc<[u8]>],
    ) -> Status {
        let cwd = self.state.cwd.clone();
        // What is longer than any script is a program.
        let stat = self.world.stat(&cwd, path, Last::Followed);
        let text = match stat.and_then(|stat| {
            if stat.size > LONGEST_SCRIPT { Ok(Vec::new()) } else { self.world.read(&cwd, path) }
        }) {
            Ok(text) => text,
            Err(errno) => return self.failed(words, path, errno),
        };
        let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let is_shell = first.starts_with(b"#!") && self.clone_switches(first).is_some();
        let base = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        // A program in a folder of its package's own, which is known by its name.
        let base = String::from_utf8_lossy(base).into_owned();
        if !is_shell && let Some(run) = commands::find(&base).or_else(|| commands::by_convention(&base)) {
            return self.nested(|shell| run(shell, words));
        }
        if !is_shell {
            return self
                .cannot_be_run(words, "this command is not known, and what lies there is no shell script");
        }
        let name: Rc<[u8]> = path.into();
        let positional: Rc<[Rc<[u8]>]> = words[1..].into();
        let switches = self.clone_switches(first).unwrap_or_default();
        // What it defines is gone with it.
        let defined = self.defined;
        let before = text.len();
        let result = self.subshell(|shell| {
            shell.as_new(switches, positional)?;
            shell.state.zero = name.to_vec();
            let (line, tested) = (shell.line, std::mem::take(&mut shell.tested));
            let result = shell.text_that_goes(&text, defined);
            (shell.line, shell.tested) = (line, tested);
            result
        });
        self.world.fuel.give_back(before);
        result
    }

    /// A program that is not run ends the evaluation, unless the script itself goes on where it fails (`PROGRAM … || true`): then
    /// it has failed, which the ledger tells.
    pub(in crate::debian::script) fn cannot_be_run(&mut self, words: &[Rc<[u8]>], what: &str) -> Status {
        if !self.spared {
            return Err(self.fault(words, what));
        }
        let name = words.first().map(|name| name.escape_ascii().to_string()).unwrap_or_default();
        self.world.not_done(&format!("what `{name}` does, without which the script goes on"));
        Ok(1)
    }

    /// The switches that a first line sets; nothing where it is no shell's.
    pub(super) fn clone_switches(&mut self, first: &[u8]) -> Option<Switches> {
        let saved = std::mem::take(&mut self.state.switches);
        let result = self.switches_of_first_line(first);
        let switches = std::mem::replace(&mut self.state.switches, saved);
        result.ok().map(|()| switches)
    }

    pub(super) fn function(&mut self, body: &Compound, words: &[Rc<[u8]>]) -> Status {
        self.spend_bytes(16 * words.len())?;
        self.spared = false;
        let positional = std::mem::replace(&mut self.state.positional, words[1..].into());
        let getopts = std::mem::take(&mut self.state.getopts);
        self.frames.push(Frame::default());
        let loops = std::mem::take(&mut self.loops);
        let result = self.nested(|shell| shell.compound(body));
        self.loops = loops;
        let frame = self.frames.pop().unwrap_or_default();
        for (name, old) in frame.variables {
            self.put_back(name, old)?;
        }
        if let Some(switches) = frame.switches {
            self.state.switches = switches;
        }
        (self.state.positional, self.state.getopts) = (positional, getopts);
        match result {
            Err(Flow::Return(status)) => Ok(status),
            other => other,
        }
    }

    /// `set -x`.
    pub(super) fn trace(&mut self, words: &[Rc<[u8]>]) -> Result<(), Flow> {
        if self.state.switches.xtrace {
            self.spend_bytes(words.iter().map(|word| word.len() + 1).sum())?;
            let line = [b"+ ", &words.join(&b' ')[..], b"\n"].concat();
            self.say_error(&line)?;
        }
        Ok(())
    }
}

/// The words with a command's name alone at their start.
fn named(base: &str, words: &[Rc<[u8]>]) -> Vec<Rc<[u8]>> {
    let mut words = words.to_vec();
    if let Some(name) = words.first_mut()
        && **name != *base.as_bytes()
    {
        *name = base.as_bytes().into();
    }
    words
}
