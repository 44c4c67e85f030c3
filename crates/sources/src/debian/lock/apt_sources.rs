//! The machine's own apt configuration, as far as it says where archives are and how to log in.
//!
//! ```text
//! /etc/apt/sources.list, sources.list.d/*.list      deb [signed-by=KEYRING] URI SUITE COMPONENT...     sources.list(5)
//! /etc/apt/sources.list.d/*.sources                 Types: URIs: Suites: Components: Signed-By: ...    the same page
//! /etc/apt/auth.conf, auth.conf.d/*                 machine HOST[/PATH] login USER password WORD       apt_auth.conf(5)
//! ```
//!
//! The parsers take text; only [`read`] opens files, below a root that tests choose. What cannot be understood is passed over
//! and named in [`AptSources::odd`], for most of these files are about other archives.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::http::Auth;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Secret;

use super::Freshness;
use crate::debian::stanza;
use crate::debian::stanza::Form;
use crate::debian::stanza::Stanza;

/// Which keys may sign for a source.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SignedBy {
    /// Keyring files.
    pub files: Vec<PathBuf>,
    /// An armoured key inside the source itself.
    pub inline: Option<Vec<u8>>,
    /// Fingerprints that the machine's keyrings are narrowed to.
    pub fingerprints: Vec<String>,
}

impl SignedBy {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.inline.is_none() && self.fingerprints.is_empty()
    }

    fn add_word(&mut self, word: &str) {
        if word.starts_with('/') {
            self.files.push(word.into());
        } else if word.len() >= 32 && word.trim_end_matches('!').bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            self.fingerprints.push(word.to_owned());
        }
    }
}

/// One source of binary packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptSource {
    /// What its file is called, without folder and ending.
    pub name: String,
    /// Base addresses, as written (may hold a login).
    pub uris: Vec<String>,
    /// Suites.
    pub suites: Vec<String>,
    /// Components.
    pub components: Vec<String>,
    /// Keys.
    pub signed_by: SignedBy,
    /// `check-valid-until`.
    pub freshness: Freshness,
}

/// A line of `auth.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    scheme: Option<String>,
    host: String,
    path: String,
    auth: Auth,
}

/// What the machine says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AptSources {
    /// The sources, in apt's order.
    pub sources: Vec<AptSource>,
    /// The logins.
    pub machines: Vec<Machine>,
    /// Files that could not be understood, with why.
    pub odd: Vec<String>,
}

/// Reads the configuration below `root` (`/` in the program). Missing files are no error, unreadable ones are named as odd.
pub fn read(root: &Path) -> AptSources {
    let etc = root.join("etc/apt");
    let mut all = AptSources::default();
    let mut files = vec![etc.join("sources.list")];
    files.extend(files_in(&etc.join("sources.list.d"), &["list", "sources"]));
    for file in files {
        let Some(text) = text_of(&file, &mut all.odd) else { continue };
        let parsed = if file.extension().is_some_and(|extension| extension == "sources") {
            parse_deb822(&text)
        } else {
            parse_one_line(&text)
        };
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        match parsed {
            Ok(sources) => {
                let named = sources.into_iter().map(|source| AptSource { name: name.to_string(), ..source });
                all.sources.extend(named);
            }
            Err(reason) => all.odd.push(format!("`{}`: {reason}", file.display())),
        }
    }
    let mut files = vec![etc.join("auth.conf")];
    files.extend(files_in(&etc.join("auth.conf.d"), &["conf", ""]));
    for file in files {
        if let Some(text) = text_of(&file, &mut all.odd) {
            all.machines.extend(parse_auth(&text));
        }
    }
    all
}

fn text_of(file: &Path, odd: &mut Vec<String>) -> Option<String> {
    match fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            odd.push(error.to_string());
            None
        }
    }
}

/// Files of a folder whose names apt would take, in the order of their names.
pub fn files_in(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
            plain && !name.starts_with('.') && extensions.contains(&extension)
        })
        .collect();
    files.sort();
    files
}

/// Reads the one-line form. Lines that are not of type `deb` are passed over.
pub fn parse_one_line(text: &str) -> Result<Vec<AptSource>, String> {
    let mut sources = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim_ascii();
        let Some(rest) = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t'])) else {
            continue;
        };
        let mut rest = rest.trim_ascii_start();
        let mut source = AptSource {
            name: String::new(),
            uris: Vec::new(),
            suites: Vec::new(),
            components: Vec::new(),
            signed_by: SignedBy::default(),
            freshness: Freshness::Checked,
        };
        if let Some(options) = rest.strip_prefix('[') {
            let Some((options, behind)) = options.split_once(']') else {
                return Err(format!("line {}: `[` is not closed", number + 1));
            };
            rest = behind.trim_ascii_start();
            for option in options.split_ascii_whitespace() {
                let (name, value) = option.split_once('=').unwrap_or((option, ""));
                match name.trim_end_matches(['+', '-']).to_ascii_lowercase().as_str() {
                    "signed-by" => value.split(',').for_each(|word| source.signed_by.add_word(word)),
                    "check-valid-until" if is_no(value) => source.freshness = Freshness::Unchecked,
                    _ => {}
                }
            }
        }
        let mut words = rest.split_ascii_whitespace();
        let (Some(uri), Some(suite)) = (words.next(), words.next()) else {
            return Err(format!("line {}: expected `deb URI SUITE COMPONENT`", number + 1));
        };
        source.uris.push(uri.to_owned());
        source.suites.push(suite.to_owned());
        source.components.extend(words.map(str::to_owned));
        sources.push(source);
    }
    Ok(sources)
}

