//! Why an image may not be used.

use std::fmt;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;

use crate::ImageError;
use crate::sign::PROVENANCE;
use crate::sign::SIGNATURE;

/// What is wrong with what is attached to an image; the later one came nearer to a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// There is nothing.
    Missing,
    /// What is there is read by nobody.
    Unreadable,
    /// Other keys have signed it.
    OtherKey,
    /// The key has signed for another purpose.
    OtherPredicate,
    /// The key has signed another image.
    OtherDigest,
}

/// A failure of this room.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A rule is not met.
    #[error("`{image}` ({digest}) is refused by the rule for `{rule}`: {}", told(*why, predicate))]
    Refused {
        /// The image's name.
        image: String,
        /// Its digest.
        digest: Digest,
        /// The pattern of the rule.
        rule: String,
        /// The predicate that is not proved.
        predicate: String,
        /// Why not.
        why: Why,
    },
    /// A pattern is none.
    #[error("`{text}` names no images: {reason}")]
    Pattern {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A rule has no key.
    #[error("the rule for `{images}` has no key")]
    NoKey {
        /// Its pattern.
        images: String,
    },
    /// Two rules are for the same images.
    #[error("there are two rules for `{images}`")]
    Twice {
        /// Their pattern.
        images: String,
    },
    /// The image, or what is attached to it.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// A predicate in words.
struct Named<'a>(&'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SIGNATURE => f.write_str("signature"),
            PROVENANCE => f.write_str("provenance"),
            other => write!(f, "attestation `{}`", other.escape_debug()),
        }
    }
}

fn told(why: Why, predicate: &str) -> String {
    let predicate = Named(predicate);
    match why {
        Why::Missing => format!("it has no {predicate}"),
        Why::Unreadable => format!("what is attached to it is no {predicate} that can be read"),
        Why::OtherKey => format!("it has no {predicate} by a key of the rule, only by others"),
        Why::OtherPredicate => {
            format!("a key of the rule has signed other statements about it, and no {predicate}")
        }
        Why::OtherDigest => format!("the {predicate} attached to it is of another image"),
    }
}

impl Diagnose for TrustError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Refused { .. } => Kind::Refused,
            Self::Pattern { .. } | Self::NoKey { .. } | Self::Twice { .. } => Kind::Usage,
            Self::Image(error) => return Diagnosis::Inner(error),
        })
    }

    fn own_hint(&self) -> Option<String> {
        matches!(self, Self::Refused { .. })
            .then(|| "the rule stands under `[[trust]]` in your config.toml".into())
    }
}
