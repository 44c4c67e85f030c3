//! What stands beside a packed file and says whose it is, and what is looked at before it is trusted.
//!
//! ```text
//! FILE.sha256           the line that `sha256sum` prints and `sha256sum -c` reads
//! FILE.sigstore.json    a signature of FILE ([`FileSignature`])
//! ```
//!
//! **Guarantees**: a check says of what it is true. That an image is right, or signed, says nothing of the program before it: only the
//! file's own digest or signature does.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::error::one_line;
use pinfold_base::file::regular;
use pinfold_base::store::StoreError;
use pinfold_base::store::persist;
use pinfold_image::ImageError;
use pinfold_image::portable::Form;
use pinfold_image::portable::Portable;
use pinfold_image::sign::Bundle;
use pinfold_image::sign::FileSignature;
use pinfold_image::sign::MAX_BUNDLE;
use pinfold_image::sign::PublicKey;
use pinfold_image::sign::SIGNATURE;
use pinfold_image::sign::SecretKey;
use pinfold_image::sign::SignError;
use pinfold_image::trust::Proofs as _;

use super::pack;
use crate::context::Context;
use crate::ship::key;
use crate::ship::key::KeyError;
use crate::ship::proofs::Kept;
use crate::verify::checks::Check;
use crate::verify::checks::FILE_DIGEST;
use crate::verify::checks::FILE_SIGNATURE;
use crate::verify::checks::FILE_WHOLE;
use crate::verify::report::Finding;
use crate::verify::report::Outcome;

/// What the name of the line with its SHA-256 ends with.
const SUM: &str = ".sha256";
/// What the name of its signature ends with.
const SIGNED: &str = ".sigstore.json";

/// Why nothing is signed, or looked at.
#[derive(Debug, thiserror::Error)]
pub enum VouchError {
    /// The key's file.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Signing.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Reading the file.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Writing what stands beside it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Diagnose for VouchError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Key(error) => Diagnosis::Inner(error),
            Self::Sign(error) => Diagnosis::Inner(error),
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Io(error) => Diagnosis::Inner(error),
        }
    }
}

/// What is asked of a file beside that it is whole.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The file of a key that shall have signed it.
    pub key: Option<&'a Path>,
    /// The SHA-256 that it, or its image, shall have.
    pub digest: Option<&'a Digest>,
}

/// The path of something beside a file.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Writes what stands beside a file of this SHA-256, and says what that is.
pub(super) fn sign(file: &Path, digest: &Digest, key: &SecretKey) -> Result<Vec<PathBuf>, VouchError> {
    let signature = FileSignature::make(digest, key)?;
    let written = [(SUM, line(file, digest)), (SIGNED, signature.to_bytes().to_vec())];
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    written
        .into_iter()
        .map(|(ending, bytes)| {
            let path = beside(file, ending);
            let mut new = tempfile::Builder::new().prefix(".pinfold-").tempfile_in(folder)?;
            new.write_all(&bytes)?;
            persist(new, &path)?;
            Ok(path)
        })
        .collect()
}

/// What `sha256sum` prints of a file in its own directory (GNU coreutils, "md5sum invocation": a line whose name has to be escaped
/// begins with a backslash).
fn line(file: &Path, digest: &Digest) -> Vec<u8> {
    let name = file.file_name().unwrap_or_default().as_bytes();
    let mut escaped = Vec::new();
    for byte in name {
        match byte {
            b'\\' => escaped.extend(b"\\\\"),
            b'\n' => escaped.extend(b"\\n"),
            b'\r' => escaped.extend(b"\\r"),
            byte => escaped.push(*byte),
        }
    }
    let mark: &[u8] = if escaped == name { b"" } else { b"\\" };
    [mark, digest.hex().as_bytes(), b"  ", &escaped, b"\n"].concat()
}

