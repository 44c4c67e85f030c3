//! Where the images of a name are: mirrors, other places, names without a registry, as containers tools are told it.
//!
//! ```text
//! $CONTAINERS_REGISTRIES_CONF, else ~/.config/containers/registries.conf, else /etc/containers/registries.conf
//!   ◄─ /etc/containers/registries.conf.d/*.conf ◄─ ~/.config/containers/registries.conf.d/*.conf      each over what was before
//! certs.d/HOST[:PORT]/*.crt   in ~/.config/containers, /etc/containers, /etc/docker: authorities for that registry
//! ```
//!
//! **Guarantees**: of several entries that are about a name the nearest counts; mirrors are only read from, and what comes from one is
//! held to the same digests and rules, which go by the name that was said. No key switches the checking of certificates off:
//! `insecure` means plain `http`. On loopback, which is asked by `http` where nobody says, `insecure = false` or an authority for it mean
//! `https`.
//! **Refuses**: what an entry blocks; a name without a registry that could be in several.

mod file;
mod place;

use std::collections::BTreeMap;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_image::Reference;
use pinfold_image::registry::Remote;
use pinfold_image::registry::Which;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use self::file::Entry;
use self::file::From as Asked;
use self::file::RegistriesFile;
use crate::context::Context;

/// Folders of configuration of the machine.
const ETC: &str = "/etc/containers";
const ETC_DOCKER: &str = "/etc/docker";
/// Most authorities that are read for one registry.
const MAX_AUTHORITIES: usize = 256;

/// Why it is not known where an image is.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesError {
    /// A file cannot be used.
    #[error("`{}` cannot be used: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An entry blocks the image.
    #[error("`{image}` is blocked by the entry for `{prefix}` in the configuration of registries")]
    Blocked {
        /// The image.
        image: String,
        /// What the entry is about.
        prefix: String,
    },
    /// A name without a registry.
    #[error("`{name}` names no registry{}", if found.is_empty() { "" } else { ", and may be in several" })]
    Short {
        /// The name.
        name: String,
        /// Where it may be.
        found: Vec<String>,
    },
}

impl Diagnose for RegistriesError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::File { .. } | Self::Short { .. } => Kind::Usage,
            Self::Blocked { .. } => Kind::Refused,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Short { found, .. } if found.is_empty() => Some(
                "write the registry before it, as in `registry.example/team/name:tag`, or name one as `unqualified-search-registries` in `registries.conf`"
                    .into(),
            ),
            Self::Short { found, .. } => Some(format!("write which one is meant: `{}`", found.join("` or `"))),
            _ => None,
        }
    }
}

/// What the user's and the machine's configuration says of registries.
#[derive(Debug, Default)]
pub struct Registries {
    search: Vec<String>,
    aliases: BTreeMap<String, String>,
    entries: Vec<Entry>,
    /// Folders that may have `certs.d`, the nearest first.
    folders: Vec<PathBuf>,
}

/// Where a repository is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The image there.
    pub remote: Remote,
    /// How it is asked.
    pub line: Line,
}

/// How a registry is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// By `https`, and by `http` on this machine's loopback.
    Usual,
    /// By `http`.
    Plain,
    /// By `https`.
    Tls,
}

impl Line {
    /// What a key `insecure` says.
    fn of(insecure: Option<bool>) -> Self {
        match insecure {
            None => Self::Usual,
            Some(true) => Self::Plain,
            Some(false) => Self::Tls,
        }
    }
}

