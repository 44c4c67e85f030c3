//! Names at the top of a workspace that tools of the host obey, and what stands in for them.

use std::path::Path;

use fs_err as fs;
use pinfold_sandbox::spec::StandIn;

use super::known::Care;
use super::known::Known;
use super::known::NAMES;
use crate::project::recipe::Recipe;

/// A name at the top of a workspace, and what stands in for it.
pub(in crate::run) struct Name {
    pub(in crate::run) path: String,
    pub(super) missing: StandIn,
}

/// What is always kept: of everybody, of the built-in recipes (their agents may run on the host, whatever runs inside) and of
/// `recipes`. Git's own is known in more detail.
pub(in crate::run) fn names(recipes: &[Recipe]) -> Vec<Name> {
    let known: Vec<&Recipe> = Recipe::built_in_agents().collect();
    let directory = |path: &str| Name { path: path.to_owned(), missing: StandIn::Directory };
    let always = NAMES.iter().filter(|(_, care, _)| *care == Care::Always);
    let mut names: Vec<Name> = always.map(|(name, ..)| directory(name)).collect();
    for recipe in known.into_iter().chain(recipes) {
        // A directory in the place of such a file would stop the agent that reads it, and a file would be seen by git, outside
        // and inside: where that agent runs it is looked for at the end instead.
        let inside = recipes.iter().any(|other| other.name == recipe.name);
        let file = if inside { StandIn::Watched(recipe.title.clone()) } else { StandIn::Directory };
        names.extend(recipe.run.protect.iter().map(|path| directory(path.as_str())));
        let files = recipe.run.protect_files.iter();
        names.extend(files.map(|path| Name { path: path.as_str().to_owned(), missing: file.clone() }));
    }
    names
}

/// Of what is kept where it is, or where its directory is, the names that could be there, each with what stands in for it while
/// it is missing. The directory is listed once: of hundreds of names hardly one is there.
pub(super) fn present(directory: &Path) -> Vec<(&'static str, Option<StandIn>)> {
    let mut found = Vec::new();
    let mut take = |names: &[Known]| {
        found.extend(names.iter().filter_map(|(name, care, _)| match care {
            Care::Present => Some((*name, None)),
            Care::Beside => Some((*name, Some(StandIn::Directory))),
            Care::BesideFile => Some((*name, Some(StandIn::File))),
            Care::Always | Care::Told | Care::Used => None,
        }));
    };
    let Ok(entries) = fs::read_dir(directory) else {
        take(NAMES);
        return found;
    };
    for entry in entries.flatten() {
        if let Some(first) = entry.file_name().to_str() {
            let [itself, below] = beginning_with(first);
            take(itself);
            take(below);
        }
    }
    found
}

/// The name that is `first`, and those that lie in it: the table is in the order of its bytes.
fn beginning_with(first: &str) -> [&'static [Known]; 2] {
    let part = |from: &str, is: &dyn Fn(&str) -> bool| {
        let begin = NAMES.partition_point(|(name, ..)| *name < from);
        let rest = &NAMES[begin..];
        &rest[..rest.partition_point(|(name, ..)| is(name))]
    };
    let below = format!("{first}/");
    [part(first, &|name| name == first), part(&below, &|name| name.starts_with(&below))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_in_the_table_once_and_in_order() {
        for two in NAMES.windows(2) {
            assert!(two[0].0 < two[1].0, "{} before {}", two[0].0, two[1].0);
        }
        for (name, ..) in NAMES {
            let found = |first: &str| beginning_with(first).concat().iter().any(|(found, ..)| found == name);
            assert!(found(name.split('/').next().unwrap()), "{name}");
            assert!(!found("no-such-name"), "{name}");
        }
    }

    #[test]
    fn what_could_be_there_is_told_from_one_listing() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".hg/store", ".github/workflows", ".helix", "mise", ".vscode", "src"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("Makefile"), "").unwrap();
        let mut found: Vec<_> = present(dir.path()).into_iter().map(|(name, _)| name).collect();
        found.sort_unstable();
        let expected = [
            ".github/copilot",
            ".github/hooks",
            ".github/lsp.json",
            ".github/mcp.json",
            ".helix",
            ".hg/hgrc",
            ".hg/hgrc-not-shared",
            ".hg/requires",
            ".hg/sharedpath",
            "mise/config.local.toml",
            "mise/config.toml",
        ];
        assert_eq!(found, expected);
    }
}
