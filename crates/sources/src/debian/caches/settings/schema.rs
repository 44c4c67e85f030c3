//! Schemas of settings: what a `*.gschema.xml` or `*.enums.xml` says, with the rules of `glib-compile-schemas`.
//!
//! **Guarantees**: a file counts as a whole or not at all.
//!
//! **Refuses**: elements and attributes that are not known, names and types that are none, defaults that do not fit, references
//! to what is not yet there.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::gvdb::Item;
use super::gvdb::Table;
use super::markup::Event;
use super::markup::Reader;
use super::text;
use super::variant;
use super::variant::Type;
use super::variant::Value;

/// Longest name of a key.
const MAX_NAME: usize = 1024;
/// Most that a schema extends over others.
const MAX_CHAIN: usize = 32;
/// Most schemas, most keys of one, and most words of an enumeration's names: a hundred times what there is.
const MAX_ENTRIES: usize = 4096;
/// Most words of names that all keys have together: a cache has those of an enumeration with each key that is of it.
const MAX_WORDS: usize = 1 << 20;
/// Said of what goes over it.
const TOO_MANY: Wrong = "it has too many of one kind";

/// Why a file is left out.
type Wrong = &'static str;

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    all: Table<Schema>,
    enums: Table<Rc<Names>>,
    flags: Table<Rc<Names>>,
    /// How many words of names the keys have.
    words: usize,
}

#[derive(Debug, Default)]
struct Schema {
    path: Option<String>,
    domain: Option<String>,
    extends: Option<String>,
    list_of: Option<String>,
    keys: Table<Key>,
}

/// Names with their numbers, as the file has them: for each its number, then 0xff (0xfe for another name of one that is there) and
/// the name, in words of four bytes, the last of which ends in 0xff.
#[derive(Clone, Debug, Default)]
struct Names(Vec<u32>);

impl Names {
    fn words(name: &str, alias: bool) -> Vec<u32> {
        let count = ((name.len() + 6) / 4).max(2);
        let mut bytes = vec![0; count * 4];
        bytes[0] = if alias { 0xfe } else { 0xff };
        bytes[1..=name.len()].copy_from_slice(name.as_bytes());
        bytes[count * 4 - 1] = 0xff;
        bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()
    }

    /// Where the number of a name is.
    fn find(&self, name: &str, alias: bool) -> Option<usize> {
        let wanted = Self::words(name, alias);
        let mut at = 0;
        while at < self.0.len() {
            let length = 1 + self.0[at + 1..].iter().position(|word| word >> 24 == 0xff)?;
            if self.0[at + 1..=at + length] == wanted {
                return Some(at);
            }
            at += length + 1;
        }
        None
    }

    fn has_number(&self, number: u32) -> bool {
        let mut at = 0;
        while let Some(&found) = self.0.get(at) {
            if found == number {
                return true;
            }
            let Some(length) = self.0[at + 1..].iter().position(|word| word >> 24 == 0xff) else {
                return false;
            };
            at += length + 2;
        }
        false
    }

    fn contains(&self, name: &str) -> bool {
        self.find(name, false).is_some() || self.find(name, true).is_some()
    }

    fn push(&mut self, name: &str, number: u32) {
        self.0.push(number);
        self.0.extend(Self::words(name, false));
    }

    fn push_alias(&mut self, name: &str, target: &str) -> Result<(), Wrong> {
        let target = self.find(target, false).ok_or("a name stands for one that is not there")?;
        self.0.push(target as u32);
        self.0.extend(Self::words(name, true));
        Ok(())
    }

    /// Whether all texts in a value are among the names.
    fn allow(&self, value: &Value) -> bool {
        match value {
            Value::Text(text) => self.find(text, false).is_some(),
            Value::Array(values) => values.iter().all(|value| self.allow(value)),
            Value::Maybe(inner) => inner.as_deref().is_none_or(|value| self.allow(value)),
            _ => false,
        }
    }
}

#[derive(Debug)]
enum Key {
    /// A schema below this one.
    Child(String),
    Setting(Box<Setting>),
}

