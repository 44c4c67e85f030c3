//! Whether two files are equal: cmp, diff.
//!
//! **Refuses** to print where texts differ line by line; `diff` has its status where its output goes nowhere, and with `-q`.

use super::Command;
use super::Word;
use super::options;
use super::options::Known;
use super::options::Value;
use super::options::flag;
use super::options::long;
use super::text::bytes_of;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "cmp" => cmp,
        "diff" => diff,
        _ => return None,
    })
}

fn cmp(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('s', "silent"), flag('s', "quiet")];
    let given = options::read(shell, words, KNOWN)?;
    let [left, right] = &given.operands[..] else {
        return Err(shell.fault(words, "`cmp` compares two files"));
    };
    let mut status = 0;
    let first = bytes_of(shell, words, left, &mut status)?;
    let second = bytes_of(shell, words, right, &mut status)?;
    let (Some(first), Some(second)) = (first, second) else { return Ok(2) };
    shell.spend(first.len() as u64)?;
    let at = first.iter().zip(&second).position(|(one, other)| one != other);
    if at.is_none() && first.len() == second.len() {
        return Ok(0);
    }
    if given.has('s') {
        return Ok(1);
    }
    let lines = |end: usize| memchr::memchr_iter(b'\n', &first[..end]).count();
    if let Some(at) = at {
        // Without messages of a locale GNU's has another word.
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(|name| shell.exported(name));
        let locale = locale.into_iter().find(|value| !value.is_empty());
        let plain = locale.is_none_or(|value| matches!(&*value, b"C" | b"POSIX"));
        let unit = if plain { "char" } else { "byte" };
        let said = format!(" differ: {unit} {}, line {}\n", at + 1, lines(at) + 1);
        shell.say(&[left, &b" "[..], right, said.as_bytes()].concat())?;
    } else {
        let shorter = if first.len() < second.len() { left } else { right };
        let end = first.len().min(second.len());
        let said = format!(" after byte {end}, line {}\n", lines(end));
        shell.say_error(&[b"cmp: EOF on ", &shorter[..], said.as_bytes()].concat())?;
    }
    Ok(1)
}

/// `diff [-q] [-a] [-N] [-s] [-u] FILE FILE`
fn diff(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('q', "brief"),
        flag('a', "text"),
        flag('N', "new-file"),
        flag('s', "report-identical-files"),
        long('n', "normal"),
        Known { letter: 'u', short: true, long: "unified", value: Value::Optional },
    ];
    let given = options::read(shell, words, KNOWN)?;
    let [left, right] = &given.operands[..] else {
        return Err(shell.fault(words, "`diff` compares two files"));
    };
    let cwd = shell.cwd().to_vec();
    let mut status = 0;
    let mut both = Vec::new();
    for path in [left, right] {
        let stat = if &**path == b"-" { None } else { Some(shell.world().stat(&cwd, path, Last::Followed)) };
        match stat {
            Some(Ok(stat)) if stat.kind == Kind::Directory => {
                return Err(shell.fault(words, "directories are not compared"));
            }
            Some(Err(errno)) if errno.is_told() && given.has('N') => {
                both.push(Vec::new());
                continue;
            }
            _ => {}
        }
        match bytes_of(shell, words, path, &mut status)? {
            Some(bytes) => both.push(bytes),
            None => return Ok(2),
        }
    }
    if both[0] == both[1] {
        if given.has('s') {
            shell.say(&[b"Files ", &left[..], b" and ", right, b" are identical\n"].concat())?;
        }
        return Ok(0);
    }
    if given.has('q') {
        shell.say(&[b"Files ", &left[..], b" and ", right, b" differ\n"].concat())?;
    } else if !shell.says_nothing() {
        return Err(shell.fault(words, "what differs is not printed"));
    }
    Ok(1)
}
