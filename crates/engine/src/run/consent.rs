//! What a project or an image asks for beyond what every sandbox has, and whether the user agreed.
//!
//! The manifest lies in the workspace, where the agent can write: what it says about the next run may be the agent's own
//! wish (CVE-2026-25725 is of this kind). So what widens a sandbox counts only after the user's word, and the word is kept
//! outside of every workspace. What narrows is free.
//!
//! ```text
//!   DATA/consent/HEX.json      HEX: SHA-256 of who asks, a manifest's real path or an image's name
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::store::persist;
use serde::Deserialize;
use serde::Serialize;

use super::error::RunError;
use crate::context::Context;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::manifest::Manifest;
use crate::project::manifest::Run;
use crate::project::manifest::run::Reach;
use crate::project::recipe::Recipe;
use crate::sources;
use crate::sources::Trust;

/// One thing that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The host's network instead of the proxy.
    HostNetwork,
    /// A host to be let through.
    Reach(String),
    /// A mount, as written.
    Mount(String),
    /// A variable of the caller's.
    Variable(String),
    /// Where an agent's key comes from.
    Credential {
        /// The agent.
        agent: String,
        /// As written.
        source: String,
    },
    /// A key sent to an address, by a recipe that is not built in.
    Route {
        /// The recipe.
        recipe: String,
        /// The address.
        upstream: String,
        /// Variables that may hold the key.
        keys: Vec<String>,
        /// Variables that may hold another address.
        base: Vec<String>,
    },
    /// A file of the host from outside the project, put into the image.
    File(PathBuf),
    /// An address that the host itself fetches from, outside of any sandbox: a mirror, a registry, a program.
    Fetch(String),
    /// Keys that are to be trusted instead of the machine's.
    Keyring(PathBuf),
    /// The project's own settings for npm, which may name a registry and have variables of the caller's filled in.
    Npmrc {
        /// SHA-256 of the file: other settings are another wish.
        sha256: String,
    },
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::HostNetwork => "use the host's network".to_owned(),
            Self::Reach(host) => format!("reach `{host}`"),
            Self::Mount(mount) => format!("mount `{mount}`"),
            Self::Variable(name) => format!("pass in the variable `{name}`"),
            Self::Credential { agent, source } => format!("take the key of {agent} from `{source}`"),
            Self::Route { recipe, upstream, keys, base } => {
                let base =
                    if base.is_empty() { String::new() } else { format!(", or to {}", base.join(" or ")) };
                format!("send the key in {} to {upstream}{base} (recipe {recipe})", keys.join(" or "))
            }
            Self::File(path) => format!("put `{}` into the image", path.display()),
            Self::Fetch(address) => format!("fetch from `{address}` on this machine"),
            Self::Keyring(path) => format!("trust the archive keys in `{}`", path.display()),
            Self::Npmrc { sha256 } => format!("use the project's `.npmrc` (SHA-256 {sha256})"),
        };
        // What is written by others is shown as it is, and moves no cursor and reverses no text.
        let harmless = |c: char| if c.is_control() || is_direction(c) { '\u{fffd}' } else { c };
        f.write_str(&text.chars().map(harmless).collect::<String>())
    }
}

/// Bidirectional formatting characters (UAX #9).
fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    subject: String,
    accepted: BTreeSet<Ask>,
}

/// Everything that is asked for, in a fixed order.
pub(super) fn asks(declared: &Run, recipes: &[Recipe], project: Option<&Project>) -> Vec<Ask> {
    let mut asks = BTreeSet::new();
    if declared.network == Some(Reach::Host) {
        asks.insert(Ask::HostNetwork);
    }
    asks.extend(declared.allow.iter().map(|rule| Ask::Reach(rule.text().to_owned())));
    asks.extend(declared.mounts.iter().map(|mount| Ask::Mount(mount.text().to_owned())));
    asks.extend(declared.pass_env.iter().map(|variable| Ask::Variable(variable.to_string())));
    asks.extend(
        declared.credentials.iter().map(|(agent, source)| Ask::Credential {
            agent: agent.clone(),
            source: source.text().to_owned(),
        }),
    );
    for recipe in recipes.iter().filter(|recipe| !recipe.is_built_in()) {
        asks.extend(recipe.run.hosts.iter().cloned().map(Ask::Reach));
        asks.extend(recipe.run.route.iter().map(|route| Ask::Route {
            recipe: recipe.name.clone(),
            upstream: route.upstream.clone(),
            keys: route.key.clone(),
            base: route.base.clone(),
        }));
    }
    if let Some(project) = project {
        asks.extend(outside(&project.manifest).map(Ask::File));
        asks.extend(sources::ALL.iter().flat_map(|(_, source)| source.trusts(project)).map(Ask::from));
        asks.extend(locked_addresses(project).into_iter().map(Ask::Fetch));
    }
    asks.into_iter().collect()
}

