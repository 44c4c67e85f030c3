//! The user's configuration, `config.toml`: whose images are trusted, what signs, and who knows names of packages.
//!
//! ```text
//! $XDG_CONFIG_HOME/pinfold/config.toml     (~/.config/pinfold/config.toml; DIR/config/config.toml with PINFOLD_HOME=DIR)
//!
//!   [[trust]]
//!   images = "registry.example/team/*"     a repository, all below a `/`, or `*` (image::trust)
//!   keys = ["team.pub"]                    files as seen from that folder, or public keys themselves in PEM
//!   require = ["signature", "provenance"]  or the URI of a predicate; the signature unless said
//!
//!   [sign]
//!   key = "~/keys/team.pem"                or command = ["PROGRAM", "WORD", …] and public = "team.pub"
//!   format = "bundle"                      bundle, legacy or both
//!
//!   [nix]
//!   resolution = "nix.json"                what Nix says of names, where there is none ([`crate::sources::nix`])
//! ```
//!
//! **Guarantees**: what decides about trust is the user's: the file, the keys that it names, and the way to them can be written
//! by nobody else, and no sandbox gets them ([`crate::run`]). Nothing of it comes from a project. A file that is there and cannot be
//! used is an error of every verb that asks; only where there is none are there no rules.
//!
//! **Refuses**: unknown keys, patterns and keys that are none, two rules for the same images, and private keys in the file itself.

mod error;
mod file;

use std::io;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_image::sign::PublicKey;
use pinfold_image::trust::Rules;
use pinfold_network::read_own;
use serde::Deserialize;
use serde::Serialize;

pub use self::error::SettingsError;
pub use self::file::predicate;

/// The file, in the configuration folder.
pub const FILE_NAME: &str = "config.toml";
/// Longest file that is read, in bytes.
const MAX: u64 = 1 << 20;
/// Longest file of a public key, in bytes.
const MAX_KEY: u64 = 16 << 10;

/// What the user configured. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whose images are trusted.
    pub trust: Rules,
    /// What signs.
    pub sign: Sign,
    /// What another machine's Nix says of names of packages.
    pub resolution: Option<PathBuf>,
    /// Files that are named, by their paths.
    pub files: Vec<Named>,
}

/// A file that decides something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its path.
    pub path: PathBuf,
    /// What is in it.
    pub holds: Holds,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// A key that signatures are checked with: nobody else may change it.
    PublicKey,
    /// A key that signs: nobody else may read it.
    PrivateKey,
    /// What names of packages mean: nobody else may change it.
    Answer,
}

/// `[sign]`.
#[derive(Clone, Debug, Default)]
pub struct Sign {
    /// Who signs, unless the command line says.
    pub with: Option<SignWith>,
    /// What is written.
    pub format: Format,
}

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignWith {
    /// The key of a file.
    Key(PathBuf),
    /// A program that has the key.
    Command {
        /// It, and its words.
        words: Vec<String>,
        /// The key that it signs with.
        public: PublicKey,
    },
}

/// In which form signatures are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A sigstore bundle that is attached to the image.
    #[default]
    Bundle,
    /// cosign's older form: an image of its own under a tag.
    Legacy,
    /// Both.
    Both,
}

impl Settings {
    /// What is configured in a folder; the default where there is no file.
    pub fn read(folder: &Path, home: Option<&Path>) -> Result<Self, SettingsError> {
        let file = folder.join(FILE_NAME);
        // A link that leads nowhere is there, and no reason to trust everybody.
        match fs::symlink_metadata(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            _ => {}
        }
        let bytes = read_own(&file, MAX)?;
        let around = file::Around { file: &file, folder, home };
        file::parse(&bytes, &around, &mut |path| read_own(path, MAX_KEY))
    }
}

#[cfg(test)]
mod tests;
