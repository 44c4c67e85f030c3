//! debconf's questions: templates, answers, flags, variables and owners, as its database keeps them.
//!
//! **Guarantees**: what a question of the kind `password` was ever answered is not in what [`Questions::hide`] gives back. The
//! answers of the manifest are there from the moment on at which a question is.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Errno;
use super::Fuel;
use crate::debian::stanza;
use crate::debian::stanza::Form;
use crate::debian::stanza::StanzaError;

/// What a text that stays costs beside itself.
const KEPT_BYTES: usize = 64;
/// Asks whether a package's database is to be made, for which no server can be asked: the answer is no, where none is given.
pub(in crate::debian::script) const DATABASE: &str = "dbconfig-common/dbconfig-install";
/// What stands for a secret.
const HIDDEN: &str = "***";

/// A template of a question, as its package has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::debian) struct Template {
    /// Its name, which is that of its question too.
    pub(in crate::debian) name: String,
    /// Fields by their names in small letters; `extended_description` is what follows the first line. Translations are left out.
    pub(in crate::debian) fields: BTreeMap<String, String>,
}

impl Template {
    /// The templates of a file.
    pub(in crate::debian) fn read(text: &[u8]) -> Result<Vec<Self>, StanzaError> {
        let mut all = Vec::new();
        for stanza in stanza::stanzas(text, Form::Handwritten) {
            let stanza = stanza?;
            let name = stanza.require("Template")?.to_owned();
            stanza.require("Type")?;
            let mut fields = BTreeMap::new();
            for field in stanza.fields() {
                let lower = field.name.to_ascii_lowercase();
                if lower == "template" || is_translation(&lower) {
                    continue;
                }
                stanza.text(field.name)?;
                let value = String::from_utf8_lossy(field.value);
                let mut lines = value.split('\n');
                let first = lines.next().unwrap_or_default().trim_ascii_end().to_owned();
                let extended = extended(lines);
                if !extended.is_empty() {
                    fields.insert(format!("extended_{lower}"), extended);
                }
                fields.insert(lower, first);
            }
            all.push(Self { name, fields });
        }
        Ok(all)
    }

    /// What it has of memory, in bytes.
    pub(in crate::debian) fn size(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len() + KEPT_BYTES);
        self.name.len() + KEPT_BYTES + fields.sum::<usize>()
    }

    /// A field in English.
    pub(in crate::debian) fn field(&self, name: &str) -> &str {
        let english = format!("{name}-en");
        let encoded = format!("{english}.");
        let coded = self.fields.range(encoded.clone()..).next().filter(|(key, _)| key.starts_with(&encoded));
        let plain = || self.fields.get(name.split('-').next().unwrap_or_default());
        let found = self.fields.get(&english).or(coded.map(|(_, value)| value));
        found.or_else(|| self.fields.get(name)).or_else(plain).map_or("", String::as_str)
    }

    /// The choices that are compared with a value: those of `C` where there are some.
    fn untranslated_choices(&self) -> &str {
        self.fields.get("choices-c").or_else(|| self.fields.get("choices")).map_or("", String::as_str)
    }
}

/// Whether a field is for another language than English.
pub(in crate::debian::script) fn is_translation(field: &str) -> bool {
    field
        .split_once('-')
        .is_some_and(|(_, language)| !matches!(language.split('.').next().unwrap_or_default(), "c" | "en"))
}

/// The lines behind the first, filled as debconf fills them.
fn extended<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let bit = line.get(1..).unwrap_or_default();
        let wide = bit.starts_with([' ', '\t']);
        if bit == "." {
            text.push_str("\n\n");
            continue;
        }
        if !text.is_empty() && !text.ends_with(['\n', ' ']) {
            text.push(if wide { '\n' } else { ' ' });
        }
        text.push_str(bit.trim_ascii_end());
        if wide {
            text.push('\n');
        }
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

