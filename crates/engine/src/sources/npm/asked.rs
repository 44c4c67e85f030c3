//! What npm itself would use, where it is installed and nothing else names a registry. npm takes a third of a second to say it, so
//! its word is remembered for locks that are only looked at again.
//!
//! ```text
//! CACHE/metadata/npm-HEX     HEX: SHA-256 of what the word depends on; what npm printed
//! ```
//!
//! **Guarantees**: what is remembered is used for a lock that this very request gave before, for a day, and only while every `npm`
//! on the path, every file of configuration that it would read and every variable that it looks at are what they were.
//! **Refuses**: an `npm` that an agent could have written.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::store;
use pinfold_network::HeldCommand;

use crate::context::Context;
use crate::context::Environment;
use crate::context::METADATA;
use crate::project::Project;

/// How long npm's word is taken without asking it.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How names of variables begin that npm, node, or what starts them looks at, in lower case.
const DECIDING: &[&str] = &["npm_", "node", "nvm", "volta", "asdf", "fnm", "prefix", "home", "path", "xdg_"];

/// The registry that npm names. With `remembered` its last word will do.
pub(super) fn registry(context: &Context, project: &Project, remembered: bool) -> Option<String> {
    let record =
        context.home.cache().join(METADATA).join(format!("npm-{}", depends(&context.environment).hex()));
    if remembered
        && is_young(&record)
        && let Some(word) = store::recall(&record)
    {
        return String::from_utf8(word).ok();
    }
    let word = ask_npm(context, project)?;
    // It is only saving time: failures are no matter.
    let _ = context.store.remember(&record, word.as_bytes());
    Some(word)
}

fn is_young(record: &Path) -> bool {
    let written = fs::metadata(record).and_then(|data| data.modified());
    written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age < DAY))
}

/// All that npm's word comes of, as far as it can be seen without starting it.
fn depends(environment: &Environment) -> Digest {
    let mut seen = Vec::new();
    let mut see = |bytes: &[u8]| {
        seen.extend_from_slice(bytes);
        seen.push(0);
    };
    for (name, value) in environment.all() {
        let lower = name.to_string_lossy().to_lowercase();
        if DECIDING.iter().any(|start| lower.starts_with(start)) {
            see(name.as_bytes());
            see(value.as_bytes());
        }
    }
    let mut files: Vec<PathBuf> =
        ["/.npmrc", "/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc"].map(PathBuf::from).into();
    files.extend(environment.home().map(|home| home.join(".npmrc")));
    for (name, value) in environment.all() {
        let name = name.to_string_lossy().to_lowercase();
        if matches!(name.as_str(), "npm_config_userconfig" | "npm_config_globalconfig") {
            files.push(value.into());
        }
    }
    for folder in std::env::split_paths(environment.raw("PATH").unwrap_or_default()) {
        let Ok(program) = fs::canonicalize(folder.join("npm")) else { continue };
        // npm's own file lies beside its `bin`, that of its prefix beside the folder of the path.
        files.extend(program.ancestors().skip(2).take(1).map(|package| package.join("npmrc")));
        files.extend(folder.parent().map(|prefix| prefix.join("etc/npmrc")));
        files.extend([folder.join("node"), program]);
    }
    for file in files {
        see(file.as_os_str().as_bytes());
        if let Ok(data) = fs::metadata(&file) {
            let numbers = [data.dev(), data.ino(), data.size()];
            let times = [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()];
            see(format!("{numbers:?}{times:?}").as_bytes());
        }
    }
    Digest::sha256(&seen)
}

/// What npm says: the one program that is asked, and only when nothing else says. It is found and run as the program of a key is:
/// one in the project (`PATH=./node_modules/.bin`, say) is the agent's.
pub(super) fn ask_npm(context: &Context, project: &Project) -> Option<String> {
    let around = context.surroundings(&project.manifest.directory, "the project");
    let npm = HeldCommand::find(&["npm", "config", "get", "registry"].map(str::to_owned), &around).ok()?;
    let variables = context.environment.all().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let text = String::from_utf8(npm.output(variables).ok()?).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
