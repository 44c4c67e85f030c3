//! Lines and bytes: the commands of coreutils that read text and write other text. They work on bytes, in the C locale.

use std::rc::Rc;

use pinfold_archive::codec::Compression;

use super::Command;
use super::Word;
use super::files::last_component;
use super::options;
use super::options::Given;
use super::options::Known;
use super::options::flag;
use super::options::long;
use super::options::long_valued;
use super::options::valued;
use crate::debian::script::shell::CLASSES;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::shell::control;
use crate::debian::script::shell::octal;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Last;

/// Most bytes of a file that is decompressed.
const MAX_DECOMPRESSED: u64 = 16 << 20;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "base64" => base64,
        "cat" => cat,
        "cut" => cut,
        "dd" => dd,
        "gzip" | "gunzip" | "zcat" => gzip,
        "head" => head,
        "md5sum" => |shell, words| checksum(shell, words, md5),
        "sha1sum" => {
            |shell, words| checksum(shell, words, |bytes| hex(&<sha1::Sha1 as sha2::Digest>::digest(bytes)))
        }
        "sha512sum" => {
            |shell, words| checksum(shell, words, |bytes| hex(&<sha2::Sha512 as sha2::Digest>::digest(bytes)))
        }
        "sha256sum" => {
            |shell, words| checksum(shell, words, |bytes| hex(&<sha2::Sha256 as sha2::Digest>::digest(bytes)))
        }
        "seq" => seq,
        "tac" => tac,
        "tail" => tail,
        "tee" => tee,
        "tr" => tr,
        "uniq" => uniq,
        "wc" => wc,
        _ => return None,
    })
}

/// The MD5 sum, as md5sum prints it.
pub(super) fn md5(bytes: &[u8]) -> String {
    hex(&<md5::Md5 as sha2::Digest>::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of one operand; `-` is descriptor 0. Nothing where there was an error, which is told.
pub(super) fn bytes_of(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    path: &[u8],
    status: &mut i32,
) -> Result<Option<Vec<u8>>, Flow> {
    if path == b"-" || path == b"/dev/stdin" {
        return shell.read_all().map(Some);
    }
    let cwd = shell.cwd().to_vec();
    match shell.world().read(&cwd, path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(errno) => {
            *status = shell.failed(words, path, errno)?.max(*status);
            Ok(None)
        }
    }
}

/// The bytes of all operands, one after the other; of descriptor 0 where there are none.
pub(super) fn input(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    operands: &[Word],
    status: &mut i32,
) -> Result<Vec<u8>, Flow> {
    if operands.is_empty() {
        return shell.read_all();
    }
    let mut all = Vec::new();
    for path in operands {
        if let Some(bytes) = bytes_of(shell, words, path, status)? {
            all.extend(bytes);
        }
    }
    Ok(all)
}

/// Lines of a text; an empty one between newlines counts, the end does not.
pub(super) fn all_lines(bytes: &[u8]) -> Vec<&[u8]> {
    if bytes.is_empty() {
        return Vec::new();
    }
    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n').collect()
}

fn number(shell: &Shell<'_, '_>, words: &[Word], text: &[u8]) -> Result<usize, Flow> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| shell.fault(words, format!("`{}` is no number", text.escape_ascii())))
}

fn cat(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('n', "number"), flag('s', "squeeze-blank"), flag('u', "")];
    let given = options::read(shell, words, KNOWN)?;
    let mut status = 0;
    let bytes = input(shell, words, &given.operands, &mut status)?;
    if !given.has('n') && !given.has('s') {
        shell.say(&bytes)?;
        return Ok(status);
    }
    let (mut out, mut blank, mut number) = (Vec::new(), false, 0);
    for line in all_lines(&bytes) {
        if given.has('s') && line.is_empty() && blank {
            continue;
        }
        blank = line.is_empty();
        number += 1;
        if given.has('n') {
            out.extend(format!("{number:6}\t").bytes());
        }
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    shell.say(&out)?;
    Ok(status)
}

