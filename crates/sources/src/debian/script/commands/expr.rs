//! expr: numbers, texts and expressions between words (XCU expr, with GNU's `match substr index length`).

use super::Word;
use super::regex::Expression;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;

/// Deepest nesting of parentheses and functions.
const MAX_DEPTH: usize = 50;
/// Operators by how close they bind, the loosest first.
const LEVELS: [&[&[u8]]; 6] = [
    &[b"|"],
    &[b"&"],
    &[b"=", b"==", b"!=", b"<", b"<=", b">", b">="],
    &[b"+", b"-"],
    &[b"*", b"/", b"%"],
    &[b":"],
];

/// Why there is no value.
enum Wrong {
    /// The script is told: a text, and the status 2.
    Told(&'static str),
    Flow(Flow),
}

impl From<Flow> for Wrong {
    fn from(flow: Flow) -> Self {
        Self::Flow(flow)
    }
}

/// Runs expr.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let rest = if words.get(1).is_some_and(|word| &**word == b"--") { &words[2..] } else { &words[1..] };
    let mut reader = Reader { shell, words, rest, at: 0, depth: 0 };
    let value = match reader.level(0) {
        Ok(_) if reader.at < reader.rest.len() => Err(Wrong::Told("syntax error")),
        other => other,
    };
    match value {
        Ok(value) => {
            let status = i32::from(is_null(&value));
            shell.say(&[&value[..], b"\n"].concat())?;
            Ok(status)
        }
        Err(Wrong::Told(what)) => {
            shell.say_error(format!("expr: {what}\n").as_bytes())?;
            Ok(2)
        }
        Err(Wrong::Flow(flow)) => Err(flow),
    }
}

fn is_null(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    value.is_empty() || !digits.is_empty() && digits.iter().all(|byte| *byte == b'0')
}

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok())
}

struct Reader<'r, 's, 'w> {
    shell: &'r mut Shell<'s, 'w>,
    words: &'r [Word],
    rest: &'r [Word],
    at: usize,
    depth: usize,
}

impl Reader<'_, '_, '_> {
    fn next(&mut self) -> Result<Word, Wrong> {
        self.at += 1;
        self.rest.get(self.at - 1).cloned().ok_or(Wrong::Told("syntax error: missing argument"))
    }

    fn level(&mut self, level: usize) -> Result<Vec<u8>, Wrong> {
        let Some(operators) = LEVELS.get(level) else { return self.primary() };
        let mut value = self.level(level + 1)?;
        loop {
            let Some(operator) = self.rest.get(self.at).filter(|word| operators.contains(&&***word)).cloned()
            else {
                return Ok(value);
            };
            self.at += 1;
            let right = self.level(level + 1)?;
            self.shell.spend_bytes(value.len() + right.len())?;
            value = self.applied(&operator, value, right)?;
        }
    }

    fn applied(&mut self, operator: &[u8], left: Vec<u8>, right: Vec<u8>) -> Result<Vec<u8>, Wrong> {
        Ok(match operator {
            b"|" => match (is_null(&left), is_null(&right)) {
                (false, _) => left,
                (true, false) => right,
                (true, true) => b"0".to_vec(),
            },
            b"&" => {
                if is_null(&left) || is_null(&right) {
                    b"0".to_vec()
                } else {
                    left
                }
            }
            b":" => self.matched(&left, &right)?,
            b"+" | b"-" | b"*" | b"/" | b"%" => {
                let (Some(left), Some(right)) = (number(&left), number(&right)) else {
                    return Err(Wrong::Told("non-integer argument"));
                };
                let value = match operator {
                    b"+" => left.wrapping_add(right),
                    b"-" => left.wrapping_sub(right),
                    b"*" => left.wrapping_mul(right),
                    _ if right == 0 => return Err(Wrong::Told("division by zero")),
                    b"/" => left.wrapping_div(right),
                    _ => left.wrapping_rem(right),
                };
                value.to_string().into_bytes()
            }
            _ => {
                let order = match (number(&left), number(&right)) {
                    (Some(left), Some(right)) => left.cmp(&right),
                    _ => left.cmp(&right),
                };
                let holds = match operator {
                    b"=" | b"==" => order.is_eq(),
                    b"!=" => order.is_ne(),
                    b"<" => order.is_lt(),
                    b"<=" => order.is_le(),
                    b">" => order.is_gt(),
                    _ => order.is_ge(),
                };
                if holds { b"1".to_vec() } else { b"0".to_vec() }
            }
        })
    }

    fn matched(&mut self, text: &[u8], pattern: &[u8]) -> Result<Vec<u8>, Wrong> {
        let expression = Expression::at_start(pattern).map_err(|what| self.shell.fault(self.words, what))?;
        self.shell.spend(expression.made() + expression.price(text.len()))?;
        let spans = expression.spans_at(text, 0);
        let span = |group: usize| spans.as_ref().and_then(|spans| spans.get(group).copied().flatten());
        Ok(if expression.groups() > 1 {
            span(1).map_or_else(Vec::new, |(from, to)| text[from..to].to_vec())
        } else {
            span(0).map_or(0, |(from, to)| to - from).to_string().into_bytes()
        })
    }

    fn primary(&mut self) -> Result<Vec<u8>, Wrong> {
        if self.depth >= MAX_DEPTH {
            return Err(self.shell.fault(self.words, "the expression is nested too deeply").into());
        }
        self.depth += 1;
        let value = self.shallow_primary();
        self.depth -= 1;
        value
    }

    fn shallow_primary(&mut self) -> Result<Vec<u8>, Wrong> {
        let word = self.next()?;
        Ok(match &*word {
            b"(" => {
                let value = self.level(0)?;
                if &*self.next()? != b")" {
                    return Err(Wrong::Told("syntax error: expecting ')'"));
                }
                value
            }
            b"+" if self.at < self.rest.len() => self.next()?.to_vec(),
            b"length" if self.at < self.rest.len() => self.primary()?.len().to_string().into_bytes(),
            b"match" if self.at + 1 < self.rest.len() => {
                let (text, pattern) = (self.primary()?, self.primary()?);
                self.matched(&text, &pattern)?
            }
            b"index" if self.at + 1 < self.rest.len() => {
                let (text, set) = (self.primary()?, self.primary()?);
                let at = text.iter().position(|byte| set.contains(byte)).map_or(0, |at| at + 1);
                at.to_string().into_bytes()
            }
            b"substr" if self.at + 2 < self.rest.len() => {
                let (text, from, length) = (self.primary()?, self.primary()?, self.primary()?);
                match (number(&from), number(&length)) {
                    (Some(from @ 1..), Some(length @ 1..)) => {
                        let skipped = usize::try_from(from - 1).unwrap_or(usize::MAX);
                        let length = usize::try_from(length).unwrap_or(usize::MAX);
                        text.iter().skip(skipped).take(length).copied().collect()
                    }
                    _ => Vec::new(),
                }
            }
            _ => word.to_vec(),
        })
    }
}
