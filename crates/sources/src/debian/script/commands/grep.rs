//! grep and its relatives: which lines an expression meets.

use super::Word;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::valued;
use super::regex;
use super::regex::Dialect;
use super::regex::Letters;
use super::text;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;

/// Runs grep, egrep or fgrep.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('q', "quiet"),
        flag('q', "silent"),
        flag('s', "no-messages"),
        flag('v', "invert-match"),
        flag('i', "ignore-case"),
        flag('x', "line-regexp"),
        flag('w', "word-regexp"),
        flag('c', "count"),
        flag('l', "files-with-matches"),
        flag('L', "files-without-match"),
        flag('n', "line-number"),
        flag('h', "no-filename"),
        flag('H', "with-filename"),
        flag('o', "only-matching"),
        flag('a', "text"),
        flag('E', "extended-regexp"),
        flag('F', "fixed-strings"),
        flag('G', "basic-regexp"),
        flag('Z', "null"),
        valued('e', "regexp"),
        valued('f', "file"),
        valued('m', "max-count"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.has('Z') {
        return Err(shell.fault(words, "`grep -Z` is not evaluated"));
    }
    let name = words[0].rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let dialect = if given.has('F') || name == b"fgrep" {
        Dialect::Fixed
    } else if given.has('E') || name == b"egrep" {
        Dialect::Extended
    } else {
        Dialect::Basic
    };
    let (mut patterns, mut status) = (Vec::new(), 0);
    let mut operands = &given.operands[..];
    for (letter, value) in &given.options {
        match letter {
            'e' => patterns.push(value.to_vec()),
            'f' => patterns.push(text::bytes_of(shell, words, value, &mut status)?.unwrap_or_default()),
            _ => {}
        }
    }
    if !given.has('e') && !given.has('f') {
        let Some((first, rest)) = operands.split_first() else { return Ok(2) };
        patterns.push(first.to_vec());
        operands = rest;
    }
    let mut alternatives = Vec::new();
    for pattern in patterns.iter().flat_map(|pattern| text::all_lines_or_empty(pattern)) {
        let one = regex::translate(pattern, dialect).map_err(|what| shell.fault(words, what))?;
        alternatives.push(match (given.has('x'), given.has('w')) {
            (true, _) => format!("^(?:{one})$"),
            (false, true) => format!(r"\b(?:{one})\b"),
            (false, false) => format!("(?:{one})"),
        });
    }
    // `grep -f EMPTY` meets nothing.
    if alternatives.is_empty() {
        return Ok(1);
    }
    let letters = if given.has('i') { Letters::AnyCase } else { Letters::Exact };
    let expression =
        regex::compile(&alternatives.join("|"), letters).map_err(|what| shell.fault(words, what))?;
    let most = match given.value('m') {
        Some(text) => String::from_utf8_lossy(text).parse().unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let standard: [Word; 1] = [std::rc::Rc::from(&b"-"[..])];
    let paths = if operands.is_empty() { &standard[..] } else { operands };
    let named = !given.has('h') && (paths.len() > 1 || given.has('H'));
    let (mut out, mut any) = (Vec::new(), false);
    for path in paths {
        let bytes = match (given.has('s'), &**path) {
            (true, name) if name != b"-" => {
                let cwd = shell.cwd().to_vec();
                match shell.world().read(&cwd, path) {
                    Ok(bytes) => bytes,
                    Err(errno) if errno.is_told() => {
                        status = 2;
                        continue;
                    }
                    Err(errno) => return Err(shell.fault(words, errno.to_string())),
                }
            }
            _ => {
                let mut failed = 0;
                let bytes = text::bytes_of(shell, words, path, &mut failed)?;
                let Some(bytes) = bytes else {
                    status = 2;
                    continue;
                };
                bytes
            }
        };
        shell.spend(4 * bytes.len() as u64)?;
        let prefix = if named { [path, &b":"[..]].concat() } else { Vec::new() };
        let mut count = 0;
        for (index, line) in text::all_lines(&bytes).into_iter().enumerate() {
            if count >= most || expression.is_match(line) == given.has('v') {
                continue;
            }
            count += 1;
            any = true;
            if given.has('q') || given.has('c') || given.has('l') || given.has('L') {
                continue;
            }
            let number = if given.has('n') { format!("{}:", index + 1).into_bytes() } else { Vec::new() };
            if given.has('o') {
                for found in expression.find_iter(line).filter(|found| !found.is_empty()) {
                    out.extend([&prefix[..], &number, found.as_bytes(), b"\n"].concat());
                }
            } else {
                out.extend([&prefix[..], &number, line, b"\n"].concat());
            }
        }
        if given.has('c') && !given.has('q') {
            out.extend([&prefix[..], format!("{count}\n").as_bytes()].concat());
        }
        if given.has('l') && count > 0 || given.has('L') && count == 0 {
            out.extend([path, &b"\n"[..]].concat());
        }
    }
    shell.say(&out)?;
    Ok(match (any, status) {
        (true, _) if given.has('q') => 0,
        (_, 2) => 2,
        (true, _) => 0,
        (false, _) => 1,
    })
}
