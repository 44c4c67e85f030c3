//! Programs that are not run because of what they are for, and what an image lacks without them. Each is said in the ledger.
//!
//! ```text
//! services, the running machine      what a container has not
//! byte code, indexes, caches         what programs make themselves, or do without
//! ids and keys                       what must not be equal in every copy of an image
//! checks                             of a configuration by its own program
//! ```
//!
//! **Guarantees**: a program stands here only where its package works without it, or where the ledger's line says what to run
//! before the first use. **Refuses** random values that a script wants printed: nothing takes their place.

#![expect(clippy::unnecessary_wraps, reason = "all commands have one type")]

use super::Command;
use super::Word;
use super::files::last_component;
use super::options;
use super::options::Known;
use super::options::valued;
use crate::debian::script::shell::Shell;
use crate::debian::script::shell::Status;
use crate::debian::script::world::Kept;

/// What is not done, and the programs that would.
const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "start-up of services: nothing starts by itself",
        &[
            "update-rc.d",
            "deb-systemd-invoke",
            "initctl",
            "policy-rc.d",
            "telinit",
            "insserv",
            "rc-update",
            "rc-service",
            "init",
            "start-stop-daemon",
        ],
    ),
    (
        "changes of a running machine",
        &[
            "sysctl",
            "systemd-sysctl",
            "udevadm",
            "modprobe",
            "depmod",
            "rmmod",
            "insmod",
            "apparmor_parser",
            "aa-remove-unknown",
            "dbus-send",
            "busctl",
            "gdbus",
            "kill",
            "killall",
            "pkill",
            "flatpak",
            "snap",
            "systemd-hwdb",
            "journalctl",
            "udevd",
            "systemd-machine-id",
            "systemd-firstboot",
            "hostnamectl",
            "timedatectl",
            "loginctl",
            "localectl",
            "networkctl",
            "resolvectl",
            "resolvconf",
            "systemd-notify",
            "setupcon",
            "setfont",
            "loadkeys",
            "kbd_mode",
            "dumpkeys",
            "vgcfgbackup",
            "vgchange",
            "vgscan",
            "pvscan",
            "lvm",
            "mount",
            "umount",
            "swapon",
            "swapoff",
            "losetup",
            "ip",
            "ifup",
            "ifdown",
            "ifconfig",
            "route",
            "iptables",
            "ip6tables",
            "iptables-restore",
            "ip6tables-restore",
            "nft",
            "brctl",
            "netfilter-persistent",
            "hwclock",
            "alsactl",
            "munin-node-configure",
            "sensors-detect",
            "update-binfmts",
            "update-inetd",
            "semodule",
            "setsebool",
            "load_policy",
            "fixfiles",
            "zramctl",
            "wall",
            "quotacheck",
            "dmsetup",
            "multipath",
            "cryptdisks_start",
            "e2scrub_all",
            "tune2fs",
            "crontab",
        ],
    ),
    (
        "start of the machine: no kernel is set up, no initramfs and no boot loader is made",
        &[
            "update-initramfs",
            "update-grub",
            "update-grub2",
            "grub-install",
            "grub-mkconfig",
            "grub-editenv",
            "linux-update-symlinks",
            "linux-run-hooks",
            "linux-check-removal",
            "linux-version",
            "kernel-install",
            "bootctl",
            "dracut",
            "mkinitramfs",
            "lilo",
            "extlinux-update",
            "u-boot-update",
            "flash-kernel",
            "efibootmgr",
            "dkms",
            "update-secureboot-policy",
        ],
    ),
    ("files of systemd-tmpfiles, made when a system starts", &["systemd-tmpfiles"]),
    (
        "byte code: what is interpreted is compiled at each start",
        &[
            "py3compile",
            "py3clean",
            "pycompile",
            "pyclean",
            "pypy3compile",
            "pypy3clean",
            "pypycompile",
            "pypyclean",
            "register-common-lisp-source",
            "unregister-common-lisp-source",
            "register-common-lisp-implementation",
            "unregister-common-lisp-implementation",
            "clc-register-user-package",
            "jexec",
            "gtk-sharp-register",
        ],
    ),
    (
        "byte code of Emacs packages: they are slower, and load only where their own files say how",
        &["emacs-package-install", "emacs-install", "emacs-package-remove", "emacs-remove"],
    ),
    ("native images of Mono", &["mono-gac-install", "gacutil", "cli-gacutil"]),
    (
        "Mono's global cache of assemblies: programs find those that lie beside them",
        &["gac-package-install", "gac-package-remove"],
    ),
    ("entries that GNOME's menus leave out: they are shown", &["gnome-menus-blacklist"]),
    ("hosts of Mono's web server: run `mono-xsp4-update` before the first use", &["mono-xsp4-update"]),
    (
        "index of manuals: `apropos` and the menu of `info` find nothing; `mandb` makes it",
        &[
            "install-info",
            "update-info-dir",
            "mandb",
            "catman",
            "accessdb",
            "helpztags",
            "install-docs",
            "rarian-sk-update",
            "scrollkeeper-update",
        ],
    ),
    (
        "index of media types: programs do not recognise files; `update-mime-database /usr/share/mime` makes it",
        &["update-mime-database", "xdg-mime"],
    ),
    (
        "index of desktop files and menus: nothing knows which program opens a file",
        &[
            "update-desktop-database",
            "update-mime",
            "update-menus",
            "xdg-icon-resource",
            "xdg-desktop-menu",
            "kbuildsycoca5",
            "kbuildsycoca6",
            "appstreamcli",
            "update-notifier-common",
        ],
    ),
    (
        "cache of icons: they are looked up one by one",
        &[
            "update-icon-caches",
            "gtk-update-icon-cache",
            "gtk-update-icon-cache-3.0",
            "gtk4-update-icon-cache",
        ],
    ),
    ("cache of fonts: each user's first program makes it", &["fc-cache"]),
    (
        "list of fonts of X: programs that ask the server for fonts find those that are built in",
        &[
            "update-fonts-alias",
            "update-fonts-dir",
            "update-fonts-scale",
            "mkfontdir",
            "mkfontscale",
            "defoma-font",
        ],
    ),
    ("compiled locales; C.UTF-8 is there, others are in `locales-all`", &["locale-gen", "localedef"]),
    (
        "catalogue of XML and SGML: document types are not found by their public names",
        &["update-catalog", "update-xmlcatalog", "xmlcatalog", "install-sgmlcatalog"],
    ),
    (
        "defaults of GConf and dconf: programs start with their own",
        &["gconf-schemas", "gconftool-2", "update-gconf-defaults", "gconf-merge-tree", "dconf"],
    ),
    (
        "database cluster, made at the first start",
        &[
            "pg_createcluster",
            "pg_updatedicts",
            "pg_buildext",
            "mysql_install_db",
            "mariadb-install-db",
            "mysql_upgrade",
            "mariadb-upgrade",
            "isql-fb",
            "gfix",
            "gbak",
            "gsec",
        ],
    ),
    ("list of graphviz plugins: run `dot -c` before the first use", &["libgvc6-config-update"]),
    (
        "spelling dictionaries as programs choose them, and their compiled forms: run `aspell-autobuildhash` before the first use",
        &[
            "update-dictcommon-aspell",
            "update-dictcommon-hunspell",
            "aspell-autobuildhash",
            "ispell-autobuildhash",
            "update-default-ispell",
            "update-default-wordlist",
            "update-default-aspell",
            "update-ispell-dictionary",
            "update-cracklib",
            "remove-default-ispell",
            "remove-default-wordlist",
            "update-openoffice-dicts",
        ],
    ),
    (
        "formats and fonts of TeX: run `mktexlsr`, `updmap-sys` and `fmtutil-sys --all` before the first use",
        &[
            "mktexlsr",
            "texhash",
            "updmap-sys",
            "updmap",
            "fmtutil-sys",
            "fmtutil",
            "mtxrun",
            "luaotfload-tool",
            "texlua",
        ],
    ),
    ("list of SAX parsers of Perl", &["update-perl-sax-parsers"]),
    (
        "index of Octave packages and of SWI-Prolog's libraries",
        &["octave", "octave-cli", "swipl", "guild", "raco"],
    ),
    ("cache of Haskell's packages: `ghc-pkg recache` makes it", &["ghc", "ghc-pkg", "haddock"]),
    (
        "database of mail aliases: run `newaliases` before the first use",
        &["newaliases", "postalias", "postmap", "makemap"],
    ),
    (
        "configuration of debconf",
        &["dpkg-preconfigure", "dpkg-reconfigure", "debconf-show", "debconf-set-selections"],
    ),
    ("database of X2Go's sessions: run `x2godbadmin --createdb` before the first use", &["x2godbadmin"]),
    ("access lists and flags of files", &["setfacl", "chattr", "lsattr", "restorecond"]),
];

