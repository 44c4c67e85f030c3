//! The program as a user meets it: help, mistakes, no network. Offline; every run has a home of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::path::Path;
use std::process::Command;
use std::process::Output;

struct Run {
    dir: tempfile::TempDir,
}

impl Run {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path().join(name), text).unwrap();
    }

    fn pinfold(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_pinfold"))
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PINFOLD_HOME", self.path().join("home"))
            .env("npm_config_registry", "http://127.0.0.1:9/")
            .output()
            .unwrap()
    }

    /// Exit code and stderr, with the run's folder shown as `[DIR]`.
    fn fails(&self, args: &[&str]) -> String {
        let output = self.pinfold(args);
        assert!(!output.status.success(), "{args:?} succeeded");
        let text = String::from_utf8(output.stderr).unwrap();
        let text = text.replace(&self.path().display().to_string(), "[DIR]");
        format!("exit {}\n{text}", output.status.code().unwrap())
    }
}

#[test]
fn help_names_every_verb() {
    let run = Run::new();
    let output = run.pinfold(&["--help"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for verb in [
        "init", "lock", "fetch", "vendor", "build", "images", "inspect", "verify", "sbom", "unpack", "run",
        "open", "ps", "gc", "doctor",
    ] {
        assert!(text.contains(&format!("\n  {verb} ")), "{verb} is missing in\n{text}");
        let help = run.pinfold(&[verb, "--help"]);
        assert!(help.status.success() && help.stderr.is_empty(), "{verb} --help");
    }
}

#[test]
fn a_directory_without_a_manifest_says_what_to_do() {
    insta::assert_snapshot!(Run::new().fails(&["build"]), @"
    exit 2
    error: there is no `pinfold.toml` in `[DIR]`
    hint: `pinfold init` writes one; `pinfold build --preset iteron` needs none
    ");
}

#[test]
fn unknown_presets_and_agents_list_the_known_ones() {
    let run = Run::new();
    insta::assert_snapshot!(run.fails(&["build", "--preset", "nope"]), @"
    exit 2
    error: there is no preset `nope`
    hint: the presets are `iteron`, `solo`, `sealed`, `sealed-debian`, `proxy`, `nix`
    ");
    insta::assert_snapshot!(run.fails(&["build", "--preset", "solo", "--agent", "nope"]), @"
    exit 2
    error: there is no agent `nope`
    hint: the built-in agents are `claude-code`, `codex-cli`, `gemini-cli`, `opencode`; a recipe of your own is named by a path such as `./my-agent.toml`
    ");
}

#[test]
fn a_wrong_key_is_shown_in_its_line_and_nothing_is_written() {
    let run = Run::new();
    run.write("pinfold.toml", "name = \"x\"\n[debain]\nsuite = \"bookworm\"\n");
    let text = run.fails(&["build"]);
    assert!(text.starts_with("exit 2\nerror: unknown field `debain`"), "{text}");
    assert!(text.contains("pinfold.toml:2:2") && text.contains("^^^^^^"), "{text}");
    assert!(!run.path().join("pinfold.lock").exists());
}

#[test]
fn frozen_without_a_lock_fails() {
    let run = Run::new();
    run.write("pinfold.toml", "name = \"x\"\n");
    insta::assert_snapshot!(run.fails(&["build", "--frozen"]), @"
    exit 2
    error: there is no lock at `./pinfold.lock`
    hint: `pinfold lock` writes it; commit it beside the manifest
    ");
}

#[test]
fn offline_says_what_is_missing() {
    let run = Run::new();
    run.write("pinfold.toml", "name = \"x\"\nagents = [\"claude-code\"]\n");
    let text = run.fails(&["lock", "--offline"]);
    assert!(text.starts_with("exit 3\n") && text.contains("the network is switched off"), "{text}");
}

#[test]
fn init_writes_a_manifest_that_reads_and_never_overwrites() {
    let run = Run::new();
    for preset in ["iteron", "solo", "sealed", "sealed-debian", "proxy"] {
        let output = run.pinfold(&["init", "--preset", preset, "--name", "mine", preset]);
        assert!(output.status.success(), "{output:?}");
        let text = fs_err::read_to_string(run.path().join(preset).join("pinfold.toml")).unwrap();
        assert!(text.contains("name = \"mine\"") && text.starts_with('#'), "{text}");
        assert!(run.fails(&["init", preset]).contains("exists already"));
        let told = run.fails(&["init", "--name", "Bad Name", "other"]);
        assert!(told.contains("`Bad Name` is no image name"), "{told}");
        assert!(!run.path().join("other").exists());
    }
}

#[test]
fn an_image_of_nothing_but_files_is_built_twice_alike_and_offline() {
    let run = Run::new();
    run.write("hello", "hello\n");
    run.write(
        "pinfold.toml",
        "name = \"files\"\n[user]\nname = \"u\"\nuid = 1000\ngid = 1000\nhome = \"/home/u\"\n\
         [[file]]\npath = \"/hello\"\nsource = \"hello\"\nmode = \"0755\"\n",
    );
    let build = |args: &[&str]| {
        let output = run.pinfold(&[&["build", "--offline", "--json"], args].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let first = build(&[]);
    assert_eq!(first["unchanged"], false);
    assert_eq!(first["platforms"].as_array().unwrap().len(), 2);
    let again = build(&[]);
    assert_eq!(again["unchanged"], true);
    assert_eq!(again["index"], first["index"]);
    run.write("hello", "changed\n");
    let changed = build(&[]);
    assert_ne!(changed["index"], first["index"]);
    run.write("hello", "hello\n");
    assert_eq!(
        build(&[])["index"],
        first["index"],
        "the same bytes give the same image, whatever their time"
    );
    let verified = run.pinfold(&["verify", "files"]);
    assert!(verified.status.success(), "{verified:?}");
    let text = String::from_utf8(run.pinfold(&["images"]).stdout).unwrap();
    assert!(text.lines().nth(1).unwrap().starts_with("files "), "{text}");
}

#[test]
fn a_changed_manifest_is_locked_again_and_told_unless_that_is_forbidden() {
    let run = Run::new();
    run.write("pinfold.toml", "name = \"x\"\nplatforms = [\"linux/amd64\"]\n");
    assert!(run.pinfold(&["lock", "--offline"]).status.success());
    let before = fs_err::read_to_string(run.path().join("pinfold.lock")).unwrap();
    run.write("pinfold.toml", "name = \"x\"\nplatforms = [\"linux/arm64\"]\n");
    for verb in [&["build"][..], &["fetch"], &["vendor", "kept"]] {
        for flag in ["--locked", "--frozen"] {
            let text = run.fails(&[verb, &[flag]].concat());
            let stale = "exit 2\nerror: the lock is stale: `platforms` changed since it was written\n";
            assert!(text.starts_with(stale), "{text}");
        }
    }
    assert_eq!(fs_err::read_to_string(run.path().join("pinfold.lock")).unwrap(), before);
    let told = |args: &[&str]| {
        let output = run.pinfold(args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let again = "`platforms` changed since `./pinfold.lock` was written: locking again\n\
                 `./pinfold.lock` written: nothing to fetch\n";
    assert!(told(&["build"]).starts_with(again));
    assert!(!told(&["build"]).contains("pinfold.lock"));
    run.write("pinfold.toml", "name = \"x\"\nplatforms = [\"linux/amd64\"]\n");
    assert!(told(&["fetch"]).starts_with(again));
    assert_eq!(fs_err::read_to_string(run.path().join("pinfold.lock")).unwrap(), before);
    let text = run.fails(&["lock", "--upgrade", "claud-code"]);
    assert!(
        text.starts_with("exit 2\nerror: nothing that is locked or asked for is called `claud-code`\n"),
        "{text}"
    );
}

#[test]
fn an_image_that_cannot_work_is_not_built() {
    let run = Run::new();
    run.write(
        "pinfold.toml",
        "name = \"x\"\n[user]\nname = \"u\"\nuid = 1000\ngid = 1000\nhome = \"/home/u\"\nshell = \"/bin/zsh\"\n\
         [image]\nentrypoint = [\"/sandbox\"]\nworkdir = \"/nowhere\"\n",
    );
    insta::assert_snapshot!(run.fails(&["build", "--offline", "--quiet"]), @r#"
    exit 2
    error: the image cannot work:
      `/bin/zsh` of `user.shell` is not there (linux/amd64, linux/arm64)
      `/nowhere` of `image.workdir` is no directory of the image (linux/amd64, linux/arm64)
      `/sandbox` of `image.entrypoint` is not there (linux/amd64, linux/arm64)
    hint: add the package that brings the shell, or name another `shell` in `[user]`; make it with `[[dir]]` and `path = "/nowhere"`, or name another `workdir` in `[image]`; place the program, or name another in `[image]`
    "#);
    assert!(String::from_utf8(run.pinfold(&["images"]).stdout).unwrap().lines().count() <= 1);
}

#[test]
fn a_damaged_lock_is_refused() {
    let run = Run::new();
    run.write("pinfold.toml", "name = \"x\"\n");
    assert!(run.pinfold(&["lock", "--offline"]).status.success());
    let lock = fs_err::read_to_string(run.path().join("pinfold.lock")).unwrap();
    run.write("pinfold.lock", &lock.replace("compat = 8", "compat = 999"));
    assert!(run.fails(&["build"]).contains("compat level 999"));
    // An older one is not built, and `lock` does what the hint says.
    run.write("pinfold.lock", &lock.replace("compat = 8", "compat = 1"));
    let text = run.fails(&["build"]);
    assert!(
        text.starts_with("exit 2\n") && text.contains("older pinfold") && text.contains("`pinfold lock`"),
        "{text}"
    );
    assert!(run.pinfold(&["lock", "--offline"]).status.success());
    assert_eq!(fs_err::read_to_string(run.path().join("pinfold.lock")).unwrap(), lock);
    run.write("pinfold.lock", "not a lock");
    assert!(run.fails(&["build"]).starts_with("exit 2\n"));
    fs_err::remove_file(run.path().join("pinfold.toml")).unwrap();
    assert!(run.fails(&["build"]).contains("is not a lock of this version"), "without a manifest too");
}

#[test]
fn a_closed_pipe_and_a_full_home_are_no_panics() {
    let run = Run::new();
    run.write("home", "a file where the folder should be");
    let text = run.fails(&["images"]);
    assert!(text.starts_with("exit 1\n") && !text.contains("panicked"), "{text}");
}
