//! Who may do what with a file: chmod, chown, chgrp, and the modes and owners that other commands are given.

use pinfold_archive::Metadata;

use super::Word;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long_valued;
use super::told;
use super::tree;
use super::usage;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

/// A mode: octal digits, or `u+x,go-w` over what is there.
pub(super) fn mode(
    shell: &Shell<'_, '_>,
    words: &[Word],
    text: &[u8],
    now: u32,
    kind: Kind,
) -> Result<u32, Flow> {
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
pub(super) type Owner = (Option<u32>, Option<u32>);

/// `USER`, `USER:GROUP`, `USER.GROUP`, `:GROUP` as numbers; names must be there.
pub(super) fn owner(shell: &mut Shell<'_, '_>, words: &[Word], text: &str) -> Result<Option<Owner>, Flow> {
    let accounts = &shell.world().accounts;
    // A name may have a dot in it; only where there is no such user it stands between user and group.
    let dotted = || text.split_once('.').filter(|_| accounts.uid(text).is_none());
    let (user, group, separated) = match text.split_once(':').or_else(dotted) {
        Some((user, group)) => (user, group, true),
        None => (text, "", false),
    };
    let uid = if user.is_empty() {
        Ok(None)
    } else {
        accounts.uid(user).or_else(|| user.parse().ok()).map(Some).ok_or(user)
    };
    let gid = if group.is_empty() && separated && !user.is_empty() {
        // `USER:` is the user's own group.
        Ok(accounts.gid_of_user(user))
    } else if group.is_empty() {
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

/// The file of `--reference`; nothing where there is none, which was said.
fn reference(shell: &mut Shell<'_, '_>, words: &[Word], file: &Word) -> Result<Option<Metadata>, Flow> {
    let cwd = shell.cwd().to_vec();
    match shell.world().stat(&cwd, file, Last::Followed) {
        Ok(stat) => Ok(Some(stat.meta)),
        Err(errno) => shell.failed(words, file, errno).map(|_| None),
    }
}

pub(super) fn chmod(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('R', "recursive"),
        flag('f', "silent"),
        flag('f', "quiet"),
        flag('v', "verbose"),
        flag('c', "changes"),
        long_valued('m', "reference"),
    ];
    // `-w` and the like are modes, not options; behind `--` nothing is an option.
    let is_mode = |word: &Word| {
        word.len() > 1 && word[0] == b'-' && word[1..].iter().all(|byte| b"rwxXst,+-=ugoa".contains(byte))
    };
    let dashes = words.iter().position(|word| &**word == b"--").unwrap_or(words.len());
    let at = words[..dashes].iter().skip(1).position(is_mode).map(|at| at + 1);
    let mut rest = words.to_vec();
    let taken = at.map(|at| rest.remove(at));
    let mut given = options::read(shell, &rest, KNOWN)?;
    if let Some(text) = taken {
        given.operands.insert(0, text);
    }
    let cwd = shell.cwd().to_vec();
    if let Some(file) = given.value('m').cloned() {
        let Some(like) = reference(shell, words, &file)? else { return Ok(1) };
        given.operands.insert(0, format!("{:o}", like.mode).as_bytes().into());
    }
    let Some((text, paths)) = given.operands.split_first() else { return usage(shell, words) };
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

pub(super) fn chown(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
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
        long_valued('m', "reference"),
        long_valued('F', "from"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let from = match given.value('F').map(|text| String::from_utf8_lossy(text).into_owned()) {
        Some(text) => match owner(shell, words, &text)? {
            Some(from) => from,
            None => return Ok(1),
        },
        None => (None, None),
    };
    let like = match given.value('m').cloned() {
        Some(file) => Some(reference(shell, words, &file)?),
        None => None,
    };
    let (uid, gid, paths) = match (like, given.operands.split_first()) {
        (Some(None), _) => return Ok(1),
        (Some(Some(like)), _) => {
            let uid = (!words[0].ends_with(b"chgrp")).then_some(like.uid);
            (uid, Some(like.gid), &given.operands[..])
        }
        (None, None) => return usage(shell, words),
        (None, Some((text, paths))) => {
            let text = String::from_utf8_lossy(text).into_owned();
            let text = if words[0].ends_with(b"chgrp") { format!(":{text}") } else { text };
            let Some((uid, gid)) = owner(shell, words, &text)? else { return Ok(1) };
            (uid, gid, paths)
        }
    };
    let (cwd, last) = (shell.cwd().to_vec(), if given.has('h') { Last::Itself } else { Last::Followed });
    let mut status = 0;
    for path in paths {
        match shell.world().stat(&cwd, path, last) {
            Ok(stat) => {
                let all = if given.has('R') { tree(shell, &stat.path) } else { vec![stat.path] };
                for one in all {
                    if from != (None, None)
                        && let Ok(now) = shell.world().stat(b"/", one.as_bytes(), Last::Itself)
                        && (from.0.is_some_and(|uid| uid != now.meta.uid)
                            || from.1.is_some_and(|gid| gid != now.meta.gid))
                    {
                        continue;
                    }
                    let result = shell.world().set_owner(&one, uid, gid);
                    told(shell, words, result, path, &mut status)?;
                }
            }
            Err(errno) => told(shell, words, Err(errno), path, &mut status)?,
        }
    }
    Ok(status)
}
