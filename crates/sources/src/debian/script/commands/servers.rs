//! Tools by which servers of Debian switch on what lies beside their configuration: lighttpd's, which are Perl, and Icinga's, which
//! is the server itself.
//!
//! ```text
//! /etc/lighttpd/conf-enabled/NN-NAME.conf       ─► ../conf-available/NN-NAME.conf
//! /etc/icinga2/features-enabled/NAME.conf       ─► ../features-available/NAME.conf
//! ```
//!
//! **Refuses** questions on a terminal, and what else Icinga's program can do.

use std::collections::BTreeMap;

use super::Command;
use super::Word;
use super::as_text;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Last;

const LIGHTTPD: &str = "/etc/lighttpd";
const ICINGA: &str = "/etc/icinga2";

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "lighty-enable-mod" | "lighttpd-enable-mod" => lighttpd_enable,
        "lighty-disable-mod" | "lighttpd-disable-mod" => lighttpd_disable,
        "icinga2" => icinga,
        _ => return None,
    })
}

/// Modules of lighttpd in a folder: name ─► file.
fn modules(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    folder: &str,
) -> Result<BTreeMap<String, String>, Flow> {
    let place = format!("{LIGHTTPD}/{folder}");
    let Ok(stat) = shell.world().stat(b"/", place.as_bytes(), Last::Followed) else {
        return Ok(BTreeMap::new());
    };
    let files = shell.world().list(&stat.path).map_err(|errno| shell.fault(words, errno.to_string()))?;
    let named = |file: String| {
        let (number, name) = file.strip_suffix(".conf")?.split_once('-')?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let good = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (good && !name.is_empty() && name.bytes().all(fits)).then(|| (name.to_owned(), file.clone()))
    };
    Ok(files.iter().filter_map(|file| named(as_text(file))).collect())
}

/// The names behind `# -*- depends: … -*-` or `conflicts` in a module's file.
fn told(shell: &mut Shell<'_, '_>, words: &[Word], file: &str, what: &str) -> Result<Vec<String>, Flow> {
    let path = format!("{LIGHTTPD}/conf-available/{file}");
    let text = shell.world().read(b"/", path.as_bytes());
    let text = text.map_err(|errno| shell.fault(words, errno.to_string()))?;
    shell.spend_bytes(text.len())?;
    let mark = format!("# -*- {what}: ");
    let mut names = Vec::new();
    for line in as_text(&text).lines() {
        let list = line.split_once(&mark).and_then(|(_, rest)| rest.split_once(" -*-"));
        if let Some((list, _)) = list {
            names.extend(list.split(',').map(|name| name.trim().to_owned()));
        }
    }
    Ok(names)
}

/// Ends with what both say at last.
fn reload(shell: &mut Shell<'_, '_>, status: i32) -> Status {
    shell.say(b"Run \"service lighttpd force-reload\" to enable changes\n")?;
    Ok(status)
}

/// The modules that are to be switched; nobody can be asked.
fn asked(shell: &mut Shell<'_, '_>, words: &[Word]) -> Result<Vec<String>, Flow> {
    match &words[1..] {
        [] => Err(shell.fault(words, "which modules are meant is asked on a terminal")),
        names => Ok(names.iter().map(|name| as_text(name)).collect()),
    }
}

fn lighttpd_enable(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut open = asked(shell, words)?;
    let available = modules(shell, words, "conf-available")?;
    let mut enabled = modules(shell, words, "conf-enabled")?;
    let (mut status, mut at) = (0, 0);
    while let Some(name) = open.get(at).cloned() {
        at += 1;
        shell.spend(2_000)?;
        let Some(file) = available.get(&name) else {
            shell.say(format!("Ignoring unknown module: {name}\n").as_bytes())?;
            status = 2;
            continue;
        };
        let link = format!("{LIGHTTPD}/conf-enabled/{file}");
        if shell.world().stat(b"/", link.as_bytes(), Last::Followed).is_ok() {
            shell.say(b"already enabled\n")?;
            status = if status == 1 { 1 } else { 2 };
            continue;
        }
        for needed in told(shell, words, file, "depends")? {
            if !available.contains_key(&needed) {
                shell.say(format!("Unresolved dependency: {needed}\n").as_bytes())?;
                return Ok(1);
            }
            if !enabled.contains_key(&needed) {
                shell.say(format!("Met dependency: {needed}\n").as_bytes())?;
                open.push(needed);
            }
        }
        for other in told(shell, words, file, "conflicts")? {
            if enabled.contains_key(&other) {
                let what = format!("Conflicting dependencies: {name} conflicts with {other}\n");
                shell.say(what.as_bytes())?;
                return Ok(1);
            }
        }
        let target = format!("../conf-available/{file}");
        match shell.world().make_link(b"/", link.as_bytes(), target.as_bytes()) {
            Ok(()) => {
                shell.world().note(format!("lighttpd's module {name} enabled"));
                shell.say(format!("Enabling {name}: ok\n").as_bytes())?;
                enabled.insert(name, file.clone());
            }
            Err(errno) if errno.is_told() => {
                shell.say(format!("failure: {errno}\n").as_bytes())?;
                status = 1;
            }
            Err(errno) => return Err(shell.fault(words, errno.to_string())),
        }
    }
    reload(shell, status)
}

