//! One thing that is asked for: what it means, how it is told, and the digest that an agreement is held by.
//!
//! **Guarantees**: the digest covers the whole value that an ask stands for, as serde writes it; a field that is added to a
//! recipe's route, say, is covered the day it is added. What is told is the same value, secrets left out.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Digest;
use pinfold_base::Shown;
use pinfold_network::Credential;
use pinfold_network::HeldFile;
use pinfold_sandbox::spec::Limits;
use pinfold_sources::npm::config::Setting;
use serde::Serialize;
use serde_json::Value;

use super::Wishes;
use super::address::Address;
use crate::context::Environment;
use crate::project::Project;
use crate::project::folder::Source;
use crate::project::manifest::File;
use crate::project::manifest::run::NixStore;
use crate::project::manifest::run::Reach;
use crate::project::recipe::Route;
use crate::project::recipe::Text;
use crate::sources;
use crate::sources::Trust;
use crate::sources::build::Build;

/// So much of a digest is shown, in hexadecimal digits: as of a commit.
const SHORT: usize = 12;

/// One thing that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The host's network instead of the proxy.
    HostNetwork,
    /// A host to be let through.
    Reach(String),
    /// A mount, as written.
    Mount(String),
    /// A name that the host runs by itself, to be changed and made.
    Unprotect(String),
    /// A variable of the caller's.
    Variable(String),
    /// More processes than a sandbox has by itself.
    Processes(u32),
    /// A Nix store that all sandboxes of the image write to.
    SharedStore,
    /// Where an agent's key comes from.
    Credential {
        /// The agent.
        agent: String,
        /// As written.
        source: String,
        /// The files of the host that it hangs on: what is read and what is executed.
        files: Vec<HeldFile>,
    },
    /// A key sent to an address, by a recipe that is not built in.
    Route {
        /// The recipe.
        recipe: String,
        /// The route, whole.
        route: Box<Route>,
    },
    /// A file of the host from outside the project, put into the image.
    File {
        /// Where it lies.
        path: PathBuf,
        /// The manifest's entry, whole.
        entry: Box<File>,
    },
    /// A file of the host from outside the project, read as a part of it.
    Read {
        /// As what.
        what: String,
        /// Where it lies.
        path: PathBuf,
    },
    /// A program that tools of this machine build, outside of any sandbox. What they read while they do is not held to.
    Build {
        /// The manifest's entry, whole.
        entry: Box<Build>,
    },
    /// An address that the host itself fetches from, outside of any sandbox.
    Fetch {
        /// For what: a registry, an archive, a program.
        what: String,
        /// From where.
        address: Address,
    },
    /// Keys that are to be trusted instead of the machine's.
    Keyring {
        /// The file, as written.
        file: PathBuf,
        /// SHA-256 of what is in it.
        sha256: String,
        /// The further archive that they sign for, and no other.
        #[serde(skip_serializing_if = "Option::is_none")]
        archive: Option<String>,
    },
    /// An archive's metadata may be older than it says of itself.
    Expired,
    /// A key whose signatures make store paths of Nix trusted.
    StoreKey(String),
    /// A flake that this machine's Nix fetches and evaluates, to say which store paths are meant.
    Flake(String),
    /// An image to build on: all that is in it becomes a part of the project's image.
    Base(String),
    /// A registry of the project's `.npmrc`.
    Registry {
        /// `registry` or `@SCOPE:registry`.
        key: String,
        /// As written, no variable filled in.
        address: Address,
        /// Variables of the caller's that are filled in.
        variables: Vec<String>,
    },
    /// A login of the project's `.npmrc`.
    Login {
        /// What is set, `//HOST/PATH/:_authToken`.
        key: String,
        /// SHA-256 of what it is set to, no variable filled in.
        sha256: String,
        /// Variables of the caller's that are filled in.
        variables: Vec<String>,
    },
}

/// An ask and how the user stands to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What is asked for.
    pub ask: Ask,
    /// Whether the user agreed to it.
    pub agreed: bool,
    /// If not: what was agreed to when it was another, as it was shown then.
    pub before: Option<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ask.fmt(f)?;
        self.before.iter().try_for_each(|before| write!(f, "; you agreed to: {}", Shown::from(before)))
    }
}

