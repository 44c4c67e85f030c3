//! Install scripts without a shell: each is parsed, known as a recipe, answered by the manifest, or an error.
//!
//! On a fresh install dpkg runs `preinst install` and `postinst configure ""`. A script is taken apart into the sections
//! that debhelper put in ([`snippet`]) and the rest. The rest is either nothing but frame (`#!/bin/sh`, `set -e`, `exit 0`,
//! comments) or a hand-written script, for which there must be a [`recipe`].

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
use super::error::UnknownScript;

/// Scripts that run when a package is installed, in their order. `config` only asks questions, for debconf's database.
const SCRIPTS: [&str; 2] = ["preinst", "postinst"];

/// Longest line of a script in an error.
const MAX_SHOWN: usize = 120;

/// A script that is understood.
#[derive(Debug)]
pub(super) struct Understood {
    /// What is said of it.
    pub(super) entry: LedgerEntry,
    /// What it does.
    pub(super) effects: Vec<Effect>,
}

/// Understands the scripts of one package. Those that are not understood are added to `unknown`.
pub(super) fn understand(
    package: &Opened<'_>,
    answers: &BTreeMap<String, Answer>,
    contents: &dyn Contents,
    unknown: &mut Vec<UnknownScript>,
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
            found.push(Understood { entry, effects: Vec::new() });
            continue;
        }
        let text = package.read_text(script, contents)?.unwrap_or_default();
        match one(entry, script, &text) {
            Err(PlaceError::UnknownScripts(some)) => unknown.extend(some),
            known => found.push(known?),
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

fn one(mut entry: LedgerEntry, script: &'static str, text: &str) -> Result<Understood, PlaceError> {
    let package = entry.package.clone();
    let unknown = |line: usize| {
        let text = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim();
        let text = text.chars().take(MAX_SHOWN).collect();
        PlaceError::UnknownScripts(vec![UnknownScript { package: package.clone(), script, line, text }])
    };
    let parts = snippet::split(text).map_err(|error| unknown(error.line))?;
    let mut effects = Vec::new();
    for section in &parts.sections {
        effects.extend(snippet::effects(section).map_err(|error| unknown(error.line))?);
    }
    let hand_written = parts.rest.iter().find(|(line, text)| !is_frame(*line, text));
    let mut class = if effects.is_empty() { ScriptClass::Nothing } else { ScriptClass::MatchedSnippets };
    let mut warning = None;
    if let Some((line, _)) = hand_written {
        let recipe = recipe::find(&entry.package, script)?.ok_or_else(|| unknown(*line))?;
        let digest = recipe::digest(parts.rest.iter().map(|(_, text)| text.as_str()));
        if !recipe.knows(&digest) {
            warning = Some(format!(
                "another version of the script than the recipe was made for ({})",
                digest.short()
            ));
        }
        // A script may do nothing on a fresh install; then so does its recipe.
        if !recipe.effects.is_empty() {
            class = ScriptClass::Recipe;
        }
        effects.extend(recipe.effects.iter().cloned());
    }
    entry.class = class;
    entry.warning = warning;
    entry.what = effects.iter().map(ToString::to_string).collect();
    Ok(Understood { entry, effects })
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

    fn understood(package: &str, text: &str) -> Result<LedgerEntry, PlaceError> {
        let entry = LedgerEntry {
            package: package.into(),
            script: "postinst".into(),
            sha256: Digest::sha256(text.as_bytes()),
            class: ScriptClass::Nothing,
            what: Vec::new(),
            warning: None,
        };
        one(entry, "postinst", text).map(|found| found.entry)
    }

    #[test]
    fn a_frame_does_nothing() {
        let entry = understood("x", "#!/bin/sh\n# hello\nset -e\n\n\nexit 0\n").unwrap();
        assert_eq!((entry.class, entry.what.len()), (ScriptClass::Nothing, 0));
    }

    #[test]
    fn other_text_is_an_error_with_its_line() {
        let error = understood("x", "#!/bin/sh\nset -e\n\n  rm -rf /srv\n").unwrap_err();
        assert_eq!(error.to_string(), "package `x`: postinst line 4 is not understood: `rm -rf /srv`");
        use pinfold_base::Diagnose;
        assert!(error.hint().unwrap().contains("add to the manifest"));
        let block: Vec<String> = error.block().iter().map(ToString::to_string).collect();
        assert_eq!(block, ["[scripts]", "x = \"skip: REASON\""]);
        // Not the shell: a comment of sh may be a command of another language.
        assert!(understood("x", "#!/usr/bin/perl\n# x\n").is_err());
        let error = understood("x", &format!("#!/bin/sh\n{}\n", "y".repeat(9000))).unwrap_err();
        assert!(error.to_string().len() < 300);
    }

    #[test]
    fn a_recipe_for_another_version_is_used_with_a_warning() {
        let entry = understood("tmux", "#!/bin/sh\nadd-shell /usr/bin/tmux --new-option\n").unwrap();
        assert_eq!(entry.class, ScriptClass::Recipe);
        assert_eq!(entry.what, ["shell /usr/bin/tmux"]);
        assert!(entry.warning.is_some());
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
    fn a_bad_section_is_an_error_even_with_a_recipe() {
        let script = "#!/bin/sh\nadd-shell /usr/bin/tmux\n# Automatically added by dh_installdeb/14\nrm -rf /srv\n\
                      # End automatically added section\n";
        let error = understood("tmux", script).unwrap_err();
        assert!(matches!(error, PlaceError::UnknownScripts(all) if all[0].line == 4));
    }
}
