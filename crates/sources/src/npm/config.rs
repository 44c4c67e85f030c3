//! Which registry a package comes from and with which credentials, as npm is set up on this machine.
//!
//! Asked in this order, key by key: the manifest, the environment (`npm_config_KEY`, any case), the project's `.npmrc`, the
//! user's, the machine's, what `npm config get registry` said (the caller asks).
//!
//! ```text
//! registry = https://registry.example/            every package without a scope of its own
//! @scope:registry = https://npm.example/path/     packages of that scope
//! //npm.example/path/:_authToken = ${TOKEN}       for addresses that begin with //npm.example/path/
//! //npm.example/:_auth = BASE64                   user:password; or :username and :_password (base64)
//! ```
//!
//! **Guarantees**: a token goes only where the key it is written under allows, whatever a packument or a redirect says; no
//! token is printed. **Refuses** (notes, rather) credentials that are bound to no host, as npm does since version 9.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::http::Auth;
use pinfold_base::http::Filled;
use pinfold_base::http::ParseUrlError;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Secret;

/// The most of an `.npmrc` that is read, in bytes.
const MAX_NPMRC: u64 = 1 << 20;

/// SHA-256 of the address of npm's own registry, without a slash at its end. The address itself stands nowhere here, since
/// which registry is used is the machine's to say; this only tells whether somebody wrote out what npm asks anyway.
const BUILT_IN: &str = "036b43b16792c643378e95923ed2f4cc78e800de141b764aeea70d47580396df";

/// Whether this is the registry that npm asks where nothing names another. One with a login or a query is not.
pub fn is_built_in(registry: &SafeUrl) -> bool {
    let address = registry.expose();
    let address = address.expose();
    Digest::sha256(address.strip_suffix('/').unwrap_or(address).as_bytes()).hex() == BUILT_IN
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Nothing says where packages come from.
    #[error("no npm registry is known: the manifest, the environment and the `.npmrc` files name none")]
    NoRegistry,
    /// An address is not usable.
    #[error("`{key}` of {layer} is not the address of a registry")]
    Url {
        /// The key.
        key: String,
        /// Where it stands.
        layer: String,
        /// What is wrong.
        source: ParseUrlError,
    },
    /// A file cannot be read.
    #[error("failed to read npm's configuration")]
    Read(#[source] std::io::Error),
}

impl Diagnose for ConfigError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Url { layer, .. } => Some(format!("correct it in {layer}; expected `https://HOST/PATH/`")),
            Self::NoRegistry => Some(
                "write `registry=https://…` to `~/.npmrc`, set `npm_config_registry`, or `registry` in the manifest's `[npm]`".into(),
            ),
            Self::Read(_) => None,
        }
    }
}

/// The texts a configuration is made of; absent ones are `None`.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The manifest's registry.
    pub manifest: Option<String>,
    /// The environment. Only `npm_config_…` and what `${…}` names is looked at.
    pub env: BTreeMap<String, String>,
    /// `.npmrc` beside the manifest.
    pub project: Option<String>,
    /// `~/.npmrc`.
    pub user: Option<String>,
    /// The machine's `npmrc`.
    pub global: Option<String>,
    /// What `npm config get registry` printed, where the caller has asked.
    pub asked: Option<String>,
}

impl Layers {
    /// Reads the files of user and machine that npm would read. The project's is the caller's: what was read of it when the user
    /// was asked is what counts.
    pub fn read(
        manifest: Option<&str>,
        project: Option<String>,
        env: BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let machine = Self::of_machine(env, |_| true)?;
        Ok(Self { manifest: manifest.map(str::to_owned), project, ..machine })
    }

