//! The rooms and who may use whom (ARCHITECTURE.md). Read from the manifests, so a forbidden arrow is seen before it compiles.

use std::collections::BTreeMap;

use fs_err as fs;

/// What each room may use. `testkit` is for tests and may be used by all as a dev-dependency.
const ALLOWED: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("cri", &["base"]),
    ("queue", &[]),
    ("worker", &["queue"]),
    ("archive", &["base"]),
    ("sources", &["base", "archive"]),
    ("image", &["base", "archive"]),
    ("network", &["base"]),
    ("kube", &["base"]),
    ("sandbox", &["base", "cri", "network"]),
    ("engine", &["base", "cri", "archive", "sources", "image", "network", "kube", "sandbox", "queue"]),
    ("cli", &["base", "archive", "sources", "image", "network", "kube", "sandbox", "engine", "queue"]),
    ("testkit", &["base", "archive"]),
    (
        "fuzzing",
        &["base", "archive", "sources", "image", "network", "kube", "sandbox", "engine", "queue", "worker"],
    ),
];

/// Compares the manifests with [`ALLOWED`].
pub(crate) fn check() -> Result<(), String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    let crates = crate::root().join("crates");
    for entry in fs::read_dir(&crates).map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = fs::read_to_string(entry.path().join("Cargo.toml")).map_err(|error| error.to_string())?;
        let Some(allowed) = allowed.get(name.as_str()) else {
            wrong.push(format!("room `{name}` has no place in the drawing"));
            continue;
        };
        wrong.extend(
            uses(&text)
                .into_iter()
                .filter(|used| !allowed.contains(&used.as_str()))
                .map(|used| format!("`{name}` uses `{used}`, which is not below it")),
        );
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

/// The rooms named under `[dependencies]`.
fn uses(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if inside && let Some(rest) = line.strip_prefix("pinfold-") {
            found.extend(rest.split(['.', ' ', '=']).next().map(str::to_owned));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_use_each_other_downwards() {
        check().unwrap();
    }

    #[test]
    fn dev_dependencies_are_no_arrows() {
        let text = "[dependencies]\npinfold-base.workspace = true\nserde.workspace = true\n[dev-dependencies]\npinfold-engine.workspace = true\n";
        assert_eq!(uses(text), ["base"]);
    }
}
