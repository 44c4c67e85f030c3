//! `echo` and `printf`: words with their escapes, and formats (XCU printf; dash's `echo`).

use std::rc::Rc;

use super::Flow;
use super::Shell;
use super::Status;
use super::builtin::Word;

/// `echo` as dash has it: `-n`, and escapes as in `printf %b`. bash has them with `-e` alone.
pub(super) fn echo(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    echo_of(shell, words, shell.state.switches.bash)
}

/// `/bin/echo`, which has them with `-e` too.
pub(super) fn program_echo(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    echo_of(shell, words, true)
}

fn echo_of(shell: &mut Shell<'_, '_>, words: &[Word], has_options: bool) -> Status {
    let mut words = &words[1..];
    let (mut newline, mut escapes) = (true, true);
    if has_options {
        escapes = false;
        while let Some([b'-', letters @ ..]) = words.first().map(|word| &**word)
            && !letters.is_empty()
            && letters.iter().all(|letter| b"neE".contains(letter))
        {
            newline &= !letters.contains(&b'n');
            for letter in letters.iter().filter(|letter| **letter != b'n') {
                escapes = *letter == b'e';
            }
            words = &words[1..];
        }
    } else if words.first().is_some_and(|word| &**word == b"-n") {
        newline = false;
        words = &words[1..];
    }
    let mut line = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            line.push(b' ');
        }
        shell.spend_bytes(word.len())?;
        if !escapes {
            line.extend_from_slice(word);
        } else if unescape(word, &mut line) == Rest::Dropped {
            shell.say(&line)?;
            return Ok(0);
        }
    }
    if newline {
        line.push(b'\n');
    }
    shell.say(&line)?;
    Ok(0)
}

/// Whether `\c` was met, after which nothing is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Printed,
    Dropped,
}

/// Escapes of `echo` and `%b`.
fn unescape(word: &[u8], out: &mut Vec<u8>) -> Rest {
    let mut at = 0;
    while let Some(&byte) = word.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(&escaped) = word.get(at) else {
            out.push(b'\\');
            break;
        };
        at += 1;
        match escaped {
            b'c' => return Rest::Dropped,
            b'0'..=b'7' => {
                // A zero before three digits, or one to three of them.
                at -= usize::from(escaped != b'0');
                let digits = word[at..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                out.push(octal(&word[at..at + digits]));
                at += digits;
            }
            other => match letter(other) {
                Some(byte) => out.push(byte),
                None => out.extend([b'\\', other]),
            },
        }
    }
    Rest::Printed
}

fn letter(escaped: u8) -> Option<u8> {
    match escaped {
        b'e' => Some(27),
        b'\\' => Some(b'\\'),
        other => control(other),
    }
}

/// The control character that a letter behind a backslash stands for, in all languages that scripts speak.
pub(in crate::debian::script) fn control(escaped: u8) -> Option<u8> {
    Some(match escaped {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        _ => return None,
    })
}

/// The byte of octal digits.
pub(in crate::debian::script) fn octal(digits: &[u8]) -> u8 {
    digits.iter().fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0'))
}

/// `printf FORMAT ARGUMENT…`: `%s %b %c %d %i %u %o %x %X %%` with flags, width and precision; the format is used again as
/// long as arguments are left.
pub(super) fn printf(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut words = &words[1..];
    if words.first().is_some_and(|word| &**word == b"--") {
        words = &words[1..];
    }
    let Some((format, mut arguments)) = words.split_first() else {
        shell.say_error(b"printf: usage: printf format [arg ...]\n")?;
        return Ok(2);
    };
    let (mut out, mut status) = (Vec::new(), 0);
    loop {
        let before = arguments.len();
        if print_once(shell, format, &mut arguments, &mut out, &mut status)? == Rest::Dropped {
            break;
        }
        shell.spend(100)?;
        if arguments.is_empty() || arguments.len() == before {
            break;
        }
    }
    shell.say(&out)?;
    Ok(status)
}

/// Bytes of the next argument.
fn argument_size(arguments: &[Word]) -> usize {
    arguments.first().map_or(0, |word| word.len())
}