/// Reads the deb822 form; disabled stanzas and those without type `deb` are passed over.
pub fn parse_deb822(text: &str) -> Result<Vec<AptSource>, String> {
    let mut sources = Vec::new();
    for stanza in stanza::stanzas(text.as_bytes(), Form::Handwritten) {
        let stanza = stanza.map_err(|error| error.to_string())?;
        let enabled = words(&stanza, "Enabled").first().is_none_or(|word| !is_no(word));
        if !enabled || !words(&stanza, "Types").iter().any(|word| word == "deb") {
            continue;
        }
        let mut signed_by = SignedBy::default();
        if let Some(field) = stanza.field("Signed-By") {
            if field.value.windows(10).any(|part| part == b"-----BEGIN") {
                // An embedded key: one blank before each line, `.` for an empty one (deb822(5)).
                let lines = field.lines().map(|line| if line == b"." { &b""[..] } else { line });
                signed_by.inline = Some(lines.collect::<Vec<_>>().join(&b'\n'));
            } else {
                words(&stanza, "Signed-By").iter().flat_map(|word| word.split(',')).for_each(|word| {
                    signed_by.add_word(word);
                });
            }
        }
        sources.push(AptSource {
            name: String::new(),
            uris: words(&stanza, "URIs"),
            suites: words(&stanza, "Suites"),
            components: words(&stanza, "Components"),
            signed_by,
            freshness: match words(&stanza, "Check-Valid-Until").first() {
                Some(word) if is_no(word) => Freshness::Unchecked,
                _ => Freshness::Checked,
            },
        });
    }
    Ok(sources)
}

fn words(stanza: &Stanza<'_>, name: &str) -> Vec<String> {
    let Some(field) = stanza.field(name) else { return Vec::new() };
    field.words().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn is_no(word: &str) -> bool {
    ["no", "false", "without", "off", "disable", "0"].iter().any(|no| word.eq_ignore_ascii_case(no))
}

/// Reads the netrc form of apt_auth.conf(5). Entries without a login are passed over.
pub fn parse_auth(text: &str) -> Vec<Machine> {
    let mut machines = Vec::new();
    let mut open: Option<(String, String, String)> = None;
    let mut close = |open: &mut Option<(String, String, String)>| {
        if let Some((machine, user, password)) = open.take().filter(|(_, user, _)| !user.is_empty()) {
            let (scheme, rest) = match machine.split_once("://") {
                Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
                None => (None, machine.as_str()),
            };
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            machines.push(Machine {
                scheme,
                host: host.to_ascii_lowercase(),
                path: format!("/{}", path.trim_end_matches('/')),
                auth: Auth::Basic { user, password: Secret::new(password) },
            });
        }
    };
    let lines = text.lines().filter(|line| !line.trim_ascii_start().starts_with('#'));
    let mut words = lines.flat_map(str::split_ascii_whitespace);
    while let Some(word) = words.next() {
        match word {
            "machine" => {
                close(&mut open);
                open = words.next().map(|name| (name.to_owned(), String::new(), String::new()));
            }
            "login" => {
                let value = words.next().unwrap_or_default().to_owned();
                if let Some(open) = &mut open {
                    open.1 = value;
                }
            }
            "password" => {
                let value = words.next().unwrap_or_default().to_owned();
                if let Some(open) = &mut open {
                    open.2 = value;
                }
            }
            _ => {}
        }
    }
    close(&mut open);
    machines
}

/// The login for an address, from the first machine that fits: same host (and port, if the entry has one), the path below
/// the entry's, and `https` unless the entry names another scheme: passwords do not go over plain connections by accident.
pub fn auth_for(machines: &[Machine], url: &SafeUrl) -> Auth {
    let with_port = format!("{}:{}", url.host(), url.port());
    let fits = |machine: &&Machine| {
        let below = machine.path == "/"
            || url
                .path()
                .strip_prefix(&machine.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        (machine.host == url.host() || machine.host == with_port)
            && below
            && machine.scheme.as_deref().unwrap_or("https") == url.scheme().name()
    };
    machines.iter().find(fits).map_or(Auth::None, |machine| machine.auth.clone())
}

#[cfg(test)]
mod form_tests;
