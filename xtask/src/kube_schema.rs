//! `cargo xtask kube-schema --from DIR`: the table of kinds and fields that `pinfold kube --check` reads, of published schemas.
//!
//! `DIR` is the folder `kubernetes-json-schema` of the Python package `kubernetes-validate` (Apache-2.0), unpacked: one folder
//! of strict schemas for each minor version of Kubernetes. What they say alike is written once; what only some versions know
//! is marked with them. The table's form is described where it is read, in `pinfold_kube::judge::schema`.
//!
//! **Refuses**: a schema of a form that the table has no words for. It would be judged too mildly in silence.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_kube::judge::Minor;
use serde_json::Value;

use crate::say;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct KubeSchemaArgs {
    /// The folder `kubernetes-json-schema` of the unpacked package `kubernetes-validate`
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
}

/// Where the table is kept.
const TABLE: &str = "crates/kube/data/kubernetes.schema";

const HEAD: &str = "\
# Kinds of Kubernetes and the fields that they have. Made by `cargo xtask kube-schema`, not edited by hand.
# From the strict schemas that the Python package `kubernetes-validate` 1.37.0 publishes (Apache-2.0), which are made of the
# OpenAPI documents of Kubernetes (Apache-2.0). Descriptions and all that does not decide whether an object is taken are left out.
";

/// The kinds that are written, those that stand beside them in most folders, and what they are made of.
const KINDS: [(&str, &str); 33] = [
    ("v1", "ConfigMap"),
    ("v1", "LimitRange"),
    ("v1", "Namespace"),
    ("v1", "PersistentVolume"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "PodTemplate"),
    ("v1", "ReplicationController"),
    ("v1", "ResourceQuota"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("coordination.k8s.io/v1", "Lease"),
    ("discovery.k8s.io/v1", "EndpointSlice"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("node.k8s.io/v1", "RuntimeClass"),
    ("policy/v1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("storage.k8s.io/v1", "StorageClass"),
];

/// The definitions of each version.
type Versions = BTreeMap<u8, serde_json::Map<String, Value>>;

/// A field as one version has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    form: String,
    required: bool,
}

/// Reads the schemas, and writes the table.
pub(crate) fn run(args: &KubeSchemaArgs) -> Result<(), String> {
    let mut versions = Versions::new();
    for number in Minor::OLDEST.number()..=Minor::NEWEST.number() {
        versions.insert(number, definitions(&args.from, number)?);
    }
    let text = table(&versions)?;
    let path = crate::root().join(TABLE);
    fs::create_dir_all(path.parent().unwrap_or(&path)).map_err(|error| error.to_string())?;
    fs::write(&path, &text).map_err(|error| error.to_string())?;
    let count = |start| text.lines().filter(|line| line.starts_with(start)).count();
    say(&format!("{TABLE}: {} kinds, {} types, {} bytes", count("kind "), count("type "), text.len()));
    Ok(())
}

fn definitions(from: &Path, number: u8) -> Result<serde_json::Map<String, Value>, String> {
    let path = from.join(format!("v1.{number}.0-local-strict/_definitions.json"));
    let bytes = fs::read(&path).map_err(|error| error.to_string())?;
    let mut file: Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    match file.get_mut("$defs").map(Value::take) {
        Some(Value::Object(definitions)) => Ok(definitions),
        _ => Err(format!("{}: it has no `$defs`", path.display())),
    }
}

/// The whole table.
fn table(versions: &Versions) -> Result<String, String> {
    let mut text = HEAD.to_owned();
    let (oldest, newest) = (Minor::OLDEST.number(), Minor::NEWEST.number());
    text.push_str(&format!("versions {oldest} {newest}\n"));
    let mut waiting = Vec::new();
    for (api, kind) in KINDS {
        let name = of_kind(&versions[&newest], api, kind)
            .ok_or_else(|| format!("no schema says that it is of `{api}` `{kind}`"))?;
        text.push_str(&format!("kind {api} {kind} {}\n", short(&name)));
        waiting.push(name);
    }
    let mut types = BTreeMap::new();
    while let Some(name) = waiting.pop() {
        let key = short(&name);
        if types.contains_key(&key) {
            continue;
        }
        let mut fields: BTreeMap<String, BTreeMap<u8, Field>> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for (number, definitions) in versions {
            let Some(definition) = definitions.get(&name) else { continue };
            known.insert(*number);
            for (field, value) in of_type(definition, &name, &mut waiting)? {
                fields.entry(field).or_default().insert(*number, value);
            }
        }
        types.insert(key, lines(&name, &known, &fields)?);
    }
    for (name, lines) in types {
        text.push_str(&format!("type {name}\n{lines}"));
    }
    Ok(text)
}

/// The definition that says it is of a kind.
fn of_kind(definitions: &serde_json::Map<String, Value>, api: &str, kind: &str) -> Option<String> {
    let (group, version) = api.split_once('/').unwrap_or(("", api));
    let is = |entry: &Value| entry["group"] == group && entry["version"] == version && entry["kind"] == kind;
    let mut all = definitions.iter();
    let found = all.find(|(_, definition)| {
        definition["x-kubernetes-group-version-kind"].as_array().is_some_and(|list| list.iter().any(is))
    });
    found.map(|(name, _)| name.clone())
}

/// `io.k8s.api.core.v1.PodSpec` without what all of them begin with.
fn short(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    parts[parts.len().saturating_sub(3)..].join(".")
}

/// The fields of one definition; what it refers to is put among what waits.
fn of_type(
    definition: &Value,
    name: &str,
    waiting: &mut Vec<String>,
) -> Result<Vec<(String, Field)>, String> {
    let Some(properties) = definition["properties"].as_object() else { return Ok(Vec::new()) };
    if definition["additionalProperties"] != Value::Bool(false) {
        return Err(format!("`{name}` takes fields that it does not name"));
    }
    let required: Vec<&str> = definition["required"]
        .as_array()
        .map_or_else(Vec::new, |list| list.iter().filter_map(Value::as_str).collect());
    let mut fields = Vec::new();
    for (field, schema) in properties {
        let required = required.contains(&field.as_str());
        let form = form(schema, waiting).map_err(|problem| format!("`{name}`, `{field}`: {problem}"))?;
        // The reader takes null for every field that is not required, and for every one that refers to a type.
        let refers = schema.get("$ref").is_some();
        if !refers && takes_null(schema) == required {
            return Err(format!(
                "`{name}`, `{field}`: null is taken where it was not expected, or the other way round"
            ));
        }
        fields.push((field.clone(), Field { form, required }));
    }
    Ok(fields)
}

fn takes_null(schema: &Value) -> bool {
    schema["type"].as_array().is_some_and(|list| list.iter().any(|one| one == "null"))
}

/// What a schema takes, as a word of the table.
fn form(schema: &Value, waiting: &mut Vec<String>) -> Result<String, String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        return Ok(match name.rsplit('.').next().unwrap_or_default() {
            "IntOrString" => "int-or-string".to_owned(),
            "Quantity" => "quantity".to_owned(),
            "Time" | "MicroTime" => "time".to_owned(),
            "FieldsV1" | "RawExtension" => "object".to_owned(),
            _ => {
                waiting.push(name.to_owned());
                short(name)
            }
        });
    }
    let of = &schema["type"];
    let word =
        of.as_str().or_else(|| of.as_array()?.iter().filter_map(Value::as_str).find(|one| *one != "null"));
    let format = schema["format"].as_str();
    Ok(match (word, format) {
        (Some("string"), None) => "string".to_owned(),
        (Some("string"), Some("byte")) => "bytes".to_owned(),
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some("integer"), Some(format @ ("int32" | "int64"))) => format.to_owned(),
        (Some("number"), Some("double")) => "number".to_owned(),
        (Some("boolean"), None) => "bool".to_owned(),
        (Some("array"), None) => format!("[{}]", form(&schema["items"], waiting)?),
        (Some("object"), None) if schema["additionalProperties"].is_object() => {
            format!("{{{}}}", form(&schema["additionalProperties"], waiting)?)
        }
        (Some("object"), None) if schema.get("properties").is_none() => "object".to_owned(),
        _ => return Err(format!("no word for type {of}, format {format:?}")),
    })
}

