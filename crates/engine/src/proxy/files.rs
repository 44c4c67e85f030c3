//! The files of a proxy for many: read as a whole, and looked at again for changes.
//!
//! ```text
//!   proxy.toml ─┬─► certificate, key ─► ServerTls
//!               ├─► identities/*     ─┐
//!               └─► keys of routes   ─┴► InForce
//!
//!   Stamps   device, number, size and times of each: what was read is the newest while they stay
//! ```
//!
//! Links are followed, since that is how a cluster mounts what changes; names that begin with `..` are its own, and passed over.
//!
//! **Guarantees**: all of it is read, or nothing counts. Every file has a limit.

use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_network::AllowList;
use pinfold_network::Identities;
use pinfold_network::InForce;
use pinfold_network::PolicySpec;
use pinfold_network::Secret;
use pinfold_network::ServerTls;

use super::ListenAt;
use super::ProxyFile;
use super::ServiceError;

/// The largest configuration, certificate or key, file of identities, and key of a provider, in bytes.
const CONFIG_MAX: u64 = 4 << 20;
const PEM_MAX: u64 = 1 << 20;
const IDENTITIES_MAX: u64 = 64 << 20;
const KEY_MAX: u64 = 64 << 10;
/// The most files of identities.
const FILES_MAX: usize = 10_000;

/// What the files say.
#[derive(Debug)]
pub struct Reading {
    /// The configuration.
    pub file: ProxyFile,
    /// Who is known, and what each may reach.
    pub in_force: InForce,
    /// Certificate and key, where several are served.
    pub tls: Option<ServerTls>,
    /// What the files were when they were read.
    pub(super) stamps: Stamps,
}

/// What tells a file from its successor, of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(String);

impl Stamps {
    /// Those of the files that a configuration names.
    pub(super) fn of(path: &Path, file: &ProxyFile) -> Self {
        let mut stamps = Self::default();
        stamps.add(path);
        for named in [&file.certificate, &file.key].into_iter().flatten() {
            stamps.add(&beside(path, named));
        }
        if let Some(identities) = &file.identities {
            let identities = beside(path, identities);
            stamps.add(&identities);
            for list in lists(&identities).unwrap_or_default() {
                stamps.add(&list);
            }
        }
        for route in file.policy.values().flat_map(|policy| &policy.route) {
            stamps.add(&beside(path, &route.key));
        }
        stamps
    }

    fn add(&mut self, path: &Path) {
        let stamp = fs::metadata(path).map(|stat| {
            [
                i128::from(stat.dev()),
                i128::from(stat.ino()),
                i128::from(stat.size()),
                i128::from(stat.mtime()),
                i128::from(stat.mtime_nsec()),
                i128::from(stat.ctime()),
                i128::from(stat.ctime_nsec()),
            ]
        });
        // Writing to a string cannot fail. A file that is not there has a stamp, too: that it is not there.
        let _ = writeln!(self.0, "{} {:?}", path.display(), stamp.ok());
    }
}

/// A file that is named in the configuration.
pub(super) fn beside(config: &Path, named: &Path) -> PathBuf {
    config.parent().unwrap_or(Path::new(".")).join(named)
}

/// The files of a folder of identities, in the order of their names; the file itself where it is one.
fn lists(path: &Path) -> Result<Vec<PathBuf>, ServiceError> {
    let failed = |source| ServiceError::File { what: "identities", path: path.to_owned(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(b"..") || entry.path().is_dir() {
            continue;
        }
        if files.len() == FILES_MAX {
            let (what, path) = ("folder of identities", path.to_owned());
            return Err(ServiceError::Large { what, path, limit: "10,000 files" });
        }
        files.push(entry.path());
    }
    files.sort();
    Ok(files)
}

/// The whole content of a regular file.
fn content(what: &'static str, path: &Path, most: u64, limit: &'static str) -> Result<Vec<u8>, ServiceError> {
    let failed = |source| ServiceError::File { what, path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = pinfold_base::file::regular(path).map_err(failed)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(ServiceError::Large { what, path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Reads the configuration alone; `listen` counts instead of what it says.
pub fn read_config(path: &Path, listen: Option<&ListenAt>) -> Result<ProxyFile, ServiceError> {
    let bytes = content("configuration", path, CONFIG_MAX, "4 MiB").map_err(|error| match error {
        ServiceError::File { path, source, .. } => ServiceError::NoConfig { path, source },
        other => other,
    })?;
    let mut file = ProxyFile::read(path, &bytes)?;
    if let Some(listen) = listen {
        file.listen = listen.clone();
    }
    file.check(path)?;
    Ok(file)
}

/// Reads all that a configuration names.
pub fn read(path: &Path, listen: Option<&ListenAt>) -> Result<Reading, ServiceError> {
    let file = read_config(path, listen)?;
    // Looked at before it is read: what changes meanwhile is read again.
    let stamps = Stamps::of(path, &file);
    let tls = match (&file.certificate, &file.key) {
        (Some(certificate), Some(key)) => {
            let (certificate, key) = (beside(path, certificate), beside(path, key));
            let chain = content("certificate", &certificate, PEM_MAX, "1 MiB")?;
            let mut key = content("key of the certificate", &key, PEM_MAX, "1 MiB")?;
            let tls = ServerTls::from_pem(&chain, &key);
            key.fill(0);
            Some(tls.map_err(|source| ServiceError::Tls { path: certificate, source })?)
        }
        _ => None,
    };
    let identities = match &file.identities {
        None => Identities::default(),
        Some(identities) => {
            let mut texts = Vec::new();
            for list in lists(&beside(path, identities))? {
                let text = content("list of identities", &list, IDENTITIES_MAX, "64 MiB")?;
                texts.push((list.display().to_string(), text));
            }
            Identities::parse(texts.iter().map(|(name, text)| (name.as_str(), &text[..])))?
        }
    };
    let mut policies = std::collections::BTreeMap::new();
    for (name, policy) in &file.policy {
        let mut routes = Vec::new();
        // Of a proxy for one the key's file is held to, and read at each request.
        if matches!(file.listen, ListenAt::Tcp(_)) {
            for route in &policy.route {
                let key = beside(path, &route.key);
                let mut bytes = content("key", &key, KEY_MAX, "64 KiB")?;
                let secret = Secret::new(&bytes);
                bytes.fill(0);
                routes.push((route.spec(), secret.ok_or(ServiceError::NotAKey { path: key })?));
            }
        }
        let allow = AllowList::new(policy.allow.iter().cloned());
        policies.insert(name.clone(), PolicySpec { allow, routes });
    }
    let in_force = InForce { policies, identities };
    in_force.check()?;
    Ok(Reading { file, in_force, tls, stamps })
}
