//! Credential routes of an agent: which ports of the sandbox lead to which provider, where each key comes from, and what
//! the agent must be told of it.
//!
//! Routes of one name are alternatives: the first whose key is found is used. The keys themselves are never read here.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_network::Credential;
use pinfold_network::CredentialError;
use pinfold_network::RouteAddresses;
use pinfold_network::RouteError;
use pinfold_network::RouteId;
use pinfold_network::RouteSpec;
use pinfold_network::Surroundings;
use pinfold_sandbox::spec::CredentialRoute;
use pinfold_sandbox::spec::Mount;

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
    /// Variables.
    pub(super) env: Vec<(String, String)>,
    /// Configuration files laid over the home, read-only.
    pub(super) mounts: Vec<Mount>,
    /// Hosts that are reached by a route, and so need no tunnel: without one, no key can leave by it.
    pub(super) hosts: Vec<String>,
}

/// Where keys are looked for.
pub(super) struct Keys<'a> {
    /// What the user or the manifest said, by agent or `AGENT/PROVIDER`. An agent's name alone means its first provider.
    pub(super) said: &'a BTreeMap<String, Credential>,
    /// The caller's variables; empty ones are not set.
    pub(super) environment: &'a Environment,
}

/// The routes of `agent` for which there is a key. Files are written below `folder`; the home inside is `home`.
pub(super) fn routes(
    agent: &Recipe,
    keys: &Keys<'_>,
    home: &Path,
    folder: &Path,
) -> Result<Routes, RunError> {
    let wrong = |reason: String| RunError::Route { recipe: agent.name.clone(), reason };
    let mut out = Routes::default();
    let names = agent.route_names();
    for (index, name) in names.iter().enumerate() {
        let Some((route, key)) = chosen(agent, keys, index, name) else { continue };
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
        out.hosts.push(route.upstream.trim_start_matches("https://").to_owned());
        out.env.extend(route.env.iter().map(|(name, value)| (name.clone(), fill(value, &names, port))));
    }
    if let Some(first) = out.egress.first().map(|route| route.route.listen_port) {
        // Files that must name a port are laid over the home, read-only.
        for file in &agent.run.file {
            let seeded =
                agent.home.iter().find(|known| known.path == file.path).map_or("", |known| &known.content);
            let text = match &file.replace {
                Some(text) => text.clone(),
                None => format!("{}{seeded}{}", file.prepend, file.append),
            };
            let place = folder.join(file.path.replace('/', "-"));
            write(&place, &fill(&text, &names, first))?;
            out.mounts.push(Mount::read_only(place, home.join(&file.path)));
        }
    }
    Ok(out)
}

