//! getopt of util-linux: the options of a script, put in order and quoted for `eval set --`.
//!
//! **Guarantees**: what it prints is what util-linux' getopt prints for a POSIX shell. **Refuses** shells other than `sh` and `bash`.

use std::rc::Rc;

use super::Word;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::valued;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
    /// Only in the same word.
    Maybe,
}

/// Runs getopt.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('a', "alternative"),
        valued('l', "longoptions"),
        valued('n', "name"),
        valued('o', "options"),
        flag('q', "quiet"),
        flag('Q', "quiet-output"),
        valued('s', "shell"),
        flag('T', "test"),
        flag('u', "unquoted"),
    ];
    // `getopt OPTIONS WORD…`, the old form.
    let old = words.get(1).is_some_and(|word| !word.starts_with(b"-"));
    let given = if old {
        options::Given { operands: words[1..].to_vec(), ..options::Given::default() }
    } else {
        options::read_leading(shell, words, KNOWN)?
    };
    if given.has('T') {
        return Ok(4);
    }
    if given.value('s').is_some_and(|shell| !matches!(&**shell, b"sh" | b"bash")) {
        return Err(shell.fault(words, "it is asked for another shell's quotes"));
    }
    let mut operands = &given.operands[..];
    let short = if let Some(short) = given.value('o') {
        short.clone()
    } else {
        let Some((first, rest)) = operands.split_first() else {
            shell.say_error(b"getopt: missing optstring argument\n")?;
            return Ok(2);
        };
        operands = rest;
        first.clone()
    };
    let long: Vec<(Vec<u8>, Takes)> = given
        .options
        .iter()
        .filter(|(letter, _)| *letter == 'l')
        .flat_map(|(_, names)| names.split(|byte| matches!(byte, b',' | b' ' | b'\t' | b'\n')))
        .filter(|name| !name.is_empty())
        .map(|name| match (name.strip_suffix(b"::"), name.strip_suffix(b":")) {
            (Some(name), _) => (name.to_vec(), Takes::Maybe),
            (None, Some(name)) => (name.to_vec(), Takes::Value),
            (None, None) => (name.to_vec(), Takes::Nothing),
        })
        .collect();
    let name = given.value('n').cloned().unwrap_or_else(|| Rc::from(&b"getopt"[..]));
    let mut sorter = Sorter {
        name,
        short: &short,
        long: &long,
        alternative: given.has('a'),
        quoted: !given.has('u') && !old,
        out: Vec::new(),
        errors: Vec::new(),
        rest: Vec::new(),
    };
    let each = 20 * (1 + long.len() + short.len()) as u64;
    shell.spend(each * operands.len() as u64)?;
    sorter.sort(operands);
    let Sorter { mut out, errors, rest, quoted, .. } = sorter;
    out.extend_from_slice(b" --");
    for word in &rest {
        out.push(b' ');
        put(word, quoted, &mut out);
    }
    out.push(b'\n');
    if !given.has('q') {
        shell.say_error(&errors)?;
    }
    if !given.has('Q') {
        shell.say(&out)?;
    }
    Ok(i32::from(!errors.is_empty()))
}

/// A word in single quotes.
fn put(word: &[u8], quoted: bool, out: &mut Vec<u8>) {
    if !quoted {
        out.extend_from_slice(word);
        return;
    }
    out.push(b'\'');
    for byte in word {
        if *byte == b'\'' {
            out.extend_from_slice(b"'\\''");
        } else {
            out.push(*byte);
        }
    }
    out.push(b'\'');
}

struct Sorter<'o> {
    name: Word,
    short: &'o [u8],
    long: &'o [(Vec<u8>, Takes)],
    alternative: bool,
    quoted: bool,
    out: Vec<u8>,
    errors: Vec<u8>,
    rest: Vec<Word>,
}

