//! Commands that are part of the shell: they change its state, or must not be looked up.

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
            | b"local"
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

/// What dash has too, but means nothing where nothing runs, or changes how text is read.
pub(super) fn is_not_evaluated(name: &str, bash: bool) -> bool {
    match name {
        "bg" | "fc" | "fg" | "jobs" | "times" | "ulimit" => true,
        "builtin" | "declare" | "typeset" | "let" | "pushd" | "popd" | "shopt" | "mapfile" | "readarray" => {
            bash
        }
        _ => false,
    }
}

/// The built-in of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        ":" | "true" => |_, _| Ok(0),
        "alias" => alias,
        "unalias" => unalias,
        "false" => |_, _| Ok(1),
        "." => source,
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
            shell.error(said)
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
    let words = if words.get(1).is_some_and(|word| &**word == b"--") { &words[1..] } else { words };
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
            return shell.error(said);
        }
        Err(errno) => return Err(shell.fault(words, errno.to_string())),
    };
    let line = shell.line;
    // A sourced file is read anew: what looks at the status of `.` does not look at those in it.
    let tested = std::mem::take(&mut shell.tested);
    let result = shell.text(&text, 0);
    (shell.line, shell.tested) = (line, tested);
    match result {
        Err(Flow::Return(status)) => Ok(status),
        other => other,
    }
}

fn change_directory(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut words, mut physical) = (&words[1..], false);
    while let Some(b"--" | b"-L" | b"-P") = words.first().map(|word| &**word) {
        physical = &*words[0] == b"-P";
        words = &words[1..];
    }
    let back = words.first().is_some_and(|word| &**word == b"-");
    let target = match words.first() {
        Some(_) if back => shell.get("OLDPWD"),
        Some(word) => Some(word.clone()),
        None => shell.get("HOME"),
    };
    let Some(target) = target else { return Ok(2) };
    if target.is_empty() {
        return Ok(0);
    }
    let cwd = shell.cwd().to_vec();
    // As it was written: `..` takes back the link by which one came (POSIX cd, step 8).
    let named = if physical { target.to_vec() } else { without_dots(&cwd, &target) };
    match shell.world.stat(&cwd, &named, Last::Followed) {
        Ok(stat) if stat.kind == Kind::Directory => {
            let now = if physical { [b"/", stat.path.as_bytes()].concat() } else { named };
            shell.set("OLDPWD", cwd.into())?;
            shell.set("PWD", now.clone().into())?;
            if back {
                shell.say(&[&now[..], b"\n"].concat())?;
            }
            shell.state.cwd = now;
            Ok(0)
        }
        Ok(_) | Err(_) => shell.error(format!("cd: can't cd to {}\n", target.escape_ascii())),
    }
}

/// An absolute path in which no name is `.` or `..`, by the names alone.
fn without_dots(cwd: &[u8], path: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = Vec::new();
    let before = if path.starts_with(b"/") { &b""[..] } else { cwd };
    for name in before.split(|byte| *byte == b'/').chain(path.split(|byte| *byte == b'/')) {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    [b"/", &names.join(&b'/')[..]].concat()
}

fn pwd(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut now = shell.cwd().to_vec();
    if words.get(1).is_some_and(|word| &**word == b"-P")
        && let Ok(stat) = shell.world.stat(b"/", &now, Last::Followed)
    {
        now = [b"/", stat.path.as_bytes()].concat();
    }
    let line = [&now[..], b"\n"].concat();
    shell.say(&line)?;
    Ok(0)
}

/// `command NAME …`, `command -v NAME`, `command -V NAME`.
fn command(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    match words.get(1).map(|word| &**word) {
        None => Ok(0),
        Some(b"-v") => {
            let mut status = 0;
            for name in &words[2..] {
                match shell.found(name) {
                    Some(found) => shell.say(&[&found[..], b"\n"].concat())?,
                    None if syntax::is_reserved(name) => shell.say(&[&name[..], b"\n"].concat())?,
                    None => status = 127,
                }
            }
            Ok(status)
        }
        Some(b"-V") => type_(shell, &words[1..]),
        Some(b"-p" | b"--") => {
            let mut rest = &words[2..];
            while rest.first().is_some_and(|word| matches!(&**word, b"-p" | b"--")) {
                rest = &rest[1..];
            }
            shell.spend(20 * words.len() as u64)?;
            let words = [&words[..1], rest].concat();
            command(shell, &words)
        }
        Some(option) if option.starts_with(b"-") => Err(shell.fault(words, "this option is not known")),
        Some(name) => {
            let name = String::from_utf8_lossy(name).into_owned();
            // A special built-in is none here: its error ends it alone.
            match shell.invoke_beyond_functions(&name, &words[1..]) {
                Err(Flow::Error(status)) => Ok(status),
                other => other,
            }
        }
    }
}

fn type_(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut status = 0;
    for name in &words[1..] {
        let text = String::from_utf8_lossy(name).into_owned();
        let what: Vec<u8> = if syntax::is_reserved(name) {
            b" is a shell keyword".to_vec()
        } else if is_special(name) {
            b" is a special shell builtin".to_vec()
        } else if shell.state.functions.contains_key(&text[..]) {
            b" is a shell function".to_vec()
        } else if find(&text).is_some() {
            b" is a shell builtin".to_vec()
        } else if let Some(found) = shell.found_in_path(name) {
            [b" is ", &found[..]].concat()
        } else {
            status = 127;
            b": not found".to_vec()
        };
        shell.say(&[name, &what[..], b"\n"].concat())?;
    }
    Ok(status)
}

fn eval(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    shell.spend_bytes(words.iter().map(|word| word.len() + 1).sum())?;
    let text = words[1..].join(&b' ');
    let base = shell.line.saturating_sub(1);
    shell.spend_bytes(text.len())?;
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
    let status = shell.program(&name, rest)?;
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
    shell.error(said)
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
        change(shell.variable(&name)?);
    }
    Ok(0)
}