    /// The same without manifest and project, and of the files only those that `counts` says yes to.
    pub fn of_machine(
        env: BTreeMap<String, String>,
        counts: impl Fn(&Path) -> bool,
    ) -> Result<Self, ConfigError> {
        let read = |file: &Path| if counts(file) { read(file) } else { Ok(None) };
        let var = |name: &str| {
            env.iter()
                .find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_empty())
                .map(|(_, value)| PathBuf::from(value))
        };
        let home = env.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let user = var("npm_config_userconfig").or_else(|| Some(home?.join(".npmrc")));
        let global =
            match (var("npm_config_globalconfig"), var("npm_config_prefix").or_else(|| var("PREFIX"))) {
                (Some(file), _) => vec![file],
                (None, Some(prefix)) => vec![prefix.join("etc/npmrc")],
                (None, None) => {
                    ["/usr/local/etc/npmrc", "/usr/etc/npmrc", "/etc/npmrc"].map(PathBuf::from).into()
                }
            };
        let mut global_text = None;
        for file in global {
            global_text = read(&file)?;
            if global_text.is_some() {
                break;
            }
        }
        Ok(Self {
            manifest: None,
            project: None,
            user: user.map_or(Ok(None), |file| read(&file))?,
            global: global_text,
            asked: None,
            env,
        })
    }

    /// The address that `registry` or `@SCOPE:registry` has; a scope that has none is fetched from the registry.
    pub fn address(&self, key: &str) -> Option<SafeUrl> {
        let values = self.values();
        let scope = key.starts_with('@') && key.ends_with(":registry");
        let value = match values.get(key).filter(|_| scope || key == "registry") {
            None if scope => values.get("registry")?,
            found => found?,
        };
        SafeUrl::parse(&value.text).ok()
    }

    /// Whether anything says which registry packages without a scope come from.
    pub fn names_a_registry(&self) -> bool {
        self.values().contains_key("registry")
    }

    /// Every value with where it stands; the first layer that has a key counts.
    fn values(&self) -> BTreeMap<String, Value> {
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        let mut take = |layer: &'static str, pairs: Vec<Pair>| {
            for Pair { key, raw, text, filled } in pairs {
                values.entry(key).or_insert(Value { text, raw, filled, layer });
            }
        };
        let plain =
            |key: String, text: String| Pair { raw: key.clone(), key, text, filled: Filled::default() };
        if let Some(registry) = &self.manifest {
            take("the manifest", vec![plain("registry".into(), registry.clone())]);
        }
        let environment = self.env.iter().filter_map(|(name, value)| {
            let start = name.get(..11).filter(|start| start.eq_ignore_ascii_case("npm_config_"))?;
            let key = name.get(start.len()..)?;
            // Keys with a host or a scope are case-sensitive and keep their underscores.
            let key = if key.starts_with(['/', '@']) { key.to_owned() } else { key.to_ascii_lowercase() };
            (!value.is_empty()).then(|| plain(key, value.clone()))
        });
        take("the environment (`npm_config_…`)", environment.collect());
        for (layer, text) in [
            ("the project's `.npmrc`", &self.project),
            ("the user's `.npmrc`", &self.user),
            ("the machine's `npmrc`", &self.global),
        ] {
            take(layer, text.as_deref().map(|text| parse_npmrc(text, &self.env)).unwrap_or_default());
        }
        if let Some(asked) = self.asked.as_deref().map(str::trim).filter(|asked| !asked.is_empty()) {
            take("`npm config get registry`", vec![plain("registry".into(), asked.to_owned())]);
        }
        values
    }
}

/// A setting, variables filled in.
struct Value {
    text: String,
    /// Its key as it stands in the file.
    raw: String,
    /// What was filled into key and text.
    filled: Filled,
    /// Where it stands.
    layer: &'static str,
}

fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(MAX_NPMRC).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        // Another user's file is not for us, and says nothing.
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(ConfigError::Read(error)),
    }
}

/// Registries and credentials.
#[derive(Clone, Debug)]
pub struct Config {
    default: SafeUrl,
    /// Scope with its `@` → registry.
    scopes: BTreeMap<String, SafeUrl>,
    /// `//host[:port]/path/` → credentials.
    credentials: BTreeMap<String, Auth>,
    notes: Vec<String>,
}

impl Config {
    /// One registry for everything, no credentials but those in its address.
    pub fn single(registry: SafeUrl) -> Self {
        Self { default: registry, scopes: BTreeMap::new(), credentials: BTreeMap::new(), notes: Vec::new() }
    }

    /// Adds up the layers.
    pub fn new(layers: &Layers) -> Result<Self, ConfigError> {
        Self::from_values(&layers.values())
    }

