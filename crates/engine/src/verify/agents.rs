//! Whether the agents that an image names are there, configured as their recipes say, and act without asking.
//!
//! Configurations are compared key by key: what the recipe says must be there with its value, what else is there is the owner's. Files of
//! an administrator (`/etc/codex/requirements.toml`) are read before the home's by the agents, so that they may take back what the
//! home says.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::ImagePath;
use pinfold_image::compose::annotation;
use serde_json::Value;

use super::checks::AGENTS_AUTONOMY;
use super::checks::AGENTS_CONFIG;
use super::checks::AGENTS_PRESENT;
use super::report::Finding;
use super::report::Outcome;
use super::start;
use super::subject::Agent;
use super::subject::Subject;
use super::subject::children;
use crate::describe::Package;
use crate::project::recipe::Origin;
use crate::project::recipe::Recipe;
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

/// What leaves it as it is, where an administrator's file says anything.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// This value alone.
    Value(&'static str),
    /// A list that has this value.
    Among(&'static str),
    /// A list of nothing.
    Empty,
}

/// What can take it back: agent, file of an administrator, key, and what leaves it. Names of directories end with a slash: each file in
/// them is read.
const ADMINISTRATOR: [(&str, &str, &[&str], Leaves); 15] = [
    ("claude-code", CLAUDE, &["permissions", "defaultMode"], Leaves::Value("\"bypassPermissions\"")),
    ("claude-code", CLAUDE, &["permissions", "disableBypassPermissionsMode"], Leaves::Value("\"\"")),
    ("claude-code", CLAUDE, &["permissions", "ask"], Leaves::Empty),
    ("claude-code", CLAUDE, &["permissions", "deny"], Leaves::Empty),
    ("claude-code", CLAUDE_PARTS, &["permissions", "defaultMode"], Leaves::Value("\"bypassPermissions\"")),
    ("claude-code", CLAUDE_PARTS, &["permissions", "disableBypassPermissionsMode"], Leaves::Value("\"\"")),
    ("claude-code", CLAUDE_PARTS, &["permissions", "ask"], Leaves::Empty),
    ("claude-code", CLAUDE_PARTS, &["permissions", "deny"], Leaves::Empty),
    ("codex-cli", CODEX, &["allowed_approval_policies"], Leaves::Among("\"never\"")),
    ("codex-cli", CODEX, &["allowed_sandbox_modes"], Leaves::Among("\"danger-full-access\"")),
    ("codex-cli", "/etc/codex/managed_config.toml", &["approval_policy"], Leaves::Value("\"never\"")),
    (
        "codex-cli",
        "/etc/codex/managed_config.toml",
        &["sandbox_mode"],
        Leaves::Value("\"danger-full-access\""),
    ),
    ("gemini-cli", "/etc/gemini-cli/settings.json", &["security", "disableYoloMode"], Leaves::Value("false")),
    ("gemini-cli", "/etc/gemini-cli/settings.json", &["admin", "secureModeEnabled"], Leaves::Value("false")),
    ("opencode", "/etc/opencode/opencode.json", &["permission"], Leaves::Value("\"allow\"")),
];
const CLAUDE: &str = "/etc/claude-code/managed-settings.json";
const CLAUDE_PARTS: &str = "/etc/claude-code/managed-settings.d/";
const CODEX: &str = "/etc/codex/requirements.toml";

/// Variables with which an agent reads other files than those that are looked at, or none: agent, name, and the place under the home
/// that it reads without it.
const MOVES: [(&str, &str, &str); 13] = [
    ("", "HOME", ""),
    ("claude-code", "CLAUDE_CONFIG_DIR", "/.claude"),
    ("codex-cli", "CODEX_HOME", "/.codex"),
    ("gemini-cli", "GEMINI_CLI_HOME", ""),
    ("gemini-cli", "GEMINI_CLI_SYSTEM_SETTINGS_PATH", NO_PLACE),
    ("gemini-cli", "GEMINI_CLI_SYSTEM_DEFAULTS_PATH", NO_PLACE),
    ("opencode", "OPENCODE_CONFIG", "/.config/opencode/opencode.json"),
    ("opencode", "OPENCODE_CONFIG_DIR", "/.config/opencode"),
    ("opencode", "OPENCODE_CONFIG_CONTENT", NO_PLACE),
    ("opencode", "OPENCODE_PERMISSION", NO_PLACE),
    ("opencode", "OPENCODE_DISABLE_PROJECT_CONFIG", NO_PLACE),
    ("opencode", "XDG_CONFIG_HOME", "/.config"),
    ("opencode", "XDG_DATA_HOME", "/.local/share"),
];
/// No place under the home is the same.
const NO_PLACE: &str = "\0";

/// What else an agent reads that may take it back, and is not judged here: agent, place, and a key of that file, or nothing where any
/// content counts. `~` is the home, `.` where the image starts; directories end with a slash. (The agents' documentation.)
const UNJUDGED: [(&str, &str, &[&str]); 21] = [
    ("claude-code", "~/.claude/settings.json", &["hooks"]),
    ("claude-code", "~/.claude/settings.local.json", &[]),
    ("claude-code", "./.claude/settings.json", &[]),
    ("claude-code", "./.claude/settings.local.json", &[]),
    ("claude-code", CLAUDE, &["hooks"]),
    ("codex-cli", "~/.codex/rules/", &[]),
    ("codex-cli", "./.codex/config.toml", &[]),
    ("gemini-cli", "~/.gemini/settings.json", &["tools", "exclude"]),
    ("gemini-cli", "~/.gemini/settings.json", &["tools", "core"]),
    ("gemini-cli", "/etc/gemini-cli/settings.json", &["tools"]),
    ("gemini-cli", "/etc/gemini-cli/policies/", &[]),
    ("gemini-cli", "./.gemini/settings.json", &[]),
    ("opencode", "~/.config/opencode/opencode.json", &["agent"]),
    ("opencode", "~/.config/opencode/opencode.json", &["mode"]),
    ("opencode", "~/.config/opencode/opencode.json", &["tools"]),
    ("opencode", "~/.config/opencode/opencode.jsonc", &[]),
    ("opencode", "~/.config/opencode/config.json", &[]),
    ("opencode", "~/.config/opencode/agent/", &[]),
    ("opencode", "~/.config/opencode/agents/", &[]),
    ("opencode", "./opencode.json", &[]),
    ("opencode", "./opencode.jsonc", &[]),
];

/// Where gemini's rules are, in the home: every file is read.
const RULES: &str = "/.gemini/policies";

/// Which files of an administrator are read.
pub(super) fn administrator() -> impl Iterator<Item = &'static str> {
    ADMINISTRATOR.iter().map(|(_, file, ..)| *file).filter(|file| !file.ends_with('/'))
}

