//! What a policy is asked about: an object as a cluster would get it, and whether a policy is about it.

use super::super::object::Object;
use super::super::selector::selects;
use super::super::value::Node;
use super::super::value::Value;

/// An object in the eyes of a policy.
#[derive(Clone, Debug)]
pub(super) struct Subject<'a> {
    /// Where findings are told of.
    pub(super) object: &'a Object,
    pub(super) group: &'a str,
    pub(super) version: &'a str,
    pub(super) kind: &'a str,
    /// `sandboxes`
    pub(super) resource: String,
    /// Fields of `spec` that are taken over; all where it is `None`.
    fields: Option<&'static [&'static str]>,
}

impl<'a> Subject<'a> {
    /// The object itself, and what is made of it.
    pub(super) fn of(object: &'a Object) -> Vec<Self> {
        let own = Self {
            object,
            group: object.group(),
            version: object.version(),
            kind: &object.kind,
            resource: plural(&object.kind),
            fields: None,
        };
        if !object.is("extensions.agents.x-k8s.io", "SandboxTemplate") {
            return vec![own];
        }
        let made = Self {
            group: "agents.x-k8s.io",
            kind: "Sandbox",
            resource: "sandboxes".to_owned(),
            fields: Some(&["podTemplate", "service", "volumeClaimTemplates"]),
            ..own.clone()
        };
        vec![own, made]
    }

    /// The object as a value of the language.
    pub(super) fn value(&self) -> cel::Value {
        let Some(fields) = self.fields else { return value(&self.object.root) };
        let spec = self.object.root.get("spec");
        let fields = fields.iter().filter_map(|name| Some(((*name).to_owned(), value(spec?.get(name)?))));
        let text = |text: String| cel::Value::String(text.into());
        let mut all = vec![
            ("apiVersion".to_owned(), text(format!("{}/{}", self.group, self.version))),
            ("kind".to_owned(), text(self.kind.to_owned())),
            ("spec".to_owned(), map(fields)),
        ];
        all.extend(self.object.root.get("metadata").map(|node| ("metadata".to_owned(), value(node))));
        map(all)
    }
}

/// A map of the language.
pub(super) fn map(entries: impl IntoIterator<Item = (String, cel::Value)>) -> cel::Value {
    let entries: std::collections::HashMap<String, cel::Value> = entries.into_iter().collect();
    cel::Value::Map(entries.into())
}

/// A value of a document as one of the language. A field that is null is not there.
pub(super) fn value(node: &Node) -> cel::Value {
    match &node.value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Int(int) => cel::Value::Int(*int),
        Value::Number(number) => cel::Value::Float(*number),
        Value::Text(text) => cel::Value::String(text.clone().into()),
        Value::List(list) => cel::Value::List(list.iter().map(value).collect::<Vec<_>>().into()),
        Value::Map(entries) => {
            let there = entries.iter().filter(|entry| entry.node.value != Value::Null);
            map(there.map(|entry| (entry.name.clone(), value(&entry.node))))
        }
    }
}

/// What the objects of a kind are called together.
fn plural(kind: &str) -> String {
    let name = kind.to_lowercase();
    let vowel = |byte: Option<u8>| byte.is_some_and(|byte| b"aeiou".contains(&byte));
    if name == "endpoints" {
        name
    } else if name.ends_with(['s', 'x']) || name.ends_with("ch") || name.ends_with("sh") {
        name + "es"
    } else if name.ends_with('y') && !vowel(name.bytes().rev().nth(1)) {
        format!("{}ies", &name[..name.len() - 1])
    } else {
        name + "s"
    }
}

/// Which objects a policy is about.
#[derive(Clone, Debug)]
pub(super) struct Constraints {
    rules: Vec<Rule>,
    except: Vec<Rule>,
    namespaces: Option<Node>,
    objects: Option<Node>,
}

/// Some kinds of objects.
#[derive(Clone, Debug)]
struct Rule {
    groups: Vec<String>,
    versions: Vec<String>,
    operations: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
}

impl Rule {
    fn read(node: &Node) -> Self {
        let list = |name: &str| {
            node.items_at(name).iter().filter_map(Node::text).map(str::to_owned).collect::<Vec<_>>()
        };
        Self {
            groups: list("apiGroups"),
            versions: list("apiVersions"),
            operations: list("operations"),
            resources: list("resources"),
            names: list("resourceNames"),
        }
    }

    fn takes(&self, subject: &Subject<'_>) -> bool {
        let has = |list: &[String], asked: &str| list.iter().any(|one| one == "*" || one == asked);
        has(&self.groups, subject.group)
            && has(&self.versions, subject.version)
            && has(&self.operations, "CREATE")
            && self
                .resources
                .iter()
                .any(|one| matches!(one.as_str(), "*" | "*/*") || *one == subject.resource)
            && (self.names.is_empty() || self.names.iter().any(|name| name == subject.object.name()))
    }
}

impl Constraints {
    pub(super) fn read(policy: &Object) -> Self {
        let all = policy.root.at(&["spec", "matchConstraints"]);
        let rules = |name: &str| {
            all.map_or(&[][..], |all| all.items_at(name)).iter().map(Rule::read).collect::<Vec<_>>()
        };
        let selector = |name: &str| all.and_then(|all| all.get(name)).cloned();
        Self {
            rules: rules("resourceRules"),
            except: rules("excludeResourceRules"),
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
        }
    }

    /// Whether an object is one of those; a namespace that is not judged with it has its name alone.
    pub(super) fn takes(&self, subject: &Subject<'_>, namespace: Option<&Object>) -> bool {
        let any = |rules: &[Rule]| rules.iter().any(|rule| rule.takes(subject));
        if !any(&self.rules) || any(&self.except) {
            return false;
        }
        let labels = subject.object.root.at(&["metadata", "labels"]);
        if self.objects.as_ref().is_some_and(|selector| !selects(selector, |name| labels?.text_at(name))) {
            return false;
        }
        let name = subject.object.namespace();
        let label = |asked: &str| match asked {
            "kubernetes.io/metadata.name" => Some(name),
            _ => namespace?.label(asked),
        };
        let cluster_wide = name.is_empty();
        cluster_wide || self.namespaces.as_ref().is_none_or(|selector| selects(selector, label))
    }
}

#[cfg(test)]
mod tests {
    use super::plural;

    #[test]
    fn kinds_have_names_for_many() {
        for (kind, many) in [
            ("Sandbox", "sandboxes"),
            ("Pod", "pods"),
            ("NetworkPolicy", "networkpolicies"),
            ("RuntimeClass", "runtimeclasses"),
            ("Ingress", "ingresses"),
            ("Endpoints", "endpoints"),
            ("ResourceQuota", "resourcequotas"),
        ] {
            assert_eq!(plural(kind), many);
        }
    }
}