/// Which verbs an ask concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verbs {
    /// All that lock, fetch or build, `run` among them.
    Build,
    /// `run` and `open`.
    Run,
}

impl Ask {
    /// The digest of everything that it means.
    pub fn digest(&self) -> Digest {
        // Every ask is made of texts, numbers, lists and maps in a fixed order: JSON says it one way. A path that is no text is
        // the exception, and is told from others as a debugger writes it.
        let json = serde_json::to_vec(self).unwrap_or_else(|_| format!("{self:?}").into_bytes());
        Digest::sha256(&json)
    }

    /// How it begins, up to what may change of what it is about: of an ask that was agreed to and has changed, the rest is what
    /// is told of it. `None` where it is another thing when any part of it is another.
    fn beginning(&self) -> Option<String> {
        match self {
            Self::Credential { agent, source, .. } => Some(credential(agent, source)),
            Self::Keyring { file, archive, .. } => Some(keyring(file, archive.as_deref())),
            Self::Login { key, .. } => Some(login(key)),
            Self::File { path, entry } => Some(file(path, entry)),
            Self::Build { entry } => Some(build(entry)),
            Self::Route { recipe, route } => Some(key_of(recipe, route)),
            _ => None,
        }
    }

    /// Of these texts, the one that was shown when the same was agreed to before it changed: what followed its beginning.
    pub(super) fn since<'a>(&self, accepted: impl IntoIterator<Item = &'a String>) -> Option<String> {
        let beginning = Shown::from(self.beginning()?);
        let rest = |shown: &'a String| shown.strip_prefix(beginning.as_str());
        let rest = accepted.into_iter().find_map(rest)?;
        Some(rest.trim_start().trim_start_matches("with ").to_owned())
    }

    /// Which verbs it concerns.
    pub fn verbs(&self) -> Verbs {
        match self {
            Self::HostNetwork
            | Self::Reach(_)
            | Self::Mount(_)
            | Self::Unprotect(_)
            | Self::Variable(_)
            | Self::Processes(_)
            | Self::SharedStore
            | Self::Credential { .. }
            | Self::Route { .. } => Verbs::Run,
            Self::File { .. }
            | Self::Read { .. }
            | Self::Build { .. }
            | Self::Fetch { .. }
            | Self::Keyring { .. }
            | Self::Expired
            | Self::StoreKey(_)
            | Self::Flake(_)
            | Self::Base(_)
            | Self::Registry { .. }
            | Self::Login { .. } => Verbs::Build,
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::HostNetwork => "use the host's network".to_owned(),
            Self::Reach(host) => format!("reach `{host}`"),
            Self::Mount(mount) => format!("mount `{mount}`"),
            Self::Unprotect(name) => format!("change `{name}`, which this machine may run by itself"),
            Self::Variable(name) => format!("pass in the variable `{name}`"),
            Self::Processes(count) => format!("have {count} processes at once"),
            Self::SharedStore => "write to a Nix store that all sandboxes of the image share".to_owned(),
            Self::Credential { agent, source, files } => {
                let files = files.iter().map(HeldFile::to_string).collect::<Vec<_>>();
                let files =
                    if files.is_empty() { String::new() } else { format!(" with {}", files.join(", ")) };
                format!("{}{files}", credential(agent, source))
            }
            Self::Route { recipe, route } => {
                format!(
                    "{}: {}; SHA-256 {}",
                    key_of(recipe, route),
                    rest(&**route, &["upstream", "key", "base"]),
                    self.digest().short()
                )
            }
            Self::File { path, entry } => {
                let told = ["path", "source", "source-platform"];
                format!("{} ({})", file(path, entry), rest(&**entry, &told))
            }
            Self::Read { what, path } => format!("read `{}` as {what}", path.display()),
            Self::Build { entry } => format!(
                "{} {}, with whatever its files say then ({})",
                build(entry),
                entry.made,
                rest(&**entry, &["path", "made"])
            ),
            Self::Fetch { what, address } => {
                let note = address.note().map(|note| format!("; {note}")).unwrap_or_default();
                format!("have this machine fetch from {address} ({what}{note})")
            }
            Self::Keyring { file, sha256, archive } => {
                format!("{} (SHA-256 {})", keyring(file, archive.as_deref()), &sha256[..SHORT])
            }
            Self::Expired => "take the metadata of Debian archives after its `Valid-Until`".to_owned(),
            Self::StoreKey(key) => format!("trust store paths of Nix that `{key}` signed"),
            Self::Flake(flake) => {
                format!(
                    "have this machine's Nix fetch and evaluate the flake `{flake}`, and take the packages that it names"
                )
            }
            Self::Base(image) => format!("build on the image `{image}`"),
            Self::Registry { key, address, variables } => {
                let what =
                    key.strip_suffix(":registry").map(|scope| format!(" of {scope}")).unwrap_or_default();
                let note = address.note().map(|note| format!("; {note}")).unwrap_or_default();
                let with = filled_in(variables);
                format!(
                    "have this machine fetch from {address} (npm packages{what}{note}; the project's `.npmrc`){with}"
                )
            }
            Self::Login { key, sha256, variables } => {
                let with = filled_in(variables);
                format!("{} (SHA-256 {}){with}", login(key), &sha256[..SHORT])
            }
        };
        f.write_str(Shown::from(text).as_str())
    }
}