/// Directories of which every file is read, where the home is this one.
pub(super) fn directories(home: &str) -> impl Iterator<Item = String> {
    let administrators = ADMINISTRATOR.iter().map(|(_, file, ..)| *file).filter(|file| file.ends_with('/'));
    administrators.map(|dir| dir.trim_end_matches('/').to_owned()).chain([format!("{home}{RULES}")])
}

/// Whether a directory is one of these, in whatever home.
pub(super) fn is_directory(path: &str) -> bool {
    directories("").any(|directory| path.ends_with(&directory))
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
        let others = versions(subject, name, recipe.as_ref());
        if let Some(other) = others.iter().find(|other| !is_of(other, version)) {
            found.push(Finding {
                at: format!("label dev.pinfold.agent.{name}"),
                problem: format!("it says {version}, and the image has {other}"),
            });
        }
        let Some(recipe) = recipe else {
            seen.push(format!("{name} {version} (a recipe of its own, whose command is not known here)"));
            continue;
        };
        match start::command(&subject.follow(), &path, &recipe.command) {
            Ok(file) => {
                let by = if others.is_empty() { " by its label alone" } else { "" };
                seen.push(format!("{name} {version}{by} at {file}"));
                found.extend(of_another(subject, name, &recipe.command, &path, &file));
            }
            Err(problem) => {
                found.push(Finding { at: recipe.command.clone(), problem: format!("{name}: {problem}") });
            }
        }
    }
    Outcome::looked(AGENTS_PRESENT, seen.join(", "), found)
}

