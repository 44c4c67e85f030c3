//! Keys: a value that never prints, and the three places on the host it may come from.
//!
//! A key is read when a request needs it, by the supervisor, outside the sandbox. It is never an argument of a program and
//! never part of an error: messages name where a key should have come from, not what was found there.
//!
//! ```text
//!   Credential::{file, json, command}   what the user named  ─► found now, judged, held to      walk, held, command
//!   Credential::read                    at use: the same files, by descriptor  ─► Secret
//! ```
//!
//! **Guarantees**: what the host reads or executes for a key lies where only root and the user can write, and is the same at
//! each use as when it was found. A [`Credential`] of files cannot be made without that.
//!
//! **Refuses** a file that others may read or that belongs to someone else, whatever lies where a sandbox may write, a value
//! with a line break or another byte that cannot stand in a header, and an empty one.

mod command;
mod held;
mod own;
pub mod redact;
#[cfg(test)]
mod tests;
mod text;
mod walk;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::text::word;
use serde::Deserialize;
use serde::Serialize;

pub use self::command::HeldCommand;
pub use self::held::HeldFile;
use self::held::Role;
pub use self::own::OwnError;
pub use self::own::read_own;
use self::walk::Astray;
pub use self::walk::Place;
use self::walk::mentions;

/// The longest key file or command output that is read.
const SOURCE_MAX: usize = 256 << 10;
/// The longest key.
const KEY_MAX: usize = 16 << 10;
/// Pieces of a word that are looked at as paths.
const PIECES_MAX: usize = 1_000;
/// How long a command's answer is used before it is asked again.
const COMMAND_KEPT: Duration = Duration::from_secs(300);

/// A key. Printing it shows nothing of it, and its memory is overwritten when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes a key; surrounding white space is not part of it. `None` when it is empty, over 16 KiB, or has a byte that
    /// is not visible ASCII.
    pub fn new(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let visible = !text.is_empty() && text.len() <= KEY_MAX && text.iter().all(u8::is_ascii_graphic);
        visible.then(|| Self(text.into()))
    }

    /// The text, for a pipe to whoever keeps the key from then on. It shows the key.
    pub fn reveal(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The bytes, for the one header they go into.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the writes from being dropped as dead stores.
        std::hint::black_box(&self.0);
    }
}

/// What is known where the source of a key is looked for.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Where relative names count from.
    pub directory: PathBuf,
    /// The caller's home.
    pub home: Option<PathBuf>,
    /// The caller's `PATH`.
    pub path: OsString,
    /// What sandboxes have of the host.
    pub places: Vec<Place>,
}

impl Surroundings {
    fn path_of(&self, word: &str) -> PathBuf {
        match (word.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.directory.join(word),
        }
    }

    fn written(&self) -> Vec<Place> {
        self.places.iter().filter(|place| place.is_writable()).cloned().collect()
    }

    /// Programs obey files in the home.
    fn refuse_home(&self) -> Result<(), CredentialError> {
        let Some(home) = &self.home else { return Ok(()) };
        match walk::walk(home, walk::Links::Follow, &self.written()) {
            Err(Astray::Within(place)) => Err(CredentialError::astray(home, Astray::Within(place))),
            // A home that is missing or shared decides nothing by being there: what lies in it is judged when it is named.
            _ => Ok(()),
        }
    }

    /// Refuses a word that names what a sandbox may write, as a shell would read it.
    fn refuse_word(&self, word: &str) -> Result<(), CredentialError> {
        let home =
            self.home.as_deref().map(|home| fs_err::canonicalize(home).unwrap_or_else(|_| home.to_owned()));
        let named = self.places.iter().filter(|place| place.is_writable()).find(|place| {
            let below = home.as_deref().and_then(|home| place.path().strip_prefix(home).ok());
            let spelt = below
                .into_iter()
                .flat_map(|rest| ["~", "$HOME", "${HOME}"].map(|home| Path::new(home).join(rest)));
            spelt.chain([place.path().to_owned()]).any(|path| mentions(word.as_bytes(), &path))
        });
        match named.cloned().or_else(|| self.led_to(word)) {
            Some(place) => Err(CredentialError::within(word, &place)),
            None => Ok(()),
        }
    }

