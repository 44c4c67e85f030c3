//! update-alternatives: groups of choices, their links in the tree, and the files of its database (update-alternatives(1)).
//!
//! Links are made when a choice is installed, so that what runs after it finds them: `/etc/alternatives/NAME` leads to the choice,
//! the generic path to that, and so do the slaves whose files are there. A group is automatic until one is chosen; then the best
//! is that of the highest priority; of equals the one that is linked stays, else it is the first by its path.
//!
//! **Refuses** with status 2, as the program does: a choice that is not in the image, a name with a slash or a blank, a path that is
//! not absolute, a link that another group has. Files that are no links are left alone, but for `--force`.

use std::collections::BTreeMap;

use pinfold_archive::Component;
use pinfold_archive::NodeKind;

use super::Word;
use super::as_text;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Choice;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Group;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Last;

/// Where the middle links are, unless `--altdir` says it.
const MIDDLE: &str = "/etc/alternatives";
/// Where the database is, unless `--admindir` says it.
const DATABASE: &str = "/var/lib/dpkg/alternatives";
/// Who owns the links.
const OWNER: &str = "alternatives";
/// Who owns the database.
const DATABASE_OWNER: &str = "dpkg";
/// The status of everything that goes wrong.
const FAILED: i32 = 2;

/// A call as it is being worked on.
struct Call<'c> {
    words: &'c [Word],
    /// Where the middle links are.
    middle: String,
    /// Where the database is.
    database: String,
    quiet: bool,
    force: bool,
}

/// What went wrong.
enum Wrong {
    /// The program would say this and end.
    Told(String),
    /// The evaluation ends.
    Flow(Flow),
}

impl From<Flow> for Wrong {
    fn from(flow: Flow) -> Self {
        Self::Flow(flow)
    }
}

fn told<T>(what: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong::Told(what.into()))
}

/// Runs update-alternatives.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut call =
        Call { words, middle: MIDDLE.into(), database: DATABASE.into(), quiet: false, force: false };
    match act(shell, &mut call) {
        Ok(()) => Ok(0),
        Err(Wrong::Flow(flow)) => Err(flow),
        Err(Wrong::Told(what)) => {
            shell.say_error(format!("update-alternatives: error: {what}\n").as_bytes())?;
            Ok(FAILED)
        }
    }
}

