//! Logins as podman and Docker keep them.
//!
//! ```text
//! REGISTRY_AUTH_FILE, alone where it is set; else in this order, the first that has a login for the repository:
//! $XDG_RUNTIME_DIR/containers/auth.json; where that is not set, podman's own places for it, /run/user/UID/containers/auth.json and
//!     /tmp/podman-run-UID/containers/auth.json, and /run/containers/UID/auth.json
//! $XDG_CONFIG_HOME/containers/auth.json (or ~/.config/…)
//! $DOCKER_CONFIG/config.json (or ~/.docker/config.json)
//! ~/.dockercfg
//! ```
//!
//! **Guarantees**: nothing is read before a registry asks who is there; no secret is in any error.
//! **Refuses**: a file that cannot be read or is none: whoever has a login there does not want to be a stranger. A usual place in a folder
//! that this user may not look into is none.

mod file;
mod helper;
mod keep;

use std::ffi::OsString;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_image::registry::Credentials;
use pinfold_image::registry::Keyring;
use pinfold_image::registry::RegistryError;
use pinfold_network::Surroundings;

pub use self::file::AuthFile;
pub use self::file::Kept;
use self::helper::Helper;
pub use self::keep::Done;
pub use self::keep::Registry;
pub use self::keep::log_in;
pub use self::keep::log_out;

use crate::context::Context;
use crate::context::Environment;
use crate::project::upward;

/// The logins of this user.
pub struct UserKeyring {
    files: Vec<AuthPath>,
    around: Surroundings,
    variables: Vec<(OsString, OsString)>,
}

impl std::fmt::Debug for UserKeyring {
    // Variables may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserKeyring").field("files", &self.files).finish_non_exhaustive()
    }
}

/// A place for logins.
#[derive(Clone, Debug, PartialEq, Eq)]
struct AuthPath {
    path: PathBuf,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Today,
    Old,
}

impl UserKeyring {
    /// The logins that the environment of a context leads to.
    pub fn of(context: &Context) -> Self {
        let environment = &context.environment;
        let own = |(name, value): (&std::ffi::OsStr, &std::ffi::OsStr)| (name.to_owned(), value.to_owned());
        Self {
            files: usable(paths(environment, rustix::process::getuid().as_raw())),
            around: around(context),
            variables: environment.all().map(own).collect(),
        }
    }
}

impl UserKeyring {
    /// What comes of asking a helper.
    fn asked<T>(
        &self,
        name: &str,
        ask: impl Fn(&Helper<'_>) -> Result<T, String>,
    ) -> Result<T, RegistryError> {
        let (around, variables) = (&self.around, &self.variables[..]);
        let helper = Helper { name, around, variables, timeout: helper::TIMEOUT };
        ask(&helper).map_err(|reason| RegistryError::Login { of: helper.program(), reason })
    }
}

impl Keyring for UserKeyring {
    fn find(&self, key: &str, repository: &str) -> Result<Credentials, RegistryError> {
        for file in &self.files {
            let problem =
                |reason: String| RegistryError::Login { of: file.path.display().to_string(), reason };
            let Some(bytes) = read(&file.path).map_err(|error| problem(error.to_string()))? else { continue };
            let parsed = match file.form {
                Form::Today => AuthFile::parse(&bytes),
                Form::Old => AuthFile::parse_old(&bytes),
            };
            for kept in parsed.and_then(|parsed| parsed.find(key, repository)).map_err(problem)? {
                match kept {
                    Kept::Here(credentials) => return Ok(credentials),
                    Kept::Helper { name, server } => {
                        if let Some(credentials) = self.asked(&name, |helper| helper.get(&server))? {
                            return Ok(credentials);
                        }
                    }
                }
            }
        }
        Ok(Credentials::Anonymous)
    }
}

/// A file of logins; none where there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match pinfold_base::file::configuration(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(file::MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > file::MAX {
        return Err(io::Error::other(format!("it is longer than {} bytes", file::MAX)));
    }
    // podman leaves empty ones.
    Ok(Some(bytes).filter(|bytes| !bytes.trim_ascii().is_empty()))
}

/// Where logins are, in the order in which they are looked for.
fn paths(environment: &Environment, user: u32) -> Vec<AuthPath> {
    let today = |path: PathBuf| AuthPath { path, form: Form::Today };
    let folder = |name: &str| environment.raw(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = folder("REGISTRY_AUTH_FILE") {
        return vec![today(path)];
    }
    let home = environment.home();
    let below_home = |name: &str| home.map(|home| home.join(name));
    let runtime = match folder("XDG_RUNTIME_DIR") {
        Some(runtime) => vec![runtime.join("containers")],
        // podman sets the variable for itself: what it keeps has to be found by those who do not.
        None => [
            format!("/run/user/{user}/containers"),
            format!("/tmp/podman-run-{user}/containers"),
            format!("/run/containers/{user}"),
        ]
        .map(PathBuf::from)
        .into(),
    };
    let config = folder("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
    let docker = folder("DOCKER_CONFIG").or_else(|| below_home(".docker"));
    let mut paths: Vec<AuthPath> =
        runtime.into_iter().map(|folder| today(folder.join("auth.json"))).collect();
    paths.extend(config.map(|config| today(config.join("containers/auth.json"))));
    paths.extend(docker.map(|docker| today(docker.join("config.json"))));
    paths.extend(below_home(".dockercfg").map(|path| AuthPath { path, form: Form::Old }));
    paths
}

/// The places of those that are this user's to look into. Where only one is, it was said, and whoever said it hears what is wrong.
fn usable(paths: Vec<AuthPath>) -> Vec<AuthPath> {
    if paths.len() == 1 {
        return paths;
    }
    let own = |folder: &Path| {
        let me = rustix::process::getuid().as_raw();
        fs::symlink_metadata(folder)
            .is_ok_and(|data| data.is_dir() && data.uid() == me && data.mode() & 0o022 == 0)
    };
    let searched = |path: &Path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
    let is_usable = |place: &AuthPath| {
        let mut above = place.path.ancestors().skip(1);
        // Anybody may make a folder in `/tmp`.
        if let Some(folder) = above.clone().find(|folder| folder.parent() == Some(Path::new("/tmp"))) {
            return own(folder);
        }
        above.find(|folder| folder.exists()).is_none_or(searched)
    };
    paths.into_iter().filter(is_usable).collect()
}

/// What decides about a helper: it must not be one that a sandbox could have written.
pub(crate) fn around(context: &Context) -> Surroundings {
    let here = Path::new(".");
    // A sandbox may have been run on the project, which may be above; one that is not the user's was no sandbox's either.
    match upward::find(here, context.environment.home()) {
        Ok(Some(project)) => context.surroundings(&project, "the project"),
        Ok(None) | Err(_) => context.surroundings(here, "the current directory"),
    }
}

#[cfg(test)]
mod tests;
