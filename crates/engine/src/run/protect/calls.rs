//! Programs of a workspace that settings of agents and editors name: servers of tools (`.mcp.json`), hooks, helpers for keys.
//!
//! **Guarantees**: a reader of text and nothing else; what it does not understand it passes over, as whoever reads the file
//! does. Words are judged as those of git's configuration are ([`super::config`]). **Leaves**: what such a program calls by
//! itself, and what a package manager is told to run (`npm run x`).

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use serde_json::Value;

use super::config;

/// Files that name programs, at the top of a workspace.
const FILES: [&str; 19] = [
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".codex/config.toml",
    ".crush.json",
    ".cursor/hooks.json",
    ".cursor/mcp.json",
    ".devcontainer/devcontainer.json",
    ".gemini/settings.json",
    ".kiro/settings/mcp.json",
    ".mcp.json",
    ".opencode/opencode.json",
    ".qwen/settings.json",
    ".roo/mcp.json",
    ".vscode/mcp.json",
    ".windsurf/hooks.json",
    ".zed/settings.json",
    "crush.json",
    "opencode.json",
    "opencode.jsonc",
];
/// Keys whose value is a command although it has no word of its own for one.
const COMMANDS: [&str; 7] = [
    "apiKeyHelper",
    "awsAuthRefresh",
    "awsCredentialExport",
    "command",
    "initializeCommand",
    "notify",
    "otelHeadersHelper",
];
/// What stands for the workspace in a command.
const HERE: [&str; 6] = [
    "${CLAUDE_PROJECT_DIR}",
    "$CLAUDE_PROJECT_DIR",
    "${workspaceFolder}",
    "${localWorkspaceFolder}",
    "${PWD}",
    "$PWD",
];
/// Put in their place; no text that anybody writes has it.
const PLACE: &str = "\u{1}";
/// Bytes of a file that are read.
const FILE_MAX: u64 = 1 << 20;
/// Words that are kept of one workspace.
const CALLS_MAX: usize = 1000;

/// A word of a command that may be a file.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::run) struct Call {
    /// Counted from the workspace.
    pub(in crate::run) path: PathBuf,
    /// Whether it is what is executed: the command itself, what an interpreter is given, what begins as paths do.
    pub(in crate::run) program: bool,
    /// The file that says so.
    pub(in crate::run) by: &'static str,
}

/// What the settings at the top of `directory` call.
pub(in crate::run) fn calls(directory: &Path) -> Vec<Call> {
    let mut found = Vec::new();
    for by in FILES {
        let file = directory.join(by);
        let read = fs::metadata(&file).is_ok_and(|data| data.is_file() && data.len() <= FILE_MAX);
        let Some(text) = read.then(|| fs::read_to_string(&file).ok()).flatten() else { continue };
        let value = if file.extension().is_some_and(|kind| kind == "toml") {
            toml::from_str(&text).ok()
        } else {
            serde_json::from_str(&plain(&text)).ok()
        };
        for (cwd, line) in value.as_ref().map(commands).unwrap_or_default() {
            let (cwd, line) = (here(&cwd.unwrap_or_default()), here(&line));
            found.extend(config::programs(&line).map(|word| Call {
                // The workspace, wherever the command is run.
                path: match word.text.strip_prefix(PLACE) {
                    Some(rest) => PathBuf::from(rest.trim_start_matches('/')),
                    None => Path::new(cwd.trim_start_matches(PLACE).trim_start_matches('/')).join(word.text),
                },
                program: word.is_path || word.given || word.text.starts_with(PLACE),
                by,
            }));
        }
    }
    found.truncate(CALLS_MAX);
    found
}

/// A text in which the workspace has one name.
fn here(text: &str) -> String {
    let own = |text: String, name: &str| text.replace(&format!("\"{name}\""), PLACE).replace(name, PLACE);
    HERE.into_iter().fold(text.to_owned(), own)
}

/// The commands in a value, at any depth: the directory that each is for, where it says one, and its words.
fn commands(value: &Value) -> Vec<(Option<String>, String)> {
    let mut found = Vec::new();
    match value {
        Value::Array(all) => found.extend(all.iter().flat_map(commands)),
        Value::Object(fields) => {
            let cwd = fields.get("cwd").and_then(Value::as_str).map(str::to_owned);
            for (key, value) in fields {
                if COMMANDS.contains(&key.as_str()) {
                    let mut line = words(value);
                    if key == "command" {
                        line.extend(fields.get("args").map(words).unwrap_or_default());
                    }
                    found.push((cwd.clone(), line.join(" ")));
                }
                found.extend(commands(value));
            }
        }
        _ => {}
    }
    found
}

