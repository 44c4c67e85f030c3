//! What a sandbox elsewhere has of a request: the same agent with the same rules and routes, and nothing of this machine.
//!
//! **Guarantees**: no key, no variable and no path of the caller is in it. Which routes there are is decided by what was said, not by
//! the keys that this machine happens to have: equal requests for equal images give equal values.
//!
//! **Refuses** images that run as root (a cluster does not give them another user by itself), sealed ones (their queues are directories of a
//! host), the host's network, and variables that have no value in what was said.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;
use pinfold_network::Credential;
use pinfold_network::RouteSpec;
use pinfold_network::environment;
use pinfold_network::runtime_environment;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec;
use pinfold_sandbox::spec::HomeEdit;
use pinfold_sandbox::spec::Ids;
use pinfold_sandbox::spec::Mount;

use super::choice::Choice;
use super::choice::ImageOf;
use super::credentials;
use super::error::RunError;
use super::image;
use super::image::Ready;
use super::request::For;
use super::request::Key;
use super::request::Request;
use super::specify;
use super::specify::Asked;
use super::volumes;
use crate::build::LockUse;
use crate::consent::Agreed;
use crate::context::Context;
use crate::context::Environment;
use crate::project::Project;
use crate::project::folder::Folder;
use crate::project::manifest::run::KeySource;
use crate::project::manifest::run::Reach;
use crate::project::manifest::run::Spelt;
use crate::project::manifest::run::Variable;

/// The largest file of a home that is changed.
const FILE_MAX: u64 = 1 << 20;
/// What stands for a task among an agent's words.
const TASK: &str = "{task}";
/// By which words agents do one task and end.
const ONE_TASK: [(&str, &[&str]); 4] = [
    ("claude-code", &["-p", TASK]),
    ("codex-cli", &["exec", "--skip-git-repo-check", TASK]),
    ("gemini-cli", &["-p", TASK]),
    ("opencode", &["run", TASK]),
];

/// A request whose project or image was agreed to, before anything is built.
pub(crate) struct Meant<'a> {
    asked: Asked<'a>,
    image: ImageOf,
}

/// Whose image it is.
pub(crate) enum Whose<'a> {
    /// A project's, built if need be.
    Project(&'a Agreed<Project>),
    /// One that is there.
    Image(&'a Admitted<ImageSource>),
}

/// A provider that is reached by a route.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// The route.
    pub(crate) spec: RouteSpec,
    /// The variable that would hold a key of its kind.
    pub(crate) variable: String,
    /// Who said where that key is, where somebody did.
    pub(crate) key: Option<KeyOf>,
}

/// Who said where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOf {
    /// The request, as the key of this index.
    Request(usize),
    /// The manifest, in these words.
    Manifest(String),
}

/// What a sandbox has.
#[derive(Debug)]
pub(crate) struct Described {
    /// Where the image is unpacked.
    pub(crate) root: PathBuf,
    /// Its user.
    pub(crate) user: Ids,
    /// That user's home.
    pub(crate) home: PathBuf,
    /// Variables beside the image's.
    pub(crate) env: BTreeMap<String, String>,
    /// The program and its words.
    pub(crate) args: Vec<String>,
    /// Rules of the proxy.
    pub(crate) allow: Vec<String>,
    /// Routes.
    pub(crate) routes: Vec<Route>,
    /// Files of the home with other texts than the image has.
    pub(crate) home_files: BTreeMap<String, String>,
    /// What the user should know of it, once there is nothing wrong.
    pub(crate) notes: Vec<String>,
    /// Volumes of the image.
    pub(crate) volumes: BTreeSet<String>,
    /// Memory, where somebody said.
    pub(crate) memory: Option<u64>,
    /// Thousandths of a processor, where somebody said.
    pub(crate) cpu_milli: Option<u64>,
}

/// What a sandbox elsewhere is called after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct There<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// Its workspace.
    pub(crate) workspace: &'a Path,
    /// What it does.
    pub(crate) work: Work,
}

/// What an agent does there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A session that somebody attaches to.
    Session,
    /// One task that it is given.
    Task,
}

/// Resolves a request as `run` does. Refuses what the user has not agreed to.
pub(crate) fn meant<'a>(context: &Context, request: &'a Request) -> Result<Meant<'a>, RunError> {
    let choice = Choice::find(context, request)?;
    let (asked, image) = specify::ask(context, choice, request)?;
    if asked.declared.sealed {
        return Err(RunError::Elsewhere("a sealed image has its queues on the machine that it runs on"));
    }
    if asked.reach() == Reach::Host {
        return Err(RunError::Elsewhere("the host's network is no way out of a cluster's sandbox"));
    }
    Ok(Meant { asked, image })
}

/// The project that is meant from here.
pub(crate) fn seen_from_here(context: &Context, request: &Request) -> Result<Request, RunError> {
    request.seen_from_here(context, For::Start)
}

