//! Apache's `a2query`, `a2enmod`, `a2dismod` and their relatives for sites and configurations, which are Perl in Debian.
//!
//! They make and take links in `/etc/apache2/*-enabled`, with those that a module needs, and keep in `/var/lib/apache2` who has
//! done so. **Refuses** circles of dependencies and questions on a terminal.

use std::cell::Cell;

use super::Command;
use super::Word;
use super::as_text;
use super::options;
use super::options::Known;
use super::options::flag;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Pattern;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Last;

const CONFIGURATION: &str = "/etc/apache2";
const STATE: &str = "/var/lib/apache2";
/// Modules without which the server is of no use.
const ESSENTIAL: [&str; 17] = [
    "alias",
    "auth_basic",
    "authn_file",
    "authz_host",
    "authz_user",
    "autoindex",
    "deflate",
    "dir",
    "env",
    "filter",
    "logio",
    "mime",
    "negotiation",
    "setenvif",
    "unixd",
    "version",
    "watchdog",
];
/// Deepest row of modules that need one another.
const MAX_DEPTH: usize = 40;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "a2query" => query,
        "a2enmod" | "a2dismod" | "a2enconf" | "a2disconf" | "a2ensite" | "a2dissite" => switch,
        _ => return None,
    })
}

fn exists(shell: &mut Shell<'_, '_>, path: &str, last: Last) -> bool {
    shell.world().stat(b"/", path.as_bytes(), last).is_ok()
}

/// The names in a folder that end so, without that end.
fn names(shell: &mut Shell<'_, '_>, folder: &str, end: &str) -> Result<Vec<String>, Errno> {
    let stat = shell.world().stat(b"/", folder.as_bytes(), Last::Followed)?;
    let all = shell.world().list(&stat.path)?;
    Ok(all.iter().filter_map(|name| as_text(name).strip_suffix(end).map(str::to_owned)).collect())
}

/// `a2query [-q] [-m|-s|-c [NAME]] [-M] [-v] [-d]`
fn query(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut quiet, mut asked): (bool, Vec<(u8, String)>) = (false, Vec::new());
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match &**word {
            b"-q" => quiet = true,
            b"-m" | b"-s" | b"-c" => {
                asked.push((word[1], rest.next().map(|name| as_text(name)).unwrap_or_default()));
            }
            b"-M" | b"-v" | b"-d" => asked.push((word[1], String::new())),
            _ => return Err(shell.fault(words, "this use of a2query is not known")),
        }
    }
    let modules = match names(shell, &format!("{CONFIGURATION}/mods-enabled"), ".load") {
        Ok(modules) => modules,
        Err(errno) if errno.is_told() => return Ok(1),
        Err(errno) => return Err(shell.fault(words, errno.to_string())),
    };
    let is_mpm = |module: &&String| matches!(module.as_str(), "mpm_event" | "mpm_worker" | "mpm_prefork");
    if modules.iter().filter(is_mpm).count() > 1 {
        shell.say_error(b"There is more than one MPM loaded. Do not proceed due to undefined results\n")?;
        return Ok(1);
    }
    let mpm = modules.iter().find(is_mpm).and_then(|module| module.strip_prefix("mpm_")).unwrap_or("invalid");
    let mut out = String::new();
    for (what, name) in asked {
        let (kind, folder) = match what {
            b'm' => ("module", "mods-enabled"),
            b's' => ("site", "sites-enabled"),
            b'c' => ("conf", "conf-enabled"),
            b'M' => {
                out.push_str(&format!("{mpm}\n"));
                continue;
            }
            b'v' => {
                let version =
                    shell.world().packages.get("apache2-bin").map(|package| package.version.clone());
                let Some(version) = version else {
                    return Err(shell.fault(words, "apache2-bin is not there"));
                };
                out.push_str(&format!("{}\n", version.split('-').next().unwrap_or_default()));
                continue;
            }
            _ => {
                out.push_str("/usr/lib/apache2/modules/\n");
                continue;
            }
        };
        let enabled = if what == b'm' {
            modules.clone()
        } else {
            let found = names(shell, &format!("{CONFIGURATION}/{folder}"), ".conf");
            found.map_err(|errno| shell.fault(words, errno.to_string()))?
        };
        let wanted = name.strip_prefix("mod").unwrap_or(&name);
        let wanted =
            wanted.replacen(".conf", "", 1).replacen(".load", "", usize::from(!wanted.contains(".conf")));
        let mut any = false;
        for one in enabled.iter().filter(|one| wanted.is_empty() || **one == wanted) {
            any = true;
            let by = match by(shell, kind, "enabled", one) {
                Some("admin") => "site administrator",
                Some(_) => "maintainer script",
                None => "unknown",
            };
            out.push_str(&format!("{one} (enabled by {by})\n"));
        }
        if !any {
            if !quiet {
                shell.say(out.as_bytes())?;
                shell.say_error(format!("No {kind} matches {wanted}\n").as_bytes())?;
            }
            return Ok(match by(shell, kind, "disabled", &wanted) {
                Some("admin") => 32,
                Some(_) => 33,
                None => 1,
            });
        }
    }
    if !quiet {
        shell.say(out.as_bytes())?;
    }
    Ok(0)
}

