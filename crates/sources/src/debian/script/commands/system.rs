//! What is not wanted in a shared image, and so is not done and said so: services, caches for people, byte code, the host.

#![expect(clippy::unnecessary_wraps, reason = "all commands have one type")]

use super::Command;
use super::Word;
use super::options;
use super::options::Known;
use super::options::flag;
use super::options::valued;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kept;
use crate::debian::script::world::Last;
use crate::debian::version;

/// The release of the kernel that scripts are told of.
const KERNEL: &str = "6.12.0";

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    Some(match name {
        "update-rc.d" | "invoke-rc.d" | "service" | "deb-systemd-invoke" | "systemctl" | "initctl"
        | "policy-rc.d" => |shell, words| left_out(shell, words, "start-up of services"),
        "deb-systemd-helper" => systemd_helper,
        "systemd-tmpfiles" => {
            |shell, words| left_out(shell, words, "files of systemd-tmpfiles, made when a system starts")
        }
        "py3compile" | "py3clean" | "pycompile" | "pyclean" | "pypy3compile" | "pypy3clean" => {
            |shell, words| left_out(shell, words, "byte code")
        }
        "install-info" | "update-info-dir" | "mandb" | "helpztags" => {
            |shell, words| left_out(shell, words, "index of manuals")
        }
        "update-mime-database" | "update-desktop-database" | "update-mime" | "update-menus" => {
            |shell, words| left_out(shell, words, "index of desktop files and media types")
        }
        "update-icon-caches"
        | "gtk-update-icon-cache"
        | "fc-cache"
        | "update-fonts-alias"
        | "update-fonts-dir"
        | "update-fonts-scale" => |shell, words| left_out(shell, words, "cache of icons and fonts"),
        "sysctl" | "udevadm" | "modprobe" | "depmod" | "update-initramfs" | "update-grub"
        | "start-stop-daemon" | "apparmor_parser" | "dbus-send" | "kill" | "killall" | "pkill" => {
            |shell, words| left_out(shell, words, "changes of a running machine")
        }
        "locale-gen" | "localedef" => |shell, words| {
            left_out(shell, words, "compiled locales; C.UTF-8 is there, others are in `locales-all`")
        },
        "update-locale" => update_locale,
        "update-catalog" | "update-xmlcatalog" => {
            |shell, words| left_out(shell, words, "catalogue of XML and SGML")
        }
        "add-shell" => add_shell,
        "remove-shell" | "ucfr" => |_, _| Ok(0),
        "ucf" => ucf,
        "uname" => uname,
        "which" => which,
        "sleep" | "logger" | "clear" => |_, _| Ok(0),
        "emacs-package-install" | "emacs-install" | "emacs-package-remove" => {
            |shell, words| left_out(shell, words, "byte code of Emacs packages")
        }
        // A shared image must hold no ids and keys that are to be one machine's.
        // `sshd -G` is asked which keys to make.
        "sshd"
        | "sshd.session-split"
        | "dbus-uuidgen"
        | "systemd-machine-id-setup"
        | "ssh-keygen"
        | "make-ssl-cert"
        | "uuidgen" => |shell, words| left_out(shell, words, "ids and keys of one machine"),
        // There are no clusters yet, and nothing is set for everybody.
        "pg_lsclusters" | "pg_checksystem" | "pam_getenv" => |_, _| Ok(0),
        "pg_createcluster" | "pg_updatedicts" | "pg_buildext" => {
            |shell, words| left_out(shell, words, "database cluster, made at the first start")
        }
        "libgvc6-config-update" => |shell, words| {
            left_out(shell, words, "list of graphviz plugins: run `dot -c` before the first use")
        },
        "flatpak" | "snap" => |shell, words| left_out(shell, words, "changes of a running machine"),
        "a2enmod" | "a2ensite" | "a2enconf" => apache,
        "a2dismod" | "a2dissite" | "a2disconf" => |_, _| Ok(0),
        "pg_conftool" => pg_conftool,
        "systemd-hwdb" | "journalctl" | "udevd" | "systemd-machine-id" | "systemd-firstboot" => {
            |shell, words| left_out(shell, words, "changes of a running machine")
        }
        "mountpoint" => mountpoint,
        "perl" => perl,
        "date" => date,
        // No file of a new image has any.
        "getcap" => |_, _| Ok(0),
        "restorecon" | "selinuxenabled" => |_, _| Ok(1),
        "setpriv" | "runuser" | "su" | "nice" | "ionice" | "chronic" | "timeout" => as_somebody,
        "git" => git,
        "aa-enabled" | "aa-status" | "ischroot" | "runlevel" | "systemd-detect-virt" | "pidof" | "pgrep" => {
            |_, _| Ok(1)
        }
        "env" => env,
        "ls" => ls,
        _ => return None,
    })
}

