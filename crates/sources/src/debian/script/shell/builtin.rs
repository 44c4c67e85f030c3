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
use super::test;

type Word = Rc<[u8]>;
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
        "echo" => echo,
        "eval" => eval,
        "exec" => exec,
        "exit" => exit,
        "export" => |shell, words| declare(shell, words, |variable| variable.exported = true),
        "readonly" => |shell, words| declare(shell, words, |variable| variable.readonly = true),
        "getopts" => getopts,
        "hash" => |_, _| Ok(0),
        "local" => local,
        "printf" => printf,
        "pwd" => pwd,
        "read" => read,
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

/// `echo` as dash has it: `-n`, and escapes as in `printf %b`.
fn echo(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut words = &words[1..];
    let newline = words.first().is_none_or(|word| &**word != b"-n");
    if !newline {
        words = &words[1..];
    }
    let mut line = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            line.push(b' ');
        }
        if unescape(word, &mut line) == Rest::Dropped {
            shell.say(&line)?;
            return Ok(0);
        }
    }
    if newline {
        line.push(b'\n');
    }
    shell.say(&line)?;
    Ok(0)
}

/// Whether `\c` was met, after which nothing is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Printed,
    Dropped,
}

/// Escapes of `echo` and `%b`.
fn unescape(word: &[u8], out: &mut Vec<u8>) -> Rest {
    let mut at = 0;
    while let Some(&byte) = word.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&escaped) = word.get(at) else {
            out.push(b'\\');
            break;
        };
        at += 1;
        match escaped {
            b'c' => return Rest::Dropped,
            b'0' => {
                let digits = word[at..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                out.push(octal(&word[at..at + digits]));
                at += digits;
            }
            other => match letter(other) {
                Some(byte) => out.push(byte),
                None => out.extend([b'\\', other]),
            },
        }
    }
    Rest::Printed
}

fn letter(escaped: u8) -> Option<u8> {
    Some(match escaped {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        _ => return None,
    })
}

fn octal(digits: &[u8]) -> u8 {
    digits.iter().fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0'))
}

/// `printf FORMAT ARGUMENT…`: `%s %b %c %d %i %u %o %x %X %%` with flags, width and precision; the format is used again as
/// long as arguments are left.
fn printf(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut words = &words[1..];
    if words.first().is_some_and(|word| &**word == b"--") {
        words = &words[1..];
    }
    let Some((format, mut arguments)) = words.split_first() else {
        shell.say_error(b"printf: usage: printf format [arg ...]\n")?;
        return Ok(2);
    };
    let (mut out, mut status) = (Vec::new(), 0);
    loop {
        let before = arguments.len();
        if print_once(shell, format, &mut arguments, &mut out, &mut status)? == Rest::Dropped {
            break;
        }
        shell.spend(1 + out.len() as u64 / 1024)?;
        if arguments.is_empty() || arguments.len() == before {
            break;
        }
    }
    shell.say(&out)?;
    Ok(status)
}