fn act(shell: &mut Shell<'_, '_>, call: &mut Call<'_>) -> Result<(), Wrong> {
    let words = call.words;
    let (mut action, mut slaves, mut rest): (Option<&Word>, Vec<Slave>, Vec<String>) =
        (None, Vec::new(), Vec::new());
    let mut given = words[1..].iter();
    while let Some(word) = given.next() {
        let mut value = || match given.next() {
            Some(value) => Ok(as_text(value)),
            None => told(format!("`{}` needs a value", word.escape_ascii())),
        };
        match &**word {
            b"--quiet" => call.quiet = true,
            b"--verbose" | b"--debug" | b"--skip-auto" => call.quiet = false,
            b"--force" => call.force = true,
            b"--altdir" => call.middle = value()?,
            b"--admindir" => call.database = value()?,
            b"--log" => drop(value()?),
            b"--root" | b"--instdir" if !matches!(&*value()?, "" | "/") => {
                return Err(shell.fault(words, "another root is not known").into());
            }
            b"--root" | b"--instdir" => {}
            b"--slave" => {
                let slave = Slave { link: value()?, name: value()?, path: value()? };
                check(&slave.name, &slave.link, &slave.path)?;
                slaves.push(slave);
            }
            b"--install" | b"--set" | b"--remove" | b"--remove-all" | b"--auto" | b"--display"
            | b"--query" | b"--list" | b"--get-selections" => {
                if action.replace(word).is_some() {
                    return told("two commands are specified");
                }
                let count = match &**word {
                    b"--install" => 4,
                    b"--set" | b"--remove" => 2,
                    b"--get-selections" => 0,
                    _ => 1,
                };
                for _ in 0..count {
                    rest.push(value()?);
                }
            }
            option if option.starts_with(b"-") => {
                let what = format!("the option `{}` is not known", option.escape_ascii());
                return Err(shell.fault(words, what).into());
            }
            _ => return told(format!("unknown argument '{}'", word.escape_ascii())),
        }
    }
    let groups = shell.world().alternatives.len() as u64;
    shell.spend(1_000 * (1 + groups))?;
    match (action.map(|action| &**action), &rest[..]) {
        (Some(b"--install"), [link, name, path, priority]) => {
            check(name, link, path)?;
            let Ok(priority) = priority.parse() else { return told("priority must be an integer") };
            let new = Install { link, name, path, priority, slaves };
            install(shell, call, &new)
        }
        (Some(b"--get-selections"), _) => selections(shell, call),
        (Some(action), [name, operands @ ..]) => {
            let Some(mut group) = load(shell, call, name) else {
                return match action {
                    b"--remove" | b"--remove-all" => Ok(()),
                    _ => told(format!("no alternatives for {name}")),
                };
            };
            match action {
                b"--display" => display(shell, call, name, &group),
                b"--query" => query(shell, call, name, &group),
                b"--list" => {
                    for choice in &group.choices {
                        shell.say(format!("{}\n", choice.path).as_bytes())?;
                    }
                    Ok(())
                }
                _ => {
                    let path = operands.first().map(String::as_str).unwrap_or_default();
                    let current = settled(shell, call, name, &mut group);
                    let new = changed(shell, call, name, &mut group, action, path, current.as_deref())?;
                    update(shell, call, name, group, current.as_deref(), new.as_deref())
                }
            }
        }
        _ => told(
            "need --display, --query, --list, --get-selections, --config, --set, --set-selections, --install, --remove, --all, --remove-all or --auto",
        ),
    }
}

struct Slave {
    link: String,
    name: String,
    path: String,
}

struct Install<'i> {
    link: &'i str,
    name: &'i str,
    path: &'i str,
    priority: i32,
    slaves: Vec<Slave>,
}

fn check(name: &str, link: &str, path: &str) -> Result<(), Wrong> {
    let odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || name.contains(odd) {
        return told(format!("alternative name ({}) must not contain '/' and spaces", name.escape_debug()));
    }
    for path in [link, path] {
        if !path.starts_with('/') || path.contains(char::is_control) {
            return told(format!(
                "alternative path is not absolute as it should be: {}",
                path.escape_debug()
            ));
        }
    }
    Ok(())
}

fn exists(shell: &mut Shell<'_, '_>, path: &str) -> bool {
    shell.world().stat(b"/", path.as_bytes(), Last::Followed).is_ok()
}

/// What lies at a path: a link's target; nothing; something else.
enum Lies {
    Nothing,
    Link(String),
    Other,
}

fn lies(shell: &mut Shell<'_, '_>, path: &str) -> Lies {
    let Ok(place) = shell.world().locate(b"/", path.as_bytes(), Last::Itself) else { return Lies::Nothing };
    match shell.world().tree.get(&place).map(|node| &node.kind) {
        None => Lies::Nothing,
        Some(NodeKind::Symlink(target)) => Lies::Link(as_text(target)),
        Some(_) => Lies::Other,
    }
}

/// A group without the choices whose files have gone.
fn load(shell: &mut Shell<'_, '_>, call: &Call<'_>, name: &str) -> Option<Group> {
    let key = (call.database.clone(), name.to_owned());
    let mut group = shell.world().alternatives.get(&key)?.clone();
    group.choices.retain(|choice| exists(shell, &choice.path));
    Some(group)
}