fn left_out(shell: &mut Shell<'_, '_>, _: &[Word], what: &str) -> Status {
    shell.world().not_done(what);
    Ok(0)
}

/// `a2enmod`, `a2ensite`, `a2enconf`: links to what is available; a module's `# Depends:` come first.
fn apache(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let name = words[0].rsplit(|byte| *byte == b'/').next().unwrap_or_default();
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

/// Whether Perl can be started, which is all that a shell script may ask.
fn perl(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if words.len() == 3 && &*words[1] == b"-e" && words[2].is_empty() {
        return Ok(0);
    }
    Err(shell.fault(words, "a program in Perl is not evaluated"))
}

/// The time of the image: no clock is asked.
fn date(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let epoch = shell.world().epoch;
    let said = match words.iter().skip(1).find(|word| word.starts_with(b"+")).map(|word| &**word) {
        Some(b"+%s") => epoch.to_string(),
        None => format!("@{epoch}"),
        Some(_) => return Err(shell.fault(words, "this format of date is not known")),
    };
    shell.say(format!("{said}\n").as_bytes())?;
    Ok(0)
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

/// A command as another user, or with other limits: `su USER -c TEXT`, `setpriv OPTIONS -- COMMAND`.
fn as_somebody(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let name = words[0].rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let dashes = words.iter().position(|word| &**word == b"--");
    let text = words
        .iter()
        .position(|word| matches!(&**word, b"-c" | b"--command"))
        .and_then(|at| words.get(at + 1));
    let user = match name {
        b"setpriv" | b"nice" | b"ionice" | b"chronic" | b"timeout" => None,
        // The first word that is no option, nor the shell behind `-s`.
        _ => {
            let mut rest = words[1..].iter();
            let mut user = None;
            while let Some(word) = rest.next() {
                match &**word {
                    b"-s" | b"-c" | b"-g" | b"-u" | b"--shell" | b"--command" => {
                        user = if &**word == b"-u" {
                            rest.next().cloned()
                        } else {
                            rest.next().map(|_| ()).and(user)
                        }
                    }
                    option if option.starts_with(b"-") => {}
                    _ if user.is_none() => user = Some(word.clone()),
                    _ => {}
                }
            }
            user.map(|user| String::from_utf8_lossy(&user).into_owned())
        }
    };
    let uid = match &user {
        Some(user) => {
            if let Some(uid) = shell.world().accounts.uid(user) {
                uid
            } else {
                shell.say_error(format!("user {} does not exist\n", user.escape_debug()).as_bytes())?;
                return Ok(1);
            }
        }
        None => 0,
    };
    match (name, text, dashes) {
        (b"su" | b"runuser", Some(text), _) => {
            let text = text.clone();
            shell.as_user(uid, |shell| shell.eval_text(&text))
        }
        (b"setpriv" | b"runuser", None, Some(at)) if at + 1 < words.len() => {
            shell.as_user(uid, |shell| shell.invoke(&words[at + 1..]))
        }
        (b"chronic", _, None) if words.len() > 1 => shell.invoke(&words[1..]),
        _ => Err(shell.fault(words, "this way to run a command is not known")),
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
        Some(b"was-enabled" | b"debian-installed") => Ok(1),
        Some(b"enable" | b"disable" | b"mask" | b"unmask" | b"purge" | b"update-state" | b"reenable") => {
            left_out(shell, words, "start-up of services")
        }
        _ => Err(shell.fault(words, "this use of deb-systemd-helper is not known")),
    }
}

fn add_shell(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    for path in &words[1..] {
        let path = String::from_utf8_lossy(path).into_owned();
        shell.world().note(format!("shell {path}"));
        shell.world().shells.push(path);
    }
    Ok(0)
}

/// `ucf NEW CURRENT` on a fresh install: the new file is put where none is.
fn ucf(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('d', "debug"),
        flag('n', "no-action"),
        flag('t', "three-way"),
        flag('p', "purge"),
        flag('v', "verbose"),
        flag('o', "debconf-ok"),
        valued('s', "src-dir"),
        valued('S', "sum-file"),
        valued('D', "state-dir"),
        valued('T', "template"),
    ];
    let given = options::read(shell, words, KNOWN)?;
    if given.has('p') || given.has('n') {
        return Ok(0);
    }
    let [new, current] = &given.operands[..] else { return Err(shell.fault(words, "`ucf` has two files")) };
    let cwd = shell.cwd().to_vec();
    if shell.world().stat(&cwd, current, Last::Followed).is_ok() {
        return Ok(0);
    }
    let bytes = match shell.world().read(&cwd, new) {
        Ok(bytes) => bytes,
        Err(errno) => return shell.failed(words, new, errno),
    };
    // ucf copies with the mode of the new file.
    let mode = shell.world().stat(&cwd, new, Last::Followed).map_or(0o644, |stat| stat.meta.mode & 0o777);
    let written = shell.world().open_to_write(&cwd, current, mode, Kept::Nothing);
    match written.and_then(|file| shell.world().replace_content(&file, bytes)) {
        Ok(()) => Ok(0),
        Err(errno) => shell.failed(words, current, errno),
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

fn uname(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let machine = shell.world().arch.machine();
    let said = match words.get(1).map(|word| &**word) {
        None | Some(b"-s") => "Linux",
        Some(b"-m" | b"-p" | b"-i") => machine,
        Some(b"-o") => "GNU/Linux",
        // The kernel is the host's, and nothing of it enters an image: one that is new enough for every release.
        Some(b"-r") => KERNEL,
        _ => return Err(shell.fault(words, "an image has no kernel")),
    };
    shell.say(format!("{said}\n").as_bytes())?;
    Ok(0)
}

fn which(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut status = 0;
    for name in words[1..].iter().filter(|word| !matches!(&***word, b"-a" | b"-s")) {
        match shell.found(name).filter(|found| found.contains(&b'/')) {
            Some(found) => shell.say(&[&found[..], b"\n"].concat())?,
            None => status = 1,
        }
    }
    Ok(status)
}

/// `env [-i] [NAME=VALUE…] COMMAND …`
fn env(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let mut at = 1;
    while words.get(at).is_some_and(|word| word.contains(&b'=') && !word.starts_with(b"-")) {
        let text = String::from_utf8_lossy(&words[at]).into_owned();
        if let Some((name, value)) = text.split_once('=') {
            shell.set(name, value.as_bytes().into())?;
        }
        at += 1;
    }
    match words.get(at) {
        Some(word) if !word.starts_with(b"-") => shell.invoke(&words[at..]),
        _ => Err(shell.fault(words, "this use of env is not known")),
    }
}

/// `ls [-1dA] [PATH…]`, one name a line as in a pipe.
fn ls(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[
        flag('1', ""),
        flag('d', "directory"),
        flag('A', "almost-all"),
        flag('a', "all"),
        flag('L', "dereference"),
        // Names in the order of versions.
        flag('v', ""),
    ];
    let given = options::read(shell, words, KNOWN)?;
    let cwd = shell.cwd().to_vec();
    let dot: [Word; 1] = [std::rc::Rc::from(&b"."[..])];
    let paths = if given.operands.is_empty() { &dot[..] } else { &given.operands[..] };
    let (mut status, mut lines) = (0, Vec::new());
    for path in paths {
        match shell.world().stat(&cwd, path, Last::Followed) {
            Ok(stat) if stat.kind == crate::debian::script::world::Kind::Directory && !given.has('d') => {
                if paths.len() > 1 || given.has('a') {
                    return Err(shell.fault(words, "this use of ls is not known"));
                }
                let names =
                    shell.world().list(&stat.path).map_err(|errno| shell.fault(words, errno.to_string()))?;
                lines.extend(names.into_iter().filter(|name| given.has('A') || !name.starts_with(b".")));
            }
            Ok(_) => lines.push(path.to_vec()),
            Err(errno) => status = shell.failed(words, path, errno)?.max(2),
        }
    }
    if given.has('v') {
        lines.sort_by(|left, right| version::compare(left, right));
    }
    for line in lines {
        shell.say(&[&line[..], b"\n"].concat())?;
    }
    Ok(status)
}
