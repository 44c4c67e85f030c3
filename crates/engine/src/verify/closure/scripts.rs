//! Whether the interpreters of executable scripts are there: what the kernel starts (execve(2)), and what env(1) then looks for.

use pinfold_image::survey::Seen;
use pinfold_image::survey::What;

use super::count;
use super::ground::Ground;
use super::known;
use crate::verify::checks::CLOSURE_SCRIPTS;
use crate::verify::report::Finding;
use crate::verify::report::Findings;
use crate::verify::report::Outcome;
use crate::verify::start::interpreter;

pub(super) fn check(ground: &Ground<'_>) -> Outcome {
    let mut found = Findings::default();
    let (mut scripts, mut left_out) = (0, Vec::new());
    for (path, seen) in &ground.survey.paths {
        let Seen { what: What::File(facts), mode, .. } = seen else { continue };
        let Some(line) = facts.script.as_deref().filter(|_| mode & 0o111 != 0) else { continue };
        scripts += 1;
        let Err(problem) = starts(ground, line) else { continue };
        if !ground.commands.contains_key(path) && known::apart(path).is_some() {
            left_out.push(path);
        } else {
            found.add(|| Finding { at: path.to_string(), problem });
        }
    }
    let mut evidence = count(scripts, "executable script");
    if let Some(first) = left_out.first() {
        let files = count(left_out.len(), "file");
        evidence.push_str(&format!("; {files} of packages lack an interpreter (`{first}`)"));
    }
    if let Some(spent) = ground.spent() {
        found.first(spent);
    }
    Outcome::found(CLOSURE_SCRIPTS, evidence, found)
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
    ground.start(&name).map_err(problem)?;
    if !program.ends_with(b"/env") {
        return Ok(());
    }
    // The kernel gives the rest of the line as one argument.
    let rest = line.trim_ascii_start().get(program.len()..).unwrap_or_default().trim_ascii();
    let rest = String::from_utf8_lossy(rest).into_owned();
    match env_starts(&rest) {
        Env::Word(word) => {
            ground.start(&word).map(drop).map_err(|why| format!("`env` does not start `{word}`: {why}"))
        }
        Env::Unknown => Ok(()),
        Env::Refused => Err(format!("`env` takes `{rest}` as one option, and starts nothing")),
    }
}

/// What `env ARGUMENT` starts.
enum Env {
    /// The program of this name.
    Word(String),
    /// What its options and quotes say, which is not followed here.
    Unknown,
    /// Nothing.
    Refused,
}

fn env_starts(argument: &str) -> Env {
    let short = || {
        let options = argument.strip_prefix('-')?;
        let end = options.find(|letter| !"iv0".contains(letter))?;
        options[end..].strip_prefix('S')
    };
    let Some(split) = short().or_else(|| argument.strip_prefix("--split-string=")) else {
        // Without -S the argument is one word: the program's name, blanks and all.
        return match argument {
            "" => Env::Unknown,
            option if option.starts_with('-') => Env::Refused,
            word => Env::Word(word.to_owned()),
        };
    };
    // What stands before the first quote is as it stands.
    let plain = match split.find(['\'', '"', '\\', '$']) {
        Some(end) => &split[..split[..end].rfind([' ', '\t']).unwrap_or(0)],
        None => split,
    };
    let mut words = plain.split_ascii_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-i" | "-" | "--ignore-environment" | "-v" | "--debug" => {}
            "-u" | "-C" => drop(words.next()),
            option if option.starts_with('-') => return Env::Unknown,
            pair if pair.contains('=') => {}
            word => return Env::Word(word.to_owned()),
        }
    }
    Env::Unknown
}
