//! What a name is, where it leads, and what is told of a file: basename, dirname, readlink, realpath, stat.

use pinfold_archive::NodeKind;
use pinfold_base::ImagePath;

use super::Word;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long_valued;
use super::options::valued;
use super::told;
use super::usage;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;
use crate::debian::script::world::Stat;

pub(in super::super) fn last_component(path: &[u8]) -> &[u8] {
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
        shell.say(&[name, if given.has('z') { b"\0" } else { b"\n" }].concat())?;
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

/// Where a path leads of which everything may be missing: what is not there is taken as it is written.
fn missing(shell: &mut Shell<'_, '_>, cwd: &[u8], path: &[u8]) -> Option<ImagePath> {
    let whole = if path.starts_with(b"/") { path.to_vec() } else { [cwd, b"/", path].concat() };
    let mut at = ImagePath::root();
    for name in whole.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")) {
        if name == b".." {
            at = at.parent().unwrap_or_default();
            continue;
        }
        let next = at.join(name).ok()?;
        at = match shell.world().locate(b"/", &absolute(&next), Last::Followed) {
            Ok(found) => found,
            Err(Errno::NotFound | Errno::NotADirectory) => next,
            Err(_) => return None,
        };
    }
    Some(at)
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
        let canonical = given.has('f') || given.has('e');
        let found = if given.has('m') {
            missing(shell, &cwd, path).map(|place| absolute(&place))
        } else if canonical {
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
        if given.has('m') {
            match missing(shell, &cwd, path) {
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

/// `stat -c FORMAT`, `stat --printf FORMAT`. There is one device, 1. A node's number is made of its path, so that it is the same
/// in every evaluation; the other names of a file have the file's. The root's is 2.
pub(super) fn stat(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut out, mut status) = (Vec::new(), 0);
    stat_into(shell, words, &mut out, &mut status)?;
    shell.say(&out)?;
    Ok(status)
}

/// What `stat` prints.
pub(super) fn stat_into(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    out: &mut Vec<u8>,
    status: &mut i32,
) -> Result<(), Flow> {
    const KNOWN: &[Known] = &[
        valued('c', "format"),
        long_valued('P', "printf"),
        flag('L', "dereference"),
        flag('f', "file-system"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let printf = given.has('P');
    let Some(format) = given.value(if printf { 'P' } else { 'c' }).cloned() else {
        return Err(shell.fault(words, "`stat` needs a format here"));
    };
    if given.has('f') {
        return Err(shell.fault(words, "an image has no file system"));
    }
    let (cwd, last) = (shell.cwd().to_vec(), if given.has('L') { Last::Followed } else { Last::Itself });
    for path in &given.operands {
        let stat = match shell.world().stat(&cwd, path, last) {
            Ok(stat) => stat,
            Err(errno) => {
                told(shell, words, Err(errno), path, status)?;
                continue;
            }
        };
        let mut line = Vec::new();
        let mut rest = format.iter();
        while let Some(&byte) = rest.next() {
            let letter = match (byte, printf) {
                (b'%', _) => rest.next(),
                (b'\\', true) => {
                    match rest.next() {
                        Some(b'n') => line.push(b'\n'),
                        Some(b't') => line.push(b'\t'),
                        Some(b'0') => line.push(0),
                        Some(b'\\') => line.push(b'\\'),
                        _ => return Err(shell.fault(words, "this format of `stat` is not known")),
                    }
                    continue;
                }
                _ => {
                    line.push(byte);
                    continue;
                }
            };
            let Some(text) = told_of(shell, &stat, path, letter.copied()) else {
                return Err(shell.fault(words, "this format of `stat` is not known"));
            };
            line.extend_from_slice(&text);
        }
        if !printf {
            line.push(b'\n');
        }
        out.extend_from_slice(&line);
    }
    Ok(())
}

/// What a directive of `stat` stands for.
fn told_of(shell: &mut Shell<'_, '_>, stat: &Stat, path: &[u8], letter: Option<u8>) -> Option<Vec<u8>> {
    let meta = &stat.meta;
    let (letters, kind) = match stat.kind {
        Kind::Directory => (b'd', 0o040_000),
        Kind::File => (b'-', 0o100_000),
        Kind::Link => (b'l', 0o120_000),
        Kind::Null => (b'c', 0o020_000),
    };
    let mode = if stat.kind == Kind::Link { 0o777 } else { meta.mode };
    Some(match letter? {
        b'%' => b"%".to_vec(),
        b'a' => format!("{mode:o}").into_bytes(),
        b'A' => permissions_text(letters, mode),
        b'f' => format!("{:x}", kind | mode).into_bytes(),
        b'u' => meta.uid.to_string().into_bytes(),
        b'g' => meta.gid.to_string().into_bytes(),
        b'U' => shell.world().accounts.user_name(meta.uid).unwrap_or("UNKNOWN").into(),
        b'G' => shell.world().accounts.group_name(meta.gid).unwrap_or("UNKNOWN").into(),
        b's' => stat.size.to_string().into_bytes(),
        b'b' => stat.size.div_ceil(512).to_string().into_bytes(),
        b'B' => b"512".to_vec(),
        b'o' => b"4096".to_vec(),
        b'd' => b"1".to_vec(),
        b'i' => {
            let real = match shell.world().tree.get(&stat.path).map(|node| node.kind.clone()) {
                Some(NodeKind::Hardlink(file)) => file,
                _ => stat.path.clone(),
            };
            if real.is_root() { b"2".to_vec() } else { number_of(real.as_bytes()).to_string().into_bytes() }
        }
        // A directory has itself and `.`; other names of files are not counted.
        b'h' => {
            if stat.kind == Kind::Directory {
                b"2".to_vec()
            } else {
                b"1".to_vec()
            }
        }
        b'm' => b"/".to_vec(),
        b't' | b'T' | b'W' => b"0".to_vec(),
        b'n' => path.to_vec(),
        b'N' => match shell.world().tree.get(&stat.path).map(|node| node.kind.clone()) {
            Some(NodeKind::Symlink(target)) => [b"'", path, b"' -> '", &target[..], b"'"].concat(),
            _ => [b"'", path, b"'"].concat(),
        },
        b'X' | b'Y' | b'Z' => meta.mtime.to_string().into_bytes(),
        b'F' => match stat.kind {
            Kind::Directory => b"directory".to_vec(),
            Kind::File if stat.size == 0 => b"regular empty file".to_vec(),
            Kind::File => b"regular file".to_vec(),
            Kind::Link => b"symbolic link".to_vec(),
            Kind::Null => b"character special file".to_vec(),
        },
        _ => return None,
    })
}

/// `drwxr-xr-x`
fn permissions_text(kind: u8, mode: u32) -> Vec<u8> {
    let mut text = vec![kind];
    for (shift, special, with, without) in
        [(6, 0o4000, b's', b'S'), (3, 0o2000, b's', b'S'), (0, 0o1000, b't', b'T')]
    {
        let bits = mode >> shift & 7;
        text.push(if bits & 4 != 0 { b'r' } else { b'-' });
        text.push(if bits & 2 != 0 { b'w' } else { b'-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => with,
            (true, false) => without,
            (false, true) => b'x',
            (false, false) => b'-',
        });
    }
    text
}

/// A number for a path: the first bytes of its digest.
fn number_of(path: &[u8]) -> u64 {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(path);
    digest[..6].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)) + 3
}
