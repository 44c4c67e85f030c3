//! debconf's questions (`db_get` and the like), answered from the manifest and the templates' defaults (debconf-devel(7)).
//!
//! Nobody is asked: a question has the answer of the manifest, else the template's default, else nothing, as with debconf's
//! non-interactive frontend. Answers that a script sets are kept for the scripts after it.

use std::rc::Rc;

use super::Status;
use super::Word;
use crate::debian::script::shell::Shell;

/// The status of a question that is not shown (`SKIPPED`).
const SKIPPED: i32 = 30;
/// The status of a question that is not there.
const UNKNOWN: i32 = 10;

/// Runs a command of debconf's protocol.
pub(in crate::debian::script) fn ask(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let text =
        |at: usize| words.get(at).map(|word| String::from_utf8_lossy(word).into_owned()).unwrap_or_default();
    let name = text(0);
    let question = text(1);
    let (status, answer) = match name.as_str() {
        "db_get" => match shell.world().answers.get(&question).cloned() {
            Some(answer) => (0, answer),
            None => (UNKNOWN, format!("{question} doesn't exist")),
        },
        "db_set" => {
            let value = words[2.min(words.len())..]
                .iter()
                .map(|word| String::from_utf8_lossy(word))
                .collect::<Vec<_>>()
                .join(" ");
            shell.keep(&[&question, &value])?;
            shell.world().answers.insert(question, value);
            (0, "value set".into())
        }
        "db_input" => (SKIPPED, "question skipped".into()),
        "db_go" => (0, "ok".into()),
        "db_version" => (0, "2.0".into()),
        "db_capb" => (0, "multiselect escape".into()),
        // Flags are false on a fresh install: nobody has seen a question but those that the manifest answers.
        "db_fget" => {
            let seen = text(2) == "seen" && shell.world().seen.contains(&question);
            (0, seen.to_string())
        }
        "db_metaget" => match text(2).as_str() {
            "default" | "value" => (0, shell.world().answers.get(&question).cloned().unwrap_or_default()),
            _ => (0, String::new()),
        },
        "db_fset"
        | "db_subst"
        | "db_title"
        | "db_settitle"
        | "db_info"
        | "db_stop"
        | "db_purge"
        | "db_register"
        | "db_unregister"
        | "db_beginblock"
        | "db_endblock"
        | "db_reset"
        | "db_progress"
        | "db_clear"
        | "db_previous_module"
        | "db_x_loadtemplatefile"
        | "db_data"
        | "db_exist" => (0, String::new()),
        _ => return Err(shell.fault(words, "this command of debconf is not known")),
    };
    shell.set("RET", Rc::from(answer.as_bytes()))?;
    Ok(status)
}
