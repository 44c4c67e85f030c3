//! What an image's configuration says, compared with what a test wants.

use pinfold_image::model::RuntimeSection;

use super::Finding;
use crate::project::manifest::test::ImageTest;
use crate::project::manifest::test::Value;

fn holds(value: &Value, found: &str) -> bool {
    match value {
        Value::Text(text) => text == found,
        Value::Pattern(pattern) => pattern.is_in(found.as_bytes()),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("`{text}`"),
        Value::Pattern(pattern) => format!("something that matches `{pattern}`"),
    }
}

/// A port without its protocol: `8080/tcp` and `8080` are one.
fn port(text: &str) -> &str {
    text.split_once('/').map_or(text, |(port, _)| port)
}

/// What does not hold.
pub(super) fn judge(asked: &ImageTest, config: &RuntimeSection) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |at: &str, problem: String| findings.push(Finding { at: at.to_owned(), problem });
    // Of two of one name the later counts, as for the program that gets both.
    let variable = |name: &str| {
        let pairs = config.env.iter().rev().filter_map(|text| text.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    for (name, value) in &asked.env {
        match variable(name) {
            Some(found) if holds(value, found) => {}
            Some(found) => add("env", format!("`{name}` is `{found}`, not {}", shown(value))),
            None => add("env", format!("`{name}` is not set")),
        }
    }
    for name in &asked.no_env {
        if variable(name).is_some() {
            add("env", format!("`{name}` is set"));
        }
    }
    for (name, value) in &asked.labels {
        match config.labels.get(name) {
            Some(found) if holds(value, found) => {}
            Some(found) => add("labels", format!("`{name}` is `{found}`, not {}", shown(value))),
            None => add("labels", format!("there is no `{name}`")),
        }
    }
    for (at, wanted, found) in
        [("entrypoint", &asked.entrypoint, &config.entrypoint), ("cmd", &asked.cmd, &config.cmd)]
    {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != found) {
            add(at, format!("it is {found:?}, not {wanted:?}"));
        }
    }
    for (at, wanted, found) in
        [("workdir", &asked.workdir, &config.working_dir), ("user", &asked.user, &config.user)]
    {
        if let Some(wanted) = wanted.as_ref().filter(|wanted| *wanted != found) {
            add(at, format!("it is `{found}`, not `{wanted}`"));
        }
    }
    let exposed = |wanted: &String| config.exposed_ports.keys().any(|found| port(found) == port(wanted));
    for wanted in asked.ports.iter().filter(|wanted| !exposed(wanted)) {
        add("ports", format!("`{wanted}` is not exposed"));
    }
    for wanted in asked.no_ports.iter().filter(|wanted| exposed(wanted)) {
        add("ports", format!("`{wanted}` is exposed"));
    }
    let declared = |wanted: &String| config.volumes.contains_key(wanted);
    for wanted in asked.volumes.iter().filter(|wanted| !declared(wanted)) {
        add("volumes", format!("`{wanted}` is not declared"));
    }
    for wanted in asked.no_volumes.iter().filter(|wanted| declared(wanted)) {
        add("volumes", format!("`{wanted}` is declared"));
    }
    findings
}
