//! Credential routes of an agent: which ports of the sandbox lead to which provider, where each key comes from, and what
//! the agent must be told of it.
//!
//! Routes of one name are alternatives: the first whose key is found is used. The keys themselves are never read here.

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_network::Credential;
use pinfold_network::CredentialError;
use pinfold_network::RouteAddresses;
use pinfold_network::RouteError;
use pinfold_network::RouteId;
use pinfold_network::RouteSpec;
use pinfold_network::Surroundings;
use pinfold_sandbox::spec::Change;
use pinfold_sandbox::spec::CredentialRoute;
use pinfold_sandbox::spec::HomeEdit;
use serde_json::Value;

use super::choice;
use super::error::RunError;
use super::places;
use super::request::Key;
use super::request::Request;
use crate::context::Context;
use crate::context::Environment;
use crate::project::Project;
use crate::project::manifest::Run;
use crate::project::manifest::run::KeySource;
use crate::project::manifest::run::Reach;
use crate::project::recipe;
use crate::project::recipe::Recipe;

/// The dummy key that agents are given.
pub const PLACEHOLDER: &str = "pinfold-placeholder-key";
/// Loopback port of the first route; the next names follow.
const FIRST_PORT: u16 = 3180;

/// What the routes of an agent add to its sandbox.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// The routes.
    pub(super) egress: Vec<CredentialRoute>,
    /// The variable that would hold a key of each one's kind.
    pub(super) variables: Vec<String>,
    /// Variables.
    pub(super) env: Vec<(String, String)>,
    /// What configuration files in the home say of it, or no longer say.
    pub(super) edits: Vec<HomeEdit>,
    /// Hosts that are reached by a route, and so need no tunnel: without one, no key can leave by it.
    pub(super) hosts: Vec<String>,
    /// Keys that nothing says the kind of: what they are sent as, and how to say another.
    pub(super) unsure: Vec<String>,
}

/// Where keys are looked for.
pub(super) struct Keys<'a> {
    /// What the user or the manifest said, by agent, `AGENT/PROVIDER`, or `AGENT/VARIABLE`: a key of the kind that the variable
    /// would hold. An agent's name alone means its first provider.
    pub(super) said: &'a BTreeMap<String, Credential>,
    /// The caller's variables; empty ones are not set.
    pub(super) environment: &'a Environment,
}

/// The routes of `agent` for which there is a key.
pub(super) fn routes(agent: &Recipe, keys: &Keys<'_>) -> Result<Routes, RunError> {
    let wrong = |reason: String| RunError::Route { recipe: agent.name.clone(), reason };
    let mut out = Routes::default();
    let names = agent.route_names();
    for (index, name) in names.iter().enumerate() {
        let Some(Way { route, key, unsure }) = chosen(agent, keys, index, name) else { continue };
        out.unsure.extend(unsure);
        let (id, port) = place(index).ok_or_else(|| wrong("too many".into()))?;
        let upstream = upstream(keys, route);
        let bad = |error: RouteError| match (upstream.variable, error) {
            // It may hold a login.
            (Some(variable), RouteError::BaseUrl { problem, .. }) => {
                RunError::Gateway { variable: variable.to_owned(), problem }
            }
            (_, error) => wrong(error.to_string()),
        };
        out.egress.push(CredentialRoute {
            route: RouteSpec {
                id,
                name: (*name).to_owned(),
                listen_port: port,
                upstream: upstream.address.parse().map_err(bad)?,
                header: route.header,
                placeholder: PLACEHOLDER.into(),
                paths: route.paths.iter().map(|path| path.trim_end_matches('/').to_owned()).collect(),
                request: route.request.clone(),
                reach: upstream.reach,
                set_headers: BTreeMap::new(),
                append_headers: route.append_headers.clone(),
            },
            key,
        });
        out.variables.push(route.key.first().cloned().unwrap_or_default());
        out.hosts.push(route.upstream.trim_start_matches("https://").to_owned());
        out.env.extend(route.env.iter().map(|(name, value)| (name.clone(), fill(value, &names, port))));
    }
    let first = out.egress.first().map(|route| route.route.listen_port);
    for file in &agent.run.file {
        let seeded =
            agent.home.iter().find(|known| known.path == file.path).map(|known| known.content.as_str());
        let fill = |text: &str| fill(text, &names, first.unwrap_or(FIRST_PORT));
        let change = match &file.replace {
            Some(text) => {
                let text = fill(text);
                match keys_of(&text, seeded) {
                    Some(keys) => Change::Keys(keys),
                    None => Change::Whole { text, without: seeded.unwrap_or_default().to_owned() },
                }
            }
            None => Change::Around { before: fill(&file.prepend), after: fill(&file.append) },
        };
        out.edits.push(HomeEdit { path: file.path.clone().into(), change, is_there: first.is_some() });
    }
    Ok(out)
}