/// How the ask for a credential begins, whatever files it hangs on.
fn credential(agent: &str, source: &str) -> String {
    format!("take the key of {agent} from `{source}`")
}

/// How the ask for a recipe's route begins.
fn key_of(recipe: &str, route: &Route) -> String {
    let base = match route.base.as_slice() {
        [] => String::new(),
        base => format!(", or to {}", base.join(" or ")),
    };
    format!("send the key in {} to {}{base} (recipe {recipe})", route.key.join(" or "), route.upstream)
}

/// How the ask for a file from outside begins.
fn file(path: &Path, entry: &File) -> String {
    format!("put `{}` into the image as `{}`", path.display(), entry.path)
}

/// How the ask for a program's build begins, whatever is run.
fn build(entry: &Build) -> String {
    format!("build `{}` by tools of this machine, outside of any sandbox:", entry.path)
}

/// How the ask for archive keys begins, whatever is in the file.
fn keyring(file: &Path, archive: Option<&str>) -> String {
    let whose = archive.map(|archive| format!(" for `{archive}`")).unwrap_or_default();
    format!("trust the archive keys in `{}`{whose}", file.display())
}

/// How the ask for a login begins, whatever it is set to.
fn login(key: &str) -> String {
    format!("log in with `{key}` of the project's `.npmrc`")
}

/// Variables of the caller's that leave this machine.
fn filled_in(variables: &[String]) -> String {
    let names: Vec<String> = variables.iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(", and send your variable {} there", names.join(" and "))
    }
}

/// The fields of a value that were not told in words, each with what it holds.
fn rest(value: &impl Serialize, told: &[&str]) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(value) else { return String::new() };
    let told = |name: &String, value: &Value| {
        told.contains(&name.as_str())
            || match value {
                Value::Null => true,
                Value::Array(list) => list.is_empty(),
                Value::Object(map) => map.is_empty(),
                _ => false,
            }
    };
    let left = fields.iter().filter(|(name, value)| !told(name, value));
    left.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// In a fixed order, each once.
fn sorted(mut asks: Vec<Ask>) -> Vec<Ask> {
    asks.sort_by_cached_key(|ask| (ask.verbs() == Verbs::Run, ask.to_string(), ask.digest().to_string()));
    asks.dedup();
    asks
}

/// What a project makes the host itself fetch, read and trust.
pub(super) fn of_project(environment: &Environment, project: &Project) -> Vec<Ask> {
    let trusts =
        sources::ALL.iter().flat_map(|(_, source)| source.trusts(project, environment)).map(Ask::from);
    sorted(outside(project).into_iter().chain(trusts).chain(locked(project)).collect())
}