#[derive(Debug)]
struct Setting {
    of: Type,
    /// `c` for choices, `e` for a name of an enumeration, `f` for flags.
    kind: u8,
    /// Those of an enumeration are shared by all keys that are of it.
    names: Rc<Names>,
    has_choices: bool,
    has_aliases: bool,
    is_override: bool,
    /// Category and context.
    l10n: Option<(u8, Option<String>)>,
    written: String,
    default: Option<Value>,
    range: Option<[Value; 2]>,
    desktops: Table<Value>,
}

impl Setting {
    fn new(of: Type, kind: u8, names: Rc<Names>) -> Self {
        Self {
            of,
            kind,
            names,
            has_choices: false,
            has_aliases: false,
            is_override: false,
            l10n: None,
            written: String::new(),
            default: None,
            range: None,
            desktops: Table::default(),
        }
    }

    fn overriding(&self) -> Self {
        let mut copy = Self::new(self.of.clone(), self.kind, self.names.clone());
        (copy.is_override, copy.range) = (true, self.range.clone());
        copy
    }

    /// Whether a value is in the range, or among the choices.
    fn allows(&self, value: &Value) -> bool {
        match &self.range {
            Some([least, most]) => at_most(least, value) && at_most(value, most),
            None => self.names.0.is_empty() || self.names.allow(value),
        }
    }

    fn check(&self) -> Result<(), Wrong> {
        match &self.default {
            Some(value) if !self.allows(value) => Err("a default is not in its range or among its choices"),
            _ => Ok(()),
        }
    }

    fn set_range(&mut self, least: Option<&str>, most: Option<&str>) -> Result<(), Wrong> {
        let Type::Basic(basic) = self.of else { return Err("a range is given for what has none") };
        let whole = match basic {
            b'y' => ["0", "255"],
            b'n' => ["-32768", "32767"],
            b'q' => ["0", "65535"],
            b'i' => ["-2147483648", "2147483647"],
            b'u' => ["0", "4294967295"],
            b'x' => ["-9223372036854775808", "9223372036854775807"],
            b't' => ["0", "18446744073709551615"],
            b'd' => ["-inf", "inf"],
            _ => return Err("a range is given for what has none"),
        };
        let value = |given: Option<&str>, whole| {
            text::parse(&self.of, given.unwrap_or(whole)).ok_or("a range is none")
        };
        let (least, most) = (value(least, whole[0])?, value(most, whole[1])?);
        if self.range.is_some() || !at_most(&least, &most) {
            return Err("a range is none");
        }
        self.range = Some([least, most]);
        self.check()
    }

    fn start_default(
        &mut self,
        domain: bool,
        l10n: Option<&str>,
        context: Option<&str>,
    ) -> Result<(), Wrong> {
        let category = match l10n {
            Some("messages") => b'm',
            Some("time") => b't',
            None if context.is_none() => return Ok(()),
            _ => return Err("a default is translated in a way that is not known"),
        };
        if !domain {
            return Err("a default is translated without a domain");
        }
        self.l10n = Some((category, context.map(str::to_owned)));
        Ok(())
    }

    fn end_default(&mut self, written: String) -> Result<(), Wrong> {
        let value = text::parse(&self.of, &written).ok_or("a default does not fit its type")?;
        (self.written, self.default) = (written, Some(value));
        self.check()
    }

    /// The default, and what more there is to say.
    fn bytes(&self) -> Vec<u8> {
        let basic = |of: &str| Type::read(of).unwrap_or(Type::Tuple(Vec::new()));
        let letter = |letter: u8| Value::Integer(letter.into());
        let mut parts = vec![self.of.clone()];
        let mut values = vec![self.default.clone().unwrap_or(Value::Boolean(false))];
        if let Some((category, context)) = &self.l10n {
            let written = self.written.trim_matches([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']);
            let message = match context {
                Some(context) => format!("{context}\u{4}{written}"),
                None => written.to_owned(),
            };
            parts.push(basic("(y(ys))"));
            values.push(Value::Tuple(vec![
                letter(b'l'),
                Value::Tuple(vec![letter(*category), Value::Text(message)]),
            ]));
        }
        if !self.names.0.is_empty() {
            let words = self.names.0.iter().map(|&word| Value::Integer(word.into())).collect();
            parts.push(basic("(yau)"));
            values.push(Value::Tuple(vec![letter(self.kind), Value::Array(words)]));
        }
        if let Some([least, most]) = &self.range {
            let pair = Type::Tuple(vec![self.of.clone(), self.of.clone()]);
            parts.push(Type::Tuple(vec![Type::Basic(b'y'), pair]));
            values.push(Value::Tuple(vec![letter(b'r'), Value::Tuple(vec![least.clone(), most.clone()])]));
        }
        if self.desktops.len() > 0 {
            let entry = |(desktop, value): (&str, &Value)| {
                let value = Value::Variant(Box::new((self.of.clone(), value.clone())));
                Value::Tuple(vec![Value::Text(desktop.to_owned()), value])
            };
            parts.push(basic("(ya{sv})"));
            values.push(Value::Tuple(vec![
                letter(b'd'),
                Value::Array(self.desktops.iter().map(entry).collect()),
            ]));
        }
        variant::boxed(&Type::Tuple(parts), &Value::Tuple(values))
    }
}

/// Whether a number is not larger than another.
fn at_most(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Integer(one), Value::Integer(two)) => one <= two,
        (Value::Double(one), Value::Double(two)) => one <= two,
        _ => false,
    }
}

