//! Commands that are part of the shell: they change its state, or must not be looked up.

#![expect(clippy::unnecessary_wraps, reason = "all commands have one type")]

use std::rc::Rc;

use super::super::syntax;
use super::super::world::Kind;
use super::super::world::Last;
use super::Flow;
use super::Shell;
use super::Status;
use super::Variable;
use super::print;
use super::read;
use super::test;

pub(super) type Word = Rc<[u8]>;
/// A command: the shell that runs it, its words with its name first.
pub(in crate::debian::script) type Command = fn(&mut Shell<'_, '_>, &[Word]) -> Status;

/// The special built-ins of POSIX: assignments before them stay, a function cannot hide them.
pub(super) fn is_special(name: &[u8]) -> bool {
    matches!(
        name,
        b"." | b":"
            | b"break"
            | b"continue"
            | b"eval"
            | b"exec"
            | b"exit"
            | b"export"
            | b"readonly"
            | b"return"
            | b"set"
            | b"shift"
            | b"times"
            | b"trap"
            | b"unset"
    )
}

/// The built-in of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        ":" | "true" => |_, _| Ok(0),
        "false" => |_, _| Ok(1),
        "." | "source" => source,
        "[" | "test" => test::run,
        "break" => |shell, words| leave(shell, words, Flow::Break),
        "continue" => |shell, words| leave(shell, words, Flow::Continue),
        "cd" | "chdir" => change_directory,
        "command" => command,
        "echo" => print::echo,
        "eval" => eval,
        "exec" => exec,
        "exit" => exit,
        "export" => |shell, words| declare(shell, words, |variable| variable.exported = true),
        "readonly" => |shell, words| declare(shell, words, |variable| variable.readonly = true),
        "getopts" => read::getopts,
        "hash" => |_, _| Ok(0),
        "local" => local,
        "printf" => print::printf,
        "pwd" => pwd,
        "read" => read::read,
        "return" => return_,
        "set" => set,
        "shift" => shift,
        "trap" => trap,
        "type" => type_,
        "umask" => umask,
        "unset" => unset,
        "wait" => |_, _| Ok(0),
        _ => return None,
    })
}

fn number(shell: &mut Shell<'_, '_>, words: &[Word], default: i32) -> Result<i32, Flow> {
    let Some(word) = words.get(1) else { return Ok(default) };
    match String::from_utf8_lossy(word).parse::<i32>() {
        Ok(number) if number >= 0 => Ok(number),
        _ => {
            let said = format!("Illegal number: {}\n", word.escape_ascii());
            shell.say_error(said.as_bytes())?;
            Err(Flow::Exit(2))
        }
    }
}

fn exit(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let status = number(shell, words, shell.status)?;
    Err(Flow::Exit(status & 0xff))
}

fn return_(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let status = number(shell, words, shell.status)?;
    Err(Flow::Return(status & 0xff))
}

fn leave(shell: &mut Shell<'_, '_>, words: &[Word], flow: fn(u32) -> Flow) -> Status {
    let count = number(shell, words, 1)?;
    let count = u32::try_from(count).unwrap_or(1).clamp(1, shell.loops.max(1));
    if shell.loops == 0 { Ok(0) } else { Err(flow(count)) }
}

/// `. FILE`: a file of the tree, or debconf's module, whose commands are ours.
fn source(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let Some(name) = words.get(1) else { return Ok(2) };
    if &**name == b"/usr/share/debconf/confmodule" {
        shell.state.confmodule = true;
        // The module takes descriptor 1 for its protocol; what the script prints goes to descriptor 2, and 3 is the protocol's.
        if let Some(errors) = shell.state.streams.get(&2).cloned() {
            shell.state.streams.insert(1, errors.clone());
            shell.state.streams.insert(3, errors);
        }
        return Ok(0);
    }
    let path = if name.contains(&b'/') {
        name.to_vec()
    } else {
        shell.found_in_path(name).unwrap_or_else(|| name.to_vec())
    };
    let cwd = shell.cwd().to_vec();
    let text = match shell.world.read(&cwd, &path) {
        Ok(text) => text,
        Err(errno) if errno.is_told() => {
            let said = format!(
                "{}: .: cannot open {}: No such file\n",
                String::from_utf8_lossy(&shell.state.zero),
                path.escape_ascii()
            );
            shell.say_error(said.as_bytes())?;
            return Err(Flow::Exit(2));
        }
        Err(errno) => return Err(shell.fault(words, errno.to_string())),
    };
    let line = shell.line;
    shell.status = 0;
    let result = shell.text(&text, 0);
    shell.line = line;
    match result {
        Err(Flow::Return(status)) => Ok(status),
        other => other,
    }
}