impl Meant<'_> {
    /// Whose image it is.
    pub(crate) fn whose(&self) -> Whose<'_> {
        match &self.image {
            ImageOf::Project(project) => Whose::Project(project),
            ImageOf::Source(source) => Whose::Image(source),
        }
    }

    /// Builds and unpacks the image, and says what a sandbox of it has.
    pub(crate) fn describe(
        &self,
        context: &Context,
        lock: LockUse,
        there: There<'_>,
    ) -> Result<Described, RunError> {
        let asked = &self.asked;
        let variables = self.variables(context)?;
        let ready = image::ready(context, &self.image, asked.platform, lock, None)?;
        refuse_root(&ready.said_user)?;
        let (routes, notes) = self.routes(context)?;
        let args = self.words(&ready, there.work)?;
        let allow = match asked.reach() {
            Reach::None => Vec::new(),
            Reach::Proxy | Reach::Host => asked.rules(&routes.hosts),
        };
        let limits = asked.limits();
        let mut env = BTreeMap::from([("HOME".to_owned(), ready.home.display().to_string())]);
        if !ready.env.contains_key("TERM") {
            env.insert("TERM".into(), "xterm-256color".into());
        }
        if asked.reach() == Reach::Proxy {
            let told = environment(spec::PROXY_PORT, there.name).into_iter();
            let told = told.chain(runtime_environment(spec::PROXY_PORT, there.name)).chain(asked.quiet());
            env.extend(told.map(|(name, value)| (name.to_owned(), value)));
            env.extend(routes.env.iter().cloned());
        }
        env.extend(variables);
        let variables = routes.variables.into_iter();
        Ok(Described {
            user: ready.user,
            args,
            allow,
            home_files: home_files(&ready, &routes.edits)?,
            volumes: writable(context, &ready, there.workspace),
            routes: routes
                .egress
                .into_iter()
                .zip(variables)
                .map(|(route, variable)| Route { key: self.key(&route.key), spec: route.route, variable })
                .collect(),
            notes,
            memory: limits.memory,
            cpu_milli: limits.cpu_milli.map(u64::from),
            env,
            home: ready.home,
            root: ready.root,
        })
    }

    /// Variables that were said with their values. One of the caller's would bring a value of this machine, a key perhaps.
    fn variables(&self, context: &Context) -> Result<BTreeMap<String, String>, RunError> {
        let mut variables = BTreeMap::new();
        for Variable { name, value } in &self.asked.request.env {
            let value = value.clone().ok_or_else(|| RunError::NoValue(name.clone()))?;
            variables.insert(name.clone(), value);
        }
        for Variable { name, value } in &self.asked.declared.pass_env {
            match value {
                Some(value) => {
                    variables.entry(name.clone()).or_insert_with(|| value.clone());
                }
                None if variables.contains_key(name) => {}
                None => context.reporter.note(&format!(
                    "`{name}` of `run.pass-env` is this machine's and stays here; `--env {name}=VALUE` sets it there"
                )),
            }
        }
        Ok(variables)
    }

    /// Who said where this key is.
    fn key(&self, key: &Credential) -> Option<KeyOf> {
        let asked = &self.asked;
        let whose = asked.keys.iter().filter(|(_, known)| *known == key).map(|(whose, _)| whose.as_str());
        let none = BTreeMap::new();
        let declared = match &self.image {
            ImageOf::Project(project) => &project.manifest.run.credentials,
            ImageOf::Source(_) => &none,
        };
        said_by(&asked.agent.as_ref()?.name, &whose.collect::<Vec<_>>(), &asked.request.keys, declared)
    }

    /// The routes, by what was said; the agent's first where nothing was. With what is to be told of them.
    fn routes(&self, context: &Context) -> Result<(credentials::Routes, Vec<String>), RunError> {
        let mut notes = Vec::new();
        let asked = &self.asked;
        let Some(agent) = asked.agent.as_ref().filter(|_| asked.reach() == Reach::Proxy) else {
            return Ok((credentials::Routes::default(), notes));
        };
        let environment = Environment::default();
        let said = credentials::Keys { said: &asked.keys, environment: &environment };
        let routes = credentials::routes(agent, &said)?;
        if !routes.egress.is_empty() {
            notes.clone_from(&routes.unsure);
            return Ok((routes, notes));
        }
        let Some(variable) = agent.run.route.first().and_then(|route| route.key.first()) else {
            return Ok((routes, notes));
        };
        let first = BTreeMap::from([(agent.name.clone(), Credential::Env(variable.clone()))]);
        let others: Vec<&str> = agent
            .run
            .route
            .iter()
            .skip(1)
            .filter_map(|route| route.key.first())
            .map(String::as_str)
            .collect();
        // Where it is there, it is the one that is meant.
        if !others.is_empty() && context.environment.filled(variable).is_none() {
            notes.push(format!(
                "the proxy is to have the key `{variable}`; for another say `--key NAME=env:NAME` with {}",
                others.join(", ")
            ));
        }
        let keys = credentials::Keys { said: &first, environment: &environment };
        Ok((credentials::routes(agent, &keys)?, notes))
    }

    /// The program and its words.
    fn words(&self, ready: &Ready, work: Work) -> Result<Vec<String>, RunError> {
        let asked = &self.asked;
        let text = |word: std::ffi::OsString| {
            word.into_string().map_err(|_| RunError::Elsewhere("a word of the command is no UTF-8"))
        };
        let mut words = asked.args().into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
        if words.is_empty() {
            words.clone_from(&ready.command);
        }
        if words.is_empty() {
            return Err(RunError::Nothing);
        }
        if work == Work::Task && !words.iter().any(|word| word.contains(TASK)) {
            let known = asked.agent.as_ref().filter(|_| asked.request.command.is_empty());
            let known = known.and_then(|agent| ONE_TASK.iter().find(|(name, _)| *name == agent.name));
            let (_, more) = known.ok_or(RunError::NoTask)?;
            words.extend(more.iter().map(|word| (*word).to_owned()));
        }
        Ok(words)
    }
}

