//! A file of logins: `auth.json` of containers tools, `config.json` of Docker, and its older `.dockercfg`.
//!
//! ```text
//! { "credHelpers": { "HOST": "NAME" }, "credsStore": "NAME",
//!   "auths": { "HOST/TEAM": { "auth": "base64 of USER:PASSWORD" }, "HOST": { "identitytoken": "…" } } }
//! ```
//!
//! Pure: bytes to a value, and a value asked. Fields that nobody here knows are passed over.
//!
//! **Guarantees**: the entry with the longest name wins, so that a team's login goes before its host's; a helper that the file names
//! for the host goes before what is written in the file.
//! **Refuses**: what is no such file, and an entry whose `auth` is not the base64 of `USER:PASSWORD`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_base::http::Secret;
use pinfold_image::registry::Credentials;
use serde::Deserialize;

/// The longest file that is read, in bytes.
pub(super) const MAX: u64 = 1 << 20;

/// Such a file.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuthFile {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

impl std::fmt::Debug for AuthFile {
    // Nothing of an entry is for people.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthFile").field("auths", &self.auths.keys()).finish_non_exhaustive()
    }
}

/// The old form: entries alone.
#[derive(Deserialize)]
#[serde(transparent)]
struct Old(BTreeMap<String, Entry>);

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Where the file says that a login is.
#[derive(Clone, Debug)]
pub enum Kept {
    /// In the file.
    Here(Credentials),
    /// With a helper, to be asked for this name.
    Helper {
        /// What follows `docker-credential-` in the program's name.
        name: String,
        /// What it is asked for.
        server: String,
    },
}

impl AuthFile {
    /// Reads a file in today's form.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| position(&error))
    }

    /// Reads a file in the old form.
    pub fn parse_old(bytes: &[u8]) -> Result<Self, String> {
        let Old(auths) = serde_json::from_slice(bytes).map_err(|error| position(&error))?;
        Ok(Self { auths, ..Self::default() })
    }

    /// Where the logins for a repository are, in the order in which they are tried. `key` is the registry as such files name it.
    pub fn find(&self, key: &str, repository: &str) -> Result<Vec<Kept>, String> {
        let names = names(key, repository);
        let mut found = Vec::new();
        let helper = names.iter().find_map(|name| {
            let (server, helper) = self.cred_helpers.iter().find(|(server, _)| host(server) == *name)?;
            Some(Kept::Helper { name: helper.clone(), server: server.clone() })
        });
        found.extend(helper);
        let entry = names.iter().find_map(|name| self.auths.iter().find(|(server, _)| host(server) == *name));
        if let Some(store) = self.creds_store.as_ref().filter(|store| !store.is_empty()) {
            let server = entry.map_or(key, |(server, _)| server);
            found.push(Kept::Helper { name: store.clone(), server: server.to_owned() });
        }
        if let Some((server, entry)) = entry {
            found.extend(entry.read(server)?.map(Kept::Here));
        }
        Ok(found)
    }
}

impl Entry {
    /// What is in it. An empty one says that a helper has the login.
    fn read(&self, server: &str) -> Result<Option<Credentials>, String> {
        let filled = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(Some(Credentials::Token(Secret::new(token))));
        }
        if let Some(token) = filled(&self.identitytoken) {
            return Ok(Some(Credentials::Identity(Secret::new(token))));
        }
        if let Some(auth) = filled(&self.auth) {
            let wrong = || format!("the `auth` of `{server}` is not the base64 of `USER:PASSWORD`");
            let bytes = STANDARD.decode(auth.trim()).map_err(|_| wrong())?;
            let text = String::from_utf8(bytes).map_err(|_| wrong())?;
            let (user, password) = text.split_once(':').ok_or_else(wrong)?;
            // Docker once wrote a NUL after the password.
            let password = Secret::new(password.trim_end_matches('\0'));
            return Ok(Some(Credentials::Password { user: user.to_owned(), password }));
        }
        Ok(match (filled(&self.username), filled(&self.password)) {
            (Some(user), Some(password)) => {
                Some(Credentials::Password { user, password: Secret::new(password) })
            }
            _ => None,
        })
    }
}

/// By what names a login for a repository may be kept, the longest first: `HOST/TEAM/APP`, `HOST/TEAM`, `HOST`.
fn names(key: &str, repository: &str) -> Vec<String> {
    let host = host(key);
    let mut names = Vec::new();
    let mut path = Some(repository);
    while let Some(prefix) = path.filter(|prefix| !prefix.is_empty()) {
        names.push(format!("{host}/{prefix}"));
        path = prefix.rsplit_once('/').map(|(above, _)| above);
    }
    names.push(host.to_owned());
    names
}

