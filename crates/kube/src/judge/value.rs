//! What stands in a document: values that know their lines.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde_json::Value as Json;
use serde_saphyr::Spanned;

/// A value and the line that it begins on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    /// Counted from 1; 0 where the reader did not know it.
    pub(super) line: u32,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that is no integer of 64 bits with a sign.
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Map),
}

/// Named values, in the order in which they are written; no name stands twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Map(Vec<Entry>);

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) name: String,
    /// The line of the name.
    pub(super) line: u32,
    pub(super) node: Node,
}

/// Names up to which a map is searched as it is; behind that duplicates are looked for by sorting.
const FEW: usize = 16;

impl Map {
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.0.iter().find(|entry| entry.name == name).map(|entry| &entry.node)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.0.iter()
    }

    fn says_the_same(&self, other: &Self) -> bool {
        let same =
            |(one, other): (&Entry, &Entry)| one.name == other.name && one.node.says_the_same(&other.node);
        self.0.len() == other.0.len() && self.by_name().into_iter().zip(other.by_name()).all(same)
    }

    fn by_name(&self) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.0.iter().collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        entries
    }

    /// A name that stands twice.
    fn twice(&self) -> Option<&str> {
        let names = || self.0.iter().map(|entry| entry.name.as_str());
        if self.0.len() <= FEW {
            let mut rest = names();
            return std::iter::from_fn(|| rest.next().map(|name| (name, rest.clone())))
                .find_map(|(name, mut rest)| rest.any(|other| other == name).then_some(name));
        }
        let mut sorted: Vec<&str> = names().collect();
        sorted.sort_unstable();
        sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Node {
    /// What it is called in messages.
    pub(super) fn what(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Number(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }

    /// Whether two values say the same, wherever they stand and in whichever order their names do.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::List(one), Value::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.says_the_same(other))
            }
            (Value::Map(one), Value::Map(other)) => one.says_the_same(other),
            (one, other) => one == other,
        }
    }

    /// Whether this says what a value of JSON does.
    pub(super) fn says(&self, json: &Json) -> bool {
        match (&self.value, json) {
            (Value::Null, Json::Null) => true,
            (Value::Bool(one), Json::Bool(other)) => one == other,
            (Value::Int(one), Json::Number(other)) => match other.as_i64() {
                Some(other) => *one == other,
                // -0 is no integer for some.
                None => *one == 0 && other.as_f64() == Some(0.0),
            },
            // Readers differ in the last digit.
            (Value::Number(one), Json::Number(other)) => {
                other.as_f64().is_some_and(|other| (one - other).abs() <= one.abs() * 1e-12)
            }
            (Value::Text(one), Json::String(other)) => one == other,
            (Value::List(one), Json::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.says(other))
            }
            (Value::Map(one), Json::Object(other)) => {
                let says = |entry: &Entry| other.get(&entry.name).is_some_and(|json| entry.node.says(json));
                one.0.len() == other.len() && one.iter().all(says)
            }
            _ => false,
        }
    }

    /// The value of a name, where this is an object that has it and it is not null: null means "as if it were not there".
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        let found = self.map()?.get(name)?;
        (found.value != Value::Null).then_some(found)
    }

    /// The same, one name after the other.
    pub(super) fn at(&self, names: &[&str]) -> Option<&Node> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    pub(super) fn map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// The items of a list; none of anything else.
    pub(super) fn items(&self) -> &[Node] {
        if let Value::List(list) = &self.value { list } else { &[] }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    pub(super) fn truth(&self) -> Option<bool> {
        if let Value::Bool(truth) = self.value { Some(truth) } else { None }
    }

    pub(super) fn int(&self) -> Option<i64> {
        if let Value::Int(int) = self.value { Some(int) } else { None }
    }

    /// The text of a name.
    pub(super) fn text_at(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    /// The items of a list of a name; none where it is missing.
    pub(super) fn items_at(&self, name: &str) -> &[Node] {
        self.get(name).map_or(&[], Node::items)
    }
}

/// A line of the reader's as it is told.
fn line(location: serde_saphyr::Location) -> u32 {
    u32::try_from(location.line()).unwrap_or(0)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value, line: line(referenced) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Takes whatever stands there.
struct Reader;

impl<'de> de::Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "no field takes so large a number")]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Number(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::default();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let node = entries.next_value()?;
            map.0.push(Entry { name: key.value, line: line(key.referenced), node });
        }
        match map.twice() {
            Some(name) => Err(de::Error::custom(format!("`{}` stands twice", super::text::short(name)))),
            None => Ok(Value::Map(map)),
        }
    }
}
