//! Answers about where a script runs, which is nowhere: names, sizes and sorts of a machine that are the same for everybody.
//!
//! **Guarantees**: nothing of the host is told. The host is `localhost`, has one processor and enough room; the vendor is
//! Debian, the paper is A4.

use std::rc::Rc;

use super::Command;
use super::Word;
use super::files;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long_optional;
use super::options::long_valued;
use super::options::valued;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kind;
use crate::debian::script::world::Last;

/// The release of the kernel that scripts are told of.
const KERNEL: &str = "6.12.0";
/// Room on every file system, in kibibytes.
const ROOM: u64 = 1 << 30;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "apt-config" => apt_config,
        "arch" => |shell, words| {
            let machine = [shell.world().arch.machine(), "\n"].concat();
            let _ = words;
            shell.say(machine.as_bytes())?;
            Ok(0)
        },
        "bash" | "dash" | "sh" => sh,
        "df" => df,
        "dnsdomainname" | "domainname" | "nisdomainname" => |_, _| Ok(1),
        "dpkg-architecture" => architecture,
        "dpkg-vendor" => vendor,
        "getconf" => getconf,
        "hostname" => hostname,
        "nproc" => |shell, _| {
            shell.say(b"1\n")?;
            Ok(0)
        },
        "paperconf" => paperconf,
        "printenv" => printenv,
        "run-parts" => run_parts,
        // Nothing listens and nothing is connected: only the heading of a table is there.
        "ss" => |shell, words| {
            let bare = words
                .iter()
                .any(|word| word.starts_with(b"-") && !word.starts_with(b"--") && word.contains(&b'H'));
            shell.say(if bare {
                b""
            } else {
                b"State Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n"
            })?;
            Ok(0)
        },
        "tempfile" => tempfile,
        "uname" => uname,
        "whoami" | "logname" => |shell, _| {
            let uid = shell.uid();
            let name = shell.world().accounts.user_name(uid).unwrap_or("root").to_owned();
            shell.say(format!("{name}\n").as_bytes())?;
            Ok(0)
        },
        _ => return None,
    })
}

