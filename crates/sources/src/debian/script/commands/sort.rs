//! sort: lines in the order of their keys, in the C locale (XCU sort, with GNU's `-s`, `-V` and `-z`).

use std::cmp::Ordering;

use super::Word;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::valued;
use super::text;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kept;
use crate::debian::version;

/// How lines or keys are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct How {
    numeric: bool,
    version: bool,
    fold: bool,
    blanks: bool,
    reverse: bool,
    dictionary: bool,
}

/// Where a key begins or ends: a field and a character in it, from 1.
#[derive(Clone, Copy, Debug)]
struct Place {
    field: usize,
    character: usize,
    blanks: bool,
}

#[derive(Debug)]
struct Key {
    from: Place,
    to: Option<Place>,
    how: How,
}

/// Runs sort.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('b', "ignore-leading-blanks"),
        flag('c', "check"),
        flag('d', "dictionary-order"),
        flag('f', "ignore-case"),
        flag('m', "merge"),
        flag('n', "numeric-sort"),
        flag('r', "reverse"),
        flag('s', "stable"),
        flag('u', "unique"),
        flag('V', "version-sort"),
        flag('z', "zero-terminated"),
        valued('k', "key"),
        valued('o', "output"),
        valued('t', "field-separator"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let whole = How {
        numeric: given.has('n'),
        version: given.has('V'),
        fold: given.has('f'),
        blanks: given.has('b'),
        reverse: given.has('r'),
        dictionary: given.has('d'),
    };
    let mut keys = Vec::new();
    for (_, text) in given.options.iter().filter(|(letter, _)| *letter == 'k') {
        let key = key(text, whole);
        keys.push(key.ok_or_else(|| shell.fault(words, "this key of `sort` is not understood"))?);
    }
    let separator = match given.value('t').map(|text| &**text) {
        None => None,
        Some([byte]) => Some(*byte),
        Some(b"\\0") => Some(0),
        Some(_) => return Err(shell.fault(words, "a separator is one character")),
    };
    let mut status = 0;
    let bytes = text::input(shell, words, &given.operands, &mut status)?;
    let end = if given.has('z') { 0 } else { b'\n' };
    let mut lines: Vec<&[u8]> = if bytes.is_empty() {
        Vec::new()
    } else {
        bytes.strip_suffix(&[end]).unwrap_or(&bytes).split(|byte| *byte == end).collect()
    };
    // What comparing takes: each line about as often as the number of lines has binary digits.
    let rounds = u64::from(usize::BITS - lines.len().leading_zeros());
    shell.spend((500 * lines.len() as u64 + bytes.len() as u64 * (1 + keys.len() as u64)) * rounds)?;
    let compare = |left: &[u8], right: &[u8]| -> Ordering {
        if keys.is_empty() {
            return by(whole, left, right);
        }
        let mut order = Ordering::Equal;
        for key in &keys {
            let (left, right) = (part(left, key, separator), part(right, key, separator));
            order = order.then_with(|| by(key.how, left, right));
        }
        order
    };
    // Lines that compare equal are ordered by their bytes, but where they are to stay or one is kept.
    let settle = |left: &[u8], right: &[u8]| {
        if given.has('u') || given.has('s') {
            return Ordering::Equal;
        }
        let order = left.cmp(right);
        if whole.reverse { order.reverse() } else { order }
    };
    let total = |left: &&[u8], right: &&[u8]| compare(left, right).then_with(|| settle(left, right));
    if given.has('c') {
        let wrong = |pair: &[&[u8]]| {
            let order = total(&pair[0], &pair[1]);
            order.is_gt() || given.has('u') && order.is_eq()
        };
        return Ok(i32::from(lines.windows(2).any(wrong)));
    }
    lines.sort_by(total);
    if given.has('u') {
        lines.dedup_by(|left, right| compare(left, right).is_eq());
    }
    let mut out = lines.join(&end);
    if !lines.is_empty() {
        out.push(end);
    }
    match given.value('o') {
        None => shell.say(&out)?,
        Some(path) => {
            let (cwd, mode) = (shell.cwd().to_vec(), 0o666 & !shell.umask());
            let path = path.clone();
            let opened = shell.world().open_to_write(&cwd, &path, mode, Kept::Nothing);
            if let Err(errno) = opened.and_then(|file| shell.world().replace_content(&file, out)) {
                return shell.failed(words, &path, errno);
            }
        }
    }
    Ok(status)
}

