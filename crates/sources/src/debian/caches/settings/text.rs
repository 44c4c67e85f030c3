//! Values of GVariant as people write them: `['a', 'b']`, `@as []`, `{'x': <uint32 5>}`, `(1, true)`, `just 'x'`, `b'bytes'`.
//!
//! A text is read into a form without types first; then a type is laid upon it, or found where it is inside of `<…>`.
//!
//! **Guarantees**: time is linear in the text, depth is bounded by [`MAX_DEPTH`].
//!
//! **Refuses**: what does not fit the type, numbers out of range, strings that are broken.

use super::variant::MAX_DEPTH;
use super::variant::MAX_PARTS;
use super::variant::Type;
use super::variant::Value;
use super::variant::is_object_path;
use super::variant::is_signature;

/// A value of this type from its text.
pub(super) fn parse(of: &Type, text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text };
    let tree = reader.value(0)?;
    reader.skip();
    reader.rest.is_empty().then(|| tree.as_type(of))?
}

/// What is written, without a type.
enum Tree {
    /// `true`, `false`
    Boolean(bool),
    /// A number.
    Number(String),
    /// A text.
    Text(String),
    /// `b'…'`, without the zero at its end.
    Bytes(Vec<u8>),
    /// `nothing`, `just …`
    Maybe(Option<Box<Tree>>),
    /// `[…]`
    Array(Vec<Tree>),
    /// `(…)`
    Tuple(Vec<Tree>),
    /// `{K: V, …}`
    Dictionary(Vec<(Tree, Tree)>),
    /// `{K, V}`
    Entry(Box<(Tree, Tree)>),
    /// `<…>`
    Variant(Box<Tree>),
    /// `@TYPE …`, `uint32 …`
    Typed(Type, Box<Tree>),
}

struct Reader<'a> {
    rest: &'a str,
}

