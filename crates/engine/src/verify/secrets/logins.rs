//! Files that programs keep logins in, by their names: of registries, hosts, clouds, and of the agents.
//!
//! A file is judged by its content: one that names no secret, or names where one is, is none.

use std::fmt;

use pinfold_base::ImagePath;
use serde::de;
use serde::de::DeserializeSeed;

use super::Scanner;
use super::Secret;
use super::pairs;

/// How much of a file is looked into as a login.
pub(super) const SIZE_MAX: usize = 4 << 20;
/// What is told of a larger one: no program has one so large, and what is not looked at does not pass.
pub(super) const TOO_LARGE: &str = "a login's file of more than 4 MiB, which was not looked into to its end";

/// How a kind of file says its secrets.
#[derive(Clone, Copy)]
enum Form {
    /// `name = value` lines of these names; what stands before them, as npm's addresses do, ends with `:` or `.`.
    Equals(&'static [&'static str]),
    /// `name = value` or `name: value` lines of these names.
    Lines(&'static [&'static str]),
    /// `name: value` lines of these names, or members as of JSON.
    Yaml(&'static [&'static str]),
    /// JSON with members of these names.
    Json(&'static [&'static str]),
    /// Words: `password` and then one.
    Netrc,
    /// Addresses with passwords, also after a name.
    Addresses,
    /// `NAME=VALUE`, every name.
    Environment,
    /// The whole of it is one.
    Whole,
    /// passwd(5)'s shadow: the second field.
    Shadow,
    /// The last of five fields.
    Pgpass,
    /// An S-expression of a key, in the open or protected by a passphrase; one that is on a card is none.
    Gnupg,
}

/// How paths end (a name begins where this does, or after a `/`; `*` is any part of the last name), how they are read, and whose
/// they are.
const LOGINS: [(&str, Form, &str); 39] = [
    (".npmrc", Form::Equals(&["_authToken", "_auth", "_password"]), "a login of npm"),
    ("etc/npmrc", Form::Equals(&["_authToken", "_auth", "_password"]), "a login of npm"),
    (".yarnrc.yml", Form::Yaml(&["npmAuthToken", "npmAuthIdent"]), "a login of yarn"),
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
    (".kube/config", Form::Yaml(&["client-key-data", "token", "password"]), "a login of Kubernetes"),
    (".pypirc", Form::Lines(&["password"]), "a login of PyPI"),
    ("pip.conf", Form::Addresses, "a login of a package index"),
    (".cargo/credentials.toml", Form::Lines(&["token", "secret-key"]), "a login of cargo"),
    (".cargo/credentials", Form::Lines(&["token", "secret-key"]), "a login of cargo"),
    (".gem/credentials", Form::Lines(&["rubygems_api_key"]), "a login of RubyGems"),
    (
        "gcloud/application_default_credentials.json",
        Form::Json(&["refresh_token", "private_key", "client_secret"]),
        "a login of Google Cloud",
    ),
    ("gh/hosts.yml", Form::Yaml(&["oauth_token"]), "a login of GitHub"),
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
    (
        "composer/auth.json",
        Form::Json(&["password", "github-oauth", "gitlab-token", "bearer", "token"]),
        "a login of Composer",
    ),
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
    ("etc/shadow-", Form::Shadow, "a password's hash"),
    ("etc/gshadow", Form::Shadow, "a password's hash"),
    ("etc/gshadow-", Form::Shadow, "a password's hash"),
    ("private-keys-v1.d/*.key", Form::Gnupg, "a private key of GnuPG"),
    ("wireguard/*.conf", Form::Equals(&["PrivateKey", "PresharedKey"]), "a key of WireGuard"),
];

fn known(path: &ImagePath) -> Option<(Form, &'static str)> {
    let path = path.as_bytes();
    let fits = |end: &str| {
        let (start, end) = end.split_once('*').unwrap_or((end, ""));
        let name = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let rest = match end {
            "" => path.strip_suffix(start.as_bytes()),
            _ if path[name..].ends_with(end.as_bytes()) => path[..name].strip_suffix(start.as_bytes()),
            _ => None,
        };
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"))
    };
    LOGINS.iter().find(|(end, ..)| fits(end)).map(|(_, form, what)| (*form, *what))
}

/// Whether the name of a file is that of a login.
pub(super) fn is_login(path: &ImagePath) -> bool {
    known(path).is_some()
}

