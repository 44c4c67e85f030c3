//! Where store paths come from for a project on this machine: what the manifest names, else what this machine's Nix is set up with.
//!
//! **Guarantees**: caches are asked before local stores, so that a lock can be used on other machines as far as it can; what lies in
//! the project counts as nobody's `nix.conf`. Where only Nix's own default is meant, the `nix` that is installed is asked for it.
//! **Refuses**: places that nobody named.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use fs_err as fs;
use pinfold_base::Shown;
use pinfold_base::http::Named;
use pinfold_base::http::ParseUrlError;
use pinfold_base::http::SafeUrl;
use pinfold_network::HeldCommand;
use pinfold_sources::nix::Cache;
use pinfold_sources::nix::Caches;
use pinfold_sources::nix::Conf;
use pinfold_sources::nix::LocalStore;
use pinfold_sources::nix::LockedNix;
use pinfold_sources::nix::NixError;
use pinfold_sources::nix::Place;
use pinfold_sources::nix::PublicKey;
use pinfold_sources::nix::TrustedKeys;
use pinfold_sources::nix::closure::Origin;
use pinfold_sources::nix::conf;
use pinfold_sources::nix::conf::ConfError;

use tempfile::TempDir;

use super::tarred;
use crate::context::Context;
use crate::context::Environment;
use crate::project::Project;
use crate::sources::Remotes;
use crate::sources::SourceError;

/// What the settings of Nix are read with.
const SHOW: [&str; 5] = ["nix", "--extra-experimental-features", "nix-command", "show-config", "--json"];

/// Where store paths are.
#[derive(Debug)]
pub(super) struct Places {
    /// Binary caches, where any is named.
    pub(super) caches: Option<Caches>,
    /// Stores of this machine.
    pub(super) locals: Vec<LocalStore>,
    /// What was taken out of tars, as long as it is read.
    _tars: Vec<TempDir>,
}

impl Places {
    /// Those of a project, found once for a verb.
    pub(super) fn of(remotes: &Remotes<'_>) -> Result<Arc<Self>, SourceError> {
        remotes.kept(|| find(remotes))
    }

    /// All of them, in the order in which they are asked.
    pub(super) fn origins(&self) -> Vec<&dyn Origin> {
        let caches = self.caches.iter().map(|caches| caches as &dyn Origin);
        caches.chain(self.locals.iter().map(|local| local as &dyn Origin)).collect()
    }
}

/// Whose signatures count for a project on this machine.
fn trusted(project: &Project, conf: &Conf) -> Result<TrustedKeys, NixError> {
    let machines = conf.trusted_public_keys.values().map(|value| value.text.clone());
    let own = project.manifest.sources.nix.caches.iter().flat_map(|cache| &cache.keys);
    let keys: Vec<String> = own.map(PublicKey::to_string).chain(machines).collect();
    Ok(TrustedKeys::parse(keys.iter().map(String::as_str))?)
}

/// Holds a lock to what trusted keys signed; what it has from a store of this machine, to a store that somebody named. It is done for
/// every image: a lock is a file that may be changed, and what is in it is taken for what was vouched for.
pub(super) fn check(context: &Context, project: &Project, locked: &LockedNix) -> Result<(), SourceError> {
    let conf = machine(project, &context.environment).map_err(NixError::from).map_err(SourceError::of)?;
    let has_store = names_store(project, &conf);
    if let Some(path) = locked.paths.iter().find(|path| path.is_local() && !has_store) {
        return Err(SourceError::of(NixError::NoStore(path.path.clone())));
    }
    let vouched = |keys: &TrustedKeys| {
        let mut paths = locked.paths.iter().filter(|path| !path.is_local());
        paths.try_for_each(|path| path.vouched(keys))
    };
    let checked = vouched(&trusted(project, &conf).map_err(SourceError::of)?);
    // The keys may be Nix's own, which only Nix knows.
    if checked.is_err()
        && conf.trusted_public_keys.names_default()
        && let Some(text) = shown(context, project)
    {
        let conf = conf.with_defaults_of(&text).map_err(NixError::from).map_err(SourceError::of)?;
        return vouched(&trusted(project, &conf).map_err(SourceError::of)?).map_err(SourceError::of);
    }
    checked.map_err(SourceError::of)
}

/// Whether the manifest or this machine names a store of the machine.
fn names_store(project: &Project, conf: &Conf) -> bool {
    let named = project.manifest.sources.nix.caches.iter().map(|cache| cache.place.clone());
    let machines = conf.substituters.values().filter_map(|value| usable(&value.text));
    named.chain(machines).any(|place| matches!(place, Place::Local { .. }))
}

/// What [`check`] judges a lock by. Where Nix's own keys count too, that is said and Nix is not asked for them.
pub(super) fn stands_on(project: &Project, environment: &Environment) -> Result<String, SourceError> {
    let conf = machine(project, environment).map_err(NixError::from).map_err(SourceError::of)?;
    let own =
        project.manifest.sources.nix.caches.iter().flat_map(|cache| &cache.keys).map(PublicKey::to_string);
    let machines = conf.trusted_public_keys.values().map(|value| value.text.clone());
    let keys: Vec<String> = own.chain(machines).collect::<BTreeSet<_>>().into_iter().collect();
    let store = if names_store(project, &conf) { "a store" } else { "no store" };
    let default = if conf.trusted_public_keys.names_default() { "and Nix's own" } else { "alone" };
    Ok(format!("{} {default}; {store}", keys.join(" ")))
}