    /// Refuses a path in a word that a shell would fill in, when what it begins with holds a place or lies in one.
    fn refuse_pattern(&self, word: &str) -> Result<(), CredentialError> {
        let ends = |c: char| c.is_whitespace() || "'\";|&()<>=:,@".contains(c);
        let is_filled = |c: char| "$?*[{`".contains(c);
        for piece in word.split(ends).take(PIECES_MAX) {
            let Some((fixed, _)) = piece.find(is_filled).map(|at| piece.split_at(at)) else { continue };
            let Some((folder, _)) = fixed.rsplit_once('/') else { continue };
            let path = match (fixed.strip_prefix("~/"), &self.home, glued(folder)) {
                (Some(_), Some(home), _) => home.join(folder.trim_start_matches(['~', '/'])),
                _ if fixed.starts_with('/') => PathBuf::from(format!("{folder}/")),
                (_, _, Some(folder)) => PathBuf::from(folder),
                _ => continue,
            };
            let path = fs_err::canonicalize(&path).unwrap_or(path);
            let place = self
                .written()
                .into_iter()
                .find(|place| place.path().starts_with(&path) || path.starts_with(place.path()));
            if let Some(place) = place {
                return Err(CredentialError::within(word, &place));
            }
        }
        Ok(())
    }

    /// Refuses directories in a word that hold a place: a program may go there and find the rest by itself.
    fn refuse_directories(&self, word: &str) -> Result<(), CredentialError> {
        for piece in pieces(word) {
            if let Ok(real) = fs_err::canonicalize(self.absolute(piece)) {
                self.refuse_above(&real, word)?;
            }
        }
        Ok(())
    }

    /// The same for a real path. The root holds everything, and is no answer to where something is.
    fn refuse_above(&self, real: &Path, word: &str) -> Result<(), CredentialError> {
        let written = self.written();
        match written.iter().find(|place| real != Path::new("/") && place.path().starts_with(real)) {
            Some(place) => Err(CredentialError::within(word, place)),
            None => Ok(()),
        }
    }

    /// A path in a word: the program runs in `/`.
    fn absolute(&self, piece: &str) -> PathBuf {
        match (piece.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => Path::new("/").join(piece),
        }
    }

    /// Where a path in a word leads through links; what stands before it may be glued to it.
    fn led_to(&self, word: &str) -> Option<Place> {
        let written = self.written();
        pieces(word).flat_map(|piece| [Some(piece), glued(piece)]).flatten().find_map(
            |piece| match walk::walk(&self.absolute(piece), walk::Links::Follow, &written) {
                Err(Astray::Within(place)) => Some(place),
                _ => None,
            },
        )
    }
}

/// The absolute path at the end of a piece that begins as something else: `1e/own/x`.
fn glued(piece: &str) -> Option<&str> {
    let begins = piece.starts_with('/') || piece.starts_with("~/");
    piece.find('/').filter(|_| !begins).map(|at| &piece[at..])
}

/// Paths in a word, as a shell would take it apart.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || "'\"`;|&()<>{}$=:,@".contains(c);
    word.split(ends).filter(|piece| piece.contains('/')).take(PIECES_MAX)
}

/// The path of an open file of this process.
fn descriptor(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// Where a key comes from: a variable, or files of the host that were found and are held to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Credential {
    /// A variable of the supervisor's environment.
    Env(String),
    /// A file that holds the key and nothing else, mode 0600 or stricter, owned by the user.
    File(HeldFile),
    /// A value inside a JSON file, as the login file of an agent; same demands as for [`Credential::File`].
    Json {
        /// The file.
        file: HeldFile,
        /// Where in it (RFC 6901).
        pointer: String,
    },
    /// A program that prints the key; run without a shell, without input, for at most 30 s, asked again after 5 min.
    Command(HeldCommand),
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The variable is not set, or not text.
    #[error("the variable `{name}` is not set")]
    NoVariable {
        /// Its name.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read `{}` for a key: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not the user's alone.
    #[error("`{}`, which is to give a key, {problem}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Somebody else decides what the path leads to.
    #[error("`{}`, on the way to the key's file `{}`, {problem}", at.display(), path.display())]
    Loose {
        /// The file.
        path: PathBuf,
        /// What on the way to it.
        at: PathBuf,
        /// What is wrong with that.
        problem: &'static str,
    },
    /// A sandbox can change or see it.
    #[error("`{}` cannot serve for a key: a sandbox {doing} {place}", path.display())]
    Within {
        /// The file, or the word of a command.
        path: PathBuf,
        /// The place of the sandbox.
        place: String,
        /// What the sandbox does there.
        doing: &'static str,
    },
    /// It is not what it was when it was found, and the user's word was for that.
    #[error("`{}` has changed since it was found for a key: it was {was}, and is {is}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What was found.
        was: String,
        /// What is there.
        is: String,
    },
    /// The pointer finds no text in the JSON file.
    #[error("the key file `{}` has no text at `{pointer}`", path.display())]
    Pointer {
        /// The file.
        path: PathBuf,
        /// The pointer.
        pointer: String,
    },
    /// There is no home to look in.
    #[error("the key's file is below `~/`, and HOME is not set")]
    NoHome,
    /// `PATH` has no such program.
    #[error("there is no program `{program}` in the PATH")]
    NoProgram {
        /// Its name.
        program: String,
    },
    /// A word of a command is program text.
    #[error("`{word}` is text for `{language}`, and what such a text reaches is not known before it runs")]
    Text {
        /// The word.
        word: String,
        /// Who would read it.
        language: &'static str,
    },
    /// A word of a command has a relative path in its middle.
    #[error("`{word}` names a file that would not be found from where a key's command is run")]
    Word {
        /// The word.
        word: String,
    },
    /// The program could not be run or did not end well.
    #[error("the command `{program}` gave nothing: {problem}")]
    Command {
        /// The program, without its arguments.
        program: String,
        /// What went wrong; never what it printed.
        problem: String,
    },
    /// What was found is no key.
    #[error("what {place} holds is not a key: it must be one line of visible ASCII")]
    NotAKey {
        /// Where it was found.
        place: String,
    },
}

