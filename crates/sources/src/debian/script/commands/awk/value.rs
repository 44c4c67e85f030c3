//! Values of awk: numbers, texts, and texts from outside that may be both (XCU awk, "Expressions in awk").

use std::cmp::Ordering;
use std::rc::Rc;

/// Largest number that is printed as a whole one.
const MAX_WHOLE: f64 = 9.007_199_254_740_992e15;
/// Largest width or precision in a format.
const MAX_WIDTH: usize = 4_096;

#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Never set: 0 and nothing.
    Unset,
    Number(f64),
    Text(Rc<[u8]>),
    /// From a field or a variable given on the command line: a number where it looks like one.
    Input(Rc<[u8]>),
}

impl Value {
    pub(super) fn text(bytes: &[u8]) -> Self {
        Self::Text(bytes.into())
    }

    pub(super) fn flag(holds: bool) -> Self {
        Self::Number(if holds { 1.0 } else { 0.0 })
    }

    /// Its number; of a text what stands at its start.
    pub(super) fn number(&self) -> f64 {
        match self {
            Self::Unset => 0.0,
            Self::Number(number) => *number,
            Self::Text(text) | Self::Input(text) => leading_number(text).0,
        }
    }

    /// Its text; numbers that are no whole ones by `format`.
    pub(super) fn bytes(&self, format: &[u8]) -> Rc<[u8]> {
        match self {
            Self::Unset => Rc::from(&b""[..]),
            Self::Number(number) => number_text(*number, format).into(),
            Self::Text(text) | Self::Input(text) => Rc::clone(text),
        }
    }

    pub(super) fn holds(&self) -> bool {
        match self.numeric() {
            Some(number) => number != 0.0,
            None => matches!(self, Self::Text(text) | Self::Input(text) if !text.is_empty()),
        }
    }

    /// The number of what is compared as one.
    fn numeric(&self) -> Option<f64> {
        match self {
            Self::Unset => Some(0.0),
            Self::Number(number) => Some(*number),
            Self::Input(text) => whole_number(text),
            Self::Text(_) => None,
        }
    }

    pub(super) fn compare(&self, other: &Self, format: &[u8]) -> Option<Ordering> {
        match (self.numeric(), other.numeric()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => Some(self.bytes(format).cmp(&other.bytes(format))),
        }
    }
}

fn number_text(number: f64, format: &[u8]) -> Vec<u8> {
    if number.fract() == 0.0 && number.abs() < MAX_WHOLE {
        return format!("{}", number as i64).into_bytes();
    }
    let mut out = Vec::new();
    let mut given = [Value::Number(number)].into_iter();
    match formatted(format, &mut given, b"%.6g", &mut out) {
        Ok(()) => out,
        Err(_) => general(number, 6, false).into_bytes(),
    }
}

/// The number at the start of a text, and how many bytes it takes with blanks before it.
pub(super) fn leading_number(text: &[u8]) -> (f64, usize) {
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let rest = &text[blanks..];
    let digits = |from: usize| {
        rest.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
    let whole = digits(sign);
    let mut end = sign + whole;
    let mut any = whole > 0;
    if rest.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if any || fraction > 0 {
            end += 1 + fraction;
            any = true;
        }
    }
    if !any {
        return (0.0, 0);
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let number = std::str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse().ok());
    (number.unwrap_or(0.0), blanks + end)
}

/// The number that a text is, blanks around it aside.
fn whole_number(text: &[u8]) -> Option<f64> {
    let (number, length) = leading_number(text);
    (length > 0 && text[length..].iter().all(u8::is_ascii_whitespace)).then_some(number)
}

/// `sprintf`: what the format says of the values, of which missing ones are nothing.
pub(super) fn formatted(
    format: &[u8],
    values: &mut dyn Iterator<Item = Value>,
    numbers: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let mut at = 0;
    while let Some(&byte) = format.get(at) {
        at += 1;
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        if format.get(at) == Some(&b'%') {
            out.push(b'%');
            at += 1;
            continue;
        }
        let mut shape = Shape::default();
        while let Some(flag) = format.get(at).filter(|byte| b"-+ #0".contains(byte)) {
            match flag {
                b'-' => shape.left = true,
                b'+' => shape.plus = true,
                b' ' => shape.blank = true,
                b'#' => shape.other = true,
                _ => shape.zeros = true,
            }
            at += 1;
        }
        let mut size = |at: &mut usize| -> i64 {
            if format.get(*at) == Some(&b'*') {
                *at += 1;
                return values.next().map_or(0, |value| value.number() as i64);
            }
            let mut size = 0_i64;
            while let Some(digit) = format.get(*at).filter(|byte| byte.is_ascii_digit()) {
                size = size.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
                *at += 1;
            }
            size
        };
        let width = size(&mut at);
        shape.left |= width < 0;
        shape.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
        if format.get(at) == Some(&b'.') {
            at += 1;
            shape.precision = usize::try_from(size(&mut at)).ok();
        }
        if shape.width > MAX_WIDTH || shape.precision.is_some_and(|precision| precision > MAX_WIDTH) {
            return Err("a width in a format of `awk` is too large".into());
        }
        while matches!(format.get(at), Some(b'l' | b'h' | b'q')) {
            at += 1;
        }
        let Some(&letter) = format.get(at) else {
            return Err("a format of `awk` ends in the middle".into());
        };
        at += 1;
        let value = values.next().unwrap_or(Value::Unset);
        shape.put(letter, &value, numbers, out)?;
    }
    Ok(())
}

