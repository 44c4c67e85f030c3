//! Values of GVariant: types, and how values are laid out as bytes.
//!
//! **Guarantees**: bytes are in normal form, little-endian. Types and values nest no deeper than [`MAX_DEPTH`],
//! and types have no more parts than [`MAX_PARTS`].
//!
//! **Refuses**: type strings that are none, signatures and object paths that are none.

/// Deepest nesting.
pub(super) const MAX_DEPTH: usize = 60;
/// Most parts of a type: each value of a list is laid out by looking at all of them. (Those of Debian have a dozen.)
pub(super) const MAX_PARTS: usize = 64;

/// A type. `b y n q i u x t h d s o g v` are themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// A type without parts.
    Basic(u8),
    /// `aT`
    Array(Box<Type>),
    /// `mT`
    Maybe(Box<Type>),
    /// `(TT…)`
    Tuple(Vec<Type>),
    /// `{KV}`
    Entry(Box<[Type; 2]>),
}

impl Type {
    /// Reads a type string, all of it.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (found, rest) = Self::prefix(text.as_bytes(), 0)?;
        (rest.is_empty() && found.parts() <= MAX_PARTS).then_some(found)
    }

    /// How many types it is made of.
    pub(super) fn parts(&self) -> usize {
        1 + match self {
            Self::Basic(_) => 0,
            Self::Array(inner) | Self::Maybe(inner) => inner.parts(),
            Self::Tuple(parts) => parts.iter().map(Self::parts).sum(),
            Self::Entry(pair) => pair.iter().map(Self::parts).sum(),
        }
    }

    /// Reads one type from the start of a text; what follows.
    pub(super) fn prefix(text: &[u8], depth: usize) -> Option<(Self, &[u8])> {
        if depth > MAX_DEPTH {
            return None;
        }
        let (&first, rest) = text.split_first()?;
        match first {
            b'a' | b'm' => {
                let (element, rest) = Self::prefix(rest, depth + 1)?;
                let element = Box::new(element);
                Some((if first == b'a' { Self::Array(element) } else { Self::Maybe(element) }, rest))
            }
            b'(' => {
                let (mut parts, mut rest) = (Vec::new(), rest);
                loop {
                    if let Some(rest) = rest.strip_prefix(b")") {
                        return Some((Self::Tuple(parts), rest));
                    }
                    let (part, after) = Self::prefix(rest, depth + 1)?;
                    parts.push(part);
                    rest = after;
                }
            }
            b'{' => {
                let (key, rest) = Self::prefix(rest, depth + 1)?;
                let (value, rest) = Self::prefix(rest, depth + 1)?;
                let rest = rest.strip_prefix(b"}")?;
                let basic = matches!(key, Self::Basic(basic) if basic != b'v');
                basic.then(|| (Self::Entry(Box::new([key, value])), rest))
            }
            b'b' | b'y' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'h' | b'd' | b's' | b'o' | b'g'
            | b'v' => Some((Self::Basic(first), rest)),
            _ => None,
        }
    }

    /// As it is written.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Basic(basic) => out.push(*basic),
            Self::Array(element) => {
                out.push(b'a');
                element.write(out);
            }
            Self::Maybe(element) => {
                out.push(b'm');
                element.write(out);
            }
            Self::Tuple(parts) => {
                out.push(b'(');
                for part in parts {
                    part.write(out);
                }
                out.push(b')');
            }
            Self::Entry(pair) => {
                out.push(b'{');
                for part in &**pair {
                    part.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// What the start of a value is a multiple of.
    fn alignment(&self) -> usize {
        match self {
            Self::Basic(basic) => match basic {
                b'n' | b'q' => 2,
                b'i' | b'u' | b'h' => 4,
                b'x' | b't' | b'd' | b'v' => 8,
                _ => 1,
            },
            Self::Array(element) | Self::Maybe(element) => element.alignment(),
            Self::Tuple(parts) => parts.iter().map(Self::alignment).max().unwrap_or(1),
            Self::Entry(pair) => pair.iter().map(Self::alignment).max().unwrap_or(1),
        }
    }

    /// The size of all values, where it is one.
    fn fixed(&self) -> Option<usize> {
        match self {
            Self::Basic(basic) => match basic {
                b'b' | b'y' => Some(1),
                b'n' | b'q' => Some(2),
                b'i' | b'u' | b'h' => Some(4),
                b'x' | b't' | b'd' => Some(8),
                _ => None,
            },
            Self::Array(_) | Self::Maybe(_) => None,
            Self::Tuple(parts) => {
                let mut size: usize = 0;
                for part in parts {
                    size = size.next_multiple_of(part.alignment()) + part.fixed()?;
                }
                // The tuple without parts has one byte.
                Some(size.next_multiple_of(self.alignment()).max(1))
            }
            Self::Entry(pair) => Self::Tuple(pair.to_vec()).fixed(),
        }
    }
}

/// A value, whose type is known from elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// `b`
    Boolean(bool),
    /// `y n q i u x t h`
    Integer(i128),
    /// `d`
    Double(f64),
    /// `s o g`
    Text(String),
    /// `v`
    Variant(Box<(Type, Value)>),
    /// `m`
    Maybe(Option<Box<Value>>),
    /// `a`
    Array(Vec<Value>),
    /// `(…)` and `{…}`
    Tuple(Vec<Value>),
}

