//! Programs of a workspace that settings of agents, editors and shells name: servers of tools (`.mcp.json`), hooks, helpers for
//! keys, interpreters, tasks that begin when a folder is opened, and what `.envrc` has its shell look in.
//!
//! **Guarantees**: a reader of text and nothing else; what it does not understand it passes over, as whoever reads the file
//! does, and what it has not read to its end it tells. Words are judged as those of git's configuration are ([`super::shell`]).
//! **Leaves**: what such a program calls by itself, and what a package manager is told to run (`npm run x`).

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use serde_json::Value;

use super::config;
use super::shell;
use super::shell::Given;
use super::shell::PLACE;
use super::shell::Word;

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
/// Likewise, each with a form of its own.
const ENVRC: &str = ".envrc";
const TASKS: &str = ".vscode/tasks.json";
const SETTINGS: &str = ".vscode/settings.json";

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
/// Last parts of the names of an editor's settings, in lower case, whose value is a program that it starts.
const PROGRAMS: [&str; 13] = [
    "binary",
    "binarypath",
    "clangdpath",
    "command",
    "compilerpath",
    "defaultinterpreterpath",
    "executable",
    "executablepath",
    "interpreter",
    "nodepath",
    "path",
    "pythonpath",
    "serverpath",
];
/// Git's configuration, among the files that [`programs`] knows.
const CONFIG: &str = ".git/config";
/// What stands for the workspace in a command.
const HERE: [&str; 7] = [
    "${CLAUDE_PROJECT_DIR}",
    "$CLAUDE_PROJECT_DIR",
    "${workspaceFolder}",
    "${workspaceRoot}",
    "${localWorkspaceFolder}",
    "${PWD}",
    "$PWD",
];
/// What stands for the home.
const HOME: [&str; 4] = ["${userHome}", "${env:HOME}", "${HOME}", "$HOME"];
/// Ending of files at the top that an editor opens as a workspace, with settings and tasks of its own.
const EXTENSION: &str = "code-workspace";
/// Bytes of a file that are read.
const FILE_MAX: u64 = 4 << 20;
/// Words that are kept of one workspace.
const CALLS_MAX: usize = 1000;

/// A word of a command that may be a file.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::run) struct Call {
    /// Counted from the workspace, or with `~`.
    pub(super) path: String,
    /// Whether it is what is executed: the command itself, what an interpreter is given, what begins as paths do.
    pub(super) program: bool,
    /// The interpreter that is given it.
    pub(super) given: Given,
    /// Whether it is a directory of programs.
    pub(super) folder: bool,
    /// The file that says so.
    pub(super) by: String,
}

/// What the settings at the top of a directory call.
#[derive(Debug, Default)]
pub(in crate::run) struct Calls {
    pub(super) all: Vec<Call>,
    /// What was not read to its end, and why.
    pub(super) incomplete: Vec<(PathBuf, String)>,
}

