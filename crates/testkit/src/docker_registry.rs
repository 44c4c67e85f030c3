//! Debian's `docker-registry` on a free port of loopback, in a folder of its own: the independent judge of what is pushed and pulled.
//!
//! Where it is not installed, tests are skipped with a word, and fail in CI. The server ends with the value.
#![expect(clippy::disallowed_methods, reason = "it runs the program that is talked to")]
#![expect(clippy::print_stdout, reason = "a skipped test must say so")]
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::tokens::Life;
use crate::tokens::Tokens;

const PROGRAM: &str = "/usr/bin/docker-registry";
/// The user of [`crate::registry::USER`], as `htpasswd -B` writes it (bcrypt of cost 4).
const HTPASSWD: &str = "me:$2b$04$lnM9PsuOaLEotNaktGK4detsNN2NUFXJN30oF0JuG.QcVYJdy8oHq\n";

/// How it asks who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nobody.
    Open,
    /// By the name and password of [`crate::registry::USER`].
    Htpasswd,
    /// By tokens of a server of their own that live so long.
    Tokens(Life),
}

/// A running registry.
#[derive(Debug)]
pub struct DockerRegistry {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
    tokens: Option<Tokens>,
}

impl DockerRegistry {
    /// Starts an empty one; `None` where it is not installed.
    ///
    /// # Panics
    /// When it is not installed in CI, or does not start.
    pub fn start(auth: Auth) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            println!("skip: {PROGRAM} is not installed");
            assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
            return None;
        }
        // Another program may take the port that was free a moment ago.
        let started = (0..3).find_map(|_| Self::on_free_port(auth));
        Some(started.expect("docker-registry starts"))
    }

    fn on_free_port(auth: Auth) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut config = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: 127.0.0.1:{port}\n",
            dir.path().join("kept").display()
        );
        if auth == Auth::Htpasswd {
            let file = dir.path().join("htpasswd");
            fs_err::write(&file, HTPASSWD).unwrap();
            config.push_str(&format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", file.display()));
        }
        let tokens = if let Auth::Tokens(life) = auth { Some(Tokens::start(life)) } else { None };
        if let Some(tokens) = &tokens {
            let file = dir.path().join("tokens.pem");
            fs_err::write(&file, tokens.certificate()).unwrap();
            config.push_str(&format!(
                "auth:\n  token:\n    realm: {}\n    service: {}\n    issuer: {}\n    rootcertbundle: {}\n",
                tokens.realm(),
                Tokens::SERVICE,
                Tokens::ISSUER,
                file.display()
            ));
        }
        let file = dir.path().join("config.yml");
        fs_err::write(&file, config).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg(file).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut registry = Self { child: command.spawn().unwrap(), port, dir, tokens };
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if registry.child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(registry);
            }
            assert!(Instant::now() < end, "docker-registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `127.0.0.1:PORT`, as it stands in names of images.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server of its tokens, where it wants any.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// Where it keeps a blob.
    pub fn blob_path(&self, hex: &str) -> PathBuf {
        let blobs = self.dir.path().join("kept/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
