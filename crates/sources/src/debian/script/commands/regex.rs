//! POSIX regular expressions, as sed and grep have them, by the `regex` crate (XBD 9; GNU's `\+ \? \|` and classes).
//!
//! ```text
//! basic       \( \) \{ \} \| \+ \? special, ( ) { } | + ? plain, * plain at the start      ─►  the crate's syntax
//! extended    as the crate has it, but for what only the crate knows
//! ```
//!
//! Differences that stay: of several alternatives the first that matches is taken, not the longest; a reference to a group
//! inside an expression (`\1`) is refused.

use ::regex::bytes::Regex;
use ::regex::bytes::RegexBuilder;

/// Largest compiled expression, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// A basic expression.
pub(super) fn basic(pattern: &[u8]) -> Result<Regex, String> {
    compile(&translate(pattern, Dialect::Basic)?, Letters::Exact)
}

/// The two dialects of POSIX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Basic,
    Extended,
    /// No expression: the bytes themselves.
    Fixed,
}

/// Whether upper and lower case are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    Exact,
    AnyCase,
}

/// An expression of a dialect.
pub(super) fn expression(pattern: &[u8], dialect: Dialect, letters: Letters) -> Result<Regex, String> {
    compile(&translate(pattern, dialect)?, letters)
}

/// The crate's syntax for a pattern, for expressions that are put together.
pub(super) fn translate(pattern: &[u8], dialect: Dialect) -> Result<String, String> {
    let text = std::str::from_utf8(pattern)
        .map_err(|_| "a regular expression that is not UTF-8 is not evaluated".to_owned())?;
    if dialect == Dialect::Fixed {
        return Ok(::regex::escape(text));
    }
    let basic = dialect == Dialect::Basic;
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text.chars().peekable();
    // At the start of an expression or group `*` is plain and `^` an anchor.
    let mut start = true;
    while let Some(letter) = rest.next() {
        let was_start = std::mem::replace(&mut start, false);
        match letter {
            '\\' => match rest.next() {
                None => return Err("a regular expression ends in a backslash".into()),
                Some(special @ ('(' | ')' | '{' | '}' | '|' | '+' | '?')) => {
                    if basic {
                        out.push(special);
                        start = matches!(special, '(' | '|');
                    } else {
                        out.push('\\');
                        out.push(special);
                    }
                }
                Some('1'..='9') => {
                    return Err("a reference to a group inside a regular expression is not evaluated".into());
                }
                Some('<') => out.push_str(r"\b{start}"),
                Some('>') => out.push_str(r"\b{end}"),
                Some('b') => out.push_str(r"\b"),
                Some('w') => out.push_str("[A-Za-z0-9_]"),
                Some('W') => out.push_str("[^A-Za-z0-9_]"),
                Some('s') => out.push_str("[[:space:]]"),
                Some('S') => out.push_str("[^[:space:]]"),
                Some('n') => out.push_str(r"\n"),
                Some('t') => out.push_str(r"\t"),
                Some('`') => out.push_str(r"\A"),
                Some('\'') => out.push_str(r"\z"),
                Some(other) => out.push_str(&::regex::escape(&other.to_string())),
            },
            '[' => bracket(&mut rest, &mut out)?,
            '(' | ')' | '{' | '}' | '|' | '+' | '?' if basic => {
                out.push('\\');
                out.push(letter);
            }
            '(' | '|' => {
                out.push(letter);
                start = true;
            }
            // GNU takes a `{` that begins no repetition as it is.
            '{' if !rest.peek().is_some_and(char::is_ascii_digit) => out.push_str(r"\{"),
            '*' if was_start => out.push_str(r"\*"),
            '^' if basic && !was_start => out.push_str(r"\^"),
            '^' => {
                out.push('^');
                start = true;
            }
            '$' if basic => {
                let mut ahead = rest.clone();
                let ends = match ahead.next() {
                    None => true,
                    Some('\\') => matches!(ahead.next(), Some(')' | '|')),
                    Some(_) => false,
                };
                out.push_str(if ends { "$" } else { r"\$" });
            }
            '$' | '.' | '*' | '+' | '?' | ')' | '{' | '}' => out.push(letter),
            other => out.push_str(&::regex::escape(&other.to_string())),
        }
    }
    Ok(out)
}

/// A bracket expression, in which a backslash is plain.
fn bracket(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Result<(), String> {
    let missing = || "a bracket expression does not end".to_owned();
    out.push('[');
    if rest.peek() == Some(&'^') {
        rest.next();
        // A negated one does not match a newline in these tools' lines, which have none.
        out.push('^');
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
                out.push_str(&class);
            }
            '[' if matches!(rest.peek(), Some('.' | '=')) => {
                return Err("collating elements are not evaluated".into());
            }
            '[' | '\\' | '&' | '~' | ']' | '^' => {
                out.push('\\');
                out.push(letter);
            }
            '-' if first || rest.peek() == Some(&']') => out.push_str(r"\-"),
            other => out.push(other),
        }
        first = false;
    }
    out.push(']');
    Ok(())
}

/// Compiles the crate's syntax; bytes that are no UTF-8 match too.
pub(super) fn compile(pattern: &str, letters: Letters) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(letters == Letters::AnyCase)
        .size_limit(MAX_COMPILED)
        .dot_matches_new_line(true)
        .build()
        .map_err(|_| "this regular expression is not understood".into())
}