/// A route that is taken.
struct Way<'a> {
    route: &'a recipe::Route,
    key: Credential,
    unsure: Option<String>,
}

/// The route of this name for which there is a key. Of alternatives it is that of the variable whose key it is said to be, else
/// the one whose keys begin as this one does.
fn chosen<'a>(agent: &'a Recipe, keys: &Keys<'_>, index: usize, name: &str) -> Option<Way<'a>> {
    let alternatives = || agent.run.route.iter().filter(move |route| agent.route_name(route) == name);
    let way = |route, key: &Credential| Way { route, key: key.clone(), unsure: None };
    // As a key of this kind.
    let as_kind = |route: &'a recipe::Route| {
        let mut said = route.key.iter().map(|variable| format!("{}/{variable}", agent.name));
        Some(way(route, said.find_map(|whose| keys.said.get(&whose))?))
    };
    if let Some(found) = alternatives().find_map(as_kind) {
        return Some(found);
    }
    let said = keys
        .said
        .get(&format!("{}/{name}", agent.name))
        .or_else(|| keys.said.get(&agent.name).filter(|_| index == 0));
    let Some(said) = said else {
        return alternatives().find_map(|route| {
            let variable = route.key.iter().find(|name| keys.environment.filled(name).is_some())?;
            Some(way(route, &Credential::Env(variable.clone())))
        });
    };
    let first = alternatives().next()?;
    if alternatives().count() == 1 {
        return Some(way(first, said));
    }
    if let Credential::Env(variable) = said
        && let Some(route) = alternatives().find(|route| route.key.contains(variable))
    {
        return Some(way(route, said));
    }
    let begins = |route: &&recipe::Route| {
        said.begins(&route.starts, |name| keys.environment.text(name).map(str::to_owned))
    };
    if let Some(route) = alternatives().find(begins) {
        return Some(way(route, said));
    }
    let kinds: Vec<&str> = alternatives().filter_map(|route| route.key.first()).map(String::as_str).collect();
    let others =
        kinds.iter().skip(1).map(|kind| format!("`--key {kind}=…`")).collect::<Vec<_>>().join(" or ");
    let unsure = format!(
        "the key is sent as that of `{}` would be; where it is another, say {others}",
        kinds.first().unwrap_or(&name)
    );
    Some(Way { unsure: Some(unsure), ..way(first, said) })
}

/// A key that cannot be used.
#[derive(Debug)]
pub struct BadKey {
    /// The agent or one of its providers, and who named the key.
    pub whose: String,
    /// Why.
    pub why: CredentialError,
}

/// Keys by agent or `AGENT/PROVIDER`, and those that cannot be used.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) keys: BTreeMap<String, Credential>,
    pub(super) bad: Vec<BadKey>,
}

