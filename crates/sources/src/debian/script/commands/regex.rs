//! POSIX regular expressions, as sed, grep, expr and awk have them (XBD 9; GNU's `\+ \? \|` and classes).
//!
//! ```text
//! basic       \( \) \{ \} \| \+ \? special, ( ) { } | + ? plain, * plain at the start      ─►  the crate's syntax
//! extended    as the crate has it, but for what only the crate knows
//! awk         extended, with a backslash that is special in brackets too
//! ```
//!
//! Where a match begins is found by the crate `regex`; where several ends are possible the longest is taken, by a machine that
//! walks through all of them. **Guarantees**: time is linear in the text for every search, and a compiled expression is bounded.
//! **Refuses** a reference to a group inside an expression (`\1`), and collating elements.

use std::cell::RefCell;
use std::iter::Peekable;
use std::str::Chars;

use ::regex::bytes::Regex;
use ::regex::bytes::RegexBuilder;
use regex_automata::Anchored;
use regex_automata::Input;
use regex_automata::MatchKind;
use regex_automata::nfa::thompson;
use regex_automata::nfa::thompson::pikevm::Cache;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::util::syntax;

/// Largest compiled expression, in bytes.
const MAX_COMPILED: usize = 1 << 17;
/// Longest expression, in bytes.
const MAX_PATTERN: usize = 64 << 10;

/// The dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Basic,
    Extended,
    Awk,
    /// No expression: the bytes themselves.
    Fixed,
}

/// Whether upper and lower case are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    Exact,
    AnyCase,
}

/// Where a group matched, from and to; the group 0 is the whole.
pub(super) type Spans = Vec<Option<(usize, usize)>>;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Expression {
    first: Regex,
    /// Where the crate may end earlier than POSIX does.
    longest: Option<(PikeVM, RefCell<Cache>)>,
    /// How many states the slower machine has, in those that a step takes little longer for.
    weight: u64,
}

impl Expression {
    /// An expression of a dialect.
    pub(super) fn new(pattern: &[u8], dialect: Dialect, letters: Letters) -> Result<Self, String> {
        Self::of_parts(&translate(pattern, dialect)?, letters)
    }

    /// One that is matched at the start alone, as `expr` does.
    pub(super) fn at_start(pattern: &[u8]) -> Result<Self, String> {
        let Translated { text, ambiguous } = translate(pattern, Dialect::Basic)?;
        Self::of_parts(&Translated { text: format!("^(?:{text})"), ambiguous }, Letters::Exact)
    }

    /// One that is matched from the first to the last byte, as `find -regex` does.
    pub(super) fn of_whole(pattern: &[u8], dialect: Dialect, letters: Letters) -> Result<Self, String> {
        let Translated { text, .. } = translate(pattern, dialect)?;
        Self::of_parts(&Translated { text: format!("^(?:{text})$"), ambiguous: false }, letters)
    }

    /// awk's.
    pub(super) fn of_awk(pattern: &[u8]) -> Result<Self, String> {
        Self::new(pattern, Dialect::Awk, Letters::Exact)
    }

