//! Arithmetic expansion: `$((…))` over 64-bit integers, with C's operators as dash has them (XCU 2.6.4).
//!
//! The expression is evaluated while it is read; what a `&&`, `||` or `?:` leaves out is read without effect.

use super::Flow;
use super::Shell;

/// Deepest nesting of parentheses and unary operators.
const MAX_DEPTH: usize = 200;
/// Longest expression in an error.
const MAX_SHOWN: usize = 160;

/// Operators of two operands by how close they bind, the loosest first.
const LEVELS: [&[&[u8]]; 8] = [
    &[b"|"],
    &[b"^"],
    &[b"&"],
    &[b"==", b"!="],
    &[b"<=", b">=", b"<", b">"],
    &[b"<<", b">>"],
    &[b"+", b"-"],
    &[b"*", b"/", b"%"],
];
/// Operators that assign, the longest first.
const ASSIGNING: [&[u8]; 11] = [b"<<=", b">>=", b"*=", b"/=", b"%=", b"+=", b"-=", b"&=", b"^=", b"|=", b"="];

impl Shell<'_, '_> {
    /// The value of an expression in which parameters and substitutions are expanded already.
    pub(super) fn arithmetic(&mut self, text: &[u8]) -> Result<i64, Flow> {
        let mut reader = Reader { shell: self, text, at: 0, depth: 0 };
        reader.blanks();
        let value = reader.assignment(true)?;
        reader.blanks();
        if reader.at < text.len() { reader.wrong() } else { Ok(value) }
    }
}

struct Reader<'r, 's, 'w> {
    shell: &'r mut Shell<'s, 'w>,
    text: &'r [u8],
    at: usize,
    depth: usize,
}