/// Who said where the key is that an agent has under these names: the request before the manifest.
fn said_by(
    agent: &str,
    whose: &[&str],
    said: &[Key],
    declared: &BTreeMap<String, Spelt<KeySource>>,
) -> Option<KeyOf> {
    let is = |whose: &str, said: &Key| match (&said.provider, whose.strip_prefix(agent)) {
        (None, Some("")) => true,
        (Some(provider), Some(rest)) => rest.strip_prefix('/') == Some(provider),
        _ => false,
    };
    if let Some(index) = whose.iter().find_map(|whose| said.iter().rposition(|said| is(whose, said))) {
        return Some(KeyOf::Request(index));
    }
    whose.iter().find_map(|whose| Some(KeyOf::Manifest(declared.get(*whose)?.text().to_owned())))
}

/// Kubernetes does not start an image of root's in a pod that must not be root, and has no other user for it.
fn refuse_root(said: &str) -> Result<(), RunError> {
    let name = said.split(':').next().unwrap_or_default();
    if matches!(name, "" | "root") || name.parse() == Ok(0_u32) { Err(RunError::Root) } else { Ok(()) }
}

/// The texts of files that routes change, as the image has them.
fn home_files(ready: &Ready, edits: &[HomeEdit]) -> Result<BTreeMap<String, String>, RunError> {
    let folder = Folder::open(&ready.root).ok();
    let inside = ready.home.strip_prefix("/").unwrap_or(&ready.home);
    let mut texts = BTreeMap::new();
    for edit in edits.iter().filter(|edit| edit.is_there) {
        let opened = folder.as_ref().and_then(|folder| folder.find(&inside.join(&edit.path)).ok()?);
        // A link of the image may lead to the host's files.
        let before =
            opened.filter(|file| file.outside().is_none()).and_then(|file| file.bytes(FILE_MAX).ok());
        let before = before.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let path =
            edit.path.to_str().ok_or(RunError::Elsewhere("a file of the home is not named in UTF-8"))?;
        texts.insert(path.to_owned(), edit.applied(&before)?);
    }
    Ok(texts)
}

/// Volumes of the image that a pod gets beside its other directories.
fn writable(context: &Context, ready: &Ready, workspace: &Path) -> BTreeSet<String> {
    let mut pod = Spec::new(String::new(), &ready.root, Vec::new());
    pod.home.target.clone_from(&ready.home);
    pod.mounts = vec![Mount::writable(Path::new("/"), workspace)];
    let found = volumes::of(&ready.volumes, &pod);
    found.notes.iter().for_each(|note| context.reporter.note(note));
    found.mounts.into_iter().filter_map(|mount| mount.target.to_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_told_as_it_was_said_and_the_request_counts_first() {
        let declared = BTreeMap::from([
            ("opencode".to_owned(), "file:~/key".parse().unwrap()),
            ("opencode/openai".to_owned(), "env:OTHER".parse().unwrap()),
        ]);
        let said: Vec<Key> = ["env:A", "anthropic=env:B"].map(|text| text.parse().unwrap()).into();
        let found = |whose: &[&str], said: &[Key]| said_by("opencode", whose, said, &declared);
        let manifest = |text: &str| Some(KeyOf::Manifest(text.to_owned()));
        assert_eq!(found(&["opencode"], &[]), manifest("file:~/key"));
        assert_eq!(found(&["opencode/openai"], &said), manifest("env:OTHER"));
        assert_eq!(found(&["opencode"], &said), Some(KeyOf::Request(0)));
        assert_eq!(found(&["opencode/anthropic"], &said), Some(KeyOf::Request(1)));
        assert_eq!(found(&["opencode/anthropic"], &said[..1]), None);
        assert_eq!(found(&["opencode/openai", "opencode"], &said), Some(KeyOf::Request(0)));
        assert_eq!(found(&[], &said), None);
    }
}