/// The name that a key means: Docker writes addresses, such as `https://HOST/v1/`.
pub(super) fn host(key: &str) -> &str {
    let Some(rest) = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")) else {
        return key.trim_end_matches('/');
    };
    let rest = rest.trim_end_matches('/');
    rest.strip_suffix("/v1").or_else(|| rest.strip_suffix("/v2")).unwrap_or(rest)
}

/// Where a file stops being one. What stands there may be a secret.
pub(super) fn position(error: &serde_json::Error) -> String {
    format!("it is not the JSON of such a file (line {}, column {})", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a file gives for a repository, for people.
    fn found(file: &str, key: &str, repository: &str) -> Vec<String> {
        let kept = AuthFile::parse(file.as_bytes()).unwrap().find(key, repository).unwrap();
        kept.iter()
            .map(|kept| match kept {
                Kept::Helper { name, server } => format!("{name} for {server}"),
                Kept::Here(Credentials::Password { user, password }) => {
                    format!("{user}:{}", password.expose())
                }
                Kept::Here(Credentials::Identity(token)) => format!("identity {}", token.expose()),
                Kept::Here(Credentials::Token(token)) => format!("token {}", token.expose()),
                Kept::Here(Credentials::Anonymous) => "nobody".into(),
            })
            .collect()
    }

    #[test]
    fn the_longest_name_that_covers_the_repository_wins() {
        // `printf 'user:all' | base64`, and so on.
        let file = r#"{"auths":{"r.example":{"auth":"dXNlcjphbGw="},"r.example/team":{"auth":"dXNlcjp0ZWFt"},
            "r.example/team/app":{"auth":"dXNlcjphcHA="},"r.example:5000":{"auth":"dXNlcjpwb3J0"}}}"#;
        for (key, repository, expected) in [
            ("r.example", "team/app", "user:app"),
            ("r.example", "team/app/x", "user:app"),
            ("r.example", "team/application", "user:team"),
            ("r.example", "teams", "user:all"),
            ("r.example:5000", "team/app", "user:port"),
        ] {
            assert_eq!(found(file, key, repository), [expected], "{key} {repository}");
        }
        assert!(found(file, "other.example", "team/app").is_empty());
    }

    #[test]
    fn keys_are_read_as_each_tool_writes_them() {
        for (file, key, expected) in [
            (r#"{"auths":{"https://r.example/v1/":{"auth":"YTpi"}}}"#, "https://r.example/v1/", "a:b"),
            (r#"{"auths":{"https://r.example/v2/":{"auth":"YTpi"}}}"#, "r.example", "a:b"),
            (r#"{"auths":{"http://r.example":{"auth":"YTpi"}}}"#, "r.example", "a:b"),
            // A colon in a password is the password's.
            (r#"{"auths":{"r.example":{"auth":"YTpiOmM="}}}"#, "r.example", "a:b:c"),
            (r#"{"auths":{"r.example":{"username":"a","password":"b"}}}"#, "r.example", "a:b"),
            (r#"{"auths":{"r.example":{"auth":"YTpi","identitytoken":"t"}}}"#, "r.example", "identity t"),
            (r#"{"auths":{"r.example":{"registrytoken":"t"}},"HttpHeaders":{}}"#, "r.example", "token t"),
        ] {
            assert_eq!(found(file, key, "library/x"), [expected], "{file}");
        }
        let old = AuthFile::parse_old(br#"{"https://r.example/v1/":{"auth":"YTpi","email":"x"}}"#).unwrap();
        assert_eq!(old.find("r.example", "x").unwrap().len(), 1);
    }

    #[test]
    fn helpers_go_before_what_is_written() {
        let file = r#"{"auths":{"r.example":{},"s.example":{"auth":"YTpi"}},
            "credHelpers":{"r.example":"one"},"credsStore":"all"}"#;
        assert_eq!(found(file, "r.example", "x"), ["one for r.example", "all for r.example"]);
        assert_eq!(found(file, "s.example", "x"), ["all for s.example", "a:b"]);
        assert_eq!(found(file, "t.example", "x"), ["all for t.example"]);
    }

    #[test]
    fn what_is_no_login_is_refused_without_being_shown() {
        for file in [r#"{"auths":["secret"]}"#, "secret", r#"{"auths":{"r.example":{"auth":3}}}"#] {
            let error = AuthFile::parse(file.as_bytes()).unwrap_err();
            assert!(error.contains("line 1") && !error.contains("secret"), "{error}");
        }
        for auth in ["c2VjcmV0", "secret", "/w=="] {
            let file = format!(r#"{{"auths":{{"r.example":{{"auth":"{auth}"}}}}}}"#);
            let error = AuthFile::parse(file.as_bytes()).unwrap().find("r.example", "x").unwrap_err();
            assert!(error.contains("`r.example`") && !error.contains(auth), "{error}");
        }
    }
}
