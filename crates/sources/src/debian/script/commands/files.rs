//! Files and directories: the commands of coreutils that make, remove, copy and name them.

use std::rc::Rc;

use pinfold_base::ImagePath;

use super::Command;
use super::Word;
use super::options;
use super::options::Given;
use super::options::Known;
use super::options::Value;
use super::options::flag;
use super::options::valued;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "basename" => basename,
        "chgrp" | "chown" => chown,
        "chmod" => chmod,
        "cp" => cp,
        "dirname" => dirname,
        "install" => install,
        "ln" => ln,
        "mkdir" => mkdir,
        "mktemp" => mktemp,
        "mv" => mv,
        "readlink" => readlink,
        "realpath" => realpath,
        "rm" => rm,
        "rmdir" => rmdir,
        "stat" => stat,
        "sync" => |_, _| Ok(0),
        "touch" => touch,
        _ => return None,
    })
}

/// Says an error of a system call as the command would; the worse of two statuses.
fn told(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    result: Result<(), Errno>,
    path: &[u8],
    status: &mut i32,
) -> Result<(), Flow> {
    if let Err(errno) = result {
        *status = shell.failed(words, path, errno)?.max(*status);
    }
    Ok(())
}

/// A mode: octal digits, or `u+x,go-w` over what is there.
fn mode(shell: &Shell<'_, '_>, words: &[Word], text: &[u8], now: u32, kind: Kind) -> Result<u32, Flow> {
    let wrong = || shell.fault(words, format!("the mode `{}` is not understood", text.escape_ascii()));
    if text.iter().all(|byte| matches!(byte, b'0'..=b'7')) && !text.is_empty() {
        let text = String::from_utf8_lossy(text);
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(wrong)?;
        // GNU's chmod keeps set-id bits of directories unless five digits say otherwise.
        return Ok(if kind == Kind::Directory && text.len() < 5 { mode | now & 0o6000 } else { mode });
    }
    let mut mode = now;
    for clause in text.split(|byte| *byte == b',') {
        let who_length = clause.iter().take_while(|byte| b"ugoa".contains(byte)).count();
        let (who, mut actions) = clause.split_at(who_length);
        if actions.is_empty() {
            return Err(wrong());
        }
        let has = |letter: u8| who.contains(&letter) || who.contains(&b'a') || who.is_empty();
        let mask = if who.is_empty() { !shell.umask() } else { u32::MAX };
        while let Some((&operator, rest)) = actions.split_first() {
            if !b"+-=".contains(&operator) {
                return Err(wrong());
            }
            let length = rest.iter().take_while(|byte| !b"+-=".contains(byte)).count();
            let mut bits = 0;
            for letter in &rest[..length] {
                let class = match letter {
                    b'r' => 0o444,
                    b'w' => 0o222,
                    b'x' => 0o111,
                    b'X' if kind == Kind::Directory || mode & 0o111 != 0 => 0o111,
                    b'X' => 0,
                    b'u' => (mode >> 6 & 7) * 0o111,
                    b'g' => (mode >> 3 & 7) * 0o111,
                    b'o' => (mode & 7) * 0o111,
                    b's' => {
                        bits |= if has(b'u') { 0o4000 } else { 0 } | if has(b'g') { 0o2000 } else { 0 };
                        continue;
                    }
                    b't' => {
                        bits |= 0o1000;
                        continue;
                    }
                    _ => return Err(wrong()),
                };
                let who = if has(b'u') { 0o700 } else { 0 }
                    | if has(b'g') { 0o070 } else { 0 }
                    | if has(b'o') { 0o007 } else { 0 };
                bits |= class & who & mask;
            }
            let whole = if has(b'u') { 0o4700 } else { 0 }
                | if has(b'g') { 0o2070 } else { 0 }
                | if has(b'o') { 0o007 } else { 0 };
            mode = match operator {
                b'+' => mode | bits,
                b'-' => mode & !bits,
                _ => mode & !(whole & mask) | bits,
            };
            actions = &rest[length..];
        }
    }
    Ok(mode & 0o7777)
}

/// A user and a group, as far as they are said.
type Owner = (Option<u32>, Option<u32>);
/// A source, and where it goes.
type Pair = (Word, Vec<u8>);

