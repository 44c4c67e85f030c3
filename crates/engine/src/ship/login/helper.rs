//! Credential helpers: programs of the user's that keep logins, `docker-credential-NAME`.
//!
//! ```text
//! docker-credential-NAME get   ◄─ the server, on stdin      ─► {"ServerURL":"…","Username":"…","Secret":"…"}
//! ```
//!
//! **Guarantees**: the program is found and judged as those that give keys to sandboxes are, runs without a shell, for at most
//! half a minute; what it says on stderr is not shown, and what it prints is not either.
//! **Refuses**: a name that is not one word, an answer that is longer than 256 KiB or no login.

use std::ffi::OsString;
use std::io::Read as _;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::http::Secret;
use pinfold_image::registry::Credentials;
use pinfold_network::HeldCommand;
use pinfold_network::Surroundings;
use serde::Deserialize;

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

/// Asks a helper for the login of a server; none where it has none.
pub(super) fn ask(
    name: &str,
    server: &str,
    around: &Surroundings,
    variables: &[(OsString, OsString)],
    timeout: Duration,
) -> Result<Option<Credentials>, String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || !name.bytes().all(word) {
        return Err("its name is not one word".into());
    }
    let program = HeldCommand::find(&[format!("docker-credential-{name}")], around)
        .map_err(|error| error.to_string())?;
    let mut command = program.command(variables.iter().cloned()).map_err(|error| error.to_string())?;
    command.arg("get").current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    if let Some(mut stdin) = stdin {
        // One that does not read what it is asked says so by its answer.
        let _ = stdin.write_all(server.as_bytes());
    }
    let (sender, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX + 1).read_to_end(&mut bytes));
        let _ = sender.send(read.map(|_| bytes));
    });
    let until = Instant::now() + timeout;
    let answer = answer.recv_timeout(timeout);
    // One that has answered may go on all the same.
    let ended = loop {
        match child.try_wait() {
            Ok(None) if answer.is_ok() && Instant::now() < until => std::thread::sleep(STEP),
            ended => break ended.map_err(|error| error.to_string())?,
        }
    };
    let (Ok(bytes), Some(status)) = (answer, ended) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("it did not end within {} seconds", timeout.as_secs()));
    };
    let bytes = bytes.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX {
        return Err(format!("its answer is longer than {MAX} bytes"));
    }
    if !status.success() {
        let text = String::from_utf8_lossy(&bytes);
        if NONE.iter().any(|none| text.contains(none)) {
            return Ok(None);
        }
        return Err(format!("it failed ({status})"));
    }
    read(&bytes)
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
