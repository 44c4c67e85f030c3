//! sed: a stream editor over lines (XCU sed, with GNU's `-i -E -r -s -z`, `T Q`, one-line `a i c` and addresses `F~S`, `+N`).
//!
//! **Guarantees**: every edit of every line takes a step of the budget, a line never grows over 4 MiB, and a last line without a
//! newline stays without one. **Refuses** `e`, `l`, `v` and the flags `e` and `m`.

mod machine;
mod syntax;

use pinfold_archive::NodeKind;

use self::machine::Machine;
use self::machine::Target;
use super::Word;
use super::options;
use super::options::Known;
use super::options::Value;
use super::options::flag;
use super::options::valued;
use super::regex::Dialect;
use super::text;
use crate::debian::script::shell::Flow;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Errno;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

/// The status when a file cannot be read.
const MISSING: i32 = 2;
/// The status when a file cannot be edited in place.
const NOT_EDITED: i32 = 4;
/// What making an expression takes, in nanoseconds.
const MADE: u64 = 100_000;

/// Runs sed.
pub(super) fn run(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('n', "quiet"),
        flag('n', "silent"),
        valued('e', "expression"),
        valued('f', "file"),
        flag('E', "regexp-extended"),
        flag('r', ""),
        flag('s', "separate"),
        flag('z', "null-data"),
        Known { letter: 'i', short: true, long: "in-place", value: Value::Attached },
        flag('u', "unbuffered"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let (mut program, mut status) = (Vec::new(), 0);
    let mut operands = &given.operands[..];
    for (letter, value) in &given.options {
        match letter {
            'e' => program.push(value.to_vec()),
            'f' => match text::bytes_of(shell, words, value, &mut status)? {
                Some(bytes) => program.push(bytes.strip_suffix(b"\n").unwrap_or(&bytes).to_vec()),
                None => return Ok(1),
            },
            _ => {}
        }
    }
    if program.is_empty() {
        let Some((first, rest)) = operands.split_first() else {
            return Err(shell.fault(words, "`sed` needs a script"));
        };
        program.push(first.to_vec());
        operands = rest;
    }
    let program = program.join(&b'\n');
    let dialect = if given.has('E') || given.has('r') { Dialect::Extended } else { Dialect::Basic };
    let (edits, expressions) = syntax::edits(&program, dialect).map_err(|what| shell.fault(words, what))?;
    shell.spend(expressions * MADE)?;
    let mut machine = Machine::new(&edits, words);
    machine.quiet = given.has('n') || program.starts_with(b"#n\n");
    machine.newline = if given.has('z') { 0 } else { b'\n' };
    if let Some(suffix) = given.value('i').cloned() {
        in_place(shell, words, &mut machine, operands, &suffix, &mut status)?;
    } else {
        let mut texts = Vec::new();
        if operands.is_empty() {
            texts.push(shell.read_all()?);
        }
        for path in operands {
            match text::bytes_of(shell, words, path, &mut status)? {
                Some(more) => texts.push(more),
                None => status = MISSING,
            }
        }
        if given.has('s') {
            for one in texts {
                machine.begin_file();
                machine.edit(&[one], shell)?;
                if machine.quit.is_some() {
                    break;
                }
            }
        } else {
            machine.edit(&texts, shell)?;
        }
        machine.finish(shell)?;
    }
    for (name, bytes) in std::mem::take(&mut machine.written) {
        match &name[..] {
            b"/dev/stdout" => shell.say(&bytes)?,
            b"/dev/stderr" => shell.say_error(&bytes)?,
            _ => {
                let (cwd, mode) = (shell.cwd().to_vec(), 0o666 & !shell.umask());
                let opened = shell.world().open_to_write(&cwd, &name, mode, Kept::Nothing);
                if let Err(errno) = opened.and_then(|file| shell.world().append(&file, &bytes)) {
                    status = shell.failed(words, &name, errno)?.max(NOT_EDITED);
                }
            }
        }
    }
    Ok(match machine.quit {
        Some(quit) if quit != 0 && quit != -1 => {
            if quit < 0 {
                -1 - quit
            } else {
                quit
            }
        }
        _ => status,
    })
}

/// `-i`: each file for itself. The file is a new one afterwards, as GNU's sed makes it: other names of the old one keep the
/// old text, and a link is replaced.
fn in_place(
    shell: &mut Shell<'_, '_>,
    words: &[Word],
    machine: &mut Machine<'_>,
    operands: &[Word],
    suffix: &[u8],
    status: &mut i32,
) -> Result<(), Flow> {
    machine.target = Target::Kept;
    let cwd = shell.cwd().to_vec();
    for path in operands {
        let stat = match shell.world().stat(&cwd, path, Last::Itself) {
            Ok(stat) => stat,
            Err(errno) => {
                shell.failed(words, path, errno)?;
                *status = MISSING;
                continue;
            }
        };
        if stat.kind == Kind::Directory || stat.kind == Kind::Null {
            shell.say_error(
                format!("sed: couldn't edit {}: not a regular file\n", path.escape_ascii()).as_bytes(),
            )?;
            *status = NOT_EDITED;
            continue;
        }
        let Some(bytes) = text::bytes_of(shell, words, path, status)? else {
            *status = MISSING;
            continue;
        };
        machine.begin_file();
        let whole = [bytes];
        machine.edit(&whole, shell)?;
        let out = machine.finish(shell)?;
        if !suffix.is_empty() {
            let name = match memchr::memchr(b'*', suffix) {
                Some(_) => return Err(shell.fault(words, "a backup with `*` in its name is not evaluated")),
                None => [&path[..], suffix].concat(),
            };
            let copy: [Word; 4] =
                [b"cp".as_slice().into(), b"-p".as_slice().into(), path.clone(), name.into()];
            shell.start(&copy)?;
        }
        if out != whole[0]
            && let Err(errno) = renew(shell, &cwd, path, out)
        {
            *status = shell.failed(words, path, errno)?.max(NOT_EDITED);
        }
        if machine.quit.is_some() {
            break;
        }
    }
    Ok(())
}

/// Puts a file of the same owner and mode in the place of one.
fn renew(shell: &mut Shell<'_, '_>, cwd: &[u8], path: &[u8], bytes: Vec<u8>) -> Result<(), Errno> {
    let old = shell.world().stat(cwd, path, Last::Followed)?;
    let place = shell.world().locate(cwd, path, Last::Itself)?;
    let other_names =
        !matches!(shell.world().tree.get(&place).map(|node| &node.kind), Some(NodeKind::File(_)))
            || shell.world().has_other_names(&place)?;
    let world = shell.world();
    if !other_names {
        return world.replace_content(&place, bytes);
    }
    world.remove(&place)?;
    let place = world.open_to_write(cwd, path, old.meta.mode, Kept::Nothing)?;
    world.set_owner(&place, Some(old.meta.uid), Some(old.meta.gid))?;
    world.set_mode(&place, old.meta.mode)?;
    world.append(&place, &bytes)
}
