//! update-alternatives: choices are collected here; links and database are made when all are known.

use super::Word;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Choice;
use crate::debian::script::world::Last;

/// Runs update-alternatives.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let text = |word: &Word| String::from_utf8_lossy(word).into_owned();
    let mut at = 1;
    while let Some(word) = words.get(at) {
        match &**word {
            b"--quiet" | b"--force" | b"--skip-auto" | b"--verbose" => at += 1,
            _ => break,
        }
    }
    let rest = &words[at.min(words.len())..];
    match rest.first().map(|word| &**word) {
        Some(b"--install") => {
            let [_, link, name, path, priority, slaves @ ..] = rest else {
                return Err(shell.fault(words, "`--install` has four words"));
            };
            let Ok(priority) = text(priority).parse::<i32>() else {
                return Err(shell.fault(words, "a priority is a number"));
            };
            let mut choice =
                Choice { link: text(link), name: text(name), path: text(path), priority, slaves: Vec::new() };
            let mut slaves = slaves.iter();
            while let Some(word) = slaves.next() {
                match (&**word, slaves.next(), slaves.next(), slaves.next()) {
                    (b"--slave", Some(link), Some(name), Some(path)) => {
                        choice.slaves.push((text(link), text(name), text(path)));
                    }
                    _ => {
                        return Err(
                            shell.fault(words, "behind the priority stand slaves of three words each")
                        );
                    }
                }
            }
            shell.world().note(format!("alternative {} -> {} ({priority})", choice.name, choice.path));
            shell.world().alternatives.retain(|old| old.name != choice.name || old.path != choice.path);
            let slaves = choice.slaves.iter().flat_map(|(link, name, path)| [link, name, path]);
            let texts: Vec<&str> = [&choice.link, &choice.name, &choice.path]
                .into_iter()
                .chain(slaves)
                .map(String::as_str)
                .collect();
            shell.keep(&texts)?;
            shell.world().alternatives.push(choice);
            Ok(0)
        }
        Some(b"--remove") => {
            let [_, name, path] = rest else { return Err(shell.fault(words, "`--remove` has two words")) };
            let (name, path) = (text(name), text(path));
            shell.world().alternatives.retain(|old| old.name != name || old.path != path);
            Ok(0)
        }
        Some(b"--remove-all") => {
            let Some(name) = rest.get(1).map(text) else {
                return Err(shell.fault(words, "a name is missing"));
            };
            shell.world().alternatives.retain(|old| old.name != name);
            Ok(0)
        }
        // By itself the best is chosen.
        Some(b"--auto") => Ok(0),
        // The links are made later; whether there is such a group is what scripts ask.
        Some(b"--query" | b"--display") => {
            let Some(name) = rest.get(1).map(text) else {
                return Err(shell.fault(words, "a name is missing"));
            };
            let mut choices: Vec<Choice> = Vec::new();
            for choice in shell.world().alternatives.clone() {
                if choice.name == name
                    && shell.world().stat(b"/", choice.path.as_bytes(), Last::Followed).is_ok()
                {
                    choices.push(choice);
                }
            }
            let Some(best) = choices.iter().max_by_key(|choice| choice.priority) else {
                shell.say_error(
                    format!("update-alternatives: error: no alternatives for {name}\n").as_bytes(),
                )?;
                return Ok(2);
            };
            let mut said = format!(
                "Name: {name}\nLink: {}\nStatus: auto\nBest: {}\nValue: {}\n",
                best.link, best.path, best.path
            );
            for choice in &choices {
                said.push_str(&format!("\nAlternative: {}\nPriority: {}\n", choice.path, choice.priority));
            }
            shell.say(said.as_bytes())?;
            Ok(0)
        }
        Some(b"--list") => {
            let Some(name) = rest.get(1).map(text) else {
                return Err(shell.fault(words, "a name is missing"));
            };
            let mut paths: Vec<String> = Vec::new();
            for choice in shell.world().alternatives.clone() {
                let there = shell.world().stat(b"/", choice.path.as_bytes(), Last::Followed).is_ok();
                if choice.name == name && there {
                    paths.push(choice.path);
                }
            }
            paths.sort();
            for path in &paths {
                shell.say(format!("{path}\n").as_bytes())?;
            }
            Ok(if paths.is_empty() { 2 } else { 0 })
        }
        _ => Err(shell.fault(words, "this use of update-alternatives is not known")),
    }
}