/// `USER`, `USER:GROUP`, `USER.GROUP`, `:GROUP` as numbers; names must be there.
fn owner(shell: &mut Shell<'_, '_>, words: &[Word], text: &str) -> Result<Option<Owner>, Flow> {
    let (user, group) = match text.split_once(':').or_else(|| text.split_once('.')) {
        Some((user, group)) => (user, group),
        None => (text, ""),
    };
    let accounts = &shell.world().accounts;
    let uid = if user.is_empty() {
        Ok(None)
    } else {
        accounts.uid(user).or_else(|| user.parse().ok()).map(Some).ok_or(user)
    };
    let gid = if group.is_empty() {
        Ok(None)
    } else {
        accounts.gid(group).or_else(|| group.parse().ok()).map(Some).ok_or(group)
    };
    match (uid, gid) {
        (Ok(uid), Ok(gid)) => Ok(Some((uid, gid))),
        (Err(name), _) | (_, Err(name)) => {
            let said =
                format!("{}: invalid user or group: '{}'\n", words[0].escape_ascii(), name.escape_debug());
            shell.say_error(said.as_bytes())?;
            Ok(None)
        }
    }
}

/// A path and all below it, links not followed.
fn tree(shell: &mut Shell<'_, '_>, path: &ImagePath) -> Vec<ImagePath> {
    shell.world().tree.below(path).map(|(inside, _)| inside.clone()).collect()
}

fn usage(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    shell.say_error(format!("{}: missing operand\n", words[0].escape_ascii()).as_bytes())?;
    Ok(1)
}

fn mkdir(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('p', "parents"), valued('m', "mode"), flag('v', "verbose"), flag('Z', "")];
    let given = options::read(shell, words, KNOWN)?;
    if given.operands.is_empty() {
        return usage(shell, words);
    }
    let (cwd, usual) = (shell.cwd().to_vec(), 0o777 & !shell.umask());
    let wanted = match given.value('m') {
        Some(text) => mode(shell, words, &text.clone(), 0o777, Kind::File)?,
        None => usual,
    };
    let mut status = 0;
    for path in &given.operands {
        if given.has('p') {
            let result = parents(shell, &cwd, path, usual, wanted);
            told(shell, words, result, path, &mut status)?;
        } else {
            let result = shell.world().make_directory(&cwd, path, wanted).map(drop);
            told(shell, words, result, path, &mut status)?;
        }
    }
    Ok(status)
}

/// Makes a directory and those above it that are missing; what is there already is right.
fn parents(shell: &mut Shell<'_, '_>, cwd: &[u8], path: &[u8], usual: u32, wanted: u32) -> Result<(), Errno> {
    let mut ends: Vec<usize> =
        (1..path.len()).filter(|&at| path[at] == b'/' && path[at - 1] != b'/').collect();
    ends.push(path.len());
    for (index, &end) in ends.iter().enumerate() {
        let part = &path[..end];
        let last = index + 1 == ends.len() || path[end..].iter().all(|byte| *byte == b'/');
        match shell.world().stat(cwd, part, Last::Followed) {
            Ok(stat) if stat.kind == Kind::Directory => {}
            Ok(_) => return Err(if last { Errno::Exists } else { Errno::NotADirectory }),
            Err(Errno::NotFound) => {
                shell.world().make_directory(cwd, part, if last { wanted } else { usual })?;
            }
            Err(errno) => return Err(errno),
        }
        if last {
            break;
        }
    }
    Ok(())
}

fn rmdir(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] =
        &[flag('p', "parents"), flag('i', "ignore-fail-on-non-empty"), flag('v', "verbose")];
    let given = options::read(shell, words, KNOWN)?;
    let cwd = shell.cwd().to_vec();
    let mut status = 0;
    for operand in &given.operands {
        let mut path = operand.to_vec();
        loop {
            let result = match shell.world().stat(&cwd, &path, Last::Itself) {
                Ok(stat) if stat.kind == Kind::Directory => shell.world().remove(&stat.path),
                Ok(_) => Err(Errno::NotADirectory),
                Err(errno) => Err(errno),
            };
            let full = result == Err(Errno::NotEmpty) && given.has('i');
            if result.is_err() {
                if !full {
                    told(shell, words, result, &path, &mut status)?;
                }
                break;
            }
            let parent = path.iter().rposition(|byte| *byte == b'/').filter(|at| *at > 0);
            match parent {
                Some(at) if given.has('p') => path.truncate(at),
                _ => break,
            }
        }
    }
    Ok(status)
}

