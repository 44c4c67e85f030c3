//! debconf's questions (`db_get` and the like), as `confmodule` and the non-interactive frontend answer them.
//!
//! Nobody is asked: a question has the answer of the manifest, else its template's default, and a `select` without a good value
//! its first choice once it was to be shown. The protocol is spoken as debconf-devel(7) has it: a command is a line, and each line
//! has one reply, whose code is the status and whose text is `$RET`.
//!
//! **Refuses** what would stop debconf itself: a question of an unknown kind, a command after `db_stop`.

use std::collections::VecDeque;
use std::rc::Rc;

use super::Status;
use super::Word;
use crate::debian::script::shell::Shell;
use crate::debian::script::world::DATABASE;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Template;
use crate::debian::script::world::is_translation;

/// The codes of replies.
const SUCCESS: u8 = 0;
const ESCAPED: u8 = 1;
const BAD: u8 = 10;
const SYNTAX: u8 = 20;
const INVISIBLE: u8 = 30;

/// Priorities, the least first.
const PRIORITIES: [&str; 4] = ["low", "medium", "high", "critical"];
/// Kinds of questions that can be asked.
const KINDS: [&str; 8] = ["boolean", "error", "multiselect", "note", "password", "select", "string", "text"];

/// What a script has said to debconf so far.
#[derive(Debug, Default)]
pub(in crate::debian::script) struct Session {
    escapes: bool,
    /// To be shown: a question, and whether it has been seen then.
    added: Vec<(String, bool)>,
    /// Questions that were shown, which count as seen once the script ends.
    seen: Vec<String>,
    /// Replies that nobody has read.
    replies: VecDeque<String>,
    stopped: bool,
}

/// A reply: a code, and a text where the command has one, even an empty one.
type Said = (u8, Option<String>);
/// A reply, or why debconf itself would stop.
type Reply = Result<Said, Refused>;

enum Refused {
    Errno(Errno),
    Kind(String),
    Translation,
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

/// Whether `confmodule` has a function of this name.
pub(in crate::debian::script) fn is_known(name: &str) -> bool {
    matches!(
        name,
        "db_capb"
            | "db_set"
            | "db_reset"
            | "db_title"
            | "db_input"
            | "db_beginblock"
            | "db_endblock"
            | "db_go"
            | "db_get"
            | "db_register"
            | "db_unregister"
            | "db_subst"
            | "db_fset"
            | "db_fget"
            | "db_purge"
            | "db_metaget"
            | "db_version"
            | "db_clear"
            | "db_settitle"
            | "db_previous_module"
            | "db_info"
            | "db_progress"
            | "db_data"
            | "db_x_loadtemplatefile"
            | "db_text"
            | "db_stop"
    )
}

/// Runs a function of `confmodule`.
pub(in crate::debian::script) fn ask(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let name = String::from_utf8_lossy(&words[0]).into_owned();
    let command = if name == "db_text" { "input" } else { name.strip_prefix("db_").unwrap_or_default() };
    shell.spend_bytes(words.iter().map(|word| word.len() + 1).sum::<usize>() * 4)?;
    let arguments = words[1..].join(&b' ');
    let Ok(arguments) = String::from_utf8(arguments) else {
        return Err(shell.fault(words, "this is not UTF-8"));
    };
    // What a line says may stay: a value, a variable, a secret.
    shell.keep(&[&arguments, &arguments])?;
    if shell.debconf().stopped {
        return Err(shell.fault(words, "after `db_stop` debconf does not answer"));
    }
    if command == "stop" {
        finish(shell);
        shell.debconf().stopped = true;
        return Ok(0);
    }
    let lines = format!("{} {arguments}", command.to_uppercase());
    for line in lines.split('\n') {
        let (code, text) = match reply(shell, line) {
            Ok(reply) => reply,
            Err(Refused::Errno(errno)) => return Err(shell.fault(words, errno.to_string())),
            Err(Refused::Kind(kind)) => {
                let what = format!("a question of the kind `{}` cannot be asked", kind.escape_debug());
                return Err(shell.fault(words, what));
            }
            Err(Refused::Translation) => {
                return Err(shell.fault(words, "translations of templates are not kept"));
            }
        };
        let said = text.map_or_else(|| code.to_string(), |text| format!("{code} {text}"));
        shell.spend_bytes(said.len())?;
        shell.debconf().replies.push_back(said.split('\n').next().unwrap_or_default().to_owned());
    }
    let line = shell.debconf().replies.pop_front().unwrap_or_default();
    let code = line.split([' ', '\t']).next().unwrap_or_default().to_owned();
    // `${line#[! \t][ \t]}` takes a code of one digit away, and leaves others.
    let text = line.get(1..).and_then(|rest| rest.strip_prefix([' ', '\t'])).unwrap_or(&line).to_owned();
    let (status, text) = match code.as_str() {
        "1" => (0, unescaped(&text).trim_end_matches('\n').to_owned()),
        _ => (code.parse().unwrap_or(0), text),
    };
    shell.set("RET", Rc::from(text.as_bytes()))?;
    Ok(status)
}

/// After the script: what was shown has been seen.
pub(in crate::debian::script) fn finish(shell: &mut Shell<'_, '_>) {
    for question in std::mem::take(&mut shell.debconf().seen) {
        shell.world().questions.set_flag(&question, "seen", "true");
    }
}

/// What `debconf-escape -u` makes of a line.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => out.push('\n'),
                Some(next) => out.push(next),
                None => out.push('\\'),
            },
            (letter, _) => out.push(letter),
        }
    }
    out
}