/// What is linked now. Where that was changed by hand the group is manual from then on; without a link, or with one that leads
/// nowhere, it is automatic.
fn settled(shell: &mut Shell<'_, '_>, call: &Call<'_>, name: &str, group: &mut Group) -> Option<String> {
    let middle = format!("{}/{name}", call.middle);
    let Lies::Link(current) = lies(shell, &middle) else {
        group.manual = false;
        return None;
    };
    if group.choices.iter().all(|choice| choice.path != current) {
        group.manual = exists(shell, &middle);
    }
    Some(current)
}

fn inform(shell: &mut Shell<'_, '_>, call: &Call<'_>, what: &str) -> Result<(), Wrong> {
    if !call.quiet {
        shell.say(format!("update-alternatives: {what}\n").as_bytes())?;
    }
    Ok(())
}

/// `--set`, `--remove`, `--remove-all`, `--auto`: what is to be linked then.
fn changed(
    shell: &mut Shell<'_, '_>,
    call: &Call<'_>,
    name: &str,
    group: &mut Group,
    action: &[u8],
    path: &str,
    current: Option<&str>,
) -> Result<Option<String>, Wrong> {
    match action {
        b"--set" => {
            if group.choices.iter().all(|choice| choice.path != path) {
                return told(format!("alternative {path} for {name} not registered; not setting"));
            }
            group.manual = true;
            Ok(Some(path.to_owned()))
        }
        b"--remove" => {
            group.choices.retain(|choice| choice.path != path);
            if current != Some(path) {
                return Ok(None);
            }
            if group.manual && !group.choices.is_empty() {
                let what = format!("removing manually selected alternative - switching {name} to auto mode");
                inform(shell, call, &what)?;
            }
            group.manual = false;
            Ok(group.best(None).map(|best| best.path.clone()))
        }
        b"--remove-all" => {
            group.choices.clear();
            Ok(None)
        }
        _ => {
            group.manual = false;
            match group.best(current) {
                Some(best) => Ok(Some(best.path.clone())),
                None => told(format!("no alternatives for {name}")),
            }
        }
    }
}

fn install(shell: &mut Shell<'_, '_>, call: &Call<'_>, new: &Install<'_>) -> Result<(), Wrong> {
    let name = new.name;
    for (at, slave) in new.slaves.iter().enumerate() {
        let before = &new.slaves[..at];
        if slave.name == name
            || slave.link == new.link
            || before.iter().any(|other| other.link == slave.link || other.name == slave.name)
        {
            return told(format!("the slave {} is named or linked like another", slave.name));
        }
    }
    conflicts(shell, call, new)?;
    if !exists(shell, new.path) {
        return told(format!("alternative path {} doesn't exist", new.path));
    }
    let mut group =
        load(shell, call, name).unwrap_or_else(|| Group { link: new.link.to_owned(), ..Group::default() });
    let current = settled(shell, call, name, &mut group);
    // The links may have moved.
    if group.link != new.link {
        if matches!(lies(shell, &group.link), Lies::Link(_)) {
            inform(shell, call, &format!("renaming {name} link from {} to {}", group.link, new.link))?;
            take(shell, call, &group.link)?;
            link(shell, call, new.link, &format!("{}/{name}", call.middle))?;
        }
        new.link.clone_into(&mut group.link);
    }
    for slave in &new.slaves {
        let old = group.slaves.insert(slave.name.clone(), slave.link.clone());
        if let Some(old) = old.filter(|old| *old != slave.link)
            && matches!(lies(shell, &old), Lies::Link(_))
        {
            take(shell, call, &old)?;
            let chosen = group.choices.iter().find(|choice| Some(&choice.path) == current.as_ref());
            let path = chosen.and_then(|choice| choice.slaves.get(&slave.name)).cloned();
            if path.is_some_and(|path| exists(shell, &path)) {
                let what = format!("renaming {} slave link from {old} to {}", slave.name, slave.link);
                inform(shell, call, &what)?;
                link(shell, call, &slave.link, &format!("{}/{}", call.middle, slave.name))?;
            }
        }
    }
    let slaves = new.slaves.iter().map(|slave| (slave.name.clone(), slave.path.clone())).collect();
    let choice = Choice { path: new.path.to_owned(), priority: new.priority, slaves };
    match group.choices.iter_mut().find(|known| known.path == choice.path) {
        Some(known) => *known = choice,
        None => group.choices.push(choice),
    }
    shell.world().note(format!("alternative {name} -> {} ({})", new.path, new.priority));
    let slaves = new.slaves.iter().flat_map(|slave| [&*slave.link, &*slave.name, &*slave.path]);
    let texts: Vec<&str> = [new.link, name, new.path].into_iter().chain(slaves).collect();
    shell.keep(&texts)?;
    let best = group.best(current.as_deref()).map(|best| best.path.clone()).filter(|_| !group.manual);
    update(shell, call, name, group, current.as_deref(), best.as_deref())
}