/// Programs that write ids and keys of one machine.
const KEYS: &[&str] = &[
    "sshd",
    "sshd.session-split",
    "dbus-uuidgen",
    "systemd-machine-id-setup",
    "ssh-keygen",
    "make-ssl-cert",
    "uuidgen",
    "rndc-confgen",
    "ddns-confgen",
    "tsig-keygen",
    "dnssec-keygen",
    "unbound-control-setup",
    "unbound-anchor",
    "certtool",
    "opendkim-genkey",
    "krb5_newrealm",
    "kdb5_util",
    "cockpit-certificate-ensure",
    "gpgconf",
    "ipsec",
    "wg",
    "nvme",
    "cf-key",
    "mungekey",
    "xrdp-keygen",
];
/// Keys that a program writes to a file of its own, which scripts then give an owner: the file is there and empty.
const KEY_FILES: &[(&str, &str)] = &[("xrdp-keygen", "/etc/xrdp/rsakeys.ini")];
/// Programs that print a random value.
const RANDOM: &[&str] = &["iscsi-iname", "pwgen", "slappasswd", "apg", "makepasswd", "mcookie", "mkpasswd"];
/// Programs that are asked whether their configuration is right; it is that of the package.
const CHECKS: &[&str] = &[
    "squid",
    "nginx",
    "apache2ctl",
    "apachectl",
    "apache2",
    "exim4",
    "named-checkconf",
    "named-checkzone",
    "haproxy",
    "visudo",
    "testparm",
    "unbound-checkconf",
    "chronyd",
    "slaptest",
    "dovecot",
    "doveconf",
    "lighttpd",
    "monit",
    "proftpd",
    "rsyslogd",
];
/// Questions about a running machine, of which there is none: no.
const NO: &[&str] = &[
    "aa-enabled",
    "aa-status",
    "auditctl",
    "sv",
    "runlevel",
    "systemd-detect-virt",
    "pidof",
    "pgrep",
    "ps",
    "fuser",
    "lsof",
    "restorecon",
    "selinuxenabled",
    "lpstat",
    "lsmod",
    "findmnt",
    "blkid",
    "lsblk",
    "who",
    "users",
    "dmesg",
    "mysqladmin",
    "mariadb-admin",
    "rabbitmqctl",
    "ifquery",
    "vmtouch",
    "virt-what",
    "pvs",
    "vgs",
];
/// What has no effect in an image.
const NOTHING: &[&str] = &[
    "sleep",
    "logger",
    "clear",
    "getcap",
    "pg_lsclusters",
    "pg_checksystem",
    "pam_getenv",
    "a2dismod",
    "a2dissite",
    "a2disconf",
    "remove-shell",
    "apt-get",
    "apt-cache",
    "apt-key",
    "pwconv",
    "grpconv",
    "notify-send",
    "smartctl",
    // A directory that packages are installed into.
    "ischroot",
];

