//! grep and its relatives: which lines an expression meets.

use pinfold_archive::NodeKind;

use super::Word;
use super::files::last_component;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long_optional;
use super::options::long_valued;
use super::options::valued;
use super::perl;
use super::regex;
use super::regex::Dialect;
use super::regex::Expression;
use super::regex::Letters;
use super::regex::Translated;
use super::text;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Pattern;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

/// How much of a file decides whether it is text.
const BUFFER: usize = 32 << 10;

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
        flag('P', "perl-regexp"),
        flag('Z', "null"),
        flag('r', "recursive"),
        flag('R', "dereference-recursive"),
        flag('I', ""),
        long_optional('C', "color"),
        long_optional('C', "colour"),
        long_valued('N', "include"),
        long_valued('X', "exclude"),
        valued('e', "regexp"),
        valued('f', "file"),
        valued('m', "max-count"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.has('Z') {
        return Err(shell.fault(words, "`grep -Z` is not evaluated"));
    }
    let name = last_component(&words[0]);
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
            'e' => patterns.push([&value[..], b"\n"].concat()),
            'f' => match text::bytes_of(shell, words, value, &mut status)? {
                Some(bytes) => patterns.push(bytes),
                None => return Ok(2),
            },
            _ => {}
        }
    }
    if !given.has('e') && !given.has('f') {
        let Some((first, rest)) = operands.split_first() else { return Ok(2) };
        patterns.push([&first[..], b"\n"].concat());
        operands = rest;
    }
    let (mut alternatives, mut ambiguous) = (Vec::new(), false);
    for pattern in patterns.iter().flat_map(|pattern| text::all_lines(pattern)) {
        let one = if given.has('P') { perl::translate(pattern) } else { regex::translate(pattern, dialect) };
        let one = one.map_err(|what| shell.fault(words, what))?;
        ambiguous |= one.ambiguous || !alternatives.is_empty();
        alternatives.push(format!("(?:{})", one.text));
    }
    if given.has('P') && (alternatives.len() > 1 || given.has('E') || given.has('F') || given.has('G')) {
        return Err(shell.fault(words, "`grep -P` has one expression"));
    }
    // `grep -f EMPTY` meets nothing.
    let nothing = alternatives.is_empty();
    let text = alternatives.join("|");
    let text = match (given.has('x'), given.has('w')) {
        (true, _) => format!("^(?:{text})$"),
        // A word stands between what is of no word.
        (false, true) => format!("(?:^|[^A-Za-z0-9_])({text})(?:[^A-Za-z0-9_]|$)"),
        (false, false) => text,
    };
    let shown = usize::from(given.has('w') && !given.has('x'));
    let letters = if given.has('i') { Letters::AnyCase } else { Letters::Exact };
    let expression = Expression::of_parts(&Translated { text, ambiguous }, letters)
        .map_err(|what| shell.fault(words, what))?;
    shell.spend(expression.made())?;
    let most = match given.value('m') {
        Some(text) => String::from_utf8_lossy(text).parse().unwrap_or(usize::MAX),
        None => usize::MAX,
    };
    let standard: [Word; 1] = [std::rc::Rc::from(&b"-"[..])];
    let recursive = given.has('r') || given.has('R');
    let below;
    let paths = if recursive {
        below = files_below(shell, &given, operands)?;
        &below[..]
    } else if operands.is_empty() {
        &standard[..]
    } else {
        operands
    };
    let named = !given.has('h') && (operands.len() > 1 || given.has('H') || recursive);
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
        shell.spend(bytes.len() as u64)?;
        let matched = |line: &[u8], shell: &mut Shell<'_, '_>| {
            shell.spend(expression.price(line.len()))?;
            Ok(!nothing && expression.is_match(line))
        };
        // Lines of what is no text are not shown, only that there are some.
        let is_text = memchr::memchr(0, &bytes[..bytes.len().min(BUFFER)]).is_none() || given.has('a');
        if !is_text && given.has('I') {
            continue;
        }
        // There a NUL ends a line, too.
        let bytes = if is_text {
            bytes
        } else {
            bytes.into_iter().map(|byte| if byte == 0 { b'\n' } else { byte }).collect()
        };
        let prefix = if named { [path, &b":"[..]].concat() } else { Vec::new() };
        let mut count = 0;
        for (index, line) in text::all_lines(&bytes).into_iter().enumerate() {
            if count >= most {
                break;
            }
            let found: Result<bool, Flow> = matched(line, shell);
            if found? == given.has('v') {
                continue;
            }
            count += 1;
            any = true;
            if given.has('q') {
                break;
            }
            if given.has('c') || given.has('l') || given.has('L') {
                continue;
            }
            if !is_text {
                let name: &[u8] = if &**path == b"-" { b"(standard input)" } else { path };
                shell.say(&std::mem::take(&mut out))?;
                shell.say_error(&[b"grep: ", name, b": binary file matches\n"].concat())?;
                break;
            }
            let number = if given.has('n') { format!("{}:", index + 1).into_bytes() } else { Vec::new() };
            if given.has('o') {
                if given.has('v') {
                    continue;
                }
                let mut at = 0;
                while at <= line.len() {
                    shell.spend(expression.further(line.len() - at))?;
                    let Some(spans) = expression.spans_at(line, at) else { break };
                    let Some((from, to)) = spans.get(shown).copied().flatten() else { break };
                    if from < to {
                        out.extend([&prefix[..], &number, &line[from..to], b"\n"].concat());
                    }
                    at = if from == to { to + 1 } else { to };
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

/// The files below the operands in the order of their names; what is no directory is itself one.
fn files_below(
    shell: &mut Shell<'_, '_>,
    given: &options::Given,
    operands: &[Word],
) -> Result<Vec<Word>, Flow> {
    let cwd = shell.cwd().to_vec();
    let here: [Word; 1] = [std::rc::Rc::from(&b""[..])];
    let patterns = |letter: char| -> Vec<Pattern> {
        let of = given.options.iter().filter(|(known, _)| *known == letter);
        of.map(|(_, pattern)| Pattern::of_text(pattern)).collect()
    };
    let (included, excluded) = (patterns('N'), patterns('X'));
    let mut found = Vec::new();
    for operand in if operands.is_empty() { &here[..] } else { operands } {
        let path = if operand.is_empty() { &b"."[..] } else { operand };
        let Ok(stat) = shell.world().stat(&cwd, path, Last::Followed) else {
            found.push(operand.clone());
            continue;
        };
        if stat.kind != Kind::Directory {
            found.push(operand.clone());
            continue;
        }
        let files: Vec<Vec<u8>> = shell
            .world()
            .tree
            .below(&stat.path)
            .filter(|(_, node)| matches!(node.kind, NodeKind::File(_) | NodeKind::Hardlink(_)))
            .map(|(inside, _)| inside.strip_prefix(&stat.path).unwrap_or_default().to_vec())
            .collect();
        shell.spend(500 * files.len() as u64)?;
        for inside in files {
            let name = last_component(&inside);
            let mut wanted = included.is_empty();
            for pattern in &included {
                wanted |= shell.matches(pattern, name)?;
            }
            for pattern in &excluded {
                wanted &= !shell.matches(pattern, name)?;
            }
            if wanted {
                let before = operand.strip_suffix(b"/").unwrap_or(operand);
                let between: &[u8] = if operand.is_empty() { b"" } else { b"/" };
                found.push([before, between, &inside[..]].concat().into());
            }
        }
    }
    Ok(found)
}