fn change_directory(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let target = match words.get(1) {
        Some(word) if &**word == b"--" => words.get(2).cloned(),
        Some(word) if &**word == b"-" => shell.get("OLDPWD"),
        Some(word) => Some(word.clone()),
        None => shell.get("HOME"),
    };
    let Some(target) = target else { return Ok(2) };
    let cwd = shell.cwd().to_vec();
    match shell.world.stat(&cwd, &target, Last::Followed) {
        Ok(stat) if stat.kind == Kind::Directory => {
            // Without `-P` the shell keeps the name by which it came; here names and places are one.
            let now = [b"/", stat.path.as_bytes()].concat();
            shell.set("OLDPWD", cwd.into())?;
            shell.set("PWD", now.clone().into())?;
            shell.state.cwd = now;
            Ok(0)
        }
        Ok(_) | Err(_) => {
            let said = format!("cd: can't cd to {}\n", target.escape_ascii());
            shell.say_error(said.as_bytes())?;
            Ok(2)
        }
    }
}

fn pwd(shell: &mut Shell<'_, '_>, _: &[Word]) -> Status {
    let line = [shell.cwd(), b"\n"].concat();
    shell.say(&line)?;
    Ok(0)
}

/// `command NAME …`, `command -v NAME`, `command -V NAME`.
fn command(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    match words.get(1).map(|word| &**word) {
        None => Ok(0),
        Some(b"-v" | b"-V") => {
            let mut status = 0;
            for name in &words[2..] {
                match shell.found(name) {
                    Some(found) => shell.say(&[&found[..], b"\n"].concat())?,
                    None => status = 127,
                }
            }
            Ok(status)
        }
        Some(b"-p" | b"--") => command(shell, &[&words[..1], &words[2..]].concat()),
        Some(option) if option.starts_with(b"-") => Err(shell.fault(words, "this option is not known")),
        Some(name) => {
            let name = String::from_utf8_lossy(name).into_owned();
            shell.invoke_beyond_functions(&name, &words[1..])
        }
    }
}

fn type_(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut status = 0;
    for name in &words[1..] {
        let said = match shell.found(name) {
            Some(found) if found == **name => [name, &b" is a shell builtin\n"[..]].concat(),
            Some(found) => [name, &b" is "[..], &found, b"\n"].concat(),
            None => {
                status = 127;
                [name, &b": not found\n"[..]].concat()
            }
        };
        shell.say(&said)?;
    }
    Ok(status)
}

fn eval(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let text = words[1..].join(&b' ');
    let base = shell.line.saturating_sub(1);
    shell.status = 0;
    shell.text(&text, base)
}

/// `exec COMMAND`: the command, and then nothing more.
fn exec(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let rest = match words.get(1).map(|word| &**word) {
        Some(b"--") => &words[2..],
        _ => &words[1..],
    };
    let Some(name) = rest.first() else { return Ok(0) };
    let name = String::from_utf8_lossy(name).into_owned();
    let status = shell.invoke_beyond_functions(&name, rest)?;
    shell.state.at_exit = None;
    Err(Flow::Exit(status))
}

/// `NAME=VALUE` or `NAME`.
fn split(shell: &mut Shell<'_, '_>, words: &[Word], word: &[u8]) -> Result<(String, Option<Word>), Flow> {
    let text = String::from_utf8_lossy(word).into_owned();
    let (name, value) = match memchr::memchr(b'=', word) {
        Some(at) => (text.split('=').next().unwrap_or_default().to_owned(), Some(Rc::from(&word[at + 1..]))),
        None => (text, None),
    };
    if syntax::is_name(name.as_bytes()) {
        return Ok((name, value));
    }
    let said = format!("{}: {}: bad variable name\n", words[0].escape_ascii(), name.escape_debug());
    shell.say_error(said.as_bytes())?;
    Err(Flow::Exit(2))
}

fn declare(shell: &mut Shell<'_, '_>, words: &[Word], change: fn(&mut Variable)) -> Status {
    for word in &words[1..] {
        if &**word == b"-p" {
            return Err(shell.fault(words, "this option is not known"));
        }
        let (name, value) = split(shell, words, word)?;
        if let Some(value) = value {
            shell.set(&name, value)?;
        }
        change(shell.state.variables.entry(name).or_default());
    }
    Ok(0)
}

