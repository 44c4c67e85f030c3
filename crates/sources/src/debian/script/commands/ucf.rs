//! `ucf`, `ucfr` and `ucfq`: configuration files that scripts put into `/etc`, with care for what was changed there.
//!
//! ```text
//! no file, nothing known of it     the new one is put there
//! no file, but it was put there    it stays away; the new one becomes FILE.ucf-dist once it is another than the last
//! the file is as the last          the new one takes its place, with the mode of the old one
//! any other file                   it stays, the new one becomes FILE.ucf-dist: what debconf answers without a terminal
//! ```
//!
//! After ucf 3.0043, which keeps a sum of the last new file of each path. The sums and the packages' registry are known to the
//! world alone: `/var/lib/ucf` is not written.
//!
//! **Refuses**: another directory of the state, `ucfq` without `-w`.

use std::collections::BTreeSet;

use super::Command;
use super::Word;
use super::as_text;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long_valued;
use super::options::valued;
use super::text::md5;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Last;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "ucf" => ucf,
        "ucfr" => ucfr,
        "ucfq" => ucfq,
        _ => return None,
    })
}

/// getopt(1) reads their options with `-a`: a long one may begin with a single dash.
fn doubled(words: &[Word], known: &[Known]) -> Vec<Word> {
    let one = |word: &Word| match word.strip_prefix(b"-") {
        Some(name)
            if name.len() > 1
                && !name.starts_with(b"-")
                && known.iter().any(|known| known.long.as_bytes().starts_with(name)) =>
        {
            [b"--", name].concat().into()
        }
        _ => word.clone(),
    };
    words.iter().map(one).collect()
}

/// The path that a file is known by: links followed where it is there, else as it is said.
fn known_by(shell: &mut Shell<'_, '_>, path: &[u8]) -> String {
    let cwd = shell.cwd().to_vec();
    match shell.world().stat(&cwd, path, Last::Followed) {
        Ok(stat) => format!("/{}", as_text(stat.path.as_bytes())),
        Err(_) => as_text(path),
    }
}

