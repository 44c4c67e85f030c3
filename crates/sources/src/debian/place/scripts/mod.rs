//! Install scripts without a shell: each is parsed, known as a recipe, answered by the manifest, or evaluated later.
//!
//! On a fresh install dpkg runs `preinst install` and `postinst configure ""`. A script is taken apart into the sections
//! that debhelper put in ([`snippet`]) and the rest. The rest is either nothing but frame (`#!/bin/sh`, `set -e`, `exit 0`,
//! comments), or a hand-written script that a [`recipe`] knows by its digest. Every other script is evaluated
//! ([`super::evaluate`]).

mod recipe;
mod shell;
mod snippet;

use std::collections::BTreeMap;

use pinfold_archive::Contents;
use pinfold_base::Digest;

use super::Answer;
use super::LedgerEntry;
use super::PlaceError;
use super::ScriptClass;
use super::control::Opened;
use super::effect::Effect;

/// What asks debconf's questions. It runs only where a script that is evaluated may read the answers.
const CONFIG: &str = "config";
/// Scripts that run when a package is installed, in their order.
const SCRIPTS: [&str; 2] = ["preinst", "postinst"];

/// A script that is understood.
#[derive(Debug)]
pub(super) struct Understood {
    /// What is said of it.
    pub(super) entry: LedgerEntry,
    /// What it does.
    pub(super) doing: Doing,
}

/// How the effect of a script is known.
#[derive(Debug)]
pub(super) enum Doing {
    /// From debhelper's text and recipes.
    Effects(Vec<Effect>),
    /// By evaluating this text once the image is there.
    Evaluated(Vec<u8>),
}

/// Understands the scripts of one package: at once, or by evaluating them later.
pub(super) fn understand(
    package: &Opened<'_>,
    answers: &BTreeMap<String, Answer>,
    contents: &dyn Contents,
) -> Result<Vec<Understood>, PlaceError> {
    let mut found = Vec::new();
    for script in SCRIPTS {
        let Some(bytes) = package.read(script, contents)? else { continue };
        let entry = LedgerEntry {
            package: package.name().into(),
            script: script.into(),
            sha256: Digest::sha256(&bytes),
            class: ScriptClass::Nothing,
            what: Vec::new(),
            warning: None,
        };
        if let Some(Answer::Skip { reason }) = answers.get(package.name()) {
            let entry =
                LedgerEntry { class: ScriptClass::SkippedByManifest, what: vec![reason.clone()], ..entry };
            found.push(Understood { entry, doing: Doing::Effects(Vec::new()) });
            continue;
        }
        let known = match std::str::from_utf8(&bytes) {
            Ok(text) => one(&entry, script, text)?,
            Err(_) => None,
        };
        found.push(known.unwrap_or(Understood {
            entry: LedgerEntry { class: ScriptClass::Evaluated, ..entry },
            doing: Doing::Evaluated(bytes),
        }));
        // debconf's questions are asked, that is answered by themselves, before a script that reads the answers.
        let evaluated = matches!(found.last(), Some(Understood { doing: Doing::Evaluated(_), .. }));
        if script == "postinst"
            && evaluated
            && let Some(bytes) = package.read(CONFIG, contents)?
        {
            let entry = LedgerEntry {
                package: package.name().into(),
                script: CONFIG.into(),
                sha256: Digest::sha256(&bytes),
                class: ScriptClass::Evaluated,
                what: Vec::new(),
                warning: None,
            };
            found.push(Understood { entry, doing: Doing::Evaluated(bytes) });
        }
    }
    Ok(found)
}

/// The digest by which recipes know a script; `None` when it holds no hand-written part.
pub fn recipe_digest(script: &str) -> Option<Digest> {
    let parts = snippet::split(script).ok()?;
    let hand_written = parts.rest.iter().any(|(line, text)| !is_frame(*line, text));
    hand_written.then(|| recipe::digest(parts.rest.iter().map(|(_, text)| text.as_str())))
}

