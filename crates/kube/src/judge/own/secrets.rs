//! Keys and tokens in objects: none, but in the proxy's own Secrets.
//!
//! Every text of every object is looked at, names of fields too; what a Secret or a ConfigMap holds in base 64 is decoded first.
//! What was found is never told, only what it is and where.

use super::Around;
use super::PROXY;
use super::put;
use crate::judge::object::Object;
use crate::judge::sink::Path;
use crate::judge::sink::Sink;
use crate::judge::types::Seeker;
use crate::judge::value::Node;
use crate::judge::value::Value;

const RULE: &str = "pinfold/secret";
const APART: &str = "pinfold/proxy-secrets";

/// One object being looked through.
struct Search<'a, 'b> {
    object: &'a Object,
    seeker: Seeker,
    sink: &'a mut Sink<'b>,
}

/// Whether an object is a Secret of the proxy's.
fn is_proxys(object: &Object) -> bool {
    object.is("", "Secret") && object.name().starts_with(PROXY)
}

/// Judges an object by what stands in it.
pub(super) fn judge(object: &Object, around: &Around<'_>, seeker: Seeker, sink: &mut Sink<'_>) {
    if is_proxys(object) {
        if around.has_agents(object.namespace()) {
            let message = "agents' pods of this namespace could mount it: the proxy's Secrets are in a namespace of their own";
            put(sink, object, &["metadata", "namespace"], APART, message);
        } else {
            return;
        }
    }
    let mut search = Search { object, seeker, sink };
    let core = object.group().is_empty();
    for entry in object.root.map().into_iter().flatten() {
        let path = Path::Root.name(&entry.name);
        search.name(&entry.name, entry.line, &path);
        match (object.kind.as_str(), entry.name.as_str()) {
            // A Secret may hold secrets of its own, under any name; keys of providers it may not.
            ("Secret", "data") | ("ConfigMap", "binaryData") if core => search.decoded(&entry.node, &path),
            ("ConfigMap", "data") if core => search.named(&entry.node, &path),
            (_, "metadata") => search.head(&entry.node, &path),
            _ => search.node(&entry.node, &path),
        }
    }
}

impl Search<'_, '_> {
    fn node(&mut self, node: &Node, path: &Path<'_>) {
        match &node.value {
            Value::Text(text) => self.seek("", text.as_bytes(), node.line, path),
            Value::List(list) => {
                for (index, item) in list.iter().enumerate() {
                    self.node(item, &path.index(index));
                }
            }
            Value::Map(map) => {
                // A variable, as containers and claims have it.
                let variable = map.get("name").and_then(Node::text);
                for entry in map {
                    let path = path.name(&entry.name);
                    self.name(&entry.name, entry.line, &path);
                    match (variable, entry.name.as_str(), &entry.node.value) {
                        (Some(name), "value", Value::Text(text)) => {
                            self.seek(name, text.as_bytes(), entry.node.line, &path);
                        }
                        _ => self.node(&entry.node, &path),
                    }
                }
            }
            _ => {}
        }
    }

    /// What an object says of itself.
    fn head(&mut self, node: &Node, path: &Path<'_>) {
        for entry in node.map().into_iter().flatten() {
            let path = path.name(&entry.name);
            match entry.name.as_str() {
                "annotations" | "labels" => self.named(&entry.node, &path),
                _ => self.node(&entry.node, &path),
            }
        }
    }

    /// Texts by the names of files, annotations or labels.
    fn named(&mut self, node: &Node, path: &Path<'_>) {
        for entry in node.map().into_iter().flatten() {
            let path = path.name(&entry.name);
            self.name(&entry.name, entry.line, &path);
            match entry.node.text() {
                Some(text) => self.seek(&entry.name, text.as_bytes(), entry.node.line, &path),
                None => self.node(&entry.node, &path),
            }
        }
    }

    /// Texts in base 64.
    fn decoded(&mut self, node: &Node, path: &Path<'_>) {
        for entry in node.map().into_iter().flatten() {
            let path = path.name(&entry.name);
            self.name(&entry.name, entry.line, &path);
            let text = entry.node.text().unwrap_or_default();
            let bytes = decode(text).unwrap_or_else(|| text.as_bytes().to_vec());
            self.seek("", &bytes, entry.node.line, &path);
        }
    }

    /// A name that may be what should not stand anywhere.
    fn name(&mut self, name: &str, line: u32, path: &Path<'_>) {
        self.seek("", name.as_bytes(), line, path);
    }

    fn seek(&mut self, name: &str, text: &[u8], line: u32, path: &Path<'_>) {
        if let Some(what) = (self.seeker)(name, text) {
            let message = format!(
                "{what} stands here, which everybody sees who sees the object: give it to the proxy, by its Secret"
            );
            self.sink.put(self.object, &hidden(path, self.seeker), line, RULE, message);
        }
    }
}

/// A path up to the first name in it that is a secret itself.
fn hidden<'a>(path: &Path<'a>, seeker: Seeker) -> Path<'a> {
    let (mut at, mut kept) = (path, *path);
    loop {
        at = match at {
            Path::Root => return kept,
            Path::Index(above, _) => above,
            Path::Name(above, name) => {
                if seeker("", name.as_bytes()).is_some() {
                    kept = **above;
                }
                above
            }
        };
    }
}

/// The bytes of a text in base 64; line ends do not count.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'\r' | b'\n' | b'=' => continue,
            _ => return None,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_decoded() {
        assert_eq!(decode("aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(decode("aGVs\nbG8hIQ=="), Some(b"hello!!".to_vec()));
        assert_eq!(decode(""), Some(Vec::new()));
        assert_eq!(decode("a b"), None);
    }
}
