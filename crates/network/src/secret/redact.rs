//! Takes a key out of what comes back: in headers, and in bodies as they stream past.
//!
//! A provider may echo the key (an error that quotes it, a debugging header). In a body each occurrence is overwritten with
//! as many `*`, so lengths stay right. What is looked for:
//!
//! ```text
//!   the key                 in any case
//!   hexadecimal             digits of either case, without separators
//!   base64                  both alphabets, with or without padding, whatever stands before the key in what was encoded
//! ```
//!
//! and in each of these, any character may be written as one of
//!
//! ```text
//!   %XX                     either case
//!   \u00XX  \xXX  \/ \" \'  either case, the backslash doubled as often as JSON in JSON doubles it
//!   &#N;  &#xN;             up to six digits; and &amp; &lt; &gt; &quot; &apos;
//! ```
//!
//! **Guarantees**: however a body is cut, the same comes out. Only a tail that may be the beginning of the key is held back,
//! so events pass without delay. The work for a byte of a body is bounded by the length of what is looked for, and is a few
//! steps unless the body repeats the key's beginning.
//!
//! **Does not find** a key that is compressed, encrypted, hashed, reversed, encoded twice in other ways than above, spread
//! over lines, events or headers, or shorter than eight characters.

use crate::secret::Secret;

/// Shorter keys are not looked for: they would be found by chance.
const KEY_MIN: usize = 8;
/// The most backslashes before one character.
const BACKSLASHES: usize = 16;
/// The most digits of a character reference.
const DIGITS: usize = 6;
/// Character references with names (HTML and XML).
const NAMED: [(&[u8], u8); 5] =
    [(b"amp;", b'&'), (b"lt;", b'<'), (b"gt;", b'>'), (b"quot;", b'"'), (b"apos;", b'\'')];

/// The two bytes that may stand in one place; often the same.
#[derive(Clone, Copy, Debug)]
struct Class([u8; 2]);

impl Class {
    fn has(self, byte: u8) -> bool {
        self.0.contains(&byte)
    }
}

/// Looks for one key.
#[derive(Debug, Default)]
pub struct Redactor {
    /// What is looked for; at most eight.
    patterns: Vec<Box<[Class]>>,
    /// For each byte, which patterns may begin with it, as bits.
    first: Vec<u8>,
    held: Vec<u8>,
    fill: u8,
}

/// How a text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    /// With nothing that is looked for.
    No,
    /// With what may become it.
    Perhaps,
    /// With it, in so many bytes.
    With(usize),
}

impl Redactor {
    /// Looks for `secret`.
    pub fn new(secret: &Secret) -> Self {
        let key = secret.expose();
        if key.len() < KEY_MIN {
            return Self::default();
        }
        let either_case = |byte: u8| Class([byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]);
        let digit = |digit: u8| either_case(b"0123456789abcdef"[usize::from(digit)]);
        let mut patterns: Vec<Box<[Class]>> = vec![
            key.iter().map(|&byte| either_case(byte)).collect(),
            key.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect(),
        ];
        patterns.extend((0..3).map(|before| base64(key, before)));
        let mut first = vec![0; 256];
        for (number, pattern) in patterns.iter().enumerate() {
            for byte in pattern[0].0.into_iter().chain(*b"%\\&") {
                first[usize::from(byte)] |= 1 << number;
            }
        }
        // What is written over a key must not be one.
        let fill = *b"*#".iter().find(|fill| !key.contains(fill)).unwrap_or(&b' ');
        Self { patterns, first, held: Vec::new(), fill }
    }