/// What debhelper's text and a recipe say; nothing where that is not the whole script.
fn one(entry: &LedgerEntry, script: &'static str, text: &str) -> Result<Option<Understood>, PlaceError> {
    let Ok(parts) = snippet::split(text) else { return Ok(None) };
    let mut effects = Vec::new();
    for section in &parts.sections {
        let Ok(found) = snippet::effects(section) else { return Ok(None) };
        effects.extend(found);
    }
    let hand_written = parts.rest.iter().any(|(line, text)| !is_frame(*line, text));
    let mut class = if effects.is_empty() { ScriptClass::Nothing } else { ScriptClass::MatchedSnippets };
    if hand_written {
        let Some(recipe) = recipe::find(&entry.package, script)? else { return Ok(None) };
        let digest = recipe::digest(parts.rest.iter().map(|(_, text)| text.as_str()));
        // Another version of the script than the recipe was made for is read anew.
        if !recipe.knows(&digest) {
            return Ok(None);
        }
        // A script may do nothing on a fresh install; then so does its recipe.
        if !recipe.effects.is_empty() {
            class = ScriptClass::Recipe;
        }
        effects.extend(recipe.effects.iter().cloned());
    }
    let what = effects.iter().map(ToString::to_string).collect();
    let entry = LedgerEntry { class, what, ..entry.clone() };
    Ok(Some(Understood { entry, doing: Doing::Effects(effects) }))
}

/// Whether a line outside debhelper's sections is part of the frame that every script has.
fn is_frame(line: usize, text: &str) -> bool {
    let text = text.trim();
    if line == 1 && text.starts_with("#!") {
        let program = text[2..].split_ascii_whitespace().next().unwrap_or_default();
        return matches!(program, "/bin/sh" | "/bin/bash" | "/bin/dash" | "/usr/bin/sh");
    }
    text.is_empty()
        || text.starts_with('#')
        || matches!(text, "set -e" | "set -eu" | "set -u" | "exit 0" | ":" | "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(package: &str, text: &str) -> Option<LedgerEntry> {
        let entry = LedgerEntry {
            package: package.into(),
            script: "postinst".into(),
            sha256: Digest::sha256(text.as_bytes()),
            class: ScriptClass::Nothing,
            what: Vec::new(),
            warning: None,
        };
        one(&entry, "postinst", text).unwrap().map(|found| found.entry)
    }

    #[test]
    fn a_frame_does_nothing() {
        let entry = understood("x", "#!/bin/sh\n# hello\nset -e\n\n\nexit 0\n").unwrap();
        assert_eq!((entry.class, entry.what.len()), (ScriptClass::Nothing, 0));
    }

    #[test]
    fn other_text_is_left_to_be_evaluated() {
        assert!(understood("x", "#!/bin/sh\nset -e\n\n  rm -rf /srv\n").is_none());
        // Not the shell: a comment of sh may be a command of another language.
        assert!(understood("x", "#!/usr/bin/perl\n# x\n").is_none());
    }

    #[test]
    fn a_recipe_for_another_version_is_not_used() {
        assert!(understood("tmux", "#!/bin/sh\nadd-shell /usr/bin/tmux --new-option\n").is_none());
    }

    // The postinst of tmux 3.3a-3 as it is shipped: a recipe knows it, and knows it after a rebuild, which adds a section.
    #[test]
    fn a_recipe_survives_a_rebuild() {
        let script = "#!/bin/sh\n\nset -e\n\nif [ \"$1\" = \"configure\" ] && [ -z \"$2\" ]; then\n    add-shell \
                      /usr/bin/tmux\nfi\n\n";
        let entry = understood("tmux", script).unwrap();
        assert_eq!((entry.class, entry.warning), (ScriptClass::Recipe, None));
        let rebuilt = format!(
            "{script}# Automatically added by dh_installdeb/14\ndpkg-maintscript-helper rm_conffile /etc/x 1 -- \"$@\"\n\
             # End automatically added section\n"
        );
        let entry = understood("tmux", &rebuilt).unwrap();
        assert_eq!(entry.warning, None);
        assert_eq!(recipe_digest(&rebuilt), recipe_digest(script));
        assert_eq!(recipe_digest("#!/bin/sh\nset -e\n"), None);
    }

    #[test]
    fn a_section_that_is_not_debhelpers_is_left_to_be_evaluated() {
        let script = "#!/bin/sh\nadd-shell /usr/bin/tmux\n# Automatically added by dh_installdeb/14\nrm -rf /srv\n\
                      # End automatically added section\n";
        assert!(understood("tmux", script).is_none());
    }
}
