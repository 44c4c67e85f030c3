//! `read` and `getopts`: variables from a line, and from the words that a script was given.

use std::rc::Rc;

use super::Flow;
use super::Shell;
use super::Status;
use super::builtin::Word;

/// `read [-r] [-p PROMPT] NAME…`
pub(super) fn read(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
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
    if names.is_empty() {
        return shell.error("read: arg count\n");
    }
    let mut line = Vec::new();
    let mut complete = false;
    while let Some(bytes) = shell.read_line(0) {
        shell.spend_bytes(bytes.len())?;
        line.extend(bytes.into_iter().filter(|byte| *byte != 0));
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

pub(super) fn getopts(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (Some(options), Some(name)) = (words.get(1).cloned(), words.get(2)) else { return Ok(2) };
    let name = String::from_utf8_lossy(name).into_owned();
    let arguments: Rc<[Word]> =
        if words.len() > 3 { words[3..].into() } else { shell.state.positional.clone() };
    shell.spend_bytes(16 * words.len() + options.len())?;
    let index = shell.get("OPTIND").and_then(|value| String::from_utf8_lossy(&value).parse::<usize>().ok());
    let mut index = index.unwrap_or(1).max(1);
    let quiet = options.starts_with(b":");
    let within = shell.state.getopts;
    // Within a word the index is already that of the next.
    let current = if within > 0 { index.checked_sub(2) } else { Some(index - 1) };
    let current = current.and_then(|current| arguments.get(current).cloned());
    let Some(word) = current.filter(|word| within > 0 || word.len() > 1 && word.starts_with(b"-")) else {
        return end_of_options(shell, &name, index);
    };
    if within == 0 {
        index += 1;
    }
    if within == 0 && &*word == b"--" {
        return end_of_options(shell, &name, index);
    }
    let at = within.max(1);
    let Some(&letter) = word.get(at) else { return end_of_options(shell, &name, index) };
    let last = at + 1 >= word.len();
    let mut next = if last { 0 } else { at + 1 };
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
            next = 0;
            if !last {
                shell.set("OPTARG", word[at + 1..].into())?;
            } else if let Some(argument) = arguments.get(index - 1) {
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
    shell.set("OPTIND", index.to_string().into_bytes().into())?;
    shell.state.getopts = next;
    shell.set(&name, value.into())?;
    Ok(0)
}

fn end_of_options(shell: &mut Shell<'_, '_>, name: &str, index: usize) -> Status {
    shell.set("OPTIND", index.to_string().into_bytes().into())?;
    shell.set(name, Rc::from(&b"?"[..]))?;
    Ok(1)
}