/// The command of this name.
pub(super) fn find(name: &str) -> Option<Command> {
    if LEFT_OUT.iter().any(|(_, names)| names.contains(&name)) {
        return Some(left_out);
    }
    if KEYS.contains(&name) {
        return Some(keys);
    }
    Some(match name {
        "shuf" => shuf,
        _ if RANDOM.contains(&name) => random_value,
        _ if CHECKS.contains(&name) => check,
        _ if NO.contains(&name) => |_, _| Ok(1),
        _ if NOTHING.contains(&name) => |_, _| Ok(0),
        "openssl" => openssl,
        "sqlite3" => sqlite,
        "od" | "hexdump" | "xxd" => random_bytes,
        "tl-paper" => tl_paper,
        "mono" => mono,
        "check_nagios" => check_nagios,
        "dictdconfig" => |shell, _| {
            shell
                .world()
                .not_done("list of dictionaries of dictd: run `dictdconfig -w` before the first use");
            Ok(0)
        },
        "tty" => tty,
        "stty" => |shell, words| {
            shell.say_error(b"stty: 'standard input': Inappropriate ioctl for device\n")?;
            let _ = words;
            Ok(1)
        },
        _ => return None,
    })
}

/// Programs that are known by what Debian calls them: `update-NAME` makes something again from what lies in the image, `test-SSE3`
/// and its like ask for instructions of the processor, `…-fpcmkcfg-VERSION` writes a configuration of Free Pascal.
pub(in crate::debian::script) fn by_convention(name: &str) -> Option<Command> {
    // Who puts such a package into an image has the processor for it.
    let instructions = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || b".0123456789".contains(&byte))
    };
    if name.strip_prefix("test-").is_some_and(instructions) {
        return Some(|_, _| Ok(0));
    }
    if name.contains("fpcmkcfg") {
        return Some(|shell, _| {
            shell.world().not_done("configuration of Free Pascal: run `fpcmkcfg` before the first use");
            Ok(0)
        });
    }
    name.starts_with("update-").then_some(|shell, words| {
        let what = format!("what `{}` makes: run it before the first use", base(words).escape_ascii());
        shell.world().not_done(&what);
        Ok(0)
    })
}