    /// What was translated, or put together of such.
    pub(super) fn of_parts(translated: &Translated, letters: Letters) -> Result<Self, String> {
        let any_case = letters == Letters::AnyCase;
        let wrong = || "this regular expression is not understood".to_owned();
        // Bytes that are no UTF-8 match too.
        let first = RegexBuilder::new(&translated.text)
            .unicode(false)
            .case_insensitive(any_case)
            .size_limit(MAX_COMPILED)
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| wrong())?;
        let longest = if translated.ambiguous {
            let syntax = syntax::Config::new()
                .unicode(false)
                .utf8(false)
                .dot_matches_new_line(true)
                .case_insensitive(any_case);
            let machine = PikeVM::builder()
                .configure(PikeVM::config().match_kind(MatchKind::All))
                .syntax(syntax)
                .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_COMPILED)))
                .build(&translated.text)
                .map_err(|_| wrong())?;
            let cache = RefCell::new(machine.create_cache());
            Some((machine, cache))
        } else {
            None
        };
        let states =
            longest.as_ref().map_or(0, |(machine, _): &(PikeVM, _)| machine.get_nfa().states().len());
        Ok(Self { first, longest, weight: 1 + states as u64 / 64 })
    }

    /// How many groups it has, the whole included.
    pub(super) fn groups(&self) -> usize {
        self.first.captures_len()
    }

    /// What a search in a text of this length takes at most, in nanoseconds.
    pub(super) fn price(&self, length: usize) -> u64 {
        200 + length as u64 * if self.longest.is_some() { 16 * self.weight } else { 2 }
    }

    /// What making it took, in nanoseconds.
    pub(super) fn made(&self) -> u64 {
        100_000 * self.weight
    }

    /// The same for a search behind a match, where this much is left: a machine with one end looks no further than its match.
    pub(super) fn further(&self, left: usize) -> u64 {
        200 + if self.longest.is_some() { left as u64 * 8 * self.weight } else { left as u64 / 64 }
    }

    /// Whether it matches anywhere.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        self.first.is_match(text)
    }

    /// The leftmost longest match from `start` on.
    pub(super) fn find_at(&self, text: &[u8], start: usize) -> Option<(usize, usize)> {
        if self.longest.is_some() {
            return self.spans_at(text, start)?.first().copied().flatten();
        }
        self.first.find_at(text, start).map(|found| (found.start(), found.end()))
    }

    /// The same with its groups.
    pub(super) fn spans_at(&self, text: &[u8], start: usize) -> Option<Spans> {
        if let Some((machine, cache)) = &self.longest {
            let begin = self.first.find_at(text, start)?.start();
            let input = Input::new(text).span(begin..text.len()).anchored(Anchored::Yes);
            let mut slots = vec![None; self.groups() * 2];
            machine.search_slots(&mut cache.borrow_mut(), &input, &mut slots)?;
            let spans = slots.chunks(2).map(|pair| match pair {
                [Some(from), Some(to)] => Some((from.get(), to.get())),
                _ => None,
            });
            return Some(spans.collect());
        }
        let found = self.first.captures_at(text, start)?;
        Some((0..found.len()).map(|group| found.get(group).map(|one| (one.start(), one.end()))).collect())
    }

    /// The match behind one that was found from `from` to `to`: an empty one does not stand right behind another.
    pub(super) fn next(&self, text: &[u8], from: usize, to: usize) -> Option<Spans> {
        let start = if from == to { to + 1 } else { to };
        if start > text.len() {
            return None;
        }
        let spans = self.spans_at(text, start)?;
        match spans.first().copied().flatten() {
            Some((begin, end)) if begin == end && begin == to => {
                if to < text.len() {
                    self.spans_at(text, to + 1)
                } else {
                    None
                }
            }
            _ => Some(spans),
        }
    }
}

/// An expression in the crate's syntax.
#[derive(Debug)]
pub(super) struct Translated {
    /// Its text.
    pub(super) text: String,
    /// Whether from one start several ends are possible of which the crate may not take the longest.
    pub(super) ambiguous: bool,
}

/// The crate's syntax for a pattern, for expressions that are put together.
pub(super) fn translate(pattern: &[u8], dialect: Dialect) -> Result<Translated, String> {
    if pattern.len() > MAX_PATTERN {
        return Err("a regular expression is too long".into());
    }
    let text = std::str::from_utf8(pattern)
        .map_err(|_| "a regular expression that is not UTF-8 is not evaluated".to_owned())?;
    if dialect == Dialect::Fixed {
        return Ok(Translated { text: ::regex::escape(text), ambiguous: false });
    }
    let mut translator = Translator {
        basic: dialect == Dialect::Basic,
        escapes: dialect == Dialect::Awk,
        out: String::with_capacity(text.len() * 2),
        start: true,
        before: Before::Other,
        ambiguous: false,
    };
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        translator.letter(letter, &mut rest)?;
    }
    Ok(Translated { text: translator.out, ambiguous: translator.ambiguous })
}

/// What stands before the place that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Group,
    /// `*`, `+` or `?`.
    Repeated(char),
    Other,
}

struct Translator {
    basic: bool,
    /// Whether a backslash is special in brackets.
    escapes: bool,
    out: String,
    /// At the start of an expression or group `*` is plain and `^` an anchor.
    start: bool,
    before: Before,
    ambiguous: bool,
}

