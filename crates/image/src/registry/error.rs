//! What can go wrong between here and a registry. No variant holds a secret.

use std::io;
use std::time::Duration;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::http::HttpError;
use pinfold_base::http::Scheme;
use pinfold_base::http::Step;
use pinfold_base::store::StoreError;
use pinfold_base::text;

use super::Endpoint;
use crate::ImageError;
use crate::blobs::unwrap_io;

/// A failure of this room.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A name that leads to no registry.
    #[error("`{text}` {reason}")]
    Name {
        /// The name.
        text: String,
        /// What it lacks.
        reason: &'static str,
    },
    /// The registry, or who gives out its tokens, says no.
    #[error("{host} denies {what}{}", told(.said))]
    Denied {
        /// What was asked for.
        what: String,
        /// Who denies it.
        host: String,
        /// In its own words.
        said: Shown,
    },
    /// There is no such thing.
    #[error("{host} has no {what}")]
    Missing {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
    },
    /// Too large for the registry, or for us.
    #[error("{what} of {size} bytes {}", limit.map_or_else(|| format!("is too large for {host}"), |limit| format!("from {host} is too large: {limit} bytes are accepted")))]
    TooLarge {
        /// What it is.
        what: String,
        /// Who was asked.
        host: String,
        /// Its size in bytes (at least).
        size: u64,
        /// Our limit in bytes; `None` where it is the registry that refuses.
        limit: Option<u64>,
    },
    /// A tag leads to something else, and the registry lets nobody change that.
    #[error("{host} does not let tag `{tag}` lead to something else{}", told(.said))]
    TagStays {
        /// The tag.
        tag: String,
        /// Who was asked.
        host: String,
        /// In its own words.
        said: Shown,
    },
    /// Another answer than a registry should give.
    #[error("{host} answered {status} to {what}{}", told(.said))]
    Status {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// HTTP status code.
        status: u16,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
        /// In its own words.
        said: Shown,
    },
    /// The registry asks for a login in a way that is not understood.
    #[error("{host} asks for a login that cannot be given: {reason}")]
    Challenge {
        /// Who asks.
        host: String,
        /// Why it cannot be given.
        reason: &'static str,
    },
    /// The registry leads to a place for logins that no password is sent to.
    #[error(
        "{host} wants logins to be sent to `{realm}`, which is refused: it is neither https nor on this machine as the registry is"
    )]
    Realm {
        /// Who asks.
        host: String,
        /// Where to.
        realm: Shown,
    },
    /// Kept logins cannot be used.
    #[error("the login of {of} cannot be used: {reason}")]
    Login {
        /// A registry, or the file its login is in.
        of: String,
        /// Why not; without secrets.
        reason: String,
    },
    /// The registry gave something else than it promised.
    #[error("{what} of {host} is refused: {reason}")]
    Lied {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// In which way.
        reason: String,
    },
    /// Content that does not come to its end, however often it is gone on with.
    #[error("{what} does not come whole from {host}: {reason}")]
    Broken {
        /// What was asked for.
        what: String,
        /// Who was asked.
        host: String,
        /// What the line says.
        reason: String,
    },
    /// An image of before 2016.
    #[error("{what} is in the old format `schema 1`, which names no digests of its layers")]
    Schema1 {
        /// Which image.
        what: String,
    },
    /// Something that is no image.
    #[error("{what} is no image but `{media_type}`")]
    Kind {
        /// What was asked for.
        what: String,
        /// What it is.
        media_type: Shown,
    },
    /// A tag leads to something else than was put there.
    #[error("tag `{tag}` was moved meanwhile: expected {expected}, it is {found}")]
    TagMoved {
        /// The tag.
        tag: String,
        /// What was put there.
        expected: Digest,
        /// What is there.
        found: Digest,
    },
    /// What others attach at the same time was always in the way.
    #[error("what is attached to {what} cannot be kept together: others change it all the time")]
    Half {
        /// Which image.
        what: String,
        /// What is attached now.
        entries: usize,
    },
    /// The network or its bounds.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A document is not acceptable.
    #[error(transparent)]
    Image(Box<ImageError>),
    /// The store of this machine.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file operation failed.
    #[error(transparent)]
    Io(io::Error),
}

/// The registry of `HOST[/REPOSITORY]`, if it is one that is asked by `http`.
fn by_http(place: &str) -> Option<&str> {
    let host = place.split('/').next().unwrap_or_default();
    Endpoint::of(host, false).is_ok_and(|endpoint| endpoint.base.scheme() == Scheme::Http).then_some(host)
}

fn told(said: &Shown) -> String {
    let said = said.to_string();
    if said.is_empty() { said } else { format!(": {said}") }
}

/// What [`Read`](io::Read) gave may carry an error of ours.
impl From<io::Error> for RegistryError {
    fn from(error: io::Error) -> Self {
        match unwrap_io(error) {
            ImageError::Io(error) => Self::Io(error),
            error => error.into(),
        }
    }
}

