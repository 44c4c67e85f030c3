//! Keys: a value that never prints, and the three places on the host it may come from.
//!
//! A key is read when a request needs it, by the supervisor, outside the sandbox. It is never an argument of a program and
//! never part of an error: messages name where a key should have come from, not what was found there.
//!
//! **Refuses** a file that others may read or that belongs to someone else, a value with a line break or another byte that
//! cannot stand in a header, and an empty one.

pub(crate) mod redact;

use std::fmt;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use serde::Deserialize;
use serde::Serialize;

/// The longest key file or command output that is read.
const SOURCE_MAX: usize = 256 << 10;
/// The longest key.
const KEY_MAX: usize = 16 << 10;
/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);
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

/// Where a key comes from, as data: `{ env = "NAME" }`, `{ file = "PATH" }`, `{ json = { file = "PATH", pointer =
/// "/a/b" } }` or `{ command = ["PROGRAM", "ARGUMENT"] }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Credential {
    /// A variable of the supervisor's environment.
    Env(String),
    /// A file that holds the key and nothing else, mode 0600 or stricter, owned by the user.
    File(PathBuf),
    /// A value inside a JSON file, as the login file of an agent; same demands as for [`Credential::File`].
    Json {
        /// The file.
        file: PathBuf,
        /// Where in it (RFC 6901).
        pointer: String,
    },
    /// A program that prints the key; run without a shell, without input, for at most 30 s, asked again after 5 min.
    Command(Vec<String>),
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
    #[error("cannot read the key file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not the user's alone.
    #[error("the key file `{}` {problem}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The pointer finds no text in the JSON file.
    #[error("the key file `{}` has no text at `{pointer}`", path.display())]
    Pointer {
        /// The file.
        path: PathBuf,
        /// The pointer.
        pointer: String,
    },
    /// The program could not be run or did not end well.
    #[error("the command `{program}` gave no key: {problem}")]
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

impl Diagnose for CredentialError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Exposed { .. } => Kind::Refused,
            _ => Kind::Usage,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::NoVariable { name } => {
                Some(format!("export `{name}` where pinfold is started, not in the image"))
            }
            Self::Exposed { path, .. } => Some(format!("chmod 600 {}", path.display())),
            _ => None,
        }
    }
}

impl Credential {
    /// Reads the key now.
    pub fn read(&self) -> Result<Secret, CredentialError> {
        let (bytes, place) = match self {
            Self::Env(name) => {
                let value =
                    std::env::var(name).map_err(|_| CredentialError::NoVariable { name: name.clone() })?;
                (value.into_bytes(), format!("the variable `{name}`"))
            }
            Self::File(path) => (read_file(path)?, format!("the file `{}`", path.display())),
            Self::Json { file, pointer } => {
                let value: Option<serde_json::Value> = serde_json::from_slice(&read_file(file)?).ok();
                let text = value.as_ref().and_then(|value| value.pointer(pointer)?.as_str());
                let text = text.ok_or_else(|| CredentialError::Pointer {
                    path: file.clone(),
                    pointer: pointer.clone(),
                })?;
                (text.as_bytes().to_vec(), format!("the file `{}`", file.display()))
            }
            Self::Command(argv) => {
                let program = argv.first().cloned().unwrap_or_default();
                let bytes = run(argv).map_err(|problem| CredentialError::Command {
                    program: program.clone(),
                    problem: problem.to_string(),
                })?;
                (bytes, format!("the output of `{program}`"))
            }
        };
        Secret::new(&bytes).ok_or(CredentialError::NotAKey { place })
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CredentialError> {
    let failed = |source: io::Error| CredentialError::File { path: path.to_owned(), source };
    let exposed = |problem| Err(CredentialError::Exposed { path: path.to_owned(), problem });
    // NONBLOCK: a FIFO in the file's place must not hang the request; it is refused below.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let file = fs_err::File::from_parts(fd.into(), path);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return exposed("is not a regular file");
    }
    if metadata.mode() & 0o077 != 0 {
        return exposed("may be read by others");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return exposed("belongs to another user");
    }
    let mut bytes = Vec::new();
    file.take(SOURCE_MAX as u64).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn run(argv: &[String]) -> io::Result<Vec<u8>> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| io::Error::other("the command has no program"))?;
    #[expect(clippy::disallowed_methods, reason = "the user named this program as the source of a key")]
    let mut command = Command::new(program);
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // What a helper complains about may hold the key; it is not ours to show.
        .stderr(Stdio::null())
        .spawn()?;
    let answer = collect(&mut child, Instant::now() + COMMAND_TIMEOUT);
    if answer.is_err() {
        // It may have ended meanwhile; either way it is reaped.
        let _ = child.kill();
        let _ = child.wait();
    }
    answer
}

