//! Files of keys to sign with.
//!
//! **Guarantees**: a key is written for its owner alone (mode 0600), whole or not at all, and never over a file that is there.
//! **Refuses**: to sign with a key that others may read.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::beside::BesideFile;
use pinfold_base::text;
use pinfold_image::sign::PublicKey;
use pinfold_image::sign::SecretKey;
use pinfold_image::sign::SignError;
use pinfold_image::sign::Signer as _;

/// Longest file that is read for a key, in bytes: a little more than a key is accepted to be.
const MAX_FILE: u64 = 32 << 10;

/// A failure with a file of a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Something is there already.
    #[error("`{}` is there, and a key is never written over a file", file.display())]
    There {
        /// The file.
        file: PathBuf,
    },
    /// Others than the owner may read or change it.
    #[error("the key `{}` may be used by others on this machine: its mode is {mode:04o}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is no such key.
    #[error("`{}` cannot be used as a key", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: SignError,
    },
    /// A file operation failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Diagnose for KeyError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::There { .. } => Kind::Usage,
            Self::Open { .. } => Kind::Refused,
            Self::Key { source, .. } => return Diagnosis::Inner(source),
            Self::Io(error) => return Diagnosis::Inner(error),
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::There { file } => Some(format!(
                "name another file for a new key; `pinfold key public {}` prints the public one of this",
                text::word(file)
            )),
            Self::Open { file, .. } => Some(format!("keep it to yourself: `chmod 600 {}`", text::word(file))),
            _ => None,
        }
    }
}

/// Makes a key and writes it to a new file.
pub fn generate(file: &Path) -> Result<PublicKey, KeyError> {
    let wrong = |source| KeyError::Key { file: file.into(), source };
    let key = SecretKey::generate().map_err(wrong)?;
    // Made with mode 0600, and named when its bytes are on the disk.
    let mut new = BesideFile::new(file)?;
    new.write_all(key.to_pem().map_err(wrong)?.expose().as_bytes())?;
    new.persist_new().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::There { file: file.into() },
        _ => KeyError::Io(error),
    })?;
    Ok(key.public().clone())
}

/// The key of a file, to sign with.
pub fn secret(file: &Path) -> Result<SecretKey, KeyError> {
    let mut opened = fs::File::open(file)?;
    let mode = opened.metadata()?.mode() & 0o7777;
    let bytes = read(&mut opened)?;
    // A public key that was named by mistake is everybody's, and that is not what is wrong.
    let is_public = bytes.windows(11).any(|part| part == b"PUBLIC KEY-") && !is_private(&bytes);
    if mode & 0o077 != 0 && !is_public {
        return Err(KeyError::Open { file: file.into(), mode });
    }
    SecretKey::from_pem(&bytes).map_err(|source| KeyError::Key { file: file.into(), source })
}

/// Whether a PEM file holds a private key, of whatever kind.
fn is_private(bytes: &[u8]) -> bool {
    bytes.windows(12).any(|part| part == b"PRIVATE KEY-")
}

/// The public key of a file: its own, or that of the private key in it.
pub fn public(file: &Path) -> Result<PublicKey, KeyError> {
    let bytes = read(&mut fs::File::open(file)?)?;
    let key = if is_private(&bytes) {
        SecretKey::from_pem(&bytes).map(|key| key.public().clone())
    } else {
        PublicKey::from_pem(&bytes)
    };
    key.map_err(|source| KeyError::Key { file: file.into(), source })
}

fn read(file: &mut fs::File) -> Result<Vec<u8>, KeyError> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_new_key_is_its_owners_alone_and_never_written_over_a_file() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("key.pem");
        let made = generate(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(*secret(&file).unwrap().public(), made);
        assert_eq!(public(&file).unwrap(), made);
        let before = fs::read(&file).unwrap();
        assert!(matches!(generate(&file), Err(KeyError::There { .. })));
        assert_eq!(fs::read(&file).unwrap(), before);
        // Nor where a link leads.
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(temp.path().join("nowhere"), &link).unwrap();
        assert!(matches!(generate(&link), Err(KeyError::There { .. })));
        let names: Vec<_> =
            fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "nothing half written is left: {names:?}");
    }

    #[test]
    fn a_key_that_others_may_read_signs_nothing_until_it_is_kept_apart() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("key.pem");
        let made = generate(&file).unwrap();
        for open in [0o644, 0o640, 0o602, 0o660] {
            fs::set_permissions(&file, std::fs::Permissions::from_mode(open)).unwrap();
            let error = secret(&file).unwrap_err();
            assert!(matches!(error, KeyError::Open { mode, .. } if mode == open), "{error}");
            let hint = error.hint().unwrap();
            assert!(hint.ends_with(&format!("`chmod 600 {}`", file.display())), "{hint}");
            assert_eq!(public(&file).unwrap(), made, "what is public may be read");
        }
        fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(secret(&file).is_ok());
    }
}
