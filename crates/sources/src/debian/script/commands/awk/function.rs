//! Functions that awk has: of texts, of numbers, and those that run something.

use std::rc::Rc;

use super::machine::Done;
use super::machine::FS;
use super::machine::Machine;
use super::machine::RLENGTH;
use super::machine::RSTART;
use super::syntax::Expr;
use super::value::Value;

impl Machine<'_, '_, '_> {
    pub(super) fn builtin(&mut self, name: &'static str, arguments: &[Expr]) -> Done<Value> {
        Ok(match (name, arguments) {
            ("length", []) => Value::Number(self.whole_record()?.len() as f64),
            ("length", [Expr::Variable(place)]) if self.is_array(*place)? => {
                Value::Number(self.array(*place)?.borrow().len() as f64)
            }
            ("length", [text]) => Value::Number(self.bytes(text)?.len() as f64),
            ("substr", [text, rest @ ..]) => {
                let text = self.bytes(text)?;
                let from = self.number(&rest[0])?;
                let length = match rest.get(1) {
                    Some(length) => self.number(length)?,
                    None => f64::INFINITY,
                };
                // mawk cuts fractions off, from the first letter on.
                let to_whole = if from < 1.0 { round } else { f64::trunc };
                let from = to_whole(from);
                let to = from + to_whole(length);
                let whole = text.len() as f64;
                let (from, to) = (from.clamp(1.0, whole + 1.0), to.clamp(1.0, whole + 1.0));
                if from < to {
                    self.charge((to - from) as usize)?;
                    Value::text(&text[from as usize - 1..to as usize - 1])
                } else {
                    Value::text(b"")
                }
            }
            ("index", [text, part]) => {
                let (text, part) = (self.bytes(text)?, self.bytes(part)?);
                self.charge(text.len())?;
                let found = memchr::memmem::find(&text, &part).map_or(0, |at| at + 1);
                Value::Number(found as f64)
            }
            ("split", [text, Expr::Variable(array), rest @ ..]) => {
                let text = self.bytes(text)?;
                let parts = match rest.first() {
                    Some(Expr::Regex(expression)) => {
                        let expression = Rc::clone(expression);
                        self.split_by(&text, &expression)?
                    }
                    Some(separator) => {
                        let separator = self.bytes(separator)?;
                        self.parts(&text, &separator)?
                    }
                    None => {
                        let separator = self.special(FS);
                        self.parts(&text, &separator)?
                    }
                };
                let array = self.array(*array)?;
                let mut array = array.borrow_mut();
                array.clear();
                let count = parts.len();
                for (at, part) in parts.into_iter().enumerate() {
                    array.insert((at + 1).to_string().into_bytes().into(), Value::Input(part));
                }
                Value::Number(count as f64)
            }
            ("sub" | "gsub", [pattern, replacement, rest @ ..]) => {
                let record = Expr::Field(Box::new(Expr::Number(0.0)));
                let target = rest.first().unwrap_or(&record);
                self.substitute(pattern, replacement, target, name == "gsub")?
            }
            ("match", [text, pattern]) => {
                let text = self.bytes(text)?;
                let expression = self.regex(pattern)?;
                self.shell.spend(expression.price(text.len()))?;
                let (start, length) = match expression.find_at(&text, 0) {
                    Some((from, to)) => (from as f64 + 1.0, (to - from) as f64),
                    None => (0.0, -1.0),
                };
                self.set_special(RSTART, Value::Number(start));
                self.set_special(RLENGTH, Value::Number(length));
                Value::Number(start)
            }
            ("sprintf", all) => Value::Text(self.format(all)?.into()),
            ("tolower" | "toupper", [text]) => {
                let text = self.bytes(text)?;
                self.charge(text.len())?;
                Value::text(&if name == "tolower" {
                    text.to_ascii_lowercase()
                } else {
                    text.to_ascii_uppercase()
                })
            }
            ("int", [number]) => Value::Number(self.number(number)?.trunc()),
            ("sqrt", [number]) => Value::Number(self.number(number)?.sqrt()),
            // Of a crate, so that they are the same on every machine.
            ("exp", [number]) => Value::Number(libm::exp(self.number(number)?)),
            ("log", [number]) => Value::Number(libm::log(self.number(number)?)),
            ("sin", [number]) => Value::Number(libm::sin(self.number(number)?)),
            ("cos", [number]) => Value::Number(libm::cos(self.number(number)?)),
            ("atan2", [y, x]) => Value::Number(libm::atan2(self.number(y)?, self.number(x)?)),
            ("system", [command]) => {
                let command = self.bytes(command)?;
                self.system(&command)?
            }
            ("close", [name]) => {
                let name = self.bytes(name)?;
                self.close(&name)?
            }
            _ => return Err(self.fault(format!("the function `{name}` of `awk` is not known"))),
        })
    }

    /// Fields of a text: by blanks, by one byte, by an expression.
    pub(super) fn parts(&mut self, text: &[u8], separator: &[u8]) -> Done<Vec<Rc<[u8]>>> {
        self.charge(text.len())?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        Ok(match separator {
            b" " => text
                .split(|byte| matches!(byte, b' ' | b'\t' | b'\n'))
                .filter(|part| !part.is_empty())
                .map(Rc::from)
                .collect(),
            [] => text.chunks(1).map(Rc::from).collect(),
            [byte] if *byte != b'\\' => text.split(|found| found == byte).map(Rc::from).collect(),
            pattern => {
                let expression = self.expression_of(pattern)?;
                return self.split_by(text, &expression);
            }
        })
    }

    fn split_by(&mut self, text: &[u8], expression: &super::super::regex::Expression) -> Done<Vec<Rc<[u8]>>> {
        let (mut parts, mut start, mut at): (Vec<Rc<[u8]>>, usize, usize) = (Vec::new(), 0, 0);
        if text.is_empty() {
            return Ok(parts);
        }
        while at <= text.len() {
            self.shell.spend(expression.further(text.len() - at))?;
            let Some((from, to)) = expression.find_at(text, at) else { break };
            if from == to {
                at = to + 1;
                continue;
            }
            parts.push(text[start..from].into());
            (start, at) = (to, to);
        }
        parts.push(text[start..].into());
        Ok(parts)
    }

    fn substitute(&mut self, pattern: &Expr, replacement: &Expr, target: &Expr, all: bool) -> Done<Value> {
        let expression = self.regex(pattern)?;
        let replacement = self.bytes(replacement)?;
        let text = self.bytes(target)?;
        self.shell.spend(expression.price(text.len()))?;
        let (mut out, mut copied, mut count) = (Vec::new(), 0, 0_u32);
        let mut found = expression.find_at(&text, 0);
        while let Some((from, to)) = found {
            count += 1;
            out.extend_from_slice(&text[copied..from]);
            put(&replacement, &text[from..to], &mut out);
            self.shell.spend_bytes(replacement.len() + to - from)?;
            if out.len() > 4 << 20 {
                return Err(self.fault("a text of `awk` is too long"));
            }
            copied = to;
            if !all {
                break;
            }
            self.shell.spend(expression.further(text.len() - to))?;
            found = expression.next(&text, from, to).and_then(|spans| spans.first().copied().flatten());
        }
        if count > 0 {
            out.extend_from_slice(&text[copied..]);
            self.charge(out.len())?;
            self.store(target, Value::Text(out.into()))?;
        }
        Ok(Value::Number(f64::from(count)))
    }
}

/// A replacement: `&` is what matched, `\&` itself.
fn put(replacement: &[u8], matched: &[u8], out: &mut Vec<u8>) {
    let mut rest = replacement.iter().peekable();
    while let Some(&byte) = rest.next() {
        match byte {
            b'&' => out.extend_from_slice(matched),
            b'\\' if matches!(rest.peek(), Some(b'&' | b'\\')) => out.extend(rest.next()),
            _ => out.push(byte),
        }
    }
}

/// To the nearest whole number, of two the even one, as C's `rint`.
fn round(number: f64) -> f64 {
    number.round_ties_even()
}
