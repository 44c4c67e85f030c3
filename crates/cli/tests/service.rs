//! `pinfold service`: a unit is printed whole, and what only the caller has is refused.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::path::Path;
use std::process::Command;

/// Exit code, stdout and stderr.
fn pinfold(dir: &Path, words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pinfold"))
        .args(words)
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/nowhere")
        .env("HOME", dir)
        .env("PINFOLD_HOME", dir.join("pinfold home"))
        .env("ANTHROPIC_API_KEY", "canary")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn install<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["service", "install", "w1", "--print", "--"], more].concat()
}

#[test]
fn a_unit_is_printed_with_all_that_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let real = fs_err::canonicalize(dir.path()).unwrap();
    let words = install(&[
        "--preset",
        "sealed",
        "--key",
        "file:/keys/one two",
        "claude-code",
        "--",
        "--model",
        "a$b%c",
    ]);
    let (code, unit, said) = pinfold(dir.path(), &words);
    assert_eq!((code, said.as_str()), (0, ""));
    let program = env!("CARGO_BIN_EXE_pinfold");
    let start = format!(
        "\nExecStart=:\"{program}\" \"run\" \"--name\" \"w1\" \"--preset\" \"sealed\" \"--key\" \"file:/keys/one two\" \"claude-code\" \
         \"--\" \"--model\" \"a$b%%c\"\n"
    );
    assert!(unit.contains(&start), "{unit}");
    for line in [
        format!("WorkingDirectory={}", real.display()),
        format!("ExecStop=:\"{program}\" stop \"w1\""),
        format!("Environment=\"PINFOLD_HOME={}/pinfold home\"", dir.path().display()),
        "Restart=on-failure".to_owned(),
    ] {
        assert!(unit.lines().any(|found| found == line), "{line}\n{unit}");
    }
    assert!(!unit.contains("canary"), "{unit}");
    assert!(!dir.path().join(".config").exists(), "nothing else is written");
    // Without a systemd it says what to do.
    let (code, _, said) = pinfold(dir.path(), &["service", "install", "w1", "--", "--image", "x"]);
    assert!(
        code != 0 && said.contains("systemd does not take the unit") && said.contains("`--print`"),
        "{said}"
    );
    assert!(!dir.path().join(".config/systemd").exists());
}

#[test]
fn what_only_the_caller_has_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("project");
    fs_err::create_dir(&project).unwrap();
    let manifest = |source: &str| {
        let text =
            format!("name = 'x'\nagents = ['claude-code']\n[run.credentials]\nclaude-code = '{source}'\n");
        fs_err::write(project.join("pinfold.toml"), text).unwrap();
    };
    manifest("env:MINE");
    for (words, said) in [
        (&["--preset", "sealed", "claude-code"][..], "the key in `ANTHROPIC_API_KEY` is of your environment"),
        (&["--key", "env:OTHER", "claude-code"], "the key in `OTHER` is of your environment"),
        (&["--key", "anthropic=env:OTHER", "claude-code"], "the key in `OTHER` is of your environment"),
        (&["claude-code"], "the key in `MINE` is of your environment"),
        (&["--image", "x", "--env", "TOKEN"], "the variable `TOKEN` is of your environment"),
    ] {
        let (code, _, told) = pinfold(&project, &install(words));
        assert!(code == 2 && told.contains(said) && told.contains("`--key file:PATH`"), "{words:?}: {told}");
    }
    manifest("file:/keys/one");
    for words in [
        &["claude-code"][..],
        &["--key", "command:pass show key", "--preset", "sealed", "claude-code"],
        &["--image", "x", "--env", "TOKEN=1", "--", "command"],
    ] {
        let (code, _, told) = pinfold(&project, &install(words));
        assert_eq!((code, told.as_str()), (0, ""), "{words:?}");
    }
    // And words that `run` does not know, or that leave the foreground.
    for words in [&["--nonsense"][..], &["--detach", "--image", "x"]] {
        assert_eq!(pinfold(&project, &install(words)).0, 2, "{words:?}");
    }
}
