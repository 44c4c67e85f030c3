//! The way out of a sandbox: the proxy's list, the credential routes, and what the agent must be told of them.

use pinfold_base::authority::Target;
use pinfold_network::AllowList;
use pinfold_network::Decision;
use pinfold_network::DialError;
use pinfold_network::Dialer;
use pinfold_network::dial::Addresses;
use pinfold_network::environment;
use pinfold_network::runtime_environment;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec;
use pinfold_sandbox::spec::Egress;

use super::credentials;
use super::error::RunError;
use super::request::View;
use super::sealed;
use super::specify::Asked;
use crate::context::Context;
use crate::context::Network;
use crate::project::manifest::ManifestError;
use crate::project::manifest::run::Reach;
use crate::project::manifest::run::Variable;

/// Whether what the rules allow is at an address that the proxy reaches.
fn look(context: &Context, decision: &mut Decision) {
    let target = decision.target.as_deref().and_then(|target| Target::parse(target.as_bytes(), None).ok());
    let Some(target) = target.filter(|_| decision.allowed) else { return };
    if context.network() == Network::Offline && target.host.name().is_some() {
        return;
    }
    if let Err(error) = Dialer::default().look(&target, Addresses::Public) {
        decision.allowed = !matches!(error, DialError::Refused { .. });
        let public = if decision.allowed { "" } else { "; the proxy reaches public addresses only" };
        decision.reason = format!("{}, but {error}{public}", decision.reason);
    }
}

