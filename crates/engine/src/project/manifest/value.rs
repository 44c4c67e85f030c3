//! Small values of a manifest that check themselves while they are read, so that errors carry their place.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use pinfold_base::ImagePath;
use pinfold_base::Platform;
use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Serialize;
use serde::de::Error as _;
use serde::de::MapAccess;
use serde::de::Unexpected;
use serde::de::Visitor;
use serde::de::value::MapAccessDeserializer;

use super::User;

/// What may be written as a text or, with more to say, as a table.
#[derive(Debug)]
pub(crate) enum TextOr<T> {
    /// A text.
    Text(String),
    /// A table. What is wrong in it is told of it, with its place.
    Table(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Forms<T> {
            type Value = TextOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a table")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<TextOr<T>, E> {
                Ok(TextOr::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TextOr<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(TextOr::Table)
            }
        }

        deserializer.deserialize_any(Forms(PhantomData))
    }
}

/// `linux/amd64` or `linux/arm64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlatformName(pub Platform);

impl Serialize for PlatformName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PlatformName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Platform::deserialize(deserializer).map(Self)
    }
}

impl JsonSchema for PlatformName {
    fn schema_name() -> Cow<'static, str> {
        "Platform".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["linux/amd64", "linux/arm64"] })
    }
}

/// Permission bits, written as an octal string: `"0755"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        match u32::from_str_radix(&text, 8) {
            Ok(mode) if octal => Ok(Self(mode)),
            _ => Err(D::Error::custom(format!("mode `{text}` is not an octal number such as \"0755\""))),
        }
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-7]{3,4}$" })
    }
}

/// An absolute path in the image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbsolutePath(pub ImagePath);

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for AbsolutePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for AbsolutePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.starts_with('/') {
            return Err(D::Error::custom(format!("path `{text}` is not absolute: it must begin with `/`")));
        }
        ImagePath::new(&text).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for AbsolutePath {
    fn schema_name() -> Cow<'static, str> {
        "AbsolutePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^/" })
    }
}

/// `root`, `user` (the image's user) or `UID:GID`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// 0:0.
    #[default]
    Root,
    /// The image's user.
    User,
    /// These numbers.
    Ids(u32, u32),
}

impl Owner {
    /// The numbers, in an image with this user.
    pub fn ids(self, user: Option<&User>) -> (u32, u32) {
        match (self, user) {
            (Self::User, Some(user)) => (user.uid, user.gid),
            (Self::Ids(uid, gid), _) => (uid, gid),
            _ => (0, 0),
        }
    }
}

impl Serialize for Owner {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Root => serializer.serialize_str("root"),
            Self::User => serializer.serialize_str("user"),
            Self::Ids(uid, gid) => serializer.collect_str(&format_args!("{uid}:{gid}")),
        }
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let ids = || {
            let (uid, gid) = text.split_once(':')?;
            Some(Self::Ids(uid.parse().ok()?, gid.parse().ok()?))
        };
        match text.as_str() {
            "root" => Ok(Self::Root),
            "user" => Ok(Self::User),
            _ => ids().ok_or_else(|| {
                D::Error::custom(format!("owner `{text}` is none of `root`, `user` and `UID:GID`"))
            }),
        }
    }
}

impl JsonSchema for Owner {
    fn schema_name() -> Cow<'static, str> {
        "Owner".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(root|user|[0-9]+:[0-9]+)$" })
    }
}

/// A span of time: `"0"`, `"12h"`, `"3d"`, `"2w"`. Held in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub u64);

impl Serialize for Age {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}h", self.0 / 3600))
    }
}

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let age = || {
            if text == "0" {
                return Some(0);
            }
            let unit = match text.bytes().last()? {
                b'h' => 3600,
                b'd' => 86_400,
                b'w' => 7 * 86_400,
                _ => return None,
            };
            text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit)
        };
        age().map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "age `{text}` is no span of time such as \"12h\", \"3d\", \"2w\" or \"0\""
            ))
        })
    }
}

impl JsonSchema for Age {
    fn schema_name() -> Cow<'static, str> {
        "Age".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(0|[0-9]+[hdw])$" })
    }
}

/// What happens to set-user-id and set-group-id bits: `"strip"`, `"keep"` or `{ keep = ["/usr/bin/sudo"] }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SetId {
    /// They are taken off, of directories too.
    #[default]
    Strip,
    /// They stay as shipped.
    Keep,
    /// They stay at these paths and are taken off elsewhere.
    Only(BTreeSet<AbsolutePath>),
}

/// The table of [`SetId::Only`].
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Kept {
    keep: BTreeSet<AbsolutePath>,
}

impl Serialize for SetId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Strip => serializer.serialize_str("strip"),
            Self::Keep => serializer.serialize_str("keep"),
            Self::Only(paths) => Kept { keep: paths.clone() }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for SetId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = SetId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`\"strip\"`, `\"keep\"` or `{ keep = [\"/usr/bin/sudo\"] }`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SetId, E> {
                match text {
                    "strip" => Ok(SetId::Strip),
                    "keep" => Ok(SetId::Keep),
                    other => Err(E::invalid_value(Unexpected::Str(other), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SetId, A::Error> {
                Kept::deserialize(MapAccessDeserializer::new(map)).map(|kept| SetId::Only(kept.keep))
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

impl JsonSchema for SetId {
    fn schema_name() -> Cow<'static, str> {
        "SetId".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kept = generator.subschema_for::<Kept>();
        json_schema!({ "anyOf": [{ "type": "string", "enum": ["strip", "keep"] }, kept] })
    }
}

/// What a version counts as whose registry does not say when it was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MissingTime {
    /// As too young, unless `min-age` is 0.
    #[default]
    Refuse,
    /// As old enough; it is told.
    Accept,
}

impl MissingTime {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