    fn from_values(values: &BTreeMap<String, Value>) -> Result<Self, ConfigError> {
        let url = |value: &Value| {
            SafeUrl::with(&value.text, &value.filled).map_err(|source| ConfigError::Url {
                key: value.raw.clone(),
                layer: value.layer.to_owned(),
                source,
            })
        };
        let registry = values.get("registry").ok_or(ConfigError::NoRegistry)?;
        let mut config = Self::single(url(registry)?);
        for (key, value) in values {
            if let Some(scope) = key.strip_suffix(":registry").filter(|scope| scope.starts_with('@')) {
                config.scopes.insert(scope.to_owned(), url(value)?);
            } else if matches!(key.as_str(), "_auth" | "_authtoken" | "_password" | "username" | "_authToken")
            {
                config.notes.push(format!(
                    "`{key}` of {} names no host and is not used; write `//HOST/:{key}=…`",
                    value.layer
                ));
            }
        }
        for (key, Value { text: value, .. }) in values {
            let Some((place, name)) = key.strip_prefix("//").and_then(|rest| rest.rsplit_once(':')) else {
                continue;
            };
            // Hosts have no case, paths have.
            let place = place.trim_end_matches('/');
            let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
            let place = format!("//{}{path}/", host.to_ascii_lowercase());
            let auth = match name {
                "_authToken" => Auth::Bearer(Secret::new(value.clone())),
                "_auth" => match basic(value) {
                    Some(auth) => auth,
                    None => continue,
                },
                "_password" => {
                    let user = values.get(&key.replace(":_password", ":username"));
                    let password =
                        STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                    let (Some(user), Some(password)) = (user, password) else { continue };
                    Auth::Basic { user: user.text.clone(), password: Secret::new(password) }
                }
                _ => continue,
            };
            // A token goes before a password, as in npm.
            if matches!(auth, Auth::Bearer(_)) || !config.credentials.contains_key(&place) {
                config.credentials.insert(place, auth);
            }
        }
        Ok(config)
    }

    /// The registry of a package.
    pub fn registry_for(&self, package: &str) -> &SafeUrl {
        package.split_once('/').and_then(|(scope, _)| self.scopes.get(scope)).unwrap_or(&self.default)
    }

    /// The credentials for an address: those written for its host and the longest beginning of its path.
    pub fn auth_for(&self, url: &SafeUrl) -> Auth {
        let usual = matches!((url.scheme().name(), url.port()), ("https", 443) | ("http", 80));
        let hosts =
            [Some(format!("//{}:{}", url.host(), url.port())), usual.then(|| format!("//{}", url.host()))];
        let mut folder = url.path();
        loop {
            folder = &folder[..folder.rfind('/').unwrap_or(0)];
            for host in hosts.iter().flatten() {
                if let Some(auth) = self.credentials.get(&format!("{host}{folder}/")) {
                    return auth.clone();
                }
            }
            if folder.is_empty() {
                return Auth::None;
            }
        }
    }

    /// What is not used of the configuration, for the user to see.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

fn basic(encoded: &str) -> Option<Auth> {
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Auth::Basic { user: user.to_owned(), password: Secret::new(password) })
}

/// A setting that says where packages come from or who logs in, as it stands in a file: no variable is filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What is set: `registry`, `@SCOPE:registry`, `//HOST/PATH/:_authToken`.
    pub key: String,
    /// To what.
    pub value: String,
    /// Variables of the environment that are filled into either, if they are set.
    pub variables: Vec<String>,
}

/// Every setting of `text` that [`Config`] could heed, whatever its variables hold.
pub fn settings(text: &str) -> Vec<Setting> {
    let heeded = |key: &str| {
        matches!(key, "registry") || key.starts_with("//") || key.starts_with('@') || key.contains("${")
    };
    let setting = |(key, value): (String, String)| {
        let variables = variables(&key).into_iter().chain(variables(&value)).collect();
        heeded(&key).then_some(Setting { key, value, variables })
    };
    raw_pairs(text).filter_map(setting).collect()
}

