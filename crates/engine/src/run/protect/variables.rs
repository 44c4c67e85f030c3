//! Variables of the caller's environment that git obeys (git(1), "Environment Variables"; git-config(1)).
//!
//! **Guarantees**: text and nothing else. The caller's shell may have set them for itself only, so what they replace counts too.

use std::path::PathBuf;

use super::config::Entry;
use super::shell;
use crate::context::Environment;

/// Files of configuration.
const FILES: [&str; 2] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"];
/// Programs that git starts.
const PROGRAMS: [&str; 12] = [
    "EDITOR",
    "GIT_ASKPASS",
    "GIT_EDITOR",
    "GIT_EXTERNAL_DIFF",
    "GIT_PAGER",
    "GIT_PROXY_COMMAND",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "PAGER",
    "SSH_ASKPASS",
    "VISUAL",
];
/// Directories of programs.
const FOLDERS: [&str; 2] = ["GIT_EXEC_PATH", "GIT_TEMPLATE_DIR"];
/// Repositories' own directories.
const REPOSITORIES: [&str; 2] = ["GIT_COMMON_DIR", "GIT_DIR"];
/// Variables that `GIT_CONFIG_COUNT` may announce, of those that are read.
const COUNT_MAX: usize = 1000;

/// Files of configuration, which may be relative: to wherever git is then.
pub(super) fn files(environment: &Environment) -> Vec<PathBuf> {
    paths(environment, &FILES)
}

/// Repositories, likewise.
pub(super) fn repositories(environment: &Environment) -> Vec<PathBuf> {
    paths(environment, &REPOSITORIES)
}

fn paths(environment: &Environment, names: &[&str]) -> Vec<PathBuf> {
    let values = names.iter().filter_map(|name| environment.raw(name));
    values.filter(|value| !value.is_empty()).map(PathBuf::from).collect()
}

/// What else they say, as a configuration would.
pub(super) fn entries(environment: &Environment) -> Vec<Entry> {
    let mut found = Vec::new();
    let count = environment.text("GIT_CONFIG_COUNT").and_then(|count| count.trim().parse::<usize>().ok());
    for number in 0..count.unwrap_or_default().min(COUNT_MAX) {
        let Some(key) = environment.text(&format!("GIT_CONFIG_KEY_{number}")) else { continue };
        let value = environment.text(&format!("GIT_CONFIG_VALUE_{number}")).unwrap_or_default();
        found.extend(entry(key, value));
    }
    // What `git -c` leaves to the programs that it starts: `'NAME'='VALUE'`, or `'NAME=VALUE'`.
    for given in shell::quoted(environment.text("GIT_CONFIG_PARAMETERS").unwrap_or_default()) {
        let (key, value) = given.split_once('=').unwrap_or((&given, ""));
        found.extend(entry(key, value));
    }
    let said = |name: &&str| environment.filled(name).map(str::to_owned);
    let as_said = |name: &str, value| Entry { name: name.to_owned(), subsection: None, value };
    found.extend(PROGRAMS.iter().filter_map(said).map(|value| as_said("environment.command", value)));
    found.extend(FOLDERS.iter().filter_map(said).map(|value| as_said("init.templatedir", value)));
    found
}

/// A variable by its full name, `SECTION.KEY` or `SECTION.SUBSECTION.KEY`.
fn entry(name: &str, value: &str) -> Option<Entry> {
    let (section, rest) = name.split_once('.')?;
    let (subsection, key) =
        rest.rsplit_once('.').map_or((None, rest), |(sub, key)| (Some(sub.to_owned()), key));
    let name = format!("{}.{}", section.to_ascii_lowercase(), key.to_ascii_lowercase());
    Some(Entry { name, subsection, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values are those of `git config --list` (2.47) with these variables.
    #[test]
    fn what_the_environment_configures_is_read_as_git_reads_it() {
        let environment = Environment::from([
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "core.hooksPath"),
            ("GIT_CONFIG_VALUE_0", "hk"),
            ("GIT_CONFIG_KEY_1", "filter.A.b.Clean"),
            ("GIT_CONFIG_VALUE_1", "./c = d"),
            ("GIT_CONFIG_KEY_2", "core.editor"),
            ("GIT_CONFIG_VALUE_2", "not/announced"),
            ("GIT_CONFIG_PARAMETERS", "'alias.x'='!./a b' 'core.pager=p/q'"),
            ("GIT_SSH_COMMAND", "conf/ssh -x"),
            ("PAGER", ""),
            ("GIT_TEMPLATE_DIR", "tmpl"),
        ]);
        let found = entries(&environment);
        let found: Vec<_> = found
            .iter()
            .map(|entry| {
                (entry.name.as_str(), entry.subsection.as_deref().unwrap_or_default(), entry.value.as_str())
            })
            .collect();
        assert_eq!(
            found,
            [
                ("core.hookspath", "", "hk"),
                ("filter.clean", "A.b", "./c = d"),
                ("alias.x", "", "!./a b"),
                ("core.pager", "", "p/q"),
                ("environment.command", "", "conf/ssh -x"),
                ("init.templatedir", "", "tmpl"),
            ]
        );
        assert!(entries(&environment)[4].is_executed() && entries(&environment)[5].is_directory());
    }
}