/// Characters that stand for themselves.
const MARKS: [char; 10] = ['(', ')', '[', ']', '{', '}', '<', '>', ',', ':'];

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
    }

    /// Whether this comes next; it is taken.
    fn take(&mut self, mark: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(mark) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The next word: letters, digits and signs.
    fn word(&mut self) -> Option<&'a str> {
        self.skip();
        let ends = |c: char| c.is_ascii_whitespace() || MARKS.contains(&c) || c == '\'' || c == '"';
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn value(&mut self, depth: usize) -> Option<Tree> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip();
        let next = self.rest.chars().next()?;
        match next {
            '[' => {
                self.take('[');
                self.list(']', depth).map(Tree::Array)
            }
            '(' => {
                self.take('(');
                self.tuple(depth)
            }
            '{' => {
                self.take('{');
                self.dictionary(depth)
            }
            '<' => {
                self.take('<');
                let inner = self.value(depth + 1)?;
                self.take('>').then(|| Tree::Variant(Box::new(inner)))
            }
            '\'' | '"' => self.text().map(Tree::Text),
            '@' => {
                self.rest = &self.rest[1..];
                // A type has no blanks; its own brackets end it.
                let (of, rest) = Type::prefix(self.rest.as_bytes(), 0)?;
                if of.parts() > MAX_PARTS {
                    return None;
                }
                self.rest = &self.rest[self.rest.len() - rest.len()..];
                let inner = self.value(depth + 1)?;
                Some(Tree::Typed(of, Box::new(inner)))
            }
            'b' if self.rest[1..].starts_with(['\'', '"']) => {
                self.rest = &self.rest[1..];
                self.bytes().map(Tree::Bytes)
            }
            _ => {
                let word = self.word()?;
                self.named(word, depth)
            }
        }
    }

    /// A value that begins with a word.
    fn named(&mut self, word: &str, depth: usize) -> Option<Tree> {
        let basic = match word {
            "true" => return Some(Tree::Boolean(true)),
            "false" => return Some(Tree::Boolean(false)),
            "nothing" => return Some(Tree::Maybe(None)),
            "just" => return Some(Tree::Maybe(Some(Box::new(self.value(depth + 1)?)))),
            "boolean" => b'b',
            "byte" => b'y',
            "int16" => b'n',
            "uint16" => b'q',
            "int32" => b'i',
            "uint32" => b'u',
            "handle" => b'h',
            "int64" => b'x',
            "uint64" => b't',
            "double" => b'd',
            "string" => b's',
            "objectpath" => b'o',
            "signature" => b'g',
            _ => {
                let number = word.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
                    || matches!(word, "inf" | "nan");
                return number.then(|| Tree::Number(word.to_owned()));
            }
        };
        Some(Tree::Typed(Type::Basic(basic), Box::new(self.value(depth + 1)?)))
    }

    /// Values with commas between them, up to a closing mark.
    fn list(&mut self, close: char, depth: usize) -> Option<Vec<Tree>> {
        let mut found = Vec::new();
        if self.take(close) {
            return Some(found);
        }
        loop {
            found.push(self.value(depth + 1)?);
            if self.take(close) {
                return Some(found);
            }
            if !self.take(',') {
                return None;
            }
        }
    }

    /// `()`, `(1,)`, `(1, 2)`: one part alone has its comma.
    fn tuple(&mut self, depth: usize) -> Option<Tree> {
        let mut parts = Vec::new();
        if self.take(')') {
            return Some(Tree::Tuple(parts));
        }
        loop {
            parts.push(self.value(depth + 1)?);
            let comma = self.take(',');
            if self.take(')') {
                return (comma == (parts.len() == 1)).then_some(Tree::Tuple(parts));
            }
            if !comma {
                return None;
            }
        }
    }

    fn dictionary(&mut self, depth: usize) -> Option<Tree> {
        let mut pairs = Vec::new();
        if self.take('}') {
            return Some(Tree::Dictionary(pairs));
        }
        loop {
            let key = self.value(depth + 1)?;
            if pairs.is_empty() && self.take(',') {
                let value = self.value(depth + 1)?;
                return self.take('}').then(|| Tree::Entry(Box::new((key, value))));
            }
            if !self.take(':') {
                return None;
            }
            pairs.push((key, self.value(depth + 1)?));
            if self.take('}') {
                return Some(Tree::Dictionary(pairs));
            }
            if !self.take(',') {
                return None;
            }
        }
    }

    /// A text between equal quotes.
    fn text(&mut self) -> Option<String> {
        let mut chars = self.rest.chars();
        let quote = chars.next()?;
        let mut text = String::new();
        loop {
            match chars.next()? {
                '\\' => match chars.next()? {
                    'a' => text.push('\u{7}'),
                    'b' => text.push('\u{8}'),
                    'f' => text.push('\u{c}'),
                    'n' => text.push('\n'),
                    'r' => text.push('\r'),
                    't' => text.push('\t'),
                    'v' => text.push('\u{b}'),
                    '\n' => {}
                    long @ ('u' | 'U') => {
                        let length = if long == 'u' { 4 } else { 8 };
                        let digits: String = chars.by_ref().take(length).collect();
                        if digits.len() != length || digits.starts_with('+') {
                            return None;
                        }
                        let code = u32::from_str_radix(&digits, 16).ok()?;
                        text.push(char::from_u32(code).filter(|&c| c != '\0')?);
                    }
                    other => text.push(other),
                },
                end if end == quote => break,
                other => text.push(other),
            }
        }
        self.rest = chars.as_str();
        Some(text)
    }

    /// Bytes between equal quotes, `\123` among them.
    fn bytes(&mut self) -> Option<Vec<u8>> {
        let all = self.rest.as_bytes();
        let quote = *all.first()?;
        let (mut found, mut at) = (Vec::new(), 1);
        loop {
            let byte = *all.get(at)?;
            at += 1;
            match byte {
                b'\\' => {
                    let byte = *all.get(at)?;
                    at += 1;
                    match byte {
                        b'0'..=b'7' => {
                            let mut value = u32::from(byte - b'0');
                            for _ in 0..2 {
                                if let Some(digit @ b'0'..=b'7') = all.get(at) {
                                    value = value * 8 + u32::from(digit - b'0');
                                    at += 1;
                                }
                            }
                            found.push(value as u8);
                        }
                        b'a' => found.push(7),
                        b'b' => found.push(8),
                        b'f' => found.push(12),
                        b'n' => found.push(b'\n'),
                        b'r' => found.push(b'\r'),
                        b't' => found.push(b'\t'),
                        b'v' => found.push(11),
                        b'\n' => {}
                        other => found.push(other),
                    }
                }
                end if end == quote => break,
                other => found.push(other),
            }
        }
        self.rest = self.rest.get(at..)?;
        Some(found)
    }
}