fn local(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if shell.frames.is_empty() {
        return shell.error(b"local: not in a function\n");
    }
    // `-r` and the like are bash's; what they add is not looked at.
    let bash = shell.state.switches.bash;
    for word in words[1..].iter().filter(|word| !bash || !matches!(&***word, b"-r" | b"-i" | b"-x")) {
        if &**word == b"-" {
            let switches = shell.state.switches;
            if let Some(frame) = shell.frames.last_mut() {
                frame.switches.get_or_insert(switches);
            }
            continue;
        }
        let (name, value) = split(shell, words, word)?;
        shell.spend_bytes(100 + name.len())?;
        let old = shell.state.variables.get(&name[..]).cloned();
        if let Some(frame) = shell.frames.last_mut() {
            frame.variables.entry(name[..].into()).or_insert(old);
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
            _ if functions => drop(shell.functions()?.remove(&name[..])),
            _ if shell.state.variables.get(&name[..]).is_some_and(|variable| variable.readonly) => {
                return shell.error(format!("unset: {name}: is read only\n"));
            }
            _ if !syntax::is_name(name.as_bytes()) => {
                return shell.error(format!("unset: {}: bad variable name\n", name.escape_debug()));
            }
            _ => drop(shell.variables()?.remove(&name[..])),
        }
    }
    Ok(0)
}

fn set(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        let on = match word.first() {
            Some(b'-') if word.len() > 1 => true,
            // Alone it only ends the options.
            Some(b'-') => {
                at += 1;
                break;
            }
            Some(b'+') if word.len() > 1 => false,
            _ => break,
        };
        at += 1;
        if &**word == b"--" {
            shell.state.positional = words[at..].into();
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
                b"pipefail" if switches.bash => switches.pipefail = on,
                b"verbose" | b"monitor" | b"notify" | b"hashall" => {}
                // bash has it, dash has not: there it is an error.
                _ => {
                    return shell.error(format!("set: Illegal option {}\n", word.escape_ascii()));
                }
            }
        }
    }
    if at < words.len() {
        shell.state.positional = words[at..].into();
    }
    if words.len() == 1 {
        return variables(shell);
    }
    Ok(0)
}

/// Every variable, so that the shell reads it again.
fn variables(shell: &mut Shell<'_, '_>) -> Status {
    let all = shell.state.variables.clone();
    let mut text = Vec::new();
    for (name, value) in all.iter().filter_map(|(name, one)| Some((name, one.value.as_ref()?))) {
        shell.spend_bytes(name.len() + 5 * value.len())?;
        text.extend([name.as_bytes(), b"="].concat());
        let mut rest = &value[..];
        loop {
            let plain = rest.iter().position(|&byte| byte == b'\'').unwrap_or(rest.len());
            text.extend([b"'", &rest[..plain], b"'"].concat());
            rest = &rest[plain..];
            let quotes = rest.iter().take_while(|&&byte| byte == b'\'').count();
            if quotes > 0 {
                text.extend([b"\"", &rest[..quotes], b"\""].concat());
                rest = &rest[quotes..];
            }
            if rest.is_empty() {
                break;
            }
        }
        text.push(b'\n');
    }
    shell.say(&text)?;
    Ok(0)
}