impl Asked<'_> {
    /// A sealed sandbox has its routes by the proxy that has no rules.
    pub(super) fn reach(&self) -> Reach {
        if self.declared.sealed {
            return Reach::Proxy;
        }
        self.request.network.or(self.declared.network).unwrap_or(Reach::Proxy)
    }

    /// Rules of the proxy: the agent's hosts but for those behind a route, the manifest's, the user's.
    pub(super) fn rules(&self, routed: &[String]) -> Vec<String> {
        if self.declared.sealed {
            return Vec::new();
        }
        let hosts = self.agent.iter().flat_map(|agent| &agent.run.hosts);
        let hosts = hosts.filter(|host| !routed.contains(host));
        let said = self.declared.allow.iter().chain(&self.request.allow);
        hosts.cloned().chain(said.map(|rule| rule.text().to_owned())).collect()
    }

    /// Node.js 22 says with every start that its proxy is an experiment. Older ones, which an image may have from elsewhere,
    /// do not start with this option, so it is for the built-in recipe's alone.
    pub(super) fn quiet(&self) -> Option<(&'static str, String)> {
        let node = self.recipes.iter().any(|recipe| recipe.name == "node" && recipe.is_built_in());
        node.then(|| ("NODE_OPTIONS", "--disable-warning=UNDICI-EHPA".into()))
    }

    fn routes(&self, context: &Context) -> Result<credentials::Routes, RunError> {
        let Some(agent) = &self.agent else { return Ok(credentials::Routes::default()) };
        let keys = credentials::Keys { said: &self.keys, environment: &context.environment };
        credentials::routes(agent, &keys)
    }

    /// Tells of a variable that is handed over although a route would add the key in it.
    fn warn_of_keys(&self, context: &Context) {
        let Some(agent) = self.agent.as_ref().filter(|_| self.reach() == Reach::Proxy) else { return };
        let is_key = |name: &str| agent.run.route.iter().flat_map(|route| &route.key).any(|key| key == name);
        for Variable { name, .. } in self.declared.pass_env.iter().chain(&self.request.env) {
            if is_key(name) {
                context.reporter.warn(&format!(
                    "the key in `{name}` is visible inside: `export {name}` where pinfold is started and leave `--env` out, and \
                     it is added outside"
                ));
            }
        }
    }

    /// Refuses a start that would have no key although one was named, and tells of keys that are handed over.
    pub(super) fn probe_keys(&self, context: &Context) -> Result<(), RunError> {
        self.warn_of_keys(context);
        match &self.agent {
            Some(agent) if self.reach() == Reach::Proxy => credentials::probe(
                agent,
                &credentials::Keys { said: &self.keys, environment: &context.environment },
                |whose| {
                    let of = |provider: &Option<String>| match provider {
                        Some(provider) => format!("{}/{provider}", agent.name),
                        None => agent.name.clone(),
                    };
                    self.request.keys.iter().any(|key| of(&key.provider) == whose)
                },
            ),
            _ => Ok(()),
        }
    }

    /// The variables by which programs find the proxy.
    fn tell_of_proxy(&self, spec: &mut Spec) {
        for (name, value) in environment(spec::PROXY_PORT, &spec.hostname) {
            spec.env.insert(name.into(), value);
        }
        let told = runtime_environment(spec::PROXY_PORT, &spec.hostname);
        for (name, value) in told.into_iter().chain(self.quiet()) {
            spec.env.entry(name.into()).or_insert(value);
        }
    }

    /// Gives the specification its way out.
    pub(super) fn network(&self, context: &Context, spec: &mut Spec) -> Result<(), RunError> {
        spec.network = match self.reach() {
            Reach::None => spec::Network::None,
            Reach::Host => {
                context.reporter.warn(
                    "the host's network is open inside, and with it this machine's own services; keys are not added to it",
                );
                spec::Network::Host
            }
            Reach::Proxy => {
                if !self.declared.sealed {
                    self.tell_of_proxy(spec);
                }
                let routes = self.routes(context)?;
                if let Some(agent) = self.agent.as_ref().filter(|agent| !agent.run.route.is_empty())
                    && routes.egress.is_empty()
                {
                    let mut keys: Vec<&str> =
                        agent.run.route.iter().flat_map(|route| &route.key).map(String::as_str).collect();
                    keys.dedup();
                    if self.declared.sealed {
                        let keys = keys.into_iter().map(str::to_owned).collect();
                        return Err(RunError::NoKey { title: agent.title.clone(), keys });
                    }
                    context.reporter.note(&format!(
                        "no key for {}: set {}, or name its place with `--key file:PATH`",
                        agent.title,
                        keys.join(" or ")
                    ));
                }
                for unsure in &routes.unsure {
                    context.reporter.note(unsure);
                }
                if self.declared.sealed {
                    spec.network = sealed::network(routes.egress);
                    return Ok(());
                }
                let allow = self.rules(&routes.hosts);
                spec.env.extend(routes.env);
                // Mirror mode's home is the caller's own, and stays as it is.
                if self.request.view == View::Isolated {
                    spec.home_edits.extend(routes.edits);
                }
                spec::Network::Proxy(Egress { allow, routes: routes.egress })
            }
        };
        Ok(())
    }

    /// Whether `url` could be reached now: by the rules, and, unless pinfold is offline, by the addresses of its name.
    pub(super) fn decide(&self, context: &Context, url: &str) -> Result<Decision, RunError> {
        let fixed =
            |allowed, reason: &str| Decision { allowed, reason: reason.into(), rule: None, target: None };
        Ok(match self.reach() {
            Reach::None => fixed(false, "there is no network inside"),
            Reach::Host => fixed(true, "the host's network is used, without any list"),
            Reach::Proxy => {
                let routes = self.routes(context)?;
                let rules = self.rules(&routes.hosts);
                let allowed = AllowList::parse(rules.iter().map(String::as_str))
                    .map_err(|error| ManifestError::value("allow", error.to_string()))?;
                let mut decision = allowed.check(url);
                let routed = routes.hosts.iter().any(|host| {
                    AllowList::parse([host.as_str()]).is_ok_and(|alone| alone.check(url).allowed)
                });
                if routed && !decision.allowed {
                    decision.reason =
                        "this host is reached through the agent's credential route, not by a tunnel".into();
                }
                look(context, &mut decision);
                decision
            }
        })
    }
}
