//! Keys and tokens in objects: none, but in the proxy's own Secrets.
//!
//! Every text of every object is looked at, names of fields too; what a Secret or a ConfigMap holds in base 64 is decoded first.
//! What was found is never told, only what it is and where.

use super::Around;
use super::PROXY;
use super::put;
use crate::judge::object::Object;
use crate::judge::read;
use crate::judge::sink::Path;
use crate::judge::sink::Sink;
use crate::judge::types::Seeker;
use crate::judge::value::Entry;
use crate::judge::value::Node;
use crate::judge::value::Value;
use crate::objects::PROXY_IDENTITIES;
use crate::objects::PROXY_KEYS;
use crate::objects::PROXY_TLS;

const RULE: &str = "pinfold/secret";
const APART: &str = "pinfold/proxy-secrets";

/// Parts of names that keys of providers have. What else is in the Secret of another is his, and told by its form alone.
const KEYS: [&str; 4] = ["API_KEY", "APIKEY", "AUTH_TOKEN", "OAUTH_TOKEN"];

/// One object being looked through.
struct Search<'a, 'b> {
    object: &'a Object,
    seeker: Seeker,
    sink: &'a mut Sink<'b>,
    /// The line of the text that holds an object, while that is looked through.
    within: Option<u32>,
}

/// The annotation in which `kubectl apply` keeps the object that it was given, as JSON.
const APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Whether an object is called as a Secret of the proxy's.
fn is_named(object: &Object) -> bool {
    object.is("", "Secret") && object.name().starts_with(PROXY)
}

/// Whether an object is a Secret that the proxy mounts, where the proxy is: it may hold keys.
fn is_proxys(object: &Object, around: &Around<'_>) -> bool {
    let number = |rest: &str| {
        rest.strip_prefix('-')
            .is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let name = object.name();
    let mounted = matches!(name, PROXY_TLS | PROXY_KEYS | PROXY_IDENTITIES)
        || name.strip_prefix(PROXY_IDENTITIES).is_some_and(number);
    let namespace = object.namespace();
    object.is("", "Secret")
        && object.has_name()
        && mounted
        && (around.deployed.contains(namespace) || namespace.ends_with("-proxy"))
        && !around.has_agents(namespace)
}

/// Judges an object by what stands in it.
pub(super) fn judge(object: &Object, around: &Around<'_>, seeker: Seeker, sink: &mut Sink<'_>) {
    if is_named(object) && around.has_agents(object.namespace()) {
        let message = "agents' pods of this namespace could mount it: the proxy's Secrets are in a namespace of their own";
        put(sink, object, &["metadata", "namespace"], APART, message);
    }
    let exempt = is_proxys(object, around);
    let mut search = Search { object, seeker, sink, within: None };
    for entry in object.root.map().into_iter().flatten() {
        if !(exempt && matches!(entry.name.as_str(), "data" | "stringData")) {
            search.field(object, entry, &Path::Root);
        }
    }
}

impl Search<'_, '_> {
    /// A field of a whole object, by the object's kind.
    fn field(&mut self, object: &Object, entry: &Entry, path: &Path<'_>) {
        let path = path.name(&entry.name);
        self.name(&entry.name, entry.line, &path);
        let core = object.group().is_empty();
        match (object.kind.as_str(), entry.name.as_str()) {
            // A Secret may hold secrets of its own; keys of providers it may not.
            ("Secret", "data") if core => self.decoded(&entry.node, &path, of_provider),
            ("Secret", "stringData") if core => self.named(&entry.node, &path, of_provider),
            ("ConfigMap", "binaryData") if core => self.decoded(&entry.node, &path, |_| ""),
            ("ConfigMap", "data") if core => self.named(&entry.node, &path, |name| name),
            (_, "metadata") => self.head(&entry.node, &path),
            _ => self.node(&entry.node, &path),
        }
    }

    /// The object in an annotation: what stands there encoded or escaped. One within another's annotation is a text.
    fn applied(&mut self, text: &str, line: u32, path: &Path<'_>) {
        if self.within.is_some() {
            return;
        }
        self.within = Some(line);
        for object in read::inner(text) {
            for entry in object.root.map().into_iter().flatten() {
                self.field(&object, entry, path);
            }
        }
        self.within = None;
    }

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
                "annotations" | "labels" => self.named(&entry.node, &path, |name| name),
                _ => self.node(&entry.node, &path),
            }
        }
    }

    /// Texts by the names of files, annotations or labels.
    fn named(&mut self, node: &Node, path: &Path<'_>, name_of: fn(&str) -> &str) {
        for entry in node.map().into_iter().flatten() {
            let path = path.name(&entry.name);
            self.name(&entry.name, entry.line, &path);
            match entry.node.text() {
                Some(text) if entry.name == APPLIED && (self.seeker)("", text.as_bytes()).is_none() => {
                    self.applied(text, entry.node.line, &path);
                }
                Some(text) => self.seek(name_of(&entry.name), text.as_bytes(), entry.node.line, &path),
                None => self.node(&entry.node, &path),
            }
        }
    }

    /// Texts in base 64.
    fn decoded(&mut self, node: &Node, path: &Path<'_>, name_of: fn(&str) -> &str) {
        for entry in node.map().into_iter().flatten() {
            let path = path.name(&entry.name);
            self.name(&entry.name, entry.line, &path);
            let text = entry.node.text().unwrap_or_default();
            let bytes = decode(text).unwrap_or_else(|| text.as_bytes().to_vec());
            self.seek(name_of(&entry.name), &bytes, entry.node.line, &path);
        }
    }

    /// A name that may be what should not stand anywhere.
    fn name(&mut self, name: &str, line: u32, path: &Path<'_>) {
        self.seek("", name.as_bytes(), line, path);
    }

    fn seek(&mut self, name: &str, text: &[u8], line: u32, path: &Path<'_>) {
        if let Some(what) = (self.seeker)(name, text) {
            let message = format!(
                "here stands {what}: everybody sees it who sees the object; give it to the proxy, by its Secret"
            );
            let line = self.within.unwrap_or(line);
            self.sink.put(self.object, &hidden(path, self.seeker), line, RULE, message);
        }
    }
}

/// A name where it is that of a provider's key; empty for others, which say nothing about their values.
fn of_provider(name: &str) -> &str {
    let written = name.to_ascii_uppercase().replace(['-', '.'], "_");
    if KEYS.iter().any(|part| written.contains(part)) { name } else { "" }
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