/// Sources of `[[file]]` that are not below the manifest's directory once links are followed.
fn outside(manifest: &Manifest) -> impl Iterator<Item = PathBuf> {
    let real = fs::canonicalize(&manifest.directory).unwrap_or_else(|_| manifest.directory.clone());
    manifest
        .files
        .iter()
        .flat_map(|file| file.source.iter().chain(file.source_platform.values()))
        .map(|source| manifest.directory.join(source))
        // One that is not there yet could become anything.
        .map(|path| fs::canonicalize(&path).unwrap_or(path))
        .filter(move |path| !path.starts_with(&real))
}

impl From<Trust> for Ask {
    fn from(trust: Trust) -> Self {
        match trust {
            Trust::Address(address) => Self::Fetch(address),
            Trust::Keyring(path) => Self::Keyring(path),
            Trust::Npmrc(sha256) => Self::Npmrc { sha256 },
        }
    }
}

/// Addresses that stand in the lock beside the manifest. A lock that cannot be read is the build's to refuse.
fn locked_addresses(project: &Project) -> Vec<String> {
    let Ok(Some(lock)) = Lock::load(&project.lock_file) else { return Vec::new() };
    let archives = Platform::ALL.into_iter().flat_map(|platform| lock.archives(platform));
    archives.filter_map(|archive| archive.origin.address().map(str::to_owned)).collect()
}

fn file(context: &Context, subject: &str) -> PathBuf {
    let name = format!("{}.json", Digest::sha256(subject.as_bytes()).hex());
    context.home.data().join("consent").join(name)
}

