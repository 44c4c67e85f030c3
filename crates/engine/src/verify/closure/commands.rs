//! Whether what the image is started with, and the names on PATH, are executable files.

use pinfold_base::ImagePath;
use pinfold_image::survey::Nowhere;
use pinfold_image::survey::What;

use super::count;
use super::ground::Ground;
use super::known;
use crate::verify::checks::CLOSURE_COMMANDS;
use crate::verify::report::Finding;
use crate::verify::report::Findings;
use crate::verify::report::Outcome;

pub(super) fn check(ground: &Ground<'_>) -> Outcome {
    let mut found = Findings::default();
    for (key, words) in [("Entrypoint", &ground.runtime.entrypoint), ("Cmd", &ground.runtime.cmd)] {
        // The command is the entrypoint's argument where there is one.
        let starts = key == "Entrypoint" || ground.runtime.entrypoint.is_empty();
        if let Some(word) = words.first().filter(|_| starts)
            && let Err(problem) = ground.command(word)
        {
            found.add(|| Finding { at: key.into(), problem: format!("`{word}` does not start: {problem}") });
        }
    }
    if let Some(word) = ground.behind_init()
        && let Err(problem) = ground.command(word)
    {
        let at = "Cmd".into();
        found
            .add(|| Finding { at, problem: format!("`{word}`, which the init starts, does not: {problem}") });
    }
    // Runtimes make a directory that is missing.
    let from = &ground.runtime.working_dir;
    let wrong = match ground.follow().find(from.as_bytes()) {
        _ if from.is_empty() => None,
        _ if !from.starts_with('/') => Some("it is not absolute".to_owned()),
        Ok((real, seen)) if seen.what != What::Directory => Some(format!("`{real}` is no directory")),
        Err(nowhere @ Nowhere::Closed(_)) => Some(nowhere.to_string()),
        _ => None,
    };
    if let Some(problem) = wrong {
        found.add(|| Finding { at: "WorkingDir".into(), problem });
    }
    let directories = &ground.path_directories;
    let mut linked = 0;
    for (_, directory) in directories {
        for (path, seen) in ground.survey.children(directory) {
            let What::Link(_) = seen.what else { continue };
            linked += 1;
            if let Some(problem) = leads_to_program(ground, path) {
                found.add(|| Finding { at: path.to_string(), problem });
            }
        }
    }
    // What npm would put on PATH for the packages of a directory.
    let mut npm = 0;
    for (path, seen) in &ground.survey.paths {
        let folder = path.parent().unwrap_or_default();
        if folder.as_bytes().ends_with(b"node_modules/.bin") && matches!(seen.what, What::Link(_)) {
            npm += 1;
            if let Some(problem) = leads_to_program(ground, path) {
                found.add(|| Finding { at: path.to_string(), problem });
            }
        }
    }
    npm += named_by_packages(ground, &mut found);
    if let Some(spent) = ground.spent() {
        found.first(spent);
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
    Outcome::found(CLOSURE_COMMANDS, evidence, found)
}

/// The files that npm packages name as their programs (`bin` of package.json); gives how many there are. A package of which nothing
/// but that file is in the image is told of, for lists of what is in it, and not installed there.
fn named_by_packages(ground: &Ground<'_>, found: &mut Findings) -> usize {
    #[derive(serde::Deserialize)]
    struct Package {
        bin: Option<serde_json::Value>,
    }
    let mut count = 0;
    for (path, bytes) in &ground.survey.kept {
        let Some(directory) = path.parent().filter(|dir| path.name() == b"package.json" && is_package(dir))
        else {
            continue;
        };
        if is_alone(ground, &directory) {
            continue;
        }
        let Ok(Package { bin: Some(bin) }) = serde_json::from_slice(bytes) else { continue };
        let files = match &bin {
            serde_json::Value::String(file) => vec![file.as_str()],
            serde_json::Value::Object(all) => all.values().filter_map(serde_json::Value::as_str).collect(),
            _ => Vec::new(),
        };
        for file in files {
            count += 1;
            let at = [b"/", directory.as_bytes(), b"/", file.as_bytes()].concat();
            if let Err(nowhere) = ground.follow().find(&at) {
                let problem = format!("its package names the program `{file}`: {nowhere}");
                found.add(|| Finding { at: path.to_string(), problem });
            }
        }
    }
    count
}

/// Whether nothing but `package.json` lies there, directories aside.
fn is_alone(ground: &Ground<'_>, directory: &ImagePath) -> bool {
    let files = ground.survey.below(directory).filter(|(_, seen)| !matches!(seen.what, What::Directory));
    files.take(2).count() < 2
}

/// Whether npm places packages there: `node_modules/NAME` or `node_modules/@SCOPE/NAME`.
fn is_package(directory: &ImagePath) -> bool {
    let above = directory.parent().unwrap_or_default();
    let of = if above.name().starts_with(b"@") { above.parent().unwrap_or_default() } else { above };
    of.name() == b"node_modules"
}

/// What is wrong with a link that should lead to a program.
fn leads_to_program(ground: &Ground<'_>, path: &ImagePath) -> Option<String> {
    match ground.follow().find(path.as_bytes()) {
        // The check of links leaves these to running systems, which have no programs there.
        Err(Nowhere::Missing(at)) if known::at_run(&at) => {
            Some(format!("it leads to `{at}`, which the image does not have"))
        }
        // Where others end is the check of links' to say.
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