/// A name or link that another group has already.
fn conflicts(shell: &mut Shell<'_, '_>, call: &Call<'_>, new: &Install<'_>) -> Result<(), Wrong> {
    let own = (call.database.clone(), new.name.to_owned());
    let world = shell.world();
    for (key, other) in world.alternatives.iter().filter(|(key, _)| key.0 == call.database) {
        let theirs = &key.1;
        let is_own = *key == own;
        if !is_own && other.link == new.link {
            return told(format!("alternative link {} is already managed by {theirs}", new.link));
        }
        if other.slaves.contains_key(new.name) {
            return told(format!("alternative {} can't be master: it is a slave of {theirs}", new.name));
        }
        if other.slaves.values().any(|link| link == new.link) {
            return told(format!("alternative link {} is already managed (slave of {theirs})", new.link));
        }
        for slave in &new.slaves {
            if slave.name == *theirs {
                return told(format!(
                    "alternative {} can't be slave of {}: it is a master alternative",
                    slave.name, new.name
                ));
            }
            if !is_own && (other.slaves.contains_key(&slave.name) || other.link == slave.link) {
                return told(format!("alternative {} is already managed by {theirs}", slave.name));
            }
            let taken = other
                .slaves
                .iter()
                .any(|(name, link)| *link == slave.link && !(is_own && *name == slave.name));
            if taken {
                return told(format!(
                    "alternative link {} is already managed (slave of {theirs})",
                    slave.link
                ));
            }
        }
    }
    Ok(())
}

