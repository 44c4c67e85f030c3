//! A file of the host that a key hangs on: found once, and the same one whenever it is used.
//!
//! What "the same" means depends on who can change it:
//!
//! ```text
//!   system   root's all the way down, and the user cannot write to it    its path: an upgrade is root's word
//!   content  the user's own: a program, a script, a configuration        its path and the SHA-256 of its content
//!   owner    a secret: the user's alone, mode 0600 or stricter           its path and its owner: a digest would be a hash of
//!                                                                        the secret, and a login file is renewed by renaming
//! ```
//!
//! **Guarantees**: at use the path is gone anew without following a link, what is found is judged and hashed on the
//! descriptor that is then read or executed. **Refuses** a second name (hard link) of what is the user's: it may lie where a
//! sandbox can write.

use std::fmt;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Digest;
use pinfold_base::digest::Algorithm;
use pinfold_base::digest::Hasher;
use rustix::fs::FileType;
use rustix::fs::Stat;
use serde::Deserialize;
use serde::Serialize;

use super::CredentialError;
use super::walk::Astray;
use super::walk::Found;
use super::walk::Links;
use super::walk::Place;
use super::walk::walk;

/// The largest program or script whose digest is taken.
const CONTENT_MAX: u64 = 1 << 30;

/// A file that a key hangs on, as it was found. Its text is what consent shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldFile {
    path: PathBuf,
    kept: Kept,
}

/// What of it must stay.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kept {
    System,
    Content(Digest),
    Owner(u32),
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("the system's"),
            Self::Content(digest) => write!(f, "SHA-256 {}", digest.hex()),
            Self::Owner(owner) => write!(f, "a secret of user {owner}"),
        }
    }
}

impl fmt::Display for HeldFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.path.display(), self.kept)
    }
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It holds the key.
    Key,
    /// It is executed, by the kernel or by an interpreter.
    Program,
    /// It is read by a program.
    Data,
}

impl HeldFile {
    /// Its real path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What must stay of it, in words.
    pub fn kept(&self) -> String {
        self.kept.to_string()
    }

    /// Whether only root can change it.
    pub(super) fn is_system(&self) -> bool {
        self.kept == Kept::System
    }

    /// Finds the file that `path` leads to now, for good.
    pub(super) fn find(path: &Path, role: Role, places: &[Place]) -> Result<(Self, Found), CredentialError> {
        let writable: Vec<Place> = places.iter().filter(|place| place.is_writable()).cloned().collect();
        let look = |places: &[Place]| {
            walk(path, Links::Follow, places).map_err(|astray| CredentialError::astray(path, astray))
        };
        let (former, now): (Vec<Place>, Vec<Place>) = places.iter().cloned().partition(Place::is_former);
        let (file, found) = Self::of(look(if role == Role::Key { &now } else { &writable })?, role)?;
        if role == Role::Key
            && let Err(Astray::Within(place)) = walk(path, Links::Follow, &former)
            && !place.has(&found.path, &found.stat)
        {
            // A key is the user's to keep where it always was, as a login file; a link that was left there is not.
            return Err(CredentialError::astray(path, Astray::Within(place)));
        }
        if matches!(file.kept, Kept::Owner(_)) {
            // A secret is no secret where a sandbox can read it.
            look(if role == Role::Key { &now } else { places })?;
        }
        Ok((file, found))
    }

    fn of(found: Found, role: Role) -> Result<(Self, Found), CredentialError> {
        let exposed = |problem| Err(CredentialError::Exposed { path: found.path.clone(), problem });
        if found.kind() != FileType::RegularFile {
            return exposed("is not a regular file");
        }
        if found.path.starts_with("/proc") {
            return exposed("is made by the kernel, and another for each program that reads it");
        }
        if found.path.to_str().is_none() {
            return exposed("has a name that is not text");
        }
        let is_secret = role == Role::Key || (role == Role::Data && is_private(&found.stat));
        let kept = if is_secret {
            judge_secret(&found)?
        } else if found.system {
            Kept::System
        } else {
            if found.stat.st_nlink > 1 {
                return exposed(SECOND_NAME);
            }
            Kept::Content(hash(&found)?)
        };
        Ok((Self { path: found.path.clone(), kept }, found))
    }

    /// The file now, if it is still the one that was found.
    pub(super) fn again(&self) -> Result<Found, CredentialError> {
        let changed =
            |is: String| CredentialError::Changed { path: self.path.clone(), was: self.kept.to_string(), is };
        let found = walk(&self.path, Links::Refuse, &[]).map_err(|astray| match astray {
            Astray::Link(at) => changed(format!("behind a link, `{}`", at.display())),
            astray => CredentialError::astray(&self.path, astray),
        })?;
        if found.kind() != FileType::RegularFile {
            return Err(changed("no regular file".into()));
        }
        let is = match self.kept {
            Kept::Owner(_) => judge_secret(&found)?,
            Kept::System if found.system => Kept::System,
            Kept::System | Kept::Content(_) => {
                if found.stat.st_nlink > 1 {
                    return Err(CredentialError::Exposed { path: self.path.clone(), problem: SECOND_NAME });
                }
                Kept::Content(hash(&found)?)
            }
        };
        if is == self.kept { Ok(found) } else { Err(changed(is.to_string())) }
    }
}

const SECOND_NAME: &str = "has a second name (a hard link), which may lie where a sandbox can write";

fn is_private(stat: &Stat) -> bool {
    stat.st_mode & 0o777 & !0o600 == 0
}

fn judge_secret(found: &Found) -> Result<Kept, CredentialError> {
    let exposed = |problem| Err(CredentialError::Exposed { path: found.path.clone(), problem });
    if found.stat.st_mode & 0o077 != 0 {
        return exposed("may be read by others");
    }
    if found.stat.st_uid != rustix::process::geteuid().as_raw() {
        return exposed("belongs to another user");
    }
    if found.stat.st_nlink > 1 {
        return exposed(SECOND_NAME);
    }
    Ok(Kept::Owner(found.stat.st_uid))
}

fn hash(found: &Found) -> Result<Digest, CredentialError> {
    let failed = |source: io::Error| CredentialError::File { path: found.path.clone(), source };
    let mut file = found.readable().map_err(failed)?.take(CONTENT_MAX + 1);
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    if file.limit() == 0 {
        return Err(failed(io::Error::other("it is larger than 1 GiB")));
    }
    Ok(hasher.finish())
}