/// Who has enabled or disabled it.
fn by(shell: &mut Shell<'_, '_>, kind: &str, what: &str, name: &str) -> Option<&'static str> {
    ["maint", "admin"]
        .into_iter()
        .find(|who| exists(shell, &format!("{STATE}/{kind}/{what}_by_{who}/{name}"), Last::Followed))
}

/// What `a2enmod` and the others are to do.
struct Switch<'s> {
    words: &'s [Word],
    enable: bool,
    /// `module`, `conf`, `site`
    kind: &'static str,
    /// `mods`, `conf`, `sites`
    folder: &'static str,
    /// `.load`, `.conf`
    end: &'static str,
    quiet: bool,
    force: bool,
    maintainer: bool,
    purge: bool,
    /// Whether links were made or taken.
    changed: Cell<bool>,
}

fn switch(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] =
        &[flag('q', "quiet"), flag('f', "force"), flag('m', "maintmode"), flag('p', "purge")];
    let given = options::read(shell, words, KNOWN)?;
    let name = as_text(&words[0]);
    let (kind, folder, end) = match &name[name.len().saturating_sub(4)..] {
        "conf" => ("conf", "conf", ".conf"),
        "site" => ("site", "sites", ".conf"),
        _ => ("module", "mods", ".load"),
    };
    let switch = Switch {
        words,
        enable: name.starts_with("a2en"),
        kind,
        folder,
        end,
        quiet: given.has('q'),
        force: given.has('f'),
        maintainer: given.has('m'),
        purge: given.has('p'),
        changed: Cell::new(false),
    };
    if given.operands.is_empty() {
        return Err(shell.fault(words, "nobody is there to be asked for a name"));
    }
    let mut status = 0;
    let from = if switch.enable { "available" } else { "enabled" };
    let there = names(shell, &format!("{CONFIGURATION}/{folder}-{from}"), end).unwrap_or_default();
    for operand in &given.operands {
        let wanted = as_text(operand);
        let wanted = wanted.strip_suffix(end).unwrap_or(&wanted);
        // Without a wildcard a name stands for itself.
        let found: Vec<String> = if wanted.contains(['*', '?', '[']) {
            let pattern = Pattern::of_text(wanted.as_bytes());
            let mut found = Vec::new();
            for name in &there {
                if shell.matches(&pattern, name.as_bytes())? {
                    found.push(name.clone());
                }
            }
            found
        } else {
            vec![wanted.to_owned()]
        };
        if found.is_empty() {
            shell.say_error(format!("ERROR: No {kind} found matching {wanted}!\n").as_bytes())?;
            status = 1;
        }
        for one in found {
            if !act(shell, &switch, &one, 0)? {
                status = 1;
            }
        }
    }
    if switch.changed.get() {
        let how = if kind == "module" { "restart" } else { "reload" };
        let what = format!("To activate the new configuration, you need to run:\n  service apache2 {how}\n");
        inform(shell, &switch, &what)?;
    }
    Ok(status)
}

