//! What can go wrong while npm packages are resolved.

use std::fmt;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::http::HttpError;
use pinfold_base::shown;

use super::config::ConfigError;

/// Resolving failed.
#[derive(Debug, thiserror::Error)]
pub enum NpmError {
    /// Not a package name.
    #[error("`{name}` is not a package name: {reason}")]
    Name {
        /// The name, shortened.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A version request that cannot be met by a registry.
    #[error("`{package}` is asked for as `{spec}`{}: {reason}", by(.chain))]
    Spec {
        /// The package.
        package: String,
        /// The request.
        spec: String,
        /// What is wrong with it.
        reason: &'static str,
        /// Who asks, outermost first.
        chain: Vec<String>,
    },
    /// The machine's npm configuration is not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The registry has no such package.
    #[error("the registry `{registry}` has no package `{package}`{}", by(.chain))]
    NotFound {
        /// The package.
        package: String,
        /// Where it was looked for.
        registry: String,
        /// Who asks, outermost first.
        chain: Vec<String>,
    },
    /// The registry could not be asked.
    #[error("failed to read the versions of `{package}`")]
    Http {
        /// The package.
        package: Box<str>,
        /// Why.
        source: HttpError,
    },
    /// The registry's answer is not a packument.
    #[error("what the registry says of `{package}` cannot be read: {reason}")]
    Packument {
        /// The package.
        package: String,
        /// What is wrong.
        reason: String,
    },
    /// No version fits.
    #[error("no version of `{package}` fits `{spec}`{}: {reason}", by(.chain))]
    NoVersion {
        /// The package.
        package: String,
        /// The request.
        spec: String,
        /// Why not, with the newest that came near.
        reason: String,
        /// Who asks, outermost first.
        chain: Vec<String>,
    },
    /// The packument gives no hash that can be trusted.
    #[error("`{package}` {version} has no sha256 or sha512 integrity in the registry")]
    NoIntegrity {
        /// The package.
        package: String,
        /// The version.
        version: String,
    },
    /// The tarball is somewhere else than the registry.
    #[error("the tarball of `{package}` {version} is not at its registry: {reason}")]
    Tarball {
        /// The package.
        package: String,
        /// The version.
        version: String,
        /// What was found.
        reason: String,
    },
    /// Packages want to run something when they are installed: all of them, since each needs an answer.
    #[error("{}", scripts(.0))]
    InstallScripts(Vec<InstallScript>),
    /// Two packages need different versions of a third beside them.
    #[error("`{package}` needs `{peer}` {spec} beside it, but {found} stands there{}", by(.chain))]
    Peer {
        /// The package.
        package: String,
        /// What it needs.
        peer: String,
        /// Which versions.
        spec: String,
        /// What there is.
        found: Box<str>,
        /// Who asks, outermost first.
        chain: Vec<String>,
    },
    /// What a publisher says about the tree cannot be followed.
    #[error("`{package}` comes with a shrinkwrap that cannot be followed: {reason}")]
    Shrinkwrap {
        /// The package.
        package: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tree is too big to be meant.
    #[error("the dependencies of `{package}` are more than {limit} packages")]
    TooMany {
        /// The request.
        package: String,
        /// The most that is accepted.
        limit: usize,
    },
}

/// A script that a package wants to run when it is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallScript {
    /// The package.
    pub package: String,
    /// The version.
    pub version: String,
    /// Name of the script.
    pub script: String,
    /// What it runs.
    pub command: Box<str>,
    /// Who asks, outermost first.
    pub chain: Vec<String>,
}

impl fmt::Display for InstallScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, version, script, command, chain } = self;
        let by = by(chain);
        write!(
            f,
            "`{package}` {version} wants to run a script when it is installed: `{script}` = `{command}`{by}"
        )
    }
}

fn scripts(all: &[InstallScript]) -> String {
    match all {
        [one] => one.to_string(),
        all => format!("{} packages want to run a script when they are installed", all.len()),
    }
}

/// ` (needed by a@1 > b@2)`, or nothing for a direct request.
fn by(chain: &[String]) -> String {
    if chain.is_empty() { String::new() } else { format!(" (needed by {})", chain.join(" > ")) }
}

impl Diagnose for NpmError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Config(error) => return Diagnosis::Inner(error),
            Self::Http { source, .. } => return Diagnosis::Inner(source),
            Self::Name { .. }
            | Self::Spec { .. }
            | Self::NotFound { .. }
            | Self::NoVersion { .. }
            | Self::Peer { .. }
            | Self::TooMany { .. } => Kind::Usage,
            Self::Packument { .. }
            | Self::NoIntegrity { .. }
            | Self::Tarball { .. }
            | Self::Shrinkwrap { .. } => Kind::Integrity,
            Self::InstallScripts(_) => Kind::Refused,
        })
    }

    fn lines(&self) -> Vec<Shown> {
        match self {
            Self::InstallScripts(all) if all.len() > 1 => {
                std::iter::once(shown!("{self}:")).chain(all.iter().map(|one| shown!("  {one}"))).collect()
            }
            _ => match self.inner() {
                Some(inner) if inner.to_string() == self.to_string() => inner.lines(),
                _ => vec![Shown::of(self)],
            },
        }
    }

    fn own_hint(&self) -> Option<String> {
        let hint = match self {
            Self::Name { .. } | Self::Config(_) | Self::Http { .. } => return None,
            Self::Spec { .. } => {
                "name a range such as `^1.2`, an exact version, a tag such as `latest`, or `npm:NAME@RANGE`"
            }
            Self::NotFound { .. } => {
                "check the name; a private package needs its registry and token in `.npmrc` \
                 (`@scope:registry=…`, `//host/:_authToken=…`)"
            }
            Self::Packument { .. } => "check that the address is that of an npm registry",
            Self::NoVersion { .. } => {
                "widen the range, or lower `policy.min-age` if a fresh release is what you want"
            }
            Self::NoIntegrity { .. } => {
                "choose another version, or take the package by URL as a `[[binary]]`"
            }
            Self::Tarball { .. } => "use a registry that serves its own tarballs",
            Self::InstallScripts(_) => {
                "nothing is run while building; if what is told works without its script, add to the manifest, with your reason \
                 (one `[scripts]` is enough):"
            }
            Self::Peer { .. } => "ask for versions that fit each other",
            Self::Shrinkwrap { .. } => "ask for another version, and tell its publisher",
            Self::TooMany { .. } => "check the name of the package",
        };
        Some(hint.into())
    }

    fn own_block(&self) -> Vec<Shown> {
        match self {
            Self::InstallScripts(all) => crate::skipping(all.iter().map(|script| script.package.as_str())),
            _ => Vec::new(),
        }
    }
}