impl Tree {
    /// The value that this is as a type.
    fn as_type(&self, of: &Type) -> Option<Value> {
        // `nothing` and `just` may be left out, but for what is itself a maybe.
        if let Type::Maybe(element) = of {
            return match self {
                Self::Maybe(None) => Some(Value::Maybe(None)),
                Self::Maybe(Some(inner)) => Some(Value::Maybe(Some(Box::new(inner.as_type(element)?)))),
                Self::Typed(_, inner) => inner.as_type(of),
                _ => Some(Value::Maybe(Some(Box::new(self.as_type(element)?)))),
            };
        }
        match (self, of) {
            // Where a type is wanted, another that is written is passed over: GLib does so.
            (Self::Typed(_, inner), of) => inner.as_type(of),
            (Self::Boolean(value), Type::Basic(b'b')) => Some(Value::Boolean(*value)),
            (Self::Number(text), Type::Basic(b'd')) => double(text).map(Value::Double),
            (Self::Number(text), Type::Basic(basic)) => integer(text, *basic).map(Value::Integer),
            (Self::Text(text), Type::Basic(basic)) => {
                let fits = match basic {
                    b's' => true,
                    b'o' => is_object_path(text),
                    b'g' => is_signature(text),
                    _ => false,
                };
                fits.then(|| Value::Text(text.clone()))
            }
            (Self::Bytes(bytes), Type::Array(element)) if **element == Type::Basic(b'y') => {
                let with_end = bytes.iter().chain(&[0]);
                Some(Value::Array(with_end.map(|&byte| Value::Integer(i128::from(byte))).collect()))
            }
            (Self::Array(values), Type::Array(element)) => {
                let values: Option<Vec<Value>> = values.iter().map(|value| value.as_type(element)).collect();
                values.map(Value::Array)
            }
            (Self::Tuple(values), Type::Tuple(parts)) if values.len() == parts.len() => {
                let pairs = values.iter().zip(parts);
                pairs.map(|(value, part)| value.as_type(part)).collect::<Option<_>>().map(Value::Tuple)
            }
            (Self::Dictionary(pairs), Type::Array(element)) => {
                let Type::Entry(types) = &**element else { return None };
                let entry = |(key, value): &(Self, Self)| {
                    Some(Value::Tuple(vec![key.as_type(&types[0])?, value.as_type(&types[1])?]))
                };
                pairs.iter().map(entry).collect::<Option<_>>().map(Value::Array)
            }
            (Self::Entry(pair), Type::Entry(types)) => {
                Some(Value::Tuple(vec![pair.0.as_type(&types[0])?, pair.1.as_type(&types[1])?]))
            }
            (Self::Variant(inner), Type::Basic(b'v')) => {
                let of = inner.pattern()?.settled().filter(|of| of.parts() <= MAX_PARTS)?;
                let value = inner.as_type(&of)?;
                Some(Value::Variant(Box::new((of, value))))
            }
            _ => None,
        }
    }

    /// What types this can be.
    fn pattern(&self) -> Option<Pattern> {
        let one = |of: &str| Type::read(of).map(|of| Pattern::of(&of));
        Some(match self {
            Self::Boolean(_) => one("b")?,
            Self::Number(text) if is_double(text) => one("d")?,
            Self::Number(_) => Pattern::Number,
            Self::Text(_) => Pattern::Text,
            Self::Bytes(_) => one("ay")?,
            Self::Typed(of, _) => Pattern::of(of),
            Self::Variant(_) => one("v")?,
            Self::Maybe(inner) => Pattern::Maybe(Box::new(match inner {
                Some(inner) => inner.pattern()?,
                None => Pattern::Any,
            })),
            Self::Array(values) => Pattern::Array(Box::new(Pattern::all(values.iter())?)),
            Self::Tuple(values) => Pattern::Tuple(values.iter().map(Self::pattern).collect::<Option<_>>()?),
            Self::Dictionary(pairs) => Pattern::Array(Box::new(Pattern::Entry(Box::new([
                Pattern::all(pairs.iter().map(|pair| &pair.0))?,
                Pattern::all(pairs.iter().map(|pair| &pair.1))?,
            ])))),
            Self::Entry(pair) => Pattern::Entry(Box::new([pair.0.pattern()?, pair.1.pattern()?])),
        })
    }
}

/// What is known of a type.
#[derive(Clone, PartialEq)]
enum Pattern {
    Any,
    /// A number without a point: `i` unless others say otherwise.
    Number,
    /// `s` unless others say otherwise.
    Text,
    Basic(u8),
    Maybe(Box<Pattern>),
    Array(Box<Pattern>),
    Tuple(Vec<Pattern>),
    Entry(Box<[Pattern; 2]>),
}

impl Pattern {
    fn of(of: &Type) -> Self {
        match of {
            Type::Basic(basic) => Self::Basic(*basic),
            Type::Maybe(inner) => Self::Maybe(Box::new(Self::of(inner))),
            Type::Array(inner) => Self::Array(Box::new(Self::of(inner))),
            Type::Tuple(parts) => Self::Tuple(parts.iter().map(Self::of).collect()),
            Type::Entry(pair) => Self::Entry(Box::new([Self::of(&pair[0]), Self::of(&pair[1])])),
        }
    }

