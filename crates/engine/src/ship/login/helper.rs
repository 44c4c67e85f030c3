//! Credential helpers: programs of the user's that keep logins, `docker-credential-NAME`.
//!
//! ```text
//! docker-credential-NAME get     ◄─ the server, on stdin      ─► {"ServerURL":"…","Username":"…","Secret":"…"}
//! docker-credential-NAME store   ◄─ the same, on stdin
//! docker-credential-NAME erase   ◄─ the server, on stdin
//! ```
//!
//! **Guarantees**: the program is found and judged as those that give keys to sandboxes are, runs without a shell, for at most
//! half a minute; what it says on stderr is not shown, and what it prints is not either.
//! **Refuses**: a name that is not one word, an answer that is longer than 256 KiB or no login.

use std::ffi::OsString;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::http::Secret;
use pinfold_image::registry::Credentials;
use pinfold_network::HeldCommand;
use pinfold_network::Surroundings;
use serde::Deserialize;
use serde::Serialize;

/// How long a helper may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// How often it is looked whether it has ended.
const STEP: Duration = Duration::from_millis(5);
/// The longest answer, in bytes.
const MAX: u64 = 256 << 10;
/// The user of an identity token.
const TOKEN: &str = "<token>";
/// How a helper says that it has no login, with exit code 1.
const NONE: [&str; 2] = ["credentials not found", "no credentials server URL"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// A login that is to be kept.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Stored<'a> {
    #[serde(rename = "ServerURL")]
    server: &'a str,
    username: &'a str,
    secret: &'a str,
}

/// A program that keeps logins.
pub(super) struct Helper<'a> {
    /// What follows `docker-credential-` in its name.
    pub(super) name: &'a str,
    /// What decides whether it is run.
    pub(super) around: &'a Surroundings,
    /// What it gets as its environment.
    pub(super) variables: &'a [(OsString, OsString)],
    /// How long it may take.
    pub(super) timeout: Duration,
}

/// How a helper ended.
struct Ended {
    printed: Vec<u8>,
    status: ExitStatus,
}

impl Helper<'_> {
    /// What it is called in errors.
    pub(super) fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    /// The login of a server; none where it has none.
    pub(super) fn get(&self, server: &str) -> Result<Option<Credentials>, String> {
        let ended = self.run("get", server.as_bytes())?;
        match (ended.status.success(), ended.has_none()) {
            (true, _) => read(&ended.printed),
            (false, true) => Ok(None),
            (false, false) => Err(ended.failed()),
        }
    }

    /// Keeps the login of a server.
    pub(super) fn store(&self, server: &str, user: &str, password: &Secret) -> Result<(), String> {
        let login = Stored { server, username: user, secret: password.expose() };
        let login = serde_json::to_vec(&login).map_err(|_| "the login cannot be written".to_owned())?;
        let ended = self.run("store", &login)?;
        if ended.status.success() { Ok(()) } else { Err(ended.failed()) }
    }

    /// Takes the login of a server away; false where there was none.
    pub(super) fn erase(&self, server: &str) -> Result<bool, String> {
        if self.get(server)?.is_none() {
            return Ok(false);
        }
        let ended = self.run("erase", server.as_bytes())?;
        if ended.status.success() { Ok(true) } else { Err(ended.failed()) }
    }

    /// Runs it, with what it is told on stdin.
    fn run(&self, verb: &str, told: &[u8]) -> Result<Ended, String> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(word) {
            return Err("its name is not one word".into());
        }
        let failed = |error: io::Error| error.to_string();
        let program = HeldCommand::find(&[self.program()], self.around).map_err(|error| error.to_string())?;
        let command = program.command(self.variables.iter().cloned());
        let mut command = command.map_err(|error| error.to_string())?;
        command.arg(verb).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        if let Some(mut stdin) = stdin {
            // One that does not read what it is asked says so by its answer.
            let _ = stdin.write_all(told);
        }
        let (sender, printed) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX + 1).read_to_end(&mut bytes));
            let _ = sender.send(read.map(|_| bytes));
        });
        let until = Instant::now() + self.timeout;
        let printed = printed.recv_timeout(self.timeout);
        // One that has answered may go on all the same.
        let ended = loop {
            match child.try_wait() {
                Ok(None) if printed.is_ok() && Instant::now() < until => std::thread::sleep(STEP),
                ended => break ended.map_err(failed)?,
            }
        };
        let (Ok(printed), Some(status)) = (printed, ended) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("it did not end within {} seconds", self.timeout.as_secs()));
        };
        let printed = printed.map_err(failed)?;
        if printed.len() as u64 > MAX {
            return Err(format!("its answer is longer than {MAX} bytes"));
        }
        Ok(Ended { printed, status })
    }
}

impl Ended {
    /// Whether it says that it has no such login.
    fn has_none(&self) -> bool {
        let text = String::from_utf8_lossy(&self.printed);
        NONE.iter().any(|none| text.contains(none))
    }

    /// What it printed may be a secret.
    fn failed(&self) -> String {
        format!("it failed ({})", self.status)
    }
}

/// The login that an answer holds.
fn read(bytes: &[u8]) -> Result<Option<Credentials>, String> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| "its answer is no login".to_owned())?;
    Ok(match (answer.username.as_str(), Secret::new(answer.secret)) {
        (_, secret) if secret.expose().is_empty() => None,
        (TOKEN, secret) => Some(Credentials::Identity(secret)),
        (user, password) => Some(Credentials::Password { user: user.to_owned(), password }),
    })
}