/// Names in `${…}`.
fn variables(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (_, rest) in text.match_indices("${").map(|(at, _)| text.split_at(at + 2)) {
        let Some((name, _)) = rest.split_once('}') else { continue };
        let name = name.strip_suffix('?').unwrap_or(name).to_owned();
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

/// A line of a file, variables filled in.
struct Pair {
    key: String,
    /// The key before.
    raw: String,
    text: String,
    /// What was filled in.
    filled: Filled,
}

/// The pairs of an ini file as npm writes them. Sections and arrays hold nothing that matters here.
fn parse_npmrc(text: &str, env: &BTreeMap<String, String>) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for (raw, value) in raw_pairs(text) {
        let (key, text) = (expand(&raw, env), expand(&value, env));
        if !key.is_empty() && !key.ends_with("[]") && !text.is_empty() {
            let names: Vec<String> = variables(&raw).into_iter().chain(variables(&value)).collect();
            let held = names.iter().filter_map(|name| Some((name.as_str(), env.get(name)?.as_str())));
            let filled = Filled::new(held);
            // npm takes the last of equal keys in one file.
            pairs.retain(|known| known.key != key);
            pairs.push(Pair { key, raw, text, filled });
        }
    }
    pairs
}

/// The same before variables are filled in.
fn raw_pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with([';', '#', '[']));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (unquote(key), unquote(value)))
}

/// Quotes are taken off; without them a value ends at a comment, and a backslash saves `;`, `#` and itself.
fn unquote(text: &str) -> String {
    let text = text.trim();
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote)) {
            return inner.to_owned();
        }
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ';' | '#' => break,
            '\\' => plain.push(chars.next_if(|next| matches!(next, '\\' | ';' | '#')).unwrap_or(c)),
            _ => plain.push(c),
        }
    }
    plain.trim_end().to_owned()
}