fn collect(child: &mut Child, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut output = child.stdout.take().ok_or_else(|| io::Error::other("it has no output"))?;
    let late = || io::Error::other("it took longer than 30 s");
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut watched = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
        match rustix::event::poll(&mut watched, Some(&timeout)) {
            Ok(0) => return Err(late()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        match output.read(&mut buffer)? {
            0 => break,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
        if bytes.len() > SOURCE_MAX {
            return Err(io::Error::other("it printed more than a key"));
        }
    }
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(bytes),
            Some(status) => return Err(io::Error::other(status.to_string())),
            None if Instant::now() >= deadline => return Err(late()),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// A credential in use: read at the first request, and again when it is due.
#[derive(Debug)]
pub(crate) struct Key {
    credential: Credential,
    kept: Mutex<Option<(Instant, Secret)>>,
}

impl Key {
    pub(crate) fn new(credential: Credential) -> Self {
        Self { credential, kept: Mutex::new(None) }
    }

    /// The key as of now. A command is run by one request at a time and its answer kept; the others are read anew, so a
    /// key that is changed on the host counts from the next request.
    pub(crate) fn get(&self) -> Result<Secret, CredentialError> {
        if !matches!(self.credential, Credential::Command(_)) {
            return self.credential.read();
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, secret)) = &*kept
            && since.elapsed() < COMMAND_KEPT
        {
            return Ok(secret.clone());
        }
        let secret = self.credential.read()?;
        *kept = Some((Instant::now(), secret.clone()));
        Ok(secret)
    }

    /// The provider did not take the key: ask anew next time.
    pub(crate) fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), text).unwrap();
        fs_err::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn text(secret: &Secret) -> &str {
        str::from_utf8(secret.expose()).unwrap()
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new(b" sk-canary-1234 \n").unwrap();
        assert_eq!(text(&secret), "sk-canary-1234");
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(…) Secret(…)");
        let credential = Credential::Command(vec!["sh".into()]);
        let key = Key { credential, kept: Mutex::new(Some((Instant::now(), secret))) };
        assert!(!format!("{key:?}").contains("canary"));
    }

    #[test]
    fn what_cannot_stand_in_a_header_is_no_key() {
        for bytes in
            [&b""[..], b" \n", b"a b", b"a\r\nX: y", b"a\0b", b"k\xc3\xa9y", &vec![b'a'; KEY_MAX + 1]]
        {
            assert_eq!(Secret::new(bytes), None);
        }
    }

    #[test]
    fn a_file_must_be_the_users_alone() {
        let good = file("sk-canary\n", 0o600);
        assert_eq!(text(&Credential::File(good.path().into()).read().unwrap()), "sk-canary");
        for mode in [0o640, 0o604, 0o644, 0o620] {
            let open = file("sk-canary\n", mode);
            let error = Credential::File(open.path().into()).read().unwrap_err();
            assert!(matches!(error, CredentialError::Exposed { .. }), "{mode:o}");
            assert!(!error.to_string().contains("canary"));
            assert_eq!(error.kind(), Kind::Refused);
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            Credential::File(dir.path().into()).read(),
            Err(CredentialError::Exposed { .. } | CredentialError::File { .. })
        ));
        assert!(matches!(Credential::File("/nonexistent".into()).read(), Err(CredentialError::File { .. })));
    }

    #[test]
    fn a_login_file_is_read_by_pointer() {
        let login = file(r#"{"tokens":{"access":"sk-canary"}}"#, 0o600);
        let json = |pointer: &str| Credential::Json { file: login.path().into(), pointer: pointer.into() };
        assert_eq!(text(&json("/tokens/access").read().unwrap()), "sk-canary");
        for pointer in ["/tokens", "/none", ""] {
            let error = json(pointer).read().unwrap_err();
            assert!(matches!(error, CredentialError::Pointer { .. }));
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    #[test]
    fn a_command_answers_once_until_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let count = dir.path().join("count");
        let script = format!("echo x >> {0}; echo sk-$(wc -l < {0})", count.display());
        let key = Key::new(Credential::Command(vec!["sh".into(), "-c".into(), script]));
        assert_eq!(text(&key.get().unwrap()), "sk-1");
        assert_eq!(text(&key.get().unwrap()), "sk-1");
        key.forget();
        assert_eq!(text(&key.get().unwrap()), "sk-2");
    }

    #[test]
    fn a_failing_command_tells_nothing_of_its_output() {
        for script in ["echo sk-canary; exit 3", "echo sk canary", "true"] {
            let error =
                Credential::Command(vec!["sh".into(), "-c".into(), script.into()]).read().unwrap_err();
            assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
        }
        for argv in [vec![], vec!["/nonexistent/helper".to_owned()]] {
            assert!(matches!(Credential::Command(argv).read(), Err(CredentialError::Command { .. })));
        }
    }

    #[test]
    fn credentials_are_data() {
        let read = |text: &str| serde_json::from_str::<Credential>(text);
        assert_eq!(read(r#"{"env":"KEY"}"#).unwrap(), Credential::Env("KEY".into()));
        assert_eq!(
            read(r#"{"command":["pass","show"]}"#).unwrap(),
            Credential::Command(vec!["pass".into(), "show".into()])
        );
        assert!(read(r#"{"value":"sk-canary"}"#).is_err());
        assert!(matches!(
            Credential::Env("PINFOLD_NO_SUCH_KEY".into()).read(),
            Err(CredentialError::NoVariable { .. })
        ));
    }
}