/// `ucf NEW CURRENT`
fn ucf(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('d', "debug"),
        flag('n', "no-action"),
        flag('t', "three-way"),
        flag('p', "purge"),
        flag('v', "verbose"),
        flag('o', "debconf-ok"),
        flag('Z', "Z"),
        valued('s', "src-dir"),
        valued('S', "sum-file"),
        valued('P', "package"),
        long_valued('T', "debconf-template"),
    ];
    let given = options::read(shell, &doubled(words, KNOWN), KNOWN)?;
    if given.has('n') {
        return Ok(0);
    }
    if given.has('p') {
        let [current] = &given.operands[..] else { return Ok(2) };
        let current = known_by(shell, current);
        shell.world().ucf_sums.remove(&current);
        return Ok(0);
    }
    let [new, current] = &given.operands[..] else { return Ok(2) };
    let cwd = shell.cwd().to_vec();
    let found = shell.world().stat(&cwd, new, Last::Followed);
    let Ok(found) = found else {
        shell
            .say_error(format!("Error: The new file {} does not exist!\n", new.escape_ascii()).as_bytes())?;
        return Ok(1);
    };
    let bytes = match shell.world().read(&cwd, new) {
        Ok(bytes) => bytes,
        Err(errno) => return shell.failed(words, new, errno),
    };
    let current = known_by(shell, current);
    let current = not_diverted(shell, current, given.value('P'));
    let there = shell.world().stat(&cwd, current.as_bytes(), Last::Followed).is_ok();
    let there = if there {
        match shell.world().read(&cwd, current.as_bytes()) {
            Ok(bytes) => Some(md5(&bytes)),
            Err(errno) => return shell.failed(words, current.as_bytes(), errno),
        }
    } else {
        None
    };
    let sum = md5(&bytes);
    let mut last = shell.world().ucf_sums.get(&current).cloned();
    let (mut forgotten, mut replaced) = (false, false);
    if let (None, Some(there)) = (&last, &there) {
        let new = format!("/{}", as_text(found.path.as_bytes()));
        match older(shell, &given, &new, there)? {
            Older::Known => replaced = true,
            Older::Default(sum) => {
                last = Some(sum);
                forgotten = true;
            }
            Older::No => {}
        }
    }
    let forced = |shell: &Shell<'_, '_>, name: &str| {
        let wanted = format!("{name}=");
        shell
            .environment()
            .split(|byte| *byte == b'\n')
            .any(|line| line.strip_prefix(wanted.as_bytes()).is_some_and(|value| !value.is_empty()))
    };
    let (keep, replace) = (forced(shell, "UCF_FORCE_CONFFOLD"), forced(shell, "UCF_FORCE_CONFFNEW"));
    if keep && replace {
        return Ok(1);
    }
    let to = match (&there, &last) {
        _ if replaced => To::Current,
        (None, None) => To::Current,
        (None, Some(_)) if forced(shell, "UCF_FORCE_CONFFMISS") => To::Current,
        (None, Some(last)) if keep && *last != sum => return Ok(0),
        (_, Some(last)) if *last == sum && forgotten => To::Nowhere,
        (_, Some(last)) if *last == sum => return Ok(0),
        (Some(there), Some(last)) if there == last => To::Current,
        _ if replace => To::Current,
        _ if keep => To::Beside,
        (Some(there), _) if *there == sum => To::Nowhere,
        _ => To::Beside,
    };
    let path = match to {
        To::Current if keep && there.is_some() => Some(format!("{current}.ucf-dist")),
        To::Current => Some(current.clone()),
        To::Beside => Some(format!("{current}.ucf-dist")),
        To::Nowhere => None,
    };
    if let Some(path) = path {
        // What is replaced keeps its mode; else it is copied with mode, owner and time.
        let whole = path != current || there.is_none();
        let world = shell.world();
        let written = world.open_to_write(&cwd, path.as_bytes(), found.meta.mode & 0o7777, Kept::Nothing);
        let written = written.and_then(|file| {
            world.replace_content(&file, bytes)?;
            if !whole {
                return Ok(());
            }
            if (found.meta.uid, found.meta.gid) != (0, 0) {
                world.set_owner(&file, Some(found.meta.uid), Some(found.meta.gid))?;
            }
            if world.stat(b"/", file.as_bytes(), Last::Followed)?.meta.mode != found.meta.mode {
                world.set_mode(&file, found.meta.mode)?;
            }
            world.touch(&file, Some(found.meta.mtime))
        });
        if let Err(errno) = written {
            return shell.failed(words, path.as_bytes(), errno);
        }
    }
    shell.keep(&[&current, &sum])?;
    shell.world().ucf_sums.insert(current, sum);
    Ok(0)
}

/// Where the new file goes.
enum To {
    /// In the place of the current one.
    Current,
    /// Beside it.
    Beside,
    /// The current one is the same.
    Nowhere,
}

/// What lists of older versions say of a file that ucf has not seen.
enum Older {
    /// It is one of them.
    Known,
    /// It is not, and this is what the package takes for the last.
    Default(String),
    /// There is nothing about it.
    No,
}

/// Looks into `NEW.md5sum.d/` or `NEW.md5sum`, beside the new file or where it is said.
fn older(shell: &mut Shell<'_, '_>, given: &options::Given, new: &str, there: &str) -> Result<Older, Flow> {
    let cwd = shell.cwd().to_vec();
    let (folder, name) = new.rsplit_once('/').unwrap_or_default();
    let folder = given.value('s').map_or_else(|| folder.to_owned(), |folder| as_text(folder));
    let many = format!("{folder}/{name}.md5sum.d");
    let first = |bytes: &[u8]| as_text(bytes).split_whitespace().next().unwrap_or_default().to_owned();
    if let Ok(stat) = shell.world().stat(&cwd, many.as_bytes(), Last::Followed)
        && let Ok(names) = shell.world().list(&stat.path)
    {
        let mut default = Older::No;
        for name in names.into_iter().filter(|name| !name.starts_with(b".")) {
            shell.spend(100)?;
            let Ok(bytes) = shell.world().read(&cwd, &[many.as_bytes(), b"/", &name].concat()) else {
                continue;
            };
            if first(&bytes) == there {
                return Ok(Older::Known);
            }
            if name == b"default" {
                default = Older::Default(first(&bytes));
            }
        }
        return Ok(default);
    }
    let one = given.value('S').map_or_else(|| format!("{folder}/{name}.md5sum"), |file| as_text(file));
    let Ok(bytes) = shell.world().read(&cwd, one.as_bytes()) else { return Ok(Older::No) };
    let text = as_text(&bytes);
    if text.lines().any(|line| line.starts_with(there)) {
        return Ok(Older::Known);
    }
    let default = text.lines().find(|line| line.ends_with("\tdefault") || line.ends_with(" default"));
    Ok(default.map_or(Older::No, |line| Older::Default(first(line.as_bytes()))))
}

