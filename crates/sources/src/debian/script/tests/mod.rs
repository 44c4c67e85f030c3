//! The evaluator beside dash with the real tools: equal output, exit status, and equal files afterwards.

#![expect(clippy::disallowed_methods, reason = "dash is run to compare with it")]

mod apache;
mod debconf;
mod generated;
mod hostile;
mod servers;

use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::tree::InlineOnly;
use pinfold_base::Arch;
use pinfold_base::ImagePath;

use super::Outcome;
use super::Script;
use super::evaluate;
use super::on_a_deep_stack;
use super::world::Template;
use super::world::World;
use crate::accounts::Accounts;

/// Scripts, each behind a line `%% NAME`.
const SHELL: &str = include_str!("shell.txt");
const COMMANDS: &str = include_str!("commands.txt");

/// A tree with the directory that a script works in, and files of a first part that real ones are made of too.
fn tree() -> Tree {
    let owner = Component::generated("test");
    let mut tree = Tree::new();
    for name in ["", "w", "w/dir", "tmp", "etc"] {
        tree.insert(ImagePath::new(name).unwrap(), Node::directory(&owner, Metadata::root(0o755, 0)));
    }
    for (name, text) in FILES {
        let node = Node::file(&owner, Metadata::root(0o644, 0), Content::inline(text.as_bytes()));
        tree.insert(ImagePath::new(format!("w/{name}")).unwrap(), node);
    }
    tree
}

/// What lies in the directory before.
const FILES: [(&str, &str); 4] = [
    ("a.txt", "one\ntwo\nthree\n"),
    ("b.txt", "x y  z\n"),
    ("dir/c.conf", "k=v\n# c\n"),
    ("dir/.hidden", "h\n"),
];

fn ours(text: &str) -> (Result<Outcome, super::Fault>, Vec<(String, String)>) {
    let text = format!("cd /w\n{text}");
    on_a_deep_stack(move || {
        let mut world = World::new(tree(), Accounts::minimal(), Arch::Amd64, 0, &InlineOnly);
        let script = Script {
            package: "test",
            name: "postinst",
            text: text.as_bytes(),
            args: &["one", "t w o"],
            environment: &[],
        };
        let outcome = evaluate(&script, &mut world);
        let root = ImagePath::new("w").unwrap();
        let files = world.tree.below(&root).filter(|(path, _)| **path != root).map(|(path, node)| {
            let said = match &node.kind {
                NodeKind::Directory => "directory".to_owned(),
                NodeKind::Symlink(target) => format!("link {}", target.escape_ascii()),
                NodeKind::File(Content::Inline(bytes)) => format!("file {}", bytes.escape_ascii()),
                NodeKind::Hardlink(target) => match world.tree.content(target) {
                    Some(Content::Inline(bytes)) => format!("file {}", bytes.escape_ascii()),
                    other => format!("{other:?}"),
                },
                NodeKind::File(other) => format!("{other:?}"),
            };
            let mode = if matches!(node.kind, NodeKind::Symlink(_)) { 0 } else { node.meta.mode };
            (
                String::from_utf8_lossy(path.strip_prefix(&root).unwrap()).into_owned(),
                format!("{mode:o} {said}"),
            )
        });
        let files = files.collect();
        (outcome, files)
    })
    .unwrap()
}

fn dashs(text: &str) -> (i32, String, Vec<(String, String)>) {
    let scratch = tempfile::tempdir().unwrap();
    for (name, bytes) in FILES {
        let path = scratch.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
    let run = Command::new("dash")
        .args(["-c", text, "/var/lib/dpkg/info/test.postinst", "one", "t w o"])
        .current_dir(scratch.path())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut files = Vec::new();
    list(scratch.path(), "", &mut files);
    files.sort();
    (run.status.code().unwrap(), String::from_utf8_lossy(&run.stdout).into_owned(), files)
}

fn list(directory: &Path, before: &str, files: &mut Vec<(String, String)>) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in fs_err::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{before}{}", entry.file_name().into_string().unwrap());
        let kind = entry.file_type().unwrap();
        let mode =
            if kind.is_symlink() { 0 } else { entry.metadata().unwrap().permissions().mode() & 0o7777 };
        let said = if kind.is_symlink() {
            format!("link {}", fs_err::read_link(entry.path()).unwrap().display())
        } else if kind.is_dir() {
            list(&entry.path(), &format!("{name}/"), files);
            "directory".to_owned()
        } else {
            format!("file {}", fs_err::read(entry.path()).unwrap().escape_ascii())
        };
        files.push((name, format!("{mode:o} {said}")));
    }
}