impl Translator {
    fn letter(&mut self, letter: char, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        let was_start = std::mem::replace(&mut self.start, false);
        let before = std::mem::replace(&mut self.before, Before::Other);
        match letter {
            '\\' => match rest.next() {
                None => return Err("a regular expression ends in a backslash".into()),
                Some(special @ ('(' | ')' | '{' | '}' | '|' | '+' | '?')) if self.basic => {
                    self.special(special, was_start, before, rest);
                }
                Some('1'..='9') if !self.escapes => {
                    return Err("a reference to a group inside a regular expression is not evaluated".into());
                }
                Some('<') => self.out.push_str(r"\b{start}"),
                Some('>') => self.out.push_str(r"\b{end}"),
                Some('b') if !self.escapes => self.out.push_str(r"\b"),
                Some('B') if !self.escapes => self.out.push_str(r"\B"),
                Some('w') => self.out.push_str("[A-Za-z0-9_]"),
                Some('W') => self.out.push_str("[^A-Za-z0-9_]"),
                Some('s') => self.out.push_str("[[:space:]]"),
                Some('S') => self.out.push_str("[^[:space:]]"),
                Some('n') => self.out.push_str(r"\n"),
                Some('t') => self.out.push_str(r"\t"),
                Some('r') => self.out.push_str(r"\r"),
                Some('`') => self.out.push_str(r"\A"),
                Some('\'') => self.out.push_str(r"\z"),
                Some(other) => self.plain(other),
            },
            '[' => self.bracket(rest)?,
            '(' | ')' | '{' | '}' | '|' | '+' | '?' if self.basic => self.plain(letter),
            '(' | ')' | '{' | '}' | '|' | '+' | '?' => self.special(letter, was_start, before, rest),
            '*' if was_start => self.out.push_str(r"\*"),
            '*' => self.repeat('*', before),
            '^' if self.basic && !was_start => self.out.push_str(r"\^"),
            '^' => {
                self.out.push('^');
                self.start = true;
            }
            '$' if self.basic => {
                let mut ahead = rest.clone();
                let ends = match ahead.next() {
                    None => true,
                    Some('\\') => matches!(ahead.next(), Some(')' | '|')),
                    Some(_) => false,
                };
                self.out.push_str(if ends { "$" } else { r"\$" });
            }
            '$' | '.' => self.out.push(letter),
            other => self.plain(other),
        }
        Ok(())
    }

    fn plain(&mut self, letter: char) {
        self.out.push_str(&::regex::escape(letter.encode_utf8(&mut [0; 4])));
    }

    fn special(&mut self, letter: char, was_start: bool, before: Before, rest: &mut Peekable<Chars<'_>>) {
        match letter {
            '(' | '|' => {
                self.ambiguous |= letter == '|';
                self.out.push(letter);
                self.start = true;
            }
            ')' => {
                self.out.push(')');
                self.before = Before::Group;
            }
            '+' | '?' if was_start => self.plain(letter),
            '+' | '?' => self.repeat(letter, before),
            '{' => {
                self.ambiguous |= before == Before::Group;
                match rest.peek() {
                    Some(',') => self.out.push_str("{0"),
                    Some(digit) if digit.is_ascii_digit() => self.out.push('{'),
                    // GNU takes a `{` that begins no repetition as it is.
                    _ => self.out.push_str(r"\{"),
                }
            }
            other => self.out.push(other),
        }
    }

    /// A repetition; the crate reads a second one right behind it as something else.
    fn repeat(&mut self, sign: char, before: Before) {
        self.ambiguous |= before == Before::Group;
        let sign = match before {
            Before::Repeated(first) => {
                self.out.pop();
                if first == sign { sign } else { '*' }
            }
            _ => sign,
        };
        self.out.push(sign);
        self.before = Before::Repeated(sign);
    }

    /// A bracket expression, in which a backslash is plain but in awk.
    fn bracket(&mut self, rest: &mut Peekable<Chars<'_>>) -> Result<(), String> {
        let missing = || "a bracket expression does not end".to_owned();
        self.out.push('[');
        if rest.peek() == Some(&'^') {
            rest.next();
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let letter = rest.next().ok_or_else(missing)?;
            match letter {
                ']' if !first => break,
                '[' if rest.peek() == Some(&':') => {
                    let mut class = String::from("[");
                    loop {
                        let letter = rest.next().ok_or_else(missing)?;
                        class.push(letter);
                        if letter == ']' && class.ends_with(":]") && class.len() > 3 {
                            break;
                        }
                    }
                    self.out.push_str(&class);
                }
                '[' if matches!(rest.peek(), Some('.' | '=')) => {
                    return Err("collating elements are not evaluated".into());
                }
                '\\' if self.escapes => match rest.next().ok_or_else(missing)? {
                    'n' => self.out.push_str(r"\n"),
                    't' => self.out.push_str(r"\t"),
                    'r' => self.out.push_str(r"\r"),
                    other => self.out.push_str(&::regex::escape(other.encode_utf8(&mut [0; 4]))),
                },
                '[' | '\\' | '&' | '~' | ']' | '^' => {
                    self.out.push('\\');
                    self.out.push(letter);
                }
                '-' if first || rest.peek() == Some(&']') => self.out.push_str(r"\-"),
                other => self.out.push(other),
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }
}