impl Switch<'_> {
    fn available(&self, file: &str) -> String {
        format!("{CONFIGURATION}/{}-available/{file}", self.folder)
    }

    fn enabled(&self, file: &str) -> String {
        format!("{CONFIGURATION}/{}-enabled/{file}", self.folder)
    }
}

fn inform(shell: &mut Shell<'_, '_>, switch: &Switch<'_>, what: &str) -> Result<(), Flow> {
    if switch.quiet { Ok(()) } else { shell.say(what.as_bytes()) }
}

fn complain(shell: &mut Shell<'_, '_>, what: &str) -> Result<bool, Flow> {
    shell.say_error(format!("ERROR: {what}\n").as_bytes())?;
    Ok(false)
}

/// Enables or disables one, with what it needs.
fn act(shell: &mut Shell<'_, '_>, switch: &Switch<'_>, name: &str, depth: usize) -> Result<bool, Flow> {
    if depth > MAX_DEPTH {
        return Err(shell.fault(switch.words, "these modules need one another"));
    }
    shell.spend(2_000)?;
    let threaded = ["mpm_worker.load", "mpm_event.load"];
    let mut name = name.to_owned();
    if switch.kind == "module"
        && switch.enable
        && name == "cgi"
        && threaded.iter().any(|mpm| exists(shell, &switch.enabled(mpm), Last::Followed))
    {
        shell.say(b"Your MPM seems to be threaded. Selecting cgid instead of cgi.\n")?;
        name = "cgid".into();
    }
    let file = format!("{name}{}", switch.end);
    let second = format!("{name}.conf");
    let second = (switch.kind == "module" && exists(shell, &switch.available(&second), Last::Followed))
        .then_some(second);
    let title = match switch.kind {
        "module" => "Module",
        "conf" => "Conf",
        _ => "Site",
    };
    let link = switch.enabled(&file);
    if !exists(shell, &switch.available(&file), Last::Followed) {
        let dangles = exists(shell, &link, Last::Itself) && !exists(shell, &link, Last::Followed);
        if dangles && !switch.enable {
            inform(shell, switch, &format!("removing dangling symlink {link}\n"))?;
            remove(shell, switch, &file)?;
            remove(shell, switch, &format!("{name}.conf"))?;
            return Ok(true);
        }
        if switch.purge {
            mark(shell, switch, &name)?;
            return Ok(true);
        }
        return complain(shell, &format!("{title} {name} does not exist!"));
    }
    if !needed(shell, switch, &name, depth)? {
        return Ok(false);
    }
    if switch.enable {
        let first = links(shell, switch, &file)?;
        let state = match &second {
            Some(second) => links(shell, switch, second)?,
            None => Some(true),
        };
        match (first, state) {
            (None, _) | (_, None) => complain(shell, &format!("{title} {name} not properly enabled")),
            (Some(true), Some(true)) => {
                inform(shell, switch, &format!("{title} {name} already enabled\n"))?;
                Ok(true)
            }
            (Some(true), Some(false)) => {
                shell.say(format!("Enabling config file {name}.conf.\n").as_bytes())?;
                make(shell, switch, second.as_deref().unwrap_or_default())?;
                Ok(true)
            }
            (Some(false), state) => {
                if state == Some(false) {
                    make(shell, switch, second.as_deref().unwrap_or_default())?;
                }
                shell.say(format!("Enabling {} {name}.\n", switch.kind).as_bytes())?;
                make(shell, switch, &file)?;
                shell.world().note(format!("Apache {} {name} enabled", switch.kind));
                mark(shell, switch, &name)?;
                Ok(true)
            }
        }
    } else if exists(shell, &link, Last::Itself) {
        if switch.kind == "module" && ESSENTIAL.contains(&name.as_str()) && !switch.force {
            return Err(shell.fault(switch.words, "an essential module is disabled after a question only"));
        }
        remove(shell, switch, &file)?;
        if let Some(second) = second {
            remove(shell, switch, &second)?;
        }
        mark(shell, switch, &name)?;
        shell.world().note(format!("Apache {} {name} disabled", switch.kind));
        shell.say(format!("{title} {name} disabled.\n").as_bytes())?;
        Ok(true)
    } else {
        let stale = second.filter(|second| exists(shell, &switch.enabled(second), Last::Followed));
        if let Some(stale) = stale {
            shell.say(format!("Disabling stale config file {stale}.\n").as_bytes())?;
            remove(shell, switch, &stale)?;
        } else {
            inform(shell, switch, &format!("{title} {name} already disabled\n"))?;
            if switch.purge {
                mark(shell, switch, &name)?;
            }
        }
        Ok(true)
    }
}

