//! dpkg and its tools, as they are asked on a fresh install: versions, the list of packages, diversions, overrides, triggers.

use std::rc::Rc;

use pinfold_archive::NodeKind;
use pinfold_base::ImagePath;

use super::Command;
use super::Word;
use super::as_text;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Pattern;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Diversion;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Installed;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;
use crate::debian::script::world::StatOverride;
use crate::debian::script::world::State;
use crate::debian::version;

/// What it takes to look at one of the diversions, overrides or triggers that are there.
const COMPARED: u64 = 10;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "dpkg" => dpkg,
        "dpkg-query" => query,
        "dpkg-divert" => divert,
        "dpkg-statoverride" => stat_override,
        "dpkg-trigger" => trigger,
        "dpkg-realpath" => real_path,
        // Everything that it does, it does to what an older version has left.
        "dpkg-maintscript-helper" => maintscript_helper,
        _ => return None,
    })
}

fn dpkg(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    match words.get(1).map(|word| &**word) {
        Some(b"--compare-versions") => {
            let [left, operator, right] = &words[2..] else {
                return Err(shell.fault(words, "`--compare-versions` has three words"));
            };
            // An empty version is older than every other, but for the operators that end in `-nl`.
            let (left, right): (&[u8], &[u8]) = (left, right);
            let order = match (left.is_empty(), right.is_empty()) {
                (false, false) => version::compare(left, right),
                (true, true) => std::cmp::Ordering::Equal,
                (true, false) if operator.ends_with(b"-nl") => std::cmp::Ordering::Greater,
                (true, false) => std::cmp::Ordering::Less,
                (false, true) if operator.ends_with(b"-nl") => std::cmp::Ordering::Less,
                (false, true) => std::cmp::Ordering::Greater,
            };
            let holds = match operator.strip_suffix(b"-nl").unwrap_or(operator) {
                b"lt" | b"<<" => order.is_lt(),
                b"le" | b"<=" | b"<" => order.is_le(),
                b"eq" | b"=" => order.is_eq(),
                b"ne" => order.is_ne(),
                b"ge" | b">=" | b">" => order.is_ge(),
                b"gt" | b">>" => order.is_gt(),
                _ => return Err(shell.fault(words, "this comparison is not known")),
            };
            Ok(i32::from(!holds))
        }
        Some(b"--print-architecture") => {
            let line = format!("{}\n", shell.world().arch.debian());
            shell.say(line.as_bytes())?;
            Ok(0)
        }
        // There is one architecture, and this dpkg can do everything.
        Some(
            b"--print-foreign-architectures"
            | b"--validate-version"
            | b"--assert-multi-arch"
            | b"--assert-support-predepends"
            // Nothing waits to be done on a fresh install.
            | b"--audit"
            | b"-C"
            | b"--configure"
            | b"--triggers-only"
            | b"--update-avail"
            | b"--clear-avail",
        ) => Ok(0),
        Some(b"-L" | b"--listfiles") => list_files(shell, &words[2..]),
        Some(b"-s" | b"--status") => status(shell, &words[2..]),
        Some(b"-l" | b"--list") => listed(shell, words, &words[2..]),
        Some(b"-S" | b"--search") => search(shell, &words[2..]),
        // Options of the tools below, and those that change nothing here.
        Some(b"--no-pager" | b"--root=/" | b"--admindir=/var/lib/dpkg" | b"--force-all")
            if words.len() > 2 =>
        {
            let rest: Vec<Word> =
                std::iter::once(words[0].clone()).chain(words[2..].iter().cloned()).collect();
            dpkg(shell, &rest)
        }
        Some(b"-W" | b"--show" | b"--control-path" | b"--control-list") => query(shell, words),
        Some(b"--get-selections") => selections(shell, &words[2..]),
        _ => Err(shell.fault(words, "this use of dpkg is not known")),
    }
}

/// `dpkg --get-selections PATTERN…`
fn selections(shell: &mut Shell<'_, '_>, patterns: &[Word]) -> Status {
    let mut lines = String::new();
    let names: Vec<String> = shell.world().packages.keys().cloned().collect();
    for name in names {
        let mut wanted = patterns.is_empty();
        for pattern in patterns {
            wanted |= shell.matches(&Pattern::of_text(name_of(pattern).as_bytes()), name.as_bytes())?;
        }
        if wanted {
            lines.push_str(&format!("{name}\tinstall\n"));
        }
    }
    shell.say(lines.as_bytes())?;
    Ok(0)
}