fn find(remotes: &Remotes<'_>) -> Result<Places, SourceError> {
    let Remotes { context, project, .. } = *remotes;
    let wanted = &project.manifest.sources.nix.caches;
    let mut conf =
        machine(project, &context.environment).map_err(|error| SourceError::of(NixError::from(error)))?;
    if wanted.is_empty() && (conf.substituters.names_default() || conf.trusted_public_keys.names_default()) {
        conf = match shown(context, project) {
            Some(text) => {
                conf.with_defaults_of(&text).map_err(|error| SourceError::of(NixError::from(error)))?
            }
            None => conf,
        };
    }
    let own = wanted.iter().map(|cache| (cache.place.clone(), Named::ByProject));
    let machines = conf.substituters.values().filter(|_| wanted.is_empty());
    let machines = machines.filter_map(|value| Some((usable(&value.text)?, Named::ByMachine)));
    let (mut caches, mut locals, mut tars) = (Vec::new(), Vec::new(), Vec::new());
    for (place, named) in own.chain(machines) {
        match place {
            Place::Cache { url, priority } if url.file_path().is_some_and(|path| tarred::is_tar(&path)) => {
                let (tar, url) = untarred(context, &url)?;
                tars.push(tar);
                caches.push(Cache { url, priority, named });
            }
            Place::Cache { url, priority } => caches.push(Cache { url, priority, named }),
            Place::Local { root, list: Some(list) } => {
                locals.push(LocalStore::listed(&root, &list).map_err(SourceError::of)?);
            }
            Place::Local { root, list: None } => {
                let scratch = context.home.cache().join("tmp");
                let store = fs::create_dir_all(&scratch).map_err(|source| {
                    let root = root.as_path().into();
                    SourceError::of(pinfold_sources::nix::local::LocalError::Read { root, source })
                });
                store?;
                locals.push(LocalStore::open(&root, &scratch).map_err(SourceError::of)?);
            }
        }
    }
    if caches.is_empty() {
        return if locals.is_empty() {
            Err(SourceError::of(NixError::NoCache))
        } else {
            Ok(Places { caches: None, locals, _tars: tars })
        };
    }
    let keys = trusted(project, &conf).map_err(SourceError::of)?;
    let client = context.http().map_err(SourceError::of)?.clone();
    let caches = Some(Caches::new(caches, keys, client).map_err(SourceError::of)?);
    Ok(Places { caches, locals, _tars: tars })
}

/// The directory that a tar was taken out to, and its address.
fn untarred(context: &Context, tar: &SafeUrl) -> Result<(TempDir, SafeUrl), SourceError> {
    let scratch = context.home.cache().join("tmp");
    let path = tar.file_path().unwrap_or_default();
    let made = fs::create_dir_all(&scratch).map_err(|source| {
        SourceError::of(pinfold_sources::nix::local::LocalError::Read { root: path.as_path().into(), source })
    });
    made?;
    let (folder, top) = tarred::unpacked(&path, &scratch).map_err(SourceError::of)?;
    let unreadable = |error: ParseUrlError| {
        SourceError::of(NixError::Place {
            text: Shown::from(path.as_path()),
            reason: Shown::from(error.to_string()),
        })
    };
    Ok((folder, SafeUrl::from_path(&top).map_err(unreadable)?))
}

/// A substituter of the machine's that can be asked here. Nix has kinds that are not (`s3://`, `ssh://`): it is no error to have them.
fn usable(text: &str) -> Option<Place> {
    let place = Place::from_str(text);
    if let Err(error) = &place {
        tracing::debug!(text, %error, "substituter");
    }
    place.ok()
}

/// What this machine's Nix is set up with, without its defaults. What lies in the project is no machine's: a home directory can be
/// a project too, and an agent may write to it.
pub(super) fn machine(project: &Project, environment: &Environment) -> Result<Conf, ConfError> {
    let folder = fs::canonicalize(&project.manifest.directory).ok();
    let mut read = |path: &Path| -> io::Result<String> {
        let real = fs::canonicalize(path)?;
        if folder.as_ref().is_none_or(|folder| real.starts_with(folder)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut text = String::new();
        fs::File::open(real)?.take(conf::MAX_CONF).read_to_string(&mut text)?;
        Ok(text)
    };
    let variables: BTreeMap<String, String> = environment.texts();
    let mut found = Conf::default();
    for file in conf::files(&variables) {
        match read(&file) {
            Ok(text) => found.read(&text, &file, &mut read)?,
            // Nobody's, or not for us.
            Err(error) => tracing::debug!(file = %file.display(), %error, "nix.conf"),
        }
    }
    if let Some(text) = variables.get("NIX_CONFIG") {
        found.read(text, Path::new("NIX_CONFIG"), &mut read)?;
    }
    Ok(found)
}

/// What the `nix` of this machine says of its settings, defaults included. It is found and run as the program of a key is.
fn shown(context: &Context, project: &Project) -> Option<String> {
    let around = context.surroundings(&project.manifest.directory, "the project");
    let nix = HeldCommand::find(&SHOW.map(str::to_owned), &around).ok()?;
    context.reporter.note("note: `nix show-config` is asked which caches this machine's Nix uses");
    let variables = context.environment.all().map(|(name, value)| (name.to_owned(), value.to_owned()));
    String::from_utf8(nix.output(variables).ok()?).ok()
}