fn print_once(
    shell: &mut Shell<'_, '_>,
    format: &[u8],
    arguments: &mut &[Word],
    out: &mut Vec<u8>,
    status: &mut i32,
) -> Result<Rest, Flow> {
    let mut at = 0;
    while let Some(&byte) = format.get(at) {
        at += 1;
        match byte {
            b'\\' => match format.get(at) {
                Some(digit @ b'0'..=b'7') => {
                    let _ = digit;
                    let digits =
                        format[at..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                    out.push(octal(&format[at..at + digits]));
                    at += digits;
                }
                Some(b'c') => return Ok(Rest::Dropped),
                Some(&other) => {
                    at += 1;
                    match letter(other) {
                        Some(byte) => out.push(byte),
                        None if matches!(other, b'"' | b'\'') => out.push(other),
                        None => out.extend([b'\\', other]),
                    }
                }
                None => out.push(b'\\'),
            },
            b'%' if format.get(at) == Some(&b'%') => {
                out.push(b'%');
                at += 1;
            }
            b'%' => {
                let length =
                    format[at..].iter().take_while(|byte| b"-+ #0123456789.*".contains(byte)).count();
                let flags = format[at..at + length].to_vec();
                at += length;
                let Some(&conversion) = format.get(at) else {
                    out.push(b'%');
                    out.extend(flags);
                    break;
                };
                at += 1;
                if convert(shell, conversion, &flags, arguments, out, status)? == Rest::Dropped {
                    return Ok(Rest::Dropped);
                }
            }
            _ => out.push(byte),
        }
    }
    Ok(Rest::Printed)
}

/// Flags, width and precision of a conversion.
#[derive(Default)]
struct Layout {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// Widest field that is printed.
const MAX_WIDTH: i64 = 4096;

fn convert(
    shell: &mut Shell<'_, '_>,
    conversion: u8,
    flags: &[u8],
    arguments: &mut &[Word],
    out: &mut Vec<u8>,
    status: &mut i32,
) -> Result<Rest, Flow> {
    fn next(arguments: &mut &[Word]) -> Option<Word> {
        let (first, rest) = arguments.split_first()?;
        *arguments = rest;
        Some(first.clone())
    }
    let mut layout = Layout::default();
    let (mut in_precision, mut digits) = (false, String::new());
    let settle = |layout: &mut Layout, digits: &mut String, in_precision: bool| {
        let value: i64 = digits.parse().unwrap_or(0).clamp(0, MAX_WIDTH);
        digits.clear();
        let value = usize::try_from(value).unwrap_or_default();
        if in_precision { layout.precision = Some(value) } else { layout.width = value }
    };
    for &flag in flags {
        match flag {
            b'-' if digits.is_empty() => layout.left = true,
            b'+' => layout.plus = true,
            b' ' => layout.space = true,
            b'#' => layout.alternate = true,
            b'0' if digits.is_empty() && !in_precision => layout.zero = true,
            b'0'..=b'9' => digits.push(char::from(flag)),
            b'*' => {
                let word = next(arguments).unwrap_or_else(|| Rc::from(&b"0"[..]));
                digits = integer(&word).0.to_string();
                layout.left |= digits.starts_with('-');
                digits = digits.trim_start_matches('-').to_owned();
            }
            _ => {
                settle(&mut layout, &mut digits, in_precision);
                in_precision = true;
            }
        }
    }
    settle(&mut layout, &mut digits, in_precision);
    let argument = next(arguments);
    match conversion {
        b's' | b'b' | b'c' => {
            let word = argument.unwrap_or_else(|| Rc::from(&b""[..]));
            let mut text = Vec::new();
            let mut rest = Rest::Printed;
            match conversion {
                b's' => text.extend_from_slice(&word),
                b'c' => text.extend(word.first()),
                _ => rest = unescape(&word, &mut text),
            }
            text.truncate(layout.precision.unwrap_or(usize::MAX));
            pad(&text, &layout, b' ', out);
            Ok(rest)
        }
        b'd' | b'i' | b'u' | b'o' | b'x' | b'X' => {
            let word = argument.unwrap_or_else(|| Rc::from(&b"0"[..]));
            let (value, complete) = integer(&word);
            if !complete {
                let said = format!("printf: {}: expected numeric value\n", word.escape_ascii());
                shell.say_error(said.as_bytes())?;
                *status = 1;
            }
            let magnitude = match conversion {
                b'd' | b'i' => value.unsigned_abs().to_string(),
                b'u' => value.cast_unsigned().to_string(),
                b'o' => format!("{:o}", value.cast_unsigned()),
                b'x' => format!("{:x}", value.cast_unsigned()),
                _ => format!("{:X}", value.cast_unsigned()),
            };
            let sign = match conversion {
                b'd' | b'i' if value < 0 => "-",
                b'd' | b'i' if layout.plus => "+",
                b'd' | b'i' if layout.space => " ",
                b'x' if layout.alternate && value != 0 => "0x",
                b'X' if layout.alternate && value != 0 => "0X",
                b'o' if layout.alternate => "0",
                _ => "",
            };
            let wanted = layout.precision.unwrap_or_else(|| {
                if layout.zero && !layout.left { layout.width.saturating_sub(sign.len()) } else { 0 }
            });
            let zeros = "0".repeat(wanted.saturating_sub(magnitude.len()));
            pad(format!("{sign}{zeros}{magnitude}").as_bytes(), &layout, b' ', out);
            Ok(Rest::Printed)
        }
        other => {
            let what = format!("the conversion `%{}` of printf is not known", other.escape_ascii());
            Err(shell.fault(&[], what))
        }
    }
}

fn pad(text: &[u8], layout: &Layout, fill: u8, out: &mut Vec<u8>) {
    let missing = layout.width.saturating_sub(text.len());
    if layout.left {
        out.extend_from_slice(text);
        out.extend(std::iter::repeat_n(fill, missing));
    } else {
        out.extend(std::iter::repeat_n(fill, missing));
        out.extend_from_slice(text);
    }
}

/// A number as printf reads it: decimal, `0` octal, `0x` hexadecimal, `'c` the code of a character. Whether all was read.
fn integer(word: &[u8]) -> (i64, bool) {
    let text = String::from_utf8_lossy(word);
    let text = text.trim_start();
    if let Some(character) = text.strip_prefix(['\'', '"']) {
        return (character.bytes().next().map_or(0, i64::from), true);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    let length = digits.chars().take_while(|digit| digit.is_digit(radix)).count();
    let value = i64::from_str_radix(&digits[..length], radix).unwrap_or(0);
    (if negative { -value } else { value }, length == digits.len() && length > 0)
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

/// `read [-r] [-p PROMPT] NAME…`
fn read(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut raw, mut names) = (false, Vec::new());
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match &**word {
            b"-r" => raw = true,
            b"-p" => drop(rest.next()),
            option if option.starts_with(b"-") && names.is_empty() => {
                return Err(shell.fault(words, "this option is not known"));
            }
            name => names.push(String::from_utf8_lossy(name).into_owned()),
        }
    }
    let mut line = Vec::new();
    let mut complete = false;
    while let Some(bytes) = shell.read_line(0) {
        shell.spend(1)?;
        line.extend(bytes);
        complete = line.last() == Some(&b'\n');
        if complete {
            line.pop();
        }
        let escapes = line.iter().rev().take_while(|byte| **byte == b'\\').count();
        if raw || !complete || escapes % 2 == 0 {
            break;
        }
        line.pop();
        complete = false;
    }
    assign_fields(shell, &line, raw, &names)?;
    Ok(i32::from(!complete))
}

fn assign_fields(shell: &mut Shell<'_, '_>, line: &[u8], raw: bool, names: &[String]) -> Result<(), Flow> {
    let ifs = shell.get("IFS").unwrap_or_else(|| Rc::from(&b" \t\n"[..]));
    // Bytes with a mark for those that a backslash protects.
    let mut marked = Vec::with_capacity(line.len());
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        at += 1;
        if byte == b'\\' && !raw {
            if let Some(&next) = line.get(at) {
                marked.push((next, true));
                at += 1;
            }
            continue;
        }
        marked.push((byte, false));
    }
    let separates = |(byte, protected): (u8, bool)| !protected && ifs.contains(&byte);
    let blank = |mark: (u8, bool)| separates(mark) && matches!(mark.0, b' ' | b'\t' | b'\n');
    let skip = |mut at: usize| {
        while marked.get(at).is_some_and(|mark| blank(*mark)) {
            at += 1;
        }
        at
    };
    let mut at = skip(0);
    for (index, name) in names.iter().enumerate() {
        let start = at;
        let value: Vec<u8> = if index + 1 == names.len() {
            let mut end = marked.len();
            while end > start && blank(marked[end - 1]) {
                end -= 1;
            }
            // One separator at the end of the last field goes too, where it ends a single field.
            if end > start
                && separates(marked[end - 1])
                && !marked[start..end - 1].iter().any(|mark| separates(*mark))
            {
                end -= 1;
            }
            marked[start..end].iter().map(|(byte, _)| *byte).collect()
        } else {
            while marked.get(at).is_some_and(|mark| !separates(*mark)) {
                at += 1;
            }
            let end = at;
            at = skip(at);
            if marked.get(at).is_some_and(|mark| separates(*mark)) {
                at = skip(at + 1);
            }
            marked[start..end].iter().map(|(byte, _)| *byte).collect()
        };
        shell.set(name, value.into())?;
    }
    Ok(())
}

fn getopts(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (Some(options), Some(name)) = (words.get(1).cloned(), words.get(2)) else { return Ok(2) };
    let name = String::from_utf8_lossy(name).into_owned();
    let arguments = if words.len() > 3 { words[3..].to_vec() } else { shell.state.positional.clone() };
    let index = shell.get("OPTIND").and_then(|value| String::from_utf8_lossy(&value).parse::<usize>().ok());
    let mut index = index.unwrap_or(1).max(1);
    let quiet = options.starts_with(b":");
    let within = shell.state.getopts;
    let current = arguments.get(index - 1).cloned();
    let Some(word) = current.filter(|word| within > 0 || word.len() > 1 && word.starts_with(b"-")) else {
        return end_of_options(shell, &name, index);
    };
    if within == 0 && &*word == b"--" {
        return end_of_options(shell, &name, index + 1);
    }
    let at = within.max(1);
    let Some(&letter) = word.get(at) else { return end_of_options(shell, &name, index + 1) };
    let last = at + 1 >= word.len();
    shell.state.getopts = if last { 0 } else { at + 1 };
    let known = options.iter().position(|option| *option == letter && letter != b':');
    let mut value = vec![letter];
    shell.set("OPTARG", Rc::from(&b""[..]))?;
    match known {
        None => {
            value = b"?".to_vec();
            if quiet {
                shell.set("OPTARG", vec![letter].into())?;
            } else {
                shell.say_error(format!("Illegal option -{}\n", char::from(letter)).as_bytes())?;
            }
        }
        Some(position) if options.get(position + 1) == Some(&b':') => {
            shell.state.getopts = 0;
            if !last {
                shell.set("OPTARG", word[at + 1..].into())?;
            } else if let Some(argument) = arguments.get(index) {
                shell.set("OPTARG", argument.clone())?;
                index += 1;
            } else if quiet {
                shell.set("OPTARG", vec![letter].into())?;
                value = b":".to_vec();
            } else {
                shell.say_error(format!("No arg for -{} option\n", char::from(letter)).as_bytes())?;
                value = b"?".to_vec();
            }
        }
        Some(_) => {}
    }
    if shell.state.getopts == 0 {
        index += 1;
    }
    shell.set("OPTIND", index.to_string().into_bytes().into())?;
    shell.set(&name, value.into())?;
    Ok(0)
}

fn end_of_options(shell: &mut Shell<'_, '_>, name: &str, index: usize) -> Status {
    shell.state.getopts = 0;
    shell.set("OPTIND", index.to_string().into_bytes().into())?;
    shell.set(name, Rc::from(&b"?"[..]))?;
    Ok(1)
}
