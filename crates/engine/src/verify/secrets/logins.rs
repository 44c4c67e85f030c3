//! Files that programs keep logins in, by their names: of registries, hosts, clouds, and of the agents.
//!
//! A file is judged by its content: one that names no secret, or names where one is, is none.

use pinfold_base::ImagePath;
use serde_json::Value;

use super::Scanner;
use super::Secret;
use super::pairs;

/// Largest file that is looked into as a login.
pub(super) const SIZE_MAX: usize = 256 << 10;
/// How deep objects are followed.
const DEPTH_MAX: usize = 32;

/// How a kind of file says its secrets.
#[derive(Clone, Copy)]
enum Form {
    /// `name = value` or `name: value` lines, of these names (how they end).
    Lines(&'static [&'static str]),
    /// JSON with members of these names.
    Json(&'static [&'static str]),
    /// Words: `password` and then one.
    Netrc,
    /// Addresses with passwords.
    Addresses,
    /// `NAME=VALUE`, every name.
    Environment,
    /// The whole of it is one.
    Whole,
    /// passwd(5)'s shadow: the second field.
    Shadow,
    /// The last of five fields.
    Pgpass,
}

/// How paths end (a name begins where this does, or after a `/`), how they are read, and whose they are.
const LOGINS: [(&str, Form, &str); 34] = [
    (".npmrc", Form::Lines(&["_authToken", "_auth", "_password"]), "a login of npm"),
    ("etc/npmrc", Form::Lines(&["_authToken", "_auth", "_password"]), "a login of npm"),
    (".yarnrc.yml", Form::Lines(&["npmAuthToken", "npmAuthIdent"]), "a login of yarn"),
    (".netrc", Form::Netrc, "a login of hosts"),
    ("_netrc", Form::Netrc, "a login of hosts"),
    (
        ".docker/config.json",
        Form::Json(&["auth", "identitytoken", "registrytoken", "password"]),
        "a login of registries",
    ),
    (
        "containers/auth.json",
        Form::Json(&["auth", "identitytoken", "registrytoken", "password"]),
        "a login of registries",
    ),
    (".dockercfg", Form::Json(&["auth", "password"]), "a login of registries"),
    (".git-credentials", Form::Addresses, "a login of git"),
    ("git/credentials", Form::Addresses, "a login of git"),
    (".aws/credentials", Form::Lines(&["aws_secret_access_key", "aws_session_token"]), "a login of AWS"),
    (".kube/config", Form::Lines(&["client-key-data", "token", "password"]), "a login of Kubernetes"),
    (".pypirc", Form::Lines(&["password"]), "a login of PyPI"),
    ("pip/pip.conf", Form::Lines(&["index-url", "extra-index-url"]), "a login of a package index"),
    (".cargo/credentials.toml", Form::Lines(&["token", "secret-key"]), "a login of cargo"),
    (".cargo/credentials", Form::Lines(&["token", "secret-key"]), "a login of cargo"),
    (".gem/credentials", Form::Lines(&["rubygems_api_key"]), "a login of RubyGems"),
    (
        "gcloud/application_default_credentials.json",
        Form::Json(&["refresh_token", "private_key", "client_secret"]),
        "a login of Google Cloud",
    ),
    ("gh/hosts.yml", Form::Lines(&["oauth_token"]), "a login of GitHub"),
    (".terraformrc", Form::Lines(&["token"]), "a login of Terraform"),
    ("credentials.tfrc.json", Form::Json(&["token"]), "a login of Terraform"),
    (".vault-token", Form::Whole, "a login of Vault"),
    (".pgpass", Form::Pgpass, "a login of PostgreSQL"),
    (".my.cnf", Form::Lines(&["password"]), "a login of MySQL"),
    (
        "rclone/rclone.conf",
        Form::Lines(&["pass", "token", "secret_access_key", "client_secret"]),
        "a login of rclone",
    ),
    ("composer/auth.json", Form::Json(&["password", "github-oauth", "token"]), "a login of Composer"),
    (".claude/.credentials.json", Form::Json(&["accessToken", "refreshToken"]), "a login of Claude Code"),
    (
        ".codex/auth.json",
        Form::Json(&["OPENAI_API_KEY", "access_token", "refresh_token", "id_token"]),
        "a login of Codex",
    ),
    (
        ".gemini/oauth_creds.json",
        Form::Json(&["access_token", "refresh_token", "id_token"]),
        "a login of Gemini CLI",
    ),
    ("opencode/auth.json", Form::Json(&["key", "access", "refresh", "token"]), "a login of OpenCode"),
    (".env", Form::Environment, "a secret of an environment"),
    (".env.local", Form::Environment, "a secret of an environment"),
    (".env.production", Form::Environment, "a secret of an environment"),
    ("etc/shadow", Form::Shadow, "a password's hash"),
];