fn name_of(word: &[u8]) -> String {
    as_text(word).split(':').next().unwrap_or_default().to_owned()
}

fn list_files(shell: &mut Shell<'_, '_>, names: &[Word]) -> Status {
    let mut status = 0;
    for name in names {
        if let Some(package) =
            shell.world().packages.get(&name_of(name)).filter(|package| package.state > State::Absent)
        {
            let lines = [&package.files.join(&b'\n')[..], b"\n"].concat();
            shell.say(&lines)?;
        } else {
            let said = format!("dpkg-query: package '{}' is not installed\n", name.escape_ascii());
            shell.say_error(said.as_bytes())?;
            status = 1;
        }
    }
    Ok(status)
}

fn search(shell: &mut Shell<'_, '_>, patterns: &[Word]) -> Status {
    let mut status = 0;
    for pattern in patterns {
        let whole =
            if pattern.starts_with(b"/") { pattern.to_vec() } else { [b"*", &pattern[..], b"*"].concat() };
        let pattern = Pattern::of_text(&whole);
        let mut lines = Vec::new();
        let world = shell.world();
        for (name, package) in &world.packages {
            let listed =
                |file: &&Vec<u8>| package.state > State::Absent && pattern.matches(file, &world.fuel);
            for file in package.files.iter().filter(listed) {
                lines.extend([name.as_bytes(), b": ", file, b"\n"].concat());
            }
        }
        if lines.is_empty() {
            shell.say_error(
                format!("dpkg-query: no path found matching pattern {}\n", whole.escape_ascii()).as_bytes(),
            )?;
            status = 1;
        }
        shell.spend(1_000 + 20 * lines.len() as u64)?;
        shell.say(&lines)?;
    }
    Ok(status)
}

/// What dpkg says of a package's state.
fn said_state(state: State) -> &'static str {
    match state {
        State::Absent => "unknown ok not-installed",
        State::Unpacked => "install ok unpacked",
        State::Installed => "install ok installed",
    }
}

fn status(shell: &mut Shell<'_, '_>, names: &[Word]) -> Status {
    let (mut status, mut first) = (0, true);
    for name in names.iter().map(|name| name_of(name)) {
        let known = shell.world().packages.get(&name).filter(|package| package.state > State::Absent);
        let Some(package) = known else {
            shell.say_error(
                format!("dpkg-query: package '{name}' is not installed and no information is available\n")
                    .as_bytes(),
            )?;
            status = 1;
            continue;
        };
        let mut said = format!("Package: {name}\nStatus: {}\n", said_state(package.state));
        for (field, value) in &*package.fields {
            said.push_str(&format!("{field}: {value}\n"));
        }
        said.push_str(&format!("Architecture: {}\nVersion: {}\n", package.arch, package.version));
        // Stanzas stand apart.
        if !std::mem::take(&mut first) {
            said.insert(0, '\n');
        }
        shell.say(said.as_bytes())?;
    }
    Ok(status)
}

fn listed(shell: &mut Shell<'_, '_>, words: &[Word], names: &[Word]) -> Status {
    if names.is_empty() {
        return Err(shell.fault(words, "the whole list of packages is not printed"));
    }
    let mut any = false;
    for name in names {
        let pattern = Pattern::of_text(name_of(name).as_bytes());
        let mut lines = String::new();
        let world = shell.world();
        for (name, package) in &world.packages {
            if package.state > State::Absent && pattern.matches(name.as_bytes(), &world.fuel) {
                let mark = if package.state == State::Installed { "ii" } else { "iU" };
                lines.push_str(&format!("{mark}  {name} {} {}\n", package.version, package.arch));
            }
        }
        any |= !lines.is_empty();
        shell.say(lines.as_bytes())?;
    }
    Ok(i32::from(!any))
}