fn rm(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('r', "recursive"),
        flag('R', ""),
        flag('f', "force"),
        flag('d', "dir"),
        flag('v', "verbose"),
        flag('i', "one-file-system"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.operands.is_empty() && !given.has('f') {
        return usage(shell, words);
    }
    let recursive = given.has('r') || given.has('R');
    let cwd = shell.cwd().to_vec();
    let mut status = 0;
    for path in &given.operands {
        let result = match shell.world().stat(&cwd, path, Last::Itself) {
            Ok(stat) if stat.kind == Kind::Directory && recursive => shell.world().remove_all(&stat.path),
            Ok(stat) if stat.kind == Kind::Directory && given.has('d') => shell.world().remove(&stat.path),
            Ok(stat) if stat.kind == Kind::Directory => Err(Errno::IsADirectory),
            Ok(stat) => shell.world().remove(&stat.path),
            Err(Errno::NotFound | Errno::NotADirectory) if given.has('f') => Ok(()),
            Err(errno) => Err(errno),
        };
        told(shell, words, result, path, &mut status)?;
    }
    Ok(status)
}

/// `DIRECTORY/NAME` where the target is a directory, and the last component of a source.
fn into(target: &[u8], source: &[u8]) -> Vec<u8> {
    let name = last_component(source);
    [target.strip_suffix(b"/").unwrap_or(target), b"/", name].concat()
}

fn last_component(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    let path = &path[..end];
    let start = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    &path[start..]
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

fn mv(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('f', "force"),
        flag('n', "no-clobber"),
        flag('T', "no-target-directory"),
        flag('v', "verbose"),
        flag('i', ""),
        flag('Z', ""),
        valued('t', "target-directory"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let cwd = shell.cwd().to_vec();
    let Some(pairs) = destinations(shell, words, &given, Last::Followed)? else { return usage(shell, words) };
    let mut status = 0;
    for (source, target) in pairs {
        let to = shell.world().locate(&cwd, &target, Last::Itself);
        let from = shell.world().stat(&cwd, &source, Last::Itself);
        let result = match (from, to) {
            (Ok(_), Ok(to)) if given.has('n') && shell.world().tree.contains(&to) => Ok(()),
            (Ok(from), Ok(to)) => shell.world().rename(&from.path, &to),
            (Err(errno), _) | (_, Err(errno)) => Err(errno),
        };
        told(shell, words, result, &source, &mut status)?;
    }
    Ok(status)
}

/// How `cp` treats what it copies.
#[derive(Clone, Copy, Debug)]
struct Copying {
    recursive: bool,
    follows: bool,
    keeps_mode: bool,
    keeps_owner: bool,
    keeps_time: bool,
}

fn cp(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('a', "archive"),
        flag('p', ""),
        Known { letter: 'k', long: "preserve", value: Value::Optional },
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
        flag('b', "remove-destination"),
        // Security contexts are the host's.
        flag('Z', ""),
        valued('t', "target-directory"),
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
        keeps_mode: keeps("mode"),
        keeps_owner: keeps("ownership"),
        keeps_time: keeps("timestamps"),
    };
    let cwd = shell.cwd().to_vec();
    let Some(pairs) = destinations(shell, words, &given, Last::Followed)? else { return usage(shell, words) };
    let mut status = 0;
    for (source, target) in pairs {
        let exists = shell.world().stat(&cwd, &target, Last::Followed).is_ok();
        if exists && (given.has('n') || given.has('u')) {
            continue;
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
                copy_node(shell, &inside, &place, copying)?;
            }
            Ok(())
        }
        Kind::File | Kind::Link => {
            let to = shell.world().locate(
                cwd,
                target,
                if from.kind == Kind::Link { Last::Itself } else { Last::Followed },
            )?;
            copy_node(shell, &from.path, &to, copying)
        }
    }
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
    if let pinfold_archive::NodeKind::Hardlink(target) = &copied.kind
        && let Some(file) = world.tree.get(target)
    {
        copied.meta = file.meta.clone();
    }
    copied.meta.xattrs.clear();
    if !copying.keeps_mode && !matches!(copied.kind, pinfold_archive::NodeKind::Symlink(_)) {
        copied.meta.mode = copied.meta.mode & 0o777 & !umask;
    }
    if !copying.keeps_owner {
        (copied.meta.uid, copied.meta.gid) = (0, 0);
    }
    if !copying.keeps_time {
        copied.meta.mtime = world.epoch;
    }
    // A file that is there keeps what it has, its bytes aside.
    if let Some((_, old)) = old {
        let (uid, gid) =
            if copying.keeps_owner { (copied.meta.uid, copied.meta.gid) } else { (old.uid, old.gid) };
        copied.meta.mode = if copying.keeps_mode { copied.meta.mode } else { old.mode };
        (copied.meta.uid, copied.meta.gid) = (uid, gid);
    }
    world.put_copy(&copied, to)
}

fn ln(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('s', "symbolic"),
        flag('f', "force"),
        flag('n', "no-dereference"),
        flag('T', "no-target-directory"),
        flag('r', "relative"),
        flag('v', "verbose"),
        valued('t', "target-directory"),
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
        let result = link_one(shell, &cwd, &given, &target, &link);
        told(shell, words, result, &link, &mut status)?;
    }
    Ok(status)
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

fn chmod(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('R', "recursive"),
        flag('f', "silent"),
        flag('f', "quiet"),
        flag('v', "verbose"),
        flag('c', "changes"),
        valued('m', "reference"),
    ];
    // `-w` and the like are modes, not options.
    let is_mode = |word: &Word| {
        word.len() > 1 && word[0] == b'-' && word[1..].iter().all(|byte| b"rwxXst,+-=ugoa".contains(byte))
    };
    let (modes, others): (Vec<Word>, Vec<Word>) = words[1..].iter().cloned().partition(is_mode);
    let mut rest = vec![words[0].clone()];
    rest.extend(others);
    let mut given = options::read(shell, &rest, KNOWN)?;
    if let Some(text) = modes.first() {
        given.operands.insert(0, text.clone());
    }
    let Some((text, paths)) = given.operands.split_first() else { return usage(shell, words) };
    let cwd = shell.cwd().to_vec();
    let mut status = 0;
    for path in paths {
        match shell.world().stat(&cwd, path, Last::Followed) {
            Ok(stat) => {
                let all = if given.has('R') { tree(shell, &stat.path) } else { vec![stat.path] };
                for one in all {
                    let Ok(stat) = shell.world().stat(b"/", one.as_bytes(), Last::Itself) else { continue };
                    if stat.kind == Kind::Link {
                        continue;
                    }
                    let wanted = mode(shell, words, text, stat.meta.mode, stat.kind)?;
                    let result = shell.world().set_mode(&one, wanted);
                    told(shell, words, result, path, &mut status)?;
                }
            }
            Err(errno) => told(shell, words, Err(errno), path, &mut status)?,
        }
    }
    Ok(status)
}

