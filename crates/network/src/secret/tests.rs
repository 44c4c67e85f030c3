//! What is found for a key, what is held to, and what is refused.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;

use super::*;

fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), text, mode);
    file
}

fn write(path: &Path, text: &str, mode: u32) {
    fs_err::write(path, text).unwrap();
    chmod(path, mode);
}

fn chmod(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn text(secret: &Secret) -> &str {
    str::from_utf8(secret.expose()).unwrap()
}

/// Nothing but the system's programs.
fn nowhere() -> Surroundings {
    Surroundings { directory: "/".into(), path: "/usr/bin:/bin".into(), ..Surroundings::default() }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// A host with a project that an agent may write to, and the user's own folder beside it.
struct Host {
    dir: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let host = Self { dir: tempfile::tempdir().unwrap() };
        for name in ["project", "project/bin", "project/inner", "own", "seen"] {
            fs_err::create_dir(host.path(name)).unwrap();
            chmod(&host.path(name), 0o755);
        }
        for folder in ["project", "project/bin", "own"] {
            write(&host.path(folder).join("getkey.sh"), "#!/bin/sh\necho sk-canary\n", 0o755);
            write(&host.path(folder).join("plain.sh"), "echo sk-canary\n", 0o644);
            write(&host.path(folder).join("key"), "sk-canary\n", 0o600);
        }
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn around(&self) -> Surroundings {
        Surroundings {
            directory: self.path("project"),
            home: Some(self.dir.path().to_owned()),
            path: format!("{0}/project/bin:bin::{0}/own:/usr/bin:/bin", self.dir.path().display()).into(),
            places: vec![
                Place::writable(self.path("project"), "the workspace"),
                Place::readable(self.path("seen"), "the mount"),
            ],
        }
    }

    /// The same host before anybody thought of what an agent may write to.
    fn unguarded(&self) -> Surroundings {
        Surroundings { places: Vec::new(), ..self.around() }
    }

    /// `@` is the host's folder.
    fn line(&self, line: &str) -> Vec<String> {
        words(&line.replace('@', self.dir.path().to_str().unwrap()))
    }

    fn command(&self, line: &str) -> Result<Credential, CredentialError> {
        Credential::command(&self.line(line), &self.around())
    }
}

#[test]
fn a_secret_does_not_print() {
    let secret = Secret::new(b" sk-canary-1234 \n").unwrap();
    assert_eq!(text(&secret), "sk-canary-1234");
    assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(…) Secret(…)");
    let credential = Credential::command(&words("sh"), &nowhere()).unwrap();
    let key = Key { from: From::Credential(credential), kept: Mutex::new(Some((Instant::now(), secret))) };
    assert!(!format!("{key:?}").contains("canary"));
}

#[test]
fn what_cannot_stand_in_a_header_is_no_key() {
    for bytes in [&b""[..], b" \n", b"a b", b"a\r\nX: y", b"a\0b", b"k\xc3\xa9y", &vec![b'a'; KEY_MAX + 1]] {
        assert_eq!(Secret::new(bytes), None);
    }
}

#[test]
fn a_file_must_be_the_users_alone() {
    let good = file("sk-canary\n", 0o600);
    let held = Credential::file(good.path(), &nowhere()).unwrap();
    assert_eq!(text(&held.read().unwrap()), "sk-canary");
    for mode in [0o640, 0o604, 0o644, 0o620, 0o602] {
        let open = file("sk-canary\n", mode);
        chmod(good.path(), mode);
        for error in [Credential::file(open.path(), &nowhere()).unwrap_err(), held.read().unwrap_err()] {
            assert!(matches!(error, CredentialError::Exposed { .. }), "{mode:o}");
            assert!(!error.to_string().contains("canary"));
            assert_eq!(error.kind(), Kind::Refused);
        }
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Credential::file(dir.path(), &nowhere()), Err(CredentialError::Exposed { .. })));
    let missing = Credential::file(Path::new("/nonexistent"), &nowhere());
    assert!(matches!(missing, Err(CredentialError::File { .. })));
}

#[test]
fn a_login_file_is_read_by_pointer_and_may_be_renewed() {
    let login = file(r#"{"tokens":{"access":"sk-canary"}}"#, 0o600);
    let json = |pointer: &str| Credential::json(login.path(), pointer, &nowhere()).unwrap();
    let held = json("/tokens/access");
    assert_eq!(text(&held.read().unwrap()), "sk-canary");
    for pointer in ["/tokens", "/none", ""] {
        let error = json(pointer).read().unwrap_err();
        assert!(matches!(error, CredentialError::Pointer { .. }));
        assert!(!format!("{error:?}").contains("canary"));
    }
    // A login is renewed by renaming: another inode, the same owner and path, and no new word.
    let renewed = login.path().with_extension("new");
    write(&renewed, r#"{"tokens":{"access":"sk-newer"}}"#, 0o600);
    fs_err::rename(&renewed, login.path()).unwrap();
    assert_eq!(text(&held.read().unwrap()), "sk-newer");
    assert!(held.files()[0].to_string().contains("a secret of user"), "no hash of a secret: {held:?}");
}

#[test]
fn a_command_answers_once_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    let script = format!("echo x >> {0}; echo sk-$(wc -l < {0})", count.display());
    let words = ["sh".to_owned(), "-c".into(), script];
    let key = Key::new(Credential::command(&words, &nowhere()).unwrap());
    assert_eq!(text(&key.get().unwrap()), "sk-1");
    assert_eq!(text(&key.get().unwrap()), "sk-1");
    key.forget();
    assert_eq!(text(&key.get().unwrap()), "sk-2");
}

#[test]
fn a_failing_command_tells_nothing_of_its_output() {
    for script in ["echo sk-canary; exit 3", "echo sk canary", "true"] {
        let words = ["sh".to_owned(), "-c".into(), script.into()];
        let error = Credential::command(&words, &nowhere()).unwrap().read().unwrap_err();
        assert!(!format!("{error:?} {error}").contains("canary"), "{error:?}");
    }
    for line in ["", "/nonexistent/helper", "no-such-helper"] {
        assert_eq!(Credential::command(&words(line), &nowhere()).unwrap_err().kind(), Kind::Usage, "{line}");
    }
}

#[test]
fn credentials_are_data() {
    let host = Host::new();
    for credential in [
        Credential::Env("KEY".into()),
        Credential::file(&host.path("own/key"), &host.around()).unwrap(),
        host.command("getkey.sh --file=@/own/plain.sh x").unwrap(),
    ] {
        let text = serde_json::to_string(&credential).unwrap();
        assert_eq!(serde_json::from_str::<Credential>(&text).unwrap(), credential);
    }
    assert!(serde_json::from_str::<Credential>(r#"{"value":"sk-canary"}"#).is_err());
    assert!(matches!(
        Credential::Env("PINFOLD_NO_SUCH_KEY".into()).read(),
        Err(CredentialError::NoVariable { .. })
    ));
}

/// Every way in which a command can name what an agent may write to. Where nothing guards, the agent's program runs.
#[test]
fn what_an_agent_can_write_is_not_run_for_a_key() {
    let host = Host::new();
    symlink(host.path("project/getkey.sh"), host.path("own/link")).unwrap();
    symlink(host.path("project"), host.path("own/away")).unwrap();
    symlink(host.path("own/getkey.sh"), host.path("project/back")).unwrap();
    let shebang = format!("#!{}\n", host.path("project/getkey.sh").display());
    write(&host.path("own/by-interpreter"), &shebang, 0o755);
    let shebang = format!("#!/usr/bin/env -S {}\n", host.path("project/getkey.sh").display());
    write(&host.path("own/by-env"), &shebang, 0o755);
    for (line, runs) in [
        ("./getkey.sh", true),
        ("bin/getkey.sh", true),
        ("@/project/getkey.sh", true),
        ("~/project/getkey.sh", true),
        ("../project/getkey.sh", true),
        ("@/own/../project/getkey.sh", true),
        ("@/own/link", true),
        ("@/own/away/getkey.sh", true),
        // The link itself is the agent's.
        ("@/project/back", true),
        ("./back", true),
        ("@/own/by-interpreter", true),
        ("@/own/by-env", true),
        ("sh ./getkey.sh", true),
        ("sh getkey.sh", true),
        ("sh plain.sh", true),
        ("sh -- ./plain.sh", true),
        ("sh ~/project/plain.sh", true),
        ("sh -c @/project/getkey.sh", true),
        ("sh -c @/project/getkey.sh;exit", true),
        ("sh -c exec</dev/null;@/project/getkey.sh", true),
        ("sh -c .<@/project/plain.sh", false),
        ("sh -c ~/project/getkey.sh", false),
        ("sh -c $HOME/project/getkey.sh", false),
        ("env ./getkey.sh", true),
        ("env A=b @/project/getkey.sh", true),
        ("env -S sh ./plain.sh", true),
        ("env -Ssh ./plain.sh", true),
        ("env -S @/project/getkey.sh", true),
        ("env A=@/project/x getkey.sh", false),
        ("timeout 9 @/project/getkey.sh", true),
        ("timeout 9 sh ./plain.sh", true),
        ("nice sh ./plain.sh", true),
        ("cat ./key", true),
        ("cat key", true),
        ("cat @/own/away/key", true),
        ("awk -f ./plain.sh", false),
        ("awk -f./plain.sh", false),
        ("getkey.sh --file=./key", false),
        ("getkey.sh --file=@/project/missing", false),
        ("getkey.sh --file ./missing", false),
        ("getkey.sh -f@/project/key", false),
        ("getkey.sh key=./key", false),
        ("getkey.sh file:./key", false),
        ("getkey.sh ./inner", false),
        ("getkey.sh --store=@/project", false),
        ("sed -n 1e@/project/getkey.sh /etc/hostname", false),
        ("sed -n 1e@/project/get*.sh /etc/hostname", false),
        ("sed -n 1e$HOME/project/getkey.sh /etc/hostname", false),
    ] {
        let error = match host.command(line) {
            Ok(found) => panic!("{line}: {found:?}"),
            Err(error) => error,
        };
        assert!(matches!(error, CredentialError::Within { .. }), "{line}: {error:?}");
        assert!(error.to_string().contains("the workspace"), "{line}: {error}");
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.hint().unwrap().contains("~/.local/bin"));
        // Control: the guard is what stopped it.
        if runs {
            let found = Credential::command(&host.line(line), &host.unguarded());
            let key = found.and_then(|found| found.read()).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(text(&key), "sk-canary", "{line}");
        } else {
            Credential::command(&host.line(line), &host.unguarded()).unwrap();
        }
    }
}

/// Programs that start others look for them by themselves, and no list knows them all: what leads to the agent's is not there
/// for them to find.
#[test]
fn what_a_program_looks_for_by_itself_is_not_the_agents() {
    let host = Host::new();
    symlink(host.path("project"), host.path("away")).unwrap();
    write(&host.path("own/helper"), "#!/bin/sh\necho sk-canary\n", 0o755);
    let enter = |name: &str| match name {
        "a link" => symlink(host.path("project/getkey.sh"), host.path("own/mykey")).unwrap(),
        "a link to a link" => symlink("../away/getkey.sh", host.path("own/mykey")).unwrap(),
        "a hard link" => fs_err::hard_link(host.path("project/getkey.sh"), host.path("own/mykey")).unwrap(),
        "an interpreter" => {
            let line = format!("#!{}\n", host.path("away/getkey.sh").display());
            write(&host.path("own/mykey"), &line, 0o755);
        }
        _ => {
            let line = format!("#!/usr/bin/env -S {}\n", host.path("away/getkey.sh").display());
            write(&host.path("own/mykey"), &line, 0o755);
        }
    };
    let lock = host.path("lock").display().to_string();
    let commands = |around: &Surroundings| {
        let of = |words: &[&str]| {
            Credential::command(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(), around)
                .and_then(|found| found.read())
                .map(|key| text(&key).to_owned())
        };
        [
            of(&["timeout", "5", "mykey"]),
            of(&["nice", "mykey"]),
            of(&["stdbuf", "-o0", "mykey"]),
            of(&["env", "timeout", "5", "mykey"]),
            of(&["sh", "-c", "mykey"]),
            of(&["sh", "-c", "exec mykey"]),
            of(&["flock", &lock, "mykey"]),
            of(&["find", "/etc/hostname", "-exec", "mykey", ";"]),
        ]
    };
    for kind in ["a link", "a link to a link", "a hard link", "an interpreter", "what env runs"] {
        enter(kind);
        for (index, answer) in commands(&host.around()).iter().enumerate() {
            assert!(answer.is_err(), "{kind} {index}: {answer:?}");
        }
        if kind != "a hard link" {
            for (index, answer) in commands(&host.unguarded()).iter().enumerate() {
                assert_eq!(answer.as_deref().ok(), Some("sk-canary"), "control, {kind} {index}: {answer:?}");
            }
        }
        // Its neighbours that are named are judged by themselves, and what fails says why.
        assert_eq!(text(&host.command("getkey.sh").unwrap().read().unwrap()), "sk-canary");
        assert_eq!(text(&host.command("timeout 9 getkey.sh").unwrap().read().unwrap()), "sk-canary");
        let words = ["sh".to_owned(), "-c".into(), "helper".into()];
        let error = Credential::command(&words, &host.around()).unwrap().read().unwrap_err().to_string();
        assert!(error.contains("PATH is without a folder") && error.contains("own/mykey"), "{error}");
        fs_err::remove_file(host.path("own/mykey")).unwrap();
    }
    // Control: without such an entry the folder is there.
    let words = ["sh".to_owned(), "-c".into(), "helper".into()];
    let found = Credential::command(&words, &host.around()).unwrap();
    assert_eq!(text(&found.read().unwrap()), "sk-canary");
    // An entry that comes later counts from then on.
    enter("a link");
    assert!(found.read().is_err());
}

#[test]
fn a_word_names_no_link_to_what_an_agent_can_write() {
    let host = Host::new();
    symlink(host.path("project"), host.path("away")).unwrap();
    let at = host.dir.path().display().to_string();
    for (words, home) in [
        (&["env", "X=@/away", "sh", "-c", "$X/getkey.sh"][..], "@"),
        (&["sh", "-c", ". @/away/plain.sh"], "@"),
        (&["sh", "-c", "cd /;'@/away/getkey.sh'"], "@"),
        (&["sh", "-c", "exec ~/away/getkey.sh"], "@"),
        (&["sh", "-c", "exec @/own/../away//getkey.sh"], "@"),
    ] {
        let words: Vec<String> = words.iter().map(|word| word.replace('@', &at)).collect();
        let home = Some(PathBuf::from(home.replace('@', &at)));
        let around = Surroundings { home, ..host.around() };
        let error = Credential::command(&words, &around).unwrap_err();
        assert!(matches!(error, CredentialError::Within { .. }), "{words:?}: {error:?}");
        Credential::command(&words, &host.unguarded()).unwrap();
    }
}

/// What a shell, or another program, would make of a word leads to an agent's file without naming it.
#[test]
fn a_text_that_reaches_what_an_agent_can_write_is_not_run_for_a_key() {
    let host = Host::new();
    fs_err::create_dir(host.path("project/k1")).unwrap();
    write(&host.path("project/k1/k0.sh"), "#!/bin/sh\necho sk-canary\n", 0o755);
    for (line, runs) in [
        (&["sh", "-c", "@/projec?/k?/k0.sh"][..], true),
        (&["sh", "-c", "@/project/k[1]/k0.sh"], true),
        (&["sh", "-c", "@/p*/k1/k0.sh"], true),
        (&["bash", "-c", "@/{project,x}/k1/k0.sh"], false),
        (&["sh", "-c", "/*/*/projec?/k1/k0.sh"], false),
        (&["env", "X=k1", "sh", "-c", "@/project/$X/k0.sh"], true),
        (&["env", "X=project/k1", "sh", "-c", "@/$X/k0.sh"], true),
        (&["env", "X=project/k1/k0.sh", "Y=@/", "sh", "-c", "$Y$X"], true),
        (&["sh", "-c", "@/`printf project/k1/k0.sh`"], true),
        (&["sh", "-c", "@/pro'ject'/k1/k0.sh"], true),
        (&["sh", "-c", "@/pro\\ject/k1/k0.sh"], true),
        (&["sh", "-c", "cd @;project/k1/k0.sh"], true),
        (&["sh", "-c", "cd;project/k1/k0.sh"], false),
        (&["sh", "-ec", "@/$1/k1/k0.sh", "x", "project"], true),
        (&["bash", "-o", "pipefail", "-c", "@/*/k1/k0.sh"], true),
        (&["timeout", "9", "sh", "-c", "@/projec?/k1/k0.sh"], true),
        (&["timeout", "9", "env", "-C", "@/own", "sh", "-c", "../project/k1/k0.sh"], true),
        (&["timeout", "9", "env", "-C", "@", "sh", "-c", "project/k1/k0.sh"], true),
        (&["flock", "@/lock", "-c", "@/projec?/k1/k0.sh"], true),
        (&["find", "@", "-name", "k0.sh", "-exec", "{}", ";"], true),
        (&["find", "@", "-name", "k0.sh", "-exec", "sh", "{}", ";"], true),
        (&["perl", "-e", "system(qq(@/).q(project/k1/k0.sh))"], true),
        (&["awk", "BEGIN{system(\"@/pro\" \"ject/k1/k0.sh\")}"], true),
    ] {
        let at = host.dir.path().display().to_string();
        let words: Vec<String> = line.iter().map(|word| word.replace('@', &at)).collect();
        let error = match Credential::command(&words, &host.around()) {
            Ok(found) => panic!("{line:?}: {found:?}"),
            Err(error) => error,
        };
        assert!(
            matches!(error, CredentialError::Within { .. } | CredentialError::Text { .. }),
            "{line:?}: {error:?}"
        );
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.hint().unwrap().contains("~/.local/bin"));
        // Control: where nothing guards it runs.
        let found = Credential::command(&words, &host.unguarded())
            .unwrap_or_else(|error| panic!("{line:?}: {error}"));
        if runs {
            let key = found.read().unwrap_or_else(|error| panic!("{line:?}: {error}"));
            assert!(text(&key).starts_with("sk-canary"), "{line:?}");
        }
    }
}

/// What was left in the workspace of a sandbox that is gone, of which nobody knows who wrote it.
#[test]
fn what_an_earlier_sandbox_may_have_left_is_not_run_for_a_key() {
    let host = Host::new();
    symlink(host.path("own/key"), host.path("project/link")).unwrap();
    let around = Surroundings {
        places: vec![Place::former(host.path("project"), "what an earlier sandbox had,")],
        ..host.around()
    };
    for line in ["./getkey.sh", "sh getkey.sh", "cat key", "sh -c @/projec?/getkey.sh"] {
        let error = Credential::command(&host.line(line), &around).unwrap_err();
        assert!(matches!(error, CredentialError::Within { .. }), "{line}: {error:?}");
        assert!(
            error.to_string().contains("a sandbox may have written to what an earlier sandbox had"),
            "{error}"
        );
    }
    // A login file may always have been there; where a link leads that lies there, somebody else may have decided.
    let found = Credential::file(&host.path("project/key"), &around).unwrap();
    assert_eq!(text(&found.read().unwrap()), "sk-canary");
    let error = Credential::file(&host.path("project/link"), &around).unwrap_err();
    assert!(matches!(error, CredentialError::Within { .. }), "{error:?}");
    Credential::file(&host.path("project/link"), &host.unguarded()).unwrap();
}

#[test]
fn what_the_kernel_makes_is_no_key() {
    let error = Credential::file(Path::new("/proc/self/environ"), &nowhere()).unwrap_err();
    assert!(error.to_string().contains("is made by the kernel"), "{error}");
}

#[test]
fn what_only_the_user_can_write_runs() {
    let host = Host::new();
    symlink("/bin/sh", host.path("own/my-sh")).unwrap();
    symlink("getkey.sh", host.path("own/alias")).unwrap();
    write(&host.path("own/by-env"), "#!/usr/bin/env -S sh -u\necho sk-canary\n", 0o755);
    write(&host.path("own/loops"), &format!("#!{}\n", host.path("own/getkey.sh").display()), 0o755);
    write(&host.path("own/cats.awk"), "BEGIN { print \"sk-canary\" }\n", 0o600);
    for line in [
        "getkey.sh",
        "@/own/getkey.sh",
        "~/own/getkey.sh",
        "../own/getkey.sh",
        "@/own/alias",
        "alias",
        "by-env",
        "loops",
        "sh @/own/getkey.sh",
        "sh -u ../own/plain.sh",
        "@/own/my-sh @/own/plain.sh",
        "env sh @/own/plain.sh",
        "env A=b getkey.sh",
        "timeout 9 getkey.sh",
        "timeout 9 @/own/getkey.sh",
        "cat @/own/key",
        "cat ../own/key",
        "awk -f @/own/cats.awk",
        "awk -f@/own/cats.awk",
        "printf sk-%s canary",
    ] {
        let found = host.command(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let key = found.read().unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(text(&key), "sk-canary", "{line}");
    }
}

#[test]
fn words_that_only_look_like_paths_are_left_alone() {
    let host = Host::new();
    fs_err::create_dir(host.path("project/src")).unwrap();
    for word in [
        "show",
        "src",
        "a/b",
        "op://vault/item",
        "https://x.example/y",
        ".key",
        ".",
        "/no/such/file",
        "s/a/b/",
        "s/a/b*/",
        "a/b?c",
        "-",
    ] {
        let line = format!("printf %s {word}");
        let found = host.command(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(text(&found.read().unwrap()), word);
    }
}

#[test]
fn the_way_to_a_key_is_nobody_elses() {
    let host = Host::new();
    let own = host.path("own");
    // Directories on the way: mode, and whether what lies below may serve.
    for (mode, good) in
        [(0o755, true), (0o700, true), (0o775, false), (0o757, false), (0o777, false), (0o1777, true)]
    {
        chmod(&own, mode);
        for found in [
            Credential::file(&own.join("key"), &host.around()),
            host.command("@/own/getkey.sh"),
            host.command("cat @/own/key"),
        ] {
            assert_eq!(found.is_ok(), good, "{mode:o}: {found:?}");
            if let Err(error) = found {
                assert!(matches!(error, CredentialError::Loose { .. }), "{error:?}");
                assert_eq!(error.hint(), Some(format!("say `chmod go-w {}`", own.display())));
            }
        }
        // A folder of PATH that others can write to is not searched.
        assert_eq!(host.command("getkey.sh").is_ok(), good, "{mode:o}");
    }
    chmod(&own, 0o755);
    for mode in [0o775, 0o757] {
        chmod(&own.join("getkey.sh"), mode);
        assert!(matches!(host.command("@/own/getkey.sh"), Err(CredentialError::Exposed { .. })), "{mode:o}");
    }
    chmod(&own.join("getkey.sh"), 0o644);
    assert!(
        matches!(host.command("@/own/getkey.sh"), Err(CredentialError::Exposed { .. })),
        "not executable"
    );
    if rustix::process::geteuid().is_root() {
        chmod(&own.join("getkey.sh"), 0o755);
        for name in ["own/getkey.sh", "own"] {
            std::os::unix::fs::chown(host.path(name), Some(4321), None).unwrap();
            assert_eq!(host.command("@/own/getkey.sh").unwrap_err().kind(), Kind::Refused, "{name}");
            std::os::unix::fs::chown(host.path(name), Some(0), None).unwrap();
        }
        host.command("@/own/getkey.sh").unwrap();
    }
}

#[test]
fn key_files_lie_where_no_sandbox_is() {
    let host = Host::new();
    symlink(host.path("project/key"), host.path("own/to-project")).unwrap();
    symlink(host.path("own/key"), host.path("project/from-project")).unwrap();
    write(&host.path("seen/key"), "sk-canary", 0o600);
    write(&host.path("seen/getkey.sh"), "#!/bin/sh\necho sk-canary\n", 0o755);
    fs_err::hard_link(host.path("project/key"), host.path("own/second")).unwrap();
    for (name, reason) in [
        ("project/key", "may write to the workspace"),
        ("own/to-project", "may write to the workspace"),
        ("project/from-project", "may write to the workspace"),
        ("project/missing", "may write to the workspace"),
        ("seen/key", "can read the mount"),
        ("own/second", "second name"),
    ] {
        let path = host.path(name);
        for found in [
            Credential::file(&path, &host.around()),
            Credential::json(&path, "/a", &host.around()),
            host.command(&format!("cat @/{name}")),
        ] {
            let error = found.expect_err(name).to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
    }
    // What a sandbox can read is no secret, but may be run: it cannot be changed there.
    assert_eq!(text(&host.command("@/seen/getkey.sh").unwrap().read().unwrap()), "sk-canary");
    // A place is known by what it is, not by its name: here by a link, elsewhere by a bind mount.
    let mut around = host.around();
    symlink(host.path("own"), host.path("alias")).unwrap();
    around.places = vec![Place::writable(host.path("alias"), "the mount")];
    assert!(matches!(Credential::file(&host.path("own/key"), &around), Err(CredentialError::Within { .. })));
}

#[test]
fn a_home_that_an_agent_can_write_serves_no_program() {
    let host = Host::new();
    let around = Surroundings { home: Some(host.path("project/inner")), ..host.around() };
    let error = Credential::command(&words("printf x"), &around).unwrap_err();
    assert!(matches!(error, CredentialError::Within { .. }), "{error:?}");
}

/// Everything that decides what a command does, changed after it was found.
#[test]
fn what_changed_since_it_was_found_is_not_run() {
    let host = Host::new();
    let ran = host.path("ran");
    write(
        &host.path("own/getkey.sh"),
        &format!("#!/bin/sh\necho x > {}\necho sk-canary\n", ran.display()),
        0o755,
    );
    write(&host.path("own/by-own"), &format!("#!{}\n", host.path("own/getkey.sh").display()), 0o755);
    let replace = |name: &str| {
        let path = host.path(name);
        let text = fs_err::read_to_string(&path).unwrap();
        fs_err::write(&path, format!("{text}# changed\n")).unwrap();
        text
    };
    for (line, changed) in [
        ("getkey.sh", "own/getkey.sh"),
        ("@/own/getkey.sh", "own/getkey.sh"),
        ("by-own", "own/by-own"),
        // The interpreter of a script.
        ("by-own", "own/getkey.sh"),
        ("sh @/own/getkey.sh", "own/getkey.sh"),
        ("sh -c @/own/getkey.sh", "own/getkey.sh"),
        ("env sh @/own/getkey.sh", "own/getkey.sh"),
        ("timeout 9 getkey.sh", "own/getkey.sh"),
        ("timeout 9 by-own", "own/getkey.sh"),
        ("getkey.sh --config=@/own/plain.sh", "own/plain.sh"),
        ("getkey.sh @/own/plain.sh:x", "own/plain.sh"),
    ] {
        let found = host.command(line).unwrap();
        assert_eq!(text(&found.read().unwrap()), "sk-canary", "{line}");
        assert!(ran.exists(), "control: {line}");
        fs_err::remove_file(&ran).unwrap();
        let before = replace(changed);
        let error = found.read().unwrap_err();
        assert!(matches!(error, CredentialError::Changed { .. }), "{line}: {error:?}");
        assert!(error.to_string().matches("SHA-256 ").count() == 2, "old and new: {error}");
        assert_eq!(error.kind(), Kind::Refused);
        assert!(!ran.exists(), "{line}: it was run all the same");
        fs_err::write(host.path(changed), before).unwrap();
        found.read().unwrap();
        fs_err::remove_file(&ran).unwrap();
    }
    // The way to it counts too: a directory that became a link, or that others can write to now.
    let found = host.command("getkey.sh").unwrap();
    chmod(&host.path("own"), 0o777);
    assert!(matches!(found.read(), Err(CredentialError::Loose { .. })));
    chmod(&host.path("own"), 0o755);
    fs_err::rename(host.path("own"), host.path("moved")).unwrap();
    symlink(host.path("moved"), host.path("own")).unwrap();
    assert!(matches!(found.read(), Err(CredentialError::Changed { .. })));
    assert!(!ran.exists());
}

#[test]
fn files_of_the_system_are_known_by_their_path() {
    let shown: Vec<String> = Credential::command(&words("sh -c true"), &nowhere())
        .unwrap()
        .files()
        .iter()
        .map(HeldFile::to_string)
        .collect();
    let [sh] = &shown[..] else { panic!("{shown:?}") };
    assert!(sh.ends_with("sh` (the system's)"), "{sh}");
    let host = Host::new();
    let shown = host
        .command("getkey.sh")
        .unwrap()
        .files()
        .iter()
        .map(HeldFile::to_string)
        .collect::<Vec<_>>()
        .join(" ");
    let digest = pinfold_base::Digest::sha256(b"#!/bin/sh\necho sk-canary\n").hex();
    assert!(shown.contains(&format!("own/getkey.sh` (SHA-256 {digest})")), "{shown}");
    assert!(shown.contains("sh` (the system's)"), "{shown}");
}

#[test]
fn a_command_runs_in_the_root_with_a_path_of_its_own() {
    let host = Host::new();
    for (script, expected) in [
        ("pwd", "/"),
        ("echo $0", "/proc/self/fd/"),
        ("echo ${LD_PRELOAD-none}", "none"),
        ("echo $PATH", &format!("{}:/usr/bin:/bin", host.path("own").display())),
    ] {
        write(&host.path("own/tells"), &format!("#!/bin/sh\n{script}\n"), 0o755);
        let told = host.command("tells").unwrap().read().unwrap();
        assert!(text(&told).starts_with(expected), "{script}: {}", text(&told));
    }
}

#[test]
fn a_script_is_run_from_the_file_that_was_judged() {
    // A first line that names no interpreter by a full path, or that cannot be followed, is no way to run anything.
    let host = Host::new();
    for (line, problem) in [
        ("#!./x", "absolute"),
        ("#!", "absolute"),
        ("#!/usr/bin/env -i sh", "env -i"),
        ("#!/usr/bin/env -C/tmp sh", "env -C"),
        ("#!/usr/bin/env LD_PRELOAD=./x sh", "LD_PRELOAD"),
        ("#!/usr/bin/env PATH=. sh", "PATH"),
        ("#!/usr/bin/env", "no program"),
    ] {
        write(&host.path("own/odd"), &format!("{line}\n"), 0o755);
        let error = host.command("odd").unwrap_err().to_string();
        assert!(error.contains(problem), "{line}: {error}");
    }
    write(&host.path("own/endless"), &format!("#!/bin/sh {}", "x".repeat(400)), 0o755);
    assert!(host.command("endless").unwrap_err().to_string().contains("no end"));
    let own = host.path("own/circle");
    write(&own, &format!("#!{}\n", own.display()), 0o755);
    assert!(host.command("circle").unwrap_err().to_string().contains("too many"));
}