/// `dpkg-query -W [-f FORMAT] NAME…`, `-L`, `-s`, `-S`, `-l`.
fn query(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut format, mut names, mut show) = (None, Vec::new(), false);
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match &**word {
            b"-W" | b"--show" => show = true,
            b"-L" | b"--listfiles" => return list_files(shell, &rest.cloned().collect::<Vec<_>>()),
            b"-S" | b"--search" => return search(shell, &rest.cloned().collect::<Vec<_>>()),
            b"-s" | b"--status" => return status(shell, &rest.cloned().collect::<Vec<_>>()),
            b"-l" | b"--list" => return listed(shell, words, &rest.cloned().collect::<Vec<_>>()),
            // Of an older version of the package, which is not there.
            b"--control-path" | b"-c" | b"--control-list" => return Ok(1),
            b"--get-selections" => return selections(shell, &rest.cloned().collect::<Vec<_>>()),
            b"-f" | b"--showformat" => format = rest.next().cloned(),
            b"--no-pager" => {}
            long if long.starts_with(b"-f=") => format = Some(Rc::from(&long[3..])),
            long if long.starts_with(b"-f") => format = Some(Rc::from(&long[2..])),
            long if long.starts_with(b"--showformat=") => format = Some(Rc::from(&long[13..])),
            b"--" => names.extend(rest.by_ref().cloned()),
            option if option.starts_with(b"-") => {
                return Err(shell.fault(words, "this use of dpkg-query is not known"));
            }
            _ => names.push(word.clone()),
        }
    }
    if show && names.is_empty() {
        names.push(Rc::from(&b"*"[..]));
    }
    if !show {
        return Err(shell.fault(words, "this use of dpkg-query is not known"));
    }
    let format =
        format.map_or_else(|| "${binary:Package}\\t${Version}\\n".to_owned(), |format| as_text(&format));
    let mut status = 0;
    for wanted in &names {
        let pattern = Pattern::of_text(name_of(wanted).as_bytes());
        let mut lines = Vec::new();
        let world = shell.world();
        for (name, package) in &world.packages {
            if package.state > State::Absent && pattern.matches(name.as_bytes(), &world.fuel) {
                lines.push(formatted(&format, name, package));
            }
        }
        if lines.is_empty() {
            status = 1;
            let said = format!("dpkg-query: no packages found matching {}\n", wanted.escape_ascii());
            shell.say_error(said.as_bytes())?;
        }
        for line in lines {
            let line = line.ok_or_else(|| shell.fault(words, "this field is not known"))?;
            shell.say(line.as_bytes())?;
        }
    }
    Ok(status)
}

/// What a format says of a package; nothing where it asks for a field that is none.
fn formatted(format: &str, name: &str, package: &Installed) -> Option<String> {
    let mut line = String::new();
    let mut rest = format;
    while let Some(at) = rest.find(['$', '\\']) {
        line.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(field) = rest.strip_prefix("${")
            && let Some(end) = field.find('}')
        {
            let state = said_state(package.state);
            let value = match field[..end].split(';').next().unwrap_or_default() {
                "Package" | "binary:Package" => name,
                "Version" | "source:Version" => &package.version,
                "Architecture" => &package.arch,
                "Status" => state,
                "db:Status-Status" => state.rsplit(' ').next().unwrap_or_default(),
                "db:Status-Abbrev" if package.state == State::Installed => "ii ",
                "db:Status-Abbrev" => "iU ",
                other => match package.fields.get(other) {
                    Some(value) => value,
                    None if other.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => "",
                    None => return None,
                },
            };
            line.push_str(value);
            rest = &field[end + 1..];
            continue;
        }
        let escaped = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
        let (put, length) = match escaped {
            Some('n') => ('\n', 2),
            Some('t') => ('\t', 2),
            Some(other) => (other, 1 + other.len_utf8()),
            None => (rest.chars().next().unwrap_or('$'), 1),
        };
        line.push(put);
        rest = &rest[length..];
    }
    line.push_str(rest);
    Some(line)
}