impl Registries {
    /// What stands in the files of this user and of the machine.
    pub fn of(context: &Context) -> Result<Self, RegistriesError> {
        let environment = &context.environment;
        let set = |name: &str| environment.raw(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let own = set("XDG_CONFIG_HOME").or_else(|| environment.home().map(|home| home.join(".config")));
        let own = own.map(|own| own.join("containers"));
        let named = set("CONTAINERS_REGISTRIES_CONF");
        Self::read(named.as_deref(), own.as_deref(), Path::new(ETC), Path::new(ETC_DOCKER))
    }

    /// The same for files elsewhere: one that is named, and the folders of the user, of the machine, and of Docker on it.
    fn read(
        named: Option<&Path>,
        own: Option<&Path>,
        machine: &Path,
        docker: &Path,
    ) -> Result<Self, RegistriesError> {
        let mut found = Self::default();
        let main = |folder: &Path| folder.join("registries.conf");
        match named {
            Some(file) => found.take(file, &read_file(file)?.ok_or_else(|| missing(file))?)?,
            None => {
                for folder in own.into_iter().chain([machine]) {
                    if let Some(text) = read_file(&main(folder))? {
                        found.take(&main(folder), &text)?;
                        break;
                    }
                }
            }
        }
        for folder in [machine].into_iter().chain(own) {
            for file in drop_ins(&folder.join("registries.conf.d"))? {
                if let Some(text) = read_file(&file)? {
                    found.take(&file, &text)?;
                }
            }
        }
        found.folders = own.into_iter().chain([machine, docker]).map(Path::to_owned).collect();
        Ok(found)
    }

    /// Lays a file over what there is: its entries replace those about the same.
    fn take(&mut self, file: &Path, text: &str) -> Result<(), RegistriesError> {
        let wrong = |reason| RegistriesError::File { file: file.into(), reason };
        let RegistriesFile { unqualified_search_registries, aliases, registries, .. } =
            RegistriesFile::parse(text).map_err(wrong)?;
        if let Some(search) = unqualified_search_registries {
            self.search = search;
        }
        self.aliases.extend(aliases);
        for entry in registries {
            self.entries.retain(|old| old.prefix() != entry.prefix());
            self.entries.push(entry);
        }
        Ok(())
    }

    /// What a name means: with the registry that is written, that of an alias, or the only one where such names are looked for.
    pub fn qualified(&self, name: &Reference) -> Result<Reference, RegistriesError> {
        if name.registry().is_some() {
            return Ok(name.clone());
        }
        let behind = &name.to_string()[name.name().len()..];
        let whole = |prefix: &str| -> Option<Reference> {
            let whole: Reference = format!("{prefix}{behind}").parse().ok()?;
            whole.registry().is_some().then_some(whole)
        };
        if let Some(meant) = self.aliases.get(name.name()).filter(|meant| !meant.is_empty()) {
            return whole(meant)
                .ok_or_else(|| RegistriesError::Short { name: name.to_string(), found: vec![] });
        }
        let mut found: Vec<Reference> =
            self.search.iter().filter_map(|host| whole(&format!("{host}/{}", name.name()))).collect();
        if found.len() == 1 {
            return Ok(found.remove(0));
        }
        let found = found.iter().map(ToString::to_string).collect();
        Err(RegistriesError::Short { name: name.to_string(), found })
    }

    /// Where an image is read from: mirrors in their order, then its own place.
    pub fn reading(&self, remote: &Remote) -> Result<Vec<Place>, RegistriesError> {
        let Some(entry) = self.entry(remote)? else { return Ok(vec![own(remote)]) };
        let mut places = Vec::new();
        for mirror in &entry.mirrors {
            let by_digest = matches!(remote.which, Which::Digest(_));
            let asked = match mirror.asked {
                Asked::All => by_digest || !entry.mirror_by_digest_only,
                Asked::DigestOnly => by_digest,
                Asked::TagOnly => !by_digest,
            };
            if asked {
                let place = moved(remote, entry, &mirror.location);
                places.push(Place { line: Line::of(mirror.insecure), ..place });
            }
        }
        places.push(of_entry(remote, entry));
        Ok(places)
    }

    /// Where an image is written to.
    pub fn writing(&self, remote: &Remote) -> Result<Place, RegistriesError> {
        Ok(match self.entry(remote)? {
            Some(entry) => of_entry(remote, entry),
            None => own(remote),
        })
    }

    /// The nearest entry about an image.
    fn entry(&self, remote: &Remote) -> Result<Option<&Entry>, RegistriesError> {
        let near = |entry: &&Entry| {
            entry.prefix().and_then(|prefix| prefix.covers(&remote.host, &remote.repository))
        };
        let Some(entry) = self.entries.iter().filter(|entry| near(entry).is_some()).max_by_key(near) else {
            return Ok(None);
        };
        if entry.blocked {
            let image = format!("{}/{}", remote.host, remote.repository);
            let prefix = entry.prefix().map(|prefix| prefix.to_string()).unwrap_or_default();
            return Err(RegistriesError::Blocked { image, prefix });
        }
        Ok(Some(entry))
    }

    /// The authorities that are trusted for a registry beside the machine's (containers-certs.d(5)).
    pub fn authorities(&self, host: &str) -> Result<Vec<CertificateDer<'static>>, RegistriesError> {
        // A host is one part of a path, and no way to another folder.
        if host.contains('/') || host.starts_with('.') {
            return Ok(Vec::new());
        }
        for folder in &self.folders {
            let files = files(&folder.join("certs.d").join(host), "crt")?;
            let mut found = Vec::new();
            for file in &files {
                let wrong = |reason| RegistriesError::File { file: file.clone(), reason };
                let Some(text) = read_file(file)? else { continue };
                for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
                    found.push(certificate.map_err(|_| wrong("it is no certificate in PEM".to_owned()))?);
                    if found.len() > MAX_AUTHORITIES {
                        return Err(wrong(format!("there are more than {MAX_AUTHORITIES} certificates")));
                    }
                }
            }
            if !files.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

/// The place that a name itself means.
fn own(remote: &Remote) -> Place {
    Place { remote: remote.clone(), line: Line::Usual }
}

/// The place that an entry makes of a name.
fn of_entry(remote: &Remote, entry: &Entry) -> Place {
    let place = match &entry.location {
        Some(location) => moved(remote, entry, location),
        None => own(remote),
    };
    Place { line: Line::of(entry.insecure), ..place }
}

/// The same image elsewhere: what an entry is about is replaced by a location.
fn moved(remote: &Remote, entry: &Entry, location: &place::Spot) -> Place {
    let rest = match entry.prefix() {
        Some(place::Prefix::Spot(prefix)) => {
            prefix.rest(&remote.host, &remote.repository).unwrap_or_default().to_owned()
        }
        _ => remote.repository.clone(),
    };
    let remote =
        Remote { host: location.host.clone(), repository: location.with(&rest), which: remote.which.clone() };
    Place { remote, line: Line::Usual }
}

fn missing(file: &Path) -> RegistriesError {
    RegistriesError::File { file: file.into(), reason: "there is none".into() }
}

/// The text of a file; none where there is none.
fn read_file(file: &Path) -> Result<Option<String>, RegistriesError> {
    let wrong = |reason: String| RegistriesError::File { file: file.into(), reason };
    let opened = match pinfold_base::file::configuration(file) {
        Ok(opened) => opened,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(wrong(error.to_string())),
    };
    let mut text = String::new();
    opened.take(file::MAX + 1).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > file::MAX {
        return Err(wrong(format!("it is longer than {} bytes", file::MAX)));
    }
    Ok(Some(text))
}

/// The files of a folder of further configuration, in order of name.
fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, RegistriesError> {
    files(folder, "conf")
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, RegistriesError> {
    let wrong = |error: io::Error| RegistriesError::File { file: folder.into(), reason: error.to_string() };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(wrong(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(wrong)?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
