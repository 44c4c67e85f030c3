//! `pinfold pack`, and files that carry an image. The image is of busybox; what other tools see, and real agents, are in
//! `tests/e2e/99-pack.sh`.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]
#![expect(clippy::disallowed_methods, reason = "the files that it makes are started")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use fs_err as fs;
use pinfold_testkit::machine::Machine;

/// A project, and a file of its image.
struct Packed {
    machine: Machine,
    file: PathBuf,
}

impl Packed {
    fn new() -> Option<Self> {
        let machine = Machine::empty(env!("CARGO_BIN_EXE_pinfold"))?;
        machine.project("box", "");
        let packed = Self { file: machine.path("box").join("a b.AppImage"), machine };
        let made = packed.pinfold(&["pack", "--offline", "-o", "a b.AppImage"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(packed)
    }

    fn pinfold(&self, args: &[&str]) -> Output {
        self.machine.pinfold(args).current_dir(self.machine.path("box")).output().unwrap()
    }

    /// The file itself, with nothing but a home.
    fn carried(&self, args: &[&str]) -> Output {
        self.carried_at(&self.file, args, &[])
    }

    fn carried_at(&self, file: &Path, args: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(file);
        command.env_clear().env("HOME", self.machine.path("box")).env("PATH", "/usr/bin:/bin");
        command.envs(environment.iter().copied()).current_dir(self.machine.path("box")).args(args);
        command.output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Exit code and what is said.
fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), said(output))
}

#[test]
fn a_file_tells_what_it_is_and_refuses_what_it_does_not_know() {
    let Some(packed) = Packed::new() else { return };
    let (code, info) = told(&packed.carried(&["--pinfold-info"]));
    assert!(code == Some(0) && info.contains("name      box"), "{info}");
    let (code, help) = told(&packed.carried(&["--help"]));
    assert!(code == Some(0) && help.contains("WORDS OF THE AGENT"), "{help}");
    let (code, whole) = told(&packed.carried(&["--pinfold-verify"]));
    assert!(code == Some(0) && whole.contains("whole"), "{whole}");
    for wrong in
        [&["--appimage-nothing"][..], &["--pinfold-nothing"], &["--workspace"], &["--pinfold-info", "x"]]
    {
        let (code, error) = told(&packed.carried(wrong));
        assert!(
            code == Some(2) && error.contains("`--help` says how this file is used"),
            "{wrong:?}: {error}"
        );
    }
    let (code, error) = told(&packed.carried(&["--appimage-mount"]));
    assert!(code == Some(5) && error.contains("--appimage-extract"), "{error}");
    // The same twice is the same.
    let once = fs::read(&packed.file).unwrap();
    let again = packed.pinfold(&["pack", "--offline", "-o", "again", "--json"]);
    assert!(again.status.success());
    assert!(fs::read(packed.machine.path("box").join("again")).unwrap() == once);
    let json: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(json["size"].as_u64(), Some(once.len() as u64));
    // Words that contradict each other, an agent that is not there, and who is named by what is to be done.
    for (words, error) in [
        (&["-i", "-m", "x"][..], "the opposite of each other"),
        (&["--agent", "codex-cli"], "there is no agent `codex-cli` in it; it has none"),
    ] {
        let (code, told) = told(&packed.carried(words));
        assert!(code == Some(2) && told.contains(error), "{words:?}: {told}");
    }
    let hint = format!("`'{}' --pinfold ps` shows what there is", packed.file.display());
    let (_, told_by_it) = told(&packed.carried(&["--pinfold", "rm", "nothing"]));
    assert!(told_by_it.contains(&hint), "{told_by_it}");
    assert!(
        said(&packed.pinfold(&["rm", "nothing"])).contains("`pinfold ps` shows what there is"),
        "the control"
    );
    // A link that is called like process 1 of a sandbox is none.
    let link = packed.machine.path("box").join("pinfold-init");
    std::os::unix::fs::symlink(&packed.file, &link).unwrap();
    let mut by_link = Command::new(&link);
    std::os::unix::process::CommandExt::arg0(&mut by_link, "pinfold-init");
    assert!(told(&by_link.arg("--pinfold-info").output().unwrap()).1.contains("name      box"));
    // One that cannot be read does not know what it carries, and says so.
    if !rustix::process::geteuid().is_root() {
        fs::set_permissions(&packed.file, std::fs::Permissions::from_mode(0o111)).unwrap();
        assert!(told(&packed.carried(&["--version"])).1.contains("`chmod +r` it"));
        fs::set_permissions(&packed.file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Packed by the file itself: its program is what it was.
    let own =
        packed.carried(&["--pinfold", "pack", "appimage:a b.AppImage", "--name", "box", "-o", "by itself"]);
    assert!(own.status.success(), "{}", said(&own));
    assert!(fs::read(packed.machine.path("box").join("by itself")).unwrap() == once);
}

#[test]
fn what_cannot_be_packed_says_what_to_do() {
    let Some(packed) = Packed::new() else { return };
    // A static program for this platform, which would not know what is behind it.
    let mut other = fs::read(env!("CARGO_BIN_EXE_pinfold")).unwrap();
    let mark = b"pinfold: this program carries images of format ";
    let places: Vec<_> = (0..other.len() - mark.len())
        .filter(|at| other[*at] == mark[0] && other[*at..].starts_with(mark))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        other[at] = b'P';
    }
    fs::write(packed.machine.path("box").join("strange"), other).unwrap();
    for (args, error, hint) in [
        (
            &["pack", "appimage:a b.AppImage", "--agent", "codex-cli"][..],
            "no agent `codex-cli`",
            "build the image with the agent",
        ),
        (
            &["pack", "--offline", "--head", "strange"],
            "`strange` is no pinfold that carries images as this one does",
            "name a pinfold of this version",
        ),
        (
            &["pack", "--offline", "--platform", "linux/arm64"],
            "no static program for linux/arm64",
            "--head FILE",
        ),
        (
            &["inspect", "appimage:pinfold.toml"],
            "nothing that `pinfold pack` made",
            "`pinfold pack IMAGE -o FILE` makes one",
        ),
        (&["copy", "appimage:a b.AppImage", "appimage:other"], "made by `pinfold pack`", "places are"),
        (&["pack", "--offline", "-o", "."], "is no file", "name another file"),
        (&["pack", "--offline", "-o", "nowhere/x"], "there is no folder", "make the folder"),
        (
            &["pack", "--offline", "-o", "x.zip"],
            "an archive that `pack` does not make",
            "name it FILE.AppImage",
        ),
        (
            &["pack", "--offline", "-o", "X.TAR.XZ"],
            "an archive that `pack` does not make",
            "--format appimage",
        ),
        (
            &["verify", "box", "--key", "k", "--only", "oci"],
            "makes no checks",
            "leave out `--only`, or name a file",
        ),
    ] {
        let (code, told) = told(&packed.pinfold(args));
        assert!(code == Some(2) || code == Some(1), "{args:?}: {code:?}");
        assert!(told.contains(error) && told.contains(hint), "{args:?}: {told}");
    }
    let one = packed.pinfold(&["pack", "--offline", "--head", env!("CARGO_BIN_EXE_pinfold"), "-o", "one"]);
    assert!(one.status.success(), "the control: {}", said(&one));
    assert!(fs::read(packed.machine.path("box").join("one")).unwrap() == fs::read(&packed.file).unwrap());
    // A dot alone says nothing, and who says the form is believed.
    for words in [&["-o", "box-1.0"][..], &["--format", "appimage", "-o", "box.zip"]] {
        let made = packed.pinfold(&[&["pack", "--offline", "--head", "one"], words].concat());
        assert!(made.status.success(), "the control: {}", said(&made));
        fs::remove_file(packed.machine.path("box").join(words[words.len() - 1])).unwrap();
    }
    let left = |name: &str| packed.machine.path("box").join(name).exists();
    assert!(!left("x.zip") && !left("X.TAR.XZ"));
    assert!(!left("other") && !left("box-aarch64.AppImage"));
    let mut bytes = fs::read(&packed.file).unwrap();
    bytes.truncate(bytes.len() - 4096);
    fs::write(packed.machine.path("box").join("torn.AppImage"), bytes).unwrap();
    let (code, error) = told(&packed.pinfold(&["inspect", "./torn.AppImage"]));
    assert!(code == Some(4) && error.contains("copy it once more from where it came"), "{error}");
}

/// Where no sandbox can be had, what comes before it is seen all the same: the place, the program, the record.
#[test]
fn a_start_keeps_its_things_where_they_are_the_users_own() {
    let Some(packed) = Packed::new() else { return };
    let open = packed.machine.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(open.join("data")).unwrap();
    fs::set_permissions(open.join("data"), std::fs::Permissions::from_mode(0o777)).unwrap();
    let place = [("PINFOLD_HOME", open.to_str().unwrap())];
    let (code, error) = told(&packed.carried_at(&packed.file, &["x"], &place));
    assert!(code == Some(5) && error.contains("can be written to by other users"), "{error}");
    assert!(error.contains("set `PINFOLD_HOME` to a directory of yours"), "{error}");
    // What the agent works on is no place, and nothing is written there before that is said; nor anywhere where a word is wrong.
    let work = packed.machine.path("box").join("work");
    fs::create_dir(&work).unwrap();
    let (inner, outer) = (work.join("home"), packed.machine.path("elsewhere"));
    let start = |place: &Path, words: &[&str]| {
        let words = [&["--workspace", "work"], words].concat();
        told(&packed.carried_at(&packed.file, &words, &[("PINFOLD_HOME", place.to_str().unwrap())]))
    };
    let (code, error) = start(&inner, &["x"]);
    assert!(code == Some(5) && error.contains("which the agent works on"), "{error}");
    assert!(!inner.exists());
    for wrong in ["--memory=much", "--cpus=none"] {
        let (code, error) = start(&outer, &[wrong, "x"]);
        assert!(code == Some(2) && !outer.exists(), "{error}");
    }
    start(&outer, &["x"]);
    assert!(outer.join("data/heads").exists(), "the control");
    let beside = packed.machine.path("box").join("a b.AppImage.home");
    fs::create_dir(&beside).unwrap();
    let (code, listed) = told(&packed.carried(&["--pinfold", "ps"]));
    assert_eq!(code, Some(0), "{listed}");
    let data = beside.join("pinfold/data");
    let heads: Vec<_> = fs::read_dir(data.join("heads")).unwrap().collect();
    assert_eq!(heads.len(), 1);
    let records: Vec<_> = fs::read_dir(data.join("portable")).unwrap().collect();
    assert_eq!(records.len(), 1);
    // gc leaves both while the file is there, and takes them when it has gone.
    let gc = |file: &Path| {
        told(&packed.carried_at(
            file,
            &["--pinfold", "gc", "--yes"],
            &[("PINFOLD_HOME", data.parent().unwrap().to_str().unwrap())],
        ))
    };
    assert_eq!(gc(&packed.file).0, Some(0));
    assert!(data.join("portable").read_dir().unwrap().next().is_some());
}

#[test]
fn a_file_is_found_by_the_shell_while_it_is_installed() {
    let Some(packed) = Packed::new() else { return };
    let at = |name: &str| packed.machine.path("box").join(name);
    let (code, error) = told(&packed.carried(&["--share", "everything"]));
    assert!(code.is_some_and(|code| code != 0) && error.contains("it is one of claude-config, "), "{error}");
    let (code, error) = told(&packed.carried(&["--share", "git"]));
    assert!(code.is_some_and(|code| code != 0) && error.contains("there is no `~/mnt_git`"), "{error}");
    assert!(error.contains("make it, or leave out `--share git`"), "{error}");
    let (code, error) = told(&packed.carried(&["--share", "ssh-agent"]));
    assert!(code.is_some_and(|code| code != 0) && error.contains("that is not set"), "{error}");
    assert!(error.contains(r#"start an agent (`eval "$(ssh-agent)"; ssh-add`), or leave it out"#), "{error}");
    let (code, error) = told(&packed.carried_at(&packed.file, &["--pinfold-install"], &[("HOME", "")]));
    assert!(code == Some(1) && error.contains("set `HOME`"), "{error}");
    assert_eq!(told(&packed.carried(&["--pinfold-install"])).0, Some(0));
    assert_eq!(fs::read_link(at(".local/bin/box")).unwrap(), packed.file);
    let entry = fs::read_to_string(at(".local/share/applications/pinfold-box.desktop")).unwrap();
    assert!(entry.contains(&format!("Exec=\"{}\"", packed.file.display())), "{entry}");
    assert!(told(&packed.carried_at(&at(".local/bin/box"), &["--pinfold-info"], &[])).1.contains("box"));
    assert_eq!(told(&packed.carried(&["--pinfold-uninstall"])).0, Some(0));
    assert!(!at(".local/bin/box").exists() && !at(".local/share/applications/pinfold-box.desktop").exists());
    // What is not its own stays.
    fs::write(at(".local/bin/box"), "mine").unwrap();
    let (code, error) = told(&packed.carried(&["--pinfold-install"]));
    assert!(code == Some(2) && error.contains("take it away first"), "{error}");
    assert_eq!(told(&packed.carried(&["--pinfold-uninstall"])).0, Some(0));
    assert_eq!(fs::read_to_string(at(".local/bin/box")).unwrap(), "mine");
}

/// What an AppImage does, for who wants none: the same image and program as a directory in a tar.
#[test]
fn a_tar_is_a_directory_that_does_the_same() {
    let Some(packed) = Packed::new() else { return };
    let at = |name: &str| packed.machine.path("box").join(name);
    let made = packed.pinfold(&["pack", "--offline", "-o", "box.tar.gz"]);
    assert!(made.status.success(), "{}", said(&made));
    let tar = fs::read(at("box.tar.gz")).unwrap();
    assert_eq!(fs::metadata(at("box.tar.gz")).unwrap().permissions().mode() & 0o777, 0o644);
    let pinfold = packed.machine.pinfold(&["pack", "--offline", "--format", "tar", "-o", "again.tar.gz"]);
    let mut masked = Command::new("sh");
    masked.args(["-c", "umask 077; exec \"$0\" \"$@\""]).arg(pinfold.get_program()).args(pinfold.get_args());
    masked.envs(pinfold.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(masked.current_dir(at("")).status().unwrap().success());
    assert!(fs::read(at("again.tar.gz")).unwrap() == tar, "the same from the same, whoever makes it");
    fs::create_dir(at("un packed")).unwrap();
    let system =
        Command::new("tar").args(["-xf", "box.tar.gz", "-C", "un packed"]).current_dir(at("")).output();
    assert!(system.unwrap().status.success());
    let script = at("un packed/box/run.sh");
    let run = |args: &[&str]| told(&packed.carried_at(&script, args, &[]));
    let (code, info) = run(&["--pinfold-info"]);
    assert!(code == Some(0) && info.contains("name      box") && !info.contains("squashfs"), "{info}");
    let (code, help) = run(&["-h"]);
    assert!(code == Some(0) && help.contains("WORDS OF THE AGENT"), "{help}");
    let (code, whole) = run(&["--pinfold-verify"]);
    assert!(code == Some(0) && whole.contains("whole"), "{whole}");
    let (code, error) = run(&["--appimage-offset"]);
    assert!(code == Some(2) && error.contains("`--pinfold-extract DIR` do the same"), "{error}");
    assert_eq!(run(&["--pinfold", "ps"]).0, Some(0));
    assert_eq!(told(&packed.carried(&["--pinfold", "ps"])).0, Some(0));
    let data = at(".local/share/pinfold");
    let count = |folder: &str| fs::read_dir(data.join(folder)).unwrap().count();
    assert_eq!((count("heads"), count("portable")), (1, 2), "one program, two that carry it");
    assert_eq!(run(&["--pinfold-extract", "out"]).0, Some(0));
    assert!(fs::read(at("out/run.sh")).unwrap() == fs::read(&script).unwrap());
    assert_eq!(run(&["--pinfold-install"]).0, Some(0));
    assert_eq!(fs::read_link(at(".local/bin/box")).unwrap(), script);
    assert!(told(&packed.carried_at(&at(".local/bin/box"), &["--pinfold-info"], &[])).1.contains("box"));
    assert_eq!(run(&["--pinfold-uninstall"]).0, Some(0));
    assert!(!at(".local/bin/box").exists());
    // One makes the other, from the tar as it is and from the directory.
    for (from, to, expected) in [
        ("appimage:box.tar.gz", "other.AppImage", fs::read(&packed.file).unwrap()),
        ("appimage:un packed/box", "other.tar.gz", tar.clone()),
    ] {
        let (code, made) = run(&["--pinfold", "pack", from, "--name", "box", "-o", to]);
        assert!(code == Some(0) && fs::read(at(to)).unwrap() == expected, "{from}: {made}");
    }
    let (code, error) = told(&packed.pinfold(&["portable", "box.tar.gz", "--", "--pinfold-info"]));
    assert!(code == Some(2) && error.contains("unpack it first, `tar -xf box.tar.gz`"), "{error}");
    for (wrong, hint) in [
        (
            &["pack", "--offline", "--format", "tar", "-o", "x"][..],
            "name it FILE.tar, FILE.tar.gz or FILE.tar.zst",
        ),
        (
            &["pack", "--offline", "-o", "x.tar", "--update-info", "zsync|u"],
            "leave it out, or make an AppImage",
        ),
    ] {
        let (code, error) = told(&packed.pinfold(wrong));
        assert!(code == Some(2) && error.contains(hint), "{error}");
    }
    assert!(!at("x").exists() && !at("x.tar").exists());
    // What was changed does not start.
    let program = at("un packed/box/pinfold");
    // By another process: one of this one's other children could still have the open file, and Linux starts no program that is
    // written to.
    let mut longer = Command::new("sh");
    assert!(longer.args(["-c", "printf x >>\"$1\"", "sh"]).arg(&program).status().unwrap().success());
    let (code, error) = run(&["--pinfold-verify"]);
    assert!(code == Some(4) && error.contains("copy it once more from where it came"), "{error}");
    fs::write(at("un packed/box/pinfold.json"), "{}").unwrap();
    assert_eq!(run(&["x"]).0, Some(4));
}

#[test]
fn what_is_taken_out_is_whole_or_nothing() {
    let Some(packed) = Packed::new() else { return };
    let at = |name: &str| packed.machine.path("box").join(name);
    let (code, none) = told(&packed.carried(&["--appimage-extract", "no-such*"]));
    assert!(code == Some(0) && none.contains("nothing in it is called `no-such*`"), "{none}");
    fs::remove_dir(at("squashfs-root")).unwrap();
    // The last byte of the largest blob, which is behind others.
    let mut bytes = fs::read(&packed.file).unwrap();
    let (code, all) = told(&packed.carried(&["--appimage-extract"]));
    assert!(code == Some(0) && all.contains("files in `squashfs-root`"), "{all}");
    let blobs = fs::read_dir(at("squashfs-root/oci/blobs/sha256")).unwrap().map(|blob| blob.unwrap().path());
    let largest = fs::read(blobs.max_by_key(|blob| fs::metadata(blob).unwrap().len()).unwrap()).unwrap();
    let start = bytes.windows(64).position(|window| window == &largest[..64]).unwrap();
    bytes[start + largest.len() - 1] ^= 1;
    let torn = at("torn.AppImage");
    fs::write(&torn, bytes).unwrap();
    fs::set_permissions(&torn, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::remove_dir_all(at("squashfs-root")).unwrap();
    let (code, error) = told(&packed.carried_at(&torn, &["--appimage-extract"], &[]));
    assert!(code == Some(4) && !at("squashfs-root").exists(), "{error}");
}

/// A file may have any name, and words of the agent any bytes.
#[test]
fn names_and_words_need_not_be_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let Some(packed) = Packed::new() else { return };
    let file = packed.machine.path("box").join(OsStr::from_bytes(b"odd \xff\n.AppImage"));
    fs::rename(&packed.file, &file).unwrap();
    let mut place = std::ffi::OsString::from("appimage:");
    place.push(&file);
    let word = OsStr::from_bytes(b"a\xffb");
    let workspace = packed.machine.path("w");
    fs::create_dir(&workspace).unwrap();
    let start = |more: &[&str]| {
        let mut command = Command::new(&file);
        command.env_clear().env("HOME", packed.machine.path("box")).env("PATH", "/usr/bin:/bin");
        command
            .current_dir(packed.machine.path("box"))
            .args(["--pinfold", "run", "--quiet", "--image"])
            .arg(&place);
        command
            .arg("-w")
            .arg(&workspace)
            .args(more)
            .args(["--network", "none", "--", "/bin/busybox", "printf", "%s|"])
            .arg(word);
        command.output().unwrap()
    };
    let output = start(&[]);
    assert!(output.stdout == b"a\xffb|", "{}", said(&output));
    // The configuration of other runtimes is text.
    if ["/usr/bin/runc", "/usr/sbin/runc"].iter().any(|runc| Path::new(runc).exists()) {
        let (code, error) = told(&start(&["--runtime", "runc"]));
        assert!(
            code == Some(125) && error.contains("leave `--runtime` out: the built-in one takes every word"),
            "{error}"
        );
    }
}

/// On a machine without user namespaces it says what an administrator does, and does not start otherwise.
#[test]
fn without_user_namespaces_it_says_what_to_do() {
    let Some(packed) = Packed::new() else { return };
    let workspace = packed.machine.path("w");
    fs::create_dir(&workspace).unwrap();
    // The control, which also unpacks: who is root of one id alone can give files to nobody.
    let here = ["-w", workspace.to_str().unwrap(), "--network", "none", "--", "/bin/busybox", "true"];
    let (code, started) = told(&packed.carried(&here));
    assert_eq!(code, Some(0), "{started}");
    let within = |setup: &str, words: &[&str]| {
        let mut command = Command::new("unshare");
        let script = format!("{setup} exec \"$@\"");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", &script, "sh"]).arg(&packed.file);
        command
            .env_clear()
            .env("HOME", packed.machine.path("box"))
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        told(&command.current_dir(&workspace).args(words).output().unwrap())
    };
    let none = "echo 0 >/proc/sys/user/max_user_namespaces;";
    let (code, doctor) = within(none, &["--pinfold", "doctor", "--offline"]);
    assert!(code == Some(1) && doctor.contains("sysctl -w user.max_user_namespaces="), "{doctor}");
    let (code, start) = within(none, &here);
    assert!(code == Some(125) && start.contains("sysctl -w user.max_user_namespaces="), "{start}");
    assert!(!start.contains("mirror"), "{start}");
    let (_, control) = within("", &["--pinfold", "doctor", "--offline"]);
    assert!(!control.contains("sysctl"), "{control}");
}

/// A file cannot vouch for itself: its digest does, or a signature beside it. openssl is the judge of both.
#[test]
fn a_file_is_vouched_for_by_its_digest_and_by_a_signature_beside_it() {
    let Some(packed) = Packed::new() else { return };
    let at = |name: &str| packed.machine.path("box").join(name);
    // A small program that says of itself that it is one of ours: nothing starts it.
    let mut head = fs::read(at("busybox")).unwrap();
    head.extend(b"pinfold: this program carries images of format 1\n");
    fs::write(at("head"), head).unwrap();
    for key in ["key.pem", "other.pem"] {
        assert!(packed.pinfold(&["key", "generate", key]).status.success());
    }
    for (key, public) in [("key.pem", "key.pub"), ("other.pem", "other.pub")] {
        fs::write(at(public), packed.pinfold(&["key", "public", key]).stdout).unwrap();
    }
    for file in ["signed.AppImage", "signed.tar.gz"] {
        let made = packed.pinfold(&[
            "pack",
            "--offline",
            "--head",
            "head",
            "--compress",
            "zstd",
            "--sign",
            "key.pem",
            "-o",
            file,
            "--json",
        ]);
        assert!(made.status.success(), "{}", said(&made));
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
        let tool = |program: &str, args: &[&str]| {
            Command::new(program).args(args).current_dir(at("")).output().unwrap().status.success()
        };
        let sum = format!("{file}.sha256");
        assert!(tool("sha256sum", &["--strict", "-c", &sum]), "{file}");
        let bundle = fs::read(at(&format!("{file}.sigstore.json"))).unwrap();
        let bundle: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
        assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
        fs::write(at("base64"), format!("{}\n", bundle["messageSignature"]["signature"].as_str().unwrap()))
            .unwrap();
        assert!(tool("openssl", &["base64", "-d", "-A", "-in", "base64", "-out", "signature"]));
        let judged = |public: &str| {
            tool("openssl", &["dgst", "-sha256", "-verify", public, "-signature", "signature", file])
        };
        assert!(judged("key.pub") && !judged("other.pub"), "{file}");

        let path = format!("./{file}");
        let verify =
            |more: &[&str]| told(&packed.pinfold(&[&["verify", "--only", "file", &path], more].concat()));
        let vouched = |more: &[&str]| told(&packed.pinfold(&[&["verify", &path], more].concat()));
        let (code, report) = verify(&[]);
        assert!(code == Some(0) && report.contains("nothing says whose it is"), "{report}");
        let (code, report) = vouched(&["--key", "key.pub"]);
        assert!(code.is_some_and(|code| code < 2) && report.contains("passed    file.signature"), "{report}");
        let (code, report) = vouched(&["--key", "other.pub"]);
        assert!(code == Some(4) && report.contains("is not by the key"), "{report}");
        let (code, report) = verify(&["--key", "key.pub"]);
        assert!(code == Some(0) && report.contains("file.signature") && !report.contains("oci."), "{report}");
        let digest = made["digest"].as_str().unwrap();
        if file == "signed.tar.gz" {
            directories_are_held_to_it(&packed, file, digest);
        }
        let (code, report) = vouched(&["--digest", digest]);
        assert!(
            code.is_some_and(|code| code < 2) && report.contains("of the file, and so of all in it"),
            "{report}"
        );
        let (code, report) = vouched(&["--digest", made["image"].as_str().unwrap()]);
        assert!(code.is_some_and(|code| code < 2) && report.contains("of the image alone"), "{report}");
        let (code, report) = vouched(&["--digest", made["made_of"].as_str().unwrap()]);
        assert!(code == Some(4) && report.contains("neither is"), "{report}");
        // A changed byte.
        let right = fs::read(at(file)).unwrap();
        let mut bytes = right.clone();
        let last = bytes.len() - 5000;
        bytes[last] ^= 1;
        fs::write(at(file), &bytes).unwrap();
        for asked in [&["--key", "key.pub"][..], &["--digest", digest], &[]] {
            let (code, report) = vouched(asked);
            assert!(code == Some(4) && report.contains("FAILED"), "{file} {asked:?}: {report}");
        }
        fs::write(at(file), right).unwrap();
        fs::remove_file(at(&format!("{file}.sigstore.json"))).unwrap();
        let (code, report) = vouched(&["--key", "key.pub"]);
        assert!(code == Some(4) && report.contains("there is no"), "{report}");
    }
    let (code, error) =
        told(&packed.pinfold(&["verify", "box", "--digest", &format!("sha256:{}", "0".repeat(64))]));
    assert!(code == Some(2) && error.contains("NAME@sha256:"), "{error}");
}

/// A directory by what was printed of the tar that it was in; with something in it that was not, and without something that was.
fn directories_are_held_to_it(packed: &Packed, file: &str, digest: &str) {
    let at = |name: &str| packed.machine.path("box").join(name);
    let unpacked = Command::new("tar").args(["-xf", file]).current_dir(at("")).status().unwrap();
    assert!(unpacked.success());
    let verify = |digest: &str| {
        told(&packed.pinfold(&["verify", "--only", "file", "appimage:box", "--digest", digest]))
    };
    let (code, report) = verify(digest);
    assert!(code == Some(0) && report.contains("of the .tar.gz that it was in"), "{report}");
    let other = format!("sha256:{}", "0".repeat(64));
    let (code, report) = verify(&other);
    assert!(code == Some(4) && report.contains("neither is"), "the control: {report}");
    for beyond in ["mine", "oci/blobs/sha256/x"] {
        fs::write(at("box").join(beyond), "").unwrap();
        let (code, report) = verify(digest);
        assert!(
            code == Some(4) && report.contains(&format!("`{beyond}` is in it, which nobody packed")),
            "{report}"
        );
        fs::remove_file(at("box").join(beyond)).unwrap();
    }
    assert_eq!(verify(digest).0, Some(0), "the control");
    fs::write(at("box/run.sh"), "exit\n").unwrap();
    let (code, report) = verify(digest);
    assert!(code == Some(4) && report.contains("the tar that it is is damaged"), "{report}");
}
