//! What of an image's documents may be printed: where a secret stands, its kind is told instead, `<a key of Anthropic>`.
//!
//! **Guarantees**: what is left holds nothing that the rules of this room know. A value is hidden whole; of a text (a command, a step of
//! history) the words are, and all of it where a secret is more than a word.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use pinfold_base::ImagePath;
use pinfold_image::inspect::ImageSummary;
use pinfold_image::inspect::PlatformSummary;
use pinfold_image::model::RuntimeSection;
use serde_json::Value;

use super::Scanner;
use super::pairs;

fn scanner() -> &'static Scanner {
    static SCANNER: OnceLock<Scanner> = OnceLock::new();
    SCANNER.get_or_init(Scanner::new)
}

/// A value with its name: a variable, a label, an annotation.
pub fn value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    match pairs::variable(scanner(), name, value) {
        Some(what) => Cow::Owned(told(what)),
        None => text(value),
    }
}

/// A text: a command, a step of history, a name.
pub fn text(text: &str) -> Cow<'_, str> {
    let judge = |text: &str| pairs::text(scanner(), "", text);
    let Some(what) = judge(text) else { return Cow::Borrowed(text) };
    let words = text.split_inclusive(pairs::is_between).map(|word| {
        let (bare, end) = match word.char_indices().next_back() {
            Some((at, last)) if pairs::is_between(last) => word.split_at(at),
            _ => (word, ""),
        };
        let hidden = judge(bare).map(|what| {
            let name = bare.split_once('=').map(|(name, _)| name).filter(|name| judge(name).is_none());
            format!("{}{}", name.map(|name| format!("{name}=")).unwrap_or_default(), told(what))
        });
        hidden.unwrap_or_else(|| bare.to_owned()) + end
    });
    let hidden: String = words.collect();
    // A key of several words, or a word that is one beside another.
    Cow::Owned(if hidden == text || judge(&hidden).is_some() || is_of_several(what) {
        told(what)
    } else {
        hidden
    })
}

/// What was found, where paths are among the words: name by name.
pub fn names(found: &str) -> String {
    found.split('/').map(text).collect::<Vec<_>>().join("/")
}

/// A path, name by name.
pub fn path(path: &ImagePath) -> String {
    names(&path.to_string())
}

/// Whether a secret is told by one word, and is another.
fn is_of_several(what: &str) -> bool {
    what.contains("AWS") || what.contains("private key")
}

fn told(what: &str) -> String {
    format!("<{what}>")
}

/// All that an image's documents say.
pub fn image(summary: &mut ImageSummary) {
    values(&mut summary.annotations);
    summary.platforms.iter_mut().for_each(platform);
}

/// All that the documents of one platform say.
pub fn platform(summary: &mut PlatformSummary) {
    summary.created.iter_mut().for_each(hide);
    runtime(&mut summary.runtime);
    for layer in &mut summary.layers {
        hide(&mut layer.created_by);
        layer.components.iter_mut().chain(&mut layer.encoder).for_each(hide);
    }
}

fn runtime(section: &mut RuntimeSection) {
    for variable in &mut section.env {
        *variable = match variable.split_once('=') {
            Some((name, is)) => format!("{}={}", text(name), value(name, is)),
            None => text(variable).into_owned(),
        };
    }
    section.entrypoint.iter_mut().chain(&mut section.cmd).for_each(hide);
    for one in [&mut section.user, &mut section.working_dir, &mut section.stop_signal] {
        hide(one);
    }
    values(&mut section.labels);
    for names in [&mut section.exposed_ports, &mut section.volumes] {
        *names = std::mem::take(names).into_iter().map(|(name, is)| (text(&name).into_owned(), is)).collect();
    }
    for (name, is) in &mut section.other {
        json(name, is);
    }
}

/// Hides what a text has in place.
pub(super) fn hide(one: &mut String) {
    if let Cow::Owned(hidden) = text(one) {
        *one = hidden;
    }
}

fn values(pairs: &mut BTreeMap<String, String>) {
    let hidden = |(name, is): (String, String)| (text(&name).into_owned(), value(&name, &is).into_owned());
    *pairs = std::mem::take(pairs).into_iter().map(hidden).collect();
}

/// Texts of a field that pinfold does not know, by their names.
fn json(name: &str, is: &mut Value) {
    match is {
        Value::String(one) => *one = value(name, one).into_owned(),
        Value::Array(all) => all.iter_mut().for_each(|one| json(name, one)),
        Value::Object(members) => {
            let hidden = std::mem::take(members).into_iter().map(|(name, mut is)| {
                json(&name, &mut is);
                (text(&name).into_owned(), is)
            });
            *members = hidden.collect();
        }
        _ => {}
    }
}
