//! JSON as images use it: read with a size limit and without repeated keys, written compactly in a fixed order.
//!
//! **Guarantees**: equal values give equal bytes; no input makes it panic (nesting deeper than serde_json's 128 is refused).
//! **Refuses**: an object that has one key twice, because readers disagree which of the two counts.

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
    match unknown.keys().find(|key| known.iter().any(|name| name.eq_ignore_ascii_case(key))) {
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

/// Any JSON whose objects have distinct keys; the value itself is dropped.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DistinctSeed.deserialize(deserializer)
    }
}

struct DistinctSeed;

impl<'de> DeserializeSeed<'de> for DistinctSeed {
    type Value = Distinct;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Distinct, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DistinctSeed {
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
        while seq.next_element::<Distinct>()?.is_some() {}
        Ok(Distinct)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Distinct, A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<Distinct>()?;
            if let Some(key) = seen.replace(key) {
                return Err(serde::de::Error::custom(format!(
                    "the key `{}` is there twice",
                    key.escape_debug()
                )));
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
        assert!(read::<serde_json::Value>("document", br#"[{"a":1},{"a":1,"A":2}]"#, 100).is_ok());
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