    /// How many it is made of.
    fn parts(&self) -> usize {
        1 + match self {
            Self::Any | Self::Number | Self::Text | Self::Basic(_) => 0,
            Self::Array(inner) | Self::Maybe(inner) => inner.parts(),
            Self::Tuple(parts) => parts.iter().map(Self::parts).sum(),
            Self::Entry(pair) => pair.iter().map(Self::parts).sum(),
        }
    }

    /// What fits all.
    fn all<'a>(trees: impl Iterator<Item = &'a Tree>) -> Option<Self> {
        let mut found = Self::Any;
        for tree in trees {
            found = found.with(&tree.pattern()?)?;
            if found.parts() > MAX_PARTS {
                return None;
            }
        }
        Some(found)
    }

    /// What fits both; a value among maybes is one.
    fn with(&self, other: &Self) -> Option<Self> {
        let numeric = |basic: &u8| b"ynqiuxthd".contains(basic);
        let textual = |basic: &u8| b"sog".contains(basic);
        Some(match (self, other) {
            (Self::Any, other) | (other, Self::Any) => other.clone(),
            (Self::Maybe(one), Self::Maybe(two)) => Self::Maybe(Box::new(one.with(two)?)),
            (Self::Maybe(one), two) | (two, Self::Maybe(one)) => Self::Maybe(Box::new(one.with(two)?)),
            (Self::Number, Self::Number) => Self::Number,
            (Self::Text, Self::Text) => Self::Text,
            (Self::Number, Self::Basic(basic)) | (Self::Basic(basic), Self::Number) if numeric(basic) => {
                Self::Basic(*basic)
            }
            (Self::Text, Self::Basic(basic)) | (Self::Basic(basic), Self::Text) if textual(basic) => {
                Self::Basic(*basic)
            }
            (Self::Basic(one), Self::Basic(two)) if one == two => Self::Basic(*one),
            (Self::Array(one), Self::Array(two)) => Self::Array(Box::new(one.with(two)?)),
            (Self::Tuple(one), Self::Tuple(two)) if one.len() == two.len() => {
                Self::Tuple(one.iter().zip(two).map(|(one, two)| one.with(two)).collect::<Option<_>>()?)
            }
            (Self::Entry(one), Self::Entry(two)) => {
                Self::Entry(Box::new([one[0].with(&two[0])?, one[1].with(&two[1])?]))
            }
            _ => return None,
        })
    }

    /// The type that is taken where nothing else is known; none where nothing at all is.
    fn settled(&self) -> Option<Type> {
        Some(match self {
            Self::Any => return None,
            Self::Number => Type::Basic(b'i'),
            Self::Text => Type::Basic(b's'),
            Self::Basic(basic) => Type::Basic(*basic),
            Self::Maybe(inner) => Type::Maybe(Box::new(inner.settled()?)),
            Self::Array(inner) => Type::Array(Box::new(inner.settled()?)),
            Self::Tuple(parts) => Type::Tuple(parts.iter().map(Self::settled).collect::<Option<_>>()?),
            Self::Entry(pair) => Type::Entry(Box::new([pair[0].settled()?, pair[1].settled()?])),
        })
    }
}

fn is_hexadecimal(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    digits.starts_with("0x") || digits.starts_with("0X")
}

/// Whether a number is one of `d` by its looks.
fn is_double(text: &str) -> bool {
    !is_hexadecimal(text)
        && (text.contains(['.', 'e', 'E']) || text.ends_with("inf") || text.ends_with("nan"))
}

fn double(text: &str) -> Option<f64> {
    if is_hexadecimal(text) {
        #[expect(clippy::cast_precision_loss, reason = "strtod(3) rounds too")]
        return number(text).map(|number| number as f64);
    }
    text.parse().ok()
}

/// A whole number: decimal, octal with `0`, hexadecimal with `0x`.
fn number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    Some(if negative { -value } else { value })
}

fn integer(text: &str, basic: u8) -> Option<i128> {
    let value = number(text)?;
    let (least, most): (i128, i128) = match basic {
        b'y' => (0, 0xff),
        b'n' => (i16::MIN.into(), i16::MAX.into()),
        b'q' => (0, u16::MAX.into()),
        b'i' | b'h' => (i32::MIN.into(), i32::MAX.into()),
        b'u' => (0, u32::MAX.into()),
        b'x' => (i64::MIN.into(), i64::MAX.into()),
        b't' => (0, u64::MAX.into()),
        _ => return None,
    };
    (least..=most).contains(&value).then_some(value)
}