/// Looks at the keys that an agent's routes would use: they are there, readable and keys. A program is not asked yet.
/// `by_user` tells whose key the user named for this run.
pub(super) fn probe(agent: &Recipe, keys: &Keys<'_>, by_user: impl Fn(&str) -> bool) -> Result<(), RunError> {
    let names = agent.route_names().into_iter().enumerate();
    let bad = names.filter_map(|(index, name)| {
        let Way { key, .. } = chosen(agent, keys, index, name)?;
        let why = key.probe(|name| keys.environment.text(name).map(str::to_owned)).err()?;
        let said = keys.said.iter().find(|(_, said)| **said == key).map(|(whose, _)| whose.as_str());
        let whose = match said {
            Some(whose) if by_user(whose) => format!("{whose} (`--key`)"),
            Some(whose) => declared_by(whose),
            None if name == agent.name => agent.name.clone(),
            None => format!("{}/{name}", agent.name),
        };
        Some(BadKey { whose, why })
    });
    RunError::of_keys(bad.collect(), Vec::new())
}

/// The keys that a project names, found now. What is not there is passed over unless this run needs it; what may not serve
/// for a key is refused.
pub(super) fn declared(context: &Context, request: &Request, project: &Project) -> Found {
    let run = &project.manifest.run;
    let mut found = Found::default();
    if run.credentials.is_empty() {
        return found;
    }
    let around = places::around(context, request, Some(project), run, &project.manifest.directory);
    let by_proxy = request.network.or(run.network).unwrap_or(Reach::Proxy) == Reach::Proxy;
    let meant = request.agent().and_then(|name| choice::agent(&project.recipes, name));
    for (whose, source) in &run.credentials {
        let of = whose.split('/').next().unwrap_or_default();
        let is_needed = by_proxy && meant.is_some_and(|agent| agent.name == of);
        match find(context, &source.value, &around) {
            Ok(credential) => {
                found.keys.insert(whose.clone(), credential);
            }
            Err(why) if is_needed || why.kind() == Kind::Refused => {
                found.bad.push(BadKey { whose: declared_by(whose), why });
            }
            Err(_) => {}
        }
    }
    found
}

/// How a key that the manifest names is told.
pub(super) fn declared_by(whose: &str) -> String {
    format!("{whose} (`run.credentials`)")
}

/// The keys that the user named for this run: the user's own word, but held to the same.
pub(super) fn requested(
    context: &Context,
    request: &Request,
    project: Option<&Project>,
    declared: &Run,
    agent: Option<&Recipe>,
) -> Result<Found, RunError> {
    let mut found = Found::default();
    if request.keys.is_empty() {
        return Ok(found);
    }
    let known = agent.map(Recipe::route_names).unwrap_or_default();
    let variables: Vec<&str> = agent
        .iter()
        .flat_map(|agent| &agent.run.route)
        .flat_map(|route| &route.key)
        .map(String::as_str)
        .collect();
    let unknown = |provider: &str| RunError::Provider {
        provider: provider.to_owned(),
        agent: agent.map(|agent| agent.name.clone()),
        known: known.iter().map(|&name| name.to_owned()).collect(),
    };
    let around = places::around(context, request, project, declared, Path::new("."));
    for Key { provider, source } in &request.keys {
        let agent = agent
            .filter(|_| !known.is_empty())
            .ok_or_else(|| unknown(provider.as_deref().unwrap_or_default()))?;
        let whose = match provider {
            Some(provider) if ![&known[..], &variables].concat().contains(&provider.as_str()) => {
                return Err(unknown(provider));
            }
            Some(provider) => format!("{}/{provider}", agent.name),
            None => agent.name.clone(),
        };
        match find(context, source, &around) {
            Ok(credential) => {
                found.keys.insert(whose, credential);
            }
            Err(why) => found.bad.push(BadKey { whose: format!("{whose} (`--key`)"), why }),
        }
    }
    Ok(found)
}

fn find(context: &Context, source: &KeySource, around: &Surroundings) -> Result<Credential, CredentialError> {
    let credential = source.find(around)?;
    places::outside_of_projects(context, &credential)?;
    Ok(credential)
}

