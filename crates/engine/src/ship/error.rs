//! Why an image is not shipped.

use std::io;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::http::HttpError;
use pinfold_base::text::word;
use pinfold_image::ImageError;
use pinfold_image::Reference;
use pinfold_image::registry::RegistryError;
use pinfold_image::sign::SignError;
use pinfold_image::trust::TrustError;
use pinfold_image::weight::Over;

use super::key::KeyError;
use super::load::LoadError;
use super::registries::RegistriesError;
use crate::keep::images::FindError;
use crate::settings::SettingsError;

/// A failure of this room.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// A platform weighs more than it may.
    #[error("the image for {platform} is not sent: its compressed layers are {over}")]
    OverBudget {
        /// The platform.
        platform: String,
        /// How much more.
        over: Over,
    },
    /// The digest that the destination names is not the image's.
    #[error("the image is {found}, and its destination says {expected}")]
    OtherDigest {
        /// Of the destination.
        expected: Digest,
        /// Of the image.
        found: Digest,
    },
    /// A program is to sign, and it is not known with which key.
    #[error("the public key of the program that signs is not said")]
    NoPublic,
    /// A public key is said, and no program that signs with it.
    #[error("`--sign-public` is the key of a program that signs, and none is said")]
    PublicAlone,
    /// A form of signatures is said, and nobody signs.
    #[error("nobody signs: neither the command line nor the configuration names a key")]
    NoSigner,
    /// An image does not have what it must have.
    #[error("`{image}` ({digest}): {problem}")]
    Unproved {
        /// The image.
        image: String,
        /// Its digest.
        digest: Digest,
        /// What is missing or wrong.
        problem: String,
    },
    /// A file of a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Signing.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Where the image is.
    #[error(transparent)]
    Registries(#[from] RegistriesError),
    /// A registry does not take a login.
    #[error(transparent)]
    NotIn(RegistryError),
    /// A file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An image that is named with its registry, which is not asked.
    #[error("image `{reference}` is not in the store")]
    NotHere {
        /// The image.
        reference: Reference,
    },
    /// The same, where nothing may be asked.
    #[error("image `{reference}` is not in the store, and the network is switched off")]
    Offline {
        /// The image.
        reference: Reference,
    },
    /// This machine is no platform of images.
    #[error("this machine's platform is not one of an image's")]
    NoHost,
    /// A registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What is on this machine.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Another tool.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The user's rules do not let it in.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The user's configuration.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The network client.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Diagnose for ShipError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::OverBudget { .. } => Diagnosis::Own(Kind::Refused),
            Self::OtherDigest { .. }
            | Self::NotHere { .. }
            | Self::NoHost
            | Self::NoPublic
            | Self::PublicAlone
            | Self::NoSigner => Diagnosis::Own(Kind::Usage),
            Self::Offline { .. } => Diagnosis::Own(Kind::Network),
            Self::Find(error) => Diagnosis::Inner(error),
            Self::Load(error) => Diagnosis::Inner(error),
            Self::Trust(error) => Diagnosis::Inner(error),
            Self::Settings(error) => Diagnosis::Inner(error),
            Self::Unproved { .. } => Diagnosis::Own(Kind::Failed),
            Self::Key(error) => Diagnosis::Inner(error),
            Self::Sign(error) => Diagnosis::Inner(error),
            Self::Registries(error) => Diagnosis::Inner(error),
            Self::Io(error) => Diagnosis::Inner(error),
            Self::NotIn(error) | Self::Registry(error) => Diagnosis::Inner(error),
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Http(error) => Diagnosis::Inner(error),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::OverBudget { over, .. } => Some(format!(
                "`image.compression = \"zstd\"` or fewer agents make it smaller; `--budget {}MiB` allows it",
                over.size.div_ceil(1 << 20)
            )),
            Self::NotIn(RegistryError::Denied { .. }) => Some(
                "check the name and the password; accounts with a second factor want a token instead".into(),
            ),
            Self::NotHere { reference } => {
                let name = word(reference.to_string());
                Some(format!(
                    "`pinfold pull {name}` brings it; `docker://{reference}` is the image where its registry has it"
                ))
            }
            Self::Offline { reference } => Some(format!(
                "`pinfold pull {}` brings it while there is a network",
                word(reference.to_string())
            )),
            Self::NoHost => Some("name one with `--platform`".into()),
            Self::NoPublic => Some(
                "name it with `--sign-public FILE`: signatures are checked with it before they count".into(),
            ),
            Self::PublicAlone => Some("name the program: `--sign 'command:PROGRAM WORD…'`".into()),
            Self::NoSigner => {
                Some("name a key: `--sign FILE` (`pinfold key generate FILE` makes one)".into())
            }
            Self::OtherDigest { .. } => Some("leave the digest out, or push the image that has it".into()),
            _ => None,
        }
    }

    fn lines(&self) -> Vec<Shown> {
        let mut lines = match self {
            Self::Find(error) => return error.lines(),
            Self::Trust(error) => return error.lines(),
            Self::Settings(error) => return error.lines(),
            _ => vec![Shown::new(&self.to_string())],
        };
        if let Self::OverBudget { over, .. } = self {
            lines.extend(over.lines());
        }
        lines
    }
}