/// `${NAME}` is replaced, `${NAME?}` too, by nothing when it is not set; an unknown `${NAME}` and `\${NAME}` stay.
fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let (name, whole) = (&rest[start + 2..start + length], &rest[start..=start + length]);
        let (name, or_nothing) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
        expanded.push_str(&rest[..start]);
        match env.get(name) {
            _ if rest[..start].ends_with('\\') => {
                expanded.pop();
                expanded.push_str(whole);
            }
            Some(value) => expanded.push_str(value),
            None if or_nothing => {}
            None => expanded.push_str(whole),
        }
        rest = &rest[start + length + 1..];
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod npm_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> BTreeMap<String, String> {
        vars.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect()
    }

    fn url(text: &str) -> SafeUrl {
        SafeUrl::parse(text).unwrap()
    }

    #[test]
    fn the_order_is_manifest_environment_project_user_machine_asked() {
        let mut layers = Layers {
            manifest: Some("https://manifest/".into()),
            env: env(&[("NPM_CONFIG_REGISTRY", "https://environment/")]),
            project: Some("registry=https://project/".into()),
            user: Some("registry=https://user/".into()),
            global: Some("registry=https://machine/".into()),
            asked: Some("https://asked/\n".into()),
        };
        let host = |layers: &Layers| Config::new(layers).unwrap().registry_for("x").host().to_owned();
        assert_eq!(host(&layers), "manifest");
        layers.manifest = None;
        assert_eq!(host(&layers), "environment");
        layers.env.clear();
        assert_eq!(host(&layers), "project");
        layers.project = None;
        assert_eq!(host(&layers), "user");
        layers.user = None;
        assert_eq!(host(&layers), "machine");
        layers.global = None;
        assert_eq!(host(&layers), "asked");
        layers.asked = None;
        assert!(matches!(Config::new(&layers), Err(ConfigError::NoRegistry)));
    }

    #[test]
    fn tokens_go_to_their_host_and_path_only() {
        let layers = Layers {
            user: Some(
                "registry = https://default/\n@corp:registry = https://npm.corp/private/\n\
                 //npm.corp/private/:_authToken = ${TOKEN}\n\
                 //other:8443/:_auth = bWU6cGFzcw== ; me:pass\n\
                 //pass.corp/:username=me\n//pass.corp/:_password=\"cGFzcw==\"\n\
                 _authToken = homeless\n"
                    .into(),
            ),
            env: env(&[("TOKEN", "s3cret")]),
            ..Layers::default()
        };
        let config = Config::new(&layers).unwrap();
        assert_eq!(config.registry_for("@corp/x"), &url("https://npm.corp/private/"));
        assert_ne!(config.registry_for("@other/x"), &url("https://npm.corp/private/"));
        let token = Auth::Bearer(Secret::new("s3cret"));
        let basic = Auth::Basic { user: "me".into(), password: Secret::new("pass") };
        for (address, auth) in [
            ("https://npm.corp/private/@corp%2fx", &token),
            ("https://npm.corp:443/private/a/b/c", &token),
            ("https://npm.corp/private2/x", &Auth::None),
            ("https://npm.corp/", &Auth::None),
            ("https://npm.corp:444/private/x", &Auth::None),
            ("https://evil/npm.corp/private/x", &Auth::None),
            ("https://other:8443/x", &basic),
            ("https://other/x", &Auth::None),
            ("https://pass.corp/x", &basic),
        ] {
            assert_eq!(&config.auth_for(&url(address)), auth, "{address}");
        }
        assert_eq!(config.notes().len(), 1, "{:?}", config.notes());
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(!format!("{:?}", config.notes()).contains("homeless"));
    }

    #[test]
    fn variables_expand_as_in_npm() {
        // Recorded with `npm config get registry --userconfig FILE`, npm 11: unknown names stay, `?` makes them empty.
        let env = env(&[("A", "x")]);
        assert_eq!(expand("1${A}2${B}3${B?}4\\${A}${", &env), "1x2${B}34${A}${");
    }

    #[test]
    fn a_wrong_address_names_its_key_and_file() {
        let layers = Layers {
            user: Some("registry=https://default/\n@a:registry=gopher://x".into()),
            ..Layers::default()
        };
        let error = Config::new(&layers).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`@a:registry` of the user's `.npmrc` is not the address of a registry"
        );
    }

    /// Whatever part of an address a variable is filled into, what is told names the variable.
    #[test]
    fn no_message_repeats_what_a_variable_holds() {
        for (text, told) in [
            ("registry=gopher://${SECRET}/", "`gopher://${SECRET}/`"),
            ("registry=${SECRET}", "`${SECRET}`"),
            ("registry=https://${SECRET}:x/", "`https://${SECRET}:x/`"),
            ("registry=https://h.example/${SECRET}/../", "`https://h.example/${SECRET}/../`"),
            ("registry=https://h.example/${SECRET}é", "`https://h.example/${SECRET}é`"),
            ("registry=https://h.example/\n@${SECRET}:registry=x", "`@${SECRET}:registry`"),
            ("registry=https://h.example/\n@s:registry=${SECRET?}", "`${SECRET}`"),
        ] {
            for in_project in [true, false] {
                let (project, user) = if in_project { (Some(text), None) } else { (None, Some(text)) };
                let layers = Layers {
                    project: project.map(str::to_owned),
                    user: user.map(str::to_owned),
                    env: env(&[("SECRET", "Canary")]),
                    ..Layers::default()
                };
                let error = pinfold_base::error::one_line(&Config::new(&layers).unwrap_err());
                assert!(error.contains(told) && !error.to_lowercase().contains("canary"), "{error}");
            }
        }
        let layers = Layers {
            project: Some("registry=https://${HOST}.example/${SECRET}/".into()),
            env: env(&[("SECRET", "Canary"), ("HOST", "Canary-host")]),
            ..Layers::default()
        };
        let config = Config::new(&layers).unwrap();
        let place = config.registry_for("x").join("x").unwrap();
        assert_eq!(place.to_string(), "https://${HOST}.example/${SECRET}/x");
        assert_eq!(
            (place.host(), place.path()),
            ("canary-host.example", "/Canary/x"),
            "it is asked all the same"
        );
    }

    #[test]
    fn files_are_found_where_npm_has_them() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("user"), "registry=https://user/\n@s:registry=https://scope/").unwrap();
        let user = dir.path().join("user").display().to_string();
        let vars = env(&[("npm_config_userconfig", &user), ("npm_config_prefix", "/nonexistent")]);
        let config =
            Config::new(&Layers::read(None, Some("registry=https://project/".into()), vars).unwrap())
                .unwrap();
        assert_eq!(config.registry_for("x").host(), "project");
        assert_eq!(config.registry_for("@s/x").host(), "scope");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "([ -~\n]|\\$\\{|\\}|//|:_auth)*") {
            let layers = Layers { manifest: Some("https://default/".into()), user: Some(text), ..Layers::default() };
            let _ = Config::new(&layers);
        }
    }
}