/// The bytes of a value of this type.
pub(super) fn bytes(of: &Type, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, of, value);
    out
}

/// The bytes of a variant with this value.
pub(super) fn boxed(of: &Type, value: &Value) -> Vec<u8> {
    let mut out = bytes(of, value);
    out.push(0);
    of.write(&mut out);
    out
}

/// Appends a value. Containers are put at a multiple of their alignment, so places may be counted from the start of `out`.
fn put(out: &mut Vec<u8>, of: &Type, value: &Value) {
    match (of, value) {
        (Type::Basic(b'v'), Value::Variant(inner)) => {
            let inner = boxed(&inner.0, &inner.1);
            out.extend(inner);
        }
        (Type::Basic(basic), value) => basic_bytes(out, *basic, value),
        (Type::Maybe(element), Value::Maybe(Some(value))) => {
            out.extend(bytes(element, value));
            if element.fixed().is_none() {
                out.push(0);
            }
        }
        (Type::Array(element), Value::Array(values)) => {
            let start = out.len();
            let mut ends = Vec::with_capacity(values.len());
            for value in values {
                align(out, start, element.alignment());
                out.extend(bytes(element, value));
                ends.push(out.len() - start);
            }
            if element.fixed().is_none() {
                offsets(out, start, &ends);
            }
        }
        (Type::Tuple(parts), Value::Tuple(values)) => tuple(out, of, parts, values),
        (Type::Entry(pair), Value::Tuple(values)) => tuple(out, of, &pair[..], values),
        // A maybe of nothing has no bytes; other pairs are not made.
        _ => {}
    }
}

fn tuple(out: &mut Vec<u8>, of: &Type, parts: &[Type], values: &[Value]) {
    let start = out.len();
    let mut ends = Vec::new();
    for (at, (part, value)) in parts.iter().zip(values).enumerate() {
        align(out, start, part.alignment());
        out.extend(bytes(part, value));
        if part.fixed().is_none() && at + 1 < parts.len() {
            ends.push(out.len() - start);
        }
    }
    if let Some(size) = of.fixed() {
        out.resize(start + size, 0);
    }
    ends.reverse();
    offsets(out, start, &ends);
}

fn align(out: &mut Vec<u8>, start: usize, to: usize) {
    out.resize(start + (out.len() - start).next_multiple_of(to), 0);
}

/// Where parts end, in numbers just large enough for the container with them.
fn offsets(out: &mut Vec<u8>, start: usize, ends: &[usize]) {
    let body = out.len() - start;
    let size = [1, 2, 4, 8].into_iter().find(|&size| {
        let whole = (body + size * ends.len()) as u128;
        whole < 1 << (8 * size)
    });
    let size = size.unwrap_or(8);
    for end in ends {
        out.extend(&(*end as u64).to_le_bytes()[..size]);
    }
}

fn basic_bytes(out: &mut Vec<u8>, basic: u8, value: &Value) {
    match value {
        Value::Boolean(value) => out.push(u8::from(*value)),
        Value::Integer(value) => {
            let size = match basic {
                b'y' => 1,
                b'n' | b'q' => 2,
                b'i' | b'u' | b'h' => 4,
                _ => 8,
            };
            out.extend(&value.to_le_bytes()[..size]);
        }
        Value::Double(value) => out.extend(value.to_le_bytes()),
        Value::Text(text) => {
            out.extend(text.bytes());
            out.push(0);
        }
        _ => {}
    }
}

/// Whether a text is an object path of D-Bus.
pub(super) fn is_object_path(text: &str) -> bool {
    let good = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    text == "/" || text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(good))
}

/// Whether a text is a row of types.
pub(super) fn is_signature(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match Type::prefix(rest, 0) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}