/// The same, and what its sandboxes or those of an image are to have.
pub(super) fn of_run(environment: &Environment, project: Option<&Project>, wishes: &Wishes) -> Vec<Ask> {
    let Wishes { declared, recipes, keys } = wishes;
    let mut asks: Vec<Ask> = project.map(|project| of_project(environment, project)).unwrap_or_default();
    if declared.network == Some(Reach::Host) {
        asks.push(Ask::HostNetwork);
    }
    asks.extend(declared.allow.iter().map(|rule| Ask::Reach(rule.text().to_owned())));
    asks.extend(declared.mounts.iter().map(|mount| Ask::Mount(mount.text().to_owned())));
    asks.extend(declared.unprotect.iter().map(|path| Ask::Unprotect(path.as_str().to_owned())));
    asks.extend(declared.pass_env.iter().map(|variable| Ask::Variable(variable.to_string())));
    // Fewer than usual is no wish; memory and processors are not limited by themselves.
    let more = |count: &u32| Limits::default().processes.is_some_and(|usual| *count > usual);
    asks.extend(declared.pids.map(|pids| pids.0).filter(more).map(Ask::Processes));
    // One of the sandbox's own is what it has by itself, and none is less.
    asks.extend((declared.nix_store == Some(NixStore::Shared)).then_some(Ask::SharedStore));
    asks.extend(declared.credentials.iter().map(|(agent, source)| Ask::Credential {
        agent: agent.clone(),
        source: source.text().to_owned(),
        files: keys.get(agent).map(Credential::files).unwrap_or_default(),
    }));
    for recipe in recipes.iter().filter(|recipe| !recipe.is_built_in()) {
        asks.extend(recipe.run.hosts.iter().cloned().map(Ask::Reach));
        asks.extend(
            recipe
                .run
                .route
                .iter()
                .map(|route| Ask::Route { recipe: recipe.name.clone(), route: Box::new(route.clone()) }),
        );
    }
    sorted(asks)
}

/// What is read from outside of the project.
fn outside(project: &Project) -> Vec<Ask> {
    let Project { manifest, recipes, inputs, file, .. } = project;
    let mut asks = Vec::new();
    let mut read = |what: String, path: Option<&Path>| {
        asks.extend(path.map(|path| Ask::Read { what, path: path.to_owned() }));
    };
    read("the manifest".into(), file.as_ref().and_then(|named| named.outside.as_deref()));
    read("the lock".into(), inputs.lock_outside());
    read("npm's settings".into(), inputs.npmrc().and_then(|read| read.outside.as_deref()));
    for keys in inputs.keyrings().filter_map(Result::ok) {
        read("the archive keys".into(), keys.outside.as_deref());
    }
    let names = inputs.resolution().and_then(Result::ok);
    read("what Nix says of names".into(), names.and_then(|names| names.outside.as_deref()));
    for recipe in recipes {
        if let Text::File { real, strays: true } = &recipe.text {
            read(format!("the recipe {}", recipe.name), Some(real));
        }
    }
    for entry in &manifest.files {
        let strays = inputs.sources(entry).filter_map(Source::outside);
        asks.extend(strays.map(|path| Ask::File { path, entry: Box::new(entry.clone()) }));
    }
    asks
}

impl From<Trust> for Ask {
    fn from(trust: Trust) -> Self {
        match trust {
            Trust::Address { what, address } => Self::Fetch { what, address: Address::new(&address) },
            Trust::Keyring { file, sha256, archive } => Self::Keyring { file, sha256, archive },
            Trust::Expired => Self::Expired,
            Trust::StoreKey(key) => Self::StoreKey(key),
            Trust::Flake(flake) => Self::Flake(flake),
            Trust::Base(image) => Self::Base(image),
            Trust::Build(entry) => Self::Build { entry },
            Trust::Npmrc(Setting { key, value, variables }) => {
                if key == "registry" || key.ends_with(":registry") {
                    Self::Registry { key, address: Address::new(&value), variables }
                } else {
                    Self::Login { key, sha256: Digest::sha256(value.as_bytes()).hex(), variables }
                }
            }
        }
    }
}

/// Addresses that stand in the lock. A lock that cannot be read is the build's to refuse.
fn locked(project: &Project) -> Vec<Ask> {
    let Ok(Some(gist)) = project.inputs.gist() else { return Vec::new() };
    let ask = |address: &String| Ask::Fetch { what: sources::PROGRAM.into(), address: Address::new(address) };
    gist.addresses.iter().map(ask).collect()
}
