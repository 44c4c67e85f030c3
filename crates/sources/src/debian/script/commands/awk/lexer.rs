//! The words of awk: numbers, texts with their escapes, expressions, names, signs.

use std::fmt;
use std::rc::Rc;

use super::value::leading_number;
use crate::debian::script::shell::control;
use crate::debian::script::shell::octal;

/// Longest program, in bytes.
const MAX_PROGRAM: usize = 64 << 10;
/// Words that are no names.
const WORDS: [&str; 18] = [
    "BEGIN", "END", "function", "if", "else", "while", "for", "do", "break", "continue", "next", "exit",
    "return", "delete", "in", "getline", "print", "printf",
];
/// Functions that awk has; `syntax` knows their arguments.
const BUILTINS: [&str; 28] = [
    "length", "substr", "index", "split", "sub", "gsub", "match", "sprintf", "tolower", "toupper", "int",
    "sqrt", "exp", "log", "sin", "cos", "atan2", "system", "close", "rand", "srand", "fflush", "systime",
    "strftime", "gensub", "mktime", "asort", "asorti",
];
/// Signs, the longest first.
const SIGNS: [&str; 42] = [
    "**=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "**", "==", "<=", ">=", "!=", "!~",
    ">>", "{", "}", "(", ")", "[", "]", ";", "\n", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "|",
    "?", ":", "~", "$", "=",
];

/// A word of a program.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Text(Rc<[u8]>),
    Regex(Vec<u8>),
    Name(String),
    /// A name with a parenthesis right behind it.
    Called(String),
    Builtin(&'static str),
    Word(&'static str),
    Sign(&'static str),
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(to, "`{number}`"),
            Self::Text(text) => write!(to, "\"{}\"", text.escape_ascii()),
            Self::Regex(pattern) => write!(to, "/{}/", pattern.escape_ascii()),
            Self::Name(name) | Self::Called(name) => write!(to, "`{name}`"),
            Self::Sign("\n") => write!(to, "the end of the line"),
            Self::Builtin(name) | Self::Word(name) | Self::Sign(name) => write!(to, "`{name}`"),
            Self::End => write!(to, "its end"),
        }
    }
}

/// The words of a program.
pub(super) fn tokens(text: &[u8]) -> Result<Vec<Token>, String> {
    if text.len() > MAX_PROGRAM {
        return Err("the program of `awk` is too long".into());
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = &text[at..];
        match byte {
            b' ' | b'\t' | b'\r' => at += 1,
            b'\\' if rest.starts_with(b"\\\n") => at += 2,
            b'\\' if rest.starts_with(b"\\\r\n") => at += 3,
            b'#' => at += memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            b'"' => {
                let (value, length) = quoted(rest)?;
                tokens.push(Token::Text(value.into()));
                at += length;
            }
            b'/' if !divides(tokens.last()) => {
                let (pattern, length) = regex(rest)?;
                tokens.push(Token::Regex(pattern));
                at += length;
            }
            b'0'..=b'9' | b'.' => {
                let (_, length) = leading_number(rest);
                let number = std::str::from_utf8(&rest[..length]).ok().and_then(|text| text.parse().ok());
                let Some(number) = number else { return Err("a number of `awk` is not understood".into()) };
                tokens.push(Token::Number(number));
                at += length;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let length =
                    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
                let name = String::from_utf8_lossy(&rest[..length]).into_owned();
                at += length;
                tokens.push(match name.as_str() {
                    "func" => Token::Word("function"),
                    name if WORDS.contains(&name) => {
                        Token::Word(WORDS.iter().find(|word| **word == name).copied().unwrap_or(""))
                    }
                    name if BUILTINS.contains(&name) => {
                        Token::Builtin(BUILTINS.iter().find(|word| **word == name).copied().unwrap_or(""))
                    }
                    _ if text.get(at) == Some(&b'(') => Token::Called(name),
                    _ => Token::Name(name),
                });
            }
            _ => {
                let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(sign.as_bytes())) else {
                    return Err(format!("the program of `awk` has a `{}`", [byte].escape_ascii()));
                };
                at += sign.len();
                tokens.push(Token::Sign(match *sign {
                    "**" => "^",
                    "**=" => "^=",
                    sign => sign,
                }));
            }
        }
    }
    Ok(tokens)
}

/// Whether a slash behind this divides.
fn divides(before: Option<&Token>) -> bool {
    matches!(
        before,
        Some(
            Token::Number(_)
                | Token::Text(_)
                | Token::Name(_)
                | Token::Builtin(_)
                | Token::Sign(")" | "]" | "$" | "++" | "--")
        )
    )
}

/// A text in double quotes, and how long it is with them.
fn quoted(text: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let (mut value, mut at) = (Vec::new(), 1);
    loop {
        match text.get(at) {
            None | Some(b'\n') => return Err("a text of `awk` does not end".into()),
            Some(b'"') => return Ok((value, at + 1)),
            Some(b'\\') => at += 1 + escape(&text[at + 1..], &mut value),
            Some(byte) => {
                value.push(*byte);
                at += 1;
            }
        }
    }
}

/// What a backslash and what follows stand for; how many bytes of that are used.
pub(super) fn escape(rest: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(&byte) = rest.first() else {
        out.push(b'\\');
        return 0;
    };
    let value = match byte {
        b'"' | b'/' | b'\\' => byte,
        // As mawk and gawk have it: two digits at most.
        b'x' if rest.get(1).is_some_and(u8::is_ascii_hexdigit) => {
            let digits = rest[1..].iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let text = String::from_utf8_lossy(&rest[1..=digits]).into_owned();
            out.push(u8::from_str_radix(&text, 16).unwrap_or_default());
            return 1 + digits;
        }
        b'0'..=b'7' => {
            let digits = rest.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
            out.push(octal(&rest[..digits]));
            return digits;
        }
        b'\n' => return 1,
        // As mawk keeps it: the backslash too.
        _ => {
            let Some(value) = control(byte) else {
                out.extend([b'\\', byte]);
                return 1;
            };
            value
        }
    };
    out.push(value);
    1
}

/// An expression between slashes, and how long it is with them.
fn regex(text: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let (mut pattern, mut at, mut in_brackets) = (Vec::new(), 1, false);
    loop {
        match text.get(at) {
            None | Some(b'\n') => return Err("a regular expression of `awk` does not end".into()),
            Some(b'/') if !in_brackets => return Ok((pattern, at + 1)),
            Some(b'\\') => {
                match text.get(at + 1) {
                    Some(b'/') => pattern.push(b'/'),
                    Some(b'"') => pattern.push(b'"'),
                    Some(byte) => pattern.extend([b'\\', *byte]),
                    None => {}
                }
                at += 2;
                continue;
            }
            Some(b'[') if !in_brackets => {
                in_brackets = true;
                pattern.push(b'[');
                at += 1;
                for next in [b'^', b']'] {
                    if text.get(at) == Some(&next) {
                        pattern.push(next);
                        at += 1;
                    }
                }
                continue;
            }
            Some(b'[') if text.get(at + 1) == Some(&b':') => {
                let length = text[at..].windows(2).position(|pair| pair == b":]").map_or(1, |end| end + 2);
                pattern.extend_from_slice(&text[at..at + length]);
                at += length;
                continue;
            }
            Some(byte) => {
                in_brackets = in_brackets && *byte != b']';
                pattern.push(*byte);
            }
        }
        at += 1;
    }
}