/// Whether the program at a path is one of those that are left out.
pub(super) fn is_left_out(path: &[u8]) -> bool {
    let name = last_component(path);
    LEFT_OUT.iter().any(|(_, names)| names.iter().any(|left| left.as_bytes() == name))
}

/// A command's name without where it lies.
fn base(words: &[Word]) -> &[u8] {
    last_component(&words[0])
}

/// Tells what a program would have made.
pub(super) fn left_out(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let name = String::from_utf8_lossy(base(words)).into_owned();
    let found = LEFT_OUT.iter().find(|(_, names)| names.contains(&name.as_str()));
    shell.world().not_done(found.map_or("a program that was not run", |(what, _)| what));
    Ok(0)
}

fn check(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let asks = |word: &Word| {
        matches!(
            &**word,
            b"-t"
                | b"-c"
                | b"-p"
                | b"parse"
                | b"-C"
                | b"check"
                | b"configtest"
                | b"-tt"
                | b"-v"
                | b"-V"
                | b"-N1"
                | b"-n"
                | b"-s"
        )
    };
    let is_check = base(words).windows(5).any(|part| part == b"check") || words[1..].iter().any(asks);
    if !is_check {
        return Err(shell.fault(words, "this command is not known, and what lies there is no shell script"));
    }
    let what = format!("check of a configuration by `{}`", base(words).escape_ascii());
    shell.world().not_done(&what);
    Ok(0)
}

/// `tty`: there is no terminal.
fn tty(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if !words[1..].iter().any(|word| matches!(&**word, b"-s" | b"--silent" | b"--quiet")) {
        shell.say(b"not a tty\n")?;
    }
    Ok(1)
}

/// `openssl`: keys and certificates of one machine. The files that it would write are there and empty, so that they have their
/// owner and mode; a value that it would print is not given.
fn openssl(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let action = words.get(1).map(|word| &**word).unwrap_or_default();
    match action {
        b"version" => {
            shell.say(b"OpenSSL 3.0.0\n")?;
            return Ok(0);
        }
        b"rehash" => {
            shell.world().not_done(
                "links to certificates by their digests: run `openssl rehash` before the first use",
            );
            return Ok(0);
        }
        b"rand" | b"req" | b"genrsa" | b"genpkey" | b"dhparam" | b"x509" | b"ecparam" | b"gendh" | b"ca"
        | b"pkcs12" => {}
        _ => return Err(shell.fault(words, "this use of openssl is not known")),
    }
    let files: Vec<Word> = words
        .windows(2)
        .filter(|pair| matches!(&*pair[0], b"-out" | b"-keyout"))
        .map(|pair| pair[1].clone())
        .collect();
    if files.is_empty() {
        // What is signed is no secret; what reads it is openssl again, or a file.
        return match action {
            b"req" | b"x509" | b"ca" | b"dhparam" => keys(shell, words),
            _ => random_value(shell, words),
        };
    }
    let (cwd, mode) = (shell.cwd().to_vec(), 0o600 & !shell.umask());
    for path in files {
        shell.world().not_done(&format!("key of one machine {}: the file is empty", path.escape_ascii()));
        if let Err(errno) = shell.world().open_to_write(&cwd, &path, mode, Kept::All) {
            return shell.failed(words, &path, errno);
        }
    }
    Ok(0)
}

/// Programs that write ids and keys of one machine: nothing is written, and a file that has to be there is empty.
fn keys(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    shell.world().not_done("ids and keys of one machine");
    let name = base(words);
    let Some((_, path)) = KEY_FILES.iter().find(|(program, _)| program.as_bytes() == name) else {
        return Ok(0);
    };
    let mode = 0o600 & !shell.umask();
    match shell.world().open_to_write(b"/", path.as_bytes(), mode, Kept::All) {
        Ok(_) => Ok(0),
        Err(errno) => shell.failed(words, path.as_bytes(), errno),
    }
}