/// The words of a line of a client that escapes.
fn escaped_words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => word.push('\n'),
                Some(next) => word.push(next),
                None => word.push('\\'),
            },
            blank if is_blank(blank) => {
                while letters.next_if(|next| is_blank(*next)).is_some() {}
                words.push(std::mem::take(&mut word));
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn is_blank(letter: char) -> bool {
    letter.is_ascii_whitespace() || letter == '\u{b}'
}

const DONE: Said = (SUCCESS, None);

fn said(code: u8, text: impl Into<String>) -> Said {
    (code, Some(text.into()))
}

fn wrong_count() -> Said {
    said(SYNTAX, "Incorrect number of arguments")
}

/// What debconf says to a line.
fn reply(shell: &mut Shell<'_, '_>, line: &str) -> Reply {
    let words = if shell.debconf().escapes {
        escaped_words(line)
    } else {
        line.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let Some((command, given)) = words.split_first() else {
        return Ok(said(SYNTAX, format!("Bad line \"{line}\" received from confmodule.")));
    };
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let lower = command.to_ascii_lowercase();
    // How many arguments each has, and which of them is a question that must be there.
    let (least, most, question) = match lower.as_str() {
        "capb" | "title" | "beginblock" | "endblock" => (0, usize::MAX, None),
        "clear" | "go" | "purge" => (0, 0, None),
        "version" => (0, 1, None),
        "info" => (0, 1, Some(0)),
        "x_loadtemplatefile" => (1, 2, None),
        "register" => (2, 2, None),
        "data" => (3, usize::MAX, None),
        "progress" => (1, usize::MAX, None),
        "input" => (2, 2, Some(1)),
        "get" | "reset" | "settitle" | "unregister" => (1, 1, Some(0)),
        "set" => (1, usize::MAX, Some(0)),
        "subst" => (2, usize::MAX, Some(0)),
        "fset" => (3, usize::MAX, Some(0)),
        "metaget" | "fget" => (2, 2, Some(0)),
        _ => {
            let text = format!(
                "Unsupported command \"{lower}\" (full line was \"{line}\") received from confmodule."
            );
            return Ok(said(SYNTAX, text));
        }
    };
    if given.len() < least || given.len() > most {
        return Ok(wrong_count());
    }
    let name = question.and_then(|at| given.get(at).copied());
    if let Some(name) = name
        && !shell.world().questions.all.contains_key(name)
    {
        let quoted = matches!(lower.as_str(), "input" | "info" | "settitle");
        let text = if quoted { format!("\"{name}\" doesn't exist") } else { format!("{name} doesn't exist") };
        return Ok(said(BAD, text));
    }
    let done = Ok(DONE);
    match (lower.as_str(), name) {
        ("input", Some(name)) => input(shell, given[0], name),
        ("go", _) => go(shell),
        ("clear", _) => {
            shell.debconf().added.clear();
            done
        }
        ("version", _) => Ok(match given.first().map(|text| leading_number(text)) {
            Some(0 | 1) => said(INVISIBLE, format!("Version too low ({})", given[0])),
            Some(3..) => said(INVISIBLE, format!("Version too high ({})", given[0])),
            _ => said(SUCCESS, "2.0"),
        }),
        ("capb", _) => {
            shell.debconf().escapes = given.contains(&"escape");
            Ok(said(SUCCESS, "multiselect escape "))
        }
        ("get", Some(name)) => {
            let value = shell.world().questions.value(name).to_owned();
            Ok(data(shell, value))
        }
        ("set", Some(name)) => {
            shell.world().questions.set(name, given[1..].join(" "));
            Ok(said(SUCCESS, "value set"))
        }
        ("reset", Some(name)) => {
            let questions = &mut shell.world().questions;
            let default = questions.template_of(name).map_or("", |template| template.field("default"));
            let default = default.to_owned();
            questions.set(name, default);
            questions.set_flag(name, "seen", "false");
            done
        }
        ("subst", Some(name)) => {
            if let Some(question) = shell.world().questions.all.get_mut(name) {
                question.variables.insert(given[1].to_owned(), given[2..].join(" "));
            }
            done
        }
        ("fget", Some(name)) => Ok(said(SUCCESS, shell.world().questions.flag(name, given[1]))),
        ("fset", Some(name)) => {
            let value = given[2..].join(" ");
            if given[1] == "seen" {
                shell.debconf().seen.retain(|seen| seen != name);
            }
            shell.world().questions.set_flag(name, given[1], &value);
            Ok(said(SUCCESS, value))
        }
        ("metaget", Some(name)) => {
            let field = given[1].to_ascii_lowercase();
            let value = meta(shell, name, &field)?;
            // It has none before it is asked.
            if field == "priority" && value.is_empty() {
                return Ok(said(BAD, format!("{} does not exist", given[1])));
            }
            Ok(data(shell, value))
        }
        ("register", _) => Ok(register(shell, given[0], given[1])),
        ("unregister", Some(name)) => {
            let count = shell.world().questions.all.len() + shell.debconf().added.len();
            shell.world().spend(50 * count as u64)?;
            if shell.debconf().added.iter().any(|(added, _)| added == name) {
                return Ok(said(BAD, format!("{name} is busy, cannot unregister right now")));
            }
            let owner = shell.script().0.to_owned();
            shell.world().questions.unregister(name, &owner);
            done
        }
        ("purge", _) => {
            let owner = shell.script().0.to_owned();
            let names: Vec<String> = shell.world().questions.all.keys().cloned().collect();
            shell.world().spend(20 * (names.len() * names.len()) as u64)?;
            for name in names {
                shell.world().questions.unregister(&name, &owner);
            }
            done
        }
        ("data", _) => Ok(template_data(shell, &given)),
        ("progress", _) => Ok(progress(shell, &given)),
        ("x_loadtemplatefile", _) => load(shell, &given),
        // Titles, help, blocks: nothing is shown.
        _ => done,
    }
}

/// What is asked for, as the client can read it.
fn data(shell: &mut Shell<'_, '_>, value: String) -> Said {
    if shell.debconf().escapes {
        said(ESCAPED, value.replace('\\', "\\\\").replace('\n', "\\n"))
    } else {
        said(SUCCESS, value)
    }
}

/// The number that Perl's `int` takes from the beginning of a word.
fn leading_number(text: &str) -> u64 {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().unwrap_or(0)
}

/// `INPUT`: nothing is visible to the non-interactive frontend, so the answer is made at `GO`.
fn input(shell: &mut Shell<'_, '_>, priority: &str, name: &str) -> Reply {
    let Some(rank) = PRIORITIES.iter().position(|known| *known == priority) else {
        return Ok(said(SYNTAX, format!("\"{priority}\" is not a valid priority")));
    };
    let waiting = shell.debconf().added.len();
    shell.world().spend(20 * waiting as u64)?;
    let questions = &mut shell.world().questions;
    let least = PRIORITIES.iter().position(|known| *known == questions.value("debconf/priority"));
    let kind = questions.kind(name).to_owned();
    if !KINDS.contains(&kind.as_str()) {
        return Err(Refused::Kind(kind));
    }
    let shown = rank >= least.unwrap_or(2) && questions.flag(name, "seen") != "true";
    if let Some(question) = questions.all.get_mut(name) {
        priority.clone_into(&mut question.priority);
    }
    if shell.debconf().added.iter().all(|(added, _)| added != name) {
        shell.debconf().added.push((name.to_owned(), shown || kind == "error"));
    }
    Ok(said(INVISIBLE, "question skipped"))
}

/// `GO`: each question has the answer that it would have got.
fn go(shell: &mut Shell<'_, '_>) -> Reply {
    for (name, counts) in std::mem::take(&mut shell.debconf().added) {
        let world = shell.world();
        let value = match world.questions.kind(&name) {
            "text" | "error" => String::new(),
            "select" => {
                let choices = world.questions.choices(&name, &world.fuel)?;
                let value = world.questions.value(&name);
                match choices.first() {
                    Some(first) if !choices.iter().any(|choice| choice == value) => first.clone(),
                    Some(_) => value.to_owned(),
                    None => String::new(),
                }
            }
            _ => world.questions.value(&name).to_owned(),
        };
        world.questions.set(&name, value);
        if counts {
            shell.debconf().seen.push(name);
        }
    }
    Ok(said(SUCCESS, "ok"))
}

/// A field of a question or of its template.
fn meta(shell: &mut Shell<'_, '_>, name: &str, field: &str) -> Result<String, Refused> {
    let world = shell.world();
    let questions = &world.questions;
    let Some(question) = questions.all.get(name) else { return Ok(String::new()) };
    let template = questions.template_of(name);
    if is_translation(field) && template.is_some() {
        return Err(Refused::Translation);
    }
    let text = template.map_or("", |template| template.field(field));
    Ok(match field {
        "name" => name.to_owned(),
        "template" => question.template.clone(),
        "priority" => question.priority.clone(),
        "owners" => question.owners.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        "value" => questions.value(name).to_owned(),
        _ if ["description", "extended_description", "choices"]
            .contains(&field.split('-').next().unwrap_or("")) =>
        {
            questions.expanded(name, text, &world.fuel)?
        }
        _ => text.to_owned(),
    })
}

fn register(shell: &mut Shell<'_, '_>, template: &str, name: &str) -> Said {
    let owner = shell.script().0.to_owned();
    let questions = &mut shell.world().questions;
    if !questions.all.contains_key(template) {
        return said(BAD, format!("No such template, \"{template}\""));
    }
    let is_new = !questions.all.contains_key(name);
    questions.register(template, name, &owner);
    if is_new && template == DATABASE && questions.value(name) == "false" {
        let what =
            format!("the database of `{owner}`: no server is there; `dpkg-reconfigure {owner}` makes it");
        shell.world().not_done(&what);
    }
    DONE
}

/// `DATA TEMPLATE FIELD VALUE`: a template of the script's own.
fn template_data(shell: &mut Shell<'_, '_>, given: &[&str]) -> Said {
    let (name, item, value) = (given[0], given[1], unescaped_data(&given[2..].join(" ")));
    let owner = shell.script().0.to_owned();
    let questions = &mut shell.world().questions;
    match (questions.templates.get_mut(name), item) {
        (None, "type") => {
            let fields = [("type".to_owned(), value)].into();
            questions.templates.insert(name.to_owned(), Template { name: name.to_owned(), fields });
            questions.register(name, name, &owner);
        }
        (None, _) => {
            return said(BAD, format!("Template data field '{item}' received before type field"));
        }
        (Some(_), "type") => return said(BAD, "Template type already set"),
        (Some(template), _) => {
            template.fields.insert(item.to_owned(), value);
        }
    }
    DONE
}

/// `\n`, `\"` and `\\` of a value of `DATA`.
fn unescaped_data(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letters.next_if(|next| letter == '\\' && matches!(next, 'n' | '"' | '\\')) {
            Some('n') => out.push('\n'),
            Some(next) => out.push(next),
            None => out.push(letter),
        }
    }
    out
}

fn progress(shell: &mut Shell<'_, '_>, given: &[&str]) -> Said {
    let count = match given[0].to_ascii_lowercase().as_str() {
        "start" => 4,
        "set" | "step" | "info" => 2,
        "stop" => 1,
        _ => return said(SYNTAX, "Unknown subcommand"),
    };
    if given.len() != count {
        return wrong_count();
    }
    let question = match given[0].to_ascii_lowercase().as_str() {
        "start" => {
            let (least, most) = (leading_number(given[1]), leading_number(given[2]));
            if least > most {
                return said(SYNTAX, format!("min ({}) > max ({})", given[1], given[2]));
            }
            given[3]
        }
        "info" => given[1],
        _ => return said(SUCCESS, "OK"),
    };
    if shell.world().questions.all.contains_key(question) {
        said(SUCCESS, "OK")
    } else {
        said(BAD, format!("{question} doesn't exist"))
    }
}

/// `X_LOADTEMPLATEFILE FILE [OWNER]`
fn load(shell: &mut Shell<'_, '_>, given: &[&str]) -> Reply {
    let owner = given.get(1).map_or_else(|| shell.script().0.to_owned(), |owner| (*owner).to_owned());
    let cwd = shell.cwd().to_vec();
    let bytes = match shell.world().read(&cwd, given[0].as_bytes()) {
        Ok(bytes) => bytes,
        Err(errno) if errno.is_told() => {
            return Ok(said(BAD, format!("failed to open {}: {errno}", given[0])));
        }
        Err(errno) => return Err(errno.into()),
    };
    shell.world().spend_bytes(4 * bytes.len())?;
    shell.world().fuel.keep(4 * bytes.len() as u64)?;
    match Template::read(&bytes) {
        Ok(templates) => {
            shell.world().questions.load(&owner, templates);
            Ok(DONE)
        }
        Err(error) => Ok(said(100, error.to_string())),
    }
}