/// `-n N`, `-c N`, `-N`; for tail also `+N`.
fn count(shell: &Shell<'_, '_>, words: &[Word]) -> Result<(Given, bool, Vec<u8>), Flow> {
    const KNOWN: &[Known] =
        &[valued('n', "lines"), valued('c', "bytes"), flag('q', "quiet"), flag('v', "verbose")];
    let mut rewritten: Vec<Word> = Vec::with_capacity(words.len());
    for word in words {
        let is_value = rewritten.last().is_some_and(|last| matches!(&**last, b"-n" | b"-c"));
        match word.strip_prefix(b"-") {
            Some(digits) if !is_value && !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
                rewritten.extend([Rc::from(&b"-n"[..]), Rc::from(digits)]);
            }
            _ => rewritten.push(word.clone()),
        }
    }
    let given = options::read(shell, &rewritten, KNOWN)?;
    let bytes = given.has('c');
    let text =
        given.value(if bytes { 'c' } else { 'n' }).map_or_else(|| b"10".to_vec(), |text| text.to_vec());
    Ok((given, bytes, text))
}

/// Each operand for itself, with its name above it where there are several.
fn pieces(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    given: &Given,
    piece: impl Fn(&[u8]) -> std::ops::Range<usize>,
) -> Status {
    let mut status = 0;
    let standard: [Word; 1] = [Rc::from(&b"-"[..])];
    let operands = if given.operands.is_empty() { &standard[..] } else { &given.operands[..] };
    let named = !given.has('q') && (operands.len() > 1 || given.has('v'));
    let mut first = true;
    for path in operands {
        let Some(bytes) = bytes_of(shell, words, path, &mut status)? else { continue };
        if named {
            let name: &[u8] = if &**path == b"-" { b"standard input" } else { path };
            let above: &[u8] = if first { b"" } else { b"\n" };
            shell.say(&[above, b"==> ", name, b" <==\n"].concat())?;
        }
        first = false;
        shell.spend(bytes.len() as u64)?;
        shell.say(&bytes[piece(&bytes)])?;
    }
    Ok(status)
}

/// How many bytes the first lines take.
fn first_lines(bytes: &[u8], count: usize) -> usize {
    if count == 0 {
        return 0;
    }
    memchr::memchr_iter(b'\n', bytes).nth(count - 1).map_or(bytes.len(), |at| at + 1)
}

/// How many lines there are, the last without a newline counted.
fn line_count(bytes: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', bytes).count() + usize::from(!bytes.is_empty() && !bytes.ends_with(b"\n"))
}

fn head(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (given, by_bytes, text) = count(shell, words)?;
    let (from_end, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, &text[..]),
    };
    let wanted = number(shell, words, digits)?;
    pieces(shell, words, &given, |bytes| {
        0..match (by_bytes, from_end) {
            (true, false) => wanted.min(bytes.len()),
            (true, true) => bytes.len().saturating_sub(wanted),
            (false, false) => first_lines(bytes, wanted),
            (false, true) => first_lines(bytes, line_count(bytes).saturating_sub(wanted)),
        }
    })
}

fn tail(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (given, by_bytes, text) = count(shell, words)?;
    let (from_start, digits) = match text.strip_prefix(b"+") {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix(b"-").unwrap_or(&text)),
    };
    let wanted = number(shell, words, digits)?;
    pieces(shell, words, &given, |bytes| {
        let skipped = match (by_bytes, from_start) {
            (true, true) => wanted.saturating_sub(1).min(bytes.len()),
            (true, false) => bytes.len().saturating_sub(wanted),
            (false, true) => first_lines(bytes, wanted.saturating_sub(1)),
            (false, false) => first_lines(bytes, line_count(bytes).saturating_sub(wanted)),
        };
        skipped..bytes.len()
    })
}

fn tac(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let given = options::read(shell, words, &[])?;
    let mut status = 0;
    let bytes = input(shell, words, &given.operands, &mut status)?;
    let out: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').rev().collect();
    let out = out.concat();
    shell.say(&out)?;
    Ok(status)
}

