//! What a name is, where it leads, and what is told of a file: basename, dirname, readlink, realpath, stat.

use pinfold_base::ImagePath;

use super::Word;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::valued;
use super::told;
use super::usage;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

pub(super) fn last_component(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
    let path = &path[..end];
    let start = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    &path[start..]
}

pub(super) fn basename(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
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

pub(super) fn dirname(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
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

pub(super) fn readlink(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
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

pub(super) fn realpath(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
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
pub(super) fn stat(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
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