fn uname(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('a', "all"),
        flag('s', "kernel-name"),
        flag('n', "nodename"),
        flag('r', "kernel-release"),
        flag('v', "kernel-version"),
        flag('m', "machine"),
        flag('p', "processor"),
        flag('i', "hardware-platform"),
        flag('o', "operating-system"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let machine = shell.world().arch.machine();
    // The kernel is the host's, and nothing of it enters an image: one that is new enough for every release.
    let all = [
        ('s', "Linux"),
        ('n', "localhost"),
        ('r', KERNEL),
        ('v', "#1 SMP"),
        ('m', machine),
        ('p', "unknown"),
        ('i', "unknown"),
        ('o', "GNU/Linux"),
    ];
    let asked = |letter: char| {
        given.has(letter)
            || given.options.is_empty() && letter == 's'
            || given.has('a') && !matches!(letter, 'p' | 'i')
    };
    let said: Vec<&str> = all.iter().filter(|(letter, _)| asked(*letter)).map(|(_, said)| *said).collect();
    shell.say(format!("{}\n", said.join(" ")).as_bytes())?;
    Ok(0)
}

fn hostname(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('f', "fqdn"),
        flag('s', "short"),
        flag('d', "domain"),
        flag('f', "long"),
        flag('A', "all-fqdns"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if !given.operands.is_empty() {
        return Err(shell.fault(words, "a machine's name is not set"));
    }
    shell.say(if given.has('d') { b"\n" } else { b"localhost\n" })?;
    Ok(0)
}

/// `df PATH…`: there is room enough.
fn df(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('P', "portability"),
        flag('k', ""),
        flag('h', "human-readable"),
        flag('m', ""),
        flag('l', "local"),
        flag('i', "inodes"),
        flag('T', "print-type"),
        valued('B', "block-size"),
        long_optional('o', "output"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.has('h') || given.has('i') || given.has('T') || given.has('B') {
        return Err(shell.fault(words, "this use of df is not known"));
    }
    let cwd = shell.cwd().to_vec();
    let (mut status, mut lines) = (0, Vec::new());
    for path in &given.operands {
        match shell.world().stat(&cwd, path, Last::Followed) {
            Ok(_) => lines.push(path),
            Err(errno) => status = shell.failed(words, path, errno)?,
        }
    }
    if lines.is_empty() && !given.operands.is_empty() {
        return Ok(status);
    }
    let room = if given.has('m') { ROOM >> 10 } else { ROOM };
    let count = lines.len().max(1);
    let Some(list) = given.value('o').map(|list| String::from_utf8_lossy(list).into_owned()) else {
        let title = if given.has('P') { "1024-blocks" } else { "1K-blocks" };
        let line = format!("/dev/root      {room} 0 {room}   0% /\n").repeat(count);
        let head = format!("Filesystem     {title} Used Available Capacity Mounted on\n");
        shell.say([head, line].concat().as_bytes())?;
        return Ok(status);
    };
    let (column, value) = match list.as_str() {
        "source" => ("Filesystem", "/dev/root".to_owned()),
        "size" => ("1K-blocks", room.to_string()),
        "used" => ("Used", "0".to_owned()),
        "avail" => ("Avail", room.to_string()),
        "pcent" => ("Use%", "0%".to_owned()),
        "target" => ("Mounted on", "/".to_owned()),
        _ => return Err(shell.fault(words, "this use of df is not known")),
    };
    shell.say(format!("{column:>10}\n{}", format!("{value:>10}\n").repeat(count)).as_bytes())?;
    Ok(status)
}

fn getconf(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let said: &[u8] = match words.get(1).map(|word| &**word) {
        Some(b"LONG_BIT") => b"64\n",
        Some(b"PAGESIZE" | b"PAGE_SIZE") => b"4096\n",
        Some(b"_NPROCESSORS_ONLN" | b"_NPROCESSORS_CONF") => b"1\n",
        Some(b"ARG_MAX") => b"2097152\n",
        Some(b"PATH") => b"/bin:/usr/bin\n",
        _ => return Err(shell.fault(words, "this value of getconf is not known")),
    };
    shell.say(said)?;
    Ok(0)
}

/// The paper of `/etc/papersize`, else A4.
fn paperconf(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('n', ""), flag('N', ""), flag('s', ""), valued('p', "")];
    let given = options::read(shell, words, KNOWN)?;
    let text = shell.world().read(b"/", b"/etc/papersize").unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let name =
        text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or("a4");
    let said = match (given.has('s'), given.has('N'), name) {
        (true, _, "a4") => "595.276 841.89".to_owned(),
        (true, _, "letter") => "612 792".to_owned(),
        (true, ..) => return Err(shell.fault(words, "the size of this paper is not known")),
        (_, true, name) => name[..1].to_uppercase() + &name[1..],
        (.., name) => name.to_owned(),
    };
    shell.say(format!("{said}\n").as_bytes())?;
    Ok(0)
}

/// `dpkg-vendor --is|--derives-from VENDOR`, `--query Vendor`.
fn vendor(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    match words.get(1..).unwrap_or_default() {
        [action, vendor] if matches!(&**action, b"--is" | b"--derives-from") => {
            Ok(i32::from(!vendor.eq_ignore_ascii_case(b"debian")))
        }
        [action, field] if &**action == b"--query" && field.eq_ignore_ascii_case(b"vendor") => {
            shell.say(b"Debian\n")?;
            Ok(0)
        }
        _ => Err(shell.fault(words, "this use of dpkg-vendor is not known")),
    }
}

/// `dpkg-architecture -q VARIABLE`.
fn architecture(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[valued('q', "query")];
    let given = options::read(shell, words, KNOWN)?;
    let arch = shell.world().arch;
    let Some(asked) = given.value('q').map(|name| String::from_utf8_lossy(name).into_owned()) else {
        return Err(shell.fault(words, "`dpkg-architecture` is asked for one variable here"));
    };
    let variable =
        ["DEB_HOST_", "DEB_BUILD_", "DEB_TARGET_"].iter().find_map(|prefix| asked.strip_prefix(prefix));
    let machine = arch.machine();
    let said = match variable {
        Some("ARCH" | "ARCH_CPU") => arch.debian().to_owned(),
        Some("MULTIARCH" | "GNU_TYPE") => format!("{machine}-linux-gnu"),
        Some("GNU_CPU") => machine.to_owned(),
        Some("ARCH_OS" | "ARCH_KERNEL") => "linux".to_owned(),
        Some("GNU_SYSTEM") => "linux-gnu".to_owned(),
        Some("ARCH_BITS") => "64".to_owned(),
        Some("ARCH_ENDIAN") => "little".to_owned(),
        _ => return Err(shell.fault(words, "this variable of dpkg-architecture is not known")),
    };
    shell.say(format!("{said}\n").as_bytes())?;
    Ok(0)
}

/// `apt-config shell NAME KEY…`: nothing is set, so that every default stands.
fn apt_config(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    match words.get(1).map(|word| &**word) {
        Some(b"shell" | b"dump") => Ok(0),
        _ => Err(shell.fault(words, "this use of apt-config is not known")),
    }
}

fn printenv(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut status = 0;
    if words.len() == 1 {
        let lines = shell.environment();
        shell.say(&lines)?;
    }
    for name in &words[1..] {
        match shell.exported(&String::from_utf8_lossy(name)) {
            Some(value) => shell.say(&[&value[..], b"\n"].concat())?,
            None => status = 1,
        }
    }
    Ok(status)
}

/// `sh -c TEXT`, `sh FILE`, and text on descriptor 0.
fn sh(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut at, mut command, mut switches) = (1, false, Vec::new());
    while let Some(word) = words.get(at).filter(|word| word.starts_with(b"-") && word.len() > 1) {
        at += 1;
        if &**word == b"--" {
            break;
        }
        for letter in &word[1..] {
            match letter {
                b'c' => command = true,
                b'e' | b'u' | b'x' | b'f' => switches.push(*letter),
                b'l' | b's' => {}
                _ => return Err(shell.fault(words, "this option of a shell is not known")),
            }
        }
    }
    let rest = &words[at..];
    let before = if switches.is_empty() { Vec::new() } else { [b"set -", &switches[..], b"\n"].concat() };
    match (command, rest) {
        (true, [text, names @ ..]) => shell.child(&[&before[..], text].concat(), names, None, None),
        // What is not done by its own name is not done by its shell either.
        (false, [file, ..]) if super::not_done::is_left_out(file) => super::not_done::left_out(shell, rest),
        (false, [file, ..]) => {
            let cwd = shell.cwd().to_vec();
            match shell.world().read(&cwd, file) {
                Ok(text) => shell.child(&[&before[..], &text].concat(), rest, None, None),
                Err(errno) => shell.failed(words, file, errno).map(|_| 127),
            }
        }
        (false, []) => {
            let text = shell.read_all()?;
            shell.child(&[&before[..], &text].concat(), &[], None, None)
        }
        (true, []) => Ok(2),
    }
}

/// `run-parts [--list|--test] DIRECTORY`: what lies in it, in the order of names, each run.
fn run_parts(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        options::long('l', "list"),
        options::long('t', "test"),
        options::long('x', "exit-on-error"),
        options::long('n', "new-session"),
        flag('v', "verbose"),
        options::long('p', "report"),
        valued('a', "arg"),
        valued('u', "umask"),
        long_valued('r', "regex"),
        options::long('s', "lsbsysinit"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let [directory] = &given.operands[..] else {
        return Err(shell.fault(words, "`run-parts` has one directory"));
    };
    let expression = match given.value('r') {
        Some(pattern) => super::regex::Expression::new(
            pattern,
            super::regex::Dialect::Extended,
            super::regex::Letters::Exact,
        ),
        // The names that the LSB gives out, and cron's.
        None if given.has('s') => super::regex::Expression::new(
            b"^(_?([a-z0-9_.]+-)+[a-z0-9]+|[a-z0-9][a-z0-9-]*)$",
            super::regex::Dialect::Extended,
            super::regex::Letters::Exact,
        ),
        None => super::regex::Expression::new(
            b"^[a-zA-Z0-9_-]+$",
            super::regex::Dialect::Extended,
            super::regex::Letters::Exact,
        ),
    };
    let expression = expression.map_err(|what| shell.fault(words, what))?;
    let cwd = shell.cwd().to_vec();
    let names = match shell.world().stat(&cwd, directory, Last::Followed) {
        Ok(stat) => shell.world().list(&stat.path),
        Err(errno) => Err(errno),
    };
    let mut names = match names {
        Ok(names) => names,
        Err(errno) => return shell.failed(words, directory, errno),
    };
    names.sort();
    let arguments: Vec<Word> =
        given.options.iter().filter(|(letter, _)| *letter == 'a').map(|(_, word)| word.clone()).collect();
    let mut status = 0;
    for name in names {
        shell.spend(expression.price(name.len()))?;
        let path = [directory.strip_suffix(b"/").unwrap_or(directory), b"/", &name].concat();
        let stat = shell.world().stat(&cwd, &path, Last::Followed);
        let file =
            stat.is_ok_and(|stat| stat.kind == Kind::File && (given.has('l') || stat.meta.mode & 0o111 != 0));
        let is_old = |name: &[u8]| {
            [&b".dpkg-old"[..], b".dpkg-dist", b".dpkg-new", b".dpkg-tmp"]
                .iter()
                .any(|end| name.ends_with(end))
        };
        if !file || !expression.is_match(&name) || given.has('s') && is_old(&name) {
            continue;
        }
        if given.has('l') || given.has('t') {
            shell.say(&[&path[..], b"\n"].concat())?;
            continue;
        }
        let call: Vec<Word> = std::iter::once(Rc::from(&path[..])).chain(arguments.iter().cloned()).collect();
        let result = shell.start(&call)?;
        if result != 0 {
            status = 1;
            if given.has('x') {
                return Ok(status);
            }
        }
    }
    Ok(status)
}

/// `tempfile`: debianutils' older `mktemp`.
fn tempfile(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if words.len() > 1 {
        return Err(shell.fault(words, "this use of tempfile is not known"));
    }
    let call: [Word; 1] = [Rc::from(&b"mktemp"[..])];
    match files::find("mktemp") {
        Some(run) => run(shell, &call),
        None => Ok(1),
    }
}