/// `dd if=FILE of=FILE bs=N count=N skip=N`. A random device gives nothing: what is made of it is one machine's.
fn dd(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut from, mut to, mut size, mut count, mut skip) = (None, None, 512, None, 0);
    for word in &words[1..] {
        let text = String::from_utf8_lossy(word).into_owned();
        match text.split_once('=') {
            Some(("if", path)) => from = Some(path.as_bytes().to_vec()),
            Some(("of", path)) => to = Some(path.as_bytes().to_vec()),
            Some(("bs" | "ibs" | "obs", value)) => {
                let digits = value.trim_end_matches(['k', 'K', 'M', 'c']);
                let unit = match &value[digits.len()..] {
                    "k" | "K" => 1 << 10,
                    "M" => 1 << 20,
                    _ => 1,
                };
                size = number(shell, words, digits.as_bytes())?.saturating_mul(unit);
            }
            Some(("count", value)) => count = Some(number(shell, words, value.as_bytes())?),
            Some(("skip", value)) => skip = number(shell, words, value.as_bytes())?,
            Some(("status", _)) => {}
            _ => return Err(shell.fault(words, "this operand of dd is not known")),
        }
    }
    let mut status = 0;
    let bytes = match &from {
        Some(path) if matches!(&path[..], b"/dev/urandom" | b"/dev/random") => {
            shell.world().not_done("ids and keys of one machine");
            Vec::new()
        }
        Some(path) if &path[..] == b"/dev/zero" => {
            let length = count.unwrap_or(usize::MAX).saturating_mul(size);
            shell.spend_bytes(length)?;
            vec![0; length]
        }
        Some(path) => match bytes_of(shell, words, path, &mut status)? {
            Some(bytes) => bytes,
            None => return Ok(1),
        },
        None => shell.read_all()?,
    };
    let start = skip.saturating_mul(size).min(bytes.len());
    let length = count.map_or(usize::MAX, |count| count.saturating_mul(size)).min(bytes.len() - start);
    let part = &bytes[start..start + length];
    let Some(path) = to else {
        shell.say(part)?;
        return Ok(status);
    };
    let (cwd, mode) = (shell.cwd().to_vec(), 0o666 & !shell.umask());
    let opened = shell.world().open_to_write(&cwd, &path, mode, Kept::Nothing);
    match opened.and_then(|file| shell.world().append(&file, part)) {
        Ok(()) => Ok(status),
        Err(errno) => shell.failed(words, &path, errno),
    }
}

/// Positions of a list such as `1,3-5,7-`, counted from 1.
fn ranges(shell: &Shell<'_, '_>, words: &[Word], text: &[u8]) -> Result<Vec<(usize, usize)>, Flow> {
    let mut found = Vec::new();
    for part in text.split(|byte| matches!(byte, b',' | b' ')) {
        let (low, high) = match part.iter().position(|byte| *byte == b'-') {
            Some(at) => (&part[..at], &part[at + 1..]),
            None => (part, part),
        };
        let low = if low.is_empty() { 1 } else { number(shell, words, low)? };
        let high = if high.is_empty() { usize::MAX } else { number(shell, words, high)? };
        if low == 0 || high < low {
            return Err(shell.fault(words, "this list of fields is not understood"));
        }
        found.push((low, high));
    }
    Ok(found)
}