fn known(path: &ImagePath) -> Option<(Form, &'static str)> {
    let path = path.as_bytes();
    let fits = |end: &str| {
        path.strip_suffix(end.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"))
    };
    LOGINS.iter().find(|(end, ..)| fits(end)).map(|(_, form, what)| (*form, *what))
}

/// Whether the name of a file is that of a login.
pub(super) fn is_login(path: &ImagePath) -> bool {
    known(path).is_some()
}

/// The secrets of a login, which is whole.
pub(super) fn find(scanner: &Scanner, path: &ImagePath, content: &[u8]) -> Vec<Secret> {
    let Some((form, what)) = known(path) else { return Vec::new() };
    let text = String::from_utf8_lossy(content);
    let mut found = Vec::new();
    let mut offset = 0;
    match form {
        Form::Json(names) => {
            let value = serde_json::from_str::<Value>(&text).unwrap_or_default();
            if has_member(&value, names, DEPTH_MAX) {
                found.push(Secret { offset, what });
            }
        }
        Form::Whole if pairs::is_secret(text.trim()) => found.push(Secret { offset, what }),
        Form::Netrc => {
            let words: Vec<&str> = text.split_whitespace().collect();
            if words.windows(2).any(|pair| pair[0] == "password" && is_said(pair[1])) {
                found.push(Secret { offset, what });
            }
        }
        _ => {
            for line in text.split_inclusive('\n') {
                let is_secret = match form {
                    Form::Lines(names) => is_line(line, names),
                    Form::Addresses => pairs::has_password(line.trim()),
                    Form::Environment => is_variable(scanner, line),
                    Form::Shadow => line.split(':').nth(1).is_some_and(|hash| hash.starts_with('$')),
                    Form::Pgpass => line.trim().splitn(5, ':').nth(4).is_some_and(is_said),
                    Form::Whole | Form::Json(_) | Form::Netrc => false,
                };
                if is_secret {
                    found.push(Secret { offset, what });
                }
                offset += line.len() as u64;
            }
        }
    }
    found
}

/// A value that is there, and is no reference to one.
fn is_said(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    !value.is_empty() && !value.starts_with(['$', '<', '{', '%']) && !value.contains("${") && value != "null"
}

fn is_line(line: &str, names: &[&str]) -> bool {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return false;
    }
    // npm's names begin with an address, which has colons of its own.
    let Some((name, value)) = line.split_once('=').or_else(|| line.split_once(": ")) else { return false };
    let name = name.trim().trim_matches(['"', '\'']);
    let named = names.iter().any(|end| name.rsplit([':', ' ', '.']).next() == Some(end));
    let address = name.ends_with("-url");
    named && is_said(value) && (!address || pairs::has_password(value.trim()))
}

fn is_variable(scanner: &Scanner, line: &str) -> bool {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { return false };
    pairs::variable(scanner, name.trim(), value.trim().trim_matches(['"', '\''])).is_some()
}

fn has_member(value: &Value, names: &[&str], depth: usize) -> bool {
    if depth == 0 {
        return false;
    }
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| match value {
            Value::String(text) => names.contains(&name.as_str()) && is_said(text),
            other => has_member(other, names, depth - 1),
        }),
        Value::Array(values) => values.iter().any(|value| has_member(value, names, depth - 1)),
        _ => false,
    }
}
