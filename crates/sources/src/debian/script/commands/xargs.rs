//! xargs: a command for what its input lists.

use std::rc::Rc;

use super::Word;
use super::find::put;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::valued;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::shell::Stream;

/// Most words that one command is given.
const MAX_WORDS: usize = 5_000;

/// Runs xargs.
pub(super) fn xargs(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('0', "null"),
        flag('r', "no-run-if-empty"),
        flag('t', "verbose"),
        valued('n', "max-args"),
        valued('I', ""),
        valued('d', "delimiter"),
        valued('P', "max-procs"),
        valued('s', "max-chars"),
    ];
    // The options end where the command begins.
    let given = options::read_leading(shell, words, KNOWN)?;
    let mut command = given.operands.clone();
    if command.is_empty() {
        command.push(Rc::from(&b"echo"[..]));
    }
    let bytes = shell.read_all()?;
    let delimiter = match given.value('d').map(|text| &**text) {
        None if given.has('0') => Some(0),
        None => None,
        Some([byte]) => Some(*byte),
        Some(b"\\n") => Some(b'\n'),
        Some(b"\\0") => Some(0),
        Some(b"\\t") => Some(b'\t'),
        Some(_) => return Err(shell.fault(words, "a delimiter is one character")),
    };
    shell.spend_bytes(bytes.len())?;
    let items: Vec<Word> = if let Some(delimiter) = delimiter {
        let whole = bytes.strip_suffix(&[delimiter]).unwrap_or(&bytes);
        if bytes.is_empty() {
            Vec::new()
        } else {
            whole.split(|byte| *byte == delimiter).map(Rc::from).collect()
        }
    } else {
        let by_line = given.has('I');
        let Some(items) = quoted_items(&bytes, by_line) else {
            shell.say_error(b"xargs: unmatched quote\n")?;
            return Ok(1);
        };
        items
    };
    let most = match given.value('n') {
        Some(text) => String::from_utf8_lossy(text).parse::<usize>().unwrap_or(0).clamp(1, MAX_WORDS),
        None => MAX_WORDS,
    };
    let longest = match given.value('s') {
        Some(text) => match String::from_utf8_lossy(text).parse::<usize>() {
            Ok(longest) if longest > 0 => longest,
            _ => return Err(shell.fault(words, "a length is a number")),
        },
        None => usize::MAX,
    };
    let own: usize = command.iter().map(|word| word.len() + 1).sum();
    let mark = given.value('I').cloned();
    shell.with_input(Stream::Null, |shell| {
        let mut status = 0;
        let mut run = |shell: &mut Shell<'_, '_>, call: &[Word]| -> Result<Option<i32>, Flow> {
            Ok(match shell.start(call)? {
                0 => None,
                status @ (126 | 127) => Some(status),
                255 => Some(124),
                _ => {
                    status = 123;
                    None
                }
            })
        };
        if let Some(mark) = &mark {
            for item in &items {
                shell.spend_bytes(command.iter().map(|word| word.len() + item.len()).sum())?;
                let call: Vec<Word> = command.iter().map(|word| put(word, mark, item)).collect();
                if let Some(ended) = run(shell, &call)? {
                    return Ok(ended);
                }
            }
        } else if items.is_empty() {
            if !given.has('r')
                && let Some(ended) = run(shell, &command)?
            {
                return Ok(ended);
            }
        } else {
            let mut rest = &items[..];
            while !rest.is_empty() {
                let (mut count, mut length) = (0, own);
                while let Some(item) = rest.get(count).filter(|_| count < most) {
                    length += item.len() + 1;
                    if length > longest {
                        break;
                    }
                    count += 1;
                }
                if count == 0 {
                    shell.say_error(b"xargs: argument line too long\n")?;
                    return Ok(1);
                }
                let part;
                (part, rest) = rest.split_at(count);
                shell.spend_bytes(16 * (command.len() + part.len()))?;
                if let Some(ended) = run(shell, &[&command[..], part].concat())? {
                    return Ok(ended);
                }
            }
        }
        Ok(status)
    })
}

/// Words between blanks, or lines, in which quotes and backslashes keep what they stand for; nothing where a quote does not end.
fn quoted_items(bytes: &[u8], by_line: bool) -> Option<Vec<Word>> {
    let (mut items, mut item, mut begun) = (Vec::new(), Vec::new(), false);
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\n' => {
                if begun {
                    items.push(Rc::from(&item[..]));
                }
                item.clear();
                begun = false;
            }
            b' ' | b'\t' if !begun => {}
            b' ' | b'\t' if !by_line => {
                items.push(Rc::from(&item[..]));
                item.clear();
                begun = false;
            }
            b'\'' | b'"' => {
                begun = true;
                loop {
                    match rest.next() {
                        None | Some(b'\n') => return None,
                        Some(end) if *end == byte => break,
                        Some(other) => item.push(*other),
                    }
                }
            }
            b'\\' => {
                begun = true;
                item.extend(rest.next());
            }
            other => {
                begun = true;
                item.push(other);
            }
        }
    }
    if begun {
        items.push(Rc::from(&item[..]));
    }
    Some(items)
}