fn cut(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        valued('f', "fields"),
        valued('d', "delimiter"),
        valued('c', "characters"),
        valued('b', "bytes"),
        flag('s', "only-delimited"),
        long_valued('o', "output-delimiter"),
        long('C', "complement"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let by_field = given.has('f');
    let Some(list) = given.value('f').or_else(|| given.value('c')).or_else(|| given.value('b')) else {
        return Err(shell.fault(words, "`cut` needs a list of fields or characters"));
    };
    let ranges = ranges(shell, words, &list.clone())?;
    let chosen = |position: usize| {
        ranges.iter().any(|(low, high)| (*low..=*high).contains(&position)) != given.has('C')
    };
    let delimiter = match given.value('d').map(|word| &**word) {
        None => b'\t',
        Some([one]) => *one,
        Some(_) => return Err(shell.fault(words, "a delimiter is one character")),
    };
    let between = given.value('o').cloned().unwrap_or_else(|| Rc::from(&[delimiter][..]));
    let mut status = 0;
    let bytes = input(shell, words, &given.operands, &mut status)?;
    let mut out = Vec::new();
    for line in all_lines(&bytes) {
        // Each place is looked for in each range.
        shell.spend((line.len() as u64 + 1) * (ranges.len() as u64 / 4 + 1))?;
        if !by_field {
            out.extend(line.iter().enumerate().filter(|(at, _)| chosen(at + 1)).map(|(_, byte)| *byte));
        } else if !line.contains(&delimiter) {
            if given.has('s') {
                continue;
            }
            out.extend_from_slice(line);
        } else {
            let fields = line.split(|byte| *byte == delimiter).enumerate();
            let kept: Vec<&[u8]> = fields.filter(|(at, _)| chosen(at + 1)).map(|(_, field)| field).collect();
            shell.spend_bytes(kept.iter().map(|field| field.len() + between.len()).sum())?;
            out.extend(kept.join(&between[..]));
        }
        out.push(b'\n');
    }
    shell.say(&out)?;
    Ok(status)
}

/// A set of `tr`: ranges, classes, escapes.
fn set(shell: &Shell<'_, '_>, words: &[Word], text: &[u8]) -> Result<Vec<u8>, Flow> {
    let mut bytes = Vec::new();
    let mut at = 0;
    let mut marked: Vec<(u8, bool)> = Vec::new();
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte == b'[' && text.get(at) == Some(&b':') {
            let rest = &text[at + 1..];
            let Some(end) = rest.windows(2).position(|pair| pair == b":]") else {
                return Err(shell.fault(words, "a class of characters does not end"));
            };
            let Some((_, class)) = CLASSES.iter().find(|(name, _)| *name == &rest[..end]) else {
                return Err(shell.fault(words, "this class of characters is not known"));
            };
            marked.extend((0..=255).filter(class).map(|byte| (byte, true)));
            at += end + 3;
            continue;
        }
        if byte != b'\\' {
            marked.push((byte, false));
            continue;
        }
        let Some(&escaped) = text.get(at) else {
            marked.push((b'\\', true));
            continue;
        };
        at += 1;
        let value = match escaped {
            b'0'..=b'7' => {
                let digits = text[at..].iter().take(2).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                let value = octal(&text[at - 1..at + digits]);
                at += digits;
                value
            }
            other => control(other).unwrap_or(other),
        };
        marked.push((value, true));
    }
    let mut index = 0;
    while index < marked.len() {
        if let (low, Some((b'-', false)), Some((high, _))) =
            (marked[index].0, marked.get(index + 1), marked.get(index + 2))
        {
            bytes.extend(low..=*high);
            index += 3;
        } else {
            bytes.push(marked[index].0);
            index += 1;
        }
    }
    Ok(bytes)
}

fn tr(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('d', "delete"),
        flag('s', "squeeze-repeats"),
        flag('c', "complement"),
        flag('C', ""),
        flag('t', "truncate-set1"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let mut sets = Vec::new();
    for operand in &given.operands {
        sets.push(set(shell, words, operand)?);
    }
    let Some(first) = sets.first() else { return Err(shell.fault(words, "`tr` needs a set")) };
    let complement = given.has('c') || given.has('C');
    let first: Vec<u8> =
        if complement { (0..=255).filter(|byte| !first.contains(byte)).collect() } else { first.clone() };
    let second = sets.get(1).cloned();
    let first = match &second {
        Some(second) if given.has('t') && !given.has('d') => first[..first.len().min(second.len())].to_vec(),
        _ => first,
    };
    let bytes = shell.read_all()?;
    let mut map: [Option<u8>; 256] = std::array::from_fn(|byte| u8::try_from(byte).ok());
    if given.has('d') {
        for byte in &first {
            map[usize::from(*byte)] = None;
        }
    } else if let Some(second) = &second
        && let Some(last) = second.last()
    {
        for (index, byte) in first.iter().enumerate() {
            map[usize::from(*byte)] = Some(*second.get(index).unwrap_or(last));
        }
    }
    let squeezed = match (given.has('s'), second) {
        (false, _) => Vec::new(),
        (true, Some(second)) => second,
        (true, None) => first,
    };
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    for byte in bytes {
        if let Some(byte) = map[usize::from(byte)]
            && !(out.last() == Some(&byte) && squeezed.contains(&byte))
        {
            out.push(byte);
        }
    }
    shell.say(&out)?;
    Ok(0)
}

fn uniq(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('c', "count"), flag('d', "repeated"), flag('u', "unique")];
    let given = options::read(shell, words, KNOWN)?;
    let mut status = 0;
    let bytes = input(shell, words, &given.operands, &mut status)?;
    let mut groups: Vec<(&[u8], usize)> = Vec::new();
    for line in all_lines(&bytes) {
        match groups.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => groups.push((line, 1)),
        }
    }
    let mut out = Vec::new();
    for (line, count) in groups {
        if given.has('d') && count == 1 || given.has('u') && count > 1 {
            continue;
        }
        if given.has('c') {
            out.extend(format!("{count:7} ").bytes());
        }
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    shell.say(&out)?;
    Ok(status)
}