/// The versions that packages of an agent's component say, which are the agent itself.
fn versions(subject: &Subject<'_>, name: &str, recipe: Option<&Recipe>) -> BTreeSet<String> {
    let component = format!("agent/{name}");
    let named = |package: &Package| match recipe.map(|recipe| &recipe.origin) {
        Some(Origin::Npm(npm)) => {
            package.name == npm.package || npm.platforms.values().any(|one| one.package == package.name)
        }
        Some(Origin::Nix(_) | Origin::Nothing) | None => false,
    };
    let own = subject.description.packages.iter().filter(|package| {
        // One that no file tells of has the label's version itself.
        package.component.as_deref() == Some(component.as_str())
            && !package.told_by.is_empty()
            && named(package)
    });
    own.filter_map(|package| package.version.clone()).collect()
}

/// Whether a package's version is that of the agent: `0.169.0-linux-x64` is of 0.169.0.
fn is_of(package: &str, version: &str) -> bool {
    package.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with("-linux-"))
}

/// What is wrong with a command, or the file that it leads to, which another component brought than the agent's.
fn of_another(
    subject: &Subject<'_>,
    name: &str,
    command: &str,
    path: &str,
    file: &ImagePath,
) -> Option<Finding> {
    let component = format!("agent/{name}");
    let is_named = subject.image.layers.iter().any(|layer| {
        let components = layer.descriptor.annotations.get(annotation::COMPONENTS);
        components.is_some_and(|text| text.split_ascii_whitespace().any(|one| one == component))
    });
    let directories = path.split(':').filter(|directory| directory.starts_with('/'));
    let link = directories.filter_map(|directory| {
        let at = format!("{}/{command}", directory.trim_end_matches('/'));
        subject.survey.in_real_directory(at.as_bytes()).ok()
    });
    let link = link.filter(|at| subject.survey.get(at).is_some()).take(1);
    // A link of the agent's own leads to what it has of Nix, whose packages are components of their own.
    let in_store = |at: &ImagePath| {
        *at == *file
            && file.as_bytes().starts_with(b"nix/store/")
            && subject.owner(at).is_some_and(|owner| owner.starts_with("nix/"))
    };
    let mut all = link.chain([file.clone()]).filter(|_| is_named);
    let other = all.find(|at| subject.owner(at) != Some(component.as_str()) && !in_store(at))?;
    let owner = subject.owner(&other).unwrap_or("nothing that is named");
    let problem = format!("{name} is started by it, and it came with {owner}, not with {component}");
    Some(Finding { at: other.to_string(), problem })
}

