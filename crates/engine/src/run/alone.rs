//! A sandbox of an image and of nothing else, for whoever checks the image: no directory of the host, no key, nothing that the
//! image wishes for its sandboxes. What it is given instead is memory, and a home that goes with the run.
//!
//! **Guarantees**: nobody need agree to anything, since nothing is given away. Agents are told of a provider exactly as in a run
//! ([`super::credentials`]); who answers for the provider is the caller's.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Platform;
use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;
use pinfold_image::unpack;
use pinfold_image::unpack::SetId;
use pinfold_network::Credential;
use pinfold_network::environment;
use pinfold_network::runtime_environment;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec;
use pinfold_sandbox::spec::Change;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::HomeDirectory;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Limits;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::MountSource;

use super::credentials;
use super::error::RunError;
use super::image;
use super::volumes;
use crate::build::HOSTNAME;
use crate::context::Context;
use crate::context::Environment;
use crate::project::recipe::Recipe;

/// Where programs start; empty memory.
const WORKSPACE: &str = "/workspace";
/// Bytes of each memory that is written to.
const MEMORY: u64 = 512 << 20;
/// Bytes of memory of everything inside, where the machine can hold it to that.
const TOTAL: u64 = 6 << 30;
const PROCESSES: u32 = 2048;

/// An image, unpacked, and what it says of itself.
#[derive(Debug)]
pub(crate) struct Alone {
    /// A sandbox of it without arguments, name and network.
    pub(crate) spec: Spec,
    /// What it runs when nothing is said, without an init.
    pub(crate) command: Vec<String>,
    /// Its entrypoint as it stands in its configuration.
    pub(crate) entrypoint: Vec<String>,
    /// The user as it stands there.
    pub(crate) user: String,
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
}

/// How agents reach a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// As in a run: plain HTTP to a port of the sandbox.
    Http,
    /// TLS to that port.
    Https,
}

/// Unpacks an image that is there.
pub(crate) fn alone(
    context: &Context,
    source: &Admitted<ImageSource>,
    platform: Platform,
) -> Result<Alone, RunError> {
    let image = image::of(source, platform)?;
    let config = image.config.value().config.clone().unwrap_or_default();
    let ready = image::unpacked(context, source, &image)?;
    let mut spec = Spec::new("verify", &ready.root, Vec::new());
    spec.env = ready.env;
    spec.env.insert("HOME".into(), ready.home.display().to_string());
    spec.user = ready.user;
    spec.home = HomeDirectory { target: ready.home, keep: Keep::Run };
    spec.cwd = WORKSPACE.into();
    spec.hostname = HOSTNAME.into();
    spec.tmp_bytes = MEMORY;
    spec.limits = Limits { memory: Some(TOTAL), processes: Some(PROCESSES), ..Limits::default() };
    spec.network = spec::Network::None;
    spec.mounts = vec![Mount {
        source: MountSource::Memory(MEMORY),
        ..Mount::writable(Path::new("/"), Path::new(WORKSPACE))
    }];
    let volumes = volumes::of(&ready.volumes, &spec);
    spec.mounts.extend(volumes.mounts);
    spec.labels.insert("image".into(), ready.reference);
    Ok(Alone {
        spec,
        command: ready.command,
        entrypoint: config.entrypoint,
        user: config.user,
        labels: config.labels,
    })
}

/// Unpacks the same image into `root` with the set-id bits that the roots of runs do not have.
pub(crate) fn with_set_id(
    context: &Context,
    source: &Admitted<ImageSource>,
    platform: Platform,
    root: &Path,
) -> Result<(), RunError> {
    let image = image::of(source, platform)?;
    let options = unpack::Options { set_id: SetId::Keep, ..unpack::Options::default() };
    unpack::unpack(source, &image, root, &options, &*context.reporter)?;
    Ok(())
}

impl Alone {
    /// The same for a runtime that makes no place for a mount in an image: programs start in the home.
    pub(crate) fn at_home(mut self) -> Self {
        self.spec.mounts.retain(|mount| mount.target != Path::new(WORKSPACE));
        self.spec.cwd.clone_from(&self.spec.home.target);
        self
    }

    /// A file of its `/etc`, such as `passwd`. No link of the image is followed.
    pub(crate) fn etc(&self, name: &str) -> Option<String> {
        image::etc(&self.spec.rootfs, name)
    }

    /// The home of its user, inside.
    pub(crate) fn home(&self) -> &PathBuf {
        &self.spec.home.target
    }

    /// A sandbox whose loopback has the ports of an agent's routes, with the agent told of them.
    pub(crate) fn with_agent(&self, agent: &Recipe, scheme: Scheme) -> Result<Spec, RunError> {
        // Which variable it is said to be from decides between alternatives; nobody reads it.
        let key = |name: &str| {
            let route = agent.run.route.iter().find(|route| agent.route_name(route) == name);
            let variable = route.and_then(|route| route.key.first());
            variable.map(|variable| (format!("{}/{name}", agent.name), Credential::Env(variable.clone())))
        };
        let said: BTreeMap<String, Credential> = agent.route_names().into_iter().filter_map(key).collect();
        let keys = credentials::Keys { said: &said, environment: &Environment::default() };
        let routes = credentials::routes(agent, &keys)?;
        let mut spec = self.spec.clone();
        for (name, value) in environment(spec::PROXY_PORT, &spec.hostname) {
            spec.env.insert(name.into(), value);
        }
        for (name, value) in runtime_environment(spec::PROXY_PORT, &spec.hostname) {
            spec.env.entry(name.into()).or_insert(value);
        }
        let scheme = |text: &str| match scheme {
            Scheme::Http => text.to_owned(),
            Scheme::Https => text.replace("http://127.0.0.1:", "https://127.0.0.1:"),
        };
        spec.env.extend(routes.env.into_iter().map(|(name, value)| (name, scheme(&value))));
        spec.home_edits = routes.edits;
        for edit in &mut spec.home_edits {
            match &mut edit.change {
                Change::Around { before, after } => {
                    *before = scheme(before);
                    *after = scheme(after);
                }
                Change::Whole { text, .. } => *text = scheme(text),
                Change::Keys(keys) => rewrite(keys, &scheme),
                Change::Missing(_) => {}
            }
        }
        spec.network = spec::Network::Proxy(Egress { allow: Vec::new(), routes: routes.egress });
        Ok(spec)
    }
}

/// Every text within.
fn rewrite(value: &mut serde_json::Value, change: &impl Fn(&str) -> String) {
    match value {
        serde_json::Value::String(text) => *text = change(text),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, change)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|field| rewrite(field, change)),
        _ => {}
    }
}