/// `F[.C][OPTIONS][,F[.C][OPTIONS]]`
fn key(text: &[u8], whole: How) -> Option<Key> {
    let mut halves = text.splitn(2, |byte| *byte == b',');
    let (mut from, first) = place(halves.next()?)?;
    let to = match halves.next() {
        Some(half) => Some(place(half)?),
        None => None,
    };
    if from.field == 0 {
        return None;
    }
    from.character = from.character.max(1);
    let letters = [first, to.as_ref().map(|(_, letters)| *letters).unwrap_or_default()].concat();
    let mut how = How::default();
    for letter in &letters {
        match letter {
            b'n' => how.numeric = true,
            b'r' => how.reverse = true,
            b'V' => how.version = true,
            b'f' => how.fold = true,
            b'd' => how.dictionary = true,
            b'b' => how.blanks = true,
            _ => return None,
        }
    }
    // A key without options of its own has those of the command.
    if letters.is_empty() {
        how = whole;
        from.blanks = whole.blanks;
    }
    Some(Key { from, to: to.map(|(place, _)| place), how })
}

fn place(text: &[u8]) -> Option<(Place, &[u8])> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse::<usize>().ok());
    let length = digits(text);
    let field = number(&text[..length])?;
    let mut rest = &text[length..];
    let mut character = 0;
    if let Some(after) = rest.strip_prefix(b".") {
        let length = digits(after);
        character = number(&after[..length])?;
        rest = &after[length..];
    }
    Some((Place { field, character, blanks: rest.contains(&b'b') }, rest))
}

/// Where the field of this number begins and ends; without a separator its blanks come before it.
fn field(line: &[u8], number: usize, separator: Option<u8>) -> (usize, usize) {
    let mut at = 0;
    for count in 1.. {
        let start = at;
        let end = if let Some(separator) = separator {
            line[at..].iter().position(|byte| *byte == separator).map_or(line.len(), |end| at + end)
        } else {
            let blanks = line[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let text = line[at + blanks..].iter().take_while(|byte| !matches!(byte, b' ' | b'\t')).count();
            at + blanks + text
        };
        if count == number {
            return (start, end);
        }
        at = if separator.is_some() { end + 1 } else { end };
        if at >= line.len() {
            break;
        }
    }
    (line.len(), line.len())
}

/// The part of a line that a key names.
fn part<'l>(line: &'l [u8], key: &Key, separator: Option<u8>) -> &'l [u8] {
    let skip = |start: usize, end: usize, blanks: bool| {
        let count = line[start..end].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if blanks { start + count } else { start }
    };
    let (start, end) = field(line, key.from.field, separator);
    let from = (skip(start, end, key.from.blanks) + key.from.character - 1).min(line.len());
    let to = match key.to {
        None => line.len(),
        Some(to) => {
            let (start, end) = field(line, to.field.max(1), separator);
            if to.character == 0 { end } else { (skip(start, end, to.blanks) + to.character).min(line.len()) }
        }
    };
    if from < to { &line[from..to] } else { b"" }
}

fn by(how: How, left: &[u8], right: &[u8]) -> Ordering {
    let trimmed = |text: &'_ [u8]| -> Vec<u8> {
        let start = text.iter().take_while(|byte| how.blanks && matches!(byte, b' ' | b'\t')).count();
        let kept = text[start..]
            .iter()
            .filter(|byte| !how.dictionary || byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'\t'));
        kept.map(|byte| if how.fold { byte.to_ascii_uppercase() } else { *byte }).collect()
    };
    let order = if how.numeric {
        number(left).total_cmp(&number(right))
    } else if how.version {
        version::compare(left, right)
    } else {
        trimmed(left).cmp(&trimmed(right))
    };
    if how.reverse { order.reverse() } else { order }
}

/// The number at the start of a text, blanks aside: a sign, digits, a fraction.
fn number(text: &[u8]) -> f64 {
    let text = text.trim_ascii_start();
    let mut dots = 0;
    let length = text
        .iter()
        .enumerate()
        .take_while(|(at, byte)| {
            dots += usize::from(**byte == b'.');
            byte.is_ascii_digit() || **byte == b'-' && *at == 0 || **byte == b'.' && dots == 1
        })
        .count();
    std::str::from_utf8(&text[..length]).ok().and_then(|text| text.parse().ok()).unwrap_or(0.0)
}