/// Where a path leads for who is not `package`, which has none of its own.
fn not_diverted(shell: &mut Shell<'_, '_>, path: String, package: Option<&Word>) -> String {
    let package = package.map(|package| as_text(package)).unwrap_or_default();
    let known = shell.world().diversions.iter().find(|diversion| diversion.path == path);
    match known {
        Some(diversion) if diversion.package.as_deref().unwrap_or("LOCAL") != package => diversion.to.clone(),
        _ => path,
    }
}

/// `ucfr [-f] [-p] PACKAGE FILE`: whose a file is.
fn ucfr(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('f', "force"),
        flag('n', "no-action"),
        flag('p', "purge"),
        flag('v', "verbose"),
        flag('d', "debug"),
    ];
    let given = options::read(shell, &doubled(words, KNOWN), KNOWN)?;
    let [package, path] = &given.operands[..] else { return Ok(3) };
    // It says so and is content.
    if given.has('n') || !path.starts_with(b"/") {
        return Ok(0);
    }
    let (package, path) = (as_text(package), known_by(shell, path));
    let others = shell.world().ucf_packages.get(&path).filter(|known| **known != package).cloned();
    if let Some(other) = others.filter(|_| !given.has('f')) {
        let diverted = shell.world().diversions.iter().any(|diversion| diversion.path == path);
        if diverted && !given.has('p') {
            return Ok(0);
        }
        shell.say_error(
            format!("ucfr: {path} belongs to {other}, not {package}\nucfr: Aborting\n").as_bytes(),
        )?;
        return Ok(if given.has('p') { 5 } else { 4 });
    }
    if given.has('p') {
        shell.world().ucf_packages.remove(&path);
    } else {
        shell.keep(&[&path, &package])?;
        shell.world().ucf_packages.insert(path, package);
    }
    Ok(0)
}

/// `ucfq -w PACKAGE… FILE…`: `FILE:PACKAGE:EXISTS:CHANGED`, nothing where there is nothing to say.
fn ucfq(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('w', "with-colons"), flag('d', "debug"), flag('v', "verbose")];
    let given = options::read(shell, words, KNOWN)?;
    if !given.has('w') {
        return Err(shell.fault(words, "`ucfq` prints with colons here"));
    }
    let mut paths = BTreeSet::new();
    for asked in &given.operands {
        let asked = as_text(asked);
        if asked.starts_with('/') {
            paths.insert(known_by(shell, asked.as_bytes()));
        } else if asked.contains('/') {
            return Ok(0);
        } else {
            let of = shell.world().ucf_packages.iter().filter(|(_, package)| **package == asked);
            paths.extend(of.map(|(path, _)| path.clone()));
        }
    }
    for path in paths {
        shell.spend(100)?;
        let there = shell.world().stat(b"/", path.as_bytes(), Last::Followed).is_ok();
        let package = shell.world().ucf_packages.get(&path).cloned().unwrap_or_default();
        let last = shell.world().ucf_sums.get(&path).cloned();
        let changed = match last.filter(|_| there) {
            None => "",
            Some(last) => match shell.world().read(b"/", path.as_bytes()) {
                Ok(bytes) if md5(&bytes) == last => "No",
                _ => "Yes",
            },
        };
        let there = if there { "Yes" } else { "" };
        shell.say(format!("{path}:{package}:{there}:{changed}\n").as_bytes())?;
    }
    Ok(0)
}