/// What the settings at the top of `directory` call.
pub(in crate::run) fn calls(directory: &Path) -> Calls {
    let mut found = Calls::default();
    let named = FILES.into_iter().chain([ENVRC, TASKS, SETTINGS]).map(str::to_owned);
    for by in named.chain(workspaces(directory)) {
        let file = directory.join(&by);
        let Ok(data) = fs::metadata(&file) else { continue };
        if !data.is_file() {
            continue;
        }
        if data.len() > FILE_MAX {
            found.incomplete.push((file, format!("it has more than {} MiB", FILE_MAX >> 20)));
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let words = words(&by, &text);
        let left = CALLS_MAX.saturating_sub(found.all.len());
        if words.len() > left {
            found.incomplete.push((file, format!("settings name more than {CALLS_MAX} words of commands")));
        }
        found.all.extend(words.into_iter().take(left).map(|word| {
            Call {
                path: word
                    .text
                    .strip_prefix(PLACE)
                    .map_or(word.text.as_str(), |rest| rest.trim_start_matches('/'))
                    .to_owned(),
                program: word.is_run,
                given: word.given,
                folder: word.folder,
                by: by.clone(),
            }
        }));
    }
    found
}

/// What the text of a file has the host run, for a file of one of these names (`.mcp.json`, `.envrc`, `.git/config`), as it is spelled:
/// words that are a program or a path where there is one. Nothing is looked at but the text.
pub fn programs(by: &str, text: &str) -> Vec<String> {
    let words = if by == CONFIG {
        let entries = config::entries(text).into_iter();
        entries.filter(config::Entry::is_executed).flat_map(|entry| entry.programs()).collect()
    } else {
        words(by, text)
    };
    words.into_iter().filter(|word| word.is_run).map(|word| word.text.replace(PLACE, ".")).collect()
}

/// Files at the top of `directory` that an editor opens as a workspace.
fn workspaces(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<String> =
        names.filter(|name| Path::new(name).extension().is_some_and(|kind| kind == EXTENSION)).collect();
    found.sort();
    found
}

/// Words of commands in the text of a file.
fn words(by: &str, text: &str) -> Vec<Word> {
    if by == ENVRC {
        return shell::line("", text);
    }
    let ending = by.rsplit('.').next();
    let value = if ending == Some("toml") {
        toml::from_str(text).ok()
    } else {
        serde_json::from_str(&plain(text)).ok()
    };
    let Some(value) = value else { return Vec::new() };
    let mut found = Vec::new();
    match by {
        TASKS => tasks(&value, &mut found),
        SETTINGS => settings(&value, &mut found),
        _ if ending == Some(EXTENSION) => {
            tasks(&value["tasks"], &mut found);
            settings(&value["settings"], &mut found);
        }
        _ => commands(&value, &mut found),
    }
    found
}

/// What begins when a folder is opened, and the tasks that it says must run before.
fn tasks(value: &Value, found: &mut Vec<Word>) {
    let all: &[Value] = value["tasks"].as_array().map_or(&[], Vec::as_slice);
    let mut wanted: Vec<&Value> =
        all.iter().filter(|task| task["runOptions"]["runOn"] == "folderOpen").collect();
    let mut done = 0;
    while let Some(task) = wanted.get(done).copied() {
        done += 1;
        commands(task, found);
        let before = &task["dependsOn"];
        let before: Vec<&Value> =
            before.as_array().map_or_else(|| vec![before], |many| many.iter().collect());
        for other in all {
            let is_named = before
                .iter()
                .any(|name| name.is_string() && (*name == &other["label"] || *name == &other["taskName"]));
            if is_named && !wanted.iter().any(|known| std::ptr::eq(*known, other)) {
                wanted.push(other);
            }
        }
    }
}

/// Programs that an editor's settings name by their paths.
fn settings(value: &Value, found: &mut Vec<Word>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| settings(value, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let last = key.rsplit('.').next().unwrap_or(key).to_ascii_lowercase();
                if PROGRAMS.contains(&last.as_str()) {
                    let arguments: Vec<String> = strings(value).iter().map(|text| here(text)).collect();
                    found.extend(shell::arguments("", &arguments));
                }
                settings(value, found);
            }
        }
        _ => {}
    }
}

/// A text in which the workspace, and the home, have one name.
fn here(text: &str) -> String {
    let own = |text: String, name: &str| text.replace(&format!("\"{name}\""), PLACE).replace(name, PLACE);
    let text = HERE.into_iter().fold(text.to_owned(), own);
    HOME.into_iter().fold(text, |text, name| text.replace(name, "~"))
}

/// The commands in a value, at any depth.
fn commands(value: &Value, found: &mut Vec<Word>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| commands(value, found)),
        Value::Object(fields) => {
            // The directory that it is for, where it says one.
            let cwd =
                fields.get("cwd").or_else(|| fields.get("options").and_then(|options| options.get("cwd")));
            let cwd = here(cwd.and_then(Value::as_str).unwrap_or_default());
            for (key, value) in fields {
                if COMMANDS.contains(&key.as_str()) {
                    let more = fields.get("args").filter(|_| key == "command");
                    command(&cwd, value, &more.map(strings).unwrap_or_default(), found);
                }
                commands(value, found);
            }
        }
        _ => {}
    }
}