/// Runs each script of a corpus both ways.
fn compare(corpus: &str) {
    compare_all(corpus.split("%% ").skip(1).map(|part| {
        let (name, text) = part.split_once('\n').unwrap();
        (name.to_owned(), text.to_owned())
    }));
}

/// Runs each script, behind its name, both ways.
fn compare_all(scripts: impl Iterator<Item = (String, String)>) {
    let mut wrong = Vec::new();
    for (name, text) in scripts {
        let (status, output, files) = dashs(&text);
        let (outcome, our_files) = ours(&text);
        match outcome {
            Ok(outcome) => {
                let said = String::from_utf8_lossy(&outcome.output).into_owned();
                let errors = outcome.errors.escape_ascii();
                if (outcome.status, &said) != (status, &output) {
                    wrong.push(format!(
                        "== {name}\n  dash {status} {output:?}\n  ours {} {said:?} ({errors})",
                        outcome.status
                    ));
                } else if our_files != files {
                    wrong.push(format!("== {name}\n  dash {files:?}\n  ours {our_files:?}"));
                }
            }
            Err(fault) => wrong.push(format!("== {name}\n  dash {status} {output:?}\n  ours {fault:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}\n{} differ", wrong.join("\n"), wrong.len());
}

#[test]
fn the_shell_is_dash() {
    compare(SHELL);
}

#[test]
fn the_commands_are_those_of_the_tools() {
    compare(COMMANDS);
}

#[test]
fn what_is_not_known_is_named_with_its_line_and_words() {
    let (outcome, _) = ours("x='a b'\nprintf '%q' \"$x\"\n");
    let fault = outcome.unwrap_err();
    assert!(fault.what.contains("%q"), "{fault:?}");
}

#[test]
fn a_random_value_is_never_made_up() {
    for text in ["pwgen 12", "p=$(openssl rand -hex 16)", "mcookie", "echo $(apg -n 1)"] {
        let fault = ours(text).0.unwrap_err();
        assert!(fault.what.contains("random"), "{text}: {fault:?}");
    }
    // A key that a file is made for is not there: the file is empty, and closed to others.
    let (outcome, files) =
        ours("openssl genrsa -out key 2048 && chmod 400 key; dd if=/dev/urandom of=secret bs=16 count=1");
    assert_eq!(outcome.unwrap().status, 0);
    for wanted in [("key", "400 file "), ("secret", "644 file ")] {
        assert!(files.iter().any(|(path, said)| (path.as_str(), said.as_str()) == wanted), "{files:?}");
    }
}

#[test]
fn a_random_value_is_empty_in_a_file_and_a_choice_among_few_is_the_least() {
    let (outcome, files) = ours(
        "umask 077; openssl rand -hex 16 > secret; pwgen 12 >> more; openssl req -new -key k | openssl x509 -req -out cert
         shuf -i 3-59 -n1; od -vAn -N2 -tu4 < /dev/urandom | tr -d ' '; sqlite3 db < a.txt; chmod 640 db; ischroot && echo chroot",
    );
    assert_eq!(String::from_utf8_lossy(&outcome.unwrap().output), "3\n0\nchroot\n");
    for wanted in [("secret", "600 file "), ("more", "600 file "), ("cert", "600 file "), ("db", "640 file ")]
    {
        assert!(files.iter().any(|(path, said)| (path.as_str(), said.as_str()) == wanted), "{files:?}");
    }
    for text in [
        "shuf -i 100000-999999 -n 1",
        "shuf -i 0-59 -n 2",
        "shuf a.txt",
        "head -c 4 < /dev/urandom",
        "x=$(openssl rand -hex 2 | cat)",
    ] {
        assert!(ours(text).0.unwrap_err().what.contains("random"), "{text}");
    }
}

#[test]
fn a_program_that_is_not_run_has_failed_where_the_script_goes_on_without_it() {
    const PROGRAM: &str = "mkdir -p /usr/bin; printf '\\177ELF' > /usr/bin/prog; chmod 755 /usr/bin/prog; ";
    for text in [
        "set -e; prog -x || true; echo on",
        "set -e; prog > /dev/null 2>&1 || :; echo on",
        "set -e; x=$(prog 2>&1 || true); echo on$x",
        "set -e; perl -e 'exit 0' || true; echo on",
    ] {
        let outcome = ours(&format!("{PROGRAM}{text}")).0.unwrap();
        assert_eq!((outcome.status, &outcome.output[..]), (0, &b"on\n"[..]), "{text}");
    }
    // Of a function, a substitution, and a status that is looked at otherwise, the script wants to know more.
    for text in [
        "prog",
        "f() { prog; echo ran; }; f || true",
        "echo $(prog) || true",
        "prog || echo no",
        "! prog || true",
    ] {
        assert!(ours(&format!("{PROGRAM}{text}")).0.unwrap_err().what.contains("not known"), "{text}");
    }
}

#[test]
fn programs_of_a_kind_are_known_by_their_names() {
    let text = "for name in test-SSE3 test-SSE4.2 x86_64-linux-gnu-fpcmkcfg-3.2.2 update-x test-it; do
        printf '\\177ELF' > $name; chmod 755 $name; done; set -e
        ./test-SSE3; ./test-SSE4.2; ./x86_64-linux-gnu-fpcmkcfg-3.2.2 -o x; ./update-x; echo on; ./test-it";
    let (outcome, _) = ours(text);
    assert_eq!(outcome.unwrap_err().command, "./test-it");
}

#[test]
fn of_perl_only_what_means_the_same_to_sed_is_taken() {
    for program in [
        "s/a|b/x/",
        "s/(ab)*/x/",
        "s/a*?/x/",
        "s/\\s+$//",
        "s/[^x]*$//",
        "s/$x/y/",
        "s/a/$x/",
        "s/a/\\U$1/",
        "s/(?=a)/x/",
        "s/a/b/e",
        "s/a/b/ if /c/",
        "print",
        "s{a}{b}",
        "y/a/b/",
        "s/a/$1/",
        "s/@x/y/",
        "s/a\\n/b/",
    ] {
        let outcome = ours(&format!("perl -pi -e '{program}' a.txt")).0;
        assert!(outcome.unwrap_err().what.contains("Perl"), "{program}");
    }
    assert_eq!(ours("perl -pi -e 's/\\s+t//' a.txt").0.unwrap().status, 0);
    for text in ["perl -ne 's/a/b/' a.txt", "perl -pi -e 's/a/b/'", "perl a.txt"] {
        assert!(ours(text).0.unwrap_err().what.contains("Perl"), "{text}");
    }
}

/// Expected of unixODBC 2.3.11 and of `py3versions` of Python 3.11 in Debian 12.
#[test]
fn lists_of_several_packages_are_as_their_programs_write_them() {
    const ODBC: &str = "mkdir -p /usr/bin /etc; : > /usr/bin/odbcinst; chmod 755 /usr/bin/odbcinst
        printf '; c\n[A]\nDescription=  x y  \nDriver = a.so\n\n[B]\nDriver=b.so\nEmpty=\n# c\nUsageCount=3\n' > t
        odbcinst -q -d || echo none; odbcinst -i -d -f t; printf '[b]\nDriver=new.so\nDebug=1\n' | odbcinst -i -d -r -v
        odbcinst -q -d; odbcinst -q -d -n B; odbcinst -u -d -n A; odbcinst -u -d -n B; odbcinst -q -d -n Z || echo $?
        cat /etc/odbcinst.ini";
    const INSTALLED: &str =
        "odbcinst: Driver installed. Usage count increased to 1. \n    Target directory is /etc\n";
    let expected = format!(
        "none\n{INSTALLED}{INSTALLED}[A]\n[B]\n[B]\nDriver=new.so\nDebug=1\nUsageCount=2\n\
         A has been deleted (if it existed at all) because its usage count became zero\n\
         B usage count has been reduced to 1\n1\n[B]\nDriver=new.so\nDebug=1\nUsageCount=1\n\n"
    );
    assert_eq!(String::from_utf8_lossy(&ours(ODBC).0.unwrap().output), expected);
    const PYTHON: &str = "mkdir -p /usr/bin /usr/share/python3; touch /usr/bin/python3.13 /usr/bin/python3.9
        printf '[DEFAULT]\n# c\ndefault-version = python3.13\nsupported-versions = python3.13, python3.14\n' > /usr/share/python3/debian_defaults
        py3versions -d; py3versions -s; py3versions -i; py3versions -vi; py3versions --max-supported -v";
    let expected = "python3.13\npython3.14 python3.13\npython3.13\n3.13\n3.14\n";
    assert_eq!(String::from_utf8_lossy(&ours(PYTHON).0.unwrap().output), expected);
    for text in ["odbcinst -q -d", "py3versions -d"] {
        assert_eq!(ours(text).0.unwrap().status, 127, "{text}");
    }
}

#[test]
fn an_option_that_a_command_has_not_is_refused() {
    for text in [
        "rm -i x",
        "mktemp -P",
        "cp --reflink x y",
        "sort -M a.txt",
        "grep -P 'x(?=y)' a.txt",
        "grep -P 'a++' a.txt",
        "grep -P '(a)\\1' a.txt",
        "grep -P '[a&&b]' a.txt",
        "grep -P 'a{,2}' a.txt",
        "diff a.txt b.txt",
        "diff dir dir",
        "sed -l 5 p",
        "find . -newer x",
        "xargs -L 1 echo",
        "stat -x a.txt",
        "ls -Z",
        "md5sum -w a.txt",
        "getopt -x",
        "date -s now",
        "df -a",
        "wc -L a.txt",
    ] {
        let (outcome, _) = ours(text);
        assert!(outcome.is_err(), "{text}: {outcome:?}");
    }
}

#[test]
fn files_made_by_another_user_are_theirs() {
    let text =
        "su nobody -s /bin/sh -c 'touch made; mkdir theirs'; touch mine; stat -c '%U' made theirs mine";
    let outcome = ours(text).0.unwrap();
    assert_eq!(String::from_utf8_lossy(&outcome.output), "nobody\nnobody\nroot\n");
}

#[test]
fn no_port_is_taken_and_what_is_left_out_is_left_out_by_its_shell_too() {
    // As nginx's script asks.
    let text = "test -z \"$(ss -nlt 'sport = 80' | grep -v ^State)\" && echo free; ss -nltH";
    assert_eq!(ours(text).0.unwrap().output, b"free\n");
    // As that of MariaDB makes its tables; the control is any other script.
    let text = "echo 'echo ran' > mysql_install_db; cp mysql_install_db other; bash ./mysql_install_db; bash ./other";
    assert_eq!(ours(text).0.unwrap().output, b"ran\n");
}

/// As bash sends both outputs; dash would start the command in the background, which is refused.
#[test]
fn both_outputs_of_bash_go_to_one_file() {
    let text = "printf '#!/bin/bash\\necho out &>both; ls none-there &>>both; echo $?; wc -l <both\\n' >s; \
                chmod +x s; ./s";
    assert_eq!(String::from_utf8_lossy(&ours(text).0.unwrap().output), "2\n2\n");
    assert!(ours("echo out &>both").0.is_err());
}

/// As postconf 3.7 answers.
#[test]
fn postfix_has_a_default_transport() {
    let text = "mkdir -p /etc/postfix; echo 'myhostname = x' >/etc/postfix/main.cf; postconf -hx default_transport; \
                postconf -e default_transport=error; postconf -h default_transport";
    assert_eq!(ours(text).0.unwrap().output, b"smtp\nerror\n");
}

/// Here we differ from update-alternatives 1.21, which fails: a slim image has no folders for manuals.
#[test]
fn a_slave_whose_link_has_no_folder_keeps_nobody_from_the_choice() {
    let text = "mkdir -p /usr/bin; echo x >/usr/bin/a; update-alternatives --quiet --install /usr/bin/x x /usr/bin/a 1 \
                --slave /usr/share/man/man1/x.1 x.1 /w/a.txt; readlink /usr/bin/x /etc/alternatives/x.1";
    let outcome = ours(text).0.unwrap();
    let said = String::from_utf8_lossy(&outcome.output).into_owned();
    assert_eq!((outcome.status, said.as_str()), (0, "/etc/alternatives/x\n/w/a.txt\n"));
    assert_eq!(ours("update-alternatives --install /none/x x /w/a.txt 1").0.unwrap().status, 2);
}

/// Expected of dpkg 1.21 and useradd of shadow 4.13.
#[test]
fn what_dpkgs_tools_and_useradd_refuse_is_refused() {
    for (text, status) in [
        ("dpkg-divert --package a --add /x; dpkg-divert --package b --add /x", 2),
        ("dpkg-divert --package a --add /x; dpkg-divert --package a --add /x", 0),
        ("dpkg-divert --package a --divert /y --add /x; dpkg-divert --package a --divert /z --add /x", 2),
        ("dpkg-divert --divert /t --add /x; dpkg-divert --divert /t --add /y", 2),
        ("dpkg-divert --divert /x.a --add /x; dpkg-divert --divert /x.b --add /x.a", 2),
        ("dpkg-divert --divert /x.a --add /x; dpkg-divert --divert /x --add /y", 2),
        ("dpkg-divert --divert /x --add /x", 2),
        ("dpkg-divert --divert /w/moved --rename --add /w/dir", 2),
        ("dpkg-divert --divert /w/moved --add /w/dir", 2),
        ("dpkg-divert --divert /w/b.txt --rename --add /w/a.txt", 2),
        ("dpkg-divert --divert /w/dir --rename --add /w/a.txt", 2),
        ("dpkg-divert --divert /none/x --rename --add /w/a.txt", 2),
        ("dpkg-divert --divert /none/x --rename --add /w/nothing", 0),
        ("ln a.txt hard; dpkg-divert --divert /w/hard --rename --add /w/a.txt; test ! -e a.txt", 0),
        ("dpkg-divert --divert /w/b.txt --rename --add /w/a.txt || read x <a.txt && test $x = one", 0),
        (
            "dpkg-divert --divert /w/b.txt --rename --add /w/a.txt || dpkg-divert --divert /z --add /w/a.txt",
            0,
        ),
        ("dpkg-divert --divert /w/b.txt --add /w/a.txt; dpkg-divert --rename --remove /w/a.txt", 2),
        ("dpkg-divert --package b --add /x; dpkg-divert --package a --remove /x", 2),
        ("dpkg-divert --local --add /x; dpkg-divert --package a --remove /x", 2),
        ("dpkg-divert --divert /y --add /x; dpkg-divert --divert /z --remove /x", 2),
        ("dpkg-divert --remove /x", 0),
        ("useradd -r new; useradd -r new", 9),
        ("groupadd -r new; useradd -r new", 9),
        ("useradd -r -u 999 new; useradd -r -u 999 other", 4),
        ("groupadd -r -g 999 new; groupadd -r -g 999 other", 4),
        ("groupadd -r -g 999 new; groupadd -r -f -g 999 other", 0),
        ("useradd -r new", 0),
        ("useradd -r -u 12x new", 3),
        ("useradd -r -g none new", 6),
        ("useradd -r -g 4242 new", 6),
        ("useradd -r -G none new || ! id -u new 2>/dev/null", 0),
        ("useradd -r -G none new", 6),
        ("useradd -r new; usermod -a -G none new", 6),
        ("useradd -r new; usermod -g none new", 6),
        ("groupadd -g 12x new", 3),
        ("dpkg-statoverride --add root root 755 /x; dpkg-statoverride --add root root 700 /x", 2),
        ("dpkg-statoverride --add root root 755 /x; dpkg-statoverride --force-all --add root root 700 /x", 0),
        ("dpkg-statoverride --remove /x", 2),
        ("dpkg-statoverride --force-all --remove /x", 0),
    ] {
        assert_eq!(ours(text).0.unwrap().status, status, "{text}");
    }
    for text in [
        "dpkg-divert --divert relative --add /x",
        "dpkg-divert --add relative",
        "dpkg-divert --test --add /x",
        "dpkg-divert --root=/other --add /x",
        "dpkg-divert --admindir /other --add /x",
        "ldconfig -p",
        "ldconfig -r /other",
        "pam-auth-update --enable mkhomedir",
        "update-ca-certificates --etccertsdir /x",
        "update-alternatives --root /other --list x",
        "usermod -e 1 root",
        "shuf a.txt",
        "dpkg-statoverride --add root root 177777 /x",
        "dpkg-statoverride --add root root 755 relative",
    ] {
        assert!(ours(text).0.is_err(), "{text}");
    }
}

/// The numbers are those of useradd and groupadd of shadow 4.13 with `-P` in an empty root, the comments those of its chfn.
#[test]
fn accounts_are_numbered_and_described_as_their_tools_do() {
    let numbers = |text: &str| {
        let text = format!(
            "{{ {text}; }} >/dev/null; getent passwd | cut -d: -f1,3,4,5 | tail -n +3; getent group | cut -d: -f1,3 | tail -n +7"
        );
        String::from_utf8_lossy(&ours(&text).0.unwrap().output).replace('\n', " ")
    };
    for (text, expected) in [
        (
            "useradd -r -M ua1; useradd --system ua2; groupadd -r ua3; useradd -r ua4; groupadd -r ua5; useradd -r ua6",
            "ua1:999:999: ua2:998:998: ua4:997:996: ua6:996:994: ua1:999 ua2:998 ua3:997 ua4:996 ua5:995 ua6:994 ",
        ),
        (
            "useradd -r -u 999 x; useradd -r -u 500 y; useradd -r z; groupadd -r -g 498 q; useradd -r v",
            "x:999:999: y:500:500: z:499:499: v:498:497: x:999 y:500 z:499 q:498 v:497 ",
        ),
        ("groupadd -r -g 450 ss; useradd -r -u 450 t", "t:450:449: ss:450 t:449 "),
        (
            "useradd -r -u 102 -g root a; useradd -r t; useradd -r t2",
            "a:102:0: t:101:101: t2:999:999: t:101 t2:999 ",
        ),
        ("groupadd -r g1; useradd -r u1; useradd -r -g g1 u3", "u1:999:998: u3:998:999: g1:999 u1:998 "),
        ("groupadd tt", "tt:1000 "),
        ("adduser --system --gecos 'A B' a", "a:100:65534:A B,,, "),
        ("adduser --system --gecos 'A,B' a", "a:100:65534:A,B,, "),
        ("adduser --system --gecos '' a", "a:100:65534:,,, "),
        ("adduser --system a", "a:100:65534: "),
        ("useradd -r -g root -c OLD u; chfn -f New u", "u:999:0:New,,, "),
        ("useradd -r -g root -c a,b,c,d,e,f u; chfn -f New u", "u:999:0:New,b,c,d,e,f "),
        ("useradd -r -g root u; chfn -f 'A B' -r R u; chfn -w 1 u; chfn -o O u", "u:999:0:A B,R,1,,O "),
    ] {
        assert_eq!(numbers(text), expected, "{text}");
    }
    let said = ours(
        "useradd -r a; groupadd -r b; adduser a b; adduser a mail; id a; id -G a; id -Gn a; chfn -f 'a,b' a || echo $?",
    );
    assert_eq!(
        String::from_utf8_lossy(&said.0.unwrap().output),
        "uid=999(a) gid=999(a) groups=999(a),8(mail),998(b)\n999 8 998\na mail b\n1\n"
    );
}

/// Measured with ucf 3.0043 and `UCF_STATE_DIR`, noninteractive.
#[test]
fn ucf_replaces_what_nobody_changed_and_leaves_the_rest() {
    let show = "; cat /etc/c 2>/dev/null || echo none; cat /etc/c.ucf-dist 2>/dev/null || echo none";
    for (text, expected) in [
        ("echo a>c; ucf c /etc/c", "a none"),
        ("echo a>c; ucf c /etc/c; echo b>c; ucf c /etc/c", "b none"),
        ("echo a>c; ucf --three-way c /etc/c; echo b>c; ucf --three-way c /etc/c", "b none"),
        ("echo a>c; ucf c /etc/c; echo mod >/etc/c; ucf c /etc/c", "mod none"),
        ("echo a>c; ucf c /etc/c; echo mod >/etc/c; echo b>c; ucf c /etc/c", "mod b"),
        ("echo a>c; ucf c /etc/c; rm /etc/c; ucf c /etc/c", "none none"),
        ("echo a>c; ucf c /etc/c; rm /etc/c; echo b>c; ucf c /etc/c", "none b"),
        ("echo a>c; ucf c /etc/c; rm /etc/c; ucf -p /etc/c; ucf c /etc/c", "a none"),
        ("echo a>c; ucf c /etc/c; rm /etc/c; UCF_FORCE_CONFFMISS=1 ucf c /etc/c", "a none"),
        ("echo foreign >/etc/c; echo b>c; ucf c /etc/c; ucf c /etc/c", "foreign b"),
        ("echo foreign >/etc/c; echo b>c; UCF_FORCE_CONFFNEW=1 ucf c /etc/c", "b none"),
        ("echo q >/etc/c; echo q>c; ucf c /etc/c; echo r>c; ucf c /etc/c", "r none"),
        ("echo q >/etc/c; mkdir c.md5sum.d; md5sum /etc/c >c.md5sum.d/1; echo r>c; ucf c /etc/c", "r none"),
        ("echo q >/etc/c; md5sum /etc/c >c.md5sum; echo r>c; ucf c /etc/c", "r none"),
    ] {
        let said = ours(&format!("{text}{show}")).0.unwrap().output;
        assert_eq!(String::from_utf8_lossy(&said).replace('\n', " ").trim_end(), expected, "{text}");
    }
    let text = "echo b>c; ucf c /etc/1; ucf c /etc/2; echo m >/etc/2; echo f >/etc/4; ucf c /etc/4; ucfr pk /etc/1; ucfr pk /etc/4
        ucfr pk /nonex; ucfq -w pk /etc/2 /none; ucfr other /etc/1 || echo $?; ucfr -f other /etc/1; ucfr -p other /etc/4 || echo $?
        ucfr -p pk /etc/4; ucfr -p pk /no; ucfq -w pk other; ucf none /etc/c || echo $?";
    assert_eq!(
        String::from_utf8_lossy(&ours(text).0.unwrap().output),
        "/etc/1:pk:Yes:No\n/etc/2::Yes:Yes\n/etc/4:pk:Yes:Yes\n/none:::\n/nonex:pk::\n4\n5\n/etc/1:other:Yes:No\n/nonex:pk::\n1\n"
    );
    let text = "echo a>c; chmod 600 c; ucf c /etc/c; chmod 644 c; stat -c %a /etc/c; echo b>c; ucf c /etc/c; stat -c %a /etc/c";
    assert_eq!(ours(text).0.unwrap().output, b"600\n600\n");
}

/// Each of these takes options of its own: what is a flag of one has a value at another.
#[test]
fn what_runs_a_command_takes_its_own_options() {
    for (text, output) in [
        ("flock -n /run/x echo a b", "a b\n"),
        ("flock -w 5 /run/x echo a", "a\n"),
        ("setsid -w echo a", "a\n"),
        ("chronic -e echo a", "a\n"),
        ("timeout -s TERM 5 echo a", "a\n"),
        ("stdbuf -o L echo a", "a\n"),
    ] {
        assert_eq!(String::from_utf8_lossy(&ours(text).0.unwrap().output), output, "{text}");
    }
    for text in ["nice -w 5 echo a", "nohup -n 5 echo a"] {
        assert!(ours(text).0.is_err(), "{text}");
    }
}