/// Number and port of the route at `index`.
fn place(index: usize) -> Option<(RouteId, u16)> {
    let number = u8::try_from(index).ok().filter(|number| *number < 100)?;
    Some((RouteId(number + 1), FIRST_PORT + u16::from(number)))
}

/// `{port}` is the route's own port, `{port:NAME}` another's, `{placeholder}` the dummy key.
fn fill(text: &str, names: &[&str], port: u16) -> String {
    let mut text = text.replace("{port}", &port.to_string()).replace("{placeholder}", PLACEHOLDER);
    for (index, name) in names.iter().enumerate() {
        if let Some((_, port)) = place(index) {
            text = text.replace(&format!("{{port:{name}}}"), &port.to_string());
        }
    }
    text
}

struct Upstream<'a> {
    address: String,
    reach: RouteAddresses,
    /// The caller's variable that it is from.
    variable: Option<&'a str>,
}

/// The provider's address: a variable of the caller's that agents know too, else the recipe's.
fn upstream<'a>(keys: &Keys<'_>, route: &'a recipe::Route) -> Upstream<'a> {
    match route.base.iter().find_map(|name| Some((name, keys.environment.filled(name)?))) {
        // The requests bring the path the recipe knows; some of these variables end in it.
        Some((name, base)) => {
            let base = base.trim_end_matches('/');
            let base = route
                .paths
                .iter()
                .find_map(|path| base.strip_suffix(path.trim_end_matches('/')))
                .unwrap_or(base);
            Upstream { address: base.to_owned(), reach: RouteAddresses::Private, variable: Some(name) }
        }
        None => Upstream { address: route.upstream.clone(), reach: RouteAddresses::Public, variable: None },
    }
}

/// What a JSON object has that the home's own has not; `None` where one of them is none.
fn keys_of(text: &str, seeded: Option<&str>) -> Option<Value> {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let nothing = || Value::Object(serde_json::Map::new());
    let seeded = seeded.map_or_else(|| Some(nothing()), read)?;
    Some(besides(&read(text)?, &seeded).unwrap_or_else(nothing))
}