fn shift(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let count = usize::try_from(number(shell, words, 1)?).unwrap_or_default();
    if count > shell.state.positional.len() {
        return shell.error(b"shift: can't shift that many\n");
    }
    shell.spend(20 * shell.state.positional.len() as u64)?;
    shell.state.positional = shell.state.positional[count..].into();
    Ok(0)
}

/// `trap ACTION CONDITION…`: only the end of the shell happens here; signals never come.
fn trap(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut words = &words[1..];
    if words.first().is_some_and(|word| &**word == b"--") {
        words = &words[1..];
    }
    let Some((action, conditions)) = words.split_first() else {
        if let Some(action) = shell.state.at_exit.clone() {
            shell.spend_bytes(4 * action.len())?;
            let quoted = String::from_utf8_lossy(&action).replace('\'', "'\"'\"'");
            shell.say(format!("trap -- '{quoted}' EXIT\n").as_bytes())?;
        }
        return Ok(0);
    };
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
    let mask = shell.state.umask;
    let word = match words.get(1).map(|word| &**word) {
        None => {
            shell.say(format!("{mask:04o}\n").as_bytes())?;
            return Ok(0);
        }
        Some(b"-S") => {
            let letters = |bits: u32| -> String {
                [(4, 'r'), (2, 'w'), (1, 'x')]
                    .iter()
                    .filter(|(bit, _)| bits & bit == 0)
                    .map(|(_, letter)| letter)
                    .collect()
            };
            let line = format!("u={},g={},o={}\n", letters(mask >> 6), letters(mask >> 3), letters(mask));
            shell.say(line.as_bytes())?;
            return Ok(0);
        }
        Some(word) => String::from_utf8_lossy(word).into_owned(),
    };
    let new = if word.starts_with(|letter: char| letter.is_ascii_digit()) {
        u32::from_str_radix(&word, 8).ok().filter(|mask| *mask <= 0o777)
    } else {
        symbolic(&word, !mask & 0o777).map(|allowed| !allowed & 0o777)
    };
    match new {
        Some(mask) => {
            shell.state.umask = mask;
            Ok(0)
        }
        None => shell.error(format!("umask: Illegal mode: {}\n", word.escape_debug())),
    }
}

/// Permission bits after `u=rwx,g-w,…`; nothing where it is not of that form.
fn symbolic(text: &str, mut bits: u32) -> Option<u32> {
    for clause in text.split(',') {
        let at = clause.find(['=', '+', '-'])?;
        let (who, change) = clause.split_at(at);
        let mut places = 0;
        for letter in who.chars() {
            places |= match letter {
                'u' => 0o700,
                'g' => 0o070,
                'o' => 0o007,
                'a' => 0o777,
                _ => return None,
            };
        }
        let places = if who.is_empty() { 0o777 } else { places };
        let mut set = 0;
        for letter in change[1..].chars() {
            set |= match letter {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                _ => return None,
            };
        }
        bits = match &change[..1] {
            "=" => bits & !places | set & places,
            "+" => bits | set & places,
            _ => bits & !(set & places),
        };
    }
    Some(bits)
}

/// `alias NAME=TEXT`: a function that runs the text with the words behind its name, which is the same for every text that is
/// a command.
fn alias(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    for word in &words[1..] {
        let text = String::from_utf8_lossy(word).into_owned();
        let Some((name, value)) = text.split_once('=') else {
            return Err(shell.fault(words, "an alias is not printed"));
        };
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name || value.contains(['\n', ';', '&', '#']) {
            return Err(shell.fault(words, "this alias is not evaluated"));
        }
        // `alias ls='ls -l'` does not call itself.
        let itself = value.split_whitespace().next() == Some(name);
        let before = if itself { "command " } else { "" };
        let body = format!("{name}() {{ {before}{value} \"$@\"; }}");
        let line = shell.line;
        shell.text(body.as_bytes(), line.saturating_sub(1))?;
    }
    Ok(0)
}

fn unalias(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut call: Vec<Word> = vec![Rc::from(&b"unset"[..]), Rc::from(&b"-f"[..])];
    call.extend(words[1..].iter().cloned());
    unset(shell, &call)
}