/// The route of this name for which there is a key.
fn chosen<'a>(
    agent: &'a Recipe,
    keys: &Keys<'_>,
    index: usize,
    name: &str,
) -> Option<(&'a recipe::Route, Credential)> {
    let said = keys
        .said
        .get(&format!("{}/{name}", agent.name))
        .or_else(|| keys.said.get(&agent.name).filter(|_| index == 0));
    let mut alternatives = agent.run.route.iter().filter(|route| agent.route_name(route) == name);
    alternatives.find_map(|route| Some((route, key(keys, said, route)?)))
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
pub(super) fn probe(agent: &Recipe, keys: &Keys<'_>) -> Result<(), RunError> {
    let names = agent.route_names().into_iter().enumerate();
    let bad = names.filter_map(|(index, name)| {
        let (_, key) = chosen(agent, keys, index, name)?;
        let why = key.probe(|name| keys.environment.text(name).map(str::to_owned)).err()?;
        Some(BadKey { whose: format!("{}/{name}", agent.name), why })
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
            Some(provider) if !known.contains(&provider.as_str()) => return Err(unknown(provider)),
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

/// Where a route's key is: as was said, else the first of the recipe's variables that is set.
fn key(keys: &Keys<'_>, said: Option<&Credential>, route: &recipe::Route) -> Option<Credential> {
    if let Some(said) = said {
        return Some(said.clone());
    }
    let name = route.key.iter().find(|name| keys.environment.filled(name).is_some())?;
    Some(Credential::Env(name.clone()))
}

/// Writes `text` unless the file has it already; renamed into place, because another start may mount it right now.
fn write(place: &Path, text: &str) -> Result<(), RunError> {
    if fs::read(place).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    let parent = place.parent().unwrap_or(place);
    fs::create_dir_all(parent)?;
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    std::io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(place).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(agent: &str, set: &[(&str, &str)], said: &[(&str, &str)]) -> (tempfile::TempDir, Routes) {
        let variable = |source: &str| Credential::Env(source.strip_prefix("env:").unwrap().into());
        let said = said.iter().map(|&(name, source)| (name.to_owned(), variable(source))).collect();
        let dir = tempfile::tempdir().unwrap();
        let agent = Recipe::load(agent, Path::new("/")).unwrap();
        let set = set.iter().copied().chain([("HOME", "/home/me")]);
        let keys = Keys { said: &said, environment: &set.collect() };
        let routes = routes(&agent, &keys, Path::new("/home/agent"), dir.path()).unwrap();
        (dir, routes)
    }

    #[test]
    fn no_key_no_route() {
        for agent in Recipe::agents() {
            assert!(of(agent, &[], &[]).1.egress.is_empty(), "{agent}");
        }
    }

    #[test]
    fn a_key_is_named_and_a_placeholder_goes_in() {
        let (_dir, found) = of("claude-code", &[("ANTHROPIC_API_KEY", "canary")], &[]);
        assert_eq!(found.egress[0].key, Credential::Env("ANTHROPIC_API_KEY".into()));
        assert!(!format!("{found:?}").contains("canary"));
        assert!(found.env.contains(&("ANTHROPIC_BASE_URL".into(), "http://127.0.0.1:3180".into())));
        assert_eq!(found.hosts, ["api.anthropic.com"]);
    }

    #[test]
    fn the_callers_gateway_is_the_upstream() {
        let set = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", "http://127.0.0.1:9/v1/")];
        let (dir, found) = of("codex-cli", &set, &[]);
        assert_eq!(found.egress[0].route.upstream.to_string(), "http://127.0.0.1:9");
        assert_eq!(found.egress[0].route.reach, RouteAddresses::Private);
        let config = fs::read_to_string(dir.path().join(".codex-config.toml")).unwrap();
        let config: toml::Table = toml::from_str(&config).unwrap();
        assert_eq!(
            config["model_providers"]["pinfold"]["base_url"].as_str(),
            Some("http://127.0.0.1:3180/v1")
        );
    }

    #[test]
    fn providers_of_one_agent_have_ports_of_their_own() {
        let set = [("ANTHROPIC_API_KEY", "k"), ("GEMINI_API_KEY", "k")];
        let (dir, found) = of("opencode", &set, &[]);
        let ports: Vec<u16> = found.egress.iter().map(|route| route.route.listen_port).collect();
        assert_eq!(ports, [3180, 3182]);
        let config = fs::read(dir.path().join(".config-opencode-opencode.json")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["provider"]["google"]["options"]["baseURL"], "http://127.0.0.1:3182/v1beta");
    }

    #[test]
    fn what_was_said_comes_first_and_is_not_repeated() {
        let (_dir, found) =
            of("claude-code", &[("ANTHROPIC_API_KEY", "k")], &[("claude-code", "env:ANOTHER")]);
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
            let (_dir, found) = of("claude-code", set, &[]);
            let keys: Vec<_> = found.egress.iter().map(|route| route.key.clone()).collect();
            assert_eq!(
                keys,
                key.map(|key| Credential::Env(key.into())).into_iter().collect::<Vec<_>>(),
                "{set:?}"
            );
        }
    }

    /// Under its own variable the program sends what belongs to the token of a subscription; nothing is added for it.
    #[test]
    fn a_subscription_is_told_as_one() {
        let (_dir, found) = of("claude-code", &[("CLAUDE_CODE_OAUTH_TOKEN", "canary")], &[]);
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
            let (_dir, found) = of("opencode", &[], &[(said, key)]);
            let ports: Vec<u16> = found.egress.iter().map(|route| route.route.listen_port).collect();
            assert_eq!(ports, [port], "{said}");
            assert_eq!(found.egress[0].key, Credential::Env(key.trim_start_matches("env:").into()), "{said}");
        }
        assert!(
            of("opencode", &[], &[("claude-code", "env:X"), ("opencode/nobody", "env:Y")])
                .1
                .egress
                .is_empty()
        );
    }
}