/// A list as debconf splits it: at a comma and blanks; a backslash takes a comma or a blank as it is.
pub(in crate::debian) fn split(list: &str) -> Vec<String> {
    let (mut items, mut item) = (Vec::new(), String::new());
    let mut rest = list;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        match (letter, rest.chars().next()) {
            ('\\', Some(next @ (',' | ' '))) => {
                item.push(next);
                rest = &rest[1..];
            }
            (',', Some(next)) if next.is_ascii_whitespace() => {
                items.push(std::mem::take(&mut item));
                rest = rest.trim_ascii_start();
            }
            _ => item.push(letter),
        }
    }
    if !item.is_empty() {
        items.push(item);
    }
    items
}

/// A question.
#[derive(Clone, Debug, Default)]
pub(in crate::debian::script) struct Question {
    /// The name of its template.
    pub(in crate::debian::script) template: String,
    /// Its answer; the template's default where it has none.
    pub(in crate::debian::script) value: Option<String>,
    /// Flags that were set; the others are `false`.
    pub(in crate::debian::script) flags: BTreeMap<String, String>,
    /// What `${NAME}` stands for in the texts of its template.
    pub(in crate::debian::script) variables: BTreeMap<String, String>,
    /// The packages that have it; without any it is gone.
    pub(in crate::debian::script) owners: BTreeSet<String>,
    /// How important it was when it was last asked.
    pub(in crate::debian::script) priority: String,
}

/// All questions, and the answers of the manifest.
#[derive(Clone, Debug, Default)]
pub(in crate::debian) struct Questions {
    /// Templates by name.
    pub(in crate::debian::script) templates: BTreeMap<String, Template>,
    /// Questions by name.
    pub(in crate::debian::script) all: BTreeMap<String, Question>,
    given: BTreeMap<String, String>,
    secrets: BTreeSet<String>,
    /// Packages whose templates are loaded.
    loaded: BTreeSet<String>,
}

impl Questions {
    /// Answers for questions that are there later.
    pub(in crate::debian) fn give(&mut self, question: &str, answer: String) {
        self.given.insert(question.to_owned(), answer);
    }

    /// Whether the templates of a package are there.
    pub(in crate::debian) fn has_loaded(&self, package: &str) -> bool {
        self.loaded.contains(package)
    }

    /// The templates of a package and a question for each.
    pub(in crate::debian) fn load(&mut self, package: &str, templates: Vec<Template>) {
        self.loaded.insert(package.to_owned());
        for template in templates {
            let name = template.name.clone();
            self.templates.insert(name.clone(), template);
            self.register(&name, &name, package);
        }
    }

    /// A question that has this template; whose it is one more.
    pub(in crate::debian::script) fn register(&mut self, template: &str, name: &str, owner: &str) {
        let is_new = !self.all.contains_key(name);
        let question = self.all.entry(name.to_owned()).or_default();
        template.clone_into(&mut question.template);
        question.owners.insert(owner.to_owned());
        if is_new && let Some(answer) = self.given.get(name).cloned() {
            question.flags.insert("seen".into(), "true".into());
            self.set(name, answer);
        } else if is_new && template == DATABASE {
            self.set(name, "false".into());
        }
    }

    /// Takes a question from its owner. Without owners it goes, and with the last question its template.
    pub(in crate::debian::script) fn unregister(&mut self, name: &str, owner: &str) {
        let Some(question) = self.all.get_mut(name) else { return };
        question.owners.remove(owner);
        if question.owners.is_empty() {
            let template = std::mem::take(&mut question.template);
            self.all.remove(name);
            if self.all.values().all(|other| other.template != template) {
                self.templates.remove(&template);
            }
        }
    }

    /// The template of a question that is there.
    pub(in crate::debian::script) fn template_of(&self, question: &str) -> Option<&Template> {
        self.templates.get(&self.all.get(question)?.template)
    }

    /// The kind of a question.
    pub(in crate::debian::script) fn kind(&self, question: &str) -> &str {
        self.template_of(question).map_or("", |template| template.field("type"))
    }

    /// The value of a question, or its default.
    pub(in crate::debian::script) fn value(&self, question: &str) -> &str {
        let set = self.all.get(question).and_then(|question| question.value.as_deref());
        set.unwrap_or_else(|| self.template_of(question).map_or("", |template| template.field("default")))
    }

