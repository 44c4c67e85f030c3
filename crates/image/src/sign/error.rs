//! What can go wrong with keys and signatures.

use std::io;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;

use crate::ImageError;

/// A failure of this room. None shows anything of a secret key.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// A private key in a form that only other programs read.
    #[error("the key is {form}, which is not read here")]
    Form {
        /// The form.
        form: &'static str,
    },
    /// Text that is no key of the wanted kind.
    #[error("that is no {wanted}: {reason}")]
    Key {
        /// Which kind was wanted.
        wanted: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The machine gave no random bytes.
    #[error("a key cannot be made")]
    Random(#[source] io::Error),
    /// Whoever signs for us gave something else than a signature of the key that stands beside it.
    #[error("what was signed does not verify with the public key of the signer")]
    Signer,
    /// A program that signs did not.
    #[error("`{program}` has signed nothing: {problem}")]
    Program {
        /// The program, without its words.
        program: String,
        /// What went wrong; never what it printed.
        problem: String,
    },
    /// A bundle that is not read.
    #[error("the bundle is refused: {reason}")]
    Bundle {
        /// What is wrong with it.
        reason: String,
    },
    /// A bundle, or what it signs, is no document of the expected shape.
    #[error(transparent)]
    Document(#[from] ImageError),
    /// None of the keys asked for has signed it.
    #[error("it is not signed by {}", if *keys == 1 { "the key asked for" } else { "any of the keys asked for" })]
    Unsigned {
        /// How many keys were tried.
        keys: usize,
    },
}

impl SignError {
    /// A bundle that is not read.
    pub(super) fn bundle(reason: impl Into<String>) -> Self {
        Self::Bundle { reason: reason.into() }
    }
}

impl Diagnose for SignError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Form { .. } | Self::Key { .. } => Kind::Usage,
            Self::Random(_) | Self::Program { .. } => Kind::System,
            Self::Signer | Self::Bundle { .. } => Kind::Integrity,
            Self::Unsigned { .. } => Kind::Refused,
            Self::Document(error) => return Diagnosis::Inner(error),
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Form { .. } => {
                Some("write it as PKCS#8: `openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW`".into())
            }
            _ => None,
        }
    }
}