impl CredentialError {
    /// A word of a command that names a place.
    fn within(word: &str, place: &Place) -> Self {
        Self::Within { path: word.into(), place: place.told(), doing: place.doing() }
    }

    /// Why the way to `path` was not gone.
    fn astray(path: &Path, astray: Astray) -> Self {
        let path = path.to_owned();
        match astray {
            Astray::Within(place) => Self::Within { path, place: place.told(), doing: place.doing() },
            Astray::Loose { at, problem } if at == path => Self::Exposed { path, problem },
            Astray::Loose { at, problem } => Self::Loose { path, at, problem },
            Astray::Link(at) => Self::Loose { path, at, problem: "is a link now" },
            Astray::Io(source) => Self::File { path, source },
        }
    }
}

impl Diagnose for CredentialError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Exposed { .. }
            | Self::Loose { .. }
            | Self::Within { .. }
            | Self::Text { .. }
            | Self::Changed { .. } => Kind::Refused,
            _ => Kind::Usage,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::NoVariable { name } => {
                Some(format!("export `{name}` where pinfold is started, not in the image"))
            }
            Self::Exposed { path, problem } if problem.starts_with("may be read") => {
                Some(format!("say `chmod 600 {}`", word(path)))
            }
            Self::Exposed { path: at, problem } | Self::Loose { at, problem, .. } if problem.starts_with("can be written") => {
                Some(format!("say `chmod go-w {}`", word(at)))
            }
            Self::Exposed { path, problem } if problem.starts_with("has a second") => {
                let (path, copy) = (word(path), word(format!("{}.new", path.display())));
                Some(format!("put a copy of its own in its place: `cp -p {path} {copy} && mv {copy} {path}`"))
            }
            Self::Within { .. } => Some(
                "what an agent can write it could make the host obey: put the file where only you can write and no sandbox \
                 is given it, `~/.local/bin` for a program or `~/.config/pinfold` for a key, and name it with its full path"
                    .into(),
            ),
            Self::Changed { .. } => Some("look at the file; if the change is yours, start again".into()),
            Self::NoProgram { .. } => Some(
                "name it with its full path, or put it into a folder of PATH that only you can write to".into(),
            ),
            Self::Text { .. } => Some(
                "make a script of it where only you can write, such as `~/.local/bin/getkey`, and name that: \
                 `command:~/.local/bin/getkey`"
                    .into(),
            ),
            Self::Word { .. } => Some("write the file's full path".into()),
            _ => None,
        }
    }
}

impl Credential {
    /// A file that holds the key, found now.
    pub fn file(path: &Path, around: &Surroundings) -> Result<Self, CredentialError> {
        Ok(Self::File(HeldFile::find(path, Role::Key, &around.places)?.0))
    }

    /// A JSON file that has the key at `pointer`, found now.
    pub fn json(path: &Path, pointer: &str, around: &Surroundings) -> Result<Self, CredentialError> {
        let (file, _) = HeldFile::find(path, Role::Key, &around.places)?;
        Ok(Self::Json { file, pointer: pointer.to_owned() })
    }

    /// A program with its words, found now with everything it hangs on.
    pub fn command(words: &[String], around: &Surroundings) -> Result<Self, CredentialError> {
        Ok(Self::Command(HeldCommand::find(words, around)?))
    }

