//! Who runs what, and tools of Debian: su, env, which, postconf, and the answers of services that are not there.

#![expect(clippy::unnecessary_wraps, reason = "all commands have one type")]

use super::Command;
use super::Word;
use super::files::last_component;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::long;
use super::options::valued;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Last;

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "systemctl" => systemctl,
        "service" | "invoke-rc.d" => service,
        "deb-systemd-helper" => systemd_helper,
        "update-locale" => update_locale,
        "add-shell" | "update-shells" => login_shells,
        "which" => which,
        "a2enmod" | "a2ensite" | "a2enconf" => apache,
        "pg_conftool" => pg_conftool,
        "mountpoint" => mountpoint,
        "setpriv" | "runuser" | "su" | "sudo" => as_somebody,
        "chronic" | "ionice" | "nice" | "nohup" | "setsid" | "stdbuf" | "timeout" | "flock" | "sg" => within,
        "postconf" => postconf,
        "git" => git,
        "env" => env,
        _ => return None,
    })
}

fn left_out(shell: &mut Shell<'_, '_>, what: &str) -> Status {
    shell.world().not_done(what);
    Ok(0)
}

/// `a2enmod`, `a2ensite`, `a2enconf`: links to what is available; a module's `# Depends:` come first.
fn apache(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let name = last_component(&words[0]);
    let (kind, endings): (&str, &[&str]) = match name {
        b"a2enmod" => ("mods", &["load", "conf"]),
        b"a2ensite" => ("sites", &["conf"]),
        _ => ("conf", &["conf"]),
    };
    let mut wanted: Vec<String> = words[1..]
        .iter()
        .filter(|word| !word.starts_with(b"-"))
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let mut status = 0;
    let mut at = 0;
    while let Some(name) = wanted.get(at).cloned() {
        at += 1;
        shell.spend(1_000)?;
        let first = format!("/etc/apache2/{kind}-available/{name}.{}", endings[0]);
        let Ok(text) = shell.world().read(b"/", first.as_bytes()) else {
            shell.say_error(format!("ERROR: {name} does not exist!\n").as_bytes())?;
            status = 1;
            continue;
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let needs = text.lines().filter_map(|line| line.strip_prefix("# Depends:"));
        for need in needs.flat_map(str::split_whitespace) {
            if !wanted.iter().any(|known| known == need) {
                wanted.push(need.to_owned());
            }
        }
        for ending in endings {
            let target = format!("../{kind}-available/{name}.{ending}");
            let available = format!("/etc/apache2/{kind}-available/{name}.{ending}");
            let link = format!("/etc/apache2/{kind}-enabled/{name}.{ending}");
            if shell.world().stat(b"/", available.as_bytes(), Last::Followed).is_err()
                || shell.world().stat(b"/", link.as_bytes(), Last::Itself).is_ok()
            {
                continue;
            }
            if let Err(errno) = shell.world().make_link(b"/", link.as_bytes(), target.as_bytes()) {
                status = shell.failed(words, link.as_bytes(), errno)?;
            }
        }
    }
    Ok(status)
}

/// Whether a cluster is to be made while the package is installed: no.
fn pg_conftool(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if words.last().is_some_and(|word| &**word == b"create_main_cluster") {
        shell.world().not_done("database cluster, made at the first start");
        shell.say(b"false\n")?;
        return Ok(0);
    }
    Err(shell.fault(words, "this use of pg_conftool is not known"))
}

/// What dpkg's scripts find mounted where they run: `/proc`, `/sys` and `/dev`.
fn mountpoint(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mounted = words.last().is_some_and(|path| matches!(&**path, b"/proc" | b"/sys" | b"/dev" | b"/"));
    let quiet = words.iter().any(|word| &**word == b"-q");
    if !quiet {
        return Err(shell.fault(words, "this use of mountpoint is not known"));
    }
    Ok(i32::from(!mounted))
}

/// A command as another user: `su USER -c TEXT`, `runuser -u USER -- COMMAND`, `setpriv OPTIONS -- COMMAND`.
fn as_somebody(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let (mut user, mut text, mut command): (Option<Word>, Option<Word>, &[Word]) = (None, None, &[]);
    let name = &*words[0];
    let mut at = 1;
    while let Some(word) = words.get(at) {
        at += 1;
        let (option, value) = match word.iter().position(|byte| *byte == b'=') {
            Some(equal) if word.starts_with(b"--") => (&word[..equal], Some(Word::from(&word[equal + 1..]))),
            _ => (&word[..], None),
        };
        let operand = |at: &mut usize| {
            value.clone().or_else(|| {
                *at += 1;
                words.get(*at - 1).cloned()
            })
        };
        match option {
            b"-c" | b"--command" if name != b"sudo" => text = operand(&mut at),
            b"-u" | b"--user" | b"--reuid" => user = operand(&mut at),
            b"-s" | b"-g" | b"-G" | b"--shell" | b"--group" | b"--supp-group" | b"--regid" | b"--groups" => {
                operand(&mut at);
            }
            b"-"
            | b"-l"
            | b"-m"
            | b"-p"
            | b"-P"
            | b"-f"
            | b"-H"
            | b"-n"
            | b"-E"
            | b"--login"
            | b"--fast"
            | b"--preserve-environment"
            | b"--init-groups"
            | b"--clear-groups"
            | b"--reset-env"
            | b"--keep-groups"
            | b"--no-new-privs" => {}
            b"--" => {
                command = &words[at..];
                break;
            }
            option if option.starts_with(b"-") => {
                return Err(
                    shell.fault(words, format!("the option `{}` is not known", option.escape_ascii()))
                );
            }
            _ if user.is_none() && matches!(name, b"su" | b"runuser") => user = Some(word.clone()),
            _ => {
                command = &words[at - 1..];
                break;
            }
        }
    }
    let user = user.map_or_else(|| "root".to_owned(), |user| String::from_utf8_lossy(&user).into_owned());
    let known = shell.world().accounts.uid(&user).or_else(|| user.parse().ok());
    let Some(uid) = known else {
        shell.say_error(
            format!("{}: user {} does not exist\n", name.escape_ascii(), user.escape_debug()).as_bytes(),
        )?;
        return Ok(1);
    };
    match text {
        // Words behind the text are its arguments.
        Some(text) => shell.as_user(uid, |shell| shell.child(&text, command, None, None)),
        None if !command.is_empty() => shell.as_user(uid, |shell| shell.start(command)),
        None => Err(shell.fault(words, "this way to run a command is not known")),
    }
}

/// A command with other limits or in another session: it is run as it is.
fn within(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let known: &[Known] = match &*words[0] {
        b"timeout" => &[
            valued('k', "kill-after"),
            valued('s', "signal"),
            long('P', "preserve-status"),
            long('F', "foreground"),
        ],
        b"flock" => &[
            flag('x', "exclusive"),
            flag('e', ""),
            flag('s', "shared"),
            flag('n', "nonblock"),
            valued('w', "timeout"),
        ],
        b"nice" => &[valued('n', "adjustment")],
        b"ionice" => &[valued('n', "classdata"), valued('c', "class"), flag('t', "ignore")],
        b"stdbuf" => &[valued('i', "input"), valued('o', "output"), valued('e', "error")],
        b"setsid" => &[flag('c', "ctty"), flag('f', "fork"), flag('w', "wait")],
        b"chronic" => &[flag('e', "")],
        _ => &[],
    };
    let given = options::read_leading(shell, words, known)?;
    // A duration, a file to lock, or a group stands before the command.
    let before = usize::from(matches!(&*words[0], b"timeout" | b"flock" | b"sg"));
    match given.operands.get(before..).unwrap_or_default() {
        [flag, text, ..] if &**flag == b"-c" => {
            let text = text.clone();
            shell.child(&text, &[], None, None)
        }
        [] => Err(shell.fault(words, "this way to run a command is not known")),
        command => shell.start(command),
    }
}

/// `systemctl`: nothing runs and nothing is enabled, as in a container that is built.
fn systemctl(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let quiet = words.iter().any(|word| matches!(&**word, b"-q" | b"--quiet"));
    let (said, status): (&[u8], i32) =
        match words[1..].iter().find(|word| !word.starts_with(b"-")).map(|word| &**word) {
            Some(b"is-active") => (b"inactive\n", 3),
            Some(b"is-enabled") => (b"disabled\n", 1),
            Some(b"is-failed") => (b"inactive\n", 1),
            Some(b"is-system-running") => (b"offline\n", 1),
            Some(b"status") => (b"", 3),
            Some(b"show" | b"list-units" | b"list-unit-files" | b"cat" | b"show-environment") => (b"", 1),
            _ => {
                shell.world().not_done("start-up of services");
                return Ok(0);
            }
        };
    if !quiet {
        shell.say(said)?;
    }
    Ok(status)
}

/// `service NAME ACTION`, `invoke-rc.d NAME ACTION`: no service runs.
fn service(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if words.iter().any(|word| &**word == b"status") {
        return Ok(3);
    }
    shell.world().not_done("start-up of services");
    Ok(0)
}

/// `postconf -e NAME=VALUE…` and `postconf [-h] NAME`: parameters of `/etc/postfix/main.cf`.
fn postconf(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] =
        &[flag('e', ""), flag('h', ""), flag('x', ""), flag('n', ""), flag('o', ""), valued('c', "")];
    let given = options::read(shell, words, KNOWN)?;
    let folder = given.value('c').cloned().unwrap_or_else(|| Word::from(&b"/etc/postfix"[..]));
    let path = [&folder[..], b"/main.cf"].concat();
    let bytes = shell.world().read(b"/", &path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let name_of = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for operand in &given.operands {
        let operand = String::from_utf8_lossy(operand).into_owned();
        let name = name_of(&operand);
        let begins = |line: &String| !line.starts_with([' ', '\t', '#']) && name_of(line) == name;
        let at = lines.iter().position(begins);
        if let Some((_, value)) = operand.split_once('=') {
            let line = format!("{name} = {}", value.trim());
            match at {
                Some(at) => {
                    lines[at] = line;
                    // Lines that go on with blanks belonged to the old value.
                    while lines.get(at + 1).is_some_and(|next| next.starts_with([' ', '\t'])) {
                        lines.remove(at + 1);
                    }
                }
                None => lines.push(line),
            }
            continue;
        }
        // Its package asks for one parameter that is not in the file.
        if at.is_none() && name == "default_transport" {
            let line = if given.has('h') { "smtp\n" } else { "default_transport = smtp\n" };
            shell.say(line.as_bytes())?;
            continue;
        }
        let Some(at) = at else {
            return Err(shell.fault(words, "the default of a parameter of Postfix is not known"));
        };
        let value = lines[at].split_once('=').map(|(_, value)| value.trim().to_owned()).unwrap_or_default();
        let line = if given.has('h') { format!("{value}\n") } else { format!("{name} = {value}\n") };
        shell.say(line.as_bytes())?;
    }
    let new = lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
    if new == text {
        return Ok(0);
    }
    let opened = shell.world().open_to_write(b"/", &path, 0o644, Kept::Nothing);
    match opened.and_then(|file| shell.world().append(&file, new.as_bytes())) {
        Ok(()) => Ok(0),
        Err(errno) => shell.failed(words, &path, errno),
    }
}

/// The one thing that a package has git do: `git lfs install --skip-repo --system`.
fn git(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let given: Vec<&[u8]> = words[1..].iter().map(|word| &**word).collect();
    if given != [&b"lfs"[..], b"install", b"--skip-repo", b"--system"] {
        return Err(shell.fault(words, "this use of git is not known"));
    }
    const FILTER: &[u8] = b"[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n\tsmudge = git-lfs smudge -- %f\n\tprocess = git-lfs filter-process\n\trequired = true\n";
    let opened = shell.world().open_to_write(b"/", b"/etc/gitconfig", 0o644, Kept::All);
    match opened.and_then(|file| shell.world().append(&file, FILTER)) {
        Ok(()) => Ok(0),
        Err(errno) => shell.failed(words, b"/etc/gitconfig", errno),
    }
}

/// Questions about services have the answer of a new system: what is asked for was enabled.
fn systemd_helper(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let action = words[1..].iter().find(|word| !word.starts_with(b"-"));
    match action.map(|word| &**word) {
        Some(b"was-enabled" | b"debian-installed" | b"is-enabled") => Ok(1),
        Some(b"enable" | b"disable" | b"mask" | b"unmask" | b"purge" | b"update-state" | b"reenable") => {
            left_out(shell, "start-up of services")
        }
        _ => Err(shell.fault(words, "this use of deb-systemd-helper is not known")),
    }
}

/// The scripts of debianutils; without it there is no list of login shells.
fn login_shells(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let name = last_component(&words[0]).to_vec();
    match shell.found_in_path(&name) {
        Some(path) => shell.script_of_the_tree(&path, words),
        None => left_out(shell, "list of login shells; debianutils is not there"),
    }
}

/// `update-locale NAME=VALUE…`: `/etc/default/locale`; a name alone is taken out.
fn update_locale(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut lines: Vec<String> = Vec::new();
    let path = b"/etc/default/locale";
    if let Ok(bytes) = shell.world().read(b"/", path) {
        lines.extend(String::from_utf8_lossy(&bytes).lines().map(str::to_owned));
    }
    let before = lines.clone();
    for word in words[1..].iter().filter(|word| &***word != b"--no-checks" && &***word != b"--reset") {
        let text = String::from_utf8_lossy(word).into_owned();
        let name = text.split('=').next().unwrap_or_default();
        lines.retain(|line| line.split('=').next() != Some(name));
        if text.contains('=') {
            lines.push(text);
        }
    }
    if lines == before {
        return Ok(0);
    }
    let text = lines.iter().flat_map(|line| [line, "\n"]).collect::<String>();
    let opened = shell.world().open_to_write(b"/", path, 0o644, Kept::Nothing);
    match opened.and_then(|file| shell.world().replace_content(&file, text.into_bytes())) {
        Ok(()) => Ok(0),
        Err(errno) => shell.failed(words, path, errno),
    }
}

fn which(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut status = 0;
    for name in words[1..].iter().filter(|word| !matches!(&***word, b"-a" | b"-s")) {
        match shell.in_path(name) {
            Some(found) => shell.say(&[&found[..], b"\n"].concat())?,
            None => status = 1,
        }
    }
    Ok(status)
}

/// `env [-i] [-u NAME] [NAME=VALUE…] COMMAND …`; without a command what is exported.
fn env(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[flag('i', "ignore-environment"), valued('u', "unset")];
    let given = options::read_leading(shell, words, KNOWN)?;
    let is_assignment = |word: &&Word| word.contains(&b'=');
    let count = given.operands.iter().take_while(is_assignment).count();
    let (assigned, command) = given.operands.split_at(count);
    let uid = shell.uid();
    shell.as_user(uid, |shell| {
        shell.change_environment(given.has('i'), |name| {
            given.options.iter().any(|(letter, unset)| *letter == 'u' && **unset == *name.as_bytes())
        });
        for word in assigned {
            let at = memchr::memchr(b'=', word).unwrap_or(word.len());
            let name = String::from_utf8_lossy(&word[..at]).into_owned();
            shell.export(&name, word.get(at + 1..).unwrap_or_default().into())?;
        }
        if command.is_empty() {
            let lines = shell.environment();
            shell.say(&lines)?;
            return Ok(0);
        }
        shell.start(command)
    })
}