fn wc(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('l', "lines"), flag('c', "bytes"), flag('w', "words"), flag('m', "chars")];
    let given = options::read(shell, words, KNOWN)?;
    if given.has('m') && given.has('c') {
        return Err(shell.fault(words, "`wc` counts bytes or characters, not both"));
    }
    let mut status = 0;
    let standard: [Word; 1] = [Rc::from(&b"-"[..])];
    let operands = if given.operands.is_empty() { &standard[..] } else { &given.operands[..] };
    let mut rows: Vec<([usize; 3], Word)> = Vec::new();
    for path in operands {
        let Some(bytes) = bytes_of(shell, words, path, &mut status)? else { continue };
        shell.spend(2 * bytes.len() as u64)?;
        let lines = memchr::memchr_iter(b'\n', &bytes).count();
        let count = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
        rows.push(([lines, count, bytes.len()], path.clone()));
    }
    if operands.len() > 1 {
        let sum = |at: usize| rows.iter().map(|(counts, _)| counts[at]).sum();
        rows.push(([sum(0), sum(1), sum(2)], Rc::from(&b"total"[..])));
    }
    let all = given.options.is_empty();
    let shown = [all || given.has('l'), all || given.has('w'), all || given.has('c') || given.has('m')];
    let columns = shown.iter().filter(|shown| **shown).count();
    // As wide as the bytes of all files; a pipe's are not known before.
    let digits = rows.iter().map(|(counts, _)| counts[2]).max().unwrap_or(0).to_string().len();
    let width = if columns == 1 && operands.len() == 1 {
        1
    } else if operands.iter().any(|path| &**path == b"-") {
        7
    } else {
        digits
    };
    for (counts, path) in rows {
        let texts: Vec<String> = counts
            .iter()
            .zip(shown)
            .filter(|(_, shown)| *shown)
            .map(|(count, _)| format!("{count:width$}"))
            .collect();
        let mut line = texts.join(" ").into_bytes();
        if !given.operands.is_empty() {
            line.push(b' ');
            line.extend_from_slice(&path);
        }
        line.push(b'\n');
        shell.say(&line)?;
    }
    Ok(status)
}

fn seq(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut numbers = Vec::new();
    for word in &words[1..] {
        match std::str::from_utf8(word).ok().and_then(|text| text.parse::<i64>().ok()) {
            Some(number) => numbers.push(number),
            None => return Err(shell.fault(words, "`seq` counts whole numbers here, without options")),
        }
    }
    let (first, step, last) = match numbers[..] {
        [last] => (1, 1, last),
        [first, last] => (first, 1, last),
        [first, step, last] if step != 0 => (first, step, last),
        _ => return Err(shell.fault(words, "`seq` has one to three numbers")),
    };
    let (mut now, mut out) = (first, String::new());
    while if step > 0 { now <= last } else { now >= last } {
        shell.spend(1_000)?;
        out.push_str(&now.to_string());
        out.push('\n');
        match now.checked_add(step) {
            Some(next) => now = next,
            None => break,
        }
    }
    shell.say(out.as_bytes())?;
    Ok(0)
}

fn tee(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('a', "append"), flag('i', "ignore-interrupts")];
    let given = options::read(shell, words, KNOWN)?;
    let bytes = shell.read_all()?;
    shell.say(&bytes)?;
    let (cwd, mode) = (shell.cwd().to_vec(), 0o666 & !shell.umask());
    let kept = if given.has('a') { Kept::All } else { Kept::Nothing };
    let mut status = 0;
    for path in &given.operands {
        let written = match shell.world().open_to_write(&cwd, path, mode, kept) {
            Ok(file) => shell.world().append(&file, &bytes),
            Err(errno) => Err(errno),
        };
        if let Err(errno) = written {
            status = shell.failed(words, path, errno)?;
        }
    }
    Ok(status)
}

