//! What a kustomization lists, and what it would change.

use super::read;
use super::text::short;
use super::types::Document;
use super::value::Node;

/// What a kustomization says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kustomization {
    /// Files and directories, each with its line.
    pub resources: Vec<(u32, String)>,
    /// What it does to objects that is not done here, each with its line.
    pub changes: Vec<(u32, String)>,
}

/// Fields that name other files, or say how they are put together.
const LISTS: [&str; 3] = ["resources", "components", "bases"];
/// Fields that change no object.
const QUIET: [&str; 6] = ["apiVersion", "kind", "metadata", "sortOptions", "openapi", "buildMetadata"];

/// Reads a kustomization; nothing where it is none.
pub fn kustomization(document: &Document) -> Kustomization {
    let mut told = Kustomization::default();
    let objects = read::objects(document, 0).unwrap_or_default();
    for entry in objects.iter().filter_map(|object| object.root.map()).flatten() {
        if LISTS.contains(&entry.name.as_str()) {
            let names =
                entry.node.items().iter().filter_map(|node| Some((node.line, node.text()?.to_owned())));
            told.resources.extend(names);
        } else if !QUIET.contains(&entry.name.as_str()) && !is_empty(&entry.node) {
            let message = format!(
                "`{}` changes objects before they are applied, and is not done here",
                short(&entry.name)
            );
            told.changes.push((entry.line, message));
        }
    }
    told
}

fn is_empty(node: &Node) -> bool {
    node.items().is_empty()
        && node.map().is_none_or(|map| map.iter().next().is_none())
        && node.text().unwrap_or_default().is_empty()
}