fn besides(value: &Value, known: &Value) -> Option<Value> {
    match (value, known) {
        (Value::Object(value), Value::Object(known)) => {
            let left: serde_json::Map<String, Value> = value
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.clone(), besides(value, known.get(name).unwrap_or(&Value::Null))?))
                })
                .collect();
            (!left.is_empty()).then(|| Value::Object(left))
        }
        _ if value == known => None,
        _ => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use fs_err as fs;

    use super::*;

    fn of(agent: &str, set: &[(&str, &str)], said: &[(&str, &str)]) -> Routes {
        let variable = |source: &str| Credential::Env(source.strip_prefix("env:").unwrap().into());
        let said = said.iter().map(|&(name, source)| (name.to_owned(), variable(source))).collect();
        let agent = Recipe::load(agent, Path::new("/")).unwrap();
        let set = set.iter().copied().chain([("HOME", "/home/me")]);
        let keys = Keys { said: &said, environment: &set.collect() };
        routes(&agent, &keys).unwrap()
    }

    #[test]
    fn no_key_no_route() {
        for agent in Recipe::agents() {
            assert!(of(agent, &[], &[]).egress.is_empty(), "{agent}");
        }
    }

    #[test]
    fn a_key_is_named_and_a_placeholder_goes_in() {
        let found = of("claude-code", &[("ANTHROPIC_API_KEY", "canary")], &[]);
        assert_eq!(found.egress[0].key, Credential::Env("ANTHROPIC_API_KEY".into()));
        assert!(!format!("{found:?}").contains("canary"));
        assert!(found.env.contains(&("ANTHROPIC_BASE_URL".into(), "http://127.0.0.1:3180".into())));
        assert_eq!(found.hosts, ["api.anthropic.com"]);
    }

    #[test]
    fn the_callers_gateway_is_the_upstream() {
        let set = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1/")];
        let found = of("codex-cli", &set, &[]);
        assert_eq!(found.egress[0].route.upstream.to_string(), "http://127.0.0.1:9");
        assert_eq!(found.egress[0].route.reach, RouteAddresses::Private);
        let [HomeEdit { path, change: Change::Around { before, after }, is_there: true }] = &found.edits[..]
        else {
            panic!("{:?}", found.edits)
        };
        assert_eq!(path, Path::new(".codex/config.toml"));
        let recipe = Recipe::load("codex-cli", Path::new("/")).unwrap();
        let seeded = &recipe.home.iter().find(|file| file.path == ".codex/config.toml").unwrap().content;
        let config: toml::Table = toml::from_str(&format!("{before}{seeded}{after}")).unwrap();
        // Without a key the file does not say so any more.
        assert!(of("codex-cli", &[], &[]).edits.iter().all(|edit| !edit.is_there));
        assert_eq!(
            config["model_providers"]["pinfold"]["base_url"].as_str(),
            Some("http://127.0.0.1:3180/v1")
        );
    }

    #[test]
    fn providers_of_one_agent_have_ports_of_their_own() {
        let set = [("ANTHROPIC_API_KEY", "k"), ("GEMINI_API_KEY", "k")];
        let found = of("opencode", &set, &[]);
        let ports: Vec<u16> = found.egress.iter().map(|route| route.route.listen_port).collect();
        assert_eq!(ports, [3180, 3182]);
        let [HomeEdit { change: Change::Keys(config), .. }] = &found.edits[..] else {
            panic!("{:?}", found.edits)
        };
        // What the home has anyhow is the user's to change.
        assert_eq!(config.as_object().unwrap().keys().collect::<Vec<_>>(), ["provider"]);
        assert_eq!(config["provider"]["google"]["options"]["baseURL"], "http://127.0.0.1:3182/v1beta");
    }

    #[test]
    fn what_was_said_comes_first_and_is_not_repeated() {
        let found = of("claude-code", &[("ANTHROPIC_API_KEY", "k")], &[("claude-code", "env:ANOTHER")]);
        assert_eq!(found.egress[0].key, Credential::Env("ANOTHER".into()));
    }

    #[test]
    fn the_first_key_that_is_there_decides_the_route() {
        for (set, key) in [
            (&[("ANTHROPIC_API_KEY", "a"), ("CLAUDE_CODE_OAUTH_TOKEN", "b")][..], Some("ANTHROPIC_API_KEY")),
            (
                &[("CLAUDE_CODE_OAUTH_TOKEN", "b"), ("ANTHROPIC_AUTH_TOKEN", "c")],
                Some("CLAUDE_CODE_OAUTH_TOKEN"),
            ),
            (&[("ANTHROPIC_AUTH_TOKEN", "c")], Some("ANTHROPIC_AUTH_TOKEN")),
            (&[("ANTHROPIC_API_KEY", ""), ("ANTHROPIC_AUTH_TOKEN", "c")], Some("ANTHROPIC_AUTH_TOKEN")),
            (&[("OPENAI_API_KEY", "another's")], None),
        ] {
            let found = of("claude-code", set, &[]);
            let keys: Vec<_> = found.egress.iter().map(|route| route.key.clone()).collect();
            assert_eq!(
                keys,
                key.map(|key| Credential::Env(key.into())).into_iter().collect::<Vec<_>>(),
                "{set:?}"
            );
        }
    }

    #[test]
    fn a_key_goes_the_way_of_its_kind() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            Credential::file(&path, &Surroundings::default()).unwrap()
        };
        let env = |name: &str| Credential::Env(name.into());
        let command = Credential::command(
            &["printf".into(), "sk".into()],
            &Surroundings { path: "/usr/bin:/bin".into(), ..Surroundings::default() },
        );
        let command = command.unwrap();
        let agent = Recipe::load("claude-code", Path::new("/")).unwrap();
        let set = [("MINE", "sk-ant-oat01-x"), ("PLAIN", "sk-x"), ("ANTHROPIC_API_KEY", "sk-ant-api03-x")];
        for (whose, credential, header, unsure) in [
            ("claude-code", env("CLAUDE_CODE_OAUTH_TOKEN"), "CLAUDE_CODE_OAUTH_TOKEN", false),
            ("claude-code", env("ANTHROPIC_AUTH_TOKEN"), "ANTHROPIC_AUTH_TOKEN", false),
            ("claude-code", env("ANTHROPIC_API_KEY"), "ANTHROPIC_API_KEY", false),
            ("claude-code", env("MINE"), "CLAUDE_CODE_OAUTH_TOKEN", false),
            ("claude-code", file("oat", "sk-ant-oat01-x\n"), "CLAUDE_CODE_OAUTH_TOKEN", false),
            ("claude-code/claude-code", file("oat2", "sk-ant-oat01-x\n"), "CLAUDE_CODE_OAUTH_TOKEN", false),
            ("claude-code", file("api", "sk-ant-api03-x"), "ANTHROPIC_API_KEY", false),
            ("claude-code/CLAUDE_CODE_OAUTH_TOKEN", file("odd", "x"), "CLAUDE_CODE_OAUTH_TOKEN", false),
            ("claude-code/ANTHROPIC_AUTH_TOKEN", command.clone(), "ANTHROPIC_AUTH_TOKEN", false),
            // Nobody knows: as before, and that is said.
            ("claude-code", env("PLAIN"), "ANTHROPIC_API_KEY", true),
            ("claude-code", file("gateway", "x"), "ANTHROPIC_API_KEY", true),
            ("claude-code", command, "ANTHROPIC_API_KEY", true),
        ] {
            let said = BTreeMap::from([(whose.to_owned(), credential.clone())]);
            let keys = Keys { said: &said, environment: &set.into_iter().collect() };
            let Way { route, key, unsure: told } = chosen(&agent, &keys, 0, "claude-code").unwrap();
            assert_eq!((route.key[0].as_str(), &key), (header, &credential), "{whose}");
            assert_eq!(told.is_some(), unsure, "{whose} {credential:?}: {told:?}");
            assert!(told.is_none_or(|told| told.contains("`--key CLAUDE_CODE_OAUTH_TOKEN=…`")));
        }
    }

    /// Under its own variable the program sends what belongs to the token of a subscription; nothing is added for it.
    #[test]
    fn a_subscription_is_told_as_one() {
        let found = of("claude-code", &[("CLAUDE_CODE_OAUTH_TOKEN", "canary")], &[]);
        let told: Vec<&str> = found.env.iter().map(|(name, _)| &**name).collect();
        assert_eq!(told, ["ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN"]);
        assert!(found.env.contains(&("CLAUDE_CODE_OAUTH_TOKEN".into(), PLACEHOLDER.into())));
        assert!(found.egress[0].route.append_headers.is_empty());
        assert!(include_str!("../project/recipe/recorded.txt").contains("oauth-2025-04-20"));
    }

    #[test]
    fn a_key_is_given_to_the_provider_it_was_said_for() {
        for (said, key, port) in [
            ("opencode", "env:FIRST", 3180),
            ("opencode/anthropic", "env:FIRST", 3180),
            ("opencode/openai", "env:SECOND", 3181),
            ("opencode/google", "env:THIRD", 3182),
        ] {
            let found = of("opencode", &[], &[(said, key)]);
            let ports: Vec<u16> = found.egress.iter().map(|route| route.route.listen_port).collect();
            assert_eq!(ports, [port], "{said}");
            assert_eq!(found.egress[0].key, Credential::Env(key.trim_start_matches("env:").into()), "{said}");
        }
        assert!(
            of("opencode", &[], &[("claude-code", "env:X"), ("opencode/nobody", "env:Y")]).egress.is_empty()
        );
    }
}
