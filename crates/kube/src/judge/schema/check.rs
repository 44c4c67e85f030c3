//! An object beside its kind's fields.

use super::super::object::Object;
use super::super::sink::Path;
use super::super::sink::Sink;
use super::super::text::short;
use super::super::types::Minor;
use super::super::value::Entry;
use super::super::value::Node;
use super::super::value::Value;
use super::RULE;
use super::scalar;
use super::table::Field;
use super::table::Form;
use super::table::Span;
use super::table::TABLE;
use super::table::Type;

/// One object being looked at.
pub(super) struct Check<'a, 'b> {
    pub(super) object: &'a Object,
    /// The oldest and the newest version that has to take it.
    pub(super) versions: (Minor, Minor),
    pub(super) sink: &'a mut Sink<'b>,
}

impl Check<'_, '_> {
    /// The whole object.
    pub(super) fn object(&mut self, of: &Type) {
        let object = self.object;
        self.typed(of, &object.root, &Path::Root);
    }

    fn put(&mut self, path: &Path<'_>, line: u32, message: String) {
        self.sink.put(self.object, path, line, RULE, message);
    }

    fn typed(&mut self, of: &Type, node: &Node, path: &Path<'_>) {
        let Value::Map(map) = &node.value else {
            return self.wrong(node, path, "an object", "");
        };
        if of.fields.is_empty() {
            return;
        }
        for entry in map {
            let at = path.name(&entry.name);
            match of.field(&entry.name) {
                Some(field) => self.field(field, entry, &at),
                None => self.unknown(of, entry, &at),
            }
        }
        for field in &of.fields {
            let Some(span) = field.required else { continue };
            if let Some(when) = self.some(span)
                && map.get(field.name).is_none()
            {
                self.put(&path.name(field.name), node.line, format!("it is required{when}, and missing"));
            }
        }
    }

    /// Which of the asked versions a span has: nothing to say for all of them, `None` for none.
    fn some(&self, span: Span) -> Option<String> {
        let (first, last) = (self.versions.0.number(), self.versions.1.number());
        if span.1 < first || span.0 > last {
            None
        } else if span.0 <= first && span.1 >= last {
            Some(String::new())
        } else {
            Some(format!(" in Kubernetes {}", shown(span)))
        }
    }

    fn unknown(&mut self, of: &Type, entry: &Entry, path: &Path<'_>) {
        let near = self.sink.meant(&entry.name, of.fields.iter().map(|field| field.name));
        let hint = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
        let kind = of.name.rsplit('.').next().unwrap_or(of.name);
        let message = format!("`{kind}` has no field `{}`{hint}", short(&entry.name));
        self.put(path, entry.line, message);
    }

    fn field(&mut self, field: &Field, entry: &Entry, path: &Path<'_>) {
        match self.some(field.there) {
            None => {
                let message = format!(
                    "it is only a field of Kubernetes {}, not of {}",
                    shown(field.there),
                    self.asked()
                );
                return self.put(path, entry.line, message);
            }
            Some(when) if !when.is_empty() => {
                let message = format!(
                    "it is only a field of Kubernetes {}, and {} is asked for",
                    shown(field.there),
                    self.asked()
                );
                self.put(path, entry.line, message);
            }
            Some(_) => {}
        }
        let node = &entry.node;
        if node.value == Value::Null && !refuses_null(&field.form) {
            // Types take null as an object without fields.
            let needed = field.required.is_some_and(|span| self.some(span).is_some());
            if needed && !matches!(field.form, Form::Type(_) | Form::Object | Form::Time) {
                self.put(path, entry.line, "it is required, and null".to_owned());
            }
            return;
        }
        self.form(&field.form, node, path);
        if let (Some(least), Value::Int(value)) = (field.least, &node.value)
            && *value < least
        {
            self.put(path, node.line, format!("{value} is too small: at least {least}"));
        }
        if !field.values.is_empty() {
            let texts = if let Value::List(list) = &node.value {
                list.as_slice()
            } else {
                std::slice::from_ref(node)
            };
            for text in texts.iter().filter_map(|node| Some((node.text()?, node.line))) {
                self.word(field, text, path);
            }
        }
    }

    /// A field that takes only some words.
    fn word(&mut self, field: &Field, (text, line): (&str, u32), path: &Path<'_>) {
        // An empty text is as if the field were not there.
        if field.values.contains(&text) || text.is_empty() {
            return;
        }
        let words: Vec<String> = field.values.iter().map(|word| format!("`{word}`")).collect();
        self.put(path, line, format!("`{}` is none of {}", short(text), words.join(", ")));
    }

