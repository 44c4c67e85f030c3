//! `[run.credentials]`: whose keys it names. A key of nobody's would be agreed to and then never used.
//!
//! **Refuses**: agents that are neither built in nor the project's own, and providers that the agent does not have, all at
//! once. **Never shows** a name that could be the key itself.

use std::fmt;

use pinfold_base::text::nearest;

use super::ManifestError;
use super::Run;
use crate::project::recipe::Recipe;
use crate::project::recipe::RecipeKind;

/// The longest name that is shown: those of agents and providers are short, and keys are long.
const SHOWN_MAX: usize = 24;

/// A name in `[run.credentials]` that is nobody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nobody {
    /// What was written, unless it could be a key.
    name: Option<String>,
    /// The agent, where that is known and its provider is not.
    agent: Option<String>,
    /// What could have been written.
    known: Vec<String>,
}

impl Nobody {
    fn new(name: &str, agent: Option<&str>, known: Vec<String>) -> Self {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
        let can_be_shown = name.len() <= SHOWN_MAX && name.bytes().all(plain);
        Self { name: can_be_shown.then(|| name.to_owned()), agent: agent.map(str::to_owned), known }
    }

    /// What was most likely meant, and else what could have been.
    pub(super) fn hint(&self) -> String {
        let each = |name: &String| format!("`{name}`");
        let near = self.name.as_ref().and_then(|name| {
            let near = nearest(name, self.known.iter().map(String::as_str))?;
            Some(format!("write `{near}` instead of `{name}`"))
        });
        let known = || self.known.iter().map(each).collect::<Vec<_>>().join(", ");
        match (near, &self.agent) {
            (Some(near), _) => near,
            (None, Some(agent)) if self.known.is_empty() => format!("leave out the key of `{agent}`"),
            (None, Some(agent)) => format!("keys of `{agent}` are {}", known()),
            (None, None) => format!("the agents are {}; write the name of one", known()),
        }
    }
}

impl fmt::Display for Nobody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.agent, &self.name) {
            (Some(agent), _) if self.known.is_empty() => {
                write!(f, "the agent `{agent}` has no provider whose key it could be")
            }
            (Some(agent), Some(name)) => write!(f, "the agent `{agent}` has no provider for `{name}`"),
            (Some(agent), None) => {
                write!(f, "the agent `{agent}` has no such provider (it is not shown: it could be a key)")
            }
            (None, Some(name)) => write!(f, "there is no agent `{name}`"),
            (None, None) => f.write_str("a name is that of no agent (it is not shown: it could be a key)"),
        }
    }
}

/// Refuses the keys of nobody. `recipes` are the project's.
pub(in crate::project) fn check(run: &Run, recipes: &[Recipe]) -> Result<(), ManifestError> {
    if run.credentials.is_empty() {
        return Ok(());
    }
    let built_in = Recipe::agents().filter_map(|name| Recipe::built_in(name).ok());
    let own: Vec<&Recipe> = recipes.iter().filter(|recipe| recipe.kind == RecipeKind::Agent).collect();
    let others = built_in.filter(|known| own.iter().all(|own| own.name != known.name)).collect::<Vec<_>>();
    let agents: Vec<&Recipe> = own.into_iter().chain(&others).collect();
    let nobody = run.credentials.keys().filter_map(|whose| {
        let (name, provider) = match whose.split_once('/') {
            Some((name, provider)) => (name, Some(provider)),
            None => (whose.as_str(), None),
        };
        let Some(agent) = agents.iter().find(|agent| agent.name == name) else {
            let names = agents.iter().map(|agent| agent.name.clone()).collect();
            // Of a command it is known whose it is.
            let of = agents.iter().find(|agent| agent.command == name);
            return Some(Nobody::new(name, None, of.map_or(names, |agent| vec![agent.name.clone()])));
        };
        let known = agent.route_names();
        let is_there = provider.map_or(!known.is_empty(), |provider| known.contains(&provider));
        let keys = || known.iter().map(|known| format!("{name}/{known}")).collect();
        (!is_there).then(|| Nobody::new(whose, Some(name), keys()))
    });
    let nobody: Vec<Nobody> = nobody.collect();
    if nobody.is_empty() { Ok(()) } else { Err(ManifestError::Credentials(nobody)) }
}

#[cfg(test)]
mod tests {
    use pinfold_base::Diagnose as _;

    use crate::project::Project;
    use crate::sources::testing::World;

    const OWN: &str =
        "name = 'mine'\ntitle = 'Mine'\ncommand = 'my'\n[npm]\npackage = 'mine'\nversion = '1'\n";

    fn read(credentials: &str) -> Result<Project, (String, String)> {
        let world = World::new();
        world.write("mine.toml", OWN);
        let route = "[[run.route]]\nupstream = 'https://keys.example'\nheader = 'bearer'\npaths = ['/v1']\nkey = ['K']\n";
        world.write("routed.toml", &(OWN.replace("mine", "routed") + route));
        let text = format!(
            "name = 'x'\nagents = ['./mine.toml', './routed.toml']\n[run.credentials]\n{credentials}\n"
        );
        world.write("pinfold.toml", &text);
        Project::from_file(&world.folder().join("pinfold.toml"))
            .map_err(|error| (error.to_string(), error.hint().unwrap_or_default()))
    }

    #[test]
    fn keys_are_of_agents_and_providers_that_there_are() {
        for known in ["claude-code", "opencode/openai", "claude-code/claude-code", "routed", "routed/routed"]
        {
            read(&format!("'{known}' = 'env:K'")).unwrap_or_else(|error| panic!("{known}: {error:?}"));
        }
        for (name, told, hint) in [
            ("claud-code", "there is no agent `claud-code`", "write `claude-code` instead of `claud-code`"),
            ("claude", "there is no agent `claude`", "write the name of one"),
            ("my", "there is no agent `my`", "`mine`; write the name of one"),
            ("node", "there is no agent `node`", "`routed`, `claude-code`"),
            ("opencode/opena", "no provider for `opencode/opena`", "write `opencode/openai` instead"),
            ("opencode/mistral", "no provider for `opencode/mistral`", "`opencode/anthropic`"),
            ("mine", "`mine` has no provider whose key it could be", "leave out the key of `mine`"),
            ("mine/a", "`mine` has no provider whose key it could be", "leave out the key of `mine`"),
            ("sk-CANARY", "a name is that of no agent (it is not shown", "`claude-code`"),
            ("sk-canary-canary-canary-canary", "a name is that of no agent (it is not", "`claude-code`"),
            ("opencode/sk-CANARY", "`opencode` has no such provider (it is not", "`opencode/openai`"),
        ] {
            let (message, help) = read(&format!("'{name}' = 'env:K'")).unwrap_err();
            assert!(
                message.starts_with("manifest key `run.credentials`: ") && message.contains(told),
                "{message}"
            );
            assert!(help.contains(hint), "{name}: {help}");
            assert!(!format!("{message}{help}").to_lowercase().contains("canary"), "{message} {help}");
        }
    }

    #[test]
    fn all_names_of_nobody_are_told_at_once() {
        let (message, _) = read("ab = 'env:K'\nclaude-code = 'env:K'\n'opencode/cd' = 'env:K'").unwrap_err();
        assert!(message.contains("`ab`; ") && message.contains("`opencode/cd`"), "{message}");
        assert!(!message.contains("claude-code"), "{message}");
    }
}
