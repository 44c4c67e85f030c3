//! Names at the top of a workspace that tools of the host obey.

use pinfold_sandbox::spec::StandIn;

use crate::project::recipe::Recipe;

/// What shells, editors and more than one agent obey without a question, if only for a directory that was trusted once. Git's
/// own is known in more detail.
const NAMES: [&str; 16] = [
    ".aider.conf.yml",
    ".continue",
    ".crush.json",
    ".cursor",
    ".devcontainer",
    ".envrc",
    ".idea",
    ".kiro/hooks",
    ".kiro/settings",
    ".mcp.json",
    ".qwen",
    ".roo",
    ".vscode",
    ".windsurf",
    ".zed",
    "crush.json",
];

/// What is kept where it is and told where it is new: while it is missing no tool has been told to trust it, the user must have
/// set a tool up to read it, or a stand-in would be in the way of ordinary work (`.github`).
pub(in crate::run) const PRESENT: [&str; 6] =
    [".exrc", ".github/hooks", ".mise.toml", ".nvim.lua", ".vimrc", "mise.toml"];

/// Files of editors that may have any name before it, likewise.
pub(in crate::run) const EXTENSION: &str = "code-workspace";

/// A name at the top of a workspace, and what stands in for it.
pub(in crate::run) struct Name {
    pub(in crate::run) path: String,
    pub(super) missing: StandIn,
}

/// Those of everybody, of the built-in recipes (their agents may run on the host, whatever runs inside) and of `recipes`.
pub(in crate::run) fn names(recipes: &[Recipe]) -> Vec<Name> {
    let known: Vec<&Recipe> = Recipe::built_in_agents().collect();
    let directory = |path: &str| Name { path: path.to_owned(), missing: StandIn::Directory };
    let mut names: Vec<Name> = NAMES.into_iter().map(directory).collect();
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
