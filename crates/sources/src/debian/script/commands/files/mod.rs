//! Files and directories: the commands of coreutils that make, remove, copy and name them.
//!
//! ```text
//! here          mkdir rmdir rm touch mktemp        copying       cp mv ln install
//! permissions   chmod chown chgrp                  names         basename dirname readlink realpath stat
//! ```
//!
//! **Guarantees**: nothing outside the tree is read or made (the world sees to that); the same words over the same tree give the
//! same names, those of `mktemp` too. **Refuses** options that Debian's scripts do not use.

mod copying;
mod names;
mod permissions;

use std::rc::Rc;

use pinfold_base::ImagePath;

pub(super) use self::names::last_component;
use super::Command;
use super::Word;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long;
use super::options::long_optional;
use super::options::long_valued;
use super::options::valued;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

/// What GNU's mktemp makes names of where it is given no template (`info coreutils mktemp`).
const TEMPLATE: &[u8] = b"tmp.XXXXXXXXXX";

/// Longest template, in bytes.
const MAX_NAME: usize = 1_000;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "basename" => names::basename,
        "chgrp" | "chown" => permissions::chown,
        "chmod" => permissions::chmod,
        "cp" => copying::cp,
        "dirname" => names::dirname,
        "install" => copying::install,
        "ln" => copying::ln,
        "mkdir" => mkdir,
        "mktemp" => mktemp,
        "mv" => copying::mv,
        "readlink" => names::readlink,
        "realpath" => names::realpath,
        "rm" => rm,
        "rmdir" => rmdir,
        "stat" => names::stat,
        "sync" => |_, _| Ok(0),
        "touch" => touch,
        _ => return None,
    })
}

/// What `stat` prints for these words.
pub(super) fn stat_text(shell: &mut Shell<'_, '_>, words: &[Word]) -> Result<Vec<u8>, Flow> {
    let (mut out, mut status) = (Vec::new(), 0);
    names::stat_into(shell, words, &mut out, &mut status)?;
    Ok(out)
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
        Some(text) => permissions::mode(shell, words, &text.clone(), 0o777, Kind::File)?,
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
        &[flag('p', "parents"), long('i', "ignore-fail-on-non-empty"), flag('v', "verbose")];
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
        long('i', "one-file-system"),
        long('n', "no-preserve-root"),
        long('p', "preserve-root"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.operands.is_empty() && !given.has('f') {
        return usage(shell, words);
    }
    let recursive = given.has('r') || given.has('R');
    let cwd = shell.cwd().to_vec();
    let mut status = 0;
    for path in &given.operands {
        // As GNU's rm: not everything, and not where one stands.
        let last = names::last_component(path);
        if recursive
            && !given.has('n')
            && (path.iter().all(|byte| *byte == b'/') && !path.is_empty() || matches!(last, b"." | b".."))
        {
            let said = format!("rm: refusing to remove '{}'\n", path.escape_ascii());
            shell.say_error(said.as_bytes())?;
            status = 1;
            continue;
        }
        let result = match shell.world().stat(&cwd, path, Last::Itself) {
            // A slash behind a link: what its directory holds goes, then it is the link that is no directory.
            Ok(stat)
                if stat.kind == Kind::Directory && recursive && is_link_with_slash(shell, &cwd, path) =>
            {
                match shell.world().list(&stat.path) {
                    Ok(names) => names
                        .iter()
                        .try_for_each(|name| {
                            let inside = stat.path.join(name).map_err(|_| Errno::TooLong)?;
                            shell.world().remove_all(&inside)
                        })
                        .and(if given.has('f') { Ok(()) } else { Err(Errno::NotADirectory) }),
                    Err(errno) => Err(errno),
                }
            }
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

/// Whether a path is that of a link with a slash behind it.
fn is_link_with_slash(shell: &mut Shell<'_, '_>, cwd: &[u8], path: &[u8]) -> bool {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    let bare = &path[..end];
    end < path.len()
        && end > 0
        && shell.world().stat(cwd, bare, Last::Itself).is_ok_and(|stat| stat.kind == Kind::Link)
}

fn touch(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('a', ""),
        flag('m', ""),
        flag('c', "no-create"),
        flag('h', "no-dereference"),
        valued('r', "reference"),
        valued('d', "date"),
        valued('t', ""),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let (cwd, mode) = (shell.cwd().to_vec(), 0o666 & !shell.umask());
    // Every time that is set is the image's, or that of the file which is named.
    let last = if given.has('h') { Last::Itself } else { Last::Followed };
    let time = match given.value('r').cloned() {
        Some(file) => match shell.world().stat(&cwd, &file, last) {
            Ok(stat) => Some(stat.meta.mtime),
            Err(errno) => return shell.failed(words, &file, errno),
        },
        None => None,
    };
    let mut status = 0;
    for path in &given.operands {
        let result = match shell.world().stat(&cwd, path, last) {
            Ok(stat) if stat.kind == Kind::Null => Ok(()),
            Ok(stat) => shell.world().touch(&stat.path, time),
            Err(Errno::NotFound) if given.has('c') || given.has('h') => Ok(()),
            Err(Errno::NotFound) => shell.world().open_to_write(&cwd, path, mode, Kept::All).map(drop),
            Err(errno) => Err(errno),
        };
        told(shell, words, result, path, &mut status)?;
    }
    Ok(status)
}

/// `mktemp`: the first free name, so that the same script makes the same one. The last letters X of a template's name are the
/// number's places; what stands behind them is kept. Without a template GNU's own is taken.
fn mktemp(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('d', "directory"),
        flag('t', ""),
        flag('q', "quiet"),
        flag('u', "dry-run"),
        valued('p', ""),
        long_optional('P', "tmpdir"),
        long_valued('s', "suffix"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let temporary = shell.get("TMPDIR").filter(|folder| !folder.is_empty());
    let temporary = temporary.unwrap_or_else(|| Rc::from(&b"/tmp"[..]));
    let folder = given.value('p').or_else(|| given.value('P')).filter(|folder| !folder.is_empty()).cloned();
    let below = given.operands.is_empty() || given.has('t') || given.has('p') || given.has('P');
    let folder = if below { folder.unwrap_or(temporary) } else { Rc::from(&b""[..]) };
    let template = given.operands.first().cloned().unwrap_or_else(|| Rc::from(TEMPLATE));
    let last = template.iter().rposition(|byte| *byte == b'X').map_or(0, |at| at + 1);
    let (marked, behind) = template.split_at(last);
    let marks = marked.iter().rev().take_while(|byte| **byte == b'X').count();
    let suffix = given.value('s').cloned().unwrap_or_else(|| behind.into());
    if given.has('s') && !behind.is_empty() {
        shell.say_error(b"mktemp: with --suffix, template must end in X\n")?;
        return Ok(1);
    }
    if suffix.contains(&b'/') {
        shell.say_error(b"mktemp: invalid suffix, contains directory separator\n")?;
        return Ok(1);
    }
    if template.len() > MAX_NAME {
        return shell.failed(words, &template, Errno::TooLong);
    }
    if marks < 3 {
        shell.say_error(b"mktemp: too few X's in template\n")?;
        return Ok(1);
    }
    let stem = &marked[..last - marks];
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
