//! Agents whose program is in the store: `agents = [{ name = "claude-code", nix = "nixpkgs#claude-code" }]`.
//!
//! ```text
//! /usr/local/bin/COMMAND ─► /nix/store/HASH-NAME/bin/COMMAND      of the component `agent/NAME`
//! ```
//!
//! The command is where that of npm would be, and nothing else of the root is on PATH. All that the recipe teaches beside its origin
//! (settings, environment, hosts, keys) is the same.
//!
//! **Refuses**: roots without that program in `bin`.

use std::collections::BTreeMap;

use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_sources::nix::LockedNix;
use pinfold_sources::nix::LockedRoot;
use pinfold_sources::nix::StorePath;

use super::Named;
use super::store;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::sources::Placing;
use crate::sources::STILL;
use crate::sources::SourceError;

/// A root of an agent without its program.
#[derive(Debug, thiserror::Error)]
#[error("`{agent}` has no program `bin/{command}` among the store paths that it is taken from ({paths})")]
struct NoProgram {
    agent: String,
    command: String,
    paths: String,
}

impl Diagnose for NoProgram {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some("name the package that has it in `nix`, with its output where it is not a usual one: `nixpkgs#NAME^bin`".into())
    }
}

/// Roots of agents with their names.
pub(super) fn locked(locked: &LockedNix) -> impl Iterator<Item = (&str, &LockedRoot)> {
    locked.roots.iter().filter_map(|root| Some((root.agent.as_deref()?, root)))
}

/// The versions of a project's agents that are in the store on a platform.
pub(crate) fn versions<'a>(
    project: &Project,
    lock: &'a Lock,
    platform: Platform,
) -> BTreeMap<&'a str, String> {
    let is_asked = |(agent, _): &(&str, &LockedRoot)| {
        project.recipes.iter().any(|recipe| recipe.root().is_some() && recipe.name == *agent)
    };
    let mut versions = BTreeMap::new();
    for (agent, root) in lock.nix.get(&platform).into_iter().flat_map(locked).filter(is_asked) {
        versions.entry(agent).or_insert_with(|| Named::of(&root.path).version);
    }
    versions
}

/// The commands of one platform.
pub(super) fn of(
    store: &store::Placed,
    roots: &LockedNix,
    placing: &Placing<'_>,
) -> Result<Tree, SourceError> {
    let mut tree = Tree::new();
    for recipe in placing.project.recipes.iter().filter(|recipe| recipe.root().is_some()) {
        let own = locked(roots).filter(|(agent, _)| *agent == recipe.name);
        let own: Vec<&StorePath> = own.map(|(_, root)| &root.path).collect();
        let mut places = Vec::new();
        for path in &own {
            places.push(store::place(path)?.join("bin")?.join(&recipe.command)?);
        }
        let Some(program) = places.into_iter().find(|at| is_program(store.tree(), at)) else {
            let paths: Vec<String> = own.into_iter().map(|path| format!("`{path}`")).collect();
            let (agent, command) = (recipe.name.clone(), recipe.command.clone());
            return Err(SourceError::of(NoProgram { agent, command, paths: paths.join(", ") }));
        };
        let at = ImagePath::new(format!("usr/local/bin/{}", recipe.command))?;
        let target = [b"/", program.as_bytes()].concat();
        tree.add(at, Node::symlink(&recipe.component(), STILL, target))?;
    }
    Ok(tree)
}

/// Whether a file is there that may be executed.
fn is_program(store: &Tree, at: &ImagePath) -> bool {
    let node = store.resolve(at).and_then(|real| store.get(&real).cloned());
    node.is_some_and(|node| matches!(node.kind, NodeKind::File(_)) && node.meta.mode & 0o111 != 0)
}

#[cfg(test)]
mod tests;