fn chown(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('R', "recursive"),
        flag('h', "no-dereference"),
        flag('f', "silent"),
        flag('f', "quiet"),
        flag('v', "verbose"),
        flag('c', "changes"),
        flag('L', ""),
        flag('P', ""),
        flag('H', ""),
        valued('m', "reference"),
        valued('F', "from"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.has('m') || given.has('F') {
        return Err(shell.fault(words, "`--reference` and `--from` are not evaluated"));
    }
    let Some((text, paths)) = given.operands.split_first() else { return usage(shell, words) };
    let text = String::from_utf8_lossy(text).into_owned();
    let text = if words[0].ends_with(b"chgrp") { format!(":{text}") } else { text };
    let Some((uid, gid)) = owner(shell, words, &text)? else { return Ok(1) };
    let (cwd, last) = (shell.cwd().to_vec(), if given.has('h') { Last::Itself } else { Last::Followed });
    let mut status = 0;
    for path in paths {
        match shell.world().stat(&cwd, path, last) {
            Ok(stat) => {
                let all = if given.has('R') { tree(shell, &stat.path) } else { vec![stat.path] };
                for one in all {
                    let result = shell.world().set_owner(&one, uid, gid);
                    told(shell, words, result, path, &mut status)?;
                }
            }
            Err(errno) => told(shell, words, Err(errno), path, &mut status)?,
        }
    }
    Ok(status)
}

fn touch(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('a', ""),
        flag('m', ""),
        flag('c', "no-create"),
        valued('r', "reference"),
        valued('d', "date"),
        valued('t', ""),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let (cwd, mode) = (shell.cwd().to_vec(), 0o666 & !shell.umask());
    let mut status = 0;
    for path in &given.operands {
        let result = match shell.world().stat(&cwd, path, Last::Followed) {
            Ok(stat) if stat.kind == Kind::Null => Ok(()),
            // Every time that is set is the image's.
            Ok(stat) => shell.world().touch(&stat.path),
            Err(Errno::NotFound) if given.has('c') => Ok(()),
            Err(Errno::NotFound) => shell.world().open_to_write(&cwd, path, mode, Kept::All).map(drop),
            Err(errno) => Err(errno),
        };
        told(shell, words, result, path, &mut status)?;
    }
    Ok(status)
}

fn install(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
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
        keeps_mode: false,
        keeps_owner: false,
        keeps_time: given.has('p'),
    };
    for (source, target) in pairs {
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

/// `mktemp`: the first free name, so that the same script makes the same one.
fn mktemp(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('d', "directory"),
        flag('t', ""),
        flag('q', "quiet"),
        flag('u', "dry-run"),
        valued('p', ""),
        Known { letter: 'P', long: "tmpdir", value: Value::Optional },
        valued('s', "suffix"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let temporary = shell.get("TMPDIR").filter(|folder| !folder.is_empty());
    let temporary = temporary.unwrap_or_else(|| Rc::from(&b"/tmp"[..]));
    let folder = given.value('p').or_else(|| given.value('P')).filter(|folder| !folder.is_empty()).cloned();
    let below = given.operands.is_empty() || given.has('t') || given.has('p') || given.has('P');
    let folder = if below { folder.unwrap_or(temporary) } else { Rc::from(&b""[..]) };
    let template = given.operands.first().cloned().unwrap_or_else(|| Rc::from(&b"tmp.XXXXXXXXXX"[..]));
    let suffix = given.value('s').cloned().unwrap_or_default();
    let marks = template.iter().rev().take_while(|byte| **byte == b'X').count();
    if marks < 3 {
        shell.say_error(b"mktemp: too few X's in template\n")?;
        return Ok(1);
    }
    let stem = &template[..template.len() - marks];
    let cwd = shell.cwd().to_vec();
    for number in 0..1_000_u32 {
        let name = [stem, format!("{number:0marks$}").as_bytes(), &suffix].concat();
        let path = if folder.is_empty() { name } else { [&folder[..], b"/", &name].concat() };
        if shell.world().stat(&cwd, &path, Last::Itself).is_ok() {
            continue;
        }
        let made = match (given.has('u'), given.has('d')) {
            (true, _) => Ok(()),
            (false, true) => shell.world().make_directory(&cwd, &path, 0o700).map(drop),
            (false, false) => shell.world().open_to_write(&cwd, &path, 0o600, Kept::All).map(drop),
        };
        if let Err(errno) = made {
            return shell.failed(words, &path, errno);
        }
        shell.say(&[&path[..], b"\n"].concat())?;
        return Ok(0);
    }
    Err(shell.fault(words, "there are too many temporary files"))
}

fn basename(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('a', "multiple"), valued('s', "suffix"), flag('z', "zero")];
    let given = options::read(shell, words, KNOWN)?;
    let many = given.has('a') || given.has('s');
    let (paths, suffix) = match &given.operands[..] {
        [] => return usage(shell, words),
        [path, suffix] if !many => (vec![path.clone()], suffix.clone()),
        all => (all.to_vec(), given.value('s').cloned().unwrap_or_default()),
    };
    for path in paths {
        let name = if path.iter().all(|byte| *byte == b'/') && !path.is_empty() {
            &path[..1]
        } else {
            last_component(&path)
        };
        let name = match name.strip_suffix(&suffix[..]) {
            Some(stem) if !stem.is_empty() => stem,
            _ => name,
        };
        shell.say(&[name, b"\n"].concat())?;
    }
    Ok(0)
}

fn dirname(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let given = options::read(shell, words, &[])?;
    for path in &given.operands {
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
        let parent = match path[..end].iter().rposition(|byte| *byte == b'/') {
            Some(slash) => {
                let end = path[..slash].iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
                if end == 0 { &b"/"[..] } else { &path[..end] }
            }
            None if path.starts_with(b"/") => b"/",
            None => b".",
        };
        shell.say(&[parent, b"\n"].concat())?;
    }
    Ok(0)
}

fn absolute(path: &ImagePath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}

fn readlink(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('f', "canonicalize"),
        flag('e', "canonicalize-existing"),
        flag('m', "canonicalize-missing"),
        flag('n', "no-newline"),
        flag('q', "quiet"),
        flag('s', "silent"),
        flag('v', "verbose"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let cwd = shell.cwd().to_vec();
    let mut status = 0;
    for path in &given.operands {
        let canonical = given.has('f') || given.has('e') || given.has('m');
        let found = if canonical {
            let place = shell.world().locate(&cwd, path, Last::Followed);
            place
                .ok()
                .filter(|place| !given.has('e') || place.is_root() || shell.world().tree.contains(place))
                .map(|place| absolute(&place))
        } else {
            let place = shell.world().locate(&cwd, path, Last::Itself).ok();
            place.and_then(|place| match shell.world().tree.get(&place).map(|node| node.kind.clone()) {
                Some(pinfold_archive::NodeKind::Symlink(target)) => Some(target.to_vec()),
                _ => None,
            })
        };
        match found {
            Some(mut found) => {
                if !given.has('n') {
                    found.push(b'\n');
                }
                shell.say(&found)?;
            }
            None => status = 1,
        }
    }
    Ok(status)
}

fn realpath(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('e', "canonicalize-existing"),
        flag('m', "canonicalize-missing"),
        flag('s', "strip"),
        flag('s', "no-symlinks"),
        flag('q', "quiet"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let cwd = shell.cwd().to_vec();
    let mut status = 0;
    for path in &given.operands {
        if given.has('s') {
            // Links are not looked at: a path that counts from the directory, as a link's target does.
            let from = [&cwd[..], b"/x"].concat();
            let place = ImagePath::new(from).ok().and_then(|from| from.link_target(path));
            match place {
                Some(place) => shell.say(&[&absolute(&place)[..], b"\n"].concat())?,
                None => status = 1,
            }
            continue;
        }
        match shell.world().locate(&cwd, path, Last::Followed) {
            Ok(place) if !given.has('e') || shell.world().tree.contains(&place) => {
                shell.say(&[&absolute(&place)[..], b"\n"].concat())?;
            }
            Ok(_) => status = 1,
            Err(errno) => told(shell, words, Err(errno), path, &mut status)?,
        }
    }
    Ok(status)
}

/// `stat -c FORMAT`: `%a %u %g %U %G %s %n %F`.
fn stat(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[valued('c', "format"), flag('L', "dereference")];
    let given = options::read(shell, words, KNOWN)?;
    let Some(format) = given.value('c').cloned() else {
        return Err(shell.fault(words, "`stat` needs a format here"));
    };
    let (cwd, last) = (shell.cwd().to_vec(), if given.has('L') { Last::Followed } else { Last::Itself });
    let mut status = 0;
    for path in &given.operands {
        let stat = match shell.world().stat(&cwd, path, last) {
            Ok(stat) => stat,
            Err(errno) => {
                told(shell, words, Err(errno), path, &mut status)?;
                continue;
            }
        };
        let mut line = Vec::new();
        let mut rest = format.iter();
        while let Some(&byte) = rest.next() {
            if byte != b'%' {
                line.push(byte);
                continue;
            }
            let accounts = &shell.world().accounts;
            match rest.next() {
                Some(b'a') => line.extend(format!("{:o}", stat.meta.mode).bytes()),
                Some(b'u') => line.extend(stat.meta.uid.to_string().bytes()),
                Some(b'g') => line.extend(stat.meta.gid.to_string().bytes()),
                Some(b'U') => line.extend(accounts.user_name(stat.meta.uid).unwrap_or("UNKNOWN").bytes()),
                Some(b'G') => line.extend(accounts.group_name(stat.meta.gid).unwrap_or("UNKNOWN").bytes()),
                Some(b's') => line.extend(stat.size.to_string().bytes()),
                Some(b'n') => line.extend_from_slice(path),
                Some(b'Y') => line.extend(stat.meta.mtime.to_string().bytes()),
                Some(b'F') => line.extend_from_slice(match stat.kind {
                    Kind::Directory => b"directory",
                    Kind::File if stat.size == 0 => b"regular empty file",
                    Kind::File => b"regular file",
                    Kind::Link => b"symbolic link",
                    Kind::Null => b"character special file",
                }),
                _ => return Err(shell.fault(words, "this format of `stat` is not known")),
            }
        }
        line.push(b'\n');
        shell.say(&line)?;
    }
    Ok(status)
}
