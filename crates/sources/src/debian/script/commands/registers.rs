//! Lists that several packages keep together by a program: the drivers of unixODBC (`odbcinst`), the versions of Python
//! (`py3versions`).
//!
//! **Guarantees**: the files are as the programs write them. **Refuses** what is not a list of the whole machine: data sources
//! of users, the versions that a source package asks for.

use std::fmt::Write as _;

use super::Command;
use super::Word;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long;
use super::options::valued;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Last;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "odbcinst" => odbcinst,
        "py3versions" => py3versions,
        _ => return None,
    })
}

/// Where the drivers are listed.
const DRIVERS: &str = "/etc/odbcinst.ini";
/// How often a driver was installed.
const COUNT: &str = "UsageCount";

/// A driver: its name, and its properties in their order.
type Section = (String, Vec<(String, String)>);

/// `odbcinst -i -d (-f FILE | -r)`, `-q -d [-n NAME]`, `-u -d -n NAME` of unixODBC 2.3; `-v` says less.
fn odbcinst(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('i', ""),
        flag('q', ""),
        flag('u', ""),
        flag('d', ""),
        flag('r', ""),
        flag('v', ""),
        valued('f', ""),
        valued('n', ""),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if !given.has('d') || !given.operands.is_empty() {
        return Err(shell.fault(words, "only drivers are listed here"));
    }
    if shell.found_in_path(&words[0]).is_none() {
        return not_found(shell, words);
    }
    let cwd = shell.cwd().to_vec();
    let listed = shell.world().read(b"/", DRIVERS.as_bytes()).unwrap_or_default();
    let Some(mut drivers) = sections(&String::from_utf8_lossy(&listed)) else {
        return Err(shell.fault(words, format!("a line of `{DRIVERS}` is not understood")));
    };
    let name = given.value('n').map(|name| String::from_utf8_lossy(name).into_owned());
    let mut said = String::new();
    if given.has('i') {
        let template = match given.value('f') {
            _ if given.has('r') => shell.read_all()?,
            Some(path) => match shell.world().read(&cwd, &path.clone()) {
                Ok(bytes) => bytes,
                Err(errno) => return shell.failed(words, &path.clone(), errno),
            },
            None => return Err(shell.fault(words, "nothing is said to be installed")),
        };
        let Some(new) = sections(&String::from_utf8_lossy(&template)) else {
            return Err(shell.fault(words, "a line of what is to be installed is not understood"));
        };
        for (name, mut properties) in new {
            shell.spend(1_000 * (1 + drivers.len() as u64))?;
            let old = drivers.iter().position(|(known, _)| known.eq_ignore_ascii_case(&name));
            let count = 1 + old.map_or(0, |at| count(&drivers[at]));
            properties.retain(|(key, _)| !key.eq_ignore_ascii_case(COUNT));
            properties.push((COUNT.to_owned(), count.to_string()));
            match old {
                Some(at) => drivers[at].1 = properties,
                None => drivers.push((name, properties)),
            }
            let _ = writeln!(said, "odbcinst: Driver installed. Usage count increased to {count}. ");
            said.push_str("    Target directory is /etc\n");
        }
    } else if given.has('u') {
        let Some(name) = name else { return Err(shell.fault(words, "no driver is named")) };
        let at = drivers.iter().position(|(known, _)| known.eq_ignore_ascii_case(&name));
        let left = at.map_or(0, |at| count(&drivers[at]).saturating_sub(1));
        match at {
            Some(at) if left == 0 => {
                drivers.remove(at);
            }
            Some(at) => {
                if let Some((_, value)) =
                    drivers[at].1.iter_mut().find(|(key, _)| key.eq_ignore_ascii_case(COUNT))
                {
                    *value = left.to_string();
                }
            }
            None => {}
        }
        said = match left {
            0 => format!(
                "{name} has been deleted (if it existed at all) because its usage count became zero\n"
            ),
            _ => format!("{name} usage count has been reduced to {left}\n"),
        };
    } else if given.has('q') {
        let shown: String = match &name {
            Some(name) => drivers
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|driver| written(std::slice::from_ref(driver)).trim_end().to_owned() + "\n")
                .collect(),
            None => drivers.iter().flat_map(|(known, _)| ["[", known, "]\n"]).collect(),
        };
        if shown.is_empty() {
            return Ok(1);
        }
        shell.say(shown.as_bytes())?;
        return Ok(0);
    } else {
        return Err(shell.fault(words, "this use of odbcinst is not known"));
    }
    if !given.has('v') {
        shell.say(said.as_bytes())?;
    }
    write(shell, words, DRIVERS, &written(&drivers))
}

