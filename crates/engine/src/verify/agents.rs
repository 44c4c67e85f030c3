//! Whether the agents that an image names are there, configured as their recipes say, and act without asking.
//!
//! Configurations are compared key by key: what the recipe says must be there with its value, what else is there is the owner's. Files of
//! an administrator (`/etc/codex/requirements.toml`) are read before the home's by the agents, so that they may take back what the
//! home says.

use serde_json::Value;

use super::checks::AGENTS_AUTONOMY;
use super::checks::AGENTS_CONFIG;
use super::checks::AGENTS_PRESENT;
use super::report::Finding;
use super::report::Outcome;
use super::start;
use super::subject::Agent;
use super::subject::Subject;
use crate::project::recipe::RecipeKind;

/// What makes an agent act without asking: file in the home, key, value. (The agents' documentation, and runs of each.)
const AUTONOMY: [(&str, &str, &[&str], &str); 8] = [
    ("claude-code", ".claude.json", &["hasCompletedOnboarding"], "true"),
    ("claude-code", ".claude/settings.json", &["permissions", "defaultMode"], "\"bypassPermissions\""),
    ("claude-code", ".claude/settings.json", &["skipDangerousModePermissionPrompt"], "true"),
    ("codex-cli", ".codex/config.toml", &["approval_policy"], "\"never\""),
    ("codex-cli", ".codex/config.toml", &["sandbox_mode"], "\"danger-full-access\""),
    ("gemini-cli", ".gemini/settings.json", &["security", "folderTrust", "enabled"], "false"),
    ("gemini-cli", ".gemini/policies/allow.toml", &["rule", "decision"], "\"allow\""),
    ("opencode", ".config/opencode/opencode.json", &["permission"], "\"allow\""),
];

/// Files of an administrator that can take it back: agent, file, key, and the value that leaves it.
const ADMINISTRATOR: [(&str, &str, &[&str], &str); 6] = [
    (
        "claude-code",
        "/etc/claude-code/managed-settings.json",
        &["permissions", "defaultMode"],
        "\"bypassPermissions\"",
    ),
    (
        "claude-code",
        "/etc/claude-code/managed-settings.json",
        &["permissions", "disableBypassPermissionsMode"],
        "\"\"",
    ),
    ("codex-cli", "/etc/codex/requirements.toml", &["allowed_approval_policies"], "[\"never\"]"),
    ("codex-cli", "/etc/codex/managed_config.toml", &["approval_policy"], "\"never\""),
    ("gemini-cli", "/etc/gemini-cli/settings.json", &["security", "disableYoloMode"], "false"),
    ("opencode", "/etc/opencode/opencode.json", &["permission"], "\"allow\""),
];

/// Which files of an administrator are read.
pub(super) fn administrator() -> impl Iterator<Item = &'static str> {
    ADMINISTRATOR.iter().map(|(_, file, _, _)| *file)
}

/// All of these checks.
pub(super) fn check(subject: &Subject<'_>) -> Vec<Outcome> {
    if subject.agents.is_empty() {
        let reason = "the image names no agent (labels `dev.pinfold.agent.NAME`)";
        return [AGENTS_PRESENT, AGENTS_CONFIG, AGENTS_AUTONOMY]
            .map(|check| Outcome::not_run(check, reason))
            .into();
    }
    let mut outcomes = vec![present(subject)];
    if let Some(home) = &subject.user.home {
        outcomes.extend([config(subject, home), autonomy(subject, home)]);
    } else {
        let reason = "the image has no account for its user, so no home is known";
        outcomes.extend([AGENTS_CONFIG, AGENTS_AUTONOMY].map(|check| Outcome::not_run(check, reason)));
    }
    outcomes
}

/// The configuration of tmux, below a home.
const TMUX: &str = ".tmux.conf";

fn present(subject: &Subject<'_>) -> Outcome {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    let path = subject.env().get("PATH").copied().unwrap_or_default().to_owned();
    for Agent { name, version, recipe } in &subject.agents {
        let Some(recipe) = recipe else {
            seen.push(format!("{name} {version} (a recipe of its own, whose command is not known here)"));
            continue;
        };
        match start::command(&subject.follow(), &path, &recipe.command) {
            Ok(file) => seen.push(format!("{name} {version} at {file}")),
            Err(problem) => {
                found.push(Finding { at: recipe.command.clone(), problem: format!("{name}: {problem}") });
            }
        }
    }
    Outcome::looked(AGENTS_PRESENT, seen.join(", "), found)
}