/// A random value: where it goes into a file that is the key of one machine, and the file is empty; else it is not given.
fn random_value(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if shell.says_to_a_file() {
        return keys(shell, words);
    }
    Err(shell.fault(words, "a random value is asked for"))
}

/// Most values among which a choice is no secret: the minutes of a day, at which something is to be done.
const NO_SECRET: u64 = 1_440;

/// `shuf -i LOW-HIGH -n 1`: the least of few numbers, which are times of a day and the like. Of more it may be a secret.
fn shuf(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    const KNOWN: &[Known] = &[valued('i', "input-range"), valued('n', "head-count")];
    let given = options::read(shell, words, KNOWN)?;
    let range = given.value('i').map(|range| String::from_utf8_lossy(range).into_owned()).unwrap_or_default();
    let ends = range.split_once('-').map(|(low, high)| (low.parse::<u64>(), high.parse::<u64>()));
    let one = given.value('n').is_some_and(|count| &**count == b"1");
    match ends {
        Some((Ok(low), Ok(high)))
            if one
                && given.operands.is_empty()
                && high.checked_sub(low).is_some_and(|more| more < NO_SECRET) =>
        {
            shell.world().not_done("choice by chance: it is the least number for everybody");
            shell.say(format!("{low}\n").as_bytes())?;
            Ok(0)
        }
        _ => random_value(shell, words),
    }
}

/// `sqlite3 FILE`: the tables are not made. The file is there and empty, which is a database too.
fn sqlite(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let Some(path) = words[1..].iter().find(|word| !word.starts_with(b"-")).cloned() else {
        return Err(shell.fault(words, "this use of sqlite3 is not known"));
    };
    let what = format!("tables of the database {}: it is empty", path.escape_ascii());
    shell.world().not_done(&what);
    let (cwd, mode) = (shell.cwd().to_vec(), 0o644 & !shell.umask());
    match shell.world().open_to_write(&cwd, &path, mode, Kept::All) {
        Ok(_) => Ok(0),
        Err(errno) => shell.failed(words, &path, errno),
    }
}

/// Bytes of a random device as text: an id of one machine, which is left empty. Where one number of at most two bytes is asked
/// for (`od -N2 -tu2`) that is no secret, but a time of a day and the like: it is 0 for everybody.
fn random_bytes(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    let is_given =
        shell.reads_random() || words.iter().any(|word| matches!(&**word, b"/dev/urandom" | b"/dev/random"));
    if !is_given {
        return Err(shell.fault(words, "a file is not printed as numbers"));
    }
    let joined = [&words[1..].join(&b' ')[..], b" "].concat();
    let has = |part: &[u8]| memchr::memmem::find(&joined, part).is_some();
    if &*words[0] == b"od" && (has(b"N1 ") || has(b"N2 ") || has(b"N 1 ") || has(b"N 2 ")) && has(b"u") {
        shell.world().not_done("choice by chance: it is the least number for everybody");
        shell.say(b" 0\n")?;
        return Ok(0);
    }
    shell.world().not_done("ids and keys of one machine");
    Ok(0)
}

/// `mono --version` says for what it was built; it is started for nothing else but to compile.
fn mono(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if let [_, word] = words
        && &**word == b"--version"
    {
        let arch = shell.world().arch.debian();
        shell.say(format!("Mono JIT compiler\n\tArchitecture:  {arch}\n").as_bytes())?;
        return Ok(0);
    }
    if !words.iter().any(|word| word.starts_with(b"--aot")) {
        return shell.cannot_be_run(words, "a program of Mono is not run");
    }
    shell.world().not_done("native images of Mono");
    Ok(0)
}

/// Whether Nagios runs, for its own start-up script: no service does.
fn check_nagios(shell: &mut Shell<'_, '_>, _: &[Word]) -> Status {
    shell.say(b"NAGIOS CRITICAL: Could not locate a running Nagios process!\n")?;
    Ok(2)
}

/// The paper of TeX's programs: A4, as they come.
fn tl_paper(shell: &mut Shell<'_, '_>, words: &[Word]) -> Status {
    if words.get(1).is_some_and(|word| &**word == b"get") {
        shell.say(b"a4\n")?;
        return Ok(0);
    }
    shell.world().not_done("paper of TeX's programs: it stays A4");
    Ok(0)
}