fn write(shell: &mut Shell<'_, '_>, words: &[Word], path: &str, text: &str) -> Status {
    let opened = shell.world().open_to_write(b"/", path.as_bytes(), 0o644, Kept::Nothing);
    match opened.and_then(|file| shell.world().append(&file, text.as_bytes())) {
        Ok(()) => Ok(0),
        Err(errno) => shell.failed(words, path.as_bytes(), errno),
    }
}

/// How often a driver was installed.
fn count((_, properties): &Section) -> u64 {
    let value = properties.iter().find(|(key, _)| key.eq_ignore_ascii_case(COUNT));
    value.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// Sections of an INI file as unixODBC reads them: comments are gone, blanks around names and values too. Nothing where a line
/// is neither a section nor a property of one.
fn sections(text: &str) -> Option<Vec<Section>> {
    let mut sections: Vec<Section> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with([';', '#'])) {
        if let Some(name) = line.strip_prefix('[') {
            sections.push((name.split_once(']')?.0.to_owned(), Vec::new()));
        } else {
            let (key, value) = line.split_once('=')?;
            sections.last_mut()?.1.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Some(sections)
}

/// Sections as unixODBC writes them.
fn written(sections: &[Section]) -> String {
    let mut text = String::new();
    for (name, properties) in sections {
        let _ = writeln!(text, "[{name}]");
        for (key, value) in properties {
            let _ = writeln!(text, "{key}={value}");
        }
        text.push('\n');
    }
    text
}

/// `py3versions [-v] -d|-s|-i|--min-supported|--max-supported`: which versions of Python Debian has, and which are in the image.
fn py3versions(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('d', "default"),
        flag('s', "supported"),
        flag('i', "installed"),
        flag('v', "version"),
        long('m', "min-supported"),
        long('M', "max-supported"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let Ok(text) = shell.world().read(b"/", b"/usr/share/python3/debian_defaults") else {
        return not_found(shell, words);
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='));
        line.map(str::trim).unwrap_or_default().to_owned()
    };
    let default = value("default-version");
    let mut supported: Vec<String> =
        value("supported-versions").split(',').map(|name| name.trim().to_owned()).collect();
    // The default is the last one.
    supported.sort();
    supported.retain(|name| *name != default && !name.is_empty());
    supported.push(default.clone());
    let number = |name: &String| -> Vec<u64> {
        name.trim_start_matches("python").split('.').map(|part| part.parse().unwrap_or(0)).collect()
    };
    let names = match given.options.iter().find(|(letter, _)| *letter != 'v').map(|(letter, _)| letter) {
        Some('d') => vec![default],
        Some('s') => supported,
        Some('i') => {
            supported.sort();
            supported.retain(|name| is_there(shell, &format!("/usr/bin/{name}")));
            supported
        }
        Some('m') => supported.into_iter().min_by_key(number).into_iter().collect(),
        Some('M') => supported.into_iter().max_by_key(number).into_iter().collect(),
        _ => return Err(shell.fault(words, "this use of py3versions is not known")),
    };
    let shown: Vec<&str> = names
        .iter()
        .map(|name| if given.has('v') { name.strip_prefix("python").unwrap_or(name) } else { name })
        .collect();
    shell.say(format!("{}\n", shown.join(" ")).as_bytes())?;
    Ok(0)
}

fn is_there(shell: &mut Shell<'_, '_>, path: &str) -> bool {
    shell.world().stat(b"/", path.as_bytes(), Last::Followed).is_ok()
}

/// What a shell says of a program that is not in the image.
fn not_found(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    shell.say_error(&[&words[0][..], b": not found\n"].concat())?;
    Ok(127)
}