/// `dpkg-divert`: notes who has the path; a file that is there moves with `--rename`.
fn divert(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    // In a package's script it is the package's.
    let mut package = Some(shell.script().0.to_owned());
    let (mut target, mut rename, mut action, mut operands) = (None, false, None, Vec::new());
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match &**word {
            b"--package" => package = rest.next().map(|word| as_text(word)),
            long if long.starts_with(b"--package=") => package = Some(as_text(&long[10..])),
            long if long.starts_with(b"--divert=") => target = Some(as_text(&long[9..])),
            b"--admindir" | b"--root" | b"--instdir" => {
                let given = rest.next().map(|word| &**word).unwrap_or_default();
                if !is_usual(word, given) {
                    return Err(shell.fault(words, "another root or database is not known"));
                }
            }
            long if long.starts_with(b"--admindir=") && is_usual(b"--admindir", &long[11..]) => {}
            long if long.starts_with(b"--root=") && is_usual(b"--root", &long[7..]) => {}
            long if long.starts_with(b"--instdir=") && is_usual(b"--root", &long[10..]) => {}
            b"--local" => package = None,
            b"--divert" => target = rest.next().map(|word| as_text(word)),
            b"--rename" => rename = true,
            b"--no-rename" => rename = false,
            b"--quiet" | b"--force" => {}
            b"--test" => return Err(shell.fault(words, "a diversion is not tried here")),
            b"--add" | b"--remove" | b"--list" | b"--truename" | b"--listpackage" => {
                action = Some(as_text(word));
            }
            option if option.starts_with(b"-") => return Err(shell.fault(words, "this option is not known")),
            _ => operands.push(as_text(word)),
        }
    }
    if operands.is_empty() && action.as_deref() == Some("--list") {
        operands.push("*".into());
    }
    let Some(path) = operands.first().cloned() else { return Err(shell.fault(words, "a path is missing")) };
    let count = shell.world().diversions.len() as u64;
    shell.spend(COMPARED * count)?;
    let known = shell.world().diversions.iter().position(|diversion| diversion.path == path);
    match action.as_deref().unwrap_or("--add") {
        "--add" => {
            let whole = |path: &String| path.starts_with('/') && !path.contains(char::is_control);
            if !whole(&path) || target.as_ref().is_some_and(|target| !whole(target)) {
                return Err(shell.fault(words, "a diversion is from an absolute path to an absolute path"));
            }
            let to = target.unwrap_or_else(|| format!("{path}.distrib"));
            let new = Diversion { path: path.clone(), to: to.clone(), package };
            if known.is_some_and(|known| shell.world().diversions[known] == new) {
                return Ok(0);
            }
            // Each path is in one diversion at most, on either side.
            let clash = shell.world().diversions.iter().any(|old| {
                [&old.path, &old.to].into_iter().any(|taken| *taken == new.path || *taken == new.to)
            });
            if clash {
                return refused(shell, &format!("the diversion of {path} to {to} clashes with another"));
            }
            if path == to {
                return refused(shell, &format!("{path} is not diverted to itself"));
            }
            let stat = shell.world().stat(b"/", path.as_bytes(), Last::Itself);
            if stat.is_ok_and(|stat| stat.kind == Kind::Directory) {
                return refused(shell, &format!("{path} is a directory"));
            }
            // A package's own file stays where it is: the path is diverted for the others.
            let own = new.package.as_ref().and_then(|package| shell.world().packages.get(package));
            let own = own.is_some_and(|own| {
                own.state > State::Absent && own.files.iter().any(|file| **file == *path.as_bytes())
            });
            if rename
                && !own
                && let Some(status) = move_if_there(shell, words, &path, &to)?
            {
                return Ok(status);
            }
            shell.world().note(format!("diversion {path} to {to}"));
            shell.keep(&[&path, &to])?;
            shell.world().diversions.push(new);
            Ok(0)
        }
        "--remove" => {
            if let Some(at) = known {
                let old = shell.world().diversions[at].clone();
                if old.package != package || target.is_some_and(|target| target != old.to) {
                    return refused(shell, &format!("the diversion of {path} is another"));
                }
                if rename && let Some(status) = move_if_there(shell, words, &old.to, &old.path)? {
                    return Ok(status);
                }
                shell.world().diversions.remove(at);
                shell.world().note(format!("no diversion {path}"));
            }
            Ok(0)
        }
        "--list" => {
            let pattern = Pattern::of_text(path.as_bytes());
            let mut lines = String::new();
            let world = shell.world();
            for diversion in &world.diversions {
                if pattern.matches(diversion.path.as_bytes(), &world.fuel) {
                    let by = diversion
                        .package
                        .as_ref()
                        .map_or_else(|| "local diversion".into(), |package| format!("by {package}"));
                    lines.push_str(&format!("diversion of {} to {} {by}\n", diversion.path, diversion.to));
                }
            }
            shell.say(lines.as_bytes())?;
            Ok(0)
        }
        "--truename" => {
            let name = known.map_or(path, |at| shell.world().diversions[at].to.clone());
            shell.say(format!("{name}\n").as_bytes())?;
            Ok(0)
        }
        _ => {
            if let Some(at) = known {
                let package = shell.world().diversions[at].package.clone().unwrap_or_else(|| "LOCAL".into());
                shell.say(format!("{package}\n").as_bytes())?;
            }
            Ok(0)
        }
    }
}