fn checksum(shell: &mut Shell<'_, '_>, words: &[Word], digest: fn(&[u8]) -> String) -> Status {
    const KNOWN: &[Known] = &[
        flag('c', "check"),
        long('s', "status"),
        long('q', "quiet"),
        long('i', "ignore-missing"),
        flag('b', "binary"),
        flag('t', "text"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let operands = if given.operands.is_empty() { vec![Rc::from(&b"-"[..])] } else { given.operands.clone() };
    let mut status = 0;
    for path in &operands {
        let Some(bytes) = bytes_of(shell, words, path, &mut status)? else { continue };
        if !given.has('c') {
            let line = [digest(&bytes).as_bytes(), b"  ", path, b"\n"].concat();
            shell.say(&line)?;
            continue;
        }
        let mut any = false;
        for line in all_lines(&bytes) {
            let Some(at) = line.iter().position(|byte| *byte == b' ') else { continue };
            let name = line[at..]
                .iter()
                .position(|byte| !matches!(byte, b' ' | b'*'))
                .map_or(&b""[..], |skip| &line[at + skip..]);
            let cwd = shell.cwd().to_vec();
            if given.has('i') && shell.world().stat(&cwd, name, Last::Followed).is_err() {
                continue;
            }
            any = true;
            let found = bytes_of(shell, words, name, &mut status)?;
            let right = found.is_some_and(|bytes| digest(&bytes).as_bytes() == &line[..at]);
            if !right {
                status = 1;
            }
            let quiet = given.has('s') || right && given.has('q');
            if !quiet {
                let said = [name, if right { b": OK\n" } else { b": FAILED\n" }].concat();
                shell.say(&said)?;
            }
        }
        // A list of which no file was there proves nothing.
        if !any {
            shell.say_error(b"no file was verified\n")?;
            status = 1;
        }
    }
    Ok(status)
}

/// `gzip -cd`, `zcat`: what is compressed, decompressed.
fn gzip(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] =
        &[flag('d', "decompress"), flag('c', "stdout"), flag('f', "force"), flag('q', "quiet")];
    use std::io::Read as _;
    let given = options::read(shell, words, KNOWN)?;
    let name = last_component(&words[0]);
    let (decompress, to_output) =
        (given.has('d') || name != b"gzip", given.has('c') || name == b"zcat" || given.operands.is_empty());
    if !decompress || !to_output {
        return Err(shell.fault(words, "only decompression to the output is evaluated"));
    }
    let mut status = 0;
    let bytes = input(shell, words, &given.operands, &mut status)?;
    let mut out = Vec::new();
    let read = pinfold_archive::codec::decoder(Compression::Gzip, &bytes[..])
        .and_then(|reader| reader.take(MAX_DECOMPRESSED).read_to_end(&mut out));
    match read {
        Ok(length) if (length as u64) < MAX_DECOMPRESSED => {
            shell.spend(4 * length as u64)?;
            shell.say(&out)?;
        }
        Ok(_) => return Err(shell.fault(words, "it is more than one script may use")),
        Err(_) => {
            shell.say_error(b"gzip: invalid compressed data\n")?;
            status = 1;
        }
    }
    Ok(status)
}

/// `base64 [-d] [-w COLUMNS]`
fn base64(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('d', "decode"), flag('i', "ignore-garbage"), valued('w', "wrap")];
    use ::base64::Engine as _;
    let given = options::read(shell, words, KNOWN)?;
    let mut status = 0;
    let mut bytes = input(shell, words, &given.operands, &mut status)?;
    shell.spend_bytes(bytes.len() * 2)?;
    if given.has('d') {
        // A newline is no part of the text; other bytes are garbage, which `-i` passes over.
        let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        bytes.retain(|byte| *byte != b'\n' && (!given.has('i') || is_digit(byte)));
        if let Ok(decoded) = ::base64::engine::general_purpose::STANDARD.decode(&bytes) {
            shell.say(&decoded)?;
        } else {
            shell.say_error(b"base64: invalid input\n")?;
            status = 1;
        }
        return Ok(status);
    }
    let columns = match given.value('w') {
        Some(text) => number(shell, words, &text.clone())?,
        None => 76,
    };
    let encoded = ::base64::engine::general_purpose::STANDARD.encode(&bytes).into_bytes();
    let mut out = Vec::with_capacity(encoded.len() + encoded.len() / 32);
    if columns == 0 {
        out = encoded;
    } else {
        for line in encoded.chunks(columns) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
    }
    shell.say(&out)?;
    Ok(status)
}
