//! Options of commands, as getopt_long(3) permutes them: short ones together, long ones with `=` or a word, `--`.

use std::rc::Rc;

use super::Word;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;

/// An option that a command has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// How it is called in the code of the command.
    pub(super) letter: char,
    /// Whether the letter is one that can be given; else it has a long name alone.
    pub(super) short: bool,
    /// Its long name; empty where it has none.
    pub(super) long: &'static str,
    /// Whether a value follows.
    pub(super) value: Value,
}

/// Whether an option has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// None.
    No,
    /// The rest of the word, or the next word.
    Yes,
    /// Only behind `=`, and may be left out.
    Optional,
    /// The rest of the word, or behind `=`; it may be left out.
    Attached,
}

/// What was given.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// Options in their order.
    pub(super) options: Vec<(char, Word)>,
    /// The rest.
    pub(super) operands: Vec<Word>,
}

impl Given {
    /// Whether an option was given.
    pub(super) fn has(&self, letter: char) -> bool {
        self.options.iter().any(|(given, _)| *given == letter)
    }

    /// The last value of an option.
    pub(super) fn value(&self, letter: char) -> Option<&Word> {
        self.options.iter().rev().find(|(given, _)| *given == letter).map(|(_, value)| value)
    }
}

/// An option without a value and with a long name.
pub(super) const fn flag(letter: char, long: &'static str) -> Known {
    Known { letter, short: true, long, value: Value::No }
}

/// An option with a value.
pub(super) const fn valued(letter: char, long: &'static str) -> Known {
    Known { letter, short: true, long, value: Value::Yes }
}

/// An option that has a long name alone, without a value; the letter is what the code calls it.
pub(super) const fn long(letter: char, long: &'static str) -> Known {
    Known { letter, short: false, long, value: Value::No }
}

/// The same with a value.
pub(super) const fn long_valued(letter: char, long: &'static str) -> Known {
    Known { letter, short: false, long, value: Value::Yes }
}

/// The same with a value that may be left out.
pub(super) const fn long_optional(letter: char, long: &'static str) -> Known {
    Known { letter, short: false, long, value: Value::Optional }
}

/// Where options may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Everywhere, as GNU's tools permute them.
    Any,
    /// Before the first operand.
    Leading,
}

/// Takes the options out of the words behind the command's name. One that is not known stops the evaluation.
pub(super) fn read(shell: &Shell<'_, '_>, words: &[Word], known: &[Known]) -> Result<Given, Flow> {
    given(shell, words, known, Order::Any)
}

/// The same, but the first operand ends the options: what follows may be another command's.
pub(super) fn read_leading(shell: &Shell<'_, '_>, words: &[Word], known: &[Known]) -> Result<Given, Flow> {
    given(shell, words, known, Order::Leading)
}

fn given(shell: &Shell<'_, '_>, words: &[Word], known: &[Known], order: Order) -> Result<Given, Flow> {
    let mut given = Given::default();
    let empty: Word = Rc::from(&b""[..]);
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        if &**word == b"--" {
            given.operands.extend(rest.cloned());
            break;
        }
        let unknown = || shell.fault(words, format!("the option `{}` is not known", word.escape_ascii()));
        if let Some(long) = word.strip_prefix(b"--") {
            let mut parts = long.splitn(2, |byte| *byte == b'=');
            let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
            let value = parts.next();
            // As getopt_long does, a name may be shortened as long as one option alone begins so.
            let mut begun = known.iter().filter(|option| option.long.starts_with(&name) && !name.is_empty());
            let exact = known.iter().find(|option| !option.long.is_empty() && option.long == name);
            let option = exact.or_else(|| {
                let first = begun.next()?;
                begun.all(|other| other.letter == first.letter).then_some(first)
            });
            let option = option.ok_or_else(unknown)?;
            let value: Word = match (option.value, value) {
                (Value::No | Value::Optional | Value::Attached, None) => empty.clone(),
                (Value::No, Some(_)) => return Err(unknown()),
                (_, Some(value)) => Rc::from(value),
                (Value::Yes, None) => rest.next().cloned().ok_or_else(unknown)?,
            };
            given.options.push((option.letter, value));
            continue;
        }
        if !word.starts_with(b"-") || word.len() == 1 {
            given.operands.push(word.clone());
            if order == Order::Leading {
                given.operands.extend(rest.cloned());
                break;
            }
            continue;
        }
        let mut letters = &word[1..];
        while let Some((&letter, after)) = letters.split_first() {
            let option = known
                .iter()
                .find(|option| option.short && option.letter == char::from(letter))
                .ok_or_else(unknown)?;
            letters = after;
            let value = match option.value {
                Value::Yes if after.is_empty() => rest.next().cloned().ok_or_else(unknown)?,
                Value::Yes | Value::Attached => {
                    letters = &[];
                    Rc::from(after)
                }
                Value::No | Value::Optional => empty.clone(),
            };
            given.options.push((option.letter, value));
        }
    }
    Ok(given)
}