/// What must be enabled or disabled with it, and what must not be there.
fn needed(shell: &mut Shell<'_, '_>, switch: &Switch<'_>, name: &str, depth: usize) -> Result<bool, Flow> {
    let own = switch.available(&format!("{name}{}", switch.end));
    let mut with = Vec::new();
    if switch.enable {
        with = listed(shell, switch, &own, "Depends")?;
    } else if switch.kind == "module" {
        for other in names(shell, &format!("{CONFIGURATION}/mods-enabled"), ".load").unwrap_or_default() {
            let path = switch.enabled(&format!("{other}.load"));
            if listed(shell, switch, &path, "Depends")?.iter().any(|needed| needed == name) {
                with.push(other);
            }
        }
        if !with.is_empty() && !switch.force {
            let what = format!(
                "The following modules depend on {name} and need to be disabled first: {}",
                with.join(" ")
            );
            return complain(shell, &what);
        }
    }
    for other in with {
        if switch.kind != "module" {
            inform(shell, switch, &format!("Checking dependency {other} for {name}:\n"))?;
            if !exists(shell, &format!("{CONFIGURATION}/mods-enabled/{other}.load"), Last::Followed) {
                let what =
                    format!("WARNING: Module {other} is not enabled, but {name} depends on it, aborting\n");
                shell.say_error(what.as_bytes())?;
                return Ok(false);
            }
            continue;
        }
        inform(shell, switch, &format!("Considering dependency {other} for {name}:\n"))?;
        if !act(shell, switch, &other, depth + 1)? {
            return complain(shell, &format!("Could not do so with dependency {other} for {name}, aborting"));
        }
    }
    let mut good = true;
    if switch.enable && switch.kind == "module" {
        for other in listed(shell, switch, &own, "Conflicts")? {
            inform(shell, switch, &format!("Considering conflict {other} for {name}:\n"))?;
            if links(shell, switch, &format!("{other}.load"))? == Some(true) {
                let what = format!(
                    "Module {other} is enabled - cannot proceed due to conflicts. It needs to be disabled first!"
                );
                good = complain(shell, &what)?;
            }
        }
    }
    Ok(good)
}

/// The names behind `# Depends:` or `# Conflicts:`, which stands before everything but blank lines and comments.
fn listed(
    shell: &mut Shell<'_, '_>,
    switch: &Switch<'_>,
    path: &str,
    what: &str,
) -> Result<Vec<String>, Flow> {
    let bytes = match shell.world().read(b"/", path.as_bytes()) {
        Ok(bytes) => bytes,
        Err(errno) if errno.is_told() => return Ok(Vec::new()),
        Err(errno) => return Err(shell.fault(switch.words, errno.to_string())),
    };
    for line in as_text(&bytes).lines() {
        if let Some(names) =
            line.strip_prefix("# ").and_then(|line| line.strip_prefix(what)?.strip_prefix(':'))
        {
            return Ok(names.split_whitespace().map(str::to_owned).collect());
        }
        if !line.trim_start().is_empty() && !line.trim_start().starts_with('#') {
            break;
        }
    }
    Ok(Vec::new())
}

