//! What can go wrong between here and a server.

use std::io;

use super::SafeUrl;
use super::url::ParseUrlError;
use super::url::Scheme;
use crate::error::Diagnose;
use crate::error::Diagnosis;
use crate::error::Kind;
use crate::store::StoreError;

/// At which step a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The name of the host has no address.
    Resolve,
    /// No connection, or it broke.
    Connect,
    /// The proxy did not connect us.
    Proxy,
    /// No TLS session; most often a certificate nobody here trusts.
    Tls,
    /// Nothing came for too long.
    Wait,
    /// The answer is not HTTP.
    Protocol,
}

/// A request that did not succeed. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The network may not be used.
    #[error("`{what}` is not in the store, and the network is switched off")]
    Offline {
        /// What was wanted.
        what: String,
    },
    /// An address is not usable.
    #[error(transparent)]
    Url(#[from] ParseUrlError),
    /// A proxy variable of the environment is not usable.
    #[error("the environment variable `{variable}` does not name a proxy pinfold can use")]
    ProxyVariable {
        /// Its name; the value may hold a password.
        variable: String,
    },
    /// A variable of the environment does not list hosts.
    #[error("`{entry}` in the environment variable `{variable}` is no host")]
    HostVariable {
        /// Its name.
        variable: String,
        /// The entry.
        entry: String,
    },
    /// The trust store of this machine is empty or cannot be read.
    #[error("no trusted certificates found: {reason}")]
    TrustStore {
        /// What was tried.
        reason: String,
    },
    /// The connection failed, after retries.
    #[error("cannot fetch `{url}`: {reason}")]
    Connection {
        /// The address.
        url: SafeUrl,
        /// At which step.
        step: Step,
        /// In words.
        reason: Box<str>,
    },
    /// The server said no.
    #[error("cannot fetch `{url}`: the server answered {status}")]
    Status {
        /// The address.
        url: SafeUrl,
        /// HTTP status code.
        status: u16,
    },
    /// A redirect that is not followed.
    #[error("cannot fetch `{url}`: {reason}")]
    Redirect {
        /// The address that redirected.
        url: SafeUrl,
        /// Why it is not followed.
        reason: Box<str>,
    },
    /// An address that whoever named it may not lead to.
    #[error(
        "cannot fetch `{url}`: {} at {address}, {what}",
        .next.as_ref().map_or_else(|| "it is".to_owned(), |next| format!("the server leads to `{next}`, which is"))
    )]
    Inward {
        /// The address that was asked for.
        url: SafeUrl,
        /// Where a redirect led.
        next: Option<Box<SafeUrl>>,
        /// What it turned out to be.
        address: Box<str>,
        /// In words.
        what: &'static str,
    },
    /// The transfer ended early, again and again.
    #[error("`{url}` was cut short: {got} of {expected} bytes came")]
    Truncated {
        /// The address.
        url: SafeUrl,
        /// Bytes that came.
        got: u64,
        /// Bytes that were announced.
        expected: u64,
    },
    /// More bytes than were announced or allowed.
    #[error("`{url}` is longer than the {limit} bytes expected")]
    TooLong {
        /// The address.
        url: SafeUrl,
        /// The most that was accepted.
        limit: u64,
    },
    /// The server announces another size than the lock.
    #[error("`{url}` has the wrong size: expected {expected} bytes, the server has {actual}")]
    WrongSize {
        /// The address.
        url: SafeUrl,
        /// Bytes in the lock.
        expected: u64,
        /// Bytes the server announces.
        actual: u64,
    },
    /// A local file could not be read.
    #[error("cannot read `{url}`: {error}")]
    File {
        /// The address.
        url: SafeUrl,
        /// What the system says.
        error: io::Error,
    },
    /// None of several sources had it; each is told.
    #[error("none of {} sources has `{what}`: {}", .tried.len(), list(.tried))]
    Sources {
        /// What was wanted.
        what: String,
        /// What each source said.
        tried: Vec<HttpError>,
    },
    /// The bytes are wrong, or could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(errors: &[HttpError]) -> String {
    errors.iter().map(HttpError::to_string).collect::<Vec<_>>().join("; ")
}

impl HttpError {
    /// Whether the server says that there is no such thing (404 or 410, a missing file), everywhere it was looked for.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 404 | 410),
            Self::File { error, .. } => error.kind() == io::ErrorKind::NotFound,
            Self::Sources { tried, .. } => tried.iter().all(Self::is_not_found),
            _ => false,
        }
    }

    /// Whether there is a file, and it is another than was expected, at one of the places at least.
    pub fn is_other_file(&self) -> bool {
        match self {
            Self::WrongSize { .. } | Self::TooLong { .. } => true,
            Self::Store(error) => {
                matches!(error, StoreError::WrongDigest { .. } | StoreError::WrongSize { .. })
            }
            Self::Sources { tried, .. } => tried.iter().any(Self::is_other_file),
            _ => false,
        }
    }

    /// Whether the same request may succeed in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection { step, .. } => !matches!(step, Step::Tls),
            Self::Truncated { .. } => true,
            Self::Status { status, .. } => is_passing_status(*status),
            _ => false,
        }
    }

    /// The most telling of what several sources said: integrity before network before "not found".
    fn worst(tried: &[Self]) -> Option<&Self> {
        let rank = |error: &&Self| (error.kind() != Kind::Integrity, error.is_not_found());
        tried.iter().min_by_key(rank)
    }
}