impl Sorter<'_> {
    fn sort(&mut self, words: &[Word]) {
        let (stops, in_place) = (self.short.starts_with(b"+"), self.short.starts_with(b"-"));
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if &**word == b"--" {
                self.rest.extend(words.cloned());
                return;
            }
            if let Some(long) = word.strip_prefix(b"--") {
                self.long_option(long, b"--", &mut words);
            } else if word.starts_with(b"-") && word.len() > 1 {
                if self.alternative && self.is_long(&word[1..]) {
                    self.long_option(&word[1..], b"-", &mut words);
                } else {
                    self.short_options(&word[1..], &mut words);
                }
            } else if stops {
                self.rest.push(word.clone());
                self.rest.extend(words.cloned());
                return;
            } else if in_place {
                self.out.push(b' ');
                put(word, self.quoted, &mut self.out);
            } else {
                self.rest.push(word.clone());
            }
        }
    }

    fn is_long(&self, word: &[u8]) -> bool {
        let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
        self.long.iter().any(|(long, _)| long.starts_with(name))
            && (word.len() > 1 || !self.short.contains(&word[0]))
    }

    fn complain(&mut self, what: &[u8]) {
        self.errors.extend([&self.name[..], b": ", what, b"\n"].concat());
    }

    fn long_option(&mut self, word: &[u8], dashes: &[u8], rest: &mut std::slice::Iter<'_, Word>) {
        let at = memchr::memchr(b'=', word);
        let (name, value) = (&word[..at.unwrap_or(word.len())], at.map(|at| &word[at + 1..]));
        let exact = self.long.iter().find(|(long, _)| long == name);
        let begun: Vec<&(Vec<u8>, Takes)> =
            self.long.iter().filter(|(long, _)| long.starts_with(name)).collect();
        let found = match (exact, &begun[..]) {
            (Some(found), _) => found,
            (None, [one]) => one,
            (None, []) => {
                self.complain(&[b"unrecognized option '", dashes, word, b"'"].concat());
                return;
            }
            (None, _) => {
                self.complain(&[b"option '", dashes, word, b"' is ambiguous"].concat());
                return;
            }
        };
        let (name, takes) = (found.0.clone(), found.1);
        let value = match (takes, value) {
            (Takes::Nothing, Some(_)) => {
                self.complain(&[b"option '", dashes, &name[..], b"' doesn't allow an argument"].concat());
                return;
            }
            (Takes::Nothing, None) => None,
            (Takes::Maybe, value) => Some(value.unwrap_or_default().to_vec()),
            (Takes::Value, Some(value)) => Some(value.to_vec()),
            (Takes::Value, None) => {
                let Some(next) = rest.next() else {
                    self.complain(&[b"option '", dashes, &name[..], b"' requires an argument"].concat());
                    return;
                };
                Some(next.to_vec())
            }
        };
        self.out.extend([b" --", &name[..]].concat());
        if let Some(value) = value {
            self.out.push(b' ');
            put(&value, self.quoted, &mut self.out);
        }
    }

    fn short_options(&mut self, letters: &[u8], rest: &mut std::slice::Iter<'_, Word>) {
        let short =
            self.short.strip_prefix(b"+").or_else(|| self.short.strip_prefix(b"-")).unwrap_or(self.short);
        for (at, letter) in letters.iter().enumerate() {
            let place = short.iter().position(|known| known == letter).filter(|_| *letter != b':');
            let Some(place) = place else {
                self.complain(&[b"invalid option -- '", &[*letter][..], b"'"].concat());
                continue;
            };
            let after = &letters[at + 1..];
            self.out.extend([b' ', b'-', *letter]);
            match &short[place + 1..] {
                [b':', b':', ..] => {
                    self.out.push(b' ');
                    put(after, self.quoted, &mut self.out);
                    return;
                }
                [b':', ..] => {
                    let value = if after.is_empty() {
                        rest.next().map(|word| word.to_vec())
                    } else {
                        Some(after.to_vec())
                    };
                    if let Some(value) = value {
                        self.out.push(b' ');
                        put(&value, self.quoted, &mut self.out);
                    } else {
                        self.out.truncate(self.out.len() - 3);
                        self.complain(&[b"option requires an argument -- '", &[*letter][..], b"'"].concat());
                    }
                    return;
                }
                _ => {}
            }
        }
    }
}