impl Reader<'_, '_, '_> {
    fn wrong<T>(&mut self) -> Result<T, Flow> {
        let text = &self.text[..self.text.len().min(MAX_SHOWN)];
        let what = format!("the arithmetic expression `{}` is not understood", text.escape_ascii());
        self.shell.error(format!("{what}\n"))
    }

    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn take(&mut self, operator: &[u8]) -> bool {
        self.blanks();
        let met = self.text[self.at..].starts_with(operator);
        self.at += if met { operator.len() } else { 0 };
        met
    }

    /// A name that is a variable.
    fn name(&mut self) -> Option<String> {
        self.blanks();
        let rest = &self.text[self.at..];
        if !rest.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_') {
            return None;
        }
        let length = rest
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'))
            .unwrap_or(rest.len());
        self.at += length;
        Some(String::from_utf8_lossy(&rest[..length]).into_owned())
    }

    fn assignment(&mut self, live: bool) -> Result<i64, Flow> {
        self.nested(|reader| reader.assignment_here(live))
    }

    /// One level deeper.
    fn nested(&mut self, work: impl FnOnce(&mut Self) -> Result<i64, Flow>) -> Result<i64, Flow> {
        self.shell.spend(200)?;
        if self.depth > MAX_DEPTH {
            return self.wrong();
        }
        self.depth += 1;
        let value = work(self);
        self.depth -= 1;
        value
    }

    fn assignment_here(&mut self, live: bool) -> Result<i64, Flow> {
        let start = self.at;
        if let Some(name) = self.name() {
            self.blanks();
            let rest = &self.text[self.at..];
            let operator = ASSIGNING.iter().find(|operator| rest.starts_with(operator));
            if let Some(operator) = operator.filter(|_| !rest.starts_with(b"==")) {
                self.at += operator.len();
                let right = self.assignment(live)?;
                if !live {
                    return Ok(0);
                }
                let value = match operator.strip_suffix(b"=") {
                    Some(b"") | None => right,
                    Some(operator) => {
                        let left = self.variable(&name)?;
                        self.binary(operator, left, right, live)?
                    }
                };
                self.shell.set(&name, value.to_string().into_bytes().into())?;
                return Ok(value);
            }
        }
        self.at = start;
        self.conditional(live)
    }

    fn conditional(&mut self, live: bool) -> Result<i64, Flow> {
        let condition = self.either(live)?;
        if !self.take(b"?") {
            return Ok(condition);
        }
        let then = self.assignment(live && condition != 0)?;
        if !self.take(b":") {
            return self.wrong();
        }
        let otherwise = self.nested(|reader| reader.conditional(live && condition == 0))?;
        Ok(if condition != 0 { then } else { otherwise })
    }

    fn either(&mut self, live: bool) -> Result<i64, Flow> {
        let mut value = self.both(live)?;
        while self.take(b"||") {
            let other = self.both(live && value == 0)?;
            value = i64::from(value != 0 || other != 0);
        }
        Ok(value)
    }

    fn both(&mut self, live: bool) -> Result<i64, Flow> {
        let mut value = self.level(0, live)?;
        while self.take(b"&&") {
            let other = self.level(0, live && value != 0)?;
            value = i64::from(value != 0 && other != 0);
        }
        Ok(value)
    }

    fn level(&mut self, level: usize, live: bool) -> Result<i64, Flow> {
        let Some(operators) = LEVELS.get(level) else { return self.unary(live) };
        let mut value = self.level(level + 1, live)?;
        loop {
            self.blanks();
            let rest = &self.text[self.at..];
            let Some(operator) = operators.iter().find(|operator| rest.starts_with(operator)) else {
                return Ok(value);
            };
            // `||` and `&&` are looser; `<<` is not `<`.
            let next = rest.get(operator.len());
            let doubled = operator.len() == 1
                && matches!(operator[0], b'|' | b'&' | b'<' | b'>')
                && next == Some(&operator[0]);
            if doubled {
                return Ok(value);
            }
            self.at += operator.len();
            let right = self.level(level + 1, live)?;
            value = self.binary(operator, value, right, live)?;
        }
    }

    fn unary(&mut self, live: bool) -> Result<i64, Flow> {
        self.nested(|reader| reader.operand(live))
    }

    fn operand(&mut self, live: bool) -> Result<i64, Flow> {
        self.blanks();
        match self.text.get(self.at) {
            Some(b'(') => {
                self.at += 1;
                let value = self.assignment(live)?;
                if self.take(b")") { Ok(value) } else { self.wrong() }
            }
            Some(operator @ (b'-' | b'+' | b'!' | b'~')) => {
                self.at += 1;
                let value = self.unary(live)?;
                Ok(match operator {
                    b'-' => value.wrapping_neg(),
                    b'+' => value,
                    b'!' => i64::from(value == 0),
                    _ => !value,
                })
            }
            Some(byte) if byte.is_ascii_digit() => {
                let rest = &self.text[self.at..];
                let length = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
                self.at += length;
                match number(&String::from_utf8_lossy(&rest[..length])) {
                    Some(value) => Ok(value),
                    None => self.wrong(),
                }
            }
            _ => match self.name() {
                Some(name) if live => self.variable(&name),
                Some(_) => Ok(0),
                None => self.wrong(),
            },
        }
    }

    fn variable(&mut self, name: &str) -> Result<i64, Flow> {
        let Some(value) = self.shell.get(name) else { return Ok(0) };
        self.shell.spend(value.len() as u64)?;
        let text = String::from_utf8_lossy(&value).trim().to_owned();
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, &text[..]),
        };
        if let Some(value) = if digits.is_empty() { Some(0) } else { number(digits) } {
            Ok(if negative { value.wrapping_neg() } else { value })
        } else {
            self.shell.error(format!("Illegal number: {}\n", text.escape_debug()))
        }
    }

    fn binary(&mut self, operator: &[u8], left: i64, right: i64, live: bool) -> Result<i64, Flow> {
        Ok(match operator {
            b"*" => left.wrapping_mul(right),
            b"/" | b"%" if right == 0 => {
                if !live {
                    return Ok(0);
                }
                return self.shell.error("arithmetic expression: division by zero\n");
            }
            b"/" => left.wrapping_div(right),
            b"%" => left.wrapping_rem(right),
            b"+" => left.wrapping_add(right),
            b"-" => left.wrapping_sub(right),
            // As the machine does it: the count is taken modulo 64.
            b"<<" => left.wrapping_shl(shift(right)),
            b">>" => left.wrapping_shr(shift(right)),
            b"<" => i64::from(left < right),
            b"<=" => i64::from(left <= right),
            b">" => i64::from(left > right),
            b">=" => i64::from(left >= right),
            b"==" => i64::from(left == right),
            b"!=" => i64::from(left != right),
            b"&" => left & right,
            b"^" => left ^ right,
            _ => left | right,
        })
    }
}

/// The count of a shift, of which the machine takes six bits.
fn shift(count: i64) -> u32 {
    u32::try_from(count.rem_euclid(64)).unwrap_or(0)
}

/// Decimal, `0` octal, `0x` hexadecimal.
fn number(digits: &str) -> Option<i64> {
    match (digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")), digits.strip_prefix('0')) {
        (Some(hexadecimal), _) => i64::from_str_radix(hexadecimal, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok(),
        // What is larger than the largest number is that, as strtoimax(3) has it.
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().unwrap_or(i64::MAX)),
        _ => None,
    }
}
