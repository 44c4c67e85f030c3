//! Files that come from others: cp, mv, ln, install.

use std::rc::Rc;

use pinfold_archive::NodeKind;
use pinfold_base::ImagePath;

use super::Word;
use super::is_link_with_slash;
use super::names::last_component;
use super::options;
use super::options::Given;
use super::options::Known;
use super::options::flag;
use super::options::long;
use super::options::long_optional;
use super::options::valued;
use super::parents;
use super::permissions::mode;
use super::permissions::owner;
use super::told;
use super::tree;
use super::usage;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

/// A source, and where it goes.
type Pair = (Word, Vec<u8>);

/// Whether two paths are one file, which is told: it is neither copied, nor moved, nor linked over itself.
fn is_same(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    from: &[u8],
    to: &[u8],
    last: Last,
) -> Result<bool, Flow> {
    let cwd = shell.cwd().to_vec();
    let (Ok(old), Ok(new)) = (shell.world().stat(&cwd, from, last), shell.world().stat(&cwd, to, last))
    else {
        return Ok(false);
    };
    let real = |shell: &mut Shell<'_, '_>, path: ImagePath| match shell
        .world()
        .tree
        .get(&path)
        .map(|node| &node.kind)
    {
        Some(NodeKind::Hardlink(file)) => file.clone(),
        _ => path,
    };
    let same = old.kind != Kind::Null && real(shell, old.path) == real(shell, new.path);
    if same {
        let said = format!(
            "{}: '{}' and '{}' are the same file\n",
            words[0].escape_ascii(),
            from.escape_ascii(),
            to.escape_ascii()
        );
        shell.say_error(said.as_bytes())?;
    }
    Ok(same)
}

/// `DIRECTORY/NAME` where the target is a directory, and the last component of a source.
fn into(target: &[u8], source: &[u8]) -> Vec<u8> {
    let name = last_component(source);
    [target.strip_suffix(b"/").unwrap_or(target), b"/", name].concat()
}

/// Sources and, for each, where it goes: into `-t`, into a directory, or to a name.
fn destinations(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    given: &Given,
    last: Last,
) -> Result<Option<Vec<Pair>>, Flow> {
    let cwd = shell.cwd().to_vec();
    let (sources, target) = match given.value('t') {
        Some(directory) => (&given.operands[..], directory.clone()),
        None => match given.operands.split_last() {
            Some((target, sources)) if !sources.is_empty() => (sources, target.clone()),
            _ => return Ok(None),
        },
    };
    let is_directory = !given.has('T')
        && shell.world().stat(&cwd, &target, last).is_ok_and(|stat| stat.kind == Kind::Directory);
    if !is_directory && (sources.len() > 1 || given.has('t')) {
        shell.failed(words, &target, Errno::NotADirectory)?;
        return Ok(None);
    }
    let place = |source: &Word| if is_directory { into(&target, source) } else { target.to_vec() };
    Ok(Some(sources.iter().map(|source| (source.clone(), place(source))).collect()))
}

/// What `-b`, `--backup` and `-S` keep of a file that another takes the place of: `NAME~`.
fn set_aside(shell: &mut Shell<'_, '_>, words: &[Word], given: &Given, target: &[u8]) -> Result<(), Flow> {
    if !(given.has('b') || given.has('B') || given.has('S')) {
        return Ok(());
    }
    match given.value('B').map(|way| &**way) {
        Some(b"none" | b"off") => return Ok(()),
        None | Some(b"" | b"simple" | b"never" | b"existing" | b"nil") => {}
        Some(_) => return Err(shell.fault(words, "a copy of the old file is not numbered")),
    }
    let suffix = given.value('S').filter(|suffix| !suffix.is_empty() && !suffix.contains(&b'/'));
    let aside = [target, suffix.map_or(&b"~"[..], |suffix| suffix)].concat();
    let cwd = shell.cwd().to_vec();
    let Ok(old) = shell.world().stat(&cwd, target, Last::Itself) else { return Ok(()) };
    if old.kind == Kind::Directory {
        return Ok(());
    }
    let moved = shell
        .world()
        .locate(&cwd, &aside, Last::Itself)
        .and_then(|aside| shell.world().rename(&old.path, &aside));
    told(shell, words, moved, target, &mut 0)
}

