//! JSON as images use it: read with a size limit and without repeated keys, written compactly in a fixed order.
//!
//! **Guarantees**: equal values give equal bytes; no input makes it panic (nesting deeper than serde_json's 128 is refused).
//! **Refuses**: an object that has one key twice, because readers disagree which of the two counts; and one that has two keys which
//! differ in case only, because Go's reader takes them for the same field and the last for its value. Maps of names that people
//! give (labels, annotations, volumes, ports) may have both, and what is said in a statement's predicate: Go keeps them apart.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::de::DeserializeSeed;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;

use crate::ImageError;

/// Fields that pinfold does not know, kept so that nothing is lost when a document is written again.
pub type Unknown = BTreeMap<String, serde_json::Value>;

/// Reads a document of at most `limit` bytes.
pub(crate) fn read<T: DeserializeOwned>(what: &str, bytes: &[u8], limit: u64) -> Result<T, ImageError> {
    if bytes.len() as u64 > limit {
        return Err(ImageError::TooLarge { what: what.into(), size: bytes.len() as u64, limit });
    }
    let wrong = |source| ImageError::Json { what: what.into(), source };
    serde_json::from_slice::<Distinct>(bytes).map_err(wrong)?;
    serde_json::from_slice(bytes).map_err(wrong)
}

/// Writes a document: no white space, fields in the order of the type, maps in the order of their keys.
pub(crate) fn write<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>, ImageError> {
    serde_json::to_vec(value).map_err(|source| ImageError::Json { what: what.into(), source })
}

/// `null` counts as absent (image-spec, "considerations").
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Fails when an unknown field differs from a known one in case only: Go's JSON reader would take it for the known one.
pub(crate) fn refuse_lookalikes(what: &str, unknown: &Unknown, known: &[&str]) -> Result<(), ImageError> {
    match unknown.keys().find(|key| known.iter().any(|name| folded(name) == folded(key))) {
        Some(key) => Err(ImageError::rule(
            what,
            format!(
                "its field `{}` is spelt in an unusual case, which readers disagree about",
                key.escape_debug()
            ),
        )),
        None => Ok(()),
    }
}

/// A key as Go's reader compares it with the names of fields (`foldName` in encoding/json): besides the letters of ASCII the long s and
/// the sign for kelvin count as `s` and `k`.
fn folded(key: &str) -> String {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    };
    key.chars().map(fold).collect()
}

/// Fields whose value is a map of names that people give, folded.
const NAMED: [&str; 4] = ["annotations", "labels", "volumes", "exposedports"];

/// The field whose value is anything, all the way down.
const ANYTHING: &str = "predicate";

/// Any JSON whose objects have distinct keys; the value itself is dropped.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Keys::Fields.deserialize(deserializer)
    }
}

/// What the keys of an object are, if it is one.
#[derive(Clone, Copy)]
enum Keys {
    /// Names of fields.
    Fields,
    /// Names that people give.
    Free,
    /// The same, below it too.
    AllFree,
}

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Distinct;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Distinct, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys {
    type Value = Distinct;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_str<E>(self, _: &str) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_unit<E>(self) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Distinct, A::Error> {
        let below = if matches!(self, Self::AllFree) { self } else { Self::Fields };
        while seq.next_element_seed(below)?.is_some() {}
        Ok(Distinct)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Distinct, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let (same, below) = match self {
                Self::Fields => {
                    let same = folded(&key);
                    let below = match &*same {
                        ANYTHING => Self::AllFree,
                        name if NAMED.contains(&name) => Self::Free,
                        _ => Self::Fields,
                    };
                    (same, below)
                }
                Self::Free => (key.clone(), Self::Fields),
                Self::AllFree => (key.clone(), Self::AllFree),
            };
            map.next_value_seed(below)?;
            if !seen.insert(same) {
                let problem =
                    format!("the key `{}` is there twice, maybe in another case", key.escape_debug());
                return Err(serde::de::Error::custom(problem));
            }
        }
        Ok(Distinct)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_keys_are_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"b":2,"a":3}}]"#] {
            let error = read::<serde_json::Value>("document", text.as_bytes(), 100).unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains("`a` is there twice"), "{source}");
        }
        // The same keys in different objects are no repetition.
        assert!(read::<serde_json::Value>("document", br#"[{"a":1},{"a":1,"B":2}]"#, 100).is_ok());
    }

    #[test]
    fn keys_that_some_readers_take_for_one_are_refused_but_where_people_give_the_names() {
        let read = |text: &str| read::<serde_json::Value>("document", text.as_bytes(), 200);
        for text in [
            r#"{"config":{"User":"1000","user":"0"}}"#,
            r#"{"platform":{"architecture":"s390x","Architecture":"amd64"}}"#,
            "{\"User\":\"1000\",\"U\u{17f}er\":\"0\"}",
            r#"{"Labels":{"a":{"Size":1,"size":2}}}"#,
            r#"{"Labels":{"a":1,"a":1}}"#,
            r#"{"predicate":{"environment":{"PATH":"1","PATH":"2"}}}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in [
            r#"{"annotations":{"a.B":"1","a.b":"2"}}"#,
            r#"{"config":{"Labels":{"Version":"1","version":"1"},"Volumes":{"/A":{},"/a":{}}}}"#,
            r#"{"ExposedPorts":{"80/tcp":{},"80/TCP":{}}}"#,
            r#"{"predicate":{"environment":{"HTTP_PROXY":"1","http_proxy":"2"}}}"#,
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn long_and_deep_input_is_refused() {
        assert!(matches!(
            read::<serde_json::Value>("document", &[b' '; 11], 10),
            Err(ImageError::TooLarge { size: 11, limit: 10, .. })
        ));
        let deep = "[".repeat(100_000);
        assert!(read::<serde_json::Value>("document", deep.as_bytes(), 1 << 20).is_err());
    }
}