/// Where the reader is, and what it has begun.
#[derive(Default)]
struct Open {
    list_domain: Option<String>,
    schema: Option<String>,
    key: Option<String>,
    names: Option<(bool, String)>,
    /// Text that is waited for.
    text: Option<String>,
    /// What this file has brought.
    schemas: BTreeSet<String>,
    named: Vec<(bool, String)>,
}

impl Schemas {
    /// Reads a file; one that is wrong leaves nothing behind.
    pub(super) fn read(&mut self, text: &str) -> Result<(), Wrong> {
        let mut open = Open::default();
        let result = self.document(text, &mut open);
        if result.is_err() {
            self.all.remove(&open.schemas);
            for flags in [false, true] {
                let names = open.named.iter().filter(|named| named.0 == flags);
                let names: BTreeSet<String> = names.map(|named| named.1.clone()).collect();
                if flags { self.flags.remove(&names) } else { self.enums.remove(&names) }
            }
        }
        result
    }

    fn document(&mut self, text: &str, open: &mut Open) -> Result<(), Wrong> {
        const BROKEN: Wrong = "it is no well-formed XML";
        let mut reader = Reader::new(text);
        // Names with a colon are of other languages.
        let mut foreign = 0_usize;
        while let Some(event) = reader.next().map_err(|_| BROKEN)? {
            match event {
                Event::Start(name, _) if foreign > 0 || name.contains(':') => foreign += 1,
                Event::End(_) if foreign > 0 => foreign -= 1,
                Event::Text(_) if foreign > 0 => {}
                Event::Start(name, attributes) => {
                    let path = reader.open();
                    let container = path.len().checked_sub(2).map(|at| path[at]);
                    self.start(open, container, name, &attributes)?;
                }
                Event::End(name) => self.end(open, name)?,
                Event::Text(found) => match &mut open.text {
                    Some(text) => text.push_str(&found),
                    None if found.bytes().all(|byte| byte.is_ascii_whitespace() || byte == 0xb) => {}
                    None => return Err("there is text where none may be"),
                },
            }
        }
        Ok(())
    }

