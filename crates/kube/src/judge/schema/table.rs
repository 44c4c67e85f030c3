//! The tables, read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// All of them together.
pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let texts = [
        include_str!("../../../data/kubernetes.schema"),
        include_str!("../../../data/agent-sandbox.schema"),
        include_str!("../../../data/kustomize.schema"),
    ];
    Table::read(&texts, include_str!("../../../data/values.txt"))
});

/// Kinds, and the types that they and their fields are of.
#[derive(Debug, Default)]
pub(super) struct Table {
    kinds: BTreeMap<(&'static str, &'static str), usize>,
    types: Vec<Type>,
    /// What in the texts means nothing; a test proves that it is empty.
    pub(super) unread: Vec<String>,
}

/// An object with known fields.
#[derive(Debug, Default)]
pub(super) struct Type {
    pub(super) name: &'static str,
    /// By name. None: it takes any field.
    pub(super) fields: Vec<Field>,
}

/// A field.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) form: Form,
    /// In which versions of Kubernetes it is there.
    pub(super) there: Span,
    /// In which versions it has to be there.
    pub(super) required: Option<Span>,
    /// The words that it takes; empty: any.
    pub(super) values: Vec<&'static str>,
    pub(super) least: Option<i64>,
}

/// What a field takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Int32,
    Int64,
    Number,
    Bool,
    Quantity,
    IntOrText,
    Time,
    Bytes,
    Object,
    List(Box<Form>),
    Map(Box<Form>),
    Type(usize),
}

/// The first and the last of some versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) u8, pub(super) u8);

impl Span {
    const ALL: Self = Self(0, u8::MAX);

    fn read(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-')?;
        Some(Self(first.parse().ok()?, last.parse().ok()?))
    }
}

impl Table {
    pub(super) fn kind(&self, api: &str, kind: &str) -> Option<&Type> {
        self.kinds.iter().find(|(known, _)| **known == (api, kind)).and_then(|(_, of)| self.types.get(*of))
    }

    /// The API that a kind is known of.
    pub(super) fn api_of(&self, kind: &str) -> Option<&'static str> {
        self.kinds.keys().find(|(_, known)| *known == kind).map(|(api, _)| *api)
    }

    /// All known kinds, with their API.
    #[cfg(test)]
    pub(super) fn all(&self) -> Vec<(&'static str, &'static str)> {
        self.kinds.keys().copied().collect()
    }

    pub(super) fn of(&self, index: usize) -> Option<&Type> {
        self.types.get(index)
    }

    fn read(texts: &[&'static str], values: &'static str) -> Self {
        let mut table = Self::default();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let lines = || texts.iter().flat_map(|text| text.lines()).filter(|line| !line.starts_with('#'));
        for line in lines() {
            if let Some(name) = line.strip_prefix("type ") {
                names.insert(name, table.types.len());
                table.types.push(Type { name, fields: Vec::new() });
            }
        }
        let mut at = None;
        for line in lines() {
            let mut words = line.split_ascii_whitespace();
            let read = match (line.starts_with("  "), words.next()) {
                (false, Some("type")) => {
                    at = words.next().and_then(|name| names.get(name).copied());
                    at.map(|_| ())
                }
                (false, Some("kind")) => table.add_kind(&names, words),
                (false, Some("versions") | None) => Some(()),
                (true, Some(name)) => field(&names, name, words).and_then(|field| {
                    table.types.get_mut(at?)?.fields.push(field);
                    Some(())
                }),
                _ => None,
            };
            if read.is_none() {
                table.unread.push(line.to_owned());
            }
        }
        for of in &mut table.types {
            of.fields.sort_unstable_by_key(|field| field.name);
        }
        for line in values.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if table.add_values(&names, line).is_none() {
                table.unread.push(line.to_owned());
            }
        }
        table
    }

    fn add_kind(
        &mut self,
        names: &BTreeMap<&str, usize>,
        mut words: impl Iterator<Item = &'static str>,
    ) -> Option<()> {
        let (api, kind, of) = (words.next()?, words.next()?, words.next()?);
        self.kinds.insert((api, kind), *names.get(of)?);
        Some(())
    }

    /// `TYPE FIELD WORD…`
    fn add_values(&mut self, names: &BTreeMap<&str, usize>, line: &'static str) -> Option<()> {
        let mut words = line.split_ascii_whitespace();
        let of = self.types.get_mut(*names.get(words.next()?)?)?;
        let name = words.next()?;
        let field = of.fields.iter_mut().find(|field| field.name == name)?;
        field.values = words.collect();
        (!field.values.is_empty()).then_some(())
    }
}

/// A field's line.
fn field(
    names: &BTreeMap<&str, usize>,
    name: &'static str,
    mut words: impl Iterator<Item = &'static str>,
) -> Option<Field> {
    let form = form(names, words.next()?)?;
    let mut field = Field { name, form, there: Span::ALL, required: None, values: Vec::new(), least: None };
    for word in words {
        if word == "!" {
            field.required = Some(Span::ALL);
        } else if let Some(span) = word.strip_prefix('!') {
            field.required = Some(Span::read(span)?);
        } else if let Some(span) = word.strip_prefix('@') {
            field.there = Span::read(span)?;
        } else {
            field.least = Some(word.strip_prefix("min=")?.parse().ok()?);
        }
    }
    Some(field)
}

fn form(names: &BTreeMap<&str, usize>, word: &str) -> Option<Form> {
    let inner = |open, close| word.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    Some(match word {
        "string" => Form::Text,
        "int32" => Form::Int32,
        "int64" => Form::Int64,
        "number" => Form::Number,
        "bool" => Form::Bool,
        "quantity" => Form::Quantity,
        "int-or-string" => Form::IntOrText,
        "time" => Form::Time,
        "bytes" => Form::Bytes,
        "object" => Form::Object,
        _ => {
            if let Some(of) = inner('[', ']') {
                Form::List(Box::new(form(names, of)?))
            } else if let Some(of) = inner('{', '}') {
                Form::Map(Box::new(form(names, of)?))
            } else {
                Form::Type(*names.get(word)?)
            }
        }
    })
}

impl Type {
    pub(super) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by_key(&name, |field| field.name).ok().and_then(|at| self.fields.get(at))
    }
}