fn local(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if shell.hidden.is_empty() {
        shell.say_error(b"local: not in a function\n")?;
        return Err(Flow::Exit(2));
    }
    // `-r` and the like are bash's; what they add is not looked at.
    for word in words[1..].iter().filter(|word| !matches!(&***word, b"-r" | b"-i" | b"-x")) {
        let (name, value) = split(shell, words, word)?;
        let old = shell.state.variables.get(&name).cloned();
        if let Some(hidden) = shell.hidden.last_mut() {
            hidden.entry(name.clone()).or_insert(old);
        }
        // Without a value dash keeps the one from outside.
        if let Some(value) = value {
            shell.set(&name, value)?;
        }
    }
    Ok(0)
}

fn unset(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut functions = false;
    for word in &words[1..] {
        let name = String::from_utf8_lossy(word).into_owned();
        match &*name {
            "-f" => functions = true,
            "-v" => functions = false,
            _ if functions => drop(shell.state.functions.remove(&name)),
            _ if shell.state.variables.get(&name).is_some_and(|variable| variable.readonly) => {
                shell.say_error(format!("unset: {name}: is read only\n").as_bytes())?;
                return Err(Flow::Exit(2));
            }
            _ => drop(shell.state.variables.remove(&name)),
        }
    }
    Ok(0)
}

fn set(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        let on = match word.first() {
            Some(b'-') if word.len() > 1 => true,
            Some(b'+') if word.len() > 1 => false,
            _ => break,
        };
        at += 1;
        if &**word == b"--" {
            shell.state.positional = words[at..].to_vec();
            return Ok(0);
        }
        for letter in &word[1..] {
            let name: &[u8] = match letter {
                b'o' => {
                    at += 1;
                    match words.get(at - 1) {
                        Some(name) => name,
                        None => return Err(shell.fault(words, "a list of options is not printed")),
                    }
                }
                b'e' => b"errexit",
                b'u' => b"nounset",
                b'f' => b"noglob",
                b'x' => b"xtrace",
                b'a' => b"allexport",
                b'C' => b"noclobber",
                b'v' | b'm' | b'b' | b'h' => b"verbose",
                _ => b"",
            };
            let switches = &mut shell.state.switches;
            match name {
                b"errexit" => switches.errexit = on,
                b"nounset" => switches.nounset = on,
                b"noglob" => switches.noglob = on,
                b"xtrace" => switches.xtrace = on,
                b"allexport" => switches.allexport = on,
                b"noclobber" => switches.noclobber = on,
                b"verbose" | b"monitor" | b"notify" | b"hashall" => {}
                // bash has it, dash has not: there it is an error.
                _ => {
                    shell.say_error(format!("set: Illegal option {}\n", word.escape_ascii()).as_bytes())?;
                    return Err(Flow::Exit(2));
                }
            }
        }
    }
    if at < words.len() {
        shell.state.positional = words[at..].to_vec();
    }
    Ok(0)
}

fn shift(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let count = usize::try_from(number(shell, words, 1)?).unwrap_or_default();
    if count > shell.state.positional.len() {
        shell.say_error(b"shift: can't shift that many\n")?;
        return Err(Flow::Exit(2));
    }
    shell.state.positional.drain(..count);
    Ok(0)
}

/// `trap ACTION CONDITION…`: only the end of the shell happens here; signals never come.
fn trap(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut words = &words[1..];
    if words.first().is_some_and(|word| &**word == b"--") {
        words = &words[1..];
    }
    let Some((action, conditions)) = words.split_first() else { return Ok(0) };
    let (action, conditions) = match conditions {
        [] => (None, words),
        _ if &**action == b"-" => (None, conditions),
        _ => (Some(action.clone()), conditions),
    };
    for condition in conditions {
        if matches!(&**condition, b"EXIT" | b"0") {
            shell.state.at_exit.clone_from(&action);
        }
    }
    Ok(0)
}

fn umask(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let Some(word) = words.get(1) else {
        let line = format!("{:04o}\n", shell.state.umask);
        shell.say(line.as_bytes())?;
        return Ok(0);
    };
    match u32::from_str_radix(&String::from_utf8_lossy(word), 8) {
        Ok(mask) if mask <= 0o777 => {
            shell.state.umask = mask;
            Ok(0)
        }
        _ => Err(shell.fault(words, "a mask is three octal digits")),
    }
}