    /// The files of the host it hangs on: what the user agrees to.
    pub fn files(&self) -> Vec<HeldFile> {
        match self {
            Self::Env(_) => Vec::new(),
            Self::File(file) | Self::Json { file, .. } => vec![file.clone()],
            Self::Command(command) => {
                let mut files: Vec<HeldFile> = command.files().cloned().collect();
                files.sort();
                files.dedup();
                files
            }
        }
    }

    /// Whether there is a key, as far as that can be known without asking a program; what was read is forgotten. A variable's
    /// value is what `variable` says.
    pub fn probe(&self, variable: impl Fn(&str) -> Option<String>) -> Result<(), CredentialError> {
        match self {
            Self::Command(_) => Ok(()),
            Self::Env(name) => {
                let value =
                    variable(name).ok_or_else(|| CredentialError::NoVariable { name: name.clone() })?;
                let place = format!("the variable `{name}`");
                Secret::new(value.as_bytes()).map(drop).ok_or(CredentialError::NotAKey { place })
            }
            Self::File(_) | Self::Json { .. } => self.read().map(drop),
        }
    }

    /// Whether the key is there and begins with one of these, as far as that can be known without asking a program.
    pub fn begins(&self, with: &[String], variable: impl Fn(&str) -> Option<String>) -> bool {
        let secret = match self {
            Self::Command(_) => None,
            Self::Env(name) => variable(name).and_then(|value| Secret::new(value.as_bytes())),
            Self::File(_) | Self::Json { .. } => self.read().ok(),
        };
        // No text of it stays.
        secret.is_some_and(|secret| with.iter().any(|start| secret.expose().starts_with(start.as_bytes())))
    }

    /// Reads the key now.
    pub fn read(&self) -> Result<Secret, CredentialError> {
        let (mut bytes, place) = match self {
            Self::Env(name) => {
                let value =
                    std::env::var(name).map_err(|_| CredentialError::NoVariable { name: name.clone() })?;
                (value.into_bytes(), format!("the variable `{name}`"))
            }
            Self::File(file) => (content(file)?, format!("the file `{}`", file.path().display())),
            Self::Json { file, pointer } => {
                let mut bytes = content(file)?;
                let value: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
                bytes.fill(0);
                let text = value.as_ref().and_then(|value| value.pointer(pointer)?.as_str());
                let text = text.ok_or_else(|| CredentialError::Pointer {
                    path: file.path().to_owned(),
                    pointer: pointer.clone(),
                })?;
                (text.as_bytes().to_vec(), format!("the file `{}`", file.path().display()))
            }
            Self::Command(command) => {
                (command.output(std::env::vars_os())?, format!("the output of `{}`", command.named()))
            }
        };
        let secret = Secret::new(&bytes);
        bytes.fill(0);
        std::hint::black_box(&bytes);
        secret.ok_or(CredentialError::NotAKey { place })
    }
}

/// The content of a key file, from the descriptor that was judged.
fn content(file: &HeldFile) -> Result<Vec<u8>, CredentialError> {
    let failed = |source: io::Error| CredentialError::File { path: file.path().to_owned(), source };
    let mut bytes = Vec::new();
    let readable = file.again()?.readable().map_err(failed)?;
    readable.take(SOURCE_MAX as u64).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// A credential in use: read at the first request, and again when it is due.
#[derive(Debug)]
pub(crate) struct Key {
    from: From,
    kept: Mutex<Option<(Instant, Secret)>>,
}

/// Where a key in use is had from.
#[derive(Debug)]
enum From {
    Credential(Credential),
    /// Whoever made the route has it, and makes another route when it changes.
    Given(Secret),
}

impl Key {
    pub(crate) fn new(credential: Credential) -> Self {
        Self { from: From::Credential(credential), kept: Mutex::new(None) }
    }

    /// A key that is known already.
    pub(crate) fn given(secret: Secret) -> Self {
        Self { from: From::Given(secret), kept: Mutex::new(None) }
    }

    /// The key as of now. A command is run by one request at a time and its answer kept; the others are read anew, so a
    /// key that is changed on the host counts from the next request.
    pub(crate) fn get(&self) -> Result<Secret, CredentialError> {
        let credential = match &self.from {
            From::Given(secret) => return Ok(secret.clone()),
            From::Credential(credential @ Credential::Command(_)) => credential,
            From::Credential(credential) => return credential.read(),
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, secret)) = &*kept
            && since.elapsed() < COMMAND_KEPT
        {
            return Ok(secret.clone());
        }
        let secret = credential.read()?;
        *kept = Some((Instant::now(), secret.clone()));
        Ok(secret)
    }

    /// The provider did not take the key: ask anew next time.
    pub(crate) fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