/// Words of one command with further arguments. A text alone is a line for some and a name for others.
fn command(cwd: &str, value: &Value, more: &[String], found: &mut Vec<Word>) {
    if let Value::Object(fields) = value {
        if let Some(program) = fields.get("path").or_else(|| fields.get("command")) {
            let arguments = fields.get("args").or_else(|| fields.get("arguments"));
            command(cwd, program, &arguments.map(strings).unwrap_or_default(), found);
        } else {
            // Several, each under a name.
            fields.values().for_each(|value| command(cwd, value, more, found));
        }
        return;
    }
    let first = strings(value);
    let arguments: Vec<String> = first.iter().chain(more).map(|text| here(text)).collect();
    found.extend(shell::arguments(cwd, &arguments));
    if let Value::String(text) = value
        && text.contains(|c: char| !c.is_alphanumeric())
    {
        let quoted = more.iter().map(|text| format!(" '{}'", text.replace('\'', "'\\''")));
        found.extend(shell::line(cwd, &here(&format!("{text}{}", quoted.collect::<String>()))));
    }
}

/// The strings of a value.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(strings).collect(),
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
    use std::collections::BTreeSet;

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
            (
                ".mcp.json",
                r#"{"mcpServers": {"a": {"command": "my tools/run"}, "b": {"command": "~/w/run"}, "c": {"command": "npx -y ./d"}}}"#,
                &["my tools/run", "~/w/run", "./d"],
            ),
            (
                ".codex/config.toml",
                "[mcp_servers.a]\ncommand = 'uv'\nargs = ['run', 'scripts/s4']\n[mcp_servers.b]\ncommand = 'bash'\nargs = ['-c', 'cd scripts && ./s3']\n",
                &["scripts/s4", "scripts/./s3", "cd scripts && ./s3"],
            ),
            (
                ".vscode/tasks.json",
                r#"{"tasks": [
                    {"label": "a", "command": "${workspaceFolder}/scripts/lint", "runOptions": {"runOn": "folderOpen"}, "dependsOn": ["b"]},
                    {"label": "b", "command": "sh", "args": ["b.sh"], "options": {"cwd": "${workspaceFolder}/sub"}, "dependsOn": "a"},
                    {"label": "c", "command": "./asked-for"}]}"#,
                &["scripts/lint", "sub/b.sh"],
            ),
            (
                ".vscode/settings.json",
                r#"{"python.defaultInterpreterPath": "${workspaceFolder}/env/bin/python", "a.path": ["./tools/a"], "editor.tabSize": 4,
                    "terminal.integrated.profiles.linux": {"x": {"path": "${userHome}/x"}}, "files.exclude": {"./b": true}}"#,
                &["env/bin/python", "./tools/a", "~/x"],
            ),
            (
                "x.code-workspace",
                r#"{"folders": [{"path": "./no"}], "settings": {"a.executable": "./tools/a"},
                    "tasks": {"tasks": [{"command": "./t", "runOptions": {"runOn": "folderOpen"}}]}}"#,
                &["./tools/a", "./t"],
            ),
            (
                ".envrc",
                "PATH_add bin\nsource_env_if_exists .envrc.local\nuse flake\n",
                &["bin", ".envrc.local"],
            ),
            (".mcp.json", "not json", &[]),
            ("other.json", r#"{"command": "./no.sh"}"#, &[]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            let found = calls(dir.path()).all;
            // A line is a word as well, since a program's name may have blanks in it.
            let named = |path: &&str| !path.contains(' ') || expected.contains(path);
            let programs: BTreeSet<&str> = found
                .iter()
                .filter(|call| call.program)
                .map(|call| call.path.as_str())
                .filter(named)
                .collect();
            assert_eq!(programs, expected.iter().copied().collect(), "{file}: {found:?}");
            assert!(found.iter().all(|call| call.by == file));
        }
    }

    /// Who reads the file obeys all of it.
    #[test]
    fn what_is_not_read_to_its_end_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(".mcp.json");
        let commands: Vec<Value> =
            (0..700).map(|n| serde_json::json!({"command": format!("./{n}")})).collect();
        for (text, incomplete) in [
            (serde_json::json!({"a": commands[..400]}).to_string(), false),
            (serde_json::json!({"a": commands}).to_string(), true),
            (format!("{{\"a\": \"{}\"}}", "x".repeat(4 << 20)), true),
        ] {
            fs::write(&file, text).unwrap();
            let found = calls(dir.path());
            assert!(found.all.len() <= CALLS_MAX);
            assert_eq!(
                found.incomplete.iter().any(|(path, _)| *path == file),
                incomplete,
                "{:?}",
                found.incomplete
            );
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
            assert_eq!(calls(dir.path()).all[0].path, expected, "{cwd} {command}");
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
