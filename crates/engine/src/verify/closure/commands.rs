//! Whether what the image is started with, and the names on PATH, are executable files.

use pinfold_image::survey::What;

use super::count;
use super::ground::Ground;
use super::known;
use crate::verify::checks::CLOSURE_COMMANDS;
use crate::verify::report::Finding;
use crate::verify::report::Outcome;

pub(super) fn check(ground: &Ground<'_>) -> Outcome {
    let mut found = Vec::new();
    for (key, words) in [("Entrypoint", &ground.runtime.entrypoint), ("Cmd", &ground.runtime.cmd)] {
        // The command is the entrypoint's argument where there is one.
        let starts = key == "Entrypoint" || ground.runtime.entrypoint.is_empty();
        if let Some(word) = words.first().filter(|_| starts)
            && let Err(problem) = ground.command(word)
        {
            found.push(Finding { at: key.into(), problem: format!("`{word}` does not start: {problem}") });
        }
    }
    let directories = ground.path_directories();
    let mut linked = 0;
    for (_, directory) in &directories {
        for (path, seen) in ground.children(directory) {
            let What::Link(_) = seen.what else { continue };
            linked += 1;
            found.extend(
                leads_to_program(ground, path).map(|problem| Finding { at: path.to_string(), problem }),
            );
        }
    }
    // What npm would put on PATH for the packages of a directory.
    let mut npm = 0;
    for (path, seen) in &ground.survey.paths {
        let folder = path.parent().unwrap_or_default();
        if folder.as_bytes().ends_with(b"node_modules/.bin") && matches!(seen.what, What::Link(_)) {
            npm += 1;
            found.extend(
                leads_to_program(ground, path).map(|problem| Finding { at: path.to_string(), problem }),
            );
        }
    }
    let start = match ground.first_word() {
        Some(word) => format!("starts `{word}`"),
        None => "no entrypoint and no command".into(),
    };
    let mut evidence = format!(
        "{start}; {} in {} of PATH, {linked} of the names are links",
        count(ground.commands.len(), "program"),
        count(directories.len(), "directory"),
    );
    if npm > 0 {
        evidence.push_str(&format!("; {} of npm packages", count(npm, "command")));
    }
    Outcome::looked(CLOSURE_COMMANDS, evidence, found)
}

/// What is wrong with a link that should lead to a program.
fn leads_to_program(ground: &Ground<'_>, path: &pinfold_base::ImagePath) -> Option<String> {
    match ground.survey.find(path.as_bytes()) {
        // Where links end is the check of links' to say.
        Err(_) => None,
        Ok((real, seen)) => match seen.what {
            What::File(_) if seen.mode & 0o111 == 0 => {
                Some(format!("it leads to `{real}`, which is not executable"))
            }
            What::Directory if !known::directory_on_path(path) => {
                Some(format!("it leads to `{real}`, which is a directory"))
            }
            _ => None,
        },
    }
}