/// Makes the links and the file of a group after a change.
fn update(
    shell: &mut Shell<'_, '_>,
    call: &Call<'_>,
    name: &str,
    mut group: Group,
    current: Option<&str>,
    new: Option<&str>,
) -> Result<(), Wrong> {
    let key = (call.database.clone(), name.to_owned());
    if group.choices.is_empty() {
        let mut links = vec![(name.to_owned(), group.link)];
        links.extend(group.slaves);
        for (name, link) in links {
            take(shell, call, &link)?;
            take(shell, call, &format!("{}/{name}", call.middle))?;
        }
        shell.world().alternatives.remove(&key);
        take_file(shell, call, &format!("{}/{name}", call.database))?;
        return Ok(());
    }
    let middle = format!("{}/{name}", call.middle);
    if call.middle == MIDDLE && !exists(shell, MIDDLE) {
        let made = shell.world().make_directory(b"/", MIDDLE.as_bytes(), 0o755);
        made.map_err(|errno| failed(shell, call, MIDDLE, errno))?;
    }
    // A link whose choice has gone leads to the best again.
    let dangles = current.is_some() && !exists(shell, &middle);
    let best = group.best(None).filter(|_| dangles).map(|best| best.path.as_str());
    let wanted = new.or(best).or(current);
    if let Some(choice) = group.choices.iter().find(|choice| Some(&*choice.path) == wanted).cloned() {
        if new.is_some() && new != current {
            let mode = if group.manual { "manual" } else { "auto" };
            inform(
                shell,
                call,
                &format!("using {} to provide {} ({name}) in {mode} mode", choice.path, group.link),
            )?;
        }
        link_through(shell, call, name, &group.link, &choice.path)?;
        for (slave, slave_link) in &group.slaves {
            if let Some(path) = choice.slaves.get(slave).filter(|path| exists(shell, path)) {
                // A slim image has no folder for manuals: there the program itself would fail.
                let folder = slave_link.rsplit_once('/').map_or("", |(folder, _)| folder);
                if exists(shell, if folder.is_empty() { "/" } else { folder }) {
                    link_through(shell, call, slave, slave_link, path)?;
                } else {
                    link(shell, call, &format!("{}/{slave}", call.middle), path)?;
                }
            } else {
                take(shell, call, slave_link)?;
                take(shell, call, &format!("{}/{slave}", call.middle))?;
            }
        }
    }
    let used = |name: &String| group.choices.iter().any(|choice| choice.slaves.contains_key(name));
    let unused: Vec<(String, String)> = group
        .slaves
        .iter()
        .filter(|(name, _)| !used(name))
        .map(|(name, link)| (name.clone(), link.clone()))
        .collect();
    for (slave, slave_link) in unused {
        group.slaves.remove(&slave);
        take(shell, call, &slave_link)?;
        take(shell, call, &format!("{}/{slave}", call.middle))?;
    }
    group.choices.sort_by(|one, other| one.path.cmp(&other.path));
    let bytes = group.file().into_bytes();
    shell.spend_bytes(2 * bytes.len())?;
    shell.world().alternatives.insert(key, group);
    write(shell, call, &format!("{}/{name}", call.database), bytes)
}

/// The generic path, the link in the middle, and the choice.
fn link_through(
    shell: &mut Shell<'_, '_>,
    call: &Call<'_>,
    name: &str,
    generic: &str,
    path: &str,
) -> Result<(), Wrong> {
    let middle = format!("{}/{name}", call.middle);
    link(shell, call, &middle, path)?;
    if call.force || !matches!(lies(shell, generic), Lies::Other) {
        link(shell, call, generic, &middle)?;
    } else {
        let said = format!("update-alternatives: warning: not replacing {generic} with a link\n");
        shell.say_error(said.as_bytes())?;
    }
    Ok(())
}

fn failed(shell: &mut Shell<'_, '_>, call: &Call<'_>, path: &str, errno: Errno) -> Wrong {
    if errno.is_told() {
        Wrong::Told(format!("error creating symbolic link '{path}': {errno}"))
    } else {
        shell.fault(call.words, format!("`{}`: {errno}", path.escape_debug())).into()
    }
}

/// Makes a link in the place of another, or of a file.
fn link(shell: &mut Shell<'_, '_>, call: &Call<'_>, path: &str, target: &str) -> Result<(), Wrong> {
    if matches!(lies(shell, path), Lies::Link(there) if there == target) {
        return Ok(());
    }
    let owner = Component::generated(OWNER);
    let put = shell.world().put_link(path.as_bytes(), target.as_bytes(), &owner);
    put.map_err(|errno| failed(shell, call, path, errno))
}

/// Takes a link away; what is none stays.
fn take(shell: &mut Shell<'_, '_>, call: &Call<'_>, path: &str) -> Result<(), Wrong> {
    match lies(shell, path) {
        Lies::Link(_) => take_file(shell, call, path),
        Lies::Nothing | Lies::Other => Ok(()),
    }
}

fn take_file(shell: &mut Shell<'_, '_>, call: &Call<'_>, path: &str) -> Result<(), Wrong> {
    let Ok(place) = shell.world().locate(b"/", path.as_bytes(), Last::Itself) else { return Ok(()) };
    if !shell.world().tree.contains(&place) {
        return Ok(());
    }
    shell.world().remove(&place).map_err(|errno| failed(shell, call, path, errno))
}