/// The strings of a value, a program's before its arguments.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(words).collect(),
        Value::Object(fields) => {
            let first = ["path", "command"].iter().filter_map(|key| fields.get(*key));
            let rest = fields.iter().filter(|(key, _)| !matches!(key.as_str(), "path" | "command" | "env"));
            first.chain(rest.map(|(_, value)| value)).flat_map(words).collect()
        }
        _ => Vec::new(),
    }
}

/// JSON without the comments and the commas at the end of lists that editors let stand.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Where a comma stands that nothing has come after yet.
    let mut comma = None;
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
            continue;
        }
        if rest.starts_with("/*") {
            rest = rest[2..].find("*/").map_or("", |end| &rest[end + 4..]);
            continue;
        }
        let end = if c == '"' { string(rest) } else { c.len_utf8() };
        match c {
            ',' => comma = Some(plain.len()),
            ']' | '}' => {
                if let Some(at) = comma.take() {
                    plain.remove(at);
                }
            }
            c if c.is_whitespace() => {}
            _ => comma = None,
        }
        plain.push_str(&rest[..end]);
        rest = &rest[end..];
    }
    plain
}

/// Bytes of the string that a text begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_settings_call_is_found_in_each_of_their_forms() {
        for (file, text, expected) in [
            (
                ".mcp.json",
                r#"{"mcpServers": {"a": {"command": "node", "args": ["./tools/mcp.js", "--x"], "env": {"command": "no/1"}}}}"#,
                &["./tools/mcp.js", "no/1"][..],
            ),
            (
                ".mcp.json",
                r#"{"mcpServers": {"a": {"command": "tools/run", "args": ["8080"]}}}"#,
                &["tools/run"],
            ),
            (
                ".claude/settings.json",
                r#"{"hooks": {"Stop": [{"hooks": [{"type": "command", "command": "\"$CLAUDE_PROJECT_DIR\"/x/stop.sh a"}]}]},
                    "apiKeyHelper": "./key.sh", "permissions": {"allow": ["Bash(./no.sh)"]}}"#,
                &["x/stop.sh", "./key.sh"],
            ),
            (
                "opencode.jsonc",
                "{ // servers\n \"mcp\": {\"a\": {\"type\": \"local\", /* \" */ \"command\": [\"python3\", \"srv/a.py\",],},},\n}",
                &["srv/a.py"],
            ),
            (".codex/config.toml", "[mcp_servers.a]\ncommand = 'sh'\nargs = ['run.sh']\n", &["run.sh"]),
            (
                ".zed/settings.json",
                r#"{"context_servers": {"a": {"command": {"path": "bin/a", "args": []}}}}"#,
                &["bin/a"],
            ),
            (
                ".devcontainer/devcontainer.json",
                r#"{"initializeCommand": {"one": "bash one.sh", "two": ["./two.sh"]}, "postCreateCommand": "./no.sh"}"#,
                &["one.sh", "./two.sh"],
            ),
            (".vscode/mcp.json", r#"{"servers": {"a": {"command": "${workspaceFolder}/a"}}}"#, &["a"]),
            (".mcp.json", "not json", &[]),
            ("other.json", r#"{"command": "./no.sh"}"#, &[]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            let found = calls(dir.path());
            let programs: Vec<_> =
                found.iter().filter(|call| call.program).map(|call| call.path.as_path()).collect();
            assert_eq!(programs, expected.iter().map(Path::new).collect::<Vec<_>>(), "{file}: {found:?}");
            assert!(found.iter().all(|call| call.by == file));
        }
    }

    #[test]
    fn a_command_counts_from_its_own_directory() {
        let dir = tempfile::tempdir().unwrap();
        for (cwd, command, expected) in [
            ("servers/a", "./run", "servers/a/./run"),
            ("${workspaceFolder}/servers", "./run", "servers/./run"),
            ("servers", "${workspaceFolder}/run", "run"),
            ("servers", "/usr/bin/env", "/usr/bin/env"),
        ] {
            let json = serde_json::json!({ "a": { "command": command, "cwd": cwd } });
            fs::write(dir.path().join(".mcp.json"), json.to_string()).unwrap();
            assert_eq!(calls(dir.path())[0].path.as_os_str(), expected, "{cwd} {command}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text: String) {
            plain(&text);
            plain(&format!("{{\"{text}, /*{text}"));
        }

        /// What is JSON already means the same.
        #[test]
        fn json_stays_what_it_is(strings: Vec<String>) {
            let json = serde_json::json!({ "a": strings, "b": [1, [], {}] });
            for text in [json.to_string(), serde_json::to_string_pretty(&json).unwrap()] {
                assert_eq!(serde_json::from_str::<Value>(&plain(&text)).unwrap(), json);
            }
        }
    }
}