fn lighttpd_disable(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut open = asked(shell, words)?;
    let available = modules(shell, words, "conf-available")?;
    let mut enabled = modules(shell, words, "conf-enabled")?;
    let (mut status, mut at) = (0, 0);
    while let Some(name) = open.get(at).cloned() {
        at += 1;
        shell.spend(2_000)?;
        if !available.contains_key(&name) {
            shell.say(format!("Ignoring unknown module: {name}\n").as_bytes())?;
            status = 2;
            continue;
        }
        let Some(file) = enabled.remove(&name) else {
            shell.say(format!("Already disabled {name}\n").as_bytes())?;
            status = if status == 1 { 1 } else { 2 };
            continue;
        };
        shell.say(format!("Disabling {name}\n").as_bytes())?;
        for (other, file) in available.iter().filter(|(other, _)| enabled.contains_key(*other)) {
            if told(shell, words, file, "depends")?.contains(&name) {
                let what = format!("Reverse dependency met: Disabling {other} too\n");
                shell.say(what.as_bytes())?;
                open.push(other.clone());
            }
        }
        let link = format!("{LIGHTTPD}/conf-enabled/{file}");
        let removed = match shell.world().locate(b"/", link.as_bytes(), Last::Itself) {
            Ok(place) => shell.world().remove(&place),
            Err(errno) => Err(errno),
        };
        removed.map_err(|errno| shell.fault(words, errno.to_string()))?;
    }
    reload(shell, status)
}

/// `icinga2 feature enable|disable NAME…`
fn icinga(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let given: Vec<String> = words[1..].iter().map(|word| as_text(word)).collect();
    let (enable, names) = match &given[..] {
        [feature, verb, names @ ..] if feature == "feature" && verb == "enable" => (true, names),
        [feature, verb, names @ ..] if feature == "feature" && verb == "disable" => (false, names),
        _ => return shell.cannot_be_run(words, "this use of icinga2 is not known"),
    };
    if names.is_empty() {
        return shell.cannot_be_run(words, "which features are meant is not said");
    }
    let (mut status, mut changed) = (0, Vec::new());
    for name in names {
        shell.spend(2_000)?;
        let link = format!("{ICINGA}/features-enabled/{name}.conf");
        let is_enabled = shell.world().stat(b"/", link.as_bytes(), Last::Itself).is_ok();
        if !enable {
            let removed = match shell.world().locate(b"/", link.as_bytes(), Last::Itself) {
                Ok(place) if is_enabled => shell.world().remove(&place),
                _ => Ok(()),
            };
            removed.map_err(|errno| shell.fault(words, errno.to_string()))?;
            changed.extend(is_enabled.then(|| name.clone()));
            continue;
        }
        let there = format!("{ICINGA}/features-available/{name}.conf");
        if shell.world().stat(b"/", there.as_bytes(), Last::Followed).is_err() {
            shell.say_error(format!("critical/cli: Cannot enable feature '{name}'.\n").as_bytes())?;
            status = 1;
            continue;
        }
        if is_enabled {
            continue;
        }
        let target = format!("../features-available/{name}.conf");
        let made = shell.world().make_link(b"/", link.as_bytes(), target.as_bytes());
        made.map_err(|errno| shell.fault(words, errno.to_string()))?;
        shell.world().note(format!("Icinga's feature {name} enabled"));
        changed.push(name.clone());
    }
    let done = if enable { "Enabling" } else { "Disabling" };
    for name in changed {
        let what = format!(
            "{done} feature {name}. Make sure to restart Icinga 2 for these changes to take effect.\n"
        );
        shell.say(what.as_bytes())?;
    }
    Ok(status)
}