fn config(subject: &Subject<'_>, home: &str) -> Outcome {
    let mut found = Vec::new();
    let (mut files, mut keys) = (Vec::new(), 0);
    let env = subject.env();
    for (agent, variable, place) in MOVES {
        let of = |one: &&Agent| agent.is_empty() || one.name == agent;
        let Some(agent) = subject.agents.iter().find(of) else { continue };
        let usual = format!("{home}{place}");
        let moved = env.get(variable).filter(|value| !value.is_empty() && **value != usual);
        if moved.is_some_and(|_| !is_of_recipe(agent, variable, &env)) {
            let name = &agent.name;
            let problem = format!("{name} reads another configuration with it than the one in {home}");
            found.push(Finding { at: format!("variable {variable}"), problem });
        }
    }
    for Agent { name, recipe, .. } in &subject.agents {
        for file in recipe.iter().flat_map(|recipe| &recipe.home) {
            files.push(file.path.as_str());
            let at = format!("{home}/{}", file.path);
            let text = match subject.read(&at) {
                Some(Ok(text)) => text,
                Some(Err(why)) => {
                    found.push(Finding { at, problem: format!("{name} reads it, and {why}") });
                    continue;
                }
                None => {
                    found.push(Finding { at, problem: format!("{name} reads it, and it is not there") });
                    continue;
                }
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

/// Whether a recipe sets the variable to what it is.
fn is_of_recipe(agent: &Agent, variable: &str, env: &BTreeMap<&str, &str>) -> bool {
    let set = agent.recipe.as_ref().and_then(|recipe| recipe.env.get(variable));
    set.map(String::as_str).is_some_and(|set| env.get(variable) == Some(&set))
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
            let wanted = short(expected);
            let read = match read.map(short) {
                None => "missing".to_owned(),
                Some(read) if read == wanted => format!("`{read}` with another end"),
                Some(read) => format!("`{read}`"),
            };
            tell(&way.join("."), format!("it is {read}, expected `{wanted}`"));
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
            let text = subject.read(&at).and_then(Result::ok);
            let read = text.and_then(|text| parse(file, &text));
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
        found.extend(taken_back(subject, name));
        match name.as_str() {
            "claude-code" => found.extend(asks_for_some(subject, home)),
            "codex-cli" => found.extend(asks_by_profile(subject, home)),
            "gemini-cli" => found.extend(asks_by_rule(subject, home)),
            _ => {}
        }
    }
    let unjudged: Vec<String> =
        subject.agents.iter().filter(asks).flat_map(|agent| unjudged(subject, &agent.name, home)).collect();
    if found.is_empty() && !unjudged.is_empty() {
        let reason = format!("what these say of asking is not judged: {}", unjudged.join(", "));
        return Outcome::not_run(AGENTS_AUTONOMY, reason);
    }
    Outcome::looked(AGENTS_AUTONOMY, seen.join("; "), found)
}

/// What an agent reads, too, and is not judged here, with its keys.
fn unjudged(subject: &Subject<'_>, agent: &str, home: &str) -> Vec<String> {
    let from = match subject.runtime.working_dir.trim_end_matches('/') {
        "" => "/",
        from => from,
    };
    let own: BTreeSet<String> = subject
        .agents
        .iter()
        .filter_map(|one| one.recipe.as_ref())
        .flat_map(|recipe| recipe.home.iter().map(|file| format!("{home}/{}", file.path)))
        .collect();
    let mut found = Vec::new();
    for (_, place, way) in UNJUDGED.iter().filter(|(of, ..)| *of == agent) {
        let at = match place.split_at(1) {
            ("~", rest) => format!("{home}{rest}"),
            (".", rest) => format!("{}{rest}", from.trim_end_matches('/')),
            _ => (*place).to_owned(),
        };
        if let Some(directory) = at.strip_suffix('/') {
            found.extend(children(subject.survey, directory));
        } else if way.is_empty() {
            // The home's own is judged, wherever the image starts.
            found.extend(subject.at(&at).filter(|_| !own.contains(&at)).map(|_| at));
        } else {
            let read = subject.text(&at).and_then(|text| parse(&at, &text));
            let has = read.is_some_and(|read| find(&read, way).is_some());
            found.extend(has.then(|| format!("{at}: {}", way.join("."))));
        }
    }
    found
}

/// What files of an administrator take back.
fn taken_back(subject: &Subject<'_>, agent: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for (_, place, way, leaves) in ADMINISTRATOR.iter().filter(|(of, ..)| *of == agent) {
        let files = match place.strip_suffix('/') {
            Some(directory) => children(subject.survey, directory),
            None => vec![(*place).to_owned()],
        };
        for file in files {
            let Some(text) = subject.text(&file) else { continue };
            let Some(read) = parse(&file, &text) else {
                let problem =
                    format!("{agent} obeys it before the home's configuration, and it is not well-formed");
                found.push(Finding { at: file, problem });
                continue;
            };
            let Some(value) = find(&read, way) else { continue };
            let has =
                |wanted: &str| value.as_array().is_some_and(|list| list.iter().any(|one| is(one, wanted)));
            let is_left = match leaves {
                Leaves::Value(wanted) => is(value, wanted),
                Leaves::Among(wanted) => has(wanted),
                Leaves::Empty => value.as_array().is_some_and(Vec::is_empty),
            };
            if !is_left {
                found.push(Finding {
                    at: format!("{file}: {}", way.join(".")),
                    problem: format!(
                        "{agent} obeys it before the home's configuration, and it is `{}`",
                        short(value)
                    ),
                });
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Tools for which claude asks, or which it never uses, whatever the mode.
fn asks_for_some(subject: &Subject<'_>, home: &str) -> Vec<Finding> {
    let file = format!("{home}/.claude/settings.json");
    let read = subject.text(&file).and_then(|text| parse(&file, &text));
    let lists = ["ask", "deny"].into_iter().filter_map(|key| {
        let list = find(read.as_ref()?, &["permissions", key])?;
        (!list.as_array().is_some_and(Vec::is_empty)).then(|| Finding {
            at: format!("{file}: permissions.{key}"),
            problem: format!("claude-code asks or refuses whatever its mode is: it is `{}`", short(list)),
        })
    });
    lists.collect()
}

/// A profile that codex takes before the rest of its file.
fn asks_by_profile(subject: &Subject<'_>, home: &str) -> Vec<Finding> {
    let file = format!("{home}/.codex/config.toml");
    let Some(read) = subject.text(&file).and_then(|text| parse(&file, &text)) else { return Vec::new() };
    let Some(profile) = find(&read, &["profile"]).and_then(Value::as_str) else { return Vec::new() };
    let wanted = AUTONOMY.iter().filter(|(agent, ..)| *agent == "codex-cli");
    let other = wanted.filter_map(|(_, _, way, expected)| {
        let value = find(&read, &[&["profiles", profile][..], *way].concat())?;
        (!is(value, expected)).then(|| Finding {
            at: format!("{file}: profiles.{profile}.{}", way.join(".")),
            problem: format!(
                "codex-cli asks before it acts: its profile has `{}`, expected `{expected}`",
                short(value)
            ),
        })
    });
    other.collect()
}

/// Rules of gemini that come before the one that allows everything.
fn asks_by_rule(subject: &Subject<'_>, home: &str) -> Vec<Finding> {
    let mut rules: Vec<(String, Value)> = Vec::new();
    let mut found = Vec::new();
    for file in children(subject.survey, &format!("{home}{RULES}")) {
        let Some(text) = subject.text(&file).filter(|_| is_toml(&file)) else { continue };
        match parse(&file, &text) {
            Some(read) => {
                let all = find(&read, &["rule"]).and_then(Value::as_array).cloned().unwrap_or_default();
                rules.extend(all.into_iter().map(|rule| (file.clone(), rule)));
            }
            None => found.push(Finding { at: file, problem: "it is not well-formed".into() }),
        }
    }
    let decision = |rule: &Value| rule.get("decision").and_then(Value::as_str).unwrap_or_default().to_owned();
    let priority = |rule: &Value| rule.get("priority").and_then(Value::as_i64).unwrap_or_default();
    let all = |rule: &Value| {
        rule.get("toolName").and_then(Value::as_str) == Some("*") && rule.get("modes").is_none()
    };
    let allows = rules.iter().filter(|(_, rule)| decision(rule) == "allow" && all(rule));
    let allows = allows.map(|(_, rule)| priority(rule)).max().unwrap_or(i64::MIN);
    if allows == i64::MIN {
        let problem = "gemini-cli asks: no rule allows every tool, whatever its mode is";
        found.push(Finding { at: format!("{home}{RULES}"), problem: problem.into() });
    }
    let before = rules.iter().filter(|(_, rule)| decision(rule) != "allow" && priority(rule) >= allows);
    found.extend(before.map(|(file, rule)| Finding {
        at: format!("{file}: rule.decision"),
        problem: format!(
            "gemini-cli asks or refuses: a rule with the priority {} says `{}`",
            priority(rule),
            decision(rule)
        ),
    }));
    found
}

/// Whether a value is the one of this JSON.
fn is(value: &Value, json: &str) -> bool {
    let text = value.to_string();
    text == json
}

fn is_toml(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, extension)| extension == "toml")
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