fn refused(shell: &mut Shell<'_, '_>, why: &str) -> Status {
    shell.say_error(format!("dpkg-divert: error: {why}\n").as_bytes())?;
    Ok(2)
}

/// Moves a file where there is one; the status where dpkg-divert would not: over another file, or to where no directory is.
fn move_if_there(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    from: &str,
    to: &str,
) -> Result<Option<i32>, Flow> {
    let Ok(old) = shell.world().stat(b"/", from.as_bytes(), Last::Itself) else { return Ok(None) };
    let new = shell.world().stat(b"/", to.as_bytes(), Last::Itself);
    let place = shell.world().locate(b"/", to.as_bytes(), Last::Itself);
    match (place, new) {
        (Ok(place), Err(_)) => match shell.world().rename(&old.path, &place) {
            Ok(()) => Ok(None),
            Err(Errno::NotFound | Errno::NotADirectory) => {
                refused(shell, &format!("{to} has no directory")).map(Some)
            }
            Err(errno) => Err(shell.fault(words, errno.to_string())),
        },
        (Err(_), _) => refused(shell, &format!("{to} has no directory")).map(Some),
        (Ok(_), Ok(new)) if behind_names(shell, &old.path) == behind_names(shell, &new.path) => {
            match shell.world().remove(&old.path) {
                Ok(()) => Ok(None),
                Err(errno) => Err(shell.fault(words, errno.to_string())),
            }
        }
        (Ok(_), Ok(_)) => refused(shell, &format!("{from} is not moved over {to}")).map(Some),
    }
}

/// The file that a path is one of the names of.
fn behind_names(shell: &mut Shell<'_, '_>, path: &ImagePath) -> ImagePath {
    match shell.world().tree.get(path).map(|node| &node.kind) {
        Some(NodeKind::Hardlink(first)) => first.clone(),
        _ => path.clone(),
    }
}

/// Whether an option names the root or the database that there is.
fn is_usual(option: &[u8], value: &[u8]) -> bool {
    match option {
        b"--admindir" => matches!(value, b"/var/lib/dpkg" | b"/var/lib/dpkg/"),
        _ => matches!(value, b"" | b"/"),
    }
}

