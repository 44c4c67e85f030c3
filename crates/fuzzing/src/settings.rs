//! Settings of a workspace that name programs: of agents, editors and direnv, and git's configuration.

use pinfold_engine::run::programs;

/// The forms that there are, each by a file that has it.
const FILES: [&str; 7] = [
    ".mcp.json",
    ".codex/config.toml",
    ".envrc",
    ".git/config",
    ".vscode/settings.json",
    ".vscode/tasks.json",
    "x.code-workspace",
];

/// Any text as each of them: what is found is bounded by the text and holds nothing that no path can have. What is JSON already
/// means the same with a comment before it and blanks in it.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for file in FILES {
        let found = programs(file, text);
        // A word is a name and a line, on each level of lines in lines, and of commands in commands.
        assert!(found.len() <= 1024 * (text.len() + 1), "{} words in {} bytes", found.len(), text.len());
        assert!(found.iter().all(|word| !word.is_empty() && !word.contains('\0')), "{found:?}");
    }
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return };
    let Ok(pretty) = serde_json::to_string_pretty(&value) else { return };
    let commented = format!("/* \" */ {pretty} // [");
    for file in [".mcp.json", ".vscode/settings.json", ".vscode/tasks.json"] {
        assert_eq!(programs(file, text), programs(file, &commented), "{file}");
    }
}