#[derive(Default)]
struct Shape {
    left: bool,
    plus: bool,
    blank: bool,
    other: bool,
    zeros: bool,
    width: usize,
    precision: Option<usize>,
}

impl Shape {
    fn put(&self, letter: u8, value: &Value, numbers: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        match letter {
            b'c' => {
                let byte = match value {
                    Value::Number(number) => vec![*number as i64 as u8],
                    other => other.bytes(numbers).iter().take(1).copied().collect(),
                };
                self.pad(&[], &byte, false, out);
            }
            b's' => {
                let text = value.bytes(numbers);
                let length = self.precision.unwrap_or(text.len()).min(text.len());
                self.pad(&[], &text[..length], false, out);
            }
            b'd' | b'i' | b'u' | b'o' | b'x' | b'X' => {
                let number = value.number().trunc() as i64;
                let magnitude =
                    if letter == b'd' || letter == b'i' { number.unsigned_abs() } else { number as u64 };
                let mut digits = match letter {
                    b'o' => format!("{magnitude:o}"),
                    b'x' => format!("{magnitude:x}"),
                    b'X' => format!("{magnitude:X}"),
                    _ => magnitude.to_string(),
                };
                let least = self.precision.unwrap_or(1);
                digits = "0".repeat(least.saturating_sub(digits.len())) + &digits;
                let prefix = match (letter, self.other) {
                    (b'x', true) if magnitude != 0 => "0x",
                    (b'X', true) if magnitude != 0 => "0X",
                    (b'o', true) if !digits.starts_with('0') => "0",
                    (b'd' | b'i', _) => self.sign(number < 0),
                    _ => "",
                };
                self.pad(prefix.as_bytes(), digits.as_bytes(), self.precision.is_none(), out);
            }
            b'e' | b'E' | b'f' | b'F' | b'g' | b'G' => {
                let number = value.number();
                let precision = self.precision.unwrap_or(6);
                let magnitude = number.abs();
                let mut digits = match letter.to_ascii_lowercase() {
                    _ if !number.is_finite() => if number.is_nan() { "nan" } else { "inf" }.to_owned(),
                    b'e' => exponential(magnitude, precision),
                    b'f' => format!("{magnitude:.precision$}"),
                    _ => general(magnitude, precision, self.other),
                };
                if letter.is_ascii_uppercase() {
                    digits.make_ascii_uppercase();
                }
                self.pad(
                    self.sign(number.is_sign_negative()).as_bytes(),
                    digits.as_bytes(),
                    number.is_finite(),
                    out,
                );
            }
            other => return Err(format!("the format `%{}` of `awk` is not known", [other].escape_ascii())),
        }
        Ok(())
    }

    fn sign(&self, negative: bool) -> &'static str {
        match (negative, self.plus, self.blank) {
            (true, _, _) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        }
    }

    fn pad(&self, prefix: &[u8], text: &[u8], zeros: bool, out: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(prefix.len() + text.len());
        if self.left {
            out.extend_from_slice(prefix);
            out.extend_from_slice(text);
            out.extend(std::iter::repeat_n(b' ', missing));
        } else if self.zeros && zeros {
            out.extend_from_slice(prefix);
            out.extend(std::iter::repeat_n(b'0', missing));
            out.extend_from_slice(text);
        } else {
            out.extend(std::iter::repeat_n(b' ', missing));
            out.extend_from_slice(prefix);
            out.extend_from_slice(text);
        }
    }
}

/// C's `%e`.
fn exponential(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// C's `%g`.
fn general(number: f64, precision: usize, keep_zeros: bool) -> String {
    let precision = precision.max(1);
    let scientific = exponential(number, precision - 1);
    let exponent: i64 =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let places = precision as i64 - 1 - exponent;
    let (mut text, tail) = if exponent < -4 || places < 0 {
        let (digits, tail) = scientific.split_once('e').unwrap_or((&scientific, ""));
        (digits.to_owned(), format!("e{tail}"))
    } else {
        (format!("{number:.*}", places as usize), String::new())
    };
    if !keep_zeros && text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text + &tail
}