    /// Whether the bytes hold the key in any form.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        (0..bytes.len()).any(|at| matches!(self.begins(&bytes[at..]), Begins::With(_)))
    }

    /// Takes the next bytes of a body and appends what can be passed on.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() {
            self.pass(bytes, false, out);
        } else {
            let joined = [&std::mem::take(&mut self.held), bytes].concat();
            self.pass(&joined, false, out);
        }
    }

    /// The body is over: what was held back goes, but for a key that is in it.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.pass(&held, true, out);
    }

    fn pass(&mut self, bytes: &[u8], over: bool, out: &mut Vec<u8>) {
        let mut at = 0;
        loop {
            // Most bytes begin nothing.
            let plain = |&&byte: &&u8| self.first.get(usize::from(byte)).is_none_or(|numbers| *numbers == 0);
            let count = bytes[at..].iter().take_while(plain).count();
            out.extend_from_slice(&bytes[at..at + count]);
            at += count;
            if at == bytes.len() {
                return;
            }
            match self.begins(&bytes[at..]) {
                Begins::With(length) => {
                    out.resize(out.len() + length, self.fill);
                    at += length;
                }
                Begins::Perhaps if !over => {
                    self.held = bytes[at..].to_vec();
                    return;
                }
                Begins::Perhaps | Begins::No => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
    }

    /// How a text that is not empty begins. The shortest of several forms counts, so that more bytes change no answer.
    fn begins(&self, text: &[u8]) -> Begins {
        let numbers = self.first.get(usize::from(text[0])).copied().unwrap_or(0);
        let mut found = Begins::No;
        if numbers == 0 {
            return found;
        }
        for (number, pattern) in self.patterns.iter().enumerate() {
            if numbers >> number & 1 == 0 {
                continue;
            }
            found = match (found, begins_with(pattern, text)) {
                (Begins::With(one), Begins::With(other)) => Begins::With(one.min(other)),
                (with @ Begins::With(_), _) | (_, with @ Begins::With(_)) => with,
                (Begins::Perhaps, _) | (_, Begins::Perhaps) => Begins::Perhaps,
                (Begins::No, Begins::No) => Begins::No,
            };
        }
        found
    }
}

/// Follows all ways in which `text` may spell the pattern: the places that its first characters may end at.
fn begins_with(pattern: &[Class], text: &[u8]) -> Begins {
    let mut perhaps = false;
    let (mut places, mut next) = (Vec::new(), Vec::new());
    // Nearly always there is one way, and no need for a list of them.
    let mut only = Some(0);
    for &class in pattern {
        next.clear();
        for at in only.into_iter().chain(places.iter().copied()) {
            perhaps |= spell(class, &text[at..], |length| {
                if !next.contains(&(at + length)) {
                    next.push(at + length);
                }
            });
        }
        only = match next[..] {
            [] => return if perhaps { Begins::Perhaps } else { Begins::No },
            [one] => {
                next.clear();
                Some(one)
            }
            _ => None,
        };
        std::mem::swap(&mut places, &mut next);
    }
    only.or_else(|| places.iter().min().copied()).map_or(Begins::No, Begins::With)
}

/// Calls `found` with the length of each spelling of the class that `text` begins with; true when the text ends in one that may
/// become such a spelling.
fn spell(class: Class, text: &[u8], mut found: impl FnMut(usize)) -> bool {
    let Some((&lead, rest)) = text.split_first() else { return true };
    if class.has(lead) {
        found(1);
    }
    let mut take = |value: u8, length: usize| {
        if class.has(value) {
            found(length);
        }
        false
    };
    match lead {
        b'%' => match number(rest, 16, 2) {
            Number::Is(value) => take(value, 3),
            Number::Ends => true,
            Number::No => false,
        },
        b'\\' => {
            let more = rest.iter().take(BACKSLASHES).take_while(|&&byte| byte == b'\\').count();
            if more > 0 {
                take(b'\\', 2);
            }
            let rest = &rest[more..];
            match rest {
                [] => true,
                [b'u', rest @ ..] => match number(rest, 16, 4) {
                    Number::Is(value) => take(value, more + 6),
                    Number::Ends => true,
                    Number::No => false,
                },
                [b'x', rest @ ..] => match number(rest, 16, 2) {
                    Number::Is(value) => take(value, more + 4),
                    Number::Ends => true,
                    Number::No => false,
                },
                [byte @ (b'/' | b'"' | b'\''), ..] => take(*byte, more + 2),
                _ => false,
            }
        }
        b'&' => match rest {
            [] => true,
            [b'#', rest @ ..] => {
                let (base, lead, digits) = match rest {
                    [b'x' | b'X', digits @ ..] => (16, 3, digits),
                    digits => (10, 2, digits),
                };
                let count = digits
                    .iter()
                    .take(DIGITS + 1)
                    .take_while(|&&digit| char::from(digit).is_digit(base))
                    .count();
                match (digits.get(count), number(digits, base, count)) {
                    (None, _) => count <= DIGITS,
                    (Some(b';'), Number::Is(value)) if (1..=DIGITS).contains(&count) => {
                        take(value, lead + count + 1)
                    }
                    _ => false,
                }
            }
            rest => NAMED.iter().fold(false, |perhaps, (name, value)| {
                if rest.starts_with(name) {
                    take(*value, name.len() + 1);
                }
                perhaps | (rest.len() < name.len() && name.starts_with(rest))
            }),
        },
        _ => false,
    }
}

/// What digits stand for.
enum Number {
    /// A byte.
    Is(u8),
    /// The text ends before so many digits.
    Ends,
    /// Not that.
    No,
}

/// The first `count` bytes as a number below 256.
fn number(text: &[u8], base: u32, count: usize) -> Number {
    let mut value = 0;
    for &byte in &text[..text.len().min(count)] {
        match char::from(byte).to_digit(base) {
            Some(digit) => value = value * base + digit,
            None => return Number::No,
        }
    }
    match u8::try_from(value) {
        Ok(_) if text.len() < count => Number::Ends,
        Ok(value) => Number::Is(value),
        Err(_) => Number::No,
    }
}

/// The characters of base64 that are decided by the key alone when `before` bytes, less three, stand before it. Those that it
/// shares with its neighbours, at most one at each end, are not looked for.
fn base64(key: &[u8], before: usize) -> Box<[Class]> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = [&b"\0\0"[..before], key].concat();
    let bit = |index: usize| bytes[index / 8] >> (7 - index % 8) & 1;
    let (start, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    (start..end)
        .map(|place| {
            let value = (place * 6..place * 6 + 6).fold(0, |value, index| value << 1 | bit(index));
            match DIGITS[usize::from(value)] {
                b'+' => Class(*b"+-"),
                b'/' => Class(*b"/_"),
                digit => Class([digit; 2]),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