/// The secrets of a login, as much of it as is there.
pub(super) fn find(scanner: &Scanner, path: &ImagePath, content: &[u8]) -> Vec<Secret> {
    let Some((form, what)) = known(path) else { return Vec::new() };
    let text = String::from_utf8_lossy(content);
    // Some editors begin a file with its byte order.
    let text = text.trim_start_matches('\u{feff}');
    let is_whole = match form {
        Form::Json(names) => has_member(text, names),
        Form::Yaml(names) => text.trim_start().starts_with('{') && has_member(text, names),
        Form::Whole => pairs::is_secret(text.trim()),
        Form::Netrc => {
            let mut words = text.split_whitespace();
            // The word after it, which may be the same one.
            std::iter::from_fn(|| words.find(|word| *word == "password").and_then(|_| words.next()))
                .any(is_said)
        }
        Form::Gnupg => {
            let has = |word: &str| memchr::memmem::find(content, word.as_bytes()).is_some();
            has("private-key") && !has("shadowed-private-key")
        }
        _ => false,
    };
    if is_whole {
        return vec![Secret { offset: 0, what }];
    }
    let mut found = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let is_secret = match form {
            Form::Equals(names) => is_line(line, &['='], names),
            Form::Lines(names) => is_line(line, &['=', ':'], names),
            Form::Yaml(names) => is_line(line, &[':'], names),
            Form::Addresses => is_address(line),
            Form::Environment => is_variable(scanner, line),
            Form::Shadow => line.split(':').nth(1).is_some_and(is_hash),
            Form::Pgpass => line.trim().splitn(5, ':').nth(4).is_some_and(is_said),
            Form::Whole | Form::Json(_) | Form::Netrc | Form::Gnupg => false,
        };
        if is_secret {
            found.push(Secret { offset, what });
        }
        offset += line.len() as u64;
    }
    found
}

/// A value that is there, and is no reference to one.
fn is_said(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    // An object of JSON, as rclone's, is no reference.
    let is_reference =
        value.starts_with(['$', '<', '{', '%']) && !value.starts_with("{\"") || value.contains("${");
    !value.is_empty() && !is_reference && value != "null"
}

/// A line that says something under one of `names`, up to the first of `separators`.
fn is_line(line: &str, separators: &[char], names: &[&str]) -> bool {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return false;
    }
    let Some((name, value)) = line.split_once(separators) else { return false };
    // An item of a list begins with its first name.
    let name = name.trim_start_matches(['-', ' ']).trim().trim_matches(['"', '\'']);
    names.iter().any(|end| name.rsplit([':', ' ', '.']).next() == Some(end)) && is_said(value)
}

/// A line with an address that has a password: alone, after a name, or as the next of several.
fn is_address(line: &str) -> bool {
    let line = line.trim();
    !line.starts_with(['#', ';']) && line.split_whitespace().any(pairs::has_password)
}

/// crypt(5)'s hash of a password, of a locked account too: who knows the password may use it elsewhere.
fn is_hash(field: &str) -> bool {
    let hash = field.trim_start_matches('!');
    // The oldest form has two characters of salt, and eleven of its alphabet.
    let is_old = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    hash.starts_with('$')
        || hash.starts_with('_') && hash.len() == 20
        || hash.len() == 13 && hash.bytes().all(is_old)
}

fn is_variable(scanner: &Scanner, line: &str) -> bool {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { return false };
    pairs::variable(scanner, name.trim(), value.trim().trim_matches(['"', '\''])).is_some()
}

/// Whether JSON says something under one of `names`, however often and wherever: a text, or an object of texts. Of what is no
/// JSON up to where it is none.
fn has_member(text: &str, names: &[&str]) -> bool {
    let mut found = false;
    let members = Members { names, is_named: false, found: &mut found };
    let mut json = serde_json::Deserializer::from_str(text);
    // What was found before an error was found.
    drop(members.deserialize(&mut json));
    found
}

/// Goes over JSON and holds nothing of it; a name that stands twice is seen twice.
struct Members<'a> {
    names: &'a [&'a str],
    /// Whether it stands under one of the names.
    is_named: bool,
    found: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        *self.found |= self.is_named && is_said(text);
        Ok(())
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let is_named = self.is_named || self.names.contains(&name.as_str());
            map.next_value_seed(Members { names: self.names, is_named, found: &mut *self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { names, is_named, found } = self;
        while seq.next_element_seed(Members { names, is_named, found: &mut *found })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