fn config(subject: &Subject<'_>, home: &str) -> Outcome {
    let mut found = Vec::new();
    let (mut files, mut keys) = (Vec::new(), 0);
    for Agent { name, recipe, .. } in &subject.agents {
        for file in recipe.iter().flat_map(|recipe| &recipe.home) {
            files.push(file.path.as_str());
            let at = format!("{home}/{}", file.path);
            let Some(text) = subject.text(&at) else {
                found.push(Finding { at, problem: format!("{name} reads it, and it is not there") });
                continue;
            };
            let Some(expected) = parse(&file.path, &file.content) else { continue };
            match parse(&file.path, &text) {
                None => found.push(Finding {
                    at,
                    problem: format!("it is not well-formed, so {name} does not start"),
                }),
                Some(read) => {
                    let mut way = Vec::new();
                    keys += compare(&expected, Some(&read), &mut way, &mut |way, problem| {
                        found.push(Finding { at: format!("{at}: {way}"), problem });
                    });
                }
            }
        }
    }
    // No agent's own, and what agents are started in.
    if subject.text(&format!("{home}/{TMUX}")).is_some() {
        files.push(TMUX);
    }
    let named = files.join(" ");
    Outcome::looked(AGENTS_CONFIG, format!("{} files, {keys} keys: {named}", files.len()), found)
}

/// A configuration as a value; `None` when it is not well-formed, or of a form that is not known.
fn parse(name: &str, text: &str) -> Option<Value> {
    match name.rsplit_once('.')?.1 {
        "json" => serde_json::from_str(text).ok(),
        "toml" => toml::from_str(text).ok(),
        _ => None,
    }
}

/// Tells each key of `expected` that is missing or has another value; gives how many were looked at.
fn compare(
    expected: &Value,
    read: Option<&Value>,
    way: &mut Vec<String>,
    tell: &mut dyn FnMut(&str, String),
) -> usize {
    match (expected, read) {
        (Value::Object(all), Some(Value::Object(read))) => {
            let mut looked = 0;
            for (key, value) in all {
                way.push(key.clone());
                looked += compare(value, read.get(key), way, tell);
                way.pop();
            }
            looked
        }
        // Of a list each element must be somewhere: the owner may have more.
        (Value::Array(all), Some(Value::Array(read))) if all.iter().all(|one| read.contains(one)) => {
            all.len()
        }
        (expected, Some(read)) if expected == read => 1,
        (expected, read) => {
            let read = read.map_or_else(|| "missing".to_owned(), |read| format!("`{}`", short(read)));
            tell(&way.join("."), format!("it is {read}, expected `{}`", short(expected)));
            1
        }
    }
}

/// A value that fits into a line. (Configurations may hold what nobody should read in a log.)
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { format!("{}…", text.chars().take(59).collect::<String>()) } else { text }
}

fn autonomy(subject: &Subject<'_>, home: &str) -> Outcome {
    let mut found = Vec::new();
    let mut seen = Vec::new();
    let asks = |agent: &&Agent| agent.recipe.as_ref().is_none_or(|recipe| recipe.kind == RecipeKind::Agent);
    for Agent { name, .. } in subject.agents.iter().filter(asks) {
        let mine: Vec<_> = AUTONOMY.iter().filter(|(agent, ..)| agent == name).collect();
        if mine.is_empty() {
            seen.push(format!("{name}: not known what it asks"));
            continue;
        }
        let mut keys = Vec::new();
        for (_, file, way, expected) in mine {
            let at = format!("{home}/{file}");
            let read = subject.text(&at).and_then(|text| parse(file, &text));
            let read = read.as_ref().and_then(|read| find(read, way)).map(short);
            let key = way.join(".");
            if read.as_deref() == Some(*expected) {
                keys.push(format!("{}={}", way.last().unwrap_or(&""), expected.trim_matches('"')));
            } else {
                let read = read.map_or_else(|| "missing".to_owned(), |read| format!("`{read}`"));
                found.push(Finding {
                    at: format!("{at}: {key}"),
                    problem: format!("{name} asks before it acts: the key is {read}, expected `{expected}`"),
                });
            }
        }
        seen.push(format!("{name}: {}", keys.join(" ")));
        for (_, file, way, expected) in ADMINISTRATOR.iter().filter(|(agent, ..)| agent == name) {
            let read = subject.text(file).and_then(|text| parse(file, &text));
            let read = read.as_ref().and_then(|read| find(read, way)).map(short);
            if let Some(read) = read.filter(|read| read != expected) {
                found.push(Finding {
                    at: format!("{file}: {}", way.join(".")),
                    problem: format!("{name} obeys it before the home's configuration, and it is `{read}`"),
                });
            }
        }
    }
    Outcome::looked(AGENTS_AUTONOMY, seen.join("; "), found)
}

/// The value at a way of keys; of a list of tables the first that has it.
fn find<'a>(value: &'a Value, way: &[&str]) -> Option<&'a Value> {
    match (value, way) {
        (value, []) => Some(value),
        (Value::Object(object), [key, rest @ ..]) => find(object.get(*key)?, rest),
        (Value::Array(list), way) => list.iter().find_map(|value| find(value, way)),
        _ => None,
    }
}