/// The lines of a type; what only some of its versions have is marked with those.
fn lines(
    name: &str,
    known: &BTreeSet<u8>,
    fields: &BTreeMap<String, BTreeMap<u8, Field>>,
) -> Result<String, String> {
    let mut text = String::new();
    for (field, versions) in fields {
        let mut forms: Vec<&str> = versions.values().map(|field| field.form.as_str()).collect();
        forms.dedup();
        let [form] = forms[..] else {
            return Err(format!("`{name}`, `{field}`: its type is not the same in all versions"));
        };
        text.push_str(&format!("  {field} {form}"));
        let there: BTreeSet<u8> = versions.keys().copied().collect();
        if &there != known {
            text.push_str(&format!(" @{}", range(&there)?));
        }
        let required: BTreeSet<u8> =
            versions.iter().filter(|(_, field)| field.required).map(|(number, _)| *number).collect();
        if required == there {
            text.push_str(" !");
        } else if !required.is_empty() {
            text.push_str(&format!(" !{}", range(&required)?));
        }
        text.push('\n');
    }
    Ok(text)
}

/// `36-37`; versions are not skipped.
fn range(versions: &BTreeSet<u8>) -> Result<String, String> {
    let (Some(first), Some(last)) = (versions.first(), versions.last()) else {
        return Err("no version".to_owned());
    };
    if usize::from(last - first) + 1 == versions.len() {
        Ok(format!("{first}-{last}"))
    } else {
        Err(format!("versions {versions:?} have a gap"))
    }
}