impl RegistryError {
    /// Whether the registry has answered, and will not answer otherwise when it is asked again.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Denied { .. } | Self::Missing { .. } | Self::TooLarge { .. } | Self::TagStays { .. } => {
                true
            }
            Self::Status { status, .. } => matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429),
            _ => false,
        }
    }
}

impl From<ImageError> for RegistryError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Registry(error) => *error,
            error => Self::Image(Box::new(error)),
        }
    }
}

impl From<RegistryError> for ImageError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Image(error) => *error,
            error => Self::Registry(Box::new(error)),
        }
    }
}

impl Diagnose for RegistryError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Name { .. } | Self::Missing { .. } | Self::Schema1 { .. } | Self::Kind { .. } => {
                Kind::Usage
            }
            Self::Denied { .. } | Self::TooLarge { .. } | Self::TagStays { .. } | Self::Realm { .. } => {
                Kind::Refused
            }
            Self::Status { .. } | Self::Challenge { .. } | Self::Broken { .. } => Kind::Network,
            Self::Login { .. } => Kind::Usage,
            Self::Lied { .. } => Kind::Integrity,
            Self::TagMoved { .. } | Self::Half { .. } => Kind::Failed,
            Self::Http(error) => return Diagnosis::Inner(error),
            Self::Image(error) => return Diagnosis::Inner(&**error),
            Self::Store(error) => return Diagnosis::Inner(error),
            Self::Io(error) => return Diagnosis::Inner(error),
        })
    }

    fn own_hint(&self) -> Option<String> {
        let hint = match self {
            Self::Denied { host, .. } => {
                // A repository follows it.
                let host = text::word(host.split('/').next().unwrap_or_default());
                return Some(format!(
                    "log in with `pinfold login {host}`, and check that the login may do this"
                ));
            }
            Self::Name { .. } => {
                "a registry is written before the name, as in `registry.example/team/name:tag`"
            }
            Self::Missing { .. } => {
                "check the name and the tag; registries that want a login may say the same of what is not public"
            }
            Self::TooLarge { limit: None, .. } => {
                "the registry, or a proxy before it, takes only smaller content: ask whoever runs it"
            }
            Self::Schema1 { .. } => "push it again with a tool of today",
            Self::TagMoved { .. } => {
                "somebody else pushed to the same tag: push again, or to a tag of your own"
            }
            // Tags that stand for what is attached to an image.
            Self::TagStays { tag, .. } if tag.starts_with("sha256-") => {
                "tags cannot be moved there: let those that begin with `sha256-` be moved, since signatures and what else is attached stand under them"
            }
            Self::TagStays { .. } => "tags cannot be moved there: push to another tag",
            Self::Half { .. } | Self::Broken { .. } => "run the same command again",
            // A server that speaks TLS says so when it hears plain HTTP.
            Self::Status { status: 400, host, .. } if by_http(host).is_some() => {
                let host = by_http(host).unwrap_or_default();
                return Some(format!(
                    "a registry on this machine is asked by http; if it speaks https, put its authority into `~/.config/containers/certs.d/{host}/ca.crt`"
                ));
            }
            Self::Lied { .. }
            | Self::Http(
                HttpError::WrongSize { .. }
                | HttpError::TooLong { .. }
                | HttpError::Store(StoreError::WrongDigest { .. } | StoreError::WrongSize { .. }),
            ) => {
                "nothing of it was kept; ask again, and if it stays so tell whoever runs the registry, or a proxy or mirror before it"
            }
            Self::Http(HttpError::Connection {
                step: Step::Resolve | Step::Connect | Step::Wait, ..
            }) => {
                "check the name, and that the registry can be reached from here; behind a proxy set `HTTPS_PROXY` and `NO_PROXY`"
            }
            _ => return None,
        };
        Some(hint.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(error: &RegistryError) -> Option<String> {
        error.hint()
    }

    #[test]
    fn a_registry_on_loopback_that_answers_400_may_speak_tls() {
        let answered = |host: &str, status| RegistryError::Status {
            what: "manifest `1`".into(),
            host: host.into(),
            status,
            said: Shown::new(""),
            retry_after: None,
        };
        let told = hint(&answered("127.0.0.1:5000/team/x", 400)).unwrap();
        assert!(told.contains("certs.d/127.0.0.1:5000/ca.crt"), "{told}");
        for (host, status) in [("registry.example", 400), ("127.0.0.1:5000", 500)] {
            assert_eq!(hint(&answered(host, status)), None, "{host} {status}");
        }
    }

    #[test]
    fn what_a_registry_changes_is_told_as_a_registrys_and_not_as_a_locks() {
        let digest = Digest::sha256(b"x");
        let changed = [
            HttpError::Store(StoreError::WrongSize { what: "blob".into(), expected: 1, actual: 2 }),
            HttpError::Store(StoreError::WrongDigest {
                what: "blob".into(),
                expected: digest.clone(),
                actual: digest,
            }),
        ];
        for error in changed {
            let told = hint(&RegistryError::Http(error)).unwrap();
            assert!(told.contains("whoever runs the registry") && !told.contains("lock"), "{told}");
        }
    }
}