fn record(path: &Path) -> Record {
    // A damaged record is no agreement.
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Refuses when something was not agreed to.
pub(super) fn check(context: &Context, subject: &str, asks: Vec<Ask>) -> Result<(), RunError> {
    if asks.is_empty() {
        return Ok(());
    }
    let accepted = record(&file(context, subject)).accepted;
    let asks: Vec<Ask> = asks.into_iter().filter(|ask| !accepted.contains(ask)).collect();
    if asks.is_empty() { Ok(()) } else { Err(RunError::Consent { subject: subject.to_owned(), asks }) }
}

/// Keeps the user's word. What was agreed to before and is no longer asked for is forgotten.
pub(super) fn accept(context: &Context, subject: &str, asks: &[Ask]) -> Result<(), RunError> {
    let path = file(context, subject);
    let record = Record { subject: subject.to_owned(), accepted: asks.iter().cloned().collect() };
    // Beside its final place: the cache may be on another file system.
    let folder = path.parent().unwrap_or(&path);
    fs::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(temporary.as_file_mut(), &record).map_err(std::io::Error::from)?;
    persist(temporary, &path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use pinfold_base::Home;

    use super::*;
    use crate::context::Network;

    fn context(dir: &Path) -> Context {
        let home = Home::under(dir);
        Context::at(home, Network::Offline, Box::new(pinfold_base::report::Silent)).unwrap()
    }

    #[test]
    fn the_word_covers_what_was_shown_and_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        let ask = |host: &str| Ask::Reach(host.into());
        assert!(check(&context, "m", vec![]).is_ok());
        assert!(matches!(check(&context, "m", vec![ask("a")]), Err(RunError::Consent { .. })));
        accept(&context, "m", &[ask("a"), ask("b")]).unwrap();
        check(&context, "m", vec![ask("a")]).unwrap();
        let Err(RunError::Consent { asks, .. }) = check(&context, "m", vec![ask("a"), Ask::HostNetwork])
        else {
            panic!("more than was agreed to")
        };
        assert_eq!(asks, [Ask::HostNetwork]);
        assert!(check(&context, "another", vec![ask("a")]).is_err());
    }

    #[test]
    fn a_link_out_of_the_project_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        fs::create_dir(&project).unwrap();
        fs::write(dir.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", project.join("innocent")).unwrap();
        fs::write(project.join("own"), "x").unwrap();
        let text =
            "name = 'x'\n[[file]]\npath = '/a'\nsource = 'innocent'\n[[file]]\npath = '/b'\nsource = 'own'\n";
        fs::write(project.join("pinfold.toml"), text).unwrap();
        let project = Project::from_file(&project.join("pinfold.toml")).unwrap();
        let found = asks(&Run::default(), &[], Some(&project));
        assert_eq!(found, [Ask::File(fs::canonicalize(dir.path().join("secret")).unwrap())]);
    }

    #[test]
    fn what_this_machine_would_fetch_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let text = "name = 'x'\n[[binary]]\nname = 'k'\nversion = '1'\nmembers = { '.' = '/k' }\n\
                    url = { 'linux/amd64' = 'file:///home/me/.ssh/key' }\n";
        fs::write(dir.path().join("pinfold.toml"), text).unwrap();
        fs::write(dir.path().join(".npmrc"), "registry=https://elsewhere.example/${SECRET}/\n").unwrap();
        let project = Project::from_file(&dir.path().join("pinfold.toml")).unwrap();
        let found = asks(&Run::default(), &[], Some(&project));
        assert!(found.contains(&Ask::Fetch("file:///home/me/.ssh/key".into())), "{found:?}");
        assert!(found.iter().any(|ask| matches!(ask, Ask::Npmrc { .. })), "{found:?}");
    }

    #[test]
    fn every_wish_of_a_manifest_is_asked_for_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let recipe = "name = 'mine'\ntitle = 'Mine'\ncommand = 'mine'\n[npm]\npackage = 'mine'\nversion = '1'\n[run]\nhosts = ['recipe.example']\n\
                      [[run.route]]\nupstream = 'https://keys.example'\nheader = 'bearer'\npaths = ['/v1']\nkey = ['MY_KEY']\nbase = ['MY_BASE']\n";
        fs::write(dir.path().join("mine.toml"), recipe).unwrap();
        for (text, expected) in [
            ("[run]\nnetwork = 'host'", vec!["use the host's network"]),
            (
                "[run]\nallow = ['example.org', 'tcp:Example.COM:22']",
                vec!["reach `example.org`", "reach `tcp:Example.COM:22`"],
            ),
            ("[run]\nmounts = ['/srv:/data:rw']", vec!["mount `/srv:/data:rw`"]),
            ("[run]\npass-env = ['TOKEN']", vec!["pass in the variable `TOKEN`"]),
            ("[run.credentials]\nmine = 'file:~/.key'", vec!["take the key of mine from `file:~/.key`"]),
            ("[[file]]\npath = '/p'\nsource = '/etc/hostname'", vec!["put `/etc/hostname` into the image"]),
            ("[npm]\nregistry = 'https://r.example'", vec!["fetch from `https://r.example` on this machine"]),
            (
                "[debian]\nsuite = 'sid'\nmirror = 'https://d.example'\nsecurity-mirror = 'https://s.example'",
                vec![
                    "fetch from `https://d.example` on this machine",
                    "fetch from `https://s.example` on this machine",
                ],
            ),
            // What narrows, and what only this project's own files say, is free.
            ("[run]\nnetwork = 'none'\nmemory = '1g'\ncpus = '1'\npids = 5", vec![]),
            ("[run]\nnetwork = 'proxy'", vec![]),
            ("agents = ['claude-code']", vec![]),
        ] {
            fs::write(dir.path().join("pinfold.toml"), format!("name = 'x'\n{text}\n")).unwrap();
            let project = Project::from_file(&dir.path().join("pinfold.toml")).unwrap();
            let found = asks(&project.manifest.run, &project.recipes, Some(&project));
            let found: Vec<String> = found.iter().map(Ask::to_string).collect();
            assert_eq!(found, expected, "{text}");
        }
        // A recipe that is not built in may send keys, and reach hosts.
        let recipe = Recipe::load("./mine.toml", dir.path()).unwrap();
        let found: Vec<String> = asks(&Run::default(), &[recipe], None).iter().map(Ask::to_string).collect();
        assert_eq!(
            found,
            [
                "reach `recipe.example`",
                "send the key in MY_KEY to https://keys.example, or to MY_BASE (recipe mine)",
            ]
        );
    }

    #[test]
    fn a_damaged_word_is_no_word_and_what_is_not_asked_any_more_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let context = context(dir.path());
        let (one, two) = (Ask::Reach("a".into()), Ask::Reach("b".into()));
        accept(&context, "m", &[one.clone(), two.clone()]).unwrap();
        accept(&context, "m", std::slice::from_ref(&one)).unwrap();
        assert!(check(&context, "m", vec![two]).is_err(), "the newer word counts");
        check(&context, "m", vec![one.clone()]).unwrap();
        fs::write(file(&context, "m"), "{").unwrap();
        assert!(check(&context, "m", vec![one]).is_err());
    }

    #[test]
    fn a_wish_cannot_hide_another() {
        let shown = Ask::Reach("a\u{1b}[1A\u{1b}[2K\n\u{202e}b".into()).to_string();
        assert!(!shown.chars().any(|c| c.is_control() || is_direction(c)), "{shown:?}");
    }
}
