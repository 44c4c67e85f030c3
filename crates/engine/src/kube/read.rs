//! An export as it lies in a directory: what secrets it waits for, and where its pods are.
//!
//! **Refuses** a directory without the objects of an export; files in it are bounded, and whatever is in them is text from outside.

use std::collections::BTreeMap;
use std::path::Path;

use std::io::Read as _;

use fs_err as fs;
use pinfold_base::file;
use pinfold_base::yaml;
use pinfold_base::yaml::Bounds;
use pinfold_kube::objects::PROXY;
use serde::Deserialize;
use serde_json::Value;

use super::error::KubeError;
use crate::proxy::ProxyFile;

/// Bytes of a file at most; tasks are in one.
const FILE_MAX: u64 = 32 << 20;
/// What the objects of a file may cost.
const BOUNDS: Bounds =
    Bounds { bytes: 32 << 20, nodes: 500_000, replayed: 1000, depth: 32, aliases: 100, documents: 1 };
/// Files at most.
const FILES_MAX: usize = 64;

/// What is read of an export.
#[derive(Debug)]
pub(super) struct Read {
    /// The namespace of sandboxes.
    pub(super) namespace: String,
    /// The name of the export.
    pub(super) name: String,
    /// What its pods come of.
    pub(super) kind: String,
    /// What the proxy does.
    pub(super) proxy: ProxyFile,
}

/// The kinds that an export is of.
const KINDS: [&str; 4] = ["Sandbox", "SandboxWarmPool", "Pod", "Job"];

#[derive(Deserialize)]
struct Head {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    data: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: String,
}

/// A file's bytes; longer ones are refused.
pub(super) fn bounded(path: &Path, most: u64) -> Result<Vec<u8>, KubeError> {
    let mut bytes = Vec::new();
    file::regular(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("`{}` has more than {most} bytes", path.display());
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, problem).into());
    }
    Ok(bytes)
}

/// Reads the directory.
pub(super) fn directory(directory: &Path) -> Result<Read, KubeError> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .map_err(|error| KubeError::no_export(directory, error))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    names.sort();
    if names.len() > FILES_MAX {
        return Err(KubeError::no_export(directory, "it has too many files"));
    }
    let mut found: Option<(String, String, String)> = None;
    let mut proxy = None;
    for path in names {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == pinfold_kube::objects::KUSTOMIZATION || name.ends_with(".example.yaml") {
            continue;
        }
        let bytes = bounded(&path, FILE_MAX)?;
        let wrong =
            |error: &dyn std::fmt::Display| KubeError::no_export(directory, format!("`{name}`: {error}"));
        let text = String::from_utf8(bytes).map_err(|error| wrong(&error))?;
        for document in documents(&text) {
            let head: Head = serde_saphyr::from_str_with_options(document, yaml::options(BOUNDS))
                .map_err(|error| wrong(&error))?;
            if KINDS.contains(&head.kind.as_str()) {
                found = Some((head.metadata.namespace, head.metadata.name, head.kind));
            } else if head.kind == "ConfigMap"
                && head.metadata.name.starts_with(PROXY)
                && let Some(Value::String(text)) = head.data.get("proxy.toml")
            {
                proxy = Some(ProxyFile::parse(Path::new("proxy.toml"), text.as_bytes())?);
            }
        }
    }
    let missing = |what: &str| KubeError::no_export(directory, format!("{what} is missing"));
    let (namespace, name, kind) = found.ok_or_else(|| missing("a Sandbox, pool, Pod or Job"))?;
    Ok(Read { namespace, name, kind, proxy: proxy.ok_or_else(|| missing("`proxy.toml`"))? })
}

/// The documents of a text, without those that are comments alone.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    let parts = text.split("\n---\n");
    parts.filter(|part| part.lines().any(|line| !line.starts_with('#') && !line.trim().is_empty()))
}
