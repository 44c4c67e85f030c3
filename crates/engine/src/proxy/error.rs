//! What can be wrong with a proxy for many sandboxes and its files.

use std::io;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_network::CredentialError;
use pinfold_network::IdentityError;
use pinfold_network::InForceError;
use pinfold_network::ProxyError;
use pinfold_network::TlsError;

use super::ConfigError;

/// Why the proxy does not serve, or does not obey what was changed. No secret is shown.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The configuration itself cannot be read.
    #[error("cannot read the configuration `{}`", path.display())]
    NoConfig {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read the {what} `{}`", path.display())]
    File {
        /// What it is for.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or a folder is larger than is read.
    #[error("the {what} `{}` is larger than what is read ({limit})", path.display())]
    Large {
        /// What it is for.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// The limit, in words.
        limit: &'static str,
    },
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A line of a list of identities.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Certificate or key.
    #[error("`{}`: {source}", path.display())]
    Tls {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        source: TlsError,
    },
    /// The key of a provider.
    #[error("what the file `{}` holds is not a key: it must be one line of visible ASCII", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The key's file, of a proxy for one.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Rules that do not go together.
    #[error(transparent)]
    InForce(#[from] InForceError),
    /// A port that cannot be had.
    #[error("cannot listen at `{at}` for {what}")]
    Listen {
        /// What for.
        what: &'static str,
        /// Where.
        at: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The proxy itself.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

impl Diagnose for ServiceError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::NoConfig { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Diagnosis::Own(Kind::Usage)
            }
            Self::NoConfig { .. } | Self::File { .. } | Self::Listen { .. } => Diagnosis::Own(Kind::System),
            Self::Large { .. } | Self::NotAKey { .. } => Diagnosis::Own(Kind::Usage),
            Self::Config(error) => Diagnosis::Inner(error),
            Self::Identity(error) => Diagnosis::Inner(error),
            Self::Tls { source, .. } => Diagnosis::Inner(source),
            Self::Credential(error) => Diagnosis::Inner(error),
            Self::InForce(error) => Diagnosis::Inner(error),
            Self::Proxy(error) => Diagnosis::Inner(error),
        }
    }

    fn lines(&self) -> Vec<Shown> {
        match self {
            Self::Config(error) => error.lines(),
            _ => vec![Shown::of(self)],
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::NoConfig { .. } => {
                Some("name it with `--config FILE`; `pinfold kube` writes one, and docs/proxy.md says what is in it".into())
            }
            Self::File { what, .. } => {
                Some(format!("put the {what} there, or name another file in the configuration"))
            }
            Self::Listen { .. } => Some("name another address or port, or end who has this one".into()),
            _ => None,
        }
    }
}
