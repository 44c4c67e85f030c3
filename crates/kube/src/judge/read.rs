//! Bytes of a document to objects.
//!
//! YAML as Kubernetes reads it: `yes` and `on` are booleans, `0644` is octal, a name that stands twice is refused, and so
//! are tags that make values of other kinds. JSON is read by the same reader, which knows lines; what only JSON can say
//! (escapes of two halves) by that of JSON.
//!
//! **Refuses** documents that are larger, deeper or more repetitive than any that somebody would write, and what readers of YAML
//! do not agree about: ends of lines that only some know, and merge keys.

use serde::de::DeserializeOwned;

use super::object::Object;
use super::text;
use super::types::Document;
use super::value::Node;
use super::value::Value;

/// Most bytes of one file.
pub(super) const SIZE: usize = 32 << 20;
/// Most values of one file.
const NODES: usize = 2_000_000;
/// Deepest nesting: a CronJob's pod has a depth of 16.
const DEPTH: usize = 32;
/// Most bytes of JSON that only the reader of JSON can read.
const JSON: usize = 4 << 20;
/// Most repetitions by aliases.
const ALIASES: usize = 1000;
/// Most documents of one file.
const DOCUMENTS: usize = 20_000;
/// What ends a line, and with it a comment, in the YAML of 2005 that Kubernetes reads, and in no newer one.
const LINE_ENDS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

/// Why a file cannot be read: from which line on, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub(super) line: u32,
    pub(super) message: String,
}

impl Unreadable {
    fn new(message: &str) -> Self {
        Self { line: 0, message: message.to_owned() }
    }
}

/// The objects of a file; lists of objects are taken apart.
pub(super) fn objects(document: &Document, file: usize) -> Result<Vec<Object>, Unreadable> {
    let mut objects = Vec::new();
    for root in documents(&document.text)? {
        spread(root, file, &mut objects, 0);
    }
    Ok(objects)
}

/// The objects that stand in a text of another, by the same bounds; none in what cannot be read.
pub(super) fn inner(text: &str) -> Vec<Object> {
    let roots: Vec<Node> = if text.len() > JSON { Vec::new() } else { yaml(text).unwrap_or_default() };
    let mut objects = Vec::new();
    for root in roots {
        spread(root, 0, &mut objects, 0);
    }
    objects
}

/// How deep lists of lists are taken apart.
const LISTS: usize = 4;

/// Puts an object, or each of a list's.
fn spread(root: Node, file: usize, objects: &mut Vec<Object>, depth: usize) {
    let text = |name| root.text_at(name).unwrap_or_default().to_owned();
    let (api, kind) = (text("apiVersion"), text("kind"));
    let of = kind.strip_suffix("List");
    match (of, root.get("items")) {
        (Some(of), Some(items)) if depth < LISTS && matches!(items.value, Value::List(_)) => {
            for item in items.items() {
                // The items of a `PodList` need not say that they are pods.
                let inherits = !of.is_empty() && item.get("kind").is_none();
                if inherits {
                    objects.push(Object::named(item.clone(), file, &api, of));
                } else {
                    spread(item.clone(), file, objects, depth + 1);
                }
            }
        }
        _ => objects.push(Object::named(root, file, &api, &kind)),
    }
}

/// The documents of a file that hold something.
fn documents(bytes: &[u8]) -> Result<Vec<Node>, Unreadable> {
    if bytes.len() > SIZE {
        return Err(Unreadable::new("the file is longer than 32 MiB"));
    }
    let Ok(read) = std::str::from_utf8(bytes) else {
        return Err(Unreadable::new("the file is no text in UTF-8"));
    };
    let read = read.strip_prefix('\u{feff}').unwrap_or(read);
    agreed(read)?;
    match yaml(read) {
        Err(problem) if read.trim_start().starts_with('{') && read.len() <= JSON && depth(read) <= DEPTH => {
            match serde_json::from_str::<Node>(read) {
                Ok(node) => Ok(vec![node]),
                Err(error) if error.is_syntax() || error.is_eof() => Err(problem),
                Err(error) => {
                    let line = u32::try_from(error.line()).unwrap_or(0);
                    Err(Unreadable { line, message: text::line(&error.to_string()) })
                }
            }
        }
        other => other,
    }
}

/// Refuses ends of lines that Kubernetes knows and other readers do not: a field could stand behind them that nobody sees.
fn agreed(read: &str) -> Result<(), Unreadable> {
    let Some((at, end)) = read.char_indices().find(|(_, letter)| LINE_ENDS.contains(letter)) else {
        return Ok(());
    };
    let line = read[..at].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let code = u32::from(end);
    let message = format!(
        "U+{code:04X} stands here, which ends a line for Kubernetes and for few others: write it as `\\u{code:04x}` in double quotes"
    );
    Err(Unreadable { line: u32::try_from(line).unwrap_or(0), message })
}

/// How deep brackets of JSON are nested, outside of its strings.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// The documents of a file of YAML.
fn yaml<T: DeserializeOwned>(read: &str) -> Result<Vec<T>, Unreadable> {
    serde_saphyr::from_multiple_with_options(read, options()).map_err(|error| {
        let line = error.location().map_or(0, |location| u32::try_from(location.line()).unwrap_or(0));
        let message = match &error {
            serde_saphyr::Error::MergeKeyNotAllowed { .. } => {
                "merge keys (`<<`) are read in one way by Kubernetes and in another by others: write the fields out".to_owned()
            }
            error => text::line(&error.to_string()),
        };
        Unreadable { line, message }
    })
}

/// What a file may cost.
fn options() -> serde_saphyr::Options {
    let mut budget = serde_saphyr::budget::Budget::default();
    budget.max_reader_input_bytes = Some(SIZE);
    budget.max_events = 4 * NODES;
    budget.max_nodes = NODES;
    budget.max_depth = DEPTH;
    budget.max_aliases = ALIASES;
    budget.max_anchors = ALIASES;
    budget.max_documents = DOCUMENTS;
    budget.max_total_scalar_bytes = 2 * SIZE;
    budget.max_recorded_anchor_bytes = SIZE;
    budget.max_recorded_anchor_events = NODES;
    budget.enforce_alias_anchor_ratio = false;
    let mut options = serde_saphyr::Options::default();
    options.budget = Some(budget);
    options.alias_limits.max_total_replayed_events = NODES / 10;
    options.alias_limits.max_alias_expansions_per_anchor = ALIASES;
    options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::Error;
    options.merge_keys = serde_saphyr::MergeKeyPolicy::Error;
    options.legacy_octal_numbers = true;
    options.strict_booleans = false;
    options.reject_unsupported_tags = true;
    options.with_snippet = false;
    options
}