/// Looks at the file itself; its image is a subject for itself. An error means that looking was not possible.
pub fn vouched(
    context: &Context,
    portable: &Portable,
    path: &Path,
    asked: Asked<'_>,
) -> Result<Vec<Outcome>, VouchError> {
    let key = asked.key.map(key::public).transpose()?;
    let at = path.display().to_string();
    let failed =
        |check: Check, problem: String| Outcome::looked(check, "", [Finding { at: at.clone(), problem }]);
    let (image, program) = (&portable.index().image.digest, portable.program_digest());
    let of_program = format!("the program in it is {program}");
    let mut outcomes = Vec::new();
    let (file, is_whole) = match portable.verify() {
        Ok(digest) => {
            outcomes.push(Outcome::looked(FILE_WHOLE, format!("{digest}; {of_program}"), []));
            (Some(digest), true)
        }
        // Of a damaged file too: it may be told which of two it is.
        Err(error) if error.kind() == Kind::Integrity => {
            outcomes.push(failed(FILE_WHOLE, one_line(&error)));
            (portable.digest()?, false)
        }
        Err(error) => return Err(error.into()),
    };
    let called = match portable.form() {
        Form::Folder => "the tar that it is",
        Form::AppImage | Form::Tar => "the file",
    };
    if let Some(wanted) = asked.digest {
        let is = |digest: &Digest| file.as_ref() == Some(digest);
        let packed = if is(wanted) || wanted == image || !is_whole {
            None
        } else {
            compressed(context, portable, wanted)?
        };
        outcomes.push(if is(wanted) {
            Outcome::looked(FILE_DIGEST, format!("of {called}, and so of all in it"), [])
        } else if wanted == image {
            Outcome::looked(FILE_DIGEST, format!("of the image alone: {of_program}"), [])
        } else if let Some(ending) = packed {
            Outcome::looked(FILE_DIGEST, format!("of the {ending} that it was in, and so of all in it"), [])
        } else {
            let file = file.as_ref().map_or_else(|| "damaged".to_owned(), Digest::to_string);
            failed(FILE_DIGEST, format!("{called} is {file}, and the image {image}: neither is {wanted}"))
        });
    }
    outcomes.push(match &key {
        None if asked.digest.is_some() => Outcome::not_run(FILE_SIGNATURE, "`--key` asks for it"),
        None => {
            Outcome::not_run(FILE_SIGNATURE, "nothing says whose it is: `--key` or `--digest` asks for that")
        }
        Some(key) => match signature(&beside(path, SIGNED))? {
            Signature::Read(signature) if file.as_ref().is_some_and(|file| signature.is_by(key, file)) => {
                Outcome::looked(FILE_SIGNATURE, format!("of {called}, by {}", key.hint()), [])
            }
            Signature::Read(signature) if !file.as_ref().is_some_and(|file| signature.is_about(file)) => {
                let file = file.as_ref().map_or_else(|| called.to_owned(), Digest::to_string);
                let problem =
                    format!("what is signed beside it is another than {file}: one of the two was changed");
                failed(FILE_SIGNATURE, problem)
            }
            Signature::Read(_) if !key.verifies_digests() => {
                failed(FILE_SIGNATURE, "files are signed with P-256, and the key is of Ed25519".into())
            }
            Signature::Read(_) => {
                failed(FILE_SIGNATURE, format!("the signature beside it is not by the key {}", key.hint()))
            }
            Signature::Unreadable(reason) => failed(FILE_SIGNATURE, reason),
            Signature::Missing if is_kept(context, image, key)? => {
                let evidence = format!("of the image alone, as it was pulled here: {of_program}");
                Outcome::looked(FILE_SIGNATURE, evidence, [])
            }
            Signature::Missing => {
                let place = beside(path, SIGNED);
                let problem = format!(
                    "there is no `{}`, and no signature by the key {} is kept here of its image",
                    place.display(),
                    key.hint()
                );
                failed(FILE_SIGNATURE, problem)
            }
        },
    });
    Ok(outcomes)
}

/// What a directory is called that was in a compressed tar of this digest: such a tar is made of it once more.
fn compressed(
    context: &Context,
    portable: &Portable,
    wanted: &Digest,
) -> Result<Option<&'static str>, VouchError> {
    if portable.form() != Form::Folder {
        return Ok(None);
    }
    for (ending, encoding) in pack::COMPRESSED {
        if portable.digest_as(&encoding, context.threads)? == *wanted {
            return Ok(Some(ending));
        }
    }
    Ok(None)
}

/// What stands beside a file.
enum Signature {
    Read(FileSignature),
    Unreadable(String),
    Missing,
}

fn signature(path: &Path) -> Result<Signature, VouchError> {
    let file = match regular(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Signature::Missing),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Ok(Signature::Unreadable(error.to_string()));
        }
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BUNDLE + 1).read_to_end(&mut bytes)?;
    Ok(match FileSignature::parse(&bytes) {
        Ok(signature) => Signature::Read(signature),
        Err(error) => Signature::Unreadable(format!("`{}`: {}", path.display(), one_line(&error))),
    })
}

/// Whether a signature of an image by the key was kept when it was pulled.
fn is_kept(context: &Context, image: &Digest, key: &PublicKey) -> Result<bool, VouchError> {
    let keys = std::slice::from_ref(key);
    let bundles = Kept::of(context).bundles(image)?;
    let statements = bundles.iter().filter_map(|bytes| Bundle::parse(bytes).ok()?.verify(keys).ok());
    Ok(statements
        .into_iter()
        .any(|statement| statement.predicate_type == SIGNATURE && statement.names(image)))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use fs_err as fs;

    use super::*;

    /// `sha256sum` reads the lines of any names.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the judge is a program")]
    fn lines_are_those_of_sha256sum() {
        let scratch = tempfile::tempdir().unwrap();
        for name in [&b"a.AppImage"[..], b"a b", b"a\nb", b"a\\b\r", b"-x", b"\xff", b"*"] {
            let file = scratch.path().join(OsStr::from_bytes(name));
            fs::write(&file, name).unwrap();
            fs::write(scratch.path().join("sums"), line(&file, &Digest::sha256(name))).unwrap();
            let check = || {
                let mut command = std::process::Command::new("sha256sum");
                command.args(["--strict", "-c", "sums"]).current_dir(scratch.path()).output().unwrap().status
            };
            assert!(check().success(), "{}", name.escape_ascii());
            fs::write(&file, "other").unwrap();
            assert!(!check().success(), "the control");
        }
    }
}
