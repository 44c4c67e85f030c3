//! What a project says: manifest, recipe, lock, and the words that flags and `[run]` have in common.

use std::path::Path;

use pinfold_engine::project::lock::Lock;
use pinfold_engine::project::manifest::Manifest;
use pinfold_engine::project::manifest::ManifestFile;
use pinfold_engine::project::manifest::run::AllowRule;
use pinfold_engine::project::manifest::run::Bind;
use pinfold_engine::project::manifest::run::KeySource;
use pinfold_engine::project::manifest::run::Processes;
use pinfold_engine::project::manifest::run::Processors;
use pinfold_engine::project::manifest::run::Size;
use pinfold_engine::project::manifest::run::Variable;
use pinfold_engine::project::recipe::Recipe;

/// Any text as `pinfold.toml`: what is read means the same when it is read again, and a refusal is shown line by line.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let file = Path::new("pinfold.toml");
    if let Err(error) = ManifestFile::parse(text, file) {
        shown(&error);
        return;
    }
    match Manifest::parse(text, file, Path::new("/project")) {
        Ok(manifest) => {
            let again = Manifest::parse(text, file, Path::new("/project")).expect("it was read");
            assert_eq!(format!("{manifest:?}"), format!("{again:?}"));
        }
        Err(error) => shown(&error),
    }
}

/// Any text as a recipe.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Recipe::parse(text, Path::new("mine.toml")) {
        Ok(recipe) => assert!(!recipe.is_built_in(), "a file says that it is one of ours"),
        Err(error) => shown(&error),
    }
}

/// Any text as `pinfold.lock`: what is read is written, and read again as equal.
pub fn lock(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Lock::parse(text, Path::new("pinfold.lock")) {
        Ok(lock) => {
            let written = lock.render();
            let again = Lock::parse(&written, Path::new("pinfold.lock")).expect("what was written is read");
            assert_eq!(again.render(), written);
        }
        Err(error) => shown(&error),
    }
}

/// Any text as a word of a flag or of `[run]`. A key that was typed instead of its place is not repeated.
pub fn words(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = text.parse::<KeySource>() {
        let said = error.to_string();
        assert!(text.len() < 24 || !said.contains(text), "{said}");
    }
    if let Ok(mount) = text.parse::<Bind>() {
        assert!(mount.source.starts_with("/") && mount.target.starts_with("/"), "{mount:?}");
    }
    if let Ok(variable) = text.parse::<Variable>() {
        assert!(!variable.name.is_empty() && !variable.name.contains(['=', '\0']), "{variable:?}");
    }
    let _ = (text.parse::<AllowRule>().is_ok(), text.parse::<Size>().is_ok());
    let _ = (text.parse::<Processors>().is_ok(), text.parse::<Processes>().is_ok());
}

/// The lines of an error are lines, and hide nothing.
fn shown(error: &dyn pinfold_base::Diagnose) {
    for line in pinfold_base::error::told(error).iter().flatten() {
        assert!(!line.as_str().chars().any(pinfold_base::text::is_hidden), "{line:?}");
    }
}