fn print_once(
    shell: &mut Shell<'_, '_>,
    format: &[u8],
    arguments: &mut &[Word],
    out: &mut Vec<u8>,
    status: &mut i32,
) -> Result<Rest, Flow> {
    let mut at = 0;
    while let Some(&byte) = format.get(at) {
        at += 1;
        match byte {
            b'\\' => match format.get(at) {
                Some(b'0'..=b'7') => {
                    let digits =
                        format[at..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                    out.push(octal(&format[at..at + digits]));
                    at += digits;
                }
                Some(&other) => {
                    at += 1;
                    match letter(other) {
                        Some(byte) => out.push(byte),
                        None if matches!(other, b'"' | b'\'') => out.push(other),
                        None => out.extend([b'\\', other]),
                    }
                }
                None => out.push(b'\\'),
            },
            b'%' if format.get(at) == Some(&b'%') => {
                out.push(b'%');
                at += 1;
            }
            b'%' => {
                let length =
                    format[at..].iter().take_while(|byte| b"-+ #0123456789.*".contains(byte)).count();
                let flags = format[at..at + length].to_vec();
                at += length;
                let Some(&conversion) = format.get(at) else {
                    out.push(b'%');
                    out.extend(flags);
                    break;
                };
                at += 1;
                shell.spend_bytes(argument_size(arguments) + MAX_FIELD)?;
                if convert(shell, conversion, &flags, arguments, out, status)? == Rest::Dropped {
                    return Ok(Rest::Dropped);
                }
            }
            _ => out.push(byte),
        }
    }
    Ok(Rest::Printed)
}

/// Flags, width and precision of a conversion.
#[derive(Default)]
struct Layout {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// Widest field that is understood; what is printed is charged before it is made.
const MAX_WIDTH: i64 = i32::MAX as i64;
/// What a field costs where it is not its argument that is long.
const MAX_FIELD: usize = 64;

fn convert(
    shell: &mut Shell<'_, '_>,
    conversion: u8,
    flags: &[u8],
    arguments: &mut &[Word],
    out: &mut Vec<u8>,
    status: &mut i32,
) -> Result<Rest, Flow> {
    fn next(arguments: &mut &[Word]) -> Option<Word> {
        let (first, rest) = arguments.split_first()?;
        *arguments = rest;
        Some(first.clone())
    }
    let mut layout = Layout::default();
    let (mut in_precision, mut digits) = (false, String::new());
    let settle = |layout: &mut Layout, digits: &mut String, in_precision: bool| {
        let value: i64 =
            digits.parse().unwrap_or(if digits.is_empty() { 0 } else { MAX_WIDTH }).clamp(0, MAX_WIDTH);
        digits.clear();
        let value = usize::try_from(value).unwrap_or_default();
        if in_precision { layout.precision = Some(value) } else { layout.width = value }
    };
    for &flag in flags {
        match flag {
            b'-' if digits.is_empty() => layout.left = true,
            b'+' => layout.plus = true,
            b' ' => layout.space = true,
            b'#' => layout.alternate = true,
            b'0' if digits.is_empty() && !in_precision => layout.zero = true,
            b'0'..=b'9' => digits.push(char::from(flag)),
            b'*' => {
                let word = next(arguments).unwrap_or_else(|| Rc::from(&b"0"[..]));
                digits = integer(&word).0.to_string();
                layout.left |= digits.starts_with('-');
                digits = digits.trim_start_matches('-').to_owned();
            }
            _ => {
                settle(&mut layout, &mut digits, in_precision);
                in_precision = true;
            }
        }
    }
    settle(&mut layout, &mut digits, in_precision);
    // A precision makes numbers longer, and text shorter.
    let is_text = matches!(conversion, b's' | b'b' | b'c');
    let filled = if is_text { 0 } else { layout.precision.unwrap_or_default() };
    shell.spend_bytes(layout.width + filled)?;
    let argument = next(arguments);
    match conversion {
        b's' | b'b' | b'c' => {
            let word = argument.unwrap_or_else(|| Rc::from(&b""[..]));
            let mut text = Vec::new();
            let mut rest = Rest::Printed;
            match conversion {
                b's' => text.extend_from_slice(&word),
                b'c' => text.extend(word.first()),
                _ => rest = unescape(&word, &mut text),
            }
            text.truncate(layout.precision.unwrap_or(usize::MAX));
            pad(&text, &layout, b' ', out);
            Ok(rest)
        }
        b'd' | b'i' | b'u' | b'o' | b'x' | b'X' => {
            let word = argument.unwrap_or_else(|| Rc::from(&b"0"[..]));
            let (value, complete) = integer(&word);
            if !complete && !word.is_empty() {
                let said = format!("printf: {}: expected numeric value\n", word.escape_ascii());
                shell.say_error(said.as_bytes())?;
                *status = 1;
            }
            let magnitude = match conversion {
                b'd' | b'i' => value.unsigned_abs().to_string(),
                b'u' => value.cast_unsigned().to_string(),
                b'o' => format!("{:o}", value.cast_unsigned()),
                b'x' => format!("{:x}", value.cast_unsigned()),
                _ => format!("{:X}", value.cast_unsigned()),
            };
            let sign = match conversion {
                b'd' | b'i' if value < 0 => "-",
                b'd' | b'i' if layout.plus => "+",
                b'd' | b'i' if layout.space => " ",
                b'x' if layout.alternate && value != 0 => "0x",
                b'X' if layout.alternate && value != 0 => "0X",
                b'o' if layout.alternate => "0",
                _ => "",
            };
            let wanted = layout.precision.unwrap_or_else(|| {
                if layout.zero && !layout.left { layout.width.saturating_sub(sign.len()) } else { 0 }
            });
            let zeros = "0".repeat(wanted.saturating_sub(magnitude.len()));
            pad(format!("{sign}{zeros}{magnitude}").as_bytes(), &layout, b' ', out);
            Ok(Rest::Printed)
        }
        other => {
            let what = format!("the conversion `%{}` of printf is not known", other.escape_ascii());
            Err(shell.fault(&[], what))
        }
    }
}

fn pad(text: &[u8], layout: &Layout, fill: u8, out: &mut Vec<u8>) {
    let missing = layout.width.saturating_sub(text.len());
    if layout.left {
        out.extend_from_slice(text);
        out.extend(std::iter::repeat_n(fill, missing));
    } else {
        out.extend(std::iter::repeat_n(fill, missing));
        out.extend_from_slice(text);
    }
}

/// A number as printf reads it: decimal, `0` octal, `0x` hexadecimal, `'c` the code of a character. Whether all was read.
fn integer(word: &[u8]) -> (i64, bool) {
    let text = String::from_utf8_lossy(word);
    let text = text.trim_start();
    if let Some(character) = text.strip_prefix(['\'', '"']) {
        return (character.bytes().next().map_or(0, i64::from), true);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    let length = digits.chars().take_while(|digit| digit.is_digit(radix)).count();
    let value = i64::from_str_radix(&digits[..length], radix).unwrap_or(0);
    (if negative { -value } else { value }, length == digits.len() && length > 0)
}