fn stat_override(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut action, mut update, mut force, mut operands) = (None, false, false, Vec::new());
    for word in &words[1..] {
        match &**word {
            b"--add" | b"--remove" | b"--list" => action = Some(as_text(word)),
            b"--update" => update = true,
            b"--quiet" => {}
            b"--force" | b"--force-all" | b"--force-statoverride-add" | b"--force-statoverride-remove" => {
                force = true;
            }
            option if option.starts_with(b"-") => return Err(shell.fault(words, "this option is not known")),
            _ => operands.push(as_text(word)),
        }
    }
    let count = shell.world().overrides.len() as u64;
    shell.spend(COMPARED * count)?;
    match (action.as_deref(), &operands[..]) {
        (Some("--list"), patterns) => {
            let mut lines = String::new();
            let world = shell.world();
            for one in &world.overrides {
                let wanted = |pattern: &String| {
                    Pattern::of_text(pattern.as_bytes()).matches(one.path.as_bytes(), &world.fuel)
                };
                if patterns.is_empty() || patterns.iter().any(wanted) {
                    lines.push_str(&format!("{} {} {:o} {}\n", one.user, one.group, one.mode, one.path));
                }
            }
            shell.say(lines.as_bytes())?;
            Ok(i32::from(lines.is_empty()))
        }
        (Some("--remove"), [path]) => {
            let before = shell.world().overrides.len();
            shell.world().overrides.retain(|one| one.path != *path);
            let none = shell.world().overrides.len() == before;
            if none {
                let said = format!("dpkg-statoverride: warning: no override for file '{path}'\n");
                shell.say_error(said.as_bytes())?;
            }
            Ok(if none && !force { 2 } else { 0 })
        }
        (Some("--add"), [user, group, mode, path]) => {
            let Some(mode) = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777) else {
                return Err(shell.fault(words, "a mode is octal digits, up to 7777"));
            };
            if !path.starts_with('/') || path.contains(char::is_control) {
                return Err(shell.fault(words, "an override is of an absolute path"));
            }
            let accounts = &shell.world().accounts;
            let id = |name: &String, known: Option<u32>| {
                known.or_else(|| name.trim_start_matches('#').parse().ok())
            };
            let (uid, gid) = (id(user, accounts.uid(user)), id(group, accounts.gid(group)));
            let (Some(uid), Some(gid)) = (uid, gid) else {
                shell.say_error(
                    format!("dpkg-statoverride: error: user or group '{user}:{group}' does not exist\n")
                        .as_bytes(),
                )?;
                return Ok(2);
            };
            if !force && shell.world().overrides.iter().any(|one| one.path == *path) {
                let said =
                    format!("dpkg-statoverride: error: an override for '{path}' already exists; aborting\n");
                shell.say_error(said.as_bytes())?;
                return Ok(2);
            }
            let entry = StatOverride { user: user.clone(), group: group.clone(), mode, path: path.clone() };
            shell.world().overrides.retain(|one| one.path != *path);
            shell.world().note(format!("override {user}:{group} {mode:04o} {path}"));
            shell.keep(&[path, user, group])?;
            shell.world().overrides.push(entry);
            if update && let Ok(stat) = shell.world().stat(b"/", path.as_bytes(), Last::Followed) {
                let changed = shell.world().set_owner(&stat.path, Some(uid), Some(gid));
                let changed = changed.and_then(|()| shell.world().set_mode(&stat.path, mode));
                if let Err(errno) = changed {
                    return shell.failed(words, path.as_bytes(), errno);
                }
            }
            Ok(0)
        }
        _ => Err(shell.fault(words, "this use of dpkg-statoverride is not known")),
    }
}

fn trigger(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut by = Some(shell.script().0.to_owned());
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match &**word {
            b"--no-await" => by = None,
            b"--await" => {}
            // dpkg's own answer, and it looks no further.
            b"--check-supported" => return Ok(0),
            b"--by-package" => by = rest.next().map(|word| as_text(word)),
            long if long.starts_with(b"--by-package=") => by = Some(as_text(&long[13..])),
            option if option.starts_with(b"-") => return Err(shell.fault(words, "this option is not known")),
            name => {
                let activated = (as_text(name), by.clone());
                let known = shell.world().triggers.len() as u64;
                shell.spend(COMPARED * known)?;
                if !shell.world().triggers.contains(&activated) {
                    shell.keep(&[&activated.0, activated.1.as_deref().unwrap_or_default()])?;
                    shell.world().triggers.push(activated);
                }
            }
        }
    }
    Ok(0)
}

/// `dpkg-realpath [--zero] [--root DIRECTORY] PATH`: where a path leads, links followed as below the directory.
fn real_path(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut end, mut path) = (b'\n', None);
    let mut rest = words[1..].iter();
    while let Some(word) = rest.next() {
        match &**word {
            b"-z" | b"--zero" => end = 0,
            // The image is the root of everything here.
            b"--root" | b"--instdir" => match rest.next().map(|word| &**word) {
                Some(b"" | b"/") => {}
                _ => return Err(shell.fault(words, "another root is not known")),
            },
            b"--root=" | b"--root=/" | b"--instdir=" | b"--instdir=/" => {}
            option if option.starts_with(b"-") => return Err(shell.fault(words, "this option is not known")),
            _ => path = Some(word.clone()),
        }
    }
    let Some(path) = path else { return Err(shell.fault(words, "a path is missing")) };
    match shell.world().locate(b"/", &path, Last::Followed) {
        Ok(found) => {
            let found = if found.is_root() { Vec::new() } else { found.as_bytes().to_vec() };
            shell.say(&[b"/", &found[..], &[end]].concat())?;
            Ok(0)
        }
        Err(errno) => shell.failed(words, &path, errno),
    }
}

fn maintscript_helper(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    match words.get(1).map(|word| &**word) {
        Some(b"supports" | b"rm_conffile" | b"mv_conffile" | b"symlink_to_dir" | b"dir_to_symlink") => Ok(0),
        _ => Err(shell.fault(words, "this command of dpkg-maintscript-helper is not known")),
    }
}
