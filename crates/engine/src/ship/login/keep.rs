//! `login` and `logout`: logins put where [`super::UserKeyring`] finds them first, and taken away.
//!
//! ```text
//! login    GET /v2/ with it ─► taken ─► the file: by the helper that it names for the registry, else in the file itself (mode 0600)
//! logout   every file of today's form: by the helper, and out of the file
//! ```
//!
//! **Guarantees**: a login is kept only after the registry has taken it; a file is changed whole or not at all, what else is in it
//! stays, and nobody but its owner can read it. A password is in no argument and in no message.
//! **Refuses**: a file that is no file of logins.

use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use pinfold_base::beside::BesideFile;
use pinfold_base::http::Secret;
use pinfold_image::Reference;
use pinfold_image::reference::without_login;
use pinfold_image::registry::Credentials;
use pinfold_image::registry::Keyring;
use pinfold_image::registry::RegistryError;
use pinfold_image::registry::Remote;
use pinfold_image::registry::Which;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

use super::AuthPath;
use super::Form;
use super::UserKeyring;
use super::file;
use crate::context::Context;
use crate::ship::ShipError;
use crate::ship::connect;

/// A registry, or a part of one, that a login is for: `HOST[:PORT][/TEAM]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    host: String,
    part: String,
}

impl Registry {
    fn parse(text: &str) -> Result<Self, RegistryError> {
        // Judged as the name of an image that is in it. One that is copied from a browser has a scheme.
        let text = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        let reason = if text.starts_with("http://") {
            "has a scheme, and a registry is written without: by its host, and its port where it has one"
        } else {
            "is no registry and no part of one"
        };
        let wrong = || RegistryError::Name { text: without_login(text), reason };
        let whole: Reference = format!("{text}/x").parse().map_err(|_| wrong())?;
        let remote = Remote::of(&whole).map_err(|_| wrong())?;
        let part = remote.repository.strip_suffix('x').unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(Self { host: remote.host.to_ascii_lowercase(), part })
    }

    /// How it is called in files.
    fn key(&self) -> String {
        if self.part.is_empty() { self.host.clone() } else { format!("{}/{}", self.host, self.part) }
    }
}

impl FromStr for Registry {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        Self::parse(text)
    }
}

impl std::fmt::Display for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.key())
    }
}

/// What was kept or taken away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// The registry.
    pub registry: String,
    /// Where: a file, or the helper that it names.
    pub place: String,
}

/// A login that is tried.
#[derive(Debug)]
struct Given(Credentials);

impl Keyring for Given {
    fn find(&self, _: &str, _: &str) -> Result<Credentials, RegistryError> {
        Ok(self.0.clone())
    }
}

/// Keeps a login that the registry takes.
pub fn log_in(
    context: &Context,
    registry: &Registry,
    user: &str,
    password: &Secret,
) -> Result<Done, ShipError> {
    let wrong = |reason: &str| RegistryError::Login { of: registry.to_string(), reason: reason.into() };
    if user.is_empty() || user.contains(':') || password.expose().is_empty() {
        return Err(wrong("a name without `:` and a password are needed").into());
    }
    let given = Given(Credentials::Password { user: user.to_owned(), password: password.clone() });
    let remote = Remote {
        host: registry.host.clone(),
        repository: registry.part.clone(),
        which: Which::Tag("latest".into()),
    };
    let ring = UserKeyring::of(context);
    let at = ring.files.iter().filter(|file| file.form == Form::Today).find(|file| can_be(&file.path));
    let at = at.ok_or_else(|| wrong("there is no place for it: `REGISTRY_AUTH_FILE` can name one"))?;
    // A helper would be asked for the whole registry, and what it kept of a part found by nobody.
    if !registry.part.is_empty()
        && let Some(name) = Whole::read(at)?.helper(&registry.host)
    {
        return Err(wrong(&format!(
            "`{}` keeps logins by `docker-credential-{name}`, which knows whole registries only: log in to `{}`, or name another file with \
             `REGISTRY_AUTH_FILE`",
            at.path.display(),
            registry.host
        ))
        .into());
    }
    connect::with(context, &remote, given)?.log_in().map_err(ShipError::NotIn)?;
    let _turn = turn(&at.path)?;
    let mut kept = Whole::read(at)?;
    let key = registry.key();
    let place = if let Some(name) = kept.helper(&registry.host) {
        ring.asked(&name, |helper| helper.store(&key, user, password).map(|()| helper.program()))?
    } else {
        let auth = STANDARD.encode(format!("{user}:{}", password.expose()));
        kept.auths().insert(key, serde_json::json!({ "auth": auth }));
        kept.write()?;
        at.path.display().to_string()
    };
    Ok(Done { registry: registry.to_string(), place })
}