/// Writes a file of the database, where there is a directory for it.
fn write(shell: &mut Shell<'_, '_>, call: &Call<'_>, path: &str, bytes: Vec<u8>) -> Result<(), Wrong> {
    if !exists(shell, &call.database) {
        return Ok(());
    }
    let world = shell.world();
    let written = world.open_to_write(b"/", path.as_bytes(), 0o644, Kept::All).and_then(|place| {
        world.replace_content(&place, bytes)?;
        Ok(place)
    });
    match written {
        Ok(place) => {
            if let Some(node) = shell.world().tree.get_mut(&place) {
                node.owner = Component::generated(DATABASE_OWNER);
            }
            Ok(())
        }
        Err(errno) => Err(failed(shell, call, path, errno)),
    }
}

fn current(shell: &mut Shell<'_, '_>, call: &Call<'_>, name: &str) -> Option<String> {
    match lies(shell, &format!("{}/{name}", call.middle)) {
        Lies::Link(target) => Some(target),
        Lies::Nothing | Lies::Other => None,
    }
}

fn mode(group: &Group) -> &'static str {
    if group.manual { "manual" } else { "auto" }
}

fn display(shell: &mut Shell<'_, '_>, call: &Call<'_>, name: &str, group: &Group) -> Result<(), Wrong> {
    let mut said = format!("{name} - {} mode\n", mode(group));
    let current = current(shell, call, name);
    if let Some(best) = group.best(current.as_deref()) {
        said.push_str(&format!("  link best version is {}\n", best.path));
    }
    match current {
        Some(current) => said.push_str(&format!("  link currently points to {current}\n")),
        None => said.push_str("  link currently absent\n"),
    }
    said.push_str(&format!("  link {name} is {}\n", group.link));
    for (slave, link) in &group.slaves {
        said.push_str(&format!("  slave {slave} is {link}\n"));
    }
    for choice in &group.choices {
        said.push_str(&format!("{} - priority {}\n", choice.path, choice.priority));
        for (slave, path) in &choice.slaves {
            said.push_str(&format!("  slave {slave}: {path}\n"));
        }
    }
    Ok(shell.say(said.as_bytes())?)
}

fn query(shell: &mut Shell<'_, '_>, call: &Call<'_>, name: &str, group: &Group) -> Result<(), Wrong> {
    let slaves = |all: &BTreeMap<String, String>| {
        let lines: Vec<String> = all.iter().map(|(name, path)| format!(" {name} {path}\n")).collect();
        if group.slaves.is_empty() { String::new() } else { format!("Slaves:\n{}", lines.concat()) }
    };
    let mut said =
        format!("Name: {name}\nLink: {}\n{}Status: {}\n", group.link, slaves(&group.slaves), mode(group));
    let current = current(shell, call, name);
    if let Some(best) = group.best(current.as_deref()) {
        said.push_str(&format!("Best: {}\n", best.path));
    }
    let current = current.unwrap_or_else(|| "none".into());
    said.push_str(&format!("Value: {current}\n"));
    for choice in &group.choices {
        said.push_str(&format!(
            "\nAlternative: {}\nPriority: {}\n{}",
            choice.path,
            choice.priority,
            slaves(&choice.slaves)
        ));
    }
    Ok(shell.say(said.as_bytes())?)
}

fn selections(shell: &mut Shell<'_, '_>, call: &Call<'_>) -> Result<(), Wrong> {
    let known = shell.world().alternatives.keys().filter(|key| key.0 == call.database);
    let names: Vec<String> = known.map(|key| key.1.clone()).collect();
    for name in names {
        let Some(group) = load(shell, call, &name) else { continue };
        let current = current(shell, call, &name).unwrap_or_default();
        shell.say(format!("{name:<30} {:<8} {current}\n", mode(&group)).as_bytes())?;
    }
    Ok(())
}
