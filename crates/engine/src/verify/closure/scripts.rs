//! Whether the interpreters of executable scripts are there: what the kernel starts (execve(2)), and what env(1) then looks for.

use pinfold_image::survey::Seen;
use pinfold_image::survey::What;

use super::count;
use super::ground::Ground;
use super::known;
use crate::verify::checks::CLOSURE_SCRIPTS;
use crate::verify::report::Finding;
use crate::verify::report::Outcome;
use crate::verify::resolve;

pub(super) fn check(ground: &Ground<'_>) -> Outcome {
    let mut found = Vec::new();
    let (mut scripts, mut left_out) = (0, Vec::new());
    for (path, seen) in &ground.survey.paths {
        let Seen { what: What::File(facts), mode, .. } = seen else { continue };
        let Some(line) = facts.script.as_deref().filter(|_| mode & 0o111 != 0) else { continue };
        scripts += 1;
        let Err(problem) = starts(ground, line) else { continue };
        if !ground.commands.contains_key(path) && known::apart(path).is_some() {
            left_out.push(path);
        } else {
            found.push(Finding { at: path.to_string(), problem });
        }
    }
    let mut evidence = count(scripts, "executable script");
    if let Some(first) = left_out.first() {
        let files = count(left_out.len(), "file");
        evidence.push_str(&format!("; {files} of packages lack an interpreter (`{first}`)"));
    }
    Outcome::looked(CLOSURE_SCRIPTS, evidence, found)
}

/// The interpreter that a first line names.
pub(super) fn interpreter(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | 0)).filter(|word| !word.is_empty());
    words.next()
}

/// Whether what a first line names is there. The error says what is not.
fn starts(ground: &Ground<'_>, line: &[u8]) -> Result<(), String> {
    let Some(program) = interpreter(line) else { return Err("its first line names no interpreter".into()) };
    let name = String::from_utf8_lossy(program).into_owned();
    if name.ends_with('\r') {
        return Err(
            "its first line ends with a carriage return, which counts to the interpreter's name".into()
        );
    }
    if !program.starts_with(b"/") {
        return Err(format!("its interpreter `{name}` is no absolute path"));
    }
    let problem = |why: String| format!("its interpreter `{name}` does not start: {why}");
    resolve::command(ground.survey, &ground.path, &name).map_err(problem)?;
    if !program.ends_with(b"/env") {
        return Ok(());
    }
    // The kernel gives the rest of the line as one argument.
    let rest = line.trim_ascii_start().get(program.len()..).unwrap_or_default().trim_ascii();
    let rest = String::from_utf8_lossy(rest).into_owned();
    let Some(words) = env_words(&rest) else { return Ok(()) };
    match words.as_slice() {
        [] => Ok(()),
        [word, ..] => resolve::command(ground.survey, &ground.path, word)
            .map(drop)
            .map_err(|why| format!("`env` does not start `{word}`: {why}")),
    }
}

/// The program and its arguments that `env ARGUMENT` starts; `None` where its options say what cannot be followed here.
fn env_words(argument: &str) -> Option<Vec<String>> {
    let split = ["-S", "-vS", "--split-string="].iter().find_map(|option| argument.strip_prefix(option));
    let Some(split) = split else {
        // Without -S the argument is one word: the program's name, blanks and all.
        let word = argument.to_owned();
        return if argument.starts_with('-') {
            None
        } else {
            Some(vec![word].into_iter().filter(|word| !word.is_empty()).collect())
        };
    };
    if split.contains(['\'', '"', '\\', '$']) {
        return None;
    }
    let mut words = split.split_ascii_whitespace().peekable();
    while let Some(word) = words.peek() {
        match *word {
            "-i" | "-" | "--ignore-environment" | "-v" | "--debug" => drop(words.next()),
            "-u" | "-C" => drop((words.next(), words.next())),
            option if option.starts_with('-') => return None,
            pair if pair.contains('=') => drop(words.next()),
            _ => break,
        }
    }
    Some(words.map(str::to_owned).collect())
}