    fn start(
        &mut self,
        open: &mut Open,
        container: Option<&str>,
        name: &str,
        attributes: &[(&str, String)],
    ) -> Result<(), Wrong> {
        let known: &[&str] = match (container, name) {
            (None, "schemalist") => &["gettext-domain"],
            (Some("schemalist"), "schema") => &["id", "path", "gettext-domain", "extends", "list-of"],
            (Some("schemalist"), "enum" | "flags") => &["id"],
            (Some("schema"), "key") => &["name", "type", "enum", "flags"],
            (Some("schema"), "child") => &["name", "schema"],
            (Some("schema"), "override") => &["name", "l10n", "context"],
            (Some("key"), "default") => &["l10n", "context"],
            (Some("key"), "summary" | "description" | "choices" | "aliases") => &[],
            (Some("key"), "range") => &["min", "max"],
            (Some("choices"), "choice") => &["value"],
            (Some("aliases"), "alias") => &["value", "target"],
            (Some("enum" | "flags"), "value") => &["nick", "value"],
            _ => return Err("it has an element where none of its name may be"),
        };
        let given =
            |name: &str| attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value);
        if attributes.iter().any(|(name, _)| !known.contains(name) && !name.contains(':')) {
            return Err("it has an attribute that is not known");
        }
        let needed = |name| given(name).ok_or("an attribute is missing");
        match name {
            "schemalist" => open.list_domain = given("gettext-domain").map(str::to_owned),
            "schema" => self.start_schema(open, needed("id")?, &given)?,
            "enum" | "flags" => {
                let flags = name == "flags";
                let table = if flags { &mut self.flags } else { &mut self.enums };
                let id = needed("id")?;
                if table.len() >= MAX_ENTRIES {
                    return Err(TOO_MANY);
                }
                if table.get(id).is_some() {
                    return Err("an enumeration is there already");
                }
                table.insert(id, Rc::default());
                open.named.push((flags, id.to_owned()));
                open.names = Some((flags, id.to_owned()));
            }
            "value" => self.number(open, needed("nick")?, needed("value")?)?,
            "key" => {
                let id = needed("name")?;
                let setting = self.new_key(open, id, [given("type"), given("enum"), given("flags")])?;
                let schema = self.schema(open)?;
                schema.keys.insert(id, Key::Setting(Box::new(setting)));
                open.key = Some(id.to_owned());
            }
            "child" => {
                let id = needed("name")?;
                check_name(id)?;
                let (id, target) = (format!("{id}/"), needed("schema")?.to_owned());
                let schema = self.schema(open)?;
                if schema.keys.get(&id).is_some() {
                    return Err("a child is there already");
                }
                schema.keys.insert(&id, Key::Child(target));
            }
            "override" => {
                let id = needed("name")?;
                let mut setting = self.overridden(open, id)?;
                let schema = self.schema(open)?;
                setting.start_default(schema.domain.is_some(), given("l10n"), given("context"))?;
                schema.keys.insert(id, Key::Setting(Box::new(setting)));
                (open.key, open.text) = (Some(id.to_owned()), Some(String::new()));
            }
            "default" => {
                let domain = self.schema(open)?.domain.is_some();
                self.setting(open)?.start_default(domain, given("l10n"), given("context"))?;
                open.text = Some(String::new());
            }
            "range" => self.setting(open)?.set_range(given("min"), given("max"))?,
            "choices" => {
                let setting = self.setting(open)?;
                let mut of = &setting.of;
                while let Type::Array(inner) | Type::Maybe(inner) = of {
                    of = inner;
                }
                if setting.kind == b'e' || setting.has_choices || *of != Type::Basic(b's') {
                    return Err("choices are given for what has none");
                }
            }
            "choice" => {
                let (setting, value) = (self.setting(open)?, needed("value")?);
                if setting.names.0.len() > MAX_ENTRIES {
                    return Err(TOO_MANY);
                }
                if setting.names.contains(value) {
                    return Err("a choice is there already");
                }
                Rc::make_mut(&mut setting.names).push(value, 0);
                setting.has_choices = true;
            }
            "aliases" => {
                let setting = self.setting(open)?;
                if setting.has_aliases || setting.kind == b'c' && !setting.has_choices {
                    return Err("aliases are given for what has none");
                }
            }
            "alias" => {
                let (setting, value) = (self.setting(open)?, needed("value")?);
                if setting.names.contains(value) {
                    return Err("an alias is there already");
                }
                Rc::make_mut(&mut setting.names).push_alias(value, needed("target")?)?;
                setting.has_aliases = true;
            }
            _ => open.text = Some(String::new()),
        }
        Ok(())
    }

    fn end(&mut self, open: &mut Open, name: &str) -> Result<(), Wrong> {
        match name {
            "schemalist" => open.list_domain = None,
            "enum" | "flags" => {
                if let Some((flags, id)) = open.names.take() {
                    let table = if flags { &self.flags } else { &self.enums };
                    if table.get(&id).is_none_or(|names| names.0.is_empty()) {
                        return Err("an enumeration is empty");
                    }
                }
            }
            "schema" => open.schema = None,
            "override" | "default" => {
                let text = open.text.take().unwrap_or_default();
                self.setting(open)?.end_default(text)?;
                if name == "override" {
                    open.key = None;
                }
            }
            "key" => {
                if self.setting(open)?.default.is_none() {
                    return Err("a key has no default");
                }
                open.key = None;
            }
            "choices" => {
                let setting = self.setting(open)?;
                if !setting.has_choices {
                    return Err("choices are empty");
                }
                setting.check()?;
            }
            "aliases" if !self.setting(open)?.has_aliases => return Err("aliases are empty"),
            _ => {}
        }
        open.text = None;
        Ok(())
    }

    fn schema(&mut self, open: &Open) -> Result<&mut Schema, Wrong> {
        let id = open.schema.as_deref().unwrap_or_default();
        let schema = self.all.get_mut(id).ok_or("a key is in no schema")?;
        if schema.keys.len() > MAX_ENTRIES { Err(TOO_MANY) } else { Ok(schema) }
    }

    fn setting(&mut self, open: &Open) -> Result<&mut Setting, Wrong> {
        let id = open.key.clone().unwrap_or_default();
        match self.schema(open)?.keys.get_mut(&id) {
            Some(Key::Setting(setting)) => Ok(setting),
            _ => Err("a default is in no key"),
        }
    }

    fn start_schema<'a>(
        &mut self,
        open: &mut Open,
        id: &str,
        given: &dyn Fn(&str) -> Option<&'a str>,
    ) -> Result<(), Wrong> {
        const MISSING: Wrong = "a schema builds on one that is not there";
        if self.all.len() >= MAX_ENTRIES {
            return Err(TOO_MANY);
        }
        if self.all.get(id).is_some() {
            return Err("a schema is there already");
        }
        let path = given("path");
        let mut list_of = given("list-of").map(str::to_owned);
        if let Some(of) = &list_of
            && self.all.get(of).ok_or(MISSING)?.path.is_some()
        {
            return Err("a list is of a schema with a path");
        }
        if let Some(extends) = given("extends") {
            let base = self.all.get(extends).ok_or(MISSING)?;
            if base.path.is_some() || self.chain(extends).count() >= MAX_CHAIN {
                return Err("a schema extends one that cannot be extended");
            }
            match (&list_of, &base.list_of) {
                (Some(of), Some(base)) if self.chain(of).any(|(id, _)| id == *base) => {}
                (Some(_), _) => return Err("a list extends what is no list of its kind"),
                (None, base) => list_of.clone_from(base),
            }
        }
        if path.is_some_and(|path| {
            !path.starts_with('/') || !path.ends_with('/') || list_of.is_some() && !path.ends_with(":/")
        }) {
            return Err("a path is none");
        }
        let schema = Schema {
            path: path.map(str::to_owned),
            domain: given("gettext-domain").map(str::to_owned).or_else(|| open.list_domain.clone()),
            extends: given("extends").map(str::to_owned),
            list_of,
            keys: Table::default(),
        };
        self.all.insert(id, schema);
        open.schemas.insert(id.to_owned());
        open.schema = Some(id.to_owned());
        Ok(())
    }

    /// A schema and all that it extends.
    fn chain(&self, id: &str) -> impl Iterator<Item = (String, &Schema)> {
        let first = self.all.get(id).map(|schema| (id.to_owned(), schema));
        std::iter::successors(first, |(_, schema)| {
            let id = schema.extends.as_ref()?;
            Some((id.clone(), self.all.get(id)?))
        })
    }

    fn number(&mut self, open: &Open, nick: &str, value: &str) -> Result<(), Wrong> {
        let (flags, id) = open.names.clone().ok_or("a value is in no enumeration")?;
        let of = if flags { "u" } else { "i" };
        let wrong = "a value of an enumeration is none";
        let value = match Type::read(of).and_then(|of| text::parse(&of, value)) {
            // Negative ones as their two's complement.
            Some(Value::Integer(value)) => {
                let bytes = value.to_le_bytes();
                u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
            }
            _ => return Err(wrong),
        };
        let table = if flags { &mut self.flags } else { &mut self.enums };
        let names = table.get_mut(&id).ok_or(wrong)?;
        if names.0.len() > MAX_ENTRIES {
            return Err(TOO_MANY);
        }
        if nick.len() < 2 || nick.len() > MAX_NAME || names.contains(nick) || names.has_number(value) {
            return Err(wrong);
        }
        if flags && value == 0 {
            return Ok(());
        }
        if flags && !value.is_power_of_two() {
            return Err(wrong);
        }
        Rc::make_mut(names).push(nick, value);
        Ok(())
    }

    fn new_key(&mut self, open: &Open, id: &str, kinds: [Option<&str>; 3]) -> Result<Setting, Wrong> {
        check_name(id)?;
        let schema = self.schema(open)?;
        if schema.list_of.is_some() || schema.keys.get(id).is_some() {
            return Err("a key is where it may not be");
        }
        let own = open.schema.clone().unwrap_or_default();
        for (_, base) in self.chain(&own).skip(1) {
            if matches!(base.keys.get(id), Some(Key::Setting(setting)) if !setting.is_override) {
                return Err("a key hides one of a schema that is extended");
            }
        }
        let named =
            |table: &Table<Rc<Names>>, id: &str| table.get(id).cloned().ok_or("an enumeration is not there");
        let of = |text: &str| Type::read(text).ok_or("a type is none");
        let setting = match kinds {
            [Some(text), None, None] => Setting::new(of(text)?, b'c', Rc::default()),
            [None, Some(id), None] => Setting::new(of("s")?, b'e', named(&self.enums, id)?),
            [None, None, Some(id)] => Setting::new(of("as")?, b'f', named(&self.flags, id)?),
            _ => return Err("a key has not one type"),
        };
        self.counted(setting)
    }

    /// A key that has its names from elsewhere.
    fn counted(&mut self, setting: Setting) -> Result<Setting, Wrong> {
        self.words += setting.names.0.len();
        if self.words > MAX_WORDS { Err(TOO_MANY) } else { Ok(setting) }
    }

    fn overridden(&mut self, open: &Open, id: &str) -> Result<Setting, Wrong> {
        if self.schema(open)?.keys.get(id).is_some() {
            return Err("an override is there already");
        }
        let own = open.schema.clone().unwrap_or_default();
        let of = self.chain(&own).skip(1).find_map(|(_, base)| match base.keys.get(id) {
            Some(Key::Setting(setting)) => Some(setting.overriding()),
            _ => None,
        });
        self.counted(of.ok_or("an override is of nothing")?)
    }

    /// Another default for a key, for all desktops or for one. What is not there, or does not fit, is left out.
    pub(super) fn set(&mut self, schema: &str, desktop: Option<&str>, key: &str, text: &str) {
        let Some(Key::Setting(setting)) =
            self.all.get_mut(schema).and_then(|schema| schema.keys.get_mut(key))
        else {
            return;
        };
        let Some(value) = text::parse(&setting.of, text).filter(|value| setting.allows(value)) else {
            return;
        };
        match desktop {
            None => setting.default = Some(value),
            // There is one translation of a default.
            Some(_) if setting.l10n.is_some() => {}
            Some(desktop) => match setting.desktops.get_mut(desktop) {
                Some(known) => *known = value,
                None => setting.desktops.insert(desktop, value),
            },
        }
    }

    /// All schemas as a table of GVDB.
    pub(super) fn table(&self) -> Table<Item> {
        let text = |text: &str| variant::boxed(&Type::Basic(b's'), &Value::Text(text.to_owned()));
        let mut all = Table::default();
        all.insert("", Item::Root);
        for (id, schema) in self.all.iter() {
            let mut table = Table::default();
            table.insert("", Item::Root);
            let mut translated = false;
            for (name, key) in schema.keys.iter() {
                let bytes = match key {
                    Key::Child(id) => text(id),
                    Key::Setting(setting) => {
                        translated |= setting.l10n.is_some();
                        setting.bytes()
                    }
                };
                table.insert(name, Item::Value(bytes, true));
            }
            let more = [
                (".path", &schema.path),
                (".extends", &schema.extends),
                (".list-of", &schema.list_of),
                (".gettext-domain", if translated { &schema.domain } else { &None }),
            ];
            for (name, value) in more {
                if let Some(value) = value {
                    table.insert(name, Item::Value(text(value), false));
                }
            }
            all.insert(id, Item::Table(table));
        }
        all
    }
}

fn check_name(name: &str) -> Result<(), Wrong> {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.contains("--")
        && !name.ends_with('-')
        && name.len() <= MAX_NAME;
    if good { Ok(()) } else { Err("a name is none") }
}