/// Answers that say "later": timeouts, too many requests, and the server's own failures.
pub(super) const fn is_passing_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// The variable that names a proxy for this kind of address.
fn proxy_variable(url: &SafeUrl) -> &'static str {
    match url.scheme() {
        Scheme::Http => "HTTP_PROXY",
        Scheme::Https | Scheme::File => "HTTPS_PROXY",
    }
}

impl Diagnose for HttpError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::WrongSize { .. } | Self::TooLong { .. } => Diagnosis::Own(Kind::Integrity),
            Self::Inward { .. } => Diagnosis::Own(Kind::Refused),
            Self::Url(_) | Self::ProxyVariable { .. } | Self::HostVariable { .. } => {
                Diagnosis::Own(Kind::Usage)
            }
            Self::TrustStore { .. } => Diagnosis::Own(Kind::System),
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Sources { tried, .. } => match Self::worst(tried) {
                Some(worst) => Diagnosis::Inner(worst),
                None => Diagnosis::Own(Kind::Network),
            },
            Self::Offline { .. }
            | Self::Connection { .. }
            | Self::Status { .. }
            | Self::Redirect { .. }
            | Self::File { .. }
            | Self::Truncated { .. } => Diagnosis::Own(Kind::Network),
        }
    }

    fn own_hint(&self) -> Option<String> {
        let hint = match self {
            Self::Offline { .. } => {
                "run once without `--offline`, or give a directory made by `pinfold vendor`"
            }
            Self::ProxyVariable { .. } => {
                "expected `http://HOST:PORT` or `https://HOST:PORT`; SOCKS is not supported"
            }
            Self::HostVariable { .. } => "expected `HOST,HOST`: names or addresses, without scheme and port",
            Self::Inward { .. } => {
                "only what the machine's own configuration names may stand on this machine or its network; if this is meant, \
                 set `PINFOLD_PRIVATE_HOSTS=HOST` (metadata and link-local addresses are never reached)"
            }
            Self::TrustStore { .. } => {
                "install the ca-certificates package, or set `SSL_CERT_FILE` to a file of trusted certificates"
            }
            Self::Connection { url, step, .. } => match step {
                Step::Resolve | Step::Connect | Step::Wait => {
                    let proxy = proxy_variable(url);
                    return Some(format!(
                        "check the network; behind a proxy set `{proxy}` and `NO_PROXY`; what is already fetched can be used with \
                         `--offline`"
                    ));
                }
                Step::Proxy => "check the variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`",
                Step::Tls => {
                    "if a company proxy opens TLS, set `SSL_CERT_FILE` to a file that also holds its certificate, or add it to \
                     the system's trust store; also check the clock"
                }
                Step::Protocol => {
                    "check that the address is that of a registry or archive, not of another service"
                }
            },
            Self::Status { status: 401 | 403, .. } => {
                "the server wants credentials or refuses these: for npm, say `npm login` or write `//HOST/:_authToken=…` to \
                 `~/.npmrc`; for other servers, write `https://USER:PASSWORD@HOST/…` where this machine names the mirror"
            }
            Self::Status { status: 404 | 410, .. } => {
                "check the address, and the names and versions in it; of what was locked and is gone, `pinfold lock --upgrade` takes \
                 a newer version, and a directory that `pinfold vendor` made or a snapshot of the archive still has it"
            }
            Self::Status { status: 407, url } => {
                let proxy = proxy_variable(url);
                return Some(format!(
                    "the proxy wants credentials: `{proxy}=http://USER:PASSWORD@HOST:PORT`"
                ));
            }
            Self::Status { status: 429, .. } => {
                "the server asks for fewer requests; try again in a few minutes"
            }
            Self::Status { .. } => "try again later, or use another mirror",
            Self::Redirect { .. } => "give the final address in the manifest",
            Self::Truncated { .. } => "run the same command again: it goes on where it stopped",
            Self::TooLong { .. } | Self::WrongSize { .. } => {
                "the server has something else than what is locked: use another mirror, or lock again (`pinfold lock --upgrade`)"
            }
            Self::File { .. } => "check that the file exists and can be read",
            Self::Url(_) | Self::Store(_) | Self::Sources { .. } => return None,
        };
        Some(hint.into())
    }
}