/// Whether a file is enabled; nothing where something else has its place.
fn links(shell: &mut Shell<'_, '_>, switch: &Switch<'_>, file: &str) -> Result<Option<bool>, Flow> {
    let link = switch.enabled(file);
    let world = shell.world();
    let Ok(there) = world.stat(b"/", link.as_bytes(), Last::Itself) else { return Ok(Some(false)) };
    let Ok(leads) = world.stat(b"/", link.as_bytes(), Last::Followed) else {
        inform(shell, switch, &format!("Removing dangling link {link}"))?;
        remove(shell, switch, file)?;
        return Ok(Some(false));
    };
    let wanted = world.stat(b"/", switch.available(file).as_bytes(), Last::Followed);
    let is_link = there.path != leads.path;
    Ok((is_link && wanted.is_ok_and(|wanted| wanted.path == leads.path)).then_some(true))
}

fn make(shell: &mut Shell<'_, '_>, switch: &Switch<'_>, file: &str) -> Result<(), Flow> {
    switch.changed.set(true);
    let target = format!("../{}-available/{file}", switch.folder);
    let made = shell.world().make_link(b"/", switch.enabled(file).as_bytes(), target.as_bytes());
    made.map_err(|errno| shell.fault(switch.words, errno.to_string()))
}

/// Takes a link away; a file stays.
fn remove(shell: &mut Shell<'_, '_>, switch: &Switch<'_>, file: &str) -> Result<(), Flow> {
    let world = shell.world();
    let Ok(place) = world.locate(b"/", switch.enabled(file).as_bytes(), Last::Itself) else { return Ok(()) };
    let is_link =
        world.tree.get(&place).is_some_and(|node| matches!(node.kind, pinfold_archive::NodeKind::Symlink(_)));
    if !is_link {
        return Ok(());
    }
    switch.changed.set(true);
    world.remove(&place).map_err(|errno| shell.fault(switch.words, errno.to_string()))
}

/// Keeps who has enabled or disabled it, in the place of what was kept before.
fn mark(shell: &mut Shell<'_, '_>, switch: &Switch<'_>, name: &str) -> Result<(), Flow> {
    let who = if switch.maintainer { "maint" } else { "admin" };
    let done = if switch.enable { "enabled" } else { "disabled" };
    let all = ["enabled_by_maint", "enabled_by_admin", "disabled_by_maint", "disabled_by_admin"];
    let failed = |shell: &mut Shell<'_, '_>, errno: Errno| shell.fault(switch.words, errno.to_string());
    for folder in all {
        let path = format!("{STATE}/{}/{folder}/{name}", switch.kind);
        if let Ok(place) = shell.world().locate(b"/", path.as_bytes(), Last::Itself)
            && shell.world().tree.contains(&place)
        {
            shell.world().remove(&place).map_err(|errno| failed(shell, errno))?;
        }
    }
    let folder = format!("{STATE}/{}/{done}_by_{who}", switch.kind);
    for path in [STATE.to_owned(), format!("{STATE}/{}", switch.kind), folder.clone()] {
        if !exists(shell, &path, Last::Followed) {
            shell
                .world()
                .make_directory(b"/", path.as_bytes(), 0o755)
                .map_err(|errno| failed(shell, errno))?;
        }
    }
    if switch.purge {
        return Ok(());
    }
    let file = format!("{folder}/{name}");
    let made = shell.world().open_to_write(b"/", file.as_bytes(), 0o644, Kept::All);
    made.map(|_| ()).map_err(|errno| failed(shell, errno))
}
