//! Bytes of a document to objects.
//!
//! YAML as Kubernetes reads it: `yes` and `on` are booleans, `0644` is octal, a name that stands twice is refused.
//!
//! What begins with `{` Kubernetes reads as JSON first, and as YAML where it is none. The reader of YAML reads both and knows lines;
//! what is JSON has to say the same to a reader of JSON.
//!
//! **Refuses** documents that are larger, deeper or more repetitive than any that somebody would write, and what readers
//! do not agree about: ends of lines that only some know, merge keys, and tags other than those of the seven usual types.

use pinfold_base::yaml;
use pinfold_base::yaml::Bounds;
use serde_saphyr::granit_parser::Event;
use serde_saphyr::granit_parser::Parser;
use serde_saphyr::granit_parser::Tag;

use super::object::Object;
use super::text;
use super::types::Document;
use super::value::Node;
use super::value::Value;

/// Most bytes of one file.
pub(super) const SIZE: usize = 32 << 20;
/// What a file may cost.
const BOUNDS: Bounds = Bounds {
    bytes: SIZE,
    nodes: 2_000_000,
    replayed: 200_000,
    // A CronJob's pod has a depth of 16.
    depth: 32,
    aliases: 1000,
    documents: 20_000,
};
/// Most bytes of an object in a text of another.
const INNER: usize = 4 << 20;
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
    let roots: Vec<Node> = if text.len() > INNER { Vec::new() } else { written(text).unwrap_or_default() };
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
    let nodes = written(read)?;
    if read.trim_start().starts_with('{')
        && let Ok(json) = serde_json::from_str(read)
        && !matches!(&nodes[..], [node] if node.says(&json))
    {
        return Err(Unreadable::new(
            "Kubernetes reads this as JSON, where it says something else than as YAML: write it in one way",
        ));
    }
    Ok(nodes)
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

/// The documents of a file of YAML.
fn written(read: &str) -> Result<Vec<Node>, Unreadable> {
    let nodes = serde_saphyr::from_multiple_with_options(read, options()).map_err(|error| {
        let line = error.location().map_or(0, |location| u32::try_from(location.line()).unwrap_or(0));
        let message = match &error {
            serde_saphyr::Error::MergeKeyNotAllowed { .. } => {
                "merge keys (`<<`) are read in one way by Kubernetes and in another by others: write the fields out".to_owned()
            }
            error => text::line(without_place(&error.to_string())),
        };
        Unreadable { line, message }
    })?;
    match tagged(read) {
        Some(line) => Err(Unreadable {
            line,
            message: "a tag stands here that Kubernetes reads in one way and others in another: leave it out"
                .to_owned(),
        }),
        None => Ok(nodes),
    }
}

/// The line of the first tag that readers do not agree about, in a text that was read. `! 1` is a number for Kubernetes and a text
/// for others, `! <<` a merge key and a name; `!int` is a name of somebody's own, and for some an integer.
fn tagged(read: &str) -> Option<u32> {
    if !read.contains('!') {
        return None;
    }
    Parser::new_from_str(read).map_while(Result::ok).find_map(|(event, span)| {
        let tag = match &event {
            Event::Scalar(_, _, _, tag)
            | Event::SequenceStart(_, _, tag)
            | Event::MappingStart(_, _, tag) => tag.as_deref(),
            _ => None,
        };
        let agreed = tag.is_none_or(Tag::is_yaml_core_schema);
        (!agreed).then(|| u32::try_from(span.start.line()).unwrap_or(0))
    })
}

/// What a reader says without the place that it ends with: the finding has it.
fn without_place(message: &str) -> &str {
    let mut message = message.lines().next().unwrap_or_default();
    let is_place = |text: &str| {
        let mut words = text.split([' ', ',']).filter(|word| !word.is_empty());
        words.all(|word| {
            matches!(word, "line" | "column" | "byte") || word.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    while let Some((before, _)) = message.rsplit_once(" at ").filter(|(_, place)| is_place(place)) {
        message = before;
    }
    message
}

/// The YAML that Kubernetes reads.
fn options() -> serde_saphyr::Options {
    let mut options = yaml::options(BOUNDS);
    options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::Error;
    options.merge_keys = serde_saphyr::MergeKeyPolicy::Error;
    options.legacy_octal_numbers = true;
    options.strict_booleans = false;
    options.reject_unsupported_tags = true;
    options
}