    /// Answers a question.
    pub(in crate::debian::script) fn set(&mut self, question: &str, value: String) {
        if self.kind(question) == "password" && !value.is_empty() {
            self.secrets.insert(value.clone());
        }
        if let Some(question) = self.all.get_mut(question) {
            question.value = Some(value);
        }
    }

    /// A flag; `isdefault` is the contrary of `seen`.
    pub(in crate::debian::script) fn flag(&self, question: &str, flag: &str) -> String {
        let of = |flag| self.all.get(question).and_then(|question| question.flags.get(flag)).cloned();
        match flag {
            "isdefault" => (of("seen").as_deref() != Some("true")).to_string(),
            _ => of(flag).unwrap_or_else(|| "false".into()),
        }
    }

    /// Sets a flag.
    pub(in crate::debian::script) fn set_flag(&mut self, question: &str, flag: &str, value: &str) {
        let Some(question) = self.all.get_mut(question) else { return };
        let (flag, value) = match flag {
            "isdefault" => ("seen", if value == "true" { "false" } else { "true" }),
            _ => (flag, value),
        };
        question.flags.insert(flag.to_owned(), value.to_owned());
    }

    /// The choices of a question that its value is one of.
    pub(in crate::debian::script) fn choices(
        &self,
        question: &str,
        fuel: &Fuel,
    ) -> Result<Vec<String>, Errno> {
        let text = self.template_of(question).map_or("", Template::untranslated_choices);
        let text = self.expanded(question, text, fuel)?;
        fuel.spend_bytes(2 * text.len())?;
        Ok(split(&text))
    }

    /// A text of a template with the question's variables in it.
    pub(in crate::debian::script) fn expanded(
        &self,
        question: &str,
        text: &str,
        fuel: &Fuel,
    ) -> Result<String, Errno> {
        fuel.spend_bytes(text.len())?;
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let name = rest[at + 2..].split(['{', '}']).next().unwrap_or_default();
            if name.is_empty() || !rest[at + 2 + name.len()..].starts_with('}') {
                out.push_str(&rest[..at + 2]);
                rest = &rest[at + 2..];
                continue;
            }
            let before = &rest[..at];
            let value = self.all.get(question).and_then(|question| question.variables.get(name));
            if let Some(before) = before.strip_suffix('\\') {
                out.push_str(before);
                out.push_str(&rest[at..=at + 2 + name.len()]);
            } else {
                let value = value.map_or("", String::as_str);
                fuel.spend_bytes(value.len())?;
                out.push_str(before);
                out.push_str(value);
            }
            rest = &rest[at + 3 + name.len()..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// How many answers are secret.
    pub(in crate::debian::script) fn secrets(&self) -> usize {
        self.secrets.len()
    }

    /// Takes out of an error or a note what a password question was answered.
    pub(in crate::debian) fn hide(&self, mut said: String) -> String {
        // Longer ones first: one may be the beginning of another.
        let mut secrets: Vec<&String> = self.secrets.iter().collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            let forms = [
                secret.clone(),
                secret.escape_debug().to_string(),
                secret.as_bytes().escape_ascii().to_string(),
            ];
            for form in forms {
                if said.contains(&form) {
                    said = said.replace(&form, HIDDEN);
                }
            }
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_however_it_is_written() {
        let mut questions = Questions::default();
        let templates = Template::read(b"Template: x/pw\nType: password\n\nTemplate: x/name\nType: string\n");
        questions.give("x/pw", "gehei\u{e4}m".into());
        questions.give("x/name", "public".into());
        questions.load("x", templates.unwrap());
        questions.set("x/pw", "geheim".into());
        questions.set("x/pw", String::new());
        for (said, shown) in [
            ("slappasswd -s geheim", "slappasswd -s ***"),
            ("-s gehei\\xc3\\xa4m public", "-s *** public"),
            ("a public b", "a public b"),
        ] {
            assert_eq!(questions.hide(said.into()), shown);
        }
    }
}