/// Takes the logins of a registry away, out of every file where one of them would be found.
pub fn log_out(context: &Context, registry: &Registry) -> Result<Vec<Done>, ShipError> {
    let ring = UserKeyring::of(context);
    let mut done = Vec::new();
    for at in ring.files.iter().filter(|file| file.form == Form::Today) {
        if !at.path.exists() {
            continue;
        }
        let _turn = turn(&at.path)?;
        let mut kept = Whole::read(at)?;
        let key = registry.key();
        let mut tell = |place| done.push(Done { registry: registry.to_string(), place });
        if let Some(name) = kept.helper(&registry.host) {
            let erased = ring.asked(&name, |helper| Ok(helper.erase(&key)?.then(|| helper.program())))?;
            erased.into_iter().for_each(&mut tell);
        }
        let auths = kept.auths();
        let names: Vec<String> = auths.keys().filter(|name| file::host(name) == key).cloned().collect();
        if !names.is_empty() {
            for name in &names {
                auths.shift_remove(name);
            }
            kept.write()?;
            tell(at.path.display().to_string());
        }
    }
    Ok(done)
}

/// Waits until no other process changes a file of logins; its folder is made where it is not there.
fn turn(file: &Path) -> io::Result<fs::File> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        pinfold_base::private_folder(folder)?;
    }
    let opened = fs::File::open(folder)?;
    // On a file system without locks they take their chance.
    while rustix::fs::flock(opened.file(), rustix::fs::FlockOperation::LockExclusive)
        == Err(rustix::io::Errno::INTR)
    {}
    Ok(opened)
}

/// Whether there is such a file that can be written, or can be one.
fn can_be(file: &Path) -> bool {
    let writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    // The nearest folder that is there has to let others be made in it.
    file.parent().into_iter().flat_map(Path::ancestors).find(|folder| folder.exists()).is_some_and(writable)
}

/// A file of logins with all that is in it.
struct Whole {
    path: PathBuf,
    fields: Map<String, Value>,
}

impl Whole {
    fn read(at: &AuthPath) -> Result<Self, RegistryError> {
        // Whoever links it elsewhere wants it to stay there.
        let path = fs::canonicalize(&at.path).unwrap_or_else(|_| at.path.clone());
        let wrong = |reason: String| RegistryError::Login { of: path.display().to_string(), reason };
        let bytes = super::read(&path).map_err(|error| wrong(error.to_string()))?;
        let fields = match bytes {
            None => Map::new(),
            Some(bytes) => {
                // What the reader does not take is not written over.
                file::AuthFile::parse(&bytes).map_err(wrong)?;
                serde_json::from_slice(&bytes).map_err(|error| wrong(file::position(&error)))?
            }
        };
        Ok(Self { path, fields })
    }

    fn helper(&self, host: &str) -> Option<String> {
        let text = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
        let own = self.fields.get("credHelpers").and_then(Value::as_object);
        let own = own.and_then(|all| all.iter().find(|(name, _)| file::host(name) == host));
        own.and_then(|(_, name)| text(name)).or_else(|| self.fields.get("credsStore").and_then(text))
    }

    fn auths(&mut self) -> &mut Map<String, Value> {
        let auths = self.fields.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        if !auths.is_object() {
            *auths = Value::Object(Map::new());
        }
        match auths {
            Value::Object(auths) => auths,
            _ => unreachable!("it was made one"),
        }
    }

    /// Writes it beside its place, and names it when its bytes are on the disk.
    fn write(&self) -> io::Result<()> {
        let mut new = BesideFile::new(&self.path)?;
        let mut bytes = Vec::new();
        let form = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        self.fields.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, form))?;
        bytes.push(b'\n');
        new.write_all(&bytes)?;
        new.persist_as_it_is()
    }
}