pub(super) fn mv(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('f', "force"),
        flag('n', "no-clobber"),
        flag('T', "no-target-directory"),
        flag('v', "verbose"),
        flag('i', ""),
        flag('Z', ""),
        valued('t', "target-directory"),
        flag('b', ""),
        long_optional('B', "backup"),
        valued('S', "suffix"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let cwd = shell.cwd().to_vec();
    let Some(pairs) = destinations(shell, words, &given, Last::Followed)? else { return usage(shell, words) };
    let mut status = 0;
    for (source, target) in pairs {
        if is_same(shell, words, &source, &target, Last::Itself)? {
            status = 1;
            continue;
        }
        if !given.has('n') {
            set_aside(shell, words, &given, &target)?;
        }
        let to = shell.world().locate(&cwd, &target, Last::Itself);
        let from = shell.world().stat(&cwd, &source, Last::Itself);
        let result = match (from, to) {
            (Ok(from), Ok(to)) if no_directory(shell, &target, &to, from.kind) => Err(Errno::NotADirectory),
            (Ok(_), Ok(_)) if is_link_with_slash(shell, &cwd, &source) => Err(Errno::NotADirectory),
            (Ok(_), Ok(to)) if given.has('n') && shell.world().tree.contains(&to) => Ok(()),
            (Ok(from), Ok(to)) => shell.world().rename(&from.path, &to),
            (Err(errno), _) | (_, Err(errno)) => Err(errno),
        };
        told(shell, words, result, &source, &mut status)?;
    }
    Ok(status)
}

/// Whether a slash behind the target says that it is a directory, and nothing is there; a directory may become one.
fn no_directory(shell: &mut Shell<'_, '_>, target: &[u8], to: &ImagePath, from: Kind) -> bool {
    target.ends_with(b"/") && from != Kind::Directory && !shell.world().tree.contains(to)
}

/// How `cp` treats what it copies.
#[derive(Clone, Copy, Debug)]
struct Copying {
    recursive: bool,
    follows: bool,
    follows_inside: bool,
    keeps_mode: bool,
    keeps_owner: bool,
    keeps_time: bool,
}

pub(super) fn cp(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('a', "archive"),
        flag('p', ""),
        long_optional('k', "preserve"),
        flag('r', "recursive"),
        flag('R', ""),
        flag('d', ""),
        flag('P', "no-dereference"),
        flag('L', "dereference"),
        flag('f', "force"),
        flag('n', "no-clobber"),
        flag('u', "update"),
        flag('v', "verbose"),
        flag('l', "link"),
        flag('T', "no-target-directory"),
        long('D', "remove-destination"),
        // Security contexts are the host's.
        flag('Z', ""),
        valued('t', "target-directory"),
        flag('b', ""),
        long_optional('B', "backup"),
        valued('S', "suffix"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.has('l') {
        return Err(shell.fault(words, "`cp -l` is not evaluated"));
    }
    let archive = given.has('a');
    let kept = given.value('k').map(|list| String::from_utf8_lossy(list).into_owned());
    let keeps = |what: &str| {
        archive
            || given.has('p')
            || kept.as_ref().is_some_and(|list| list.is_empty() || list.contains(what) || list == "all")
    };
    let copying = Copying {
        recursive: archive || given.has('r') || given.has('R'),
        follows: !(archive || given.has('d') || given.has('P'))
            && (given.has('L') || !(given.has('r') || given.has('R'))),
        follows_inside: given.has('L'),
        keeps_mode: keeps("mode"),
        keeps_owner: keeps("ownership"),
        keeps_time: keeps("timestamps"),
    };
    let cwd = shell.cwd().to_vec();
    let Some(pairs) = destinations(shell, words, &given, Last::Followed)? else { return usage(shell, words) };
    let mut status = 0;
    for (source, target) in pairs {
        let exists = shell.world().stat(&cwd, &target, Last::Followed).is_ok();
        if exists && given.has('n') {
            continue;
        }
        if given.has('u') {
            let time = |shell: &mut Shell<'_, '_>, path: &[u8]| {
                shell
                    .world()
                    .stat(&cwd, path, Last::Followed)
                    .ok()
                    .filter(|stat| stat.kind != Kind::Directory)
            };
            match (time(shell, &source), time(shell, &target)) {
                (Some(new), Some(old)) if new.meta.mtime <= old.meta.mtime => continue,
                (None, _) if exists && shell.world().stat(&cwd, &source, Last::Followed).is_ok() => {
                    return Err(shell.fault(words, "`cp -u` of a directory over another is not evaluated"));
                }
                _ => {}
            }
        }
        let last = if copying.follows { Last::Followed } else { Last::Itself };
        if is_same(shell, words, &source, &target, last)? {
            status = 1;
            continue;
        }
        set_aside(shell, words, &given, &target)?;
        if given.has('D')
            && let Ok(old) = shell.world().stat(&cwd, &target, Last::Itself)
            && old.kind != Kind::Directory
        {
            let removed = shell.world().remove(&old.path);
            told(shell, words, removed, &target, &mut status)?;
        }
        let result = copy(shell, &cwd, &source, &target, copying);
        told(shell, words, result, &source, &mut status)?;
    }
    Ok(status)
}

fn copy(
    shell: &mut Shell<'_, '_>,
    cwd: &[u8],
    source: &[u8],
    target: &[u8],
    copying: Copying,
) -> Result<(), Errno> {
    let last = if copying.follows { Last::Followed } else { Last::Itself };
    let from = shell.world().stat(cwd, source, last)?;
    match from.kind {
        Kind::Null => {
            let mode = 0o666 & !shell.umask();
            shell.world().open_to_write(cwd, target, mode, Kept::Nothing).map(drop)
        }
        Kind::Directory if !copying.recursive => Err(Errno::IsADirectory),
        Kind::Directory => {
            let to = shell.world().locate(cwd, target, Last::Followed)?;
            if to.starts_with(&from.path) {
                return Err(Errno::Invalid);
            }
            for inside in tree(shell, &from.path) {
                let place = match inside.strip_prefix(&from.path) {
                    Some(b"") | None => to.clone(),
                    Some(rest) => to.join(rest).map_err(|_| Errno::TooLong)?,
                };
                let inside = if copying.follows_inside { led_to(shell, &inside)? } else { inside };
                copy_node(shell, &inside, &place, copying)?;
            }
            Ok(())
        }
        Kind::File | Kind::Link => {
            let last = if from.kind == Kind::Link { Last::Itself } else { Last::Followed };
            let to = shell.world().locate(cwd, target, last)?;
            // Nothing is written through a link that leads nowhere.
            let is_link =
                shell.world().stat(cwd, target, Last::Itself).is_ok_and(|stat| stat.kind == Kind::Link);
            if last == Last::Followed && is_link && !shell.world().tree.contains(&to) {
                return Err(Errno::NotFound);
            }
            if no_directory(shell, target, &to, from.kind) {
                return Err(Errno::NotADirectory);
            }
            copy_node(shell, &from.path, &to, copying)
        }
    }
}

/// The file that a link inside of a directory leads to; other nodes are themselves. Links to directories are not walked through.
fn led_to(shell: &mut Shell<'_, '_>, inside: &ImagePath) -> Result<ImagePath, Errno> {
    let path = [b"/", inside.as_bytes()].concat();
    if shell.world().stat(b"/", &path, Last::Itself)?.kind != Kind::Link {
        return Ok(inside.clone());
    }
    let stat = shell.world().stat(b"/", &path, Last::Followed)?;
    if stat.kind == Kind::Directory { Err(Errno::Loop) } else { Ok(stat.path) }
}

fn copy_node(
    shell: &mut Shell<'_, '_>,
    from: &ImagePath,
    to: &ImagePath,
    copying: Copying,
) -> Result<(), Errno> {
    let umask = shell.umask();
    let world = shell.world();
    let Some(node) = world.tree.get(from).cloned() else { return Err(Errno::NotFound) };
    let old = world.tree.get(to).map(|old| (old.is_directory(), old.meta.clone()));
    match old {
        Some((true, _)) if node.is_directory() => return Ok(()),
        Some((true, _)) => return Err(Errno::IsADirectory),
        Some((false, _)) if node.is_directory() => return Err(Errno::NotADirectory),
        _ => {}
    }
    let mut copied = node;
    // A hard link's mode is that of the file it names.
    if let NodeKind::Hardlink(target) = &copied.kind
        && let Some(file) = world.tree.get(target)
    {
        copied.meta = file.meta.clone();
    }
    copied.meta.xattrs.clear();
    if !copying.keeps_mode && !matches!(copied.kind, NodeKind::Symlink(_)) {
        copied.meta.mode = copied.meta.mode & 0o777 & !umask;
    }
    if !copying.keeps_owner {
        let made = world.made(to, 0);
        (copied.meta.uid, copied.meta.gid) = (made.uid, made.gid);
    }
    if !copying.keeps_time {
        copied.meta.mtime = world.epoch;
    }
    // A file that is there keeps what it has, its bytes aside.
    if let Some((_, old)) = &old {
        let (uid, gid) =
            if copying.keeps_owner { (copied.meta.uid, copied.meta.gid) } else { (old.uid, old.gid) };
        copied.meta.mode = if copying.keeps_mode { copied.meta.mode } else { old.mode };
        (copied.meta.uid, copied.meta.gid) = (uid, gid);
    }
    // The bytes of a file that has other names are theirs too.
    let linked = old.is_some() && matches!(copied.kind, NodeKind::File(_) | NodeKind::Hardlink(_)) && {
        matches!(world.tree.get(to).map(|node| &node.kind), Some(NodeKind::Hardlink(_)))
            || world.has_other_names(to)?
    };
    if linked {
        let bytes = world.read(b"/", from.as_bytes())?;
        return world.replace_content(to, bytes);
    }
    world.put_copy(&copied, to)
}

pub(super) fn ln(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('s', "symbolic"),
        flag('f', "force"),
        flag('n', "no-dereference"),
        flag('T', "no-target-directory"),
        flag('r', "relative"),
        flag('v', "verbose"),
        valued('t', "target-directory"),
        flag('b', ""),
        long_optional('B', "backup"),
        valued('S', "suffix"),
    ];
    let mut given = options::read(shell, words, KNOWN)?;
    // With one operand the link is made here, under the target's name.
    if given.operands.len() == 1 && !given.has('t') {
        given.operands.push(Rc::from(&b"."[..]));
    }
    let cwd = shell.cwd().to_vec();
    let last = if given.has('n') { Last::Itself } else { Last::Followed };
    let Some(pairs) = destinations(shell, words, &given, last)? else { return usage(shell, words) };
    let mut status = 0;
    for (target, link) in pairs {
        let last = if given.has('s') { Last::Followed } else { Last::Itself };
        if given.has('f') && is_same_link(shell, words, &target, &link, last)? {
            status = 1;
            continue;
        }
        set_aside(shell, words, &given, &link)?;
        let result = link_one(shell, &cwd, &given, &target, &link);
        told(shell, words, result, &link, &mut status)?;
    }
    Ok(status)
}

/// Whether a link would take the place of what it names.
fn is_same_link(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    target: &[u8],
    link: &[u8],
    last: Last,
) -> Result<bool, Flow> {
    let cwd = shell.cwd().to_vec();
    // A link that leads to the target already is made again.
    let is_link = shell.world().stat(&cwd, link, Last::Itself).is_ok_and(|stat| stat.kind == Kind::Link);
    if last == Last::Followed && is_link { Ok(false) } else { is_same(shell, words, target, link, last) }
}

fn link_one(
    shell: &mut Shell<'_, '_>,
    cwd: &[u8],
    given: &Given,
    target: &[u8],
    link: &[u8],
) -> Result<(), Errno> {
    if given.has('f')
        && let Ok(old) = shell.world().stat(cwd, link, Last::Itself)
    {
        if old.kind == Kind::Directory {
            return Err(Errno::IsADirectory);
        }
        shell.world().remove(&old.path)?;
    }
    if !given.has('s') {
        return shell.world().make_hard_link(cwd, link, target);
    }
    if !given.has('r') {
        return shell.world().make_link(cwd, link, target);
    }
    let from = shell.world().locate(cwd, link, Last::Itself)?.parent().unwrap_or_default();
    let to = shell.world().locate(cwd, target, Last::Followed)?;
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().count() - common;
    let mut parts: Vec<&[u8]> = vec![b".."; up];
    parts.extend(to.components().skip(common));
    let relative = if parts.is_empty() { b".".to_vec() } else { parts.join(&b'/') };
    shell.world().make_link(cwd, link, &relative)
}

pub(super) fn install(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('d', "directory"),
        flag('D', ""),
        flag('p', "preserve-timestamps"),
        flag('c', ""),
        flag('v', "verbose"),
        flag('T', "no-target-directory"),
        valued('m', "mode"),
        valued('o', "owner"),
        valued('g', "group"),
        valued('t', "target-directory"),
        flag('Z', ""),
        flag('b', ""),
        long_optional('B', "backup"),
        valued('S', "suffix"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let text = |value: Option<&Word>| {
        value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    let Some((uid, gid)) =
        owner(shell, words, &format!("{}:{}", text(given.value('o')), text(given.value('g'))))?
    else {
        return Ok(1);
    };
    let wanted = match given.value('m') {
        Some(text) => mode(shell, words, &text.clone(), 0, Kind::File)?,
        None => 0o755,
    };
    let cwd = shell.cwd().to_vec();
    let mut status = 0;
    if given.has('d') {
        for path in &given.operands {
            let result = parents(shell, &cwd, path, 0o755, wanted)
                .and_then(|()| shell.world().stat(&cwd, path, Last::Followed))
                .and_then(|stat| settle(shell, &stat.path, wanted, uid, gid));
            told(shell, words, result, path, &mut status)?;
        }
        return Ok(status);
    }
    let Some(pairs) = destinations(shell, words, &given, Last::Followed)? else { return usage(shell, words) };
    let copying = Copying {
        recursive: false,
        follows: true,
        follows_inside: false,
        keeps_mode: false,
        keeps_owner: false,
        keeps_time: given.has('p'),
    };
    for (source, target) in pairs {
        if is_same(shell, words, &source, &target, Last::Followed)? {
            status = 1;
            continue;
        }
        set_aside(shell, words, &given, &target)?;
        let result = (|| {
            if given.has('D') {
                let end = target.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                if end > 0 {
                    parents(shell, &cwd, &target[..end], 0o755, 0o755)?;
                }
            }
            if let Ok(old) = shell.world().stat(&cwd, &target, Last::Itself)
                && old.kind != Kind::Directory
            {
                shell.world().remove(&old.path)?;
            }
            copy(shell, &cwd, &source, &target, copying)?;
            let stat = shell.world().stat(&cwd, &target, Last::Followed)?;
            settle(shell, &stat.path, wanted, uid, gid)
        })();
        told(shell, words, result, &source, &mut status)?;
    }
    Ok(status)
}

fn settle(
    shell: &mut Shell<'_, '_>,
    path: &ImagePath,
    mode: u32,
    uid: Option<u32>,
    gid: Option<u32>,
) -> Result<(), Errno> {
    if uid.is_some() || gid.is_some() {
        shell.world().set_owner(path, uid, gid)?;
    }
    shell.world().set_mode(path, mode)
}