    fn form(&mut self, form: &Form, node: &Node, path: &Path<'_>) {
        match (form, &node.value) {
            (Form::Quantity | Form::IntOrText, Value::Null) => self.wrong(node, path, expected(form), ""),
            // Within lists and maps null stands for the empty value.
            (_, Value::Null)
            | (Form::Text | Form::IntOrText, Value::Text(_))
            | (Form::Int64 | Form::IntOrText, Value::Int(_))
            | (Form::Number | Form::Quantity, Value::Int(_) | Value::Number(_))
            | (Form::Bool, Value::Bool(_))
            | (Form::Object, Value::Map(_)) => {}
            (Form::Int32, Value::Int(value)) => {
                if i32::try_from(*value).is_err() {
                    self.put(path, node.line, format!("{value} does not fit into 32 bits"));
                }
            }
            (Form::Quantity, Value::Text(text)) => {
                if !scalar::is_quantity(text) {
                    self.put(
                        path,
                        node.line,
                        format!("`{}` is no quantity, such as `500m` or `2Gi`", short(text)),
                    );
                }
            }
            (Form::Time, Value::Text(text)) => {
                if !scalar::is_time(text) {
                    let message = format!("`{}` is no time, such as `2026-12-01T08:00:00Z`", short(text));
                    self.put(path, node.line, message);
                }
            }
            (Form::Bytes, Value::Text(text)) => {
                // What stands here is often secret: it is not repeated.
                if !scalar::is_base64(text) {
                    self.put(
                        path,
                        node.line,
                        "it is no base 64: encode it, or use `stringData` where there is one".to_owned(),
                    );
                }
            }
            (Form::List(of), Value::List(list)) => {
                for (index, item) in list.iter().enumerate() {
                    self.form(of, item, &path.index(index));
                }
            }
            (Form::Map(of), Value::Map(map)) => {
                for entry in map {
                    self.form(of, &entry.node, &path.name(&entry.name));
                }
            }
            (Form::Type(of), _) => {
                if let Some(of) = TABLE.of(*of) {
                    self.typed(of, node, path);
                }
            }
            (Form::Text | Form::Time | Form::Bytes, Value::Int(_) | Value::Number(_) | Value::Bool(_)) => {
                self.wrong(node, path, "a string", ": put it in quotes");
            }
            (Form::Bool | Form::Int32 | Form::Int64 | Form::Number, Value::Text(text))
                if text.parse::<f64>().is_ok() || matches!(text.as_str(), "true" | "false") =>
            {
                self.wrong(node, path, expected(form), ": take it out of its quotes");
            }
            _ => self.wrong(node, path, expected(form), ""),
        }
    }

    fn wrong(&mut self, node: &Node, path: &Path<'_>, expected: &str, hint: &str) {
        self.put(path, node.line, format!("it is {}, and has to be {expected}{hint}", node.what()));
    }

    /// `1.34 to 1.37`.
    fn asked(&self) -> String {
        let (first, last) = self.versions;
        if first == last { first.to_string() } else { format!("{first} to {last}") }
    }
}

/// `1.36 and newer`, within what is known.
fn shown(span: Span) -> String {
    let (oldest, newest) = (Minor::OLDEST.number(), Minor::NEWEST.number());
    match (span.0 <= oldest, span.1 >= newest) {
        (false, true) => format!("1.{} and newer", span.0),
        (true, false) => format!("up to 1.{}", span.1),
        _ if span.0 == span.1 => format!("1.{}", span.0),
        _ => format!("1.{} to 1.{}", span.0, span.1),
    }
}

/// What may be one thing or another is neither where it is null.
fn refuses_null(form: &Form) -> bool {
    matches!(form, Form::Quantity | Form::IntOrText)
}

fn expected(form: &Form) -> &'static str {
    match form {
        Form::Text => "a string",
        Form::Int32 | Form::Int64 => "an integer",
        Form::Number => "a number",
        Form::Bool => "a boolean",
        Form::Quantity => "a quantity, such as `500m` or `2Gi`",
        Form::IntOrText => "an integer or a string",
        Form::Time => "a time, such as `\"2026-12-01T08:00:00Z\"`",
        Form::Bytes => "a string in base 64",
        Form::Object | Form::Map(_) | Form::Type(_) => "an object",
        Form::List(_) => "a list",
    }
}
